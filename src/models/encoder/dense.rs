//! A linear layer after the pooling, as sentence-transformers' `Dense` module.

use std::path::Path;

use candle_core::{Device, Result, Tensor};
use serde_json::Value;

use crate::backend::Linear;
use crate::models::error::LoadError;
use crate::models::quantize::Quantize;
use crate::models::registry::read_json;
use crate::models::safetensors::Safetensors;
use crate::models::safetensors::names::Alias;
use crate::models::weights::Weights;

/// `act(W x + b)` over the vectors of texts.
pub struct Dense {
    linear: Linear,
    tanh: bool,
    pub input: usize,
    pub output: usize,
}

impl Dense {
    /// Reads `config.json` and `model.safetensors` of the module's folder.
    ///
    /// # Errors
    /// A file is missing or malformed, or names an activation that is not
    /// supported.
    pub fn load(folder: &Path, device: &Device) -> std::result::Result<Self, LoadError> {
        let config = folder.join("config.json");
        let json = read_json(&config)?;
        let fault = |field: &str, reason: String| {
            LoadError::config(format!("{}: {field}", config.display()), reason)
        };
        let size = |field: &str| match json.get(field).and_then(Value::as_u64) {
            Some(n) if (1..=1 << 20).contains(&n) => Ok(n as usize),
            _ => Err(fault(field, "is missing or is not a size".to_owned())),
        };
        // The last part of a Python class's name; the default is the module's.
        let class = json.get("activation_function").and_then(Value::as_str).unwrap_or("Tanh");
        let tanh = match class.rsplit('.').next().unwrap_or(class) {
            "Tanh" => true,
            "Identity" => false,
            other => {
                let reason = format!("{other:?} is not supported; Identity and Tanh are");
                return Err(fault("activation_function", reason));
            }
        };
        let (input, output) = (size("in_features")?, size("out_features")?);
        let bias = json.get("bias").and_then(Value::as_bool).unwrap_or(true);
        let names = |name: &str| vec![Alias::whole(name.to_owned())];
        let source = Safetensors::open(&[folder.join("model.safetensors")], names)?;
        // One small product a text: nothing to be gained by fewer bits.
        let weights =
            Weights::new(Box::new(source), device.clone(), &|_, _| {}).quantizing(Quantize::None);
        let linear = weights.linear("linear", (output, input), bias)?;
        Ok(Self { linear, tanh, input, output })
    }

    /// `x` is (texts, input), the result (texts, output).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.linear.forward(x)?;
        if self.tanh { y.tanh() } else { Ok(y) }
    }
}
