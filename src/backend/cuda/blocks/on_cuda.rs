//! Products of quantized matrices on a CUDA device, with as many rows as each
//! way to multiply them takes.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Result, Tensor};

use super::Blocks;
use crate::backend::device::cuda_for_tests as cuda;

/// Numbers of (rows, columns) that are the same at every run.
fn numbers(rows: usize, columns: usize, seed: u64) -> Result<Tensor> {
    let mut state = seed;
    let values = (0..rows * columns).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    });
    Tensor::from_vec(values.collect::<Vec<_>>(), (rows, columns), &Device::Cpu)
}

#[test]
fn products_are_those_of_the_numbers_in_the_file() -> Result<()> {
    let Some(cuda) = cuda() else { return Ok(()) };
    for dtype in [GgmlDType::Q4_0, GgmlDType::Q5_1, GgmlDType::Q6K, GgmlDType::Q8_0] {
        let columns = if dtype == GgmlDType::Q6K { 768 } else { 736 };
        let file = QTensor::quantize(&numbers(150, columns, 1)?, dtype)?;
        let Some(blocks) = Blocks::new(&file.data()?, dtype, (150, columns), &cuda)? else {
            panic!("{dtype:?} has no layout");
        };
        let all = numbers(300, columns, 2)?;
        let expected = all.matmul(&file.dequantize(&Device::Cpu)?.t()?)?;
        let size = expected.sqr()?.mean_all()?.sqrt()?.to_scalar::<f32>()?;
        let mut tiled: Option<Vec<Vec<f32>>> = None;
        for rows in [1, 4, 256, 5, 24, 48, 100, 257, 300] {
            let found = blocks.forward(&all.narrow(0, 0, rows)?.to_device(&cuda)?)?;
            assert_eq!((found.dtype(), found.dims()), (DType::F32, &[rows, 150][..]));
            let found = found.to_device(&Device::Cpu)?;
            let off = (&found - expected.narrow(0, 0, rows)?)?.sqr()?.mean_all()?.sqrt()?;
            let off = off.to_scalar::<f32>()?;
            eprintln!("{dtype:?}, {rows} rows: {:.1e}", off / size);
            assert!(off < 0.01 * size, "{dtype:?}, {rows} rows: off by {off} of {size}");
            // To the last bit, whatever other rows there are.
            if (5..=256).contains(&rows) {
                let found = found.to_vec2::<f32>()?;
                let tiled = tiled.get_or_insert_with(|| found.clone());
                assert!(found == tiled[..rows], "{dtype:?}: {rows} rows differ from 256");
            }
        }
    }
    Ok(())
}
