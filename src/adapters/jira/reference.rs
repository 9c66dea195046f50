//! The issues of a burst, as far as the target's state knows them.

use serde::{Deserialize, Serialize};

use super::key::IssueKey;
use super::site::Site;
use crate::config::JiraSettings;
use crate::model::burst::Related;
use crate::protocol::notify::Accepted;

/// The issues of a burst, by the name of the pattern; as JSON the reference that [`Accepted`]
/// carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BurstIssues {
    /// The configured site and project. If one of them changes, new issues are created.
    site: String,
    project: String,
    /// In the order in which the burst came to have them.
    issues: Vec<(String, IssueKey)>,
}

impl BurstIssues {
    /// Reads a reference. Without issues if it is one of another site, project or version.
    pub(super) fn read(reference: Option<&str>, site: &Site, settings: &JiraSettings) -> Self {
        let (site, project) = (site.name(), settings.project.clone());
        let known = reference.and_then(|json| serde_json::from_str::<Self>(json).ok());
        known
            .filter(|known| (&known.site, &known.project) == (&site, &project))
            .unwrap_or_else(|| Self { site, project, issues: Vec::new() })
    }

    pub(super) fn get(&self, name: &str) -> Option<&IssueKey> {
        self.issues.iter().find(|(known, _)| known == name).map(|(_, key)| key)
    }

    pub(super) fn set(&mut self, name: &str, key: IssueKey) {
        match self.issues.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = key,
            None => self.issues.push((name.to_owned(), key)),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.issues.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &IssueKey> {
        self.issues.iter().map(|(_, key)| key)
    }

    pub(super) fn len(&self) -> usize {
        self.issues.len()
    }

    /// The digest was accepted. Other targets show the first issue.
    pub(super) fn accepted(&self, site: &Site) -> Accepted {
        let Some(key) = self.keys().next() else { return Accepted::default() };
        let reference = serde_json::to_string(self);
        Accepted {
            message: Some(reference.expect("invariant: a reference is plain JSON data")),
            related: Some(Related { name: key.to_string(), url: site.browse_url(key) }),
        }
    }
}
