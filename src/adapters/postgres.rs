//! The store on PostgreSQL: the schema `stentor` of one database.
//!
//! **Every method is one SQL statement**, and so one transaction and one round trip. A statement takes
//! effect as a whole or not at all, and none leaves a transaction open, whenever its process ends.
//!
//! The isolation level is READ COMMITTED, the default of PostgreSQL: a statement sees what was committed
//! before it began. That is enough for each method:
//!
//! - `commit` looks for rows that exist, and writes only if it finds none (`commit.rs`). If another
//!   process has stored one of them meanwhile, the primary key of `alert_ids` fails the statement, and the
//!   next attempt finds the row. An insert waits for the transaction that holds the same key, so the
//!   outcome does not depend on timing.
//! - `tallies` sees every tally whose commit returned before the call: that is what READ COMMITTED
//!   promises on a primary server. The pages are in the order of an id that never changes.
//! - `freeze` updates the cursor first, which locks its row. A second freeze waits there, and then finds
//!   another epoch. If it deletes fewer tallies than it counts, the statement fails. A commit is not
//!   affected: it adds a tally that this freeze does not name, and the next one does.
//! - `open`, `claim`, `pull_forward`, `close`, `lease`, `acknowledge`, `release` and `escalate` change
//!   one row `WHERE` their condition holds. PostgreSQL checks the condition again on the latest version
//!   of the row if it had to wait for it.
//! - `acknowledge` and `release` then read the row if their condition did not hold: an earlier attempt,
//!   whose answer was lost, may have made the change. `escalate` reads the value that it replaces before.
//! - `take_turn`, `pause`, `mute` and `note_lag` change one row without a condition.
//!
//! | file | holds |
//! |---|---|
//! | `outbox` | the port: cursors, tallies, epochs, targets, and the conditions on them |
//! | `commit`, `statement_size` | rows and tallies in one statement, fewer at once on a slow database |
//! | `audit`, `erase` | queries of the rows; erasure |
//! | `value` | how values are written to columns and read back |
//! | `call`, `error` | one statement, with its retries; what an error means |
//! | `pool` | connections, and which of them still work |
//! | `settings`, `login`, `tls` | the address, the credentials, the certificates |
//! | `deployed`, `iam` | the same of a deployed stack; tokens instead of a password |
//! | `schema`, `maintain` | the migrations, and whether the database has them; partitions and expiry |

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use crate::adapters::clock::SystemClock;
use crate::adapters::noted_lag::NotedLag;
use crate::adapters::random::Random;

mod audit;
mod call;
mod commit;
#[cfg(feature = "stack")]
pub mod deployed;
#[cfg(feature = "cli")]
mod erase;
mod error;
mod history;
#[cfg(feature = "stack")]
mod iam;
mod login;
mod maintain;
mod outbox;
mod pool;
pub mod schema;
mod settings;
mod statement_size;
mod tls;
mod value;

pub use login::{Address, Login, SecretReader, TokenMaker};
pub use settings::{PostgresSettings, SettingsError, TlsMode};

/// The store on PostgreSQL.
#[derive(Debug)]
pub struct PostgresStore<C = SystemClock> {
    pool: pool::Pool,
    statement_size: statement_size::StatementSize,
    clock: C,
    random: Random,
    /// Rows of a day are dropped when they are this old. `None`: this process does not know, and drops none.
    kept_days: Option<u16>,
    noted_lag: NotedLag,
    /// When this process last maintained the tables, in milliseconds since 1970.
    maintained_at: AtomicI64,
}

/// The longest that a statement of the protocol takes.
const ATTEMPT_MAX: Duration = Duration::from_secs(5);

impl<C> PostgresStore<C> {
    /// Connects on first use. `rng` makes the jitter of retries.
    pub fn new(settings: PostgresSettings, clock: C, rng: fastrand::Rng) -> Self {
        Self {
            pool: pool::Pool::new(settings),
            statement_size: statement_size::StatementSize::default(),
            clock,
            random: Random::new(rng),
            kept_days: None,
            noted_lag: NotedLag::default(),
            maintained_at: AtomicI64::default(),
        }
    }

    /// Rows are kept for so many days, at least 21. Without it, nothing is dropped.
    #[must_use]
    pub fn keeping(self, days: u16) -> Self {
        Self { kept_days: Some(days), ..self }
    }

    /// Server and database, for people. Without the credentials.
    pub fn place(&self) -> &str {
        self.pool.place()
    }
}
