//! The quick walk and the plain parse agree on any text that the plain parse can read: the same head, the
//! same number of events, the same events with a marker. Seeds: the decoded records of `events/`.

#![no_main]

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use stentor::decode::{self, Decoder, Needles, Poison};
use stentor::event::{Data, Record};

const MARKERS: [&str; 2] = ["[CRITICAL]", "[ALERT]"];

/// Owner, group, stream, count of events, and what each marked event says.
type Outcome = Result<Option<(String, u64, Vec<String>)>, Poison>;

fn outcome(record: &Record<'_>, needles: Option<Needles>) -> Outcome {
    let decoder = Decoder { decoded_bytes_max: 1 << 20, needles };
    let read = |_: &Record<'_>, head: &decode::LogBatch<'_>, events: decode::Events<'_>| {
        let mut marked = Vec::new();
        let count = events.each(|event| {
            if MARKERS.iter().any(|marker| event.message.contains(marker)) {
                marked.push(format!("{event:?}"));
            }
        })?;
        Ok((format!("{} {} {}", head.owner, head.log_group, head.log_stream), count, marked))
    };
    decode::all(std::slice::from_ref(record), &decoder, read).remove(0)
}

fuzz_target!(|text: &[u8]| {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text).expect("in memory");
    let data = STANDARD.encode(gzip.finish().expect("in memory"));
    let record = Record::named("fuzz".to_owned(), Data::Base64(data.into()));
    let (plain, quick) = (outcome(&record, None), outcome(&record, Needles::new(MARKERS)));
    // What the plain parse refuses may lie in texts that the quick walk does not look at.
    assert!(plain == quick || plain.is_err() && quick.is_ok(), "{plain:?}\n{quick:?}");
});
