//! `bert`: WordPiece.

use tokenizers::Tokenizer;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;

use super::super::error::TokenizerError;
use super::{Built, Entries, Frame, GgufVocab, Kind, Pair, failed};

/// What BERT writes before a token that continues a word.
const CONTINUATION: &str = "##";
/// What GGUF writes before a token that begins a word, and BERT does not.
const BEGINNING: char = '▁';

pub(super) fn build(vocab: &GgufVocab, mut entries: Entries) -> Result<Built, TokenizerError> {
    // BERT's own ids are the defaults, as in llama.cpp.
    let ids = |given: Option<u32>, other: Option<u32>, default: u32| {
        let id = given.or(other).unwrap_or(default);
        Some(id).filter(|id| (*id as usize) < entries.texts.len())
    };
    let cls = ids(vocab.cls, vocab.bos, 101);
    let sep = ids(vocab.sep, vocab.eos, 102);
    let unk = ids(vocab.unk, None, 100);
    for id in [cls, sep, unk].into_iter().flatten() {
        let kind = &mut entries.kinds[id as usize];
        if *kind == Kind::Normal {
            *kind = Kind::Control;
        }
    }
    restore(&mut entries);
    let (_, unk) = entries
        .token(unk, None)
        .ok_or(TokenizerError::Missing("tokenizer.ggml.unknown_token_id"))?;

    let model = WordPiece::builder()
        .vocab(entries.vocabulary::<tokenizers::models::bpe::Vocab>())
        .unk_token(unk.to_owned())
        .continuing_subword_prefix(CONTINUATION.to_owned())
        .build()
        .map_err(|e| failed("its vocabulary", e))?;
    let mut tokenizer = Tokenizer::new(model);
    let lowercase = vocab.lowercase.unwrap_or(true);
    tokenizer
        .with_normalizer(Some(BertNormalizer::new(true, true, vocab.strip_accents, lowercase)))
        .map_err(|e| failed("its normalizer", e))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_decoder(Some(WordPieceDecoder::default()));
    entries.add_to(&mut tokenizer, |token| token)?;

    let cls =
        entries.token(cls, None).ok_or(TokenizerError::Missing("tokenizer.ggml.cls_token_id"))?;
    let sep = entries
        .token(sep, None)
        .ok_or(TokenizerError::Missing("tokenizer.ggml.seperator_token_id"))?;
    let frame = Frame { before: Some(cls), after: Some(sep), pair: Pair::Separator };
    tokenizer.with_post_processor(frame.processor());
    let (cls, sep) = (cls.1.to_owned(), sep.1.to_owned());
    Ok(entries.finish(tokenizer, Some(cls), Some(sep)))
}

/// Undoes GGUF's rewriting of the vocabulary, which marks beginnings of words
/// where BERT marks continuations.
fn restore(entries: &mut Entries) {
    if !entries.texts.iter().any(|text| text.starts_with(BEGINNING)) {
        return; // written as BERT has it
    }
    for (text, kind) in entries.texts.iter_mut().zip(&entries.kinds) {
        if matches!(kind, Kind::Control | Kind::Unknown) {
            continue;
        }
        match text.strip_prefix(BEGINNING) {
            Some(word) if !word.is_empty() => *text = word.to_owned(),
            _ => text.insert_str(0, CONTINUATION),
        }
    }
}
