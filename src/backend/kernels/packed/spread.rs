//! Weights of tiles taken apart to bytes, where so many rows are multiplied
//! with them that doing it once is faster than for each group of rows.

use std::cell::Cell;

use super::matmul::{Level, PAIR};
use super::{BLOCK, Format, TILE};

/// A block's weights, unsigned, in eight groups as [`Format::Eight`] has them.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Bytes(pub [u8; BLOCK * TILE]);

thread_local! {
    static ROOM: Cell<Vec<Bytes>> = const { Cell::new(Vec::new()) };
}

/// Groups of rows from which weights are taken apart, if kernels of the level
/// multiply them so: the sooner the longer it takes. Not of weights that AVX2
/// multiplies as signed bytes, whose sums need other kernels.
const fn from_groups(level: Level, format: Format) -> Option<usize> {
    match (level, format) {
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, Format::Five | Format::FiveZero | Format::Six) => Some(2),
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, Format::Four | Format::FourZero | Format::FourHalves) => Some(4),
        _ => None,
    }
}

/// Room for the tiles that are multiplied together. A thread keeps it from
/// product to product, so that nothing is allocated.
pub(super) struct Spread(Vec<Bytes>);

impl Spread {
    pub fn new() -> Self {
        Self(ROOM.take())
    }

    /// The blocks of tiles, in place of those of others; none of a tile that
    /// kernels of the level take as it is with so many groups of rows.
    pub fn take_apart(
        &mut self,
        (level, groups): (Level, usize),
        columns: usize,
        tiles: [(Format, &[u8]); PAIR],
    ) -> [&[Bytes]; PAIR] {
        let blocks = columns / BLOCK;
        let wanted = tiles.map(|(format, tile)| {
            !tile.is_empty() && from_groups(level, format).is_some_and(|from| groups >= from)
        });
        if wanted == [false; PAIR] {
            return [&[]; PAIR];
        }
        if self.0.len() < PAIR * blocks {
            self.0.resize(PAIR * blocks, Bytes([0; _]));
        }
        let (first, second) = self.0.split_at_mut(blocks);
        let mut all = [first, &mut second[..blocks]];
        for (((format, tile), to), wanted) in tiles.into_iter().zip(&mut all).zip(wanted) {
            match level {
                _ if !wanted => *to = &mut [],
                // SAFETY: what is multiplied at a level is multiplied where it
                // is available.
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => unsafe { super::avx2::take_apart(format, tile, to) },
                _ => unreachable!("{level:?} takes {format:?} as it is"),
            }
        }
        all.map(|blocks| &*blocks)
    }
}

impl Drop for Spread {
    fn drop(&mut self) {
        ROOM.set(std::mem::take(&mut self.0));
    }
}
