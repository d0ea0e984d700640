use proptest::prelude::*;

use super::*;
use crate::text::dialect::{Dialect, FORMATS};

fn format(name: &str) -> &'static CallFormat {
    FORMATS.iter().find(|f| f.name == name).unwrap()
}

const THINK: Option<&ReasoningFormat> = Some(&super::super::REASONING[0]);

/// What the pieces say, written shortly: text as it is, reasoning in
/// parentheses, calls as `name<arguments>`.
fn read(mut reader: Reader, pieces: &[&str]) -> String {
    let mut all: Vec<Spoken> = pieces.iter().flat_map(|piece| reader.push(piece)).collect();
    all.extend(reader.finish());
    let write = |said| match said {
        Spoken::Text(text) => text,
        Spoken::Reasoning(text) => format!("({text})"),
        Spoken::Call { name } => format!("{name}<"),
        Spoken::Arguments(text) => text,
        Spoken::CallEnd => ">".to_owned(),
    };
    join(all).into_iter().map(write).collect()
}

/// Format, text, what it says. `think:` before the format begins in reasoning.
const CASES: &[(&str, &str, &str)] = &[
    ("Hermes", "No call.\n", "No call.\n"),
    (
        "Hermes",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>",
        "f<{\"a\": 1}>",
    ),
    (
        "Hermes",
        "I look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {\"s\": \"</tool_call>}\\\"\"}}\n</tool_call>\n",
        "I look.f<{}>g<{\"s\": \"</tool_call>}\\\"\"}>",
    ),
    (
        "Hermes",
        "<tool_call>{\"arguments\": {\"é\": [1, {}]}, \"name\": \"f\"}</tool_call> and text",
        "f<{\"é\": [1, {}]}>and text",
    ),
    ("Hermes", "<tool_call>{\"name\": \"f\"}</tool_call>", "f<{}>"),
    ("Hermes", "<tool_call>{\"name\": \"f\", \"arguments\": null}</tool_call>", "f<{}>"),
    (
        "Hermes",
        "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 2}\"}</tool_call>",
        "f<{\"a\": 2}>",
    ),
    (
        "Hermes",
        "<tool_call>[{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"g\", \"id\": 7}]</tool_call>",
        "f<{}>g<{}>",
    ),
    ("Hermes", "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"cut", "f<{\"a\": \"cut>"),
    ("Hermes", "a <tool_call> b", "a <tool_call> b"),
    ("Hermes", "a <tool_call>{\"x\": 1}</tool_call> b", "a <tool_call>{\"x\": 1}</tool_call> b"),
    (
        "Hermes",
        "<tool_call>{\"name\": 5}<tool_call>{\"name\": \"f\"}",
        "<tool_call>{\"name\": 5}f<{}>",
    ),
    ("Hermes", "<tool_call", "<tool_call"),
    ("Hermes", "a < b and <tool or <tool_ca  ", "a < b and <tool or <tool_ca  "),
    ("Hermes", "<think>\nHm, <tool_call>\n</think>\n\nYes. ", "(Hm, <tool_call>)Yes. "),
    ("Hermes", "<think>\n\n</think>\n\n<tool_call>{\"name\": \"f\"}</tool_call>", "f<{}>"),
    ("Hermes", "<thin", "<thin"),
    ("Hermes", "Well: <think>x</think>", "Well: <think>x</think>"),
    ("think:Hermes", "\nSo </thi be it.\n</think>\n\nFive", "(So </thi be it.)Five"),
    ("think:Hermes", "never closed ", "(never closed)"),
    (
        "Mistral, list",
        "[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"a\": [1]}}, {\"name\": \"g\", \"arguments\": {}}]",
        "f<{\"a\": [1]}>g<{}>",
    ),
    ("Mistral, list", "[1, 2] and [TOOL", "[1, 2] and [TOOL"),
    (
        "Mistral, names",
        "[TOOL_CALLS]f[ARGS]{\"a\": \"}\"}[TOOL_CALLS]g[CALL_ID]x1[ARGS]{}",
        "f<{\"a\": \"}\"}>g<{}>",
    ),
    ("Mistral, names", "x[TOOL_CALLS]f", "x[TOOL_CALLS]f"),
    ("Granite 3", "<|tool_call|>[{\"arguments\": {\"a\": 1}, \"name\": \"f\"}]", "f<{\"a\": 1}>"),
    ("Granite 3", "<tool_call>[{\"name\": \"f\", \"arguments\": {}}]", "f<{}>"),
    ("Phi-4", "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}]<|/tool_call|>", "f<{}>"),
    (
        "Cohere",
        "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"f\", \"parameters\": {\"q\": \"x\"}}\n]<|END_ACTION|>",
        "f<{\"q\": \"x\"}>",
    ),
    ("Llama 3", "{\"name\": \"f\", \"parameters\": {\"a\": 1}}", "f<{\"a\": 1}>"),
    (
        "Llama 3",
        "{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", \"parameters\": {}}",
        "f<{}>g<{}>",
    ),
    ("Llama 3", "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}", "f<{}>"),
    (
        "Hermes",
        "```json\n{\n  \"name\": \"get_f\",\n  \"arguments\": {\"a\": 1}\n}\n```",
        "get_f<{\"a\": 1}>",
    ),
    ("Hermes", " {\"name\": \"f\", \"arguments\": {}}\n\nThere.", "f<{}>There."),
    ("Hermes", "{\"name\": \"h\", \"arguments\": {}}", "{\"name\": \"h\", \"arguments\": {}}"),
    ("Hermes", "```json\n{\"name\": \"f", "```json\n{\"name\": \"f"),
    ("Hermes", "```python\nprint()\n```", "```python\nprint()\n```"),
    ("Hermes", "```json\n{\"name\": \"f\" 5}\n```", "f<>5}\n```"),
    ("think:Hermes", "x</think>\n\n{\"name\": \"f\", \"arguments\": {}}", "(x)f<{}>"),
    ("Llama 3", "\n{\"nam", "\n{\"nam"),
    ("Llama 3", "{\"named\": 1}", "{\"named\": 1}"),
    ("Llama 3", "See {\"name\": 1}", "See {\"name\": 1}"),
];

fn tools() -> Arc<[String]> {
    ["f", "get_f"].map(String::from).into()
}

fn reader(name: &str) -> Reader {
    match name.strip_prefix("think:") {
        Some(name) => Reader::new(Some(format(name)), tools(), THINK, true),
        None => Reader::new(Some(format(name)), tools(), THINK, false),
    }
}

#[test]
fn answers_are_read() {
    for (name, text, expected) in CASES {
        assert_eq!(read(reader(name), &[text]), *expected, "{name}: {text}");
        let letters: Vec<String> = text.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        assert_eq!(read(reader(name), &letters), *expected, "{name}, by characters: {text}");
    }
}

#[test]
fn without_tools_all_is_text() {
    let text = "<tool_call>{\"name\": \"f\"}</tool_call> <think>\n";
    assert_eq!(read(Reader::new(None, tools(), None, false), &[text]), text);
    assert_eq!(Dialect::default().markers(), Vec::<&str>::new());
}

proptest! {
    /// However a text is cut, it says the same, and text alone is whole.
    #[test]
    fn any_split_says_the_same(
        parts in proptest::collection::vec(
            "(<tool_call>|</tool_call>|<think>|</think>|\\[TOOL_CALLS\\]|\\[ARGS\\]|<tool|\\{\"name\": \"f\", \"arguments\": \\{\"a\": \"é\\}\\\\\\\\\"\\}\\}|\\{\"name\"|```json\n|```|[\\[\\]{},;:\" \n]|f|é|null)",
            0..14,
        ),
        cuts in proptest::collection::vec(1usize..7, 1..20),
        which in 0usize..FORMATS.len(),
        open: bool,
    ) {
        let text: String = parts.concat();
        let format = Some(&FORMATS[which]).filter(|f| !f.name.is_empty());
        let make = || Reader::new(format, tools(), THINK, open);
        let whole = read(make(), &[&text]);
        let letters: Vec<char> = text.chars().collect();
        let (mut pieces, mut at, mut turn) = (Vec::new(), 0, cuts.iter().cycle());
        while at < letters.len() {
            let end = (at + turn.next().unwrap()).min(letters.len());
            pieces.push(letters[at..end].iter().collect::<String>());
            at = end;
        }
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        prop_assert_eq!(read(make(), &pieces), &*whole, "{:?}", &text);
        // Nothing is lost but markers, what closes calls, and white space.
        if format.is_none() && !open && !text.trim_start().starts_with("<think>") {
            prop_assert_eq!(whole, text);
        }
    }
}
