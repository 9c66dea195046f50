//! A safe function for libdeflate. libdeflate decodes a whole stream from memory to memory. That
//! makes it faster than a decoder that can stop in between, and means that the output size has to
//! be known beforehand.
//!
//! Left to `gzip`: the reason why a stream cannot be decoded.

#![expect(unsafe_code, reason = "calls a C library")]

use std::ptr::NonNull;

use libdeflate_sys::{
    libdeflate_alloc_decompressor, libdeflate_decompressor, libdeflate_free_decompressor,
    libdeflate_gzip_decompress_ex,
    libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE as INSUFFICIENT_SPACE,
    libdeflate_result_LIBDEFLATE_SUCCESS as SUCCESS,
};

use super::buffer::{make_room, size_hint};

/// The fast loop of libdeflate ends this many bytes before the end of the output (258 bytes for a
/// match, and some).
const SLACK: usize = 512;

/// Flags in the fourth byte of a member's header that libdeflate does not check: a checksum of the
/// header itself, and reserved bits.
const FLAGS_UNCHECKED: u8 = 0b1110_0010;

/// The working memory of libdeflate.
struct Decompressor(NonNull<libdeflate_decompressor>);

thread_local! {
    static DECOMPRESSOR: Option<Decompressor> = Decompressor::new();
}

/// Decodes every member of `gzip` into `text`. `false`: the stream is incomplete, too large, or has
/// header flags that libdeflate does not check.
pub(super) fn inflate(gzip: &[u8], decoded_bytes_max: u64, text: &mut Vec<u8>) -> bool {
    let limit = usize::try_from(decoded_bytes_max).unwrap_or(usize::MAX);
    make_room(text, size_hint(gzip, decoded_bytes_max).saturating_add(SLACK));
    DECOMPRESSOR.with(|decompressor| {
        decompressor.as_ref().is_some_and(|decompressor| decompressor.members(gzip, limit, text))
    })
}

impl Decompressor {
    fn new() -> Option<Self> {
        // SAFETY: it has no arguments, and returns null or a decompressor that only we own.
        NonNull::new(unsafe { libdeflate_alloc_decompressor() }).map(Self)
    }

    fn members(&self, mut gzip: &[u8], limit: usize, text: &mut Vec<u8>) -> bool {
        while gzip.get(3).is_some_and(|flags| flags & FLAGS_UNCHECKED == 0) {
            let room = limit - text.len();
            match self.member(gzip, room, text) {
                (SUCCESS, used) if used == gzip.len() => return true,
                (SUCCESS, used) => gzip = &gzip[used..],
                // The size was that of another member, or wrong.
                (INSUFFICIENT_SPACE, _) if text.capacity() - text.len() < room => grow(text, limit),
                _ => return false,
            }
        }
        false
    }

    /// Appends one member to `text`, at most `room` bytes and within its capacity. Returns the
    /// result of libdeflate and, after success, how many bytes of `gzip` the member has.
    fn member(&self, gzip: &[u8], room: usize, text: &mut Vec<u8>) -> (u32, usize) {
        let spare = text.spare_capacity_mut();
        let room = room.min(spare.len());
        let (mut used, mut written) = (0, 0);
        // SAFETY: the decompressor lives as long as `self` and is used by one thread only, since
        // `NonNull` keeps it from being shared. Input and output are slices of the lengths given,
        // which libdeflate neither exceeds nor keeps; it only writes to the output, which may
        // therefore be uninitialized. Both counts are out-parameters on our stack.
        let result = unsafe {
            libdeflate_gzip_decompress_ex(
                self.0.as_ptr(),
                gzip.as_ptr().cast(),
                gzip.len(),
                spare.as_mut_ptr().cast(),
                room,
                &raw mut used,
                &raw mut written,
            )
        };
        if result != SUCCESS {
            return (result, 0);
        }
        assert!(
            written <= room && used <= gzip.len(),
            "invariant: libdeflate stays within its room"
        );
        // SAFETY: it succeeded, so the first `written` bytes of the spare capacity are initialized.
        unsafe { text.set_len(text.len() + written) };
        (result, used)
    }
}

/// Doubles the capacity, up to the limit and some slack.
fn grow(text: &mut Vec<u8>, limit: usize) {
    let capacity =
        text.capacity().saturating_mul(2).max(64 * 1024).min(limit.saturating_add(SLACK));
    text.reserve_exact(capacity - text.len());
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: allocated by `new`, and freed only here.
        unsafe { libdeflate_free_decompressor(self.0.as_ptr()) }
    }
}
