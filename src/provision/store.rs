//! The cache: one folder a model, a receipt in each, a lock for each.
//!
//! ```text
//! <cache>/locks/NAME.lock             held while NAME is fetched or removed
//! <cache>/models/NAME/receipt.json    written last: with it the model is whole
//! <cache>/models/NAME/<files>
//! <cache>/models/NAME/.partial/SOURCE/<files being fetched from that source>
//! ```
//!
//! A reader needs no lock: the receipt appears by a rename when all files are
//! there. Half-fetched files of one source survive while another is tried.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::manifest::is_plain;
use super::progress::Progress;
use super::{ProvisionError, Role};

/// A file of a whole model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Path within the model's folder.
    pub path: String,
    /// What it is for.
    pub role: Role,
    /// Size.
    pub bytes: u64,
    /// Lower-case hex, computed when the file came.
    pub sha256: String,
}

/// What a model's folder holds and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The model as it was asked for: a catalogue name or a hub id.
    pub name: String,
    /// The source that gave it, in words.
    pub source: String,
    /// When all hashes were last computed; Unix seconds.
    pub verified: u64,
    /// All its files.
    pub files: Vec<Stored>,
}

/// Held while a model is fetched or removed; released on drop, and by the
/// system when the process ends in any way.
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

/// The cache folder.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

const RECEIPT: &str = "receipt.json";

impl Store {
    /// The cache in a folder.
    pub fn open(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder of the model `name` (a catalogue name or a hub id).
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join("models").join(key(name))
    }

    pub(crate) fn staging(&self, name: &str, source: &str) -> PathBuf {
        self.folder(name).join(".partial").join(source)
    }

    /// Bytes of unfinished downloads of the model.
    pub fn partial_bytes(&self, name: &str) -> u64 {
        tree_bytes(&self.folder(name).join(".partial"))
    }

    /// Waits until no other process or thread works on the model.
    pub(crate) fn lock(&self, name: &str, progress: &dyn Progress) -> Result<Lock, ProvisionError> {
        let folder = self.root.join("locks");
        fs::create_dir_all(&folder).map_err(|e| ProvisionError::io("cannot create", &folder, e))?;
        let path = folder.join(format!("{}.lock", key(name)));
        let fail = |e| ProvisionError::io("cannot lock", &path, e);
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.note(&format!("another process is busy with {name}; waiting for it"));
                file.lock().map_err(fail)?;
            }
            Err(TryLockError::Error(e)) => return Err(fail(e)),
        }
        Ok(Lock(file))
    }

    /// The receipt of a whole model: present, and its files have their sizes.
    /// A damaged receipt counts as none, and the model is fetched again.
    pub fn receipt(&self, name: &str) -> Option<Receipt> {
        let folder = self.folder(name);
        let whole =
            |f: &Stored| fs::metadata(folder.join(&f.path)).is_ok_and(|m| m.len() == f.bytes);
        self.read_receipt(name).filter(|r| r.files.iter().all(whole))
    }

    /// The receipt, whether or not the files are as it says.
    pub(crate) fn read_receipt(&self, name: &str) -> Option<Receipt> {
        let text = fs::read(self.folder(name).join(RECEIPT)).ok()?;
        let receipt: Receipt = serde_json::from_slice(&text).ok()?;
        // A folder may have come from another machine: it must not name files elsewhere.
        let plain = receipt.files.iter().all(|f| is_plain(&f.path));
        (plain && key(&receipt.name) == key(name)).then_some(receipt)
    }

    /// Moves the staged files into place and writes the receipt.
    pub(crate) fn commit(&self, staging: &Path, receipt: &Receipt) -> Result<(), ProvisionError> {
        let folder = self.folder(&receipt.name);
        let old = self.read_receipt(&receipt.name);
        // Without a receipt nobody takes the folder for whole while it changes.
        remove_file(&folder.join(RECEIPT))?;
        for file in &receipt.files {
            let (from, to) = (staging.join(&file.path), folder.join(&file.path));
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)
                    .map_err(|e| ProvisionError::io("cannot create", parent, e))?;
            }
            fs::rename(&from, &to).map_err(|e| ProvisionError::io("cannot rename", &from, e))?;
        }
        for stale in old
            .iter()
            .flat_map(|r| &r.files)
            .filter(|o| receipt.files.iter().all(|f| f.path != o.path))
        {
            remove_file(&folder.join(&stale.path))?;
        }
        self.write_receipt(receipt)?;
        let partial = folder.join(".partial");
        // The model is whole; what is left of it aside is only litter.
        let _ = fs::remove_dir_all(partial);
        Ok(())
    }

    pub(crate) fn write_receipt(&self, receipt: &Receipt) -> Result<(), ProvisionError> {
        let folder = self.folder(&receipt.name);
        let (aside, path) = (folder.join(".receipt.part"), folder.join(RECEIPT));
        let text = serde_json::to_vec_pretty(receipt).map_err(|e| ProvisionError::BadManifest {
            file: RECEIPT.to_owned(),
            detail: e.to_string(),
        })?;
        fs::write(&aside, text).map_err(|e| ProvisionError::io("cannot write", &aside, e))?;
        fs::rename(&aside, &path).map_err(|e| ProvisionError::io("cannot rename", &aside, e))
    }

    /// Takes away the empty folders that a failed download leaves.
    pub(crate) fn tidy(&self, name: &str) {
        remove_empty(&self.folder(name));
    }

    /// Deletes the model's folder, unfinished downloads included; the bytes
    /// that frees. The caller holds the lock.
    pub(crate) fn remove(&self, name: &str) -> Result<u64, ProvisionError> {
        let folder = self.folder(name);
        if !folder.is_dir() {
            return Err(ProvisionError::NotPresent(name.to_owned()));
        }
        let bytes = tree_bytes(&folder);
        remove_file(&folder.join(RECEIPT))?;
        fs::remove_dir_all(&folder).map_err(|e| ProvisionError::io("cannot remove", &folder, e))?;
        Ok(bytes)
    }

    /// The receipts of all whole models in the cache, by name.
    pub fn receipts(&self) -> Vec<Receipt> {
        let Ok(entries) = fs::read_dir(self.root.join("models")) else {
            return Vec::new();
        };
        let mut found: Vec<Receipt> = entries
            .flatten()
            .filter_map(|entry| self.receipt(entry.file_name().to_str()?))
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }
}

/// Now, in Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// A name as a folder: hub ids have `/` and `:` in them.
fn key(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-._".contains(c) { c.to_string() } else { "--".to_owned() }
    };
    let key: String = name.chars().map(plain).collect();
    // No name may become a hidden folder or climb out of the cache.
    if key.starts_with('.') { format!("_{key}") } else { key }
}

/// Size of all files under a folder; 0 when there is none.
pub(crate) fn tree_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(m) if m.is_dir() => tree_bytes(&entry.path()),
        Ok(m) => m.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

/// Removes a folder if nothing but empty folders is in it.
fn remove_empty(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    // Fails when something is in it, which is what is wanted.
    let _ = fs::remove_dir(folder);
}

fn remove_file(path: &Path) -> Result<(), ProvisionError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(ProvisionError::io("cannot remove", path, e))
        }
        _ => Ok(()),
    }
}
