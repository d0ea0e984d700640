//! `/tokenize`, `/detokenize` and `/decode`.

use axum::Json as Answer;
use axum::extract::State;

use crate::api::conversation::Conversation;
use crate::api::error::ApiError;
use crate::api::extract::Json;
use crate::api::inputs::with_prompt;
use crate::api::messages::for_template;
use crate::api::options::Options;
use crate::api::state::{Shared, offload};
use crate::api::tools::Tools;
use crate::api::wire::generation::Raw;
use crate::api::wire::inputs::Inputs;
use crate::api::wire::tei::{
    DecodeRequest, DetokenizeAnswer, DetokenizeRequest, Token, TokenList, TokenizeAnswer,
    TokenizeRequest,
};
use crate::engine::{Engine, ModelKind};
use crate::text::TokenizerError;

/// All kinds of model have a tokenizer; those of this interface go first.
const KINDS: [ModelKind; 5] = [
    ModelKind::Embedding,
    ModelKind::SparseEmbedding,
    ModelKind::Reranking,
    ModelKind::Classification,
    ModelKind::Generation,
];

/// The tokens of texts.
pub async fn tokenize(
    State(shared): State<Shared>,
    Json(body): Json<TokenizeRequest>,
) -> Result<Answer<TokenizeAnswer>, ApiError> {
    if body.prompt.is_some() || body.messages.is_some() {
        return of_generator(&shared, body).await;
    }
    let only_there = [
        ("return_token_strs", body.return_token_strs.is_some()),
        ("tools", body.tools.is_some()),
        ("chat_template_kwargs", body.chat_template_kwargs.is_some()),
    ];
    if let Some((field, _)) = only_there.into_iter().find(|(_, given)| *given) {
        let message = format!("{field} only goes with prompt or messages");
        return Err(ApiError::invalid(field, message));
    }
    let Some(inputs) = body.inputs else {
        let message = "`inputs` is required; or send prompt or messages";
        return Err(ApiError::invalid("inputs", message));
    };
    let engine = shared.any_engine(body.model.as_deref(), &KINDS)?;
    let special = body.add_special_tokens.unwrap_or(true);
    let name = body.prompt_name.as_deref();
    let input = match (inputs, name) {
        (Inputs::Tokens { .. }, _) => {
            return Err(ApiError::invalid("inputs", "`inputs` are token ids; send texts"));
        }
        // Here a text is taken as it is, unless a prompt is asked for.
        (input, None) => input,
        (input, name) => with_prompt(input, name, engine.info())?,
    };
    let Inputs::Texts { texts, .. } = input else { return Err(ApiError::internal()) };
    work(engine, texts.iter().map(String::len).sum(), move |tokenizer| {
        let tokens = |text: String| {
            let spans = tokenizer.encode_spans(&text, special)?;
            Ok(spans
                .into_iter()
                .map(|token| Token {
                    id: token.id,
                    text: token.text,
                    special: token.special,
                    start: token.span.map(|span| span.0),
                    stop: token.span.map(|span| span.1),
                })
                .collect())
        };
        texts.into_iter().map(tokens).collect::<Result<_, _>>().map(TokenizeAnswer::Texts)
    })
    .await
}

/// The tokens of a text or of a conversation, as a generator gets them.
async fn of_generator(
    shared: &Shared,
    body: TokenizeRequest,
) -> Result<Answer<TokenizeAnswer>, ApiError> {
    let engine = shared.any_engine(body.model.as_deref(), &[ModelKind::Generation])?;
    let given = [body.inputs.is_some(), body.prompt.is_some(), body.messages.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        let message = "send one of inputs, prompt and messages";
        return Err(ApiError::invalid("prompt", message));
    }
    if body.prompt_name.is_some() {
        let message = "prompt_name goes with inputs";
        return Err(ApiError::invalid("prompt_name", message));
    }
    let tokens = match (body.prompt, body.messages) {
        (Some(prompt), _) => engine.encode(prompt, body.add_special_tokens.unwrap_or(true)).await?,
        (None, messages) => {
            if body.add_special_tokens == Some(true) {
                let message = "a chat template writes the special tokens itself; leave it out";
                return Err(ApiError::invalid("add_special_tokens", message));
            }
            let conversation = Conversation {
                messages: for_template(messages.unwrap_or_default())?,
                tools: Tools::of_chat(body.tools, None, None)?,
                kwargs: body.chat_template_kwargs,
                ..Conversation::default()
            };
            conversation.prompt(engine, &mut Options::new(Raw::default(), None)?).await?.ids
        }
    };
    let tokenizer = engine.tokenizer();
    let text = |id: &u32| tokenizer.id_to_token(*id).unwrap_or_default();
    let strings = body.return_token_strs.unwrap_or(false);
    Ok(Answer(TokenizeAnswer::One(TokenList {
        count: tokens.len(),
        max_model_len: engine.info().limits.context_length,
        token_strs: strings.then(|| tokens.iter().map(text).collect()),
        tokens,
    })))
}

/// The text of a generator's tokens.
pub async fn detokenize(
    State(shared): State<Shared>,
    Json(body): Json<DetokenizeRequest>,
) -> Result<Answer<DetokenizeAnswer>, ApiError> {
    let engine = shared.any_engine(body.model.as_deref(), &[ModelKind::Generation])?;
    let vocabulary = engine.tokenizer().vocab_size();
    if let Some(id) = body.tokens.iter().find(|id| **id as usize >= vocabulary) {
        let message = format!("`tokens` has the token id {id}, outside of {vocabulary}");
        return Err(ApiError::invalid("tokens", message));
    }
    work(engine, body.tokens.len(), move |tokenizer| {
        tokenizer.decode(&body.tokens, false).map(|prompt| DetokenizeAnswer { prompt })
    })
    .await
}

/// The texts of tokens.
pub async fn decode(
    State(shared): State<Shared>,
    Json(body): Json<DecodeRequest>,
) -> Result<Answer<Vec<String>>, ApiError> {
    let engine = shared.any_engine(body.model.as_deref(), &KINDS)?;
    let skip = body.skip_special_tokens.unwrap_or(true);
    let lists = match body.ids {
        Inputs::Tokens { lists, .. } => lists,
        Inputs::Texts { texts, .. } if texts.is_empty() => Vec::new(),
        Inputs::Texts { .. } => {
            return Err(ApiError::invalid("ids", "`ids` are texts; send token ids"));
        }
    };
    let vocabulary = engine.tokenizer().vocab_size();
    for (index, list) in lists.iter().enumerate() {
        if let Some(id) = list.iter().find(|id| **id as usize >= vocabulary) {
            let message = format!("list {index} has the token id {id}, outside of {vocabulary}");
            return Err(ApiError::invalid("ids", message));
        }
    }
    work(engine, lists.iter().map(Vec::len).sum(), move |tokenizer| {
        lists.iter().map(|ids| tokenizer.decode(ids, skip)).collect()
    })
    .await
}

/// Runs work of the tokenizer of about this many bytes.
async fn work<T: Send + 'static>(
    engine: &Engine,
    bytes: usize,
    work: impl FnOnce(&crate::text::Tokenizer) -> Result<T, TokenizerError> + Send + 'static,
) -> Result<Answer<T>, ApiError> {
    let tokenizer = engine.tokenizer().clone();
    // A tokenizer takes longer for a byte than JSON.
    let done = offload(bytes.saturating_mul(64), move || work(&tokenizer)).await?;
    done.map(Answer).map_err(|e| ApiError::invalid("inputs", e.to_string()))
}
