//! A burst as a whole: what its message in the channel shows once digests have followed it. The digests themselves
//! are in its thread, so there is no need to repeat their groups here; what began the burst stays in sight.

use serde_json::Value;

use super::block::{Block, Inline, Line, Part};
use super::naming::APPS;
use super::{
    Extent, HEADER_BYTES_MAX, Message, NOTIFICATION_BYTES, epochs, escalated, extent, joined, period_of_burst, place,
    plain, said_by, sign, text, when,
};
use crate::model::digest::Digest;

/// Of the line that the burst is remembered by. It is kept for as long as the burst lasts.
const OPENING: Extent = extent(5, 500);

/// The message in the channel, now that `digest` has been told in its thread. `opening` is what [`opening`] made of
/// the burst's first digest.
pub fn state(digest: &Digest, opening: &[Value]) -> Message {
    let headline = headline(digest);
    let mut blocks = vec![Block::Header(headline.clone()), Block::Text(vec![Part::Lines(facts(digest))])];
    if !opening.is_empty() {
        blocks.push(Block::Divider);
    }
    let end = Block::Context { link: None, text: format!("route {} · {}", digest.route, epochs(digest)) };
    let blocks = blocks.iter().filter_map(Block::json).chain(opening.iter().cloned()).chain(end.json()).collect();
    Message { text: text::escaped(&headline), blocks, unfurl_links: false, unfurl_media: false }
}

/// What a burst is remembered by: how its first digest was called, and one line of it with the way to it.
pub fn opening(digest: &Digest) -> Vec<Value> {
    let Some((pattern, group)) = digest.groups().first().copied() else { return vec![] };
    let title = vec![Inline::plain("First told: "), Inline::Strong(text::name(&digest.title(), HEADER_BYTES_MAX))];
    let period = digest.tally.span.map(when::period).unwrap_or_default();
    let head = joined([title, plain(period), APPS.list(&group.apps)]);
    let excerpt = text::excerpt(said_by(pattern, group), &group.sample.marker, OPENING.lines, OPENING.bytes);
    let delivered = Block::Text(vec![Part::Lines(vec![head]), Part::Sample(excerpt)]);
    [delivered, place(&group.sample, true)].iter().filter_map(Block::json).collect()
}

fn headline(digest: &Digest) -> String {
    text::title(&format!("{} {}", sign(digest, digest.over), digest.burst_title()), HEADER_BYTES_MAX)
}

fn facts(digest: &Digest) -> Vec<Line> {
    let course = digest.burst.map_or_else(Vec::new, |burst| {
        joined([
            plain(period_of_burst(burst)),
            plain(if digest.over { "nothing since" } else { "going on" }.to_owned()),
        ])
    });
    [escalated(digest), course, latest(digest)].into_iter().filter(|line| !line.is_empty()).collect()
}

/// The latest digest in a line, for those who do not open the thread.
fn latest(digest: &Digest) -> Line {
    let Some((pattern, group)) = digest.groups().first().copied() else { return vec![] };
    let said = text::after_marker(said_by(pattern, group), &group.sample.marker, NOTIFICATION_BYTES);
    let title = vec![Inline::plain("Last told: "), Inline::Strong(text::name(&digest.title(), HEADER_BYTES_MAX))];
    let said = vec![Inline::Code(text::name(&said, NOTIFICATION_BYTES))];
    joined([title, said, plain("all of it in the thread".to_owned())])
}
