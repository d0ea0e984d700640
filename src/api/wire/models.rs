//! `GET /v1/models` and the health checks.

use schemars::JsonSchema;
use serde::Serialize;

use super::common::ErrorDetail;

/// All loaded models.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModelList {
    /// `list`.
    pub object: &'static str,
    pub data: Vec<Model>,
}

/// One loaded model. The fields after `owned_by` are additions to OpenAI's.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Model {
    /// What requests name in `model`.
    pub id: String,
    /// `model`.
    pub object: &'static str,
    /// Unix seconds.
    pub created: u64,
    /// `dragoman`.
    pub owned_by: &'static str,
    /// `generation`, `embedding`, `sparse embedding`, `reranking` or
    /// `classification`.
    pub task: &'static str,
    pub architecture: String,
    /// How the weights are stored, as `Q4_0` or `F32`.
    pub quantization: String,
    /// Number of weights.
    pub parameters: u64,
    /// Tokens of prompt and answer together.
    pub context_length: usize,
    /// Length of a vector, for embedding models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<usize>,
    /// What `prompt_name` may be, for embedding models that have prompts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prompt_names: Vec<String>,
    /// What a classifier scores.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// That the process answers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Liveness {
    /// `live`.
    pub status: &'static str,
}

/// Whether the server can take requests.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Readiness {
    /// `ready` or `unavailable`.
    pub status: &'static str,
    pub models: Vec<ModelHealth>,
    /// Why not, in the shape of every error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorDetail>,
}

/// The state of one model.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModelHealth {
    pub id: String,
    /// `ready`, `loading`, `draining` or `failed`.
    pub status: &'static str,
    /// What went wrong, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
