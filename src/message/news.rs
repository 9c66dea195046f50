//! The news about the patterns of a message, in words.

use super::content::{Inline, Line, joined, plain_line};
use super::{text, time};
use crate::model::digest::Digest;
use crate::model::history::{Mark, News};
use crate::model::humanize::{count, humanize_duration, thousands};

const DAY_MS: u64 = 24 * 3_600_000;

/// `new`, `back after 12 days` or `34 times the usual rate`.
pub(super) fn words(news: News) -> String {
    match news {
        News::New => "new".to_owned(),
        News::Back { silent_ms } => {
            format!("back after {}", count(silent_ms / DAY_MS, "day", "days"))
        }
        News::Spike { alerts_in_hour, usual } => {
            format!("{} times the usual rate", thousands(alerts_in_hour / usual.max(1)))
        }
    }
}

/// The news about a pattern; empty if there is none.
pub(super) fn of_pattern(digest: &Digest, pattern: &str) -> Line {
    let news = digest.tally.news_of(pattern);
    news.map(|news| vec![Inline::Strong(words(news))]).unwrap_or_default()
}

/// What is news about all patterns, and since when: `2 patterns are new, 1 is back · 4 min after deploy v42`.
pub(super) fn fact(digest: &Digest, has_one_group: bool) -> Line {
    let news = match has_one_group {
        true => of_the_only_pattern(digest),
        false => of_patterns(digest),
    };
    let since = digest.mark.as_ref().map(|mark| since(mark, digest)).unwrap_or_default();
    joined([news, since])
}

fn of_the_only_pattern(digest: &Digest) -> Line {
    let Some(pattern) = digest.tally.groups.keys().next() else { return vec![] };
    let Some(news) = digest.tally.news_of(pattern) else { return vec![] };
    let rest = match news {
        News::New => format!(" on {}", digest.route),
        News::Back { .. } => String::new(),
        News::Spike { alerts_in_hour, usual } => {
            format!(": {} in this hour, not {}", thousands(alerts_in_hour), thousands(usual))
        }
    };
    let mut line = vec![Inline::Strong(capital(&words(news)))];
    line.extend(plain_line(rest));
    line
}

fn of_patterns(digest: &Digest) -> Line {
    let tally = &digest.tally;
    let patterns = tally.groups.keys().chain(tally.ungrouped.0.keys());
    let (mut new, mut back, mut spikes) = (0, 0, 0);
    for news in patterns.filter_map(|pattern| tally.news_of(pattern)) {
        match news {
            News::New => new += 1,
            News::Back { .. } => back += 1,
            News::Spike { .. } => spikes += 1,
        }
    }
    let kinds = [(new, "new"), (back, "back"), (spikes, "far above the usual rate")];
    let mut said = kinds.iter().filter(|(n, _)| *n > 0);
    let Some((n, kind)) = said.next() else { return vec![] };
    let verb = |n| if n == 1 { "is" } else { "are" };
    let first = format!("{} {} {kind}", count(*n, "pattern", "patterns"), verb(*n));
    let others = said.map(|(n, kind)| format!(", {} {} {kind}", thousands(*n), verb(*n)));
    vec![Inline::Strong(first + &others.collect::<String>())]
}

/// `4 min 12 s after deploy v42`: from the mark to the first alert.
fn since(mark: &Mark, digest: &Digest) -> Line {
    let Some(span) = digest.tally.span else { return vec![] };
    let name = text::name(&mark.text, usize::MAX);
    plain_line(match mark.at <= span.first {
        true => format!("{} after {name}", humanize_duration(mark.at.until(span.first))),
        false => format!("{name} at {} UTC", time::clock(mark.at, span.first)),
    })
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
