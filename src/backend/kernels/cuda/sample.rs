//! Launches of `sample.cu`.

use candle_core::{DType, Result, bail};

use super::gpu::{Gpu, Launch, args, count};
use super::view::View;

const THREADS: u32 = 1024;
/// Beyond it ids do not fit the kernel's keys.
const MOST_TOKENS: usize = 1 << 20;

/// Words of a draw's parameters; see the kernel.
pub const PARAMETERS: usize = 8;

/// Draws a token from each of `n` rows of `logits`, whose rows are
/// `vocabulary` long: `rows` (n) of u32 are the caller's to keep within them,
/// `parameters` (n, [`PARAMETERS`]) of u32; `tokens` and `unused` (n) are
/// written. A token of 0xffffffff says that no logit is finite.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn sample(
    gpu: &Gpu,
    (logits, vocabulary): (View, usize),
    (rows, parameters, n): (View, View, usize),
    (tokens, unused): (View, View),
) -> Result<()> {
    if vocabulary >= MOST_TOKENS {
        bail!("a vocabulary of {vocabulary} tokens is larger than {MOST_TOKENS}");
    }
    let logits = logits.holds("logits", vocabulary, DType::F32)?;
    let rows = rows.holds("rows", n, DType::U32)?;
    let parameters = parameters.holds("parameters", n * PARAMETERS, DType::U32)?;
    let tokens = tokens.holds("tokens", n, DType::U32)?;
    let unused = unused.holds("log-probabilities", n, DType::F32)?;
    let given = args![
        logits,
        rows,
        count(vocabulary)?,
        logits,
        rows,
        count(vocabulary)?,
        parameters,
        count(vocabulary)?,
        tokens,
        unused
    ];
    // SAFETY: the sizes were checked above.
    unsafe {
        gpu.launch("sample", Launch { grid: (count(n)?, 1, 1), block: THREADS, shared: 0 }, given)
    }
}
