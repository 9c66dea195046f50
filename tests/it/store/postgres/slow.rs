//! A database that is slow, and commits that store nothing.

use stentor::protocol::store::{Commit, Store as _};

use super::{alerts, within_ms};
use crate::store::{counted, route, soon};
use crate::support::alert;
use crate::support::postgres::PostgresDatabase;

/// All rows of a call take the server longer than the call has. It stores what it can, and later
/// calls go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_makes_progress() {
    const CALLS_MAX: usize = 12;
    let database = PostgresDatabase::empty();
    database.query(
        "CREATE FUNCTION stentor.slow() RETURNS trigger LANGUAGE plpgsql AS $$ \
            BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END $$; \
         CREATE TRIGGER slow BEFORE INSERT ON stentor.alert_ids FOR EACH ROW EXECUTE FUNCTION stentor.slow()",
    );
    let (store, alerts) = (database.store(), alerts(0..1_000));
    let mut calls = 0;
    loop {
        calls += 1;
        let commits = store.commit(&alerts, within_ms(1_500)).await;
        let failed = commits.iter().filter(|commit| matches!(commit, Commit::Failed(_))).count();
        if failed == 0 {
            break;
        }
        println!("call {calls}: {failed} alerts left");
        assert!(calls < CALLS_MAX, "{failed} of 1,000 alerts are left after {calls} calls");
    }
    assert!(calls > 1, "the database is not slow");
    assert_eq!(counted(&store, "critical").await, 1_000);
    assert_eq!(database.query("SELECT count(*) FROM stentor.alerts"), "1000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_stores_nothing_registers_no_route() {
    let database = PostgresDatabase::empty();
    let store = database.store();
    store.commit(&alerts(0..1), soon()).await;
    let elsewhere = [alert("0", &["other"])];
    let commits = store.commit(&elsewhere, soon()).await;
    assert!(matches!(commits[..], [Commit::Duplicate { .. }]), "{commits:?}");
    assert_eq!(store.routes(soon()).await.unwrap(), [route()]);
}
