//! The prefilter and the parser agree on any text that the parser can read: the same head, the same
//! number of events, the same events with a marker. Seeds: the decoded records of `events/`.

#![no_main]

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use stentor::ingest::decode::{self, Decoded, Decoder, MarkerPrefilter};
use stentor::ingest::event::{Data, Record};
use stentor::ingest::logs::LogBatch;

const MARKERS: [&str; 2] = ["[CRITICAL]", "[ALERT]"];

/// Owner, group, stream, count of events, and what each marked event says.
type Outcome = Decoded<(String, u64, Vec<String>)>;

fn outcome(record: &Record<'_>, prefilter: Option<MarkerPrefilter>) -> Outcome {
    let decoder = Decoder { decoded_bytes_max: 1 << 20, prefilter };
    let read = |_: &Record<'_>, head: &LogBatch<'_>, events: decode::Events<'_>| {
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
    let (parsed, prefiltered) = (outcome(&record, None), outcome(&record, MarkerPrefilter::new(MARKERS)));
    // The prefilter does not check texts without a marker, and so accepts some that the parser
    // refuses.
    let marked = |outcome: &Outcome| outcome.content.as_ref().map(|(head, _, marked)| (head.clone(), marked.clone()));
    let same_poison = prefiltered.poison.is_none() || prefiltered.poison == parsed.poison;
    let same_alerts = parsed.content.is_none() || marked(&parsed) == marked(&prefiltered);
    let agree = parsed == prefiltered || parsed.poison.is_some() && same_poison && same_alerts;
    assert!(agree, "{parsed:?}\n{prefiltered:?}");
});
