//! What a step of a causal model gives.

use candle_core::{DType, Result, Tensor};

/// Logits of some rows, (rows, vocabulary) in f32 on the host.
///
/// A step fills it anew and its memory stays: megabytes taken from the system
/// and given back at each step would cost more than writing them.
#[derive(Debug, Default)]
pub struct Logits {
    values: Vec<f32>,
    rows: usize,
    vocabulary: usize,
}

impl Logits {
    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Row after row.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values[..self.rows * self.vocabulary].chunks_exact(self.vocabulary.max(1))
    }

    /// No rows.
    pub fn clear(&mut self) {
        self.rows = 0;
    }

    /// So many rows, to be written over.
    pub fn room(&mut self, rows: usize, vocabulary: usize) -> &mut [f32] {
        (self.rows, self.vocabulary) = (rows, vocabulary);
        let len = rows * vocabulary;
        if self.values.len() < len {
            self.values.resize(len, 0.0);
        }
        &mut self.values[..len]
    }

    /// The rows of a tensor of (rows, vocabulary).
    ///
    /// # Errors
    /// It has another shape, or its device fails.
    pub fn fill(&mut self, tensor: &Tensor) -> Result<()> {
        let (rows, vocabulary) = tensor.dims2()?;
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        self.room(rows, vocabulary).copy_from_slice(&values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn rows_are_those_of_the_last_step() -> Result<()> {
        let mut logits = Logits::default();
        assert_eq!((logits.len(), logits.rows().len()), (0, 0));
        logits.room(3, 2).copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(logits.rows().eq([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]));
        logits.fill(&Tensor::new(&[[7f32, 8.0, 9.0]], &Device::Cpu)?)?;
        assert!(logits.rows().eq([[7.0, 8.0, 9.0]]));
        logits.clear();
        assert!(logits.is_empty() && logits.rows().next().is_none());
        Ok(())
    }
}
