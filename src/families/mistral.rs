//! Mistral (Jiang et al. 2023, arXiv:2310.06825), after `configuration_mistral.py`, `configuration_ministral.py` and
//! `modeling_mistral.py` of transformers 4.57 and 5.24: a Llama whose layers may see a window only.

use super::base::{Defaults, by_kind, layer_types};
use super::fields::{Fields, NOT_COMPUTED};
use super::gguf::{Config, File, Gguf, WINDOW, with_window};
use super::shape::Shape;
use super::{Family, llama, rope};
use crate::diagnostic::{Diagnostic, Result};

/// The family.
pub const FAMILY: Family = Family {
    types: &["mistral"],
    classes: &["MistralForCausalLM"],
    read,
    eos: Some(2),
    gguf: Some(Gguf {
        architectures: &["llama", "mistral3"],
        is,
        config,
        permuted: true,
    }),
};

const DEFAULTS: Defaults = Defaults {
    family: "mistral",
    inner: 14_336,
    // Left out it is 8, and null is as many as there are heads.
    key_heads: Some(8),
    ..llama::DEFAULTS
};

/// The window is 4,096 where the file says nothing of it; null is no window.
///
/// transformers' `AutoConfig` reads a Mistral with `layer_types` as a Ministral, whose layers have the window or not,
/// one by one.
fn read(fields: &Fields) -> Result<Shape> {
    fields.must_be("hidden_act", &["silu", "swish"])?;
    for switch in ["attention_bias", "mlp_bias"] {
        fields.must_be_off(switch)?;
    }
    let mut shape = DEFAULTS.read(fields)?;
    let window = fields.optional_count_or("sliding_window", 4096)?;
    llama::use_window(fields, window)?;
    shape.blocks[0].attention.window = window;
    if let Some(kinds) = layer_types(fields, shape.layers)? {
        if rope::are_nested(fields) {
            return Err(Diagnostic::checkpoint("settings of rotary positions by kind of layer")
                .expected("one setting for all layers")
                .help(NOT_COMPUTED));
        }
        by_kind(fields, &mut shape, &kinds, window, |_, _| ())?;
    }
    Ok(shape)
}

/// llama.cpp's converter does not write the window down; a file of Llama's architecture where one is written is meant as
/// Mistral's. The other architecture is that of Mistral Small 3.1 and later, and of Ministral 3.
fn is(file: &File) -> bool {
    match file.architecture() {
        "mistral3" => !file.has_experts() && file.value("attention.temperature_scale").is_none(),
        _ => !file.has_experts() && with_window(file),
    }
}

/// Its `config.json` from a GGUF file.
///
/// # Errors
/// As the file's getters.
pub fn config(file: &File) -> Result<Config> {
    let mut config = llama::config(file)?;
    config.remove("attention_bias");
    config.remove("mlp_bias");
    config.set("sliding_window", file.count_or_none(WINDOW)?);
    Ok(config)
}
