//! Where reading the raw text of a JSON string has to stop and think, found many bytes at a time: at
//! the quote that ends it, at an escaped backslash or `\u…`, and at a byte that a marker begins with.
//! Other escapes are passed over without a look, and logs in JSON are full of them (`\"`).
//!
//! Left to `skim`: what a stop means.

/// Finds the next stop.
pub(super) trait Stops: Copy {
    /// The first place at or after `from` (at least 1) where `text` has a quote without a backslash
    /// before it, a backslash or `u` with one, or one of the bytes that were asked for; else the end.
    fn next(self, text: &[u8], from: usize) -> usize;

    /// Calls `walk`, compiled for the processor that this needs, so that `next` can be part of it.
    #[inline(always)]
    fn compiled_for<R>(self, walk: impl FnOnce(Self) -> R) -> R {
        walk(self)
    }
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
    #[inline(always)]
    fn next(self, text: &[u8], from: usize) -> usize {
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
        stop.map_or(text.len(), |stop| at + stop)
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_and_si256, _mm256_andnot_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_set1_epi8,
    };

    use super::{Portable, Stops};

    /// The same with AVX2, 32 bytes at a time.
    #[derive(Clone, Copy)]
    pub struct Avx2<const N: usize>(Portable<N>);

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
        unsafe fn find(self, text: &[u8], from: usize) -> usize {
            const WIDTH: usize = size_of::<__m256i>();
            assert!((1..=text.len()).contains(&from), "both loads start within the text");
            let mut at = from;
            while text.len() - at >= WIDTH {
                // SAFETY: `at` is at least 1 and at least WIDTH before the end, so both loads lie within `text`; they
                // need no alignment. The rest is arithmetic on registers, which the caller vouches for.
                let stops = unsafe {
                    let here = text.as_ptr().add(at);
                    let (before, block) = (_mm256_loadu_si256(here.sub(1).cast()), _mm256_loadu_si256(here.cast()));
                    let escaped = is(before, b'\\');
                    let ends = _mm256_andnot_si256(escaped, is(block, b'"'));
                    let escape = _mm256_and_si256(escaped, _mm256_or_si256(is(block, b'u'), is(block, b'\\')));
                    let mut any = _mm256_or_si256(ends, escape);
                    for wanted in self.0.0 {
                        any = _mm256_or_si256(any, is(block, wanted));
                    }
                    _mm256_movemask_epi8(any).cast_unsigned()
                };
                if stops != 0 {
                    return at + stops.trailing_zeros() as usize;
                }
                at += WIDTH;
            }
            self.0.next(text, at)
        }
    }

    /// # Safety
    /// The processor must have AVX2.
    #[inline(always)]
    unsafe fn is(block: __m256i, byte: u8) -> __m256i {
        // SAFETY: the caller vouches for AVX2.
        unsafe { _mm256_cmpeq_epi8(block, _mm256_set1_epi8(byte.cast_signed())) }
    }

    impl<const N: usize> Stops for Avx2<N> {
        #[inline(always)]
        fn next(self, text: &[u8], from: usize) -> usize {
            // SAFETY: an `Avx2` exists only where the processor has AVX2.
            unsafe { self.find(text, from) }
        }

        #[inline(always)]
        fn compiled_for<R>(self, walk: impl FnOnce(Self) -> R) -> R {
            // SAFETY: as above.
            unsafe { self.call(walk) }
        }
    }
}
