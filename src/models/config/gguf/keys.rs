//! Metadata of one architecture, with errors that name the key.

use crate::models::error::LoadError;
use crate::models::gguf::{GgufFile, Value};

pub struct Keys<'a> {
    pub file: &'a GgufFile,
    pub arch: &'a str,
}

impl Keys<'_> {
    pub fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.arch)
    }

    pub fn fault(&self, name: &str, reason: impl Into<String>) -> LoadError {
        LoadError::config(self.key(name), reason)
    }

    pub fn unsigned(&self, name: &str) -> Option<u64> {
        self.file.unsigned(&self.key(name))
    }

    pub fn size(&self, name: &str) -> Result<Option<usize>, LoadError> {
        match self.unsigned(name) {
            Some(n) if (1..=1 << 30).contains(&n) => Ok(Some(n as usize)),
            Some(n) => Err(self.fault(name, format!("{n} is not a size"))),
            None => Ok(None),
        }
    }

    pub fn need(&self, name: &str) -> Result<usize, LoadError> {
        self.size(name)?.ok_or_else(|| self.fault(name, "is missing from the metadata"))
    }

    pub fn float(&self, name: &str) -> Option<f64> {
        self.file.float(&self.key(name)).filter(|x| x.is_finite())
    }

    pub fn string(&self, name: &str) -> Option<&str> {
        self.file.string(&self.key(name))
    }

    pub fn bool(&self, name: &str) -> Option<bool> {
        self.file.bool(&self.key(name))
    }

    /// One flag a layer: a list of them, or every so many layers one without.
    pub fn pattern(&self, name: &str, every: usize, count: usize) -> Result<Vec<bool>, LoadError> {
        let flags: Vec<bool> = match self.file.metadata.get(&self.key(name)) {
            Some(Value::Bools(flags)) => flags.clone(),
            Some(Value::Unsigneds(flags)) => flags.iter().map(|f| *f != 0).collect(),
            Some(Value::Signeds(flags)) => flags.iter().map(|f| *f != 0).collect(),
            _ => {
                let every = self.size(name)?.unwrap_or(every);
                (0..count).map(|i| (i + 1) % every != 0).collect()
            }
        };
        match flags.len() == count {
            true => Ok(flags),
            false => Err(self.fault(name, format!("has {} entries for {count}", flags.len()))),
        }
    }

    /// A tensor of f32, if the file has it.
    pub fn numbers(&self, tensor: &str) -> Result<Option<Vec<f32>>, LoadError> {
        const F32: u32 = 0;
        let Some(info) = self.file.tensors.get(tensor) else { return Ok(None) };
        if info.type_id != F32 {
            return Err(LoadError::config(tensor, "is not of f32"));
        }
        let (_, _, bytes) = self.file.tensor(tensor)?;
        let numbers = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Ok(Some(numbers.collect()))
    }
}
