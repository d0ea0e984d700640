//! The server under load: its address, its model, how it is spoken to.

use std::time::Duration;

use serde_json::{Map, Value};

use super::body::{Models, Shape};
use super::fault;
use crate::bench::run::Endpoint;

/// Where load goes and what it asks for.
#[derive(Debug, Clone)]
pub struct TargetSettings {
    pub url: String,
    /// `None` takes the only one the server has.
    pub model: Option<String>,
    pub api_key: Option<String>,
    pub endpoint: Endpoint,
    /// For a whole answer.
    pub timeout: Duration,
    pub ignore_eos: bool,
    pub extra: Map<String, Value>,
}

/// Why the server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("--url {0:?}: {1}; write it as http://127.0.0.1:8080")]
    Url(String, String),
    #[error("{0} cannot be reached: {1}; is the server running?")]
    Unreachable(String, String),
    #[error("{0} answered {1}; name the model with --model")]
    Models(String, String),
    #[error("the server has no model; name one with --model")]
    NoModel,
    #[error("the server has {} models; choose one with --model: {}", .0.len(), .0.join(", "))]
    ManyModels(Vec<String>),
}

/// A server that can be sent requests.
pub struct Target {
    pub(super) client: reqwest::Client,
    pub(super) address: String,
    pub(super) key: Option<String>,
    pub(super) shape: Shape,
    pub(super) timeout: Duration,
}

impl Target {
    /// Asks the server for its model where none is named.
    ///
    /// # Errors
    /// The address is none, or the server does not have exactly one model.
    pub async fn connect(settings: TargetSettings) -> Result<Self, TargetError> {
        let url_error = |why: &str| TargetError::Url(settings.url.clone(), why.to_owned());
        let url: reqwest::Url =
            settings.url.parse().map_err(|_| url_error("this is no address"))?;
        match url.scheme() {
            "http" => {}
            "https" if cfg!(feature = "hub") => {}
            "https" => return Err(url_error("this build has no TLS (feature hub)")),
            _ => return Err(url_error("it begins neither with http:// nor with https://")),
        }
        let base = settings.url.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        let here = url.host_str().is_some_and(|h| {
            h == "localhost"
                || h.trim_matches(['[', ']'])
                    .parse()
                    .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        });
        let mut client = reqwest::Client::builder()
            .pool_max_idle_per_host(usize::MAX)
            .tcp_nodelay(true)
            .connect_timeout(settings.timeout.min(Duration::from_secs(30)))
            .user_agent(concat!("dragoman-bench/", env!("CARGO_PKG_VERSION")));
        if here {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|e| url_error(&e.to_string()))?;
        let model = match settings.model {
            Some(model) => model,
            None => only_model(&client, &base, settings.api_key.as_deref()).await?,
        };
        Ok(Self {
            client,
            address: format!("{base}{}", settings.endpoint.path()),
            key: settings.api_key,
            timeout: settings.timeout,
            shape: Shape {
                endpoint: settings.endpoint,
                model,
                ignore_eos: settings.ignore_eos,
                extra: settings.extra,
            },
        })
    }

    pub fn model(&self) -> &str {
        &self.shape.model
    }

    pub fn endpoint(&self) -> Endpoint {
        self.shape.endpoint
    }
}

async fn only_model(
    client: &reqwest::Client,
    base: &str,
    key: Option<&str>,
) -> Result<String, TargetError> {
    let address = format!("{base}/v1/models");
    let mut request = client.get(&address).timeout(Duration::from_secs(30));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let unreachable = |e: reqwest::Error| {
        TargetError::Unreachable(base.to_owned(), fault::before_answer(&e).message)
    };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let text = response.text().await.map_err(unreachable)?;
    if !status.is_success() {
        return Err(TargetError::Models(address, format!("with status {}", status.as_u16())));
    }
    let models: Models = serde_json::from_str(&text)
        .map_err(|_| TargetError::Models(address, "something that is no list of models".into()))?;
    let mut names = models.names();
    match names.len() {
        0 => Err(TargetError::NoModel),
        1 => Ok(names.remove(0)),
        _ => Err(TargetError::ManyModels(names)),
    }
}
