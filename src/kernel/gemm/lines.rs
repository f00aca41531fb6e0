//! Sixteen elements of a right factor at a time, as float32, from any stored form.

use std::arch::x86_64::*;

use super::wide::{LANES, mask};
use crate::kernel::matrix::{BLOCK, Four};

/// Where a right factor's elements come from.
pub trait Line: Copy {
    /// Up to 16 consecutive elements, then zeros.
    ///
    /// # Safety
    /// AVX-512 is there, and so are the elements.
    unsafe fn line(self, first: usize, count: usize) -> __m512;
}

/// float32
#[derive(Clone, Copy)]
pub struct Floats(pub *const f32);
/// bfloat16, little-endian
#[derive(Clone, Copy)]
pub struct Bf16(pub *const u8);
/// float16, little-endian
#[derive(Clone, Copy)]
pub struct F16(pub *const u8);
/// 4 bits
#[derive(Clone, Copy)]
pub struct Codes {
    codes: *const u8,
    scales: *const f32,
    values: *const f32,
}

impl Codes {
    pub fn new(four: Four<'_>) -> Self {
        Self {
            codes: four.codes.as_ptr(),
            scales: four.scales.as_ptr(),
            values: four.values.as_ptr(),
        }
    }
}

impl Line for Floats {
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn line(self, first: usize, count: usize) -> __m512 {
        // SAFETY: a masked load touches no element beyond those that are there.
        unsafe { _mm512_maskz_loadu_ps(mask(count), self.0.add(first)) }
    }
}

/// Sixteen halves; zeros after the last.
///
/// # Safety
/// They are there.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn halves(bytes: *const u8, first: usize, count: usize) -> __m256i {
    // SAFETY: as the caller says.
    unsafe {
        let from = bytes.add(2 * first);
        if count == LANES {
            return _mm256_loadu_si256(from.cast());
        }
        let mut some = [0u8; 2 * LANES];
        std::ptr::copy_nonoverlapping(from, some.as_mut_ptr(), 2 * count);
        _mm256_loadu_si256(some.as_ptr().cast())
    }
}

impl Line for Bf16 {
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn line(self, first: usize, count: usize) -> __m512 {
        // SAFETY: as the caller says.
        let halves = unsafe { halves(self.0, first, count) };
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
    }
}

impl Line for F16 {
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn line(self, first: usize, count: usize) -> __m512 {
        // SAFETY: as the caller says.
        _mm512_cvtph_ps(unsafe { halves(self.0, first, count) })
    }
}

impl Line for Codes {
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn line(self, first: usize, count: usize) -> __m512 {
        // SAFETY: sixteen elements from a multiple of sixteen on are eight whole bytes of one block.
        unsafe {
            if count == LANES && first.is_multiple_of(LANES) {
                let bytes = _mm_loadl_epi64(self.codes.add(first / 2).cast());
                // Each byte twice; the even element is its high half. The table looks at four bits alone.
                let twice = _mm512_cvtepu8_epi32(_mm_unpacklo_epi8(bytes, bytes));
                let shifts = _mm512_set_epi32(0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4);
                let codes = _mm512_srlv_epi32(twice, shifts);
                let values = _mm512_permutexvar_ps(codes, _mm512_loadu_ps(self.values));
                return _mm512_mul_ps(values, _mm512_set1_ps(*self.scales.add(first / BLOCK)));
            }
            let mut some = [0.0; LANES];
            for (index, some) in (first..).zip(&mut some).take(count) {
                let byte = *self.codes.add(index / 2);
                let code = if index % 2 == 0 { byte >> 4 } else { byte & 15 };
                *some = *self.values.add(usize::from(code)) * *self.scales.add(index / BLOCK);
            }
            _mm512_loadu_ps(some.as_ptr())
        }
    }
}

/// A right factor: elements in lines of one length.
#[derive(Clone, Copy)]
pub struct Sliced<L> {
    elements: L,
    first: usize,
    stride: usize,
    /// A line is a column.
    pub transposed: bool,
}

impl<L: Line> Sliced<L> {
    pub fn new(elements: L, first: usize, stride: usize, transposed: bool) -> Self {
        Self {
            elements,
            first,
            stride,
            transposed,
        }
    }

    /// # Safety
    /// AVX-512 is there, and so are the elements.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub unsafe fn line(self, line: usize, from: usize, count: usize) -> __m512 {
        // SAFETY: as the caller says.
        unsafe { self.elements.line(self.first + line * self.stride + from, count) }
    }
}
