//! What occlusion costs beside whole forward passes: `cargo bench --bench occlusion`.
//!
//! A prompt of 100 words, 134 tokens with its special one: every third word has two tokens. F is a probability. Timed in
//! turn, the best of some rounds, each by all threads, one pass a word over all of the prompt:
//!
//! - a full forward pass, as other programs compute it: all rows of all layers, the logits of every position;
//! - a pass for the last position's logits, which leaves out what they do not need of the last layer;
//! - the same, several in a pass, as full as igsite fills them;
//!
//! and occlusion, which computes only what stands behind the replaced word. The last row is what occlusion computes of the
//! rows of whole passes.
#![allow(clippy::print_stdout, reason = "a benchmark tells what it measured")]

use std::time::Instant;

use burn::tensor::DType;
use igsite::attribution::integrated_gradients::{Explainer, Removals, Replaceable, Scalar};
use igsite::attribution::removal::Mask;
use igsite::checkpoint::config;
use igsite::model::CausalLm;
use igsite::model::device::Backend;
use igsite::terms::{BaselineVector, Batch, Output, Routing};
use serde_json::json;

/// What the engine allocates with in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WORDS: usize = 100;
const ROUNDS: usize = 5;

fn main() {
    println!("{} threads", rayon::current_num_threads());
    for (name, hidden, inner, layers, heads, vocabulary) in [
        ("the demo's Llama (3 layers of 64)", 64, 192, 3, 4, 760),
        ("llama-25m (8 layers of 512)", 512, 1376, 8, 8, 32_000),
    ] {
        let config = json!({
            "model_type": "llama", "vocab_size": vocabulary, "hidden_size": hidden, "intermediate_size": inner,
            "num_hidden_layers": layers, "num_attention_heads": heads, "rms_norm_eps": 1e-5,
        });
        let shape = config::parse(config.as_object().expect("an object"))
            .expect("a config")
            .model;
        let backend = Backend::cpu();
        let explainer = Explainer::new(CausalLm::init(&shape, &backend.device), &backend, DType::F32);
        println!("{name}");
        measure(explainer, vocabulary);
    }
}

fn measure(mut explainer: Explainer, vocabulary: usize) {
    let mut units: Vec<Vec<usize>> = Vec::new();
    let mut tokens = 1;
    for word in 0..WORDS {
        let size = if word % 3 == 2 { 2 } else { 1 };
        units.push((tokens..tokens + size).collect());
        tokens += size;
    }
    let ids: Vec<u32> = (0..tokens).map(|token| (token * 37 % vocabulary) as u32).collect();
    let scalars = [Scalar {
        token: 3,
        output: Output::Probability,
        minus: None,
    }];
    let masks: Vec<Mask> = (0..WORDS).map(|word| Mask::none(WORDS).with(word)).collect();
    let open = |explainer: &Explainer| -> Removals {
        let prompt = Replaceable {
            ids: &ids,
            forced: &[],
            given: 0,
            units: &units,
            replacement: BaselineVector::Mean,
            routing: Routing::Free,
            scalars: &scalars,
        };
        explainer.removals(&prompt).expect("it fits")
    };
    let (first, others) = ids.split_at(1);
    let [mut full, mut single, mut filled, mut occlusion] = [f64::INFINITY; 4];
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..WORDS {
            // Reads the logits at every position but the last.
            explainer.log_probability(first, others).expect("it fits");
        }
        full = full.min(began.elapsed().as_secs_f64());
        let began = Instant::now();
        for _ in 0..WORDS {
            explainer.logits(&ids).expect("it fits");
        }
        single = single.min(began.elapsed().as_secs_f64());
        for (best, reuse) in [(&mut filled, false), (&mut occlusion, true)] {
            let began = Instant::now();
            let mut removals = open(&explainer);
            if !reuse {
                removals.without_reuse();
            }
            explainer
                .remove(&mut [(&mut removals, &masks)], Batch::Auto, &mut |_| ())
                .expect("it fits");
            *best = best.min(began.elapsed().as_secs_f64());
        }
    }
    let rows: usize = masks.iter().map(|mask| open(&explainer).rows(mask)).sum();
    let all = WORDS * tokens;
    println!("  {WORDS} full forward passes            {:8.1} ms", 1e3 * full);
    println!("  {WORDS} passes for the last logits     {:8.1} ms", 1e3 * single);
    println!("  the same, several in a pass        {:8.1} ms", 1e3 * filled);
    println!("  occlusion                          {:8.1} ms", 1e3 * occlusion);
    println!(
        "  occlusion: {:.1}% of full forward passes, {:.1}% of passes for the last logits, {:.1}% of several in a pass, \
         {:.1}% of the rows",
        100.0 * occlusion / full,
        100.0 * occlusion / single,
        100.0 * occlusion / filled,
        100.0 * rows as f64 / all as f64
    );
}
