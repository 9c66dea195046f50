//! Digest → Slack message: what is said, in which order, and how much of it fits. The shape of Block Kit is in `block`,
//! the wording in `text`, `naming` and `when`; sending is left to the parent module.
//!
//! The message is for somebody whom it woke: what and how many (header), where and since when (facts), then the groups of
//! similar lines, the largest first, each with one real line and the way to it. Whatever does not fit is counted at the
//! end, so that the numbers always add up to the one in the header (`tests::printed_numbers_add_up`).

use serde::Serialize;
use serde_json::{Value, json};

use crate::model::digest::{Backlog, Digest};
use crate::model::name::Severity;
use crate::model::outbox::Burst;
use crate::model::tally::{Group, Histogram, Sample, Span};
use crate::model::text::{count_alerts, humanize_duration, thousands};

pub mod block;
mod naming;
mod state;
mod text;
mod when;

use block::{Block, Inline, Line, Link, Part};
use naming::{ACCOUNTS, APPS, LOG_GROUPS, NAME_BYTES_MAX};
pub use state::{opening, state};

#[cfg(test)]
mod tests;

/// The weight of a whole message (see [`Block::weight`]). Slack refuses more than some 12,000 characters
/// (`msg_blocks_too_long`, undocumented); the distance pays for what else it may count.
const MESSAGE_WEIGHT_MAX: usize = 9_000;
/// Kept free for what follows the groups.
const END_WEIGHT: usize = 400;

const HEADER_BYTES_MAX: usize = 150;
/// Slack takes 3,000 characters; in a context block the link is a text, for which 2,000 is the safe limit.
const URL_BYTES_MAX: usize = 1_900;
const NOTIFICATION_BYTES: usize = 160;
/// SNS takes fewer than 100 characters of ASCII, none of which controls anything.
const SUBJECT_BYTES_MAX: usize = 99;
/// Of why a fallback is told; channels keep their reasons shorter.
const REASON_BYTES_MAX: usize = 400;

/// Lines and bytes of the sample that the first groups are shown with.
const SAMPLES: [Extent; 5] = [extent(8, 900), extent(5, 500), extent(3, 300), extent(2, 240), extent(2, 240)];
/// So many more groups get one line each. Nobody reads further at night.
const ONE_LINERS_MAX: usize = 8;
const ONE_LINER_BYTES: usize = 100;

#[derive(Copy, Clone)]
struct Extent {
    lines: usize,
    bytes: usize,
}

const fn extent(lines: usize, bytes: usize) -> Extent {
    Extent { lines, bytes }
}

/// What is posted: the body for an incoming webhook and, with a `channel`, for `chat.postMessage`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// One line of mrkdwn: the notification, and what is shown where blocks cannot be.
    pub text: String,
    pub blocks: Vec<Value>,
    // A console link leads to a sign-in page, of which nobody needs a preview.
    unfurl_links: bool,
    unfurl_media: bool,
}

/// The message for `digest`. Total: any digest gives a message that keeps within Slack's limits.
pub fn render(digest: &Digest) -> Message {
    let blocks = compose(digest).iter().filter_map(Block::json).collect();
    Message { text: notification(digest), blocks, unfurl_links: false, unfurl_media: false }
}

impl Message {
    /// The message in Slack's Block Kit Builder. All of it is in the fragment, which a browser keeps to itself.
    pub fn preview_url(&self) -> String {
        let payload = json!({"blocks": self.blocks}).to_string();
        format!("https://app.slack.com/block-kit-builder/#{}", text::percent_encoded(&payload))
    }
}

/// The blocks before they are JSON; a terminal shows the same ones.
pub fn compose(digest: &Digest) -> Vec<Block> {
    let facts = Block::Text(vec![Part::Lines(facts(digest))]);
    let mut blocks = vec![Block::Header(headline(digest)), facts];
    if !digest.tally.is_empty() {
        blocks.push(Block::Divider);
    }
    let top: usize = blocks.iter().map(Block::weight).sum();
    let room = Room { weight: MESSAGE_WEIGHT_MAX.saturating_sub(notification(digest).len() + top + END_WEIGHT) };
    blocks.extend(groups(digest, room));
    blocks.push(Block::Context { link: None, text: format!("route {} · {}", digest.route, epochs(digest)) });
    blocks
}

/// For a lock screen: how bad, what, how many, and how the most frequent line starts.
fn notification(digest: &Digest) -> String {
    let headline = match digest.escalated {
        Some(_) => format!("⚠️ Fallback · {}", headline(digest)),
        None => headline(digest),
    };
    let Some((pattern, group)) = digest.groups().first().copied() else { return text::escaped(&headline) };
    let said = text::after_marker(said_by(pattern, group), &group.sample.marker, NOTIFICATION_BYTES);
    let said = text::name(&said, NOTIFICATION_BYTES);
    text::escaped(&match &*group.sample.app_name {
        "" => format!("{headline}: {said}"),
        app => format!("{headline} · {}: {said}", text::name(app, NAME_BYTES_MAX)),
    })
}

fn headline(digest: &Digest) -> String {
    text::title(&format!("{} {}", sign(digest, digest.tally.is_empty()), digest.title()), HEADER_BYTES_MAX)
}

/// The headline where only ASCII may stand, in fewer than 100 characters: the subject of a mail.
pub fn subject(digest: &Digest) -> String {
    let fallback = if digest.escalated.is_some() { "Fallback: " } else { "" };
    let title = text::title(&format!("{fallback}{}", digest.title()), SUBJECT_BYTES_MAX).replace('…', "...");
    title.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

fn sign(digest: &Digest, is_quiet: bool) -> &'static str {
    match digest.severity {
        _ if is_quiet => "✅",
        Severity::Critical => "🔴",
        Severity::Error => "🟠",
        Severity::Warning => "🟡",
        Severity::Info => "🔵",
    }
}

fn facts(digest: &Digest) -> Vec<Line> {
    let lines = [
        escalated(digest),
        scope(digest),
        digest.tally.span.map_or_else(Vec::new, period),
        course(&digest.tally.histogram),
        digest.burst.map_or_else(Vec::new, |burst| course_of_burst(digest, burst)),
        digest.backlog.map_or_else(Vec::new, |backlog| paused(digest, backlog)),
        muted(digest.muted),
    ];
    lines.into_iter().filter(|line| !line.is_empty()).collect()
}

/// Why a fallback is told: before anything else, because whoever reads it may never have heard of the route.
fn escalated(digest: &Digest) -> Line {
    let Some(because) = &digest.escalated else { return vec![] };
    vec![Inline::Strong(format!(
        "⚠️ Sent to {} as the fallback: {}",
        digest.target,
        text::name(because, REASON_BYTES_MAX)
    ))]
}

/// How many kinds of lines, from where.
fn scope(digest: &Digest) -> Line {
    let tally = &digest.tally;
    let (accounts, log_groups) = match is_one_group(digest) {
        true => (ACCOUNTS.list_several(&tally.accounts), LOG_GROUPS.list_several(&tally.log_groups)),
        false => (ACCOUNTS.list(&tally.accounts), LOG_GROUPS.list(&tally.log_groups)),
    };
    let patterns = match (tally.groups.len(), tally.other) {
        (0, 0) => String::new(),
        (1, 0) if tally.alerts == 1 => String::new(),
        (1, 0) => "1 pattern".to_owned(),
        (n, 0) => format!("{n} patterns"),
        (n, _) => format!("{}+ patterns", n + 1),
    };
    joined([plain(patterns), accounts, log_groups, APPS.list(&tally.apps)])
}

fn period(span: Span) -> Line {
    let mut period = plain(when::period(span));
    period.extend(when::local(span.first));
    period
}

/// How the alerts came in over time.
fn course(histogram: &Histogram) -> Line {
    let (peak, width) = histogram.peak();
    // A row of ordinary blanks could be shown as one.
    let bars = histogram.sparkline().replace(' ', "\u{a0}");
    if bars.is_empty() {
        return vec![];
    }
    vec![Inline::Code(bars), Inline::plain(format!(" peak {} in {}", thousands(peak), humanize_duration(width)))]
}

fn course_of_burst(digest: &Digest, burst: Burst) -> Line {
    let Some(span) = digest.tally.span else {
        return plain(format!("{}, nothing since", period_of_burst(burst)));
    };
    let (since, until) = (when::clock(burst.since, span.first), when::clock(burst.until, span.first));
    let delivered = format!("{} in {}", count_alerts(burst.alerts), humanize_duration(burst.since.until(burst.until)));
    let latest = format!("{} since the last message", thousands(digest.tally.alerts));
    plain(match digest.over {
        true => format!("The burst is over: {delivered}, {latest}, nothing since {until} UTC"),
        false => format!("Part of a burst since {since} UTC: {delivered}, {latest}"),
    })
}

fn paused(digest: &Digest, backlog: Backlog) -> Line {
    let since = when::clock(backlog.since, digest.tally.span.map_or(backlog.since, |span| span.first));
    plain(format!("{} windows in one message, held back since {since} UTC", thousands(backlog.windows)))
}

fn muted(n: u64) -> Line {
    match n {
        0 => vec![],
        1 => plain("1 alert was muted before this".to_owned()),
        n => plain(format!("{} were muted before this", count_alerts(n))),
    }
}

fn period_of_burst(burst: Burst) -> String {
    when::period(Span { first: burst.since, last: burst.until })
}

fn epochs(digest: &Digest) -> String {
    match digest.epochs {
        (first, last) if first < last => format!("epochs {first}–{last}"),
        (_, last) => format!("epoch {last}"),
    }
}

/// The groups, as many as there is room for, and the count of those that are not shown.
fn groups(digest: &Digest, mut room: Room) -> Vec<Block> {
    let groups = digest.groups();
    let mut details = Vec::new();
    for (&(pattern, group), extent) in groups.iter().zip(SAMPLES) {
        let form = |link| detail(digest, pattern, group, extent, link);
        let Some(detail) = room.fit(form, |blocks| blocks.iter().map(Block::weight).sum()) else { break };
        details.push(detail);
    }
    let mut lines = Vec::new();
    for &(pattern, group) in groups.iter().skip(details.len()).take(ONE_LINERS_MAX) {
        let Some(line) = room.fit(|link| one_liner(digest, pattern, group, link), block::line_weight) else { break };
        lines.push(line);
    }
    let (shown, hidden) = groups.split_at(details.len() + lines.len());
    let counted = shown.iter().fold(0_u64, |sum, (_, group)| sum.saturating_add(group.alerts));
    let rest = rest(digest, hidden.len(), digest.tally.alerts.saturating_sub(counted));
    let mut blocks: Vec<Block> = details.into_iter().flatten().collect();
    blocks.push(Block::Text(vec![Part::List(lines), Part::Lines(vec![rest])]));
    blocks
}

/// A group with its sample: how many, from where and when; the line; where that line is.
fn detail(digest: &Digest, pattern: &str, group: &Group, extent: Extent, link: bool) -> [Block; 2] {
    let sample = &group.sample;
    let head = match is_one_group(digest) {
        // The facts have just said all this.
        true => vec![],
        false => joined([
            count(digest, group),
            APPS.list(&group.apps),
            ACCOUNTS.list_several(&group.accounts),
            LOG_GROUPS.list_several(&group.log_groups),
        ]),
    };
    let excerpt = text::excerpt(said_by(pattern, group), &sample.marker, extent.lines, extent.bytes);
    [Block::Text(vec![Part::Lines(vec![head]), Part::Sample(excerpt)]), place(sample, link)]
}

/// A group in one line: how many, what it says, in which apps. Times are left to the groups that have more room.
fn one_liner(digest: &Digest, pattern: &str, group: &Group, link: bool) -> Line {
    let (message, marker) = (said_by(pattern, group), &group.sample.marker);
    let said = match digest.tally.markers.len() {
        // The header has said the marker.
        1 => text::after_marker(message, marker, ONE_LINER_BYTES),
        _ => text::from_marker(message, marker, ONE_LINER_BYTES),
    };
    let mut count = vec![Inline::Strong(count_alerts(group.alerts))];
    count.extend(first(digest, group));
    let said = vec![Inline::Code(text::name(&said, ONE_LINER_BYTES))];
    let link = console_link(&group.sample, link).map(Inline::Link);
    let account = Inline::plain(format!(" account {}", text::name(&group.sample.account_id, NAME_BYTES_MAX)));
    joined([count, said, APPS.list(&group.apps), link.into_iter().flat_map(|link| [link, account.clone()]).collect()])
}

fn count(digest: &Digest, group: &Group) -> Line {
    let whole = digest.tally.span.unwrap_or(group.span);
    let mut count = vec![Inline::Strong(count_alerts(group.alerts)), Inline::plain(when::within(group.span, whole))];
    count.extend(first(digest, group));
    count
}

/// The mark of the group that began: often the one to blame, however small it is.
fn first(digest: &Digest, group: &Group) -> Line {
    let is_first = digest.tally.span.is_some_and(|whole| whole.first == group.span.first);
    if is_first { vec![Inline::plain(", "), Inline::Strong("the first".to_owned())] } else { vec![] }
}

/// Where a sample is. The console opens in whichever account is signed in, so the account stands beside the link.
fn place(sample: &Sample, link: bool) -> Block {
    let name = |text| text::name(text, NAME_BYTES_MAX);
    let region = sample.region.as_deref().map(|region| format!(" · {}", name(region))).unwrap_or_default();
    let text = format!("account {}{region} · {}", name(&sample.account_id), name(&sample.log_group));
    Block::Context { link: console_link(sample, link), text }
}

fn console_link(sample: &Sample, wanted: bool) -> Option<Link> {
    let url = sample.console_url().filter(|url| wanted && url.len() <= URL_BYTES_MAX)?;
    Some(Link { url, text: "CloudWatch" })
}

/// `+ 14 more patterns, 312 alerts`. How many patterns a tally gave up is not known, only how many alerts they had.
fn rest(digest: &Digest, groups: usize, left: u64) -> Line {
    let patterns = match (groups, digest.tally.other) {
        (0, 0) => return vec![],
        (1, 0) => "1 more pattern".to_owned(),
        (n, 0) => format!("{n} more patterns"),
        (0, _) => "at least 1 more pattern".to_owned(),
        (n, _) => format!("at least {} more patterns", n + 1),
    };
    vec![Inline::plain(format!("+ {patterns}, ")), Inline::Strong(count_alerts(left))]
}

/// The line that a group stands for. Its pattern is shown only where nothing was written: the real line says the same
/// and more, and the count beside it says that there are others like it.
fn said_by<'a>(pattern: &'a str, group: &'a Group) -> &'a str {
    if group.sample.message.trim().is_empty() { pattern } else { &group.sample.message }
}

fn is_one_group(digest: &Digest) -> bool {
    digest.tally.groups.len() == 1 && digest.tally.other == 0
}

/// What of the budget is left.
struct Room {
    weight: usize,
}

impl Room {
    /// What `form` makes, with a link if there is room for that, else without; its weight is taken off.
    fn fit<T>(&mut self, form: impl Fn(bool) -> T, weight: impl Fn(&T) -> usize) -> Option<T> {
        let fitting = [true, false].into_iter().map(form).find(|form| weight(form) <= self.weight)?;
        self.weight -= weight(&fitting);
        Some(fitting)
    }
}

fn plain(text: String) -> Line {
    if text.is_empty() { vec![] } else { vec![Inline::Plain(text)] }
}

/// The parts that are not empty, with dots between them.
fn joined<const N: usize>(parts: [Line; N]) -> Line {
    let parts: Vec<Line> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(&Inline::plain(" · "))
}
