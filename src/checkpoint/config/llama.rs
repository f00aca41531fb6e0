//! `config.json` of Llama and Mistral, after `configuration_llama.py`, `configuration_mistral.py` and `configuration_ministral.py` of
//! transformers 4.57 and 5.24.

use super::fields::{Fields, NOT_COMPUTED};
use super::{LlamaConfig, divided, even, rope};
use crate::diagnostic::{Diagnostic, Result};

/// Reads a Llama.
///
/// # Errors
/// A switch that is not computed, a shape that cannot be.
pub fn llama(fields: &Fields) -> Result<LlamaConfig> {
    let mut config = common(fields, "llama", 11_008)?;
    if let Some(heads) = fields.optional_count("num_key_value_heads")? {
        config.num_key_value_heads = heads;
    }
    // Llama's own code has no window.
    if let Some(window) = fields.some("sliding_window") {
        fields.warn(
            Diagnostic::checkpoint(format!("`sliding_window: {window}`"))
                .expected("no window: Llama has none")
                .help("passed over, as transformers does"),
        );
    }
    use_window(fields, None)?;
    if let Some(kinds) = layer_types(fields, config.num_hidden_layers)?
        && kinds.contains(&Kind::Sliding)
    {
        fields.warn(
            Diagnostic::checkpoint("`layer_types` names layers of `sliding_attention`")
                .expected("`full_attention`: Llama has no other")
                .help("passed over, as transformers does"),
        );
    }
    checked(config)
}

/// Reads a Mistral. The window is 4,096 where the file says nothing of it; null is no window.
///
/// transformers' `AutoConfig` reads a Mistral with `layer_types` as a Ministral, whose layers have the window or not, one by one.
///
/// # Errors
/// As [`llama`].
pub fn mistral(fields: &Fields) -> Result<LlamaConfig> {
    let mut config = common(fields, "mistral", 14_336)?;
    // Left out it is 8, and null is as many as there are heads.
    if let Some(heads) = fields.optional_count_or("num_key_value_heads", 8)? {
        config.num_key_value_heads = heads;
    }
    config.sliding_window = fields.optional_count_or("sliding_window", 4096)?;
    use_window(fields, config.sliding_window)?;
    if let Some(kinds) = layer_types(fields, config.num_hidden_layers)? {
        if rope::are_nested(fields) {
            return Err(Diagnostic::checkpoint("settings of rotary positions by kind of layer")
                .expected("one setting for all layers")
                .help(NOT_COMPUTED));
        }
        if kinds.contains(&Kind::Sliding) && config.sliding_window.is_none() {
            return Err(fields
                .wrong("layer_types", "`full_attention` only, since `sliding_window` is null")
                .help("config.json contradicts itself: take it from where the model came from"));
        }
        config.full_layers = (0..kinds.len()).filter(|&layer| kinds[layer] == Kind::Full).collect();
        if config.full_layers.len() == kinds.len() {
            config.sliding_window = None;
            config.full_layers = vec![];
        }
    }
    checked(config)
}

/// What the two share.
fn common(fields: &Fields, model_type: &str, inner: usize) -> Result<LlamaConfig> {
    fields.must_be("hidden_act", &["silu", "swish"])?;
    fields.must_be_off("attention_bias")?;
    fields.must_be_off("mlp_bias")?;
    let heads = fields.count("num_attention_heads", 32)?;
    let hidden = fields.count("hidden_size", 4096)?;
    let head_dim = match fields.optional_count("head_dim")? {
        Some(width) => width,
        None => divided("hidden_size", hidden, "num_attention_heads", heads)?,
    };
    Ok(LlamaConfig {
        model_type: model_type.to_owned(),
        vocab_size: fields.count("vocab_size", 32_000)?,
        hidden_size: hidden,
        intermediate_size: fields.count("intermediate_size", inner)?,
        num_hidden_layers: fields.count("num_hidden_layers", 32)?,
        num_attention_heads: heads,
        num_key_value_heads: heads,
        head_dim,
        rms_norm_eps: fields.number("rms_norm_eps", 1e-6)?,
        rope_theta: rope::theta(fields)?,
        sliding_window: None,
        full_layers: vec![],
        tie_word_embeddings: fields.flag("tie_word_embeddings", false)?,
    })
}

fn checked(config: LlamaConfig) -> Result<LlamaConfig> {
    divided(
        "num_attention_heads",
        config.num_attention_heads,
        "num_key_value_heads",
        config.num_key_value_heads,
    )?;
    even("the head's width", config.head_dim)?;
    Ok(config)
}

/// `use_sliding_window` is Qwen2's; neither Llama nor Mistral reads it. It is told where it contradicts what is computed.
fn use_window(fields: &Fields, window: Option<usize>) -> Result<()> {
    let said = fields.loose_flag("use_sliding_window", window.is_some())?;
    // From which layer on the window holds, there; without a window it says nothing.
    if window.is_none() {
        fields.get("max_window_layers");
    }
    // Null says nothing either.
    if fields.some("use_sliding_window").is_some() && said != window.is_some() {
        let computed = window.map_or_else(|| "no window".to_owned(), |window| format!("a window of {window}"));
        fields.warn(
            Diagnostic::checkpoint(format!("`use_sliding_window: {said}`"))
                .expected(format!(
                    "nothing of the kind: {computed} is what transformers reads out of this file"
                ))
                .help("passed over, as transformers does; write `\"sliding_window\": null` for no window"),
        );
    }
    Ok(())
}

/// What a layer's positions see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Full,
    Sliding,
}

/// `layer_types`, one for each layer.
fn layer_types(fields: &Fields, layers: usize) -> Result<Option<Vec<Kind>>> {
    let Some(names) = fields.texts("layer_types")? else {
        return Ok(None);
    };
    if names.len() != layers {
        return Err(
            Diagnostic::checkpoint(format!("`layer_types` has {} entries", names.len()))
                .expected(format!("{layers}, one for each of `num_hidden_layers`")),
        );
    }
    let kind = |name: &&str| match *name {
        "full_attention" => Ok(Kind::Full),
        "sliding_attention" => Ok(Kind::Sliding),
        other => Err(Diagnostic::checkpoint(format!("`layer_types`: `{other}`"))
            .expected("`full_attention` or `sliding_attention`")
            .help(NOT_COMPUTED)),
    };
    names.iter().map(kind).collect::<Result<Vec<Kind>>>().map(Some)
}
