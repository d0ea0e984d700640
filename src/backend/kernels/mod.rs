//! CPU kernels, the only place with `unsafe`.
//!
//! A kernel is written once, in plain loops that the compiler vectorises, and
//! compiled for several instruction sets; the widest one this machine has is
//! chosen at run time.
#![allow(unsafe_code)]
// A number names a row or a tile in several arrays at once, as in the formulas.
#![allow(clippy::needless_range_loop)]

pub mod activation;
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "aarch64")]
mod arm;
pub mod attention;
pub mod blocks;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod float8;
pub mod instructions;
pub mod layer;
pub mod math;
pub mod mean;
pub mod mmap;
pub mod narrow;
pub mod norm;
pub mod packed;
pub mod peak;
pub mod rows;
pub mod simd;
pub mod softmax;
pub mod team;
pub mod zeroed;

/// Defines `$name` as a function that runs `$body`, an `#[inline(always)]`
/// function of the same signature, compiled for AVX-512, AVX2 or the baseline.
/// With `simd fn` the body is generic over a [`simd::Simd`], NEON's among them;
/// for the plain one NEON is the baseline.
macro_rules! multiversion {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        $crate::backend::kernels::multiversion!(
            @define ($body, $body, (false, $body), $body) $(#[$doc])* $vis fn $name($($arg: $ty),*)
        );
    };
    ($(#[$doc:meta])* $vis:vis simd fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        $crate::backend::kernels::multiversion!(
            @define (
                $body::<$crate::backend::kernels::simd::Avx512>,
                $body::<$crate::backend::kernels::simd::Avx2>,
                (
                    $crate::backend::kernels::instructions::allows(
                        $crate::backend::kernels::instructions::Instructions::Neon
                    ),
                    $body::<$crate::backend::kernels::simd::Neon>
                ),
                $body::<$crate::backend::kernels::simd::Baseline>
            )
            $(#[$doc])* $vis fn $name($($arg: $ty),*)
        );
    };
    (
        @define ($wide:expr, $middle:expr, ($has_neon:expr, $neon:expr), $narrow:expr)
        $(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*)
    ) => {
        $(#[$doc])*
        $vis fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
                fn avx512($($arg: $ty),*) { $wide($($arg),*) }
                #[target_feature(enable = "avx2,fma,f16c")]
                fn avx2($($arg: $ty),*) { $middle($($arg),*) }
                use $crate::backend::kernels::instructions::{Instructions, allows};
                use std::arch::is_x86_feature_detected as has;
                if allows(Instructions::Avx512)
                    && has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq") && has!("fma") {
                    // SAFETY: the features were detected on this machine.
                    return unsafe { avx512($($arg),*) };
                }
                if allows(Instructions::Avx2) && has!("avx2") && has!("fma") && has!("f16c") {
                    // SAFETY: the features were detected on this machine.
                    return unsafe { avx2($($arg),*) };
                }
            }
            #[cfg(target_arch = "aarch64")]
            if $has_neon {
                return $neon($($arg),*);
            }
            $narrow($($arg),*)
        }
    };
}
pub(crate) use multiversion;
