//! What a kernel computes at a time: some rows of the sixteen columns of a tile.

use super::TILE;
use super::matmul::Results;
use crate::backend::kernels::activation::gate_lanes;
use crate::backend::kernels::rows::Rows;
use crate::backend::ops::Activation;

/// Results of some rows and of one tile's columns, or of those of two matrices.
pub struct Piece<'a> {
    pub(super) results: &'a mut Results,
    /// Which of the kernel's tiles.
    pub(super) tile: usize,
    pub(super) first: usize,
    pub(super) rows: usize,
    pub(super) column: usize,
    /// Columns there are: sixteen but in the last tile.
    pub(super) columns: usize,
}

impl Piece<'_> {
    /// Of a pair: `act(first + its bias) * (second + its bias)` in place of the first.
    #[inline]
    pub fn gate(&mut self, act: Activation, biases: [Option<&[f32]>; 2]) {
        for (tile, bias) in biases.into_iter().enumerate() {
            let Some(bias) = self.of(bias) else { continue };
            for row in self.results.iter_mut().take(self.rows) {
                row[tile].iter_mut().zip(bias).for_each(|(x, b)| *x += b);
            }
        }
        gate_lanes(act, &mut self.results[..self.rows]);
    }

    /// Writes the results, and the bias of each column, to where they belong.
    ///
    /// # Safety
    /// Until the next meeting nobody else reads or writes them there.
    #[inline]
    pub unsafe fn store(&self, bias: Option<&[f32]>, to: Rows<'_>) {
        // SAFETY: by the caller's promise.
        unsafe {
            match self.of(bias) {
                None => self.put(to, |to, x| *to = x),
                Some(bias) => self.put_sums(bias, to, |to, x| *to = x),
            }
        }
    }

    /// Adds them to what is there.
    ///
    /// # Safety
    /// As for [`Self::store`].
    #[inline]
    pub unsafe fn add(&self, bias: Option<&[f32]>, to: Rows<'_>) {
        // SAFETY: by the caller's promise.
        unsafe {
            match self.of(bias) {
                None => self.put(to, |to, x| *to += x),
                Some(bias) => self.put_sums(bias, to, |to, x| *to += x),
            }
        }
    }

    /// Lets `f` change what was stored, row by row.
    ///
    /// # Safety
    /// As for [`Self::store`].
    pub unsafe fn each_in(&self, to: Rows<'_>, f: impl Fn(&mut [f32])) {
        for m in 0..self.rows {
            // SAFETY: by the caller's promise.
            f(unsafe { to.write(self.first + m, self.column, self.columns) });
        }
    }

    /// What a bias has for these columns.
    #[inline]
    fn of<'b>(&self, bias: Option<&'b [f32]>) -> Option<&'b [f32]> {
        bias.map(|bias| &bias[self.column..self.column + self.columns])
    }

    #[inline(always)]
    unsafe fn put(&self, to: Rows<'_>, f: impl Fn(&mut f32, f32)) {
        for (m, row) in self.results.iter().enumerate().take(self.rows) {
            // SAFETY: by the caller's promise.
            let to = unsafe { to.write(self.first + m, self.column, self.columns) };
            let lanes = &row[self.tile];
            // A known length spares a call for each.
            match <&mut [f32; TILE]>::try_from(&mut *to) {
                Ok(to) => to.iter_mut().zip(lanes).for_each(|(to, x)| f(to, *x)),
                Err(_) => to.iter_mut().zip(lanes).for_each(|(to, x)| f(to, *x)),
            }
        }
    }

    #[inline(always)]
    unsafe fn put_sums(&self, bias: &[f32], to: Rows<'_>, f: impl Fn(&mut f32, f32)) {
        for (m, row) in self.results.iter().enumerate().take(self.rows) {
            // SAFETY: by the caller's promise.
            let to = unsafe { to.write(self.first + m, self.column, self.columns) };
            let lanes = &row[self.tile];
            match (<&mut [f32; TILE]>::try_from(&mut *to), <&[f32; TILE]>::try_from(bias)) {
                (Ok(to), Ok(bias)) => {
                    let sums = lanes.iter().zip(bias).map(|(x, b)| x + b);
                    to.iter_mut().zip(sums).for_each(|(to, x)| f(to, x));
                }
                _ => {
                    let sums = lanes.iter().zip(bias).map(|(x, b)| x + b);
                    to.iter_mut().zip(sums).for_each(|(to, x)| f(to, x));
                }
            }
        }
    }
}
