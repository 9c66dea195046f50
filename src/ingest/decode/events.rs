//! The log events of a record, and those around an alert, which are read when they are asked for.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::iter;
use std::ops::ControlFlow;

use super::Poison;
use super::prefilter::Candidate;
use crate::config::CONTEXT_EVENTS_MAX;
use crate::ingest::lines::{LineHit, LineRecord};
use crate::ingest::logs::LogEvent;

/// The log events of a message.
#[derive(Debug)]
pub struct Events<'e> {
    pub(super) source: Source<'e>,
}

#[derive(Debug)]
pub(super) enum Source<'e> {
    Parsed(&'e [LogEvent<'e>]),
    /// Only the candidates; `events` is how many log events there are in all, and `first_event`
    /// where the first of them begins.
    Prefiltered {
        text: &'e [u8],
        candidates: &'e [Candidate],
        events: u64,
        first_event: usize,
    },
    Lines(&'e LineRecord<'e>),
}

/// The log events around one, of the same record. Only those that are asked for are read.
#[derive(Debug)]
pub struct Neighbors<'e, 'w>(Around<'e, 'w>);

#[derive(Debug)]
enum Around<'e, 'w> {
    Parsed { events: &'e [LogEvent<'e>], index: usize },
    Raw { text: &'e [u8], candidate: &'e Candidate, walk: &'w mut Walk },
    Lines { record: &'e LineRecord<'e>, hit: &'e LineHit },
}

/// A way through the log events of a raw text, from the first on. All alerts of a record share it,
/// so each log event is passed once.
#[derive(Debug)]
struct Walk {
    /// Where the next log event begins.
    next: Option<usize>,
    /// The last ones before it.
    passed: VecDeque<Candidate>,
}

impl<'e> Events<'e> {
    pub fn of(events: &'e [LogEvent<'e>]) -> Self {
        Self { source: Source::Parsed(events) }
    }

    pub(super) fn of_lines(record: &'e LineRecord<'e>) -> Self {
        Self { source: Source::Lines(record) }
    }

    /// How many log events may carry a marker; `None` without a prefilter.
    pub fn candidates(&self) -> Option<usize> {
        match &self.source {
            Source::Parsed(_) => None,
            Source::Prefiltered { candidates, .. } => Some(candidates.len()),
            Source::Lines(record) => Some(record.hits.len()),
        }
    }

    /// Passes each log event that may carry a marker to `take`, in order, and returns how many log
    /// events there are in all.
    ///
    /// # Errors
    /// If a log event cannot be read. Discard the results of the earlier ones: the record is read
    /// again.
    pub fn each(self, mut take: impl FnMut(&LogEvent<'_>)) -> Result<u64, Poison> {
        self.each_until(|event, _| {
            take(event);
            ControlFlow::Continue(())
        })
    }

    /// The same with the log events around each one, up to the log event at which `take` breaks.
    ///
    /// # Errors
    /// As [`Events::each`].
    pub fn each_until(
        self,
        mut take: impl FnMut(&LogEvent<'_>, &mut Neighbors<'_, '_>) -> ControlFlow<()>,
    ) -> Result<u64, Poison> {
        match self.source {
            Source::Parsed(events) => {
                for (index, event) in events.iter().enumerate() {
                    if take(event, &mut Neighbors(Around::Parsed { events, index })).is_break() {
                        break;
                    }
                }
                Ok(events.len() as u64)
            }
            Source::Prefiltered { text, candidates, events, first_event } => {
                let mut walk = Walk { next: Some(first_event), passed: VecDeque::new() };
                for candidate in candidates {
                    let event = candidate.read(text)?;
                    let mut neighbors = Neighbors(Around::Raw { text, candidate, walk: &mut walk });
                    if take(&event, &mut neighbors).is_break() {
                        break;
                    }
                }
                Ok(events)
            }
            Source::Lines(record) => {
                for hit in record.hits {
                    let mut neighbors = Neighbors(Around::Lines { record, hit });
                    if take(&record.event(hit), &mut neighbors).is_break() {
                        break;
                    }
                }
                Ok(record.lines)
            }
        }
    }
}

impl<'e> Neighbors<'e, '_> {
    /// The messages of the log events after this one, in order, each read when it is asked for.
    /// They end at one that cannot be read.
    pub fn after(&self) -> impl Iterator<Item = Cow<'e, str>> + use<'e> {
        let (parsed, raw, lines) = match &self.0 {
            Around::Parsed { events, index } => (&events[index + 1..], None, None),
            Around::Raw { text, candidate, .. } => {
                (&[][..], Some((*text, candidate.next_start(text))), None)
            }
            Around::Lines { record, hit } => (&[][..], None, Some(record.after(hit))),
        };
        let raw = raw.into_iter().flat_map(|(text, mut next)| {
            iter::from_fn(move || {
                let event = Candidate::at(text, next?)?;
                next = event.next_start(text);
                event.read(text).ok().map(|event| event.message)
            })
        });
        let parsed = parsed.iter().map(|event| Cow::Borrowed(&*event.message));
        parsed.chain(raw).chain(lines.into_iter().flatten())
    }

    /// The messages of the last `count` log events before this one, in order; at most
    /// [`CONTEXT_EVENTS_MAX`].
    pub fn before(&mut self, count: usize) -> Vec<Cow<'e, str>> {
        match &mut self.0 {
            Around::Parsed { events, index } => {
                let start = index.saturating_sub(count.min(CONTEXT_EVENTS_MAX));
                events[start..*index].iter().map(|event| Cow::Borrowed(&*event.message)).collect()
            }
            Around::Lines { record, hit } => record.before(hit, count),
            Around::Raw { text, candidate, walk } => {
                walk.to(text, candidate.start());
                let skipped = walk.passed.len().saturating_sub(count);
                let read = |event: &Candidate| event.read(text).ok().map(|event| event.message);
                walk.passed.iter().skip(skipped).filter_map(read).collect()
            }
        }
    }
}

impl Walk {
    /// Passes the log events up to the one that begins at `start`.
    fn to(&mut self, text: &[u8], start: usize) {
        while let Some(at) = self.next.filter(|at| *at < start) {
            let event = Candidate::at(text, at);
            self.next = event.as_ref().and_then(|event| event.next_start(text));
            if self.passed.len() == CONTEXT_EVENTS_MAX {
                self.passed.pop_front();
            }
            self.passed.extend(event);
        }
    }
}
