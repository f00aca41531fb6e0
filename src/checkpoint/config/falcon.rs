//! `config.json` of Falcon, after `configuration_falcon.py` of transformers 4.57 and 5.24.

use super::fields::{Fields, NOT_COMPUTED};
use super::{FalconConfig, divided, even, rope};
use crate::diagnostic::{Diagnostic, Result};

/// Reads a Falcon in its 7B layout.
///
/// # Errors
/// A switch that is not computed, a shape that cannot be.
pub fn falcon(fields: &Fields) -> Result<FalconConfig> {
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
    Ok(FalconConfig {
        vocab_size: fields.count("vocab_size", 65_024)?,
        hidden_size,
        num_hidden_layers: older(fields, "num_hidden_layers", "n_layer", 32)?,
        num_attention_heads,
        layer_norm_epsilon: fields.number("layer_norm_epsilon", 1e-5)?,
        rope_theta: rope::theta(fields)?,
        tie_word_embeddings: fields.flag("tie_word_embeddings", true)?,
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
