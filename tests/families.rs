//! Numbers of PyTorch, transformers 5 and Captum in float64, on tiny checkpoints of many families, against ours in
//! float32.
//!
//! The checkpoints are not part of the project; where they are missing these tests skip with a printed reason. The same
//! ground is covered by the random decoders of `src/model/tests.rs`, which have every switch, and by
//! `src/families/tests.rs`.

mod support;

use support::numbers::same_numbers;

fn check(family: &str) {
    let Some(folder) = support::shared(&format!("families/{family}")) else {
        return;
    };
    let expected = support::json(&folder.join("expected.json"));
    same_numbers(&folder, &expected["prompts"]);
}

macro_rules! families {
    ($($name:ident $folder:literal)*) => {
        $(#[test]
        fn $name() {
            check($folder);
        })*
    };
}

families! {
    cohere2 "cohere2"
    exaone4 "exaone4"
    falcon_of_the_newer_architecture "falcon-new"
    gemma "gemma"
    gemma2 "gemma2"
    gemma3 "gemma3"
    glm4 "glm4"
    gpt2 "gpt2"
    gpt_neox "gpt_neox"
    gpt_neox_serial "gpt_neox-serial"
    gpt_oss "gpt_oss"
    granite "granite"
    llama_linear_bias "llama-linear-bias"
    llama_yarn "llama-yarn"
    llama3 "llama3"
    mistral_head_dim "mistral-head-dim"
    mixtral "mixtral"
    olmo2 "olmo2"
    olmo3 "olmo3"
    phi "phi"
    phi3 "phi3"
    phi3_longrope "phi3-longrope"
    qwen2 "qwen2"
    qwen2_sliding "qwen2-sliding"
    qwen3 "qwen3"
    qwen3_moe "qwen3_moe"
    smollm3 "smollm3"
    stablelm "stablelm"
    starcoder2 "starcoder2"
}
