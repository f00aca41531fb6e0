//! compressed-tensors, the format of vLLM's LLM Compressor. Of a linear layer `W`, packed (`pack-quantized`):
//!
//! - `W.weight_packed`: int32 `[out, in · bits / 32]`, each with consecutive inputs of one output, the lowest bits
//!   first, `2^(bits − 1)` above the signed integer;
//! - `W.weight_scale`: `[out, groups]`, `[out, 1]` or one;
//! - `W.weight_zero_point`, where they are not symmetric: int32 `[out · bits / 32, groups]` with consecutive outputs in
//!   each, packed likewise, or int8 `[out, groups]`;
//! - `W.weight_g_idx`, the group of each input, where these are in another order;
//! - `W.weight_shape`: `[out, in]`.
//!
//! Not packed (`int-quantized`, `float-quantized`, `naive-quantized`): `W.weight`, int8 or E4M3 `[out, in]`, and
//! `W.weight_scale`, which may also be one for each block.

use serde_json::{Map, Value};

use super::super::Loader;
use super::fp8::{block_size, scaled};
use super::parts::{NUMBERS, Spread, columns, integers, shaped, transposed, unfit};
use super::{one_of, unknown};
use crate::diagnostic::{Diagnostic, Result};
use crate::families::fields::Fields;
use crate::kernel::packed::Codes;
use crate::tensor::matrix::{Grouped, Matrix};
use crate::terms::Quantization;

/// What `quantization_config` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Of each group of layers.
    kinds: Vec<Kind>,
}

/// How some layers are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    bits: usize,
    float: bool,
    /// Rows and columns that share a scale, where it is not a whole row or all of it.
    block: Option<[usize; 2]>,
    /// There are zero points.
    zeros: bool,
    /// Only `weight_g_idx` says which group a column is in.
    by_activation: bool,
}

impl Settings {
    /// What a record calls it.
    pub fn word(&self) -> Quantization {
        let word = |kind: &Kind| match (kind.float, kind.bits) {
            (true, _) => Quantization::CompressedFp8,
            (false, 4) => Quantization::Compressed4,
            (false, _) => Quantization::Compressed8,
        };
        let mut words = self.kinds.iter().map(word);
        match words.next() {
            Some(first) if words.all(|word| word == first) => first,
            _ => Quantization::Compressed,
        }
    }

    /// Bits of a packed code; where there are several kinds, of the first.
    pub fn bits(&self) -> usize {
        self.kinds.iter().find(|kind| !kind.float).map_or(8, |kind| kind.bits)
    }

    fn blocks(&self) -> Vec<[usize; 2]> {
        self.kinds.iter().filter_map(|kind| kind.block).collect()
    }

    /// What each kind has beside codes and scales, if all have it: which layer is of which kind is not looked at.
    fn all(&self, has: impl Fn(&Kind) -> bool) -> bool {
        self.kinds.iter().all(has)
    }
}

/// Forms that are read; the last names a form for each group of layers.
const FORMATS: [&str; 5] = [
    "pack-quantized",
    "int-quantized",
    "float-quantized",
    "naive-quantized",
    "mixed-precision",
];

/// What says which layers it is of, or how it was made.
const KNOWN: [&str; 5] = [
    "quant_method",
    "ignore",
    "version",
    "global_compression_ratio",
    "run_compressed",
];

/// What says how the weights of a group of layers were found.
const KNOWN_OF_WEIGHTS: [&str; 5] = ["dynamic", "observer", "observer_kwargs", "scale_dtype", "zp_dtype"];

/// Reads the fields of `quantization_config`, and what activations would be rounded to.
pub fn read(fields: &Fields<'_>) -> Result<(Settings, Option<String>)> {
    KNOWN.iter().for_each(|key| _ = fields.get(key));
    one_of(fields, "format", &FORMATS)?;
    one_of(fields, "quantization_status", &["compressed"])?;
    fields.must_be_empty("transform_config", "no transforms")?;
    sparsity(fields)?;
    let nothing = Map::new();
    let groups = fields
        .some("config_groups")
        .and_then(Value::as_object)
        .unwrap_or(&nothing);
    let (mut kinds, mut activations) = (vec![], vec![]);
    for (name, group) in groups {
        let group = group.as_object().unwrap_or(&nothing);
        let at = |mut error: Diagnostic| {
            error.message = format!("`config_groups`, `{name}`: {}", error.message);
            error
        };
        let group = Fields::new(group);
        group.get("targets");
        one_of(&group, "format", &FORMATS).map_err(at)?;
        if let Some(weights) = group.some("weights").and_then(Value::as_object) {
            let weights = Fields::new(weights);
            kinds.push(weights_of(&weights).map_err(at)?);
            unknown(&weights).into_iter().for_each(|told| fields.warn(at(told)));
        }
        for (key, what) in [("input_activations", ""), ("output_activations", "outputs in ")] {
            if let Some(rounded) = group.some(key).and_then(Value::as_object) {
                activations.push(format!("{what}{}", numbers_of(rounded)));
            }
        }
        unknown(&group).into_iter().for_each(|told| fields.warn(at(told)));
    }
    if kinds.is_empty() {
        return Err(fields.wrong("config_groups", "at least one group of layers with `weights`"));
    }
    if let Some(cache) = fields.some("kv_cache_scheme").and_then(Value::as_object) {
        activations.push(format!("keys and values in {}", numbers_of(cache)));
    }
    activations.dedup();
    let activations = (!activations.is_empty()).then(|| activations.join("; "));
    Ok((Settings { kinds }, activations))
}

/// Refuses weights of which some are left out.
fn sparsity(fields: &Fields<'_>) -> Result<()> {
    let format = fields.some("sparsity_config").and_then(|config| config.get("format"));
    match format.and_then(Value::as_str) {
        None | Some("dense") => Ok(()),
        Some(format) => {
            Err(Diagnostic::checkpoint(format!("`sparsity_config`: `format: {format}`")).expected("`dense`"))
        }
    }
}

/// How the weights of a group of layers are stored.
fn weights_of(weights: &Fields<'_>) -> Result<Kind> {
    let float = match weights.text("type")?.unwrap_or("int") {
        "int" => false,
        "float" => true,
        _ => return Err(weights.wrong("type", "`int` or `float`")),
    };
    let bits = match (weights.some("num_bits").and_then(Value::as_u64), float) {
        (Some(4), false) => 4,
        (Some(8), _) => 8,
        _ => return Err(weights.wrong("num_bits", "integers of 4 or 8 bits, or floating point of 8")),
    };
    let block = match weights.text("strategy")? {
        None | Some("tensor" | "channel") => None,
        Some("group") => match weights.some("group_size").and_then(Value::as_u64) {
            Some(size @ 1..) => Some([1, size as usize]),
            _ => return Err(weights.wrong("group_size", "a whole number from 1")),
        },
        // It was a text once.
        Some("block") => match weights.some("block_structure") {
            Some(Value::String(text)) => {
                let sizes = text
                    .split_once('x')
                    .map(|(rows, columns)| (rows.parse(), columns.parse()));
                match sizes {
                    Some((Ok(rows @ 1..), Ok(columns @ 1..))) => Some([rows, columns]),
                    _ => return Err(weights.wrong("block_structure", "rows and columns of a block")),
                }
            }
            _ => Some(block_size(weights, "block_structure")?),
        },
        Some(_) => return Err(weights.wrong("strategy", "`tensor`, `channel`, `group` or `block`")),
    };
    KNOWN_OF_WEIGHTS.iter().for_each(|key| _ = weights.get(key));
    let by_activation = match weights.some("actorder") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::String(order)) if order == "static" || order == "weight" => false,
        Some(Value::String(order)) if order == "dynamic" || order == "group" => true,
        Some(Value::Bool(true)) => true,
        Some(_) => return Err(weights.wrong("actorder", "`group`, `weight`, `dynamic` or `static`")),
    };
    Ok(Kind {
        bits,
        float,
        block,
        zeros: !weights.flag("symmetric", true)?,
        by_activation,
    })
}

/// What numbers are rounded to, in a few words.
fn numbers_of(rounded: &Map<String, Value>) -> String {
    let bits = rounded.get("num_bits").and_then(Value::as_u64).unwrap_or(8);
    let kind = match rounded.get("type").and_then(Value::as_str) {
        Some("float") => "fp",
        _ => "int",
    };
    // `true`, `false` or `"local"`.
    let fixed = rounded
        .get("dynamic")
        .is_none_or(|dynamic| *dynamic == Value::Bool(false));
    format!("{kind}{bits}, {}", if fixed { "static" } else { "dynamic" })
}

/// Takes a layer; none: it is stored as floats.
pub fn take(loader: &mut Loader<'_>, settings: &Settings, base: &str, dims: [usize; 2]) -> Result<Option<Matrix>> {
    let name = |part: &str| format!("{base}.{part}");
    let packed = loader.has(&name("weight_packed"));
    let stored = loader.left.get(&name("weight")).map(|entry| entry.stored.name());
    if !packed && !matches!(stored, Some("F8_E4M3" | "I8")) {
        return Ok(None);
    }
    let needed = [
        (
            "weight_zero_point",
            settings.all(|kind| kind.zeros),
            "zero points, since `symmetric` is false",
        ),
        (
            "weight_g_idx",
            settings.all(|kind| kind.by_activation),
            "the group of each input, by `actorder`",
        ),
    ];
    for (part, all, expected) in needed {
        if all && !loader.has(&name(part)) {
            return Err(Diagnostic::checkpoint("missing from the checkpoint")
                .in_file(&loader.checkpoint.folder)
                .place(format!("tensor `{}`", name(part)))
                .expected(expected));
        }
    }
    if !packed {
        return scaled(loader, base, "weight_scale", dims, &settings.blocks());
    }
    let [out, input] = dims;
    let codes = loader.part(&name("weight_packed"), &["I32"])?;
    let fits = |bits: &usize| codes.shape == [out, input * bits / 32] && (input * bits).is_multiple_of(32);
    let Some(bits) = settings.kinds.iter().map(|kind| kind.bits).find(fits) else {
        return Err(
            unfit(&codes, &name("weight_packed"), format!("shape {:?}", codes.shape))
                .expected(format!("{} or {} bits for each of {dims:?}, in whole words", 4, 8)),
        );
    };
    if let Some(shape) = loader.part_if_there(&name("weight_shape"), &["I64", "I32"])? {
        let bytes = loader.read(&shape)?;
        let side = bytes.len() / 2;
        let sides: Vec<u64> = bytes
            .chunks_exact(side.max(1))
            .map(|side| side.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
            .collect();
        if sides != dims.map(|side| side as u64) {
            return Err(
                unfit(&shape, &name("weight_shape"), format!("a layer of shape {sides:?}"))
                    .expected(format!("{dims:?}, by config.json"))
                    .help("config.json and weights belong to different models"),
            );
        }
    }
    let scales = loader.part(&name("weight_scale"), &NUMBERS)?;
    let Some(spread) = Spread::of(&scales.shape, dims, &settings.blocks()) else {
        return Err(
            unfit(&scales, &name("weight_scale"), format!("shape {:?}", scales.shape)).expected(format!(
                "a scale for all of {dims:?}, for each row, or for each group of a row"
            )),
        );
    };
    let zeros = loader.part_if_there(&name("weight_zero_point"), &["I32", "I8"])?;
    if let Some(zeros) = &zeros {
        let groups = scales.shape.get(1).copied().unwrap_or(1);
        let rows = scales.shape.first().copied().unwrap_or(1);
        match zeros.stored.name() {
            "I32" => shaped(zeros, &name("weight_zero_point"), &[(rows * bits).div_ceil(32), groups])?,
            _ => shaped(zeros, &name("weight_zero_point"), &scales.shape)?,
        }
    }
    let order = loader.part_if_there(&name("weight_g_idx"), &["I32"])?;
    if let Some(order) = &order {
        shaped(order, &name("weight_g_idx"), &[input])?;
    }
    if loader.rehearsal {
        return Ok(Some(loader.placeholder(dims)));
    }
    let columns = match &order {
        Some(order) => {
            let bytes = loader.read(order)?;
            // All −1: the order of the inputs.
            match bytes.iter().all(|&byte| byte == 255) {
                true => None,
                false => columns(order, &name("weight_g_idx"), &bytes, spread.group, spread.per_row)?,
            }
        }
        None => None,
    };
    let zeros = match &zeros {
        Some(entry) => {
            let stored = loader.read(entry)?;
            let rows = scales.shape.first().copied().unwrap_or(1);
            let middle = 1u8 << (bits - 1);
            let unsigned: Vec<u8> = match entry.stored.name() {
                "I32" => {
                    let (words, _) = stored.as_chunks::<4>();
                    // `[words, groups]`: the words of a group one after another are its outputs.
                    let by_group = transposed(words, words.len() / entry.shape[0].max(1));
                    let outputs = entry.shape[0] * 32 / bits;
                    let all: Vec<u8> = integers(by_group.as_flattened(), bits).collect();
                    let kept: Vec<u8> = all.chunks(outputs).flat_map(|all| &all[..rows]).copied().collect();
                    transposed(&kept, rows)
                }
                _ => {
                    let unsigned = |&byte: &u8| {
                        let zero = byte.wrapping_add(middle);
                        if usize::from(zero) < 1 << bits {
                            return Ok(zero);
                        }
                        let told = format!("a zero point of {}", byte as i8);
                        Err(unfit(entry, &name("weight_zero_point"), told)
                            .expected(format!("a signed integer of {bits} bits"))
                            .download_again())
                    };
                    stored.iter().map(unsigned).collect::<Result<_>>()?
                }
            };
            spread.spread(&unsigned, out)
        }
        None => vec![],
    };
    let grouped = Grouped {
        codes: loader.read(&codes)?,
        kind: if bits == 8 { Codes::Eight } else { Codes::Four },
        scales: spread.spread(&loader.numbers(&scales)?, out),
        zeros,
        width: input,
        per_row: spread.per_row,
        group: spread.group,
        columns,
    };
    Ok(Some(loader.grouped(grouped, out)))
}
