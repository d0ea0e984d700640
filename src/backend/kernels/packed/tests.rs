use candle_core::quantized::QTensor;
use candle_core::{Device, Result, Tensor};

use super::*;

const TYPES: [GgmlDType; 12] = [
    GgmlDType::F32,
    GgmlDType::F16,
    GgmlDType::BF16,
    GgmlDType::Q4_0,
    GgmlDType::Q4_1,
    GgmlDType::Q5_0,
    GgmlDType::Q5_1,
    GgmlDType::Q8_0,
    GgmlDType::Q3K,
    GgmlDType::Q4K,
    GgmlDType::Q5K,
    GgmlDType::Q6K,
];

/// A random matrix, packed, and as Candle reads it.
fn matrix(dtype: GgmlDType, rows: usize, columns: usize) -> Result<(Packed, Vec<f32>)> {
    let w = Tensor::randn(0f32, 1f32, (rows, columns), &Device::Cpu)?;
    let q = QTensor::quantize(&w, dtype)?;
    let packed = Packed::new(&q.data()?, dtype, rows, columns).expect("the shape fits");
    Ok((packed, q.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?))
}

fn relative(found: &[f32], expected: &[f32]) -> f32 {
    let scale = expected.iter().fold(0f32, |m, x| m.max(x.abs()));
    found.iter().zip(expected).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / scale
}

#[test]
fn rows_are_those_candle_reads() -> Result<()> {
    for dtype in TYPES {
        let (packed, dense) = matrix(dtype, 37, 512)?;
        let mut row = vec![0f32; 512];
        for r in 0..37 {
            packed.row(r, &mut row);
            let error = relative(&row, &dense[r * 512..(r + 1) * 512]);
            // Scales and offsets are rounded to f16: 3 · 2⁻¹¹ at most.
            assert!(error < 1.5e-3, "{dtype:?} row {r} is off by {error}");
        }
    }
    Ok(())
}

#[test]
fn every_level_computes_the_product() -> Result<()> {
    for dtype in TYPES {
        // Edges: a part of a tile, one tile, an odd number of tiles; one
        // block where the type allows it.
        let block = dtype.block_size();
        for (n, k) in [(5, block), (16, 2 * block), (48, 256), (200, 768), (33, 256)] {
            let (packed, dense) = matrix(dtype, n, k)?;
            for rows in [1, 2, 5, 6, 7, 13] {
                // Whole numbers up to 127 are quantized without loss.
                let x: Vec<f32> = (0..rows * k)
                    .map(|i| if i % 32 == 3 { 127.0 } else { ((i * 7919) % 255) as f32 - 127.0 })
                    .collect();
                // Each product, and the size it would have without chance.
                let (expected, size): (Vec<f64>, Vec<f64>) = (0..rows * n)
                    .map(|i| {
                        let (x, w) = (&x[i / n * k..][..k], &dense[i % n * k..][..k]);
                        let terms = x.iter().zip(w).map(|(x, w)| f64::from(x * w));
                        let square = terms.clone().map(|t| t * t).sum::<f64>();
                        (terms.sum::<f64>(), square.sqrt())
                    })
                    .unzip();
                let size = size.iter().sum::<f64>() / size.len() as f64;
                for level in Level::ALL.iter().copied().filter(|l| l.available()) {
                    let mut y = vec![f32::NAN; rows * n];
                    matmul(&packed, &x, &mut y, level);
                    let off = y.iter().zip(&expected).map(|(y, e)| (f64::from(*y) - e).abs());
                    let error = off.fold(0.0, f64::max) / size;
                    assert!(error < 4e-3, "{dtype:?} {level:?} {rows}x{k}x{n}: off by {error}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_row_does_not_depend_on_its_company() -> Result<()> {
    for dtype in TYPES {
        let (packed, _) = matrix(dtype, 80, 512)?;
        let x = Tensor::randn(0f32, 1f32, (40, 512), &Device::Cpu)?.flatten_all()?.to_vec1()?;
        for level in Level::ALL.iter().copied().filter(|l| l.available()) {
            let mut together = vec![0f32; 40 * 80];
            matmul(&packed, &x, &mut together, level);
            for r in 0..40 {
                let mut alone = vec![0f32; 80];
                matmul(&packed, &x[r * 512..(r + 1) * 512], &mut alone, level);
                assert_eq!(alone, together[r * 80..(r + 1) * 80], "{dtype:?} {level:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn real_activations_lose_little() -> Result<()> {
    let (packed, dense) = matrix(GgmlDType::Q8_0, 64, 1024)?;
    let x: Vec<f32> =
        Tensor::randn(0f32, 3f32, (4, 1024), &Device::Cpu)?.flatten_all()?.to_vec1()?;
    let mut y = vec![0f32; 4 * 64];
    matmul(&packed, &x, &mut y, best_level());
    let expected: Vec<f32> = (0..4 * 64)
        .map(|i| {
            x[i / 64 * 1024..][..1024].iter().zip(&dense[i % 64 * 1024..]).map(|(x, w)| x * w).sum()
        })
        .collect();
    let error = relative(&y, &expected);
    assert!(error < 0.01, "off by {error}");
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() {
    assert!(Packed::new(&[0; 18], GgmlDType::Q4_0, 1, 32).is_some());
    assert!(Packed::new(&[0; 17], GgmlDType::Q4_0, 1, 32).is_none());
    assert!(Packed::new(&[0; 18], GgmlDType::Q4_0, 1, 16).is_none());
    assert!(Packed::new(&[0; 84], GgmlDType::Q2K, 1, 256).is_none());
    assert!(Packed::new(&[0; 12], GgmlDType::F32, 1, 3).is_some());
}
