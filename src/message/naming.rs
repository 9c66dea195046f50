//! Names of accounts, log groups and apps in words: all of them when they are few, else how many.

use super::content::{Inline, Line, plain};
use super::text;
use crate::model::tally::Names;

pub(super) const NAME_BYTES_MAX: usize = 80;

/// How to list the names of one kind.
pub(super) struct Naming {
    one: &'static str,
    many: &'static str,
    /// Up to this number, all are listed.
    all_max: usize,
    /// Beyond it, this number of the most frequent ones.
    top: usize,
    style: fn(String) -> Inline,
}

pub(super) const APPS: Naming =
    Naming { one: "app", many: "apps", all_max: 4, top: 3, style: Inline::Strong };
// Few readers know accounts by number, and log groups have long names: a count says more.
pub(super) const ACCOUNTS: Naming =
    Naming { one: "account", many: "accounts", all_max: 2, top: 0, style: Inline::Plain };
pub(super) const LOG_GROUPS: Naming =
    Naming { one: "log group", many: "log groups", all_max: 1, top: 0, style: Inline::Plain };

impl Naming {
    /// The most frequent names first. A tally that gave up names knows only that there are more
    /// (`12+`).
    pub(super) fn list(&self, names: &Names) -> Line {
        let mut ranked: Vec<_> = names.seen.iter().collect();
        ranked.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        let (known, is_all) = (ranked.len(), names.other == 0);
        let shown = if is_all && known <= self.all_max { known } else { self.top.min(known) };
        let Self { one, many, .. } = self;
        let (before, after) = match (known, is_all) {
            (0, true) => return vec![],
            (1, true) => (format!("{one} "), String::new()),
            (n, true) if shown == 0 => (format!("{n} {many}"), String::new()),
            (n, true) if shown == n => (format!("{many} "), String::new()),
            (n, true) => (format!("{many} "), format!(" +{} more", n - shown)),
            (n, false) if shown == 0 => (format!("{}+ {many}", n.max(1)), String::new()),
            (n, false) => (format!("{n}+ {many}: "), ", …".to_owned()),
        };
        let named = |name: &String| vec![(self.style)(text::name(name, NAME_BYTES_MAX))];
        let shown: Vec<Line> = ranked[..shown].iter().map(|(name, _)| named(name)).collect();
        [vec![plain(before)], shown.join(&plain(", ")), vec![plain(after)]].concat()
    }

    /// Empty for a single name, because the place of the sample shows it.
    pub(super) fn list_several(&self, names: &Names) -> Line {
        if names.seen.len() == 1 && names.other == 0 { vec![] } else { self.list(names) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_names_are_listed_and_many_are_counted() {
        let check = |naming: &Naming, names: &[&str], other, expected| {
            let seen =
                names.iter().zip((1..=20).rev()).map(|(name, n)| ((*name).to_owned(), n)).collect();
            let line = naming.list(&Names { seen, other });
            let text: String = line.iter().map(Inline::as_str).collect();
            assert_eq!(text, expected);
        };
        check(&APPS, &[], 0, "");
        check(&APPS, &["a"], 0, "app a");
        check(&APPS, &[""], 0, "app (none)");
        check(&APPS, &["d", "a", "b", "c"], 0, "apps d, a, b, c");
        check(&APPS, &["d", "a", "b", "c", "e"], 0, "apps d, a, b +2 more");
        check(&APPS, &["d", "a"], 7, "2+ apps: d, a, …");
        check(&APPS, &[], 7, "1+ apps");
        check(&ACCOUNTS, &["1", "2"], 0, "accounts 1, 2");
        check(&ACCOUNTS, &["1", "2", "3"], 0, "3 accounts");
        check(&LOG_GROUPS, &["1", "2", "3"], 9, "3+ log groups");
    }
}
