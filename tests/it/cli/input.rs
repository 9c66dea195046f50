//! The inputs of `run`: standard input, pipes, compressed and unexpected files. Signals, locks and
//! failing outputs, too.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::{Pid, Signal, kill_process};

use super::*;

/// No step of a healthy run takes this long, even on a loaded machine.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// A `run` with pipes to its standard input and output.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    fn write(&self, text: &str) {
        self.stdin.as_ref().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Waits until the process has read everything from its standard input.
    fn wait_until_read(&self) {
        let pipe = self.stdin.as_ref().unwrap().as_fd();
        wait_until(|| rustix::io::ioctl_fionread(pipe).unwrap() == 0);
    }

    /// Waits for a line with this text.
    fn wait_for(&mut self, part: &str) {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert_ne!(
                self.stdout.read_line(&mut line).unwrap(),
                0,
                "the output ended without {part}"
            );
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end. Returns the exit code and the rest of both outputs.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), out, err)
    }
}

fn wait_until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < STEP_TIMEOUT, "the condition did not become true");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The number of alerts in a data directory, counted with `stentor alerts`.
fn rows(directory: &Path) -> usize {
    let data = directory.join("data");
    let question =
        ["alerts", "--json", "--since", "1h", "--limit", "0", "--data-dir", data.to_str().unwrap()];
    let output = stentor(directory, &question).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().count()
}

#[test]
fn a_signal_ends_a_run_and_every_line_that_was_read_is_kept() {
    for (signal, pause_ms, lines) in [
        (Signal::INT, 20, 30),
        (Signal::TERM, 20, 30),
        (Signal::HUP, 20, 30),
        (Signal::INT, 0, 3_000),
        (Signal::TERM, 0, 3_000),
        (Signal::TERM, 200, 3),
    ] {
        let case = format!("{signal:?}-{pause_ms}");
        let directory = scratch(&format!("signal-{case}"));
        let running = Running::start(stentor(&directory, &["run", "-"]));
        for n in 0..lines {
            running.write(&format!("[CRITICAL] {n}\n"));
            if pause_ms > 0 {
                std::thread::sleep(Duration::from_millis(pause_ms));
            }
        }
        running.write("[CRITICAL] unfinished");
        running.wait_until_read();
        running.signal(signal);
        let (code, out, err) = running.end();
        assert_eq!(code, Some(0), "{case}: {out}{err}");
        assert_eq!(rows(&directory), lines + 1, "{case}: {out}");
        assert!(
            out.contains(&format!(
                "{} kept",
                stentor::model::humanize::thousands(lines as u64 + 1)
            )),
            "{case}: {out}"
        );
    }
}

#[test]
fn the_first_alert_is_shown_while_lines_keep_arriving() {
    for pause_ms in [1, 20, 120] {
        let directory = scratch(&format!("steady-{pause_ms}"));
        let mut running = Running::start(stentor(&directory, &["run", "-"]));
        let mut stdin = running.stdin.take().unwrap();
        writeln!(stdin, "[CRITICAL] first").unwrap();
        // The lines go on until the process ends.
        let writer = std::thread::spawn(move || {
            while writeln!(stdin, "a quiet line").is_ok() {
                std::thread::sleep(Duration::from_millis(pause_ms));
            }
        });
        let (shown, seen) = std::sync::mpsc::channel();
        let mut stdout = running.stdout;
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while !line.contains("first") && stdout.read_line(&mut line).unwrap() > 0 {}
            shown.send(line).unwrap();
            stdout
        });
        let first = seen.recv_timeout(Duration::from_secs(20));
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        assert!(
            first.is_ok_and(|text| text.contains("first")),
            "nothing was shown at a line every {pause_ms} ms"
        );
        writer.join().unwrap();
        drop(reader.join().unwrap());
    }
}

/// A webhook that answers a request only when the test calls [`Webhook::answer`].
struct Webhook {
    listener: TcpListener,
}

impl Webhook {
    fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    fn url(&self) -> String {
        format!("http://{}/services/T0/B0/x", self.listener.local_addr().unwrap())
    }

    /// Waits for a request, which stays open until the result is dropped.
    fn receive(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().unwrap();
        assert_ne!(stream.read(&mut [0; 1]).unwrap(), 0);
        stream
    }

    fn answer(&self) {
        self.receive()
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
            .unwrap();
    }
}

#[test]
fn a_signal_ends_a_run_whose_webhook_hangs_and_the_message_stays_owed() {
    for second in [None, Some(Signal::TERM)] {
        let directory = scratch(&format!("hanging-{}", second.is_some()));
        let webhook = Webhook::new();
        let mut running =
            Running::start(stentor(&directory, &["run", "-", "--slack-webhook", &webhook.url()]));
        running.write("[CRITICAL] x\n");
        let _request = webhook.receive();
        running.write("[CRITICAL] y\n");
        running.wait_until_read();
        let signaled_at = Instant::now();
        running.signal(Signal::INT);
        // Signals close together count as one.
        while let Some(second) = second
            && running.child.try_wait().unwrap().is_none()
        {
            running.signal(second);
            std::thread::sleep(Duration::from_millis(20));
        }
        let (code, out, err) = running.end();
        assert_eq!(code, Some(1), "{out}{err}");
        assert!(
            signaled_at.elapsed() < Duration::from_secs(20),
            "a delivery may take 60 s, and a shutdown two"
        );
        match second {
            Some(_) => {
                assert!(err.contains("ended by a second signal") && out.is_empty(), "{out}{err}")
            }
            None => {
                assert_eq!(rows(&directory), 2);
                assert!(
                    out.contains("not delivered yet")
                        && err.contains("ended before slack:default answered"),
                    "{out}{err}"
                );
            }
        }
    }
}

#[test]
fn a_run_that_is_ended_reports_unread_inputs() {
    let directory = scratch("ended-early");
    let (first, fifo, log) =
        (directory.join("first.log"), directory.join("fifo"), directory.join("app.log"));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::fs::write(&first, "[CRITICAL] x\n[CRITICAL] y\n").unwrap();
    std::fs::write(&log, "[CRITICAL] x\n").unwrap();
    let arguments = ["run", first.to_str().unwrap(), fifo.to_str().unwrap(), log.to_str().unwrap()];
    let running = Running::start(stentor(&directory, &arguments));
    // Once the first file is stored, the run waits at the pipe, which no process opens.
    wait_until(|| directory.join("data/stentor.db").exists() && rows(&directory) == 2);
    running.signal(Signal::TERM);
    let (code, out, err) = running.end();
    assert!(
        code == Some(1) && out.contains("app.log: the run was ended before it was read"),
        "{out}{err}"
    );
    assert!(
        out.contains("2 kept") && out.contains("2 alerts"),
        "the lines that were read are delivered: {out}"
    );
    assert_eq!(report(&directory, &[log.to_str().unwrap()]).0["kept"], json!(1));
}

#[test]
fn a_run_after_a_kill_takes_over_the_lease_at_once() {
    let directory = scratch("lease");
    let log = directory.join("app.log");
    std::fs::write(&log, "[CRITICAL] x\n").unwrap();
    let webhook = Webhook::new();
    let arguments = ["run", log.to_str().unwrap(), "--slack-webhook", &webhook.url()];
    let mut running = Running::start(stentor(&directory, &arguments));
    let request = webhook.receive();
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    drop(request);
    let next = Running::start(stentor(&directory, &arguments));
    // The lease would last for 70 s.
    webhook.answer();
    let (code, out, err) = next.end();
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("delivered") && out.contains("1 alert"), "{out}{err}");
}

#[test]
fn a_message_that_was_not_written_is_shown_by_the_next_run() {
    let log = scratch("unwritten").join("app.log");
    std::fs::write(&log, "[CRITICAL] x\n").unwrap();
    let log = log.to_str().unwrap();
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    for (name, json, output, words) in [
        ("full", false, full as fn() -> Stdio, "No space left"),
        ("full-json", true, full, "No space left"),
        ("closed", false, closed, "Broken pipe"),
        ("closed-json", true, closed, "Broken pipe"),
    ] {
        let directory = scratch(&format!("unwritten-{name}"));
        let arguments: &[&str] = if json { &["run", log, "--json"] } else { &["run", log] };
        for _ in 0..2 {
            let unwritten = stentor(&directory, arguments)
                .stdout(output())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let unwritten = unwritten.wait_with_output().unwrap();
            let errors = text(&unwritten.stderr);
            assert_eq!(unwritten.status.code(), Some(2), "{name}: {errors}");
            let [error, hint] = errors.lines().collect::<Vec<_>>()[..] else {
                panic!("{name}: {errors}")
            };
            assert!(
                error.starts_with("error: cannot write to standard output: ")
                    && error.contains(words),
                "{name}: {error}"
            );
            assert!(
                hint.starts_with("hint: every alert is stored; the next run shows"),
                "{name}: {hint}"
            );
        }
        let (shown, code) = report(&directory, &[log]);
        assert_eq!(
            (code, &shown["kept"], &shown["messages"][0]["alerts"]),
            (0, &json!(0), &json!(1)),
            "{name}: {shown}"
        );
        let (retry, _) = report(&directory, &[log]);
        assert_eq!(
            retry["messages"],
            json!([]),
            "{name}: the message is acknowledged once it is written"
        );
    }
}

#[test]
fn other_commands_work_during_a_run() {
    let directory = scratch("together");
    let data = directory.join("data");
    report(&directory, &["events/kinesis-poison.json"]);
    let mut running = Running::start(stentor(&directory, &["run", "-"]));
    running.write("[CRITICAL] first\n");
    running.wait_for("first");
    let other = |arguments: &[&str]| {
        let place = ["--data-dir", data.to_str().unwrap()];
        let output = stentor(&directory, &[arguments, &place].concat()).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = other(&["alerts", "--grep", "first"]);
    assert!(code == 0 && out.contains("[CRITICAL] first"), "{out}{err}");
    let (code, out, err) = other(&["mute", "alerts", "--for", "1h"]);
    assert!(code == 0 && out.contains("is muted until"), "{out}{err}");
    let (code, out, err) = other(&["replay"]);
    assert!(code == 1 && out.contains("10"), "the records are as bad as before: {out}{err}");
    running.write("[CRITICAL] second\n");
    running.wait_until_read();
    running.signal(Signal::TERM);
    let (code, out, err) = running.end();
    assert!(code == Some(0) && !out.contains("second"), "it is muted: {out}{err}");
    assert!(out.contains("2 kept"), "{out}{err}");
}

#[test]
fn every_byte_of_a_pipe_is_read() {
    let lines = "[CRITICAL] from a pipe\n".repeat(5_000);
    let packed = [gzip(&lines.as_bytes()[..50_000]), gzip(&lines.as_bytes()[50_000..])].concat();
    let event =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("events/subscription.json"))
            .unwrap();
    for (name, bytes, kept) in
        [("lines", lines.into_bytes(), 5_000), ("gzip", packed, 5_000), ("event", event, 2)]
    {
        let directory = scratch(&format!("pipe-{name}"));
        let fifo = directory.join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let mut running = Running::start(stentor(
            &directory,
            &["run", "--json", fifo.to_str().unwrap(), "/dev/stdin"],
        ));
        // Opened for writing only now: the run waits for it.
        std::fs::OpenOptions::new().write(true).open(&fifo).unwrap().write_all(&bytes).unwrap();
        let mut stdin = running.stdin.take().unwrap();
        stdin.write_all(b"[CRITICAL] at the end\n").unwrap();
        drop(stdin);
        let (code, out, err) = running.end();
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &report["kept"]), (Some(0), &json!(kept + 1)), "{name}: {out}{err}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn utf16(text: &str, big_endian: bool) -> Vec<u8> {
    let bytes = |unit: u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A message of a subscription as it arrives in a bucket, with so many alerts.
fn message(id: &str, alerts: usize) -> String {
    let event = |n: usize| json!({"id": format!("{id}-{n}"), "timestamp": 1_795_443_306_789_i64 + n as i64, "message": format!("[CRITICAL] order {n}")});
    let quiet = json!({"id": id, "timestamp": 1_795_443_306_000_i64, "message": "quiet {\"}"});
    let events: Vec<Value> = std::iter::once(quiet).chain((0..alerts).map(event)).collect();
    let events = serde_json::to_string(&events).unwrap();
    format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/lambda/a","logStream":"s","subscriptionFilters":["all"],"logEvents":{events}}}"#
    )
}

#[test]
fn a_file_is_read_however_it_is_encoded_and_a_second_run_finds_duplicates() {
    let lines = "[CRITICAL] one\nquiet\r\n[ALERT] zwei äö\r\n";
    let event = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("events/subscription.json"),
    )
    .unwrap();
    let json_lines =
        "{\"level\":\"info\"}\n{\"msg\":\"[CRITICAL] x\"}\n{\"msg\":\"[CRITICAL] y\"}\n";
    let firehose = [gzip(message("1", 1).as_bytes()), gzip(message("2", 1).as_bytes())].concat();
    let export = b"2026-11-23T14:15:06.789Z [CRITICAL] one\n2026-11-23T14:15:07.000Z quiet\n2026-11-23T14:15:08.000Z [ALERT] two\n";
    let members = [gzip(&lines.as_bytes()[..20]), gzip(&lines.as_bytes()[20..])].concat();
    for (name, bytes) in [
        ("plain.log", lines.as_bytes().to_vec()),
        ("rotated.log.gz", gzip(lines.as_bytes())),
        ("members.log", members),
        ("marked.log", format!("\u{feff}{lines}").into_bytes()),
        ("little.log", utf16(lines, false)),
        ("big.log", utf16(lines, true)),
        ("little.log.gz", gzip(&utf16(lines, false))),
        ("event.json", event.clone().into_bytes()),
        ("marked.json", format!("\u{feff}{event}").into_bytes()),
        ("little.json", utf16(&event, false)),
        ("event.json.gz", gzip(event.as_bytes())),
        ("event", gzip(event.as_bytes())),
        ("lines.json", json_lines.as_bytes().to_vec()),
        ("lines.json.gz", gzip(json_lines.as_bytes())),
        ("twice.gz", gzip(&gzip(lines.as_bytes()))),
        ("rotated.log.zst", zstd(lines.as_bytes())),
        ("lines.json.zst", zstd(json_lines.as_bytes())),
        ("frames", [zstd(&lines.as_bytes()[..20]), zstd(&lines.as_bytes()[20..])].concat()),
        ("message.json", message("1", 2).into_bytes()),
        ("firehose-unpacked", (message("1", 1) + &message("2", 1)).into_bytes()),
        ("firehose-lines", (message("1", 1) + "\n" + &message("2", 1) + "\n").into_bytes()),
        ("firehose", firehose.clone()),
        ("firehose-packed.gz", gzip(&firehose)),
        ("export.gz", gzip(export)),
    ] {
        let directory = scratch(&format!("encoded-{name}"));
        let file = directory.join(name);
        std::fs::write(&file, bytes).unwrap();
        let file = file.to_str().unwrap();
        for (kept, duplicates) in [(2, 0), (0, 2)] {
            let (report, code) = report(&directory, &[file]);
            let found = (code, &report["kept"], &report["duplicates"]);
            assert_eq!(found, (0, &json!(kept), &json!(duplicates)), "{name}: {report}");
        }
    }
    let directory = scratch("encoded-text");
    let file = directory.join("marked.log");
    std::fs::write(&file, utf16("[CRITICAL] zwei äö 🔥", false)).unwrap();
    let shown = text(&run(&directory, &[file.to_str().unwrap()]).stdout);
    assert!(shown.contains("[CRITICAL] zwei äö 🔥"), "{shown}");
}

#[test]
fn an_input_that_cannot_be_read_is_reported_and_not_treated_as_empty() {
    let lines = b"[CRITICAL] one\n[CRITICAL] two\n".repeat(2_000);
    let packed = gzip(&lines);
    let mut damaged = packed.clone();
    damaged[packed.len() - 6] ^= 1;
    let zip = b"PK\x03\x04 and so on".to_vec();
    let cases: [(&str, Vec<u8>, &str, u64); 13] = [
        ("a.zip", zip.clone(), "it is a zip archive: unpack it first", 0),
        ("a.log.zst", b"\x28\xb5\x2f\xfd...".to_vec(), "the zstd data ends too early", 0),
        ("a.log.xz", b"\xfd7zXZ\0...".to_vec(), "xz", 0),
        ("a.log.bz2", b"BZh91AY&SY...".to_vec(), "bzip2", 0),
        ("a.db", b"SQLite format 3\0...".to_vec(), "SQLite", 0),
        ("a.out", b"\x7fELF...".to_vec(), "ELF", 0),
        ("a.txt", b"\xff\xfe\0\0x\0\0\0".to_vec(), "UTF-32", 0),
        ("zeros", vec![0; 100_000], "NUL bytes and no text", 0),
        ("thrice.gz", gzip(&gzip(&gzip(b"[CRITICAL] x"))), "compressed three times", 0),
        (
            "cut-message",
            (message("1", 2) + "{\"messageType\":").into_bytes(),
            "has no end; the messages before that are ingested",
            2,
        ),
        ("array.json", b"[{\"message\": \"[CRITICAL] x\"}]".to_vec(), "jq -c '.[]'", 0),
        (
            "cut.gz",
            packed[..packed.len() - 4].to_vec(),
            "the gzip data ends too early; the lines before that are ingested",
            4_000,
        ),
        (
            "damaged.gz",
            damaged,
            "the gzip data is damaged; the lines before that are ingested",
            4_000,
        ),
    ];
    for (name, bytes, words, kept) in cases {
        let directory = scratch(&format!("foreign-{name}"));
        let file = directory.join(name);
        std::fs::write(&file, bytes).unwrap();
        let output = run(&directory, &[file.to_str().unwrap(), "events/subscription.json"]);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{name}: {shown}{}", text(&output.stderr));
        assert!(
            shown.contains("not read") && shown.contains(&format!("{name}: ")),
            "{name}: {shown}"
        );
        assert!(shown.contains(words), "{name}: {shown}");
        let kept = format!("{} kept", stentor::model::humanize::thousands(kept + 2));
        assert!(shown.contains(&kept), "the rest is ingested: {name}: {shown}");
    }
    let directory = scratch("foreign-pipe");
    let mut running = Running::start(stentor(&directory, &["run", "-"]));
    running.stdin.as_ref().unwrap().write_all(&zip).unwrap();
    drop(running.stdin.take());
    let (code, out, _) = running.end();
    assert!(code == Some(1) && out.contains("standard input: it is a zip archive"), "{out}");
}

#[test]
fn a_data_directory_is_private_and_its_lock_truncates_no_other_file() {
    let directory = scratch("private");
    let data = directory.join("data");
    report(&directory, &["events/subscription.json"]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data), mode(&data.join("stentor.db"))), (0o700, 0o600));
    let victim = directory.join("victim");
    std::fs::write(&victim, "precious").unwrap();
    std::fs::remove_file(data.join("lock")).unwrap();
    std::os::unix::fs::symlink(&victim, data.join("lock")).unwrap();
    run(&directory, &["events/subscription.json"]);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a_damaged_database_is_reported_with_a_remedy() {
    let directory = scratch("damaged");
    report(&directory, &["events/subscription.json"]);
    let database = directory.join("data/stentor.db");
    let garbage = "no database at all ".repeat(1_000);
    std::fs::write(&database, garbage).unwrap();
    // SQLite would restore the database from a write-ahead log.
    for log in ["data/stentor.db-wal", "data/stentor.db-shm"] {
        std::fs::remove_file(directory.join(log)).ok();
    }
    let output = run(&directory, &["events/subscription.json"]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("stentor.db is damaged") && errors.contains("move it away"),
        "{errors}"
    );
    assert!(!errors.contains("new_encrypted"), "{errors}");
    std::fs::rename(&database, directory.join("away")).unwrap();
    assert_eq!(report(&directory, &["events/subscription.json"]).1, 0, "the remedy helps");
}

#[test]
fn alerts_are_read_from_a_directory_that_cannot_be_written() {
    let directory = scratch("read-only");
    let data = directory.join("data");
    // Killed, so that some rows are only in the write-ahead log.
    let mut running = Running::start(stentor(&directory, &["run", "-"]));
    running.write("[CRITICAL] x\n");
    running.wait_for("1 alert");
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    for file in std::fs::read_dir(&data).unwrap() {
        std::fs::set_permissions(
            file.unwrap().path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o444),
        )
        .unwrap();
    }
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    let mut command = stentor(&directory, &["alerts", "--data-dir", data.to_str().unwrap()]);
    if rustix::process::geteuid().is_root() {
        // Nothing is read-only for root.
        command.uid(65_534);
    }
    let output = command.output().unwrap();
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert!(text(&output.stdout).contains("[CRITICAL] x"), "{}", text(&output.stderr));
}

#[test]
fn a_time_of_zero_seconds_is_a_usage_error() {
    let output = run(&scratch("no-time"), &["events/subscription.json", "--timeout", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--timeout"), "{}", text(&output.stderr));
}

#[test]
fn a_replay_during_a_run_does_not_free_its_leases() {
    let directory = scratch("leases");
    let data = directory.join("data");
    // Parks a record that a higher limit makes readable.
    report(&directory, &["events/kinesis-poison.json"]);
    let webhook = Webhook::new();
    let running =
        Running::start(stentor(&directory, &["run", "-", "--slack-webhook", &webhook.url()]));
    running.write("[CRITICAL] x\n");
    let _request = webhook.receive();
    let place = ["--data-dir", data.to_str().unwrap(), "--slack-webhook", &webhook.url()];
    let which = ["replay", "--reason", "too-large", "--max-decoded", "1GiB", "--timeout", "3"];
    let output = stentor(&directory, &[&which[..], &place].concat()).output().unwrap();
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert!(
        output.status.code() == Some(1)
            && printed.contains("another process is delivering to slack:default"),
        "{printed}"
    );
    webhook.listener.set_nonblocking(true).unwrap();
    assert!(
        webhook.listener.accept().is_err(),
        "the target was called while another process called it"
    );
    running.signal(Signal::TERM);
    assert_eq!(running.end().0, Some(1), "still owed");
    let (report, code) = report(&directory, &["events/kinesis-empty.json"]);
    assert_eq!((code, &report["messages"][0]["outcome"]), (0, &json!("shown")), "{report}");
}

/// A pipe has its lines only once, so the writer waits until the store accepts them.
#[test]
fn lines_of_a_pipe_wait_for_a_store_that_is_full() {
    const LINES: usize = 3_000;
    let directory = scratch("room");
    let data = directory.join("data");
    // Its files may grow to 2 MiB (4,096 blocks of 512 bytes), until the limit is lifted.
    let mut command = Command::new("sh");
    let limited = "trap '' XFSZ; ulimit -S -f 4096; exec \"$@\"";
    command.args([
        "-c",
        limited,
        "sh",
        env!("CARGO_BIN_EXE_stentor"),
        "run",
        "-",
        "--timeout",
        "1",
        "--data-dir",
    ]);
    let mut running = Running::start({
        command.arg(&data);
        command
    });
    let mut stderr = BufReader::new(running.child.stderr.take().unwrap());
    let mut stdin = running.stdin.take().unwrap();
    let filler = "long ".repeat(200);
    let writer = std::thread::spawn(move || {
        (0..LINES).for_each(|n| writeln!(stdin, "[CRITICAL] order {n} failed {filler}").unwrap());
    });
    let mut line = String::new();
    while !line.contains("not stored yet") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended and did not wait");
    }
    let unlimited = rustix::process::Rlimit { current: None, maximum: None };
    rustix::process::prlimit(
        Some(Pid::from_child(&running.child)),
        rustix::process::Resource::Fsize,
        unlimited,
    )
    .unwrap();
    let log = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).unwrap();
        log
    });
    writer.join().unwrap();
    let mut shown = String::new();
    running.stdout.read_to_string(&mut shown).unwrap();
    assert_eq!(running.child.wait().unwrap().code(), Some(0), "{}", log.join().unwrap());
    assert_eq!(rows(&directory), LINES);
    // A write that succeeded without an answer is found as a duplicate.
    assert!(shown.contains("log events  3,000: 0 unmatched"), "{shown}");
}

/// A line of more than 1 MiB is one line: no marker and no secret is split.
#[test]
fn a_long_line_is_ingested_as_a_whole() {
    let directory = scratch("long-line");
    let file = directory.join("long.log");
    let around_the_mebibyte = |text: &str| format!("{}{text}", "x".repeat((1 << 20) - 6));
    let too_long = format!("[CRITICAL] endless {}", "x".repeat(17 << 20));
    let lines = [
        around_the_mebibyte("[CRITICAL] tail"),
        format!("[CRITICAL] {}", around_the_mebibyte(" password=Xk9vTq2LmZ7p [CRITICAL] rest")),
        too_long,
        "[CRITICAL] after".to_owned(),
    ];
    std::fs::write(&file, lines.join("\n")).unwrap();
    let relative = "target/../".to_owned()
        + file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap();
    let (of_file, code) = report(&directory, &[&relative]);
    assert_eq!((&of_file["kept"], code), (&json!(4), 1), "{of_file}");
    assert_eq!(of_file["not_read"][0]["input"], relative, "as it was named");
    let refused = of_file["not_read"][0]["reason"].as_str().unwrap();
    assert!(refused.ends_with("is longer than 16 MiB: the rest of it was not read"), "{refused}");
    let output = stentor(&scratch("long-line-stdin"), &["run", "-", "--json"])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    let of_stdin: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&of_stdin["kept"], output.status.code()), (&json!(4), Some(1)), "{of_stdin}");
    assert_eq!(of_stdin["not_read"][0]["input"], "standard input");
    let data = directory.join("data");
    let rows = stentor(
        &directory,
        &["alerts", "--json", "--since", "1h", "--data-dir", data.to_str().unwrap()],
    );
    let rows = text(&{ rows }.output().unwrap().stdout);
    assert!(rows.contains("[CRITICAL] tail") && !rows.contains("Tq2LmZ7p"), "{rows:.300}");
}

#[test]
fn the_length_of_a_line_excludes_its_line_ending() {
    let directory = scratch("line-end");
    let file = directory.join("a.log");
    let line = |bytes: usize| format!("[CRITICAL] {}", "y".repeat(bytes - "[CRITICAL] ".len()));
    let whole = 16 << 20;
    for (text, code) in [
        (line(whole), 0),
        (line(whole) + "\n", 0),
        (line(whole) + "\r\n", 0),
        (line(whole + 1), 1),
        (line(whole + 1) + "\n", 1),
        (line(whole) + "\n[CRITICAL] next", 0),
    ] {
        std::fs::write(&file, &text).unwrap();
        let shown = (text.len(), &text[text.len() - 5..]);
        let of_file = run(&scratch("line-end-file"), &[file.to_str().unwrap()]).status.code();
        let mut of_stdin = stentor(&scratch("line-end-stdin"), &["run", "-"]);
        let of_stdin =
            of_stdin.stdin(std::fs::File::open(&file).unwrap()).output().unwrap().status.code();
        assert_eq!((of_file, of_stdin), (Some(code), Some(code)), "{shown:?}");
    }
}

/// `timeout` signals its child, and then the child's group.
#[test]
fn two_signals_at_once_are_one_request() {
    let directory = scratch("twice");
    let mut running = Running::start(stentor(&directory, &["run", "-"]));
    running.write("[CRITICAL] first\n");
    running.wait_for("1 alert");
    (0..50).for_each(|n| running.write(&format!("[CRITICAL] order {n}\n")));
    // Two of a kind might be delivered as one.
    running.signal(Signal::TERM);
    running.signal(Signal::INT);
    let (code, _, err) = running.end();
    assert_eq!((code, err.contains("second signal")), (Some(0), false), "{err}");
    assert_eq!(rows(&directory), 51);
}
