//! `--timeout` bounds a run, whatever fails and how often.

use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;

/// The report of a run, which may take so long.
async fn report_within(directory: &Path, arguments: &[&str], at_most: Duration) -> Value {
    let command = stentor(directory, &[&["run", "--json"], arguments].concat());
    let started = Instant::now();
    let output = tokio::process::Command::from(command).output().await.unwrap();
    let took = started.elapsed();
    let report = text(&output.stdout);
    assert!(took < at_most, "{took:?}: {report}");
    assert_eq!(output.status.code(), Some(1), "{report}");
    serde_json::from_str(&report).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_fails_costs_the_timeout_and_is_reported_once() {
    let slack = MockServer::start().await;
    let hangs = ResponseTemplate::new(200).set_delay(Duration::from_secs(600));
    Mock::given(path("/hangs")).respond_with(hangs).mount(&slack).await;
    Mock::given(path("/fails")).respond_with(ResponseTemplate::new(503)).mount(&slack).await;
    let config = scratch("timeout").join("stentor.toml");
    let routes = ["a", "b", "c"].map(|name| {
        format!("[[route]]\nname = '{name}'\nmarkers = ['[CRITICAL]']\nnotify = ['slack:{name}']\ncontinue = true\n")
    });
    std::fs::write(&config, routes.concat()).unwrap();
    const SLOW: &str = "Slack did not answer in time";
    for (webhook, reason) in [("hangs", SLOW), ("fails", "answered 503")] {
        let directory = scratch(&format!("timeout-{webhook}"));
        let url = format!("{}/{webhook}", slack.uri());
        let arguments = [
            "events/subscription.json",
            "--slack-webhook",
            &url,
            "--timeout",
            "4",
            "--config",
            config.to_str().unwrap(),
        ];
        // The second run begins with what the first one left.
        for _ in 0..2 {
            let report = report_within(&directory, &arguments, Duration::from_secs(8)).await;
            let undelivered = report["undelivered"].as_array().unwrap();
            let routes: Vec<&Value> = undelivered.iter().map(|one| &one["route"]).collect();
            assert_eq!(routes, ["a", "b", "c"], "{report}");
            let reasons: Vec<&str> =
                undelivered.iter().map(|one| one["reason"].as_str().unwrap()).collect();
            assert!(reasons[0].contains(reason), "{report}");
            // On a slow machine, the time can end during an attempt, or during the pause after one.
            let is_known = |found: &&str| {
                [reason, SLOW, "is paused after a failure"].iter().any(|text| found.contains(text))
            };
            assert!(reasons.iter().all(is_known), "{report}");
        }
    }
}

#[test]
fn a_disk_that_is_full_at_the_start_is_not_called_damage() {
    let directory = scratch("full-at-start");
    run(&directory, &["events/kinesis-empty.json"]);
    let data = directory.join("data");
    let options = ["run", "events/subscription.json", "--data-dir", data.to_str().unwrap()];
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_stentor"))
        .args(options)
        .output()
        .unwrap();
    let errors = text(&output.stderr);
    assert!(
        errors.contains("stentor.db: disk I/O error: make room if the disk is full")
            && output.status.code() == Some(2),
        "{errors}"
    );
    assert_eq!(report(&directory, &["events/subscription.json"]).1, 0, "with room again");
}

#[test]
fn a_full_disk_costs_the_timeout_however_many_inputs_there_are() {
    let directory = scratch("timeout-disk");
    run(&directory, &["events/kinesis-empty.json"]);
    let lines: String = (0..200).map(|n| format!("[CRITICAL] order {n} failed\n")).collect();
    let logs: Vec<String> = (0..6)
        .map(|n| {
            let log = directory.join(format!("{n}.log"));
            std::fs::write(&log, &lines).unwrap();
            log.to_str().unwrap().to_owned()
        })
        .collect();
    // No file may grow beyond 64 KiB (128 blocks of 512 bytes), so the database cannot.
    let limited = "trap '' XFSZ; ulimit -f 128; exec \"$@\"";
    let data = directory.join("data");
    let options = ["run", "--json", "--timeout", "3", "--data-dir", data.to_str().unwrap()];
    let started = Instant::now();
    let output = Command::new("sh")
        .args(["-c", limited, "sh", env!("CARGO_BIN_EXE_stentor")])
        .args(options)
        .args(&logs)
        .output()
        .unwrap();
    let took = started.elapsed();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    assert!(took < Duration::from_secs(8), "{took:?}: {report}");
    assert_ne!(report["to_retry"], json!([]), "{report}");
    let not_read = report["not_read"].as_array().unwrap();
    assert!(!not_read.is_empty() && output.status.code() == Some(1), "{report}");
    for one in not_read {
        let reason = "storing and delivering failed for 3 s: run it again";
        assert_eq!(one["reason"], reason, "{report}");
    }
    // With room again, nothing is missing and nothing counts twice.
    let arguments: Vec<&str> = logs.iter().map(String::as_str).collect();
    let (after, code) = super::report(&directory, &arguments);
    let n = |report: &Value, name: &str| report[name].as_u64().unwrap();
    assert_eq!((n(&report, "kept") + n(&after, "kept"), code), (1_200, 0), "{report} {after}");
}

/// A server that sends a byte of its answer every 100 ms: of its head, or of its body. Returns its
/// URL, and the requests as they come.
async fn slow_server(answer: &'static str) -> (String, UnboundedReceiver<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (came, requests) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = came.send(());
            tokio::spawn(async move {
                use tokio::io::AsyncWriteExt as _;
                let (at_once, slowly) = answer.split_once('|').unwrap();
                connection.write_all(at_once.as_bytes()).await?;
                for byte in slowly.bytes().cycle() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    connection.write_all(&[byte]).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    (format!("http://{address}/hook"), requests)
}

/// The input of a run ends while the first delivery is under way. That delivery and the end of the
/// run share the time.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_byte_by_byte_costs_no_more_than_the_timeout() {
    let log = scratch("slow").join("app.log");
    std::fs::write(&log, "[CRITICAL] x\n").unwrap();
    for (name, answer) in [
        ("head", "HTTP/1.1 200 OK\r\n|x-more: "),
        ("body", "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n|o"),
        ("failure", "HTTP/1.1 503 No\r\ncontent-length: 100000\r\n\r\n|o"),
    ] {
        let (url, mut requests) = slow_server(answer).await;
        for input in [log.to_str().unwrap(), "-"] {
            let directory = scratch(&format!("slow-{name}-{}", input.len()));
            let arguments = ["run", input, "--slack-webhook", &url, "--timeout", "4"];
            let mut command = tokio::process::Command::from(stentor(&directory, &arguments));
            let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = pipes.stderr(Stdio::piped()).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stdin, b"[CRITICAL] x\n").await.ok();
            requests.recv().await.unwrap();
            let ended = Instant::now();
            drop(stdin);
            let output = child.wait_with_output().await.unwrap();
            let (took, shown) = (ended.elapsed(), text(&output.stdout));
            assert!(took < Duration::from_secs(7), "{name} {input}: {took:?} {shown}");
            assert_eq!(output.status.code(), Some(1), "{name} {input}: {shown}");
            while requests.try_recv().is_ok() {}
        }
    }
}
