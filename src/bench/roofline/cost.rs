//! Bytes and operations of a model's steps, from its configuration and from
//! what its weights take in memory.

use serde::Serialize;

use crate::backend::kernels::packed::Arithmetic;
use crate::models::config::{DecoderConfig, EncoderConfig};

/// What one piece of work takes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Read from memory.
    pub bytes: f64,
    /// Multiplications and additions on bytes.
    pub int8_ops: f64,
    /// The same on 16-bit integers.
    pub int16_ops: f64,
    /// The same on bf16.
    pub bf16_ops: f64,
    /// The same on f32.
    pub f32_ops: f64,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.int8_ops += other.int8_ops;
        self.int16_ops += other.int16_ops;
        self.bf16_ops += other.bf16_ops;
        self.f32_ops += other.f32_ops;
    }
}

/// What a model costs, by step, token and position.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelCost {
    /// Weights that every step reads.
    pub step_bytes: u64,
    /// Weights of experts, of which a step reads those that its tokens take.
    pub expert_bytes: u64,
    /// Weights that are only looked up, a row a token.
    pub lookup_bytes: u64,
    /// Keys and values of one position, over all layers that see everything.
    pub kv_bytes_per_position: u64,
    /// Operations of the linear layers for one token, without the output head.
    pub layer_ops_per_token: u64,
    /// Operations of the output head for one row of logits.
    pub head_ops_per_row: u64,
    /// Operations of attention for one token and one position it sees.
    pub attention_ops_per_position: u64,
    /// What the linear layers multiply.
    pub linear: Arithmetic,
    /// Share of the experts that one token takes.
    #[serde(skip)]
    taken: f64,
    /// By layer: positions it sees at most, and its share of the costs above.
    #[serde(skip)]
    windows: Vec<Option<usize>>,
}

/// What is known of the weights in memory.
#[derive(Debug, Clone, Copy)]
pub struct WeightBytes {
    /// All of them.
    pub all: u64,
    /// Those that are only looked up.
    pub lookup: u64,
    /// Those of experts.
    pub experts: u64,
    /// How most of the matrices are multiplied.
    pub arithmetic: Arithmetic,
}

impl ModelCost {
    /// `kv_bytes` is the size of one stored element of a key or value.
    pub fn decoder(c: &DecoderConfig, weights: WeightBytes, kv_bytes: usize) -> Self {
        let layers = c.layers.len() as u64;
        let (h, d) = (c.hidden_size, c.head_dim);
        let attention = 2 * c.heads * d * h + 2 * c.kv_heads * d * h;
        let linear: usize = (0..c.layers.len()).map(|i| attention + feed_forward(c, i)).sum();
        Self {
            step_bytes: weights.all - weights.lookup - weights.experts,
            expert_bytes: weights.experts,
            taken: c.experts.as_ref().map_or(0.0, |e| e.chosen as f64 / e.count as f64),
            lookup_bytes: weights.lookup,
            kv_bytes_per_position: layers * (2 * c.kv_heads * d * kv_bytes) as u64,
            layer_ops_per_token: 2 * linear as u64,
            head_ops_per_row: 2 * (h * c.vocab_size) as u64,
            attention_ops_per_position: layers * (4 * c.heads * d) as u64,
            linear: weights.arithmetic,
            windows: c.layers.iter().map(|l| l.window).collect(),
        }
    }

    /// An encoder has no cache and no output head.
    pub fn encoder(c: &EncoderConfig, weights: WeightBytes) -> Self {
        let (layers, h) = (c.layers as u64, c.hidden_size);
        let inner = (if c.gated { 3 } else { 2 }) * c.intermediate_size;
        Self {
            step_bytes: weights.all - weights.lookup,
            expert_bytes: 0,
            taken: 0.0,
            lookup_bytes: weights.lookup,
            kv_bytes_per_position: 0,
            layer_ops_per_token: layers * 2 * (4 * h * h + h * inner) as u64,
            head_ops_per_row: 0,
            attention_ops_per_position: layers * (4 * h) as u64,
            linear: weights.arithmetic,
            windows: vec![None; c.layers],
        }
    }

    /// One step of `batch` sequences, each of which computes `rows` tokens
    /// after `before` others and wants the logits of `logit_rows` of them.
    pub fn causal(&self, batch: usize, rows: usize, before: usize, logit_rows: usize) -> Work {
        let (n, layers) = (batch as f64, self.windows.len().max(1) as f64);
        // Positions read from the cache, and seen by the rows together, on
        // average over the layers.
        let (mut read, mut seen) = (0.0, 0.0);
        for window in &self.windows {
            let last = before + rows;
            read += window.map_or(last, |w| last.min(w + rows - 1)) as f64;
            seen += sum_seen(before, rows, *window);
        }
        // Divided last: sums of whole numbers are exact.
        let (read, seen) = (read / layers, seen / layers);
        let (layers, head) = (self.layer_ops_per_token as f64, self.head_ops_per_row as f64);
        let linear = n * (rows as f64 * layers + logit_rows as f64 * head);
        let cache = n * read * self.kv_bytes_per_position as f64;
        self.work(linear, cache + self.taken_bytes(n * rows as f64), n * seen)
    }

    /// `batch` sequences of `rows` tokens that all see each other.
    pub fn bidirectional(&self, batch: usize, rows: usize) -> Work {
        let (n, rows) = (batch as f64, rows as f64);
        self.work(n * rows * self.layer_ops_per_token as f64, 0.0, n * rows * rows)
    }

    /// Bytes of the experts that so many tokens take together, where each
    /// takes any as likely as any other.
    fn taken_bytes(&self, tokens: f64) -> f64 {
        self.expert_bytes as f64 * (1.0 - (1.0 - self.taken).powf(tokens))
    }

    fn work(&self, linear_ops: f64, other_bytes: f64, seen: f64) -> Work {
        let attention = seen * self.attention_ops_per_position as f64;
        let bytes = self.step_bytes as f64 + other_bytes;
        let mut work = Work { bytes, f32_ops: attention, ..Default::default() };
        match self.linear {
            Arithmetic::Int8 => work.int8_ops += linear_ops,
            Arithmetic::Int16 => work.int16_ops += linear_ops,
            Arithmetic::Bf16 => work.bf16_ops += linear_ops,
            Arithmetic::Bf16x2 => work.bf16_ops += 3.0 * linear_ops,
            Arithmetic::F32 => work.f32_ops += linear_ops,
        }
        work
    }
}

/// Multiplications of a token in what follows the attention of a layer.
fn feed_forward(c: &DecoderConfig, layer: usize) -> usize {
    let h = c.hidden_size;
    match c.experts.as_ref().filter(|e| e.layers.get(layer) == Some(&true)) {
        Some(e) => {
            let shared = e.shared.map_or(0, |inner| 3 * inner + 1);
            h * (e.count + 3 * e.chosen * e.intermediate_size + shared)
        }
        None => 3 * h * c.intermediate_size,
    }
}

/// Positions that rows `before..before + rows` see, added up.
fn sum_seen(before: usize, rows: usize, window: Option<usize>) -> f64 {
    // Row i sees itself and those before it: i + 1, or the window.
    let all = |n: usize| n as f64 * (n as f64 + 1.0) / 2.0;
    let (from, to) = (before, before + rows);
    match window {
        Some(w) => {
            let (narrow_from, narrow_to) = (from.min(w), to.min(w));
            all(narrow_to) - all(narrow_from)
                + ((to - narrow_to) - (from - narrow_from)) as f64 * w as f64
        }
        None => all(to) - all(from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::config;
    use serde_json::json;

    /// SmolLM2-135M: 30 layers of 576, 9 heads of 64 over 3 key heads, a
    /// feed-forward of 1536, a vocabulary of 49152 shared with the head.
    fn smollm2() -> ModelCost {
        let json = json!({"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536,
            "num_attention_heads": 9, "num_key_value_heads": 3, "num_hidden_layers": 30,
            "vocab_size": 49152, "max_position_embeddings": 8192, "hidden_act": "silu"});
        let config = config::from_json(&json).unwrap();
        let weights =
            WeightBytes { all: 90_000_000, lookup: 0, experts: 0, arithmetic: Arithmetic::Int8 };
        ModelCost::decoder(&config, weights, 2)
    }

    #[test]
    fn smollm2_costs_what_its_shapes_say() {
        let cost = smollm2();
        // Keys and values: 2 · 3 · 64 elements of 2 bytes in 30 layers.
        assert_eq!(cost.kv_bytes_per_position, 23_040);
        // A layer: q and output 331,776 each, k and v 110,592 each, gate, up
        // and down 884,736 each: 3,538,944 multiply-adds.
        assert_eq!(cost.layer_ops_per_token, 30 * 2 * 3_538_944);
        assert_eq!(cost.head_ops_per_row, 2 * 28_311_552);
        // Scores and sums: two multiply-adds for each of 576 in 30 layers.
        assert_eq!(cost.attention_ops_per_position, 30 * 4 * 576);
    }

    #[test]
    fn a_step_adds_up() {
        let cost = smollm2();
        // Two sequences decode one token each after 99 others.
        let work = cost.causal(2, 1, 99, 1);
        assert_eq!(work.bytes, 90_000_000.0 + 2.0 * 100.0 * 23_040.0);
        assert_eq!(work.int8_ops, 2.0 * (212_336_640.0 + 56_623_104.0));
        assert_eq!(work.f32_ops, 2.0 * 100.0 * 69_120.0);
        // A prompt of 4: the rows see 1, 2, 3 and 4 positions; one row of logits.
        let work = cost.causal(1, 4, 0, 1);
        assert_eq!(work.int8_ops, 4.0 * 212_336_640.0 + 56_623_104.0);
        assert_eq!(work.f32_ops, 10.0 * 69_120.0);
    }

    #[test]
    fn a_step_reads_the_experts_that_are_taken() {
        // Qwen3-30B-A3B: 8 of 128 experts of 768 in 48 layers of 2048.
        let json = json!({"model_type": "qwen3_moe", "hidden_size": 2048, "head_dim": 128,
            "num_attention_heads": 32, "num_key_value_heads": 4, "num_hidden_layers": 48,
            "vocab_size": 151936, "max_position_embeddings": 40960, "hidden_act": "silu",
            "intermediate_size": 6144, "num_experts": 128, "num_experts_per_tok": 8,
            "moe_intermediate_size": 768, "norm_topk_prob": true});
        let config = config::from_json(&json).unwrap();
        let weights =
            WeightBytes { all: 1000, lookup: 100, experts: 640, arithmetic: Arithmetic::Int8 };
        let cost = ModelCost::decoder(&config, weights, 0);
        // A layer: 2 of 4096 and 2 of 512 by 2048, the router, and 8 experts of
        // three matrices of 768 by 2048.
        let layer = 2048 * (2 * 4096 + 2 * 512 + 128 + 8 * 3 * 768);
        assert_eq!(cost.layer_ops_per_token, 48 * 2 * layer);
        assert_eq!(cost.causal(1, 1, 0, 1).bytes, 260.0 + 40.0);
        // Of 16 tokens each leaves 15 of 16: a fraction is left by all.
        let left = 0.9375f64.powi(16);
        assert!((cost.causal(16, 1, 0, 1).bytes - (260.0 + 640.0 * (1.0 - left))).abs() < 1e-9);
        assert!((cost.causal(1, 2000, 0, 1).bytes - 900.0).abs() < 1e-9);
    }

    #[test]
    fn windows_bound_what_is_seen() {
        for (before, rows, window, expected) in [
            (0, 4, None, 10.0),
            (10, 2, None, 23.0),
            (0, 4, Some(2), 1.0 + 2.0 + 2.0 + 2.0),
            (10, 2, Some(3), 6.0),
            (1, 3, Some(100), 2.0 + 3.0 + 4.0),
        ] {
            assert_eq!(sum_seen(before, rows, window), expected, "{before} {rows} {window:?}");
        }
    }

    #[test]
    fn a_table_that_is_only_looked_up_is_not_read() {
        let json = json!({"model_type": "bert", "hidden_size": 384, "intermediate_size": 1536,
            "num_attention_heads": 12, "num_hidden_layers": 6, "vocab_size": 30522,
            "max_position_embeddings": 512, "hidden_act": "gelu", "type_vocab_size": 2});
        let config = config::encoder_from_json(&json).unwrap();
        let weights =
            WeightBytes { all: 1000, lookup: 400, experts: 0, arithmetic: Arithmetic::F32 };
        let cost = ModelCost::encoder(&config, weights);
        assert_eq!((cost.step_bytes, cost.lookup_bytes), (600, 400));
        // MiniLM, 128 tokens: 2.7 GFLOP of linear layers, 0.15 of attention.
        let work = cost.bidirectional(1, 128);
        assert_eq!(work.f32_ops, 128.0 * 21_233_664.0 + 128.0 * 128.0 * 9_216.0);
    }
}
