//! Text to token ids and back, and chat messages to text.
//!
//! [`Tokenizer`] wraps the `tokenizers` crate, from a `tokenizer.json` or from
//! the vocabulary inside a GGUF file, and adds what an inference engine needs
//! besides: the exact bytes of every token, and which tokens end a generation.
//! [`ChatTemplate`] renders a model's Jinja chat template.
//!
//! Where llama.cpp and Hugging Face disagree on a text, this module follows
//! Hugging Face: the models were trained with its tokenizers.

mod dialect;
mod error;
mod fim;
mod gguf;
mod languages;
mod sentencepiece;
mod special;
mod template;
mod token_bytes;
mod tokenizer;

pub use dialect::{CallForm, CallFormat, Dialect, Reader, ReasoningFormat, Spoken};
pub use error::{TemplateError, TokenizerError};
pub use gguf::GgufVocab;
pub use languages::{Frame, KnownLanguage, Language, Languages, known};
pub use template::{ChatInput, ChatTemplate, ContentForm, template_source};
pub use tokenizer::{Cut, EncodedText, TokenSpan, Tokenizer};
