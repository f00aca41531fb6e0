//! 4-bit weights: quantised here while they are read, or by bitsandbytes before they were saved.
//!
//! What bitsandbytes saves of a linear layer `W.weight` (its `QuantState.as_dict(packed=True)`, as transformers writes
//! it into safetensors):
//!
//! - `W.weight`: the codes, `[n/2, 1]` bytes, the even element in the high half;
//! - `W.weight.absmax`: a scale for each 64 weights;
//! - `W.weight.quant_map`: the values of the sixteen codes;
//! - `W.weight.quant_state.bitsandbytes__nf4` (or `__fp4`), JSON in bytes: `quant_type`, `blocksize`, `shape`.
//!
//! With double quantisation the scales are bytes themselves:
//! `nested_quant_map[byte] · nested_absmax[block] + nested_offset`, for blocks of `nested_blocksize`.

use std::io::Read;

use burn::tensor::DType;
use serde_json::Value;

use super::super::stored::unreadable;
use super::super::{Loader, Stored, TensorEntry};
use super::{UNQUANTISED, stored_by};
use crate::diagnostic::{Diagnostic, Result};
use crate::families::fields::{Fields, shown};
use crate::kernel::matrix::{BLOCK, Code, Elements, Half, quantize};
use crate::tensor::matrix::{FourBit, Matrix, four_bit, quantized};

/// What bitsandbytes saves with the codes.
const STATE: [&str; 4] = [".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map"];

/// Settings of 8 bits, and of how it is computed.
const KNOWN: [&str; 11] = [
    "quant_method",
    "load_in_8bit",
    "_load_in_8bit",
    "llm_int8_enable_fp32_cpu_offload",
    "llm_int8_has_fp16_weight",
    "llm_int8_skip_modules",
    "llm_int8_threshold",
    "bnb_4bit_compute_dtype",
    "bnb_4bit_use_double_quant",
    "bnb_4bit_quant_storage",
    "modules_to_not_convert",
];

/// The kind of 4 bits that `quantization_config` tells of.
pub fn read(fields: &Fields<'_>) -> Result<Code> {
    KNOWN.iter().for_each(|key| _ = fields.get(key));
    // Both are looked at, so that both are known.
    let (now, before) = (fields.get("load_in_4bit"), fields.get("_load_in_4bit"));
    let four = now.or(before).and_then(Value::as_bool);
    let kind = fields
        .get("bnb_4bit_quant_type")
        .and_then(Value::as_str)
        .unwrap_or("fp4");
    if let Some(storage) = fields
        .some("bnb_4bit_quant_storage")
        .filter(|storage| **storage != "uint8")
    {
        return Err(
            Diagnostic::checkpoint(format!("`bnb_4bit_quant_storage: {}`", shown(storage)))
                .expected("`uint8`: codes kept as bytes")
                .help(UNQUANTISED),
        );
    }
    match (four, kind) {
        (Some(true), "fp4") => Ok(Code::Fp4),
        (Some(true), "nf4") => Ok(Code::Nf4),
        _ if fields.get("load_in_8bit").is_some_and(|eight| *eight == true) => {
            Err(stored_by("bitsandbytes in 8 bits (`load_in_8bit: true`)"))
        }
        _ => Err(stored_by("bitsandbytes")),
    }
}

/// Weights that are read and quantised at a time: whole blocks.
const PART: usize = BLOCK << 16;

/// Quantises weights as they are stored.
fn quantize_part(bytes: &[u8], dtype: DType, code: Code) -> (Vec<u8>, Vec<f32>) {
    let count = bytes.len() / dtype.size();
    let halves = |half| Elements::Halves(bytes, half);
    match dtype {
        DType::BF16 => quantize(count, code, |range, to| halves(Half::Bf16).expand(range.start, to)),
        DType::F16 => quantize(count, code, |range, to| halves(Half::F16).expand(range.start, to)),
        _ => {
            let (floats, _) = bytes.as_chunks::<4>();
            quantize(count, code, |range, to| {
                for (to, &float) in to.iter_mut().zip(&floats[range]) {
                    *to = f32::from_le_bytes(float);
                }
            })
        }
    }
}

/// Whether a tensor belongs to the quantised form of another.
pub fn is_state(name: &str) -> bool {
    STATE.iter().any(|ending| name.ends_with(ending)) || name.contains(".quant_state.bitsandbytes__")
}

impl Loader<'_> {
    /// Reads a linear layer's weights and quantises them, block by block.
    pub(in super::super) fn quantize(
        &mut self,
        name: &str,
        entry: &TensorEntry,
        dims: [usize; 2],
        code: Code,
    ) -> Result<Matrix> {
        self.check_shape(name, entry, &dims)?;
        let count: usize = dims.into_iter().product();
        let (mut codes, mut scales) = (
            Vec::with_capacity(count.div_ceil(2)),
            Vec::with_capacity(count.div_ceil(BLOCK)),
        );
        let Some(dtype) = entry.stored.float() else {
            return Err(Diagnostic::checkpoint(format!("stored as {}", entry.stored.name()))
                .in_file(&entry.file)
                .place(format!("tensor `{name}`"))
                .expected("F32, F16 or BF16"));
        };
        let size = dtype.size();
        let (device, precision) = (self.device.clone(), self.precision);
        let mut file = self.reader(entry)?;
        let mut left = count;
        let mut part = |mut buffer: Vec<u8>| -> Result<Vec<u8>> {
            let now = left.min(PART);
            left -= now;
            buffer.resize(now * size, 0);
            file.read_exact(&mut buffer).map_err(|e| unreadable(entry, &e))?;
            Ok(buffer)
        };
        // While one part is quantised, the next comes from the disk.
        let (mut current, mut spare) = (part(vec![])?, vec![]);
        while !current.is_empty() {
            let (next, (more, theirs)) = rayon::join(|| part(spare), || quantize_part(&current, dtype, code));
            codes.extend(more);
            scales.extend(theirs);
            spare = std::mem::replace(&mut current, next?);
        }
        Ok(quantized(four_bit(code, codes, scales), dims, &device, precision).into())
    }

    /// Takes codes that bitsandbytes has made, with their scales.
    pub(in super::super) fn prequantized(
        &mut self,
        name: &str,
        entry: &TensorEntry,
        dims: [usize; 2],
    ) -> Result<Matrix> {
        let wrong = |what: String| {
            Diagnostic::checkpoint(what)
                .in_file(&entry.file)
                .place(format!("tensor `{name}`"))
        };
        let count: usize = dims.into_iter().product();
        let Some((code, state)) = [Code::Nf4, Code::Fp4].into_iter().find_map(|code| {
            let state = format!("{name}.quant_state.bitsandbytes__{}", code.name());
            Some((code, self.left.remove(&state)?))
        }) else {
            return Err(wrong(
                "stored as bytes, without a `quant_state.bitsandbytes__nf4` or `__fp4` beside it".to_owned(),
            )
            .expected("F32, F16 or BF16; or 4-bit weights as bitsandbytes saves them")
            .help("use the repository's unquantised checkpoint, with `quantization: nf4` or `fp4`"));
        };
        let state: Value = serde_json::from_slice(&self.read(&state)?)
            .map_err(|e| wrong(format!("its quant_state is not JSON: {e}")).download_again())?;
        let said = |key: &str| state.get(key).and_then(Value::as_u64);
        if said("blocksize") != Some(BLOCK as u64) {
            let found = state.get("blocksize").unwrap_or(&Value::Null);
            return Err(wrong(format!("quantised in blocks of {found}"))
                .expected(format!("blocks of {BLOCK}, bitsandbytes' default for CUDA")));
        }
        let shape: Vec<u64> = match state.get("shape").and_then(Value::as_array) {
            Some(shape) => shape.iter().filter_map(Value::as_u64).collect(),
            None => vec![],
        };
        if shape != dims.map(|n| n as u64) {
            return Err(wrong(format!("shape {shape:?}, as its quant_state says"))
                .expected(format!("{dims:?}, by config.json"))
                .help("config.json and weights belong to different models"));
        }
        if entry.bytes != count.div_ceil(2) {
            return Err(wrong(format!("{} bytes of codes", entry.bytes))
                .expected(format!("{} for {dims:?}", count.div_ceil(2))));
        }
        let blocks = count.div_ceil(BLOCK);
        let values = self.floats(&format!("{name}.quant_map"), 16)?;
        let absmax = self.left.get(&format!("{name}.absmax")).map(|entry| &entry.stored);
        let scales = match absmax {
            Some(Stored::U8) => {
                let bytes = self.bytes(&format!("{name}.absmax"), blocks)?;
                let size = said("nested_blocksize").filter(|&size| size > 0).unwrap_or(256) as usize;
                let map = self.floats(&format!("{name}.nested_quant_map"), 256)?;
                let nested = self.floats(&format!("{name}.nested_absmax"), blocks.div_ceil(size))?;
                let Some(offset) = state.get("nested_offset").and_then(Value::as_f64) else {
                    return Err(wrong("its quant_state has no `nested_offset`".to_owned()).expected("a number"));
                };
                if self.rehearsal {
                    vec![]
                } else {
                    let scale =
                        |(block, &byte): (usize, &u8)| map[usize::from(byte)] * nested[block / size] + offset as f32;
                    bytes.iter().enumerate().map(scale).collect()
                }
            }
            _ => self.floats(&format!("{name}.absmax"), blocks)?,
        };
        if self.rehearsal {
            return Ok(self.unread(dims).into());
        }
        let mut four = FourBit {
            codes: self.read(entry)?,
            scales,
            values: [0.0; 16],
        };
        four.values.copy_from_slice(&values);
        // The file's own map is what it was quantised by; ours says what it is called.
        if !four
            .values
            .iter()
            .zip(code.values())
            .all(|(theirs, ours)| (theirs - ours).abs() <= 1e-3)
        {
            return Err(wrong(format!("its quant_map is not that of {}", code.name())).download_again());
        }
        Ok(quantized(four, dims, &self.device, self.precision).into())
    }

    /// A small float32 tensor of this many elements; its values are read only if weights are read at all.
    fn floats(&mut self, name: &str, count: usize) -> Result<Vec<f32>> {
        let entry = self.state(name, count, &Stored::F32)?;
        let bytes = if self.rehearsal { vec![] } else { self.read(&entry)? };
        let (floats, _) = bytes.as_chunks::<4>();
        Ok(floats.iter().map(|&float| f32::from_le_bytes(float)).collect())
    }

    fn bytes(&mut self, name: &str, count: usize) -> Result<Vec<u8>> {
        let entry = self.state(name, count, &Stored::U8)?;
        if self.rehearsal { Ok(vec![]) } else { self.read(&entry) }
    }

    fn state(&mut self, name: &str, count: usize, stored: &Stored) -> Result<TensorEntry> {
        let entry = self.entry(name, &[count])?;
        if entry.stored != *stored || Some(entry.bytes) != stored.size().map(|size| count * size) {
            return Err(
                Diagnostic::checkpoint(format!("{} {:?}", entry.stored.name(), entry.shape))
                    .in_file(&entry.file)
                    .place(format!("tensor `{name}`"))
                    .expected(format!("{count} elements of {}", stored.name()))
                    .help("the form is not one of bitsandbytes' that is known here; use an unquantised checkpoint"),
            );
        }
        Ok(entry)
    }
}
