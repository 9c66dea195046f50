//! Where reading the raw text of a JSON string has to stop and think, found many bytes at a time: at
//! the quote that ends it, at an escaped backslash or `\u…`, and at a byte that a marker begins with.
//! Other escapes are passed over without a look, and logs in JSON are full of them (`\"`).
//!
//! On the way each byte is looked at for another thing: whether it is ASCII. Most logs are, and what is
//! ASCII is UTF-8 already.
//!
//! Left to `skim`: what a stop means.

/// Finds the next stop.
pub(super) trait Stops: Copy {
    /// Whether any bytes were asked for.
    const WANTS: bool;

    /// The first place at or after `from` (at least 1) where `text` has a quote without a backslash
    /// before it, a backslash or `u` with one, or one of the bytes that were asked for; else the end.
    /// `seen` is what calls before this one, for the same text and not beyond `from`, have found out.
    fn next(self, text: &[u8], from: usize, seen: &mut Seen) -> usize;

    /// Calls `walk`, compiled for the processor that this needs, so that `next` can be part of it.
    #[inline(always)]
    fn compiled_for<R>(self, walk: impl FnOnce(Self) -> R) -> R {
        walk(self)
    }
}

/// What is known of a text so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Whether a byte that is not ASCII was seen, from the first `from` to the last stop or somewhat behind it.
    pub non_ascii: bool,
    /// The stops in the 64 bytes before `end`, a bit for each byte, the first the lowest.
    ahead: u64,
    end: usize,
}

/// On any machine.
#[derive(Clone, Copy)]
pub(super) struct Portable<const N: usize>(pub [u8; N]);

impl<const N: usize> Portable<N> {
    #[inline(always)]
    fn stops_at(self, before: u8, byte: u8) -> bool {
        let escaped = before == b'\\';
        let wanted = self.0.iter().fold(false, |any, wanted| any | (*wanted == byte));
        (byte == b'"') & !escaped | escaped & ((byte == b'u') | (byte == b'\\')) | wanted
    }
}

impl<const N: usize> Stops for Portable<N> {
    const WANTS: bool = N > 0;

    #[inline(always)]
    fn next(self, text: &[u8], from: usize, seen: &mut Seen) -> usize {
        const WIDTH: usize = 32;
        let mut at = from;
        // One pass over a block answers whether there is any, in a form that compilers turn into vectors.
        while let (Some(block), Some(before)) =
            (text[at..].first_chunk::<WIDTH>(), text[at - 1..].first_chunk::<WIDTH>())
        {
            if before.iter().zip(block).fold(false, |any, (before, byte)| any | self.stops_at(*before, *byte)) {
                break;
            }
            at += WIDTH;
        }
        let stop = text[at - 1..].windows(2).position(|pair| self.stops_at(pair[0], pair[1]));
        let stop = stop.map_or(text.len(), |stop| at + stop);
        seen.non_ascii |= !text[from..stop].is_ascii();
        stop
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::asm;
    use std::arch::x86_64::{
        __m256i, _mm256_and_si256, _mm256_andnot_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_set1_epi8, _mm256_setzero_si256,
    };

    use super::{Portable, Seen, Stops};

    /// The same with AVX2, 64 bytes at a time.
    #[derive(Clone, Copy)]
    pub struct Avx2<const N: usize>(Portable<N>);

    /// A bit for each of the bytes that are looked at together.
    const WIDTH: usize = u64::BITS as usize;

    /// As many bytes in two registers.
    #[derive(Clone, Copy)]
    struct Block([__m256i; 2]);

    impl<const N: usize> Avx2<N> {
        /// `None` where the processor cannot do it. That there is one is the proof that it can.
        pub fn new(wanted: [u8; N]) -> Option<Self> {
            is_x86_feature_detected!("avx2").then_some(Self(Portable(wanted)))
        }

        #[target_feature(enable = "avx2")]
        fn call<R>(self, walk: impl FnOnce(Self) -> R) -> R {
            walk(self)
        }

        /// # Safety
        /// The processor must have AVX2. (It cannot say `target_feature` itself, for then it would never become part
        /// of its caller's loop.)
        #[inline(always)]
        unsafe fn find(self, text: &[u8], from: usize, seen: &mut Seen) -> usize {
            assert!((1..=text.len()).contains(&from), "all loads lie within the text");
            let mut at = from;
            if from < seen.end {
                // Of the bytes before `end`, those from `from` on.
                let ahead = seen.ahead >> (WIDTH - (seen.end - from));
                if ahead != 0 {
                    return from + ahead.trailing_zeros() as usize;
                }
                at = seen.end;
            }
            // SAFETY: the caller vouches for AVX2, which is all that the functions of `Block` ask for but `load`. Each
            // `load` reads WIDTH bytes: from `at`, which lies that much before the end at least, or from one before it,
            // and `at` is at least 1.
            unsafe {
                let mut all = Block::zero();
                while text.len() - at >= WIDTH {
                    let here = text.as_ptr().add(at);
                    let block = Block::load(here);
                    all = all.or(block);
                    let (mut stops, slashes) = (block.is(b'"'), block.is(b'\\'));
                    if slashes.any() || text[at - 1] == b'\\' {
                        let escaped = Block::load(here.sub(1)).is(b'\\');
                        let escapes = block.is(b'u').or(slashes).and(escaped);
                        stops = stops.and_not(escaped).or(escapes);
                    }
                    for byte in self.0.0 {
                        stops = stops.or(block.is(byte));
                    }
                    let stops = stops.bits();
                    if stops != 0 {
                        seen.non_ascii |= all.any();
                        (seen.ahead, seen.end) = (stops, at + WIDTH);
                        return at + stops.trailing_zeros() as usize;
                    }
                    at += WIDTH;
                }
                seen.non_ascii |= all.any();
            }
            self.0.next(text, at, seen)
        }
    }

    /// Each is unsafe for one reason: the processor must have AVX2. (Without closures: those would not be compiled for
    /// it.)
    impl Block {
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller vouches for AVX2.
            Self([unsafe { _mm256_setzero_si256() }; 2])
        }

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

        #[inline(always)]
        unsafe fn or(self, other: Self) -> Self {
            // SAFETY: the caller vouches for AVX2.
            unsafe { Self([_mm256_or_si256(self.0[0], other.0[0]), _mm256_or_si256(self.0[1], other.0[1])]) }
        }

        #[inline(always)]
        unsafe fn and(self, other: Self) -> Self {
            // SAFETY: the caller vouches for AVX2.
            unsafe { Self([_mm256_and_si256(self.0[0], other.0[0]), _mm256_and_si256(self.0[1], other.0[1])]) }
        }

        #[inline(always)]
        unsafe fn and_not(self, other: Self) -> Self {
            // SAFETY: the caller vouches for AVX2.
            unsafe { Self([_mm256_andnot_si256(other.0[0], self.0[0]), _mm256_andnot_si256(other.0[1], self.0[1])]) }
        }

        /// Whether the highest bit of any byte is set.
        #[inline(always)]
        unsafe fn any(self) -> bool {
            // SAFETY: the caller vouches for AVX2.
            unsafe { highest_bits(_mm256_or_si256(self.0[0], self.0[1])) != 0 }
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
        fn next(self, text: &[u8], from: usize, seen: &mut Seen) -> usize {
            // SAFETY: an `Avx2` exists only where the processor has AVX2.
            unsafe { self.find(text, from, seen) }
        }

        #[inline(always)]
        fn compiled_for<R>(self, walk: impl FnOnce(Self) -> R) -> R {
            // SAFETY: as above.
            unsafe { self.call(walk) }
        }
    }
}
