//! Tokens of IAM in place of a password: a request to `rds-db:connect` that is signed and never sent. A
//! token opens connections for 15 minutes; each connection gets a new one.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_types::SdkConfig;
use futures::FutureExt as _;

use super::login::TokenMaker;
use crate::model::error::{Cause, chain};
use crate::model::percent;

const VALID_FOR: Duration = Duration::from_secs(900);

/// Makes tokens with the credentials and the Region of the environment.
pub(super) fn tokens(aws: SdkConfig) -> TokenMaker {
    Box::new(move |host, port, user, _| {
        let (aws, host, user) = (aws.clone(), host.to_owned(), user.to_owned());
        async move {
            let region = aws.region().map(AsRef::as_ref).unwrap_or_default();
            let provider = aws.credentials_provider().ok_or_else(|| {
                Cause::new("no-credentials", "there are no credentials of AWS for a token")
            })?;
            let credentials = provider.provide_credentials().await;
            let credentials = credentials.map_err(|error| {
                Cause::new(
                    "no-credentials",
                    format!("no credentials for a token: {}", chain(&error)),
                )
            })?;
            token(&credentials, region, (&host, port, &user), SystemTime::now())
        }
        .boxed()
    })
}

fn token(
    credentials: &Credentials,
    region: &str,
    (host, port, user): (&str, u16, &str),
    now: SystemTime,
) -> Result<String, Cause> {
    let failed = |error: &dyn std::error::Error| Cause::new("no-token", chain(error));
    let mut settings = SigningSettings::default();
    settings.expires_in = Some(VALID_FOR);
    settings.signature_location = SignatureLocation::QueryParams;
    let identity = credentials.clone().into();
    let signing = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("rds-db")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?;
    let mut url = format!("https://{host}:{port}/?Action=connect&DBUser={}", percent::part(user));
    let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(&[]))
        .map_err(|error| failed(&error))?;
    let signed = sign(request, &signing.into()).map_err(|error| failed(&error))?;
    let (instructions, _) = signed.into_parts();
    for (name, value) in instructions.params() {
        url.push_str(&format!("&{name}={}", percent::part(value)));
    }
    Ok(url.split_off("https://".len()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::UNIX_EPOCH;

    use super::*;

    /// As botocore's `generate_db_auth_token` makes it at that time.
    #[test]
    fn a_token_is_that_of_other_clients() {
        let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI", None, None, "test");
        let now = UNIX_EPOCH + Duration::from_secs(1_795_443_306);
        let token = token(&credentials, "eu-west-1", ("db.example", 5432, "ann+1"), now).unwrap();
        // The order does not matter.
        let parts = |token: &str| token.split('&').map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(parts(&token), parts(EXPECTED));
    }

    const EXPECTED: &str = "db.example:5432/?Action=connect&DBUser=ann%2B1&X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIDEXAMPLE%2F20261123%2Feu-west-1%2Frds-db%2Faws4_request&X-Amz-Date=20261123T141506Z\
        &X-Amz-SignedHeaders=host&X-Amz-Expires=900\
        &X-Amz-Signature=1d268c2f59e0ef40756be32feca5fb0a802e36ec286125dc13808eb115d4c4b3";
}
