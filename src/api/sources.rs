//! What requests to an encoder-decoder have that others have not: languages,
//! and a search in place of drawing.

use super::error::ApiError;
use super::inputs;
use super::wire::completions::CompletionRequest;
use super::wire::inputs::Inputs;
use crate::engine::{BeamParams, Engine, GenerationRequest, ModelKind};

/// The languages of a request's sources, and how their texts are made.
pub struct Sources {
    pub source_language: Option<String>,
    pub target_language: Option<String>,
    pub beams: Option<BeamParams>,
    /// What the decoder begins with.
    beginning: Vec<u32>,
}

impl Sources {
    /// For a model and a pair of languages.
    ///
    /// # Errors
    /// 400 that names the language that the model does not have.
    pub fn new(
        engine: &Engine,
        source_language: Option<String>,
        target_language: Option<String>,
        beams: Option<BeamParams>,
    ) -> Result<Self, ApiError> {
        let beginning = engine.beginning(target_language.as_deref())?;
        Ok(Self { source_language, target_language, beams, beginning })
    }

    /// Takes the fields of a completion; `None` for models that have no source.
    ///
    /// # Errors
    /// 400 for a field that does not go with the model or with another one.
    pub fn of(body: &mut CompletionRequest, engine: &Engine) -> Result<Option<Self>, ApiError> {
        let invalid = |param: &str, message: String| Err(ApiError::invalid(param, message));
        let beams = body.num_beams.is_some();
        let given = [
            ("source_language", body.source_language.is_some()),
            ("target_language", body.target_language.is_some()),
            ("num_beams", beams),
            ("length_penalty", body.length_penalty.is_some()),
            ("early_stopping", body.early_stopping.is_some()),
        ];
        let info = engine.info();
        if info.kind != ModelKind::Translation {
            return match given.into_iter().find(|(_, given)| *given) {
                Some((name, _)) => invalid(
                    name,
                    format!("{name} is for encoder-decoders; `{}` {}", info.id, info.kind.does()),
                ),
                None => Ok(None),
            };
        }
        // One beam is greedy decoding.
        let several = body.num_beams.is_some_and(|n| n != 1);
        if let Some((name, _)) = given[3..].iter().find(|(_, given)| *given && !several) {
            return invalid(name, format!("{name} only goes with num_beams above 1"));
        }
        let own = engine.writing()?.beams;
        let search = body.num_beams.filter(|_| several).map(|num_beams| BeamParams {
            num_beams,
            length_penalty: body.length_penalty.unwrap_or(own.length_penalty),
            early_stopping: body.early_stopping.map_or(own.early_stopping, |given| given.0),
            alternatives: 0,
        });
        if beams {
            match body.temperature {
                None | Some(0.0) => body.temperature = Some(0.0),
                Some(t) => {
                    let message = format!(
                        "temperature is {t} and nothing is drawn with num_beams; leave one of them \
                         out"
                    );
                    return invalid("temperature", message);
                }
            }
            if body.seed.is_some() {
                return invalid("seed", "seed does not go with num_beams".to_owned());
            }
        }
        let (from, to) = (body.source_language.take(), body.target_language.take());
        Self::new(engine, from, to, search).map(Some)
    }

    /// The sources' tokens; lists of them are taken as they are.
    ///
    /// # Errors
    /// 400 when there is no input, an empty one, or a language is missing.
    pub async fn tokens(
        &self,
        engine: &Engine,
        texts: Inputs,
        field: &'static str,
    ) -> Result<Vec<Vec<u32>>, ApiError> {
        inputs::tokens_by(texts, field, |text| {
            let (from, to) = (self.source_language.as_deref(), self.target_language.as_deref());
            engine.encode_source(text, from, to)
        })
        .await
    }

    /// The request for one source.
    pub fn request(&self, template: &GenerationRequest, source: Vec<u32>) -> GenerationRequest {
        GenerationRequest {
            prompt: self.beginning.clone(),
            source: Some(source),
            beams: self.beams,
            ..template.clone()
        }
    }
}
