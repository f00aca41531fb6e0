//! Gemma 2 (Gemma Team 2024, arXiv:2408.00118), after `configuration_gemma2.py` and `modeling_gemma2.py` of
//! transformers 5.24: as Gemma, with a norm behind each half, a window in every other layer, and soft caps on attention
//! scores and logits.

use super::base::{Defaults, activation, attention_bias, by_kind, factor, kinds_or_every};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, WINDOW, any};
use super::shape::{Activation, NormKind, Shape};
use super::tensors::{Entry, Slot, one};
use super::{Family, gemma};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["gemma2"],
    classes: &["Gemma2ForCausalLM"],
    read,
    eos: Some(1),
    gguf: Some(Gguf {
        architectures: &["gemma2"],
        is: any,
        config,
        permuted: false,
    }),
};

/// Gemma's names with four norms a layer, and those of the norms of queries and keys, which Gemma 3 has.
pub const TENSORS: &[Entry] = &[
    one("model.embed_tokens", &[Slot::Embedding]),
    one("model.layers.{}.input_layernorm", &[Slot::BeforeAttention]),
    one("model.layers.{}.self_attn.q_proj", &[Slot::Query]),
    one("model.layers.{}.self_attn.k_proj", &[Slot::Key]),
    one("model.layers.{}.self_attn.v_proj", &[Slot::Value]),
    one("model.layers.{}.self_attn.q_norm", &[Slot::QueryNorm]),
    one("model.layers.{}.self_attn.k_norm", &[Slot::KeyNorm]),
    one("model.layers.{}.self_attn.o_proj", &[Slot::AttentionOutput]),
    one("model.layers.{}.post_attention_layernorm", &[Slot::AfterAttention]),
    one("model.layers.{}.pre_feedforward_layernorm", &[Slot::BeforeMlp]),
    one("model.layers.{}.mlp.gate_proj", &[Slot::Gate]),
    one("model.layers.{}.mlp.up_proj", &[Slot::Up]),
    one("model.layers.{}.mlp.down_proj", &[Slot::Down]),
    one("model.layers.{}.post_feedforward_layernorm", &[Slot::AfterMlp]),
    one("model.norm", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

/// Those of `configuration_gemma2.py`.
pub const DEFAULTS: Defaults = Defaults {
    family: "gemma2",
    tensors: TENSORS,
    hidden: 2304,
    inner: 9216,
    layers: 26,
    heads: 8,
    key_heads: Some(4),
    ..gemma::DEFAULTS
};

/// The soft cap of attention scores.
pub const SCORES: &str = "attn_logit_softcapping";
/// That of logits.
const LOGITS: &str = "final_logit_softcapping";

fn read(fields: &Fields) -> Result<Shape> {
    let mut shape = DEFAULTS.read(fields)?;
    four_norms(fields, &mut shape, Some(30.0))?;
    shape.blocks[0].attention.cap = cap(fields, SCORES, Some(50.0))?;
    let kinds = kinds_or_every(fields, shape.layers, 2)?;
    let window = fields.optional_count_or("sliding_window", 4096)?;
    by_kind(fields, &mut shape, &kinds, window, |_, _| ())?;
    Ok(shape)
}

/// A soft cap; null is none.
fn cap(fields: &Fields, key: &str, default: Option<f64>) -> Result<Option<f64>> {
    match fields.get(key) {
        None => Ok(default),
        Some(_) => factor(fields, key),
    }
}

/// What Gemma 2 and 3 share: four norms, the factor of attention scores, and the soft cap of logits, which is
/// `default_cap` where the file says nothing.
///
/// # Errors
/// A value of another type, or a switch that is not computed.
pub fn four_norms(fields: &Fields, shape: &mut Shape, default_cap: Option<f64>) -> Result<()> {
    let activation = activation(fields, "hidden_activation", Activation::GeluTanh)?;
    // transformers does not read it in these.
    fields.get("hidden_act");
    gemma::one_way(fields)?;
    attention_bias(fields, shape, false)?;
    gemma::scaled(shape);
    shape.output.cap = cap(fields, LOGITS, default_cap)?;
    let query = fields.number("query_pre_attn_scalar", 256.0)?;
    let block = &mut shape.blocks[0];
    block.mlp.activation = activation;
    block.attention.scale = Some(1.0 / query.sqrt());
    (block.after_attention, block.after_mlp) = (block.before_attention, block.before_mlp);
    Ok(())
}

fn config(file: &File) -> Result<Config> {
    let mut config = four_norms_config(file, 46)?;
    config.set("rope_parameters", file.rotary(&config)?);
    // What llama.cpp takes where an early file says nothing.
    for (cap, default) in [(SCORES, 50.0), (LOGITS, 30.0)] {
        config.set(cap, file.number(cap)?.unwrap_or(default));
    }
    config.set("sliding_window", file.count(WINDOW)?.unwrap_or(4096));
    config.set("layer_types", file.layer_types(&config, 2)?);
    Ok(config)
}

/// What files of Gemma 2 and 3 share. `largest` is the number of layers of the model whose scores have another factor:
/// no file says it, and llama.cpp knows the 27B by its layers, too.
///
/// # Errors
/// As the file's getters.
pub fn four_norms_config(file: &File, largest: usize) -> Result<Config> {
    let mut config = file.decoder_with_heads(NormKind::Rms, "rms_norm_eps")?;
    let heads = file.required("attention.head_count")?;
    let query = match (file.number_or_none("attention.scale")?, file.required("block_count")?) {
        (Some(scale), _) => 1.0 / (scale * scale),
        (None, layers) if layers == largest => (file.required("embedding_length")? / heads) as f64,
        (None, _) => config.count("head_dim") as f64,
    };
    config.set("query_pre_attn_scalar", query);
    config.set(LOGITS, file.number(LOGITS)?);
    Ok(config)
}
