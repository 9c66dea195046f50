//! Progress on stderr, for work that takes longer than a moment: the bytes of an input, and the
//! dead letters of a replay.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use stentor::model::humanize::{humanize_duration, thousands};
use stentor::ops::replay::Report;
use tokio_util::sync::CancellationToken;

use crate::ui::Ui;

/// Nothing is drawn before this has passed: most runs have ended by then.
const QUIET_TIME: Duration = Duration::from_millis(800);

/// Bytes read of bytes to read.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    bytes_all: u64,
    bytes: u64,
    /// In the files before.
    bytes_before: u64,
    /// `indicatif` draws nothing when stderr is not a terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(bytes_all: u64) -> Self {
        Self { started: Instant::now(), bytes_all, bytes: 0, bytes_before: 0, bar: None }
    }

    /// `bytes` of the current file are read.
    pub(crate) fn advance_to(&mut self, bytes: u64) {
        self.bytes = self.bytes_before + bytes;
        if self.bar.is_none() && self.started.elapsed() > QUIET_TIME {
            self.bar = Some(bar(
                self.bytes_all,
                "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
            ));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.bytes);
        }
    }

    pub(crate) fn next_file(&mut self) {
        self.bytes_before = self.bytes;
    }

    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The dead letters of a replay: a bar on a terminal, and otherwise a line now and then.
#[derive(Debug)]
pub(crate) struct ReplayProgress {
    started: Instant,
    /// Dead letters in the source when the replay started, approximately.
    total: u64,
    interval: Duration,
    last_line: Instant,
    bar: Option<ProgressBar>,
    ui: Ui,
}

impl ReplayProgress {
    pub(crate) fn new(total: u64, interval: Duration, ui: Ui) -> Self {
        let has_bar = ui.shows_progress() && std::io::stderr().is_terminal();
        let bar = has_bar.then(|| {
            let bar =
                bar(total, "{bar:30} {pos}/{len} dead letters · {msg} · {per_sec} · {eta} left");
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let now = Instant::now();
        Self { started: now, total, interval, last_line: now, bar, ui }
    }

    pub(crate) fn show(&mut self, report: &Report) {
        let (reprocessed, unresolved) = (report.reprocessed(), report.unresolved.len() as u64);
        let failed = if unresolved == 0 {
            String::new()
        } else {
            format!(", {} failed", thousands(unresolved))
        };
        self.show_counts(
            report.received,
            &format!("{} reprocessed{failed}", thousands(reprocessed)),
        );
    }

    /// Shows a replay that has received so many dead letters and did `results` with them.
    pub(crate) fn show_counts(&mut self, received: u64, results: &str) {
        let total = self.total.max(received);
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(received);
            bar.set_message(results.to_owned());
        } else if self.last_line.elapsed() >= self.interval {
            self.last_line = Instant::now();
            let rate = received as f64 / self.started.elapsed().as_secs_f64().max(0.001);
            let left = Duration::from_secs_f64((total - received) as f64 / rate.max(0.001));
            let (received, total, left) =
                (thousands(received), thousands(total), humanize_duration(left));
            self.ui.note(format_args!(
                "replay: {received} of about {total} dead letters, {results}, {rate:.1}/s, {left} left"
            ));
        }
    }

    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    /// A token that Ctrl-C cancels. A second Ctrl-C ends the process. Neither loses a dead letter:
    /// what is not deleted becomes visible again.
    pub(crate) fn cancel_on_ctrl_c(&self) -> CancellationToken {
        let cancel = CancellationToken::new();
        let (cancelled, bar, ui) = (cancel.clone(), self.bar.clone(), self.ui);
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            cancelled.cancel();
            note(
                bar.as_ref(),
                ui,
                "stopping after the current step; press Ctrl-C again to stop now, which loses nothing",
            );
            if tokio::signal::ctrl_c().await.is_ok() {
                note(
                    bar.as_ref(),
                    ui,
                    "stopped; the remaining dead letters are visible again within five minutes",
                );
                std::process::exit(1);
            }
        });
        cancel
    }
}

fn bar(length: u64, template: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(template).expect("invariant: a constant template is valid");
    ProgressBar::new(length).with_style(style)
}

fn note(bar: Option<&ProgressBar>, ui: Ui, text: &str) {
    match bar {
        Some(bar) => bar.suspend(|| ui.note(text)),
        None => ui.note(text),
    }
}
