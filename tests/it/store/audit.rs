//! Queries and erasure of the audit rows, on every engine.

use std::collections::BTreeSet;

use stentor::adapters::erase::{ErasedOutbox, erase_outbox};
use stentor::model::audit::{PatternFilter, RowPosition};
use stentor::model::pattern::pattern_id;
use stentor::redact::erase::Erasure;

use super::*;
use crate::support::alert_with;

pub(super) async fn rows_are_found_by_account_and_pattern(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let mut alerts: Vec<Alert> = (0..20).map(|n| alert(&format!("{n}"), &["critical"])).collect();
    alerts.push(alert_with("late", &["critical"], "[CRITICAL] ann has no stock in /var/log"));
    alerts.push(Alert { account_id: "555566667777".into(), ..alert("20", &["critical"]) });
    store.commit(&alerts, soon()).await;
    let count = async |query: AlertQuery| found(&store, &query).await.len();
    let of_account =
        |account: &str| AlertQuery { account: Some(account.to_owned()), ..everything() };
    assert_eq!(count(of_account("123456789012")).await, 21);
    assert_eq!(count(of_account("555566667777")).await, 1);
    assert_eq!(count(of_account("000000000000")).await, 0);
    let of_pattern =
        |text: &str| AlertQuery { pattern: Some(PatternFilter::parse(text)), ..everything() };
    let order = "[CRITICAL] order <n> failed";
    assert_eq!(count(of_pattern(order)).await, 21);
    assert_eq!(count(of_pattern(&pattern_id(order))).await, 21);
    assert_eq!(count(of_pattern("[CRITICAL] <…> failed")).await, 21);
    assert_eq!(count(of_pattern("[CRITICAL] ann has no stock in <…>")).await, 1);
    assert_eq!(count(of_pattern("order <n> failed")).await, 0);
    let both = AlertQuery { account: Some("555566667777".to_owned()), ..of_pattern(order) };
    assert_eq!(count(both).await, 1);
}

/// Rows of a few times in two hours: most of them have the time of many others.
pub(super) async fn a_page_continues_behind_the_last_row(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let at = |n: i64| Timestamp::from_millis(1_795_442_399_998 + n % 5);
    let alerts: Vec<Alert> = (0..2_300)
        .map(|n| Alert { timestamp: at(n), ..alert(&format!("{n}"), &["critical"]) })
        .collect();
    assert!(at(1).iso()[..13] != at(2).iso()[..13], "two hours");
    store.commit(&alerts, soon()).await;
    let all: Vec<String> =
        found(&store, &everything()).await.into_iter().map(|row| row.log_id).collect();
    assert_eq!(all.len(), 2_300);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 2_300, "each once");
    for page_rows in [1_000, 137] {
        let (mut pages, mut query) = (Vec::new(), everything());
        loop {
            let mut page = Vec::new();
            let take = |row: AuditRow| {
                page.push(row);
                Ok::<_, StoreError>(page.len() < page_rows)
            };
            store.find_alerts(&query, soon, take).await.unwrap();
            let Some(last) = page.last() else { break };
            let timestamp = Timestamp::from_iso(&last.timestamp).unwrap();
            query.after = Some(RowPosition { timestamp, log_id: last.log_id.clone() });
            pages.extend(page.into_iter().map(|row| row.log_id));
        }
        assert_eq!(pages, all, "pages of {page_rows}");
    }
    // A place outside the period.
    let before =
        RowPosition { timestamp: at(0).before(Duration::from_secs(1)), log_id: "x".into() };
    assert_eq!(found(&store, &AlertQuery { after: Some(before), ..everything() }).await, []);
    let later = RowPosition { timestamp: at(4).after(Duration::from_secs(1)), log_id: "x".into() };
    let query = AlertQuery { after: Some(later), until: at(4), ..everything() };
    assert_eq!(found(&store, &query).await.len(), 2_300);
    let gone = RowPosition { timestamp: at(4), log_id: "no such row".into() };
    let behind = found(&store, &AlertQuery { after: Some(gone), ..everything() }).await.len();
    assert!((2_300 - 460..=2_300).contains(&behind), "{behind}");
}

fn erasure() -> Erasure {
    Erasure::new("ann@example.org", Timestamp::from_millis(1_795_443_306_789)).unwrap()
}

fn about(id: &str) -> Alert {
    let context =
        LogContext { before: "login of ann@example.org".to_owned(), after: "x".to_owned() };
    Alert {
        context: Some(Box::new(context)),
        left_out: 7,
        ..alert_with(id, &["critical"], "[CRITICAL] payment of Ann@example.org failed")
    }
}

pub(super) async fn an_erased_row_stays_what_makes_its_alert_a_duplicate(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let alerts: Vec<Alert> = (0..30)
        .map(|n| {
            if n % 3 == 0 { about(&format!("{n}")) } else { alert(&format!("{n}"), &["critical"]) }
        })
        .collect();
    store.commit(&alerts, soon()).await;
    let before = found(&store, &everything()).await;
    let erased: Vec<_> = before.iter().filter_map(|row| erasure().row(row)).collect();
    assert_eq!(erased.len(), 10);
    assert_eq!(store.erase_rows(&erased, soon()).await.unwrap(), 10);
    let after = found(&store, &everything()).await;
    for (before, after) in before.iter().zip(&after) {
        let expected = match before.message.contains("payment") {
            false => before.clone(),
            true => AuditRow {
                message: "[erased on 2026-11-23]".to_owned(),
                pattern: "[erased on <time>]".to_owned(),
                context_before: String::new(),
                context_after: String::new(),
                ..before.clone()
            },
        };
        assert_eq!(*after, expected);
    }
    assert!(after.iter().all(|row| erasure().row(row).is_none()), "nothing is left to erase");
    let again = store.commit(&alerts, soon()).await;
    assert!(again.iter().all(|commit| matches!(commit, Commit::Duplicate { .. })), "{again:?}");
    assert_eq!(counted(&store, "critical").await, 30);
    // Its origin may be erased, too. A row that does not exist is not made.
    let mut origin = erased[0].clone();
    origin.app_name = Some("gone".to_owned());
    origin.log_stream = Some("gone".to_owned());
    let mut missing = erased[1].clone();
    missing.log_id = "missing".to_owned();
    assert_eq!(store.erase_rows(&[origin.clone(), missing], soon()).await.unwrap(), 1);
    let row = store.alert(&origin.log_id, soon()).await.unwrap().unwrap();
    assert_eq!(
        (&*row.app_name, &*row.log_stream, &*row.log_group),
        ("gone", "gone", "/aws/lambda/shop")
    );
    assert_eq!(found(&store, &everything()).await.len(), 30);
    let gone = AlertQuery { app: Some("gone".to_owned()), ..everything() };
    assert_eq!(found(&store, &gone).await.len(), 1, "the index has the new name");
    assert_eq!(store.erase_rows(&[], soon()).await.unwrap(), 0);
}

pub(super) async fn an_erased_outbox_counts_as_before(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let (route, at) = (route(), soon());
    store.commit(&[about("1"), alert("2", &["critical"])], at).await;
    store.commit(&[alert("3", &["critical"])], at).await;
    let holds = |text: String| text.to_lowercase().contains("ann@example.org");
    let tallies = async || store.tallies(&route, None, 97, soon()).await.unwrap().tallies;
    let stale = tallies().await;
    let history = |id: &str, pattern: &str| {
        let mut history = History::new(pattern, at.time());
        history.count(1, 2, at.time());
        HistoryChange { id: id.to_owned(), known: None, history }
    };
    let remembered = [history("a", "login of ANN@example.org failed"), history("b", "disk full")];
    assert!(store.put_histories(&route, &remembered, at).await.unwrap());
    let found = erase_outbox(&store, &erasure(), true, soon).await.unwrap();
    assert_eq!(found, ErasedOutbox { tallies: 1, epochs: 0, patterns: 1 });
    assert_eq!(tallies().await, stale, "a dry run changes nothing");

    // A freeze that has read the tallies before they were erased has no effect.
    store.open(&route, &opening(1), at).await.unwrap();
    assert!(store.close(&route, 1, None, at).await.unwrap());
    assert_eq!(erase_outbox(&store, &erasure(), false, soon).await.unwrap(), found);
    let epoch = Epoch {
        number: 1,
        window: 1,
        at: Timestamp::default(),
        tally: Tally::sum(stale.iter().map(|stored| &stored.tally)),
        owed: vec![target()],
        burst: None,
        ends_burst: false,
        hold: None,
        released: None,
    };
    let freeze = Freeze {
        closing: 1,
        after: 0,
        tallies: stale.into_iter().map(|stored| stored.key).collect(),
        epoch: Some(epoch.clone()),
        patterns: BurstPatterns::default(),
        burst: None,
        holding: Holding::default(),
        finish: Some(Finish::default()),
    };
    assert!(!store.freeze(&route, &freeze, at).await.unwrap(), "it has read the old tallies");
    let erased = tallies().await;
    assert!(!holds(format!("{erased:?}")), "{erased:?}");
    assert_eq!(counted(&store, "critical").await, 3);
    let keys: BTreeSet<_> = erased.iter().map(|stored| stored.key.clone()).collect();
    let tally = Tally::sum(erased.iter().map(|stored| &stored.tally));
    let freeze = Freeze {
        tallies: keys.into_iter().collect(),
        // As if the epoch had been frozen before.
        epoch: Some(Epoch { tally: epoch.tally.clone(), ..epoch }),
        ..freeze
    };
    assert_eq!(tally.alerts, 3);
    assert!(store.freeze(&route, &freeze, at).await.unwrap());

    let frozen = async || store.epochs(&route, 0, 1, usize::MAX, soon()).await.unwrap();
    assert!(holds(format!("{:?}", frozen().await)));
    let found = erase_outbox(&store, &erasure(), false, soon).await.unwrap();
    assert_eq!(found, ErasedOutbox { tallies: 0, epochs: 1, patterns: 0 });
    let known = store.all_histories(&route, at).await.unwrap();
    assert!(!holds(format!("{known:?}")), "{known:?}");
    assert!(known.iter().all(|(_, history)| (history.alerts, history.epoch) == (2, 1)));
    assert_eq!(known[1].1.pattern, "disk full");
    // A round that has read the old text counts on.
    let mut stale = remembered[0].history.clone();
    stale.count(2, 9, at.time());
    let stale = HistoryChange { id: "a".to_owned(), known: Some(1), history: stale };
    assert!(!store.put_histories(&route, &[stale], at).await.unwrap());
    let epochs = frozen().await;
    assert!(!holds(format!("{epochs:?}")), "{epochs:?}");
    assert_eq!((epochs[0].tally.alerts, &epochs[0].owed), (3, &vec![target()]));
    assert_eq!(
        erase_outbox(&store, &erasure(), false, soon).await.unwrap(),
        ErasedOutbox::default()
    );
}
