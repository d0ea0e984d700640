//! Tokens counted again by our own tokenizer, after the run, so that counting
//! takes nothing from the measurement.

use super::record::Record;
use crate::text::Tokenizer;

/// Fills in the tokens of every answer.
pub fn answers(records: &mut [Record], tokenizer: &Tokenizer) {
    for record in records {
        if !record.text.is_empty() {
            record.own_completion = tokenizer.encode(&record.text, false).ok().map(|t| t.len());
        }
    }
}
