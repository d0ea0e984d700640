//! Places for the tags of which nothing is known but where they stood in the
//! source.

use super::align::{Alignment, Side};
use super::gaps::{Gaps, Place};

/// Beginning and end of a tag in the target, as far as they are known.
pub(super) type Known = (Option<usize>, Option<usize>);

/// Finds places in a stretch of the target for those in a stretch of the source.
pub(super) struct Finder<'a> {
    source: Side<'a>,
    target: Side<'a>,
    alignment: Alignment,
    gaps: Gaps<'a>,
}

impl<'a> Finder<'a> {
    /// With the ends of tags that are known in both, as [`Alignment::new`] takes
    /// them.
    pub fn new(source: Side<'a>, target: Side<'a>, tags: &[(u32, bool, usize, usize)]) -> Self {
        let alignment = Alignment::new(&source, &target, tags);
        let gaps = Gaps::new(&target);
        Self { source, target, alignment, gaps }
    }

    /// Where a tag begins and ends that goes from `from` to `to` in the source,
    /// not before `floor`, and whether that is more than a guess.
    pub fn place(
        &self,
        (from, to): (usize, usize),
        known: Known,
        floor: usize,
    ) -> (usize, usize, bool) {
        if from == to {
            let (at, sure) = match known.0.or(known.1) {
                Some(at) => (at, true),
                None => self.one(from, false),
            };
            return (at.max(floor), at.max(floor), sure);
        }
        let first = known.0.map_or_else(|| self.one(from, true), |at| (at, true));
        let last = known.1.map_or_else(|| self.one(to, false), |at| (at, true));
        let start = match known.1 {
            // The end was found: what is before it is not.
            Some(end) => first.0.max(floor).min(end),
            None => first.0.max(floor),
        };
        let end = last.0.max(start);
        let sure = first.1 && last.1;
        if end > start || self.source.text[from..to].trim().is_empty() {
            return (start, end, sure);
        }
        // A tag with words takes at least one.
        let (start, end) = match known.1 {
            Some(end) => (self.gaps.word_before(end).unwrap_or(start), end),
            None => match self.gaps.word_behind(start) {
                Some(end) => (start, end),
                None if known.0.is_some() => (start, end),
                None => (self.gaps.word_before(end).map_or(start, |at| at.max(floor)), end),
            },
        };
        (start, end, sure)
    }

    /// The place for a beginning, or for an end or a tag without words.
    fn one(&self, at: usize, begins: bool) -> (usize, bool) {
        let tokens = self.source.within();
        let next = tokens.start
            + self.source.tokens[tokens.clone()].partition_point(|token| token.end <= at);
        let cut = self.source.tokens[..tokens.end].get(next).filter(|token| token.start < at);
        let Some(token) = cut else { return self.between(at, true) };
        let same = self.alignment.token(next).map(|same| &self.target.tokens[same]);
        let text = &self.source.text[token.start..token.end];
        // Within a word, such as the number of a formula, if it is there too.
        match same.filter(|same| &self.target.text[same.start..same.end] == text) {
            Some(same) => (same.start + at - token.start, true),
            None => self.between(if begins { token.start } else { token.end }, false),
        }
    }

    fn between(&self, at: usize, exact: bool) -> (usize, bool) {
        let place = Place::new(&self.source, at);
        let (gap, sure) = self.gaps.of(&place, &self.alignment);
        (self.gaps.at(gap, &place), sure && exact)
    }
}
