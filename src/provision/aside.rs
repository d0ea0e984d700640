//! Files written aside: hashed as they are written, checked, then renamed.
//!
//! A file of the final name is whole and checked; one that is not has the
//! extra suffix `.part`, and what it holds so far can be gone on from.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ProvisionError;
use super::verify::{hash_into, hex};

/// A file being written.
pub(crate) struct Aside {
    file: File,
    part: PathBuf,
    done: PathBuf,
    /// Path within the model, for messages.
    name: String,
    hasher: Sha256,
    written: u64,
    /// Size it will have, for the message when the disk is full.
    expected: Option<u64>,
}

/// Bytes already written of `name`, whole or not.
pub(crate) fn part_len(staging: &Path, name: &str) -> u64 {
    fs::metadata(part_path(staging, name)).map_or(0, |m| m.len())
}

fn part_path(staging: &Path, name: &str) -> PathBuf {
    staging.join(format!("{name}.part"))
}

impl Aside {
    /// Opens `name` in the folder `staging` for writing, keeping at most its
    /// first `keep` bytes from an earlier try.
    pub(crate) fn open(
        staging: &Path,
        name: &str,
        keep: u64,
        expected: Option<u64>,
    ) -> Result<Self, ProvisionError> {
        let (part, done) = (part_path(staging, name), staging.join(name));
        if let Some(folder) = part.parent() {
            fs::create_dir_all(folder)
                .map_err(|e| ProvisionError::io("cannot create", folder, e))?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&part);
        let file = file.map_err(|e| ProvisionError::io("cannot write", &part, e))?;
        let mut aside = Self {
            file,
            part,
            done,
            name: name.to_owned(),
            hasher: Sha256::new(),
            written: 0,
            expected,
        };
        aside.rewind_to(keep).map_err(|e| ProvisionError::io("cannot read", &aside.part, e))?;
        Ok(aside)
    }

    fn rewind_to(&mut self, keep: u64) -> std::io::Result<()> {
        let keep = keep.min(self.file.metadata()?.len());
        self.file.set_len(keep)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Sha256::new();
        self.written = hash_into(&mut self.file, keep, &mut self.hasher, |_| {})?;
        Ok(())
    }

    /// Bytes written so far, those of an earlier try included.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Appends. When the disk is full the file is deleted, since a half file
    /// is what fills it.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ProvisionError> {
        if let Err(source) = self.file.write_all(bytes) {
            return Err(self.failed(source));
        }
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn failed(&self, source: std::io::Error) -> ProvisionError {
        if source.kind() != std::io::ErrorKind::StorageFull {
            return ProvisionError::io("cannot write", &self.part, source);
        }
        let free = super::space::free_bytes(&self.part);
        let _ = fs::remove_file(&self.part);
        let needed = self.expected.unwrap_or(0).saturating_sub(self.written);
        ProvisionError::DiskFull { path: self.part.clone(), needed, free }
    }

    /// Checks size and hash and gives the file its name; its sha256. A file
    /// that fails the check is deleted.
    pub(crate) fn finish(
        self,
        bytes: Option<u64>,
        sha256: Option<&str>,
    ) -> Result<String, ProvisionError> {
        let actual = hex(self.hasher.clone());
        if let Err(error) = check(&self.name, self.written, &actual, bytes, sha256) {
            let Self { file, part, .. } = self;
            drop(file);
            let _ = fs::remove_file(part);
            return Err(error);
        }
        // The data must be on disk before the name says it is whole.
        if let Err(source) = self.file.sync_data() {
            return Err(self.failed(source));
        }
        fs::rename(&self.part, &self.done)
            .map_err(|e| ProvisionError::io("cannot rename", &self.part, e))?;
        Ok(actual)
    }

    /// Deletes what there is of an unfinished file.
    pub(crate) fn discard_part(staging: &Path, name: &str) {
        let _ = fs::remove_file(part_path(staging, name));
    }
}

/// Compares a file's facts with what is expected of it.
pub(crate) fn check(
    file: &str,
    actual_bytes: u64,
    actual: &str,
    bytes: Option<u64>,
    sha256: Option<&str>,
) -> Result<(), ProvisionError> {
    let file = file.to_owned();
    if let Some(expected) = bytes.filter(|b| *b != actual_bytes) {
        return Err(ProvisionError::WrongSize { file, expected, actual: actual_bytes });
    }
    match sha256.filter(|s| !s.eq_ignore_ascii_case(actual)) {
        Some(expected) => Err(ProvisionError::WrongHash {
            file,
            expected: expected.to_owned(),
            actual: actual.to_owned(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_file_is_gone_on_from_checked_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Aside::open(folder.path(), "a/b.bin", 0, None).unwrap();
        first.write(b"abX").unwrap();
        drop(first);
        assert_eq!(part_len(folder.path(), "a/b.bin"), 3);
        let mut second = Aside::open(folder.path(), "a/b.bin", 2, None).unwrap();
        assert_eq!(second.written(), 2);
        second.write(b"c").unwrap();
        assert_eq!(second.finish(Some(3), Some(ABC)).unwrap(), ABC);
        assert_eq!(fs::read(folder.path().join("a/b.bin")).unwrap(), b"abc");
        assert_eq!(part_len(folder.path(), "a/b.bin"), 0);
    }

    #[test]
    fn a_wrong_file_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = Aside::open(folder.path(), "b.bin", 0, None).unwrap();
        file.write(b"abd").unwrap();
        let error = file.finish(None, Some(ABC)).unwrap_err().to_string();
        assert!(error.contains(ABC) && error.contains("a52d159f"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
