//! `stentor mark`: names a moment, such as a deployment. The messages of the next day say how long before
//! their alerts it was.

use anyhow::bail;
use clap::Args;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::config::Config;
use stentor::model::history::{MARK_BYTES_MAX, MARK_RECENT, Mark};
use stentor::model::time::Timestamp;
use stentor::model::visible::is_invisible;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::Store as _;

use crate::Exit;
use crate::args::{explain_store_error, point_in_time};
use crate::outbox_options::{OutboxOptions, STORE_TIMEOUT};
use crate::ui;

const EXAMPLE: &str = if cfg!(feature = "aws") {
    "Example: stentor mark 'deploy v42' --stack stentor"
} else {
    "Example: stentor mark 'deploy v42' --data-dir .stentor"
};

/// Name a moment, such as a deployment, for the messages of the next day
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct MarkArguments {
    /// What happened, at most 100 bytes: 'deploy v42'
    text: String,
    /// When it happened, if not now: 10m (ago), 2026-11-23T14:00:00Z
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    at: Option<Timestamp>,
    #[command(flatten)]
    outbox: OutboxOptions,
}

pub(crate) async fn mark(arguments: &MarkArguments) -> anyhow::Result<Exit> {
    let text = arguments.text.trim();
    if text.is_empty() || text.len() > MARK_BYTES_MAX || text.contains(is_invisible) {
        bail!(
            "a mark is a text of 1 to {MARK_BYTES_MAX} bytes, without tabs, line breaks and invisible characters"
        );
    }
    let now = SystemClock.now();
    let at = arguments.at.unwrap_or(now);
    if at > now {
        bail!("--at {} is in the future", at.iso());
    }
    if at < now.before(MARK_RECENT) {
        bail!(
            "--at {} is more than a day ago, and messages name only the marks of the day before their alerts",
            at.iso()
        );
    }
    // Messages show it.
    let text = Config::builtin().redactor.redact(text).into_owned();
    let mark = Mark { at, text };
    arguments
        .outbox
        .with_database(async |store: &Database| {
            let marked = store.mark(&mark, Deadline::after(now, STORE_TIMEOUT)).await;
            marked.map_err(|error| explain_store_error(&error, &store.outbox_place()))
        })
        .await?;
    ui::print(&format!(
        "Marked {} as \"{}\". Messages about the next 24 hours refer to it.\n",
        at.iso(),
        mark.text
    ))?;
    Ok(Exit::Done)
}
