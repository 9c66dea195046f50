//! The address of a database, and how the way to it is protected. The text of a URL has a password, so
//! nothing here prints it.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use thiserror::Error;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host, SslMode};

use super::login::Login;

/// The most connections of one process.
const CONNECTIONS_MAX: usize = 4;
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Unanswered data ends a connection after this time.
const UNANSWERED_MAX: Duration = Duration::from_secs(10);

/// Where the database is, and how to log in.
#[derive(Clone)]
pub struct PostgresSettings {
    pub(super) login: Login,
    pub(super) connections_max: usize,
    /// The certificates of authorities that may certify the server; `None`: those of the system.
    pub(super) root_certificates: Option<PathBuf>,
    /// `None`: plain text on this machine, else TLS.
    tls: Option<TlsMode>,
    place: String,
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Plain text.
    Off,
    /// TLS. The certificate of the server is verified, and its name.
    Verified,
}

/// Why the settings cannot be used. Does not repeat them.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SettingsError {
    #[error("expected postgres://USER@HOST:PORT/DATABASE")]
    Url,
    #[error(
        "the URL is malformed or has an unknown option; signs such as ? and @ in a password are written as %3F and %40"
    )]
    Malformed,
    #[error("the URL names several hosts: name the primary server")]
    SeveralHosts,
    #[error("the URL names no {0}")]
    Missing(&'static str),
    #[error(
        "sslmode={0} does not verify the server: use verify-full, or disable if plain text is what you want"
    )]
    Unverified(String),
    #[error("sslmode is disable or verify-full")]
    TlsMode,
    #[error(
        "PGPASSWORD is not sent to another machine in plain text: use sslmode=verify-full, or write the password into the URL if plain text is what you want"
    )]
    PlainPassword,
}

impl PostgresSettings {
    /// Parses `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`. Without a password in it,
    /// `password` is used, which is that of the environment.
    ///
    /// # Errors
    /// When the URL is malformed, asks for a connection that would not be verified, or for one on which
    /// others could read `password`.
    pub fn parse(url: &str, password: Option<&str>) -> Result<Self, SettingsError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(SettingsError::Url);
        }
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let server = address.split('/').nth(2).unwrap_or_default();
        if server.matches('@').count() > 1 {
            // The parser would take the rest of the password for the host.
            return Err(SettingsError::Malformed);
        }
        let (mut tls, mut root_certificates, mut others) = (None, None, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", mode)) => tls = Some(TlsMode::parse(mode)?),
                Some(("sslrootcert", path)) => {
                    let path = percent_decode_str(path).decode_utf8_lossy();
                    root_certificates = Some(path.into_owned().into());
                }
                _ => others.push(parameter),
            }
        }
        let url = format!("{address}?{}", others.join("&"));
        // The error of the parser may quote a part of the password.
        let mut config: Config = url.parse().map_err(|_| SettingsError::Malformed)?;
        if config.get_hosts().is_empty() {
            return Err(SettingsError::Missing("host"));
        }
        if config.get_hosts().len() > 1 {
            return Err(SettingsError::SeveralHosts);
        }
        if config.get_user().is_none() {
            return Err(SettingsError::Missing("user"));
        }
        if config.get_dbname().is_none() {
            return Err(SettingsError::Missing("database"));
        }
        if let Some(password) = password.filter(|_| config.get_password().is_none()) {
            if tls == Some(TlsMode::Off) && !leads_here(&config) {
                return Err(SettingsError::PlainPassword);
            }
            config.password(password);
        }
        let place = place(&config);
        Ok(Self::new(Login::Fixed(Box::new(config)), place, tls).verified_by(root_certificates))
    }

    /// `place` names the server and the database for people.
    pub fn new(login: Login, place: String, tls: Option<TlsMode>) -> Self {
        Self { login, connections_max: CONNECTIONS_MAX, root_certificates: None, tls, place }
    }

    /// The file of the certificates of authorities, in PEM form, instead of those of the system.
    #[must_use]
    pub fn verified_by(self, root_certificates: Option<PathBuf>) -> Self {
        Self { root_certificates, ..self }
    }

    /// The most connections of this process, at least one.
    #[must_use]
    pub fn with_connections(self, max: usize) -> Self {
        Self { connections_max: max.max(1), ..self }
    }

    /// Server and database, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Plain text is for this machine, or on demand.
    pub(super) fn tls_to(&self, config: &Config) -> TlsMode {
        let usual = if leads_here(config) { TlsMode::Off } else { TlsMode::Verified };
        self.tls.unwrap_or(usual)
    }
}

/// Sets what every connection has.
pub(super) fn complete(config: &mut Config, tls: TlsMode) {
    config
        .ssl_mode(match tls {
            TlsMode::Off => SslMode::Disable,
            TlsMode::Verified => SslMode::Require,
        })
        .channel_binding(ChannelBinding::Disable)
        .application_name(concat!("stentor/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_MAX)
        .tcp_user_timeout(UNANSWERED_MAX)
        .keepalives_idle(Duration::from_secs(30));
}

impl TlsMode {
    /// # Errors
    /// When the mode is none of libpq's, or does not verify the server.
    pub fn parse(mode: &str) -> Result<Self, SettingsError> {
        match mode {
            "disable" => Ok(Self::Off),
            "verify-full" => Ok(Self::Verified),
            "allow" | "prefer" | "require" | "verify-ca" => {
                Err(SettingsError::Unverified(mode.to_owned()))
            }
            _ => Err(SettingsError::TlsMode),
        }
    }
}

/// Whether the server is on this machine. An address of a host wins over its name.
fn leads_here(config: &Config) -> bool {
    config.get_hosts().iter().all(is_here) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

fn place(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(address)) if address.contains(':') => format!("[{address}]"),
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port}/{}", config.get_dbname().unwrap_or_default())
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresSettings({})", self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<PostgresSettings, SettingsError> {
        PostgresSettings::parse(url, None)
    }

    fn tls(url: &str) -> TlsMode {
        let settings = parsed(url).unwrap();
        let Login::Fixed(config) = &settings.login else { panic!("a URL is fixed") };
        settings.tls_to(config)
    }

    #[test]
    fn a_url_names_host_user_and_database() {
        let settings = parsed("postgres://ann:secret@db.example:6432/logs").unwrap();
        assert_eq!(settings.place(), "db.example:6432/logs");
        assert_eq!(parsed("postgresql://ann@[::1]/logs").unwrap().place(), "[::1]:5432/logs");
        let mistakes = [
            ("mysql://ann@db/logs", "expected postgres://"),
            ("postgres:///logs?user=ann", "names no host"),
            ("postgres://db/logs", "names no user"),
            ("postgres://ann@db1,db2/logs", "several hosts"),
            ("postgres://ann@db", "names no database"),
            ("postgres://ann@db:port/logs", "malformed"),
            ("postgres://ann@db/logs?sslmod=disable", "malformed"),
            ("postgres://ann:le@kme@db/logs", "written as %3F and %40"),
            ("postgres://ann@db/logs?sslmode=full", "disable or verify-full"),
        ];
        for (url, expected) in mistakes {
            let error = parsed(url).map(drop).unwrap_err().to_string();
            assert!(error.contains(expected), "{url}: {error}");
        }
    }

    #[test]
    fn plain_text_is_for_this_machine_or_on_demand() {
        for here in ["localhost", "127.0.0.1", "[::1]"] {
            assert_eq!(tls(&format!("postgres://a@{here}/d")), TlsMode::Off, "{here}");
        }
        assert_eq!(tls("postgres://a@db.example/d"), TlsMode::Verified);
        assert_eq!(tls("postgres://a@10.0.0.7/d"), TlsMode::Verified);
        assert_eq!(tls("postgres://a@localhost/d?hostaddr=10.0.0.7"), TlsMode::Verified);
        assert_eq!(tls("postgres://a@10.0.0.7/d?sslmode=disable"), TlsMode::Off);
        assert_eq!(tls("postgres://a@localhost/d?sslmode=verify-full"), TlsMode::Verified);
        for mode in ["allow", "prefer", "require", "verify-ca"] {
            let error = parsed(&format!("postgres://a@db/d?sslmode={mode}")).map(drop).unwrap_err();
            assert_eq!(error, SettingsError::Unverified(mode.to_owned()));
        }
    }

    #[test]
    fn the_password_of_the_environment_is_not_sent_in_plain_text_to_another_machine() {
        let password = |url: &str| {
            let settings = PostgresSettings::parse(url, Some("hunter2"))?;
            let Login::Fixed(config) = &settings.login else { panic!("a URL is fixed") };
            Ok(config.get_password().map(|password| String::from_utf8_lossy(password).into_owned()))
        };
        let plain = "postgres://a@db.example/d?sslmode=disable";
        assert_eq!(password(plain), Err(SettingsError::PlainPassword));
        let moved = "postgres://a@localhost/d?hostaddr=10.0.0.7&sslmode=disable";
        assert_eq!(password(moved), Err(SettingsError::PlainPassword));
        let of_environment = Ok(Some("hunter2".to_owned()));
        for url in ["postgres://a@db.example/d", "postgres://a@127.0.0.1/d?sslmode=disable"] {
            assert_eq!(password(url), of_environment, "{url}");
        }
        let in_url = "postgres://a:mine@db.example/d?sslmode=disable";
        assert_eq!(password(in_url), Ok(Some("mine".to_owned())));
    }

    #[test]
    fn the_certificates_of_authorities_are_named_by_a_path() {
        let settings = parsed("postgres://a@db/d?sslrootcert=%2Fopt%2Frds%20bundle.pem").unwrap();
        assert_eq!(settings.root_certificates, Some("/opt/rds bundle.pem".into()));
    }

    #[test]
    fn nothing_prints_the_password() {
        let settings = parsed("postgres://ann:hunter2@db/logs").unwrap();
        assert!(!format!("{settings:?} {}", settings.place()).contains("hunter2"));
        for wrong in ["postgres://ann:hunter2@db", "postgres://ann:hunter2@db/logs?sslmode=full"] {
            let error = parsed(wrong).map(drop).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
