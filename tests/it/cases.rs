//! What a reader gets to see of log lines as real systems write them: how many alerts, in which
//! groups, with which words, and what the notification says. `tests/cases/README.md` describes the
//! files. Each case is one run of the binary, with a webhook on this machine as Slack.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// A notification names app and statement within so many characters.
const SHOWN_CHARS: usize = 80;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// Else the default configuration.
    config: Option<String>,
    #[serde(default)]
    record: Vec<Record>,
    /// The fields of the only record, if there are no others.
    #[serde(flatten)]
    only: serde_json::Map<String, Value>,
    /// The lines are a file of this name.
    file: Option<String>,
    #[serde(default)]
    encoding: Encoding,
    /// The function is subscribed directly, without a stream.
    #[serde(default)]
    is_direct: bool,

    kept: u64,
    groups: Option<usize>,
    /// Alerts in the largest group.
    largest: Option<u64>,
    /// The message has these texts.
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    hides: Vec<String>,
    /// These begin within the first characters of the notification.
    #[serde(default)]
    push: Vec<String>,
    /// The codes of parked records.
    #[serde(default)]
    parked: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    group: Option<String>,
    stream: Option<String>,
    region: Option<String>,
    /// One log event a line.
    lines: Option<String>,
    /// Log events with line ends and control characters.
    events: Option<Vec<String>>,
    /// So many times the log events, with other values each time.
    times: Option<usize>,
    /// So many times the same record.
    deliveries: Option<usize>,
    /// The bytes of the record instead of log events.
    hex: Option<String>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Encoding {
    #[default]
    Utf8,
    Utf8Bom,
    Utf16le,
    Utf16be,
    Gzip,
    /// The Kinesis event of the records in gzip.
    GzipEvent,
}

#[tokio::test]
async fn the_message_of_each_case_says_what_happened() {
    let slack = MockServer::start().await;
    let ok = ResponseTemplate::new(200).set_body_string("ok");
    Mock::given(method("POST")).respond_with(ok).mount(&slack).await;
    let cases = cases();
    let uri = slack.uri();
    let runs =
        stream::iter(&cases).map(async |(name, case)| (name, case, run(name, case, &uri).await));
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let runs: Vec<_> = runs.buffer_unordered(workers).collect().await;
    let mut wrong = Vec::new();
    let posts = slack.received_requests().await.unwrap();
    for (name, case, report) in runs {
        let of_case = posts.iter().filter(|post| post.url.path() == format!("/{name}"));
        let posts: Vec<Value> = of_case.map(|post| post.body_json().unwrap()).collect();
        let problems = problems(case, &report, &posts);
        if !problems.is_empty() {
            wrong.push(format!("{name} ({}): {}", case.name, problems.join("; ")));
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// All cases, each with the name of its file and its number there.
fn cases() -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let table = DeTable::parse(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .into_inner();
        let file: File = serde_json::from_value(json_of(&DeValue::Table(table)))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let named = file.case.into_iter().enumerate();
        cases.extend(named.map(|(n, case)| (format!("{stem}-{}", n + 1), case)));
    }
    cases
}

fn json_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => number.as_str().parse::<u64>().unwrap().into(),
        DeValue::Boolean(is_set) => json!(is_set),
        DeValue::Array(values) => values.iter().map(|value| json_of(value.get_ref())).collect(),
        DeValue::Table(table) => {
            let field = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
                (key.get_ref().to_string(), json_of(value.get_ref()))
            };
            Value::Object(table.iter().map(field).collect())
        }
        _ => panic!("a case has no such value: {value:?}"),
    }
}

/// The JSON report of a run.
async fn run(name: &str, case: &Case, slack: &str) -> Value {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cases").join(name);
    std::fs::remove_dir_all(&directory).ok();
    std::fs::create_dir_all(&directory).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
    command.env_clear().arg("run").arg(input(case, &directory));
    command.arg("--data-dir").arg(directory.join("data")).arg("--json");
    command.arg("--slack-webhook").arg(format!("{slack}/{name}"));
    if let Some(config) = &case.config {
        let path = directory.join("stentor.toml");
        std::fs::write(&path, config).unwrap();
        command.arg("--config").arg(path);
    }
    let output = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{name}: {}{}", text(&output.stdout), text(&output.stderr)))
}

fn problems(case: &Case, report: &Value, posts: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut compare = |what: &str, found: Value, wanted: Value| {
        if found != wanted {
            problems.push(format!("{what} is {found}, not {wanted}"));
        }
    };
    let groups: Vec<&Value> = report["messages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|message| message["groups"].as_array().unwrap())
        .collect();
    let alerts = |group: &&Value| group["alerts"].as_u64().unwrap();
    compare("kept", report["kept"].clone(), json!(case.kept));
    if let Some(wanted) = case.groups {
        compare("groups", json!(groups.len()), json!(wanted));
    }
    if let Some(wanted) = case.largest {
        compare("largest", json!(groups.iter().map(alerts).max()), json!(wanted));
    }
    let parked = report["parked"].as_array().unwrap().iter().map(|parked| &parked["code"]);
    compare("parked", parked.cloned().collect(), json!(case.parked));

    let shown = posts.iter().map(text_of).collect::<Vec<_>>().join(" ");
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in case.says.iter().filter(|part| !shown.contains(*part)) {
        problems.push(format!("the message lacks {part:?}: {shown}"));
    }
    for part in case.hides.iter().filter(|part| shown.contains(*part)) {
        problems.push(format!("the message has {part:?}: {shown}"));
    }
    let pushes: Vec<String> =
        posts.iter().map(|post| unescaped(post["text"].as_str().unwrap())).collect();
    let is_shown = |push: &String, part: &String| {
        push.find(part).is_some_and(|at| push[..at].chars().count() < SHOWN_CHARS)
    };
    for part in case.push.iter().filter(|part| !pushes.iter().any(|push| is_shown(push, part))) {
        problems.push(format!("the notification lacks {part:?}: {pushes:?}"));
    }
    problems.extend(pushes.iter().filter_map(|push| defect(push)));
    if !problems.is_empty() {
        let patterns: Vec<_> = groups.iter().map(|g| (alerts(g), g["pattern"].as_str())).collect();
        problems.push(format!("groups {patterns:?}"));
    }
    problems
}

/// Why a notification cannot be right, whatever it is about.
fn defect(push: &str) -> Option<String> {
    // `[CRITICAL] 8 alerts · app: statement`
    let Some((_, said)) = push.split_once(" · ").and_then(|(_, rest)| rest.split_once(": "))
    else {
        return Some(format!("no app and statement in {push:?}"));
    };
    let start = said.get(..5).unwrap_or(said).as_bytes();
    let is_date =
        matches!(start, [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'-' | b'/']);
    let is_bad = said.trim().is_empty()
        || said.starts_with(['{', '}', ',', ';', '\\', '"', ']'])
        || said.contains(['\u{1b}', '\n'])
        || said.contains("\\n")
        || said.contains("\\\"")
        || said.ends_with('\\')
        || is_date;
    is_bad.then(|| format!("{said:?} is no statement"))
}

/// All texts of a message to Slack.
fn text_of(value: &Value) -> String {
    match value {
        Value::Array(values) => values.iter().map(text_of).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) if key == "text" => unescaped(text),
                Value::String(_) => String::new(),
                _ => text_of(value),
            })
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}

/// The text that Slack shows.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Writes the input of a case and returns its path.
fn input(case: &Case, directory: &Path) -> PathBuf {
    let only: Record = serde_json::from_value(Value::Object(case.only.clone()))
        .unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let records = if case.record.is_empty() { &[only] } else { &case.record[..] };
    let (name, content) = match &case.file {
        Some(name) => (&**name, lines(&records[0]).join("\n") + "\n"),
        None if case.encoding == Encoding::GzipEvent => {
            ("event.json.gz", event(records, case.is_direct).to_string())
        }
        None => ("event.json", event(records, case.is_direct).to_string()),
    };
    let path = directory.join(name);
    std::fs::write(&path, encoded(&content, case.encoding)).unwrap();
    path
}

fn encoded(text: &str, encoding: Encoding) -> Vec<u8> {
    let utf16 = || std::iter::once(0xfeff).chain(text.encode_utf16());
    match encoding {
        Encoding::Utf8 => text.as_bytes().to_vec(),
        Encoding::Utf8Bom => format!("\u{feff}{text}").into_bytes(),
        Encoding::Utf16le => utf16().flat_map(u16::to_le_bytes).collect(),
        Encoding::Utf16be => utf16().flat_map(u16::to_be_bytes).collect(),
        Encoding::Gzip | Encoding::GzipEvent => gzip(text),
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The event with which Lambda calls the function.
fn event(records: &[Record], is_direct: bool) -> Value {
    let data = |at: usize, record: &Record| match &record.hex {
        Some(hex) => {
            let digits: Vec<char> = hex.split_whitespace().flat_map(str::chars).collect();
            let byte =
                |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
            STANDARD.encode(digits.chunks(2).map(byte).collect::<Vec<u8>>())
        }
        None => STANDARD.encode(gzip(&subscription(at, record).to_string())),
    };
    if is_direct {
        return json!({"awslogs": {"data": data(0, &records[0])}});
    }
    let mut entries = Vec::new();
    for (at, record) in records.iter().enumerate() {
        for _ in 0..record.deliveries.unwrap_or(1) {
            let number = format!("4966888{:049}", entries.len() + 1);
            let region = record.region.as_deref().unwrap_or("eu-west-1");
            entries.push(json!({
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": format!("{at}"),
                    "sequenceNumber": number,
                    "data": data(at, record),
                    "approximateArrivalTimestamp": 1_795_443_308.5,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": format!("shardId-000000000003:{number}"),
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": "arn:aws:iam::123456789012:role/consumer",
                "awsRegion": region,
                "eventSourceARN": format!("arn:aws:kinesis:{region}:123456789012:stream/logs"),
            }));
        }
    }
    json!({"Records": entries})
}

/// The message of CloudWatch Logs in a record.
fn subscription(at: usize, record: &Record) -> Value {
    let events = lines(record).into_iter().enumerate().map(|(n, message)| {
        json!({
            "id": format!("3690{at:026}{n:026}"),
            "timestamp": 1_795_443_306_000_i64 + i64::try_from(n).unwrap() * 1_137,
            "message": message,
        })
    });
    json!({
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": record.group.as_deref().unwrap_or("/ecs/shop"),
        "logStream": record.stream.as_deref().unwrap_or("2026/11/23/[$LATEST]0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
        "subscriptionFilters": ["to-stentor"],
        "logEvents": events.collect::<Vec<_>>(),
    })
}

/// The log events of a record.
fn lines(record: &Record) -> Vec<String> {
    let of_lines = record.lines.iter().flat_map(|lines| lines.trim_end_matches('\n').split('\n'));
    let of_events = record.events.iter().flatten().map(String::as_str);
    let all: Vec<&str> = of_lines.chain(of_events).collect();
    let times = 0..record.times.unwrap_or(1);
    times.flat_map(|n| all.iter().map(move |line| filled(line, n))).collect()
}

/// `line` with the values of its nth occurrence.
fn filled(line: &str, n: usize) -> String {
    const NAMES: [&str; 8] = ["ann", "bob", "chris", "dora", "emil", "fay", "gus", "hal"];
    const WORDS: [&str; 8] =
        ["checkout", "refund", "nightly_sync", "webhook", "admin", "retry", "export", "import"];
    const PODS: [&str; 8] =
        ["x2v9k", "q8zlm", "bd4wt", "hhfzk", "7wq2p", "mnbvc", "k4k4k", "zz9pq"];
    if !line.contains("{{") {
        return line.to_owned();
    }
    let random = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let uuid = format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        random >> 32,
        random & 0xffff,
        random >> 52,
        random >> 16 & 0xfff,
        random >> 16
    );
    line.replace("{{padding}}", &"1204, ".repeat(4_000))
        .replace("{{n}}", &(70 + n).to_string())
        .replace("{{time}}", &format!("2026-11-23T14:15:{:02}.{:03}Z", 6 + n, 137 * n % 1_000))
        .replace("{{clock}}", &format!("14:15:{:02}", 6 + n))
        .replace("{{epoch}}", &format!("17954433{:02}", 6 + n))
        .replace("{{uuid}}", &uuid)
        .replace("{{hex}}", &format!("{random:016x}"))
        .replace("{{ip}}", &format!("10.2.3.{}", 4 + n))
        .replace("{{name}}", NAMES[n % NAMES.len()])
        .replace("{{word}}", WORDS[n % WORDS.len()])
        .replace("{{pod}}", PODS[n % PODS.len()])
}
