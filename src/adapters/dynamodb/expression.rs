//! Update and condition expressions. Each name and value is behind a placeholder, so that a name
//! may be a reserved word and a value is never read as syntax.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// The parts of an update.
#[derive(Default)]
pub(super) struct Expression {
    sets: Vec<String>,
    removes: Vec<String>,
    adds: Vec<String>,
    conditions: Vec<String>,
    pub names: HashMap<String, String>,
    pub values: HashMap<String, AttributeValue>,
}

impl Expression {
    pub(super) fn set(mut self, name: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(name), self.value(value));
        self.sets.push(format!("{name} = {value}"));
        self
    }

    /// Adds to a number, which exists.
    pub(super) fn increase(mut self, name: &str, by: AttributeValue) -> Self {
        let (name, by) = (self.name(name), self.value(by));
        self.sets.push(format!("{name} = {name} + {by}"));
        self
    }

    /// Sets an attribute unless it has a value.
    pub(super) fn set_if_absent(mut self, name: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(name), self.value(value));
        self.sets.push(format!("{name} = if_not_exists({name}, {value})"));
        self
    }

    pub(super) fn set_or_remove(self, name: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self.remove(name),
        }
    }

    pub(super) fn remove(mut self, name: &str) -> Self {
        let name = self.name(name);
        self.removes.push(name);
        self
    }

    /// Adds elements to a set. Creates the set if it is absent.
    pub(super) fn add(mut self, name: &str, elements: AttributeValue) -> Self {
        let (name, elements) = (self.name(name), self.value(elements));
        self.adds.push(format!("{name} {elements}"));
        self
    }

    pub(super) fn when_equal(mut self, name: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(name), self.value(value));
        self.conditions.push(format!("{name} = {value}"));
        self
    }

    pub(super) fn when_equal_or_absent(self, name: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.when_equal(name, value),
            None => self.when_absent(name),
        }
    }

    pub(super) fn when_absent(mut self, name: &str) -> Self {
        let name = self.name(name);
        self.conditions.push(format!("attribute_not_exists({name})"));
        self
    }

    pub(super) fn when_present(mut self, name: &str) -> Self {
        let name = self.name(name);
        self.conditions.push(format!("attribute_exists({name})"));
        self
    }

    /// Compares a count, of which zero is the same as absent.
    pub(super) fn when_count(self, name: &str, count: u64) -> Self {
        match count {
            0 => self.when_absent(name),
            count => self.when_equal(name, super::item::number(count)),
        }
    }

    /// At least one of these holds: an attribute, an operator and an operand. Without an operand:
    /// the attribute is absent.
    pub(super) fn when_any(
        mut self,
        alternatives: &[(&str, &str, Option<AttributeValue>)],
    ) -> Self {
        let mut parts = Vec::with_capacity(alternatives.len());
        for (name, operator, value) in alternatives {
            let name = self.name(name);
            parts.push(match value {
                Some(value) => format!("{name} {operator} {}", self.value(value.clone())),
                None => format!("attribute_not_exists({name})"),
            });
        }
        self.conditions.push(format!("({})", parts.join(" OR ")));
        self
    }

    pub(super) fn update(&self) -> String {
        let part = |verb: &str, items: &[String]| match items {
            [] => String::new(),
            items => format!("{verb} {} ", items.join(", ")),
        };
        (part("SET", &self.sets) + &part("REMOVE", &self.removes) + &part("ADD", &self.adds))
            .trim_end()
            .to_owned()
    }

    pub(super) fn condition(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }

    /// `None` without values: DynamoDB refuses an empty map.
    pub(super) fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    fn name(&mut self, name: &str) -> String {
        if let Some((placeholder, _)) = self.names.iter().find(|(_, known)| *known == name) {
            return placeholder.clone();
        }
        let placeholder = format!("#n{}", self.names.len());
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }
}
