//! A GGUF file as a checkpoint: its config, and where its tensors lie.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::{File, Tensor};
use crate::checkpoint::config::{self, CheckpointConfig};
use crate::checkpoint::quantized::Quantized;
use crate::checkpoint::{Stored, TensorEntry};
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::families::gguf::{self, FACTORS};
use crate::input;
use crate::kernel::packed::BlockType;

/// Values longer than this, in bytes, are of no model's settings.
const LONGEST_VALUES: usize = 1 << 20;
/// Experts of a layer.
const MOST_EXPERTS: usize = 1 << 12;
/// Of all layers together: several times what the largest models have.
const MOST_PARTS: usize = 1 << 18;
/// A float32 for each pair of a head's dimensions.
const LONGEST_FACTORS: usize = 1 << 18;

/// Whether a path is that of a GGUF file.
pub fn is_file(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// Reads a file's config and finds its tensors.
///
/// # Errors
/// As [`super::read`]; it is a part of a model; its architecture or a type of its tensors is one that is not computed;
/// what its metadata say of the model is missing, or not what it must be.
pub fn open(path: &Path) -> Result<(CheckpointConfig, BTreeMap<String, TensorEntry>)> {
    let file = super::read(path)?;
    whole_model(&file)?;
    let shapes: BTreeMap<String, Vec<usize>> = file
        .tensors
        .iter()
        .map(|tensor| (tensor.name.clone(), tensor.shape.clone()))
        .collect();
    let factors = factors(&file)?;
    let architecture = file.metadata.text("general.architecture")?.ok_or_else(|| {
        file.wrong("`general.architecture` is missing")
            .expected("the name of a model's architecture")
    })?;
    let here = |error: Diagnostic| error.in_file(path);
    let (family, mut fields, warnings) = gguf::read(architecture, &settings(&file), &shapes, &factors).map_err(here)?;
    tokens(&file, &mut fields)?;
    let mut config = config::parse(&fields).map_err(here)?;
    gguf::adapt(&mut config.model, family, &shapes);
    config.warnings = config.warnings.into_iter().chain(warnings).map(here).collect();
    let mut entries = BTreeMap::new();
    let mut parts = 0;
    for tensor in file.tensors.iter().filter(|tensor| !FACTORS.contains(&&*tensor.name)) {
        let entry = entry(&file, tensor)?;
        match gguf::part_of_experts(&tensor.name, 0) {
            None => _ = entries.insert(tensor.name.clone(), entry),
            Some(_) => entries.extend(experts(&file, tensor, &entry, &mut parts)?),
        }
    }
    let packed = entries.values().any(|entry| matches!(entry.stored, Stored::Blocks(_)));
    config.quantization = packed.then(Quantized::gguf);
    Ok((config, entries))
}

/// Refuses what is no model, or a part of one.
fn whole_model(file: &File) -> Result<()> {
    if let Some(parts) = file.metadata.u32("split.count")?.filter(|&parts| parts > 1) {
        return Err(file
            .wrong(format!("one of {parts} parts of a model"))
            .place("`split.count`")
            .expected("a model in one file")
            .help("put them together: `llama-gguf-split --merge FIRST-PART OUTPUT`"));
    }
    match file.metadata.text("general.type")? {
        None | Some("model") => Ok(()),
        Some(other) => Err(file
            .wrong(format!("`general.type: {other}`"))
            .expected("`model`")
            .help("adapters, projectors of images and vocabularies are no models of their own")),
    }
}

/// The keys that say what the model is.
fn settings(file: &File) -> Map<String, Value> {
    let not = ["general.", "tokenizer.", "split.", "quantize."];
    let keys = file.metadata.keys();
    let keys = keys.filter(|key| !not.iter().any(|prefix| key.starts_with(prefix)));
    let mut room = LONGEST_VALUES;
    let mut value = |key: &str| {
        let length = file.metadata.raw(key).map_or(0, <[u8]>::len);
        // Before it is read, when it takes many times its own room.
        let left = room.checked_sub(length);
        room = left.unwrap_or(room);
        let value = left.and_then(|_| file.metadata.json(key));
        value.unwrap_or_else(|| format!("{length} bytes").into())
    };
    keys.map(|key| (key.to_owned(), value(key))).collect()
}

/// The special tokens, under their names in `config.json`: what ends a turn ends what the model says, too.
fn tokens(file: &File, fields: &mut Map<String, Value>) -> Result<()> {
    let token = |name: &str| file.metadata.u32(&format!("tokenizer.ggml.{name}_token_id"));
    for (name, to) in [("bos", "bos_token_id"), ("padding", "pad_token_id")] {
        if let Some(id) = token(name)? {
            fields.insert(to.to_owned(), id.into());
        }
    }
    let mut ends: Vec<u32> = Vec::new();
    for name in ["eos", "eot", "eom"] {
        ends.extend(token(name)?.filter(|id| !ends.contains(id)));
    }
    // Without one there is none: the default of a family is that of another tokenizer.
    fields.insert("eos_token_id".to_owned(), ends.into());
    Ok(())
}

/// The factors of rotary frequencies, which are settings of the model.
fn factors(file: &File) -> Result<BTreeMap<String, Vec<f64>>> {
    let mut factors = BTreeMap::new();
    for tensor in file.tensors.iter().filter(|tensor| FACTORS.contains(&&*tensor.name)) {
        if tensor.kind.packed() != Some(BlockType::F32) || tensor.bytes > LONGEST_FACTORS {
            return Err(file
                .wrong(format!("{} of {:?}", tensor.kind.name(), tensor.shape))
                .place(format!("tensor `{}`", tensor.name))
                .expected("float32, one for each pair of a head's dimensions"));
        }
        let bytes = entry(file, tensor)?.read(&mut input::open(&file.path, Kind::Checkpoint, "read the model")?)?;
        let (floats, _) = bytes.as_chunks::<4>();
        let floats = floats.iter().map(|&float| f64::from(f32::from_le_bytes(float)));
        factors.insert(tensor.name.clone(), floats.collect());
    }
    Ok(factors)
}

/// The parts of a tensor of all experts, one for each; `parts` counts those of the file.
fn experts(file: &File, tensor: &Tensor, entry: &TensorEntry, parts: &mut usize) -> Result<Vec<(String, TensorEntry)>> {
    let count = match tensor.shape[..] {
        [count, _] | [count, _, _] if count <= MOST_EXPERTS => count,
        _ => {
            return Err(file
                .wrong(format!("shape {:?}", tensor.shape))
                .place(format!("tensor `{}`", tensor.name))
                .expected(format!("at most {MOST_EXPERTS} experts, each a matrix or a vector")));
        }
    };
    *parts += count;
    if *parts > MOST_PARTS {
        return Err(file
            .wrong(format!("more than {MOST_PARTS} matrices of experts"))
            .place(format!("tensor `{}`", tensor.name))
            .download_again());
    }
    let part = |expert: usize| Some((gguf::part_of_experts(&tensor.name, expert)?, entry.part(expert)));
    Ok((0..count).filter_map(part).collect())
}

fn entry(file: &File, tensor: &Tensor) -> Result<TensorEntry> {
    let stored = match tensor.kind.packed() {
        Some(BlockType::F32) => Stored::F32,
        Some(BlockType::F16) => Stored::F16,
        Some(BlockType::BF16) => Stored::Bf16,
        Some(kind) => Stored::Blocks(kind),
        None => {
            let known: Vec<&str> = BlockType::ALL.into_iter().map(BlockType::name).collect();
            return Err(file
                .wrong(format!(
                    "stored as {}, which igsite does not compute with",
                    tensor.kind.name()
                ))
                .place(format!("tensor `{}`", tensor.name))
                .expected(format!("one of {}", known.join(", ")))
                .help("take the file of another quantisation, such as Q4_K_M or Q8_0"));
        }
    };
    Ok(TensorEntry {
        file: file.path.clone(),
        offset: tensor.offset,
        bytes: tensor.bytes,
        shape: tensor.shape.clone(),
        stored,
        strides: None,
        big_endian: false,
    })
}
