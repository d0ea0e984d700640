//! What a run looks like afterwards.

pub mod table;
