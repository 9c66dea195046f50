//! Poison records: one kind for each reason why a record cannot be read.

use std::io::Write;

use flate2::{Compress, Compression, Crc, FlushCompress, write::ZlibEncoder};

use super::payload::{base64, gzip};

/// The damage of a record's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoisonKind {
    /// A character outside the base64 alphabet.
    BadBase64,
    /// The message is not compressed.
    NotGzip,
    /// The message is compressed as zlib, not gzip.
    Zlib,
    /// The gzip stream ends after two thirds.
    TruncatedGzip,
    /// A complete gzip stream, and then bytes that do not start another.
    TrailingBytes,
    /// The checksum in the trailer is wrong.
    WrongChecksum,
    /// Valid gzip of a line of text.
    NotJson,
    /// Valid JSON of an EventBridge event.
    NotSubscription,
    /// A valid message and 64 MiB of blanks, compressed 1,000 : 1. A reader without a size limit
    /// accepts it.
    Bomb,
    /// A valid message, except for two bytes that are not UTF-8.
    InvalidUtf8,
}

impl PoisonKind {
    pub const ALL: [Self; 10] = [
        Self::BadBase64,
        Self::NotGzip,
        Self::Zlib,
        Self::TruncatedGzip,
        Self::TrailingBytes,
        Self::WrongChecksum,
        Self::NotJson,
        Self::NotSubscription,
        Self::Bomb,
        Self::InvalidUtf8,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::BadBase64 => "bad-base64",
            Self::NotGzip => "not-gzip",
            Self::Zlib => "zlib",
            Self::TruncatedGzip => "truncated-gzip",
            Self::TrailingBytes => "trailing-bytes",
            Self::WrongChecksum => "wrong-checksum",
            Self::NotJson => "not-json",
            Self::NotSubscription => "not-subscription",
            Self::Bomb => "bomb",
            Self::InvalidUtf8 => "invalid-utf8",
        }
    }

    /// Damages `message`, the JSON of a subscription message, and returns the `data` field.
    pub fn data(self, message: &[u8]) -> String {
        match self {
            Self::BadBase64 => bad_base64(message),
            Self::NotGzip => base64(message),
            Self::Zlib => base64(&zlib(message)),
            Self::TruncatedGzip => base64(&truncated(gzip(message))),
            Self::TrailingBytes => base64(&[&gzip(message), &b"-- end of file --"[..]].concat()),
            Self::WrongChecksum => base64(&wrong_checksum(gzip(message))),
            Self::NotJson => {
                base64(&gzip(b"Nov  3 09:15:02 ip-10-0-3-17 rsyslogd: [CRITICAL] no JSON here"))
            }
            Self::NotSubscription => base64(&gzip(EVENTBRIDGE.as_bytes())),
            Self::Bomb => base64(&bomb(message, 64)),
            Self::InvalidUtf8 => base64(&gzip(&invalid_utf8(message))),
        }
    }
}

const EVENTBRIDGE: &str = concat!(
    r#"{"version":"0","id":"7bf73129-1428-4cd3-a780-95db273d1602","detail-type":"EC2 Instance State-change"#,
    r#" Notification","source":"aws.ec2","account":"222233334444","time":"2025-11-03T09:15:02Z","#,
    r#""region":"eu-west-1","resources":[],"detail":{"instance-id":"i-0abcd1234efgh5678","state":"[ALERT]"}}"#,
);

fn bad_base64(message: &[u8]) -> String {
    let mut data = base64(&gzip(message));
    let middle = data.len() / 2;
    data.replace_range(middle..=middle, "*");
    data
}

fn zlib(message: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    let packed = encoder.write_all(message).and_then(|()| encoder.finish());
    packed.expect("invariant: writing to memory does not fail")
}

fn truncated(mut packed: Vec<u8>) -> Vec<u8> {
    packed.truncate(packed.len() * 2 / 3);
    packed
}

/// The trailer has the checksum and the length, four bytes each.
fn wrong_checksum(mut packed: Vec<u8>) -> Vec<u8> {
    let checksum = packed.len() - 8;
    packed[checksum] ^= 0xff;
    packed
}

/// Inserts the bytes before the last quote, which ends a string.
fn invalid_utf8(message: &[u8]) -> Vec<u8> {
    let quote = message.iter().rposition(|byte| *byte == b'"').unwrap_or(message.len());
    [&message[..quote], b"\xc3\x28", &message[quote..]].concat()
}

/// One gzip member with `mib` MiB of blanks after the message. One MiB is compressed once and its
/// block is repeated, so the block must not refer to earlier bytes (`FlushCompress::Full`).
/// Compressing all of them takes ten seconds in a debug build.
pub(super) fn bomb(message: &[u8], mib: usize) -> Vec<u8> {
    const MIB: usize = 1 << 20;
    let blanks = vec![b' '; MIB];
    let mut deflate = Compress::new(Compression::best(), false);
    let head = block(&mut deflate, message);
    let body = block(&mut deflate, &blanks);

    let mut sum = checksum(message);
    let sum_of_blanks = checksum(&blanks);
    (0..mib).for_each(|_| sum.combine(&sum_of_blanks));
    let length = (message.len() + mib * MIB) as u32;
    [
        // Magic bytes, deflate, no flags, no time, no operating system.
        &b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..],
        &head,
        &body.repeat(mib),
        // An empty last block.
        b"\x03\0",
        &sum.sum().to_le_bytes(),
        &length.to_le_bytes(),
    ]
    .concat()
}

fn block(deflate: &mut Compress, bytes: &[u8]) -> Vec<u8> {
    // The buffer has room for incompressible bytes, so one call compresses all of them.
    let mut packed = Vec::with_capacity(bytes.len() + bytes.len() / 100 + 1024);
    let done = deflate.compress_vec(bytes, &mut packed, FlushCompress::Full);
    done.expect("invariant: deflate accepts any bytes");
    packed
}

fn checksum(bytes: &[u8]) -> Crc {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum
}
