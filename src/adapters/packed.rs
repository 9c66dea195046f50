//! Compact forms of stored values. DynamoDB charges each KiB of an item when it is written, twice in a
//! transaction, and by the month; PostgreSQL writes each byte to its log as well.

use std::cell::RefCell;
use std::io::Read as _;

use flate2::read::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::alert::Alert;
use crate::model::name::RouteName;
use crate::model::tally::Tally;

/// More than any packed value has. An item has at most 400 KB.
const JSON_BYTES_MAX: u64 = 4 << 20;

/// Alerts that are counted in one step. A tally keeps so much detail of them, and the sum of such tallies
/// keeps as much as an epoch.
const COUNTED_AT_ONCE: usize = 99;

/// The digits of the number of a shard.
const SHARD_DIGITS: usize = 12;
const SHARD: &str = "shardId-";

/// Fills the last byte of an odd number of digits.
const NO_DIGIT: u8 = 0xF;

thread_local! {
    /// Its state takes 300 KB, which an allocator would have to find for each transaction.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::default(), false));
}

/// A value as deflated JSON: a third of its text.
pub(super) fn pack_json(value: &impl Serialize) -> Vec<u8> {
    let json =
        serde_json::to_vec(value).expect("invariant: string keys and plain data always serialize");
    let mut packed = Vec::with_capacity(json.len() / 2 + 64);
    DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        loop {
            let read = usize::try_from(deflate.total_in()).unwrap_or(usize::MAX);
            let status = deflate.compress_vec(&json[read..], &mut packed, FlushCompress::Finish);
            match status.expect("invariant: any text can be deflated") {
                Status::StreamEnd => break,
                Status::Ok | Status::BufError => packed.reserve(json.len() / 2 + 64),
            }
        }
    });
    packed
}

/// The tallies of `alerts`, all of which have these `routes`: one for each route, packed.
pub(super) fn pack_tallies(routes: &[RouteName], alerts: &[&Alert]) -> Vec<Vec<u8>> {
    let of_route = |route: &RouteName| {
        let of_part = |part: &[&Alert]| Tally::of(part.iter().map(|alert| alert.on(route)));
        match alerts.len() <= COUNTED_AT_ONCE {
            true => pack_json(&of_part(alerts)),
            false => {
                let parts: Vec<Tally> = alerts.chunks(COUNTED_AT_ONCE).map(of_part).collect();
                pack_json(&Tally::sum(&parts))
            }
        }
    };
    let differ = routes.len() > 1 && alerts.iter().any(|alert| !alert.severities.is_empty());
    match (differ, routes) {
        (false, [first, ..]) => vec![of_route(first); routes.len()],
        _ => routes.iter().map(of_route).collect(),
    }
}

/// `None` if it is no such value.
pub(super) fn unpack_json<T: DeserializeOwned>(packed: &[u8]) -> Option<T> {
    let mut json = Vec::new();
    DeflateDecoder::new(packed).take(JSON_BYTES_MAX).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

/// The id of a Kinesis event, `shardId-000000000003:4959…`, as two digits a byte; `None` if it has
/// another form.
pub(super) fn pack_event_id(id: &str) -> Option<Vec<u8>> {
    let (shard, sequence) = id.strip_prefix(SHARD)?.split_once(':')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if shard.len() != SHARD_DIGITS || !is_number(shard) || !is_number(sequence) {
        return None;
    }
    let mut packed = Vec::with_capacity((SHARD_DIGITS + sequence.len()).div_ceil(2));
    let mut digits = shard.bytes().chain(sequence.bytes()).map(|digit| digit - b'0');
    while let Some(high) = digits.next() {
        packed.push(high << 4 | digits.next().unwrap_or(NO_DIGIT));
    }
    Some(packed)
}

/// `None` if it is no packed id.
pub(super) fn unpack_event_id(packed: &[u8]) -> Option<String> {
    let halves = packed.iter().flat_map(|byte| [byte >> 4, byte & 0xF]);
    let digits: Vec<u8> = halves.take_while(|half| *half != NO_DIGIT).collect();
    if digits.len() <= SHARD_DIGITS || digits.iter().any(|digit| *digit > 9) {
        return None;
    }
    let text = |digits: &[u8]| digits.iter().map(|digit| char::from(b'0' + digit)).collect();
    let (shard, sequence): (String, String) =
        (text(&digits[..SHARD_DIGITS]), text(&digits[SHARD_DIGITS..]));
    Some(format!("{SHARD}{shard}:{sequence}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_id_of_a_record_takes_half_a_byte_for_a_digit() {
        let id = "shardId-000000000003:49590338271490256608559692538361571095921575989136588898";
        let packed = pack_event_id(id).expect("an id of Kinesis");
        assert_eq!((packed.len(), unpack_event_id(&packed).as_deref()), (34, Some(id)));
        for other in ["", "shardId-3:1", "shardId-000000000003:", "shardId-00000000000x:1", "a:1"] {
            assert_eq!(pack_event_id(other), None, "{other}");
        }
        for odd in [&[][..], &[0xFF; 20], &[0x12; 6], &[0xAB; 20]] {
            assert_eq!(unpack_event_id(odd), None, "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(shard in 0_u64..999_999_999_999, sequence in "[0-9]{1,60}") {
            let id = format!("shardId-{shard:012}:{sequence}");
            prop_assert_eq!(unpack_event_id(&pack_event_id(&id).unwrap()).unwrap(), id);
        }

        #[test]
        fn a_value_is_the_same_after_packing(value in any::<(String, Vec<u32>)>()) {
            let packed = pack_json(&value);
            prop_assert_eq!(&pack_json(&value), &packed, "nothing is left of the last one");
            prop_assert_eq!(unpack_json(&packed), Some(value));
        }
    }

    #[test]
    fn damage_is_found() {
        let packed = pack_json(&"a text that is a little longer than nothing at all");
        assert_eq!(unpack_json::<String>(&packed[..packed.len() / 2]), None);
        assert_eq!(unpack_json::<String>(b"hunter2"), None);
    }
}
