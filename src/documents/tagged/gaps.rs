//! The places between words where tags may be put.

use super::align::{Alignment, Side, Token};
use crate::documents::script::spaceless;

/// Bytes from where a tag is expected within which a place like that in the source is preferred, or
/// an eighth of the text.
const NEAR: usize = 12;

/// Characters of a gap that are counted: many tags may stand in a wide one.
const WIDEST: usize = 32;

/// What stands around a gap: a mark before and behind, and whether it parts
/// them as a space does.
type Sort = usize;

const SORTS: usize = 8;

/// Between two words or marks, or at the ends.
#[derive(Clone, Copy)]
pub(super) struct Gap {
    from: usize,
    to: usize,
    sort: Sort,
}

/// The gaps of a stretch of text: one before each token, and one at the end.
pub(super) struct Gaps<'a> {
    text: &'a str,
    first: usize,
    all: Vec<Gap>,
    /// Those between tokens by what is around them.
    sorts: [Vec<usize>; SORTS],
}

/// A place in the source: the gap it is in, and where in that.
pub(super) struct Place<'a> {
    text: &'a str,
    at: usize,
    gap: Gap,
    /// The tokens before and behind it, by number.
    before: Option<usize>,
    behind: Option<usize>,
}

impl<'a> Gaps<'a> {
    pub fn new(side: &Side<'a>) -> Self {
        let within = side.within();
        let tokens = &side.tokens[within.clone()];
        let mut all = Vec::with_capacity(tokens.len() + 1);
        let mut sorts: [Vec<usize>; SORTS] = Default::default();
        for index in 0..=tokens.len() {
            let before = index.checked_sub(1).map(|before| &tokens[before]);
            let gap = gap(side, before, tokens.get(index));
            if (1..tokens.len()).contains(&index) {
                sorts[gap.sort].push(index);
            }
            all.push(gap);
        }
        Self { text: side.text, first: within.start, all, sorts }
    }

    /// The gap behind a token, by its number among all.
    fn behind(&self, token: usize) -> Option<usize> {
        let gap = (token + 1).checked_sub(self.first)?;
        (gap < self.all.len()).then_some(gap)
    }

    /// The gap that corresponds to a place of the source, and whether that is
    /// known and no guess.
    pub fn of(&self, place: &Place<'_>, alignment: &Alignment) -> (usize, bool) {
        let last = self.all.len() - 1;
        let (Some(before), Some(behind)) = (place.before, place.behind) else {
            return (if place.before.is_none() { 0 } else { last }, true);
        };
        let after = alignment.token(before).and_then(|token| self.behind(token));
        let ahead = alignment.token(behind).and_then(|token| self.behind(token)).map(|gap| gap - 1);
        match (after, ahead) {
            (Some(after), Some(ahead)) if after == ahead => return (after, true),
            // The one that it touches.
            (Some(after), Some(ahead)) => {
                let touches = place.at == place.gap.to && place.at != place.gap.from;
                return (if touches { ahead } else { after }, false);
            }
            (Some(gap), None) | (None, Some(gap)) => return (gap, false),
            (None, None) => {}
        }
        if last < 2 {
            let wanted = alignment.spot(place.at).wanted;
            let nearer =
                last > 0 && distance(&self.all[last], wanted) < distance(&self.all[0], wanted);
            return (if nearer { last } else { 0 }, false);
        }
        (self.nearest(place, alignment), false)
    }

    /// Of the gaps between the places that are known, one near by that is like
    /// that in the source, if there is one.
    fn nearest(&self, place: &Place<'_>, alignment: &Alignment) -> usize {
        let spot = alignment.spot(place.at);
        let length = self.all[self.all.len() - 1].to - self.all[0].from;
        let near = (length / 8).max(NEAR);
        let mut best: Option<(bool, usize, usize)> = None;
        for (sort, gaps) in self.sorts.iter().enumerate() {
            let cost = match sort {
                same if same == place.gap.sort => 0,
                // Any space is better than a place where words touch marks.
                other if other & PARTED > 0 => near,
                _ => near * 4,
            };
            let next = gaps.partition_point(|gap| self.all[*gap].to < spot.wanted);
            for gap in gaps[next.saturating_sub(1)..].iter().take(3).copied() {
                let Gap { from, to, .. } = self.all[gap];
                let outside = from < spot.low || to > spot.high;
                let found = (outside, distance(&self.all[gap], spot.wanted) + cost, gap);
                best = Some(best.map_or(found, |best| best.min(found)));
            }
        }
        best.map_or(0, |(_, _, gap)| gap)
    }

    /// Where a tag goes that stands at `place` in the source, if it goes to this
    /// gap: where it did between the words and the space.
    pub fn at(&self, gap: usize, place: &Place<'_>) -> usize {
        let Gap { from, to, .. } = self.all[gap];
        let white = |text: &str| text.chars().filter(|c| c.is_whitespace()).take(WIDEST).count();
        let before = white(&place.text[place.gap.from..place.at]);
        let behind = white(&place.text[place.at..place.gap.to]);
        if before == 0 {
            return from;
        }
        if behind == 0 {
            return to;
        }
        let inner = || self.text[from..to].char_indices().take(WIDEST);
        // Of a single space, the tag takes the place behind.
        let number = before.min(inner().count().saturating_sub(1)).max(1);
        inner().nth(number).map_or(to, |(at, _)| from + at)
    }

    /// Where the word ends that begins at a place, or the first behind it.
    pub fn word_behind(&self, at: usize) -> Option<usize> {
        let gap = self.all.partition_point(|gap| gap.to < at);
        // It may be within a word.
        let ends = self.all[gap.min(self.all.len())..].iter().map(|gap| gap.from);
        ends.take(2).find(|end| *end > at)
    }

    /// Where the word begins that ends at a place, or the last before it.
    pub fn word_before(&self, at: usize) -> Option<usize> {
        let gap = self.all.partition_point(|gap| gap.to < at);
        let before = gap.min(self.all.len() - 1).checked_sub(1)?;
        Some(self.all[before].to)
    }
}

impl<'a> Place<'a> {
    /// The place `at` within the span of a side, that is in no token.
    pub fn new(side: &Side<'a>, at: usize) -> Self {
        let within = side.within();
        let tokens = &side.tokens[within.clone()];
        let index = tokens.partition_point(|token| token.end <= at);
        let before = index.checked_sub(1);
        let behind = (index < tokens.len()).then_some(index);
        let gap = gap(side, before.map(|index| &tokens[index]), behind.map(|index| &tokens[index]));
        let number = |index: usize| within.start + index;
        Self { text: side.text, at, gap, before: before.map(number), behind: behind.map(number) }
    }
}

const PARTED: Sort = 4;

fn gap(side: &Side<'_>, before: Option<&Token>, behind: Option<&Token>) -> Gap {
    let from = before.map_or(side.span.0, |token| token.end);
    let to = behind.map_or(side.span.1, |token| token.start).max(from);
    let mark = |token: Option<&Token>| token.is_some_and(|token| token.mark.is_some());
    let (first, second) = (mark(before), mark(behind));
    // Where a line may end in scripts without spaces.
    let last = side.text[..from].chars().next_back().is_some_and(spaceless);
    let next = side.text[to..].chars().next().is_some_and(spaceless);
    let parted = from < to || (!second && (last || next));
    Gap {
        from,
        to,
        sort: usize::from(first) + usize::from(second) * 2 + usize::from(parted) * PARTED,
    }
}

fn distance(gap: &Gap, at: usize) -> usize {
    gap.from.saturating_sub(at).max(at.saturating_sub(gap.to))
}
