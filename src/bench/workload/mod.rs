//! What is sent: prompts of a workload, the same for the same seed.
//!
//! A workload is a function from a number to a prompt, so that a run of any
//! length repeats exactly, and prompts can be made while others are answered.

pub mod file;
pub mod lengths;
pub mod policy;
pub mod random;
mod words;

use std::sync::Arc;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;

use crate::text::Tokenizer;

/// One role and text of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Turn {
    pub role: String,
    pub content: String,
}

impl Turn {
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: "user".to_owned(), content: content.into() }
    }
}

/// What a prompt is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A conversation.
    Chat(Vec<Turn>),
    /// One text for each input: one for a completion, several for a batch of
    /// embeddings.
    Texts(Vec<String>),
}

/// One request to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub content: Content,
    /// Most tokens of the answer.
    pub max_tokens: usize,
    /// Tokens of all texts, without special tokens and without what a chat
    /// template adds; `None` without a tokenizer.
    pub tokens: Option<usize>,
}

impl Prompt {
    /// All texts, one after the other.
    pub fn text(&self) -> String {
        match &self.content {
            Content::Chat(turns) => {
                turns.iter().map(|t| t.content.as_str()).collect::<Vec<_>>().join("\n")
            }
            Content::Texts(texts) => texts.join("\n"),
        }
    }

    /// How many texts there are: the inputs of an embedding request.
    pub fn inputs(&self) -> usize {
        match &self.content {
            Content::Chat(_) => 1,
            Content::Texts(texts) => texts.len(),
        }
    }
}

/// A source of prompts.
pub trait Workload: Send + Sync {
    /// The prompt of this number. `stream` tells runs of one session apart, so
    /// that warm-up and the points of a sweep do not send what a server with a
    /// prefix cache has seen; files ignore it, as they have only what they have.
    fn prompt(&self, stream: u64, number: usize) -> Prompt;

    /// How it was set, for the report.
    fn describe(&self) -> String;
}

/// A workload whose prompts are counted by a tokenizer where they are not yet.
pub struct Counted {
    pub inner: Arc<dyn Workload>,
    pub tokenizer: Arc<Tokenizer>,
}

impl Workload for Counted {
    fn prompt(&self, stream: u64, number: usize) -> Prompt {
        let mut prompt = self.inner.prompt(stream, number);
        if prompt.tokens.is_none() {
            let count = |text: &String| Some(self.tokenizer.encode(text, false).ok()?.len());
            prompt.tokens = match &prompt.content {
                Content::Chat(turns) => turns.iter().map(|turn| count(&turn.content)).sum(),
                Content::Texts(texts) => texts.iter().map(count).sum(),
            };
        }
        prompt
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// The random numbers of one prompt.
fn generator(seed: u64, stream: u64, number: usize) -> Pcg64Mcg {
    // Three odd constants keep neighbours apart before the seed is stirred.
    let mixed = (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        ^ (stream.wrapping_add(1)).wrapping_mul(0xD1B5_4A32_D192_ED03)
        ^ (number as u64).wrapping_add(1).wrapping_mul(0x8CB9_2BA7_2F3D_8DD7);
    Pcg64Mcg::seed_from_u64(mixed)
}
