//! Passages by their words: BM25 (Robertson and Zaragoza 2009) over words of all
//! languages together.

use std::collections::HashMap;
use std::ops::Range;

use crate::documents::quality::digits::ascii;
use crate::documents::termbase::{bare, unspaced, words};

/// How soon more of the same word says no more.
const K1: f32 = 1.2;
/// How much longer passages are held to have more words anyway.
const B: f32 = 0.75;

/// Where words stand.
#[derive(Debug, Default)]
pub struct Lexicon {
    /// Passages of each word, rising, and how often it stands in them.
    postings: HashMap<Box<str>, Vec<(u32, u32)>>,
    /// Words of each passage.
    lengths: Vec<u32>,
    words: u64,
    /// Bytes that the words take, each once, and places of all of them.
    spelled: usize,
    places: usize,
}

/// What a query's words say of a passage.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Match {
    pub bm25: f32,
    /// How much of the query the passage has, from 0 to 1, where rare words are
    /// more of it than frequent ones.
    pub share: f32,
}

impl Lexicon {
    /// Adds the next passage.
    pub fn add(&mut self, text: &str) {
        let passage = u32::try_from(self.lengths.len()).unwrap_or(u32::MAX);
        let found = terms(text);
        self.lengths.push(u32::try_from(found.len()).unwrap_or(u32::MAX));
        self.words += found.len() as u64;
        for term in found {
            let places = match self.postings.get_mut(&*term) {
                Some(places) => places,
                None => {
                    self.spelled += spelled(&term);
                    self.postings.entry(term.into()).or_default()
                }
            };
            match places.last_mut() {
                Some((last, count)) if *last == passage => *count += 1,
                _ => {
                    self.places += 1;
                    places.push((passage, 1));
                }
            }
        }
    }

    /// Takes passages out; those behind them move up.
    pub fn remove(&mut self, passages: Range<usize>) {
        let (start, end) = (passages.start as u32, passages.end as u32);
        let (spelled_before, mut gone) = (&mut self.spelled, 0);
        self.postings.retain(|word, places| {
            let first = places.partition_point(|(passage, _)| *passage < start);
            let behind = places.partition_point(|(passage, _)| *passage < end);
            places[behind..].iter_mut().for_each(|(passage, _)| *passage -= end - start);
            places.drain(first..behind);
            gone += behind - first;
            if places.is_empty() {
                *spelled_before -= spelled(word);
            }
            !places.is_empty()
        });
        self.places -= gone;
        let words: u64 = self.lengths.drain(passages).map(u64::from).sum();
        self.words -= words;
    }

    /// What the words of a query say of each passage.
    pub fn matches(&self, query: &str) -> Vec<Match> {
        let mut found = vec![Match::default(); self.lengths.len()];
        let mut asked = terms(query);
        asked.sort_unstable();
        asked.dedup();
        let mut all = 0.0;
        let average = self.words as f32 / self.lengths.len().max(1) as f32;
        for term in asked {
            let places = self.postings.get(&*term).map_or(&[][..], Vec::as_slice);
            let weight = rarity(self.lengths.len(), places.len());
            all += weight;
            for (passage, count) in places {
                let Some(found) = found.get_mut(*passage as usize) else { continue };
                let (count, length) = (*count as f32, self.lengths[*passage as usize] as f32);
                let often = count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length / average));
                found.bm25 += weight * often;
                found.share += weight;
            }
        }
        found.iter_mut().for_each(|found| found.share /= f32::max(all, f32::MIN_POSITIVE));
        found
    }

    /// About how much memory it takes, in bytes.
    pub fn size(&self) -> usize {
        self.spelled + 8 * self.places + 4 * self.lengths.len()
    }
}

/// About how much memory a word takes, in bytes, without its places.
fn spelled(word: &str) -> usize {
    64 + word.len()
}

/// How rare a word is that so many passages of all have.
fn rarity(all: usize, having: usize) -> f32 {
    (1.0 + (all as f32 - having as f32 + 0.5) / (having as f32 + 0.5)).ln()
}

/// The words of a text as they are compared: without case and accents, digits in
/// ASCII; of scripts without spaces each two characters that follow each other.
fn terms(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut run, mut end) = (String::new(), 0);
    for word in words(text, "") {
        let plain = word.folded.is_ascii();
        let spaced = plain || !unspaced(&word.folded);
        if spaced || word.span.start != end {
            pairs(&std::mem::take(&mut run), &mut found);
        }
        if plain {
            found.push(word.folded);
            continue;
        }
        if spaced {
            found.push(bare(&ascii(&word.folded)).replace('ı', "i"));
            continue;
        }
        run.push_str(&word.folded);
        end = word.span.end;
    }
    pairs(&run, &mut found);
    found
}

fn pairs(run: &str, found: &mut Vec<String>) {
    let characters: Vec<char> = run.chars().collect();
    match characters.len() {
        0 => {}
        1 => found.push(run.to_owned()),
        _ => found.extend(characters.windows(2).map(|pair| pair.iter().collect::<String>())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_all_scripts() {
        let check = |text: &str, expected: &[&str]| assert_eq!(terms(text), expected, "{text}");
        check("Côte d’Ivoire", &["cote", "d", "ivoire"]);
        check(
            "A/RES/70/1 of 25 September 2015",
            &["a", "res", "70", "1", "of", "25", "september", "2015"],
        );
        check("İstanbul IŞIK ışık", &["istanbul", "isik", "isik"]);
        check("المادة ١٢", &["المادة", "12"]);
        check("人人平等 水", &["人人", "人平", "平等", "水"]);
        check("データ2030", &["デー", "ータ", "2030"]);
        check("", &[]);
    }

    /// By hand: three passages of 3, 4 and 2 words, 3 on average.
    #[test]
    fn scores_are_those_of_the_formula() {
        let mut lexicon = Lexicon::default();
        for text in ["water water law", "law of the sea", "fresh air"] {
            lexicon.add(text);
        }
        let found = lexicon.matches("Water, law: treaty");
        // water is in one passage of three, law in two, treaty in none:
        // ln(1 + 2.5/1.5), ln(1 + 1.5/2.5), ln(1 + 3.5/0.5).
        let (water, law, treaty) = (0.980_829_3, 0.470_003_63, 2.079_441_5);
        let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-5, "{a} is not {b}");
        // Twice in an average passage: 2 * 2.2 / 3.2; once: 1.
        near(found[0].bm25, water * 1.375 + law);
        // Once in one of 4 words: 2.2 / (1 + 1.2 * (0.25 + 0.75 * 4/3)).
        near(found[1].bm25, law * 0.88);
        assert_eq!(found[2], Match::default());
        let all = water + law + treaty;
        near(found[0].share, (water + law) / all);
        near(found[1].share, law / all);
        assert_eq!(lexicon.matches("…"), vec![Match::default(); 3]);
        assert!(Lexicon::default().matches("water").is_empty());
    }
}
