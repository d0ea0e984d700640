//! What the document says of an operation, and the types that it names on the way.

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::operation::{Answer, Operation};

/// What answers with the state of all models, ready or not.
const READINESS: [&str; 2] = ["/health", "/health/ready"];

/// Requests and answers see a type from two sides: what may be left out of a
/// request is always there in an answer.
pub struct Schemas {
    pub requests: SchemaGenerator,
    pub answers: SchemaGenerator,
    /// Errors, which many operations share.
    pub errors: Map<String, Value>,
}

impl Schemas {
    pub fn operation(&mut self, operation: &Operation) -> Value {
        let mut described = json!({
            "tags": [operation.interface.tag],
            "summary": operation.summary,
            "operationId": id(operation),
        });
        let parameters: Vec<Value> = parameters(operation).collect();
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        if let Some(make) = operation.request {
            let schema = make(&mut self.requests).to_value();
            let content: Map<String, Value> = (operation.media.iter())
                .map(|media| ((*media).to_owned(), json!({"schema": schema})))
                .collect();
            described["requestBody"] = json!({"required": true, "content": content});
        }
        described["responses"] = self.responses(operation);
        if !operation.interface.guarded {
            described["security"] = json!([]);
        }
        described
    }

    fn responses(&mut self, operation: &Operation) -> Value {
        let mut content = Map::new();
        match operation.answer {
            Answer::Nothing => {}
            Answer::Json(make) => {
                let schema = make(&mut self.answers).to_value();
                content.insert("application/json".to_owned(), json!({"schema": schema}));
            }
            Answer::Text(kind) => {
                content.insert(kind.to_owned(), json!({"schema": {"type": "string"}}));
            }
            Answer::Lines(kind, make) => {
                let schema = make(&mut self.answers).to_value();
                content.insert(kind.to_owned(), json!({"schema": schema}));
            }
        }
        if let Some(make) = operation.events {
            let schema = make(&mut self.answers).to_value();
            content.insert("text/event-stream".to_owned(), json!({"schema": schema}));
        }
        let about = match (operation.events, operation.answer) {
            (None, _) => "Done.",
            (_, Answer::Nothing) => "Events, whose data are of the schema.",
            _ => "Done; with `\"stream\": true` events, whose data are of the schema.",
        };
        let mut success = json!({"description": about});
        if !content.is_empty() {
            success["content"] = content.into();
        }
        let mut responses = Map::new();
        responses.insert(operation.status.to_string(), success.clone());
        if operation.known {
            let mut known = success.clone();
            known["description"] = json!("It is there already.");
            responses.insert("200".to_owned(), known);
        }
        if let Some(make) = operation.accepted {
            let schema = make(&mut self.answers).to_value();
            let content = json!({"application/json": {"schema": schema}});
            let about = "Taken, with `\"background\": true`.";
            responses.insert("202".to_owned(), json!({"description": about, "content": content}));
        }
        let error = (operation.interface.error)(&mut self.answers).to_value();
        for (status, about) in errors(operation) {
            let tag = operation.interface.tag;
            let (name, content) = match success["content"].as_object() {
                // Not ready, in the shape of ready.
                Some(content) if READINESS.contains(&operation.path) && status != 405 => {
                    (format!("NotReady{status}"), content.clone().into())
                }
                _ => (format!("{tag}{status}"), json!({"application/json": {"schema": error}})),
            };
            let reference = json!({"$ref": format!("#/components/responses/{name}")});
            let mut described = json!({"description": about, "content": content});
            if status == 405 {
                let allow = json!({"description": "The methods.", "schema": {"type": "string"}});
                described["headers"] = json!({ "Allow": allow });
            }
            self.errors.insert(name, described);
            responses.insert(status.to_string(), reference);
        }
        responses.into()
    }
}

fn id(operation: &Operation) -> String {
    let words = operation.path.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    [operation.method].into_iter().chain(words).collect::<Vec<_>>().join("_")
}

fn parameters(operation: &Operation) -> impl Iterator<Item = Value> {
    let names = operation
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{').and_then(|name| name.strip_suffix('}')));
    let path = names.map(
        |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}),
    );
    path.chain(operation.query.iter().map(|(name, required, about)| {
        json!({"name": name, "in": "query", "required": required, "description": about,
            "schema": {"type": "string"}})
    }))
}

/// The errors that an operation can end in.
fn errors(operation: &Operation) -> Vec<(u16, &'static str)> {
    let body = operation.request.is_some();
    let named = operation.path.contains('{') || operation.model;
    let health = READINESS.contains(&operation.path);
    let all = [
        (400, body || !operation.query.is_empty(), "The request is wrong; the message says where."),
        (401, operation.interface.guarded, "The key is missing or wrong."),
        (404, named, "What the request names is not there."),
        (405, true, "There is no such method here; `Allow` lists those there are."),
        (408, body, "The body stopped arriving."),
        (413, body, "The body is too large."),
        (415, body, "The body is of the wrong type."),
        (429, operation.work, "The queue is full; `Retry-After` says when to come back."),
        (500, operation.work, "The server failed; its log says why."),
        (503, operation.work || health, "Not now: loading, stopping, or failed."),
    ];
    let moved = |status| {
        let moved = operation.interface.moved.iter().find(|(from, _)| *from == status);
        moved.map_or(status, |(_, to)| *to)
    };
    let more = || operation.interface.more.iter().chain(operation.more).copied();
    let own = |status: u16| more().any(|(further, _)| further == status);
    let mut errors: Vec<_> = (all.into_iter())
        .filter(|(status, applies, _)| *applies && !own(*status))
        .map(|(status, _, about)| (moved(status), about))
        .chain(more())
        .collect();
    errors.sort_unstable();
    errors
}
