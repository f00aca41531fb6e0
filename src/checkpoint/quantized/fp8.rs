//! 8-bit floating point with a scale for each block of a matrix, as DeepSeek and Qwen publish it, or with one for the
//! whole of it. Of a linear layer `W`:
//!
//! - `W.weight`: E4M3, `[out, in]`;
//! - `W.weight_scale_inv`: for each block of `weight_block_size`, or one; by which codes are multiplied, whatever its
//!   name says. AutoFP8 calls it `W.weight_scale`;
//! - `W.activation_scale` (or `input_scale`) where activations would be rounded by a fixed scale: not used here.

use super::super::Loader;
use super::one_of;
use super::parts::{NUMBERS, Spread, shaped, unfit};
use crate::diagnostic::{Diagnostic, Result};
use crate::families::fields::Fields;
use crate::kernel::packed::Codes;
use crate::tensor::matrix::{Grouped, Matrix};

const AUTO_FP8: &str = "weight_scale";

/// What `quantization_config` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Rows and columns of a block.
    block: Option<[usize; 2]>,
}

/// What says which layers it is of, or how scales were found.
const KNOWN: [&str; 5] = [
    "quant_method",
    "modules_to_not_convert",
    "ignored_layers",
    "dequantize",
    "scale_fmt",
];

/// Reads the fields of `quantization_config`, and what activations would be rounded to.
pub fn read(fields: &Fields<'_>) -> Result<(Settings, String)> {
    KNOWN.iter().for_each(|key| _ = fields.get(key));
    one_of(fields, "fmt", &["e4m3", "float8_e4m3fn"])?;
    one_of(fields, "expert_dtype", &["fp8"])?;
    let scheme = match fields.text("activation_scheme")?.unwrap_or("dynamic") {
        scheme @ ("dynamic" | "static") => scheme,
        other => {
            return Err(
                Diagnostic::checkpoint(format!("`activation_scheme: {other}`")).expected("`dynamic` or `static`")
            );
        }
    };
    let block = match fields.some("weight_block_size") {
        None => None,
        Some(_) => Some(block_size(fields, "weight_block_size")?),
    };
    Ok((Settings { block }, format!("fp8, {scheme}")))
}

/// Rows and columns of a block.
pub fn block_size(fields: &Fields<'_>, key: &str) -> Result<[usize; 2]> {
    let sizes = fields.some(key).and_then(serde_json::Value::as_array);
    let sizes: Option<Vec<u64>> = sizes.and_then(|all| all.iter().map(serde_json::Value::as_u64).collect());
    match sizes.as_deref() {
        Some(&[height, width]) if height > 0 && width > 0 => Ok([height as usize, width as usize]),
        _ => Err(fields.wrong(key, "two whole numbers from 1")),
    }
}

/// Takes a layer; none: it is no FP8.
pub fn take(loader: &mut Loader<'_>, settings: &Settings, base: &str, dims: [usize; 2]) -> Result<Option<Matrix>> {
    // AutoFP8's name for it, without the part that is wrong.
    let scale = match loader.has(&format!("{base}.{AUTO_FP8}")) {
        true => AUTO_FP8,
        false => "weight_scale_inv",
    };
    scaled(loader, base, scale, dims, settings.block.as_slice())
}

/// Takes a layer `weight` of bytes, whose scales have this name; none: it has no bytes. Signed integers may have
/// `weight_zero_point`.
pub fn scaled(
    loader: &mut Loader<'_>,
    base: &str,
    scale: &str,
    dims: [usize; 2],
    blocks: &[[usize; 2]],
) -> Result<Option<Matrix>> {
    let [out, input] = dims;
    let name = |part: &str| format!("{base}.{part}");
    let kind = match loader.left.get(&name("weight")).map(|entry| entry.stored.name()) {
        Some("F8_E4M3") => Codes::E4m3,
        Some("I8") => Codes::Eight,
        _ => return Ok(None),
    };
    let codes = loader.part(&name("weight"), &["F8_E4M3", "I8"])?;
    shaped(&codes, &name("weight"), &dims)?;
    let scales = loader.part(&name(scale), &NUMBERS)?;
    let Some(spread) = Spread::of(&scales.shape, dims, blocks) else {
        let blocks: Vec<String> = blocks
            .iter()
            .map(|[rows, columns]| format!(", or of {rows} × {columns}"))
            .collect();
        return Err(
            unfit(&scales, &name(scale), format!("shape {:?}", scales.shape)).expected(format!(
                "a scale for all of {dims:?}, for each row, or for each group of a row{}",
                blocks.concat()
            )),
        );
    };
    let zeros = match kind {
        Codes::Eight => loader.part_if_there(&name("weight_zero_point"), &["I8"])?,
        _ => None,
    };
    if let Some(zeros) = &zeros {
        shaped(zeros, &name("weight_zero_point"), &scales.shape)?;
    }
    if loader.rehearsal {
        return Ok(Some(loader.placeholder(dims)));
    }
    // Signed as unsigned, 128 above.
    let unsigned = |mut bytes: Vec<u8>| {
        bytes.iter_mut().for_each(|byte| *byte ^= 128);
        bytes
    };
    let scales = spread.spread(&loader.numbers(&scales)?, out);
    let zeros = match &zeros {
        Some(zeros) => spread.spread(&unsigned(loader.read(zeros)?), out),
        None => vec![],
    };
    let codes = loader.read(&codes)?;
    let grouped = Grouped {
        codes: if kind == Codes::Eight { unsigned(codes) } else { codes },
        kind,
        scales,
        zeros,
        width: input,
        per_row: spread.per_row,
        group: spread.group,
        columns: None,
    };
    Ok(Some(loader.grouped(grouped, out)))
}
