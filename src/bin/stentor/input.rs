//! The inputs of `run`: Lambda events, subscription messages and log lines in files, pipes and
//! standard input, as plain text, gzip, zstd or UTF-16. Bytes that are read to recognize an input are
//! still part of it.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use flate2::bufread::MultiGzDecoder;
use thiserror::Error;

use stentor::ingest::event::{self, Batch, Context, EventError};

use encoding::{Encoding, Utf16};
pub(crate) use kind::InputKind;
use lines::LINE_BYTES_MAX;
use zstd::Zstd;

pub(crate) mod blocks;
mod encoding;
mod kind;
pub(crate) mod lines;
pub(crate) mod messages;
pub(crate) mod stream;
mod zstd;

/// The largest decoded event. Lambda's own limit is 6 MB.
pub(crate) const EVENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// One argument, before it is read.
#[derive(Debug)]
pub(crate) enum InputSource {
    /// A regular file. Its lines have a position in it, so a second run finds them again.
    File(PathBuf),
    /// A pipe or a device, whose lines are read as they arrive.
    Stream(PathBuf),
    Stdin,
}

/// Why an input is not read, or not to its end.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct Refusal(pub String);

/// How much is read ahead to recognize an input.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// A full head. For files.
    Head,
    /// As much as has arrived, if that is enough. For streams, which may pause after their first
    /// line.
    Available,
}

/// A decoded input: UTF-8, except for invalid bytes.
pub(crate) struct Input {
    pub kind: InputKind,
    pub text: Box<dyn Read + Send>,
    /// Bytes of the file before the first of `text`.
    pub offset: u64,
    /// Bytes of the file that were read so far.
    pub bytes_read: Arc<AtomicU64>,
}

pub(crate) const STDIN: &str = "standard input";

/// The size of a head, by which an input is recognized.
const HEAD_BYTES: usize = 64 * 1024;

/// How often an input may be compressed.
const PACKED_MAX: usize = 2;

impl InputSource {
    /// # Errors
    /// When there is no such file, or it cannot be read.
    pub(crate) fn of(argument: &Path) -> anyhow::Result<Self> {
        if argument.as_os_str() == "-" {
            return Ok(Self::Stdin);
        }
        let named = || format!("cannot read {}", argument.display());
        let metadata = std::fs::metadata(argument).with_context(named)?;
        if metadata.is_dir() {
            bail!("{} is a directory: name the files in it", argument.display());
        }
        if !metadata.is_file() {
            // Opened once, when its turn comes: the bytes of a pipe can be read only once.
            return Ok(Self::Stream(argument.to_owned()));
        }
        File::open(argument).with_context(named)?;
        Ok(Self::File(argument.to_owned()))
    }

    /// The name in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) | Self::Stream(path) => path.display().to_string(),
            Self::Stdin => STDIN.to_owned(),
        }
    }

    /// Bytes to read. Zero for a stream.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::File(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
            Self::Stream(_) | Self::Stdin => 0,
        }
    }
}

impl Input {
    /// Opens a regular file.
    ///
    /// # Errors
    /// When it cannot be read, or is not text.
    pub(crate) fn open(path: &Path) -> Result<Self, Refusal> {
        Self::read(File::open(path)?, Some(path), Amount::Head)
    }

    /// Decodes `raw`, and recognizes its content.
    ///
    /// # Errors
    /// When it cannot be read, or is not text.
    pub(crate) fn read(
        raw: impl Read + Send + 'static,
        path: Option<&Path>,
        amount: Amount,
    ) -> Result<Self, Refusal> {
        let bytes_read = Arc::new(AtomicU64::new(0));
        let raw = Failing::new(Counted { raw, bytes: Arc::clone(&bytes_read) }, error_text);
        let (mut head, mut text) = peek(Box::new(raw), amount)?;
        let mut encoding = Encoding::of(&head).map_err(refused)?;
        // Firehose may compress what is compressed already.
        for _ in 0..PACKED_MAX {
            let unpacked: Box<dyn Read + Send> = match encoding {
                Encoding::Gzip => {
                    Box::new(Failing::new(MultiGzDecoder::new(buffered(text)), gzip_error_text))
                }
                Encoding::Zstd => {
                    Box::new(Failing::new(Zstd::new(buffered(text)), zstd_error_text))
                }
                Encoding::Utf8 | Encoding::Utf8WithMark | Encoding::Utf16 { .. } => break,
            };
            (head, text) = peek(unpacked, amount)?;
            encoding = Encoding::of(&head).map_err(refused)?;
        }
        let mut offset = 0;
        match encoding {
            Encoding::Utf8 => {}
            Encoding::Utf8WithMark => {
                let mut mark = [0; encoding::UTF8_MARK.len()];
                text.read_exact(&mut mark)?;
                offset = mark.len() as u64;
                head.drain(..mark.len());
            }
            Encoding::Utf16 { big_endian } => {
                (head, text) = peek(Box::new(Utf16::new(text, big_endian)), amount)?;
            }
            Encoding::Gzip | Encoding::Zstd => {
                return Err(refused("it is compressed three times: unpack it once"));
            }
        }
        let kind = InputKind::of(&head, path, amount);
        Ok(Self { kind, text, offset, bytes_read })
    }
}

fn buffered<R: Read>(input: R) -> BufReader<R> {
    BufReader::with_capacity(HEAD_BYTES, input)
}

fn refused(what: impl Into<String>) -> Refusal {
    Refusal(what.into())
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// The first bytes of `input`, and an input that still begins with them.
fn peek(
    mut input: Box<dyn Read + Send>,
    amount: Amount,
) -> Result<(Vec<u8>, Box<dyn Read + Send>), Refusal> {
    let mut head = Vec::new();
    let mut buffer = vec![0; HEAD_BYTES];
    while head.len() < HEAD_BYTES && (amount == Amount::Head || !kind::is_enough(&head)) {
        match input.read(&mut buffer[..HEAD_BYTES - head.len()]) {
            Ok(0) => break,
            Ok(length) => head.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if head.is_empty() => return Err(error.into()),
            // The next read fails again.
            Err(_) => break,
        }
    }
    let whole = Cursor::new(head.clone()).chain(input);
    Ok((head, Box::new(whole)))
}

/// The batch of a Lambda event; `None` if the payload is lines of JSON that look like one at first.
///
/// # Errors
/// When it is an event that cannot be read, or neither.
pub(crate) fn parse_event<'p>(
    payload: &'p [u8],
    context: Context<'p>,
) -> Result<Option<Batch<'p>>, Refusal> {
    if payload.len() as u64 > EVENT_BYTES_MAX {
        return Err(Refusal(format!("the event is larger than {} MiB", EVENT_BYTES_MAX >> 20)));
    }
    let text = str::from_utf8(payload)
        .map_err(|error| Refusal(format!("it is not UTF-8 at byte {}", error.valid_up_to())))?;
    let error = match event::parse(text, context) {
        Ok(batch) => return Ok(Some(batch)),
        Err(error) => error,
    };
    if matches!(error, EventError::NotJson { .. } | EventError::Unknown) {
        if let Some(advice) = kind::advice(text) {
            return Err(refused(advice));
        }
        if kind::begins_with_a_log_line(text) {
            return Ok(None);
        }
    }
    Err(refused(error.to_string()))
}

pub(crate) fn line_too_long(line: &str) -> Refusal {
    Refusal(format!(
        "line {line} is longer than {} MiB: the rest of it was not read",
        LINE_BYTES_MAX >> 20
    ))
}

fn error_text(error: &std::io::Error) -> String {
    error.to_string()
}

fn zstd_error_text(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the zstd data ends too early".to_owned(),
        std::io::ErrorKind::InvalidData => "the zstd data is damaged".to_owned(),
        _ => error.to_string(),
    }
}

fn gzip_error_text(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the gzip data ends too early".to_owned(),
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => {
            "the gzip data is damaged".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Counts the bytes of a file.
struct Counted<R> {
    raw: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.raw.read(buffer)?;
        self.bytes.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// Repeats its first error, as a text for the operator: readers use the bytes before it first.
struct Failing<R> {
    input: R,
    words: fn(&std::io::Error) -> String,
    failed: Option<String>,
}

impl<R> Failing<R> {
    fn new(input: R, words: fn(&std::io::Error) -> String) -> Self {
        Self { input, words, failed: None }
    }
}

impl<R: Read> Read for Failing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Some(words) = &self.failed {
            return Err(std::io::Error::other(words.clone()));
        }
        match self.input.read(buffer) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                let words = (self.words)(&error);
                self.failed = Some(words.clone());
                Err(std::io::Error::other(words))
            }
            read => read,
        }
    }
}
