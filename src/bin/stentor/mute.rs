//! `stentor mute` and `stentor unmute`: a route keeps quiet for a while. What comes in is stored and counted all the
//! same, and the first message afterwards says how many alerts nobody was told of.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::{DynamoStore, Tables};
use stentor::config;
use stentor::model::name::RouteName;
use stentor::model::text::humanize_duration;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::Store as _;

use crate::Exit;
use crate::args::{Aws, Configuration};
use crate::data_dir::DataDir;

/// Tell nobody of a route for a while; its alerts are stored and counted, and the next message says how many
#[derive(Debug, Args)]
#[command(after_help = "Example: stentor mute billing --for 1h30m")]
pub struct Mute {
    /// Name of the route
    route: RouteName,
    /// For how long: 30m, 1h30m, 2d
    #[arg(long = "for", value_name = "TIME", value_parser = length)]
    length: Duration,
    #[command(flatten)]
    place: Place,
}

/// Tell of a route again
#[derive(Debug, Args)]
#[command(after_help = "Example: stentor unmute billing")]
pub struct Unmute {
    /// Name of the route
    route: RouteName,
    #[command(flatten)]
    place: Place,
}

/// Whose route it is.
#[derive(Debug, Args)]
struct Place {
    #[command(flatten)]
    configuration: Configuration,
    /// Table of what is to be told
    #[arg(long, value_name = "TABLE", env = "OUTBOX_TABLE", hide_env = true, default_value = "Outbox")]
    outbox_table: String,
    /// Instead of a stack: where `stentor run` keeps its database
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    aws: Aws,
}

/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest silence: whoever wants a route to be silent for ever takes it out of the configuration.
const LENGTH_MAX: Duration = Duration::from_hours(24 * 30);

/// Edits between a name that does not exist and the one that was probably meant.
const EDITS_MAX: usize = 3;

pub fn mute(arguments: &Mute) -> anyhow::Result<Exit> {
    let until = SystemClock.now().after(arguments.length);
    set(&arguments.place, &arguments.route, Some(until))?;
    let (route, until, length) = (&arguments.route, until.iso(), humanize_duration(arguments.length));
    crate::print(&format!(
        "{route} is muted until {until} ({length}). What comes in is stored and counted; the first message after says how many.\n"
    ))?;
    Ok(Exit::Done)
}

pub fn unmute(arguments: &Unmute) -> anyhow::Result<Exit> {
    let was_muted = set(&arguments.place, &arguments.route, None)?;
    let before = if was_muted { "is not muted any more" } else { "was not muted" };
    crate::print(&format!("{} {before}.\n", arguments.route))?;
    Ok(Exit::Done)
}

/// Answers whether the route was muted before.
fn set(place: &Place, route: &RouteName, until: Option<Timestamp>) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    runtime.block_on(async {
        match &place.data_dir {
            Some(path) => {
                let (engine, store) = DataDir::open(path)?.start().await?;
                let set = set_in(&store, &place.configuration, route, until).await;
                engine.stop().await?;
                set
            }
            None => {
                let tables = Tables { outbox: place.outbox_table.clone(), ..Tables::default() };
                let store = DynamoStore::new(&place.aws.load().await?, tables, SystemClock, fastrand::Rng::new());
                let set = set_in(&store, &place.configuration, route, until).await;
                set.with_context(|| format!("the table {}", place.outbox_table))
            }
        }
    })
}

async fn set_in(
    store: &DynamoStore,
    configuration: &Configuration,
    route: &RouteName,
    until: Option<Timestamp>,
) -> anyhow::Result<bool> {
    let now = SystemClock.now();
    let deadline = Deadline::after(now, PATIENCE);
    let configured = configuration.read()?.routes.into_iter().map(|route| route.name);
    // A route that is gone from the configuration may still have something to tell.
    let known: BTreeSet<RouteName> = configured.chain(store.routes(deadline).await?).collect();
    if !known.contains(route) {
        bail!("{}", unknown(route, &known));
    }
    let was_muted = store.cursor(route, deadline).await?.is_muted(now);
    store.mute(route, until, deadline).await?;
    Ok(was_muted)
}

fn unknown(route: &RouteName, known: &BTreeSet<RouteName>) -> String {
    let edits = |other: &&RouteName| strsim::osa_distance(route.as_str(), other.as_str());
    match known.iter().min_by_key(edits).filter(|best| edits(best) <= EDITS_MAX) {
        Some(best) => format!("there is no route {route}: is {best} meant?"),
        None => {
            let names: Vec<&str> = known.iter().map(RouteName::as_str).collect();
            format!("there is no route {route}; there are: {}", names.join(", "))
        }
    }
}

/// A span of time as in the configuration, or days.
fn length(text: &str) -> Result<Duration, String> {
    config::duration_with_days(text)
        .filter(|length| !length.is_zero() && *length <= LENGTH_MAX)
        .ok_or_else(|| "a time is a number with m, h or d, such as 1h30m, and at most 30d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_has_a_length_and_an_end() {
        let seconds = |text| length(text).ok().map(|length| length.as_secs());
        let cases = [("1h", 3_600), ("1h30m", 5_400), ("90s", 90), ("2d", 172_800), ("30d", 2_592_000)];
        for (text, expected) in cases {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in ["", "0s", "1", "d", "-1h", "31d", "9999999999999d", "for ever"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn the_nearest_name_is_offered() {
        let known: BTreeSet<RouteName> = ["billing", "critical"].map(|name| name.parse().unwrap()).into();
        let cases = [
            ("critcal", "there is no route critcal: is critical meant?"),
            ("Billing", "there is no route Billing: is billing meant?"),
            ("payments", "there is no route payments; there are: billing, critical"),
        ];
        for (route, expected) in cases {
            assert_eq!(unknown(&route.parse().unwrap(), &known), expected);
        }
    }
}
