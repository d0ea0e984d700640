//! Embeddings of documents that were searched before, on disk, so that the same
//! folder is embedded once.
//!
//! A model is known by the vector of a text that is always the same, and a document
//! by the tokens of its passages: what is found is what would be computed again,
//! to the last bit. A file has the vectors of a document end to end, in 32 bits,
//! little endian, and their SHA-256.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use sha2::{Digest, Sha256};

use crate::documents::search::{Cut, Encoder};
use crate::engine::Engine;

/// Bytes of all embeddings that are kept; those that were not used for longest
/// make room.
const MOST: u64 = 1 << 30;

/// The embeddings that one model made.
pub struct Cache {
    root: PathBuf,
    folder: PathBuf,
    /// Length of a vector.
    width: usize,
}

impl Cache {
    /// Of a model, within a folder for those of all models.
    ///
    /// # Errors
    /// The model fails.
    pub async fn of(engine: &Engine, root: &Path) -> anyhow::Result<Self> {
        let encoder = Encoder::of(engine).await?;
        let model = hex(&Sha256::digest(serde_json::to_vec(&encoder)?));
        let (root, folder) = (root.to_owned(), root.join(model));
        Ok(Self { root, folder, width: encoder.dimensions })
    }

    /// The vectors of a document, if they are there and whole.
    pub fn get(&self, passages: &[Cut]) -> Option<Vec<f32>> {
        let path = self.file(passages);
        let stored = std::fs::read(&path).ok()?;
        let (vectors, hash) = stored.split_at_checked(passages.len() * self.width * 4)?;
        if *hash != Sha256::digest(vectors)[..] {
            return None;
        }
        // Where it cannot be noted that they are used, they go the sooner.
        let _ = std::fs::File::options()
            .append(true)
            .open(&path)
            .and_then(|file| file.set_modified(SystemTime::now()));
        let (numbers, _) = vectors.as_chunks::<4>();
        Some(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
    }

    /// Keeps the vectors of a document.
    ///
    /// # Errors
    /// The folder cannot be written, or the disk is full.
    pub fn put(&self, passages: &[Cut], vectors: &[f32]) -> anyhow::Result<()> {
        let failed = || format!("embeddings cannot be kept in {}", self.root.display());
        self.write(passages, vectors).with_context(failed)
    }

    fn write(&self, passages: &[Cut], vectors: &[f32]) -> std::io::Result<()> {
        private(&self.folder)?;
        let mut bytes: Vec<u8> = vectors.iter().flat_map(|x| x.to_le_bytes()).collect();
        let hash = Sha256::digest(&bytes);
        bytes.extend_from_slice(&hash);
        let path = self.file(passages);
        // Written aside, so that no other process finds a part of it.
        let aside = path.with_extension(format!("{}.part", std::process::id()));
        let written = std::fs::File::create(&aside).and_then(|mut file| file.write_all(&bytes));
        let moved = written.and_then(|()| std::fs::rename(&aside, &path));
        if moved.is_err() {
            // It was not there, or is of no use.
            let _ = std::fs::remove_file(&aside);
        }
        moved
    }

    fn file(&self, passages: &[Cut]) -> PathBuf {
        let mut hash = Sha256::new();
        for cut in passages {
            hash.update((cut.tokens.len() as u64).to_le_bytes());
            cut.tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
        }
        self.folder.join(hex(&hash.finalize()))
    }

    /// Deletes what was not used for longest, of all models, beyond what is kept.
    pub fn make_room(&self) {
        make_room(&self.root, MOST);
    }
}

/// Makes a folder that only its owner reads: embeddings tell what texts are about.
fn private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

fn make_room(root: &Path, most: u64) {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files = Vec::new();
    for file in entries(root).flat_map(|model| entries(&model.path())) {
        if let Ok(about) = file.metadata() {
            files.push((about.modified().ok(), about.len(), file.path()));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files {
        if total <= most {
            break;
        }
        // Another process may have been first.
        let _ = std::fs::remove_file(path);
        total -= bytes;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::documents::search::{by_length, passages};
    use crate::documents::source::{Paragraph, Source};

    fn cut(text: &str) -> Vec<Cut> {
        let paragraph = Paragraph { id: String::new(), text: text.to_owned() };
        passages(&Source::new(vec![paragraph]), None, 400, by_length).unwrap()
    }

    #[test]
    fn what_is_damaged_or_of_another_document_is_not_found() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| Cache {
            root: root.path().to_owned(),
            folder: root.path().join(name),
            width: 2,
        };
        let (cache, law) = (at("model"), cut("Nobody is above the law."));
        assert_eq!(cache.get(&law), None);
        cache.put(&law, &[0.6, -0.8]).unwrap();
        assert_eq!(cache.get(&law), Some(vec![0.6, -0.8]));
        assert_eq!(cache.get(&cut("Nobody is above the law of the sea.")), None);
        assert_eq!(at("another").get(&law), None);
        assert_eq!(Cache { width: 1, ..at("model") }.get(&law), None);
        let path = cache.file(&law);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[1] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(cache.get(&law), None);
        std::fs::write(&path, &bytes[..7]).unwrap();
        assert_eq!(cache.get(&law), None);
        cache.put(&law, &[0.6, -0.8]).unwrap();
        assert_eq!(cache.get(&law), Some(vec![0.6, -0.8]));
        assert_eq!(std::fs::read_dir(&cache.folder).unwrap().count(), 1, "nothing lies beside it");
    }

    #[test]
    fn those_not_used_for_longest_go_first() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        let cache = Cache { root: root.path().to_owned(), folder, width: 1 };
        let documents = [cut("one"), cut("the second one"), cut("the third and the last of them")];
        for (document, hours) in documents.iter().zip([3u64, 2, 1]) {
            cache.put(document, &[1.0]).unwrap();
            let file = std::fs::File::options().append(true).open(cache.file(document)).unwrap();
            let then = SystemTime::now() - Duration::from_secs(3600 * hours);
            file.set_modified(then).unwrap();
        }
        let there = || documents.each_ref().map(|document| cache.file(document).exists());
        make_room(root.path(), 3 * 36);
        assert_eq!(there(), [true, true, true]);
        // The first is used again.
        assert!(cache.get(&documents[0]).is_some());
        make_room(root.path(), 2 * 36);
        assert_eq!(there(), [true, false, true]);
    }
}
