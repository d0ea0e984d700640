//! What the engine's tests share: a tokenizer of bytes, and a model without
//! weights whose next token follows from what it reads in the cache, so that a
//! block that holds the wrong text shows in the text.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use candle_core::{Device, Result, Tensor};

use super::worker::state::CausalModel;
use crate::backend::{Batch, KvCache, KvDtype, KvShape, Logits};
use crate::text::Tokenizer;

/// 256 bytes and an end-of-text token.
pub const VOCABULARY: usize = 257;
pub const EOS: u32 = 256;
/// A prompt with this token fails, with an error or with a panic.
pub const FAILS: u32 = 250;
pub const PANICS: u32 = 251;

/// Token `b` is the byte `b`.
pub fn byte_tokenizer() -> Tokenizer {
    byte_tokenizer_with(&[])
}

/// The same with special tokens after [`EOS`].
pub fn byte_tokenizer_with(special: &[&str]) -> Tokenizer {
    // The printable stand-ins that byte-level tokenizers have for bytes.
    let plain = |b: u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let mut stand_in = 256;
    let mut vocab = serde_json::Map::new();
    for byte in 0..256u32 {
        let char = if plain(byte) {
            byte
        } else {
            stand_in += 1;
            stand_in - 1
        };
        vocab.insert(char::from_u32(char).unwrap().to_string(), byte.into());
    }
    let added: Vec<_> = (["<end>"].iter().chain(special).zip(EOS..))
        .map(|(content, id)| {
            serde_json::json!({
                "id": id, "content": content, "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false
            })
        })
        .collect();
    let json = serde_json::json!({
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    });
    let mut tokenizer =
        Tokenizer::from_json_bytes(json.to_string().as_bytes(), None, None).unwrap();
    tokenizer.with_eos_ids(&[EOS]);
    tokenizer
}

/// The logits after `context`, of which the last `memory` tokens count.
pub fn logits_after(context: &[u32], memory: usize) -> Vec<f32> {
    let from = context.len().saturating_sub(memory);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for &token in &context[from..] {
        state = (state ^ u64::from(token)).wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(23);
    }
    (0..VOCABULARY as u64)
        .map(|i| {
            let mut x = (state ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            x ^= x >> 29;
            x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
            // Letters are likely; the rest, and the end, are not.
            let likely = if (97..123).contains(&i) { 4.0 } else { 0.0 };
            (x >> 40) as f32 / (1u64 << 24) as f32 * 4.0 + likely
        })
        .collect()
}

/// What greedy decoding gives after `prompt`.
pub fn greedy(prompt: &[u32], tokens: usize, memory: usize) -> Vec<u32> {
    let mut text = prompt.to_vec();
    for _ in 0..tokens {
        let logits = logits_after(&text, memory);
        let best = (0..VOCABULARY).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        text.push(best as u32);
    }
    text.split_off(prompt.len())
}

/// A model that keeps tokens where others keep keys and values.
#[derive(Clone)]
pub struct HashModel {
    pub memory: usize,
    pub steps: Arc<AtomicUsize>,
    /// Rows computed.
    pub rows: Arc<AtomicUsize>,
    /// Most rows of logits in a step.
    pub widest: Arc<AtomicUsize>,
    /// Every step fails until the model is loaded again.
    pub lost: Arc<AtomicBool>,
    /// How long a step takes.
    pub step: std::time::Duration,
    /// Tokens are drawn as on a device.
    pub draws: bool,
    /// Steps that were begun before their tokens were known.
    pub ahead: Arc<AtomicUsize>,
}

impl HashModel {
    pub fn new(memory: usize) -> Self {
        Self {
            memory,
            steps: Arc::default(),
            rows: Arc::default(),
            widest: Arc::default(),
            lost: Arc::default(),
            step: Default::default(),
            draws: false,
            ahead: Arc::default(),
        }
    }

    pub fn shape(block_size: usize) -> KvShape {
        KvShape { layers: 1, kv_heads: 1, head_dim: 1, block_size, dtype: KvDtype::F32 }
    }
}

impl CausalModel for HashModel {
    fn forward(&self, batch: &Batch, cache: &mut KvCache, logits: &mut Logits) -> Result<()> {
        std::thread::sleep(self.step);
        self.steps.fetch_add(1, Relaxed);
        self.rows.fetch_add(batch.tokens(), Relaxed);
        let mut ids = batch.ids.clone();
        if let Some(follows) = &batch.follows {
            self.ahead.fetch_add(1, Relaxed);
            let drawn = follows.tokens.wait()?;
            ids = follows.draws.iter().map(|&d| drawn[d as usize].unwrap()).collect();
        }
        if self.lost.load(Relaxed) || ids.contains(&FAILS) {
            candle_core::bail!("the device is lost");
        }
        assert!(!ids.contains(&PANICS), "a bug in a kernel");
        let ids: Vec<f32> = ids.into_iter().map(|id| id as f32).collect();
        let ids = Tensor::from_vec(ids, (batch.tokens(), 1, 1), &Device::Cpu)?;
        cache.write(0, &ids, &ids, &batch.slot_mapping)?;
        let held = cache.layer(0).0.flatten_all()?.to_vec1::<f32>()?;
        let block_size = cache.shape.block_size;
        self.widest.fetch_max(batch.logit_rows.len(), Relaxed);
        let out = logits.room(batch.logit_rows.len(), VOCABULARY);
        let mut rows = out.chunks_exact_mut(VOCABULARY);
        for &row in &batch.logit_rows {
            let row = row as usize;
            let s = (0..batch.sequences()).find(|&s| batch.rows(s).contains(&row)).unwrap();
            let context: Vec<u32> = (0..=batch.positions[row] as usize)
                .map(|p| {
                    let block = batch.block_tables[s][p / block_size] as usize;
                    held[block * block_size + p % block_size] as u32
                })
                .collect();
            rows.next().unwrap().copy_from_slice(&logits_after(&context, self.memory));
        }
        if self.draws {
            logits.pretend();
        }
        Ok(())
    }

    fn device(&self) -> &Device {
        &Device::Cpu
    }
}
