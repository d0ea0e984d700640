use candle_core::quantized::GgmlDType;

use super::*;
use crate::backend::block::tests::{TYPES, WIDTH, difference, linear, norms};
use crate::backend::kernels::team::test_team;

/// Width inside of an expert: not whole tiles, where the type allows it.
fn inner(dtype: GgmlDType) -> usize {
    if dtype.block_size() == 1 { 264 } else { 256 }
}

fn expert(dtype: GgmlDType, inner: usize) -> Result<Expert> {
    // Files mix types.
    let other = if dtype == GgmlDType::Q4K { GgmlDType::Q8_0 } else { dtype };
    Ok(Expert {
        gate: linear(dtype, inner, WIDTH, false)?,
        up: linear(other, inner, WIDTH, false)?,
        down: linear(dtype, WIDTH, inner, false)?,
    })
}

fn block(dtype: GgmlDType, norms: BlockNorms, shared: bool) -> Result<MoeBlock> {
    let shared = match shared {
        true => Some((expert(dtype, 512)?, linear(GgmlDType::F32, 1, WIDTH, false)?)),
        false => None,
    };
    MoeBlock::new(MoeParts {
        norms,
        router: linear(GgmlDType::F32, 8, WIDTH, false)?,
        routing: Routing { chosen: 3, normalised: shared.is_none() },
        experts: (0..8).map(|_| expert(dtype, inner(dtype))).collect::<Result<_>>()?,
        shared,
        activation: Activation::Silu,
    })
}

#[test]
fn layers_of_experts_are_their_plain_versions() -> Result<()> {
    let mut workspace = Workspace::default();
    for dtype in TYPES {
        for (norms, shared) in norms()?.into_iter().zip([false, true, true]) {
            let block = block(dtype, norms, shared)?;
            assert!(block.kernels.is_some());
            for rows in [1, 2, 7, 40] {
                let x = Tensor::randn(0f32, 1f32, (rows, WIDTH), &Device::Cpu)?;
                let plain = block.forward_plain(&x)?;
                let fast = block.forward(x, &mut workspace)?;
                let off = difference(&fast, &plain)?;
                assert!(off < 3e-3, "{dtype:?} {rows} rows: off by {off}");
            }
        }
    }
    Ok(())
}

/// Bit for bit: whoever shares the batch, and however many threads there are,
/// a row gives the same.
#[test]
fn a_row_does_not_depend_on_its_company() -> Result<()> {
    let mut workspace = Workspace::default();
    for dtype in TYPES {
        for shared in [false, true] {
            let [norms, ..] = norms()?;
            let block = block(dtype, norms, shared)?;
            let x = Tensor::randn(0f32, 1f32, (50, WIDTH), &Device::Cpu)?;
            let together = block.forward(x.copy()?, &mut workspace)?.to_vec2::<f32>()?;
            for (r, expected) in together.iter().enumerate() {
                let alone = block.forward(x.narrow(0, r, 1)?.copy()?, &mut workspace)?;
                assert_eq!(&alone.to_vec2::<f32>()?[0], expected, "{dtype:?} row {r}");
            }
            let other = test_team::with(3, || block.forward(x.copy()?, &mut workspace))?;
            assert_eq!(other.to_vec2::<f32>()?, together, "{dtype:?}");
        }
    }
    Ok(())
}

#[test]
fn a_broken_row_breaks_no_other() -> Result<()> {
    let mut workspace = Workspace::default();
    let [norms, ..] = norms()?;
    let block = block(GgmlDType::Q8_0, norms, true)?;
    let x = Tensor::randn(0f32, 1f32, (5, WIDTH), &Device::Cpu)?;
    let whole = block.forward(x.copy()?, &mut workspace)?.to_vec2::<f32>()?;
    let mut rows = x.to_vec2::<f32>()?;
    rows[2][7] = f32::NAN;
    let broken = block.forward(Tensor::new(rows, &Device::Cpu)?, &mut workspace)?;
    for (r, (row, expected)) in broken.to_vec2::<f32>()?.iter().zip(&whole).enumerate() {
        match r {
            2 => assert!(row.iter().all(|x| x.is_nan())),
            _ => assert_eq!(row, expected),
        }
    }
    Ok(())
}

#[test]
fn more_choices_than_experts_are_refused() -> Result<()> {
    let [norms, ..] = norms()?;
    let mut parts = block(GgmlDType::Q8_0, norms, false)?.parts;
    parts.routing.chosen = 9;
    assert!(MoeBlock::new(parts).unwrap_err().to_string().contains("8 experts cannot give 9"));
    Ok(())
}
