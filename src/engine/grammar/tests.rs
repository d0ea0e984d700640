use std::time::{Duration, Instant};

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use serde_json::json;

use super::*;
use crate::engine::error::SubmitError;
use crate::engine::testing::{EOS, byte_tokenizer, byte_tokenizer_with};
use crate::text::Dialect;

fn compiler() -> GrammarCompiler {
    GrammarCompiler::new(std::sync::Arc::new(byte_tokenizer()))
}

/// Tokens of a mask.
fn tokens(mask: &[u32]) -> Vec<u32> {
    (0..32 * mask.len() as u32).filter(|t| mask[*t as usize / 32] >> (t % 32) & 1 == 1).collect()
}

/// Writes a random text of a grammar; `None` if it does not end.
fn walk(grammar: &Grammar, seed: u64, forced: bool) -> Option<String> {
    let (mut state, mut random) = (grammar.start(), Pcg64Mcg::seed_from_u64(seed));
    let mut text = Vec::new();
    for step in 0..3000 {
        if state.is_complete() {
            return Some(String::from_utf8(text).unwrap());
        }
        let allowed = tokens(&state.mask().unwrap());
        assert!(!allowed.is_empty());
        // Endings are taken when they come, most of the time, and so are
        // quotes and brackets: a random walk would hardly ever close a string.
        let closing: Vec<u32> = allowed
            .iter()
            .copied()
            .filter(|&t| t == EOS || (step > 60 && [b'"', b'}', b']'].contains(&(t as u8))))
            .collect();
        let from =
            if !closing.is_empty() && random.next_u64() % 4 > 0 { &closing } else { &allowed };
        let token = from[(random.next_u64() % from.len() as u64) as usize];
        if token == EOS {
            return Some(String::from_utf8(text).unwrap());
        }
        assert_eq!(state.allows(&[token]), 1);
        state.accept(token).unwrap();
        text.push(token as u8);
        if forced {
            for token in state.forced() {
                assert_eq!(tokens(&state.mask().unwrap()), [token], "it was the only one");
                state.accept(token).unwrap();
                text.push(token as u8);
            }
        }
    }
    None
}

/// Texts of a grammar, with and without its forced tokens.
fn texts(spec: &GrammarSpec) -> Vec<String> {
    let grammar = compiler().compile(spec).unwrap_or_else(|e| panic!("{spec:?}: {e}"));
    let all: Vec<_> = (0..30).filter_map(|seed| walk(&grammar, seed, seed % 2 == 0)).collect();
    assert!(all.len() > 20, "{spec:?} hardly ever ends");
    all
}

#[test]
fn texts_of_a_schema_are_values_of_it() {
    type Check = fn(&Value) -> bool;
    let schema = |properties: Value, required: Value| {
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    };
    let cases: Vec<(Value, Check)> = vec![
        (schema(json!({"a": {"type": "integer"}, "b": {"type": "boolean"}}), json!(["a"])), |v| {
            v["a"].as_f64().is_some_and(|a| a.fract() == 0.0)
                && (v.get("b").is_none() || v["b"].is_boolean())
        }),
        (json!({"enum": ["صلح", "和平", 3, null]}), |v| {
            [json!("صلح"), json!("和平"), json!(3), json!(null)].contains(v)
        }),
        (
            json!({"type": "array", "items": {"type": "integer", "minimum": -5, "maximum": 12},
                   "minItems": 2, "maxItems": 4}),
            |v| {
                let items = v.as_array().unwrap();
                (2..=4).contains(&items.len())
                    && items.iter().all(|i| (-5.0..=12.0).contains(&i.as_f64().unwrap()))
            },
        ),
        (json!({"type": "string", "pattern": "^A/RES/[0-9]{2}/[0-9]{1,3}$"}), |v| {
            let parts: Vec<_> = v.as_str().unwrap().split('/').collect();
            parts[..2] == ["A", "RES"] && parts[2].len() == 2 && parts[3].len() <= 3
        }),
        (
            json!({"type": "array", "items": {"const": {"uniqueItems": false, "maxItems": 1.5}},
                   "minItems": 1.0, "maxItems": 2.0, "uniqueItems": false}),
            |v| {
                let items = v.as_array().unwrap();
                (1..=2).contains(&items.len())
                    && items.iter().all(|i| *i == json!({"uniqueItems": false, "maxItems": 1.5}))
            },
        ),
        (json!({"type": "string", "minLength": 3, "maxLength": 6}), |v| {
            (3..=6).contains(&v.as_str().unwrap().chars().count())
        }),
        (
            json!({"$defs": {"node": {"type": "object", "properties": {
                        "name": {"const": "x"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                        "required": ["name", "next"], "additionalProperties": false}},
                   "$ref": "#/$defs/node"}),
            |v| {
                let mut node = v;
                while !node.is_null() {
                    assert_eq!(node["name"], "x");
                    node = &node["next"];
                }
                true
            },
        ),
        (json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1.5}), |v| {
            let x = v.as_f64().unwrap();
            0.0 < x && x <= 1.5
        }),
    ];
    for (schema, check) in cases {
        for text in texts(&GrammarSpec::JsonSchema(schema.clone())) {
            let value =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{schema}: {text}: {e}"));
            assert!(check(&value), "{schema}: {text}");
        }
    }
    for text in texts(&GrammarSpec::JsonObject) {
        assert!(serde_json::from_str::<Value>(&text).unwrap().is_object(), "{text}");
    }
}

#[test]
fn other_grammars_give_what_they_describe() {
    let choices = ["yes", "yes, but", "нет", "say \"no\"\n"];
    let spec = GrammarSpec::Choice(choices.map(String::from).into());
    let found = texts(&spec);
    assert!(found.iter().all(|t| choices.contains(&t.as_str())), "{found:?}");
    assert!(choices.iter().all(|c| found.iter().any(|t| t == c)), "{found:?}");
    for text in texts(&GrammarSpec::Regex("(article|Article) [1-9][0-9]?".into())) {
        let number = text.to_lowercase().strip_prefix("article ").unwrap().parse::<u8>().unwrap();
        assert!((1..=99).contains(&number));
    }
    let sums = "start: term (\"+\" term)*\nterm: /[0-9]{1,3}/ | \"(\" start \")\"";
    for text in texts(&GrammarSpec::Lark(sums.into())) {
        let open = text.matches('(').count();
        assert_eq!(open, text.matches(')').count());
        assert!(text.chars().all(|c| c.is_ascii_digit() || "+()".contains(c)), "{text}");
    }
}

#[test]
fn a_grammar_that_is_wrong_or_hostile_is_refused_soon() {
    let nested = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({"items": inner}));
    let object = |n: usize| -> Value {
        let all: serde_json::Map<_, _> = (0..n)
            .map(|i| (format!("p{i}"), json!({"type": "string", "pattern": "(a|b)*c{1,50}"})))
            .collect();
        json!({"type": "object", "properties": all})
    };
    let schema = GrammarSpec::JsonSchema;
    let regex = |r: &str| GrammarSpec::Regex(r.into());
    let cases = [
        (schema(json!([])), "must be an object"),
        (schema(json!({"type": "strin"})), "strin"),
        (schema(json!({"type": "object", "dependentSchemas": {}})), "dependentSchemas"),
        (schema(json!({"type": "string", "format": "no-such"})), "no-such"),
        (schema(json!({"$ref": "https://example.org/x.json"})), "$ref"),
        (schema(json!({"$ref": "#/$defs/missing"})), "missing"),
        (schema(json!({"type": "string", "x-guidance": {"lenient": true}})), "x-guidance"),
        (schema(json!({"allOf": [{"type": "string"}, {"type": "integer"}]})), ""),
        (schema(nested(65)), "64 deep"),
        (schema(json!({"enum": ["x".repeat(300_000)]})), "262144"),
        (schema(object(6000)), ""),
        (regex("(a"), ""),
        (regex("(((a{1,999}){1,999}){1,999}){1,999}b"), ""),
        (regex("[a-z]{1000000}"), ""),
        (regex("(.*a){40}.{60}"), ""),
        (GrammarSpec::Choice(vec![]), "0 choices"),
        (GrammarSpec::Choice(vec!["a".into(), String::new()]), "empty"),
        (GrammarSpec::Lark("start: nothing".into()), "nothing"),
        (GrammarSpec::Lark(String::new()), ""),
        (GrammarSpec::Lark("start: start".into()), ""),
    ];
    let compiler = compiler();
    for (spec, fragment) in cases {
        let begun = Instant::now();
        let short = || format!("{spec:?}").chars().take(200).collect::<String>();
        match compiler.compile(&spec) {
            Err(SubmitError::Invalid { param, message }) => {
                assert_eq!(param, spec.field());
                assert!(message.contains(fragment), "{}: {message}", short());
            }
            Err(other) => panic!("{}: {other}", short()),
            // Not every costly grammar is refused, but then it must be usable.
            Ok(grammar) => {
                assert!(fragment.is_empty(), "{} was taken", short());
                let mut state = grammar.start();
                for _ in 0..50 {
                    let Ok(mask) = state.mask() else { break };
                    let first = tokens(&mask)[0];
                    if first == EOS || state.accept(first).is_err() {
                        break;
                    }
                }
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(4), "{}: {:?}", short(), begun.elapsed());
    }
}

#[test]
fn nothing_follows_a_complete_text_and_nothing_wrong_is_taken() {
    let grammar = compiler().compile(&GrammarSpec::Choice(vec!["ab".into()])).unwrap();
    let mut state = grammar.start();
    assert_eq!(state.forced(), [97, 98]);
    assert_eq!(state.allows(&[97, 99]), 1);
    state.accept(97).unwrap();
    assert!(!state.is_complete());
    state.accept(98).unwrap();
    assert!(state.is_complete());
    assert_eq!(tokens(&state.mask().unwrap()), [EOS]);
    let mut other = grammar.start();
    assert!(other.accept(98).is_err());
    assert!(other.mask().is_err() && !other.is_complete());
}

#[test]
fn the_same_grammar_is_compiled_once() {
    let compiler = compiler();
    let spec = GrammarSpec::JsonSchema(json!({"type": "integer"}));
    let first = compiler.compile(&spec).unwrap();
    for i in 0..31 {
        compiler.compile(&GrammarSpec::Regex(format!("a{i}"))).unwrap();
    }
    assert!(std::sync::Arc::ptr_eq(&first, &compiler.compile(&spec).unwrap()));
    for i in 40..72 {
        compiler.compile(&GrammarSpec::Regex(format!("a{i}"))).unwrap();
    }
    assert!(!std::sync::Arc::ptr_eq(&first, &compiler.compile(&spec).unwrap()));
}

/// Whether this can be a whole text of a grammar; `§` stands for the special token.
fn accepts(grammar: &Grammar, text: &str) -> bool {
    let mut state = grammar.start();
    for piece in text.split_inclusive('§') {
        let bytes = piece.trim_end_matches('§').bytes().map(u32::from);
        let special = piece.ends_with('§').then_some(EOS + 1);
        for token in bytes.chain(special) {
            if state.is_complete() || state.allows(&[token]) == 0 {
                return false;
            }
            state.accept(token).unwrap();
        }
    }
    state.is_complete() || tokens(&state.mask().unwrap()).contains(&EOS)
}

/// Template, how calls are asked for (`r`equired, `p`arallel, `j`son answer,
/// `t`hinking begun), text, whether it can be one.
const CALLS: &[(&str, &str, &str, bool)] = &[
    ("<tool_call>", "p", "Just text.", true),
    ("<tool_call>", "p", "", true),
    (
        "<tool_call>",
        "p",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"n\": 5}}\n</tool_call>",
        true,
    ),
    (
        "<tool_call>",
        "p",
        "Text.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"n\": 5}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>",
        true,
    ),
    (
        "<tool_call>",
        "",
        "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>",
        false,
    ),
    (
        "<tool_call>",
        "p",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"n\": \"5\"}}\n</tool_call>",
        false,
    ),
    ("<tool_call>", "p", "<tool_call>\n{\"name\": \"h\", \"arguments\": {}}\n</tool_call>", false),
    ("<tool_call>", "p", "<tool_call>\n{\"name\": \"f\"", false),
    ("<tool_call>", "r", "Just text.", false),
    ("<tool_call>", "r", "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>", true),
    ("<tool_call>", "j", "{\"a\": true}", true),
    ("<tool_call>", "j", "text", false),
    ("<tool_call>", "j", "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>", true),
    (
        "<tool_call></think>",
        "rt",
        "So <tool_call> it is.</think>\n\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>",
        true,
    ),
    ("<tool_call></think>", "rt", "So it is.</think>\n\nText.", false),
    ("<tool_call></think>", "t", "So it is.</think>\n\nText.", true),
    ("<tool_call></think>", "t", "So it is.", false),
    (
        "<tool_call></think>",
        "r",
        "<think>Hm</think>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>",
        true,
    ),
    (
        "<tool_call></think>",
        "r",
        "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>",
        true,
    ),
    ("<tool_call></think>", "", "<think>Hm</think>\n\nText.", true),
    ("[TOOL_CALLS]", "p", "Text", true),
    (
        "[TOOL_CALLS]",
        "p",
        "Text§[{\"name\": \"f\", \"arguments\": {\"n\": 5}}, {\"name\": \"g\", \"arguments\": {}}]",
        true,
    ),
    ("[TOOL_CALLS]", "p", "§[{\"name\": \"f\", \"arguments\": {\"m\": 5}}]", false),
    ("[TOOL_CALLS]", "r", "§[{\"name\": \"g\", \"arguments\": {}}]", true),
    ("[TOOL_CALLS]", "r", "Text§[{\"name\": \"g\", \"arguments\": {}}]", false),
    ("[TOOL_CALLS][ARGS]", "p", "§f[ARGS]{\"n\": 5}§g[ARGS]{}", true),
    (
        "<|start_header_id|>\"parameters\": ",
        "p",
        "{\"name\": \"f\", \"parameters\": {\"n\": 5}}",
        true,
    ),
    (
        "<|start_header_id|>\"parameters\": ",
        "p",
        "{\"name\": \"f\", \"parameters\": {\"n\": 5}}; {\"name\": \"g\", \"parameters\": {}}",
        true,
    ),
    (
        "<|start_header_id|>\"parameters\": ",
        "p",
        "{\"name\": \"f\", \"parameters\": {\"n\": true}}",
        false,
    ),
    ("<|start_header_id|>\"parameters\": ", "p", "{\"a\": 1} is JSON", true),
    (
        "<|START_ACTION|>",
        "p",
        "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"f\", \"parameters\": {\"n\": 5}}\n]<|END_ACTION|>",
        true,
    ),
    (
        "<|tool|><|/tool|>",
        "r",
        "<|tool_call|>[{\"name\": \"g\", \"arguments\": {}}]<|/tool_call|>",
        true,
    ),
    (
        "<|tool_call|><|start_of_role|>",
        "r",
        "<|tool_call|>[{\"name\": \"g\", \"arguments\": {}}]",
        true,
    ),
];

#[test]
fn calls_follow_the_form_of_the_model_and_the_schema_of_the_tool() {
    let compiler =
        GrammarCompiler::new(std::sync::Arc::new(byte_tokenizer_with(&["[TOOL_CALLS]"])));
    let f = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],
        "additionalProperties": false});
    let g = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let answer = json!({"type": "object", "properties": {"a": {"type": "boolean"}},
        "additionalProperties": false});
    for (template, how, text, expected) in CALLS {
        let dialect = Dialect::of(template);
        let spec = GrammarSpec::Calls(CallGrammar {
            format: dialect.calls.unwrap(),
            tools: vec![("f".into(), f.clone()), ("g".into(), g.clone())],
            required: how.contains('r'),
            // As `parallel_tool_calls` says.
            parallel: how.contains('p'),
            answer: how.contains('j').then(|| answer.clone()),
            reasoning: dialect.reasoning.map(|format| (format, how.contains('t'))),
        });
        let grammar = compiler.compile(&spec).unwrap_or_else(|e| panic!("{template}: {e}"));
        assert_eq!(accepts(&grammar, text), *expected, "{template} {how}: {text}");
    }
}
