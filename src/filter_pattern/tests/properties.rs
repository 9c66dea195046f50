//! Properties of any pattern.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::{EventText, FilterPattern};

/// Tokens of all forms, so that random patterns are often nearly valid.
const TOKENS: [&str; 48] = [
    "{ ",
    " }",
    "[",
    "]",
    "(",
    ")",
    "$.",
    "a",
    "b1",
    "['x.y']",
    "[0]",
    "[*]",
    ".*",
    " = ",
    " != ",
    " > ",
    " <= ",
    "5",
    "-1.5e3",
    "4*",
    "\"*ab*\"",
    "\"\\\"\"",
    "\"",
    "%",
    "%a+%",
    "%[^x-z]b|c%",
    "{2,3}",
    "\\d",
    "\\",
    " && ",
    " || ",
    " IS NULL",
    " IS TRUE",
    " NOT EXISTS",
    ", ",
    "...",
    "?",
    "-",
    " ",
    "ERROR",
    "_",
    "é",
    "*",
    "x=1",
    "^",
    "$",
    "|",
    ".",
];

/// Any tokens in any order.
fn tokens() -> impl Strategy<Value = String> {
    prop::collection::vec(select(TOKENS.to_vec()), 0..14).prop_map(|tokens| tokens.concat())
}

fn operand() -> impl Strategy<Value = &'static str> {
    select(vec![
        "5",
        "-1.5e+3",
        "1e300",
        "0.1",
        "404",
        "4*",
        "*",
        "ab",
        "x.*",
        "\"a \\\"b\\\\\"",
        "\"é*z\"",
        "\"5\"",
        "\"\"",
        "\"500.0\"",
        "1.5*",
        "%50+%",
        "%a+b%",
        r"%\d{2}|[xy]z%",
    ])
}

fn selector() -> impl Strategy<Value = String> {
    let step = select(vec![".a", ".b", ".level", ".['x.y']", ".['']", "[0]", "[1]"]);
    let wildcard = prop::option::weighted(0.2, select(vec![".*", "[*]"]));
    (prop::collection::vec(step, 1..3), wildcard)
        .prop_map(|(steps, wildcard)| format!("${}{}", steps.concat(), wildcard.unwrap_or("")))
}

fn json_pattern() -> impl Strategy<Value = String> {
    let test = prop_oneof![
        4 => (select(vec!["=", "!=", " = ", " != "]), operand()).prop_map(|(relation, operand)| format!("{relation}{operand}")),
        1 => select(vec!["<5", "> -1", " <= 2.5", ">=1e3"]).prop_map(str::to_owned),
        1 => select(vec![" IS NULL", " IS TRUE", " IS FALSE", " NOT EXISTS"]).prop_map(str::to_owned),
    ];
    let condition = (selector(), test).prop_map(|(selector, test)| format!("{selector}{test}"));
    let expr = condition.prop_recursive(3, 6, 3, |inner| {
        (prop::collection::vec(inner, 1..3), select(vec!["&&", " || "]), any::<bool>()).prop_map(
            |(parts, joint, enclosed)| match enclosed {
                true => format!("({})", parts.join(joint)),
                false => parts.join(joint),
            },
        )
    });
    expr.prop_map(|expr| format!("{{ {expr} }}"))
}

fn space_pattern() -> impl Strategy<Value = String> {
    let entry = (0..6_u8, operand(), operand());
    prop::collection::vec(entry, 0..4).prop_map(|entries| {
        let entry = |(index, (kind, one, two)): (usize, (u8, &str, &str))| match kind {
            0 => String::new(),
            1 => "...".to_owned(),
            2 => format!("f{index}"),
            3 => format!("f{index}={one}"),
            4 => format!("f{index} != {one} && f{index} = {two}"),
            _ => format!("f{index} = {one} || f{index}={two}"),
        };
        format!("[{}]", entries.into_iter().enumerate().map(entry).collect::<Vec<_>>().join(", "))
    })
}

fn terms() -> impl Strategy<Value = String> {
    let term =
        select(vec!["a", "ab", "ERROR", "\"a b\"", "\"\\\"\"", "\"é\"", "%a+b%", r"%x\dz|[hc]at%"]);
    prop::collection::vec((select(vec!["", "", "?", "-"]), term), 0..4).prop_map(|terms| {
        terms.into_iter().map(|(sign, term)| format!("{sign}{term}")).collect::<Vec<_>>().join(" ")
    })
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![json_pattern(), space_pattern(), terms(), tokens()]
}

/// Messages of the same vocabulary, many of them JSON, some with escapes.
fn message() -> impl Strategy<Value = String> {
    let text = select(vec![
        "ab",
        "a b",
        "\\u0061b",
        "a\\u0062",
        "aab",
        "x.y",
        "42",
        "404",
        "éz",
        "é\\u007a",
        "\\u00e9z",
        "hat",
        "a \\\"b\\\\",
        "5",
        "",
        "xz",
    ]);
    let leaf = prop_oneof![
        4 => text.prop_map(|text| format!("\"{text}\"")),
        2 => select(vec!["5", "404", "-1500", "1e300", "0.1", "5e2", "15e-1", "null", "true", "false"]).prop_map(str::to_owned),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        let key = select(vec!["a", "b", "l\\u0065vel", "level", "x.y", ""]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((key, inner), 0..3).prop_map(|fields| {
                let fields = fields.into_iter().map(|(key, value)| format!("\"{key}\": {value}"));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }),
        ]
    });
    let line = prop::collection::vec(
        select(vec![
            "a", "ab", "ERROR", " ", " ", "\"a b\"", "[x 404]", "404", "5", "hat", "x7z", "é",
            "\t", "\n",
        ]),
        0..8,
    );
    prop_oneof![2 => value, 1 => line.prop_map(|pieces| pieces.concat())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_printed_pattern_parses_to_the_same(text in pattern()) {
        if let Ok(pattern) = text.parse::<FilterPattern>() {
            let printed = pattern.to_string();
            prop_assert_eq!(printed.parse::<FilterPattern>(), Ok(pattern), "{} {}", text, printed);
        }
    }

    #[test]
    fn a_match_has_a_required_text(text in pattern(), messages in prop::collection::vec(message(), 8)) {
        let Ok(pattern) = text.parse::<FilterPattern>() else { return Ok(()) };
        let Some(required) = pattern.required() else { return Ok(()) };
        for message in messages {
            let has_text = required.with_escapes().any(|text| message.contains(&*text));
            let matches = pattern.matches(&EventText::new(&message));
            prop_assert!(has_text || !matches, "{} {:?} {}", text, required, message);
        }
    }

    #[test]
    fn what_never_matches_does_not_match(
        (one, two) in (pattern(), pattern()), messages in prop::collection::vec(message(), 8),
    ) {
        // Conditions of both, so that more of them contradict each other.
        let joined = [&one, &two].map(|text| text.trim_matches([' ', '{', '}']).to_owned());
        let joined = format!("{{ ({}) && ({}) }}", joined[0], joined[1]);
        for text in [one, two, joined] {
            let Ok(pattern) = text.parse::<FilterPattern>() else { continue };
            for message in &messages {
                let matches = pattern.matches(&EventText::new(message));
                prop_assert!(!(matches && pattern.never_matches()), "{} {}", text, message);
            }
        }
    }

    #[test]
    fn no_text_panics(text in prop_oneof![tokens(), any::<String>()], message in any::<String>()) {
        match text.parse::<FilterPattern>() {
            Ok(pattern) => drop(pattern.matches(&EventText::new(&message))),
            Err(error) => prop_assert!(text.is_char_boundary(error.at), "{} {:?}", text, error),
        }
    }
}

/// Otherwise the properties above would be about nothing.
#[test]
fn most_generated_patterns_are_valid_and_many_match() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut valid, mut matched) = (0, 0);
    for _ in 0..1_000 {
        let text = pattern().new_tree(&mut runner).unwrap().current();
        let message = message().new_tree(&mut runner).unwrap().current();
        if let Ok(pattern) = text.parse::<FilterPattern>() {
            valid += 1;
            matched += usize::from(pattern.matches(&EventText::new(&message)));
        }
    }
    assert!(valid > 500 && matched > 50, "{valid} valid, {matched} matched");
}
