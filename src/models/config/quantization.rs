//! `quantization_config`: how the matrices of safetensors are stored, where
//! they are not plain numbers.

use serde_json::Value;

use crate::models::error::LoadError;

/// Matrices of eight-bit floats, each with scales beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Float8Format {
    /// Rows and columns that share a scale, where it is not whole rows.
    pub block: Option<[usize; 2]>,
}

/// What older files of compressed-tensors call it.
const NAMES: [&str; 2] = ["quantization_config", "compression_config"];

/// Reads it from a `config.json`; `None` where weights are plain numbers.
///
/// # Errors
/// A way to store weights that is not read; the message names the field.
pub fn quantization(root: &Value) -> Result<Option<Float8Format>, LoadError> {
    let inner = root.get("text_config").unwrap_or(&Value::Null);
    let found = [root, inner].into_iter().find_map(|json| {
        NAMES.into_iter().find_map(|name| Some((name, json.get(name).filter(|v| !v.is_null())?)))
    });
    let Some((name, value)) = found else { return Ok(None) };
    let at = At { name: name.to_owned(), value };
    let method = at.text("quant_method").unwrap_or("unknown");
    let block = match method {
        "fp8" => fine_grained(&at)?,
        "fbgemm_fp8" => {
            at.knows(&["quant_method", "activation_scale_ub", "modules_to_not_convert"])?;
            None
        }
        "compressed-tensors" => compressed(&at)?,
        "modelopt" => model_optimizer(&at)?,
        _ => {
            let reason = format!("{method:?} weights are not supported; {INSTEAD}");
            return Err(at.wrong("quant_method", reason));
        }
    };
    Ok(Some(Float8Format { block }))
}

const INSTEAD: &str = "use the model's GGUF files, or the repository it was quantized from, with \
                       f16 or bf16 weights";

/// An object and where it is.
struct At<'a> {
    name: String,
    value: &'a Value,
}

impl<'a> At<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.value.get(key).filter(|v| !v.is_null())
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Value::as_str)
    }

    fn inner(&self, key: &str) -> Option<Self> {
        Some(At { name: format!("{}.{key}", self.name), value: self.get(key)? })
    }

    fn wrong(&self, key: &str, reason: impl Into<String>) -> LoadError {
        LoadError::config(format!("{}.{key}", self.name), reason)
    }

    /// Refuses a field that is there and is none of these.
    fn is_one_of(&self, key: &str, known: &[Value]) -> Result<(), LoadError> {
        match self.get(key) {
            Some(value) if !known.contains(value) => {
                Err(self.wrong(key, format!("{value} is not supported; {INSTEAD}")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses fields of any content that are none of these.
    fn knows(&self, keys: &[&str]) -> Result<(), LoadError> {
        let fields = self.value.as_object().into_iter().flatten();
        let empty = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        match fields.into_iter().find(|(key, v)| !keys.contains(&key.as_str()) && !empty(v)) {
            Some((key, value)) => Err(self.wrong(key, format!("{value} is not supported"))),
            None => Ok(()),
        }
    }

    /// Rows and columns of a block.
    fn block(&self, key: &str) -> Result<Option<[usize; 2]>, LoadError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let sizes: Option<Vec<usize>> = value.as_array().and_then(|list| {
            let size = |v: &Value| v.as_u64().filter(|n| (1..=1 << 30).contains(n));
            list.iter().map(|v| size(v).map(|n| n as usize)).collect()
        });
        match sizes.as_deref() {
            Some(&[rows, columns]) => Ok(Some([rows, columns])),
            _ => Err(self.wrong(key, format!("{value} is not two sizes"))),
        }
    }
}

/// transformers' own, of DeepSeek and Qwen: blocks, or one scale a tensor.
fn fine_grained(at: &At<'_>) -> Result<Option<[usize; 2]>, LoadError> {
    at.knows(&[
        "quant_method",
        "activation_scheme",
        "fmt",
        "weight_block_size",
        "modules_to_not_convert",
        "modules_to_convert",
        "ignored_layers",
        "scale_fmt",
        "expert_dtype",
        "dequantize",
        "kv_cache_scheme",
    ])?;
    at.is_one_of("fmt", &["e4m3".into(), "e5m2".into()])?;
    at.is_one_of("expert_dtype", &["fp8".into()])?;
    at.block("weight_block_size")
}

/// llm-compressor's.
fn compressed(at: &At<'_>) -> Result<Option<[usize; 2]>, LoadError> {
    at.knows(&[
        "quant_method",
        "config_groups",
        "format",
        "ignore",
        "kv_cache_scheme",
        "quantization_status",
        "global_compression_ratio",
        "sparsity_config",
        "run_compressed",
        "version",
    ])?;
    let formats = ["float-quantized".into(), "naive-quantized".into()];
    at.is_one_of("format", &formats)?;
    if let Some(sparsity) = at.inner("sparsity_config") {
        sparsity.is_one_of("format", &["dense".into()])?;
    }
    let Some(groups) = at.inner("config_groups") else {
        return Err(at.wrong("config_groups", "is missing"));
    };
    groups_of(&groups, &formats)
}

/// NVIDIA's ModelOpt: one scale a tensor.
fn model_optimizer(at: &At<'_>) -> Result<Option<[usize; 2]>, LoadError> {
    at.knows(&[
        "quant_method",
        "quant_algo",
        "config_groups",
        "ignore",
        "exclude_modules",
        "kv_cache_scheme",
        "kv_cache_quant_algo",
        "producer",
    ])?;
    match at.text("quant_algo") {
        Some("FP8") => {}
        found => {
            let reason = format!("{:?} is not supported; {INSTEAD}", found.unwrap_or("unknown"));
            return Err(at.wrong("quant_algo", reason));
        }
    }
    at.inner("config_groups").map_or(Ok(None), |groups| groups_of(&groups, &[]))
}

/// The block of all groups of layers, whose weights have to be eight-bit floats.
fn groups_of(groups: &At<'_>, formats: &[Value]) -> Result<Option<[usize; 2]>, LoadError> {
    let mut block = None;
    for key in groups.value.as_object().into_iter().flatten().map(|(key, _)| key) {
        let Some(group) = groups.inner(key).filter(|group| group.value.is_object()) else {
            return Err(groups.wrong(key, "is no description of a group of layers"));
        };
        group.is_one_of("format", formats)?;
        let Some(weights) = group.inner("weights") else { continue };
        weights.is_one_of("num_bits", &[8.into()])?;
        if weights.text("type") != Some("float") {
            let found = weights.get("type").unwrap_or(&Value::Null);
            return Err(weights.wrong("type", format!("{found} is not supported; {INSTEAD}")));
        }
        weights.is_one_of("symmetric", &[true.into()])?;
        weights.is_one_of("dynamic", &[false.into()])?;
        weights.is_one_of("strategy", &["tensor".into(), "channel".into(), "block".into()])?;
        let own = weights.block("block_structure")?;
        match (own, block) {
            (Some(own), Some(other)) if own != other => {
                let reason = format!("{own:?} is not that of other groups, {other:?}");
                return Err(weights.wrong("block_structure", reason));
            }
            _ => block = own.or(block),
        }
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(config: Value) -> Result<Option<Float8Format>, String> {
        quantization(&json!({"quantization_config": config})).map_err(|e| e.to_string())
    }

    fn compressed(format: &str, weights: Value) -> Value {
        json!({"quant_method": "compressed-tensors", "format": format, "ignore": ["lm_head"],
            "quantization_status": "compressed", "sparsity_config": {"format": "dense"},
            "transform_config": {}, "config_groups": {"group_0": {"targets": ["Linear"],
                "weights": weights, "input_activations": {"num_bits": 8, "dynamic": true}}}})
    }

    #[test]
    fn eight_bit_floats_are_read_in_all_their_forms() {
        let block = |block| Ok(Some(Float8Format { block }));
        assert_eq!(quantization(&json!({"quantization_config": null})).unwrap(), None);
        let qwen = json!({"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3",
            "weight_block_size": [128, 128], "modules_to_not_convert": ["lm_head"]});
        assert_eq!(read(qwen.clone()), block(Some([128, 128])));
        let inner = json!({"text_config": {"quantization_config": qwen}});
        assert_eq!(quantization(&inner).unwrap(), Some(Float8Format { block: Some([128, 128]) }));
        let tensor = json!({"quant_method": "fp8", "activation_scheme": "static",
            "weight_block_size": null, "ignored_layers": ["lm_head"]});
        assert_eq!(read(tensor), block(None));
        let fbgemm = json!({"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0,
            "modules_to_not_convert": ["lm_head"]});
        assert_eq!(read(fbgemm), block(None));
        let nvidia = json!({"quant_method": "modelopt", "quant_algo": "FP8",
            "producer": {"name": "modelopt"}, "ignore": ["lm_head"],
            "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}}});
        assert_eq!(read(nvidia), block(None));
        for (strategy, structure, expected) in [
            ("channel", Value::Null, None),
            ("tensor", Value::Null, None),
            ("block", json!([128, 64]), Some([128, 64])),
        ] {
            let weights = json!({"num_bits": 8, "type": "float", "strategy": strategy,
                "symmetric": true, "dynamic": false, "block_structure": structure});
            let config = compressed("float-quantized", weights.clone());
            assert_eq!(read(config.clone()), block(expected));
            let old = quantization(&json!({"compression_config": config})).unwrap();
            assert_eq!(old, Some(Float8Format { block: expected }));
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
        let weights = |bits: u32, kind: &str, strategy: &str| json!({"num_bits": bits, "type": kind, "strategy": strategy, "symmetric": true});
        let group = "quantization_config.config_groups.group_0.weights";
        let two = json!({"quant_method": "compressed-tensors", "config_groups": {
            "a": {"weights": {"type": "float", "block_structure": [1, 2]}},
            "b": {"weights": {"type": "float", "block_structure": [2, 2]}}}});
        for (config, says) in [
            (json!({"quant_method": "gptq"}), "quant_method: \"gptq\" weights"),
            (json!({"quant_method": "bitsandbytes"}), "use the model's GGUF files"),
            (json!({"quant_method": "awq"}), "\"awq\""),
            (json!({}), "quant_method: \"unknown\""),
            (json!([]), "quant_method: \"unknown\""),
            (json!({"quant_method": "fp8", "weight_block_size": [0, 1]}), "weight_block_size: "),
            (json!({"quant_method": "fp8", "weight_block_size": "x"}), "is not two sizes"),
            (json!({"quant_method": "fp8", "fmt": "e3m4"}), "fmt: \"e3m4\""),
            (json!({"quant_method": "fp8", "expert_dtype": "fp4"}), "expert_dtype: \"fp4\""),
            (json!({"quant_method": "fp8", "rotation": "x"}), "config.rotation: \"x\""),
            (
                json!({"quant_method": "modelopt", "quant_algo": "NVFP4"}),
                "quant_algo: \"NVFP4\" is not",
            ),
            (json!({"quant_method": "compressed-tensors"}), "config_groups: is missing"),
            (compressed("int-quantized", weights(8, "int", "channel")), "\"int-quantized\""),
            (compressed("pack-quantized", weights(4, "int", "group")), "config.format: "),
            (
                compressed("naive-quantized", weights(8, "int", "channel")),
                &*format!("{group}.type: \"int\""),
            ),
            (
                compressed("float-quantized", weights(4, "float", "channel")),
                &*format!("{group}.num_bits: 4"),
            ),
            (
                compressed("float-quantized", weights(8, "float", "group")),
                &*format!("{group}.strategy: \"group\""),
            ),
            (
                json!({"quant_method": "compressed-tensors", "config_groups": {"FP8": ["Linear"]}}),
                "config_groups.FP8: is no description",
            ),
            (two, "block_structure: [2, 2] is not that of other groups"),
        ] {
            let error = read(config).unwrap_err();
            assert!(error.contains(says), "{error:?} lacks {says:?}");
        }
    }
}
