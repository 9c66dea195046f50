//! Removes a credential from a text. Services repeat what they were sent, some of them in their
//! errors, and an error is shown and logged.

use reqwest::Url;
use serde_json::Value;

use super::Credential;

/// A shorter text is no secret, and may be a word of any error.
const SECRET_BYTES_MIN: usize = 8;

impl Credential {
    /// The text with `…` for each part of the credential: the texts in it, and of a URL also the
    /// segments of its path, the values of its query and the password.
    pub fn hide_in(&self, text: String) -> String {
        let mut parts = Vec::new();
        collect(&self.0, &mut parts);
        parts.retain(|part| part.len() >= SECRET_BYTES_MIN);
        // The longest first: one part may contain another.
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        parts.iter().fold(text, |text, part| text.replace(part.as_str(), "…"))
    }
}

fn collect(value: &Value, parts: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            parts.push(text.trim().to_owned());
            // A reason is one line.
            parts.push(crate::model::visible::line(text.trim()));
            if let Ok(url) = Url::parse(text.trim()) {
                collect_url(&url, parts);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, parts)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, parts)),
        Value::Number(number) => parts.push(number.to_string()),
        Value::Null | Value::Bool(_) => {}
    }
}

/// Encoded as in the URL, and the values of the query also as they are meant.
fn collect_url(url: &Url, parts: &mut Vec<String>) {
    let encoded = [Some(url.as_str()), Some(url.path()), url.query(), url.password()];
    let segments = url.path_segments().into_iter().flatten();
    let user = Some(url.username());
    parts.extend(encoded.into_iter().chain([user]).flatten().chain(segments).map(str::to_owned));
    for (_, value) in url.query_pairs() {
        parts.push(value.into_owned());
    }
    for pair in url.query().unwrap_or_default().split('&') {
        parts.push(pair.rsplit('=').next().unwrap_or_default().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_part_of_a_credential_stays_in_a_text() {
        let cases = [
            (json!("topsecret"), "key topsecret is bad", "key … is bad"),
            (json!({"token": " topsecret\n", "n": ["othersecret"]}), "topsecretothersecret", "……"),
            (
                json!("https://user:password@hooks.example/services/topsecret?key=a%20secret"),
                "/services/topsecret: password, a%20secret, a secret, hooks.example",
                "…: …, …, …, hooks.example",
            ),
            (json!("ok"), "the answer ok", "the answer ok"),
            (json!(null), "null", "null"),
        ];
        for (credential, text, expected) in cases {
            let hidden = Credential::new(credential.clone()).hide_in(text.to_owned());
            assert_eq!(hidden, expected, "{credential}");
        }
    }
}
