//! Dead letters in a file: the file that `stentor run` writes, with one JSON object per line, or
//! the single object that an S3 on-failure destination writes.
//!
//! The file is never changed. The receipts of resolved dead letters are appended to
//! `<file>.replayed`, so that a second replay of the same file sends nothing again, and only what
//! was added since.
//!
//! The file is read line by line, as dead letters are received. Neither a long file nor a long line
//! fills the memory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use flate2::Crc;
use serde_json::value::RawValue;

use crate::adapters::local::append_lines;
use crate::ops::replay::recognize::BODY_BYTES_MAX;
use crate::ops::replay::{DeadLetterSource, Receipt, ReceivedMessage, SourceError};
use crate::protocol::clock::Deadline;

/// The most bytes of a line that are skipped when it is too long for a dead letter. A longer line
/// means that this is no such file but a device, or sparse.
const SKIPPED_BYTES_MAX: u64 = 1 << 30;

/// A file of dead letters.
#[derive(Debug)]
pub struct FileDeadLetterSource {
    path: PathBuf,
    /// The receipts of the dead letters that were resolved before the file was opened.
    replayed: BTreeSet<String>,
    lines: Mutex<Lines>,
}

/// The dead letters of a file, in order.
struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    /// The object, if the file is one object on several lines.
    whole: Option<Vec<u8>>,
    /// The number of lines that were read.
    line: usize,
}

impl FileDeadLetterSource {
    /// # Errors
    /// When the file, or its `.replayed` file, cannot be read.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let lines = Lines::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path: path.to_owned(), replayed: replayed(path)?, lines: Mutex::new(lines) })
    }

    /// Like [`FileDeadLetterSource::open`], but an absent file has no dead letters: it is created
    /// when the first message is parked.
    ///
    /// # Errors
    /// As [`FileDeadLetterSource::open`].
    pub fn open_if_exists(path: &Path) -> anyhow::Result<Self> {
        match path.try_exists() {
            Ok(false) => {
                let lines = Lines::new(path, Box::new(io::empty()));
                Ok(Self {
                    path: path.to_owned(),
                    replayed: BTreeSet::new(),
                    lines: Mutex::new(lines),
                })
            }
            _ => Self::open(path),
        }
    }

    /// The number of unresolved dead letters. Zero for a pipe, which can be read only once.
    ///
    /// # Errors
    /// When the file, or its `.replayed` file, cannot be read.
    pub fn count(&self) -> Result<u64, SourceError> {
        if !self.path.is_file() {
            return Ok(0);
        }
        let replayed =
            replayed(&self.path).map_err(|error| SourceError::Refused(format!("{error:#}")))?;
        let mut lines =
            Lines::open(&self.path).map_err(|error| source_error(&self.path, &error))?;
        let mut count = 0;
        while let Some(dead_letter) =
            lines.next().map_err(|error| source_error(&self.path, &error))?
        {
            count += u64::from(!replayed.contains(&dead_letter.receipt.receipt));
        }
        Ok(count)
    }

    fn append_receipts(&self, receipts: &[Receipt]) -> io::Result<()> {
        let lines: String =
            receipts.iter().map(|receipt| format!("{}\n", receipt.receipt)).collect();
        append_lines(&replayed_path(&self.path), lines.as_bytes())
    }
}

impl DeadLetterSource for FileDeadLetterSource {
    async fn receive(
        &self,
        max: usize,
        _deadline: Deadline,
    ) -> Result<Vec<ReceivedMessage>, SourceError> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut dead_letters, mut bytes) = (Vec::new(), 0);
        while dead_letters.len() < max && bytes < BODY_BYTES_MAX {
            match lines.next() {
                Ok(Some(dead_letter)) if self.replayed.contains(&dead_letter.receipt.receipt) => {}
                Ok(Some(dead_letter)) => {
                    bytes += dead_letter.body.len();
                    dead_letters.push(dead_letter);
                }
                Ok(None) => break,
                Err(error) => return Err(source_error(&self.path, &error)),
            }
        }
        Ok(dead_letters)
    }

    async fn delete(
        &self,
        receipts: &[Receipt],
        _deadline: Deadline,
    ) -> Vec<Result<(), SourceError>> {
        let appended = self.append_receipts(receipts);
        let appended = appended.map_err(|error| source_error(&replayed_path(&self.path), &error));
        vec![appended; receipts.len()]
    }

    /// Does nothing: a file has no other readers.
    async fn hide(&self, _tickets: &[Receipt], _hidden_for: Duration, _deadline: Deadline) {}
}

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
        let mut head = Vec::new();
        if begins_object(&mut file, &mut head)? {
            file.by_ref().take(limit(head.len())).read_to_end(&mut head)?;
            if head.len() <= BODY_BYTES_MAX && is_json(&head) {
                return Ok(Self { whole: Some(head), ..Self::new(path, Box::new(io::empty())) });
            }
        }
        Ok(Self::new(path, Box::new(Cursor::new(head).chain(file))))
    }

    fn new(path: &Path, reader: Box<dyn BufRead + Send>) -> Self {
        Self { path: path.to_owned(), reader, whole: None, line: 0 }
    }

    /// The next dead letter. A line that is too long is cut after [`BODY_BYTES_MAX`], so that the
    /// replay can tell.
    fn next(&mut self) -> io::Result<Option<ReceivedMessage>> {
        if let Some(whole) = self.whole.take() {
            return Ok(Some(self.dead_letter(1, whole)));
        }
        loop {
            let mut line = Vec::new();
            if self.reader.by_ref().take(limit(0)).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if line.len() > BODY_BYTES_MAX && !line.ends_with(b"\n") {
                self.skip_rest()?;
            }
            let dead_letter = self.dead_letter(self.line, line);
            if !dead_letter.body.is_empty() {
                return Ok(Some(dead_letter));
            }
        }
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        if self.reader.by_ref().take(SKIPPED_BYTES_MAX).skip_until(b'\n')? as u64
            >= SKIPPED_BYTES_MAX
        {
            let why = format!(
                "line {} is longer than 1 GiB: this is not a file of dead letters",
                self.line
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(())
    }

    /// A receipt consists of the line and a hash of the content, because a file may be replaced.
    fn dead_letter(&self, line: usize, bytes: Vec<u8>) -> ReceivedMessage {
        let lossy =
            |bad: std::string::FromUtf8Error| String::from_utf8_lossy(bad.as_bytes()).into_owned();
        let mut body = String::from_utf8(bytes).unwrap_or_else(lossy);
        body.truncate(body.trim_end().len());
        body.drain(..body.len() - body.trim_start().len());
        let mut crc = Crc::new();
        crc.update(body.as_bytes());
        let receipt = Receipt {
            id: format!("{}:{line}", self.path.display()),
            receipt: format!("{line:08}-{:08x}", crc.sum()),
        };
        ReceivedMessage { receipt, body, sent_at: None }
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines")
            .field("path", &self.path)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

/// Reads the first line that is not blank. Returns whether it begins an object on several lines.
fn begins_object(file: &mut impl BufRead, head: &mut Vec<u8>) -> io::Result<bool> {
    let mut limited = file.take(limit(0));
    let mut begin = 0;
    while limited.read_until(b'\n', head)? > 0 && head[begin..].trim_ascii().is_empty() {
        begin = head.len();
    }
    let first = head[begin..].trim_ascii();
    Ok(first.starts_with(b"{") && !is_json(first))
}

fn source_error(path: &Path, error: &io::Error) -> SourceError {
    SourceError::Refused(format!("{}: {error}", path.display()))
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(bytes).is_ok()
}

/// The most bytes to read after so many: enough to see that the text is too long for a dead letter.
fn limit(read: usize) -> u64 {
    (BODY_BYTES_MAX as u64 + 1).saturating_sub(read as u64)
}

fn replayed_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".replayed");
    name.into()
}

fn replayed(path: &Path) -> anyhow::Result<BTreeSet<String>> {
    let path = replayed_path(path);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The dead letters of a file with this text.
    fn dead_letters(name: &str, text: impl AsRef<[u8]>) -> Vec<ReceivedMessage> {
        let file = std::env::temp_dir()
            .join(format!("stentor-dead-letters-{}-{name}", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let mut lines = Lines::open(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn a_file_is_one_object_or_one_on_each_line() {
        let check = |text: &str, bodies: &[&str]| {
            let found = dead_letters("shapes", text);
            assert_eq!(
                found.iter().map(|dead_letter| dead_letter.body.as_str()).collect::<Vec<_>>(),
                bodies,
                "{text}"
            );
        };
        check("", &[]);
        check("\n \n", &[]);
        check("{\n  \"a\": 1\n}\n", &["{\n  \"a\": 1\n}"]);
        check("\n\n{\n  \"a\": 1\n}\n", &["{\n  \"a\": 1\n}"]);
        check("{\"a\":1}\n\n{\"b\":2}\r\nbroken", &["{\"a\":1}", "{\"b\":2}", "broken"]);
        check("{\"a\":\n{\"b\":2}\n", &["{\"a\":", "{\"b\":2}"]);
        check("\n {\"a\":1} \n", &["{\"a\":1}"]);
        let found = dead_letters("receipts", "{\"a\":1}\n{\"a\":1}\n\nx");
        let receipts: Vec<&str> =
            found.iter().map(|dead_letter| dead_letter.receipt.receipt.as_str()).collect();
        assert_eq!(
            receipts,
            ["00000001-561bacaf", "00000002-561bacaf", "00000004-8cdc1683"],
            "each line is a dead letter"
        );
        assert!(found[2].receipt.id.ends_with("-receipts:4"), "{}", found[2].receipt.id);
    }

    #[test]
    fn a_line_that_is_too_long_is_one_dead_letter_and_the_next_line_another() {
        let long = |bytes: usize| [&vec![b'x'; bytes][..], b"\n{}\n"].concat();
        for (bytes, kept) in [
            (BODY_BYTES_MAX - 1, BODY_BYTES_MAX - 1),
            (BODY_BYTES_MAX, BODY_BYTES_MAX),
            (BODY_BYTES_MAX + 1, BODY_BYTES_MAX + 1),
            (BODY_BYTES_MAX + 7, BODY_BYTES_MAX + 1),
        ] {
            let lengths: Vec<usize> = dead_letters("long", long(bytes))
                .iter()
                .map(|dead_letter| dead_letter.body.len())
                .collect();
            assert_eq!(lengths, [kept, 2], "{bytes}");
        }
    }
}
