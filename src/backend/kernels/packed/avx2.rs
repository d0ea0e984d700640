//! The kernels with vectors of 256 bits: a tile is two vectors of eight rows.
//!
//! Without VNNI, bytes are multiplied into sums of 16 bits, and as many groups
//! are added up there as fit before the sums are widened.

mod spread;

use std::arch::x86_64::*;

use super::matmul::{Results, VECTOR_ROWS, Work};
use super::{BLOCK, Format, TABLE, format};
pub use spread::take_apart;

/// Lets `$rows` compute all rows of a group. Of one or two the sums of a whole
/// tile stay in registers: lanes of both halves stand in each cache line, and
/// what is read is used at once. More take the halves one after the other.
macro_rules! all_rows {
    ($rows:ident, $work:ident, $results:ident) => {
        each_tile($work, |place| {
            let second = Place { half: 1, ..place };
            macro_rules! dispatch {
                ($format:ident) => {{
                    const F: u8 = Format::$format as u8;
                    macro_rules! both {
                        ($count:literal) => {{
                            $rows::<F, $count, 1>($work, place, $results);
                            $rows::<F, $count, 1>($work, second, $results);
                        }};
                    }
                    // SAFETY: the caller's promise; lengths were checked.
                    unsafe {
                        match $work.group.rows {
                            1 => $rows::<F, 1, 2>($work, place, $results),
                            2 => $rows::<F, 2, 2>($work, place, $results),
                            3 => both!(3),
                            4 => both!(4),
                            5 => both!(5),
                            _ => both!(6),
                        }
                    }
                }};
            }
            for_format!($work.format, dispatch)
        })
    };
}

/// Computes the rows of a group for up to two tiles.
///
/// # Safety
/// The machine has AVX2, FMA and F16C.
pub unsafe fn kernel(work: &Work<'_>, results: &mut Results) {
    if work.spread.iter().all(|blocks| blocks.is_empty()) {
        return all_rows!(rows, work, results);
    }
    each_tile(work, |place| {
        macro_rules! dispatch {
            ($format:ident) => {{
                const F: u8 = Format::$format as u8;
                // SAFETY: the caller's promise; lengths were checked.
                unsafe { spread::kernel::<F>(work, place.number, results) }
            }};
        }
        for_format!(work.format, dispatch)
    });
}

/// The same with the dot products of bytes of AVX-VNNI.
///
/// # Safety
/// The machine has AVX2, FMA, F16C and AVX-VNNI.
pub unsafe fn kernel_vnni(work: &Work<'_>, results: &mut Results) {
    all_rows!(rows_vnni, work, results);
}

/// A tile and the first half of its lanes (0-7 or 8-15).
#[derive(Clone, Copy)]
struct Place {
    tile: *const u8,
    number: usize,
    half: usize,
}

/// Lets `some` compute all rows of each tile.
fn each_tile(work: &Work<'_>, mut some: impl FnMut(Place)) {
    let Work { group, columns, .. } = work;
    let blocks = columns / BLOCK;
    assert!((1..=VECTOR_ROWS).contains(&group.rows));
    assert!(work.tiles.iter().all(|t| t.len() >= blocks.div_ceil(2) * work.format.pair_bytes()));
    assert!(group.q.len() >= group.rows * columns && group.steps.len() >= group.rows * blocks);
    for (number, tile) in work.tiles.iter().enumerate() {
        some(Place { tile: tile.as_ptr(), number, half: 0 });
    }
}

/// Half `h` (rows 0-7 or 8-15) of group `g` of the block at `w`: unsigned.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn group<const F: u8>(w: *const u8, g: usize, h: usize) -> __m256i {
    // SAFETY: the block holds 8 groups, or 4 of nibbles and what is above them.
    unsafe {
        if matches!(format::<F>(), Format::Eight) {
            return _mm256_load_si256(w.add(g * 64 + h * 32).cast());
        }
        let v = _mm256_load_si256(w.add((g & 3) * 64 + h * 32).cast());
        let low = _mm256_set1_epi8(15);
        let n = match g < 4 {
            true => _mm256_and_si256(v, low),
            false => _mm256_and_si256(_mm256_srli_epi16::<4>(v), low),
        };
        match format::<F>() {
            Format::Five | Format::FiveZero => {
                // Spread 32 bits over 32 bytes: byte i takes bit i % 8 of byte i / 8.
                let bits = w.add(256 + g * 8 + h * 4).cast::<i32>().read_unaligned();
                let spread = _mm256_shuffle_epi8(
                    _mm256_set1_epi32(bits),
                    _mm256_setr_epi8(
                        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3,
                        3, 3, 3, 3, 3, 3, 3,
                    ),
                );
                let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
                let set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
                _mm256_or_si256(n, _mm256_and_si256(set, _mm256_set1_epi8(16)))
            }
            Format::Six => {
                let v = _mm256_load_si256(w.add(256 + (g >> 2) * 64 + h * 32).cast());
                let v = match g & 3 {
                    0 => _mm256_slli_epi16::<4>(v),
                    1 => _mm256_slli_epi16::<2>(v),
                    2 => v,
                    _ => _mm256_srli_epi16::<2>(v),
                };
                _mm256_or_si256(n, _mm256_and_si256(v, _mm256_set1_epi8(0x30)))
            }
            Format::FourTable => {
                let table = _mm_loadu_si128(TABLE.as_ptr().cast());
                _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), n)
            }
            _ => n,
        }
    }
}

/// How sums of products of weights (unsigned bytes) and activations (signed
/// ones) are kept: eight of 32 bits.
trait Dots: Copy {
    /// Whether weights stored plus 128 are multiplied as signed ones, because
    /// two products of unsigned ones would not fit into 16 bits.
    const SIGNED: bool;
    unsafe fn start(at: i32) -> Self;
    /// Four products are added to each sum.
    unsafe fn add(&mut self, w: __m256i, x: __m256i);
    /// The same with signed weights.
    unsafe fn add_signed(&mut self, w: __m256i, x: __m256i);
    /// Makes room for more to be added.
    unsafe fn widen(&mut self);
    unsafe fn sums(self) -> __m256i;
}

#[derive(Clone, Copy)]
struct Pairs {
    /// Sixteen of 16 bits.
    narrow: __m256i,
    wide: __m256i,
}

impl Dots for Pairs {
    const SIGNED: bool = true;

    #[inline(always)]
    unsafe fn start(at: i32) -> Self {
        // SAFETY: the caller has the instructions; so in what follows.
        unsafe { Self { narrow: _mm256_setzero_si256(), wide: _mm256_set1_epi32(at) } }
    }

    #[inline(always)]
    unsafe fn add(&mut self, w: __m256i, x: __m256i) {
        // SAFETY: as above.
        unsafe { self.narrow = _mm256_add_epi16(self.narrow, _mm256_maddubs_epi16(w, x)) }
    }

    #[inline(always)]
    unsafe fn add_signed(&mut self, w: __m256i, x: __m256i) {
        // SAFETY: as above.
        unsafe { self.add(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) }
    }

    #[inline(always)]
    unsafe fn widen(&mut self) {
        // SAFETY: as above.
        unsafe {
            let wide = _mm256_madd_epi16(self.narrow, _mm256_set1_epi16(1));
            self.wide = _mm256_add_epi32(self.wide, wide);
            self.narrow = _mm256_setzero_si256();
        }
    }

    #[inline(always)]
    unsafe fn sums(self) -> __m256i {
        self.wide
    }
}

#[derive(Clone, Copy)]
struct Vnni(__m256i);

impl Dots for Vnni {
    const SIGNED: bool = false;

    #[inline(always)]
    unsafe fn start(at: i32) -> Self {
        // SAFETY: the caller has the instructions; so in what follows.
        unsafe { Self(_mm256_set1_epi32(at)) }
    }

    #[inline(always)]
    unsafe fn add(&mut self, w: __m256i, x: __m256i) {
        // SAFETY: as above.
        unsafe { self.0 = _mm256_dpbusd_avx_epi32(self.0, w, x) }
    }

    #[inline(always)]
    unsafe fn add_signed(&mut self, w: __m256i, x: __m256i) {
        // SAFETY: as above.
        unsafe { self.add(w, x) }
    }

    #[inline(always)]
    unsafe fn widen(&mut self) {}

    #[inline(always)]
    unsafe fn sums(self) -> __m256i {
        self.0
    }
}

impl Format {
    /// Groups of weights whose products with activations can be added up in
    /// 16 bits: two products of `max * 127` each.
    const fn groups_in_16_bits(self) -> usize {
        match self {
            // 15 · 127 · 2 · 8 = 30,480
            Self::Four | Self::FourZero => 8,
            Self::FourHalves => 4,
            // 31 · 127 · 2 · 4 = 31,496
            Self::Five | Self::FiveZero => 4,
            // 63 · 127 · 2 · 2 = 32,004
            Self::Six => 2,
            // 128 · 127 · 2 = 32,512 of signed weights
            _ => 1,
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn rows<const F: u8, const MR: usize, const HALVES: usize>(
    work: &Work<'_>,
    place: Place,
    results: &mut Results,
) {
    // SAFETY: the caller's promise.
    unsafe { body::<Pairs, F, MR, HALVES>(work, place, results) }
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
unsafe fn rows_vnni<const F: u8, const MR: usize, const HALVES: usize>(
    work: &Work<'_>,
    place: Place,
    results: &mut Results,
) {
    // SAFETY: the caller's promise.
    unsafe { body::<Vnni, F, MR, HALVES>(work, place, results) }
}

/// The group's rows, of which there are `MR`, for eight lanes of a tile or for
/// all.
#[inline(always)]
unsafe fn body<D: Dots, const F: u8, const MR: usize, const HALVES: usize>(
    work: &Work<'_>,
    place: Place,
    results: &mut Results,
) {
    let shape = const { format::<F>() };
    let signed = const { D::SIGNED && matches!(format::<F>(), Format::Eight | Format::FourTable) };
    assert!(work.group.rows == MR && place.half + HALVES <= 2);
    // SAFETY: every pointer stays in the tile or in the rows of the group.
    unsafe {
        let mut sums = [[_mm256_setzero_ps(); MR]; HALVES];
        let mut q = work.group.q.as_ptr();
        let mut steps = work.group.steps.as_ptr();
        for b in 0..work.columns / BLOCK {
            if place.half == 0 {
                work.ahead.ask(place.tile, b);
            }
            let (weights_at, scales_at) = shape.block_at(b);
            let weights = place.tile.add(weights_at);
            let mut dots = [[D::start(0); MR]; HALVES];
            macro_rules! start {
                ($m:ident => $minus:expr) => {
                    for $m in 0..MR {
                        let at = match shape.zero_shift() {
                            Some(shift) if !signed => $minus << shift,
                            _ => 0,
                        };
                        for dots in &mut dots {
                            dots[$m] = D::start(at);
                        }
                    }
                };
            }
            macro_rules! columns {
                ($($g:literal)*) => { $(
                    let mut w = [_mm256_setzero_si256(); HALVES];
                    for h in 0..HALVES {
                        w[h] = group::<F>(weights, $g, place.half + h);
                        if signed {
                            w[h] = _mm256_xor_si256(w[h], _mm256_set1_epi8(-128));
                        }
                    }
                    for m in 0..MR {
                        let four = q.add(m * BLOCK + $g * 4).cast::<i32>().read_unaligned();
                        let x = _mm256_set1_epi32(four);
                        for h in 0..HALVES {
                            match signed {
                                true => dots[h][m].add_signed(w[h], x),
                                false => dots[h][m].add(w[h], x),
                            }
                            if ($g + 1) % shape.groups_in_16_bits() == 0 {
                                dots[h][m].widen();
                            }
                        }
                    }
                )* };
            }
            // Scales or offsets of eight lanes.
            macro_rules! halves {
                ($slot:literal, $h:ident) => {{
                    let at = place.tile.add(scales_at + $slot * 32 + (place.half + $h) * 16);
                    _mm256_cvtph_ps(_mm_load_si128(at.cast()))
                }};
            }
            macro_rules! add {
                ($slot:literal) => {
                    for h in 0..HALVES {
                        let s = halves!($slot, h);
                        for m in 0..MR {
                            let scale = _mm256_mul_ps(s, _mm256_set1_ps((*steps.add(m)).scale));
                            let dot = _mm256_cvtepi32_ps(dots[h][m].sums());
                            sums[h][m] = _mm256_fmadd_ps(dot, scale, sums[h][m]);
                        }
                    }
                };
            }
            if shape.has_halves() {
                start!(m => (*steps.add(m)).minus_low);
                columns!(0 1 2 3);
                add!(0);
                start!(m => (*steps.add(m)).minus_high());
                columns!(4 5 6 7);
                add!(1);
            } else {
                start!(m => (*steps.add(m)).minus);
                columns!(0 1 2 3 4 5 6 7);
                add!(0);
                if shape.zero_shift().is_none() {
                    for h in 0..HALVES {
                        let offset = halves!(1, h);
                        for m in 0..MR {
                            let weighted = _mm256_set1_ps((*steps.add(m)).weighted);
                            sums[h][m] = _mm256_fmadd_ps(offset, weighted, sums[h][m]);
                        }
                    }
                }
            }
            q = q.add(MR * BLOCK);
            steps = steps.add(MR);
        }
        for (h, sums) in sums.iter().enumerate() {
            for (m, &sum) in sums.iter().enumerate() {
                let lanes = &mut results[m][place.number];
                _mm256_storeu_ps(lanes.as_mut_ptr().add((place.half + h) * 8), sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Result, Tensor};

    use super::super::matmul::{Ahead, MAX_ROWS, PAIR};
    use super::super::{Activations, Packed, TILE, Wants};
    use super::*;

    /// AVX-VNNI's instruction by its encoding in AVX-512, for machines that
    /// have only that.
    #[derive(Clone, Copy)]
    struct Encoded(Vnni);

    impl Dots for Encoded {
        const SIGNED: bool = Vnni::SIGNED;

        unsafe fn start(at: i32) -> Self {
            // SAFETY: as for `Vnni`, and so in what follows.
            unsafe { Self(Vnni::start(at)) }
        }

        unsafe fn add(&mut self, w: __m256i, x: __m256i) {
            // SAFETY: as above.
            unsafe { self.0.0 = _mm256_dpbusd_epi32(self.0.0, w, x) }
        }

        unsafe fn add_signed(&mut self, w: __m256i, x: __m256i) {
            // SAFETY: as above.
            unsafe { self.add(w, x) }
        }

        unsafe fn widen(&mut self) {}

        unsafe fn sums(self) -> __m256i {
            self.0.0
        }
    }

    #[target_feature(enable = "avx2,fma,f16c,avx512vl,avx512vnni")]
    unsafe fn encoded(work: &Work<'_>, results: &mut Results) {
        each_tile(work, |place| {
            macro_rules! dispatch {
                ($format:ident) => {
                    for half in 0..2 {
                        const F: u8 = Format::$format as u8;
                        // SAFETY: the caller has the instructions.
                        unsafe { body::<Encoded, F, 5, 1>(work, Place { half, ..place }, results) }
                    }
                };
            }
            for_format!(work.format, dispatch)
        });
    }

    #[test]
    fn dot_products_of_both_kinds_are_equal() -> Result<()> {
        use std::arch::is_x86_feature_detected as has;
        if !(has!("avx512vl") && has!("avx512vnni") && has!("f16c") && has!("fma")) {
            return Ok(());
        }
        use GgmlDType::*;
        for dtype in [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q3K, Q4K, Q5K, Q6K] {
            let w = Tensor::randn(0f32, 1f32, (32, 512), &Device::Cpu)?;
            let q = QTensor::quantize(&w, dtype)?;
            let packed = Packed::new(&q.data()?, dtype, 32, 512).expect("the shape fits");
            let mut activations = Activations::default();
            let inputs = activations.inputs(5, 512, Wants::of([&packed]));
            // The largest sums there can be are among them.
            let x: Vec<f32> =
                (0..512).map(|i| if i < 256 { 1.0 } else { (i as f32).sin() }).collect();
            // SAFETY: there is one thread.
            let group = unsafe {
                (0..5).for_each(|r| inputs.set(r, &x));
                inputs.group(0)
            };
            let tiles = [packed.tile(0), packed.tile(1)];
            let format = packed.format;
            let ahead = Ahead::default();
            let work = Work {
                format,
                columns: 512,
                tiles: &tiles,
                spread: [&[]; 2],
                group: &group,
                ahead,
            };
            let [mut a, mut b]: [Results; 2] = [[[[0.0; TILE]; PAIR]; MAX_ROWS]; 2];
            // SAFETY: the machine has the instructions.
            unsafe {
                kernel(&work, &mut a);
                encoded(&work, &mut b);
            }
            assert!(a[0][0].iter().any(|&x| x != 0.0));
            assert_eq!(a, b, "{dtype:?}");
        }
        Ok(())
    }
}
