//! How a process logs in: with the credentials of a URL, with those of a secret that rotates, or with a
//! token that is made for each connection.
//!
//! A secret is read on first use, and again when the server refuses its password or no connection can be
//! made, but not again within 15 seconds. A connection that is open stays open when the password changes.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio_postgres::Config;

use crate::adapters::secret::SecretError;
use crate::model::error::Cause;
use crate::model::time::Timestamp;
use crate::protocol::clock::Deadline;

/// For this time after it was read, the secret is not read again.
const REFRESHED_AFTER: Duration = Duration::from_secs(15);

/// The port of PostgreSQL.
const PORT: u16 = 5432;

/// Reads the text of the secret.
pub type SecretReader =
    Box<dyn Fn(Deadline) -> BoxFuture<'static, Result<Option<String>, SecretError>> + Send + Sync>;

/// The password of a user at a server, made for one connection.
pub type TokenMaker = Box<
    dyn Fn(&str, u16, &str, Deadline) -> BoxFuture<'static, Result<String, Cause>> + Send + Sync,
>;

/// The address and the credentials.
#[derive(Clone)]
pub enum Login {
    /// They never change.
    Fixed(Box<Config>),
    Secret(std::sync::Arc<SecretLogin>),
}

/// The credentials in a secret: the JSON that RDS writes.
pub struct SecretLogin {
    reader: SecretReader,
    /// Replace what the secret says. The secret of a user that RDS manages has only name and password.
    address: Address,
    token: Option<TokenMaker>,
    cached: Mutex<Cached>,
}

/// Tells what was read at one time from what is read later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading(u64);

/// Where the database is, as far as the settings say it.
#[derive(Clone, Debug, Default)]
pub struct Address {
    pub host: Option<String>,
    pub port: Option<u16>,
    pub database: Option<String>,
}

/// The content of the secret.
#[derive(Default)]
struct Cached {
    known: Option<Known>,
    /// That of the next time.
    reading: Reading,
}

#[derive(Clone)]
struct Known {
    config: Config,
    reading: Reading,
    read_at: Timestamp,
    /// No connection could be made with it. It is read again, and used if that fails.
    is_doubtful: bool,
}

/// The keys of the secret that matter. RDS writes the port as a number, people write it as a text.
#[derive(Deserialize)]
struct SecretFields {
    host: Option<String>,
    port: Option<serde_json::Value>,
    username: Option<String>,
    password: Option<String>,
    dbname: Option<String>,
}

impl Login {
    /// The credentials of a secret. With a `token`, the password of the secret is not used.
    pub fn secret(reader: SecretReader, address: Address, token: Option<TokenMaker>) -> Self {
        let cached = Mutex::default();
        Self::Secret(std::sync::Arc::new(SecretLogin { reader, address, token, cached }))
    }

    /// The settings of the next connection.
    ///
    /// # Errors
    /// When the secret cannot be read or lacks something.
    pub(super) async fn config(
        &self,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(Config, Reading), Cause> {
        match self {
            Self::Fixed(config) => Ok(((**config).clone(), Reading::default())),
            Self::Secret(secret) => secret.config(now, deadline).await,
        }
    }

    /// The server has refused the credentials of `reading`. Returns whether the next connection has
    /// others: another caller has read them since, or they are read again.
    pub(super) async fn refused(&self, reading: Reading, now: Timestamp) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Secret(secret) => secret.refused(reading, now).await,
        }
    }

    /// No connection could be made: the address may have changed.
    pub(super) fn failed(&self, now: Timestamp) {
        if let Self::Secret(secret) = self {
            secret.failed(now);
        }
    }
}

impl SecretLogin {
    async fn config(&self, now: Timestamp, deadline: Deadline) -> Result<(Config, Reading), Cause> {
        let Known { mut config, reading, .. } = self.known(now, deadline).await?;
        if let Some(token) = &self.token {
            let host = self.host_of(&config);
            let port = config.get_ports().first().copied().unwrap_or(PORT);
            let user = config.get_user().unwrap_or_default().to_owned();
            config.password(token(&host, port, &user, deadline).await?);
        }
        Ok((config, reading))
    }

    async fn known(&self, now: Timestamp, deadline: Deadline) -> Result<Known, Cause> {
        // Held while the secret is read, so that one caller reads and the others use its result.
        let mut cached = self.cached.lock().await;
        let before = match &cached.known {
            Some(known) if !known.is_doubtful => return Ok(known.clone()),
            before => before.clone(),
        };
        let known = match (self.read(deadline).await, before) {
            (Ok(config), _) => {
                cached.reading.0 += 1;
                Known { config, reading: cached.reading, read_at: now, is_doubtful: false }
            }
            (Err(_), Some(known)) => Known { read_at: now, is_doubtful: false, ..known },
            (Err(error), None) => return Err(error),
        };
        cached.known = Some(known.clone());
        Ok(known)
    }

    fn host_of(&self, config: &Config) -> String {
        match config.get_hosts().first() {
            Some(tokio_postgres::config::Host::Tcp(host)) => host.clone(),
            _ => self.address.host.clone().unwrap_or_default(),
        }
    }

    async fn refused(&self, reading: Reading, now: Timestamp) -> bool {
        let mut cached = self.cached.lock().await;
        match &mut cached.known {
            Some(known) if known.reading == reading => {
                let is_old = known.read_at.after(REFRESHED_AFTER) <= now;
                // It counts until another one can be read.
                known.is_doubtful |= is_old;
                is_old
            }
            _ => true,
        }
    }

    fn failed(&self, now: Timestamp) {
        // While another caller reads it, there is nothing to note.
        if let Ok(mut cached) = self.cached.try_lock()
            && let Some(known) = &mut cached.known
        {
            known.is_doubtful |= known.read_at.after(REFRESHED_AFTER) <= now;
        }
    }

    async fn read(&self, deadline: Deadline) -> Result<Config, Cause> {
        let text = (self.reader)(deadline).await.map_err(|error| match error {
            SecretError::Unavailable(cause) => Cause {
                message: format!("the secret of the database cannot be read: {}", cause.message),
                ..cause
            },
            SecretError::Missing { .. } => missing("current version"),
        })?;
        let text = text.ok_or_else(|| missing("current version"))?;
        // The error of serde may quote the secret.
        let fields: SecretFields = serde_json::from_str(&text).map_err(|_| {
            malformed("it is not a JSON object with the texts username, password, host and dbname")
        })?;
        self.config_of(fields)
    }

    fn config_of(&self, fields: SecretFields) -> Result<Config, Cause> {
        let address = &self.address;
        let port = match (address.port, &fields.port) {
            (Some(port), _) => port,
            (None, None) => PORT,
            (None, Some(value)) => {
                let number = value.as_u64().and_then(|port| u16::try_from(port).ok());
                let text = || value.as_str().and_then(|port| port.parse().ok());
                number.or_else(text).ok_or_else(|| malformed("its port is not a number"))?
            }
        };
        let host = address.host.clone().or(fields.host).ok_or_else(|| missing("host"))?;
        let database =
            address.database.clone().or(fields.dbname).ok_or_else(|| missing("dbname"))?;
        let mut config = Config::new();
        config
            .host(host)
            .port(port)
            .dbname(database)
            .user(fields.username.ok_or_else(|| missing("username"))?);
        match (&self.token, fields.password) {
            (None, Some(password)) => drop(config.password(password)),
            (None, None) => return Err(missing("password")),
            (Some(_), _) => {}
        }
        Ok(config)
    }
}

fn missing(what: &str) -> Cause {
    Cause::new("malformed-secret", format!("the secret of the database has no {what}"))
}

fn malformed(what: &str) -> Cause {
    Cause::new("malformed-secret", format!("the secret of the database is malformed: {what}"))
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use futures::FutureExt as _;
    use tokio_postgres::config::Host;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn by() -> Deadline {
        Deadline::at(at(999))
    }

    /// A secret whose password is the number of times that it was read.
    fn counted(secret: &'static str, address: Address) -> (Login, Arc<AtomicU32>) {
        let reads = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&reads);
        let reader: SecretReader = Box::new(move |_| {
            let read = counter.fetch_add(1, Ordering::SeqCst) + 1;
            futures::future::ready(Ok(Some(secret.replace("READ", &read.to_string())))).boxed()
        });
        (Login::secret(reader, address, None), reads)
    }

    const RDS: &str = r#"{"engine":"postgres","host":"db.example","port":6432,"username":"ann","password":"READ","dbname":"logs"}"#;

    #[tokio::test]
    async fn a_secret_is_read_once_and_again_when_its_password_is_refused() {
        let (login, reads) = counted(RDS, Address::default());
        let known = async |now| {
            let (config, reading) = login.config(at(now), by()).await.unwrap();
            (String::from_utf8(config.get_password().unwrap().to_vec()).unwrap(), reading)
        };
        let (password, first) = known(0).await;
        assert_eq!((password.as_str(), known(100).await), ("1", (password.clone(), first)));
        assert!(login.refused(first, at(100)).await);
        let (password, second) = known(100).await;
        assert_eq!(password, "2");
        assert!(!login.refused(second, at(114)).await, "it was read a moment ago");
        assert!(login.refused(first, at(114)).await, "another caller has read it since");
        assert_eq!((known(114).await, reads.load(Ordering::SeqCst)), ((password, second), 2));
        assert!(login.refused(second, at(115)).await);
        assert_eq!(known(115).await.0, "3");
    }

    #[tokio::test]
    async fn a_secret_is_read_again_when_no_connection_can_be_made() {
        let is_readable = Arc::new(AtomicBool::new(true));
        let (reads, readable) = (Arc::new(AtomicU32::new(0)), Arc::clone(&is_readable));
        let counter = Arc::clone(&reads);
        let reader: SecretReader = Box::new(move |_| {
            let read = counter.fetch_add(1, Ordering::SeqCst) + 1;
            let secret = RDS.replace("db.example", &format!("db-{read}.example"));
            futures::future::ready(match readable.load(Ordering::SeqCst) {
                true => Ok(Some(secret)),
                false => Err(SecretError::Unavailable(Cause::no_answer())),
            })
            .boxed()
        });
        let login = Login::secret(reader, Address::default(), None);
        let host = async |now| {
            let (config, _) = login.config(at(now), by()).await.unwrap();
            let Host::Tcp(host) = config.get_hosts()[0].clone() else { panic!("a socket") };
            host
        };
        assert_eq!(host(0).await, "db-1.example");
        login.failed(at(14));
        assert_eq!(host(14).await, "db-1.example", "it was read a moment ago");
        login.failed(at(15));
        assert_eq!(host(15).await, "db-2.example");
        // The known content still counts while the secret cannot be read.
        is_readable.store(false, Ordering::SeqCst);
        login.failed(at(30));
        assert_eq!(
            (host(30).await, host(31).await),
            ("db-2.example".into(), "db-2.example".into())
        );
        assert_eq!(reads.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn settings_replace_and_complete_what_the_secret_says() {
        let managed = r#"{"username":"ann","password":"p"}"#;
        let address = Address {
            host: Some("proxy.example".to_owned()),
            port: None,
            database: Some("stentor".to_owned()),
        };
        let (config, _) = counted(managed, address).0.config(at(0), by()).await.unwrap();
        assert_eq!((config.get_dbname(), config.get_ports()), (Some("stentor"), &[5432][..]));
        let text = r#"{"username":"ann","password":"p","host":"h","port":"6000","dbname":"d"}"#;
        let (config, _) = counted(text, Address::default()).0.config(at(0), by()).await.unwrap();
        assert_eq!(config.get_ports(), [6000]);
    }

    #[tokio::test]
    async fn a_malformed_secret_is_named_without_its_text() {
        let cases = [
            ("hunter2", "not a JSON object"),
            (r#"{"password":["hunter2"]}"#, "not a JSON object"),
            (r#"{"password":"hunter2","host":"h","dbname":"d"}"#, "has no username"),
            (r#"{"username":"a","host":"h","dbname":"d"}"#, "has no password"),
            (r#"{"username":"a","password":"hunter2"}"#, "has no host"),
            (r#"{"port":"hunter2"}"#, "port is not a number"),
        ];
        for (secret, expected) in cases {
            let error = counted(secret, Address::default()).0.config(at(0), by()).await;
            let error = error.map(drop).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
    }
}
