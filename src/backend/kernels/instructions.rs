//! Which of the processor's instructions kernels may use.
//!
//! By default all it has. A limit serves to measure what other machines would
//! do, and to test the kernels that this machine would never choose.

use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Sets of instructions that kernels are compiled for; of one architecture each
/// includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Instructions {
    /// What every processor of the architecture has, as the compiler uses it.
    Portable,
    /// AVX2 with FMA and F16C.
    Avx2,
    /// The same and AVX-VNNI.
    AvxVnni,
    /// AVX-512 F, BW, VL, DQ, and VNNI where a kernel needs it.
    Avx512,
    /// The same and AMX.
    Amx,
    /// NEON, which every 64-bit ARM has.
    Neon,
    /// The same and the dot products of bytes.
    Dotprod,
    /// The same and the products of matrices of bytes.
    I8mm,
}

const NAMES: [(&str, Instructions); 8] = [
    ("portable", Instructions::Portable),
    ("avx2", Instructions::Avx2),
    ("avxvnni", Instructions::AvxVnni),
    ("avx512", Instructions::Avx512),
    ("amx", Instructions::Amx),
    ("neon", Instructions::Neon),
    ("dotprod", Instructions::Dotprod),
    ("i8mm", Instructions::I8mm),
];

impl FromStr for Instructions {
    type Err = String;

    /// # Errors
    /// There is no such set, or it is of another architecture.
    fn from_str(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map_or_else(|| Err(none_of(name)), |(_, set)| set.checked())
    }
}

fn none_of(name: &str) -> String {
    let here = NAMES.iter().filter(|(_, set)| set.of_this_architecture());
    let here: Vec<_> = here.map(|(name, _)| *name).collect();
    format!("{name:?} is no set of instructions of this architecture; use {}", here.join(", "))
}

impl Instructions {
    /// Whether processors of this architecture can have it.
    const fn of_this_architecture(self) -> bool {
        match self {
            Self::Portable => true,
            Self::Avx2 | Self::AvxVnni | Self::Avx512 | Self::Amx => cfg!(target_arch = "x86_64"),
            Self::Neon | Self::Dotprod | Self::I8mm => cfg!(target_arch = "aarch64"),
        }
    }

    fn checked(self) -> Result<Self, String> {
        let name = NAMES.iter().find(|(_, set)| *set == self).map_or("", |(name, _)| name);
        self.of_this_architecture().then_some(self).ok_or_else(|| none_of(name))
    }
}

/// Not set.
const NONE: u8 = u8::MAX;
static LIMIT: AtomicU8 = AtomicU8::new(NONE);

/// Lets kernels use no more than this, from now on.
///
/// # Errors
/// The set is of another architecture.
pub fn limit_to(most: Instructions) -> Result<(), String> {
    LIMIT.store(most.checked()? as u8, Relaxed);
    Ok(())
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
        let named = std::env::var(VARIABLE).ok().map(|name| name.parse::<Instructions>());
        let limit = named.map_or(NONE - 1, |set| set.unwrap() as u8);
        LIMIT.store(limit, Relaxed);
        limit
    }

    /// Runs the tests of the kernels again with fewer instructions. In
    /// processes of their own: the limit holds for all threads.
    #[test]
    fn narrower_sets_pass_the_same_tests() {
        if std::env::var_os(VARIABLE).is_some() {
            return;
        }
        let names: &[&str] = match cfg!(target_arch = "aarch64") {
            true => &["portable", "neon", "dotprod"],
            // What AMX does not multiply is AVX-512's on the same machine.
            false => &["portable", "avx2"],
        };
        for name in names {
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
        let (own, others, all) = match cfg!(target_arch = "aarch64") {
            true => ("dotprod", "avx2", "portable, neon, dotprod, i8mm"),
            false => ("avx2", "dotprod", "portable, avx2, avxvnni, avx512, amx"),
        };
        assert!(own.parse::<Instructions>().is_ok_and(|set| set > Instructions::Portable));
        for unknown in ["sse9", others] {
            let said = unknown.parse::<Instructions>().unwrap_err();
            assert!(said.contains(unknown) && said.ends_with(all), "{said}");
        }
    }

    #[test]
    fn a_limit_of_another_architecture_is_refused() {
        let other = match cfg!(target_arch = "aarch64") {
            true => Instructions::Avx2,
            false => Instructions::Neon,
        };
        assert!(limit_to(other).is_err());
    }
}
