//! Falcon (Almazrouei et al. 2023, arXiv:2311.16867), after `configuration_falcon.py` and `modeling_falcon.py` of
//! transformers 4.57 and 5.24: one LayerNorm feeds attention and MLP in parallel and all query heads share one
//! key/value head (7B); or groups of heads and a norm for each half (40B, 180B); or one half after the other.
//! Falcon-RW has linear biases (ALiBi) in the place of rotary positions.

use super::base::activation;
use super::fields::{Fields, NOT_COMPUTED};
use super::gguf::{Config, File, Gguf, any};
use super::rope::{self, Wanted};
use super::shape::{Activation, Attention, Block, Embedding, Halves, Heads, Mlp, Norm, NormKind, Output, Shape};
use super::tensors::{Entry, Order, Slot, one};
use super::{Family, divided, even};
use crate::diagnostic::{Diagnostic, Result};

/// The family. falcon-7b's first revisions call themselves `RefinedWebModel` and `RWForCausalLM`.
pub const FAMILY: Family = Family {
    types: &["falcon", "RefinedWebModel"],
    classes: &["FalconForCausalLM", "RWForCausalLM"],
    read,
    eos: Some(11),
    gguf: Some(Gguf {
        architectures: &["falcon"],
        is: any,
        config,
        permuted: false,
    }),
};

const QUERY_KEY_VALUE: Entry = Entry {
    stem: "transformer.h.{}.self_attention.query_key_value",
    slots: &[Slot::Query, Slot::Key, Slot::Value],
    order: Order::ByHead,
};

/// A layer with one norm, or the two of a serial one.
const TENSORS: &[Entry] = &[
    one("transformer.word_embeddings", &[Slot::Embedding]),
    one("transformer.h.{}.input_layernorm", &[Slot::BeforeAttention]),
    QUERY_KEY_VALUE,
    one("transformer.h.{}.self_attention.dense", &[Slot::AttentionOutput]),
    one("transformer.h.{}.post_attention_layernorm", &[Slot::BeforeMlp]),
    one("transformer.h.{}.mlp.dense_h_to_4h", &[Slot::Up]),
    one("transformer.h.{}.mlp.dense_4h_to_h", &[Slot::Down]),
    one("transformer.ln_f", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

/// A layer of the newer architecture, with a norm for each half.
const TWO_NORMS: &[Entry] = &[
    one("transformer.word_embeddings", &[Slot::Embedding]),
    one("transformer.h.{}.ln_attn", &[Slot::BeforeAttention]),
    one("transformer.h.{}.ln_mlp", &[Slot::BeforeMlp]),
    QUERY_KEY_VALUE,
    one("transformer.h.{}.self_attention.dense", &[Slot::AttentionOutput]),
    one("transformer.h.{}.mlp.dense_h_to_4h", &[Slot::Up]),
    one("transformer.h.{}.mlp.dense_4h_to_h", &[Slot::Down]),
    one("transformer.ln_f", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

fn read(fields: &Fields) -> Result<Shape> {
    let activation = match fields.get("activation") {
        Some(serde_json::Value::Null) => return Err(fields.wrong("activation", "the name of an activation")),
        _ => activation(fields, "activation", Activation::Gelu)?,
    };
    if let Some(other) = fields.some("hidden_act")
        && other != "gelu"
    {
        fields.warn(
            Diagnostic::checkpoint(format!("`hidden_act: {other}`"))
                .expected("`activation`, where Falcon's is said")
                .help("passed over, as transformers does"),
        );
    }
    let alibi = fields.loose_flag("alibi", false)?;
    if alibi {
        // Of no use there.
        for key in ["rope_theta", "rope_scaling", "rope_parameters"] {
            fields.get(key);
        }
    }
    let bias = fields.loose_flag("bias", false)?;
    let newer = fields.loose_flag("new_decoder_architecture", false)?;
    let multi_query = fields.loose_flag("multi_query", true)?;
    let parallel = newer || fields.loose_flag("parallel_attn", true)?;
    fields.get("parallel_attn");
    let norms = match fields.some("num_ln_in_parallel_attn") {
        None if newer => 2,
        None => 1,
        Some(value) => match value.as_u64() {
            Some(1) => 1,
            Some(2) if newer => 2,
            _ => {
                return Err(fields
                    .wrong(
                        "num_ln_in_parallel_attn",
                        "1, or 2 with `new_decoder_architecture: true`",
                    )
                    .help(NOT_COMPUTED));
            }
        },
    };
    // `n_embed`, `n_head` and `n_layer` are the names in the first revisions. transformers takes the first over
    // `hidden_size`.
    let hidden_size = match fields.optional_count("n_embed")? {
        Some(width) => {
            fields.get("hidden_size");
            width
        }
        None => fields.count("hidden_size", 4544)?,
    };
    let num_attention_heads = older(fields, "num_attention_heads", "n_head", 71)?;
    let head_dim = divided("hidden_size", hidden_size, "num_attention_heads", num_attention_heads)?;
    if !alibi {
        even("the head's width", head_dim)?;
    }
    // Under `multi_query` there is one, whatever this says (71 in falcon-7b).
    let said = fields.optional_count("num_kv_heads")?.unwrap_or(num_attention_heads);
    let key_heads = match (newer, multi_query) {
        (true, _) => said,
        (false, true) => 1,
        (false, false) => num_attention_heads,
    };
    divided("num_attention_heads", num_attention_heads, "num_kv_heads", key_heads)?;
    let inner = fields.optional_count("ffn_hidden_size")?.unwrap_or(4 * hidden_size);
    let norm = Norm::layer(fields.number("layer_norm_epsilon", 1e-5)?);
    let block = Block {
        attention: Attention {
            heads: Heads {
                query: num_attention_heads,
                key: key_heads,
                width: head_dim,
            },
            window: None,
            rotary: (!alibi).then_some(0),
            scale: None,
            scale_by_layer: false,
            cap: None,
            bias,
            output_bias: bias,
            qk_norm: None,
            query_rotary: None,
            sinks: false,
            alibi,
        },
        mlp: Mlp {
            inner,
            gated: false,
            activation,
            bias,
            output_bias: bias,
        },
        experts: None,
        halves: if parallel { Halves::Parallel } else { Halves::Serial },
        before_attention: Some(norm),
        after_attention: None,
        before_mlp: (!parallel || norms == 2).then_some(norm),
        after_mlp: None,
        residual: 1.0,
    };
    Ok(Shape {
        family: "falcon",
        tensors: if norms == 2 { TWO_NORMS } else { TENSORS },
        vocabulary: fields.count("vocab_size", 65_024)?,
        hidden: hidden_size,
        embedding: Embedding::default(),
        layers: older(fields, "num_hidden_layers", "n_layer", 32)?,
        blocks: vec![block],
        pattern: vec![0],
        rotary: if alibi {
            vec![]
        } else {
            vec![rope::read(fields, &Wanted::whole(head_dim, 10_000.0))?]
        },
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

fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder(NormKind::Layer, "layer_norm_epsilon")?;
    config.set("rope_parameters", file.rotary(&config)?);
    config.rename("num_key_value_heads", "num_kv_heads");
    config.rename("intermediate_size", "ffn_hidden_size");
    let norms = if file.has_in_layers("attn_norm_2.weight") { 2 } else { 1 };
    let groups = file.count("attention.head_count_kv")?.is_some_and(|heads| heads > 1);
    let newer = norms == 2 || groups;
    config.set("new_decoder_architecture", newer);
    config.set("multi_query", !newer);
    config.set("parallel_attn", true);
    config.set_some("num_ln_in_parallel_attn", newer.then_some(norms));
    config.set("bias", file.attention_bias());
    Ok(config)
}
