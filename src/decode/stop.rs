//! Reading the inside of a JSON string without taking it apart, many bytes at a time: where the quote is that ends it,
//! and at which places somebody has to look. Those are the `u` of `\u…` and the bytes that a marker begins with. Other
//! escapes are passed over, and logs in JSON are full of them (`\"`).
//!
//! On the way each byte is looked at for another thing: whether it is ASCII. Most logs are, and what is
//! ASCII is UTF-8 already.
//!
//! Left to `skim`: what stands at those places.

/// What is known of the inside of a string once it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inside {
    /// Where the quote stands that ends it.
    pub end: usize,
    /// Whether a look found something.
    pub hit: bool,
    /// `false` if a byte that is not ASCII was seen, in the string or somewhat behind it.
    pub is_ascii: bool,
}

/// Reads strings.
pub(super) trait Stops: Copy {
    /// Whether any bytes were asked for.
    const WANTS: bool;

    /// The string whose inside begins at `from`; `None` if it does not end. `look` is called with the places of the bytes
    /// that were asked for and of each `u` behind a backslash, and with what stands there.
    fn read(self, text: &[u8], from: usize, look: impl FnMut(usize, u8) -> bool) -> Option<Inside>;

    /// Calls `walk`, compiled for the processor that this needs, so that `read` can be part of it.
    #[inline(always)]
    fn compiled_for<R>(self, walk: impl FnOnce(Self) -> R) -> R {
        walk(self)
    }
}

/// Whether these bytes, a quote and a backslash all differ in their low halves: what a search can ask for.
pub(super) fn are_told_by_low_halves(wanted: &[u8]) -> bool {
    let all = wanted.iter().chain(b"\"\\");
    all.clone().all(u8::is_ascii)
        && all.fold(0_u16, |halves, byte| halves | 1 << (byte & 0xf)).count_ones() as usize == wanted.len() + 2
}

/// On any machine.
#[derive(Clone, Copy)]
pub(super) struct Portable<const N: usize>(pub [u8; N]);

impl<const N: usize> Portable<N> {
    #[inline(always)]
    fn wants(self, byte: u8) -> bool {
        self.0.iter().fold(false, |any, wanted| any | (*wanted == byte))
    }
}

impl<const N: usize> Stops for Portable<N> {
    const WANTS: bool = N > 0;

    #[inline(always)]
    fn read(self, text: &[u8], from: usize, mut look: impl FnMut(usize, u8) -> bool) -> Option<Inside> {
        const WIDTH: usize = 32;
        let (mut hit, mut escaped) = (false, false);
        let mut at = from;
        while at < text.len() {
            let block = &text[at..text.len().min(at + WIDTH)];
            // One pass over a block answers whether there is any, in a form that compilers turn into vectors.
            let stops = |byte| (byte == b'"') | (byte == b'\\') | self.wants(byte);
            if escaped || block.iter().fold(false, |any, byte| any | stops(*byte)) {
                for (at, byte) in (at..).zip(block.iter().copied()) {
                    match byte {
                        b'"' if !escaped => {
                            return Some(Inside { end: at, hit, is_ascii: text[from..at].is_ascii() });
                        }
                        b'u' if escaped => hit |= look(at, byte),
                        byte if self.wants(byte) => hit |= look(at, byte),
                        _ => {}
                    }
                    escaped = byte == b'\\' && !escaped;
                }
            }
            at += block.len();
        }
        None
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::asm;
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
        _mm256_setzero_si256, _mm256_shuffle_epi8,
    };

    use super::{Inside, Portable, Stops, are_told_by_low_halves};

    /// The same with AVX2, 64 bytes at a time.
    ///
    /// A byte is a quote, a backslash or one that was asked for, if it is the one that the table has for its low half: one
    /// look-up and one comparison, however many are wanted. Most blocks have none and cost nothing else; in which of
    /// the others a backslash stands is looked at more closely.
    #[derive(Clone, Copy)]
    pub struct Avx2<const N: usize> {
        wanted: Portable<N>,
        /// By low half, twice, as the processor looks up 16 bytes at a time.
        table: [u8; 32],
    }

    /// A bit for each of the bytes that are looked at together.
    const WIDTH: usize = u64::BITS as usize;

    /// As many bytes in two registers.
    #[derive(Clone, Copy)]
    struct Block([__m256i; 2]);

    impl<const N: usize> Avx2<N> {
        /// `None` where the processor cannot do it, or one table cannot tell the bytes. That there is one is the proof
        /// that both can.
        pub fn new(wanted: [u8; N]) -> Option<Self> {
            // No byte is equal to this: for those above ASCII the processor answers zero.
            let mut table = [0xff; 32];
            for byte in wanted.iter().chain(b"\"\\") {
                let half = usize::from(byte & 0xf);
                (table[half], table[half + 16]) = (*byte, *byte);
            }
            let works = is_x86_feature_detected!("avx2") && are_told_by_low_halves(&wanted);
            works.then_some(Self { wanted: Portable(wanted), table })
        }

        #[target_feature(enable = "avx2")]
        fn call<R>(self, walk: impl FnOnce(Self) -> R) -> R {
            walk(self)
        }

        /// # Safety
        /// The processor must have AVX2. (It cannot say `target_feature` itself, for then it would never become part
        /// of its caller's loop.)
        #[inline(always)]
        unsafe fn find(self, text: &[u8], from: usize, mut look: impl FnMut(usize, u8) -> bool) -> Option<Inside> {
            let (mut at, mut hit) = (from, false);
            // Where the last block begins for which there is text.
            let Some(last) = text.len().checked_sub(WIDTH) else { return self.wanted.read(text, from, look) };
            // SAFETY: the caller vouches for AVX2, which is all that the functions of `Block` ask for but `load`. Each
            // `load` reads the WIDTH bytes from `at` on and each stop is one of them, which the text has as `at` is not
            // behind `last`. The table has as many bytes as are read.
            unsafe {
                let table = _mm256_loadu_si256(self.table.as_ptr().cast());
                let mut all = _mm256_setzero_si256();
                while at <= last {
                    let block = Block::load(text.as_ptr().add(at));
                    all = _mm256_or_si256(all, block.any());
                    let found = block.is_in(table);
                    if highest_bits(found.any()) == 0 {
                        at += WIDTH;
                        continue;
                    }
                    let (mut stops, mut next) = (found.bits(), at + WIDTH);
                    let slashes = block.is(b'\\');
                    if highest_bits(slashes.any()) != 0 {
                        let slashes = slashes.bits();
                        let (escaped, is_open) = escaped(slashes);
                        let others = escaped & !stops;
                        stops &= !(slashes | block.is(b'"').bits() & escaped);
                        if others != 0 {
                            stops |= block.is(b'u').bits() & others;
                        }
                        // What a backslash at the end belongs to begins the next block.
                        next -= usize::from(is_open);
                    }
                    while stops != 0 {
                        let stop = at + stops.trailing_zeros() as usize;
                        let byte = *text.get_unchecked(stop);
                        if byte == b'"' {
                            return Some(Inside { end: stop, hit, is_ascii: highest_bits(all) == 0 });
                        }
                        hit |= look(stop, byte);
                        stops &= stops - 1;
                    }
                    at = next;
                }
                let rest = self.wanted.read(text, at, look)?;
                Some(Inside { hit: hit || rest.hit, is_ascii: rest.is_ascii && highest_bits(all) == 0, ..rest })
            }
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

    /// Each is unsafe for one reason: the processor must have AVX2. (Without closures: those would not be compiled for
    /// it.)
    impl Block {
        /// And for another: WIDTH bytes from `at` on must be readable.
        #[inline(always)]
        unsafe fn load(at: *const u8) -> Self {
            // SAFETY: the caller vouches for AVX2 and for the bytes; they need no alignment.
            unsafe { Self([_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(WIDTH / 2).cast())]) }
        }

        /// All ones where the byte is `byte`.
        #[inline(always)]
        unsafe fn is(self, byte: u8) -> Self {
            let Self([low, high]) = self;
            // SAFETY: the caller vouches for AVX2.
            unsafe {
                let byte = _mm256_set1_epi8(byte.cast_signed());
                Self([_mm256_cmpeq_epi8(low, byte), _mm256_cmpeq_epi8(high, byte)])
            }
        }

        /// All ones where the byte is the table's for its low half.
        #[inline(always)]
        unsafe fn is_in(self, table: __m256i) -> Self {
            let Self([low, high]) = self;
            // SAFETY: the caller vouches for AVX2.
            unsafe {
                Self([
                    _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, low), low),
                    _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, high), high),
                ])
            }
        }

        /// What is set in either half.
        #[inline(always)]
        unsafe fn any(self) -> __m256i {
            // SAFETY: the caller vouches for AVX2.
            unsafe { _mm256_or_si256(self.0[0], self.0[1]) }
        }

        /// The highest bit of each byte.
        #[inline(always)]
        unsafe fn bits(self) -> u64 {
            let Self([low, high]) = self;
            // SAFETY: the caller vouches for AVX2.
            unsafe { u64::from(highest_bits(high)) << (WIDTH / 2) | u64::from(highest_bits(low)) }
        }
    }

    /// `_mm256_movemask_epi8`, its result hidden from the optimiser, which takes it for 32 booleans and computes with
    /// each of them on its own: the whole walk took two to five times as many instructions.
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

    impl<const N: usize> Stops for Avx2<N> {
        const WANTS: bool = N > 0;

        #[inline(always)]
        fn read(self, text: &[u8], from: usize, look: impl FnMut(usize, u8) -> bool) -> Option<Inside> {
            // SAFETY: an `Avx2` exists only where the processor has AVX2.
            unsafe { self.find(text, from, look) }
        }

        #[inline(always)]
        fn compiled_for<R>(self, walk: impl FnOnce(Self) -> R) -> R {
            // SAFETY: as above.
            unsafe { self.call(walk) }
        }
    }
}
