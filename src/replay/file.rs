//! Letters in a file: the file of parked messages that `stentor run` writes, one JSON object a line, or the
//! single object that an S3 on-failure destination wrote.
//!
//! The file itself is never changed. What is settled is noted beside it, in `<file>.replayed`, so that a
//! second replay of the same file sends nothing again; a file that has grown meanwhile has just what is new.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;
use flate2::Crc;
use serde_json::value::RawValue;

use super::letter::{Letter, Ticket};
use super::{Letters, SourceError};
use crate::clock::Timestamp;

/// A file of letters.
#[derive(Debug)]
pub struct FileLetters {
    path: PathBuf,
    /// What is left to hand out, the next last.
    letters: Mutex<Vec<Letter>>,
    /// How many there are to hand out in all.
    all: u64,
}

impl FileLetters {
    /// # Errors
    /// When the file, or the notes beside it, cannot be read.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("cannot read {}", path.display());
        let bytes = std::fs::read(path).with_context(named)?;
        let replayed = replayed(path)?;
        let mut letters = letters(path, &String::from_utf8_lossy(&bytes));
        letters.retain(|letter| !replayed.contains(&letter.ticket.receipt));
        letters.reverse();
        let all = letters.len() as u64;
        Ok(Self { path: path.to_owned(), letters: Mutex::new(letters), all })
    }

    /// Letters that no replay has settled yet.
    pub fn count(&self) -> u64 {
        self.all
    }

    fn note(&self, tickets: &[Ticket]) -> std::io::Result<()> {
        let lines: String = tickets.iter().map(|ticket| format!("{}\n", ticket.receipt)).collect();
        let mut file: File = OpenOptions::new().create(true).append(true).open(notes(&self.path))?;
        file.write_all(lines.as_bytes())?;
        file.sync_data()
    }
}

impl Letters for FileLetters {
    async fn receive(&self, max: usize, _deadline: Timestamp) -> Result<Vec<Letter>, SourceError> {
        let mut letters = self.letters.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let left = letters.len().saturating_sub(max);
        Ok(letters.drain(left..).rev().collect())
    }

    async fn delete(&self, tickets: &[Ticket], _deadline: Timestamp) -> Vec<Result<(), SourceError>> {
        let noted = self.note(tickets);
        let noted = noted.map_err(|error| SourceError(format!("{}: {error}", notes(&self.path).display())));
        vec![noted; tickets.len()]
    }

    /// Nobody else reads along.
    async fn hide(&self, _tickets: &[Ticket], _hidden_for: Duration, _deadline: Timestamp) {}
}

/// One object, however it is laid out, or one on each line. A letter is known by its line and its content: a file
/// that was replaced has other letters.
fn letters(path: &Path, text: &str) -> Vec<Letter> {
    let letter = |line: usize, body: &str| {
        let mut crc = Crc::new();
        crc.update(body.as_bytes());
        let ticket = Ticket {
            id: format!("{}:{}", path.display(), line + 1),
            receipt: format!("{:08}-{:08x}", line + 1, crc.sum()),
        };
        Letter { ticket, body: body.to_owned(), sent_at: None }
    };
    if serde_json::from_str::<&RawValue>(text).is_ok() {
        return vec![letter(0, text.trim())];
    }
    let lines = text.lines().map(str::trim).enumerate();
    lines.filter(|(_, line)| !line.is_empty()).map(|(n, line)| letter(n, line)).collect()
}

fn notes(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".replayed");
    name.into()
}

fn replayed(path: &Path) -> anyhow::Result<BTreeSet<String>> {
    let path = notes(path);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_object_or_one_on_each_line() {
        let check = |text: &str, bodies: &[&str]| {
            let found = letters(Path::new("f"), text);
            assert_eq!(found.iter().map(|letter| letter.body.as_str()).collect::<Vec<_>>(), bodies, "{text}");
        };
        check("", &[]);
        check("{\n  \"a\": 1\n}\n", &["{\n  \"a\": 1\n}"]);
        check("{\"a\":1}\n\n{\"b\":2}\r\nbroken", &["{\"a\":1}", "{\"b\":2}", "broken"]);
        let ids = letters(Path::new("f"), "{\"a\":1}\n{\"a\":1}");
        assert_ne!(ids[0].ticket.receipt, ids[1].ticket.receipt, "the same line twice is two letters");
    }
}
