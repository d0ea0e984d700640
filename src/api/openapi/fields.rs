//! The fields of a schema, as the pages list them.

use serde_json::{Map, Value};

use super::shapes::{ACCEPTED, LINES, REFUSED};

/// A piece of a line: text, or the name of a type that has a place of its own.
pub enum Piece {
    Text(String),
    Name(String),
}

/// What becomes of a field that a request has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Honoured,
    Accepted,
    Refused,
}

impl Effect {
    pub fn word(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Accepted => "accepted, without effect",
            Self::Refused => "refused",
        }
    }
}

pub struct Field {
    pub name: String,
    pub kind: Vec<Piece>,
    pub required: bool,
    pub effect: Effect,
    pub about: String,
}

/// The type that a schema refers to, if it does.
pub fn name(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// The fields of an object, or of all objects that a schema lets choose from.
pub fn fields(schema: &Value) -> Vec<Field> {
    let mut found = of_object(schema, "");
    for variant in ["oneOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten()
    {
        let tag = variant["properties"]["type"]["const"].as_str();
        let of = tag.map(|tag| format!("Of `{tag}`. ")).unwrap_or_default();
        found.extend(
            of_object(variant, &of)
                .into_iter()
                .filter(|field| tag.is_none() || field.name != "type"),
        );
    }
    found
}

fn of_object(schema: &Value, of: &str) -> Vec<Field> {
    let none = Map::new();
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|own| own == name))
    };
    let own = schema["properties"].as_object().unwrap_or(&none).iter().map(|(name, field)| {
        let because = field[ACCEPTED].as_str();
        Field {
            name: name.clone(),
            kind: kind(field),
            required: required(name),
            effect: because.map_or(Effect::Honoured, |_| Effect::Accepted),
            about: match because {
                Some(because) => format!("{because}."),
                None => format!("{of}{}", field["description"].as_str().unwrap_or_default()),
            },
        }
    });
    let refused = schema[REFUSED].as_object().unwrap_or(&none).iter().map(|(name, rule)| {
        let says = rule["instead"].as_str().unwrap_or_default();
        let passed: Vec<String> = (rule["unless"].as_array().into_iter().flatten())
            .map(|value| format!("`{value}`"))
            .collect();
        let unless = match passed.as_slice() {
            [] => String::new(),
            some => format!(" Let pass: {}.", some.join(", ")),
        };
        Field {
            name: name.clone(),
            kind: Vec::new(),
            required: false,
            effect: Effect::Refused,
            about: format!("“not supported: {says}”.{unless}"),
        }
    });
    own.chain(refused).collect()
}

/// What a value is, in words.
pub fn kind(schema: &Value) -> Vec<Piece> {
    let text = |text: &str| vec![Piece::Text(text.to_owned())];
    if let Some(name) = name(schema) {
        return vec![Piece::Name(name.to_owned())];
    }
    if let Some(lines) = schema.get(LINES) {
        let mut pieces = text("lines, each ");
        pieces.extend(kind(lines));
        return pieces;
    }
    if let Some(value) = schema.get("const") {
        return text(&value.to_string());
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> =
            values.iter().filter(|value| !value.is_null()).map(Value::to_string).collect();
        return text(&values.join(" or "));
    }
    let choices = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
    if let Some(choices) = choices {
        let mut pieces = Vec::new();
        for choice in choices.iter().filter(|choice| choice["type"] != "null") {
            if !pieces.is_empty() {
                pieces.extend(text(" or "));
            }
            pieces.extend(kind(choice));
        }
        return pieces;
    }
    let words: Vec<&str> = match &schema["type"] {
        Value::String(word) => vec![word],
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let words: Vec<&str> = words.into_iter().filter(|word| *word != "null").collect();
    match words.as_slice() {
        [] if schema["type"].is_null() => text("anything"),
        [] => text("null"),
        ["array"] if schema.get("items").is_some() => {
            let mut pieces = text("array of ");
            pieces.extend(kind(&schema["items"]));
            pieces
        }
        words => text(&format!("{}{}", words.join(" or "), range(schema))),
    }
}

/// The bounds of a number, in words.
fn range(schema: &Value) -> String {
    let low = schema["minimum"].as_f64().filter(|low| *low != 0.0 || schema["maximum"].is_number());
    let above = schema["exclusiveMinimum"].as_f64();
    let low = match (low, above) {
        (Some(low), _) => format!(" from {low}"),
        (None, Some(low)) => format!(" above {low}"),
        (None, None) => String::new(),
    };
    match schema["maximum"].as_f64() {
        Some(high) => format!("{low} to {high}"),
        None => low,
    }
}
