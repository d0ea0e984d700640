//! Products with matrices: dense ones by [`super::gemm`] or, for a few rows, by
//! `matvec.cu`; quantized ones by [`super::quantized`].

use candle_core::{DType, Result, bail};

use super::float8::{self, Float8View};
use super::gemm::{self, Gemm, Places};
use super::gpu::{Gpu, Launch, args, count};
use super::quantized::{self, BlocksView};
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
    Float8(Float8View),
}

/// Rows of activations up to which a dense matrix is read by `matvec.cu`.
const FEW_ROWS: usize = 4;

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

    /// Eight-bit floats: `codes` (rows, columns), `scales` in f32 for each
    /// `group` columns of a row.
    pub fn float8(
        (rows, columns): (usize, usize),
        codes: View,
        scales: View,
        group: usize,
    ) -> Self {
        Self { rows, columns, form: Form::Float8(Float8View { codes, scales, group }) }
    }

    /// The type of the rows it is multiplied with.
    pub fn activations(&self) -> DType {
        match self.form {
            Form::Dense(values) => values.dtype,
            Form::Blocks(_) => DType::F32,
            Form::Float8(_) => DType::BF16,
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
                (Form::Blocks(a), Form::Blocks(b)) if a.layout == b.layout => {
                    a.join(b).map(Form::Blocks)
                }
                (Form::Float8(a), Form::Float8(b)) => a.join(b).map(Form::Float8),
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
            Form::Float8(_) => bail!("eight-bit floats are no table of plain numbers"),
        }
    }

    pub(super) fn as_float8(&self) -> Option<Float8View> {
        match self.form {
            Form::Float8(view) => Some(view),
            _ => None,
        }
    }
}

pub(super) fn join(a: View, b: View) -> Option<View> {
    a.is_followed_by(b).then_some(View { len: a.len + b.len, ..a })
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
            Form::Float8(_) if rows < float8::EXPAND_ROWS => Needs::default(),
            Form::Float8(_) => {
                let expanded = quantized::expanded_len((matrix.rows, matrix.columns));
                Needs { expanded, ..Needs::default() }
            }
            Form::Blocks(_) => quantized::needs((matrix.rows, matrix.columns), rows),
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
        Form::Blocks(w) => {
            let size = (matrix.rows, matrix.columns);
            quantized::multiply(gpu, &w, size, (x, rows), (y, stride), scratch)
        }
        Form::Float8(w) => {
            let w = (w, matrix.rows, matrix.columns);
            match scratch.expanded {
                Some(room) if rows >= float8::EXPAND_ROWS => {
                    float8::expanded(gpu, w, (x, rows), (y, stride), room)
                }
                _ => float8::multiply(gpu, w, (x, rows), (y, stride)),
            }
        }
    }
}

pub(super) fn dense(
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
    let gemm = Gemm { outputs, inputs, rows, stride, x: x.dtype, y: y.dtype };
    // SAFETY: the sizes were checked here and by the caller.
    unsafe { gemm::gemm(gpu, gemm, Places { w: w.address, x: x.address, y: y.address }) }
}
