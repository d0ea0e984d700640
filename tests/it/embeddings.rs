//! Real encoders: MiniLM against sentence-transformers, e5 across languages.

use dragoman::engine::{EmbeddingRequest, Engine, EngineOptions};
use dragoman::models::Quantize;
use serde::Deserialize;

use crate::support::{EMBEDDER, cosine, engine, json, server};

#[derive(Deserialize)]
struct MiniLm {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    text: String,
    ids: Vec<u32>,
    embedding: Vec<f32>,
}

async fn embed(engine: &Engine, inputs: Vec<Vec<u32>>) -> Vec<Vec<f32>> {
    engine.embed(EmbeddingRequest::new(inputs)).await.unwrap().vectors
}

#[tokio::test(flavor = "multi_thread")]
async fn minilm_agrees_with_sentence_transformers() {
    // What each way to keep f32 weights is good for, as the documents say it.
    for (quantize, kept, least) in [
        ("none", "F32", 0.999_999),
        ("int16", "F32 as int16", 0.999_999),
        ("bf16x2", "F32 as bf16x2", 0.999_999),
        ("bf16", "F32 as bf16", 0.999_9),
        ("q8_0", "F32 as Q8_0", 0.995),
        // 384 is no multiple of 256, so most of it is larger than asked for.
        ("q6_k", "F32 as Q8_0 and Q6_K", 0.995),
        ("q4_0", "F32 as Q4_0", 0.9),
    ] {
        let quantize: Quantize = quantize.parse().unwrap();
        let options = EngineOptions { quantize, ..Default::default() };
        let Some(engine) = engine("all-minilm-l6-v2", options) else { return };
        assert_eq!(engine.info().quantization, kept);
        agrees(&engine, quantize, least).await;
    }
}

async fn agrees(engine: &Engine, quantize: Quantize, least: f64) {
    let fixture: MiniLm = json("minilm.json");
    let mut inputs = Vec::new();
    for item in &fixture.items {
        let ids = engine.encode(item.text.clone(), true).await.unwrap();
        assert_eq!(ids, item.ids, "tokens of {:?}", item.text);
        inputs.push(ids);
    }
    let together = embed(engine, inputs.clone()).await;
    let mut lowest = 1f64;
    for ((item, input), packed) in fixture.items.iter().zip(inputs).zip(&together) {
        let alone = &embed(engine, vec![input]).await[0];
        for (how, found) in [("alone", alone), ("together", packed)] {
            let similarity = cosine(found, &item.embedding);
            lowest = lowest.min(similarity);
            assert!(similarity >= least, "{quantize} {:?} {how}: {similarity}", item.text);
        }
    }
    eprintln!("{quantize}: lowest cosine {lowest:.8}");
}

#[derive(Deserialize)]
struct CrossLingual {
    english: Vec<String>,
    twins: Vec<Twin>,
}

#[derive(Deserialize)]
struct Twin {
    language: String,
    /// Index of the English sentence that says the same.
    of: usize,
    text: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn e5_finds_the_english_twin_of_six_languages() {
    let Some(server) = server() else { return };
    let engine = server.engines.get(EMBEDDER).unwrap();
    let fixture: CrossLingual = json("texts/crosslingual.json");
    let tokens = async |texts: Vec<&String>| {
        let mut ids = Vec::new();
        for text in texts {
            ids.push(engine.encode(format!("query: {text}"), true).await.unwrap());
        }
        ids
    };
    let english = embed(engine, tokens(fixture.english.iter().collect()).await).await;
    let twins = embed(engine, tokens(fixture.twins.iter().map(|t| &t.text).collect()).await).await;
    for (twin, vector) in fixture.twins.iter().zip(&twins) {
        let nearest = (0..english.len())
            .max_by(|&a, &b| cosine(vector, &english[a]).total_cmp(&cosine(vector, &english[b])))
            .unwrap();
        assert_eq!(
            nearest, twin.of,
            "{} {:?} is nearest to {:?}",
            twin.language, twin.text, fixture.english[nearest]
        );
    }
}
