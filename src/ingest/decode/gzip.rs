//! Decodes gzip streams, entirely or not at all: every member, each checksum, the size limit, and
//! nothing after the last member. [`portable`] alone decides why a stream cannot be decoded.
//!
//! With the feature `libdeflate` (the default) libdeflate tries first, in two thirds of the time.
//! The portable decoder decodes again all that libdeflate does not. So both backends give the same
//! answers (`both_gzip_backends_give_the_same_answers`).

use std::io::Read as _;

use flate2::bufread::GzDecoder;

use super::Poison;
use super::buffer::{make_room, size_hint};

/// Each member begins with these.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Decodes all of `gzip` into `text`, replacing its content and reusing its capacity.
pub(super) fn inflate(
    gzip: &[u8],
    decoded_bytes_max: u64,
    text: &mut Vec<u8>,
) -> Result<(), Poison> {
    #[cfg(feature = "libdeflate")]
    if super::libdeflate::inflate(gzip, decoded_bytes_max, text) {
        return Ok(());
    }
    portable(gzip, decoded_bytes_max, text)
}

/// The reference. It decodes one member at a time: a decoder that stops after the first member, or
/// accepts a truncated stream, would silently lose log lines.
pub(super) fn portable(
    mut gzip: &[u8],
    decoded_bytes_max: u64,
    text: &mut Vec<u8>,
) -> Result<(), Poison> {
    if !gzip.starts_with(&MAGIC) {
        return Err(Poison::NotGzip(resembles(gzip)));
    }
    make_room(text, size_hint(gzip, decoded_bytes_max));
    while !gzip.is_empty() {
        if !text.is_empty() && !gzip.starts_with(&MAGIC) {
            return Err(Poison::TrailingBytes { bytes: gzip.len() });
        }
        let mut member = GzDecoder::new(gzip);
        let read = read_within(&mut member, decoded_bytes_max, text);
        if text.len() as u64 > decoded_bytes_max {
            return Err(Poison::TooLarge { decoded_bytes_max });
        }
        read.map_err(|error| bad_gzip(&error, text.len()))?;
        gzip = member.into_inner();
    }
    Ok(())
}

/// Reads a member to its end, or until `text` has one byte more than the limit. That byte tells
/// "exactly full" from "too large". (`read_to_end` would double the buffer for it.)
fn read_within(
    member: &mut GzDecoder<&[u8]>,
    decoded_bytes_max: u64,
    text: &mut Vec<u8>,
) -> std::io::Result<()> {
    const STEP: usize = 32 * 1024;
    let most = usize::try_from(decoded_bytes_max).unwrap_or(usize::MAX).saturating_add(1);
    while text.len() < most {
        let (from, step) = (text.len(), STEP.max(text.len()).min(most - text.len()));
        if text.capacity() - from < step.min(STEP) {
            text.reserve_exact(step);
        }
        text.resize(from + step.min(text.capacity() - from), 0);
        let read = member.read(&mut text[from..]);
        text.truncate(from + *read.as_ref().unwrap_or(&0));
        if read? == 0 {
            break;
        }
    }
    Ok(())
}

fn bad_gzip(error: &std::io::Error, decoded_bytes: usize) -> Poison {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Poison::TruncatedGzip { decoded_bytes },
        // The texts of the decoder are constant, such as "corrupt gzip stream does not have a
        // matching checksum".
        _ => Poison::CorruptGzip(error.to_string()),
    }
}

fn resembles(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "the record is empty",
        [b'{' | b'[', ..] => "it looks like uncompressed JSON",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "it looks like zstd",
        // RFC 1950: compression method 8, and the first two bytes are a multiple of 31.
        [first, second, ..]
            if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0 =>
        {
            "it looks like zlib"
        }
        _ => "the magic bytes 1f 8b are missing",
    }
}
