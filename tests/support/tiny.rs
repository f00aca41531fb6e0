//! A tiny Llama with fixed weights and a byte-fallback tokenizer, made by the tests themselves.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::{Value, json};

/// Width of the residual stream.
pub const HIDDEN: usize = 16;
/// Width of the MLP.
pub const INNER: usize = 24;
/// Decoder layers.
pub const LAYERS: usize = 2;

/// Tensors by name: shape and values.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Numbers that look random and are the same everywhere (SplitMix64), uniform in ±√3·deviation.
fn numbers(seed: u64, count: usize, deviation: f32) -> Vec<f32> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            ((z >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 12f32.sqrt() * deviation
        })
        .collect()
}

/// The pieces: special tokens, all bytes, then every printable ASCII character and the blank's mark. No merges.
pub fn vocabulary() -> Vec<String> {
    let mut pieces: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).into();
    pieces.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    pieces.push("▁".to_owned());
    pieces.extend((b'!'..=b'~').map(|byte| char::from(byte).to_string()));
    pieces
}

/// A `tokenizer.json` in the form of Llama's, over [`vocabulary`].
pub fn tokenizer_json() -> Value {
    let pieces = vocabulary();
    let vocab: serde_json::Map<String, Value> = pieces
        .iter()
        .enumerate()
        .map(|(id, p)| (p.clone(), json!(id)))
        .collect();
    let special = |id: usize| {
        json!({"id": id, "content": pieces[id], "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0), special(1), special(2)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null,
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<s>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": []}
    })
}

/// The `config.json` of the tiny Llama.
pub fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocabulary().len(),
        "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
        "num_key_value_heads": 2, "hidden_act": "silu", "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2,
        "tie_word_embeddings": false, "torch_dtype": "float32"
    })
}

/// The tensors of the tiny Llama.
pub fn tensors() -> Tensors {
    let vocabulary = vocabulary().len();
    let mut shapes: Vec<(String, Vec<usize>)> = vec![("model.embed_tokens.weight".into(), vec![vocabulary, HIDDEN])];
    for layer in 0..LAYERS {
        let mut add =
            |name: &str, shape: Vec<usize>| shapes.push((format!("model.layers.{layer}.{name}.weight"), shape));
        add("input_layernorm", vec![HIDDEN]);
        add("post_attention_layernorm", vec![HIDDEN]);
        add("self_attn.q_proj", vec![HIDDEN, HIDDEN]);
        add("self_attn.k_proj", vec![HIDDEN / 2, HIDDEN]);
        add("self_attn.v_proj", vec![HIDDEN / 2, HIDDEN]);
        add("self_attn.o_proj", vec![HIDDEN, HIDDEN]);
        add("mlp.gate_proj", vec![INNER, HIDDEN]);
        add("mlp.up_proj", vec![INNER, HIDDEN]);
        add("mlp.down_proj", vec![HIDDEN, INNER]);
    }
    shapes.push(("model.norm.weight".into(), vec![HIDDEN]));
    shapes.push(("lm_head.weight".into(), vec![vocabulary, HIDDEN]));
    let tensor = |(seed, (name, shape)): (usize, (String, Vec<usize>))| {
        let count = shape.iter().product();
        let values = match shape.len() {
            1 => numbers(seed as u64, count, 0.2).into_iter().map(|v| 1.0 + v).collect(),
            _ if name.contains("embed") => numbers(seed as u64, count, 0.5),
            _ => numbers(seed as u64, count, 1.0 / (shape[1] as f32).sqrt()),
        };
        (name, (shape, values))
    };
    shapes.into_iter().enumerate().map(tensor).collect()
}

/// Writes tensors as one safetensors file in float32.
pub fn write_safetensors(path: &Path, tensors: &Tensors) {
    let bytes: BTreeMap<&str, (Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            (
                name.as_str(),
                (shape.clone(), values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            )
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, (shape, data))| (*name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    serialize_to_file(views, None, path).unwrap();
}

/// Writes the whole checkpoint.
pub fn write_llama(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("config.json"), config().to_string()).unwrap();
    std::fs::write(folder.join("tokenizer.json"), tokenizer_json().to_string()).unwrap();
    write_safetensors(&folder.join("model.safetensors"), &tensors());
}
