//! Answers, dead-letter files, credentials and arguments are read in bounded memory.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::measured::{measured, scratch};

const MB: u64 = 1_000_000;

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

pub fn send_test_reads_a_bounded_part_of_an_answer_without_end() {
    let directory = scratch("endless-answer");
    for (name, head, expected) in [
        (
            "broken",
            "HTTP/1.1 500 X\r\n\r\n",
            "slack:broken did not accept the message: Slack answered 500: no known error code. Stentor would retry an alert.\n",
        ),
        (
            "portal",
            "HTTP/1.1 200 OK\r\n\r\n",
            "slack:portal did not accept the message: the webhook answered 200 without `ok`: the answer is not from Slack. \
             Stentor would retry an alert.\n",
        ),
    ] {
        let credentials = directory.join("credentials.json");
        std::fs::write(&credentials, json!({name: endless(head)}).to_string()).unwrap();
        let target = format!("slack:{name}");
        let done =
            measured(&directory, &["send-test", &target, "--credentials", "credentials.json"]);
        assert_eq!((&*done.stdout, done.code), (expected, 1), "{}", done.stderr);
        // The program itself takes some 30 MB in a development build.
        assert!(done.peak_bytes < 40 * MB, "{name}: {} bytes", done.peak_bytes);
        assert!(done.took < Duration::from_secs(20), "{name}: {:?}", done.took);
    }
}

pub fn a_credentials_file_without_an_end_is_refused() {
    let directory = scratch("endless-credentials");
    let done = measured(&directory, &["send-test", "slack:x", "--credentials", "/dev/zero"]);
    assert!(
        done.stderr.contains("cannot read /dev/zero")
            && done.stderr.contains("a secret has at most 64 KiB")
            && done.code == 2,
        "{}",
        done.stderr
    );
    assert!(done.peak_bytes < 30 * MB, "{} bytes", done.peak_bytes);
}

pub fn a_file_of_letters_is_read_in_bounded_memory() {
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
    let done = measured(
        &directory,
        &["replay", "--dry-run", "--json", "--data-dir", ".", "--file", "huge.jsonl"],
    );
    let listing: Value =
        serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}", done.stderr));
    let groups = listing["groups"].as_array().unwrap().iter();
    let mut groups: Vec<_> = groups
        .map(|group| {
            (group["kind"].as_str().unwrap(), group["code"].as_str().unwrap(), &group["count"])
        })
        .collect();
    groups.sort_unstable_by_key(|(kind, code, _)| (*kind, *code));
    let expected = [
        ("record", "not-gzip", &json!(3)),
        ("unknown", "not-json", &json!(1)),
        ("unknown", "too-long", &json!(1)),
    ];
    assert_eq!((groups, done.code), (expected.to_vec(), 0));
    assert!(done.peak_bytes < 200 * MB, "{} bytes", done.peak_bytes);

    // The report names a letter that stays by its line.
    let small = directory.join("small.jsonl");
    std::fs::write(&small, format!("{}\n\n{}\n", dead_letter(1, "YQ=="), "x".repeat(34_000_000)))
        .unwrap();
    let done = measured(
        &directory,
        &["replay", "--data-dir", ".", "--file", "small.jsonl", "--kind", "unknown"],
    );
    assert!(
        done.stdout.contains("it is longer than 32 MiB") && done.stdout.contains("small.jsonl:3"),
        "{}",
        done.stdout
    );

    // Many small lines are not held together.
    let many = directory.join("many.jsonl");
    let line = dead_letter(1, &"YWJj".repeat(250)) + "\n";
    std::fs::write(&many, line.repeat(100_000)).unwrap();
    let done =
        measured(&directory, &["replay", "--dry-run", "--data-dir", ".", "--file", "many.jsonl"]);
    assert!(done.stdout.contains("100,000"), "{} {}", done.stdout, done.stderr);
    assert!(done.peak_bytes < 90 * MB, "{} bytes", done.peak_bytes);
}

pub fn a_file_that_holds_no_letters_is_refused_with_a_reason() {
    let directory = scratch("no-letters");
    let zeros = std::fs::File::create(directory.join("zeros")).unwrap();
    zeros.set_len(3 << 30).unwrap();
    for (file, expected) in [
        ("/dev/zero", "/dev/zero: line 1 is longer than 1 GiB: this is not a file of dead letters"),
        ("zeros", "zeros: line 1 is longer than 1 GiB: this is not a file of dead letters"),
        (".", "error: cannot read .\n  Caused by: Is a directory"),
        ("nowhere.jsonl", "error: cannot read nowhere.jsonl\n  Caused by: No such file"),
    ] {
        let done =
            measured(&directory, &["replay", "--dry-run", "--data-dir", ".", "--file", file]);
        assert_eq!(done.code, 2, "{file}: {}", done.stdout);
        assert!(done.stderr.contains(expected), "{file}: {}", done.stderr);
        assert!(done.peak_bytes < 200 * MB, "{file}: {} bytes", done.peak_bytes);
    }
}

pub fn a_number_out_of_range_is_a_usage_error_that_names_the_range() {
    let directory = scratch("ranges");
    let cases: [(&[&str], &str); 24] = [
        (&["sample", "--records", "1000000000000"], "is not in 0..=100000"),
        (&["sample", "--records", "18446744073709551616"], "number too large"),
        (&["sample", "--records=-1"], "invalid"),
        (&["sample", "--events-per-record", "1000000000000"], "is not in 0..=1000000"),
        (
            &["sample", "--records", "100000", "--events-per-record", "1000000"],
            "the limit is 10,000,000 log events",
        ),
        (&["sample", "--events-per-request", "1000000000000"], "is not in 0..=1000000"),
        (&["sample", "--accounts", "1000000000000"], "is not in 1..=10000"),
        (&["sample", "--log-groups", "1000000000000"], "is not in 1..=10000"),
        (&["sample", "--span", "4294967296"], "is not in 0..=4294967295"),
        (&["sample", "--match-ratio", "NaN"], "expected a number from 0 to 1"),
        (&["sample", "--match-ratio", "inf"], "expected a number from 0 to 1"),
        (&["sample", "--match-ratio=-0.1"], "expected a number from 0 to 1"),
        (&["sample", "--duplicates", "1.1"], "expected a number from 0 to 1"),
        (&["sample", "--duplicates=-inf"], "expected a number from 0 to 1"),
        (&["sample", "--poison", "NaN"], "expected a number from 0 to 1"),
        (&["sample", "--poison", "1e9"], "expected a number from 0 to 1"),
        (&["replay", "--rate", "1e-300"], "expected a number from 0.001 to 1000000"),
        (&["replay", "--rate", "1e300"], "expected a number from 0.001 to 1000000"),
        (&["replay", "--rate", "NaN"], "expected a number from 0.001 to 1000000"),
        (&["replay", "--rate", "0"], "expected a number from 0.001 to 1000000"),
        (&["replay", "--timeout", "0"], "is not in 1..=120"),
        (&["replay", "--timeout", "121"], "is not in 1..=120"),
        (&["replay", "--max-decoded", "0B"], "expected a size such as"),
        (&["replay", "--max-decoded", "18446744073709551615GiB"], "expected a size such as"),
    ];
    for (arguments, expected) in cases {
        let done = measured(&directory, arguments);
        assert_eq!((done.code, &*done.stdout), (2, ""), "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(expected), "{arguments:?}: {}", done.stderr);
        assert!(done.peak_bytes < 40 * MB, "{arguments:?}: {} bytes", done.peak_bytes);
    }
    // The ends of the ranges are within them.
    let small = [
        "sample",
        "--records",
        "0",
        "--events-per-record",
        "0",
        "--accounts",
        "10000",
        "--span",
        "4294967295",
    ];
    let done = measured(&directory, &small);
    assert_eq!(done.code, 0, "{}", done.stderr);
}
