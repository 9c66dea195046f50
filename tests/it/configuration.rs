//! `config/stentor.schema.json` describes each key for editors, and `docs/configuration.md` is made from it.
//! `config/example.toml` has every key, and the parser accepts it, so the three agree.
//! `UPDATE_GOLDEN=1 cargo test --test it configuration` writes the document.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use stentor::config::Config;

const SCHEMA: &str = include_str!("../../config/stentor.schema.json");
const EXAMPLE: &str = include_str!("../../config/example.toml");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// The example as JSON.
fn example() -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(EXAMPLE).unwrap()).unwrap()
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema["properties"].as_object()
}

/// The schemas that a value may have.
fn alternatives(schema: &Value) -> Vec<&Value> {
    schema["oneOf"].as_array().map_or_else(|| vec![schema], |all| all.iter().collect())
}

fn has_type(schema: &Value, value: &Value) -> bool {
    match schema["type"].as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        other => panic!("the type {other}"),
    }
}

/// The schema of the keys without their own; `None` if such a key is unknown.
fn other_keys<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    let names = schema["propertyNames"]["enum"].as_array();
    let is_allowed = names.is_none_or(|names| names.contains(&key.into()));
    Some(&schema["additionalProperties"]).filter(|other| is_allowed && **other != false)
}

/// The mistakes in a value, and the paths of the keys that it has.
fn check(path: &str, schema: &Value, value: &Value, seen: &mut BTreeSet<String>) -> Vec<String> {
    let Some(schema) = alternatives(schema).into_iter().find(|one| has_type(one, value)) else {
        return vec![format!("{path}: {value} has another type")];
    };
    let mut wrong = vec![];
    let allowed = schema["enum"].as_array();
    if allowed.is_some_and(|allowed| !allowed.contains(value)) {
        wrong.push(format!("{path}: {value} is not allowed"));
    }
    for item in value.as_array().into_iter().flatten() {
        wrong.extend(check(path, &schema["items"], item, seen));
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        match properties(schema).and_then(|known| known.get(key)) {
            Some(known) => {
                seen.insert(path.clone());
                wrong.extend(check(&path, known, value, seen));
            }
            None => match other_keys(schema, key) {
                None => wrong.push(format!("{path} is unknown")),
                Some(Value::Null | Value::Bool(_)) => {}
                Some(other) => wrong.extend(check(&path, other, value, seen)),
            },
        }
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.get(required.as_str().unwrap()).is_none() {
            wrong.push(format!("{path} has no {required}"));
        }
    }
    wrong
}

/// The paths of all keys, those within `except` aside: they are the conditions of a route.
fn paths(path: &str, schema: &Value, all: &mut BTreeSet<String>) {
    for schema in alternatives(schema) {
        paths_of_items(path, schema, all);
    }
}

fn paths_of_items(path: &str, schema: &Value, all: &mut BTreeSet<String>) {
    if schema["items"].is_object() {
        paths(path, &schema["items"], all);
    }
    for (key, schema) in properties(schema).into_iter().flatten() {
        let path = format!("{path}.{key}");
        all.insert(path.clone());
        if key != "except" {
            paths(&path, schema, all);
        }
    }
}

#[test]
fn the_example_has_every_key_of_the_schema_and_no_other() {
    Config::parse(EXAMPLE, "config/example.toml").unwrap();
    let (schema, mut seen) = (schema(), BTreeSet::new());
    assert_eq!(check("", &schema, &example(), &mut seen), Vec::<String>::new());
    let mut all = BTreeSet::new();
    paths("", &schema, &mut all);
    let is_left_out = |path: &&String| {
        // An app has the scope of a route, a priority each severity, and an exception the conditions.
        let in_except = path.replacen(".route.", ".route.except.", 1);
        path.starts_with(".app.")
            || path.starts_with(".target.priority.")
            || seen.contains(&in_except)
    };
    let missing: Vec<&String> = all.difference(&seen).filter(|path| !is_left_out(path)).collect();
    assert!(missing.is_empty(), "config/example.toml does not show {missing:?}");
}

#[test]
fn the_schema_finds_what_the_parser_refuses() {
    let check = |text: &str, expected: &str| {
        let text =
            format!("[[route]]\nname = 'a'\nnotify = ['slack:a']\nmarkers = ['[x]']\n{text}\n");
        assert!(Config::parse(&text, "f").is_err(), "{text}");
        let value = serde_json::to_value(toml::from_str::<toml::Table>(&text).unwrap()).unwrap();
        let wrong = super::configuration::check("", &schema(), &value, &mut BTreeSet::new());
        assert_eq!(wrong, [expected], "{text}");
    };
    check("color = 'red'", ".route.color is unknown");
    check("severity = 'fatal'", ".route.severity: \"fatal\" is not allowed");
    check("severity_if = { fatal = { regex = 'x' } }", ".route.severity_if.fatal is unknown");
    check(
        "severity_if = { error = { regexp = 'x' } }",
        ".route.severity_if.error.regexp is unknown",
    );
    check("stage = 'yes'", ".route.stage: \"yes\" has another type");
    check("[[target]]\nmention = ['@here']", ".target has no \"name\"");
}

/// The default of each key with one is that of the parser.
#[test]
fn the_defaults_of_the_schema_change_nothing() {
    let schema = schema();
    let base = "name = 'a'\nmarkers = ['[x]']\nnotify = ['slack:a']\nfallback = 'slack:b'\n";
    let parse =
        |text: &str| Config::parse(text, "f").unwrap_or_else(|error| panic!("{text}\n{error}"));
    let plain = parse(&format!("[[route]]\n{base}"));
    let defaults = |schema: &Value| -> Vec<(String, String)> {
        let known = properties(schema).unwrap().iter();
        known
            .filter_map(|(key, one)| Some((key.clone(), one.get("default")?.to_string())))
            .collect()
    };
    for (key, value) in defaults(&schema) {
        assert_eq!(parse(&format!("{key} = {value}\n[[route]]\n{base}")), plain, "{key}");
    }
    let route = &schema["properties"]["route"]["items"];
    for (key, value) in defaults(route).into_iter().filter(|(key, _)| key != "per") {
        assert_eq!(parse(&format!("[[route]]\n{base}{key} = {value}\n")), plain, "{key}");
    }
}

fn table(schema: &Value) -> String {
    let required = |key: &str| {
        schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == key))
    };
    let row = |(key, one): (&String, &Value)| {
        let kind = |one: &Value| one["type"].as_str().unwrap().replace("object", "table");
        let kinds: Vec<String> = alternatives(one).into_iter().map(kind).collect();
        let values = one["enum"].as_array().map(|values| {
            values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
        });
        let default = match one.get("default") {
            Some(default) => format!("`{default}`"),
            None if required(key) => "required".to_owned(),
            None => "none".to_owned(),
        };
        let description = one["description"].as_str().unwrap();
        let kind = values.unwrap_or_else(|| kinds.join(" or "));
        format!("| `{key}` | {kind} | {default} | {description} |\n")
    };
    let rows: String = properties(schema).unwrap().iter().map(row).collect();
    format!("| key | value | default | meaning |\n|---|---|---|---|\n{rows}")
}

fn document() -> String {
    let schema = schema();
    let keys = &schema["properties"];
    let sections = [
        ("The file", &schema),
        ("`[[route]]`", &keys["route"]["items"]),
        ("`context` of a route", &keys["route"]["items"]["properties"]["context"]),
        ("`[[app]]`", &keys["app"]["items"]),
        ("`[redact]`", &keys["redact"]),
        ("`[[redact.rule]]`", &keys["redact"]["properties"]["rule"]["items"]),
        ("`[[target]]`", &keys["target"]["items"]),
    ];
    let sections = sections.map(|(title, schema)| format!("## {title}\n\n{}", table(schema)));
    format!(
        "# Configuration\n\n\
         Every key of `stentor.toml`. [config/example.toml](../config/example.toml) shows them in use, and\n\
         [conditions.md](conditions.md) explains conditions. `stentor check --config FILE` reports each mistake as\n\
         `file:line:column: message`.\n\n\
         [config/stentor.schema.json](../config/stentor.schema.json) is a JSON Schema for editors. An editor with Taplo,\n\
         such as Even Better TOML, uses it if the file begins with `#:schema PATH-OR-URL`.\n\n\
         This page is made from the schema.\n\n{}",
        sections.join("\n")
    )
}

#[test]
fn the_document_is_made_from_the_schema() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, document()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(written, document(), "UPDATE_GOLDEN=1 cargo test --test it configuration");
}
