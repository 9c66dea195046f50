//! The parts that the adapters of simple chats share.

use std::fmt;

use reqwest::Url;

use crate::adapters::http::url::parse_confidential;
use crate::adapters::secret::{Credential, CredentialError};
use crate::message::content::Status;
use crate::model::name::Severity;

/// The URL of a webhook, which is its credential. Prints the host only.
#[derive(Clone)]
pub struct ChatUrl(Url);

impl ChatUrl {
    /// A credential that is a URL, or an object with a `url`. `what` names it in errors.
    ///
    /// # Errors
    /// When there is no URL, or it is not HTTPS.
    pub fn parse(credential: &Credential, what: &'static str) -> Result<Self, CredentialError> {
        let url = credential.as_str().or_else(|| credential.field("url"));
        let url = url.ok_or(CredentialError::Shape("the URL of a webhook"))?;
        Ok(Self(parse_confidential(url, what)?))
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for ChatUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChatUrl({}/…)", self.0.host_str().unwrap_or("?"))
    }
}

/// The color of a status: red, orange, yellow, blue; green for a quiet one. As 0xRRGGBB.
pub(super) fn color(status: Status) -> u32 {
    match status {
        Status::Quiet => 0x2e_b6_7d,
        Status::Alerting(Severity::Critical) => 0xe0_1e_5a,
        Status::Alerting(Severity::Error) => 0xe8_71_2b,
        Status::Alerting(Severity::Warning) => 0xec_b2_2e,
        Status::Alerting(Severity::Info) => 0x36_c5_f0,
    }
}
