//! The body of a message in the dead-letter queue, JSON: a record or a message that was parked, and
//! why.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;
use strum::IntoStaticStr;

use crate::model::burst::Burst;
use crate::model::digest::{Digest, HeldAlerts};
use crate::model::name::{RouteName, Severity, Target};
use crate::model::tally::Tally;
use crate::model::time::Timestamp;

/// A parked message: the body in the dead-letter queue, JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParkedItem {
    /// Version of this format: [`PARKED_FORMAT`].
    pub stentor: u8,
    /// Why it was parked, as a stable word in kebab case: a [`PoisonCode`] or a [`ParkCode`].
    ///
    /// [`PoisonCode`]: crate::ingest::decode::PoisonCode
    pub code: Cow<'static, str>,
    /// The same for people.
    pub reason: String,
    /// ISO 8601, UTC.
    pub parked_at: String,
    #[serde(flatten)]
    pub what: ParkedWork,
}

/// Version of the format that [`ParkedItem::to_json`] writes. Version 1, which had no code, is
/// still read.
pub const PARKED_FORMAT: u8 = 2;

/// Why something other than a poison record is parked.
#[derive(Copy, Clone, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum ParkCode {
    /// The target will never accept the message.
    Refused,
    /// The target does not accept the credential.
    Denied,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ParkedWork {
    /// A record that could not be read, as it came.
    Record {
        event_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        stream_arn: Option<String>,
        /// The Region of a direct subscription. A stream has it in its ARN.
        #[serde(skip_serializing_if = "Option::is_none")]
        region: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        partition_key: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        arrived_at: Option<String>,
        /// The base64 text of the record, left out when it does not fit a queue message.
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<String>,
    },
    Message(Box<ParkedMessage>),
}

/// A message that a target refused, or whose target is gone. It is a digest without the facts that
/// hold only at the moment of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedMessage {
    pub route: RouteName,
    pub target: Target,
    /// First and last epoch, both included.
    pub epochs: (u64, u64),
    pub tally: Tally,
    /// The burst that the message ends. Its incident stays open until the message is delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_burst: Option<Burst>,
    /// Alerts that were held until the threshold of the route was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldAlerts>,
    /// Epochs that the store no longer had.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_epochs: u64,
    /// Why the target, a fallback, got the message instead of another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated: Option<String>,
}

impl ParkedItem {
    pub fn new(
        code: impl Into<&'static str>,
        reason: impl Into<String>,
        now: Timestamp,
        what: ParkedWork,
    ) -> Self {
        let code = Cow::Borrowed(code.into());
        Self { stentor: PARKED_FORMAT, code, reason: reason.into(), parked_at: now.iso(), what }
    }

    /// The message as JSON in ASCII: SQS refuses some control characters, and counts bytes.
    pub fn to_json(&self) -> String {
        let mut bytes = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Ascii);
        self.serialize(&mut serializer)
            .expect("invariant: string keys and plain data always serialize");
        String::from_utf8(bytes).expect("invariant: ASCII is UTF-8")
    }

    /// Reads the output of [`ParkedItem::to_json`]. Each kind has a plain structure of its own,
    /// because serde buffers the fields of `flatten` and `tag`, and its buffer does not accept text
    /// for the numbers that key a tally.
    ///
    /// # Errors
    /// When the text is no parked message that this version knows.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Head {
            stentor: u8,
            code: Option<String>,
            reason: String,
            parked_at: String,
            kind: Kind,
        }
        #[derive(Copy, Clone, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Kind {
            Record,
            Message,
        }
        let Head { stentor, code, reason, parked_at, kind } = serde_json::from_str(text)?;
        let (code, reason) = match (stentor, kind) {
            // Version 1 had no code. The reason of a record began with it.
            (1, Kind::Record) => match reason.split_once(": ") {
                Some((code, reason)) => (Cow::Owned(code.to_owned()), reason.to_owned()),
                None => (Cow::Owned(reason.clone()), reason),
            },
            (1, Kind::Message) => (Cow::Borrowed(ParkCode::Refused.into()), reason),
            _ => {
                (Cow::Owned(code.ok_or_else(|| serde_json::Error::missing_field("code"))?), reason)
            }
        };
        let what = match kind {
            Kind::Record => ParkedWork::record_from(text)?,
            Kind::Message => ParkedWork::Message(serde_json::from_str(text)?),
        };
        Ok(Self { stentor, code, reason, parked_at, what })
    }

    /// The same without the bytes of the record.
    #[must_use]
    pub fn without_data(mut self) -> Self {
        if let ParkedWork::Record { data, .. } = &mut self.what {
            *data = None;
        }
        self
    }
}

impl ParkedWork {
    fn record_from(text: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Record {
            event_id: String,
            stream_arn: Option<String>,
            region: Option<String>,
            partition_key: Option<String>,
            arrived_at: Option<String>,
            data: Option<String>,
        }
        let Record { event_id, stream_arn, region, partition_key, arrived_at, data } =
            serde_json::from_str(text)?;
        Ok(Self::Record { event_id, stream_arn, region, partition_key, arrived_at, data })
    }
}

impl ParkedMessage {
    pub fn of(digest: &Digest) -> Self {
        Self {
            route: digest.route.clone(),
            target: digest.target.clone(),
            epochs: digest.epochs,
            tally: digest.tally.clone(),
            ended_burst: digest.burst.filter(|_| digest.ends_burst),
            held: digest.held,
            lost_epochs: digest.lost_epochs,
            escalated: digest.escalated.clone(),
        }
    }

    /// Its digest. One that reports alerts has no burst: the burst is long over, and a service would
    /// take an alert that follows its end for a new incident. `configured` is the severity of the
    /// route in the configuration.
    pub fn digest(self, configured: Option<Severity>) -> Digest {
        let Self { route, target, epochs, tally, ended_burst, held, lost_epochs, escalated } = self;
        let digest = match lost_epochs {
            0 => Digest::new(&route, &target, configured, epochs, tally),
            _ => Digest::lost(&route, &target, configured, epochs),
        };
        Digest {
            burst: ended_burst,
            ends_burst: ended_burst.is_some(),
            incident: ended_burst.map(|burst| burst.number),
            held,
            escalated,
            ..digest
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Writes everything beyond printable ASCII as `\uXXXX`.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut units = [0; 2];
        for c in fragment.chars() {
            match c {
                ' '..='~' => writer.write_all(&[c as u8])?,
                _ => c
                    .encode_utf16(&mut units)
                    .iter()
                    .try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::decode::PoisonCode;

    #[test]
    fn a_parked_message_is_ascii_and_reads_back() {
        let what = ParkedWork::Record {
            event_id: "shard:1\u{7f}".to_owned(),
            stream_arn: None,
            region: Some("eu-west-1".to_owned()),
            partition_key: Some("Zürich 😀 \u{85}".to_owned()),
            arrived_at: Some("1.5".to_owned()),
            data: Some("YQ==".to_owned()),
        };
        let parked = ParkedItem::new(
            PoisonCode::NotGzip,
            "it looks like zlib",
            Timestamp::from_millis(0),
            what,
        );
        let json = parked.to_json();
        assert!(json.bytes().all(|b| (b' '..=b'~').contains(&b)), "{json}");
        assert!(json.starts_with(r#"{"stentor":2,"code":"not-gzip","reason":"it looks like zlib","parked_at":"1970-01-01T00:00:00.000Z","kind":"record","#));
        assert_eq!(ParkedItem::from_json(&json).unwrap(), parked);
        assert!(!parked.clone().without_data().to_json().contains("YQ=="));
        assert!(
            ParkedItem::from_json(&json.replace("record", "postcard")).is_err(),
            "a kind of a later version"
        );
    }

    #[test]
    fn version_1_is_read_with_the_code_that_began_its_reason() {
        let record = |version: u8, reason: &str| {
            format!(
                r#"{{"stentor":{version},"reason":"{reason}","parked_at":"1970-01-01T00:00:00.000Z","kind":"record","event_id":"e"}}"#
            )
        };
        let read = |json: &str| {
            ParkedItem::from_json(json).map(|parked| (parked.code.into_owned(), parked.reason))
        };
        let expected = ("not-json".to_owned(), "a syntax error: at line 1".to_owned());
        assert_eq!(read(&record(1, "not-json: a syntax error: at line 1")).unwrap(), expected);
        assert_eq!(read(&record(1, "odd")).unwrap(), ("odd".to_owned(), "odd".to_owned()));
        assert!(read(&record(2, "not-json: x")).is_err(), "version 2 has a code of its own");
    }

    #[test]
    fn a_parked_message_reads_back_with_its_tally() {
        let mut tally = Tally { alerts: 3, other: 3, ..Tally::default() };
        tally.histogram.slices.insert(1_753_362, 3);
        let (route, target) = ("alerts".parse().unwrap(), "slack:default".parse().unwrap());
        let digest = Digest::new(&route, &target, None, (4, 6), tally);
        let parked = ParkedItem::new(
            ParkCode::Refused,
            "Slack answered 410: channel_is_archived",
            Timestamp::from_millis(7),
            ParkedWork::Message(Box::new(ParkedMessage::of(&digest))),
        );
        let json = parked.to_json();
        assert!(json.ends_with("}}"), "fields without a value are left out: {json}");
        assert_eq!(ParkedItem::from_json(&json).unwrap(), parked);
        let version_1 = json.replacen(r#""stentor":2,"code":"refused""#, r#""stentor":1"#, 1);
        assert_eq!(ParkedItem::from_json(&version_1).unwrap(), ParkedItem { stentor: 1, ..parked });
    }

    #[test]
    fn a_parked_message_keeps_what_it_reports() {
        let (route, target) = ("alerts".parse().unwrap(), "pagerduty:db".parse().unwrap());
        let digest = |tally| Digest::new(&route, &target, None, (4, 6), tally);
        let burst = Burst { number: 2, alerts: 9, ..Burst::default() };
        let alerts = digest(Tally { alerts: 3, other: 3, ..Tally::default() });
        let cases = [
            alerts.clone(),
            Digest::lost(&route, &target, None, (4, 6)),
            Digest { escalated: Some("down".to_owned()), ..alerts.clone() },
            Digest { held: Some(HeldAlerts { included: 2, left_out: 7 }), ..alerts.clone() },
            Digest {
                burst: Some(burst),
                ends_burst: true,
                incident: Some(2),
                ..digest(Tally::default())
            },
        ];
        let read_back = |digest: &Digest| {
            let json = serde_json::to_string(&ParkedMessage::of(digest)).unwrap();
            serde_json::from_str::<ParkedMessage>(&json).unwrap().digest(None)
        };
        for case in cases {
            assert_eq!(read_back(&case), case);
        }
        let of_burst = Digest { burst: Some(burst), incident: Some(2), ..alerts.clone() };
        assert_eq!(read_back(&of_burst), alerts, "its burst is long over");
    }
}
