//! The classifier on top of an encoder.

use serde_json::Value;

use super::super::hf::{Fields, activation};
use crate::backend::ops::Activation;
use crate::models::error::LoadError;

/// A classifier over one vector of a text, or of a pair of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadConfig {
    /// Names of what it scores, in the order of its outputs. One label is a
    /// relevance: the model reranks.
    pub labels: Vec<String>,
    /// A text may have several of the labels.
    pub multi_label: bool,
    /// It reads the mean over the tokens, not the first token's vector.
    pub mean: bool,
    /// After its first linear layer.
    pub activation: HeadActivation,
    /// Whether its first linear layer has a bias.
    pub bias: bool,
    /// A norm stands before its last linear layer.
    pub norm: bool,
}

/// The activation of a classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadActivation {
    Tanh,
    Other(Activation),
}

/// Labels beyond this are damage.
const MAX_LABELS: usize = 1 << 16;

/// The head, if the file is of a model for sequence classification.
pub fn read(json: &Fields<'_>) -> Result<Option<HeadConfig>, LoadError> {
    let names = json.get("architectures").and_then(Value::as_array).into_iter().flatten();
    if !names.filter_map(Value::as_str).any(|n| n.ends_with("ForSequenceClassification")) {
        return Ok(None);
    }
    let head = HeadConfig {
        labels: labels(json)?,
        multi_label: json.text("problem_type") == Some("multi_label_classification"),
        mean: false,
        activation: HeadActivation::Tanh,
        bias: true,
        norm: false,
    };
    Ok(Some(match json.text("model_type").unwrap_or_default() {
        "distilbert" => HeadConfig { activation: HeadActivation::Other(Activation::Relu), ..head },
        "electra" => HeadConfig { activation: HeadActivation::Other(Activation::GeluErf), ..head },
        "modernbert" => HeadConfig {
            mean: match json.text("classifier_pooling").unwrap_or("cls") {
                "cls" => false,
                "mean" => true,
                other => {
                    let reason = format!("{other:?} is not supported; cls and mean are");
                    return Err(LoadError::config("classifier_pooling", reason));
                }
            },
            activation: HeadActivation::Other(match json.get("classifier_activation") {
                Some(_) => activation(json, &["classifier_activation"])?,
                None => Activation::GeluErf,
            }),
            bias: json.flag("classifier_bias"),
            norm: true,
            ..head
        },
        _ => head,
    }))
}

/// `id2label` in the order of its ids; without one there are two labels.
fn labels(json: &Fields<'_>) -> Result<Vec<String>, LoadError> {
    let Some(map) = json.get("id2label").and_then(Value::as_object) else {
        let count = json.size("num_labels")?.unwrap_or(2).min(MAX_LABELS);
        return Ok((0..count).map(|i| format!("LABEL_{i}")).collect());
    };
    let fault = || LoadError::config("id2label", "does not name labels 0, 1, 2 and so on");
    let mut labels = vec![None; map.len()];
    for (id, label) in map {
        let slot = id.parse::<usize>().ok().and_then(|id| labels.get_mut(id));
        let label = label.as_str().map_or_else(|| label.to_string(), str::to_owned);
        *slot.ok_or_else(fault)? = Some(label);
    }
    let labels: Option<Vec<String>> = labels.into_iter().collect();
    labels.filter(|l| (1..=MAX_LABELS).contains(&l.len())).ok_or_else(fault)
}
