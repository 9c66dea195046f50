//! Blocks in two registers of 32 bytes, with AVX2, which nearly every x86-64 processor of today
//! has.
//!
//! A byte is special if the table has it at the place of its low half: one look-up and one
//! comparison, however many special bytes there are.

#![expect(unsafe_code, reason = "vector instructions, and a call that needs them")]

use std::arch::asm;
use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256,
    _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_shuffle_epi8,
};
use std::array;

use super::{StringScanner, Vector, WIDTH, WithScanner};

/// A value exists only on a processor that has AVX2.
#[derive(Clone, Copy)]
pub(super) struct Avx2 {
    /// By the low half of a byte: the special byte with that half, or else a byte with another
    /// half.
    table: [u8; 16],
}

impl Avx2 {
    /// `None` if the processor has no AVX2.
    pub(super) fn new(first_bytes: &[u8]) -> Option<Self> {
        let mut table = array::from_fn(|half| half as u8 ^ 1);
        for byte in first_bytes.iter().chain(b"\"\\") {
            table[usize::from(byte & 0xf)] = *byte;
        }
        is_x86_feature_detected!("avx2").then_some(Self { table })
    }
}

#[target_feature(enable = "avx2")]
fn with_avx2<W: WithScanner>(work: W, vector: Avx2) -> W::Output {
    work.with_scanner(StringScanner::new(vector))
}

// SAFETY of every block below: `self` proves that the processor has AVX2. The pointers are to
// arrays of the length that is read, and need no alignment.
impl Vector for Avx2 {
    type Block = [__m256i; 2];

    #[inline(always)]
    fn load(self, bytes: &[u8; WIDTH]) -> Self::Block {
        let at = bytes.as_ptr();
        unsafe { [_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(WIDTH / 2).cast())] }
    }

    #[inline(always)]
    fn or(self, a: Self::Block, b: Self::Block) -> Self::Block {
        unsafe { [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])] }
    }

    #[inline(always)]
    fn is_ascii(self, block: Self::Block) -> bool {
        unsafe { movemask(_mm256_or_si256(block[0], block[1])) == 0 }
    }

    #[inline(always)]
    fn eq(self, block: Self::Block, byte: u8) -> u64 {
        unsafe {
            let byte = _mm256_set1_epi8(byte.cast_signed());
            bits([_mm256_cmpeq_epi8(block[0], byte), _mm256_cmpeq_epi8(block[1], byte)])
        }
    }

    /// The look-up of a byte above ASCII is zero, so it is never found.
    #[inline(always)]
    fn special(self, block: Self::Block) -> Option<u64> {
        unsafe {
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(self.table.as_ptr().cast()));
            let low = _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, block[0]), block[0]);
            let high = _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, block[1]), block[1]);
            (movemask(_mm256_or_si256(low, high)) != 0).then(|| bits([low, high]))
        }
    }

    #[inline(always)]
    fn run<W: WithScanner>(self, work: W) -> W::Output {
        unsafe { with_avx2(work, self) }
    }
}

/// The highest bit of each byte.
///
/// # Safety
/// The processor must have AVX2.
#[inline(always)]
unsafe fn bits([low, high]: [__m256i; 2]) -> u64 {
    // SAFETY: the caller vouches for AVX2.
    unsafe { u64::from(movemask(high)) << (WIDTH / 2) | u64::from(movemask(low)) }
}

/// `_mm256_movemask_epi8`, its result hidden from the optimizer. The optimizer would take it for 32
/// booleans and compute with each of them: the prefilter then took two to five times as many
/// instructions.
///
/// # Safety
/// The processor must have AVX2.
#[inline(always)]
unsafe fn movemask(bytes: __m256i) -> u32 {
    // SAFETY: the caller vouches for AVX2.
    let mut bits = unsafe { _mm256_movemask_epi8(bytes) };
    // SAFETY: the assembly is a comment.
    unsafe { asm!("/* {:e} */", inout(reg) bits, options(pure, nomem, nostack, preserves_flags)) };
    bits.cast_unsigned()
}
