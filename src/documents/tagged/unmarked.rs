//! Texts for models that know nothing of tags.
//!
//! Such a model is given the words alone. What it writes has the tags where the
//! same numbers, names and marks are, or in proportion; so tags that hold no
//! words, such as the ends of lines, pictures and notes, are neither lost nor
//! within a word. Pairs around a mark that says nothing by itself, such as the
//! arrow of a link back or the number of a note, are among them: a model would
//! lose the mark, or take the number for a part of the word before it.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::{Node, nodes};
use super::repair::place;
use super::{Piece, Tagged};
use crate::documents::script::spaceless;

/// Bytes of what a pair that stands for itself holds.
const MAX_MARK: usize = 16;

/// Letters of a word that a number behind it is no part of, unlike those of
/// units and formulas.
const MIN_LETTERS: usize = 3;

/// A text without its tags.
pub struct Unmarked {
    /// With a space for each tag that is all that parts two words.
    given: Tagged,
    /// The tags that those spaces are for.
    parting: BTreeSet<u32>,
    /// Pairs that stand for themselves: a tag without words in `given`.
    whole: BTreeMap<u32, Vec<Piece>>,
    /// Tags without words that white space stands before, and behind.
    spaces: (BTreeSet<u32>, BTreeSet<u32>),
}

impl Unmarked {
    pub fn of(source: &Tagged) -> Self {
        let (pieces, whole) = wholes(source);
        let spaces = spaces(&pieces);
        let (pieces, parting) = part(pieces, &whole);
        let given = Tagged::new(pieces).expect("pairs went as a whole");
        Self { given, parting, whole, spaces }
    }

    /// What the model is given.
    pub fn text(&self) -> String {
        self.given.plain()
    }

    /// What the model wrote, with the tags of the source, and the numbers of
    /// those whose place is a guess.
    pub fn back(&self, written: &str) -> (Tagged, Vec<u32>) {
        let given = self.given.plain();
        let begin = given.len() - given.trim_start().len();
        let end = given.trim().len() + begin;
        let text = match given.trim().is_empty() {
            true => written.to_owned(),
            false => [&given[..begin], written.trim(), &given[end..]].concat(),
        };
        let (placed, guessed) = place(text, &self.given);
        let mut pieces = placed.into_pieces();
        self.close(&mut pieces);
        let spaced = self.space(pieces);
        let mut restored = Vec::with_capacity(spaced.len());
        for piece in spaced {
            match &piece {
                Piece::Empty(number) => match self.whole.get(number) {
                    Some(whole) => restored.extend(whole.iter().cloned()),
                    None => restored.push(piece),
                },
                _ => restored.push(piece),
            }
        }
        let text = Tagged::new(restored).expect("the tags are those of a well-formed text");
        (text, guessed.into_iter().collect())
    }

    /// Takes away the white space beside each tag that a space was given for.
    fn close(&self, pieces: &mut Vec<Piece>) {
        for index in 0..pieces.len() {
            if !matches!(pieces[index], Piece::Empty(number) if self.parting.contains(&number)) {
                continue;
            }
            let before = pieces[..index].iter().rposition(|piece| !is_edge(piece));
            if let Some(Piece::Words(words)) = before.map(|at| &mut pieces[at]) {
                words.truncate(words.trim_end().len());
            }
            let behind = pieces[index + 1..].iter().position(|piece| !is_edge(piece));
            if let Some(Piece::Words(words)) = behind.map(|at| &mut pieces[index + 1 + at]) {
                *words = words.trim_start().to_owned();
            }
        }
        pieces.retain(|piece| !matches!(piece, Piece::Words(words) if words.is_empty()));
    }

    /// With the spaces around tags of which the model made one.
    fn space(&self, pieces: Vec<Piece>) -> Vec<Piece> {
        let word = |c: char| !c.is_whitespace() && !spaceless(c);
        let opens = |c: char| word(c) && (c.is_alphanumeric() || "([{«“".contains(c));
        let mut spaced: Vec<Piece> = Vec::with_capacity(pieces.len());
        for (index, piece) in pieces.iter().enumerate() {
            let Piece::Empty(number) = piece else {
                spaced.push(piece.clone());
                continue;
            };
            let missing = match spaced.iter().rev().find(|piece| !is_edge(piece)) {
                Some(Piece::Words(words)) => words.ends_with(word),
                Some(_) => true,
                None => false,
            };
            if missing && self.spaces.0.contains(number) {
                spaced.push(Piece::Words(" ".to_owned()));
            }
            spaced.push(piece.clone());
            let next = pieces[index + 1..].iter().find(|piece| !is_edge(piece));
            if self.spaces.1.contains(number)
                && matches!(next, Some(Piece::Words(words)) if words.starts_with(opens))
            {
                spaced.push(Piece::Words(" ".to_owned()));
            }
        }
        spaced
    }
}

/// The beginning or end of a pair.
fn is_edge(piece: &Piece) -> bool {
    matches!(piece, Piece::Open(_) | Piece::Close(_))
}

/// The pieces with tags without words for pairs that stand for themselves, and
/// what those were.
fn wholes(source: &Tagged) -> (Vec<Piece>, BTreeMap<u32, Vec<Piece>>) {
    let (nodes, plain) = (nodes(source), source.plain());
    let opened: BTreeMap<usize, &Node> =
        nodes.iter().filter(|node| node.pair).map(|node| (node.inner.start - 1, node)).collect();
    let mut pieces = Vec::new();
    let mut whole = BTreeMap::new();
    let mut index = 0;
    while let Some(piece) = source.pieces().get(index) {
        let alone = opened.get(&index).filter(|node| {
            let within = &plain[node.start..node.end];
            within.len() <= MAX_MARK && alone(&plain[..node.start], within, &plain[node.end..])
        });
        let Some(node) = alone else {
            pieces.push(piece.clone());
            index += 1;
            continue;
        };
        pieces.push(Piece::Empty(node.number));
        whole.insert(node.number, source.pieces()[index..=node.inner.end].to_vec());
        index = node.inner.end + 1;
    }
    (pieces, whole)
}

/// Whether what a pair holds says nothing to a model: nothing at all, symbols
/// such as arrows, or the mark of a note behind a word.
fn alone(before: &str, within: &str, behind: &str) -> bool {
    let mark = within.trim();
    if mark.is_empty() {
        return within.is_empty();
    }
    if mark.chars().all(is_symbol) {
        return true;
    }
    let sign = |c: char| "*†‡§¶#".contains(c);
    if mark.chars().all(sign) && (before.trim().is_empty() || behind.trim().is_empty()) {
        return true;
    }
    let note = |c: char| c.is_numeric() || sign(c) || "[](),".contains(c);
    mark.len() == within.len()
        && mark.chars().all(note)
        && mark.chars().any(|c| c.is_numeric() || sign(c))
        && !behind.starts_with(char::is_alphanumeric)
        && ends_word(before, mark.chars().all(|c| c.is_ascii_digit()))
}

/// Whether a text ends with a word, or a mark behind one, that a number is no
/// part of. Digits as such may be what the text is about, where no space is due
/// before them: in scripts without spaces, and behind a colon.
fn ends_word(text: &str, digits: bool) -> bool {
    let closing = |c: char| {
        ".,;!?…)]»”’\"。，、；！？）」』۔،؛؟।".contains(c) || !digits && ":：".contains(c)
    };
    let words = text.trim_end_matches(closing);
    let last = words.chars().next_back();
    let spaceless = last.is_some_and(spaceless);
    if digits && spaceless {
        return false;
    }
    if words.len() < text.len() {
        return last.is_some_and(char::is_alphabetic);
    }
    let letters = words.chars().rev().take_while(|c| c.is_alphabetic()).count();
    last.is_some_and(|c| !c.is_uppercase()) && (letters >= MIN_LETTERS || spaceless)
}

/// Arrows, dingbats and the like, private characters, and what chooses their
/// looks.
fn is_symbol(c: char) -> bool {
    matches!(u32::from(c), 0x2190..=0x23ff | 0x2500..=0x27bf | 0x2900..=0x297f | 0x2b00..=0x2bff
        | 0xe000..=0xf8ff | 0xfe0e | 0xfe0f | 0x1f000..=0x1faff)
        && !c.is_alphanumeric()
}

/// The tags without words that white space stands right before, and behind.
fn spaces(pieces: &[Piece]) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let (mut before, mut behind) = (BTreeSet::new(), BTreeSet::new());
    let (mut white, mut last) = (false, None);
    for piece in pieces {
        match piece {
            Piece::Words(words) => {
                if words.starts_with(char::is_whitespace) {
                    behind.extend(last);
                }
                (white, last) = (words.ends_with(char::is_whitespace), None);
            }
            Piece::Empty(number) => {
                if white {
                    before.insert(*number);
                }
                (white, last) = (false, Some(*number));
            }
            _ => {}
        }
    }
    (before, behind)
}

/// The pieces with a space behind each tag that is all that parts two words,
/// and these tags.
fn part(pieces: Vec<Piece>, whole: &BTreeMap<u32, Vec<Piece>>) -> (Vec<Piece>, BTreeSet<u32>) {
    // What follows each piece.
    let mut next: Vec<(Option<char>, Option<char>)> = Vec::with_capacity(pieces.len());
    let mut following = (None, None);
    for piece in pieces.iter().rev() {
        next.push(following);
        if let Piece::Words(words) = piece {
            let mut chars = words.chars();
            following = (chars.next(), chars.next());
        }
    }
    let mut parted = Vec::with_capacity(pieces.len());
    let mut parting = BTreeSet::new();
    let mut last = (None, None);
    for (piece, next) in pieces.into_iter().zip(next.into_iter().rev()) {
        match &piece {
            Piece::Words(words) => {
                let mut chars = words.chars().rev();
                last = (chars.next(), chars.next());
            }
            Piece::Empty(number) if !whole.contains_key(number) && parts(last, next) => {
                parting.insert(*number);
                parted.extend([piece, Piece::Words(" ".to_owned())]);
                // Of several tags the first is enough.
                last = (None, None);
                continue;
            }
            _ => {}
        }
        parted.push(piece);
    }
    (parted, parting)
}

/// Whether a word or sentence ends with the two characters before a place, the
/// last first, and one begins with those behind it.
fn parts(before: (Option<char>, Option<char>), behind: (Option<char>, Option<char>)) -> bool {
    let (Some(last), Some(first)) = (before.0, behind.0) else { return false };
    let ends = ".!?…。！？؟।۔".contains(last);
    let quote = |c: char| matches!(c, '"' | '\'');
    let closed = match last {
        c if c.is_alphanumeric() || ends => true,
        c if quote(c) => before.1.is_some_and(|c| !c.is_whitespace()),
        c => ",;:)]}»”’%，；：）」』،؛".contains(c),
    };
    closed
        && match first {
            c if c.is_alphanumeric() => true,
            c if quote(c) => behind.1.is_some_and(char::is_alphanumeric),
            '-' | '–' | '—' => ends || behind.1.is_some_and(char::is_whitespace),
            c => "([{«“„‘¿¡（「『".contains(c),
        }
}
