//! `y = x Wᵀ` with packed weights: the work is split over tiles of rows.

#[cfg(target_arch = "aarch64")]
use std::arch::is_aarch64_feature_detected;
use std::ops::Range;

use super::activations::{Activations, Group, Inputs, Wants};
use super::piece::Piece;
use super::spread::{Bytes, Spread};
use super::{BLOCK, Format, Packed, TILE, brain, dense, portable, sixteen, two};
#[cfg(target_arch = "x86_64")]
use crate::backend::kernels::amx;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::backend::kernels::instructions::{Instructions, allows};
use crate::backend::kernels::rows::Rows;
use crate::backend::kernels::simd::{prefetch_line, prefetch_line_ahead};
use crate::backend::kernels::team::{Member, team};

/// An instruction set the kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX2 with AVX-VNNI.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Vnni,
    /// The same with AMX.
    #[cfg(target_arch = "x86_64")]
    Amx,
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// NEON with dot products of bytes.
    #[cfg(target_arch = "aarch64")]
    Dotprod,
    /// The same and products of matrices of bytes.
    #[cfg(target_arch = "aarch64")]
    I8mm,
}

/// The fastest level this machine has and may use.
pub fn best_level() -> Level {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    for (level, set) in [
        #[cfg(target_arch = "x86_64")]
        (Level::Amx, Instructions::Amx),
        #[cfg(target_arch = "x86_64")]
        (Level::Vnni, Instructions::Avx512),
        #[cfg(target_arch = "x86_64")]
        (Level::AvxVnni, Instructions::AvxVnni),
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, Instructions::Avx2),
        #[cfg(target_arch = "aarch64")]
        (Level::I8mm, Instructions::I8mm),
        #[cfg(target_arch = "aarch64")]
        (Level::Dotprod, Instructions::Dotprod),
        #[cfg(target_arch = "aarch64")]
        (Level::Neon, Instructions::Neon),
    ] {
        if allows(set) && level.available() {
            return level;
        }
    }
    Level::Portable
}

/// Whether products of bf16 are faster here than those of other plain numbers.
pub fn multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return best_level() == Level::Amx;
    #[cfg(not(target_arch = "x86_64"))]
    false
}

impl Level {
    /// Every level of this build, the slowest first.
    pub const ALL: &[Self] = &[
        Self::Portable,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "x86_64")]
        Self::AvxVnni,
        #[cfg(target_arch = "x86_64")]
        Self::Vnni,
        #[cfg(target_arch = "x86_64")]
        Self::Amx,
        #[cfg(target_arch = "aarch64")]
        Self::Neon,
        #[cfg(target_arch = "aarch64")]
        Self::Dotprod,
        #[cfg(target_arch = "aarch64")]
        Self::I8mm,
    ];

    /// As `engine.instructions` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => "avxvnni",
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Amx => "amx",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Self::Dotprod => "dotprod",
            #[cfg(target_arch = "aarch64")]
            Self::I8mm => "i8mm",
        }
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
            Self::AvxVnni => Self::Avx2.available() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Amx => Self::Vnni.available() && amx::available(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            #[cfg(target_arch = "aarch64")]
            Self::Dotprod => is_aarch64_feature_detected!("dotprod"),
            #[cfg(target_arch = "aarch64")]
            Self::I8mm => Self::Dotprod.available() && is_aarch64_feature_detected!("i8mm"),
        }
    }
}

impl Level {
    /// Rows of a group, which a kernel takes together.
    pub const fn group_rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => MAX_ROWS,
            _ => VECTOR_ROWS,
        }
    }

    /// Bytes of a core's second cache that a block of rows may take.
    pub const fn second_cache(self) -> usize {
        match self {
            // It has 2 MB where there is AMX.
            #[cfg(target_arch = "x86_64")]
            Self::Amx => 1280 << 10,
            _ => 384 << 10,
        }
    }

    /// Whether a kernel keeps up with lines that come from the second cache.
    const fn uses_second_cache(self) -> bool {
        match self {
            Self::Portable => false,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::AvxVnni => false,
            #[allow(unreachable_patterns)] // Of machines that have no other level.
            _ => true,
        }
    }

    /// What has to be given back when a thread is done with kernels of this
    /// level.
    #[cfg(target_arch = "x86_64")]
    fn in_use(self) -> Option<amx::InUse> {
        (self == Self::Amx).then_some(amx::InUse)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn in_use(self) -> Option<()> {
        None
    }
}

/// Tiles a kernel walks together.
pub(super) const PAIR: usize = 2;
/// Rows of activations that kernels take at most.
pub(super) const MAX_ROWS: usize = 32;
/// Those that have their sums in vector registers.
pub(super) const VECTOR_ROWS: usize = 6;

/// Rows that all tiles are multiplied with before the next ones: they and their
/// results stay in the cache, where whole matrices would not.
const ROWS_AT_ONCE: usize = 96;

/// Groups that tiles are multiplied with before the next ones, and what each asks
/// memory for. To find that takes divisions, too long for each of a large
/// vocabulary's tiles.
struct Groups<'a> {
    groups: [(Group<'a>, Ahead); ROWS_AT_ONCE.div_ceil(VECTOR_ROWS)],
    count: usize,
}

impl<'a> Groups<'a> {
    /// All groups of the inputs, some at once, to be multiplied with `w`.
    ///
    /// # Safety
    /// Until the next meeting nobody writes the inputs.
    unsafe fn of(w: &'a Packed, inputs: &Inputs<'a>) -> impl Iterator<Item = Self> + use<'a> {
        let inputs = *inputs;
        let (groups, at_once) = (inputs.groups(), ROWS_AT_ONCE.div_ceil(inputs.group_rows()));
        (0..groups).step_by(at_once).map(move |first| {
            let count = at_once.min(groups - first);
            let one = |i: usize| {
                // SAFETY: by the caller's promise.
                let group = unsafe { inputs.group(first + i) };
                (group, Ahead::of(w, (i, count), group.rows, inputs.level))
            };
            let mut groups = [one(0); _];
            for (i, group) in groups.iter_mut().enumerate().take(count).skip(1) {
                *group = one(i);
            }
            Self { groups, count }
        })
    }

    fn iter(&self) -> impl Iterator<Item = &(Group<'a>, Ahead)> {
        self.groups[..self.count].iter()
    }
}

/// What a kernel works on: one or two tiles and the rows of a group.
pub(super) struct Work<'a> {
    pub format: Format,
    pub columns: usize,
    pub tiles: &'a [&'a [u8]],
    /// Of each tile, if its weights were taken apart.
    pub spread: [&'a [Bytes]; PAIR],
    pub group: &'a Group<'a>,
    pub ahead: Ahead,
}

/// What a kernel asks memory for, so that it is there when it is its turn. Where
/// several groups share a tile these are lines of the tiles that come after its
/// own: only the first group would wait for memory, and the others leave it
/// idle. A group alone asks for blocks shortly after those it multiplies.
#[derive(Clone, Copy, Default)]
pub(super) struct Ahead {
    /// Bytes after the beginning of a tile.
    from: usize,
    /// Cache lines for each two blocks that are multiplied.
    lines: usize,
    /// Whether they wait in the second cache.
    second: bool,
}

impl Ahead {
    /// The part of group `number` of `groups`.
    fn of(w: &Packed, (number, groups): (usize, usize), rows: usize, level: Level) -> Self {
        let pairs = w.columns.div_ceil(2 * BLOCK);
        if groups < 2 && rows <= VECTOR_ROWS {
            let pair = w.tile_bytes / pairs;
            return Self { from: 2 * pair, lines: pair / 64, second: false };
        }
        let share = (w.tile_bytes / 64).div_ceil(groups);
        let lines = share.div_ceil(pairs);
        Self { from: w.tile_bytes + number * share * 64, lines, second: level.uses_second_cache() }
    }

    /// Asks for what belongs to block `b` of the tile.
    #[inline(always)]
    pub fn ask(self, tile: *const u8, b: usize) {
        let until = |b: usize| (b * self.lines).div_ceil(2);
        for line in until(b)..until(b + 1) {
            let at = tile.wrapping_add(self.from + 64 * line);
            if self.second { prefetch_line_ahead(at) } else { prefetch_line(at) }
        }
    }
}

/// Results of a kernel: `[row][tile][lane]`.
pub(super) type Results = [[[f32; TILE]; PAIR]; MAX_ROWS];

/// Each tile's at a cache line, so that a vector is stored and loaded as one.
#[repr(align(64))]
struct AtLines(Results);

impl Wants {
    /// What products with these matrices need.
    pub fn of<'a>(matrices: impl IntoIterator<Item = &'a Packed>) -> Self {
        let mut wants = Self::default();
        for w in matrices {
            match w.format {
                Format::Sixteen => wants.wide = true,
                Format::Brain | Format::Brains => wants.brains = true,
                f if f.is_quantized() => wants.quantized = true,
                _ => wants.plain = true,
            }
        }
        wants
    }
}

/// `y` is (rows of x, rows of w), `x` (rows, columns of w).
pub fn matmul(w: &Packed, x: &[f32], y: &mut [f32], level: Level) {
    assert!(x.len().is_multiple_of(w.columns()));
    let rows = x.len() / w.columns();
    assert_eq!(y.len(), rows * w.rows());
    let mut activations = Activations::default();
    let inputs = activations.inputs_at(level, rows, w.columns(), Wants::of([w]));
    let y = Rows::new(y, w.rows());
    team().run(|member| {
        for r in member.share(rows) {
            // SAFETY: shares are distinct.
            unsafe { inputs.set(r, &x[r * w.columns()..(r + 1) * w.columns()]) };
        }
        member.meet();
        // SAFETY: all rows were set before the meeting; each column belongs to
        // one member.
        unsafe { products(member, &[w], &inputs, level, |_, piece| piece.store(None, y)) };
    });
}

/// Multiplies all rows with this member's share of the tiles of all matrices.
/// `put` gets the number of the matrix and results.
///
/// # Safety
/// Until the next meeting nobody writes the inputs.
#[inline]
pub unsafe fn products(
    member: &Member<'_>,
    matrices: &[&Packed],
    inputs: &Inputs<'_>,
    level: Level,
    mut put: impl FnMut(usize, &mut Piece<'_>),
) {
    let all: usize = matrices.iter().map(|w| w.tiles()).sum();
    let share = member.share(all);
    let mut begin = 0;
    for (number, w) in matrices.iter().enumerate() {
        let end = begin + w.tiles();
        let mine = share.start.clamp(begin, end) - begin..share.end.clamp(begin, end) - begin;
        // SAFETY: by the caller's promise.
        unsafe { product(w, mine, inputs, level, |piece| put(number, piece)) };
        begin = end;
    }
}

/// Multiplies all rows with some tiles of one matrix.
///
/// # Safety
/// Until the next meeting nobody writes the inputs.
#[inline]
pub unsafe fn product(
    w: &Packed,
    mine: Range<usize>,
    inputs: &Inputs<'_>,
    level: Level,
    mut put: impl FnMut(&mut Piece<'_>),
) {
    assert_eq!((w.columns(), level), (inputs.columns, inputs.level));
    // Two distant tiles are read together: two streams from memory.
    let half = mine.len().div_ceil(2);
    let _in_use = level.in_use();
    // A kernel writes over the rows it is given; no others are read.
    let AtLines(results) = &mut AtLines([[[0.0; TILE]; PAIR]; MAX_ROWS]);
    let mut room = Spread::new();
    // SAFETY: by the caller's promise.
    for groups in unsafe { Groups::of(w, inputs) } {
        for first in mine.start..mine.start + half {
            let second = (first + half < mine.end).then_some(first + half);
            let tiles = [w.tile(first), second.map_or(&[][..], |t| w.tile(t))];
            let numbers = [first, second.unwrap_or(first)];
            let count = 1 + usize::from(second.is_some());
            let sides = tiles.map(|tile| (w.format, tile));
            let spread = room.take_apart((level, groups.count), w.columns, sides);
            for (group, ahead) in groups.iter() {
                let (tiles, ahead) = (&tiles[..count], *ahead);
                let (format, columns) = (w.format, w.columns);
                let work = Work { format, columns, tiles, spread, group, ahead };
                run(level, &work, results);
                for (tile, number) in numbers.iter().enumerate().take(count) {
                    let column = number * TILE;
                    put(&mut Piece {
                        results: &mut *results,
                        tile,
                        first: group.first,
                        rows: group.rows,
                        column,
                        columns: TILE.min(w.rows - column),
                    });
                }
            }
        }
    }
}

/// Multiplies all rows with this member's share of two matrices of the same
/// shape. `put` gets the results of both, as a pair.
///
/// # Safety
/// Until the next meeting nobody writes the inputs.
#[inline]
pub unsafe fn products_of_pairs(
    member: &Member<'_>,
    (a, b): (&Packed, &Packed),
    inputs: &Inputs<'_>,
    level: Level,
    put: impl FnMut(&mut Piece<'_>),
) {
    // SAFETY: by the caller's promise.
    unsafe { product_of_pair((a, b), member.share(a.tiles()), inputs, level, put) }
}

/// Multiplies all rows with some tiles of two matrices of the same shape.
/// `put` gets the results of both, as a pair.
///
/// # Safety
/// Until the next meeting nobody writes the inputs.
#[inline]
pub unsafe fn product_of_pair(
    (a, b): (&Packed, &Packed),
    mine: Range<usize>,
    inputs: &Inputs<'_>,
    level: Level,
    mut put: impl FnMut(&mut Piece<'_>),
) {
    assert_eq!((a.columns, a.rows), (inputs.columns, b.rows));
    assert_eq!((a.columns, level), (b.columns, inputs.level));
    let _in_use = level.in_use();
    // A kernel writes over the rows it is given; no others are read.
    let AtLines(results) = &mut AtLines([[[0.0; TILE]; PAIR]; MAX_ROWS]);
    let AtLines(others) = &mut AtLines(*results);
    let mut room = Spread::new();
    // SAFETY: by the caller's promise.
    for groups in unsafe { Groups::of(a, inputs) } {
        for tile in mine.clone() {
            let tiles = [a.tile(tile), b.tile(tile)];
            let column = tile * TILE;
            let sides = [(a.format, tiles[0]), (b.format, tiles[1])];
            let spread = room.take_apart((level, groups.count), a.columns, sides);
            for (group, ahead) in groups.iter() {
                let (columns, ahead) = (a.columns, *ahead);
                let work =
                    |format, tiles, spread| Work { format, columns, tiles, spread, group, ahead };
                if a.format == b.format {
                    run(level, &work(a.format, &tiles, spread), results);
                } else {
                    run(level, &work(a.format, &tiles[..1], spread), results);
                    run(level, &work(b.format, &tiles[1..], [spread[1], &[]]), others);
                    for (row, other) in results.iter_mut().zip(&*others) {
                        row[1] = other[0];
                    }
                }
                put(&mut Piece {
                    results: &mut *results,
                    tile: 0,
                    first: group.first,
                    rows: group.rows,
                    column,
                    columns: TILE.min(a.rows - column),
                });
            }
        }
    }
}

fn run(level: Level, work: &Work<'_>, results: &mut Results) {
    assert!(level.available(), "{level:?} is not available on this machine");
    if work.format == Format::Sixteen {
        return match level {
            Level::Portable => sixteen::kernel(work, results),
            // SAFETY: the level is available.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 | Level::AvxVnni => unsafe { sixteen::x86::avx2(work, results) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Vnni | Level::Amx => unsafe { sixteen::x86::vnni(work, results) },
            #[cfg(target_arch = "aarch64")]
            Level::Neon | Level::Dotprod | Level::I8mm => sixteen::neon::kernel(work, results),
        };
    }
    if matches!(work.format, Format::Brain | Format::Brains) {
        return match level {
            // SAFETY: the level is available.
            #[cfg(target_arch = "x86_64")]
            Level::Amx => unsafe { brain::amx::kernel(work, results) },
            _ => brain::kernel(work, results),
        };
    }
    if !work.format.is_quantized() {
        return dense::kernel(work, results);
    }
    if work.format == Format::Two {
        return two::kernel(level, work, results);
    }
    match level {
        Level::Portable => portable::kernel(work, results),
        // SAFETY: the level is available.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { super::avx2::kernel(work, results) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::AvxVnni => unsafe { super::avx2::kernel_vnni(work, results) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Vnni => unsafe { super::vnni::kernel(work, results) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Amx => unsafe { super::amx::kernel(work, results) },
        #[cfg(target_arch = "aarch64")]
        Level::Neon => super::neon::kernel(work, results),
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Level::Dotprod => unsafe { super::neon::kernel_dotprod(work, results) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Level::I8mm => unsafe { super::neon::kernel_i8mm(work, results) },
    }
}
