//! What a run leaves undelivered: for each target the reason, and when it can be tried again.

use std::collections::BTreeMap;

use stentor::model::name::{RouteName, Target};
use stentor::model::outbox::Recipient;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::Deadline;
use stentor::protocol::retry_reason::RetryReason;
use stentor::protocol::store::{Store, StoreError};

use crate::json::{UndeliveredRoute, UndeliveredTarget};

/// A route with work left.
#[derive(Debug)]
pub(super) struct OwedRoute {
    reason: RetryReason,
    targets: Vec<OwedTarget>,
}

/// A target that is owed messages.
#[derive(Debug)]
pub(super) struct OwedTarget {
    pub(super) target: Target,
    /// Empty until the reason is known.
    reason: String,
    /// `None`: at once.
    pub(super) next_attempt: Option<Timestamp>,
}

const PACED: &str = "other routes have their turn before this one";

/// Why deliveries failed in this run.
pub(super) type Failures = BTreeMap<(RouteName, Target), String>;

/// The targets that a route owes messages, each once.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn owed_targets(
    store: &impl Store,
    route: &RouteName,
    now: Timestamp,
    deadline: Deadline,
) -> Result<Vec<OwedTarget>, StoreError> {
    let cursor = store.cursor(route, deadline).await?;
    let own = cursor.targets.keys().map(Recipient::Own);
    let mut owed: Vec<OwedTarget> = Vec::new();
    for recipient in own.chain(cursor.fallbacks.iter().map(Recipient::Fallback)) {
        let state = store.target(route, recipient, deadline).await?;
        let target = recipient.target();
        let is_known = owed.iter().any(|known| known.target == *target);
        if is_known || recipient.owed(&cursor, cursor.sealed, &state).is_none() {
            continue;
        }
        let waits = [state.not_before, state.leased_until, state.turn].into_iter().flatten();
        let is_paced = state.turn.is_some_and(|turn| turn > now);
        owed.push(OwedTarget {
            target: target.clone(),
            reason: if is_paced { PACED.to_owned() } else { String::new() },
            next_attempt: waits.filter(|until| *until > now).max(),
        });
    }
    Ok(owed)
}

impl OwedRoute {
    pub(super) fn new(reason: RetryReason) -> Self {
        Self { reason, targets: Vec::new() }
    }

    /// Sets the targets. The reason of each is that of its last attempt in this run, or of the route
    /// if that is about the target.
    pub(super) fn set_targets(
        &mut self,
        route: &RouteName,
        targets: Vec<OwedTarget>,
        failures: &Failures,
    ) {
        let explained = |owed: OwedTarget| {
            let failed = failures.get(&(route.clone(), owed.target.clone())).cloned();
            let of_route = || about(&self.reason, &owed.target);
            let of_target = || (!owed.reason.is_empty()).then(|| owed.reason.clone());
            let earlier = || match owed.next_attempt {
                Some(_) => "paused after an earlier failure".to_owned(),
                None => "not tried in this run".to_owned(),
            };
            let reason = failed.or_else(of_route).or_else(of_target).unwrap_or_else(earlier);
            OwedTarget { reason, ..owed }
        };
        self.targets = targets.into_iter().map(explained).collect();
    }

    pub(super) fn json<'a>(&'a self, route: &'a RouteName) -> UndeliveredRoute<'a> {
        let target = |owed: &'a OwedTarget| UndeliveredTarget {
            target: owed.target.to_string(),
            reason: &owed.reason,
            next_attempt: owed.next_attempt.map(Timestamp::iso),
        };
        UndeliveredRoute {
            route: route.as_str(),
            code: self.reason.code(),
            reason: self.reason(),
            targets: self.targets.iter().map(target).collect(),
        }
    }

    /// A line for each target, or one for the route.
    pub(super) fn lines(&self, route: &RouteName) -> Vec<String> {
        let line = |owed: &OwedTarget| {
            let next = match owed.next_attempt {
                Some(at) => format!("not before {}", at.iso()),
                None => "with the next run".to_owned(),
            };
            format!("{route} to {}: {}; next attempt {next}", owed.target, owed.reason)
        };
        match &self.targets[..] {
            [] => vec![format!("{route}: {}", self.reason())],
            targets => targets.iter().map(line).collect(),
        }
    }

    /// A pause or a turn may be over by now, so its time is left to the target.
    fn reason(&self) -> String {
        match &self.reason {
            RetryReason::Paused { target, .. } => format!("{target} is paused after a failure"),
            RetryReason::Paced { target, .. } => format!("{target}: {PACED}"),
            reason => reason.to_string(),
        }
    }
}

/// The part of a reason that is about the target.
fn about(reason: &RetryReason, target: &Target) -> Option<String> {
    match reason {
        RetryReason::Delivery { target: of, reason } if of == target => Some(reason.clone()),
        RetryReason::NotTried { target: of } if of == target => {
            Some("no time was left to deliver".to_owned())
        }
        RetryReason::Leased { target: of } if of == target => {
            Some("another process is delivering to it".to_owned())
        }
        RetryReason::GiveUp { target: of, refusal, problem } if of == target => {
            Some(format!("it refused the message ({refusal}), and {problem}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_its_reason_and_its_next_attempt() {
        let (route, [a, b, c]) = (
            "critical".parse().unwrap(),
            ["slack:a", "jira:b", "sns:c"].map(|name| name.parse::<Target>().unwrap()),
        );
        let at = |ms| Some(Timestamp::from_millis(ms));
        let owed = |target: &Target, next_attempt| OwedTarget {
            target: target.clone(),
            reason: String::new(),
            next_attempt,
        };
        let until = Timestamp::from_millis(1_795_443_306_789);
        let mut left = OwedRoute::new(RetryReason::Paused { target: b.clone(), until });
        assert_eq!(left.lines(&route), ["critical: jira:b is paused after a failure"]);
        let failures = [((route.clone(), a.clone()), "Slack answered 503".to_owned())].into();
        let targets = vec![owed(&a, None), owed(&b, at(1_795_443_306_789)), owed(&c, None)];
        left.set_targets(&route, targets, &failures);
        insta::assert_snapshot!(left.lines(&route).join("\n"), @r"
        critical to slack:a: Slack answered 503; next attempt with the next run
        critical to jira:b: paused after an earlier failure; next attempt not before 2026-11-23T14:15:06.789Z
        critical to sns:c: not tried in this run; next attempt with the next run
        ");
        let paced = OwedTarget { reason: PACED.to_owned(), ..owed(&a, at(1_795_443_306_789)) };
        left.set_targets(&route, vec![paced], &Failures::new());
        insta::assert_snapshot!(left.lines(&route)[0], @"critical to slack:a: other routes have their turn before this one; next attempt not before 2026-11-23T14:15:06.789Z");
        let targets = vec![owed(&a, None), owed(&b, at(1_795_443_306_789)), owed(&c, None)];
        left.set_targets(&route, targets, &failures);
        let json = serde_json::to_value(left.json(&route)).unwrap();
        assert_eq!(json["targets"][1]["next_attempt"], "2026-11-23T14:15:06.789Z");
        assert!(json["targets"][0]["next_attempt"].is_null() && json["code"] == "paused", "{json}");
    }
}
