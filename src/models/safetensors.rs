//! Safetensors files, one or sharded, from memory maps.

mod experts;
pub mod names;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};

use self::names::Alias;
use super::error::LoadError;
use super::rows::{in_halves, is_turned};
use super::weights::{Purpose, TensorSource, from_bytes};
use crate::backend::kernels::mmap;
use crate::backend::linear::Weight;

struct Entry {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    range: std::ops::Range<usize>,
}

/// For a name a model asks for, what a file may call it.
type Names = Box<dyn Fn(&str) -> Vec<Alias>>;

/// All tensors of a model's safetensors files.
pub struct Safetensors {
    shards: Vec<(PathBuf, Mmap)>,
    entries: HashMap<String, Entry>,
    /// From the name a model asks for to the names a file may use.
    names: Names,
    /// Columns of a head of q and k, when the file turns neighbours.
    pairs: Option<usize>,
}

impl Safetensors {
    /// Maps `paths` and reads their headers. `names` lists, for a name a model
    /// asks for, what the file may call it.
    ///
    /// # Errors
    /// A file that cannot be read, is malformed, or repeats a tensor.
    pub fn open(
        paths: &[PathBuf],
        names: impl Fn(&str) -> Vec<Alias> + 'static,
    ) -> Result<Self, LoadError> {
        let mut shards = Vec::new();
        let mut entries = HashMap::new();
        for (shard, path) in paths.iter().enumerate() {
            let map =
                mmap::map(path).map_err(|source| LoadError::Io { path: path.clone(), source })?;
            for (name, entry) in header(&map, shard).map_err(|reason| malformed(path, reason))? {
                if entries.insert(name.clone(), entry).is_some() {
                    return Err(malformed(path, format!("tensor {name:?} is in two files")));
                }
            }
            shards.push((path.clone(), map));
        }
        Ok(Self { shards, entries, names: Box::new(names), pairs: None })
    }

    /// Says that the files turn neighbouring columns of a head of q and k
    /// against each other; `None` for halves, as our rotary embedding does.
    #[must_use]
    pub fn turning_neighbours(self, head_dim: Option<usize>) -> Self {
        Self { pairs: head_dim, ..self }
    }

    fn find(&self, name: &str) -> Option<(Alias, &Entry)> {
        (self.names)(name).into_iter().find_map(|alias| {
            let entry = self.entries.get(&alias.name)?;
            Some((alias, entry))
        })
    }
}

fn malformed(path: &Path, reason: impl Into<String>) -> LoadError {
    LoadError::Malformed { path: path.to_owned(), reason: reason.into() }
}

fn header(map: &[u8], shard: usize) -> Result<Vec<(String, Entry)>, String> {
    // Checks that every range lies in the file and fits its shape.
    let file = SafeTensors::deserialize(map).map_err(|e| format!("not a safetensors file: {e}"))?;
    let base = map.as_ptr() as usize;
    Ok(file
        .iter()
        .map(|(name, view)| {
            let start = view.data().as_ptr() as usize - base;
            let entry = Entry {
                shard,
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                range: start..start + view.data().len(),
            };
            (name.to_owned(), entry)
        })
        .collect())
}

impl TensorSource for Safetensors {
    fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn read(&self, name: &str, device: &Device, purpose: Purpose) -> Result<Weight, LoadError> {
        if let Some(matrix) = self.read_expert(name, device, purpose) {
            return matrix;
        }
        let (alias, entry) = self.find(name).ok_or_else(|| LoadError::MissingTensor {
            name: (self.names)(name).into_iter().next().map_or_else(|| name.to_owned(), |a| a.name),
        })?;
        let dtype = match entry.dtype {
            Dtype::F32 => GgmlDType::F32,
            Dtype::F16 => GgmlDType::F16,
            Dtype::BF16 => GgmlDType::BF16,
            other => {
                return Err(LoadError::TensorType {
                    name: name.to_owned(),
                    found: format!("{other:?}"),
                    supported: "F32, F16, BF16",
                });
            }
        };
        let bytes = &self.shards[entry.shard].1[entry.range.clone()];
        let (part, shape) = alias.pieces.cut(bytes, &entry.shape).ok_or_else(|| {
            let (path, _) = &self.shards[entry.shard];
            let reason = format!("tensor {:?} has no {} equal parts", alias.name, alias.pieces.of);
            malformed(path, reason)
        })?;
        let pairs = self.pairs.filter(|_| is_turned(name));
        let ordered = pairs.and_then(|head_dim| in_halves(name, part, &shape, head_dim));
        // Rows in another number than the model's are refused for their shape.
        let part = ordered.as_deref().unwrap_or(part);
        from_bytes(part, dtype, &shape, (device, purpose))
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn parameters(&self) -> u64 {
        self.entries.values().map(|e| e.shape.iter().product::<usize>() as u64).sum()
    }

    fn storage(&self) -> String {
        self.entries
            .values()
            .max_by_key(|e| e.range.len())
            .map_or_else(String::new, |e| format!("{:?}", e.dtype))
    }
}
