//! Finding a text among many that were translated before.
//!
//! Two texts are as near as the edits between their tokens are few:
//! `1 - edits / tokens of the longer`, which is 1 for equal texts. A text that
//! is near enough shares most tokens with the one that is looked for, so it has
//! one of the few that are rarest: only the lists of those are read.

use std::collections::HashMap;

use unicode_segmentation::UnicodeSegmentation;

use super::{Unit, normalized};

/// Units of a pair of languages.
#[derive(Debug, Default)]
pub struct Index {
    entries: Vec<Entry>,
    exact: HashMap<String, Vec<u32>>,
    /// Numbers of tokens.
    tokens: HashMap<String, u32>,
    /// Entries that have a token, by its number.
    lists: Vec<Vec<u32>>,
}

#[derive(Debug)]
struct Entry {
    source: String,
    target: String,
    changed: u64,
    tokens: Box<[u32]>,
}

/// A unit that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// With tags, as [`super::Variant::text`].
    pub source: String,
    pub target: String,
    /// 1 for the same text, white space aside.
    pub score: f32,
    /// In seconds since 1970.
    pub changed: u64,
}

/// A token that no entry has.
const NEW: u32 = u32::MAX;

impl Index {
    /// Of all units that have both languages, by their two letters.
    pub fn new<'u>(units: impl IntoIterator<Item = &'u Unit>, source: &str, target: &str) -> Self {
        let mut index = Self::default();
        for unit in units {
            if let (Some(from), Some(to)) = (unit.text(source), unit.text(target)) {
                index.add(from, to, unit.changed);
            }
        }
        index
    }

    /// Adds a pair of texts. One with the same texts is not added twice, and
    /// one with the same source goes before those that are older.
    pub fn add(&mut self, source: &str, target: &str, changed: u64) {
        let key = normalized(source);
        let same = self.exact.entry(key).or_default();
        let twin = same.iter().find(|number| self.entries[**number as usize].target == target);
        if let Some(&number) = twin {
            let entry = &mut self.entries[number as usize];
            entry.changed = entry.changed.max(changed);
            return;
        }
        let number = self.entries.len() as u32;
        same.push(number);
        let tokens: Box<[u32]> = (split(source).iter())
            .map(|token| match self.tokens.get(token) {
                Some(known) => *known,
                None => {
                    let new = self.lists.len() as u32;
                    self.tokens.insert(token.clone(), new);
                    self.lists.push(Vec::new());
                    new
                }
            })
            .collect();
        for token in &tokens {
            let list = &mut self.lists[*token as usize];
            if list.last() != Some(&number) {
                list.push(number);
            }
        }
        let (source, target) = (source.to_owned(), target.to_owned());
        self.entries.push(Entry { source, target, changed, tokens });
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The newest translation of the same text.
    pub fn exact(&self, text: &str) -> Option<Match> {
        let numbers = self.exact.get(&normalized(text))?;
        let newest = numbers.iter().max_by_key(|n| (self.entries[**n as usize].changed, **n))?;
        Some(self.found(*newest, 1.0))
    }

    /// The nearest texts of at least this score (above 0, up to 1), at most `k`
    /// of them, the best first.
    pub fn search(&self, text: &str, threshold: f32, k: usize) -> Vec<Match> {
        let wanted: Vec<u32> = (split(text).iter())
            .map(|token| self.tokens.get(token).copied().unwrap_or(NEW))
            .collect();
        let mut scored: Vec<(f32, u32)> = (self.candidates(&wanted, threshold).into_iter())
            .filter_map(|number| {
                let score = score(&wanted, &self.entries[number as usize].tokens, threshold)?;
                Some((score, number))
            })
            .collect();
        scored.sort_by(|a, b| {
            let newer = |n: u32| (self.entries[n as usize].changed, n);
            b.0.total_cmp(&a.0).then_with(|| newer(b.1).cmp(&newer(a.1)))
        });
        scored.truncate(k);
        let key = normalized(text);
        (scored.into_iter())
            .map(|(score, number)| {
                // The same tokens may differ in what is between them.
                let same = normalized(&self.entries[number as usize].source) == key;
                self.found(number, if score == 1.0 && !same { 0.99 } else { score })
            })
            .collect()
    }

    /// Entries that share one of the rarest tokens and are of a like length.
    fn candidates(&self, wanted: &[u32], threshold: f32) -> Vec<u32> {
        let mut list: Vec<&[u32]> = (wanted.iter())
            .map(|token| self.lists.get(*token as usize).map_or(&[][..], Vec::as_slice))
            .collect();
        list.sort_by_key(|list| list.len());
        // At least so many tokens are shared, so one of the others is.
        let shared = (threshold * wanted.len() as f32 - 1e-4).ceil().max(1.0) as usize;
        let read = (wanted.len() + 1).saturating_sub(shared);
        let (least, most) =
            (threshold * wanted.len() as f32 - 1e-3, wanted.len() as f32 / threshold + 1e-3);
        let mut numbers: Vec<u32> = (list.into_iter().take(read).flatten().copied())
            .filter(|number| {
                let length = self.entries[*number as usize].tokens.len() as f32;
                (least..=most).contains(&length)
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    fn found(&self, number: u32, score: f32) -> Match {
        let Entry { source, target, changed, .. } = &self.entries[number as usize];
        Match { source: source.clone(), target: target.clone(), score, changed: *changed }
    }
}

/// Words in lower case, and marks. Characters of scripts without spaces are
/// tokens of their own, and so is a tag.
fn split(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let length = rest[at..].find('>').map(|end| end + 1).filter(|length| *length <= 10);
        let (before, tag) = match length {
            Some(length) => (&rest[..at], &rest[at..at + length]),
            None => (&rest[..=at], ""),
        };
        plain(before, &mut tokens);
        if !tag.is_empty() {
            tokens.push(tag.to_owned());
        }
        rest = &rest[before.len() + tag.len()..];
    }
    plain(rest, &mut tokens);
    tokens
}

fn plain(text: &str, tokens: &mut Vec<String>) {
    let words = text.split_word_bounds().filter(|word| !word.trim().is_empty());
    tokens.extend(words.map(str::to_lowercase));
}

/// How near two lists are; `None` below the threshold, found out early.
fn score(a: &[u32], b: &[u32], threshold: f32) -> Option<f32> {
    let longer = a.len().max(b.len());
    if longer == 0 {
        return None;
    }
    let allowed = ((1.0 - threshold) * longer as f32 + 1e-4) as usize;
    let edits = edits(a, b, allowed)?;
    Some(1.0 - edits as f32 / longer as f32)
}

/// Levenshtein's distance if it is at most `allowed`.
fn edits(a: &[u32], b: &[u32], allowed: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > allowed {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        let mut best = row[0];
        for (j, y) in b.iter().enumerate() {
            let same = x == y && *x != NEW;
            let change = diagonal + usize::from(!same);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
            best = best.min(row[j + 1]);
        }
        if best > allowed {
            return None;
        }
    }
    row.last().copied().filter(|edits| *edits <= allowed)
}
