//! The AVX-512 kernel: both factors packed into slivers, and tiles of sums over them.

use std::arch::x86_64::*;

use super::PACKED;
use super::lines::{Line, Sliced};

/// Rows of a tile: 14 × 2 vectors of sums leave four registers for the factors.
pub const ROWS: usize = 14;
/// Columns of a tile: two vectors.
pub const COLUMNS: usize = 32;
/// Elements of a vector.
pub const LANES: usize = 16;
/// Terms of a sum between two visits to `c`: a sliver of `b` (64 KiB) stays in the second-level cache.
const DEPTH: usize = 512;
/// Rows of `a` that are packed at once (at most 896 KiB).
const HEIGHT: usize = 32 * ROWS;

/// A factor with its strides, of which one is 1.
#[derive(Clone, Copy)]
pub struct Factor {
    data: *const f32,
    row: usize,
    column: usize,
}

impl Factor {
    pub fn new(data: *const f32, row: usize, column: usize) -> Self {
        Self { data, row, column }
    }

    /// # Safety
    /// The element must be there.
    unsafe fn at(self, i: usize, j: usize) -> *const f32 {
        // SAFETY: the caller says so.
        unsafe { self.data.add(i * self.row + j * self.column) }
    }
}

/// # Safety
/// The processor has AVX-512; `a` is `[m, k]`, `b` is `[k, n]`, `c` is `[m, n]` with the row stride given, each within
/// its own memory.
#[target_feature(enable = "avx512f")]
pub unsafe fn product<L: Line>(
    (m, k, n): (usize, usize, usize),
    a: Factor,
    b: Sliced<L>,
    c: *mut f32,
    stride: usize,
    add: bool,
) {
    PACKED.with_borrow_mut(|(left, right)| {
        let room = |buffer: &mut Vec<f32>, length: usize| {
            if buffer.len() < length {
                buffer.resize(length, 0.0);
            }
        };
        let deepest = k.min(DEPTH).next_multiple_of(LANES);
        room(left, m.min(HEIGHT).next_multiple_of(ROWS) * deepest);
        room(right, COLUMNS * deepest);
        let (left, right) = (left.as_mut_ptr(), right.as_mut_ptr());
        if k == 0 && !add {
            for i in 0..m {
                // SAFETY: a row of `c`.
                unsafe { std::slice::from_raw_parts_mut(c.add(i * stride), n) }.fill(0.0);
            }
        }
        for from in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - from);
            let add = add || from > 0;
            for top in (0..m).step_by(HEIGHT) {
                let height = HEIGHT.min(m - top);
                // SAFETY: all indices stay below m, k and n, and the buffers hold what is packed.
                unsafe {
                    pack_left(a, top, height, from, depth, left);
                    for j in (0..n).step_by(COLUMNS) {
                        let width = COLUMNS.min(n - j);
                        pack_right(b, from, depth, j, width, right);
                        for i in (0..height).step_by(ROWS) {
                            let rows = ROWS.min(height - i);
                            let sliver = left.add(i * depth.next_multiple_of(LANES));
                            let target = c.add((top + i) * stride + j);
                            tile(rows, width, depth, sliver, right, target, stride, add);
                        }
                    }
                }
            }
        }
    });
}

/// Slivers of 14 rows; within one, 16 terms of each row lie together, as in `a` itself, so that packing is copying.
#[target_feature(enable = "avx512f")]
unsafe fn pack_left(a: Factor, top: usize, height: usize, from: usize, depth: usize, to: *mut f32) {
    let padded = depth.next_multiple_of(LANES);
    for i in (0..height).step_by(ROWS) {
        let rows = ROWS.min(height - i);
        for r in 0..rows {
            for p in (0..depth).step_by(LANES) {
                let count = LANES.min(depth - p);
                // SAFETY: rows and terms stay inside `a`; a sliver has `ROWS · padded` places.
                unsafe {
                    let target = to.add(i * padded + p * ROWS + r * LANES);
                    if a.column == 1 {
                        let mask = mask(count);
                        let line = _mm512_maskz_loadu_ps(mask, a.at(top + i + r, from + p));
                        _mm512_storeu_ps(target, line);
                    } else {
                        for l in 0..count {
                            *target.add(l) = *a.at(top + i + r, from + p + l);
                        }
                    }
                }
            }
        }
    }
}

/// One sliver of 32 columns: 32 elements of each row of `b` together, zeros beyond its edge.
#[target_feature(enable = "avx512f")]
unsafe fn pack_right<L: Line>(b: Sliced<L>, from: usize, depth: usize, j: usize, width: usize, to: *mut f32) {
    for half in 0..2 {
        let first = half * LANES;
        let count = width.saturating_sub(first).min(LANES);
        if !b.transposed {
            for p in 0..depth {
                // SAFETY: no element beyond the edge is read.
                unsafe {
                    let line = if count == 0 {
                        _mm512_setzero_ps()
                    } else {
                        b.line(from + p, j + first, count)
                    };
                    _mm512_storeu_ps(to.add(p * COLUMNS + first), line);
                }
            }
            continue;
        }
        for p in (0..depth).step_by(LANES) {
            let terms = LANES.min(depth - p);
            let mut block = [_mm512_setzero_ps(); LANES];
            for (column, line) in block.iter_mut().enumerate().take(count) {
                // SAFETY: as above.
                *line = unsafe { b.line(j + first + column, from + p, terms) };
            }
            let block = transpose(block);
            for (term, line) in block.iter().enumerate().take(terms) {
                // SAFETY: the sliver has `depth` rows of 32.
                unsafe { _mm512_storeu_ps(to.add((p + term) * COLUMNS + first), *line) };
            }
        }
    }
}

pub fn mask(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

/// Rows to columns of 16 × 16.
#[target_feature(enable = "avx512f")]
fn transpose(r: [__m512; LANES]) -> [__m512; LANES] {
    let mut s = r;
    // Pairs of rows, then pairs of pairs, within each quarter of a vector.
    for i in (0..LANES).step_by(4) {
        let low = (
            _mm512_unpacklo_ps(r[i], r[i + 1]),
            _mm512_unpacklo_ps(r[i + 2], r[i + 3]),
        );
        let high = (
            _mm512_unpackhi_ps(r[i], r[i + 1]),
            _mm512_unpackhi_ps(r[i + 2], r[i + 3]),
        );
        s[i] = _mm512_shuffle_ps::<0b01_00_01_00>(low.0, low.1);
        s[i + 1] = _mm512_shuffle_ps::<0b11_10_11_10>(low.0, low.1);
        s[i + 2] = _mm512_shuffle_ps::<0b01_00_01_00>(high.0, high.1);
        s[i + 3] = _mm512_shuffle_ps::<0b11_10_11_10>(high.0, high.1);
    }
    // Then the quarters themselves.
    let mut t = s;
    for i in 0..4 {
        let (a, b, c, d) = (s[i], s[i + 4], s[i + 8], s[i + 12]);
        let (ab_even, ab_odd) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
        let (cd_even, cd_odd) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
        t[i] = _mm512_shuffle_f32x4::<0x88>(ab_even, cd_even);
        t[i + 4] = _mm512_shuffle_f32x4::<0x88>(ab_odd, cd_odd);
        t[i + 8] = _mm512_shuffle_f32x4::<0xdd>(ab_even, cd_even);
        t[i + 12] = _mm512_shuffle_f32x4::<0xdd>(ab_odd, cd_odd);
    }
    t
}

#[allow(clippy::too_many_arguments)]
#[target_feature(enable = "avx512f")]
unsafe fn tile(
    rows: usize,
    width: usize,
    depth: usize,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    stride: usize,
    add: bool,
) {
    macro_rules! with_rows {
        ($($count:literal)*) => {
            match rows {
                // SAFETY: the caller's word.
                $($count => unsafe { sums::<$count>(width, depth, a, b, c, stride, add) },)*
                _ => unreachable!("a tile has 1 to {ROWS} rows"),
            }
        };
    }
    with_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
}

#[target_feature(enable = "avx512f")]
unsafe fn sums<const R: usize>(
    width: usize,
    depth: usize,
    mut a: *const f32,
    mut b: *const f32,
    c: *mut f32,
    stride: usize,
    add: bool,
) {
    let mut sum = [[_mm512_setzero_ps(); 2]; R];
    let mut left = depth;
    while left > 0 {
        let terms = left.min(LANES);
        for p in 0..terms {
            // SAFETY: slivers are padded to whole lines.
            unsafe {
                let (b0, b1) = (_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(LANES)));
                for (r, sum) in sum.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*a.add(r * LANES + p));
                    sum[0] = _mm512_fmadd_ps(x, b0, sum[0]);
                    sum[1] = _mm512_fmadd_ps(x, b1, sum[1]);
                }
                b = b.add(COLUMNS);
            }
        }
        // SAFETY: as above.
        a = unsafe { a.add(ROWS * LANES) };
        left -= terms;
    }
    let masks = [mask(width.min(LANES)), mask(width.saturating_sub(LANES))];
    for (r, sum) in sum.iter().enumerate() {
        for half in 0..2 {
            if masks[half] == 0 {
                continue;
            }
            // SAFETY: masked to the tile's width.
            unsafe {
                let place = c.add(r * stride + half * LANES);
                let value = if add {
                    _mm512_add_ps(_mm512_maskz_loadu_ps(masks[half], place), sum[half])
                } else {
                    sum[half]
                };
                _mm512_mask_storeu_ps(place, masks[half], value);
            }
        }
    }
}
