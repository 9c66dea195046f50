use super::*;
use proptest::prelude::*;

fn of_line(line: &str) -> Pattern {
    Patterns::default().of_line(line)
}

#[test]
fn changing_parts_are_masked_and_the_problem_is_kept() {
    let cases = [
        ("[CRITICAL] pool exhausted after 1500ms", "[CRITICAL] pool exhausted after <n>"),
        ("2026-11-23T14:15:16.123Z ERROR x", "<time> ERROR x"),
        ("2026-11-23 14:15:16,123 ERROR x", "<time> ERROR x"),
        ("at Sun Jul 10 03:55:15 2005 and 3 Jul 2005 03:55:15", "at <time> and <time>"),
        ("connect to 10.0.12.7:5432 failed.", "connect to <ip> failed."),
        (
            "Old: msra-sa-41/10.190.173.170:9000 from /10.0.0.1:80",
            "Old: msra-sa-<n>/<ip> from /<ip>",
        ),
        ("peer fe80::1ff:fe23:4567:890a gone", "peer <ip> gone"),
        ("from 00:11:43:e3:bb:c3 via eth1", "from <ip> via eth<n>"),
        ("connect to db-1.prod.example.com:5432 or api.stripe.com", "connect to <host> or <host>"),
        ("node ip-10-0-3-0.ec2.internal", "node <host>"),
        (
            "java.io.IOException at org.example.Main.run in app.py:30",
            "java.io.IOException at org.example.Main.run in app.py:<n>",
        ),
        ("mail to ann.b@mail.example.com bounced", "mail to <mail> bounced"),
        ("request 550e8400-e29b-41d4-a716-446655440000 failed", "request <id> failed"),
        ("trace 4bf92f3577b34da6a3ce929d0e0e4736", "trace <id>"),
        ("GET /api/v1/orders/42?x=7 took 1.5s", "GET /api/v<n>/orders/<n>?x=<n> took <n>"),
        (
            "GET https://api.example.com/v1/users/42?token=abc&q=z",
            "GET https://<host>/v<n>/users/<n>?token=<…>&q=<…>",
        ),
        ("host orders-db-3 is at 93% or -3.5 C", "host orders-db-<n> is at <n> or <n> C"),
        ("job req_9f8a7c6b5d lost", "job req_<id> lost"),
        ("i-0abc1234def567890 stopped", "i-<id> stopped"),
        ("pod payments-7c9d8f6b5-x2v9k and app-556455c97c-hhfzk", "pod payments-<id> and app-<id>"),
        (
            "block blk_-6952295868487656571 of task_200811092030_0002_m_000590_0",
            "block blk_<n> of task_<id>",
        ),
        ("delete blk_1 blk_22 blk_-3", "delete blk_<n>"),
        (
            "64 bytes, 9122 bytes (8.90 KB) sent, lifetime <1 sec",
            "<n> bytes, <n> bytes sent, lifetime <n>",
        ),
        ("1,204,567 rows in 1m20s, codes 1, 2, 3", "<n> rows in <n>, codes <n>"),
        ("code 5 (10)", "code <n> (<n>)"),
        ("SQLSTATE 40P01 and ORA-00600", "SQLSTATE <n> and ORA-<n>"),
        ("0x1f at @0x214", "<n> at @<n>"),
        (
            r#"{"level":"ERROR","msg":"pool 7 exhausted","user":"ann"}"#,
            r#"{"level":"ERROR","msg":"pool <n> exhausted","user":"<…>"}"#,
        ),
        (r#"{"errorType":"KeyError","x":"y"}"#, r#"{"errorType":"KeyError","x":"<…>"}"#),
        (
            r#"{\"user\": \"ann\", \"message\": \"store 3 is gone\"}"#,
            r#"{\"user\": \"<…>\", \"message\": \"store <n> is gone\"}"#,
        ),
        (r#"no table "orders_7" in 'shop'"#, r#"no table "<…>" in '<…>'"#),
        (
            "level=error user=ann ok=true ws=Work{10} status=gone",
            "level=error user=<…> ok=true ws=<…> status=gone",
        ),
        ("ruser= rhost=10.0.0.1 tty=ssh", "ruser= rhost=<ip> tty=<…>"),
        (
            "Failed password for invalid user bob from 10.0.0.1",
            "Failed password for invalid user <…> from <ip>",
        ),
        (
            "user unknown; user ann logged in; user profile lost",
            "user unknown; user <…> logged in; user profile lost",
        ),
        ("user='ann' can't log in", "user='<…>' can't log in"),
        ("  many\t\t spaces  ", "many spaces"),
        ("password=[redacted:password] for 7", "password=[redacted:password] for <n>"),
        ("naïve café 3 ☕", "naïve café <n> ☕"),
        ("a lone \" quote and 5", "a lone \" quote and <n>"),
        ("", ""),
    ];
    for (line, pattern) in cases {
        assert_eq!(of_line(line).as_str(), pattern, "{line}");
    }
    let message = "banner 1\n14:15:16 [CRITICAL] two 2\n  at frame 3";
    assert_eq!(Pattern::of(message, "[CRITICAL]").as_str(), "[CRITICAL] two <n>");
    // One `Patterns` for all lines gives the same patterns, and equal ones share their text.
    let mut patterns = Patterns::default();
    let mut all = || cases.map(|(line, _)| patterns.of_line(line));
    for ((first, second), (line, pattern)) in all().iter().zip(&all()).zip(cases) {
        assert_eq!(first.as_str(), pattern, "{line}");
        assert!(Arc::ptr_eq(&first.text, &second.text), "{line}");
    }
}

#[test]
fn values_are_kept_if_they_may_distinguish_alerts() {
    let cases: &[(&str, &[(usize, &str)])] = &[
        ("upstream answered 503 after 12ms", &[(0, "503")]),
        ("SQLSTATE 40P01 at 14:15:16", &[(0, "40P01")]),
        ("at 14:15:16 ORA-00600 on db-1.example.com", &[(1, "00600"), (2, "db-1.example.com")]),
        ("user=ann id=550e8400-e29b-41d4-a716-446655440000", &[(0, "ann")]),
        ("mail to ann@example.com after 1,204 tries", &[]),
        ("order 123456789 failed with <n> and 7", &[]),
        ("codes 1, 2, 3 then 4", &[(1, "4")]),
    ];
    for (line, values) in cases {
        assert_eq!(of_line(line).values().collect::<Vec<_>>(), *values, "{line}");
    }
}

#[test]
fn the_telling_keys_are_sorted() {
    assert!(mask::TELLING_KEYS.is_sorted());
}

#[test]
fn a_long_pattern_is_cut_between_words() {
    let line = "word7 ".repeat(100).replace("7 w", "7 x");
    let pattern = of_line(&format!("{} {line}", "abcdefgh ".repeat(20)));
    assert!(
        pattern.as_str().len() <= PATTERN_BYTES_MAX && pattern.as_str().ends_with("<n>"),
        "{pattern}"
    );
}

proptest! {
    #[test]
    fn any_text_has_a_short_pattern_without_numbers(text in any::<String>(), n in 0..u64::MAX) {
        let pattern = of_line(&text);
        prop_assert!(pattern.as_str().len() <= PATTERN_BYTES_MAX);
        prop_assert!(pattern.values().all(|(_, value)| value.len() <= VALUE_BYTES_MAX && text.contains(value)));
        let (one, other) = (format!("retry {n} of job"), format!("retry {} of job", n / 3));
        prop_assert_eq!(Pattern::of(&one, "x").as_str().replace(ID, NUMBER), Pattern::of(&other, "x").as_str().replace(ID, NUMBER));
    }
}
