//! The meaning of the keys of `[[target]]`. Credentials do not belong here: the secret has them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use strum::VariantNames;

use super::diagnostic::Diagnostics;
use super::draft::Draft;
use super::quantity;
use super::target::{
    JiraSettings, JsmSettings, Mention, Responder, SlackSettings, SnsSettings, TargetSettings,
    TeamsSettings, WebhookSettings,
};
use super::value::{Fields, TomlValue, filled_list, optional};
use crate::model::name::{Severity, Target, TargetKind};

/// The longest `reopen_within`.
const REOPEN_WITHIN_MAX: Duration = Duration::from_hours(24 * 90);

/// The longest name of a project, a transition, a label and the like, in bytes.
const WORD_BYTES_MAX: usize = 255;

/// The limits of Jira Service Management, which ignores what is beyond them.
const RESPONDERS_MAX: usize = 50;
const TAGS_MAX: usize = 20;
const TAG_BYTES_MAX: usize = 50;

/// Fields of an issue that have a setting of their own, or come from the digest.
const JIRA_FIELDS: [&str; 6] =
    ["project", "issuetype", "summary", "description", "labels", "priority"];

/// The settings of the targets of a file, and where each `[[target]]` begins.
pub(super) struct TargetTables {
    settings: BTreeMap<Target, TargetSettings>,
    offsets: BTreeMap<Target, usize>,
    /// One of the tables could not be read, so a missing one may be that.
    is_complete: bool,
}

/// All `[[target]]` tables of a file.
pub(super) fn targets(
    value: Option<TomlValue<'_>>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<TargetTables> {
    let (settings, offsets) = (BTreeMap::new(), BTreeMap::new());
    let mut tables = TargetTables { settings, offsets, is_complete: true };
    let Some(value) = value else { return Some(tables) };
    if value.is_table() {
        diagnostics.error(value, "a target is written [[target]], with two brackets on each side");
        return None;
    }
    for element in diagnostics.read(value, TomlValue::array)? {
        let offset = element.offset();
        let fields = diagnostics.read(element, TomlValue::table);
        match fields.and_then(|fields| target(offset, fields, &tables.offsets, diagnostics)) {
            Some((name, settings)) => {
                tables.offsets.insert(name.clone(), offset);
                tables.settings.insert(name, settings);
            }
            None => tables.is_complete = false,
        }
    }
    Some(tables)
}

impl TargetTables {
    /// Checks the settings against the routes that use the targets. Adds the settings of targets
    /// without a table.
    pub(super) fn finish(
        mut self,
        routes: &[Draft],
        diagnostics: &mut Diagnostics<'_>,
    ) -> Option<BTreeMap<Target, TargetSettings>> {
        let mut used = BTreeSet::new();
        for route in routes {
            let fallback = route.fallback.iter().flatten();
            for target in route.notify.iter().flatten().chain(fallback) {
                used.insert(target);
                if self.settings.contains_key(target) {
                    continue;
                }
                match TargetSettings::default_of(target.kind) {
                    Some(settings) => drop(self.settings.insert(target.clone(), settings)),
                    None if self.is_complete => {
                        self.is_complete = false;
                        let problem = format!(
                            "this route uses {target}, which needs a [[target]] with its `project`"
                        );
                        diagnostics.error_at(route.place_of(target), problem);
                    }
                    None => {}
                }
            }
            let notify = route.notify.as_deref().unwrap_or_default();
            if !notify.is_empty() && notify.iter().all(|target| target.kind == TargetKind::Teams) {
                let problem = format!(
                    "this route notifies only {}. Teams accepts a message before it shows it, and \
                     a message that it cannot show is lost; add another target",
                    notify[0]
                );
                diagnostics.warn_at(route.place_of(&notify[0]), problem);
            }
        }
        for (target, offset) in self.offsets.iter().filter(|(target, _)| !used.contains(target)) {
            diagnostics.warn_at(*offset, format!("no route uses {target}"));
        }
        self.is_complete.then_some(self.settings)
    }
}

/// A target that begins at `offset`.
fn target(
    offset: usize,
    mut fields: Fields<'_>,
    earlier: &BTreeMap<Target, usize>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<(Target, TargetSettings)> {
    let Some(value) = fields.require("name") else {
        diagnostics.error_at(offset, "this target has no `name`, such as \"jira:PAY\"");
        return None;
    };
    let name: Target = diagnostics.read(value, TomlValue::parse)?;
    if let Some(other) = earlier.get(&name) {
        let line = diagnostics.line(*other);
        let problem = format_args!("the target at line {line} already has the name `{name}`");
        diagnostics.error(value, problem);
        return None;
    }
    let settings = match name.kind {
        TargetKind::Slack => slack(&mut fields, diagnostics).map(TargetSettings::Slack),
        TargetKind::Jira => jira(&mut fields, diagnostics).map(TargetSettings::Jira),
        TargetKind::Jsm => jsm(&mut fields, diagnostics).map(TargetSettings::Jsm),
        TargetKind::Teams => variant(&mut fields, "shape", diagnostics)
            .map(|shape| TargetSettings::Teams(TeamsSettings { shape })),
        TargetKind::Webhook => {
            let allowed = fields.take("allow_private");
            optional(allowed, false, diagnostics, TomlValue::bool)
                .map(|allow_private| TargetSettings::Webhook(WebhookSettings { allow_private }))
        }
        TargetKind::Sns => variant(&mut fields, "format", diagnostics)
            .map(|format| TargetSettings::Sns(SnsSettings { format })),
        TargetKind::PagerDuty
        | TargetKind::Discord
        | TargetKind::GoogleChat
        | TargetKind::Mattermost => Some(TargetSettings::None),
    };
    let misplaced = |key: &str| match key {
        "url" | "token" | "key" | "secret" | "secrets" | "password" | "routing_key" | "api_key"
        | "webhook" | "topic_arn" | "channel" | "email" | "site" => {
            Some("it belongs to the credential, in the secret")
        }
        "severity" | "markers" | "notify" | "fallback" => Some("it belongs in a [[route]]"),
        _ => None,
    };
    let keys = fields.finish(diagnostics, misplaced);
    for missing in &keys.missing {
        diagnostics.error_at(offset, format!("{name} has no `{missing}`"));
    }
    let is_valid = keys.missing.is_empty() && !keys.has_unknown;
    settings.filter(|_| is_valid).map(|settings| (name, settings))
}

fn slack(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<SlackSettings> {
    let mention = list(fields, "mention", diagnostics, mention);
    let mention_from = fields.take("mention_from");
    let mention_from = optional(mention_from, Severity::Info, diagnostics, TomlValue::variant);
    let mention_on = variant(fields, "mention_on", diagnostics);
    Some(SlackSettings { mention: mention?, mention_from: mention_from?, mention_on: mention_on? })
}

fn mention(value: TomlValue<'_>) -> Result<Mention, String> {
    let text = value.str()?;
    let is_id = || {
        (6..=20).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    match text {
        "@here" => Ok(Mention::Here),
        "@channel" => Ok(Mention::Channel),
        "@everyone" => Ok(Mention::Everyone),
        _ if is_id() && text.starts_with('S') => Ok(Mention::Group(text.to_owned())),
        _ if is_id() && text.starts_with(['U', 'W']) => Ok(Mention::User(text.to_owned())),
        _ => Err("expected \"@here\", \"@channel\", \"@everyone\", or the id of a user group or \
                  user, such as \"S012AB3CD\" or \"U012AB3CD\""
            .to_owned()),
    }
}

fn jira(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<JiraSettings> {
    let project = fields.require("project").map(|value| diagnostics.read(value, project));
    let issue_type = optional(fields.take("type"), "Task".to_owned(), diagnostics, word);
    let priority = priority(fields, diagnostics);
    let labels = list(fields, "labels", diagnostics, label);
    let more = optional(fields.take("fields"), serde_json::Map::new(), diagnostics, |value| {
        let serde_json::Value::Object(fields) = value.json()? else {
            return Err(value.mismatch("a table"));
        };
        match JIRA_FIELDS.iter().find(|field| fields.contains_key(**field)) {
            Some(field) => Err(format!("Stentor sets the field `{field}` itself")),
            None => Ok(fields),
        }
    });
    let issue_per = variant(fields, "issue_per", diagnostics);
    let done = optional(fields.take("done"), "Done".to_owned(), diagnostics, word);
    let reopen = optional(fields.take("reopen"), "To Do".to_owned(), diagnostics, word);
    let reopen_within =
        optional(fields.take("reopen_within"), Duration::ZERO, diagnostics, |value| {
            quantity::duration_with_days(value.str()?)
                .filter(|period| *period <= REOPEN_WITHIN_MAX)
                .ok_or_else(|| "expected a duration of at most 90d, such as \"12h\"".to_owned())
        });
    Some(JiraSettings {
        project: project??,
        issue_type: issue_type?,
        priority: priority?,
        labels: labels?,
        fields: more?,
        issue_per: issue_per?,
        done: done?,
        reopen: reopen?,
        reopen_within: reopen_within?,
    })
}

fn project(value: TomlValue<'_>) -> Result<String, String> {
    let key = value.str()?;
    let is_key = (2..=64).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_uppercase())
        && key.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    match is_key {
        true => Ok(key.to_owned()),
        false => Err("expected the key of a project, such as \"PAY\"".to_owned()),
    }
}

/// `priority = { critical = "Highest" }`.
fn priority(
    fields: &mut Fields<'_>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<BTreeMap<Severity, String>> {
    let Some(value) = fields.take("priority") else { return Some(BTreeMap::new()) };
    let mut table = diagnostics.read(value, TomlValue::table)?;
    let mut priorities = Some(BTreeMap::new());
    for severity in Severity::ALL {
        let Some(value) = table.take(severity.as_str()) else { continue };
        match (diagnostics.read(value, word), &mut priorities) {
            (Some(name), Some(priorities)) => drop(priorities.insert(severity, name)),
            _ => priorities = None,
        }
    }
    let keys = table.finish(diagnostics, |_| None);
    priorities.filter(|_| !keys.has_unknown)
}

fn jsm(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<JsmSettings> {
    let responders = short_list(fields, "responders", RESPONDERS_MAX, diagnostics, responder);
    let tags = short_list(fields, "tags", TAGS_MAX, diagnostics, tag);
    Some(JsmSettings { responders: responders?, tags: tags? })
}

fn responder(value: TomlValue<'_>) -> Result<Responder, String> {
    let expected = || {
        "expected \"team:NAME\", \"user:MAIL\", \"schedule:NAME\" or \"escalation:NAME\"".to_owned()
    };
    let (kind, name) = value.str()?.split_once(':').ok_or_else(expected)?;
    let kind = kind.parse().map_err(|_| expected())?;
    let name = name.trim();
    match (1..=WORD_BYTES_MAX).contains(&name.len()) {
        true => Ok(Responder { kind, name: name.to_owned() }),
        false => Err(expected()),
    }
}

/// A list that may be left out, but not be empty.
fn list<'a, T: Ord + Clone>(
    fields: &mut Fields<'a>,
    key: &'static str,
    diagnostics: &mut Diagnostics<'_>,
    read: impl Fn(TomlValue<'a>) -> Result<T, String>,
) -> Option<Vec<T>> {
    match fields.take(key) {
        Some(value) => filled_list(value, diagnostics, read),
        None => Some(Vec::new()),
    }
}

/// The same, with at most `max` elements.
fn short_list<'a, T: Ord + Clone>(
    fields: &mut Fields<'a>,
    key: &'static str,
    max: usize,
    diagnostics: &mut Diagnostics<'_>,
    read: impl Fn(TomlValue<'a>) -> Result<T, String>,
) -> Option<Vec<T>> {
    let Some(value) = fields.take(key) else { return Some(Vec::new()) };
    let items = filled_list(value, diagnostics, read)?;
    if items.len() > max {
        diagnostics.error(value, format_args!("has {}, of at most {max}", items.len()));
        return None;
    }
    Some(items)
}

fn variant<T: Default + std::str::FromStr + VariantNames>(
    fields: &mut Fields<'_>,
    key: &'static str,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<T> {
    optional(fields.take(key), T::default(), diagnostics, TomlValue::variant)
}

fn word(value: TomlValue<'_>) -> Result<String, String> {
    let text = value.str()?;
    match (1..=WORD_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(format!("expected a text of 1 to {WORD_BYTES_MAX} bytes on one line")),
    }
}

/// Labels and tags have no blanks.
fn label(value: TomlValue<'_>) -> Result<String, String> {
    let text = word(value)?;
    match text.contains(char::is_whitespace) {
        true => Err("a label has no blanks".to_owned()),
        false => Ok(text),
    }
}

fn tag(value: TomlValue<'_>) -> Result<String, String> {
    let text = label(value)?;
    match text.len() <= TAG_BYTES_MAX {
        true => Ok(text),
        false => Err(format!("a tag has at most {TAG_BYTES_MAX} bytes")),
    }
}
