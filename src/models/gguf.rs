//! Reads GGUF files, versions 2 and 3, from a memory map.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. Every
//! length is checked against the file before it is used.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::bytes::Reader;
use super::error::LoadError;
use crate::backend::kernels::mmap;
use crate::backend::kernels::packed::Stored;

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    String(String),
    Strings(Vec<String>),
    Unsigneds(Vec<u64>),
    Signeds(Vec<i64>),
    Floats(Vec<f32>),
    Bools(Vec<bool>),
    /// An array of arrays, which no model we load uses.
    Nested,
}

/// Where and what one tensor is.
#[derive(Debug, Clone)]
pub struct TensorInfo {
    /// Outermost dimension first: (out, in) for a matrix.
    pub shape: Vec<usize>,
    /// GGML's number of the type.
    pub type_id: u32,
    /// From the start of the data part.
    offset: u64,
}

/// An open GGUF file.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    map: Mmap,
    data_start: usize,
    pub metadata: HashMap<String, Value>,
    pub tensors: HashMap<String, TensorInfo>,
}

const MAGIC: &[u8; 4] = b"GGUF";
const MAX_DIMS: u32 = 4;

impl GgufFile {
    /// Maps `path` and reads its header.
    ///
    /// # Errors
    /// Not a GGUF file, a version other than 2 or 3, or a header that does not
    /// fit the file.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let map =
            mmap::map(path).map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
        let malformed = |reason: String| LoadError::Malformed { path: path.to_owned(), reason };
        let header = Header::read(&map).map_err(malformed)?;
        Ok(Self {
            path: path.to_owned(),
            data_start: header.data_start,
            metadata: header.metadata,
            tensors: header.tensors,
            map,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of a tensor, exactly as long as its type and shape say.
    ///
    /// # Errors
    /// The tensor is missing, of an unsupported type, or beyond the file's end.
    pub fn tensor(&self, name: &str) -> Result<(&TensorInfo, Stored, &[u8]), LoadError> {
        let info = self
            .tensors
            .get(name)
            .ok_or_else(|| LoadError::MissingTensor { name: name.to_owned() })?;
        let dtype = Stored::of_ggml(info.type_id).ok_or_else(|| LoadError::TensorType {
            name: name.to_owned(),
            found: type_name(info.type_id),
            supported: "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL, \
                        IQ4_XS; take the model's file in one of them, or make it from a larger \
                        one with llama.cpp's llama-quantize",
        })?;
        let malformed = |reason: String| LoadError::Malformed { path: self.path.clone(), reason };
        let row = info.shape.last().copied().unwrap_or(1);
        if row % dtype.block_size() != 0 {
            return Err(malformed(format!(
                "tensor {name:?}: rows of {row} are no multiple of {}'s block of {}",
                type_name(info.type_id),
                dtype.block_size()
            )));
        }
        let range = info
            .shape
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d))
            .map(|n| n / dtype.block_size())
            .and_then(|blocks| blocks.checked_mul(dtype.type_size()))
            .and_then(|len| {
                let start = self.data_start.checked_add(usize::try_from(info.offset).ok()?)?;
                Some(start..start.checked_add(len)?)
            })
            .filter(|range| range.end <= self.map.len());
        match range {
            // Blocks hold 16-bit scales, plain types up to 32-bit numbers.
            Some(range) if range.start % 4 == 0 => Ok((info, dtype, &self.map[range])),
            Some(_) => Err(malformed(format!("tensor {name:?} is not aligned"))),
            None => Err(malformed(format!(
                "tensor {name:?} of shape {:?} reaches beyond the end of the file; is it truncated?",
                info.shape
            ))),
        }
    }

    /// Gives back the memory that reading these bytes took, which
    /// [`Self::tensor`] gave.
    pub fn forget(&self, bytes: &[u8]) {
        if let Some(start) = (bytes.as_ptr() as usize).checked_sub(self.map.as_ptr() as usize) {
            mmap::forget(&self.map, start..start + bytes.len());
        }
    }

    pub fn string(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key)? {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    pub fn unsigned(&self, key: &str) -> Option<u64> {
        match self.metadata.get(key)? {
            Value::Unsigned(n) => Some(*n),
            Value::Signed(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    pub fn float(&self, key: &str) -> Option<f64> {
        match self.metadata.get(key)? {
            Value::Float(x) => Some(*x),
            _ => None,
        }
    }

    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.metadata.get(key)? {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }
}

/// GGML's name of a type number, for messages.
pub fn type_name(type_id: u32) -> String {
    const NAMES: [&str; 40] = [
        "F32",
        "F16",
        "Q4_0",
        "Q4_1",
        "Q4_2",
        "Q4_3",
        "Q5_0",
        "Q5_1",
        "Q8_0",
        "Q8_1",
        "Q2_K",
        "Q3_K",
        "Q4_K",
        "Q5_K",
        "Q6_K",
        "Q8_K",
        "IQ2_XXS",
        "IQ2_XS",
        "IQ3_XXS",
        "IQ1_S",
        "IQ4_NL",
        "IQ3_S",
        "IQ2_S",
        "IQ4_XS",
        "I8",
        "I16",
        "I32",
        "I64",
        "F64",
        "IQ1_M",
        "BF16",
        "Q4_0_4_4",
        "Q4_0_4_8",
        "Q4_0_8_8",
        "TQ1_0",
        "TQ2_0",
        "IQ4_NL_4_4",
        "IQ4_NL_4_8",
        "IQ4_NL_8_8",
        "MXFP4",
    ];
    match NAMES.get(type_id as usize) {
        Some(name) => (*name).to_owned(),
        None => format!("GGML type {type_id}"),
    }
}

struct Header {
    metadata: HashMap<String, Value>,
    tensors: HashMap<String, TensorInfo>,
    data_start: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut r = Reader::new(bytes);
        if r.take(4)? != MAGIC {
            return Err("not a GGUF file (its first four bytes are not \"GGUF\")".into());
        }
        let version = r.u32()?;
        if !(2..=3).contains(&version) {
            return Err(format!("GGUF version {version} is not supported; 2 and 3 are"));
        }
        let (tensor_count, value_count) = (r.u64()?, r.u64()?);
        let mut metadata = HashMap::new();
        for _ in 0..value_count {
            let key = r.string()?;
            let type_id = r.u32()?;
            let value = r.value(type_id).map_err(|e| format!("metadata {key:?}: {e}"))?;
            metadata.insert(key, value);
        }
        let mut tensors = HashMap::new();
        for _ in 0..tensor_count {
            let name = r.string()?;
            let dims = r.u32()?;
            if dims > MAX_DIMS {
                return Err(format!(
                    "tensor {name:?} has {dims} dimensions; {MAX_DIMS} is the most"
                ));
            }
            let mut shape = Vec::with_capacity(dims as usize);
            for _ in 0..dims {
                let dim = r.u64()?;
                shape.push(
                    usize::try_from(dim)
                        .map_err(|_| format!("tensor {name:?} has a dimension of {dim}"))?,
                );
            }
            shape.reverse();
            let (type_id, offset) = (r.u32()?, r.u64()?);
            let info = TensorInfo { shape, type_id, offset };
            if tensors.contains_key(&name) {
                return Err(format!("tensor {name:?} is in it twice"));
            }
            tensors.insert(name, info);
        }
        let alignment = match metadata.get("general.alignment") {
            Some(Value::Unsigned(n)) if n.is_power_of_two() && *n <= 1 << 20 => *n as usize,
            Some(other) => return Err(format!("general.alignment is {other:?}")),
            None => 32,
        };
        let data_start = r.at.next_multiple_of(alignment);
        Ok(Self { metadata, tensors, data_start })
    }
}

impl Reader<'_> {
    fn string(&mut self) -> Result<String, String> {
        let len = usize::try_from(self.u64()?).map_err(|e| e.to_string())?;
        // A vocabulary may hold tokens that are no UTF-8 on their own.
        Ok(String::from_utf8_lossy(self.take(len)?).into_owned())
    }

    fn value(&mut self, type_id: u32) -> Result<Value, String> {
        Ok(match type_id {
            0 => Value::Unsigned(self.array::<1>()?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::String(self.string()?),
            9 => self.values()?,
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => return Err(format!("value type {other} is unknown")),
        })
    }

    fn values(&mut self) -> Result<Value, String> {
        let type_id = self.u32()?;
        let len = self.u64()?;
        let left = (self.bytes.len() - self.at) as u64;
        if len > left {
            return Err(format!("an array of {len} does not fit the file"));
        }
        macro_rules! collect {
            ($pattern:path, $whole:path) => {{
                let mut out = Vec::new();
                for _ in 0..len {
                    match self.value(type_id)? {
                        $pattern(x) => out.push(x as _),
                        other => return Err(format!("unexpected {other:?} in an array")),
                    }
                }
                $whole(out)
            }};
        }
        Ok(match type_id {
            0 | 2 | 4 | 10 => collect!(Value::Unsigned, Value::Unsigneds),
            1 | 3 | 5 | 11 => collect!(Value::Signed, Value::Signeds),
            6 | 12 => collect!(Value::Float, Value::Floats),
            7 => collect!(Value::Bool, Value::Bools),
            8 => collect!(Value::String, Value::Strings),
            9 => {
                for _ in 0..len {
                    self.values_nested(1)?;
                }
                Value::Nested
            }
            other => return Err(format!("array type {other} is unknown")),
        })
    }

    /// Skips an inner array; the depth is bounded so that no file can
    /// overflow the stack.
    fn values_nested(&mut self, depth: usize) -> Result<(), String> {
        if depth > 4 {
            return Err("arrays are nested too deeply".into());
        }
        let type_id = self.u32()?;
        let len = self.u64()?;
        for _ in 0..len {
            match type_id {
                9 => self.values_nested(depth + 1)?,
                _ => {
                    self.value(type_id)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
