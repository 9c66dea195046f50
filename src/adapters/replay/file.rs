//! Dead letters in a file: the file that `stentor run` writes, with one JSON object per line, or
//! the single object that an S3 on-failure destination writes.
//!
//! The file is never changed. The receipts of resolved dead letters are appended to a second file,
//! which belongs to the destination of the replay: a second replay into the same destination sends
//! only what was added since, and a replay into another destination sends everything. A receipt is
//! a hash of the content, so a copy of the file has the same dead letters.
//!
//! Discarded dead letters are listed in a third file, `FILE.discarded`, for every destination. A copy
//! of the file, and their export, have no such list.
//!
//! The file is read line by line, as dead letters are received. Neither a long file nor a long line
//! fills the memory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::value::RawValue;

use crate::adapters::content_hash::ContentHash;
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
    /// The file with the receipts of the dead letters that were resolved.
    receipts: PathBuf,
    /// The file with the receipts of the dead letters that were discarded.
    discards: PathBuf,
    /// The receipts of both when the source was opened.
    replayed: BTreeSet<ContentHash>,
    /// Dead letters that were not returned because the destination has them.
    already_replayed: AtomicU64,
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
    /// `receipts` is the file of the destination that lists what was replayed into it. It is
    /// created with the first receipt.
    ///
    /// # Errors
    /// When one of the files cannot be read.
    pub fn open(path: &Path, receipts: PathBuf) -> anyhow::Result<Self> {
        let lines = Lines::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::new(path, receipts, lines)
    }

    /// Like [`FileDeadLetterSource::open`], but an absent file has no dead letters: it is created
    /// when the first message is parked.
    ///
    /// # Errors
    /// As [`FileDeadLetterSource::open`].
    pub fn open_if_exists(path: &Path, receipts: PathBuf) -> anyhow::Result<Self> {
        match path.try_exists() {
            Ok(false) => Self::new(path, receipts, Lines::new(path, Box::new(io::empty()))),
            _ => Self::open(path, receipts),
        }
    }

    fn new(path: &Path, receipts: PathBuf, lines: Lines) -> anyhow::Result<Self> {
        let mut discards = path.as_os_str().to_owned();
        discards.push(".discarded");
        let discards = PathBuf::from(discards);
        let mut replayed = BTreeSet::new();
        for list in [&receipts, &discards] {
            let listed =
                read_receipts(list).with_context(|| format!("cannot read {}", list.display()))?;
            replayed.extend(listed);
        }
        let (path, already_replayed) = (path.to_owned(), AtomicU64::new(0));
        Ok(Self { path, receipts, discards, replayed, already_replayed, lines: Mutex::new(lines) })
    }

    /// The same source, whose dead letters are discarded when they are deleted.
    #[must_use]
    pub fn discarding(self) -> Self {
        Self { receipts: self.discards.clone(), ..self }
    }

    /// The number of unresolved dead letters. Zero for a pipe, which can be read only once.
    ///
    /// # Errors
    /// When one of the files cannot be read.
    pub fn count(&self) -> Result<u64, SourceError> {
        if !self.path.is_file() {
            return Ok(0);
        }
        let listed = |list| read_receipts(list).map_err(|error| source_error(list, &error));
        let (replayed, discarded) = (listed(&self.receipts)?, listed(&self.discards)?);
        let unreadable = |error| source_error(&self.path, &error);
        let mut lines = Lines::open(&self.path).map_err(unreadable)?;
        let mut count = 0;
        while let Some(dead_letter) = lines.next().map_err(unreadable)? {
            let receipt = ContentHash::of(&[&dead_letter.body]);
            count += u64::from(!replayed.contains(&receipt) && !discarded.contains(&receipt));
        }
        Ok(count)
    }

    /// The number of dead letters that were skipped so far because they were replayed into this
    /// destination before, or discarded.
    pub fn already_replayed(&self) -> u64 {
        self.already_replayed.load(Ordering::Relaxed)
    }

    fn append_receipts(&self, receipts: &[Receipt]) -> io::Result<()> {
        let lines: String =
            receipts.iter().map(|receipt| format!("{}\n", receipt.receipt)).collect();
        append_lines(&self.receipts, lines.as_bytes())
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
                Ok(Some(dead_letter))
                    if self.replayed.contains(&ContentHash::of(&[&dead_letter.body])) =>
                {
                    self.already_replayed.fetch_add(1, Ordering::Relaxed);
                }
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
        let appended = appended.map_err(|error| source_error(&self.receipts, &error));
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

    fn dead_letter(&self, line: usize, bytes: Vec<u8>) -> ReceivedMessage {
        let lossy =
            |bad: std::string::FromUtf8Error| String::from_utf8_lossy(bad.as_bytes()).into_owned();
        let mut body = String::from_utf8(bytes).unwrap_or_else(lossy);
        body.truncate(body.trim_end().len());
        body.drain(..body.len() - body.trim_start().len());
        let receipt = Receipt {
            id: format!("{}:{line}", self.path.display()),
            receipt: ContentHash::of(&[&body]).to_string(),
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

/// The receipts of a file with one on each line. A crash may have cut a line off.
fn read_receipts(path: &Path) -> io::Result<BTreeSet<ContentHash>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(ContentHash::parse).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
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
        let found = dead_letters("receipts", "{\"a\":1}\n {\"a\":1}\n\nx");
        let receipts: Vec<&str> =
            found.iter().map(|dead_letter| dead_letter.receipt.receipt.as_str()).collect();
        assert!(receipts[0] == receipts[1] && receipts[0] != receipts[2], "{receipts:?}");
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
