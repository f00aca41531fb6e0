//! A model's config and tensors as llama.cpp writes them into a GGUF file.
//!
//! The file's metadata say what `config.json` says, in other words and less of it: what transformers has a switch for
//! and llama.cpp a constant is not in the file. Each family's reader makes the `config.json` that transformers would
//! write, and the one decoder takes it from there. It follows `convert_hf_to_gguf.py` and `src/models/*.cpp` of
//! llama.cpp (2026) and `gguf.constants` of its Python package; an activation, which no file names, is transformers'.
//!
//! Tensors have the same names in all families. What the converter changes in them is undone without touching a weight:
//!
//! - Rows of queries and keys that it puts into the order of neighbouring pairs ([`Gguf::permuted`]) stay there, and
//!   rotary positions turn neighbours, as llama.cpp's do. A score is a sum over a head's dimensions, whatever their
//!   order.
//! - Norms whose stored weight is less by 1 in safetensors (Gemma's) have the 1 added.
//! - Fused and interleaved layers of queries, keys and values have been stacked; transposed ones transposed back.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::base::Kind;
use super::fields::{Fields, is_empty, shown};
use super::shape::{NormKind, Pairs, Shape};
use super::tensors::{Entry, Order, Slot, one};
use super::{FAMILIES, Family};
use crate::diagnostic::{Diagnostic, Result};

/// How a family's models stand in GGUF files.
#[derive(Debug)]
pub struct Gguf {
    /// `general.architecture`, one of these.
    pub architectures: &'static [&'static str],
    /// Whether a file of that architecture is one of this family: several may share one.
    pub is: fn(&File) -> bool,
    /// Makes its `config.json`.
    pub config: fn(&File) -> Result<Config>,
    /// Rows of queries and keys are in the order of neighbouring pairs.
    pub permuted: bool,
}

/// llama.cpp's number of experts' weights that are the softmax over all logits, of which those of the chosen are made to
/// sum to 1.
pub const SOFTMAX: u64 = 1;
/// That of the softmax over the chosen experts' logits.
pub const SOFTMAX_OF_CHOSEN: u64 = 3;

/// The key of a window.
pub const WINDOW: &str = "attention.sliding_window";
/// The key of the layers that have it.
pub const PATTERN: &str = "attention.sliding_window_pattern";

/// Whether a window is set.
pub fn with_window(file: &File) -> bool {
    file.value(WINDOW).is_some_and(|window| window.as_u64() != Some(0))
}

/// Whether none is.
pub fn without_window(file: &File) -> bool {
    !with_window(file)
}

/// Any file of the architecture.
pub fn any(_: &File) -> bool {
    true
}

/// Tensors of factors for rotary frequencies, which are settings rather than weights.
pub const FACTORS: [&str; 3] = [FREQUENCIES, LONG, SHORT];
const FREQUENCIES: &str = "rope_freqs.weight";
const LONG: &str = "rope_factors_long.weight";
const SHORT: &str = "rope_factors_short.weight";

/// Keys of numbers by which rotary cosines and sines are multiplied.
const ATTENTION: &str = "rope.scaling.attn_factor";
const YARN_ATTENTION: &str = "rope.scaling.yarn_attn_factor";

/// What a file says of a model: the keys of its architecture, and its tensors' shapes.
pub struct File<'a> {
    architecture: &'a str,
    keys: Fields<'a>,
    shapes: &'a BTreeMap<String, Vec<usize>>,
    factors: &'a BTreeMap<String, Vec<f64>>,
}

/// The fields of a `config.json`.
#[derive(Debug, Default)]
pub struct Config(Map<String, Value>);

impl Config {
    /// Sets a field.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Sets a field where there is something to set.
    pub fn set_some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Gives a field another name.
    pub fn rename(&mut self, from: &str, to: &str) {
        if let Some(value) = self.0.remove(from) {
            self.0.insert(to.to_owned(), value);
        }
    }

    /// Takes a field away that the family does not have.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// A field that is a number of things.
    pub fn count(&self, key: &str) -> usize {
        self.0.get(key).and_then(Value::as_u64).unwrap_or(0) as usize
    }
}

/// The family of a file, the `config.json` of its model, and warnings about keys that are passed over.
///
/// `keys` are the file's metadata but the tokenizer's, `shapes` its tensors by name, `factors` the numbers of those of
/// [`FACTORS`] that it has.
///
/// # Errors
/// The architecture is one that is not computed; a key is missing, or its value is not what it must be; a key is set
/// that would make another model of it.
pub fn read(
    architecture: &str,
    keys: &Map<String, Value>,
    shapes: &BTreeMap<String, Vec<usize>>,
    factors: &BTreeMap<String, Vec<f64>>,
) -> Result<(&'static Family, Map<String, Value>, Vec<Diagnostic>)> {
    let file = File {
        architecture,
        keys: Fields::new(keys),
        shapes,
        factors,
    };
    let candidates = FAMILIES
        .iter()
        .filter_map(|family| Some((*family, family.gguf.as_ref()?)));
    let mut candidates = candidates
        .filter(|(_, gguf)| gguf.architectures.contains(&architecture))
        .peekable();
    if candidates.peek().is_none() {
        return Err(unknown(architecture));
    }
    let (family, gguf) = candidates.find(|(_, gguf)| (gguf.is)(&file)).ok_or_else(|| {
        Diagnostic::checkpoint(format!("a variant of `general.architecture: {architecture}`"))
            .help("igsite does not compute it; take another model")
    })?;
    let mut config = (gguf.config)(&file)?;
    config.set("model_type", family.types[0]);
    let warnings = file.unasked()?;
    Ok((family, config.0, warnings))
}

fn unknown(architecture: &str) -> Diagnostic {
    Diagnostic::checkpoint(format!("`general.architecture: {architecture}`"))
        .expected(format!("one of {}", architectures().join(", ")))
        .help(super::not_computed::help(architecture))
}

/// The architectures that are read, sorted, each once.
pub fn architectures() -> Vec<&'static str> {
    let known = FAMILIES.iter().filter_map(|family| family.gguf.as_ref());
    let mut names: Vec<&str> = known.flat_map(|gguf| gguf.architectures).copied().collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Makes the shape that a family's reader gave the one of its GGUF file: names, rows and norms as they are there.
pub fn adapt(shape: &mut Shape, family: &Family, shapes: &BTreeMap<String, Vec<usize>>) {
    if family.gguf.as_ref().is_some_and(|gguf| gguf.permuted) {
        shape
            .rotary
            .iter_mut()
            .for_each(|rotary| rotary.pairs = Pairs::Neighbours);
    }
    shape.norm.offset = false;
    for block in &mut shape.blocks {
        let qk = block.attention.qk_norm.as_mut().map(|qk| &mut qk.norm);
        let others = [
            block.before_attention.as_mut(),
            block.after_attention.as_mut(),
            block.before_mlp.as_mut(),
            block.after_mlp.as_mut(),
        ];
        others
            .into_iter()
            .flatten()
            .chain(qk)
            .for_each(|norm| norm.offset = false);
    }
    let has = |name: &str| shapes.contains_key(name);
    let gated = shape.blocks.iter().any(|block| block.mlp.gated);
    let gate_up = gated && has("blk.0.ffn_up.weight") && !has("blk.0.ffn_gate.weight");
    shape.tensors = match (has("blk.0.attn_qkv.weight"), gate_up) {
        // Nothing stands behind attention there: it is the norm in front of the experts.
        _ if family.types == ["gpt_oss"] && !has("blk.0.ffn_norm.weight") => GPT_OSS,
        (true, _) if has("blk.0.attn_norm_2.weight") => TWO_NORMS,
        (true, true) => BOTH_FUSED,
        (true, false) => QUERY_KEY_VALUE_FUSED,
        (false, true) => GATE_UP_FUSED,
        (false, false) => TENSORS,
    };
}

const fn fused(stem: &'static str, slots: &'static [Slot]) -> Entry {
    Entry {
        stem,
        slots,
        order: Order::Stacked,
    }
}

const EMBEDDING: Entry = one("token_embd", &[Slot::Embedding]);
const POSITIONS: Entry = one("position_embd", &[Slot::Positions]);
const BEFORE_ATTENTION: Entry = one("blk.{}.attn_norm", &[Slot::BeforeAttention]);
const QUERY: Entry = one("blk.{}.attn_q", &[Slot::Query]);
const KEY: Entry = one("blk.{}.attn_k", &[Slot::Key]);
const VALUE: Entry = one("blk.{}.attn_v", &[Slot::Value]);
const QUERY_KEY_VALUE: Entry = fused("blk.{}.attn_qkv", &[Slot::Query, Slot::Key, Slot::Value]);
const QUERY_NORM: Entry = one("blk.{}.attn_q_norm", &[Slot::QueryNorm]);
const KEY_NORM: Entry = one("blk.{}.attn_k_norm", &[Slot::KeyNorm]);
const ATTENTION_OUTPUT: Entry = one("blk.{}.attn_output", &[Slot::AttentionOutput]);
const AFTER_ATTENTION: Entry = one("blk.{}.post_attention_norm", &[Slot::AfterAttention]);
const SINKS: Entry = one("blk.{}.attn_sinks", &[Slot::Sinks]);
const BEFORE_MLP: Entry = one("blk.{}.ffn_norm", &[Slot::BeforeMlp]);
const GATE: Entry = one("blk.{}.ffn_gate", &[Slot::Gate]);
const UP: Entry = one("blk.{}.ffn_up", &[Slot::Up]);
const GATE_UP: Entry = fused("blk.{}.ffn_up", &[Slot::Gate, Slot::Up]);
const DOWN: Entry = one("blk.{}.ffn_down", &[Slot::Down]);
const ROUTER: Entry = one("blk.{}.ffn_gate_inp", &[Slot::Router]);
// One tensor has all experts; each is found in it by its number ([`part_of_experts`]).
const EXPERT_GATE: Entry = one("blk.{}.ffn_gate_exps.{e}", &[Slot::ExpertGate]);
const EXPERT_UP: Entry = one("blk.{}.ffn_up_exps.{e}", &[Slot::ExpertUp]);
const EXPERT_DOWN: Entry = one("blk.{}.ffn_down_exps.{e}", &[Slot::ExpertDown]);
const AFTER_MLP: Entry = one("blk.{}.post_ffw_norm", &[Slot::AfterMlp]);
const NORM: Entry = one("output_norm", &[Slot::Norm]);
const OUTPUT: Entry = one("output", &[Slot::Output]);

/// llama.cpp's names.
const TENSORS: &[Entry] = &[
    EMBEDDING,
    POSITIONS,
    BEFORE_ATTENTION,
    QUERY,
    KEY,
    VALUE,
    QUERY_NORM,
    KEY_NORM,
    SINKS,
    ATTENTION_OUTPUT,
    AFTER_ATTENTION,
    BEFORE_MLP,
    GATE,
    UP,
    DOWN,
    ROUTER,
    EXPERT_GATE,
    EXPERT_UP,
    EXPERT_DOWN,
    AFTER_MLP,
    NORM,
    OUTPUT,
];

/// Queries, keys and values as one tensor.
const QUERY_KEY_VALUE_FUSED: &[Entry] = &[
    EMBEDDING,
    POSITIONS,
    BEFORE_ATTENTION,
    QUERY_KEY_VALUE,
    QUERY_NORM,
    KEY_NORM,
    SINKS,
    ATTENTION_OUTPUT,
    AFTER_ATTENTION,
    BEFORE_MLP,
    GATE,
    UP,
    DOWN,
    ROUTER,
    EXPERT_GATE,
    EXPERT_UP,
    EXPERT_DOWN,
    AFTER_MLP,
    NORM,
    OUTPUT,
];

/// Gate and up as one tensor (GLM-4).
const GATE_UP_FUSED: &[Entry] = &[
    EMBEDDING,
    POSITIONS,
    BEFORE_ATTENTION,
    QUERY,
    KEY,
    VALUE,
    QUERY_NORM,
    KEY_NORM,
    ATTENTION_OUTPUT,
    AFTER_ATTENTION,
    BEFORE_MLP,
    GATE_UP,
    DOWN,
    AFTER_MLP,
    NORM,
    OUTPUT,
];

/// Both (Phi-3).
const BOTH_FUSED: &[Entry] = &[
    EMBEDDING,
    POSITIONS,
    BEFORE_ATTENTION,
    QUERY_KEY_VALUE,
    QUERY_NORM,
    KEY_NORM,
    ATTENTION_OUTPUT,
    AFTER_ATTENTION,
    BEFORE_MLP,
    GATE_UP,
    DOWN,
    AFTER_MLP,
    NORM,
    OUTPUT,
];

/// A norm for each of two parallel halves: the second is that of attention (Falcon 40B).
const TWO_NORMS: &[Entry] = &[
    EMBEDDING,
    one("blk.{}.attn_norm_2", &[Slot::BeforeAttention]),
    one("blk.{}.attn_norm", &[Slot::BeforeMlp]),
    QUERY_KEY_VALUE,
    ATTENTION_OUTPUT,
    UP,
    DOWN,
    NORM,
    OUTPUT,
];

/// As all others, but for the name of one norm.
const GPT_OSS: &[Entry] = &[
    EMBEDDING,
    BEFORE_ATTENTION,
    QUERY,
    KEY,
    VALUE,
    SINKS,
    ATTENTION_OUTPUT,
    one("blk.{}.post_attention_norm", &[Slot::BeforeMlp]),
    ROUTER,
    EXPERT_GATE,
    EXPERT_UP,
    EXPERT_DOWN,
    NORM,
    OUTPUT,
];

/// The name of one expert's part of a tensor of all experts, `blk.0.ffn_up_exps.weight`; none: it is of no experts.
pub fn part_of_experts(name: &str, expert: usize) -> Option<String> {
    let (stem, ending) = name.rsplit_once('.')?;
    stem.ends_with("_exps").then(|| format!("{stem}.{expert}.{ending}"))
}

/// Keys of an architecture that change no number, or that say once more what others say.
const HARMLESS: &[&str] = &[
    "vocab_size",
    "tensor_data_layout",
    "rope.scaling.finetuned",
    "attention.value_length",
    "attention.key_length",
    "rope.dimension_count",
];

/// Beginnings of keys that make another model of it, unless they are asked for.
const FATAL: &[&str] = &[
    "expert_",
    "leading_dense_block_count",
    "nextn_predict_layers",
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "attention.temperature_scale",
    "attention.scale",
    "attention.indexer",
    "attention.q_lora_rank",
    "attention.kv_lora_rank",
    "attention.shared_kv_layers",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "router_logit_softcapping",
    "embedding_scale",
    "residual_scale",
    "logit_scale",
    "rope.dimension_sections",
    "rope.dimension_count_swa",
    "attention.key_length_swa",
    "attention.value_length_swa",
    "rope.scaling.yarn_log_multiplier",
    "embedding_length_per_layer_input",
    "deepstack_mapping",
    "ssm.",
    "wkv.",
    "pooling_type",
    "decoder_start_token_id",
];

impl<'a> File<'a> {
    /// `general.architecture`.
    pub fn architecture(&self) -> &'a str {
        self.architecture
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    /// A value as it stands; from here on its key is known.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.keys.some(&self.key(name))
    }

    /// An error at a key.
    pub fn wrong(&self, name: &str, expected: &str) -> Diagnostic {
        self.keys.wrong(&self.key(name), expected)
    }

    /// A number of things from 1. A list, one for each layer, is one number if they are alike.
    pub fn count(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match value.as_array() {
            None => self.keys.optional_count(&self.key(name)),
            Some(all) => match all.first().and_then(Value::as_u64) {
                Some(first) if first > 0 && all.iter().all(|other| other == &all[0]) => Ok(Some(first as usize)),
                _ => Err(self.wrong(name, "one number, the same for all layers")),
            },
        }
    }

    /// A number of things that must be there.
    pub fn required(&self, name: &str) -> Result<usize> {
        self.count(name)?
            .ok_or_else(|| self.wrong(name, "a whole number from 1"))
    }

    /// As [`Self::count`], where 0 is none.
    pub fn count_or_none(&self, name: &str) -> Result<Option<usize>> {
        match self.value(name) {
            Some(value) if value.as_u64() == Some(0) => Ok(None),
            _ => self.count(name),
        }
    }

    /// A number above zero.
    pub fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.value(name) {
            None => Ok(None),
            Some(_) => self.keys.number(&self.key(name), 1.0).map(Some),
        }
    }

    /// As [`Self::number`], where 0 is none.
    pub fn number_or_none(&self, name: &str) -> Result<Option<f64>> {
        match self.value(name) {
            Some(value) if value.as_f64() == Some(0.0) => Ok(None),
            _ => self.number(name),
        }
    }

    /// Whether the file has a tensor.
    pub fn has(&self, tensor: &str) -> bool {
        self.shapes.contains_key(tensor)
    }

    /// Whether the first layer has a tensor of this name, such as `attn_q.bias`.
    pub fn has_in_layers(&self, tensor: &str) -> bool {
        self.has(&format!("blk.0.{tensor}"))
    }

    /// Whether layers of queries, keys and values have a bias.
    pub fn attention_bias(&self) -> bool {
        self.has_in_layers("attn_q.bias") || self.has_in_layers("attn_qkv.bias")
    }

    /// Whether layers of the MLP have a bias.
    pub fn mlp_bias(&self) -> bool {
        self.has_in_layers("ffn_up.bias")
    }

    /// Whether it is a mixture of experts.
    pub fn has_experts(&self) -> bool {
        self.value("expert_count")
            .is_some_and(|count| count.as_u64() != Some(0))
    }

    /// The numbers of experts, of a family whose weights are the softmax over the experts' logits; `gating` is
    /// llama.cpp's number of that.
    ///
    /// # Errors
    /// They are missing, or weights are of another kind.
    pub fn experts(&self, config: &mut Config, gating: u64) -> Result<()> {
        config.set("num_local_experts", self.required("expert_count")?);
        config.set("num_experts_per_tok", self.required("expert_used_count")?);
        for (key, value) in [
            ("expert_gating_func", Value::from(gating)),
            ("expert_weights_norm", true.into()),
        ] {
            if self.value(key).is_some_and(|found| *found != value) {
                return Err(self.wrong(key, &value.to_string()));
            }
        }
        Ok(())
    }

    /// What all families have: sizes, heads and their width, context, the epsilon of norms (`epsilon` is its name in
    /// `config.json`), whether the output layer is the embedding table.
    ///
    /// # Errors
    /// A key is missing, or is not what it must be.
    pub fn decoder(&self, kind: NormKind, epsilon: &str) -> Result<Config> {
        let mut config = Config::default();
        let layers = self.required("block_count")?;
        // It keeps lists of layers as small as the file is.
        if layers > self.shapes.len() {
            return Err(self.wrong(
                "block_count",
                &format!("no more layers than tensors ({})", self.shapes.len()),
            ));
        }
        config.set("num_hidden_layers", layers);
        config.set("hidden_size", self.required("embedding_length")?);
        config.set("intermediate_size", self.required("feed_forward_length")?);
        let heads = self.required("attention.head_count")?;
        config.set("num_attention_heads", heads);
        config.set(
            "num_key_value_heads",
            self.count("attention.head_count_kv")?.unwrap_or(heads),
        );
        config.set_some("max_position_embeddings", self.count("context_length")?);
        config.set(epsilon, self.epsilon(kind)?);
        let table = self.shapes.get("token_embd.weight").and_then(|shape| shape.first());
        let rows = table.ok_or_else(|| {
            Diagnostic::checkpoint("missing from the file")
                .place("tensor `token_embd.weight`")
                .expected("the embedding table")
        })?;
        config.set("vocab_size", *rows);
        config.set("tie_word_embeddings", !self.has("output.weight"));
        Ok(config)
    }

    /// As [`Self::decoder`], with a `head_dim`.
    ///
    /// # Errors
    /// As [`Self::decoder`]; keys and values are of different widths.
    pub fn decoder_with_heads(&self, kind: NormKind, epsilon: &str) -> Result<Config> {
        let mut config = self.decoder(kind, epsilon)?;
        let head = self.head(&config)?;
        config.set("head_dim", head);
        Ok(config)
    }

    fn epsilon(&self, kind: NormKind) -> Result<f64> {
        let key = match kind {
            NormKind::Rms => "attention.layer_norm_rms_epsilon",
            NormKind::Layer => "attention.layer_norm_epsilon",
        };
        self.number(key)?.ok_or_else(|| self.wrong(key, "a number above 0"))
    }

    /// The width of a head.
    fn head(&self, config: &Config) -> Result<usize> {
        let (hidden, heads) = (config.count("hidden_size"), config.count("num_attention_heads"));
        let key = self.count("attention.key_length")?;
        let value = self.count("attention.value_length")?;
        if key.is_some() && value.is_some() && key != value {
            return Err(self.wrong("attention.value_length", "the same as `attention.key_length`"));
        }
        match key.or(value) {
            Some(width) => Ok(width),
            None => super::divided("embedding_length", hidden, "attention.head_count", heads.max(1)),
        }
    }

    /// `rope_parameters` of a family whose whole head turns.
    ///
    /// # Errors
    /// A part of the head turns, or as for [`Self::partial_rotary`].
    pub fn rotary(&self, config: &Config) -> Result<Map<String, Value>> {
        let head = self.head(config)?;
        if let Some(turns) = self.count("rope.dimension_count")?
            && turns != head
        {
            return Err(self.wrong("rope.dimension_count", &format!("{head}, the whole width of a head")));
        }
        self.scaling(config)
    }

    /// `rope_parameters` of a family of which a share of each head turns.
    ///
    /// # Errors
    /// A scaling that is not computed; a value that is not what it must be.
    pub fn partial_rotary(&self, config: &Config) -> Result<Map<String, Value>> {
        let head = self.head(config)?;
        let mut rotary = self.scaling(config)?;
        let turns = self.count("rope.dimension_count")?.unwrap_or(head);
        if turns > head {
            return Err(self.wrong("rope.dimension_count", &format!("at most {head}, the width of a head")));
        }
        // The share from which the same number comes back.
        let mut share = turns as f64 / head as f64;
        if ((head as f64 * share) as usize) < turns {
            share = share.next_up();
        }
        rotary.insert("partial_rotary_factor".to_owned(), share.into());
        Ok(rotary)
    }

    /// Settings of rotary positions but their width.
    fn scaling(&self, config: &Config) -> Result<Map<String, Value>> {
        let mut rotary = Map::new();
        let mut set = |key: &str, value: Value| _ = rotary.insert(key.to_owned(), value);
        set("rope_theta", self.number("rope.freq_base")?.unwrap_or(10_000.0).into());
        let kind = match self.value("rope.scaling.type") {
            None => None,
            Some(Value::String(kind)) => Some(kind.as_str()),
            Some(_) => return Err(self.wrong("rope.scaling.type", "a text")),
        };
        // The key of 2023 comes without a type.
        let factor = match self.number_or_none("rope.scaling.factor")? {
            Some(factor) => Some(factor),
            None => self.number_or_none("rope.scale_linear")?,
        };
        let original = self.count("rope.scaling.original_context_length")?;
        let context = || {
            let longest = config.count("max_position_embeddings");
            original.unwrap_or(longest.max(1))
        };
        // llama.cpp would stretch by it, whatever else scales the frequencies.
        let stretched = kind != Some("none") && factor.is_some_and(|factor| factor != 1.0);
        let attention = self.number_or_none(ATTENTION)?;
        let yarn_attention = self.number_or_none(YARN_ATTENTION)?;
        let unused = |key: &str, number: Option<f64>| match number {
            Some(number) if number != 1.0 => Err(self.wrong(key, "1 with this `rope.scaling.type`")),
            _ => Ok(()),
        };
        let turns = match self.count("rope.dimension_count")? {
            Some(turns) => turns,
            None => self.head(config)?,
        };
        let list = |name: &str| match self.factors.get(name) {
            Some(all) if all.len() != turns / 2 => Err(Diagnostic::checkpoint(format!("{} factors", all.len()))
                .place(format!("tensor `{name}`"))
                .expected(format!("{}, one for each pair of dimensions that turn", turns / 2))),
            found => Ok(found.map(|all| Value::from(all.clone()))),
        };
        let (frequencies, long, short) = (list(FREQUENCIES)?, list(LONG)?, list(SHORT)?);
        let other = |tensor: &str| {
            Err(
                Diagnostic::checkpoint("factors of rotary frequencies beside another scaling")
                    .place(format!("tensor `{tensor}`"))
                    .expected("one of the two"),
            )
        };
        match (long, short) {
            (Some(long), Some(short)) => {
                if !matches!(kind, None | Some("none" | "longrope")) || frequencies.is_some() || stretched {
                    return other(LONG);
                }
                unused(YARN_ATTENTION, yarn_attention)?;
                set("rope_type", "longrope".into());
                set("long_factor", long);
                set("short_factor", short);
                set("original_max_position_embeddings", context().into());
                if let Some(attention) = attention {
                    set("attention_factor", attention.into());
                }
                return Ok(rotary);
            }
            (None, None) => {}
            (Some(_), None) => return Err(missing(SHORT)),
            (None, Some(_)) => return Err(missing(LONG)),
        }
        if let Some(factors) = frequencies {
            if stretched {
                return other(FREQUENCIES);
            }
            unused(ATTENTION, attention)?;
            unused(YARN_ATTENTION, yarn_attention)?;
            // Llama 3's scaling, carried out: a divisor for each frequency, whatever the length.
            set("rope_type", "longrope".into());
            set("long_factor", factors.clone());
            set("short_factor", factors);
            set("original_max_position_embeddings", context().into());
            set("attention_factor", 1.0.into());
            return Ok(rotary);
        }
        if kind != Some("yarn") {
            unused(ATTENTION, attention)?;
            unused(YARN_ATTENTION, yarn_attention)?;
        }
        match (kind, factor) {
            (Some("linear") | None, Some(factor)) => {
                set("rope_type", "linear".into());
                set("factor", factor.into());
            }
            (None | Some("none" | "linear"), _) => set("rope_type", "default".into()),
            (Some("yarn"), Some(factor)) => {
                set("rope_type", "yarn".into());
                set("factor", factor.into());
                set("original_max_position_embeddings", context().into());
                for (key, to) in [("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")] {
                    if let Some(number) = self.number(&format!("rope.scaling.{key}"))? {
                        set(to, number.into());
                    }
                }
                if let Some(extrapolation) = self.number("rope.scaling.yarn_ext_factor")?
                    && extrapolation != 1.0
                {
                    return Err(self.wrong("rope.scaling.yarn_ext_factor", "1"));
                }
                // llama.cpp keeps one of transformers' two numbers: Mistral's are the same.
                if let Some(scale) = self.number_or_none("rope.scaling.yarn_log_multiplier")? {
                    set("mscale", scale.into());
                    set("mscale_all_dim", scale.into());
                }
                if let Some(attention) = yarn_attention.or(attention) {
                    set("attention_factor", attention.into());
                }
            }
            (Some("yarn"), None) => return Err(self.wrong("rope.scaling.factor", "a number above 0")),
            (Some("longrope"), _) => return Err(missing(LONG)),
            (Some(_), _) => {
                return Err(self.wrong("rope.scaling.type", "`none`, `linear`, `yarn` or `longrope`"));
            }
        }
        Ok(rotary)
    }

    /// `layer_types`, by `attention.sliding_window_pattern`: whether a layer has the window, or the number of layers of
    /// which the last has not. `period` is llama.cpp's default.
    ///
    /// # Errors
    /// It is neither.
    pub fn layer_types(&self, config: &Config, period: usize) -> Result<Vec<Value>> {
        let layers = config.count("num_hidden_layers");
        let expected = format!("a number from 1, or {layers} flags, one for each layer");
        let name = |kind| match kind {
            Kind::Full => Value::from("full_attention"),
            Kind::Sliding => Value::from("sliding_attention"),
        };
        if let Some(Value::Array(flags)) = self.value(PATTERN) {
            let kind = |flag: &Value| {
                let sliding = flag.as_bool().or_else(|| flag.as_u64().map(|number| number != 0));
                sliding.map(|sliding| name(if sliding { Kind::Sliding } else { Kind::Full }))
            };
            let kinds: Option<Vec<Value>> = flags.iter().map(kind).collect();
            return kinds
                .filter(|kinds| kinds.len() == layers)
                .ok_or_else(|| self.wrong(PATTERN, &expected));
        }
        let period = self.count(PATTERN)?.unwrap_or(period);
        let kind = |layer: usize| match (layer + 1).is_multiple_of(period) {
            true => name(Kind::Full),
            false => name(Kind::Sliding),
        };
        Ok((0..layers).map(kind).collect())
    }

    /// Refuses keys of the architecture that nobody asked for and that would change the model; tells the others.
    fn unasked(&self) -> Result<Vec<Diagnostic>> {
        let prefix = format!("{}.", self.architecture);
        if self.value("attention.causal").is_some_and(|causal| *causal != true) {
            return Err(self.wrong(
                "attention.causal",
                "true: each position sees itself and those before it",
            ));
        }
        let mut told = Vec::new();
        for (key, value) in self.keys.unasked() {
            let Some(name) = key.strip_prefix(&prefix) else {
                continue;
            };
            if HARMLESS.contains(&name) || is_empty(value) || value.as_f64() == Some(0.0) {
                continue;
            }
            if FATAL.iter().any(|fatal| name.starts_with(fatal)) {
                return Err(self.wrong(name, "no such key: igsite does not compute this variant"));
            }
            told.push(format!("`{key}: {}`", shown(value)));
        }
        if told.is_empty() {
            return Ok(vec![]);
        }
        let told = told.join(", ");
        Ok(vec![
            Diagnostic::checkpoint(format!("keys that igsite does not know, passed over: {told}"))
                .help("if llama.cpp computes something by them, its numbers are others")
                .as_warning(),
        ])
    }
}

fn missing(tensor: &str) -> Diagnostic {
    Diagnostic::checkpoint("missing from the file")
        .place(format!("tensor `{tensor}`"))
        .expected("factors of rotary frequencies for short prompts and for long ones")
}

/// Settings of rotary positions by kind of layer.
pub fn by_kind(full: Map<String, Value>, sliding: Map<String, Value>) -> Value {
    json!({"full_attention": full, "sliding_attention": sliding})
}

/// Plain rotary positions.
pub fn plain(theta: f64) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("rope_type".to_owned(), "default".into());
    map.insert("rope_theta".to_owned(), theta.into());
    map
}
