//! The sources, lines and payloads of the hand-written samples.

use super::super::START_MS;
use super::super::envelope::{Event, Shard};
use super::super::payload::{FILTER, Source, id};

/// Time after [`START_MS`] in ms, and the message. Within a source the time decides the id of the event:
/// the same time is the same event.
pub(super) type Line = (i64, &'static str);

pub(super) fn source(owner: &str, log_group: &str, log_stream: &str, partition_key: &str) -> Source {
    let [owner, log_group, log_stream, partition_key] =
        [owner, log_group, log_stream, partition_key].map(str::to_owned);
    Source { owner, log_group, log_stream, partition_key }
}

pub(super) fn payments() -> Source {
    source("222233334444", "/ecs/payments-api", "payments/api/1d4b7c", "payments")
}

pub(super) fn checkout() -> Source {
    let stream = "2025/11/03/[$LATEST]b1946ac92492d2347c6235b4d2611184";
    source("333344445555", "/aws/lambda/checkout", stream, "checkout")
}

pub(super) fn notify() -> Source {
    let stream = "2025/11/03/[14]591785b794601e212b260e25925636fd";
    source("555566667777", "/aws/lambda/notify-customer", stream, "notify")
}

/// Records of one shard in this order, one second apart, from partition key and data.
pub(super) fn kinesis(records: Vec<(&str, String)>) -> Event {
    let mut shard = Shard::new(START_MS, 0);
    let arrivals = (1..).map(|second| START_MS + 60_000 + second * 1_000);
    let numbered = records.into_iter().zip(arrivals);
    Event::kinesis(numbered.map(|((key, data), ms)| shard.record(key.to_owned(), data, ms)).collect())
}

/// A data message with these lines.
pub(super) fn payload_of(source: &Source, lines: &[Line]) -> Vec<u8> {
    let quoted = |text| serde_json::Value::from(text).to_string();
    let bodies: Vec<String> = lines.iter().map(|(_, text)| quoted(*text)).collect();
    let events = lines.iter().zip(&bodies).map(|((ms, _), body)| entry(source, *ms, body, ""));
    message(source, "", events)
}

/// The same with messages that are already JSON text (without quotes), and with further fields: `fields` of
/// the message, and for each line those of its event, both JSON text as well.
pub(super) fn verbatim(source: &Source, fields: &str, lines: &[(Line, &str)]) -> Vec<u8> {
    let events = lines.iter().map(|((ms, text), more)| entry(source, *ms, &format!("\"{text}\""), more));
    message(source, fields, events)
}

fn entry(source: &Source, ms: i64, body: &str, more: &str) -> String {
    let timestamp = START_MS + ms;
    let id = id(timestamp, spread(&source.log_stream), ms as u64);
    format!(r#"{{"id":"{id}","timestamp":{timestamp},"message":{body}{more}}}"#)
}

/// FNV-1a: sources differ in the middle digits of their ids.
fn spread(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

fn message(source: &Source, fields: &str, events: impl Iterator<Item = String>) -> Vec<u8> {
    let Source { owner, log_group, log_stream, .. } = source;
    let events: Vec<String> = events.collect();
    let head = format!(
        r#""messageType":"DATA_MESSAGE","owner":"{owner}","logGroup":"{log_group}","logStream":"{log_stream}""#
    );
    let events = events.join(",");
    format!(r#"{{{head},"subscriptionFilters":["{FILTER}"],{fields}"logEvents":[{events}]}}"#).into_bytes()
}

/// What CloudWatch Logs sends when a destination is set up, and now and then afterwards.
pub(super) const CONTROL: &str = concat!(
    r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","#,
    r#""subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1762161300000,"#,
    r#""message":"CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."}]}"#,
);

pub(super) const PAYMENTS: &[Line] = &[
    (
        120,
        "2025-11-03 09:15:00.120 ERROR PaymentRepository : [CRITICAL] Database connection pool exhausted, request timed out after 30007ms (active=50, waiting=183)",
    ),
    (
        870,
        "2025-11-03 09:15:00.870 ERROR AdyenClient : [ALERT] Capture refused by adyen for ORD-5571204, code=5 psp=8F31C07A99B2D410",
    ),
    (
        1_450,
        "2025-11-03 09:15:01.450  INFO PaymentController : Authorised payment 0d1f6f0e-6c0b-4f52-9a38-52d1b1a3c9e7 for ORD-5571205 amount=42.90 EUR took=212ms",
    ),
];

pub(super) const CHECKOUT: &[Line] = &[
    (
        300,
        r#"{"timestamp":"2025-11-03T09:15:00.300Z","level":"FATAL","message":"[CRITICAL] payments-api unavailable: circuit breaker open after 12 failures","orderId":"ORD-5571206","attempt":3}"#,
    ),
    (
        410,
        r#"{"timestamp":"2025-11-03T09:15:00.410Z","level":"INFO","message":"Cart priced","cartId":"a17c0f4e22d9","items":3,"total":89.70,"currency":"EUR","durationMs":18}"#,
    ),
    (
        905,
        r#"{"timestamp":"2025-11-03T09:15:00.905Z","level":"ERROR","message":"[ALERT] Order parked, payment state unknown","orderId":"ORD-5571206","parked":41}"#,
    ),
];

pub(super) const MULTIMEMBER: &[Line] = &[
    (40, "2025-11-03 09:15:00.040  INFO SettlementJob : batch 2025-11-02 opened, 48211 payments"),
    (
        510,
        "2025-11-03 09:15:00.510 ERROR SettlementJob : [CRITICAL] batch 2025-11-02 not settled: ledger does not answer",
    ),
    (990, "2025-11-03 09:15:00.990 ERROR SettlementJob : [ALERT] Gutschrift für Zoë Müller steht aus, 17 weitere"),
];

/// JSON text: what stands here is what the payload holds, escapes included.
pub(super) const ESCAPES: &[Line] = &[
    (0, r"\u005bCRITICAL] the bracket is an escape: disk \/dev\/xvda1 is 98% full"),
    (100, r"[\u0043RITICAL] the letter is an escape: disk \/dev\/xvda1 is 99% full"),
    (200, r"\u005b\u0041\u004C\u0045\u0052\u0054\u005D the whole marker is escapes, in both cases of hex"),
    (300, r"[ALERT] surrogate pair \ud83d\udd25 and the same as it is 🔥, accents caf\u00e9 and café, \u20ac and €"),
    (
        400,
        r#"[CRITICAL] stack trace:\njava.lang.IllegalStateException: \"pool\" is closed\r\n\tat c.e.Pool.get(Pool.java:88)\n\tC:\\temp\\app.log"#,
    ),
    (
        500,
        r"[ALERT] control characters: bell \u0007, nul \u0000, backspace \b, form feed \f, \u001b[31mred\u001b[0m, delete \u007f",
    ),
    (
        600,
        r"[CRITICAL] right to left: الدفع مرفوض للطلب ORD-5571207, שגיאה; override \u202etxt.exe\u202c; zero width a\u200bb; BOM \ufeff",
    ),
    (
        700,
        r"[ALERT] 決済サービスに接続できません（リトライ 3 回目）, 데이터베이스 연결 실패, 数据库连接池耗尽, 👩‍👩‍👧‍👦 🇪🇺 ｆｕｌｌｗｉｄｔｈ",
    ),
    (800, r"[CRITICAL] <!channel> <!here> <@U123> <#C024BE7LR> <https:\/\/evil.example.com|click here> @everyone"),
    (
        900,
        r"[ALERT] ```code``` `tick` *bold* _it_ ~gone~ > quote, &amp; &lt;script&gt; <b>&\u003c\u003e\u0026 %s {0} ${jndi:ldap:\/\/x}",
    ),
    (1_000, r"\\u005bCRITICAL] the backslash itself is escaped, so this text has no marker"),
    (1_100, r"[critical] and [Alert] are lower case, [CRITICAL ] has a blank, ［CRITICAL］ is full width"),
    (1_200, r"[CRIT\u200bICAL] is broken by a zero-width space"),
];

/// The line, and what follows its message.
pub(super) const SYSTEM_FIELDS: &[(Line, &str)] = &[
    (
        (210, r#"level=fatal app=ledger msg=\"[CRITICAL] posting refused, period 2025-10 is closed\" entries=212"#),
        r#","extractedFields":{"@aws.account":"666677778888","@aws.region":"eu-central-1","level":"fatal","entries":212}"#,
    ),
    (
        (640, r#"level=error app=ledger msg=\"[ALERT] balance differs by 0.01 EUR\" account=DE-4402"#),
        r#","extractedFields":{"@aws.account":"666677778888","@aws.region":"eu-central-1","retry":true,"difference":0.01,"tags":["ledger","eod"],"previous":null,"source":{"file":"eod.rs","line":118}}"#,
    ),
    (
        (980, r#"level=info app=ledger msg=\"period opened\" period=2025-11"#),
        r#","extractedFields":{"@aws.account":"666677778888","@aws.region":"eu-central-1"}"#,
    ),
    ((1_300, r#"level=fatal app=ledger msg=\"[CRITICAL] no fields were extracted from this one\""#), ""),
];

pub(super) const OWN_LOGS: &[Line] = &[
    (10, "START RequestId: 5c1f6a3e-0f7d-4b1e-9a55-6f2d1c0b9a84 Version: 12\n"),
    (
        80,
        r#"{"timestamp":"2025-11-03T09:15:00.080Z","level":"INFO","message":"Committed 12 records","batch.records":12,"alerts.kept":180,"shard.id":"shardId-000000000003"}"#,
    ),
    (
        95,
        r#"{"timestamp":"2025-11-03T09:15:00.095Z","level":"ERROR","message":"A line quoted [CRITICAL] Database connection pool exhausted","route":"critical"}"#,
    ),
    (
        120,
        r#"{"timestamp":"2025-11-03T09:15:00.120Z","level":"ERROR","message":"panicked at [ALERT] handling","request.id":"5c1f6a3e-0f7d-4b1e-9a55-6f2d1c0b9a84"}"#,
    ),
    (140, "END RequestId: 5c1f6a3e-0f7d-4b1e-9a55-6f2d1c0b9a84\n"),
    (
        141,
        "REPORT RequestId: 5c1f6a3e-0f7d-4b1e-9a55-6f2d1c0b9a84\tDuration: 130.42 ms\tBilled Duration: 131 ms\tMemory Size: 1769 MB\tMax Memory Used: 64 MB\n",
    ),
];

/// None of these opens anything: AWS's and others' documented examples, or made up. They are put together from
/// parts so that a scanner does not take this file for a leak.
pub(super) const SECRETS: &[&str] = &[
    concat!("[CRITICAL] cannot log in to ldap: user=svc-portal pass", "word=Tr0ub4dor&3 host=ldap.internal"),
    concat!(r#"[ALERT] bad configuration {"user":"portal","pass"#, r#"word":"correct horse battery staple","pool":5}"#),
    concat!("[CRITICAL] 401 from id.example.com, sent Authorization: Bea", "rer 7Fh2kQ9zXw4LmT8vRb1NcY6sPd3GjU5e"),
    concat!("[ALERT] proxy refused Authorization: Ba", "sic cG9ydGFsOmh1bnRlcjI="),
    concat!(
        "[CRITICAL] session rejected, jwt=ey",
        "JhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
        ".ey",
        "JzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0",
        ".c2lnbmF0dXJlLW9mLWEtc2FtcGxlLXRva2Vu",
    ),
    concat!("[CRITICAL] S3 refused key AK", "IAIOSFODNN7EXAMPLE for bucket portal-uploads"),
    concat!("[CRITICAL] environment dump AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    concat!(
        "[ALERT] environment dump AWS_SESSION_TOKEN=IQoJb3JpZ2lu",
        "X2VjEExampleExampleExampleExampleExample//Example=="
    ),
    concat!(
        "[ALERT] upload failed PUT https://portal-uploads.s3.amazonaws.com/a.pdf?X-Amz-Credential=AK",
        "IAIOSFODNN7EXAMPLE%2F20251103%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Expires=900&X-Amz-Signature=",
        "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024",
    ),
    concat!(
        "[CRITICAL] cannot connect to postgres",
        "://portal:s3cr3t-pw@orders-db.internal:5432/orders after 5 attempts"
    ),
    concat!("[CRITICAL] cache lost redis", "://:0pen-Sesame@cache.internal:6379/0, falling back"),
    concat!("[ALERT] webhook gone https://hooks.slack", ".com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"),
    concat!("[ALERT] chat.postMessage invalid_auth token=xo", "xb-0000000000-0000000000-ExampleExampleExample"),
    concat!("[ALERT] deploy hook cannot clone with gh", "p_ExampleExampleExampleExampleExample00"),
    concat!(
        "[CRITICAL] TLS set-up failed for -----BEGIN RSA PRIV",
        "ATE KEY-----\nMIIEexampleexampleexample\n-----END RSA PRIV",
        "ATE KEY-----"
    ),
    concat!("[CRITICAL] partner API 403 x-api-", "key: 0f9d3c51b7e84a26a1c07d5e93b2f648 path=/v2/rates"),
    concat!("[ALERT] payment provider answered 401 for sk_", "live_ExampleExampleExampleExample"),
    concat!(
        "[ALERT] token exchange failed grant_type=client_credentials client_sec",
        "ret=vQ8~Example.Example_Example-Example"
    ),
    concat!(
        "[ALERT] maps quota exceeded https://maps.example.com/geocode?q=Oslo&key=AI",
        "zaSyExampleExampleExampleExampleExampleX"
    ),
    concat!("[CRITICAL] replayed request Cookie: session", "id=38afes7a8f1c44d0b7; theme=dark"),
    "[ALERT] chargeback on card 4111 1111 1111 1111 exp 03/30",
    "[CRITICAL] chargeback on card 3782-822463-10005, amex",
    "[ALERT] no secrets: password reset mailed, order 4111111111111112, trace 0d1f6f0e-6c0b-4f52-9a38-52d1b1a3c9e7, commit 9fceb02d0ae598e95dc970b74767f19372d61af8, token bucket empty",
];
