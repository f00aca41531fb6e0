//! Qwen3 (Yang et al. 2025, arXiv:2505.09388), after `configuration_qwen3.py` and `modeling_qwen3.py` of transformers
//! 5.24: a Llama with heads of a width of their own and norms of queries and keys, a head at a time.

use super::base::{Defaults, activation, attention_bias};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, any};
use super::shape::{Activation, NormKind, Over, QkNorm, Shape};
use super::{Family, llama, qwen2};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["qwen3"],
    classes: &["Qwen3ForCausalLM"],
    read,
    eos: None,
    gguf: Some(Gguf {
        architectures: &["qwen3"],
        is: any,
        config,
        permuted: false,
    }),
};

const DEFAULTS: Defaults = Defaults {
    family: "qwen3",
    vocabulary: 151_936,
    inner: 22_016,
    key_heads: Some(32),
    head: Some(128),
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let mut shape = DEFAULTS.read(fields)?;
    attention_bias(fields, &mut shape, false)?;
    let norm = shape.norm;
    let block = &mut shape.blocks[0];
    block.mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    block.attention.qk_norm = Some(QkNorm {
        norm,
        over: Over::Head,
        after_rotary: false,
    });
    qwen2::windows(fields, &mut shape)?;
    Ok(shape)
}

fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder_with_heads(NormKind::Rms, "rms_norm_eps")?;
    config.set("rope_parameters", file.rotary(&config)?);
    config.set("attention_bias", file.attention_bias());
    qwen2::written_windows(file, &mut config)?;
    Ok(config)
}
