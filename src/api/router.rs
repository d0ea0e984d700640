//! Which path leads where, and what stands in the way.

use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

#[cfg(feature = "documents")]
use super::desk;
use super::error::{ApiError, echo};
use super::state::{AppState, Lifecycle, Shared};
use super::suggest::closest;
use super::{
    anthropic, auth, batches, chat, completions, embeddings, health, models, openapi, rerank,
    responses, tei, trace, translate,
};

/// The whole service, for callers that bring their own listener. It serves
/// until dropped; [`super::run`] adds the graceful end.
pub fn router(state: AppState) -> Router {
    build(Shared::new(state, Lifecycle::default()))
}

/// The service for a server whose end is known.
pub fn build(shared: Shared) -> Router {
    let work = Router::new()
        .route("/v1/chat/completions", only(post(chat::chat)))
        .route("/v1/completions", only(post(completions::complete)))
        .route("/v1/messages", only(post(anthropic::messages)))
        .route("/v1/messages/count_tokens", only(post(anthropic::count_tokens)))
        .route("/v1/responses", only(post(responses::create)))
        .route("/v1/embeddings", only(post(embeddings::embed)))
        .route("/v1/rerank", only(post(rerank::rerank)))
        // Where Cohere's newer clients ask for the same.
        .route("/v2/rerank", only(post(rerank::rerank)))
        .route("/embed", only(post(tei::embed)))
        .route("/embed_all", only(post(tei::embed_all)))
        .route("/embed_sparse", only(post(tei::embed_sparse)))
        .route("/similarity", only(post(tei::similarity)))
        .route("/predict", only(post(tei::predict)))
        .route("/rerank", only(post(tei::rerank)))
        .route("/tokenize", only(post(tei::tokenize)))
        .route("/detokenize", only(post(tei::detokenize)))
        .route("/decode", only(post(tei::decode)))
        .route("/translate", only(post(translate::translate)))
        .route_layer(from_fn_with_state(shared.clone(), admit));
    #[cfg(feature = "documents")]
    let work = work.merge(desk::work().route_layer(from_fn_with_state(shared.clone(), admit)));
    // The key is asked for outside of everything, the fallback included.
    let guarded = Router::new().merge(work);
    #[cfg(feature = "documents")]
    let guarded = guarded.merge(desk::desk());
    let guarded = guarded
        .merge(batches::routes())
        .route("/v1/models", only(get(models::list)))
        .route("/v1/models/{*id}", only(get(models::retrieve)))
        .route("/v1/responses/{id}", only(get(responses::retrieve).delete(responses::delete)))
        .route("/info", only(get(tei::info)))
        .route("/languages", only(get(translate::languages)))
        .route("/metrics", only(get(health::metrics)))
        .fallback(unknown_route)
        .layer(from_fn_with_state(shared.clone(), auth::check))
        .layer(from_fn(anthropic::reshape))
        .layer(from_fn(tei::reshape))
        .layer(from_fn(translate::reshape));
    #[cfg(feature = "documents")]
    let guarded = desk::layer(guarded, &shared);
    let open = Router::new()
        .route("/health", only(get(health::ready)))
        .route("/health/live", only(get(health::live)))
        .route("/health/ready", only(get(health::ready)))
        .route("/openapi.json", only(get(openapi::json)))
        .route("/docs", only(get(openapi::page)))
        .merge(guarded)
        .layer(compression());
    let open = match shared.app.config.cors_origins.as_slice() {
        [] => open,
        origins => open.layer(cors(origins)),
    };
    open.layer(from_fn(trace::observe)).with_state(shared)
}

/// Compresses, quickly, what is long enough to gain by it. Streams of events
/// are left as they are.
fn compression() -> CompressionLayer<impl Predicate> {
    let worthwhile = SizeAbove::new(1024).and(NotForContentType::SSE);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worthwhile)
}

/// Lets pages of these origins use the server. What a browser asks before a
/// request is answered here, without the key that only the request carries.
fn cors(origins: &[String]) -> CorsLayer {
    let allowed = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        // The configuration was checked: all of them can be headers.
        false => AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse().ok())),
    };
    let exposed =
        ["x-request-id", "retry-after", "content-disposition"].map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed)
        .max_age(Duration::from_secs(3600))
}

/// The method router, with errors in our shape for other methods. The `Allow`
/// header is the library's.
pub fn only(methods: MethodRouter<Shared>) -> MethodRouter<Shared> {
    methods.fallback(wrong_method)
}

/// Counts a request to a model, refuses it while the server stops, and ends it
/// when the grace is over.
async fn admit(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let life = &shared.life;
    let _running = life.running.token();
    if life.draining.is_cancelled() {
        return Err(ApiError::shutting_down());
    }
    tokio::select! {
        response = next.run(request) => Ok(response),
        () = life.ended.cancelled() => Err(ApiError::shutting_down()),
    }
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{method} is not a method of {}; the Allow header lists them", echo(uri.path())),
    )
    .into_response()
}

async fn unknown_route(method: Method, uri: Uri) -> Response {
    let path = uri.path();
    let hint = match nearest(path) {
        Some(route) => format!("did you mean {route}?"),
        None => format!("the routes are {}", openapi::paths().collect::<Vec<_>>().join(", ")),
    };
    let message = format!("there is no route {method} {}; {hint}", echo(path));
    ApiError::new(StatusCode::NOT_FOUND, "unknown_url", message).into_response()
}

/// The route that a path is most likely a slip for: a slash too many, `/v1`
/// left out or given twice, or a few wrong letters.
fn nearest(path: &str) -> Option<&'static str> {
    let parts: Vec<&str> =
        path.split('/').filter(|part| !part.is_empty() && *part != "v1").collect();
    let bare = parts.join("/");
    if bare.is_empty() {
        return None;
    }
    let short = |route: &'static str| route.trim_start_matches("/v1").trim_start_matches('/');
    let found = closest(&bare, openapi::paths().map(short))?;
    openapi::paths().find(|route| short(route) == found)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_find_their_route() {
        let check = |path: &str, expected: Option<&str>| assert_eq!(nearest(path), expected);
        check("/chat/completions", Some("/v1/chat/completions"));
        check("/v1/v1/chat/completions", Some("/v1/chat/completions"));
        check("/v1/chat/completions/", Some("/v1/chat/completions"));
        check("/v1/chat/completion", Some("/v1/chat/completions"));
        check("/v1/embedding", Some("/v1/embeddings"));
        check("/models", Some("/v1/models"));
        check("/healthz", Some("/health"));
        check("/", None);
        check("/favicon.ico", None);
    }
}
