//! Who asks: somebody who waits for the answer, or a batch.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::state::Shared;

/// Who asks. Only the server itself can say that it is a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Caller {
    #[default]
    Client,
    /// A line of a batch, for which nobody waits.
    Batch,
}

impl Caller {
    /// What is added to a request's priority. A batch's goes before what somebody
    /// waits for only after five minutes of waiting.
    pub fn priority(self) -> i32 {
        match self {
            Self::Client => 0,
            Self::Batch => 30,
        }
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}
