//! sha256 of files, with progress.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::progress::Meter;
use super::store::Stored;

/// Read in pieces of this many bytes.
pub(crate) const CHUNK: usize = 256 << 10;

/// What a check of one stored file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCheck {
    /// Path within the model's folder.
    pub path: String,
    /// Size on disk, in bytes; `None` when the file is missing.
    pub bytes: Option<u64>,
    /// What is wrong, in words; `None` when the file is as it was provided.
    pub fault: Option<String>,
}

/// Size and sha256 (lower-case hex) of a file. `base` is added to what the
/// meter is told, for checks over several files.
pub(crate) fn hash_file(path: &Path, base: u64, meter: &dyn Meter) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let read =
        hash_into(&mut File::open(path)?, u64::MAX, &mut hasher, |done| meter.set(base + done))?;
    Ok((read, hex(hasher)))
}

/// Compares the files of a model with its receipt.
pub(crate) fn check_all(folder: &Path, files: &[Stored], meter: &dyn Meter) -> Vec<FileCheck> {
    let mut base = 0;
    let mut checks = Vec::new();
    for file in files {
        let (bytes, fault) = match hash_file(&folder.join(&file.path), base, meter) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => (None, Some("is missing".to_owned())),
            Err(e) => (None, Some(format!("cannot be read: {e}"))),
            Ok((bytes, _)) if bytes != file.bytes => {
                (Some(bytes), Some(format!("has {bytes} bytes, expected {}", file.bytes)))
            }
            Ok((bytes, actual)) if actual != file.sha256 => {
                (Some(bytes), Some(format!("has sha256 {actual}, expected {}", file.sha256)))
            }
            Ok((bytes, _)) => (Some(bytes), None),
        };
        base += file.bytes;
        checks.push(FileCheck { path: file.path.clone(), bytes, fault });
    }
    checks
}

/// Feeds at most `limit` bytes of `from` to the hasher; the number it fed.
pub(crate) fn hash_into(
    from: &mut impl Read,
    limit: u64,
    hasher: &mut Sha256,
    mut tell: impl FnMut(u64),
) -> io::Result<u64> {
    let mut from = from.take(limit);
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(done);
        }
        hasher.update(&buffer[..n]);
        done += n as u64;
        tell(done);
    }
}

/// The digest as manifests write it.
pub(crate) fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
