//! What was found, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Ok,
    /// It works, with a limit that the user should know.
    Warning,
    /// It does not work.
    Failure,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "FAILURE",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub status: Status,
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    pub fn ok(check: &'static str, message: String) -> Self {
        Self { check, status: Status::Ok, message, fix: None }
    }

    pub fn warning(check: &'static str, message: String) -> Self {
        Self { status: Status::Warning, ..Self::ok(check, message) }
    }

    pub fn failure(check: &'static str, message: String) -> Self {
        Self { status: Status::Failure, ..Self::ok(check, message) }
    }

    #[must_use]
    pub fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

/// Tokens a second that were measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Speed {
    /// Reading a prompt, or texts to embed.
    pub read_tokens_per_s: Option<f64>,
    /// Writing one text.
    pub write_tokens_per_s: Option<f64>,
    /// What the machine's memory would allow for one text.
    pub write_limit_tokens_per_s: Option<f64>,
    /// Bytes a second that memory gave.
    pub memory_bytes_per_s: Option<f64>,
}

/// All checks of one model.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// As it was asked for.
    pub model: String,
    pub findings: Vec<Finding>,
    pub speed: Option<Speed>,
}

impl Report {
    pub fn new(model: &str) -> Self {
        Self { model: model.to_owned(), findings: Vec::new(), speed: None }
    }

    pub fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// Checks that failed.
    pub fn failures(&self) -> usize {
        self.findings.iter().filter(|f| f.status == Status::Failure).count()
    }

    /// One finding a line, what to do below it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Finding { check, status, message, fix } in &self.findings {
            let message = message.replace('\n', &format!("\n{:22}", ""));
            let _ = writeln!(text, "{:<8}  {check:<11} {message}", status.name());
            if let Some(fix) = fix {
                let _ = writeln!(text, "{:22}-> {fix}", "");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_counts_and_says_what_to_do() {
        let mut report = Report::new("m");
        report.add(Finding::ok("files", "one".into()));
        report.add(Finding::warning("speed", "slow".into()));
        assert_eq!(report.failures(), 0);
        report.add(Finding::failure("load", "broken\nbadly".into()).fix("fetch it again"));
        assert_eq!(report.failures(), 1);
        let text = report.text();
        assert!(text.contains("ok        files       one\n"), "{text}");
        assert!(
            text.contains("FAILURE   load        broken\n                      badly\n"),
            "{text}"
        );
        assert!(text.contains("-> fetch it again"), "{text}");
    }
}
