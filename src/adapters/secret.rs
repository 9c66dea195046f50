//! The credentials of targets: one secret, a JSON object from target to credential. It is read on
//! first use and cached for five minutes. When a target denies a credential, one caller reads the
//! secret again, and then not for a while: a target that no longer exists must not cause a read per
//! message.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;
use tokio::sync::{Mutex, MutexGuard};

use crate::adapters::http::url::UrlError;
use crate::adapters::slack::bot::BotError;
use crate::config::Diagnostic;
use crate::model::error::Cause;
use crate::model::name::Target;
use crate::model::time::Timestamp;
use crate::protocol::clock::Deadline;

mod hide;
mod text;

pub use text::SecretText;

/// How long a secret is cached.
pub const KEPT_FOR: Duration = Duration::from_secs(300);

/// How long before its end a secret is read ahead. A bit more than the time between two sweeps.
const WARMED_BEFORE: Duration = Duration::from_secs(70);

/// The longest that a read may take while other deliveries wait for it.
const READ_MAX: Duration = Duration::from_secs(5);

/// After a denied credential or a failed read, the secret is not read again for this time.
const REFRESHED_AFTER: Duration = Duration::from_secs(15);

/// A credential of a target: a webhook URL, a token, an object of several. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(Value);

/// Why a credential cannot be used. The text does not repeat it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CredentialError {
    #[error("expected {0}")]
    Shape(&'static str),
    /// A field, and the mistake in it.
    #[error("its {0} {1}")]
    Field(&'static str, &'static str),
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    Bot(#[from] BotError),
}

/// Why there is no credential.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SecretError {
    /// Secrets Manager did not answer, or the secret is malformed. A later read may succeed.
    #[error("the secret cannot be read: {0}")]
    Unavailable(Cause),
    /// The secret, of this name, has no credential for this target.
    #[error("{secret} has no credential for {target}")]
    Missing { secret: String, target: Target },
}

/// A version of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretVersion {
    Current,
    /// The one before the last rotation.
    Previous,
}

/// Reads the text of the secret.
pub trait ReadSecret: Send + Sync {
    /// The name of the secret in errors.
    fn name(&self) -> String {
        "the secret".to_owned()
    }

    /// `None` if there is no previous version.
    fn read(
        &self,
        version: SecretVersion,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Option<String>, SecretError>> + Send;
}

/// The secret, cached.
#[derive(Debug)]
pub struct Secrets<R> {
    reader: R,
    /// Held while the secret is read, so that one caller reads and the others use its result.
    cache: Mutex<Option<Cached>>,
}

struct Cached {
    read_at: Timestamp,
    credentials: Credentials,
    /// Read after a credential was denied.
    previous: Option<Credentials>,
}

/// By the name of the target. Such a name may be a misplaced credential.
type Credentials = BTreeMap<String, Credential>;

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cached({} credentials)", self.credentials.len())
    }
}

impl<R: ReadSecret> Secrets<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, cache: Mutex::new(None) }
    }

    /// The credential of `target`, from a secret that is at most five minutes old. When it cannot be
    /// read again, the one that was read before is used: it is most likely still good.
    ///
    /// # Errors
    /// When the secret was never read, or names no such target.
    pub async fn credential(
        &self,
        target: &Target,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Credential, SecretError> {
        let cache = self.fresh(KEPT_FOR, now, deadline).await?;
        cache.as_ref().and_then(|cached| credential_of(&cached.credentials, target)).ok_or_else(
            || SecretError::Missing { secret: self.reader.name(), target: target.clone() },
        )
    }

    /// Reads the secret if the next message would soon have to wait for it.
    pub async fn warm(&self, now: Timestamp, deadline: Deadline) {
        if let Err(error) = self.fresh(KEPT_FOR - WARMED_BEFORE, now, deadline).await {
            tracing::debug!("The credentials are not read ahead: {error}");
        }
    }

    /// The cache with a secret that is at most `kept_for` old.
    async fn fresh(
        &self,
        kept_for: Duration,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<MutexGuard<'_, Option<Cached>>, SecretError> {
        let mut cache = self.cache.lock().await;
        if cache.as_ref().is_none_or(|cached| cached.read_at.after(kept_for) <= now) {
            let deadline = deadline.min(Deadline::after(now, READ_MAX));
            match (self.current(deadline).await, &mut *cache) {
                (Ok(credentials), cache) => {
                    *cache = Some(Cached { read_at: now, credentials, previous: None });
                }
                (Err(error), Some(cached)) => {
                    tracing::warn!("Credentials that were read before are used: {error}");
                    cached.read_at = now.after(REFRESHED_AFTER).before(kept_for);
                }
                (Err(error), None) => return Err(error),
            }
        }
        Ok(cache)
    }

    /// Other credentials of `target` than the `denied` one: the current one, and the one before the
    /// last rotation. A target may know either while a rotation is under way. Reads the secret
    /// unless another caller has done so a moment ago.
    ///
    /// # Errors
    /// As [`Secrets::credential`].
    pub async fn others(
        &self,
        denied: &Credential,
        target: &Target,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Vec<Credential>, SecretError> {
        let mut cache = self.cache.lock().await;
        let is_fresh = |cached: &Cached| {
            cached.previous.is_some() && cached.read_at.after(REFRESHED_AFTER) > now
        };
        if !cache.as_ref().is_some_and(is_fresh) {
            let credentials = self.current(deadline).await?;
            // Without the previous version, the current one still has to be tried.
            let previous =
                self.read(SecretVersion::Previous, deadline).await.unwrap_or_else(|error| {
                    tracing::warn!("The previous version of the secret is not tried: {error}");
                    None
                });
            *cache = Some(Cached {
                read_at: now,
                credentials,
                previous: Some(previous.unwrap_or_default()),
            });
        }
        let cached = cache.as_ref().expect("invariant: the secret was read");
        let versions = [Some(&cached.credentials), cached.previous.as_ref()];
        let known = versions.into_iter().flatten().filter_map(|all| credential_of(all, target));
        let mut others: Vec<Credential> = known.filter(|known| known != denied).collect();
        others.dedup();
        Ok(others)
    }

    async fn current(&self, deadline: Deadline) -> Result<Credentials, SecretError> {
        let missing = || {
            let message = "it has no current version";
            SecretError::Unavailable(Cause::new("secret-missing", message))
        };
        self.read(SecretVersion::Current, deadline).await?.ok_or_else(missing)
    }

    async fn read(
        &self,
        version: SecretVersion,
        deadline: Deadline,
    ) -> Result<Option<Credentials>, SecretError> {
        let Some(text) = self.reader.read(version, deadline).await? else { return Ok(None) };
        let malformed = |fault: Diagnostic| {
            let Diagnostic { line, column, message } = fault;
            let message = format!("line {line}, column {column}: {message}");
            SecretError::Unavailable(Cause::new("malformed-secret", message))
        };
        let secret = SecretText::parse(&text).map_err(malformed)?;
        Ok(Some(
            secret.credentials.into_iter().map(|(name, value)| (name, Credential(value))).collect(),
        ))
    }
}

fn credential_of(credentials: &Credentials, target: &Target) -> Option<Credential> {
    target.credential_names().iter().find_map(|name| credentials.get(name)).cloned()
}

impl Credential {
    /// For a credential that is not from a secret.
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    /// The credential, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_str()
    }

    /// A string field of the credential, if it is an object.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A field of the credential that is a list of strings, or one string.
    pub fn list(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(text)) => vec![text],
            _ => Vec::new(),
        }
    }
}

/// A text of a credential that is one word, without the blanks around it. `name` names its field.
///
/// # Errors
/// When it is empty, or has a character that no key or token has.
pub fn word<'a>(text: &'a str, name: &'static str) -> Result<&'a str, CredentialError> {
    let text = text.trim();
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text),
        false => Err(CredentialError::Field(name, "is not one word of ASCII characters")),
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

#[cfg(feature = "stack")]
mod secrets_manager {
    use aws_sdk_secretsmanager::Client;
    use aws_sdk_secretsmanager::error::SdkError;
    use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

    use super::{ReadSecret, SecretError, SecretVersion};
    use crate::adapters::aws::cause;
    use crate::adapters::clock::SystemClock;
    use crate::model::error::Cause;
    use crate::protocol::clock::{Clock, Deadline};

    /// A secret in Secrets Manager.
    #[derive(Clone, Debug)]
    pub struct SecretsManager<C = SystemClock> {
        client: Client,
        secret_id: String,
        clock: C,
    }

    impl<C> SecretsManager<C> {
        /// `secret_id` is a name or an ARN.
        pub fn new(config: &aws_types::SdkConfig, secret_id: String, clock: C) -> Self {
            Self { client: Client::new(config), secret_id, clock }
        }
    }

    impl<C: Clock> ReadSecret for SecretsManager<C> {
        async fn read(
            &self,
            version: SecretVersion,
            deadline: Deadline,
        ) -> Result<Option<String>, SecretError> {
            let stage = match version {
                SecretVersion::Current => "AWSCURRENT",
                SecretVersion::Previous => "AWSPREVIOUS",
            };
            let call = self.client.get_secret_value().secret_id(&self.secret_id);
            let call = call.version_stage(stage).send();
            let answer = self.clock.timeout(deadline, call).await;
            let answer = answer.ok_or_else(|| SecretError::Unavailable(Cause::no_answer()))?;
            let answer = match answer {
                Err(error) if version == SecretVersion::Previous && is_missing(&error) => {
                    return Ok(None);
                }
                answer => answer.map_err(|error| unavailable(&error))?,
            };
            let binary =
                || SecretError::Unavailable(Cause::new("malformed-secret", "it is binary"));
            answer.secret_string.ok_or_else(binary).map(Some)
        }
    }

    /// The secret was never rotated.
    fn is_missing(error: &SdkError<GetSecretValueError, HttpResponse>) -> bool {
        error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception)
    }

    /// AWS's message names roles and the secret. The error is shown in Slack, so the message stays
    /// in the log.
    fn unavailable(error: &SdkError<GetSecretValueError, HttpResponse>) -> SecretError {
        let cause = cause(error);
        tracing::debug!("Secrets Manager did not return the secret: {cause}");
        SecretError::Unavailable(Cause {
            message: "Secrets Manager did not return it".to_owned(),
            ..cause
        })
    }
}

#[cfg(feature = "stack")]
pub use secrets_manager::SecretsManager;

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Lock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::future::join_all;

    use super::*;

    /// A secret that can be changed, and counts how often it is read.
    #[derive(Default)]
    struct Fake {
        text: Lock<String>,
        previous: Lock<Option<String>>,
        readings: AtomicU32,
    }

    impl ReadSecret for &Fake {
        async fn read(
            &self,
            version: SecretVersion,
            _deadline: Deadline,
        ) -> Result<Option<String>, SecretError> {
            self.readings.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(match version {
                SecretVersion::Current => Some(self.text.lock().unwrap().clone()),
                SecretVersion::Previous => self.previous.lock().unwrap().clone(),
            })
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn by(seconds: i64) -> Deadline {
        Deadline::at(at(seconds))
    }

    fn target() -> Target {
        "slack:ops".parse().unwrap()
    }

    #[tokio::test]
    async fn a_secret_is_read_when_needed_and_kept_for_five_minutes() {
        let fake = Fake {
            text: Lock::new(r#"{"slack:ops":"one","other":{"token":"x"}}"#.into()),
            ..Fake::default()
        };
        let secrets = Secrets::new(&fake);
        for (now, readings) in [(0, 1), (299, 1), (300, 2), (301, 2)] {
            assert_eq!(
                secrets.credential(&target(), at(now), by(999)).await.unwrap().as_str(),
                Some("one")
            );
            assert_eq!(fake.readings.load(Ordering::SeqCst), readings, "after {now} s");
        }
        let by_name = secrets.credential(&"slack:other".parse().unwrap(), at(302), by(999)).await;
        assert!(by_name.is_ok(), "a name without its kind will do");
        let missing =
            secrets.credential(&"slack:none".parse().unwrap(), at(302), by(999)).await.unwrap_err();
        assert_eq!(missing.to_string(), "the secret has no credential for slack:none");
    }

    /// The sweep comes once a minute.
    #[tokio::test]
    async fn a_sweep_reads_a_secret_before_a_message_has_to_wait_for_it() {
        let fake = Fake { text: Lock::new(r#"{"ops":"one"}"#.into()), ..Fake::default() };
        let secrets = Secrets::new(&fake);
        for now in (0..1_800).step_by(60) {
            secrets.warm(at(now), by(9_999)).await;
            let warmed = fake.readings.load(Ordering::SeqCst);
            secrets.credential(&target(), at(now + 59), by(9_999)).await.unwrap();
            assert_eq!(fake.readings.load(Ordering::SeqCst), warmed, "after {now} s");
        }
        assert_eq!(fake.readings.load(Ordering::SeqCst), 8, "every four minutes");
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_read_again_is_used_as_it_was() {
        let fake = Fake { text: Lock::new("hunter2".into()), ..Fake::default() };
        let secrets = Secrets::new(&fake);
        assert!(secrets.credential(&target(), at(0), by(999)).await.is_err(), "never read");
        *fake.text.lock().unwrap() = r#"{"ops":"old"}"#.into();
        let read = async |now| {
            let credential = secrets.credential(&target(), at(now), by(999)).await.unwrap();
            let readings = fake.readings.load(Ordering::SeqCst);
            (credential.as_str().unwrap().to_owned(), readings)
        };
        assert_eq!(read(1).await, ("old".to_owned(), 2));
        *fake.text.lock().unwrap() = "hunter2".into();
        // A failed read is repeated after a while, and not for each message.
        for (now, readings) in [(301, 3), (310, 3), (316, 4)] {
            assert_eq!(read(now).await, ("old".to_owned(), readings), "after {now} s");
        }
        *fake.text.lock().unwrap() = r#"{"ops":"new"}"#.into();
        assert_eq!(read(331).await, ("new".to_owned(), 5));
    }

    #[tokio::test]
    async fn after_a_denial_one_caller_reads_both_versions() {
        let fake = Fake { text: Lock::new(r#"{"ops":"old"}"#.into()), ..Fake::default() };
        let secrets = Secrets::new(&fake);
        let target = target();
        let others = async |denied: &Credential, now| {
            let others = secrets.others(denied, &target, at(now), by(999)).await.unwrap();
            others.iter().map(|other| other.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let old = secrets.credential(&target, at(0), by(999)).await.unwrap();
        *fake.text.lock().unwrap() = r#"{"ops":"new"}"#.into();
        *fake.previous.lock().unwrap() = Some(r#"{"ops":"old"}"#.into());
        assert_eq!(
            join_all((0..5).map(|_| others(&old, 60))).await,
            vec![vec!["new".to_owned()]; 5]
        );
        assert_eq!(fake.readings.load(Ordering::SeqCst), 3, "two for all five");
        let new = secrets.credential(&target, at(61), by(999)).await.unwrap();
        for now in [62, 70, 74] {
            assert_eq!(others(&new, now).await, ["old"], "the target may not know the new one yet");
        }
        assert_eq!(
            fake.readings.load(Ordering::SeqCst),
            3,
            "a target that is gone is no reason to read all the time"
        );
        *fake.previous.lock().unwrap() = None;
        assert!(others(&new, 76).await.is_empty());
        assert_eq!(fake.readings.load(Ordering::SeqCst), 5);
    }

    #[tokio::test]
    async fn a_malformed_secret_is_an_error_that_quotes_nothing() {
        let fake = Fake { text: Lock::new("hunter2".into()), ..Fake::default() };
        let error = Secrets::new(&fake).credential(&target(), at(0), by(9)).await.unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let credential = Credential(Value::String("hunter2".into()));
        assert_eq!(format!("{credential:?}"), "Credential(…)");
    }
}
