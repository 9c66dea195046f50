//! Reading the inside of a JSON string without taking it apart, many bytes at a time: where the quote is that ends it,
//! and at which places somebody has to look. Those are the `u` of `\u…` and the bytes that a marker begins with. Other
//! escapes are passed over, and logs in JSON are full of them (`\"`).
//!
//! On the way each byte is looked at for another thing: whether it is ASCII. Most logs are, and what is
//! ASCII is UTF-8 already.
//!
//! `block` does that with the vectors of a processor, and [`Portable`] without, where there are none and for a text that
//! is shorter than a block.
//!
//! Left to `skim`: what stands at those places.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod block;

#[cfg(target_arch = "x86_64")]
use {avx2::Avx2, block::Blocks};

/// What is known of the inside of a string once it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inside {
    /// Where the quote stands that ends it.
    pub end: usize,
    /// Where a look first found something; [`NOWHERE`] if none did.
    pub suspect: usize,
    /// `false` if a byte that is not ASCII was seen, in the string or near it.
    pub is_ascii: bool,
}

/// Behind the end of every text.
pub(super) const NOWHERE: usize = usize::MAX;

/// Reads strings.
pub(super) trait Stops: Copy {
    /// Whether any bytes were asked for.
    const WANTS: bool;

    /// The string whose inside begins at `from`; `None` if it does not end. `look` is called with the places of the bytes
    /// that were asked for and of each `u` behind a backslash, and with what stands there. (It becomes part of the loop,
    /// and had better call nothing: for a call all vectors are put aside.)
    fn read(self, text: &[u8], from: usize, look: impl FnMut(usize, u8) -> bool) -> Option<Inside>;

    /// Has `reader` read, compiled for the processor that this needs, so that `read` can be part of it.
    #[inline(always)]
    fn lend<R: Reader>(self, reader: R) -> R::Found {
        reader.read_with(self)
    }
}

/// Whoever goes through a text from string to string. (A closure cannot be generic.)
pub(super) trait Reader {
    type Found;

    /// To be inlined, or it is compiled for any processor.
    fn read_with(self, stops: impl Stops) -> Self::Found;
}

/// Has `reader` read with what is fastest here, looking at `wanted` bytes.
pub(super) fn fastest<const N: usize, R: Reader>(wanted: [u8; N], reader: R) -> R::Found {
    #[cfg(target_arch = "x86_64")]
    if let Some(stops) = Blocks::<Avx2, N>::new(wanted) {
        return stops.lend(reader);
    }
    Portable(wanted).lend(reader)
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
        let (mut suspect, mut escaped) = (NOWHERE, false);
        let mut at = from;
        while at < text.len() {
            let block = &text[at..text.len().min(at + WIDTH)];
            // One pass over a block answers whether there is any, in a form that compilers turn into vectors.
            let stops = |byte| (byte == b'"') | (byte == b'\\') | self.wants(byte);
            if escaped || block.iter().fold(false, |any, byte| any | stops(*byte)) {
                for (at, byte) in (at..).zip(block.iter().copied()) {
                    match byte {
                        b'"' if !escaped => {
                            return Some(Inside { end: at, suspect, is_ascii: text[from..at].is_ascii() });
                        }
                        b'u' if escaped && look(at, byte) => suspect = suspect.min(at),
                        byte if self.wants(byte) && look(at, byte) => suspect = suspect.min(at),
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

#[cfg(test)]
mod tests;
