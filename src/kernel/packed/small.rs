//! Blocks of 32 weights with one scale. `number` makes of a weight what is wanted of it: of its integer, of the scale, and
//! of what is subtracted after they were multiplied.

use super::half;

/// The scale, 16 bytes. The low nibbles are the first half of the weights, the high nibbles the second.
#[inline(always)]
pub fn q4_0<T>(block: &[u8; 18], to: &mut [T; 32], number: impl Fn(i32, f32, f32) -> T) {
    let scale = half(block, 0);
    nibbles(&block[2..], to, |q| number(i32::from(q) - 8, scale, 0.0));
}

/// The scale, the least value, and 4 bits each.
#[inline(always)]
pub fn q4_1<T>(block: &[u8; 20], to: &mut [T; 32], number: impl Fn(i32, f32, f32) -> T) {
    let (scale, least) = (half(block, 0), half(block, 2));
    nibbles(&block[4..], to, |q| number(i32::from(q), scale, -least));
}

/// The scale, the fifth bits, and four bits each.
#[inline(always)]
pub fn q5_0<T>(block: &[u8; 22], to: &mut [T; 32], number: impl Fn(i32, f32, f32) -> T) {
    let scale = half(block, 0);
    five(&block[2..], to, |q| number(q - 16, scale, 0.0));
}

/// The scale, the least value, the fifth bits, and four bits each.
#[inline(always)]
pub fn q5_1<T>(block: &[u8; 24], to: &mut [T; 32], number: impl Fn(i32, f32, f32) -> T) {
    let (scale, least) = (half(block, 0), half(block, 2));
    five(&block[4..], to, |q| number(q, scale, -least));
}

/// The scale, and a signed byte each.
#[inline(always)]
pub fn q8_0<T>(block: &[u8; 34], to: &mut [T; 32], number: impl Fn(i32, f32, f32) -> T) {
    let scale = half(block, 0);
    for (to, &q) in to.iter_mut().zip(&block[2..]) {
        *to = number(i32::from(q as i8), scale, 0.0);
    }
}

/// What the codes of IQ4_NL stand for.
pub const NOT_LINEAR: [i32; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The scale, and a code of 4 bits each.
#[inline(always)]
pub fn iq4_nl<T>(block: &[u8; 18], to: &mut [T; 32], number: impl Fn(i32, f32, f32) -> T) {
    let scale = half(block, 0);
    nibbles(&block[2..], to, |q| number(NOT_LINEAR[usize::from(q & 15)], scale, 0.0));
}

/// The scale's exponent, and 4 bits each: a sign, two bits of exponent, one of fraction.
#[inline(always)]
pub fn mxfp4<T>(block: &[u8; 17], to: &mut [T; 32], number: impl Fn(i32, f32, f32) -> T) {
    let scale = half_power(block[0]);
    nibbles(&block[1..], to, |q| number(twice_e2m1(q), scale, 0.0));
}

/// 2^(exponent − 128): what a number of E8M0 stands for, halved.
#[inline(always)]
fn half_power(exponent: u8) -> f32 {
    let exponent = u32::from(exponent);
    f32::from_bits(match exponent {
        0 | 1 => 0x0020_0000 << exponent,
        _ => (exponent - 1) << 23,
    })
}

/// Twice the number of a code: 0, 1, 2, 3, 4, 6, 8, 12, and their negatives. (Arithmetic, which vectors have; few have
/// tables.)
#[inline(always)]
pub fn twice_e2m1(code: u8) -> i32 {
    let magnitude = i32::from(code & 7);
    let normal = ((2 | magnitude & 1) << (magnitude >> 1)) >> 1;
    let magnitude = if magnitude < 2 { magnitude } else { normal };
    if code & 8 == 0 { magnitude } else { -magnitude }
}

#[inline(always)]
fn nibbles<T>(bytes: &[u8], to: &mut [T; 32], number: impl Fn(u8) -> T) {
    let (low, high) = to.split_at_mut(16);
    for (to, &byte) in low.iter_mut().zip(bytes) {
        *to = number(byte & 15);
    }
    for (to, &byte) in high.iter_mut().zip(bytes) {
        *to = number(byte >> 4);
    }
}

/// Bit `i` of the first four bytes is the fifth of weight `i`.
#[inline(always)]
fn five<T>(bytes: &[u8], to: &mut [T; 32], number: impl Fn(i32) -> T) {
    let fifth = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    for i in 0..16 {
        let byte = u32::from(bytes[4 + i]);
        to[i] = number((byte & 15 | (fifth >> i & 1) << 4) as i32);
        to[16 + i] = number((byte >> 4 | (fifth >> (16 + i) & 1) << 4) as i32);
    }
}
