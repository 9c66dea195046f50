//! The buffer that a record decodes into: how large it has to be, and how it grows.

/// The most that deflate expands: 258 bytes for two bits.
const DEFLATE_RATIO_MAX: usize = 1032;

/// Empties `text` and gives it that capacity at least. What it held is let go first: growing would copy it.
pub(super) fn make_room(text: &mut Vec<u8>, bytes: usize) {
    text.clear();
    if text.capacity() < bytes {
        *text = Vec::new();
        text.reserve_exact(bytes);
    }
}

/// The trailer's size field, believed only as far as deflate can expand and the limit allows.
pub(super) fn size_hint(gzip: &[u8], decoded_bytes_max: u64) -> usize {
    let claimed = gzip.last_chunk::<4>().map_or(0, |isize| u32::from_le_bytes(*isize) as usize);
    let possible = gzip.len().saturating_mul(DEFLATE_RATIO_MAX);
    claimed.min(possible).min(usize::try_from(decoded_bytes_max).unwrap_or(usize::MAX))
}
