//! GPTQ (Frantar et al. 2022, arXiv:2210.17323), as AutoGPTQ and GPTQModel save it. Of a linear layer `W`, with codes
//! of `bits` bits:
//!
//! - `W.qweight`: int32 `[in · bits / 32, out]`, each with consecutive inputs of one output, the lowest bits first;
//! - `W.scales`: `[groups, out]`;
//! - `W.qzeros`: int32 `[groups, out · bits / 32]`, each with consecutive outputs. Version 1 stores zero points less 1:
//!   GPTQModel adds 1 to all codes of a word at once when it loads one, which undoes what it did when it saved it;
//! - `W.g_idx`: int32 `[in]`, the group of each input, which is in any order where columns were quantised by their
//!   activations (`desc_act`).
//!
//! w = scale · (code − zero point).

use super::super::Loader;
use super::one_of;
use super::parts::{NUMBERS, columns, integers, shaped, transposed, turned, unfit};
use crate::diagnostic::{Diagnostic, Result};
use crate::families::fields::{Fields, is_empty};
use crate::kernel::packed::Codes;
use crate::tensor::matrix::{Grouped, Matrix};
use crate::terms::Quantization;

/// What `quantization_config` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Of a code.
    pub bits: usize,
    /// Inputs in a group; none: all.
    group: Option<usize>,
    /// Zero points are stored less 1.
    less_one: bool,
    /// Layers may have settings of their own (GPTQModel's `dynamic`).
    by_layer: bool,
    /// Columns were quantised by their activations, so that only `g_idx` says which group one is in.
    by_activation: bool,
}

impl Settings {
    /// What a record calls it.
    pub fn word(&self) -> Quantization {
        match self.bits {
            2 => Quantization::Gptq2,
            4 => Quantization::Gptq4,
            _ => Quantization::Gptq8,
        }
    }
}

/// What says how it was made, or with which code it would be computed.
pub const KNOWN: [&str; 31] = [
    "sym",
    "act_group_aware",
    "damp_percent",
    "damp_auto_increment",
    "true_sequential",
    "static_groups",
    "mse",
    "dataset",
    "tokenizer",
    "model_seqlen",
    "block_name_to_quantize",
    "module_name_preceding_first_block",
    "modules_in_block_to_quantize",
    "modules_to_not_convert",
    "batch_size",
    "pad_token_id",
    "cache_block_outputs",
    "max_input_length",
    "use_cuda_fp16",
    "use_exllama",
    "disable_exllama",
    "exllama_config",
    "backend",
    "meta",
    "model_name_or_path",
    "model_file_base_name",
    "quant_method",
    "version",
    "hyb_act",
    "offload_to_disk",
    "offload_to_disk_path",
];

/// Reads the fields of `quantization_config`.
pub fn read(fields: &Fields<'_>) -> Result<Settings> {
    KNOWN.iter().for_each(|key| _ = fields.get(key));
    let bits = match fields.some("bits").and_then(serde_json::Value::as_u64) {
        Some(bits @ (2 | 4 | 8)) => bits as usize,
        // Version 1 of 3 bits: codes reach over words, and zero points that were less 1 over codes.
        _ => return Err(fields.wrong("bits", "2, 4 or 8")),
    };
    let group = group_size(fields, "group_size")?;
    let format = fields.text("checkpoint_format")?.or(fields.text("format")?);
    let less_one = match format {
        None | Some("gptq") => true,
        Some("gptq_v2") => false,
        Some(other) => {
            return Err(Diagnostic::checkpoint(format!("`checkpoint_format: {other}`")).expected("`gptq` or `gptq_v2`"));
        }
    };
    fields.must_be_off("is_marlin_format")?;
    fields.must_be_off("lm_head")?;
    one_of(fields, "pack_dtype", &["int32", "torch.int32"])?;
    fields.must_be_empty("adapter", "no adapter")?;
    fields.must_be_empty("rotation", "no rotation")?;
    let by_layer = fields.some("dynamic").is_some_and(|dynamic| !is_empty(dynamic));
    Ok(Settings {
        bits,
        group,
        less_one,
        by_layer,
        by_activation: fields.flag("desc_act", false)?,
    })
}

/// Inputs in a group; none: all of them (−1).
pub fn group_size(fields: &Fields<'_>, key: &str) -> Result<Option<usize>> {
    match fields.some(key).and_then(serde_json::Value::as_i64) {
        Some(-1) => Ok(None),
        Some(size) if size > 0 => Ok(Some(size as usize)),
        _ => Err(fields.wrong(key, "a whole number from 1, or -1 for whole rows")),
    }
}

/// Leaves aside the biases that AutoGPTQ gave to all layers, zeros where the model has none, so that only a bias that
/// would change a number is left over.
///
/// # Errors
/// A file cannot be read.
pub fn leave_zero_biases(loader: &mut Loader<'_>) -> Result<()> {
    let checkpoint = loader.checkpoint;
    let of_layer = |name: &String| {
        let base = name.strip_suffix(".bias");
        base.is_some_and(|base| checkpoint.entries.contains_key(&format!("{base}.qweight")))
    };
    let names: Vec<String> = loader.left.keys().filter(|name| of_layer(name)).cloned().collect();
    for name in names {
        let entry = loader.left[&name].clone();
        if NUMBERS.contains(&entry.stored.name()) && loader.numbers(&entry)?.iter().all(|&bias| bias == 0.0) {
            loader.left.remove(&name);
        }
    }
    Ok(())
}

/// Takes a layer.
pub fn take(loader: &mut Loader<'_>, settings: &Settings, base: &str, dims: [usize; 2]) -> Result<Matrix> {
    let [out, input] = dims;
    let name = |part: &str| format!("{base}.{part}");
    let codes = loader.part(&name("qweight"), &["I32"])?;
    let bits = match (&codes.shape[..], settings.by_layer) {
        (&[words, _], true) if [2, 4, 8].iter().any(|bits| words * 32 == input * bits) => words * 32 / input,
        _ => settings.bits,
    };
    if !(input * bits).is_multiple_of(32) || !(out * bits).is_multiple_of(32) {
        let told = format!("a layer of {out} outputs and {input} inputs in {bits} bits");
        return Err(unfit(&codes, &name("qweight"), told).expected("whole words of 32 bits"));
    }
    shaped(&codes, &name("qweight"), &[input * bits / 32, out])?;
    let by_config = settings.group.unwrap_or(input).min(input);
    let scales = loader.part(&name("scales"), &NUMBERS)?;
    let groups = match (&scales.shape[..], settings.by_layer) {
        (&[groups, _], true) if groups > 0 => groups,
        _ => input.div_ceil(by_config),
    };
    shaped(&scales, &name("scales"), &[groups, out])?;
    let zeros = loader.part(&name("qzeros"), &["I32"])?;
    shaped(&zeros, &name("qzeros"), &[groups, out * bits / 32])?;
    let order = loader.part_if_there(&name("g_idx"), &["I32"])?;
    if let Some(order) = &order {
        shaped(order, &name("g_idx"), &[input])?;
    }
    // A layer whose settings are its own has as many groups as it has scales.
    let own = groups != input.div_ceil(by_config);
    let group = if own { input.div_ceil(groups) } else { by_config };
    if order.is_none() {
        if settings.by_activation {
            return Err(unfit(&codes, &name("g_idx"), "missing from the checkpoint".to_owned())
                .expected("the group of each input, since `desc_act` is true"));
        }
        if own && !input.is_multiple_of(groups) {
            return Err(
                unfit(&scales, &name("scales"), format!("{groups} groups of {input} inputs"))
                    .expected("groups of equal size, or `g_idx`"),
            );
        }
    }
    if loader.rehearsal {
        return Ok(loader.placeholder(dims));
    }
    let columns = match &order {
        Some(order) => columns(order, &name("g_idx"), &loader.read(order)?, group, groups)?,
        None => None,
    };
    let scales = transposed(&loader.numbers(&scales)?, out);
    let mut zeros = loader.read(&zeros)?;
    if settings.less_one {
        let one = match bits {
            2 => 0x5555_5555,
            4 => 0x1111_1111,
            _ => 0x0101_0101,
        };
        let (words, _) = zeros.as_chunks_mut::<4>();
        for word in words {
            *word = u32::from_le_bytes(*word).wrapping_add(one).to_le_bytes();
        }
    }
    let zeros: Vec<u8> = integers(&zeros, bits).collect();
    let words = loader.read(&codes)?;
    let (words, _) = words.as_chunks::<4>();
    let codes = match bits {
        // Two bits become four.
        2 => turned(words, out, 8, |word, to| {
            for (to, byte) in to.chunks_mut(2).zip(word) {
                to[0] = byte & 3 | (byte >> 2 & 3) << 4;
                to[1] = byte >> 4 & 3 | (byte >> 6) << 4;
            }
        }),
        _ => turned(words, out, 4, |word, to| to.copy_from_slice(&word)),
    };
    let grouped = Grouped {
        codes,
        kind: if bits == 8 { Codes::Eight } else { Codes::Four },
        scales,
        zeros: transposed(&zeros, out),
        width: input,
        per_row: groups,
        group,
        columns,
    };
    Ok(loader.grouped(grouped, out))
}
