//! `POST /translate` and `GET /languages`, as LibreTranslate has them.

use serde::{Deserialize, Serialize};

use super::super::fields::{Fields, Rule, neutral};
use super::inputs::Inputs;

/// Texts to be translated.
#[derive(Debug, Deserialize)]
pub struct TranslateRequest {
    /// A text, or texts.
    pub q: Inputs,
    /// The language of the texts: a code of `/languages`. "auto" only goes with
    /// models that are not told it.
    pub source: String,
    /// The language to write.
    pub target: String,
    /// "text", the only format.
    pub format: Option<String>,
    /// A loaded translation model; an extension. Without it the first one.
    pub model: Option<String>,
    /// Beams of the search, 1 for greedy decoding; an extension. By default as
    /// many as the model's own configuration says.
    pub num_beams: Option<usize>,
}

impl Fields for TranslateRequest {
    const RULES: &'static [Rule] = &[
        Rule::refuse("alternatives", |v| *v == 0, "one translation is given for each text"),
        Rule::refuse("api_key", neutral::empty, "send it as `Authorization: Bearer …`"),
    ];
}

/// A translation, or translations in the order of the texts.
#[derive(Debug, Serialize)]
pub struct TranslateResponse {
    #[serde(rename = "translatedText")]
    pub translated_text: OneOrMany,
}

/// In the shape of `q`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A language that the model reads and writes.
#[derive(Debug, Serialize)]
pub struct LanguageEntry {
    /// Two letters where the language has some, otherwise the model's own code.
    pub code: String,
    /// In English, where it is known, otherwise the code.
    pub name: String,
    /// What it can be translated into.
    pub targets: Vec<String>,
}

/// What went wrong.
#[derive(Debug, Serialize)]
pub struct ErrorBody {
    pub error: String,
}
