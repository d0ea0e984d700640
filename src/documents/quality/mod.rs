//! What can be said of a translation without understanding it: numbers, dates,
//! references, names and links that are not in both texts, lengths that do not
//! go together, texts that were not translated or repeat themselves, tags,
//! terms, language.
//!
//! All of these are heuristics. They find slips, not wrong meanings; a text
//! without findings may be wrong, and one with findings right.

mod back;
mod copies;
mod dates;
pub(super) mod digits;
mod lengths;
mod names;
mod numbers;
mod references;
mod report;
mod similarity;
mod spelled;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::tagged::{TagFault, Tagged};
use super::termbase::{Glossary, Outcome, TermUse};

pub use back::{BackTranslation, Measure, chrf};
pub use lengths::expected as expected_length;
pub use report::{NOTE, Report, SegmentReport, overall};
pub use similarity::LOW as LOW_SIMILARITY;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    Minor,
    Major,
    Critical,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Critical => "critical",
        }
    }

    /// What a finding takes from a segment's score.
    pub fn cost(self) -> f32 {
        match self {
            Self::Minor => 5.0,
            Self::Major => 25.0,
            Self::Critical => 60.0,
        }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    Empty,
    Untranslated,
    Repetition,
    Length,
    Language,
    Number,
    /// Decimals or thousands are not set off as in the target's language.
    Separator,
    Date,
    Reference,
    Link,
    Name,
    Tags,
    Term,
    ForbiddenTerm,
    Similarity,
}

impl Kind {
    /// Its class, after MQM.
    pub fn class(self) -> &'static str {
        match self {
            Self::Empty | Self::Untranslated | Self::Length | Self::Similarity => "accuracy",
            Self::Number | Self::Date | Self::Reference | Self::Link | Self::Name => "accuracy",
            Self::Repetition | Self::Language => "fluency",
            Self::Separator => "locale_convention",
            Self::Tags => "markup",
            Self::Term | Self::ForbiddenTerm => "terminology",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Untranslated => "untranslated",
            Self::Repetition => "repetition",
            Self::Length => "length",
            Self::Language => "language",
            Self::Number => "number",
            Self::Separator => "number_format",
            Self::Date => "date",
            Self::Reference => "reference",
            Self::Link => "link",
            Self::Name => "name",
            Self::Tags => "tags",
            Self::Term => "missed_term",
            Self::ForbiddenTerm => "forbidden_term",
            Self::Similarity => "similarity",
        }
    }
}

/// Something worth a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: Kind,
    pub severity: Severity,
    /// A sentence.
    pub explanation: String,
    /// In bytes of the plain texts.
    pub source_spans: Vec<Range<usize>>,
    pub target_spans: Vec<Range<usize>>,
}

impl Finding {
    /// What it takes from a segment's score. Of a similarity the score knows more
    /// than that it is low.
    fn cost(&self) -> f32 {
        match self.kind {
            Kind::Similarity => 0.0,
            _ => self.severity.cost(),
        }
    }

    pub(super) fn new(kind: Kind, severity: Severity, explanation: impl Into<String>) -> Self {
        let (source_spans, target_spans) = (Vec::new(), Vec::new());
        Self { kind, severity, explanation: explanation.into(), source_spans, target_spans }
    }

    /// The explanation for texts that are no source and translation.
    pub fn said_of(&self, source: &str, target: &str) -> String {
        self.explanation.replace("the source", source).replace("the translation", target)
    }

    fn in_source(mut self, span: Range<usize>) -> Self {
        self.source_spans.push(span);
        self
    }

    fn in_target(mut self, span: Range<usize>) -> Self {
        self.target_spans.push(span);
        self
    }
}

/// A text and its translation.
#[derive(Clone, Copy)]
pub struct Checked<'a> {
    pub source: &'a Tagged,
    pub target: &'a Tagged,
    /// Two letters.
    pub source_language: &'a str,
    pub target_language: &'a str,
    pub glossary: Option<&'a Glossary>,
    /// What was wrong with the target's tags before they were repaired.
    pub faults: &'a [TagFault],
    /// Cosine of the two texts' embeddings.
    pub similarity: Option<f32>,
}

/// All findings, the worst first, and what became of each term.
pub fn check(checked: Checked<'_>) -> (Vec<Finding>, Vec<TermUse>) {
    let (source, target) = (checked.source.plain(), checked.target.plain());
    let texts = Texts {
        source: &source,
        target: &target,
        source_language: checked.source_language,
        target_language: checked.target_language,
    };
    if !source.trim().is_empty() && target.trim().is_empty() {
        let finding = Finding::new(Kind::Empty, Severity::Critical, "there is no translation");
        return (vec![finding.in_source(0..source.len())], Vec::new());
    }
    let mut findings = Vec::new();
    let copied = copies::check(texts, &mut findings);
    let links = references::links(texts, &mut findings);
    let references = references::check(texts, &links, &mut findings);
    let dates = dates::check(texts, &references, &mut findings);
    numbers::check(texts, &dates, &mut findings);
    if !copied {
        lengths::check(texts, &mut findings);
        names::check(texts, &dates, &mut findings);
        similarity::check(checked.similarity, &mut findings);
    }
    let faults = checked.target.faults(checked.source);
    for (faults, severity, after) in [
        (&faults[..], Severity::Critical, ""),
        (checked.faults, Severity::Minor, "; it was put back where it seemed right"),
    ] {
        let finding =
            |fault: &TagFault| Finding::new(Kind::Tags, severity, format!("{fault}{after}"));
        findings.extend(faults.iter().map(finding));
    }
    let terms = checked.glossary.map_or_else(Vec::new, |g| g.check(&source, &target));
    findings.extend(terms.iter().filter_map(of_term));
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.kind));
    (findings, terms)
}

fn of_term(used: &TermUse) -> Option<Finding> {
    let finding = |kind, severity, spans: &[Range<usize>]| Finding {
        kind,
        severity,
        explanation: used.why(),
        source_spans: used.source_spans.clone(),
        target_spans: spans.to_vec(),
    };
    match &used.outcome {
        Outcome::Used(_) => None,
        Outcome::Fewer(spans) => Some(finding(Kind::Term, Severity::Minor, spans)),
        Outcome::Missed => Some(finding(Kind::Term, Severity::Major, &[])),
        Outcome::Forbidden { spans, .. } => {
            Some(finding(Kind::ForbiddenTerm, Severity::Major, spans))
        }
    }
}

/// Plain texts with their languages.
#[derive(Debug, Clone, Copy)]
struct Texts<'a> {
    source: &'a str,
    target: &'a str,
    source_language: &'a str,
    target_language: &'a str,
}

/// Places of both texts that a check has dealt with, so that others leave them
/// alone.
#[derive(Debug, Clone, Default)]
struct Done {
    source: Vec<Range<usize>>,
    target: Vec<Range<usize>>,
}

fn overlaps(spans: &[Range<usize>], span: &Range<usize>) -> bool {
    spans.iter().any(|other| span.start < other.end && other.start < span.end)
}
