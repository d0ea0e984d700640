//! The listing for programs.

use anyhow::Result;
use serde_json::{Value, json};

use super::entry::{Entry, Machine};
use super::recommend::Advice;
use crate::provision::{Presence, Source, Store};

/// One object: what is free, the models, and with a language what to take.
///
/// # Errors
/// None is to be expected.
pub fn models(
    entries: &[&Entry],
    (machine, store): (&Machine, &Store),
    language: Option<&str>,
    advice: &[Advice<'_>],
) -> Result<String> {
    let mut all = json!({
        "memory_free_bytes": machine.left,
        "models": entries.iter().map(|entry| model(entry, store, language)).collect::<Vec<_>>(),
    });
    if let Some(tag) = language {
        all["language"] = json!(tag);
        let each = advice.iter().map(|a| (a.task.name().to_owned(), recommended(a)));
        all["recommended"] = Value::Object(each.collect());
    }
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

fn recommended(advice: &Advice<'_>) -> Value {
    let named = |(entry, grade): (&Entry, _)| json!({"model": entry.name(), "grade": grade});
    json!({"best": advice.best.map(named), "larger": advice.larger.map(named)})
}

fn model(entry: &Entry, store: &Store, language: Option<&str>) -> Value {
    let state = match &entry.listing.presence {
        Presence::Absent => "absent",
        Presence::Partial(_) => "partial",
        Presence::Present(_) => "present",
    };
    let mut all = json!({
        "name": entry.name(),
        "state": state,
        "bytes": entry.size.map(|(bytes, _)| bytes),
        "bytes_computed": entry.size.map(|(_, computed)| computed),
        "memory": entry.need,
        "memory_bytes": entry.need.map(|need| need.total()),
        "fits": entry.fits,
    });
    if state == "present" {
        all["folder"] = json!(store.folder(entry.name()));
    }
    if let Some(m) = entry.manifest() {
        let known = &m.languages;
        all["title"] = json!(m.title);
        all["task"] = json!(m.task);
        all["parameters"] = json!(m.parameters);
        all["active_parameters"] = json!(m.active_parameters);
        all["context_length"] = json!(m.context_length);
        all["dimensions"] = json!(m.dimensions);
        all["licence"] = json!(m.licence);
        all["commercial_use"] = json!(m.commercial_use);
        all["licence_note"] = json!(m.licence_note);
        all["languages"] = json!({
            "good": known.good, "fair": known.fair, "weak": known.weak, "basis": known.basis,
        });
        all["sources"] = m.sources.iter().map(|source| json!({
            "source": source.label(),
            "verified": match source { Source::Hub(hub) => hub.verified, Source::Wheel(_) => true },
        })).collect();
        all["notes"] = json!(m.notes.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    if let Some(tag) = language {
        all["grade"] = json!(entry.grade(tag));
    }
    all
}
