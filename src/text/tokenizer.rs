//! The tokenizer of one model.

mod pair;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

pub use self::pair::{Cut, EncodedText, TokenSpan};
use super::error::TokenizerError;
use super::gguf::{self, GgufVocab};
use super::special::{self, Named};
use super::token_bytes::{Piece, PieceEncoding, TokenBytes};

/// Ids above this are taken for damage: the table of bytes has a row for each.
const MAX_TOKEN_ID: u32 = 1 << 24;

/// Turns text into token ids and ids into text or exact bytes.
///
/// `Send + Sync`; share it in an `Arc`. Loading takes up to a few seconds for
/// the largest vocabularies, so load on a blocking thread.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bytes: TokenBytes,
    strips_leading_space: bool,
    exact: bool,
    bos: Option<String>,
    eos: Option<String>,
    eos_ids: Vec<u32>,
    /// Ids from the first on stand for the second.
    unknown: Option<(u32, u32)>,
}

impl Tokenizer {
    /// Loads a `tokenizer.json`. Its neighbour `tokenizer_config.json`, where
    /// given, says which tokens begin and end a text.
    ///
    /// Truncation and padding that the file asks for are switched off: they
    /// would shorten or lengthen texts behind the caller's back.
    ///
    /// # Errors
    /// A file cannot be read, or is not what its name says.
    pub fn from_json_file(
        path: &Path,
        tokenizer_config: Option<&Path>,
    ) -> Result<Self, TokenizerError> {
        let json = std::fs::read(path).map_err(|e| TokenizerError::read(path, e))?;
        let named = tokenizer_config.map(Named::from_file).transpose()?;
        Self::build_json(&json, named.unwrap_or_default())
            .map_err(|e| TokenizerError::invalid(path.display().to_string(), e))
    }

    /// Like [`from_json_file`](Self::from_json_file), from the file's content.
    ///
    /// # Errors
    /// The content is not a tokenizer.
    pub fn from_json_bytes(
        json: &[u8],
        bos: Option<&str>,
        eos: Option<&str>,
    ) -> Result<Self, TokenizerError> {
        let named = Named { bos: bos.map(str::to_owned), eos: eos.map(str::to_owned) };
        Self::build_json(json, named).map_err(|e| TokenizerError::invalid("tokenizer.json", e))
    }

    fn build_json(json: &[u8], named: Named) -> Result<Self, String> {
        let mut inner = guarded(|| tokenizers::Tokenizer::from_bytes(json))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| e.to_string())?;

        let mut entries: Vec<(u32, String, Piece)> = inner
            .get_added_tokens_decoder()
            .into_iter()
            .map(|(id, token)| {
                let piece = if token.special { Piece::Special } else { Piece::Verbatim };
                (id, token.content, piece)
            })
            .collect();
        let model = inner.get_vocab(false).into_iter();
        entries.extend(model.map(|(text, id)| (id, text, Piece::Model)));
        Self::assemble(inner, &entries, named, None)
    }

    /// Builds the tokenizer from the vocabulary inside a GGUF file.
    ///
    /// # Errors
    /// The vocabulary is damaged, or of a kind or family that is not known here.
    pub fn from_gguf(vocab: &GgufVocab) -> Result<Self, TokenizerError> {
        let built = gguf::build(vocab)?;
        let named = Named { bos: built.bos, eos: built.eos };
        Self::assemble(built.tokenizer, &built.entries, named, vocab.eot)
            .map_err(|e| TokenizerError::invalid("the vocabulary of the model file", e))
    }

    fn assemble(
        inner: tokenizers::Tokenizer,
        entries: &[(u32, String, Piece)],
        named: Named,
        eot: Option<u32>,
    ) -> Result<Self, String> {
        let highest = entries.iter().map(|(id, ..)| *id).max().unwrap_or(0);
        if highest > MAX_TOKEN_ID {
            return Err(format!("it has a token with the id {highest}"));
        }
        let (bytes, encoding) = guarded(|| {
            let encoding = PieceEncoding::of(inner.get_decoder());
            let table = entries.iter().map(|(id, text, piece)| (*id, text.as_str(), *piece));
            Ok((TokenBytes::new(highest as usize + 1, table, &encoding), encoding))
        })?;
        // A name that is not in the vocabulary cannot be produced or met.
        let known = |role, name: Option<String>| {
            name.filter(|name| {
                let known = inner.token_to_id(name).is_some();
                if !known {
                    tracing::warn!(token = %name, "the {role} token is not in the vocabulary");
                }
                known
            })
        };
        let bos = known("begin", named.bos);
        let eos = known("end", named.eos);
        let declared = [eos.as_deref().and_then(|t| inner.token_to_id(t)), eot];
        let eos_ids = special::end_of_generation(&declared, |name| {
            inner.token_to_id(name).filter(|id| bytes.is_special(*id))
        });
        Ok(Self {
            strips_leading_space: encoding.strips_leading_space,
            exact: encoding.exact,
            inner,
            bytes,
            bos,
            eos,
            eos_ids,
            unknown: None,
        })
    }

    /// Writes as `writer` does, whose ids have other texts; of the own ones those
    /// from `known` on are `unknown`.
    pub(super) fn writing_as(self, writer: Self, known: u32, unknown: u32) -> Self {
        Self { inner: self.inner, unknown: Some((known, unknown)), ..writer }
    }

    /// Adds ids that end a generation, as `generation_config.json` lists them
    /// under `eos_token_id`. Ids outside the vocabulary are left out.
    pub fn with_eos_ids(&mut self, ids: &[u32]) {
        for &id in ids {
            if (id as usize) < self.bytes.len() && !self.eos_ids.contains(&id) {
                self.eos_ids.push(id);
            }
        }
    }

    /// The ids of a text. The text of a special token in it becomes that
    /// token. `add_special` puts the model's own tokens around the text (begin
    /// of text, `[CLS]` and `[SEP]`), which a rendered chat template has already.
    ///
    /// # Errors
    /// The text has a character the vocabulary cannot spell, which happens with
    /// few models and no generative one.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, TokenizerError> {
        let encoding = guarded(|| self.inner.encode_fast(text, add_special))
            .map_err(TokenizerError::Encode)?;
        let known = |id: u32| match self.unknown {
            Some((from, unknown)) if id >= from => unknown,
            _ => id,
        };
        Ok(encoding.get_ids().iter().map(|&id| known(id)).collect())
    }

    /// The text of a sequence of ids; bytes that are not UTF-8 become U+FFFD.
    /// Ids outside the vocabulary (a model's output may be padded) give nothing.
    ///
    /// # Errors
    /// The model's decoder fails, which those of generative models cannot.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        if !self.exact {
            return guarded(|| self.inner.decode(ids, skip_special))
                .map_err(TokenizerError::Decode);
        }
        let mut text = Vec::with_capacity(ids.len() * 4);
        for &id in ids {
            if !self.bytes.is_special(id) {
                text.extend_from_slice(self.bytes.get(id));
            } else if !skip_special && let Some(token) = self.inner.id_to_token(id) {
                text.extend_from_slice(token.as_bytes());
            }
        }
        let text = match text.strip_prefix(b" ") {
            Some(rest) if self.strips_leading_space => rest,
            _ => &text,
        };
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// The exact bytes a token contributes to a text, which may be part of a
    /// character. Empty for special tokens and unknown ids. A table look-up.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id)
    }

    /// Whether a whole text loses the space it begins with when decoded, as
    /// SentencePiece texts do.
    pub fn strips_leading_space(&self) -> bool {
        self.strips_leading_space
    }

    /// One more than the highest id. A model's output may be wider (padding).
    pub fn vocab_size(&self) -> usize {
        self.bytes.len()
    }

    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The vocabulary's entry as it is written there, not its text.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether the token is a control token, which never shows in a text.
    pub fn is_special(&self, id: u32) -> bool {
        self.bytes.is_special(id)
    }

    pub fn bos_token(&self) -> Option<&str> {
        self.bos.as_deref()
    }

    pub fn eos_token(&self) -> Option<&str> {
        self.eos.as_deref()
    }

    /// All ids that end a generation: end of text, end of turn, and what
    /// [`with_eos_ids`](Self::with_eos_ids) added.
    pub fn eos_ids(&self) -> &[u32] {
        &self.eos_ids
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("bos", &self.bos)
            .field("eos", &self.eos)
            .finish_non_exhaustive()
    }
}

/// Runs the crate's code so that a panic in it (it has assertions that a
/// damaged file can trip) fails this call alone.
fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(_) => Err("the tokenizer failed an assertion".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn file() -> Value {
        json!({
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"},
            "added_tokens": [
                {"id": 0, "content": "<pad>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
                {"id": 7, "content": "<|im_end|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
                {"id": 8, "content": "<think>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false}],
            "normalizer": null,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "post_processor": null,
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": {"<pad>": 0, "a": 1, "b": 2, "Ġ": 3, "ab": 4, "Ġa": 5, "Ã": 6},
                "merges": [["a", "b"], ["Ġ", "a"]]}
        })
    }

    fn load(file: &Value) -> Result<Tokenizer, TokenizerError> {
        Tokenizer::from_json_bytes(file.to_string().as_bytes(), None, Some("<pad>"))
    }

    #[test]
    fn nothing_is_cut_or_padded() {
        let tokenizer = load(&file()).unwrap();
        assert_eq!(tokenizer.encode("ab a", true).unwrap(), [4, 5]);
        assert_eq!(tokenizer.encode(&"ab".repeat(9), true).unwrap(), [4; 9]);
    }

    #[test]
    fn special_tokens_and_bytes() {
        let mut tokenizer = load(&file()).unwrap();
        assert_eq!(tokenizer.eos_ids(), [0, 7]);
        tokenizer.with_eos_ids(&[7, 4, 4, 99]);
        assert_eq!(tokenizer.eos_ids(), [0, 7, 4]);
        assert_eq!((tokenizer.bos_token(), tokenizer.eos_token()), (None, Some("<pad>")));
        assert_eq!(tokenizer.encode("a<think>b<|im_end|>", false).unwrap(), [1, 8, 2, 7]);
        assert_eq!(tokenizer.decode(&[1, 8, 2, 7], true).unwrap(), "a<think>b");
        assert_eq!((tokenizer.token_bytes(6), tokenizer.token_bytes(7)), (&b"\xC3"[..], &b""[..]));
        assert_eq!(tokenizer.vocab_size(), 9);
    }

    #[test]
    fn damaged_files_are_errors() {
        let edit = |pointer: &str, value: Value| {
            let mut file = file();
            *file.pointer_mut(pointer).unwrap() = value;
            file
        };
        for damaged in [
            json!({}),
            json!([1]),
            edit("/model/vocab/ab", json!(4_000_000_000u32)),
            edit("/model/merges/0/0", json!("x")),
            // The crate panics on this one.
            edit("/model/continuing_subword_prefix", json!("much longer than b")),
            edit("/decoder/type", json!("Magic")),
        ] {
            assert!(load(&damaged).is_err(), "{damaged}");
        }
        assert!(Tokenizer::from_json_file(Path::new("/nowhere/tokenizer.json"), None).is_err());
    }

    #[test]
    fn a_token_that_is_not_there_is_no_token() {
        let file = file().to_string();
        let tokenizer = Tokenizer::from_json_bytes(file.as_bytes(), Some("<s>"), None).unwrap();
        assert_eq!((tokenizer.bos_token(), tokenizer.eos_token()), (None, None));
    }

    #[test]
    fn it_is_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Tokenizer>();
        shared::<crate::text::ChatTemplate>();
    }
}
