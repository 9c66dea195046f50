//! Strategies for digests of all kinds, with hostile text in them.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::digests::START;
use crate::model::burst::{Burst, Related};
use crate::model::digest::{Backlog, Digest, HeldAlerts};
use crate::model::history::News;
use crate::model::name::Severity;
use crate::model::pattern::pattern_id;
use crate::model::tally::{
    AlertCount, Group, Histogram, Names, Sample, Span, Tally, Ungrouped, Values,
};
use crate::model::time::Timestamp;

/// Hostile text in a log event, the name of a log group, or a marker.
const NASTY: &[&str] = &[
    "",
    " \t\r\n ",
    "<!channel> <!here|x> <@U123> <#C123> <https://evil.example|click>",
    "@here @channel *bold* _it_ ~no~ `code` ```fence``` :fire: &amp; &lt;",
    "\u{1b}[2J\u{1b}]0;owned\u{7}\u{1b}[31m red \u{9b}5m",
    "\u{202e}txt.exe\u{2066}\u{200b}\u{feff}\u{e0041}",
    "{\"msg\":\"[CRITICAL] x\",\"level\":\"error\"}",
    "[CRITICAL] boom\n\tat a.b(C.java:1)\n\n\n\r\nCaused by: x\u{85}y\u{2028}z",
    "{date_short} $25 %25 ../..?#|>",
    "🔥👩‍👩‍👧 ünïcode 漢字 \u{0}\u{7f}",
];

fn text() -> impl Strategy<Value = String> {
    let piece =
        prop_oneof![select(NASTY).prop_map(str::to_owned), any::<String>(), "[a-z/-]{1,20}"];
    let long = (select(NASTY), 1..40_usize).prop_map(|(piece, n)| piece.repeat(n));
    prop_oneof![6 => piece.clone(), 1 => long, 1 => vec(piece, 0..6).prop_map(|pieces| pieces.concat())]
}

fn moment() -> impl Strategy<Value = Timestamp> {
    let millis = prop_oneof![4 => START..START + 600_000, 1 => any::<i64>(), 1 => select(vec![i64::MIN, 0, i64::MAX])];
    millis.prop_map(Timestamp::from_millis)
}

fn span_of_time() -> impl Strategy<Value = Span> {
    (moment(), moment()).prop_map(|(a, b)| Span { first: a.min(b), last: a.max(b) })
}

/// Small enough that 70 of them can be added.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![1..5_u64, 1..1_000_000_u64, any::<u64>().prop_map(|n| n >> 7)]
}

fn names() -> impl Strategy<Value = Names> {
    (btree_map(text(), 1..999_u64, 0..6), 0..3_u64).prop_map(|(seen, other)| Names { seen, other })
}

fn values() -> impl Strategy<Value = Values> {
    btree_map(0..3_usize, btree_map(text(), 1..999_u64, 0..5), 0..3).prop_map(Values)
}

prop_compose! {
    fn sample()(
        id in "[0-9]{0,56}", timestamp in moment(), marker in text(), message in text(), account_id in text(),
        statement in prop::option::of(text()), before in prop::option::of(text()), after in prop::option::of(text()),
        region in prop_oneof![Just(None), Just(Some("eu-west-1".to_owned())), text().prop_map(Some)],
        log_group in text(), log_stream in text(), app_name in text(),
    ) -> Sample {
        Sample { id, timestamp, marker, severity: None, statement, message_bytes: message.len() as u64, message, before, after, account_id, region, log_group, log_stream, app_name }
    }
}

prop_compose! {
    fn group()(
        alerts in count(), span in span_of_time(), sample in sample(), accounts in names(), log_groups in names(), apps in names(),
        values in values(), severities in btree_map(select(Severity::ALL.to_vec()), count(), 0..3),
    ) -> Group {
        Group { alerts, severities, span, sample, accounts, log_groups, apps, values }
    }
}

fn histogram() -> impl Strategy<Value = Histogram> {
    let slices = prop_oneof![
        btree_map(0..40_i64, count(), 0..40),
        btree_map(0..40_i64, any::<u64>(), 0..9),
        btree_map(any::<i64>(), any::<u64>(), 0..5)
    ];
    (any::<u8>(), slices).prop_map(|(shift, slices)| Histogram { shift, slices })
}

fn ungrouped() -> impl Strategy<Value = Ungrouped> {
    let counted = (count(), span_of_time()).prop_map(|(alerts, span)| AlertCount { alerts, span });
    btree_map(text(), counted, 0..9).prop_map(Ungrouped)
}

fn news() -> impl Strategy<Value = News> {
    prop_oneof![
        Just(News::New),
        any::<u64>().prop_map(|silent_ms| News::Back { silent_ms }),
        (any::<u64>(), any::<u64>())
            .prop_map(|(alerts_in_hour, usual)| News::Spike { alerts_in_hour, usual }),
    ]
}

prop_compose! {
    fn tally()(
        groups in prop_oneof![btree_map(text(), group(), 0..4), btree_map(text(), group(), 0..30)],
        ungrouped in prop_oneof![2 => Just(Ungrouped::default()), 1 => ungrouped()],
        other in prop_oneof![Just(0), count()], markers in btree_map(text(), count(), 0..4), histogram in histogram(),
        accounts in names(), log_groups in names(), apps in names(),
        news in prop_oneof![Just(vec![]), vec(prop::option::of(news()), 0..30)],
        severities in btree_map(select(Severity::ALL.to_vec()), count(), 0..4),
    ) -> Tally {
        let spans = groups.values().map(|group| group.span);
        let span = spans.reduce(|a, b| Span { first: a.first.min(b.first), last: a.last.max(b.last) });
        let of_groups = groups.values().map(|group| group.alerts).sum::<u64>();
        let alerts = of_groups + ungrouped.alerts() + other;
        let patterns = groups.keys().chain(ungrouped.0.keys()).map(|pattern| pattern_id(pattern));
        let news = patterns.zip(news).filter_map(|(id, news)| Some((id, news?))).collect();
        Tally { alerts, span, markers, severities, groups, ungrouped, other, news, accounts, log_groups, apps, histogram }
    }
}

fn related() -> impl Strategy<Value = Related> {
    let url = prop::option::of(Just("https://example.atlassian.net/browse/PAY-1".to_owned()));
    (text(), url).prop_map(|(name, url)| Related { name, url })
}

prop_compose! {
    pub fn digest()(
        tally in prop_oneof![1 => Just(Tally::default()), 9 => tally()],
        severity in select(Severity::ALL.to_vec()),
        burst in proptest::option::of((moment(), moment(), any::<u64>())), ends_burst in any::<bool>(),
        route in "[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}", epochs in (any::<u64>(), any::<u64>()),
        backlog in proptest::option::of((2..u64::MAX, moment())), muted in any::<u64>(),
        escalated in proptest::option::of(text()), related in vec(related(), 0..3),
        held in proptest::option::of((any::<u64>(), any::<u64>())),
    ) -> Digest {
        let burst = burst.map(|(since, until, alerts)| Burst { number: 1, since, until, alerts });
        let backlog = backlog.map(|(windows, since)| Backlog { windows, since });
        let route = route.parse().unwrap();
        let held = held.map(|(included, left_out)| HeldAlerts { included, left_out });
        Digest { severity, burst, ends_burst, epochs, backlog, muted, held, escalated, related, route, ..super::digests::digest(tally) }
    }
}
