use candle_core::{Device, Result, Tensor};

use super::super::batch::Batch;
use super::*;

fn worst(a: &Tensor, b: &Tensor) -> Result<f32> {
    (a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar()
}

#[test]
fn paged_kernel_agrees_with_the_plain_version() -> Result<()> {
    let device = Device::Cpu;
    let block_size = 4;
    // Heads, key heads, head size, window, cap: grouped and not, odd sizes.
    for (heads, kv_heads, head_dim, window, softcap) in [
        (4, 2, 8, None, None),
        (3, 3, 20, Some(5), None),
        (6, 1, 16, Some(1), Some(3.0)),
        (8, 2, 64, None, Some(50.0)),
    ] {
        let spec = AttentionSpec { heads, kv_heads, head_dim, scale: 0.3, softcap, window };
        let cache = || Tensor::randn(0f32, 1f32, (16, kv_heads, block_size, head_dim), &device);
        let (k, v) = (cache()?, cache()?);
        // A long prompt's middle, a first token, a decode step, and a row block's edge.
        let mut batch = Batch::new();
        batch.push(&[1; 17], 6, &[3, 9, 0, 5, 8, 1], block_size, true);
        batch.push(&[1], 0, &[2], block_size, true);
        batch.push(&[1], 14, &[4, 6, 7, 10], block_size, true);
        batch.push(&[1; 8], 0, &[11, 12], block_size, true);
        let q = Tensor::randn(0f32, 1f32, (batch.tokens(), heads, head_dim), &device)?;
        let fast = paged(&spec, &q, &k, &v, &batch)?;
        let plain = paged_plain(&spec, &q, &k, &v, &batch)?;
        assert_eq!(fast.dims(), plain.dims());
        assert!(worst(&fast, &plain)? < 2e-5, "{spec:?}");
    }
    Ok(())
}

#[test]
fn packed_kernel_agrees_with_the_plain_version() -> Result<()> {
    let device = Device::Cpu;
    let (heads, head_dim) = (4, 8);
    let spec =
        AttentionSpec { heads, kv_heads: heads, head_dim, scale: 0.3, softcap: None, window: None };
    let cu = [0u32, 1, 34, 101];
    let t = || Tensor::randn(0f32, 1f32, (101, heads, head_dim), &device);
    let (q, k, v) = (t()?, t()?, t()?);
    let fast = packed(&spec, &q, &k, &v, &cu)?;
    assert!(worst(&fast, &packed_plain(&spec, &q, &k, &v, &cu)?)? < 2e-5);
    Ok(())
}
