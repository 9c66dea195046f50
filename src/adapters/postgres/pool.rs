//! A few connections. A caller borrows one for one statement and gives it back only if the statement has
//! ended: one that was cut off may still run, so its connection is closed.
//!
//! Lambda freezes a process between invocations, and a firewall or a proxy drops connections that say
//! nothing. So a connection that was not used for some seconds is asked first, and closed if it does not
//! answer. A failed statement is repeated on another connection by `call`.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, SimpleQueryMessage};

use super::error::{StatementError, is_login_refused, statement_error};
use super::login::Reading;
use super::schema;
use super::settings::{PostgresSettings, TlsMode, complete};
use super::tls::Tls;
use crate::model::error::Cause;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock, Deadline};

/// A connection that was idle for longer is asked before it is used.
const ASKED_AFTER: Duration = Duration::from_secs(5);
/// How long it may take to connect and to log in.
const LOGIN_MAX: Duration = Duration::from_secs(5);
/// How long an idle connection may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Pool {
    settings: PostgresSettings,
    /// Made on first use.
    verified: OnceLock<Tls>,
    /// The latest used is the last.
    idle: Mutex<Vec<Idle>>,
    permits: Semaphore,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Timestamp,
}

/// A connection, and the task that drives it.
#[derive(Debug)]
pub(super) struct Connection {
    session: Client,
    task: JoinHandle<()>,
    /// The limit that the server has for a statement.
    pub(super) statement_max: Duration,
}

/// Why there is no new connection.
enum ConnectError {
    /// The server has refused these credentials.
    Login(Reading, StatementError),
    Other(StatementError),
}

/// A connection of a pool. It is closed unless it is given back.
pub(super) struct Lent<'p> {
    connection: Connection,
    pool: &'p Pool,
    _permit: SemaphorePermit<'p>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Pool {
    pub(super) fn new(settings: PostgresSettings) -> Self {
        let permits = Semaphore::new(settings.connections_max);
        Self { settings, verified: OnceLock::new(), idle: Mutex::default(), permits }
    }

    pub(super) fn place(&self) -> &str {
        self.settings.place()
    }

    /// The most connections.
    pub(super) fn size(&self) -> usize {
        self.settings.connections_max
    }

    /// A connection that works, as far as can be known. Waits until one is free.
    pub(super) async fn lend(
        &self,
        clock: &impl Clock,
        deadline: Deadline,
    ) -> Result<Lent<'_>, StatementError> {
        let permit = clock.timeout(deadline, self.permits.acquire()).await;
        let permit = permit.ok_or_else(|| {
            StatementError::Transient(Cause::new("no-connection", "all connections are in use"))
        })?;
        let permit = permit.expect("invariant: the pool is never closed");
        while let Some(Idle { connection, since }) = self.take_idle() {
            let now = clock.now();
            let is_recent = since.until(now) < ASKED_AFTER && now >= since;
            if is_recent || connection.answers(clock, deadline).await {
                return Ok(Lent { connection, pool: self, _permit: permit });
            }
        }
        let soon = deadline.min(Deadline::after(clock.now(), LOGIN_MAX));
        let connect = Box::pin(self.connect(clock, soon, true));
        let connected = clock.timeout(soon, connect).await.unwrap_or_else(|| {
            self.settings.login.failed(clock.now());
            Err(StatementError::Transient(Cause::no_answer()))
        });
        Ok(Lent { connection: connected?, pool: self, _permit: permit })
    }

    fn take_idle(&self) -> Option<Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(last) = idle.pop() {
            if !last.connection.session.is_closed() {
                return Some(last);
            }
        }
        None
    }

    /// A new connection. `checked`: to a database that has the migrations of this program.
    pub(super) async fn connect(
        &self,
        clock: &impl Clock,
        deadline: Deadline,
        checked: bool,
    ) -> Result<Connection, StatementError> {
        let login = &self.settings.login;
        let mut connected = self.connect_once(clock, deadline, checked).await;
        if let Err(ConnectError::Login(reading, _)) = &connected
            && login.refused(*reading, clock.now()).await
        {
            connected = self.connect_once(clock, deadline, checked).await;
        }
        connected.map_err(|error| match error {
            ConnectError::Login(_, error) => error,
            ConnectError::Other(error) => {
                login.failed(clock.now());
                error
            }
        })
    }

    async fn connect_once(
        &self,
        clock: &impl Clock,
        deadline: Deadline,
        checked: bool,
    ) -> Result<Connection, ConnectError> {
        let refused = |cause| ConnectError::Other(StatementError::Refused(cause));
        let config = self.settings.login.config(clock.now(), deadline).await;
        let (mut config, reading): (Config, Reading) =
            config.map_err(|cause| match &*cause.code {
                "malformed-secret" => refused(cause),
                _ => ConnectError::Other(StatementError::Transient(cause)),
            })?;
        let mode = self.settings.tls_to(&config);
        complete(&mut config, mode);
        let tls = self.tls(mode).map_err(refused)?;
        let (session, driver) =
            config.connect(tls).await.map_err(|error| match is_login_refused(&error) {
                true => ConnectError::Login(reading, statement_error(&error)),
                false => ConnectError::Other(statement_error(&error)),
            })?;
        let task = tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!("A connection to the database has ended: {error}");
            }
        });
        let connection = Connection { session, task, statement_max: super::ATTEMPT_MAX };
        let prepared = connection.prepare(checked).await;
        prepared.map(|()| connection).map_err(ConnectError::Other)
    }

    fn tls(&self, mode: TlsMode) -> Result<Tls, Cause> {
        match (mode, self.verified.get()) {
            (TlsMode::Off, _) => Tls::unused(),
            (TlsMode::Verified, Some(tls)) => Ok(tls.clone()),
            (TlsMode::Verified, None) => {
                let tls = Tls::trusting(self.settings.root_certificates.as_deref())?;
                Ok(self.verified.get_or_init(|| tls).clone())
            }
        }
    }

    /// Closes the connections that are not in use.
    pub(super) fn forget_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Connection {
    pub(super) fn client(&self) -> &Client {
        &self.session
    }

    async fn answers(&self, clock: &impl Clock, deadline: Deadline) -> bool {
        let soon = deadline.min(Deadline::after(clock.now(), ANSWER_MAX));
        let answer = clock.timeout(soon, self.session.check_connection()).await;
        answer.is_some_and(|answer| answer.is_ok())
    }

    /// Sets what the statements rely on, and checks the schema, in one round trip.
    async fn prepare(&self, checked: bool) -> Result<(), StatementError> {
        let max_ms = self.statement_max.as_millis();
        // An acknowledged commit must outlive a crash of the server. The compiler of queries takes longer
        // than any of these statements.
        let mut batch = format!(
            "SET statement_timeout = {max_ms}; \
             SET default_transaction_isolation = 'read committed'; \
             SET jit = off; \
             SELECT set_config('synchronous_commit', 'on', false) \
                 WHERE current_setting('synchronous_commit') = 'off'; "
        );
        if checked {
            batch.push_str(schema::VERSION_QUERY);
        }
        let answers = self.session.simple_query(&batch).await;
        let answers = answers.map_err(|error| statement_error(&error))?;
        if !checked {
            return Ok(());
        }
        let version = answers.iter().rev().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => {
                Some((row.get(0)?.parse().ok()?, row.get(1)?.parse().ok()?))
            }
            _ => None,
        });
        schema::check_version(version).map_err(StatementError::Refused)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Otherwise it would stay open until its statement has ended.
        self.task.abort();
    }
}

impl Lent<'_> {
    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Lets others use the connection. Its statement has ended.
    pub(super) fn give_back(self, now: Timestamp) {
        let Self { connection, pool, _permit } = self;
        let idle = Idle { connection, since: now };
        pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
    }
}
