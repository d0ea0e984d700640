//! Tokenizers of repositories that have SentencePiece's own files and no
//! `tokenizer.json`: T5's `spiece.model`, and OPUS-MT's `source.spm` with the
//! ids of its pieces in `vocab.json`. Unigram only, as these are.

mod proto;

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use self::proto::Model;
use super::error::TokenizerError;
use super::tokenizer::Tokenizer;

const END: &str = "</s>";
const UNKNOWN: &str = "<unk>";
const PADDING: &str = "<pad>";
/// Stands where OPUS-MT's vocabulary has a piece that its source text never
/// becomes: a character that is no character, and a number.
const ELSEWHERE: char = '\u{10ffff}';
/// How much less likely than any piece SentencePiece takes unknown characters
/// to be, in nats.
const UNKNOWN_COSTS: f64 = 10.0;

impl Tokenizer {
    /// Of T5 and its kin: pieces have their own numbers, and a text ends with
    /// `</s>`.
    ///
    /// # Errors
    /// The file cannot be read or is not of this kind.
    pub fn from_sentencepiece(path: &Path) -> Result<Self, TokenizerError> {
        let model = read(path)?;
        let pieces: Vec<_> =
            model.pieces.iter().map(|p| (p.text.clone(), f64::from(p.score))).collect();
        let added: Vec<_> = (model.pieces.iter().enumerate())
            .filter(|(_, piece)| matches!(piece.kind, 2..=4))
            .map(|(id, piece)| (id, piece.text.clone(), piece.kind != 4))
            .collect();
        build(&model, &pieces, &added).map_err(|e| invalid(path, e))
    }

    /// Of OPUS-MT: `source` cuts a text into pieces, whose ids are in `vocab`;
    /// the ids of what is written are in `target`, if that is another file.
    ///
    /// # Errors
    /// A file cannot be read or is not of this kind.
    pub fn from_marian(
        source: &Path,
        vocab: &Path,
        target: Option<&Path>,
    ) -> Result<Self, TokenizerError> {
        let model = read(source)?;
        let own = vocabulary(vocab)?;
        let scores: HashMap<&str, f32> =
            model.pieces.iter().map(|p| (p.text.as_str(), p.score)).collect();
        let lowest = scores.values().fold(0f32, |lowest, &score| lowest.min(score));
        let mut pieces: Vec<_> = (own.iter().enumerate())
            .map(|(id, text)| match scores.get(text.as_str()) {
                Some(&score) => (text.clone(), f64::from(score)),
                None if is_special(text) => (text.clone(), f64::from(lowest)),
                // A character the source's pieces do not have is cut off by
                // itself, and may have an id all the same.
                None if text.chars().count() == 1 => {
                    (text.clone(), f64::from(lowest) - UNKNOWN_COSTS)
                }
                None => (format!("{ELSEWHERE}{id}"), f64::from(lowest)),
            })
            .collect();
        // Pieces without an id make a text what it is, and are unknown then.
        let known: std::collections::HashSet<&str> = own.iter().map(String::as_str).collect();
        let others = model.pieces.iter().filter(|p| p.kind == 1 && !known.contains(&*p.text));
        pieces.extend(others.map(|p| (p.text.clone(), f64::from(p.score))));
        let tokenizer = build(&model, &pieces, &specials(&own)).map_err(|e| invalid(source, e))?;
        let unknown = own.iter().position(|text| text == UNKNOWN).unwrap_or_default();
        let written = target.map_or(Ok(own.clone()), vocabulary)?;
        let texts: Vec<_> = written.iter().map(|text| (text.clone(), 0.0)).collect();
        let writer = build(&model, &texts, &specials(&written))
            .map_err(|e| invalid(target.unwrap_or(vocab), e))?;
        Ok(tokenizer.writing_as(writer, own.len() as u32, unknown as u32))
    }
}

fn invalid(path: &Path, message: impl ToString) -> TokenizerError {
    TokenizerError::invalid(path.display().to_string(), message)
}

fn read(path: &Path) -> Result<Model, TokenizerError> {
    let bytes = std::fs::read(path).map_err(|e| TokenizerError::read(path, e))?;
    let model = Model::read(&bytes).map_err(|e| invalid(path, e))?;
    if model.kind != 1 {
        let reason = "it is not of the kind Unigram, which alone is read from such a file; use a \
                      copy of the model that has a tokenizer.json";
        return Err(invalid(path, reason));
    }
    Ok(model)
}

/// The pieces of a `vocab.json` in the order of their ids.
fn vocabulary(path: &Path) -> Result<Vec<String>, TokenizerError> {
    let bytes = std::fs::read(path).map_err(|e| TokenizerError::read(path, e))?;
    let ids: HashMap<String, usize> =
        serde_json::from_slice(&bytes).map_err(|e| invalid(path, e))?;
    let mut texts = vec![None; ids.len()];
    for (text, id) in ids {
        match texts.get_mut(id) {
            Some(place @ None) => *place = Some(text),
            Some(_) => return Err(invalid(path, format!("two pieces have the id {id}"))),
            None => return Err(invalid(path, format!("the id {id} leaves a gap"))),
        }
    }
    let texts: Vec<String> = texts.into_iter().flatten().collect();
    match [END, UNKNOWN].into_iter().find(|name| !texts.iter().any(|text| text == name)) {
        Some(name) => Err(invalid(path, format!("it has no {name}"))),
        None => Ok(texts),
    }
}

/// A token that is no text: one that frames texts, or names a language.
fn is_special(text: &str) -> bool {
    [END, UNKNOWN, PADDING].contains(&text) || (text.starts_with(">>") && text.ends_with("<<"))
}

/// Id, text, and whether it is special.
type Added = (usize, String, bool);

fn specials(vocabulary: &[String]) -> Vec<Added> {
    let special = vocabulary.iter().enumerate().filter(|(_, text)| is_special(text));
    special.map(|(id, text)| (id, text.clone(), true)).collect()
}

/// The pipeline of a `tokenizer.json`, as Hugging Face converts such files.
fn build(
    model: &Model,
    pieces: &[(String, f64)],
    added: &[Added],
) -> Result<Tokenizer, TokenizerError> {
    let find = |name: &str| pieces.iter().position(|(text, _)| text == name);
    let end = find(END).ok_or(TokenizerError::Missing(END))?;
    let spaces = json!({
        "type": "Metaspace", "replacement": "▁", "split": true,
        "prepend_scheme": if model.add_prefix { "always" } else { "never" },
    });
    let added: Vec<Value> = (added.iter())
        .map(|(id, text, special)| {
            json!({"id": id, "content": text, "special": special, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false})
        })
        .collect();
    let around = |sequence: &str| json!({"Sequence": {"id": sequence, "type_id": 0}});
    let last = json!({"SpecialToken": {"id": END, "type_id": 0}});
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": (!model.rules.is_empty()).then(|| json!({
            "type": "Precompiled", "precompiled_charsmap": BASE64_STANDARD.encode(&model.rules),
        })),
        "pre_tokenizer": match model.squeeze {
            true => json!({"type": "Sequence",
                "pretokenizers": [{"type": "Split", "pattern": {"Regex": " +"},
                    "behavior": "Removed", "invert": false}, spaces]}),
            false => spaces.clone(),
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [around("A"), last],
            "pair": [around("A"), around("B"), last],
            "special_tokens": {END: {"id": END, "ids": [end], "tokens": [END]}},
        },
        "decoder": spaces,
        "model": {
            "type": "Unigram",
            "unk_id": find(UNKNOWN),
            "vocab": pieces,
            "byte_fallback": model.byte_fallback,
        },
    });
    Tokenizer::from_json_bytes(file.to_string().as_bytes(), None, Some(END))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Expected {
        t5: Vec<(String, Vec<u32>)>,
        marian: Vec<(String, Vec<u32>)>,
        decoded: Vec<(Vec<u32>, String)>,
    }

    fn file(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sentencepiece").join(name)
    }

    fn expected() -> Expected {
        serde_json::from_slice(&std::fs::read(file("expected.json")).unwrap()).unwrap()
    }

    #[test]
    fn t5_is_as_sentencepiece_has_it() {
        let tokenizer = Tokenizer::from_sentencepiece(&file("spiece.model")).unwrap();
        for (text, ids) in expected().t5 {
            assert_eq!(tokenizer.encode(&text, true).unwrap(), ids, "{text:?}");
        }
        assert_eq!((tokenizer.eos_token(), tokenizer.eos_ids()), (Some("</s>"), &[1][..]));
    }

    #[test]
    fn opus_mt_is_as_transformers_has_it() {
        let (source, vocab) = (file("source.spm"), file("vocab.json"));
        let tokenizer = Tokenizer::from_marian(&source, &vocab, None).unwrap();
        let Expected { marian, decoded, .. } = expected();
        for (text, ids) in marian {
            assert_eq!(tokenizer.encode(&text, true).unwrap(), ids, "{text:?}");
        }
        for (ids, text) in decoded {
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
            let bytes: Vec<u8> =
                ids.iter().flat_map(|&id| tokenizer.token_bytes(id)).copied().collect();
            assert_eq!(String::from_utf8(bytes).unwrap().trim_start(), text);
        }
        // With its own vocabulary the target has other texts for the same ids.
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target_vocab.json");
        std::fs::write(&target, r#"{"</s>": 0, "<unk>": 1, "▁paix": 2}"#).unwrap();
        let two = Tokenizer::from_marian(&source, &vocab, Some(&target)).unwrap();
        assert_eq!(two.decode(&[2, 0], true).unwrap(), "paix");
        assert_eq!(two.encode("peace", true).unwrap(), tokenizer.encode("peace", true).unwrap());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vocab.json");
        for (vocab, says) in [
            ("[1]", "invalid type"),
            (r#"{"</s>": 0, "a": 1}"#, "it has no <unk>"),
            (r#"{"</s>": 0, "<unk>": 0}"#, "two pieces have the id 0"),
            (r#"{"</s>": 0, "<unk>": 2}"#, "the id 2 leaves a gap"),
        ] {
            std::fs::write(&path, vocab).unwrap();
            let error = Tokenizer::from_marian(&file("source.spm"), &path, None).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(says) && error.contains("vocab.json"), "{error}");
        }
        let error = Tokenizer::from_sentencepiece(&file("vocab.json")).unwrap_err().to_string();
        assert!(error.contains("vocab.json"), "{error}");
    }
}
