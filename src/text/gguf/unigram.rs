//! `t5`: SentencePiece Unigram, as T5 and XLM-RoBERTa have it.

use tokenizers::Tokenizer;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::{NFKC, NormalizerWrapper, Precompiled};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;

use super::super::error::TokenizerError;
use super::{Built, Entries, Frame, GgufVocab, Kind, Pair, failed, framing};

pub(super) fn build(vocab: &GgufVocab, entries: Entries) -> Result<Built, TokenizerError> {
    let scores = vocab.scores.as_deref().ok_or(TokenizerError::Missing("tokenizer.ggml.scores"))?;
    let (unk, _) = entries
        .token(vocab.unk, Some(2))
        .ok_or(TokenizerError::Missing("tokenizer.ggml.unknown_token_id"))?;
    let byte_fallback = entries.kinds.contains(&Kind::Byte);
    let model = Unigram::from(scored(&entries, scores), Some(unk as usize), byte_fallback)
        .map_err(|e| failed("its vocabulary", e))?;

    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(normalizer(vocab)?)).map_err(|e| failed("its normalizer", e))?;
    let scheme = match vocab.add_space_prefix.unwrap_or(true) {
        true => PrependScheme::Always,
        false => PrependScheme::Never,
    };
    let spaces = Metaspace::new('▁', scheme, true);
    let pre: PreTokenizerWrapper = match vocab.remove_extra_whitespaces.unwrap_or(true) {
        true => Sequence::new(vec![WhitespaceSplit.into(), spaces.clone().into()]).into(),
        false => spaces.clone().into(),
    };
    tokenizer.with_pre_tokenizer(Some(pre));
    tokenizer.with_decoder(Some(spaces));
    let bos = entries.token(vocab.bos, None);
    let eos = entries.token(vocab.eos, Some(1));
    // Where there is a mask it is XLM-RoBERTa's, which takes the space before it.
    let mask = entries.token(vocab.mask, None).map(|(_, text)| text);
    entries.add_to(&mut tokenizer, |token| {
        let takes_space = mask == Some(token.content.as_str());
        token.lstrip(takes_space)
    })?;
    let before = framing(vocab.add_bos, false, bos, "tokenizer.ggml.bos_token_id")?;
    let after = framing(vocab.add_eos, true, eos, "tokenizer.ggml.eos_token_id")?;
    // With both it is XLM-RoBERTa's, otherwise T5's.
    let pair = if before.is_some() { Pair::DoubleSeparator } else { Pair::Twice };
    tokenizer.with_post_processor(Frame { before, after, pair }.processor());
    let (bos, eos) = (bos.map(|t| t.1.to_owned()), eos.map(|t| t.1.to_owned()));
    Ok(entries.finish(tokenizer, bos, eos))
}

/// The model's rules, or the standard ones (NFKC) where the file has none.
fn normalizer(vocab: &GgufVocab) -> Result<NormalizerWrapper, TokenizerError> {
    match vocab.precompiled_charsmap.as_deref() {
        Some(rules) if !rules.is_empty() => Precompiled::from(rules)
            .map(NormalizerWrapper::from)
            .map_err(|e| failed("its normalization rules", e)),
        _ => Ok(NFKC.into()),
    }
}

/// Tokens with their log probabilities. The crate takes the lowest for the
/// price of an unknown character, so the padding that conversion adds to the
/// vocabulary, with a far lower score, must not count.
fn scored(entries: &Entries, scores: &[f32]) -> Vec<(String, f64)> {
    let score = |id: usize| f64::from(scores.get(id).copied().unwrap_or(0.0));
    let normal = |id: &usize| entries.kinds[*id] == Kind::Normal;
    let lowest = (0..entries.texts.len()).filter(normal).map(score).fold(0.0, f64::min);
    let tokens = entries.texts.iter().enumerate();
    tokens.map(|(id, text)| (text.clone(), score(id).max(lowest))).collect()
}
