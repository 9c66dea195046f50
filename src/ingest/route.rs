//! Decides which log events become alerts, and of which routes. A marker is a plain substring of
//! the decoded message. One pass with the markers of all routes rejects the messages without any.
//! Then routes are tried in the order of the configuration; the first that matches accepts the log
//! event, and later ones are tried only if it has `continue`.
//!
//! Left to `decode`: the marker prefilter on raw text, which rejects most messages before this.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, BuildError, MatchKind};
use anyhow::bail;

use crate::config::{Config, ContextSize, Route};
use crate::ingest::decode::{Decoder, Events, MarkerPrefilter, Neighbors, Poison};
use crate::ingest::logs::{LogBatch, LogEvent};
use crate::ingest::origin::Origins;
use crate::model::alert::{
    Alert, AlertId, CONTEXT_BYTES_MAX, LogContext, MESSAGE_BYTES_MAX, Origin,
};
use crate::model::name::RouteName;
use crate::model::pattern::Patterns;
use crate::model::statement::{self, Continuation, STATEMENT_BYTES_MAX, Statement};
use crate::model::time::Timestamp;
use crate::model::truncate::{truncated, truncated_start};
use crate::redact::Redactor;

/// The limits of what continues a log event.
const JOINED_EVENTS_MAX: usize = 100;
const JOINED_BYTES_MAX: usize = 64 * 1024;

/// So much of the text around a statement is redacted with it.
const STATEMENT_READ_BYTES_MAX: usize = 8 * 1024;

/// The routes of a configuration, ready to search.
pub struct Routes {
    config: Config,
    decoder: Decoder,
    /// The markers of all routes.
    all_markers: Markers,
    /// In the order of the routes: the markers, and the name as the only element of a list.
    by_route: Vec<(Markers, Arc<[RouteName]>)>,
    /// Whether a route wants the log events around an alert.
    has_context: bool,
    own: OwnLogs,
}

/// The log groups of this program. An alert about them would log a line that becomes the next
/// alert.
#[derive(Clone, Debug, Default)]
pub struct OwnLogs {
    pub log_groups: Vec<String>,
    /// The account of this program, once it is known. Another account may have a group of the same
    /// name.
    pub account: Arc<OnceLock<String>>,
}

/// The result of scanning one subscription message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Log events in the message.
    pub events: u64,
    pub alerts: Vec<Alert>,
    /// The message is a log of this program, so its events were not scanned.
    pub own: bool,
    /// The scan was stopped: `events` counts only those up to the last alert.
    pub unfinished: bool,
}

/// The routes that accept a log event, and the marker that the first of them found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub marker: Arc<str>,
    /// Never empty; in the order of the configuration.
    pub routes: Arc<[RouteName]>,
}

/// Markers that are searched for together.
struct Markers {
    search: AhoCorasick,
    texts: Vec<Arc<str>>,
}

impl Routes {
    /// # Errors
    /// When markers cannot be compiled. `Config::parse` refuses these, so only a configuration from
    /// another source can have them.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let markers =
            |route: &Route| Ok((Markers::new(&route.markers)?, Arc::from([route.name.clone()])));
        let by_route: Result<Vec<_>, BuildError> = config.routes.iter().map(markers).collect();
        let all_markers = Markers::new(config.routes.iter().flat_map(|route| &route.markers));
        let (Ok(by_route), Ok(all_markers)) = (by_route, all_markers) else {
            bail!("the markers of the configuration cannot be searched for");
        };
        let decoder = decoder(config);
        let has_context = config.routes.iter().any(|route| route.context != ContextSize::default());
        Ok(Self {
            has_context,
            config: config.clone(),
            decoder,
            all_markers,
            by_route,
            own: OwnLogs::default(),
        })
    }

    /// The decoder that lets [`Self::scan`] see every alert.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The same routes, without the logs of this program.
    #[must_use]
    pub fn refusing(self, own: OwnLogs) -> Self {
        Self { own, ..self }
    }

    pub fn own(&self) -> &OwnLogs {
        &self.own
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.config.routes.iter()
    }

    pub fn get(&self, name: &RouteName) -> Option<&Route> {
        self.config.routes.iter().find(|route| route.name == *name)
    }

    pub fn redactor(&self) -> &Redactor {
        &self.config.redactor
    }

    /// The alerts among the log events of a message, redacted, in their order. `head` has their
    /// origin.
    ///
    /// # Errors
    /// When an event cannot be read.
    pub fn scan(
        &self,
        head: &LogBatch<'_>,
        events: Events<'_>,
        region: Option<&str>,
        source: &str,
    ) -> Result<Scanned, Poison> {
        self.scan_until(head, events, region, source, || false)
    }

    /// The same, but stops before the next alert once `is_over` returns true.
    ///
    /// # Errors
    /// As [`Routes::scan`].
    pub fn scan_until(
        &self,
        head: &LogBatch<'_>,
        events: Events<'_>,
        region: Option<&str>,
        source: &str,
        is_over: impl Fn() -> bool,
    ) -> Result<Scanned, Poison> {
        if self.own.wrote(head) {
            return Ok(Scanned { events: events.each(|_| ())?, own: true, ..Scanned::default() });
        }
        let mut origins = None;
        let mut patterns = Patterns::default();
        // Room for all candidates, because nearly all of them become alerts.
        let mut alerts = Vec::with_capacity(events.candidates().unwrap_or(0));
        let mut unfinished = false;
        let events = events.each_until(|event, neighbors| {
            let Some(hit) = self.hit(event, head, region) else { return ControlFlow::Continue(()) };
            if is_over() {
                unfinished = true;
                return ControlFlow::Break(());
            }
            let origins =
                origins.get_or_insert_with(|| Origins::new(&self.config, head, region, source));
            alerts.push(self.alert(event, neighbors, hit, &origins.of(event), &mut patterns));
            ControlFlow::Continue(())
        })?;
        // The alerts stay in memory until they are committed.
        alerts.shrink_to_fit();
        let events = if unfinished { alerts.len() as u64 } else { events };
        Ok(Scanned { events, alerts, own: false, unfinished })
    }

    /// The routes that accept the log event; `None` if there are none.
    pub fn hit(
        &self,
        event: &LogEvent<'_>,
        batch: &LogBatch<'_>,
        region: Option<&str>,
    ) -> Option<Hit> {
        // A marker may have colors in it, and a color may be a part of a marker.
        let plain = statement::without_sequences(&event.message);
        // With one route, its own search below is enough.
        if self.by_route.len() > 1 && self.all_markers.first_in(&event.message, &plain).is_none() {
            return None;
        }
        let account = event.account.as_deref().unwrap_or(&batch.owner);
        let region = event.region.as_deref().or(region);
        let mut hit: Option<Hit> = None;
        for (route, (markers, alone)) in self.config.routes.iter().zip(&self.by_route) {
            if !route.scope.admits(account, region, &batch.log_group) {
                continue;
            }
            let Some(marker) = markers.first_in(&event.message, &plain) else { continue };
            hit = Some(match hit {
                None => Hit { marker: Arc::clone(marker), routes: Arc::clone(alone) },
                Some(Hit { marker, routes }) => {
                    Hit { marker, routes: routes.iter().chain(&**alone).cloned().collect() }
                }
            });
            if !route.continue_ {
                break;
            }
        }
        hit
    }

    /// Where the log event of `batch` comes from.
    pub fn origin(
        &self,
        event: &LogEvent<'_>,
        batch: &LogBatch<'_>,
        region: Option<&str>,
    ) -> Arc<Origin> {
        Origins::new(&self.config, batch, region, "").of(event)
    }

    /// The only way from a log event to an alert, through the redactor.
    fn alert(
        &self,
        event: &LogEvent<'_>,
        neighbors: &mut Neighbors<'_, '_>,
        hit: Hit,
        origin: &Arc<Origin>,
        patterns: &mut Patterns,
    ) -> Alert {
        let (text, joined) = self.with_continuations(&event.message, neighbors);
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
            account_id: shared(event.account.as_deref(), Some(&origin.owner)).unwrap_or_default(),
            region: shared(event.region.as_deref(), origin.region.as_ref()),
            origin: Arc::clone(origin),
        }
    }
}

impl Routes {
    /// A message as it is stored and shown: redacted, at most [`MESSAGE_BYTES_MAX`] bytes around
    /// the statement; and the number of bytes that are left out.
    pub fn stored(&self, message: &str, marker: &str) -> (String, usize) {
        let is_long = message.len() > MESSAGE_BYTES_MAX;
        let at = if is_long { statement::find(message, marker).range.start } else { 0 };
        self.redactor().excerpt(message, at, MESSAGE_BYTES_MAX)
    }

    /// The message with the log events that continue it, such as the lines of a stack trace; and
    /// how many these are. A log event with a marker is an alert of its own.
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
            if text.len() + added.len() > JOINED_BYTES_MAX || self.has_marker(&following) {
                break;
            }
            let text = text.to_mut();
            text.push('\n');
            text.push_str(&added);
            joined += 1;
        }
        (text, joined)
    }

    fn has_marker(&self, message: &str) -> bool {
        let plain = statement::without_sequences(message);
        self.all_markers.first_in(message, &plain).is_some()
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

impl Markers {
    fn new<'m>(markers: impl IntoIterator<Item = &'m String>) -> Result<Self, BuildError> {
        let texts: Vec<Arc<str>> =
            markers.into_iter().map(|marker| Arc::from(marker.as_str())).collect();
        let mut builder = AhoCorasick::builder();
        let search = builder
            .match_kind(MatchKind::LeftmostLongest)
            .build(texts.iter().map(|marker| marker.as_bytes()))?;
        Ok(Self { search, texts })
    }

    /// The first marker in `message`, else in `plain`, the message without terminal sequences; of
    /// two at the same place, the longer one.
    fn first_in(&self, message: &str, plain: &str) -> Option<&Arc<str>> {
        let has_sequences = plain.len() < message.len();
        let in_plain = || has_sequences.then(|| self.search.find(plain)).flatten();
        let found = self.search.find(message).or_else(in_plain)?;
        Some(&self.texts[found.pattern().as_usize()])
    }
}

/// The value of the log event, else that of its origin. Equal values share the text of the origin.
fn shared(own: Option<&str>, origin: Option<&Arc<str>>) -> Option<Arc<str>> {
    match own {
        Some(own) if origin.is_none_or(|origin| **origin != *own) => Some(own.into()),
        _ => origin.cloned(),
    }
}

/// With a marker prefilter on raw text, unless the configuration is strict. The prefilter ignores
/// scopes, which need a parsed event: they only reduce what the markers find.
fn decoder(config: &Config) -> Decoder {
    let markers = config.routes.iter().flat_map(|route| route.markers.iter().map(String::as_str));
    let prefilter = if config.strict { None } else { MarkerPrefilter::new(markers) };
    Decoder { decoded_bytes_max: config.decoded_bytes_max, prefilter }
}

impl OwnLogs {
    fn wrote(&self, batch: &LogBatch<'_>) -> bool {
        let account = self.account.get();
        self.log_groups.iter().any(|group| *group == batch.log_group)
            && account.is_none_or(|account| *account == batch.owner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::ingest::decode;
    use crate::ingest::event::{Data, Record};

    const CONFIG: &str = r#"
        [[redact.rule]]
        name = "customer"
        pattern = "customer-[0-9]+"
        redacts = ["customer-7"]
        [[route]]
        name = "audit"
        markers = ["[AUDIT]", "[CRITICAL]"]
        accounts = ["1111*"]
        notify = ["slack:audit"]
        continue = true
        [[route]]
        name = "db"
        markers = ["[CRITICAL] db", "[CRITICAL]"]
        log_groups = ["/aws/rds/*"]
        regions = ["eu-*"]
        notify = ["slack:db"]
        [[route]]
        name = "critical"
        markers = ["[CRITICAL]", "[ALERT]"]
        notify = ["slack:all"]
    "#;

    fn hit(
        message: &str,
        account: &str,
        region: Option<&str>,
        log_group: &str,
    ) -> Option<(String, Vec<String>)> {
        let config = Config::parse(CONFIG, "test").expect("a good configuration");
        let batch =
            LogBatch { owner: account.into(), log_group: log_group.into(), ..LogBatch::default() };
        let event = LogEvent {
            id: "1".into(),
            timestamp: 0,
            message: message.into(),
            account: None,
            region: None,
        };
        let hit = Routes::new(&config).expect("it compiles").hit(&event, &batch, region)?;
        Some((hit.marker.to_string(), hit.routes.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn the_first_matching_route_accepts_the_event_unless_it_continues() {
        let eu = Some("eu-west-1");
        let cases = [
            ("nothing here", "2222", eu, "/x", None),
            ("[CRITICAL] x", "2222", eu, "/x", Some(("[CRITICAL]", vec!["critical"]))),
            ("[CRITICAL] x", "1111", eu, "/x", Some(("[CRITICAL]", vec!["audit", "critical"]))),
            ("[AUDIT] x", "1111", eu, "/x", Some(("[AUDIT]", vec!["audit"]))),
            ("[AUDIT] x", "2222", eu, "/x", None),
            ("[ALERT] then [CRITICAL]", "2222", eu, "/x", Some(("[ALERT]", vec!["critical"]))),
            ("[CRITICAL] db", "2222", eu, "/aws/rds/a", Some(("[CRITICAL] db", vec!["db"]))),
            ("[CRITICAL] y", "2222", None, "/aws/rds/a", Some(("[CRITICAL]", vec!["critical"]))),
            (
                "[CRITICAL] y",
                "2222",
                Some("us-east-1"),
                "/aws/rds/a",
                Some(("[CRITICAL]", vec!["critical"])),
            ),
            ("[critical] case counts", "2222", eu, "/x", None),
        ];
        for (message, account, region, group, expected) in cases {
            let expected = expected.map(|(m, r): (&str, Vec<&str>)| {
                (m.to_owned(), r.into_iter().map(str::to_owned).collect::<Vec<_>>())
            });
            assert_eq!(
                hit(message, account, region, group),
                expected,
                "{message} {account} {group}"
            );
        }
    }

    #[test]
    fn an_alert_is_redacted_before_it_is_cut_and_keeps_its_origin() {
        let routes =
            Routes::new(&Config::parse(CONFIG, "test").expect("good")).expect("it compiles");
        let tail = format!("{} password=hunter2hunter2 customer-77", "x".repeat(16 * 1024 - 20));
        let event = |id: &'static str, message: String, account: Option<&'static str>| LogEvent {
            id: id.into(),
            timestamp: 5,
            message: message.into(),
            account: account.map(Into::into),
            region: None,
        };
        let batch = LogBatch {
            owner: "2222".into(),
            log_group: "/aws/lambda/shop".into(),
            log_stream: "s".into(),
            events: vec![
                event("1", "quiet".into(), None),
                event("2", format!("[CRITICAL] {tail}"), Some("3333")),
                event("3", "[ALERT] customer-12 token=abcdef".into(), None),
            ],
        };
        let own = |account: &str| {
            let own = OwnLogs { log_groups: vec!["/aws/lambda/shop".into()], ..OwnLogs::default() };
            own.account.set(account.into()).unwrap();
            let routes = Routes::new(&Config::builtin()).unwrap().refusing(own);
            let scanned = routes.scan(&batch, Events::of(&batch.events), None, "").unwrap();
            (scanned.own, scanned.events, scanned.alerts.len())
        };
        assert_eq!(
            (own("2222"), own("9999")),
            ((true, 3, 0), (false, 3, 2)),
            "our own logs, and a namesake's"
        );
        let scanned =
            routes.scan(&batch, Events::of(&batch.events), Some("eu-west-1"), "shard:1").unwrap();
        assert_eq!((scanned.events, scanned.alerts.len()), (3, 2));
        let [long, short] = &scanned.alerts[..] else { panic!("two alerts") };
        assert!(
            long.left_out > 0 && !long.message.contains("hunter2"),
            "half a secret must not survive the cut"
        );
        assert_eq!((&*long.account_id, &*short.account_id), ("3333", "2222"));
        assert_eq!(
            (short.origin.app_name.as_str(), short.region.as_deref()),
            ("shop", Some("eu-west-1"))
        );
        assert!(
            !short.message.contains("customer-12") && !short.message.contains("abcdef"),
            "{}",
            short.message
        );
        assert!(!short.pattern.as_str().contains("abcdef"));
    }

    /// The alerts of a record with these messages, with the prefilter and without.
    fn scanned(config: &str, messages: &[&str]) -> [Vec<Alert>; 2] {
        // In the order in which CloudWatch Logs writes.
        let event = |(n, message): (usize, &&str)| {
            let message = serde_json::Value::from(*message);
            format!(
                r#"{{"id":"{n:056}","timestamp":{},"message":{message}}}"#,
                1_795_443_306_000 + n
            )
        };
        let events: Vec<String> = messages.iter().enumerate().map(event).collect();
        let text = format!(
            r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","logEvents":[{}]}}"#,
            events.join(",")
        );
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        let data = BASE64_STANDARD.encode(gzip.finish().unwrap());
        [false, true].map(|strict| {
            let config = Config::parse(&format!("strict = {strict}\n{config}"), "f").unwrap();
            let routes = Routes::new(&config).unwrap();
            let record = Record::named("1".into(), Data::Base64(data.as_str().into()));
            let decoded = decode::all(&[record], routes.decoder(), |_, head, events| {
                routes.scan(head, events, None, "s")
            });
            decoded.into_iter().next().unwrap().content.unwrap().alerts
        })
    }

    #[test]
    fn a_marker_may_contain_colors_and_be_colored() {
        for (marker, expected) in [(r"\u001b[31mERROR", 1), ("[ERROR]", 2), ("ERROR", 3)] {
            let config = format!(
                "[[route]]\nname = \"a\"\nmarkers = [\"{marker}\"]\nnotify = [\"slack:a\"]\n"
            );
            let lines =
                ["\u{1b}[31mERROR\u{1b}[0m a", "[\u{1b}[1mERROR\u{1b}[0m] b", "[ERROR] c", "d"];
            for alerts in scanned(&config, &lines) {
                assert_eq!(alerts.len(), expected, "{marker}");
            }
        }
    }

    #[test]
    fn a_stack_trace_that_arrives_line_by_line_is_one_alert() {
        let config =
            "[[route]]\nname = \"a\"\nmarkers = [\"[CRITICAL]\"]\nnotify = [\"slack:a\"]\n";
        let lines = [
            "quiet",
            "[CRITICAL] order 7 could not be stored",
            "java.lang.IllegalStateException: pool \"a\" is closed",
            "\tat com.example.db.Pool.take(Pool.java:91)",
            "Caused by: java.net.SocketTimeoutException: connect timed out",
            "order 8 is stored",
            "[CRITICAL] order 9 could not be stored",
            "[CRITICAL]\tat a.b(c)",
        ];
        let trace = lines[1..5].join("\n");
        for alerts in scanned(config, &lines) {
            let messages: Vec<_> = alerts.iter().map(|alert| &*alert.message).collect();
            assert_eq!(messages, [&*trace, lines[6], lines[7]]);
            assert!(alerts.iter().all(|alert| alert.context.is_none()));
            assert_eq!(
                alerts[0].pattern.as_str(),
                "[CRITICAL] order <n> could not be stored: java.net.SocketTimeoutException: connect timed out"
            );
        }
    }

    #[test]
    fn a_trace_without_an_end_is_bounded() {
        let config =
            "[[route]]\nname = \"a\"\nmarkers = [\"[CRITICAL]\"]\nnotify = [\"slack:a\"]\n";
        let frame = format!("\tat {}(A.java:7)", "a.".repeat(200));
        let lines = [&["[CRITICAL] why"][..], &vec![&*frame; 1_000]].concat();
        for alerts in scanned(config, &lines) {
            let [alert] = &alerts[..] else { panic!("one alert") };
            assert!(alert.message.starts_with("[CRITICAL] why\n\tat a.a."), "{alert:?}");
            let joined = alert.message.len() + alert.left_out;
            assert!(joined > 40_000 && joined < JOINED_BYTES_MAX, "{joined}");
        }
    }

    #[test]
    fn a_route_can_have_the_log_events_around_an_alert() {
        let config = "[[route]]\nname = \"a\"\nmarkers = [\"[CRITICAL]\"]\nnotify = [\"slack:a\"]\ncontext = { before = 2, after = 1 }\n\
                      [[route]]\nname = \"b\"\nmarkers = [\"[ALERT]\"]\nnotify = [\"slack:a\"]\n";
        let lines = [
            "one",
            "two",
            "password=\"hunter2",
            "[CRITICAL] why",
            "\tat a.b(c)",
            "after",
            "more",
            "[ALERT] x",
            "[CRITICAL] last",
        ];
        for alerts in scanned(config, &lines) {
            let context = |alert: &Alert| {
                let context = alert.context.as_deref().cloned().unwrap_or_default();
                (alert.message.clone(), context.before, context.after)
            };
            let found: Vec<_> = alerts.iter().map(context).collect();
            let text = |texts: [&str; 3]| {
                let [message, before, after] = texts.map(str::to_owned);
                (message, before, after)
            };
            assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
            assert_eq!(found[0].0, "[CRITICAL] why\n\tat a.b(c)");
            assert!(found[0].1.starts_with("two\npassword=\"[redacted:password]"), "{found:?}");
            assert_eq!(
                found[1..],
                [text(["[ALERT] x", "", ""]), text(["[CRITICAL] last", "more\n[ALERT] x", ""])]
            );
        }
    }

    #[test]
    fn an_alert_names_its_app() {
        let config = r#"
            [[app]]
            name = "Shop of Europe"
            log_streams = ["named/*"]
            regions = ["eu-*"]
            [[app]]
            name = "ledger"
            accounts = ["333333333333"]
            [[route]]
            name = "all"
            markers = ["[CRITICAL]"]
            notify = ["slack:all"]
        "#;
        let routes = Routes::new(&Config::parse(config, "test").unwrap()).unwrap();
        let container = |name: &str| {
            format!(r#"{{"log":"[CRITICAL] x","kubernetes":{{"container_name":"{name}"}}}}"#)
        };
        let event = |message: &str, account: Option<&'static str>| LogEvent {
            id: "1".into(),
            timestamp: 0,
            message: message.to_owned().into(),
            account: account.map(Into::into),
            region: None,
        };
        let apps = |log_stream: &'static str, events: Vec<LogEvent<'_>>| -> Vec<String> {
            let batch = LogBatch {
                owner: "111122223333".into(),
                log_group: "/fluent/prod".into(),
                log_stream: log_stream.into(),
                events,
            };
            let events = Events::of(&batch.events);
            let alerts = routes.scan(&batch, events, Some("eu-west-1"), "").unwrap().alerts;
            alerts.into_iter().map(|alert| alert.origin.app_name.clone()).collect()
        };
        let events = vec![
            event("[CRITICAL] x", None),
            event(&container("cart"), None),
            event(&container("cart"), Some("333333333333")),
            event(&container("AKIAIOSFODNN7EXAMPLE"), None),
            event(&container("mail"), None),
        ];
        assert_eq!(apps("node-1", events.clone()), ["prod", "cart", "ledger", "prod", "mail"]);
        let named = ["Shop of Europe"; 5];
        assert_eq!(apps("named/1", events.clone()), named, "the first app that matches");
        let task = "web/shop/0f3c9a7e5d1b4c2f8a6e0f3c9a7e5d1b";
        assert_eq!(apps(task, events), ["shop", "shop", "ledger", "shop", "shop"]);
        // However many names a text has, only so many origins are kept.
        let many =
            apps("node-1", (0..200).map(|n| event(&container(&format!("c{n}")), None)).collect());
        assert_eq!((many.len(), many[63].as_str(), many[64].as_str()), (200, "c63", "prod"));
    }

    #[test]
    fn the_cost_of_an_alert_does_not_depend_on_the_size_of_the_event() {
        let routes = Routes::new(&Config::builtin()).expect("it compiles");
        for shape in [
            "password=a ",
            "cookie: a=b; ",
            "://",
            "secret: [1, ",
            "4111111111111111 ",
            "\u{1b}[0m%61",
            "a",
        ] {
            let noise = shape.repeat((55 << 20) / shape.len());
            for message in [format!("[CRITICAL] why {noise}"), format!("{noise} [CRITICAL] why")] {
                let event = LogEvent {
                    id: "1".into(),
                    timestamp: 0,
                    message: message.into(),
                    account: None,
                    region: None,
                };
                let hit = Hit { marker: "[CRITICAL]".into(), routes: [].into() };
                let start = processor_seconds();
                let mut alert = None;
                let events = [event];
                let _ = Events::of(&events).each_until(|event, neighbors| {
                    let (origin, patterns) = (Arc::default(), &mut Patterns::default());
                    alert = Some(routes.alert(event, neighbors, hit.clone(), &origin, patterns));
                    ControlFlow::Break(())
                });
                let alert = alert.unwrap();
                let seconds = processor_seconds() - start;
                assert!(seconds < 1.0, "{shape:?} takes {seconds} s");
                assert!(
                    alert.left_out > 0 && alert.message.capacity() <= 2 * MESSAGE_BYTES_MAX,
                    "{shape:?}"
                );
                // A list without an end contains the rest of the text.
                let list = shape.ends_with("[1, ");
                assert!(list || alert.message.contains("[CRITICAL] why"), "{shape:?}");
            }
        }
    }

    /// The processor time of this thread.
    fn processor_seconds() -> f64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    }
}
