//! Lists that are had page by page.

use crate::api::error::{ApiError, missing};
use crate::api::wire::files::Page;

/// How many a page has.
#[derive(Clone, Copy)]
pub struct Cut {
    /// Where the client says nothing.
    pub usual: usize,
    pub most: usize,
}

impl Cut {
    /// # Errors
    /// 400 for a `limit` that is out of range.
    pub fn of(self, limit: Option<usize>) -> Result<usize, ApiError> {
        let limit = limit.unwrap_or(self.usual);
        if (1..=self.most).contains(&limit) {
            return Ok(limit);
        }
        let message = format!("limit is {limit}; it must be 1 to {}", self.most);
        Err(ApiError::invalid("limit", message))
    }
}

/// So many of all, after the one with an id.
///
/// # Errors
/// 404 when that is not there.
pub fn page<T>(
    mut all: Vec<T>,
    what: &str,
    count: usize,
    after: Option<&str>,
    id: impl Fn(&T) -> &String,
) -> Result<Page<T>, ApiError> {
    if let Some(after) = after {
        let at = all.iter().position(|one| id(one) == after);
        let at = at.ok_or_else(|| missing(what, after).with_param("after"))?;
        all.drain(..=at);
    }
    let has_more = all.len() > count;
    all.truncate(count);
    let (first_id, last_id) =
        (all.first().map(|one| id(one).clone()), all.last().map(|one| id(one).clone()));
    Ok(Page { object: "list", data: all, first_id, last_id, has_more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let all: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        let check = |count, after: Option<&str>, data: &[&str], has_more| {
            let page = page(all.clone(), "file", count, after, |one| one).unwrap();
            assert_eq!(
                (page.data, page.has_more),
                (data.iter().map(|&d| d.to_owned()).collect(), has_more)
            );
            assert_eq!(page.first_id.as_deref(), data.first().copied());
            assert_eq!(page.last_id.as_deref(), data.last().copied());
        };
        check(2, None, &["a", "b"], true);
        check(2, Some("b"), &["c"], false);
        check(3, None, &["a", "b", "c"], false);
        check(3, Some("c"), &[], false);
        let error = page(all, "file", 1, Some("d"), |one| one).unwrap_err();
        assert_eq!((error.status.as_u16(), error.param.as_deref()), (404, Some("after")));
        let cut = Cut { usual: 20, most: 100 };
        assert_eq!((cut.of(None).unwrap(), cut.of(Some(100)).unwrap()), (20, 100));
        assert!(cut.of(Some(0)).is_err() && cut.of(Some(101)).is_err());
    }
}
