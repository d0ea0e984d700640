//! `llama`: SentencePiece BPE with byte fallback.
//!
//! SentencePiece merges the neighbours whose union has the best score. The
//! `tokenizers` crate wants a list of merges, best first, so the list is
//! derived: every way to cut a token into two tokens is a merge, ranked by the
//! token's score.

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::{NormalizerWrapper, Prepend, Replace, Sequence};
use tokenizers::{AddedToken, DecoderWrapper, Tokenizer};

use super::super::error::TokenizerError;
use super::{Built, Entries, Frame, GgufVocab, Kind, Pair, bpe, failed, framing};

/// What SentencePiece writes for a space.
const SPACE: &str = "▁";

/// `prefix`: whether a space is put before a text where the file does not say.
pub(super) fn build(
    vocab: &GgufVocab,
    entries: Entries,
    prefix: bool,
) -> Result<Built, TokenizerError> {
    let tokens: Vocab = entries.vocabulary();
    let merges = match (&vocab.merges, &vocab.scores) {
        (Some(merges), _) => bpe::pairs(merges)?,
        (None, Some(scores)) => merges(&entries, &tokens, scores),
        (None, None) => return Err(TokenizerError::Missing("tokenizer.ggml.scores")),
    };
    let mut model =
        BPE::builder().vocab_and_merges(tokens, merges).fuse_unk(true).byte_fallback(true);
    if let Some((_, unk)) = entries.token(vocab.unk, Some(0)) {
        model = model.unk_token(unk.to_owned());
    }
    let model = model.build().map_err(|e| failed("its merges", e))?;

    let prefix = vocab.add_space_prefix.unwrap_or(prefix);
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(normalizer(prefix)?))
        .map_err(|e| failed("its normalizer", e))?;
    tokenizer.with_decoder(Some(decoder(prefix)?));
    // Phi-3 is trained without the line break that its template writes after a
    // role's token, and GGUF has no field for that.
    let phi3 = entries.texts.iter().any(|t| t == "<|placeholder1|>");
    entries.add_to(&mut tokenizer, |token| {
        // Runs of spaces are matched as the normalizer writes them, so that the
        // mark itself counts as a space wherever it occurs.
        let spaces = !prefix && !token.special && token.content.contains(' ');
        let token = token.normalized(spaces);
        if phi3 { eat_space_after(token) } else { token }
    })?;

    let bos = entries.token(vocab.bos, Some(1));
    let eos = entries.token(vocab.eos, Some(2));
    let before = framing(vocab.add_bos, true, bos, "tokenizer.ggml.bos_token_id")?;
    let after = framing(vocab.add_eos, false, eos, "tokenizer.ggml.eos_token_id")?;
    tokenizer.with_post_processor(Frame { before, after, pair: Pair::Twice }.processor());
    let (bos, eos) = (bos.map(|t| t.1.to_owned()), eos.map(|t| t.1.to_owned()));
    Ok(entries.finish(tokenizer, bos, eos))
}

fn eat_space_after(token: AddedToken) -> AddedToken {
    let plain = ["<unk>", "<s>", "<|endoftext|>"].contains(&token.content.as_str());
    token.rstrip(!plain)
}

fn normalizer(prefix: bool) -> Result<NormalizerWrapper, TokenizerError> {
    let spaces = Replace::new(" ", SPACE).map_err(|e| failed("its normalizer", e))?;
    Ok(match prefix {
        // Before every stretch of text between added tokens, as llama.cpp and
        // the `tokenizer.json` of Llama 2 do.
        true => Sequence::new(vec![Prepend::new(SPACE.to_owned()).into(), spaces.into()]).into(),
        false => spaces.into(),
    })
}

fn decoder(prefix: bool) -> Result<DecoderWrapper, TokenizerError> {
    let spaces = Replace::new(SPACE, " ").map_err(|e| failed("its decoder", e))?;
    let mut steps: Vec<DecoderWrapper> =
        vec![spaces.into(), ByteFallback::new().into(), Fuse::new().into()];
    if prefix {
        steps.push(Strip::new(' ', 1, 0).into());
    }
    Ok(Decoders::new(steps).into())
}

/// All merges of a scored vocabulary, in the order Hugging Face's conversion
/// gives them: by score, then the longer left part, then the longer right part.
///
/// Only normal tokens take part. The others never arise by merging: control
/// and user-defined ones are cut out of the text before, byte tokens stand for
/// what is not in the vocabulary.
pub(super) fn merges(entries: &Entries, tokens: &Vocab, scores: &[f32]) -> Merges {
    struct Merge<'a> {
        score: f32,
        lengths: (u32, u32),
        parts: (&'a str, &'a str),
    }
    let normal = |text: &str| {
        let id = tokens.get(text).map(|id| *id as usize);
        id.is_some_and(|id| entries.kinds[id] == Kind::Normal)
    };
    let mut all: Vec<Merge> = Vec::with_capacity(entries.texts.len() * 2);
    for (id, text) in entries.texts.iter().enumerate() {
        if entries.kinds[id] != Kind::Normal {
            continue;
        }
        let score = scores.get(id).copied().unwrap_or(f32::MIN);
        let chars = text.chars().count() as u32;
        for (count, (at, _)) in (0u32..).zip(text.char_indices()).skip(1) {
            let (left, right) = text.split_at(at);
            if normal(left) && normal(right) {
                all.push(Merge { score, lengths: (count, chars - count), parts: (left, right) });
            }
        }
    }
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.lengths.cmp(&a.lengths)));
    let owned = |m: Merge| (m.parts.0.to_owned(), m.parts.1.to_owned());
    all.into_iter().map(owned).collect()
}
