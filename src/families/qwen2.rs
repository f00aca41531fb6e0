//! Qwen2 and Qwen2.5 (Yang et al. 2024, arXiv:2407.10671 and 2412.15115), after `configuration_qwen2.py` and
//! `modeling_qwen2.py` of transformers 5.24: a Llama with biases of queries, keys and values, and layers that may see a
//! window only.

use super::base::{Defaults, Kind, activation, by_kind, layer_types};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, PATTERN, WINDOW, any};
use super::shape::{Activation, NormKind, Shape};
use super::{Family, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["qwen2"],
    classes: &["Qwen2ForCausalLM"],
    read,
    eos: None,
    gguf: Some(Gguf {
        architectures: &["qwen2"],
        is: any,
        config,
        permuted: false,
    }),
};

const DEFAULTS: Defaults = Defaults {
    family: "qwen2",
    vocabulary: 151_936,
    inner: 22_016,
    key_heads: Some(32),
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let mut shape = DEFAULTS.read(fields)?;
    let block = &mut shape.blocks[0];
    block.mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    block.attention.bias = true;
    windows(fields, &mut shape)?;
    Ok(shape)
}

/// Layers from `max_window_layers` on have the window, where `use_sliding_window` says so; or those that `layer_types`
/// names.
///
/// # Errors
/// A value of another type.
pub fn windows(fields: &Fields, shape: &mut Shape) -> Result<()> {
    let on = fields.loose_flag("use_sliding_window", false)?;
    let window = fields.optional_count_or_silent("sliding_window", 4096)?.filter(|_| on);
    let first = match fields.some("max_window_layers") {
        // 0 is a number of layers, too.
        Some(value) if value.as_u64() == Some(0) => 0,
        _ => fields.optional_count("max_window_layers")?.unwrap_or(28),
    };
    let layers = shape.layers;
    let kinds = match layer_types(fields, layers)? {
        Some(kinds) => kinds,
        None if window.is_none() || first >= layers => vec![Kind::Full],
        None => {
            let kind = |layer: usize| if layer < first { Kind::Full } else { Kind::Sliding };
            super::base::at_most(layers)?;
            (0..layers).map(kind).collect()
        }
    };
    by_kind(fields, shape, &kinds, window, |_, _| ())?;
    Ok(())
}

fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder_with_heads(NormKind::Rms, "rms_norm_eps")?;
    config.set("rope_parameters", file.rotary(&config)?);
    written_windows(file, &mut config)?;
    Ok(config)
}

/// Layers with a window, where a file says which; llama.cpp's converter says nothing of them.
///
/// # Errors
/// As the file's getters.
pub fn written_windows(file: &File, config: &mut Config) -> Result<()> {
    if file.value(PATTERN).is_some() {
        config.set("use_sliding_window", true);
        config.set("sliding_window", file.required(WINDOW)?);
        config.set("layer_types", file.layer_types(config, 1)?);
    }
    Ok(())
}
