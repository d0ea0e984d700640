//! Translation memory: texts that were translated before, found again exactly
//! or nearly.

mod index;
#[cfg(test)]
mod tests;
mod tmx;
mod write;

use serde::{Deserialize, Serialize};

pub use index::{Index, Match};
pub use tmx::{LeftOut, TmxError, parse, read};
pub use write::write;

/// Longest text of a unit, in characters.
pub const MAX_TEXT: usize = 20_000;

/// A text and its translations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// At most one of a language.
    pub texts: Vec<Variant>,
    /// When it was last changed, in seconds since 1970; 0 if that is not known.
    #[serde(default)]
    pub changed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A text of a unit in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Two letters; see [`crate::text::known`].
    pub language: String,
    /// With its tags as [`Tagged::marked`] writes them.
    ///
    /// [`Tagged::marked`]: crate::documents::tagged::Tagged::marked
    pub text: String,
}

impl Unit {
    /// A text and its translation.
    pub fn new(source: (&str, String), target: (&str, String), changed: u64) -> Self {
        let variant =
            |(language, text): (&str, String)| Variant { language: language.to_owned(), text };
        Self { texts: vec![variant(source), variant(target)], changed, note: None }
    }

    pub fn text(&self, language: &str) -> Option<&str> {
        self.texts.iter().find(|text| text.language == language).map(|text| &*text.text)
    }
}

/// As texts are compared: white space made one, ends trimmed, composed (NFC).
pub fn normalized(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    let mut joined = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.extend(word.nfc());
    }
    joined
}
