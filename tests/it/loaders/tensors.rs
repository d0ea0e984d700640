//! Safetensors: headers that lie about their tensors.

use dragoman::models::ModelPaths;
use serde_json::{Value, json};

use super::{Case, Draws, Folder, ROUNDS, case, refused, survived};
use crate::support::fixture;

/// Header and data of a file.
fn apart(bytes: &[u8]) -> (Value, Vec<u8>) {
    let (len, rest) = bytes.split_at(8);
    let len = u64::from_le_bytes(len.try_into().unwrap()) as usize;
    (serde_json::from_slice(&rest[..len]).unwrap(), rest[len..].to_vec())
}

fn together(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

const UP: &str = "model.layers.1.mlp.up_proj.weight";
const NORM: &str = "model.norm.weight";

fn cases(bytes: &[u8]) -> Vec<Case<Vec<u8>>> {
    let (header, data) = apart(bytes);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut header = header.clone();
        change(&mut header);
        together(&header.to_string(), &data)
    };
    let file = "model.safetensors";
    let set = |name: &'static str, key: &'static str, value: Value| {
        with(&move |header| header[name][key] = value.clone())
    };
    let renamed = with(&|header| {
        let entries = header.as_object_mut().unwrap();
        let entry = entries.remove(UP).unwrap();
        entries.insert("model.layers.1.mlp.sideways_proj.weight".to_owned(), entry);
    });
    let other = header[UP]["data_offsets"].clone();
    let text = header.to_string();
    let mut all = vec![
        case("a tensor is missing", renamed, &["up_proj", "missing"]),
        case(
            "integers",
            set(NORM, "dtype", json!("I32")),
            &["output_norm", "I32", "supported: F32"],
        ),
        case("an unknown type", set(NORM, "dtype", json!("Q4")), &[file]),
        case("a type of another size", set(NORM, "dtype", json!("F64")), &[file]),
        case(
            "another shape",
            set(UP, "shape", json!([32, 64])),
            &["ffn_up", "[32, 64]", "[64, 32]"],
        ),
        case("three dimensions", set(UP, "shape", json!([64, 32, 1])), &["ffn_up", "[64, 32, 1]"]),
        case("no dimensions", set(UP, "shape", json!([])), &[file]),
        case("huge dimensions", set(UP, "shape", json!([1u64 << 62, 4])), &[file]),
        case("a dimension too large", set(UP, "shape", json!([1u64 << 40, 1u64 << 40])), &[file]),
        case("a negative dimension", set(UP, "shape", json!([-64, 32])), &[file]),
        case("a dimension of 0", set(UP, "shape", json!([0, 32])), &[file]),
        case("overlapping", set(NORM, "data_offsets", other), &[file]),
        case("backwards", set(NORM, "data_offsets", json!([128, 0])), &[file]),
        case(
            "beyond the end",
            set(NORM, "data_offsets", json!([1u64 << 40, (1u64 << 40) + 128])),
            &[file],
        ),
        case("offsets of text", set(NORM, "data_offsets", json!(["0", "128"])), &[file]),
        case("no offsets", set(NORM, "data_offsets", Value::Null), &[file]),
        case("a header that is a list", together("[]", &data), &[file]),
        case("a header of another format", together("{]", &data), &[file]),
        case("an empty header", together("{}", &data), &[file]),
        case("no tensors", together("{}", &[]), &["missing"]),
        case("data after the tensors", [bytes, &[0; 64]].concat(), &[file]),
        case("a header of 2^64", [&[0xff; 8][..], &bytes[8..]].concat(), &[file]),
        case("a header longer than the file", together_long(&text, &data), &[file]),
        case("a pickle", b"\x80\x02}q\0(X\x01\0\0\0aq\x01K\x01u.".to_vec(), &[file, "pickle"]),
        case("an archive", b"PK\x03\x04\x14\0\0\0\x08\0data.pkl".to_vec(), &[file, "pickle"]),
        case("nothing", Vec::new(), &[file]),
    ];
    let cut = [1, 7, 8, 9, 8 + text.len() / 2, 8 + text.len(), bytes.len() / 2, bytes.len() - 1];
    all.extend(cut.map(|n| case(format!("cut to {n} bytes"), bytes[..n].to_vec(), &[file])));
    all
}

fn together_long(header: &str, data: &[u8]) -> Vec<u8> {
    let len = (header.len() + data.len() + 1000) as u64;
    [&len.to_le_bytes()[..], header.as_bytes(), data].concat()
}

const GATE: &str = "model.layers.0.mlp.gate_proj.weight";
const SCALES: &str = "model.layers.0.mlp.gate_proj.weight_scale_inv";

/// Eight-bit floats whose scales are not what they should be.
fn float8_cases(bytes: &[u8]) -> Vec<Case<Vec<u8>>> {
    let (header, data) = apart(bytes);
    let with = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut header = header.clone();
        change(header.as_object_mut().unwrap());
        together(&header.to_string(), &data)
    };
    let renamed = with(&|header| {
        let entry = header.remove(SCALES).unwrap();
        header.insert("other".to_owned(), entry);
    });
    let shape = |shape: Value| with(&|header| header[SCALES]["shape"] = shape.clone());
    let do_not_fit = &[SCALES, "do not fit a matrix of 176 x 160"][..];
    vec![
        case("no scales", renamed, &["gate_proj.weight_scale", "is missing"]),
        case("scales in a row", shape(json!([4])), do_not_fit),
        case("scales of another height", shape(json!([4, 1])), do_not_fit),
        case("scales of another form", shape(json!([1, 2, 2])), do_not_fit),
        case("no number of scales", shape(json!([0, 4])), &["model.safetensors"]),
        case(
            "integers for scales",
            with(&|header| header[SCALES]["dtype"] = json!("I32")),
            &[SCALES, "I32", "supported: F32, F16, BF16, F8_E8M0"],
        ),
        case(
            "another kind of eight bits",
            with(&|header| header[GATE]["dtype"] = json!("F8_E4M3FNUZ")),
            &["ffn_gate", "F8_E4M3FNUZ", "F8_E4M3, F8_E5M2"],
        ),
        case(
            "bytes",
            with(&|header| header[GATE]["dtype"] = json!("I8")),
            &["ffn_gate", "I8", "F8_E4M3"],
        ),
        case(
            "another shape",
            with(&|header| header[GATE]["shape"] = json!([160, 176])),
            &["ffn_gate", "[160, 176]"],
        ),
    ]
}

pub fn check() {
    let folder = Folder::new();
    let tiny = fixture("tiny/llama");
    let bytes = std::fs::read(tiny.join("model.safetensors")).unwrap();
    let load = |bytes: &[u8]| ModelPaths {
        weights: vec![folder.put("model.safetensors", bytes)],
        config: Some(tiny.join("config.json")),
    };
    for Case { name, broken, says } in cases(&bytes) {
        refused(&format!("safetensors, {name}"), &load(&broken), &says);
    }
    let tiny = fixture("tiny/qwen3-fp8");
    let eight = std::fs::read(tiny.join("model.safetensors")).unwrap();
    let load_eight = |bytes: &[u8]| ModelPaths {
        weights: vec![folder.put("model.safetensors", bytes)],
        config: Some(tiny.join("config.json")),
    };
    for Case { name, broken, says } in float8_cases(&eight) {
        refused(&format!("eight-bit floats, {name}"), &load_eight(&broken), &says);
    }
    let header = 8 + u64::from_le_bytes(eight[..8].try_into().unwrap()) as usize;
    let mut draws = Draws(2);
    for round in 0..ROUNDS {
        let broken = draws.damage(&eight, header);
        survived(&format!("eight-bit floats, round {round}"), &load_eight(&broken));
    }
    let tiny = fixture("tiny/llama");
    let twice = ModelPaths {
        weights: vec![folder.put("a.safetensors", &bytes), folder.put("b.safetensors", &bytes)],
        config: Some(tiny.join("config.json")),
    };
    refused("safetensors, a shard twice", &twice, &["in two files"]);
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut draws = Draws(1);
    for round in 0..ROUNDS {
        let broken = draws.damage(&bytes, header);
        survived(&format!("safetensors, round {round}"), &load(&broken));
    }
}
