//! Launches that are recorded once and replayed as one.

use std::sync::Arc;

use candle_core::Result;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::CudaGraph;
use candle_core::cuda_backend::cudarc::driver::sys::CUgraphInstantiate_flags as Flags;
use candle_core::cuda_backend::cudarc::driver::sys::CUstreamCaptureMode as Mode;
use candle_core::cuda_backend::cudarc::driver::sys::CUstreamCaptureStatus as Status;

use super::gpu::Gpu;

/// Recorded launches. They use the memory that they were recorded with, which
/// whoever holds the graph keeps.
pub struct Graph {
    graph: CudaGraph,
    gpu: Arc<Gpu>,
}

// SAFETY: a graph is used by the one thread that owns the model; it may be
// handed over to another as a whole.
unsafe impl Send for Graph {}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Graph on {:?}", self.gpu)
    }
}

impl Graph {
    /// Records what `launches` launches, without running it. `None` where it
    /// launches nothing.
    ///
    /// # Errors
    /// `launches` fails, or does what cannot be recorded.
    pub fn record(gpu: &Arc<Gpu>, launches: impl FnOnce() -> Result<()>) -> Result<Option<Self>> {
        gpu.stream.begin_capture(Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).w()?;
        let capture = Capture(gpu);
        let launched = launches();
        let graph = capture.end();
        launched?;
        let Some(graph) = graph? else { return Ok(None) };
        graph.upload().w()?;
        Ok(Some(Self { graph, gpu: gpu.clone() }))
    }

    /// Runs what was recorded.
    ///
    /// # Errors
    /// The device fails.
    pub fn replay(&self) -> Result<()> {
        self.graph.launch().w()
    }
}

/// A stream that records, which it must stop doing whatever happens.
struct Capture<'a>(&'a Arc<Gpu>);

impl Capture<'_> {
    fn end(self) -> Result<Option<CudaGraph>> {
        self.0.stream.end_capture(Flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH).w()
    }
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        let stream = &self.0.stream;
        // An error from before is reported in place of ending it.
        for _ in 0..2 {
            if matches!(stream.capture_status(), Ok(Status::CU_STREAM_CAPTURE_STATUS_NONE)) {
                return;
            }
            let _ = stream.end_capture(Flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
        }
    }
}
