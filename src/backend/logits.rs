//! What a step of a causal model gives.

use candle_core::{DType, Result, Tensor};

use super::cuda::{DeviceLogits, DeviceTokens};

/// Logits of some rows, (rows, vocabulary) in f32.
///
/// A step fills it anew and its memory stays: megabytes taken from the system
/// and given back at each step would cost more than writing them.
#[derive(Debug, Default)]
pub struct Logits {
    values: Vec<f32>,
    rows: usize,
    vocabulary: usize,
    /// Whether they may stay on the device that computed them.
    stays: bool,
    /// Where they are there and not on the host.
    device: Option<DeviceLogits>,
    /// As if they were there.
    #[cfg(test)]
    pretends: bool,
}

/// Tokens that were drawn where the logits are, on their way to the host.
#[derive(Debug, Clone)]
pub struct DrawnTokens(Place);

#[derive(Debug, Clone)]
enum Place {
    Device(DeviceTokens),
    #[cfg(test)]
    Host(Vec<Option<u32>>),
}

impl DrawnTokens {
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "no device has any"))]
    pub(super) fn on_device(tokens: DeviceTokens) -> Self {
        Self(Place::Device(tokens))
    }

    /// Waits for them; `None` for a row of which no token was left.
    ///
    /// # Errors
    /// The device fails.
    pub fn wait(&self) -> Result<Vec<Option<u32>>> {
        match &self.0 {
            Place::Device(tokens) => tokens.wait(),
            #[cfg(test)]
            Place::Host(tokens) => Ok(tokens.clone()),
        }
    }

    /// As the device has them.
    #[cfg(feature = "cuda")]
    pub(super) fn device(&self) -> Option<&DeviceTokens> {
        match &self.0 {
            Place::Device(tokens) => Some(tokens),
            #[cfg(test)]
            Place::Host(_) => None,
        }
    }
}

/// How a token is drawn from a row: temperature, top-k, top-p and min-p as in
/// the engine's sampler, 0 and 1 leaving nothing out.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    pub row: usize,
    /// 0 takes the most likely token.
    pub temperature: f32,
    pub top_k: usize,
    pub top_p: f32,
    pub min_p: f32,
    /// In [0, 1): where in the distribution the token is.
    pub uniform: f64,
    /// What is done to logits of tokens before, in order.
    pub edits: Vec<(u32, Edit)>,
    /// Bit `t % 32` of word `t / 32` is set for each token `t` that may be
    /// drawn; none beyond its end may.
    pub mask: Option<Vec<u32>>,
}

impl Draw {
    /// The most likely token of a row.
    pub fn greedy(row: usize) -> Self {
        let (temperature, top_k, top_p, min_p, uniform) = (0.0, 0, 1.0, 0.0, 0.0);
        Self { row, temperature, top_k, top_p, min_p, uniform, edits: Vec::new(), mask: None }
    }
}

/// What is done to a logit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Edit {
    Add(f32),
    Subtract(f32),
    /// Divides what is above 0 and multiplies what is not.
    Penalty(f32),
    /// It is not drawn.
    Ban,
}

impl Logits {
    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Such as stay where they were computed, until they are
    /// [fetched](Self::fetch).
    pub fn staying() -> Self {
        Self { stays: true, ..Self::default() }
    }

    /// Whether tokens can be drawn where the logits are.
    pub fn can_draw(&self) -> bool {
        #[cfg(test)]
        if self.pretends {
            return true;
        }
        self.device.is_some()
    }

    /// Draws tokens where the logits are, some of which it edits.
    ///
    /// # Errors
    /// They are on the host, or the device fails.
    pub fn draw(&self, draws: &[Draw]) -> Result<DrawnTokens> {
        #[cfg(test)]
        if self.pretends {
            let tokens = draws.iter().map(|draw| Some(pretend(draw, self.rows().nth(draw.row)?)));
            return Ok(DrawnTokens(Place::Host(tokens.collect())));
        }
        match &self.device {
            Some(device) => device.draw(draws),
            None => candle_core::bail!("the logits are on the host"),
        }
    }

    /// Lets rows that are on the host pass for some of a device, from which
    /// tokens are drawn there; only the most likely ones are.
    #[cfg(test)]
    pub fn pretend(&mut self) {
        self.pretends = true;
    }

    /// Brings them to the host, if they are not there.
    ///
    /// # Errors
    /// The device fails.
    pub fn fetch(&mut self) -> Result<()> {
        let Some(device) = self.device.take() else { return Ok(()) };
        let (rows, vocabulary) = device.size();
        device.download(self.room(rows, vocabulary))
    }

    /// Takes logits that a device has.
    ///
    /// # Errors
    /// They are to be on the host, and the device fails.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "no device has any"))]
    pub(super) fn put(&mut self, device: DeviceLogits) -> Result<()> {
        (self.rows, self.vocabulary) = device.size();
        self.device = Some(device);
        if self.stays { Ok(()) } else { self.fetch() }
    }

    /// Row after row, on the host.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values[..self.rows * self.vocabulary].chunks_exact(self.vocabulary.max(1))
    }

    /// No rows.
    pub fn clear(&mut self) {
        self.device = None;
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

/// The most likely token of a row that may be drawn.
#[cfg(test)]
fn pretend(draw: &Draw, row: &[f32]) -> u32 {
    assert!(draw.temperature == 0.0 && draw.edits.iter().all(|(_, edit)| *edit == Edit::Ban));
    let allowed = |&t: &usize| {
        let word = |mask: &Vec<u32>| mask.get(t / 32).is_some_and(|word| word >> (t % 32) & 1 == 1);
        draw.mask.as_ref().is_none_or(word) && draw.edits.iter().all(|(id, _)| *id as usize != t)
    };
    let best = (0..row.len()).rev().filter(allowed).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    best.unwrap_or_default() as u32
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
