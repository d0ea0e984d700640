//! All answers of one request: `n` to each prompt, submitted as the queue has
//! room and merged into one stream.
//!
//! A request with more prompts than the queue has places would be refused for
//! ever if all had to fit at once. So the first one must fit, and the rest
//! follow as answers finish.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{SelectAll, Stream, StreamExt};

use super::wire::common as wire;
use crate::engine::{
    Engine, Event, FinishReason, Generation, GenerationRequest, SubmitError, Usage,
};

/// Answers of one request that run or wait in the engine at a time, so that
/// one client does not fill the queue.
const WINDOW: usize = 64;
/// How long to wait when others filled the queue while none of ours runs.
const RETRY: Duration = Duration::from_millis(50);

/// A piece of one answer.
#[derive(Debug)]
pub enum Piece {
    /// Never empty.
    Text(String),
    Finished {
        reason: FinishReason,
        usage: Usage,
    },
}

/// The running and the waiting answers. Dropping it cancels all.
pub struct Choices {
    engine: Engine,
    prompts: Vec<GenerationRequest>,
    n: usize,
    waiting: VecDeque<usize>,
    running: SelectAll<Numbered>,
}

impl Choices {
    /// Submits what fits; answer `i` of prompt `p` has the number `p * n + i`.
    ///
    /// # Errors
    /// When not even the first is admitted.
    pub fn start(
        engine: Engine,
        prompts: Vec<GenerationRequest>,
        n: usize,
    ) -> Result<Self, SubmitError> {
        let waiting = (0..prompts.len() * n).collect();
        let mut choices = Self { engine, prompts, n, waiting, running: SelectAll::new() };
        choices.fill()?;
        Ok(choices)
    }

    /// How many answers there will be.
    pub fn count(&self) -> usize {
        self.prompts.len() * self.n
    }

    /// Tokens of all prompts, each counted once.
    pub fn prompt_tokens(&self) -> usize {
        self.prompts.iter().map(|request| request.prompt.len()).sum()
    }

    /// The next piece of any answer; `None` when all are finished. After an
    /// error, drop the rest.
    pub async fn next(&mut self) -> Option<Result<(usize, Piece), SubmitError>> {
        loop {
            match self.running.next().await {
                Some((index, Event::Delta { text, .. })) if !text.is_empty() => {
                    return Some(Ok((index, Piece::Text(text))));
                }
                // Sampled, but held back: half a character, or maybe a stop string.
                Some((_, Event::Delta { .. })) => {}
                Some((index, Event::Finished { reason, usage })) => {
                    return Some(match self.refill() {
                        Ok(()) => Ok((index, Piece::Finished { reason, usage })),
                        Err(error) => Err(error),
                    });
                }
                Some((_, Event::TimedOut { waited })) => {
                    return Some(Err(SubmitError::TimedOut { waited }));
                }
                Some((_, Event::Failed { message })) => {
                    return Some(Err(SubmitError::Failed(message)));
                }
                None if self.waiting.is_empty() => return None,
                None => {
                    tokio::time::sleep(RETRY).await;
                    if let Err(error) = self.refill() {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    /// Waits for all answers: their texts in order, and the tokens they took.
    ///
    /// # Errors
    /// The first failure of any answer; the others are cancelled.
    pub async fn collect(
        mut self,
    ) -> Result<(Vec<(String, wire::FinishReason)>, wire::Usage), SubmitError> {
        let mut texts = vec![(String::new(), wire::FinishReason::Stop); self.count()];
        let mut completion_tokens = 0;
        while let Some(piece) = self.next().await {
            match piece? {
                (index, Piece::Text(text)) => texts[index].0.push_str(&text),
                (index, Piece::Finished { reason, usage }) => {
                    texts[index].1 = reason.into();
                    completion_tokens += usage.completion_tokens;
                }
            }
        }
        Ok((texts, wire::Usage::new(self.prompt_tokens(), completion_tokens)))
    }

    /// [`Self::fill`], for which a full queue is a reason to wait.
    fn refill(&mut self) -> Result<(), SubmitError> {
        match self.fill() {
            Err(SubmitError::QueueFull { .. }) => Ok(()),
            other => other,
        }
    }

    fn fill(&mut self) -> Result<(), SubmitError> {
        while self.running.len() < WINDOW {
            let Some(&index) = self.waiting.front() else {
                break;
            };
            let mut request = self.prompts[index / self.n].clone();
            // Equal seeds would give n equal answers.
            let number = (index % self.n) as u64;
            request.sampling.seed = request.sampling.seed.map(|seed| seed.wrapping_add(number));
            match self.engine.submit(request) {
                Ok(generation) => {
                    self.running.push(Numbered { index, generation: Some(generation) })
                }
                Err(SubmitError::QueueFull { .. }) if !self.running.is_empty() => break,
                Err(error) => return Err(error),
            }
            self.waiting.pop_front();
        }
        Ok(())
    }
}

/// A generation that knows its number, and for which an end without `Finished`
/// is a failure.
struct Numbered {
    index: usize,
    /// Gone after its last event.
    generation: Option<Generation>,
}

impl Stream for Numbered {
    type Item = (usize, Event);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(generation) = &mut self.generation else {
            return Poll::Ready(None);
        };
        let event = match generation.poll_next_unpin(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(event) => event.unwrap_or_else(|| Event::Failed {
                message: "the model stopped before the text was complete".to_owned(),
            }),
        };
        if matches!(event, Event::Finished { .. } | Event::Failed { .. }) {
            self.generation = None;
        }
        Poll::Ready(Some((self.index, event)))
    }
}
