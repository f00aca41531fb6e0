//! Granite 3 and 4, the dense ones (Granite Team 2024), after `configuration_granite.py` and `modeling_granite.py` of
//! transformers 5.24: a Llama with factors for embeddings, attention scores, what the halves write, and logits.

use super::base::{Defaults, activation, factor};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, any};
use super::shape::{Activation, Shape};
use super::{Family, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["granite"],
    classes: &["GraniteForCausalLM"],
    read,
    eos: Some(2),
    gguf: Some(Gguf {
        architectures: &["granite"],
        is: any,
        config,
        permuted: true,
    }),
};

const DEFAULTS: Defaults = Defaults {
    family: "granite",
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let mut shape = DEFAULTS.read(fields)?;
    llama::biases(fields, &mut shape)?;
    let one = |key: &str| factor(fields, key).map(|found| found.unwrap_or(1.0));
    shape.embedding.scale = Some(one("embedding_multiplier")?).filter(|&scale| scale != 1.0);
    shape.output.scale = 1.0 / one("logits_scaling")?;
    let block = &mut shape.blocks[0];
    block.mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    block.attention.scale = Some(one("attention_multiplier")?);
    block.residual = one("residual_multiplier")?;
    Ok(shape)
}

fn config(file: &File) -> Result<Config> {
    let mut config = llama::config(file)?;
    for (key, to) in [
        ("embedding_scale", "embedding_multiplier"),
        ("attention.scale", "attention_multiplier"),
        ("residual_scale", "residual_multiplier"),
        ("logit_scale", "logits_scaling"),
    ] {
        config.set_some(to, file.number_or_none(key)?);
    }
    // llama.cpp's default is that of other models, transformers' is 1.
    if file.number_or_none("attention.scale")?.is_none() {
        let head = config.count("head_dim") as f64;
        config.set("attention_multiplier", head.sqrt().recip());
    }
    Ok(config)
}
