//! Two records held against each other: what was there when a result was made,
//! and what is there now.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Record, RecordError, plain};

/// What became of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// It differs, and need not change the result.
    Note,
    Differs,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Differs => "differs",
        }
    }
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    pub outcome: Outcome,
    /// In words.
    pub detail: String,
}

impl Check {
    pub fn new(name: impl Into<String>, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { name: name.into(), outcome, detail: detail.into() }
    }
}

/// Parts of a record that say what made the result.
const PARTS: [&str; 6] = ["models", "sampling", "prompts", "terms", "memories", "server"];
/// Differences that a result need not show, which is compared for itself: names, the
/// program, the machine.
const NOTES: [&str; 5] = ["server", "id", "name", "device", "instructions"];

/// A check for each part, or for each thing in it that differs.
///
/// # Errors
/// A record cannot be written as JSON.
pub fn differences(recorded: &Record, now: &Record) -> Result<Vec<Check>, RecordError> {
    let (recorded, now) = (plain(recorded)?, plain(now)?);
    let mut checks = Vec::new();
    for part in PARTS {
        let (before, after) = (leaves(part, &recorded[part]), leaves(part, &now[part]));
        let places: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let mut same = true;
        for place in places {
            let (was, is) = (before.get(place), after.get(place));
            if was == is {
                continue;
            }
            same = false;
            let last = place.rsplit('/').next().unwrap_or_default();
            let outcome = match NOTES.contains(&part) || NOTES.contains(&last) {
                true => Outcome::Note,
                false => Outcome::Differs,
            };
            let nothing = "nothing".to_owned();
            let (was, is) = (was.unwrap_or(&nothing), is.unwrap_or(&nothing));
            checks.push(Check::new(place, outcome, format!("was {was}, is {is}")));
        }
        if same && !before.is_empty() {
            checks.push(Check::new(part, Outcome::Ok, "as recorded"));
        }
    }
    Ok(checks)
}

/// What a value is made of, by where it stands. Things of a list are told by what
/// they are called.
fn leaves(place: &str, value: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(place, value, &mut found);
    found
}

fn collect(place: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                collect(&format!("{place}/{name}"), value, found);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                // A model is told by what it does, a file by its name.
                let called = match place {
                    "models" => item["role"].as_str(),
                    place if place.ends_with("/files") => item["name"].as_str(),
                    _ => None,
                };
                let called = called.map_or_else(|| (at + 1).to_string(), str::to_owned);
                collect(&format!("{place}/{called}"), item, found);
            }
        }
        Value::Null => {}
        Value::String(text) => drop(found.insert(place.to_owned(), text.clone())),
        other => drop(found.insert(place.to_owned(), other.to_string())),
    }
}
