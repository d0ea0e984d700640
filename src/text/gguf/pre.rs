//! How text is split into words before BPE, by `tokenizer.ggml.pre`.
//!
//! A model is trained with one way of splitting; with another it gets tokens
//! it has never seen together, so a name that is not in the table (`pre/families.toml`)
//! is refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use tokenizers::SplitDelimiterBehavior::{Contiguous, Isolated};
use tokenizers::normalizers::{Lowercase, NFC, NFKC, NormalizerWrapper, Sequence as Normalizers};
use tokenizers::normalizers::{NFD, StripAccents};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use super::super::error::TokenizerError;
use super::{GgufVocab, failed};

const TABLE: &str = include_str!("pre/families.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    family: Vec<Family>,
    refused: Vec<Refused>,
    pattern: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    names: Vec<String>,
    steps: Vec<String>,
    normalizer: Option<Form>,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(default)]
    add_bos: bool,
    #[serde(default)]
    mask_takes_space: bool,
    #[serde(default)]
    double_separator: bool,
    #[serde(default)]
    sentencepiece: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    names: Vec<String>,
    reason: String,
}

/// A normalization form of Unicode.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
enum Form {
    #[serde(rename = "NFC")]
    Nfc,
    #[serde(rename = "NFKC")]
    Nfkc,
}

/// One family's rules.
#[derive(Debug)]
pub(super) struct Rules {
    steps: Vec<Step>,
    normalizer: Option<Form>,
    /// A word that is a token is that token, even if no merges lead to it.
    pub ignore_merges: bool,
    /// Whether a text begins with the begin token where the file does not say.
    pub add_bos: bool,
    /// The space before the mask token is part of it.
    pub mask_takes_space: bool,
    /// Between the texts of a pair stand two end tokens.
    pub double_separator: bool,
    /// No words and no byte-level alphabet: SentencePiece's BPE.
    pub sentencepiece: bool,
}

#[derive(Debug)]
enum Step {
    /// Matches of the pattern are words, and so is what lies between them.
    Pattern(String),
    Digits {
        each: bool,
    },
    Punctuation {
        each: bool,
    },
    /// Spells the words in bytes.
    ByteLevel,
}

/// The rules of a name. A file without one was written by a tool too old to
/// know which it needs; like llama.cpp, guess and say so.
///
/// # Errors
/// The name is not known, or known and refused.
pub(super) fn rules(name: Option<&str>) -> Result<Rules, TokenizerError> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or("default");
    if name == "default" {
        tracing::warn!(
            "the model file does not say how its tokenizer splits text (tokenizer.ggml.pre), so its answers may be worse \
             than they should be; a newer conversion of the model says it"
        );
    }
    let table = table()?;
    if let Some(refused) = table.refused.iter().find(|r| r.names.iter().any(|n| n == name)) {
        let (name, reason) = (name.to_owned(), refused.reason.clone());
        return Err(TokenizerError::RefusedPreTokenizer { name, reason });
    }
    let Some(family) = table.family.iter().find(|f| f.names.iter().any(|n| n == name)) else {
        let names = table.family.iter().flat_map(|f| &f.names).map(String::as_str);
        let known = names.collect::<Vec<_>>().join(", ");
        return Err(TokenizerError::UnknownPreTokenizer { name: name.to_owned(), known });
    };
    let step = |name: &String| {
        Ok(match name.as_str() {
            "digits" => Step::Digits { each: true },
            "digit-runs" => Step::Digits { each: false },
            "byte-level" => Step::ByteLevel,
            "punctuation" => Step::Punctuation { each: true },
            "punctuation-runs" => Step::Punctuation { each: false },
            other => match table.pattern.get(other) {
                Some(pattern) => Step::Pattern(pattern.clone()),
                None => return Err(failed("its word splitting", format!("no step '{other}'"))),
            },
        })
    };
    let mut steps: Vec<Step> = family.steps.iter().map(step).collect::<Result<_, _>>()?;
    if !steps.iter().any(|step| matches!(step, Step::ByteLevel)) {
        steps.push(Step::ByteLevel);
    }
    Ok(Rules {
        steps,
        normalizer: family.normalizer,
        ignore_merges: family.ignore_merges,
        add_bos: family.add_bos,
        mask_takes_space: family.mask_takes_space,
        double_separator: family.double_separator,
        sentencepiece: family.sentencepiece,
    })
}

fn table() -> Result<Table, TokenizerError> {
    toml::from_str(TABLE).map_err(|e| failed("the table of word splitting", e))
}

impl Rules {
    /// What is done to a text first: the family's form of Unicode, and what
    /// the file asks for.
    pub(super) fn normalizer(&self, vocab: &GgufVocab) -> Option<NormalizerWrapper> {
        let mut steps: Vec<NormalizerWrapper> = Vec::new();
        steps.extend(self.normalizer.map(|form| match form {
            Form::Nfc => NFC.into(),
            Form::Nfkc => NFKC.into(),
        }));
        if vocab.strip_accents == Some(true) {
            steps.extend([NFD.into(), StripAccents.into()]);
        }
        if vocab.lowercase == Some(true) {
            steps.push(Lowercase.into());
        }
        (!steps.is_empty()).then(|| Normalizers::new(steps).into())
    }

    pub(super) fn pre_tokenizer(&self) -> Result<PreTokenizerWrapper, TokenizerError> {
        let behavior = |each: bool| if each { Isolated } else { Contiguous };
        let mut steps: Vec<PreTokenizerWrapper> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            steps.push(match step {
                Step::Digits { each } => Digits::new(*each).into(),
                Step::Punctuation { each } => Punctuation::new(behavior(*each)).into(),
                // Steps do the splitting, this does none.
                Step::ByteLevel => ByteLevel::new(false, true, false).into(),
                Step::Pattern(pattern) => {
                    let split = Split::new(SplitPattern::Regex(pattern.clone()), Isolated, false);
                    split.map_err(|e| failed("its word splitting", e))?.into()
                }
            });
        }
        Ok(Sequence::new(steps).into())
    }
}

#[cfg(test)]
mod tests;
