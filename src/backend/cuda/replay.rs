//! Steps that are recorded once and replayed: launching some hundred kernels
//! takes longer than computing them for a few rows.

use candle_core::{Result, bail};

use crate::backend::Workspace;
use crate::backend::kernels::cuda::{Graph, View};

/// What recorded steps have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub rows: usize,
    pub splits: usize,
    pub split: usize,
    pub table_stride: usize,
}

/// A step that ran once, or was recorded.
pub(super) enum Recorded {
    /// Once as it is, so that all memory is there.
    Ran,
    Graph {
        graph: Graph,
        logits: Option<(View, usize)>,
    },
    /// It cannot be recorded.
    Never,
}

/// Steps that are kept; a model of 32 layers takes some MiB for each.
const MOST: usize = 96;

/// Rows up to which steps are recorded.
const MOST_ROWS: usize = 512;

/// Rows of the recorded step that a step of `rows` rows is filled up to.
pub(super) fn rows_of(rows: usize) -> Option<usize> {
    match rows {
        0 => None,
        1..=8 => Some(rows),
        9..=64 => Some(rows.next_multiple_of(8)),
        65..=MOST_ROWS => Some(rows.next_multiple_of(32)),
        _ => None,
    }
}

/// Sizes of recorded steps that those of up to `most` rows are filled up to.
pub fn recorded_sizes(most: usize) -> Vec<usize> {
    let mut sizes: Vec<usize> = (1..=most.min(MOST_ROWS)).filter_map(rows_of).collect();
    sizes.dedup();
    sizes
}

/// Runs a step that was begun: by replaying one like it, if there is one.
///
/// # Errors
/// The step fails.
pub fn run(
    workspace: &mut Workspace,
    mut step: impl FnMut(&mut Workspace) -> Result<()>,
) -> Result<()> {
    let Some(cuda) = &mut workspace.cuda else { return step(workspace) };
    let Some(key) = cuda.inputs()?.key else { return step(workspace) };
    match cuda.recorded.get(&key) {
        Some(Recorded::Graph { graph, logits }) => {
            cuda.logits = *logits;
            return graph.replay();
        }
        Some(Recorded::Never) => return step(workspace),
        Some(Recorded::Ran) => {}
        None => {
            step(workspace)?;
            if let Some(cuda) = &mut workspace.cuda {
                cuda.recorded.insert(key, Recorded::Ran);
            }
            return Ok(());
        }
    }
    let gpu = cuda.gpu.clone();
    cuda.recording = true;
    let graph = Graph::record(&gpu, || step(workspace));
    let Some(cuda) = &mut workspace.cuda else { bail!("the workspace is gone") };
    cuda.recording = false;
    let graph = match graph {
        Ok(Some(graph)) => graph,
        Ok(None) => return Ok(()),
        Err(e) => {
            tracing::warn!("a step of {} rows is not recorded: {e}", key.rows);
            cuda.reset();
            cuda.recorded.insert(key, Recorded::Never);
            return step(workspace);
        }
    };
    // Recording computes nothing.
    graph.replay()?;
    if cuda.recorded.len() >= MOST {
        cuda.forget()?;
    }
    let logits = cuda.logits;
    cuda.recorded.insert(key, Recorded::Graph { graph, logits });
    Ok(())
}
