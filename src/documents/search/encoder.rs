//! The model that vectors are of, and vectors of passages and queries.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::passages::{Cut, passages};
use crate::documents::offload::offload;
use crate::documents::source::Source;
use crate::documents::vectors::dot;
use crate::engine::{EmbeddingRequest, Embeddings, Engine, ModelInfo, SubmitError};

/// Passages that are embedded together.
const TOGETHER: usize = 32;
/// How long to wait when others fill the queue, and how often.
const RETRY: Duration = Duration::from_millis(100);
const RETRIES: usize = 3000;
/// A text by whose vector weights are known again.
const PROBE: &str = "The Parties shall report to the Council every two years. \
                     Les Parties font rapport au Conseil tous les deux ans. 2030/17";
/// From which cosine on two vectors of it are of the same weights: those of one
/// model on two kinds of processors are nearer, and those of two models farther.
const SAME: f32 = 0.99;

/// A model as it was when it made a collection's vectors. Its files may change
/// under their name; [`Encoder::check`] tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Encoder {
    /// The name that clients use.
    pub model: String,
    pub architecture: String,
    /// How its weights were kept: "Q4_0", "F32".
    pub quantization: String,
    pub parameters: u64,
    /// Length of a vector.
    pub dimensions: usize,
    /// What is put before queries and before passages.
    query: String,
    passage: String,
    /// The vector of a text that is always the same.
    probe: Vec<f32>,
}

impl Encoder {
    /// The encoder that an engine is now.
    ///
    /// # Errors
    /// As [`Engine::embed`].
    pub async fn of(engine: &Engine) -> Result<Self, SubmitError> {
        let info = engine.info();
        let probe = probe(engine).await?;
        let (query, passage) = prompts(info);
        Ok(Self {
            model: info.id.clone(),
            architecture: info.architecture.clone(),
            quantization: info.quantization.clone(),
            parameters: info.parameters,
            dimensions: probe.len(),
            query,
            passage,
            probe,
        })
    }

    /// Whether an engine makes the same vectors: `None`, or what is another.
    ///
    /// # Errors
    /// As [`Engine::embed`].
    pub async fn check(&self, engine: &Engine) -> Result<Option<String>, SubmitError> {
        let now = Self::of(engine).await?;
        let near = dot(&self.probe, &now.probe);
        let fault = if now.dimensions != self.dimensions {
            format!("its vectors have {} numbers, not {}", now.dimensions, self.dimensions)
        } else if (&now.query, &now.passage) != (&self.query, &self.passage) {
            "it puts other prompts before texts".to_owned()
        } else if near < SAME {
            format!(
                "its weights give other vectors (cosine {near:.3} for the same text; then {} of \
                 {} parameters in {}, now {} of {} in {})",
                self.architecture,
                self.parameters,
                self.quantization,
                now.architecture,
                now.parameters,
                now.quantization
            )
        } else {
            return Ok(None);
        };
        Ok(Some(fault))
    }
}

fn prompts(info: &ModelInfo) -> (String, String) {
    let prompt = |name| info.prompts.get(name).cloned();
    let passage = prompt("passage").or_else(|| prompt("document"));
    (prompt("query").unwrap_or_default(), passage.unwrap_or_default())
}

/// Cuts a document into passages that an engine reads whole, off the network
/// threads. What runs ends soon after this is dropped.
///
/// # Errors
/// As [`passages`], and when the tokenizer refuses a text.
pub async fn cut(
    engine: &Engine,
    source: Source,
    language: Option<String>,
) -> Result<Vec<Cut>, SubmitError> {
    let (engine, stop) = (engine.clone(), CancellationToken::new());
    let _dropped = stop.clone().drop_guard();
    let (prompt, limit) = (prompts(engine.info()).1, engine.info().limits.context_length);
    let tokens = move |text: &str| {
        if stop.is_cancelled() {
            return Err(SubmitError::Failed("nobody waits for it any more".to_owned()));
        }
        let encoded = engine.tokenizer().encode(&format!("{prompt}{text}"), true);
        encoded.map_err(|error| SubmitError::Failed(error.to_string()))
    };
    let work = move || passages(&source, language.as_deref(), limit, tokens);
    offload(work).await?
}

/// The vectors of passages, of length 1, end to end. `done` is told how many
/// there are as they come.
///
/// # Errors
/// As [`Engine::embed`].
pub async fn embed(
    engine: &Engine,
    passages: &[Cut],
    mut done: impl FnMut(usize),
) -> Result<Vec<f32>, SubmitError> {
    let width = engine.info().embedding_dims.unwrap_or_default();
    let mut vectors = Vec::with_capacity(passages.len() * width);
    for (at, group) in passages.chunks(TOGETHER).enumerate() {
        let inputs = group.iter().map(|cut| cut.tokens.clone()).collect();
        let found = patiently(engine, inputs).await?.vectors;
        if found.len() != group.len() {
            return Err(SubmitError::Failed("embeddings are missing".to_owned()));
        }
        found.iter().for_each(|vector| vectors.extend_from_slice(vector));
        done((at * TOGETHER + group.len()).min(passages.len()));
    }
    Ok(vectors)
}

/// The vector of a query, of length 1.
///
/// # Errors
/// As [`Engine::embed`]; [`SubmitError::Invalid`] of `query` for one that is
/// longer than the model reads.
pub async fn embed_query(engine: &Engine, query: &str) -> Result<Vec<f32>, SubmitError> {
    let info = engine.info();
    let tokens = engine.encode(format!("{}{query}", prompts(info).0), true).await?;
    let limit = info.limits.context_length;
    if tokens.len() > limit {
        let message = format!(
            "query has {} tokens and {} reads {limit}; shorten it, or search by words with \
             \"mode\": \"lexical\"",
            tokens.len(),
            info.id
        );
        return Err(SubmitError::invalid("query", message));
    }
    one(engine, tokens).await
}

async fn probe(engine: &Engine) -> Result<Vec<f32>, SubmitError> {
    let mut tokens = engine.encode(PROBE.to_owned(), true).await?;
    // Of a model that reads less, its beginning does.
    tokens.truncate(engine.info().limits.context_length);
    one(engine, tokens).await
}

async fn one(engine: &Engine, tokens: Vec<u32>) -> Result<Vec<f32>, SubmitError> {
    let found = patiently(engine, vec![tokens]).await?.vectors.pop();
    found.ok_or_else(|| SubmitError::Failed("an embedding is missing".to_owned()))
}

/// Embeds, and waits while others fill the queue.
async fn patiently(engine: &Engine, inputs: Vec<Vec<u32>>) -> Result<Embeddings, SubmitError> {
    let request = EmbeddingRequest { normalize: Some(true), ..EmbeddingRequest::new(inputs) };
    let mut tries = 0;
    loop {
        match engine.embed(request.clone()).await {
            Err(SubmitError::QueueFull { .. }) if tries < RETRIES => {
                tries += 1;
                tokio::time::sleep(RETRY).await;
            }
            other => return other,
        }
    }
}
