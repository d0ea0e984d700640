//! What the server says about itself: log lines and metrics.
//!
//! Nothing here knows the rest of the server. The engine and the API call
//! [`metrics::ModelMetrics`]; log lines come through `tracing` from everywhere.

pub mod logs;
pub mod metrics;
