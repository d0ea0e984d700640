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
    /// Adds what each column has, if it has something.
    #[inline]
    pub fn add_bias(&mut self, bias: Option<&[f32]>) {
        self.add_bias_to(self.tile, bias);
    }

    #[inline]
    fn add_bias_to(&mut self, tile: usize, bias: Option<&[f32]>) {
        let Some(bias) = bias else { return };
        let bias = &bias[self.column..self.column + self.columns];
        for row in self.results.iter_mut().take(self.rows) {
            row[tile].iter_mut().zip(bias).for_each(|(x, b)| *x += b);
        }
    }

    /// Changes the results row by row.
    pub fn change(&mut self, mut f: impl FnMut(&mut [f32])) {
        for row in self.results.iter_mut().take(self.rows) {
            f(&mut row[self.tile][..self.columns]);
        }
    }

    /// Of a pair: `act(first + its bias) * (second + its bias)` in place of the first.
    #[inline]
    pub fn gate(&mut self, act: Activation, biases: [Option<&[f32]>; 2]) {
        for (tile, bias) in biases.into_iter().enumerate() {
            self.add_bias_to(tile, bias);
        }
        gate_lanes(act, &mut self.results[..self.rows]);
    }

    /// Writes the results to where they belong.
    ///
    /// # Safety
    /// Until the next meeting nobody else reads or writes them there.
    #[inline]
    pub unsafe fn store(&self, to: Rows<'_>) {
        // SAFETY: by the caller's promise.
        unsafe { self.put(to, |to, lane| *to = *lane) };
    }

    /// Adds the results to what is there.
    ///
    /// # Safety
    /// As for [`Self::store`].
    #[inline]
    pub unsafe fn add(&self, to: Rows<'_>) {
        // SAFETY: by the caller's promise.
        unsafe { self.put(to, |to, lane| *to += *lane) };
    }

    #[inline(always)]
    unsafe fn put(&self, to: Rows<'_>, f: impl Fn(&mut f32, &f32)) {
        for (m, row) in self.results.iter().enumerate().take(self.rows) {
            // SAFETY: by the caller's promise.
            let to = unsafe { to.write(self.first + m, self.column, self.columns) };
            let lanes = &row[self.tile];
            // A known length spares a call for each.
            match <&mut [f32; TILE]>::try_from(&mut *to) {
                Ok(to) => to.iter_mut().zip(lanes).for_each(|(to, lane)| f(to, lane)),
                Err(_) => to.iter_mut().zip(lanes).for_each(|(to, lane)| f(to, lane)),
            }
        }
    }
}
