//! What Slack's own library says of our messages: every sample of `events/`, rendered, passes `slack_sdk`'s
//! models and validators.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::Command;

use stentor::close::close;
use stentor::consume::consume;
use stentor::embedded::Embedded;
use stentor::event::{self, Event};
use stentor::notify::slack::render::render;
use support::python::python;
use support::{Lifeline, Process};

#[tokio::test(flavor = "multi_thread")]
async fn slack_sdk_accepts_the_message_of_every_sample() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slack");
    std::fs::remove_dir_all(&directory).ok();
    std::fs::create_dir_all(&directory).unwrap();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root.join("events")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let payload = std::fs::read_to_string(&path).unwrap();
        let Event::Batch(batch) = event::read(&payload, &name).unwrap() else { continue };
        let engine = Embedded::start(None).await.unwrap();
        let lifeline = Lifeline::default();
        let mut process = Process::start(&engine, &lifeline, true).await;
        process.routes =
            support::routes("[[route]]\nname=\"r\"\nmarkers=[\"[CRITICAL]\",\"[ALERT]\"]\nnotify=[\"slack:x\"]");
        consume(&process, &batch, process.deadline()).await;
        // Twice: the second message says that the burst is over.
        for _ in 0..2 {
            close(&process, &"r".parse().unwrap(), 0, process.deadline()).await;
            process.clock.forward(std::time::Duration::from_secs(60));
        }
        let accepted = process.targets.accepted.lock().unwrap();
        for (n, digest) in accepted.iter().enumerate() {
            let file = directory.join(format!("{name}-{n}.json"));
            std::fs::write(&file, serde_json::to_vec_pretty(&render(digest)).unwrap()).unwrap();
            files.push(file);
        }
    }
    assert!(files.len() > 15, "most samples make two messages");
    let check = Command::new(python()).arg(root.join("tests/tools/validate_slack.py")).args(&files).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{said}{}", String::from_utf8_lossy(&check.stderr));
}
