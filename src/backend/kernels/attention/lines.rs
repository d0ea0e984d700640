//! Room for numbers that begins at a cache line, so that no vector lies on two.

/// A cache line.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, Default)]
struct Line([f32; 16]);

/// Grows to what was asked for and stays. What is in it may be anything.
#[derive(Debug, Default)]
pub struct Lines(Vec<Line>);

impl Lines {
    /// Room for so many f32.
    #[inline]
    pub fn f32s(&mut self, len: usize) -> &mut [f32] {
        if self.0.len() * 16 < len {
            self.0.resize(len.div_ceil(16), Line::default());
        }
        // SAFETY: a line is sixteen f32 without anything between, and there
        // are enough of them.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), len) }
    }

    /// The same room for u32.
    #[inline]
    pub fn u32s(&mut self, len: usize) -> &mut [u32] {
        let room = self.f32s(len);
        // SAFETY: both have four bytes, and any bits are numbers of both.
        unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast(), len) }
    }

    /// Where number `index` of what was written is.
    #[inline]
    pub fn at<T>(&self, index: usize) -> *const T {
        const { assert!(size_of::<T>() == 4) };
        assert!(index < self.0.len() * 16);
        self.0.as_ptr().cast::<T>().wrapping_add(index)
    }
}
