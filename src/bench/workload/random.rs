//! Texts of random words whose lengths in tokens are true.

use std::sync::Arc;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng;

use super::lengths::Lengths;
use super::{Content, Prompt, Turn, Workload, generator, words};
use crate::text::Tokenizer;

/// How random texts are made.
#[derive(Debug, Clone)]
pub struct RandomSettings {
    pub prompt_tokens: Lengths,
    pub output_tokens: Lengths,
    /// Share of every prompt that is the same for all, at its beginning: what
    /// a prefix cache can save.
    pub shared_prefix: f64,
    /// Texts in a request; above 1 for embeddings only.
    pub batch: usize,
    /// As a conversation rather than as plain text.
    pub chat: bool,
    pub seed: u64,
}

/// The `random` workload.
pub struct Random {
    settings: RandomSettings,
    words: Vec<String>,
    tokenizer: Option<Arc<Tokenizer>>,
}

impl Random {
    /// Without a tokenizer a word stands for a token, which is about right.
    ///
    /// # Errors
    /// The vocabulary has too few words to make texts from.
    pub fn new(
        settings: RandomSettings,
        tokenizer: Option<Arc<Tokenizer>>,
    ) -> Result<Self, String> {
        let words = match &tokenizer {
            Some(tokenizer) => words::of_vocabulary(tokenizer)?,
            None => words::common(),
        };
        Ok(Self { settings, words, tokenizer })
    }

    fn word(&self, random: &mut Pcg64Mcg) -> &str {
        let place = (u128::from(random.next_u64()) * self.words.len() as u128) >> 64;
        &self.words[place as usize]
    }

    /// A text of so many tokens and how many it has by the tokenizer.
    fn text(&self, tokens: usize, random: &mut Pcg64Mcg) -> (String, Option<usize>) {
        let shared = ((tokens as f64) * self.settings.shared_prefix).round() as usize;
        let mut common = generator(self.settings.seed, u64::MAX, 0);
        let mut words: Vec<&str> = (0..shared).map(|_| self.word(&mut common)).collect();
        words.extend((shared..tokens).map(|_| self.word(random)));
        let Some(tokenizer) = &self.tokenizer else { return (words.join(" "), None) };
        let count = |words: &[&str]| tokenizer.encode(&words.join(" "), false).map(|t| t.len());
        // The first word, without a space before it, may be more than a token.
        for _ in 0..8 {
            match count(&words) {
                Ok(n) if n > tokens && words.len() > 1 => {
                    words.truncate(words.len().saturating_sub(n - tokens).max(1));
                }
                Ok(n) if n < tokens => words.extend((n..tokens).map(|_| self.word(random))),
                _ => break,
            }
        }
        (words.join(" "), count(&words).ok())
    }
}

impl Workload for Random {
    fn prompt(&self, stream: u64, number: usize) -> Prompt {
        let settings = &self.settings;
        let mut random = generator(settings.seed, stream, number);
        let max_tokens = settings.output_tokens.draw(&mut random);
        let mut texts = Vec::new();
        let mut tokens = Some(0);
        for _ in 0..settings.batch.max(1) {
            let length = settings.prompt_tokens.draw(&mut random);
            let (text, counted) = self.text(length, &mut random);
            texts.push(text);
            tokens = tokens.zip(counted).map(|(sum, n)| sum + n);
        }
        let content = match settings.chat {
            true => Content::Chat(vec![Turn::user(texts.join(" "))]),
            false => Content::Texts(texts),
        };
        Prompt { content, max_tokens, tokens }
    }

    fn describe(&self) -> String {
        let settings = &self.settings;
        let counted = match &self.tokenizer {
            Some(_) => "tokens by the tokenizer given",
            None => "about a token a word, as no --tokenizer was given",
        };
        format!(
            "random words, prompts of {} and answers of up to {} tokens ({counted}), {} shared \
             prefix, seed {}",
            settings.prompt_tokens,
            settings.output_tokens,
            percent(settings.shared_prefix),
            settings.seed
        )
    }
}

fn percent(share: f64) -> String {
    match share {
        0.0 => "no".to_owned(),
        share => format!("{:.0} %", share * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(shared_prefix: f64) -> Random {
        let settings = RandomSettings {
            prompt_tokens: "uniform:20..40".parse().unwrap(),
            output_tokens: "8".parse().unwrap(),
            shared_prefix,
            batch: 1,
            chat: false,
            seed: 7,
        };
        Random::new(settings, None).unwrap()
    }

    #[test]
    fn the_same_seed_gives_the_same_prompts() {
        let (one, two) = (random(0.0), random(0.0));
        for number in 0..20 {
            assert_eq!(one.prompt(0, number), two.prompt(0, number));
            assert_ne!(one.prompt(0, number), one.prompt(1, number), "another stream");
            assert_ne!(one.prompt(0, number), one.prompt(0, number + 1));
        }
    }

    #[test]
    fn lengths_are_as_asked() {
        for number in 0..50 {
            let words = random(0.0).prompt(0, number).text().split(' ').count();
            assert!((20..=40).contains(&words), "{words}");
        }
    }

    #[test]
    fn a_prefix_is_shared_and_the_rest_is_not() {
        let check = |shared: f64| {
            let workload = random(shared);
            let (a, b) = (workload.prompt(0, 1).text(), workload.prompt(3, 2).text());
            let same = a.split(' ').zip(b.split(' ')).take_while(|(a, b)| a == b).count();
            (same as f64, a.split(' ').count().min(b.split(' ').count()) as f64)
        };
        let (same, shorter) = check(0.5);
        assert!((same - 0.5 * shorter).abs() <= 2.0, "{same} of {shorter}");
        let (same, shorter) = check(1.0);
        assert_eq!(same, shorter);
        assert!(check(0.0).0 <= 1.0);
    }
}
