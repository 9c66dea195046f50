use proptest::prelude::*;

use super::*;

const C: &str = "[CRITICAL]";

#[track_caller]
fn check(marker: &str, cases: &[(&str, &str)]) {
    for (message, statement) in cases {
        assert_eq!(find(message, marker).text, *statement, "{message}");
    }
}

#[test]
fn a_stack_trace_below_a_line_tells_its_cause() {
    let cases = [
        (
            "[CRITICAL] Startup failed\njava.net.BindException: Address in use\n\tat a.B.c(B.java:7)",
            "[CRITICAL] Startup failed: java.net.BindException: Address in use",
        ),
        (
            "ERROR [CRITICAL] Startup failed.\na.b.StartException: no\n\tat a.b(c)\nCaused by: a.DnsError: no host\n\t... 3 more",
            "[CRITICAL] Startup failed: a.DnsError: no host",
        ),
        (
            "[CRITICAL] job failed\nTraceback (most recent call last):\n  File \"a.py\", line 1\nValueError: bad",
            "[CRITICAL] job failed: ValueError: bad",
        ),
        (
            "[CRITICAL] order 71 failed\nTraceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 7",
            "[CRITICAL] order 71 failed: KeyError: 7",
        ),
        (
            "[CRITICAL] no: deadlock detected\na.b.SqlException: ERROR: deadlock detected\n\tat a.b(c)",
            "[CRITICAL] no: deadlock detected",
        ),
        ("[CRITICAL] a.b.C: x\n\tat a.b(c)", "[CRITICAL] a.b.C: x"),
        (
            "[CRITICAL] no\nSystem.AException: x\n ---> System.BException: y\n ---> System.CException: z\n   at A.B() in C.cs:line 7\n   --- End of inner exception stack trace ---",
            "[CRITICAL] no: System.CException: z",
        ),
        (
            "[CRITICAL] no\nSystem.AException: x ---> System.BException: y\n   at A.B() in C.cs:line 7",
            "[CRITICAL] no: System.AException: x ---> System.BException: y",
        ),
        ("[CRITICAL] job failed\nit was the third", "[CRITICAL] job failed"),
    ];
    for (message, expected) in cases {
        assert_eq!(find(message, "[CRITICAL]").text, expected);
    }
}

#[test]
fn a_line_loses_its_lead() {
    check(
        C,
        &[
            ("[CRITICAL] pool is empty", "[CRITICAL] pool is empty"),
            ("2026-11-23T14:15:16.123Z [CRITICAL] pool is empty", "[CRITICAL] pool is empty"),
            (
                "Nov  3 09:24:10 ip-10-0-3-17 billing[1467]: [CRITICAL] export failed",
                "[CRITICAL] export failed",
            ),
            (
                "[CRITICAL]\t2026-11-23T14:15:16.123Z\t4f1d2c3b-0a1b-4c2d-8e3f-5a6b7c8d9e0f\tboom",
                "[CRITICAL] boom",
            ),
            ("[CRITICAL]: 2026/11/23 14:15:16 UTC - boom", "[CRITICAL] boom"),
            ("banner\n2026-11-23 14:15:16,123 [CRITICAL] two\n  at frame", "[CRITICAL] two"),
            ("worker 3: disk is full [CRITICAL]", "worker 3: disk is full [CRITICAL]"),
            ("[CRITICAL]", "[CRITICAL]"),
            ("[CRITICAL]\nthe disk is full\n", "[CRITICAL] the disk is full"),
            ("no marker here", "no marker here"),
            ("", ""),
        ],
    );
    check(
        "ERROR",
        &[
            (
                "2026-11-23T14:15:16Z\t4f1d2c3b-0a1b-4c2d-8e3f-5a6b7c8d9e0f\tERROR\tboom",
                "ERROR boom",
            ),
            (
                "2026-11-23 14:15:16,123 [main] ERROR c.e.Orders - no table",
                "ERROR c.e.Orders - no table",
            ),
        ],
    );
    check(
        "Task timed out",
        &[(
            "2026-11-23T14:15:06.000Z cfcd2084-95d5-45ef-a6e7-dff9f98764da Task timed out after 3.00 seconds\n\n",
            "Task timed out after 3.00 seconds",
        )],
    );
    check(
        "Status: timeout",
        &[(
            "REPORT RequestId: c0c7c76d-30bd-4dca-afc9-6f40275bdc0a\tDuration: 3000.16 ms\tStatus: timeout\n",
            "REPORT RequestId: c0c7c76d-30bd-4dca-afc9-6f40275bdc0a Duration: 3000.16 ms Status: timeout",
        )],
    );
}

#[test]
fn headers_of_known_loggers_are_a_lead() {
    check(
        "gone",
        &[
            (
                "E1123 14:15:06.789012       1 lease.go:332] lease is gone: timed out",
                "lease is gone: timed out",
            ),
            (
                "E1123 14:15:06.789012  1 pod.go:1] \"pod is gone\" err=\"timed out\" pod=\"a/b-1\"",
                "pod is gone: timed out",
            ),
            (
                "2026-11-23T14:15:06Z ERROR 7 --- [shop] [nio-8080-exec-1] c.e.shop.Cart : cart is gone",
                "c.e.shop.Cart : cart is gone",
            ),
            ("[23-Nov-2026 14:15:06 UTC] table is gone", "table is gone"),
            ("F, [2026-11-23T14:15:06.789012 #17] FATAL -- : table is gone", "table is gone"),
        ],
    );
    check(
        "FATAL -- :",
        &[(
            "F, [2026-11-23T14:15:06.789012 #17] FATAL -- : [4f1d2c3b-0a1b-4c2d-8e3f-5a6b7c8d9e0f] \n[4f1d2c3b-0a1b-4c2d-8e3f-5a6b7c8d9e0f] PG::Error (timed out)",
            "PG::Error (timed out)",
        )],
    );
}

#[test]
fn json_without_a_message_gives_its_members() {
    check(
        r#""status":"error""#,
        &[
            (
                r#"{"time":"2026-11-23T14:15:06Z","type":"platform.report","record":{"requestId":"4f1d2c3b-0a1b-4c2d-8e3f-5a6b7c8d9e0f","metrics":{"durationMs":12.5},"status":"error","errorType":"Runtime.ExitError"}}"#,
                "type=platform.report status=error errorType=Runtime.ExitError durationMs=12.5",
            ),
            (r#"{"status":"error","text":"","n":7}"#, "status=error n=7"),
            (r#"{"n":7}"#, r#"{"n":7}"#),
        ],
    );
}

#[test]
fn every_line_end_ends_a_line() {
    for end in ["\n", "\r", "\r\n", "\u{b}", "\u{c}", "\u{85}", "\u{2028}"] {
        let message = format!("banner{end}[CRITICAL] pool is empty{end}\u{a0}\u{a0}at frame");
        let statement = find(&message, C);
        assert_eq!(statement.text, "[CRITICAL] pool is empty", "{end:?}");
        assert_eq!(&message[statement.range], "[CRITICAL] pool is empty", "{end:?}");
    }
}

#[test]
fn colors_do_not_hide_a_marker() {
    check(
        C,
        &[
            (
                "\u{1b}[2m2026-11-23T14:15:06.000Z\u{1b}[0m \u{1b}[1;31m[CRITICAL]\u{1b}[0m \u{1b}[36mworker-0\u{1b}[0m queue is full",
                "[CRITICAL] worker-0 queue is full",
            ),
            (
                "2026-11-23T14:15:10Z [\u{1b}[31mCRITICAL\u{1b}[39m] queue is full",
                "[CRITICAL] queue is full",
            ),
            (
                "\u{1b}]8;;https://x\u{7}[CRITICAL]\u{1b}]8;;\u{7} queue is full",
                "[CRITICAL] queue is full",
            ),
        ],
    );
    let message = "a \u{1b}[31mb\u{1b}[0m\n[\u{1b}[31mCRITICAL\u{1b}[39m] full\u{1b}[0m\nnext";
    assert_eq!(&message[find(message, C).range], "[\u{1b}[31mCRITICAL\u{1b}[39m] full");
}

#[test]
fn json_gives_its_message() {
    check(
        C,
        &[
            (
                r#"{"ts":"2026-11-23T14:15:06Z","level":"error","msg":"[CRITICAL] Post \"https://a.example/1\": connection refused","attempt":0}"#,
                r#"[CRITICAL] Post "https://a.example/1": connection refused"#,
            ),
            (
                r#"{"log": "2026-11-23T14:15:06.000Z stdout F {\"level\": \"ERROR\", \"user\": \"ann\", \"message\": \"[CRITICAL] token store is gone\"}", "kubernetes": {"pod_name": "auth-1"}}"#,
                "[CRITICAL] token store is gone",
            ),
            (
                r#"{"container_name": "/a", "log": "[CRITICAL] session store lost\n", "source": "stderr"}"#,
                "[CRITICAL] session store lost",
            ),
            (
                r#"{"level":60,"req":{"id":0,"message":"no"},"err":{"type":"Error","message":"connect ECONNREFUSED"},"msg":"[CRITICAL] cart could not be saved"}"#,
                "[CRITICAL] cart could not be saved: connect ECONNREFUSED",
            ),
            (
                r#"{"level":"CRITICAL","message":"[CRITICAL] refund failed","errorType":"PaymentDeclined","statusCode":402}"#,
                "[CRITICAL] refund failed (PaymentDeclined, status 402)",
            ),
            (
                r#"2026-11-23T14:15:06Z	4f1d2c3b-0a1b-4c2d-8e3f-5a6b7c8d9e0f	ERROR	{"message":"[CRITICAL] boom"}"#,
                "[CRITICAL] boom",
            ),
            (
                r#"[CRITICAL] payload refused {"order":7,"message":"x"}"#,
                r#"[CRITICAL] payload refused {"order":7,"message":"x"}"#,
            ),
            (
                r#"{"timestamp":"t","fields":{"message":"[CRITICAL] pool is empty"},"target":"app"}"#,
                "[CRITICAL] pool is empty",
            ),
            (
                r#"{"level":"error","msg":"[CRITICAL] cut off","stack":"Error: a"#,
                "[CRITICAL] cut off",
            ),
        ],
    );
    check(
        r#""level":"ERROR""#,
        &[
            (
                r#"{"timestamp":"2026-11-23T14:15:06.000Z","level":"ERROR","requestId":"c","errorType":"KeyError","errorMessage":"'total'","stackTrace":["  File"]}"#,
                "KeyError: 'total'",
            ),
            (
                r#"{"level":"ERROR","errorType":"Runtime.ImportModuleError","errorMessage":"no_module"}"#,
                "Runtime.ImportModuleError: no_module",
            ),
            (
                r#"{"level":"ERROR","msg":"ERROR","error":{"name":"TimeoutError","message":"after 3 s"}}"#,
                "TimeoutError: after 3 s",
            ),
            (r#"{"level":"ERROR","event":"order lost","logger":"a"}"#, "order lost"),
        ],
    );
    check(
        "AccessDenied",
        &[(
            r#"{"eventVersion":"1.08","eventName":"PutObject","errorCode":"AccessDenied","errorMessage":"User is not authorized"}"#,
            "PutObject · AccessDenied: User is not authorized",
        )],
    );
    check(
        "ERROR",
        &[(
            "2026-11-23T14:15:06Z\t4f1d2c3b-0a1b-4c2d-8e3f-5a6b7c8d9e0f\tERROR\tUncaught Exception \t{\"errorType\":\"TypeError\",\"errorMessage\":\"x is undefined\",\"stack\":[\"a\"]}",
            "TypeError: x is undefined",
        )],
    );
}

#[test]
fn attributes_of_opentelemetry_say_the_cause() {
    check(
        C,
        &[
            (
                r#"{"body":"[CRITICAL] payment declined","attributes":{"exception.type":"AcquirerDown","exception.message":"no route","n":7}}"#,
                "[CRITICAL] payment declined: no route (AcquirerDown)",
            ),
            (
                r#"{"body":"[CRITICAL] payment declined","attributes":{"exception":{"type":"AcquirerDown","message":"no route"}}}"#,
                "[CRITICAL] payment declined: AcquirerDown: no route",
            ),
            (
                r#"{"body":{"stringValue":"[CRITICAL] payment declined"},"attributes":[{"key":"exception.type","value":{"stringValue":"AcquirerDown"}},{"key":"exception.message","value":{"stringValue":"no route"}}]}"#,
                "[CRITICAL] payment declined: no route (AcquirerDown)",
            ),
            (
                r#"{"message":"[CRITICAL] payment declined","exception.type":"AcquirerDown","exception.message":"no route"}"#,
                "[CRITICAL] payment declined: no route (AcquirerDown)",
            ),
            (
                r#"{"body":"[CRITICAL] payment declined","attributes":{"exception.type":"AcquirerDown","exception.stacktrace":"a.AcquirerDown: x\n\tat a.b(c)\nCaused by: a.DnsError: no host\n"}}"#,
                "[CRITICAL] payment declined: a.AcquirerDown: x: a.DnsError: no host",
            ),
        ],
    );
    check(
        "ERROR",
        &[
            (
                r#"{"severityText":"ERROR","body":{},"attributes":{"exception.type":"Timeout","exception.message":"after 3 s"}}"#,
                "Timeout: after 3 s",
            ),
            (
                r#"{"severityText":"ERROR","attributes":[{"key":"exception.message","value":{"stringValue":"after 3 s"}}]}"#,
                "after 3 s",
            ),
        ],
    );
}

#[test]
fn a_template_of_serilog_is_rendered() {
    check(
        r#""Level":"Fatal""#,
        &[
            (
                r#"{"Timestamp":"t","Level":"Fatal","MessageTemplate":"Order {OrderId} of {@User} failed in {Elapsed:0.0} ms","Properties":{"OrderId":7,"User":"ann","Elapsed":1.5}}"#,
                r#"Order 7 of "ann" failed in 1.5 ms"#,
            ),
            (
                r#"{"Level":"Fatal","MessageTemplate":"Order {OrderId} failed","RenderedMessage":"Order 7 failed","Properties":{"OrderId":8}}"#,
                "Order 7 failed",
            ),
            (
                r#"{"Level":"Fatal","MessageTemplate":"a {{b}} {Absent} {","Properties":{}}"#,
                "a {b} {Absent} {",
            ),
            (
                r#"{"Level":"Fatal","MessageTemplate":"got {Items,-10}","Properties":{"Items":[1,2]}}"#,
                "got [1,2]",
            ),
            (
                r#"{"Level":"Fatal","MessageTemplate":"no {Db}","Properties":{"Db":"main"},"Exception":"System.InvalidOperationException: x\n ---> System.TimeoutException: timed out\n   at A.B() in C.cs:line 7"}"#,
                r#"no "main": System.InvalidOperationException: x: System.TimeoutException: timed out"#,
            ),
        ],
    );
    check(
        C,
        &[
            (
                r#"{"@t":"t","@mt":"[CRITICAL] Order {OrderId} failed","OrderId":7}"#,
                "[CRITICAL] Order 7 failed",
            ),
            (
                r#"{"@t":"t","@mt":"[CRITICAL] Order {OrderId} failed","@m":"[CRITICAL] Order 8 failed","OrderId":7}"#,
                "[CRITICAL] Order 8 failed",
            ),
            (r#"{"message":"[CRITICAL] no {OrderId}","OrderId":7}"#, "[CRITICAL] no {OrderId}"),
        ],
    );
}

#[test]
fn the_causes_of_one_message_stay_apart() {
    let trace = |cause: &str| format!(r"a.RequestException: failed\n\tat a.b(c)\n{cause}");
    let json = |key: &str, trace: &str| {
        format!(r#"{{"message":"[CRITICAL] request failed","{key}":"{trace}"}}"#)
    };
    for key in
        ["stack_trace", "stackTrace", "stacktrace", "stack", "error.stack_trace", "exc_info", "err"]
    {
        let message = json(key, &trace(r"Caused by: a.DnsError: no host\n\t... 3 more"));
        let expected = "[CRITICAL] request failed: a.RequestException: failed: a.DnsError: no host";
        assert_eq!(find(&message, C).text, expected, "{message}");
        let message = json(key, &trace(""));
        let expected = "[CRITICAL] request failed: a.RequestException: failed";
        assert_eq!(find(&message, C).text, expected, "{message}");
    }
    check(
        C,
        &[
            (
                r#"{"message":"[CRITICAL] failed","error":"internal","stack_trace":"a.E: b\n\tat a.b(c)\nCaused by: a.DnsError: no host"}"#,
                "[CRITICAL] failed: internal: a.E: b: a.DnsError: no host",
            ),
            (
                r#"{"message":"[CRITICAL] failed","stack_trace":"Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 'total'"}"#,
                "[CRITICAL] failed: KeyError: 'total'",
            ),
            // A stack that names no error, and one whose error the message names.
            (
                r#"{"message":"[CRITICAL] failed","stacktrace":"example.com/a.(*Pool).run\n\t/src/a.go:7\nruntime.goexit"}"#,
                "[CRITICAL] failed",
            ),
            (
                r#"{"message":"[CRITICAL] boom","stack":"Error: boom\n    at a (b.js:1:1)"}"#,
                "[CRITICAL] boom",
            ),
            (
                r#"{"message":"[CRITICAL] failed","err":{"message":"wrapped","stack":"Error: wrapped\n    at a (b.js:1:1)","cause":{"name":"DnsError","message":"no host"}}}"#,
                "[CRITICAL] failed: wrapped: DnsError: no host",
            ),
            (
                r#"{"message":"[CRITICAL] failed","thrown":{"name":"a.E","message":"x","cause":{"name":"a.F","message":"y","cause":{"name":"a.G","message":"z"}}}}"#,
                "[CRITICAL] failed: a.E: x: a.F: y: a.G: z",
            ),
        ],
    );
}

#[test]
fn logfmt_gives_its_message() {
    check(
        C,
        &[
            (
                r#"time=2026-11-23T14:15:06.000Z level=error msg="[CRITICAL] payment was refused" user=ann pod=payments-1"#,
                "[CRITICAL] payment was refused",
            ),
            (
                r#"level=error ts=1795443306 msg="[CRITICAL] query failed" err="dial tcp: \"db\" refused" n=1"#,
                r#"[CRITICAL] query failed: dial tcp: "db" refused"#,
            ),
            ("[CRITICAL] retry user=ann n=3", "[CRITICAL] retry user=ann n=3"),
        ],
    );
    check("level=error", &[("ts=1 level=error msg=\"disk is full\" host=a", "disk is full")]);
}

#[test]
fn a_line_that_says_nothing_yields_what_it_announces() {
    let traceback = "Traceback (most recent call last):\n  File \"/a.py\", line 1, in f\n    g()\nKeyError: 'total'\n";
    let marker = "Traceback (most recent call last)";
    assert_eq!(
        find(&format!("2026-11-23T14:15:06Z ERROR request failed\n{traceback}"), marker).text,
        "KeyError: 'total'"
    );
    let chained = format!(
        "{traceback}\nDuring handling of the above exception, another exception occurred:\n\n\
         Traceback (most recent call last):\n  File \"/b.py\", line 2, in h\n    i()\napp.OrderError: order 7 is lost\n"
    );
    assert_eq!(find(&chained, marker).text, "app.OrderError: order 7 is lost");
    check(
        C,
        &[
            (
                "[CRITICAL] \nTraceback (most recent call last):\n  File \"/a.py\", line 1\nMemoryError",
                "[CRITICAL] MemoryError",
            ),
            (
                "[CRITICAL]\njava.lang.IllegalStateException: wrapped\n\tat a.B.c(B.java:1)\nCaused by: x.Timeout: connect\n\tat d\nCaused by: java.net.SocketException: reset\n\t... 3 more",
                "[CRITICAL] java.net.SocketException: reset",
            ),
        ],
    );
    check(
        "CRITICAL",
        &[(
            "{\n  level: 'CRITICAL',\n  service: 'shop',\n  message: 'pool is empty',\n  n: 3\n}",
            "pool is empty",
        )],
    );
    check(
        "PHP Fatal error",
        &[
            (
                "PHP Fatal error:\nUncaught PDOException: gone away in /a.php:3",
                "Uncaught PDOException: gone away in /a.php:3",
            ),
            (
                "PHP Fatal error:  Uncaught PDOException: gone away in /a.php:3",
                "PHP Fatal error: Uncaught PDOException: gone away in /a.php:3",
            ),
        ],
    );
    check(
        "panic:",
        &[
            (
                "panic:\n\nruntime error: invalid memory address\n\ngoroutine 1 [running]:",
                "runtime error: invalid memory address",
            ),
            (
                "panic: runtime error: index out of range [3]\n\ngoroutine 1",
                "panic: runtime error: index out of range [3]",
            ),
        ],
    );
}

#[test]
fn a_label_is_left_out_and_a_sentence_is_kept() {
    let cases = [
        ("[CRITICAL] pool is empty", C, "pool is empty"),
        ("[CRITICAL]: pool", C, "pool"),
        ("[CRITICAL]", C, "[CRITICAL]"),
        ("FATAL disk", "FATAL", "disk"),
        (
            "Task timed out after 3.00 seconds",
            "Task timed out after",
            "Task timed out after 3.00 seconds",
        ),
        ("other", C, "other"),
    ];
    for (statement, marker, rest) in cases {
        assert_eq!(without_label(statement, marker), rest, "{statement}");
    }
}

proptest! {
    #[test]
    fn any_message_has_a_short_statement_on_one_line(
        message in r#"([ -~]|\PC|[\n\r\t\x1b\x07]|\{"|":"|"\}|msg="|Traceback \(most|\[CRITICAL\]|Caused by: |=|\\){0,60}"#,
        marker in r#"\[CRITICAL\]|msg|[a-z"]{0,3}"#,
    ) {
        let statement = find(&message, &marker);
        prop_assert!(statement.text.len() <= STATEMENT_BYTES_MAX);
        prop_assert!(!statement.text.contains(['\n', '\r']));
        prop_assert!(message.get(statement.range.clone()).is_some(), "{:?}", statement.range);
        // A statement is its own statement.
        let again = find(&statement.text, &marker);
        prop_assert!(again.text.len() <= STATEMENT_BYTES_MAX);
    }

    #[test]
    fn a_statement_does_not_depend_on_its_wrapping(words in "[a-z]{3,8}( [a-z]{3,8}){1,6}") {
        let expected = format!("[CRITICAL] {words}");
        let json = serde_json::json!({"level": "error", "msg": expected, "n": 1}).to_string();
        let twice = serde_json::json!({"log": format!("2026-11-23T14:15:06Z stdout F {json}\n"), "stream": "stdout"}).to_string();
        let logfmt = format!("level=error msg=\"{expected}\" n=1");
        let plain = format!("2026-11-23T14:15:06Z {expected}\r  at frame");
        for message in [json, twice, logfmt, plain] {
            prop_assert_eq!(find(&message, C).text, expected.clone(), "{}", message);
        }
    }
}
