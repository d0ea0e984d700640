//! A model of any size from its configuration alone: weights of the right
//! shapes and types with values drawn from a seed. What it writes means
//! nothing; how fast it is, is how fast the real one is.

mod blocks;
pub(super) mod shapes;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::Device;
use candle_core::quantized::GgmlDType;

use self::blocks::Pattern;
use super::config::{self, DecoderConfig, EncoderConfig};
use super::error::LoadError;
use super::registry::{self, LoadOptions, LoadedModel};
use super::weights::{Purpose, TensorSource, Weights, from_bytes};
use crate::backend::kernels::packed::Packed;
use crate::backend::linear::Weight;

/// How the matrices of a random model are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightsType {
    /// Rows that are no multiple of 256 long are stored as Q5_0, which is what
    /// llama.cpp's quantizer does with them.
    Q4K,
    Q8_0,
    Q4_0,
    F16,
    BF16,
    F32,
}

impl WeightsType {
    const NAMES: [(&str, Self); 6] = [
        ("q4_k", Self::Q4K),
        ("q8_0", Self::Q8_0),
        ("q4_0", Self::Q4_0),
        ("f16", Self::F16),
        ("bf16", Self::BF16),
        ("f32", Self::F32),
    ];

    /// The type of a matrix of this name with rows of `columns`: routers of
    /// experts are f32 in every file.
    fn of(self, name: &str, columns: usize) -> Option<GgmlDType> {
        match name.ends_with("ffn_gate_inp.weight") {
            true => Some(GgmlDType::F32),
            false => self.of_row(columns),
        }
    }

    /// The type of a matrix with rows of `columns`; `None` if there is none.
    fn of_row(self, columns: usize) -> Option<GgmlDType> {
        let wanted = match self {
            Self::Q4K if !columns.is_multiple_of(256) => GgmlDType::Q5_0,
            Self::Q4K => GgmlDType::Q4K,
            Self::Q8_0 => GgmlDType::Q8_0,
            Self::Q4_0 => GgmlDType::Q4_0,
            Self::F16 => GgmlDType::F16,
            Self::BF16 => GgmlDType::BF16,
            Self::F32 => GgmlDType::F32,
        };
        columns.is_multiple_of(wanted.block_size()).then_some(wanted)
    }
}

impl std::fmt::Display for WeightsType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = Self::NAMES.iter().find(|(_, t)| t == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

impl std::str::FromStr for WeightsType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, t)| *t).ok_or_else(|| {
            let names: Vec<_> = Self::NAMES.iter().map(|(name, _)| *name).collect();
            format!("weights of type {text:?} cannot be made; use {}", names.join(", "))
        })
    }
}

/// A model to make up.
#[derive(Debug, Clone)]
pub struct RandomModel {
    /// `config.json` as Hugging Face transformers writes it.
    pub config: PathBuf,
    pub weights: WeightsType,
    /// Only the first so many layers; `None` makes all.
    pub layers: Option<usize>,
    /// The same seed gives the same weights.
    pub seed: u64,
}

/// Makes the model of `wanted` on a device. Also says how many layers its
/// configuration has.
///
/// # Errors
/// A configuration that cannot be read or is not supported, or rows whose
/// length the weights' type does not allow; the message names the field.
pub fn load(
    wanted: &RandomModel,
    options: LoadOptions<'_>,
) -> Result<(LoadedModel, usize), LoadError> {
    let Sketch { config, architecture, layers, shapes } = sketch(wanted)?;
    let LoadOptions { device, context_length, quantize, on_progress } = options;
    let source = Random::new(shapes, wanted.weights, wanted.seed)?;
    let weights = Weights::new(Box::new(source), device, on_progress).quantizing(quantize);
    let model = match config {
        Config::Decoder(c) => registry::decoder(c, architecture, weights, context_length)?,
        Config::Encoder(c) => registry::encoder(c, architecture, weights)?,
    };
    Ok((model, layers))
}

/// Bytes of memory that [`load`] takes at most: what is kept, and the bytes of
/// the largest matrix before it is packed.
///
/// # Errors
/// As [`load`].
pub fn most_bytes(wanted: &RandomModel) -> Result<u64, LoadError> {
    let shapes = sketch(wanted)?.shapes;
    let bytes = |(name, shape): (&String, &Vec<usize>)| {
        let packed = match shape.as_slice() {
            &[rows, columns] => wanted
                .weights
                .of(name, columns)
                .and_then(|dtype| Packed::bytes_of(dtype, rows, columns)),
            _ => None,
        };
        // As 16-bit integers a 32nd more, for scales. Vectors are f32.
        packed.map(|bytes| bytes + bytes / 32).unwrap_or(4 * shape.iter().product::<usize>()) as u64
    };
    let largest = shapes.iter().map(bytes).max().unwrap_or(0);
    Ok(shapes.iter().map(bytes).sum::<u64>() + largest)
}

/// A model before its weights are made.
struct Sketch {
    config: Config,
    architecture: String,
    /// Layers of the whole configuration.
    layers: usize,
    shapes: BTreeMap<String, Vec<usize>>,
}

enum Config {
    Decoder(DecoderConfig),
    Encoder(EncoderConfig),
}

fn sketch(wanted: &RandomModel) -> Result<Sketch, LoadError> {
    let json = registry::read_json(&wanted.config)?;
    let architecture = registry::architecture(&json);
    if config::DECODERS.contains(&architecture.as_str()) {
        let mut config = config::from_json(&json)?;
        let layers = config.layers.len();
        config.layers.truncate(limit(wanted.layers, layers)?);
        let shapes = shapes::decoder(&config, DecoderConfig::is_tied(&json));
        Ok(Sketch { config: Config::Decoder(config), architecture, layers, shapes })
    } else if config::ENCODERS.contains(&architecture.as_str()) {
        let mut config = config::encoder_from_json(&json)?;
        let layers = config.layers;
        config.layers = limit(wanted.layers, layers)?;
        let shapes = shapes::encoder(&config);
        Ok(Sketch { config: Config::Encoder(config), architecture, layers, shapes })
    } else if config::SEQ2SEQ.contains(&architecture.as_str()) {
        let reason = format!("{architecture:?} is an encoder-decoder, which is not made up");
        Err(LoadError::config("model_type", reason))
    } else {
        Err(registry::unsupported(architecture))
    }
}

fn limit(layers: Option<usize>, all: usize) -> Result<usize, LoadError> {
    match layers {
        None => Ok(all),
        Some(n) if (1..=all).contains(&n) => Ok(n),
        Some(n) => {
            Err(LoadError::config("layers", format!("{n} of a configuration with {all} layers")))
        }
    }
}

/// Made-up tensors by name.
struct Random {
    shapes: BTreeMap<String, Vec<usize>>,
    weights: WeightsType,
    seed: u64,
}

impl Random {
    fn new(
        shapes: BTreeMap<String, Vec<usize>>,
        weights: WeightsType,
        seed: u64,
    ) -> Result<Self, LoadError> {
        for (name, shape) in &shapes {
            if let [_, columns] = shape[..]
                && weights.of_row(columns).is_none()
            {
                return Err(LoadError::config(
                    name,
                    format!("has rows of {columns}, which {weights} cannot store; use f16 or f32"),
                ));
            }
        }
        Ok(Self { shapes, weights, seed })
    }
}

impl TensorSource for Random {
    fn has(&self, name: &str) -> bool {
        self.shapes.contains_key(name)
    }

    fn read(&self, name: &str, device: &Device, purpose: Purpose) -> Result<Weight, LoadError> {
        let missing = || LoadError::MissingTensor { name: name.to_owned() };
        let shape = self.shapes.get(name).ok_or_else(missing)?;
        let seed = name.bytes().fold(self.seed, |s, b| {
            (s ^ u64::from(b)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
        });
        match shape[..] {
            [rows, columns] => {
                let dtype = self.weights.of(name, columns).ok_or_else(missing)?;
                let bytes = Pattern::new(dtype, columns, seed).rows(rows);
                from_bytes(&bytes, dtype, shape, (device, purpose))
            }
            _ => {
                let bytes = blocks::vector(name, shape.iter().product(), seed);
                from_bytes(&bytes, GgmlDType::F32, shape, (device, purpose))
            }
        }
    }

    fn len(&self) -> usize {
        self.shapes.len()
    }

    fn parameters(&self) -> u64 {
        self.shapes.values().map(|s| s.iter().product::<usize>() as u64).sum()
    }

    fn storage(&self) -> String {
        let matrices = self.shapes.values().filter(|s| s.len() == 2);
        let mixed =
            self.weights == WeightsType::Q4K && matrices.clone().any(|s| !s[1].is_multiple_of(256));
        let all = mixed && matrices.clone().all(|s| !s[1].is_multiple_of(256));
        match (all, mixed) {
            (true, _) => "Q5_0".to_owned(),
            (_, true) => "Q4_K and Q5_0".to_owned(),
            _ => self.weights.to_string().to_uppercase(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names() {
        for (name, kind) in WeightsType::NAMES {
            assert_eq!(name.parse(), Ok(kind));
            assert_eq!(kind.to_string(), name);
        }
        assert!("q3_x".parse::<WeightsType>().unwrap_err().contains("q4_k, q8_0"));
    }

    #[test]
    fn rows_take_the_type_that_fits() {
        for (kind, columns, expected) in [
            (WeightsType::Q4K, 4096, Some(GgmlDType::Q4K)),
            (WeightsType::Q4K, 576, Some(GgmlDType::Q5_0)),
            (WeightsType::Q4K, 100, None),
            (WeightsType::Q8_0, 576, Some(GgmlDType::Q8_0)),
            (WeightsType::F16, 7, Some(GgmlDType::F16)),
        ] {
            assert_eq!(kind.of_row(columns), expected, "{kind} of {columns}");
        }
    }

    #[test]
    fn layers_are_those_of_the_configuration() {
        assert_eq!(limit(None, 80).unwrap(), 80);
        assert_eq!(limit(Some(1), 80).unwrap(), 1);
        for n in [0, 81] {
            assert!(limit(Some(n), 80).unwrap_err().to_string().contains("80 layers"));
        }
    }
}
