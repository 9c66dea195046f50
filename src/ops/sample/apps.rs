//! The applications in the samples, and how often each failure occurs: a database has run out of
//! connections, and the other applications fail in turn. There are eleven templates of alerts, and
//! the first of each application makes up most of its alerts. `lines` has the texts.

mod lines;

use super::payload::SampleSource;
use super::rng::{Rng, SampleClock};

pub(super) struct SampleApp {
    log_group: &'static str,
    stream: fn(&mut Rng, &SampleClock) -> String,
    pub plain: fn(&mut Rng, &SampleClock) -> String,
    alerts: &'static [Alert],
}

struct Alert {
    /// Percentage of the application's alerts.
    weight: usize,
    /// Index of its marker, modulo the number of markers.
    marker: usize,
    line: fn(&mut Rng, &SampleClock, &str) -> String,
}

const fn alert(
    weight: usize,
    marker: usize,
    line: fn(&mut Rng, &SampleClock, &str) -> String,
) -> Alert {
    Alert { weight, marker, line }
}

const APPS: [SampleApp; 8] = [
    SampleApp {
        log_group: "/ecs/payments-api",
        stream: |rng, _| format!("payments/api/{}", rng.hex(32)),
        plain: lines::payments,
        alerts: &[alert(88, 0, lines::payments_pool), alert(12, 1, lines::payments_card)],
    },
    SampleApp {
        log_group: "/aws/lambda/checkout",
        stream: |rng, at| format!("{}/[$LATEST]{}", at.date('/'), rng.hex(32)),
        plain: lines::checkout,
        alerts: &[alert(85, 0, lines::checkout_circuit), alert(15, 1, lines::checkout_token)],
    },
    SampleApp {
        log_group: "/aws/rds/instance/orders-db/postgresql",
        stream: |_, _| "orders-db.0".to_owned(),
        plain: lines::postgres,
        alerts: &[alert(100, 0, lines::postgres_slots)],
    },
    SampleApp {
        log_group: "/aws/eks/prod/ingress",
        stream: |rng, _| format!("ingress-nginx-controller-{}-{}", rng.hex(9), rng.hex(5)),
        plain: lines::ingress,
        alerts: &[alert(100, 1, lines::ingress_timeout)],
    },
    SampleApp {
        log_group: "/ecs/inventory-worker",
        stream: |rng, _| format!("inventory/worker/{}", rng.hex(32)),
        plain: lines::inventory,
        alerts: &[alert(80, 0, lines::inventory_lag), alert(20, 0, lines::inventory_dsn)],
    },
    SampleApp {
        log_group: "/aws/lambda/notify-customer",
        stream: |rng, at| format!("{}/[14]{}", at.date('/'), rng.hex(32)),
        plain: lines::notify,
        alerts: &[alert(100, 1, lines::notify_refused)],
    },
    SampleApp {
        log_group: "/ec2/billing-batch",
        stream: |rng, _| format!("i-0{}", rng.hex(16)),
        plain: lines::billing,
        alerts: &[alert(100, 1, lines::billing_export)],
    },
    SampleApp {
        log_group: "/aws/apigateway/public-api",
        stream: |rng, _| rng.hex(32),
        plain: lines::gateway,
        alerts: &[alert(100, 0, lines::gateway_errors)],
    },
];

impl SampleApp {
    /// A line with one of the markers, if there are any.
    pub(super) fn alert(&self, rng: &mut Rng, at: &SampleClock, markers: &[&str]) -> String {
        let mut roll = rng.below(100);
        let is_rolled = |alert: &&Alert| {
            let rolled = roll < alert.weight;
            roll = roll.saturating_sub(alert.weight);
            rolled
        };
        let alert = self.alerts.iter().find(is_rolled).expect("invariant: weights add up to 100");
        let marker = match markers {
            [] => "",
            _ => markers[alert.marker % markers.len()],
        };
        (alert.line)(rng, at, marker)
    }
}

/// The application of a log group, and one of its log streams. Both depend on the arguments only,
/// so all records of a stream have the same name and partition key.
pub(super) fn source(
    seed: u64,
    group: usize,
    account: usize,
    stream: usize,
    at: &SampleClock,
) -> (&'static SampleApp, SampleSource) {
    let app = &APPS[group % APPS.len()];
    let mut rng = Rng::new(seed ^ ((group as u64) << 40 | (account as u64) << 8 | stream as u64));
    let log_group = match group / APPS.len() {
        0 => app.log_group.to_owned(),
        copy => format!("{}-{}", app.log_group, copy + 1),
    };
    let source = SampleSource {
        owner: owner(account),
        log_group,
        log_stream: (app.stream)(&mut rng, at),
        partition_key: rng.hex(32),
    };
    (app, source)
}

/// 222233334444, 333344445555, …
fn owner(account: usize) -> String {
    const STEP: u64 = 111_111_111_111;
    format!("{:012}", (account as u64 % 1_000_000 * STEP + 222_233_334_444) % 1_000_000_000_000)
}
