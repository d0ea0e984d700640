//! Comparing the tags of a text with those of its source.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{Piece, TagFault, Tagged};

/// A tag of the source.
pub(super) struct Node {
    pub number: u32,
    pub pair: bool,
    pub parent: Option<usize>,
    /// Where its words begin and end in the source's plain text.
    pub start: usize,
    pub end: usize,
    /// The pieces of the source between its beginning and end.
    pub inner: Range<usize>,
}

/// The tags of a well-formed text in order of their beginning.
pub(super) fn nodes(source: &Tagged) -> Vec<Node> {
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
    let mut known = BTreeSet::new();
    // Half of these is there, so that they are not missing.
    let mut halves = BTreeSet::new();
    let mut report = |fault| {
        if known.insert(fault) {
            found.push(fault);
        }
        if let TagFault::Unopened(number) | TagFault::OtherKind(number) = fault {
            halves.insert(number);
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
    let missing = nodes.iter().map(|node| node.number);
    found.extend(
        missing.filter(|n| !seen.contains(n) && !halves.contains(n)).map(TagFault::Missing),
    );
    found
}
