//! Which places of a translation correspond to places of its source, as far as
//! numbers, names, marks and tags tell that are in both, in the same order.

use std::collections::{BTreeMap, BTreeSet};

use icu_segmenter::WordSegmenter;
use icu_segmenter::options::WordBreakInvariantOptions;

use crate::documents::quality::digits::ascii;

/// Comparisons beyond this are not made; places are told by proportion then.
const MAX_COMPARED: usize = 250_000;

/// How far apart, in parts of the whole, two marks of the same kind may stand
/// to be the same.
const MAX_APART: f32 = 0.25;

/// A word, or a mark beside words.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub start: usize,
    pub end: usize,
    /// Of a mark, what stands for all of its kind.
    pub mark: Option<char>,
}

/// The words and marks of a text, without the space between them.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let segmenter = WordSegmenter::new_auto(WordBreakInvariantOptions::default());
    let mut tokens = Vec::new();
    let mut start = 0;
    for end in segmenter.segment_str(text) {
        let segment = &text[start..end];
        if let Some(first) = segment.chars().find(|c| !unseen(*c)) {
            let word = segment.chars().any(char::is_alphanumeric);
            tokens.push(Token { start, end, mark: (!word).then(|| kind(first)) });
        }
        start = end;
    }
    tokens
}

/// Space, and marks of direction and joining.
fn unseen(c: char) -> bool {
    c.is_whitespace()
        || matches!(u32::from(c), 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x2069 | 0xfeff)
}

/// The mark that stands for all that mean the same in some language.
fn kind(mark: char) -> char {
    match mark {
        '،' | '、' | '，' | '﹐' => ',',
        '。' | '।' | '۔' | '．' | '｡' | '։' | '።' => '.',
        '؟' | '？' => '?',
        '！' => '!',
        '；' | '؛' => ';',
        '：' => ':',
        '（' | '[' | '［' | '【' => '(',
        '）' | ']' | '］' | '】' => ')',
        '«' | '»' | '“' | '”' | '„' | '‟' | '‘' | '’' | '‚' | '‹' | '›' | '「' | '」' | '『'
        | '』' | '《' | '》' | '\'' => '"',
        '–' | '—' | '―' | '‐' | '‑' | '−' => '-',
        other => other,
    }
}

/// What can be the same in both texts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Word(String),
    Mark(char),
    /// One of the ends of a tag.
    Tag(u32, bool),
}

struct Item {
    start: usize,
    end: usize,
    key: Key,
    /// Its number among all tokens.
    token: Option<usize>,
}

/// Texts, their tokens and the stretches of both that correspond.
pub(super) struct Side<'a> {
    pub text: &'a str,
    pub tokens: &'a [Token],
    pub span: (usize, usize),
}

impl Side<'_> {
    /// The tokens within the span.
    pub fn within(&self) -> std::ops::Range<usize> {
        let first = self.tokens.partition_point(|token| token.start < self.span.0);
        let last = self.tokens.partition_point(|token| token.end <= self.span.1);
        first..last.max(first)
    }

    fn items(&self, tags: impl Iterator<Item = (u32, bool, usize)>) -> Vec<Item> {
        let tokens = self.within().filter_map(|index| {
            let Token { start, end, mark } = self.tokens[index];
            let key = match mark {
                Some(mark) => Key::Mark(mark),
                None => Key::Word(telling(&self.text[start..end])?),
            };
            Some(Item { start, end, key, token: Some(index) })
        });
        let mut items: Vec<Item> = tokens.collect();
        items.extend(tags.map(|(number, end, at)| {
            let key = Key::Tag(number, end);
            Item { start: at, end: at, key, token: None }
        }));
        items.sort_by_key(|item| (item.start, item.end));
        items
    }

    /// How far a place is from the beginning, as a part of the whole.
    fn part(&self, at: usize) -> f32 {
        (at - self.span.0) as f32 / (self.span.1 - self.span.0).max(1) as f32
    }
}

/// A word by which a place is known again: a number, or a word that is no
/// small one.
fn telling(word: &str) -> Option<String> {
    let plain = ascii(word);
    let number = plain.chars().any(|c| c.is_ascii_digit());
    let letters = plain.chars().count();
    let name = letters > 3 || (letters > 1 && plain.chars().any(char::is_uppercase));
    (number || name).then(|| plain.to_lowercase())
}

/// Places that correspond.
pub(super) struct Alignment {
    /// In order in both texts; the first and the last are the ends.
    points: Vec<(usize, usize)>,
    /// Tokens of the source, and the same of the target.
    same: BTreeMap<usize, usize>,
}

/// Where a place of the source is in the target: about where, and between which
/// places that are known.
pub(super) struct Spot {
    pub wanted: usize,
    pub low: usize,
    pub high: usize,
}

impl Alignment {
    /// Of two texts and the tags that are in both: number, whether it is the
    /// end of a pair, and the places.
    pub fn new(source: &Side<'_>, target: &Side<'_>, tags: &[(u32, bool, usize, usize)]) -> Self {
        let mut a = source.items(tags.iter().map(|tag| (tag.0, tag.1, tag.2)));
        let mut b = target.items(tags.iter().map(|tag| (tag.0, tag.1, tag.3)));
        let keys = |items: &[Item]| items.iter().map(|i| i.key.clone()).collect::<BTreeSet<_>>();
        let (own, others) = (keys(&a), keys(&b));
        a.retain(|item| others.contains(&item.key));
        b.retain(|item| own.contains(&item.key));
        let mut points = vec![(source.span.0, target.span.0)];
        let mut same = BTreeMap::new();
        if a.len().saturating_mul(b.len()) <= MAX_COMPARED {
            let value = |x: &Item, y: &Item| {
                let apart = (source.part(x.start) - target.part(y.start)).abs();
                match (x.key == y.key, &x.key) {
                    (false, _) => 0.0,
                    (true, Key::Tag(..)) => 6.0,
                    (true, Key::Word(_)) => 3.0 - apart,
                    (true, Key::Mark(_)) => (1.0 - apart / MAX_APART).max(0.0),
                }
            };
            for (x, y) in best(&a, &b, value) {
                points.extend([(x.start, y.start), (x.end, y.end)]);
                if let (Some(x), Some(y)) = (x.token, y.token) {
                    same.insert(x, y);
                }
            }
        }
        points.push((source.span.1, target.span.1));
        points.sort_unstable();
        // A tag may stand within a word.
        let mut last = 0;
        points.retain(|point| {
            let kept = point.1 >= last;
            last = last.max(point.1);
            kept
        });
        Self { points, same }
    }

    /// The same token in the target.
    pub fn token(&self, token: usize) -> Option<usize> {
        self.same.get(&token).copied()
    }

    pub fn spot(&self, at: usize) -> Spot {
        let before = self.points.partition_point(|point| point.0 < at);
        let after = self.points.partition_point(|point| point.0 <= at);
        // Those at the place itself, if any.
        if let (Some(first), Some(last)) =
            (self.points[before..after].first(), self.points[before..after].last())
        {
            return Spot { wanted: first.1, low: first.1, high: last.1 };
        }
        let low = self.points[before.saturating_sub(1)];
        let high = self.points[after.min(self.points.len() - 1)];
        let scale = (high.1 - low.1) as f64 / (high.0 - low.0).max(1) as f64;
        let wanted = low.1 + (at.saturating_sub(low.0) as f64 * scale) as usize;
        Spot { wanted, low: low.1, high: high.1 }
    }
}

/// The pairs of the greatest value together that are in order in both lists.
fn best<'a>(
    a: &'a [Item],
    b: &'a [Item],
    value: impl Fn(&Item, &Item) -> f32,
) -> Vec<(&'a Item, &'a Item)> {
    let width = b.len() + 1;
    let mut sums = vec![0.0_f32; (a.len() + 1) * width];
    for (i, x) in a.iter().enumerate().rev() {
        for (j, y) in b.iter().enumerate().rev() {
            let without = sums[(i + 1) * width + j].max(sums[i * width + j + 1]);
            let own = value(x, y);
            let with = if own > 0.0 { own + sums[(i + 1) * width + j + 1] } else { 0.0 };
            sums[i * width + j] = without.max(with);
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut pairs = Vec::new();
    while i < a.len() && j < b.len() {
        let sum = sums[i * width + j];
        if sum <= 0.0 {
            break;
        }
        if sum == sums[(i + 1) * width + j] {
            i += 1;
        } else if sum == sums[i * width + j + 1] {
            j += 1;
        } else {
            pairs.push((&a[i], &b[j]));
            (i, j) = (i + 1, j + 1);
        }
    }
    pairs
}
