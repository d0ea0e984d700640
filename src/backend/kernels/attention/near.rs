//! What counts by the distance from a row to a key.

/// How far rows see that are not causal, and what their scores get. By default
/// all of them see all keys alike.
#[derive(Debug, Clone, Copy, Default)]
pub struct Near<'a> {
    /// How far a row sees before it and after it; `None` sees all.
    pub before: Option<usize>,
    pub after: Option<usize>,
    pub bias: Option<BiasView<'a>>,
}

/// What is added to scores, for each head by the distance from the row to the key.
#[derive(Debug, Clone, Copy)]
pub struct BiasView<'a> {
    /// (heads, 2 · reach + 1); the middle is distance 0.
    pub values: &'a [f32],
    /// The largest distance there is.
    pub reach: usize,
}

impl<'a> BiasView<'a> {
    /// Of so many keys from `low` on, for the row at `row`.
    ///
    /// # Panics
    /// A distance is beyond `reach`.
    #[inline]
    pub fn row(&self, head: usize, row: usize, low: usize, keys: usize) -> &'a [f32] {
        let width = 2 * self.reach + 1;
        let first = self.reach + low - row;
        &self.values[head * width..(head + 1) * width][first..first + keys]
    }
}
