//! The API key.
//!
//! When `server.api_key` is set, every route asks for it except the health
//! checks and the reference: `/metrics`, unknown routes and wrong methods too, so
//! that no side door tells a stranger anything. The health checks stay open
//! because the probes of load balancers carry no key; they name the loaded
//! models and nothing else. `/docs` and `/openapi.json` stay open because
//! browsers carry none; they are the same on every server.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error::ApiError;
use super::state::Shared;

/// Lets a request through when it carries the configured key, or none is configured.
pub async fn check(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if let Some(key) = shared.app.config.api_key.as_deref() {
        match given(request.headers()) {
            Some(given) if equal(given.as_bytes(), key.as_bytes()) => {}
            Some(_) => return Err(refuse("the API key is wrong")),
            None => return Err(refuse("the API key is missing")),
        }
    }
    Ok(next.run(request).await)
}

fn refuse(what: &str) -> ApiError {
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "invalid_api_key",
        format!(
            "{what}; send the header `Authorization: Bearer KEY`, or `x-api-key: KEY`, with the server's \
             key"
        ),
    )
}

/// Anthropic's clients have a header of their own.
fn given(headers: &HeaderMap) -> Option<&str> {
    bearer(headers).or_else(|| headers.get("x-api-key")?.to_str().ok())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let known = ["bearer", "deepl-auth-key"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    known.then(|| token.trim())
}

/// Compares in a time that does not depend on where the first difference is,
/// so that a key cannot be guessed byte by byte. The length is not hidden.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0u8, |seen, (x, y)| std::hint::black_box(seen | (x ^ y)));
    a.len() == b.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_compare_whole() {
        assert!(equal(b"secret", b"secret"));
        for other in [&b"secre"[..], b"secrets", b"Secret", b""] {
            assert!(!equal(other, b"secret"), "{other:?}");
        }
    }

    #[test]
    fn only_schemes_that_carry_a_key_count() {
        let check = |value: &'static str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer(&headers), expected, "{value}");
        };
        check("Bearer abc", Some("abc"));
        check("bearer  abc", Some("abc"));
        check("DeepL-Auth-Key abc", Some("abc"));
        check("Basic abc", None);
        check("abc", None);
        assert_eq!(given(&HeaderMap::new()), None);
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", "abc".parse().unwrap());
        assert_eq!(given(&headers), Some("abc"));
    }
}
