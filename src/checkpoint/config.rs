//! `config.json`: which architecture, which shapes, which switches.
//!
//! Structs name the file's own fields. What a switch would change and this engine does not compute is an error that names it:
//! a model that is nearly right gives maps that are wrong.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::input;
use crate::kernel::matrix::Code;

/// A checkpoint's architecture with its shapes.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelConfig {
    /// Llama, Mistral and their relatives.
    Llama(LlamaConfig),
    /// Falcon in its 7B layout.
    Falcon(FalconConfig),
}

/// `LlamaForCausalLM` and `MistralForCausalLM`.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaConfig {
    /// `llama` or `mistral`: what the record calls the architecture.
    pub model_type: String,
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key/value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// A position sees itself and at most `window − 1` before it; none: all before it.
    pub sliding_window: Option<usize>,
    /// The output layer is the embedding table.
    pub tie_word_embeddings: bool,
}

/// `FalconForCausalLM` as in falcon-7b: multi-query, parallel attention, rotary, no linear biases.
#[derive(Clone, Debug, PartialEq)]
pub struct FalconConfig {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of decoder layers.
    pub num_hidden_layers: usize,
    /// Number of query heads; there is one key/value head.
    pub num_attention_heads: usize,
    /// Added to the variance in LayerNorm.
    pub layer_norm_epsilon: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// The output layer is the embedding table unless the file brings one.
    pub tie_word_embeddings: bool,
}

/// The special tokens that `config.json` names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Beginning of text.
    pub bos: Option<u32>,
    /// End of text; the first where there are several.
    pub eos: Option<u32>,
    /// Padding.
    pub pad: Option<u32>,
}

impl FalconConfig {
    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

impl ModelConfig {
    /// What the record calls the architecture: `llama`, `mistral` or `falcon`.
    pub fn architecture(&self) -> &str {
        match self {
            Self::Llama(config) => &config.model_type,
            Self::Falcon(_) => "falcon",
        }
    }

    /// A `config.json` of this shape.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Llama(config) => json!({
                "architectures": [if config.model_type == "mistral" { "MistralForCausalLM" } else { "LlamaForCausalLM" }],
                "model_type": config.model_type,
                "hidden_act": "silu",
                "vocab_size": config.vocab_size,
                "hidden_size": config.hidden_size,
                "intermediate_size": config.intermediate_size,
                "num_hidden_layers": config.num_hidden_layers,
                "num_attention_heads": config.num_attention_heads,
                "num_key_value_heads": config.num_key_value_heads,
                "head_dim": config.head_dim,
                "rms_norm_eps": config.rms_norm_eps,
                "rope_theta": config.rope_theta,
                "sliding_window": config.sliding_window,
                "tie_word_embeddings": config.tie_word_embeddings,
            }),
            Self::Falcon(config) => json!({
                "architectures": ["FalconForCausalLM"],
                "model_type": "falcon",
                "vocab_size": config.vocab_size,
                "hidden_size": config.hidden_size,
                "num_hidden_layers": config.num_hidden_layers,
                "num_attention_heads": config.num_attention_heads,
                "layer_norm_epsilon": config.layer_norm_epsilon,
                "rope_theta": config.rope_theta,
                "tie_word_embeddings": config.tie_word_embeddings,
                "bias": false,
                "multi_query": true,
                "parallel_attn": true,
            }),
        }
    }

    /// Rows of the embedding table.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Llama(config) => config.vocab_size,
            Self::Falcon(config) => config.vocab_size,
        }
    }

    /// Width of the residual stream.
    pub fn hidden_size(&self) -> usize {
        match self {
            Self::Llama(config) => config.hidden_size,
            Self::Falcon(config) => config.hidden_size,
        }
    }

    /// Number of decoder layers.
    pub fn layers(&self) -> usize {
        match self {
            Self::Llama(config) => config.num_hidden_layers,
            Self::Falcon(config) => config.num_hidden_layers,
        }
    }
}

/// A parsed `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointConfig {
    /// Architecture and shapes.
    pub model: ModelConfig,
    /// Special tokens by id.
    pub special: SpecialTokens,
    /// How its linear layers are stored quantised, by bitsandbytes; none: they are not.
    pub quantization: Option<Code>,
    /// The tokens that end what the model says: `eos_token_id`, all of it, here and in `generation_config.json`.
    pub stop: Vec<u32>,
    /// The longest prompt the model was made for (`max_position_embeddings`), where the file says.
    pub context: Option<usize>,
}

/// Reads and checks `config.json`.
///
/// # Errors
/// The file cannot be read; it is not JSON; the architecture, activation, rotary scaling or another switch is one that this
/// engine does not compute; a shape is missing, zero or does not divide.
pub fn read(path: &Path) -> Result<CheckpointConfig> {
    let text = input::read(path, Kind::Checkpoint, "read the checkpoint's config.json")?;
    let json: Value = serde_json::from_slice(&text).map_err(|e| {
        Diagnostic::checkpoint(format!("not JSON: {e}"))
            .in_file(path)
            .help("download the file again")
    })?;
    let Value::Object(map) = json else {
        return Err(Diagnostic::checkpoint("not a JSON object").in_file(path));
    };
    let mut config = parse(&map).map_err(|diagnostic| diagnostic.in_file(path))?;
    // What chat models end their turn with often stands here alone.
    let beside = path.with_file_name("generation_config.json");
    if let Some(text) = input::read_if_there(&beside, Kind::Checkpoint, "read")? {
        let json: Value = serde_json::from_slice(&text).map_err(|e| {
            Diagnostic::checkpoint(format!("not JSON: {e}"))
                .in_file(&beside)
                .help("download the file again")
        })?;
        if let Value::Object(map) = json {
            config.stop.extend(Fields(&map).tokens("eos_token_id"));
        }
    }
    config.stop.sort_unstable();
    config.stop.dedup();
    Ok(config)
}

fn parse(map: &Map<String, Value>) -> Result<CheckpointConfig> {
    let fields = Fields(map);
    let names: Vec<&str> = match map.get("architectures") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let model_type = map.get("model_type").and_then(Value::as_str).unwrap_or("");
    let name = names.first().copied().unwrap_or(match model_type {
        "llama" => "LlamaForCausalLM",
        "mistral" => "MistralForCausalLM",
        "falcon" | "RefinedWebModel" => "FalconForCausalLM",
        other => other,
    });
    let model = match name {
        "LlamaForCausalLM" => ModelConfig::Llama(llama(&fields, "llama")?),
        "MistralForCausalLM" => ModelConfig::Llama(llama(&fields, "mistral")?),
        // `RWForCausalLM` is what falcon-7b's first revisions call themselves.
        "FalconForCausalLM" | "RWForCausalLM" => ModelConfig::Falcon(falcon(&fields)?),
        other => {
            return Err(Diagnostic::checkpoint(format!("unknown architecture `{other}`"))
                .expected("`LlamaForCausalLM`, `MistralForCausalLM` or `FalconForCausalLM`")
                .help("igsite computes these layouts only; choose another checkpoint"));
        }
    };
    let quantization = match map.get("quantization_config") {
        None | Some(Value::Null) => None,
        Some(quantized) => Some(bitsandbytes(quantized)?),
    };
    Ok(CheckpointConfig {
        model,
        special: SpecialTokens {
            bos: fields.token("bos_token_id"),
            eos: fields.token("eos_token_id"),
            pad: fields.token("pad_token_id"),
        },
        quantization,
        stop: fields.tokens("eos_token_id"),
        context: map
            .get("max_position_embeddings")
            .and_then(Value::as_u64)
            .and_then(|length| usize::try_from(length).ok()),
    })
}

/// The kind of 4 bits that `quantization_config` tells of.
fn bitsandbytes(config: &Value) -> Result<Code> {
    let said = |key: &str| config.get(key);
    let method = said("quant_method").and_then(Value::as_str);
    let four = said("load_in_4bit")
        .or_else(|| said("_load_in_4bit"))
        .and_then(Value::as_bool);
    let kind = said("bnb_4bit_quant_type").and_then(Value::as_str).unwrap_or("fp4");
    // The first transformers that saved such checkpoints wrote no `quant_method`.
    match (method.unwrap_or("bitsandbytes"), four, kind) {
        ("bitsandbytes", Some(true), "fp4") => Ok(Code::Fp4),
        ("bitsandbytes", Some(true), "nf4") => Ok(Code::Nf4),
        _ => Err(Diagnostic::checkpoint(format!(
            "`quantization_config`: the weights are stored quantised by {}",
            method.unwrap_or("an unnamed method")
        ))
        .expected("float32, float16 or bfloat16 weights, or bitsandbytes' 4 bits (`load_in_4bit`, fp4 or nf4)")
        .help("use the repository's unquantised checkpoint, with `quantization: nf4` if memory is short")),
    }
}

fn llama(fields: &Fields, model_type: &str) -> Result<LlamaConfig> {
    fields.must_be("hidden_act", "silu", true)?;
    fields.must_be_off("attention_bias")?;
    fields.must_be_off("mlp_bias")?;
    fields.must_be_off("rope_scaling")?;
    fields.must_be_one("pretraining_tp")?;
    let rope_theta = fields.rope_theta()?;
    let hidden_size = fields.count("hidden_size")?;
    let num_attention_heads = fields.count("num_attention_heads")?;
    let num_key_value_heads = fields.count_or("num_key_value_heads", num_attention_heads)?;
    let head_dim = match fields.0.get("head_dim") {
        None | Some(Value::Null) => divided("hidden_size", hidden_size, "num_attention_heads", num_attention_heads)?,
        Some(_) => fields.count("head_dim")?,
    };
    divided(
        "num_attention_heads",
        num_attention_heads,
        "num_key_value_heads",
        num_key_value_heads,
    )?;
    even("the head's width", head_dim)?;
    // Llama's own code ignores a window; Mistral's honours it.
    let sliding_window = match fields.0.get("sliding_window") {
        None | Some(Value::Null) => None,
        Some(_) if model_type == "mistral" => Some(fields.count("sliding_window")?),
        Some(_) => None,
    };
    Ok(LlamaConfig {
        model_type: model_type.to_owned(),
        vocab_size: fields.count("vocab_size")?,
        hidden_size,
        intermediate_size: fields.count("intermediate_size")?,
        num_hidden_layers: fields.count("num_hidden_layers")?,
        num_attention_heads,
        num_key_value_heads,
        head_dim,
        rms_norm_eps: fields.number_or("rms_norm_eps", 1e-6)?,
        rope_theta,
        sliding_window,
        tie_word_embeddings: fields.flag_or("tie_word_embeddings", false)?,
    })
}

fn falcon(fields: &Fields) -> Result<FalconConfig> {
    fields.must_be("activation", "gelu", true)?;
    fields.must_be("hidden_act", "gelu", true)?;
    fields.must_be_off("bias")?;
    fields.must_be_off("alibi")?;
    fields.must_be_off("new_decoder_architecture")?;
    fields.must_be_off("rope_scaling")?;
    for switch in ["multi_query", "parallel_attn"] {
        if !fields.flag_or(switch, true)? {
            return Err(Diagnostic::checkpoint(format!("`{switch}: false`"))
                .expected(format!("`{switch}: true`, as in falcon-7b"))
                .help("igsite computes Falcon's 7B layout only"));
        }
    }
    let hidden_size = fields.count("hidden_size")?;
    // `n_head` and `n_layer` are the names in the first revisions.
    let num_attention_heads = fields.count_either("num_attention_heads", "n_head")?;
    let head_dim = divided("hidden_size", hidden_size, "num_attention_heads", num_attention_heads)?;
    even("the head's width", head_dim)?;
    if let Some(Value::Number(width)) = fields.0.get("ffn_hidden_size")
        && width.as_u64() != Some(4 * hidden_size as u64)
    {
        return Err(Diagnostic::checkpoint(format!("`ffn_hidden_size: {width}`"))
            .expected(format!("{} (4 × hidden_size), as in falcon-7b", 4 * hidden_size)));
    }
    Ok(FalconConfig {
        vocab_size: fields.count("vocab_size")?,
        hidden_size,
        num_hidden_layers: fields.count_either("num_hidden_layers", "n_layer")?,
        num_attention_heads,
        layer_norm_epsilon: fields.number_or("layer_norm_epsilon", 1e-5)?,
        rope_theta: fields.rope_theta()?,
        tie_word_embeddings: fields.flag_or("tie_word_embeddings", true)?,
    })
}

fn divided(of: &str, whole: usize, by: &str, parts: usize) -> Result<usize> {
    if whole.is_multiple_of(parts) {
        Ok(whole / parts)
    } else {
        Err(Diagnostic::checkpoint(format!(
            "`{of}: {whole}` is no multiple of `{by}: {parts}`"
        )))
    }
}

fn even(what: &str, width: usize) -> Result<()> {
    if width.is_multiple_of(2) {
        Ok(())
    } else {
        Err(Diagnostic::checkpoint(format!(
            "{what} is {width}; rotary positions need an even one"
        )))
    }
}

/// Typed access to the file's fields.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn wrong(&self, key: &str, expected: &str) -> Diagnostic {
        let found = match self.0.get(key) {
            None => format!("`{key}` is missing"),
            Some(value) => format!("`{key}: {value}`"),
        };
        Diagnostic::checkpoint(found).expected(expected)
    }

    fn count(&self, key: &str) -> Result<usize> {
        match self.0.get(key).and_then(Value::as_u64) {
            // A bound far above any model keeps products of shapes from overflowing.
            Some(n) if (1..=1 << 28).contains(&n) => Ok(n as usize),
            _ => Err(self.wrong(key, "a whole number from 1")),
        }
    }

    fn count_or(&self, key: &str, default: usize) -> Result<usize> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(_) => self.count(key),
        }
    }

    fn count_either(&self, key: &str, older: &str) -> Result<usize> {
        if self.0.contains_key(key) || !self.0.contains_key(older) {
            self.count(key)
        } else {
            self.count(older)
        }
    }

    fn number_or(&self, key: &str, default: f64) -> Result<f64> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => match value.as_f64() {
                Some(number) if number.is_finite() && number > 0.0 => Ok(number),
                _ => Err(self.wrong(key, "a number above 0")),
            },
        }
    }

    fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    /// The first of a list, where there are several.
    fn token(&self, key: &str) -> Option<u32> {
        self.tokens(key).first().copied()
    }

    /// One token, or a list.
    fn tokens(&self, key: &str) -> Vec<u32> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        match self.0.get(key) {
            Some(Value::Array(all)) => all.iter().filter_map(id).collect(),
            Some(value) => id(value).into_iter().collect(),
            None => vec![],
        }
    }

    fn must_be(&self, key: &str, wanted: &str, may_be_absent: bool) -> Result<()> {
        match self.0.get(key) {
            None | Some(Value::Null) if may_be_absent => Ok(()),
            Some(Value::String(found)) if found == wanted => Ok(()),
            _ => Err(self
                .wrong(key, &format!("`{wanted}`"))
                .help("igsite does not compute this variant")),
        }
    }

    fn must_be_off(&self, key: &str) -> Result<()> {
        match self.0.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => Ok(()),
            // Newer writers say "no scaling" in this form.
            Some(Value::Object(map)) if is_default_rope(map) => Ok(()),
            _ => Err(self
                .wrong(key, "absent, null or false")
                .help("igsite does not compute this variant")),
        }
    }

    /// Tensor-parallel slicing at training time; anything but 1 changes the order of sums.
    fn must_be_one(&self, key: &str) -> Result<()> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(()),
            Some(value) if value.as_u64() == Some(1) => Ok(()),
            _ => Err(self.wrong(key, "1").help("igsite does not compute this variant")),
        }
    }

    /// `rope_theta`, or the newer `rope_parameters: {rope_type: default, rope_theta: …}`; 10,000 where neither is there.
    fn rope_theta(&self) -> Result<f64> {
        if let Some(Value::Object(map)) = self.0.get("rope_parameters") {
            if !is_default_rope(map) {
                return Err(self
                    .wrong("rope_parameters", "`rope_type: default`")
                    .help("igsite does not compute this rotary scaling"));
            }
            return Fields(map).number_or("rope_theta", 10_000.0);
        }
        self.number_or("rope_theta", 10_000.0)
    }
}

fn is_default_rope(map: &Map<String, Value>) -> bool {
    let kind = map.get("rope_type").or_else(|| map.get("type"));
    kind.and_then(Value::as_str) == Some("default")
        && map
            .keys()
            .all(|key| matches!(key.as_str(), "rope_type" | "type" | "rope_theta"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: Value) -> Result<CheckpointConfig> {
        parse(value.as_object().unwrap())
    }

    fn a_llama() -> Value {
        json!({"architectures": ["LlamaForCausalLM"], "vocab_size": 10, "hidden_size": 8, "intermediate_size": 12,
            "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_act": "silu", "eos_token_id": [2, 7]})
    }

    #[test]
    fn defaults_are_those_of_the_reference_implementation() {
        let config = parsed(a_llama()).unwrap();
        let ModelConfig::Llama(llama) = &config.model else {
            panic!()
        };
        assert_eq!(
            (llama.num_key_value_heads, llama.head_dim, llama.rope_theta),
            (2, 4, 10_000.0)
        );
        assert_eq!(config.special.eos, Some(2));
        assert!(!llama.tie_word_embeddings);
    }

    #[test]
    fn a_switch_that_is_not_computed_is_named() {
        for (key, value, told) in [
            ("hidden_act", json!("gelu"), "`hidden_act: \"gelu\"`"),
            (
                "rope_scaling",
                json!({"type": "linear", "factor": 2.0}),
                "`rope_scaling:",
            ),
            ("attention_bias", json!(true), "`attention_bias: true`"),
            ("num_attention_heads", json!(0), "`num_attention_heads: 0`"),
            ("hidden_size", json!(9), "`hidden_size: 9` is no multiple"),
            (
                "quantization_config",
                json!({"quant_method": "gptq", "bits": 4}),
                "`quantization_config`",
            ),
        ] {
            let mut config = a_llama();
            config[key] = value;
            let error = parsed(config).unwrap_err();
            assert!(error.message.contains(told), "{error}");
        }
    }

    #[test]
    fn four_bits_of_bitsandbytes_are_known() {
        let mut config = a_llama();
        for (value, expected) in [
            (json!(null), None),
            (json!({"load_in_4bit": true}), Some(Code::Fp4)),
            (
                json!({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4"}),
                Some(Code::Nf4),
            ),
        ] {
            config["quantization_config"] = value;
            assert_eq!(parsed(config.clone()).unwrap().quantization, expected);
        }
        config["quantization_config"] = json!({"quant_method": "bitsandbytes", "load_in_8bit": true});
        assert!(
            parsed(config)
                .unwrap_err()
                .message
                .contains("stored quantised by bitsandbytes")
        );
    }

    #[test]
    fn an_unknown_architecture_is_named() {
        let error = parsed(json!({"architectures": ["GPT2LMHeadModel"]})).unwrap_err();
        assert_eq!(error.message, "unknown architecture `GPT2LMHeadModel`");
    }

    #[test]
    fn falcon_ignores_num_kv_heads_under_multi_query() {
        let config = parsed(
            json!({"model_type": "RefinedWebModel", "architectures": ["RWForCausalLM"], "vocab_size": 10,
            "hidden_size": 8, "n_layer": 1, "n_head": 2, "num_kv_heads": 71, "multi_query": true, "bias": false}),
        )
        .unwrap();
        let ModelConfig::Falcon(falcon) = config.model else {
            panic!()
        };
        assert!(falcon.tie_word_embeddings);
        assert_eq!((falcon.head_dim(), falcon.rope_theta), (4, 10_000.0));
    }
}
