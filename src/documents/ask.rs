//! Asking a model for a text: a decoder that chats, or one that only goes on with
//! what it reads.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::engine::{
    Engine, Event, FinishReason, GenerationRequest, GrammarSpec, SamplingParams, StopConditions,
    SubmitError, Usage,
};
use crate::text::ChatInput;

/// How long to wait when others fill the queue, and how often.
const RETRY: Duration = Duration::from_millis(100);
const RETRIES: usize = 3000;

/// What was written.
#[derive(Debug, Clone)]
pub struct Answer {
    pub text: String,
    pub reason: FinishReason,
    pub usage: Usage,
}

/// The tokens of a chat: the instructions, and turns of a role and its words. A
/// model without a chat template goes on with the user's words.
///
/// # Errors
/// As [`Engine::encode_chat`].
pub async fn prompt(
    engine: &Engine,
    system: &str,
    turns: &[(&str, &str)],
) -> Result<Vec<u32>, SubmitError> {
    if engine.chat_template().is_none() {
        let words: Vec<&str> =
            turns.iter().filter(|turn| turn.0 == "user").map(|turn| turn.1).collect();
        return engine.encode(format!("{}\n\n", words.join("\n")), true).await;
    }
    let message = |(role, content): (&str, &str)| json!({"role": role, "content": content});
    let mut messages = vec![message(("system", system))];
    messages.extend(turns.iter().copied().map(message));
    // A model that thinks aloud is told not to.
    let kwargs = Map::from_iter([("enable_thinking".to_owned(), Value::Bool(false))]);
    let input = ChatInput { messages, tools: None, add_generation_prompt: true, kwargs };
    Ok(engine.encode_chat(input).await?.1)
}

/// The answer to a task under a grammar. Greedy, so that the same task gives the
/// same answer.
///
/// # Errors
/// As [`collect`], and when the grammar cannot be compiled.
pub async fn answer(
    engine: &Engine,
    prompt: Vec<u32>,
    grammar: GrammarSpec,
    stop: StopConditions,
    priority: i32,
) -> Result<Answer, SubmitError> {
    let request = GenerationRequest {
        prompt,
        sampling: SamplingParams { temperature: 0.0, ..SamplingParams::default() },
        stop,
        grammar: Some(engine.compile_grammar(grammar).await?),
        priority,
        ..GenerationRequest::default()
    };
    collect(engine, request).await
}

/// The answer to a request, which waits while others fill the queue.
///
/// # Errors
/// As [`Engine::submit`], and when the model stops in the middle.
pub async fn collect(engine: &Engine, request: GenerationRequest) -> Result<Answer, SubmitError> {
    let mut tries = 0;
    let mut generation = loop {
        match engine.submit(request.clone()) {
            Err(SubmitError::QueueFull { .. }) if tries < RETRIES => {
                tries += 1;
                tokio::time::sleep(RETRY).await;
            }
            other => break other?,
        }
    };
    let mut text = String::new();
    while let Some(event) = generation.next().await {
        match event {
            Event::Delta { text: piece, .. } => text += &piece,
            // Asked for by nobody here.
            Event::Prompt { .. } | Event::Alternatives(_) => {}
            Event::Finished { reason, usage, .. } => return Ok(Answer { text, reason, usage }),
            Event::TimedOut { waited } => return Err(SubmitError::TimedOut { waited }),
            Event::Failed { message } => return Err(SubmitError::Failed(message)),
        }
    }
    Err(SubmitError::Failed("the model stopped before the text was complete".to_owned()))
}

/// A template with `{name}` replaced by values. In one pass, so that a text with
/// braces is not taken for a place.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        filled += &rest[..at];
        rest = &rest[at..];
        let place = values.iter().find(|(name, _)| {
            rest[1..].strip_prefix(name).is_some_and(|rest| rest.starts_with('}'))
        });
        match place {
            Some((name, value)) => {
                filled += value;
                rest = &rest[name.len() + 2..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled + rest
}
