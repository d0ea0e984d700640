//! Every route: which types it takes and gives. A test holds the router to it.

#[cfg(feature = "documents")]
mod desk;
mod others;

use super::operation::{Interface, Operation};
use super::shapes::{Any, UploadOfLines, shaped};
use crate::api::wire::batches::{AnswerLine, Batch, BatchRequest, RequestLine};
use crate::api::wire::chat::{ChatDelta, ChatRequest, ChatResponse};
use crate::api::wire::common::{Chunk, ErrorBody};
use crate::api::wire::completions::{CompletionDelta, CompletionRequest, CompletionResponse};
use crate::api::wire::embeddings::{EmbeddingsRequest, EmbeddingsResponse};
use crate::api::wire::files::{FileDeleted, FileObject, FileRequest, Page};
use crate::api::wire::models::{Liveness, Model, ModelList, Readiness};
use crate::api::wire::responses::{Deleted, Response, ResponseRequest};

/// The tables, in the order of the document.
pub fn tables() -> Vec<&'static [Operation]> {
    let mut tables = vec![OPERATIONS, BATCH];
    #[cfg(feature = "documents")]
    tables.push(desk::DESK);
    tables.extend([others::ANTHROPIC, others::COHERE, others::TEI, others::LIBRE_TRANSLATE]);
    #[cfg(feature = "documents")]
    tables.push(desk::DEEPL);
    tables.push(SERVER);
    tables
}

const OPENAI: Interface = Interface::new::<ErrorBody>("OpenAI", "As OpenAI's clients expect it.");
const BATCHES: Interface = Interface {
    more: &[
        (404, "What the request names is not there."),
        (409, "The file or the batch is in a state in which this cannot be done."),
        (422, "The `Idempotency-Key` came before with another content."),
        (429, "Too many batches wait; `Retry-After` says when to come back."),
        (500, "The server failed; its log says why."),
        (503, "The store of files and batches cannot be opened."),
    ],
    ..Interface::new::<ErrorBody>(
        "Batches",
        "As OpenAI's clients expect it: files of requests that are answered in the background, \
         behind whoever waits. They survive a restart.",
    )
};
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

const PAGED: &[(&str, bool, &str)] = &[
    ("limit", false, "Most that are listed: 1 to 100; 20 without it."),
    ("after", false, "Only those after the batch with this id."),
];
const FILES_PAGED: &[(&str, bool, &str)] = &[
    ("limit", false, "Most that are listed: 1 to 10000, which it is without it."),
    ("after", false, "Only those after the file with this id."),
    ("order", false, "`desc`, the newest first, without it, or `asc`."),
    ("purpose", false, "Only files of this purpose: `batch` or `batch_output`."),
];

const BATCH: &[Operation] = &[
    BATCHES
        .post("/v1/files", "Keeps a file of requests, one JSON object a line.")
        .takes::<UploadOfLines<FileRequest, RequestLine>>()
        .sent_as(&["multipart/form-data"])
        .gives::<FileObject>(),
    BATCHES
        .get("/v1/files", "The files, the newest first.")
        .asks(FILES_PAGED)
        .gives::<Page<FileObject>>(),
    BATCHES.get("/v1/files/{id}", "What is known about a file.").gives::<FileObject>(),
    BATCHES.delete("/v1/files/{id}", "Deletes a file.").gives::<FileDeleted>(),
    BATCHES.get("/v1/files/{id}/content", "The content of a file.").gives_lines::<Any<(
        AnswerLine<'static>,
        RequestLine,
    )>>(
        "application/octet-stream"
    ),
    BATCHES
        .post(
            "/v1/batches",
            "Answers the requests of a file in the background. With an `Idempotency-Key` the same \
             request again is answered with the same batch.",
        )
        .takes::<BatchRequest>()
        .gives::<Batch>(),
    BATCHES.get("/v1/batches", "The batches, the newest first.").asks(PAGED).gives::<Page<Batch>>(),
    BATCHES.get("/v1/batches/{id}", "How far a batch is.").gives::<Batch>(),
    BATCHES
        .post("/v1/batches/{id}/cancel", "Ends a batch early; what is answered is kept.")
        .gives::<Batch>(),
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
