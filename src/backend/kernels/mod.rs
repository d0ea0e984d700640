//! CPU kernels, the only place with `unsafe`.
//!
//! A kernel is written once, in plain loops that the compiler vectorises, and
//! compiled for several instruction sets; the widest one this machine has is
//! chosen at run time.
#![allow(unsafe_code)]

pub mod activation;
pub mod attention;
pub mod math;
pub mod mmap;
pub mod packed;
pub mod peak;
pub mod softmax;

/// Defines `$name` as a function that runs `$body`, an `#[inline(always)]`
/// function of the same signature, compiled for AVX-512, AVX2 or the baseline.
macro_rules! multiversion {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        $(#[$doc])*
        $vis fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
                fn avx512($($arg: $ty),*) { $body($($arg),*) }
                #[target_feature(enable = "avx2,fma,f16c")]
                fn avx2($($arg: $ty),*) { $body($($arg),*) }
                use std::arch::is_x86_feature_detected as has;
                if has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq") && has!("fma") {
                    // SAFETY: the features were detected on this machine.
                    return unsafe { avx512($($arg),*) };
                }
                if has!("avx2") && has!("fma") && has!("f16c") {
                    // SAFETY: the features were detected on this machine.
                    return unsafe { avx2($($arg),*) };
                }
            }
            $body($($arg),*)
        }
    };
}
pub(crate) use multiversion;
