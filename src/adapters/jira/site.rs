//! A Jira site and the account that reports to it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, Url};

use super::key::IssueKey;
use crate::adapters::http::exchange::{HttpRequest, authorization};
use crate::adapters::http::url::parse_base;
use crate::adapters::secret::{Credential, CredentialError, word};

/// Tokens with scopes are for this host. Its URLs are not for browsers.
const GATEWAY: &str = "api.atlassian.com";

/// A site with its credential. Prints the host only.
#[derive(Clone)]
pub struct Site {
    url: Url,
    email: String,
    token: String,
    /// The email and the token, for basic authentication.
    basic: String,
}

impl Site {
    /// `{"site": "https://example.atlassian.net", "email": "…", "token": "…"}`.
    ///
    /// # Errors
    /// When the URL is not HTTPS, or the email or the token cannot be one.
    pub fn parse(credential: &Credential) -> Result<Self, CredentialError> {
        let field = |name| credential.field(name);
        let (Some(site), Some(email), Some(token)) =
            (field("site"), field("email"), field("token"))
        else {
            return Err(CredentialError::Shape("an object with a site, an email and a token"));
        };
        let url = parse_base(site, "the site")?;
        let (email, token) = (word(email, "email")?, word(token, "token")?);
        if email.contains(':') {
            return Err(CredentialError::Field("email", "has a colon"));
        }
        let basic = STANDARD.encode(format!("{email}:{token}"));
        Ok(Self { url, email: email.to_owned(), token: token.to_owned(), basic })
    }

    /// A request to the API. `path` is below `/rest/api/3/`.
    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl serde::Serialize>,
    ) -> HttpRequest {
        let url = self.url.join("rest/api/3/").and_then(|base| base.join(path));
        let url = url.expect("invariant: a path of plain words is a relative URL");
        let request = match body {
            Some(body) => HttpRequest::json(method, url, body),
            None => HttpRequest {
                method,
                url,
                headers: Default::default(),
                body: Vec::new(),
                is_status_enough: false,
            },
        };
        request.authorized(&authorization("Basic", &self.basic))
    }

    /// The texts that no error may repeat.
    pub(super) fn secrets(&self) -> [&str; 3] {
        [&self.basic, &self.token, &self.email]
    }

    /// Where a browser shows an issue; `None` if the site's own host is not known.
    pub(super) fn browse_url(&self, key: &IssueKey) -> Option<String> {
        let is_gateway = self.url.host_str() == Some(GATEWAY);
        (!is_gateway).then(|| format!("{}browse/{key}", self.url))
    }

    /// The site without its credential.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.url.host_str().unwrap_or_default(), self.url.path())
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Site({}/…)", self.url.host_str().unwrap_or("?"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: serde_json::Value) -> Result<Site, CredentialError> {
        Site::parse(&Credential::new(value))
    }

    #[test]
    fn a_credential_is_a_site_an_email_and_a_token() {
        let whole = json!({"site": "https://example.atlassian.net", "email": "ops@example.com", "token": "topsecret"});
        let site = parse(whole.clone()).unwrap();
        assert_eq!(format!("{site:?}"), "Site(example.atlassian.net/…)");
        assert_eq!(site.basic, "b3BzQGV4YW1wbGUuY29tOnRvcHNlY3JldA==");
        let request = site.request(Method::GET, "issue/PAY-1?fields=status", None::<&()>);
        let url = "https://example.atlassian.net/rest/api/3/issue/PAY-1?fields=status";
        assert_eq!(request.url.as_str(), url);
        assert!(request.headers["authorization"].is_sensitive());
        let cases = [
            ("site", json!("http://example.atlassian.net"), "the site must be an https:// URL"),
            ("site", json!("example.atlassian.net"), "the site is not a URL"),
            ("email", json!(""), "its email is not one word of ASCII characters"),
            ("email", json!("a:b"), "its email has a colon"),
            ("token", json!("x\ny"), "its token is not one word of ASCII characters"),
            ("token", json!(null), "expected an object with a site, an email and a token"),
        ];
        for (field, value, expected) in cases {
            let mut bad = whole.clone();
            bad[field] = value;
            assert_eq!(parse(bad).unwrap_err().to_string(), expected, "{field}");
        }
    }

    #[test]
    fn a_browser_is_sent_to_the_site_only() {
        let key = IssueKey::try_from("PAY-7".to_owned()).unwrap();
        let browse = |site: &str| {
            let credential = json!({"site": site, "email": "a@b.example", "token": "t"});
            parse(credential).unwrap().browse_url(&key)
        };
        let expected = "https://example.atlassian.net/browse/PAY-7".to_owned();
        assert_eq!(browse("https://example.atlassian.net"), Some(expected));
        assert_eq!(browse("https://api.atlassian.com/ex/jira/11223344-a1b2"), None);
    }
}
