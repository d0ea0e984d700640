//! Tokens per second of the forward pass alone: no server, no sampling.
//!
//!     cargo bench --bench forward -- MODEL.gguf [PROMPT] [DECODE]
//!
//! Prints prefill of one prompt, decode of one sequence after it, and decode
//! of several sequences at once. Ids are arbitrary: speed does not depend on them.

use std::time::Instant;

use candle_core::{Device, Result};
use dragoman::backend::{Batch, KvCache, KvDtype};
use dragoman::models::{LoadOptions, ModelPaths, Network, load};

const BLOCK: usize = 16;
const RUNS: usize = 3;

fn main() -> Result<()> {
    // Cargo adds `--bench` of its own.
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    let Some(path) = args.next() else {
        println!("usage: cargo bench --bench forward -- MODEL.gguf [PROMPT] [DECODE]");
        return Ok(());
    };
    let mut number = |default: usize| args.next().and_then(|a| a.parse().ok()).unwrap_or(default);
    let (prompt, decode) = (number(512), number(128));
    let options =
        LoadOptions { device: Device::Cpu, context_length: None, on_progress: &|_, _| {} };
    let begun = Instant::now();
    let paths = ModelPaths { weights: vec![path.into()], config: None };
    let loaded = load(&paths, options).map_err(candle_core::Error::wrap)?;
    println!("loaded in {:.2} s", begun.elapsed().as_secs_f64());
    let Network::Decoder(model) = loaded.network else {
        println!("this model makes embeddings; it has no decode step");
        return Ok(());
    };

    let blocks = |sequence: usize, positions: usize| -> Vec<u32> {
        let each = positions.div_ceil(BLOCK);
        (0..each).map(|b| (sequence * each + b) as u32).collect()
    };
    let positions = prompt + decode * (RUNS + 1);
    let widest = 32;
    let cache_blocks = (positions.div_ceil(BLOCK)).max(widest * 256usize.div_ceil(BLOCK));
    let mut cache =
        KvCache::new(model.kv_shape(BLOCK, KvDtype::F16), cache_blocks, model.device())?;

    let ids: Vec<u32> = (0..prompt as u32).map(|i| 100 + i * 7 % 5000).collect();
    let table = blocks(0, positions);
    for _ in 0..RUNS {
        let begun = Instant::now();
        let mut batch = Batch::new();
        batch.push(&ids, 0, &table, BLOCK, true);
        model.forward(&batch, &mut cache)?;
        println!("prefill {prompt}: {:.1} tok/s", prompt as f64 / begun.elapsed().as_secs_f64());
    }
    for run in 0..RUNS {
        let begun = Instant::now();
        for i in 0..decode {
            let mut batch = Batch::new();
            batch.push(&[500 + i as u32], prompt + run * decode + i, &table, BLOCK, true);
            model.forward(&batch, &mut cache)?;
        }
        println!("decode {decode}: {:.1} tok/s", decode as f64 / begun.elapsed().as_secs_f64());
    }
    for sequences in [1, 2, 4, 8, 16, widest] {
        let steps = 32;
        let begun = Instant::now();
        for i in 0..steps {
            let mut batch = Batch::new();
            for s in 0..sequences {
                batch.push(&[500 + i as u32], 128 + i, &blocks(s, 256), BLOCK, true);
            }
            model.forward(&batch, &mut cache)?;
        }
        let rate = (sequences * steps) as f64 / begun.elapsed().as_secs_f64();
        println!("decode of {sequences} sequences: {rate:.1} tok/s");
    }
    Ok(())
}
