//! A burst as a whole, for a channel that keeps one message per burst and puts the digests into its
//! thread. The message shows how things stand. The groups are in the thread; only the sample with
//! which the burst began stays in sight.

use super::compose::{Extent, add_links, extent, quote, sample, start};
use super::content::{
    Content, Facts, GroupDetail, HEADLINE_BYTES_MAX, Inline, Line, Status, joined, plain,
    plain_line,
};
use super::facts::{fallback, period_of_burst, related};
use super::naming::APPS;
use super::{text, time};
use crate::model::digest::Digest;

/// The links of the message above the thread, in bytes.
const LINKS_BYTES_MAX: usize = 3_000;

/// The excerpt of the opening. A channel stores it for as long as the burst lasts.
const OPENING: Extent = extent(5, 500);

/// The content of the message above the thread, after `digest` was added to the thread.
pub fn compose(digest: &Digest) -> Content {
    let status = if digest.ends_burst { Status::Quiet } else { Status::Alerting(digest.severity) };
    let facts = Facts {
        fallback: fallback(digest),
        burst: so_far(digest),
        related: related(digest),
        latest: latest(digest),
        ..Facts::default()
    };
    let mut content = start(digest, status, &digest.burst_title(), facts);
    let bytes = |content: &Content| content.all_links().map(|link| link.url.len()).sum::<usize>();
    add_links(&mut content, digest, |content| bytes(content) <= LINKS_BYTES_MAX);
    content
}

/// What began the burst: the title of its first digest, and the sample of the largest group. `None`
/// without alerts.
pub fn opening(digest: &Digest) -> Option<GroupDetail> {
    let (pattern, group) = digest.groups().first().copied()?;
    let title = vec![
        plain("First message: "),
        Inline::Strong(text::name(&digest.title(), HEADLINE_BYTES_MAX)),
    ];
    let period = digest.tally.span.map(time::period).unwrap_or_default();
    let summary = joined([title, plain_line(period), APPS.list(&group.apps)]);
    Some(sample(pattern, group, summary, OPENING, true))
}

fn so_far(digest: &Digest) -> Line {
    let Some(burst) = digest.burst else { return vec![] };
    let state = if digest.ends_burst { "nothing since" } else { "going on" };
    joined([plain_line(period_of_burst(burst)), plain_line(state)])
}

/// The latest digest, for readers who do not open the thread.
fn latest(digest: &Digest) -> Line {
    let Some((pattern, group)) = digest.groups().first().copied() else { return vec![] };
    let title = vec![
        plain("Last message: "),
        Inline::Strong(text::name(&digest.title(), HEADLINE_BYTES_MAX)),
    ];
    joined([
        title,
        vec![Inline::Code(quote(pattern, group))],
        plain_line("all of it in the thread"),
    ])
}
