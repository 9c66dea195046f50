//! Blocks as arrays, in safe code that compilers turn into the vector instructions that every
//! processor of an architecture has.

use std::array;

use super::{FIRST_BYTES_MAX, StringScanner, Vector, WIDTH, WithScanner};

/// On any processor.
#[derive(Clone, Copy)]
pub(super) struct Portable {
    /// Filled up with quotes.
    special: [u8; FIRST_BYTES_MAX + 2],
}

impl Portable {
    pub(super) fn new(first_bytes: &[u8]) -> Self {
        let mut special = [b'"'; FIRST_BYTES_MAX + 2];
        special[0] = b'\\';
        special[1..=first_bytes.len()].copy_from_slice(first_bytes);
        Self { special }
    }
}

impl Vector for Portable {
    type Block = [u8; WIDTH];

    #[inline(always)]
    fn load(self, bytes: &[u8; WIDTH]) -> Self::Block {
        *bytes
    }

    #[inline(always)]
    fn or(self, a: Self::Block, b: Self::Block) -> Self::Block {
        array::from_fn(|at| a[at] | b[at])
    }

    #[inline(always)]
    fn is_ascii(self, block: Self::Block) -> bool {
        block.is_ascii()
    }

    #[inline(always)]
    fn eq(self, block: Self::Block, byte: u8) -> u64 {
        bits(block.map(|other| u8::from(other == byte)))
    }

    #[inline(always)]
    fn special(self, block: Self::Block) -> Option<u64> {
        let found = block.map(|byte| {
            self.special.iter().fold(0, |any, special| any | u8::from(byte == *special))
        });
        let any = found.iter().fold(0, |any, found| any | found);
        (any != 0).then(|| bits(found))
    }

    #[inline(always)]
    fn run<W: WithScanner>(self, work: W) -> W::Output {
        work.with_scanner(StringScanner::new(self))
    }
}

/// The bytes, each 0 or 1, as bits.
#[inline(always)]
fn bits(bytes: [u8; WIDTH]) -> u64 {
    // Byte n of eight moves to bit n of the highest byte. No two products overlap, so nothing is
    // carried.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let (eights, _) = bytes.as_chunks();
    eights
        .iter()
        .rev()
        .fold(0, |bits, eight| bits << 8 | u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56)
}
