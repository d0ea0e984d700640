//! The environment variables every Hugging Face tool reads, read in one place.

use std::path::{Path, PathBuf};

/// Where the hub is, and what this machine already has of it.
#[derive(Clone)]
pub struct HubSettings {
    /// Base address, without a slash at the end (`HF_ENDPOINT`).
    pub endpoint: String,
    /// Access token (`HF_TOKEN`, `HF_TOKEN_PATH`, or the file that a login left).
    pub token: Option<String>,
    /// The Hugging Face cache (`HF_HUB_CACHE`, else under `HF_HOME`).
    pub cache_dir: PathBuf,
    /// Never ask the hub (`HF_HUB_OFFLINE`); its cache is still used.
    pub offline: bool,
}

impl HubSettings {
    /// As the environment says.
    pub fn from_env() -> Self {
        let endpoint =
            variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: token(),
            cache_dir: hf_hub::resolve_cache_dir(),
            offline: flag("HF_HUB_OFFLINE"),
        }
    }
}

// Written by hand so that a token never reaches a log.
impl std::fmt::Debug for HubSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("cache_dir", &self.cache_dir)
            .field("offline", &self.offline)
            .finish()
    }
}

/// The order hf-hub uses; the listing request needs the token as well.
fn token() -> Option<String> {
    if variable("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some() {
        return None;
    }
    let from_file = |path: &Path| {
        let text = std::fs::read_to_string(path).ok()?;
        Some(text.trim().to_owned()).filter(|t| !t.is_empty())
    };
    variable("HF_TOKEN")
        .or_else(|| variable("HF_TOKEN_PATH").and_then(|p| from_file(Path::new(&p))))
        .or_else(|| from_file(&hf_hub::hf_home().join("token")))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

fn flag(name: &str) -> bool {
    variable(name).is_some_and(|v| matches!(v.to_lowercase().as_str(), "1" | "true" | "yes" | "on"))
}
