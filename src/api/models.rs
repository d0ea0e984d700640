//! `GET /v1/models` and `GET /v1/models/{id}`.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};

use super::error::ApiError;
use super::state::{Shared, task};
use super::wire::models::{Model, ModelList};
use crate::engine::{Engine, ModelKind};

/// Lists the loaded models.
pub async fn list(State(shared): State<Shared>) -> Json<ModelList> {
    let data = shared.app.engines.iter().map(describe).collect();
    Json(ModelList { object: "list", data })
}

/// Describes one model. Its id may contain slashes, as those of the hub do.
pub async fn retrieve(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Model>, ApiError> {
    // The path is not UTF-8, so it names no model.
    let Ok(Path(id)) = id else {
        return Err(shared.unknown_model("?"));
    };
    match shared.app.engines.get(&id) {
        Some(engine) => Ok(Json(describe(engine))),
        None => Err(shared.unknown_model(&id)),
    }
}

fn describe(engine: &Engine) -> Model {
    let info = engine.info();
    Model {
        id: info.id.clone(),
        object: "model",
        created: info.created,
        owned_by: "dragoman",
        task: task(info.kind),
        architecture: info.architecture.clone(),
        quantization: info.quantization.clone(),
        parameters: info.parameters,
        context_length: info.limits.context_length,
        dimensions: info.embedding_dims,
        prompt_names: info.prompts.keys().cloned().collect(),
        labels: match info.kind {
            ModelKind::Classification => info.labels.clone(),
            _ => Vec::new(),
        },
    }
}
