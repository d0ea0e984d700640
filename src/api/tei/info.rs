//! `GET /info`.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use crate::api::error::ApiError;
use crate::api::state::Shared;
use crate::api::wire::tei::Info;
use crate::engine::{ModelInfo, ModelKind};

/// Describes the first encoder that is loaded; `/v1/models` lists all models.
pub async fn info(State(shared): State<Shared>) -> Result<Json<Info>, ApiError> {
    let kinds = [
        ModelKind::Embedding,
        ModelKind::SparseEmbedding,
        ModelKind::Reranking,
        ModelKind::Classification,
    ];
    let info = shared.any_engine(None, &kinds)?.info();
    Ok(Json(Info {
        model_id: info.id.clone(),
        model_sha: None,
        model_dtype: match info.quantization.as_str() {
            "F32" => "float32".to_owned(),
            "F16" => "float16".to_owned(),
            "BF16" => "bfloat16".to_owned(),
            other => other.to_lowercase(),
        },
        model_type: model_type(info),
        max_input_length: info.limits.context_length,
        auto_truncate: false,
        version: env!("CARGO_PKG_VERSION"),
    }))
}

fn model_type(info: &ModelInfo) -> Value {
    let labels = || {
        let labels = info.labels.iter().enumerate();
        let by_id: Map<String, Value> =
            labels.clone().map(|(id, label)| (id.to_string(), json!(label))).collect();
        let by_label: Map<String, Value> =
            labels.map(|(id, label)| (label.clone(), json!(id))).collect();
        json!({ "id2label": by_id, "label2id": by_label })
    };
    match info.kind {
        ModelKind::Reranking => json!({ "reranker": labels() }),
        ModelKind::Classification => json!({ "classifier": labels() }),
        _ => json!({ "embedding": { "pooling": info.pooling } }),
    }
}
