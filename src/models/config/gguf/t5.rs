//! An encoder-decoder's configuration from GGUF metadata: T5 and its kin.

use serde_json::json;

use super::keys::Keys;
use super::layer_count;
use crate::models::config::Seq2SeqConfig;
use crate::models::config::seq2seq::seq2seq_from_json;
use crate::models::error::LoadError;
use crate::models::gguf::GgufFile;

/// The GGUF architecture that [`seq2seq_from_gguf`] reads.
pub const T5: &str = "t5";

/// Reads it. What the format does not store is as in all published models: the
/// last range of distances begins before 128, and of those whose matrix of
/// logits is the table of words, the logits are scaled.
///
/// # Errors
/// A key that is missing or out of range.
pub fn seq2seq_from_gguf(file: &GgufFile) -> Result<Seq2SeqConfig, LoadError> {
    let keys = Keys { file, arch: T5 };
    let layers = layer_count(keys.key("block_count"), keys.need("block_count")?)?;
    let written = keys.size("decoder_block_count")?.unwrap_or(layers);
    let gated = file.tensors.contains_key("enc.blk.0.ffn_gate.weight");
    seq2seq_from_json(&json!({
        "model_type": T5,
        "vocab_size": file.tensor("token_embd.weight")?.0.shape.first(),
        "d_model": keys.need("embedding_length")?,
        "d_ff": keys.need("feed_forward_length")?,
        "d_kv": keys.need("attention.key_length")?,
        "num_heads": keys.need("attention.head_count")?,
        "num_layers": layers,
        "num_decoder_layers": layer_count(keys.key("decoder_block_count"), written)?,
        "n_positions": keys.need("context_length")?,
        "relative_attention_num_buckets": keys.need("attention.relative_buckets_count")?,
        "layer_norm_epsilon": keys.float("attention.layer_norm_rms_epsilon").unwrap_or(1e-6),
        "feed_forward_proj": if gated { "gated-gelu" } else { "relu" },
        "tie_word_embeddings": !file.tensors.contains_key("output.weight"),
    }))
}
