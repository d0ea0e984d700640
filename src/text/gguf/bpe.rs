//! `gpt2`: byte-level BPE.

use tokenizers::Tokenizer;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::NFC;

use super::super::error::TokenizerError;
use super::{Built, Entries, GgufVocab, failed, frame, framing, pre};

pub(super) fn build(vocab: &GgufVocab, entries: Entries) -> Result<Built, TokenizerError> {
    let rules = pre::rules(vocab.pre.as_deref())?;
    let merges = vocab.merges.as_deref().ok_or(TokenizerError::Missing("tokenizer.ggml.merges"))?;
    let model = BPE::builder()
        .vocab_and_merges(entries.vocabulary::<Vocab>(), pairs(merges)?)
        .ignore_merges(rules.ignore_merges)
        .build()
        .map_err(|e| failed("its merges", e))?;

    let mut tokenizer = Tokenizer::new(model);
    if rules.nfc {
        tokenizer.with_normalizer(Some(NFC)).map_err(|e| failed("its normalizer", e))?;
    }
    tokenizer.with_pre_tokenizer(Some(rules.pre_tokenizer()?));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    entries.add_to(&mut tokenizer, |token| token)?;

    let bos = entries.token(vocab.bos, None);
    let eos = entries.token(vocab.eos, None);
    let before = framing(vocab.add_bos, rules.add_bos, bos, "tokenizer.ggml.bos_token_id")?;
    let after = framing(vocab.add_eos, false, eos, "tokenizer.ggml.eos_token_id")?;
    tokenizer.with_post_processor(frame(before, after));
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
