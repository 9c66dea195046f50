//! The histories of patterns and the marks, on every engine.

use aws_sdk_dynamodb::types::AttributeValue;
use stentor::model::history::{HISTORY_KEPT, Mark};
use stentor::protocol::store::HistoryChange;

use super::*;

/// A history with `alerts` alerts up to `epoch`, in place of one with the revision `known`.
fn history(id: &str, known: Option<u64>, epoch: u64, alerts: u64) -> HistoryChange {
    let now = SystemClock.now();
    let mut history = History::new("[CRITICAL] order <n> \u{1b} failed", now);
    history.count(epoch, alerts, now);
    history.revision = known.unwrap_or_default() + 1;
    HistoryChange { id: id.to_owned(), known, history }
}

pub(super) async fn a_history_is_replaced_by_the_process_that_knows_it(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let known = async |id: &str| {
        let ids = [id.to_owned(), "0123456789abcdef".to_owned()];
        let found = store.histories(&route(), &ids, soon()).await.unwrap();
        let found = found.into_iter().map(|(id, history)| (id, history.epoch, history.alerts));
        found.collect::<Vec<_>>()
    };
    let put = async |changes: &[HistoryChange]| {
        store.put_histories(&route(), changes, soon()).await.unwrap()
    };
    assert_eq!(known("a").await, []);
    assert!(put(&[history("a", None, 1, 3), history("b", None, 1, 1)]).await);
    assert_eq!(known("a").await, [("a".to_owned(), 1, 3)]);
    // A second process that has not read it.
    assert!(!put(&[history("a", None, 1, 9), history("c", None, 1, 2)]).await);
    assert_eq!(known("a").await, [("a".to_owned(), 1, 3)]);
    assert_eq!(known("c").await, [("c".to_owned(), 1, 2)], "the others are replaced");
    assert!(put(&[history("a", Some(1), 4, 7)]).await);
    assert!(!put(&[history("a", Some(1), 2, 5)]).await);
    assert_eq!(known("a").await, [("a".to_owned(), 4, 7)]);
    // One that has expired meanwhile.
    assert!(put(&[history("d", Some(3), 5, 1)]).await);
    assert_eq!(known("d").await, [("d".to_owned(), 5, 1)]);
    let other: RouteName = "other".parse().unwrap();
    assert_eq!(store.histories(&other, &["a".to_owned()], soon()).await.unwrap(), []);
    let all = store.all_histories(&route(), soon()).await.unwrap();
    assert_eq!(all.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    assert!(all.iter().all(|(_, history)| history.pattern.contains('\u{1b}')));

    // More than one request reads or writes.
    let ids: Vec<String> = (0..100).map(|n| format!("{n:016x}")).collect();
    let many: Vec<HistoryChange> = ids.iter().map(|id| history(id, None, 9, 1)).collect();
    assert!(put(&many).await);
    assert_eq!(store.histories(&route(), &ids, soon()).await.unwrap().len(), 100);
}

/// It makes no news, and is replaced, so that the route does not count its epochs in vain.
pub(super) async fn a_history_that_cannot_be_read_begins_again(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    assert!(store.put_histories(&route(), &[history("a", None, 1, 3)], soon()).await.unwrap());
    match &store {
        Database::Postgres(_) => {
            let TestEngine::Postgres(database) = &engine else { panic!("another engine") };
            database.query("UPDATE stentor.patterns SET history = 'later'");
        }
        Database::Dynamo(store) => {
            let key = |name: &str| AttributeValue::S(name.to_owned());
            let update = store.client().update_item().table_name(&store.tables().outbox);
            let update = update.key("pk", key("critical#patterns")).key("sk", key("a"));
            let update = update.update_expression("SET history = :later");
            let later = AttributeValue::B(b"later".to_vec().into());
            update.expression_attribute_values(":later", later).send().await.unwrap();
        }
    }
    let ids = ["a".to_owned()];
    let found = store.histories(&route(), &ids, soon()).await.unwrap();
    let [(_, begun)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((begun.alerts, begun.epoch, begun.revision), (0, 0, 1));
    let now = SystemClock.now();
    let long_ago = Some(now.before(HISTORY_KEPT));
    assert_eq!(History::news(Some(begun), 900, now, long_ago), None);
    assert!(store.put_histories(&route(), &[history("a", Some(1), 7, 2)], soon()).await.unwrap());
    let found = store.histories(&route(), &ids, soon()).await.unwrap();
    assert_eq!((found[0].1.alerts, found[0].1.revision), (2, 2));
}

pub(super) async fn the_epochs_that_histories_count_are_noted(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let cursor = async || store.cursor(&route(), soon()).await.unwrap();
    assert!(store.open(&route(), &opening(1), soon()).await.unwrap());
    assert_eq!(cursor().await.counted, 0);
    let began = Timestamp::from_millis(5);
    for (upto, counted, later) in [(3, 3, 0), (2, 3, 1), (7, 7, 2)] {
        let now = began.after(Duration::from_secs(later));
        store.set_counted(&route(), upto, now, soon()).await.unwrap();
        let cursor = cursor().await;
        assert_eq!((cursor.counted, cursor.counting_since), (counted, Some(began)));
    }
}

pub(super) async fn marks_are_read_in_order(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let at = |seconds| Timestamp::default().after(HISTORY_KEPT).after(Duration::from_secs(seconds));
    let mark = |seconds, text: &str| Mark { at: at(seconds), text: text.to_owned() };
    for (seconds, text) in [(20, "deploy v43"), (10, "deploy v42"), (10, "flag \"x\" on\0")] {
        store.mark(&mark(seconds, text), soon()).await.unwrap();
    }
    let texts = async |since| {
        let marks = store.marks(since, soon()).await.unwrap();
        marks.into_iter().map(|mark| (mark.at, mark.text.len())).collect::<Vec<_>>()
    };
    let mut all = texts(at(0)).await;
    all.sort();
    assert_eq!(all.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [at(10), at(10), at(20)]);
    assert_eq!(texts(at(11)).await, [(at(20), 10)]);
    assert_eq!(texts(at(20)).await, [(at(20), 10)], "the first moment counts");
}
