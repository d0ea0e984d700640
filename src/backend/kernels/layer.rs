//! Whole layers, computed by a team that meets only where it must: norm and
//! quantization of the rows, products, rotation, cache, attention, residual.
//!
//! Everything between is kept in a [`Workspace`], so a step allocates nothing for it.
//! The same layers in plain tensor operations are in [`crate::backend::block`].

mod attention;
mod head;
mod mlp;
mod workspace;

pub use attention::{AttentionView, Context, KvMut, Rotation, attention};
pub use head::{HeadView, head};
pub use mlp::{MlpView, mlp};
pub use workspace::Workspace;

use super::norm::{NormView, normalize, normalize_in_place};
use super::packed::{Inputs, Level, Packed, add_lanes, add_sum, copy_lanes, products, set_sum};
use super::team::{Member, Parts};
use workspace::Own;

/// A matrix with its bias.
#[derive(Clone, Copy)]
pub struct LinearView<'a> {
    pub weight: &'a Packed,
    pub bias: Option<&'a [f32]>,
}

impl LinearView<'_> {
    /// The bias of `n` columns from one on.
    #[inline]
    fn bias_of(&self, column: usize, n: usize) -> Option<&[f32]> {
        self.bias.map(|bias| &bias[column..column + n])
    }

    /// Writes results of some columns, and the bias.
    #[inline]
    fn set(&self, column: usize, lanes: &[f32], to: &mut [f32]) {
        match self.bias_of(column, lanes.len()) {
            Some(bias) => set_sum(to, lanes, bias),
            None => copy_lanes(to, lanes),
        }
    }

    /// Adds them.
    #[inline]
    fn add(&self, column: usize, lanes: &[f32], to: &mut [f32]) {
        match self.bias_of(column, lanes.len()) {
            Some(bias) => add_sum(to, lanes, bias),
            None => add_lanes(to, lanes),
        }
    }

    /// Adds the bias of some columns.
    #[inline]
    fn add_bias(&self, column: usize, to: &mut [f32]) {
        if let Some(bias) = self.bias_of(column, to.len()) {
            add_lanes(to, bias);
        }
    }
}

/// Norms around a layer.
#[derive(Clone, Copy)]
pub struct Norms<'a> {
    /// Of what goes into it.
    pub before: Option<NormView<'a>>,
    /// Of what comes out, before it is added to the residual.
    pub after: Option<NormView<'a>>,
    /// Of the sum.
    pub last: Option<NormView<'a>>,
}

/// A matrix of rows that the team shares.
#[derive(Clone, Copy)]
struct Rows<'a> {
    data: Parts<'a, f32>,
    width: usize,
}

impl<'a> Rows<'a> {
    fn new(data: &'a mut [f32], width: usize) -> Self {
        Self { data: Parts::new(data), width }
    }

    fn count(&self) -> usize {
        self.data.len() / self.width
    }

    /// # Safety
    /// Until the next meeting nobody writes the row.
    unsafe fn read(&self, row: usize) -> &'a [f32] {
        // SAFETY: by the caller's promise.
        unsafe { self.data.read(row * self.width..(row + 1) * self.width) }
    }

    /// # Safety
    /// Until the next meeting nobody writes any row.
    unsafe fn read_all(&self) -> &'a [f32] {
        // SAFETY: by the caller's promise.
        unsafe { self.data.read(0..self.data.len()) }
    }

    /// # Safety
    /// Until the next meeting nobody else reads or writes these columns.
    unsafe fn write(&self, row: usize, column: usize, len: usize) -> &'a mut [f32] {
        assert!(column + len <= self.width);
        let at = row * self.width + column;
        // SAFETY: by the caller's promise.
        unsafe { self.data.write(at..at + len) }
    }
}

/// Makes rows ready for products; `row` gives each of them. A row or two every
/// member prepares for itself, which is quicker than meeting; more are shared
/// out. So there may be no meeting here: before the rows are written the caller
/// has to hold one.
///
/// # Safety
/// Until the next meeting nobody writes the rows; nobody else uses `own`.
unsafe fn prepare<'a, 'r>(
    member: &Member<'_>,
    norm: Option<NormView<'_>>,
    row: impl Fn(usize) -> &'r [f32],
    shared: Inputs<'a>,
    own: &'a mut Own,
) -> Inputs<'a> {
    let (alone, line) = own.inputs(&shared);
    let (inputs, mine) = match alone {
        Some(own) => (own, 0..shared.rows),
        None => (shared, member.share(shared.rows)),
    };
    for r in mine {
        // SAFETY: by the caller's promise; shares are distinct.
        unsafe {
            let x = row(r);
            match norm {
                Some(norm) => {
                    normalize(norm, x, line);
                    inputs.set(r, line);
                }
                None => inputs.set(r, x),
            }
        }
    }
    if alone.is_none() {
        member.meet();
    }
    inputs
}

/// Multiplies with the last matrix of a layer and adds the result to `x`, with
/// the norms that follow. `other` is room for as many rows.
///
/// # Safety
/// Until the job is over, nobody outside the team touches `x`, `other` and the
/// inputs, and all members have met since they read `x`.
unsafe fn add_product(
    member: &Member<'_>,
    linear: LinearView<'_>,
    inputs: &Inputs<'_>,
    norms: Norms<'_>,
    (x, other): (Rows<'_>, Rows<'_>),
    level: Level,
) {
    let to = if norms.after.is_some() { other } else { x };
    let put = |_, row: usize, column: usize, lanes: &[f32]| {
        // SAFETY: each column of the output belongs to one member.
        let to = unsafe { to.write(row, column, lanes.len()) };
        match norms.after {
            Some(_) => linear.set(column, lanes, to),
            None => linear.add(column, lanes, to),
        }
    };
    // SAFETY: by the caller's promise.
    unsafe { products(member, &[linear.weight], inputs, level, put) };
    if norms.after.is_none() && norms.last.is_none() {
        return;
    }
    member.meet();
    for r in member.share(x.count()) {
        // SAFETY: shares are distinct, and the products are done.
        unsafe {
            let (x, y) = (x.write(r, 0, x.width), other.write(r, 0, other.width));
            if let Some(norm) = norms.after {
                normalize_in_place(norm, y);
                add_lanes(x, y);
            }
            if let Some(norm) = norms.last {
                normalize_in_place(norm, x);
            }
        }
    }
}
