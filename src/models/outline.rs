//! How large a model is, from its `config.json` alone: before anything is
//! downloaded.

use candle_core::quantized::GgmlDType;
use serde_json::Value;

use super::config::{self, DecoderConfig, EncoderConfig, Seq2SeqConfig};
use super::error::LoadError;
use super::quantize::Quantize;
use super::random::shapes;
use super::registry;

/// The sizes of a model.
#[derive(Debug, Clone)]
pub struct Outline {
    pub kind: OutlineKind,
    /// Weights that activations are multiplied with.
    pub products: u64,
    /// Weights of which a step looks up some rows, and vectors.
    pub lookups: u64,
    /// Matrices of layers are eight-bit floats in the file.
    pub float8: bool,
}

/// What the configuration is of.
#[derive(Debug, Clone)]
pub enum OutlineKind {
    Decoder(Box<DecoderConfig>),
    Encoder(Box<EncoderConfig>),
    Seq2Seq(Box<Seq2SeqConfig>),
}

impl Outline {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// An architecture that is not supported, or a field that is missing or
    /// out of range; the message names it.
    pub fn read(json: &Value) -> Result<Self, LoadError> {
        let architecture = registry::architecture(json);
        let (kind, shapes, tied) = if config::DECODERS.contains(&architecture.as_str()) {
            let (config, tied) = (config::from_json(json)?, DecoderConfig::is_tied(json));
            let shapes = shapes::decoder(&config, tied);
            (OutlineKind::Decoder(Box::new(config)), shapes, tied)
        } else if config::ENCODERS.contains(&architecture.as_str()) {
            let config = config::encoder_from_json(json)?;
            let shapes = shapes::encoder(&config);
            (OutlineKind::Encoder(Box::new(config)), shapes, false)
        } else if config::SEQ2SEQ.contains(&architecture.as_str()) {
            let (config, tied) = (config::seq2seq_from_json(json)?, Seq2SeqConfig::is_tied(json));
            let shapes = shapes::seq2seq(&config, tied);
            (OutlineKind::Seq2Seq(Box::new(config)), shapes, tied)
        } else {
            return Err(registry::unsupported(architecture));
        };
        let (mut products, mut lookups) = (0, 0);
        for (name, shape) in &shapes {
            let count = shape.iter().product::<usize>() as u64;
            *if shape.len() < 2 || is_lookup(name, tied) { &mut lookups } else { &mut products } +=
                count;
        }
        let float8 = config::quantization(json)?.is_some();
        Ok(Self { kind, products, lookups, float8 })
    }

    /// Number of weights.
    pub fn parameters(&self) -> u64 {
        self.products + self.lookups
    }

    /// Bytes that weights of so many bits in the file take in the CPU's memory:
    /// quantized ones what they take in the file, of others the matrices what
    /// `quantize` makes of them.
    pub fn weight_bytes(&self, bits: f64, quantize: Quantize) -> u64 {
        // Eight-bit floats become what plain numbers do.
        let (bits, plain) = if self.float8 { (16.0, 32.0) } else { (bits, bits) };
        let product_bits = match quantize {
            _ if bits < 16.0 => bits,
            Quantize::None => plain,
            // A scale in f32 for 64 columns.
            Quantize::Int16 => 16.5,
            Quantize::Bf16 => 16.0,
            Quantize::Bf16x2 => 32.0,
            Quantize::To(dtype) => bits_of(dtype),
        };
        ((self.products as f64 * product_bits + self.lookups as f64 * bits) / 8.0) as u64
    }
}

/// Whether a step looks up rows of a matrix of that name. With `tied` the table
/// of words is multiplied with as well.
fn is_lookup(name: &str, tied: bool) -> bool {
    match name {
        "token_embd.weight" | "shared.weight" | "decoder.embed_tokens.weight" => !tied,
        "encoder.embed_tokens.weight" | "final_logits_bias" => true,
        "encoder.relative_bias.weight" | "decoder.relative_bias.weight" => true,
        other => other.starts_with("embeddings.") || other.ends_with(".embed_positions.weight"),
    }
}

/// Bits of a weight in blocks of a type, scales included.
fn bits_of(dtype: GgmlDType) -> f64 {
    8.0 * dtype.type_size() as f64 / dtype.block_size() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// SmolLM2-135M, whose authors count 134,515,008 weights.
    fn smollm2(tied: bool) -> Outline {
        Outline::read(&json!({"model_type": "llama", "hidden_size": 576,
            "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3,
            "num_hidden_layers": 30, "vocab_size": 49152, "max_position_embeddings": 8192,
            "hidden_act": "silu", "tie_word_embeddings": tied}))
        .unwrap()
    }

    #[test]
    fn weights_are_counted_as_their_authors_do() {
        assert_eq!(smollm2(true).parameters(), 134_515_008);
        // Two norms of 576 in 30 layers and one at the end.
        assert_eq!(smollm2(true).lookups, 61 * 576);
        assert_eq!(smollm2(false).lookups, 61 * 576 + 49152 * 576);
        assert_eq!(smollm2(false).products, smollm2(true).products);
    }

    /// NLLB-200-distilled-600M, whose authors count 615,073,792 weights, and a
    /// MADLAD-400-3B, which has a matrix for its logits alone.
    #[test]
    fn encoder_decoders_are_counted_as_their_authors_do() {
        let nllb = Outline::read(&json!({"model_type": "m2m_100", "d_model": 1024,
            "vocab_size": 256206, "encoder_layers": 12, "decoder_layers": 12,
            "encoder_attention_heads": 16, "decoder_attention_heads": 16,
            "encoder_ffn_dim": 4096, "decoder_ffn_dim": 4096, "max_position_embeddings": 1024,
            "activation_function": "relu", "scale_embedding": true}))
        .unwrap();
        assert_eq!(nllb.parameters(), 615_073_792);
        assert!(nllb.products > 256_206 * 1024, "the words are multiplied with");
        let madlad = Outline::read(&json!({"model_type": "t5", "d_model": 1024, "d_ff": 8192,
            "d_kv": 128, "num_heads": 16, "num_layers": 32, "num_decoder_layers": 32,
            "vocab_size": 256000, "feed_forward_proj": "gated-gelu", "n_positions": 512,
            "tie_word_embeddings": false}))
        .unwrap();
        let (norms, biases, words) = ((32 * 5 + 2) * 1024, 2 * 32 * 16, 256_000 * 1024);
        assert_eq!(madlad.lookups, norms + biases + words);
    }

    #[test]
    fn memory_follows_the_type_that_weights_are_kept_in() {
        let outline = Outline { products: 800, lookups: 80, ..smollm2(true) };
        for (bits, quantize, expected) in [
            (4.5, Quantize::Int16, 495),
            (16.0, Quantize::Int16, 1650 + 160),
            (32.0, Quantize::None, 3200 + 320),
            (16.0, Quantize::To(GgmlDType::Q8_0), 850 + 160),
        ] {
            assert_eq!(outline.weight_bytes(bits, quantize), expected, "{bits} {quantize}");
        }
        let float8 = Outline { float8: true, ..outline };
        assert_eq!(float8.weight_bytes(8.0, Quantize::Int16), 1650 + 160);
        assert_eq!(float8.weight_bytes(8.0, Quantize::None), 3200 + 160);
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        let error = Outline::read(&json!({"model_type": "rwkv"})).unwrap_err().to_string();
        assert!(error.contains("\"rwkv\" is not supported"), "{error}");
    }
}
