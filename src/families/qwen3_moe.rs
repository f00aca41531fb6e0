//! Qwen3's mixtures of experts (Yang et al. 2025, arXiv:2505.09388), after `configuration_qwen3_moe.py` and
//! `modeling_qwen3_moe.py` of transformers 5.24: a Qwen3 with experts in the place of all MLPs, or of some.

use serde_json::Value;

use super::base::{Defaults, activation, at_most, attention_bias, chosen};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, SOFTMAX, any};
use super::shape::{Activation, Experts, NormKind, Over, QkNorm, Shape};
use super::{Family, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["qwen3_moe"],
    classes: &["Qwen3MoeForCausalLM"],
    read,
    eos: None,
    gguf: Some(Gguf {
        architectures: &["qwen3moe"],
        is: any,
        config,
        permuted: false,
    }),
};

const DEFAULTS: Defaults = Defaults {
    family: "qwen3_moe",
    tensors: llama::TENSORS,
    vocabulary: 151_936,
    hidden: 2048,
    inner: 6144,
    layers: 24,
    heads: 32,
    key_heads: Some(4),
    head: None,
    epsilon: 1e-6,
    tied: false,
    theta: 10_000.0,
};

fn read(fields: &Fields) -> Result<Shape> {
    let mut shape = DEFAULTS.read(fields)?;
    attention_bias(fields, &mut shape, false)?;
    let norm = shape.norm;
    let block = &mut shape.blocks[0];
    block.mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    block.attention.qk_norm = Some(QkNorm {
        norm,
        over: Over::Head,
        after_rotary: false,
    });
    // All layers have the window, or none; transformers reads neither `max_window_layers` nor `layer_types` here.
    fields.get("max_window_layers");
    let on = fields.loose_flag("use_sliding_window", false)?;
    block.attention.window = fields.optional_count_or_silent("sliding_window", 4096)?.filter(|_| on);
    let dense = *block;
    let inner = fields.count("moe_intermediate_size", 768)?;
    let (count, chosen) = chosen(fields, &["num_local_experts", "num_experts"], 128, 8)?;
    let mut sparse = dense;
    sparse.mlp.inner = inner;
    sparse.experts = Some(Experts {
        count,
        chosen,
        renormalise: fields.flag("norm_topk_prob", false)?,
        router_bias: false,
    });
    let step = fields.count("decoder_sparse_step", 1)?;
    let without = layers_without(fields)?;
    let is_sparse = |layer: usize| !without.contains(&layer) && (layer + 1).is_multiple_of(step);
    shape.blocks = vec![sparse, dense];
    shape.pattern = if without.is_empty() && step == 1 {
        vec![0]
    } else {
        at_most(shape.layers)?;
        (0..shape.layers).map(|layer| usize::from(!is_sparse(layer))).collect()
    };
    Ok(shape)
}

/// `mlp_only_layers`: the numbers of layers that have one MLP.
fn layers_without(fields: &Fields) -> Result<Vec<usize>> {
    let wrong = || fields.wrong("mlp_only_layers", "a list of layers' numbers, or null");
    match fields.some("mlp_only_layers") {
        None => Ok(vec![]),
        Some(Value::Array(all)) => {
            let number = |value: &Value| value.as_u64().map(|number| number as usize).ok_or_else(wrong);
            all.iter().map(number).collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// llama.cpp knows no other weights of experts than those that sum to 1.
fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder_with_heads(NormKind::Rms, "rms_norm_eps")?;
    config.set("rope_parameters", file.rotary(&config)?);
    config.set("attention_bias", file.attention_bias());
    file.experts(&mut config, SOFTMAX)?;
    config.set("norm_topk_prob", true);
    config.set("moe_intermediate_size", file.required("expert_feed_forward_length")?);
    config.set("decoder_sparse_step", 1);
    Ok(config)
}
