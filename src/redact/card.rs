//! Card numbers. A number is a card if its prefix and its length are those of a card network, its
//! Luhn checksum is right, and no name before it says that it is an id.

use std::ops::{Range, RangeInclusive};

use super::word::{has_part, starts_word};
use super::{Span, span};

/// Adds the card numbers between `spans`. Of 13 digits with single separators, one is in any two
/// adjacent bytes, so it is enough to read two of twelve bytes.
pub(super) fn find_cards(text: &str, spans: &mut Vec<Span<'_>>) {
    let starts = [0].into_iter().chain(spans.iter().map(|span| span.range.end));
    let ends = spans.iter().map(|span| span.range.start).chain([text.len()]);
    let mut cards = Vec::new();
    for (start, end) in starts.zip(ends) {
        let bytes = &text.as_bytes()[start..end];
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let joint = |at: usize| matches!(bytes.get(at), Some(b' ' | b'-' | b'.' | b'+'));
        let (mut done, mut probe) = (0, 11);
        while probe < bytes.len() {
            if !digit(probe) && !digit(probe + 1) {
                probe += 12;
                continue;
            }
            let mut first = if digit(probe) { probe } else { probe + 1 };
            let mut last = first;
            while first > done
                && (digit(first - 1) || first > done + 1 && joint(first - 1) && digit(first - 2))
            {
                first -= 1;
            }
            while digit(last + 1) || joint(last + 1) && digit(last + 2) {
                last += 1;
            }
            (done, probe) = (last + 1, last + 12);
            let found = cards_in_run(bytes, first..done).into_iter();
            cards.extend(found.map(|card| span(start + card.start..start + card.end, "card")));
        }
    }
    if !cards.is_empty() {
        spans.append(&mut cards);
        spans.sort_by_key(|span| span.range.start);
    }
}

/// The cards in a run of digits and single separators. The digits of a card are in one group, or in
/// groups as printed on a card, or in any groups if the run has no other digits.
pub(super) fn cards_in_run(bytes: &[u8], run: Range<usize>) -> Vec<Range<usize>> {
    let mut cards = Vec::new();
    if run.len() < 13 || bytes[run.clone()].iter().filter(|byte| byte.is_ascii_digit()).count() < 13
    {
        return cards;
    }
    let (before, after) = (&bytes[..run.start], &bytes[run.end..]);
    // The two digits of `%20` are not part of it.
    let mut at = if before.ends_with(b"%") { run.start + 2 } else { run.start };
    let mut groups = Vec::new();
    for group in bytes[at..run.end].split(|byte| !byte.is_ascii_digit()) {
        groups.push(at..at + group.len());
        at += group.len() + 1;
    }
    // The format of the magnetic stripe: `%B4111…^`.
    let track = matches!(before, [.., b'%', b'B' | b'b']) && after.starts_with(b"^");
    let glued =
        !track && (!starts_word(bytes, run.start) || matches!(before, [.., b'0'..=b'9' | b'.']));
    let glued_after =
        matches!(after, [b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z', ..] | [b'.', b'0'..=b'9', ..]);
    let groups = &groups[usize::from(glued)..];
    let groups = &groups[..groups.len().saturating_sub(usize::from(glued_after))];
    let mut from = 0;
    while from < groups.len() {
        let fits = |&to: &usize| fits(bytes, groups, from..to + 1, !glued && !glued_after);
        let card = (from..groups.len().min(from + 19)).rev().find(fits);
        let range = card.map(|to| groups[from].start..groups[to].end);
        let is_id = |range: &Range<usize>| {
            names_id(&bytes[..range.start]) || starts_with_uuid(&bytes[range.start..])
        };
        cards.extend(range.filter(|range| !is_id(range)));
        from = card.unwrap_or(from) + 1;
    }
    cards
}

/// Whether the groups `some` form a card. `alone`: no letters are next to the run.
fn fits(bytes: &[u8], groups: &[Range<usize>], some: Range<usize>, alone: bool) -> bool {
    let (first, last) = (some.start, some.end - 1);
    let len: usize = groups[some.clone()].iter().map(Range::len).sum();
    if !(13..=19).contains(&len) {
        return false;
    }
    let joint = |group: usize| bytes[groups[group].end];
    let printed = || {
        are_printed(&groups[some.clone()])
            && (first..last).all(|group| joint(group) == joint(first))
    };
    let all = || {
        alone
            && some.len() == groups.len()
            && (first..last).all(|group| b" -".contains(&joint(group)))
    };
    // A dot also separates the digits of a number.
    let dotted =
        first > 0 && joint(first - 1) == b'.' || some.end < groups.len() && joint(last) == b'.';
    !dotted
        && (first == last || printed() || all())
        && is_card(&bytes[groups[first].start..groups[last].end])
}

fn are_printed(groups: &[Range<usize>]) -> bool {
    let lens: Vec<_> = groups.iter().take(6).map(Range::len).collect();
    matches!(lens[..], [4, 4, 4, 4] | [4, 4, 4, 4, 1..=3] | [4, 6, 4 | 5])
}

/// The first groups of a UUID can be digits only: `53845412-6493-4538-ab09-538454127b09`.
fn starts_with_uuid(bytes: &[u8]) -> bool {
    bytes.first_chunk::<36>().is_some_and(|uuid| {
        uuid.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

/// Parts of the names of ids: `txn_id`, `sequenceNumber`.
const ID_WORDS: &str = "blk block correlation device event hash id ids imei invoice job micros millis msg nanos offset order \
    ref reference req request seq sequence serial session span task time timestamp trace tracking transaction ts tx \
    txn uid";
const CARD_WORDS: &str = "amex card cc credit debit mastercard pan visa";

/// Whether `before` ends with the name of an id and has no word nearby that means a card.
fn names_id(before: &[u8]) -> bool {
    let last = before.len()
        - before.iter().rev().take(8).take_while(|byte| b" \"'\\`=:#_-".contains(byte)).count();
    let run = |belongs: fn(&u8) -> bool| {
        last - before[..last].iter().rev().take(40).take_while(|byte| belongs(byte)).count()
    };
    let name = run(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte));
    let words = run(|byte| byte.is_ascii_alphanumeric() || b"_.- ".contains(byte));
    has_part(&before[name..last], ID_WORDS) && !has_part(&before[words..last], CARD_WORDS)
}

/// For each card network: the range of the first four digits, and the number of digits.
const NETWORKS: &[(RangeInclusive<u32>, RangeInclusive<usize>)] = &[
    (2200..=2204, 16..=19),
    (2221..=2720, 16..=16),
    (3000..=3059, 14..=19),
    (3095..=3095, 14..=19),
    (3400..=3499, 15..=15),
    (3528..=3589, 16..=19),
    (3600..=3699, 14..=19),
    (3700..=3799, 15..=15),
    (3800..=3999, 14..=19),
    (4000..=4999, 13..=13),
    (4000..=4999, 16..=16),
    (4000..=4999, 19..=19),
    (5000..=5099, 13..=19),
    (5100..=5599, 16..=16),
    (5600..=5899, 13..=19),
    (6011..=6011, 16..=19),
    (6200..=6299, 16..=19),
    (6304..=6304, 13..=19),
    (6440..=6599, 16..=19),
    (6700..=6799, 13..=19),
];

/// Whether a number has the prefix and length of a card network, and a valid Luhn checksum.
pub(super) fn is_card(number: &[u8]) -> bool {
    let digits =
        number.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'));
    let network = digits.clone().take(4).fold(0, |start, digit| start * 10 + digit);
    let len = digits.clone().count();
    let known =
        NETWORKS.iter().any(|(starts, lens)| starts.contains(&network) && lens.contains(&len));
    let luhn = digits.rev().enumerate().map(|(n, digit)| match digit << (n % 2) {
        double @ 10.. => double - 9,
        digit => digit,
    });
    known && luhn.sum::<u32>().is_multiple_of(10)
}
