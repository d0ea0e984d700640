//! `dragoman serve`: load models, answer over HTTP.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::api::{self, AppState};
use crate::config::{Config, Overrides};
use crate::engine::{Engines, ModelKind};
use crate::telemetry::metrics;

/// Flags of `dragoman serve`; each goes before the environment and the file.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// A model to load: a name of the catalogue, a path, or a hub id. Repeat
    /// it for several; without it the configuration's lists decide.
    #[arg(long = "model", value_name = "NAME|PATH|HUB-ID")]
    models: Vec<String>,
    /// auto, cpu, cuda, cuda:N or metal.
    #[arg(long)]
    device: Option<String>,
    /// What becomes of weights that are not quantized in their file: none, int16, bf16, bf16x2,
    /// q8_0, q6_k, q5_k, q5_1, q5_0, q4_k, q4_1, q4_0 or q3_k; for all models,
    /// or with NAME= for one.
    #[arg(long, value_name = "[NAME=]TYPE", value_delimiter = ',')]
    quantize: Vec<String>,
}

impl Args {
    /// Puts what was given before the configuration.
    pub fn override_config(&self, overrides: &mut Overrides) {
        overrides.listen = self.listen.clone();
        overrides.device = self.device.clone();
        if !self.quantize.is_empty() {
            overrides.quantize = Some(self.quantize.clone());
        }
        if !self.models.is_empty() {
            overrides.models = Some(self.models.clone());
        }
    }
}

/// Serves until it is told to stop.
///
/// # Errors
/// The address is taken, a model cannot be had or loaded, or the device is absent.
pub fn run(config: Config) -> anyhow::Result<()> {
    // Everything that can be wrong quickly is found before a model is fetched.
    let device = config.models.device.parse()?;
    drop(crate::backend::device::open(device)?);
    let listener = TcpListener::bind(config.server.listen).with_context(|| {
        format!(
            "{} cannot be listened on; is another server there? Choose another with --listen",
            config.server.listen
        )
    })?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    super::load::cpu(&config.engine, None)?;

    let metrics = metrics::install();
    let engines = super::load::engines(&config)?;
    // Whoever started the server may not listen, which is no reason to end.
    let _ = std::io::stdout().write_all(announcement(address, &engines).as_bytes());

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let shutdown = CancellationToken::new();
        tokio::spawn(stop_on_signal(shutdown.clone()));
        let state = AppState { engines, config: Arc::new(config.server), metrics };
        api::run(tokio::net::TcpListener::from_std(listener)?, state, shutdown).await?;
        Ok(())
    })
}

/// The first signal drains, the second ends at once.
#[allow(clippy::disallowed_methods)] // The user asked twice; nothing half-written is open here.
async fn stop_on_signal(shutdown: CancellationToken) {
    interrupted().await;
    eprintln!("stopping: running requests may finish; press Ctrl-C again to stop at once");
    shutdown.cancel();
    interrupted().await;
    std::process::exit(130);
}

/// Waits for Ctrl-C or a request to terminate.
pub async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Says where the server is and what to try, in lines that can be copied.
fn announcement(address: SocketAddr, engines: &Engines) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() => format!("127.0.0.1:{}", address.port()),
        _ => address.to_string(),
    };
    let mut lines = format!("\nDragoman is serving on http://{host}\n");
    for engine in engines.iter() {
        let route = match engine.info().kind {
            ModelKind::Generation => "/v1/chat/completions, /v1/completions",
            ModelKind::Translation => "/translate, /languages, /v1/completions",
            ModelKind::Embedding => "/v1/embeddings, /embed",
            ModelKind::SparseEmbedding => "/embed_sparse",
            ModelKind::Reranking => "/v1/rerank, /rerank",
            ModelKind::Classification => "/predict",
        };
        lines += &format!("  {:<30} {route}\n", engine.info().id);
    }
    lines += &format!("  {:<30} /v1/models, /health/ready, /metrics\n", "");
    if let Some(engine) = engines.default_for(ModelKind::Generation) {
        lines += &format!(
            "\nTry it:\n  curl http://{host}/v1/chat/completions -H 'Content-Type: application/json' \\\n    \
             -d '{{\"model\": \"{}\", \"messages\": [{{\"role\": \"user\", \"content\": \
             \"Translate into English: Les Parties coopèrent de bonne foi.\"}}]}}'\n\n",
            engine.info().id
        );
    } else if let Some(engine) = engines.default_for(ModelKind::Embedding) {
        lines += &format!(
            "\nTry it:\n  curl http://{host}/v1/embeddings -H 'Content-Type: application/json' \\\n    \
             -d '{{\"model\": \"{}\", \"input\": \"Les Parties coopèrent de bonne foi.\"}}'\n\n",
            engine.info().id
        );
    }
    lines
}
