//! Work of the processor, off the threads that serve requests: telling a
//! language, checking a translation and searching a memory take from a fraction
//! of a millisecond to seconds, in which no stream on their thread would go on.

use crate::engine::SubmitError;

/// Does it, and waits for it. A panic in it goes on in the caller.
///
/// # Errors
/// The process ends.
pub async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SubmitError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => SubmitError::Failed(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn others_go_on_meanwhile() {
        let (tell, told) = std::sync::mpsc::channel();
        // On the one thread of this runtime, who tells runs only if nobody waits on it.
        let works = offload(move || told.recv_timeout(std::time::Duration::from_secs(30)));
        let (heard, _) = tokio::join!(works, async move { tell.send(7) });
        assert_eq!(heard.unwrap(), Ok(7));
    }

    #[tokio::test]
    #[should_panic(expected = "a fault of ours")]
    async fn panics_go_on_in_the_caller() {
        let _ = offload(|| panic!("a fault of ours")).await;
    }
}
