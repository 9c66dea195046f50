//! Who sits in front of a replay: sees a bar on a terminal and a line every few seconds elsewhere, and may end
//! it with Ctrl-C. The first one lets what is being worked on come to its end; the second ends the process,
//! which loses nothing either.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use stentor::model::text::{humanize_duration, thousands};
use stentor::ops::replay::{Operator, Report};

/// Watches a replay on stderr.
#[derive(Debug)]
pub struct Watch {
    started: Instant,
    /// Letters that there were in the beginning, about.
    all: u64,
    interval: Duration,
    last_line: Mutex<Instant>,
    bar: Option<ProgressBar>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    /// Starts to listen for Ctrl-C.
    pub fn new(all: u64, interval: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let bar = std::io::stderr().is_terminal().then(|| bar(all));
        tokio::spawn(listen(Arc::clone(&stop), bar.clone()));
        let now = Instant::now();
        Self { started: now, all, interval, last_line: Mutex::new(now), bar, stop }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, report: &Report) -> String {
        let seen = report.received.max(report.done());
        let took = self.started.elapsed();
        let rate = seen as f64 / took.as_secs_f64().max(0.001);
        let left = Duration::from_secs_f64(self.all.saturating_sub(seen) as f64 / rate.max(0.001));
        format!(
            "replay: {} of about {} letters, {} settled, {} stay, {rate:.1}/s, {} left",
            thousands(seen),
            thousands(self.all.max(seen)),
            thousands(report.reprocessed()),
            thousands(report.stays.len() as u64),
            humanize_duration(left)
        )
    }
}

impl Operator for Watch {
    fn watch(&self, report: &Report) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(self.all.max(report.received));
                bar.set_position(report.received);
                bar.set_message(format!("{} settled, {} stay", report.reprocessed(), report.stays.len()));
            }
            None => {
                let mut last = self.last_line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if last.elapsed() >= self.interval {
                    *last = Instant::now();
                    eprintln!("{}", self.line(report));
                }
            }
        }
    }

    fn wants_to_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

fn bar(all: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} letters · {msg} · {per_sec} · {eta} left");
    let bar = ProgressBar::new(all).with_style(style.expect("invariant: a constant template"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

async fn listen(stop: Arc<AtomicBool>, bar: Option<ProgressBar>) {
    if tokio::signal::ctrl_c().await.is_err() {
        return;
    }
    stop.store(true, Ordering::SeqCst);
    say(
        bar.as_ref(),
        "stopping: what is being worked on comes to its end. Ctrl-C again ends at once, and loses nothing",
    );
    if tokio::signal::ctrl_c().await.is_ok() {
        say(bar.as_ref(), "ended: what was not settled is there again within five minutes");
        std::process::exit(130);
    }
}

fn say(bar: Option<&ProgressBar>, text: &str) {
    match bar {
        Some(bar) => bar.suspend(|| eprintln!("stentor: {text}")),
        None => eprintln!("stentor: {text}"),
    }
}
