//! What the arguments of `run` name: Lambda events, plain log files, standard input.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// One argument, looked at but not yet read.
#[derive(Debug)]
pub enum Source {
    /// A file that holds a Lambda event, JSON.
    Event(PathBuf),
    /// A file of log lines.
    Lines(PathBuf),
    Stdin,
}

/// How much of a file is looked at to tell what it is.
const HEAD_BYTES: u64 = 64 * 1024;

impl Source {
    /// # Errors
    /// When there is no such file, or it cannot be read.
    pub fn of(argument: &Path) -> anyhow::Result<Self> {
        if argument.as_os_str() == "-" {
            return Ok(Self::Stdin);
        }
        let named = || format!("cannot read {}", argument.display());
        if std::fs::metadata(argument).with_context(named)?.is_dir() {
            bail!("{} is a directory: name the files in it", argument.display());
        }
        let mut head = Vec::new();
        File::open(argument).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head)).with_context(named)?;
        let is_event = argument.extension().is_some_and(|extension| extension == "json") || looks_like_an_event(&head);
        Ok(if is_event { Self::Event(argument.to_owned()) } else { Self::Lines(argument.to_owned()) })
    }

    /// Bytes to read, as far as they are known.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Event(path) | Self::Lines(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
            Self::Stdin => 0,
        }
    }
}

/// An object whose first keys are an event's. Log lines are often JSON objects too, so the brace alone says nothing.
fn looks_like_an_event(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let Some(inside) = text.trim_start_matches('\u{feff}').trim_start().strip_prefix('{') else { return false };
    ["\"Records\"", "\"awslogs\""].iter().any(|key| inside.trim_start().starts_with(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_from_lines() {
        let cases = [
            (r#"{"Records":[]}"#, true),
            (" \n{ \"awslogs\" : {\"data\":\"\"}}", true),
            (r#"{"level":"info","Records":1}"#, false),
            ("2026-11-23 started", false),
            ("", false),
        ];
        for (head, expected) in cases {
            assert_eq!(looks_like_an_event(head.as_bytes()), expected, "{head}");
        }
    }
}
