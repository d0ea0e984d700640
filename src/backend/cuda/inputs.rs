//! One step's indices on the device.

use std::ops::Range;

use candle_core::Result;

use super::replay::{Key, rows_of};
use crate::backend::Batch;
use crate::backend::kernels::cuda::{Decode, View};

/// Rows of one tile of attention over a prompt.
pub(super) const TILE: u32 = 64;
/// Sequences with so many rows or fewer attend row by row, which splits their
/// contexts.
const FEW_ROWS: usize = 4;
/// Parts of contexts of all rows of a step.
const MOST_PARTS: usize = 8192;
/// Blocks that a table of a recorded step has at least, so that short texts
/// share their recordings.
const LEAST_TABLE: usize = 16;
/// A slot that is none, of rows that only fill a recorded step.
const PADDING: u32 = u32::MAX;

/// Where a step's indices are, in the array of all.
#[derive(Debug, Clone, Default)]
pub(super) struct Packed {
    ids: Range<usize>,
    positions: Range<usize>,
    slots: Range<usize>,
    starts: Range<usize>,
    contexts: Range<usize>,
    tables: Range<usize>,
    row: Range<usize>,
    sequence: Range<usize>,
    context: Range<usize>,
    tiles: Range<usize>,
    logit_rows: Range<usize>,
    draws: Range<usize>,
    table_stride: usize,
    splits: usize,
    split: usize,
    key: Option<Key>,
}

/// The same as views.
#[derive(Debug, Clone)]
pub(super) struct Inputs {
    pub rows: usize,
    pub ids: View,
    pub positions: View,
    pub slots: View,
    /// Prefix sums of rows by sequence.
    pub starts: View,
    pub contexts: View,
    /// (sequences, table_stride)
    pub tables: View,
    pub table_stride: usize,
    pub decode: Option<Decode>,
    /// Pairs of sequence and first row, and their number.
    pub tiles: Option<(View, usize)>,
    pub logit_rows: View,
    pub logits: usize,
    /// Which of the tokens that are still being drawn rows have; as many as there
    /// are rows that are not there to fill the step.
    pub draws: View,
    /// Under which a step like this is recorded; `None` for steps that are not.
    pub key: Option<Key>,
}

impl Inputs {
    /// Lays a batch out. With `replays`, a step in which all sequences have
    /// few rows and all rows want logits gets a key, and is filled up to the
    /// size of that key.
    pub fn pack(batch: &Batch, replays: bool) -> (Packed, Vec<u32>) {
        let few = |s: &usize| batch.rows(*s).len() <= FEW_ROWS;
        let all = batch.logit_rows.iter().copied().eq(0..batch.tokens() as u32);
        let padded = match replays && all && (0..batch.sequences()).all(|s| few(&s)) {
            true => rows_of(batch.tokens()),
            false => None,
        };
        let rows = padded.unwrap_or(batch.tokens());
        let sequences = padded.unwrap_or(batch.sequences());
        let longest = batch.block_tables.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let table_stride = match padded {
            Some(_) => longest.next_power_of_two().max(LEAST_TABLE),
            None => longest,
        };

        let (mut row, mut sequence, mut context, mut tiles) = (vec![], vec![], vec![], vec![]);
        for s in 0..batch.sequences() {
            let (own, keys) = (batch.rows(s), batch.context_lens[s]);
            match few(&s) {
                true => own.clone().for_each(|r| {
                    row.push(r as u32);
                    sequence.push(s as u32);
                    context.push(keys - (own.end - 1 - r) as u32);
                }),
                false => (0..own.len() as u32)
                    .step_by(TILE as usize)
                    .for_each(|first| tiles.extend([s as u32, first])),
            }
        }
        if padded.is_some() {
            for list in [&mut row, &mut sequence, &mut context] {
                list.resize(rows, 0);
            }
        }
        let most = context.iter().copied().max().unwrap_or(0) as usize;
        // Many rows fill the device without their contexts being cut small, and
        // each part takes memory.
        let mut split = if rows <= 32 { 256 } else { 1024 };
        let parts = |split: usize| match padded {
            Some(_) => most.div_ceil(split).next_power_of_two(),
            None => most.div_ceil(split).max(1),
        };
        while split < most && rows * parts(split) > MOST_PARTS {
            split *= 2;
        }
        let splits = parts(split);

        let mut values = Vec::new();
        let mut add = |part: &[u32], len: usize, fill: u32| {
            let first = values.len();
            values.extend_from_slice(part);
            values.resize(first + len.max(part.len()), fill);
            first..values.len()
        };
        let last = batch.cu_seqlens_q.last().copied().unwrap_or(0);
        let tables: Vec<u32> = (batch.block_tables.iter())
            .flat_map(|table| {
                table.iter().copied().chain(std::iter::repeat_n(0, table_stride - table.len()))
            })
            .collect();
        let packed = Packed {
            ids: add(&batch.ids, rows, 0),
            positions: add(&batch.positions, rows, 0),
            slots: add(&batch.slot_mapping, rows, PADDING),
            starts: add(&batch.cu_seqlens_q, sequences + 1, last),
            contexts: add(&batch.context_lens, sequences, 0),
            tables: add(&tables, sequences * table_stride, 0),
            row: add(&row, 0, 0),
            sequence: add(&sequence, 0, 0),
            context: add(&context, 0, 0),
            tiles: add(&tiles, 0, 0),
            logit_rows: add(&batch.logit_rows, if padded.is_some() { rows } else { 0 }, 0),
            draws: add(batch.follows.as_ref().map_or(&[], |follows| &follows.draws), 0, 0),
            table_stride,
            splits,
            split,
            key: padded.map(|rows| Key { rows, splits, split, table_stride }),
        };
        (packed, values)
    }
}

impl Packed {
    /// The views of what was uploaded to `all`.
    pub fn at(&self, all: View) -> Result<Inputs> {
        let part = |range: &Range<usize>| all.part(range.start, range.len());
        let decode = match self.row.len() {
            0 => None,
            rows => Some(Decode {
                row: part(&self.row)?,
                sequence: part(&self.sequence)?,
                context: part(&self.context)?,
                rows,
                splits: self.splits,
                split: self.split,
            }),
        };
        let tiles = match self.tiles.len() {
            0 => None,
            len => Some((part(&self.tiles)?, len / 2)),
        };
        Ok(Inputs {
            rows: self.ids.len(),
            ids: part(&self.ids)?,
            positions: part(&self.positions)?,
            slots: part(&self.slots)?,
            starts: part(&self.starts)?,
            contexts: part(&self.contexts)?,
            tables: part(&self.tables)?,
            table_stride: self.table_stride,
            decode,
            tiles,
            logit_rows: part(&self.logit_rows)?,
            logits: self.logit_rows.len(),
            draws: part(&self.draws)?,
            key: self.key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_texts_is_filled_up_and_one_with_a_prompt_is_not() {
        let mut batch = Batch::new();
        for (first, blocks) in [(20, &[3, 4][..]), (5, &[1][..])] {
            batch.push(&[7], first, blocks, 16, true);
        }
        let mut long = batch.clone();
        let (packed, values) = Inputs::pack(&batch, true);
        assert_eq!(packed.key, Some(Key { rows: 2, splits: 1, split: 256, table_stride: 16 }));
        assert_eq!(values[packed.context], [21, 6]);
        let tables = &values[packed.tables];
        assert_eq!((&tables[..3], &tables[16..18]), (&[3, 4, 0][..], &[1, 0][..]));
        // Nine rows are not recorded alone.
        (0..7).for_each(|i| batch.push(&[7], 0, &[10 + i], 16, true));
        let (packed, values) = Inputs::pack(&batch, true);
        assert_eq!(packed.key.map(|key| key.rows), Some(16));
        assert_eq!(values[packed.slots][8..10], [16 * 16, PADDING]);
        assert_eq!(values[packed.starts][9..], [9; 8]);
        assert_eq!((packed.logit_rows.len(), packed.row.len()), (16, 16));
        assert_eq!(Inputs::pack(&batch, false).0.key, None);

        let blocks: Vec<u32> = (20..28).collect();
        long.push(&[1; 100], 0, &blocks, 16, true);
        let (packed, values) = Inputs::pack(&long, true);
        assert_eq!(packed.key, None);
        assert_eq!(values[packed.tiles], [2, 0, 2, 64]);
        assert_eq!(values[packed.row], [0, 1]);
        assert_eq!(packed.ids.len(), 102);
    }
}
