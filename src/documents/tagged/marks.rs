//! Tags as a model reads and writes them.

use super::Piece;

/// Digits that a tag's number may have; longer ones are words.
const MAX_DIGITS: usize = 6;

/// Whether spaces within a tag are allowed, as some models write them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spacing {
    Exact,
    Loose,
}

pub(super) fn write(pieces: &[Piece]) -> String {
    let mut marked = String::new();
    for piece in pieces {
        match piece {
            Piece::Words(words) => escape(words, &mut marked),
            Piece::Open(number) => marked.push_str(&format!("<{number}>")),
            Piece::Close(number) => marked.push_str(&format!("</{number}>")),
            Piece::Empty(number) => marked.push_str(&format!("<{number}/>")),
        }
    }
    marked
}

fn escape(words: &str, marked: &mut String) {
    for (at, character) in words.char_indices() {
        let rest = &words[at..];
        match character {
            '<' if tag(rest, Spacing::Loose).is_some() => marked.push_str("&lt;"),
            '&' if rest.starts_with("&lt;") || rest.starts_with("&amp;") => {
                marked.push_str("&amp;");
            }
            other => marked.push(other),
        }
    }
}

/// Reads tags and words; adjacent words are joined, tags are not checked.
pub(super) fn read(marked: &str, spacing: Spacing) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut words = String::new();
    let mut rest = marked;
    while let Some(character) = rest.chars().next() {
        if let Some((piece, length)) = tag(rest, spacing) {
            if !words.is_empty() {
                pieces.push(Piece::Words(std::mem::take(&mut words)));
            }
            pieces.push(piece);
            rest = &rest[length..];
        } else if let Some(after) = rest.strip_prefix("&lt;") {
            words.push('<');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("&amp;") {
            words.push('&');
            rest = after;
        } else {
            words.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    if !words.is_empty() {
        pieces.push(Piece::Words(words));
    }
    pieces
}

/// The tag that `text` begins with, and its length in bytes.
fn tag(text: &str, spacing: Spacing) -> Option<(Piece, usize)> {
    let skip = |text: &str| match spacing {
        Spacing::Exact => 0,
        Spacing::Loose => text.len() - text.trim_start_matches(' ').len(),
    };
    let mut rest = text.strip_prefix('<')?;
    rest = &rest[skip(rest)..];
    let closes = rest.starts_with('/');
    if closes {
        rest = &rest[1..];
        rest = &rest[skip(rest)..];
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || digits > MAX_DIGITS {
        return None;
    }
    let number = rest[..digits].parse().ok()?;
    rest = &rest[digits..];
    rest = &rest[skip(rest)..];
    let empty = !closes && rest.starts_with('/');
    if empty {
        rest = &rest[1..];
        rest = &rest[skip(rest)..];
    }
    rest = rest.strip_prefix('>')?;
    let piece = match (closes, empty) {
        (true, _) => Piece::Close(number),
        (_, true) => Piece::Empty(number),
        _ => Piece::Open(number),
    };
    Some((piece, text.len() - rest.len()))
}
