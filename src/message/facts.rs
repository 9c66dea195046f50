//! The facts of a message: what holds for all its alerts, in words.

use std::collections::BTreeMap;

use super::content::{Facts, Inline, Line, Link, joined, plain, plain_line};
use super::naming::{ACCOUNTS, APPS, LOG_GROUPS, NAME_BYTES_MAX};
use super::{news, sparkline, text, time};
use crate::model::burst::{Burst, Related};
use crate::model::digest::{Backlog, Digest, HeldAlerts};
use crate::model::humanize::{count_alerts, humanize_duration, thousands};
use crate::model::name::Severity;
use crate::model::tally::{Group, Histogram, Span};

/// The longest reason for a fallback, in bytes. Channels keep their reasons shorter.
const REASON_BYTES_MAX: usize = 400;

pub(super) fn of(digest: &Digest) -> Facts {
    Facts {
        fallback: fallback(digest),
        lost: lost(digest.lost_epochs),
        news: news::fact(digest, has_one_group(digest)),
        severities: severities(digest),
        scope: scope(digest),
        period: digest.tally.span.map(period).unwrap_or_default(),
        timeline: timeline(&digest.tally.histogram),
        burst: digest.burst.map(|burst| burst_so_far(digest, burst)).unwrap_or_default(),
        backlog: digest.backlog.map(|waiting| backlog(digest, waiting)).unwrap_or_default(),
        muted: muted(digest.muted),
        held: digest.held.map(held).unwrap_or_default(),
        related: related(digest),
        latest: vec![],
    }
}

/// `Also: PAY-123`, with a link where one is known.
pub(super) fn related(digest: &Digest) -> Line {
    let mut line = vec![];
    for Related { name, url } in &digest.related {
        let name = text::name(name, NAME_BYTES_MAX);
        line.push(plain(if line.is_empty() { "Also: " } else { ", " }));
        line.push(match url {
            Some(url) => Inline::Link(Link { url: url.clone(), text: name.into() }),
            None => plain(name),
        });
    }
    line
}

/// There is one pattern, and the tally knows it.
pub(super) fn has_one_group(digest: &Digest) -> bool {
    let tally = &digest.tally;
    tally.groups.len() == 1 && tally.ungrouped.is_empty() && tally.other == 0
}

pub(super) fn period_of_burst(burst: Burst) -> String {
    time::period(Span { first: burst.since, last: burst.until })
}

/// Why a fallback gets the message. The first of the facts, because its readers may not know the
/// route.
pub(super) fn fallback(digest: &Digest) -> Line {
    let Some(reason) = &digest.escalated else { return vec![] };
    let reason = text::name(reason, REASON_BYTES_MAX);
    vec![Inline::Strong(format!("⚠️ Sent to {} as the fallback: {reason}", digest.target))]
}

/// `2 critical, 38 error`: if conditions of the route gave the alerts several severities.
fn severities(digest: &Digest) -> Line {
    match digest.tally.severities.len() > 1 {
        true => plain_line(counts_of(&digest.tally.severities)),
        false => vec![],
    }
}

/// The severity of a group, or its counts, if not all alerts of the message have the same.
pub(super) fn severity(digest: &Digest, group: &Group) -> Line {
    let words = match (group.severity(), group.severities.len()) {
        (Some(only), 1) => only.to_string(),
        (Some(_), _) => counts_of(&group.severities),
        (None, _) => return vec![],
    };
    match digest.tally.severities.len() > 1 {
        true => vec![Inline::Strong(words)],
        false => vec![],
    }
}

fn counts_of(severities: &BTreeMap<Severity, u64>) -> String {
    let counts = severities.iter().rev();
    let counts: Vec<_> =
        counts.map(|(severity, n)| format!("{} {severity}", thousands(*n))).collect();
    counts.join(", ")
}

fn scope(digest: &Digest) -> Line {
    let tally = &digest.tally;
    let (accounts, log_groups) = match has_one_group(digest) {
        true => {
            (ACCOUNTS.list_several(&tally.accounts), LOG_GROUPS.list_several(&tally.log_groups))
        }
        false => (ACCOUNTS.list(&tally.accounts), LOG_GROUPS.list(&tally.log_groups)),
    };
    let patterns = match (tally.groups.len() + tally.ungrouped.len(), tally.other) {
        (0, 0) => String::new(),
        (1, 0) if tally.alerts == 1 => String::new(),
        (1, 0) => "1 pattern".to_owned(),
        (n, 0) => format!("{n} patterns"),
        // One alert has one pattern.
        (n, 1) => format!("{} patterns", n + 1),
        (n, _) => format!("{}+ patterns", n + 1),
    };
    joined([plain_line(patterns), accounts, log_groups, APPS.list(&tally.apps)])
}

fn period(span: Span) -> Line {
    vec![plain(time::period(span)), time::local(span.first)]
}

fn timeline(histogram: &Histogram) -> Line {
    let (peak, width) = histogram.peak();
    // A layout may collapse a row of ordinary blanks.
    let bars = sparkline::sparkline(histogram).replace(' ', "\u{a0}");
    if bars.is_empty() {
        return vec![];
    }
    vec![
        Inline::Code(bars),
        plain(format!(" peak {} in {}", thousands(peak), humanize_duration(width))),
    ]
}

fn burst_so_far(digest: &Digest, burst: Burst) -> Line {
    let Some(span) = digest.tally.span else {
        return plain_line(format!("{}, nothing since", period_of_burst(burst)));
    };
    let (since, until) =
        (time::clock(burst.since, span.first), time::clock(burst.until, span.first));
    let total = format!("{} in {}", count_alerts(burst.alerts), burst.length());
    let alerts = digest.tally.alerts;
    // A message after an outage may be about all of the burst, and about what came before it.
    let latest = match burst.alerts > alerts {
        true => format!(", {} since the last message", thousands(alerts)),
        false => String::new(),
    };
    let before = match alerts.saturating_sub(burst.alerts) {
        0 => String::new(),
        1 => "; 1 alert is from before it".to_owned(),
        n => format!("; {} are from before it", count_alerts(n)),
    };
    plain_line(match digest.ends_burst {
        true => format!("The burst is over: {total}{latest}, nothing since {until} UTC{before}"),
        false => format!("Part of a burst since {since} UTC: {total}{latest}"),
    })
}

fn backlog(digest: &Digest, backlog: Backlog) -> Line {
    let since =
        time::clock(backlog.since, digest.tally.span.map_or(backlog.since, |span| span.first));
    plain_line(format!(
        "{} windows in one message, held back since {since} UTC",
        thousands(backlog.windows)
    ))
}

fn lost(epochs: u64) -> Line {
    let summaries = match epochs {
        0 => return vec![],
        1 => "A summary of alerts is".to_owned(),
        n => format!("{} summaries of alerts are", thousands(n)),
    };
    let text = format!(
        "⚠️ {summaries} missing in the outbox table, so no message counts them. \
         The audit table has the alerts."
    );
    vec![Inline::Strong(text)]
}

fn muted(n: u64) -> Line {
    match n {
        0 => vec![],
        1 => plain_line("1 alert was muted before this"),
        n => plain_line(format!("{} were muted before this", count_alerts(n))),
    }
}

fn held(held: HeldAlerts) -> Line {
    let included = match held.included {
        0 => String::new(),
        1 => "1 of these was held until the threshold was reached".to_owned(),
        n => format!("{} of these were held until the threshold was reached", thousands(n)),
    };
    let left_out = match held.left_out {
        0 => String::new(),
        n => format!("not in this message: {} held before", count_alerts(n)),
    };
    match (included.is_empty(), left_out.is_empty()) {
        (false, false) => plain_line(format!("{included}; {left_out}")),
        (true, false) => plain_line(left_out),
        _ => plain_line(included),
    }
}
