//! Falcon in its 7B layout (Almazrouei et al. 2023, arXiv:2311.16867), after `configuration_falcon.py` and `modeling_falcon.py` of
//! transformers 4.57 and 5.24: one LayerNorm feeds attention and MLP in parallel, all query heads share one key/value head.

use super::fields::{Fields, NOT_COMPUTED};
use super::shape::{
    Activation, Attention, Block, Embedding, Halves, Heads, Mlp, Norm, Output, Pairs, Rotary, Scaling, Shape,
};
use super::tensors::{Entry, Order, Slot, one};
use super::{Family, divided, even, rope};
use crate::diagnostic::{Diagnostic, Result};

/// The family. falcon-7b's first revisions call themselves `RefinedWebModel` and `RWForCausalLM`.
pub const FAMILY: Family = Family {
    types: &["falcon", "RefinedWebModel"],
    classes: &["FalconForCausalLM", "RWForCausalLM"],
    read,
    tensors: TENSORS,
    eos: Some(11),
};

const TENSORS: &[Entry] = &[
    one("transformer.word_embeddings", &[Slot::Embedding]),
    one("transformer.h.{}.input_layernorm", &[Slot::BeforeAttention]),
    Entry {
        stem: "transformer.h.{}.self_attention.query_key_value",
        slots: &[Slot::Query, Slot::Key, Slot::Value],
        order: Order::Stacked,
    },
    one("transformer.h.{}.self_attention.dense", &[Slot::AttentionOutput]),
    one("transformer.h.{}.mlp.dense_h_to_4h", &[Slot::Up]),
    one("transformer.h.{}.mlp.dense_4h_to_h", &[Slot::Down]),
    one("transformer.ln_f", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

fn read(fields: &Fields) -> Result<Shape> {
    // `gelu_python` is the same function, written out in Python.
    fields.must_be("activation", &["gelu", "gelu_python"])?;
    if let Some(other) = fields.some("hidden_act")
        && other != "gelu"
    {
        fields.warn(
            Diagnostic::checkpoint(format!("`hidden_act: {other}`"))
                .expected("`activation`, where Falcon's is said")
                .help("passed over, as transformers does"),
        );
    }
    for switch in ["bias", "alibi", "new_decoder_architecture"] {
        fields.must_be_off(switch)?;
    }
    for switch in ["multi_query", "parallel_attn"] {
        if !fields.loose_flag(switch, true)? {
            return Err(fields
                .wrong(switch, &format!("`{switch}: true`, as in falcon-7b"))
                .help("igsite computes Falcon's 7B layout only"));
        }
    }
    if let Some(norms) = fields.some("num_ln_in_parallel_attn")
        && norms.as_u64() != Some(1)
    {
        return Err(fields
            .wrong("num_ln_in_parallel_attn", "1, as in falcon-7b")
            .help(NOT_COMPUTED));
    }
    // Under `multi_query` there is one, whatever this says (71 in falcon-7b).
    fields.get("num_kv_heads");
    // `n_embed`, `n_head` and `n_layer` are the names in the first revisions. transformers takes the first over `hidden_size`.
    let hidden_size = match fields.optional_count("n_embed")? {
        Some(width) => {
            fields.get("hidden_size");
            width
        }
        None => fields.count("hidden_size", 4544)?,
    };
    let num_attention_heads = older(fields, "num_attention_heads", "n_head", 71)?;
    let head_dim = divided("hidden_size", hidden_size, "num_attention_heads", num_attention_heads)?;
    even("the head's width", head_dim)?;
    if let Some(width) = fields.optional_count("ffn_hidden_size")?
        && width != 4 * hidden_size
    {
        return Err(Diagnostic::checkpoint(format!("`ffn_hidden_size: {width}`"))
            .expected(format!("{} (4 × hidden_size), as in falcon-7b", 4 * hidden_size)));
    }
    let norm = Norm::layer(fields.number("layer_norm_epsilon", 1e-5)?);
    let block = Block {
        attention: Attention {
            heads: Heads {
                query: num_attention_heads,
                key: 1,
                width: head_dim,
            },
            window: None,
            rotary: Some(0),
            scale: None,
            scale_by_layer: false,
            cap: None,
            bias: false,
            output_bias: false,
            qk_norm: None,
        },
        mlp: Mlp {
            inner: 4 * hidden_size,
            gated: false,
            activation: Activation::Gelu,
            bias: false,
            output_bias: false,
        },
        halves: Halves::Parallel,
        before_attention: Some(norm),
        after_attention: None,
        before_mlp: None,
        after_mlp: None,
        residual: 1.0,
    };
    Ok(Shape {
        family: "falcon",
        tensors: TENSORS,
        vocabulary: fields.count("vocab_size", 65_024)?,
        hidden: hidden_size,
        embedding: Embedding::default(),
        layers: older(fields, "num_hidden_layers", "n_layer", 32)?,
        blocks: vec![block],
        pattern: vec![0],
        rotary: vec![Rotary {
            theta: rope::theta(fields)?,
            width: head_dim,
            pairs: Pairs::Halves,
            scaling: Scaling::None,
        }],
        norm,
        output: Output {
            tied: fields.flag("tie_word_embeddings", true)?,
            bias: false,
            scale: 1.0,
            cap: None,
        },
    })
}

/// A shape under its name of today, or under the older one.
fn older(fields: &Fields, key: &str, older: &str, default: usize) -> Result<usize> {
    let before = fields.optional_count(older)?;
    match before {
        Some(count) if fields.get(key).is_none() => Ok(count),
        _ => fields.count(key, default),
    }
}
