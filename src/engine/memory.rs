//! One budget of main memory for all models of a process.
//!
//! Each model takes what it can need at worst when it starts: its weights, its
//! cache, and the largest step. A model that does not fit is refused then, and
//! nothing that is admitted later needs more.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// What models may take together, and what they have taken.
#[derive(Debug, Default)]
pub struct MemoryBudget {
    /// Bytes; `None` is no bound.
    total: Option<u64>,
    /// Model and bytes.
    taken: Mutex<Vec<(String, u64)>>,
}

/// A model does not fit.
#[derive(Debug, thiserror::Error)]
#[error(
    "{model} needs {needed} MiB ({parts}), and {left} of {total} MiB are left{others}; lower \
     engine.kv_cache_mib or engine.max_batch_tokens, load fewer models, or raise engine.memory_mib"
)]
pub struct OverBudget {
    model: String,
    needed: u64,
    parts: String,
    left: u64,
    total: u64,
    others: String,
}

const MIB: u64 = 1 << 20;

impl MemoryBudget {
    /// A budget of so many MiB; without one, of what the machine has free now.
    pub fn new(mib: Option<usize>) -> Self {
        let total = mib.map(|mib| mib as u64 * MIB).or_else(available);
        Self { total, taken: Mutex::default() }
    }

    /// Bytes that no model has taken; `None` where there is no bound.
    pub fn left(&self) -> Option<u64> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        Some(self.total?.saturating_sub(taken.iter().map(|t| t.1).sum()))
    }

    /// Whether parts of so many bytes would fit.
    ///
    /// # Errors
    /// They do not; the message adds them up.
    pub fn check(&self, model: &str, parts: &[(&str, u64)]) -> Result<(), OverBudget> {
        self.fit(&self.taken.lock().unwrap_or_else(PoisonError::into_inner), model, parts)
    }

    /// Takes memory for a model.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn reserve(&self, model: &str, parts: &[(&str, u64)]) -> Result<(), OverBudget> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        self.fit(&taken, model, parts)?;
        let bytes = parts.iter().map(|p| p.1).sum();
        let mib = bytes / MIB;
        tracing::debug!(model, "at most {mib} MiB of memory: {}", describe(parts));
        taken.push((model.to_owned(), bytes));
        Ok(())
    }

    fn fit(
        &self,
        taken: &[(String, u64)],
        model: &str,
        parts: &[(&str, u64)],
    ) -> Result<(), OverBudget> {
        let Some(total) = self.total else { return Ok(()) };
        let needed: u64 = parts.iter().map(|p| p.1).sum();
        let left = total.saturating_sub(taken.iter().map(|t| t.1).sum());
        if needed <= left {
            return Ok(());
        }
        let mut others = String::new();
        for (name, bytes) in taken {
            let _ = write!(others, "; {name} has {} MiB", bytes / MIB);
        }
        Err(OverBudget {
            model: model.to_owned(),
            needed: needed.div_ceil(MIB),
            parts: describe(parts),
            left: left / MIB,
            total: total / MIB,
            others,
        })
    }
}

fn describe(parts: &[(&str, u64)]) -> String {
    let each: Vec<_> =
        parts.iter().map(|(name, bytes)| format!("{name} {}", bytes.div_ceil(MIB))).collect();
    each.join(" + ")
}

/// Bytes that programs can still take on this machine, or in its container,
/// where that is known.
fn available() -> Option<u64> {
    let read = |path| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    });
    let number = |path| read(path).and_then(|text| text.trim().parse::<u64>().ok());
    // "max" is no number and no bound.
    let container = number("/sys/fs/cgroup/memory.max")
        .map(|max| max.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    [machine, container].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_share_one_budget_and_the_one_too_many_is_refused() {
        let budget = MemoryBudget::new(Some(100));
        budget.reserve("a", &[("weights", 40 * MIB), ("KV cache", 20 * MIB)]).unwrap();
        budget.check("b", &[("weights", 40 * MIB)]).unwrap();
        let parts = [("weights", 30 * MIB), ("one step", 11 * MIB)];
        let error = budget.reserve("b", &parts).unwrap_err().to_string();
        for part in
            ["b needs 41 MiB (weights 30 + one step 11)", "40 of 100 MiB are left; a has 60 MiB"]
        {
            assert!(error.contains(part), "{error}");
        }
        budget.reserve("b", &parts[..1]).unwrap();
        MemoryBudget::default().reserve("c", &[("weights", u64::MAX)]).unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_has_some_memory() {
        assert!(available().is_some_and(|bytes| bytes > 64 * MIB));
    }
}
