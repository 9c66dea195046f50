//! The size of the buffer that a record is decoded into.

/// The highest ratio of deflate: 258 bytes for two bits.
const DEFLATE_RATIO_MAX: usize = 1032;

/// Empties `text` and gives it at least this capacity. The old buffer is freed first; growing it
/// would copy it.
pub(super) fn make_room(text: &mut Vec<u8>, bytes: usize) {
    text.clear();
    if text.capacity() < bytes {
        *text = Vec::new();
        text.reserve_exact(bytes);
    }
}

/// The size from the trailer, capped by what deflate can expand to and by the limit.
pub(super) fn size_hint(gzip: &[u8], decoded_bytes_max: u64) -> usize {
    let claimed = gzip.last_chunk::<4>().map_or(0, |isize| u32::from_le_bytes(*isize) as usize);
    let possible = gzip.len().saturating_mul(DEFLATE_RATIO_MAX);
    claimed.min(possible).min(usize::try_from(decoded_bytes_max).unwrap_or(usize::MAX))
}
