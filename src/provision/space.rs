//! Free space, asked for before a download is begun: an error after nine
//! tenths of four gigabytes is one too late.

use std::path::Path;

use super::ProvisionError;

/// Kept free beyond what is asked for, in bytes: a disk filled to the last
/// block harms everything else on the machine.
const MARGIN: u64 = 64 << 20;

/// Bytes free for this user on the file system of `path` or of its nearest
/// existing ancestor. `None` where the system does not say.
#[cfg(unix)]
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|p| p.exists())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Not known here; a full disk is reported when a write fails.
#[cfg(not(unix))]
pub(crate) fn free_bytes(_path: &Path) -> Option<u64> {
    None
}

/// An error when `needed` bytes do not fit beside `path`.
pub(crate) fn ensure(path: &Path, needed: u64) -> Result<(), ProvisionError> {
    match free_bytes(path) {
        Some(free) if free < needed.saturating_add(MARGIN) => {
            Err(ProvisionError::DiskFull { path: path.to_owned(), needed, free: Some(free) })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_refused_with_both_numbers() {
        let here = std::env::temp_dir().join("not/there/yet");
        assert!(ensure(&here, 1).is_ok());
        let error = ensure(&here, 1 << 60).unwrap_err();
        if cfg!(unix) {
            let ProvisionError::DiskFull { needed, free: Some(free), .. } = &error else {
                panic!("{error}")
            };
            assert!(*needed == 1 << 60 && *free > 0);
            assert!(
                error.to_string().contains("needed") && error.to_string().contains("free"),
                "{error}"
            );
        }
    }
}
