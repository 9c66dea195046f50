//! Everything that is received is bounded: answers, dead-letter files, arguments.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use super::*;

const MB: u64 = 1_000_000;

/// What a command said, and the most memory that it had resident, by the kernel's account.
struct Measured {
    stdout: String,
    stderr: String,
    code: i64,
    peak_bytes: u64,
    took: Duration,
}

/// Runs `stentor` under a Python that has no other child.
fn measured(directory: &Path, arguments: &[&str]) -> Measured {
    const MEASURE: &str = "import json, resource, subprocess, sys\n\
        done = subprocess.run(sys.argv[1:], capture_output=True, timeout=120)\n\
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n\
        text = lambda b: b.decode(errors='replace')\n\
        print(json.dumps([text(done.stdout), text(done.stderr), done.returncode, peak]))";
    let began = Instant::now();
    let mut python = Command::new("python3");
    python.args(["-c", MEASURE, env!("CARGO_BIN_EXE_stentor")]).args(arguments).current_dir(directory);
    let output = python.output().unwrap();
    let (stdout, stderr, code, peak_kib): (String, String, i64, u64) =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    Measured { stdout, stderr, code, peak_bytes: peak_kib * 1024, took: began.elapsed() }
}

/// A webhook that begins each answer with `head` and sends a body without end.
fn endless(head: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let pour = move |mut stream: TcpStream| {
        let _ = stream.read(&mut [0; 1 << 16]);
        let body = [b'x'; 1 << 16];
        let mut sent = stream.write_all(head.as_bytes());
        while sent.is_ok() {
            sent = stream.write_all(&body);
        }
    };
    std::thread::spawn(move || listener.incoming().flatten().for_each(pour));
    url
}

#[test]
fn send_test_reads_a_bounded_part_of_an_answer_without_end() {
    let directory = scratch("endless-answer");
    for (name, head, expected) in [
        (
            "broken",
            "HTTP/1.1 500 X\r\n\r\n",
            "slack:broken did not take the message: Slack answered 500: no known error word. Stentor would retry an alert.\n",
        ),
        (
            "portal",
            "HTTP/1.1 200 OK\r\n\r\n",
            "slack:portal did not take the message: Slack's webhook answered 200 without `ok`: something between here and \
             Slack answered. Stentor would retry an alert.\n",
        ),
    ] {
        let credentials = directory.join("credentials.json");
        std::fs::write(&credentials, json!({name: endless(head)}).to_string()).unwrap();
        let target = format!("slack:{name}");
        let done = measured(&directory, &["send-test", &target, "--credentials", "credentials.json"]);
        assert_eq!((&*done.stdout, done.code), (expected, 1), "{}", done.stderr);
        assert!(done.peak_bytes < 30 * MB, "{name}: {} bytes", done.peak_bytes);
        assert!(done.took < Duration::from_secs(20), "{name}: {:?}", done.took);
    }
}

#[test]
fn a_credentials_file_without_an_end_is_refused() {
    let directory = scratch("endless-credentials");
    let done = measured(&directory, &["send-test", "slack:x", "--credentials", "/dev/zero"]);
    assert!(done.stdout.contains("/dev/zero: a secret has at most 64 KiB") && done.code == 1, "{}", done.stdout);
    assert!(done.peak_bytes < 30 * MB, "{} bytes", done.peak_bytes);
}

#[test]
fn a_file_of_letters_is_read_in_bounded_memory() {
    let directory = scratch("huge-letters");
    let dead_letter = |n: u32, data: &str| {
        format!(
            r#"{{"stentor":1,"reason":"not-gzip: odd","parked_at":"2026-11-23T14:15:06.789Z","kind":"record","event_id":"s:{n}","data":"{data}"}}"#
        )
    };
    // A line of 200 MB, and one more than half of the bound, among lines that are in order.
    let file = directory.join("huge.jsonl");
    let huge = format!(
        "{}\n{}\n{}\n{}\n{}",
        dead_letter(1, "YQ=="),
        "x".repeat(200_000_000),
        dead_letter(3, &"YWJj".repeat(5_000_000)),
        "{\"stentor\":1,\"rea",
        dead_letter(5, "YQ==")
    );
    std::fs::write(&file, huge).unwrap();
    let done = measured(&directory, &["replay", "--dry-run", "--json", "--data-dir", ".", "--file", "huge.jsonl"]);
    let listing: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}", done.stderr));
    let groups = listing["groups"].as_array().unwrap().iter();
    let mut groups: Vec<_> = groups
        .map(|group| (group["kind"].as_str().unwrap(), group["code"].as_str().unwrap(), &group["count"]))
        .collect();
    groups.sort_unstable_by_key(|(kind, code, _)| (*kind, *code));
    let expected =
        [("record", "not-gzip", &json!(3)), ("unknown", "not-json", &json!(1)), ("unknown", "too-long", &json!(1))];
    assert_eq!((groups, done.code), (expected.to_vec(), 0));
    assert!(done.peak_bytes < 200 * MB, "{} bytes", done.peak_bytes);

    // The report names a letter that stays by its line.
    let small = directory.join("small.jsonl");
    std::fs::write(&small, format!("{}\n\n{}\n", dead_letter(1, "YQ=="), "x".repeat(34_000_000))).unwrap();
    let done = measured(&directory, &["replay", "--data-dir", ".", "--file", "small.jsonl", "--kind", "unknown"]);
    assert!(
        done.stdout.contains("it is longer than 32 MiB") && done.stdout.contains("small.jsonl:3"),
        "{}",
        done.stdout
    );

    // Many small lines are not held together.
    let many = directory.join("many.jsonl");
    let line = dead_letter(1, &"YWJj".repeat(250)) + "\n";
    std::fs::write(&many, line.repeat(100_000)).unwrap();
    let done = measured(&directory, &["replay", "--dry-run", "--data-dir", ".", "--file", "many.jsonl"]);
    assert!(done.stdout.contains("100,000"), "{} {}", done.stdout, done.stderr);
    assert!(done.peak_bytes < 90 * MB, "{} bytes", done.peak_bytes);
}

#[test]
fn a_file_that_holds_no_letters_is_refused_with_a_reason() {
    let directory = scratch("no-letters");
    let zeros = std::fs::File::create(directory.join("zeros")).unwrap();
    zeros.set_len(3 << 30).unwrap();
    for (file, expected) in [
        ("/dev/zero", "/dev/zero: line 1 is longer than 1 GiB: this is no file of letters"),
        ("zeros", "zeros: line 1 is longer than 1 GiB: this is no file of letters"),
        (".", "cannot read .: Is a directory"),
        ("nowhere.jsonl", "cannot read nowhere.jsonl: No such file"),
    ] {
        let done = measured(&directory, &["replay", "--dry-run", "--data-dir", ".", "--file", file]);
        assert_eq!(done.code, 2, "{file}: {}", done.stdout);
        assert!(done.stderr.contains(expected), "{file}: {}", done.stderr);
        assert!(done.peak_bytes < 200 * MB, "{file}: {} bytes", done.peak_bytes);
    }
}

#[test]
fn a_data_directory_in_which_nothing_was_parked_has_no_letters() {
    let directory = scratch("nothing-parked");
    let replay = |arguments: &[&str]| {
        let output = stentor(&directory, &[&["replay"], arguments].concat()).current_dir(&directory).output().unwrap();
        (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
    };
    run(&directory, &["events/subscription.json"]);
    let missing = replay(&["--dry-run", "--data-dir", "data"]);
    assert_eq!((missing.0.as_str(), missing.2), ("  0 dead letters\n", 0), "{missing:?}");
    assert_eq!(replay(&["--data-dir", "data"]).2, 0);
    std::fs::write(directory.join("data/dlq.jsonl"), "").unwrap();
    assert_eq!(replay(&["--dry-run", "--data-dir", "data"]), missing);
    let (_, complaint, code) = replay(&["--dry-run", "--data-dir", "elsewhere"]);
    assert!(code == 2 && complaint.contains("the data directory elsewhere does not exist"), "{complaint}");
    assert!(!directory.join("elsewhere").exists(), "a replay makes no data directory");
    let (_, complaint, code) = replay(&["--dry-run", "--data-dir", "data", "--file", "data/dlq.json"]);
    assert!(code == 2 && complaint.contains("cannot read data/dlq.json: No such file"), "{complaint}");
}

/// An event of one record that is no gzip and decodes to so many bytes.
fn bad_record(directory: &Path, bytes: usize) -> String {
    let file = directory.join(format!("bad-{bytes}.json"));
    let record = json!({"sequenceNumber": bytes.to_string(), "data": "YWJj".repeat(bytes / 3)});
    let event = json!({"Records": [{"eventID": format!("shardId-0:{bytes}"), "kinesis": record}]});
    std::fs::write(&file, event.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The codes of the letters in the data directory, with how many there are.
fn dead_letters(directory: &Path) -> Vec<(String, u64)> {
    let data = directory.join("data");
    let listed = stentor(directory, &["replay", "--dry-run", "--json", "--data-dir", data.to_str().unwrap()]);
    let listing: Value = serde_json::from_slice(&{ listed }.output().unwrap().stdout).unwrap();
    let group = |group: &Value| (group["code"].as_str().unwrap().to_owned(), group["count"].as_u64().unwrap());
    let mut groups: Vec<_> = listing["groups"].as_array().unwrap().iter().map(group).collect();
    groups.sort_unstable();
    groups
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_a_letter_spoils_no_other_letter() {
    let directory = scratch("full-disk");
    assert_eq!(run(&directory, &[&bad_record(&directory, 300)]).status.code(), Some(1));
    // A file may grow to 2 MiB (4,096 blocks of 512 bytes): enough for the database, not for this letter.
    let data = directory.join("data");
    let large = bad_record(&directory, 6_000_000);
    let limited = "trap '' XFSZ; ulimit -f 4096; exec \"$@\"";
    let full = [env!("CARGO_BIN_EXE_stentor"), "run", "--json", "--data-dir", data.to_str().unwrap(), &large];
    let output = Command::new("sh").args(["-c", limited, "sh"]).args(full).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    assert_eq!(report["parked"], json!([]), "it was not parked");
    assert_eq!(output.status.code(), Some(1));
    // Room is made, and another record is parked; then the first one, which came again.
    assert_eq!(run(&directory, &[&bad_record(&directory, 600)]).status.code(), Some(1));
    assert_eq!(dead_letters(&directory), [("not-gzip".to_owned(), 2)]);
    assert_eq!(run(&directory, &[&large]).status.code(), Some(1));
    assert_eq!(dead_letters(&directory), [("not-gzip".to_owned(), 3)]);
}

#[test]
fn a_letter_that_was_torn_by_a_crash_spoils_no_other_letter() {
    let directory = scratch("torn");
    let data = directory.join("data");
    assert_eq!(run(&directory, &[&bad_record(&directory, 300)]).status.code(), Some(1));
    let whole = std::fs::read(data.join("dlq.jsonl")).unwrap();
    std::fs::write(data.join("dlq.jsonl"), [&whole[..], &whole[..whole.len() / 2]].concat()).unwrap();
    // A note of a replay that was killed while it wrote.
    std::fs::write(data.join("dlq.jsonl.replayed"), "00000009-0123").unwrap();
    for bytes in [600, 900] {
        assert_eq!(run(&directory, &[&bad_record(&directory, bytes)]).status.code(), Some(1));
    }
    assert_eq!(dead_letters(&directory), [("not-gzip".to_owned(), 3), ("not-json".to_owned(), 1)]);
}

#[test]
fn files_with_raw_records_are_for_their_owner_only() {
    let directory = scratch("private");
    let data = directory.join("data");
    let replayed = data.join("dlq.jsonl.replayed");
    let mode = |file: &Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    run(&directory, &[&bad_record(&directory, 300)]);
    assert_eq!(mode(&data.join("dlq.jsonl")), 0o600);
    // Files of an earlier version are tightened.
    std::fs::set_permissions(data.join("dlq.jsonl"), std::fs::Permissions::from_mode(0o664)).unwrap();
    run(&directory, &[&bad_record(&directory, 600)]);
    assert_eq!(mode(&data.join("dlq.jsonl")), 0o600);
    // A record that can be read by now is settled and noted.
    let parked = std::fs::read_to_string(data.join("dlq.jsonl")).unwrap();
    let event: Value = serde_json::from_slice(&std::fs::read("events/subscription.json").unwrap()).unwrap();
    let mut dead_letter: Value = serde_json::from_str(parked.lines().next().unwrap()).unwrap();
    dead_letter["data"] = event["awslogs"]["data"].clone();
    std::fs::write(data.join("dlq.jsonl"), format!("{dead_letter}\n")).unwrap();
    std::fs::write(&replayed, "").unwrap();
    std::fs::set_permissions(&replayed, std::fs::Permissions::from_mode(0o644)).unwrap();
    let replay = stentor(&directory, &["replay", "--data-dir", data.to_str().unwrap()]).output().unwrap();
    assert_eq!(replay.status.code(), Some(0), "{}{}", text(&replay.stdout), text(&replay.stderr));
    assert_eq!((mode(&replayed), std::fs::read_to_string(&replayed).unwrap().lines().count()), (0o600, 1));
}

#[test]
fn a_number_out_of_range_is_a_usage_error_that_names_the_range() {
    let directory = scratch("ranges");
    let cases: [(&[&str], &str); 24] = [
        (&["sample", "--records", "1000000000000"], "is not in 0..=100000"),
        (&["sample", "--records", "18446744073709551616"], "number too large"),
        (&["sample", "--records=-1"], "invalid"),
        (&["sample", "--events-per-record", "1000000000000"], "is not in 0..=1000000"),
        (&["sample", "--records", "100000", "--events-per-record", "1000000"], "at most 10,000,000 log events in all"),
        (&["sample", "--events-per-request", "1000000000000"], "is not in 0..=1000000"),
        (&["sample", "--accounts", "1000000000000"], "is not in 0..=10000"),
        (&["sample", "--log-groups", "1000000000000"], "is not in 0..=10000"),
        (&["sample", "--span", "4294967296"], "is not in 0..=4294967295"),
        (&["sample", "--match-ratio", "NaN"], "a share is a number from 0 to 1"),
        (&["sample", "--match-ratio", "inf"], "a share is a number from 0 to 1"),
        (&["sample", "--match-ratio=-0.1"], "a share is a number from 0 to 1"),
        (&["sample", "--duplicates", "1.1"], "a share is a number from 0 to 1"),
        (&["sample", "--duplicates=-inf"], "a share is a number from 0 to 1"),
        (&["sample", "--poison", "NaN"], "a share is a number from 0 to 1"),
        (&["sample", "--poison", "1e9"], "a share is a number from 0 to 1"),
        (&["replay", "--rate", "1e-300"], "expected a number from 0.001 to 1000000"),
        (&["replay", "--rate", "1e300"], "expected a number from 0.001 to 1000000"),
        (&["replay", "--rate", "NaN"], "expected a number from 0.001 to 1000000"),
        (&["replay", "--rate", "0"], "expected a number from 0.001 to 1000000"),
        (&["replay", "--timeout", "0"], "is not in 1..=120"),
        (&["replay", "--timeout", "121"], "is not in 1..=120"),
        (&["replay", "--max-decoded", "0B"], "a size is a number with"),
        (&["replay", "--max-decoded", "18446744073709551615GiB"], "a size is a number with"),
    ];
    for (arguments, expected) in cases {
        let done = measured(&directory, arguments);
        assert_eq!((done.code, &*done.stdout), (2, ""), "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(expected), "{arguments:?}: {}", done.stderr);
        assert!(done.peak_bytes < 40 * MB, "{arguments:?}: {} bytes", done.peak_bytes);
    }
    // The ends of the ranges are within them.
    let small = ["sample", "--records", "0", "--events-per-record", "0", "--accounts", "10000", "--span", "4294967295"];
    let done = stentor(&directory, &small).output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
}

/// To show a message here is not to deliver it to Slack.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_slack_refused_stays_until_a_webhook_takes_it() {
    let slack = MockServer::start().await;
    let answer = |status, body| ResponseTemplate::new(status).set_body_string(body);
    let refused = answer(400, "invalid_payload");
    Mock::given(method("POST")).and(path("/refuses")).respond_with(refused).mount(&slack).await;
    Mock::given(method("POST")).and(path("/takes")).respond_with(answer(200, "ok")).mount(&slack).await;
    let directory = scratch("refused");
    let data = directory.join("data");
    let webhook = |name: &str| format!("{}/{name}", slack.uri());
    let replay = |more: &[&str]| {
        let arguments = [&["replay", "--json", "--data-dir", data.to_str().unwrap()], more].concat();
        let output = stentor(&directory, &arguments).output().unwrap();
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    run(&directory, &["events/subscription.json", "--slack-webhook", &webhook("refuses")]);
    let (report, said, _) = replay(&[]);
    assert!(report.contains(r#""reprocessed": 0"#) && said.contains("add --slack-webhook"), "{report}{said}");
    assert_eq!(replay(&["--kind", "message"]).2, Some(2));
    let (report, said, code) = replay(&["--slack-webhook", &webhook("takes")]);
    assert!(report.contains(r#""reprocessed": 1"#) && code == Some(0), "{report}{said}");
}
