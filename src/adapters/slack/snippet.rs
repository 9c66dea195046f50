//! The groups for which a message had no room, as a snippet in its thread. Only a bot can attach
//! one, and its token needs the scope `files:write`. The digest is delivered without it, so a
//! failure is only logged.

use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::json;

use super::Slack;
use super::bot::{Bot, Parent};
use super::error::SlackFailure;
use crate::adapters::http::url::parse_confidential;
use crate::message::listing::listing;
use crate::model::digest::Digest;
use crate::protocol::clock::{Clock, Deadline};

/// A snippet has at most 1 MB (docs.slack.dev, Working with files). People read less.
const SNIPPET_BYTES_MAX: usize = 200_000;

#[derive(Debug, Deserialize)]
struct UploadUrl {
    upload_url: String,
    file_id: String,
}

impl<C: Clock> Slack<C> {
    /// Attaches all groups of the digest to the thread below `parent`.
    pub(super) async fn attach_listing(
        &self,
        bot: &Bot,
        digest: &Digest,
        parent: &Parent,
        deadline: Deadline,
    ) {
        match self.upload(bot, &listing(digest, SNIPPET_BYTES_MAX), parent, deadline).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::info!(target = %digest.target, "Slack gave no place for the snippet of {}", digest.target);
            }
            Err(SlackFailure { error, .. }) => {
                tracing::info!(target = %digest.target, "{} has the message, but not the snippet with all groups: {error}", digest.target);
            }
        }
    }

    /// Whether Slack named a place for the snippet.
    async fn upload(
        &self,
        bot: &Bot,
        text: &str,
        parent: &Parent,
        deadline: Deadline,
    ) -> Result<bool, SlackFailure> {
        let url = self.method("files.getUploadURLExternal");
        let form = [
            ("filename", "groups.txt".to_owned()),
            ("length", text.len().to_string()),
            ("snippet_type", "text".to_owned()),
        ];
        let form = form.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
        let request = self
            .http
            .get()?
            .post(url)
            .header(AUTHORIZATION, bot.authorization())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.join("&"))
            .timeout(deadline.remaining(self.clock.now()));
        let place: Option<UploadUrl> = self.read_method(request.send().await?).await?;
        // The URL gets the text without the token.
        let Some((url, file)) = place.and_then(|place| {
            Some((parse_confidential(&place.upload_url, "the upload").ok()?, place.file_id))
        }) else {
            return Ok(false);
        };
        let left = deadline.remaining(self.clock.now());
        let request = self.http.get()?.post(url).body(text.to_owned()).timeout(left);
        self.check_upload(request.send().await?).await?;
        let body = json!({
            "files": [{"id": file, "title": "All groups"}],
            "channel_id": parent.channel,
            "thread_ts": parent.ts,
        });
        self.call(bot, "files.completeUploadExternal", &body, deadline).await?;
        Ok(true)
    }
}
