//! AVX2: nearly every x86-64 of today. Two registers of 32 bytes.

use std::arch::asm;
use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8,
    _mm256_or_si256, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
};

use super::block::{Block, Table, WIDTH};
use super::{Reader, Stops};

#[derive(Clone, Copy)]
pub(super) struct Avx2([__m256i; 2]);

#[target_feature(enable = "avx2")]
fn compiled<R: Reader>(reader: R, stops: impl Stops) -> R::Found {
    reader.read_with(stops)
}

// SAFETY, of each `unsafe` in here: the caller vouches for AVX2, and of `load` for the bytes, which need no alignment.
impl Block for Avx2 {
    type Looked = __m256i;
    type Found = Self;

    fn is_there() -> bool {
        is_x86_feature_detected!("avx2")
    }

    #[inline(always)]
    unsafe fn lend<R: Reader>(stops: impl Stops, reader: R) -> R::Found {
        unsafe { compiled(reader, stops) }
    }

    #[inline(always)]
    unsafe fn load(at: *const u8) -> Self {
        unsafe { Self([_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(WIDTH / 2).cast())]) }
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        unsafe { Self([_mm256_setzero_si256(); 2]) }
    }

    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        unsafe { Self([_mm256_or_si256(self.0[0], other.0[0]), _mm256_or_si256(self.0[1], other.0[1])]) }
    }

    #[inline(always)]
    unsafe fn is_ascii(self) -> bool {
        unsafe { !Self::any(self) }
    }

    #[inline(always)]
    unsafe fn is(self, byte: u8) -> Self {
        unsafe {
            let byte = _mm256_set1_epi8(byte.cast_signed());
            Self([_mm256_cmpeq_epi8(self.0[0], byte), _mm256_cmpeq_epi8(self.0[1], byte)])
        }
    }

    /// Twice, as the processor looks up 16 bytes at a time.
    #[inline(always)]
    unsafe fn looked(table: &Table) -> __m256i {
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast())) }
    }

    /// For a byte above ASCII the processor looks up zero.
    #[inline(always)]
    unsafe fn is_in(self, table: __m256i) -> Self {
        let Self([low, high]) = self;
        unsafe {
            Self([
                _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, low), low),
                _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, high), high),
            ])
        }
    }

    #[inline(always)]
    unsafe fn any(found: Self) -> bool {
        unsafe { highest_bits(_mm256_or_si256(found.0[0], found.0[1])) != 0 }
    }

    #[inline(always)]
    unsafe fn bits(found: Self) -> u64 {
        unsafe { u64::from(highest_bits(found.0[1])) << (WIDTH / 2) | u64::from(highest_bits(found.0[0])) }
    }
}

/// `_mm256_movemask_epi8`, its result hidden from the optimiser, which takes it for 32 booleans and computes with each of
/// them on its own: the whole walk took two to five times as many instructions.
///
/// # Safety
/// The processor must have AVX2.
#[inline(always)]
unsafe fn highest_bits(bytes: __m256i) -> u32 {
    // SAFETY: the caller vouches for AVX2.
    let mut bits = unsafe { _mm256_movemask_epi8(bytes) };
    // SAFETY: nothing but a comment for the assembler.
    unsafe { asm!("/* {:e} */", inout(reg) bits, options(pure, nomem, nostack, preserves_flags)) };
    bits.cast_unsigned()
}
