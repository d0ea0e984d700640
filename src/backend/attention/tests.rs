use candle_core::{Device, Result, Tensor};

use super::super::batch::{Batch, SourceBlocks};
use super::super::kernels::simd::has_bf16_products;
use super::super::kernels::team::test_team;
use super::*;

const DTYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];
const BLOCKS: usize = 64;

fn worst(a: &Tensor, b: &Tensor) -> Result<f32> {
    assert_eq!(a.dims(), b.dims());
    (a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar()
}

fn spec(heads: usize, kv_heads: usize, head_dim: usize) -> AttentionSpec {
    AttentionSpec { heads, kv_heads, head_dim, scale: 0.3, softcap: None, window: None }
}

/// Keys and values of a cache.
fn cache(spec: &AttentionSpec, block_size: usize, dtype: DType) -> Result<(Tensor, Tensor)> {
    let (heads, d) = (spec.kv_heads, spec.head_dim);
    let random = |a, b| Tensor::randn(0f32, 1f32, (BLOCKS, heads, a, b), &Device::Cpu);
    Ok((random(d, block_size)?.to_dtype(dtype)?, random(block_size, d)?.to_dtype(dtype)?))
}

/// Whether queries and weights are rounded to bf16, as a cache of it is.
fn rounds(spec: &AttentionSpec, dtype: DType) -> bool {
    dtype == DType::BF16 && has_bf16_products() && spec.head_dim.is_multiple_of(16)
}

/// What is allowed for rounding: of sums in f32, or of queries and weights.
fn tolerance(spec: &AttentionSpec, dtype: DType) -> f32 {
    if rounds(spec, dtype) { 5e-2 } else { 3e-5 }
}

/// Blocks of a sequence, all over the cache.
fn table(number: usize) -> Vec<u32> {
    (0..BLOCKS).map(|i| ((i * 37 + number * 11) % BLOCKS) as u32).collect()
}

fn queries(spec: &AttentionSpec, rows: usize) -> Result<Tensor> {
    Tensor::randn(0f32, 1f32, (rows, spec.heads, spec.head_dim), &Device::Cpu)
}

#[test]
fn paged_kernel_agrees_with_the_plain_version() -> Result<()> {
    // Grouped and not, odd sizes, windows, caps; contexts beyond a split.
    let specs = [
        (spec(4, 2, 8), 16),
        (AttentionSpec { window: Some(5), ..spec(3, 3, 20) }, 4),
        (AttentionSpec { window: Some(1), softcap: Some(3.0), ..spec(6, 1, 16) }, 16),
        (AttentionSpec { window: Some(600), ..spec(8, 1, 24) }, 16),
        (AttentionSpec { softcap: Some(50.0), ..spec(8, 2, 64) }, 16),
        (spec(2, 1, 128), 40),
        (spec(5, 5, 33), 80),
    ];
    for (spec, block_size) in specs {
        let longest = BLOCKS * block_size;
        // A long prompt's middle, a first token, decode steps, a row block's edge.
        let mut batch = Batch::new();
        for (number, (rows, end)) in
            [(17, 23), (1, 1), (1, 15), (32, 32), (1, longest), (70, longest - 3), (3, longest / 2)]
                .into_iter()
                .enumerate()
        {
            batch.push(&vec![1; rows], end - rows, &table(number), block_size, true);
        }
        let q = queries(&spec, batch.tokens())?;
        for dtype in DTYPES {
            let (k, v) = cache(&spec, block_size, dtype)?;
            let fast = paged(&spec, &q, &k, &v, &batch)?;
            let plain = paged_plain(&spec, &q, &k, &v, &batch)?;
            let off = worst(&fast, &plain)?;
            assert!(off < tolerance(&spec, dtype), "{spec:?} {dtype:?} is off by {off}");
            if rounds(&spec, dtype) {
                // Most of that comes from the queries: with the same ones only
                // the rounding of weights is left.
                let q = (&q * f64::from(spec.scale))?.to_dtype(DType::BF16)?;
                let spec = AttentionSpec { scale: 1.0, ..spec };
                let plain = paged_plain(&spec, &q.to_dtype(DType::F32)?, &k, &v, &batch)?;
                let off = worst(&fast, &plain)?;
                assert!(off < 1e-2, "{spec:?} with rounded queries is off by {off}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_row_is_the_same_whatever_it_is_computed_with() -> Result<()> {
    let block_size = 16;
    for (spec, dtype) in [
        (spec(6, 2, 64), DType::F16),
        (spec(6, 2, 64), DType::BF16),
        (AttentionSpec { window: Some(70), ..spec(14, 2, 32) }, DType::BF16),
        (AttentionSpec { window: Some(70), ..spec(4, 4, 20) }, DType::F16),
    ] {
        let (k, v) = cache(&spec, block_size, dtype)?;
        let tokens = 700;
        let q = queries(&spec, tokens)?;
        // Pieces of one prompt, with another sequence before and behind.
        let run = |pieces: &[usize], company: bool| -> Result<Vec<f32>> {
            let mut results = Vec::new();
            let mut first = 0;
            for &rows in pieces {
                let mut batch = Batch::new();
                let mut parts = vec![q.narrow(0, first, rows)?];
                if company {
                    batch.push(&[1; 9], 600, &table(3), block_size, true);
                    parts.insert(0, queries(&spec, 9)?);
                }
                batch.push(&vec![1; rows], first, &table(0), block_size, true);
                if company {
                    batch.push(&[1], 90, &table(5), block_size, true);
                    parts.push(queries(&spec, 1)?);
                }
                let out = paged(&spec, &Tensor::cat(&parts, 0)?, &k, &v, &batch)?;
                let own = out.narrow(0, if company { 9 } else { 0 }, rows)?;
                results.extend(own.flatten_all()?.to_vec1::<f32>()?);
                first += rows;
            }
            Ok(results)
        };
        let whole = run(&[tokens], false)?;
        for threads in [1, 3, 7] {
            for (pieces, company) in [
                (vec![tokens], true),
                (vec![1, 5, 64, 300, 330], true),
                (vec![511, 2, 187], false),
                (vec![1; tokens], true),
            ] {
                let again = test_team::with(threads, || run(&pieces, company))?;
                assert!(whole == again, "{threads} threads, {} pieces", pieces.len());
            }
        }
    }
    Ok(())
}

#[test]
fn what_lies_behind_the_context_does_not_matter() -> Result<()> {
    for dtype in DTYPES {
        behind_the_context(dtype)?;
    }
    Ok(())
}

fn behind_the_context(dtype: DType) -> Result<()> {
    let spec = spec(2, 1, 32);
    let (k, v) = cache(&spec, 16, dtype)?;
    let q = queries(&spec, 1)?;
    let mut batch = Batch::new();
    batch.push(&[1], 20, &[0, 1], 16, true);
    let clean = paged(&spec, &q, &k, &v, &batch)?;
    // Position 21 on of the second block.
    let nan = |t: &Tensor, dim: usize| -> Result<Tensor> {
        let rest = (t.narrow(dim, 5, 11)? * f64::NAN)?.to_dtype(dtype)?;
        Tensor::cat(&[&t.narrow(dim, 0, 5)?, &rest], dim)?.contiguous()
    };
    let dirty = paged(&spec, &q, &nan(&k, 3)?, &nan(&v, 2)?, &batch)?;
    // The first block is whole in both.
    let mut first = Batch::new();
    first.push(&[1], 4, &[0, 1], 16, true);
    let want = paged(&spec, &q, &k, &v, &first)?;
    let got = paged(&spec, &q, &nan(&k, 3)?, &nan(&v, 2)?, &first)?;
    assert_eq!(worst(&got, &want)?, 0.0);
    // What a row does see is not hidden.
    assert!(dirty.flatten_all()?.to_vec1::<f32>()?.iter().all(|x| x.is_nan()));
    assert!(worst(&clean, &paged_plain(&spec, &q, &k, &v, &batch)?)? < tolerance(&spec, dtype));
    Ok(())
}

#[test]
fn packed_kernel_agrees_with_the_plain_version() -> Result<()> {
    for head_dim in [8, 32, 20] {
        let spec = spec(4, 4, head_dim);
        let cu = [0u32, 1, 34, 101, 740];
        let t = || queries(&spec, 740);
        let (q, k, v) = (t()?, t()?, t()?);
        let fast = packed(&spec, &q, &k, &v, &cu)?;
        assert!(worst(&fast, &packed_plain(&spec, &q, &k, &v, &cu)?)? < 3e-5);
    }
    Ok(())
}

#[test]
fn cross_kernel_agrees_with_the_plain_version() -> Result<()> {
    let block_size = 16;
    for spec in [spec(4, 4, 8), spec(3, 3, 20), spec(8, 8, 64)] {
        let mut batch = Batch::new();
        // Three texts of one source, then others; one source is beyond a split.
        for (number, (rows, source, len)) in
            [(1, 0, 37), (1, 0, 37), (4, 0, 37), (2, 1, 1), (1, 2, 900), (1, 0, 37)]
                .into_iter()
                .enumerate()
        {
            batch.push(&vec![1; rows], 0, &table(number), block_size, true);
            batch.sources.push(SourceBlocks { blocks: table(source), len });
        }
        let q = queries(&spec, batch.tokens())?;
        for dtype in [DType::F32, DType::F16] {
            let (k, v) = cache(&spec, block_size, dtype)?;
            let fast = cross(&spec, &q, &k, &v, &batch)?;
            let off = worst(&fast, &cross_plain(&spec, &q, &k, &v, &batch)?)?;
            assert!(off < tolerance(&spec, dtype), "{spec:?} {dtype:?} is off by {off}");
            // A row is the same whoever shares its source.
            let mut alone = Batch::new();
            alone.push(&[1], 0, &table(1), block_size, true);
            alone.sources.push(batch.sources[1].clone());
            let alone = cross(&spec, &q.narrow(0, 1, 1)?, &k, &v, &alone)?;
            assert_eq!(worst(&alone, &fast.narrow(0, 1, 1)?)?, 0.0);
        }
        batch.sources.pop();
        let (k, v) = cache(&spec, block_size, DType::F32)?;
        assert!(cross(&spec, &q, &k, &v, &batch).is_err());
    }
    Ok(())
}

#[test]
fn no_bias_changes_nothing() -> Result<()> {
    let (spec, block_size) = (spec(4, 2, 8), 16);
    let mut batch = Batch::new();
    for (number, (rows, end)) in [(17, 23), (1, 1), (1, 15), (32, 32)].into_iter().enumerate() {
        batch.push(&vec![1; rows], end - rows, &table(number), block_size, true);
    }
    let q = queries(&spec, batch.tokens())?;
    let (k, v) = cache(&spec, block_size, DType::F16)?;
    let zero = DistanceBias::new(4, 31, |_, _| 0.0);
    let found = paged_biased(&spec, &q, &k, &v, &batch, &zero)?;
    assert!(worst(&found, &paged_plain(&spec, &q, &k, &v, &batch)?)? < 1e-5);
    // One that hides all but a row's own position leaves its value.
    let own = DistanceBias::new(4, 31, |_, d| if d == 0 { 0.0 } else { -1e9 });
    let found = paged_biased(&spec, &q, &k, &v, &batch, &own)?;
    let only = AttentionSpec { window: Some(1), ..spec };
    assert!(worst(&found, &paged_plain(&only, &q, &k, &v, &batch)?)? < 1e-5);
    Ok(())
}
