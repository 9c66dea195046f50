//! Digest → content: what a message says, in which order, and how much of it fits. The wording of
//! the facts is in `facts`, `naming` and `time`; cutting text to size is in `text`. The layouts of
//! the channels follow in [`plain`](super::plain) and `adapters`.
//!
//! A message may wake its reader. It starts with the kind and number of alerts, then where and
//! since when. The groups of similar log events follow, news and large groups first, each with a real log
//! event and a link to it. Groups without room are counted at the end, so the numbers add up to the
//! one in the headline (`adapters::slack::layout::tests::printed_numbers_add_up`).

use std::cmp::Reverse;

use super::content::{
    Content, Facts, GroupDetail, GroupLine, HEADLINE_BYTES_MAX, Inline, LeftOut, Line, Link, Place,
    Reference, Status, joined, plain,
};
use super::insights_link::insights_url;
use super::naming::{ACCOUNTS, APPS, LOG_GROUPS, NAME_BYTES_MAX};
use super::{console_link, facts, news, text, time, values};
use crate::model::digest::{Digest, ReaderLink};
use crate::model::humanize::count_alerts;
use crate::model::statement;
use crate::model::tally::{AlertCount, Group, Sample};

/// The longest quote of a log event in a notification, in bytes.
pub(super) const QUOTE_BYTES_MAX: usize = 160;

/// The excerpts of the first groups.
const EXCERPTS: [Extent; 5] =
    [extent(8, 900), extent(5, 500), extent(3, 300), extent(2, 240), extent(2, 240)];
/// The number of further groups, which get one line each. A reader at night does not read more.
const GROUP_LINES_MAX: usize = 8;
const GROUP_LINE_QUOTE_BYTES_MAX: usize = 100;
const TITLE_QUOTE_BYTES_MAX: usize = 90;

pub use crate::model::reader_link::URL_BYTES_MAX;

/// How much a channel takes in one message.
#[derive(Copy, Clone, Debug)]
pub struct Budget {
    /// The size of the content in the layout of the channel, including room for the lines that
    /// follow the groups.
    pub size: fn(&Content) -> usize,
    pub size_max: usize,
}

/// The longest excerpt of a log event.
#[derive(Copy, Clone, Debug)]
pub(super) struct Extent {
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

pub(super) const fn extent(lines: usize, bytes: usize) -> Extent {
    Extent { lines, bytes }
}

impl Budget {
    /// For a channel that takes everything that a reader should get.
    pub const UNLIMITED: Self = Self { size: |_| 0, size_max: usize::MAX };

    /// Adds a part to a list of the content: with a link if that fits, else without, else not at
    /// all.
    fn add<T>(
        &self,
        content: &mut Content,
        list: fn(&mut Content) -> &mut Vec<T>,
        part: impl Fn(bool) -> T,
    ) -> bool {
        for with_link in [true, false] {
            list(content).push(part(with_link));
            if (self.size)(content) <= self.size_max {
                return true;
            }
            list(content).pop();
        }
        false
    }
}

/// The content of the message for `digest`, with as many groups as fit `budget`. Total: any digest
/// has a content.
///
/// ```
/// use std::sync::Arc;
/// use stentor::message::compose::{Budget, compose};
/// use stentor::model::alert::{Alert, AlertId, Origin};
/// use stentor::model::digest::Digest;
/// use stentor::model::pattern::Pattern;
/// use stentor::model::tally::Tally;
/// use stentor::model::time::Timestamp;
///
/// let text = "[CRITICAL] no space left on device";
/// let region = Some("eu-west-1");
/// let origin = Origin::new("111122223333", "/ecs/orders", "task/1", region, "shard-0:1");
/// let origin = Arc::new(origin);
/// let alert = Alert {
///     id: AlertId::new("1", &origin),
///     timestamp: Timestamp::from_millis(1_795_443_306_000),
///     marker: "[CRITICAL]".into(),
///     pattern: Pattern::of(text, "[CRITICAL]"),
///     message: text.to_owned(),
///     left_out: 0,
///     context: None,
///     statement: None,
///     routes: ["critical".parse()?].into(),
///     severities: [].into(),
///     account_id: "111122223333".into(),
///     region: origin.region.clone(),
///     origin,
/// };
/// let (route, target) = ("critical".parse()?, "slack:ops".parse()?);
/// let digest = Digest::new(&route, &target, None, (1, 1), Tally::of([&alert]));
/// let content = compose(&digest, &Budget::UNLIMITED);
/// assert_eq!(content.headline, "🔴 [CRITICAL] no space left on device · 1 alert");
/// assert_eq!(content.groups[0].excerpt, text);
/// assert_eq!(content.reference.to_string(), "route critical · epoch 1");
/// # Ok::<(), stentor::model::name::NameError>(())
/// ```
pub fn compose(digest: &Digest, budget: &Budget) -> Content {
    let status = if digest.is_quiet() { Status::Quiet } else { Status::Alerting(digest.severity) };
    let mut content = start(digest, status, &title(digest), facts::of(digest));
    content.notification = notification(digest, &headline(status, &digest.title()));
    // The rest is for groups.
    add_links(&mut content, digest, |content| (budget.size)(content) <= budget.size_max / 2);
    let groups = digest.groups();
    for (&(pattern, group), extent) in groups.iter().zip(EXCERPTS) {
        let part = |with_link| detail(digest, pattern, group, extent, with_link);
        if !budget.add(&mut content, |content| &mut content.groups, part) {
            break;
        }
    }
    let rest = &groups[content.groups.len()..];
    let is_news = |(pattern, _): &(&str, _)| digest.tally.news_of(pattern).is_some();
    let (new, usual) = rest.split_at(rest.iter().rposition(is_news).map_or(0, |last| last + 1));
    let lines = new.iter().map(|(pattern, group)| (*pattern, Ok(*group)));
    let ungrouped = ungrouped_news(digest);
    let lines = lines.chain(ungrouped.into_iter().map(|(pattern, count)| (pattern, Err(count))));
    let lines = lines.chain(usual.iter().map(|(pattern, group)| (*pattern, Ok(*group))));
    let mut grouped = content.groups.len();
    for (pattern, of) in lines.take(GROUP_LINES_MAX) {
        let part = |with_link| match of {
            Ok(group) => group_line(digest, pattern, group, with_link),
            Err(count) => ungrouped_line(digest, pattern, count),
        };
        if !budget.add(&mut content, |content| &mut content.more_groups, part) {
            break;
        }
        grouped += usize::from(of.is_ok());
    }
    content.left_out = left_out(digest, &content, grouped);
    content
}

/// A content without groups, of which the notification is the headline.
pub(super) fn start(digest: &Digest, status: Status, title: &str, facts: Facts) -> Content {
    let headline = headline(status, title);
    Content {
        status,
        title: text::name(title, usize::MAX),
        notification: headline.clone(),
        headline,
        is_fallback: digest.escalated.is_some(),
        alerts: digest.tally.alerts,
        facts,
        links: vec![],
        query: None,
        groups: vec![],
        more_groups: vec![],
        left_out: None,
        reference: Reference { route: digest.route.clone(), epochs: digest.epochs },
    }
}

/// Adds the links of the route and the query, as far as the content then `fits`.
pub(super) fn add_links(content: &mut Content, digest: &Digest, fits: impl Fn(&Content) -> bool) {
    for ReaderLink { name, url } in &digest.links {
        let text = text::name(name, NAME_BYTES_MAX).into();
        content.links.push(Link { url: url.clone(), text });
        if !fits(content) {
            content.links.pop();
        }
    }
    content.query = query(digest);
    if !fits(content) {
        content.query = None;
    }
}

/// The query for the first group.
fn query(digest: &Digest) -> Option<Link> {
    let (pattern, group) = *digest.groups().first()?;
    let span = digest.tally.span.unwrap_or(group.span);
    let url = insights_url(pattern, &group.sample, span);
    let url = url.filter(|url| url.len() <= URL_BYTES_MAX)?;
    Some(Link { url, text: "Logs Insights".into() })
}

fn headline(status: Status, title: &str) -> String {
    text::title(&format!("{} {title}", status.sign()), HEADLINE_BYTES_MAX)
}

/// Says what happened if there is one group, else only how often.
fn title(digest: &Digest) -> String {
    match digest.groups()[..] {
        [(pattern, group)] if facts::has_one_group(digest) => {
            digest.title_of(&text::name(quoted(pattern, group), TITLE_QUOTE_BYTES_MAX))
        }
        _ => digest.title(),
    }
}

/// The headline without a quote, and how the sample of the first group begins.
fn notification(digest: &Digest, headline: &str) -> String {
    let sign = if digest.escalated.is_some() { "⚠️ Fallback · " } else { "" };
    let Some((pattern, group)) = digest.groups().first().copied() else {
        return format!("{sign}{headline}");
    };
    let quote = quote(pattern, group);
    match &*group.sample.app_name {
        "" => format!("{sign}{headline}: {quote}"),
        app => format!("{sign}{headline} · {}: {quote}", text::name(app, NAME_BYTES_MAX)),
    }
}

/// The statement of a group, without a marker that only labels it.
pub(super) fn quote(pattern: &str, group: &Group) -> String {
    text::name(quoted(pattern, group), QUOTE_BYTES_MAX)
}

fn quoted<'a>(pattern: &'a str, group: &'a Group) -> &'a str {
    statement::without_label(said(pattern, group), &group.sample.marker)
}

/// The statement of a group with its marker.
pub(super) fn quote_with_marker(pattern: &str, group: &Group) -> String {
    let (statement, marker) = (said(pattern, group), &group.sample.marker);
    match statement::is_label(marker) && !statement.starts_with(marker.trim()) {
        true => text::name(&format!("{marker} {statement}"), QUOTE_BYTES_MAX),
        false => text::name(statement, QUOTE_BYTES_MAX),
    }
}

/// A group with its sample. If there is no other group, the facts say all but the values.
fn detail(
    digest: &Digest,
    pattern: &str,
    group: &Group,
    extent: Extent,
    with_link: bool,
) -> GroupDetail {
    let summary = match facts::has_one_group(digest) {
        true => values::list(pattern, group),
        false => joined([
            count_and_time(digest, group),
            facts::severity(digest, group),
            news::of_pattern(digest, pattern),
            values::list(pattern, group),
            APPS.list(&group.apps),
            ACCOUNTS.list_several(&group.accounts),
            LOG_GROUPS.list_several(&group.log_groups),
        ]),
    };
    sample(pattern, group, summary, extent, with_link)
}

pub(super) fn sample(
    pattern: &str,
    group: &Group,
    summary: Line,
    extent: Extent,
    with_link: bool,
) -> GroupDetail {
    let Group { alerts, sample, .. } = group;
    let excerpt = text::excerpt(said(pattern, group), sample, extent.lines, extent.bytes);
    GroupDetail {
        alerts: *alerts,
        summary,
        excerpt,
        place: place(sample),
        link: console_link(sample, with_link),
    }
}

/// The patterns without a sample that are news, in the order of the groups.
fn ungrouped_news(digest: &Digest) -> Vec<(&str, AlertCount)> {
    let ungrouped = digest.tally.ungrouped.0.iter();
    let news = ungrouped.filter_map(|(pattern, count)| {
        let news =
            digest.tally.news_of(pattern).filter(|_| !digest.tally.groups.contains_key(pattern));
        Some((news?.order(), pattern.as_str(), *count))
    });
    let mut news: Vec<_> = news.collect();
    news.sort_by_key(|(order, pattern, count)| (Reverse(*order), Reverse(count.alerts), *pattern));
    news.into_iter().map(|(_, pattern, count)| (pattern, count)).collect()
}

fn ungrouped_line(digest: &Digest, pattern: &str, count: AlertCount) -> GroupLine {
    let quote = vec![Inline::Code(text::name(pattern, GROUP_LINE_QUOTE_BYTES_MAX))];
    let alerts = vec![Inline::Strong(count_alerts(count.alerts))];
    GroupLine {
        alerts: count.alerts,
        summary: joined([alerts, news::of_pattern(digest, pattern), quote]),
        account: String::new(),
        link: None,
    }
}

/// Times are left to the groups that have more room.
fn group_line(digest: &Digest, pattern: &str, group: &Group, with_link: bool) -> GroupLine {
    let sample = &group.sample;
    let quote = match digest.tally.markers.len() {
        // The headline names the marker.
        1 => quote(pattern, group),
        _ => quote_with_marker(pattern, group),
    };
    let count = [vec![Inline::Strong(count_alerts(group.alerts))], first(digest, group)].concat();
    let quote = vec![Inline::Code(text::name(&quote, GROUP_LINE_QUOTE_BYTES_MAX))];
    GroupLine {
        alerts: group.alerts,
        summary: joined([
            count,
            facts::severity(digest, group),
            news::of_pattern(digest, pattern),
            quote,
            values::list(pattern, group),
            APPS.list(&group.apps),
        ]),
        account: text::name(&sample.account_id, NAME_BYTES_MAX),
        link: console_link(sample, with_link),
    }
}

fn count_and_time(digest: &Digest, group: &Group) -> Line {
    let whole = digest.tally.span.unwrap_or(group.span);
    let count =
        vec![Inline::Strong(count_alerts(group.alerts)), plain(time::within(group.span, whole))];
    [count, first(digest, group)].concat()
}

/// Marks the group with the first alert, which is often the cause, however small the group is.
fn first(digest: &Digest, group: &Group) -> Line {
    let is_first = digest.tally.span.is_some_and(|whole| whole.first == group.span.first);
    if is_first { vec![plain(", "), Inline::Strong("first to occur".to_owned())] } else { vec![] }
}

fn place(sample: &Sample) -> Place {
    let name = |text: &str| text::name(text, NAME_BYTES_MAX);
    Place {
        account: name(&sample.account_id),
        region: sample.region.as_deref().map(name),
        log_group: name(&sample.log_group),
    }
}

fn console_link(sample: &Sample, is_wanted: bool) -> Option<Link> {
    let url =
        console_link::console_url(sample).filter(|url| is_wanted && url.len() <= URL_BYTES_MAX)?;
    Some(Link { url, text: "CloudWatch".into() })
}

/// `grouped` of the patterns that are shown have a group.
fn left_out(digest: &Digest, content: &Content, grouped: usize) -> Option<LeftOut> {
    let tally = &digest.tally;
    let shown = content.groups.len() + content.more_groups.len() - grouped;
    let hidden = tally.groups.len() - grouped + tally.ungrouped.len() - shown;
    let patterns = hidden + usize::from(tally.other > 0);
    let groups = content.groups.iter().map(|group| group.alerts);
    let shown = groups
        .chain(content.more_groups.iter().map(|group| group.alerts))
        .fold(0, u64::saturating_add);
    let alerts = tally.alerts.saturating_sub(shown);
    (patterns > 0).then_some(LeftOut { patterns, is_minimum: tally.other > 1, alerts })
}

/// The statement of the log event that stands for a group; its pattern if that is blank.
fn said<'a>(pattern: &'a str, group: &'a Group) -> &'a str {
    let statement = group.sample.statement();
    if statement.trim().is_empty() { pattern } else { statement }
}
