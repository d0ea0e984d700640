//! Stands in for `hub.rs` in a build without the feature `hub`: every question
//! to the hub is answered with an error that says so.

use std::path::PathBuf;
use std::time::Duration;

use super::ProvisionError;
use super::aside::Aside;
use super::progress::Meter;
use super::select::{Chosen, Listed};

/// Nothing can be set: this build has no hub support.
#[derive(Debug, Clone)]
pub struct HubSettings;

impl HubSettings {
    /// Reads nothing.
    pub fn from_env() -> Self {
        Self
    }
}

#[derive(Debug)]
pub(crate) struct Snapshot {
    pub commit: String,
    pub files: Vec<Listed>,
}

pub(crate) struct Hub;

impl Hub {
    pub(crate) fn new(_settings: HubSettings, _connect_timeout: Duration) -> Self {
        Self
    }

    pub(crate) fn offline(&self) -> bool {
        false
    }

    pub(crate) fn cached(&self, _repo: &str, _revision: &str) -> Option<(String, PathBuf)> {
        None
    }

    pub(crate) fn snapshot(&self, repo: &str, _revision: &str) -> Result<Snapshot, ProvisionError> {
        Err(absent(repo))
    }

    pub(crate) fn download(
        &self,
        repo: &str,
        _commit: &str,
        _file: &Chosen,
        _aside: &mut Aside,
        _meter: &dyn Meter,
    ) -> Result<bool, ProvisionError> {
        Err(absent(repo))
    }
}

fn absent(repo: &str) -> ProvisionError {
    ProvisionError::HubFailed {
        repo: repo.to_owned(),
        detail: "this build has no hub support (cargo feature `hub`)".to_owned(),
    }
}
