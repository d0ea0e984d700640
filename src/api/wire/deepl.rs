//! What DeepL's clients send and read.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::fields::{Fields, Rule, neutral};
use super::super::form::Form;
use super::super::openapi::{Any, closed};
use super::desk::Formality;

/// `POST /v2/translate`, as JSON or as a form.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "DeepLTranslateRequest", transform = closed::<Self>)]
pub struct TranslateRequest {
    /// The texts, up to 1000.
    #[schemars(length(min = 1, max = 1000))]
    pub text: Vec<String>,
    /// Their language; detected without it, but required with a glossary.
    pub source_lang: Option<String>,
    /// The language to write.
    pub target_lang: String,
    /// What is known of the texts; not translated.
    pub context: Option<String>,
    /// How to address the reader, for models that are told it.
    pub formality: Option<Formality>,
    /// "0", "1" or "nonewlines".
    pub split_sentences: Option<String>,
    /// "xml" or "html".
    pub tag_handling: Option<String>,
    /// Tags whose content stays as it is; a list, or names with commas between them.
    #[serde(default, deserialize_with = "names")]
    #[schemars(with = "Option<Any<(String, Vec<String>)>>")]
    pub ignore_tags: Vec<String>,
    /// A stored glossary.
    pub glossary_id: Option<String>,
    /// Several.
    #[serde(default, deserialize_with = "names")]
    #[schemars(with = "Option<Any<(String, Vec<String>)>>")]
    pub glossary_ids: Vec<String>,
    /// Count the characters of each text.
    #[serde(default, deserialize_with = "flag")]
    #[schemars(schema_with = "flag_schema")]
    pub show_billed_characters: Option<bool>,
    /// A loaded model; an extension. Without it the first.
    pub model: Option<String>,
}

fn empty_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

impl Fields for TranslateRequest {
    const RULES: &'static [Rule] = &[
        Rule::accept("preserve_formatting", "white space and case are always kept"),
        Rule::accept("outline_detection", "a fragment is cut at sentences, whatever its outline"),
        Rule::accept("non_splitting_tags", "a fragment is not cut at its tags"),
        Rule::accept("tag_handling_version", "there is one"),
        Rule::accept("model_type", "`model` names a model"),
        Rule::accept("enable_beta_languages", "all languages are there"),
        Rule::refuse("splitting_tags", empty_list, "a fragment is only cut at sentences"),
        Rule::refuse("style_id", neutral::never, "there are no style rules"),
        Rule::refuse("custom_instructions", empty_list, "send `context`"),
        Rule::refuse("translation_memory_id", neutral::never, "use /v1/translate with `memory`"),
        Rule::refuse("translation_memory_threshold", neutral::never, "use /v1/translate"),
        Rule::refuse("auth_key", neutral::never, "send `Authorization: DeepL-Auth-Key …`"),
    ];
}

impl Form for TranslateRequest {
    const LISTS: &'static [&'static str] = &["text", "glossary_ids"];
    const ONE_OR_MANY: &'static [&'static str] = &["ignore_tags"];
}

/// A list, or names with commas between them.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a string or an array of strings")]
    enum Names {
        List(Vec<String>),
        Text(String),
    }
    let list = match Option::<Names>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Names::List(list)) => list,
        Some(Names::Text(text)) => vec![text],
    };
    let names = list.iter().flat_map(|names| names.split(','));
    Ok(names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// `true`, or "1" and "0" as forms have it.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    struct Flag;
    impl Visitor<'_> for Flag {
        type Value = bool;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("true or false")
        }

        fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }

        fn visit_unit<E: de::Error>(self) -> Result<bool, E> {
            Ok(false)
        }

        fn visit_str<E: de::Error>(self, value: &str) -> Result<bool, E> {
            match value {
                "1" | "true" => Ok(true),
                "0" | "false" => Ok(false),
                _ => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
            }
        }
    }
    deserializer.deserialize_any(Flag).map(Some)
}

fn flag_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"enum": [true, false, "1", "0", "true", "false", null]})
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeepLTranslateResponse")]
pub struct TranslateResponse {
    pub translations: Vec<Translation>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeepLTranslation")]
pub struct Translation {
    /// In capitals; empty if it is not known.
    pub detected_source_language: String,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed_characters: Option<usize>,
}

/// `POST /v2/document`; fields of `multipart/form-data` beside the `file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "DeepLDocumentRequest", transform = closed::<Self>)]
pub struct DocumentRequest {
    pub source_lang: Option<String>,
    pub target_lang: String,
    pub formality: Option<Formality>,
    /// In place of the file's own.
    pub filename: Option<String>,
    /// An extension; only that of the document.
    pub output_format: Option<String>,
    pub glossary_id: Option<String>,
    #[serde(default, deserialize_with = "names")]
    #[schemars(with = "Option<Any<(String, Vec<String>)>>")]
    pub glossary_ids: Vec<String>,
    /// A loaded model; an extension. Without it the first.
    pub model: Option<String>,
}

impl Fields for DocumentRequest {
    const RULES: &'static [Rule] = &[
        Rule::accept("enable_beta_languages", "all languages are there"),
        Rule::accept("model_type", "`model` names a model"),
        Rule::refuse("style_id", neutral::never, "there are no style rules"),
        Rule::refuse("translation_memory_id", neutral::never, "use /v1/documents with `memory`"),
        Rule::refuse("translation_memory_threshold", neutral::never, "use /v1/documents"),
        Rule::refuse("auth_key", neutral::never, "send `Authorization: DeepL-Auth-Key …`"),
    ];
}

impl Form for DocumentRequest {
    const ONE_OR_MANY: &'static [&'static str] = &["glossary_ids"];
}

/// What a document is asked for with.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DocumentHandle {
    pub document_id: String,
    pub document_key: String,
}

/// `POST /v2/document/{id}` and `/result`, as JSON or as a form.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct DocumentKey {
    pub document_key: String,
}

impl Fields for DocumentKey {
    const RULES: &'static [Rule] = &[];
}

impl Form for DocumentKey {}

#[derive(Debug, Serialize, JsonSchema)]
pub struct DocumentStatus {
    pub document_id: String,
    /// "queued", "translating", "done" or "error".
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_remaining: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed_characters: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

/// `POST /v2/glossaries`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct CreateGlossary {
    /// A name for people.
    pub name: String,
    /// The language of the terms.
    pub source_lang: String,
    /// The language of what they are to be.
    pub target_lang: String,
    /// The terms, a line each.
    pub entries: String,
    /// "tsv" or "csv".
    pub entries_format: String,
}

impl Fields for CreateGlossary {
    const RULES: &'static [Rule] = &[];
}

impl Form for CreateGlossary {}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Glossary {
    pub glossary_id: String,
    pub name: String,
    pub ready: bool,
    pub source_lang: String,
    pub target_lang: String,
    pub creation_time: String,
    pub entry_count: usize,
}

/// All glossaries.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct Glossaries<T> {
    pub glossaries: Vec<T>,
}

/// `POST` and `PATCH` of `/v3/glossaries`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct ChangeGlossary {
    /// Required of a new one.
    pub name: Option<String>,
    /// Their entries are added; of a new one, at least one.
    #[serde(default, deserialize_with = "super::super::strict::strict_list")]
    pub dictionaries: Vec<Dictionary>,
}

impl Fields for ChangeGlossary {
    const RULES: &'static [Rule] = &[];
}

impl Form for ChangeGlossary {}

/// A pair of languages of a glossary.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct Dictionary {
    /// The language of the terms.
    pub source_lang: String,
    /// The language of what they are to be.
    pub target_lang: String,
    /// The terms, a line each.
    pub entries: String,
    /// "tsv" or "csv".
    pub entries_format: String,
}

impl Fields for Dictionary {
    const RULES: &'static [Rule] = &[];
}

impl Form for Dictionary {}

#[derive(Debug, Serialize, JsonSchema)]
pub struct MultilingualGlossary {
    pub glossary_id: String,
    pub name: String,
    pub creation_time: String,
    pub dictionaries: Vec<DictionaryInfo>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct DictionaryInfo {
    pub source_lang: String,
    pub target_lang: String,
    pub entry_count: usize,
}

/// Which dictionary of a glossary is meant.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct PairQuery {
    pub source_lang: String,
    pub target_lang: String,
}

/// Which side of a translation the languages are asked of: of `/v2/languages`, in
/// the query or in a form.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct LanguagesRequest {
    /// "source" or "target".
    #[serde(rename = "type")]
    pub side: Option<Side>,
}

impl Fields for LanguagesRequest {
    const RULES: &'static [Rule] = &[];
}

impl Form for LanguagesRequest {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Source,
    Target,
}

/// The entries of a pair of languages.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Dictionaries {
    pub dictionaries: [Dictionary; 1],
}

/// The pairs that a glossary can have.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LanguagePairs {
    pub supported_languages: Vec<LanguagePair>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct LanguagePair {
    pub source_lang: String,
    pub target_lang: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Language {
    pub language: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supports_formality: Option<bool>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeepLUsage")]
pub struct Usage {
    pub character_count: u64,
    pub character_limit: u64,
}

/// What went wrong.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeepLErrorBody")]
pub struct ErrorBody {
    pub message: String,
}
