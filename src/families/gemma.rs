//! Gemma (Gemma Team 2024, arXiv:2403.08295), after `configuration_gemma.py` and `modeling_gemma.py` of transformers
//! 5.24: embeddings times the root of their width, norms whose stored weight is less by 1, GELU by tanh.

use super::base::{Defaults, attention_bias};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, any};
use super::shape::{Activation, Norm, NormKind, Shape};
use super::{Family, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["gemma"],
    classes: &["GemmaForCausalLM"],
    read,
    eos: Some(1),
    gguf: Some(Gguf {
        architectures: &["gemma"],
        is: any,
        config,
        permuted: false,
    }),
};

/// Those of `configuration_gemma.py`.
pub const DEFAULTS: Defaults = Defaults {
    family: "gemma",
    vocabulary: 256_000,
    hidden: 3072,
    inner: 24_576,
    layers: 28,
    heads: 16,
    key_heads: Some(16),
    head: Some(256),
    tied: true,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    // transformers takes the name of the exact GELU for the other, which the models were trained with.
    for key in ["hidden_act", "hidden_activation"] {
        if fields.some(key).is_some() {
            fields.must_be(key, &["gelu_pytorch_tanh", "gelu"])?;
        }
    }
    let mut shape = DEFAULTS.read(fields)?;
    one_way(fields)?;
    attention_bias(fields, &mut shape, false)?;
    scaled(&mut shape);
    Ok(shape)
}

/// What Gemma's models share: scaled embeddings, norms whose stored weight is less by 1, GELU by tanh.
pub fn scaled(shape: &mut Shape) {
    shape.embedding.scale = Some((shape.hidden as f64).sqrt());
    let norm = Norm {
        offset: true,
        wide: true,
        ..shape.norm
    };
    shape.norm = norm;
    let block = &mut shape.blocks[0];
    (block.before_attention, block.before_mlp) = (Some(norm), Some(norm));
    block.mlp.activation = Activation::GeluTanh;
}

/// Attention to later positions is another model.
///
/// # Errors
/// It is switched on.
pub fn one_way(fields: &Fields) -> Result<()> {
    fields.must_be_off("use_bidirectional_attention")
}

fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder_with_heads(NormKind::Rms, "rms_norm_eps")?;
    config.set("rope_parameters", file.rotary(&config)?);
    Ok(config)
}
