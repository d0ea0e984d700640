//! Bodies that bring a file: `multipart/form-data`, whose other fields are under
//! the rules of forms.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Map;
use sha2::{Digest, Sha256};

#[cfg(feature = "documents")]
use super::body::is_multipart;
use super::body::{check_encoding, read};
use super::error::{ApiError, echo};
#[cfg(feature = "documents")]
use super::extract::Kept;
use super::fields::Fields;
use super::form::{Form, put, typed};
use super::state::{Shared, offload};

/// The field that is the file.
const FILE: &str = "file";
/// Longest name of a file that is kept, in characters.
const MAX_NAME: usize = 200;

/// A file and what is to become of it.
pub struct Upload<T> {
    pub fields: T,
    pub file: File,
    /// The same for requests with the same fields and file, whatever is between
    /// their parts.
    #[cfg_attr(not(feature = "documents"), expect(dead_code))]
    pub fingerprint: String,
}

pub struct File {
    /// Without folders.
    pub name: Option<String>,
    pub bytes: Bytes,
    /// As the part's content type says it.
    #[cfg_attr(not(feature = "documents"), expect(dead_code))]
    pub charset: Option<String>,
}

impl<T> FromRequest<Shared> for Upload<T>
where
    T: DeserializeOwned + Fields + Form + Send + 'static,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        check_encoding(&parts.headers)?;
        // Under our own limits; the library's would be 2 MB.
        let bytes = read(&parts.headers, body, T::limit(&shared.app.config)).await?;
        let mut whole = Request::from_parts(parts, Body::from(bytes));
        DefaultBodyLimit::disable().apply(&mut whole);
        let given = whole.headers().get(header::CONTENT_TYPE).cloned();
        let parts = Multipart::from_request(whole, shared).await.map_err(|_| {
            let found = match given.as_ref().and_then(|given| given.to_str().ok()) {
                Some(given) => format!("the body's content type is `{}`", echo(given)),
                None => "the body has no content type".to_owned(),
            };
            ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                format!("{found}; send multipart/form-data with a boundary, as `curl -F file=@NAME` does"),
            )
        })?;
        collect(parts).await
    }
}

/// A file with fields, or JSON with the same fields and no file, and its bytes.
#[cfg(feature = "documents")]
pub enum FileOrJson<T> {
    File(Upload<T>),
    Json(T, Bytes),
}

#[cfg(feature = "documents")]
impl<T> FromRequest<Shared> for FileOrJson<T>
where
    T: DeserializeOwned + Fields + Form + Send + 'static,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, ApiError> {
        if is_multipart(request.headers()) {
            return Upload::from_request(request, shared).await.map(Self::File);
        }
        let Kept(fields, bytes) = Kept::from_request(request, shared).await?;
        Ok(Self::Json(fields, bytes))
    }
}

async fn collect<T>(mut parts: Multipart) -> Result<Upload<T>, ApiError>
where
    T: DeserializeOwned + Fields + Form + Send + 'static,
{
    let (mut object, mut file) = (Map::new(), None);
    while let Some(part) = parts.next_field().await.map_err(malformed)? {
        let Some(name) = part.name().map(str::to_owned) else {
            return Err(invalid("a part of the form has no name; give it one"));
        };
        let file_name = part.file_name().map(bare);
        let charset = part.content_type().and_then(charset);
        let bytes = part.bytes().await.map_err(malformed)?;
        if name == FILE {
            if file.is_some() {
                return Err(ApiError::invalid(FILE, "`file` is sent several times"));
            }
            let name = file_name.filter(|name| !name.is_empty());
            file = Some(File { name, bytes, charset });
            continue;
        }
        let name = echo(&name);
        if file_name.is_some() {
            let message = format!("`{name}` is a file, and the file that is read is `{FILE}`");
            return Err(ApiError::invalid(name, message));
        }
        let Ok(text) = String::from_utf8(bytes.to_vec()) else {
            let message = format!("`{name}` is not UTF-8; send the form in UTF-8");
            return Err(ApiError::invalid(name, message));
        };
        put::<T>(&mut object, name, text)?;
    }
    let Some(file) = file else {
        let message = "`file` is required: a part of the form with its name and content";
        return Err(
            ApiError::new(StatusCode::BAD_REQUEST, "missing_field", message).with_param(FILE)
        );
    };
    let hashed = {
        let sorted: BTreeMap<_, _> = object.iter().collect();
        let start = match &file.charset {
            None => serde_json::to_vec(&(sorted, &file.name)),
            Some(charset) => serde_json::to_vec(&(sorted, &file.name, charset)),
        };
        let start = start.map_err(|_| ApiError::internal())?;
        let bytes = file.bytes.clone();
        offload(bytes.len(), move || fingerprint(&start, &bytes)).await?
    };
    Ok(Upload { fields: typed(object)?, file, fingerprint: hashed })
}

/// Stands for all of a request's content.
pub fn fingerprint(start: &[u8], bytes: &[u8]) -> String {
    let hash = Sha256::new().chain_update(start).chain_update(bytes).finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The charset that a content type names, as in `text/plain; charset=koi8-r`.
fn charset(content_type: &str) -> Option<String> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let charset = name.trim().eq_ignore_ascii_case("charset");
        charset.then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// A file's name without folders and what no name should have.
fn bare(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: Vec<char> = last.chars().filter(|c| !c.is_control()).collect();
    // The end says what kind of file it is.
    kept[kept.len().saturating_sub(MAX_NAME)..].iter().collect::<String>().trim().to_owned()
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_form", message)
}

fn malformed(error: MultipartError) -> ApiError {
    invalid(format!("the body is not well-formed multipart/form-data: {}", error.body_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_folders() {
        for (name, expected) in [
            ("report.docx", "report.docx"),
            ("/etc/../a b.md", "a b.md"),
            ("C:\\x\\y.txt", "y.txt"),
            ("a\r\nb\u{0}.md", "ab.md"),
            ("../", ""),
        ] {
            assert_eq!(bare(name), expected);
        }
        let long = bare(&format!("{}.docx", "é".repeat(500)));
        assert!(long.chars().count() == MAX_NAME && long.ends_with(".docx"));
    }

    #[test]
    fn a_charset_is_a_parameter() {
        for (content_type, expected) in [
            ("text/html", None),
            ("text/html; charset=ISO-8859-1", Some("ISO-8859-1")),
            ("text/html;format=flowed; Charset = \"koi8-r\"", Some("koi8-r")),
            ("charset=utf-8", None),
        ] {
            assert_eq!(charset(content_type).as_deref(), expected, "{content_type}");
        }
    }

    #[test]
    fn a_fingerprint_is_of_all() {
        let all = [fingerprint(b"a", b"b"), fingerprint(b"a", b"c"), fingerprint(b"b", b"b")];
        assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
        assert_eq!((all[0].clone(), all[0].len()), (fingerprint(b"a", b"b"), 64));
    }
}
