//! A stand-in of PagerDuty that keeps the rules of its Events API. A trigger joins the open incident
//! of its key, or opens one. A resolution closes it; without an open one it is dropped. The
//! production adapter talks to it over a line that loses requests and answers.
//!
//! One assumption: a request takes effect before the deadline of its sender, or never. PagerDuty
//! would open a false incident for a trigger that it keeps in a queue until after the end of the
//! burst, and no sender can prevent that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use stentor::adapters::attempt::Attempt;
use stentor::adapters::http::exchange::{Exchange, ExchangeError, HttpAnswer, HttpRequest};
use stentor::adapters::pagerduty::{self, Integration};
use stentor::adapters::secret::Credential;
use stentor::config::Route;
use stentor::model::digest::Digest;
use stentor::model::name::{RouteName, Severity, Target};
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::notify::{Accepted, DeliverError};

use super::ledger::Step;
use super::plan::Mutation;
use super::process::Process;
use super::services::{Sim, State};

const STACK: &str = "simulated";

/// The incidents of all services, one service for each target.
#[derive(Default)]
pub struct PagerDuty {
    /// By routing key, and key of the incident without its severity.
    bursts: BTreeMap<(String, String), BurstIncidents>,
    pub violations: Vec<String>,
}

/// The incidents of a burst at one service.
struct BurstIncidents {
    route: RouteName,
    target: Target,
    is_fallback: bool,
    /// A resolution was sent.
    is_over: bool,
    /// By key, the oldest first.
    incidents: BTreeMap<String, Vec<Incident>>,
}

struct Incident {
    severity: Severity,
    is_open: bool,
    /// A person resolved it, so the next trigger rightly opens another one.
    by_person: bool,
}

/// An event as it arrives.
#[derive(Clone)]
struct Event {
    is_trigger: bool,
    service: String,
    key: String,
    severity: Option<Severity>,
    /// How many alerts it reports.
    alerts: Option<u64>,
}

/// The line of one delivery.
struct Line {
    process: Process,
    digest: Digest,
    sent_at: u64,
    is_counted: Arc<AtomicBool>,
}

/// Delivers through the production adapter.
pub async fn deliver(
    process: &Process,
    digest: &Digest,
    joins: Option<&str>,
    deadline: Deadline,
) -> Result<Accepted, DeliverError> {
    let sent_at = process.sim.executor.now_us();
    let line = Line {
        process: process.clone(),
        digest: digest.clone(),
        sent_at,
        is_counted: Arc::default(),
    };
    let mut digest = digest.clone();
    match process.sim.plan.mutation {
        Some(Mutation::IncidentPerRoute) => digest.incident = digest.incident.map(|_| 0),
        Some(Mutation::MergeBursts) => {
            digest.target = format!("pagerduty:{}", digest.target.name).parse().unwrap();
        }
        _ => {}
    }
    let credential = Credential::new(json!(format!("{:->32}", digest.target.name)));
    let integration = Integration::parse(&credential).unwrap();
    let attempt = Attempt {
        exchange: &line,
        stack: STACK,
        digest: &digest,
        joins,
        now: process.now(),
        deadline,
    };
    pagerduty::deliver(&attempt, &integration).await
}

impl Exchange for Line {
    async fn exchange(
        &self,
        request: HttpRequest,
        deadline: Deadline,
    ) -> Result<HttpAnswer, ExchangeError> {
        let event = Event::read(&request, self.process.sim.plan.mutation);
        self.process.sim.state.lock().unwrap().pagerduty.sent(&event, &self.digest);
        let step = Step::new(self.process.id, self.sent_at, self.digest.clone());
        let (digest, is_counted) = (self.digest.clone(), Arc::clone(&self.is_counted));
        let skew_ms = self.process.skew_ms;
        let effect = move |state: &mut State, sim: &Sim| {
            // By the clock of the sender, which made the deadline.
            if deadline.has_passed(Timestamp::from_millis(sim.now().as_millis() + skew_ms)) {
                return Err(ExchangeError::ConnectionLost);
            }
            let can_refuse = state.pagerduty.can_refuse(&event);
            let fault = fault(sim, can_refuse, &digest);
            if let Some(Answer::Failure(answer)) = fault {
                return Ok(answer);
            }
            sim.note(|| {
                let action = if event.is_trigger { "triggers" } else { "resolves" };
                format!("epochs {:?} {action} {} at {}", digest.epochs, event.key, digest.target)
            });
            state.pagerduty.received(sim, &event, &digest);
            if !is_counted.swap(true, Ordering::Relaxed) {
                let sealed = state.engine.cursor(&digest.route).map_or(0, |cursor| cursor.sealed);
                state.ledger.delivered(step, sealed);
            }
            match fault {
                Some(_) => Err(ExchangeError::TimedOut),
                None => Ok(answer(202, None)),
            }
        };
        self.process.call("enqueue", deadline, effect, |_| Err(ExchangeError::TimedOut)).await
    }
}

/// The outcome of an event that PagerDuty does not simply accept.
enum Answer {
    Failure(HttpAnswer),
    /// It accepts, and the answer is lost.
    Lost,
}

fn fault(sim: &Sim, can_refuse: bool, digest: &Digest) -> Option<Answer> {
    let after = Duration::from_secs(1 + sim.below(40) as u64);
    if sim.plan.outage && sim.is_busy() && digest.target.name.as_str() == "two" {
        return Some(Answer::Failure(answer(503, (sim.below(2) == 0).then_some(after))));
    }
    if !sim.happens(sim.plan.faults.target) {
        return None;
    }
    Some(match sim.below(5) {
        0 => Answer::Failure(answer(429, (sim.below(2) == 0).then_some(after))),
        1 if can_refuse => Answer::Failure(answer(400, None)),
        2 if can_refuse => Answer::Failure(answer(403, None)),
        3 => Answer::Lost,
        _ => Answer::Failure(answer(500, None)),
    })
}

fn answer(status: u16, retry_after: Option<Duration>) -> HttpAnswer {
    HttpAnswer { status, retry_after, body: Vec::new() }
}

impl Event {
    fn read(request: &HttpRequest, mutation: Option<Mutation>) -> Self {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let text = |field: &Value| field.as_str().unwrap().to_owned();
        let severity = body["payload"]["severity"].as_str().map(|name| name.parse().unwrap());
        let mut key = text(&body["dedup_key"]);
        if mutation == Some(Mutation::IncidentForAllSeverities) {
            key = format!("{}/any", burst(&key));
        }
        let is_trigger = body["event_action"] == "trigger";
        let alerts = body["payload"]["custom_details"]["alerts"].as_u64();
        Self { is_trigger, service: text(&body["routing_key"]), key, severity, alerts }
    }
}

/// The name of the burst, or of the digest without one.
fn burst(key: &str) -> &str {
    key.rsplit_once('/').unwrap().0
}

impl PagerDuty {
    fn burst_of(&mut self, event: &Event, digest: &Digest) -> &mut BurstIncidents {
        let name = (event.service.clone(), burst(&event.key).to_owned());
        self.bursts.entry(name).or_insert_with(|| BurstIncidents {
            route: digest.route.clone(),
            target: digest.target.clone(),
            is_fallback: digest.escalated.is_some(),
            is_over: false,
            incidents: BTreeMap::new(),
        })
    }

    /// Only the first trigger of a burst is refused. A refused resolution would be parked, and its
    /// incident left to a person. So would an incident whose trigger was accepted without an answer,
    /// and then refused.
    fn can_refuse(&self, event: &Event) -> bool {
        let name = (event.service.clone(), burst(&event.key).to_owned());
        let is_known = || self.bursts.get(&name).is_some_and(|burst| !burst.incidents.is_empty());
        event.is_trigger && !is_known()
    }

    /// A process sends an event, which may not arrive.
    fn sent(&mut self, event: &Event, digest: &Digest) {
        let burst = self.burst_of(event, digest);
        if event.is_trigger && burst.is_over {
            self.violations.push(format!("a trigger of {} was sent after its end", event.key));
        } else {
            burst.is_over |= !event.is_trigger;
        }
    }

    fn received(&mut self, sim: &Sim, event: &Event, digest: &Digest) {
        let key = &event.key;
        let burst = self.burst_of(event, digest);
        let incidents = burst.incidents.entry(key.clone()).or_default();
        let open = incidents.iter_mut().find(|incident| incident.is_open);
        let Some(severity) = event.severity else {
            open.into_iter().for_each(|incident| incident.is_open = false);
            return;
        };
        let mut violations = Vec::new();
        if open.is_none() {
            if incidents.iter().any(|incident| !incident.by_person) {
                violations.push(format!("{key} was opened again after its end"));
            }
            let by_person = sim.below(8) == 0;
            incidents.push(Incident { severity, is_open: !by_person, by_person });
        }
        if event.alerts != Some(digest.tally.alerts) {
            violations.push(format!("{key} got {:?} alerts", event.alerts));
        }
        let worst = burst.incidents.values().flatten().map(|incident| incident.severity).max();
        if worst < Some(digest.severity) {
            violations.push(format!("{key} woke no one of a {} alert", digest.severity));
        }
        self.violations.extend(violations);
    }

    /// Incidents of bursts that are over, at targets that `routes` still has.
    pub fn left_open(&self, routes: &[Route]) -> Vec<String> {
        let is_configured = |burst: &BurstIncidents| {
            let route = routes.iter().find(|route| route.name == burst.route);
            route.is_some_and(|route| match burst.is_fallback {
                true => route.fallback.as_ref() == Some(&burst.target),
                false => route.notify.contains(&burst.target),
            })
        };
        let bursts = self.bursts.iter().filter(|((_, name), burst)| {
            let number = name.split('/').nth(2).unwrap();
            // Without a burst, the name ends with a range of epochs.
            number.parse::<u64>().is_ok() && is_configured(burst)
        });
        let open = bursts.flat_map(|(_, burst)| {
            let open = |incidents: &Vec<Incident>| incidents.iter().any(|one| one.is_open);
            let open = burst.incidents.iter().filter(move |(_, incidents)| open(incidents));
            open.map(|(key, _)| format!("{key} is open at {}, and its burst is over", burst.target))
        });
        open.collect()
    }
}
