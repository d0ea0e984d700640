//! Eight 16-bit numbers in plain Rust.

use super::Words;

/// For any machine.
#[derive(Clone, Copy)]
pub struct Plain([u16; 8]);

impl Plain {
    #[inline(always)]
    fn each(self, f: impl Fn(u16) -> u16) -> Self {
        Self(self.0.map(f))
    }
}

impl Words for Plain {
    /// Each product has its own: pairs are added up at the end.
    type Sums = [i32; 8];

    #[inline(always)]
    fn load(from: &[u8; 16]) -> Self {
        Self(std::array::from_fn(|i| u16::from_le_bytes([from[2 * i], from[2 * i + 1]])))
    }

    #[inline(always)]
    fn of(numbers: &[i16; 8]) -> Self {
        Self(numbers.map(i16::cast_unsigned))
    }

    #[inline(always)]
    fn and(self, mask: u16) -> Self {
        self.each(|x| x & mask)
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].wrapping_sub(other.0[i])))
    }

    #[inline(always)]
    fn right(self, by: u32) -> Self {
        self.each(|x| x >> by)
    }

    #[inline(always)]
    fn left(self, by: u32) -> Self {
        self.each(|x| x << by)
    }

    #[inline(always)]
    fn low_bytes(self) -> Self {
        self.each(|x| ((x << 8).cast_signed() >> 8).cast_unsigned())
    }

    #[inline(always)]
    fn high_bytes(self) -> Self {
        self.each(|x| (x.cast_signed() >> 8).cast_unsigned())
    }

    #[inline(always)]
    fn pair(self, number: usize) -> Self {
        Self(std::array::from_fn(|i| self.0[2 * number + i % 2]))
    }

    #[inline(always)]
    fn fifths(bits: &[u8; 8], sixteen: usize) -> Self {
        let bits = u16::from_le_bytes([bits[2 * sixteen], bits[2 * sixteen + 1]]);
        let two = |i: usize| (bits >> (2 * i)) & 1 | (bits >> (2 * i + 1) & 1) << 8;
        Self(std::array::from_fn(|i| two(i) << 4))
    }

    #[inline(always)]
    fn none() -> [i32; 8] {
        [0; 8]
    }

    #[inline(always)]
    fn add_products(self, sums: [i32; 8], by: Self) -> [i32; 8] {
        let signed = |x: u16| i32::from(x.cast_signed());
        std::array::from_fn(|i| sums[i].wrapping_add(signed(self.0[i]) * signed(by.0[i])))
    }

    #[inline(always)]
    fn store(sums: [i32; 8], to: &mut [i32; 4]) {
        *to = std::array::from_fn(|i| sums[2 * i].wrapping_add(sums[2 * i + 1]));
    }
}
