//! All groups of a digest as plain text, for a file next to a message that has no room for them.

use std::fmt::Write as _;

use super::text;
use crate::model::digest::Digest;
use crate::model::humanize::{count_alerts, thousands};
use crate::model::truncate::truncate;

/// The longest statement, in bytes.
const STATEMENT_BYTES_MAX: usize = 2_000;

/// Each group with its count and its statement, in the order of the digest. At most `bytes_max` bytes.
pub fn listing(digest: &Digest, bytes_max: usize) -> String {
    let mut listing = String::new();
    for (pattern, group) in digest.groups() {
        let sample = &group.sample;
        let statement = match sample.statement() {
            "" => pattern,
            statement => statement,
        };
        let (count, first) = (count_alerts(group.alerts), group.span.first.iso());
        let app = text::name(&sample.app_name, STATEMENT_BYTES_MAX);
        let statement = text::name(statement, STATEMENT_BYTES_MAX);
        writeln!(listing, "{count} · {app} · first at {first}\n    {statement}\n")
            .expect("invariant: writing to a String cannot fail");
    }
    for (pattern, count) in &digest.tally.ungrouped.0 {
        let (count, pattern) =
            (count_alerts(count.alerts), text::name(pattern, STATEMENT_BYTES_MAX));
        writeln!(listing, "{count}\n    {pattern}\n")
            .expect("invariant: writing to a String cannot fail");
    }
    if digest.tally.other > 0 {
        let other = thousands(digest.tally.other);
        writeln!(listing, "{other} more of patterns that were not kept")
            .expect("invariant: writing to a String cannot fail");
    }
    truncate(&mut listing, bytes_max);
    listing
}
