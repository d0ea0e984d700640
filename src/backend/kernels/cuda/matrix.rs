//! Products with matrices: dense ones by cuBLAS or, for a few rows, by
//! `matvec.cu`; quantized ones by `quantized.cu`.

use std::ffi::c_void;

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::cublas::{result, sys};
use candle_core::{DType, Result, bail};

use super::activation::convert;
use super::gpu::{Gpu, Launch, args, count};
use super::view::View;
use crate::backend::kernels::blocks::Layout;

/// A matrix of (rows, columns), whose rows are outputs.
#[derive(Debug, Clone, Copy)]
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Dense(View),
    Blocks(BlocksView),
}

/// A quantized matrix: arrays of [`crate::backend::kernels::blocks::Blocks`].
#[derive(Debug, Clone, Copy)]
pub(super) struct BlocksView {
    pub layout: Layout,
    pub codes: View,
    pub high: Option<View>,
    pub scales: View,
    pub factors: View,
}

/// Rows of activations up to which a dense matrix is read by `matvec.cu`.
const FEW_ROWS: usize = 4;
/// Rows that one launch of the quantized product takes.
const BLOCK_ROWS: usize = 8;
/// Rows of activations from which on quantized weights are expanded, which
/// costs several times the reading of them, but is multiplied by tensor cores.
const EXPAND_ROWS: usize = 33;
/// Numbers of expanded weights at once.
const EXPANDED: usize = 64 << 20;

impl Matrix {
    pub fn dense(values: View, (rows, columns): (usize, usize)) -> Self {
        Self { rows, columns, form: Form::Dense(values) }
    }

    pub fn blocks(
        layout: Layout,
        (rows, columns): (usize, usize),
        codes: View,
        high: Option<View>,
        scales: View,
        factors: View,
    ) -> Self {
        let form = Form::Blocks(BlocksView { layout, codes, high, scales, factors });
        Self { rows, columns, form }
    }

    /// The type of the rows it is multiplied with.
    pub fn activations(&self) -> DType {
        match self.form {
            Form::Dense(values) => values.dtype,
            Form::Blocks(_) => DType::F32,
        }
    }

    /// The type in which the results of all can stand in one buffer.
    pub fn common(all: &[Self]) -> DType {
        match all {
            [first, rest @ ..] if rest.iter().all(|m| m.activations() == first.activations()) => {
                first.activations()
            }
            _ => DType::F32,
        }
    }

    /// One matrix of the rows of all, where they lie behind each other.
    ///
    /// # Errors
    /// None of them is too large for a view.
    pub fn joined(all: &[Self]) -> Result<Option<Self>> {
        let Some((first, rest)) = all.split_first() else { return Ok(None) };
        let mut joined = *first;
        for next in rest {
            let form = match (joined.form, next.form) {
                (Form::Dense(a), Form::Dense(b)) => join(a, b).map(Form::Dense),
                (Form::Blocks(a), Form::Blocks(b)) if a.layout == b.layout => a.join(b),
                _ => None,
            };
            let Some(form) = form.filter(|_| next.columns == joined.columns) else {
                return Ok(None);
            };
            joined = Self { rows: joined.rows + next.rows, form, ..joined };
        }
        Ok(Some(joined))
    }

    pub(super) fn table(&self) -> Result<(View, Option<BlocksView>)> {
        match self.form {
            Form::Dense(values) => Ok((values, None)),
            Form::Blocks(blocks) => Ok((blocks.codes, Some(blocks))),
        }
    }
}

fn join(a: View, b: View) -> Option<View> {
    a.is_followed_by(b).then_some(View { len: a.len + b.len, ..a })
}

impl BlocksView {
    fn join(self, next: Self) -> Option<Form> {
        let high = match (self.high, next.high) {
            (Some(a), Some(b)) => Some(join(a, b)?),
            (None, None) => None,
            _ => return None,
        };
        Some(Form::Blocks(Self {
            codes: join(self.codes, next.codes)?,
            high,
            scales: join(self.scales, next.scales)?,
            factors: join(self.factors, next.factors)?,
            ..self
        }))
    }

    /// Says that the arrays are as large as kernels take them to be.
    pub(super) fn check(&self, rows: usize, columns: usize) -> Result<()> {
        let blocks = rows * columns / 32;
        let (codes, high, scales) = match self.layout {
            Layout::Four => (16, 0, 2),
            Layout::Five => (16, 4, 2),
            Layout::Six => (16, 8, 2),
            Layout::Eight => (32, 0, 1),
        };
        self.codes.holds("codes", codes * blocks, DType::U8)?;
        self.scales.holds("scales", scales * blocks, DType::F16)?;
        self.factors.holds("factors", rows, DType::F32)?;
        match self.high {
            Some(view) => view.holds("high bits", high * blocks, DType::U8).map(drop),
            None if high == 0 => Ok(()),
            None => bail!("{:?} needs high bits", self.layout),
        }
    }
}

/// Memory that a product uses beside its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Scratch {
    pub bytes: Option<View>,
    pub rounded: Option<View>,
    pub expanded: Option<View>,
}

/// How much of each [`Scratch`] a product needs, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Needs {
    pub bytes: usize,
    pub rounded: usize,
    pub expanded: usize,
}

impl Scratch {
    pub fn needs(matrix: &Matrix, rows: usize) -> Needs {
        match matrix.form {
            Form::Dense(_) => Needs::default(),
            Form::Blocks(_) if rows < EXPAND_ROWS => {
                Needs { bytes: quantized_bytes(rows, matrix.columns), ..Needs::default() }
            }
            Form::Blocks(_) => Needs {
                rounded: rows * matrix.columns,
                expanded: (EXPANDED.max(matrix.columns)).min(matrix.rows * matrix.columns),
                ..Needs::default()
            },
        }
    }
}

/// `y = x Wᵀ`: `x` is (rows, columns) of the matrix's
/// [type](Matrix::activations), `y` (rows, matrix.rows) with rows `stride`
/// apart, of the same type or f32.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn multiply(
    gpu: &Gpu,
    matrix: Matrix,
    (x, rows): (View, usize),
    (y, stride): (View, usize),
    scratch: Scratch,
) -> Result<()> {
    if rows == 0 {
        return Ok(());
    }
    let x = x.holds("a product's input", rows * matrix.columns, matrix.activations())?;
    let y = y.holds("a product", (rows - 1) * stride + matrix.rows, y.dtype)?;
    match matrix.form {
        Form::Dense(w) => dense(gpu, (w, matrix.rows, matrix.columns), (x, rows), (y, stride)),
        Form::Blocks(w) if rows < EXPAND_ROWS => {
            quantized(gpu, &w, &matrix, (x, rows), (y, stride), scratch)
        }
        Form::Blocks(w) => expanded(gpu, &w, &matrix, (x, rows), (y, stride), scratch),
    }
}

fn dense(
    gpu: &Gpu,
    (w, outputs, inputs): (View, usize, usize),
    (x, rows): (View, usize),
    (y, stride): (View, usize),
) -> Result<()> {
    let w = w.holds("a matrix", outputs * inputs, x.dtype)?;
    let aligned = (inputs * x.dtype.size_in_bytes()).is_multiple_of(16)
        && w.address.is_multiple_of(16)
        && x.address.is_multiple_of(16);
    if rows <= FEW_ROWS && aligned {
        let name = format!("matvec_{}_{}_{rows}", x.name()?, y.name()?);
        let shape = Launch { grid: (count(outputs.div_ceil(8))?, 1, 1), block: 256, shared: 0 };
        let given = args![w, x, y, count(outputs)?, count(inputs)?, count(stride)?];
        // SAFETY: the sizes were checked here and by the caller.
        return unsafe { gpu.launch(&name, shape, given) };
    }
    let kind = |view: View| {
        Ok(match view.dtype {
            DType::F32 => sys::cudaDataType::CUDA_R_32F,
            DType::F16 => sys::cudaDataType::CUDA_R_16F,
            DType::BF16 => sys::cudaDataType::CUDA_R_16BF,
            other => bail!("products of {other:?} are not supported"),
        })
    };
    let (x_kind, y_kind) = (kind(x)?, kind(y)?);
    let int = |n: usize| i32::try_from(n).map_err(candle_core::Error::wrap);
    let (one, zero) = (1f32, 0f32);
    // SAFETY: rows of C are columns to cuBLAS, so it multiplies W, transposed,
    // with x as it is; the sizes were checked here and by the caller.
    unsafe {
        result::gemm_ex(
            *gpu.blas.handle(),
            sys::cublasOperation_t::CUBLAS_OP_T,
            sys::cublasOperation_t::CUBLAS_OP_N,
            int(outputs)?,
            int(rows)?,
            int(inputs)?,
            std::ptr::from_ref(&one).cast(),
            w.address as *const c_void,
            x_kind,
            int(inputs)?,
            x.address as *const c_void,
            x_kind,
            int(inputs)?,
            std::ptr::from_ref(&zero).cast(),
            y.address as *mut c_void,
            y_kind,
            int(stride)?,
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    }
    .w()
}

/// Bytes of `rows` rows of activations as bytes, with scale and sum of each 32.
fn quantized_bytes(rows: usize, columns: usize) -> usize {
    rows * columns + rows * columns / 32 * 8
}

fn quantized(
    gpu: &Gpu,
    w: &BlocksView,
    matrix: &Matrix,
    (x, rows): (View, usize),
    (y, stride): (View, usize),
    scratch: Scratch,
) -> Result<()> {
    let Matrix { rows: outputs, columns, .. } = *matrix;
    w.check(outputs, columns)?;
    let y = y.holds("a product", 0, DType::F32)?;
    let Some(bytes) = scratch.bytes else { bail!("a quantized product needs memory") };
    let bytes = bytes.holds("activations", quantized_bytes(rows, columns), DType::U8)?;
    let steps = bytes.part(rows * columns, rows * columns / 4)?;
    let shape =
        Launch { grid: (count(rows)?, count(columns.div_ceil(1024))?, 1), block: 256, shared: 0 };
    let given = args![x, bytes, steps, count(columns)?, count(columns)?];
    // SAFETY: the sizes were checked here and by the caller.
    unsafe { gpu.launch(&format!("quantize_rows_{}", x.name()?), shape, given) }?;
    let mut first = 0;
    while first < rows {
        let n = (rows - first).min(BLOCK_ROWS);
        let q = bytes.part(first * columns, n * columns)?;
        let steps = steps.part(first * columns / 4, n * columns / 4)?;
        let y = y.part(first * stride, (n - 1) * stride + outputs)?;
        // Few outputs of many columns: more warps for each.
        let (warps, split) = if outputs < 2048 && columns >= 2048 { (8, 4) } else { (8, 1) };
        let outputs_of_warp = if n <= 4 { 2 } else { 4 };
        let blocks = outputs.div_ceil(outputs_of_warp * warps / split);
        let shape = Launch { grid: (count(blocks)?, 1, 1), block: 32 * warps as u32, shared: 0 };
        let none: Option<View> = None;
        let given = args![
            w.codes,
            w.high,
            w.scales,
            w.factors,
            q,
            steps,
            none,
            y,
            count(outputs)?,
            count(columns)?,
            count(stride)?,
            count(split)?
        ];
        // SAFETY: as above.
        unsafe { gpu.launch(&format!("matvec_{}_f32_{n}", w.layout.name()), shape, given) }?;
        first += n;
    }
    Ok(())
}

/// For many rows: weights become bf16, some rows at a time, and are multiplied
/// as dense ones.
fn expanded(
    gpu: &Gpu,
    w: &BlocksView,
    matrix: &Matrix,
    (x, rows): (View, usize),
    (y, stride): (View, usize),
    scratch: Scratch,
) -> Result<()> {
    let Matrix { rows: outputs, columns, .. } = *matrix;
    w.check(outputs, columns)?;
    let (Some(rounded), Some(dense_rows)) = (scratch.rounded, scratch.expanded) else {
        bail!("a quantized product needs memory")
    };
    convert(gpu, x, rounded, rows * columns)?;
    let at_once = (dense_rows.len / columns).min(outputs);
    if at_once == 0 {
        bail!("there is no memory for a row of {columns} numbers");
    }
    let mut first = 0;
    while first < outputs {
        let n = (outputs - first).min(at_once);
        let some = dense_rows.part(0, n * columns)?;
        let blocks = (n * columns).div_ceil(8 * 256);
        let shape = Launch { grid: (count(blocks)?, 1, 1), block: 256, shared: 0 };
        let given = args![
            w.codes,
            w.high,
            w.scales,
            w.factors,
            some,
            count(first)?,
            count(n)?,
            count(columns)?
        ];
        let name = format!("expand_{}_{}", w.layout.name(), some.name()?);
        // SAFETY: the sizes were checked here and by the caller.
        unsafe { gpu.launch(&name, shape, given) }?;
        let to = y.part(first, (rows - 1) * stride + n)?;
        dense(gpu, (some, n, columns), (rounded, rows), (to, stride))?;
        first += n;
    }
    Ok(())
}
