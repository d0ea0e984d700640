//! One step's work, for every sequence in it, as flat arrays.

use super::logits::DrawnTokens;

/// A ragged batch: the tokens of all sequences end to end, with no padding.
///
/// Sequence `s` owns rows `cu_seqlens_q[s]..cu_seqlens_q[s + 1]`. Its keys and
/// values, those of these rows included, are the first `context_lens[s]`
/// positions of the blocks in `block_tables[s]`. A row of a prompt, a decoded
/// token and a speculative token differ in nothing but their position.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Token ids, one a row.
    pub ids: Vec<u32>,
    /// Position of each row in its sequence.
    pub positions: Vec<u32>,
    /// Cache slot each row's key and value go to: `block * block_size + offset`.
    pub slot_mapping: Vec<u32>,
    /// Prefix sums of rows by sequence: length is sequences + 1.
    pub cu_seqlens_q: Vec<u32>,
    /// Positions each sequence attends over after this step's rows are written.
    pub context_lens: Vec<u32>,
    /// Cache blocks of each sequence, in order of position.
    pub block_tables: Vec<Vec<u32>>,
    /// Rows whose logits are wanted.
    pub logit_rows: Vec<u32>,
    /// Texts that this step encodes before its rows, for encoder-decoders.
    pub encode: Vec<SourceText>,
    /// What each sequence attends to beside itself; none for decoders.
    pub sources: Vec<SourceBlocks>,
    /// Where the tokens of the rows are, if they are not known yet; `ids` says
    /// nothing then.
    pub follows: Option<Follows>,
}

/// Tokens that are still being drawn, on the device that computes their rows.
#[derive(Debug, Clone)]
pub struct Follows {
    pub tokens: DrawnTokens,
    /// Which of them each row has.
    pub draws: Vec<u32>,
}

/// A text to be encoded as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceText {
    pub ids: Vec<u32>,
    /// Cache slot of each token's keys and values for the decoder's layers.
    pub slots: Vec<u32>,
}

/// Where the keys and values of an encoded text are, in the same cache as
/// those of the texts written from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceBlocks {
    pub blocks: Vec<u32>,
    /// Tokens.
    pub len: u32,
}

impl Batch {
    pub fn new() -> Self {
        Self { cu_seqlens_q: vec![0], ..Self::default() }
    }

    /// Rows in the batch.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    pub fn sequences(&self) -> usize {
        self.context_lens.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Appends the tokens of one sequence from position `first` on. `blocks`
    /// must cover `first + ids.len()` positions of `block_size` each.
    ///
    /// `wants_logits` asks for the logits of the last row.
    pub fn push(
        &mut self,
        ids: &[u32],
        first: usize,
        blocks: &[u32],
        block_size: usize,
        wants_logits: bool,
    ) {
        for (i, &id) in ids.iter().enumerate() {
            let position = first + i;
            let block = blocks[position / block_size] as usize;
            self.ids.push(id);
            self.positions.push(position as u32);
            self.slot_mapping.push((block * block_size + position % block_size) as u32);
        }
        self.cu_seqlens_q.push(self.ids.len() as u32);
        self.context_lens.push((first + ids.len()) as u32);
        self.block_tables.push(blocks.to_vec());
        if wants_logits {
            self.logit_rows.push(self.ids.len() as u32 - 1);
        }
    }

    /// Asks for a text to be encoded, whose keys and values go to `blocks`.
    pub fn push_source(&mut self, ids: &[u32], blocks: &[u32], block_size: usize) {
        let slot = |i: usize| blocks[i / block_size] as usize * block_size + i % block_size;
        let slots = (0..ids.len()).map(|i| slot(i) as u32).collect();
        self.encode.push(SourceText { ids: ids.to_vec(), slots });
    }

    /// Rows of sequence `s`.
    pub fn rows(&self, s: usize) -> std::ops::Range<usize> {
        self.cu_seqlens_q[s] as usize..self.cu_seqlens_q[s + 1] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_land_in_their_blocks() {
        let mut batch = Batch::new();
        batch.push(&[10, 11, 12], 3, &[7, 2], 4, true);
        batch.push(&[20], 0, &[5], 4, false);
        assert_eq!(batch.positions, [3, 4, 5, 0]);
        assert_eq!(batch.slot_mapping, [31, 8, 9, 20]);
        assert_eq!(batch.cu_seqlens_q, [0, 3, 4]);
        assert_eq!(batch.context_lens, [6, 1]);
        assert_eq!(batch.logit_rows, [2]);
        assert_eq!(batch.rows(1), 3..4);
        batch.push_source(&[1, 2, 3], &[4, 0], 2);
        assert_eq!(batch.encode, [SourceText { ids: vec![1, 2, 3], slots: vec![8, 9, 0] }]);
    }
}
