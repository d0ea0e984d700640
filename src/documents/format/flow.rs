//! Collects the words and tags of a unit as a reader meets them.
//!
//! Real files open what they do not close. Beginnings and ends that belong
//! together become pairs; the others become tags of their own. What stands at
//! the edges without any word, and pairs around all the words, is left outside
//! of the unit where the format allows it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::spans::Frag;
use crate::documents::tagged::{Piece, Tagged};

/// Pairs within each other beyond this depth become tags of their own.
const MAX_DEPTH: usize = 64;

/// Characters of what may be a word: of more it is none, and takes long to move.
const LONGEST_WORD: usize = 200;

/// What a tag stands for.
#[derive(Clone, Debug, Default)]
pub(super) struct Tag {
    /// The beginning of a pair, or all of a tag without words.
    pub open: Vec<Frag>,
    pub close: Vec<Frag>,
    /// Properties of the runs of words within (DOCX).
    pub run: Option<String>,
    /// Element of HTML that means the same (Markdown).
    pub html: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(super) enum Item {
    Words(String),
    /// Belongs to the next end with the same key.
    Open(String, Tag),
    Close(String, Vec<Frag>),
    Empty(Vec<Frag>),
    /// A tag without words that nobody sees, so that a word that it stands in is
    /// one.
    Unseen(Vec<Frag>),
}

/// What may be left outside of a unit.
#[derive(Clone, Copy)]
pub(super) struct Edges {
    /// Tags at the edges that hold no words or all of them.
    pub peel: bool,
    /// White space at the edges; within, it is collapsed to single spaces.
    pub collapse: bool,
}

/// An item, where it stands, and whether a unit may begin or end beside it.
struct Placed {
    item: Item,
    range: Range<usize>,
    whole: bool,
}

#[derive(Default)]
pub(super) struct Flow {
    items: Vec<Placed>,
}

impl Flow {
    pub fn words(&mut self, text: &str, range: Range<usize>) {
        if let Some(Placed { item: Item::Words(words), range: before, .. }) = self.items.last_mut()
            && before.end <= range.start
        {
            words.push_str(text);
            before.end = range.end;
            return;
        }
        self.push(Item::Words(text.to_owned()), range);
    }

    pub fn push(&mut self, item: Item, range: Range<usize>) {
        self.items.push(Placed { item, range, whole: true });
    }

    /// An item beside which a unit cannot begin or end.
    pub fn push_part(&mut self, item: Item, range: Range<usize>) {
        self.items.push(Placed { item, range, whole: false });
    }

    /// A tag without words that stands for a piece of the source.
    pub fn empty(&mut self, range: Range<usize>) {
        self.push(Item::Empty(vec![Frag::Source(range.clone())]), range);
    }

    /// The same of a piece that nobody sees.
    pub fn unseen(&mut self, range: Range<usize>) {
        self.push(Item::Unseen(vec![Frag::Source(range.clone())]), range);
    }

    /// The last tag without words, to be prolonged.
    pub fn last_empty(&mut self) -> Option<(&mut Vec<Frag>, &mut Range<usize>)> {
        match self.items.last_mut() {
            Some(Placed { item: Item::Empty(frags), range, .. }) => Some((frags, range)),
            _ => None,
        }
    }

    /// From the first item to the last.
    pub fn range(&self) -> Option<Range<usize>> {
        Some(self.items.first()?.range.start..self.items.last()?.range.end)
    }

    /// The unit that stands in `range`: where its text is now, the text and its
    /// tags. `None` if it has no words.
    pub fn finish(
        mut self,
        source: &str,
        mut range: Range<usize>,
        edges: Edges,
    ) -> Option<(Range<usize>, Tagged, BTreeMap<u32, Tag>)> {
        self.unsplit();
        let partners = self.pair();
        let (mut first, mut last) = (0, self.items.len());
        if edges.peel {
            (first, last) = self.peel(&partners, &mut range);
        }
        if edges.collapse {
            self.trim(source, (first, last), &mut range);
        }
        let mut numbers: BTreeMap<usize, u32> = BTreeMap::new();
        let mut tags: BTreeMap<u32, Tag> = BTreeMap::new();
        let mut pieces = Vec::new();
        let mut words = false;
        for (index, placed) in self.items.into_iter().enumerate().take(last).skip(first) {
            let next = u32::try_from(tags.len() + 1).ok()?;
            match placed.item {
                Item::Words(text) => {
                    let text = if edges.collapse { collapse(&text) } else { text };
                    words |= !text.trim().is_empty();
                    pieces.push(Piece::Words(text));
                }
                Item::Empty(open) | Item::Unseen(open) => {
                    tags.insert(next, Tag { open, ..Tag::default() });
                    pieces.push(Piece::Empty(next));
                }
                Item::Open(_, tag) => {
                    numbers.insert(index, next);
                    tags.insert(next, tag);
                    pieces.push(Piece::Open(next));
                }
                Item::Close(_, close) => {
                    let number = partners[index].and_then(|open| numbers.get(&open))?;
                    tags.get_mut(number)?.close = close;
                    pieces.push(Piece::Close(*number));
                }
            }
        }
        let text = Tagged::new(pieces).ok().filter(|_| words)?;
        Some((range, text, tags))
    }

    /// Makes tags of what nobody sees, and where it stands within a word, puts it
    /// before that: no translation has the same word to cut.
    fn unsplit(&mut self) {
        for index in 0..self.items.len() {
            let Item::Unseen(frags) = &mut self.items[index].item else { continue };
            self.items[index].item = Item::Empty(std::mem::take(frags));
            let Some((before, behind)) = self.items.split_at_mut_checked(index) else { continue };
            if let Some(Placed { item: Item::Words(first), whole: cut, .. }) = before.last_mut()
                && let Some(Placed { item: Item::Words(rest), whole, .. }) = behind.get_mut(1)
                && rest.starts_with(char::is_alphanumeric)
            {
                let within = first.chars().rev().take_while(|c| c.is_alphanumeric());
                let length: usize = within.take(LONGEST_WORD).map(char::len_utf8).sum();
                let word = first.len() - length;
                if length == 0 || length >= LONGEST_WORD {
                    continue;
                }
                match word {
                    // What nobody sees would begin the text, and in Markdown the
                    // line: that is no paragraph any more.
                    0 if index == 1 => {
                        let end = rest.find(|c: char| !c.is_alphanumeric());
                        first.extend(rest.drain(..end.unwrap_or(rest.len())));
                    }
                    _ => rest.insert_str(0, &first.split_off(word)),
                }
                (*cut, *whole) = (false, false);
            }
        }
    }

    /// For each beginning and end, the other; those that have none, or cross
    /// others, become tags of their own.
    fn pair(&mut self) -> Vec<Option<usize>> {
        let mut partners = vec![None; self.items.len()];
        let mut open: Vec<usize> = Vec::new();
        for index in 0..self.items.len() {
            match &self.items[index].item {
                // Beyond the depth, a beginning waits for no end.
                Item::Open(..) if open.len() < MAX_DEPTH => open.push(index),
                Item::Close(key, _) => {
                    let same =
                        |at: &usize| matches!(&self.items[*at].item, Item::Open(k, _) if k == key);
                    if let Some(place) = open.iter().rposition(same) {
                        partners[index] = Some(open[place]);
                        partners[open[place]] = Some(index);
                        open.truncate(place);
                    }
                }
                _ => {}
            }
        }
        for (placed, partner) in self.items.iter_mut().zip(&partners) {
            if partner.is_none() {
                let frags = match &mut placed.item {
                    Item::Open(_, tag) => std::mem::take(&mut tag.open),
                    Item::Close(_, frags) => std::mem::take(frags),
                    _ => continue,
                };
                placed.item = Item::Empty(frags);
            }
        }
        partners
    }

    /// Leaves out what has no words at both ends, and pairs around everything
    /// that say nothing about their runs; the items that are left.
    fn peel(&self, partners: &[Option<usize>], range: &mut Range<usize>) -> (usize, usize) {
        let blank = |placed: &Placed| match &placed.item {
            Item::Words(words) => words.bytes().all(|b| b.is_ascii_whitespace()),
            _ => true,
        };
        let loose = |from: usize, to: usize| {
            self.items[from..to].iter().all(|placed| placed.whole && blank(placed))
        };
        let (mut first, mut last) = (0, self.items.len());
        while first < last {
            let (head, tail) = (&self.items[first], &self.items[last - 1]);
            if let (Item::Open(_, tag), Some(end)) = (&head.item, partners[first]) {
                if end + 1 == last && head.whole && tail.whole && tag.run.is_none() {
                    *range = head.range.end..tail.range.start;
                    (first, last) = (first + 1, last - 1);
                } else if loose(first, end + 1) {
                    range.start = self.items[end].range.end;
                    first = end + 1;
                } else {
                    break;
                }
            } else if loose(first, first + 1) {
                range.start = head.range.end;
                first += 1;
            } else {
                break;
            }
        }
        while first < last {
            let tail = &self.items[last - 1];
            let from = match (&tail.item, partners[last - 1]) {
                (Item::Close(..), Some(open)) => open,
                _ => last - 1,
            };
            if from < first || !loose(from, last) {
                break;
            }
            range.end = self.items[from].range.start;
            last = from;
        }
        // What enclosed all words may do so only now.
        if first < last
            && matches!(&self.items[first].item, Item::Open(_, tag) if tag.run.is_none())
            && partners[first] == Some(last - 1)
            && self.items[first].whole
            && self.items[last - 1].whole
        {
            *range = self.items[first].range.end..self.items[last - 1].range.start;
            (first, last) = (first + 1, last - 1);
        }
        (first, last)
    }

    /// Leaves white space out of the range, and out of the words at its edges.
    fn trim(&mut self, source: &str, (first, last): (usize, usize), range: &mut Range<usize>) {
        let white = |c: char| c.is_ascii_whitespace();
        let inner = &source[range.clone()];
        if let Some(Placed { item: Item::Words(words), .. }) = self.items.get_mut(first)
            && first < last
        {
            range.start += inner.len() - inner.trim_start_matches(white).len();
            *words = words.trim_start_matches(white).to_owned();
        }
        let inner = &source[range.clone()];
        if last > first
            && let Some(Placed { item: Item::Words(words), .. }) = self.items.get_mut(last - 1)
        {
            range.end -= inner.len() - inner.trim_end_matches(white).len();
            *words = words.trim_end_matches(white).to_owned();
        }
    }
}

/// Runs of white space as single spaces, as HTML shows them.
fn collapse(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    let mut white = false;
    for character in text.chars() {
        if character.is_ascii_whitespace() {
            white = true;
            continue;
        }
        if std::mem::take(&mut white) {
            collapsed.push(' ');
        }
        collapsed.push(character);
    }
    if white {
        collapsed.push(' ');
    }
    collapsed
}
