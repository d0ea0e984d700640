//! `gpt2`: BPE, byte-level but for a few families.

use tokenizers::Tokenizer;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, Merges, Vocab};

use super::super::error::TokenizerError;
use super::{Built, Entries, Frame, GgufVocab, Pair, failed, framing, pre, spm};

pub(super) fn build(vocab: &GgufVocab, entries: Entries) -> Result<Built, TokenizerError> {
    let rules = pre::rules(vocab.pre.as_deref())?;
    if rules.sentencepiece {
        return spm::build(vocab, entries, false);
    }
    let merges = vocab.merges.as_deref().ok_or(TokenizerError::Missing("tokenizer.ggml.merges"))?;
    let model = BPE::builder()
        .vocab_and_merges(entries.vocabulary::<Vocab>(), pairs(merges)?)
        .ignore_merges(rules.ignore_merges)
        .build()
        .map_err(|e| failed("its merges", e))?;

    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(rules.normalizer(vocab)).map_err(|e| failed("its normalizer", e))?;
    tokenizer.with_pre_tokenizer(Some(rules.pre_tokenizer()?));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    let mask = vocab.mask.filter(|_| rules.mask_takes_space);
    let mask = entries.token(mask, None).map(|(_, text)| text);
    entries.add_to(&mut tokenizer, |token| {
        let takes_space = mask == Some(token.content.as_str());
        token.lstrip(takes_space)
    })?;

    let bos = entries.token(vocab.bos, None);
    // Encoders end a text with their separator, under either name.
    let eos = entries.token(vocab.eos.or(vocab.sep), None);
    let before = framing(
        vocab.add_bos,
        rules.add_bos || rules.double_separator,
        bos,
        "tokenizer.ggml.bos_token_id",
    )?;
    let after = framing(vocab.add_eos, rules.double_separator, eos, "tokenizer.ggml.eos_token_id")?;
    let pair = match (rules.double_separator, vocab.add_sep) {
        (true, _) => Pair::DoubleSeparator,
        (false, Some(true)) => Pair::Separator,
        (false, _) => Pair::Twice,
    };
    tokenizer.with_post_processor(Frame { before, after, pair }.processor());
    let (bos, eos) = (bos.map(|t| t.1.to_owned()), eos.map(|t| t.1.to_owned()));
    Ok(entries.finish(tokenizer, bos, eos))
}

/// Merges as GGUF writes them: two tokens with a space between. A token may
/// itself begin with a space in vocabularies that are not byte-level.
pub(super) fn pairs(merges: &[String]) -> Result<Merges, TokenizerError> {
    merges
        .iter()
        .map(|merge| {
            let gap = merge.char_indices().skip(1).find_map(|(at, c)| (c == ' ').then_some(at));
            gap.map(|at| (merge[..at].to_owned(), merge[at + 1..].to_owned()))
                .ok_or_else(|| failed("its merges", format!("'{merge}' is not two tokens")))
        })
        .collect()
}
