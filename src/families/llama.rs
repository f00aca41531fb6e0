//! Llama (Touvron et al. 2023, arXiv:2302.13971 and 2307.09288), after `configuration_llama.py` and `modeling_llama.py`
//! of transformers 4.57 and 5.24.

use super::Family;
use super::base::{Defaults, Kind, attention_bias, layer_types};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, without_window};
use super::shape::{NormKind, Shape};
use super::tensors::{Entry, Slot, one};
use crate::diagnostic::{Diagnostic, Result};

/// The family.
pub const FAMILY: Family = Family {
    types: &["llama"],
    classes: &["LlamaForCausalLM"],
    read,
    eos: Some(2),
    gguf: Some(Gguf {
        architectures: &["llama"],
        is,
        config,
        permuted: true,
    }),
};

/// The names that most families share with Llama; norms of queries and keys are Qwen3's, the router and
/// experts those of its mixtures.
pub const TENSORS: &[Entry] = &[
    one("model.embed_tokens", &[Slot::Embedding]),
    one("model.layers.{}.input_layernorm", &[Slot::BeforeAttention]),
    one("model.layers.{}.self_attn.q_proj", &[Slot::Query]),
    one("model.layers.{}.self_attn.k_proj", &[Slot::Key]),
    one("model.layers.{}.self_attn.v_proj", &[Slot::Value]),
    one("model.layers.{}.self_attn.q_norm", &[Slot::QueryNorm]),
    one("model.layers.{}.self_attn.k_norm", &[Slot::KeyNorm]),
    one("model.layers.{}.self_attn.o_proj", &[Slot::AttentionOutput]),
    one("model.layers.{}.post_attention_layernorm", &[Slot::BeforeMlp]),
    one("model.layers.{}.mlp.gate_proj", &[Slot::Gate]),
    one("model.layers.{}.mlp.up_proj", &[Slot::Up]),
    one("model.layers.{}.mlp.down_proj", &[Slot::Down]),
    one("model.layers.{}.mlp.gate", &[Slot::Router]),
    one("model.layers.{}.mlp.experts.{e}.gate_proj", &[Slot::ExpertGate]),
    one("model.layers.{}.mlp.experts.{e}.up_proj", &[Slot::ExpertUp]),
    one("model.layers.{}.mlp.experts.{e}.down_proj", &[Slot::ExpertDown]),
    one("model.norm", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

/// Those of `configuration_llama.py`.
pub const DEFAULTS: Defaults = Defaults {
    family: "llama",
    tensors: TENSORS,
    vocabulary: 32_000,
    hidden: 4096,
    inner: 11_008,
    layers: 32,
    heads: 32,
    key_heads: None,
    head: None,
    epsilon: 1e-6,
    tied: false,
    theta: 10_000.0,
};

fn read(fields: &Fields) -> Result<Shape> {
    fields.must_be("hidden_act", &["silu", "swish"])?;
    let mut shape = DEFAULTS.read(fields)?;
    biases(fields, &mut shape)?;
    // Llama's own code has no window.
    fields.pass_over("sliding_window", "no window: Llama has none");
    use_window(fields, None)?;
    if let Some(kinds) = layer_types(fields, shape.layers)?
        && kinds.contains(&Kind::Sliding)
    {
        fields.warn(
            Diagnostic::checkpoint("`layer_types` names layers of `sliding_attention`")
                .expected("`full_attention`: Llama has no other")
                .help("passed over, as transformers does"),
        );
    }
    Ok(shape)
}

/// `attention_bias` is of all four layers of attention, `mlp_bias` of all three of the MLP.
///
/// # Errors
/// They are no flags.
pub fn biases(fields: &Fields, shape: &mut Shape) -> Result<()> {
    attention_bias(fields, shape, false)?;
    let bias = fields.loose_flag("mlp_bias", false)?;
    let mlp = &mut shape.blocks[0].mlp;
    (mlp.bias, mlp.output_bias) = (bias, bias);
    Ok(())
}

/// `use_sliding_window` is Qwen2's; neither Llama nor Mistral reads it. A warning says where it contradicts what is
/// computed.
pub fn use_window(fields: &Fields, window: Option<usize>) -> Result<()> {
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

/// Others of this architecture are Mistral and Mixtral.
fn is(file: &File) -> bool {
    without_window(file) && !file.has_experts()
}

/// Its `config.json` from a GGUF file. Mistral's models are of this architecture, too; with a window they are Mistral's.
///
/// # Errors
/// As the file's getters.
pub fn config(file: &File) -> Result<Config> {
    let mut config = file.decoder_with_heads(NormKind::Rms, "rms_norm_eps")?;
    config.set("rope_parameters", file.rotary(&config)?);
    config.set("attention_bias", file.attention_bias());
    config.set("mlp_bias", file.mlp_bias());
    Ok(config)
}
