//! A model with its cache: what a step runs on, and how it is made anew when
//! a device fails.

use candle_core::{Device, Result};

use crate::backend::{Batch, KvCache, KvShape, Logits, SourceBlocks, recorded_sizes};
use crate::engine::blocks::BlockCopy;
use crate::models::{Decoder, Seq2Seq};

/// What the loop needs of a causal model.
pub trait CausalModel: Send {
    /// Runs every row of `batch`; `logits` gets those of its `logit_rows`.
    fn forward(&self, batch: &Batch, cache: &mut KvCache, logits: &mut Logits) -> Result<()>;
    fn device(&self) -> &Device;

    /// A step of one token, over two blocks, to see whether the model works.
    fn probe(&self, block_size: usize) -> Batch {
        let mut batch = Batch::new();
        batch.push(&[0], 0, &[0], block_size, true);
        batch
    }
}

impl CausalModel for Decoder {
    fn forward(&self, batch: &Batch, cache: &mut KvCache, logits: &mut Logits) -> Result<()> {
        Decoder::forward(self, batch, cache, logits)
    }

    fn device(&self) -> &Device {
        Decoder::device(self)
    }
}

impl CausalModel for Seq2Seq {
    fn forward(&self, batch: &Batch, cache: &mut KvCache, logits: &mut Logits) -> Result<()> {
        Seq2Seq::forward(self, batch, cache, logits)
    }

    fn device(&self) -> &Device {
        Seq2Seq::device(self)
    }

    fn probe(&self, block_size: usize) -> Batch {
        let mut batch = Batch::new();
        batch.push_source(&[0], &[1], block_size);
        batch.push(&[0], 0, &[0], block_size, true);
        batch.sources.push(SourceBlocks { blocks: vec![1], len: 1 });
        batch
    }
}

/// Loads the model again, for a device that lost it.
pub type Reload = Box<dyn Fn() -> std::result::Result<Box<dyn CausalModel>, String> + Send>;

/// Texts whose contexts a device cuts most.
const FEW_TEXTS: usize = 32;

/// Positions of texts whose steps are recorded before any come; those of longer
/// ones are when they come.
const SHORT: usize = 256;

/// The bounds of a step.
#[derive(Debug, Clone, Copy)]
pub struct Largest {
    pub tokens: usize,
    pub sequences: usize,
    pub logit_rows: usize,
    /// Positions of a text.
    pub context: usize,
}

/// A model and its cache.
pub struct ModelState {
    /// Gone while they are being made anew.
    parts: Option<(Box<dyn CausalModel>, KvCache)>,
    shape: KvShape,
    pub blocks: usize,
    reload: Reload,
}

impl ModelState {
    /// Reserves a cache of `blocks` blocks.
    ///
    /// # Errors
    /// The device has no room for it.
    pub fn new(
        model: Box<dyn CausalModel>,
        shape: KvShape,
        blocks: usize,
        reload: Reload,
    ) -> Result<Self> {
        let cache = KvCache::new(shape, blocks, model.device())?;
        Ok(Self { parts: Some((model, cache)), shape, blocks, reload })
    }

    /// Runs steps as large as any, so that a device has the memory for them or
    /// says now that it has not. What they write to the cache nobody reads.
    ///
    /// # Errors
    /// The device has no room for such a step.
    pub fn try_largest(&mut self, largest: &Largest) -> Result<()> {
        let block_size = self.shape.block_size;
        let blocks = vec![0; largest.context.div_ceil(block_size)];
        let mut logits = Logits::staying();
        let mut prompts = Batch::new();
        while prompts.tokens() < largest.tokens && prompts.sequences() < largest.sequences {
            let rows = (largest.tokens - prompts.tokens()).min(largest.context);
            prompts.push(&vec![0; rows], 0, &blocks, block_size, false);
        }
        prompts.logit_rows = (0..prompts.tokens().min(largest.logit_rows) as u32).collect();
        self.forward(&prompts, &[], &mut logits)?;
        // Few texts have their contexts cut into more parts than many have.
        for sequences in [largest.sequences.min(largest.tokens), FEW_TEXTS] {
            let mut texts = Batch::new();
            for _ in 0..sequences.min(largest.sequences) {
                texts.push(&[0], largest.context - 1, &blocks, block_size, true);
            }
            self.forward(&texts, &[], &mut logits)?;
        }
        Ok(())
    }

    /// Runs the steps of few short texts that a device records, so that it has
    /// done so when the first requests come. What they write to the cache nobody
    /// reads.
    ///
    /// # Errors
    /// The device fails.
    pub fn record_steps(&mut self, largest: &Largest) -> Result<()> {
        let (block_size, context) = (self.shape.block_size, largest.context.min(SHORT));
        let blocks = vec![0; context.div_ceil(block_size)];
        let most = largest.sequences.min(largest.tokens);
        let mut logits = Logits::staying();
        for rows in recorded_sizes(most) {
            let mut texts = Batch::new();
            for _ in 0..rows.min(most) {
                texts.push(&[0], context - 1, &blocks, block_size, true);
            }
            // The first time it runs as it is, the second time it is recorded.
            for _ in 0..2 {
                self.forward(&texts, &[], &mut logits)?;
            }
        }
        Ok(())
    }

    /// Copies blocks, then computes the batch.
    pub fn forward(
        &mut self,
        batch: &Batch,
        copies: &[BlockCopy],
        logits: &mut Logits,
    ) -> Result<()> {
        let Some((model, cache)) = &mut self.parts else {
            candle_core::bail!("the model is not loaded");
        };
        cache.copy_blocks(copies)?;
        model.forward(batch, cache, logits)
    }

    /// Makes the cache anew and, if the model does not work with it, the model
    /// as well.
    ///
    /// # Errors
    /// The model cannot be loaded, or fails as soon as it runs.
    pub fn rebuild(&mut self) -> std::result::Result<(), String> {
        // The old cache goes first: there may be no room for two.
        if let Some((model, _)) = self.parts.take()
            && self.install(model).is_ok()
        {
            return Ok(());
        }
        tracing::warn!("the model does not work with a new cache; it is loaded again");
        self.parts = None;
        let model = (self.reload)()?;
        self.install(model)
    }

    /// Takes a model, with a new cache, if it can compute a token.
    fn install(&mut self, model: Box<dyn CausalModel>) -> std::result::Result<(), String> {
        let cache =
            KvCache::new(self.shape, self.blocks, model.device()).map_err(|e| e.to_string())?;
        let batch = model.probe(self.shape.block_size);
        self.parts = Some((model, cache));
        super::guarded(|| self.forward(&batch, &[], &mut Logits::default()))
    }
}
