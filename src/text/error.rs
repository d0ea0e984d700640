//! What can go wrong with a tokenizer or a chat template.

use std::path::{Path, PathBuf};

/// Why a tokenizer could not be built, or could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is not what its name says. `what` names the file or the field.
    #[error("{what} is not usable: {message}")]
    Invalid { what: String, message: String },
    /// `tokenizer.ggml.model` names a kind of tokenizer this server lacks.
    #[error(
        "this model's tokenizer is of the kind '{0}', which is not supported (known: gpt2, llama, gemma4, bert, t5); \
         use a copy of the model that has a tokenizer.json"
    )]
    UnknownModel(String),
    /// `tokenizer.ggml.pre` names a way of splitting text that is not in the table.
    #[error(
        "this model splits text by the rules '{name}' (tokenizer.ggml.pre), which are not known here, and other rules \
         would give the model wrong tokens; use a copy of the model that has a tokenizer.json (known: {known})"
    )]
    UnknownPreTokenizer { name: String, known: String },
    /// `tokenizer.ggml.pre` names a way of splitting text that is known and not supported.
    #[error(
        "this model splits text by the rules '{name}' (tokenizer.ggml.pre), which are not supported: {reason}; \
         use a copy of the model that has a tokenizer.json"
    )]
    RefusedPreTokenizer { name: String, reason: String },
    /// A metadata field the tokenizer cannot do without.
    #[error("the model file lacks {0}")]
    Missing(&'static str),
    /// The `tokenizers` crate failed on a text.
    #[error("cannot tokenize the text: {0}")]
    Encode(String),
    #[error("cannot turn the tokens into text: {0}")]
    Decode(String),
}

impl TokenizerError {
    pub(super) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    pub(super) fn invalid(what: impl Into<String>, message: impl ToString) -> Self {
        Self::Invalid { what: what.into(), message: message.to_string() }
    }
}

/// Why a chat template could not be compiled, or did not render a conversation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template's source is not valid.
    #[error("the chat template is not valid{}: {message}", at(*line))]
    Syntax { line: Option<usize>, message: String },
    /// The template refused the conversation by `raise_exception`, in its own words.
    #[error("the model's chat template refuses this conversation: {0}")]
    Refused(String),
    #[error("the chat template fails{}: {message}", at(*line))]
    Render { line: Option<usize>, message: String },
    /// The template used up its budget of work, which no honest template does.
    #[error("the chat template takes too much work{}", at(*line))]
    TooExpensive { line: Option<usize> },
    /// A message holds something the template cannot show. `index` is the message's.
    #[error("messages[{index}].content: {message}")]
    Content { index: usize, message: String },
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!(" at its line {line}")).unwrap_or_default()
}
