//! Ministral 3 (Mistral AI 2025), after `configuration_ministral3.py` and `modeling_ministral3.py` of transformers 5.24:
//! a Mistral with YaRN, whose queries grow with the position beyond the context that it was trained with.

use super::base::Defaults;
use super::fields::{Fields, positive, shown};
use super::gguf::{Config, File, Gguf};
use super::shape::{Growth, Pairs, Rotary, Scaling, Shape};
use super::{Family, even, llama, mistral, rope};
use crate::diagnostic::{Diagnostic, Result};

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
    theta: 1_000_000.0,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    fields.must_be("hidden_act", &["silu", "swish"])?;
    for switch in ["attention_bias", "mlp_bias"] {
        fields.must_be_off(switch)?;
    }
    let (mut shape, head) = DEFAULTS.without_rotary(fields)?;
    even("the head's width", head)?;
    let settings = ["rope_scaling", "rope_parameters"]
        .into_iter()
        .find_map(|key| fields.some(key).and_then(|value| value.as_object()));
    let (rotary, growth) = match settings {
        None => default_rotary(fields, head)?,
        Some(map) => {
            let wanted = |key: &str| {
                let said = map.get(key).filter(|value| !value.is_null());
                let number = said.map(|value| {
                    positive(value).ok_or_else(|| {
                        Diagnostic::checkpoint(format!("`{key}: {}`", shown(value))).expected("a number above 0")
                    })
                });
                number.transpose()
            };
            let beta = wanted("llama_4_scaling_beta")?;
            let original = wanted("original_max_position_embeddings")?;
            let growth = beta.zip(original).map(|(beta, original)| Growth { beta, original });
            if growth.is_none() {
                return Err(Diagnostic::checkpoint("`rope_parameters` without a number at `llama_4_scaling_beta` or `original_max_position_embeddings`")
                    .expected("both: this family's queries are scaled by them"));
            }
            (rope::read(fields, &rope::Wanted::whole(head, DEFAULTS.theta))?, growth)
        }
    };
    let queries = Rotary {
        growth,
        ..rotary.clone()
    };
    shape.rotary = vec![rotary, queries];
    let block = &mut shape.blocks[0];
    block.attention.query_rotary = Some(1);
    block.attention.window = fields.optional_count("sliding_window")?;
    Ok(shape)
}

/// What `configuration_ministral3.py` has where the file says nothing of rotary positions.
fn default_rotary(fields: &Fields, head: usize) -> Result<(Rotary, Option<Growth>)> {
    fields.get("original_max_position_embeddings");
    let rotary = Rotary {
        theta: fields.number("rope_theta", DEFAULTS.theta)?,
        width: head,
        pairs: Pairs::Halves,
        scaling: Scaling::Yarn {
            factor: 16.0,
            original: 16_384.0,
            fast: 32.0,
            slow: 1.0,
            truncate: true,
            attention: 1.0,
        },
        growth: None,
    };
    let growth = Growth {
        beta: 0.1,
        original: 16_384.0,
    };
    Ok((rotary, Some(growth)))
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
