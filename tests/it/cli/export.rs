//! `stentor export` and `stentor erase` on the data directory of a run, and the pages of `stentor alerts`.

use super::*;
use crate::support::schema::check_documents;

const ALL: [&str; 4] = ["--since", "0001-01-01", "--until", "9999-12-31"];

/// A directory with the alerts of a run, and the arguments that name it.
fn stored(test: &str, lines: &[&str]) -> (PathBuf, [String; 2]) {
    let directory = scratch(test);
    let log = directory.join("app.log");
    std::fs::write(&log, lines.join("\n")).unwrap();
    assert_eq!(report(&directory, &[log.to_str().unwrap()]).1, 0);
    let data = directory.join("data").display().to_string();
    (directory, ["--data-dir".to_owned(), data])
}

fn command(directory: &Path, data: &[String; 2], arguments: &[&str]) -> Output {
    let mut command = stentor(directory, arguments);
    command.args(data).current_dir(directory).output().unwrap()
}

fn done(directory: &Path, data: &[String; 2], arguments: &[&str]) -> String {
    let output = command(directory, data, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn json_of(output: &str) -> Value {
    serde_json::from_str(output).unwrap_or_else(|_| panic!("{output}"))
}

fn many() -> Vec<String> {
    let line = |n: usize| {
        format!(
            "2026-11-2{}T14:15:{:02}Z [CRITICAL] order {n} of user-{} failed",
            n % 3,
            n % 60,
            n % 7
        )
    };
    (0..400).map(line).collect()
}

fn stored_many(test: &str) -> (PathBuf, [String; 2]) {
    let lines = many();
    stored(test, &lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn pages_are_as_the_whole() {
    let (directory, data) = stored_many("alerts-pages");
    let all = [&["alerts", "--json", "--limit", "0"][..], &ALL].concat();
    let all = done(&directory, &data, &all);
    assert_eq!(all.lines().count(), 400);
    let (mut pages, mut after) = (String::new(), None::<String>);
    loop {
        let mut arguments = [&["alerts", "--json", "--limit", "150"][..], &ALL].concat();
        arguments.extend(after.iter().flat_map(|after| ["--after", after]));
        let output = command(&directory, &data, &arguments);
        let page = text(&output.stdout);
        pages.push_str(&page);
        let last = json_of(page.lines().last().expect("a page has rows"));
        let last = last["log_id"].as_str().unwrap().to_owned();
        let hint = text(&output.stderr);
        if !hint.contains("more than 150 alerts match") {
            break;
        }
        assert!(hint.contains(&format!("--after {last} the next ones")), "{hint}");
        after = Some(last);
    }
    assert_eq!(pages, all);
    for id in ["no-such-id", &"x".repeat(3_000)] {
        let none = command(&directory, &data, &["alerts", "--after", id]);
        let why = text(&none.stderr);
        let says = format!("there is no alert `{id}`");
        assert!(none.status.code() == Some(2) && why.contains(&says), "{why}");
    }
}

#[test]
fn alerts_are_filtered_by_account_and_pattern() {
    let (directory, data) = stored_many("alerts-filters");
    let count = |filter: &[&str]| {
        let arguments = [&["alerts", "--json", "--limit", "0"][..], &ALL, filter].concat();
        done(&directory, &data, &arguments).lines().count()
    };
    let row = [&["alerts", "--json", "--limit", "1"][..], &ALL].concat();
    let row = json_of(&done(&directory, &data, &row));
    assert_eq!(count(&["--pattern", row["pattern"].as_str().unwrap()]), 400);
    assert_eq!(count(&["--pattern", "[CRITICAL] order <…>"]), 400);
    assert_eq!(count(&["--pattern", "order"]), 0);
    assert_eq!(count(&["--account", row["account_id"].as_str().unwrap()]), 400);
    assert_eq!(count(&["--account", "999999999999"]), 0);
    let wrong = command(&directory, &data, &["alerts", "--account", "99"]);
    assert!(text(&wrong.stderr).contains("12 digits"), "{}", text(&wrong.stderr));
}

#[test]
fn an_export_has_every_alert_once() {
    let (directory, data) = stored_many("export");
    let rows = [&["alerts", "--json", "--limit", "0"][..], &ALL].concat();
    let rows = done(&directory, &data, &rows);

    assert_eq!(done(&directory, &data, &["export", "--to", "-"]), rows, "standard output");
    let printed = done(&directory, &data, &["export", "--to", "alerts.jsonl"]);
    assert!(printed.starts_with("exported 400 alerts to alerts.jsonl: 1 file, "), "{printed}");
    assert_eq!(std::fs::read_to_string(directory.join("alerts.jsonl")).unwrap(), rows);
    done(&directory, &data, &["export", "--to", "alerts.jsonl.gz"]);
    assert_eq!(unpacked(&directory.join("alerts.jsonl.gz")), rows);

    let report =
        done(&directory, &data, &["export", "--to", "lines/", "--format", "jsonl", "--json"]);
    let report = json_of(&report);
    assert_eq!((&report["alerts"], report["files"].as_array().unwrap().len()), (&json!(400), 3));
    check_documents("export --json", std::slice::from_ref(&report), &[]);
    let found = files(&directory.join("lines"));
    let names: Vec<_> =
        found.iter().map(|file| file.strip_prefix(directory.join("lines")).unwrap()).collect();
    let name = |day| format!("day=2026-11-2{day}/alerts-first-last-0000.jsonl.gz");
    assert_eq!(names, [0, 1, 2].map(|day| PathBuf::from(name(day))));
    assert_eq!(found.iter().rev().map(|file| unpacked(file)).collect::<String>(), rows);
    // A repetition replaces its files.
    done(&directory, &data, &["export", "--to", "lines", "--format", "jsonl"]);
    assert_eq!(files(&directory.join("lines")), found);

    let filtered = ["export", "--to", "-", "--grep", "user-3", "--since", "2026-11-21"];
    let expected = many()
        .iter()
        .skip(1)
        .filter(|line| line.contains("user-3") && !line.starts_with("2026-11-20"))
        .count();
    assert_eq!(done(&directory, &data, &filtered).lines().count(), expected);
    done(&directory, &data, &["export", "--to", "none.jsonl", "--app", "none"]);
    assert_eq!(std::fs::read_to_string(directory.join("none.jsonl")).unwrap(), "");
    done(&directory, &data, &["export", "--to", "none/", "--app", "none"]);
    assert!(!directory.join("none").exists(), "no empty folder");
}

fn unpacked(file: &Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(file).unwrap();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
    text
}

#[test]
fn a_parquet_export_has_every_alert() {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    let (directory, data) = stored_many("export-parquet");
    done(&directory, &data, &["export", "--to", "days/"]);
    let mut rows = 0;
    for path in files(&directory.join("days")) {
        let file = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
        rows += file.metadata().file_metadata().num_rows();
        let created_by = file.metadata().file_metadata().created_by().unwrap().to_owned();
        assert!(created_by.starts_with("stentor "), "{created_by}");
    }
    assert_eq!(rows, 400);
}

#[test]
fn a_query_of_an_unknown_route_names_those_of_the_store() {
    let (directory, data) = stored("unknown-route", &["[ALERT] disk full"]);
    let hint = "hint: the store has no route `alert`: it has alerts\n";
    for arguments in [&["export", "--to", "none.jsonl"][..], &["alerts"]] {
        let hints = |route: &str| {
            let period = ["--route", route, "--since", "2000-01-01", "--until", "2000-01-02"];
            let output = command(&directory, &data, &[arguments, &period].concat());
            assert!(output.status.success(), "{}", text(&output.stderr));
            text(&output.stderr).contains(hint)
        };
        assert!(hints("alert") && !hints("alerts"), "{arguments:?}");
    }
}

#[test]
fn an_export_that_fails_leaves_nothing() {
    let (directory, data) = stored_many("export-fails");
    let fails = |arguments: &[&str], expected: &str| {
        let output = command(&directory, &data, arguments);
        let why = text(&output.stderr);
        assert!(output.status.code() == Some(2) && why.contains(expected), "{arguments:?}: {why}");
    };
    fails(&["export", "--to", "missing/alerts.jsonl"], "cannot write missing/alerts.jsonl");
    fails(&["export", "--to", ""], "--to is empty");
    fails(&["export", "--to", "-", "--json"], "both print to standard output");
    fails(
        &["export", "--to", "x.jsonl", "--since", "1h", "--until", "2h"],
        "--since must be before",
    );
    fails(&["export", "--to", "/dev/full", "--format", "jsonl"], "is not a file");
    for place in ["gs://alerts/", "s3:alerts", "S3://alerts"] {
        fails(&["export", "--to", place], "expected a file, a folder or s3://BUCKET/FOLDER");
    }
    fails(
        &["export", "--to", "s3://logs/../x"],
        if cfg!(feature = "aws") { "s3://" } else { "aws" },
    );
    done(&directory, &data, &["export", "--to", "loud.JSONL.GZ"]);
    assert_eq!(unpacked(&directory.join("loud.JSONL.GZ")).lines().count(), 400);
    for name in ["alerts", "alerts.csv", "alerts.parquet.gz"] {
        fails(&["export", "--to", name], "the name does not say which format");
    }
    // The files of the program are not replaced.
    let before = std::fs::read(directory.join("data/stentor.db")).unwrap();
    std::os::unix::fs::symlink("data", directory.join("link")).unwrap();
    let below = ["data/x/", "data/../data/x/", "link/x/"];
    for place in ["data/stentor.db", "data/dlq.jsonl", "link/dlq.jsonl", "data", "data/"]
        .into_iter()
        .chain(below)
    {
        let export = ["export", "--to", place, "--format", "jsonl"];
        fails(&export, "is in a data directory of stentor");
    }
    assert!(std::fs::read(directory.join("data/stentor.db")).unwrap() == before);
    fails(&["export", "--to", "./missing/../x/"], "cannot find the folder ./missing/..");
    assert!(!directory.join("missing").exists());
    // That of a run with a database elsewhere has no database.
    std::fs::create_dir(directory.join("elsewhere")).unwrap();
    std::fs::write(directory.join("elsewhere/delivery.lock"), "").unwrap();
    fails(&["export", "--to", "elsewhere/dlq.jsonl"], "is in a data directory of stentor");
    // A day that is a link.
    std::fs::create_dir(directory.join("days")).unwrap();
    std::os::unix::fs::symlink("../data", directory.join("days/day=2026-11-22")).unwrap();
    fails(&["export", "--to", "days/"], "is in a data directory of stentor");
    std::fs::create_dir(directory.join("readonly")).unwrap();
    std::fs::write(directory.join("readonly/day=2026-11-22"), "no folder").unwrap();
    fails(&["export", "--to", "readonly/"], "cannot create the folder readonly/day=2026-11-22");
    assert_eq!(files(&directory.join("readonly")).len(), 1);
    assert!(!directory.join("x.jsonl").exists());
    // A full disk.
    let script = "exec \"$@\" > /dev/full";
    for format in ["jsonl", "parquet"] {
        let output = Command::new("sh")
            .args([
                "-c",
                script,
                "sh",
                env!("CARGO_BIN_EXE_stentor"),
                "export",
                "--to",
                "-",
                "--format",
                format,
            ])
            .args(&data)
            .output()
            .unwrap();
        let why = text(&output.stderr);
        assert!(output.status.code() == Some(2) && why.contains("No space left"), "{why}");
    }
}

#[test]
fn a_reader_that_has_enough_ends_an_export_and_a_query() {
    let (directory, data) = stored_many("export-head");
    for arguments in
        [&["export", "--to", "-"][..], &[&["alerts", "--limit", "0"][..], &ALL].concat()]
    {
        let mut command = stentor(&directory, arguments);
        let mut child =
            command.args(&data).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::with_capacity(64, child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        drop(out);
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), text(&output.stderr)),
            (Some(0), String::new()),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_subject_is_erased_and_reported() {
    let lines = [
        "2026-11-21T10:00:00Z [CRITICAL] payment of ann@example.org failed",
        "2026-11-22T10:00:00Z [CRITICAL] payment of \u{1b}[1mANN\u{1b}[0m@EXAMPLE.ORG failed again",
        "2026-11-22T11:00:00Z [CRITICAL] payment of bob@example.org failed",
    ];
    let (directory, data) = stored("erase", &lines);
    let subject = ["erase", "--subject", "ann@example.org"];
    let rows = || done(&directory, &data, &[&["alerts", "--json"][..], &ALL].concat());
    let before = rows();

    let listed = done(&directory, &data, &subject);
    assert!(listed.contains("would be erased: 2 alerts in the database file /"), "{listed}");
    assert!(listed.contains("payment of ann@example.org failed"), "{listed}");
    assert!(listed.contains("1 epoch of the outbox"), "{listed}");
    assert_eq!(rows(), before, "a dry run changes nothing");
    let dry = json_of(&done(&directory, &data, &[&subject[..], &["--json"]].concat()));
    assert_eq!(
        (&dry["erased"], &dry["alerts"], &dry["epochs"]),
        (&json!(false), &json!(2), &json!(1))
    );

    // A part.
    let part = [&subject[..], &["--until", "2026-11-21", "--yes", "--json"]].concat();
    let part = json_of(&done(&directory, &data, &part));
    let count = |report: &Value, day: &str| {
        report["counts"].as_array().unwrap().iter().any(|count| count["day"] == day)
    };
    assert_eq!((&part["alerts"], &part["outbox_searched"]), (&json!(1), &json!(false)));
    assert!(count(&part, "2026-11-21") && !count(&part, "2026-11-22"), "{part}");
    // The rest.
    let rest = done(&directory, &data, &[&subject[..], &["--yes", "--json"]].concat());
    assert!(!rest.to_lowercase().contains("ann@example"), "the report can be kept: {rest}");
    let rest = json_of(&rest);
    assert_eq!(
        (&rest["alerts"], &rest["epochs"], &rest["erased"]),
        (&json!(1), &json!(1), &json!(true))
    );
    check_documents("erase --json", &[dry, part, rest], &[]);
    let after = rows();
    assert_eq!(after.lines().count(), 3);
    assert!(!after.to_lowercase().contains("ann@example"), "{after}");
    assert!(after.contains("bob@example.org") && after.contains("[erased on 20"), "{after}");
    let none = done(&directory, &data, &[&subject[..], &["--yes"]].concat());
    assert!(none.contains("erased: 0 alerts"), "{none}");

    // The same log again: every line is a duplicate.
    let log = directory.join("app.log");
    let (again, _) = report(&directory, &[log.to_str().unwrap()]);
    assert_eq!((&again["kept"], &again["duplicates"]), (&json!(0), &json!(3)));
    // Where an erased alert is, can still be told.
    let erased = after.lines().find(|row| row.contains("[erased on")).unwrap();
    let id = json_of(erased)["log_id"].as_str().unwrap().to_owned();
    let trace = done(&directory, &data, &["trace", &id]);
    assert!(trace.contains("epoch 1"), "{trace}");
}

/// A placeholder hides a part of the subject, in the histories and the epochs too.
#[test]
fn the_patterns_of_a_subject_are_erased() {
    let lines = [
        "2026-11-21T10:00:00Z [CRITICAL] refund to Anna Meier 4711 failed",
        "2026-11-21T10:00:01Z [CRITICAL] GET /users/anna.meier%404711.example failed",
        "2026-11-21T10:00:02Z [CRITICAL] disk 91 full",
    ];
    let (directory, data) = stored("erase-patterns", &lines);
    let erase = |subject: &str| {
        done(&directory, &data, &["erase", "--subject", subject, "--yes", "--json"])
    };
    let first = json_of(&erase("Anna Meier 4711"));
    let counts = |report: &Value| ["alerts", "epochs", "patterns"].map(|name| report[name].clone());
    assert_eq!(counts(&first), [json!(1), json!(1), json!(1)], "{first}");
    let second = json_of(&erase("anna.meier@4711.example"));
    assert_eq!(counts(&second), [json!(1), json!(1), json!(1)], "{second}");
    let left = json_of(&erase("meier"));
    assert_eq!(counts(&left), [json!(0), json!(0), json!(0)], "{left}");
    let patterns = done(&directory, &data, &["patterns", "--since", "2026-11-01"]);
    assert!(patterns.contains("disk <n> full") && !patterns.contains("eier"), "{patterns}");
}

#[test]
fn an_erasure_needs_a_subject_and_a_directory_that_can_be_written() {
    let (directory, data) = stored("erase-refused", &["[CRITICAL] ann is late"]);
    let fails = |data: &[String; 2], arguments: &[&str], expected: &str| {
        let output = command(&directory, data, arguments);
        let why = text(&output.stderr);
        assert!(output.status.code() == Some(2) && why.contains(expected), "{arguments:?}: {why}");
    };
    fails(&data, &["erase"], "--subject");
    fails(&data, &["erase", "--subject", "ann"], "expected at least 4 characters");
    let missing = [data[0].clone(), "missing".to_owned()];
    fails(&missing, &["erase", "--subject", "anna", "--yes"], "does not exist");
    fails(&missing, &["export", "--to", "-"], "does not exist");
}

#[test]
fn a_mark_is_a_recent_moment_and_a_visible_text() {
    let (directory, data) = stored("mark", &["[CRITICAL] late"]);
    let marked = done(&directory, &data, &["mark", " deploy v42 ", "--at", "2h"]);
    assert!(marked.contains("as \"deploy v42\""), "{marked}");
    for text_ in ["", "  ", "a\tb", "a\nb", "a\u{202e}b", &"x".repeat(101)] {
        let output = command(&directory, &data, &["mark", text_]);
        let why = text(&output.stderr);
        assert!(output.status.code() == Some(2) && why.contains("a text of 1 to 100"), "{why}");
    }
    for (at, expected) in [("2d", "more than a day ago"), ("9999-01-01", "in the future")] {
        let output = command(&directory, &data, &["mark", "deploy", "--at", at]);
        let why = text(&output.stderr);
        assert!(output.status.code() == Some(2) && why.contains(expected), "{why}");
    }
}

/// An option wins over the variable, so that a command works on the store that it names.
#[test]
fn a_store_that_an_option_names_wins_over_the_variable() {
    let (directory, data) = stored("store-options", &["2026-11-21T10:00:00Z [CRITICAL] late"]);
    let run = |arguments: &[&str]| {
        let mut command = stentor(&directory, arguments);
        command.env("STENTOR_STORE", "postgres://a:hunter2@127.0.0.1:9/d").output().unwrap()
    };
    let alerts = [&["alerts"][..], &ALL].concat();
    let all = run(&[&alerts[..], &data.each_ref().map(String::as_str)].concat());
    assert!(all.status.success() && text(&all.stdout).contains("late"), "{}", text(&all.stderr));
    let none = run(&alerts);
    assert!(text(&none.stderr).contains("the database 127.0.0.1:9/d cannot be reached"));
    for other in [["--data-dir", "data"], ["--stack", "stentor"]] {
        let two = run(&[&alerts[..], &other, &["--store", "postgres://a@127.0.0.1:9/d"]].concat());
        let why = text(&two.stderr);
        let expected = format!("--store and {} name two stores", other[0]);
        assert!(two.status.code() == Some(2) && why.contains(&expected), "{why}");
    }
}
