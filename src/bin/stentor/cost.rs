//! `stentor cost`: what a volume of logs costs, for each AWS service.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use stentor::model::humanize::thousands;
use stentor::model::visible;
use stentor::ops::cost::{
    ASSUMPTIONS, Architecture, BUILTIN, Basis, Bill, Charge, Prices, Service, Subscription, Usage,
    Workload,
};

use crate::args::share;
use crate::{Exit, json, ui};

/// Estimate what Stentor costs on AWS, in dollars per service, month and terabyte of logs
#[derive(Debug, Args)]
#[command(after_help = "Examples: stentor cost --tb-per-day 2.5 --match-ratio 0.0005\n          \
                        stentor cost --print-prices > prices.toml; stentor cost --prices prices.toml\n\
                        docs/cost.md explains the model.")]
pub(crate) struct CostArguments {
    /// Terabytes of logs per day, uncompressed
    #[arg(long, value_name = "TB", default_value_t = Workload::default().tb_per_day, value_parser = terabytes)]
    tb_per_day: f64,
    /// Share of the log events that become alerts
    #[arg(long, value_name = "SHARE", default_value_t = Workload::default().match_ratio, value_parser = share)]
    match_ratio: f64,
    /// Average size of a log event
    #[arg(long, value_name = "N", default_value_t = Workload::default().event_bytes, value_parser = count(1, EVENT_BYTES_MAX))]
    event_bytes: u32,
    /// The same, of log events that become alerts
    #[arg(long, value_name = "N", default_value_t = Workload::default().alert_bytes, value_parser = count(1, EVENT_BYTES_MAX))]
    alert_bytes: u32,
    /// Log events per record
    #[arg(long, value_name = "N", default_value_t = Workload::default().events_per_record, value_parser = count(1, COUNT_MAX))]
    events_per_record: u32,
    /// Compression ratio of gzip, often 4 to 8
    #[arg(long, value_name = "TIMES", default_value_t = Workload::default().compression, value_parser = times)]
    compression: f64,
    /// Where subscriptions send log events: stream or direct
    #[arg(long, value_enum, value_name = "HOW", hide_possible_values = true, default_value_t = SubscriptionName::Stream)]
    subscription: SubscriptionName,
    /// Processor of the functions: arm64 or x86_64
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true, default_value_t = ArchitectureName::Arm64)]
    architecture: ArchitectureName,
    /// How long the stream keeps records
    #[arg(long, value_name = "HOURS", default_value_t = Workload::default().stream_retention_hours, value_parser = retention)]
    stream_retention_hours: u32,
    /// Routes in the configuration
    #[arg(long, value_name = "N", default_value_t = Workload::default().routes, value_parser = count(1, COUNT_MAX))]
    routes: u32,
    /// Targets per route
    #[arg(long, value_name = "N", default_value_t = Workload::default().targets_per_route, value_parser = count(1, TARGETS_MAX))]
    targets_per_route: u32,
    /// Subscribed log groups in the account of the stack
    #[arg(long, value_name = "N", default_value_t = Workload::default().log_groups, value_parser = count(0, COUNT_MAX))]
    log_groups: u32,
    /// Price list [default: built-in prices of us-east-1]
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Print the built-in price list, to edit and pass it with --prices
    #[arg(long, exclusive = true)]
    print_prices: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// The largest log event of CloudWatch Logs.
const EVENT_BYTES_MAX: u64 = 1 << 20;

/// More events per record, routes or log groups than any deployment has.
const COUNT_MAX: u64 = 1_000_000;

/// The cursor of a route names its targets in one update expression, which has room for a hundred.
const TARGETS_MAX: u64 = 100;

/// A kilobyte per day. Less makes the price of a terabyte a number without meaning.
const TB_PER_DAY_MIN: f64 = 1e-9;

/// An exabyte per day.
const TB_PER_DAY_MAX: f64 = 1e6;

/// The limit of the DEFLATE format.
const COMPRESSION_MAX: f64 = 1_032.0;

/// The values that the template allows.
const RETENTIONS: [&str; 3] = ["48", "72", "168"];

/// Columns between two columns of the table.
const GAP: usize = 2;

/// The largest price list that is read.
const PRICES_BYTES_MAX: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SubscriptionName {
    Stream,
    Direct,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ArchitectureName {
    Arm64,
    #[value(name = "x86_64")]
    X86,
}

pub(crate) fn cost(arguments: &CostArguments) -> anyhow::Result<Exit> {
    if arguments.print_prices {
        ui::print(BUILTIN)?;
        return Ok(Exit::Done);
    }
    let workload = arguments.workload();
    if !workload.fits_a_record() {
        bail!(
            "--events-per-record {}: a record would have {} bytes of gzip, and CloudWatch Logs sends at most 1 MiB",
            workload.events_per_record,
            thousands(workload.record_bytes() as u64)
        );
    }
    let estimate = Estimate::of(workload, arguments.read_prices()?);
    match arguments.json {
        true => ui::print_json(&estimate.json())?,
        false => ui::print(&visible::text(&estimate.text()))?,
    }
    Ok(Exit::Done)
}

impl CostArguments {
    fn workload(&self) -> Workload {
        Workload {
            tb_per_day: self.tb_per_day,
            match_ratio: self.match_ratio,
            event_bytes: self.event_bytes,
            alert_bytes: self.alert_bytes,
            events_per_record: self.events_per_record,
            compression: self.compression,
            subscription: match self.subscription {
                SubscriptionName::Stream => Subscription::Stream,
                SubscriptionName::Direct => Subscription::Direct,
            },
            architecture: match self.architecture {
                ArchitectureName::Arm64 => Architecture::Arm64,
                ArchitectureName::X86 => Architecture::X86,
            },
            stream_retention_hours: self.stream_retention_hours,
            routes: self.routes,
            targets_per_route: self.targets_per_route,
            log_groups: self.log_groups,
        }
    }

    fn read_prices(&self) -> anyhow::Result<Prices> {
        let Some(file) = &self.prices else { return Ok(Prices::builtin()) };
        let name = file.display().to_string();
        let mut bytes = Vec::new();
        std::fs::File::open(file)
            .and_then(|file| file.take(PRICES_BYTES_MAX + 1).read_to_end(&mut bytes))
            .with_context(|| format!("cannot read the price list {name}"))?;
        if bytes.len() as u64 > PRICES_BYTES_MAX {
            bail!("the price list {name} is larger than {} MiB", PRICES_BYTES_MAX >> 20);
        }
        Ok(Prices::parse_bytes(&bytes, &name)?)
    }
}

/// Everything that the command prints.
struct Estimate {
    workload: Workload,
    prices: Prices,
    usage: Usage,
    bill: Bill,
}

impl Estimate {
    fn of(workload: Workload, prices: Prices) -> Self {
        let usage = Usage::of(&workload);
        let bill = Bill::of(&usage, &prices, workload.tb_per_day);
        Self { workload, prices, usage, bill }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        self.put_head(&mut text);
        self.put_table(&mut text);
        self.put_assumptions(&mut text);
        text
    }

    fn put_head(&self, text: &mut String) {
        let Workload {
            tb_per_day, match_ratio, event_bytes, events_per_record, compression, ..
        } = self.workload;
        let volume = &self.usage.volume;
        let day = |n: f64| thousands(n.round() as u64);
        let (oldest, newest) = self.prices.dates();
        let dates =
            if oldest == newest { oldest.to_owned() } else { format!("{oldest} to {newest}") };
        put(
            text,
            format_args!(
                "  logs        {tb_per_day} TB a day in log events of {event_bytes} bytes"
            ),
        );
        put(
            text,
            format_args!(
                "  records     {events_per_record} log events each, {compression} times smaller with gzip"
            ),
        );
        put(
            text,
            format_args!(
                "  alerts      {} a day: {} % of the log events",
                day(volume.alerts),
                match_ratio * 100.0
            ),
        );
        let invocations = day(volume.invocations);
        match self.workload.subscription {
            Subscription::Stream => put(
                text,
                format_args!(
                    "  consumer    {invocations} invocations a day, from {}",
                    with_unit(&day(volume.shards), "shards")
                ),
            ),
            Subscription::Direct => put(
                text,
                format_args!("  consumer    {invocations} invocations a day, one a record"),
            ),
        }
        put(text, format_args!("  messages    at most {} a day", day(volume.messages)));
        put(text, format_args!("  prices      {}, {dates}", visible::line(&self.prices.region)));
    }

    fn put_table(&self, text: &mut String) {
        let row = |name: &str, quantity: &str, usd: f64| {
            [name.to_owned(), quantity.to_owned(), dollars(usd), dollars(self.bill.per_tb(usd))]
        };
        let head = ["", "quantity a month", "$/month", "$/TB"].map(str::to_owned);
        let mut rows = vec![head];
        for service in Service::ALL {
            if self.bill.of_service(service).next().is_none() {
                continue;
            }
            rows.push(row(service.name(), "", self.bill.service(service)));
            for Charge { item, usd_per_month } in
                self.bill.of_service(service).filter(|charge| is_shown(charge))
            {
                let quantity = with_unit(&quantity(item.quantity), item.meter.unit());
                rows.push(row(&format!("  {}", item.name), &quantity, *usd_per_month));
            }
        }
        rows.push(row("total", "", self.bill.total()));
        let ingestion = self.bill.ingestion();
        rows.push(row("not included: ingestion by CloudWatch Logs", "", ingestion));
        let width = |column: usize, least: usize| {
            rows.iter().map(|row| row[column].len() + GAP).max().unwrap_or_default().max(least)
        };
        let widths = [width(1, 26), width(2, 14), width(3, 12)];
        for (at, [name, quantity, month, tb]) in rows.iter().enumerate() {
            let [of_quantity, of_month, of_tb] = widths;
            let gap = if at == 0 || at == rows.len() - 1 { "\n" } else { "" };
            put(
                text,
                format_args!(
                    "{gap}  {name:<42}{quantity:>of_quantity$}{month:>of_month$}{tb:>of_tb$}"
                ),
            );
        }
    }

    fn put_assumptions(&self, text: &mut String) {
        put(
            text,
            format_args!(
                "\n  estimated, not measured (--json has all {} coefficients)",
                ASSUMPTIONS.len()
            ),
        );
        for assumption in ASSUMPTIONS.iter().filter(|assumption| assumption.basis == Basis::Assumed)
        {
            let value = format!("{} {}", assumption.value, assumption.unit);
            put(text, format_args!("  {:<22}{value:<14}{}", assumption.code, assumption.why));
        }
    }

    fn json(&self) -> json::CostReport<'_> {
        let (oldest, newest) = self.prices.dates();
        let service = |service: Service| json::ServiceCost {
            code: service,
            cost: self.cost(self.bill.service(service)),
            charges: self.bill.of_service(service).map(|charge| self.charge(charge)).collect(),
        };
        json::CostReport {
            version: json::VERSION,
            workload: &self.workload,
            per_day: self.usage.volume,
            prices: json::PriceList { region: &self.prices.region, oldest, newest },
            services: Service::ALL.into_iter().map(service).collect(),
            total: self.cost(self.bill.total()),
            log_ingestion: self.cost(self.bill.ingestion()),
            assumptions: ASSUMPTIONS,
        }
    }

    fn cost(&self, usd_per_month: f64) -> json::Cost {
        json::Cost {
            usd_per_month: cents(usd_per_month),
            usd_per_tb: cents(self.bill.per_tb(usd_per_month)),
        }
    }

    fn charge(&self, Charge { item, usd_per_month }: &Charge) -> json::ServiceCharge<'_> {
        let price = self.prices.of(item.meter);
        json::ServiceCharge {
            code: item.code,
            quantity: item.quantity,
            unit: item.meter.unit(),
            usd_per_unit: price.usd,
            usd_per_month: cents(*usd_per_month),
            source: &price.source,
            date: &price.date,
        }
    }
}

/// A service always has its line; its charges have one from a cent on.
fn is_shown(charge: &Charge) -> bool {
    charge.usd_per_month >= 0.005
}

/// `1,234.56`
fn dollars(usd: f64) -> String {
    let cents = (usd * 100.0).round() as u64;
    format!("{}.{:02}", thousands(cents / 100), cents % 100)
}

/// Rounded to a hundredth of a cent.
fn cents(usd: f64) -> f64 {
    (usd * 1e4).round() / 1e4
}

/// About three significant digits.
fn quantity(n: f64) -> String {
    match n {
        _ if n.fract() == 0.0 => thousands(n as u64),
        100.0.. => thousands(n.round() as u64),
        10.0.. => format!("{n:.1}"),
        _ => format!("{n:.2}"),
    }
}

/// `1 secret`, `2 secrets`, `1 million units`.
fn with_unit(quantity: &str, unit: &str) -> String {
    let is_one = quantity == "1" && !unit.starts_with("million");
    format!("{quantity} {}", unit.strip_suffix('s').filter(|_| is_one).unwrap_or(unit))
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("invariant: writing to a String cannot fail");
}

fn count(least: u64, most: u64) -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(least..=most)
}

fn terabytes(text: &str) -> anyhow::Result<f64> {
    number(
        text,
        |tb| (TB_PER_DAY_MIN..=TB_PER_DAY_MAX).contains(&tb),
        "a number from 0.000000001 to 1000000",
    )
}

fn times(text: &str) -> anyhow::Result<f64> {
    number(text, |times| (1.0..=COMPRESSION_MAX).contains(&times), "a number from 1 to 1032")
}

fn number(
    text: &str,
    is_good: impl Fn(f64) -> bool,
    expected: &'static str,
) -> anyhow::Result<f64> {
    match text.parse() {
        Ok(number) if is_good(number) => Ok(number),
        _ => bail!(expected),
    }
}

fn retention(text: &str) -> anyhow::Result<u32> {
    match RETENTIONS.contains(&text) {
        true => Ok(text.parse()?),
        false => bail!("the template allows {}", RETENTIONS.join(", ")),
    }
}
