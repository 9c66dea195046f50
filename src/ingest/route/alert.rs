//! Makes an alert of an accepted log event: joins what continues it, redacts it, cuts it around its
//! statement, and adds the log events around it if the route wants them.

use std::borrow::Cow;
use std::sync::Arc;

use super::condition::EventPlace;
use super::{Hit, Routes};
use crate::ingest::decode::Neighbors;
use crate::model::alert::{
    Alert, AlertId, CONTEXT_BYTES_MAX, LogContext, MESSAGE_BYTES_MAX, Origin,
};
use crate::model::name::RouteName;
use crate::model::pattern::Patterns;
use crate::model::statement::{self, Continuation, STATEMENT_BYTES_MAX, Statement};
use crate::model::time::Timestamp;
use crate::model::truncate::{truncated, truncated_start};

/// The limits of what continues a log event.
pub(super) const JOINED_EVENTS_MAX: usize = 100;
pub(super) const JOINED_BYTES_MAX: usize = 64 * 1024;

/// So much of the text around a statement is redacted with it.
const STATEMENT_READ_BYTES_MAX: usize = 8 * 1024;

impl Routes {
    /// The only way from a log event to an alert, through the redactor.
    pub(super) fn alert(
        &self,
        place: &EventPlace<'_>,
        neighbors: &mut Neighbors<'_, '_>,
        hit: Hit,
        origin: &Arc<Origin>,
        patterns: &mut Patterns,
    ) -> Alert {
        let event = place.event();
        let (text, joined) = self.with_continuations(&event.message, neighbors);
        let severities = self.severities(&hit.routes, &text, place);
        let (message, left_out) = self.stored(&text, &hit.marker);
        let statement = match left_out {
            0 => statement::find(&message, &hit.marker).text,
            _ => self.statement(&text, &hit.marker),
        };
        let context = self.context(&text, joined, neighbors, &hit.routes);
        let pattern = patterns.of_line(&statement);
        Alert {
            id: AlertId::new(&event.id, origin),
            timestamp: Timestamp::from_millis(event.timestamp),
            marker: hit.marker,
            message,
            left_out,
            context,
            statement: (left_out > 0).then(|| statement.into()),
            pattern,
            routes: hit.routes,
            severities: severities.into(),
            account_id: shared(event.account.as_deref(), Some(&origin.owner)).unwrap_or_default(),
            region: shared(event.region.as_deref(), origin.region.as_ref()),
            origin: Arc::clone(origin),
        }
    }

    /// A message as it is stored and shown: redacted, at most [`MESSAGE_BYTES_MAX`] bytes around
    /// the statement; and the number of bytes that are left out.
    pub fn stored(&self, message: &str, marker: &str) -> (String, usize) {
        let is_long = message.len() > MESSAGE_BYTES_MAX;
        let at = if is_long { statement::find(message, marker).range.start } else { 0 };
        self.redactor().excerpt(message, at, MESSAGE_BYTES_MAX)
    }

    /// The message with the log events that continue it, such as the lines of a stack trace; and
    /// how many these are. A log event that a route may accept is an alert of its own.
    fn with_continuations<'m>(
        &self,
        message: &'m str,
        neighbors: &Neighbors<'_, '_>,
    ) -> (Cow<'m, str>, usize) {
        if message.len() > JOINED_BYTES_MAX {
            return (Cow::Borrowed(message), 0);
        }
        let mut continuation = Continuation::of(message);
        let (mut text, mut joined) = (Cow::Borrowed(message), 0);
        for following in neighbors.after().take(JOINED_EVENTS_MAX) {
            let Some(added) = continuation.next(&following) else { break };
            if text.len() + added.len() > JOINED_BYTES_MAX || self.accepts_message(&following) {
                break;
            }
            let text = text.to_mut();
            text.push('\n');
            text.push_str(&added);
            joined += 1;
        }
        (text, joined)
    }

    /// The log events around an alert whose `text` has the first `joined` of those after it.
    fn context(
        &self,
        text: &str,
        joined: usize,
        neighbors: &mut Neighbors<'_, '_>,
        routes: &[RouteName],
    ) -> Option<Box<LogContext>> {
        if !self.has_context {
            return None;
        }
        let sizes = || routes.iter().filter_map(|route| Some(self.get(route)?.context));
        let before = neighbors.before(sizes().map(|size| size.before).max()?);
        let after = sizes().map(|size| size.after).max()?;
        let after: Vec<_> = neighbors.after().skip(joined).take(after).collect();
        let (before, after) = (before.join("\n"), after.join("\n"));
        if before.is_empty() && after.is_empty() {
            return None;
        }
        // Redacted as one text: a secret may begin in one log event and end in another.
        let whole = [&*before, text, &*after].join("\n");
        let start = whole.len() - after.len();
        let before = self.redactor().redact_part(&whole, 0..before.len());
        let after = self.redactor().redact_part(&whole, start..whole.len());
        Some(Box::new(LogContext {
            before: truncated_start(&before, CONTEXT_BYTES_MAX),
            after: truncated(&after, CONTEXT_BYTES_MAX),
        }))
    }

    /// The statement of a message that is too long to be redacted as a whole.
    fn statement(&self, message: &str, marker: &str) -> String {
        let Statement { text, range } = statement::find_whole(message, marker);
        let part = range.start
            ..message.floor_char_boundary(range.end.min(range.start + STATEMENT_READ_BYTES_MAX));
        let redacted = self.redactor().redact_part(message, part.clone());
        // A name in front of the statement makes a secret of a part of it.
        let text = if redacted == message[part] { text } else { redacted.into_owned() };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // Cut twice, because the first cut adds a note on what it left out.
        let (text, _) = self.redactor().excerpt(&text, 0, 2 * STATEMENT_BYTES_MAX);
        truncated(&text, STATEMENT_BYTES_MAX)
    }
}

/// The value of the log event, else that of its origin. Equal values share the text of the origin.
fn shared(own: Option<&str>, origin: Option<&Arc<str>>) -> Option<Arc<str>> {
    match own {
        Some(own) if origin.is_none_or(|origin| **origin != *own) => Some(own.into()),
        _ => origin.cloned(),
    }
}
