use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device};

use super::*;
use crate::backend::DistanceBias;
use crate::backend::kernels::packed::Packed;
use crate::backend::kernels::team::test_team;
use crate::backend::linear::Weight;
use crate::backend::{KvDtype, KvShape};

pub(in crate::backend) const WIDTH: usize = 256;

/// A random matrix as the CPU has it.
pub(in crate::backend) fn linear(
    dtype: GgmlDType,
    out: usize,
    input: usize,
    bias: bool,
) -> Result<Linear> {
    packed(out, input, bias, dtype, |bytes| Packed::new(bytes, dtype, out, input))
}

/// A random matrix as 16-bit integers.
fn as_int16(dtype: GgmlDType, out: usize, input: usize, bias: bool) -> Result<Linear> {
    packed(out, input, bias, dtype, |bytes| Packed::sixteen(bytes, dtype, out, input))
}

fn packed(
    out: usize,
    input: usize,
    bias: bool,
    dtype: GgmlDType,
    pack: impl FnOnce(&[u8]) -> Option<Packed>,
) -> Result<Linear> {
    let w = (Tensor::randn(0f32, 1f32, (out, input), &Device::Cpu)? / (input as f64).sqrt())?;
    let bytes = QTensor::quantize(&w, dtype)?.data()?.into_owned();
    let bias = bias.then(|| Tensor::randn(0f32, 1f32, out, &Device::Cpu)).transpose()?;
    Linear::new(Weight::Packed(Arc::new(pack(&bytes).expect("the shape fits"))), bias)
}

fn rms(width: usize) -> Result<Norm> {
    Norm::rms(Tensor::randn(1f32, 0.2f32, width, &Device::Cpu)?, 1e-5)
}

fn layer_norm(width: usize) -> Result<Norm> {
    let weight = Tensor::randn(1f32, 0.2f32, width, &Device::Cpu)?;
    Norm::layer(weight, Tensor::randn(0f32, 0.2f32, width, &Device::Cpu)?, 1e-5)
}

/// As decoders, as Gemma, and as BERT have them.
pub(in crate::backend) fn norms() -> Result<[BlockNorms; 3]> {
    let before = BlockNorms { before: Some(rms(WIDTH)?), ..Default::default() };
    let both = BlockNorms { after: Some(rms(WIDTH)?), ..before.clone() };
    let last = BlockNorms { last: Some(layer_norm(WIDTH)?), ..Default::default() };
    Ok([before, both, last])
}

/// The largest difference, relative to the largest value.
pub(in crate::backend) fn difference(a: &Tensor, b: &Tensor) -> Result<f32> {
    let most = |t: Tensor| t.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>();
    Ok(most((a - b)?)? / most(b.clone())?)
}

/// Both ways quantize the same activations, so only rounding differs.
const TOLERANCE: f32 = 3e-3;

pub(in crate::backend) const TYPES: [GgmlDType; 5] =
    [GgmlDType::F32, GgmlDType::BF16, GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::Q6K];

#[test]
fn mlps_are_their_plain_versions() -> Result<()> {
    let mut workspace = Workspace::default();
    for dtype in TYPES {
        for norms in norms()? {
            for (gated, activation) in [
                (true, Activation::Silu),
                (true, Activation::GeluTanh),
                (false, Activation::GeluErf),
            ] {
                let gate = gated.then(|| linear(dtype, 512, WIDTH, true)).transpose()?;
                // Files mix types.
                let up = linear(if gated { GgmlDType::Q8_0 } else { dtype }, 512, WIDTH, true)?;
                let down = linear(dtype, WIDTH, 512, !gated)?;
                let block = MlpBlock { norms: norms.clone(), gate, up, down, activation };
                for rows in [1, 2, 3, 7, 40] {
                    let x = Tensor::randn(0f32, 1f32, (rows, WIDTH), &Device::Cpu)?;
                    let plain = block.forward_plain(&x)?;
                    let fast = block.forward(x, &mut workspace)?;
                    let off = difference(&fast, &plain)?;
                    assert!(off < TOLERANCE, "{dtype:?} {rows} rows: off by {off}");
                    // Beside another layer, which changed the rows before.
                    let input = Tensor::randn(0f32, 1f32, (rows, WIDTH), &Device::Cpu)?;
                    let plain = block.beside_plain(&plain, &input)?;
                    let fast = block.beside(fast, &input, &mut workspace)?;
                    let off = difference(&fast, &plain)?;
                    assert!(off < 2.0 * TOLERANCE, "{dtype:?} {rows} rows beside: off by {off}");
                }
            }
        }
    }
    Ok(())
}

/// Norms of queries and keys: of each head, of each with its own weights, of all.
#[derive(Clone, Copy)]
enum Kind {
    Heads,
    OwnHeads,
    Row,
}

fn attention_block(
    dtype: GgmlDType,
    norms: BlockNorms,
    kind: Option<Kind>,
) -> Result<AttentionBlock> {
    let (heads, kv_heads, head_dim) = (8, 2, 32);
    let width = heads * head_dim;
    let qk = |heads: usize, kind: Kind| match kind {
        Kind::Heads => rms(head_dim),
        Kind::OwnHeads => layer_norm(heads * head_dim),
        Kind::Row => rms(heads * head_dim),
    };
    Ok(AttentionBlock {
        norms,
        q: linear(dtype, width, WIDTH, true)?,
        k: linear(GgmlDType::Q8_0, kv_heads * head_dim, WIDTH, true)?,
        v: linear(dtype, kv_heads * head_dim, WIDTH, false)?,
        output: linear(dtype, WIDTH, width, true)?,
        qk_norm: match kind {
            Some(kind) => Some(QkNorm {
                q: qk(heads, kind)?,
                k: qk(kv_heads, kind)?,
                over: if let Kind::Row = kind { Over::Row } else { Over::Heads },
            }),
            None => None,
        },
        spec: AttentionSpec {
            heads,
            kv_heads,
            head_dim,
            scale: 0.2,
            softcap: kind.map(|_| 20.0),
            window: kind.map(|_| 9),
        },
        layer: 1,
    })
}

#[test]
fn causal_attention_is_its_plain_version_and_writes_the_same_cache() -> Result<()> {
    let mut workspace = Workspace::default();
    for dtype in TYPES {
        let [before, both, last] = norms()?;
        let after = BlockNorms { before: None, ..both.clone() };
        // With how many pairs of a head's columns are turned.
        for (norms, kind, pairs) in [
            (before.clone(), None, 16),
            (both, Some(Kind::Heads), 16),
            (last, Some(Kind::Heads), 12),
            (after, Some(Kind::Row), 16),
            (before, Some(Kind::OwnHeads), 5),
        ] {
            let block = attention_block(dtype, norms, kind)?;
            for kv in [KvDtype::F32, KvDtype::F16, KvDtype::BF16] {
                let shape =
                    KvShape { layers: 2, kv_heads: 2, head_dim: 32, block_size: 16, dtype: kv };
                let mut fast_cache = KvCache::new(shape, 64, &Device::Cpu)?;
                let mut plain_cache = KvCache::new(shape, 64, &Device::Cpu)?;
                // Prompts first, then decode steps, alone and together.
                for lens in
                    [vec![(0, 30), (0, 1), (0, 7)], vec![(30, 1)], vec![(31, 1), (1, 1), (7, 3)]]
                {
                    let mut batch = Batch::new();
                    for (s, &(first, len)) in lens.iter().enumerate() {
                        let table: Vec<u32> = (0..8).map(|i| i * 8 + s as u32).rev().collect();
                        batch.push(&vec![1; len], first, &table, 16, true);
                    }
                    let rows = batch.tokens();
                    let angle = Tensor::randn(0f32, 3f32, (rows, pairs), &Device::Cpu)?;
                    let rope = RopeRows { cos: angle.cos()?, sin: angle.sin()? };
                    let x = Tensor::randn(0f32, 1f32, (rows, WIDTH), &Device::Cpu)?;
                    let plain = block.causal_plain(&x, &rope, &batch, &mut plain_cache)?;
                    let fast = block.causal(x, &rope, &batch, &mut fast_cache, &mut workspace)?;
                    let off = difference(&fast, &plain)?;
                    assert!(off < 4.0 * TOLERANCE, "{dtype:?} {kv:?}: off by {off}");
                    let layer = |cache: &KvCache| -> Result<Tensor> {
                        let (k, v) = cache.layer(1);
                        let (k, v) = (k.flatten_all()?, v.flatten_all()?);
                        Tensor::cat(&[k, v], 0)?.to_dtype(DType::F32)
                    };
                    let off = difference(&layer(&fast_cache)?, &layer(&plain_cache)?)?;
                    assert!(off < 4.0 * TOLERANCE, "{dtype:?} {kv:?}: the cache is off by {off}");
                }
            }
        }
    }
    Ok(())
}

/// The ends of texts: of one token, of several tiles of keys, and between.
const ENDS: [u32; 5] = [0, 1, 20, 60, 140];
const ROWS: usize = 140;

/// What rows of packed texts see: all; turned; only their neighbourhood on
/// either side; with a bias by distance, and both.
fn with_sights(mut f: impl FnMut(&Sequences<'_>) -> Result<()>) -> Result<()> {
    let angle = Tensor::randn(0f32, 3f32, (ROWS, 12), &Device::Cpu)?;
    let rope = RopeRows { cos: angle.cos()?, sin: angle.sin()? };
    let bias = DistanceBias::new(8, 79, |h, d| (d as f32 * 0.3 + h as f32).sin());
    let whole = Sequences::whole(&ENDS);
    f(&whole)?;
    f(&Sequences { rope: Some(&rope), ..whole })?;
    f(&Sequences { before: Some(64), after: Some(64), rope: Some(&rope), ..whole })?;
    f(&Sequences { before: Some(5), after: Some(0), ..whole })?;
    f(&Sequences { bias: Some(&bias), ..whole })?;
    f(&Sequences { bias: Some(&bias), after: Some(70), ..whole })
}

#[test]
fn bidirectional_attention_is_its_plain_version() -> Result<()> {
    let mut workspace = Workspace::default();
    for dtype in TYPES {
        let [before, both, last] = norms()?;
        for (norms, kind) in [
            (last, None),
            (before.clone(), Some(Kind::Heads)),
            (both, Some(Kind::OwnHeads)),
            (before, Some(Kind::Row)),
        ] {
            let block = attention_block(dtype, norms, kind)?;
            with_sights(|sequences| {
                let x = Tensor::randn(0f32, 1f32, (ROWS, WIDTH), &Device::Cpu)?;
                let plain = block.packed_plain(&x, sequences)?;
                let fast = block.packed(x, sequences, &mut workspace)?;
                let off = difference(&fast, &plain)?;
                assert!(off < 4.0 * TOLERANCE, "{dtype:?}: off by {off}");
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Bit for bit, whether threads take whole texts, parts of them, or columns.
#[test]
fn an_encoders_layer_is_attention_and_then_the_mlp() -> Result<()> {
    let [before, both, last] = norms()?;
    let layers = [
        (linear as Make, GgmlDType::Q4K, last.clone(), false, None),
        (linear, GgmlDType::F32, before, true, Some(Kind::Row)),
        (linear, GgmlDType::Q8_0, both, true, Some(Kind::Heads)),
        (as_int16, GgmlDType::F32, last, false, None),
    ];
    // One thread takes all texts; two take parts of the longest, but whole ones
    // where all are of one length; for ten the rows are too few.
    let cases = [(1, &ENDS), (2, &ENDS), (2, &[0, 35, 70, 105, 140]), (10, &ENDS)];
    for (number, (make, dtype, norms, gated, kind)) in layers.into_iter().enumerate() {
        let linear = |out, input| make(dtype, out, input, true);
        let attention = attention_block(dtype, norms.clone(), kind)?;
        let attention =
            AttentionBlock { q: linear(WIDTH, WIDTH)?, output: linear(WIDTH, WIDTH)?, ..attention };
        let mlp = MlpBlock {
            norms,
            gate: gated.then(|| linear(512, WIDTH)).transpose()?,
            up: linear(512, WIDTH)?,
            down: linear(WIDTH, 512)?,
            activation: Activation::GeluErf,
        };
        // What rows see meets every case, each with another layer.
        let mut cases = cases.iter().cycle().skip(number);
        with_sights(|sequences| {
            let Some(&(threads, cu_seqlens)) = cases.next() else { return Ok(()) };
            let sequences = Sequences { cu_seqlens, ..*sequences };
            test_team::with(threads, || is_both(&attention, &mlp, &sequences))
        })?;
    }
    Ok(())
}

type Make = fn(GgmlDType, usize, usize, bool) -> Result<Linear>;

fn is_both(attention: &AttentionBlock, mlp: &MlpBlock, sequences: &Sequences<'_>) -> Result<()> {
    let mut workspace = Workspace::default();
    let x = Tensor::randn(0f32, 1f32, (ROWS, WIDTH), &Device::Cpu)?;
    let after = attention.packed(x.copy()?, sequences, &mut workspace)?;
    let expected = mlp.forward(after, &mut workspace)?.to_vec2::<f32>()?;
    let found = encode(attention, mlp, x, sequences, &mut workspace)?.to_vec2::<f32>()?;
    assert!(found == expected, "{:?}", attention.q);
    Ok(())
}

/// Bit for bit: whoever shares the batch, a row gives the same.
#[test]
fn a_row_does_not_depend_on_its_company() -> Result<()> {
    let mut workspace = Workspace::default();
    for dtype in TYPES {
        let [norms, ..] = norms()?;
        let block = MlpBlock {
            norms,
            gate: Some(linear(dtype, 512, WIDTH, false)?),
            up: linear(dtype, 512, WIDTH, false)?,
            down: linear(dtype, WIDTH, 512, false)?,
            activation: Activation::Silu,
        };
        let x = Tensor::randn(0f32, 1f32, (70, WIDTH), &Device::Cpu)?;
        let together = block.forward(x.copy()?, &mut workspace)?.to_vec2::<f32>()?;
        for (r, expected) in together.iter().enumerate() {
            let alone = block.forward(x.narrow(0, r, 1)?.copy()?, &mut workspace)?;
            assert_eq!(&alone.to_vec2::<f32>()?[0], expected, "{dtype:?} row {r}");
        }
    }
    Ok(())
}
