//! From files to a model: which loader an architecture's name stands for.

use std::path::{Path, PathBuf};

use candle_core::Device;
use serde_json::Value;

use super::config::{self, DecoderConfig, EncoderConfig, Seq2SeqConfig};
use super::decoder::Decoder;
use super::e5s1::{self, E5s1};
use super::encoder::Encoder;
use super::error::LoadError;
use super::gguf::GgufFile;
use super::gguf_source::GgufSource;
use super::gguf_source::t5::GgufT5;
use super::quantize::Quantize;
use super::safetensors::{self, Safetensors};
use super::seq2seq::Seq2Seq;
use super::weights::{OnProgress, Weights};
use crate::backend::kernels::packed::Arithmetic;

/// The files of one model.
#[derive(Debug, Clone, Default)]
pub struct ModelPaths {
    /// One GGUF file, one container, or the shards of safetensors.
    pub weights: Vec<PathBuf>,
    /// `config.json`; safetensors need it.
    pub config: Option<PathBuf>,
}

/// A model and what is known of its weights.
pub struct LoadedModel {
    pub network: Network,
    pub architecture: String,
    pub parameters: u64,
    /// How most weights are stored in the file, and what became of them.
    pub storage: String,
    /// How most of its matrices are multiplied.
    pub arithmetic: Arithmetic,
    /// Bytes of memory they take.
    pub bytes: u64,
}

/// The kinds of model the engine runs.
pub enum Network {
    Decoder(Box<Decoder>),
    Encoder(Box<Encoder>),
    Seq2Seq(Box<Seq2Seq>),
}

/// Options of [`load`].
pub struct LoadOptions<'a> {
    pub device: Device,
    /// Upper bound on the context; `None` takes the model's own.
    pub context_length: Option<usize>,
    /// What becomes of matrices that are not quantized in the file, on the CPU.
    pub quantize: Quantize,
    pub on_progress: OnProgress<'a>,
}

/// Loads a model onto a device. The format is known by the files' first bytes
/// and names, the architecture by the metadata or `config.json`.
///
/// # Errors
/// A file that is missing, malformed, or holds what is not supported.
pub fn load(paths: &ModelPaths, options: LoadOptions<'_>) -> Result<LoadedModel, LoadError> {
    load_as(paths, options, Wanted::Own)
}

/// What a model is to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// What its architecture stands for.
    Own,
    /// Vectors, even from a decoder.
    Vectors,
    /// Weights of the words of its vocabulary.
    Sparse,
}

/// [`load`] for something else than the architecture stands for.
///
/// # Errors
/// As [`load`]; or the architecture cannot give that.
pub fn load_as(
    paths: &ModelPaths,
    options: LoadOptions<'_>,
    wanted: Wanted,
) -> Result<LoadedModel, LoadError> {
    let embed = wanted == Wanted::Vectors;
    let first = paths.weights.first().ok_or_else(|| {
        LoadError::config("weights", "the model has no weight files (.gguf or .safetensors)")
    })?;
    match format(first)? {
        Format::Gguf => {
            let file = GgufFile::open(first)?;
            let architecture = file.string("general.architecture").unwrap_or_default().to_owned();
            if architecture == config::T5 {
                no_vectors(wanted)?;
                let config = config::seq2seq_from_gguf(&file)?;
                let source = Box::new(GgufT5::new(file));
                let weights = Weights::new(source, options.device, options.on_progress)
                    .quantizing(options.quantize);
                return seq2seq(config, architecture, weights, options.context_length);
            }
            let config = config::from_gguf(&file)?;
            let source = GgufSource::new(file, &config);
            let weights = Weights::new(Box::new(source), options.device, options.on_progress)
                .quantizing(options.quantize);
            let embed = embed.then_some(false);
            causal(config, architecture, weights, options.context_length, embed)
        }
        Format::E5s1 => {
            let source = E5s1::open(first)?;
            let config = source.config();
            let weights = Weights::new(Box::new(source), options.device, options.on_progress)
                .quantizing(options.quantize);
            encoder(config, "bert".to_owned(), weights)
        }
        Format::Safetensors => {
            let json = read_config(paths)?;
            let architecture = architecture(&json);
            if config::DECODERS.contains(&architecture.as_str()) {
                if wanted == Wanted::Sparse {
                    let reason = "asks for sparse vectors of a decoder";
                    return Err(LoadError::config("modules.json", reason));
                }
                let config = config::from_json(&json)?;
                let source =
                    Safetensors::open(&paths.weights, safetensors::names::decoder(&config))?
                        .turning_neighbours(config.turns_neighbours.then_some(config.head_dim))
                        .quantized(config::quantization(&json)?);
                let weights = Weights::new(Box::new(source), options.device, options.on_progress)
                    .quantizing(options.quantize);
                // A text whose tokens see those after them cannot be written.
                let both_ways = json["use_bidirectional_attention"] == true;
                let embed = (embed || both_ways).then_some(both_ways);
                causal(config, architecture, weights, options.context_length, embed)
            } else if config::ENCODERS.contains(&architecture.as_str()) {
                let mut config = config::encoder_from_json(&json)?;
                config.sparse = wanted == Wanted::Sparse;
                let names = safetensors::names::encoders::of(&architecture);
                let source = Safetensors::open(&paths.weights, names)?;
                let source = Box::new(source.quantized(config::quantization(&json)?));
                let weights = Weights::new(source, options.device, options.on_progress)
                    .quantizing(options.quantize);
                encoder(config, architecture, weights)
            } else if config::SEQ2SEQ.contains(&architecture.as_str()) {
                no_vectors(wanted)?;
                let config = config::seq2seq_from_json(&json)?;
                let names = safetensors::names::seq2seq::of(&architecture);
                let source = Safetensors::open(&paths.weights, names)?;
                let source = Box::new(source.quantized(config::quantization(&json)?));
                let weights = Weights::new(source, options.device, options.on_progress)
                    .quantizing(options.quantize);
                seq2seq(config, architecture, weights, options.context_length)
            } else {
                Err(unsupported(architecture))
            }
        }
    }
}

/// Encoder-decoders give texts alone.
fn no_vectors(wanted: Wanted) -> Result<(), LoadError> {
    match wanted {
        Wanted::Own => Ok(()),
        Wanted::Vectors | Wanted::Sparse => {
            let reason = "asks for vectors of an encoder-decoder, which is not supported";
            Err(LoadError::config("modules.json", reason))
        }
    }
}

/// The architecture's name in a `config.json`.
pub(super) fn architecture(json: &Value) -> String {
    json.get("model_type").and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn unsupported(architecture: String) -> LoadError {
    LoadError::Architecture {
        found: architecture,
        supported: [&config::DECODERS[..], &config::ENCODERS[..], &config::SEQ2SEQ[..]]
            .concat()
            .join(", "),
    }
}

pub(super) fn decoder(
    config: DecoderConfig,
    architecture: String,
    weights: Weights<'_>,
    limit: Option<usize>,
) -> Result<LoadedModel, LoadError> {
    let context = limit.map_or(config.context_length, |l| l.min(config.context_length));
    let network = Network::Decoder(Box::new(Decoder::load(config, &weights, context)?));
    Ok(finish(network, architecture, &weights))
}

/// A decoder, or with `embed` its layers as an encoder, whose tokens see both
/// ways if it holds true.
fn causal(
    config: DecoderConfig,
    architecture: String,
    weights: Weights<'_>,
    limit: Option<usize>,
    embed: Option<bool>,
) -> Result<LoadedModel, LoadError> {
    let Some(both_ways) = embed else { return decoder(config, architecture, weights, limit) };
    let context = limit.map_or(config.context_length, |l| l.min(config.context_length));
    let model = Encoder::from_decoder(&config, &weights, context, both_ways)?;
    Ok(finish(Network::Encoder(Box::new(model)), architecture, &weights))
}

pub(super) fn encoder(
    config: EncoderConfig,
    architecture: String,
    weights: Weights<'_>,
) -> Result<LoadedModel, LoadError> {
    let network = Network::Encoder(Box::new(Encoder::load(config, &weights)?));
    Ok(finish(network, architecture, &weights))
}

fn seq2seq(
    config: Seq2SeqConfig,
    architecture: String,
    weights: Weights<'_>,
    limit: Option<usize>,
) -> Result<LoadedModel, LoadError> {
    let context = limit.map_or(config.context_length, |l| l.min(config.context_length));
    let network = Network::Seq2Seq(Box::new(Seq2Seq::load(config, &weights, context)?));
    Ok(finish(network, architecture, &weights))
}

fn finish(network: Network, architecture: String, weights: &Weights<'_>) -> LoadedModel {
    let (source, tally) = (weights.source(), weights.tally());
    weights.report();
    LoadedModel {
        network,
        architecture,
        parameters: source.parameters(),
        storage: tally.storage(source.storage()),
        arithmetic: tally.arithmetic(),
        bytes: weights.bytes(),
    }
}

enum Format {
    Gguf,
    E5s1,
    Safetensors,
}

fn format(path: &Path) -> Result<Format, LoadError> {
    use std::io::Read;
    let io = |source| LoadError::Io { path: path.to_owned(), source };
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    file.take(9).read_to_end(&mut head).map_err(io)?;
    let named = path.extension().is_some_and(|e| e == "safetensors");
    let malformed = |reason: &str| {
        Err(LoadError::Malformed { path: path.to_owned(), reason: reason.to_owned() })
    };
    match head.as_slice() {
        [b'G', b'G', b'U', b'F', ..] => Ok(Format::Gguf),
        m if m.starts_with(e5s1::MAGIC) => Ok(Format::E5s1),
        // A length comes first, which may begin as other formats do; then JSON.
        [_, _, _, _, _, _, _, _, b'{'] if named => Ok(Format::Safetensors),
        [b'P', b'K', ..] | [0x80, ..] => {
            malformed("is a pickle file, which can run code; use safetensors or GGUF")
        }
        [_, _, _, _, ..] if named => Ok(Format::Safetensors),
        _ => malformed("is neither a GGUF nor a safetensors file"),
    }
}

fn read_config(paths: &ModelPaths) -> Result<Value, LoadError> {
    read_json(paths.config.as_ref().ok_or_else(|| {
        LoadError::config("config.json", "is missing beside the safetensors weights")
    })?)
}

pub(super) fn read_json(path: &Path) -> Result<Value, LoadError> {
    let text =
        std::fs::read(path).map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
    serde_json::from_slice(&text)
        .map_err(|e| LoadError::Malformed { path: path.to_owned(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, bytes: &[u8], expected: Result<&str, &str>| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            match (format(&path), expected) {
                (Ok(Format::Gguf), Ok("gguf"))
                | (Ok(Format::E5s1), Ok("e5s1"))
                | (Ok(Format::Safetensors), Ok("safetensors")) => {}
                (Err(e), Err(says)) => assert!(e.to_string().contains(says), "{e}"),
                _ => panic!("{name} {bytes:?} is not {expected:?}"),
            }
        };
        check("a.gguf", b"GGUF\x03\0\0\0", Ok("gguf"));
        check("a.bin", b"E5S1\x01\0\0\0", Ok("e5s1"));
        check("a.safetensors", b"\x08\0\0\0\0\0\0\0{", Ok("safetensors"));
        // Headers of a length that pickles and archives begin with.
        check("a.safetensors", b"\x80\x02\0\0\0\0\0\0{\"a", Ok("safetensors"));
        check("a.safetensors", b"PK\0\0\0\0\0\0{\"a", Ok("safetensors"));
        check("a.safetensors", b"\x80\x02}q\0(X\x01\0", Err("pickle"));
        check("a.bin", b"PK\x03\x04", Err("pickle"));
        check("a.bin", b"hello", Err("neither"));
        check("a.gguf", b"", Err("neither"));
    }
}
