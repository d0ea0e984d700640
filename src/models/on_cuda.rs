//! Models on a CUDA device against the same on the CPU. Where there is no
//! device they say so and are skipped.

use std::path::Path;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Result, Tensor};

use crate::backend::device::cuda_for_tests as cuda;
use crate::backend::ops::Activation;
use crate::backend::{
    Batch, BlockNorms, Expert, FeedForward, KvCache, KvDtype, KvShape, Linear, Logits, MoeBlock,
    MoeParts, Routing, SourceBlocks, Workspace,
};
use crate::models::encoder::PackedTexts;
use crate::models::random::{self, RandomModel};
use crate::models::weights::{Purpose, from_bytes};
use crate::models::{LoadOptions, LoadedModel, ModelPaths, Network, Quantize, load};

const BLOCK: usize = 8;

fn network(name: &str, device: Device, quantize: Quantize) -> Network {
    loaded(name, device, quantize).network
}

fn loaded(name: &str, device: Device, quantize: Quantize) -> LoadedModel {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let paths = match name.strip_suffix(".gguf") {
        Some(_) => ModelPaths { weights: vec![fixtures.join("gguf").join(name)], config: None },
        None => ModelPaths {
            weights: vec![fixtures.join("tiny").join(name).join("model.safetensors")],
            config: Some(fixtures.join("tiny").join(name).join("config.json")),
        },
    };
    let options = LoadOptions { device, context_length: None, quantize, on_progress: &|_, _| {} };
    load(&paths, options).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A made-up model of a configuration in tests/fixtures/tiny, or of a file.
fn made(config: &Path, weights: &str, device: Device) -> Network {
    let wanted = RandomModel {
        config: match config.is_absolute() {
            true => config.to_owned(),
            false => Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/fixtures/tiny")
                .join(config)
                .join("config.json"),
        },
        weights: weights.parse().expect("a type of weights"),
        layers: None,
        seed: 5,
    };
    let quantize = Quantize::None;
    let options = LoadOptions { device, context_length: None, quantize, on_progress: &|_, _| {} };
    random::load(&wanted, options).unwrap_or_else(|e| panic!("{config:?}: {e}")).0.network
}

/// Steps of a batch as an engine makes them: prompts, then texts beside
/// another prompt, then texts alone, some of them several rows at a time.
fn steps() -> Vec<Batch> {
    let ids = |seed: u32, len: u32| -> Vec<u32> { (0..len).map(|i| (seed + 7 * i) % 60).collect() };
    let tables: [Vec<u32>; 3] = [vec![5, 2, 9, 14], vec![1, 7, 11, 0], (16..40).collect()];
    let mut steps = Vec::new();
    let mut step = |parts: &[(usize, usize, u32)]| {
        let mut batch = Batch::new();
        for &(s, first, len) in parts {
            let blocks = (first + len as usize).div_ceil(BLOCK);
            batch.push(
                &ids(s as u32 + first as u32, len),
                first,
                &tables[s][..blocks],
                BLOCK,
                true,
            );
        }
        steps.push(batch);
    };
    step(&[(0, 0, 9), (1, 0, 3)]);
    step(&[(0, 9, 1), (1, 3, 1), (2, 0, 70)]);
    for i in 0..5 {
        step(&[(0, 10 + i, 1), (1, 4 + i, 1), (2, 70 + i, 1)]);
    }
    step(&[(0, 15, 3), (2, 75, 1)]);
    steps
}

/// The largest difference of logits, relative to the largest of them.
fn apart(name: &str, cuda: &Device, quantize: Quantize, kv: KvDtype) -> f32 {
    apart_of(name, cuda, kv, &|device| network(name, device, quantize))
}

fn apart_of(name: &str, cuda: &Device, kv: KvDtype, network: &dyn Fn(Device) -> Network) -> f32 {
    let mut all = Vec::new();
    for device in [Device::Cpu, cuda.clone()] {
        let Network::Decoder(model) = network(device.clone()) else {
            panic!("{name} is no decoder");
        };
        // The CPU has no cache of FP8.
        let kv = if device.is_cpu() && kv == KvDtype::Fp8 { KvDtype::F32 } else { kv };
        let mut cache = KvCache::new(model.kv_shape(BLOCK, kv), 48, &device).expect("a cache");
        let mut logits = Logits::default();
        let mut found = Vec::new();
        for (i, batch) in steps().iter().enumerate() {
            let done = model.forward(batch, &mut cache, &mut logits);
            done.unwrap_or_else(|e| panic!("{name}, step {i}: {e}"));
            found.extend(logits.rows().flatten().copied());
        }
        // All of its layers have kernels, or no step could be.
        assert!(device.is_cpu() || model.recordings() > 0, "{name}: no step was recorded");
        all.push(found);
    }
    let (mut most, mut largest) = (0f32, 0f32);
    assert_eq!(all[0].len(), all[1].len());
    for (i, (a, b)) in all[0].iter().zip(&all[1]).enumerate() {
        assert!(b.is_finite(), "{name}: logit {i} is {b}");
        (most, largest) = (most.max((a - b).abs()), largest.max(a.abs()));
    }
    most / largest
}

#[test]
fn logits_are_those_of_the_cpu() {
    let Some(cuda) = cuda() else { return };
    for name in [
        "llama",
        "llama-yarn",
        "qwen2",
        "qwen3",
        "gemma2",
        "gemma3",
        "phi3",
        "cohere",
        "cohere-qk-norm",
        "cohere2",
        "olmo2",
        "granite",
        "mistral",
        "smollm3",
        "phi3-longrope",
    ] {
        let off = apart(name, &cuda, Quantize::None, KvDtype::F32);
        eprintln!("{name}: {off:.2e}");
        assert!(off < 3e-5, "{name} is off by {off}");
    }
}

#[test]
fn sixteen_bits_are_close() {
    let Some(cuda) = cuda() else { return };
    // Experts' weights are bf16 in their files.
    for name in EXPERTS {
        let off = apart(name, &cuda, Quantize::None, KvDtype::F32);
        eprintln!("{name}: {off:.2e}");
        assert!(off < 1e-1, "{name} is off by {off}");
    }
    for name in ["llama", "qwen3", "gemma3", "cohere", "olmo2"] {
        for (quantize, kv, most) in
            [(Quantize::Int16, KvDtype::F16, 3e-2), (Quantize::Bf16, KvDtype::BF16, 1e-1)]
        {
            let off = apart(name, &cuda, quantize, kv);
            eprintln!("{name}, {quantize}: {off:.2e}");
            assert!(off < most, "{name} in {quantize} is off by {off}");
        }
    }
}

const EXPERTS: [&str; 6] =
    ["qwen3-moe", "qwen3-moe-mixed", "mixtral", "qwen2-moe", "granite-moe", "olmoe"];

/// A mixture with an expert of all rows, of widths that blocks fit.
const MIXTURE: &str = r#"{"architectures": ["Qwen2MoeForCausalLM"], "model_type": "qwen2_moe",
    "hidden_size": 256, "intermediate_size": 128, "moe_intermediate_size": 96,
    "shared_expert_intermediate_size": 160, "num_experts": 8, "num_experts_per_tok": CHOSEN,
    "norm_topk_prob": false, "num_attention_heads": 4, "num_key_value_heads": 2,
    "num_hidden_layers": 2, "hidden_act": "silu", "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "vocab_size": 96,
    "tie_word_embeddings": false}"#;

/// A model with heads of so many columns.
const HEADS: &str = r#"{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
    "hidden_size": 128, "intermediate_size": 160, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": COLUMNS, "num_hidden_layers": 2, "hidden_act": "silu",
    "max_position_embeddings": 128, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
    "vocab_size": 96, "tie_word_embeddings": false}"#;

fn mixture(chosen: usize) -> tempfile::NamedTempFile {
    written(&MIXTURE.replace("CHOSEN", &chosen.to_string()))
}

fn written(config: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, config).expect("it can be written");
    file
}

#[test]
fn a_cache_of_fp8_is_close() {
    let Some(cuda) = cuda() else { return };
    for (columns, weights) in [(32, "f32"), (64, "f16"), (80, "bf16"), (128, "f32"), (256, "f32")] {
        let config = written(&HEADS.replace("COLUMNS", &columns.to_string()));
        let made = |device| made(config.path(), weights, device);
        let off = apart_of(weights, &cuda, KvDtype::Fp8, &made);
        eprintln!("heads of {columns}, {weights}: {off:.2e}");
        assert!((1e-3..0.15).contains(&off), "heads of {columns} are off by {off}");
    }
}

/// What is copied is scales and codes, and a text goes on from them as from its own.
#[test]
fn copied_blocks_of_fp8_are_equal() {
    let Some(cuda) = cuda() else { return };
    let config = written(&HEADS.replace("COLUMNS", "64"));
    let Network::Decoder(model) = made(config.path(), "f32", cuda.clone()) else {
        panic!("a decoder")
    };
    let mut cache = KvCache::new(model.kv_shape(BLOCK, KvDtype::Fp8), 8, &cuda).expect("a cache");
    let mut logits = Logits::default();
    let mut run = |cache: &mut KvCache, ids: &[u32], first: usize, block: u32| {
        let mut batch = Batch::new();
        batch.push(ids, first, &[block], BLOCK, true);
        model.forward(&batch, cache, &mut logits).expect("a step");
        logits.rows().flatten().copied().collect::<Vec<f32>>()
    };
    run(&mut cache, &[3, 50, 7, 9, 11], 0, 2);
    cache.copy_blocks(&[(2, 6)]).expect("a copy");
    let expected = run(&mut cache, &[13], 5, 2);
    assert_eq!(run(&mut cache, &[13], 5, 6), expected);
    assert_ne!(run(&mut cache, &[13], 5, 4), expected, "block 4 has nothing");
}

#[test]
fn a_cache_of_fp8_is_refused_where_there_are_no_kernels_for_it() {
    let shape = |head_dim| KvShape {
        layers: 1,
        kv_heads: 1,
        head_dim,
        block_size: BLOCK,
        dtype: KvDtype::Fp8,
    };
    let why = |head_dim, device: &Device, kernels| {
        shape(head_dim).check(device, kernels).err().unwrap_or_default()
    };
    assert!(why(64, &Device::Cpu, true).contains("is for CUDA devices"));
    let Some(cuda) = cuda() else { return };
    assert_eq!(why(64, &cuda, true), "");
    assert!(why(64, &cuda, false).contains("computed by kernels"));
    assert!(why(48, &cuda, true).contains("this model's have 48"));
    // Codes, and a byte for each head of a position, of keys and of values.
    assert_eq!(shape(64).block_bytes(), 2 * BLOCK * 65);
}

#[test]
fn experts_are_those_of_the_cpu() {
    let Some(cuda) = cuda() else { return };
    for name in EXPERTS {
        let made = |device| made(Path::new(name), "f32", device);
        let off = apart_of(name, &cuda, KvDtype::F32, &made);
        eprintln!("{name}: {off:.2e}");
        assert!(off < 3e-5, "{name} is off by {off}");
    }
    // Blocks of each layout, some of them in one model. Activations that are rounded
    // otherwise make other choices where experts are about as likely, so that all
    // are taken there.
    for (weights, chosen, most) in [
        ("f32", 3, 3e-5),
        ("f16", 3, 3e-2),
        ("bf16", 3, 1e-1),
        ("q8_0", 8, 0.15),
        ("q4_0", 8, 0.15),
        ("q4_k", 8, 0.15),
    ] {
        let config = mixture(chosen);
        let made = |device| made(config.path(), weights, device);
        let off = apart_of(weights, &cuda, KvDtype::F32, &made);
        eprintln!("{weights}: {off:.2e}");
        assert!(off < most, "{weights} is off by {off}");
    }
}

/// One layer, its gate, up and down of such types, on a device.
fn layer(types: [GgmlDType; 3], shared: bool, device: &Device) -> Result<MoeBlock> {
    const HIDDEN: usize = 256;
    let linear = |dtype: GgmlDType, rows: usize, columns: usize| -> Result<Linear> {
        let values = Tensor::randn(0f32, 0.1, (rows, columns), &Device::Cpu)?;
        let bytes = QTensor::quantize(&values, dtype)?.data()?.into_owned();
        let placed = (device, Purpose::Product(Quantize::None));
        let weight = from_bytes(&bytes, dtype, &[rows, columns], placed);
        Linear::new(weight.map_err(candle_core::Error::wrap)?, None)
    };
    let expert = |inner: usize| -> Result<Expert> {
        Ok(Expert {
            gate: linear(types[0], inner, HIDDEN)?,
            up: linear(types[1], inner, HIDDEN)?,
            down: linear(types[2], HIDDEN, inner)?,
        })
    };
    let shared = match shared {
        true => Some((expert(512)?, linear(GgmlDType::F32, 1, HIDDEN)?)),
        false => None,
    };
    MoeBlock::new(MoeParts {
        norms: BlockNorms::default(),
        router: linear(GgmlDType::F32, 8, HIDDEN)?,
        routing: Routing { chosen: 3, normalised: shared.is_none() },
        experts: (0..8).map(|_| expert(256)).collect::<Result<_>>()?,
        shared,
        activation: Activation::Silu,
    })
}

/// Against the same layer by tensor operations on the device, for all numbers of
/// rows that take other kernels; and a broken row breaks no other.
#[test]
fn a_layer_of_experts_is_its_plain_version() -> Result<()> {
    use GgmlDType::{BF16, F16, F32, Q4K, Q5_0, Q6K, Q8_0};
    let Some(cuda) = cuda() else { return Ok(()) };
    for (types, shared, most) in [
        ([F32; 3], true, 1e-5),
        ([BF16; 3], false, 3e-2),
        // Files mix types, in which gates and ups cannot lie side by side.
        ([BF16, F16, F32], true, 3e-2),
        ([Q4K, Q8_0, Q6K], true, 3e-2),
        ([Q5_0, Q5_0, Q4K], false, 3e-2),
    ] {
        let block = FeedForward::Experts(Box::new(layer(types, shared, &cuda)?));
        assert!(block.has_kernel(), "{types:?}");
        let FeedForward::Experts(experts) = &block else { panic!("experts") };
        let mut workspace = Workspace::on(&cuda, false)?;
        let mut forward = |x: &Tensor| -> Result<Vec<Vec<f32>>> {
            let x = block.forward(x.copy()?, &mut workspace)?;
            workspace.settle(&x)?;
            x.to_vec2()
        };
        for rows in [1, 2, 3, 7, 40, 100] {
            let x = Tensor::randn(0f32, 1f32, (rows, 256), &Device::Cpu)?;
            let on_device = x.to_device(&cuda)?;
            let fast = forward(&on_device)?;
            let plain = experts.forward_plain(&on_device)?;
            let added = (&plain - &on_device)?.abs()?.max_all()?.to_scalar::<f32>()?;
            let plain = plain.to_vec2::<f32>()?;
            let apart = fast.iter().flatten().zip(plain.iter().flatten());
            let off = apart.map(|(a, b)| (a - b).abs()).fold(0f32, f32::max) / added;
            assert!(off < most, "{types:?}, {rows} rows: off by {off}");
            if rows < 3 {
                continue;
            }
            let mut broken = x.to_vec2::<f32>()?;
            broken[2][7] = f32::NAN;
            let broken = forward(&Tensor::new(broken, &cuda)?)?;
            for (r, (row, expected)) in broken.iter().zip(&fast).enumerate() {
                match r {
                    2 => assert!(row.iter().all(|x| x.is_nan()), "{types:?}"),
                    _ => assert_eq!(row, expected, "{types:?}, row {r} of {rows}"),
                }
            }
        }
    }
    Ok(())
}

/// They stay as they are in the file, with activations in bf16; what matrices
/// become bf16 are those of more rows.
#[test]
fn eight_bit_floats_are_close() {
    let Some(cuda) = cuda() else { return };
    for name in ["qwen3-fp8", "qwen3-moe-fp8", "cohere-fp8", "phi3-fp8"] {
        let found = loaded(name, cuda.clone(), Quantize::Int16).storage;
        // There are no kernels for experts in it.
        let kept = if name.contains("moe") { "bf16 and fp8" } else { "fp8" };
        assert!(found.starts_with(&format!("F8_E4M3 as {kept}")), "{name} is {found}");
        let off = apart(name, &cuda, Quantize::None, KvDtype::F32);
        eprintln!("{name}: {off:.2e}");
        // The next expert of a row may be another where both count about as much.
        let most = if name.contains("moe") { 1e-1 } else { 5e-2 };
        assert!(off < most, "{name} is off by {off}");
        let off = apart(name, &cuda, "q8_0".parse().unwrap(), KvDtype::F32);
        assert!(off < 0.15, "{name} in q8_0 is off by {off}");
    }
}

/// Both sides quantize weights alike and activations to bytes.
#[test]
fn blocks_are_close() {
    let Some(cuda) = cuda() else { return };
    for name in ["llama", "gemma2", "cohere"] {
        for kind in ["q8_0", "q5_1", "q5_0", "q4_1", "q4_0"] {
            let off = apart(name, &cuda, kind.parse().unwrap(), KvDtype::F32);
            eprintln!("{name}, {kind}: {off:.2e}");
            assert!(off < 0.15, "{name} in {kind} is off by {off}");
        }
    }
}

/// A step gives the same bits when it is launched, recorded and replayed; and
/// with another cache, whose keys and values are its own.
#[test]
fn a_replayed_step_is_the_step() {
    let Some(cuda) = cuda() else { return };
    let config = mixture(3);
    let kv = KvDtype::F16;
    replays(&network("qwen3", cuda.clone(), Quantize::None), &cuda, kv);
    replays(&network("qwen3-moe", cuda.clone(), Quantize::None), &cuda, kv);
    replays(&made(config.path(), "q8_0", cuda.clone()), &cuda, kv);
    let config = written(&HEADS.replace("COLUMNS", "64"));
    replays(&made(config.path(), "bf16", cuda.clone()), &cuda, KvDtype::Fp8);
}

fn replays(network: &Network, cuda: &Device, kv: KvDtype) {
    let Network::Decoder(model) = network else { panic!("a decoder") };
    let mut caches: Vec<KvCache> = (0..2)
        .map(|_| KvCache::new(model.kv_shape(BLOCK, kv), 48, cuda).expect("a cache"))
        .collect();
    let mut logits = Logits::default();
    let mut run = |cache: usize, id: u32, first: usize| {
        let mut batch = Batch::new();
        batch.push(&[id], first, &[4], BLOCK, true);
        model.forward(&batch, &mut caches[cache], &mut logits).expect("a step");
        logits.rows().flatten().copied().collect::<Vec<f32>>()
    };
    let expected = run(0, 3, 0);
    let other = run(1, 9, 0);
    for _ in 0..4 {
        assert_eq!(run(0, 3, 0), expected);
    }
    assert!(model.recordings() > 0, "no step was recorded");
    // What follows depends on what the cache has.
    let after = run(0, 5, 1);
    assert_eq!(run(1, 9, 0), other);
    assert_ne!(run(1, 5, 1), after);
    assert_eq!(run(0, 5, 1), after);
}

#[test]
fn encoders_give_what_they_give_on_the_cpu() {
    let Some(cuda) = cuda() else { return };
    let lens = [5u32, 1, 50, 17];
    let mut texts = PackedTexts { cu_seqlens: vec![0], ..Default::default() };
    for (s, len) in lens.into_iter().enumerate() {
        texts.ids.extend((0..len).map(|i| (i * 11 + s as u32) % 90));
        texts.cu_seqlens.push(texts.ids.len() as u32);
    }
    for (quantize, most) in [(Quantize::None, 3e-5), (Quantize::Int16, 2e-2)] {
        for name in [
            "bert",
            "distilbert",
            "electra",
            "gte",
            "jina",
            "modernbert",
            "mpnet",
            "nomic",
            "roberta",
            "xlm-roberta",
        ] {
            let mut all = Vec::new();
            for device in [Device::Cpu, cuda.clone()] {
                let Network::Encoder(model) = network(name, device, quantize) else {
                    panic!("{name} is no encoder");
                };
                // Twice, the second time with what the first left there.
                let first = model.forward_texts(&texts).unwrap().flatten_all().unwrap();
                let second = model.forward_texts(&texts).unwrap().flatten_all().unwrap();
                let first: Vec<f32> = first.to_vec1().unwrap();
                assert_eq!(first, second.to_vec1::<f32>().unwrap());
                all.push(first);
            }
            let off = all[0].iter().zip(&all[1]).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            eprintln!("{name}, {quantize}: {off:.2e}");
            assert!(off < most, "{name} in {quantize} is off by {off}");
        }
    }
}

/// They take the plain operations there, over a cache that lies in another
/// order than the CPU's.
#[test]
fn encoder_decoders_give_what_they_give_on_the_cpu() {
    let Some(cuda) = cuda() else { return };
    let sources =
        [SourceBlocks { blocks: vec![20, 31], len: 9 }, SourceBlocks { blocks: vec![30], len: 3 }];
    let mut first = Batch::new();
    let mut second = Batch::new();
    for (s, source) in sources.iter().enumerate() {
        let ids: Vec<u32> = (0..source.len).map(|i| 4 + (i * 5 + s as u32) % 50).collect();
        first.push_source(&ids, &source.blocks, BLOCK);
        first.push(&[5, 6][..2 - s], 0, &[1 + s as u32], BLOCK, true);
        second.push(&[7 + s as u32], 2 - s, &[1 + s as u32], BLOCK, true);
    }
    first.sources = sources.to_vec();
    second.sources = sources.to_vec();
    for (quantize, most) in
        [(Quantize::None, 3e-5), (Quantize::Int16, 2e-2), ("q8_0".parse().unwrap(), 0.15)]
    {
        for name in ["marian", "m2m", "t5", "mt5", "bart", "mbart", "pegasus"] {
            let all = [Device::Cpu, cuda.clone()].map(|device| {
                let Network::Seq2Seq(model) = network(name, device.clone(), quantize) else {
                    panic!("{name} is no encoder-decoder");
                };
                let shape = model.config.kv_shape(BLOCK, KvDtype::F32);
                let mut cache = KvCache::new(shape, 40, &device).unwrap();
                let mut logits = Logits::default();
                let mut found = Vec::new();
                for batch in [&first, &second] {
                    model.forward(batch, &mut cache, &mut logits).unwrap();
                    found.extend(logits.rows().flatten().copied());
                }
                found
            });
            // Tokens that a model never writes are at -inf on both.
            let finite = all[0].iter().zip(&all[1]).filter(|(a, _)| a.is_finite());
            let (mut off, mut largest) = (0f32, 0f32);
            for (a, b) in finite {
                assert!(b.is_finite(), "{name} in {quantize}: {b}");
                (off, largest) = (off.max((a - b).abs()), largest.max(a.abs()));
            }
            eprintln!("{name}, {quantize}: {:.2e}", off / largest);
            assert!(off < most * largest, "{name} in {quantize} is off by {}", off / largest);
        }
    }
}

/// A file of the user's, `DRAGOMAN_TEST_GGUF`: the likeliest tokens of a text
/// are the CPU's, but for those that are about as likely as another.
#[test]
fn a_real_model_writes_what_it_writes_on_the_cpu() {
    let (Some(cuda), Some(file)) = (cuda(), std::env::var_os("DRAGOMAN_TEST_GGUF")) else {
        return eprintln!("skipped: DRAGOMAN_TEST_GGUF names no file");
    };
    let (f16, fp8) = (KvDtype::F16, KvDtype::Fp8);
    let all = [(Device::Cpu, f16), (cuda.clone(), f16), (cuda, fp8)].map(|(device, kv)| {
        let paths = ModelPaths { weights: vec![file.clone().into()], config: None };
        let options = LoadOptions {
            device: device.clone(),
            context_length: Some(256),
            quantize: Quantize::default(),
            on_progress: &|_, _| {},
        };
        let Network::Decoder(model) = load(&paths, options).unwrap().network else {
            panic!("a decoder");
        };
        let mut cache = KvCache::new(model.kv_shape(16, kv), 8, &device).unwrap();
        let (mut logits, blocks) = (Logits::default(), [3, 1, 2, 5, 7]);
        // A prompt, one row at a time, and some at once.
        let tokens: Vec<u32> = (0..64).map(|i| 300 + (i * i * 37) % 900).collect();
        let mut rows: Vec<Vec<f32>> = Vec::new();
        for part in [0..40, 40..41, 41..42, 42..43, 43..46, 46..64] {
            let mut batch = Batch::new();
            batch.push(&tokens[part.clone()], part.start, &blocks, 16, true);
            model.forward(&batch, &mut cache, &mut logits).unwrap();
            rows.extend(logits.rows().map(<[f32]>::to_vec));
        }
        rows
    });
    let best = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    for (i, (a, b)) in all[0].iter().zip(&all[1]).chain(all[0].iter().zip(&all[2])).enumerate() {
        let n = a.len() as f32;
        let deviation = |row: &[f32]| {
            let mean = row.iter().sum::<f32>() / n;
            (row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n).sqrt()
        };
        let off = (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / n).sqrt();
        let (first, second) = (best(a), best(b));
        let lost = a[first] - a[second];
        let (most, kv) = if i < all[0].len() { (0.2, "") } else { (0.4, ", cache in FP8") };
        eprintln!("{first} and {second}: off by {off:.3} of {:.3}, {lost:.3}{kv}", deviation(a));
        assert!(off < most * deviation(a) && lost < 5.0 * off, "token {first} and {second}");
    }
}
