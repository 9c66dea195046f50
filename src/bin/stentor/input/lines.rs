//! Log lines as batches. A line of a file is identified by path, offset and content: a second run
//! over the same file finds duplicates only, and a rotated file is a new one.

use std::borrow::Cow;
use std::io::{BufRead, Read as _};
use std::path::Path;

use flate2::Crc;
use stentor::ingest::event::{Batch, Data, Record};
use stentor::ingest::logs::{LogBatch, LogEvent, Message};
use stentor::model::line_time;
use stentor::model::time::Timestamp;

/// A longer line is cut here, and the rest is skipped and reported. It is not split: a marker at
/// the cut would be missed, and half of a secret would not be recognized. (A log event of
/// CloudWatch Logs has at most 1 MB.)
pub(crate) const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Lines in one record of a batch. Records are decoded in parallel.
const RECORD_LINES: usize = 2_000;

/// Lines that are ingested at once: few enough for a prompt shutdown, even if each is an alert.
const LINES_MAX: usize = 4 * RECORD_LINES;

/// A log line with its id.
#[derive(Debug)]
pub(crate) struct InputLine {
    pub id: String,
    pub text: String,
}

impl InputLine {
    /// `raw` may include the line ending. Invalid UTF-8 becomes U+FFFD.
    pub(crate) fn new(id: String, raw: &[u8]) -> Self {
        Self { id, text: String::from_utf8_lossy(without_end(raw)).into_owned() }
    }
}

/// A line without `\n` or `\r\n`.
pub(crate) fn without_end(raw: &[u8]) -> &[u8] {
    let line = raw.strip_suffix(b"\n").unwrap_or(raw);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The source of lines.
#[derive(Clone, Debug)]
pub(crate) struct LineOrigin {
    /// Used as the log group.
    pub name: String,
    /// Used as the log stream.
    pub stream: String,
}

impl LineOrigin {
    pub(crate) fn file(path: &Path) -> Self {
        // Another path to the same file gives the same name.
        let name =
            std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
        Self { name, stream: "file".to_owned() }
    }

    pub(crate) fn stdin(now: Timestamp) -> Self {
        Self { name: "stdin".to_owned(), stream: format!("run {}", now.iso()) }
    }
}

/// Lines that were read together.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Empty at the end of the input.
    pub lines: Vec<InputLine>,
    /// The offset of the first line that was longer than [`LINE_BYTES_MAX`].
    pub cut: Option<u64>,
}

/// Reads lines up to about `bytes_max` bytes or [`LINES_MAX`] lines, and advances `offset`.
///
/// # Errors
/// When the first read fails. If a later read fails, the result has the lines before it and what
/// was read of the last line, and the next call fails.
pub(crate) fn read_lines(
    reader: &mut impl BufRead,
    offset: &mut u64,
    bytes_max: u64,
) -> std::io::Result<Lines> {
    let (mut lines, mut cut) = (Vec::new(), None);
    let until = *offset + bytes_max;
    let mut raw = Vec::new();
    let mut failed = false;
    while *offset < until && lines.len() < LINES_MAX && !failed {
        raw.clear();
        let read = reader.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut raw);
        match read {
            Err(error) if raw.is_empty() && lines.is_empty() => return Err(error),
            read => failed = read.is_err(),
        }
        if raw.is_empty() {
            break;
        }
        let mut crc = Crc::new();
        crc.update(without_end(&raw));
        lines.push(InputLine::new(format!("{:016x}{:08x}", *offset, crc.sum()), &raw));
        let begin = *offset;
        *offset += raw.len() as u64;
        if raw.len() == LINE_BYTES_MAX && !raw.ends_with(b"\n") && !failed {
            let (skipped, rest) = skip_line(reader);
            *offset += skipped.bytes;
            failed = rest.is_err();
            if skipped.is_text {
                cut.get_or_insert(begin);
            }
        }
    }
    Ok(Lines { lines, cut })
}

/// The skipped rest of a line.
#[derive(Default)]
struct Skipped {
    bytes: u64,
    /// Whether it is more than the line ending.
    is_text: bool,
}

/// Skips to the end of the line. Returns the skipped part even if reading fails.
fn skip_line(reader: &mut impl BufRead) -> (Skipped, std::io::Result<()>) {
    let mut skipped = Skipped::default();
    loop {
        let buffer = match reader.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) => return (skipped, Err(error)),
        };
        let end = buffer.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let length = end.unwrap_or(buffer.len());
        skipped.is_text |= !without_end(&buffer[..length]).is_empty();
        reader.consume(length);
        skipped.bytes += length as u64;
        if end.is_some() || length == 0 {
            return (skipped, Ok(()));
        }
    }
}

/// Lines as a batch of records. `now` is the time of lines without a time.
pub(crate) fn batch<'a>(
    lines: &'a [InputLine],
    origin: &'a LineOrigin,
    now: Timestamp,
) -> Batch<'a> {
    let event = |line: &'a InputLine| LogEvent {
        id: Cow::Borrowed(line.id.as_str()),
        timestamp: line_time::of_line(&line.text, now).unwrap_or(now).as_millis(),
        message: Cow::Borrowed(line.text.as_str()),
        account: None,
        region: None,
    };
    let record = |lines: &'a [InputLine]| {
        let logs = LogBatch {
            owner: Cow::Borrowed("local"),
            log_group: Cow::Borrowed(origin.name.as_str()),
            log_stream: Cow::Borrowed(origin.stream.as_str()),
            events: lines.iter().map(event).collect(),
        };
        let first = lines.first().map_or("", |line| line.id.as_str());
        Record::named(format!("{}@{first}", origin.name), Data::Message(Message::Data(logs)))
    };
    Batch { records: lines.chunks(RECORD_LINES).map(record).collect(), ..Batch::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_identified_by_offset_and_content() {
        let read = |text: &str| -> Vec<String> {
            let lines = read_lines(&mut text.as_bytes(), &mut 0, u64::MAX / 2).expect("in memory");
            lines.lines.into_iter().map(|line| line.id).collect()
        };
        let ids = read("a\na\r\nb");
        assert_eq!(ids.len(), 3);
        assert_ne!(ids[0], ids[1], "the same text at another offset is another line");
        assert_eq!(
            read("a\na\r\nb\nmore"),
            [ids.clone(), vec![read("a\na\r\nb\nmore")[3].clone()]].concat(),
            "a file that grew"
        );
        assert_ne!(read("c\na\nb")[0], ids[0], "a file that was rotated");
    }

    #[test]
    fn reading_stops_at_the_size_and_continues_from_there() {
        let mut reader = "one\ntwo\nthree\n".as_bytes();
        let mut offset = 0;
        let sizes: Vec<usize> = (0..4)
            .map(|_| read_lines(&mut reader, &mut offset, 5).expect("in memory").lines.len())
            .collect();
        assert_eq!((sizes, offset), (vec![2, 1, 0, 0], 14));
    }
}
