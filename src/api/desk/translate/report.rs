//! Segments, and what was found in them, as clients see them.

use std::ops::Range;

use crate::api::wire::desk::{
    BackTranslationBody, Place, Quality, QualityError, Segment, SegmentQuality, Span, TermReport,
};
use crate::documents::quality::{NOTE, Report, overall};
use crate::documents::tagged::Tagged;
use crate::documents::termbase::{Outcome, TermUse};
use crate::documents::translate::{Origin, Translated};

/// A segment as clients see it.
pub fn segment(source: &Tagged, translated: &Translated, quality: bool) -> Segment {
    let (plain, target) = (source.plain(), translated.target.plain());
    let report = &translated.report;
    let error = |finding: &crate::documents::quality::Finding| QualityError {
        kind: finding.kind.class(),
        sub_type: finding.kind.name(),
        severity: finding.severity.name(),
        explanation: finding.explanation.clone(),
        source_spans: spans(&plain, &finding.source_spans),
        target_spans: spans(&target, &finding.target_spans),
    };
    Segment {
        source_language: translated.source_language.code.clone(),
        confidence: translated.source_language.confidence,
        origin: match translated.origin {
            Origin::Source => "source",
            Origin::Memory => "memory",
            Origin::Model => "model",
        },
        memory_score: translated.fuzzy,
        attempts: translated.attempts,
        terms: report.terms.iter().map(|used| term(used, &plain, &target)).collect(),
        quality: quality.then(|| SegmentQuality {
            overall_score: report.score,
            errors: report.findings.iter().map(error).collect(),
            similarity: report.similarity,
            back_translation: report.back.as_ref().map(|back| BackTranslationBody {
                text: back.text.clone(),
                similarity: back.similarity,
                measure: back.measure.name(),
            }),
        }),
        source: plain.clone(),
        text: target.clone(),
    }
}

fn term(used: &TermUse, source: &str, target: &str) -> TermReport {
    let (status, found): (_, &[Range<usize>]) = match &used.outcome {
        Outcome::Used(found) => ("used", found),
        Outcome::Fewer(found) => ("used_less_often", found),
        Outcome::Missed => ("missed", &[]),
        Outcome::Forbidden { spans, .. } => ("forbidden", spans),
    };
    TermReport {
        source: used.source.clone(),
        expected: used.expected.clone(),
        status,
        explanation: used.why(),
        source_spans: spans(source, &used.source_spans),
        target_spans: spans(target, found),
        note: used.note.clone(),
    }
}

/// From bytes to characters.
fn spans(text: &str, spans: &[Range<usize>]) -> Vec<Span> {
    let count = |end: usize| text.get(..end).map_or(0, |before| before.chars().count());
    spans.iter().map(|span| Span { start: count(span.start), end: count(span.end) }).collect()
}

/// The report on all texts.
pub fn document(done: &[Vec<Translated>]) -> Quality {
    let places: Vec<(usize, usize)> = (done.iter().enumerate())
        .flat_map(|(text, segments)| (0..segments.len()).map(move |segment| (text, segment)))
        .collect();
    let reports: Vec<_> = done.iter().flatten().map(|t| t.report.clone()).collect();
    quality(&overall(&reports), |at| {
        let (text, segment) = places[at];
        Place { text, segment, score: reports[at].score }
    })
}

/// A report as clients see it; `place` is where the segment of a number stands.
pub fn quality(report: &Report, place: impl FnMut(usize) -> Place) -> Quality {
    Quality {
        overall_score: report.overall_score,
        note: NOTE,
        look_at: report.look_at.iter().copied().map(place).collect(),
    }
}
