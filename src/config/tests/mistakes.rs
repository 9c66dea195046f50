//! Each mistake alone: a row has the text and the diagnostic.

use super::{Config, ROUTE, RULE, diagnostics, parse};

/// Each row has lines of TOML, an arrow, and the diagnostic. `⏎` stands for a line break.
fn check_rows(rows: &str, file: impl Fn(&str) -> String) {
    for row in rows.trim().lines() {
        let (lines, expected) = row.split_once("->").expect("a row has an arrow");
        let text = file(lines.trim().replace('⏎', "\n").as_str());
        assert_eq!(diagnostics(&text), expected.trim(), "{row}\n{text}");
    }
}

#[test]
fn mistakes_above_the_routes() {
    let rows = r#"
window = 30                     -> 1:10: window: expected a string, found an integer
window = ["30s"]                -> 1:10: window: expected a string, found an array
window = "30"                   -> 1:10: window: expected a duration, such as "30s", "5m" or "1h30m"
window = "999ms"                -> 1:10: window: expected a duration between 1s and 12h
window = "12h1ms"               -> 1:10: window: expected a duration between 1s and 12h
window_max = "13h"              -> 1:14: window_max: expected a duration between 1s and 12h
window_max = "10s"              -> 1:14: window_max: 10s is shorter than `window`, which is 30s
window_max = "1m"⏎window = "5m" -> 1:14: window_max: 1m is shorter than `window`, which is 5m
first = "now"                   -> 1:9: first: expected "immediately" or "after-window"
first = true                    -> 1:9: first: expected a string, found a boolean
decoded_bytes_max = 1.5         -> 1:21: decoded_bytes_max: expected an integer or a string, found a float
decoded_bytes_max = -1          -> 1:21: decoded_bytes_max: expected a size between 1KiB and 10GiB
decoded_bytes_max = "11GiB"     -> 1:21: decoded_bytes_max: expected a size between 1KiB and 10GiB
decoded_bytes_max = "64MB"      -> 1:21: decoded_bytes_max: expected a size in bytes, such as 67108864 or "64MiB"
redact = 'a'                    -> 1:10: redact: expected a table, found a string; write [[redact.rule]] for each rule
redact = ['a']                  -> 1:10: redact: expected a table, found an array; write [[redact.rule]] for each rule
windw = "30s"                   -> 1:1: unknown key `windw`, did you mean `window`?
  window-max = "1h"             -> 1:1: unknown key `window-max`, did you mean `window_max`?
color = 1                      -> 1:1: unknown key `color`
windows_x = "30s"               -> 1:1: unknown key `windows_x`
xoxb-1234567890-1234567890-abcdefg = 1 -> 1:1: unknown key
markers = []                    -> 1:1: unknown key `markers`; it belongs in a [[route]]
[slack]⏎url = 1                 -> 1:2: unknown key `slack`
"#;
    check_rows(rows, |lines| format!("{lines}\n{ROUTE}"));
}

#[test]
fn mistakes_in_a_target() {
    let rows = r#"
project = "PAY"               -> 5:1: this target has no `name`, such as "jira:PAY"
name = "x:a"                  -> 6:8: name: unknown kind of target, expected slack, pagerduty, jira, jsm, teams, webhook, sns, discord, googlechat or mattermost before the colon
name = "https://x/topsecret"  -> 6:8: name: a URL is a credential and belongs in the secret; expected "kind:name", such as "slack:app-alerts"
name = "jira:a"               -> 5:1: jira:a has no `project`
name = "jira:a"⏎project = "pay" -> 7:11: project: expected the key of a project, such as "PAY"
name = "jira:a"⏎project = "PAY"⏎reopen_within = "91d" -> 8:17: reopen_within: expected a duration of at most 90d, such as "12h"
name = "jira:a"⏎project = "PAY"⏎priority = { fatal = "x" } -> 8:14: unknown key `fatal`
name = "jira:a"⏎project = "PAY"⏎labels = ["a b"] -> 8:11: labels: a label has no blanks
name = "jira:a"⏎project = "PAY"⏎fields = { labels = ["a"] } -> 8:10: fields: Stentor sets the field `labels` itself
name = "jira:a"⏎project = "PAY"⏎issue_per = "app" -> 8:13: issue_per: expected "burst" or "pattern"
name = "jira:a"⏎project = "PAY"⏎token = "topsecret" -> 8:1: unknown key `token`; it belongs to the credential, in the secret
name = "slack:a"⏎mention = ["ops"] -> 7:12: mention: expected "@here", "@channel", "@everyone", or the id of a user group or user, such as "S012AB3CD" or "U012AB3CD"
name = "slack:a"⏎mention_from = "bad" -> 7:16: mention_from: expected "info", "warning", "error" or "critical"
name = "slack:a"⏎shape = "card" -> 7:1: unknown key `shape`
name = "jsm:a"⏎responders = ["Platform"] -> 7:15: responders: expected "team:NAME", "user:MAIL", "schedule:NAME" or "escalation:NAME"
name = "teams:a"⏎shape = "x"   -> 7:9: shape: expected "message" or "card"
name = "sns:a"⏎format = "json" -> 7:10: format: expected "text" or "amazon-q"
name = "webhook:a"⏎allow_private = "yes" -> 7:17: allow_private: expected true or false, found a string
name = "slack:a"⏎[[target]]⏎name = "slack:a" -> 8:8: name: the target at line 5 already has the name `slack:a`
"#;
    check_rows(rows, |lines| format!("{ROUTE}[[target]]\n{lines}\n"));
    let jira = ROUTE.replace("slack:a", "jira:PAY");
    assert_eq!(
        diagnostics(&jira),
        "4:11: this route uses jira:PAY, which needs a [[target]] with its `project`"
    );
    let fallback = format!("{ROUTE}fallback = 'jira:PAY'\n");
    assert_eq!(
        diagnostics(&fallback),
        "5:12: this route uses jira:PAY, which needs a [[target]] with its `project`"
    );
    let warnings = |text: &str| {
        let warnings = parse(text).warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        warnings(&format!("{ROUTE}[[target]]\nname = 'teams:a'\n")),
        ["5:1: no route uses teams:a"]
    );
    let teams = warnings(&ROUTE.replace("slack:a", "teams:a"));
    assert!(
        teams[0].starts_with("4:11: this route notifies only teams:a. Teams accepts"),
        "{teams:?}"
    );
    assert!(warnings(&ROUTE.replace("\"slack:a\"", "'teams:a', 'slack:a'")).is_empty());
}

#[test]
fn mistakes_in_a_route() {
    let rows = r#"
#name                     -> 1:1: this route has no `name`
name = ""                 -> 2:8: name: a name starts with a letter or digit
name = "a#b"              -> 2:8: name: a name has only letters, digits, `.`, `_` and `-`
#markers                  -> 1:1: this route has no `markers`, `pattern`, `fields` or `regex`
marker = ["[A]"]          -> 3:1: unknown key `marker`, did you mean `markers`?
markers = []              -> 3:11: markers: must not be empty
markers = "[A]"           -> 3:11: markers: expected an array, found a string
markers = [""]            -> 3:12: markers: a marker has 1 to 256 bytes, this one has 0
markers = [" "]           -> 3:12: markers: a marker needs a visible character
markers = ["[B]", "\t \u200b"] -> 3:19: markers: a marker needs a visible character
markers = ["é", "b", 'é'] -> 3:22: markers: listed twice
#notify                   -> 1:1: this route has no `notify`
notify = []               -> 4:10: notify: must not be empty
notify = ["sns:a",'sns:a']-> 4:19: notify: listed twice
notify = ["slack"]        -> 4:11: notify: expected "kind:name", such as "slack:app-alerts"
notify = ["x:a"]          -> 4:11: notify: unknown kind of target, expected slack, pagerduty, jira, jsm, teams, webhook, sns, discord, googlechat or mattermost before the colon
notify = ["https://h/x"]  -> 4:11: notify: a URL is a credential and belongs in the secret; expected "kind:name", such as "slack:app-alerts"
window = "15m"⏎window_max = "10m" -> 6:14: window_max: 10m is shorter than `window`, which is 15m
window = "15s             -> 5:14: invalid basic string, expected `"`
window_max = "20s"        -> 5:14: window_max: 20s is shorter than `window`, which is 30s
continue = "true"         -> 5:12: continue: expected true or false, found a string
continue_ = true          -> 5:1: unknown key `continue_`, did you mean `continue`?
fallback = "slack:a"      -> 5:12: fallback: slack:a is in `notify`; a fallback is for when that fails
fallback_after = "5m"     -> 5:18: fallback_after: this route has no `fallback`
at_least = 5              -> 5:12: at_least: expected a string, found an integer
at_least = "5"            -> 5:12: at_least: expected a number and a duration, such as "5 in 10m"
at_least = "5 in 10"      -> 5:12: at_least: expected a number and a duration, such as "5 in 10m"
at_least = "-5 in 10m"    -> 5:12: at_least: expected a number and a duration, such as "5 in 10m"
at_least = "1 in 10m"     -> 5:12: at_least: expected 2 to 1000000 alerts
at_least = "1000001 in 10m" -> 5:12: at_least: expected 2 to 1000000 alerts
at_least = "5 in 25h"     -> 5:12: at_least: expected 24h at most
at_least = "5 in 10s"     -> 5:12: at_least: 10s is shorter than `window`, which is 30s
at_least = "5 in 10m"⏎speak_on = ["new"] -> 6:12: speak_on: a route has `at_least` or `speak_on`, not both
speak_on = "new"          -> 5:12: speak_on: expected an array, found a string
speak_on = []             -> 5:12: speak_on: must not be empty
speak_on = ["new", "old"] -> 5:20: speak_on: expected "new", "back" or "spike"
per = "app"               -> 5:7: per: this route has no `at_least`
at_least = "5 in 10m"⏎per = "account" -> 6:7: per: expected "route", "pattern" or "app"
stage = "yes"             -> 5:9: stage: expected true or false, found a string
atleast = "5 in 10m"      -> 5:1: unknown key `atleast`, did you mean `at_least`?
context = 3               -> 5:11: context: expected a table, found an integer
context = { before = 21 } -> 5:22: before: expected a number from 0 to 20
context = { after = "x" } -> 5:21: after: expected a number from 0 to 20
context = { since = 1 }   -> 5:13: unknown key `since`
runbook = 7               -> 5:11: runbook: expected a string, found an integer
runbook = "http://w/x"    -> 5:12: runbook: a link begins with https://
runbook = "https://u:topsecret@w/" -> 5:20: runbook: expected the name of a host, without a user and without a placeholder
runbook = "https://w/{ap}" -> 5:22: runbook: unknown placeholder `{ap}`, did you mean `{app}`?
runbook = "https://w/{pod}" -> 5:22: runbook: unknown placeholder, expected one of {app}, {account}, {region}, {log_group}, {log_stream}, {pattern_id}, {marker}, {route}
runbook = "https://w/{app" -> 5:22: runbook: a placeholder is written {name}; write %7B and %7D for the characters themselves
runbook = "https://w/a b" -> 5:23: runbook: this character has to be percent-encoded, such as %20 for a blank
links = "https://w"       -> 5:9: links: expected a table, found a string
links = { x = "w" }       -> 5:16: links: a link begins with https://
links = { "" = "https://w" } -> 5:16: links: the name of a link has 1 to 40 visible bytes
run_book = "https://w"    -> 5:1: unknown key `run_book`, did you mean `runbook`?
severity = "fatal"        -> 5:12: severity: expected "info", "warning", "error" or "critical"
accounts = [123456789012] -> 5:13: accounts: expected a string, found an integer
accounts = []             -> 5:12: accounts: must not be empty; leave the key out to admit everything
regions = []              -> 5:11: regions: must not be empty; leave the key out to admit everything
log_groups = []           -> 5:14: log_groups: must not be empty; leave the key out to admit everything
accounts = ["12345678901"]-> 5:13: accounts: an account id has 12 digits
accounts = ["123456789012", "1234567890123"] -> 5:29: accounts: an account id has 12 digits
accounts = ["12345678901x"]-> 5:13: accounts: an account id has 12 digits
accounts = ["1234567890[12]"] -> 5:13: accounts: an account id has 12 digits, and this pattern only matches another length
regions = ["europe"]      -> 5:12: regions: expected a Region, such as "eu-west-1"
regions = ["EU-WEST-1"]   -> 5:12: regions: expected a Region, such as "eu-west-1"
regions = ["eu-west-1 "]  -> 5:12: regions: expected a Region, such as "eu-west-1"
regions = [⏎"eu-*",⏎""]   -> 7:1: regions: a pattern must not be empty; leave the key out to admit everything
log_groups = ['[b-a]']    -> 5:15: log_groups: a range in a class runs backwards
log_groups = ['/a', '[b'] -> 5:21: log_groups: `[` opens a class that is never closed; write `[[]` for the character itself
log_group = []            -> 5:1: unknown key `log_group`, did you mean `log_groups`?
[route.slack]             -> 5:8: unknown key `slack`
redact = []               -> 5:1: unknown key `redact`; it is a table of its own, [redact]
app = []                  -> 5:1: unknown key `app`; it is a table of its own, [[app]]; the condition is `apps`
"#;
    check_rows(rows, route_with);
    let long = |bytes| format!("markers = ['{}']", "x".repeat(bytes));
    assert_eq!(parse(&route_with(&long(256))).routes.len(), 1);
    let expected = "3:12: markers: a marker has 1 to 256 bytes, this one has 257";
    assert_eq!(diagnostics(&route_with(&long(257))), expected);
}

#[test]
fn mistakes_in_conditions() {
    let rows = r#"
ignore_case = "yes"           -> 5:15: ignore_case: expected true or false, found a string
ignorecase = true             -> 5:1: unknown key `ignorecase`, did you mean `ignore_case`?
pattern = 7                   -> 5:11: pattern: expected a string, found an integer
pattern = []                  -> 5:11: pattern: must not be empty
pattern = '{ $.a == 1 }'      -> 5:19: pattern: expected one `=`
pattern = "{ $.a = }"         -> 5:20: pattern: expected a number, a text or a %regular expression%
pattern = "\"a\" b-c"         -> 5:11: pattern: at its byte 5: a term with other than letters, digits and `_` needs double quotes
pattern = ["a", 'b', "a"]     -> 5:22: pattern: listed twice
pattern = ["a", '%(%']        -> 5:19: pattern: a regular expression has no parentheses; write \x28 for one
patterns = "a"                -> 5:1: unknown key `patterns`, did you mean `pattern`?
regex = '('                   -> 5:9: regex: not a regular expression: unclosed group
regex = ['a', 'a(?=b)']       -> 5:15: regex: not a regular expression: look-around, including look-ahead and look-behind, is not supported
regexes = ['a']               -> 5:1: unknown key `regexes`, did you mean `regex`?
fields = "level"              -> 5:10: fields: expected a table, found a string
fields = {}                   -> 5:10: fields: must not be empty
fields = { level = [] }       -> 5:20: fields: must not be empty
fields = { level = 1.5 }      -> 5:20: fields: expected a string, a whole number, true or false, found a float
fields = { level = ["a", ""] }-> 5:26: fields: a pattern must not be empty; leave the key out to admit everything
fields = { a = "x", b = "[" } -> 5:25: fields: `[` opens a class that is never closed; write `[[]` for the character itself
fields = { a = ["x", "x"] }   -> 5:22: fields: listed twice
fields = { a.b.c.d.e.f.g.h.i = 1 } -> 5:32: fields: a path has at most 8 names and 256 bytes
apps = []                     -> 5:8: apps: must not be empty; leave the key out to admit everything
log_streams = ["[a"]          -> 5:16: log_streams: `[` opens a class that is never closed; write `[[]` for the character itself
except = "a"                  -> 5:10: except: expected a table, found a string
except = []                   -> 5:10: except: must not be empty
except = {}                   -> 5:10: except: has no condition, so the route would accept nothing
except = { ignore_case = true } -> 5:10: except: has no condition, so the route would accept nothing
except = { marker = ["a"] }   -> 5:12: unknown key `marker`, did you mean `markers`?
except = { markers = [" "] }  -> 5:23: markers: a marker needs a visible character
except = [{ markers = ["a"] }, { notify = ["slack:a"] }] -> 5:34: unknown key `notify`
except = [{ pattern = 'a-' }] -> 5:25: pattern: a term with other than letters, digits and `_` needs double quotes
except = { except = {} }      -> 5:12: unknown key `except`
severity = "fatal"            -> 5:12: severity: expected "info", "warning", "error" or "critical"
severity_if = "critical"      -> 5:15: severity_if: expected a table, found a string
severity_if = { critical = "x" } -> 5:28: critical: expected a table, found a string
severity_if = { critical = {} } -> 5:28: critical: has no condition, so all alerts would have this severity
severity_if = { criticl = { regex = "x" } } -> 5:17: unknown key `criticl`, did you mean `critical`?
severity_if = { regex = { critical = "x" } } -> 5:17: unknown key `regex`
severity_if = { error = [{ regex = "(" }], info = { regex = "x" } } -> 5:36: regex: not a regular expression: unclosed group
severity_if = { info = [] }   -> 5:24: info: must not be empty
"#;
    check_rows(rows, route_with);
    let secret = "hunter2-(";
    for key in ["pattern", "regex", "fields", "except", "apps", "ignore_case"] {
        for value in ["'x'", "['x']", "{ 'x' = 'x' }", "{ pattern = 'x' }", "{ markers = 'x' }"] {
            let value = value.replace('x', secret);
            let Err(error) = Config::parse(&route_with(&format!("{key} = {value}")), "f") else {
                continue;
            };
            assert!(!error.to_string().contains("hunter2"), "{key} = {value}: {error}");
        }
    }
    let warnings = |line: &str| {
        let warnings = parse(&route_with(line)).warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let marker = "5:11: pattern: names a field and matches any line; to search for a text in brackets, \
                  put it in double quotes";
    assert_eq!(warnings("pattern = '[CRITICAL]'"), marker);
    let ignored = "5:11: pattern: CloudWatch Logs ignores `?` terms beside terms without `?`";
    assert_eq!(warnings("pattern = '?ERROR -health'"), ignored);
    for all in ["pattern = ''", "pattern = '\" \"'"] {
        assert_eq!(warnings(all), "5:11: pattern: matches every message");
    }
    assert_eq!(warnings("regex = 'x*'"), "5:9: regex: matches every message");
    assert_eq!(warnings(r"regex = 'a[b&&c]'"), "5:9: regex: matches nothing");
    let never = "5:11: pattern: matches nothing: its conditions contradict each other";
    assert_eq!(warnings("pattern = '{ $.a = 1 && $.a = 2 }'"), never);
}

#[test]
fn a_route_that_an_earlier_one_shadows_is_refused() {
    let check = |one: &str, two: &str, is_shadowed: bool| {
        let route = |name: &str, keys: &str| {
            format!(
                "[[route]]\nname = '{name}'\nnotify = ['slack:a']\n{}\n",
                keys.replace("; ", "\n")
            )
        };
        let found = Config::parse(&format!("{}{}", route("a", one), route("b", two)), "f");
        let is_found =
            found.is_err_and(|error| error.to_string().contains("no log event can reach"));
        assert_eq!(is_found, is_shadowed, "{one} | {two}");
    };
    check("markers = ['ERR']", "markers = ['ERROR']; pattern = 'x'", true);
    check("markers = ['ERR']; pattern = 'x'", "markers = ['ERROR']", false);
    check("markers = ['ERR']; pattern = 'x'", "markers = ['ERROR']; pattern = ' x '", true);
    check("markers = ['ERR']", "markers = ['ERROR']; except = { regex = 'x' }", true);
    check("markers = ['ERR']; except = { regex = 'x' }", "markers = ['ERROR']", false);
    check(
        "markers = ['ERR']; except = { regex = 'x' }",
        "markers = ['ERR']; except = { regex = 'x' }",
        true,
    );
    check("pattern = 'x'", "markers = ['ERROR']; pattern = 'x'", true);
    check("pattern = 'x'", "pattern = 'x'; fields = { a = 1 }", true);
    check("pattern = 'x'; fields = { a = 1 }", "pattern = 'x'", false);
    check("fields = { a = 'x' }", "fields = { a = 'x' }; ignore_case = true", false);
    check("markers = ['err']; ignore_case = true", "markers = ['ERROR']", true);
    check("markers = ['ERR']", "markers = ['ERROR']; ignore_case = true", false);
    check("markers = ['[7]']", "markers = ['[7]x']; ignore_case = true", true);
    check(
        "markers = ['a']; log_streams = ['web/*']",
        "markers = ['a']; log_streams = ['web/1']",
        true,
    );
    check("markers = ['a']; apps = ['shop']", "markers = ['a']", false);
    check("regex = 'a'; continue = true", "regex = 'a'", false);
    check("pattern = ['x', 'y']", "pattern = 'y'", true);
    check("pattern = 'x'", "pattern = ['y', 'x']", false);
    check("fields = { a = 'x*' }", "fields = { a = ['x1', 'xy*'], b = 1 }", true);
    check("fields = { a = 'x*', b = 1 }", "fields = { a = 'x1' }", false);
    check("fields = { a = 'x' }", "fields = { a = 'x*' }", false);
    let except = "markers = ['a']; except = [{ regex = 'x' }, { regex = 'y' }]";
    check("markers = ['a']; except = { regex = 'y' }", except, true);
    check(except, "markers = ['a']; except = { regex = 'y' }", false);
}

#[test]
fn an_exception_that_leaves_out_everything_is_refused() {
    let check = |keys: &str, is_empty: bool| {
        let text =
            format!("[[route]]\nname = 'a'\nnotify = ['slack:a']\n{}\n", keys.replace("; ", "\n"));
        let found = Config::parse(&text, "f").map_err(|error| error.to_string());
        let expected = "f:1:1: an `except` of this route leaves out all that the route accepts";
        assert_eq!(found.err().as_deref(), is_empty.then_some(expected), "{keys}");
    };
    check("markers = ['ERROR']; except = { markers = ['ERR'] }", true);
    check("markers = ['ERR']; except = { markers = ['ERROR'] }", false);
    check("markers = ['ERROR', 'x']; except = { markers = ['ERR'] }", false);
    check("markers = ['a']; except = { log_groups = ['*'] }", true);
    check("markers = ['a']; log_groups = ['/ecs/web']; except = { log_groups = ['/ecs/*'] }", true);
    check(
        "markers = ['a']; log_groups = ['/ecs/*']; except = { log_groups = ['/ecs/web'] }",
        false,
    );
    check("fields = { level = 'err' }; except = { fields = { level = 'e*' } }", true);
    check("fields = { level = 'e*' }; except = { fields = { level = 'err' } }", false);
    check("pattern = 'x'; except = { pattern = ['y', 'x'] }", true);
    check("pattern = ['y', 'x']; except = { pattern = 'x' }", false);
    check("pattern = 'x'; except = [{ apps = ['a'] }, { apps = ['b'] }]", false);
}

#[test]
fn mistakes_in_an_app() {
    let rows = r#"
#name                      -> 1:1: this app has no `name`
name = ""                  -> 2:8: name: the name of an app has 1 to 128 bytes, this one has 0
name = " a"                -> 2:8: name: the name of an app has no control or invisible characters, and no blanks around it
name = "a\u200bb"          -> 2:8: name: the name of an app has no control or invisible characters, and no blanks around it
name = 7                   -> 2:8: name: expected a string, found an integer
#log_groups                -> 1:1: this app has no `log_groups`, `log_streams`, `accounts` or `regions`, so all alerts would get its name
log_groups = []            -> 3:14: log_groups: must not be empty; leave the key out to admit everything
log_streams = ["[a"]       -> 4:16: log_streams: `[` opens a class that is never closed; write `[[]` for the character itself
log_stream = ["a"]         -> 4:1: unknown key `log_stream`, did you mean `log_streams`?
accounts = ["1"]           -> 4:13: accounts: an account id has 12 digits
regions = ["europe"]       -> 4:12: regions: expected a Region, such as "eu-west-1"
notify = ["slack:a"]       -> 4:1: unknown key `notify`; it belongs in a [[route]]
strict = true              -> 4:1: unknown key `strict`; it belongs above [[app]]
[[app]]⏎name = "b"⏎log_groups = ["/a"]                      -> 4:1: no log event can reach this app: the one at line 1 accepts all of them first; move it up
[[app]]⏎name = "b"⏎log_groups = ["/a"]⏎log_streams = ["x*"] -> 4:1: no log event can reach this app: the one at line 1 accepts all of them first; move it up
"#;
    check_rows(rows, |line| {
        let lines = ["[[app]]", "name = \"a\"", "log_groups = [\"/a\"]"];
        let key = line.split(['#', ' ']).find(|word| !word.is_empty()).unwrap();
        let is_replaced = |other: &&&str| other.split(' ').next() == Some(key);
        let kept: Vec<&str> = match lines.iter().find(is_replaced) {
            Some(replaced) => {
                let line = if line.starts_with('#') { "" } else { line };
                lines.iter().map(|other| if other == replaced { line } else { other }).collect()
            }
            None => lines.into_iter().chain([line]).collect(),
        };
        format!("{}\n{ROUTE}", kept.join("\n"))
    });
    let narrow_first = "[[app]]\nname = 'a'\nlog_streams = ['x*']\n\
                        [[app]]\nname = 'a'\nlog_groups = ['*']\n";
    let config = parse(&format!("{narrow_first}{ROUTE}"));
    let app_of = |stream| {
        config.apps.iter().position(|app| app.scope.admits("123456789012", None, "/g", stream))
    };
    assert_eq!((app_of("x1"), app_of("y")), (Some(0), Some(1)));
    let many = |count: usize| {
        let apps = (0..count).map(|n| format!("[[app]]\nname = 'a'\nlog_groups = ['/{n}']\n"));
        format!("{}{ROUTE}", apps.collect::<String>())
    };
    assert_eq!(parse(&many(1_000)).apps.len(), 1_000);
    assert_eq!(diagnostics(&many(1_001)), "1:1: app: a file has at most 1000 of them");
    let single = format!("[app]\nname = 'a'\n{ROUTE}");
    let expected = "1:1: app: an app is written [[app]], with two brackets on each side";
    assert_eq!(diagnostics(&single), expected);
}

#[test]
fn mistakes_in_redaction() {
    let rows = r#"
disable = "card"                -> 2:11: disable: expected an array, found a string
disable = ["card", "pin", "card"] -> 2:27: disable: listed twice
disable = ["jwt", 7]            -> 2:19: disable: expected a string, found an integer
disable = ["gihub-token"]       -> 2:12: disable: unknown rule, did you mean `github-token`?
disable = ["GitHub_token"]      -> 2:12: disable: unknown rule, did you mean `github-token`?
disable = ["github"]            -> 2:12: disable: unknown rule, did you mean `github-token`?
disable = ["hunter2"]           -> 2:12: disable: unknown rule; `stentor check --message LINE` names the rules that apply to a line
disabled = []                   -> 2:1: unknown key `disabled`, did you mean `disable`?
strict = true                   -> 2:1: unknown key `strict`; it belongs above [redact]
pattern = 'x'                   -> 2:1: unknown key `pattern`; it belongs in a [[redact.rule]]
rule = 'x'                      -> 2:8: rule: expected an array, found a string
rule = ['x']                    -> 2:9: rule: expected a table, found a string
[redact.rule]                   -> 2:1: rule: a rule is written [[redact.rule]], with two brackets on each side
"#;
    check_rows(rows, |lines| format!("[redact]\n{lines}\n{ROUTE}"));
    let rows = r#"
#name                           -> 1:1: this rule has no `name`
name = ""                       -> 2:8: name: the name of a rule has 1 to 40 lower-case letters and `-`
name = "Badge"                  -> 2:8: name: the name of a rule has 1 to 40 lower-case letters and `-`
name = "badge-2"                -> 2:8: name: the name of a rule has 1 to 40 lower-case letters and `-`
name = "github-token"           -> 2:8: name: `github-token` is the name of a built-in rule
#pattern                        -> 1:1: this rule has no `pattern`
pattern = 7                     -> 3:11: pattern: expected a string, found an integer
pattern = '('                   -> 3:11: pattern: not a regular expression: unclosed group
pattern = 'a(?=b)'              -> 3:11: pattern: not a regular expression: look-around, including look-ahead and look-behind, is not supported
pattern = 'x*'                  -> 3:11: pattern: matches the empty text, so it would redact between all characters
pattern = '.'                   -> 3:11: pattern: matches nearly any text, so it would redact whole messages
pattern = '\S+'                 -> 3:11: pattern: matches nearly any text, so it would redact whole messages
pattern = '(?i)[a-z]'           -> 3:11: pattern: matches nearly any text, so it would redact whole messages
pattern = 'a{999}{999}{999}'    -> 3:11: pattern: not a regular expression: it is too big when compiled
#redacts                        -> 1:1: this rule has no `redacts`; list a line that the rule redacts
redacts = []                    -> 4:11: redacts: must not be empty; list a line that the rule redacts
redacts = "badge 123456"        -> 4:11: redacts: expected an array, found a string
redacts = ["badge 123456", "a"] -> 4:28: redacts: example 2: the pattern does not match it
redacts = [1, "badge 123456"]   -> 4:12: redacts: expected a string, found an integer
pattern = 'badge ?(?<secret>[0-9]*)'⏎keeps = ["badge 7"] -> 4:10: keeps: example 1: the pattern redacts its characters 7 to 7
keeps = ["x", "my badge 123456"] -> 5:15: keeps: example 2: the pattern redacts its characters 10 to 15
keeps = "x"                     -> 5:9: keeps: expected an array, found a string
keep = ["x"]                    -> 5:1: unknown key `keep`, did you mean `keeps`?
markers = ["x"]                 -> 5:1: unknown key `markers`
"#;
    check_rows(rows, |lines| format!("{}\n{ROUTE}", with_line(BADGE, lines)));
    let twice = format!("{BADGE}{BADGE}{ROUTE}");
    assert_eq!(diagnostics(&twice), "6:8: name: the rule at line 1 already has the name `badge`");
    let two = format!(
        "{BADGE}{}{ROUTE}",
        BADGE.replace("\"badge\"", "\"x\"").replace("= 'badge", "= '(")
    );
    assert_eq!(diagnostics(&two), "7:11: pattern: not a regular expression: unclosed group");
}

/// A valid rule, on lines 1 to 4.
const BADGE: &str = "[[redact.rule]]\nname = \"badge\"\npattern = 'badge (?<secret>[0-9]{6})'\n\
    redacts = [\"badge 123456\"]\n";

/// The valid route with `lines` instead of its line with the same key, or appended.
fn route_with(lines: &str) -> String {
    with_line(ROUTE, lines)
}

/// `text` with `lines` instead of its line with the same key, or appended.
fn with_line(text: &str, lines: &str) -> String {
    let key = lines.trim_start_matches('#').split(' ').next().unwrap_or_default();
    let has_key = |line: &str| line.starts_with(key);
    if text.lines().any(has_key) {
        text.lines()
            .map(|line| if has_key(line) { lines } else { line }.to_owned() + "\n")
            .collect()
    } else {
        format!("{text}{lines}\n")
    }
}

#[test]
fn likely_mistakes_are_warnings() {
    let rows = r#"
markers = ["!"]           -> 3:12: markers: a marker of one character matches many lines that are not alerts
markers = ["[A]", " x "]  -> 3:19: markers: a marker of one character matches many lines that are not alerts
regions = ["eu-wset-1"]   -> 5:12: regions: unknown Region, did you mean `eu-west-1`?
regions = ["eu-*", "us-est-1"] -> 5:20: regions: unknown Region, did you mean `us-east-1`?
regions = ["xy-north-9"]  -> 5:12: regions: unknown Region
regions = ["eu_*"]        -> 5:12: regions: matches no known Region
regions = ["us-gov-*", "cn-north-1", "ap-southeast-[1-9]", "*"] ->
accounts = ["4444*", "*", "????????????", "111122223333", "11112222333[0-9]"] ->
log_groups = ["/aws/*"]   ->
"#;
    for row in rows.trim().lines() {
        let (lines, expected) = row.split_once("->").expect("a row has an arrow");
        assert_eq!(warnings(&route_with(lines.trim())), expected.trim(), "{row}");
    }
    let file = |pattern: &str, example: &str| {
        format!("{RULE}pattern = '{pattern}'\nredacts = ['{example}']\n{ROUTE}")
    };
    for (pattern, example, expected) in [
        ("e", "e", "3:11: pattern: matches most lines"),
        (" ", "a b", "3:11: pattern: matches most lines"),
        ("[0-9]+", "7", ""),
        ("(?i)password.*", "Password x", ""),
        ("^.*hunter2.*$", "my hunter2", ""),
        (r"\b[A-Z]{2}[0-9]{20}\b", "DE01234567890123456789", ""),
    ] {
        assert_eq!(warnings(&file(pattern, example)), expected, "{pattern}");
    }
    for (pattern, example, expected) in [
        (
            r"\[A\]",
            "[A]",
            "7:12: markers: the rule `badge` redacts this marker, so no alert shows it",
        ),
        (
            r"\[A\] order \d+",
            "[A] order 1",
            "7:12: markers: the rule `badge` redacts this marker, so no alert shows it",
        ),
        (r"\[A\] (?<secret>\w+)", "[A] x", ""),
        (r"\[B\]", "[B]", ""),
    ] {
        assert_eq!(warnings(&file(pattern, example)), expected, "{pattern}");
    }
    assert_eq!(warnings(super::EXAMPLE), "");
    assert_eq!(
        warnings(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/stentor.toml"))),
        ""
    );
}

/// The warnings of a valid file, one per line.
fn warnings(text: &str) -> String {
    parse(text).warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_file_in_another_encoding_is_refused() {
    let utf16 = |unit: fn(u16) -> [u8; 2], text: &str| {
        text.encode_utf16().flat_map(unit).collect::<Vec<u8>>()
    };
    let latin1 =
        |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<u8>>();
    let umlaut = ROUTE.replace("[A]", "[ä]");
    let with_bom = format!("\u{feff}{ROUTE}");
    let cases = [
        (utf16(u16::to_le_bytes, &with_bom), "1:1: this file is UTF-16; save it as UTF-8"),
        (utf16(u16::to_be_bytes, &with_bom), "1:1: this file is UTF-16; save it as UTF-8"),
        (utf16(u16::to_le_bytes, ROUTE), "1:1: this file is UTF-16; save it as UTF-8"),
        (utf16(u16::to_be_bytes, &umlaut), "1:1: this file is UTF-16; save it as UTF-8"),
        (
            latin1(&umlaut),
            "3:14: this is not UTF-8 but looks like Latin-1 or Windows-1252; save the file as UTF-8",
        ),
        (
            latin1("# é\n"),
            "1:3: this is not UTF-8 but looks like Latin-1 or Windows-1252; save the file as UTF-8",
        ),
        (b"# caf\xc3".to_vec(), "1:6: this is not UTF-8: the file ends within a character"),
    ];
    for (bytes, expected) in cases {
        let error = Config::parse_bytes(&bytes, "f").unwrap_err().to_string();
        assert_eq!(error, format!("f:{expected}"));
    }
    assert_eq!(Config::parse_bytes(with_bom.as_bytes(), "f").unwrap(), parse(ROUTE));
    assert_eq!(Config::parse_bytes(umlaut.as_bytes(), "f").unwrap(), parse(&umlaut));
}

#[test]
fn a_window_longer_than_the_inherited_window_max_is_refused() {
    let text = format!("window_max = \"10m\"\n{ROUTE}window = \"15m\"\n");
    assert_eq!(diagnostics(&text), "6:10: window: 15m is longer than `window_max`, which is 10m");
}

#[test]
fn a_file_needs_routes_with_unique_names() {
    let rows = r#"
                  -> 1:1: there is no [[route]], so no alert would be found
window = "1m"     -> 1:1: there is no [[route]], so no alert would be found
route = []        -> 1:9: route: must not be empty, or no alert would be found
route = 1         -> 1:9: route: expected an array, found an integer
window = "1m"⏎route = [1] -> 2:10: route: expected a table, found an integer
[route]           -> 1:1: route: a route is written [[route]], with two brackets on each side
[[routes]]        -> 1:3: unknown key `routes`, did you mean `route`?
"#;
    check_rows(rows, str::to_owned);
    let twice = format!("{ROUTE}{}", ROUTE.replace("[A]", "[B]"));
    assert_eq!(diagnostics(&twice), "6:8: name: the route at line 1 already has the name `a`");
}

#[test]
fn a_shadowed_route_is_refused() {
    let check = |a: &str, b: &str, shadowed: bool| {
        let text = route("a", a) + &route("b", b);
        assert_eq!(Config::parse(&text, "f").is_err(), shadowed, "{text}");
    };
    let x = "markers = ['X']";
    check(x, x, true);
    check("markers = ['X', 'Y']", x, true);
    check(x, "markers = ['X', 'Y']", false);
    check(x, "markers = ['[X]']", true);
    check("markers = ['[X]']", x, false);
    check(x, "markers = ['x']", false);
    check("markers = ['X']; continue = true", x, false);
    check(x, "markers = ['X']; continue = true", true);
    check(x, "markers = ['X']; log_groups = ['/a*']", true);

    let a = "markers = ['X']; log_groups = ['/a*']";
    check(a, x, false);
    check(a, "markers = ['X']; log_groups = ['/a/*', '/a']", true);
    check(a, "markers = ['X']; log_groups = ['/a', '/b']", false);
    check(a, "markers = ['X']; accounts = ['1*']", false);
}

#[test]
fn the_routes_that_shadow_another_are_named() {
    let x = route("x", "markers = ['X']");
    let three = x.clone() + &route("y", "markers = ['Y']") + &route("z", "markers = ['X', '[Y]']");
    insta::assert_snapshot!(diagnostics(&three), @"9:1: no log event can reach this route: `x` (line 1) and `y` (line 5) accept all of them first; move it up, or set `continue = true` there");
    let unnamed = route("-", "markers = ['X']") + &x;
    insta::assert_snapshot!(diagnostics(&unnamed), @r"
    2:8: name: a name starts with a letter or digit
    5:1: no log event can reach this route: the route at line 1 accepts all of them first; move it up, or set `continue = true` there
    ");
    // With a correct `continue`, the second route could be reached, so only the key is reported.
    let misspelled = route("a", "markers = ['X']; contiune = true") + &x;
    assert_eq!(diagnostics(&misspelled), "5:1: unknown key `contiune`, did you mean `continue`?");
}

/// The write that opens a window names all of them.
#[test]
fn a_route_has_a_limited_number_of_targets() {
    let notify = |count: usize| {
        let targets: Vec<String> = (0..count).map(|n| format!("'sns:t{n}'")).collect();
        format!("[[route]]\nname = 'a'\nmarkers = ['X']\nnotify = [{}]\n", targets.join(", "))
    };
    assert!(Config::parse(&notify(64), "f").is_ok());
    assert_eq!(diagnostics(&notify(65)), "4:10: notify: has 65, of at most 64");
}

/// A route of at least four lines; in `keys`, `; ` stands for a line break.
fn route(name: &str, keys: &str) -> String {
    let keys = keys.replace("; ", "\n");
    format!("[[route]]\nname = '{name}'\nnotify = ['sns:x']\n{keys}\n")
}

#[test]
fn mistakes_in_a_jsm_target() {
    let numbered = |n: usize, kind: &str| {
        (0..n).map(|n| format!("\"{kind}{n}\"")).collect::<Vec<_>>().join(", ")
    };
    let (tags, responders) = (numbered(21, "t"), numbered(51, "team:"));
    let rows = format!(
        r#"
tags = []                      -> 3:8: tags: must not be empty
tags = ["a b"]                 -> 3:9: tags: a label has no blanks
tags = ["{long}"]              -> 3:9: tags: a tag has at most 50 bytes
tags = [{tags}]                -> 3:8: tags: has 21, of at most 20
responders = ["ann"]           -> 3:15: responders: expected "team:NAME", "user:MAIL", "schedule:NAME" or "escalation:NAME"
responders = ["team: "]        -> 3:15: responders: expected "team:NAME", "user:MAIL", "schedule:NAME" or "escalation:NAME"
responders = [{responders}]    -> 3:14: responders: has 51, of at most 50
api_key = "x"                  -> 3:1: unknown key `api_key`; it belongs to the credential, in the secret
"#,
        long = "x".repeat(51)
    );
    let route = ROUTE.replace("slack:a", "jsm:ops");
    check_rows(&rows, |lines| format!("[[target]]\nname = \"jsm:ops\"\n{lines}\n{route}"));
}
