//! The document, from the tables and the types.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operation::{Answer, Operation};
use super::shapes::REFUSED;
use super::table::tables;

const ABOUT: &str = "An inference server for multilingual policy documents. Fields that are not \
    listed are refused by name. Where a schema has `x-accepted`, the field is taken and changes \
    nothing; `x-refused` lists fields of other servers that are refused, what to do instead, and \
    some values that ask for nothing and are let pass. `null` counts as absent.";

/// The OpenAPI document of this build.
pub fn document() -> Value {
    let settings = || {
        SchemaSettings::draft2020_12().with(|s| {
            s.definitions_path = "/components/schemas".into();
            s.meta_schema = None;
        })
    };
    let mut schemas = Schemas {
        requests: settings().for_deserialize().into_generator(),
        answers: settings().for_serialize().into_generator(),
    };
    let mut paths = Map::new();
    let mut tags = Vec::new();
    for operation in tables().into_iter().flatten() {
        let tag =
            json!({"name": operation.interface.tag, "description": operation.interface.about});
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        item[operation.method] = schemas.operation(operation);
    }
    let components = schemas.components(&mut paths);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Dragoman",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        // The server that the document came from.
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"key": []}],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer",
                    "description": "`server.api_key`, where it is set."},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key",
                    "description": "The same key, as Anthropic's clients send it."},
            },
            "schemas": components,
        },
    });
    tidy(&mut document);
    document
}

/// Requests and answers see a type from two sides: what may be left out of a
/// request is always there in an answer.
struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Schemas {
    fn operation(&mut self, operation: &Operation) -> Value {
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
            let mut content = json!({"application/json": {"schema": schema}});
            if operation.form {
                content["application/x-www-form-urlencoded"] = json!({"schema": schema});
            }
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
        }
        if let Some(make) = operation.events {
            let schema = make(&mut self.answers).to_value();
            content.insert("text/event-stream".to_owned(), json!({"schema": schema}));
        }
        let about = match operation.events {
            Some(_) => "Done; with `\"stream\": true` events, whose data are of the schema.",
            None => "Done.",
        };
        let mut success = json!({"description": about});
        if !content.is_empty() {
            success["content"] = content.into();
        }
        let mut responses = Map::new();
        responses.insert(operation.status.to_string(), success);
        let error = (operation.interface.error)(&mut self.answers).to_value();
        for (status, about) in errors(operation) {
            let schema = match (operation.path, status) {
                // Not ready, in the shape of ready.
                ("/health" | "/health/ready", 503) => responses["200"]["content"].clone(),
                _ => json!({"application/json": {"schema": error}}),
            };
            responses.insert(status.to_string(), json!({"description": about, "content": schema}));
        }
        responses.into()
    }

    /// All named types. One that looks different from the two sides is there
    /// twice, and what is given in `paths` refers to the right one.
    fn components(&mut self, paths: &mut Map<String, Value>) -> Value {
        let mut named = self.requests.take_definitions(true);
        let answers = self.answers.take_definitions(true);
        let two_sided: Vec<String> = (answers.iter())
            .filter(|(name, schema)| named.get(*name).is_some_and(|other| other != *schema))
            .map(|(name, _)| name.clone())
            .collect();
        for (name, mut schema) in answers {
            redirect(&mut schema, &two_sided);
            match two_sided.contains(&name) {
                // Another server's fields say nothing of an answer.
                true => {
                    schema.as_object_mut().map(|fields| fields.remove(REFUSED));
                    named.insert(given(&name), schema)
                }
                false => named.insert(name, schema),
            };
        }
        for operation in paths.values_mut().filter_map(Value::as_object_mut) {
            for described in operation.values_mut() {
                redirect(&mut described["responses"], &two_sided);
            }
        }
        named.sort_keys();
        named.into()
    }
}

/// The name of a type as answers have it.
fn given(name: &str) -> String {
    format!("{name}Given")
}

/// Lets references to these types refer to them as answers have them.
fn redirect(value: &mut Value, two_sided: &[String]) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref")
                && let Some((_, name)) = reference.rsplit_once('/')
                && two_sided.iter().any(|other| other == name)
            {
                *reference = given(reference);
            }
            fields.values_mut().for_each(|value| redirect(value, two_sided));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| redirect(value, two_sided)),
        _ => {}
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
    let named = operation.path.contains('{') || operation.work;
    let health = matches!(operation.path, "/health" | "/health/ready");
    let all = [
        (400, body || !operation.query.is_empty(), "The request is wrong; the message says where."),
        (401, operation.interface.guarded, "The key is missing or wrong."),
        (404, named, "What the request names is not there."),
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
    (all.into_iter())
        .filter(|(_, applies, _)| *applies)
        .map(|(status, _, about)| (moved(status), about))
        .collect()
}

/// Comments of the code become running text, and what only Rust knows goes.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let rust = |format: &str| format.starts_with("uint") || format.starts_with("int");
            if fields.get("format").and_then(Value::as_str).is_some_and(rust) {
                fields.remove("format");
            }
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = text.replace("[`", "`").replace("`]", "`").replace('\n', " ");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
