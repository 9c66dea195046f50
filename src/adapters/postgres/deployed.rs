//! The database of a deployed stack, by the variables of its functions. `docs/postgresql.md` lists them.

use std::sync::Arc;
use std::time::Duration;

use aws_types::SdkConfig;
use futures::FutureExt as _;
use thiserror::Error;

use super::iam;
use super::login::{Address, Login, SecretReader, TokenMaker};
use super::settings::{PostgresSettings, SettingsError, TlsMode};
use crate::adapters::clock::SystemClock;
use crate::adapters::secret::{ReadSecret as _, SecretVersion, SecretsManager};
use crate::protocol::clock::{Clock as _, Deadline};

/// The longest that a connection waits for the secret.
const READ_MAX: Duration = Duration::from_secs(3);

/// A mistake in a variable.
#[derive(Debug, Error)]
#[error("{0}: {1}")]
pub struct VariableError(&'static str, String);

/// The settings that the variables name; `None` if they name no database, so that the store is DynamoDB.
///
/// # Errors
/// When a variable has an unusable value, or one is missing.
pub fn settings(
    variable: &impl Fn(&str) -> Option<String>,
    aws: &SdkConfig,
) -> Result<Option<PostgresSettings>, VariableError> {
    let (secret, host) = (variable("DATABASE_SECRET_ID"), variable("DATABASE_HOST"));
    if secret.is_none() && host.is_none() {
        return Ok(None);
    }
    let database = variable("DATABASE_NAME");
    let address = Address {
        host: host.clone(),
        port: parsed(variable, "DATABASE_PORT", "a number")?,
        database: database.clone(),
    };
    let has_token = parsed(variable, "DATABASE_IAM_AUTH", "true or false")?.unwrap_or(false);
    let token = has_token.then(|| iam::tokens(aws.clone()));
    let place = format!(
        "{}/{}",
        host.as_deref().unwrap_or("of the secret"),
        database.as_deref().unwrap_or("")
    );
    let login = match secret {
        Some(secret) => Login::secret(of_secrets_manager(aws, secret), address, token),
        None => without_secret(variable, address, token)?,
    };
    let tls = variable("DATABASE_SSLMODE").map(|mode| TlsMode::parse(&mode)).transpose();
    let tls =
        tls.map_err(|error: SettingsError| VariableError("DATABASE_SSLMODE", error.to_string()))?;
    let settings = PostgresSettings::new(login, place, tls)
        .verified_by(variable("DATABASE_ROOT_CERTIFICATES").map(Into::into));
    let max: Option<usize> = parsed(variable, "DATABASE_CONNECTIONS_MAX", "a number")?;
    Ok(Some(match max {
        Some(max) => settings.with_connections(max),
        None => settings,
    }))
}

fn of_secrets_manager(aws: &SdkConfig, secret: String) -> SecretReader {
    let reader = Arc::new(SecretsManager::new(aws, secret, SystemClock));
    Box::new(move |deadline| {
        let reader = Arc::clone(&reader);
        let soon = deadline.min(Deadline::after(SystemClock.now(), READ_MAX));
        async move { reader.read(SecretVersion::Current, soon).await }.boxed()
    })
}

/// A token needs no secret.
fn without_secret(
    variable: &impl Fn(&str) -> Option<String>,
    address: Address,
    token: Option<TokenMaker>,
) -> Result<Login, VariableError> {
    let missing = |name, why: &str| VariableError(name, format!("it is not set: {why}"));
    if token.is_none() {
        let why = "without it, DATABASE_IAM_AUTH has to be true";
        return Err(missing("DATABASE_SECRET_ID", why));
    }
    let why = "DATABASE_IAM_AUTH needs it if there is no secret";
    let user = variable("DATABASE_USER").ok_or_else(|| missing("DATABASE_USER", why))?;
    if address.database.is_none() {
        return Err(missing("DATABASE_NAME", why));
    }
    let text = serde_json::json!({ "username": user }).to_string();
    let reader: SecretReader =
        Box::new(move |_| futures::future::ready(Ok(Some(text.clone()))).boxed());
    Ok(Login::secret(reader, address, token))
}

fn parsed<T: std::str::FromStr>(
    variable: &impl Fn(&str) -> Option<String>,
    name: &'static str,
    expected: &str,
) -> Result<Option<T>, VariableError> {
    let Some(value) = variable(name) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| VariableError(name, format!("expected {expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let aws = crate::adapters::aws::loopback("http://127.0.0.1:9");
        let settings = settings(&variable, &aws).map_err(|error| error.to_string())?;
        Ok(settings.map(|settings| settings.place().to_owned()))
    }

    #[tokio::test]
    async fn a_secret_or_a_host_selects_the_database() {
        assert_eq!(place(&[("DATABASE_NAME", "logs")]), Ok(None));
        let secret = [("DATABASE_SECRET_ID", "s")];
        assert_eq!(place(&secret), Ok(Some("of the secret/".to_owned())));
        let token = [
            ("DATABASE_HOST", "db.example"),
            ("DATABASE_NAME", "logs"),
            ("DATABASE_USER", "ann"),
            ("DATABASE_IAM_AUTH", "true"),
        ];
        assert_eq!(place(&token), Ok(Some("db.example/logs".to_owned())));
        let error = place(&token[..2]).unwrap_err();
        assert!(error.starts_with("DATABASE_SECRET_ID: it is not set"), "{error}");
        let error = place(&[token[0], token[1], token[3]]).unwrap_err();
        assert!(error.starts_with("DATABASE_USER"), "{error}");
        for (name, value) in [
            ("DATABASE_PORT", "x"),
            ("DATABASE_SSLMODE", "require"),
            ("DATABASE_CONNECTIONS_MAX", "-1"),
            ("DATABASE_IAM_AUTH", "yes"),
        ] {
            let error = place(&[secret[0], (name, value)]).unwrap_err();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
