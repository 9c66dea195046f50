//! From the bytes of a record to its log events: base64, gzip, JSON. Records are decoded in
//! parallel and stay in order, and their decoded size is limited. An unreadable record is a
//! [`Poison`] value; `consume` decides what to do with it. A record with some unreadable log events
//! has both the content of the others and the poison.
//!
//! The text of a record exists only while the record is read: [`until`] passes each message to the
//! caller's `read` on the worker that decoded it, and keeps what `read` returns. So memory depends
//! on the number of workers, not on the batch. Each worker reuses its buffers.
//!
//! Most log events carry no marker and need not be parsed. With a [`MarkerPrefilter`] only the log
//! events that may carry one are handed on, and the others are counted. `prefilter` finds them in
//! the raw text. `parse` reads the whole text in doubt, and always if there is no prefilter. `events`
//! hands the log events on. `gzip`
//! unpacks, with `libdeflate` as its fast backend, and `string_scan` is the innermost loop.

mod buffer;
mod events;
mod gzip;
#[cfg(feature = "libdeflate")]
mod libdeflate;
mod marker_prefilter;
mod parse;
mod poison;
mod prefilter;
mod string_scan;

use std::borrow::Cow;
use std::cell::Cell;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;

use crate::ingest::event::{Data, Record};
use crate::ingest::logs::{LogBatch, Message};

use events::Source;
pub use events::{Events, Neighbors};
pub use marker_prefilter::MarkerPrefilter;
use parse::NAME_BYTES_MAX;
pub use poison::{Poison, PoisonCode};
use prefilter::{Candidate, prefilter};

/// How records are read.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// A record that decodes to more is poison.
    pub decoded_bytes_max: u64,
    /// Finds the log events that may carry a marker. `None`: every log event is parsed and handed
    /// on.
    pub prefilter: Option<MarkerPrefilter>,
}

/// A record after it was read. A control message has neither content nor poison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<T> {
    /// The result of the caller's `read` for the readable log events.
    pub content: Option<T>,
    /// Why the record, or some of its log events, cannot be read.
    pub poison: Option<Poison>,
}

impl<T> Decoded<T> {
    fn poisoned(poison: Poison) -> Self {
        Self { content: None, poison: Some(poison) }
    }

    /// The content of a record without poison; `None` for a control message.
    ///
    /// # Errors
    /// The poison, if there is any.
    pub fn whole(self) -> Result<Option<T>, Poison> {
        self.poison.map_or(Ok(self.content), Err)
    }
}

/// Decodes all records; see [`until`].
pub fn all<T: Send>(
    records: &[Record<'_>],
    decoder: &Decoder,
    read: impl Fn(&Record<'_>, &LogBatch<'_>, Events<'_>) -> Result<T, Poison> + Sync,
) -> Vec<Decoded<T>> {
    until(records, decoder, || false, read)
}

/// Decodes records in parallel, and passes each to `read`: the head of its message, whose own list
/// of events is empty, and the log events. Begins no record after `is_over` returns true. The
/// results are those of the first records, in order. `read` may be called twice for a record; then
/// only the second result counts.
///
/// Records are begun in order, not the largest first: a batch that is cut short must make progress
/// at its beginning, because Kinesis acknowledges prefixes only.
pub fn until<T: Send>(
    records: &[Record<'_>],
    decoder: &Decoder,
    is_over: impl Fn() -> bool + Sync,
    read: impl Fn(&Record<'_>, &LogBatch<'_>, Events<'_>) -> Result<T, Poison> + Sync,
) -> Vec<Decoded<T>> {
    // A panic is a defect. It must not affect the other records of the batch.
    let guarded = |record| {
        catch_unwind(AssertUnwindSafe(|| decoder.record(record, &read)))
            .unwrap_or_else(|_| Decoded::poisoned(Poison::Panic))
    };
    let taken = AtomicUsize::new(0);
    // `is_over` is asked first: every number that is taken is read, so the results have no gap.
    let next = || {
        let index = if is_over() { records.len() } else { taken.fetch_add(1, Ordering::Relaxed) };
        Some((index, records.get(index)?))
    };
    let by_worker = rayon::broadcast(|_| -> Vec<_> {
        iter::from_fn(next).map(|(index, record)| (index, guarded(record))).collect()
    });
    let mut results: Vec<_> = by_worker.into_iter().flatten().collect();
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, decoded)| decoded).collect()
}

/// The buffers of a worker, reused across records and invocations: the page faults of a fresh
/// megabyte cost more than the work on it.
#[derive(Default)]
struct Scratch {
    gzip: Vec<u8>,
    text: Vec<u8>,
    candidates: Vec<Candidate>,
}

/// A buffer that grew beyond this is freed after its record.
const KEPT_BYTES_MAX: usize = 8 << 20;

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

impl Decoder {
    fn record<T>(
        &self,
        record: &Record<'_>,
        read: impl Fn(&Record<'_>, &LogBatch<'_>, Events<'_>) -> Result<T, Poison>,
    ) -> Decoded<T> {
        let read = |batch: &LogBatch<'_>, events: Events<'_>| read(record, batch, events);
        match &record.data {
            Data::Message(message) => content_of(message, None, read),
            Data::Missing(why) => Decoded::poisoned(Poison::NoData(why.clone())),
            Data::Lines(lines) => match read(&lines.head, Events::of_lines(lines)) {
                Ok(content) => Decoded { content: Some(content), poison: None },
                Err(poison) => Decoded::poisoned(poison),
            },
            Data::Json(text) => {
                with_scratch(|scratch| self.message(text, &mut scratch.candidates, read))
            }
            Data::Base64(text) => with_scratch(|scratch| self.packed(text, scratch, read)),
        }
    }

    fn packed<T>(
        &self,
        base64: &str,
        scratch: &mut Scratch,
        read: impl Fn(&LogBatch<'_>, Events<'_>) -> Result<T, Poison>,
    ) -> Result<Decoded<T>, Poison> {
        let Scratch { gzip, text, candidates } = scratch;
        gzip::inflate(unbase64(base64, gzip)?, self.decoded_bytes_max, text)?;
        self.message(text, candidates, read)
    }

    /// Reads the JSON text of a message.
    fn message<T>(
        &self,
        text: &[u8],
        candidates: &mut Vec<Candidate>,
        read: impl Fn(&LogBatch<'_>, Events<'_>) -> Result<T, Poison>,
    ) -> Result<Decoded<T>, Poison> {
        if let Some(markers) = &self.prefilter
            && let Some(found) = prefilter(text, markers, candidates)
        {
            let source = Source::Prefiltered {
                text,
                candidates,
                events: found.events,
                first_event: found.first_event,
            };
            // If a candidate cannot be read, the parser decides about the whole record.
            if let Ok(content) = read(&found.head, Events { source }) {
                return Ok(Decoded { content: Some(content), poison: None });
            }
        }
        parse_all(text, &read)
    }
}

/// Lends the buffers of this worker to `decode`.
fn with_scratch<T>(decode: impl FnOnce(&mut Scratch) -> Result<Decoded<T>, Poison>) -> Decoded<T> {
    // If `decode` panics, the worker starts with new buffers.
    let mut scratch = SCRATCH.take();
    let decoded = decode(&mut scratch).unwrap_or_else(Decoded::poisoned);
    scratch.shrink();
    SCRATCH.set(scratch);
    decoded
}

/// Parses all of a text. Invalid UTF-8 and invalid JSON strings are poison, but the other log
/// events are still read.
fn parse_all<T>(
    text: &[u8],
    read: impl Fn(&LogBatch<'_>, Events<'_>) -> Result<T, Poison>,
) -> Result<Decoded<T>, Poison> {
    let (text, poison) = match str::from_utf8(text) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(error) => {
            (String::from_utf8_lossy(text), Some(Poison::NotUtf8 { at: error.valid_up_to() }))
        }
    };
    let error = match parse::message(&text) {
        Ok((message, flaw)) => return Ok(content_of(&message, poison.or(flaw), read)),
        Err(error) => poison.unwrap_or(error),
    };
    match parse::message(&parse::repaired(&text)) {
        Ok((message, _)) => Ok(content_of(&message, Some(error), read)),
        Err(_) => Err(error),
    }
}

fn content_of<T>(
    message: &Message<'_>,
    poison: Option<Poison>,
    read: impl Fn(&LogBatch<'_>, Events<'_>) -> Result<T, Poison>,
) -> Decoded<T> {
    let Message::Data(batch) = message else { return Decoded { content: None, poison } };
    match read(batch, Events::of(&batch.events)) {
        Ok(content) => Decoded { content: Some(content), poison },
        Err(error) => Decoded::poisoned(poison.unwrap_or(error)),
    }
}

impl Scratch {
    fn shrink(&mut self) {
        for buffer in [&mut self.gzip, &mut self.text] {
            if buffer.capacity() > KEPT_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
        if self.candidates.capacity() * size_of::<Candidate>() > KEPT_BYTES_MAX {
            self.candidates = Vec::new();
        }
    }
}

/// The bytes of a base64 text, in `buffer`.
fn unbase64<'b>(text: &str, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Poison> {
    let room = base64::decoded_len_estimate(text.len());
    if buffer.len() < room {
        // Freed first, so that there are never two.
        drop(std::mem::take(buffer));
        *buffer = vec![0; room];
    }
    match engine().decode_slice(text, buffer) {
        Ok(bytes) => Ok(&buffer[..bytes]),
        Err(base64::DecodeSliceError::DecodeError(error)) => Err(bad_base64(&error)),
        Err(base64::DecodeSliceError::OutputSliceTooSmall) => {
            unreachable!("invariant: the estimate is never too small")
        }
    }
}

/// With vector instructions. Which ones the processor has is determined once.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn engine() -> &'static impl base64::Engine {
    use base64::engine::general_purpose::PAD;
    use base64::engine::simd::Simd;
    static ENGINE: std::sync::LazyLock<Simd> = std::sync::LazyLock::new(|| Simd::standard(PAD));
    &*ENGINE
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn engine() -> &'static impl base64::Engine {
    &base64::engine::general_purpose::STANDARD
}

/// The library's own text quotes the invalid byte, which is a byte of the record. This names only
/// its offset.
fn bad_base64(error: &base64::DecodeError) -> Poison {
    use base64::DecodeError;
    Poison::BadBase64(match error {
        DecodeError::InvalidByte(at, _) => format!("no base64 character at offset {at}"),
        DecodeError::InvalidLastSymbol { offset, .. } => {
            format!("the last character, at offset {offset}, is impossible")
        }
        DecodeError::InvalidLength(_) => "the text has an impossible length".to_owned(),
        DecodeError::InvalidPadding => "the padding is wrong".to_owned(),
    })
}

#[cfg(test)]
mod tests;
