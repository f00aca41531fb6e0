//! Checkpoints as GGUF files, written by the rules of llama.cpp's `convert_hf_to_gguf.py`, from a `config.json` and
//! tensors under transformers' names.

use std::collections::BTreeMap;

use igsite::checkpoint::config;
use igsite::families::shape::{NormKind, Scaling, Shape};
use igsite::families::tensors::{Entry, Order, Slot};
use serde_json::Value;

use super::tiny::{self, Tensors};
use super::writer::{self, Writer};

/// `general.architecture` of a family; none: llama.cpp has no layout for it.
pub fn architecture(family: &str) -> Option<&'static str> {
    Some(match family {
        "llama" | "mistral" | "mixtral" => "llama",
        "ministral3" => "mistral3",
        "qwen3_moe" => "qwen3moe",
        "gpt_oss" => "gpt-oss",
        "falcon" => "falcon",
        "cohere2" => "cohere2",
        "exaone4" => "exaone4",
        "gemma" => "gemma",
        "gemma2" => "gemma2",
        "gemma3_text" => "gemma3",
        "glm4" => "glm4",
        "gpt2" => "gpt2",
        "gpt_neox" => "gptneox",
        "granite" => "granite",
        "olmo2" | "olmo3" => "olmo2",
        "phi" => "phi2",
        "phi3" => "phi3",
        "qwen2" => "qwen2",
        "qwen3" => "qwen3",
        "smollm3" => "smollm3",
        "stablelm" => "stablelm",
        "starcoder2" => "starcoder2",
        _ => return None,
    })
}

/// The file of a checkpoint, its matrices as float32.
pub fn written(config: &Value, tensors: &Tensors) -> Writer {
    let shape = config::parse(config.as_object().unwrap()).unwrap().model;
    let architecture = architecture(shape.family).unwrap();
    let mut writer = keys(config, &shape, architecture);
    if let Some(factors) = llama3_factors(&shape) {
        writer = writer.floats("rope_freqs.weight", &[factors.len()], &factors);
    }
    let mut stacked: BTreeMap<String, Experts> = BTreeMap::new();
    for (name, (dims, values)) in tensors {
        let (entry, layer, ending, expert) = entry_of(&shape, name);
        if entry.slots[0] >= Slot::ExpertGate {
            for (slot, expert, dims, values) in parts_of_experts(entry, expert, ending, dims, values) {
                let name = name_of(&[slot], architecture, false).replace("{}", &layer.to_string());
                let whole = stacked.entry(format!("{name}.{ending}")).or_default();
                whole.insert(expert, (dims, values));
            }
            continue;
        }
        let (name, values, dims) = converted(&shape, architecture, (entry, layer, ending), dims, values);
        writer = writer.floats(&name, &dims, &values);
    }
    for (name, experts) in stacked {
        let mut dims = vec![experts.len()];
        dims.extend(&experts[&0].0);
        let values: Vec<f32> = experts.into_values().flat_map(|(_, values)| values).collect();
        writer = writer.floats(&name, &dims, &values);
    }
    writer
}

/// What a tensor has of each expert: the slot, the expert, shape and values. One for all of them has the columns of its
/// weights in turns, and is transposed.
fn parts_of_experts(
    entry: &Entry,
    expert: usize,
    ending: &str,
    dims: &[usize],
    values: &[f32],
) -> Vec<(Slot, usize, Vec<usize>, Vec<f32>)> {
    if entry.order != Order::Experts {
        return vec![(entry.slots[0], expert, dims.to_vec(), values.to_vec())];
    }
    let (count, columns, kinds) = (dims[0], dims[dims.len() - 1], entry.slots.len());
    let inner = if ending == "bias" { 1 } else { dims[1] };
    let rows = columns / kinds;
    let mut parts = Vec::new();
    for expert in 0..count {
        for (kind, &slot) in entry.slots.iter().enumerate() {
            let of = |row: usize, at: usize| values[(expert * inner + at) * columns + row * kinds + kind];
            let part = (0..rows).flat_map(|row| (0..inner).map(move |at| (row, at)));
            let part = part.map(|(row, at)| of(row, at)).collect();
            let dims = if ending == "bias" {
                vec![rows]
            } else {
                vec![rows, inner]
            };
            parts.push((slot, expert, dims, part));
        }
    }
    parts
}

/// Shape and values of one tensor of each expert.
type Experts = BTreeMap<usize, (Vec<usize>, Vec<f32>)>;

/// The tiny Llama with its tokenizer, which is a SentencePiece one.
pub fn tiny_llama() -> Writer {
    let pieces = tiny::vocabulary();
    let kind = |piece: &String| match piece.as_str() {
        "<unk>" => 2,
        "<s>" | "</s>" => 3,
        _ if piece.starts_with("<0x") => 6,
        _ => 1,
    };
    let kinds: Vec<i32> = pieces.iter().map(kind).collect();
    written(&tiny::config(), &tiny::tensors())
        .with("general.name", "Tiny")
        .with("tokenizer.ggml.model", "llama")
        .with("tokenizer.ggml.scores", vec![0.0f32; pieces.len()])
        .with("tokenizer.ggml.tokens", pieces)
        .with("tokenizer.ggml.token_type", kinds)
        .with("tokenizer.ggml.unknown_token_id", 0)
        .with("tokenizer.ggml.bos_token_id", 1)
        .with("tokenizer.ggml.eos_token_id", 2)
        .with("tokenizer.ggml.add_bos_token", true)
}

fn keys(config: &Value, shape: &Shape, architecture: &'static str) -> Writer {
    let mut writer = Writer::default().with("general.architecture", architecture);
    let mut set = |key: &str, value: writer::Value| {
        let key = format!("{architecture}.{key}");
        writer = std::mem::take(&mut writer).with(&key, value);
    };
    let count = |count: usize| writer::Value::U32(count as u32);
    let float = |number: f64| writer::Value::F32(number as f32);
    let block = &shape.blocks[0];
    let heads = block.attention.heads;
    set("block_count", count(shape.layers));
    set("context_length", count(shape.embedding.positions.unwrap_or(2048)));
    set("embedding_length", count(shape.hidden));
    set("feed_forward_length", count(block.mlp.inner));
    if let Some(experts) = block.experts {
        set("expert_count", count(experts.count));
        set("expert_used_count", count(experts.chosen));
        if architecture != "llama" {
            set("expert_feed_forward_length", count(block.mlp.inner));
        }
    }
    set("attention.head_count", count(heads.query));
    set("attention.head_count_kv", count(heads.key));
    match shape.norm.kind {
        NormKind::Rms => set("attention.layer_norm_rms_epsilon", float(shape.norm.epsilon)),
        NormKind::Layer => set("attention.layer_norm_epsilon", float(shape.norm.epsilon)),
    }
    if heads.width * heads.query != shape.hidden || architecture.starts_with("gemma") {
        set("attention.key_length", count(heads.width));
        set("attention.value_length", count(heads.width));
    }
    if let Some(rotary) = shape.rotary.first() {
        set("rope.freq_base", float(rotary.theta));
        if rotary.width < heads.width {
            set("rope.dimension_count", count(rotary.width));
        }
        match &rotary.scaling {
            Scaling::Linear(factor) => {
                set("rope.scaling.type", "linear".into());
                set("rope.scaling.factor", float(*factor));
            }
            Scaling::Yarn { factor, original, .. } => {
                set("rope.scaling.type", "yarn".into());
                set("rope.scaling.factor", float(*factor));
                set("rope.scaling.original_context_length", count(*original as usize));
            }
            _ => {}
        }
    }
    if let ([_, sliding], true) = (&shape.rotary[..], architecture != "mistral3") {
        set("rope.freq_base_swa", float(sliding.theta));
    }
    let windows: Vec<Option<usize>> = (0..shape.layers)
        .map(|layer| shape.block(layer).attention.window)
        .collect();
    if let Some(window) = windows.iter().flatten().next() {
        set("attention.sliding_window", count(*window));
        if ["olmo2", "exaone4", "qwen2", "qwen3"].contains(&architecture) {
            let flags = windows.iter().map(Option::is_some).collect();
            set("attention.sliding_window_pattern", writer::Value::Bools(flags));
        }
    }
    match architecture {
        "gemma2" => {
            set("attn_logit_softcapping", float(block.attention.cap.unwrap()));
            set("final_logit_softcapping", float(shape.output.cap.unwrap()));
        }
        "mistral3" => {
            let growth = shape.rotary[1].growth.unwrap();
            set("attention.temperature_scale", float(growth.beta));
            set("rope.scaling.yarn_log_multiplier", float(1.0));
        }
        "cohere2" => set("logit_scale", float(shape.output.scale)),
        "granite" => {
            set("embedding_scale", float(shape.embedding.scale.unwrap_or(1.0)));
            set("attention.scale", float(block.attention.scale.unwrap()));
            set("residual_scale", float(block.residual));
            set("logit_scale", float(1.0 / shape.output.scale));
        }
        "gptneox" | "stablelm" => {
            let parallel = config["use_parallel_residual"]
                .as_bool()
                .unwrap_or(architecture == "gptneox");
            set("use_parallel_residual", parallel.into());
        }
        _ => {}
    }
    writer
}

/// Llama 3's scaling as a divisor for each frequency.
fn llama3_factors(shape: &Shape) -> Option<Vec<f32>> {
    let rotary = shape.rotary.first()?;
    let Scaling::Llama3 { .. } = rotary.scaling else {
        return None;
    };
    let plain = |pair: usize| rotary.theta.powf(-2.0 * pair as f64 / rotary.width as f64);
    let scaled = rotary.frequencies(1);
    let factors = scaled.iter().enumerate();
    Some(factors.map(|(pair, scaled)| (plain(pair) / scaled) as f32).collect())
}

/// llama.cpp's name of what a slot holds.
fn name_of(slots: &[Slot], architecture: &str, two_norms: bool) -> &'static str {
    match slots {
        [Slot::Query, Slot::Key, Slot::Value] => "blk.{}.attn_qkv",
        [Slot::Gate, Slot::Up] => "blk.{}.ffn_up",
        [slot] => match slot {
            Slot::Embedding => "token_embd",
            Slot::Positions => "position_embd",
            Slot::Norm => "output_norm",
            Slot::Output => "output",
            Slot::BeforeAttention if two_norms => "blk.{}.attn_norm_2",
            Slot::BeforeMlp if two_norms => "blk.{}.attn_norm",
            Slot::BeforeMlp if architecture == "gpt-oss" => "blk.{}.post_attention_norm",
            Slot::BeforeAttention => "blk.{}.attn_norm",
            Slot::Query => "blk.{}.attn_q",
            Slot::Key => "blk.{}.attn_k",
            Slot::Value => "blk.{}.attn_v",
            Slot::QueryNorm => "blk.{}.attn_q_norm",
            Slot::KeyNorm => "blk.{}.attn_k_norm",
            Slot::AttentionOutput => "blk.{}.attn_output",
            Slot::AfterAttention => "blk.{}.post_attention_norm",
            Slot::BeforeMlp => "blk.{}.ffn_norm",
            Slot::Gate => "blk.{}.ffn_gate",
            Slot::Up => "blk.{}.ffn_up",
            Slot::Down => "blk.{}.ffn_down",
            Slot::AfterMlp => "blk.{}.post_ffw_norm",
            Slot::Sinks => "blk.{}.attn_sinks",
            Slot::Router => "blk.{}.ffn_gate_inp",
            Slot::ExpertGate => "blk.{}.ffn_gate_exps",
            Slot::ExpertUp => "blk.{}.ffn_up_exps",
            Slot::ExpertDown => "blk.{}.ffn_down_exps",
        },
        other => panic!("{architecture} has no name for {other:?}"),
    }
}

/// A tensor's name, values and shape in the file.
fn converted(
    shape: &Shape,
    architecture: &str,
    (entry, layer, ending): (&Entry, usize, &str),
    dims: &[usize],
    values: &[f32],
) -> (String, Vec<f32>, Vec<usize>) {
    let two_norms = architecture == "falcon" && shape.blocks[0].before_mlp.is_some();
    let stem = name_of(entry.slots, architecture, two_norms);
    let name = format!("{}.{ending}", stem.replace("{}", &layer.to_string()));
    let heads = shape.block(layer).attention.heads;
    let (mut dims, mut values) = (dims.to_vec(), values.to_vec());
    if architecture.starts_with("gemma") && name.ends_with("norm.weight") {
        values.iter_mut().for_each(|value| *value += 1.0);
    }
    if entry.order == Order::Transposed && ending == "weight" {
        let [rows, columns] = dims[..] else { panic!("{name}") };
        values = (0..columns)
            .flat_map(|column| (0..rows).map(move |row| (row, column)))
            .map(|(row, column)| values[row * columns + column])
            .collect();
        dims = vec![columns, rows];
    }
    let rows = dims[0];
    let order: Option<Vec<usize>> = match (entry.order, entry.slots) {
        (Order::ByHead, _) => {
            // Of each key head its queries, its keys, its values: those of one kind together.
            let (group, width) = (heads.query / heads.key, heads.width);
            let of = |from: usize, count: usize| {
                let step = (group + 2) * width;
                (0..heads.key).flat_map(move |head| head * step + from..head * step + from + count)
            };
            let queries = of(0, group * width).chain(of(group * width, width));
            Some(queries.chain(of((group + 1) * width, width)).collect())
        }
        (_, [Slot::Query | Slot::Key]) if ["llama", "mistral3", "granite", "smollm3"].contains(&architecture) => {
            // Halves become neighbours.
            let half = heads.width / 2;
            Some(
                (0..rows)
                    .map(|row| row / heads.width * heads.width + row % 2 * half + row % heads.width / 2)
                    .collect(),
            )
        }
        _ => None,
    };
    if let Some(order) = order {
        let width = values.len() / rows;
        values = order
            .iter()
            .flat_map(|&row| values[row * width..(row + 1) * width].to_vec())
            .collect();
    }
    (name, values, dims)
}

/// The entry of the family's table that a name is of.
fn entry_of<'a>(shape: &'a Shape, name: &str) -> (&'a Entry, usize, &'static str, usize) {
    for entry in shape.tensors {
        let layers = if entry.in_layers() { shape.layers } else { 1 };
        let experts = if entry.stem.contains("{e}") { 64 } else { 1 };
        for (layer, expert) in (0..layers).flat_map(|layer| (0..experts).map(move |expert| (layer, expert))) {
            for ending in ["weight", "bias"] {
                if entry.name_of_expert(layer, expert, ending) == name {
                    return (entry, layer, ending, expert);
                }
            }
        }
    }
    panic!("{name} is in no table")
}
