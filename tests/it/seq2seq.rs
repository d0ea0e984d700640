//! Our encoder-decoders against Hugging Face transformers' on tiny random
//! models of every family: sources and targets alone, in one ragged batch,
//! token by token, and several texts that share a source.

use dragoman::backend::{Batch, KvCache, KvDtype, Logits, SourceBlocks};
use dragoman::models::{Network, Seq2Seq};
use serde::Deserialize;

use crate::support::{json, relative_error, tiny};

const TOLERANCE: f32 = 1e-4;
const BLOCK: usize = 8;
/// Blocks of a text, and of a source.
const EACH: u32 = 5;

#[derive(Deserialize)]
struct Fixture {
    sources: Vec<Vec<u32>>,
    encoded: Encoded,
    means: Vec<Vec<f32>>,
    targets: Vec<Vec<u32>>,
    logits: Vec<Vec<Vec<f32>>>,
}

#[derive(Deserialize)]
struct Encoded {
    source: usize,
    values: Vec<Vec<f32>>,
}

/// A model with its cache; every text and every source owns blocks out of
/// order, so that a mistake in a table shows.
struct Bench {
    model: Seq2Seq,
    cache: KvCache,
}

impl Bench {
    fn new(name: &str) -> Self {
        Self::with(name, "config.json")
    }

    fn with(name: &str, config: &str) -> Self {
        let Network::Seq2Seq(model) = tiny(name, config).network else {
            panic!("{name} is no encoder-decoder")
        };
        let shape = model.config.kv_shape(BLOCK, KvDtype::F32);
        let cache = KvCache::new(shape, 16 * EACH as usize, model.device()).unwrap();
        Self { model: *model, cache }
    }

    fn blocks(owner: usize) -> Vec<u32> {
        (0..EACH).rev().map(|i| i * 16 + owner as u32).collect()
    }

    /// Asks for source `s` to be encoded.
    fn encode(batch: &mut Batch, s: usize, ids: &[u32]) {
        batch.push_source(ids, &Self::blocks(8 + s), BLOCK);
    }

    /// Adds rows of text `t`, from position `first` on, written from source `s`.
    fn push(batch: &mut Batch, t: usize, ids: &[u32], first: usize, (s, len): (usize, usize)) {
        let rows = batch.tokens() as u32;
        batch.push(ids, first, &Self::blocks(t), BLOCK, false);
        batch.logit_rows.extend(rows..rows + ids.len() as u32);
        batch.sources.push(SourceBlocks { blocks: Self::blocks(8 + s), len: len as u32 });
    }

    fn forward(&mut self, batch: &Batch) -> Vec<Vec<f32>> {
        let mut logits = Logits::default();
        self.model.forward(batch, &mut self.cache, &mut logits).unwrap();
        logits.rows().map(<[f32]>::to_vec).collect()
    }
}

fn parity(name: &str) {
    let fixture: Fixture = json(&format!("tiny/{name}/fixture.json"));
    let Fixture { sources, targets, logits, .. } = &fixture;
    let close = |what: &str, found: &[f32], expected: &[f32]| {
        let error = relative_error(found, expected);
        assert!(error < TOLERANCE, "{name}, {what}: off by {error}");
    };
    let all_close = |what: &str, found: &[Vec<f32>], expected: &[Vec<f32>]| {
        assert_eq!(found.len(), expected.len(), "{name}, {what}");
        found.iter().zip(expected).for_each(|(a, b)| close(what, a, b));
    };
    let of = |s: usize| (s, sources[s].len());

    // The encoder: every token of one source, then all packed end to end.
    let mut bench = Bench::new(name);
    let Encoded { source, values } = &fixture.encoded;
    let ids = &sources[*source];
    let states = bench.model.encode(ids, &[0, ids.len() as u32]).unwrap().to_vec2().unwrap();
    all_close("encoded", &states, values);
    let mut ends = vec![0u32];
    sources.iter().for_each(|ids| ends.push(ends[ends.len() - 1] + ids.len() as u32));
    let packed = bench.model.encode(&sources.concat(), &ends).unwrap();
    for (w, expected) in ends.windows(2).zip(&fixture.means) {
        let own = packed.narrow(0, w[0] as usize, (w[1] - w[0]) as usize).unwrap();
        close("packed sources", &own.mean(0).unwrap().to_vec1::<f32>().unwrap(), expected);
    }

    // Each target alone, its source encoded in the same step.
    for (s, target) in targets.iter().enumerate() {
        let mut batch = Batch::new();
        Bench::encode(&mut batch, s, &sources[s]);
        Bench::push(&mut batch, 0, target, 0, of(s));
        all_close("alone", &bench.forward(&batch), &logits[s]);
    }

    // All in one step, on a fresh cache.
    let mut bench = Bench::new(name);
    let mut batch = Batch::new();
    for (s, target) in targets.iter().enumerate() {
        Bench::encode(&mut batch, s, &sources[s]);
        Bench::push(&mut batch, s, target, 0, of(s));
    }
    all_close("ragged", &bench.forward(&batch), &logits.concat());

    // Sources first, then token by token, beside each other.
    let mut bench = Bench::new(name);
    let mut batch = Batch::new();
    sources.iter().enumerate().for_each(|(s, ids)| Bench::encode(&mut batch, s, ids));
    assert!(bench.forward(&batch).is_empty());
    for at in 0..targets.iter().map(Vec::len).max().unwrap() {
        let mut batch = Batch::new();
        let going: Vec<usize> = (0..targets.len()).filter(|&s| targets[s].len() > at).collect();
        going.iter().for_each(|&s| Bench::push(&mut batch, s, &targets[s][at..=at], at, of(s)));
        for (found, s) in bench.forward(&batch).iter().zip(going) {
            close("token by token", found, &logits[s][at]);
        }
    }

    // Three texts of one source between texts of others, in chunks.
    let mut bench = Bench::new(name);
    for chunk in [0..2, 2..3, 3..6] {
        let mut batch = Batch::new();
        if chunk.start == 0 {
            [0, 2].into_iter().for_each(|s| Bench::encode(&mut batch, s, &sources[s]));
        }
        let texts = [(0, 0), (1, 2), (2, 2), (3, 2), (4, 0)];
        for (t, s) in texts {
            Bench::push(&mut batch, t, &targets[s][chunk.clone()], chunk.start, of(s));
        }
        let expected: Vec<_> =
            texts.iter().flat_map(|&(_, s)| logits[s][chunk.clone()].to_vec()).collect();
        all_close("shared source", &bench.forward(&batch), &expected);
    }
}

macro_rules! families {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            parity(stringify!($name));
        }
    )* };
}

/// The GGUF files hold the tiny models. What the format does not store, where
/// the last range of distances begins, is 128 there and in the configurations
/// that they are compared with.
fn from_gguf(name: &str) {
    let logits = |config: &str| {
        let Fixture { sources, targets, .. } = json(&format!("tiny/{name}/fixture.json"));
        let mut bench = Bench::with(name, config);
        let mut batch = Batch::new();
        for (s, target) in targets.iter().enumerate() {
            Bench::encode(&mut batch, s, &sources[s]);
            Bench::push(&mut batch, s, target, 0, (s, sources[s].len()));
        }
        bench.forward(&batch)
    };
    let (ours, expected) = (logits("model.gguf"), logits("config-far.json"));
    assert_eq!(ours.len(), expected.len());
    assert_eq!(ours, expected, "{name}");
}

#[test]
fn t5_from_gguf() {
    from_gguf("t5");
}

#[test]
fn mt5_from_gguf() {
    from_gguf("mt5");
}

families! { marian m2m t5 mt5 bart mbart pegasus }
