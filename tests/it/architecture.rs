//! The folders of `src/` are layers. This test reads every `crate::` path of the library and fails
//! on an import that points the wrong way, on a cycle between modules of one folder, and on an
//! effect in a pure layer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each layer, and the layers that it may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("filter_pattern", &[]),
    ("model", &[]),
    ("redact", &["model"]),
    ("config", &["filter_pattern", "model", "redact"]),
    ("ingest", &["filter_pattern", "model", "config", "redact"]),
    ("message", &["model"]),
    ("protocol", &["model", "config", "ingest"]),
    ("ops", &["filter_pattern", "model", "redact", "config", "ingest", "protocol"]),
    ("lambda", &["model", "ingest", "protocol"]),
    ("adapters", &["model", "redact", "config", "ingest", "message", "protocol", "ops"]),
];

/// Layers without effects, and the words that would give an effect away.
const PURE: &[&str] = &["filter_pattern", "model", "redact", "config", "ingest", "message"];
const EFFECTS: &[&str] = &[
    "tokio",
    "aws_sdk_",
    "aws_config",
    "reqwest",
    "std::env",
    "std::fs",
    "std::net::Tcp",
    "SystemTime",
    "Instant::now",
];

/// A source file of the library: its module path, and its text without tests and comments.
struct Source {
    module: Vec<String>,
    code: String,
}

#[test]
fn every_import_points_to_a_lower_layer() {
    let found = forbidden(&sources(Path::new("src")));
    assert!(found.is_empty(), "forbidden imports:\n{}", found.join("\n"));
}

#[test]
fn modules_of_a_layer_have_no_cycles() {
    let found = cycles(&sources(Path::new("src")));
    assert!(found.is_empty(), "import cycles:\n{}", found.join("\n"));
}

#[test]
fn pure_layers_have_no_effects() {
    let found = effects(&sources(Path::new("src")));
    assert!(found.is_empty(), "effects in pure layers:\n{}", found.join("\n"));
}

#[test]
fn every_folder_is_a_layer() {
    let known: BTreeSet<String> = LAYERS.iter().map(|(layer, _)| (*layer).to_owned()).collect();
    let found: BTreeSet<String> = sources(Path::new("src"))
        .into_iter()
        .filter_map(|source| source.module.into_iter().next())
        .collect();
    assert_eq!(found, known);
}

#[test]
fn no_two_exported_types_share_a_name() {
    let found = repeated(&exported_types(Path::new("src")));
    assert!(found.is_empty(), "types with one name:\n{}", found.join("\n"));
}

/// The checks themselves can fail.
#[test]
fn planted_faults_are_found() {
    let exported = |file: &str, code: &str| -> Vec<_> {
        types_in(code).map(|name| (name.to_owned(), file.to_owned())).collect()
    };
    let types = [
        exported("a.rs", "pub struct One;\nstruct Two;\n    pub(super) type Three<T> = T;"),
        exported("b.rs", "pub(crate) enum One {}\npub struct Two;\npub trait Three {}"),
    ];
    assert_eq!(repeated(&types.concat()), ["One: a.rs, b.rs", "Three: a.rs, b.rs"]);

    let source = |module: &str, code: &str| Source {
        module: module.split("::").map(str::to_owned).collect(),
        code: without_comments(code),
    };
    let up = source("model::alert", "use crate::adapters::{aws, sqs};");
    assert_eq!(forbidden(&[up]), ["model::alert uses crate::adapters"]);
    let harmless = source("model::alert", "// use crate::adapters::sqs;\nuse crate::model::name;");
    assert!(forbidden(&[harmless]).is_empty());
    let pair = [
        source("model::a", "use crate::model::b::B;"),
        source("model::b", "fn f(_: crate::model::a::A) {}"),
    ];
    assert_eq!(cycles(&pair), ["model::a → model::b → model::a"]);
    let nested = [
        source("model::a", "use crate::model::{b, c::C};"),
        source("model::c", "use crate::model::a;"),
    ];
    assert_eq!(cycles(&nested), ["model::a → model::c → model::a"]);
    let pair = [
        source("config::read", "use super::{glob, value::Value};"),
        source("config::value", "use super::read;"),
    ];
    assert_eq!(cycles(&pair), ["config::read → config::value → config::read"]);
    let parent =
        [source("model::a", "use crate::model::a::b::B;"), source("model::a::b", "use super::A;")];
    assert!(cycles(&parent).is_empty());
    assert_eq!(
        effects(&[source("config::read", "let t = std::env::var(\"T\");")]),
        ["config::read uses std::env"]
    );
}

fn sources(root: &Path) -> Vec<Source> {
    let mut files = Vec::new();
    collect(root, &mut files);
    files.sort();
    files.iter().filter_map(|file| source(root, file)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The types that other modules can name, with their files; also those of the binaries.
fn exported_types(root: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    collect(root, &mut files);
    files.sort();
    let is_test = |file: &Path| file.iter().any(|part| part == "tests" || part == "tests.rs");
    let types = files.iter().filter(|file| !is_test(file)).flat_map(|file| {
        let text = fs::read_to_string(file).unwrap();
        let name = file.display().to_string();
        types_in(&text).map(|found| (found.to_owned(), name.clone())).collect::<Vec<_>>()
    });
    types.collect()
}

fn types_in(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let line = line.trim_start().strip_prefix("pub")?;
        let line =
            line.strip_prefix('(').map_or(Some(line), |rest| Some(rest.split_once(')')?.1))?;
        let (kind, rest) = line.trim_start().split_once(' ')?;
        let is_type = ["struct", "enum", "trait", "type", "union"].contains(&kind);
        is_type.then(|| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
    })
}

fn repeated(types: &[(String, String)]) -> Vec<String> {
    let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    types.iter().for_each(|(name, file)| files.entry(name).or_default().push(file));
    let repeated = files.into_iter().filter(|(_, files)| files.len() > 1);
    repeated.map(|(name, files)| format!("{name}: {}", files.join(", "))).collect()
}

/// `None` for the crate root, the binaries and test modules, which may use everything.
fn source(root: &Path, file: &Path) -> Option<Source> {
    let relative = file.strip_prefix(root).unwrap().with_extension("");
    let module: Vec<String> =
        relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module[0] == "bin" || module == ["lib"] || module.iter().any(|part| part == "tests") {
        return None;
    }
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    Some(Source { module, code: without_comments(code) })
}

fn without_comments(text: &str) -> String {
    text.lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
        .collect::<Vec<_>>()
        .join("\n")
}

fn forbidden(sources: &[Source]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for source in sources {
        let layer = &source.module[0];
        let allowed =
            LAYERS.iter().find(|(name, _)| name == layer).map_or(&[][..], |(_, allowed)| allowed);
        for used in paths(source).into_iter().filter(|used| !used.is_empty()) {
            let folder = &used[0];
            if folder != layer && !allowed.contains(&folder.as_str()) {
                found.insert(format!("{} uses crate::{folder}", source.module.join("::")));
            }
        }
    }
    found.into_iter().collect()
}

fn effects(sources: &[Source]) -> Vec<String> {
    let pure = sources.iter().filter(|source| PURE.contains(&source.module[0].as_str()));
    pure.flat_map(|source| {
        let found = EFFECTS.iter().filter(|effect| source.code.contains(**effect));
        found.map(|effect| format!("{} uses {effect}", source.module.join("::")))
    })
    .collect()
}

/// Cycles between sibling modules, at every depth. A module and its own submodules are one.
fn cycles(sources: &[Source]) -> Vec<String> {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        for used in paths(source) {
            let common = source.module.iter().zip(&used).take_while(|(a, b)| a == b).count();
            if common > 0 && common < source.module.len() && common < used.len() {
                let (from, to) = (source.module[..=common].join("::"), used[..=common].join("::"));
                edges.entry(from).or_default().insert(to);
            }
        }
    }
    let mut found = BTreeSet::new();
    for start in edges.keys() {
        if let Some(path) = way_back(start, &edges) {
            let first = path.iter().position(|module| Some(module) == path.iter().min()).unwrap();
            let turned = path[first..].iter().chain(&path[..first]).chain([&path[first]]);
            found.insert(turned.map(String::as_str).collect::<Vec<_>>().join(" → "));
        }
    }
    found.into_iter().collect()
}

/// The shortest way from `start` back to it, without its end.
fn way_back(start: &str, edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut ways = vec![vec![start.to_owned()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in edges.get(way.last().unwrap()).into_iter().flatten() {
                if next == start {
                    return Some(way);
                }
                if seen.insert(next.clone()) {
                    longer.push([&way[..], std::slice::from_ref(next)].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

/// The modules that a file names by `crate::` or `super::`, groups in braces taken apart.
fn paths(source: &Source) -> Vec<Vec<String>> {
    let code = &source.code;
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        expand(&code[at + "crate::".len()..], &mut Vec::new(), &mut found);
    }
    for (at, _) in code.match_indices("super::").filter(|(at, _)| !code[..*at].ends_with("super::"))
    {
        let rest = code[at..].trim_start_matches("super::");
        let ups = (code.len() - at - rest.len()) / "super::".len();
        let mut base = source.module[..source.module.len().saturating_sub(ups)].to_vec();
        expand(rest, &mut base, &mut found);
    }
    found
}

fn expand(rest: &str, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if let Some(group) = rest.strip_prefix('{') {
        for item in items(group) {
            expand(item.trim_start(), &mut before.clone(), found);
        }
        return;
    }
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let is_module = name.starts_with(|c: char| c.is_lowercase()) && name != "self";
    match rest[name.len()..].strip_prefix("::") {
        Some(deeper) if is_module => {
            before.push(name);
            expand(deeper, before, found);
        }
        _ => found.push(before.iter().cloned().chain(is_module.then_some(name)).collect()),
    }
}

/// The items of a group up to its closing brace, split at its own commas.
fn items(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items
}
