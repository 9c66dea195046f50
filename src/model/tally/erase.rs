//! A tally without the texts that hold a subject. No count changes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Group, Names, Sample, Tally};
use crate::model::pattern::placeholder_at;

impl Tally {
    /// The same counts. A text for which `holds` is true becomes `tombstone`, and so does a pattern for which
    /// `in_pattern` is true, which also learns whether a log event or a value of the pattern was erased.
    pub(crate) fn erased(
        &self,
        holds: &impl Fn(&str) -> bool,
        in_pattern: &impl Fn(&str, bool) -> bool,
        tombstone: &str,
    ) -> Self {
        let name = |text: &str| if holds(text) { tombstone.to_owned() } else { text.to_owned() };
        let mut patterns: BTreeSet<&str> = BTreeSet::new();
        let names = |names: &Names| Names { seen: renamed(&names.seen, name), ..names.clone() };
        let mut erased = Self {
            groups: BTreeMap::new(),
            log_groups: names(&self.log_groups),
            apps: names(&self.apps),
            ..self.clone()
        };
        for (pattern, whole) in &self.groups {
            let mut group = Group {
                log_groups: names(&whole.log_groups),
                apps: names(&whole.apps),
                sample: whole.sample.erased(holds, tombstone),
                ..whole.clone()
            };
            // The subject may be part pattern, part value: `user-4711` in `user-<n>`.
            let shows = |place: usize, value: &str| {
                holds(value) || holds(&with_value(pattern, place, value))
            };
            let places = group.values.0.len();
            group.values.0.retain(|place, values| !values.keys().any(|value| shows(*place, value)));
            let is_of_subject = group.values.0.len() < places || whole.sample.says(holds);
            let mut name = pattern.clone();
            if in_pattern(pattern, is_of_subject) {
                // The values were those of its placeholders.
                group.values.0.clear();
                tombstone.clone_into(&mut name);
                patterns.insert(pattern);
            }
            match erased.groups.get_mut(&name) {
                Some(known) => known.merge(&group),
                None => drop(erased.groups.insert(name, group)),
            }
        }
        patterns.extend(
            self.ungrouped.0.keys().map(String::as_str).filter(|one| in_pattern(one, false)),
        );
        let name = |pattern: &str| match patterns.contains(pattern) {
            true => tombstone.to_owned(),
            false => pattern.to_owned(),
        };
        erased.ungrouped.0.clear();
        for (pattern, count) in &self.ungrouped.0 {
            erased.ungrouped.add(name(pattern), *count);
        }
        erased.rename_news(self.groups.keys().chain(self.ungrouped.0.keys()), name);
        erased
    }
}

/// The pattern with a value at one of its places.
fn with_value(pattern: &str, place: usize, value: &str) -> String {
    let starts = pattern.char_indices().map(|(at, _)| at);
    let mut places = starts.filter(|at| placeholder_at(pattern, *at) > 0);
    let Some(at) = places.nth(place) else { return pattern.to_owned() };
    let rest = at + placeholder_at(pattern, at);
    format!("{}{value}{}", &pattern[..at], &pattern[rest..])
}

impl Sample {
    /// Whether the log event itself holds the subject, and not only what is around it.
    fn says(&self, holds: &impl Fn(&str) -> bool) -> bool {
        holds(&self.message) || self.statement.as_deref().is_some_and(holds)
    }

    fn erased(&self, holds: &impl Fn(&str) -> bool, tombstone: &str) -> Self {
        let mut erased = self.clone();
        let texts = [&self.statement, &self.before, &self.after].into_iter().flatten();
        if texts.chain([&self.message]).any(|text| holds(text)) {
            erased.message = tombstone.to_owned();
            erased.message_bytes = tombstone.len() as u64;
            (erased.statement, erased.before, erased.after) = (None, None, None);
        }
        for text in [&mut erased.log_group, &mut erased.log_stream, &mut erased.app_name] {
            if holds(text) {
                tombstone.clone_into(text);
            }
        }
        erased
    }
}

fn renamed(counts: &BTreeMap<String, u64>, name: impl Fn(&str) -> String) -> BTreeMap<String, u64> {
    let mut renamed = BTreeMap::new();
    for (old, n) in counts {
        *renamed.entry(name(old)).or_default() += n;
    }
    renamed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::model::alert::{Alert, AlertId, LogContext, Origin};
    use crate::model::pattern::Pattern;
    use crate::model::tally::Tally;
    use crate::model::time::Timestamp;

    fn alert(id: &str, message: &str) -> Alert {
        let origin = Origin::new("123456789012", "/ecs/user-4711", "desk/user-4711", None, "s:1");
        Alert {
            id: AlertId::new(id, &origin),
            timestamp: Timestamp::from_millis(1_795_443_306_789),
            marker: "[C]".into(),
            message: message.to_owned(),
            left_out: 0,
            context: Some(Box::new(LogContext {
                before: "login of user-4711".to_owned(),
                after: String::new(),
            })),
            statement: None,
            pattern: Pattern::of(message, "[C]"),
            routes: Arc::from(["critical".parse().unwrap()]),
            severities: [].into(),
            account_id: "123456789012".into(),
            region: None,
            origin: Arc::new(origin),
        }
    }

    #[test]
    fn no_text_is_left_and_no_count_changes() {
        let mut alerts = vec![
            alert("1", "[C] Smithers has no stock"),
            alert("2", "[C] Smithers is late"),
            alert("3", "[C] disk 91 full"),
            alert("4", "[C] login by 'smithers' denied"),
        ];
        // More patterns than a tally has room for.
        let many = (0..300).map(|n| format!("[C] {} of smithers {}", letters(n), "x".repeat(40)));
        alerts.extend(many.enumerate().map(|(n, message)| alert(&format!("m{n}"), &message)));
        let tally = Tally::of(&alerts);
        assert!(!tally.ungrouped.is_empty(), "some patterns have no group");
        let holds = |text: &str| {
            let text = text.to_lowercase();
            text.contains("smithers") || text.contains("user-4711")
        };
        let in_pattern = |pattern: &str, _| holds(pattern);
        let erased = tally.erased(&holds, &in_pattern, "[erased]");
        let text = serde_json::to_string(&erased).unwrap().to_lowercase();
        assert!(!text.contains("smithers") && !text.contains("user-4711"), "{text}");
        assert!(text.contains("disk") && text.contains("[erased]"), "{text}");
        assert_eq!(erased.alerts, tally.alerts);
        let grouped: u64 = erased.groups.values().map(|group| group.alerts).sum();
        assert_eq!(grouped + erased.ungrouped.alerts() + erased.other, tally.alerts);
        assert_eq!(erased.apps.seen.values().sum::<u64>(), tally.apps.seen.values().sum::<u64>());
        assert_eq!(erased.erased(&holds, &in_pattern, "[erased]"), erased);
        assert_eq!(tally.erased(&|_| false, &|_, _| false, "[erased]"), tally);
        // The pattern of a sample that was erased.
        let smithers = |text: &str| text.to_lowercase().contains("smithers");
        let of_sample = tally.erased(&smithers, &|_, is_of_subject| is_of_subject, "[erased]");
        assert!(!of_sample.groups.keys().any(|pattern| pattern.contains("mithers")));
        assert!(serde_json::to_string(&of_sample).unwrap().contains("disk"));
    }

    /// A word without digits for each number.
    fn letters(n: u32) -> String {
        format!("{n:05}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
    }
}
