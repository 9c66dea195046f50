//! Recognizes the content of an input by its first bytes. The name of a file decides only what its
//! content leaves open.

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Amount;
use super::encoding;

/// The content of an input.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum InputKind {
    /// Most likely a Lambda event, or other JSON that is not on lines of its own. The latter is
    /// refused with advice, because it would be one long line.
    Event,
    /// Decoded messages of a subscription.
    Messages,
    Lines,
}

impl InputKind {
    /// The kind of the input that begins with `head`.
    pub(super) fn of(head: &[u8], path: Option<&Path>, amount: Amount) -> Self {
        let text = beginning(head);
        let text = without_mark(&text);
        if begins_with_a_message(text) {
            return Self::Messages;
        }
        let is_event = match (is_json_lines(text, amount), amount) {
            (true, _) => is_lambda_event(first_line(text)),
            (false, Amount::Available) => begins_like_an_event(text) && has_log_data(text),
            (false, Amount::Head) => {
                begins_like_an_event(text)
                    || (is_json_document(text, path.is_some_and(is_named_json))
                        && is_json_so_far(text))
            }
        };
        if is_event { Self::Event } else { Self::Lines }
    }
}

/// The first record of an event that Stentor reads has begun after this many bytes.
const EVENT_HEAD: usize = 4_096;

/// Whether the first bytes of a stream are enough to recognize it.
pub(super) fn is_enough(head: &[u8]) -> bool {
    /// No known beginning of an object is longer, unless it has blanks.
    const LONGEST: usize = "\"messageType\" : \"CONTROL_MESSAGE\"".len();
    let text = beginning(head);
    let text = without_mark(&text);
    match text.strip_prefix('{') {
        // An application may log the event of another service, on one line or on several.
        Some(_) if begins_like_an_event(text) => {
            has_log_data(text) || is_json_lines(text, Amount::Available) || text.len() >= EVENT_HEAD
        }
        Some(inside) => inside.trim_start().len() >= LONGEST || inside.contains('}'),
        None => head.len() >= encoding::MAGIC_BYTES || head.contains(&b'\n'),
    }
}

/// How to turn JSON that is not a Lambda event into lines; `None` if it is neither an array nor a
/// list of events.
pub(super) fn advice(text: &str) -> Option<&'static str> {
    let text = without_mark(text);
    if text.starts_with('[') {
        let advice = "it is a JSON array and not a Lambda event: write one element per line, as \
                      `jq -c '.[]'` does";
        return Some(advice);
    }
    let advice = "it is the output of `aws logs filter-log-events`: write one message per line, as \
                  `jq -r '.events[].message'` does";
    begins_with_listed_events(text).then_some(advice)
}

/// Whether the first line of `text` is a JSON object, and not a Lambda event. If nothing follows it,
/// it may be the wrong event.
pub(super) fn begins_with_a_log_line(text: &str) -> bool {
    let text = without_mark(text);
    let line = first_line(text);
    let is_event = match text[line.len()..].trim().is_empty() {
        true => begins_like_an_event(text),
        false => is_lambda_event(line),
    };
    is_object(line) && !is_event
}

/// Whether it has a key of the events that Stentor reads.
fn has_log_data(text: &str) -> bool {
    ["\"kinesis\"", "\"awslogs\""].iter().any(|key| text.contains(key))
}

/// Whether `text` is an object with the first key of a Lambda event.
fn begins_like_an_event(text: &str) -> bool {
    ["\"Records\"", "\"awslogs\""].iter().any(|key| value_of(text, key).is_some())
}

/// Whether `text` is what `aws logs filter-log-events` prints.
fn begins_with_listed_events(text: &str) -> bool {
    value_of(text, "\"events\"").is_some_and(|value| value.starts_with('['))
}

/// Whether it is a message of a subscription: an object that begins as AWS writes it, or with its
/// keys sorted.
fn begins_with_a_message(text: &str) -> bool {
    value_of(text, "\"messageType\"").is_some_and(|value| {
        value.starts_with("\"DATA_MESSAGE\"") || value.starts_with("\"CONTROL_MESSAGE\"")
    }) || value_of(text, "\"logEvents\"").is_some_and(|value| value.starts_with('['))
}

/// Whether it is one object per line: the first line is a whole object, and more text follows, or
/// may follow.
fn is_json_lines(text: &str, amount: Amount) -> bool {
    let line = first_line(text);
    is_object(line) && (amount == Amount::Available || !text[line.len()..].trim().is_empty())
}

/// Whether a line is a Lambda event with log data. Applications log the events of other services.
fn is_lambda_event(line: &str) -> bool {
    #[derive(Deserialize)]
    struct LambdaEvent {
        #[serde(rename = "Records")]
        records: Option<Vec<Record>>,
        awslogs: Option<Data>,
    }
    #[derive(Deserialize)]
    struct Record {
        kinesis: Option<Data>,
    }
    #[derive(Deserialize)]
    struct Data {
        #[serde(rename = "data")]
        _data: IgnoredAny,
    }
    serde_json::from_str::<LambdaEvent>(line).is_ok_and(|event| {
        let has_data =
            |all: Vec<Record>| !all.is_empty() && all.iter().all(|record| record.kinesis.is_some());
        let has_records = event.records.is_some_and(has_data);
        has_records || event.awslogs.is_some()
    })
}

/// Whether it begins like a JSON document whose elements are not on lines of their own. An object
/// may as well be a log line that is written over several lines, unless its file `is_named_json`.
fn is_json_document(text: &str, is_named_json: bool) -> bool {
    match text.strip_prefix('[').map(str::trim_start) {
        Some(rest) => {
            is_named_json || ["{", "\"", "[", "null"].iter().any(|first| rest.starts_with(first))
        }
        None => text.starts_with('{') && (is_named_json || begins_with_listed_events(text)),
    }
}

/// Whether it is JSON, or the beginning of it. A line of a log may begin like JSON.
fn is_json_so_far(text: &str) -> bool {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => true,
        Err(error) => error.is_eof(),
    }
}

/// `app.json`, `app.json.gz`, `app.json.zst`.
fn is_named_json(path: &Path) -> bool {
    let is = |path: &Path, extension: &str| {
        path.extension().is_some_and(|it| it.eq_ignore_ascii_case(extension))
    };
    let is_packed = is(path, "gz") || is(path, "zst");
    is(path, "json")
        || (is_packed && path.file_stem().map(Path::new).is_some_and(|stem| is(stem, "json")))
}

fn is_object(line: &str) -> bool {
    line.starts_with('{') && serde_json::from_str::<IgnoredAny>(line).is_ok()
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

/// The text from the value of the first key on, if `text` is an object whose first key is `key`.
fn value_of<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let inside = text.strip_prefix('{')?.trim_start();
    Some(inside.strip_prefix(key)?.trim_start().strip_prefix(':')?.trim_start())
}

fn beginning(head: &[u8]) -> Cow<'_, str> {
    // The last character may be cut off.
    let end = match str::from_utf8(head) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => head.len(),
    };
    String::from_utf8_lossy(&head[..end])
}

fn without_mark(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_distinguished_from_lines() {
        use InputKind::{Event, Lines, Messages};
        let cases = [
            (r#"{"Records":[]}"#, "x", Event),
            (" \n{ \"awslogs\" : {\"data\":\"\"}}", "x", Event),
            ("\u{feff}{\"Records\":[]}", "x.json", Event),
            (r#"{"level":"info","Records":1}"#, "x", Lines),
            (r#"{"messageType":"DATA_MESSAGE","owner":"1"}{}"#, "x", Messages),
            ("{\n \"messageType\" : \"CONTROL_MESSAGE\"", "x.json", Messages),
            (r#"{"logEvents":[{"id":"1"}]"#, "x.json", Messages),
            (r#"{"messageType":"greeting"}"#, "x", Lines),
            (r#"{"logEvents":3}"#, "x", Lines),
            (r#"{"window":{},"Records":[]}"#, "x.json", Event),
            ("{\"level\":\"info\"}\n{\"level\":\"info\"}\n", "x.json", Lines),
            ("{\"level\":\"info\"}\n{\"level\":\"info\"}\n", "x.JSON.gz", Lines),
            ("{\n\"level\":\"info\"}\n", "x.json", Event),
            ("{\n\"level\":\"info\"}\n", "x.log", Lines),
            // A logged event of another service is a line among others.
            ("{\"Records\":[{\"eventSource\":\"aws:s3\"}]}\n[CRITICAL] x\n", "x", Lines),
            ("{\"Records\":[{\"eventSource\":\"aws:s3\"}]}\n", "x", Event),
            ("{\"Records\":[{\"kinesis\":{\"data\":\"\"}}]}\n{}\n", "x", Event),
            ("{\"Records\":[]}\n[CRITICAL] x\n", "x", Lines),
            ("{\"awslogs\":{\"data\":\"\"}}\n{}\n", "x", Event),
            ("{\"awslogs\":1}\n[CRITICAL] x\n", "x.json", Lines),
            // The output of `aws logs filter-log-events`.
            ("{\n  \"events\": [\n    {\n", "x.log", Event),
            (r#"{"events":[{"message":"x"}]}"#, "x", Event),
            ("{\"events\":[1]}\n{\"events\":[2]}\n", "x", Lines),
            ("{\"events\":[1]} and text\n", "x", Lines),
            ("[1]", "x.json.gz", Event),
            ("[1]", "x.gz", Lines),
            (r#"["[CRITICAL] x"]"#, "x.gz", Event),
            ("[null,\n{}]", "x.gz", Event),
            ("[CRITICAL] x\n", "x.json", Lines),
            ("plain text\n", "x.json", Lines),
            (r#"[{"messageType":"DATA_MESSAGE"}]"#, "x", Event),
            ("\u{feff}[\n  { \"level\": \"info\" },\n", "x.log", Event),
            ("[{\"level\":\"info\"}]\n[{\"level\":\"info\"}]\n", "x", Lines),
            ("[CRITICAL] {\"a\":1}", "x", Lines),
            ("[{\"a\":1}] text\n[CRITICAL] x\n", "x.log", Lines),
            ("[{\"a\":1}]text\n", "x.log", Lines),
            ("[{\"a cut off\n[CRITICAL] x\n", "x.log", Lines),
            ("[{\"level\":\"info\"}, extra\n", "x.log", Lines),
            ("[{\"id\":1},{\"id\":2},\n[CRITICAL] x\n", "x.log", Lines),
            ("[{\"Records\":[{\"eventSource\":\"aws:s3\"\n[CRITICAL] x", "x.log", Lines),
            ("[{\"a\":1},{\"b\":2}] trailing\nx\n", "x.log", Lines),
            ("[{\"id\":1},\n{\"id\":", "x.log", Event),
            ("2026-11-23 started", "x", Lines),
            ("", "x", Lines),
        ];
        for (head, path, expected) in cases {
            let kind = InputKind::of(head.as_bytes(), Some(Path::new(path)), Amount::Head);
            assert_eq!(kind, expected, "{path}: {head}");
        }
        let cut = InputKind::of(&"[{\"a\":\"ü".as_bytes()[..8], None, Amount::Head);
        assert_eq!(cut, Event, "a head that ends within a character");
    }

    #[test]
    fn a_stream_is_recognized_by_its_first_bytes() {
        use InputKind::{Event, Lines, Messages};
        // `None`: more bytes are needed.
        let cases = [
            ("x\n", Some(Lines)),
            ("{", None),
            ("{\n  ", None),
            ("{\"a\":1}", Some(Lines)),
            ("{\"Records\": [{\"eventSource\"", None),
            ("{\"Records\": [{\"kinesis\"", Some(Event)),
            ("{\n  \"Records\": [", None),
            ("{\n  \"Records\": [\n    {\n      \"kinesis\": {", Some(Event)),
            ("{\"Records\": 5}\n", Some(Lines)),
            ("{\"Records\":[{\"eventSource\":\"aws:s3\"}]}\n", Some(Lines)),
            ("{\"awslogs\":{\"data\":\"H4s\"}}\n", Some(Event)),
            ("{\"messageType\":", None),
            ("{\"messageType\" : \"DATA_MESSAGE\",\"owner\"", Some(Messages)),
            ("[{\"a\":1},\n", Some(Lines)),
            ("x", None),
            ("x started", Some(Lines)),
        ];
        let logged = format!("{{\"Records\": [{{\"s3\": \"{}", "x".repeat(EVENT_HEAD));
        for (head, expected) in cases.into_iter().chain([(&*logged, Some(Lines))]) {
            let head = head.as_bytes();
            let kind = is_enough(head).then(|| InputKind::of(head, None, Amount::Available));
            assert_eq!(kind, expected, "{}", head.escape_ascii());
        }
    }
}
