//! `models.quantize`: what becomes of weights, for all models or for one.

use super::Models;

/// The types that can be written.
pub const TYPES: [&str; 13] = [
    "none", "int16", "bf16", "bf16x2", "q8_0", "q6_k", "q5_k", "q5_1", "q5_0", "q4_k", "q4_1",
    "q4_0", "q3_k",
];

/// What holds where nothing is said.
const DEFAULT: &str = "int16";

impl Models {
    /// The type for a model: what is said for its name, else for all.
    pub fn quantize_for(&self, model: &str) -> &str {
        let entries = || self.quantize.iter().map(|entry| split(entry));
        let named = entries().find(|(name, _)| *name == Some(model));
        let general = || entries().find(|(name, _)| name.is_none());
        named.or_else(general).map_or(DEFAULT, |(_, kind)| kind)
    }
}

/// The model, if there is one, and the type of an entry.
fn split(entry: &str) -> (Option<&str>, &str) {
    match entry.rsplit_once('=') {
        Some((name, kind)) => (Some(name.trim()), kind.trim()),
        None => (None, entry.trim()),
    }
}

/// What is wrong with the entries.
pub fn fault(entries: &[String]) -> Option<String> {
    let mut seen = Vec::new();
    for entry in entries {
        let (name, kind) = split(entry);
        if name == Some("") {
            return Some(format!("has \"{entry}\", which names no model"));
        }
        if !TYPES.contains(&kind) {
            return Some(format!("has \"{entry}\"; a type is one of {}", TYPES.join(", ")));
        }
        if seen.contains(&name) {
            let whom = name.unwrap_or("all models");
            return Some(format!("has two types for {whom}; leave one out"));
        }
        seen.push(name);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_name_goes_before_all_models() {
        let mut models = Config::default().models;
        assert_eq!(models.quantize_for("a"), "int16");
        for (entries, a, b) in [
            (&["q8_0"][..], "q8_0", "q8_0"),
            (&["q8_0", "a=none"], "none", "q8_0"),
            (&["a=q4_k"], "q4_k", "int16"),
            (&["a = q4_0", "q8_0"], "q4_0", "q8_0"),
            (&[], "int16", "int16"),
        ] {
            models.quantize = entries.iter().map(|&e| e.to_owned()).collect();
            assert_eq!(fault(&models.quantize), None);
            assert_eq!((models.quantize_for("a"), models.quantize_for("b")), (a, b));
        }
    }

    #[test]
    fn faults_are_named() {
        for (entries, part) in [
            (&["q9"][..], "\"q9\"; a type is one of none, int16"),
            (&["a=q9"], "\"a=q9\"; a type"),
            (&["=q8_0"], "names no model"),
            (&["q8_0", "q4_0"], "two types for all models"),
            (&["a=q8_0", "a=q4_0"], "two types for a"),
        ] {
            let entries: Vec<String> = entries.iter().map(|&e| e.to_owned()).collect();
            let found = fault(&entries).unwrap();
            assert!(found.contains(part), "{found}");
        }
    }
}
