//! How alike passages are: by their words in one language, by their embeddings
//! across languages.

use std::collections::HashMap;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::align::Likeness;
use crate::documents::offload::offload;
use crate::documents::quality::LOW_SIMILARITY;
use crate::documents::vectors::{dot, vectors};
use crate::engine::{Engine, SubmitError};

/// Share of common words from which on passages say the same, in other words.
const LEAST_WORDS: f32 = 0.4;
/// The same for passages that stand elsewhere.
const LEAST_WORDS_CROSSING: f32 = 0.7;
/// Above the cosine of unrelated passages by so much, they say the same.
const ABOVE_UNRELATED: f32 = 0.05;
/// Pairs from which on the passages themselves show what unrelated ones have.
const ENOUGH_PAIRS: usize = 64;

/// Words of single passages.
pub struct ByWords {
    a: Vec<HashMap<String, usize>>,
    b: Vec<HashMap<String, usize>>,
}

impl ByWords {
    pub fn new(a: &[String], b: &[String]) -> Self {
        Self {
            a: a.iter().map(|text| words(text)).collect(),
            b: b.iter().map(|text| words(text)).collect(),
        }
    }
}

fn words(text: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for word in text.unicode_words() {
        *counts.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    counts
}

impl Likeness for ByWords {
    /// The coefficient of Dice over all words.
    fn of(&self, a: Range<usize>, b: Range<usize>) -> f32 {
        let (a, b) = (&self.a[a], &self.b[b]);
        let sum = |side: &[HashMap<String, usize>]| -> usize {
            side.iter().flat_map(HashMap::values).sum()
        };
        let count = |side: &[HashMap<String, usize>], word: &str| -> usize {
            side.iter().filter_map(|words| words.get(word)).sum()
        };
        let mut common = 0;
        for (number, passage) in a.iter().enumerate() {
            for word in passage.keys() {
                // A word of both passages counts once.
                if !a[..number].iter().any(|before| before.contains_key(word)) {
                    common += count(a, word).min(count(b, word));
                }
            }
        }
        2.0 * common as f32 / (sum(a) + sum(b)).max(1) as f32
    }

    fn least(&self) -> f32 {
        LEAST_WORDS
    }

    fn least_crossing(&self) -> Option<f32> {
        Some(LEAST_WORDS_CROSSING)
    }
}

/// Vectors of passages, and of each with the next.
pub struct ByVectors {
    a: [Vec<Vec<f32>>; 2],
    b: [Vec<Vec<f32>>; 2],
    least: f32,
}

impl ByVectors {
    /// Embeds all passages.
    ///
    /// # Errors
    /// As [`vectors`].
    pub async fn new(engine: &Engine, a: &[String], b: &[String]) -> Result<Self, SubmitError> {
        let a = [vectors(engine, a).await?, vectors(engine, &doubles(a)).await?];
        let b = [vectors(engine, b).await?, vectors(engine, &doubles(b)).await?];
        let (least, a, b) = offload(move || (least(&a[0], &b[0]), a, b)).await?;
        Ok(Self { a, b, least })
    }
}

fn doubles(texts: &[String]) -> Vec<String> {
    texts.windows(2).map(|pair| pair.join(" ")).collect()
}

/// Embedding models differ in the cosine of unrelated texts. Most pairs of
/// passages of two texts are unrelated, so the median of all is it.
fn least(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    if a.len() * b.len() < ENOUGH_PAIRS {
        return LOW_SIMILARITY;
    }
    let mut all: Vec<f32> = a.iter().flat_map(|a| b.iter().map(move |b| dot(a, b))).collect();
    let middle = all.len() / 2;
    let (_, median, _) = all.select_nth_unstable_by(middle, f32::total_cmp);
    *median + ABOVE_UNRELATED
}

impl Likeness for ByVectors {
    fn of(&self, a: Range<usize>, b: Range<usize>) -> f32 {
        dot(&self.a[a.len() - 1][a.start], &self.b[b.len() - 1][b.start])
    }

    fn least(&self) -> f32 {
        self.least
    }

    /// Paragraphs on related subjects are nearly as near as translations; what
    /// tells them apart is their place.
    fn least_crossing(&self) -> Option<f32> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_alike_by_their_share() {
        let check = |a: &[&str], b: &[&str], expected: f32| {
            let texts =
                |side: &[&str]| side.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            let found = ByWords::new(&texts(a), &texts(b)).of(0..a.len(), 0..b.len());
            assert!((found - expected).abs() < 1e-6, "{a:?} {b:?}: {found}");
        };
        check(&["The law is clear."], &["the LAW is clear"], 1.0);
        check(&["a b"], &["c d"], 0.0);
        check(&["a a b"], &["a b b"], 2.0 / 3.0);
        check(&["a b", "a c"], &["a a b c"], 1.0);
        check(&["…"], &["…"], 0.0);
    }
}
