//! Words with the inline tags that stand among them: bold, links, footnote
//! marks, placeholders.
//!
//! A tag is a number, counted from 1 within its segment; what it stands for is
//! known to the format that read it. Models see tags as `<1>…</1>` and `<2/>`,
//! and what they write is held to the source: every tag once, in the same
//! nesting. [`repair`] puts back what they broke.

mod align;
mod faults;
mod finder;
mod gaps;
mod marks;
mod repair;
#[cfg(test)]
mod tests;
mod unmarked;

use std::collections::BTreeSet;

pub use repair::repair;
pub(in crate::documents) use repair::settle;
pub use unmarked::Unmarked;

/// A stretch of words, or a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text, never empty within a [`Tagged`].
    Words(String),
    /// The beginning of a pair.
    Open(u32),
    /// The end of a pair.
    Close(u32),
    /// A tag that holds no words, such as a footnote mark or a line break.
    Empty(u32),
}

/// What is wrong with the tags of a text, by the number of the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum TagFault {
    #[error("tag {0} of the source is missing")]
    Missing(u32),
    #[error("tag {0} occurs more than once")]
    Repeated(u32),
    #[error("tag {0} does not occur in the source")]
    Unknown(u32),
    #[error("tag {0} is opened and never closed")]
    Unclosed(u32),
    #[error("tag {0} is closed and was not open")]
    Unopened(u32),
    #[error("tag {0} is closed before a tag within it")]
    Crossed(u32),
    #[error("tag {0} holds words in one text and none in the other")]
    OtherKind(u32),
    #[error("tag {0} stands inside or outside another tag, unlike in the source")]
    Moved(u32),
}

/// Words and tags. Always well-formed: each number once, pairs closed in the
/// reverse order of opening, adjacent words joined, no empty words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tagged(Vec<Piece>);

impl Tagged {
    /// Joins adjacent words and drops empty ones.
    ///
    /// # Errors
    ///
    /// The first tag that occurs twice or is not properly closed.
    pub fn new(pieces: Vec<Piece>) -> Result<Self, TagFault> {
        let mut joined: Vec<Piece> = Vec::with_capacity(pieces.len());
        let mut open = Vec::new();
        let mut seen = BTreeSet::new();
        for piece in pieces {
            match &piece {
                Piece::Words(words) if words.is_empty() => continue,
                Piece::Words(words) => {
                    if let Some(Piece::Words(before)) = joined.last_mut() {
                        before.push_str(words);
                        continue;
                    }
                }
                Piece::Open(number) | Piece::Empty(number) => {
                    if !seen.insert(*number) {
                        return Err(TagFault::Repeated(*number));
                    }
                    if matches!(piece, Piece::Open(_)) {
                        open.push(*number);
                    }
                }
                Piece::Close(number) => match open.pop() {
                    Some(last) if last == *number => {}
                    Some(_) if open.contains(number) => return Err(TagFault::Crossed(*number)),
                    _ => return Err(TagFault::Unopened(*number)),
                },
            }
            joined.push(piece);
        }
        match open.pop() {
            Some(number) => Err(TagFault::Unclosed(number)),
            None => Ok(Self(joined)),
        }
    }

    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    pub fn into_pieces(self) -> Vec<Piece> {
        self.0
    }

    /// The words alone.
    pub fn plain(&self) -> String {
        self.words().collect()
    }

    /// The same with the spaces at the edges of pairs outside of them, where formats
    /// do not take them inside.
    pub fn snug(&self) -> Self {
        let opens = |piece: &Piece| matches!(piece, Piece::Open(_));
        let closes = |piece: &Piece| matches!(piece, Piece::Close(_));
        let first = outward(self.0.clone(), opens, |words| {
            let rest = words.trim_start();
            (words[..words.len() - rest.len()].to_owned(), rest.to_owned())
        });
        let mut both = outward(first.into_iter().rev().collect(), closes, |words| {
            let rest = words.trim_end();
            (words[rest.len()..].to_owned(), rest.to_owned())
        });
        both.reverse();
        // No tag was moved past another.
        Self::new(both).unwrap_or_else(|_| self.clone())
    }

    /// The words alone, stretch by stretch.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Words(words) => Some(words.as_str()),
            _ => None,
        })
    }

    /// Whether any tag stands among the words.
    pub fn has_tags(&self) -> bool {
        self.0.iter().any(|piece| !matches!(piece, Piece::Words(_)))
    }

    /// Whether there is nothing but tags and white space.
    pub fn is_blank(&self) -> bool {
        self.words().all(|words| words.trim().is_empty())
    }

    /// The same tags with each stretch of words replaced.
    pub fn map_words(&self, mut change: impl FnMut(&str) -> String) -> Self {
        let pieces = self.0.iter().filter_map(|piece| match piece {
            Piece::Words(words) => Some(change(words)).filter(|w| !w.is_empty()).map(Piece::Words),
            tag => Some(tag.clone()),
        });
        Self(pieces.collect())
    }

    /// The text as a model sees it: `<1>…</1>` and `<2/>`. Where the words
    /// themselves have something that reads as such a tag, its `<` becomes
    /// `&lt;`; a `&lt;` or `&amp;` among the words becomes `&amp;lt;` or
    /// `&amp;amp;`. All other words stay as they are.
    pub fn marked(&self) -> String {
        marks::write(&self.0)
    }

    /// Reads what [`Self::marked`] writes, and checks its tags against those of
    /// `source`.
    ///
    /// # Errors
    ///
    /// The first fault; [`Self::faults`] lists them all, [`repair`] mends them.
    pub fn read_marked(marked: &str, source: &Self) -> Result<Self, TagFault> {
        let pieces = marks::read(marked, marks::Spacing::Exact);
        match faults::faults(&pieces, source).first() {
            Some(fault) => Err(*fault),
            None => Self::new(pieces),
        }
    }

    /// Reads what [`Self::marked`] writes, whatever its tags are.
    ///
    /// # Errors
    ///
    /// The first tag that occurs twice or is not properly closed.
    pub fn parse(marked: &str) -> Result<Self, TagFault> {
        Self::new(marks::read(marked, marks::Spacing::Exact))
    }

    /// How the tags differ from those of `source`; empty if each occurs once,
    /// is of the same kind and stands within the same tags.
    pub fn faults(&self, source: &Self) -> Vec<TagFault> {
        faults::faults(&self.0, source)
    }
}

impl From<String> for Tagged {
    fn from(words: String) -> Self {
        Self(if words.is_empty() { Vec::new() } else { vec![Piece::Words(words)] })
    }
}

impl From<&str> for Tagged {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

/// Moves the part of words that `split` takes off to before the tags of this kind
/// that stand right before them.
fn outward(
    pieces: Vec<Piece>,
    tag: impl Fn(&Piece) -> bool,
    split: impl Fn(&str) -> (String, String),
) -> Vec<Piece> {
    let mut moved: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let tags = moved.iter().rev().take_while(|piece| tag(piece)).count();
        let Piece::Words(words) = piece else {
            moved.push(piece);
            continue;
        };
        let (spaces, rest) = if tags > 0 { split(&words) } else { (String::new(), words) };
        if !spaces.is_empty() {
            moved.insert(moved.len() - tags, Piece::Words(spaces));
        }
        if !rest.is_empty() {
            moved.push(Piece::Words(rest));
        }
    }
    moved
}
