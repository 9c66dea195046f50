//! `stentor filter` prints the filter pattern for subscription filters.

use clap::Args;
use stentor::config::ContextSize;
use stentor::ops::subscription_filter::{PassesAll, SubscriptionFilter};

use crate::Exit;
use crate::args::Configuration;
use crate::ui::{self, Ui};

/// Print a filter pattern for subscription filters that passes all log events that a route accepts,
/// and as few others as possible
#[derive(Debug, Args)]
#[command(
    after_help = "Example: aws logs put-subscription-filter --log-group-name /aws/lambda/shop --filter-name stentor \\\n           \
                  --destination-arn ARN --filter-pattern \"$(stentor filter --config config/stentor.toml)\""
)]
pub(crate) struct FilterArguments {
    #[command(flatten)]
    configuration: Configuration,
}

pub(crate) fn filter(arguments: &FilterArguments, ui: Ui) -> anyhow::Result<Exit> {
    let config = arguments.configuration.read(ui)?;
    let filter = SubscriptionFilter::of(&config);
    match &filter.passes_all {
        Some(PassesAll::Routes(routes)) => {
            let routes: Vec<&str> = routes.iter().map(|route| route.as_str()).collect();
            let routes = routes.join(", ");
            ui.note(format_args!(
                "the pattern is empty and passes all log events: no text to search for in {routes}"
            ));
        }
        Some(PassesAll::TooLong) => {
            ui.note("the pattern is empty and passes all log events: the texts of the routes do not fit its 1,024 characters");
        }
        None => ui.note(format_args!(
            "CloudWatch drops all other log events: the lines of a stack trace that arrive one by one{}",
            if config.routes.iter().any(|route| route.context != ContextSize::default()) {
                ", and the neighbors that `context` asks for"
            } else {
                ""
            }
        )),
    }
    ui::print(&format!("{}\n", filter.pattern))?;
    Ok(Exit::Done)
}
