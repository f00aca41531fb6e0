//! Command R7B and its kind (Cohere 2024), after `configuration_cohere2.py` and `modeling_cohere2.py` of transformers
//! 5.24: attention and MLP beside each other behind one LayerNorm without bias; rotary positions, in neighbouring
//! pairs, only in layers with a window.

use super::base::{Defaults, Kind, activation, attention_bias, by_kind, factor, kinds_or_every};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, WINDOW, any};
use super::rope::{self, Wanted};
use super::shape::{Activation, Halves, Norm, NormKind, Pairs, Shape};
use super::{Family, even, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["cohere2"],
    classes: &["Cohere2ForCausalLM"],
    read,
    eos: Some(255_001),
    gguf: Some(Gguf {
        architectures: &["cohere2"],
        is: any,
        config,
        permuted: false,
    }),
};

const DEFAULTS: Defaults = Defaults {
    family: "cohere2",
    vocabulary: 256_000,
    hidden: 8192,
    inner: 22_528,
    layers: 40,
    heads: 64,
    epsilon: 1e-5,
    tied: true,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let (mut shape, head) = DEFAULTS.without_rotary(fields)?;
    even("the head's width", head)?;
    let wanted = Wanted {
        pairs: Pairs::Neighbours,
        original: None,
        names: rope::NAMES,
        ..Wanted::whole(head, DEFAULTS.theta)
    };
    shape.rotary = vec![rope::read(fields, &wanted)?];
    attention_bias(fields, &mut shape, false)?;
    fields.must_be_off("use_qk_norm")?;
    let norm = Norm {
        bias: false,
        ..Norm::layer(fields.number("layer_norm_eps", DEFAULTS.epsilon)?)
    };
    shape.norm = norm;
    shape.output.scale = factor(fields, "logit_scale")?.unwrap_or(0.0625);
    let block = &mut shape.blocks[0];
    block.mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    (block.before_attention, block.before_mlp) = (Some(norm), None);
    block.halves = Halves::Parallel;
    let period = fields.optional_count("sliding_window_pattern")?.unwrap_or(4);
    let kinds = kinds_or_every(fields, shape.layers, period)?;
    let window = fields.optional_count_or("sliding_window", 4096)?;
    by_kind(fields, &mut shape, &kinds, window, |kind, block| {
        block.attention.rotary = (kind == Kind::Sliding).then_some(0);
    })?;
    Ok(shape)
}

fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder_with_heads(NormKind::Layer, "layer_norm_eps")?;
    config.set("rope_parameters", file.rotary(&config)?);
    config.set("attention_bias", file.attention_bias());
    config.set("logit_scale", file.number("logit_scale")?.unwrap_or(1.0));
    config.set("sliding_window", file.required(WINDOW)?);
    config.set("layer_types", file.layer_types(&config, 4)?);
    Ok(config)
}
