//! Records beside the results of commands.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value;

use super::translate::{terms::name, write};
use crate::config::Config;
use crate::documents::record::{Blob, Facts, Signer};

/// Writes records of what a command made.
#[derive(Clone)]
pub(super) struct Recorder {
    signer: std::sync::Arc<Signer>,
    facts: Facts,
}

impl Recorder {
    /// Signs with the key that is configured.
    pub fn new(config: &Config, facts: Facts) -> Self {
        let signer = std::sync::Arc::new(Signer::new(config.server.record_key_file()));
        Self { signer, facts }
    }

    /// The same for a result of these options and files.
    pub fn of(&self, options: Value, input: Vec<Blob>) -> Self {
        Self { facts: Facts { options, input, ..self.facts.clone() }, ..self.clone() }
    }

    /// Writes the record of a result beside its file.
    ///
    /// # Errors
    /// There is no key, a model's files are gone, or the disk fails.
    pub fn beside(&self, output: &Path, result: &[u8]) -> anyhow::Result<()> {
        let blob = Blob::new(name(output), result);
        let signed = self.signer.sign(&self.facts, blob);
        let signed = signed.with_context(|| format!("{} has no record", output.display()))?;
        let mut text = serde_json::to_string_pretty(&signed)?;
        text.push('\n');
        write(&beside(output), text.as_bytes())
    }
}

/// Where the record of a result is.
pub(super) fn beside(output: &Path) -> PathBuf {
    let mut path = output.as_os_str().to_owned();
    path.push(EXTENSION);
    path.into()
}

/// What a record's name has after its result's.
pub(super) const EXTENSION: &str = ".record.json";

/// Lets a command go on that will write to a file.
///
/// # Errors
/// The file, or its record, is there already.
pub(super) fn check_free(out: Option<&Path>, record: bool) -> anyhow::Result<()> {
    let Some(out) = out else { return Ok(()) };
    let record = record.then(|| beside(out));
    for path in std::iter::once(out).chain(record.as_deref()) {
        if path.exists() {
            bail!("{} is there already; move it or name another with --out", path.display());
        }
    }
    Ok(())
}
