//! A model's chat template: messages in, one prompt out.
//!
//! Templates are written for the Jinja environment of Hugging Face's
//! `apply_chat_template`; this is the same environment on minijinja: blocks
//! trimmed, loop controls, `tojson` without HTML escapes, `raise_exception`,
//! `strftime_now`, Python's methods on strings and mappings.

mod budget;
mod content;
mod filters;
mod methods;
mod source;

use minijinja::value::{Rest, Serde};
use minijinja::{AutoEscape, Environment, ErrorKind, Value};
use serde_json::Map;

use super::dialect::Dialect;
use super::error::TemplateError;
pub use content::ContentForm;
use content::Needs;
pub use source::template_source;

/// The name errors inside minijinja carry; nobody sees it.
const NAME: &str = "chat_template";

/// One conversation to render.
#[derive(Debug, Clone, Default)]
pub struct ChatInput {
    /// Objects with `role` and `content`, as the OpenAI API has them.
    pub messages: Vec<serde_json::Value>,
    /// Definitions of functions the model may call, as the OpenAI API has them.
    pub tools: Option<Vec<serde_json::Value>>,
    /// End with the opening of the assistant's turn.
    pub add_generation_prompt: bool,
    /// Variables for the template (`enable_thinking`, `documents`). They
    /// cannot replace the ones above.
    pub kwargs: Map<String, serde_json::Value>,
}

/// A compiled chat template. `Send + Sync`; rendering takes a fraction of a
/// millisecond as a rule and some seconds at worst (the budget of a hostile
/// template), so it belongs on a blocking thread.
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: Option<String>,
    eos: Option<String>,
    needs: Needs,
    dialect: Dialect,
    reads_clock: bool,
}

impl ChatTemplate {
    /// Compiles the template and finds out, by rendering a few small
    /// conversations, in which form it wants contents and tool arguments.
    ///
    /// `bos` and `eos` are the texts of the model's tokens, which templates
    /// write at the ends of texts.
    ///
    /// # Errors
    /// The source is not a valid template.
    pub fn new(source: &str, bos: Option<&str>, eos: Option<&str>) -> Result<Self, TemplateError> {
        let mut environment = environment();
        environment
            .add_template_owned(NAME, source::portable(source))
            .map_err(|e| TemplateError::Syntax { line: e.line(), message: message(&e) })?;
        let mut template = Self {
            environment,
            bos: bos.map(str::to_owned),
            eos: eos.map(str::to_owned),
            needs: Needs::default(),
            dialect: Dialect::of(source),
            reads_clock: source.contains("strftime_now"),
        };
        let in_system = template.dialect.calls.is_some_and(|calls| calls.tools_in_system);
        template.needs = Needs::probe(in_system, |input| template.render_prepared(input).ok());
        Ok(template)
    }

    /// Whether it may write the date, so that the same conversation is another
    /// prompt tomorrow.
    pub fn reads_clock(&self) -> bool {
        self.reads_clock
    }

    /// The prompt of a conversation.
    ///
    /// Contents are handed over in the form the template reads (see
    /// [`ContentForm`]), and tool-call arguments, which the OpenAI API carries
    /// as JSON text, as the objects most templates expect.
    ///
    /// # Errors
    /// The template refuses the conversation, cannot show a part of it, fails,
    /// or does more work than any conversation needs.
    pub fn render(&self, input: &ChatInput) -> Result<String, TemplateError> {
        let mut input = input.clone();
        content::normalize(&mut input.messages);
        self.needs.prepare(&mut input.messages)?;
        if let (true, Some(tools)) = (self.needs.tools_in_system, &input.tools) {
            content::tools_into_system(&mut input.messages, tools);
        }
        self.render_prepared(&input)
    }

    /// How the model writes calls and reasoning.
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Whether the template shows the model the tools it is given.
    pub fn reads_tools(&self) -> bool {
        self.needs.tools
    }

    /// The form of `content` this template reads.
    pub fn content_form(&self) -> ContentForm {
        self.needs.content
    }

    /// Whether the template itself goes through a content that is a list of
    /// parts. Where it does not, [`render`](Self::render) joins the text parts
    /// and refuses others.
    pub fn accepts_content_parts(&self) -> bool {
        self.needs.content != ContentForm::Text
    }

    fn render_prepared(&self, input: &ChatInput) -> Result<String, TemplateError> {
        // As apply_chat_template has it: the special tokens can be overridden,
        // and what is not given is none rather than undefined.
        let token = |token: &Option<String>| token.as_deref().map(Value::from);
        let mut variables: Vec<(&str, Value)> = vec![("documents", Value::from(()))];
        variables.extend(token(&self.bos).map(|bos| ("bos_token", bos)));
        variables.extend(token(&self.eos).map(|eos| ("eos_token", eos)));
        let given = input.kwargs.iter();
        variables.extend(given.map(|(name, value)| (name.as_str(), Value::from(Serde(value)))));
        variables.push(("messages", Serde(&input.messages).into()));
        variables.push(("tools", Serde(&input.tools).into()));
        variables.push(("add_generation_prompt", input.add_generation_prompt.into()));

        let fuel = budget::fuel(input);
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(fuel));
        budget::run(fuel, move || {
            let context = Value::from_pairs(variables);
            let template = environment.get_template(NAME);
            template.and_then(|t| t.render(context)).map_err(|e| explain(&e))
        })
        .unwrap_or_else(|| {
            let message = "there is no thread to render it on".to_owned();
            Err(TemplateError::Render { line: None, message })
        })
    }
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("bos", &self.bos)
            .field("eos", &self.eos)
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax =
        minijinja::syntax::SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(methods::call);
    environment.add_filter("tojson", filters::tojson);
    // Indents without limit, and no chat template wants it.
    environment.remove_filter("pprint");
    environment.add_filter("escape", filters::escape);
    environment.add_filter("e", filters::escape);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("truncate", filters::truncate);
    environment.add_filter("urlencode", filters::urlencode);
    environment.add_filter("int", filters::int);
    environment.add_filter("float", filters::float);
    environment
        .add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.0));
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment.add_test("iterable", filters::is_iterable);
    environment.add_test("sequence", filters::is_sequence);
    environment.add_function("raise_exception", filters::raise_exception);
    environment.add_function("strftime_now", filters::strftime_now);
    environment
}

/// The template's own refusals, errors with their line, and exhaustion apart.
fn explain(error: &minijinja::Error) -> TemplateError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(refusal) = current.downcast_ref::<filters::Refusal>() {
            return TemplateError::Refused(refusal.0.clone());
        }
        cause = current.source();
    }
    let line = error.line();
    match error.kind() {
        ErrorKind::OutOfFuel => TemplateError::TooExpensive { line },
        _ => TemplateError::Render { line, message: message(error) },
    }
}

/// What went wrong, without the place, which is told separately.
fn message(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests;
