//! What requests make that goes on after them: a job, a batch. One that a client
//! gives a name makes it once, and only so many are open at a time.

use redb::{ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};

use super::{Result, StoreError};

/// What has not come to an end, by when it was made and its id.
pub type Open<'a> = TableDefinition<'a, (i64, &'static str), ()>;
/// By the clients' names for their requests: the id of what was made, and what
/// stands for all that was sent.
pub type Requests<'a> = TableDefinition<'a, &'static str, (&'static str, &'static str)>;

/// What is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Earlier {
    None,
    /// It came before with the same content, and made what has this id.
    Same(String),
    /// Another came before under its name.
    Other,
}

/// Whether a request came before, if the client gave it a name.
///
/// # Errors
/// The disk fails; so for all that follow.
pub fn earlier(
    write: &WriteTransaction,
    requests: Requests<'_>,
    name: Option<&str>,
    fingerprint: &str,
) -> Result<Earlier> {
    let Some(name) = name else { return Ok(Earlier::None) };
    let requests = write.open_table(requests).map_err(StoreError::of)?;
    let known = requests.get(name).map_err(StoreError::of)?;
    Ok(known.map_or(Earlier::None, |known| match known.value() {
        (id, content) if content == fingerprint => Earlier::Same(id.to_owned()),
        _ => Earlier::Other,
    }))
}

/// What a request is to make.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    pub id: &'a str,
    pub created: i64,
    /// The client's name for the request.
    pub request: Option<&'a str>,
    /// What stands for all that was sent.
    pub fingerprint: &'a str,
}

/// Takes it up as open, unless `most` are: how many those are then.
pub fn admit(
    write: &WriteTransaction,
    (open, requests): (Open<'_>, Requests<'_>),
    made: Made<'_>,
    most: u64,
) -> Result<std::result::Result<(), u64>> {
    let mut open = write.open_table(open).map_err(StoreError::of)?;
    let waiting = open.len().map_err(StoreError::of)?;
    if waiting >= most {
        return Ok(Err(waiting));
    }
    open.insert((made.created, made.id), ()).map_err(StoreError::of)?;
    if let Some(request) = made.request {
        let mut requests = write.open_table(requests).map_err(StoreError::of)?;
        requests.insert(request, (made.id, made.fingerprint)).map_err(StoreError::of)?;
    }
    Ok(Ok(()))
}
