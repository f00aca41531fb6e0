//! Matrices as they are stored in memory: float32, half precision as the checkpoint has it, 4-bit codes, or packed as
//! other programs have it ([`super::packed`]). Code that computes with one expands a few elements at a time to
//! float32; no matrix is ever in memory twice.
//!
//! The 4-bit forms here are those of bitsandbytes (Dettmers et al. 2023, "QLoRA", arXiv:2305.14314): blocks of 64
//! consecutive weights, each scaled by its largest magnitude in float32; two codes in a byte, the even element in the
//! high half.

use std::ops::Range;

use rayon::prelude::*;

use super::packed::{Blocks, Groups};

/// Weights that share a scale.
pub const BLOCK: usize = 64;

/// What the sixteen codes stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Four-bit floating point: a sign, and three bits of magnitude.
    Fp4,
    /// Quantiles of a normal distribution.
    Nf4,
}

/// Magnitudes of FP4's bit patterns 0 to 7; 8 to 15 are their negatives.
const FP4: [f32; 8] = [
    0.0,
    0.0625 / 12.0,
    8.0 / 12.0,
    1.0,
    4.0 / 12.0,
    6.0 / 12.0,
    2.0 / 12.0,
    3.0 / 12.0,
];
/// FP4's magnitudes go up strictly above these edges, and which bits of the code change there (by rising magnitude the
/// codes are 0, 1, 6, 7, 4, 5, 2, 3).
const FP4_EDGES: [(f32, u32); 7] = [
    (0.002_604_17, 0b001),
    (0.085_937_5, 0b111),
    (0.208_333_33, 0b001),
    (0.291_666_67, 0b011),
    (0.416_666_7, 0b001),
    (0.583_333, 0b111),
    (0.833_333_3, 0b001),
];
/// NF4's values by code.
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

impl Code {
    /// What a record calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp4 => "fp4",
            Self::Nf4 => "nf4",
        }
    }

    /// The value of each code, times the block's scale.
    pub fn values(self) -> [f32; 16] {
        match self {
            Self::Nf4 => NF4,
            Self::Fp4 => std::array::from_fn(|code| {
                let magnitude = FP4[code & 7];
                if code < 8 { magnitude } else { -magnitude }
            }),
        }
    }

    /// The codes of a block's weights, divided by its scale. One edge at a time over the whole block, so that the
    /// compiler can vectorise it.
    #[inline(always)]
    fn of(self, scaled: &[f32; BLOCK]) -> [u8; BLOCK] {
        let mut codes = [0u32; BLOCK];
        match self {
            Self::Nf4 => {
                for edge in NF4.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0) {
                    for (code, &x) in codes.iter_mut().zip(scaled) {
                        *code += u32::from(x > edge);
                    }
                }
            }
            Self::Fp4 => {
                for (code, &x) in codes.iter_mut().zip(scaled) {
                    *code = u32::from(x < 0.0) << 3;
                }
                for (edge, change) in FP4_EDGES {
                    for (code, &x) in codes.iter_mut().zip(scaled) {
                        *code ^= if x.abs() > edge { change } else { 0 };
                    }
                }
            }
        }
        codes.map(|code| code as u8)
    }
}

/// Numbers in half precision, two little-endian bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// bfloat16
    Bf16,
    /// float16
    F16,
}

impl Half {
    fn float(self, bytes: [u8; 2]) -> f32 {
        let bits = u16::from_le_bytes(bytes);
        match self {
            Self::Bf16 => f32::from_bits(u32::from(bits) << 16),
            Self::F16 => float16(bits),
        }
    }
}

/// IEEE 754 binary16 to float32, exactly.
pub fn float16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10) & 31, u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => return f32::from_bits(sign | (fraction as f32 * 2f32.powi(-24)).to_bits()),
        31 => 0x7f80_0000 | (fraction << 13),
        _ => ((exponent + 112) << 23) | (fraction << 13),
    };
    f32::from_bits(sign | magnitude)
}

/// Codes of 4 bits with their scales.
#[derive(Clone, Copy, Debug)]
pub struct Four<'a> {
    /// Two a byte, the even element in the high half.
    pub codes: &'a [u8],
    /// One for each [`BLOCK`].
    pub scales: &'a [f32],
    /// What a code stands for.
    pub values: &'a [f32; 16],
    /// Where among the codes the matrix begins.
    pub first: usize,
}

/// A matrix's elements, row by row.
#[derive(Clone, Copy, Debug)]
pub enum Elements<'a> {
    /// float32
    Floats(&'a [f32]),
    /// Half precision.
    Halves(&'a [u8], Half),
    /// 4 bits.
    Four(Four<'a>),
    /// Blocks of ggml.
    Blocks(Blocks<'a>),
    /// Groups.
    Groups(Groups<'a>),
}

impl Elements<'_> {
    /// How many there are, or may be.
    pub fn len(&self) -> usize {
        match self {
            Self::Floats(floats) => floats.len(),
            Self::Halves(bytes, _) => bytes.len() / 2,
            Self::Four(four) => (2 * four.codes.len())
                .min(BLOCK * four.scales.len())
                .saturating_sub(four.first),
            Self::Blocks(blocks) => blocks.len(),
            Self::Groups(groups) => groups.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the elements from `first` on as float32.
    ///
    /// # Panics
    /// If there are fewer elements than that.
    pub fn expand(&self, first: usize, to: &mut [f32]) {
        match *self {
            Self::Floats(floats) => to.copy_from_slice(&floats[first..first + to.len()]),
            Self::Halves(bytes, half) => expand_halves(&bytes[2 * first..2 * (first + to.len())], half, to),
            Self::Four(four) => expand_four(four, four.first + first, to),
            Self::Blocks(blocks) => blocks.expand(first, to),
            Self::Groups(groups) => groups.expand(first, to),
        }
    }

    /// The same by all threads.
    pub fn expand_all(&self, to: &mut [f32]) {
        const PART: usize = 1 << 16;
        let part = |(index, to): (usize, &mut [f32])| self.expand(index * PART, to);
        to.par_chunks_mut(PART).enumerate().for_each(part);
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn expand_halves(bytes: &[u8], half: Half, to: &mut [f32]) {
    let (pairs, _) = bytes.as_chunks::<2>();
    match half {
        Half::Bf16 => {
            for (to, &pair) in to.iter_mut().zip(pairs) {
                *to = f32::from_bits(u32::from(u16::from_le_bytes(pair)) << 16);
            }
        }
        Half::F16 => {
            for (to, &pair) in to.iter_mut().zip(pairs) {
                *to = half.float(pair);
            }
        }
    }
}

fn expand_four(four: Four<'_>, first: usize, to: &mut [f32]) {
    let Four {
        codes, scales, values, ..
    } = four;
    let mut index = first;
    let mut rest = to;
    while !rest.is_empty() {
        // To the end of the block at most.
        let count = (BLOCK - index % BLOCK).min(rest.len());
        let scale = scales[index / BLOCK];
        let (now, later) = rest.split_at_mut(count);
        let eights = expand_eights(&codes[index / 2..], index, values, scale, now);
        for (to, index) in now[eights..].iter_mut().zip(index + eights..) {
            let byte = codes[index / 2];
            let code = if index.is_multiple_of(2) { byte >> 4 } else { byte & 15 };
            *to = values[usize::from(code)] * scale;
        }
        index += count;
        rest = later;
    }
}

/// Expands as many of a block's weights, eight at a time, as the processor can look up in a register and as come in
/// eights; how many. `codes` begin with the byte of weight `index`.
fn expand_eights(codes: &[u8], index: usize, values: &[f32; 16], scale: f32, to: &mut [f32]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if index.is_multiple_of(2) && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 is there.
        return unsafe { expand_eights_avx2(codes, values, scale, to) };
    }
    let _ = (codes, index, values, scale, to);
    0
}

/// As [`expand_eights`], from a byte of two weights on.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn expand_eights_avx2(codes: &[u8], values: &[f32; 16], scale: f32, to: &mut [f32]) -> usize {
    use std::arch::x86_64::*;
    // SAFETY: sixteen values are two registers.
    let [low, high] = [0, 8].map(|half| unsafe { _mm256_loadu_ps(values[half..].as_ptr()) });
    let scale = _mm256_set1_ps(scale);
    let shifts = _mm256_setr_epi32(4, 0, 4, 0, 4, 0, 4, 0);
    let ((codes, _), (eights, _)) = (codes.as_chunks::<4>(), to.as_chunks_mut::<8>());
    for (to, &bytes) in eights.iter_mut().zip(codes) {
        let bytes = _mm_cvtsi32_si128(i32::from_le_bytes(bytes));
        // Each byte twice; the even weight is its high half. A look-up reads three bits, and the choice of the table the
        // fourth, which is moved to where it looks.
        let twice = _mm256_cvtepu8_epi32(_mm_unpacklo_epi8(bytes, bytes));
        let codes = _mm256_srlv_epi32(twice, shifts);
        let (small, large) = (
            _mm256_permutevar8x32_ps(low, codes),
            _mm256_permutevar8x32_ps(high, codes),
        );
        let fourth = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(codes));
        let values = _mm256_blendv_ps(small, large, fourth);
        // SAFETY: there is room for eight.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), _mm256_mul_ps(values, scale)) };
    }
    8 * eights.len()
}

/// Codes and scales of weights. `read` writes the requested range as float32 into the slice.
///
/// As bitsandbytes does it on a GPU: times the reciprocal of the block's largest magnitude, in float32; a block of
/// zeros is zeros. A block with a weight that is not finite expands to NaN.
pub fn quantize(count: usize, code: Code, read: impl Fn(Range<usize>, &mut [f32]) + Sync) -> (Vec<u8>, Vec<f32>) {
    let blocks = count.div_ceil(BLOCK);
    let mut codes = vec![0u8; count.div_ceil(2)];
    let mut scales = vec![0f32; blocks];
    const PART: usize = 512;
    codes
        .par_chunks_mut(PART * BLOCK / 2)
        .zip(scales.par_chunks_mut(PART))
        .enumerate()
        .for_each(|(part, (codes, scales))| {
            for (index, (codes, scale)) in codes.chunks_mut(BLOCK / 2).zip(scales).enumerate() {
                let first = (part * PART + index) * BLOCK;
                let mut weights = [0.0; BLOCK];
                let last = (first + BLOCK).min(count);
                read(first..last, &mut weights[..last - first]);
                let (found, largest) = quantize_block(&weights, code);
                *scale = largest;
                codes.copy_from_slice(&found[..codes.len()]);
            }
        });
    (codes, scales)
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn quantize_block(weights: &[f32; BLOCK], code: Code) -> ([u8; BLOCK / 2], f32) {
    let largest = weights.iter().fold(0f32, |largest, weight| largest.max(weight.abs()));
    // A code is always some number; a weight that is none must not become one unnoticed.
    let largest = if weights.iter().all(|weight| weight.is_finite()) {
        largest
    } else {
        f32::NAN
    };
    let inverse = if largest > 0.0 { 1.0 / largest } else { 0.0 };
    let codes = code.of(&weights.map(|weight| weight * inverse));
    let (pairs, _) = codes.as_chunks::<2>();
    let mut packed = [0; BLOCK / 2];
    for (packed, [even, odd]) in packed.iter_mut().zip(pairs) {
        *packed = even << 4 | odd;
    }
    (packed, largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(weights: &[f32], code: Code) -> (Vec<u8>, Vec<f32>) {
        quantize(weights.len(), code, |range, to| to.copy_from_slice(&weights[range]))
    }

    fn back(weights: &[f32], code: Code) -> Vec<f32> {
        let (codes, scales) = packed(weights, code);
        let values = code.values();
        let four = Four {
            codes: &codes,
            scales: &scales,
            values: &values,
            first: 0,
        };
        let mut out = vec![0.0; weights.len()];
        Elements::Four(four).expand_all(&mut out);
        out
    }

    #[test]
    fn float16_is_expanded_exactly() {
        for bits in 0..=u16::MAX {
            let ours = float16(bits);
            let theirs = half::f16::from_bits(bits).to_f32();
            assert!(
                ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(),
                "{bits:#x}: {ours} for {theirs}"
            );
        }
    }

    #[test]
    fn a_code_changes_strictly_above_its_edge() {
        // The first weight sets the scale to 1, so that edges are what they are.
        for (edge, below, above) in [
            (0.002_604_17, 0.0, 0.0625 / 12.0),
            (0.085_937_5, 0.0625 / 12.0, 2.0 / 12.0),
            (0.208_333_33, 2.0 / 12.0, 3.0 / 12.0),
            (0.291_666_67, 3.0 / 12.0, 4.0 / 12.0),
            (0.416_666_7, 4.0 / 12.0, 6.0 / 12.0),
            (0.583_333, 6.0 / 12.0, 8.0 / 12.0),
            (0.833_333_3, 8.0 / 12.0, 1.0),
        ] {
            let next = f32::from_bits(f32::to_bits(edge) + 1);
            assert_eq!(
                back(&[1.0, edge, next, -edge, -next], Code::Fp4),
                [1.0, below, above, -below, -above]
            );
        }
        let edge = (NF4[9] + NF4[10]) / 2.0;
        let next = f32::from_bits(edge.to_bits() + 1);
        assert_eq!(back(&[1.0, edge, next], Code::Nf4), [1.0, NF4[9], NF4[10]]);
    }

    proptest! {
        #[test]
        fn any_part_of_4_bits_expands_by_the_definition(
            codes in prop::collection::vec(any::<u8>(), 96..=96), from in 0usize..192, count in 0usize..192, first in 0usize..20,
        ) {
            let (values, scales) = (Code::Nf4.values(), [0.5, -3.0, 1e-3]);
            let elements = Elements::Four(Four { codes: &codes, scales: &scales, values: &values, first });
            let from = from.min(elements.len());
            let mut out = vec![f32::NAN; count.min(elements.len() - from)];
            elements.expand(from, &mut out);
            for (index, found) in (first + from..).zip(out) {
                let code = codes[index / 2] >> (4 * (1 - index % 2)) & 15;
                prop_assert_eq!(found.to_bits(), (values[usize::from(code)] * scales[index / BLOCK]).to_bits());
            }
        }
    }

    #[test]
    fn the_even_element_is_in_the_high_half_and_zeros_are_zeros() {
        assert_eq!(packed(&[1.0, -1.0, 0.0], Code::Nf4), (vec![0xf0, 0x77], vec![1.0]));
        assert_eq!(packed(&[2.0, -2.0], Code::Fp4), (vec![0x3b], vec![2.0]));
        for code in [Code::Fp4, Code::Nf4] {
            assert_eq!(back(&[0.0; 70], code), [0.0; 70]);
            for wrong in [f32::NAN, f32::INFINITY] {
                let mut weights = [0.5; 70];
                weights[3] = wrong;
                let back = back(&weights, code);
                assert!(
                    back[..64].iter().all(|x| x.is_nan()) && back[64..] == [0.5; 6],
                    "{back:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_part_expands_as_the_whole(
            weights in prop::collection::vec(-3.0f32..3.0, 1..400), from in 0usize..400, nf4: bool, first in 0usize..80,
        ) {
            let code = if nf4 { Code::Nf4 } else { Code::Fp4 };
            let whole = back(&weights, code);
            // No value is farther from its weight than half the widest gap between two codes.
            for (block, back) in weights.chunks(BLOCK).zip(whole.chunks(BLOCK)) {
                let scale = block.iter().fold(0f32, |most, weight| most.max(weight.abs()));
                for (weight, back) in block.iter().zip(back) {
                    prop_assert!((weight - back).abs() <= 0.17 * scale, "{weight} became {back} at scale {scale}");
                }
            }
            let first = first.min(weights.len() - 1);
            let from = from.min(weights.len() - first);
            let (codes, scales) = packed(&weights, code);
            let values = code.values();
            let part = Elements::Four(Four { codes: &codes, scales: &scales, values: &values, first });
            let mut out = vec![0.0; weights.len() - first - from];
            part.expand(from, &mut out);
            prop_assert_eq!(&out[..], &whole[first + from..]);
        }
    }
}
