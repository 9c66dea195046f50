//! `stentor check` reads the configuration as the function does, explains what happens to a line,
//! and compares what is deployed with what the function relies on.

use std::collections::BTreeSet;

use clap::Args;
use stentor::config::{Conditions, Config, Route};
use stentor::ingest::route::{Routes, is_searchable};
use stentor::model::app::AppSource;
use stentor::model::humanize::{count, humanize_duration};
use stentor::ops::check::Finding;
use stentor::ops::explain::{Explanation, LogLine, explain};

use crate::args::{Aws, Configuration, account};
use crate::ui::{self, TextReport, Ui};
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
    /// Log group of the line
    #[arg(long, value_name = "NAME", requires = "message", default_value = "/aws/lambda/example")]
    log_group: String,
    /// Log stream of the line
    #[arg(long, value_name = "NAME", requires = "message", default_value = "")]
    log_stream: String,
    /// Account of the line
    #[arg(long, value_name = "ID", requires = "message", default_value = "123456789012", value_parser = account)]
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
    let findings = if arguments.aws || arguments.stack.is_some() {
        Some(arguments.inspect(&config).await?)
    } else {
        None
    };
    if arguments.json {
        ui::print_json(&json_report(&config, explanation.as_ref(), findings.as_deref()))?;
    } else {
        let mut text = TextReport::new();
        match &explanation {
            Some(explanation) => explain_line(&mut text, explanation),
            None => list_routes(&mut text, &config),
        }
        list_findings(&mut text, findings.as_deref().unwrap_or_default());
        ui::print(&text.into_text())?;
    }
    let is_good = findings.iter().flatten().all(|finding| finding.good);
    Ok(if is_good { Exit::Done } else { Exit::Unfinished })
}

impl CheckArguments {
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

fn explain_line(text: &mut TextReport, explanation: &Explanation) {
    for tried in &explanation.routes {
        text.check(
            tried.result.is_accepted(),
            format_args!("route {}: the line {}", tried.route, tried.reason()),
        );
    }
    if let (Some(marker), Some(severity)) = (&explanation.marker, explanation.severity) {
        text.entry("marker", format_args!("{marker}, {severity}"));
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
    findings: Option<&'a [Finding]>,
) -> json::CheckReport<'a> {
    let warnings = config.warnings.iter().map(|warning| json::Warning {
        line: warning.line,
        column: warning.column,
        message: &warning.message,
    });
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
        explanation: explanation.map(Into::into),
        findings: findings.map(|findings| findings.iter().map(Into::into).collect()),
    }
}
