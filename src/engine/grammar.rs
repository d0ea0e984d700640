//! Grammars that a text must follow, by llguidance: which tokens may come
//! next, which must, and when the text is complete.

mod calls;
mod compile;
mod vocabulary;

use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;
use serde_json::Value;

pub use calls::CallGrammar;
pub use compile::GrammarCompiler;

/// What a caller wants the text to be.
#[derive(Debug, Clone, PartialEq)]
pub enum GrammarSpec {
    /// Any JSON object.
    JsonObject,
    /// A JSON value that this schema accepts, written with `", "` and `": "`.
    JsonSchema(Value),
    /// A text that this regular expression matches as a whole.
    Regex(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// A grammar in llguidance's variant of Lark.
    Lark(String),
    /// Calls of tools, or a text.
    Calls(CallGrammar),
}

/// A compiled grammar; requests with the same one share it.
pub struct Grammar {
    /// At the beginning of a text.
    fresh: Mutex<Matcher>,
}

/// Where one text is in its grammar.
pub struct GrammarState {
    matcher: Matcher,
}

/// A set of tokens: token `t` is in it when bit `t % 32` of word `t / 32` is set.
#[derive(Debug)]
pub struct TokenMask(SimpleVob);

/// A text cannot go on in its grammar.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct GrammarError(String);

impl Grammar {
    /// A state at the beginning of a text.
    pub fn start(&self) -> GrammarState {
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        GrammarState { matcher: fresh.clone() }
    }
}

impl GrammarState {
    /// Tokens that may come next. End-of-text tokens are among them exactly
    /// when the text may end here.
    ///
    /// # Errors
    /// The grammar is too costly at this place, or an earlier call failed.
    pub fn mask(&mut self) -> Result<TokenMask, GrammarError> {
        self.matcher.compute_mask_or_eos().map(TokenMask).map_err(failed)
    }

    /// Takes a token of the text.
    ///
    /// # Errors
    /// The grammar does not allow it.
    pub fn accept(&mut self, token: u32) -> Result<(), GrammarError> {
        self.matcher.consume_token(token).map_err(failed)
    }

    /// Tokens that must come next, where the grammar leaves no choice. They
    /// are not taken by this.
    pub fn forced(&mut self) -> Vec<u32> {
        match self.matcher.is_stopped() {
            true => Vec::new(),
            false => self.matcher.compute_ff_tokens(),
        }
    }

    /// How many of these tokens, in order, could follow.
    pub fn allows(&mut self, tokens: &[u32]) -> usize {
        // A failure comes again, and is reported, with the next mask.
        self.matcher.validate_tokens(tokens).unwrap_or(0)
    }

    /// Nothing but the end of the text may follow.
    pub fn is_complete(&self) -> bool {
        self.matcher.is_stopped() && !self.matcher.is_error()
    }
}

fn failed(error: impl ToString) -> GrammarError {
    GrammarError(error.to_string())
}

impl Deref for TokenMask {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        self.0.as_slice()
    }
}

impl std::fmt::Debug for Grammar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Grammar")
    }
}

impl std::fmt::Debug for GrammarState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrammarState").field("stopped", &self.matcher.is_stopped()).finish()
    }
}

#[cfg(test)]
mod tests;
