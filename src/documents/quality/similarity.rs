//! Whether the embeddings of two texts are near.

use super::{Finding, Kind, Severity};

/// Cosine below which two texts seem to say other things, for embedding models
/// of the E5 family, whose cosines of unrelated texts are about 0.75.
pub const LOW: f32 = 0.80;

pub fn check(similarity: Option<f32>, findings: &mut Vec<Finding>) {
    let Some(similarity) = similarity.filter(|similarity| *similarity < LOW) else { return };
    let why = format!("the embeddings of the two texts are far apart (cosine {similarity:.2})");
    findings.push(Finding::new(Kind::Similarity, Severity::Major, why));
}
