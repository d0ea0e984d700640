//! The loops that own a model.

pub mod encode;
pub mod generate;
pub mod state;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, TryRecvError};

use super::handle::{Command, Health, Shared};

impl Shared {
    pub(super) fn set_health(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    /// A server that is stopping stays so, whatever happens to its model.
    pub(super) fn set_health_unless_draining(&self, new: Health) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if *health != Health::Draining {
            *health = new;
        }
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

/// What both loops have in common.
trait CommandLoop {
    fn commands(&self) -> &Receiver<Command>;
    fn take(&mut self, command: Command);
    /// Nothing runs and nothing waits.
    fn is_idle(&self) -> bool;
    /// Whether the loop is to end when it is idle.
    fn draining(&mut self) -> &mut bool;

    /// Takes what has arrived; sleeps while there is nothing to do. False when
    /// the loop is to end.
    fn drain_commands(&mut self) -> bool {
        loop {
            if self.is_idle() {
                if *self.draining() {
                    return false;
                }
                match self.commands().recv() {
                    Ok(command) => self.take(command),
                    Err(_) => return false,
                }
            }
            loop {
                match self.commands().try_recv() {
                    Ok(command) => self.take(command),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        *self.draining() = true;
                        break;
                    }
                }
            }
            if !self.is_idle() {
                return true;
            }
        }
    }
}
