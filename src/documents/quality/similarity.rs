//! Whether the embeddings of two texts are near.

use super::{Finding, Kind, Severity};

/// Cosine below which two texts seem to say other things, for embedding models
/// of the E5 family, whose cosines of unrelated texts are about 0.75.
pub const LOW: f32 = 0.80;

/// Cosine from which on a translation is as near to its source as good ones are.
const HIGH: f32 = 0.95;

/// What a similarity takes from a segment's score: nothing from [`HIGH`] on, and
/// as much as a major finding from [`LOW`] down.
pub fn cost(similarity: f32) -> f32 {
    Severity::Major.cost() * ((HIGH - similarity) / (HIGH - LOW)).clamp(0.0, 1.0)
}

pub fn check(similarity: Option<f32>, findings: &mut Vec<Finding>) {
    let Some(similarity) = similarity.filter(|similarity| *similarity < LOW) else { return };
    let why = format!("the embeddings of the two texts are far apart (cosine {similarity:.2})");
    findings.push(Finding::new(Kind::Similarity, Severity::Major, why));
}
