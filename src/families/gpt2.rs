//! GPT-2 (Radford et al. 2019), after `configuration_gpt2.py` and `modeling_gpt2.py` of transformers 5.24: learned
//! positions, LayerNorm, weights stored `[in, out]`.

use super::base::activation;
use super::fields::{Fields, NOT_COMPUTED};
use super::gguf::{Config, File, Gguf, any};
use super::shape::{Activation, Attention, Block, Embedding, Halves, Heads, Mlp, Norm, NormKind, Output, Shape};
use super::tensors::{Entry, Order, Slot, one};
use super::{Family, divided};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["gpt2"],
    classes: &["GPT2LMHeadModel"],
    read,
    eos: Some(50_256),
    gguf: Some(Gguf {
        architectures: &["gpt2"],
        is: any,
        config,
        permuted: false,
    }),
};

const fn transposed(stem: &'static str, slots: &'static [Slot]) -> Entry {
    Entry {
        stem,
        slots,
        order: Order::Transposed,
    }
}

const TENSORS: &[Entry] = &[
    one("transformer.wte", &[Slot::Embedding]),
    one("transformer.wpe", &[Slot::Positions]),
    one("transformer.h.{}.ln_1", &[Slot::BeforeAttention]),
    transposed("transformer.h.{}.attn.c_attn", &[Slot::Query, Slot::Key, Slot::Value]),
    transposed("transformer.h.{}.attn.c_proj", &[Slot::AttentionOutput]),
    one("transformer.h.{}.ln_2", &[Slot::BeforeMlp]),
    transposed("transformer.h.{}.mlp.c_fc", &[Slot::Up]),
    transposed("transformer.h.{}.mlp.c_proj", &[Slot::Down]),
    one("transformer.ln_f", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

fn read(fields: &Fields) -> Result<Shape> {
    let either = |own: &str, other: &str, default| match fields.optional_count(other)? {
        Some(count) if fields.get(own).is_none() => Ok(count),
        Some(count) if count != fields.count(own, default)? => {
            Err(fields.wrong(own, &format!("the same as `{other}`, which is {count}")))
        }
        _ => fields.count(own, default),
    };
    let hidden = either("n_embd", "hidden_size", 768)?;
    let heads = either("n_head", "num_attention_heads", 12)?;
    let width = divided("n_embd", hidden, "n_head", heads)?;
    let inner = fields.optional_count("n_inner")?.unwrap_or(4 * hidden);
    let positions = either("n_positions", "max_position_embeddings", 1024)?;
    fields.get("n_ctx");
    fields.must_be_off("add_cross_attention")?;
    let scaled = fields.loose_flag("scale_attn_weights", true)?;
    let norm = Norm::layer(fields.number("layer_norm_epsilon", 1e-5)?);
    if fields.some("hidden_act").is_some() {
        return Err(fields
            .wrong("hidden_act", "`activation_function`, as GPT-2's is called")
            .help(NOT_COMPUTED));
    }
    let block = Block {
        attention: Attention {
            heads: Heads {
                query: heads,
                key: heads,
                width,
            },
            window: None,
            rotary: None,
            scale: (!scaled).then_some(1.0),
            scale_by_layer: fields.loose_flag("scale_attn_by_inverse_layer_idx", false)?,
            cap: None,
            bias: true,
            output_bias: true,
            qk_norm: None,
            query_rotary: None,
            sinks: false,
            alibi: false,
        },
        mlp: Mlp {
            inner,
            gated: false,
            activation: activation(fields, "activation_function", Activation::GeluTanh)?,
            bias: true,
            output_bias: true,
        },
        experts: None,
        halves: Halves::Serial,
        before_attention: Some(norm),
        after_attention: None,
        before_mlp: Some(norm),
        after_mlp: None,
        residual: 1.0,
    };
    Ok(Shape {
        family: "gpt2",
        tensors: TENSORS,
        vocabulary: fields.count("vocab_size", 50_257)?,
        hidden,
        embedding: Embedding {
            scale: None,
            positions: Some(positions),
        },
        layers: either("n_layer", "num_hidden_layers", 12)?,
        blocks: vec![block],
        pattern: vec![0],
        rotary: vec![],
        norm,
        output: Output {
            tied: fields.flag("tie_word_embeddings", true)?,
            bias: false,
            scale: 1.0,
            cap: None,
        },
    })
}

fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder(NormKind::Layer, "layer_norm_epsilon")?;
    config.remove("num_key_value_heads");
    config.rename("intermediate_size", "n_inner");
    for (other, own) in [
        ("hidden_size", "n_embd"),
        ("num_attention_heads", "n_head"),
        ("num_hidden_layers", "n_layer"),
        ("max_position_embeddings", "n_positions"),
    ] {
        config.rename(other, own);
    }
    Ok(config)
}
