//! Reads the lines and log events of files and pipes one by one, for commands that only look at them.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Cursor, Read as _};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use stentor::ingest::decode::{self, Decoder};
use stentor::ingest::event::{Context, Record};
use stentor::ingest::logs::{LogBatch, LogEvent};
use stentor::model::line_time;
use stentor::model::time::Timestamp;

use crate::Exit;
use crate::input::lines::{self, Lines};
use crate::input::messages::{self, Messages};
use crate::input::stream::Stream;
use crate::input::{self, EVENT_BYTES_MAX, Input, InputKind, InputSource, Refusal, line_too_long};
use crate::signals::Shutdown;
use crate::ui;

/// Lines of a file that are read at once.
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;

/// A line of a file, or a log event.
#[derive(Copy, Clone, Debug)]
pub(crate) struct ReadLine<'l> {
    pub text: &'l str,
    pub timestamp: Option<Timestamp>,
    /// Where a log event comes from; `None` for a line of a file.
    pub origin: Option<ReadOrigin<'l>>,
}

/// Where a log event comes from.
#[derive(Copy, Clone, Debug)]
pub(crate) struct ReadOrigin<'l> {
    /// The head of its message, without log events.
    pub head: &'l LogBatch<'l>,
    /// `@aws.account` and `@aws.region`.
    pub account: Option<&'l str>,
    pub region: Option<&'l str>,
}

/// Takes a line.
pub(crate) trait Take: FnMut(ReadLine<'_>) -> anyhow::Result<()> {}

impl<F: FnMut(ReadLine<'_>) -> anyhow::Result<()>> Take for F {}

/// The reason why an input is not read to its end.
enum ReadError {
    Refused(Refusal),
    /// The result is not taken.
    Output(anyhow::Error),
}

impl From<Refusal> for ReadError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Reads logs.
pub(crate) struct LogReader {
    /// The largest size of a record.
    pub decoded_bytes_max: u64,
    pub now: Timestamp,
}

impl LogReader {
    /// Passes each line of the inputs to `take`. An input that cannot be read is reported, and the
    /// next is read.
    pub(crate) async fn each_line(
        &self,
        files: &[PathBuf],
        mut take: impl Take,
    ) -> anyhow::Result<Exit> {
        let sources =
            files.iter().map(|file| InputSource::of(file)).collect::<anyhow::Result<Vec<_>>>()?;
        let shutdown = Shutdown::on_signals()?;
        let mut exit = Exit::Done;
        for source in sources {
            let read = match &source {
                InputSource::File(path) => self.file(path, &shutdown, &mut take),
                InputSource::Stream(path) => self.stream(Some(path), &shutdown, &mut take).await,
                InputSource::Stdin => self.stream(None, &shutdown, &mut take).await,
            };
            match read {
                Ok(()) => {}
                Err(ReadError::Refused(refusal)) => {
                    ui::print_error(&anyhow!("{}: {refusal}", source.name()));
                    exit = Exit::Unfinished;
                }
                Err(ReadError::Output(error)) => return Err(error),
            }
        }
        Ok(exit)
    }

    /// A line of a file, with the time that it begins with.
    fn line<'l>(&self, text: &'l str) -> ReadLine<'l> {
        ReadLine { text, timestamp: line_time::of_line(text, self.now), origin: None }
    }

    fn file(
        &self,
        path: &Path,
        shutdown: &Shutdown,
        take: &mut impl Take,
    ) -> Result<(), ReadError> {
        let input = Input::open(path)?;
        match input.kind {
            InputKind::Event => {}
            InputKind::Messages => return self.messages(input.text, shutdown, take),
            InputKind::Lines => {
                let mut lines = BufReader::with_capacity(1 << 18, input.text);
                return self.lines(&mut lines, shutdown, take);
            }
        }
        let (mut payload, mut text) = (Vec::new(), input.text);
        text.by_ref().take(EVENT_BYTES_MAX).read_to_end(&mut payload).map_err(Refusal::from)?;
        self.payload(&payload, text, shutdown, take)
    }

    async fn stream(
        &self,
        path: Option<&Path>,
        shutdown: &Shutdown,
        take: &mut impl Take,
    ) -> Result<(), ReadError> {
        let mut stream = Stream::open(path, self.now).map_err(ReadError::Output)?;
        let kind = stream.kind(shutdown).await?;
        if kind != InputKind::Lines {
            let payload = stream.read_all(EVENT_BYTES_MAX, shutdown).await?;
            return match kind {
                InputKind::Messages => self.messages(Cursor::new(payload), shutdown, take),
                _ => self.payload(&payload, std::io::empty(), shutdown, take),
            };
        }
        let mut cut = None;
        loop {
            let lines = stream.gather(shutdown).await?;
            cut = cut.or(stream.take_cut());
            if lines.is_empty() {
                return whole(shutdown, cut.map(|number| number.to_string()));
            }
            for line in &lines {
                take(self.line(&line.text)).map_err(ReadError::Output)?;
            }
        }
    }

    fn lines(
        &self,
        reader: &mut impl BufRead,
        shutdown: &Shutdown,
        take: &mut impl Take,
    ) -> Result<(), ReadError> {
        let (mut offset, mut first_cut) = (0, None);
        while !shutdown.is_requested() {
            let Lines { lines, cut } =
                lines::read_lines(reader, &mut offset, CHUNK_BYTES).map_err(Refusal::from)?;
            first_cut = first_cut.or(cut);
            if lines.is_empty() {
                break;
            }
            for line in &lines {
                take(self.line(&line.text)).map_err(ReadError::Output)?;
            }
        }
        whole(shutdown, first_cut.map(|start| format!("at byte {start}")))
    }

    /// The log events of a Lambda event, or lines of JSON that look like one at first. `rest` is
    /// what follows the payload.
    fn payload(
        &self,
        payload: &[u8],
        rest: impl std::io::Read,
        shutdown: &Shutdown,
        take: &mut impl Take,
    ) -> Result<(), ReadError> {
        let context = Context { name: "patterns", region: None, records_max: None };
        let Some(batch) = input::parse_event(payload, context)? else {
            let mut whole = BufReader::new(Cursor::new(payload).chain(rest));
            return self.lines(&mut whole, shutdown, take);
        };
        whole_if(self.records(&batch.records, shutdown, take)?, shutdown)
    }

    /// The log events of subscription messages.
    fn messages(
        &self,
        input: impl std::io::Read,
        shutdown: &Shutdown,
        take: &mut impl Take,
    ) -> Result<(), ReadError> {
        let (mut messages, mut unreadable) = (Messages::new(input, 0), 0);
        while !shutdown.is_requested() {
            let texts = messages.next()?;
            if texts.is_empty() {
                break;
            }
            unreadable += self.records(&messages::records(&texts, "", 0), shutdown, take)?;
        }
        whole_if(unreadable, shutdown)
    }

    /// The log events of records. Returns how many records cannot be read.
    fn records(
        &self,
        records: &[Record<'_>],
        shutdown: &Shutdown,
        take: &mut impl Take,
    ) -> Result<u64, ReadError> {
        let decoder = Decoder { decoded_bytes_max: self.decoded_bytes_max, prefilter: None };
        let mut unreadable = 0;
        // One after the other, because all of them can decode to any size.
        for record in records.chunks(1).take_while(|_| !shutdown.is_requested()) {
            let decoded = decode::all(record, &decoder, |_, head, events| {
                let mut found = Vec::new();
                events.each(|event| found.push(FoundEvent::of(event)))?;
                Ok((owned_head(head), found))
            });
            for record in decoded {
                unreadable += u64::from(record.poison.is_some());
                let Some((head, found)) = record.content else { continue };
                for event in found {
                    take(event.line(&head)).map_err(ReadError::Output)?;
                }
            }
        }
        Ok(unreadable)
    }
}

/// A log event, apart from the record in which it was read.
struct FoundEvent {
    message: String,
    timestamp: i64,
    account: Option<String>,
    region: Option<String>,
}

impl FoundEvent {
    fn of(event: &LogEvent<'_>) -> Self {
        let owned = |text: &Option<Cow<'_, str>>| text.as_deref().map(str::to_owned);
        Self {
            message: event.message.to_string(),
            timestamp: event.timestamp,
            account: owned(&event.account),
            region: owned(&event.region),
        }
    }

    fn line<'l>(&'l self, head: &'l LogBatch<'l>) -> ReadLine<'l> {
        let (account, region) = (self.account.as_deref(), self.region.as_deref());
        ReadLine {
            text: &self.message,
            timestamp: Some(Timestamp::from_millis(self.timestamp)),
            origin: Some(ReadOrigin { head, account, region }),
        }
    }
}

fn owned_head(head: &LogBatch<'_>) -> LogBatch<'static> {
    let owned = |text: &str| Cow::Owned(text.to_owned());
    LogBatch {
        owner: owned(&head.owner),
        log_group: owned(&head.log_group),
        log_stream: owned(&head.log_stream),
        events: Vec::new(),
    }
}

fn whole_if(unreadable: u64, shutdown: &Shutdown) -> Result<(), ReadError> {
    match unreadable {
        0 => whole(shutdown, None),
        n => {
            Err(Refusal(format!("{n} of its records cannot be read; stentor run says why")).into())
        }
    }
}

/// An input was read to its end, unless a line was cut or the operator has stopped the command.
fn whole(shutdown: &Shutdown, cut: Option<String>) -> Result<(), ReadError> {
    match cut {
        _ if shutdown.is_requested() => Err(Refusal("it was stopped before its end".into()).into()),
        Some(line) => Err(line_too_long(&line).into()),
        None => Ok(()),
    }
}
