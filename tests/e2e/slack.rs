//! Validates the messages with Slack's own SDK: those of every sample in `events/` pass the models
//! and validators of `slack_sdk`.

use std::path::Path;
use std::process::Command;

use stentor::adapters::embedded::Embedded;
use stentor::adapters::slack::layout::{burst_message, opening, render};
use stentor::adapters::webhook;
use stentor::ingest::event::{self, Event};
use stentor::protocol::close::close;
use stentor::protocol::consume::consume;

use crate::python::python;
use crate::support::{self, CrashSwitch, Process};

#[tokio::test(flavor = "multi_thread")]
async fn slack_sdk_accepts_the_message_of_every_sample() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slack");
    std::fs::remove_dir_all(&directory).ok();
    std::fs::create_dir_all(&directory).unwrap();
    let (mut files, mut webhooks) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(root.join("events")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let payload = std::fs::read_to_string(&path).unwrap();
        let Event::Batch(batch) = event::read(&payload, name.as_str()).unwrap() else { continue };
        let engine = Embedded::start(None).await.unwrap();
        let crash_switch = CrashSwitch::default();
        let mut process = Process::start(&engine, &crash_switch, true).await;
        process.routes = support::routes(
            "[[route]]\nname=\"r\"\nmarkers=[\"[CRITICAL]\",\"[ALERT]\"]\nnotify=[\"slack:x\"]",
        );
        consume(&process, &batch, process.deadline()).await;
        // The last message says that the burst is over. The records are old, so the consumer counts
        // as behind for some minutes.
        for _ in 0..12 {
            close(&process, &"r".parse().unwrap(), 0, process.deadline()).await;
            process.clock.forward(std::time::Duration::from_secs(60));
        }
        let accepted = process.targets.accepted.lock().unwrap();
        for (n, digest) in accepted.iter().enumerate() {
            let file = directory.join(format!("{name}-{n}.json"));
            std::fs::write(&file, serde_json::to_vec_pretty(&render(digest)).unwrap()).unwrap();
            files.push(file);
            let file = directory.join(format!("{name}-{n}-burst.json"));
            let burst = burst_message(digest, &opening(&accepted[0]));
            std::fs::write(&file, serde_json::to_vec_pretty(&burst).unwrap()).unwrap();
            files.push(file);
            let file = directory.join(format!("{name}-{n}-webhook.json"));
            std::fs::write(
                &file,
                serde_json::to_vec_pretty(&webhook::event("stack", digest)).unwrap(),
            )
            .unwrap();
            webhooks.push(file);
        }
    }
    assert!(files.len() > 30, "most samples make two messages, each in two forms");
    let check = Command::new(python())
        .arg(root.join("tests/tools/validate_slack.py"))
        .args(&files)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{said}{}", String::from_utf8_lossy(&check.stderr));
    // And the documents for programs have the documented schema.
    let check = Command::new(python())
        .arg(root.join("tests/tools/validate_webhook.py"))
        .args(&webhooks)
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}
