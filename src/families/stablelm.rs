//! StableLM 2 and StableLM 3B (Bellagente et al. 2024, arXiv:2402.17834), after `configuration_stablelm.py` and
//! `modeling_stablelm.py` of transformers 5.24: a Llama with LayerNorm, of which a quarter of each head turns.

use super::base::{Defaults, activation, partial_rotary};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, any};
use super::shape::{Activation, Halves, Norm, NormKind, Pairs, Shape};
use super::{Family, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["stablelm", "stablelm_epoch"],
    classes: &["StableLmForCausalLM", "StableLMEpochForCausalLM"],
    read,
    eos: Some(0),
    gguf: Some(Gguf {
        architectures: &["stablelm"],
        is: any,
        config,
        permuted: false,
    }),
};

const DEFAULTS: Defaults = Defaults {
    family: "stablelm",
    vocabulary: 50_304,
    hidden: 2560,
    inner: 6912,
    key_heads: Some(32),
    epsilon: 1e-5,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let (mut shape, head) = DEFAULTS.without_rotary(fields)?;
    shape.rotary = vec![partial_rotary(fields, head, DEFAULTS.theta, 0.25, Pairs::Halves)?];
    fields.must_be_off("qk_layernorm")?;
    let norm = Norm::layer(fields.number("layer_norm_eps", DEFAULTS.epsilon)?);
    shape.norm = norm;
    let parallel = fields.loose_flag("use_parallel_residual", false)?;
    let block = &mut shape.blocks[0];
    block.attention.bias = fields.loose_flag("use_qkv_bias", false)?;
    block.mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    (block.before_attention, block.before_mlp) = (Some(norm), (!parallel).then_some(norm));
    block.halves = if parallel { Halves::Parallel } else { Halves::Serial };
    Ok(shape)
}

fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder(NormKind::Layer, "layer_norm_eps")?;
    config.set("rope_parameters", file.partial_rotary(&config)?);
    config.set("use_qkv_bias", file.attention_bias());
    config.set("qk_layernorm", file.has_in_layers("attn_q_norm.weight"));
    // The key is not right in all files; llama.cpp goes by the norm.
    _ = file.value("use_parallel_residual");
    config.set("use_parallel_residual", !file.has_in_layers("ffn_norm.weight"));
    Ok(config)
}
