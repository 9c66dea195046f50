//! The layout of the items of both tables: writes and reads their attributes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::Blob;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::value::{Columns, ItemValue};
use crate::adapters::packed::{pack_event_id, pack_json, unpack_json};
use crate::model::alert::{Alert, LogContext};
use crate::model::error::Cause;
use crate::model::history::{History, Mark};
use crate::model::name::{RouteName, Target};
use crate::model::outbox::{
    Claim, Cursor, Epoch, Recipient, StoredTally, TallyKey, TargetState, Window,
};
use crate::model::time::Timestamp;
use crate::protocol::store::StoreError;

pub(super) type Item = HashMap<String, AttributeValue>;

/// Partitions of one hour in the index, and of the tallies of one route. Enough that none is hot in
/// a flood: each takes 1,000 write units per second.
pub(super) const HOUR_SHARDS: u32 = 16;
pub(super) const TALLY_SHARDS: u64 = 8;

pub(super) const CURSOR: &str = "cursor";
const TARGET_SINCE: &str = "known_since#";
const FALLBACK: &str = "fallback#";

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn moment(at: Timestamp) -> AttributeValue {
    AttributeValue::N(at.as_millis().to_string())
}

/// Time-to-live attributes are in seconds.
fn expires_at(now: Timestamp, ttl: Duration) -> i64 {
    now.after(ttl).as_millis() / 1000
}

pub(super) fn expiry(now: Timestamp, ttl: Duration) -> AttributeValue {
    AttributeValue::N(expires_at(now, ttl).to_string())
}

pub(super) fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("invariant: string keys and plain data always serialize")
}

pub(super) fn packed(value: &impl Serialize) -> AttributeValue {
    AttributeValue::B(Blob::new(pack_json(value)))
}

pub(super) fn json(value: &impl Serialize) -> AttributeValue {
    text(json_text(value))
}

/// A row of `AppLogs`.
pub(super) fn row(alert: &Alert, now: Timestamp, ttl: Duration) -> Columns<'_> {
    let timestamp = alert.timestamp.iso();
    let hour = format!("{}#{}", &timestamp[..13], alert.id.shard(HOUR_SHARDS));
    let region = alert.region.as_deref().map(|region| ("region", ItemValue::text(region)));
    let left_out = i64::try_from(alert.left_out).unwrap_or(i64::MAX);
    // The pattern of a whole message can be found again.
    let pattern = || ("pattern", ItemValue::text(alert.pattern.as_str()));
    let pattern = (left_out > 0).then(pattern);
    let left_out = (left_out > 0).then_some(("left_out_bytes", ItemValue::N(left_out)));
    let columns = [
        ("log_id", ItemValue::text(alert.id.as_str())),
        ("timestamp", ItemValue::text(timestamp)),
        ("marker", ItemValue::text(alert.marker.as_ref())),
        ("message", ItemValue::text(alert.message.as_str())),
        ("app_name", ItemValue::text(alert.origin.app_name.as_str())),
        (
            "routes",
            ItemValue::L(
                alert.routes.iter().map(|route| ItemValue::text(route.as_str())).collect(),
            ),
        ),
        ("account_id", ItemValue::text(&*alert.account_id)),
        ("log_group", ItemValue::text(alert.origin.log_group.as_str())),
        ("log_stream", ItemValue::text(alert.origin.log_stream.as_str())),
        ("source", source(&alert.origin.source)),
        ("hour", ItemValue::text(hour)),
        ("expires_at", ItemValue::N(expires_at(now, ttl))),
    ];
    let context = |name, text: fn(&LogContext) -> &str| {
        let text = text(alert.context.as_deref()?);
        (!text.is_empty()).then(|| (name, ItemValue::text(text)))
    };
    let before = context("context_before", |context| &context.before);
    let after = context("context_after", |context| &context.after);
    columns
        .into_iter()
        .chain(region)
        .chain(pattern)
        .chain(left_out)
        .chain(before)
        .chain(after)
        .collect()
}

fn source(id: &str) -> ItemValue<'_> {
    match pack_event_id(id) {
        Some(packed) => ItemValue::B(packed.into()),
        None => ItemValue::text(id),
    }
}

/// The item of a packed tally.
pub(super) fn tally(partition: String, sort: String, tally: &[u8]) -> Columns<'_> {
    Columns::from([
        ("pk", ItemValue::text(partition)),
        ("sk", ItemValue::text(sort)),
        ("tally", ItemValue::B(tally.into())),
    ])
}

/// The id and the routes of a row.
pub(super) fn existing(item: &Item) -> Result<(String, Arc<[RouteName]>), StoreError> {
    let routes = item
        .get("routes")
        .and_then(|value| value.as_l().ok())
        .map(Vec::as_slice)
        .unwrap_or_default();
    let routes = routes.iter().filter_map(|route| route.as_s().ok()?.parse().ok()).collect();
    Ok((string(item, "log_id")?.to_owned(), routes))
}

pub(super) fn key(partition: &str, sort: &str) -> Item {
    HashMap::from([("pk".to_owned(), text(partition)), ("sk".to_owned(), text(sort))])
}

/// The sort key of an item.
pub(super) fn sort_key(item: &Item) -> Option<String> {
    item.get("sk")?.as_s().ok().cloned()
}

/// The sort key of an epoch. Its number is padded, so that it sorts as a number.
pub(super) fn epoch_sort(number: u64) -> String {
    format!("epoch#{number:020}")
}

pub(super) fn recipient_sort(recipient: Recipient<'_>) -> String {
    match recipient {
        Recipient::Own(target) => format!("target#{target}"),
        Recipient::Fallback(target) => format!("{FALLBACK}{target}"),
    }
}

pub(super) fn tally_partition(route: &RouteName, shard: u64) -> String {
    format!("{route}#{shard}")
}

/// The attribute of a cursor that holds the last epoch before the cursor knew a target.
pub(super) fn target_since(target: &Target) -> String {
    format!("{TARGET_SINCE}{target}")
}

/// The attribute of a cursor that marks a fallback as known.
pub(super) fn fallback(target: &Target) -> String {
    format!("{FALLBACK}{target}")
}

pub(super) fn cursor(item: &Item) -> Result<Cursor, StoreError> {
    let open = match optional_count(item, "open")? {
        Some(number) => Some(Window {
            number,
            due: time(item, "due")?.unwrap_or_default(),
            claim: match (parsed(item, "claimed_by")?, time(item, "claimed_at")?) {
                (Some(by), Some(at)) => Some(Claim { by, at }),
                _ => None,
            },
        }),
        None => None,
    };
    let mut targets = BTreeMap::new();
    let mut fallbacks = BTreeSet::new();
    for name in item.keys() {
        if let Some(target) = name.strip_prefix(TARGET_SINCE).and_then(|target| target.parse().ok())
        {
            targets.insert(target, count(item, name)?);
        }
        fallbacks.extend(
            name.strip_prefix(FALLBACK).and_then(|fallback| fallback.parse::<Target>().ok()),
        );
    }
    Ok(Cursor {
        last_window: count(item, "last_window")?,
        open,
        closing: optional_count(item, "closing")?,
        epoch: count(item, "epoch")?,
        sealed: count(item, "sealed")?,
        burst: optional_json(item, "burst")?,
        patterns: optional_json(item, "patterns")?.unwrap_or_default(),
        holding: optional_json(item, "holding")?.unwrap_or_default(),
        counted: count(item, "counted")?,
        counting_since: time(item, "counting_since")?,
        retired: count(item, "retired")?,
        targets,
        fallbacks,
        muted_until: time(item, "muted_until")?,
    })
}

pub(super) fn stored(item: &Item) -> Result<StoredTally, StoreError> {
    let key = TallyKey {
        partition: string(item, "pk")?.to_owned(),
        sort: string(item, "sk")?.to_owned(),
    };
    Ok(StoredTally { key, tally: from_packed(item, "tally")? })
}

pub(super) fn epoch(item: &Item) -> Result<Epoch, StoreError> {
    from_packed(item, "epoch")
}

pub(super) fn history(item: &Item) -> Result<History, StoreError> {
    from_packed(item, "history")
}

pub(super) fn mark(item: &Item) -> Result<Mark, StoreError> {
    from_json(item, "mark")
}

pub(super) fn target(item: &Item) -> Result<TargetState, StoreError> {
    Ok(TargetState {
        offset: optional_count(item, "offset")?,
        not_before: time(item, "not_before")?,
        turn: time(item, "turn")?,
        failures: parsed(item, "failures")?.unwrap_or(0),
        leased_until: time(item, "leased_until")?,
        thread: optional_json(item, "thread")?,
        muted: count(item, "muted")?,
        escalation: optional_json(item, "escalation")?,
        last: optional_json(item, "last")?,
    })
}

/// The first turn at a target that is not taken.
pub(super) fn next_turn(item: &Item) -> Result<Timestamp, StoreError> {
    time(item, "next_turn")?.ok_or_else(|| odd(item, "next_turn"))
}

pub(super) fn count(item: &Item, name: &str) -> Result<u64, StoreError> {
    Ok(optional_count(item, name)?.unwrap_or(0))
}

fn optional_count(item: &Item, name: &str) -> Result<Option<u64>, StoreError> {
    parsed(item, name)
}

pub(super) fn time(item: &Item, name: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(parsed::<i64>(item, name)?.map(Timestamp::from_millis))
}

fn parsed<T: std::str::FromStr>(item: &Item, name: &str) -> Result<Option<T>, StoreError> {
    let Some(value) = item.get(name) else { return Ok(None) };
    value
        .as_n()
        .ok()
        .and_then(|digits| digits.parse().ok())
        .map(Some)
        .ok_or_else(|| odd(item, name))
}

fn string<'i>(item: &'i Item, name: &str) -> Result<&'i str, StoreError> {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .map(String::as_str)
        .ok_or_else(|| odd(item, name))
}

fn optional_json<T: DeserializeOwned>(item: &Item, name: &str) -> Result<Option<T>, StoreError> {
    item.contains_key(name).then(|| from_json(item, name)).transpose()
}

fn from_json<T: DeserializeOwned>(item: &Item, name: &str) -> Result<T, StoreError> {
    serde_json::from_str(string(item, name)?).map_err(|_| odd(item, name))
}

fn from_packed<T: DeserializeOwned>(item: &Item, name: &str) -> Result<T, StoreError> {
    let packed = item.get(name).and_then(|value| value.as_b().ok());
    packed.and_then(|packed| unpack_json(packed.as_ref())).ok_or_else(|| odd(item, name))
}

/// An item that this program did not write, or that a later version wrote. A person has to look.
fn odd(item: &Item, name: &str) -> StoreError {
    let part =
        |name| item.get(name).and_then(|value| value.as_s().ok()).map_or("?", String::as_str);
    let message =
        format!("attribute `{name}` of item {}/{} has an unexpected value", part("pk"), part("sk"));
    StoreError::Refused(Cause::new("unexpected-item", message))
}
