//! The loops that own a model.

pub mod embed;
pub mod generate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

use super::handle::{Health, Shared};

impl Shared {
    pub(super) fn set_health(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

/// Runs a step of a model; a panic in it is an error of that step and does
/// not end the thread.
fn guarded<T>(step: impl FnOnce() -> candle_core::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(panic) => {
            let text = panic
                .downcast_ref::<&str>()
                .map(|s| (*s).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            Err(format!("the computation panicked: {text}"))
        }
    }
}
