//! Regular files: Lambda events, and log lines that have a position in their file.

use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::sync::atomic::Ordering;

use stentor::adapters::clock::SystemClock;
use stentor::ingest::event::Context;
use stentor::protocol::clock::Clock as _;

use super::session::{Session, ended_before};
use crate::args::region_of_environment;
use crate::input::lines::{self, LineOrigin, Lines};
use crate::input::{self, EVENT_BYTES_MAX, Input, InputKind, Refusal, line_too_long};
use crate::progress::Progress;

/// Bytes of a log file that are ingested at once.
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;

impl Session<'_> {
    pub(crate) async fn ingest_file(&self, path: &Path, progress: Option<&mut Progress>) {
        let name = path.display().to_string();
        if let Err(refusal) = self.read_file(path, &name, progress).await {
            self.refuse(&name, &refusal);
        }
    }

    async fn read_file(
        &self,
        path: &Path,
        name: &str,
        progress: Option<&mut Progress>,
    ) -> Result<(), Refusal> {
        let origin = LineOrigin::file(path);
        let input = Input::open(path)?;
        if input.kind == InputKind::Event {
            return self.read_event_file(input, &origin, name).await;
        }
        let mut reader = BufReader::with_capacity(1 << 18, input.text);
        let mut progress = progress;
        let advance = || {
            let bytes_read = input.bytes_read.load(Ordering::Relaxed);
            progress.iter_mut().for_each(|progress| progress.advance_to(bytes_read));
        };
        self.ingest_lines(&mut reader, input.offset, &origin, name, advance).await
    }

    async fn read_event_file(
        &self,
        input: Input,
        origin: &LineOrigin,
        name: &str,
    ) -> Result<(), Refusal> {
        let mut payload = Vec::new();
        input.text.take(EVENT_BYTES_MAX + 1).read_to_end(&mut payload)?;
        self.ingest_payload(&payload, input.offset, origin, name).await
    }

    /// Ingests an event, or lines of JSON that look like one at first. `offset` is that of the
    /// payload in its file.
    pub(crate) async fn ingest_payload(
        &self,
        payload: &[u8],
        offset: u64,
        origin: &LineOrigin,
        name: &str,
    ) -> Result<(), Refusal> {
        match self.ingest_event(payload, name).await? {
            IsEvent::Yes => Ok(()),
            IsEvent::No => self.ingest_lines(&mut { payload }, offset, origin, name, || ()).await,
        }
    }

    async fn ingest_event(&self, payload: &[u8], name: &str) -> Result<IsEvent, Refusal> {
        let region = region_of_environment();
        let context = Context { name, region: region.as_deref(), records_max: None };
        match input::parse_event(payload, context)? {
            Some(batch) => {
                self.ingest_batch(&self.services(), &batch).await;
                Ok(IsEvent::Yes)
            }
            None => Ok(IsEvent::No),
        }
    }

    /// Ingests lines until the end of the file or a shutdown request. `advance` is called after
    /// each chunk.
    async fn ingest_lines(
        &self,
        reader: &mut impl BufRead,
        mut offset: u64,
        origin: &LineOrigin,
        name: &str,
        mut advance: impl FnMut(),
    ) -> Result<(), Refusal> {
        loop {
            if self.shutdown.is_requested() {
                return Err(ended_before("the end of the file"));
            }
            if self.is_out_of_time() {
                return Err(self.out_of_time());
            }
            let chunk = lines::read_lines(reader, &mut offset, CHUNK_BYTES);
            let Lines { lines, cut } = chunk.map_err(|error| match offset {
                0 => Refusal(error.to_string()),
                _ => Refusal(format!("{error}; the lines before that are ingested")),
            })?;
            if let Some(start) = cut {
                self.refuse(name, &line_too_long(&format!("at byte {start}")));
            }
            if lines.is_empty() {
                return Ok(());
            }
            self.ingest_batch(&self.services(), &lines::batch(&lines, origin, SystemClock.now()))
                .await;
            advance();
        }
    }
}

enum IsEvent {
    Yes,
    /// It is lines of JSON.
    No,
}
