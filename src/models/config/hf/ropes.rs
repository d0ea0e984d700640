//! Rotary embeddings in `config.json`: `rope_scaling` of transformers 4 and
//! `rope_parameters` of transformers 5.

use serde_json::Value;

use super::super::{RopeConfig, RopeScaling};
use super::Fields;
use crate::models::error::LoadError;

/// The rope of full layers, and of sliding layers where it differs.
pub fn ropes(
    json: &Fields<'_>,
    model_type: &str,
) -> Result<(RopeConfig, Option<RopeConfig>), LoadError> {
    let gemma3 = model_type.starts_with("gemma3");
    let one = |value: &Value, field: &str| of(&Fields(value), field, json, model_type);
    if let Some(parameters) = json.get("rope_parameters") {
        // transformers 5: one object, or one for each layer type.
        return match parameters.get("full_attention") {
            Some(full) => {
                let local = parameters.get("sliding_attention");
                let local = local.map(|local| one(local, "rope_parameters")).transpose()?;
                Ok((one(full, "rope_parameters")?, local))
            }
            None => Ok((one(parameters, "rope_parameters")?, None)),
        };
    }
    let theta = json.float("rope_theta")?.unwrap_or(if gemma3 { 1e6 } else { 1e4 });
    let mut full = match json.get("rope_scaling") {
        Some(value) => one(value, "rope_scaling")?,
        None => RopeConfig { theta, scaling: RopeScaling::None },
    };
    full.theta = theta;
    let local = match json.float("rope_local_base_freq")? {
        Some(theta) => Some(theta),
        // Scaling is for layers that see everything.
        None if model_type == "olmo3" => Some(theta),
        None => gemma3.then_some(1e4),
    };
    Ok((full, local.map(|theta| RopeConfig { theta, scaling: RopeScaling::None })))
}

/// A rope that may be LongRoPE's, for which `root` has more fields.
fn of(
    json: &Fields<'_>,
    field: &str,
    root: &Fields<'_>,
    model_type: &str,
) -> Result<RopeConfig, LoadError> {
    match kind(json) {
        "longrope" | "su" => {}
        // What the first Phi-3 files call it.
        "yarn" if model_type == "phi3" => {}
        _ => return rope(json, field),
    }
    let numbers = |key: &str| -> Result<Vec<f32>, LoadError> {
        let fault = |reason: &str| LoadError::config(format!("{field}.{key}"), reason);
        let list = json.get(key).ok_or_else(|| fault("is missing"))?;
        let list = list.as_array().map(|list| list.iter().map(Value::as_f64));
        let list: Option<Vec<f64>> = list.and_then(Iterator::collect);
        match list {
            Some(list) if list.iter().all(|x| *x > 0.0) => {
                Ok(list.into_iter().map(|x| x as f32).collect())
            }
            _ => Err(fault("is no list of numbers above 0")),
        }
    };
    let (short, long) = (numbers("short_factor")?, numbers("long_factor")?);
    const ORIGINAL: &str = "original_max_position_embeddings";
    let original_context = match json.float(ORIGINAL)? {
        Some(original) => original,
        None => root.float(ORIGINAL)?.ok_or_else(|| LoadError::config(ORIGINAL, "is missing"))?,
    };
    let factor = match json.float("factor")? {
        Some(factor) => factor,
        None => root.need("max_position_embeddings")? as f64 / original_context,
    };
    let attention_factor = match json.float("attention_factor")? {
        Some(given) => given,
        None if factor <= 1.0 => 1.0,
        None => (1.0 + factor.ln() / original_context.ln()).sqrt(),
    };
    if !(original_context > 0.0 && attention_factor.is_finite()) {
        return Err(LoadError::config(ORIGINAL, format!("{original_context} is out of range")));
    }
    let theta = json.float("rope_theta")?.unwrap_or(1e4);
    let scaling = RopeScaling::Long { short, long, original_context, attention_factor };
    Ok(RopeConfig { theta, scaling })
}

fn kind<'a>(json: &Fields<'a>) -> &'a str {
    json.text("rope_type").or_else(|| json.text("type")).unwrap_or("default")
}

pub fn rope(json: &Fields<'_>, field: &str) -> Result<RopeConfig, LoadError> {
    let need = |key: &str| {
        json.float(key)?.ok_or_else(|| LoadError::config(format!("{field}.{key}"), "is missing"))
    };
    let scaling = match kind(json) {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: need("factor")? },
        "llama3" => RopeScaling::Llama3 {
            factor: need("factor")?,
            low: need("low_freq_factor")?,
            high: need("high_freq_factor")?,
            original_context: need("original_max_position_embeddings")?,
        },
        "yarn" => yarn(json, &need)?,
        other => {
            return Err(LoadError::config(
                format!("{field}.rope_type"),
                format!("{other:?} is not supported; default, linear, llama3 and yarn are"),
            ));
        }
    };
    Ok(RopeConfig { theta: json.float("rope_theta")?.unwrap_or(1e4), scaling })
}

fn yarn(
    json: &Fields<'_>,
    need: &dyn Fn(&str) -> Result<f64, LoadError>,
) -> Result<RopeScaling, LoadError> {
    for key in ["mscale", "mscale_all_dim"] {
        if json.get(key).is_some() {
            return Err(LoadError::config(key, "is not supported with yarn"));
        }
    }
    if json.get("truncate").is_some_and(|t| *t == Value::Bool(false)) {
        return Err(LoadError::config("truncate", "false is not supported with yarn"));
    }
    let factor = need("factor")?;
    Ok(RopeScaling::Yarn {
        factor,
        original_context: need("original_max_position_embeddings")?,
        beta_fast: json.float("beta_fast")?.unwrap_or(32.0),
        beta_slow: json.float("beta_slow")?.unwrap_or(1.0),
        attention_factor: match json.float("attention_factor")? {
            Some(given) => given,
            None if factor <= 1.0 => 1.0,
            None => 0.1 * factor.ln() + 1.0,
        },
    })
}
