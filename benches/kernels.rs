//! The kernels alone, at shapes of real models.
//!
//!     cargo bench --bench kernels
//!     cargo bench --bench kernels -- 'matmul/q4_0'
#![allow(clippy::unwrap_used)]

use candle_core::quantized::GgmlDType;
use candle_core::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dragoman::backend::attention::{AttentionSpec, packed as packed_attention, paged};
use dragoman::backend::kernels::packed::{Packed, best_level, matmul};
use dragoman::backend::{Batch, KvCache, KvDtype, KvShape};
use dragoman::engine::SamplingParams;
use dragoman::engine::sampler::{Allowed, Sampler};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// Outputs and inputs: SmolLM2-135M, Qwen2.5-0.5B, Qwen2.5-1.5B.
const SHAPES: [(usize, usize); 3] = [(1536, 576), (4864, 896), (8960, 1536)];

/// The one line to change with the kernel's signature.
fn multiply(w: &Packed, x: &[f32], y: &mut [f32]) {
    matmul(w, x, y, best_level());
}

/// Random blocks with a scale that keeps values near 1.
fn weights(dtype: GgmlDType, rows: usize, columns: usize) -> Packed {
    let (size, block) = (dtype.type_size(), dtype.block_size());
    let mut bytes = vec![0; rows * columns / block * size];
    let mut random = Pcg64Mcg::seed_from_u64(1);
    random.fill_bytes(&mut bytes);
    // The halves that are scales, by type: random bits could be infinite.
    let scales: &[usize] = match dtype {
        GgmlDType::Q4_1 | GgmlDType::Q5_1 | GgmlDType::Q4K | GgmlDType::Q5K => &[0, 2],
        GgmlDType::Q6K => &[208],
        _ => &[0],
    };
    for block in bytes.chunks_exact_mut(size) {
        for &at in scales {
            block[at..at + 2].copy_from_slice(&half::f16::from_f32(0.001).to_le_bytes());
        }
    }
    Packed::new(&bytes, dtype, rows, columns).unwrap()
}

fn values(n: usize) -> Vec<f32> {
    let mut random = Pcg64Mcg::seed_from_u64(2);
    (0..n).map(|_| (random.next_u64() >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect()
}

fn matmuls(c: &mut Criterion) {
    let types = [
        ("q4_0", GgmlDType::Q4_0),
        ("q4_1", GgmlDType::Q4_1),
        ("q5_0", GgmlDType::Q5_0),
        ("q8_0", GgmlDType::Q8_0),
        ("q4_k", GgmlDType::Q4K),
        ("q6_k", GgmlDType::Q6K),
    ];
    for (name, dtype) in types {
        let mut group = c.benchmark_group(format!("matmul/{name}"));
        for (out, input) in SHAPES {
            if input % dtype.block_size() != 0 {
                continue;
            }
            let w = weights(dtype, out, input);
            for rows in [1, 4, 16, 128] {
                let (x, mut y) = (values(rows * input), vec![0f32; rows * out]);
                group.throughput(Throughput::Elements((2 * rows * out * input) as u64));
                let id = BenchmarkId::new(format!("{out}x{input}"), format!("{rows} rows"));
                group.bench_function(id, |b| b.iter(|| multiply(&w, &x, &mut y)));
            }
        }
        group.finish();
    }
}

const BLOCK: usize = 16;

fn spec(heads: usize, kv_heads: usize) -> AttentionSpec {
    AttentionSpec { heads, kv_heads, head_dim: 64, scale: 0.125, softcap: None, window: None }
}

fn rows(rows: usize, heads: usize) -> Tensor {
    Tensor::from_vec(values(rows * heads * 64), (rows, heads, 64), &Device::Cpu).unwrap()
}

/// `sequences` of `context` positions each, the last `new` of them computed
/// now; of so many layers that keys and values come from memory.
fn causal(
    c: &mut Criterion,
    (name, spec): (&str, AttentionSpec),
    [sequences, context, new]: [usize; 3],
) {
    let blocks = context.div_ceil(BLOCK);
    for (kv, dtype) in [("f16", KvDtype::F16), ("bf16", KvDtype::BF16)] {
        let kv_heads = spec.kv_heads;
        let mut shape = KvShape { layers: 1, kv_heads, head_dim: 64, block_size: BLOCK, dtype };
        let bytes = sequences * blocks * shape.block_bytes();
        shape.layers = (200_000_000 / bytes).clamp(1, 60);
        let mut cache = KvCache::new(shape, sequences * blocks, &Device::Cpu).unwrap();
        let slots: Vec<u32> = (0..(sequences * blocks * BLOCK) as u32).collect();
        let all = rows(slots.len(), kv_heads);
        for layer in 0..shape.layers {
            cache.write(layer, &all, &all, &slots).unwrap();
        }
        let mut batch = Batch::new();
        for s in 0..sequences {
            let table: Vec<u32> = (s * blocks..(s + 1) * blocks).map(|b| b as u32).collect();
            batch.push(&vec![1; new], context - new, &table, BLOCK, true);
        }
        let q = rows(sequences * new, spec.heads);
        let mut group = c.benchmark_group("attention");
        group.throughput(Throughput::Bytes(bytes as u64));
        let mut layer = 0;
        group.bench_function(format!("{name} {kv}"), |b| {
            b.iter(|| {
                layer = (layer + 1) % shape.layers;
                let (k, v) = cache.layer(layer);
                paged(&spec, &q, k, v, &batch).unwrap()
            })
        });
        group.finish();
    }
}

fn attention(c: &mut Criterion) {
    // SmolLM2-135M and Qwen2.5-0.5B.
    for (model, spec) in [("9 heads", spec(9, 3)), ("14 heads", spec(14, 2))] {
        for (sequences, context) in [(1, 512), (1, 4096), (1, 8192), (32, 1024)] {
            let name = format!("{model} decode {sequences} x {context}");
            causal(c, (&name, spec), [sequences, context, 1]);
        }
        for before in [0, 1024, 4096] {
            let name = format!("{model} prefill 512 after {before}");
            causal(c, (&name, spec), [1, before + 512, 512]);
        }
    }
    // MiniLM.
    let encoder = AttentionSpec { head_dim: 32, ..spec(12, 12) };
    let q = rows(32 * 128, 6).reshape((32 * 128, 12, 32)).unwrap();
    let ends = (0..=32).map(|i| i * 128).collect::<Vec<u32>>();
    c.bench_function("attention/both ways 32 x 128", |b| {
        b.iter(|| packed_attention(&encoder, &q, &q, &q, &ends).unwrap())
    });
}

fn sampling(c: &mut Criterion) {
    let logits: Vec<f32> = values(151_936).into_iter().map(|x| x * 10.0).collect();
    let default = SamplingParams { seed: Some(1), ..Default::default() };
    let cases = [
        ("greedy", SamplingParams { temperature: 0.0, ..default.clone() }),
        ("temperature", default.clone()),
        ("top_k 40", SamplingParams { top_k: 40, ..default.clone() }),
        ("top_p 0.9", SamplingParams { top_p: 0.9, ..default.clone() }),
        ("min_p 0.05", SamplingParams { min_p: 0.05, ..default.clone() }),
        ("repetition_penalty", SamplingParams { repetition_penalty: 1.1, ..default }),
    ];
    let history: Vec<u32> = (0..500).collect();
    for (name, params) in cases {
        let mut sampler = Sampler::new(params, 1, &history, &|_| b"x");
        c.bench_function(&format!("sampler/{name}"), |b| {
            b.iter(|| sampler.sample(&history, &logits, Allowed::default()).unwrap())
        });
    }
}

criterion_group!(benches, matmuls, attention, sampling);
criterion_main!(benches);
