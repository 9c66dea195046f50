//! `stentor run`: the whole pipeline on this machine. Takes in files one after the other, and closes each route that
//! they touched once, at the end. Takes in standard input and pipes as they come, with windows by the clock, as in a
//! deployment.

mod encoding;
mod input;
mod lines;
mod report;
mod stream;

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::Args;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::http;
use stentor::adapters::local::{FileDeadLetters, LocalDueQueue};
use stentor::adapters::slack::{Slack, WebhookUrl};
use stentor::ingest::event::{self, Batch, Context, EventError};
use stentor::ingest::route::Routes;
use stentor::model::digest::Digest;
use stentor::model::name::RouteName;
use stentor::model::visible;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::close::{Closed, close};
use stentor::protocol::consume::{Consumed, Verdict, ingest_and_park};
use stentor::protocol::queue::{Due, DueQueue as _};
use stentor::protocol::round::{Delivery, DeliveryOutcome};
use stentor::protocol::store::Store as _;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::Exit;
use crate::args::{Configuration, region_of_environment};
use crate::data_dir::DataDir;
use crate::preview::{LocalServices, Output, PreviewNotifier, SharedServices};
use crate::progress::Progress;
use crate::signals::Shutdown;
use input::{Input, Kind, Refusal, Source};
use lines::{LINE_BYTES_MAX, Lines, Origin};
use report::Report;
use stream::Stream;

/// Run Lambda events, log files or standard input through the whole pipeline, on this machine.
#[derive(Debug, Args)]
#[command(after_help = "Examples: stentor run events/kinesis-burst.json\n          tail -f app.log | stentor run -")]
pub struct Arguments {
    /// Lambda events (JSON) or log files, plain or gzip; or - for lines from standard input
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
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
}

/// Bytes of a log file that are taken in at once.
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;

/// How long lines that could not be stored wait for the next attempt.
const STORE_AGAIN: Duration = Duration::from_millis(500);

/// The largest event, unpacked. Lambda's own limit is 6 MB.
const EVENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    let exit = runtime.block_on(pipeline(arguments));
    // A thread that still waits for an input or an output must not keep the process alive.
    runtime.shutdown_background();
    exit
}

async fn pipeline(arguments: &Arguments) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let config = arguments.configuration.read()?;
    let webhook = arguments.slack_webhook.as_deref().map(WebhookUrl::parse).transpose()?;
    let sources = arguments.files.iter().map(|file| Source::of(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let shutdown = Shutdown::on_signals()?;
    let mut data = DataDir::open_to_run(&arguments.data_dir)?;
    let (engine, store) = data.start().await?;
    let posting =
        webhook.map(|webhook| http::client().map(|http| (Slack::new(http, SystemClock), webhook))).transpose()?;
    let output = match arguments.json {
        true => Output::Report,
        false => Output::Text { preview: arguments.preview },
    };
    let shared = SharedServices {
        routes: Routes::new(&config)?,
        store,
        park: FileDeadLetters::new(data.dead_letters()),
        preview: PreviewNotifier::new(posting, output, shutdown.clone()),
    };
    let run = Run { arguments, shared: &shared, shutdown, report: RefCell::default() };
    run.all(sources).await?;
    run.show(started.elapsed()).await?;
    let exit = run.report.borrow().exit();
    engine.stop().await?;
    Ok(exit)
}

struct Run<'a> {
    arguments: &'a Arguments,
    shared: &'a SharedServices,
    shutdown: Shutdown,
    /// Borrowed between two waits only: lines are taken in while messages are told.
    report: RefCell<Report>,
}

impl<'a> Run<'a> {
    async fn all(&self, sources: Vec<Source>) -> anyhow::Result<()> {
        // Finishes what an earlier run was killed over.
        self.settle_all().await?;
        let mut progress = Progress::new(sources.iter().map(Source::bytes).sum());
        for source in sources {
            if self.shutdown.is_requested() {
                self.refuse(&source.name(), &ended_before("it was read"));
                continue;
            }
            match source {
                Source::File(path) => self.file(&path, &mut progress).await,
                Source::Stream(path) => self.stream(Some(&path)).await?,
                Source::Stdin => self.stream(None).await?,
            }
            progress.next_file();
        }
        progress.finish();
        // Shown with the messages below, if at all.
        let _ = self.shared.preview.failure();
        self.settle_all().await
    }

    async fn file(&self, path: &Path, progress: &mut Progress) {
        let origin = Origin::file(path);
        let name = path.display().to_string();
        let taken = match Input::open(path) {
            Ok(input) if input.kind == Kind::Event => self.event_file(input, &origin, &name).await,
            Ok(input) => {
                let mut reader = BufReader::with_capacity(1 << 18, input.text);
                let advance = |_| progress.advance_to(input.bytes_read.load(Ordering::Relaxed));
                self.lines(&mut reader, input.offset, &origin, advance).await
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = taken {
            self.refuse(&name, &refusal);
        }
    }

    async fn event_file(&self, input: Input, origin: &Origin, name: &str) -> Result<(), Refusal> {
        let mut payload = Vec::new();
        input.text.take(EVENT_BYTES_MAX + 1).read_to_end(&mut payload)?;
        if self.event(&payload, name).await? {
            return Ok(());
        }
        self.lines(&mut payload.as_slice(), input.offset, origin, |_| ()).await
    }

    /// Takes in an event; `false` when it is none, but lines of JSON.
    async fn event(&self, payload: &[u8], name: &str) -> Result<bool, Refusal> {
        if payload.len() as u64 > EVENT_BYTES_MAX {
            return Err(Refusal(format!("an event has at most {} MiB", EVENT_BYTES_MAX >> 20)));
        }
        let text = str::from_utf8(payload)
            .map_err(|error| Refusal(format!("it is not UTF-8 from byte {} on", error.valid_up_to())))?;
        let region = region_of_environment();
        let context = Context { name, region: region.as_deref(), records_max: None };
        match event::parse(text, context) {
            Ok(batch) => {
                self.ingest_batch(&self.without_timer(), &batch).await;
                Ok(true)
            }
            Err(EventError::NotJson { .. } | EventError::Unknown)
                if input::begins_with_an_object(payload) && !input::looks_like_an_event(payload) =>
            {
                Ok(false)
            }
            Err(_) if payload.trim_ascii_start().starts_with(b"[") => Err(Refusal(
                "it is a JSON array, and not a Lambda event: write its elements one a line, as jq -c '.[]' does"
                    .to_owned(),
            )),
            Err(error) => Err(Refusal(error.to_string())),
        }
    }

    /// Takes in lines that have a position, until the end or a request to end.
    async fn lines(
        &self,
        reader: &mut impl BufRead,
        mut offset: u64,
        origin: &Origin,
        mut advance: impl FnMut(u64),
    ) -> Result<(), Refusal> {
        loop {
            if self.shutdown.is_requested() {
                return Err(ended_before("the end of the file"));
            }
            let Lines { lines, cut } =
                lines::read_lines(reader, &mut offset, CHUNK_BYTES).map_err(|error| match offset {
                    0 => Refusal(error.to_string()),
                    _ => Refusal(format!("{error}; what comes before is taken in")),
                })?;
            if let Some(begin) = cut {
                self.refuse(&origin.name, &too_long(&format!("at byte {begin}")));
            }
            if lines.is_empty() {
                return Ok(());
            }
            let batch = lines::batch(&lines, origin, SystemClock.now());
            self.ingest_batch(&self.without_timer(), &batch).await;
            advance(offset);
        }
    }

    /// Takes in a pipe or standard input: an event as a whole, lines as they come.
    async fn stream(&self, path: Option<&Path>) -> anyhow::Result<()> {
        let started = SystemClock.now();
        let name = path.map_or_else(|| input::STDIN.to_owned(), |path| path.display().to_string());
        let mut stream = Stream::open(path, started)?;
        let origin = match path {
            Some(_) => Origin { name: name.clone(), ..Origin::stdin(started) },
            None => Origin::stdin(started),
        };
        let taken = match stream.kind(&self.shutdown).await {
            Ok(Kind::Lines) => self.live(&mut stream, &origin).await?,
            Ok(Kind::Event) => self.event_stream(&mut stream, &origin, &name).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = taken {
            self.refuse(&name, &refusal);
        }
        Ok(())
    }

    async fn event_stream(&self, stream: &mut Stream, origin: &Origin, name: &str) -> Result<(), Refusal> {
        let payload = stream.all(EVENT_BYTES_MAX, &self.shutdown).await?;
        if self.event(&payload, name).await? {
            return Ok(());
        }
        self.lines(&mut payload.as_slice(), 0, origin, |_| ()).await
    }

    /// Lines as they come, windows by the clock: takes in lines also while a target keeps a message waiting.
    async fn live(&self, stream: &mut Stream, origin: &Origin) -> anyhow::Result<Result<(), Refusal>> {
        let (due, timer) = LocalDueQueue::new(SystemClock);
        let services = LocalServices { shared: self.shared, due: Some(due) };
        let (ended, end) = oneshot::channel();
        let ingest = async {
            let taken = self.ingest(&services, stream, origin).await;
            // The other side is gone when it has failed.
            let _ = ended.send(());
            taken
        };
        let (taken, delivered) = futures::join!(ingest, self.tell(&services, timer, end));
        delivered.map(|()| taken)
    }

    async fn ingest(&self, services: &LocalServices<'_>, stream: &mut Stream, origin: &Origin) -> Result<(), Refusal> {
        loop {
            let lines = stream.gather(&self.shutdown).await?;
            if let Some(number) = stream.take_cut() {
                self.refuse(&origin.name, &too_long(&number.to_string()));
            }
            if lines.is_empty() {
                return Ok(());
            }
            self.take_for_good(services, &lines::batch(&lines, origin, SystemClock.now())).await;
        }
    }

    /// Takes in lines that come only once: tries until they are stored, and so lets their writer wait, or until the run
    /// is asked to end.
    async fn take_for_good(&self, services: &LocalServices<'_>, batch: &Batch<'_>) {
        let mut consumed = ingest_and_park(services, batch, self.deadline()).await;
        while let Some(why) = first_to_retry(&consumed)
            && !self.shutdown.is_requested()
        {
            tracing::warn!("Lines are not stored yet: {why}");
            tokio::select! {
                () = sleep(STORE_AGAIN) => {}
                _ = self.shutdown.requested() => {}
            }
            let earlier = consumed;
            consumed = ingest_and_park(services, batch, self.deadline()).await;
            consumed.follow(earlier);
        }
        self.report.borrow_mut().add(batch, consumed);
    }

    /// Does what the notifier does with due messages, until the input has ended.
    async fn tell(
        &self,
        services: &LocalServices<'_>,
        mut timer: UnboundedReceiver<Due>,
        mut end: oneshot::Receiver<()>,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                biased;
                _ = &mut end => return Ok(()),
                Some(due) = timer.recv() => self.notify(services, due).await?,
            }
        }
    }

    /// A due message that is not finished comes back later.
    async fn notify(&self, services: &LocalServices<'_>, due: Due) -> anyhow::Result<()> {
        let closed = close(services, &due.route, 0, self.deadline()).await;
        self.sent(closed.messages);
        if let (Some(retry), Some(queue)) = (closed.retry, &services.due) {
            tracing::warn!(route = %due.route, "Route {} comes again: {}", due.route, retry.reason);
            queue.send(&due, SystemClock.now().until(retry.at), self.deadline()).await?;
        }
        Ok(())
    }

    async fn ingest_batch(&self, services: &LocalServices<'_>, batch: &Batch<'_>) {
        let consumed = ingest_and_park(services, batch, self.deadline()).await;
        self.report.borrow_mut().add(batch, consumed);
    }

    /// Closes what is open and tells what is owed, on every route that there ever was.
    async fn settle_all(&self) -> anyhow::Result<()> {
        for route in self.shared.store.routes(self.deadline()).await? {
            let closed = self.acknowledge(&route).await;
            self.sent(closed.messages);
            if let Some(retry) = closed.retry {
                self.report.borrow_mut().owe(route, retry.reason.to_string());
            }
        }
        Ok(())
    }

    /// Rounds until nothing is left to do, the time is up or the run is asked to end.
    async fn acknowledge(&self, route: &RouteName) -> Closed {
        let (services, deadline) = (self.without_timer(), self.deadline());
        let mut all = Closed::default();
        for attempt in 0.. {
            let round = close(&services, route, attempt, deadline).await;
            all.messages.extend(round.messages);
            all.retry = round.retry;
            let Some(retry) = &all.retry else { break };
            if deadline.has_passed(retry.at) || self.shutdown.is_requested() {
                break;
            }
            tokio::select! {
                () = sleep(SystemClock.now().until(retry.at)) => {}
                // One more round, for targets that have not been tried.
                _ = self.shutdown.requested() => {}
            }
        }
        all
    }

    /// A message that was tried several times is reported once, as it ended.
    fn sent(&self, messages: Vec<Delivery>) {
        let finished = messages.into_iter().filter(|sent| !matches!(sent.outcome, DeliveryOutcome::Retry(_)));
        self.report.borrow_mut().sent(finished.collect());
    }

    fn refuse(&self, name: &str, why: &Refusal) {
        self.report.borrow_mut().refuse(format!("{name}: {why}"));
    }

    fn without_timer(&self) -> LocalServices<'a> {
        LocalServices { shared: self.shared, due: None }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(SystemClock.now(), Duration::from_secs(self.arguments.timeout.into()))
    }

    async fn show(&self, elapsed: Duration) -> anyhow::Result<()> {
        match self.arguments.json {
            true => self.show_json(elapsed).await,
            false => self.show_text(elapsed).await,
        }
    }

    async fn show_text(&self, elapsed: Duration) -> anyhow::Result<()> {
        let preview = &self.shared.preview;
        if let Some(why) = preview.failure() {
            return Err(not_written(&why));
        }
        let dead_letters = self.shared.park.path().display().to_string();
        let books = self.report.borrow().text(&dead_letters, elapsed);
        let gap = if preview.wrote() { "\n" } else { "" };
        preview.print(format!("{gap}{books}")).await.map_err(|why| anyhow!("cannot write to standard output: {why}"))
    }

    /// The messages are part of the report, so they are settled only after it is written. A crash in between has the
    /// next run report them again, as after any lost answer.
    async fn show_json(&self, elapsed: Duration) -> anyhow::Result<()> {
        let preview = &self.shared.preview;
        self.report.borrow_mut().sent(preview.pending().iter().map(accepted).collect());
        let report = crate::json_text(&self.report.borrow().json(elapsed))?;
        preview.print(report).await.map_err(|why| not_written(&why))?;
        preview.report_is_written();
        self.settle_all().await
    }
}

fn first_to_retry(consumed: &Consumed) -> Option<String> {
    consumed.verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Retry(why) => Some(visible::line(&why.to_string())),
        Verdict::Safe | Verdict::Unreadable(_) | Verdict::Parked(_) => None,
    })
}

fn too_long(line: &str) -> Refusal {
    Refusal(format!("line {line} is longer than {} MiB: its rest was not read", LINE_BYTES_MAX >> 20))
}

fn ended_before(what: &str) -> Refusal {
    Refusal(format!("the run was ended before {what}: run it once more"))
}

fn accepted(digest: &Digest) -> Delivery {
    let (route, target) = (digest.route.clone(), digest.target.clone());
    Delivery { route, target, epochs: digest.epochs, alerts: digest.tally.alerts, outcome: DeliveryOutcome::Accepted }
}

fn not_written(why: &str) -> anyhow::Error {
    anyhow!("cannot write to standard output: {why}. Every alert is kept, and the next run shows what was not shown")
}
