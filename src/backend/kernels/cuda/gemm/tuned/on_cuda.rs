//! Each of cuBLASLt's ways gives what cuBLAS gives, and products are tried when
//! they should be.

use candle_core::{DType, Device, Result, Tensor};

use super::super::super::gpu::Gpu;
use super::super::super::view::View;
use super::super::{Gemm, Places, by_cublas, gemm};
use super::{Handle, Shape, Tuning, best};
use crate::backend::device::cuda_for_tests as cuda;

#[test]
fn the_fastest_is_taken_where_it_is_worth_it() {
    let times = |times: &[Option<f32>]| best(1.0, times.iter().copied()).map(|(i, _)| i);
    assert_eq!(times(&[Some(0.9), Some(0.5), None, Some(0.5)]), Some(1));
    assert_eq!(times(&[Some(0.98), Some(1.2), None]), None);
    assert_eq!(times(&[None, Some(0.97)]), Some(1));
    assert_eq!(times(&[]), None);
}

const OUTPUTS: usize = 40;
const INPUTS: usize = 72;
/// Numbers between rows of results, whose last ones belong to somebody else.
const STRIDE: usize = 48;

struct Product {
    gemm: Gemm,
    w: Tensor,
    x: Tensor,
    y: Tensor,
}

impl Product {
    fn new(device: &Device, rows: usize, x: DType, y: DType) -> Result<Self> {
        let made = |len: usize, of: f32| {
            let values = (0..len).map(|i| (i as f32 * of).sin()).collect::<Vec<_>>();
            Tensor::from_vec(values, len, device)?.to_dtype(x)
        };
        Ok(Self {
            gemm: Gemm { outputs: OUTPUTS, inputs: INPUTS, rows, stride: STRIDE, x, y },
            w: made(OUTPUTS * INPUTS, 0.37)?,
            x: made(rows * INPUTS, 0.73)?,
            y: Tensor::full(7f32, rows * STRIDE, device)?.to_dtype(y)?.copy()?,
        })
    }

    fn places(&self) -> Result<Places> {
        let of = |tensor| View::of(tensor).map(|view| view.address);
        Ok(Places { w: of(&self.w)?, x: of(&self.x)?, y: of(&self.y)? })
    }

    /// What `multiply` leaves where results go, sevens to begin with.
    fn by(&self, multiply: impl FnOnce(Places) -> Result<()>) -> Result<Vec<f32>> {
        let sevens = Tensor::full(7f32, self.y.dims1()?, self.y.device())?;
        self.y.slice_set(&sevens.to_dtype(self.gemm.y)?, 0, 0)?;
        multiply(self.places()?)?;
        self.y.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.to_vec1()
    }
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_algorithm_gives_what_cublas_gives() -> Result<()> {
    let Some(device) = cuda() else { return Ok(()) };
    let Some(gpu) = Gpu::of(&device)? else { panic!("no kernels") };
    let handle = Handle::new()?;
    for (x, y, most) in [
        (DType::F32, DType::F32, 1e-3),
        (DType::F16, DType::F16, 2e-2),
        (DType::BF16, DType::BF16, 2e-1),
        (DType::BF16, DType::F32, 1e-3),
    ] {
        for rows in [1, 5, 33] {
            let product = Product::new(&device, rows, x, y)?;
            // SAFETY: the tensors are as large as the product says; so below.
            let expected = product.by(|at| unsafe { by_cublas(&gpu, product.gemm, at) })?;
            assert!(expected.iter().any(|y| *y != 7.0 && *y != 0.0));
            for row in expected.chunks(STRIDE) {
                assert!(row[OUTPUTS..].iter().all(|y| *y == 7.0), "written past a row");
            }
            let shape = Shape::new(product.gemm)?;
            let mut ran = 0;
            for algorithm in shape.algorithms(&handle)? {
                // SAFETY: as above; tensors begin at multiples of 256 bytes.
                let found =
                    product.by(|at| unsafe { shape.multiply(&gpu, &handle, &algorithm, at) });
                let Ok(found) = found else { continue };
                ran += 1;
                let off = apart(&found, &expected);
                assert!(off < most, "{:?}: {algorithm:?} is off by {off}", product.gemm);
            }
            assert!(ran > 0, "{:?}: no algorithm ran", product.gemm);
        }
    }
    Ok(())
}

#[test]
fn products_are_tried_while_they_are_meant_to_be() -> Result<()> {
    let Some(device) = cuda() else { return Ok(()) };
    let Some(gpu) = Gpu::of(&device)? else { panic!("no kernels") };
    let tried = || gpu.tuned().plans.len();
    let run = |rows: usize| -> Result<Vec<f32>> {
        let product = Product::new(&device, rows, DType::F32, DType::F32)?;
        // SAFETY: the tensors are as large as the product says; so below.
        product.by(|at| unsafe { gemm(&gpu, product.gemm, at) })
    };
    let expected = (run(5)?, run(6)?);
    assert_eq!(tried(), 0);
    let tuning = Tuning::new(gpu.clone())?;
    for _ in 0..3 {
        assert!(apart(&run(5)?, &expected.0) < 1e-3);
        assert_eq!(tried(), 1);
    }
    assert!(apart(&run(6)?, &expected.1) < 1e-3);
    assert_eq!(tried(), 2);
    // Algorithms may rely on places that this one has not.
    let product = Product::new(&device, 5, DType::F16, DType::F16)?;
    let before = Places { y: product.places()?.y + 2, ..product.places()? };
    let shifted = Gemm { rows: 4, ..product.gemm };
    // SAFETY: a row fewer leaves room for the shift.
    unsafe { gemm(&gpu, shifted, before)? };
    assert_eq!(tried(), 2);
    drop(tuning);
    run(7)?;
    assert_eq!(tried(), 2);
    // What was found stays.
    assert!(apart(&run(5)?, &expected.0) < 1e-3);
    Ok(())
}
