//! The exceptions of each language, as `rules.toml` lists them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    abbreviations: Vec<String>,
    ordinals: bool,
    question_mark: Option<char>,
    include: Vec<String>,
}

static TABLES: LazyLock<BTreeMap<String, Table>> = LazyLock::new(|| {
    toml::from_str(include_str!("rules.toml")).expect("rules.toml is part of the program")
});

/// What holds for one language.
pub(super) struct Rules(Vec<&'static Table>);

impl Rules {
    pub fn of(language: Option<&str>) -> Self {
        let primary = language
            .map(|tag| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase());
        let own = match primary.as_deref() {
            None | Some("" | "und") => TABLES.get("unknown"),
            Some("no" | "nn") => TABLES.get("nb"),
            Some(primary) => TABLES.get(primary),
        };
        let included =
            own.into_iter().flat_map(|table| &table.include).filter_map(|l| TABLES.get(l));
        Self(TABLES.get("common").into_iter().chain(own).chain(included).collect())
    }

    /// Whether a text ends with an abbreviation.
    pub fn abbreviated(&self, text: &str) -> bool {
        self.0.iter().flat_map(|table| &table.abbreviations).any(|abbreviation| {
            let Some(before) = strip_loosely(text, abbreviation) else { return false };
            before.chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '.')
        })
    }

    pub fn ordinals(&self) -> bool {
        self.0.iter().any(|table| table.ordinals)
    }

    /// A question mark that Unicode's rules do not know as one.
    pub fn question_mark(&self) -> Option<char> {
        self.0.iter().find_map(|table| table.question_mark)
    }
}

/// What is before `end` if `text` ends with it; spaces may be of any kind, and
/// the first letter may be a capital.
fn strip_loosely<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    let mut rest = text.char_indices().rev();
    let mut at = text.len();
    let count = end.chars().count();
    for (index, wanted) in end.chars().rev().enumerate() {
        let (place, found) = rest.next()?;
        let first = index + 1 == count;
        let same = found == wanted
            || (found.is_whitespace() && wanted == ' ')
            || (first && wanted.to_uppercase().eq([found]));
        if !same {
            return None;
        }
        at = place;
    }
    Some(&text[..at])
}
