//! Fields of `config.json` that nothing is computed from: which of them cannot change a number, and what is said of the
//! others.

use serde_json::Value;

use super::fields::{Fields, is_empty, shown};
use crate::diagnostic::{Diagnostic, Result};

/// Fields that change no logit of a prompt, whatever their value.
const HARMLESS: &[&str] = &[
    // Who wrote the file, from what, with what.
    "_name_or_path",
    "name_or_path",
    "transformers_version",
    "_commit_hash",
    "model_name",
    "task_specific_params",
    "finetuning_task",
    "tokenizer_class",
    "prefix",
    "unsloth_fixed",
    "unsloth_version",
    // How the output is given, and with which code of equal results.
    "use_cache",
    "return_dict",
    "return_dict_in_generate",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "output_logits",
    "torchscript",
    "chunk_size_feed_forward",
    "attn_implementation",
    "_attn_implementation",
    "_attn_implementation_autoset",
    "use_flash_attn",
    "use_bfloat16",
    "tf_legacy_loss",
    "tie_last_hidden_states",
    // Training.
    "router_aux_loss_coef",
    "router_z_loss_coef",
    "router_jitter_noise",
    "output_router_logits",
    "embedding_dropout",
    "residual_dropout",
    "rescale_every",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "reorder_and_upcast_attn",
    "is_decoder",
    "initializer_range",
    "attention_dropout",
    "hidden_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
    "gradient_checkpointing",
    "max_sequence_length",
    "max_seq_length",
    "train_batch_size",
    // It cut products in parts that were summed; transformers since 4.47 does not read it. The sum is the same.
    "pretraining_tp",
    // Classifiers' heads, which no causal model has.
    "id2label",
    "label2id",
    "num_labels",
    "problem_type",
    "classifier_dropout",
    // Settings of generation (`GenerationConfig` of transformers), which this file may hold for `generate`.
    "bad_words_ids",
    "begin_suppress_tokens",
    "cache_implementation",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "epsilon_cutoff",
    "eta_cutoff",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "guidance_scale",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "min_p",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "remove_invalid_values",
    "repetition_penalty",
    "sep_token_id",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "unk_token_id",
];

/// Fields that put another model into the file than the one beside them, or change this one.
const FATAL: [(&str, &str); 6] = [
    ("text_config", "a language model, not one with a language model inside"),
    ("llm_config", "a language model, not one with a language model inside"),
    ("per_layer_config", "layers that are all alike"),
    ("pruned_heads", "all heads"),
    ("compression_config", "weights that are not compressed"),
    (
        "quantization",
        "weights that are not quantised (this is how MLX says so)",
    ),
];

/// Refuses what would be another model, and warns of what is not known.
///
/// Call it last: it goes by what was asked for.
///
/// # Errors
/// A field of those that are not computed is set.
pub fn check(fields: &Fields, class: &str) -> Result<()> {
    for (key, expected) in FATAL {
        fields.must_be_empty(key, expected)?;
    }
    custom_code(fields, class);
    let unknown: Vec<String> = fields
        .unasked()
        .into_iter()
        .filter(|(key, value)| !HARMLESS.contains(key) && matters(key, value))
        .map(|(key, value)| format!("`{key}: {}`", shown(value)))
        .collect();
    if !unknown.is_empty() {
        const TOLD: usize = 12;
        let more = match unknown.len().saturating_sub(TOLD) {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let told = unknown[..unknown.len().min(TOLD)].join(", ");
        fields.warn(
            Diagnostic::checkpoint(format!("settings that igsite does not know, passed over: {told}{more}"))
                .expected(format!(
                    "settings of transformers' `{class}`, which passes over others as well"
                ))
                .help("if the model was made with code that reads them, its numbers here are not its own"),
        );
    }
    Ok(())
}

/// Whether an unknown field says anything. `is_causal: false` does: it would be another model.
fn matters(key: &str, value: &Value) -> bool {
    !is_empty(value) || (key == "is_causal" && *value == Value::Bool(false))
}

/// `auto_map` names code in the repository. transformers runs it only when it is told to trust it; igsite never does.
fn custom_code(fields: &Fields, class: &str) {
    let Some(Value::Object(map)) = fields.get("auto_map") else {
        return;
    };
    // `repository--module.Class`
    let name = |value: &'_ Value| {
        value
            .as_str()
            .map(|name| name.rsplit(['.', '-']).next().unwrap_or(name).to_owned())
    };
    let Some(code) = map.get("AutoModelForCausalLM") else {
        return;
    };
    // falcon-7b's first revisions bring the code that transformers took over.
    let stock = |name: &str| name == class || (class == "FalconForCausalLM" && name == "RWForCausalLM");
    if !name(code).is_some_and(|name| stock(&name)) {
        fields.warn(
            Diagnostic::checkpoint(format!(
                "`auto_map`: the repository brings code of its own, {}",
                shown(code)
            ))
            .expected(format!("transformers' `{class}`, which is what igsite computes"))
            .help("igsite runs no code of a repository; if that code differs, so do its numbers"),
        );
    }
}
