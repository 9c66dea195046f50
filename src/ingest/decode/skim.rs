//! Reading a subscription message without parsing it: one walk over the raw text that knows the shape
//! in which CloudWatch Logs writes, counts the log events and remembers those in which a marker can be.
//!
//! The walk follows the structure from the first brace to the last: each key, each value's type, the
//! end of each string, and that all of it is UTF-8. It skips one thing: whether the escapes and
//! control characters in texts without a marker are possible ones. Whatever it does not expect is a
//! doubt, and then the plain parse reads the record, or, inside of one event, that event. So it answers
//! what the plain parse would, for every message that is valid (`the_walk_and_the_plain_parse_agree`).

use std::array;
use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

use super::needle::{FIRST_BYTES_MAX, Needles, Search};
use super::stop::{Reader, Stops, fastest};
use super::{NAME_BYTES_MAX, Poison, parse};
use crate::ingest::logs::{LogBatch, LogEvent};

/// A log event in which a marker can be, by its place in the text. Without a lifetime, so that the list
/// is kept from record to record.
#[derive(Clone, Debug)]
pub(super) enum Spot {
    /// From its brace to the quote that ends its message; it opens like [`OPENING`].
    Usual { start: usize, end: usize },
    /// Of another: the whole event has to be parsed.
    Other(Range<usize>),
}

/// What the walk found.
#[derive(Debug)]
pub(super) struct Skimmed<'t> {
    /// Its `events` are empty.
    pub head: LogBatch<'t>,
    pub events: u64,
}

/// Walks over `text`; the spots stand in `spots` afterwards. `None`: in doubt.
pub(super) fn skim<'t>(text: &'t [u8], needles: &Needles, spots: &mut Vec<Spot>) -> Option<Skimmed<'t>> {
    spots.clear();
    let skim = Skim { text, needles, spots };
    match needles.search() {
        Search::FirstBytes(firsts) => match firsts[..] {
            [a] => fastest([a], skim),
            [a, b] => fastest([a, b], skim),
            [a, b, c] => fastest([a, b, c], skim),
            _ => unreachable!("invariant: one to {FIRST_BYTES_MAX} first bytes"),
        },
        Search::Packed(_) | Search::Automaton(_) => fastest([], skim),
    }
}

/// A walk that is about to begin.
struct Skim<'t, 'w> {
    text: &'t [u8],
    needles: &'w Needles,
    spots: &'w mut Vec<Spot>,
}

impl<'t> Reader for Skim<'t, '_> {
    type Found = Option<Skimmed<'t>>;

    #[inline(always)]
    fn read_with(self, stops: impl Stops) -> Self::Found {
        let Self { text, needles, spots } = self;
        Walk { text, at: 0, needles, spots, stops, suspect: 0 }.message()
    }
}

struct Walk<'t, 'w, S> {
    text: &'t [u8],
    at: usize,
    needles: &'w Needles,
    spots: &'w mut Vec<Spot>,
    stops: S,
    /// The next place that a search of its own has found.
    suspect: usize,
}

/// The names at the head of a message, as far as they have come, by where they stand.
#[derive(Default)]
struct Head {
    is_data: bool,
    owner: Option<Range<usize>>,
    log_group: Option<Range<usize>>,
    log_stream: Option<Range<usize>>,
}

impl<'t, S: Stops> Walk<'t, '_, S> {
    #[inline(always)]
    fn message(mut self) -> Option<Skimmed<'t>> {
        let head = self.head()?;
        let names = self.clean(0)?;
        let events = self.events()?;
        let end = self.at;
        self.tail()?;
        self.clean(end)?;
        let name = |name: Option<Range<usize>>| Some(Cow::Borrowed(&names[name?]));
        let (owner, log_group, log_stream) = (name(head.owner)?, name(head.log_group)?, name(head.log_stream)?);
        let head = LogBatch { owner, log_group, log_stream, events: Vec::new() };
        Some(Skimmed { head, events })
    }

    /// Everything up to the bracket of `logEvents`.
    #[inline(never)]
    fn head(&mut self) -> Option<Head> {
        let mut head = Head::default();
        self.eat(b"{")?;
        loop {
            let field = if self.eat(b"\"messageType\":").is_some() {
                let is_first = !std::mem::replace(&mut head.is_data, true);
                self.eat(b"\"DATA_MESSAGE\"").filter(|()| is_first)?;
                None
            } else if self.eat(b"\"owner\":").is_some() {
                Some(&mut head.owner)
            } else if self.eat(b"\"logGroup\":").is_some() {
                Some(&mut head.log_group)
            } else if self.eat(b"\"logStream\":").is_some() {
                Some(&mut head.log_stream)
            } else if self.eat(b"\"logEvents\":").is_some() {
                self.eat(b"[")?;
                return head.is_data.then_some(head);
            } else {
                self.string()?;
                self.eat(b":")?;
                self.strings()?;
                None
            };
            if let Some(field) = field {
                let length = self.string().map(<[u8]>::len).filter(|length| *length <= NAME_BYTES_MAX)?;
                let end = self.at - 1;
                // The same key again is an error to the plain parse.
                if field.replace(end - length..end).is_some() {
                    return None;
                }
            }
            self.eat(b",")?;
        }
    }

    /// The events and the bracket behind them.
    #[inline(always)]
    fn events(&mut self) -> Option<u64> {
        let mut events = 0;
        if self.eat(b"]").is_some() {
            return Some(events);
        }
        loop {
            events += self.run()?;
            let byte = *self.text.get(self.at)?;
            self.at += 1;
            match byte {
                b',' => {}
                b']' => return Some(events),
                _ => return None,
            }
        }
    }

    /// What stands behind the events.
    #[inline(never)]
    fn tail(&mut self) -> Option<()> {
        while self.eat(b",").is_some() {
            if matches!(self.string()?, b"messageType" | b"owner" | b"logGroup" | b"logStream" | b"logEvents") {
                return None;
            }
            self.eat(b":")?;
            self.strings()?;
        }
        self.eat(b"}")?;
        (self.at == self.text.len()).then_some(())
    }

    /// One event, and those behind it as long as all are `{"id":"3…","timestamp":17…,"message":"…"}`. Answers how many.
    #[inline(always)]
    fn run(&mut self) -> Option<u64> {
        let (text, mut start, mut events) = (self.text, self.at, 1);
        let mut is_usual = OPENING.begins(&text[start..]);
        while is_usual {
            let (message, hit) = self.message_at(start + OPENING_BYTES)?;
            is_usual = JOINT.begins(&text[message.end + 1..]);
            if !is_usual {
                self.at = message.end + 1;
                if self.rest_of_usual(start, message.end, hit).is_some() {
                    return Some(events);
                }
                break;
            }
            if hit {
                self.spots.push(Spot::Usual { start, end: message.end });
            }
            start = message.end + 1 + (JOINT_BYTES - OPENING_BYTES);
            events += 1;
        }
        self.at = start;
        self.eat(b"{")?;
        self.rest_of_object()?;
        utf8(&text[start..self.at])?;
        self.spots.push(Spot::Other(start..self.at));
        Some(events)
    }

    /// Behind the message of a usual event: the brace, or `extractedFields` and the brace.
    #[inline(never)]
    fn rest_of_usual(&mut self, start: usize, end: usize, hit: bool) -> Option<()> {
        let is_short = self.eat(b"}").is_some();
        if !is_short {
            self.extracted()?;
        }
        if hit {
            self.spots.push(if is_short { Spot::Usual { start, end } } else { Spot::Other(start..self.at) });
        }
        Some(())
    }

    #[inline(never)]
    fn extracted(&mut self) -> Option<()> {
        let start = self.at;
        self.eat(b",\"extractedFields\":{")?;
        self.rest_of_object()?;
        utf8(&self.text[start..self.at])?;
        self.eat(b"}")
    }

    /// The inside of the string that begins at `start`, and whether a marker may be in it.
    #[inline(always)]
    fn message_at(&mut self, start: usize) -> Option<(Range<usize>, bool)> {
        let (text, needles) = (self.text, self.needles);
        let inside = self.stops.read(text, start, |at, byte| match byte {
            b'u' => needles.escape_at(text, at),
            _ => needles.second_at(text, at),
        })?;
        let message = start..inside.end;
        if !inside.is_ascii {
            utf8(&text[message.clone()])?;
        }
        let is_suspect = inside.suspect < inside.end;
        let hit = is_suspect && needles.any_in(text, inside.suspect..inside.end) || self.suspected_in(&message);
        Some((message, hit))
    }

    /// Whether a search of its own has found something that begins in `message`.
    #[inline(always)]
    fn suspected_in(&mut self, message: &Range<usize>) -> bool {
        if S::WANTS {
            return false;
        }
        if self.suspect < message.start {
            self.suspect = self.needles.search().next(self.text, message.start);
        }
        self.suspect < message.end
    }

    /// Goes behind the brace that ends the object in which `at` stands, whatever is nested in it.
    #[inline(never)]
    fn rest_of_object(&mut self) -> Option<()> {
        let mut depth = 1_usize;
        while depth > 0 {
            let byte = *self.text.get(self.at)?;
            self.at += 1;
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'"' => self.skip_text()?,
                _ => {}
            }
        }
        Some(())
    }

    /// Goes behind the quote that ends the string in which `at` stands.
    fn skip_text(&mut self) -> Option<()> {
        loop {
            let byte = *self.text.get(self.at)?;
            self.at += 1 + usize::from(byte == b'\\');
            if byte == b'"' {
                return Some(());
            }
        }
    }

    /// A string, or a list of strings: what unknown fields of a message hold.
    fn strings(&mut self) -> Option<()> {
        if self.eat(b"[").is_none() {
            return self.string().map(drop);
        }
        if self.eat(b"]").is_some() {
            return Some(());
        }
        loop {
            self.string()?;
            if self.eat(b"]").is_some() {
                return Some(());
            }
            self.eat(b",")?;
        }
    }

    /// A short string without escapes. Whether it is UTF-8 and has no control characters, is asked of all together.
    fn string(&mut self) -> Option<&'t [u8]> {
        self.eat(b"\"")?;
        let rest = &self.text[self.at..];
        let length = memchr2(b'"', b'\\', rest)?;
        self.at += length;
        self.eat(b"\"")?;
        Some(&rest[..length])
    }

    /// The text since `start`, if the strings in it, read by [`Self::string`], are what a parser takes.
    #[inline(never)]
    fn clean(&self, start: usize) -> Option<&'t str> {
        let text = &self.text[start..self.at];
        let control = text.iter().fold(false, |any, byte| any | (*byte < b' '));
        if control { None } else { str::from_utf8(text).ok() }
    }

    #[inline(always)]
    fn eat<const N: usize>(&mut self, token: &[u8; N]) -> Option<()> {
        let is_next = self.text.get(self.at..)?.first_chunk() == Some(token);
        is_next.then(|| self.at += N)
    }
}

/// Whether the bytes, which begin and end between characters, are UTF-8.
#[inline(never)]
fn utf8(text: &[u8]) -> Option<()> {
    simdutf8::basic::from_utf8(text).ok().map(drop)
}

/// How an event begins, up to the quote that opens its message. An id has 56 digits and a timestamp 13, for events from
/// 2001 to 2096; so the opening is of one length, and one comparison covers all of it.
const OPENING: Digits<OPENING_BYTES> = Digits::new(
    br#"{"id":"00000000000000000000000000000000000000000000000000000000","timestamp":3000000000000,"message":""#,
);
const OPENING_BYTES: usize = 102;
const ID: Range<usize> = 7..63;
const TIMESTAMP: Range<usize> = 77..90;

/// What stands between two messages: the end of an event and the opening of the next.
const JOINT: Digits<JOINT_BYTES> = Digits::new(
    br#"},{"id":"00000000000000000000000000000000000000000000000000000000","timestamp":3000000000000,"message":""#,
);
const JOINT_BYTES: usize = OPENING_BYTES + 2;

/// A text in which digits vary.
struct Digits<const N: usize> {
    form: [u8; N],
    /// By how much a byte may differ.
    tolerance: [u8; N],
}

impl<const N: usize> Digits<N> {
    /// `0` stands for any digit, `3` for one from 1 to 3.
    const fn new(form: &[u8; N]) -> Self {
        let (mut tolerance, mut at) = ([0; N], 0);
        while at < N {
            // What is told apart is an exclusive or: of `0` and any digit it is at most 9, of `3` and those at most 2, and
            // of no other byte.
            tolerance[at] = match form[at] {
                b'0' => 9,
                b'3' => 2,
                _ => 0,
            };
            at += 1;
        }
        Self { form: *form, tolerance }
    }

    #[inline(always)]
    fn begins(&self, text: &[u8]) -> bool {
        const WIDTH: usize = 32;
        // The last of the four overlaps with the one before it.
        let blocks = const { [0, WIDTH, 2 * WIDTH, N - WIDTH] };
        let Some(text) = text.first_chunk::<N>() else { return false };
        let differs = |at: usize| (text[at] ^ self.form[at]).saturating_sub(self.tolerance[at]);
        let differs: [u8; WIDTH] = array::from_fn(|at| blocks.iter().fold(0, |all, from| all | differs(from + at)));
        differs.iter().fold(0, |any, byte| any | byte) == 0
    }
}

impl Spot {
    /// The event that stands there, parsed.
    pub(super) fn read<'t>(&self, text: &'t [u8]) -> Result<LogEvent<'t>, Poison> {
        match self {
            Self::Usual { start, end } => Ok(LogEvent {
                id: str::from_utf8(&text[start + ID.start..start + ID.end])
                    .expect("invariant: an opening is recognised by the digits of its id")
                    .into(),
                timestamp: text[start + TIMESTAMP.start..start + TIMESTAMP.end]
                    .iter()
                    .fold(0, |number, digit| number * 10 + i64::from(digit - b'0')),
                message: match unescaped(&text[start + OPENING_BYTES..*end]) {
                    Some(message) => message,
                    // With its quotes it is a JSON text of its own.
                    None => parse::string(&text[start + OPENING_BYTES - 1..=*end])?,
                },
                account: None,
                region: None,
            }),
            Self::Other(range) => parse::event(&text[range.clone()]),
        }
    }
}

/// The inside of a JSON string, if it is valid and has no escapes but the short ones.
fn unescaped(raw: &[u8]) -> Option<Cow<'_, str>> {
    if raw.iter().fold(false, |any, byte| any | (*byte < b' ')) {
        return None;
    }
    let text = str::from_utf8(raw).ok()?;
    let Some(mut at) = memchr(b'\\', raw) else { return Some(Cow::Borrowed(text)) };
    let mut whole = String::with_capacity(text.len());
    let mut done = 0;
    loop {
        whole.push_str(&text[done..at]);
        whole.push(match raw.get(at + 1)? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            quoted @ (b'"' | b'\\' | b'/') => char::from(*quoted),
            _ => return None,
        });
        done = at + 2;
        match memchr(b'\\', &raw[done..]) {
            Some(next) => at = done + next,
            None => break,
        }
    }
    whole.push_str(&text[done..]);
    Some(Cow::Owned(whole))
}
