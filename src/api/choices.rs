//! All answers of one request: `n` to each prompt, submitted prompt by prompt as
//! the queue has room, and merged into one stream.
//!
//! A request with more prompts than the queue has places would be refused for
//! ever if all had to fit at once. So the first one must fit, and the rest
//! follow as answers finish.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{SelectAll, Stream, StreamExt};

use super::wire::common::Usage;
use crate::engine::{
    Engine, Event, FinishReason, Generation, GenerationRequest, SubmitError, TokenLogprob,
};

/// Answers of one request that run or wait in the engine at a time, so that
/// one client does not fill the queue.
const WINDOW: usize = 64;
/// How long to wait when others filled the queue while none of ours runs.
const RETRY: Duration = Duration::from_millis(50);

/// A piece of one answer.
#[derive(Debug)]
pub enum Piece {
    /// The first token of the prompt, and how likely those after it were; before
    /// any text.
    Prompt { first: u32, rest: Vec<TokenLogprob> },
    /// A text, or the log probabilities of tokens that add none; not both empty.
    Text { text: String, logprobs: Vec<TokenLogprob> },
    /// Other texts than this one.
    Alternatives(Vec<String>),
    /// The last piece of an answer.
    Finished {
        reason: FinishReason,
        /// Which of the stop strings it was.
        stop: Option<usize>,
    },
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The first token of its prompt, and the others with their log
    /// probabilities, if they were asked for.
    pub prompt: Option<(u32, Vec<TokenLogprob>)>,
    pub text: String,
    /// Other texts, where they were asked for.
    pub alternatives: Vec<String>,
    /// One a token, if they were asked for.
    pub logprobs: Vec<TokenLogprob>,
    pub reason: FinishReason,
    /// Which of the stop strings ended it.
    pub stop: Option<usize>,
}

/// The running and the waiting answers. Dropping it cancels all.
pub struct Choices {
    engine: Engine,
    prompts: Vec<GenerationRequest>,
    n: usize,
    /// Prompts submitted so far, all answers of one together.
    submitted: usize,
    running: SelectAll<Numbered>,
    cached_tokens: usize,
    completion_tokens: usize,
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
        let running = SelectAll::new();
        let mut choices = Self {
            engine,
            prompts,
            n,
            submitted: 0,
            running,
            cached_tokens: 0,
            completion_tokens: 0,
        };
        choices.fill()?;
        Ok(choices)
    }

    /// How many answers there will be.
    pub fn count(&self) -> usize {
        self.prompts.len() * self.n
    }

    /// Tokens of all prompts, each counted once, and of the answers so far.
    pub fn usage(&self) -> Usage {
        let prompt_tokens = self.prompts.iter().map(GenerationRequest::prompt_tokens).sum();
        Usage::new(prompt_tokens, self.cached_tokens, self.completion_tokens)
    }

    /// The next piece of any answer; `None` when all are finished. After an
    /// error, drop the rest.
    pub async fn next(&mut self) -> Option<Result<(usize, Piece), SubmitError>> {
        loop {
            match self.running.next().await {
                // Sampled, but held back: half a character, or maybe a stop string.
                Some((_, Event::Delta { text, logprobs, .. }))
                    if text.is_empty() && logprobs.is_empty() => {}
                Some((index, Event::Delta { text, logprobs, .. })) => {
                    return Some(Ok((index, Piece::Text { text, logprobs })));
                }
                Some((index, Event::Prompt { first, rest })) => {
                    return Some(Ok((index, Piece::Prompt { first, rest })));
                }
                Some((index, Event::Alternatives(texts))) => {
                    return Some(Ok((index, Piece::Alternatives(texts))));
                }
                Some((index, Event::Finished { reason, stop, usage })) => {
                    self.completion_tokens += usage.completion_tokens;
                    // The other answers share the first one's prompt.
                    if index % self.n == 0 {
                        self.cached_tokens += usage.cached_tokens;
                    }
                    return Some(match self.refill() {
                        Ok(()) => Ok((index, Piece::Finished { reason, stop })),
                        Err(error) => Err(error),
                    });
                }
                Some((_, Event::TimedOut { waited })) => {
                    return Some(Err(SubmitError::TimedOut { waited }));
                }
                Some((_, Event::Failed { message })) => {
                    return Some(Err(SubmitError::Failed(message)));
                }
                None if self.submitted == self.prompts.len() => return None,
                None => {
                    tokio::time::sleep(RETRY).await;
                    if let Err(error) = self.refill() {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    /// Waits for all answers: in order, and the tokens they took.
    ///
    /// # Errors
    /// The first failure of any answer; the others are cancelled.
    pub async fn collect(mut self) -> Result<(Vec<Answer>, Usage), SubmitError> {
        let empty = || Answer {
            prompt: None,
            text: String::new(),
            alternatives: Vec::new(),
            logprobs: Vec::new(),
            reason: FinishReason::Stop,
            stop: None,
        };
        let mut answers: Vec<_> = (0..self.count()).map(|_| empty()).collect();
        while let Some(piece) = self.next().await {
            match piece? {
                (index, Piece::Text { text, logprobs }) => {
                    answers[index].text.push_str(&text);
                    answers[index].logprobs.extend(logprobs);
                }
                (index, Piece::Prompt { first, rest }) => {
                    answers[index].prompt = Some((first, rest));
                }
                (index, Piece::Alternatives(texts)) => answers[index].alternatives = texts,
                (index, Piece::Finished { reason, stop }) => {
                    answers[index].reason = reason;
                    answers[index].stop = stop;
                }
            }
        }
        Ok((answers, self.usage()))
    }

    /// [`Self::fill`], for which a full queue is a reason to wait.
    fn refill(&mut self) -> Result<(), SubmitError> {
        match self.fill() {
            Err(SubmitError::QueueFull { .. }) => Ok(()),
            other => other,
        }
    }

    fn fill(&mut self) -> Result<(), SubmitError> {
        while let Some(request) = self.prompts.get(self.submitted) {
            if !self.running.is_empty() && self.running.len() + self.n > WINDOW {
                break;
            }
            let generations = match self.engine.submit_n(request.clone(), self.n) {
                Err(SubmitError::QueueFull { .. }) if !self.running.is_empty() => break,
                other => other?,
            };
            for (number, generation) in generations.into_iter().enumerate() {
                let index = self.submitted * self.n + number;
                self.running.push(Numbered { index, generation: Some(generation) });
            }
            self.submitted += 1;
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
        let goes_on =
            matches!(event, Event::Prompt { .. } | Event::Delta { .. } | Event::Alternatives(_));
        if !goes_on {
            self.generation = None;
        }
        Poll::Ready(Some((self.index, event)))
    }
}
