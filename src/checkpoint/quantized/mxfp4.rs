//! MXFP4 (OCP Microscaling Formats 1.0), as gpt-oss has the experts of its mixtures: 32 weights of 4-bit floating point
//! share a power of two. Of a tensor `X` of all experts:
//!
//! - `X_blocks`: bytes `[experts, out, in / 32, 16]`, the even element in the low half;
//! - `X_scales`: bytes `[experts, out, in / 32]`, exponents plus 127.
//!
//! In memory they are ggml's blocks of the same name, whose first half are the low halves of the bytes.

use rayon::prelude::*;

use super::super::Loader;
use super::parts::{shaped, unfit};
use crate::diagnostic::Result;
use crate::families::fields::Fields;
use crate::kernel::packed::BlockType;
use crate::tensor::matrix::{Matrix, Use, blocks};

/// Weights that share a scale.
const BLOCK: usize = 32;

/// Reads the fields of `quantization_config`.
pub fn read(fields: &Fields<'_>) -> Result<()> {
    for key in ["quant_method", "modules_to_not_convert", "dequantize"] {
        fields.get(key);
    }
    Ok(())
}

impl Loader<'_> {
    /// Takes one linear layer of each expert, `[out, in]`; none: the checkpoint has them as floats, or not at all.
    ///
    /// # Errors
    /// Blocks and scales have other shapes or types, or cannot be read.
    pub(in super::super) fn mxfp4(
        &mut self,
        name: &str,
        experts: usize,
        dims: [usize; 2],
    ) -> Result<Option<Vec<Matrix>>> {
        let [out, input] = dims;
        let [codes_name, scales_name] = ["blocks", "scales"].map(|part| format!("{name}_{part}"));
        if !self.has(&codes_name) {
            return Ok(None);
        }
        let codes = self.part(&codes_name, &["U8"])?;
        if !input.is_multiple_of(BLOCK) {
            return Err(unfit(&codes, &codes_name, format!("layers of {input} inputs")).expected("inputs in 32s"));
        }
        let per_row = input / BLOCK;
        shaped(&codes, &codes_name, &[experts, out, per_row, BLOCK / 2])?;
        let scales = self.part(&scales_name, &["U8"])?;
        shaped(&scales, &scales_name, &[experts, out, per_row])?;
        if self.rehearsal {
            return Ok(Some((0..experts).map(|_| self.placeholder(dims)).collect()));
        }
        let all_scales = self.read(&scales)?;
        let count = out * per_row;
        let mut taken = Vec::new();
        for expert in 0..experts {
            // One expert at a time, so that no more than that is in memory twice.
            let mut part = codes.clone();
            part.bytes = count * BLOCK / 2;
            part.offset += (expert * part.bytes) as u64;
            let packed = packed(&self.read(&part)?, &all_scales[expert * count..(expert + 1) * count]);
            taken.push(blocks(
                packed,
                BlockType::MXFP4,
                dims,
                &self.device,
                self.precision,
                Use::Whole,
            ));
        }
        Ok(Some(taken))
    }
}

/// ggml's blocks of these.
fn packed(codes: &[u8], scales: &[u8]) -> Vec<u8> {
    const SIZE: usize = 1 + BLOCK / 2;
    let mut packed = vec![0; SIZE * scales.len()];
    let (codes, _) = codes.as_chunks::<{ BLOCK / 2 }>();
    let blocks = packed.par_chunks_exact_mut(SIZE).zip(codes).zip(scales);
    blocks.for_each(|((to, codes), &scale)| {
        to[0] = scale;
        let code = |index: usize| codes[index / 2] >> (index % 2 * 4) & 15;
        for (index, to) in to[1..].iter_mut().enumerate() {
            *to = code(index) | code(BLOCK / 2 + index) << 4;
        }
    });
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::packed::Blocks;

    #[test]
    fn low_halves_are_even_elements() {
        // Numbers by their definition: a sign, two bits of exponent, one of fraction.
        const VALUES: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
        let codes: Vec<u8> = (0..32u32).map(|i| (i * 53 % 251) as u8).collect();
        let packed = packed(&codes, &[127, 120]);
        let mut found = vec![0.0; 64];
        let blocks = Blocks {
            kind: BlockType::MXFP4,
            bytes: &packed,
            first: 0,
        };
        blocks.expand(0, &mut found);
        for (index, found) in found.into_iter().enumerate() {
            let code = codes[index / 2] >> (index % 2 * 4) & 15;
            let sign = if code < 8 { 1.0 } else { -1.0 };
            let scale = if index < 32 { 1.0 } else { 1.0 / 128.0 };
            assert_eq!(found, sign * VALUES[usize::from(code & 7)] * scale, "{index}");
        }
    }
}
