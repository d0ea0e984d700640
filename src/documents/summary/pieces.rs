//! Pieces of a document that a model can keep in mind.

use std::ops::Range;

use super::source::Source;
use crate::engine::{Engine, SubmitError};

/// Tokens of a piece at most: small models lose the thread of longer ones.
const TOKENS: usize = 1200;
/// Share of the context that a piece may fill; the answer quotes from it.
const SHARE: usize = 3;

/// Sentences that are read together.
pub struct Piece {
    /// Numbers of the source's sentences.
    pub sentences: Range<usize>,
    pub letters: usize,
}

/// Cuts between paragraphs where that leaves pieces half full, otherwise between
/// sentences.
///
/// # Errors
/// A sentence is longer than what the model can read at once.
pub async fn cut(engine: &Engine, source: &Source) -> Result<Vec<Piece>, SubmitError> {
    let budget = TOKENS.min(engine.info().limits.context_length / SHARE);
    let mut lengths = Vec::with_capacity(source.sentences().len());
    for sentence in source.sentences() {
        let tokens = engine.encode(sentence.line.clone(), false).await?.len() + 1;
        if tokens > budget {
            let beginning: String = sentence.line.chars().take(40).collect();
            let message = format!(
                "a sentence of paragraph {} has {tokens} tokens, more than the {budget} that {} \
                 can read at once: {beginning:?}…",
                sentence.paragraph + 1,
                engine.info().id
            );
            return Err(SubmitError::Invalid { param: "text", message });
        }
        lengths.push(tokens);
    }
    let paragraphs: Vec<usize> = source.sentences().iter().map(|s| s.paragraph).collect();
    let letters = |range: &Range<usize>| {
        source.sentences()[range.clone()].iter().map(|s| s.line.chars().count()).sum()
    };
    let pieces = fill(&lengths, &paragraphs, budget).into_iter();
    Ok(pieces.map(|sentences| Piece { letters: letters(&sentences), sentences }).collect())
}

/// Ranges of sentences of so many tokens each, at most `budget` together.
fn fill(lengths: &[usize], paragraphs: &[usize], budget: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    while start < lengths.len() {
        let mut tokens = 0;
        let mut end = start;
        // The last place between two paragraphs that is far enough.
        let mut between = None;
        while end < lengths.len() && tokens + lengths[end] <= budget {
            tokens += lengths[end];
            end += 1;
            let ends = paragraphs.get(end) != paragraphs.get(end - 1);
            if ends && tokens * 2 >= budget {
                between = Some(end);
            }
        }
        let end = if end < lengths.len() { between.unwrap_or(end) } else { end };
        // A sentence is never longer than the budget; this is so that the loop ends.
        let end = end.max(start + 1);
        ranges.push(start..end);
        start = end;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_with_paragraphs_where_that_leaves_them_half_full() {
        let check = |lengths: &[usize], paragraphs: &[usize], ends: &[usize]| {
            let found: Vec<usize> =
                fill(lengths, paragraphs, 10).into_iter().map(|range| range.end).collect();
            assert_eq!(found, ends);
        };
        check(&[], &[], &[]);
        check(&[3, 3, 3], &[0, 0, 0], &[3]);
        check(&[3, 3, 3, 3], &[0, 0, 1, 1], &[2, 4]);
        check(&[3, 3, 3, 3], &[0, 1, 1, 1], &[3, 4]);
        check(&[10, 10], &[0, 0], &[1, 2]);
        check(&[11, 1], &[0, 0], &[1, 2]);
    }
}
