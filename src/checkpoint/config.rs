//! `config.json`: which architecture, which shapes, which switches.
//!
//! The file is read as Hugging Face transformers reads it: `model_type` says which model it is, and what the file leaves out has
//! transformers' default. Structs name the file's own fields. What a switch would change and this engine does not compute is an error
//! that names it: a model that is nearly right gives maps that are wrong. What is read in one of several ways is a warning.

mod falcon;
mod family;
mod fields;
mod known;
mod llama;
mod rope;
#[cfg(test)]
mod tests;

use std::path::Path;

use burn::tensor::DType;
use serde_json::{Map, Value, json};

use super::json;
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::input;
use crate::kernel::matrix::Code;
use family::Family;
use fields::{Fields, shown};

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
    /// Layers that see all before them although there is a window, by index, in order.
    pub full_layers: Vec<usize>,
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

impl LlamaConfig {
    /// What a layer's positions see: itself and at most `window − 1` before; none: all before.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.sliding_window
            .filter(|_| self.full_layers.binary_search(&layer).is_err())
    }

    /// `layer_types`, where the layers differ.
    fn layer_types(&self) -> Option<Vec<&str>> {
        let kind = |layer| match self.window(layer) {
            Some(_) => "sliding_attention",
            None => "full_attention",
        };
        (!self.full_layers.is_empty()).then(|| (0..self.num_hidden_layers).map(kind).collect())
    }
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
        let mut json = self.shapes();
        if let Self::Llama(config) = self
            && let Some(kinds) = config.layer_types()
        {
            json["layer_types"] = kinds.into();
        }
        json
    }

    fn shapes(&self) -> Value {
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
    /// What transformers 5 computes in, where the file says (`dtype`, or `torch_dtype` before). igsite goes by what is stored.
    pub dtype: Option<DType>,
    /// The one file, or index, that holds the weights (`transformers_weights`), where the file says.
    pub weights: Option<String>,
    /// What is odd in the file and was decided in one of several ways.
    pub warnings: Diagnostics,
}

/// Reads and checks `config.json`.
///
/// # Errors
/// The file cannot be read; it is not JSON; the architecture, activation, rotary scaling or another switch is one that this
/// engine does not compute; a shape is zero or does not divide; a value is of another type than its field's.
pub fn read(path: &Path) -> Result<CheckpointConfig> {
    let map = json::read_object(path, "read the checkpoint's config.json")?;
    let mut config = parse(&map).map_err(|diagnostic| diagnostic.in_file(path))?;
    config.warnings = config
        .warnings
        .iter()
        .map(|warning| warning.clone().in_file(path))
        .collect();
    // What chat models end their turn with often stands here alone.
    let beside = path.with_file_name("generation_config.json");
    if let Some(text) = input::read_if_there(&beside, Kind::Checkpoint, "read")? {
        let map = json::object(&text, &beside)?;
        let more = Fields::new(&map).tokens("eos_token_id");
        config
            .stop
            .extend(more.map_err(|diagnostic| diagnostic.in_file(&beside))?);
    }
    if config.stop.is_empty() && !map.contains_key("eos_token_id") {
        // transformers' defaults.
        config.stop.push(match config.model {
            ModelConfig::Llama(_) => 2,
            ModelConfig::Falcon(_) => 11,
        });
    }
    config.stop.sort_unstable();
    config.stop.dedup();
    Ok(config)
}

fn parse(map: &Map<String, Value>) -> Result<CheckpointConfig> {
    let fields = Fields::new(map);
    let family = Family::of(&fields)?;
    let model = match family {
        Family::Llama => ModelConfig::Llama(llama::llama(&fields)?),
        Family::Mistral => ModelConfig::Llama(llama::mistral(&fields)?),
        Family::Falcon => ModelConfig::Falcon(falcon::falcon(&fields)?),
    };
    let quantization = fields.some("quantization_config").map(bitsandbytes).transpose()?;
    let special = SpecialTokens {
        bos: fields.token("bos_token_id")?,
        eos: fields.token("eos_token_id")?,
        pad: fields.token("pad_token_id")?,
    };
    let stop = fields.tokens("eos_token_id")?;
    let context = fields.optional_count("max_position_embeddings")?;
    let dtype = dtype(&fields)?;
    let weights = fields.text("transformers_weights")?.map(str::to_owned);
    known::check(&fields, family.class())?;
    Ok(CheckpointConfig {
        model,
        special,
        quantization,
        stop,
        context,
        dtype,
        weights,
        warnings: fields.warnings(),
    })
}

/// What transformers 5 computes in. `dtype` is the newer name, and comes first.
fn dtype(fields: &Fields) -> Result<Option<DType>> {
    let (new, old) = (fields.text("dtype")?, fields.text("torch_dtype")?);
    let Some(name) = new.or(old) else { return Ok(None) };
    let known = match name.strip_prefix("torch.").unwrap_or(name) {
        "float32" | "float" => Some(DType::F32),
        "float16" | "half" => Some(DType::F16),
        "bfloat16" => Some(DType::BF16),
        _ => None,
    };
    if known.is_none() && name != "auto" {
        fields.warn(
            Diagnostic::checkpoint(format!("`dtype: {name}`"))
                .expected("float32, float16 or bfloat16")
                .help("igsite computes in what the weights are stored in, or what `dtype` of the model's YAML says"),
        );
    }
    Ok(known)
}

/// The kind of 4 bits that `quantization_config` tells of.
fn bitsandbytes(config: &Value) -> Result<Code> {
    let said = |key: &str| config.get(key);
    let method = said("quant_method").and_then(Value::as_str);
    let four = said("load_in_4bit")
        .or_else(|| said("_load_in_4bit"))
        .and_then(Value::as_bool);
    let kind = said("bnb_4bit_quant_type").and_then(Value::as_str).unwrap_or("fp4");
    if let Some(storage) = said("bnb_4bit_quant_storage").filter(|storage| !storage.is_null() && *storage != "uint8") {
        return Err(Diagnostic::checkpoint(format!(
            "`quantization_config`: `bnb_4bit_quant_storage: {}`",
            shown(storage)
        ))
        .expected("`uint8`: codes kept as bytes")
        .help("use the repository's unquantised checkpoint, with `quantization: nf4` if memory is short"));
    }
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
