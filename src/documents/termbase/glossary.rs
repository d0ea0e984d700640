//! A termbase seen from one language to another.

use std::collections::HashMap;
use std::sync::Arc;

use super::find::{Finder, Hit, Wanted};
use super::words::fold;
use super::{Notice, NoticeKind, Termbase};

/// A term of the source language and what it is to be in the target language.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pair {
    pub source: String,
    /// Any of them will do; the first is to be written.
    pub targets: Vec<String>,
    /// Not to be written for it.
    pub forbidden: Vec<String>,
    pub case_sensitive: bool,
    pub note: Option<String>,
    /// Of the entry in its file, from 1.
    pub line: usize,
}

/// The terms of a pair of languages, ready to be found in texts.
pub struct Glossary {
    source: String,
    pub(super) target: String,
    pairs: Vec<Pair>,
    finder: Finder,
}

/// The glossaries of termbases for all languages that texts may be in: `source`,
/// or without one all that there are.
pub fn glossaries<'t>(
    termbases: impl IntoIterator<Item = &'t Termbase>,
    source: Option<&str>,
    target: &str,
) -> Vec<Arc<Glossary>> {
    let mut all = Termbase::default();
    let termbases = termbases.into_iter();
    all.concepts.extend(termbases.flat_map(|termbase| termbase.concepts.iter().cloned()));
    let languages = source.map_or_else(|| all.languages(), |source| vec![source]);
    (languages.into_iter().filter(|language| *language != target))
        .map(|language| Arc::new(Glossary::new(&all, language, target).0))
        .filter(|glossary| !glossary.is_empty())
        .collect()
}

impl Glossary {
    /// `source` and `target` by their two letters. Entries that have no term
    /// in one of them are left out; of two entries with the same source the
    /// terms of both will do, and a notice says so.
    pub fn new(termbase: &Termbase, source: &str, target: &str) -> (Self, Vec<Notice>) {
        let mut pairs: Vec<Pair> = Vec::new();
        let mut by_source: HashMap<String, usize> = HashMap::new();
        let mut notices = Vec::new();
        for concept in &termbase.concepts {
            let of = |language: &str, forbidden: bool| {
                (concept.terms.iter())
                    .filter(|t| t.language == language && t.forbidden == forbidden)
                    .map(|t| t.text.clone())
                    .collect::<Vec<_>>()
            };
            let (targets, forbidden) = (of(target, false), of(target, true));
            if targets.is_empty() && forbidden.is_empty() {
                continue;
            }
            for term in concept.terms.iter().filter(|term| term.language == source) {
                let pair = Pair {
                    source: term.text.clone(),
                    targets: targets.clone(),
                    forbidden: forbidden.clone(),
                    case_sensitive: term.case_sensitive,
                    note: concept.note.clone(),
                    line: concept.line,
                };
                let key = match term.case_sensitive {
                    true => term.text.clone(),
                    false => fold(&term.text, source),
                };
                match by_source.get(&key) {
                    None => {
                        by_source.insert(key, pairs.len());
                        pairs.push(pair);
                    }
                    Some(&known) => notices.extend(merge(&mut pairs[known], pair)),
                }
            }
        }
        let wanted = pairs
            .iter()
            .map(|pair| Wanted { text: &pair.source, case_sensitive: pair.case_sensitive });
        let finder = Finder::new(source, wanted);
        (Self { source: source.to_owned(), target: target.to_owned(), pairs, finder }, notices)
    }

    /// The source language, by its two letters.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The terms of a text; [`Hit::term`] is the number of a pair.
    pub fn find(&self, text: &str) -> Vec<Hit> {
        self.finder.find(text)
    }

    /// The pairs whose terms a text has, each once, by first place.
    pub fn pairs_in(&self, text: &str) -> Vec<&Pair> {
        let mut seen = Vec::new();
        for hit in self.find(text) {
            if !seen.contains(&hit.term) {
                seen.push(hit.term);
            }
        }
        seen.into_iter().map(|number| &self.pairs[number]).collect()
    }
}

/// Adds a pair to an earlier one with the same source.
fn merge(known: &mut Pair, new: Pair) -> Option<Notice> {
    let added: Vec<String> =
        new.targets.into_iter().filter(|target| !known.targets.contains(target)).collect();
    let notice = (!added.is_empty() && !known.targets.is_empty()).then(|| Notice {
        line: new.line,
        kind: NoticeKind::Conflict,
        message: format!(
            "{:?} is {:?} here and {:?} in line {}; the earlier is written, both are taken as right",
            new.source, added[0], known.targets[0], known.line
        ),
    });
    known.targets.extend(added);
    for forbidden in new.forbidden {
        if !known.forbidden.contains(&forbidden) {
            known.forbidden.push(forbidden);
        }
    }
    known.note = known.note.take().or(new.note);
    notice
}
