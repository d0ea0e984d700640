//! AMX: eight registers, each a tile of up to sixteen rows of 64 bytes, and
//! products of two of them. Stable Rust has no functions for it, so these are
//! the instructions themselves.
//!
//! What the tiles of a thread are is set by [`configure`] and holds until
//! [`InUse`] is dropped; nothing else in the process uses them.

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::cell::Cell;
use std::sync::OnceLock;

/// Rows of a tile.
pub const ROWS: usize = 16;

/// Whether the processor has AMX with products of bytes and of bf16, and lets
/// this process use it.
pub fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| named() && permitted() && runs())
}

/// Whether the processor names it and the system saves its registers.
fn named() -> bool {
    // Of the seventh leaf: AMX-BF16, AMX-TILE and AMX-INT8.
    const FEATURES: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    // TILECFG and TILEDATA.
    const STATES: u64 = 1 << 17 | 1 << 18;
    if !is_x86_feature_detected!("xsave") || !is_x86_feature_detected!("avx512f") {
        return false;
    }
    // SAFETY: the instruction is there, as was detected.
    let states = unsafe { enabled_states() };
    __cpuid_count(7, 0).edx & FEATURES == FEATURES && states & STATES == STATES
}

#[target_feature(enable = "xsave")]
fn enabled_states() -> u64 {
    // SAFETY: register 0 is always there.
    unsafe { _xgetbv(0) }
}

/// Asks the system to let this process use the registers, which Linux does not
/// before it is asked: they make what it saves of each thread larger.
fn permitted() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const TILEDATA: usize = 18;
    // SAFETY: it changes what this process may do, no memory.
    cfg!(target_os = "linux")
        && unsafe { call(ARCH_PRCTL, [ARCH_REQ_XCOMP_PERM, TILEDATA, 0, 0]) } == 0
}

/// Whether it does run. Some virtual machines name it and then refuse its
/// instructions, which ends a process; so a child tries.
fn runs() -> bool {
    const CLONE: usize = 56;
    const WAIT4: usize = 61;
    const EXIT_GROUP: usize = 231;
    const ALL_KINDS: usize = 0x4000_0000;
    const INTERRUPTED: isize = -4;
    let mut status = 0i32;
    // SAFETY: the child, a copy of this thread, touches nothing but its own
    // registers and stack before it is gone; it sends no signal when it is.
    unsafe {
        match call(CLONE, [0; 4]) {
            0 => {
                configure(Shape { rows: [1, 1], bytes: 4 });
                zero::<0>();
                zero::<4>();
                zero::<6>();
                multiply_signed::<0, 4, 6>();
                call(EXIT_GROUP, [0; 4]);
                unreachable!("a process that ended goes on")
            }
            child if child > 0 => {
                let at = (&raw mut status).addr();
                loop {
                    match call(WAIT4, [child.cast_unsigned(), at, ALL_KINDS, 0]) {
                        INTERRUPTED => {}
                        waited => break waited == child && status == 0,
                    }
                }
            }
            _ => false,
        }
    }
}

/// A system call of Linux.
///
/// # Safety
/// That of the call.
unsafe fn call(number: usize, arguments: [usize; 4]) -> isize {
    let result: isize;
    let [a, b, c, d] = arguments;
    // SAFETY: the registers are those of Linux's calls.
    unsafe {
        asm!(
            "syscall", inlateout("rax") number.cast_signed() => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") 0,
            lateout("rcx") _, lateout("r11") _, options(nostack)
        );
    }
    result
}

/// What the tiles are: 0 to 3 hold sums, of which 0 and 1 have `rows[0]` rows
/// and 2 and 3 `rows[1]`; 4 and 5 as many rows of `bytes` bytes; 6 and 7 what
/// those are multiplied with, sixteen columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub rows: [u8; 2],
    /// A multiple of 4, at most 64.
    pub bytes: u8,
}

thread_local! {
    static SHAPE: Cell<Option<Shape>> = const { Cell::new(None) };
}

/// Sets what the tiles of this thread are.
///
/// # Safety
/// AMX is available.
#[inline]
pub unsafe fn configure(shape: Shape) {
    if SHAPE.get() != Some(shape) {
        // SAFETY: by the caller's promise.
        unsafe { configure_anew(shape) };
    }
}

#[cold]
unsafe fn configure_anew(shape: Shape) {
    #[repr(C, align(64))]
    struct Config {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes: [u16; 16],
        rows: [u8; 16],
    }
    let mut config =
        Config { palette: 1, start_row: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
    let [a, b] = shape.rows;
    for (tile, rows) in [a, a, b, b, a, b, shape.bytes / 4, shape.bytes / 4].into_iter().enumerate()
    {
        config.rows[tile] = rows;
        config.bytes[tile] = if matches!(tile, 4 | 5) { shape.bytes.into() } else { 64 };
    }
    // A tile without rows is refused; nobody uses it then.
    for tile in 0..8 {
        if config.rows[tile] == 0 {
            config.bytes[tile] = 0;
        }
    }
    // SAFETY: the whole of it is read; by the caller's promise.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, preserves_flags, readonly));
    }
    SHAPE.set(Some(shape));
}

/// Gives the tiles back where it is dropped, so that the system need not save
/// them.
pub struct InUse;

impl Drop for InUse {
    #[inline]
    fn drop(&mut self) {
        if SHAPE.take().is_some() {
            // SAFETY: they were configured.
            unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
        }
    }
}

/// Sets a tile to 0.
///
/// # Safety
/// The tile is configured.
#[inline(always)]
pub unsafe fn zero<const TILE: u8>() {
    // SAFETY: by the caller's promise; the compiler uses no tiles.
    unsafe { asm!("tilezero tmm{}", const TILE, options(nostack, nomem, preserves_flags)) };
}

/// Reads a tile's rows, which are `stride` bytes apart.
///
/// # Safety
/// The tile is configured, and its rows can be read there.
#[inline(always)]
pub unsafe fn load<const TILE: u8>(at: *const u8, stride: usize) {
    // SAFETY: by the caller's promise.
    unsafe {
        asm!("tileloadd tmm{}, [{} + {}*1]", const TILE, in(reg) at, in(reg) stride,
            options(nostack, readonly, preserves_flags));
    }
}

/// Writes the rows of a tile, 64 bytes each, `stride` bytes apart.
///
/// # Safety
/// The tile is configured, and its rows can be written there.
#[inline(always)]
pub unsafe fn store<const TILE: u8>(to: *mut i32, stride: usize) {
    // SAFETY: by the caller's promise.
    unsafe {
        asm!("tilestored [{} + {}*1], tmm{}", in(reg) to, in(reg) stride, const TILE,
            options(nostack, preserves_flags));
    }
}

/// Defines a function that adds the products of the bytes of two tiles to `SUMS`.
macro_rules! multiply {
    ($(#[$doc:meta])* $name:ident = $instruction:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The tiles are configured.
        #[inline(always)]
        pub unsafe fn $name<const SUMS: u8, const X: u8, const W: u8>() {
            // SAFETY: by the caller's promise; the compiler uses no tiles.
            unsafe {
                asm!(concat!($instruction, " tmm{}, tmm{}, tmm{}"), const SUMS, const X, const W,
                    options(nostack, nomem, preserves_flags));
            }
        }
    };
}

multiply!(
    /// Signed bytes.
    multiply_signed = "tdpbssd"
);
multiply!(
    /// Pairs of bf16, sums in f32.
    multiply_brains = "tdpbf16ps"
);

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    /// Rows, and columns as tiles have them, of so many numbers in each.
    fn products<T: Copy, const N: usize>(
        x: [[T; N]; 3],
        each: usize,
        w: impl Fn(usize, usize) -> T,
        multiply: unsafe fn(),
    ) -> [[u32; 16]; 3] {
        let bytes = N * size_of::<T>();
        let columns: Vec<T> =
            (0..N * 16).map(|i| w(i / (16 * each) * each + i % each, i / each % 16)).collect();
        let mut sums = [[0u32; 16]; 3];
        let _in_use = InUse;
        // SAFETY: it is available; all rows are there.
        unsafe {
            configure(Shape { rows: [3, 3], bytes: bytes as u8 });
            load::<4>(x.as_ptr().cast(), bytes);
            load::<6>(columns.as_ptr().cast(), 64);
            zero::<0>();
            multiply();
            store::<0>(sums.as_mut_ptr().cast(), 64);
        }
        sums
    }

    #[test]
    fn what_is_available_multiplies() {
        if !available() {
            return;
        }
        let x: [[i8; 8]; 3] =
            std::array::from_fn(|r| std::array::from_fn(|c| (r * 97 + c * 31) as i8));
        let w = |c: usize, n: usize| (c * 7 + n * 53) as i8;
        let found = products(x, 4, w, multiply_signed::<0, 4, 6>);
        for (x, found) in x.iter().zip(found) {
            for (n, found) in found.into_iter().enumerate() {
                let terms = x.iter().enumerate().map(|(c, &x)| i32::from(x) * i32::from(w(c, n)));
                assert_eq!(found.cast_signed(), terms.sum::<i32>());
            }
        }
        let x: [[bf16; 4]; 3] = std::array::from_fn(|r| {
            std::array::from_fn(|c| bf16::from_f32((r * 9 + c) as f32 - 7.5))
        });
        let w = |c: usize, n: usize| bf16::from_f32(c as f32 * 0.5 - n as f32);
        let found = products(x, 2, w, multiply_brains::<0, 4, 6>);
        for (x, found) in x.iter().zip(found) {
            for (n, found) in found.into_iter().enumerate() {
                let terms = x.iter().enumerate().map(|(c, x)| x.to_f32() * w(c, n).to_f32());
                // Small numbers, whose sums are exact.
                assert_eq!(f32::from_bits(found), terms.sum::<f32>());
            }
        }
    }
}
