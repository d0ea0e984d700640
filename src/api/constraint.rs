//! Which grammar an answer must follow, of the many fields that can say so.

use super::error::ApiError;
use super::wire::generation::{Raw, ResponseFormat, StructuredOutputs};
use crate::engine::GrammarSpec;

/// A grammar and the field that asked for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Constraint {
    pub spec: GrammarSpec,
    pub field: &'static str,
}

impl Constraint {
    /// What the request asks for, if anything.
    ///
    /// # Errors
    /// 400 when fields disagree or one is not complete.
    pub fn of(raw: &mut Raw) -> Result<Option<Self>, ApiError> {
        let mut found = Vec::new();
        let mut add = |field, spec: Option<GrammarSpec>| {
            found.extend(spec.map(|spec| Self { spec, field }));
        };
        if let Some(format) = raw.response_format.take() {
            add("response_format", of_format(format)?);
        }
        add("guided_json", raw.guided_json.take().map(GrammarSpec::JsonSchema));
        add("guided_regex", raw.guided_regex.take().map(GrammarSpec::Regex));
        add("guided_choice", raw.guided_choice.take().map(GrammarSpec::Choice));
        add("guided_grammar", raw.guided_grammar.take().map(GrammarSpec::Lark));
        if let Some(outputs) = raw.structured_outputs.take() {
            let StructuredOutputs { json, json_object, regex, choice, grammar } = outputs;
            add("structured_outputs.json", json.map(GrammarSpec::JsonSchema));
            let object = json_object.filter(|on| *on).map(|_| GrammarSpec::JsonObject);
            add("structured_outputs.json_object", object);
            add("structured_outputs.regex", regex.map(GrammarSpec::Regex));
            add("structured_outputs.choice", choice.map(GrammarSpec::Choice));
            add("structured_outputs.grammar", grammar.map(GrammarSpec::Lark));
        }
        match found.as_slice() {
            [] | [_] => Ok(found.pop()),
            [first, second, ..] => Err(ApiError::invalid(
                second.field,
                format!("{} asks for a format already; send one of them", first.field),
            )),
        }
    }
}

fn of_format(format: ResponseFormat) -> Result<Option<GrammarSpec>, ApiError> {
    let ResponseFormat { kind, json_schema } = format;
    if kind != "json_schema" && json_schema.is_some() {
        return Err(ApiError::invalid(
            "response_format.json_schema",
            format!("json_schema goes with \"type\": \"json_schema\", not with \"{kind}\""),
        ));
    }
    match kind.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(GrammarSpec::JsonObject)),
        "json_schema" => match json_schema.and_then(|s| s.schema) {
            Some(schema) => Ok(Some(GrammarSpec::JsonSchema(schema))),
            None => Err(ApiError::invalid(
                "response_format.json_schema",
                "the schema is required: {\"type\": \"json_schema\", \"json_schema\": {\"name\": \
                 \"…\", \"schema\": {…}}}",
            )),
        },
        _ => Err(ApiError::invalid(
            "response_format.type",
            format!("\"{kind}\" is not known; send text, json_object or json_schema"),
        )),
    }
}
