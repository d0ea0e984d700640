//! Files that are not what they are called, and the E5S1 container.

use dragoman::config::Config;
use dragoman::models::ModelPaths;
use dragoman::provision::{Provisioner, progress};

use super::{Draws, Folder, ROUNDS, refused, survived};

/// A container of one layer of two, with three words.
fn e5s1() -> Vec<u8> {
    let mut out = b"E5S1".to_vec();
    // Version, hidden, layers, heads, inner, vocabulary, positions, types.
    [1u32, 32, 1, 2, 32, 3, 4, 1].iter().for_each(|n| out.extend(n.to_le_bytes()));
    out.extend(1e-12f32.to_le_bytes());
    // Kind, pieces, four ids; then a blob of nothing, offsets and scores.
    [0u32, 1, 0, 1, 2, 3].iter().for_each(|n| out.extend(n.to_le_bytes()));
    out.extend(0u64.to_le_bytes());
    out.extend([0; 4 * 2 + 4]);
    // The normaliser.
    [0u32, 0].iter().for_each(|n| out.extend(n.to_le_bytes()));
    let mut tensors = vec![("emb.word", 3 * 32), ("emb.pos", 4 * 32), ("emb.type", 32)];
    tensors.extend([("emb.ln.w", 32), ("emb.ln.b", 32)]);
    let parts = ["q", "k", "v", "ao", "fi", "fo"];
    let names: Vec<(String, usize)> = parts
        .iter()
        .flat_map(|p| [(format!("l0.{p}.w"), 32 * 32), (format!("l0.{p}.b"), 32)])
        .chain(
            ["aln", "oln"]
                .iter()
                .flat_map(|p| [(format!("l0.{p}.w"), 32), (format!("l0.{p}.b"), 32)]),
        )
        .collect();
    tensors.extend(names.iter().map(|(name, count)| (name.as_str(), *count)));
    out.extend((tensors.len() as u32).to_le_bytes());
    let directory: usize = tensors.iter().map(|(name, _)| 2 + name.len() + 1 + 4 + 16).sum();
    let mut at = (out.len() + directory) as u64;
    let mut data = Vec::new();
    for (name, count) in &tensors {
        out.extend((name.len() as u16).to_le_bytes());
        out.extend(name.as_bytes());
        out.push(0);
        out.extend((*count as u32).to_le_bytes());
        out.extend(at.to_le_bytes());
        out.extend((4 * *count as u64).to_le_bytes());
        at += 4 * *count as u64;
        data.extend((0..*count).flat_map(|i| (i as f32 / 100.0).to_le_bytes()));
    }
    out.extend(data);
    out
}

pub fn check() {
    let folder = Folder::new();
    let load = |name: &str, bytes: &[u8]| ModelPaths {
        weights: vec![folder.put(name, bytes)],
        config: None,
    };
    let good = e5s1();
    assert!(
        matches!(super::attempt("E5S1", &load("e5.bin", &good)), super::Outcome::Loaded),
        "the container that is damaged below is not a good one"
    );
    let with = |at: usize, value: u32| {
        let mut broken = good.clone();
        broken[at..at + 4].copy_from_slice(&value.to_le_bytes());
        broken
    };
    for (name, broken, says) in [
        ("version 9", with(4, 9), "version 9"),
        ("no columns", with(8, 0), "hidden size"),
        ("2^31 layers", with(12, 1 << 31), "layers"),
        ("2^28 layers", with(12, 1 << 28), "layers"),
        ("no heads", with(16, 0), "heads"),
        ("3 heads", with(16, 3), "contradict"),
        ("another vocabulary", with(24, 77), "word_embeddings"),
        ("2^28 pieces", with(44, 1 << 28), "early"),
        ("half of it", good[..good.len() / 2].to_vec(), "e5.bin"),
        ("the magic alone", good[..4].to_vec(), "e5.bin"),
    ] {
        refused(&format!("E5S1, {name}"), &load("e5.bin", &broken), &[says]);
    }
    let mut draws = Draws(4);
    for round in 0..ROUNDS {
        let broken = draws.damage(&good, 700);
        survived(&format!("E5S1, round {round}"), &load("e5.bin", &broken));
    }
    for (name, bytes, says) in [
        ("model.gguf", &b"\x80\x02}q\0."[..], "pickle"),
        ("pytorch_model.bin", &b"PK\x03\x04"[..], "pickle"),
        ("model.safetensors", &b"GGUF\x03\0\0\0"[..], "model.safetensors"),
        ("model.gguf", &b"<!DOCTYPE html>"[..], "neither"),
        ("model.gguf", &b"version https://git-lfs.github.com/spec/v1\n"[..], "neither"),
    ] {
        refused(&format!("{name} with other content"), &load(name, bytes), &[says]);
    }
    pickles_are_refused_by_name();
}

/// A folder, or a file, whose weights are a pickle alone.
fn pickles_are_refused_by_name() {
    let folder = Folder::new();
    folder.put("config.json", "{\"model_type\": \"llama\"}");
    let file = folder.put("pytorch_model.bin", b"PK\x03\x04");
    let provisioner =
        Provisioner::new(&Config::default().provision, std::sync::Arc::new(progress::Silent))
            .unwrap();
    for path in [folder.path(), file.as_path()] {
        let error = provisioner.resolve(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("pickle"), "{}: {error}", path.display());
    }
}
