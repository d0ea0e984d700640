//! Putting back tags that are missing or broken.
//!
//! Tags that are right stay where they are. For the others, the best place is
//! where the same words stand (names, numbers and links are often not
//! translated), else the one between the same numbers, names and marks and in
//! proportion to the source, at the nearest gap between words. Tags never leave
//! the tag that held them in the source.

use std::collections::{BTreeMap, BTreeSet};

use super::align::{Side, Token, tokens};
use super::faults::{Node, faults, nodes};
use super::finder::{Finder, Known};
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

/// Bytes that are searched for the words of all tags together.
const MAX_SEARCHED: usize = 100_000_000;

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
    (Layout::new(&pieces, source, &nodes, Ends::First).text().0, faults)
}

/// Puts tags that occur in pieces in the order of `source`: each from its first
/// beginning to its last end.
pub(in crate::documents) fn settle(pieces: Vec<Piece>, source: &Tagged) -> Tagged {
    if faults(&pieces, source).is_empty()
        && let Ok(text) = Tagged::new(pieces.clone())
    {
        return text;
    }
    Layout::new(&pieces, source, &nodes(source), Ends::Last).text().0
}

/// Puts the tags of `source` among these words, and says of which the place is
/// a guess.
pub(super) fn place(words: String, source: &Tagged) -> (Tagged, BTreeSet<u32>) {
    Layout::new(&[Piece::Words(words)], source, &nodes(source), Ends::First).text()
}

/// Which of several ends of a tag counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    First,
    Last,
}

/// A tag and its place.
#[derive(Clone, Copy)]
struct Placed {
    node: usize,
    start: usize,
    end: usize,
}

/// Where the tags go in the words of the target.
struct Layout<'a> {
    nodes: &'a [Node],
    /// The tags within each tag, in the order of the source; last, those in none.
    children: Vec<Vec<usize>>,
    pieces: &'a [Piece],
    source: String,
    target: String,
    /// The words of both; none where all tags were found.
    tokens: (Vec<Token>, Vec<Token>),
    /// Where tags were found in the target.
    found: BTreeMap<u32, Known>,
    /// Whether there are so few tags that words are searched for.
    searched: bool,
}

impl<'a> Layout<'a> {
    fn new(pieces: &[Piece], source: &'a Tagged, nodes: &'a [Node], ends: Ends) -> Self {
        let pairs: BTreeMap<u32, bool> = nodes.iter().map(|n| (n.number, n.pair)).collect();
        let mut target = String::new();
        let mut found: BTreeMap<u32, Known> = BTreeMap::new();
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
        let mut children = vec![Vec::new(); nodes.len() + 1];
        for (index, node) in nodes.iter().enumerate() {
            children[node.parent.unwrap_or(nodes.len())].push(index);
        }
        let searched = nodes.len().saturating_mul(target.len()) <= MAX_SEARCHED;
        let (pieces, source) = (source.pieces(), source.plain());
        let tokens = (tokens(&source), tokens(&target));
        Self { nodes, children, pieces, source, target, tokens, found, searched }
    }

    /// The text, and the tags whose place is a guess.
    fn text(&self) -> (Tagged, BTreeSet<u32>) {
        let mut written = Vec::new();
        let mut guessed = BTreeSet::new();
        self.write(None, (0, self.target.len()), 0, (&mut written, &mut guessed));
        (Tagged::new(written).expect("the layout nests as the source does"), guessed)
    }

    /// Writes the words of `span` with the tags that `parent` holds.
    fn write(
        &self,
        parent: Option<usize>,
        span: (usize, usize),
        depth: usize,
        (written, guessed): (&mut Vec<Piece>, &mut BTreeSet<u32>),
    ) {
        let mut at = span.0;
        if let Some(parent) = parent.filter(|_| depth > MAX_DEPTH) {
            let within = &self.pieces[self.nodes[parent].inner.clone()];
            written.extend(within.iter().filter(|p| !matches!(p, Piece::Words(_))).cloned());
            written.push(Piece::Words(self.target[span.0..span.1].to_owned()));
            return;
        }
        for Placed { node, start, end } in self.places(parent, span, guessed) {
            written.push(Piece::Words(self.target[at..start].to_owned()));
            let &Node { number, pair, .. } = &self.nodes[node];
            if pair {
                written.push(Piece::Open(number));
                let out = (&mut *written, &mut *guessed);
                self.write(Some(node), (start, end), depth + 1, out);
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
    fn places(
        &self,
        parent: Option<usize>,
        span: (usize, usize),
        guessed: &mut BTreeSet<u32>,
    ) -> Vec<Placed> {
        let children = &self.children[parent.unwrap_or(self.nodes.len())];
        let mut placed = Vec::new();
        let mut open = Vec::new();
        let mut tags = Vec::new();
        for node in children.iter().copied() {
            let known = self.known(node, span);
            let Node { number, start, end, .. } = self.nodes[node];
            tags.extend(known.0.map(|at| (number, false, start, at)));
            tags.extend(known.1.map(|at| (number, true, end, at)));
            match known {
                (Some(start), Some(end)) => placed.push(Placed { node, start, end }),
                known => open.push((node, known)),
            }
        }
        if !open.is_empty() {
            let home =
                parent.map_or((0, self.source.len()), |p| (self.nodes[p].start, self.nodes[p].end));
            self.guess(&open, (home, span), &tags, (&mut placed, guessed));
        }
        placed.sort_by_key(|&Placed { node, start, end }| (start, end, node));
        let mut cursor = span.0;
        for Placed { start, end, .. } in &mut placed {
            *start = (*start).max(cursor);
            *end = (*end).max(*start);
            cursor = *end;
        }
        placed
    }

    /// What is known of the place of a tag in `span`: where it was found, or
    /// where its words are.
    fn known(&self, node: usize, span: (usize, usize)) -> Known {
        let Node { number, start, end, .. } = self.nodes[node];
        let within = |at: Option<usize>| at.filter(|at| (span.0..=span.1).contains(at));
        let found = self.found.get(&number).copied().unwrap_or_default();
        match (within(found.0), within(found.1)) {
            (None, None) => match self.find(self.source[start..end].trim(), span) {
                Some((start, end)) => (Some(start), Some(end)),
                None => (None, None),
            },
            known => known,
        }
    }

    /// Finds places for tags of which at most one end is known.
    fn guess(
        &self,
        open: &[(usize, Known)],
        (home, span): ((usize, usize), (usize, usize)),
        tags: &[(u32, bool, usize, usize)],
        (placed, guessed): (&mut Vec<Placed>, &mut BTreeSet<u32>),
    ) {
        let source = Side { text: &self.source, tokens: &self.tokens.0, span: home };
        let target = Side { text: &self.target, tokens: &self.tokens.1, span };
        let finder = Finder::new(source, target, tags);
        let known = placed.len();
        let crowded = open.len().saturating_mul(known) > MAX_ADJUSTED;
        let by_end: BTreeMap<usize, usize> =
            placed.iter().map(|placed| (self.nodes[placed.node].end, placed.end)).collect();
        let by_start: BTreeMap<usize, usize> =
            placed.iter().rev().map(|p| (self.nodes[p.node].start, p.start)).collect();
        let mut floor = span.0;
        for &(node, ends) in open {
            let &Node { number, start: from, end: to, .. } = &self.nodes[node];
            // A tag beside another, without words between, stays there.
            let beside = by_end.get(&from).or_else(|| by_start.get(&from)).copied();
            if let Some(at) = beside.filter(|_| from == to) {
                placed.push(Placed { node, start: at, end: at });
                continue;
            }
            let (mut start, mut end, sure) = finder.place((from, to), ends, floor);
            if !sure {
                guessed.insert(number);
            }
            floor = floor.max(end);
            for other in &placed[..if crowded { 0 } else { known }] {
                // Keep the larger part of what lies beside a tag that is known.
                if start < other.end && end > other.start {
                    if other.start.saturating_sub(start) >= end.saturating_sub(other.end) {
                        (start, end) = (start.min(other.start), other.start);
                    } else {
                        (start, end) = (other.end, end.max(other.end));
                    }
                }
            }
            placed.push(Placed { node, start, end });
        }
    }

    /// Where `words` stand in the target, if once and as whole words.
    fn find(&self, words: &str, span: (usize, usize)) -> Option<(usize, usize)> {
        if words.len() < MIN_SEARCHED || !self.searched {
            return None;
        }
        let mut matches = self.target[span.0..span.1].match_indices(words);
        let (offset, _) = matches.next()?;
        let place = (span.0 + offset, span.0 + offset + words.len());
        let tokens = &self.tokens.1;
        let whole = |at: usize| {
            let next = tokens.partition_point(|token| token.end <= at);
            tokens.get(next).is_none_or(|token| token.start >= at)
        };
        (whole(place.0) && whole(place.1) && matches.next().is_none()).then_some(place)
    }
}
