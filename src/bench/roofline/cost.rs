//! Bytes and operations of a model's steps, from its configuration and from
//! what its weights take in memory.

use serde::Serialize;

use crate::models::config::{DecoderConfig, EncoderConfig};

/// What one piece of work takes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Read from memory.
    pub bytes: f64,
    /// Multiplications and additions on bytes.
    pub int8_ops: f64,
    /// The same on f32.
    pub f32_ops: f64,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.int8_ops += other.int8_ops;
        self.f32_ops += other.f32_ops;
    }
}

/// What a model costs, by step, token and position.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelCost {
    /// Weights that every step reads.
    pub step_bytes: u64,
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
    /// Whether the linear layers multiply bytes (quantized) or f32.
    pub int8: bool,
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
    /// The matrices are quantized and packed.
    pub quantized: bool,
}

impl ModelCost {
    /// `kv_bytes` is the size of one stored element of a key or value.
    pub fn decoder(c: &DecoderConfig, weights: WeightBytes, kv_bytes: usize) -> Self {
        let layers = c.layers.len() as u64;
        let (h, d) = (c.hidden_size, c.head_dim);
        let linear = 2 * c.heads * d * h + 2 * c.kv_heads * d * h + 3 * h * c.intermediate_size;
        Self {
            step_bytes: weights.all - weights.lookup,
            lookup_bytes: weights.lookup,
            kv_bytes_per_position: layers * (2 * c.kv_heads * d * kv_bytes) as u64,
            layer_ops_per_token: layers * 2 * linear as u64,
            head_ops_per_row: 2 * (h * c.vocab_size) as u64,
            attention_ops_per_position: layers * (4 * c.heads * d) as u64,
            int8: weights.quantized,
            windows: c.layers.iter().map(|l| l.window).collect(),
        }
    }

    /// An encoder has no cache and no output head.
    pub fn encoder(c: &EncoderConfig, weights: WeightBytes) -> Self {
        let (layers, h) = (c.layers as u64, c.hidden_size);
        let inner = (if c.gated { 3 } else { 2 }) * c.intermediate_size;
        Self {
            step_bytes: weights.all - weights.lookup,
            lookup_bytes: weights.lookup,
            kv_bytes_per_position: 0,
            layer_ops_per_token: layers * 2 * (4 * h * h + h * inner) as u64,
            head_ops_per_row: 0,
            attention_ops_per_position: layers * (4 * h) as u64,
            int8: weights.quantized,
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
        self.work(linear, n * read * self.kv_bytes_per_position as f64, n * seen)
    }

    /// `batch` sequences of `rows` tokens that all see each other.
    pub fn bidirectional(&self, batch: usize, rows: usize) -> Work {
        let (n, rows) = (batch as f64, rows as f64);
        self.work(n * rows * self.layer_ops_per_token as f64, 0.0, n * rows * rows)
    }

    fn work(&self, linear_ops: f64, cache_bytes: f64, seen: f64) -> Work {
        let attention = seen * self.attention_ops_per_position as f64;
        let (int8_ops, f32_ops) = match self.int8 {
            true => (linear_ops, attention),
            false => (0.0, linear_ops + attention),
        };
        Work { bytes: self.step_bytes as f64 + cache_bytes, int8_ops, f32_ops }
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
        let weights = WeightBytes { all: 90_000_000, lookup: 0, quantized: true };
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
        let weights = WeightBytes { all: 1000, lookup: 400, quantized: false };
        let cost = ModelCost::encoder(&config, weights);
        assert_eq!((cost.step_bytes, cost.lookup_bytes), (600, 400));
        // MiniLM, 128 tokens: 2.7 GFLOP of linear layers, 0.15 of attention.
        let work = cost.bidirectional(1, 128);
        assert_eq!(work.f32_ops, 128.0 * 21_233_664.0 + 128.0 * 128.0 * 9_216.0);
    }
}
