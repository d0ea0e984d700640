//! What a loaded model was made of, by which it can be known again.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::handle::{Engine, ModelKind};
use super::load::EngineOptions;
use super::source::ModelSource;
use crate::backend::KvDtype;
use crate::backend::kernels::packed::best_level;

/// A file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHash {
    /// What the model needs it for: "weights", "tokenizer".
    pub role: &'static str,
    /// Without its folder, but for layers that have one of their own.
    pub name: String,
    pub bytes: u64,
    /// In lower-case hex.
    pub sha256: String,
}

/// What a model was made of, and what of its settings can change its results.
#[derive(Debug, Clone)]
pub struct Provenance {
    pub files: Vec<FileHash>,
    /// SHA-256 of the chat template, wherever it stands.
    pub chat_template: Option<String>,
    /// What became of weights that are not quantized in their file.
    pub quantize: String,
    /// How keys and values are cached, by a model that writes.
    pub kv_cache_dtype: Option<&'static str>,
    /// The best instructions that kernels use, on the CPU.
    pub instructions: Option<&'static str>,
}

/// A file cannot be read, or is not what was loaded.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ProvenanceError(String);

/// The files of a model as they were when it was loaded.
#[derive(Default)]
pub(super) struct Origin {
    source: ModelSource,
    files: Vec<Seen>,
    quantize: String,
    kv_dtype: KvDtype,
    found: OnceLock<Arc<Provenance>>,
}

/// A file, and by what a change of it shows.
struct Seen {
    role: &'static str,
    name: String,
    path: PathBuf,
    state: Option<State>,
}

type State = (u64, Option<SystemTime>);

fn state(path: &Path) -> Option<State> {
    let found = path.metadata().ok()?;
    Some((found.len(), found.modified().ok()))
}

impl Origin {
    pub fn of(source: &ModelSource, options: &EngineOptions) -> Self {
        let mut files: Vec<(&'static str, PathBuf)> =
            source.paths.weights.iter().map(|path| ("weights", path.clone())).collect();
        files.extend(source.paths.config.iter().map(|path| ("config", path.clone())));
        for (role, path) in [
            ("tokenizer", &source.tokenizer),
            ("tokenizer_config", &source.tokenizer_config),
            ("chat_template", &source.chat_template),
            ("generation_config", &source.generation_config),
            ("pooling", &source.pooling_config),
            ("modules", &source.modules_config),
            ("prompts", &source.prompts_config),
        ] {
            files.extend(path.iter().map(|path| (role, path.clone())));
        }
        if source.tokenizer.is_none() {
            files.extend(source.tokenizer_files().into_iter().map(|path| ("tokenizer", path)));
        }
        let mut files: Vec<Seen> = (files.into_iter())
            .map(|(role, path)| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Seen { role, name, state: state(&path), path }
            })
            .collect();
        // What is wrong with it was said when the model was loaded.
        let modules = source.listed_modules().ok().flatten();
        for folder in modules.iter().flat_map(|modules| &modules.dense) {
            let within = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for file in ["config.json", "model.safetensors"] {
                let path = folder.join(file);
                let (name, state) = (format!("{within}/{file}"), state(&path));
                files.push(Seen { role: "dense", name, path, state });
            }
        }
        Self {
            source: source.clone(),
            files,
            quantize: options.quantize.to_string(),
            kv_dtype: options.kv_dtype,
            found: OnceLock::new(),
        }
    }

    fn provenance(&self, kind: ModelKind, device: &str) -> Result<Provenance, ProvenanceError> {
        let template = self.source.template_text();
        let template = template.map_err(|error| ProvenanceError(error.to_string()))?;
        let writes = matches!(kind, ModelKind::Generation | ModelKind::Translation);
        Ok(Provenance {
            files: self.files.iter().map(Seen::hash).collect::<Result<_, _>>()?,
            chat_template: template.map(|text| hex(Sha256::digest(text.as_bytes()))),
            quantize: self.quantize.clone(),
            kv_cache_dtype: writes.then_some(self.kv_dtype.name()),
            instructions: (device == "cpu").then(|| best_level().name()),
        })
    }
}

impl Seen {
    fn hash(&self) -> Result<FileHash, ProvenanceError> {
        let failed = |error: std::io::Error| {
            ProvenanceError(format!("{} cannot be read: {error}", self.path.display()))
        };
        if self.state.is_none() || state(&self.path) != self.state {
            return Err(ProvenanceError(format!(
                "{} is not the file that was loaded any more; start again with the one that is \
                 to be used",
                self.path.display()
            )));
        }
        Ok(FileHash {
            role: self.role,
            name: self.name.clone(),
            bytes: self.state.map_or(0, |(bytes, _)| bytes),
            sha256: hash_file(&self.path).map_err(failed)?,
        })
    }
}

/// SHA-256 of a file in lower-case hex. One that was read in this process and has
/// its size and time of change still is not read again.
///
/// # Errors
/// It cannot be read.
pub fn hash_file(path: &Path) -> std::io::Result<String> {
    type Known = HashMap<(PathBuf, Option<State>), String>;
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (path.to_owned(), state(path));
    if let Some(found) = known().get(&key) {
        return Ok(found.clone());
    }
    let (mut file, mut hasher) = (std::fs::File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    let found = hex(hasher.finalize());
    known().insert(key, found.clone());
    Ok(found)
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Engine {
    /// What the model was made of. Reads all its files the first time, so it
    /// belongs on a blocking thread.
    ///
    /// # Errors
    /// A file cannot be read, or has changed since it was loaded.
    pub fn provenance(&self) -> Result<Arc<Provenance>, ProvenanceError> {
        let origin = &self.inner.origin;
        if let Some(found) = origin.found.get() {
            return Ok(found.clone());
        }
        let info = self.info();
        let found = Arc::new(origin.provenance(info.kind, &info.device)?);
        Ok(origin.found.get_or_init(|| found).clone())
    }

    /// Whether the same requests always have the same results, to the last bit;
    /// if not, why.
    ///
    /// # Errors
    /// What changes them, in words that go on from "the model".
    pub fn repeats(&self) -> Result<(), String> {
        let info = self.info();
        if info.device != "cpu" {
            let (id, device) = (&info.id, &info.device);
            return Err(format!(
                "{id} runs on {device}, whose sums depend on what shares a step; load it on the CPU"
            ));
        }
        match self.chat_template().is_some_and(|template| template.reads_clock()) {
            true => Err(format!("{} is told the date by its chat template", info.id)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ModelPaths;

    #[test]
    fn files_are_known_by_their_content_and_changes_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, b"abc").unwrap();
        let source = ModelSource {
            paths: ModelPaths { weights: vec![path.clone()], config: None },
            ..ModelSource::default()
        };
        let origin = Origin::of(&source, &EngineOptions::default());
        let found = origin.files[0].hash().unwrap();
        // FIPS 180-2, B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((found.role, &*found.name, found.bytes), ("weights", "model.safetensors", 3));
        assert_eq!(found.sha256, expected);
        std::fs::write(&path, b"abcd").unwrap();
        let error = origin.files[0].hash().unwrap_err().to_string();
        assert!(error.contains("not the file that was loaded"), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(origin.files[0].hash().is_err());
    }
}
