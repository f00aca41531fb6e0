//! AWQ (Lin et al. 2023, arXiv:2306.00978), as AutoAWQ saves it for its GEMM kernels. Of a linear layer `W`, with codes
//! of 4 bits:
//!
//! - `W.qweight`: int32 `[in, out / 8]`, each with eight consecutive outputs of one input, in the order [`ORDER`] from
//!   the lowest bits on;
//! - `W.qzeros`: int32 `[groups, out / 8]`, likewise;
//! - `W.scales`: `[groups, out]`.
//!
//! w = scale · (code − zero point).

use rayon::prelude::*;

use super::super::Loader;
use super::gptq::{self, group_size};
use super::parts::{NUMBERS, shaped, transposed, unfit};
use crate::diagnostic::{Diagnostic, Result};
use crate::families::fields::Fields;
use crate::kernel::packed::Codes;
use crate::tensor::matrix::{Grouped, Matrix};

/// Which of eight outputs each four bits of a word are.
const ORDER: [usize; 8] = [0, 2, 4, 6, 1, 3, 5, 7];

/// What `quantization_config` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Inputs in a group; none: all.
    group: Option<usize>,
}

/// What says with which code it would be computed, and GPTQ's switch, which is of no account here.
const KNOWN: [&str; 4] = ["do_fuse", "fuse_max_seq_len", "modules_to_fuse", "desc_act"];

/// Reads the fields of `quantization_config`.
pub fn read(fields: &Fields<'_>) -> Result<Settings> {
    // transformers 5 writes GPTQ's fields into each config.
    KNOWN.iter().chain(&gptq::KNOWN).for_each(|key| _ = fields.get(key));
    fields.must_be_off("lm_head")?;
    // The first files had llm-awq's own names.
    let either = |new, old| if fields.some(new).is_some() { new } else { old };
    let bits = either("bits", "w_bit");
    if fields.some(bits).and_then(serde_json::Value::as_u64) != Some(4) {
        return Err(fields.wrong(bits, "4"));
    }
    let group = group_size(fields, either("group_size", "q_group_size"))?;
    if !fields.flag("zero_point", true)? {
        return Err(fields.wrong("zero_point", "true"));
    }
    for key in ["version", "format"] {
        if let Some(version) = fields
            .text(key)?
            .filter(|version| !version.eq_ignore_ascii_case("gemm"))
        {
            return Err(Diagnostic::checkpoint(format!("`{key}: {version}`")).expected("`gemm`"));
        }
    }
    Ok(Settings { group })
}

/// Takes a layer.
pub fn take(loader: &mut Loader<'_>, settings: &Settings, base: &str, dims: [usize; 2]) -> Result<Matrix> {
    let [out, input] = dims;
    let name = |part: &str| format!("{base}.{part}");
    let codes = loader.part(&name("qweight"), &["I32"])?;
    if !out.is_multiple_of(8) || !input.is_multiple_of(2) {
        let told = format!("a layer of {out} outputs and {input} inputs");
        return Err(unfit(&codes, &name("qweight"), told).expected("outputs in eights, inputs in pairs"));
    }
    shaped(&codes, &name("qweight"), &[input, out / 8])?;
    let group = settings.group.unwrap_or(input).min(input);
    let groups = input.div_ceil(group);
    let scales = loader.part(&name("scales"), &NUMBERS)?;
    shaped(&scales, &name("scales"), &[groups, out])?;
    let zeros = loader.part(&name("qzeros"), &["I32"])?;
    shaped(&zeros, &name("qzeros"), &[groups, out / 8])?;
    if loader.rehearsal {
        return Ok(loader.placeholder(dims));
    }
    let scales = transposed(&loader.numbers(&scales)?, out);
    let zeros = loader.read(&zeros)?;
    let words = loader.read(&codes)?;
    let grouped = Grouped {
        codes: turned(&words, input, out),
        kind: Codes::Four,
        scales,
        zeros: transposed(&in_order(&zeros), out),
        width: input,
        per_row: groups,
        group,
        columns: None,
    };
    Ok(loader.grouped(grouped, out))
}

/// The codes of words, a byte each.
fn in_order(words: &[u8]) -> Vec<u8> {
    let (words, _) = words.as_chunks::<4>();
    let of = |&word: &[u8; 4]| {
        let word = u32::from_le_bytes(word);
        let mut codes = [0; 8];
        for (at, output) in ORDER.into_iter().enumerate() {
            codes[output] = (word >> (4 * at) & 15) as u8;
        }
        codes
    };
    words.iter().flat_map(of).collect()
}

/// Words `[input, out / 8]` as codes `[out, input]`, two a byte.
fn turned(words: &[u8], input: usize, out: usize) -> Vec<u8> {
    // Outputs whose words lie in one line of the cache.
    const TILE: usize = 16;
    let ((words, _), line, across) = (words.as_chunks::<4>(), input / 2, out / 8);
    let mut codes = vec![0; out * line];
    codes
        .par_chunks_mut(8 * TILE * line)
        .enumerate()
        .for_each(|(tile, codes)| {
            for pair in 0..line {
                let at = 2 * pair * across + tile * TILE;
                for (index, codes) in codes.chunks_mut(8 * line).enumerate() {
                    let [even, odd] = [0, across].map(|row| u32::from_le_bytes(words[at + row + index]));
                    for (from, output) in ORDER.into_iter().enumerate() {
                        let [even, odd] = [even, odd].map(|word| (word >> (4 * from) & 15) as u8);
                        codes[output * line + pair] = even | odd << 4;
                    }
                }
            }
        });
    codes
}
