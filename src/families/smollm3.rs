//! SmolLM3 (Hugging Face 2025), after `configuration_smollm3.py` and `modeling_smollm3.py` of transformers 5.24: a
//! Llama in which every fourth layer has no position embedding.

use super::base::{Defaults, Kind, activation, layer_types, window_for};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, any};
use super::shape::{Activation, Shape};
use super::{Family, llama};
use crate::diagnostic::{Diagnostic, Result};

/// The family.
pub const FAMILY: Family = Family {
    types: &["smollm3"],
    classes: &["SmolLM3ForCausalLM"],
    read,
    eos: Some(128_001),
    gguf: Some(Gguf {
        architectures: &["smollm3"],
        is: any,
        config,
        permuted: true,
    }),
};

const DEFAULTS: Defaults = Defaults {
    family: "smollm3",
    vocabulary: 128_256,
    hidden: 2048,
    layers: 36,
    heads: 16,
    key_heads: Some(4),
    tied: true,
    theta: 2_000_000.0,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let mut shape = DEFAULTS.read(fields)?;
    llama::biases(fields, &mut shape)?;
    shape.blocks[0].mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    let interval = fields.optional_count("no_rope_layer_interval")?.unwrap_or(4);
    let rotary: Vec<bool> = match fields.some("no_rope_layers") {
        None if interval > shape.layers => vec![true],
        None => {
            super::base::at_most(interval)?;
            (0..interval).map(|layer| (layer + 1) % interval != 0).collect()
        }
        Some(value) => {
            let flags: Option<Vec<bool>> = value.as_array().and_then(|all| {
                let flag = |value: &serde_json::Value| match value.as_u64() {
                    Some(0) => Some(false),
                    Some(1) => Some(true),
                    _ => None,
                };
                all.iter().map(flag).collect()
            });
            let wrong = || {
                Diagnostic::checkpoint("`no_rope_layers`").expected(format!(
                    "{} numbers, 1 or 0: whether a layer has rotary positions",
                    shape.layers
                ))
            };
            flags.filter(|all| all.len() == shape.layers).ok_or_else(wrong)?
        }
    };
    let on = fields.loose_flag("use_sliding_window", false)?;
    let window = fields.optional_count("sliding_window")?;
    let kinds = match layer_types(fields, shape.layers)? {
        Some(kinds) => kinds,
        None => rotary
            .iter()
            .map(|rotary| {
                if on && window.is_some() && !rotary {
                    Kind::Sliding
                } else {
                    Kind::Full
                }
            })
            .collect(),
    };
    window_for(fields, &kinds, window)?;
    let block = shape.blocks[0];
    shape.blocks.clear();
    let period = rotary.len().max(kinds.len());
    shape.pattern = (0..period)
        .map(|layer| {
            let mut block = block;
            block.attention.rotary = rotary[layer % rotary.len()].then_some(0);
            block.attention.window = window.filter(|_| kinds[layer % kinds.len()] == Kind::Sliding);
            shape
                .blocks
                .iter()
                .position(|other| *other == block)
                .unwrap_or_else(|| {
                    shape.blocks.push(block);
                    shape.blocks.len() - 1
                })
        })
        .collect();
    Ok(shape)
}

/// No file says which layers have no rotary positions: it is every fourth, as in llama.cpp.
fn config(file: &File) -> Result<Config> {
    let mut config = llama::config(file)?;
    config.set("no_rope_layer_interval", 4);
    Ok(config)
}
