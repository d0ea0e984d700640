//! Launches of `sample.cu`.

use candle_core::{DType, Result, bail};

use super::gpu::{Gpu, Launch, args, count};
use super::view::View;

const THREADS: u32 = 1024;
/// Beyond it ids do not fit the kernel's keys.
const MOST_TOKENS: usize = 1 << 20;

/// Words of a draw's parameters; see the kernel.
const PARAMETERS: usize = 8;
/// Tokens that a block edits.
const EDITED: usize = 8192;

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

/// What is done to rows of logits before a draw; see the kernel. Indices are
/// the caller's to keep within the lists.
#[derive(Debug, Clone, Copy)]
pub struct EditRows {
    /// (n) of u32.
    pub rows: View,
    /// Prefix sums of edits by row, (n + 1) of u32.
    pub starts: View,
    /// Of each edit: its token, its kind in u32 and its value in f32.
    pub tokens: View,
    pub kinds: View,
    pub values: View,
    /// Words of all masks, and (n, 2) of u32: the first of a row's, or
    /// 0xffffffff for none, and how many.
    pub masks: View,
    pub spans: View,
    pub n: usize,
}

/// Edits rows of `logits`, `vocabulary` long each, where they are.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn edit_logits(gpu: &Gpu, (logits, vocabulary): (View, usize), how: &EditRows) -> Result<()> {
    let EditRows { rows, starts, tokens, kinds, values, masks, spans, n } = *how;
    let logits = logits.holds("logits", vocabulary, DType::F32)?;
    let rows = rows.holds("rows", n, DType::U32)?;
    let starts = starts.holds("edits", n + 1, DType::U32)?;
    let kinds = kinds.holds("edits", tokens.len, DType::U32)?;
    let values = values.holds("edits", tokens.len, DType::F32)?;
    let spans = spans.holds("masks", 2 * n, DType::U32)?;
    let given = args![
        logits,
        rows,
        count(vocabulary)?,
        starts,
        tokens,
        kinds,
        values,
        masks,
        spans,
        count(vocabulary)?
    ];
    let grid = (count(n)?, count(vocabulary.div_ceil(EDITED))?, 1);
    // SAFETY: the sizes were checked above.
    unsafe { gpu.launch("edit_logits", Launch { grid, block: 256, shared: 0 }, given) }
}

/// `ids` (n) of u32 become those of `tokens` that `which` (n) names, each of
/// which is the caller's to keep within them.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn take_drawn(gpu: &Gpu, tokens: View, which: View, ids: View, n: usize) -> Result<()> {
    let tokens = tokens.holds("drawn tokens", 1, DType::U32)?;
    let which = which.holds("numbers of draws", n, DType::U32)?;
    let ids = ids.holds("ids", n, DType::U32)?;
    let shape = Launch { grid: (count(n.div_ceil(256))?, 1, 1), block: 256, shared: 0 };
    // SAFETY: the sizes were checked above.
    unsafe { gpu.launch("take_drawn", shape, args![tokens, which, ids, count(n)?]) }
}
