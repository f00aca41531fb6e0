//! OLMo 2 (OLMo Team 2024, arXiv:2501.00656), after `configuration_olmo2.py` and `modeling_olmo2.py` of transformers
//! 5.24: norms behind the halves instead of in front, norms of queries and keys over all heads together.

use super::base::{Defaults, activation, attention_bias};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, without_window};
use super::shape::{Activation, NormKind, Over, QkNorm, Shape};
use super::tensors::{Entry, Slot, one};
use super::{Family, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["olmo2"],
    classes: &["Olmo2ForCausalLM"],
    read,
    eos: Some(50_279),
    gguf: Some(Gguf {
        // With a window it is OLMo 3.
        architectures: &["olmo2"],
        is: without_window,
        config,
        permuted: false,
    }),
};

/// Its names, which OLMo 3 and EXAONE 4 share.
pub const TENSORS: &[Entry] = &[
    one("model.embed_tokens", &[Slot::Embedding]),
    one("model.layers.{}.self_attn.q_proj", &[Slot::Query]),
    one("model.layers.{}.self_attn.k_proj", &[Slot::Key]),
    one("model.layers.{}.self_attn.v_proj", &[Slot::Value]),
    one("model.layers.{}.self_attn.q_norm", &[Slot::QueryNorm]),
    one("model.layers.{}.self_attn.k_norm", &[Slot::KeyNorm]),
    one("model.layers.{}.self_attn.o_proj", &[Slot::AttentionOutput]),
    one("model.layers.{}.post_attention_layernorm", &[Slot::AfterAttention]),
    one("model.layers.{}.mlp.gate_proj", &[Slot::Gate]),
    one("model.layers.{}.mlp.up_proj", &[Slot::Up]),
    one("model.layers.{}.mlp.down_proj", &[Slot::Down]),
    one("model.layers.{}.post_feedforward_layernorm", &[Slot::AfterMlp]),
    one("model.norm", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

/// Those of `configuration_olmo2.py`.
pub const DEFAULTS: Defaults = Defaults {
    family: "olmo2",
    tensors: TENSORS,
    vocabulary: 50_304,
    epsilon: 1e-5,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let mut shape = DEFAULTS.read(fields)?;
    attention_bias(fields, &mut shape, false)?;
    shape.blocks[0].mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    shape.widen_norms();
    norms_behind(&mut shape, Over::All);
    Ok(shape)
}

/// Norms behind the halves, none in front, and norms of queries and keys.
pub fn norms_behind(shape: &mut Shape, over: Over) {
    let norm = shape.norm;
    let block = &mut shape.blocks[0];
    (block.before_attention, block.before_mlp) = (None, None);
    (block.after_attention, block.after_mlp) = (Some(norm), Some(norm));
    block.attention.qk_norm = Some(QkNorm {
        norm,
        over,
        after_rotary: false,
    });
}

/// Its `config.json` from a GGUF file, without rotary positions.
///
/// # Errors
/// As the file's getters.
pub fn config_without_rotary(file: &File) -> Result<Config> {
    let mut config = file.decoder_with_heads(NormKind::Rms, "rms_norm_eps")?;
    config.set("attention_bias", file.attention_bias());
    Ok(config)
}

fn config(file: &File) -> Result<Config> {
    let mut config = config_without_rotary(file)?;
    config.set("rope_parameters", file.rotary(&config)?);
    Ok(config)
}
