//! Which of the processor's instructions kernels may use.
//!
//! By default all it has. A limit serves to measure what other machines would
//! do, and to test the kernels that this machine would never choose.

use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Sets of instructions that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Instructions {
    /// What every processor of the architecture has.
    Portable,
    /// AVX2 with FMA and F16C.
    Avx2,
    /// The same and AVX-VNNI.
    AvxVnni,
    /// AVX-512 F, BW, VL, DQ, and VNNI where a kernel needs it.
    Avx512,
}

const NAMES: [(&str, Instructions); 4] = [
    ("portable", Instructions::Portable),
    ("avx2", Instructions::Avx2),
    ("avxvnni", Instructions::AvxVnni),
    ("avx512", Instructions::Avx512),
];

impl FromStr for Instructions {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, set)| *set).ok_or_else(|| {
            let known = NAMES.map(|(known, _)| known).join(", ");
            format!("{name:?} is no set of instructions; use {known}")
        })
    }
}

/// Not set.
const NONE: u8 = u8::MAX;
static LIMIT: AtomicU8 = AtomicU8::new(NONE);

/// Lets kernels use no more than this, from now on.
pub fn limit_to(most: Instructions) {
    LIMIT.store(most as u8, Relaxed);
}

/// Whether kernels may use these, if the processor has them.
#[inline]
pub fn allows(set: Instructions) -> bool {
    set as u8 <= limit()
}

#[inline]
fn limit() -> u8 {
    match LIMIT.load(Relaxed) {
        #[cfg(test)]
        NONE => tests::limit(),
        limit => limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit of a child that [`narrower_sets_pass_the_same_tests`] started.
    const VARIABLE: &str = "DRAGOMAN_TEST_INSTRUCTIONS";

    pub fn limit() -> u8 {
        let named = std::env::var(VARIABLE).ok().and_then(|name| name.parse().ok());
        let limit = named.unwrap_or(Instructions::Avx512);
        limit_to(limit);
        limit as u8
    }

    /// Runs the tests of the kernels again with fewer instructions. In
    /// processes of their own: the limit holds for all threads.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn narrower_sets_pass_the_same_tests() {
        if std::env::var_os(VARIABLE).is_some() {
            return;
        }
        for name in ["portable", "avx2"] {
            let output = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["backend::"])
                .env(VARIABLE, name)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{name}:\n{said}");
            assert!(said.contains("kernels::packed::tests"), "{name}:\n{said}");
        }
    }

    #[test]
    fn names_are_read_and_others_refused() {
        assert_eq!("avx2".parse(), Ok(Instructions::Avx2));
        assert!(
            "sse9".parse::<Instructions>().unwrap_err().contains("portable, avx2, avxvnni, avx512")
        );
    }
}
