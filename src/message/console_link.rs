//! The link to a log event in the CloudWatch console.

use std::fmt::Write as _;
use std::time::Duration;

use crate::model::tally::Sample;

/// A link to the CloudWatch console, to a minute around the sample; `None` if the Region is
/// unknown. It opens in the account that is signed in, so show the account next to it. The
/// format is that of the console: each part is percent-encoded twice, with `$` for `%`.
pub(super) fn console_url(sample: &Sample) -> Option<String> {
    const AROUND: Duration = Duration::from_secs(30);
    let region = region(sample)?;
    let group = console_encoded(&sample.log_group);
    let stream = console_encoded(&sample.log_stream);
    let (from, to) =
        (sample.timestamp.before(AROUND).as_millis(), sample.timestamp.after(AROUND).as_millis());
    Some(format!(
        "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}\
         #logsV2:log-groups/log-group/{group}/log-events/{stream}$3Fstart$3D{from}$26end$3D{to}"
    ))
}

/// The Region, if it is the name of one.
pub(super) fn region(sample: &Sample) -> Option<&str> {
    let is_name = |name: &&str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    sample.region.as_deref().filter(is_name)
}

fn console_encoded(part: &str) -> String {
    let mut encoded = String::with_capacity(part.len() * 2);
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            // `%2F` encoded again is `%252F`, which the console writes as `$252F`.
            _ => write!(encoded, "$25{byte:02X}")
                .expect("invariant: writing to a String cannot fail"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    #[test]
    fn a_console_link_encodes_twice() {
        let mut sample = Sample {
            id: String::new(),
            timestamp: Timestamp::from_millis(100_000),
            marker: String::new(),
            severity: None,
            statement: None,
            message: String::new(),
            message_bytes: 0,
            before: None,
            after: None,
            account_id: String::new(),
            region: Some("eu-west-1".into()),
            log_group: "/aws/lambda/a b".into(),
            log_stream: "2026/[$LATEST]é".into(),
            app_name: String::new(),
        };
        assert_eq!(
            console_url(&sample).as_deref(),
            Some(
                "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/\
                 $252Faws$252Flambda$252Fa$2520b/log-events/2026$252F$255B$2524LATEST$255D$25C3$25A9$3Fstart$3D70000$26end$3D130000"
            )
        );
        sample.region = Some("eu-west-1/../<evil>".into());
        assert_eq!(console_url(&sample), None);
    }
}
