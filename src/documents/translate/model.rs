//! Asking a model: a decoder that chats, one that only goes on with a text, or
//! an encoder-decoder.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::prompt;
use crate::documents::quality::expected_length;
use crate::engine::{
    Engine, Event, FinishReason, GenerationRequest, Grammar, ModelKind, SamplingParams,
    StopConditions, SubmitError, Usage,
};
use crate::text::ChatInput;

/// How long to wait when others fill the queue, and how often.
const RETRY: Duration = Duration::from_millis(100);
const RETRIES: usize = 3000;
/// Tokens that a translation may have for each character that is expected, and
/// besides.
const TOKENS_PER_CHARACTER: f32 = 1.5;
const MORE_TOKENS: usize = 48;

/// What is to be written.
pub struct Ask<'a> {
    /// What a decoder is told.
    pub task: &'a str,
    /// Its earlier answer, and what is wrong with it.
    pub again: Option<(&'a str, &'a str)>,
    /// What an encoder-decoder reads.
    pub plain: &'a str,
    /// Two letters.
    pub source: Option<&'a str>,
    pub target: &'a str,
    pub grammar: Option<Arc<Grammar>>,
    pub priority: i32,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct Answer {
    pub text: String,
    pub reason: FinishReason,
    pub usage: Usage,
}

/// Greedy, so that the same segment gives the same text.
pub async fn ask(engine: &Engine, ask: Ask<'_>) -> Result<Answer, SubmitError> {
    let mut request = match engine.info().kind {
        ModelKind::Translation => from_source(engine, &ask).await?,
        _ => from_task(engine, &ask).await?,
    };
    request.sampling = SamplingParams { temperature: 0.0, ..SamplingParams::default() };
    request.grammar = ask.grammar.clone();
    request.priority = ask.priority;
    request.stop = stop(engine, &ask, &request);
    collect(engine, request).await
}

async fn from_source(engine: &Engine, ask: &Ask<'_>) -> Result<GenerationRequest, SubmitError> {
    let languages = engine.languages();
    let named = !languages.list().is_empty();
    let source = ask.source.filter(|_| named && !languages.reads_any());
    let target = Some(ask.target).filter(|_| named);
    let tokens = engine.encode_source(ask.plain.to_owned(), source, target).await?;
    let own = engine.writing()?.beams;
    let most = engine.info().limits.source.map_or(1, |limits| limits.beams);
    let mut beams = own;
    beams.num_beams = own.num_beams.min(most);
    // A grammar is followed greedily.
    let beams = Some(beams).filter(|beams| beams.num_beams > 1 && ask.grammar.is_none());
    Ok(GenerationRequest {
        prompt: engine.beginning(target)?,
        source: Some(tokens),
        beams,
        ..GenerationRequest::default()
    })
}

async fn from_task(engine: &Engine, ask: &Ask<'_>) -> Result<GenerationRequest, SubmitError> {
    let prompt = if engine.chat_template().is_some() {
        let message = |role: &str, content: &str| json!({"role": role, "content": content});
        let mut messages = vec![message("system", prompt::system()), message("user", ask.task)];
        if let Some((answer, complaint)) = ask.again {
            messages.push(message("assistant", answer));
            messages.push(message("user", complaint));
        }
        // A model that thinks aloud is told not to.
        let kwargs = Map::from_iter([("enable_thinking".to_owned(), Value::Bool(false))]);
        let input = ChatInput { messages, tools: None, add_generation_prompt: true, kwargs };
        engine.encode_chat(input).await?.1
    } else {
        let again = ask.again.map_or_else(String::new, |(_, complaint)| format!("\n{complaint}"));
        engine.encode(format!("{}{again}\n\n", ask.task), true).await?
    };
    Ok(GenerationRequest { prompt, ..GenerationRequest::default() })
}

/// When the text ends besides where the model ends it: at a length that no
/// translation has, when it goes round in circles, and for a source of one line
/// where its line ends.
fn stop(engine: &Engine, ask: &Ask<'_>, request: &GenerationRequest) -> StopConditions {
    let characters = ask.plain.chars().count();
    let expected = expected_length(characters, ask.source.unwrap_or_default(), ask.target);
    let wanted =
        (expected.max(characters as f32 * 0.3) * TOKENS_PER_CHARACTER) as usize + MORE_TOKENS;
    let limit = engine.info().limits.context_length.saturating_sub(request.prompt.len());
    let decoder = engine.info().kind != ModelKind::Translation;
    StopConditions {
        max_tokens: Some(wanted.min(limit).max(1)),
        strings: match decoder && !ask.plain.trim().contains('\n') {
            true => vec!["\n".to_owned()],
            false => Vec::new(),
        },
        repetition: request.beams.is_none(),
        ..StopConditions::default()
    }
}

async fn collect(engine: &Engine, request: GenerationRequest) -> Result<Answer, SubmitError> {
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
            Event::Alternatives(_) => {}
            Event::Finished { reason, usage, .. } => return Ok(Answer { text, reason, usage }),
            Event::TimedOut { waited } => return Err(SubmitError::TimedOut { waited }),
            Event::Failed { message } => return Err(SubmitError::Failed(message)),
        }
    }
    Err(SubmitError::Failed("the model stopped before the text was complete".to_owned()))
}
