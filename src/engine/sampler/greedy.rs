//! The most likely token of each row, for callers without a request.

use candle_core::{DType, Result, Tensor};

use super::top::argmax;

/// `logits` is (rows, vocabulary). A row without a finite logit is an error.
///
/// # Errors
/// As said, or the device fails.
pub fn greedy(logits: &Tensor) -> Result<Vec<u32>> {
    if !logits.device().is_cpu() {
        return logits.argmax(1)?.to_vec1();
    }
    let rows = logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
    rows.iter()
        .map(|row| match argmax(row) {
            Some(token) => Ok(token),
            None => candle_core::bail!("the model's logits are not finite"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn each_row_gives_its_highest() {
        let logits = Tensor::new(&[[0f32, 3.0, 1.0], [5.0, -1.0, 5.0]], &Device::Cpu).unwrap();
        assert_eq!(greedy(&logits).unwrap(), [1, 0]);
        let broken = Tensor::new(&[[f32::NAN; 3]], &Device::Cpu).unwrap();
        assert!(greedy(&broken).unwrap_err().to_string().contains("not finite"));
    }
}
