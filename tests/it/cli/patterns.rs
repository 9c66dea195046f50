//! `stentor patterns`: what a log says, without a marker and without an account.

use flate2::Compression;
use flate2::write::GzEncoder;
use stentor::model::pattern::pattern_id;

use super::*;

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn patterns(test: &str, log: &str, arguments: &[&str]) -> Output {
    let directory = scratch(test);
    let file = directory.join("app.log");
    std::fs::write(&file, log).unwrap();
    stentor(&directory, &[&["patterns", file.to_str().unwrap()], arguments].concat())
        .output()
        .unwrap()
}

const LOG: &str = "2026-11-22T10:00:00Z order 7 failed: no space on /var/log\n\
                   2026-11-23T10:00:00Z order 8 failed: no space on /tmp\n    at Disk.write(Disk.java:7)\n\
                   2026-11-23T11:00:00Z user=ann token=ghp_0123456789abcdefghijABCDEFGHIJ012345 left\n\
                   2026-11-23T12:00:00Z order 9 failed: no space on /tmp\n";

#[test]
fn patterns_are_listed_with_their_share_times_and_what_is_new() {
    let output = patterns("patterns", LOG, &["--new-since", "2026-11-23"]);
    assert_eq!(text(&output.stderr), "");
    let shown = text(&output.stdout);
    let id = pattern_id("order <n> failed: no space on <…>");
    let first = format!(
        "3 (60.0 %) · 2026-11-22T10:00:00.000Z to 2026-11-23T12:00:00.000Z · {id}\n    order <n> failed: no space on <…>\n    e.g. order 7"
    );
    for part in [
        "5 lines, 3 patterns",
        &first,
        "1 (20.0 %) · 2026-11-23T10:00:00.000Z · new · ",
        "\n    at Disk.write(Disk.java:<n>)",
        "1 (20.0 %) · 2026-11-23T11:00:00.000Z · new · ",
        "\n    user=<…> ",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(!shown.contains("ghp_"), "{shown}");
}

#[test]
fn patterns_as_json_have_a_limit() {
    let output = patterns(
        "patterns-json",
        LOG,
        &["--json", "--limit", "1", "--since", "2026-11-23T10:30:00Z"],
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["lines"], &report["not_shown"], &report["other_lines"]),
        (&json!(2), &json!(1), &json!(0))
    );
    let expected = json!([{
        "pattern": report["patterns"][0]["pattern"],
        "pattern_id": report["patterns"][0]["pattern_id"], "lines": 1, "share": 0.5,
        "first": "2026-11-23T11:00:00.000Z", "last": "2026-11-23T11:00:00.000Z", "new": null,
        "sample": report["patterns"][0]["sample"], "levels": {}, "markers": {},
    }]);
    assert_eq!(report["patterns"], expected);
}

#[test]
fn a_pattern_has_the_levels_and_markers_that_it_does_not_show() {
    let log = "2026-11-23T10:00:00Z ERROR pool is empty\n\
               2026-11-23T11:00:00Z WARN pool is empty\n\
               {\"level\":\"ERROR\",\"msg\":\"pool is empty\"}\n\
               {\"severity\":\"fatal\",\"msg\":\"disk is full\"}\n";
    let shown = patterns("patterns-levels", log, &[]);
    let shown = text(&shown.stdout);
    for part in ["3 (75.0 %) · ERROR 2, WARN 1 · 2026", "1 (25.0 %) · fatal · 2026"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let report =
        serde_json::from_slice::<Value>(&patterns("patterns-levels", log, &["--json"]).stdout)
            .unwrap();
    assert_eq!(report["patterns"][0]["levels"], json!({"ERROR": 2, "WARN": 1}));

    let directory = scratch("patterns-markers");
    let event = directory.join("app.log");
    std::fs::write(&event, "[CRITICAL] disk is full\n").unwrap();
    assert!(run(&directory, &[event.to_str().unwrap()]).status.success());
    let data = directory.join("data");
    let arguments =
        ["patterns", "--since", "2000-01-01", "--json", "--data-dir", data.to_str().unwrap()];
    let output = stentor(&directory, &arguments).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["patterns"][0]["markers"], json!({"[CRITICAL]": 1}));
}

#[test]
fn a_line_has_its_time_in_any_format() {
    let line = |time: &str, name: &str| match name {
        "json" => format!(r#"{{"level":"error","time":"{time}","msg":"pool is empty"}}"#),
        "logfmt" => format!("level=error ts={time} msg=\"pool is empty\""),
        "syslog" => format!("<165>1 {time} web-1 app 7 ID47 - pool is empty"),
        _ => format!("{} +0000 pool is empty", time.replace('T', " ").replace('Z', "")),
    };
    for name in ["json", "logfmt", "syslog", "offset"] {
        let log = [
            line("2026-11-22T10:00:00Z", name),
            line("2026-11-23T10:00:00Z", name),
            line("2026-11-23T12:00:00Z", name),
        ];
        let arguments = ["--json", "--since", "2026-11-23T00:00:00Z"];
        let output = patterns(&format!("patterns-time-{name}"), &log.join("\n"), &arguments);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let first = &report["patterns"][0];
        assert_eq!(
            (&report["lines"], &first["first"], &first["last"]),
            (&json!(2), &json!("2026-11-23T10:00:00.000Z"), &json!("2026-11-23T12:00:00.000Z")),
            "{name}: {report}"
        );
    }
}

#[test]
fn each_line_is_assigned_to_its_pattern() {
    let output = patterns("patterns-assign", LOG, &["--assign", "--json"]);
    let lines: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<u64> = lines.iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let pattern = |line: usize| lines[line]["pattern"].as_str().unwrap();
    assert_eq!(pattern(0), "order <n> failed: no space on <…>");
    assert_eq!((pattern(1), pattern(4)), (pattern(0), pattern(0)));
    assert_eq!(pattern(2), "at Disk.write(Disk.java:<n>)");
}

#[test]
fn standard_input_events_and_a_data_directory_have_patterns_too() {
    let directory = scratch("patterns-inputs");
    let mut child = stentor(&directory, &["patterns", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(LOG.as_bytes()).unwrap();
    let report: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!((&report["lines"], report["patterns"].as_array().unwrap().len()), (&json!(5), 3));

    let event =
        stentor(&directory, &["patterns", "events/kinesis-burst.json", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&event.stdout).unwrap();
    assert_eq!(report["lines"], json!(300), "log events without a marker count, too");

    assert!(run(&directory, &["events/kinesis-burst.json"]).status.success());
    let data = directory.join("data");
    let arguments =
        ["patterns", "--since", "2000-01-01", "--json", "--data-dir", data.to_str().unwrap()];
    let output = stentor(&directory, &arguments).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    assert_eq!(report["lines"], json!(180));
    let of_patterns = |name: &str| {
        report["patterns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p[name].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(of_patterns("lines"), 180);
}

#[test]
fn a_log_has_any_encoding_and_line_ending() {
    let directory = scratch("patterns-encodings");
    let log = "order 7 failed\norder 8 failed\nstarted\n";
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let crlf = log.replace('\n', "\r\n");
    let files = [
        ("plain.log", log.as_bytes().to_vec()),
        ("crlf.log", crlf.clone().into_bytes()),
        ("mark.log", ["\u{feff}", &crlf].concat().into_bytes()),
        ("wide.log", [vec![0xff, 0xfe], utf16(&crlf)].concat()),
        ("plain.log.gz", packed(log.as_bytes())),
        ("wide.log.gz", packed(&[vec![0xff, 0xfe], utf16(log)].concat())),
        ("no-end.log", log.trim_end().as_bytes().to_vec()),
    ];
    for (name, bytes) in &files {
        let file = directory.join(name);
        std::fs::write(&file, bytes).unwrap();
        let lines = |arguments: &[&str], stdin: Stdio| {
            let mut command = stentor(&directory, &[&["patterns", "--json"], arguments].concat());
            let output = command.stdin(stdin).output().unwrap();
            let report: Value = serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|_| panic!("{name}: {}", text(&output.stderr)));
            let counts = report["patterns"].as_array().unwrap().iter();
            counts
                .map(|p| (p["pattern"].as_str().unwrap().to_owned(), p["lines"].clone()))
                .collect()
        };
        let expected: Vec<(String, Value)> =
            vec![("order <n> failed".to_owned(), json!(2)), ("started".to_owned(), json!(1))];
        let of_file: Vec<(String, Value)> = lines(&[file.to_str().unwrap()], Stdio::null());
        assert_eq!(of_file, expected, "{name}");
        let opened = std::fs::File::open(&file).unwrap();
        let of_stdin: Vec<(String, Value)> = lines(&["-"], opened.into());
        assert_eq!(of_stdin, expected, "{name} as standard input");
    }
}

#[test]
fn what_is_new_needs_an_earlier_start() {
    let new = ["--new-since", "2026-11-23"];
    let output = patterns("patterns-new", LOG, &[&new[..], &["--since", "2026-11-23"]].concat());
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains("--new-since must be after --since"), "{error}");
    let directory = scratch("patterns-new-table");
    let arguments = [&["patterns", "--data-dir", "x"], &["--new-since", "2h"][..]].concat();
    let error = text(&stentor(&directory, &arguments).output().unwrap().stderr);
    assert!(error.contains("--new-since is before the default start"), "{error}");
}

#[test]
fn an_input_that_cannot_be_read_is_named_and_the_next_is_read() {
    let directory = scratch("patterns-refused");
    let (zip, log) = (directory.join("x.zip"), directory.join("x.log"));
    std::fs::write(&zip, b"PK\x03\x04").unwrap();
    std::fs::write(&log, "disk is full\n").unwrap();
    let output = stentor(&directory, &["patterns", zip.to_str().unwrap(), log.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("x.zip: it is a zip archive"),
        "{}",
        text(&output.stderr)
    );
    assert!(text(&output.stdout).contains("disk is full"));
}

#[test]
fn an_input_that_is_not_read_whole_is_named() {
    let directory = scratch("patterns-cut");
    let long = ["x".repeat(17 << 20), "short".to_owned()].join("\n");
    let event = std::fs::read_to_string("events/kinesis-burst.json").unwrap();
    let cases = [
        ("long.log", &long[..], "line at byte 0 is longer than 16 MiB", "2 lines, 2 patterns"),
        (
            "cut.json",
            &event[..event.len() / 2],
            "not JSON: it ends too early",
            "0 lines, 0 patterns",
        ),
    ];
    for (name, text, reason, counted) in cases {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        let output = stentor(&directory, &["patterns", path.to_str().unwrap()]).output().unwrap();
        let (shown, errors) = (self::text(&output.stdout), self::text(&output.stderr));
        assert!(errors.contains(name) && errors.contains(reason), "{errors}");
        assert!(shown.starts_with(counted), "{shown}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_run_reports_the_groups_of_its_messages_with_their_values() {
    let directory = scratch("groups");
    let log = directory.join("app.log");
    let lines = [
        "ledger answered 503",
        "ledger answered 401",
        "ledger answered 503",
        "no space on /tmp",
        "no space on /var",
    ];
    std::fs::write(&log, lines.map(|line| format!("[CRITICAL] {line}\n")).concat()).unwrap();
    let (report, _) = report(&directory, &[log.to_str().unwrap()]);
    let expected = json!([
        {
            "pattern": "[CRITICAL] ledger answered <n>",
            "pattern_id": pattern_id("[CRITICAL] ledger answered <n>"), "news": null, "severity": null, "alerts": 3, "apps": {"app.log": 3},
            "values": [{"placeholder": 0, "alerts": {"401": 1, "503": 2}}],
        },
        {
            "pattern": "[CRITICAL] no space on <…>",
            "pattern_id": pattern_id("[CRITICAL] no space on <…>"), "news": null, "severity": null, "alerts": 2, "apps": {"app.log": 2},
            "values": [{"placeholder": 0, "alerts": {"/tmp": 1, "/var": 1}}],
        },
    ]);
    assert_eq!(
        (&report["messages"][0]["groups"], &report["messages"][0]["other_alerts"]),
        (&expected, &json!(0))
    );
    let directory = scratch("groups-text");
    let shown = text(&run(&directory, &[log.to_str().unwrap()]).stdout);
    assert!(shown.contains("answered 503 (2), 401 (1)"), "{shown}");
}
