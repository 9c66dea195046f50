//! The store of a deployment: DynamoDB, or PostgreSQL instead of it. Which one is a setting, so one
//! program has both.

use std::borrow::Borrow;
use std::time::Duration;

use crate::adapters::clock::SystemClock;
use crate::adapters::dynamodb::DynamoStore;
#[cfg(feature = "postgres")]
use crate::adapters::postgres::PostgresStore;
use crate::model::alert::Alert;
use crate::model::audit::{AlertQuery, AuditRow};
use crate::model::burst::BurstState;
use crate::model::history::{History, Mark};
use crate::model::name::{RouteName, Target};
#[cfg(feature = "cli")]
use crate::model::outbox::TallyKey;
use crate::model::outbox::{
    Acknowledgement, BurstPatterns, Claim, Cursor, Deferral, Epoch, Escalation, Freeze, Lease,
    Opening, Recipient, TallyPage, TallyPosition, TargetState, Window,
};
#[cfg(feature = "cli")]
use crate::model::tally::Tally;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::{Commit, HistoryChange, Store, StoreError};
#[cfg(feature = "cli")]
use crate::redact::erase::{ErasedRow, Erasure};

/// One of the engines.
pub enum Database<C = SystemClock> {
    Dynamo(DynamoStore<C>),
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore<C>),
}

impl<C> From<DynamoStore<C>> for Database<C> {
    fn from(store: DynamoStore<C>) -> Self {
        Self::Dynamo(store)
    }
}

#[cfg(feature = "postgres")]
impl<C> From<PostgresStore<C>> for Database<C> {
    fn from(store: PostgresStore<C>) -> Self {
        Self::Postgres(store)
    }
}

/// Calls a method of the engine.
macro_rules! of_engine {
    ($database:expr, $store:ident => $call:expr) => {
        match $database {
            Self::Dynamo($store) => $call,
            #[cfg(feature = "postgres")]
            Self::Postgres($store) => $call,
        }
    };
}

/// The methods of the port that only pass their arguments on.
macro_rules! passed_on {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(async fn $name(&self, $($argument: $type,)* deadline: Deadline) -> $result {
            of_engine!(self, store => store.$name($($argument,)* deadline).await)
        })*
    };
}

impl<C: Clock> Store for Database<C> {
    async fn commit(
        &self,
        alerts: &[impl Borrow<Alert> + Sync],
        deadline: Deadline,
    ) -> Vec<Commit> {
        of_engine!(self, store => store.commit(alerts, deadline).await)
    }

    passed_on! {
        cursor(route: &RouteName) -> Result<Cursor, StoreError>;
        routes() -> Result<Vec<RouteName>, StoreError>;
        open(route: &RouteName, opening: &Opening) -> Result<bool, StoreError>;
        claim(
            route: &RouteName,
            window: u64,
            known: Option<Claim>,
            claim: Option<Claim>
        ) -> Result<bool, StoreError>;
        pull_forward(
            route: &RouteName,
            window: &Window,
            patterns: &BurstPatterns
        ) -> Result<bool, StoreError>;
        close(route: &RouteName, window: u64, burst: Option<BurstState>) -> Result<bool, StoreError>;
        tallies(
            route: &RouteName,
            position: Option<&TallyPosition>,
            limit: usize
        ) -> Result<TallyPage, StoreError>;
        has_tallies(route: &RouteName, round: u64) -> Result<bool, StoreError>;
        freeze(route: &RouteName, freeze: &Freeze) -> Result<bool, StoreError>;
        epochs(
            route: &RouteName,
            after: u64,
            upto: u64,
            limit: usize
        ) -> Result<Vec<Epoch>, StoreError>;
        target(route: &RouteName, recipient: Recipient<'_>) -> Result<TargetState, StoreError>;
        lease(
            route: &RouteName,
            recipient: Recipient<'_>,
            lease: &Lease,
            known: &TargetState,
            now: Timestamp
        ) -> Result<Option<TargetState>, StoreError>;
        take_turn(
            target: &Target,
            interval: Duration,
            now: Timestamp
        ) -> Result<Timestamp, StoreError>;
        acknowledge(
            route: &RouteName,
            recipient: Recipient<'_>,
            lease: &Lease,
            acknowledgement: &Acknowledgement
        ) -> Result<bool, StoreError>;
        release(
            route: &RouteName,
            recipient: Recipient<'_>,
            lease: &Lease,
            deferral: &Deferral
        ) -> Result<bool, StoreError>;
        pause(target: &Target, until: Timestamp) -> Result<(), StoreError>;
        escalate(
            route: &RouteName,
            fallback: &Target,
            known: &TargetState,
            offset: u64,
            escalation: &Escalation
        ) -> Result<bool, StoreError>;
        note_lag(until: Timestamp) -> Result<(), StoreError>;
        lagging_until() -> Result<Option<Timestamp>, StoreError>;
        mute(route: &RouteName, until: Option<Timestamp>) -> Result<(), StoreError>;
        retire(
            route: &RouteName,
            cursor: &Cursor,
            upto: u64,
            gone: &[Target]
        ) -> Result<(), StoreError>;
        histories(
            route: &RouteName,
            ids: &[String]
        ) -> Result<Vec<(String, History)>, StoreError>;
        put_histories(route: &RouteName, changes: &[HistoryChange]) -> Result<bool, StoreError>;
        set_counted(route: &RouteName, upto: u64, now: Timestamp) -> Result<(), StoreError>;
        mark(mark: &Mark) -> Result<(), StoreError>;
        marks(since: Timestamp) -> Result<Vec<Mark>, StoreError>;
        maintain() -> Result<(), StoreError>;
    }
}

impl<C: Clock> Database<C> {
    /// Finds alerts page by page. `show` gets the rows in order, the latest first, and returns
    /// whether it wants more.
    ///
    /// # Errors
    /// When a call does not return by its `deadline`, or the error of `show`.
    pub async fn find_alerts<E: From<StoreError>>(
        &self,
        query: &AlertQuery,
        deadline: impl Fn() -> Deadline,
        show: impl FnMut(AuditRow) -> Result<bool, E>,
    ) -> Result<(), E> {
        of_engine!(self, store => store.find_alerts(query, deadline, show).await)
    }

    /// The latest alert of a query.
    ///
    /// # Errors
    /// When a call does not return by its `deadline`.
    pub async fn find_alert(
        &self,
        query: &AlertQuery,
        deadline: impl Fn() -> Deadline,
    ) -> Result<Option<AuditRow>, StoreError> {
        let mut found = None;
        let take = |row| {
            found = Some(row);
            Ok::<_, StoreError>(false)
        };
        self.find_alerts(query, deadline, take).await?;
        Ok(found)
    }

    /// The row of an alert; `None` if there is none.
    ///
    /// # Errors
    /// When the call does not return by its `deadline`.
    pub async fn alert(
        &self,
        log_id: &str,
        deadline: Deadline,
    ) -> Result<Option<AuditRow>, StoreError> {
        of_engine!(self, store => store.alert(log_id, deadline).await)
    }

    /// Every history of a route, by the ids of the patterns.
    ///
    /// # Errors
    /// When a call does not return by its `deadline`.
    pub async fn all_histories(
        &self,
        route: &RouteName,
        deadline: Deadline,
    ) -> Result<Vec<(String, History)>, StoreError> {
        of_engine!(self, store => store.all_histories(route, deadline).await)
    }

    /// Erases rows. Returns how many there were.
    ///
    /// # Errors
    /// When a call does not return by the deadline, or this role may not do it.
    #[cfg(feature = "cli")]
    pub async fn erase_rows(
        &self,
        rows: &[ErasedRow],
        deadline: Deadline,
    ) -> Result<u64, StoreError> {
        of_engine!(self, store => store.erase_rows(rows, deadline).await)
    }

    /// Replaces a tally. Returns whether it was still there.
    ///
    /// # Errors
    /// When the call does not return by the deadline.
    #[cfg(feature = "cli")]
    pub async fn replace_tally(
        &self,
        route: &RouteName,
        key: &TallyKey,
        tally: &Tally,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        of_engine!(self, store => store.replace_tally(route, key, tally, deadline).await)
    }

    /// Erases an epoch. Returns whether it held the subject.
    ///
    /// # Errors
    /// When a call does not return by the deadline.
    #[cfg(feature = "cli")]
    pub async fn erase_epoch(
        &self,
        route: &RouteName,
        number: u64,
        erasure: &Erasure,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        of_engine!(self, store => store.erase_epoch(route, number, erasure, deadline).await)
    }

    /// The id that tells this database from others of the same name.
    ///
    /// # Errors
    /// When it does not exist, or the call does not return by its `deadline`.
    pub async fn id(&self, deadline: Deadline) -> Result<String, StoreError> {
        match self {
            Self::Dynamo(store) => store.alerts_table_id(deadline).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.installation_id(deadline).await,
        }
    }

    /// Where the alerts are, for people: `the table AppLogs`, `the database file .stentor/stentor.db`.
    pub fn alerts_place(&self) -> String {
        match self {
            Self::Dynamo(store) => store.place(&store.tables().alerts),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => format!("the database {}", store.place()),
        }
    }

    /// Where the state of the routes is, for people.
    pub fn outbox_place(&self) -> String {
        match self {
            Self::Dynamo(store) => store.place(&store.tables().outbox),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => format!("the database {}", store.place()),
        }
    }
}
