//! Asking a model: a decoder that chats, one that only goes on with a text, or
//! an encoder-decoder.

use std::sync::Arc;

use super::prompt::Prompt;
use crate::documents::ask::{self, Answer};
use crate::documents::quality::expected_length;
use crate::engine::{
    Engine, GenerationRequest, Grammar, ModelKind, SamplingParams, StopConditions, SubmitError,
};

/// Tokens that a translation may have for each character that is expected, and
/// besides.
const TOKENS_PER_CHARACTER: f32 = 1.5;
const MORE_TOKENS: usize = 48;

/// What is to be written.
pub struct Ask<'a> {
    /// What a decoder is told.
    pub task: &'a Prompt,
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
    ask::collect(engine, request).await
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
    let mut turns = vec![("user", ask.task.task.as_str())];
    if let Some((answer, complaint)) = ask.again {
        turns.extend([("assistant", answer), ("user", complaint)]);
    }
    let prompt = ask::prompt(engine, &ask.task.system, &turns).await?;
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
