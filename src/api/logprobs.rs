//! From the engine's log probabilities to those on the wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::wire::logprobs::{ChatLogprobs, ChatToken, CompletionLogprobs, TokenScore};
use crate::engine::TokenLogprob;
use crate::engine::detokenize::Detokenizer;
use crate::text::Tokenizer;

/// Writes tokens as text.
#[derive(Clone)]
pub struct TokenTexts {
    tokenizer: Arc<Tokenizer>,
    /// Most likely tokens asked for beside each.
    top: usize,
}

impl TokenTexts {
    pub fn new(tokenizer: Arc<Tokenizer>, top: usize) -> Self {
        Self { tokenizer, top }
    }

    fn score(&self, token: u32, logprob: f32) -> TokenScore {
        let bytes = self.tokenizer.token_bytes(token).to_vec();
        TokenScore { token: self.written(token), logprob: finite(logprob), bytes }
    }

    /// A token's text, or the name of one that adds no text.
    fn written(&self, token: u32) -> String {
        match self.tokenizer.token_bytes(token) {
            [] => self.tokenizer.id_to_token(token).unwrap_or_default(),
            bytes => text_of(bytes),
        }
    }

    fn most_likely(&self, top: &[(u32, f32)]) -> BTreeMap<String, f32> {
        top.iter().map(|&(id, logprob)| (self.written(id), finite(logprob))).collect()
    }

    /// For a text that goes on after `prompt`, which is part of it.
    pub fn offset(&self, prompt: &str) -> Offset {
        let detokenizer = Detokenizer::new(self.tokenizer.strips_leading_space());
        Offset { detokenizer, characters: prompt.chars().count() }
    }

    pub fn chat(&self, logprobs: &[TokenLogprob]) -> ChatLogprobs {
        let content = (logprobs.iter())
            .map(|l| ChatToken {
                token: self.score(l.token, l.logprob),
                top_logprobs: l.top.iter().map(|&(id, p)| self.score(id, p)).collect(),
            })
            .collect();
        ChatLogprobs { content, refusal: None }
    }

    /// Adds the tokens of a text; `offset` goes on from the piece before.
    pub fn completion(
        &self,
        logprobs: &[TokenLogprob],
        offset: &mut Offset,
        out: &mut CompletionLogprobs,
    ) {
        for l in logprobs {
            let begin = offset.next(self.tokenizer.token_bytes(l.token));
            self.add(l.token, Some(l), begin, out);
        }
    }

    /// Adds the tokens of a prompt, of which `text` is the text: its first token,
    /// and those after it.
    pub fn prompt(
        &self,
        first: u32,
        rest: &[TokenLogprob],
        text: &str,
        out: &mut CompletionLogprobs,
    ) {
        let mut offset = self.offset("");
        let mut at = 0;
        let rest = rest.iter().map(|l| (l.token, Some(l)));
        for (token, scored) in std::iter::once((first, None)).chain(rest) {
            let begin = offset.characters;
            let added = match self.tokenizer.token_bytes(token) {
                // One that the tokenizer puts before a text is no part of it.
                [] => {
                    let name = self.written(token);
                    let there = text.get(at..).is_some_and(|rest| rest.starts_with(&name));
                    if there { name } else { String::new() }
                }
                bytes => offset.detokenizer.push(bytes),
            };
            at += added.len();
            offset.characters += added.chars().count();
            self.add(token, scored, begin, out);
        }
    }

    fn add(
        &self,
        token: u32,
        scored: Option<&TokenLogprob>,
        begin: usize,
        out: &mut CompletionLogprobs,
    ) {
        out.text_offset.push(begin);
        out.tokens.push(self.written(token));
        out.token_logprobs.push(scored.map(|l| finite(l.logprob)));
        if self.top > 0 {
            let top = scored.map(|l| self.most_likely(&l.top));
            out.top_logprobs.get_or_insert_default().push(top);
        }
    }
}

/// JSON has no minus infinity; OpenAI sends this for what cannot be.
fn finite(logprob: f32) -> f32 {
    logprob.max(-9999.0)
}

/// Characters of a text so far, token by token.
#[derive(Debug)]
pub struct Offset {
    detokenizer: Detokenizer,
    characters: usize,
}

impl Offset {
    /// Where a token begins that adds `bytes`.
    fn next(&mut self, bytes: &[u8]) -> usize {
        let begin = self.characters;
        self.characters += self.detokenizer.push(bytes).chars().count();
        begin
    }
}

fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().fold("bytes:".to_owned(), |text, b| format!("{text}\\x{b:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{EOS, byte_tokenizer};

    #[test]
    fn tokens_have_texts_bytes_and_places() {
        let texts = TokenTexts::new(Arc::new(byte_tokenizer()), 2);
        let logprob = |token| TokenLogprob {
            token,
            logprob: -0.5,
            top: vec![(token, -0.5), (97, f32::NEG_INFINITY)],
        };
        // "é" is two bytes, and so two tokens here.
        let tokens: Vec<_> = "xéy".bytes().map(|b| logprob(b.into())).collect();
        let mut offset = texts.offset("");
        let mut got = CompletionLogprobs::default();
        texts.completion(&tokens, &mut offset, &mut got);
        assert_eq!(got.tokens, ["x", r"bytes:\xc3", r"bytes:\xa9", "y"]);
        assert_eq!(got.text_offset, [0, 1, 1, 2]);
        assert_eq!(got.top_logprobs.as_ref().unwrap()[3].as_ref().unwrap()["a"], -9999.0);
        texts.completion(&tokens[..1], &mut offset, &mut got);
        assert_eq!(got.text_offset, [0, 1, 1, 2, 3]);
        // A prompt, whose first token has no score, and a text after it. A token
        // without text counts where the text names it.
        let name = texts.tokenizer.id_to_token(EOS).unwrap();
        let mut got = CompletionLogprobs::default();
        let prompt = format!("é{name}z");
        let rest = [logprob(0xa9), logprob(EOS), logprob(u32::from(b'z'))];
        texts.prompt(0xc3, &rest, &prompt, &mut got);
        texts.completion(&tokens[..1], &mut texts.offset(&prompt), &mut got);
        assert_eq!(got.tokens, [r"bytes:\xc3", r"bytes:\xa9", &name, "z", "x"]);
        let after = 1 + name.chars().count();
        assert_eq!(got.text_offset, [0, 0, 1, after, after + 1]);
        assert_eq!(got.token_logprobs, [None, Some(-0.5), Some(-0.5), Some(-0.5), Some(-0.5)]);
        assert!(got.top_logprobs.unwrap()[0].is_none());
        let mut got = CompletionLogprobs::default();
        texts.prompt(EOS, &rest[2..], "z", &mut got);
        assert_eq!(got.text_offset, [0, 0]);
        let chat = serde_json::to_value(texts.chat(&tokens[1..2])).unwrap();
        assert_eq!(
            chat,
            serde_json::json!({"refusal": null, "content": [{
                "token": r"bytes:\xc3", "logprob": -0.5, "bytes": [0xc3],
                "top_logprobs": [
                    {"token": r"bytes:\xc3", "logprob": -0.5, "bytes": [0xc3]},
                    {"token": "a", "logprob": -9999.0, "bytes": [97]},
                ],
            }]})
        );
    }
}
