//! llama.cpp's K-quants: 256 weights, whose scales are quantised themselves. `number` as in [`super::small`].

use super::half;

/// Scales and least values, 4 bits each, for every 16; 2 bits a weight; the scale of both.
#[inline(always)]
pub fn q2_k<T>(block: &[u8; 84], to: &mut [T; 256], number: impl Fn(i32, f32, f32) -> T) {
    let (scales, codes) = (&block[..16], &block[16..80]);
    let (d, least) = (half(block, 80), half(block, 82));
    let (parts, _) = to.as_chunks_mut::<16>();
    for (index, to) in parts.iter_mut().enumerate() {
        let (d, least) = (d * f32::from(scales[index] & 15), least * f32::from(scales[index] >> 4));
        let (from, shift) = place(index);
        for (to, &byte) in to.iter_mut().zip(&codes[from..from + 16]) {
            *to = number(i32::from(byte >> shift & 3), d, least);
        }
    }
}

/// Where the 2-bit codes of 16 weights begin, and by how much they are shifted: 32 bytes hold 128 weights, those of the
/// lowest two bits first.
#[inline(always)]
fn place(index: usize) -> (usize, u32) {
    (index / 8 * 32 + index % 2 * 16, (index / 2 % 4 * 2) as u32)
}

/// The third bits; 2 bits a weight; scales of 6 bits for every 16, and their scale.
#[inline(always)]
pub fn q3_k<T>(block: &[u8; 110], to: &mut [T; 256], number: impl Fn(i32, f32, f32) -> T) {
    let (high, codes, packed) = (&block[..32], &block[32..96], &block[96..108]);
    let d = half(block, 108);
    let (parts, _) = to.as_chunks_mut::<16>();
    for (index, to) in parts.iter_mut().enumerate() {
        // Four low bits, and two high ones.
        let low = packed[index % 8] >> (index / 8 * 4) & 15;
        let scale = low | (packed[8 + index % 4] >> (index / 4 * 2) & 3) << 4;
        let d = d * (i32::from(scale) - 32) as f32;
        let ((from, shift), row) = (place(index), index / 2);
        let high = &high[index % 2 * 16..][..16];
        for ((to, &byte), &high) in to.iter_mut().zip(&codes[from..from + 16]).zip(high) {
            // 4 is subtracted where the third bit is not set.
            let q = i32::from(byte >> shift & 3) - 4 * i32::from(high >> row & 1 ^ 1);
            *to = number(q, d, 0.0);
        }
    }
}

/// Scale and least value of 32 weights, 6 bits each in 12 bytes: of the first four whole, with the high two bits of the
/// last four above them.
#[inline(always)]
fn six_bits(packed: &[u8], index: usize) -> (f32, f32) {
    let (scale, least) = if index < 4 {
        (packed[index] & 63, packed[4 + index] & 63)
    } else {
        let low = packed[4 + index];
        (
            low & 15 | packed[index - 4] >> 2 & 48,
            low >> 4 | packed[index] >> 2 & 48,
        )
    };
    (f32::from(scale), f32::from(least))
}

/// The scale of scales and of least values; these; 4 bits a weight.
#[inline(always)]
pub fn q4_k<T>(block: &[u8; 144], to: &mut [T; 256], number: impl Fn(i32, f32, f32) -> T) {
    let (d, least, packed) = (half(block, 0), half(block, 2), &block[4..16]);
    let ((parts, _), (codes, _)) = (to.as_chunks_mut::<32>(), block[16..].as_chunks::<32>());
    for (index, to) in parts.iter_mut().enumerate() {
        let (scale, offset) = six_bits(packed, index);
        let (d, least) = (d * scale, least * offset);
        let shift = index % 2 * 4;
        for (to, &byte) in to.iter_mut().zip(&codes[index / 2]) {
            *to = number(i32::from(byte >> shift & 15), d, least);
        }
    }
}

/// The scale of scales and of least values; these; the fifth bits; 4 bits a weight.
#[inline(always)]
pub fn q5_k<T>(block: &[u8; 176], to: &mut [T; 256], number: impl Fn(i32, f32, f32) -> T) {
    let (d, least, packed, high) = (half(block, 0), half(block, 2), &block[4..16], &block[16..48]);
    let ((parts, _), (codes, _)) = (to.as_chunks_mut::<32>(), block[48..].as_chunks::<32>());
    for (index, to) in parts.iter_mut().enumerate() {
        let (scale, offset) = six_bits(packed, index);
        let (d, least) = (d * scale, least * offset);
        let shift = index % 2 * 4;
        for ((to, &byte), &high) in to.iter_mut().zip(&codes[index / 2]).zip(high) {
            *to = number(i32::from(byte >> shift & 15 | (high >> index & 1) << 4), d, least);
        }
    }
}

/// Four low bits a weight, two high ones, scales of 8 bits for every 16, and their scale.
#[inline(always)]
pub fn q6_k<T>(block: &[u8; 210], to: &mut [T; 256], number: impl Fn(i32, f32, f32) -> T) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = half(block, 208);
    let (parts, _) = to.as_chunks_mut::<16>();
    for (index, to) in parts.iter_mut().enumerate() {
        let d = d * f32::from(scales[index] as i8);
        // In each 128 weights, the low halves of 64 bytes come before their high halves, and 32 bytes have the high bits.
        let (group, row, part) = (index / 8, index % 8 / 2, index % 2 * 16);
        let low = &low[group * 64 + row % 2 * 32 + part..][..16];
        let high = &high[group * 32 + part..][..16];
        for ((to, &low), &high) in to.iter_mut().zip(low).zip(high) {
            let q = low >> (row / 2 * 4) & 15 | (high >> (row * 2) & 3) << 4;
            *to = number(i32::from(q) - 32, d, 0.0);
        }
    }
}
