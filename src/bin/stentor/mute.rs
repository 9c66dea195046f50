//! `stentor mute` and `stentor unmute`. The alerts of a muted route are stored and counted but not
//! delivered, and the first message afterwards says how many there were.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::config;
use stentor::model::humanize::humanize_duration;
use stentor::model::name::RouteName;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::Store;

use crate::Exit;
use crate::args::{Configuration, explain_store_error};
use crate::outbox_options::{OutboxOptions, STORE_TIMEOUT};
use crate::ui::{self, Ui};

const MUTE_EXAMPLE: &str = if cfg!(feature = "aws") {
    "Example: stentor mute billing --for 1h30m --stack stentor"
} else {
    "Example: stentor mute billing --for 1h30m --data-dir .stentor"
};

const UNMUTE_EXAMPLE: &str = if cfg!(feature = "aws") {
    "Example: stentor unmute billing --stack stentor"
} else {
    "Example: stentor unmute billing --data-dir .stentor"
};

/// Mute a route for some time; its alerts are stored and counted, but not delivered
#[derive(Debug, Args)]
#[command(after_help = MUTE_EXAMPLE)]
pub(crate) struct Mute {
    /// Name of the route
    route: RouteName,
    /// How long: 30m, 1h30m, 2d; at most 30d
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Duration,
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    outbox: OutboxOptions,
}

/// Deliver the alerts of a muted route again
#[derive(Debug, Args)]
#[command(after_help = UNMUTE_EXAMPLE)]
pub(crate) struct Unmute {
    /// Name of the route
    route: RouteName,
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    outbox: OutboxOptions,
}

/// A route that should be quiet for longer does not belong in the configuration.
const DURATION_MAX: Duration = Duration::from_hours(24 * 30);

/// A name with more edits than this is not suggested.
const EDITS_MAX: usize = 3;

pub(crate) async fn mute(arguments: &Mute, ui: Ui) -> anyhow::Result<Exit> {
    let until = SystemClock.now().after(arguments.duration);
    let Mute { route, configuration, outbox, .. } = arguments;
    outbox
        .with_database(async |store| set_mute(store, configuration, route, Some(until), ui).await)
        .await?;
    let (until, duration) = (until.iso(), humanize_duration(arguments.duration));
    ui::print(&format!(
        "{route} is muted until {until} ({duration}). Its alerts are stored and counted; the next message says how many.\n"
    ))?;
    Ok(Exit::Done)
}

pub(crate) async fn unmute(arguments: &Unmute, ui: Ui) -> anyhow::Result<Exit> {
    let Unmute { route, configuration, outbox } = arguments;
    let was_muted = outbox
        .with_database(async |store| set_mute(store, configuration, route, None, ui).await)
        .await?;
    let change = if was_muted { "is no longer muted" } else { "was not muted" };
    ui::print(&format!("{} {change}.\n", arguments.route))?;
    Ok(Exit::Done)
}

/// Routes of a report that deliver nothing, or less than they have.
#[derive(Debug, Default)]
pub(crate) struct QuietRoutes {
    /// The muted ones, and until when.
    pub muted: Vec<(RouteName, Timestamp)>,
    pub held: Vec<HeldRoute>,
}

/// A route whose alerts wait for its threshold.
#[derive(Clone, Debug)]
pub(crate) struct HeldRoute {
    pub route: RouteName,
    pub alerts: u64,
    /// Those before them that did not reach it.
    pub before: u64,
}

/// The quiet routes among these. For a report, so a route whose state cannot be read is left out.
pub(crate) async fn quiet<S: Store>(
    store: &S,
    routes: impl IntoIterator<Item = &RouteName>,
    deadline: Deadline,
) -> QuietRoutes {
    let now = SystemClock.now();
    let mut quiet = QuietRoutes::default();
    for route in routes {
        match store.cursor(route, deadline).await {
            Ok(cursor) => {
                let until = cursor.muted_until.filter(|_| cursor.is_muted(now));
                quiet.muted.extend(until.map(|until| (route.clone(), until)));
                let (alerts, before) = cursor.holding.alerts();
                if alerts > 0 || before > 0 {
                    quiet.held.push(HeldRoute { route: route.clone(), alerts, before });
                }
            }
            Err(error) => {
                tracing::debug!(route = %route, "Cannot tell what is muted or held of {route}: {error}")
            }
        }
    }
    quiet
}

async fn set_mute(
    store: &Database,
    configuration: &Configuration,
    route: &RouteName,
    until: Option<Timestamp>,
    ui: Ui,
) -> anyhow::Result<bool> {
    let now = SystemClock.now();
    let deadline = Deadline::after(now, STORE_TIMEOUT);
    let configured = configuration.read(ui)?.routes.into_iter().map(|route| route.name);
    // A route that the configuration has lost may still have alerts to deliver.
    let explain = |error| explain_store_error(&error, &store.outbox_place());
    let known: BTreeSet<RouteName> =
        configured.chain(store.routes(deadline).await.map_err(explain)?).collect();
    if !known.contains(route) {
        return Err(unknown_route(route, &known));
    }
    let was_muted = store.cursor(route, deadline).await.map_err(explain)?.is_muted(now);
    store.mute(route, until, deadline).await.map_err(explain)?;
    Ok(was_muted)
}

fn unknown_route(route: &RouteName, known: &BTreeSet<RouteName>) -> anyhow::Error {
    let edits = |other: &&RouteName| strsim::osa_distance(route.as_str(), other.as_str());
    match known.iter().min_by_key(edits).filter(|closest| edits(closest) <= EDITS_MAX) {
        Some(closest) => anyhow!("no route `{route}`; did you mean `{closest}`?"),
        None => {
            let names: Vec<&str> = known.iter().map(RouteName::as_str).collect();
            anyhow!("no route `{route}`; the routes are {}", names.join(", "))
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    config::duration_with_days(text)
        .filter(|duration| !duration.is_zero() && *duration <= DURATION_MAX)
        .ok_or_else(|| "expected a duration such as 30m, 1h30m or 2d, at most 30d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mute_lasts_up_to_thirty_days() {
        let seconds = |text| duration(text).ok().map(|duration| duration.as_secs());
        let cases =
            [("1h", 3_600), ("1h30m", 5_400), ("90s", 90), ("2d", 172_800), ("30d", 2_592_000)];
        for (text, expected) in cases {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in ["", "0s", "1", "d", "-1h", "31d", "9999999999999d", "forever"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn the_closest_name_is_suggested() {
        let known: BTreeSet<RouteName> =
            ["billing", "critical"].map(|name| name.parse().unwrap()).into();
        let cases = [
            ("critcal", "no route `critcal`; did you mean `critical`?"),
            ("Billing", "no route `Billing`; did you mean `billing`?"),
            ("payments", "no route `payments`; the routes are billing, critical"),
        ];
        for (route, expected) in cases {
            assert_eq!(unknown_route(&route.parse().unwrap(), &known).to_string(), expected);
        }
    }
}
