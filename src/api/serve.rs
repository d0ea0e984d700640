//! From a listener to the last byte.

use std::future::IntoFuture;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::router::build;
use super::state::{AppState, Lifecycle, Shared};

/// Time for the last bytes to leave after the last request has ended.
const FLUSH: Duration = Duration::from_secs(2);

/// Serves until `shutdown`, then stops in order:
///
/// 1. new requests to models get 503 and `/health/ready` says so, while the
///    listener stays open, so that load balancers see it and go elsewhere;
/// 2. running requests go on, at most for `server.shutdown_grace_s`;
/// 3. what still runs then is ended with an error, and the listener closes.
///
/// # Errors
/// When the listener fails.
pub async fn run(
    listener: TcpListener,
    state: AppState,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let grace = Duration::from_secs(state.config.shutdown_grace_s);
    let life = Lifecycle { draining: shutdown.clone(), ..Lifecycle::default() };
    let shared = Shared::new(state, life.clone());
    #[cfg(feature = "documents")]
    tokio::spawn({
        let shared = shared.clone();
        async move { shared.desk.resume().await }
    });
    tokio::spawn({
        let shared = shared.clone();
        async move { shared.batches.resume(&shared).await }
    });
    let app = build(shared);
    // A token is a small packet that must not wait for the next one.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let close = CancellationToken::new();
    let server = axum::serve(listener, app)
        .with_graceful_shutdown(close.clone().cancelled_owned())
        .into_future();
    let stop = async {
        shutdown.cancelled().await;
        tracing::info!(running = life.running.len(), "shutting down");
        life.drain(grace).await;
        close.cancel();
        tokio::time::sleep(FLUSH).await;
    };
    tokio::select! {
        result = server => result,
        () = stop => Ok(()),
    }
}
