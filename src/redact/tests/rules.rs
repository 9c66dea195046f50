//! Tests that are made from the rules of `rules.toml`.

use super::super::format::Format;
use super::super::table::TABLE;
use super::super::word::is_key;
use super::*;

/// Each token, in many texts around it.
const AROUND_TOKENS: &[&str] = &[
    "x TOKEN y",
    "TOKEN",
    "call failed with id=TOKEN; retry",
    "\"TOKEN\"",
    "{\"m\":\"got TOKEN\\nfrom x\"}",
    r#"{\"m\":\"got TOKEN\\nfrom x\"}"#,
    "'TOKEN', ok",
    "[TOKEN]",
    "a\nTOKEN\nb",
    "\u{1b}[31mTOKEN\u{1b}[0m",
];

/// Names and separators before the key of a vendor.
const AROUND_KEYS: &[&str] = &[
    "VENDOR_api=KEY",
    "x VENDOR_key: KEY, y",
    "{\"VENDORKey\":\"KEY\",\"x\":1}",
    r#"{\"VENDOR_auth\": \"KEY\"}"#,
    "env VENDOR-API-KEY => 'KEY'",
    "my.VENDOR.key := \"KEY\"",
    "VENDOR key = `KEY`",
    "export VENDOR_KEY='KEY'",
    "%22VENDOR_key%22%3A%22KEY%22",
    "VENDOR_key%3DKEY%26x%3D1",
    "VENDOR_KEY ?= KEY",
    "wrong VENDOR key KEY",
    "VENDOR API key KEY was refused",
    "the VENDOR access token \"KEY\" expired",
    "VENDOR app key (KEY)",
    "VENDOR secret is KEY.",
    "Incorrect VENDOR api key provided: KEY, retry",
];

fn for_each_format(mut test: impl FnMut(&'static str, &'static str, &Format, &mut fastrand::Rng)) {
    let mut random = fastrand::Rng::with_seed(7);
    for token in &TABLE.tokens {
        for (format, pattern) in token.formats.iter().zip(&token.patterns) {
            (0..10).for_each(|_| test(token.name, pattern, format, &mut random));
        }
    }
}

#[test]
fn every_token_is_redacted_in_any_text_around_it() {
    let names: Vec<_> =
        TABLE.names.iter().flat_map(|(_, words)| words).map(|word| word.to_lowercase()).collect();
    for_each_format(|name, pattern, format, random| {
        // Random characters can have `pw8=` among them, which is the name of a secret.
        let named = |token: &str| {
            names.iter().any(|name| token.to_lowercase().contains(name)) && token.contains('=')
        };
        let (token, word) = std::iter::repeat_with(|| format.sample(random))
            .find(|(token, _)| !named(token))
            .unwrap();
        let kept = if TABLE.tokens.iter().any(|token| token.keep_word && token.name == name) {
            &*word
        } else {
            ""
        };
        for around in AROUND_TOKENS {
            let text = around.replace("TOKEN", &token);
            let redacted = redact(&text);
            let expected = around.replace("TOKEN", &format!("{kept}[redacted:{name}]"));
            assert!(
                !redacted.contains(&token[word.len().min(kept.len())..]),
                "{pattern}: {text} became {redacted}"
            );
            assert_eq!(redacted.replace("aws-secret", name), expected, "{pattern}: {text}");
            assert_eq!(redact(&redacted), redacted);
        }
    });
}

#[test]
fn a_color_in_a_token_hides_nothing() {
    for_each_format(|_, pattern, format, random| {
        let (token, _) = format.sample(random);
        let (start, end) = token.split_at(random.usize(1..token.len()));
        let text = format!("x {start}\u{1b}[1m{end} y");
        let redacted = redact(&text);
        let shows = |part: &str| part.len() >= 12 && redacted.contains(part);
        assert!(
            redacted.contains("[redacted:") && !shows(start) && !shows(end),
            "{pattern}: {text} became {redacted}"
        );
    });
}

#[test]
fn a_text_of_another_length_is_no_token() {
    for_each_format(|_, pattern, format, random| {
        for miss in format.near_misses(random) {
            let found =
                (0..miss.len()).flat_map(|start| (start..=miss.len()).map(move |end| start..end));
            let found = found.filter(|word| {
                miss.is_char_boundary(word.start) && miss.is_char_boundary(word.end)
            });
            let token = found
                .filter_map(|word| format.find(miss.as_bytes(), word))
                .find(|token| token.len() == miss.len());
            assert_eq!(token, None, "{pattern} is found in {miss}");
        }
    });
}

#[test]
fn a_repeated_character_is_no_token() {
    for word in ["ghp_", "sk-", "npm_", "xoxb-", "hf_", "dop_v1_", "AIza"] {
        let text = format!("use {word}{} here", "x".repeat(40));
        assert_eq!(redact(&text), text);
    }
}

/// The subset of regular expressions means the same as in the crate `regex`.
#[test]
fn a_format_is_a_regular_expression() {
    for_each_format(|_, pattern, format, random| {
        let (group, rest) = pattern.split_once(')').unwrap_or(("", pattern));
        let word = rest.find(['[', '{', '\\']).unwrap_or(rest.len());
        let (literal, pieces) = if group.is_empty() { rest.split_at(word) } else { ("", rest) };
        let group = group.split_once('(').map_or(String::new(), |(before, words)| {
            let words: Vec<_> = words.split('|').map(regex::escape).collect();
            format!("{before}(?:{})", words.join("|"))
        });
        let regex =
            regex::Regex::new(&format!("^(?-u:{group}{}{pieces})$", regex::escape(literal)))
                .unwrap();
        let (token, _) = format.sample(random);
        assert!(regex.is_match(&token), "{regex} does not match {token}");
        for miss in format.near_misses(random) {
            assert!(!regex.is_match(&miss), "{regex} matches {miss}");
        }
    });
}

#[test]
fn the_examples_of_tokens_are_kept() {
    for token in &TABLE.tokens {
        check_kept(&token.keeps);
    }
}

/// A random key of each vendor, one for each of its formats.
fn for_each_vendor(mut test: impl FnMut(&str, &str, &str, String)) {
    let mut random = fastrand::Rng::with_seed(7);
    for vendor in &TABLE.vendors {
        for (format, pattern) in vendor.values.iter().zip(&vendor.patterns) {
            for word in &vendor.words {
                // One in a few short keys looks like a word.
                // `nearly_every_random_key_is_recognized` counts them.
                let key = std::iter::repeat_with(|| format.sample(&mut random).0)
                    .find(|key| is_key(key.as_bytes()) && !key.starts_with('='));
                test(vendor.name, word, pattern, key.unwrap());
            }
        }
    }
}

#[test]
fn every_key_of_a_vendor_is_redacted_after_its_name() {
    for_each_vendor(|name, word, pattern, key| {
        let words = [
            word.to_owned(),
            word.to_ascii_uppercase(),
            format!("{}{}", word[..1].to_uppercase(), &word[1..]),
        ];
        for around in AROUND_KEYS {
            for word in &words {
                let around = around.replace("VENDOR", word);
                // In a quoted value of percent encoding, `=` and `/` are encoded, too.
                if around.contains('%') && key.contains(['%', '=', '/', '+', ':']) {
                    continue;
                }
                let text =
                    around.replace("KEY'", &format!("{key}'")).replace(" KEY", &format!(" {key}"));
                let text = place(&text, &key);
                let redacted = redact(&text);
                assert!(!redacted.contains(&key), "{name} {pattern}: {text} became {redacted}");
                assert_eq!(redact(&redacted), redacted);
            }
        }
    });
}

/// Puts the key where the last `KEY` of `text` is, if none is there yet.
fn place(text: &str, key: &str) -> String {
    match text.rsplit_once("KEY").filter(|_| !text.contains(key)) {
        Some((before, after)) => format!("{before}{key}{after}"),
        None => text.to_owned(),
    }
}

#[test]
fn a_value_of_another_length_is_no_key() {
    let mut random = fastrand::Rng::with_seed(7);
    for vendor in &TABLE.vendors {
        for (format, pattern) in vendor.values.iter().zip(&vendor.patterns) {
            for miss in format.near_misses(&mut random) {
                let key = format.value(miss.as_bytes(), 0);
                assert_eq!(key, None, "{} {pattern} is found in {miss}", vendor.name);
            }
        }
    }
}

#[test]
fn nearly_every_random_key_is_recognized() {
    let mut random = fastrand::Rng::with_seed(7);
    for vendor in &TABLE.vendors {
        for (format, pattern) in vendor.values.iter().zip(&vendor.patterns) {
            let recognized =
                (0..200).filter(|_| is_key(format.sample(&mut random).0.as_bytes())).count();
            assert!(recognized >= 180, "{} {pattern}: {recognized} of 200", vendor.name);
        }
    }
}

#[test]
fn ids_and_words_after_the_name_of_a_vendor_are_kept() {
    check_kept(&[
        "datadog.trace_id=0123456789abcdef0123456789abcdef",
        "datadog trace 0123456789abcdef0123456789abcdef",
        "datadog key of host 0123456789abcdef0123456789abcdef",
        "datadog key id 0123456789abcdef0123456789abcdef",
        "bitbucket commit 0123456789abcdef0123456789abcdef",
        "heroku dyno=8f14e45f-ceea-467a-9a36-dedd4bea2543 restarted",
        "heroku request_id: 8f14e45f-ceea-467a-9a36-dedd4bea2543",
        "squarespace site 8f14e45f-ceea-467a-9a36-dedd4bea2543",
        "bitbucket commit: 0123456789abcdef0123456789abcdef",
        "bitbucket: da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "jira ticket=OPS-12345 confluence: page 123456789012345678901234",
        "asana task: 1204567890123456 discord channel=123456789012345678",
        "confluent: kafka.cluster.01 dropbox: reports2024",
        "linear: regression_of_latency_over_the_last_day",
        "sentry event_id=0123456789abcdef0123456789abcdef release=1.2.3",
        "xray segment=1-5759e988-bd862e3fe1be46a994272793",
        "twitter user_id: 1234567890123456789012345",
        "fastly: cache-fra-eddf8230042-FRA, cache hit",
        "newrelic: agent connected to collector.newrelic.com:443",
        "netlify: build 0123456789abcdef finished in 12345 ms",
    ]);
}

#[test]
fn a_word_that_does_not_apply_hides_no_other() {
    check(&[
        ("kucoin_secret=abc sonar_token: abc1", "kucoin_secret=⟦secret⟧ sonar_token: ⟦token⟧"),
        ("x 0fbefb7b1da5eb0b4e02ca1f0da539A3-us3 y", "x ⟦mailchimp-key⟧ y"),
        (
            "heroku_api_key=hunter2 datadog_password=x",
            "heroku_api_key=⟦api-key⟧ datadog_password=⟦password⟧",
        ),
    ]);
}

#[test]
fn the_examples_of_patterns_hold() {
    for pattern in &TABLE.patterns {
        check_examples(pattern.name, &pattern.redacts, &pattern.keeps);
    }
}

#[test]
fn the_examples_of_sentences_hold() {
    for ((name, _), (kind, redacts, keeps)) in TABLE.names.iter().zip(&TABLE.sentences) {
        if name.sentence.is_some() {
            check_examples(kind, redacts, keeps);
        }
    }
}

/// The name of each rule, in sentences of all kinds.
#[test]
fn a_random_value_is_redacted_in_any_sentence_after_a_name() {
    const SENTENCES: [&str; 12] = [
        "the NAME VALUE is wrong",
        "wrong NAME: VALUE.",
        "NAME is VALUE, retry",
        "NAME was 'VALUE'",
        "Incorrect NAME provided: VALUE. See https://h/x",
        "Incorrect NAME supplied VALUE!",
        "got NAME \"VALUE\" from bob",
        "unknown NAME (VALUE)",
        "unknown NAME [VALUE], retry",
        "{\"msg\":\"unknown NAME VALUE\"}",
        r#"{"msg":"unknown NAME \"VALUE\" of bob"}"#,
        "1 error: NAME VALUE\nat x",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for (name, words) in &TABLE.names {
        let Some(value) = name.sentence else { continue };
        for word in words.iter().filter(|word| word.is_ascii() && !word.ends_with('_')) {
            for sentence in SENTENCES {
                let value = value.sample(&mut random);
                let text = sentence.replace("NAME", word).replace("VALUE", &value);
                let redacted = redact(&text);
                assert!(!redacted.contains(&value), "{text} became {redacted}");
                assert_eq!(redact(&redacted), redacted);
            }
        }
    }
}

#[test]
fn nearly_every_random_value_is_redacted_after_a_name() {
    let digit = |base| move |random: &mut fastrand::Rng| random.digit(base);
    let (hex, base36) = (digit(16), digit(36));
    let base64 = |random: &mut fastrand::Rng| match random.u32(0..64) {
        0 => '-',
        1 => '_',
        _ => random.alphanumeric(),
    };
    check_random("token", hex, 20);
    check_random("token", hex, 64);
    check_random("token", base64, 43);
    check_random("token", base36, 32);
    check_random("password", base36, 10);
}

/// Whether nine of ten values of random characters are redacted after a name.
#[track_caller]
fn check_random(name: &str, character: impl Fn(&mut fastrand::Rng) -> char, len: usize) {
    let mut random = fastrand::Rng::with_seed(7);
    let redacted = (0..200).filter(|_| {
        let value: String = std::iter::repeat_with(|| character(&mut random)).take(len).collect();
        !redact(&format!("wrong {name} {value}")).contains(&value)
    });
    let redacted = redacted.count();
    assert!(redacted >= 180, "{name} of {len}: {redacted} of 200");
}

/// Texts with letters and digits that are no secrets, after each name.
#[test]
fn a_word_or_an_id_is_kept_in_any_sentence_after_a_name() {
    const KEPT: [&str; 14] = [
        "for bob1234567 expired",
        "base64 encoded",
        "(oauth2)",
        "v2.1.0",
        "2026-11-26T10:00:00Z",
        "user=bob1234567",
        "bob1234567@example.com",
        "/srv/app2/current1",
        "https://h/reset1234567",
        "in line 12",
        "15min ago",
        "10.0.0.1:8080",
        "OAuth2AccessTokenConverter",
        "0x14ede63a5a70001",
    ];
    for (name, words) in &TABLE.names {
        for word in words.iter().filter(|word| name.sentence.is_some() && word.is_ascii()) {
            let texts: Vec<String> =
                KEPT.iter().map(|kept| format!("wrong {word} {kept}, retry")).collect();
            check_kept(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}

#[track_caller]
fn check_examples(name: &str, redacts: &[&str], keeps: &[&str]) {
    assert!(!redacts.is_empty() && !keeps.is_empty(), "{name} has no examples");
    check_kept(keeps);
    for example in redacts {
        let (before, rest) = example.split_once('⟦').unwrap();
        let (secret, after) = rest.split_once('⟧').unwrap();
        assert_eq!(
            redact(&format!("{before}{secret}{after}")),
            format!("{before}[redacted:{name}]{after}")
        );
    }
}

#[test]
fn a_token_is_a_long_run() {
    for_each_format(|_, pattern, format, random| {
        let (token, _) = format.sample(random);
        assert!(format.len_min() >= super::super::run::RUN_LEN_MIN, "{pattern}");
        let run = token.bytes().take(super::super::run::RUN_LEN_MIN).all(super::super::run::in_run);
        assert!(run || !format.starts_with_word(), "{token}");
    });
}

#[test]
fn rules_have_names_for_placeholders() {
    let names = rule_names();
    assert!(names.len() > 100 && names.contains("github-token") && names.contains("card"));
    for name in names {
        let placeholder = format!("[redacted:{name}]");
        assert_eq!(placeholder_end(&placeholder, 0), Some(placeholder.len()), "{name}");
    }
}

#[test]
fn a_disabled_rule_does_not_apply_and_hides_no_other() {
    let token = format!("{}{}", "ghp_", "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5");
    let text = format!("password={token} pin=1234 card 4111111111111111");
    let all = Redactor::default();
    assert_eq!(
        all.redact(&text),
        "password=[redacted:password] pin=[redacted:pin] card [redacted:card]"
    );
    assert_eq!(all.rules_applied(&text), ["password", "pin", "card"]);
    let some = Redactor::new(vec![], vec!["password", "card"]).unwrap();
    assert_eq!(
        some.redact(&text),
        "password=[redacted:github-token] pin=[redacted:pin] card 4111111111111111"
    );
    assert_eq!(some.rules_applied(&text), ["github-token", "pin"]);
    let none = Redactor::new(vec![], rule_names().into_iter().collect()).unwrap();
    assert_eq!(none.redact(&text), text.as_str());
}

#[test]
fn custom_rules_are_named_and_their_examples_are_tested() {
    let pattern = RulePattern::new(r"badge (?<secret>\d*)").unwrap();
    assert_eq!(pattern.check_redacted("a badge 123456"), Ok(()));
    assert_eq!(
        pattern.check_redacted("badge of honor").unwrap_err(),
        "the pattern matches it, but its group `secret` is empty"
    );
    assert_eq!(pattern.check_redacted("Badge 1").unwrap_err(), "the pattern does not match it");
    assert_eq!(
        pattern.check_kept("a badge 12 x").unwrap_err(),
        "the pattern redacts its characters 9 to 10"
    );
    assert_eq!(
        pattern.check_kept("é badge 1").unwrap_err(),
        "the pattern redacts its characters 9 to 9"
    );
    let badge = CustomRule { name: RuleName::new("badge").unwrap(), pattern };
    let ours = Redactor::new(vec![badge], vec!["pin"]).unwrap();
    assert_eq!(
        ours.redact("badge 654321 password=x pin=1234"),
        "badge [redacted:badge] password=[redacted:password] pin=1234"
    );
    assert_eq!(ours.rules_applied("badge 654321"), ["badge"]);
    assert_eq!((ours.custom().collect::<Vec<_>>(), ours.disabled()), (vec!["badge"], &["pin"][..]));
}

proptest! {
    #![proptest_config(texts())]

    #[test]
    fn no_token_and_no_key_survives_among_other_text(
        before in noise(),
        after in noise(),
        at in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let formats: Vec<_> = TABLE.tokens.iter().flat_map(|token| &token.formats).collect();
        let (token, _) = at.get(&formats).sample(&mut random);
        let text = format!("{before}, {token} {after}");
        let redacted = redact(&text).into_owned();
        prop_assert!(!redacted.contains(&token), "{} from {}", redacted, text);
        prop_assert_eq!(redact(&redacted), redacted.as_str());
        let vendor = at.get(&TABLE.vendors);
        let key = at.get(&vendor.values).sample(&mut random).0;
        prop_assume!(is_key(key.as_bytes()) && !key.starts_with('='));
        let text = format!("{before}, {}_key={key} {after}", vendor.words[0]);
        let redacted = redact(&text).into_owned();
        prop_assert!(!redacted.contains(&key), "{} from {}", redacted, text);
        prop_assert_eq!(redact(&redacted), redacted.as_str());
    }
}
