//! Recognizes the encoding of an input by its first bytes, and formats that are not text.

use std::io::Read;

use super::zstd;

/// An encoding that `run` reads.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8, or another encoding that contains ASCII.
    Utf8,
    /// UTF-8 that begins with a byte order mark.
    Utf8WithMark,
    Utf16 {
        big_endian: bool,
    },
    Gzip,
    Zstd,
}

pub(super) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// The number of bytes by which an encoding is recognized.
pub(super) const MAGIC_BYTES: usize = 4;

/// Formats that are known but not read: how a file begins, what it is, and what to do.
const FOREIGN: [(&[u8], &str); 20] = [
    (b"PK\x03\x04", "a zip archive: unpack it first with unzip"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xfd7zXZ\0", "xz data: unpack it first with xz -d"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"\x04\x22\x4d\x18", "lz4 data: unpack it first with lz4 -d"),
    (b"\x78\x01", "zlib data: unpack it first"),
    (b"\x78\x9c", "zlib data: unpack it first"),
    (b"\x78\xda", "zlib data: unpack it first"),
    (b"\x1f\x9d", "compress (.Z) data: unpack it first with uncompress"),
    (b"SQLite format 3\0", "an SQLite database, not a log: name the log files"),
    (b"\x7fELF", "a program (ELF), not a log: name the log files"),
    (b"PAR1", "a Parquet file: export it as text first"),
    (b"\xff\xfe\0\0", "UTF-32 text: convert it first with iconv -f UTF-32 -t UTF-8"),
    (b"\0\0\xfe\xff", "UTF-32 text: convert it first with iconv -f UTF-32 -t UTF-8"),
    (b"\x89PNG", "a picture, not a log: name the log files"),
    (b"\xff\xd8\xff", "a picture, not a log: name the log files"),
    (b"GIF8", "a picture, not a log: name the log files"),
    (b"ElfFile\0", "a Windows event log: export it as text first"),
    (b"%PDF-", "a PDF document, not a log: name the log files"),
    (b"Obj\x01", "an Avro file: export it as text first"),
];

impl Encoding {
    /// # Errors
    /// What `head` looks like, if it is not text.
    pub(super) fn of(head: &[u8]) -> Result<Self, String> {
        if let Some((_, what)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Err(format!("it is {what}"));
        }
        if head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY") {
            return Err("it is bzip2 data: unpack it first with bunzip2".to_owned());
        }
        if head.get(257..262) == Some(b"ustar") {
            return Err("it is a tar archive: unpack it first with tar -xf".to_owned());
        }
        match head {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            _ if head.starts_with(zstd::MAGIC) => Ok(Self::Zstd),
            [0xff, 0xfe, ..] => Ok(Self::Utf16 { big_endian: false }),
            [0xfe, 0xff, ..] => Ok(Self::Utf16 { big_endian: true }),
            [0xef, 0xbb, 0xbf, ..] => Ok(Self::Utf8WithMark),
            _ => text(head),
        }
    }
}

/// Text has few control characters, whatever its alphabet and encoding.
fn text(head: &[u8]) -> Result<Encoding, String> {
    /// Separators and terminal controls, which occur in logs.
    const USUAL: &[u8] = b"\x01\x07\x08\t\n\x0b\x0c\r\x1b\x1c\x1d\x1e\x1f";
    const ODD_MIN: usize = 16;
    /// Random bytes have 7 percent.
    const ODD_PERCENT: usize = 6;
    let odd = head.iter().filter(|byte| **byte < b' ' && !USUAL.contains(byte)).count();
    if odd < ODD_MIN || odd * 100 < head.len() * ODD_PERCENT {
        return Ok(Encoding::Utf8);
    }
    let zeros =
        |first: usize| head.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
    let (even, uneven) = (zeros(0), zeros(1));
    let most = head.len() / 2 * 9 / 10;
    Err(match (even + uneven, even >= most, uneven >= most) {
        (_, true, true) => "it holds NUL bytes and no text".to_owned(),
        (_, true, false) => utf16("UTF-16BE"),
        (_, false, true) => utf16("UTF-16LE"),
        _ => "it is binary data, not text".to_owned(),
    })
}

fn utf16(name: &str) -> String {
    format!(
        "it looks like {name} without a byte order mark: convert it first with iconv -f {name} -t UTF-8"
    )
}

/// Reads UTF-16 as UTF-8. Skips the byte order mark, and replaces invalid units with U+FFFD.
pub(super) struct Utf16<R> {
    input: R,
    big_endian: bool,
    is_first: bool,
    /// Bytes that are not decoded yet: an odd byte, or half of a surrogate pair.
    raw: Vec<u8>,
    /// Decoded text, which is returned up to `at`.
    text: Vec<u8>,
    at: usize,
}

impl<R: Read> Utf16<R> {
    pub(super) fn new(input: R, big_endian: bool) -> Self {
        Self { input, big_endian, is_first: true, raw: Vec::new(), text: Vec::new(), at: 0 }
    }

    /// Decodes the next bytes. Leaves `text` empty only at the end.
    fn fill(&mut self) -> std::io::Result<()> {
        (self.text, self.at) = (Vec::new(), 0);
        let mut buffer = [0; 8 * 1024];
        let mut ended = false;
        while self.text.is_empty() && !ended {
            let length = self.input.read(&mut buffer)?;
            ended = length == 0;
            self.raw.extend_from_slice(&buffer[..length]);
            self.decode(ended);
        }
        Ok(())
    }

    fn decode(&mut self, ended: bool) {
        let unit = |pair: &[u8]| match self.big_endian {
            true => u16::from_be_bytes([pair[0], pair[1]]),
            false => u16::from_le_bytes([pair[0], pair[1]]),
        };
        let mut units: Vec<u16> = self.raw.chunks_exact(2).map(unit).collect();
        // The second half of a character may come with the next read.
        if !ended && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
            units.pop();
        }
        self.raw.drain(..units.len() * 2);
        let mut text = String::with_capacity(units.len());
        text.extend(
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)),
        );
        if ended && !self.raw.is_empty() {
            self.raw.clear();
            text.push(char::REPLACEMENT_CHARACTER);
        }
        let is_first = self.is_first && !text.is_empty();
        self.is_first &= text.is_empty();
        let shown = if is_first { text.strip_prefix('\u{feff}').unwrap_or(&text) } else { &text };
        self.text = shown.as_bytes().to_vec();
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.text.len() {
            self.fill()?;
        }
        let length = buffer.len().min(self.text.len() - self.at);
        buffer[..length].copy_from_slice(&self.text[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_recognized_by_its_first_bytes() {
        let random: Vec<u8> =
            (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut tar = vec![b'x'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let utf8 = Ok(Encoding::Utf8);
        let cases: [(&[u8], Result<Encoding, &str>); 19] = [
            (b"", utf8),
            (b"plain", utf8),
            ("текст äöü 日本".as_bytes(), utf8),
            (&[0xcf, 0xf0, 0xe8, 0xe2, 0xe5, 0xf2].repeat(100), utf8),
            (&b"8=FIX.4.4\x019=65\x0135=A\x01".repeat(100), utf8),
            (&b"\x1b[31m[CRITICAL]\x1b[0m\r\n".repeat(100), utf8),
            (b"a short line with \0\0\0 in it", utf8),
            (b"BZh9 is how this line begins", utf8),
            (b"\xef\xbb\xbfx", Ok(Encoding::Utf8WithMark)),
            (b"\xff\xfex\0", Ok(Encoding::Utf16 { big_endian: false })),
            (b"\xfe\xff\0x", Ok(Encoding::Utf16 { big_endian: true })),
            (b"\x1f\x8b\x08", Ok(Encoding::Gzip)),
            (b"\x28\xb5\x2f\xfd\x04", Ok(Encoding::Zstd)),
            (b"BZh91AY&SY\x01", Err("bzip2")),
            (&tar, Err("tar")),
            (&[0; 100], Err("NUL bytes")),
            (&b"x\0".repeat(40), Err("UTF-16LE without")),
            (&b"\0x".repeat(40), Err("UTF-16BE without")),
            (&random, Err("binary")),
        ];
        for (head, expected) in cases {
            match (Encoding::of(head), expected) {
                (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
                (found, expected) => assert_eq!(found, expected.map_err(str::to_owned), "{head:?}"),
            }
        }
        for (magic, _) in FOREIGN {
            assert!(Encoding::of(&[magic, b"..."].concat()).is_err(), "{magic:?}");
        }
    }

    #[test]
    fn utf16_is_decoded_in_pieces_of_any_size() {
        /// Returns one byte at a time.
        struct Trickle<'a>(&'a [u8]);
        impl Read for Trickle<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0.read(&mut buffer[..1])
            }
        }
        let encoded = |text: &str, big: bool| -> Vec<u8> {
            text.encode_utf16()
                .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
                .collect()
        };
        let read = |mut input: Utf16<Trickle<'_>>| {
            let mut text = String::new();
            input.read_to_string(&mut text).map(|_| text)
        };
        for text in ["", "x", "[CRITICAL] äö 日本 🔥🔥\r\nnext\n", "a\u{feff}b"] {
            for big in [false, true] {
                let bytes = encoded(&format!("\u{feff}{text}"), big);
                assert_eq!(read(Utf16::new(Trickle(&bytes), big)).expect("in memory"), text);
            }
        }
        let cut = [encoded("x🔥", false), vec![b'y']].concat();
        assert_eq!(read(Utf16::new(Trickle(&cut), false)).expect("in memory"), "x🔥\u{fffd}");
        let half = &encoded("x🔥", false)[..4];
        assert_eq!(read(Utf16::new(Trickle(half), false)).expect("in memory"), "x\u{fffd}");
    }
}
