//! Termbases: concepts, each with its terms in several languages, from TBX, CSV
//! or TSV; and glossaries, which are a termbase seen from one language to
//! another.

mod check;
mod find;
mod glossary;
mod inflect;
mod table;
mod tbx;
#[cfg(test)]
mod tests;
mod words;

use serde::{Deserialize, Serialize};

use super::charset::Declares;
use super::decode;
pub use check::{Outcome, TermUse};
pub use find::{Finder, Hit, Wanted};
pub use glossary::{Glossary, Pair, glossaries};
pub use words::{Word, bare, fold, unspaced, words};

/// Most terms of a termbase, over all languages.
pub const MAX_TERMS: usize = 200_000;
/// Longest term, in characters.
pub const MAX_TERM: usize = 400;
/// Longest note, in characters.
pub const MAX_NOTE: usize = 4000;

/// What a file's terms are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Termbase {
    pub concepts: Vec<Concept>,
}

/// One thing and what it is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concept {
    /// As the file has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// By language, in the file's order.
    pub terms: Vec<Term>,
    /// Where it stands in its file, from 1.
    pub line: usize,
}

/// A name of a concept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// Two letters; see [`crate::text::known`].
    pub language: String,
    pub text: String,
    /// Not to be written.
    #[serde(default)]
    pub forbidden: bool,
    /// To be written before the other terms of its language.
    #[serde(default)]
    pub preferred: bool,
    /// Its letters are to be as they are here.
    #[serde(default)]
    pub case_sensitive: bool,
}

/// Something about a file that was read all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// From 1.
    pub line: usize,
    pub kind: NoticeKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// An entry says what an earlier one said.
    Duplicate,
    /// A source term is to be translated in two ways.
    Conflict,
    /// An entry has nothing to say.
    Empty,
    /// A language we have no rules for.
    Language,
}

impl NoticeKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Empty => "empty",
            Self::Language => "language",
        }
    }
}

/// A file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermbaseError {
    #[error("line {line}: {message}")]
    Line { line: usize, message: String },
    #[error("{0}")]
    File(String),
}

impl TermbaseError {
    fn at(line: usize, message: impl Into<String>) -> Self {
        Self::Line { line, message: message.into() }
    }

    fn unreadable(why: String) -> Self {
        Self::File(format!("the file cannot be read: {why}"))
    }
}

/// How a file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    Tbx,
    /// With the languages of its two columns, if it has no header.
    Csv(Option<(String, String)>),
    Tsv(Option<(String, String)>),
}

impl Termbase {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn read(bytes: &[u8], format: &Format) -> Result<(Self, Vec<Notice>), TermbaseError> {
        let declares = match format {
            Format::Tbx => Declares::Xml,
            Format::Csv(_) | Format::Tsv(_) => Declares::Nowhere,
        };
        let text = decode::decode(bytes, declares).map_err(TermbaseError::unreadable)?;
        Self::parse(&text, format)
    }

    /// Reads what a file says, whatever charset it declares.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str, format: &Format) -> Result<(Self, Vec<Notice>), TermbaseError> {
        let text = decode::text(text).map_err(TermbaseError::unreadable)?;
        let mut notices = Vec::new();
        let concepts = match format {
            Format::Tbx => tbx::read(text, &mut notices)?,
            Format::Csv(languages) => table::read(text, languages, table::Kind::Csv, &mut notices)?,
            Format::Tsv(languages) => table::read(text, languages, table::Kind::Tsv, &mut notices)?,
        };
        let termbase = Self { concepts };
        if termbase.concepts.is_empty() {
            return Err(TermbaseError::File("the file has no terms".to_owned()));
        }
        notices.extend(termbase.repeated());
        notices.sort_by_key(|notice| notice.line);
        Ok((termbase, notices))
    }

    /// The languages of its terms, sorted.
    pub fn languages(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.terms().map(|term| &*term.language).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// A table with a column for each language, as [`Termbase::read`] takes it.
    pub fn to_csv(&self) -> String {
        table::write(self)
    }

    fn terms(&self) -> impl Iterator<Item = &Term> {
        self.concepts.iter().flat_map(|concept| &concept.terms)
    }

    /// Concepts that say what an earlier one says.
    fn repeated(&self) -> Vec<Notice> {
        let mut seen = std::collections::HashMap::new();
        let mut notices = Vec::new();
        for concept in &self.concepts {
            let mut names: Vec<_> = (concept.terms.iter())
                .map(|term| (&term.language, &term.text, term.forbidden))
                .collect();
            names.sort_unstable();
            if let Some(first) = seen.get(&names) {
                let message = format!("says the same as line {first}");
                let (line, kind) = (concept.line, NoticeKind::Duplicate);
                notices.push(Notice { line, kind, message });
            } else {
                seen.insert(names, concept.line);
            }
        }
        notices
    }
}

/// The two letters of a language tag; of one that is not in our table, the tag
/// itself in lower case, with a notice.
fn language_of(tag: &str, line: usize, notices: &mut Vec<Notice>) -> String {
    if let Some(known) = crate::text::known(tag) {
        return known.short.to_owned();
    }
    let language = tag.to_ascii_lowercase();
    let said = notices.iter().any(|notice| {
        notice.kind == NoticeKind::Language && notice.message.contains(&format!("{language:?}"))
    });
    if !said {
        let message = format!(
            "{language:?} is not in our table of languages; its terms are taken as they are written"
        );
        notices.push(Notice { line, kind: NoticeKind::Language, message });
    }
    language
}

/// A term's text, or what is wrong with it.
fn checked_term(text: &str, line: usize) -> Result<String, TermbaseError> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = text.chars().count();
    if length > MAX_TERM {
        let message = format!("a term has {length} characters; the limit is {MAX_TERM}");
        return Err(TermbaseError::at(line, message));
    }
    if text.chars().any(char::is_control) {
        return Err(TermbaseError::at(line, "a term has control characters"));
    }
    Ok(text)
}

fn checked_note(text: &str, line: usize) -> Result<Option<String>, TermbaseError> {
    let text = text.trim();
    let length = text.chars().count();
    if length > MAX_NOTE {
        let message = format!("a note has {length} characters; the limit is {MAX_NOTE}");
        return Err(TermbaseError::at(line, message));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn check_count(terms: usize, line: usize) -> Result<(), TermbaseError> {
    match terms > MAX_TERMS {
        true => {
            Err(TermbaseError::at(line, format!("more than {MAX_TERMS} terms; split the file")))
        }
        false => Ok(()),
    }
}
