//! Answers that get lost, and values that another version of the program has written.

use std::time::Duration;

use stentor::adapters::clock::SystemClock;
use stentor::model::outbox::{Escalation, Lease, Recipient};
use stentor::protocol::clock::Clock as _;
use stentor::protocol::store::Store as _;

use super::through;
use crate::store::{acknowledgement, deferral, leased, route, soon, target};
use crate::support::postgres::PostgresDatabase;
use crate::support::tcp::TcpProxy;

/// The answer to an acknowledgement gets lost, and with it the connection. The repetition finds its own
/// write, so nothing says that the message may come twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_whose_answer_is_lost_succeeds() {
    let database = PostgresDatabase::empty();
    let proxy = TcpProxy::start(database.port).await;
    let (store, other) = (through(&proxy, &database), database.store());
    let (route, target, now) = (route(), target(), SystemClock.now());
    let recipient = Recipient::Own(&target);
    let lease =
        |owner: &str| Lease { owner: owner.to_owned(), until: now.after(Duration::from_secs(60)) };
    let (ann, bob) = (lease("ann"), lease("bob"));
    leased(&store, &ann, now).await.unwrap().expect("it is free");
    proxy.lose_next_answer();
    assert!(store.acknowledge(&route, recipient, &ann, &acknowledgement(3), soon()).await.unwrap());
    assert_eq!(other.target(&route, recipient, soon()).await.unwrap().offset, Some(3));
    assert_eq!(proxy.connections(), 2, "the answer was lost");

    leased(&store, &ann, now).await.unwrap().expect("it is free");
    proxy.lose_next_answer();
    let later = deferral(Some(now));
    assert!(store.release(&route, recipient, &ann, &later, soon()).await.unwrap());
    assert_eq!(other.target(&route, recipient, soon()).await.unwrap().not_before, Some(now));
    assert_eq!(proxy.connections(), 3, "the answer was lost");

    // Another process has the lease, with the same state: that is no own write.
    leased(&other, &bob, now).await.unwrap().expect("it is free");
    assert!(!store.release(&route, recipient, &ann, &later, soon()).await.unwrap());
    let accepted = acknowledgement(4);
    assert!(other.acknowledge(&route, recipient, &bob, &accepted, soon()).await.unwrap());
    // An acknowledgement has its time: that of the two differs.
    let acknowledged = SystemClock.now();
    while SystemClock.now() == acknowledged {
        tokio::task::yield_now().await;
    }
    assert!(!store.acknowledge(&route, recipient, &ann, &accepted, soon()).await.unwrap());
}

/// Another version of the program may write the same value as another text.
#[tokio::test(flavor = "multi_thread")]
async fn an_escalation_is_compared_by_its_value() {
    let database = PostgresDatabase::empty();
    let store = database.store();
    let (route, fallback) = (route(), target());
    let recipient = Recipient::Fallback(&fallback);
    let escalation = |upto| Escalation { upto, reason: "it is \"gone\"\0".to_owned() };
    let known = store.target(&route, recipient, soon()).await.unwrap();
    assert!(store.escalate(&route, &fallback, &known, 1, &escalation(3), soon()).await.unwrap());
    let known = store.target(&route, recipient, soon()).await.unwrap();
    assert_eq!(known.escalation, Some(escalation(3)));
    database.query(
        "UPDATE stentor.targets SET escalation = replace(rtrim(escalation, '}'), ':', ' : ') || ', \"more\": 1}'",
    );
    assert_eq!(store.target(&route, recipient, soon()).await.unwrap(), known, "the same value");
    assert!(store.escalate(&route, &fallback, &known, 2, &escalation(5), soon()).await.unwrap());
    assert!(!store.escalate(&route, &fallback, &known, 2, &escalation(7), soon()).await.unwrap());
    let state = store.target(&route, recipient, soon()).await.unwrap();
    assert_eq!((state.offset, state.escalation), (Some(2), Some(escalation(5))));
}
