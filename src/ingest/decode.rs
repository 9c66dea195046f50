//! From the bytes of a record to its log events: base64, gzip, JSON. In parallel over the records of
//! a batch, order kept, the decoded size capped. An unreadable record has a [`Poison`], a value with its
//! reason; `consume` decides what to do with it. A record of which only some log events are unreadable has
//! both: the content of the others, and the poison.
//!
//! The text of a record lives only while the record is read: [`until`] hands each message to the
//! caller's `read` on the worker that decoded it and keeps what `read` returns. So memory is bounded
//! by the workers, not by the batch; and each worker keeps its buffers from record to record.
//!
//! Most log events carry no marker, and what carries none need not be parsed: with [`Needles`] only
//! the events in which a marker can be are handed on, and the others are counted. `skim` finds them in
//! the raw text, `parse` reads the whole text wherever that is not certain, and always where there are
//! no needles. `gzip` unpacks, `libdeflate` is its fast backend, `stop` the innermost loop.

mod buffer;
mod gzip;
#[cfg(feature = "libdeflate")]
mod libdeflate;
mod needle;
mod parse;
mod poison;
mod skim;
mod stop;

use std::borrow::Cow;
use std::cell::Cell;
use std::iter;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;

use crate::ingest::event::{Data, Record};
use crate::ingest::logs::{LogBatch, LogEvent, Message};

pub use needle::Needles;
use parse::NAME_BYTES_MAX;
pub use poison::{Poison, PoisonCode};
use skim::Spot;

/// How records are read.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// A record that decodes to more is poison.
    pub decoded_bytes_max: u64,
    /// What to look for in raw text. `None`: every event is parsed and handed on.
    pub needles: Option<Needles>,
}

/// A record after it was read. Without content and poison it is a control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<T> {
    /// What the caller made of the log events that can be read.
    pub content: Option<T>,
    /// Why the record, or a part of it, cannot be read.
    pub poison: Option<Poison>,
}

/// The log events of a message.
#[derive(Debug)]
pub struct Events<'e> {
    source: Source<'e>,
}

#[derive(Debug)]
enum Source<'e> {
    Parsed(&'e [LogEvent<'e>]),
    /// Only those in which a marker can be; `events` is how many there are in all.
    Skimmed {
        text: &'e [u8],
        spots: &'e [Spot],
        events: u64,
    },
}

impl<'e> Events<'e> {
    /// All of these.
    pub fn of(events: &'e [LogEvent<'e>]) -> Self {
        Self { source: Source::Parsed(events) }
    }

    /// At most so many events will be handed on, where that says more than how many there are.
    pub fn suspects(&self) -> Option<usize> {
        match &self.source {
            Source::Parsed(_) => None,
            Source::Skimmed { spots, .. } => Some(spots.len()),
        }
    }

    /// Passes each event that can carry a marker to `take`, in order, and returns how many events there are
    /// in all. (An event that is passed on need not carry one.)
    ///
    /// # Errors
    /// When an event cannot be read. Drop what was made of the events before it: the record is read again.
    pub fn each(self, mut take: impl FnMut(&LogEvent<'_>)) -> Result<u64, Poison> {
        self.each_until(|event| {
            take(event);
            ControlFlow::Continue(())
        })
    }

    /// The same, up to the event at which `take` breaks.
    ///
    /// # Errors
    /// As [`Events::each`].
    pub fn each_until(self, mut take: impl FnMut(&LogEvent<'_>) -> ControlFlow<()>) -> Result<u64, Poison> {
        match self.source {
            Source::Parsed(events) => {
                let _ = events.iter().try_for_each(take);
                Ok(events.len() as u64)
            }
            Source::Skimmed { text, spots, events } => {
                for spot in spots {
                    if take(&spot.read(text)?).is_break() {
                        break;
                    }
                }
                Ok(events)
            }
        }
    }
}

impl<T> Decoded<T> {
    fn poisoned(poison: Poison) -> Self {
        Self { content: None, poison: Some(poison) }
    }

    /// The content of a record without flaw; `None` for a control message.
    ///
    /// # Errors
    /// The poison, where there is one.
    pub fn whole(self) -> Result<Option<T>, Poison> {
        self.poison.map_or(Ok(self.content), Err)
    }
}

/// Decodes every record: [`until`] without an end.
pub fn all<T: Send>(
    records: &[Record<'_>],
    decoder: &Decoder,
    read: impl Fn(&Record<'_>, &LogBatch<'_>, Events<'_>) -> Result<T, Poison> + Sync,
) -> Vec<Decoded<T>> {
    until(records, decoder, || false, read)
}

/// Decodes records in parallel and in order, and passes each to `read`: the head of its message, whose own list of
/// events is unused, and the events. Begins no further record once `is_over` says so; the results are those of the
/// first records, in order. `read` may be called twice for a record, and then only its second result counts.
///
/// In order, and not the largest first: a batch that is cut short must make progress at its beginning, because
/// Kinesis acknowledges prefixes only.
pub fn until<T: Send>(
    records: &[Record<'_>],
    decoder: &Decoder,
    is_over: impl Fn() -> bool + Sync,
    read: impl Fn(&Record<'_>, &LogBatch<'_>, Events<'_>) -> Result<T, Poison> + Sync,
) -> Vec<Decoded<T>> {
    // A panic is a defect, and it must stay with its record: the others of the batch are innocent.
    let guarded = |record| {
        catch_unwind(AssertUnwindSafe(|| decoder.record(record, &read)))
            .unwrap_or_else(|_| Decoded::poisoned(Poison::Panic))
    };
    let taken = AtomicUsize::new(0);
    // Asked first: a number that is taken is read, so those that are read have no gap.
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

/// The buffers of a worker, kept from record to record and from invocation to invocation: a fresh
/// megabyte costs more in page faults than what is done with it.
#[derive(Default)]
struct Scratch {
    gzip: Vec<u8>,
    text: Vec<u8>,
    spots: Vec<Spot>,
}

/// A buffer that grew beyond this for one record is given back after it.
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
            Data::Base64(text) => {
                // Taken out for the time being: if `read` panics, the worker starts afresh.
                let mut scratch = SCRATCH.take();
                let decoded = self.packed(text, &mut scratch, read).unwrap_or_else(Decoded::poisoned);
                scratch.shrink();
                SCRATCH.set(scratch);
                decoded
            }
        }
    }

    fn packed<T>(
        &self,
        base64: &str,
        scratch: &mut Scratch,
        read: impl Fn(&LogBatch<'_>, Events<'_>) -> Result<T, Poison>,
    ) -> Result<Decoded<T>, Poison> {
        let Scratch { gzip, text, spots } = scratch;
        gzip::inflate(unbase64(base64, gzip)?, self.decoded_bytes_max, text)?;
        if let Some(needles) = &self.needles
            && let Some(skimmed) = skim::skim(text, needles, spots)
        {
            let source = Source::Skimmed { text, spots, events: skimmed.events };
            // The plain parse judges what cannot be read after all.
            if let Ok(content) = read(&skimmed.head, Events { source }) {
                return Ok(Decoded { content: Some(content), poison: None });
            }
        }
        plain(text, &read)
    }
}

/// Reads all of a text. Bytes that are no UTF-8 and strings that are no JSON are poison, but must not take the events
/// around them along.
fn plain<T>(text: &[u8], read: impl Fn(&LogBatch<'_>, Events<'_>) -> Result<T, Poison>) -> Result<Decoded<T>, Poison> {
    let (text, poison) = match str::from_utf8(text) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(error) => (String::from_utf8_lossy(text), Some(Poison::NotUtf8 { at: error.valid_up_to() })),
    };
    let error = match parse::message(&text) {
        Ok((message, flaw)) => return Ok(content_of(&message, poison.or(flaw), read)),
        Err(error) => poison.unwrap_or(error),
    };
    match parse::message(&parse::mended(&text)) {
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
        if self.spots.capacity() * size_of::<Spot>() > KEPT_BYTES_MAX {
            self.spots = Vec::new();
        }
    }
}

/// The bytes behind a base64 text, in `buffer`.
fn unbase64<'b>(text: &str, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Poison> {
    let room = base64::decoded_len_estimate(text.len());
    if buffer.len() < room {
        // Let go first, so that there are never two.
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

/// Vectors where there are any; which, is found out once.
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

/// The library's own text names the offending byte, that is, a byte of the record: keep to its place.
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
