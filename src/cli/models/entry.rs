//! A model of the listing, with what it takes and whether that fits.

use anyhow::Result;

use crate::cli::load;
use crate::config::{Config, Models};
use crate::engine::EngineOptions;
use crate::engine::estimate::Estimate;
use crate::models::outline::Outline;
use crate::provision::{Grade, Listing, Manifest, Presence, Role, Task};

/// What models have to fit into, and how they would be loaded.
pub struct Machine {
    pub options: EngineOptions,
    pub models: Models,
    /// Bytes of main memory; `None` where the system does not say.
    pub left: Option<u64>,
}

impl Machine {
    /// This one, as configured.
    ///
    /// # Errors
    /// The device's name is unknown.
    pub fn here(config: &Config) -> Result<Self> {
        let options = load::options(config)?;
        let left = options.memory.left();
        Ok(Self { options, models: config.models.clone(), left })
    }

    /// One of which nothing is known, with the default configuration.
    ///
    /// # Errors
    /// None is to be expected.
    pub fn unknown() -> Result<Self> {
        Ok(Self { left: None, ..Self::here(&Config::default())? })
    }
}

/// A line of the listing.
pub struct Entry {
    pub listing: Listing,
    /// Bytes to fetch, or on disk; and whether they are computed from the
    /// number of weights.
    pub size: Option<(u64, bool)>,
    /// What it takes in memory.
    pub need: Option<Estimate>,
    /// Whether that fits; `None` where one of them is not known.
    pub fits: Option<bool>,
}

impl Entry {
    /// # Errors
    /// The configuration of a catalogue entry cannot be read.
    pub fn new(listing: Listing, machine: &Machine) -> Result<Self> {
        let manifest = listing.manifest.as_ref();
        let size = match &listing.presence {
            Presence::Present(receipt) => {
                Some((receipt.files.iter().map(|f| f.bytes).sum(), false))
            }
            _ => manifest.and_then(|m| m.sources.iter().find_map(|s| m.bytes_from(s))),
        };
        let need = manifest.map(|m| need(m, &listing.presence, machine)).transpose()?.flatten();
        let fits = need.zip(machine.left).map(|(need, left)| need.total() <= left);
        Ok(Self { size, need, fits, listing })
    }

    pub fn name(&self) -> &str {
        &self.listing.name
    }

    pub fn manifest(&self) -> Option<&Manifest> {
        self.listing.manifest.as_ref()
    }

    pub fn task(&self) -> Option<Task> {
        self.manifest().map(|m| m.task)
    }

    /// How well it does in a language.
    pub fn grade(&self, tag: &str) -> Option<Grade> {
        self.manifest()?.languages.grade(tag)
    }
}

fn need(manifest: &Manifest, presence: &Presence, machine: &Machine) -> Result<Option<Estimate>> {
    let Some(config) = &manifest.config else { return Ok(None) };
    let bits = match presence {
        Presence::Present(receipt) => {
            let weights = receipt.files.iter().filter(|f| f.role == Role::Weights);
            let bytes: u64 = weights.map(|f| f.bytes).sum();
            Some(bytes as f64 * 8.0 / manifest.parameters.max(1) as f64)
        }
        _ => manifest.sources.iter().find_map(|source| manifest.bits_in(source)),
    };
    let Some(bits) = bits else { return Ok(None) };
    let outline = Outline::read(config)?;
    let weights = outline.weight_bytes(bits, load::quantize(&machine.models, &manifest.name)?);
    let vectors = manifest.task == Task::Embedding;
    // A cache too small for a model is no fault of the listing.
    Ok(Estimate::new(&outline, weights, vectors, &machine.options).ok())
}
