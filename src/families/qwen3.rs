//! Qwen3 (Yang et al. 2025, arXiv:2505.09388), after `configuration_qwen3.py` and `modeling_qwen3.py` of transformers
//! 5.24: a Llama with heads of a width of their own and norms of queries and keys, a head at a time.

use super::base::{Defaults, activation};
use super::fields::Fields;
use super::shape::{Activation, Over, QkNorm, Shape};
use super::tensors::{Entry, Slot, one};
use super::{Family, llama, qwen2};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["qwen3"],
    classes: &["Qwen3ForCausalLM"],
    read,
    eos: None,
};

/// Llama's names, and those of the norms of queries and keys.
pub const TENSORS: &[Entry] = &[
    one("model.embed_tokens", &[Slot::Embedding]),
    one("model.layers.{}.input_layernorm", &[Slot::BeforeAttention]),
    one("model.layers.{}.self_attn.q_proj", &[Slot::Query]),
    one("model.layers.{}.self_attn.k_proj", &[Slot::Key]),
    one("model.layers.{}.self_attn.v_proj", &[Slot::Value]),
    one("model.layers.{}.self_attn.q_norm", &[Slot::QueryNorm]),
    one("model.layers.{}.self_attn.k_norm", &[Slot::KeyNorm]),
    one("model.layers.{}.self_attn.o_proj", &[Slot::AttentionOutput]),
    one("model.layers.{}.post_attention_layernorm", &[Slot::BeforeMlp]),
    one("model.layers.{}.mlp.gate_proj", &[Slot::Gate]),
    one("model.layers.{}.mlp.up_proj", &[Slot::Up]),
    one("model.layers.{}.mlp.down_proj", &[Slot::Down]),
    one("model.norm", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

const DEFAULTS: Defaults = Defaults {
    family: "qwen3",
    tensors: TENSORS,
    vocabulary: 151_936,
    inner: 22_016,
    key_heads: Some(32),
    head: Some(128),
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let mut shape = DEFAULTS.read(fields)?;
    let bias = fields.loose_flag("attention_bias", false)?;
    let norm = shape.norm;
    let block = &mut shape.blocks[0];
    block.mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    (block.attention.bias, block.attention.output_bias) = (bias, bias);
    block.attention.qk_norm = Some(QkNorm {
        norm,
        over: Over::Head,
        after_rotary: false,
    });
    qwen2::windows(fields, &mut shape)?;
    Ok(shape)
}
