//! Bodies that are JSON or what an HTML form sends, under the same rules.

use axum::extract::{FromRequest, Request};
use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::body::{Limit, check_encoding, is_form, read};
use super::error::{ApiError, echo};
use super::extract::{Json, explain};
use super::fields::Fields;
use super::state::{Shared, offload};
use super::strict::Strict;
use crate::config;

/// What of a request type a form cannot say by itself, whose values are texts.
pub trait Form {
    /// Fields that are whole numbers.
    const NUMBERS: &'static [&'static str] = &[];
    /// Fields that are numbers of any kind.
    const DECIMALS: &'static [&'static str] = &[];
    /// Fields that are true or false.
    const FLAGS: &'static [&'static str] = &[];
    /// Fields that are lists, however often they are sent.
    const LISTS: &'static [&'static str] = &[];
    /// Fields that become lists when they are sent several times.
    const ONE_OR_MANY: &'static [&'static str] = &[];

    /// How large a body may be that brings a file with it.
    fn limit(config: &config::Server) -> Limit {
        Limit::of_bodies(config)
    }
}

/// A body of type `T`, in JSON or as a form (`application/x-www-form-urlencoded`).
pub struct JsonOrForm<T>(pub T);

impl<T> FromRequest<Shared> for JsonOrForm<T>
where
    T: DeserializeOwned + Fields + Form + Send + 'static,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, ApiError> {
        if !is_form(request.headers()) {
            return Json::from_request(request, shared).await.map(|Json(value)| Self(value));
        }
        let (parts, body) = request.into_parts();
        check_encoding(&parts.headers)?;
        let bytes = read(&parts.headers, body, Limit::of_bodies(&shared.app.config)).await?;
        offload(bytes.len(), move || parse(&bytes)).await?.map(Self)
    }
}

/// The request that a form, or the query of an address, stands for.
///
/// # Errors
/// 400 for what is not UTF-8, for a field that is sent twice and is no list, and
/// for what JSON of the same fields would be refused for.
pub fn parse<T: DeserializeOwned + Fields + Form>(bytes: &[u8]) -> Result<T, ApiError> {
    typed(object::<T>(bytes)?)
}

/// The request that the fields of a form stand for.
///
/// # Errors
/// 400 for what JSON of the same fields would be refused for.
pub fn typed<T: DeserializeOwned + Fields>(object: Map<String, Value>) -> Result<T, ApiError> {
    let Strict(value) = serde_path_to_error::deserialize(Value::Object(object))
        .map_err(|error| explain(&error.path().to_string(), error.inner()))?;
    Ok(value)
}

/// The JSON object that a form stands for.
fn object<T: Form>(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let mut object = Map::new();
    for pair in bytes.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.iter().position(|&byte| byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        let name = decode(name, "the name of a field")?;
        let value = decode(value, &name)?;
        put::<T>(&mut object, name, value)?;
    }
    Ok(object)
}

/// Adds a field to the object that a form stands for.
///
/// # Errors
/// 400 when it is there already and is no list.
pub fn put<T: Form>(
    object: &mut Map<String, Value>,
    mut name: String,
    value: String,
) -> Result<(), ApiError> {
    // Some clients write `text[]` for a list.
    let listed = |name: &str| T::LISTS.contains(&name) || T::ONE_OR_MANY.contains(&name);
    if let Some(bare) = name.strip_suffix("[]").filter(|bare| listed(bare)) {
        name = bare.to_owned();
    }
    let value = value_of::<T>(&name, value);
    match object.get_mut(&name) {
        None if T::LISTS.contains(&name.as_str()) => {
            object.insert(name, Value::Array(vec![value]));
        }
        None => drop(object.insert(name, value)),
        Some(Value::Array(list)) => list.push(value),
        Some(first) if T::ONE_OR_MANY.contains(&name.as_str()) => {
            *first = Value::Array(vec![first.take(), value]);
        }
        Some(_) => {
            let name = echo(&name);
            return Err(ApiError::invalid(&name, format!("`{name}` is sent several times")));
        }
    }
    Ok(())
}

/// What a field's text stands for; a text where it is none of that.
fn value_of<T: Form>(name: &str, text: String) -> Value {
    let read = match name {
        name if T::NUMBERS.contains(&name) => {
            let below = || text.parse::<i64>().ok().map(Value::from);
            text.parse::<u64>().ok().map(Value::from).or_else(below)
        }
        name if T::DECIMALS.contains(&name) => {
            text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from)
        }
        name if T::FLAGS.contains(&name) => text.parse::<bool>().ok().map(Value::from),
        _ => None,
    };
    read.unwrap_or(Value::String(text))
}

/// A name or a value: `+` is a space, `%` and two digits a byte of UTF-8.
fn decode(bytes: &[u8], what: &str) -> Result<String, ApiError> {
    let spaced: Vec<u8> = bytes.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
    let text = percent_decode(&spaced).decode_utf8().map_err(|_| {
        let what = echo(what);
        ApiError::invalid(&what, format!("`{what}` is not UTF-8; send the form in UTF-8"))
    })?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::wire::deepl;
    use crate::api::wire::translate::TranslateRequest;

    #[test]
    fn a_form_is_the_object_that_it_stands_for() {
        for (form, json) in [
            ("q=un+deux&source=fr", r#"{"q":"un deux","source":"fr"}"#),
            ("q=a%2Bb%26c%3D&&target=", r#"{"q":"a+b&c=","target":""}"#),
            ("q=%C3%A9&q=%E6%B0%B4&alternatives=3", r#"{"q":["é","水"],"alternatives":3}"#),
            (
                "q=100%&alternatives=-1&num_beams",
                r#"{"q":"100%","alternatives":-1,"num_beams":""}"#,
            ),
            ("", "{}"),
        ] {
            let found = object::<TranslateRequest>(form.as_bytes()).unwrap();
            assert_eq!(Value::Object(found).to_string(), json, "{form}");
        }
    }

    #[test]
    fn lists_are_lists_however_often_they_are_sent() {
        for (form, json) in [
            ("text=a&target_lang=DE", r#"{"text":["a"],"target_lang":"DE"}"#),
            ("text[]=a&text%5B%5D=b", r#"{"text":["a","b"]}"#),
            ("context[]=a", r#"{"context[]":"a"}"#),
        ] {
            let found = object::<deepl::TranslateRequest>(form.as_bytes()).unwrap();
            assert_eq!(Value::Object(found).to_string(), json, "{form}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (form, param, says) in [
            ("q=a&source=fr&source=en&target=en", "source", "`source` is sent several times"),
            ("q=%E9&source=fr&target=en", "q", "`q` is not UTF-8"),
            ("q=a&target=en", "source", "`source` is required"),
            ("q=a&source=fr&target=en&alternatives=two", "alternatives", "whole number"),
            ("q=a&source=fr&target=en&tone=formal", "tone", "unknown field"),
        ] {
            let error = parse::<TranslateRequest>(form.as_bytes()).err().unwrap();
            assert_eq!(error.param.as_deref(), Some(param), "{}", error.message);
            assert!(error.message.contains(says), "{}", error.message);
            assert!(!error.message.contains("line 0"), "{}", error.message);
        }
    }
}
