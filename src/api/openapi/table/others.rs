//! Routes in the shape of Anthropic, of Cohere and Jina, of
//! text-embeddings-inference, and of LibreTranslate.

use crate::api::openapi::operation::{Interface, JSON_OR_FORM, Operation};
use crate::api::openapi::shapes::Any;
use crate::api::wire::anthropic::{self, Message, MessagesRequest, StreamEvent, TokenCount};
use crate::api::wire::common::ErrorBody;
use crate::api::wire::rerank::{RerankRequest, RerankResponse};
use crate::api::wire::tei::{self, Info, Prediction, Rank, SparseValue, TokenizeAnswer};
use crate::api::wire::translate::{self, LanguageEntry, TranslateRequest, TranslateResponse};

const MESSAGES: Interface =
    Interface::new::<anthropic::ErrorBody>("Anthropic", "As Anthropic's clients expect it.");
const RERANK: Interface =
    Interface::new::<ErrorBody>("Rerank", "As Cohere's and Jina's clients expect it.");
const EMBED: Interface = Interface {
    moved: &[(400, 422)],
    more: &[(424, "The model is of another kind, or failed.")],
    ..Interface::new::<tei::ErrorBody>(
        "text-embeddings-inference",
        "As clients of text-embeddings-inference expect it. Requests may name a `model`, an \
         extension; otherwise the first loaded one that can serves.",
    )
};
const LIBRE: Interface = Interface::new::<translate::ErrorBody>(
    "LibreTranslate",
    "As clients of LibreTranslate expect it, on encoder-decoders.",
);

pub const ANTHROPIC: &[Operation] = &[
    MESSAGES
        .post("/v1/messages", "Answers a conversation.")
        .takes::<MessagesRequest>()
        .gives::<Message>()
        .streams::<StreamEvent<'static>>()
        .works(),
    MESSAGES
        .post("/v1/messages/count_tokens", "Counts the tokens of a conversation.")
        .takes::<MessagesRequest>()
        .gives::<TokenCount>()
        .works(),
];

const BEST_FIRST: &str = "Puts texts in order by how well they answer a query.";

pub const COHERE: &[Operation] = &[
    RERANK
        .post("/v1/rerank", BEST_FIRST)
        .takes::<RerankRequest>()
        .gives::<RerankResponse>()
        .works(),
    RERANK
        .post("/v2/rerank", "The same, where newer clients ask for it.")
        .takes::<RerankRequest>()
        .gives::<RerankResponse>()
        .works(),
];

pub const TEI: &[Operation] = &[
    EMBED
        .post("/embed", "A vector for each text.")
        .takes::<tei::EmbedRequest>()
        .gives::<Vec<Vec<f32>>>()
        .works(),
    EMBED
        .post("/embed_all", "A vector for each token of each text.")
        .takes::<tei::EmbedAllRequest>()
        .gives::<Vec<Vec<Vec<f32>>>>()
        .works(),
    EMBED
        .post("/embed_sparse", "The weights of words for each text.")
        .takes::<tei::EmbedAllRequest>()
        .gives::<Vec<Vec<SparseValue>>>()
        .works(),
    EMBED
        .post("/similarity", "How close sentences are to one.")
        .takes::<tei::SimilarityRequest>()
        .gives::<Vec<f32>>()
        .works(),
    EMBED
        .post("/predict", "Scores the classes of texts or pairs.")
        .takes::<tei::PredictRequest>()
        .gives::<Any<(Vec<Prediction>, Vec<Vec<Prediction>>)>>()
        .works(),
    EMBED.post("/rerank", BEST_FIRST).takes::<tei::RerankRequest>().gives::<Vec<Rank>>().works(),
    EMBED
        .post("/tokenize", "The tokens of texts, or of a conversation.")
        .takes::<tei::TokenizeRequest>()
        .gives::<TokenizeAnswer>()
        .works(),
    EMBED
        .post("/detokenize", "The text of tokens.")
        .takes::<tei::DetokenizeRequest>()
        .gives::<tei::DetokenizeAnswer>()
        .works(),
    EMBED
        .post("/decode", "The texts of lists of tokens.")
        .takes::<tei::DecodeRequest>()
        .gives::<Vec<String>>()
        .works(),
    EMBED
        .get("/info", "The first model that embeds, ranks or classifies.")
        .gives::<Info>()
        .of_model(),
];

pub const LIBRE_TRANSLATE: &[Operation] = &[
    LIBRE
        .post("/translate", "Translates texts.")
        .takes::<TranslateRequest>()
        .sent_as(JSON_OR_FORM)
        .gives::<TranslateResponse>()
        .works(),
    LIBRE
        .get("/languages", "The languages of the first translation model.")
        .gives::<Vec<LanguageEntry>>()
        .of_model(),
];
