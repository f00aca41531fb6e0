//! A checkpoint is never in memory twice: a Llama of 200 MB in float16 loads with a peak of little more than that, and
//! in 4 bits with less than half.
//!
//! The only test of its process, because the peak is the process's.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "what was measured, for who asks with --nocapture")]
mod support;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use burn::tensor::DType;
use igsite::attribution::integrated_gradients::Explainer;
use igsite::checkpoint::Checkpoint;
use igsite::kernel::matrix::Code;
use igsite::model::device::Backend;
use igsite::tensor::matrix::Precision;
use serde_json::json;

const HIDDEN: usize = 1024;
const INNER: usize = 2816;
const LAYERS: usize = 7;
const VOCABULARY: usize = 5120;

/// The process's largest resident size so far, in bytes (`VmHWM`).
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Writes a float16 checkpoint tensor by tensor, so that the writer itself needs no memory. Gives its size in bytes.
fn write(folder: &Path) -> u64 {
    let mut shapes: Vec<(String, Vec<usize>)> = vec![("model.embed_tokens.weight".into(), vec![VOCABULARY, HIDDEN])];
    for layer in 0..LAYERS {
        let mut add =
            |name: &str, shape: Vec<usize>| shapes.push((format!("model.layers.{layer}.{name}.weight"), shape));
        add("input_layernorm", vec![HIDDEN]);
        add("post_attention_layernorm", vec![HIDDEN]);
        for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            add(&format!("self_attn.{name}"), vec![HIDDEN, HIDDEN]);
        }
        add("mlp.gate_proj", vec![INNER, HIDDEN]);
        add("mlp.up_proj", vec![INNER, HIDDEN]);
        add("mlp.down_proj", vec![HIDDEN, INNER]);
    }
    shapes.push(("model.norm.weight".into(), vec![HIDDEN]));
    shapes.push(("lm_head.weight".into(), vec![VOCABULARY, HIDDEN]));
    let mut header = serde_json::Map::new();
    let mut end = 0usize;
    for (name, shape) in &shapes {
        let bytes = 2 * shape.iter().product::<usize>();
        header.insert(
            name.clone(),
            json!({"dtype": "F16", "shape": shape, "data_offsets": [end, end + bytes]}),
        );
        end += bytes;
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = BufWriter::new(File::create(folder.join("model.safetensors")).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    // 0x2000 is 2⁻⁷ in float16.
    let chunk: Vec<u8> = [0x00, 0x20].repeat(4096);
    let mut left = end;
    while left > 0 {
        let count = left.min(chunk.len());
        file.write_all(&chunk[..count]).unwrap();
        left -= count;
    }
    file.flush().unwrap();
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "vocab_size": VOCABULARY, "hidden_size": HIDDEN,
        "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": 16, "hidden_act": "silu"});
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    end as u64
}

#[test]
fn a_checkpoint_of_200_megabytes_loads_within_its_size_and_in_4_bits_within_half_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let stored = write(folder.path());
    assert!((190_000_000..230_000_000).contains(&stored), "{stored}");
    let load = |precision: Precision, least: f64, most: f64| {
        let before = peak();
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let explainer = Explainer::load(&checkpoint, &Backend::cpu(), precision).unwrap();
        let loading = peak() - before;
        println!(
            "{} MB on disk, {:?}: loading took {} MB at its peak, {:.2} times",
            stored / 1_000_000,
            precision.quantization,
            loading / 1_000_000,
            loading as f64 / stored as f64
        );
        assert!(loading as f64 <= most * stored as f64);
        assert!(loading as f64 >= least * stored as f64, "the weights were not loaded");
        drop(explainer);
    };
    let plain: Precision = DType::F32.into();
    // Codes and scales are 9/32 of the linear layers' float16; the tables stay, and one matrix is there twice for a
    // moment.
    let quantization = Some(Code::Nf4);
    load(Precision { quantization, ..plain }, 0.3, 0.5);
    // float16 stays float16 where float32 is computed with. What was freed above is used again.
    load(plain, 0.5, 1.1);
}
