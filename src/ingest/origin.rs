//! The origins of the alerts of one subscription message. They differ only in their app.
//!
//! A name of the configuration comes first, then the one that `model::app` finds in the name of the
//! log stream, in the message, or in the name of the log group.

use std::sync::Arc;

use crate::config::Config;
use crate::ingest::logs::{LogBatch, LogEvent};
use crate::model::alert::Origin;
use crate::model::app::{self, AppSource};

/// So many names of one subscription message are kept. Alerts of further apps get the name of the
/// log stream or log group, so that memory is limited however many names the text contains.
const APPS_MAX: usize = 64;

pub(super) struct Origins<'a> {
    config: &'a Config,
    /// With the name of the log stream or log group.
    base: Arc<Origin>,
    /// With other names.
    named: Vec<Arc<Origin>>,
    /// Account, Region and name of the last log event that the rules of the configuration were
    /// tried for. Nearly all log events of a message have the same.
    configured: Option<(String, Option<String>, Option<&'a str>)>,
}

impl<'a> Origins<'a> {
    pub(super) fn new(
        config: &'a Config,
        head: &LogBatch<'_>,
        region: Option<&str>,
        source: &str,
    ) -> Self {
        let base = Origin::new(&head.owner, &head.log_group, &head.log_stream, region, source);
        Self { config, base: Arc::new(base), named: Vec::new(), configured: None }
    }

    /// The origin of a log event.
    pub(super) fn of(&mut self, event: &LogEvent<'_>) -> Arc<Origin> {
        if let Some(name) = self.configured(event) {
            return self.named(name, AppSource::Configuration);
        }
        if self.base.app_source == AppSource::LogGroup
            && let Some(name) = app::of_message(&event.message, &self.base.log_group)
        {
            return self.named(&name, AppSource::Message);
        }
        Arc::clone(&self.base)
    }

    /// The name of the first `[[app]]` that admits the log event.
    fn configured(&mut self, event: &LogEvent<'_>) -> Option<&'a str> {
        if self.config.apps.is_empty() {
            return None;
        }
        let account = event.account.as_deref().unwrap_or(&self.base.owner);
        let region = event.region.as_deref().or(self.base.region.as_deref());
        if let Some((known_account, known_region, name)) = &self.configured
            && known_account == account
            && known_region.as_deref() == region
        {
            return *name;
        }
        let Origin { log_group, log_stream, .. } = &*self.base;
        let mut apps = self.config.apps.iter();
        let app = apps.find(|app| app.scope.admits(account, region, log_group, log_stream));
        let name = app.map(|app| app.name.as_str());
        self.configured = Some((account.to_owned(), region.map(str::to_owned), name));
        name
    }

    fn named(&mut self, name: &str, source: AppSource) -> Arc<Origin> {
        let is_known = |origin: &&Arc<Origin>| origin.app_name == name;
        if let Some(known) = self.named.iter().find(is_known) {
            return Arc::clone(known);
        }
        // The text of a message may be a secret; the configuration is not redacted.
        let is_secret = source == AppSource::Message && self.config.redactor.redact(name) != name;
        if is_secret || self.named.len() == APPS_MAX {
            return Arc::clone(&self.base);
        }
        let origin = Arc::new(self.base.with_app(name, source));
        self.named.push(Arc::clone(&origin));
        origin
    }
}
