//! What models of other families need and igsite does not compute, so that their refusal says it.

/// What it is, and the families that need it: by `model_type` of transformers 5.24, then by `general.architecture` of
/// llama.cpp where that is another name.
const NEEDS: &[(&str, &[&str])] = &[
    (
        "layers of linear attention (gated DeltaNet)",
        &[
            "qwen3_next",
            "qwen3_5",
            "qwen3_5_text",
            "qwen3_5_moe",
            "qwen3_5_moe_text",
            "olmo_hybrid",
            "kimi_linear",
            "qwen3next",
            "qwen35",
            "qwen35moe",
            "kimi-linear",
        ],
    ),
    ("lightning attention", &["minimax"]),
    (
        "multi-head latent attention (MLA)",
        &[
            "deepseek_v2",
            "deepseek_v3",
            "deepseek_v32",
            "kimi_k2",
            "kimi_k25",
            "glm4_moe_lite",
            "glm_moe_dsa",
            "longcat_flash",
            "minicpm3",
            "youtu",
            "deepseek2",
        ],
    ),
    (
        "state spaces",
        &[
            "mamba",
            "mamba2",
            "falcon_mamba",
            "falcon_h1",
            "jamba",
            "bamba",
            "zamba",
            "zamba2",
            "nemotron_h",
            "granitemoehybrid",
            "falcon-h1",
            "granitehybrid",
        ],
    ),
    (
        "linear recurrences",
        &["recurrent_gemma", "rwkv", "xlstm", "rwkv6", "rwkv7"],
    ),
    (
        "per-layer embeddings",
        &["gemma3n", "gemma3n_text", "gemma4", "gemma4_text"],
    ),
    ("short convolutions", &["lfm2", "lfm2_moe", "lfm2moe"]),
];

/// What to do about a family that is not computed.
pub fn help(family: &str) -> String {
    match NEEDS.iter().find(|(_, families)| families.contains(&family)) {
        Some((what, _)) => {
            format!("`{family}` needs {what}, which igsite does not compute; choose another checkpoint")
        }
        None => "igsite computes these layouts only; choose another checkpoint".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::FAMILIES;

    #[test]
    fn what_is_computed_needs_nothing_else() {
        let needy = NEEDS.iter().flat_map(|(_, families)| *families);
        let computed: Vec<&str> = FAMILIES.iter().flat_map(|family| family.types).copied().collect();
        let files = crate::families::gguf::architectures();
        let both: Vec<&&str> = needy
            .filter(|name| computed.contains(name) || files.contains(name))
            .collect();
        assert_eq!(both, [&""; 0]);
        assert!(help("qwen3_next").contains("gated DeltaNet"));
        assert!(help("gptj").contains("these layouts only"));
    }
}
