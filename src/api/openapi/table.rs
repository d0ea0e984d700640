//! Every route: which types it takes and gives. A test holds the router to it.

#[cfg(feature = "documents")]
mod desk;
mod others;

use super::operation::{Interface, Operation};
use super::shapes::shaped;
use crate::api::wire::chat::{ChatDelta, ChatRequest, ChatResponse};
use crate::api::wire::common::{Chunk, ErrorBody};
use crate::api::wire::completions::{CompletionDelta, CompletionRequest, CompletionResponse};
use crate::api::wire::embeddings::{EmbeddingsRequest, EmbeddingsResponse};
use crate::api::wire::models::{Liveness, Model, ModelList, Readiness};
use crate::api::wire::responses::{Deleted, Response, ResponseRequest};

/// The tables, in the order of the document.
pub fn tables() -> Vec<&'static [Operation]> {
    let mut tables = vec![OPERATIONS];
    #[cfg(feature = "documents")]
    tables.push(desk::DESK);
    tables.extend([others::ANTHROPIC, others::COHERE, others::TEI, others::LIBRE_TRANSLATE]);
    #[cfg(feature = "documents")]
    tables.push(desk::DEEPL);
    tables.push(SERVER);
    tables
}

const OPENAI: Interface = Interface::new::<ErrorBody>("OpenAI", "As OpenAI's clients expect it.");
const MONITORING: Interface =
    Interface::new::<ErrorBody>("Server", "The state of the server, and this reference.");
/// Open to all, without a key.
const OPEN: Interface = Interface { guarded: false, ..MONITORING };

/// An event of a streamed response. Its fields depend on its type.
pub enum ResponseEvent {}

shaped!(ResponseEvent = {
    "type": "object",
    "description": "An event as OpenAI defines it; its other fields depend on its type.",
    "properties": {"type": {"type": "string"}, "sequence_number": {"type": "integer"}},
    "required": ["type"],
});

const OPERATIONS: &[Operation] = &[
    OPENAI
        .post("/v1/chat/completions", "Answers a conversation.")
        .takes::<ChatRequest>()
        .gives::<ChatResponse>()
        .streams::<Chunk<'static, ChatDelta<'static>>>()
        .works(),
    OPENAI
        .post("/v1/completions", "Goes on with texts.")
        .takes::<CompletionRequest>()
        .gives::<CompletionResponse>()
        .streams::<Chunk<'static, CompletionDelta<'static>>>()
        .works(),
    OPENAI
        .post("/v1/responses", "Answers a conversation, and keeps it for the next turn.")
        .takes::<ResponseRequest>()
        .gives::<Response>()
        .streams::<ResponseEvent>()
        .works(),
    OPENAI.get("/v1/responses/{id}", "A stored response.").gives::<Response>(),
    OPENAI.delete("/v1/responses/{id}", "Forgets a stored response.").gives::<Deleted>(),
    OPENAI
        .post("/v1/embeddings", "Turns texts into vectors.")
        .takes::<EmbeddingsRequest>()
        .gives::<EmbeddingsResponse>()
        .works(),
    OPENAI.get("/v1/models", "The loaded models.").gives::<ModelList>(),
    OPENAI.get("/v1/models/{id}", "One loaded model; its id may contain slashes.").gives::<Model>(),
];

const SERVER: &[Operation] = &[
    OPEN.get("/health", "Whether every model can take requests.").gives::<Readiness>(),
    OPEN.get("/health/live", "Whether the process answers.").gives::<Liveness>(),
    OPEN.get("/health/ready", "Whether every model can take requests.").gives::<Readiness>(),
    MONITORING.get("/metrics", "Metrics for Prometheus.").gives_text("text/plain"),
    OPEN.get("/openapi.json", "This reference as an OpenAPI document.")
        .gives::<serde_json::Map<String, serde_json::Value>>(),
    OPEN.get("/docs", "This reference as a page.").gives_text("text/html"),
];
