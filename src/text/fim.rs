//! Filling in the middle: how a model that was trained for it is given the
//! text before and the text after.

use super::error::TokenizerError;
use super::tokenizer::Tokenizer;

/// The tokens around the two texts.
struct Form {
    open: &'static str,
    between: &'static str,
    close: &'static str,
    /// The text after comes first.
    suffix_first: bool,
}

/// The first whose tokens a tokenizer has counts.
const FORMS: [Form; 6] = [
    form("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    form("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    form("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    form("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    form("▁<PRE>", "▁<SUF>", "▁<MID>"),
    Form { open: "[SUFFIX]", between: "[PREFIX]", close: "", suffix_first: true },
];

const fn form(open: &'static str, between: &'static str, close: &'static str) -> Form {
    Form { open, between, close, suffix_first: false }
}

impl Tokenizer {
    /// The prompt whose continuation stands between two texts; `None` where
    /// the vocabulary has no tokens for that.
    ///
    /// # Errors
    /// The tokenizer fails on a text.
    pub fn encode_fim(
        &self,
        prefix: &str,
        suffix: &str,
    ) -> Result<Option<Vec<u32>>, TokenizerError> {
        let id = |text: &str| match text.is_empty() {
            true => Some(None),
            false => self.token_to_id(text).map(Some),
        };
        let found = FORMS.iter().find_map(|form| {
            let ids = (id(form.open)?, id(form.between)?, id(form.close)?);
            Some((form, ids))
        });
        let Some((form, (open, between, close))) = found else { return Ok(None) };
        let (first, second) = match form.suffix_first {
            true => (suffix, prefix),
            false => (prefix, suffix),
        };
        let mut ids: Vec<u32> = Vec::new();
        let bos = self.bos_token().and_then(|bos| self.token_to_id(bos));
        // What stands before every text stands before this one.
        let alone = self.encode("a", true)?;
        ids.extend(bos.filter(|bos| alone.first() == Some(bos)));
        ids.extend(open);
        ids.extend(self.encode(first, false)?);
        ids.extend(between);
        ids.extend(self.encode(second, false)?);
        ids.extend(close);
        Ok(Some(ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Letters are tokens 1 to 3, these special tokens the next.
    fn tokenizer(special: &[&str]) -> Tokenizer {
        let added: Vec<_> = (special.iter().zip(4..))
            .map(|(content, id)| {
                json!({"id": id, "content": content, "special": true, "single_word": false,
                    "lstrip": false, "rstrip": false, "normalized": false})
            })
            .collect();
        let json = json!({
            "version": "1.0", "added_tokens": added,
            "model": {"type": "BPE", "vocab": {"x": 0, "a": 1, "b": 2, "c": 3}, "merges": []},
        });
        Tokenizer::from_json_bytes(json.to_string().as_bytes(), None, None).unwrap()
    }

    #[test]
    fn the_middle_comes_last() {
        let check = |special: &[&str], expected: Option<&[u32]>| {
            let found = tokenizer(special).encode_fim("a", "bc").unwrap();
            assert_eq!(found.as_deref(), expected, "{special:?}");
        };
        let usual: &[u32] = &[4, 1, 5, 2, 3, 6];
        check(&["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"], Some(usual));
        check(&["<fim_prefix>", "<fim_suffix>", "<fim_middle>"], Some(usual));
        check(&["[SUFFIX]", "[PREFIX]"], Some(&[4, 2, 3, 5, 1]));
        check(&["<fim_prefix>"], None);
    }
}
