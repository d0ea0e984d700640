//! Safetensors files, one or sharded, from memory maps.

mod experts;
mod float8;
pub mod names;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};

use self::names::Alias;
use super::config::Float8Format;
use super::error::LoadError;
use super::experts::ExpertName;
use super::rows::{in_halves, is_turned};
use super::weights::{Purpose, TensorSource, from_bytes, from_float8};
use crate::backend::kernels::mmap;
use crate::backend::linear::Weight;

struct Entry {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    range: std::ops::Range<usize>,
}

/// Some rows of a tensor in a file.
struct Rows<'a> {
    /// The tensor's own.
    name: &'a str,
    entry: &'a Entry,
    bytes: &'a [u8],
    shape: Vec<usize>,
    /// The first of them in the tensor, or in the matrix of their expert.
    first: usize,
    /// Whose they are, in a tensor of all experts.
    expert: Option<usize>,
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
    /// How matrices of eight-bit floats are stored, if it is said.
    float8: Option<Float8Format>,
    /// Tensors, but for the scales of others.
    len: usize,
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
        let mut file =
            Self { shards, entries, names: Box::new(names), pairs: None, float8: None, len: 0 };
        file.len = file.entries.keys().filter(|name| !file.is_scale(name)).count();
        Ok(file)
    }

    /// Says that the files turn neighbouring columns of a head of q and k
    /// against each other; `None` for halves, as our rotary embedding does.
    #[must_use]
    pub fn turning_neighbours(self, head_dim: Option<usize>) -> Self {
        Self { pairs: head_dim, ..self }
    }

    /// Makes a weight, which a model asks for by `name`, of rows of a file.
    fn place(
        &self,
        name: &str,
        rows: &Rows<'_>,
        placed: (&Device, Purpose),
    ) -> Result<Weight, LoadError> {
        let heads = self.pairs.filter(|_| is_turned(name)).map(|head_dim| (name, head_dim));
        // Rows in another number than the model's are refused for their shape.
        let ordered = heads.and_then(|(name, d)| in_halves(name, rows.bytes, &rows.shape, d));
        let bytes = ordered.as_deref().unwrap_or(rows.bytes);
        let plain = match rows.entry.dtype {
            Dtype::F32 => GgmlDType::F32,
            Dtype::F16 => GgmlDType::F16,
            Dtype::BF16 => GgmlDType::BF16,
            other => {
                let kind = float8::kind(other).ok_or_else(|| LoadError::TensorType {
                    name: name.to_owned(),
                    found: format!("{other:?}"),
                    supported: "F32, F16, BF16, F8_E4M3, F8_E5M2",
                })?;
                let matrix = self.read_float8(kind, rows, bytes, heads)?;
                let experts = ExpertName::parse(name).is_some();
                return from_float8(&matrix, &rows.shape, placed, experts);
            }
        };
        from_bytes(bytes, plain, &rows.shape, placed)
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
        let bytes = &self.shards[entry.shard].1[entry.range.clone()];
        let (part, shape) = alias.pieces.cut(bytes, &entry.shape).ok_or_else(|| {
            let (path, _) = &self.shards[entry.shard];
            let reason = format!("tensor {:?} has no {} equal parts", alias.name, alias.pieces.of);
            malformed(path, reason)
        })?;
        let Alias { name: own, pieces } = &alias;
        let height = entry.shape.first().copied().unwrap_or(1);
        let first = height / pieces.of * pieces.first;
        let rows = Rows { name: own, entry, bytes: part, shape, first, expert: None };
        self.place(name, &rows, (device, purpose))
    }

    fn len(&self) -> usize {
        self.len
    }

    fn parameters(&self) -> u64 {
        let numbers = self.entries.iter().filter(|(name, _)| !self.is_scale(name));
        numbers.map(|(_, e)| e.shape.iter().product::<usize>() as u64).sum()
    }

    fn storage(&self) -> String {
        let mut counts: Vec<(Dtype, usize)> = Vec::new();
        for entry in self.entries.values() {
            let count = entry.shape.iter().product::<usize>();
            match counts.iter_mut().find(|(dtype, _)| *dtype == entry.dtype) {
                Some((_, sum)) => *sum += count,
                None => counts.push((entry.dtype, count)),
            }
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map_or_else(String::new, |(dtype, _)| format!("{dtype:?}"))
    }
}
