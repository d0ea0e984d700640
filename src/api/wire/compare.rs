//! `/v1/compare`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::fields::{Fields, Rule};
use super::super::openapi::closed;
use super::super::strict::strict;
use super::record::RecordBody;
use super::summary::ParagraphField;

/// Two texts to be compared.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct CompareRequest {
    /// The first text, such as the older version.
    #[serde(deserialize_with = "strict")]
    pub a: TextField,
    /// The second text.
    #[serde(deserialize_with = "strict")]
    pub b: TextField,
    /// A loaded model that embeds, for texts of two languages; the first one
    /// without it.
    pub model: Option<String>,
    /// Report passages that are equal too; false without it.
    pub equal: Option<bool>,
    /// Answer with a signed record of what made the comparison.
    pub record: Option<bool>,
    /// Refuse the request unless the same one always gets the same bytes.
    pub deterministic: Option<bool>,
}

impl Fields for CompareRequest {
    const RULES: &'static [Rule] = &[];
}

/// A text, a paragraph a line, or its paragraphs as a list.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct TextField {
    pub text: Option<String>,
    pub paragraphs: Option<Vec<ParagraphField>>,
}

impl Fields for TextField {
    const RULES: &'static [Rule] = &[];
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct CompareResponse {
    /// Two letters; null where they are not known.
    pub language_a: Option<String>,
    pub language_b: Option<String>,
    /// The model that compared languages; null for one language.
    pub model: Option<String>,
    pub counts: Counts,
    /// In the order of the texts.
    pub rows: Vec<RowBody>,
    /// What the comparison is worth.
    pub note: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordBody>,
}

/// Rows of each kind, equal ones included.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Counts {
    pub equal: usize,
    pub changed: usize,
    pub moved: usize,
    pub only_a: usize,
    pub only_b: usize,
}

/// Passages that belong together, or one that stands alone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RowBody {
    /// "equal", "changed", "moved", "only_a" or "only_b".
    pub outcome: &'static str,
    pub a: Vec<PassageBody>,
    pub b: Vec<PassageBody>,
    /// From 0 to 1: of words in one language, of embeddings across languages.
    pub likeness: Option<f32>,
    /// Word by word, of one language.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeBody>,
    /// Sentences of a changed passage that the other does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sentences_only_a: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sentences_only_b: Vec<String>,
    /// Numbers, dates, references and links that only one has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A paragraph.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PassageBody {
    /// Its number, from 1.
    pub paragraph: usize,
    /// The caller's name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub text: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangeBody {
    /// "both", "a" or "b": which text has it.
    pub of: &'static str,
    pub text: String,
}
