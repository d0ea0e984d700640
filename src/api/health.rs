//! Health checks that tell the truth, and the metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::state::Shared;
use super::wire::models::{Liveness, ModelHealth, Readiness};
use crate::engine::Health;

/// The process answers. Says nothing about the models: a restart is the only
/// cure for a failure here.
pub async fn live() -> Json<Liveness> {
    Json(Liveness { status: "live" })
}

/// 200 while every model can take requests and the server is not stopping;
/// 503 with the reason otherwise.
pub async fn ready(State(shared): State<Shared>) -> Response {
    let models: Vec<ModelHealth> = (shared.app.engines.iter())
        .map(|engine| {
            let (status, reason) = match engine.health() {
                Health::Ready => ("ready", None),
                Health::Loading => ("loading", None),
                Health::Draining => ("draining", None),
                Health::Recovering(reason) => ("recovering", Some(reason)),
                Health::Failed(reason) => ("failed", Some(reason)),
            };
            ModelHealth { id: engine.info().id.clone(), status, reason }
        })
        .collect();
    let error = match shared.life.draining.is_cancelled() {
        true => Some(ApiError::shutting_down()),
        false => reason(&models).map(|reason| {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "model_unavailable", reason)
        }),
    };
    let readiness = |status, error| Json(Readiness { status, models, error });
    match error {
        None => readiness("ready", None).into_response(),
        Some(error) => {
            let body = readiness("unavailable", Some(error.body().error));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

/// Why the server is not ready.
fn reason(models: &[ModelHealth]) -> Option<String> {
    if models.is_empty() {
        return Some("no model is loaded".to_owned());
    }
    let model = models.iter().find(|model| model.status != "ready")?;
    Some(match &model.reason {
        Some(reason) => format!("the model `{}` has failed: {reason}", model.id),
        None => format!("the model `{}` is {}", model.id, model.status),
    })
}

/// Prometheus' text format.
pub async fn metrics(State(shared): State<Shared>) -> Response {
    const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
    shared.batches.measure().await;
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], shared.app.metrics.render()).into_response()
}
