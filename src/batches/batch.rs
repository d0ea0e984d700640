//! A batch as it is stored, and what may become of it.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// How far a batch is, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its file is read, or waits to be.
    Validating,
    InProgress,
    /// All its lines are answered.
    Finalizing,
    Completed,
    Failed,
    Expired,
    Cancelling,
    Cancelled,
}

impl Status {
    /// The states of batches that go on.
    pub const OPEN: [Self; 4] =
        [Self::Validating, Self::InProgress, Self::Finalizing, Self::Cancelling];
    /// The states that nothing leads on from.
    pub const FINAL: [Self; 4] = [Self::Completed, Self::Failed, Self::Expired, Self::Cancelled];

    /// Nothing changes any more.
    pub fn is_final(self) -> bool {
        Self::FINAL.contains(&self)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }

    fn leads_to(self, next: Self) -> bool {
        use Status::*;
        match self {
            Validating => matches!(next, InProgress | Failed | Expired | Cancelling),
            InProgress => matches!(next, Finalizing | Failed | Expired | Cancelling),
            Finalizing => next == Completed,
            Cancelling => next == Cancelled,
            Completed | Failed | Expired | Cancelled => false,
        }
    }
}

/// What is wrong with a batch's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// A stable word for programs.
    pub code: String,
    /// From 1; of all of the file without it.
    pub line: Option<u64>,
    pub message: String,
    pub param: Option<String>,
}

/// Tokens that answers took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input: u64,
    /// Of the input, found in a cache.
    pub cached: u64,
    pub output: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        self.input += more.input;
        self.cached += more.cached;
        self.output += more.output;
    }
}

/// The answer to a line, as a line of the file that it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub bytes: Vec<u8>,
    /// It is an error, and goes to the file of those.
    pub failed: bool,
    pub usage: Usage,
}

/// A file of requests on its way to a file of answers. Times are in microseconds
/// since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBatch {
    pub id: String,
    pub created: i64,
    /// The route that its requests are for.
    pub endpoint: String,
    /// Id of its file.
    pub input: String,
    /// As it was given: "24h".
    pub window: String,
    /// The end of that.
    pub expires: i64,
    pub metadata: BTreeMap<String, String>,
    /// Seconds that the files of answers are kept, where that was said.
    pub keep: Option<u64>,
    pub status: Status,
    /// When it came to each state.
    pub reached: BTreeMap<Status, i64>,
    /// Why it failed.
    pub faults: Vec<Fault>,
    /// The model of all its requests, if it is one.
    pub model: Option<String>,
    /// Requests, and how many of them are answered well and with an error.
    pub total: u64,
    pub completed: u64,
    pub failed: u64,
    pub usage: Usage,
    /// Ids of the files of answers and of errors, which are there from the end on.
    pub output: String,
    pub errors: String,
    pub output_bytes: u64,
    pub error_bytes: u64,
    /// How often it was taken up since an answer was stored.
    pub tries: u32,
    /// The client's own name for the request that made it.
    pub request: Option<String>,
}

impl StoredBatch {
    /// Goes on to a state; false if none leads there from where it is.
    pub fn reach(&mut self, status: Status, now: i64) -> bool {
        let may = self.status.leads_to(status);
        if may {
            self.status = status;
            self.reached.insert(status, now);
        }
        may
    }

    /// Takes back that it was taken up; false if it has come to its end.
    pub fn put_back(&mut self) -> bool {
        self.tries = self.tries.saturating_sub(1);
        !self.status.is_final()
    }

    /// When it came to its end.
    pub fn ended(&self) -> Option<i64> {
        self.reached.get(&self.status).copied().filter(|_| self.status.is_final())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn batch(id: &str, created: i64) -> StoredBatch {
        StoredBatch {
            id: id.to_owned(),
            created,
            endpoint: "/v1/embeddings".to_owned(),
            input: "in".to_owned(),
            window: "24h".to_owned(),
            expires: created + 100,
            metadata: BTreeMap::new(),
            keep: None,
            status: Status::Validating,
            reached: BTreeMap::new(),
            faults: Vec::new(),
            model: None,
            total: 0,
            completed: 0,
            failed: 0,
            usage: Usage::default(),
            output: format!("{id}-out"),
            errors: format!("{id}-err"),
            output_bytes: 0,
            error_bytes: 0,
            tries: 0,
            request: None,
        }
    }

    #[test]
    fn only_some_ways_lead_on() {
        use Status::*;
        let all =
            [Validating, InProgress, Finalizing, Completed, Failed, Expired, Cancelling, Cancelled];
        let ways = [
            (Validating, vec![InProgress, Failed, Expired, Cancelling]),
            (InProgress, vec![Finalizing, Failed, Expired, Cancelling]),
            (Finalizing, vec![Completed]),
            (Cancelling, vec![Cancelled]),
        ];
        for from in all {
            let way = ways.iter().find(|(start, _)| *start == from);
            let next = way.map(|(_, next)| next.clone()).unwrap_or_default();
            assert_eq!(next.is_empty(), from.is_final(), "{from:?}");
            for to in all {
                let mut moving = StoredBatch { status: from, ..batch("b", 1) };
                assert_eq!(moving.reach(to, 7), next.contains(&to), "{from:?} to {to:?}");
                assert_eq!(moving.status, if next.contains(&to) { to } else { from });
                assert_eq!(moving.reached.contains_key(&to), next.contains(&to));
                assert_eq!(moving.ended().is_some(), next.contains(&to) && to.is_final());
            }
            // Stored under the names that clients know.
            assert_eq!(serde_json::to_value(from).unwrap(), from.name());
        }
    }
}
