//! Texts and pairs of texts as encoders take them.

use tokenizers::utils::truncation::{TruncationDirection, TruncationParams, truncate_encodings};

use super::{Tokenizer, TokenizerError, guarded};

/// The tokens of a text, or of a pair of texts, with special tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedText {
    pub ids: Vec<u32>,
    /// Which of a pair's texts each token is of. Empty: all of the first.
    pub types: Vec<u32>,
}

impl From<Vec<u32>> for EncodedText {
    fn from(ids: Vec<u32>) -> Self {
        Self { ids, types: Vec::new() }
    }
}

/// What a text that is too long loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Tokens that may stay, special ones included.
    pub max: usize,
    /// Its beginning goes instead of its end.
    pub left: bool,
}

/// A token and where in the text it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpan {
    pub id: u32,
    pub text: String,
    pub special: bool,
    /// In characters; `None` for tokens that are not from the text.
    pub span: Option<(usize, usize)>,
}

impl Tokenizer {
    /// A text or a pair, put together as the model was trained with. With
    /// `cut`, what is too long is shortened, of a pair the longer text first.
    ///
    /// # Errors
    /// The text cannot be spelled, or `cut` leaves no room for a token of it.
    pub fn encode_text(
        &self,
        first: &str,
        second: Option<&str>,
        cut: Option<Cut>,
    ) -> Result<EncodedText, TokenizerError> {
        let whole = guarded(|| match second {
            Some(second) => self.inner.encode_fast((first, second), true),
            None => self.inner.encode_fast(first, true),
        });
        let whole = whole.map_err(TokenizerError::Encode)?;
        let encoding = match cut {
            Some(cut) if whole.len() > cut.max => self.encode_cut(first, second, cut)?,
            _ => whole,
        };
        Ok(EncodedText {
            ids: encoding.get_ids().to_vec(),
            types: encoding.get_type_ids().to_vec(),
        })
    }

    fn encode_cut(
        &self,
        first: &str,
        second: Option<&str>,
        cut: Cut,
    ) -> Result<tokenizers::Encoding, TokenizerError> {
        use tokenizers::PostProcessor;
        let processor = self.inner.get_post_processor();
        let added = processor.map_or(0, |p| p.added_tokens(second.is_some()));
        let texts = if second.is_some() { 2 } else { 1 };
        if cut.max < added + texts {
            let message = format!("{} tokens leave no room for a text", cut.max);
            return Err(TokenizerError::Encode(message));
        }
        let params = TruncationParams {
            max_length: cut.max - added,
            direction: match cut.left {
                true => TruncationDirection::Left,
                false => TruncationDirection::Right,
            },
            ..Default::default()
        };
        guarded(|| {
            let first = self.inner.encode_fast(first, false)?;
            let second = second.map(|s| self.inner.encode_fast(s, false)).transpose()?;
            let (first, second) = truncate_encodings(first, second, &params)?;
            self.inner.post_process(first, second, true)
        })
        .map_err(TokenizerError::Encode)
    }

    /// The tokens of a text one by one.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_spans(
        &self,
        text: &str,
        add_special: bool,
    ) -> Result<Vec<TokenSpan>, TokenizerError> {
        let encoding = guarded(|| self.inner.encode_char_offsets(text, add_special))
            .map_err(TokenizerError::Encode)?;
        let special = encoding.get_special_tokens_mask();
        let all = encoding.get_ids().iter().zip(encoding.get_tokens());
        let all = all.zip(encoding.get_offsets()).zip(special);
        Ok(all
            .map(|(((&id, text), &span), &special)| TokenSpan {
                id,
                text: text.clone(),
                special: special != 0,
                span: (special == 0).then_some(span),
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tokenizer() -> Tokenizer {
        let vocab: serde_json::Map<_, _> = ["[CLS]", "[SEP]", "[UNK]", "a", "b", "c", "d"]
            .iter()
            .enumerate()
            .map(|(i, t)| ((*t).to_owned(), json!(i)))
            .collect();
        let file = json!({
            "version": "1.0",
            "added_tokens": [],
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": {
                "type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 0]
            },
            "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"},
        });
        Tokenizer::from_json_bytes(file.to_string().as_bytes(), None, None).unwrap()
    }

    #[test]
    fn pairs_have_types_and_are_cut_only_when_asked() {
        let tokenizer = tokenizer();
        let check = |second: Option<&str>, cut: Option<(usize, bool)>, ids: &[u32]| {
            let cut = cut.map(|(max, left)| Cut { max, left });
            let found = tokenizer.encode_text("a b c", second, cut).unwrap();
            assert_eq!(found.ids, ids, "{second:?} {cut:?}");
            assert_eq!(found.types.len(), ids.len());
            let second = found.types.iter().filter(|t| **t == 1).count();
            let after = ids.iter().position(|id| *id == 1).unwrap() + 1;
            assert_eq!(second, ids.len() - after, "{:?}", found.types);
        };
        check(None, None, &[0, 3, 4, 5, 1]);
        check(None, Some((5, false)), &[0, 3, 4, 5, 1]);
        check(None, Some((4, false)), &[0, 3, 4, 1]);
        check(None, Some((4, true)), &[0, 4, 5, 1]);
        check(Some("d"), None, &[0, 3, 4, 5, 1, 6, 1]);
        check(Some("d"), Some((5, false)), &[0, 3, 1, 6, 1]);
        check(Some("d d d d"), Some((8, false)), &[0, 3, 4, 1, 6, 6, 6, 1]);
        let none = tokenizer.encode_text("a", Some("b"), Some(Cut { max: 4, left: false }));
        assert!(none.unwrap_err().to_string().contains("no room"));
    }

    #[test]
    fn spans_are_in_characters() {
        let spans = tokenizer().encode_spans("é b", true).unwrap();
        let found: Vec<_> = spans.iter().map(|t| (t.id, t.special, t.span)).collect();
        let expected =
            [(0, true, None), (2, false, Some((0, 1))), (4, false, Some((2, 3))), (1, true, None)];
        assert_eq!(found, expected);
    }
}
