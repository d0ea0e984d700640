//! Which languages a model is good at, and the names of languages.

mod names;

use serde::{Deserialize, Serialize};

pub use names::{name, named, tags};

/// How well a model does in a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// It knows some of it; what it says or finds is often wrong.
    Weak,
    /// It can be used where somebody checks the result.
    Fair,
    /// Fit for work.
    Good,
}

impl Grade {
    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::Fair => "fair",
            Self::Good => "good",
        }
    }
}

/// Where the grades come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The model's authors name the languages, or publish results in them.
    Authors,
    /// Somebody tried them with this server.
    Trial,
    /// Judged by the model's size and family, and by the languages its authors
    /// name; not measured.
    Estimate,
}

impl Basis {
    /// For people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Authors => "the languages its authors name or publish results in",
            Self::Trial => "tried with this server",
            Self::Estimate => {
                "estimated by its size and the languages its authors name, not measured"
            }
        }
    }
}

/// Languages by how well the model does in them, as BCP 47 tags. What is not
/// named is not to be expected of the model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Languages {
    /// [`Grade::Good`].
    #[serde(default)]
    pub good: Vec<String>,
    /// [`Grade::Fair`].
    #[serde(default)]
    pub fair: Vec<String>,
    /// [`Grade::Weak`].
    #[serde(default)]
    pub weak: Vec<String>,
    /// Where the grades come from.
    pub basis: Basis,
}

impl Languages {
    /// How well the model does in the language of a tag; `None` where it is
    /// not named.
    pub fn grade(&self, tag: &str) -> Option<Grade> {
        let of = [(&self.good, Grade::Good), (&self.fair, Grade::Fair), (&self.weak, Grade::Weak)];
        of.into_iter().find(|(tags, _)| tags.iter().any(|t| t == tag)).map(|(_, grade)| grade)
    }

    /// All of them, the best first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        [&self.good, &self.fair, &self.weak].into_iter().flatten().map(String::as_str)
    }

    /// Whether every tag is known and named once.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut seen = std::collections::BTreeSet::new();
        for tag in self.all() {
            if name(tag).is_none() {
                return Err(format!("languages: `{tag}` is not in the list of known tags"));
            }
            if !seen.insert(tag) {
                return Err(format!("languages: `{tag}` is named twice"));
            }
        }
        match seen.is_empty() {
            true => Err("languages: none is named".to_owned()),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_has_one_grade() {
        let text = "good = ['en']\nfair = ['fr', 'hi']\nweak = ['sw']\nbasis = 'estimate'";
        let languages: Languages = toml::from_str(text).unwrap();
        languages.check().unwrap();
        for (tag, expected) in [
            ("en", Some(Grade::Good)),
            ("hi", Some(Grade::Fair)),
            ("sw", Some(Grade::Weak)),
            ("ar", None),
        ] {
            assert_eq!(languages.grade(tag), expected, "{tag}");
        }
        assert!(Grade::Good > Grade::Fair && Grade::Fair > Grade::Weak);
        for (wrong, expected) in [
            ("good = ['en']\nweak = ['en']\nbasis = 'trial'", "`en` is named twice"),
            ("good = ['xx']\nbasis = 'trial'", "`xx` is not in the list"),
            ("basis = 'trial'", "none is named"),
        ] {
            let languages: Languages = toml::from_str(wrong).unwrap();
            assert!(languages.check().unwrap_err().contains(expected), "{wrong}");
        }
    }
}
