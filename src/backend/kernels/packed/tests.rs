use candle_core::quantized::QTensor;
use candle_core::{Device, Result, Tensor};
use half::f16;

use super::*;

/// A way to pack numbers that are plain or of a type's blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    As(Stored),
    /// Q5_0 as bytes.
    Bytes,
    /// 16-bit integers from such numbers.
    Sixteen(GgmlDType),
    /// One bf16 for each, or two.
    Brain(Format, GgmlDType),
}

/// All of them.
fn kinds() -> impl Iterator<Item = Kind> {
    let plain = TYPES.into_iter().filter_map(Stored::candle).filter(|t| is_plain(*t));
    let brains = [Format::Brain, Format::Brains].map(|f| Kind::Brain(f, GgmlDType::F32));
    TYPES
        .into_iter()
        .map(Kind::As)
        .chain(plain.map(Kind::Sixteen))
        .chain(brains)
        .chain([Kind::Bytes])
}

impl Kind {
    fn block_size(self) -> usize {
        match self {
            Self::As(stored) => stored.block_size(),
            Self::Bytes | Self::Sixteen(_) | Self::Brain(..) => BLOCK,
        }
    }
}

const TYPES: [Stored; 15] = [
    Stored::Candle(GgmlDType::F32),
    Stored::Candle(GgmlDType::F16),
    Stored::Candle(GgmlDType::BF16),
    Stored::Candle(GgmlDType::Q4_0),
    Stored::Candle(GgmlDType::Q4_1),
    Stored::Candle(GgmlDType::Q5_0),
    Stored::Candle(GgmlDType::Q5_1),
    Stored::Candle(GgmlDType::Q8_0),
    Stored::Candle(GgmlDType::Q2K),
    Stored::Candle(GgmlDType::Q3K),
    Stored::Candle(GgmlDType::Q4K),
    Stored::Candle(GgmlDType::Q5K),
    Stored::Candle(GgmlDType::Q6K),
    Stored::Iq4Nl,
    Stored::Iq4Xs,
];

/// A random matrix, packed, and as Candle reads it; of types that Candle does
/// not know, as we do.
fn matrix(kind: Kind, rows: usize, columns: usize) -> Result<(Packed, Vec<f32>)> {
    let w = Tensor::randn(0f32, 1f32, (rows, columns), &Device::Cpu)?;
    let stored = match kind {
        Kind::As(stored) => stored,
        Kind::Bytes => {
            let (dtype, shape) = (GgmlDType::Q5_0, (rows, columns));
            let q = QTensor::quantize(&w, dtype)?;
            let packed = Packed::stored_as(Format::Eight, &q.data()?, dtype.into(), shape);
            let dense = q.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?;
            return Ok((packed.expect("the shape fits"), dense));
        }
        Kind::Brain(format, dtype) => {
            // Numbers that one bf16 holds, where there is but one.
            let w = match format {
                Format::Brain => w.to_dtype(candle_core::DType::BF16)?.to_dtype(w.dtype())?,
                _ => w,
            };
            let q = QTensor::quantize(&w, dtype)?;
            let packed = Packed::brain(format, &q.data()?, dtype, rows, columns);
            return Ok((packed.expect("the shape fits"), w.flatten_all()?.to_vec1()?));
        }
        Kind::Sixteen(dtype) => {
            let q = QTensor::quantize(&w, dtype)?;
            let packed = Packed::sixteen(&q.data()?, dtype, rows, columns);
            let dense = q.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?;
            return Ok((packed.expect("the shape fits"), dense));
        }
    };
    if let Some(dtype) = stored.candle() {
        let q = QTensor::quantize(&w, dtype)?;
        let packed = Packed::new(&q.data()?, dtype, rows, columns).expect("the shape fits");
        return Ok((packed, q.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?));
    }
    let blocks = rows * columns / stored.block_size();
    let numbers = Tensor::rand(0f32, 256f32, blocks * stored.type_size(), &Device::Cpu)?;
    let mut bytes: Vec<u8> = numbers.to_vec1::<f32>()?.into_iter().map(|x| x as u8).collect();
    for block in bytes.chunks_exact_mut(stored.type_size()) {
        let scale = f16::from_f32((f32::from(block[0]) - 127.5) * 1e-4);
        block[..2].copy_from_slice(&scale.to_le_bytes());
    }
    let packed = Packed::new(&bytes, stored, rows, columns).expect("the shape fits");
    let mut dense = vec![0f32; rows * columns];
    dense.chunks_exact_mut(columns).enumerate().for_each(|(r, row)| packed.row(r, row));
    Ok((packed, dense))
}

#[test]
fn blocks_are_those_llamacpp_reads() {
    #[derive(serde::Deserialize)]
    struct Item {
        r#type: u32,
        name: String,
        bytes: String,
        weights: String,
    }
    let hex = |text: &str| -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
        (0..text.len()).step_by(2).map(digit).collect()
    };
    // Made by tests/fixtures/make_gguf_blocks.py.
    let items = include_str!("../../../../tests/fixtures/gguf_blocks.json");
    let items: Vec<Item> = serde_json::from_str(items).expect("a fixture");
    assert_eq!(items.len(), TYPES.len());
    for item in items {
        let stored = Stored::of_ggml(item.r#type).expect("a type that is read");
        assert!(TYPES.contains(&stored), "{}", item.name);
        let weights = hex(&item.weights);
        let expected: Vec<f32> =
            weights.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4"))).collect();
        let packed = Packed::new(&hex(&item.bytes), stored, 1, 256).expect("the shape fits");
        for (r, expected) in expected.chunks_exact(256).enumerate() {
            let mut row = vec![0f32; 256];
            packed.row(r, &mut row);
            let error = relative(&row, expected);
            assert!(error < 1.5e-3, "{} row {r} is off by {error}", item.name);
        }
    }
}

fn relative(found: &[f32], expected: &[f32]) -> f32 {
    let scale = expected.iter().fold(0f32, |m, x| m.max(x.abs()));
    found.iter().zip(expected).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / scale
}

#[test]
fn rows_are_those_candle_reads() -> Result<()> {
    for dtype in kinds() {
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
    for dtype in kinds() {
        // Edges: a part of a tile, one tile, an odd number of tiles; one
        // block where the type allows it.
        let block = dtype.block_size();
        for (n, k) in [(5, block), (16, 2 * block), (48, 256), (200, 768), (33, 256)] {
            let (packed, dense) = matrix(dtype, n, k)?;
            for rows in [1, 2, 3, 4, 5, 6, 7, 10, 11, 13, 28, 29, 33] {
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

/// Products of bytes are exact, so what only multiplies them in other groups
/// gives the same bits.
#[cfg(target_arch = "x86_64")]
#[test]
fn amx_computes_what_vnni_does() -> Result<()> {
    if !Level::Amx.available() {
        return Ok(());
    }
    // Sums of bf16 have an order of their own.
    for dtype in kinds().filter(|kind| !matches!(kind, Kind::Brain(..))) {
        let k = 3 * dtype.block_size().max(32);
        let (packed, _) = matrix(dtype, 77, k)?;
        for rows in [1, 6, 7, 15, 16, 17, 31, 32, 33, 64, 101] {
            let x = Tensor::randn(0f32, 2f32, (rows, k), &Device::Cpu)?.flatten_all()?.to_vec1()?;
            let [one, other] = [Level::Vnni, Level::Amx].map(|level| {
                let mut y = vec![f32::NAN; rows * 77];
                matmul(&packed, &x, &mut y, level);
                y
            });
            assert_eq!(one, other, "{dtype:?}, {rows} rows");
        }
    }
    Ok(())
}

#[test]
fn a_row_does_not_depend_on_its_company() -> Result<()> {
    for dtype in kinds() {
        let (packed, _) = matrix(dtype, 80, 512)?;
        let x = Tensor::randn(0f32, 1f32, (41, 512), &Device::Cpu)?.flatten_all()?.to_vec1()?;
        let levels = Level::ALL.iter().copied().filter(|l| l.available());
        for (level, rows) in levels.flat_map(|l| [7, 10, 11, 40, 41].map(|rows| (l, rows))) {
            let mut together = vec![0f32; rows * 80];
            matmul(&packed, &x[..rows * 512], &mut together, level);
            for r in 0..rows {
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
    let (packed, dense) = matrix(Kind::As(GgmlDType::Q8_0.into()), 64, 1024)?;
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
fn sixteen_bits_lose_less_than_half_precision() -> Result<()> {
    let (n, k, rows) = (64, 1536, 4);
    let (packed, w) = {
        let w = Tensor::randn(0f32, 1f32, (n, k), &Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
        let bytes: Vec<u8> = w.iter().flat_map(|w| w.to_le_bytes()).collect();
        (Packed::sixteen(&bytes, GgmlDType::F32, n, k).expect("the shape fits"), w)
    };
    let x: Vec<f32> =
        Tensor::randn(0f32, 3f32, (rows, k), &Device::Cpu)?.flatten_all()?.to_vec1()?;
    let mut y = vec![0f32; rows * n];
    matmul(&packed, &x, &mut y, best_level());
    let half = |v: &f32| f64::from(f16::from_f32(*v).to_f32());
    let mut squares = [0f64; 2];
    for (i, y) in y.iter().enumerate() {
        let pairs = || x[i / n * k..][..k].iter().zip(&w[i % n * k..][..k]);
        let exact: f64 = pairs().map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
        let halves: f64 = pairs().map(|(x, w)| half(x) * half(w)).sum();
        squares[0] += (f64::from(*y) - exact).powi(2);
        squares[1] += (halves - exact).powi(2);
    }
    assert!(squares[0] < 0.5 * squares[1], "{squares:?}");
    Ok(())
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    // All weights and all activations as large as they get, with equal signs.
    let (n, k) = (16, 96);
    let bytes: Vec<u8> = (0..n * k).flat_map(|_| (-1e30f32).to_le_bytes()).collect();
    let packed = Packed::sixteen(&bytes, GgmlDType::F32, n, k).expect("the shape fits");
    for level in Level::ALL.iter().copied().filter(|l| l.available()) {
        let mut y = vec![0f32; n];
        matmul(&packed, &vec![-2f32; k], &mut y, level);
        let expected = 2e30 * k as f32;
        assert!(y.iter().all(|y| (y / expected - 1.0).abs() < 1e-3), "{level:?}: {y:?}");
    }
}

#[test]
fn what_is_broken_stays_visible() {
    let mut w = [1f32; 2 * 32];
    w[40] = f32::NAN;
    let bytes: Vec<u8> = w.iter().flat_map(|w| w.to_le_bytes()).collect();
    let packed = Packed::sixteen(&bytes, GgmlDType::F32, 2, 32).expect("the shape fits");
    let mut x = [1f32; 2 * 32];
    x[32 + 7] = f32::INFINITY;
    for level in Level::ALL.iter().copied().filter(|l| l.available()) {
        let mut y = [0f32; 4];
        matmul(&packed, &x, &mut y, level);
        assert!((y[0] - 32.0).abs() < 1e-2, "{level:?}: {y:?}");
        assert!(y[1..].iter().all(|y| y.is_nan()), "{level:?}: {y:?}");
    }
}

#[test]
fn quantizing_gives_what_candle_gives() -> Result<()> {
    let (n, k) = (37, 512);
    let w = Tensor::randn(0f32, 1f32, (n, k), &Device::Cpu)?;
    let bytes: Vec<u8> =
        w.flatten_all()?.to_vec1::<f32>()?.iter().flat_map(|w| w.to_le_bytes()).collect();
    for to in TYPES.into_iter().filter_map(Stored::candle).filter(|t| !is_plain(*t)) {
        let blocks = QTensor::quantize(&w, to)?;
        let expected = Packed::new(&blocks.data()?, to, n, k).expect("the shape fits");
        let found = Packed::quantize(&bytes, GgmlDType::F32, to, (n, k)).expect("the shape fits");
        assert_eq!((found.format(), found.source()), (expected.format(), GgmlDType::F32.into()));
        let (mut a, mut b) = (vec![0f32; k], vec![0f32; k]);
        for r in 0..n {
            found.row(r, &mut a);
            expected.row(r, &mut b);
            assert_eq!(a, b, "{to:?} row {r}");
        }
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() {
    assert!(Packed::new(&[0; 18], GgmlDType::Q4_0, 1, 32).is_some());
    assert!(Packed::new(&[0; 17], GgmlDType::Q4_0, 1, 32).is_none());
    assert!(Packed::new(&[0; 18], GgmlDType::Q4_0, 1, 16).is_none());
    assert!(Packed::new(&[0; 36], GgmlDType::Q8_1, 1, 32).is_none());
    assert!(Packed::new(&[0; 12], GgmlDType::F32, 1, 3).is_some());
    assert!(Packed::sixteen(&[0; 12], GgmlDType::F32, 1, 3).is_none());
    assert!(Packed::sixteen(&[0; 64], GgmlDType::BF16, 1, 32).is_some());
    assert!(Packed::sixteen(&[0; 34], GgmlDType::Q8_0, 1, 32).is_none());
    assert!(Packed::quantize(&[0; 128], GgmlDType::F32, GgmlDType::Q4K, (1, 32)).is_none());
    assert!(Packed::quantize(&[0; 128], GgmlDType::F32, GgmlDType::F16, (1, 32)).is_none());
}
