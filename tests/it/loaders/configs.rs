//! `config.json`: every field with values that it cannot have.

use dragoman::models::ModelPaths;
use serde_json::{Value, json};

use super::{Folder, refused, survived};
use crate::support::fixture;

/// One of each way to configure a model.
const MODELS: [&str; 14] = [
    "llama",
    "llama3-rope",
    "llama-yarn",
    "phi3-longrope",
    "gemma3",
    "cohere2",
    "qwen3-moe",
    "granite",
    "smollm3",
    "bert-classifier",
    "modernbert",
    "mpnet",
    "qwen3-fp8",
    "cohere-fp8",
];

/// Values that no field can have, or that are hard to bear.
fn odd() -> Vec<Value> {
    vec![
        Value::Null,
        json!(0),
        json!(1),
        json!(3),
        json!(-1),
        json!(0.5),
        json!(1e300),
        json!(1u64 << 20),
        json!(1u64 << 30),
        json!(1u64 << 40),
        json!(u64::MAX),
        json!("x"),
        json!(true),
        json!([]),
        json!([null]),
        json!([1, 2]),
        json!({}),
        json!({"rope_type": "linear"}),
    ]
}

/// Fields of `llama`, and of `bert-classifier`, that cannot be wrong unnoticed.
const NEEDED: [&str; 6] = [
    "hidden_size",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
    "intermediate_size",
    "max_position_embeddings",
];

/// All places of a document, as JSON pointers.
pub fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut inside = |key: String, value: &Value| {
        let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        found.push(place.clone());
        places(value, &place, found);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(k, v)| inside(k.clone(), v)),
        // The first of a list stands for the others.
        Value::Array(items) => {
            items.iter().take(1).enumerate().for_each(|(i, v)| inside(i.to_string(), v));
        }
        _ => {}
    }
}

pub fn check() {
    let folder = Folder::new();
    for model in MODELS {
        let tiny = fixture("tiny").join(model);
        let config: Value =
            serde_json::from_slice(&std::fs::read(tiny.join("config.json")).unwrap()).unwrap();
        let load = |config: &[u8]| ModelPaths {
            weights: vec![tiny.join("model.safetensors")],
            config: Some(folder.put("config.json", config)),
        };
        let mut all = Vec::new();
        places(&config, "", &mut all);
        for place in all {
            for odd in odd() {
                let mut broken = config.clone();
                *broken.pointer_mut(&place).unwrap() = odd.clone();
                let what = format!("{model}, {place} is {odd}");
                survived(&what, &load(broken.to_string().as_bytes()));
            }
        }
        for (name, text) in [
            ("nothing", ""),
            ("half of it", &config.to_string()[..100]),
            ("no JSON", "\u{0}\u{1}"),
            ("JSON that is deep", &"[".repeat(100_000)),
        ] {
            let what = format!("{model}, config.json with {name}");
            refused(&what, &load(text.as_bytes()), &["config.json"]);
        }
        for text in ["[]", "{}", "null", "3"] {
            let what = format!("{model}, config.json is {text}");
            refused(&what, &load(text.as_bytes()), &["architecture \"\""]);
        }
        if ["llama", "bert-classifier"].contains(&model) {
            for field in NEEDED {
                for odd in [Value::Null, json!(0), json!(-1), json!(1u64 << 40), json!("x")] {
                    let mut broken = config.clone();
                    broken[field] = odd.clone();
                    let what = format!("{model}, {field} is {odd}");
                    refused(&what, &load(broken.to_string().as_bytes()), &[field]);
                }
            }
            let mut deep = config.clone();
            deep["num_hidden_layers"] = json!(1 << 30);
            let what = format!("{model} of 2^30 layers");
            refused(&what, &load(deep.to_string().as_bytes()), &["num_hidden_layers", "4096"]);
        }
    }
}
