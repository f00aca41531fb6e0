//! gpt-oss (OpenAI 2025, arXiv:2508.10925), after `configuration_gpt_oss.py` and `modeling_gpt_oss.py` of transformers
//! 5.24: mixtures of experts whose activation is clamped, attention with sinks, every second layer a window, YaRN.

use serde_json::{Map, Value, json};

use super::base::{Defaults, Kind, attention_bias, by_kind, chosen, kinds_or_every};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, SOFTMAX_OF_CHOSEN, WINDOW, any};
use super::shape::{Activation, Experts, NormKind, Shape};
use super::tensors::{Entry, Order, Slot, one};
use super::{Family, rope};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["gpt_oss"],
    classes: &["GptOssForCausalLM"],
    read,
    eos: None,
    gguf: Some(Gguf {
        architectures: &["gpt-oss"],
        is: any,
        config,
        permuted: false,
    }),
};

const TENSORS: &[Entry] = &[
    one("model.embed_tokens", &[Slot::Embedding]),
    one("model.layers.{}.input_layernorm", &[Slot::BeforeAttention]),
    one("model.layers.{}.self_attn.q_proj", &[Slot::Query]),
    one("model.layers.{}.self_attn.k_proj", &[Slot::Key]),
    one("model.layers.{}.self_attn.v_proj", &[Slot::Value]),
    Entry {
        stem: "model.layers.{}.self_attn.sinks",
        slots: &[Slot::Sinks],
        order: Order::Bare,
    },
    one("model.layers.{}.self_attn.o_proj", &[Slot::AttentionOutput]),
    one("model.layers.{}.post_attention_layernorm", &[Slot::BeforeMlp]),
    one("model.layers.{}.mlp.router", &[Slot::Router]),
    Entry {
        stem: "model.layers.{}.mlp.experts.gate_up_proj",
        slots: &[Slot::ExpertGate, Slot::ExpertUp],
        order: Order::Experts,
    },
    Entry {
        stem: "model.layers.{}.mlp.experts.down_proj",
        slots: &[Slot::ExpertDown],
        order: Order::Experts,
    },
    one("model.norm", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

const DEFAULTS: Defaults = Defaults {
    family: "gpt_oss",
    tensors: TENSORS,
    vocabulary: 201_088,
    hidden: 2880,
    inner: 2880,
    layers: 36,
    heads: 64,
    key_heads: Some(8),
    head: Some(64),
    epsilon: 1e-5,
    tied: false,
    theta: 150_000.0,
};

fn read(fields: &Fields) -> Result<Shape> {
    // The activation is the clamped one, whatever is said.
    fields.must_be("hidden_act", &["silu", "swish"])?;
    let (mut shape, head) = DEFAULTS.without_rotary(fields)?;
    super::even("the head's width", head)?;
    let wanted = rope::Wanted::whole(head, DEFAULTS.theta);
    shape.rotary = vec![rope::read_or(fields, &wanted, &default_rotary())?];
    attention_bias(fields, &mut shape, true)?;
    let (count, chosen) = chosen(fields, &["num_local_experts", "num_experts"], 128, 4)?;
    // What files of transformers 4 call it beside `num_experts_per_tok`.
    fields.get("experts_per_token");
    shape.widen_norms();
    let block = &mut shape.blocks[0];
    block.attention.sinks = true;
    block.mlp.activation = Activation::ClampedSwish {
        gain: fields.number("swiglu_alpha", 1.702)? as f32,
        limit: fields.number("swiglu_limit", 7.0)? as f32,
    };
    (block.mlp.bias, block.mlp.output_bias) = (true, true);
    block.experts = Some(Experts {
        count,
        chosen,
        renormalise: true,
        router_bias: true,
    });
    let window = fields.optional_count_or("sliding_window", 128)?;
    let kinds: Vec<Kind> = kinds_or_every(fields, shape.layers, 2)?;
    by_kind(fields, &mut shape, &kinds, window, |_, _| ())?;
    // Some files say what the kinds say already.
    fields.get("initial_context_length");
    Ok(shape)
}

/// What `configuration_gpt_oss.py` has where the file says nothing of rotary positions.
fn default_rotary() -> Map<String, Value> {
    let settings = json!({
        "rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": false,
        "original_max_position_embeddings": 4096,
    });
    settings.as_object().cloned().unwrap_or_default()
}

/// Bounds of YaRN are not rounded, which no file says.
fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder_with_heads(NormKind::Rms, "rms_norm_eps")?;
    let mut rotary = file.rotary(&config)?;
    if rotary.get("rope_type").is_some_and(|kind| kind == "yarn") {
        rotary.insert("truncate".to_owned(), false.into());
    }
    config.set("rope_parameters", rotary);
    config.set("attention_bias", file.attention_bias());
    file.experts(&mut config, SOFTMAX_OF_CHOSEN)?;
    config.set_some("intermediate_size", file.count("expert_feed_forward_length")?);
    config.set("sliding_window", file.required(WINDOW)?);
    config.set("layer_types", file.layer_types(&config, 2)?);
    Ok(config)
}
