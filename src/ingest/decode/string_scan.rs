//! Finds the closing quote of a JSON string, and on the way the offsets at which a marker may
//! begin: the first bytes of markers, and the `u` of `\u`. Other escapes are skipped; logs in JSON
//! are full of them (`\"`).
//!
//! The text is read in blocks of 64 bytes, with one bit of a `u64` for each byte. The algorithm is
//! in this file. How the bytes of a block are compared is left to a [`Vector`]: `avx2` uses
//! instructions of the processor, and `portable` plain integers.
//!
//! Left to `prefilter`: what is found at those offsets.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
use portable::Portable;

/// The bytes of a block.
const WIDTH: usize = u64::BITS as usize;

/// Most first bytes of markers that a scan can look for.
pub(super) const FIRST_BYTES_MAX: usize = 3;

/// After the end of every text.
pub(super) const NOWHERE: usize = usize::MAX;

/// A string, after the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScannedString {
    /// The offset of the closing quote.
    pub end: usize,
    /// The first offset at which `on_byte` was true, or [`NOWHERE`].
    pub candidate: usize,
    /// `false` if the string, or up to [`WIDTH`] bytes after it, have a byte that is not ASCII.
    pub is_ascii: bool,
}

/// Work that scans strings. It is compiled once for each [`Vector`], with the instructions of that
/// vector enabled. (A closure cannot be generic.)
pub(super) trait WithScanner {
    type Output;

    /// Mark it `#[inline(always)]`: what is not inlined is compiled without those instructions.
    fn with_scanner<V: Vector>(self, scanner: StringScanner<V>) -> Self::Output;
}

/// Runs `work` with the fastest scanner of this processor. It looks for `first_bytes`, for which
/// [`have_distinct_low_halves`] holds.
pub(super) fn dispatch<W: WithScanner>(first_bytes: &[u8], work: W) -> W::Output {
    debug_assert!(
        have_distinct_low_halves(first_bytes),
        "invariant: the table tells the bytes apart"
    );
    #[cfg(target_arch = "x86_64")]
    if let Some(vector) = Avx2::new(first_bytes) {
        return vector.run(work);
    }
    Portable::new(first_bytes).run(work)
}

/// Whether these bytes, the quote and the backslash are ASCII and differ in their low halves, so
/// that a table of 16 entries tells them apart.
pub(super) fn have_distinct_low_halves(first_bytes: &[u8]) -> bool {
    let special = first_bytes.iter().chain(b"\"\\");
    let halves = special.clone().fold(0_u16, |halves, byte| halves | 1 << (byte & 0xf));
    special.clone().all(u8::is_ascii) && halves.count_ones() as usize == first_bytes.len() + 2
}

/// A way to compare the bytes of a block. The value holds the special bytes: the quote, the
/// backslash and the first bytes of markers. It is also the proof that the processor has the
/// instructions.
pub(super) trait Vector: Copy {
    type Block: Copy;

    fn load(self, bytes: &[u8; WIDTH]) -> Self::Block;

    fn or(self, a: Self::Block, b: Self::Block) -> Self::Block;

    fn is_ascii(self, block: Self::Block) -> bool;

    /// A bit for each byte of the block, the lowest for the first: whether it is `byte`.
    fn eq(self, block: Self::Block, byte: u8) -> u64;

    /// The same for the special bytes; `None` if there is none in the block.
    fn special(self, block: Self::Block) -> Option<u64>;

    /// Calls `work` in a function that is compiled for the processor.
    fn run<W: WithScanner>(self, work: W) -> W::Output;
}

/// Scans strings.
#[derive(Clone, Copy)]
pub(super) struct StringScanner<V> {
    vector: V,
    /// All bits, if escaped backslashes are candidates, or none.
    backslashes: u64,
}

impl<V: Vector> StringScanner<V> {
    #[inline(always)]
    fn new(vector: V) -> Self {
        Self { vector, backslashes: 0 }
    }

    /// The same, in which each escaped backslash is a candidate, too.
    #[inline(always)]
    pub(super) fn with_backslashes(self, are_candidates: bool) -> Self {
        Self { backslashes: if are_candidates { u64::MAX } else { 0 }, ..self }
    }

    /// Scans the string whose content begins at `from`; `None` if it is not closed. `on_byte` is
    /// called with the offset and the byte of each candidate: a first byte of a marker, an escaped
    /// `u`, or an escaped backslash. It becomes part of the loop, and must not call anything: around a call the
    /// vector registers are spilled.
    #[inline(always)]
    pub(super) fn scan(
        self,
        text: &[u8],
        from: usize,
        mut on_byte: impl FnMut(usize, u8) -> bool,
    ) -> Option<ScannedString> {
        let Self { vector, .. } = self;
        let (mut rest, mut candidate) = (&text[from..], NOWHERE);
        let mut all = vector.load(&[0; WIDTH]);
        let mut closing_quote = |block_at: usize, mut bits: u64| {
            while bits != 0 {
                let offset = block_at + bits.trailing_zeros() as usize;
                let byte = text[offset];
                if byte == b'"' {
                    return Some(offset);
                }
                if on_byte(offset, byte) {
                    candidate = candidate.min(offset);
                }
                bits &= bits - 1;
            }
            None
        };
        while let Some(bytes) = rest.first_chunk() {
            let block = vector.load(bytes);
            all = vector.or(all, block);
            let mut width = WIDTH;
            if let Some(special) = vector.special(block) {
                let (bits, is_open) = self.unescaped(block, special);
                if let Some(end) = closing_quote(text.len() - rest.len(), bits) {
                    return Some(ScannedString { end, candidate, is_ascii: vector.is_ascii(all) });
                }
                // The next block begins with the backslash, so that it has the whole escape.
                width -= usize::from(is_open);
            }
            rest = &rest[width..];
        }
        let block = vector.load(&pad(rest));
        let (bits, _) = self.unescaped(block, vector.special(block)?);
        let end = closing_quote(text.len() - rest.len(), bits)?;
        Some(ScannedString { end, candidate, is_ascii: vector.is_ascii(vector.or(all, block)) })
    }

    /// Of the special bytes those that count: closing quotes, first bytes of markers, and each
    /// escaped `u`. And whether the block ends with a backslash that escapes the byte after it.
    #[inline(always)]
    fn unescaped(self, block: V::Block, special: u64) -> (u64, bool) {
        let Self { vector, .. } = self;
        let backslashes = vector.eq(block, b'\\');
        if backslashes == 0 {
            return (special, false);
        }
        let (escaped, is_open) = escaped(backslashes);
        let mut bits = special & !(backslashes | vector.eq(block, b'"') & escaped);
        bits |= backslashes & escaped & self.backslashes;
        let others = escaped & !special;
        if others != 0 {
            bits |= vector.eq(block, b'u') & others;
        }
        (bits, is_open)
    }
}

/// The last bytes of a text as a block. Zero is no special byte.
#[cold]
fn pad(rest: &[u8]) -> [u8; WIDTH] {
    let mut padded = [0; WIDTH];
    padded[..rest.len()].copy_from_slice(rest);
    padded
}

/// Which bytes of a block are escaped, that is, follow an odd number of backslashes; and whether
/// the byte after the block is. Source: the escape scanner of simdjson.
#[inline(always)]
fn escaped(backslashes: u64) -> (u64, bool) {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    // The subtraction borrows through a run of backslashes, so that every other bit of the run
    // differs from ODD.
    let after = (backslashes << 1 | ODD).wrapping_sub(backslashes) ^ ODD;
    (after ^ backslashes, (after & backslashes) >> (WIDTH - 1) != 0)
}

#[cfg(test)]
mod tests;
