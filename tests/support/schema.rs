//! `docs/json.md` as the schema of the `--json` output: reads the table of a command, and checks
//! documents against it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/json.md");

/// The documented fields of a command by path, and the example below them.
pub(crate) struct Schema {
    fields: BTreeMap<String, Field>,
    pub example: Value,
}

struct Field {
    kind: Kind,
    is_nullable: bool,
    is_optional: bool,
}

#[derive(Debug)]
enum Kind {
    Integer,
    Number,
    String,
    /// One of these strings.
    Words(Vec<String>),
    Boolean,
    Object,
    Array,
    Strings,
}

impl Schema {
    /// Reads the section of a command.
    pub(crate) fn of(command: &str) -> Self {
        let document = std::fs::read_to_string(DOCUMENT).unwrap();
        let heading = format!("## `stentor {command}`\n");
        let (_, section) =
            document.split_once(&heading).unwrap_or_else(|| panic!("no section {heading}"));
        let section = section.split("\n## ").next().unwrap();
        let table =
            section.lines().skip_while(|line| *line != "| field | type | meaning |").skip(2);
        let rows = table
            .take_while(|line| line.starts_with('|'))
            .map(|line| line.split('|').map(str::trim).collect());
        let fields = rows.map(|cells: Vec<&str>| {
            (cells[1].trim_matches('`').to_owned(), Field::parse(cells[2]))
        });
        let (_, example) = section.split_once("```json\n").unwrap();
        let example = example.split("```").next().unwrap();
        Self { fields: fields.collect(), example: serde_json::from_str(example).unwrap() }
    }

    /// The paths of every documented field.
    pub(crate) fn paths(&self) -> BTreeSet<String> {
        self.fields.keys().cloned().collect()
    }

    /// The paths of `document`, and what is wrong with it.
    pub(crate) fn check(&self, document: &Value) -> (BTreeSet<String>, Vec<String>) {
        let (mut paths, mut faults) = (BTreeSet::new(), Vec::new());
        self.check_object("", document, &mut paths, &mut faults);
        (paths, faults)
    }

    fn check_object(
        &self,
        at: &str,
        value: &Value,
        paths: &mut BTreeSet<String>,
        faults: &mut Vec<String>,
    ) {
        let object = value.as_object().unwrap();
        let prefix = if at.is_empty() { String::new() } else { format!("{at}.") };
        let any = format!("{prefix}*");
        if self.fields.contains_key(&any) {
            object.values().for_each(|value| self.check_value(&any, value, paths, faults));
            return;
        }
        object.iter().for_each(|(name, value)| {
            self.check_value(&format!("{prefix}{name}"), value, paths, faults)
        });
        let required = self.fields.iter().filter(|(_, field)| !field.is_optional);
        for name in required.filter_map(|(path, _)| path.strip_prefix(&prefix)) {
            if !name.contains(['.', '[']) && !object.contains_key(name) {
                faults.push(format!("{prefix}{name} is missing"));
            }
        }
    }

    fn check_value(
        &self,
        path: &str,
        value: &Value,
        paths: &mut BTreeSet<String>,
        faults: &mut Vec<String>,
    ) {
        paths.insert(path.to_owned());
        let Some(field) = self.fields.get(path) else {
            return faults.push(format!("{path} is not documented"));
        };
        if !field.admits(value) {
            faults.push(format!("{path} is {value}, documented as {:?}", field.kind));
        }
        match (&field.kind, value) {
            (Kind::Object, Value::Object(_)) => self.check_object(path, value, paths, faults),
            (Kind::Array, Value::Array(items)) => {
                items
                    .iter()
                    .for_each(|item| self.check_object(&format!("{path}[]"), item, paths, faults));
            }
            _ => {}
        }
    }
}

impl Field {
    fn parse(text: &str) -> Self {
        let (text, is_optional) =
            text.strip_suffix(", optional").map_or((text, false), |text| (text, true));
        let (text, is_nullable) =
            text.strip_suffix(" or null").map_or((text, false), |text| (text, true));
        let kind = match text {
            "integer" => Kind::Integer,
            "number" => Kind::Number,
            "string" => Kind::String,
            "boolean" => Kind::Boolean,
            "object" => Kind::Object,
            "array" => Kind::Array,
            "array of strings" => Kind::Strings,
            words => {
                let words: Vec<String> =
                    words.split(", ").map(|word| word.trim_matches('`').to_owned()).collect();
                assert!(text.starts_with('`'), "unknown type: {text}");
                Kind::Words(words)
            }
        };
        Self { kind, is_nullable, is_optional }
    }

    fn admits(&self, value: &Value) -> bool {
        match &self.kind {
            _ if value.is_null() => self.is_nullable,
            Kind::Integer => value.is_u64(),
            Kind::Number => value.is_number(),
            Kind::String => value.is_string(),
            Kind::Words(words) => {
                value.as_str().is_some_and(|value| words.iter().any(|word| word == value))
            }
            Kind::Boolean => value.is_boolean(),
            Kind::Object => value.is_object(),
            Kind::Array => value.as_array().is_some_and(|items| items.iter().all(Value::is_object)),
            Kind::Strings => {
                value.as_array().is_some_and(|items| items.iter().all(Value::is_string))
            }
        }
    }
}

/// Checks documents of a command, which together have every documented field except those that
/// begin with one of `unseen`. Checks the example of the command too, which has every field.
#[track_caller]
pub(crate) fn check_documents(command: &str, documents: &[Value], unseen: &[&str]) {
    let schema = Schema::of(command);
    let documented = schema.paths();
    let (paths, faults) = schema.check(&schema.example);
    assert!(faults.is_empty(), "{command}, example: {faults:#?}");
    assert_eq!(paths, documented, "{command}: the example has every field");
    let mut seen = BTreeSet::new();
    for document in documents {
        let (paths, faults) = schema.check(document);
        assert!(faults.is_empty(), "{command}: {faults:#?}\n{document:#}");
        seen.extend(paths);
    }
    let is_unseen = |path: &&String| unseen.iter().any(|begin| path.starts_with(begin));
    let missing: Vec<_> = documented.difference(&seen).filter(|path| !is_unseen(path)).collect();
    assert!(missing.is_empty(), "{command}: no document has {missing:?}");
}

/// The codes in a table of the document, by the title of its first column.
pub(crate) fn codes(title: &str) -> BTreeSet<String> {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let header = format!("| {title} | meaning |");
    let rows = document.lines().skip_while(|line| *line != header).skip(2);
    let cells = rows.map_while(|line| line.strip_prefix("| ")?.split(" | ").next());
    let words = cells
        .flat_map(|cell| cell.split(", "))
        .filter_map(|word| word.strip_prefix('`')?.strip_suffix('`'));
    words.map(str::to_owned).collect()
}
