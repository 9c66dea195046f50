//! Writes the tables of `docs/performance.md` between the marks `<!-- figures -->` and `<!-- /figures -->`. The
//! text around them is written by hand and holds no number that another run would change.

#![allow(dead_code, reason = "each program uses a part of it")]

use std::fmt::Write as _;

use crate::cost::{Prices, VCPU_MB, Way, bill, on_demand, provisioned, takes_over};
use crate::figures::{Figures, Point, path};

const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- /figures -->\n";

/// The match ratios of the tables of cost.
const RATIOS: [f64; 2] = [0.001, 0.05];

/// Memory sizes, in MB.
const SIZES: [f64; 5] = [128.0, 256.0, 512.0, 1024.0, VCPU_MB];

/// The part of the page that the command owns.
pub fn part(page: &str) -> &str {
    let (begin, end) = bounds(page);
    &page[begin..end]
}

/// Puts the tables into the page.
pub fn write(figures: &Figures, prices: &Prices) {
    let file = path("performance.md");
    let page = std::fs::read_to_string(&file).expect("docs/performance.md");
    let (begin, end) = bounds(&page);
    let page = [&page[..begin], &tables(figures, prices), &page[end..]].concat();
    std::fs::write(&file, page).expect("docs/ can be written");
}

fn bounds(page: &str) -> (usize, usize) {
    let begin = page.find(BEGIN).expect("the mark of the beginning") + BEGIN.len();
    (begin, page.find(END).expect("the mark of the end"))
}

pub fn tables(figures: &Figures, prices: &Prices) -> String {
    let mut page = String::new();
    machine(&mut page, figures);
    heading(&mut page, "Logs per invocation", "MB of logs (payload)");
    figures.logs.iter().for_each(|point| measured(&mut page, &size(point), point));
    threads(&mut page, figures);
    heading(&mut page, "Match ratio, full invocation", "matches");
    figures.matches.iter().for_each(|point| measured(&mut page, &percent(point.invocation.match_ratio), point));
    store(&mut page, figures);
    bills(&mut page, figures, prices);
    sizes(&mut page, figures, prices);
    batches(&mut page, figures, prices);
    page
}

/// Writing to a `String` cannot fail.
macro_rules! line {
    ($page:expr, $($text:tt)*) => { writeln!($page, $($text)*).expect("a string takes it") };
}

fn machine(page: &mut String, figures: &Figures) {
    let machine = &figures.machine;
    line!(page, "\nMedians of {} rounds on {}, {} cores.", figures.rounds, machine.processor, machine.cores);
    let (before, after) = (machine.load_before, machine.load_after);
    line!(page, "Load of the machine before {before}, at the end {after}; this program alone makes 1.");
    if before > 0.5 || after > 1.5 {
        line!(page, "**Others were using the machine: trust the ratios within a row, not the milliseconds.**");
    }
    if machine.cores < 4 {
        line!(page, "Four threads were not measured: there are not so many cores.");
    }
}

fn heading(page: &mut String, title: &str, first: &str) {
    line!(page, "\n### {title}\n");
    line!(
        page,
        "| {first} | Stentor, ms | finding alone | naive Rust | Python | inflate alone | Stentor, MB (heap) | naive Rust (heap) | Python |"
    );
    line!(page, "|---|---|---|---|---|---|---|---|---|");
}

fn measured(page: &mut String, first: &str, point: &Point) {
    let (stentor, naive, python) = (&point.stentor, &point.naive, &point.python);
    let memory = |cost: &crate::figures::Cost| match cost.heap_bytes {
        Some(heap) => format!("{:.0} ({:.1})", mb(cost.process_bytes), mb(heap)),
        None => format!("{:.0}", mb(cost.process_bytes)),
    };
    line!(
        page,
        "| {first} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {} | {} | {} |",
        stentor.ms,
        point.stentor_finds.ms,
        naive.ms,
        python.ms,
        point.inflate_ms,
        memory(stentor),
        memory(naive),
        memory(python)
    );
}

fn threads(page: &mut String, figures: &Figures) {
    line!(
        page,
        "\n### Threads\n\n| Stentor, 0.1 % matches | threads | ms | times one thread | heap, MB |\n|---|---|---|---|---|"
    );
    for point in &figures.threads {
        let one = figures.threads.iter().find(|one| one.shape == point.shape).expect("itself at the least");
        let (ms, heap) = (point.ms, mb(point.heap_bytes));
        line!(page, "| {} | {} | {ms:.1} | {:.2} | {heap:.1} |", point.shape, point.threads, one.ms / ms);
    }
}

fn store(page: &mut String, figures: &Figures) {
    line!(page, "\n### What a commit writes\n");
    line!(
        page,
        "| matches | alerts | row, bytes | row, KiB rounded up | index, bytes | index, KiB rounded up | tallies | tally, KiB rounded up | epoch, KiB |"
    );
    line!(page, "|---|---|---|---|---|---|---|---|---|");
    for stored in &figures.store {
        let each = |sum: u64| sum as f64 / stored.alerts as f64;
        line!(
            page,
            "| {} | {} | {:.1} | {:.3} | {:.1} | {:.3} | {} | {:.3} | {} |",
            percent(stored.match_ratio),
            stored.alerts,
            each(stored.row_bytes),
            each(stored.row_kib),
            each(stored.index_bytes),
            each(stored.index_kib),
            stored.tallies,
            stored.tally_kib as f64 / stored.tallies as f64,
            stored.epoch_kib
        );
    }
}

fn bills(page: &mut String, figures: &Figures, prices: &Prices) {
    let assumed = &prices.assumed;
    let full = &figures.matching(RATIOS[0]).invocation;
    line!(page, "\n### A terabyte of logs\n");
    line!(
        page,
        "Prices as of {}, {:?}, {} MB. A full invocation: {} records, {} log events, {} bytes of payload, {} of gzip,\n\
         {} decompressed ({:.2} times); Kinesis counts {} KiB or {} PUT units.\n",
        prices.as_of,
        assumed.architecture,
        assumed.memory_mb,
        full.records,
        full.events,
        full.payload_bytes,
        full.gzip_bytes,
        full.decoded_bytes,
        full.decoded_bytes as f64 / full.gzip_bytes as f64,
        full.kinesis_kib,
        full.put_units
    );
    line!(
        page,
        "| matches | way | billed ms | invocations | GB-seconds | write units, millions | Lambda, $ | DynamoDB requests, $ | rows kept, $ | Kinesis, $ | all, $ |"
    );
    line!(page, "|---|---|---|---|---|---|---|---|---|---|---|");
    for ratio in RATIOS {
        for way in Way::ALL {
            let bill = figures.bill(prices, way, ratio);
            line!(
                page,
                "| {} | {} | {:.0} | {:.0} | {:.0} | {:.3} | {:.3} | {:.2} | {:.2} | {:.2} | {:.2} |",
                percent(ratio),
                way.name(),
                bill.billed_ms,
                bill.invocations,
                bill.gb_seconds,
                bill.write_units / 1e6,
                bill.lambda,
                bill.dynamodb,
                bill.storage,
                bill.kinesis,
                bill.total()
            );
        }
    }
    let point = figures.matching(RATIOS[0]);
    line!(
        page,
        "\nThe same through a provisioned stream: Kinesis ${:.2} instead of ${:.2}.",
        provisioned(prices, point),
        on_demand(prices, point)
    );
    let over = |other: fn(&crate::cost::Bill) -> f64| match takes_over(figures, prices, other) {
        Some(ratio) => format!("at {:.4} % of matches", ratio * 100.0),
        None => "at no ratio".to_owned(),
    };
    line!(
        page,
        "DynamoDB (requests and rows kept) overtakes Lambda {}, and Kinesis {}.",
        over(|bill| bill.lambda),
        over(|bill| bill.kinesis)
    );
}

fn sizes(page: &mut String, figures: &Figures, prices: &Prices) {
    line!(page, "\n### Memory size\n");
    line!(
        page,
        "A full invocation, billed milliseconds and Lambda's dollars for a terabyte; a dash where the process needs more.\n"
    );
    let header: Vec<String> =
        RATIOS.iter().flat_map(|ratio| Way::ALL.map(|way| format!("{} {}", way.name(), percent(*ratio)))).collect();
    line!(page, "| MB | {} |\n|---|{}", header.join(" | "), "---|".repeat(header.len()));
    for memory_mb in SIZES {
        let cell = |(ratio, way): (f64, Way)| {
            let point = figures.matching(ratio);
            let bill = bill(prices, point, figures.stored(ratio), way, memory_mb);
            // The runtime and the clients want something, too.
            match way.process_bytes(point) as f64 * 1.25 > memory_mb * 1024.0 * 1024.0 {
                true => "–".to_owned(),
                false => format!("{:.0} ms, ${:.2}", bill.billed_ms, bill.lambda),
            }
        };
        let cells: Vec<String> = RATIOS.iter().flat_map(|ratio| Way::ALL.map(|way| (*ratio, way))).map(cell).collect();
        line!(page, "| {memory_mb} | {} |", cells.join(" | "));
    }
}

fn batches(page: &mut String, figures: &Figures, prices: &Prices) {
    line!(page, "\n### Batch size\n\n0.1 % matches, Lambda's dollars for a terabyte.\n");
    line!(page, "| MB of logs (payload) | Stentor | naive Rust | Python |\n|---|---|---|---|");
    for point in &figures.logs {
        let stored = figures.stored(point.invocation.match_ratio);
        let cell = |way| format!("{:.2}", bill(prices, point, stored, way, prices.assumed.memory_mb).lambda);
        line!(page, "| {} | {} |", size(point), Way::ALL.map(cell).join(" | "));
    }
}

fn size(point: &Point) -> String {
    format!("{:.2} ({:.2})", mb(point.invocation.decoded_bytes), mb(point.invocation.payload_bytes))
}

fn percent(ratio: f64) -> String {
    format!("{} %", ratio * 100.0)
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
