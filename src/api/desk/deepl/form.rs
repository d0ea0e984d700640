//! Bodies that are JSON or a form, with the same fields.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::body::{check_type, is_form, read};
use crate::api::error::ApiError;
use crate::api::extract::parse;
use crate::api::fields::Fields;
use crate::api::state::{Shared, offload};

/// Fields that come several times in a form.
const LISTS: [&str; 2] = ["text", "glossary_ids"];

pub struct JsonOrForm<T>(pub T);

impl<T> FromRequest<Shared> for JsonOrForm<T>
where
    T: DeserializeOwned + Fields + Send + 'static,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let form = is_form(&parts.headers);
        if !form {
            check_type(&parts.headers)?;
        }
        let bytes = read(&parts.headers, body, shared.app.config.max_body_bytes).await?;
        let parsed = offload(bytes.len(), move || match form {
            true => parse(fields(&bytes).to_string().as_bytes()),
            false => parse(&bytes),
        });
        parsed.await?.map(Self)
    }
}

/// A form as JSON; a field that comes twice and is no list has its last value.
pub fn fields(bytes: &[u8]) -> Value {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(bytes) {
        let value = Value::String(value.into_owned());
        // Older clients write `text[]`.
        let name = name.strip_suffix("[]").unwrap_or(&name).to_owned();
        if LISTS.contains(&&*name) {
            let list = fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.push(value);
            }
        } else {
            fields.insert(name, value);
        }
    }
    Value::Object(fields)
}
