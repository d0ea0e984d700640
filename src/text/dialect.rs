//! How a model writes what is not plain text: its calls of tools, and the
//! reasoning before its answer.
//!
//! Which form a model knows shows in the text of its chat template. The forms
//! are rows of a table; [`Reader`] reads all of them.

mod object;
mod reader;

pub use reader::{Reader, Spoken};

/// How a family of models writes calls: `open`, `before`, the calls with
/// `between` between them, `after`, `close`.
#[derive(Debug, PartialEq, Eq)]
pub struct CallFormat {
    pub name: &'static str,
    /// Texts that the chat template of such a model holds, all of them.
    marks: &'static [&'static str],
    /// Begins calls; `""` where a call is an object that begins the answer.
    pub open: &'static str,
    /// Other beginnings that such models are seen to write.
    also: &'static [&'static str],
    pub before: &'static str,
    pub between: &'static str,
    pub after: &'static str,
    /// Ends calls; `""` where the end of the text does.
    pub close: &'static str,
    pub form: CallForm,
    /// How long the identifiers of calls are; `None` where any will do.
    pub id_length: Option<usize>,
    /// The template reads tools as JSON text in the system message.
    pub tools_in_system: bool,
}

/// How one call is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallForm {
    /// An object with the name and the arguments under these keys, after what
    /// else such an object begins with.
    Object { head: &'static str, name: &'static str, arguments: &'static str },
    /// The name, this text, and the arguments.
    Named { separator: &'static str },
}

const OBJECT: CallForm = CallForm::Object { head: "", name: "name", arguments: "arguments" };

const LIST: CallFormat = CallFormat {
    name: "a list",
    marks: &[],
    open: "",
    also: &[],
    before: "[",
    between: ", ",
    after: "]",
    close: "",
    form: OBJECT,
    id_length: None,
    tools_in_system: false,
};

/// The first row whose marks are all there counts.
static FORMATS: [CallFormat; 8] = [
    CallFormat {
        name: "Mistral, names",
        marks: &["[TOOL_CALLS]", "[ARGS]"],
        open: "[TOOL_CALLS]",
        before: "",
        between: "[TOOL_CALLS]",
        after: "",
        form: CallForm::Named { separator: "[ARGS]" },
        id_length: Some(9),
        ..LIST
    },
    CallFormat {
        name: "Mistral, list",
        marks: &["[TOOL_CALLS]"],
        open: "[TOOL_CALLS]",
        id_length: Some(9),
        ..LIST
    },
    CallFormat {
        name: "Cohere",
        marks: &["<|START_ACTION|>"],
        open: "<|START_ACTION|>",
        before: "[\n    ",
        between: ",\n    ",
        after: "\n]",
        close: "<|END_ACTION|>",
        form: CallForm::Object {
            head: "\"tool_call_id\": \"0\", ",
            name: "tool_name",
            arguments: "parameters",
        },
        ..LIST
    },
    CallFormat {
        name: "Granite 3",
        marks: &["<|tool_call|>", "<|start_of_role|>"],
        open: "<|tool_call|>",
        also: &["<tool_call>"],
        ..LIST
    },
    CallFormat {
        name: "Phi-4",
        marks: &["<|tool|>", "<|/tool|>"],
        open: "<|tool_call|>",
        close: "<|/tool_call|>",
        tools_in_system: true,
        ..LIST
    },
    // Calls in tags of their own, which are not read: no row, so refused.
    CallFormat { name: "", marks: &["<function="], ..LIST },
    CallFormat {
        name: "Hermes",
        marks: &["<tool_call>"],
        open: "<tool_call>",
        before: "\n",
        between: "\n</tool_call>\n<tool_call>\n",
        after: "\n",
        close: "</tool_call>",
        ..LIST
    },
    CallFormat {
        name: "Llama 3",
        marks: &["<|start_header_id|>", "\"parameters\": "],
        also: &["<|python_tag|>"],
        before: "",
        between: "; ",
        after: "",
        form: CallForm::Object { head: "", name: "name", arguments: "parameters" },
        ..LIST
    },
];

/// How a model writes its reasoning.
#[derive(Debug, PartialEq, Eq)]
pub struct ReasoningFormat {
    pub open: &'static str,
    pub close: &'static str,
}

static REASONING: [ReasoningFormat; 3] = [
    ReasoningFormat { open: "<think>", close: "</think>" },
    ReasoningFormat { open: "[THINK]", close: "[/THINK]" },
    ReasoningFormat { open: "<|START_THINKING|>", close: "<|END_THINKING|>" },
];

/// What a chat template knows, told from its text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dialect {
    pub calls: Option<&'static CallFormat>,
    pub reasoning: Option<&'static ReasoningFormat>,
    /// It reads the variable `reasoning_effort`.
    pub reads_effort: bool,
    /// It reads the variable `enable_thinking`.
    pub reads_enable_thinking: bool,
}

impl Dialect {
    pub fn of(template: &str) -> Self {
        let calls = FORMATS.iter().find(|f| f.marks.iter().all(|mark| template.contains(mark)));
        let reasoning = REASONING.iter().find(|r| template.contains(r.close));
        Self {
            calls: calls.filter(|format| !format.name.is_empty()),
            reasoning,
            reads_effort: template.contains("reasoning_effort"),
            reads_enable_thinking: template.contains("enable_thinking"),
        }
    }

    /// Texts that a tokenizer may hold as special tokens, whose text is part
    /// of what a model writes all the same.
    pub fn markers(&self) -> Vec<&'static str> {
        let mut all = Vec::new();
        if let Some(calls) = self.calls {
            all.extend([calls.open, calls.close]);
            all.extend(calls.also);
            if let CallForm::Named { separator } = calls.form {
                all.push(separator);
            }
        }
        all.extend(self.reasoning.into_iter().flat_map(|r| [r.open, r.close]));
        all.retain(|text| !text.is_empty());
        all
    }
}

impl ReasoningFormat {
    /// A prompt ends within reasoning that it opened itself.
    pub fn is_open(&self, prompt: &str) -> bool {
        prompt.trim_end().ends_with(self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_by_their_templates() {
        let check = |template: &str, calls: Option<&str>, reasoning: Option<&str>| {
            let found = Dialect::of(template);
            assert_eq!(found.calls.map(|c| c.name), calls, "{template}");
            assert_eq!(found.reasoning.map(|r| r.open), reasoning, "{template}");
        };
        check("within <tool_call></tool_call> XML tags", Some("Hermes"), None);
        check("<tool_call>\\n<function=example>", None, None);
        check("'[TOOL_CALLS]' + name + '[ARGS]'", Some("Mistral, names"), None);
        check("'[TOOL_CALLS][' ~ calls", Some("Mistral, list"), None);
        check("<|start_of_role|>x<|tool_call|>", Some("Granite 3"), None);
        check("'<|tool|>' + tools + '<|/tool|>'", Some("Phi-4"), None);
        check(
            "<|START_THINKING|><|END_THINKING|><|START_ACTION|>",
            Some("Cohere"),
            Some("<|START_THINKING|>"),
        );
        check("<|start_header_id|> \"parameters\": ", Some("Llama 3"), None);
        check("content.split('</think>')", None, Some("<think>"));
        check("{{ messages }}", None, None);
        assert!(REASONING[0].is_open("<|im_start|>assistant\n<think>\n"));
        assert!(!REASONING[0].is_open("<think>\n\n</think>\n\n"));
    }
}
