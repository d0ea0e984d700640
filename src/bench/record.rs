//! What is kept of one request: when what happened, and how it ended.

use std::fmt;

/// Why a request gave no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// Nobody listens at the address.
    Refused,
    /// The name is unknown, the network or TLS failed.
    Connect,
    /// The connection was closed before the answer began.
    Closed,
    /// An HTTP status other than 200.
    Status(u16),
    /// No whole answer within the time limit.
    Timeout,
    /// The answer began and broke off.
    CutOff,
    /// The stream said that the server failed.
    ErrorEvent,
    /// The answer could not be read.
    Malformed,
    /// This tool was stopped: not the server's failure.
    Interrupted,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection_refused",
            Self::Connect => "connection_failed",
            Self::Closed => "connection_closed",
            Self::Status(code) => return write!(f, "http_{code}"),
            Self::Timeout => "timeout",
            Self::CutOff => "cut_off",
            Self::ErrorEvent => "error_event",
            Self::Malformed => "malformed",
            Self::Interrupted => "interrupted",
        })
    }
}

impl FailureKind {
    /// What it means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Refused => "nobody listens at the address",
            Self::Connect => "the connection could not be made",
            Self::Closed => "the connection was closed before the answer began",
            Self::Status(429) => "the server was full and said so",
            Self::Status(_) => "the server answered with this HTTP status",
            Self::Timeout => "there was no whole answer within --timeout",
            Self::CutOff => "the answer began and broke off",
            Self::ErrorEvent => "the stream said that the server failed",
            Self::Malformed => "the answer could not be read",
            Self::Interrupted => "this tool was stopped while the answer came",
        }
    }
}

/// A failure and what was said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
}

impl Failure {
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Tokens as the server counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt: Option<usize>,
    pub completion: Option<usize>,
}

/// One request. Times are seconds since the run began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Which prompt of the workload it was.
    pub number: usize,
    /// When it should have been sent.
    pub due: f64,
    /// When it was.
    pub sent: f64,
    /// When each piece of text was read.
    pub pieces: Vec<f64>,
    /// When the answer was over, one way or the other.
    pub ended: f64,
    pub text: String,
    /// Why the server stopped writing, where it said so.
    pub finish_reason: Option<String>,
    pub usage: Usage,
    /// Tokens of the prompt by our tokenizer.
    pub own_prompt: Option<usize>,
    /// Tokens of the answer by our tokenizer.
    pub own_completion: Option<usize>,
    /// Texts of an embedding request.
    pub inputs: usize,
    /// Whether the answer came as a stream.
    pub streamed: bool,
    pub failure: Option<Failure>,
}

impl Record {
    pub fn is_complete(&self) -> bool {
        self.failure.is_none()
    }

    pub fn is_interrupted(&self) -> bool {
        self.failure.as_ref().is_some_and(|f| f.kind == FailureKind::Interrupted)
    }

    /// By the server's usage; else by our tokenizer; else unknown.
    pub fn input_tokens(&self) -> usize {
        self.usage.prompt.or(self.own_prompt).unwrap_or(0)
    }

    /// By the server's usage; else by our tokenizer; else a piece of text is
    /// taken for a token.
    pub fn output_tokens(&self) -> usize {
        self.usage.completion.or(self.own_completion).unwrap_or(self.pieces.len())
    }

    /// From sending to the first piece of text.
    pub fn ttft(&self) -> Option<f64> {
        self.pieces.first().map(|first| first - self.sent)
    }

    /// From sending to the last piece of text, or to the end of an answer
    /// without text.
    pub fn e2el(&self) -> f64 {
        self.pieces.last().unwrap_or(&self.ended) - self.sent
    }

    /// The gaps between pieces of text.
    pub fn gaps(&self) -> Vec<f64> {
        self.pieces.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// Mean time of a token after the first.
    pub fn tpot(&self) -> Option<f64> {
        let tokens = self.output_tokens();
        (tokens > 1 && self.pieces.len() > 1)
            .then(|| Some((self.e2el() - self.ttft()?) / (tokens - 1) as f64))
            .flatten()
    }
}
