//! Reads zstd data: every frame, one after the other. Checksums are checked.

use std::io::{Error, ErrorKind, Read};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// How a frame begins.
pub(super) const MAGIC: &[u8; 4] = b"\x28\xb5\x2f\xfd";

/// The last three bytes of the start of a frame without text. The first is 0x50 to 0x5f.
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// Reads zstd data as its text.
pub(super) struct Zstd<R> {
    input: Watched<R>,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

/// Remembers how the input ended, which the decoder's errors do not say.
struct Watched<R> {
    input: R,
    has_ended: bool,
    failure: Option<Error>,
}

impl<R: Read> Zstd<R> {
    pub(super) fn new(input: R) -> Self {
        let input = Watched { input, has_ended: false, failure: None };
        Self { input, decoder: FrameDecoder::new(), is_in_frame: false }
    }

    /// Begins the next frame. Returns `false` at the end.
    fn begin(&mut self) -> std::io::Result<bool> {
        let mut start = Vec::new();
        self.input.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start)?;
        match start.as_slice() {
            [] => return Ok(false),
            [0x50..=0x5f, rest @ ..] if rest == SKIPPABLE => self.skip()?,
            _ => {
                let begun = self.decoder.init(start.as_slice().chain(&mut self.input));
                begun.map_err(|_| self.input.error())?;
                self.is_in_frame = true;
            }
        }
        Ok(true)
    }

    fn skip(&mut self) -> std::io::Result<()> {
        let mut size = [0; 4];
        self.input.read_exact(&mut size)?;
        let size = u64::from(u32::from_le_bytes(size));
        let skipped = std::io::copy(&mut self.input.by_ref().take(size), &mut std::io::sink())?;
        if skipped == size { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn read_frame(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            let one = BlockDecodingStrategy::UptoBlocks(1);
            let decoded = self.decoder.decode_blocks(&mut self.input, one);
            decoded.map_err(|_| self.input.error())?;
        }
        let length = self.decoder.read(buffer)?;
        if length == 0 && !buffer.is_empty() {
            self.is_in_frame = false;
            let expected = self.decoder.get_checksum_from_data();
            if expected.is_some() && expected != self.decoder.get_calculated_checksum() {
                return Err(ErrorKind::InvalidData.into());
            }
        }
        Ok(length)
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while !buffer.is_empty() {
            if !self.is_in_frame && !self.begin()? {
                break;
            }
            if self.is_in_frame {
                match self.read_frame(buffer)? {
                    0 => {}
                    length => return Ok(length),
                }
            }
        }
        Ok(0)
    }
}

impl<R> Watched<R> {
    /// The cause of an error of the decoder.
    fn error(&mut self) -> Error {
        match self.failure.take() {
            Some(failure) => failure,
            None if self.has_ended => ErrorKind::UnexpectedEof.into(),
            None => ErrorKind::InvalidData.into(),
        }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer);
        match &read {
            Ok(length) => self.has_ended |= *length == 0 && !buffer.is_empty(),
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                self.failure = Some(Error::new(error.kind(), error.to_string()));
            }
            Err(_) => {}
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        compress_to_vec(text.as_bytes(), CompressionLevel::Fastest)
    }

    fn read(bytes: &[u8]) -> Result<String, ErrorKind> {
        let mut text = String::new();
        match Zstd::new(bytes).read_to_string(&mut text) {
            Ok(_) => Ok(text),
            Err(error) => Err(error.kind()),
        }
    }

    #[test]
    fn every_frame_is_read_and_those_without_text_are_skipped() {
        let skippable = b"\x53\x2a\x4d\x18\x03\0\0\0abc";
        let long = "some text\n".repeat(100_000);
        let frames = [&packed("one\n"), &skippable[..], &packed(""), &packed(&long)].concat();
        assert_eq!(read(&frames), Ok(format!("one\n{long}")));
        assert_eq!(read(&packed("")), Ok(String::new()));
    }

    #[test]
    fn damage_and_an_early_end_are_told_apart() {
        let whole = packed(&"some text\n".repeat(1_000));
        for cut in 5..whole.len() {
            assert_eq!(read(&whole[..cut]), Err(ErrorKind::UnexpectedEof), "{cut}");
        }
        assert_eq!(read(b"\x53\x2a\x4d\x18\x03\0\0\0ab"), Err(ErrorKind::UnexpectedEof));
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(read(&damaged), Err(ErrorKind::InvalidData));
        assert_eq!(read(&[&whole, &b"and more"[..]].concat()), Err(ErrorKind::InvalidData));
    }
}
