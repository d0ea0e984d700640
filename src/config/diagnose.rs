//! Turns what is wrong with a configuration into words: which key, where it
//! stands, and what to write instead.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::schema::{self, Key};

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read at all.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// Everything that is wrong, in the order it was found; never empty.
    #[error("the configuration cannot be used:{}", list(.0))]
    Invalid(Vec<Problem>),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`, when the problem belongs to one.
    pub key: Option<String>,
    pub place: Place,
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    File {
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// Name of the environment variable.
    Env(String),
    /// The flag as it is typed, with its dashes.
    Flag(&'static str),
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    fix: {}", self.place, self.message, self.fix)
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// Where each setting that is not at its default came from, by `section.key`.
#[derive(Debug, Default)]
pub struct Origins(pub BTreeMap<String, Place>);

impl Origins {
    pub fn of(&self, path: &str) -> Place {
        self.0.get(path).cloned().unwrap_or(Place::Default)
    }
}

/// How to write `key` correctly at `place`.
pub fn how_to_write(key: &Key, place: &Place) -> String {
    let sample = key.sample();
    match place {
        Place::File { .. } | Place::Default => format!("for example `{} = {sample}`", key.name),
        Place::Env(name) => format!("for example `{name}={}`", plain(&sample)),
        Place::Flag(flag) => format!("for example `{flag} {}`", plain(&sample)),
    }
}

/// A TOML value as it is typed on a command line.
fn plain(sample: &str) -> String {
    let bare: String = sample.chars().filter(|c| !"[]\"\n".contains(*c)).collect();
    let items: Vec<_> = bare.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    items.join(",")
}

/// A value that does not have the type of its setting. `why` is serde's message.
pub fn wrong_type(key: &Key, place: Place, why: &str) -> Problem {
    let message = if key.path() == "server.api_key" {
        // Serde repeats the value, which is a secret here.
        "it is not a text in quotes".to_owned()
    } else {
        why.replace("expected usize", "expected a whole number, 0 or more")
            .replace("expected u64", "expected a whole number, 0 or more")
            .replace("expected a boolean", "expected true or false")
            .replace("expected a sequence", "expected a list in [ ]")
            .replace("expected path string", "expected a path in quotes")
            .replace("expected socket address", "expected an address and a port in quotes")
            .replace("invalid socket address syntax", "it is not an IP address with a port")
            .replace("expected a string", "expected a text in quotes")
    };
    Problem {
        key: Some(key.path()),
        message: format!("{}: {message}", key.path()),
        fix: how_to_write(key, &place),
        place,
    }
}

/// A section of a file that does not exist.
pub fn unknown_section(name: &str, place: Place) -> Problem {
    let fix = match schema::keys().find(|key| key.name == name) {
        Some(key) => format!("`{name}` belongs in the section [{}]", key.section),
        None => match closest(name, schema::sections().map(|(section, _)| section.to_owned())) {
            Some(section) => format!("did you mean [{section}]?"),
            None => {
                let all: Vec<_> = schema::sections().map(|(name, _)| format!("[{name}]")).collect();
                format!("remove it; the sections are {}", all.join(", "))
            }
        },
    };
    let message = format!("there is no section or key `{name}`");
    Problem { key: Some(name.to_owned()), place, message, fix }
}

/// A key of a file that its section does not have.
pub fn unknown_key(section: &str, name: &str, place: Place) -> Problem {
    let siblings: Vec<_> = schema::keys_of(section).map(|key| key.name.to_owned()).collect();
    let elsewhere = schema::keys().find(|key| key.name == name);
    let fix = if let Some(near) = closest(name, siblings.iter().cloned()) {
        format!("did you mean `{near}`?")
    } else if let Some(key) = elsewhere {
        format!("`{name}` belongs in the section [{}]", key.section)
    } else {
        format!("remove it; [{section}] has {}", siblings.join(", "))
    };
    let path = format!("{section}.{name}");
    Problem { message: format!("there is no setting `{path}`"), key: Some(path), place, fix }
}

/// A variable of our prefix that sets nothing.
pub fn unknown_variable(name: &str) -> Problem {
    let fix = match closest(name, schema::keys().map(|key| key.env())) {
        Some(near) => format!("did you mean {near}?"),
        None => {
            let section = schema::sections().map(|(section, _)| section).find(|section| {
                name.to_ascii_lowercase().starts_with(&format!(
                    "{}{section}",
                    super::environment::PREFIX.to_ascii_lowercase()
                ))
            });
            let all: Vec<_> =
                section.into_iter().flat_map(schema::keys_of).map(|key| key.env()).collect();
            format!("unset it, or use one of {}", all.join(", "))
        }
    };
    Problem {
        key: None,
        place: Place::Env(name.to_owned()),
        message: "no setting has this name".to_owned(),
        fix,
    }
}

/// The candidate that differs from `name` by a slip of the fingers, if there is
/// one: at most a third of the letters, and at most three.
pub fn closest(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let limit = (name.len() / 3).clamp(1, 3);
    candidates
        .map(|candidate| (edit_distance(name, &candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace) that turn one name into the other.
pub fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
