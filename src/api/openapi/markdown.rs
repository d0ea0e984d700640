//! `docs/api.md`: the document for people who read Markdown.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::fields::{Effect, Field, Piece, fields, kind, name};
use super::shapes::LINES;

/// The page.
pub fn page(document: &Value) -> String {
    let none = Map::new();
    let mut text = String::from(
        "# The interface\n\n\
         <!-- Generated from the code; `just reference` writes it anew. -->\n\n\
         Every route, and what becomes of each field of a request. The same as an OpenAPI 3.1 \
         document is [openapi.json](openapi.json), which a server also gives at `/openapi.json`, \
         with a page at `/docs`.\n\n\
         Nothing is ignored in silence. A field is *honoured*; or *accepted, without effect*, \
         because it cannot change the answer; or *refused* by name, with what to do instead, \
         unless its value asks for nothing. Every other field is refused as unknown. Of requests \
         in JSON, `tests/it/fields.rs` shows it field by field: what is refused or without effect \
         it takes from this document, what is honoured has a line in \
         [effects.txt](../tests/it/fields/effects.txt).\n",
    );
    let schemas = &document["components"]["schemas"];
    let mut shown = Vec::new();
    for tag in document["tags"].as_array().into_iter().flatten() {
        let heading = tag["name"].as_str().unwrap_or_default();
        let about = tag["description"].as_str().unwrap_or_default();
        let _ = write!(text, "\n## {heading}\n\n{about}\n");
        for (path, item) in document["paths"].as_object().unwrap_or(&none) {
            for (method, operation) in item.as_object().unwrap_or(&none) {
                if operation["tags"][0] == heading {
                    let line = format!("{} {path}", method.to_uppercase());
                    text += &endpoint(&line, operation, schemas);
                    shown.extend(body(operation).and_then(name));
                }
            }
        }
    }
    text += "\n## Types\n\nWhat the above refers to.\n";
    let json = schemas.to_string();
    for (name, schema) in schemas.as_object().unwrap_or(&none) {
        // What stands at its route is not repeated, unless something leads here.
        if !shown.contains(&name.as_str()) || json.contains(&format!("/schemas/{name}\"")) {
            let about = schema["description"].as_str().unwrap_or_default();
            let _ = write!(text, "\n### {name}\n\n{about}\n");
            text += &described(schema);
        }
    }
    text
}

fn body(operation: &Value) -> Option<&Value> {
    operation["requestBody"]["content"].as_object()?.values().next()?.get("schema")
}

fn endpoint(line: &str, operation: &Value, schemas: &Value) -> String {
    let summary = operation["summary"].as_str().unwrap_or_default();
    let mut text = format!("\n### {line}\n\n{summary}");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "query" {
            let name = parameter["name"].as_str().unwrap_or_default();
            let about = parameter["description"].as_str().unwrap_or_default();
            let _ = write!(text, " Query: `{name}`: {about}");
        }
    }
    let none = Map::new();
    let media = operation["requestBody"]["content"].as_object().unwrap_or(&none);
    let media: Vec<String> = media.keys().map(|media| format!("`{media}`")).collect();
    // JSON alone goes without saying.
    if media.iter().any(|media| media != "`application/json`") {
        let _ = write!(text, " The body is {}.", media.join(" or "));
    }
    for (status, response) in operation["responses"].as_object().unwrap_or(&none) {
        let content = response["content"].as_object().unwrap_or(&none);
        if status.starts_with('2') {
            let _ = write!(text, "\n\nAnswer {status}");
            for (number, (media, content)) in content.iter().enumerate() {
                let joint = if number == 0 { ": " } else { "; or " };
                let kind = line_of(&kind(&content["schema"]));
                let _ = match media.as_str() {
                    "application/json" => write!(text, "{joint}{kind}"),
                    "text/event-stream" => write!(text, "{joint}events of {kind}"),
                    other if content["schema"].get(LINES).is_some() => {
                        write!(text, "{joint}`{other}`, of batches {kind}")
                    }
                    other => write!(text, "{joint}`{other}`"),
                };
            }
            text += ".";
        }
    }
    let codes: Vec<&str> = (operation["responses"].as_object().unwrap_or(&none).keys())
        .map(String::as_str)
        .filter(|status| !status.starts_with('2'))
        .collect();
    if !codes.is_empty() {
        let _ = write!(text, " Errors: {}.", codes.join(", "));
    }
    text += "\n";
    if let Some(name) = body(operation).and_then(name) {
        text += &described(&schemas[name]);
    }
    text
}

/// A table of the fields, or in a line what there is instead.
fn described(schema: &Value) -> String {
    let fields = fields(schema);
    if fields.is_empty() {
        return match schema["type"] == "object" {
            true => String::new(),
            false => format!("\n{}\n", line_of(&kind(schema))),
        };
    }
    // Only requests have fields that are not honoured.
    let request = schema["additionalProperties"] == false;
    let mut text = match request {
        true => "\n| Field | Type | Effect | |\n|---|---|---|---|\n".to_owned(),
        false => "\n| Field | Type | |\n|---|---|---|\n".to_owned(),
    };
    for field in &fields {
        text += &row(field, request);
    }
    text
}

fn row(field: &Field, request: bool) -> String {
    let kind = match field.effect {
        Effect::Honoured => line_of(&field.kind),
        _ => String::new(),
    };
    let effect = match (request, field.required) {
        (false, _) => String::new(),
        (true, true) => format!(" {}, required |", field.effect.word()),
        (true, false) => format!(" {} |", field.effect.word()),
    };
    format!("| `{}` | {kind} |{effect} {} |\n", field.name, cell(&field.about))
}

fn line_of(pieces: &[Piece]) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => cell(text),
        Piece::Name(name) => format!("[{name}](#{})", name.to_lowercase()),
    };
    pieces.iter().map(piece).collect()
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
