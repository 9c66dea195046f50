//! What a burst has opened at a service that wakes people: one incident for each severity that it
//! rose to. A service notifies no one of more alerts on an incident that a person has acknowledged,
//! and takes the urgency from the first of them, so a worse severity needs an incident of its own.
//!
//! Each key ends with the severity, also that of the first incident. An attempt whose answer was
//! lost may have opened an incident; the next attempt covers more epochs and may be worse. With
//! the same key it would join the milder incident and wake no one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::adapters::content_hash::ContentHash;
use crate::model::digest::Digest;
use crate::model::name::Severity;
use crate::model::tally::Tally;

/// The severities with which a burst may have an incident open. As JSON, it is the reference to the
/// first message of the burst.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incidents {
    open: BTreeSet<Severity>,
}

impl Incidents {
    /// Those that `joins` lists; none without a reference, or with one of another version.
    pub fn read(joins: Option<&str>) -> Self {
        joins.and_then(|joins| serde_json::from_str(joins).ok()).unwrap_or_default()
    }

    pub fn reference(&self) -> String {
        serde_json::to_string(self).expect("invariant: a list of words is plain JSON data")
    }

    /// The severity of the incident that gets the alerts of `digest`: its own, or a worse one that
    /// the burst had before.
    pub fn severity(&self, digest: &Digest) -> Severity {
        self.open.last().copied().unwrap_or(digest.severity).max(digest.severity)
    }

    pub fn is_open(&self, severity: Severity) -> bool {
        self.open.contains(&severity)
    }

    /// With the incidents that may be open after `digest` was accepted. An earlier attempt, whose
    /// answer was lost, covered fewer epochs, so it may have had the severity of any of the alerts.
    #[must_use]
    pub fn after(mut self, digest: &Digest) -> Self {
        let severity = self.severity(digest);
        let known = self.open.last().copied();
        let Tally { markers, severities, .. } = &digest.tally;
        let of_markers = markers.keys().map(|marker| Severity::of_marker(marker));
        let earlier = of_markers.chain(severities.keys().copied());
        self.open.extend(earlier.filter(|one| known.is_none_or(|known| known < *one)));
        self.open.retain(|one| *one <= severity);
        self.open.insert(severity);
        self
    }

    /// The severities to resolve when the burst is over. All of them if none is known to be open,
    /// because an answer may have been lost; a service ignores the resolution of an incident that
    /// it does not know.
    pub fn to_resolve(&self) -> Vec<Severity> {
        match self.open.is_empty() {
            true => Severity::ALL.to_vec(),
            false => self.open.iter().copied().collect(),
        }
    }
}

/// Whether `digest` resolves the incidents of its burst. Otherwise it reports alerts, unless it is
/// empty.
pub fn resolves(digest: &Digest) -> bool {
    digest.ends_burst && digest.incident.is_some() && digest.tally.is_empty()
}

/// The key of an incident: `STACK/ROUTE/BURST/SEVERITY`, and for a fallback
/// `STACK/ROUTE/BURST/fallback/SEVERITY`. A target that has been both, or two targets with one
/// service, have an incident for each role, because neither role knows whether the other has
/// resolved its own.
///
/// At most `bytes_max` bytes: the end of a longer name becomes a hash.
pub fn key(stack: &str, digest: &Digest, severity: Severity, bytes_max: usize) -> String {
    let role = if digest.escalated.is_some() { "/fallback" } else { "" };
    let (name, end) = (digest.incident_id(stack), format!("{role}/{severity}"));
    let room = bytes_max - end.len();
    if name.len() <= room {
        return name + &end;
    }
    let hash = ContentHash::of(&[&name]).to_string();
    let start = &name[..name.floor_char_boundary(room - hash.len() - 1)];
    format!("{start}~{hash}{end}")
}

#[cfg(test)]
mod tests {
    use Severity::{Critical, Error, Info, Warning};

    use super::*;

    /// A digest of one burst with these markers.
    fn digest(severity: Severity, markers: &[&str]) -> Digest {
        let markers = markers.iter().map(|marker| ((*marker).to_owned(), 1)).collect();
        let tally = Tally { alerts: 1, markers, ..Tally::default() };
        let (route, target) = ("app".parse().unwrap(), "pagerduty:db".parse().unwrap());
        let parked = Digest::new(&route, &target, Some(severity), (7, 7), tally);
        Digest { incident: Some(7), ..parked }
    }

    #[test]
    fn a_worse_severity_opens_an_incident_and_a_milder_one_joins() {
        let mut incidents = Incidents::default();
        let steps = [
            (Warning, Warning, vec![Warning]),
            (Info, Warning, vec![Warning]),
            (Critical, Critical, vec![Warning, Critical]),
            (Error, Critical, vec![Warning, Critical]),
        ];
        for (severity, expected, open) in steps {
            let digest = digest(severity, &[]);
            assert_eq!(incidents.severity(&digest), expected);
            incidents = incidents.after(&digest);
            assert_eq!(incidents, Incidents::read(Some(&incidents.reference())));
            assert_eq!(incidents.to_resolve(), open);
        }
    }

    #[test]
    fn incidents_of_attempts_without_an_answer_are_resolved() {
        let worse = digest(Critical, &["[INFO]", "[ERROR]", "[CRITICAL]"]);
        assert_eq!(Incidents::default().after(&worse).to_resolve(), [Info, Error, Critical]);
        let mut by_conditions = digest(Critical, &["[INFO]"]);
        by_conditions.tally.severities = [(Warning, 1), (Critical, 1)].into();
        let opened = Incidents::default().after(&by_conditions);
        assert_eq!(opened.to_resolve(), [Info, Warning, Critical]);
        let known = Incidents::default().after(&digest(Error, &["[ERROR]"]));
        assert_eq!(known.after(&worse).to_resolve(), [Error, Critical]);
        let configured = digest(Warning, &["[CRITICAL]"]);
        assert_eq!(Incidents::default().after(&configured).to_resolve(), [Warning]);
        for unknown in [None, Some(""), Some("C1/2.3"), Some("{\"open\":[\"awful\"]}")] {
            assert_eq!(Incidents::read(unknown).to_resolve(), Severity::ALL, "{unknown:?}");
        }
    }

    #[test]
    fn a_key_fits_and_tells_incidents_apart() {
        let own = digest(Error, &[]);
        let fallback = Digest { escalated: Some("down".to_owned()), ..own.clone() };
        assert_eq!(key("prod", &own, Error, 250), "prod/app/7/error");
        assert_eq!(key("prod", &fallback, Error, 250), "prod/app/7/fallback/error");
        let (long, other) = ("é".repeat(140), "é".repeat(141));
        let keys = [
            key(&long, &own, Error, 250),
            key(&other, &own, Error, 250),
            key(&long, &own, Info, 250),
            key(&long, &fallback, Error, 250),
        ];
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 4, "{keys:?}");
        assert!(keys.iter().all(|key| key.len() <= 250), "{keys:?}");
        let route = "r".repeat(64).parse().unwrap();
        let longest = Digest { route, incident: None, epochs: (u64::MAX, u64::MAX), ..own };
        let longest = key(&"s".repeat(128), &longest, Critical, 250);
        assert!(!longest.contains('~'), "no name of a stack is hashed: {longest}");
    }
}
