//! Load over HTTP on a server of OpenAI's formats, and a record of every
//! request.

mod arrivals;
mod body;
mod drive;
mod exchange;
mod fault;
mod lag;
mod live;
mod sse;
mod target;

pub use arrivals::arrivals;
pub use drive::Driver;
pub use live::Live;
pub use target::{Target, TargetError, TargetSettings};
