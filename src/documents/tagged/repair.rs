//! Comparing the tags of a text with those of its source, and putting back
//! what is missing or broken.
//!
//! Tags that are right stay where they are. For the others, the best place is
//! where the same words stand (names, numbers and links are often not
//! translated), else the place in proportion to the source, at the nearest
//! border of a word. Tags never leave the tag that held them in the source.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use icu_segmenter::WordSegmenter;
use icu_segmenter::options::WordBreakInvariantOptions;

use super::marks::{self, Spacing};
use super::{Piece, TagFault, Tagged};

/// Tags within each other beyond this depth stand together at the beginning of
/// the one that holds them when anything about tags has to be mended.
const MAX_DEPTH: usize = 64;

/// Adjustments for tags that overlap others beyond this are left to the order
/// of tags alone.
const MAX_ADJUSTED: usize = 1_000_000;

/// Words shorter than this (in bytes) are not searched for in the translation.
const MIN_SEARCHED: usize = 3;

/// Bytes from where a tag is expected within which a place like that in the source is looked for, or
/// an eighth of the text.
const NEAR: usize = 12;

/// A tag of the source.
struct Node {
    number: u32,
    pair: bool,
    parent: Option<usize>,
    /// Where its words begin and end in the source's plain text.
    start: usize,
    end: usize,
    /// The pieces of the source between its beginning and end.
    inner: Range<usize>,
}

/// The tags of a well-formed text in order of their beginning.
fn nodes(source: &Tagged) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    for (index, piece) in source.pieces().iter().enumerate() {
        match piece {
            Piece::Words(words) => at += words.len(),
            Piece::Close(_) => {
                if let Some(node) = open.pop() {
                    nodes[node].end = at;
                    nodes[node].inner.end = index;
                }
            }
            Piece::Open(number) | Piece::Empty(number) => {
                let pair = matches!(piece, Piece::Open(_));
                let parent = open.last().copied();
                if pair {
                    open.push(nodes.len());
                }
                nodes.push(Node {
                    number: *number,
                    pair,
                    parent,
                    start: at,
                    end: at,
                    inner: index + 1..index + 1,
                });
            }
        }
    }
    nodes
}

/// All differences between the tags among `pieces` and those of `source`, each
/// once, in the order in which they are met.
pub(super) fn faults(pieces: &[Piece], source: &Tagged) -> Vec<TagFault> {
    let nodes = nodes(source);
    let by_number: BTreeMap<u32, &Node> = nodes.iter().map(|n| (n.number, n)).collect();
    let mut found = Vec::new();
    let mut report = |fault| {
        if !found.contains(&fault) {
            found.push(fault);
        }
    };
    let mut seen = BTreeSet::new();
    let mut open: Vec<u32> = Vec::new();
    for piece in pieces {
        let (number, pair) = match piece {
            Piece::Words(_) => continue,
            Piece::Empty(number) => (*number, false),
            Piece::Open(number) | Piece::Close(number) => (*number, true),
        };
        let Some(node) = by_number.get(&number) else {
            report(TagFault::Unknown(number));
            continue;
        };
        if node.pair != pair {
            report(TagFault::OtherKind(number));
            continue;
        }
        if matches!(piece, Piece::Close(_)) {
            match open.iter().rposition(|n| *n == number) {
                Some(place) => {
                    if place + 1 < open.len() {
                        report(TagFault::Crossed(number));
                    }
                    open.remove(place);
                }
                None => report(TagFault::Unopened(number)),
            }
            continue;
        }
        if !seen.insert(number) {
            report(TagFault::Repeated(number));
            continue;
        }
        if open.last().copied() != node.parent.map(|parent| nodes[parent].number) {
            report(TagFault::Moved(number));
        }
        if pair {
            open.push(number);
        }
    }
    for number in open {
        report(TagFault::Unclosed(number));
    }
    for node in &nodes {
        let number = node.number;
        let half = [TagFault::Unopened(number), TagFault::OtherKind(number)];
        if !seen.contains(&number) && !found.iter().any(|fault| half.contains(fault)) {
            found.push(TagFault::Missing(number));
        }
    }
    found
}

/// Reads what a model wrote for `source`, and mends its tags.
///
/// The words are those of `marked` without its tags. The result has every tag
/// of `source` once and in the same nesting; the faults say what was wrong with
/// them before, and are empty if nothing was.
pub fn repair(marked: &str, source: &Tagged) -> (Tagged, Vec<TagFault>) {
    if let Ok(text) = Tagged::read_marked(marked, source) {
        return (text, Vec::new());
    }
    let pieces = marks::read(marked, Spacing::Loose);
    let faults = faults(&pieces, source);
    let nodes = nodes(source);
    (Layout::new(&pieces, source, &nodes, Ends::First).text(), faults)
}

/// Puts tags that occur in pieces in the order of `source`: each from its first
/// beginning to its last end.
pub(in crate::documents) fn settle(pieces: Vec<Piece>, source: &Tagged) -> Tagged {
    if faults(&pieces, source).is_empty()
        && let Ok(text) = Tagged::new(pieces.clone())
    {
        return text;
    }
    Layout::new(&pieces, source, &nodes(source), Ends::Last).text()
}

/// Which of several ends of a tag counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    First,
    Last,
}

/// Where the tags go in the words of the target.
struct Layout<'a> {
    nodes: &'a [Node],
    /// The tags within each tag, in the order of the source; last, those in none.
    children: Vec<Vec<usize>>,
    pieces: &'a [Piece],
    source: String,
    target: String,
    /// Where tags were found in the target: begin and end, as far as known.
    found: BTreeMap<u32, (Option<usize>, Option<usize>)>,
    /// Borders of words in the target, with both its ends.
    borders: Vec<usize>,
}

impl<'a> Layout<'a> {
    fn new(pieces: &[Piece], source: &'a Tagged, nodes: &'a [Node], ends: Ends) -> Self {
        let pairs: BTreeMap<u32, bool> = nodes.iter().map(|n| (n.number, n.pair)).collect();
        let mut target = String::new();
        let mut found: BTreeMap<u32, (Option<usize>, Option<usize>)> = BTreeMap::new();
        for piece in pieces {
            let at = Some(target.len());
            match piece {
                Piece::Words(words) => target.push_str(words),
                Piece::Open(number) if pairs.get(number) == Some(&true) => {
                    let place = found.entry(*number).or_default();
                    place.0 = place.0.or(at);
                }
                // An end before the beginning says nothing.
                Piece::Close(number) if pairs.get(number) == Some(&true) => {
                    let place = found.entry(*number).or_default();
                    place.1 = if ends == Ends::Last { at } else { place.1.or(at) };
                }
                Piece::Open(number) | Piece::Empty(number) if pairs.get(number) == Some(&false) => {
                    found.entry(*number).or_insert((at, at));
                }
                _ => {}
            }
        }
        for place in found.values_mut() {
            if let (Some(start), Some(end)) = *place
                && end < start
            {
                *place = (Some(start), None);
            }
        }
        let segmenter = WordSegmenter::new_auto(WordBreakInvariantOptions::default());
        let mut borders: Vec<usize> = segmenter.segment_str(&target).collect();
        borders.extend([0, target.len()]);
        // Where something without words stood, two spaces may be left.
        let spaces = target.char_indices().zip(target.chars().skip(1));
        borders.extend(spaces.filter_map(|((at, c), next)| {
            (c.is_whitespace() && next.is_whitespace()).then_some(at + c.len_utf8())
        }));
        borders.sort_unstable();
        borders.dedup();
        let mut children = vec![Vec::new(); nodes.len() + 1];
        for (index, node) in nodes.iter().enumerate() {
            children[node.parent.unwrap_or(nodes.len())].push(index);
        }
        let pieces = source.pieces();
        Self { nodes, children, pieces, source: source.plain(), target, found, borders }
    }

    fn text(&self) -> Tagged {
        let mut written = Vec::new();
        self.write(None, (0, self.target.len()), 0, &mut written);
        Tagged::new(written).expect("the layout nests as the source does")
    }

    /// Writes the words of `span` with the tags that `parent` holds.
    fn write(
        &self,
        parent: Option<usize>,
        span: (usize, usize),
        depth: usize,
        written: &mut Vec<Piece>,
    ) {
        let mut at = span.0;
        if let Some(parent) = parent.filter(|_| depth > MAX_DEPTH) {
            let within = &self.pieces[self.nodes[parent].inner.clone()];
            written.extend(within.iter().filter(|p| !matches!(p, Piece::Words(_))).cloned());
            written.push(Piece::Words(self.target[span.0..span.1].to_owned()));
            return;
        }
        for (node, start, end) in self.places(parent, span) {
            written.push(Piece::Words(self.target[at..start].to_owned()));
            let &Node { number, pair, .. } = &self.nodes[node];
            if pair {
                written.push(Piece::Open(number));
                self.write(Some(node), (start, end), depth + 1, written);
                written.push(Piece::Close(number));
            } else {
                written.push(Piece::Empty(number));
            }
            at = end;
        }
        written.push(Piece::Words(self.target[at..span.1].to_owned()));
    }

    /// The tags that `parent` holds with their places in `span`, which follow
    /// each other without overlap.
    fn places(&self, parent: Option<usize>, span: (usize, usize)) -> Vec<(usize, usize, usize)> {
        let children = &self.children[parent.unwrap_or(self.nodes.len())];
        let within = |at: Option<usize>| at.filter(|at| (span.0..=span.1).contains(at));
        let mut placed = Vec::new();
        let mut open = Vec::new();
        for node in children.iter().copied() {
            let found = self.found.get(&self.nodes[node].number).copied().unwrap_or_default();
            match (within(found.0), within(found.1)) {
                (Some(start), Some(end)) => placed.push((node, start, end)),
                known => open.push((node, known)),
            }
        }
        let crowded = open.len().saturating_mul(placed.len() + open.len()) > MAX_ADJUSTED;
        for (node, known) in open {
            let (mut start, mut end) = self.guess(node, known, span);
            let others = if crowded { &[] } else { &placed[..] };
            for &(_, from, to) in others {
                // Keep the larger part of what lies beside a tag that is known.
                if start < to && end > from {
                    if from.saturating_sub(start) >= end.saturating_sub(to) {
                        (start, end) = (start.min(from), from);
                    } else {
                        (start, end) = (to, end.max(to));
                    }
                }
            }
            placed.push((node, start, end));
        }
        placed.sort_by_key(|&(node, start, end)| (start, end, node));
        let mut cursor = span.0;
        for (_, start, end) in &mut placed {
            *start = (*start).max(cursor);
            *end = (*end).max(*start);
            cursor = *end;
        }
        placed
    }

    /// The best place for a tag of which at most one end is known.
    fn guess(
        &self,
        node: usize,
        known: (Option<usize>, Option<usize>),
        span: (usize, usize),
    ) -> (usize, usize) {
        let &Node { start, end, parent, .. } = &self.nodes[node];
        let words = &self.source[start..end];
        if known == (None, None)
            && let Some(place) = self.find(words.trim(), span)
        {
            return place;
        }
        let home =
            parent.map_or((0, self.source.len()), |p| (self.nodes[p].start, self.nodes[p].end));
        let scale = (span.1 - span.0) as f64 / (home.1 - home.0).max(1) as f64;
        let length = ((end - start) as f64 * scale) as usize;
        let at = |offset: usize| span.0 + ((offset - home.0) as f64 * scale) as usize;
        if start == end {
            let glued =
                self.source[..start].chars().next_back().is_some_and(|c| !c.is_whitespace());
            let wanted = known.0.or(known.1).unwrap_or(at(start));
            let place = self.alike(start, wanted, span).unwrap_or_else(|| match glued {
                true => self.word_end(wanted, span),
                false => self.word_start(wanted, span),
            });
            return (place, place);
        }
        let from = match known {
            (Some(start), _) => start,
            (None, Some(end)) => {
                self.word_start(end.saturating_sub(length).max(span.0), (span.0, end))
            }
            (None, None) => self.word_start(at(start), span),
        };
        let to = known.1.unwrap_or_else(|| self.word_end(from + length, (from, span.1)));
        if to > from || span.1 == from {
            return (from, to);
        }
        // A tag with words takes at least one.
        let next = self.borders.iter().find(|border| **border > from && **border <= span.1);
        (from, next.copied().unwrap_or(to))
    }

    /// Where `words` stand in the target, if once and as whole words.
    fn find(&self, words: &str, span: (usize, usize)) -> Option<(usize, usize)> {
        if words.len() < MIN_SEARCHED {
            return None;
        }
        let mut matches = self.target[span.0..span.1].match_indices(words);
        let (offset, _) = matches.next()?;
        let place = (span.0 + offset, span.0 + offset + words.len());
        let whole = [place.0, place.1].iter().all(|at| self.borders.binary_search(at).is_ok());
        (whole && matches.next().is_none()).then_some(place)
    }

    /// The border nearest to `wanted` that a word begins at.
    fn word_start(&self, wanted: usize, span: (usize, usize)) -> usize {
        self.nearest(wanted, span, |at| {
            self.target[at..].chars().next().is_some_and(char::is_alphanumeric)
        })
    }

    /// The border nearest to `wanted` that a word ends at.
    fn word_end(&self, wanted: usize, span: (usize, usize)) -> usize {
        self.nearest(wanted, span, |at| {
            self.target[..at].chars().next_back().is_some_and(|c| !c.is_whitespace())
        })
    }

    /// The border nearest to `wanted` with the same around it as the place `start` of the source has,
    /// words, spaces or marks, if there is one near: so a note stays before its full stop, and a
    /// number between the words it stands between.
    fn alike(&self, start: usize, wanted: usize, span: (usize, usize)) -> Option<usize> {
        let sort = |character: Option<char>| match character {
            None => 0,
            Some(c) if c.is_alphanumeric() => 1,
            Some(c) if c.is_whitespace() => 2,
            Some(_) => 3,
        };
        let around = |text: &str, at: usize| {
            (sort(text[..at].chars().next_back()), sort(text[at..].chars().next()))
        };
        let own = around(&self.source, start);
        let near = ((span.1 - span.0) / 8).max(NEAR);
        let inside = self.borders.iter().copied().filter(|b| (span.0..=span.1).contains(b));
        let alike =
            inside.filter(|at| at.abs_diff(wanted) <= near && around(&self.target, *at) == own);
        alike.min_by_key(|at| at.abs_diff(wanted))
    }

    fn nearest(&self, wanted: usize, span: (usize, usize), fits: impl Fn(usize) -> bool) -> usize {
        let inside = self.borders.iter().copied().filter(|b| (span.0..=span.1).contains(b));
        let candidates = inside.filter(|at| fits(*at)).chain([span.0, span.1]);
        candidates.min_by_key(|at| at.abs_diff(wanted)).unwrap_or(span.0)
    }
}
