//! Whether the model computes what it should: the same text in one piece and
//! in two, and against results that other programs recorded with these files.

use serde::Deserialize;

use super::finding::Finding;
use super::texts::ARTICLE_1;
use crate::backend::{Batch, KvCache, Logits, SourceBlocks};
use crate::bench::stats::cosine;
use crate::engine::{EngineOptions, ModelSource};
use crate::models::{Decoder, Encoder, LoadError, Network, Seq2Seq};
use crate::text::Tokenizer;

/// What llama.cpp wrote with one GGUF file, greedily.
#[derive(Deserialize)]
struct Written {
    sha256: String,
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    prompt_tokens: Vec<u32>,
    tokens: Vec<u32>,
    /// How far its first choice is before its second, in nats.
    top: Vec<Option<f32>>,
}

/// What sentence-transformers gave with one safetensors file.
#[derive(Deserialize)]
struct Embedded {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    text: String,
    ids: Vec<u32>,
    embedding: Vec<f32>,
}

/// Recorded with real models, by llama.cpp.
const WRITTEN: [&str; 3] = [
    include_str!("../../../tests/fixtures/llamacpp/smollm2-135m.json"),
    include_str!("../../../tests/fixtures/llamacpp/qwen2.5-coder-0.5b.json"),
    include_str!("../../../tests/fixtures/llamacpp/gemma-3-270m.json"),
];

/// SHA-256 of all-MiniLM-L6-v2's weights, and what was recorded with them.
const MINILM: (&str, &str) = (
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    include_str!("../../../tests/fixtures/minilm.json"),
);

/// Lead in nats from which the recorded choice must be ours: both sides round,
/// so where the other was nearly undecided either token may come first.
const CLEAR: f32 = 0.5;
/// Positions that must be equal even when the unclear ones count.
const SHARE: f64 = 0.95;
/// Cosine with a recorded vector from which it is the same, for weights as
/// exact as 16 bits.
const COSINE: f64 = 0.9999;
/// Positions of the longest recorded text, and more.
const POSITIONS: usize = 1024;

/// Holds the model to what was recorded with the same file, if something was.
pub fn recorded(
    network: &Network,
    tokenizer: &Tokenizer,
    source: &ModelSource,
    options: &EngineOptions,
    hashes: &[String],
) -> Finding {
    let compared = match network {
        Network::Decoder(model) => {
            let all = WRITTEN.iter().filter_map(|json| serde_json::from_str::<Written>(json).ok());
            let mut known = all.filter(|written| hashes.contains(&written.sha256));
            known.next().map(|written| written_like(model, options, &written))
        }
        Network::Encoder(model) => {
            let known = hashes.iter().any(|hash| hash == MINILM.0);
            let known = known.then(|| serde_json::from_str(MINILM.1).ok()).flatten();
            known.map(|known| embedded_like(model, tokenizer, source, &known))
        }
        Network::Seq2Seq(_) => None,
    };
    match compared {
        Some(Ok(finding)) => finding,
        Some(Err(e)) => Finding::failure("parity", e.to_string()),
        None => Finding::ok(
            "parity",
            "no other program's results are recorded for these files; none were compared".into(),
        ),
    }
}

fn written_like(
    model: &Decoder,
    options: &EngineOptions,
    written: &Written,
) -> Result<Finding, LoadError> {
    let mut text = Text::new(model, options)?;
    let (mut equal, mut all) = (0, 0);
    for prompt in &written.prompts {
        // One pass over prompt and continuation gives every position.
        let Some((_, fed)) = prompt.tokens.split_last() else { continue };
        let known = [&prompt.prompt_tokens[..], fed].concat();
        let first = prompt.prompt_tokens.len().saturating_sub(1);
        let choices = text.logits(&known, 0, first)?;
        for ((row, theirs), lead) in choices.iter().zip(&prompt.tokens).zip(&prompt.top) {
            let ours = highest(row);
            if ours != *theirs && lead.is_none_or(|lead| lead >= CLEAR) {
                return Ok(different(format!(
                    "after {all} equal or open choices it takes token {ours} where llama.cpp \
                     clearly takes {theirs}"
                )));
            }
            equal += usize::from(ours == *theirs);
            all += 1;
        }
    }
    let message = format!("{equal} of {all} tokens as llama.cpp chose them");
    Ok(match equal as f64 >= SHARE * all as f64 {
        true => Finding::ok("parity", message),
        false => different(message),
    })
}

fn embedded_like(
    model: &Encoder,
    tokenizer: &Tokenizer,
    source: &ModelSource,
    known: &Embedded,
) -> Result<Finding, LoadError> {
    let mut worst = 1.0f64;
    for item in &known.items {
        let ids = tokenizer.encode(&item.text, true).unwrap_or_default();
        if !item.ids.starts_with(&ids) {
            return Ok(different(format!("its tokenizer gives other tokens for {:?}", item.text)));
        }
        let vector = embed(model, source, &ids)?;
        worst = worst.min(cosine(&vector, &item.embedding));
    }
    let message = format!("cosine {worst:.6} at least with sentence-transformers' vectors");
    Ok(match worst >= COSINE {
        true => Finding::ok("parity", message),
        false => different(message),
    })
}

fn different(message: String) -> Finding {
    Finding::failure("parity", message).fix(
        "with models.quantize smaller than int16 results differ by intention; else this build or \
         this processor computes wrongly: set engine.instructions = \"portable\", try again, and \
         report it",
    )
}

/// Whether numbers are finite, and do not depend on how a text is cut.
pub fn consistent(
    network: &Network,
    tokenizer: &Tokenizer,
    source: &ModelSource,
    options: &EngineOptions,
) -> Finding {
    let ids = tokenizer.encode(ARTICLE_1[0].1, true).unwrap_or_default();
    if ids.len() < 2 {
        return Finding::failure("numbers", "its tokenizer gives no tokens to compute".into());
    }
    let both = match network {
        Network::Decoder(model) => in_two_pieces(model, options, &ids),
        Network::Encoder(model) => beside_another(model, source, &ids),
        Network::Seq2Seq(model) => written_in_two_pieces(model, options, &ids),
    };
    let (one, two) = match both {
        Ok(both) => both,
        Err(e) => return Finding::failure("numbers", e.to_string()),
    };
    if one.iter().chain(&two).any(|x| !x.is_finite()) {
        let fix = "its weights are damaged, or too large for a 16-bit cache: try \
                   engine.kv_cache_dtype = \"f32\"";
        return Finding::failure("numbers", "its results are no numbers".into()).fix(fix);
    }
    let cosine = cosine(&one, &two);
    match cosine > COSINE {
        true => Finding::ok("numbers", "the same however a text is cut into steps".into()),
        false => {
            different(format!("a text in two pieces gives another result, cosine {cosine:.6}"))
        }
    }
}

/// The last token's logits, of a text read at once and in two steps.
fn in_two_pieces(
    model: &Decoder,
    options: &EngineOptions,
    ids: &[u32],
) -> Result<(Vec<f32>, Vec<f32>), LoadError> {
    let last = ids.len() - 1;
    let mut text = Text::new(model, options)?;
    let one = text.logits(ids, 0, last)?.concat();
    text.logits(&ids[..last], 0, last - 1)?;
    let two = text.logits(&ids[last..], last, 0)?.concat();
    Ok((one, two))
}

/// The last token's logits of a text written from itself, at once and in two
/// steps.
fn written_in_two_pieces(
    model: &Seq2Seq,
    options: &EngineOptions,
    ids: &[u32],
) -> Result<(Vec<f32>, Vec<f32>), LoadError> {
    let vocabulary = model.config.vocab_size as u32;
    let text: Vec<u32> = ids.iter().map(|id| id % vocabulary).collect();
    let size = options.block_size;
    let each = ids.len().div_ceil(size) as u32;
    let own: Vec<u32> = (0..each).collect();
    let sources = SourceBlocks { blocks: (each..2 * each).collect(), len: ids.len() as u32 };
    let shape = model.config.kv_shape(size, options.kv_dtype);
    let mut cache = KvCache::new(shape, 2 * each as usize, model.device())?;
    let mut last = |rows: std::ops::Range<usize>, encode: bool| -> Result<Vec<f32>, LoadError> {
        let mut batch = Batch::new();
        if encode {
            batch.push_source(ids, &sources.blocks, size);
        }
        batch.push(&text[rows.clone()], rows.start, &own, size, true);
        batch.sources.push(sources.clone());
        let mut logits = Logits::default();
        model.forward(&batch, &mut cache, &mut logits)?;
        Ok(logits.rows().flatten().copied().collect())
    };
    let one = last(0..ids.len(), true)?;
    last(0..ids.len() - 1, false)?;
    Ok((one, last(ids.len() - 1..ids.len(), false)?))
}

/// A text's vector, computed alone and beside another text.
fn beside_another(
    model: &Encoder,
    source: &ModelSource,
    ids: &[u32],
) -> Result<(Vec<f32>, Vec<f32>), LoadError> {
    let ids = &ids[..ids.len().min(model.config.context_length)];
    let pooling = pooling(source)?;
    let both = [&ids[..2], ids].concat();
    let vectors = model.embed(&both, &[0, 2, both.len() as u32], pooling)?;
    Ok((embed(model, source, ids)?, vectors.into_iter().nth(1).unwrap_or_default()))
}

fn embed(model: &Encoder, source: &ModelSource, ids: &[u32]) -> Result<Vec<f32>, LoadError> {
    let vectors = model.embed(ids, &[0, ids.len() as u32], pooling(source)?)?;
    Ok(vectors.into_iter().next().unwrap_or_default())
}

fn pooling(source: &ModelSource) -> Result<crate::models::encoder::Pooling, LoadError> {
    source.resolve_pooling().map_err(|e| LoadError::config("pooling", e.to_string()))
}

/// A decoder with room for one text.
struct Text<'a> {
    model: &'a Decoder,
    cache: KvCache,
    blocks: Vec<u32>,
    block_size: usize,
}

impl<'a> Text<'a> {
    fn new(model: &'a Decoder, options: &EngineOptions) -> Result<Self, LoadError> {
        let block_size = options.block_size;
        let blocks = POSITIONS.div_ceil(block_size);
        let shape = model.kv_shape(block_size, options.kv_dtype);
        let cache = KvCache::new(shape, blocks, model.device())?;
        Ok(Self { model, cache, blocks: (0..blocks as u32).collect(), block_size })
    }

    /// Logits of the rows from `first` on, of `ids` after `before` others.
    fn logits(
        &mut self,
        ids: &[u32],
        before: usize,
        first: usize,
    ) -> Result<Vec<Vec<f32>>, LoadError> {
        let mut batch = Batch::new();
        batch.push(ids, before, &self.blocks, self.block_size, true);
        batch.logit_rows = (first as u32..ids.len() as u32).collect();
        let mut logits = Logits::default();
        self.model.forward(&batch, &mut self.cache, &mut logits)?;
        Ok(logits.rows().map(<[f32]>::to_vec).collect())
    }
}

fn highest(row: &[f32]) -> u32 {
    let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    best.map_or(0, |i| i as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ships_in_the_binary_reads() {
        for json in WRITTEN {
            let written: Written = serde_json::from_str(json).unwrap();
            assert_eq!(written.sha256.len(), 64);
            for p in &written.prompts {
                assert_eq!(p.tokens.len(), p.top.len());
                assert!(p.prompt_tokens.len() + p.tokens.len() <= POSITIONS);
            }
        }
        let embedded: Embedded = serde_json::from_str(MINILM.1).unwrap();
        assert!(embedded.items.iter().all(|item| item.embedding.len() == 384));
    }
}
