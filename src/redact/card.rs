//! Card numbers: digits alone say nothing, so a network prefix, a length and the check of Luhn have to agree.

use std::ops::Range;

use super::scan::starts_word;
use super::{Span, span};

/// Card numbers between the spans. Of 13 digits, with or without single separators, one is in each two adjacent bytes,
/// so two in twelve tell where to look.
pub(super) fn find_cards(text: &str, spans: &mut Vec<Span<'_>>) {
    let starts = [0].into_iter().chain(spans.iter().map(|span| span.range.end));
    let ends = spans.iter().map(|span| span.range.start).chain([text.len()]);
    let mut cards = Vec::new();
    for (start, end) in starts.zip(ends) {
        let bytes = &text.as_bytes()[start..end];
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let joint = |at: usize| matches!(bytes.get(at), Some(b' ' | b'-'));
        let (mut done, mut probe) = (0, 11);
        while probe < bytes.len() {
            if !digit(probe) && !digit(probe + 1) {
                probe += 12;
                continue;
            }
            let mut first = if digit(probe) { probe } else { probe + 1 };
            let mut last = first;
            while first > done && (digit(first - 1) || first > done + 1 && joint(first - 1) && digit(first - 2)) {
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

/// Cards in a run of digits and single separators: in any groups if nothing else stands there, else in one, or in those
/// in which cards are printed.
pub(super) fn cards_in_run(bytes: &[u8], run: Range<usize>) -> Vec<Range<usize>> {
    let mut cards = Vec::new();
    if run.len() < 13 {
        return cards;
    }
    let (before, behind) = (&bytes[..run.start], &bytes[run.end..]);
    // The two digits of `%20` are none of it.
    let mut at = if before.ends_with(b"%") { run.start + 2 } else { run.start };
    let mut groups = Vec::new();
    for group in bytes[at..run.end].split(|byte| !byte.is_ascii_digit()) {
        groups.push(at..at + group.len());
        at += group.len() + 1;
    }
    let glued = !starts_word(bytes, run.start) || matches!(before, [.., b'0'..=b'9', b'.']);
    let glued_behind = matches!(behind, [b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z', ..] | [b'.', b'0'..=b'9', ..]);
    let groups = &groups[usize::from(glued)..];
    let groups = &groups[..groups.len().saturating_sub(usize::from(glued_behind))];
    let mut from = 0;
    while from < groups.len() {
        let fits = |&to: &usize| {
            let lengths: Vec<_> = groups[from..=to].iter().map(Range::len).collect();
            let alone = from == to || lengths.len() == groups.len() && !glued && !glued_behind;
            let printed = matches!(lengths[..], [4, 4, 4, 4] | [4, 4, 4, 4, 1..=3] | [4, 6, 4 | 5]);
            (alone || printed) && is_card(&bytes[groups[from].start..groups[to].end])
        };
        let card = (from..groups.len().min(from + 19)).rev().find(fits);
        cards.extend(card.map(|to| groups[from].start..groups[to].end));
        from = card.unwrap_or(from) + 1;
    }
    cards
}

/// 13 to 19 digits that start like those of a card network and pass the check of Luhn.
pub(super) fn is_card(number: &[u8]) -> bool {
    let digits = number.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'));
    let network = digits.clone().take(4).fold(0, |start, digit| start * 10 + digit);
    let known = matches!(network,
        2200..=2204 | 2221..=2720 | 3000..=3059 | 3095 | 3400..=3499 | 3528..=3799 | 3800..=3999 | 4000..=5899
        | 6011 | 6200..=6299 | 6304 | 6440..=6599 | 6700..=6799);
    let luhn = digits.clone().rev().enumerate().map(|(n, digit)| match digit << (n % 2) {
        double @ 10.. => double - 9,
        digit => digit,
    });
    known && (13..=19).contains(&digits.count()) && luhn.sum::<u32>().is_multiple_of(10)
}
