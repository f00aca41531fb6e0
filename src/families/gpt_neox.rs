//! GPT-NeoX and Pythia (Black et al. 2022, arXiv:2204.06745; Biderman et al. 2023, arXiv:2304.01373), after
//! `configuration_gpt_neox.py` and `modeling_gpt_neox.py` of transformers 5.24: attention and MLP beside each other,
//! each with a LayerNorm of its own; a quarter of each head turns; query, key and value of a head lie together.

use super::base::{Defaults, activation, attention_bias};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, any};
use super::rope::{self, Wanted};
use super::shape::{Activation, Halves, Norm, NormKind, Pairs, Shape};
use super::tensors::{Entry, Order, Slot, one};
use super::{Family, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["gpt_neox"],
    classes: &["GPTNeoXForCausalLM"],
    read,
    eos: Some(2),
    gguf: Some(Gguf {
        architectures: &["gptneox"],
        is: any,
        config,
        permuted: false,
    }),
};

const TENSORS: &[Entry] = &[
    one("gpt_neox.embed_in", &[Slot::Embedding]),
    one("gpt_neox.layers.{}.input_layernorm", &[Slot::BeforeAttention]),
    Entry {
        stem: "gpt_neox.layers.{}.attention.query_key_value",
        slots: &[Slot::Query, Slot::Key, Slot::Value],
        order: Order::ByHead,
    },
    one("gpt_neox.layers.{}.attention.dense", &[Slot::AttentionOutput]),
    one("gpt_neox.layers.{}.post_attention_layernorm", &[Slot::BeforeMlp]),
    one("gpt_neox.layers.{}.mlp.dense_h_to_4h", &[Slot::Up]),
    one("gpt_neox.layers.{}.mlp.dense_4h_to_h", &[Slot::Down]),
    one("gpt_neox.final_layer_norm", &[Slot::Norm]),
    one("embed_out", &[Slot::Output]),
];

const DEFAULTS: Defaults = Defaults {
    family: "gpt_neox",
    tensors: TENSORS,
    vocabulary: 50_432,
    hidden: 6144,
    inner: 24_576,
    layers: 44,
    heads: 64,
    epsilon: 1e-5,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let (mut shape, head) = DEFAULTS.without_rotary(fields)?;
    const NAMES: [&str; 2] = ["rotary_emb_base", "rotary_pct"];
    const SHARE: f64 = 0.25;
    for (other, own, default) in [
        ("rope_theta", NAMES[0], DEFAULTS.theta),
        ("partial_rotary_factor", NAMES[1], SHARE),
    ] {
        let used = fields.number(own, default)?;
        if fields.some(other).and_then(serde_json::Value::as_f64) != Some(used) {
            fields.pass_over(other, &format!("`{own}`, which is {used}"));
        }
    }
    let wanted = Wanted {
        head,
        theta: DEFAULTS.theta,
        partial: Some(SHARE),
        pairs: Pairs::Halves,
        original: None,
        names: NAMES,
    };
    shape.rotary = vec![rope::read(fields, &wanted)?];
    let norm = Norm::layer(fields.number("layer_norm_eps", DEFAULTS.epsilon)?);
    shape.norm = norm;
    attention_bias(fields, &mut shape, true)?;
    let block = &mut shape.blocks[0];
    block.mlp.gated = false;
    block.mlp.activation = activation(fields, "hidden_act", Activation::Gelu)?;
    (block.mlp.bias, block.mlp.output_bias) = (true, true);
    (block.before_attention, block.before_mlp) = (Some(norm), Some(norm));
    block.halves = if fields.loose_flag("use_parallel_residual", true)? {
        Halves::Parallel
    } else {
        Halves::Serial
    };
    Ok(shape)
}

fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder(NormKind::Layer, "layer_norm_eps")?;
    config.set("rope_parameters", file.partial_rotary(&config)?);
    config.set("attention_bias", file.attention_bias());
    config.set_some("use_parallel_residual", file.value("use_parallel_residual").cloned());
    Ok(config)
}
