//! `sam build` compiles the function through cargo-lambda, with the settings of the profile `dist`.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

/// Settings by their dotted names.
type Settings = BTreeMap<String, String>;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn settings(text: &str) -> Settings {
    let mut found = Settings::new();
    flatten("", DeTable::parse(text).unwrap().get_ref(), &mut found);
    found
}

fn flatten(prefix: &str, table: &DeTable<'_>, found: &mut Settings) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(table) => flatten(&format!("{name}."), table, found),
            DeValue::Array(values) => {
                let texts = values.iter().filter_map(|value| value.get_ref().as_str());
                found.extend(
                    texts.enumerate().map(|(n, text)| (format!("{name}.{n}"), text.to_owned())),
                );
            }
            value => {
                found.insert(name, format!("{value:?}"));
            }
        }
    }
}

/// The settings whose names begin with `prefix`, without it.
fn below(prefix: &str, all: &Settings) -> Settings {
    let below = all
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value.clone())));
    below.collect()
}

#[test]
fn sam_builds_with_the_settings_of_the_profile_dist() {
    let manifest = settings(&read("Cargo.toml"));
    let release = below("profile.release.", &manifest);
    let mut dist = below("profile.dist.", &manifest);
    assert!(dist.remove("inherits").unwrap().contains("release"));
    let config = below("build.config.", &settings(&read("CargoLambda.toml")));
    let config: Settings = config.values().flat_map(|line| settings(line)).collect();
    assert_eq!(below("profile.release.", &config), dist);
    assert_eq!(config.len(), dist.len(), "nothing else is set: {config:?}");
    assert!(dist["lto"].contains("fat"), "{dist:?}");
    // cargo-lambda chooses for itself what the manifest leaves open, in spite of its own file.
    for name in ["lto", "codegen-units", "panic", "strip"] {
        assert!(release.contains_key(name), "profile.release.{name}");
    }
}
