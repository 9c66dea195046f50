//! Decoded messages of a CloudWatch Logs subscription, one after the other, with or without line
//! endings between them: so Firehose writes them to S3. Each becomes one record.
//!
//! Left to others: unpacking the file, and reading a message (`ingest::decode`).

use std::borrow::Cow;
use std::io::Read;

use memchr::memchr2;
use stentor::ingest::event::{Data, Record};

use super::Refusal;
use crate::args::region_of_environment;

/// A larger message is refused. CloudWatch Logs packs at most 1 MB into one.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Messages that are read together: up to this size, and one more.
const TOGETHER_BYTES: usize = 4 * 1024 * 1024;

const READ_BYTES: usize = 64 * 1024;

/// The messages of an input.
pub(crate) struct Messages<R> {
    input: R,
    buffer: Vec<u8>,
    /// Where the next message begins.
    at: usize,
    /// The offset of the buffer in the input.
    offset: u64,
    has_ended: bool,
    refusal: Option<Refusal>,
}

/// Finds the end of a JSON object that arrives in pieces. Whether it is valid is not checked.
#[derive(Default)]
struct ObjectEnd {
    /// Bytes that were looked at.
    seen: usize,
    depth: usize,
    is_in_string: bool,
}

/// Messages as records, whose names have the name of the input. `first` is the number of messages
/// before them.
pub(crate) fn records<'t>(texts: &'t [Vec<u8>], name: &str, first: usize) -> Vec<Record<'t>> {
    let region = region_of_environment();
    let record = |(index, text): (usize, &'t Vec<u8>)| Record {
        region: region.clone().map(Cow::Owned),
        ..Record::named(format!("{name}#{}", first + index), Data::Json(Cow::Borrowed(text)))
    };
    texts.iter().enumerate().map(record).collect()
}

impl<R: Read> Messages<R> {
    /// `offset` is that of `input` in its file.
    pub(crate) fn new(input: R, offset: u64) -> Self {
        let (buffer, at, has_ended, refusal) = (Vec::new(), 0, false, None);
        Self { input, buffer, at, offset, has_ended, refusal }
    }

    /// The next messages; none at the end.
    ///
    /// # Errors
    /// When the input cannot be read, or has anything else. The messages before that come first.
    pub(crate) fn next(&mut self) -> Result<Vec<Vec<u8>>, Refusal> {
        let (mut messages, mut bytes) = (Vec::new(), 0);
        while bytes < TOGETHER_BYTES && self.refusal.is_none() {
            match self.message() {
                Ok(Some(message)) => {
                    bytes += message.len();
                    messages.push(message);
                }
                Ok(None) => break,
                Err(refusal) => self.refusal = Some(refusal),
            }
        }
        match self.refusal.take_if(|_| messages.is_empty()) {
            Some(refusal) => Err(refusal),
            None => Ok(messages),
        }
    }

    fn message(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        if !self.skip_blanks()? {
            return Ok(None);
        }
        if self.buffer[self.at] != b'{' {
            return Err(Refusal(format!("no message begins at byte {}", self.position())));
        }
        let mut end = ObjectEnd::default();
        loop {
            if let Some(length) = end.find(&self.buffer[self.at..]) {
                let message = self.buffer[self.at..self.at + length].to_vec();
                self.at += length;
                return Ok(Some(message));
            }
            if self.buffer.len() - self.at > MESSAGE_BYTES_MAX {
                let (at, mib) = (self.position(), MESSAGE_BYTES_MAX >> 20);
                return Err(Refusal(format!("the message at byte {at} is larger than {mib} MiB")));
            }
            if !self.fill()? {
                return Err(Refusal(format!("the message at byte {} has no end", self.position())));
            }
        }
    }

    fn position(&self) -> u64 {
        self.offset + self.at as u64
    }

    /// Returns `false` at the end.
    fn skip_blanks(&mut self) -> Result<bool, Refusal> {
        loop {
            let text = self.buffer[self.at..].iter().position(|byte| !byte.is_ascii_whitespace());
            self.at = text.map_or(self.buffer.len(), |text| self.at + text);
            if text.is_some() {
                return Ok(true);
            }
            if !self.fill()? {
                return Ok(false);
            }
        }
    }

    /// Reads more. Returns `false` at the end.
    fn fill(&mut self) -> Result<bool, Refusal> {
        self.buffer.drain(..self.at);
        self.offset += self.at as u64;
        self.at = 0;
        let read = self.input.by_ref().take(READ_BYTES as u64).read_to_end(&mut self.buffer)?;
        self.has_ended |= read == 0;
        Ok(!self.has_ended)
    }
}

impl ObjectEnd {
    /// The length of the object at the start of `text`, which has grown since the last call.
    fn find(&mut self, text: &[u8]) -> Option<usize> {
        while self.seen < text.len() {
            if self.is_in_string {
                let rest = &text[self.seen..];
                let Some(found) = memchr2(b'"', b'\\', rest) else {
                    self.seen = text.len();
                    break;
                };
                if rest[found] == b'\\' {
                    // The escaped byte may come with the next piece.
                    if found + 1 == rest.len() {
                        self.seen += found;
                        break;
                    }
                    self.seen += found + 2;
                    continue;
                }
                self.seen += found + 1;
                self.is_in_string = false;
                continue;
            }
            match text[self.seen] {
                b'"' => self.is_in_string = true,
                b'{' => self.depth += 1,
                b'}' => self.depth -= 1,
                _ => {}
            }
            self.seen += 1;
            if self.depth == 0 {
                return Some(self.seen);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns `step` bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = self.1.min(buffer.len()).min(self.0.len());
            self.0.read(&mut buffer[..length])
        }
    }

    fn all(text: &str, step: usize) -> (Vec<String>, Option<String>) {
        let mut messages = Messages::new(Trickle(text.as_bytes(), step), 0);
        let mut found = Vec::new();
        loop {
            match messages.next() {
                Ok(more) if more.is_empty() => return (found, None),
                Ok(more) => {
                    found.extend(more.into_iter().map(|m| String::from_utf8(m).unwrap()));
                }
                Err(refusal) => return (found, Some(refusal.0)),
            }
        }
    }

    #[test]
    fn messages_are_separated_wherever_a_piece_ends() {
        let messages = [r#"{}"#, r#"{"a":"}\"{\\"}"#, r#"{"a":{"b":[{}]},"c":"\\"}"#, "{\n}"];
        for between in ["", "\n", " \r\n "] {
            for step in [1, 2, 3, 100] {
                let found = all(&messages.join(between), step);
                assert_eq!(found, (messages.map(str::to_owned).to_vec(), None), "{between:?}");
            }
        }
    }

    #[test]
    fn what_is_no_message_is_refused_after_the_messages_before_it() {
        let one = vec!["{}".to_owned()];
        for (text, refusal) in [
            ("{} x", "no message begins at byte 3"),
            ("{}{\"a\":\"}", "the message at byte 2 has no end"),
            ("{}\u{1f}", "no message begins at byte 2"),
        ] {
            assert_eq!(all(text, 2), (one.clone(), Some(refusal.to_owned())));
        }
    }
}
