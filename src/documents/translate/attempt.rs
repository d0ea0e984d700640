//! What is wrong with an answer, and what a second one must have.

use std::sync::Arc;

use super::prompt;
use crate::documents::quality::{Checked, Finding, Kind, SegmentReport, Severity};
use crate::documents::tagged::{Piece, TagFault, Tagged, Unmarked, repair};
use crate::documents::termbase::{Glossary, Outcome, TermUse};
use crate::engine::{Engine, FinishReason, Grammar, GrammarSpec};

/// Why an answer is not taken as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    Terms,
    Tags,
    /// Nothing, the source, another language, or a text without an end.
    Unusable,
}

/// An answer and what was found in it.
pub struct Attempt {
    /// As the model wrote it, trimmed.
    pub written: String,
    pub target: Tagged,
    pub report: SegmentReport,
    pub faults: Vec<TagFault>,
}

/// What an answer is held to.
#[derive(Clone, Copy)]
pub struct Against<'a> {
    pub source: &'a Tagged,
    pub source_language: &'a str,
    pub target_language: &'a str,
    pub glossary: Option<&'a Glossary>,
    /// The model knows nothing of tags, so that missing ones are no fault.
    pub blind: bool,
}

impl Attempt {
    pub fn new(answer: &str, reason: FinishReason, against: Against<'_>) -> Self {
        let written = tidy(answer, &against.source.plain());
        let (target, faults, guessed) = if against.blind {
            let (target, guessed) = Unmarked::of(against.source).back(&written);
            (target, Vec::new(), guessed)
        } else {
            let (target, faults) = repair(&written, against.source);
            (spaced(target, against.source), faults, Vec::new())
        };
        let mut report = SegmentReport::new(Checked {
            source: against.source,
            target: &target,
            source_language: against.source_language,
            target_language: against.target_language,
            glossary: against.glossary,
            faults: &faults,
            similarity: None,
        });
        if !guessed.is_empty() && !target.is_blank() {
            report.add(guess(&guessed));
        }
        let cut = matches!(reason, FinishReason::Length | FinishReason::Repetition);
        if cut {
            let why = match reason {
                FinishReason::Repetition => "the model repeated itself and was stopped",
                _ => "the model did not come to an end and was stopped",
            };
            report.add(Finding::new(Kind::Repetition, Severity::Critical, why));
        }
        Self { written, target, report, faults }
    }

    /// The worst of what a second try may mend.
    pub fn problem(&self) -> Option<Problem> {
        let unusable = |finding: &Finding| {
            finding.severity == Severity::Critical && finding.kind != Kind::Tags
        };
        if self.report.findings.iter().any(unusable) {
            return Some(Problem::Unusable);
        }
        if !self.faults.is_empty() {
            return Some(Problem::Tags);
        }
        self.missed().next().map(|_| Problem::Terms)
    }

    /// Terms that are not as they should be.
    pub fn missed(&self) -> impl Iterator<Item = &TermUse> {
        self.report.terms.iter().filter(|used| !used.complies())
    }

    /// What is said to the model about it.
    pub fn complaint(&self, target: &str) -> Option<String> {
        Some(match self.problem()? {
            Problem::Unusable => prompt::retry("again", &[("target", target)]),
            Problem::Tags => prompt::retry("tags", &[]),
            Problem::Terms => {
                let terms: Vec<String> = (self.missed())
                    .map(|used| match (&used.outcome, used.expected.first()) {
                        (_, Some(expected)) => format!("{} = {expected}", used.source),
                        (Outcome::Forbidden { term, .. }, None) => {
                            format!("{}: not {term}", used.source)
                        }
                        (_, None) => used.source.clone(),
                    })
                    .collect();
                prompt::retry("terms", &[("terms", &terms.join("; "))])
            }
        })
    }

    /// Fewer is better: unusable, tags, terms, then the score.
    fn rank(&self) -> (bool, usize, usize, i32) {
        let unusable = self.problem() == Some(Problem::Unusable);
        (unusable, self.faults.len(), self.missed().count(), -(self.report.score * 10.0) as i32)
    }

    /// The better of two, of equals the first.
    pub fn better(self, other: Self) -> Self {
        match other.rank() < self.rank() {
            true => other,
            false => self,
        }
    }
}

/// What is said of tags that a model does not see.
fn guess(tags: &[u32]) -> Finding {
    let numbers: Vec<String> = tags.iter().map(u32::to_string).collect();
    let (tags, stand) = if numbers.len() == 1 { ("tag", "stands") } else { ("tags", "stand") };
    let numbers = numbers.join(", ");
    let why = format!("the model sees no tags; {tags} {numbers} {stand} where it seemed right");
    Finding::new(Kind::Tags, Severity::Minor, why)
}

/// Without thoughts, and without quotation marks that the source does not have.
pub(super) fn tidy(answer: &str, source: &str) -> String {
    let answer = match answer.split_once("</think>") {
        Some((_, rest)) => rest,
        None => answer,
    };
    let mut text = answer.trim();
    for (open, close) in [('"', '"'), ('“', '”'), ('«', '»'), ('`', '`')] {
        let inner = text.strip_prefix(open).and_then(|text| text.strip_suffix(close));
        let own = source.trim_start().starts_with(['"', '“', '«', '„', '`', '「']);
        if let Some(inner) = inner.filter(|inner| !own && !inner.contains([open, close])) {
            text = inner.trim();
        }
    }
    text.to_owned()
}

/// With the white space that the source begins and ends with.
fn spaced(target: Tagged, source: &Tagged) -> Tagged {
    let plain = source.plain();
    let begin = &plain[..plain.len() - plain.trim_start().len()];
    let end = match plain.trim().is_empty() {
        true => "",
        false => &plain[plain.trim_end().len()..],
    };
    if begin.is_empty() && end.is_empty() {
        return target;
    }
    let mut pieces = vec![Piece::Words(begin.to_owned())];
    pieces.extend(target.clone().into_pieces());
    pieces.push(Piece::Words(end.to_owned()));
    Tagged::new(pieces).unwrap_or(target)
}

/// A grammar of texts that have all missed terms, and the source's tags in its
/// order.
pub async fn grammar(
    engine: &Engine,
    attempt: &Attempt,
    source: &Tagged,
    blind: bool,
) -> Option<Arc<Grammar>> {
    // A source of one line has a translation of one line: where that ends the
    // model is stopped, with the term or without it.
    let rest = if source.plain().trim().contains('\n') { "(.|\\n)*" } else { ".*" };
    let mut parts: Vec<String> = (attempt.missed())
        .filter(|used| !used.expected.is_empty())
        .map(|used| {
            let terms: Vec<String> = used.expected.iter().map(|term| either_case(term)).collect();
            format!("/{rest}({}){rest}/", terms.join("|"))
        })
        .collect();
    if !attempt.faults.is_empty() && !blind {
        let piece = |piece: &Piece| match piece {
            Piece::Words(_) => "[^<]+".to_owned(),
            Piece::Open(number) => format!("<{number}>"),
            Piece::Close(number) => format!("<\\/{number}>"),
            Piece::Empty(number) => format!("<{number}\\/>"),
        };
        let tags: String = source.pieces().iter().map(piece).collect();
        parts.push(format!("/[^<]*{tags}[^<]*/"));
    }
    if parts.is_empty() {
        return None;
    }
    let lark = format!("start: TEXT\nTEXT: {}", parts.join(" & "));
    engine.compile_grammar(GrammarSpec::Lark(lark)).await.ok()
}

/// A pattern for a term, at the beginning of a sentence too.
fn either_case(term: &str) -> String {
    let mut chars = term.chars();
    let mut pattern = String::new();
    if let Some(first) = chars.next() {
        let upper: String = first.to_uppercase().collect();
        let lower: String = first.to_lowercase().collect();
        match upper != lower && first.is_lowercase() {
            true => pattern = format!("({}|{})", escape(&lower), escape(&upper)),
            false => pattern = escape(&first.to_string()),
        }
    }
    pattern + &escape(chars.as_str())
}

fn escape(text: &str) -> String {
    regex::escape(text).replace('/', "\\/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_tidied() {
        let check = |answer: &str, source: &str, expected: &str| {
            assert_eq!(tidy(answer, source), expected, "{answer}");
        };
        check(" The law.\n", "La loi.", "The law.");
        check("\"The law.\"", "La loi.", "The law.");
        check("\"The law.\"", "« La loi. »", "\"The law.\"");
        check("\"The\" and \"law\"", "La loi.", "\"The\" and \"law\"");
        check("<think>\nfoo\n</think>\n\nThe law.", "La loi.", "The law.");
    }

    #[test]
    fn the_better_answer_is_kept() {
        let source = Tagged::parse("La <1>loi</1> est la loi de tous.").unwrap();
        let against = Against {
            source: &source,
            source_language: "fr",
            target_language: "en",
            glossary: None,
            blind: false,
        };
        let check = |first: &str, second: &str, expected: &str, problem: Option<Problem>| {
            let attempt = |text| Attempt::new(text, FinishReason::Stop, against);
            let kept = attempt(first).better(attempt(second));
            assert_eq!(kept.target.marked(), expected);
            assert_eq!(kept.problem(), problem);
        };
        let good = "The <1>law</1> is the law of all.";
        check(good, "", good, None);
        check("", good, good, None);
        check("The law is the law of all.", good, good, None);
        check(good, "The <1>law</1> is everybody's law.", good, None);
        check(&source.marked(), "", &source.marked(), Some(Problem::Unusable));
        let cut = Attempt::new("The <1>law</1> is the", FinishReason::Length, against);
        assert_eq!(cut.problem(), Some(Problem::Unusable));
        let spaced = Tagged::from(" La loi. ");
        let against = Against { source: &spaced, ..against };
        let attempt = Attempt::new("The law.", FinishReason::Stop, against);
        assert_eq!(attempt.target.plain(), " The law. ");
    }
}
