//! Grammars that a text must follow.

use super::error::SubmitError;
use crate::text::Tokenizer;

/// What a caller wants the text to be.
#[derive(Debug, Clone, PartialEq)]
pub enum GrammarSpec {
    /// Any JSON object.
    JsonObject,
    /// A JSON value that this schema accepts.
    JsonSchema(serde_json::Value),
    /// A text that this regular expression matches as a whole.
    Regex(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// A grammar in llguidance's variant of Lark.
    Lark(String),
}

/// A compiled grammar; requests with the same one share it.
#[derive(Debug)]
pub struct Grammar {}

impl Grammar {
    /// Compiles `spec` for a model's tokens.
    ///
    /// # Errors
    /// [`SubmitError::Invalid`] for a grammar that is malformed, not supported
    /// or too large.
    pub fn compile(_spec: &GrammarSpec, _tokenizer: &Tokenizer) -> Result<Self, SubmitError> {
        Err(SubmitError::invalid("response_format", "grammars are not supported yet"))
    }

    /// A fresh state at the beginning of a text.
    pub fn start(&self) -> GrammarState {
        GrammarState {}
    }
}

/// Where one text is in its grammar.
#[derive(Debug)]
pub struct GrammarState {}
