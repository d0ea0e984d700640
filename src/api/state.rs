//! What the handlers share.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::batches::BatchStore;
#[cfg(feature = "documents")]
use super::desk::Desk;
use super::error::{ApiError, echo};
use super::responses::store::Store;
use crate::config;
use crate::engine::{Engine, Engines, ModelKind};
use crate::telemetry::metrics::Metrics;

/// What the program hands to the server.
#[derive(Clone)]
pub struct AppState {
    /// All loaded models.
    pub engines: Engines,
    pub config: Arc<config::Server>,
    /// Rendered by `/metrics`.
    pub metrics: Metrics,
}

/// How far the server is in stopping, and what still runs.
#[derive(Clone, Default)]
pub struct Lifecycle {
    /// No new work; running texts go on.
    pub draining: CancellationToken,
    /// The grace is over: texts that still run end with an error.
    pub ended: CancellationToken,
    /// One token for each request to a model, held until its last byte.
    pub running: TaskTracker,
}

impl Lifecycle {
    /// Waits until nothing runs, at most for `grace`, then ends what is left.
    pub async fn drain(&self, grace: Duration) {
        self.running.close();
        if tokio::time::timeout(grace, self.running.wait()).await.is_err() {
            tracing::warn!(
                requests = self.running.len(),
                "the shutdown grace is over; ending the requests that still run"
            );
        }
        self.ended.cancel();
    }
}

/// [`AppState`] and [`Lifecycle`] behind one pointer.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

pub struct Inner {
    pub app: AppState,
    pub life: Lifecycle,
    /// Kept for `/v1/responses`.
    pub responses: Store,
    /// Files and batches.
    pub batches: BatchStore,
    #[cfg(feature = "documents")]
    pub desk: Arc<Desk>,
}

impl Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Shared {
    pub fn new(app: AppState, life: Lifecycle) -> Self {
        let lifetime = Duration::from_secs(app.config.responses_s);
        let responses = Store::new(app.config.responses_mib << 20, lifetime);
        let batches = BatchStore::new(&app, &life);
        Self(Arc::new_cyclic(|shared| {
            #[cfg(feature = "documents")]
            let desk = Arc::new(Desk::new(&app, &life, shared.clone()));
            #[cfg(not(feature = "documents"))]
            let _ = shared;
            Inner {
                app,
                life,
                responses,
                batches,
                #[cfg(feature = "documents")]
                desk,
            }
        }))
    }

    /// For what the state itself holds, so that it ends.
    pub fn downgrade(&self) -> Weak<Inner> {
        Arc::downgrade(&self.0)
    }

    /// The state, if the server is still there.
    pub fn upgrade(weak: &Weak<Inner>) -> Option<Self> {
        weak.upgrade().map(Self)
    }

    /// The engine for `model`, which must be of this kind.
    ///
    /// # Errors
    /// 400 when no model is named or it is of the other kind, 404 when it is
    /// not loaded; each names the models that would do.
    pub fn engine(&self, model: Option<&str>, kind: ModelKind) -> Result<&Engine, ApiError> {
        self.engine_of(model, &[kind])
    }

    /// The engine for `model`, which must be of one of these kinds.
    ///
    /// # Errors
    /// As [`Shared::engine`].
    pub fn engine_of(&self, model: Option<&str>, kinds: &[ModelKind]) -> Result<&Engine, ApiError> {
        let Some(model) = model.filter(|model| !model.is_empty()) else {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "missing_field",
                format!("`model` is required; {}", self.all_loaded(kinds)),
            )
            .with_param("model"));
        };
        self.named(model, kinds)
    }

    /// The engine for `model`, or without one the first that is of one of
    /// these kinds, as in interfaces that know one model a server.
    ///
    /// # Errors
    /// As [`Shared::engine`].
    pub fn any_engine(
        &self,
        model: Option<&str>,
        kinds: &[ModelKind],
    ) -> Result<&Engine, ApiError> {
        if let Some(model) = model.filter(|model| !model.is_empty()) {
            return self.named(model, kinds);
        }
        let found = kinds.iter().find_map(|&kind| self.app.engines.default_for(kind));
        found.ok_or_else(|| {
            ApiError::new(StatusCode::NOT_FOUND, "model_not_found", self.all_loaded(kinds))
        })
    }

    fn named(&self, model: &str, kinds: &[ModelKind]) -> Result<&Engine, ApiError> {
        let Some(engine) = self.app.engines.get(model) else {
            return Err(self.unknown_model(model));
        };
        let has = engine.info().kind;
        if kinds.contains(&has) {
            return Ok(engine);
        }
        let wanted = kinds.first().copied().unwrap_or(ModelKind::Generation);
        let message = format!(
            "the model `{}` {} and cannot {}; {}",
            engine.info().id,
            has.does(),
            wanted.ability(),
            self.loaded(wanted)
        );
        Err(ApiError::new(StatusCode::BAD_REQUEST, "wrong_model_kind", message).with_param("model"))
    }

    /// 404 that names what is loaded.
    pub fn unknown_model(&self, model: &str) -> ApiError {
        let all: Vec<String> = (self.app.engines.iter())
            .map(|engine| format!("`{}` ({})", engine.info().id, task(engine.info().kind)))
            .collect();
        let loaded = match all.is_empty() {
            true => "no model is loaded".to_owned(),
            false => format!("loaded: {}", all.join(", ")),
        };
        ApiError::new(
            StatusCode::NOT_FOUND,
            "model_not_found",
            format!("the model `{}` is not loaded; {loaded}", echo(model)),
        )
        .with_param("model")
    }

    fn all_loaded(&self, kinds: &[ModelKind]) -> String {
        let there = |kind: &&ModelKind| self.app.engines.default_for(**kind).is_some();
        let any = kinds.iter().any(|kind| there(&kind));
        let wanted = kinds.iter().filter(|kind| !any || there(kind));
        let what: Vec<String> = wanted.map(|&kind| self.loaded(kind)).collect();
        what.join("; ")
    }

    fn loaded(&self, kind: ModelKind) -> String {
        let names: Vec<String> = (self.app.engines.iter())
            .filter(|engine| engine.info().kind == kind)
            .map(|engine| format!("`{}`", engine.info().id))
            .collect();
        let task = task(kind);
        match names.is_empty() {
            true => format!("no {task} model is loaded; start the server with one (--model)"),
            false => format!("loaded for {task}: {}", names.join(", ")),
        }
    }
}

/// The word for a kind of model on the wire.
pub fn task(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Generation => "generation",
        ModelKind::Translation => "translation",
        ModelKind::Embedding => "embedding",
        ModelKind::SparseEmbedding => "sparse embedding",
        ModelKind::Reranking => "reranking",
        ModelKind::Classification => "classification",
    }
}

/// The configured folder for what outlives the process, or one of the user.
///
/// # Errors
/// The user has none; the message says what to do.
pub fn data_folder(config: &config::Server) -> Result<PathBuf, String> {
    config
        .data_folder()
        .ok_or_else(|| "there is no folder for data; set server.data_dir".to_owned())
}

/// Seconds since 1970, as `created` counts them.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// Runs CPU work, off the async threads when `bytes` says that it is long
/// enough for other requests to feel it.
///
/// # Errors
/// 500 when the work panics.
pub async fn offload<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    /// About a tenth of a millisecond of JSON.
    const INLINE_BYTES: usize = 64 * 1024;
    if bytes <= INLINE_BYTES {
        return Ok(work());
    }
    blocking(work).await
}

/// Runs work off the async threads.
///
/// # Errors
/// 500 when the work panics.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::internal())
}
