//! Compiling grammars, within bounds: a grammar comes from a client and may be
//! anything.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::toktrie::InferenceCapabilities;
use llguidance::{JsonCompileOptions, Matcher, ParserFactory};
use serde_json::{Value, json};

use super::vocabulary::environment;
use super::{Grammar, GrammarSpec};
use crate::engine::error::SubmitError;
use crate::text::Tokenizer;

/// Most bytes of a grammar as it is sent.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// Deepest nesting of a schema.
const MAX_DEPTH: usize = 64;
/// Most texts to choose from.
const MAX_CHOICES: usize = 1024;
/// Grammars that are kept compiled.
const KEPT: usize = 32;

/// Compiles grammars for one model's tokens; clones share what they compiled.
#[derive(Clone)]
pub struct GrammarCompiler {
    inner: Arc<Inner>,
}

struct Inner {
    tokenizer: Arc<Tokenizer>,
    /// Made at the first grammar: it takes a second for large vocabularies.
    factory: OnceLock<Result<ParserFactory, String>>,
    /// The most recently used last.
    kept: Mutex<VecDeque<(GrammarSpec, Arc<Grammar>)>>,
}

impl GrammarCompiler {
    pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
        let inner = Inner { tokenizer, factory: OnceLock::new(), kept: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Compiles a grammar, or finds it compiled. Takes milliseconds; at worst
    /// some hundreds of them.
    ///
    /// # Errors
    /// [`SubmitError::Invalid`] for one that is malformed, not supported or
    /// too large. The names of its fields are those of [`GrammarSpec::field`].
    pub fn compile(&self, spec: &GrammarSpec) -> Result<Arc<Grammar>, SubmitError> {
        let kept = || self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut kept = kept();
            if let Some(at) = kept.iter().position(|(k, _)| k == spec)
                && let Some(found) = kept.remove(at)
            {
                let grammar = found.1.clone();
                kept.push_back(found);
                return Ok(grammar);
            }
        }
        let refused = |why: String| SubmitError::invalid(spec.field(), why);
        let source = source(spec, &self.inner.tokenizer).map_err(refused)?;
        let factory = self.inner.factory().as_ref().map_err(|e| SubmitError::Failed(e.clone()))?;
        let compiled = catch_unwind(AssertUnwindSafe(|| build(factory, source)));
        let matcher = compiled
            .unwrap_or_else(|_| Err("it makes the compiler fail".into()))
            .map_err(|why| refused(format!("the grammar cannot be used: {why}")))?;
        let grammar = Arc::new(Grammar { fresh: Mutex::new(matcher) });
        let mut kept = kept();
        kept.push_back((spec.clone(), grammar.clone()));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(grammar)
    }
}

impl Inner {
    fn factory(&self) -> &Result<ParserFactory, String> {
        self.factory.get_or_init(|| {
            let made = catch_unwind(AssertUnwindSafe(|| {
                let environment = environment(self.tokenizer.clone());
                let able = InferenceCapabilities { ff_tokens: true, ..Default::default() };
                let slices = llguidance::earley::SlicedBiasComputer::general_slices();
                ParserFactory::new(&environment, able, &slices)
            }));
            let mut factory = match made {
                Ok(made) => made.map_err(|e| e.to_string())?,
                Err(_) => return Err("the vocabulary cannot be used for grammars".into()),
            };
            *factory.limits_mut() = ParserLimits {
                max_items_in_row: 1000,
                // One to two kilobytes each.
                max_lexer_states: 50_000,
                max_grammar_size: 200_000,
                verbose_errors: false,
                ..Default::default()
            };
            factory.quiet();
            Ok(factory)
        })
    }
}

impl GrammarSpec {
    /// What the engine calls the field it comes from.
    pub fn field(&self) -> &'static str {
        match self {
            Self::JsonObject | Self::JsonSchema(_) => "response_format",
            Self::Regex(_) => "regex",
            Self::Choice(_) => "choice",
            Self::Lark(_) => "grammar",
            Self::Calls(_) => "tools",
        }
    }
}

fn build(factory: &ParserFactory, source: TopLevelGrammar) -> Result<Matcher, String> {
    let parser = factory.create_parser(source).map_err(|e| e.to_string())?;
    let mut matcher = Matcher::new(Ok(parser));
    // The first step tells whether anything can be written, and what it costs.
    let mask = matcher.clone().compute_mask_or_eos().map_err(|e| e.to_string())?;
    if mask.is_zero() {
        return Err("no text follows it".into());
    }
    match matcher.grammar_warnings() {
        warnings if warnings.is_empty() => Ok(matcher),
        warnings => Err(warnings.join("; ")),
    }
}

fn source(spec: &GrammarSpec, tokenizer: &Tokenizer) -> Result<TopLevelGrammar, String> {
    let within = |bytes: usize| match bytes <= MAX_BYTES {
        true => Ok(()),
        false => Err(format!("it has {bytes} bytes; the limit is {MAX_BYTES}")),
    };
    match spec {
        GrammarSpec::JsonObject => schema(json!({ "type": "object" })),
        GrammarSpec::JsonSchema(value) => {
            within(value.to_string().len())?;
            schema(value.clone())
        }
        GrammarSpec::Regex(regex) => {
            within(regex.len())?;
            Ok(TopLevelGrammar::from_regex(regex))
        }
        GrammarSpec::Choice(choices) => {
            within(choices.iter().map(String::len).sum())?;
            if choices.is_empty() || choices.len() > MAX_CHOICES {
                let n = choices.len();
                return Err(format!("there are {n} choices; send 1 to {MAX_CHOICES}"));
            }
            if choices.iter().any(String::is_empty) {
                return Err("a choice is empty; leave it out".into());
            }
            // Strings of Lark are written as in JSON.
            let quoted: Vec<_> =
                choices.iter().map(|c| Value::from(c.as_str()).to_string()).collect();
            Ok(TopLevelGrammar::from_lark(format!("start: {}", quoted.join(" | "))))
        }
        GrammarSpec::Lark(grammar) => {
            within(grammar.len())?;
            Ok(TopLevelGrammar::from_lark(grammar.clone()))
        }
        GrammarSpec::Calls(calls) => Ok(TopLevelGrammar::from_lark(calls.lark(tokenizer)?)),
    }
}

fn schema(schema: Value) -> Result<TopLevelGrammar, String> {
    prepared(schema).map(TopLevelGrammar::from_json_schema)
}

/// A schema with how its values are to be written.
pub(super) fn prepared(mut schema: Value) -> Result<Value, String> {
    if depth(&schema) > MAX_DEPTH {
        return Err(format!("the schema is nested more than {MAX_DEPTH} deep"));
    }
    if schema == Value::Bool(true) {
        schema = json!({});
    }
    let Some(object) = schema.as_object() else {
        return Err("the schema must be an object".into());
    };
    if object.contains_key("x-guidance") {
        return Err("x-guidance is not supported in a schema; leave it out".into());
    }
    simplify(&mut schema);
    // Fixed separators: free white space lets a small model write nothing
    // else, and what is fixed need not be computed.
    let options = JsonCompileOptions {
        item_separator: ", ".into(),
        key_separator: ": ".into(),
        whitespace_flexible: false,
        ..Default::default()
    };
    options.apply_to(&mut schema);
    Ok(schema)
}

/// Says what JSON Schema allows as the compiler reads it: counts may be written
/// as `2.0`, and `uniqueItems: false` asks for nothing.
fn simplify(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(simplify),
        Value::Object(fields) => {
            fields.retain(|name, value| name != "uniqueItems" || *value != false);
            for (name, value) in fields {
                let count = name.starts_with("min") || name.starts_with("max");
                match value.as_f64() {
                    Some(number)
                        if count && number.fract() == 0. && (0. ..1e15).contains(&number) =>
                    {
                        *value = (number as u64).into();
                    }
                    // Values, not schemas.
                    _ if matches!(name.as_str(), "const" | "enum" | "default" | "examples") => {}
                    _ => simplify(value),
                }
            }
        }
        _ => {}
    }
}

fn depth(value: &Value) -> usize {
    let below = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + below.unwrap_or(0)
}
