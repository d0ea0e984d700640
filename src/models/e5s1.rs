//! The E5S1 container, in which one package ships multilingual-e5-small.
//!
//! Little endian: magic `E5S1`, version, sizes, a vocabulary with scores, the
//! tokenizer's normaliser table, then a tensor directory. The big matrices
//! are stored in blocks of 32 that are bit for bit GGUF's Q4_0.

use std::collections::HashMap;
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use memmap2::Mmap;

use super::bytes::Reader;
use super::config::{Biases, EncoderConfig, Positions};
use super::error::LoadError;
use super::weights::{Purpose, TensorSource, from_bytes};
use crate::backend::kernels::mmap;
use crate::backend::linear::Weight;
use crate::backend::ops::Activation;

pub const MAGIC: &[u8; 4] = b"E5S1";

struct Entry {
    dtype: GgmlDType,
    count: usize,
    range: std::ops::Range<usize>,
}

/// An open container.
pub struct E5s1 {
    map: Mmap,
    entries: HashMap<String, Entry>,
    config: EncoderConfig,
}

impl E5s1 {
    /// Maps `path` and reads its header and directory.
    ///
    /// # Errors
    /// Not such a container, or one whose parts do not fit the file.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let map =
            mmap::map(path).map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
        let (config, entries) =
            parse(&map).map_err(|reason| LoadError::Malformed { path: path.to_owned(), reason })?;
        Ok(Self { map, entries, config })
    }

    pub fn config(&self) -> EncoderConfig {
        self.config.clone()
    }

    /// The container's name of a tensor, and its shape.
    fn locate(&self, name: &str) -> Option<(&Entry, Vec<usize>)> {
        let c = &self.config;
        let (h, f) = (c.hidden_size, c.intermediate_size);
        let (stem, kind) = name.rsplit_once('.')?;
        let suffix = if kind == "weight" { "w" } else { "b" };
        let matrix = |rows: usize, columns: usize| match kind {
            "weight" => vec![rows, columns],
            _ => vec![rows],
        };
        let (own, shape) = match stem {
            "embeddings.word_embeddings" => ("emb.word".to_owned(), vec![c.vocab_size, h]),
            "embeddings.position_embeddings" => ("emb.pos".to_owned(), vec![c.position_rows(), h]),
            "embeddings.token_type_embeddings" => ("emb.type".to_owned(), vec![c.token_types, h]),
            "embeddings.LayerNorm" => (format!("emb.ln.{suffix}"), vec![h]),
            _ => {
                let (layer, part) = stem.strip_prefix("encoder.layer.")?.split_once('.')?;
                let (short, shape) = match part {
                    "attention.self.query" => ("q", matrix(h, h)),
                    "attention.self.key" => ("k", matrix(h, h)),
                    "attention.self.value" => ("v", matrix(h, h)),
                    "attention.output.dense" => ("ao", matrix(h, h)),
                    "attention.output.LayerNorm" => ("aln", vec![h]),
                    "intermediate.dense" => ("fi", matrix(f, h)),
                    "output.dense" => ("fo", matrix(h, f)),
                    "output.LayerNorm" => ("oln", vec![h]),
                    _ => return None,
                };
                (format!("l{layer}.{short}.{suffix}"), shape)
            }
        };
        Some((self.entries.get(&own)?, shape))
    }
}

impl TensorSource for E5s1 {
    fn has(&self, name: &str) -> bool {
        self.locate(name).is_some()
    }

    fn read(&self, name: &str, device: &Device, purpose: Purpose) -> Result<Weight, LoadError> {
        let (entry, shape) =
            self.locate(name).ok_or_else(|| LoadError::MissingTensor { name: name.to_owned() })?;
        if entry.count != shape.iter().product::<usize>() {
            return Err(LoadError::Shape {
                name: name.to_owned(),
                found: vec![entry.count],
                expected: shape,
            });
        }
        // The directory does not align tensors, so the bytes are copied first.
        let bytes = self.map[entry.range.clone()].to_vec();
        from_bytes(&bytes, entry.dtype, &shape, (device, purpose))
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn parameters(&self) -> u64 {
        self.entries.values().map(|e| e.count as u64).sum()
    }

    fn storage(&self) -> String {
        "Q4_0".to_owned()
    }
}

type Parsed = (EncoderConfig, HashMap<String, Entry>);

fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    let mut r = Reader::new(bytes);
    if r.take(4)? != MAGIC {
        return Err("not an E5S1 container".into());
    }
    let version = r.u32()?;
    if version != 1 {
        return Err(format!("E5S1 version {version} is not supported; 1 is"));
    }
    let hidden_size = size(&mut r, "hidden size")?;
    let layers = size(&mut r, "layers")?;
    if layers > 4096 {
        return Err(format!("{layers} layers are more than 4096"));
    }
    let heads = size(&mut r, "heads")?;
    let intermediate_size = size(&mut r, "feed-forward size")?;
    let vocab_size = size(&mut r, "vocabulary")?;
    let max_positions = size(&mut r, "positions")?;
    let type_vocab_size = size(&mut r, "token types")?;
    let layer_norm_eps = f32::from_bits(r.u32()?);
    let _quant_kind = r.u32()?;
    let pieces = size(&mut r, "pieces")?;
    r.take(4 * 4)?; // bos, eos, pad, unk
    let blob = r.u64()?;
    r.take(pieces.checked_add(1).and_then(|n| n.checked_mul(4)).ok_or("too many pieces")?)?;
    r.take(pieces.checked_mul(4).ok_or("too many pieces")?)?;
    r.take(usize::try_from(blob).map_err(|e| e.to_string())?)?;
    let _normaliser_entries = r.u32()?;
    let normaliser_bytes = r.u32()? as usize;
    r.take(normaliser_bytes)?;
    if !hidden_size.is_multiple_of(heads) {
        return Err("its sizes contradict each other".into());
    }
    let count = size(&mut r, "tensors")?;
    let mut entries = HashMap::new();
    for _ in 0..count {
        let len = usize::from(u16::from_le_bytes(r.array()?));
        let name = String::from_utf8(r.take(len)?.to_vec()).map_err(|e| e.to_string())?;
        let kind = r.take(1)?[0];
        let count = r.u32()? as usize;
        let (offset, size) = (r.u64()?, r.u64()?);
        let (dtype, expected) = match size {
            n if n == count as u64 * 4 => (GgmlDType::F32, n),
            n if count.is_multiple_of(32) && n == count as u64 / 32 * 18 => (GgmlDType::Q4_0, n),
            _ => {
                return Err(format!(
                    "tensor {name:?} of type {kind} has {size} bytes for {count} values"
                ));
            }
        };
        let end = offset.checked_add(expected).filter(|&end| end <= bytes.len() as u64);
        let end =
            end.ok_or_else(|| format!("tensor {name:?} reaches beyond the end of the file"))?;
        entries.insert(name, Entry { dtype, count, range: offset as usize..end as usize });
    }
    let config = EncoderConfig {
        vocab_size,
        hidden_size,
        embedding_size: hidden_size,
        intermediate_size,
        layers,
        heads,
        head_dim: hidden_size / heads,
        context_length: max_positions,
        // BERT's positions under XLM-R's vocabulary.
        positions: Positions::Table { offset: 0, bias: None },
        layer_configs: Vec::new(),
        token_types: type_vocab_size,
        norm_eps: layer_norm_eps,
        biases: Biases::ALL,
        pre_norm: false,
        gated: false,
        activation: Activation::GeluErf,
        head: None,
        sparse: false,
    };
    Ok((config, entries))
}

/// A size in the header: positive, and no larger than any model needs.
fn size(r: &mut Reader<'_>, what: &str) -> Result<usize, String> {
    match r.u32()? {
        n @ 1..=0x1000_0000 => Ok(n as usize),
        n => Err(format!("{n} is no number of {what}")),
    }
}
