mod conditions;

use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::alert::JOINED_BYTES_MAX;
use super::*;
use crate::ingest::decode;
use crate::ingest::event::{Data, Record};
use crate::model::alert::MESSAGE_BYTES_MAX;

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
        assert_eq!(hit(message, account, region, group), expected, "{message} {account} {group}");
    }
}

#[test]
fn an_alert_is_redacted_before_it_is_cut_and_keeps_its_origin() {
    let routes = Routes::new(&Config::parse(CONFIG, "test").expect("good")).expect("it compiles");
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
        format!(r#"{{"id":"{n:056}","timestamp":{},"message":{message}}}"#, 1_795_443_306_000 + n)
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
        let config =
            format!("[[route]]\nname = \"a\"\nmarkers = [\"{marker}\"]\nnotify = [\"slack:a\"]\n");
        let lines = ["\u{1b}[31mERROR\u{1b}[0m a", "[\u{1b}[1mERROR\u{1b}[0m] b", "[ERROR] c", "d"];
        for alerts in scanned(&config, &lines) {
            assert_eq!(alerts.len(), expected, "{marker}");
        }
    }
}

#[test]
fn a_stack_trace_that_arrives_line_by_line_is_one_alert() {
    let config = "[[route]]\nname = \"a\"\nmarkers = [\"[CRITICAL]\"]\nnotify = [\"slack:a\"]\n";
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
    let config = "[[route]]\nname = \"a\"\nmarkers = [\"[CRITICAL]\"]\nnotify = [\"slack:a\"]\n";
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
                let batch = LogBatch::default();
                let place = EventPlace::new(routes.config(), event, &batch, None);
                alert = Some(routes.alert(&place, neighbors, hit.clone(), &origin, patterns));
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
