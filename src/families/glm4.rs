//! GLM-4-0414 (GLM Team 2024, arXiv:2406.12793), after `configuration_glm4.py` and `modeling_glm4.py` of transformers
//! 5.24: a norm in front of and behind each half, half of each head turns in neighbouring pairs.

use super::base::{Defaults, activation, partial_rotary};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, any};
use super::shape::{Activation, NormKind, Pairs, Shape};
use super::tensors::{Entry, Order, Slot, one};
use super::{Family, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["glm4"],
    classes: &["Glm4ForCausalLM"],
    read,
    eos: Some(151_329),
    gguf: Some(Gguf {
        architectures: &["glm4"],
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
    one("model.layers.{}.post_self_attn_layernorm", &[Slot::AfterAttention]),
    one("model.layers.{}.post_attention_layernorm", &[Slot::BeforeMlp]),
    Entry {
        stem: "model.layers.{}.mlp.gate_up_proj",
        slots: &[Slot::Gate, Slot::Up],
        order: Order::Stacked,
    },
    one("model.layers.{}.mlp.down_proj", &[Slot::Down]),
    one("model.layers.{}.post_mlp_layernorm", &[Slot::AfterMlp]),
    one("model.norm", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

const DEFAULTS: Defaults = Defaults {
    family: "glm4",
    tensors: TENSORS,
    vocabulary: 151_552,
    inner: 13_696,
    layers: 40,
    key_heads: Some(2),
    head: Some(128),
    epsilon: 1.5625e-7,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let (mut shape, head) = DEFAULTS.without_rotary(fields)?;
    shape.rotary = vec![partial_rotary(fields, head, DEFAULTS.theta, 0.5, Pairs::Neighbours)?];
    let norm = shape.norm;
    let block = &mut shape.blocks[0];
    block.mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    block.attention.bias = fields.loose_flag("attention_bias", true)?;
    (block.after_attention, block.after_mlp) = (Some(norm), Some(norm));
    Ok(shape)
}

fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder_with_heads(NormKind::Rms, "rms_norm_eps")?;
    config.set("rope_parameters", file.partial_rotary(&config)?);
    config.set("attention_bias", file.attention_bias());
    Ok(config)
}
