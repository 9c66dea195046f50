//! `--store postgres://…`: the same commands on a PostgreSQL database.

use std::time::Instant;

use super::*;
use crate::support::postgres::{PASSWORD, PostgresDatabase, shared};

/// A command on the database, with the password in the environment.
fn on(database: &PostgresDatabase, directory: &Path, arguments: &[&str]) -> Output {
    let url = format!("postgres://stentor@127.0.0.1:{}/{}", database.port, database.name);
    let mut command = stentor(directory, arguments);
    command.env("PGPASSWORD", PASSWORD).args(["--store", &url]).output().unwrap()
}

fn printed(database: &PostgresDatabase, directory: &Path, arguments: &[&str]) -> String {
    let output = on(database, directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_run_and_the_commands_after_it_work_on_postgres() {
    let directory = scratch("postgres");
    let database = PostgresDatabase { name: "cli".to_owned(), port: shared().port };
    shared().create(&database.name, None);
    let refused = on(&database, &directory, &["run", "events/kinesis-burst.json"]);
    assert_eq!(refused.status.code(), Some(2));
    let why = text(&refused.stderr);
    assert!(why.contains("run `stentor migrate`"), "{why}");

    let migrated = printed(&database, &directory, &["migrate"]);
    assert!(migrated.contains("applied migration 1: initial"), "{migrated}");
    assert!(!printed(&database, &directory, &["migrate"]).contains("applied"));

    let run = |event: &str| -> Value {
        serde_json::from_str(&printed(&database, &directory, &["run", event, "--json"])).unwrap()
    };
    let first = run("events/kinesis-burst.json");
    assert_eq!((&first["kept"], &first["messages"][0]["alerts"]), (&json!(180), &json!(180)));
    let second = run("events/kinesis-burst.json");
    assert_eq!((&second["kept"], &second["duplicates"]), (&json!(0), &json!(180)));
    assert_eq!(second["messages"], json!([]));
    assert!(!directory.join("data/stentor.db").exists(), "the embedded database is not used");

    let year = ["--since", "0001-01-01", "--until", "9999-12-31"];
    let alerts = [&["alerts", "--json", "--limit", "0"][..], &year].concat();
    let rows = printed(&database, &directory, &alerts);
    assert_eq!(rows.lines().count(), 180);
    let row: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    let app = row["app_name"].as_str().unwrap();
    let of_app = printed(&database, &directory, &[&alerts[..], &["--app", app]].concat());
    assert!((1..180).contains(&of_app.lines().count()));

    let id = row["log_id"].as_str().unwrap();
    let trace: Value =
        serde_json::from_str(&printed(&database, &directory, &["trace", id, "--json"])).unwrap();
    assert_eq!(trace["alert"]["log_id"], json!(id));
    assert_eq!(trace["routes"][0]["targets"][0]["state"], json!("acknowledged"), "{trace}");

    let patterns = printed(&database, &directory, &["patterns", "--since", "0001-01-01"]);
    assert!(patterns.lines().count() > 5, "{patterns}");

    let muted = printed(&database, &directory, &["mute", "alerts", "--for", "1h"]);
    assert!(muted.starts_with("alerts is muted until"), "{muted}");
    let unmuted = printed(&database, &directory, &["unmute", "alerts"]);
    assert_eq!(unmuted, "alerts is no longer muted.\n");
}

#[test]
fn dead_letters_are_replayed_into_the_database() {
    let directory = scratch("postgres-replay");
    let database = PostgresDatabase::empty();
    let parked = on(&database, &directory, &["run", "events/kinesis-poison.json"]);
    assert_eq!(parked.status.code(), Some(1), "{}", text(&parked.stderr));
    let data = directory.join("data");
    let replay = || {
        let arguments =
            ["replay", "--data-dir", data.to_str().unwrap(), "--max-decoded", "1GiB", "--json"];
        let output = on(&database, &directory, &arguments);
        serde_json::from_str::<Value>(&text(&output.stdout))
            .unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
    };
    let without = on(&database, &directory, &["replay"]);
    assert!(
        text(&without.stderr).contains("--store needs --data-dir"),
        "{}",
        text(&without.stderr)
    );
    let first = replay();
    let files: Vec<String> = std::fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(files.iter().any(|name| name.starts_with("replayed-")), "{first} {files:?}");
    assert!(!files.contains(&"stentor.db".to_owned()), "{files:?}");
}

/// A wrong URL is reported without its password.
#[test]
fn the_password_of_the_url_is_never_printed() {
    let directory = scratch("postgres-secrecy");
    let port = shared().port;
    let database = PostgresDatabase::empty();
    let urls = [
        format!("postgres://stentor:hunter2@127.0.0.1:{port}/{}", database.name),
        format!("postgres://stentor:hunter2@127.0.0.1:{port}/no-such-database"),
        "postgres://stentor:hunter2@127.0.0.1:9/logs".to_owned(),
        "postgres://stentor:hunter2@127.0.0.1:port/logs".to_owned(),
        "postgres://stentor:hunter2@127.0.0.1/logs?sslmode=require".to_owned(),
        "postgres://stentor:hunter2@127.0.0.1/logs?hunter2=hunter2".to_owned(),
        "postgres://stentor:hun?hunter2@127.0.0.1/logs".to_owned(),
        "mysql://stentor:hunter2@127.0.0.1/logs".to_owned(),
        "hunter2".to_owned(),
    ];
    let year = ["--since", "1d"];
    for url in &urls {
        for command in [
            &["run", "events/kinesis-burst.json", "--timeout", "2"][..],
            &["alerts"],
            &["migrate", "--timeout", "2"],
        ] {
            let arguments =
                if command == ["alerts"] { [command, &year].concat() } else { command.to_vec() };
            let mut command = stentor(&directory, &arguments);
            let output = command.args(["-vv", "--store", url]).output().unwrap();
            let shown = text(&output.stdout) + &text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{url}: {shown}");
            assert!(!shown.contains("hunter2") && shown.contains("error"), "{url}: {shown}");
        }
    }
    let without = format!("postgres://stentor@127.0.0.1:{port}/{}", database.name);
    let without = stentor(&directory, &["alerts", "--store", &without]).output().unwrap();
    assert!(text(&without.stderr).contains("set PGPASSWORD"), "{}", text(&without.stderr));
    // The wrong arguments are quoted by the parser of arguments.
    for arguments in [
        &["alerts", "--store", &urls[0], "--data-dir", "x"][..],
        &["alerts", "--store", &urls[0], "--nonsense"],
    ] {
        let output = stentor(&directory, arguments).output().unwrap();
        let shown = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.code() == Some(2) && !shown.contains("hunter2"), "{shown}");
    }
}

/// Each run is killed at some moment, in whatever it does. The last one finishes the work. Each line has one
/// row, and each row is in one count.
#[test]
fn a_run_that_is_killed_at_any_moment_loses_nothing_and_counts_once() {
    const LINES: usize = 4_000;
    const KILLED: usize = 12;
    let directory = scratch("postgres-killed");
    let database = PostgresDatabase::empty();
    let log = directory.join("app.log");
    let lines: Vec<String> =
        (0..LINES).map(|n| format!("2026-11-23T14:15:06Z [CRITICAL] order {n} failed")).collect();
    std::fs::write(&log, lines.join("\n")).unwrap();
    let arguments = ["run", log.to_str().unwrap(), "--json", "--timeout", "20", "--store"];
    let start = || {
        let mut command = stentor(&directory, &[&arguments[..], &[&database.url()]].concat());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut rng = fastrand::Rng::with_seed(11);
    let mut moments = Vec::new();
    for _ in 0..KILLED {
        let mut child = start();
        std::thread::sleep(Duration::from_millis(rng.u64(20..600)));
        moments
            .push(database.query("SELECT count(*) FROM stentor.alerts").parse::<usize>().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // A target may still be leased to a process that was killed: then its message is left undelivered.
    let last = start().wait().unwrap();
    assert!(matches!(last.code(), Some(0 | 1)), "{last}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let counted: u64 = runtime.block_on(counted(&database));
    let rows = database.query("SELECT count(*) FROM stentor.alerts");
    let ids = database.query("SELECT count(*) FROM stentor.alert_ids");
    println!("rows after each kill: {moments:?}");
    assert_eq!((rows, ids), (LINES.to_string(), LINES.to_string()));
    assert_eq!(counted, LINES as u64);
}

/// The alerts in all tallies and epochs.
async fn counted(database: &PostgresDatabase) -> u64 {
    use stentor::protocol::clock::Deadline;
    use stentor::protocol::store::Store as _;
    let store = database.store();
    let at = Deadline::after(SystemClock.now(), Duration::from_secs(30));
    let mut counted = 0;
    for route in store.routes(at).await.unwrap() {
        let cursor = store.cursor(&route, at).await.unwrap();
        let epochs = store.epochs(&route, 0, cursor.epoch, usize::MAX, at).await.unwrap();
        counted += epochs.iter().map(|epoch| epoch.tally.alerts).sum::<u64>();
        let tallies = store.tallies(&route, None, usize::MAX, at).await.unwrap().tallies;
        counted += tallies.iter().map(|stored| stored.tally.alerts).sum::<u64>();
    }
    counted
}

/// The report has the alerts that were stored, and the exit says that the run is not finished.
#[test]
fn a_run_that_loses_its_database_says_what_it_has_stored() {
    let directory = scratch("postgres-lost");
    let database = PostgresDatabase::empty();
    let mut run =
        stentor(&directory, &["run", "-", "--timeout", "3", "--json", "--store", &database.url()]);
    let mut run = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = run.stdin.take().unwrap();
    writeln!(input, "[CRITICAL] disk full").unwrap();
    let started = Instant::now();
    while database.query("SELECT count(*) FROM stentor.alerts") != "1" {
        assert!(started.elapsed() < Duration::from_secs(30), "the alert is not stored");
        std::thread::sleep(Duration::from_millis(20));
    }
    let name = &database.name;
    shared().query("postgres", &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    let end =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    shared().query("postgres", &end);
    drop(input);
    let output = run.wait_with_output().unwrap();
    let report: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!((output.status.code(), &report["kept"]), (Some(1), &json!(1)), "{report}");
    assert_eq!(report["undelivered"][0]["route"], json!("alerts"), "{report}");
}
