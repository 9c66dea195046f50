//! URLs that messages and credentials may be sent to.

use reqwest::Url;
use thiserror::Error;

/// Why a text is not a URL that messages may be sent to. It is not repeated, because it may be a
/// credential.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UrlError {
    #[error("{0} is not a URL")]
    Invalid(&'static str),
    #[error("{0} must be an https:// URL")]
    NotHttps(&'static str),
}

/// A URL to which a message can be sent without being read on the way: HTTPS, and plain HTTP for a
/// loopback address, where tests listen. `what` names it in the error.
///
/// # Errors
/// When the text is not a URL, or the message would be sent unencrypted.
pub fn parse_confidential(text: &str, what: &'static str) -> Result<Url, UrlError> {
    let url = Url::parse(text.trim()).map_err(|_| UrlError::Invalid(what))?;
    let is_loopback = match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback()),
        None => return Err(UrlError::Invalid(what)),
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        _ => Err(UrlError::NotHttps(what)),
    }
}

/// The same for the base of an API: paths are joined below it.
///
/// # Errors
/// As [`parse_confidential`].
pub fn parse_base(text: &str, what: &'static str) -> Result<Url, UrlError> {
    let mut url = parse_confidential(text, what)?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// The URL of `path` below a base. The base may already end with it, as documents print it.
///
/// # Errors
/// As [`parse_confidential`].
pub fn parse_endpoint(text: &str, path: &str, what: &'static str) -> Result<Url, UrlError> {
    let mut url = parse_confidential(text, what)?;
    let base = url.path().trim_end_matches('/').to_owned();
    if base.strip_suffix(path).is_none_or(|before| !before.ends_with('/')) {
        url.set_path(&format!("{base}/{path}"));
    }
    Ok(url)
}
