//! A window of any size closes in bounded memory: its tallies and epochs are never held all at once.

use std::borrow::Borrow;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use stentor::adapters::clock::SystemClock;
use stentor::config::Config;
use stentor::ingest::route::Routes;
use stentor::model::alert::{Alert, AlertId, Origin};
use stentor::model::burst::BurstState;
use stentor::model::digest::Digest;
use stentor::model::history::{History, Mark};
use stentor::model::name::{RouteName, Target};
use stentor::model::outbox::{
    Acknowledgement, BurstPatterns, Claim, Cursor, Deferral, Epoch, Escalation, Freeze, Lease,
    Opening, Recipient, StoredTally, TallyKey, TallyPage, TallyPosition, TargetState, Window,
};
use stentor::model::pattern::Pattern;
use stentor::model::tally::Tally;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::close::close;
use stentor::protocol::dead_letter::ParkedItem;
use stentor::protocol::notify::{Accepted, Deliver, DeliverError};
use stentor::protocol::queue::{DeadLetterQueue, Due, DueQueue, QueueError};
use stentor::protocol::services::Services;
use stentor::protocol::store::{Commit, HistoryChange, Store, StoreError};

use crate::counting::Held;

const TALLIES: usize = 1_000_000;
const BYTES_MAX: usize = 64 << 20;

/// A window with so many tallies. They are made when they are read, so the store takes no memory.
struct Flood {
    routes: Routes,
    tally: Tally,
    state: Mutex<FloodState>,
    delivered: Mutex<u64>,
}

struct FloodState {
    cursor: Cursor,
    frozen: usize,
    burst: Option<BurstState>,
    target: TargetState,
}

impl Flood {
    fn new() -> Self {
        let config = "[[route]]\nname='r'\nmarkers=['[A]']\nnotify=['slack:a']\n";
        let routes = Routes::new(&Config::parse(config, "f").unwrap()).unwrap();
        let window = Window { number: 1, due: Timestamp::from_millis(0), claim: None };
        let cursor = Cursor { last_window: 1, open: Some(window), ..Cursor::default() };
        let (burst, target) = (None, TargetState::default());
        let state = FloodState { cursor, frozen: 0, burst, target };
        let alerts: Vec<Alert> = (0..10).map(alert).collect();
        let tally = Tally::of(&alerts);
        Self { routes, tally, state: Mutex::new(state), delivered: Mutex::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, FloodState> {
        self.state.lock().unwrap()
    }
}

fn alert(n: u32) -> Alert {
    let origin = Origin::new("123456789012", "/aws/lambda/shop", "stream", Some("eu-west-1"), "s");
    let message = format!("[A] connection to database-{n} failed: no route to host {}", n % 3);
    Alert {
        id: AlertId::new(&n.to_string(), &origin),
        timestamp: Timestamp::from_millis(1_795_443_306_789 + i64::from(n)),
        marker: "[A]".into(),
        pattern: Pattern::of(&message, "[A]"),
        message,
        left_out: 0,
        context: None,
        statement: None,
        routes: ["r".parse().unwrap()].into(),
        severities: [].into(),
        account_id: "123456789012".into(),
        region: None,
        origin: origin.into(),
    }
}

pub fn a_window_of_a_million_tallies_closes_in_bounded_memory() {
    let flood = Flood::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let deadline = Deadline::after(SystemClock.now(), Duration::from_secs(600));
    let before = Held::now();
    let closed = runtime.block_on(close(&flood, &"r".parse().unwrap(), 0, deadline));
    let used = before.peak_above();
    assert!(closed.retry.is_none(), "{:?}", closed.retry);
    assert_eq!(flood.state().frozen, TALLIES);
    assert_eq!(*flood.delivered.lock().unwrap(), 10 * TALLIES as u64, "alerts");
    assert!(used < BYTES_MAX, "{} MiB", used >> 20);
}

impl Services for Flood {
    type Store = Self;
    type Due = Self;
    type DeadLetters = Self;
    type Deliver = Self;
    type Clock = SystemClock;

    fn routes(&self) -> &Routes {
        &self.routes
    }

    fn store(&self) -> &Self {
        self
    }

    fn due(&self) -> Option<&Self> {
        Some(self)
    }

    fn dead_letters(&self) -> &Self {
        self
    }

    fn deliver(&self) -> &Self {
        self
    }

    fn clock(&self) -> &SystemClock {
        &SystemClock
    }

    fn random(&self) -> u64 {
        7
    }
}

impl DueQueue for Flood {
    async fn send(&self, _: &Due, _: Duration, _: Deadline) -> Result<(), QueueError> {
        Ok(())
    }
}

impl DeadLetterQueue for Flood {
    async fn park(&self, items: &[ParkedItem], _: Deadline) -> Vec<Result<(), QueueError>> {
        panic!("{items:?}")
    }

    async fn put_back(&self, bodies: &[String], _: Deadline) -> Vec<Result<(), QueueError>> {
        panic!("{bodies:?}")
    }
}

impl Deliver for Flood {
    async fn deliver(
        &self,
        digest: &Digest,
        _: Option<&str>,
        _: Deadline,
    ) -> Result<Accepted, DeliverError> {
        *self.delivered.lock().unwrap() += digest.tally.alerts;
        Ok(Accepted::default())
    }
}

impl Store for Flood {
    async fn commit(&self, _: &[impl Borrow<Alert> + Sync], _: Deadline) -> Vec<Commit> {
        unreachable!("nothing is committed")
    }

    async fn cursor(&self, _: &RouteName, _: Deadline) -> Result<Cursor, StoreError> {
        Ok(self.state().cursor.clone())
    }

    async fn routes(&self, _: Deadline) -> Result<Vec<RouteName>, StoreError> {
        Ok(vec!["r".parse().unwrap()])
    }

    async fn open(&self, _: &RouteName, _: &Opening, _: Deadline) -> Result<bool, StoreError> {
        unreachable!("a window is open")
    }

    async fn claim(
        &self,
        _: &RouteName,
        _: u64,
        _: Option<Claim>,
        _: Option<Claim>,
        _: Deadline,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn pull_forward(
        &self,
        _: &RouteName,
        _: &Window,
        _: &BurstPatterns,
        _: Deadline,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn close(
        &self,
        _: &RouteName,
        window: u64,
        burst: Option<BurstState>,
        _: Deadline,
    ) -> Result<bool, StoreError> {
        let cursor = &mut self.state().cursor;
        (cursor.closing, cursor.open, cursor.burst) = (Some(window), None, burst);
        Ok(true)
    }

    async fn tallies(
        &self,
        _: &RouteName,
        position: Option<&TallyPosition>,
        limit: usize,
        _: Deadline,
    ) -> Result<TallyPage, StoreError> {
        let first = position.map_or(0, |TallyPosition(text)| text.parse::<usize>().unwrap());
        let last = (first + limit).min(TALLIES);
        let tally = |n: usize| StoredTally {
            key: TallyKey::new("r#0".to_owned(), format!("tally#{n:07}")),
            tally: self.tally.clone(),
        };
        let next = (last < TALLIES).then(|| TallyPosition(last.to_string()));
        Ok(TallyPage { tallies: (first..last).map(tally).collect(), next })
    }

    async fn has_tallies(&self, _: &RouteName, _: u64, _: Deadline) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn freeze(
        &self,
        _: &RouteName,
        freeze: &Freeze,
        _: Deadline,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        state.frozen += freeze.tallies.len();
        state.burst = freeze.burst;
        let cursor = &mut state.cursor;
        cursor.burst = freeze.burst;
        if let Some(epoch) = &freeze.epoch {
            cursor.epoch = epoch.number;
            epoch.owed.iter().for_each(|target| {
                cursor.targets.entry(target.clone()).or_insert(freeze.after);
            });
        }
        if let Some(finish) = &freeze.finish {
            (cursor.closing, cursor.sealed) = (None, cursor.epoch);
            cursor.open = finish.next.as_ref().map(|next| next.window.clone());
        }
        Ok(true)
    }

    /// All epochs but the last have a full page of tallies.
    async fn epochs(
        &self,
        _: &RouteName,
        after: u64,
        upto: u64,
        limit: usize,
        _: Deadline,
    ) -> Result<Vec<Epoch>, StoreError> {
        let page = Self::FREEZE_TALLIES_MAX;
        let epoch = |number: u64| {
            let before = usize::try_from(number - 1).unwrap() * page;
            let tallies = vec![&self.tally; page.min(TALLIES - before)];
            Epoch {
                number,
                window: 1,
                at: Timestamp::from_millis(0),
                tally: Tally::sum(tallies),
                owed: vec!["slack:a".parse().unwrap()],
                burst: self.state().burst.map(|state| state.burst),
                ends_burst: false,
                hold: None,
                released: None,
            }
        };
        Ok((after + 1..=upto).take(limit).map(epoch).collect())
    }

    async fn target(
        &self,
        _: &RouteName,
        _: Recipient<'_>,
        _: Deadline,
    ) -> Result<TargetState, StoreError> {
        Ok(self.state().target.clone())
    }

    async fn lease(
        &self,
        _: &RouteName,
        _: Recipient<'_>,
        _: &Lease,
        _: &TargetState,
        _: Timestamp,
        _: Deadline,
    ) -> Result<Option<TargetState>, StoreError> {
        Ok(Some(self.state().target.clone()))
    }

    async fn take_turn(
        &self,
        _: &Target,
        _: Duration,
        now: Timestamp,
        _: Deadline,
    ) -> Result<Timestamp, StoreError> {
        Ok(now)
    }

    async fn acknowledge(
        &self,
        _: &RouteName,
        _: Recipient<'_>,
        _: &Lease,
        acknowledgement: &Acknowledgement,
        _: Deadline,
    ) -> Result<bool, StoreError> {
        self.state().target.offset = Some(acknowledgement.offset);
        Ok(true)
    }

    async fn release(
        &self,
        _: &RouteName,
        _: Recipient<'_>,
        _: &Lease,
        _: &Deferral,
        _: Deadline,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn pause(&self, _: &Target, _: Timestamp, _: Deadline) -> Result<(), StoreError> {
        Ok(())
    }

    async fn escalate(
        &self,
        _: &RouteName,
        _: &Target,
        _: &TargetState,
        _: u64,
        _: &Escalation,
        _: Deadline,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn note_lag(&self, _until: Timestamp, _deadline: Deadline) -> Result<(), StoreError> {
        Ok(())
    }

    async fn lagging_until(&self, _deadline: Deadline) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn mute(
        &self,
        _: &RouteName,
        _: Option<Timestamp>,
        _: Deadline,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn retire(
        &self,
        _: &RouteName,
        _: &Cursor,
        _: u64,
        _: &[Target],
        _: Deadline,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn histories(
        &self,
        _: &RouteName,
        _: &[String],
        _: Deadline,
    ) -> Result<Vec<(String, History)>, StoreError> {
        Ok(vec![])
    }

    async fn put_histories(
        &self,
        _: &RouteName,
        _: &[HistoryChange],
        _: Deadline,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn set_counted(
        &self,
        _: &RouteName,
        upto: u64,
        _: Timestamp,
        _: Deadline,
    ) -> Result<(), StoreError> {
        self.state().cursor.counted = upto;
        Ok(())
    }

    async fn mark(&self, _: &Mark, _: Deadline) -> Result<(), StoreError> {
        unreachable!("nothing is marked")
    }

    async fn marks(&self, _: Timestamp, _: Deadline) -> Result<Vec<Mark>, StoreError> {
        Ok(vec![])
    }
}
