//! What an encoder-decoder is made of.

use serde_json::Value;

use super::hf::{Fields, activation};
use super::quantization;
use crate::backend::attention::within::PIECE;
use crate::backend::ops::Activation;
use crate::backend::{KvDtype, KvShape};
use crate::models::error::LoadError;

/// Model types [`seq2seq_from_json`] reads.
pub const SEQ2SEQ: [&str; 7] = ["marian", "m2m_100", "t5", "mt5", "bart", "mbart", "pegasus"];

/// Everything that differs between the encoder-decoders we load.
#[derive(Debug, Clone)]
pub struct Seq2SeqConfig {
    /// Rows of the encoder's table of words, which may be the decoder's too.
    pub source_vocab_size: usize,
    /// Of the decoder and of the logits.
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub encoder: StackConfig,
    pub decoder: StackConfig,
    /// Longest source and longest target, in tokens.
    pub context_length: usize,
    pub positions: TokenPositions,
    /// RMS norms without a bias in place of layer norms.
    pub rms_norms: bool,
    pub norm_eps: f32,
    /// Norms stand before the layers, not after them.
    pub pre_norm: bool,
    /// Either side ends with a norm.
    pub final_norm: bool,
    /// Either side's embeddings are normalised.
    pub embedding_norm: bool,
    /// Linear layers have a bias.
    pub biases: bool,
    pub activation: Activation,
    /// `down(act(gate(x)) * up(x))` instead of `down(act(up(x)))`.
    pub gated: bool,
    /// Multiplies attention scores; `None` is 1/√head_dim.
    pub attention_scale: Option<f32>,
    /// Multiplies the embeddings of words.
    pub embedding_scale: Option<f32>,
    /// Multiplies what the logits are made from.
    pub logits_scale: f32,
    /// Both sides have one table of words.
    pub shared: bool,
    /// Whether the decoder's table of words is the matrix of the logits; `None`
    /// where it is unless the file has another.
    pub tied: Option<bool>,
    /// The logits have a bias, if the file has one.
    pub logits_bias: bool,
}

/// The layers of one side.
#[derive(Debug, Clone, Copy)]
pub struct StackConfig {
    pub layers: usize,
    pub heads: usize,
    pub head_dim: usize,
    pub intermediate_size: usize,
}

/// How the place of a token counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TokenPositions {
    /// Sines and cosines are added to the embedding.
    Sines { offset: usize, kind: Sines },
    /// A row of a table is added, the first token's is `offset`.
    Learned { offset: usize },
    /// Scores of a side's own tokens get a learned bias by their distance, in
    /// so many ranges, the last of which begins before `far`.
    Buckets { buckets: usize, far: usize },
}

/// Both have sines in the first half of a row and cosines in the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sines {
    /// Frequencies `10000^(-2i / width)` (Marian).
    Marian,
    /// Frequencies `10000^(-i / (width / 2 - 1))` (fairseq).
    Fairseq,
}

impl Seq2SeqConfig {
    /// Whether a `config.json` says that the table of words is the matrix of the
    /// logits, which T5's files decide.
    pub fn is_tied(json: &Value) -> bool {
        flag(&Fields(json), "tie_word_embeddings", true)
    }

    /// The cache this model writes: of the decoder's own keys and values, and
    /// in other blocks of those it makes of sources.
    pub fn kv_shape(&self, block_size: usize, dtype: KvDtype) -> KvShape {
        KvShape {
            layers: self.decoder.layers,
            kv_heads: self.decoder.heads,
            head_dim: self.decoder.head_dim,
            block_size,
            dtype,
        }
    }

    /// Upper bound on the memory one step takes besides weights and cache, in
    /// bytes, when it encodes `sources` tokens and computes `tokens` rows.
    pub fn activation_bytes(&self, sources: usize, tokens: usize, logit_rows: usize) -> u64 {
        // Tensor operations: an operation's input lives until its output does.
        let row = |stack: &StackConfig| {
            12 * self.hidden_size.max(stack.heads * stack.head_dim) + 4 * stack.intermediate_size
        };
        let (e, d) = (&self.encoder, &self.decoder);
        // Of scores that get a bias. The decoder's rows are at most one a
        // sequence beside those of prompts.
        let biased = match self.positions {
            TokenPositions::Buckets { .. } => {
                4 * PIECE.max(e.heads * self.context_length)
                    + 4 * d.heads * self.context_length * tokens.min(self.context_length)
            }
            _ => 0,
        };
        let rows = sources * row(e) + tokens * row(d);
        4 * (rows + biased + 2 * logit_rows * self.vocab_size) as u64
    }
}

/// Reads an encoder-decoder's `config.json`.
///
/// # Errors
/// An activation that is not supported, or a field that is missing or out of
/// range; the message names it.
pub fn seq2seq_from_json(root: &Value) -> Result<Seq2SeqConfig, LoadError> {
    let json = Fields(root);
    quantization(root)?;
    match json.text("model_type").unwrap_or_default() {
        "t5" | "mt5" => t5(&json),
        family => bart(&json, family),
    }
}

/// BART and what descends from it.
fn bart(json: &Fields<'_>, family: &str) -> Result<Seq2SeqConfig, LoadError> {
    let hidden_size = json.need("d_model")?;
    let stack = |side: &str| -> Result<StackConfig, LoadError> {
        let heads_field = format!("{side}_attention_heads");
        let heads = json.need(&heads_field)?;
        if !hidden_size.is_multiple_of(heads) {
            return Err(LoadError::config("d_model", format!("is no multiple of {heads_field}")));
        }
        Ok(StackConfig {
            layers: json.need(&format!("{side}_layers"))?,
            heads,
            head_dim: hidden_size / heads,
            intermediate_size: json.need(&format!("{side}_ffn_dim"))?,
        })
    };
    let source_vocab_size = json.need("vocab_size")?;
    let even = hidden_size.is_multiple_of(2) && hidden_size > 2;
    let positions = match family {
        "bart" | "mbart" => TokenPositions::Learned { offset: 2 },
        _ if !even => {
            let reason = format!("{hidden_size} is odd or 2; a row is half sines, half cosines");
            return Err(LoadError::config("d_model", reason));
        }
        // Positions are counted from the padding token's id on.
        "m2m_100" => {
            let pad = json.get("pad_token_id").and_then(Value::as_u64).unwrap_or(1);
            let offset = usize::try_from(pad).ok().filter(|&n| n < 1 << 30).ok_or_else(|| {
                LoadError::config("pad_token_id", format!("{pad} is no token's id"))
            })?;
            TokenPositions::Sines { offset: offset + 1, kind: Sines::Fairseq }
        }
        _ => TokenPositions::Sines { offset: 0, kind: Sines::Marian },
    };
    let scaled = match json.get("scale_embedding") {
        Some(_) => json.flag("scale_embedding"),
        None => family == "m2m_100",
    };
    // Marian's two languages may have a vocabulary each.
    let shared = family != "marian"
        || json.get("share_encoder_decoder_embeddings").is_none()
        || json.flag("share_encoder_decoder_embeddings");
    let vocab_size = match shared {
        true => source_vocab_size,
        false => json.size("decoder_vocab_size")?.unwrap_or(source_vocab_size),
    };
    Ok(Seq2SeqConfig {
        source_vocab_size,
        vocab_size,
        hidden_size,
        encoder: stack("encoder")?,
        decoder: stack("decoder")?,
        context_length: json.need("max_position_embeddings")?,
        positions,
        rms_norms: false,
        norm_eps: 1e-5,
        pre_norm: matches!(family, "m2m_100" | "mbart" | "pegasus"),
        final_norm: matches!(family, "m2m_100" | "mbart" | "pegasus"),
        embedding_norm: matches!(family, "bart" | "mbart"),
        biases: true,
        activation: activation(json, &["activation_function"])?,
        gated: false,
        attention_scale: None,
        embedding_scale: scaled.then(|| (hidden_size as f32).sqrt()),
        logits_scale: 1.0,
        shared,
        tied: Some(flag(json, "tie_word_embeddings", true)),
        logits_bias: family != "m2m_100",
    })
}

fn t5(json: &Fields<'_>) -> Result<Seq2SeqConfig, LoadError> {
    const BUCKETS: &str = "relative_attention_num_buckets";
    const FAR: &str = "relative_attention_max_distance";
    let hidden_size = json.need("d_model")?;
    let layers = json.need("num_layers")?;
    let encoder = StackConfig {
        layers,
        heads: json.need("num_heads")?,
        head_dim: json.need("d_kv")?,
        intermediate_size: json.need("d_ff")?,
    };
    let buckets = json.size(BUCKETS)?.unwrap_or(32);
    let far = json.size(FAR)?.unwrap_or(128);
    if buckets < 4 || !buckets.is_multiple_of(2) {
        return Err(LoadError::config(BUCKETS, format!("{buckets} is not an even number from 4")));
    }
    // Half of the ranges, or all of them, begin with single distances.
    if far <= buckets / 2 {
        let reason = format!("{far} is not beyond the single distances of {buckets} ranges");
        return Err(LoadError::config(FAR, reason));
    }
    let (gated, activation) = match json.text("feed_forward_proj").unwrap_or("relu") {
        "relu" => (false, Activation::Relu),
        "gelu" => (false, Activation::GeluErf),
        "gated-gelu" => (true, Activation::GeluTanh),
        "gated-silu" => (true, Activation::Silu),
        other => {
            let reason = format!("{other:?} is not supported; relu, gated-gelu and others are");
            return Err(LoadError::config("feed_forward_proj", reason));
        }
    };
    let vocab_size = json.need("vocab_size")?;
    // The first T5 has one matrix and scales its logits. Later ones have two,
    // and say so by a field, which transformers 5 writes under another name.
    let scaled = match json.get("scale_decoder_outputs") {
        Some(_) => json.flag("scale_decoder_outputs"),
        None => flag(json, "tie_word_embeddings", true),
    };
    let scaled = scaled && json.text("model_type") == Some("t5");
    Ok(Seq2SeqConfig {
        source_vocab_size: vocab_size,
        vocab_size,
        hidden_size,
        encoder,
        decoder: StackConfig {
            layers: json.size("num_decoder_layers")?.unwrap_or(layers),
            ..encoder
        },
        context_length: json.size("n_positions")?.unwrap_or(512),
        positions: TokenPositions::Buckets { buckets, far },
        rms_norms: true,
        norm_eps: json.float("layer_norm_epsilon")?.unwrap_or(1e-6) as f32,
        pre_norm: true,
        final_norm: true,
        embedding_norm: false,
        biases: false,
        activation,
        gated,
        attention_scale: Some(1.0),
        embedding_scale: None,
        logits_scale: if scaled { (hidden_size as f32).powf(-0.5) } else { 1.0 },
        shared: true,
        tied: None,
        logits_bias: false,
    })
}

fn flag(json: &Fields<'_>, key: &str, default: bool) -> bool {
    json.get(key).and_then(Value::as_bool).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn marian() -> Value {
        json!({"model_type": "marian", "d_model": 32, "vocab_size": 64, "encoder_layers": 2,
            "decoder_layers": 1, "encoder_attention_heads": 4, "decoder_attention_heads": 2,
            "encoder_ffn_dim": 48, "decoder_ffn_dim": 40, "max_position_embeddings": 128,
            "activation_function": "swish", "scale_embedding": true})
    }

    fn t5() -> Value {
        json!({"model_type": "mt5", "d_model": 32, "vocab_size": 64, "num_layers": 2, "num_heads": 3,
            "d_kv": 8, "d_ff": 48, "feed_forward_proj": "gated-gelu"})
    }

    #[test]
    fn families_differ_where_they_should() {
        let config = seq2seq_from_json(&marian()).unwrap();
        assert!(!config.pre_norm && config.shared && config.logits_bias);
        assert_eq!((config.encoder.head_dim, config.decoder.head_dim), (8, 16));
        assert_eq!(config.positions, TokenPositions::Sines { offset: 0, kind: Sines::Marian });
        let mut two = marian();
        two["share_encoder_decoder_embeddings"] = false.into();
        two["decoder_vocab_size"] = 80.into();
        let two = seq2seq_from_json(&two).unwrap();
        assert_eq!((two.source_vocab_size, two.vocab_size, two.shared), (64, 80, false));
        let mut m2m = marian();
        m2m["model_type"] = "m2m_100".into();
        let m2m = seq2seq_from_json(&m2m).unwrap();
        assert!(m2m.pre_norm && m2m.final_norm && !m2m.logits_bias);
        assert_eq!(m2m.positions, TokenPositions::Sines { offset: 2, kind: Sines::Fairseq });
        let mt5 = seq2seq_from_json(&t5()).unwrap();
        assert!(mt5.gated && mt5.logits_scale == 1.0 && mt5.context_length == 512);
        let mut first = t5();
        first["model_type"] = "t5".into();
        let first = seq2seq_from_json(&first).unwrap();
        assert_eq!(first.logits_scale, (32f32).powf(-0.5));
        for field in ["tie_word_embeddings", "scale_decoder_outputs"] {
            let mut later = t5();
            later["model_type"] = "t5".into();
            later[field] = false.into();
            assert_eq!(seq2seq_from_json(&later).unwrap().logits_scale, 1.0, "{field}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (config, field, value, says) in [
            (marian(), "d_model", json!(30), "d_model: is no multiple of encoder_attention_heads"),
            (marian(), "encoder_layers", json!(null), "encoder_layers: is missing"),
            (marian(), "activation_function", json!("cosine"), "\"cosine\" is not supported"),
            (marian(), "quantization_config", json!({"quant_method": "gptq"}), "gptq"),
            (t5(), "feed_forward_proj", json!("gated-relu"), "\"gated-relu\" is not supported"),
            (t5(), "relative_attention_num_buckets", json!(3), "3 is not an even number"),
            (t5(), "relative_attention_max_distance", json!(16), "16 is not beyond"),
            (t5(), "d_kv", json!(0), "d_kv: 0 is not a size"),
        ] {
            let mut config = config;
            config[field] = value;
            let error = seq2seq_from_json(&config).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
