//! `y = x Wᵀ` with packed weights: the work is split over tiles of rows.

use std::sync::OnceLock;

use rayon::prelude::*;

use super::activations::Activations;
use super::{Format, Packed, TILE, portable};

/// An instruction set the kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

/// The fastest level this machine has.
pub fn best_level() -> Level {
    static BEST: OnceLock<Level> = OnceLock::new();
    *BEST.get_or_init(|| {
        Level::all().into_iter().rfind(|l| l.available()).unwrap_or(Level::Portable)
    })
}

impl Level {
    /// Every level of this build, the slowest first.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Portable,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Vnni,
        ]
    }

    /// Whether this machine can run it.
    pub fn available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vnni")
            }
        }
    }
}

/// Tiles a kernel walks together.
pub(super) const PAIR: usize = 2;
/// Rows of activations a kernel takes at most.
pub(super) const MAX_ROWS: usize = 6;

/// What a kernel works on: up to [`PAIR`] tiles and [`MAX_ROWS`] rows.
pub(super) struct Work<'a> {
    pub format: Format,
    pub blocks: usize,
    /// One or two tiles.
    pub tiles: &'a [&'a [u8]],
    pub activations: &'a Activations,
    pub first_row: usize,
    pub rows: usize,
}

/// Results of a kernel: `[row][tile][lane]`.
pub(super) type Results = [[[f32; TILE]; PAIR]; MAX_ROWS];

/// `y` is (rows of x, rows of w), `x` (rows, columns of w).
pub fn matmul(w: &Packed, x: &[f32], y: &mut [f32], level: Level) {
    assert!(level.available(), "{level:?} is not available on this machine");
    assert!(x.len().is_multiple_of(w.columns()));
    let rows = x.len() / w.columns();
    assert_eq!(y.len(), rows * w.rows());
    let activations = Activations::new(x, w.columns());
    let y = Output { data: y.as_mut_ptr(), width: w.rows() };

    // A task takes a range of tiles: a few ranges a thread, so that an uneven
    // machine stays busy, but long ones, so that memory is read in order.
    let tiles = w.tiles();
    let tasks = (rayon::current_num_threads() * if rows > 8 { 8 } else { 1 }).min(tiles);
    (0..tasks).into_par_iter().for_each(|task| {
        let range = task * tiles / tasks..(task + 1) * tiles / tasks;
        // Two distant tiles are read together: two streams from memory.
        let half = range.len().div_ceil(2);
        for i in 0..half {
            let first = range.start + i;
            let second = (first + half < range.end).then_some(first + half);
            let pair = [w.tile(first), second.map_or(&[][..], |t| w.tile(t))];
            let ids = [first, second.unwrap_or(first)];
            let count = 1 + usize::from(second.is_some());
            for first_row in (0..rows).step_by(MAX_ROWS) {
                let work = Work {
                    format: w.format,
                    blocks: w.blocks(),
                    tiles: &pair[..count],
                    activations: &activations,
                    first_row,
                    rows: MAX_ROWS.min(rows - first_row),
                };
                let mut results: Results = [[[0.0; TILE]; PAIR]; MAX_ROWS];
                run(level, &work, &mut results);
                for (r, row) in results.iter().enumerate().take(work.rows) {
                    for (lanes, &tile) in row.iter().zip(&ids).take(count) {
                        // SAFETY: each tile belongs to one task, so no two
                        // tasks write the same element; `put` stays in `y`.
                        unsafe { y.put(first_row + r, tile, lanes) };
                    }
                }
            }
        }
    });
}

fn run(level: Level, work: &Work<'_>, results: &mut Results) {
    match level {
        Level::Portable => portable::kernel(work, results),
        // SAFETY: `matmul` asserted that the level is available.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { super::avx2::kernel(work, results) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Vnni => unsafe { super::vnni::kernel(work, results) },
    }
}

/// The output matrix, written by tile from several threads.
#[derive(Clone, Copy)]
struct Output {
    data: *mut f32,
    width: usize,
}

// SAFETY: tasks write disjoint elements; see `matmul`.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    /// # Safety
    /// `row` and `tile` lie in the matrix, and no other thread writes them.
    unsafe fn put(&self, row: usize, tile: usize, lanes: &[f32; TILE]) {
        let first = tile * TILE;
        let n = TILE.min(self.width - first);
        // SAFETY: by the caller's promise.
        unsafe {
            let to = self.data.add(row * self.width + first);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, n);
        }
    }
}
