//! Routes of the document desk, in our own shape and in DeepL's.

use crate::api::openapi::operation::{Interface, JSON_OR_FORM, Operation};
use crate::api::openapi::shapes::{Any, FileOrJson, Upload};
use crate::api::wire::common::ErrorBody;
use crate::api::wire::compare::{CompareRequest, CompareResponse};
use crate::api::wire::deepl::{
    self, ChangeGlossary, CreateGlossary, Dictionaries, Dictionary, DictionaryInfo, DocumentHandle,
    DocumentKey, DocumentStatus, Glossaries, Glossary, Language, LanguagePairs,
    MultilingualGlossary, Usage,
};
use crate::api::wire::desk::{
    CreateMemory, CreateTermbase, Deleted, List, MemoryInfo, SegmentEvent, TermbaseInfo,
    TranslateRequest, TranslateResponse,
};
use crate::api::wire::jobs::{DocumentRequest, JobInfo, JobList, JobReport};
use crate::api::wire::record::{RecordBody, RecordKey};
use crate::api::wire::search::{
    AddDocument, CollectionDocument, CollectionInfo, CreateCollection, SearchRequest,
    SearchResponse,
};
use crate::api::wire::summary::{SummarizeRequest, SummarizeResponse, SummaryProgress};

const STORE: &[(u16, &str)] = &[
    (500, "The server failed; its log says why."),
    (503, "Not now: a model is not ready, or the store cannot be opened."),
];

const OURS: Interface = Interface {
    more: STORE,
    ..Interface::new::<ErrorBody>("Desk", "Translation with terms, memory and checks.")
};
const JOBS: Interface = Interface {
    more: &[
        (409, "The job is in a state in which this cannot be done."),
        (500, "The server failed; its log says why."),
        (503, "Not now: a model is not ready, or the store cannot be opened."),
    ],
    ..Interface::new::<ErrorBody>(
        "Jobs",
        "Whole documents, translated or summarised in the background; they survive a restart.",
    )
};
const SEARCH: Interface = Interface {
    more: &[
        (409, "The model that the vectors are of is not loaded, or has changed."),
        (500, "The server failed; its log says why."),
        (503, "Not now: a model is not ready, or the store cannot be opened."),
    ],
    ..Interface::new::<ErrorBody>(
        "Search",
        "Collections of documents, searched across languages; what is found says where it stands.",
    )
};
const THEIRS: Interface = Interface {
    moved: &[(401, 403)],
    more: STORE,
    ..Interface::new::<deepl::ErrorBody>(
        "DeepL",
        "As DeepL's clients expect it. The key may come as `Authorization: DeepL-Auth-Key …`.",
    )
};

pub const DESK: &[Operation] = &[
    OURS.post("/v1/translate", "Translates texts sentence by sentence.")
        .takes::<TranslateRequest>()
        .gives::<TranslateResponse>()
        .streams::<Any<(SegmentEvent, TranslateResponse)>>()
        .works(),
    OURS.post(
        "/v1/summarize",
        "Says what a document says, each statement with its quotes. With `\"background\": true` \
         as a job, and with an `Idempotency-Key` the same request again is answered with the same \
         job, with status 200.",
    )
    .takes::<FileOrJson<SummarizeRequest>>()
    .sent_as(&["application/json", "multipart/form-data"])
    .gives::<Any<(SummarizeResponse, JobInfo)>>()
    .streams::<Any<(SummaryProgress, SummarizeResponse)>>()
    .accepts::<JobInfo>()
    .works(),
    OURS.post("/v1/compare", "What two versions, or two languages, of a text do not both say.")
        .takes::<CompareRequest>()
        .gives::<CompareResponse>()
        .works(),
    JOBS.post(
        "/v1/documents",
        "Takes a document to be translated. A `charset` in the content type of the file's part \
         goes before what the file declares. With an `Idempotency-Key` the same request again is \
         answered with the same job, with status 200.",
    )
    .takes::<Upload<DocumentRequest>>()
    .sent_as(&["multipart/form-data"])
    .gives::<JobInfo>()
    .with(202)
    .or_known()
    .works(),
    JOBS.get("/v1/jobs", "The jobs, the newest first.")
        .asks(LISTED)
        .gives::<JobList>()
        .refuses(&[(404, "There is no job with the id of `after`.")]),
    JOBS.get("/v1/jobs/{id}", "How far a job is.").gives::<JobInfo>(),
    JOBS.delete("/v1/jobs/{id}", "Ends a job and forgets it.").gives::<Deleted>(),
    JOBS.get(
        "/v1/jobs/{id}/events",
        "How far a job is, as it goes on: events `progress`, then `done`, `failed` or `cancelled`.",
    )
    .gives_text("text/event-stream"),
    JOBS.post("/v1/jobs/{id}/cancel", "Ends a job.").gives::<JobInfo>(),
    JOBS.get(
        "/v1/jobs/{id}/result",
        "The translated document, in its format; of a summary the answer of `/v1/summarize`.",
    )
    .gives_text("application/octet-stream"),
    JOBS.get(
        "/v1/jobs/{id}/report",
        "What was found in the segments of a translation, the worst first.",
    )
    .gives::<JobReport>(),
    JOBS.get("/v1/jobs/{id}/record", "What made the result, signed.").gives::<RecordBody>(),
    OURS.get("/v1/record-keys", "The public key of the records.").gives::<List<RecordKey>>(),
    SEARCH
        .post("/v1/collections", "Makes a collection for documents that are to be searched.")
        .takes::<CreateCollection>()
        .gives::<CollectionInfo>()
        .with(201)
        .works(),
    SEARCH.get("/v1/collections", "The collections.").gives::<List<CollectionInfo>>(),
    SEARCH.get("/v1/collections/{id}", "A collection.").gives::<CollectionInfo>(),
    SEARCH
        .delete("/v1/collections/{id}", "Deletes a collection with its documents.")
        .gives::<Deleted>(),
    SEARCH
        .post(
            "/v1/collections/{id}/documents",
            "Cuts a document into passages, embeds them and adds them, which is done when the \
             answer comes. A file that is there already is answered with its document, with \
             status 200.",
        )
        .takes::<FileOrJson<AddDocument>>()
        .sent_as(&["application/json", "multipart/form-data"])
        .gives::<CollectionDocument>()
        .with(201)
        .or_known()
        .works(),
    SEARCH
        .get("/v1/collections/{id}/documents", "The documents of a collection, the oldest first.")
        .gives::<List<CollectionDocument>>(),
    SEARCH
        .delete("/v1/collections/{id}/documents/{document}", "Deletes a document.")
        .gives::<Deleted>(),
    SEARCH
        .post("/v1/search", "The passages of a collection that answer a query best.")
        .takes::<SearchRequest>()
        .gives::<SearchResponse>()
        .works(),
    OURS.post("/v1/termbases", "Stores a termbase.")
        .takes::<CreateTermbase>()
        .gives::<TermbaseInfo>()
        .with(201),
    OURS.get("/v1/termbases", "The stored termbases.").gives::<List<TermbaseInfo>>(),
    OURS.get("/v1/termbases/{id}", "A stored termbase.").gives::<TermbaseInfo>(),
    OURS.delete("/v1/termbases/{id}", "Deletes a termbase.").gives::<Deleted>(),
    OURS.get("/v1/termbases/{id}/export", "A termbase as CSV.").gives_text("text/csv"),
    OURS.post("/v1/memories", "Stores a translation memory.")
        .takes::<CreateMemory>()
        .gives::<MemoryInfo>()
        .with(201),
    OURS.get("/v1/memories", "The stored memories.").gives::<List<MemoryInfo>>(),
    OURS.get("/v1/memories/{id}", "A stored memory.").gives::<MemoryInfo>(),
    OURS.delete("/v1/memories/{id}", "Deletes a memory.").gives::<Deleted>(),
    OURS.get("/v1/memories/{id}/export", "A memory as TMX.").gives_text("application/x-tmx+xml"),
];

const LISTED: &[(&str, bool, &str)] = &[
    ("limit", false, "Most that are listed: 1 to 1000; 100 without it."),
    ("after", false, "Only those after the job with this id."),
];

/// Which dictionary of a glossary is meant.
const PAIR: &[(&str, bool, &str)] =
    &[("source_lang", true, "The language of the terms."), ("target_lang", true, "The other one.")];
const KIND: &[(&str, bool, &str)] =
    &[("type", false, "`source`, the default, or `target`; `POST` takes it in a form as well.")];

pub const DEEPL: &[Operation] = &[
    THEIRS
        .post("/v2/translate", "Translates texts.")
        .takes::<deepl::TranslateRequest>()
        .sent_as(JSON_OR_FORM)
        .gives::<deepl::TranslateResponse>()
        .works(),
    THEIRS
        .post("/v2/document", "Takes a document to be translated.")
        .takes::<Upload<deepl::DocumentRequest>>()
        .sent_as(&["multipart/form-data"])
        .gives::<DocumentHandle>()
        .works(),
    THEIRS
        .post("/v2/document/{id}", "How far a document is.")
        .takes::<DocumentKey>()
        .sent_as(JSON_OR_FORM)
        .gives::<DocumentStatus>(),
    THEIRS
        .post("/v2/document/{id}/result", "The translated document.")
        .takes::<DocumentKey>()
        .sent_as(JSON_OR_FORM)
        .gives_text("application/octet-stream"),
    THEIRS
        .post("/v2/glossaries", "Stores a glossary of one pair of languages.")
        .takes::<CreateGlossary>()
        .sent_as(JSON_OR_FORM)
        .gives::<Glossary>()
        .with(201),
    THEIRS.get("/v2/glossaries", "The glossaries of one pair.").gives::<Glossaries<Glossary>>(),
    THEIRS.get("/v2/glossaries/{id}", "A glossary.").gives::<Glossary>(),
    THEIRS.delete("/v2/glossaries/{id}", "Deletes a glossary.").with(204),
    THEIRS
        .get("/v2/glossaries/{id}/entries", "The entries of a glossary.")
        .gives_text("text/tab-separated-values")
        .refuses(&[(406, "They come as `text/tab-separated-values`, which `Accept` leaves out.")]),
    THEIRS
        .get("/v2/glossary-language-pairs", "The pairs that a glossary can have.")
        .gives::<LanguagePairs>()
        .of_model(),
    THEIRS.get("/v2/languages", "The languages.").asks(KIND).gives::<Vec<Language>>().of_model(),
    THEIRS.post("/v2/languages", "The languages.").asks(KIND).gives::<Vec<Language>>().of_model(),
    THEIRS.get("/v2/usage", "Characters translated since the start.").gives::<Usage>(),
    THEIRS.post("/v2/usage", "Characters translated since the start.").gives::<Usage>(),
    THEIRS
        .post("/v3/glossaries", "Stores a glossary of several pairs.")
        .takes::<ChangeGlossary>()
        .gives::<MultilingualGlossary>()
        .with(201),
    THEIRS.get("/v3/glossaries", "All glossaries.").gives::<Glossaries<MultilingualGlossary>>(),
    THEIRS.get("/v3/glossaries/{id}", "A glossary.").gives::<MultilingualGlossary>(),
    THEIRS
        .patch("/v3/glossaries/{id}", "Renames a glossary, or adds entries to it.")
        .takes::<ChangeGlossary>()
        .gives::<MultilingualGlossary>(),
    THEIRS.delete("/v3/glossaries/{id}", "Deletes a glossary.").with(204),
    THEIRS
        .get("/v3/glossaries/{id}/entries", "The entries of a pair.")
        .asks(PAIR)
        .gives::<Dictionaries>(),
    THEIRS
        .put("/v3/glossaries/{id}/dictionaries", "Replaces the entries of a pair.")
        .takes::<Dictionary>()
        .sent_as(JSON_OR_FORM)
        .gives::<DictionaryInfo>(),
    THEIRS.delete("/v3/glossaries/{id}/dictionaries", "Deletes a pair.").asks(PAIR).with(204),
];
