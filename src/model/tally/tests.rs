use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::alert::{AlertId, Origin};
use crate::model::history::News;
use crate::model::pattern::{Pattern, pattern_id};

fn alert(n: u64, at: i64, message: &str, place: &str) -> Alert {
    let origin =
        Origin::new(place, &format!("/aws/lambda/{place}"), "s", Some("eu-west-1"), "test");
    Alert {
        id: AlertId::new(&n.to_string(), &origin),
        timestamp: Timestamp::from_millis(at),
        marker: Arc::from(if n.is_multiple_of(3) { "[ALERT]" } else { "[CRITICAL]" }),
        message: message.to_owned(),
        left_out: 0,
        context: None,
        statement: None,
        pattern: Pattern::of(message, "[CRITICAL]"),
        routes: ["critical".parse().unwrap()].into(),
        severities: own_severity(n)
            .into_iter()
            .map(|own| ("critical".parse().unwrap(), own))
            .collect(),
        account_id: place.into(),
        region: None,
        origin: Arc::new(origin),
    }
}

/// Every second alert has one.
fn own_severity(n: u64) -> Option<Severity> {
    Severity::ALL.get(usize::try_from(n % 8).unwrap()).copied()
}

/// A tally of the route of all alerts.
fn counted<'a>(alerts: impl IntoIterator<Item = &'a Alert>) -> Tally {
    let route = "critical".parse().unwrap();
    Tally::of(alerts.into_iter().map(|alert| alert.on(&route)))
}

/// In any tally, all counts have the same sum.
fn assert_counts(tally: &Tally, alerts: u64) {
    let sum = |names: &Names| names.seen.values().sum::<u64>() + names.other;
    assert_eq!(tally.alerts, alerts);
    let of_groups = tally.groups.values().map(|group| group.alerts).sum::<u64>();
    assert_eq!(of_groups + tally.ungrouped.alerts() + tally.other, alerts);
    assert_eq!(tally.markers.values().sum::<u64>(), alerts);
    assert!(tally.severities.values().sum::<u64>() <= alerts);
    assert_eq!(tally.histogram.slices.values().sum::<u64>(), alerts);
    for names in [&tally.accounts, &tally.log_groups, &tally.apps] {
        assert_eq!(sum(names), alerts);
    }
    for group in tally.groups.values() {
        for values in group.values.0.values() {
            assert!((1..=VALUES_MAX).contains(&values.len()));
            assert_eq!(values.values().sum::<u64>(), group.alerts);
        }
        assert_eq!(
            (sum(&group.accounts), sum(&group.log_groups), sum(&group.apps)),
            (group.alerts, group.alerts, group.alerts)
        );
    }
}

fn alerts() -> impl Strategy<Value = Vec<Alert>> {
    let times = prop_oneof![0..100_000_i64, any::<i64>()];
    let word = prop_oneof!["[a-z]{1,8}", "[a-z]{300}"];
    let one = (times, word, 0..30_u8);
    prop::collection::vec(one, 0..60).prop_map(|all| {
        let alert = |(n, (at, word, place)): (usize, (i64, String, u8))| {
            let message =
                format!("[CRITICAL] {word} failed with code {} on node-{}", place % 6, place % 3);
            alert(n as u64, at, &message, &format!("place-{place}"))
        };
        all.into_iter().enumerate().map(alert).collect()
    })
}

proptest! {
    #[test]
    fn counts_are_exact_and_sizes_are_limited(alerts in alerts()) {
        let tally = counted(&alerts);
        assert_counts(&tally, alerts.len() as u64);
        prop_assert!(json_bytes(&tally) <= TALLY_BYTES_MAX);
        prop_assert!(tally.histogram.slices.len() as i64 <= SLICES_MAX);
    }

    #[test]
    fn the_order_of_merging_does_not_matter(alerts in alerts(), cut in 0..60_usize) {
        let cut = cut.min(alerts.len());
        // Within the limits the tallies are equal; beyond them the counts are.
        let whole = Tally::sum([&counted(&alerts)]);
        let (a, b) = (counted(&alerts[..cut]), counted(&alerts[cut..]));
        let (one, other) = (Tally::sum([&a, &b]), Tally::sum([&b, &a]));
        prop_assert_eq!(&one, &other);
        assert_counts(&one, alerts.len() as u64);
        prop_assert_eq!((&one.span, &one.markers, &one.histogram), (&whole.span, &whole.markers, &whole.histogram));
        prop_assert_eq!(Tally::sum([&one, &Tally::default()]), one);
    }

    #[test]
    fn tallies_within_the_limits_merge_in_any_grouping(alerts in alerts(), cuts in (0..20_usize, 0..20_usize)) {
        // Few enough for one tally.
        let alerts: Vec<Alert> = alerts.into_iter().filter(|alert| alert.message.len() < 99).take(10).collect();
        let (a, b) = (cuts.0.min(alerts.len()), cuts.1.min(alerts.len()));
        let (a, b) = (a.min(b), a.max(b));
        let [x, y, z] = [&alerts[..a], &alerts[a..b], &alerts[b..]].map(counted);
        let whole = Tally::sum([&counted(&alerts)]);
        prop_assert_eq!(&Tally::sum([&Tally::sum([&x, &y]), &z]), &whole);
        prop_assert_eq!(&Tally::sum([&z, &Tally::sum([&y, &x])]), &whole);
        assert_counts(&whole, alerts.len() as u64);
    }

    #[test]
    fn clusters_keep_the_counts(alerts in alerts()) {
        let tally = counted(&alerts).clustered();
        assert_counts(&tally, alerts.len() as u64);
        prop_assert_eq!(counted(alerts.iter().rev()).clustered(), tally);
    }

    #[test]
    fn a_stored_tally_reads_back(alerts in alerts()) {
        let tally = counted(&alerts);
        let text = serde_json::to_string(&tally).unwrap();
        prop_assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), tally);
    }
}

#[test]
fn a_full_transaction_of_the_longest_alerts_fits() {
    let long = |n: u64| {
        alert(
            n,
            n as i64,
            &format!("[CRITICAL] {} {}", "word ".repeat(60), "x".repeat(n as usize)),
            &"p".repeat(1000),
        )
    };
    let alerts: Vec<Alert> = (0..99).map(long).collect();
    let tally = counted(&alerts);
    assert_counts(&tally, 99);
    assert!(json_bytes(&tally) <= TALLY_BYTES_MAX);
}

#[test]
fn a_tally_knows_the_number_of_patterns_that_it_has_no_room_to_show() {
    // Too few different words at each place for a cluster.
    const WORDS: [&str; 3] = ["disk", "queue", "cache"];
    let word = |n: usize| WORDS[n % 3];
    let texts: Vec<String> = (0..27)
        .map(|n| format!("[CRITICAL] {} near {} hit {}", word(n), word(n / 3), word(n / 9)))
        .collect();
    let of = |range: std::ops::Range<usize>| {
        let alerts = texts[range].iter().enumerate();
        counted(&alerts.map(|(n, text)| alert(n as u64, n as i64, text, "p")).collect::<Vec<_>>())
    };
    let patterns = |tally: &Tally| {
        let known: BTreeSet<&String> =
            tally.groups.keys().chain(tally.ungrouped.0.keys()).collect();
        known.len()
    };
    let one = of(0..24);
    assert!(one.groups.len() < 24 && json_bytes(&one) <= TALLY_BYTES_MAX);
    assert_eq!((patterns(&one), one.other), (24, 0));
    // A pattern with a group in one tally and without one in another is one pattern.
    let two = Tally::sum([&one, &of(20..24)]);
    assert_counts(&two, 28);
    assert_eq!((patterns(&two), two.other), (24, 0));
    let shown = two.clustered();
    assert_counts(&shown, 28);
    assert!(shown.groups.keys().all(|pattern| !shown.ungrouped.0.contains_key(pattern)));
    assert_eq!((shown.groups.len() + shown.ungrouped.len(), shown.other), (24, 0));
    assert_eq!(shown.groups[&texts[20]].alerts, 2);
}

#[test]
fn the_sample_of_a_group_is_the_earliest_of_the_worst() {
    let alerts = [(3, 30), (1, 10), (2, 20)]
        .map(|(n, at)| alert(n, at, &format!("[CRITICAL] order {n}"), "p"));
    let worst = &counted(&alerts).groups["[CRITICAL] order <n>"];
    assert_eq!(
        (&*worst.sample.message, worst.severity()),
        ("[CRITICAL] order 3", Some(Severity::Critical))
    );
    let tally = Tally::of(&alerts);
    let group = &tally.groups["[CRITICAL] order <n>"];
    assert_eq!((group.sample.message.as_str(), group.alerts), ("[CRITICAL] order 1", 3));
    assert_eq!(
        (group.span.first, group.span.last),
        (Timestamp::from_millis(10), Timestamp::from_millis(30))
    );
}

#[test]
fn a_group_keeps_its_few_values_and_forgets_many() {
    let tally = |codes: &[u64]| {
        let alert = |(n, code): (u64, &u64)| {
            alert(n, 0, &format!("[CRITICAL] exit {code} after {n} s on a"), "p")
        };
        counted(&(0..).zip(codes).map(alert).collect::<Vec<_>>())
    };
    let values = |tally: &Tally| tally.groups["[CRITICAL] exit <n> after <n> on a"].values.clone();
    let counts =
        |pairs: &[(&str, u64)]| pairs.iter().map(|(value, n)| ((*value).to_owned(), *n)).collect();
    let (few, others) = (tally(&[137, 1, 137]), tally(&[2, 3]));
    assert_eq!(values(&few), Values([(0, counts(&[("1", 1), ("137", 2)]))].into()));
    let four = Tally::sum([&few, &others]);
    assert_eq!(
        values(&four),
        Values([(0, counts(&[("1", 1), ("137", 2), ("2", 1), ("3", 1)]))].into())
    );
    let many = Tally::sum([&four, &tally(&[4])]);
    assert!(values(&many).is_empty());
    assert!(values(&Tally::sum([&many, &few])).is_empty(), "values came back without their counts");
    // A tally of an earlier version has none.
    let mut old = few.clone();
    old.groups.values_mut().for_each(|group| group.values = Values::default());
    assert!(values(&Tally::sum([&old, &few])).is_empty());
}

#[test]
fn a_cluster_lists_the_words_that_differ() {
    let tables = ["orders", "users", "carts", "taxes", "skus", "orders"];
    let message = |table: &str, n: usize| format!("[CRITICAL] table {table} has {} readers", n % 2);
    let alerts: Vec<Alert> = tables
        .iter()
        .enumerate()
        .map(|(n, table)| alert(n as u64, 0, &message(table, n), "p"))
        .collect();
    let tally = counted(&alerts);
    assert_eq!(tally.groups.len(), 5);
    let clustered = tally.clone().clustered();
    let group = &clustered.groups["[CRITICAL] table <…> has <n> readers"];
    let counts =
        |pairs: &[(&str, u64)]| pairs.iter().map(|(value, n)| ((*value).to_owned(), *n)).collect();
    assert_eq!(
        (group.alerts, &group.values),
        (6, &Values([(1, counts(&[("0", 3), ("1", 3)]))].into()))
    );
    let paths: Vec<Alert> = (0..4)
        .map(|n| alert(n, 0, &format!("[CRITICAL] no space on /{}", tables[n as usize / 2]), "p"))
        .collect();
    let group = &counted(&paths).clustered().groups["[CRITICAL] no space on <…>"];
    assert_eq!(group.values, Values([(0, counts(&[("/orders", 2), ("/users", 2)]))].into()));
}

#[test]
fn a_truncated_text_releases_its_memory() {
    let mut text = "x".repeat(1 << 20);
    assert!(truncate(&mut text, 100));
    assert!(text.len() <= 100 && text.capacity() <= 200, "{}", text.capacity());
}

#[test]
fn a_sum_keeps_the_greatest_news_and_a_cluster_the_least() {
    let lines = ["no space on /tmp", "no space on /var", "disk full"];
    let of = |n: usize, news: Option<News>| {
        let mut tally = counted([&alert(n as u64, n as i64, lines[n], "p")]);
        let pattern = tally.groups.keys().next().unwrap().clone();
        tally.news = news.map(|news| (pattern_id(&pattern), news)).into_iter().collect();
        tally
    };
    let (back, spike) = (News::Back { silent_ms: 9 }, News::Spike { alerts_in_hour: 9, usual: 1 });
    let sum = Tally::sum([&of(2, Some(spike)), &of(2, Some(back)), &of(2, None)]);
    assert_eq!(sum.news_of("disk full"), Some(back));
    let clustered = |alice, bob| {
        let tally = Tally::sum([&of(0, alice), &of(1, bob), &of(2, Some(News::New))]).clustered();
        assert_eq!(tally.news_of("disk full"), Some(News::New));
        let cluster = tally.groups.keys().find(|pattern| pattern.starts_with("no space")).unwrap();
        assert_eq!(tally.groups[cluster].alerts, 2, "{cluster}");
        tally.news_of(cluster)
    };
    assert_eq!(clustered(Some(News::New), Some(News::New)), Some(News::New));
    assert_eq!(clustered(Some(News::New), Some(back)), Some(back));
    assert_eq!(clustered(Some(News::New), None), None);
}

#[test]
fn news_about_thousands_of_patterns_leaves_the_groups_their_room() {
    let tallies = |size: usize| {
        (0..3_000)
            .collect::<Vec<usize>>()
            .chunks(size)
            .map(|numbers| {
                let lines =
                    numbers.iter().map(|n| format!("{}{n:x} failed", "x".repeat(n % 7 + 1)));
                let lines: Vec<String> = lines.collect();
                let mut tally = counted(
                    &(0..lines.len())
                        .map(|n| alert(n as u64, n as i64, &lines[n], "p"))
                        .collect::<Vec<_>>(),
                );
                let ids = tally.by_pattern_id().into_keys();
                tally.news = ids.map(|id| (id, News::New)).collect();
                tally
            })
            .collect::<Vec<Tally>>()
    };
    let parts = tallies(10);
    let quiet: Vec<Tally> =
        parts.iter().map(|part| Tally { news: BTreeMap::new(), ..part.clone() }).collect();
    let (sum, without) = (Tally::sum(&parts), Tally::sum(&quiet));
    assert!(without.groups.len() > 20, "{}", without.groups.len());
    assert_eq!(Tally { news: BTreeMap::new(), ..sum.clone() }, without);
    assert!(sum.news.len() <= sum.groups.len() + sum.ungrouped.len());
    assert!(sum.groups.keys().all(|pattern| sum.news_of(pattern) == Some(News::New)));
}
