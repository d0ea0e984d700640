//! Scores, of a segment and of a document.

use serde::{Deserialize, Serialize};

use super::{BackTranslation, Checked, Finding, Kind, Severity, check};
use crate::documents::tagged::Tagged;
use crate::documents::termbase::TermUse;

/// What is said with every score.
pub const NOTE: &str = "Heuristics: they find slips such as lost numbers, not wrong meanings.";

/// What was found in one segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentReport {
    /// The worst first.
    pub findings: Vec<Finding>,
    pub terms: Vec<TermUse>,
    /// From 0 to 100: 100 less 5 for each minor finding, 25 for each major and
    /// 60 for each critical one, and up to 25 for embeddings that are far apart.
    pub score: f32,
    /// Cosine of the embeddings, if there is a model for them.
    pub similarity: Option<f32>,
    /// Characters of the source, the segment's weight in a document.
    pub weight: usize,
    /// Where it was asked for.
    #[serde(default)]
    pub back: Option<BackTranslation>,
}

impl SegmentReport {
    pub fn new(checked: Checked<'_>) -> Self {
        let (findings, terms) = check(checked);
        let weight = checked.source.plain().chars().count();
        let similarity = checked.similarity;
        let apart = similarity.map_or(0.0, super::similarity::cost);
        let lost: f32 = findings.iter().map(Finding::cost).sum();
        let score = (100.0 - lost - apart).max(0.0);
        Self { score, findings, terms, similarity, weight, back: None }
    }
}

impl SegmentReport {
    /// Of a segment that stays as it is.
    pub fn clean(source: &Tagged) -> Self {
        let weight = source.plain().chars().count();
        Self {
            findings: Vec::new(),
            terms: Vec::new(),
            score: 100.0,
            similarity: None,
            weight,
            back: None,
        }
    }

    /// Nothing was found that is more than minor.
    pub fn acceptable(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Minor)
    }

    /// Adds a finding, and takes it from the score.
    pub fn add(&mut self, finding: Finding) {
        self.score = (self.score - finding.cost()).max(0.0);
        self.findings.push(finding);
        self.findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.kind));
    }

    /// Says, once, that the document keeps the source of this segment.
    pub fn keep(&mut self, why: &str) {
        let why = format!("the document keeps the source: {why}");
        let finding = Finding::new(Kind::Untranslated, Severity::Critical, why);
        if !self.findings.contains(&finding) {
            self.add(finding);
        }
    }

    /// Adds what the embeddings say.
    pub fn add_similarity(&mut self, similarity: f32) {
        self.similarity = Some(similarity);
        self.score = (self.score - super::similarity::cost(similarity)).max(0.0);
        let mut findings = Vec::new();
        super::similarity::check(Some(similarity), &mut findings);
        findings.into_iter().for_each(|finding| self.add(finding));
    }
}

/// What was found in a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The mean of the segments' scores, by their characters.
    pub overall_score: f32,
    /// Numbers of the segments worth a look, the worst first.
    pub look_at: Vec<usize>,
}

/// The report of a document from those of its segments.
pub fn overall(segments: &[SegmentReport]) -> Report {
    let weight: usize = segments.iter().map(|segment| segment.weight).sum();
    let sum: f32 = segments.iter().map(|segment| segment.score * segment.weight as f32).sum();
    let overall_score = if weight == 0 { 100.0 } else { sum / weight as f32 };
    let mut look_at: Vec<usize> =
        (0..segments.len()).filter(|at| !segments[*at].findings.is_empty()).collect();
    // Of equal scores the least alike, of those the longest.
    look_at.sort_by(|a, b| {
        let (a, b) = (&segments[*a], &segments[*b]);
        let alike = |s: &super::SegmentReport| s.similarity.unwrap_or(1.0);
        (a.score.total_cmp(&b.score))
            .then(alike(a).total_cmp(&alike(b)))
            .then(b.weight.cmp(&a.weight))
    });
    Report { overall_score, look_at }
}
