//! Regular files: Lambda events, and log lines that have a position in their file.

use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::atomic::Ordering;

use stentor::adapters::clock::SystemClock;
use stentor::ingest::event::{Batch, Context};
use stentor::ingest::lines::LineNames;
use stentor::protocol::clock::Clock as _;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::session::{Session, ended_before};
use crate::args::region_of_environment;
use crate::input::blocks::{BlockLimits, LineBlocks};
use crate::input::lines::LineOrigin;
use crate::input::messages::{self, Messages};
use crate::input::{self, EVENT_BYTES_MAX, Input, InputKind, Refusal, line_too_long};
use crate::progress::Progress;

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
        let mut progress = progress;
        let advance = || {
            let bytes_read = input.bytes_read.load(Ordering::Relaxed);
            progress.iter_mut().for_each(|progress| progress.advance_to(bytes_read));
        };
        match input.kind {
            InputKind::Event => self.read_event_file(input, &origin, name).await,
            InputKind::Messages => {
                self.ingest_messages(input.text, input.offset, name, advance).await
            }
            InputKind::Lines => {
                self.ingest_lines(input.text, input.offset, &origin, name, advance).await
            }
        }
    }

    async fn read_event_file(
        &self,
        input: Input,
        origin: &LineOrigin,
        name: &str,
    ) -> Result<(), Refusal> {
        let mut payload = Vec::new();
        input.text.take(EVENT_BYTES_MAX + 1).read_to_end(&mut payload)?;
        self.ingest_payload(payload, input.offset, origin, name).await
    }

    /// Ingests an event, or lines of JSON that look like one at first. `offset` is that of the
    /// payload in its file.
    pub(crate) async fn ingest_payload(
        &self,
        payload: Vec<u8>,
        offset: u64,
        origin: &LineOrigin,
        name: &str,
    ) -> Result<(), Refusal> {
        match self.ingest_event(&payload, name).await? {
            IsEvent::Yes => Ok(()),
            IsEvent::No => {
                self.ingest_lines(Cursor::new(payload), offset, origin, name, || ()).await
            }
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

    /// Ingests messages until the end of the input or a shutdown request. `advance` is called after
    /// each part.
    pub(crate) async fn ingest_messages(
        &self,
        input: impl Read,
        offset: u64,
        name: &str,
        mut advance: impl FnMut(),
    ) -> Result<(), Refusal> {
        let mut messages = Messages::new(input, offset);
        let mut number = 0;
        loop {
            self.check_time()?;
            let texts =
                messages.next().map_err(|refusal| after_parts("messages", refusal, number == 0))?;
            if texts.is_empty() {
                return Ok(());
            }
            let records = messages::records(&texts, name, number);
            number += texts.len();
            self.ingest_batch(&self.services(), &Batch { records, ..Batch::default() }).await;
            advance();
        }
    }

    /// # Errors
    /// When nothing more is to be read.
    fn check_time(&self) -> Result<(), Refusal> {
        if self.shutdown.is_requested() {
            return Err(ended_before("the end of the file"));
        }
        if self.is_out_of_time() {
            return Err(self.out_of_time());
        }
        Ok(())
    }

    /// Ingests lines until the end of the file or a shutdown request. `advance` is called after
    /// each part. A thread reads the next lines meanwhile.
    async fn ingest_lines(
        &self,
        input: impl Read + Send + 'static,
        offset: u64,
        origin: &LineOrigin,
        name: &str,
        mut advance: impl FnMut(),
    ) -> Result<(), Refusal> {
        let (sender, mut receiver) = mpsc::channel(1);
        let filter = self.shared.routes.line_filter().clone();
        let mut blocks = LineBlocks::new(input, offset, BlockLimits::of(&filter));
        // The receiver is gone after a shutdown request.
        let reader =
            spawn_blocking(move || while sender.blocking_send(blocks.next(&filter)).is_ok() {});
        let mut is_first = true;
        while let Some(gathered) = receiver.recv().await {
            self.check_time()?;
            let gathered =
                gathered.map_err(|error| after_parts("lines", error.into(), is_first))?;
            if let Some(start) = gathered.cut {
                self.refuse(name, &line_too_long(&format!("at byte {start}")));
            }
            if gathered.lines.lines == 0 {
                return Ok(());
            }
            let batch = gathered.batch(origin, LineNames::Offset, SystemClock.now());
            self.ingest_batch(&self.services(), &batch).await;
            is_first = false;
            advance();
        }
        // Without the end of the input, the thread has panicked.
        reader.await.map_err(|error| Refusal(error.to_string()))
    }
}

/// Why an input is not read to its end, and what of it is ingested.
fn after_parts(parts: &str, refusal: Refusal, is_first: bool) -> Refusal {
    match is_first {
        true => refusal,
        false => Refusal(format!("{refusal}; the {parts} before that are ingested")),
    }
}

enum IsEvent {
    Yes,
    /// It is lines of JSON.
    No,
}
