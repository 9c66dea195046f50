//! The dashboards: `dashboards/panels.toml` describes them, and `UPDATE_GOLDEN=1 cargo test --test it
//! dashboards` writes what follows from it: the dashboard in `template.yaml`, `dashboards/grafana.json`
//! and the pictures in `docs/pictures`.

mod cloudwatch;
mod figures;
mod grafana;
mod svg;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use figures::Figures;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const BEGIN: &str = "      # Written by `UPDATE_GOLDEN=1 cargo test --test it dashboards`.\n";
const END: &str = "      # The end of what is written.\n";

#[derive(Deserialize)]
struct Description {
    question: Vec<Question>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    title: String,
    panel: Vec<Panel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Panel {
    title: String,
    unit: Unit,
    series: Vec<Series>,
    #[serde(default)]
    alarms: Vec<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Count,
    Ms,
    Bytes,
}

/// `NAMESPACE METRIC STATISTIC DIMENSION=VALUE…`
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
struct Series {
    namespace: String,
    metric: String,
    statistic: String,
    dimensions: Vec<(String, Value)>,
}

#[derive(Clone, PartialEq)]
enum Value {
    /// A line for each.
    Each,
    Literal(String),
    /// A logical id of the template, perhaps with an attribute.
    Resource(String),
}

/// An alarm of the template that watches one metric.
struct Alarm {
    name: String,
    metric: String,
    threshold: u64,
    goes_off_below: bool,
}

impl TryFrom<String> for Series {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut words = text.split(' ').map(str::to_owned);
        let mut word = || words.next().ok_or(format!("{text} is too short"));
        let (namespace, metric, statistic) = (word()?, word()?, word()?);
        let dimensions = words.map(|word| {
            let (name, value) = word.split_once('=').ok_or(format!("{word} is no dimension"))?;
            let literal = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let value = match (value, literal) {
                ("*", _) => Value::Each,
                (_, Some(literal)) => Value::Literal(literal.to_owned()),
                _ => Value::Resource(value.to_owned()),
            };
            Ok((name.to_owned(), value))
        });
        let dimensions = dimensions.collect::<Result<_, String>>()?;
        Ok(Self { namespace, metric, statistic, dimensions })
    }
}

impl Series {
    /// S3 counts objects once a day.
    fn period(&self) -> u64 {
        if self.namespace == "AWS/S3" { 86_400 } else { 60 }
    }

    /// Tells the series apart from the others of its panel.
    fn label(&self, panel: &Panel) -> String {
        let resource = self.dimensions.iter().find_map(|(name, value)| match value {
            Value::Literal(literal) if name != "StorageType" => Some(literal.as_str()),
            _ => None,
        });
        let resource = resource.or_else(|| {
            self.dimensions.iter().find_map(|(_, value)| match value {
                Value::Resource(resource) => resource.split('.').next(),
                _ => None,
            })
        });
        let is_alike = |other: &Series| other.metric == self.metric;
        match panel.series.iter().filter(|other| is_alike(other)).count() {
            1 => self.metric.clone(),
            _ => format!("{} {}", self.metric, resource.unwrap_or_default()).trim().to_owned(),
        }
    }
}

fn description() -> Description {
    toml::from_str(&fs::read_to_string(file("dashboards/panels.toml")).unwrap()).unwrap()
}

fn file(name: &str) -> PathBuf {
    Path::new(ROOT).join(name)
}

fn template() -> String {
    fs::read_to_string(file("template.yaml")).unwrap()
}

/// The alarms of the template.
fn alarms(template: &str) -> Vec<Alarm> {
    let resource = regex::Regex::new(r"(?m)^  (\w+Alarm):\n((?:    .*\n|\n)+)").unwrap();
    // An alarm with a condition is on no dashboard, because the other stacks do not have what it watches.
    let always =
        resource.captures_iter(template).filter(|found| !found[2].contains("    Condition: "));
    let alarms = always.map(|found| {
        let block = &found[2];
        let value = |key: &str| {
            let start = format!("      {key}: ");
            block.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
        };
        Alarm {
            name: found[1].to_owned(),
            metric: value("MetricName").unwrap_or_default(),
            threshold: value("Threshold").unwrap().parse().unwrap(),
            goes_off_below: value("ComparisonOperator").unwrap() == "LessThanThreshold",
        }
    });
    alarms.collect()
}

impl Question {
    fn columns(&self) -> usize {
        if self.panel.len().is_multiple_of(4) { 4 } else { 3 }
    }
}

impl Panel {
    fn thresholds<'a>(&self, alarms: &'a [Alarm]) -> Vec<&'a Alarm> {
        let named = |name: &String| {
            let alarm = alarms.iter().find(|alarm| alarm.name == *name);
            alarm.unwrap_or_else(|| panic!("the template has no {name}"))
        };
        self.alarms.iter().map(named).collect()
    }
}

/// Compares a file with what it must be, or writes it.
fn golden(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return fs::write(path, expected).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    let hint = "UPDATE_GOLDEN=1 cargo test --test it dashboards";
    assert!(found == expected, "{} is not up to date: {hint}", path.display());
}

#[test]
fn both_dashboards_are_those_of_the_description() {
    let (description, template) = (description(), template());
    let alarms = alarms(&template);
    let (before, rest) = template.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let body = cloudwatch::body(&description, &alarms);
    golden(&file("template.yaml"), &format!("{before}{BEGIN}{body}{END}{after}"));
    golden(&file("dashboards/grafana.json"), &grafana::dashboard(&description, &alarms));
}

#[test]
fn each_alarm_on_one_metric_is_drawn_where_its_metric_is() {
    let (description, alarms) = (description(), alarms(&template()));
    let panels = || description.question.iter().flat_map(|question| &question.panel);
    for panel in panels() {
        for alarm in panel.thresholds(&alarms) {
            let is_shown = panel.series.iter().any(|series| series.metric == alarm.metric);
            assert!(is_shown, "{} is not on a metric of {}", alarm.name, panel.title);
        }
    }
    let drawn: BTreeSet<&str> = panels().flat_map(|panel| &panel.alarms).map(|a| &**a).collect();
    let simple = alarms.iter().filter(|alarm| !alarm.metric.is_empty());
    let simple: BTreeSet<&str> = simple.map(|alarm| &*alarm.name).collect();
    assert!(simple.len() > 15);
    assert_eq!(drawn, simple);
}

/// The names, and the pictures, which show the same figures on each run.
#[tokio::test(flavor = "multi_thread")]
async fn the_functions_write_what_the_dashboards_show() {
    let (description, figures) = (description(), figures::recorded().await);
    let written: BTreeSet<String> = figures.keys().map(|key| shape(key)).collect();
    let panels = || description.question.iter().flat_map(|question| &question.panel);
    let own = panels().flat_map(|panel| &panel.series).filter(|one| one.namespace == "Stentor");
    for series in own {
        let names = series.dimensions.iter().map(|(name, _)| format!(" {name}"));
        let shown = format!("{}{}", series.metric, names.collect::<String>());
        assert!(written.contains(&shown), "the functions do not write {shown}: {written:?}");
    }
    let alarms = alarms(&template());
    for (name, look) in [("cloudwatch", svg::Look::CloudWatch), ("grafana", svg::Look::Grafana)] {
        let picture = svg::picture(&description, &alarms, &figures, look);
        golden(&file(&format!("docs/pictures/dashboard-{name}.svg")), &picture);
    }
}

/// `kept function=f route=r` as `kept function route`.
fn shape(key: &str) -> String {
    let words = key.split(' ').map(|word| word.split('=').next().unwrap());
    words.collect::<Vec<_>>().join(" ")
}

/// The lines of a series: a label, and the values by minute.
fn lines(series: &Series, panel: &Panel, figures: &Figures) -> Vec<(String, Vec<Option<u64>>)> {
    let matches = |key: &str| {
        let mut words = key.split(' ');
        let is_named = words.next() == Some(&series.metric) && series.namespace == "Stentor";
        let words: Vec<(&str, &str)> = words.map(|word| word.split_once('=').unwrap()).collect();
        let fits = |((name, value), (wanted, resource)): (&(&str, &str), &(String, Value))| {
            let function = match resource {
                Value::Resource(resource) if resource == "Consumer" => figures::CONSUMER,
                Value::Resource(_) => figures::NOTIFIER,
                Value::Each | Value::Literal(_) => value,
            };
            name == wanted && *value == function
        };
        is_named
            && words.len() == series.dimensions.len()
            && words.iter().zip(&series.dimensions).all(fits)
    };
    let is_each = series.dimensions.iter().any(|(_, value)| *value == Value::Each);
    let found = figures.iter().filter(|(key, _)| matches(key)).map(|(key, minutes)| {
        let values = key.split(' ').skip(2).map(|word| word.split_once('=').unwrap().1);
        let values: Vec<&str> = values.collect();
        let label = match (is_each, panel.series.len()) {
            (true, 1) => values.join(" "),
            (true, _) => format!("{} {}", series.metric, values.join(" ")),
            (false, _) => series.label(panel),
        };
        let of_minute =
            |minute: &Option<figures::Statistics>| Some(minute.as_ref()?.of(&series.statistic));
        (label, minutes.iter().map(of_minute).collect())
    });
    found.collect()
}
