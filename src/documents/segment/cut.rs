//! A text cut at given places, with its tags in balance.

use std::collections::BTreeMap;

use super::Segments;
use crate::documents::tagged::{Piece, Tagged};

/// Pieces between two cuts.
#[derive(Default)]
struct Part {
    pieces: Vec<Piece>,
    /// Tags that were opened again at its beginning and closed at its end only
    /// because of the cuts.
    reopened: usize,
    reclosed: usize,
}

/// Cuts `source` where its plain text has `starts`, which are in order.
pub(super) fn cut(source: &Tagged, starts: &[usize]) -> Segments {
    let mut texts = Vec::new();
    let mut numbers = Vec::new();
    let mut gaps = vec![String::new()];
    for part in parts(source, starts) {
        let Part { mut pieces, reopened, reclosed } = part;
        let before = take_edge(&mut pieces, reopened, 0);
        let last = pieces.len().wrapping_sub(reclosed + 1);
        let after = take_edge(&mut pieces, last, 1);
        if let Some(gap) = gaps.last_mut() {
            gap.push_str(&before);
        }
        let (text, found) = renumber(pieces);
        if text == Tagged::default() {
            if let Some(gap) = gaps.last_mut() {
                gap.push_str(&after);
            }
            continue;
        }
        texts.push(text);
        numbers.push(found);
        gaps.push(after);
    }
    Segments { source: source.clone(), texts, numbers, gaps }
}

/// Takes the white space from the words at `place`, at their beginning (side 0)
/// or end.
fn take_edge(pieces: &mut Vec<Piece>, place: usize, side: usize) -> String {
    let Some(Piece::Words(words)) = pieces.get_mut(place) else { return String::new() };
    let kept = if side == 0 { words.trim_start() } else { words.trim_end() };
    let edge = match side {
        0 => words[..words.len() - kept.len()].to_owned(),
        _ => words[kept.len()..].to_owned(),
    };
    let kept = kept.to_owned();
    if kept.is_empty() {
        pieces.remove(place);
    } else {
        pieces[place] = Piece::Words(kept);
    }
    edge
}

fn parts(source: &Tagged, starts: &[usize]) -> Vec<Part> {
    let mut parts = vec![Part::default()];
    let mut open: Vec<u32> = Vec::new();
    let mut starts = starts.iter().copied().peekable();
    let mut at = 0;
    let mut white = false;
    let begin = |parts: &mut Vec<Part>, open: &[u32]| {
        if let Some(part) = parts.last_mut() {
            part.reclosed = open.len();
            part.pieces.extend(open.iter().rev().map(|number| Piece::Close(*number)));
        }
        let pieces = open.iter().map(|number| Piece::Open(*number)).collect();
        parts.push(Part { pieces, reopened: open.len(), reclosed: 0 });
    };
    for piece in source.pieces() {
        match piece {
            Piece::Words(words) => {
                let mut rest = words.as_str();
                while let Some(start) = starts.peek().copied().filter(|s| *s < at + rest.len()) {
                    let (head, tail) = rest.split_at(start.saturating_sub(at));
                    push(&mut parts, Piece::Words(head.to_owned()));
                    begin(&mut parts, &open);
                    starts.next();
                    at += head.len();
                    rest = tail;
                }
                push(&mut parts, Piece::Words(rest.to_owned()));
                at += rest.len();
                white = words.ends_with(char::is_whitespace);
            }
            tag => {
                // At a cut, an end goes with what is before, a beginning with
                // what follows, and what is empty with the words it touches.
                let before =
                    matches!(tag, Piece::Close(_)) || (matches!(tag, Piece::Empty(_)) && !white);
                if starts.peek() == Some(&at) && !before {
                    begin(&mut parts, &open);
                    starts.next();
                }
                match tag {
                    Piece::Open(number) => open.push(*number),
                    Piece::Close(_) => {
                        open.pop();
                    }
                    _ => {}
                }
                push(&mut parts, tag.clone());
            }
        }
    }
    parts
}

fn push(parts: &mut [Part], piece: Piece) {
    if let Some(part) = parts.last_mut()
        && piece != Piece::Words(String::new())
    {
        part.pieces.push(piece);
    }
}

/// Numbers tags from 1, and says which numbers they had.
fn renumber(pieces: Vec<Piece>) -> (Tagged, Vec<u32>) {
    let mut numbers: Vec<u32> = Vec::new();
    let mut places: BTreeMap<u32, u32> = BTreeMap::new();
    let mut number = |old: u32| {
        *places.entry(old).or_insert_with(|| {
            numbers.push(old);
            u32::try_from(numbers.len()).unwrap_or(u32::MAX)
        })
    };
    let renumbered = pieces.into_iter().map(|piece| match piece {
        Piece::Words(words) => Piece::Words(words),
        Piece::Open(old) => Piece::Open(number(old)),
        Piece::Close(old) => Piece::Close(number(old)),
        Piece::Empty(old) => Piece::Empty(number(old)),
    });
    let text = Tagged::new(renumbered.collect()).expect("each part closes what it opens");
    (text, numbers)
}
