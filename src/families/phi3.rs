//! Phi-3, Phi-3.5 and Phi-4 (Abdin et al. 2024, arXiv:2404.14219), after `configuration_phi3.py` and `modeling_phi3.py`
//! of transformers 5.24: a Llama whose queries, keys and values are one tensor, gate and up another; long prompts by
//! LongRoPE.

use super::base::{Defaults, activation};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, WINDOW, any};
use super::rope::{self, Wanted};
use super::shape::{Activation, NormKind, Shape};
use super::tensors::{Entry, Order, Slot, one};
use super::{Family, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["phi3"],
    classes: &["Phi3ForCausalLM"],
    read,
    eos: Some(32_000),
    gguf: Some(Gguf {
        architectures: &["phi3"],
        is: any,
        config,
        permuted: false,
    }),
};

const TENSORS: &[Entry] = &[
    one("model.embed_tokens", &[Slot::Embedding]),
    one("model.layers.{}.input_layernorm", &[Slot::BeforeAttention]),
    Entry {
        stem: "model.layers.{}.self_attn.qkv_proj",
        slots: &[Slot::Query, Slot::Key, Slot::Value],
        order: Order::Stacked,
    },
    one("model.layers.{}.self_attn.o_proj", &[Slot::AttentionOutput]),
    one("model.layers.{}.post_attention_layernorm", &[Slot::BeforeMlp]),
    Entry {
        stem: "model.layers.{}.mlp.gate_up_proj",
        slots: &[Slot::Gate, Slot::Up],
        order: Order::Stacked,
    },
    one("model.layers.{}.mlp.down_proj", &[Slot::Down]),
    one("model.norm", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

const DEFAULTS: Defaults = Defaults {
    family: "phi3",
    tensors: TENSORS,
    vocabulary: 32_064,
    hidden: 3072,
    inner: 8192,
    epsilon: 1e-5,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let (mut shape, head) = DEFAULTS.without_rotary(fields)?;
    let wanted = Wanted {
        partial: Some(1.0),
        original: Some(4096),
        ..Wanted::whole(head, DEFAULTS.theta)
    };
    shape.rotary = vec![rope::read(fields, &wanted)?];
    let window = fields.optional_count("sliding_window")?;
    let block = &mut shape.blocks[0];
    block.mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    block.attention.window = window;
    Ok(shape)
}

fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder(NormKind::Rms, "rms_norm_eps")?;
    let rotary = file.partial_rotary(&config)?;
    // transformers looks for it at the top.
    config.set_some(
        "original_max_position_embeddings",
        rotary.get("original_max_position_embeddings").cloned(),
    );
    config.set("rope_parameters", rotary);
    config.set("sliding_window", file.count_or_none(WINDOW)?);
    Ok(config)
}
