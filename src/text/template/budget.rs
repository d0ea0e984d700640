//! What one rendering may cost.
//!
//! A template is a program from a model's file. minijinja counts what it does
//! in "fuel" (an instruction, or 64 bytes produced), which bounds its time and
//! its memory. The stack needs a bound, too: a loop can nest lists a level for
//! little fuel, and minijinja walks and frees nested values by recursion, so
//! rendering gets a stack deep enough for all the nesting its fuel can buy.

use serde_json::Value;

use super::ChatInput;

/// For the template itself. Templates with long descriptions of their format
/// take up to 3,000.
const BASE: u64 = 100_000;
/// For a byte of the conversation. Ten filters over a content take a third of one.
const PER_BYTE: u64 = 8;
/// For a pair of messages: some templates look back or ahead from each one.
const PER_PAIR: u64 = 10;
/// About two seconds of work.
const MAX: u64 = 50_000_000;

/// Stack that a unit of fuel can make necessary (a level of nesting takes one
/// and a half units and up to 400 bytes; the rest is margin for other compilers).
const STACK_PER_FUEL: u64 = 1200;
const MIN_STACK: u64 = 4 << 20;
/// Enough for two million levels. Only what is touched becomes memory.
const MAX_STACK: u64 = 1 << 30;

pub(super) fn fuel(input: &ChatInput) -> u64 {
    let tools = input.tools.iter().flatten();
    let bytes: u64 =
        input.messages.iter().chain(tools).chain(input.kwargs.values()).map(size).sum();
    let messages = input.messages.len() as u64;
    let pairs = messages.saturating_mul(messages);
    BASE.saturating_add(bytes.saturating_mul(PER_BYTE))
        .saturating_add(pairs.saturating_mul(PER_PAIR))
        .min(MAX)
}

/// Roughly the bytes of a value written as JSON.
fn size(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64 + 3,
        Value::Array(items) => items.iter().map(size).sum::<u64>() + 2,
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| key.len() as u64 + 4 + size(value));
            fields.sum::<u64>() + 2
        }
        _ => 6,
    }
}

/// Runs the work on a thread whose stack suits the fuel. `None` when there is
/// no such thread to be had, or the work panicked.
pub(super) fn run<T: Send>(fuel: u64, work: impl FnOnce() -> T + Send) -> Option<T> {
    let stack = (MIN_STACK + fuel.saturating_mul(STACK_PER_FUEL)).min(MAX_STACK);
    std::thread::scope(|scope| {
        let builder =
            std::thread::Builder::new().name("chat-template".to_owned()).stack_size(stack as usize);
        builder.spawn_scoped(scope, work).ok()?.join().ok()
    })
}
