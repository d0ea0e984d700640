//! Where the fields of a request are, and what to send there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// What has to become of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// Refused by the field's path, in a message with these words.
    Refused(&'static str),
    /// The answer is the same as without it.
    Same,
}

/// A field of an object somewhere in a request.
pub struct Place<'a> {
    /// The type of the object.
    pub object: String,
    /// From the request to the object: fields, and lists whose first is meant.
    path: Vec<Step>,
    name: String,
    effect: Effect<'a>,
}

#[derive(Clone)]
struct Step {
    field: String,
    list: bool,
    /// What the object there has beside what is tried.
    beside: Value,
}

enum Effect<'a> {
    Honoured(BTreeSet<&'static str>),
    Accepted,
    /// Unless it has one of these values.
    Refused(&'a [Value]),
}

/// Every field that is in the schema of a request, once for each type.
/// `objects` has, by their types, what objects need.
pub fn places<'a>(
    document: &'a Value,
    root: &'a Value,
    objects: &BTreeMap<String, Value>,
) -> Vec<Place<'a>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![(root, Vec::<Step>::new(), "the request".to_owned())];
    while let Some((schema, path, within)) = open.pop() {
        for (name, object) in variants(document, schema, &within) {
            if !object["properties"].is_object() || !seen.insert(name.clone()) {
                continue;
            }
            let mut path = path.clone();
            if let (Some(last), Some(beside)) = (path.last_mut(), objects.get(&name)) {
                last.beside = beside.clone();
            }
            let place = |field: &str, effect| Place {
                object: name.clone(),
                path: path.clone(),
                name: field.to_owned(),
                effect,
            };
            for (field, schema) in object["properties"].as_object().unwrap() {
                if schema["x-accepted"].is_string() {
                    found.push(place(field, Effect::Accepted));
                    continue;
                }
                found.push(place(field, Effect::Honoured(kinds(document, schema))));
                for (schema, list, held) in held(document, schema, &format!("{name}.{field}")) {
                    let mut path = path.clone();
                    path.push(Step { field: field.clone(), list, beside: json!({}) });
                    open.push((schema, path, held));
                }
            }
            for (field, rule) in object["x-refused"].as_object().into_iter().flatten() {
                let unless = rule["unless"].as_array().unwrap();
                found.push(place(field, Effect::Refused(unless)));
            }
        }
    }
    found
}

/// The schemas that a schema lets choose from, with the names of their types.
fn variants<'a>(document: &'a Value, schema: &'a Value, name: &str) -> Vec<(String, &'a Value)> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(&reference[1..]).unwrap();
        return variants(document, target, reference.rsplit('/').next().unwrap());
    }
    let choices = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array());
    let choices: Vec<&Value> = choices.flatten().collect();
    if choices.is_empty() {
        return vec![(name.to_owned(), schema)];
    }
    choices.into_iter().flat_map(|one| variants(document, one, name)).collect()
}

/// What a field holds or holds lists of, with the names of its types.
fn held<'a>(document: &'a Value, schema: &'a Value, name: &str) -> Vec<(&'a Value, bool, String)> {
    let variants = variants(document, schema, name).into_iter();
    let held = variants.map(|(name, one)| match one.get("items") {
        Some(items) => (items, true, name),
        None => (one, false, name),
    });
    held.collect()
}

/// The kinds of JSON that a schema allows; empty if it allows all.
fn kinds(document: &Value, schema: &Value) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for (_, one) in variants(document, schema, "") {
        let types: Vec<&str> = match &one["type"] {
            Value::String(one) => vec![one],
            Value::Array(some) => some.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let listed = one["enum"].as_array().into_iter().flatten().chain(one.get("const"));
        let before = found.len();
        found.extend(listed.map(kind));
        for name in types {
            found.insert(match name {
                "integer" | "number" => "number",
                "boolean" => "boolean",
                "string" => "string",
                "array" => "array",
                "object" => "object",
                _ => "null",
            });
        }
        if found.len() == before && one.as_object().is_some_and(|one| !one.contains_key("type")) {
            return BTreeSet::new();
        }
    }
    found
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Place<'_> {
    /// The path as errors give it.
    pub fn shown(&self) -> String {
        let mut shown = String::new();
        for step in &self.path {
            shown += &step.field;
            shown += if step.list { "[0]." } else { "." };
        }
        shown + &self.name
    }

    /// A request with a value in this place; with null, without any.
    pub fn put(&self, body: &Value, given: &Value) -> Value {
        let mut body = body.clone();
        let mut object = &mut body;
        for step in &self.path {
            let field = &mut object[&step.field];
            if step.list {
                if !field.as_array().is_some_and(|list| list.first().is_some_and(Value::is_object))
                {
                    *field = json!([{}]);
                }
                object = &mut field[0];
            } else {
                if !field.is_object() {
                    *field = json!({});
                }
                object = field;
            }
            for (name, value) in step.beside.as_object().unwrap() {
                object[name] = value.clone();
            }
        }
        match (given, object.as_object_mut()) {
            (Value::Null, Some(fields)) => drop(fields.remove(&self.name)),
            _ => object[&self.name] = given.clone(),
        }
        body
    }

    /// What to send, and what has to become of it.
    pub fn trials(&self) -> Vec<(Value, Outcome)> {
        let any = [json!(5), json!("x"), json!(true), json!(["x"]), json!({"x": 1})];
        match &self.effect {
            Effect::Honoured(kinds) if kinds.is_empty() => Vec::new(),
            Effect::Honoured(kinds) => {
                let wrong = any.into_iter().find(|value| !kinds.contains(kind(value)));
                wrong.into_iter().map(|value| (value, Outcome::Refused(""))).collect()
            }
            Effect::Accepted => {
                vec![(json!("x"), Outcome::Same), (json!({"x": [1]}), Outcome::Same)]
            }
            Effect::Refused(unless) => {
                let asks = any.into_iter().find(|value| !unless.contains(value)).unwrap();
                std::iter::once((asks, Outcome::Refused("not supported")))
                    .chain(unless.iter().map(|value| (value.clone(), Outcome::Same)))
                    .collect()
            }
        }
    }
}
