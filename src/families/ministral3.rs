//! Ministral 3 (Mistral AI 2025), after `configuration_ministral3.py` and `modeling_ministral3.py` of transformers 5.24:
//! a Mistral with YaRN, whose queries grow with the position beyond the context that it was trained with.

use serde_json::{Map, Value, json};

use super::base::Defaults;
use super::fields::Fields;
use super::gguf::{Config, File, Gguf};
use super::shape::{Rotary, Shape};
use super::{Family, even, llama, mistral, rope};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["ministral3"],
    classes: &["Ministral3ForCausalLM"],
    read,
    eos: Some(2),
    gguf: Some(Gguf {
        architectures: &["mistral3"],
        is,
        config,
        permuted: true,
    }),
};

const DEFAULTS: Defaults = Defaults {
    family: "ministral3",
    vocabulary: 131_072,
    inner: 14_336,
    layers: 34,
    key_heads: Some(8),
    head: Some(128),
    epsilon: 1e-5,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    fields.must_be("hidden_act", &["silu", "swish"])?;
    for switch in ["attention_bias", "mlp_bias"] {
        fields.must_be_off(switch)?;
    }
    let (mut shape, head) = DEFAULTS.without_rotary(fields)?;
    even("the head's width", head)?;
    let queries = rope::read_growing(fields, &rope::Wanted::whole(head, DEFAULTS.theta), &default_rotary())?;
    let keys = Rotary {
        growth: None,
        ..queries.clone()
    };
    shape.rotary = vec![keys, queries];
    let block = &mut shape.blocks[0];
    block.attention.query_rotary = Some(1);
    block.attention.window = fields.optional_count("sliding_window")?;
    Ok(shape)
}

/// What `configuration_ministral3.py` has where the file says nothing of rotary positions.
fn default_rotary() -> Map<String, Value> {
    let settings = json!({
        "rope_type": "yarn", "rope_theta": 1_000_000.0, "factor": 16.0, "original_max_position_embeddings": 16_384, "beta_fast": 32.0,
        "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1,
    });
    settings.as_object().cloned().unwrap_or_default()
}

/// The other models of this architecture are Mistral's.
fn is(file: &File) -> bool {
    !file.has_experts() && file.value("attention.temperature_scale").is_some()
}

fn config(file: &File) -> Result<Config> {
    let mut config = mistral::config(file)?;
    let mut rotary = file.rotary(&config)?;
    let beta = file.number("attention.temperature_scale")?;
    rotary.extend(beta.map(|beta| ("llama_4_scaling_beta".to_owned(), beta.into())));
    config.set("rope_parameters", rotary);
    Ok(config)
}
