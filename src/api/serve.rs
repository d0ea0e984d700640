//! From a listener to the last byte.

use std::time::Duration;

use axum::Router;
use axum::serve::{Listener, ListenerExt};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::router::build;
use super::state::{AppState, Lifecycle, Shared};

/// Time for the last bytes to leave after the last request has ended.
const FLUSH: Duration = Duration::from_secs(2);

/// Requests that run at once on one connection of HTTP/2. What a client has
/// beyond them waits there.
const MAX_STREAMS: u32 = 1024;
/// Bytes of the headers of one of them; of a larger one the answer is 431.
const MAX_HEADERS: u32 = 16 << 10;
/// Bytes of an answer that are kept for a client that reads slowly, before the
/// model has to wait for it.
const SEND_BUFFER: usize = 64 << 10;
/// How often a client of HTTP/2 is asked whether it is still there, and how long
/// it has to answer: one that is gone without a word frees what it holds then.
const PING: Duration = Duration::from_secs(20);

/// Serves until `shutdown`, then stops in order:
///
/// 1. new requests to models get 503 and `/health/ready` says so, while the
///    listener stays open, so that load balancers see it and go elsewhere;
/// 2. running requests go on, at most for `server.shutdown_grace_s`;
/// 3. what still runs then is ended with an error, and the listener closes.
///
/// # Errors
/// None yet: what goes wrong with a connection ends that one alone.
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
    let server = serve(listener, app, &close);
    let stop = async {
        shutdown.cancelled().await;
        tracing::info!(running = life.running.len(), "shutting down");
        life.drain(grace).await;
        close.cancel();
        tokio::time::sleep(FLUSH).await;
    };
    tokio::select! {
        () = server => {}
        () = stop => {}
    }
    Ok(())
}

/// Serves connections until `close`, and those that are open until their last
/// answers have left.
async fn serve(mut listener: impl Listener, app: Router, close: &CancellationToken) {
    let protocols = protocols();
    let open = GracefulShutdown::new();
    let service = TowerToHyperService::new(app);
    loop {
        let (io, _) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = close.cancelled() => break,
        };
        let connection = protocols.serve_connection(TokioIo::new(io), service.clone());
        let connection = open.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!("a connection broke off: {error:#}");
            }
        });
    }
    drop(listener);
    open.shutdown().await;
}

/// HTTP/1.1 and HTTP/2, told apart by the first bytes of a connection.
fn protocols() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}
