//! The search with vectors: 64 bytes at a time, one bit for each.
//!
//! A byte is a quote, a backslash or one that was asked for, if it is the one that a table has for its low half: one
//! look-up and one comparison, however many are wanted. Most blocks have none and cost nothing else; in which of the
//! others a backslash stands is looked at more closely.
//!
//! Left to `avx2`: how its processors do what a [`Block`] can.

use std::array;
use std::marker::PhantomData;

use super::{Inside, NOWHERE, Portable, Reader, Stops, are_told_by_low_halves};

/// A bit for each of the bytes that are looked at together.
pub(super) const WIDTH: usize = u64::BITS as usize;

/// By the low half of a byte, the only one with that half that is wanted; where there is none, one of another half.
pub(super) type Table = [u8; 16];

/// [`WIDTH`] bytes in the registers of a processor.
///
/// # Safety
/// All functions but `is_there` are unsafe for one reason: `is_there` must have said yes. `load` has another: WIDTH bytes
/// from `at` on must be readable. (They cannot say `target_feature` themselves, for then they would never become part of
/// their caller's loop; and closures would not be compiled for it.)
pub(super) trait Block: Copy {
    /// A table, as often as the registers want it.
    type Looked: Copy;
    /// What is true of some of the bytes.
    type Found: Copy;

    /// Whether the processor can do it.
    fn is_there() -> bool;

    /// Has `reader` read, compiled for the processor.
    unsafe fn lend<R: Reader>(stops: impl Stops, reader: R) -> R::Found;

    unsafe fn load(at: *const u8) -> Self;

    unsafe fn zero() -> Self;

    unsafe fn or(self, other: Self) -> Self;

    /// Whether no byte has its highest bit set.
    unsafe fn is_ascii(self) -> bool;

    /// Where the byte is `byte`.
    unsafe fn is(self, byte: u8) -> Self::Found;

    unsafe fn looked(table: &Table) -> Self::Looked;

    /// Where the byte is the table's for its low half. For a byte above ASCII a processor may answer no without looking.
    unsafe fn is_in(self, table: Self::Looked) -> Self::Found;

    unsafe fn any(found: Self::Found) -> bool;

    /// The first byte's is the lowest bit.
    unsafe fn bits(found: Self::Found) -> u64;

    /// Where one has to look, given where the table's bytes stand: at those that are wanted, at quotes without a backslash
    /// and at each `u` with one. And whether the byte behind the block has one. Of backslashes those count that are `read`.
    #[inline(always)]
    unsafe fn stops(self, found: u64, read: u64) -> (u64, bool) {
        // SAFETY: the caller vouches for the processor.
        unsafe {
            let slashes = self.is(b'\\');
            if !Self::any(slashes) {
                return (found, false);
            }
            let slashes = Self::bits(slashes) & read;
            let (escaped, is_open) = escaped(slashes);
            let mut stops = found & !(slashes | Self::bits(self.is(b'"')) & escaped);
            let others = escaped & !found;
            if others != 0 {
                stops |= Self::bits(self.is(b'u')) & others;
            }
            (stops, is_open)
        }
    }
}

/// Reads strings by blocks. That there is one is the proof that the processor can.
#[derive(Clone, Copy)]
pub(super) struct Blocks<B, const N: usize> {
    wanted: Portable<N>,
    table: Table,
    block: PhantomData<B>,
}

impl<B: Block, const N: usize> Blocks<B, N> {
    /// `None` where the processor cannot do it, or one table cannot tell the bytes.
    pub(super) fn new(wanted: [u8; N]) -> Option<Self> {
        if !B::is_there() || !are_told_by_low_halves(&wanted) {
            return None;
        }
        let mut table = array::from_fn(|half| half as u8 ^ 1);
        for byte in wanted.iter().chain(b"\"\\") {
            table[usize::from(byte & 0xf)] = *byte;
        }
        Some(Self { wanted: Portable(wanted), table, block: PhantomData })
    }

    /// # Safety
    /// The processor must be able to do it.
    #[inline(always)]
    unsafe fn find(self, text: &[u8], from: usize, mut look: impl FnMut(usize, u8) -> bool) -> Option<Inside> {
        let (mut at, mut suspect) = (from, NOWHERE);
        // Where the last block begins for which there is text.
        let Some(last) = text.len().checked_sub(WIDTH) else { return self.wanted.read(text, from, look) };
        let mut quote = |block_at: usize, mut stops: u64| {
            while stops != 0 {
                let stop = block_at + stops.trailing_zeros() as usize;
                if text[stop] == b'"' {
                    return Some(stop);
                }
                if look(stop, text[stop]) {
                    suspect = suspect.min(stop);
                }
                stops &= stops - 1;
            }
            None
        };
        // SAFETY: the caller vouches for the processor, which is all that a `Block` asks for but in `load`. Each `load`
        // reads the WIDTH bytes from `at` or from `last` on, which the text has, as `at` is not behind `last` there.
        unsafe {
            let table = B::looked(&self.table);
            let mut all = B::zero();
            while at <= last {
                let block = B::load(text.as_ptr().add(at));
                all = all.or(block);
                let found = block.is_in(table);
                if !B::any(found) {
                    at += WIDTH;
                    continue;
                }
                let (stops, is_open) = block.stops(B::bits(found), u64::MAX);
                if let Some(end) = quote(at, stops) {
                    return Some(Inside { end, suspect, is_ascii: all.is_ascii() });
                }
                // What a backslash at the end belongs to begins the next block.
                at += WIDTH - usize::from(is_open);
            }
            // What is left is less than a block. One that ends with the text has it, and what was read before counts no more.
            let rest = u64::MAX.checked_shl((at - last) as u32)?;
            let block = B::load(text.as_ptr().add(last));
            let (stops, _) = block.stops(B::bits(block.is_in(table)) & rest, rest);
            let end = quote(last, stops)?;
            Some(Inside { end, suspect, is_ascii: all.or(block).is_ascii() })
        }
    }
}

impl<B: Block, const N: usize> Stops for Blocks<B, N> {
    const WANTS: bool = N > 0;

    #[inline(always)]
    fn read(self, text: &[u8], from: usize, look: impl FnMut(usize, u8) -> bool) -> Option<Inside> {
        // SAFETY: `Blocks` exist only where the processor can do it.
        unsafe { self.find(text, from, look) }
    }

    #[inline(always)]
    fn lend<R: Reader>(self, reader: R) -> R::Found {
        // SAFETY: as above.
        unsafe { B::lend(self, reader) }
    }
}

/// Which bytes of a block have an odd number of backslashes before them, from where its backslashes stand, the lowest
/// bit the first; and whether that goes for the byte behind the block. Source: the escape scanner of simdjson.
#[inline(always)]
fn escaped(slashes: u64) -> (u64, bool) {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    // Subtracting a run of backslashes borrows through it, so that its bits differ from ODD in turn.
    let behind = (slashes << 1 | ODD).wrapping_sub(slashes) ^ ODD;
    (behind ^ slashes, (behind & slashes) >> (WIDTH - 1) != 0)
}
