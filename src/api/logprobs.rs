//! From the engine's log probabilities to those on the wire.

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
        // JSON has no minus infinity; OpenAI sends this for what cannot be.
        TokenScore { token: text_of(&bytes), logprob: logprob.max(-9999.0), bytes }
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

    /// `offset` goes on from the piece before.
    pub fn completion(&self, logprobs: &[TokenLogprob], offset: &mut Offset) -> CompletionLogprobs {
        let mut out = CompletionLogprobs::default();
        for l in logprobs {
            let score = self.score(l.token, l.logprob);
            out.text_offset.push(offset.next(&score.bytes));
            out.tokens.push(score.token);
            out.token_logprobs.push(score.logprob);
            if self.top > 0 {
                let scores = l.top.iter().map(|&(id, p)| self.score(id, p));
                let map = scores.map(|s| (s.token, s.logprob)).collect();
                out.top_logprobs.get_or_insert_default().push(map);
            }
        }
        out
    }
}

/// Characters of a text so far, token by token.
#[derive(Debug, Default)]
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
    use crate::engine::testing::byte_tokenizer;

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
        let mut offset = Offset::default();
        let got = texts.completion(&tokens, &mut offset);
        assert_eq!(got.tokens, ["x", r"bytes:\xc3", r"bytes:\xa9", "y"]);
        assert_eq!(got.text_offset, [0, 1, 1, 2]);
        assert_eq!(got.top_logprobs.unwrap()[3]["a"], -9999.0);
        assert_eq!(texts.completion(&tokens[..1], &mut offset).text_offset, [3]);
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
