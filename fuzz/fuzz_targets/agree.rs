//! The quick walk and the plain parse agree on any text that the plain parse can read: the same head, the
//! same number of events, the same events with a marker. Seeds: the decoded records of `events/`.

#![no_main]

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use stentor::ingest::decode::{self, Decoded, Decoder, Needles};
use stentor::ingest::event::{Data, Record};

const MARKERS: [&str; 2] = ["[CRITICAL]", "[ALERT]"];

/// Owner, group, stream, count of events, and what each marked event says.
type Outcome = Decoded<(String, u64, Vec<String>)>;

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
    // The quick walk does not look at texts without a marker, and so does not see all that the plain parse refuses.
    let marked = |outcome: &Outcome| outcome.content.as_ref().map(|(head, _, marked)| (head.clone(), marked.clone()));
    let same_poison = quick.poison.is_none() || quick.poison == plain.poison;
    let same_alerts = plain.content.is_none() || marked(&plain) == marked(&quick);
    let agree = plain == quick || plain.poison.is_some() && same_poison && same_alerts;
    assert!(agree, "{plain:?}\n{quick:?}");
});
