//! "Don't repeat yourself": a token that would continue a passage seen before
//! becomes less likely, the more so the longer the passage is.

use std::collections::HashSet;

use super::super::request::Dry;

/// What DRY knows of one text.
#[derive(Debug)]
pub struct DryState {
    params: Dry,
    /// Tokens of the text over which no passage reaches.
    breakers: HashSet<u32>,
}

impl DryState {
    pub fn new(params: Dry) -> Self {
        Self { params, breakers: HashSet::new() }
    }

    /// Looks at a token of the text.
    pub fn observe(&mut self, token: u32, bytes: &[u8]) {
        let holds = |breaker: &String| {
            let breaker = breaker.as_bytes();
            !breaker.is_empty() && bytes.windows(breaker.len()).any(|w| w == breaker)
        };
        if self.params.breakers.iter().any(holds) {
            self.breakers.insert(token);
        }
    }

    /// Lowers the logits of tokens that would continue a passage of `history`.
    pub fn apply(&self, history: &[u32], logits: &mut [f32]) {
        for (token, less) in self.penalties(history) {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit -= less;
            }
        }
    }

    /// The same as tokens, each once, and by how much their logits are lowered.
    pub fn penalties(&self, history: &[u32]) -> Vec<(u32, f32)> {
        let range = self.params.range.unwrap_or(usize::MAX).min(history.len());
        let mut recent: Vec<u32> = history[history.len() - range..].to_vec();
        recent.reverse();
        // The passage that ends the text, up to the last breaker.
        let longest = recent.iter().position(|t| self.breakers.contains(t)).unwrap_or(recent.len());
        let least = self.params.allowed_length.max(1);
        if longest < least {
            return Vec::new();
        }
        let mut repeated = std::collections::HashMap::new();
        for (i, &n) in common_prefixes(&recent).iter().enumerate().skip(1) {
            let (n, next) = (n.min(longest), recent[i - 1]);
            if n >= least && !self.breakers.contains(&next) {
                let most = repeated.entry(next).or_insert(0);
                *most = n.max(*most);
            }
        }
        let lowered = |(token, n): (u32, usize)| {
            let exponent = (n - self.params.allowed_length.min(n)) as f32;
            // Never so much that it becomes NaN with a token that is masked.
            (token, (self.params.multiplier * self.params.base.powf(exponent)).min(1e30))
        };
        repeated.into_iter().map(lowered).collect()
    }
}

/// For each position, how many elements from there on equal those from the
/// beginning on: the Z algorithm, linear in the length.
fn common_prefixes(s: &[u32]) -> Vec<usize> {
    let mut z = vec![0; s.len()];
    let (mut left, mut right) = (0, 0);
    for i in 1..s.len() {
        let mut n = if i < right { z[i - left].min(right - i) } else { 0 };
        while i + n < s.len() && s[n] == s[i + n] {
            n += 1;
        }
        if i + n > right {
            (left, right) = (i, i + n);
        }
        z[i] = n;
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BREAKER: u32 = 4;

    /// The definition, word by word: for each earlier position, the longest
    /// passage before it that the text ends with.
    fn by_definition(dry: &Dry, history: &[u32], logits: &mut [f32]) {
        let range = dry.range.unwrap_or(history.len()).min(history.len());
        let text = &history[history.len() - range..];
        for token in 0..logits.len() as u32 {
            let mut longest = 0;
            for at in (0..text.len()).filter(|&at| text[at] == token) {
                let mut n = 0;
                while n < at
                    && text[at - 1 - n] == text[text.len() - 1 - n]
                    && text[at - 1 - n] != BREAKER
                {
                    n += 1;
                }
                longest = longest.max(n);
            }
            if longest >= dry.allowed_length.max(1) && token != BREAKER {
                logits[token as usize] -=
                    dry.multiplier * dry.base.powi((longest - dry.allowed_length) as i32);
            }
        }
    }

    proptest! {
        #[test]
        fn the_fast_way_is_the_definition(
            history in proptest::collection::vec(0u32..5, 0..60),
            allowed_length in 0usize..4,
            range in proptest::option::of(0usize..70),
        ) {
            let dry = Dry {
                multiplier: 0.7,
                base: 1.3,
                allowed_length,
                range,
                breakers: vec!["\n".into()],
            };
            let mut state = DryState::new(dry.clone());
            for &token in &history {
                state.observe(token, if token == BREAKER { b"a\nb" } else { b"word" });
            }
            let (mut fast, mut slow) = ([1f32; 6], [1f32; 6]);
            state.apply(&history, &mut fast);
            by_definition(&dry, &history, &mut slow);
            for (a, b) in fast.iter().zip(slow) {
                prop_assert!((a - b).abs() < 1e-3 * (1.0 + b.abs()), "{fast:?} {slow:?}");
            }
        }
    }
}
