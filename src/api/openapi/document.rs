//! The document, from the tables and the types.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::describe::Schemas;
use super::table::tables;

const ABOUT: &str = "An inference server for multilingual policy documents. Fields that are not \
    listed are refused by name. Where a schema has `x-accepted`, the field is taken and changes \
    nothing; `x-refused` lists fields of other servers that are refused, what to do instead, and \
    some values that ask for nothing and are let pass; `x-lines` says what each line of a file is.";

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
        errors: Map::new(),
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
            "responses": schemas.errors,
            "schemas": components,
        },
    });
    tidy(&mut document);
    document
}

/// Comments of the code become running text, and what only Rust knows goes.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let rust = |format: &str| format.starts_with("uint") || format.starts_with("int");
            if fields.get("format").and_then(Value::as_str).is_some_and(rust) {
                let format = fields.remove("format");
                if format.is_some_and(|format| format == "uint32") {
                    fields.insert("maximum".to_owned(), u32::MAX.into());
                }
            }
            // What is left out is not null, it is left out.
            if fields.get("default").is_some_and(Value::is_null) {
                fields.remove("default");
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
