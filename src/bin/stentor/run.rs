//! `stentor run`: the whole pipeline on this machine. Files are taken in one after the other, and each
//! route that they touched is closed once, at the end. Standard input is taken in as it comes, and
//! windows go by the clock, as in a deployment.

use std::fs::File;
use std::io::{BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use stentor::clock::{Clock as _, SystemClock, Timestamp};
use stentor::close::{Outcome, Sent, close, settle};
use stentor::consume::take;
use stentor::digest::Digest;
use stentor::embedded::Embedded;
use stentor::event::{self, Batch};
use stentor::notify::http;
use stentor::notify::slack::{Slack, WebhookUrl, render, terminal};
use stentor::queue::local::{LocalDue, LocalPark};
use stentor::queue::{Due, DueQueue as _};
use stentor::route::Routes;
use stentor::store::Store as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _};
use tokio::sync::mpsc;

use crate::Exit;
use crate::chunk::{self, Line, Origin};
use crate::data_dir::DataDir;
use crate::desk::{Desk, Local, Shared};
use crate::input::Source;
use crate::options::Configuration;
use crate::progress::Progress;
use crate::report::Report;

/// Run Lambda events, log files or standard input through the whole pipeline, on this machine.
#[derive(Debug, Args)]
#[command(after_help = "Examples: stentor run events/kinesis-burst.json\n          tail -f app.log | stentor run -")]
pub struct Arguments {
    /// Lambda events (JSON), plain log files, or - for lines from standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    configuration: Configuration,
    /// Where the embedded database and the parked records are kept
    #[arg(long, value_name = "DIR", default_value = ".stentor")]
    data_dir: PathBuf,
    /// Post messages for Slack to this incoming webhook
    #[arg(long, value_name = "URL", env = "STENTOR_SLACK_WEBHOOK", hide_env = true, hide_env_values = true)]
    slack_webhook: Option<String>,
    /// Also print a link that shows each message in Slack's Block Kit Builder
    #[arg(long)]
    preview: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Seconds to keep trying to store or to deliver
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u32,
}

/// Bytes of a log file that are taken in at once.
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;

/// Lines from standard input that are taken in at once, and how long the first of them waits for others.
const STDIN_LINES_MAX: usize = 10_000;
const STDIN_GATHER: Duration = Duration::from_millis(150);

pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    let exit = runtime.block_on(pipeline(arguments));
    // A thread that still waits for standard input must not keep the process alive.
    runtime.shutdown_background();
    exit
}

async fn pipeline(arguments: &Arguments) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let config = arguments.configuration.read()?;
    let webhook = arguments.slack_webhook.as_deref().map(WebhookUrl::parse).transpose()?;
    let sources = arguments.files.iter().map(|file| Source::of(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let data = DataDir::open(&arguments.data_dir)?;
    let engine = Embedded::start(Some(&data.database())).await?;
    let posting = webhook.map(|webhook| http::client().map(|http| (Slack::new(http), webhook))).transpose()?;
    let shared = Shared {
        routes: Routes::new(&config)?,
        store: engine.store().await?,
        park: LocalPark::new(data.dead_letters()),
        desk: Desk::new(posting),
    };
    let mut run = Run { arguments, shared: &shared, report: Report::default() };
    run.all(sources).await?;
    run.show(started.elapsed())?;
    let exit = run.report.exit();
    engine.stop().await?;
    Ok(exit)
}

struct Run<'a> {
    arguments: &'a Arguments,
    shared: &'a Shared,
    report: Report,
}

impl<'a> Run<'a> {
    async fn all(&mut self, sources: Vec<Source>) -> anyhow::Result<()> {
        // What an earlier run was killed over is finished first.
        self.settle_all().await?;
        let mut progress = Progress::new(sources.iter().map(Source::bytes).sum());
        for source in sources {
            match source {
                Source::Event(path) => self.event(&path).await?,
                Source::Lines(path) => self.lines(&path, &mut progress).await?,
                Source::Stdin => self.stdin().await?,
            }
        }
        progress.finish();
        self.settle_all().await
    }

    async fn event(&mut self, path: &Path) -> anyhow::Result<()> {
        let name = path.display().to_string();
        let payload = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
        let refused = match str::from_utf8(&payload) {
            Ok(text) => match event::parse(text, name.as_str()) {
                Ok(batch) => {
                    self.take(&self.without_timer(), &batch).await;
                    return Ok(());
                }
                Err(error) => error.to_string(),
            },
            Err(error) => format!("it is not UTF-8 from byte {} on", error.valid_up_to()),
        };
        self.report.refuse(format!("{name}: {refused}"));
        Ok(())
    }

    async fn lines(&mut self, path: &Path, progress: &mut Progress) -> anyhow::Result<()> {
        let named = || format!("cannot read {}", path.display());
        let origin = Origin::file(path);
        let mut reader = BufReader::with_capacity(1 << 18, File::open(path).with_context(named)?);
        let mut offset = 0;
        loop {
            let before = offset;
            let lines = chunk::read_lines(&mut reader, &mut offset, CHUNK_BYTES).with_context(named)?;
            if lines.is_empty() {
                return Ok(());
            }
            let batch = chunk::batch(&lines, &origin, SystemClock.now());
            self.take(&self.without_timer(), &batch).await;
            progress.advance(offset - before);
        }
    }

    /// Lines as they come, windows by the clock; at the end of the input, or at Ctrl-C, everything
    /// that is still open is told at once.
    async fn stdin(&mut self) -> anyhow::Result<()> {
        let started = SystemClock.now();
        let origin = Origin::stdin(started);
        let (due, mut timer) = LocalDue::new();
        let world = Local { shared: self.shared, due: Some(due) };
        let mut lines = gathered(started);
        loop {
            tokio::select! {
                gathered = lines.recv() => {
                    let Some(gathered) = gathered else { return Ok(()) };
                    self.take(&world, &chunk::batch(&gathered?, &origin, SystemClock.now())).await;
                }
                Some(due) = timer.recv() => self.notify(&world, due).await?,
                _ = tokio::signal::ctrl_c() => {
                    // What was read before the signal still counts.
                    lines.close();
                    while let Some(gathered) = lines.recv().await {
                        self.take(&world, &chunk::batch(&gathered?, &origin, SystemClock.now())).await;
                    }
                    return Ok(());
                }
            }
        }
    }

    /// What the notifier does with a due message; one that is not finished comes back later.
    async fn notify(&mut self, world: &Local<'_>, due: Due) -> anyhow::Result<()> {
        let closed = close(world, &due.route, 0, self.deadline()).await;
        self.sent(closed.messages);
        if let (Some(again), Some(queue)) = (closed.again, &world.due) {
            tracing::warn!(route = %due.route, "Route {} comes again: {}", due.route, again.why);
            queue.send(&due, SystemClock.now().until(again.at), self.deadline()).await?;
        }
        self.show_messages()
    }

    async fn take(&mut self, world: &Local<'_>, batch: &Batch<'_>) {
        let consumed = take(world, batch, self.deadline()).await;
        self.report.add(batch, consumed);
    }

    /// Closes what is open and tells what is owed, on every route that there ever was.
    async fn settle_all(&mut self) -> anyhow::Result<()> {
        let world = self.without_timer();
        for route in self.shared.store.routes(self.deadline()).await? {
            let closed = settle(&world, &route, self.deadline()).await;
            self.sent(closed.messages);
            if let Some(again) = closed.again {
                self.report.owe(route, again.why);
            }
        }
        Ok(())
    }

    /// A message that was tried several times is reported once, as it ended.
    fn sent(&mut self, messages: Vec<Sent>) {
        let settled = messages.into_iter().filter(|sent| !matches!(sent.outcome, Outcome::Retry(_)));
        self.report.sent(settled.collect());
    }

    fn without_timer(&self) -> Local<'a> {
        Local { shared: self.shared, due: None }
    }

    fn deadline(&self) -> Timestamp {
        SystemClock.now().after(Duration::from_secs(self.arguments.timeout.into()))
    }

    fn show(&mut self, elapsed: Duration) -> anyhow::Result<()> {
        if self.arguments.json {
            return crate::print_json(&self.report.json(elapsed));
        }
        let dead_letters = self.shared.park.path().display().to_string();
        crate::print(&self.report.text(&dead_letters, elapsed))?;
        self.show_messages()
    }

    fn show_messages(&self) -> anyhow::Result<()> {
        if self.arguments.json {
            return Ok(());
        }
        self.shared.desk.take().iter().try_for_each(|digest| self.show_message(digest))
    }

    fn show_message(&self, digest: &Digest) -> anyhow::Result<()> {
        let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let width = console::Term::stdout().size_checked().map_or(100, |(_, columns)| usize::from(columns).min(120));
        let fate = match self.shared.desk.posts(digest.target.kind) {
            true => "posted",
            false => "shown here only",
        };
        let mut text = format!("\n── {} · {fate} ──\n\n{}", digest.target, terminal::view(digest, width, color));
        if self.arguments.preview {
            text += &format!("\n{}\n", render::render(digest).preview_url());
        }
        crate::print(&text)
    }
}

/// Standard input, and what was read of a line that has not ended yet.
struct Stdin {
    input: tokio::io::BufReader<tokio::io::Stdin>,
    raw: Vec<u8>,
    run: Timestamp,
    number: u64,
}

impl Stdin {
    /// Lines until the input pauses, or enough are together. Empty at its end.
    async fn gather(&mut self) -> std::io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        while lines.len() < STDIN_LINES_MAX {
            // What a cut-off read has read stays in `raw`, and the next read goes on from there.
            let room = chunk::LINE_BYTES_MAX - self.raw.len() as u64;
            let mut limited = (&mut self.input).take(room);
            let read = limited.read_until(b'\n', &mut self.raw);
            let ended = match lines.is_empty() {
                true => read.await? == 0,
                false => match tokio::time::timeout(STDIN_GATHER, read).await {
                    Ok(read) => read? == 0,
                    Err(_pause) => return Ok(lines),
                },
            };
            if ended && self.raw.is_empty() {
                return Ok(lines);
            }
            self.number += 1;
            let id = format!("{}-{}", self.run.as_millis(), self.number);
            lines.push(Line::new(id, &std::mem::take(&mut self.raw)));
        }
        Ok(lines)
    }
}

/// Lines of standard input, those together that arrive together.
fn gathered(started: Timestamp) -> mpsc::Receiver<std::io::Result<Vec<Line>>> {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        let input = tokio::io::BufReader::new(tokio::io::stdin());
        let mut stdin = Stdin { input, raw: Vec::new(), run: started, number: 0 };
        loop {
            let lines = stdin.gather().await;
            let ended = lines.as_ref().map_or(true, Vec::is_empty);
            // The receiver is gone after Ctrl-C.
            if sender.send(lines).await.is_err() || ended {
                return;
            }
        }
    });
    receiver
}
