//! `stentor check` reads the configuration as the function does, explains what happens to a line,
//! and compares what is deployed with what the function relies on.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use stentor::adapters::clock::SystemClock;
use stentor::config::{Conditions, Config, Route};
use stentor::ingest::logs::{LogBatch, LogEvent};
use stentor::ingest::route::{Routes, is_searchable};
use stentor::model::app::AppSource;
use stentor::model::humanize::{count, humanize_duration, thousands};
use stentor::model::name::Severity;
use stentor::model::threshold::ThresholdKey;
use stentor::ops::check::Finding;
use stentor::ops::explain::{Explanation, LogLine, RouteMatch, explain};
use stentor::ops::shares::{LineShare, LogShares, ShareCounter};
use stentor::protocol::clock::Clock as _;

use crate::args::{Aws, Configuration, account};
use crate::log_reader::{LogReader, ReadLine};
use crate::ui::{self, TextReport, Ui, percent};
use crate::{Exit, json};

const EXAMPLES: &str = if cfg!(feature = "aws") {
    "Examples: stentor check --config config/stentor.toml --message '[ALERT] disk 91 % full'\n          \
                        stentor check --config config/stentor.toml --stack stentor"
} else {
    "Example: stentor check --config config/stentor.toml --message '[ALERT] disk 91 % full'"
};

/// Check the configuration, explain what happens to a line, inspect a deployed stack
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    configuration: Configuration,
    /// Explain what happens to this line
    #[arg(long, value_name = "LINE", allow_hyphen_values = true)]
    message: Option<String>,
    /// Show which share of these log files each route takes; - reads standard input
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "message")]
    file: Vec<PathBuf>,
    /// Log group of the line, or of the lines of a file that names none
    #[arg(long, value_name = "NAME", default_value = "/aws/lambda/example")]
    log_group: String,
    /// Log stream of the line
    #[arg(long, value_name = "NAME", default_value = "")]
    log_stream: String,
    /// Account of the line
    #[arg(long, value_name = "ID", default_value = "123456789012", value_parser = account)]
    account: String,
    /// Inspect the deployed stack; pass the deployed configuration with --config
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(long)]
    aws: bool,
    /// Inspect the functions of this stack
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(long, value_name = "NAME", conflicts_with = "functions")]
    stack: Option<String>,
    /// Names of the functions for --aws, the consumer first
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(
        long = "function",
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "stentor-consumer"
    )]
    functions: Vec<String>,
    #[command(flatten)]
    account_and_region: Aws,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) async fn check(arguments: &CheckArguments, ui: Ui) -> anyhow::Result<Exit> {
    let config = arguments.configuration.read(ui)?;
    let routes = Routes::new(&config)?;
    let explanation =
        arguments.message.as_ref().map(|message| explain(&routes, &arguments.line(message)));
    let (shares, read) = match arguments.file.is_empty() {
        true => (None, Exit::Done),
        false => {
            let (shares, read) = arguments.shares(&routes).await?;
            (Some(shares), read)
        }
    };
    let findings = if arguments.aws || arguments.stack.is_some() {
        Some(arguments.inspect(&config).await?)
    } else {
        None
    };
    if arguments.json {
        let report = json_report(&config, explanation.as_ref(), shares.as_ref());
        ui::print_json(&report.with_findings(findings.as_deref()))?;
    } else {
        let mut text = TextReport::new();
        match (&explanation, &shares) {
            (Some(explanation), _) => explain_line(&mut text, explanation, &routes),
            (None, Some(shares)) => list_shares(&mut text, shares),
            (None, None) => list_routes(&mut text, &config),
        }
        list_findings(&mut text, findings.as_deref().unwrap_or_default());
        ui::print(&text.into_text())?;
    }
    let is_good = findings.iter().flatten().all(|finding| finding.good);
    Ok(if is_good { read } else { Exit::Unfinished })
}

impl CheckArguments {
    /// The lines of the files, by route.
    async fn shares(&self, routes: &Routes) -> anyhow::Result<(LogShares, Exit)> {
        let decoded_bytes_max = routes.config().decoded_bytes_max;
        let reader = LogReader { decoded_bytes_max, now: SystemClock.now() };
        let head = LogBatch {
            owner: self.account.as_str().into(),
            log_group: self.log_group.as_str().into(),
            log_stream: self.log_stream.as_str().into(),
            ..LogBatch::default()
        };
        let mut counter = ShareCounter::new(routes);
        let region = self.account_and_region.region.as_deref();
        let count = |line: ReadLine<'_>| {
            let event = LogEvent {
                id: "".into(),
                timestamp: 0,
                message: line.text.into(),
                account: line.origin.and_then(|origin| origin.account).map(Into::into),
                region: line.origin.and_then(|origin| origin.region).map(Into::into),
            };
            counter.add(&event, line.origin.map_or(&head, |origin| origin.head), region);
            Ok(())
        };
        let exit = reader.each_line(&self.file, count).await?;
        Ok((counter.finish(), exit))
    }

    fn line(&self, message: &str) -> LogLine {
        LogLine {
            message: message.to_owned(),
            log_group: self.log_group.clone(),
            log_stream: self.log_stream.clone(),
            account: self.account.clone(),
            region: self.account_and_region.region.clone(),
        }
    }

    #[cfg(feature = "aws")]
    async fn inspect(&self, config: &Config) -> anyhow::Result<Vec<Finding>> {
        use stentor::adapters::inspect::{Inspection, inspect};
        use stentor::adapters::stack::functions;

        let aws = self.account_and_region.load().await?;
        let inspection = Inspection {
            functions: match &self.stack {
                Some(stack) => functions(stack).to_vec(),
                None => self.functions.clone(),
            },
            targets: config.targets.keys().cloned().collect(),
            ..Inspection::default()
        };
        let snapshot =
            inspect(&aws, &inspection).await.map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(stentor::ops::check::evaluate(&snapshot))
    }

    #[cfg(not(feature = "aws"))]
    #[expect(clippy::unused_async, reason = "it is async with the clients")]
    async fn inspect(&self, _config: &Config) -> anyhow::Result<Vec<Finding>> {
        Err(crate::args::needs_aws())
    }
}

fn list_routes(text: &mut TextReport, config: &Config) {
    let routes = count(config.routes.len() as u64, "route", "routes");
    text.check(true, format_args!("the configuration is valid: {routes}"));
    let rows = config.routes.iter().map(|route| {
        [
            route.name.to_string(),
            conditions(route),
            if route.conditions.is_everywhere() { "everywhere" } else { "some sources" }.to_owned(),
            route.notify.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            format!(
                "{} to {}",
                humanize_duration(route.window),
                humanize_duration(route.window_max)
            ),
        ]
    });
    text.table(["route", "conditions", "from", "notify", "window"], &[], rows);
    for route in &config.routes {
        if let Some(held) = held(route) {
            text.line(1, format_args!("{} {held}", route.name));
        }
    }
    let unsearchable = unsearchable_routes(config);
    if !unsearchable.is_empty() {
        let unsearchable = unsearchable.join(", ");
        text.line(
            1,
            format_args!(
                "no text to search for: {unsearchable}; so every log event is parsed, which"
            ),
        );
        text.line(2, "takes three times the time or more: see docs/conditions.md");
    }
    let conditions = config.routes.iter().flat_map(|route| {
        std::iter::once(&route.conditions).chain(&route.except).map(|conditions| &conditions.scope)
    });
    let mut scopes = conditions.chain(config.apps.iter().map(|app| &app.scope));
    if scopes.any(|scope| !scope.regions.is_empty()) {
        text.line(1, "regions: the Region of the stream or function that gets a log event, unless");
        text.line(2, "its subscription emits system fields: see docs/deploy.md, Regions, or set");
        text.line(2, "--emit-system-fields @aws.account @aws.region in put-subscription-filter");
    }
    if !config.apps.is_empty() {
        let apps: BTreeSet<&str> = config.apps.iter().map(|app| app.name.as_str()).collect();
        text.line(1, format_args!("apps that [[app]] names: {}", Vec::from_iter(apps).join(", ")));
    }
    let rules: Vec<&str> = config.redactor.custom().collect();
    if !rules.is_empty() {
        text.line(1, format_args!("redaction rules of your own: {}", rules.join(", ")));
    }
    let disabled = config.redactor.disabled();
    if !disabled.is_empty() {
        let disabled = disabled.join(", ");
        text.line(1, format_args!("disabled redaction rules: {disabled}; their secrets are shown"));
    }
}

/// Why a route delivers nothing, only from some number of alerts on, or only news at once.
fn held(route: &Route) -> Option<String> {
    if route.stage {
        return Some(
            "is staged: its alerts are stored and counted, and no target gets them".to_owned(),
        );
    }
    if let Some(kinds) = &route.speak_on {
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.into()).collect();
        let (kinds, digest) = (kinds.join(", "), humanize_duration(route.window_max));
        return Some(format!("sends at once only news ({kinds}), and all else every {digest}"));
    }
    let threshold = route.at_least?;
    let per = match threshold.per {
        ThresholdKey::Route => "",
        ThresholdKey::Pattern => " of one pattern",
        ThresholdKey::App => " of one app",
    };
    Some(format!("sends no message below {threshold}{per}; its alerts are held until then"))
}

/// The lines that each route takes, and why it does not take the others.
fn list_shares(text: &mut TextReport, shares: &LogShares) {
    let of = |share: &LineShare| {
        let all = count(shares.lines, "line", "lines");
        match share.lines {
            0 => format!("none of {all}"),
            n => format!("{} of {all} ({})", thousands(n), percent(n, shares.lines)),
        }
    };
    for share in &shares.routes {
        let accepted = &share.accepted;
        text.check(accepted.lines > 0, format_args!("route {}: {}", share.route, of(accepted)));
        for example in &accepted.examples {
            text.line(2, format_args!("e.g. {example}"));
        }
        let others = share.others.iter();
        let others = others.map(|(why, lines)| format!("{} {}", thousands(*lines), why.summary()));
        let others = others.collect::<Vec<_>>().join(" · ");
        if !others.is_empty() {
            text.line(2, format_args!("others: {others}"));
        }
    }
    match shares.unmatched.lines {
        0 => text.heading("each line is taken by a route"),
        _ => text.heading(format_args!("no route takes {}", of(&shares.unmatched))),
    }
    for example in &shares.unmatched.examples {
        text.line(2, format_args!("e.g. {example}"));
    }
}

/// The markers of a route, and the kinds of its other conditions.
fn conditions(route: &Route) -> String {
    let Conditions { markers, patterns, fields, regexes, .. } = &route.conditions;
    let mut conditions = markers.clone();
    let kinds = [
        (!patterns.is_empty(), "pattern".to_owned()),
        (!fields.is_empty(), {
            let paths: Vec<&str> = fields.iter().map(|field| field.path.as_str()).collect();
            format!("fields {}", paths.join(", "))
        }),
        (!regexes.is_empty(), "regex".to_owned()),
        (!route.except.is_empty(), "except".to_owned()),
    ];
    conditions.extend(kinds.into_iter().filter(|(is_given, _)| *is_given).map(|(_, kind)| kind));
    conditions.join(" ")
}

/// The routes without a text to search for. In strict mode every log event is parsed anyway.
fn unsearchable_routes(config: &Config) -> Vec<&str> {
    let routes = config.routes.iter().filter(|route| !config.strict && !is_searchable(route));
    routes.map(|route| route.name.as_str()).collect()
}

fn explain_line(text: &mut TextReport, explanation: &Explanation, routes: &Routes) {
    for tried in &explanation.routes {
        text.check(
            tried.result.is_accepted(),
            format_args!("route {}: the line {}", tried.route, tried.reason()),
        );
        let held = routes.get(&tried.route).and_then(held);
        if let Some(held) = held.filter(|_| tried.result.is_accepted()) {
            text.line(2, format_args!("the route {held}"));
        }
    }
    if let Some(marker) = &explanation.marker {
        text.entry("marker", format_args!("{marker}, {}", severities(&explanation.routes)));
    }
    let source = match explanation.app_source {
        AppSource::Configuration => "named by the configuration",
        AppSource::LogStream => "from the name of the log stream",
        AppSource::Message => "from the metadata in the message",
        AppSource::LogGroup => "from the name of the log group",
    };
    text.entry("app", format_args!("{}, {source}", explanation.app));
    text.entry("shown as", &explanation.redacted);
    if !explanation.redacted_by.is_empty() {
        text.entry("redacted by", explanation.redacted_by.join(", "));
    }
    match &explanation.pattern {
        Some(pattern) => text.entry("grouped as", pattern),
        None => text.line(1, "no route accepts it: it is not an alert"),
    }
}

/// The severity on the routes that accept a line: `critical`, or `info on audit, critical on checkout`.
fn severities(routes: &[RouteMatch]) -> String {
    let accepting = routes.iter().filter_map(|tried| Some((&tried.route, tried.severity?)));
    let severities: BTreeSet<Severity> = accepting.clone().map(|(_, severity)| severity).collect();
    match Vec::from_iter(severities)[..] {
        [only] => only.to_string(),
        _ => {
            let on_route = accepting.map(|(route, severity)| format!("{severity} on {route}"));
            on_route.collect::<Vec<_>>().join(", ")
        }
    }
}

fn list_findings(text: &mut TextReport, findings: &[Finding]) {
    for finding in findings {
        text.check(finding.good, &finding.text);
        if let Some(remedy) = &finding.remedy {
            text.line(2, format_args!("→ {remedy}"));
        }
    }
}

fn json_report<'a>(
    config: &'a Config,
    explanation: Option<&'a Explanation>,
    shares: Option<&'a LogShares>,
) -> json::CheckReport<'a> {
    let warnings = config.warnings.iter().map(|warning| json::Warning {
        line: warning.line,
        column: warning.column,
        message: &warning.message,
    });
    let staged = config.routes.iter().filter(|route| route.stage);
    json::CheckReport {
        version: json::VERSION,
        routes: config.routes.iter().map(|route| route.name.as_str()).collect(),
        unsearchable: unsearchable_routes(config),
        apps: config.apps.iter().map(|app| app.name.as_str()).collect(),
        warnings: warnings.collect(),
        redaction: json::Redaction {
            rules: config.redactor.custom().collect(),
            disabled: config.redactor.disabled(),
        },
        staged: staged.map(|route| route.name.as_str()).collect(),
        explanation: explanation.map(Into::into),
        shares: shares.map(Into::into),
        findings: None,
    }
}
