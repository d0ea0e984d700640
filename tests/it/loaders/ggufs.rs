//! GGUF: counts, lengths, types and sizes that cannot be.

use std::collections::BTreeMap;

use dragoman::models::ModelPaths;
use dragoman::models::gguf::{GgufFile, Value};

use super::{Case, Draws, Folder, ROUNDS, case, refused, survived};
use crate::support::fixture;

/// A tensor as it is written.
#[derive(Clone)]
struct Tensor {
    /// Innermost first, as in the file.
    dims: Vec<u64>,
    kind: u32,
    /// From the start of the data; `None` puts it in its place.
    offset: Option<u64>,
    data: Vec<u8>,
}

/// A file in parts, to be written with one of them changed.
#[derive(Clone)]
struct Parts {
    version: u32,
    /// Written in place of the true numbers.
    tensor_count: Option<u64>,
    value_count: Option<u64>,
    values: BTreeMap<String, Vec<u8>>,
    tensors: Vec<(String, Tensor)>,
}

impl Parts {
    fn read(path: &std::path::Path) -> Self {
        let file = GgufFile::open(path).unwrap();
        let values = file.metadata.iter().map(|(k, v)| (k.clone(), value(v)));
        let mut names: Vec<&String> = file.tensors.keys().collect();
        names.sort();
        let tensors = names.into_iter().map(|name| {
            let (info, _, bytes) = file.tensor(name).unwrap();
            let dims = info.shape.iter().rev().map(|d| *d as u64).collect();
            let data = bytes.to_vec();
            (name.clone(), Tensor { dims, kind: info.type_id, offset: None, data })
        });
        Self {
            version: 3,
            tensor_count: None,
            value_count: None,
            values: values.collect(),
            tensors: tensors.collect(),
        }
    }

    fn write(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.tensor_count.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.extend(self.value_count.unwrap_or(self.values.len() as u64).to_le_bytes());
        for (key, value) in &self.values {
            out.extend(string(key));
            out.extend(value);
        }
        let mut at = 0u64;
        for (name, tensor) in &self.tensors {
            out.extend(string(name));
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(at).to_le_bytes());
            at += (tensor.data.len() as u64).next_multiple_of(32);
        }
        for (_, tensor) in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.extend(&tensor.data);
        }
        out
    }

    /// Bytes before the data.
    fn header(&self) -> usize {
        let data: usize = self.tensors.iter().map(|(_, t)| t.data.len()).sum();
        self.write().len() - data
    }

    fn tensor(&mut self, name: &str) -> &mut Tensor {
        let found = self.tensors.iter_mut().find(|(n, _)| n == name);
        &mut found.unwrap_or_else(|| panic!("{name}")).1
    }
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn typed(kind: u32, bytes: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], bytes].concat()
}

fn list<T>(kind: u32, items: &[T], item: impl Fn(&T) -> Vec<u8>) -> Vec<u8> {
    let mut out = typed(9, &kind.to_le_bytes());
    out.extend((items.len() as u64).to_le_bytes());
    items.iter().for_each(|i| out.extend(item(i)));
    out
}

/// A metadata value with its type before it.
fn value(value: &Value) -> Vec<u8> {
    match value {
        Value::Unsigned(n) => typed(10, &n.to_le_bytes()),
        Value::Signed(n) => typed(11, &n.to_le_bytes()),
        Value::Float(x) => typed(12, &x.to_le_bytes()),
        Value::Bool(b) => typed(7, &[u8::from(*b)]),
        Value::String(s) => typed(8, &string(s)),
        Value::Strings(all) => list(8, all, |s| string(s)),
        Value::Unsigneds(all) => list(10, all, |n| n.to_le_bytes().to_vec()),
        Value::Signeds(all) => list(11, all, |n| n.to_le_bytes().to_vec()),
        Value::Floats(all) => list(6, all, |x| x.to_le_bytes().to_vec()),
        Value::Bools(all) => list(7, all, |b| vec![u8::from(*b)]),
        Value::Nested => list(9, &[0u8; 0], |_| Vec::new()),
    }
}

const FILE: &str = "model.gguf";

/// Damage to the structure of the file.
fn structure(good: &Parts) -> Vec<Case<Vec<u8>>> {
    let with = |change: &dyn Fn(&mut Parts)| {
        let mut parts = good.clone();
        change(&mut parts);
        parts.write()
    };
    let bytes = good.write();
    let raw = |key: &str, value: Vec<u8>| {
        with(&|parts| {
            parts.values.insert(key.to_owned(), value.clone());
        })
    };
    let huge = u64::MAX.to_le_bytes();
    let nested = |depth: usize| {
        let mut value = 9u32.to_le_bytes().to_vec();
        for _ in 0..depth {
            value.extend(9u32.to_le_bytes());
            value.extend(1u64.to_le_bytes());
        }
        value
    };
    let key = "tokenizer.ggml.tokens";
    let mut all = vec![
        case("another magic", [b"GGUX", &bytes[4..]].concat(), &[FILE]),
        case("version 1", with(&|p| p.version = 1), &[FILE, "version 1"]),
        case("version 77", with(&|p| p.version = 77), &[FILE, "version 77"]),
        case("2^64 tensors", with(&|p| p.tensor_count = Some(u64::MAX)), &[FILE]),
        case("no tensors", with(&|p| p.tensor_count = Some(0)), &["token_embd.weight", "missing"]),
        case("2^64 values", with(&|p| p.value_count = Some(u64::MAX)), &[FILE]),
        case("no values", with(&|p| p.value_count = Some(0)), &[FILE]),
        case("a string of 2^64 bytes", raw(key, typed(8, &huge)), &[FILE, key]),
        case("an unknown type", raw(key, typed(99, &[0; 8])), &[FILE, key, "99"]),
        case(
            "a list of 2^64",
            raw(key, [&typed(9, &8u32.to_le_bytes())[..], &huge].concat()),
            &[FILE, key],
        ),
        case(
            "a list of an unknown type",
            raw(key, [&typed(9, &99u32.to_le_bytes())[..], &[1; 8]].concat()),
            &[FILE, key],
        ),
        case("lists in lists", raw(key, nested(100)), &[FILE, key]),
        case("a tensor twice", with(&|p| p.tensors.push(p.tensors[0].clone())), &[FILE, "twice"]),
    ];
    for (what, value) in [
        ("0", value(&Value::Unsigned(0))),
        ("3", value(&Value::Unsigned(3))),
        ("2^40", value(&Value::Unsigned(1 << 40))),
        ("text", value(&Value::String("32".into()))),
    ] {
        let broken = raw("general.alignment", value);
        all.push(case(format!("an alignment of {what}"), broken, &[FILE, "general.alignment"]));
    }
    let cut = [0, 3, 4, 8, 16, 23, 24, 40, good.header() / 2, good.header(), bytes.len() - 1];
    all.extend(cut.map(|n| case(format!("cut to {n} bytes"), bytes[..n].to_vec(), &[FILE])));
    all
}

/// Damage to one tensor.
fn tensors(good: &Parts) -> Vec<Case<Vec<u8>>> {
    const DOWN: &str = "blk.1.ffn_down.weight";
    let with = |change: &dyn Fn(&mut Tensor)| {
        let mut parts = good.clone();
        change(parts.tensor(DOWN));
        parts.write()
    };
    let without = |name: &str| {
        let mut parts = good.clone();
        parts.tensors.retain(|(n, _)| n != name);
        parts.write()
    };
    vec![
        case("missing", without(DOWN), &[DOWN, "missing"]),
        case("without an embedding", without("token_embd.weight"), &["token_embd.weight"]),
        case("of an unknown type", with(&|t| t.kind = 99), &[DOWN, "GGML type 99"]),
        case("of a type not read", with(&|t| t.kind = 16), &[DOWN, "IQ2_XXS"]),
        case("in blocks longer than rows", with(&|t| t.kind = 12), &[DOWN, "Q4_K"]),
        case("of integers", with(&|t| t.kind = 26), &[DOWN, "I32"]),
        case("turned over", with(&|t| t.dims.reverse()), &[DOWN, "[64, 32]", "[32, 64]"]),
        case("with a dimension of 0", with(&|t| t.dims[0] = 0), &[DOWN]),
        case("with no rows", with(&|t| t.dims[1] = 0), &[DOWN]),
        case("with no dimensions", with(&|t| t.dims.clear()), &[DOWN]),
        case("with nine dimensions", with(&|t| t.dims = vec![1; 9]), &[FILE, DOWN, "9 dimensions"]),
        case("with four dimensions", with(&|t| t.dims = vec![64, 32, 1, 1]), &[DOWN]),
        case("of 2^63 columns", with(&|t| t.dims[0] = 1 << 63), &[DOWN]),
        case("of 2^40 by 2^40", with(&|t| t.dims = vec![1 << 40; 2]), &[DOWN]),
        case("not aligned", with(&|t| t.offset = Some(1)), &[DOWN, "not aligned"]),
        case("beyond the end", with(&|t| t.offset = Some(1 << 40)), &[DOWN, "truncated"]),
        case("at the end of numbers", with(&|t| t.offset = Some(u64::MAX - 31)), &[DOWN]),
    ]
}

/// Values that no field can have, or that are hard to bear.
fn odd() -> Vec<(&'static str, Value)> {
    vec![
        ("0", Value::Unsigned(0)),
        ("1", Value::Unsigned(1)),
        ("7", Value::Unsigned(7)),
        ("-1", Value::Signed(-1)),
        ("2^20", Value::Unsigned(1 << 20)),
        ("2^30", Value::Unsigned(1 << 30)),
        ("2^40", Value::Unsigned(1 << 40)),
        ("2^64 - 1", Value::Unsigned(u64::MAX)),
        ("a float", Value::Float(0.5)),
        ("nan", Value::Float(f64::NAN)),
        ("infinity", Value::Float(f64::INFINITY)),
        ("text", Value::String("x".into())),
        ("an empty list", Value::Unsigneds(Vec::new())),
        ("a list", Value::Unsigneds(vec![3; 5])),
        ("texts", Value::Strings(vec![String::new()])),
        ("true", Value::Bool(true)),
    ]
}

/// Fields without which, or with which odd, nothing can be loaded.
const NEEDED: [&str; 4] =
    ["block_count", "embedding_length", "attention.head_count", "context_length"];

pub fn check() {
    let folder = Folder::new();
    let load = |bytes: &[u8]| ModelPaths { weights: vec![folder.put(FILE, bytes)], config: None };
    for name in ["llama3-rope", "gemma2", "mixtral", "phi3-longrope", "cohere2"] {
        let good = Parts::read(&fixture("gguf").join(format!("{name}.gguf")));
        let at_first = load(&good.write());
        assert!(
            matches!(super::attempt(name, &at_first), super::Outcome::Loaded),
            "{name} as it is written here is not the file it was"
        );
        for key in good.values.keys() {
            let mut parts = good.clone();
            for (what, odd) in odd() {
                parts.values.insert(key.clone(), value(&odd));
                survived(&format!("{name}, {key} is {what}"), &load(&parts.write()));
            }
            parts.values.remove(key);
            survived(&format!("{name} without {key}"), &load(&parts.write()));
        }
    }
    let good = Parts::read(&fixture("gguf/llama3-rope.gguf"));
    for Case { name, broken, says } in structure(&good) {
        refused(&format!("gguf, {name}"), &load(&broken), &says);
    }
    for Case { name, broken, says } in tensors(&good) {
        refused(&format!("gguf, a tensor {name}"), &load(&broken), &says);
    }
    for key in NEEDED {
        for odd in [Value::Unsigned(0), Value::Unsigned(1 << 40), Value::String("x".into())] {
            let mut parts = good.clone();
            parts.values.insert(format!("llama.{key}"), value(&odd));
            refused(&format!("gguf, {key} is {odd:?}"), &load(&parts.write()), &[key]);
        }
    }
    let mut unknown = good.clone();
    unknown.values.insert("general.architecture".into(), value(&Value::String("rwkv".into())));
    refused("gguf, of another architecture", &load(&unknown.write()), &["rwkv", "supported"]);
    let (bytes, header, mut draws) = (good.write(), good.header(), Draws(2));
    for round in 0..ROUNDS {
        let broken = draws.damage(&bytes, header);
        survived(&format!("gguf, round {round}"), &load(&broken));
    }
}
