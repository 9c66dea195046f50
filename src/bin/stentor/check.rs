//! `stentor check`: the configuration as the function would read it, what becomes of a line, and whether what is
//! deployed is what the function relies on.

use std::fmt::Write as _;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};
use stentor::adapters::targets::undeliverable;
use stentor::config::Config;
use stentor::ingest::route::Routes;
use stentor::model::text::humanize_duration;
use stentor::model::visible;
use stentor::ops::check::Finding;
use stentor::ops::explain::{Explanation, Line, explain};

use crate::Exit;
use crate::args::{Aws, Configuration};

/// Check the configuration, explain what becomes of a line, look at what is deployed.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: stentor check --config config/stentor.toml --message '[ALERT] disk 91 % full'\n          \
                        stentor check --config config/stentor.toml --aws --function stentor-consumer"
)]
pub struct Arguments {
    #[command(flatten)]
    configuration: Configuration,
    /// Explain what becomes of this line
    #[arg(long, value_name = "LINE")]
    message: Option<String>,
    /// The log group that the line comes from
    #[arg(long, value_name = "NAME", requires = "message", default_value = "/aws/lambda/example")]
    log_group: String,
    /// The account that the line comes from
    #[arg(long, value_name = "ID", requires = "message", default_value = "123456789012")]
    account: String,
    /// Look at what is deployed; --config is then the file that was deployed
    #[arg(long)]
    aws: bool,
    /// The functions, the consumer first; with --aws
    #[arg(long = "function", value_name = "NAME", value_delimiter = ',', default_value = "stentor-consumer")]
    functions: Vec<String>,
    #[command(flatten)]
    account_and_region: Aws,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub fn check(arguments: &Arguments) -> anyhow::Result<Exit> {
    let config = arguments.configuration.read()?;
    let routes = Routes::new(&config)?;
    if let Some(target) = undeliverable(&config) {
        bail!("the function would not start: there is no channel for {target}");
    }
    let explanation = arguments.message.as_ref().map(|message| explain(&routes, &arguments.line(message)));
    let findings = match arguments.aws {
        true => Some(arguments.inspect(&config)?),
        false => None,
    };
    let bad = findings.iter().flatten().any(|finding| !finding.good);
    if arguments.json {
        crate::print_json(&as_json(&config, explanation.as_ref(), findings.as_deref()))?;
    } else {
        let shown = explanation.as_ref().map_or_else(|| routes_text(&config), explanation_text);
        crate::print(&format!("{shown}{}", findings.as_deref().map_or_else(String::new, findings_text)))?;
    }
    Ok(if bad { Exit::Unfinished } else { Exit::Done })
}

impl Arguments {
    fn line(&self, message: &str) -> Line {
        Line {
            message: message.to_owned(),
            log_group: self.log_group.clone(),
            account: self.account.clone(),
            region: self.account_and_region.region.clone(),
        }
    }

    #[cfg(feature = "aws")]
    fn inspect(&self, config: &Config) -> anyhow::Result<Vec<Finding>> {
        use anyhow::Context as _;
        use stentor::adapters::inspect::{Inspection, inspect};

        let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
        runtime.block_on(async {
            let aws = self.account_and_region.load().await?;
            let wanted = Inspection { functions: self.functions.clone(), ..Inspection::default() };
            let snapshot = inspect(&aws, &wanted).await.map_err(|why| anyhow::anyhow!("{why}"))?;
            Ok(stentor::ops::check::evaluate(&snapshot, config))
        })
    }

    #[cfg(not(feature = "aws"))]
    fn inspect(&self, _config: &Config) -> anyhow::Result<Vec<Finding>> {
        Err(crate::args::needs_aws())
    }
}

fn routes_text(config: &Config) -> String {
    let mut text = String::new();
    for route in &config.routes {
        let (name, markers) = (route.name.to_string(), visible::line(&route.markers.join(" ")));
        let notify = route.notify.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let place = if route.scope.is_everything() { "from anywhere" } else { "from some places" };
        let (window, window_max) = (humanize_duration(route.window), humanize_duration(route.window_max));
        put(&mut text, format_args!("  {name:<16}{markers} {place} to {notify}, every {window} to {window_max}\n"));
    }
    let n = config.routes.len();
    format!("{} the configuration is good: {n} {}\n{text}", mark(true), if n == 1 { "route" } else { "routes" })
}

fn explanation_text(explanation: &Explanation) -> String {
    let mut text = String::new();
    for tried in &explanation.routes {
        put(
            &mut text,
            format_args!("{} route {}: the line {}\n", mark(tried.takes), tried.route, visible::line(&tried.reason)),
        );
    }
    if let (Some(marker), Some(severity)) = (&explanation.marker, explanation.severity) {
        put(&mut text, format_args!("  marker      {}, {severity}\n", visible::line(marker)));
    }
    put(&mut text, format_args!("  shown as    {}\n", visible::line(&explanation.redacted)));
    match &explanation.pattern {
        Some(pattern) => put(&mut text, format_args!("  grouped as  {}\n", visible::line(pattern))),
        None => put(&mut text, format_args!("  nobody is told of it\n")),
    }
    text
}

fn findings_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        put(&mut text, format_args!("{} {}\n", mark(finding.good), visible::line(&finding.what)));
        if let Some(remedy) = &finding.remedy {
            put(&mut text, format_args!("    → {}\n", visible::line(remedy)));
        }
    }
    text
}

fn as_json(config: &Config, explanation: Option<&Explanation>, findings: Option<&[Finding]>) -> Value {
    let routes: Vec<&str> = config.routes.iter().map(|route| route.name.as_str()).collect();
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    json!({"routes": routes, "warnings": warnings, "explanation": explanation, "findings": findings})
}

fn mark(good: bool) -> console::StyledObject<&'static str> {
    match good {
        true => console::style("✓").green(),
        false => console::style("✗").red(),
    }
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("invariant: writing to a String cannot fail");
}
