//! Mixtral (Jiang et al. 2024, arXiv:2401.04088), after `configuration_mixtral.py` and `modeling_mixtral.py` of
//! transformers 5.24: a Mistral with a mixture of experts in the place of each MLP.

use super::base::{Defaults, activation, chosen};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, SOFTMAX};
use super::shape::{Activation, Experts, Shape};
use super::tensors::{Entry, Slot, one};
use super::{Family, llama, mistral};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["mixtral"],
    classes: &["MixtralForCausalLM"],
    read,
    eos: Some(2),
    gguf: Some(Gguf {
        architectures: &["llama"],
        is: |file| file.has_experts(),
        config,
        permuted: true,
    }),
};

const TENSORS: &[Entry] = &[
    one("model.embed_tokens", &[Slot::Embedding]),
    one("model.layers.{}.input_layernorm", &[Slot::BeforeAttention]),
    one("model.layers.{}.self_attn.q_proj", &[Slot::Query]),
    one("model.layers.{}.self_attn.k_proj", &[Slot::Key]),
    one("model.layers.{}.self_attn.v_proj", &[Slot::Value]),
    one("model.layers.{}.self_attn.o_proj", &[Slot::AttentionOutput]),
    one("model.layers.{}.post_attention_layernorm", &[Slot::BeforeMlp]),
    one("model.layers.{}.block_sparse_moe.gate", &[Slot::Router]),
    one("model.layers.{}.block_sparse_moe.experts.{e}.w1", &[Slot::ExpertGate]),
    one("model.layers.{}.block_sparse_moe.experts.{e}.w3", &[Slot::ExpertUp]),
    one("model.layers.{}.block_sparse_moe.experts.{e}.w2", &[Slot::ExpertDown]),
    one("model.norm", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

const DEFAULTS: Defaults = Defaults {
    family: "mixtral",
    tensors: TENSORS,
    inner: 14_336,
    key_heads: Some(8),
    epsilon: 1e-5,
    theta: 1_000_000.0,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let mut shape = DEFAULTS.read(fields)?;
    let window = fields.optional_count("sliding_window")?;
    llama::use_window(fields, window)?;
    let (count, chosen) = chosen(fields, &["num_local_experts", "num_experts"], 8, 2)?;
    let block = &mut shape.blocks[0];
    block.attention.window = window;
    block.mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    block.experts = Some(Experts {
        count,
        chosen,
        renormalise: true,
        router_bias: false,
    });
    Ok(shape)
}

fn config(file: &File) -> Result<Config> {
    let mut config = mistral::config(file)?;
    file.experts(&mut config, SOFTMAX)?;
    Ok(config)
}
