//! `POST /translate` and `GET /languages`, as LibreTranslate has them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::fields::{Fields, Rule, neutral};
use super::super::form::Form;
use super::super::openapi::{Any, closed};
use super::inputs::Inputs;

/// Texts to be translated.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "LibreTranslateRequest", transform = closed::<Self>)]
pub struct TranslateRequest {
    /// A text, or texts.
    #[schemars(with = "Any<(String, Vec<String>)>")]
    pub q: Inputs,
    /// The language of the texts: a code of `/languages`. "auto" only goes with
    /// models that are not told it.
    pub source: String,
    /// The language to write.
    pub target: String,
    /// "text", the only format.
    #[schemars(extend("enum" = ["text", null]))]
    pub format: Option<String>,
    /// A loaded translation model; an extension. Without it the first one.
    pub model: Option<String>,
    /// Beams of the search, 1 for greedy decoding; an extension. By default as
    /// many as the model's own configuration says.
    #[schemars(range(min = 1))]
    pub num_beams: Option<usize>,
    /// Other translations that are wanted of each text, the next best of the
    /// search; as many beams are taken as that needs.
    pub alternatives: Option<usize>,
}

impl Fields for TranslateRequest {
    const RULES: &'static [Rule] =
        &[Rule::refuse("api_key", neutral::empty, "send it as `Authorization: Bearer …`")];
}

impl Form for TranslateRequest {
    const NUMBERS: &'static [&'static str] = &["num_beams", "alternatives"];
    const ONE_OR_MANY: &'static [&'static str] = &["q"];
}

/// A translation, or translations in the order of the texts.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LibreTranslateResponse")]
pub struct TranslateResponse {
    #[serde(rename = "translatedText")]
    pub translated_text: OneOrMany<String>,
    /// Other translations of each text, the better first; fewer where the
    /// search found no more. Only there if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alternatives: Option<OneOrMany<Vec<String>>>,
}

/// In the shape of `q`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The first of `all` where one text was sent alone.
    pub fn of(all: Vec<T>, single: bool) -> Self {
        match <[T; 1]>::try_from(all) {
            Ok([one]) if single => Self::One(one),
            Ok(one) => Self::Many(one.into()),
            Err(all) => Self::Many(all),
        }
    }
}

/// A language that the model reads and writes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LanguageEntry {
    /// Two letters where the language has some, otherwise the model's own code.
    pub code: String,
    /// In English, where it is known, otherwise the code.
    pub name: String,
    /// What it can be translated into.
    pub targets: Vec<String>,
}

/// What went wrong.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LibreTranslateErrorBody")]
pub struct ErrorBody {
    pub error: String,
}
