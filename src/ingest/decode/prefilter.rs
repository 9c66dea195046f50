//! Finds the log events of a subscription message that may carry a marker, without parsing the
//! others. One pass over the raw text counts the log events.
//!
//! The pass knows the shape in which CloudWatch Logs writes, and follows the structure from the
//! first brace to the last: each key, the type of each value, the end of each string, and that all
//! of it is UTF-8. It skips one check: whether escapes and control characters are valid in texts
//! without a marker. Anything unexpected is a doubt. In doubt about the message the parser reads
//! all of it, and in doubt about one event that event. So the answer is what the parser would give,
//! for every valid message (`prefilter_and_parser_agree`).

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use super::marker_prefilter::MarkerPrefilter;
use super::string_scan::{StringScanner, Vector, WithScanner, dispatch};
use super::{NAME_BYTES_MAX, Poison, parse};
use crate::ingest::json::{JsonCursor, has_control};
use crate::ingest::logs::{LogBatch, LogEvent};

/// A log event that may carry a marker, by its place in the text. It has no lifetime, so that the
/// list of candidates can be reused from record to record.
#[derive(Clone, Debug)]
pub(super) enum Candidate {
    /// An event that begins like [`OPENING`], from its brace to the quote that ends its message,
    /// and has no other fields.
    Plain { start: usize, end: usize },
    /// Any other: the whole event is parsed.
    Other(Range<usize>),
}

#[derive(Debug)]
pub(super) struct Prefiltered<'t> {
    /// Without log events.
    pub head: LogBatch<'t>,
    /// Where the first log event begins.
    pub first_event: usize,
    /// How many log events the message has.
    pub events: u64,
}

/// Scans the message `text`, and leaves the candidates in `candidates`. `None`: in doubt.
pub(super) fn prefilter<'t>(
    text: &'t [u8],
    markers: &MarkerPrefilter,
    candidates: &mut Vec<Candidate>,
) -> Option<Prefiltered<'t>> {
    candidates.clear();
    dispatch(markers.first_bytes(), Prefilter { text, markers, candidates })
}

struct Prefilter<'t, 'm> {
    text: &'t [u8],
    markers: &'m MarkerPrefilter,
    candidates: &'m mut Vec<Candidate>,
}

impl<'t> WithScanner for Prefilter<'t, '_> {
    type Output = Option<Prefiltered<'t>>;

    #[inline(always)]
    fn with_scanner<V: Vector>(self, scanner: StringScanner<V>) -> Self::Output {
        let Self { text, markers, candidates } = self;
        let scanner = scanner.with_backslashes(markers.has_json_escapes());
        Pass { cursor: JsonCursor::new(text), markers, candidates, scanner, next_found: 0 }
            .message()
    }
}

struct Pass<'t, 'm, V> {
    cursor: JsonCursor<'t>,
    markers: &'m MarkerPrefilter,
    candidates: &'m mut Vec<Candidate>,
    scanner: StringScanner<V>,
    /// The next offset that the search of `markers` has found.
    next_found: usize,
}

/// Where the names at the head of a message are.
#[derive(Default)]
struct Head {
    is_data: bool,
    owner: Option<Range<usize>>,
    log_group: Option<Range<usize>>,
    log_stream: Option<Range<usize>>,
}

impl<'t, V: Vector> Pass<'t, '_, V> {
    #[inline(always)]
    fn message(mut self) -> Option<Prefiltered<'t>> {
        let head = self.head()?;
        let names = self.checked(0)?;
        let first_event = self.cursor.position();
        let events = self.events()?;
        let end = self.cursor.position();
        self.tail()?;
        self.checked(end)?;
        let name = |name: Option<Range<usize>>| Some(Cow::Borrowed(&names[name?]));
        let (owner, log_group, log_stream) =
            (name(head.owner)?, name(head.log_group)?, name(head.log_stream)?);
        let head = LogBatch { owner, log_group, log_stream, events: Vec::new() };
        Some(Prefiltered { head, first_event, events })
    }

    /// Everything up to the bracket of `logEvents`.
    #[inline(never)]
    fn head(&mut self) -> Option<Head> {
        let cursor = &mut self.cursor;
        let mut head = Head::default();
        cursor.expect(b"{")?;
        loop {
            let field = if cursor.eat(b"\"messageType\":") {
                let is_first = !std::mem::replace(&mut head.is_data, true);
                cursor.expect(b"\"DATA_MESSAGE\"").filter(|()| is_first)?;
                None
            } else if cursor.eat(b"\"owner\":") {
                Some(&mut head.owner)
            } else if cursor.eat(b"\"logGroup\":") {
                Some(&mut head.log_group)
            } else if cursor.eat(b"\"logStream\":") {
                Some(&mut head.log_stream)
            } else if cursor.eat(b"\"logEvents\":") {
                cursor.expect(b"[")?;
                return head.is_data.then_some(head);
            } else {
                cursor.string()?;
                cursor.expect(b":")?;
                cursor.skip_strings()?;
                None
            };
            if let Some(field) = field {
                let name = cursor.string().filter(|name| name.len() <= NAME_BYTES_MAX)?;
                // To the parser a repeated key is an error.
                if field.replace(name).is_some() {
                    return None;
                }
            }
            cursor.expect(b",")?;
        }
    }

    /// The events and the bracket after them. Returns how many there are.
    #[inline(always)]
    fn events(&mut self) -> Option<u64> {
        let mut events = 0;
        if self.cursor.eat(b"]") {
            return Some(events);
        }
        loop {
            events += self.run()?;
            if self.cursor.ends(b']')? {
                return Some(events);
            }
        }
    }

    /// Everything after the events.
    #[inline(never)]
    fn tail(&mut self) -> Option<()> {
        let cursor = &mut self.cursor;
        while cursor.eat(b",") {
            let key = &cursor.text()[cursor.string()?];
            if matches!(key, b"messageType" | b"owner" | b"logGroup" | b"logStream" | b"logEvents")
            {
                return None;
            }
            cursor.expect(b":")?;
            cursor.skip_strings()?;
        }
        cursor.expect(b"}")?;
        (cursor.position() == cursor.text().len()).then_some(())
    }

    /// One event, and those after it as long as all are
    /// `{"id":"3…","timestamp":17…,"message":"…"}`. Returns how many.
    #[inline(always)]
    fn run(&mut self) -> Option<u64> {
        let (text, mut start, mut events) = (self.cursor.text(), self.cursor.position(), 1);
        let mut is_plain = OPENING.begins(&text[start..]);
        while is_plain {
            let (message, is_candidate) = self.message_at(start + OPENING_BYTES)?;
            is_plain = JOINT.begins(&text[message.end + 1..]);
            if !is_plain {
                self.cursor.seek(message.end + 1);
                if self.rest_of_event(start, message.end, is_candidate).is_some() {
                    return Some(events);
                }
                break;
            }
            if is_candidate {
                self.candidates.push(Candidate::Plain { start, end: message.end });
            }
            start = message.end + 1 + (JOINT_BYTES - OPENING_BYTES);
            events += 1;
        }
        self.cursor.seek(start);
        self.cursor.expect(b"{")?;
        self.cursor.skip_nested()?;
        let event = start..self.cursor.position();
        check_utf8(&text[event.clone()])?;
        self.candidates.push(Candidate::Other(event));
        Some(events)
    }

    /// After the message of a plain event: the brace, or `extractedFields` and the brace.
    #[inline(never)]
    fn rest_of_event(&mut self, start: usize, end: usize, is_candidate: bool) -> Option<()> {
        let is_plain = self.cursor.eat(b"}");
        if !is_plain {
            self.extracted_fields()?;
        }
        if is_candidate {
            let other = || Candidate::Other(start..self.cursor.position());
            self.candidates.push(if is_plain { Candidate::Plain { start, end } } else { other() });
        }
        Some(())
    }

    #[inline(never)]
    fn extracted_fields(&mut self) -> Option<()> {
        let cursor = &mut self.cursor;
        let start = cursor.position();
        cursor.expect(b",\"extractedFields\":{")?;
        cursor.skip_nested()?;
        check_utf8(&cursor.text()[start..cursor.position()])?;
        cursor.expect(b"}")
    }

    /// The content of the message that begins at `start`, and whether it may have a marker.
    #[inline(always)]
    fn message_at(&mut self, start: usize) -> Option<(Range<usize>, bool)> {
        let (text, markers) = (self.cursor.text(), self.markers);
        let scanned = self.scanner.scan(text, start, |at, byte| match byte {
            b'u' => markers.may_be_escaped_at(text, at),
            b'\\' => markers.json_escape_at(text, at),
            _ => markers.second_byte_at(text, at),
        })?;
        let message = start..scanned.end;
        if !scanned.is_ascii {
            check_utf8(&text[message.clone()])?;
        }
        let is_near = scanned.candidate < scanned.end;
        let is_candidate = is_near && markers.any_in(text, scanned.candidate..scanned.end)
            || self.is_found_in(&message);
        Some((message, is_candidate))
    }

    /// Whether the search of the markers, if they need one, has found something that begins in
    /// `message`.
    #[inline(always)]
    fn is_found_in(&mut self, message: &Range<usize>) -> bool {
        if self.next_found >= message.end {
            return false;
        }
        if self.next_found < message.start {
            self.next_found = self.markers.next(self.cursor.text(), message.start);
        }
        self.next_found < message.end
    }

    /// The text since `start`, if the strings in it, read by [`JsonCursor::string`], are valid.
    #[inline(never)]
    fn checked(&self, start: usize) -> Option<&'t str> {
        let text = &self.cursor.text()[start..self.cursor.position()];
        if has_control(text) { None } else { str::from_utf8(text).ok() }
    }
}

/// Checks that the bytes, which begin and end between two characters, are UTF-8.
#[inline(never)]
fn check_utf8(text: &[u8]) -> Option<()> {
    simdutf8::basic::from_utf8(text).ok().map(drop)
}

/// How an event begins, up to the quote that opens its message. An id has 56 digits, and a
/// timestamp from 2001 to 2096 has 13. So the length of the opening is known, and one comparison
/// covers it.
const OPENING: Template<OPENING_BYTES> = Template::new(
    br#"{"id":"00000000000000000000000000000000000000000000000000000000","timestamp":3000000000000,"message":""#,
);
const OPENING_BYTES: usize = 102;
const ID: Range<usize> = 7..63;
const TIMESTAMP: Range<usize> = 77..90;

/// The text between two messages: the end of one event and the opening of the next.
const JOINT: Template<JOINT_BYTES> = Template::new(
    br#"},{"id":"00000000000000000000000000000000000000000000000000000000","timestamp":3000000000000,"message":""#,
);
const JOINT_BYTES: usize = OPENING_BYTES + 2;

/// A text in which digits vary.
struct Template<const N: usize> {
    bytes: [u8; N],
    /// The most by which a byte may differ.
    tolerance: [u8; N],
}

impl<const N: usize> Template<N> {
    /// `0` stands for any digit, `3` for one from 1 to 3.
    const fn new(bytes: &[u8; N]) -> Self {
        let (mut tolerance, mut at) = ([0; N], 0);
        while at < N {
            // The difference is an exclusive or. That of `0` and a digit is at most 9, that of `3`
            // and `1` to `3` at most 2, and that of any other byte is more.
            tolerance[at] = match bytes[at] {
                b'0' => 9,
                b'3' => 2,
                _ => 0,
            };
            at += 1;
        }
        Self { bytes: *bytes, tolerance }
    }

    #[inline(always)]
    fn begins(&self, text: &[u8]) -> bool {
        const WIDTH: usize = 32;
        let Some(text) = text.first_chunk::<N>() else { return false };
        let differs = |at: usize| (text[at] ^ self.bytes[at]).saturating_sub(self.tolerance[at]);
        let mut differences = [0; WIDTH];
        for (at, difference) in differences.iter_mut().enumerate() {
            // The last of the four blocks overlaps with the one before it.
            *difference = differs(at)
                | differs(WIDTH + at)
                | differs(2 * WIDTH + at)
                | differs(N - WIDTH + at);
        }
        differences == [0; WIDTH]
    }
}

impl Candidate {
    /// The event that begins at `start`, whether or not it may carry a marker.
    pub(super) fn at(text: &[u8], start: usize) -> Option<Self> {
        let mut cursor = JsonCursor::new(text);
        if OPENING.begins(text.get(start..)?) {
            cursor.seek(start + OPENING_BYTES);
            cursor.skip_string()?;
            let end = cursor.position() - 1;
            if cursor.eat(b"}") {
                return Some(Self::Plain { start, end });
            }
        }
        cursor.seek(start);
        cursor.expect(b"{")?;
        cursor.skip_nested()?;
        Some(Self::Other(start..cursor.position()))
    }

    pub(super) fn start(&self) -> usize {
        match self {
            Self::Plain { start, .. } | Self::Other(Range { start, .. }) => *start,
        }
    }

    /// Where the next event begins; `None` after the last one.
    pub(super) fn next_start(&self, text: &[u8]) -> Option<usize> {
        let end = match self {
            Self::Plain { end, .. } => end + 2,
            Self::Other(range) => range.end,
        };
        (text.get(end) == Some(&b',')).then_some(end + 1)
    }

    /// Parses the event.
    pub(super) fn read<'t>(&self, text: &'t [u8]) -> Result<LogEvent<'t>, Poison> {
        match self {
            Self::Plain { start, end } => Ok(LogEvent {
                id: str::from_utf8(&text[start + ID.start..start + ID.end])
                    .expect("invariant: the template admits only digits in an id")
                    .into(),
                timestamp: text[start + TIMESTAMP.start..start + TIMESTAMP.end]
                    .iter()
                    .fold(0, |number, digit| number * 10 + i64::from(digit - b'0')),
                message: match unescaped(&text[start + OPENING_BYTES..*end]) {
                    Some(message) => message,
                    // With its quotes it is a JSON text.
                    None => parse::string(&text[start + OPENING_BYTES - 1..=*end])?,
                },
                account: None,
                region: None,
            }),
            Self::Other(range) => parse::event(&text[range.clone()]),
        }
    }
}

/// The content of a JSON string; `None` if it is not valid, or has escapes other than the short
/// ones.
fn unescaped(raw: &[u8]) -> Option<Cow<'_, str>> {
    if has_control(raw) {
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
