//! Steps that are begun before the tokens of the one before have come.

use std::time::Instant;

use super::super::guarded;
use super::Loop;
use super::draw::Drawing;
use crate::engine::scheduler::Step;

/// A step that was begun before the tokens of the one before had come.
pub(super) struct Ahead {
    pub step: Step,
    pub ran: Result<(), String>,
    /// When those had.
    pub since: Instant,
}

impl Loop {
    /// The step that went ahead, unless all of its texts are gone.
    pub(super) fn take_ahead(&mut self) -> Option<Ahead> {
        let mut ahead = self.ahead.take()?;
        let goes_on = self.scheduler.catch_up(&mut ahead.step);
        (goes_on || ahead.ran.is_err()).then_some(ahead)
    }

    /// Begins the step after `step` while the tokens of that are being drawn,
    /// where it can be told what that is.
    pub(super) fn go_ahead(&mut self, step: &Step, drawing: &Drawing) {
        let Some((texts, tokens)) = drawing.one_each() else { return };
        let Some(next) = self.scheduler.ahead(step, &texts, tokens) else { return };
        let (state, logits) = (&mut self.state, &mut self.logits);
        let ran = guarded(|| state.forward(&next.batch, &next.copies, logits));
        self.ahead = Some(Ahead { step: next, ran, since: Instant::now() });
    }
}
