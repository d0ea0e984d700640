//! Whether a translation uses the terms it is to use.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::find::{Finder, Wanted};
use super::glossary::{Glossary, Pair};

/// What became of a term of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermUse {
    pub source: String,
    /// Any of them would do.
    pub expected: Vec<String>,
    /// Where it stands in the source, in bytes.
    pub source_spans: Vec<Range<usize>>,
    pub outcome: Outcome,
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Written at these places of the target, in bytes.
    Used(Vec<Range<usize>>),
    /// Written less often than it stands in the source; a pronoun may stand for
    /// it.
    Fewer(Vec<Range<usize>>),
    Missed,
    /// A term that is not to be written was.
    Forbidden {
        term: String,
        spans: Vec<Range<usize>>,
    },
}

impl TermUse {
    /// The term was written, and none that is forbidden.
    pub fn complies(&self) -> bool {
        matches!(self.outcome, Outcome::Used(_) | Outcome::Fewer(_))
    }

    /// What happened, in a sentence.
    pub fn why(&self) -> String {
        let expected: Vec<String> = self.expected.iter().map(|term| format!("{term:?}")).collect();
        let expected = expected.join(" or ");
        let source = &self.source;
        match &self.outcome {
            Outcome::Used(_) => format!("{source:?} is {expected}"),
            Outcome::Fewer(spans) => format!(
                "{source:?} stands {} times in the source, {expected} {} times in the translation",
                self.source_spans.len(),
                spans.len()
            ),
            Outcome::Missed => {
                format!("{source:?} is to be {expected}, which was not found")
            }
            Outcome::Forbidden { term, .. } => {
                format!("{source:?} is not to be {term:?}")
            }
        }
    }
}

impl Glossary {
    /// Every term of `source`, and what became of it in `target`.
    pub fn check(&self, source: &str, target: &str) -> Vec<TermUse> {
        let hits = self.find(source);
        let mut numbers: Vec<usize> = Vec::new();
        for hit in &hits {
            if !numbers.contains(&hit.term) {
                numbers.push(hit.term);
            }
        }
        let pairs: Vec<&Pair> = numbers.iter().map(|number| &self.pairs()[*number]).collect();
        // All at once, so that a short term is not found inside of a long one.
        let wanted: Vec<(usize, bool, &str)> = (pairs.iter().enumerate())
            .flat_map(|(at, pair)| {
                let targets = pair.targets.iter().map(move |text| (at, false, text.as_str()));
                targets.chain(pair.forbidden.iter().map(move |text| (at, true, text.as_str())))
            })
            .collect();
        let finder = Finder::new(
            &self.target,
            wanted
                .iter()
                .map(|(at, _, text)| Wanted { text, case_sensitive: pairs[*at].case_sensitive }),
        );
        let found = finder.find(target);
        let spans_of = |text: &str| -> Vec<Range<usize>> {
            // Two sources may share a target.
            let same = |hit: &&super::find::Hit| wanted[hit.term].2 == text;
            found.iter().filter(same).map(|hit| hit.span.clone()).collect()
        };
        (numbers.iter().zip(&pairs))
            .map(|(number, pair)| {
                let source_spans: Vec<_> =
                    hits.iter().filter(|hit| hit.term == *number).map(|h| h.span.clone()).collect();
                let mut used: Vec<_> = pair.targets.iter().flat_map(|t| spans_of(t)).collect();
                used.sort_by_key(|span| span.start);
                let forbidden = (pair.forbidden.iter())
                    .map(|term| (term, spans_of(term)))
                    .find(|(_, spans)| !spans.is_empty());
                let outcome = match forbidden {
                    Some((term, spans)) => Outcome::Forbidden { term: term.clone(), spans },
                    // Only forbidden terms are known, and none was written.
                    None if pair.targets.is_empty() => Outcome::Used(used),
                    None if used.is_empty() => Outcome::Missed,
                    None if used.len() < source_spans.len() => Outcome::Fewer(used),
                    None => Outcome::Used(used),
                };
                TermUse {
                    source: pair.source.clone(),
                    expected: pair.targets.clone(),
                    source_spans,
                    outcome,
                    note: pair.note.clone(),
                }
            })
            .collect()
    }
}
