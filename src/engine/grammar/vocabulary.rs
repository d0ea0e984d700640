//! A model's vocabulary as llguidance wants it: a trie of token bytes.

use std::sync::Arc;

use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenizerEnv};

use crate::text::Tokenizer;

struct Vocabulary {
    trie: TokTrie,
    tokenizer: Arc<Tokenizer>,
}

/// The environment of a tokenizer. Special tokens have no bytes, so that no
/// text can contain them.
pub fn environment(tokenizer: Arc<Tokenizer>) -> TokEnv {
    let size = tokenizer.vocab_size() as u32;
    let mut words: Vec<Vec<u8>> = (0..size).map(|id| tokenizer.token_bytes(id).to_vec()).collect();
    for &id in tokenizer.eos_ids() {
        if let Some(word) = words.get_mut(id as usize) {
            word.clear();
        }
    }
    let mut eos: Vec<u32> = tokenizer.eos_ids().iter().copied().filter(|&id| id < size).collect();
    if eos.is_empty() {
        // A token that no model can draw: texts end where nothing may follow.
        eos.push(size);
        words.push(Vec::new());
    }
    let info = TokRxInfo::new(words.len() as u32, eos[0]);
    let trie = TokTrie::from(&info, &words).with_eos_tokens(&eos);
    Arc::new(Vocabulary { trie, tokenizer })
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        if !self.tokenize_is_canonical() {
            return self.trie.greedy_tokenize(bytes);
        }
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            // A tokenizer that refuses a text forces nothing.
            self.tokenizer
                .encode(text, false)
                .unwrap_or_else(|_| self.trie.greedy_tokenize(text.as_bytes()))
        })
    }

    fn tokenize_is_canonical(&self) -> bool {
        // Where a text begins with a space of its own, a piece of a text
        // cannot be tokenised alone.
        !self.tokenizer.strips_leading_space()
    }
}
