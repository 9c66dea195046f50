//! Gzip, whole or not at all: every member, each checksum, the limit, and what stands behind the last
//! member. What a stream that is not whole is called is decided here, by [`portable`] alone.
//!
//! With the feature `libdeflate` (the default) a stream goes through libdeflate first, which needs two
//! thirds of the time. It only ever says "whole" or "not sure", and what it is not sure of the portable
//! decoder reads again and judges. So both backends give the same answers
//! (`both_backends_say_the_same`).

use std::io::Read as _;

use flate2::bufread::GzDecoder;

use super::Poison;
use super::buffer::{make_room, size_hint};

/// Each member begins with these.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Unpacks all of `gzip` into `text`, whose content goes and whose capacity stays.
pub(super) fn inflate(gzip: &[u8], decoded_bytes_max: u64, text: &mut Vec<u8>) -> Result<(), Poison> {
    #[cfg(feature = "libdeflate")]
    if super::libdeflate::inflate(gzip, decoded_bytes_max, text) {
        return Ok(());
    }
    portable(gzip, decoded_bytes_max, text)
}

/// The reference. A decoder that stops after the first member, or that takes a cut stream for a whole
/// one, loses log lines without a word; hence one member at a time.
pub(super) fn portable(mut gzip: &[u8], decoded_bytes_max: u64, text: &mut Vec<u8>) -> Result<(), Poison> {
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

/// Reads a member to its end, or until `text` has one byte too many: that tells "exactly full" from
/// "too large". (`read_to_end` would double the buffer at the limit for the sake of that byte.)
fn read_within(member: &mut GzDecoder<&[u8]>, decoded_bytes_max: u64, text: &mut Vec<u8>) -> std::io::Result<()> {
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
        // The decoder's texts are fixed sentences ("corrupt gzip stream does not have a matching checksum").
        _ => Poison::CorruptGzip(error.to_string()),
    }
}

fn resembles(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "the record is empty",
        [b'{' | b'[', ..] => "it looks like uncompressed JSON",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "it looks like zstd",
        // RFC 1950: compression method 8, and the first two bytes are a multiple of 31.
        [first, second, ..] if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0 => {
            "it looks like zlib"
        }
        _ => "the magic bytes 1f 8b are missing",
    }
}
