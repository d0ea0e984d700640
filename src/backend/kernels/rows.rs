//! A matrix of rows that the members of a team share.

use std::ops::Range;

use super::team::Parts;

/// Rows of f32, all of one width.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    data: Parts<'a, f32>,
    width: usize,
}

impl<'a> Rows<'a> {
    pub fn new(data: &'a mut [f32], width: usize) -> Self {
        assert!(data.len().is_multiple_of(width));
        Self { data: Parts::new(data), width }
    }

    pub fn count(&self) -> usize {
        self.data.len() / self.width
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Some of the rows, as if they were all.
    pub fn part(self, rows: Range<usize>) -> Self {
        let elements = rows.start * self.width..rows.end * self.width;
        Self { data: self.data.part(elements), ..self }
    }

    pub fn parts(&self) -> Parts<'a, f32> {
        self.data
    }

    /// # Safety
    /// Until the next meeting nobody writes the row.
    pub unsafe fn read(&self, row: usize) -> &'a [f32] {
        // SAFETY: by the caller's promise.
        unsafe { self.data.read(row * self.width..(row + 1) * self.width) }
    }

    /// # Safety
    /// Until the next meeting nobody writes any row.
    pub unsafe fn read_all(&self) -> &'a [f32] {
        // SAFETY: by the caller's promise.
        unsafe { self.data.read(0..self.data.len()) }
    }

    /// # Safety
    /// Until the next meeting nobody else reads or writes these columns.
    #[allow(clippy::mut_from_ref)]
    #[inline]
    pub unsafe fn write(&self, row: usize, column: usize, len: usize) -> &'a mut [f32] {
        assert!(column + len <= self.width);
        let at = row * self.width + column;
        // SAFETY: by the caller's promise.
        unsafe { self.data.write(at..at + len) }
    }
}
