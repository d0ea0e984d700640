//! What the derived description of [`Config`] says: sections, keys, defaults.
//!
//! Everything that needs to know which settings exist (environment names, the
//! template, "did you mean") asks here, so the struct stays the only list.

use confique::Config as _;
use confique::meta::{Expr, Field, FieldKind, LeafKind, Meta};

use super::Config;

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    field: &'static Field,
}

/// The comment lines at the head of the whole configuration.
pub fn header() -> &'static [&'static str] {
    META.doc
}

static META: Meta = Config::META;

/// Sections in the order of the struct, each with its comment lines.
pub fn sections() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    META.fields.iter().map(|field| (field.name, field.doc))
}

/// All settings of one section, in the order of the struct; none for a section
/// that does not exist.
pub fn keys_of(section: &str) -> impl Iterator<Item = Key> + use<> {
    let found = META.fields.iter().find_map(|field| match field.kind {
        FieldKind::Nested { meta } if field.name == section => Some((field.name, meta.fields)),
        _ => None,
    });
    found.into_iter().flat_map(|(section, fields)| {
        fields.iter().map(move |field| Key { section, name: field.name, field })
    })
}

/// Every setting.
pub fn keys() -> impl Iterator<Item = Key> {
    sections().flat_map(|(section, _)| keys_of(section))
}

/// The setting with this section and name.
pub fn key(section: &str, name: &str) -> Option<Key> {
    keys_of(section).find(|key| key.name == name)
}

impl Key {
    /// `section.name`, as messages call it.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The environment variable that sets it.
    pub fn env(&self) -> String {
        format!("{}{}_{}", super::environment::PREFIX, self.section, self.name).to_ascii_uppercase()
    }

    /// Comment lines for users, without the `Example:` line.
    pub fn doc(&self) -> impl Iterator<Item = &'static str> {
        self.field.doc.iter().copied().filter(|line| example(line).is_none())
    }

    /// A value that parses, as TOML on one line: the default, or the example for
    /// a setting that has none.
    pub fn sample(&self) -> String {
        match self.default() {
            Some(value) => toml_value(value),
            None => {
                self.field.doc.iter().find_map(|line| example(line)).unwrap_or("...").to_owned()
            }
        }
    }

    /// [`Self::sample`] with one item a line where a list would be long.
    pub fn sample_wrapped(&self) -> String {
        let line = self.sample();
        match self.default() {
            Some(Expr::Array(items)) if line.len() > 60 => {
                let items: Vec<_> = items.iter().map(toml_value).collect();
                format!("[\n    {},\n]", items.join(",\n    "))
            }
            _ => line,
        }
    }

    fn default(&self) -> Option<&'static Expr> {
        match &self.field.kind {
            FieldKind::Leaf { kind: LeafKind::Required { default }, .. } => default.as_ref(),
            _ => None,
        }
    }
}

fn example(line: &'static str) -> Option<&'static str> {
    line.trim().strip_prefix("Example: ")
}

fn toml_value(value: &Expr) -> String {
    match value {
        Expr::Str(text) => format!("{text:?}"),
        Expr::Integer(number) => number.to_string(),
        Expr::Float(number) => number.to_string(),
        Expr::Bool(truth) => truth.to_string(),
        Expr::Array(items) => {
            let items: Vec<_> = items.iter().map(toml_value).collect();
            format!("[{}]", items.join(", "))
        }
        // No setting has a map as its default; the template's test would show one.
        _ => "...".to_owned(),
    }
}
