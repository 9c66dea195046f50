//! A stand-in of Jira Cloud with the rules that matter: issues with labels, properties, comments
//! and transitions, and a search that is behind. It answers like the REST API 3, and refuses what
//! Jira refuses. Used by the tests of the adapter and by the simulation.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use stentor::model::time::Timestamp;

use super::adf;

/// A request of the adapter.
#[derive(Clone, Debug)]
pub(crate) struct JiraRequest {
    pub method: String,
    /// Below `/rest/api/3/`, with the query.
    pub path: String,
    pub body: Value,
    /// The `authorization` header.
    pub authorization: Option<String>,
}

/// The status, and the body.
pub(crate) type JiraAnswer = (u16, Value);

/// A site with one project.
#[derive(Debug)]
pub(crate) struct JiraSite {
    pub project: &'static str,
    /// The `authorization` header that it accepts.
    pub authorization: String,
    /// The transitions out of an open status, and out of a done one.
    pub transitions: [Vec<&'static str>; 2],
    pub issues: BTreeMap<String, Issue>,
    /// Jira refuses a comment on an issue that has this many.
    pub comments_max: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Issue {
    pub number: u64,
    pub created_at: Timestamp,
    pub fields: Value,
    pub labels: Vec<String>,
    pub is_done: bool,
    /// When it last changed between open and done.
    pub changed_at: Timestamp,
    pub is_deleted: bool,
    pub properties: BTreeMap<String, Value>,
    /// The text of the description, then of each comment.
    pub entries: Vec<String>,
    /// The issues that the search knows, each from a time on.
    indexed: Vec<(Timestamp, Indexed)>,
}

#[derive(Clone, Debug)]
struct Indexed {
    labels: Vec<String>,
    is_done: bool,
    changed_at: Timestamp,
    is_deleted: bool,
}

impl JiraSite {
    pub(crate) fn new(project: &'static str, authorization: &str) -> Self {
        Self {
            project,
            authorization: authorization.to_owned(),
            transitions: [vec!["Start", "Done"], vec!["to do"]],
            issues: BTreeMap::new(),
            comments_max: 5_000,
        }
    }

    /// Answers a request. The search sees its effect after `delay`.
    pub(crate) fn answer(
        &mut self,
        request: &JiraRequest,
        now: Timestamp,
        delay: Duration,
    ) -> JiraAnswer {
        if request.authorization.as_ref() != Some(&self.authorization) {
            return self.anonymous(request);
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let parts: Vec<&str> = path.split('/').collect();
        let visible_at = now.after(delay);
        match (&*request.method, &parts[..]) {
            ("GET", ["myself"]) => (200, json!({"accountId": "1"})),
            ("POST", ["search"]) => {
                (410, json!({"errorMessages": ["The requested API has been removed."]}))
            }
            ("POST", ["search", "jql"]) => self.search(&request.body, now),
            ("POST", ["issue"]) => self.create(&request.body, now, visible_at),
            (_, ["issue", key, rest @ ..]) => match self.issues.get_mut(*key) {
                Some(issue) if !issue.is_deleted => {
                    let transitions = &self.transitions[usize::from(issue.is_done)];
                    let answer = match (&*request.method, rest) {
                        ("GET", []) => issue.show(key, query),
                        ("PUT", []) => issue.edit(&request.body),
                        ("POST", ["comment"]) => issue.comment(&request.body, self.comments_max),
                        ("PUT", ["properties", name]) => issue.set_property(name, &request.body),
                        ("GET", ["transitions"]) => show_transitions(transitions),
                        ("POST", ["transitions"]) => {
                            let count = transitions.len();
                            issue.transition(&request.body, count, now)
                        }
                        _ => (405, json!({})),
                    };
                    if request.method != "GET" {
                        issue.index(visible_at);
                    }
                    answer
                }
                _ => not_found(),
            },
            _ => (404, json!({})),
        }
    }

    /// A request without a valid token: Jira answers as to anyone.
    fn anonymous(&self, request: &JiraRequest) -> JiraAnswer {
        match (&*request.method, &*request.path) {
            ("GET", "myself") | ("POST", "issue") => {
                (401, json!({"message": "Client must be authenticated to access this resource."}))
            }
            (_, "search/jql") => (
                400,
                json!({"errorMessages": [format!("The value '{}' does not exist for the field 'project'.", self.project)]}),
            ),
            _ => not_found(),
        }
    }

    fn create(&mut self, body: &Value, now: Timestamp, visible_at: Timestamp) -> JiraAnswer {
        let fields = &body["fields"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels: Vec<String> =
            fields["labels"].as_array().into_iter().flatten().map(text).collect();
        let mut errors = BTreeMap::new();
        if fields["project"]["key"] != self.project {
            errors.insert("project", "Specify a valid project ID or key".to_owned());
        }
        if !["Task", "Bug"].contains(&&*text(&fields["issuetype"]["name"])) {
            errors.insert("issuetype", "Specify an issue type".to_owned());
        }
        let summary = text(&fields["summary"]);
        if !(1..=255).contains(&summary.chars().count()) || summary.contains('\n') {
            errors.insert("summary", "Summary is not valid".to_owned());
        }
        if labels.iter().any(|label| label.contains(char::is_whitespace) || label.len() > 255) {
            errors.insert("labels", "The label can't contain spaces.".to_owned());
        }
        let description = adf::text(&fields["description"]);
        if let Err(fault) = &description {
            errors.insert("description", fault.clone());
        }
        if !errors.is_empty() {
            return (400, json!({"errorMessages": [], "errors": errors}));
        }
        let properties = body["properties"].as_array().into_iter().flatten();
        let properties = properties.map(|one| (text(&one["key"]), one["value"].clone()));
        let number = self.issues.len() as u64 + 1;
        let mut issue = Issue {
            number,
            created_at: now,
            fields: fields.clone(),
            labels,
            is_done: false,
            changed_at: now,
            is_deleted: false,
            properties: properties.collect(),
            entries: description.into_iter().collect(),
            indexed: Vec::new(),
        };
        issue.index(visible_at);
        let key = format!("{}-{number}", self.project);
        self.issues.insert(key.clone(), issue);
        (
            201,
            json!({"id": number.to_string(), "key": key, "self": "https://example.atlassian.net/rest/api/3/issue/1"}),
        )
    }

    fn search(&self, body: &Value, now: Timestamp) -> JiraAnswer {
        if body["fields"] != json!(["labels"]) {
            return (400, json!({"errorMessages": ["only ids without named fields"]}));
        }
        let jql = body["jql"].as_str().unwrap_or_default();
        let Some(query) = jql.strip_suffix(" ORDER BY created DESC") else {
            return (400, json!({"errorMessages": ["no order"]}));
        };
        let mut found = Vec::new();
        for (key, issue) in &self.issues {
            let Some(known) = issue.indexed(now).filter(|known| !known.is_deleted) else {
                continue;
            };
            let query_of = Query { rest: query, project: self.project, known, now };
            match query_of.holds() {
                Some(true) => found.push((issue.number, key, known)),
                Some(false) => {}
                None => {
                    return (
                        400,
                        json!({"errorMessages": [format!("Error in the JQL Query: {query}")]}),
                    );
                }
            }
        }
        found.sort_by_key(|(number, _, _)| std::cmp::Reverse(*number));
        let max = body["maxResults"].as_u64().unwrap_or(50) as usize;
        let issue = |(number, key, known): (u64, &String, &Indexed)| json!({"id": number.to_string(), "key": key, "fields": {"labels": known.labels}});
        let is_last = found.len() <= max;
        let issues: Vec<Value> = found.into_iter().take(max).map(issue).collect();
        (200, json!({"issues": issues, "isLast": is_last}))
    }
}

impl Issue {
    fn index(&mut self, visible_at: Timestamp) {
        let latest = self.indexed.last().map_or(visible_at, |(at, _)| visible_at.max(*at));
        let known = Indexed {
            labels: self.labels.clone(),
            is_done: self.is_done,
            changed_at: self.changed_at,
            is_deleted: self.is_deleted,
        };
        self.indexed.push((latest, known));
    }

    /// The part of it that the search knows.
    fn indexed(&self, now: Timestamp) -> Option<&Indexed> {
        self.indexed.iter().rev().find(|(at, _)| *at <= now).map(|(_, known)| known)
    }

    /// When the search first finds it by this label.
    pub(crate) fn found_from(&self, label: &str) -> Option<Timestamp> {
        let has_label = |known: &Indexed| known.labels.iter().any(|other| other == label);
        self.indexed.iter().find(|(_, known)| has_label(known)).map(|(at, _)| *at)
    }

    pub(crate) fn delete(&mut self, visible_at: Timestamp) {
        self.is_deleted = true;
        self.index(visible_at);
    }

    pub(crate) fn set_done(&mut self, is_done: bool, now: Timestamp, visible_at: Timestamp) {
        if self.is_done != is_done {
            (self.is_done, self.changed_at) = (is_done, now);
        }
        self.index(visible_at);
    }

    fn show(&self, key: &str, query: &str) -> JiraAnswer {
        if query != "fields=labels,status&properties=stentor" {
            return (400, json!({"errorMessages": [format!("unexpected query {query}")]}));
        }
        let (name, category) = if self.is_done { ("Done", "done") } else { ("Open", "new") };
        let status = json!({"name": name, "statusCategory": {"key": category}});
        let properties = self.properties.clone();
        (
            200,
            json!({"key": key, "fields": {"labels": self.labels, "status": status}, "properties": properties}),
        )
    }

    fn comment(&mut self, body: &Value, comments_max: usize) -> JiraAnswer {
        if self.entries.len() > comments_max {
            return (413, json!({"errorMessages": ["The issue has too many comments."]}));
        }
        match adf::text(&body["body"]) {
            Ok(text) => {
                self.entries.push(text);
                (201, json!({"id": "1"}))
            }
            Err(fault) => (400, json!({"errorMessages": [], "errors": {"comment": fault}})),
        }
    }

    fn set_property(&mut self, name: &str, value: &Value) -> JiraAnswer {
        let known = self.properties.insert(name.to_owned(), value.clone());
        (if known.is_some() { 200 } else { 201 }, Value::Null)
    }

    fn edit(&mut self, body: &Value) -> JiraAnswer {
        for operation in body["update"]["labels"].as_array().into_iter().flatten() {
            if let Some(label) = operation["remove"].as_str() {
                self.labels.retain(|known| known != label);
            }
            if let Some(label) = operation["add"].as_str()
                && !self.labels.iter().any(|known| known == label)
            {
                self.labels.push(label.to_owned());
            }
        }
        (204, Value::Null)
    }

    /// The last transition of a status leads to the other one, the others lead nowhere.
    fn transition(&mut self, body: &Value, count: usize, now: Timestamp) -> JiraAnswer {
        let id = body["transition"]["id"].as_str().and_then(|id| id.parse::<usize>().ok());
        match id.filter(|id| *id < count) {
            Some(id) => {
                if id + 1 == count {
                    (self.is_done, self.changed_at) = (!self.is_done, now);
                }
                (204, Value::Null)
            }
            None => {
                (400, json!({"errorMessages": ["It isn't valid for this workflow"], "errors": {}}))
            }
        }
    }
}

fn show_transitions(names: &[&str]) -> JiraAnswer {
    let transition = |(id, name): (usize, &&str)| json!({"id": id.to_string(), "name": name});
    (200, json!({"transitions": names.iter().enumerate().map(transition).collect::<Vec<_>>()}))
}

fn not_found() -> JiraAnswer {
    let why = "Issue does not exist or you do not have permission to see it.";
    (404, json!({"errorMessages": [why], "errors": {}}))
}

/// A query in JQL, as far as the adapter uses it, about one issue.
struct Query<'a> {
    rest: &'a str,
    project: &'a str,
    known: &'a Indexed,
    now: Timestamp,
}

impl<'a> Query<'a> {
    /// `None` for an error in the query.
    fn holds(mut self) -> Option<bool> {
        let holds = self.or()?;
        self.rest.is_empty().then_some(holds)
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn or(&mut self) -> Option<bool> {
        let mut holds = self.and()?;
        while self.take(" OR ") {
            holds |= self.and()?;
        }
        Some(holds)
    }

    fn and(&mut self) -> Option<bool> {
        let mut holds = self.term()?;
        while self.take(" AND ") {
            holds &= self.term()?;
        }
        Some(holds)
    }

    fn term(&mut self) -> Option<bool> {
        if self.take("(") {
            let holds = self.or()?;
            return self.take(")").then_some(holds);
        }
        if self.take("project = ") {
            return Some(self.word()? == self.project);
        }
        if self.take("labels = ") {
            let label = self.word()?;
            return Some(self.has(label));
        }
        if self.take("labels in (") {
            let mut holds = false;
            loop {
                let label = self.word()?;
                holds |= self.has(label);
                if self.take(")") {
                    return Some(holds);
                }
                if !self.take(", ") {
                    return None;
                }
            }
        }
        if self.take("statusCategory = Done") {
            return Some(self.known.is_done);
        }
        if self.take("statusCategory != Done") {
            return Some(!self.known.is_done);
        }
        if self.take("statusCategoryChangedDate >= -") {
            let (minutes, rest) = self.rest.split_once('m')?;
            self.rest = rest;
            let period = Duration::from_secs(60 * minutes.parse::<u64>().ok()?);
            return Some(self.known.changed_at >= self.now.before(period));
        }
        None
    }

    fn word(&mut self) -> Option<&'a str> {
        let (word, rest) = self.rest.strip_prefix('"')?.split_once('"')?;
        self.rest = rest;
        Some(word)
    }

    fn has(&self, label: &str) -> bool {
        self.known.labels.iter().any(|known| known == label)
    }
}
