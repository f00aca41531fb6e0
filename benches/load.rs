//! The memory that a large model takes: `cargo bench --bench load`.
//!
//! Makes a GGUF file of Qwen3-8B's shape with all matrices in Q4_K, opens it in a process of its own, and says how long
//! that took and how much memory the process had at its peak. The weights are zeros, and the file is sparse: it takes
//! no room on a disk, and as much in memory as any other. With `--write FILE` it makes the file and no more, for who
//! measures something else with it (`benches/gpu.sh`).
#![allow(clippy::print_stdout, reason = "a benchmark tells what it measured")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use igsite::attribution::integrated_gradients::Explainer;
use igsite::checkpoint::Checkpoint;
use igsite::kernel::packed::BlockType;
use igsite::model::device::Backend;
use igsite::terms::Quantization;

/// What the engine allocates with in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HIDDEN: usize = 4096;
const INNER: usize = 12_288;
const LAYERS: usize = 36;
const HEADS: usize = 32;
const KEY_HEADS: usize = 8;
const WIDTH: usize = 128;
const VOCABULARY: usize = 151_936;

/// What issue 13 allows, in bytes.
const MOST: f64 = 6.5 * (1u64 << 30) as f64;

/// The variable that names the file to the process that loads it.
const FILE: &str = "IGSITE_BENCH_FILE";

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "--write") {
        let path = arguments.next().expect("`--write` needs the path of the file to make");
        write(Path::new(&path));
        return;
    }
    match std::env::var_os(FILE) {
        Some(path) => load(Path::new(&path)),
        None => {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("qwen3-8b-q4_k.gguf");
            let stored = write(&path);
            println!("{:.2} GiB of weights in Q4_K", gib(stored as f64));
            let itself = std::env::current_exe().expect("a path");
            let done = Command::new(itself).env(FILE, &path).status().expect("it starts");
            fs::remove_file(&path).expect("removed");
            assert!(done.success(), "it is not loaded");
        }
    }
}

fn gib(bytes: f64) -> f64 {
    bytes / (1u64 << 30) as f64
}

/// Opens and loads the file, and tells what that took.
fn load(path: &Path) {
    let began = Instant::now();
    let checkpoint = Checkpoint::open(path).expect("a checkpoint");
    let backend = Backend::cpu();
    let precision = backend.precision(None, Quantization::None, &checkpoint);
    let precision = precision.expect("a precision");
    let explainer = Explainer::load(&checkpoint, &backend, precision).expect("a model");
    let seconds = began.elapsed().as_secs_f64();
    let peak = peak();
    let verdict = if peak < MOST { "below" } else { "ABOVE" };
    println!(
        "loaded in {seconds:.1} s; at its peak {:.2} GiB were resident, {verdict} 6.5 GiB",
        gib(peak)
    );
    drop(explainer);
}

/// The process's largest resident size so far, in bytes (`VmHWM`); NaN where the system does not tell.
fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: Option<f64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.map_or(f64::NAN, |kib| kib * 1024.0)
}

/// Writes the file, and gives the bytes of its weights.
fn write(path: &Path) -> u64 {
    let mut tensors = vec![
        ("token_embd.weight".to_owned(), vec![VOCABULARY, HIDDEN]),
        ("output.weight".to_owned(), vec![VOCABULARY, HIDDEN]),
        ("output_norm.weight".to_owned(), vec![HIDDEN]),
    ];
    for layer in 0..LAYERS {
        for (name, shape) in [
            ("attn_norm", vec![HIDDEN]),
            ("attn_q", vec![HEADS * WIDTH, HIDDEN]),
            ("attn_k", vec![KEY_HEADS * WIDTH, HIDDEN]),
            ("attn_v", vec![KEY_HEADS * WIDTH, HIDDEN]),
            ("attn_q_norm", vec![WIDTH]),
            ("attn_k_norm", vec![WIDTH]),
            ("attn_output", vec![HIDDEN, HEADS * WIDTH]),
            ("ffn_norm", vec![HIDDEN]),
            ("ffn_gate", vec![INNER, HIDDEN]),
            ("ffn_up", vec![INNER, HIDDEN]),
            ("ffn_down", vec![HIDDEN, INNER]),
        ] {
            tensors.push((format!("blk.{layer}.{name}.weight"), shape));
        }
    }
    let numbers = [
        ("block_count", LAYERS),
        ("context_length", 40_960),
        ("embedding_length", HIDDEN),
        ("feed_forward_length", INNER),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KEY_HEADS),
        ("attention.key_length", WIDTH),
        ("attention.value_length", WIDTH),
    ];
    let floats = [("attention.layer_norm_rms_epsilon", 1e-6f32), ("rope.freq_base", 1e6)];
    // The file's layout: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
    let mut head = b"GGUF".to_vec();
    head.extend(3u32.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend((1 + numbers.len() as u64 + floats.len() as u64).to_le_bytes());
    text(&mut head, "general.architecture");
    head.extend(8u32.to_le_bytes());
    text(&mut head, "qwen3");
    for (name, number) in numbers {
        text(&mut head, &format!("qwen3.{name}"));
        head.extend(4u32.to_le_bytes());
        head.extend((number as u32).to_le_bytes());
    }
    for (name, number) in floats {
        text(&mut head, &format!("qwen3.{name}"));
        head.extend(6u32.to_le_bytes());
        head.extend(number.to_le_bytes());
    }
    let mut end = 0u64;
    for (name, shape) in &tensors {
        let kind = if shape.len() == 1 {
            BlockType::F32
        } else {
            BlockType::Q4_K
        };
        let bytes = kind.size(shape.iter().product()).expect("whole blocks");
        text(&mut head, name);
        head.extend((shape.len() as u32).to_le_bytes());
        for &count in shape.iter().rev() {
            head.extend((count as u64).to_le_bytes());
        }
        head.extend(kind.number().to_le_bytes());
        head.extend(end.to_le_bytes());
        end += (bytes as u64).next_multiple_of(32);
    }
    let begins = (head.len() as u64).next_multiple_of(32);
    let mut file = File::create(path).expect("a file");
    file.write_all(&head).expect("written");
    file.set_len(begins + end).expect("its length");
    end
}

fn text(to: &mut Vec<u8>, text: &str) {
    to.extend((text.len() as u64).to_le_bytes());
    to.extend(text.as_bytes());
}
