//! Eight 16-bit numbers as one value, of which sums of products are made in 32
//! bits.
//!
//! Every x86-64 multiplies and adds them in pairs with one instruction. The
//! compiler finds it for loops over arrays in memory, but takes arrays that
//! should stay in registers apart: kernels took three times as long. So there
//! it is named.

#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain;
#[cfg(target_arch = "x86_64")]
mod sse2;

/// With what every machine of the architecture has.
#[cfg(not(target_arch = "x86_64"))]
pub use plain::Plain as Here;
#[cfg(target_arch = "x86_64")]
pub use sse2::Sse2 as Here;

/// A way to hold and compute eight 16-bit numbers.
pub trait Words: Copy {
    /// Four sums in 32 bits.
    type Sums: Copy;

    /// Eight numbers as they lie in memory: the lower byte first.
    fn load(from: &[u8; 16]) -> Self;
    fn of(numbers: &[i16; 8]) -> Self;
    fn and(self, mask: u16) -> Self;
    fn or(self, other: Self) -> Self;
    /// Wraps around.
    fn minus(self, other: Self) -> Self;
    /// Shifts zeros in from above.
    fn right(self, by: u32) -> Self;
    fn left(self, by: u32) -> Self;
    /// The lower byte of each with its sign.
    fn low_bytes(self) -> Self;
    /// The upper byte of each with its sign.
    fn high_bytes(self) -> Self;
    /// Numbers `2 number` and `2 number + 1` of 0 to 7, four times.
    fn pair(self, number: usize) -> Self;
    /// Sixteen bits, number `sixteen` of four: each as the fifth of a byte.
    fn fifths(bits: &[u8; 8], sixteen: usize) -> Self;

    fn none() -> Self::Sums;
    /// To each sum its two products are added, of signed numbers.
    fn add_products(self, sums: Self::Sums, by: Self) -> Self::Sums;
    fn store(sums: Self::Sums, to: &mut [i32; 4]);
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::plain::Plain;
    use super::sse2::Sse2;
    use super::*;

    /// What an operation makes of numbers, as pair sums with others.
    fn all<W: Words>(bytes: [u8; 16], others: [u8; 16]) -> Vec<[i32; 4]> {
        let (x, y) = (W::load(&bytes), W::load(&others));
        let numbers = std::array::from_fn(|i| i16::from_le_bytes([bytes[i], others[i]]));
        let mut made = vec![
            x,
            W::of(&numbers),
            x.and(0x1234),
            x.or(y),
            x.minus(y),
            x.low_bytes(),
            x.high_bytes(),
        ];
        made.extend((0..16).flat_map(|by| [x.left(by), x.right(by)]));
        made.extend((0..4).map(|number| x.pair(number)));
        let bits = bytes.first_chunk().expect("sixteen bytes");
        made.extend((0..4).map(|sixteen| W::fifths(bits, sixteen)));
        // Factors of 1 and 0 let each number be seen.
        let first: [u8; 16] = std::array::from_fn(|i| u8::from(i % 4 == 0));
        let second: [u8; 16] = std::array::from_fn(|i| u8::from(i % 4 == 2));
        let by = [W::load(&first), W::load(&second), y];
        let stored = |sums| {
            let mut to = [0; 4];
            W::store(sums, &mut to);
            to
        };
        let products =
            |of: W| by.map(|by| stored(by.add_products(of.add_products(W::none(), by), y)));
        made.into_iter().flat_map(products).collect()
    }

    #[test]
    fn both_ways_are_equal() {
        let mut state = 1u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for _ in 0..500 {
            let (a, b) = (std::array::from_fn(|_| byte()), std::array::from_fn(|_| byte()));
            assert_eq!(all::<Sse2>(a, b), all::<Plain>(a, b), "{a:?} {b:?}");
        }
    }
}
