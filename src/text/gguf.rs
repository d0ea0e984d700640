//! The tokenizer inside a GGUF file.
//!
//! A GGUF file carries a vocabulary and a few switches where Hugging Face has
//! a `tokenizer.json`; this rebuilds the latter's pipeline from the former. It
//! was made for llama.cpp, so the meaning of every field is what llama.cpp
//! makes of it; what the file leaves out (normalization) is filled in as the
//! model families have it on Hugging Face.

mod bpe;
mod pre;
mod spm;
mod unigram;
mod wordpiece;

use serde_json::{Value, json};
use tokenizers::{AddedToken, PostProcessorWrapper, Tokenizer};

use super::error::TokenizerError;
use super::token_bytes::Piece;

/// The tokenizer metadata of a GGUF file, under the names it has there
/// (`tokenizer.ggml.*`).
#[derive(Debug, Clone, Default)]
pub struct GgufVocab {
    /// `gpt2` (byte-level BPE), `llama` (SentencePiece BPE), `gemma4` (the same
    /// with its merges), `bert` (WordPiece) or `t5` (Unigram).
    pub model: String,
    /// How text is split into words before BPE.
    pub pre: Option<String>,
    pub tokens: Vec<String>,
    pub scores: Option<Vec<f32>>,
    /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    pub token_types: Option<Vec<i32>>,
    /// Pairs separated by a space, best first.
    pub merges: Option<Vec<String>>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub eot: Option<u32>,
    pub unk: Option<u32>,
    /// `seperator_token_id`, as the format spells it.
    pub sep: Option<u32>,
    pub pad: Option<u32>,
    pub cls: Option<u32>,
    pub mask: Option<u32>,
    pub add_bos: Option<bool>,
    pub add_eos: Option<bool>,
    /// A separator stands between the texts of a pair.
    pub add_sep: Option<bool>,
    pub add_space_prefix: Option<bool>,
    /// SentencePiece's compiled normalization rules (`t5` only).
    pub precompiled_charsmap: Option<Vec<u8>>,
    /// Runs of spaces count as one (`t5` only).
    pub remove_extra_whitespaces: Option<bool>,
    /// `normalizer.lowercase` (`bert` and `gpt2`).
    pub lowercase: Option<bool>,
    /// `normalizer.strip_accents` (`bert` and `gpt2`).
    pub strip_accents: Option<bool>,
}

/// What [`build`] makes.
pub(super) struct Built {
    pub tokenizer: Tokenizer,
    pub entries: Vec<(u32, String, Piece)>,
    pub bos: Option<String>,
    pub eos: Option<String>,
}

pub(super) fn build(vocab: &GgufVocab) -> Result<Built, TokenizerError> {
    if vocab.tokens.is_empty() {
        return Err(TokenizerError::Missing("tokenizer.ggml.tokens"));
    }
    let entries = Entries::new(vocab);
    match vocab.model.as_str() {
        "gpt2" => bpe::build(vocab, entries),
        "llama" => spm::build(vocab, entries, true),
        "gemma4" => spm::build(vocab, entries, false),
        "bert" => wordpiece::build(vocab, entries),
        "t5" => unigram::build(vocab, entries),
        other => Err(TokenizerError::UnknownModel(other.to_owned())),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// The vocabulary with every token's kind settled.
struct Entries {
    texts: Vec<String>,
    kinds: Vec<Kind>,
}

impl Entries {
    fn new(vocab: &GgufVocab) -> Self {
        // llama.cpp names empty entries so; they cannot be empty in a vocabulary.
        let name = |(id, text): (usize, &String)| match text.is_empty() {
            true => format!("[EMPTY_{id}]"),
            false => text.clone(),
        };
        let texts: Vec<String> = vocab.tokens.iter().enumerate().map(name).collect();
        let types = vocab.token_types.as_deref().unwrap_or_default();
        let mut kinds: Vec<Kind> = (0..texts.len())
            .map(|id| match types.get(id) {
                Some(2) => Kind::Unknown,
                Some(3) => Kind::Control,
                Some(4) => Kind::UserDefined,
                Some(5) => Kind::Unused,
                Some(6) => Kind::Byte,
                _ => Kind::Normal,
            })
            .collect();
        // The tokens that frame a text are control tokens whatever their type says.
        let mut frame = vec![vocab.bos, vocab.eos, vocab.eot];
        if vocab.token_types.is_none() {
            frame.extend([vocab.unk, vocab.sep, vocab.pad, vocab.cls, vocab.mask]);
        }
        for id in frame.into_iter().flatten() {
            if let Some(kind @ (Kind::Normal | Kind::UserDefined)) = kinds.get_mut(id as usize) {
                *kind = Kind::Control;
            }
        }
        Self { texts, kinds }
    }

    /// The token of an id that the file may leave out, or give wrongly.
    fn token(&self, id: Option<u32>, default: Option<u32>) -> Option<(u32, &str)> {
        let known = |id: &u32| (*id as usize) < self.texts.len();
        let id = id.filter(known).or(default.filter(known))?;
        Some((id, &self.texts[id as usize]))
    }

    /// (text, id) for building a vocabulary; of two equal texts the first counts.
    fn vocabulary<C: FromIterator<(String, u32)>>(&self) -> C {
        let pairs = self.texts.iter().enumerate().rev();
        pairs.map(|(id, text)| (text.clone(), id as u32)).collect()
    }

    /// Marks the tokens that are matched in a text before the model sees it.
    fn add_to(
        &self,
        tokenizer: &mut Tokenizer,
        adjust: impl Fn(AddedToken) -> AddedToken,
    ) -> Result<(), TokenizerError> {
        let added = self.texts.iter().zip(&self.kinds).filter_map(|(text, kind)| {
            let special = match kind {
                Kind::Control | Kind::Unknown => true,
                Kind::UserDefined => false,
                Kind::Normal | Kind::Unused | Kind::Byte => return None,
            };
            Some(adjust(AddedToken::from(text.as_str(), special).normalized(false)))
        });
        let added = tokenizer.add_tokens(added);
        added.map(|_| ()).map_err(|e| failed("its added tokens", e))
    }

    fn finish(self, tokenizer: Tokenizer, bos: Option<String>, eos: Option<String>) -> Built {
        let pieces = self.texts.into_iter().zip(self.kinds).zip(0u32..);
        let entries = pieces.map(|((text, kind), id)| {
            let piece = match kind {
                Kind::Control | Kind::Unknown => Piece::Special,
                Kind::UserDefined => Piece::Verbatim,
                Kind::Unused => Piece::Silent,
                Kind::Normal | Kind::Byte => Piece::Model,
            };
            (id, text, piece)
        });
        Built { entries: entries.collect(), tokenizer, bos, eos }
    }
}

/// The tokens around a text, and between the texts of a pair.
struct Frame<'a> {
    before: Option<(u32, &'a str)>,
    after: Option<(u32, &'a str)>,
    pair: Pair,
}

/// How two texts are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pair {
    /// Each as it is alone.
    Twice,
    /// The second without its begin token, as BERT has it.
    Separator,
    /// The second with the end token in place of its begin token, and both
    /// texts of one type, as RoBERTa has it.
    DoubleSeparator,
}

impl Frame<'_> {
    /// The post-processor that does it; `None` where there is nothing to add.
    fn processor(&self) -> Option<PostProcessorWrapper> {
        if self.before.is_none() && self.after.is_none() {
            return None;
        }
        let around = |sequence: &str, type_id: u32, before: Option<(u32, &str)>| -> Vec<Value> {
            let special = |token: Option<(u32, &str)>| {
                token.map(|(_, text)| json!({"SpecialToken": {"id": text, "type_id": type_id}}))
            };
            let middle = json!({"Sequence": {"id": sequence, "type_id": type_id}});
            let pieces = [special(before), Some(middle), special(self.after)];
            pieces.into_iter().flatten().collect()
        };
        let single = around("A", 0, self.before);
        let second = match self.pair {
            Pair::Twice => around("B", 1, self.before),
            Pair::Separator => around("B", 1, None),
            Pair::DoubleSeparator => around("B", 0, self.after),
        };
        let pair: Vec<Value> = single.iter().cloned().chain(second).collect();
        let tokens = [self.before, self.after].into_iter().flatten().map(|(id, text)| {
            (text.to_owned(), json!({"id": text, "ids": [id], "tokens": [text]}))
        });
        let tokens: serde_json::Map<String, Value> = tokens.collect();
        let described = json!({
            "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens,
        });
        serde_json::from_value(described).ok()
    }
}

/// The token to put at an end of a text. A switch that is on without a token
/// to add is an error; a default is not.
fn framing<'a>(
    switch: Option<bool>,
    default: bool,
    token: Option<(u32, &'a str)>,
    missing: &'static str,
) -> Result<Option<(u32, &'a str)>, TokenizerError> {
    match (switch.unwrap_or(default), token) {
        (false, _) => Ok(None),
        (true, None) if switch == Some(true) => Err(TokenizerError::Missing(missing)),
        (true, token) => Ok(token),
    }
}

fn failed(what: &str, error: impl ToString) -> TokenizerError {
    TokenizerError::invalid(format!("the model file's tokenizer ({what})"), error)
}

#[cfg(test)]
mod tests;
