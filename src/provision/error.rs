//! What can go wrong between a model's name and its files on disk.
//!
//! Every message says what happened and what to do about it: these are read by
//! people at the start of their first session, often at sites with no access
//! to the hub, a proxy in between, or a full disk.

use std::path::{Path, PathBuf};

/// Why a model's files could not be provided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The word is no catalogue name, no existing path and no hub id.
    #[error(
        "no model named `{spec}`: it is not in the catalogue{}, there is no such file or folder, and it is not a hub id \
         (owner/name); `dragoman models` lists the catalogue",
        .nearest.as_deref().map(|n| format!(" (did you mean `{n}`?)")).unwrap_or_default()
    )]
    UnknownModel {
        /// What was asked for.
        spec: String,
        /// The catalogue name most like it, when one is close.
        nearest: Option<String>,
    },
    /// Every source of the model was tried and none could give it.
    #[error("could not get `{name}`:{}", list(.attempts.iter().map(|(s, e)| format!("{s}: {e}"))))]
    NoSource {
        /// The model.
        name: String,
        /// Each source in the order tried, with its error.
        attempts: Vec<(String, ProvisionError)>,
    },
    /// None of a preference list could be provided.
    #[error("none of the preferred models could be provided:{}", list(.0.iter().map(|s| format!("{}: {}", s.name, s.why))))]
    NoneAvailable(Vec<super::Skipped>),
    /// Offline was asked for and the files are not here.
    #[error(
        "`{name}` is not on this machine and offline is set: run `dragoman pull {name}` where there is a network and \
         copy the folder to {}, or name a local .gguf file or model folder instead", .folder.display()
    )]
    Offline {
        /// The model.
        name: String,
        /// Where its folder would have to be.
        folder: PathBuf,
    },
    /// A source is switched off in the configuration.
    #[error("switched off by {by}")]
    SwitchedOff {
        /// The configuration key or environment variable.
        by: &'static str,
    },
    /// The bytes are not the bytes that were promised. The file is gone again.
    #[error("{file}: sha256 is {actual}, expected {expected}; the file was deleted")]
    WrongHash {
        /// The file within the model.
        file: String,
        /// Lower-case hex.
        expected: String,
        /// Lower-case hex.
        actual: String,
    },
    /// The file is shorter or longer than promised. The file is gone again.
    #[error("{file}: {actual} bytes, expected {expected}; the file was deleted")]
    WrongSize {
        /// The file within the model.
        file: String,
        /// Bytes.
        expected: u64,
        /// Bytes.
        actual: u64,
    },
    /// The disk cannot hold the model. What was half written is gone again.
    #[error(
        "not enough disk space at {}: {} needed{}; free some, or set provision.cache_dir to a larger disk",
        .path.display(), size(*.needed), .free.map(|f| format!(", {} free", size(f))).unwrap_or_default()
    )]
    DiskFull {
        /// Where it was to be written.
        path: PathBuf,
        /// Bytes still to be written.
        needed: u64,
        /// Bytes free, where the system says.
        free: Option<u64>,
    },
    /// The program named by `provision.pip` does not exist.
    #[error(
        "`{program}` was not found: install Python 3 with pip, or set provision.pip to the command that runs yours, \
         e.g. [\"/path/to/python\", \"-m\", \"pip\"]"
    )]
    NoPython {
        /// The program that could not be started.
        program: String,
    },
    /// Python is there, pip is not.
    #[error(
        "`{program}` has no pip: install it (`{program} -m ensurepip`, or the system's python3-pip package), or set provision.pip"
    )]
    NoPip {
        /// The interpreter.
        program: String,
    },
    /// The package index answered, and has no such package or version.
    #[error(
        "the package index has no wheel of {package}=={version}; it may lag behind or filter packages: ask its keeper, or use another source"
    )]
    NoPackage {
        /// Package name.
        package: String,
        /// Exact version.
        version: String,
    },
    /// The package index did not answer.
    #[error(
        "pip could not reach the package index for {package}: {detail}; check the network, the proxy and pip's own settings (`pip config list`)"
    )]
    IndexUnreachable {
        /// Package name.
        package: String,
        /// pip's words.
        detail: String,
    },
    /// pip failed for some other reason.
    #[error("pip could not download {package} ({status}): {detail}")]
    PipFailed {
        /// Package name.
        package: String,
        /// Exit status.
        status: String,
        /// The last lines pip said.
        detail: String,
    },
    /// What pip brought is not the wheel that was expected.
    #[error("the wheel of {package} is not as expected: {detail}")]
    BadWheel {
        /// Package name.
        package: String,
        /// What is wrong.
        detail: String,
    },
    /// The hub did not answer in time, or at all.
    #[error("{endpoint} could not be reached: {detail}")]
    HubUnreachable {
        /// Base address of the hub.
        endpoint: String,
        /// What the connection said.
        detail: String,
    },
    /// The hub refuses: gated, private, or a bad token.
    #[error(
        "the hub refuses access to {repo} (HTTP {status}): either the name is misspelt, or the model is private or its terms have to be accepted on its page first; then set HF_TOKEN"
    )]
    HubDenied {
        /// owner/name.
        repo: String,
        /// 401 or 403.
        status: u16,
    },
    /// The hub has no such repository or revision.
    #[error("the hub has no model {repo}{}; a private one needs HF_TOKEN", .revision.as_deref().map(|r| format!(" at revision {r}")).unwrap_or_default())]
    HubNotFound {
        /// owner/name.
        repo: String,
        /// Unless it is the default branch.
        revision: Option<String>,
    },
    /// Anything else the hub said.
    #[error("the hub failed for {repo}: {detail}")]
    HubFailed {
        /// owner/name.
        repo: String,
        /// The error as hf-hub or HTTP gave it.
        detail: String,
    },
    /// A repository or folder with several models in it, and no choice made.
    #[error("{place} holds several models; name one of:{}", list(.options.iter().cloned()))]
    Choose {
        /// Repository or folder.
        place: String,
        /// What could be asked for instead.
        options: Vec<String>,
    },
    /// Nothing there looks like a model.
    #[error("{place}: {detail}")]
    NoModel {
        /// Repository, folder or file.
        place: String,
        /// What was looked for.
        detail: String,
    },
    /// A built-in manifest or a receipt does not read.
    #[error("{file}: {detail}")]
    BadManifest {
        /// Which one.
        file: String,
        /// The parser's words.
        detail: String,
    },
    /// The model is not in the cache, so there is nothing to verify or remove.
    #[error("`{0}` is not in the cache; `dragoman models` lists what is")]
    NotPresent(String),
    /// No place for the cache: no home folder is known.
    #[error("no cache folder is known for this user: set provision.cache_dir")]
    NoCacheDir,
    /// The file system refused.
    #[error("{action} {}: {source}", .path.display())]
    Io {
        /// What was being done, e.g. "cannot write".
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl ProvisionError {
    /// The reasons alone, on one line: for logs, where the model is named by
    /// what stands around it.
    pub fn brief(&self) -> String {
        match self {
            Self::NoSource { attempts, .. } => {
                let each =
                    attempts.iter().map(|(source, error)| format!("{source}: {}", error.brief()));
                each.collect::<Vec<_>>().join("; ")
            }
            other => other.to_string(),
        }
    }

    /// Wraps an I/O error; a full disk becomes [`ProvisionError::DiskFull`].
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::StorageFull {
            let free = super::space::free_bytes(path);
            return Self::DiskFull { path: path.to_owned(), needed: 0, free };
        }
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// `1.5 GB`, `90.9 MB`, `12 kB`: decimal units, as download pages use them.
pub fn size(bytes: u64) -> String {
    match bytes {
        b if b >= 1_000_000_000 => format!("{:.1} GB", b as f64 / 1e9),
        b if b >= 1_000_000 => format!("{:.1} MB", b as f64 / 1e6),
        b if b >= 1_000 => format!("{:.0} kB", b as f64 / 1e3),
        b => format!("{b} bytes"),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.map(|item| format!("\n  - {}", item.replace('\n', "\n    "))).collect()
}
