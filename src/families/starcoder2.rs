//! StarCoder2 (Lozhkov et al. 2024, arXiv:2402.19173), after `configuration_starcoder2.py` and `modeling_starcoder2.py`
//! of transformers 5.24: LayerNorm, a plain MLP, biases everywhere, a window.

use super::base::{Defaults, activation};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, WINDOW, any};
use super::shape::{Activation, Norm, NormKind, Shape};
use super::tensors::{Entry, Slot, one};
use super::{Family, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["starcoder2"],
    classes: &["Starcoder2ForCausalLM"],
    read,
    eos: Some(50_256),
    gguf: Some(Gguf {
        architectures: &["starcoder2"],
        is: any,
        config,
        permuted: false,
    }),
};

const TENSORS: &[Entry] = &[
    one("model.embed_tokens", &[Slot::Embedding]),
    one("model.layers.{}.input_layernorm", &[Slot::BeforeAttention]),
    one("model.layers.{}.self_attn.q_proj", &[Slot::Query]),
    one("model.layers.{}.self_attn.k_proj", &[Slot::Key]),
    one("model.layers.{}.self_attn.v_proj", &[Slot::Value]),
    one("model.layers.{}.self_attn.o_proj", &[Slot::AttentionOutput]),
    one("model.layers.{}.post_attention_layernorm", &[Slot::BeforeMlp]),
    one("model.layers.{}.mlp.c_fc", &[Slot::Up]),
    one("model.layers.{}.mlp.c_proj", &[Slot::Down]),
    one("model.norm", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

const DEFAULTS: Defaults = Defaults {
    family: "starcoder2",
    tensors: TENSORS,
    vocabulary: 49_152,
    hidden: 3072,
    inner: 12_288,
    layers: 30,
    heads: 24,
    key_heads: Some(2),
    epsilon: 1e-5,
    tied: true,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let mut shape = DEFAULTS.read(fields)?;
    let norm = Norm::layer(fields.number("norm_epsilon", DEFAULTS.epsilon)?);
    shape.norm = norm;
    let bias = fields.loose_flag("use_bias", true)?;
    let window = fields.optional_count("sliding_window")?;
    let block = &mut shape.blocks[0];
    block.mlp.gated = false;
    block.mlp.activation = activation(fields, "hidden_act", Activation::GeluTanh)?;
    (block.mlp.bias, block.mlp.output_bias) = (bias, bias);
    (block.attention.bias, block.attention.output_bias) = (bias, bias);
    (block.before_attention, block.before_mlp) = (Some(norm), Some(norm));
    block.attention.window = window;
    Ok(shape)
}

fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder_with_heads(NormKind::Layer, "norm_epsilon")?;
    config.set("rope_parameters", file.rotary(&config)?);
    config.set("use_bias", file.attention_bias());
    config.set("sliding_window", file.count_or_none(WINDOW)?);
    Ok(config)
}
