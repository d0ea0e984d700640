//! Means of consecutive rows.

use super::rows::Rows;
use super::team::team;

/// The mean of each sequence's rows of `x`, `width` numbers each: sequence `s`
/// has rows `cu_seqlens[s]..cu_seqlens[s + 1]`. On all threads; `out` is
/// (sequences, width). Of no rows it is 0.
pub fn mean_rows(x: &[f32], width: usize, cu_seqlens: &[u32], out: &mut [f32]) {
    let sequences = cu_seqlens.len().saturating_sub(1);
    assert_eq!(out.len(), sequences * width);
    let out = Rows::new(out, width);
    team().run(|member| {
        for s in member.share(sequences) {
            let rows = cu_seqlens[s] as usize..cu_seqlens[s + 1] as usize;
            // SAFETY: shares are distinct.
            let mean = unsafe { out.write(s, 0, width) };
            mean.fill(0.0);
            for row in x[rows.start * width..rows.end * width].chunks_exact(width) {
                mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
            let share = (1.0 / rows.len().max(1) as f64) as f32;
            mean.iter_mut().for_each(|sum| *sum *= share);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sequence_has_its_mean() {
        let x: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let mut out = [f32::NAN; 9];
        mean_rows(&x, 3, &[0, 1, 4, 4], &mut out);
        assert_eq!(out, [0.0, 1.0, 2.0, 6.0, 7.0, 8.0, 0.0, 0.0, 0.0]);
    }
}
