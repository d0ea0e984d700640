//! Requests as JSON, and the parts of answers that are read.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::bench::record::Usage;
use crate::bench::run::Endpoint;
use crate::bench::workload::{Content, Prompt};

/// What every request of a run has in common.
#[derive(Debug, Clone)]
pub struct Shape {
    pub endpoint: Endpoint,
    pub model: String,
    pub ignore_eos: bool,
    /// Goes over whatever else the body has.
    pub extra: Map<String, Value>,
}

impl Shape {
    /// The body of a request.
    pub fn body(&self, prompt: &Prompt) -> Vec<u8> {
        let mut body = Map::new();
        body.insert("model".into(), self.model.clone().into());
        match (self.endpoint, &prompt.content) {
            (Endpoint::Embeddings, Content::Texts(texts)) => {
                body.insert("input".into(), json!(texts));
            }
            (Endpoint::Embeddings, Content::Chat(_)) => {
                body.insert("input".into(), json!([prompt.text()]));
            }
            (Endpoint::Completions, _) => {
                body.insert("prompt".into(), prompt.text().into());
            }
            (Endpoint::Chat, Content::Chat(turns)) => {
                body.insert("messages".into(), json!(turns));
            }
            (Endpoint::Chat, Content::Texts(_)) => {
                let turn = json!([{"role": "user", "content": prompt.text()}]);
                body.insert("messages".into(), turn);
            }
        }
        if self.endpoint != Endpoint::Embeddings {
            body.insert("max_tokens".into(), prompt.max_tokens.into());
            body.insert("temperature".into(), 0.into());
            body.insert("stream".into(), true.into());
            body.insert("stream_options".into(), json!({"include_usage": true}));
            if self.ignore_eos {
                body.insert("ignore_eos".into(), true.into());
                body.insert("min_tokens".into(), prompt.max_tokens.into());
            }
        }
        body.extend(self.extra.clone());
        Value::Object(body).to_string().into_bytes()
    }
}

/// A part of a streamed answer, or a whole one.
#[derive(Debug, Deserialize)]
pub struct Answer {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Counts>,
    #[serde(default)]
    pub error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default, alias = "message")]
    delta: Option<Delta>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    /// Thinking that is sent apart; two names are in use.
    #[serde(default, alias = "reasoning")]
    reasoning_content: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Counts {
    #[serde(default)]
    prompt_tokens: Option<usize>,
    #[serde(default)]
    completion_tokens: Option<usize>,
    #[serde(default)]
    total_tokens: Option<usize>,
}

impl Answer {
    /// The text of this part, of all kinds; empty where there is none.
    pub fn text(&self) -> String {
        let choices = self.choices.iter().flatten();
        let parts = choices.flat_map(|choice| {
            let delta = choice.delta.as_ref();
            [
                delta.and_then(|d| d.reasoning_content.as_deref()),
                delta.and_then(|d| d.content.as_deref()),
                choice.text.as_deref(),
            ]
        });
        parts.flatten().collect()
    }

    pub fn finish_reason(&self) -> Option<&str> {
        self.choices.iter().flatten().find_map(|c| c.finish_reason.as_deref())
    }

    pub fn usage(&self) -> Option<Usage> {
        self.usage.map(Usage::from)
    }
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        let whole = counts.total_tokens;
        Self {
            prompt: counts.prompt_tokens.or(whole.filter(|_| counts.completion_tokens.is_none())),
            completion: counts.completion_tokens,
        }
    }
}

/// What is read of an answer with embeddings; the vectors are only counted.
#[derive(Debug, Deserialize)]
pub struct Embedded {
    data: Vec<IgnoredAny>,
    #[serde(default)]
    usage: Option<Counts>,
}

impl Embedded {
    pub fn count(&self) -> usize {
        self.data.len()
    }

    pub fn usage(&self) -> Usage {
        self.usage.map(Usage::from).unwrap_or_default()
    }
}

/// The names of `/v1/models`.
#[derive(Debug, Deserialize)]
pub struct Models {
    data: Vec<Model>,
}

#[derive(Debug, Deserialize)]
struct Model {
    id: String,
}

impl Models {
    pub fn names(self) -> Vec<String> {
        self.data.into_iter().map(|m| m.id).collect()
    }
}

/// What an error body says, in whatever form.
pub fn error_text(error: &Value) -> String {
    let said = error.get("message").or_else(|| error.get("error")).unwrap_or(error);
    match said {
        Value::Object(inner) => match inner.get("message").and_then(Value::as_str) {
            Some(message) => message.to_owned(),
            None => said.to_string(),
        },
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
