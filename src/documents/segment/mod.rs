//! Units cut into sentences, and put together again.
//!
//! The rules of Unicode find where sentences may end; ours, which are data in
//! `rules.toml`, say where they do not: after abbreviations, initials, ordinals
//! and the numbers of paragraphs. A tag that spans sentences stands in each of
//! them. The white space between sentences is kept aside, so that segments that
//! are joined unchanged are the text they were cut from.

mod cut;
mod document;
mod rules;
mod sentences;
#[cfg(test)]
mod tests;

pub use document::Cut;

use std::ops::Range;

use super::tagged::{Piece, Tagged, settle};

/// Where the sentences of a text are, in bytes, without the white space around
/// them. `language` is as in [`Segments::of`].
pub fn spans(text: &str, language: Option<&str>) -> Vec<Range<usize>> {
    let mut bounds = vec![0];
    bounds.extend(sentences::starts(text, language));
    bounds.push(text.len());
    let spans = bounds.windows(2).map(|bound| {
        let sentence = &text[bound[0]..bound[1]];
        let start = bound[0] + sentence.len() - sentence.trim_start().len();
        start..start + sentence.trim().len()
    });
    spans.filter(|span| !span.is_empty()).collect()
}

/// The sentences of a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Segments {
    source: Tagged,
    texts: Vec<Tagged>,
    /// For each text, the numbers in the unit of its tags 1, 2, …
    numbers: Vec<Vec<u32>>,
    /// White space before each text, and after the last.
    gaps: Vec<String>,
}

impl Segments {
    /// Cuts a text into sentences. `language` is a BCP 47 tag; without one, the
    /// abbreviations of some widespread languages hold.
    pub fn of(source: &Tagged, language: Option<&str>) -> Self {
        let starts = sentences::starts(&source.plain(), language);
        cut::cut(source, &starts)
    }

    /// The sentences, with tags numbered from 1 in each.
    pub fn texts(&self) -> &[Tagged] {
        &self.texts
    }

    /// Puts `texts` in the place of the sentences. Each has the tags of its
    /// sentence; there are as many as [`Self::texts`], of which missing ones
    /// are taken as they were.
    ///
    /// Tags that were split over sentences are whole again: from their first
    /// beginning to their last end, as far as other tags leave room.
    pub fn join(&self, texts: &[Tagged]) -> Tagged {
        let mut pieces: Vec<Piece> = Vec::new();
        for (index, (source, numbers)) in self.texts.iter().zip(&self.numbers).enumerate() {
            let number = |n: u32| {
                let place = usize::try_from(n).ok().and_then(|n| n.checked_sub(1));
                place.and_then(|place| numbers.get(place)).copied().unwrap_or(u32::MAX)
            };
            self.gap(index, &mut pieces);
            for piece in texts.get(index).unwrap_or(source).pieces() {
                pieces.push(match piece {
                    Piece::Words(words) => Piece::Words(words.clone()),
                    Piece::Open(n) => Piece::Open(number(*n)),
                    Piece::Close(n) => Piece::Close(number(*n)),
                    Piece::Empty(n) => Piece::Empty(number(*n)),
                });
            }
        }
        self.gap(self.texts.len(), &mut pieces);
        settle(mend(pieces), &self.source)
    }

    fn gap(&self, index: usize, pieces: &mut Vec<Piece>) {
        if let Some(gap) = self.gaps.get(index).filter(|gap| !gap.is_empty()) {
            pieces.push(Piece::Words(gap.clone()));
        }
    }
}

/// Removes the ends and beginnings of tags that only white space is between.
fn mend(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut mended: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        if let Piece::Open(number) = piece {
            // Ends that follow each other, with a gap behind them at most.
            let gap = match mended.last() {
                Some(Piece::Words(words)) if words.trim().is_empty() => 1,
                _ => 0,
            };
            let ends = mended[..mended.len() - gap]
                .iter()
                .rev()
                .take_while(|piece| matches!(piece, Piece::Close(_)))
                .count();
            // The outermost of them, which is the last, is opened again first.
            if ends > 0 && mended[mended.len() - gap - 1] == Piece::Close(number) {
                mended.remove(mended.len() - gap - 1);
                continue;
            }
        }
        mended.push(piece);
    }
    mended
}
