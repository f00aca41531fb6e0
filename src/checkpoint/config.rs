//! `config.json`: which architecture, which shapes, which switches.
//!
//! The file is read as Hugging Face transformers reads it: `model_type` says which model it is, and what the file
//! leaves out has transformers' default. Structs name the file's own fields. What a switch would change and this engine
//! does not compute is an error that names it: a model that is nearly right gives maps that are wrong. What is read in
//! one of several ways is a warning.

#[cfg(test)]
mod tests;

use std::path::Path;

use burn::tensor::DType;
use serde_json::{Map, Value};

use super::json;
use super::quantized::{self, Quantized};
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::families::fields::Fields;
use crate::families::shape::Shape;
use crate::families::{self, Family, unused_fields};
use crate::input;

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

/// A parsed `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointConfig {
    /// Architecture and shapes.
    pub model: Shape,
    /// Special tokens by id.
    pub special: SpecialTokens,
    /// How its linear layers are stored quantised; none: they are not.
    pub quantization: Option<Quantized>,
    /// The tokens that end what the model says: `eos_token_id`, all of it, here and in `generation_config.json`.
    pub stop: Vec<u32>,
    /// The longest prompt the model was made for (`max_position_embeddings`), where the file says.
    pub context: Option<usize>,
    /// What transformers 5 computes in, where the file says (`dtype`, or `torch_dtype` before). igsite goes by what is
    /// stored.
    pub dtype: Option<DType>,
    /// The one file, or index, that holds the weights (`transformers_weights`), where the file says.
    pub weights: Option<String>,
    /// It is of the language model within a model of texts and images.
    pub language_part: bool,
    /// What is odd in the file and was decided in one of several ways.
    pub warnings: Diagnostics,
}

/// Reads and checks `config.json`.
///
/// # Errors
/// The file cannot be read; it is not JSON; the architecture, activation, rotary scaling or another switch is one that
/// this engine does not compute; a shape is zero or does not divide; a value is of another type than its field's.
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
        config.stop.extend(families::default_eos(config.model.family));
    }
    config.stop.sort_unstable();
    config.stop.dedup();
    Ok(config)
}

/// Reads the fields of a `config.json`.
///
/// # Errors
/// As [`read`], but for reading the file.
pub fn parse(map: &Map<String, Value>) -> Result<CheckpointConfig> {
    if let Some(outer) = WITH_IMAGES.iter().find(|outer| outer.is(map)) {
        let mut around = map.clone();
        let inner = around.remove("text_config");
        let fields = Fields::new(&around);
        let inner = outer.language_part(inner.as_ref().and_then(Value::as_object), &fields)?;
        let mut config = parse(&inner)?;
        config.language_part = true;
        config.warnings.extend(fields.warnings());
        return Ok(config);
    }
    let fields = Fields::new(map);
    let family = Family::of(&fields)?;
    let model = family.shape(&fields)?;
    let quantization = fields.some("quantization_config").map(quantized::read).transpose()?;
    let (quantization, odd) = quantization.unzip();
    let special = SpecialTokens {
        bos: fields.token("bos_token_id")?,
        eos: fields.token("eos_token_id")?,
        pad: fields.token("pad_token_id")?,
    };
    let stop = fields.tokens("eos_token_id")?;
    let context = match model.embedding.positions {
        Some(positions) => Some(positions),
        None => fields.optional_count("max_position_embeddings")?,
    };
    let dtype = dtype(&fields)?;
    let weights = fields.text("transformers_weights")?.map(str::to_owned);
    unused_fields::check(&fields, family.class())?;
    let mut warnings = fields.warnings();
    warnings.extend(odd.unwrap_or_default());
    Ok(CheckpointConfig {
        model,
        special,
        quantization,
        stop,
        context,
        dtype,
        weights,
        language_part: false,
        warnings,
    })
}

/// A model of texts and images whose language model is of a known family.
struct WithImages {
    /// `model_type` of the whole, and of its language model where the file says none.
    types: [&'static str; 2],
    /// The class that transformers loads.
    class: &'static str,
    /// Fields of the language model that transformers reads in its own file alone, and what it has here.
    not_read: &'static [(&'static str, &'static str)],
}

const WITH_IMAGES: [WithImages; 2] = [
    WithImages {
        types: ["gemma3", "gemma3_text"],
        class: "Gemma3ForConditionalGeneration",
        not_read: &[(
            "final_logit_softcapping",
            "no soft cap of logits: Gemma 3 with images has none",
        )],
    },
    WithImages {
        types: ["mistral3", "mistral"],
        class: "Mistral3ForConditionalGeneration",
        not_read: &[(
            "layer_types",
            "the same window in all layers: the Mistral of a Mistral 3 has one",
        )],
    },
];

/// Fields around the language model that are of images, or of where they stand among tokens.
const OF_IMAGES: [&str; 16] = [
    "architectures",
    "model_type",
    "vision_config",
    "image_token_id",
    "image_token_index",
    "image_seq_length",
    "boi_token_index",
    "boi_token_id",
    "eoi_token_index",
    "eoi_token_id",
    "mm_tokens_per_image",
    "multimodal_projector_bias",
    "projector_hidden_act",
    "spatial_merge_size",
    "vision_feature_layer",
    "is_encoder_decoder",
];

/// What a language model's own file would have, and this one may have around it.
const SHARED: [&str; 8] = [
    "dtype",
    "torch_dtype",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "quantization_config",
    "transformers_version",
    "transformers_weights",
];

impl WithImages {
    fn is(&self, map: &Map<String, Value>) -> bool {
        let name = map.get("model_type").and_then(Value::as_str);
        name == Some(self.types[0]) && map.get("text_config").is_some_and(Value::is_object)
    }

    /// The config of the language model: `text_config`, and of what stands around it what its own file would have.
    ///
    /// # Errors
    /// What stands outside is another model, or of another type.
    fn language_part(&self, inner: Option<&Map<String, Value>>, fields: &Fields) -> Result<Map<String, Value>> {
        let mut inner = inner.cloned().unwrap_or_default();
        for key in SHARED {
            if let Some(value) = fields.get(key)
                && inner.get(key).is_none_or(Value::is_null)
            {
                inner.insert(key.to_owned(), value.clone());
            }
        }
        if inner.get("model_type").is_none_or(Value::is_null) {
            inner.insert("model_type".to_owned(), self.types[1].into());
        }
        // transformers ties by the whole model's word, whatever its parts say; `Checkpoint` takes an output layer that
        // the file has nonetheless.
        let tied = match fields.some("tie_word_embeddings") {
            None => true,
            Some(_) => fields.flag("tie_word_embeddings", true)?,
        };
        inner.insert("tie_word_embeddings".to_owned(), tied.into());
        if inner["model_type"] == self.types[1] {
            let of_inner = inner.clone();
            let of_inner = Fields::new(&of_inner);
            for (key, has) in self.not_read {
                of_inner.pass_over(key, has);
                inner.remove(*key);
            }
            of_inner
                .warnings()
                .iter()
                .for_each(|warning| fields.warn(warning.clone()));
        }
        OF_IMAGES.iter().for_each(|key| _ = fields.get(key));
        unused_fields::check(fields, self.class)?;
        Ok(inner)
    }
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
