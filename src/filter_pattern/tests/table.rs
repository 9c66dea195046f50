//! The cases, one a row: a pattern, a message, whether it matches, and where the answer comes from. D:
//! AWS documents it. O: another project says that it observed AWS. U: undecided, and our choice.

use super::super::{EventText, FilterPattern, PATTERN_CHARS_MAX};

use Source::{D, O, U};

#[derive(Clone, Copy, Debug)]
enum Source {
    D,
    O,
    U,
}

fn check(rows: &[(&str, &str, bool, Source)]) {
    for (pattern, message, expected, source) in rows {
        let parsed: FilterPattern =
            pattern.parse().unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let matches = parsed.matches(&EventText::new(message));
        assert_eq!(matches, *expected, "{source:?} {pattern} on {message}");
    }
}

/// Rows of a pattern that AWS rejects, and the error.
fn check_rejected(rows: &[(&str, usize, &str)]) {
    for (pattern, at, reason) in rows {
        let error = pattern.parse::<FilterPattern>().expect_err(pattern);
        assert_eq!((error.at, error.reason.as_str()), (*at, *reason), "{pattern}");
    }
}

#[test]
fn terms() {
    check(&[
        ("ERROR", "[ERROR 400] BAD REQUEST", true, D),
        ("ERROR", "error: x", false, D),
        ("Exception", "InvalidQueryException", true, D),
        ("ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", true, D),
        ("ARGUMENTS ERROR", "[ERROR 419] MISSING ARGUMENTS", true, D),
        ("ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", false, D),
        ("?ERROR ?ARGUMENTS", "[ERROR 400] BAD REQUEST", true, D),
        ("?ERROR ?ARGUMENTS", "[INFO] INVALID ARGUMENTS", true, D),
        ("?ERROR ?ARGUMENTS", "[INFO 200] OK", false, D),
        ("?ERROR ?ARGUMENTS REQUEST", "[INFO] REQUEST FAILED", true, D),
        ("?ERROR ?ARGUMENTS REQUEST", "[ERROR] 400 BAD REQUEST", true, D),
        ("?ERROR ?ARGUMENTS REQUEST", "[ERROR] MISSING ARGUMENTS", false, D),
        ("?ERROR -health", "all is well", true, U),
        ("?ERROR -health", "ERROR health", false, U),
        (r#""INTERNAL SERVER ERROR""#, "[ERROR 500] INTERNAL SERVER ERROR", true, D),
        (r#""INTERNAL SERVER ERROR""#, "INTERNAL ERROR ON SERVER", false, D),
        (r#""[ERROR]" Exception"#, "[ERROR] Unhanded exception: InvalidQueryException", true, D),
        (r#""[ERROR]" Exception"#, "[ERROR] Terminating", false, D),
        ("ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", true, D),
        ("ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", false, D),
        ("-ERROR", "anything", true, D),
        ("-ERROR", "ERROR", false, D),
        (r#"ERROR -"BAD REQUEST""#, "ERROR BAD REQUEST", false, O),
        (r#"ERROR -"BAD REQUEST""#, "ERROR BAD", true, O),
        ("", "anything", true, D),
        ("", "", true, D),
        ("   ", "anything", true, D),
        (r#"" ""#, "two words", true, D),
        (r#"" ""#, "word", true, U),
        (r#"x " ""#, "x", true, U),
        (r#""say \"x\"""#, r#"say "x" now"#, true, U),
        (r#""C:\\temp""#, r"C:\temp", true, U),
        (r#""C:\temp""#, r"C:\temp", true, U),
        ("naïve", "a naïve one", true, U),
        ("ERROR", "ERROR\n", true, U),
        ("%AUTHORIZED% -debug", "UNAUTHORIZED REQUEST", true, U),
        ("-%DEBUG%", "DEBUG x", false, U),
        ("?%a+b% ?c", "xaab", true, U),
    ]);
    check_rejected(&[
        ("\"ERROR", 0, "the quote is never closed"),
        ("ERR*", 3, "a term with other than letters, digits and `_` needs double quotes"),
        ("a-b", 1, "a term with other than letters, digits and `_` needs double quotes"),
        ("a [b]", 2, "a term with other than letters, digits and `_` needs double quotes"),
        ("? x", 1, "expected a term"),
        ("-\"\"", 0, "the term is blank"),
    ]);
}

#[test]
fn regular_expressions() {
    check(&[
        ("%AUTHORIZED%", "UNAUTHORIZED REQUEST", true, D),
        ("%AUTHORIZED%", "[SUCCESS 200] OK", false, D),
        ("%^[hc]at%", "hat trick", true, D),
        ("%^[hc]at%", "a hat", false, D),
        ("%[hc]at$%", "the cat", true, D),
        ("%[hc]at$%", "the cat\n", true, U),
        ("%[hc]at$%", "cats", false, D),
        ("%disks?%", "disk", true, D),
        ("%disks?%", "disks", true, D),
        ("%[abcx-z]%", "y", true, D),
        ("%[abcx-z]%", "d", false, D),
        ("%[^a-z]%", "abc", false, D),
        ("%a{3,5}%", "aaaa", true, D),
        ("%a{3,5}%", "aaaaaaa", true, D),
        ("%^a{3,5}$%", "aa", false, D),
        ("%^a{3,}$%", "aaaaaa", true, D),
        ("%^a{,2}$%", "aaa", false, D),
        ("%^a{2}$%", "aa", true, D),
        ("%gra|ey%", "grey", true, D),
        ("%gra|ey%", "gray", true, D),
        ("%^starting|^initializing|^shutting down%", "shutting down now", true, D),
        ("%^starting|^initializing|^shutting down%", "skipping initializing", false, D),
        (r"%\[.\]%", "value [7] here", true, D),
        ("%ab*c%", "ac", true, D),
        ("%ab+c%", "abbc", true, D),
        ("%ab+c%", "ac", false, D),
        ("%.at%", "4at", true, D),
        ("%a.b%", "a\nb", false, U),
        (r"%\d%", "port 80", true, D),
        (r"%\d%", "٣", false, U),
        (r"%\D%", "80", false, D),
        (r"%\s%", "a b", true, D),
        (r"%\S%", " \t", false, D),
        (r"%\w%", "_", true, D),
        (r"%\W%", "a_1", false, D),
        (r"%^[\d\-x]+$%", "1-x", true, U),
        (r"%[^\d]%", "12", false, U),
        (r"%\x3A%", "key:value", true, D),
        (r"%\x28%", "(", true, D),
        (r"%10\.10\.0\.1%", "from 10.10.0.1", true, D),
        (r"%10\.10\.0\.1%", "from 10010,051", false, D),
        ("%10.10.0.1%", "10010,051", true, D),
        (r"%a\-b%", "a-b", true, O),
        (r"%\\%", r"back\slash", true, O),
        ("%a b%", "a b", true, O),
        ("%key: x%", "key: x", true, U),
        ("%[.*[]%", "[", true, U),
        ("%[+--]%", "-", true, U),
    ]);
    check_rejected(&[
        ("%something!%", 10, "this character is not allowed in a regular expression"),
        ("%(ab)+%", 1, "a regular expression has no parentheses; write \\x28 for one"),
        (r"%\(ab\)+%", 1, "this escape is not supported"),
        ("%a(?=b)%", 2, "a regular expression has no parentheses; write \\x28 for one"),
        ("%café%", 4, "this character is not allowed in a regular expression"),
        ("%%", 1, "the regular expression is empty"),
        ("%abc", 0, "the `%` of the regular expression is never closed"),
        ("%[abc%", 1, "`[` opens a class that is never closed"),
        ("%[]%", 1, "the class is empty"),
        ("%[z-a]%", 4, "a range in a class runs backwards"),
        (r"%[\d-z]%", 5, "a range in a class runs backwards"),
        ("%a{3,%", 2, "expected a number of repetitions, such as {3} or {3,5}"),
        ("%a{}%", 2, "expected a number of repetitions, such as {3} or {3,5}"),
        ("%a{5,3}%", 2, "the numbers of the repetition are in the wrong order"),
        ("%a{1001}%", 3, "repeats more than 1000 times"),
        ("%.{1000}.{1000}.{1000}.{1000}.{1000}%", 1, "the regular expression is too large"),
        ("%*a%", 1, "there is nothing that `*` repeats"),
        ("%a|+%", 3, "there is nothing that `+` repeats"),
        ("%a**%", 3, "there is nothing that `*` repeats"),
        ("%a}%", 2, "`}` without its opening bracket"),
        (r"%\p%", 1, "this escape is not supported"),
        (r"%\!%", 1, "this escape is not supported"),
        (r"%\xe9%", 1, "expected two hexadecimal digits from 00 to 7F after `\\x`"),
        (r"%a\%", 2, "this escape is not supported"),
    ]);
}

const A: &str = r#"{"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111",
    "arrayKey":["value","another value"],"objectList":[{"name":"a","id":1},{"name":"b","id":2}],
    "SomeObject":null,"cluster.name":"c"}"#;

const B: &str = r#"{"user":{"id":1,"email":"John.Stiles@example.com"},
    "users":[{"id":2,"email":"John.Doe@example.com"},{"id":3,"email":"Jane.Doe@example.com"}],
    "actions":["GET","PUT","DELETE"],"coordinates":[[0,1,2],[4,5,6],[7,8,9]]}"#;

#[test]
fn json() {
    check(&[
        (r#"{ $.eventType = "UpdateTrail" }"#, A, true, D),
        ("{ $.eventType = UpdateTrail }", A, true, D),
        ("{$.eventType=UpdateTrail}", A, true, U),
        (r#"{ $.eventType = "*" }"#, A, true, D),
        (r#"{ $.eventType = "Up*l" }"#, A, true, D),
        (r#"{ $.eventType = "U*d*e*" }"#, A, true, D),
        (r#"{ $.eventType = "U*x*" }"#, A, false, D),
        (r#"{ $.eventType = "updatetrail" }"#, A, false, D),
        (r#"{ $.SomeObject = "*" }"#, A, false, O),
        ("{ $.sourceIPAddress != 123.123.* }", A, true, D),
        ("{ $.sourceIPAddress != 111.111.* }", A, false, O),
        (r#"{ $.arrayKey[0] = "value" }"#, A, true, D),
        (r#"{ $.arrayKey[1] = "value" }"#, A, false, D),
        (r#"{ $.arrayKey = "value" }"#, A, false, D),
        (r#"{ $.objectList[0] != "x" }"#, A, false, D),
        ("{ $.objectList[1].id = 2 }", A, true, D),
        ("{ $.objectList[*].id = 2 }", A, true, O),
        ("{ $.objectList[*].id = 3 }", A, false, O),
        ("{ $.eventType = %Trail% }", A, true, D),
        ("{ $.arrayKey[*] = %val.{2}% }", A, true, D),
        (r"{ $.* = %111\.111\.111\.1[0-9]{1,2}% }", A, true, D),
        (r#"{ $.['cluster.name'] = "c" }"#, A, true, D),
        (r#"{ $.cluster.name = "c" }"#, A, false, D),
        ("{ $.SomeObject IS NULL }", A, true, D),
        ("{ $.Other IS NULL }", A, false, O),
        ("{ $.x IS NULL }", r#"{"x":"null"}"#, false, O),
        ("{ $.Other NOT EXISTS }", A, true, D),
        ("{ $.SomeObject NOT EXISTS }", A, false, O),
        ("{ $.objectList[*].name NOT EXISTS }", A, false, U),
        ("{ $.flag IS TRUE }", r#"{"flag":true}"#, true, D),
        ("{ $.flag IS TRUE }", r#"{"flag":"true"}"#, false, O),
        ("{ $.flag IS FALSE }", r#"{"flag":false}"#, true, D),
        ("{ $.flag = true }", r#"{"flag":true}"#, false, O),
        ("{ $.flag = true }", r#"{"flag":"true"}"#, true, O),
        (r#"{ $.flag != "x" }"#, r#"{"flag":true}"#, false, U),
        (r#"{ $.missing != "x" }"#, A, false, O),
        ("{ $.bandwidth > 75 }", r#"{"bandwidth":80}"#, true, D),
        ("{ $.bandwidth > 75 }", r#"{"bandwidth":75}"#, false, D),
        ("{ $.bandwidth > 75 }", r#"{"bandwidth":"80"}"#, true, U),
        ("{ $.latency < 50 }", r#"{"latency":49.5}"#, true, D),
        ("{ $.refreshRate >= 60 }", r#"{"refreshRate":60}"#, true, D),
        ("{ $.responseTime <= 5 }", r#"{"responseTime":5}"#, true, D),
        ("{ $.errorCode = 400}", r#"{"errorCode":400}"#, true, D),
        ("{ $.errorCode != 500 }", r#"{"errorCode":400}"#, true, D),
        ("{ $.errorCode != 500 }", r#"{"errorCode":500}"#, false, D),
        ("{ $.errorCode != 500 }", r#"{"errorCode":"none"}"#, true, U),
        ("{ $.errorCode = 4* }", r#"{"errorCode":404}"#, true, D),
        ("{ $.number[0] = 1e+3 }", r#"{"number":[1000]}"#, true, D),
        ("{ $.number[0] != 1e-3 }", r#"{"number":[1000]}"#, true, D),
        ("{ $.n = -1.5E1 }", r#"{"n":-15}"#, true, D),
        ("{ $.n = 9007199254740993 }", r#"{"n":9007199254740992}"#, false, U),
        ("{ $.count = 3 }", r#"{"count":"3"}"#, true, U),
        (r#"{ $.count = "3" }"#, r#"{"count":3}"#, true, U),
        ("{ $.count = 1 }", r#"{"count":1.0}"#, true, U),
        ("{ $.count > 2 }", r#"{"count":"many"}"#, false, O),
        ("{ $.a = 2 }", r#"{"a":1,"a":2}"#, true, U),
        (r#"{ $.a = "x?z" }"#, r#"{"a":"xyz"}"#, false, U),
        (r#"{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }"#, B, true, D),
        (
            r#"{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch" && $.actions[2] = "nonmatch" }"#,
            B,
            true,
            D,
        ),
        (
            r#"{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch") && $.actions[2] = "nonmatch" }"#,
            B,
            false,
            D,
        ),
        (
            r#"{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }"#,
            B,
            false,
            D,
        ),
        ("{ $.coordinates[1][2] = 6 }", B, true, D),
        ("{ $.users[*].id = 2 || $.actions[*] = x || $.coordinates[*][0] = 9 }", B, true, D),
        (r#"{ $.a = "x" }"#, r#"INFO {"a":"x"}"#, false, O),
        ("{ $.a NOT EXISTS }", "not json", false, O),
        ("{ $.a NOT EXISTS }", "", false, O),
        ("{ $.a NOT EXISTS }", "7", false, U),
        (r#"{ $.a = "x" }"#, r#"{"a":"x""#, false, O),
        (r#"{ $.a = "x" }"#, " {\"a\":\"\\u0078\"}\r\n", true, U),
        ("{ $[0].a = 1 }", r#"[{"a":1}]"#, true, U),
    ]);
    let test =
        "expected a comparison such as `= 1`, or `IS NULL`, `IS TRUE`, `IS FALSE` or `NOT EXISTS`";
    let selector = "expected a selector, such as `$.level`";
    check_rejected(&[
        ("{ $.a }", 6, test),
        ("{ $.a = }", 8, "expected a number, a text or a %regular expression%"),
        ("{ $.a == 1 }", 7, "expected one `=`"),
        ("{ $.a EXISTS }", 6, test),
        ("{ $.a IS NOT NULL }", 6, test),
        ("{ $.a IS MAYBE }", 6, test),
        ("{ $.a is null }", 6, test),
        ("{ $.a NOT EXIST }", 6, test),
        ("{ $.a = null }", 8, "null is tested with `IS NULL`"),
        ("{ a = 1 }", 2, selector),
        ("{ }", 2, selector),
        ("{ !($.a = 1) }", 2, selector),
        ("{ $ = 1 }", 3, "expected `.` or `[` after `$`"),
        ("{ $.a = 1 } trailing", 12, "expected the end of the pattern"),
        ("{ $.a = 1", 9, "expected `&&`, `||` or `}`"),
        ("{ $.a = 1 && }", 13, selector),
        ("{ $.a = 1 AND $.b = 2 }", 10, "expected `&&`, `||` or `}`"),
        ("{ $.a = 1 OR $.b = 2 }", 10, "expected `&&`, `||` or `}`"),
        ("{ ($.a = 1 }", 11, "expected `&&`, `||` or `)`"),
        ("{ $.a = \"unterminated }", 8, "the quote is never closed"),
        ("{ $.v > \"x\" }", 8, "`<` and `>` compare with a number only"),
        ("{ $.v >= %x% }", 9, "`<` and `>` compare with a number only"),
        (
            "{ $.v = a-b }",
            8,
            "a text with other than letters, digits, `_`, `.` and `*` needs double quotes",
        ),
        ("{ $..v = 1 }", 4, "expected a name of letters, digits, `_` and `-`, or `['any name']`"),
        ("{ $.a[-1] = 1 }", 6, "expected an index from 0, or `*`"),
        ("{ $.a[0:2] = 1 }", 7, "expected `]`"),
        ("{ $.a[99999999999999999999] = 1 }", 26, "expected an index from 0, or `*`"),
        ("{ $.['a = 1 }", 4, "`['` is never closed by `']`"),
        ("{ $.*[*] = 1 }", 5, "a selector has at most one wildcard"),
        (
            "{ $.a[*] = 1 || $.b[*] = 1 || $.c[*] = 1 || $.d[*] = 1 }",
            44,
            "a pattern has at most 3 wildcards",
        ),
        (
            "{ $.a = %x% || $.a = %y% || $.a = %z% }",
            37,
            "a pattern has at most 2 regular expressions",
        ),
    ]);
    let nested = |depth: usize| format!("{{{}$.a = 1{}}}", "(".repeat(depth), ")".repeat(depth));
    assert!(nested(32).parse::<FilterPattern>().is_ok());
    check_rejected(&[(&nested(33), 33, "the parentheses are nested too deeply")]);
}

const L: &str =
    "127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] \"GET /index.html HTTP/1.0\" 404 1534";

#[test]
fn space_delimited() {
    check(&[
        ("[ip, user, username, timestamp, request, status_code, bytes]", L, true, D),
        ("[..., timestamp = \"10/Oct/2000:13:25:15 -0700\", request, s, b]", L, true, D),
        ("[..., request = \"GET /index.html HTTP/1.0\", s, b = 1534]", L, true, D),
        ("[ip, user, username, timestamp, request =*.html*, status_code = 4*, bytes]", L, true, D),
        ("[..., request =*.html*, status_code = 4*, bytes]", L, true, D),
        ("[..., request=*.html*, status_code=4*,]", L, true, D),
        ("[..., status_code = 404 || status_code = 410, bytes]", L, true, D),
        ("[..., status_code = 403 || status_code = 410, bytes]", L, false, D),
        ("[..., status_code >= 400 && status_code < 500, bytes]", L, true, O),
        ("[..., s = 1 && s = 2 || s = 404, b]", L, true, U),
        ("[..., bytes > 1000]", L, true, D),
        ("[..., bytes > 2000]", L, false, O),
        ("[..., bytes > 100]", "a b c text", false, O),
        (r"[ip=%127\.0\.0\.[1-9]%, ..., request =*.html*, status_code = 4*, bytes]", L, true, D),
        ("[w1=ERROR, w2]", "ERROR 09/25/2014 12:00:02 Failed to process request", true, D),
        ("[w1=ERROR, w2]", "INFO 09/25/2014", false, D),
        ("[w1=ERROR, w2]", "ERROR", false, O),
        ("[w1=ERROR]", "ERROR x y", false, D),
        ("[w1=ERROR]", "ERROR\n", true, U),
        ("[w1=ERROR || w1=%WARN%, w2]", "WARNING x", true, D),
        ("[w1!=ERROR && w1!=WARNING, w2]", "INFO x", true, D),
        ("[w1!=ERROR && w1!=WARNING, w2]", "ERROR x", false, D),
        ("[W1=ERROR, w2]", "ERROR x", true, U),
        (
            "[level, date, time, method, url=%/service/resource/[0-9]+$%, ms]",
            "INFO 09/25/2014 12:00:00 GET /service/resource/67 1200",
            true,
            D,
        ),
        ("[..., bytes]", L, true, D),
        ("[ip, ..., bytes]", L, true, O),
        ("[ip, user, ...]", L, true, O),
        ("[a, b, c, d, e, f, g, h, ...]", L, false, O),
        ("[]", L, true, O),
        ("[]", "", true, O),
        ("[...]", "", true, U),
        ("[a]", "", false, O),
        ("[a, b, c, d, e, f, g, h]", L, false, O),
        ("[a, b, rest = \"frank [*1534\"]", L, true, O),
        ("[a=1, b=2, c=3]", "1\t2   3", true, O),
        ("[a, b=\"open x y\"]", "1 \"open x y", true, O),
        ("[a, b=x, c=y]", "1 \"x\"y", true, U),
    ]);
    check_rejected(&[
        ("[..., status, ...]", 14, "a pattern has at most one `...`"),
        ("[a, a]", 4, "an earlier field has this name"),
        ("[1a]", 1, "the name of a field begins with a letter or `_`"),
        ("[a = ]", 5, "expected a number, a text or a %regular expression%"),
        ("[a = 1 ||]", 9, "expected the name of this field again"),
        ("[a, b=x || c=y]", 11, "expected the name of this field again"),
        ("[a = 1 && a]", 11, "expected a comparison, such as `= 1`"),
        ("[a, b] trailing", 7, "expected the end of the pattern"),
        ("[CRITICAL] x", 11, "expected the end of the pattern"),
        ("[a, b", 0, "`[` is never closed"),
        ("[a b]", 3, "expected `,` or `]`"),
        ("[a = b/c]", 6, "expected `,` or `]`"),
        ("[a=%x%, b=%y%, c=%z%]", 20, "a pattern has at most 2 regular expressions"),
    ]);
}

/// A second opinion, where it is right: `scripts/filter-pattern-localstack.py` says where that is.
#[test]
fn the_matcher_of_localstack_gives_the_same_answers() {
    let cases: Vec<(String, String, bool)> =
        serde_json::from_str(include_str!("localstack.json")).unwrap();
    assert!(cases.len() >= 400 && cases.iter().filter(|(_, _, answer)| *answer).count() > 100);
    for (pattern, message, answer) in cases {
        let parsed: FilterPattern =
            pattern.parse().unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert_eq!(parsed.matches(&EventText::new(&message)), answer, "{pattern} on {message}");
    }
}

/// The choices of `scripts/filter-pattern-oracle.py`, which asks AWS; `null` is a rejected pattern.
#[test]
fn undecided_cases_are_answered_as_the_oracle_states() {
    let cases = include_str!("../../../scripts/filter-pattern-undecided.json");
    let cases: Vec<(String, String, Option<bool>)> = serde_json::from_str(cases).unwrap();
    for (pattern, message, expected) in cases {
        let parsed = pattern.parse::<FilterPattern>().ok();
        let matches = parsed.map(|parsed| parsed.matches(&EventText::new(&message)));
        assert_eq!(matches, expected, "{pattern} on {message}");
    }
}

#[test]
fn a_pattern_has_a_limit() {
    let pattern = |chars: usize| "ä".repeat(chars).parse::<FilterPattern>();
    assert!(pattern(PATTERN_CHARS_MAX).is_ok());
    let error = pattern(PATTERN_CHARS_MAX + 1).unwrap_err();
    assert_eq!(error.to_string(), "at byte 0: has more than 1024 characters");
}

#[test]
fn likely_mistakes_are_found() {
    let count = |pattern: &str| pattern.parse::<FilterPattern>().unwrap().lints().len();
    let mistaken = ["[CRITICAL]", "?a ?b c", "?a -b"];
    assert_eq!(mistaken.map(count), [1; 3]);
    let fine = ["[]", "[a, b]", "[a=1]", "?a ?b", "a -b", "\"[CRITICAL]\"", "[..., x]"];
    assert_eq!(fine.map(count), [0; 7]);
}

#[test]
fn a_contradiction_is_found_and_nothing_else() {
    let check = |pattern: &str, never: bool| {
        let parsed = pattern.parse::<FilterPattern>().unwrap();
        assert_eq!(parsed.never_matches(), never, "{pattern}");
        assert_eq!(parsed.lints().len(), usize::from(never), "{pattern}");
    };
    check("{ $.a = 1 && $.a = 2 }", true);
    check("{ $.a = 1 && $.a = 1.0 }", false);
    check("{ $.a = 1 || $.a = 2 }", false);
    check("{ $.a = 1 && $.b = 2 }", false);
    check("{ $.a[*] = 1 && $.a[*] = 2 }", false);
    check("{ ($.a = 1 && $.a = 2) || ($.b = x && $.b = y) }", true);
    check("{ ($.a = 1 && $.a = 2) || $.b = x }", false);
    check("{ $.b = x && ($.a = 1 && $.a > 1) }", true);
    check("{ $.a > 5 && $.a < 5 }", true);
    check("{ $.a >= 5 && $.a <= 5 }", false);
    check("{ $.a > 5 && $.a <= 5 }", true);
    check("{ $.a >= 6 && $.a <= 5 }", true);
    check("{ $.a > 4 && $.a < 5 }", false);
    check("{ $.a = 5 && $.a != 5 }", true);
    check("{ $.a != 5 && $.a != 6 }", false);
    check("{ $.a = x && $.a = \"x*\" }", false);
    check("{ $.a = x && $.a = \"y*\" }", true);
    check("{ $.a = x && $.a = %y% }", true);
    check("{ $.a = \"5\" && $.a > 6 }", true);
    check("{ $.a = \"5\" && $.a > 4 }", false);
    check("{ $.a = \"x*\" && $.a = \"y*\" }", false);
    check("{ $.a IS TRUE && $.a IS FALSE }", true);
    check("{ $.a NOT EXISTS && $.a = 1 }", true);
    check("{ $.a IS NULL && $.a IS NULL }", false);
    check("[a, s = 4* && s = 404]", false);
    check("[a, s > 500 && s < 400]", true);
    check("ERROR -debug", false);
    check("ERROR -ERR", true);
    check("ERR -ERROR", false);
}

/// The texts that a prefilter may search for.
#[test]
fn a_match_requires_texts() {
    let check = |pattern: &str, expected: &str| {
        let required = pattern.parse::<FilterPattern>().unwrap().required();
        let texts = required.map(|texts| texts.with_escapes().collect::<Vec<_>>().join(" | "));
        assert_eq!(texts.as_deref().unwrap_or("none"), expected, "{pattern}");
    };
    check("", "none");
    check("a", "none");
    check("ERROR Exception -debug", "Exception");
    check("-debug", "none");
    check("?ERROR ?\"timed out\"", "ERROR | timed out");
    check("?ERROR ?a", "none");
    check("?ERROR x_1", "x_1");
    check("%disks?%", "disk | disks");
    check("%[hc]at%", "cat | hat");
    check(r"%\d+ ms|time.?out%", " ms | time");
    check(r"%^\d+$%", "none");
    check("%ab{2,}c%", "none");
    check("%abb*cde%", "cde");
    check("{ $.level = fatal }", "fatal | \\u006 | \\u007");
    check(r#"{ $.level = "a/bcd" }"#, "bcd | \\u006");
    check("{ $.level = %FATAL|ERROR% }", "ERROR | FATAL | \\u004 | \\u005");
    check("{ $.latency_ms > 500 }", "latency_ms | \\u005 | \\u006 | \\u007");
    check("{ $.a.['é-code'][0] IS NULL }", "-code | \\u002 | \\u006");
    check("{ $.latency > 500 && $.level = \"E*\" }", "level | \\u006 | \\u007");
    check("{ $.latency > 500 && $.level = \"ER*\" }", "ER | \\u004 | \\u005");
    check("{ $.a1 = xx || $.b1 = yy }", "xx | yy | \\u007");
    check("{ $.a1 = xx || $.b1 NOT EXISTS }", "none");
    check("[..., request = *.html*, status = 4*, bytes > 7]", ".html");
    check("[a = x1 || a = y1, b]", "x1 | y1");
    check("[a, status = 404]", "none");
}
