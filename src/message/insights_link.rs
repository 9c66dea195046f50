//! The link to a query of CloudWatch Logs Insights for all log events of a pattern.

use std::fmt::Write as _;
use std::time::Duration;

use super::console_link::region;
use crate::model::pattern::placeholder_at;
use crate::model::tally::{Sample, Span};

/// The most parts of a pattern that a query has, and the shortest of them.
const PARTS_MAX: usize = 6;
const PART_CHARS_MIN: usize = 3;
const PARTS_BYTES_MAX: usize = 240;

/// A query around the time of the alerts, because a log event may be as old as it says.
const AROUND: Duration = Duration::from_secs(1);

/// A link to the console that queries `pattern` in the log group of the sample, in the time of the
/// alerts. `None` if the Region is unknown, or if the pattern has no text to search for. It opens in the
/// account that is signed in.
///
/// The console reads a value of its own format (`~(end~'…~source~(~'…))`, texts with `*2f` for `/`),
/// percent-encoded twice, with `$` for `%`.
pub(super) fn insights_url(pattern: &str, sample: &Sample, span: Span) -> Option<String> {
    let region = region(sample)?;
    let regex = regex(pattern)?;
    let query = format!(
        "fields @timestamp, @logStream, @message\n| filter @message like /{regex}/\n\
         | sort @timestamp asc\n| limit 1000"
    );
    let time = |at| value(&crate::model::time::Timestamp::iso(at));
    let (start, end) = (time(span.first.before(AROUND)), time(span.last.after(AROUND)));
    let (query, group) = (value(&query), value(&sample.log_group));
    let detail = format!(
        "~(end~'{end}~start~'{start}~timeType~'ABSOLUTE~tz~'UTC~editorString~'{query}~source~(~'{group}))"
    );
    let detail = ["~", "(", ")", "'"].into_iter().fold(detail, |detail, sign| {
        detail.replace(sign, &format!("$25{:02X}", sign.as_bytes()[0]))
    });
    Some(format!(
        "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}\
         #logsV2:logs-insights$3FqueryDetail$3D{detail}"
    ))
}

/// A regular expression that matches the log events of a pattern: its plain parts, in their order.
fn regex(pattern: &str) -> Option<String> {
    let mut parts = vec![String::new()];
    let mut at = 0;
    while let Some(c) = pattern[at..].chars().next() {
        let gap = placeholder_at(pattern, at).max(redacted_at(&pattern[at..]));
        match gap {
            0 if is_plain(c) => parts.last_mut()?.push(c),
            _ => parts.push(String::new()),
        }
        at += gap.max(c.len_utf8());
    }
    let parts = parts.iter().map(|part| part.trim());
    let parts = parts.filter(|part| part.chars().count() >= PART_CHARS_MIN).take(PARTS_MAX);
    let mut bytes = 0;
    let parts = parts.take_while(|part| {
        bytes += part.len();
        bytes <= PARTS_BYTES_MAX
    });
    let parts: Vec<String> = parts.map(escaped).collect();
    (!parts.is_empty()).then(|| parts.join(".*"))
}

/// Characters that JSON writes as they are, and that do not end the regular expression.
fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '/' | '<' | '>')
}

/// The length of `[redacted:password]` at the start of a text; 0 for another one.
fn redacted_at(text: &str) -> usize {
    match text.starts_with("[redacted") {
        true => text.find(']').map_or(0, |end| end + 1),
        false => 0,
    }
}

/// A pattern has one blank where a log event may have several.
fn escaped(part: &str) -> String {
    part.split_whitespace().map(regex_syntax::escape).collect::<Vec<_>>().join("\\s+")
}

/// A text in the format of the console.
fn value(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        let written = match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_' | '.' => {
                encoded.push(c);
                Ok(())
            }
            // `$` would begin an escape.
            '$' => write!(encoded, "*24"),
            '\0'..='\u{ff}' => write!(encoded, "*{:02x}", c as u32),
            _ => write!(encoded, "**{:04x}", c as u32),
        };
        written.expect("invariant: writing to a String cannot fail");
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    fn sample() -> Sample {
        Sample {
            id: String::new(),
            timestamp: Timestamp::default(),
            marker: String::new(),
            severity: None,
            statement: None,
            message: String::new(),
            message_bytes: 0,
            before: None,
            after: None,
            account_id: String::new(),
            region: Some("eu-west-1".into()),
            log_group: "/ecs/prod".into(),
            log_stream: String::new(),
            app_name: String::new(),
        }
    }

    fn span() -> Span {
        let at = |s| Timestamp::from_millis(1_795_443_306_000).after(Duration::from_secs(s));
        Span { first: at(0), last: at(60) }
    }

    #[test]
    fn a_query_is_encoded_as_the_console_does() {
        let url = insights_url("[CRITICAL] order <n> failed", &sample(), span());
        insta::assert_snapshot!(url.unwrap(), @"https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:logs-insights$3FqueryDetail$3D$257E$2528end$257E$25272026-11-23T14*3a16*3a07.000Z$257Estart$257E$25272026-11-23T14*3a15*3a05.000Z$257EtimeType$257E$2527ABSOLUTE$257Etz$257E$2527UTC$257EeditorString$257E$2527fields*20*40timestamp*2c*20*40logStream*2c*20*40message*0a*7c*20filter*20*40message*20like*20*2f*5c*5bCRITICAL*5c*5d*5cs*2border.*2afailed*2f*0a*7c*20sort*20*40timestamp*20asc*0a*7c*20limit*201000$257Esource$257E$2528$257E$2527*2fecs*2fprod$2529$2529");
        let elsewhere = Sample { region: None, ..sample() };
        assert_eq!(insights_url("order failed", &elsewhere, span()), None);
        assert_eq!(insights_url("<n> é", &sample(), span()), None);
    }

    #[test]
    fn a_pattern_becomes_an_expression_that_its_log_events_match() {
        let check = |pattern: &str, expected: &str, message: &str| {
            let regex = regex(pattern).unwrap();
            assert_eq!(regex, expected);
            assert!(regex::Regex::new(&regex).unwrap().is_match(message), "{regex} {message}");
        };
        check("cart <n> failed: <…>", r"cart.*failed:", "cart 12 failed: x");
        check("[ALERT] a b", r"\[ALERT\]\s+a\s+b", "[ALERT]  a b");
        check(
            "user \"ann\" of [redacted:password] was refused",
            r"user.*ann.*of.*was\s+refused".replace("of.*", "").as_str(),
            r#"{"m":"user \"ann\" of hunter2 was refused"}"#,
        );
        check("GET /cart/<n> (x+y)*", r"GET.*cart.*\(x\+y\)\*", "GET /cart/7 (x+y)*");
        check("ünable to read", r"nable\s+to\s+read", "ünable to read");
    }
}
