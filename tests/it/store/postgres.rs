//! What only the store on PostgreSQL has: round trips, connections, partitions, roles and migrations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures::future::join_all;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::postgres::schema::{Migrated, Roles};
use stentor::adapters::postgres::{Login, PostgresSettings, PostgresStore};
use stentor::model::alert::Alert;
use stentor::model::audit::AlertQuery;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::{Commit, Store as _, StoreError};

mod lost;
mod moved;
mod slow;
mod tls;

use super::{close_and_freeze, counted, failure, opening, route, soon};
use crate::support::alert;
use crate::support::postgres::{self, PASSWORD, PostgresDatabase, PostgresServer, shared};
use crate::support::tcp::TcpProxy;

fn alerts(range: std::ops::Range<usize>) -> Vec<Alert> {
    range.map(|n| alert(&format!("{n}"), &["critical"])).collect()
}

fn settings(url: &str) -> PostgresSettings {
    PostgresSettings::parse(url, None).unwrap()
}

/// A store whose traffic passes a proxy.
fn through(proxy: &TcpProxy, database: &PostgresDatabase) -> PostgresStore {
    postgres::store(&postgres::url(proxy.port(), &database.name), SystemClock)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_one_round_trip() {
    let database = PostgresDatabase::empty();
    let proxy = TcpProxy::start(database.port).await;
    let store = through(&proxy, &database);
    store.routes(soon()).await.unwrap();
    let trips = async |alerts: &[Alert]| {
        let before = proxy.round_trips();
        let commits = store.commit(alerts, soon()).await;
        let fresh = commits.iter().filter(|commit| **commit == Commit::Fresh).count();
        (fresh, proxy.round_trips() - before)
    };
    assert_eq!(trips(&alerts(0..1_000)).await, (1_000, 1), "new alerts");
    assert_eq!(trips(&alerts(0..1_000)).await, (0, 1), "duplicates");
    assert_eq!(trips(&alerts(500..1_500)).await, (500, 2), "both");
    assert_eq!(counted(&store, "critical").await, 1_500);
    let before = proxy.round_trips();
    close_and_freeze(&store).await;
    // Cursor (twice), open with the row of the cursor (three), close, tallies, freeze.
    assert_eq!(proxy.round_trips() - before, 8);
}

/// Lambda freezes a process, and something on the way forgets its connections.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_died_unnoticed_is_replaced_within_the_deadline() {
    let database = PostgresDatabase::empty();
    let proxy = TcpProxy::start(database.port).await;
    let clock = crate::support::ForwardClock::default();
    let url = postgres::url(proxy.port(), &database.name);
    let store = postgres::store(&url, clock.for_store());
    store.routes(by(&clock, 10)).await.unwrap();
    assert_eq!(proxy.connections(), 1);
    // It was idle for long: it is asked, does not answer, and is replaced.
    proxy.swallow_present();
    clock.forward(Duration::from_secs(600));
    store.routes(by(&clock, 10)).await.unwrap();
    assert_eq!(proxy.connections(), 2);
    // It was used a moment ago, so it is not asked. The statement gets no answer, and is repeated.
    proxy.swallow_present();
    assert_eq!(store.commit(&alerts(0..1), by(&clock, 20)).await.len(), 1);
    let rows = database.query("SELECT count(*) FROM stentor.alerts");
    assert_eq!((proxy.connections(), rows.as_str()), (3, "1"));
    // A connection that was closed is not used.
    proxy.close_present();
    store.routes(by(&clock, 10)).await.unwrap();
    assert_eq!(proxy.connections(), 4);
}

fn by(clock: &crate::support::ForwardClock, seconds: u64) -> Deadline {
    Deadline::after(clock.for_store().now(), Duration::from_secs(seconds))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_has_no_more_connections_than_it_may() {
    let database = PostgresDatabase::empty();
    let proxy = TcpProxy::start(database.port).await;
    let url = postgres::url(proxy.port(), &database.name);
    let settings = settings(&url).with_connections(3);
    let store = PostgresStore::new(settings, SystemClock, Rng::new());
    let (route, deadline) = (route(), soon());
    let cursors = join_all((0..40).map(|_| store.cursor(&route, deadline))).await;
    assert!(cursors.into_iter().all(|cursor| cursor.is_ok()));
    assert_eq!(proxy.connections(), 3);
}

/// A statement that waits for a lock ends with its deadline, on the server too.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_ends_within_its_deadline_on_the_server_too() {
    let database = PostgresDatabase::empty();
    let store = database.store();
    store.open(&route(), &opening(1), soon()).await.unwrap();
    let holder = database.store();
    let (client, connection) =
        tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute("BEGIN; LOCK stentor.cursors").await.unwrap();
    let began = Instant::now();
    let deadline = Deadline::after(SystemClock.now(), Duration::from_millis(700));
    let cursor = store.close(&route(), 1, None, deadline).await;
    assert!(matches!(cursor, Err(StoreError::Unavailable(_))), "{cursor:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while database.query(waiting) != "0" {
        assert!(began.elapsed() < Duration::from_secs(5), "a statement is left on the server");
    }
    client.batch_execute("COMMIT").await.unwrap();
    assert!(holder.close(&route(), 1, None, soon()).await.unwrap(), "the statement had no effect");
    drop(client);
    connection.await.unwrap().unwrap();
}

/// Two statements that store the same alerts: the second waits for the first, and then finds them.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_waits_for_another_one_of_the_same_alert() {
    let database = PostgresDatabase::empty();
    let store = database.store();
    let (client, connection) =
        tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    store.commit(&alerts(0..1), soon()).await;
    // The id is taken away, and put back by a transaction that is not committed yet.
    client
        .batch_execute("CREATE TEMP TABLE taken AS SELECT * FROM stentor.alert_ids")
        .await
        .unwrap();
    client.batch_execute("DELETE FROM stentor.alert_ids").await.unwrap();
    client.batch_execute("BEGIN; INSERT INTO stentor.alert_ids SELECT * FROM taken").await.unwrap();
    let alerts = alerts(0..2);
    let commit = store.commit(&alerts, soon());
    let finish = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let began = Instant::now();
        while database.query(waits) == "0" {
            assert!(began.elapsed() < Duration::from_secs(15), "the commit does not wait");
        }
        client.batch_execute("COMMIT").await.unwrap();
    };
    let (commits, ()) = futures::future::join(commit, finish).await;
    assert!(matches!(&commits[..], [Commit::Duplicate { .. }, Commit::Fresh]), "{commits:?}");
    assert_eq!(counted(&store, "critical").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_its_schema_says_what_to_run() {
    let server = shared();
    let database = PostgresDatabase { name: "without_schema".to_owned(), port: server.port };
    server.create(&database.name, None);
    let store = database.store();
    let refused = |error: StoreError| match error {
        StoreError::Refused(cause) => cause.to_string(),
        other => panic!("{other:?}"),
    };
    let error = refused(store.cursor(&route(), soon()).await.unwrap_err());
    assert!(error.contains("run `stentor migrate`"), "{error}");
    let commits = store.commit(&alerts(0..2), soon()).await;
    assert!(matches!(failure(&commits[0]), Some(StoreError::Refused(_))), "{commits:?}");

    // Migrations may be repeated, and run by several at once.
    let migrated = join_all(
        (0..3)
            .map(|_| async { database.store().migrate(&Roles::default(), soon()).await.unwrap() }),
    )
    .await;
    let applied: usize = migrated.iter().map(|migrated| migrated.applied.len()).sum();
    assert_eq!(applied, 1, "{migrated:?}");
    assert!(store.cursor(&route(), soon()).await.is_ok(), "the same process goes on");

    database.query("INSERT INTO stentor.schema_version VALUES (99, 98, 'from the future')");
    let error = refused(database.store().cursor(&route(), soon()).await.unwrap_err());
    assert!(error.contains("too new for this program"), "{error}");
    let error = refused(database.store().migrate(&Roles::default(), soon()).await.unwrap_err());
    assert!(error.contains("too new for this program"), "{error}");
    database.query("UPDATE stentor.schema_version SET compatible_from = 1 WHERE version = 99");
    assert!(database.store().cursor(&route(), soon()).await.is_ok(), "an update is under way");
    let migrated = Migrated { before: Some(1), ..Migrated::default() };
    database.query("DELETE FROM stentor.schema_version WHERE version = 99");
    assert_eq!(database.store().migrate(&Roles::default(), soon()).await, Ok(migrated));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_hold_every_character_is_refused() {
    let server = shared();
    server.query(
        "postgres",
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    let database = PostgresDatabase { name: "latin".to_owned(), port: server.port };
    let error = database.store().migrate(&Roles::default(), soon()).await.unwrap_err();
    assert!(error.to_string().contains("LATIN1: create one with UTF8"), "{error}");
}

/// The role of the functions can do all of their work, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn the_roles_have_the_rights_that_they_need_and_no_others() {
    let database = PostgresDatabase::empty();
    database.query(&format!("CREATE ROLE \"the function\" LOGIN PASSWORD '{PASSWORD}'"));
    database.query(&format!("CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'"));
    let roles =
        Roles { function: Some("the function".to_owned()), reader: Some("reader".to_owned()) };
    database.store().migrate(&roles, soon()).await.unwrap();
    let of = |role: &str| {
        let url = database.url().replacen("stentor:", &format!("{role}:"), 1);
        postgres::store(&url, SystemClock)
    };
    let (function, reader) = (of("the%20function"), of("reader"));
    // The whole protocol.
    assert_eq!(function.commit(&alerts(0..1), soon()).await, [Commit::Fresh]);
    assert!(matches!(function.commit(&alerts(0..1), soon()).await[..], [Commit::Duplicate { .. }]));
    assert_eq!(close_and_freeze(&function).await, 1);
    let cursor = function.cursor(&route(), soon()).await.unwrap();
    function.retire(&route(), &cursor, 1, &[super::target()], soon()).await.unwrap();
    function.mute(&route(), None, soon()).await.unwrap();
    function.note_lag(Timestamp::default(), soon()).await.unwrap();
    function.pause(&super::target(), Timestamp::default(), soon()).await.unwrap();
    function.take_turn(&super::target(), Duration::ZERO, SystemClock.now(), soon()).await.unwrap();
    let now = SystemClock.now();
    let lease = stentor::model::outbox::Lease { owner: "a".to_owned(), until: now };
    super::leased(&function, &lease, now).await.unwrap().unwrap();
    function.maintain(soon()).await.unwrap();
    assert!(function.installation_id(soon()).await.is_ok());
    // A reader sees it, and changes nothing.
    assert_eq!(reader.cursor(&route(), soon()).await.unwrap().epoch, 1);
    assert!(reader.alert(alerts(0..1)[0].id.as_str(), soon()).await.unwrap().is_some());
    let refused = reader.mute(&route(), None, soon()).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Refused(cause) if cause.code == "42501"), "{refused}");
    assert!(matches!(
        failure(&reader.commit(&alerts(5..6), soon()).await[0]),
        Some(StoreError::Refused(_))
    ));
    // Neither may remove what is kept for audit.
    for role in ["\"the function\"", "reader"] {
        for statement in [
            "DELETE FROM stentor.alerts",
            "UPDATE stentor.alerts SET message = ''",
            "DELETE FROM stentor.alert_ids",
            "DELETE FROM stentor.epochs",
            "TRUNCATE stentor.tallies",
            "DROP TABLE stentor.alerts",
            "CREATE TABLE stentor.more (a int)",
            "INSERT INTO stentor.schema_version VALUES (2, 2, 'x')",
        ] {
            let sql = format!("SET ROLE {role}; {statement}");
            let (client, connection) =
                tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
            let connection = tokio::spawn(connection);
            let refused = client.batch_execute(&sql).await.unwrap_err();
            let code = refused.code().map(tokio_postgres::error::SqlState::code);
            assert_eq!(code, Some("42501"), "{role}: {statement}: {refused}");
            drop(client);
            connection.await.unwrap().unwrap();
        }
    }
}

/// Days pass: rows stay for as long as they are kept, and go with their partition.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_rows_expires_with_its_partition() {
    let database = PostgresDatabase::empty();
    let store = database.store().keeping(30);
    let partitions = || {
        let sql = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'stentor.alerts'::regclass";
        database.query(sql).parse::<u32>().unwrap()
    };
    // Today, the next seven days, and the default partition.
    assert_eq!(partitions(), 9);
    store.commit(&alerts(0..5), soon()).await;
    assert_eq!(database.query("SELECT count(*) FROM ONLY stentor.alerts_default"), "0");
    // The same rows as of 31 days ago, and others as of 30 days ago.
    age(&database, 31);
    store.commit(&alerts(5..12), soon()).await;
    age(&database, 30);
    // Rows of a day without a partition.
    store.commit(&alerts(20..23), soon()).await;
    database.query(
        "UPDATE stentor.alert_ids SET stored_on = stored_on - 40 WHERE stored_on = (now() AT TIME ZONE 'UTC')::date; \
         UPDATE stentor.alerts SET stored_on = stored_on - 40 WHERE stored_on = (now() AT TIME ZONE 'UTC')::date",
    );
    assert_eq!(database.query("SELECT count(*) FROM ONLY stentor.alerts_default"), "3");
    // Neither a migration nor a process without a retention deletes anything.
    database.migrate();
    database.store().maintain(soon()).await.unwrap();
    assert_eq!(database.query("SELECT count(*) FROM stentor.alert_ids"), "15");
    store.maintain(soon()).await.unwrap();
    assert_eq!(database.query("SELECT count(*) FROM stentor.alerts"), "7");
    assert_eq!(database.query("SELECT count(*) FROM stentor.alert_ids"), "7");
    // An alert that comes again counts again only after that.
    assert!(matches!(store.commit(&alerts(5..6), soon()).await[..], [Commit::Duplicate { .. }]));
    assert_eq!(store.commit(&alerts(0..1), soon()).await, [Commit::Fresh]);
    let before = partitions();
    store.maintain(soon()).await.unwrap();
    assert_eq!(partitions(), before, "a process maintains the tables now and then");
    let short = database.store().keeping(20).maintain(soon()).await.unwrap_err();
    assert!(short.to_string().contains("at least 21 days"), "{short}");
}

/// A page of a query may take longer than a statement of the protocol.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_has_the_time_that_its_caller_has() {
    let database = PostgresDatabase::empty();
    let store = database.store();
    store.commit(&alerts(0..3), soon()).await;
    // Each row that is looked at takes two seconds, more than a statement has altogether.
    database.query(
        "ALTER TABLE stentor.alerts RENAME TO stored; \
         CREATE VIEW stentor.alerts AS SELECT s.* FROM stentor.stored s \
            WHERE (SELECT pg_sleep(2) WHERE s.log_id IS NOT NULL) IS NOT NULL",
    );
    let query = AlertQuery::between(Timestamp::default(), SystemClock.now());
    let mut found = 0;
    let count = |_| {
        found += 1;
        Ok::<_, StoreError>(true)
    };
    let minute = || Deadline::after(SystemClock.now(), Duration::from_secs(60));
    store.find_alerts(&query, minute, count).await.unwrap();
    assert_eq!(found, 3);
}

/// Moves the rows of today to an earlier day with a partition of its own.
fn age(database: &PostgresDatabase, days: u32) {
    database.query(&format!(
        "DO $$ DECLARE today date := (now() AT TIME ZONE 'UTC')::date; part text; BEGIN \
            part := 'alerts_' || to_char(today - {days}, 'YYYYMMDD'); \
            EXECUTE format('CREATE TABLE stentor.%I PARTITION OF stentor.alerts FOR VALUES IN (%L)', part, today - {days}); \
            UPDATE stentor.alert_ids SET stored_on = stored_on - {days} WHERE stored_on = today; \
            UPDATE stentor.alerts SET stored_on = stored_on - {days} WHERE stored_on = today; \
        END $$"
    ));
}

/// Without maintenance for a week, rows go to the default partition, and nothing fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_without_a_partition_fails_no_commit() {
    let database = PostgresDatabase::empty();
    database.query(
        "DO $$ DECLARE part regclass; BEGIN FOR part IN SELECT inhrelid::regclass FROM pg_inherits \
            WHERE inhparent = 'stentor.alerts'::regclass AND inhrelid <> 'stentor.alerts_default'::regclass \
            LOOP EXECUTE 'DROP TABLE ' || part; END LOOP; END $$",
    );
    let store = database.store();
    assert_eq!(store.commit(&alerts(0..1), soon()).await, [Commit::Fresh]);
    store.maintain(soon()).await.unwrap();
    assert!(matches!(store.commit(&alerts(0..1), soon()).await[..], [Commit::Duplicate { .. }]));
    assert_eq!(store.commit(&alerts(1..2), soon()).await, [Commit::Fresh], "today stays there");
    let later = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'stentor.alerts'::regclass";
    assert_eq!(database.query(later), "8", "the default partition, and the next seven days");
}

/// The password changes, as in a rotation: connections go on, and the next one reads the secret again.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_is_read_again() {
    let database = PostgresDatabase::empty();
    database.query("CREATE ROLE rotated LOGIN PASSWORD 'first'");
    let roles = Roles { function: Some("rotated".to_owned()), reader: None };
    database.store().migrate(&roles, soon()).await.unwrap();
    let (reads, rotated) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let secret = {
        let (reads, rotated) = (Arc::clone(&reads), Arc::clone(&rotated));
        let (port, name) = (database.port, database.name.clone());
        move |_| {
            reads.fetch_add(1, Ordering::SeqCst);
            let password = if rotated.load(Ordering::SeqCst) { "second" } else { "first" };
            let text = serde_json::json!({
                "engine": "postgres", "host": "127.0.0.1", "port": port, "username": "rotated",
                "password": password, "dbname": name,
            });
            let read: futures::future::BoxFuture<'static, _> =
                Box::pin(futures::future::ready(Ok(Some(text.to_string()))));
            read
        }
    };
    let login = Login::secret(Box::new(secret), Default::default(), None);
    let clock = crate::support::ForwardClock::default();
    let settings = PostgresSettings::new(login, "the test".to_owned(), None);
    let store = PostgresStore::new(settings, clock.for_store(), Rng::new());
    store.routes(by(&clock, 10)).await.unwrap();
    database.query("ALTER ROLE rotated PASSWORD 'second'");
    rotated.store(true, Ordering::SeqCst);
    store.routes(by(&clock, 10)).await.unwrap();
    assert_eq!(reads.load(Ordering::SeqCst), 1, "a connection stays open");
    database
        .query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotated'");
    clock.forward(Duration::from_secs(60));
    store.routes(by(&clock, 10)).await.unwrap();
    assert_eq!(reads.load(Ordering::SeqCst), 2);
    // A wrong password is reported at once, and does not cause a read for each call.
    database.query("ALTER ROLE rotated PASSWORD 'third'");
    database
        .query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotated'");
    for _ in 0..3 {
        let refused = store.routes(by(&clock, 10)).await.unwrap_err();
        assert!(
            matches!(&refused, StoreError::Refused(cause) if cause.code == "28P01"),
            "{refused}"
        );
        assert!(!refused.to_string().contains("second"), "{refused}");
    }
    assert_eq!(reads.load(Ordering::SeqCst), 2, "it was read a moment ago");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_database_fails_at_the_deadline() {
    // No server listens on port 9.
    let store = postgres::store(&postgres::url(9, "stentor"), SystemClock);
    let started = SystemClock.now();
    let deadline = Deadline::after(started, Duration::from_millis(300));
    let commits = store.commit(&alerts(0..1), deadline).await;
    assert!(matches!(failure(&commits[0]), Some(StoreError::Unavailable(_))), "{commits:?}");
    assert!(started.until(SystemClock.now()) < Duration::from_secs(3));
}

/// The server is killed, with all of its processes, while several processes commit and one freezes. After
/// each recovery they go on. At the end, each row is in one count.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_killed_at_any_moment_loses_nothing_and_counts_once() {
    const COMMITTERS: usize = 4;
    const CRASHES: usize = 4;
    const CONNECTIONS_KILLED: usize = 12;
    let server = Arc::new(PostgresServer::start());
    server.create("killed", None);
    server.migrate("killed");
    let url = postgres::url(server.port, "killed");
    let is_over = Arc::new(AtomicBool::new(false));
    let [committed, frozen] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let committers = (0..COMMITTERS).map(|process| {
        let (url, is_over, committed) = (url.clone(), Arc::clone(&is_over), Arc::clone(&committed));
        tokio::spawn(async move {
            let store = postgres::store(&url, SystemClock);
            let (mut batch, mut failed) = (0, 0_u32);
            loop {
                // Neighbors commit half of the same alerts.
                let first = batch * 50 + process * 10;
                let commits = store.commit(&alerts(first..first + 50), within_ms(1_500)).await;
                if commits.iter().any(|commit| matches!(commit, Commit::Failed(_))) {
                    failed += 1;
                    continue;
                }
                batch += 1;
                committed.fetch_add(1, Ordering::SeqCst);
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
            }
            (batch, failed)
        })
    });
    let committers: Vec<_> = committers.collect();
    let freezer = {
        let (url, is_over, frozen) = (url.clone(), Arc::clone(&is_over), Arc::clone(&frozen));
        tokio::spawn(async move {
            let store = postgres::store(&url, SystemClock);
            while !is_over.load(Ordering::SeqCst) {
                let is_frozen = freeze_once(&store).await.is_ok_and(|frozen| frozen);
                frozen.fetch_add(u64::from(is_frozen), Ordering::SeqCst);
            }
        })
    };
    let killer = {
        let server = Arc::clone(&server);
        tokio::task::spawn_blocking(move || {
            let mut rng = Rng::with_seed(7);
            let mut killed = 0;
            let done = || (committed.load(Ordering::SeqCst), frozen.load(Ordering::SeqCst));
            for _ in 0..CRASHES {
                // However slow the machine is, each crash is in the middle of work.
                let (before, began) = (done(), Instant::now());
                while done().0 == before.0 || done().1 == before.1 {
                    assert!(began.elapsed() < Duration::from_secs(60), "no process goes on");
                    std::thread::sleep(Duration::from_millis(5));
                }
                for _ in 0..CONNECTIONS_KILLED / CRASHES {
                    std::thread::sleep(Duration::from_millis(rng.u64(50..400)));
                    killed += u32::from(server.kill_one_connection());
                }
                std::thread::sleep(Duration::from_millis(rng.u64(100..600)));
                server.crash();
                server.restart(&[]);
            }
            (killed, done().1)
        })
    };
    let (killed, freezes) = killer.await.unwrap();
    is_over.store(true, Ordering::SeqCst);
    freezer.await.unwrap();
    let (mut batches, mut failed) = (0, 0);
    for committer in committers {
        let (done, failures) = committer.await.unwrap();
        (batches, failed) = (batches + done, failed + failures);
    }
    let store = postgres::store(&url, SystemClock);
    while !freeze_once(&store).await.unwrap() {}
    let waiting = counted(&store, "critical").await;
    let cursor = store.cursor(&route(), soon()).await.unwrap();
    let epochs = store.epochs(&route(), 0, cursor.epoch, usize::MAX, soon()).await.unwrap();
    assert!(epochs.iter().map(|epoch| epoch.number).eq(1..=cursor.epoch), "no gap");
    let frozen: u64 = epochs.iter().map(|epoch| epoch.tally.alerts).sum();
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM stentor.{table}");
        server.query("killed", &sql).parse::<u64>().unwrap()
    };
    println!(
        "{CRASHES} crashes of the server, {killed} connections killed, {batches} batches, {failed} failed, \
         {freezes} freezes, {} rows",
        count("alerts")
    );
    assert_eq!((count("alerts"), count("alert_ids")), (frozen + waiting, frozen + waiting));
    assert!(batches > 4 && failed > 0 && freezes > 0 && killed > 0, "the test has tested nothing");
}

fn within_ms(ms: u64) -> Deadline {
    Deadline::after(SystemClock.now(), Duration::from_millis(ms))
}

/// Continues from what is stored, as a process after a crash does.
async fn freeze_once(store: &PostgresStore) -> Result<bool, StoreError> {
    use stentor::model::outbox::{BurstPatterns, Epoch, Finish, Freeze, Opening};
    use stentor::model::tally::Tally;
    let (route, at) = (route(), within_ms(1_500));
    let cursor = store.cursor(&route, at).await?;
    if cursor.closing.is_none() {
        match &cursor.open {
            None => {
                let next = Opening { targets: Vec::new(), ..opening(cursor.last_window + 1) };
                store.open(&route, &next, at).await?;
            }
            Some(open) => {
                store.close(&route, open.number, None, at).await?;
            }
        }
        return Ok(false);
    }
    let stored = store.tallies(&route, None, 97, at).await?.tallies;
    let tally = Tally::sum(stored.iter().map(|stored| &stored.tally));
    let epoch = Epoch {
        number: cursor.epoch + 1,
        window: cursor.closing.unwrap_or_default(),
        at: Timestamp::default(),
        owed: Vec::new(),
        burst: None,
        ends_burst: false,
        hold: None,
        released: None,
        tally,
    };
    let freeze = Freeze {
        closing: cursor.closing.unwrap_or_default(),
        after: cursor.epoch,
        tallies: stored.into_iter().map(|stored| stored.key).collect(),
        epoch: (epoch.tally.alerts > 0).then_some(epoch),
        patterns: BurstPatterns::default(),
        burst: None,
        holding: Default::default(),
        finish: Some(Finish::default()),
    };
    store.freeze(&route, &freeze, at).await
}
