//! How near a translation that was translated back is to its source.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Longest runs of characters that are counted, and how much more a run of the
/// source counts that is lost than one that is new: as in chrF2.
const LONGEST: usize = 6;
const BETA: f32 = 2.0;

/// A translation in the language of its source again. A heuristic: a model that
/// reads as it writes makes the same mistake twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackTranslation {
    pub text: String,
    /// Of it and the source, up to 1.
    pub similarity: f32,
    pub measure: Measure,
}

/// What a similarity is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    /// The cosine of their embeddings.
    Embeddings,
    /// The runs of characters they share: [`chrf`].
    Characters,
}

impl Measure {
    pub fn name(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Characters => "chrf",
        }
    }
}

/// The F-score of the runs of one to six characters that two texts share, white
/// space aside: chrF2 (Popović 2015), from 0 to 1.
pub fn chrf(source: &str, back: &str) -> f32 {
    let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<Vec<_>>();
    let (source, back) = (letters(source), letters(back));
    let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
    for length in 1..=LONGEST {
        let (wanted, found) = (runs(&source, length), runs(&back, length));
        let total = |runs: &HashMap<&[char], usize>| runs.values().sum::<usize>() as f32;
        if wanted.is_empty() || found.is_empty() {
            continue;
        }
        let shared: usize =
            (wanted.iter()).map(|(run, count)| *found.get(run).unwrap_or(&0).min(count)).sum();
        precision += shared as f32 / total(&found);
        recall += shared as f32 / total(&wanted);
        orders += 1.0;
    }
    if precision + recall == 0.0 {
        return if source == back { 1.0 } else { 0.0 };
    }
    let (precision, recall) = (precision / orders, recall / orders);
    let beta = BETA * BETA;
    (1.0 + beta) * precision * recall / (beta * precision + recall)
}

fn runs(text: &[char], length: usize) -> HashMap<&[char], usize> {
    let mut runs = HashMap::new();
    text.windows(length).for_each(|run| *runs.entry(run).or_default() += 1);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_share_runs_of_characters() {
        for (a, b, expected) in [
            ("Nul n'est censé ignorer la loi.", "Nul n'est  censé ignorer la loi.", 1.0),
            ("abc", "xyz", 0.0),
            ("", "", 1.0),
            ("a", "", 0.0),
            // Runs of one and two: 2 of 3 and 1 of 2 on both sides; none of three.
            ("abc", "abd", (2.0 / 3.0 + 0.5) / 3.0),
            // All of the source is there and more: precision (3/4 + 2/3 + 1/2) / 3.
            ("abc", "abcd", 5.0 * (23.0 / 36.0) / (4.0 * (23.0 / 36.0) + 1.0)),
        ] {
            let found = chrf(a, b);
            assert!((found - expected).abs() < 1e-6, "{a:?} {b:?}: {found}");
        }
        let (near, far) = ("The Parties shall report.", "Nothing of that kind at all");
        let source = "The Parties report.";
        assert!(chrf(source, near) > chrf(source, far) + 0.3);
    }
}
