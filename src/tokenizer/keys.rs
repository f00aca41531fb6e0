//! The keys of `tokenizer_config.json`: which are used, which have no effect here, and what is reported of the others.
//!
//! "Here" means: a text becomes token ids by a fast tokenizer of Hugging Face's transformers (4.57 and 5.24, whose
//! source was read for each key), and nothing else. There are no batches and no truncation, and generated text is
//! decoded token by token.

use serde_json::Value;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Computed with.
    Honoured,
    /// Changes no token of a text.
    Harmless,
    /// Has no effect as long as its value is empty, false or null; for any other value the reason is reported.
    HarmlessIfOff(&'static str),
    /// Would change tokens and is not computed; the reason. An error, unless its value is empty, false or null.
    Refused(&'static str),
    /// Not known.
    Unknown,
}

/// The special tokens that have a key of their own, in the order in which transformers adds them.
pub const NAMED: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// Keys that other modules of `tokenizer/` read.
const HONOURED: [&str; 13] = [
    "add_bos_token",
    "add_eos_token",
    "add_prefix_space",
    "added_tokens_decoder",
    "additional_special_tokens",
    "chat_template",
    "extra_special_tokens",
    "fast_tokenizer_files",
    "from_slow",
    "legacy",
    "model_specific_special_tokens",
    "split_special_tokens",
    "tokenizer_class",
];

const HARMLESS: [&str; 39] = [
    // How many texts become one batch, where they are cut and what they are filled with: one text is one prompt here.
    "max_len",
    "max_length",
    "model_max_length",
    "model_input_names",
    "pad_to_multiple_of",
    "pad_token_id",
    "pad_token_type_id",
    "padding",
    "padding_side",
    "stride",
    "truncation",
    "truncation_side",
    "truncation_strategy",
    // Decoding only. Tokens are shown by their own characters.
    "clean_up_tokenization_spaces",
    "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
    "decode_with_prefix_space",
    "errors",
    "spaces_between_special_tokens",
    "chat_control_tokens",
    "response_schema",
    "response_template",
    // Where the files were, and what wrote or reads them.
    "_commit_hash",
    "backend",
    "device_map",
    "files_loaded",
    "is_local",
    "local_files_only",
    "merges_file",
    "name_or_path",
    "processor_class",
    "special_tokens_map_file",
    "tokenizer_file",
    "tokenizer_type",
    "transformers_version",
    "use_fast",
    "verbose",
    "vocab_file",
    // Spans only.
    "trim_offsets",
    // Ids by number: the texts of these tokens have keys of their own.
    "bos_token_id",
];

const OFF: [(&str, &str); 9] = [
    (
        "auto_map",
        "a tokenizer with program code of its own, which igsite does not run; its tokens may be others",
    ),
    (
        "do_lower_case",
        "the fast tokenizers of these models pass it over, and so does igsite",
    ),
    (
        "init_inputs",
        "arguments of the slow tokenizer, which the fast one passes over, and so does igsite",
    ),
    (
        "keep_accents",
        "the fast tokenizers of these models pass it over, and so does igsite",
    ),
    (
        "remove_space",
        "the fast tokenizers of these models pass it over, and so does igsite",
    ),
    (
        "sp_model_kwargs",
        "options of the SentencePiece library, which the fast tokenizer passes over, and so does igsite",
    ),
    (
        "strip_accents",
        "the fast tokenizers of these models pass it over, and so does igsite",
    ),
    (
        "tokenize_chinese_chars",
        "the fast tokenizers of these models pass it over, and so does igsite",
    ),
    (
        "use_default_system_prompt",
        "no version of transformers since 4.44 puts a system prompt in by itself, and igsite does not either",
    ),
];

const REFUSED: [(&str, &str); 2] = [
    (
        "fix_mistral_regex",
        "transformers then takes another pre-tokenizer than tokenizer.json has",
    ),
    (
        "gguf_file",
        "transformers then reads the tokenizer from that file, and igsite does not",
    ),
];

/// What a key of `tokenizer_config.json` does.
pub fn does(key: &str) -> Does {
    let reason = |table: &[(&str, &'static str)]| table.iter().find(|(name, _)| *name == key).map(|(_, why)| *why);
    if NAMED.contains(&key) || HONOURED.contains(&key) {
        Does::Honoured
    } else if HARMLESS.contains(&key) || key.ends_with("_token_id") {
        Does::Harmless
    } else if let Some(why) = reason(&OFF) {
        Does::HarmlessIfOff(why)
    } else if let Some(why) = reason(&REFUSED) {
        Does::Refused(why)
    } else {
        Does::Unknown
    }
}

/// Whether a value switches nothing on.
pub fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_stands_in_two_lists() {
        let mut all: Vec<&str> = NAMED.iter().chain(&HONOURED).chain(&HARMLESS).copied().collect();
        all.extend(OFF.iter().chain(&REFUSED).map(|(key, _)| *key));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(does("legacy"), Does::Honoured);
        assert_eq!(does("padding_side"), Does::Harmless);
        assert_eq!(does("add_dummy_prefix_space"), Does::Unknown);
    }
}
