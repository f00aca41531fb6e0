//! Phi-1, Phi-1.5 and Phi-2 (Li et al. 2023, arXiv:2309.05463), after `configuration_phi.py` and `modeling_phi.py` of
//! transformers 5.24: attention and MLP beside each other behind one LayerNorm, biases everywhere, half of each head
//! turns.

use super::base::{Defaults, activation, partial_rotary};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, any};
use super::shape::{Activation, Halves, Norm, NormKind, Pairs, Shape};
use super::tensors::{Entry, Slot, one};
use super::{Family, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["phi"],
    classes: &["PhiForCausalLM"],
    read,
    eos: Some(2),
    gguf: Some(Gguf {
        architectures: &["phi2"],
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
    one("model.layers.{}.self_attn.dense", &[Slot::AttentionOutput]),
    one("model.layers.{}.mlp.fc1", &[Slot::Up]),
    one("model.layers.{}.mlp.fc2", &[Slot::Down]),
    one("model.final_layernorm", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

const DEFAULTS: Defaults = Defaults {
    family: "phi",
    tensors: TENSORS,
    vocabulary: 51_200,
    hidden: 2048,
    inner: 8192,
    layers: 24,
    epsilon: 1e-5,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let (mut shape, head) = DEFAULTS.without_rotary(fields)?;
    shape.rotary = vec![partial_rotary(fields, head, DEFAULTS.theta, 0.5, Pairs::Halves)?];
    fields.must_be_off("qk_layernorm")?;
    let norm = Norm::layer(fields.number("layer_norm_eps", DEFAULTS.epsilon)?);
    shape.norm = norm;
    shape.output.bias = true;
    let block = &mut shape.blocks[0];
    (block.attention.bias, block.attention.output_bias) = (true, true);
    block.mlp.gated = false;
    block.mlp.activation = activation(fields, "hidden_act", Activation::GeluTanh)?;
    (block.mlp.bias, block.mlp.output_bias) = (true, true);
    (block.before_attention, block.before_mlp) = (Some(norm), None);
    block.halves = Halves::Parallel;
    Ok(shape)
}

fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder(NormKind::Layer, "layer_norm_eps")?;
    config.set("rope_parameters", file.partial_rotary(&config)?);
    Ok(config)
}
