//! EXAONE 4 (LG AI Research 2025, arXiv:2507.11407), after `configuration_exaone4.py` and `modeling_exaone4.py` of
//! transformers 5.24: norms behind the halves, norms of queries and keys a head at a time, rotary positions only in
//! layers with a window.

use super::base::{Defaults, Kind, activation, by_kind, kinds_or_every};
use super::fields::{Fields, NOT_COMPUTED};
use super::gguf::{Config, File, Gguf, WINDOW, any};
use super::olmo2::{TENSORS, norms_behind};
use super::shape::{Activation, NormKind, Over, Shape};
use super::{Family, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["exaone4"],
    classes: &["Exaone4ForCausalLM"],
    read,
    eos: Some(2),
    gguf: Some(Gguf {
        architectures: &["exaone4"],
        is: any,
        config,
        permuted: false,
    }),
};

const DEFAULTS: Defaults = Defaults {
    family: "exaone4",
    tensors: TENSORS,
    vocabulary: 102_400,
    inner: 16_384,
    key_heads: Some(32),
    epsilon: 1e-5,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let mut shape = DEFAULTS.read(fields)?;
    shape.blocks[0].mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    norms_behind(&mut shape, Over::Head);
    let window = fields.optional_count_or("sliding_window", 4096)?;
    // `LLLG` is another way to write 4.
    let period = match fields.some("sliding_window_pattern") {
        None => 4,
        Some(value) => match (value.as_u64(), value.as_str()) {
            (Some(0), _) if window.is_none() => 1,
            (Some(period), _) if period > 0 => period as usize,
            (None, Some(text)) if text.ends_with('G') && text[..text.len() - 1].chars().all(|letter| letter == 'L') => {
                text.len()
            }
            _ => {
                return Err(fields
                    .wrong(
                        "sliding_window_pattern",
                        "a number of layers, or letters such as `LLLG`",
                    )
                    .help(NOT_COMPUTED));
            }
        },
    };
    let kinds = kinds_or_every(fields, shape.layers, if window.is_none() { 1 } else { period })?;
    by_kind(fields, &mut shape, &kinds, window, |kind, block| {
        block.attention.rotary = (window.is_none() || kind == Kind::Sliding).then_some(0);
    })?;
    Ok(shape)
}

fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder_with_heads(NormKind::Rms, "rms_norm_eps")?;
    config.set("rope_parameters", file.rotary(&config)?);
    let window = file.count_or_none(WINDOW)?;
    config.set("sliding_window", window);
    let kinds = file.layer_types(&config, 4)?;
    config.set_some("layer_types", window.map(|_| kinds));
    Ok(config)
}
