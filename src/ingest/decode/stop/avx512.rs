//! AVX-512 with bytes and words: one register of 64 bytes, and comparisons that answer with bits.

use std::arch::asm;
use std::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm512_broadcast_i32x4, _mm512_cmpeq_epi8_mask, _mm512_loadu_si512, _mm512_movepi8_mask,
    _mm512_or_si512, _mm512_set1_epi8, _mm512_setzero_si512, _mm512_shuffle_epi8,
};

use super::block::{Block, Table};
use super::{Reader, Stops};

#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512i);

#[target_feature(enable = "avx512f,avx512bw,avx2,bmi1")]
fn compiled<R: Reader>(reader: R, stops: impl Stops) -> R::Found {
    reader.read_with(stops)
}

// SAFETY, of each `unsafe` in here: the caller vouches for AVX-512, and of `load` for the bytes, which need no alignment.
impl Block for Avx512 {
    type Looked = __m512i;
    type Found = u64;

    fn is_there() -> bool {
        is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
    }

    #[inline(always)]
    unsafe fn lend<R: Reader>(stops: impl Stops, reader: R) -> R::Found {
        unsafe { compiled(reader, stops) }
    }

    #[inline(always)]
    unsafe fn load(at: *const u8) -> Self {
        unsafe { Self(_mm512_loadu_si512(at.cast())) }
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        unsafe { Self(_mm512_setzero_si512()) }
    }

    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        unsafe { Self(_mm512_or_si512(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn is_ascii(self) -> bool {
        unsafe { _mm512_movepi8_mask(self.0) == 0 }
    }

    #[inline(always)]
    unsafe fn is(self, byte: u8) -> u64 {
        unsafe { number(_mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(byte.cast_signed()))) }
    }

    /// Four times, as the processor looks up 16 bytes at a time.
    #[inline(always)]
    unsafe fn looked(table: &Table) -> __m512i {
        unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast())) }
    }

    /// For a byte above ASCII the processor looks up zero.
    #[inline(always)]
    unsafe fn is_in(self, table: __m512i) -> u64 {
        unsafe { number(_mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(table, self.0), self.0)) }
    }

    #[inline(always)]
    unsafe fn any(found: u64) -> bool {
        found != 0
    }

    #[inline(always)]
    unsafe fn bits(found: u64) -> u64 {
        found
    }
}

/// Hides from the optimiser that these are 64 booleans, as in `avx2`.
#[inline(always)]
fn number(mut bits: u64) -> u64 {
    // SAFETY: nothing but a comment for the assembler.
    unsafe { asm!("/* {} */", inout(reg) bits, options(pure, nomem, nostack, preserves_flags)) };
    bits
}
