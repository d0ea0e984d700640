//! Tokenizers and chat templates against Hugging Face and llama.cpp.
//!
//! The larger models are checked where they are in the cache already.

use dragoman::text::{ChatInput, ChatTemplate, Tokenizer};
use serde_json::Value as Json;

use crate::support::{json as fixture, model_files};

/// The tokenizer of a real model, by the server's own path.
fn real_tokenizer(name: &str) -> Option<Tokenizer> {
    let files = model_files(name)?;
    let started = std::time::Instant::now();
    let (tokenizer, _) = dragoman::cli::load::source(files).text().unwrap();
    eprintln!("{name}: tokenizer built in {:?}", started.elapsed());
    Some(tokenizer)
}

fn ids(value: &Json) -> Vec<u32> {
    let items = value.as_array().unwrap().iter();
    items.map(|id| id.as_u64().unwrap() as u32).collect()
}

/// The bytes of the tokens, joined, are the decoded text.
fn assert_bytes_agree(tokenizer: &Tokenizer, ids: &[u32], decoded: &str) {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| tokenizer.token_bytes(*id)).copied().collect();
    let text = String::from_utf8_lossy(&bytes);
    let text = match text.strip_prefix(' ') {
        Some(rest) if tokenizer.strips_leading_space() => rest,
        _ => &text,
    };
    assert_eq!(text, decoded, "{ids:?}");
}

#[test]
fn gguf_vocabularies_tokenize_as_hugging_face() {
    for (name, cases) in fixture::<Json>("tokenize-hf.json").as_object().unwrap() {
        let Some(tokenizer) = real_tokenizer(name) else {
            continue;
        };
        for case in cases.as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let got = tokenizer.encode(text, false).unwrap();
            assert_eq!(got, ids(&case["ids"]), "{name}: {text:?}");
            let decoded = case["decoded"].as_str().unwrap();
            assert_eq!(tokenizer.decode(&got, true).unwrap(), decoded, "{name}: {text:?}");
            assert_bytes_agree(&tokenizer, &got, decoded);
        }
    }
}

/// llama.cpp's ids for the same files, but for texts where it is llama.cpp that
/// leaves the model's own tokenizer (the Hugging Face fixture has such texts, too).
#[test]
fn gguf_vocabularies_tokenize_as_llama_cpp() {
    let models = [
        ("smollm2-135m-instruct", "smollm2-135m", &[][..]),
        (
            "qwen2.5-coder-0.5b-instruct",
            "qwen2.5-coder-0.5b",
            &[
                // Qwen's texts are brought into Unicode's composed form (NFC) first.
                "e\u{301} \u{e9} n\u{303} \u{f1} \u{ac00} \u{1100}\u{1161} \u{fb01} \u{c5} \u{212b}",
                // "</s>" is an ordinary word of Qwen's; llama.cpp takes any token of
                // that name for a control token.
                "<s> </s> [INST] <tool_call> </tool_call> <|fim_prefix|> <repo_name> <think>",
            ],
        ),
        ("gemma-3-270m", "gemma-3-270m", &[]),
    ];
    for (name, file, different) in models {
        let Some(tokenizer) = real_tokenizer(name) else {
            continue;
        };
        let mut differ = Vec::new();
        let fixture: Json = fixture(&format!("llamacpp/tokenize-{file}.json"));
        for case in fixture["items"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            if tokenizer.encode(text, false).unwrap() != ids(&case["ids"]) {
                differ.push(text);
            }
        }
        assert_eq!(differ, different, "{name}");
    }
}

#[test]
fn chat_templates_render_as_hugging_face() {
    let fixture: Json = fixture("chat_templates.json");
    let mut count = 0;
    for case in fixture["cases"].as_array().unwrap() {
        let name = case["template"].as_str().unwrap();
        let source = fixture["templates"][name].as_str().unwrap();
        let token = |key: &str| case[key].as_str();
        let template = ChatTemplate::new(source, token("bos_token"), token("eos_token")).unwrap();
        let input = ChatInput {
            messages: case["messages"].as_array().cloned().unwrap(),
            tools: case["tools"].as_array().cloned(),
            add_generation_prompt: case["add_generation_prompt"] == true,
            ..ChatInput::default()
        };
        let got = template.render(&input).unwrap();
        assert_eq!(got, case["expected"].as_str().unwrap(), "{name}: {}", case["name"]);
        count += 1;
    }
    assert!(count >= 10, "only {count} cases");
}

/// The files that come as Hugging Face has them.
#[test]
fn tokenizer_json_files() {
    if let Some(tokenizer) = real_tokenizer("all-minilm-l6-v2") {
        // The file asks to cut texts at 128 tokens and to pad them to 128.
        let long = tokenizer.encode(&"word ".repeat(1000), true).unwrap();
        assert_eq!(long.len(), 1002);
        assert_eq!(
            tokenizer.encode("Hello, world!", true).unwrap(),
            [101, 7592, 1010, 2088, 999, 102]
        );
        assert_eq!(
            tokenizer.decode(&[101, 7592, 1010, 2088, 999, 102], true).unwrap(),
            "hello, world!"
        );
        assert_eq!(
            (tokenizer.token_bytes(7592), tokenizer.token_bytes(101)),
            (&b" hello"[..], &b""[..])
        );
        assert_eq!(tokenizer.vocab_size(), 30522);
    }
    if let Some(tokenizer) = real_tokenizer("multilingual-e5-small") {
        let ids = tokenizer.encode("query: Straße", true).unwrap();
        assert_eq!((ids[0], *ids.last().unwrap()), (0, 2));
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), "query: Straße");
        assert_bytes_agree(&tokenizer, &ids, "query: Straße");
        assert!(tokenizer.strips_leading_space());
    }
}

#[test]
fn generations_end_where_the_models_mean_it() {
    let models: [(&str, &[&str]); 3] = [
        ("smollm2-135m-instruct", &["<|im_end|>", "<|endoftext|>", "<reponame>"]),
        (
            "qwen2.5-coder-0.5b-instruct",
            &["<|im_end|>", "<|endoftext|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"],
        ),
        ("gemma-3-270m", &["<eos>", "<end_of_turn>"]),
    ];
    for (name, ends) in models {
        let Some(tokenizer) = real_tokenizer(name) else { continue };
        let found = tokenizer.eos_ids().iter().map(|id| tokenizer.id_to_token(*id).unwrap());
        assert_eq!(found.collect::<Vec<_>>(), ends, "{name}");
        assert_eq!(tokenizer.eos_token(), Some(ends[0]), "{name}");
        // Only a begin token the file asks for is put before a text.
        let begins = tokenizer.encode("x", true).unwrap()[0];
        let bos = tokenizer.token_to_id(tokenizer.bos_token().unwrap()).unwrap();
        assert_eq!(begins == bos, name.starts_with("gemma"), "{name}");
    }
}
