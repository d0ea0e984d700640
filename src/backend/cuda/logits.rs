//! Logits that stay on the device, and tokens drawn from them there.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Result, Tensor, bail};

use super::workspace::Workspace;
use crate::backend::kernels::cuda::{EditRows, Gpu, Landing, View, edit_logits, sample};
use crate::backend::logits::{Draw, DrawnTokens, Edit, Logits};

/// The logits of the last step, (rows, vocabulary) in f32, until the next step.
#[derive(Debug, Clone)]
pub struct DeviceLogits {
    gpu: Arc<Gpu>,
    view: View,
    rows: usize,
    vocabulary: usize,
}

/// Tokens that were drawn, on the device and on their way to the host.
#[derive(Debug, Clone)]
pub struct DeviceTokens {
    pub(super) tokens: Tensor,
    landing: Arc<Landing>,
}

impl DeviceTokens {
    /// Waits for them; `None` where no token was left.
    ///
    /// # Errors
    /// The device fails.
    pub fn wait(&self) -> Result<Vec<Option<u32>>> {
        let drawn = self.landing.wait()?;
        Ok(drawn.iter().map(|&token| (token != u32::MAX).then_some(token)).collect())
    }
}

impl DeviceLogits {
    /// Rows and vocabulary.
    pub fn size(&self) -> (usize, usize) {
        (self.rows, self.vocabulary)
    }

    /// Copies them to `to`.
    ///
    /// # Errors
    /// The device fails.
    pub fn download(&self, to: &mut [f32]) -> Result<()> {
        self.gpu.download(self.view, to)
    }

    /// Edits the rows of `draws` as those say, and draws a token for each.
    ///
    /// # Errors
    /// A row is beyond those there are, or the device fails.
    pub fn draw(&self, draws: &[Draw]) -> Result<DrawnTokens> {
        if let Some(draw) = draws.iter().find(|draw| draw.row >= self.rows) {
            bail!("row {} of {} rows of logits", draw.row, self.rows);
        }
        let n = draws.len();
        let mut values = Values::default();
        let parameters = values.add(draws.iter().flat_map(|draw| {
            let uniform = draw.uniform.to_bits();
            let top_k = u32::try_from(draw.top_k).unwrap_or(0);
            let (top_p, min_p) = (draw.top_p.to_bits(), draw.min_p.to_bits());
            let (low, high) = (uniform as u32, (uniform >> 32) as u32);
            [draw.temperature.to_bits(), top_k, top_p, min_p, low, high, 0, 0]
        }));
        let rows = values.add(draws.iter().map(|draw| draw.row as u32));
        let edits = values.edits(draws);
        let device = self.gpu.device();
        let len = values.0.len();
        let given = Tensor::from_vec(values.0, len, &device)?;
        let all = View::of(&given)?;
        let part = |range: &Range<usize>| all.part(range.start, range.len());
        let logits = (self.view, self.vocabulary);
        if let Some(edits) = &edits {
            let how = EditRows {
                rows: part(&rows)?,
                starts: part(&edits.starts)?,
                tokens: part(&edits.tokens)?,
                kinds: part(&edits.kinds)?,
                values: part(&edits.values)?.cast(DType::F32),
                masks: part(&edits.masks)?,
                spans: part(&edits.spans)?,
                n,
            };
            edit_logits(&self.gpu, logits, &how)?;
        }
        let tokens = Tensor::zeros(n, DType::U32, &device)?;
        let unused = Tensor::zeros(n, DType::F32, &device)?;
        let to = (View::of(&tokens)?, View::of(&unused)?);
        sample(&self.gpu, logits, (part(&rows)?, part(&parameters)?, n), to)?;
        let landing = Arc::new(Landing::begin(&self.gpu, to.0)?);
        Ok(DrawnTokens::on_device(DeviceTokens { tokens, landing }))
    }
}

/// Numbers that go to the device together.
#[derive(Default)]
struct Values(Vec<u32>);

/// Where the edits of all rows are among them.
struct Edits {
    starts: Range<usize>,
    tokens: Range<usize>,
    kinds: Range<usize>,
    values: Range<usize>,
    masks: Range<usize>,
    spans: Range<usize>,
}

impl Values {
    fn add(&mut self, values: impl Iterator<Item = u32>) -> Range<usize> {
        let first = self.0.len();
        self.0.extend(values);
        first..self.0.len()
    }

    /// As the kernel takes them, those of one token together; `None` where
    /// there is nothing to do.
    fn edits(&mut self, draws: &[Draw]) -> Option<Edits> {
        if draws.iter().all(|draw| draw.edits.is_empty() && draw.mask.is_none()) {
            return None;
        }
        let (mut starts, mut all) = (vec![0], Vec::new());
        let (mut masks, mut spans) = (Vec::new(), Vec::new());
        for draw in draws {
            let from = all.len();
            all.extend_from_slice(&draw.edits);
            // Stable, so that a token's edits stay in their order.
            all[from..].sort_by_key(|(token, _)| *token);
            starts.push(all.len() as u32);
            match &draw.mask {
                Some(mask) => spans.extend([masks.len() as u32, mask.len() as u32]),
                None => spans.extend([u32::MAX, 0]),
            }
            masks.extend(draw.mask.iter().flatten());
        }
        let kind = |edit: &Edit| match *edit {
            Edit::Add(value) => (0, value),
            Edit::Subtract(value) => (1, value),
            Edit::Penalty(value) => (2, value),
            Edit::Ban => (3, 0.0),
        };
        Some(Edits {
            starts: self.add(starts.into_iter()),
            tokens: self.add(all.iter().map(|(token, _)| *token)),
            kinds: self.add(all.iter().map(|(_, edit)| kind(edit).0)),
            values: self.add(all.iter().map(|(_, edit)| kind(edit).1.to_bits())),
            masks: self.add(masks.into_iter()),
            spans: self.add(spans.into_iter()),
        })
    }
}

impl Workspace {
    /// Hands over the logits of the step's `rows` rows.
    ///
    /// # Errors
    /// The device fails.
    pub fn deliver(&mut self, rows: usize, logits: &mut Logits) -> Result<()> {
        let Some((view, vocabulary)) = self.logits.take() else { return Ok(()) };
        let view = view.part(0, rows * vocabulary)?;
        logits.put(DeviceLogits { gpu: self.gpu.clone(), view, rows, vocabulary })
    }
}
