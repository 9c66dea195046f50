//! The patterns of a tally that are news.

use std::collections::BTreeMap;

use super::Tally;
use crate::model::cluster::Cluster;
use crate::model::history::News;
use crate::model::pattern::pattern_id;

impl Tally {
    /// Alerts by pattern, with the text of the pattern. Patterns with one id count together. Those of
    /// [`other`](Self::other) are not among them.
    pub fn by_pattern_id(&self) -> BTreeMap<String, (&str, u64)> {
        let groups = self.groups.iter().map(|(pattern, group)| (pattern, group.alerts));
        let ungrouped = self.ungrouped.0.iter().map(|(pattern, count)| (pattern, count.alerts));
        let mut alerts: BTreeMap<String, (&str, u64)> = BTreeMap::new();
        for (pattern, n) in groups.chain(ungrouped) {
            let (_, sum) = alerts.entry(pattern_id(pattern)).or_insert((pattern, 0));
            *sum = sum.saturating_add(n);
        }
        alerts
    }

    /// Whether alerts of `pattern` are news.
    pub fn news_of(&self, pattern: &str) -> Option<News> {
        if self.news.is_empty() {
            return None;
        }
        self.news.get(&pattern_id(pattern)).copied()
    }

    /// A cluster is as new as the least new of its patterns.
    pub(super) fn news_of_clusters(
        &self,
        patterns: &[&str],
        clusters: &[Cluster],
    ) -> BTreeMap<String, News> {
        if self.news.is_empty() {
            return BTreeMap::new();
        }
        let news = clusters.iter().filter_map(|cluster| {
            let members = cluster.members.iter().map(|at| self.news_of(patterns[*at]));
            Some((pattern_id(&cluster.pattern), members.min()??))
        });
        news.collect()
    }

    /// The news about the patterns that the tally has.
    pub(super) fn known_news(&self, mut news: BTreeMap<String, News>) -> BTreeMap<String, News> {
        if !news.is_empty() {
            let known = self.by_pattern_id();
            news.retain(|id, _| known.contains_key(id));
        }
        news
    }

    /// Moves the news about patterns to their new names.
    #[cfg(feature = "cli")]
    pub(super) fn rename_news<'a>(
        &mut self,
        patterns: impl Iterator<Item = &'a String>,
        name: impl Fn(&str) -> String,
    ) {
        let before = std::mem::take(&mut self.news);
        for pattern in patterns {
            let Some(news) = before.get(&pattern_id(pattern)) else { continue };
            self.merge_news(&BTreeMap::from([(pattern_id(&name(pattern)), *news)]));
        }
    }

    pub(super) fn merge_news(&mut self, more: &BTreeMap<String, News>) {
        for (id, news) in more {
            let known = self.news.entry(id.clone()).or_insert(*news);
            *known = (*news).max(*known);
        }
    }
}
