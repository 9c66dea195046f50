//! NEON, which every 64-bit Arm has: four registers of 16 bytes.

use std::arch::aarch64::{
    uint8x16_t, vandq_u8, vceqq_u8, vdupq_n_u8, vgetq_lane_u64, vld1q_u8, vmaxvq_u8, vorrq_u8, vpaddq_u8, vpmaxq_u32,
    vqtbl1q_u8, vreinterpretq_u32_u8, vreinterpretq_u64_u8, vreinterpretq_u64_u32,
};

use super::block::{Block, Table, WIDTH};
use super::{Reader, Stops};

const LANES: usize = WIDTH / 4;

#[derive(Clone, Copy)]
pub(super) struct Neon([uint8x16_t; 4]);

// SAFETY, of each `unsafe` in here: whatever this is compiled for has NEON; of `load` the caller vouches for the bytes,
// which need no alignment.
impl Block for Neon {
    type Looked = uint8x16_t;
    type Found = Self;

    fn is_there() -> bool {
        cfg!(target_feature = "neon")
    }

    #[inline(always)]
    unsafe fn lend<R: Reader>(stops: impl Stops, reader: R) -> R::Found {
        reader.read_with(stops)
    }

    #[inline(always)]
    unsafe fn load(at: *const u8) -> Self {
        unsafe {
            Self([vld1q_u8(at), vld1q_u8(at.add(LANES)), vld1q_u8(at.add(2 * LANES)), vld1q_u8(at.add(3 * LANES))])
        }
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        unsafe { Self([vdupq_n_u8(0); 4]) }
    }

    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        let (Self([a, b, c, d]), Self([e, f, g, h])) = (self, other);
        unsafe { Self([vorrq_u8(a, e), vorrq_u8(b, f), vorrq_u8(c, g), vorrq_u8(d, h)]) }
    }

    #[inline(always)]
    unsafe fn is_ascii(self) -> bool {
        unsafe { vmaxvq_u8(self.one()).is_ascii() }
    }

    #[inline(always)]
    unsafe fn is(self, byte: u8) -> Self {
        let Self([a, b, c, d]) = self;
        unsafe {
            let byte = vdupq_n_u8(byte);
            Self([vceqq_u8(a, byte), vceqq_u8(b, byte), vceqq_u8(c, byte), vceqq_u8(d, byte)])
        }
    }

    #[inline(always)]
    unsafe fn looked(table: &Table) -> uint8x16_t {
        unsafe { vld1q_u8(table.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn is_in(self, table: uint8x16_t) -> Self {
        let Self([a, b, c, d]) = self;
        unsafe { Self([is_in(a, table), is_in(b, table), is_in(c, table), is_in(d, table)]) }
    }

    #[inline(always)]
    unsafe fn any(found: Self) -> bool {
        unsafe {
            let words = vreinterpretq_u32_u8(found.one());
            vgetq_lane_u64::<0>(vreinterpretq_u64_u32(vpmaxq_u32(words, words))) != 0
        }
    }

    /// Each byte keeps the bit of its place among eight; neighbours are added until there is a bit for each.
    #[inline(always)]
    unsafe fn bits(found: Self) -> u64 {
        const PLACES: [u8; LANES] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
        let Self([a, b, c, d]) = found;
        unsafe {
            let places = vld1q_u8(PLACES.as_ptr());
            let low = vpaddq_u8(vandq_u8(a, places), vandq_u8(b, places));
            let high = vpaddq_u8(vandq_u8(c, places), vandq_u8(d, places));
            let all = vpaddq_u8(low, high);
            vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(all, all)))
        }
    }
}

impl Neon {
    /// What is set in any of the four.
    #[inline(always)]
    unsafe fn one(self) -> uint8x16_t {
        let Self([a, b, c, d]) = self;
        unsafe { vorrq_u8(vorrq_u8(a, b), vorrq_u8(c, d)) }
    }
}

#[inline(always)]
unsafe fn is_in(bytes: uint8x16_t, table: uint8x16_t) -> uint8x16_t {
    unsafe { vceqq_u8(vqtbl1q_u8(table, vandq_u8(bytes, vdupq_n_u8(0xf))), bytes) }
}
