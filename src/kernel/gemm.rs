//! Products of float32 matrices on the CPU.
//!
//! On a processor with AVX-512 this is our own kernel, after Goto and van de Geijn, "Anatomy of high-performance matrix
//! multiplication" (ACM TOMS 34(3), 2008): a tile of 14 × 32 sums stays in registers while slivers of both factors stream by
//! from the caches. It is here, and the `gemm` crate is not enough, for the product with a transposed right factor: a linear
//! layer's weights lie as `[out, in]`, and the crate's way of packing them costs up to a quarter of
//! its rate where they are large (`cargo bench`). Nor is a row of the crate's product the same to the bit in any company. On other
//! processors, the crate it is.

use std::cell::RefCell;

use super::Threads;
use super::matrix::{Elements, Half};

/// A matrix inside a slice: element (i, j) is `data[i · row + j · column]`, and one of the two strides is 1.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Where the elements are.
    pub data: &'a [f32],
    /// Elements from one row to the next.
    pub row: usize,
    /// Elements from one column to the next.
    pub column: usize,
}

impl<'a> View<'a> {
    /// Rows one after another, `stride` elements apart.
    pub fn rows(data: &'a [f32], stride: usize) -> Self {
        Self {
            data,
            row: stride,
            column: 1,
        }
    }

    /// The same matrix, turned.
    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            row: self.column,
            column: self.row,
        }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        assert!(
            self.row == 1 || self.column == 1,
            "one of a matrix's strides is 1: {} and {}",
            self.row,
            self.column
        );
        rows == 0 || columns == 0 || (rows - 1) * self.row + (columns - 1) * self.column < self.data.len()
    }
}

/// A right factor, in whatever form it is kept: row by row, or turned.
#[derive(Clone, Copy, Debug)]
pub struct Right<'a> {
    elements: Elements<'a>,
    stride: usize,
    turned: bool,
}

impl<'a> Right<'a> {
    /// Rows one after another, `stride` elements apart.
    pub fn rows(elements: Elements<'a>, stride: usize) -> Self {
        Self {
            elements,
            stride,
            turned: false,
        }
    }

    /// The same matrix, turned.
    pub fn transposed(self) -> Self {
        Self {
            turned: !self.turned,
            ..self
        }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        let (lines, length) = if self.turned { (columns, rows) } else { (rows, columns) };
        rows == 0 || columns == 0 || (lines - 1) * self.stride + length <= self.elements.len()
    }
}

impl<'a> From<View<'a>> for Right<'a> {
    fn from(view: View<'a>) -> Self {
        let elements = Elements::Floats(view.data);
        if view.column == 1 {
            Self::rows(elements, view.row)
        } else {
            Self::rows(elements, view.column).transposed()
        }
    }
}

/// c = a b, or c += a b: `a` is `[m, k]`, `b` is `[k, n]`, `c` has its rows `stride` elements apart.
///
/// # Panics
/// If a matrix does not lie within its slice.
#[derive(Debug)]
pub struct Product<'a, 'c> {
    /// `(m, k, n)`
    pub size: (usize, usize, usize),
    /// Left factor.
    pub a: View<'a>,
    /// Right factor; [`View`]s are one kind.
    pub b: Right<'a>,
    /// Where the product goes.
    pub c: &'c mut [f32],
    /// Elements from one row of `c` to the next.
    pub stride: usize,
    /// Adds to what is there.
    pub add: bool,
}

/// Whether a row of a product is the same to the bit whatever the other rows are. The `gemm` crate, on processors without AVX-512,
/// takes other ways for small products.
pub fn rows_are_independent() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

impl Product<'_, '_> {
    /// Computes it, on this thread or on all.
    pub fn run(self, threads: Threads) {
        let (m, k, n) = self.size;
        assert!(
            self.a.holds(m, k) && self.b.holds(k, n),
            "a factor lies outside its slice: {:?}",
            self.size
        );
        assert!(
            View::rows(self.c, self.stride).holds(m, n) && (self.stride >= n || m < 2),
            "the product lies outside its slice"
        );
        if m == 0 || n == 0 {
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f") {
            let workers = threads.for_work(m * n * k);
            // Whole tiles for each thread, along the longer side.
            let by_rows = m > n;
            let (length, tile) = if by_rows { (m, wide::ROWS) } else { (n, wide::COLUMNS) };
            let share = length.div_ceil(workers).next_multiple_of(tile);
            let c = SendPointer(self.c.as_mut_ptr());
            let part = |index: usize| {
                let from = index * share;
                if from >= length {
                    return;
                }
                let count = share.min(length - from);
                let (i, j, m, n) = if by_rows {
                    (from, 0, count, n)
                } else {
                    (0, from, m, count)
                };
                // SAFETY: AVX-512 is there, all three matrices lie within their slices, and the parts of `c` do not overlap.
                unsafe {
                    let a = self.a.data.as_ptr().add(i * self.a.row);
                    let c = c.get().add(i * self.stride + j);
                    let a = wide::Factor::new(a, self.a.row, self.a.column);
                    let (stride, turned, add) = (self.b.stride, self.b.turned, self.add);
                    let first = if turned { j * stride } else { j };
                    match self.b.elements {
                        Elements::Floats(floats) => {
                            let b = wide::Sliced::new(wide::Floats(floats.as_ptr()), first, stride, turned);
                            wide::product((m, k, n), a, b, c, self.stride, add);
                        }
                        Elements::Halves(bytes, Half::Bf16) => {
                            let b = wide::Sliced::new(wide::Bf16(bytes.as_ptr()), first, stride, turned);
                            wide::product((m, k, n), a, b, c, self.stride, add);
                        }
                        Elements::Halves(bytes, Half::F16) => {
                            let b = wide::Sliced::new(wide::F16(bytes.as_ptr()), first, stride, turned);
                            wide::product((m, k, n), a, b, c, self.stride, add);
                        }
                        Elements::Four(four) => {
                            let b = wide::Sliced::new(wide::Codes::new(four), four.first + first, stride, turned);
                            wide::product((m, k, n), a, b, c, self.stride, add);
                        }
                    }
                }
            };
            if workers == 1 {
                part(0);
            } else {
                use rayon::prelude::*;
                (0..workers).into_par_iter().for_each(part);
            }
            return;
        }
        self.portable(threads);
    }

    /// The `gemm` crate's product. A factor that is kept in another form is expanded as a whole.
    fn portable(self, threads: Threads) {
        let (m, k, n) = self.size;
        let Elements::Floats(right) = self.b.elements else {
            let (lines, length) = if self.b.turned { (n, k) } else { (k, n) };
            let count = if lines == 0 {
                0
            } else {
                (lines - 1) * self.b.stride + length
            };
            let mut floats = EXPANDED.take();
            if floats.len() < count {
                floats.resize(count, 0.0);
            }
            match threads {
                Threads::One => self.b.elements.expand(0, &mut floats[..count]),
                Threads::All => self.b.elements.expand_all(&mut floats[..count]),
            }
            let elements = Elements::Floats(&floats[..count]);
            Product {
                size: self.size,
                a: self.a,
                b: Right { elements, ..self.b },
                c: self.c,
                stride: self.stride,
                add: self.add,
            }
            .portable(threads);
            EXPANDED.set(floats);
            return;
        };
        let (down, along) = if self.b.turned {
            (1, self.b.stride)
        } else {
            (self.b.stride, 1)
        };
        let parallelism = match threads.for_work(m * n * k) {
            1 => gemm::Parallelism::None,
            count => gemm::Parallelism::Rayon(count),
        };
        let (lhs, rhs) = (self.a.data.as_ptr(), right.as_ptr());
        let c = self.c.as_mut_ptr();
        // SAFETY: `run` has checked that all three matrices lie within their slices.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                c,
                1,
                self.stride as isize,
                self.add,
                lhs,
                self.a.column as isize,
                self.a.row as isize,
                rhs,
                along as isize,
                down as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

/// A pointer that several threads write through, each to its own part.
#[derive(Clone, Copy)]
struct SendPointer(*mut f32);

impl SendPointer {
    fn get(self) -> *mut f32 {
        self.0
    }
}

// SAFETY: whoever writes through it sees to it that no two threads write to one place.
unsafe impl Send for SendPointer {}
// SAFETY: as above.
unsafe impl Sync for SendPointer {}

thread_local! {
    /// A right factor, where the `gemm` crate needs all of it.
    static EXPANDED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    /// Packed slivers of the left and of the right factor.
    static PACKED: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::*;

    use super::PACKED;
    use crate::kernel::matrix::{BLOCK, Four};

    /// Rows of a tile: 14 × 2 vectors of sums leave four registers for the factors.
    pub const ROWS: usize = 14;
    /// Columns of a tile: two vectors.
    pub const COLUMNS: usize = 32;
    /// Elements of a vector.
    const LANES: usize = 16;
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

    /// Where a right factor's elements come from.
    pub trait Line: Copy {
        /// Up to 16 elements one after another, zeros behind them.
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

    /// Sixteen halves; zeros behind the last.
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
        turned: bool,
    }

    impl<L: Line> Sliced<L> {
        pub fn new(elements: L, first: usize, stride: usize, turned: bool) -> Self {
            Self {
                elements,
                first,
                stride,
                turned,
            }
        }

        /// # Safety
        /// AVX-512 is there, and so are the elements.
        #[inline]
        #[target_feature(enable = "avx512f")]
        unsafe fn line(self, line: usize, from: usize, count: usize) -> __m512 {
            // SAFETY: as the caller says.
            unsafe { self.elements.line(self.first + line * self.stride + from, count) }
        }
    }

    /// # Safety
    /// AVX-512 is there; `a` is `[m, k]`, `b` is `[k, n]`, `c` is `[m, n]` with the row stride given, all within memory of theirs.
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
            if !b.turned {
                for p in 0..depth {
                    // SAFETY: no element beyond the edge is asked for.
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

    fn mask(count: usize) -> __mmask16 {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::matrix::{Code, Four, quantize};
    use proptest::prelude::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count)
            .map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0)
            .collect()
    }

    fn check(size: (usize, usize, usize), turned: (bool, bool), add: bool, threads: Threads, portable: bool) {
        let (m, k, n) = size;
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let stride = n + 3;
        let before = numbers(m * stride, 3);
        let mut c = before.clone();
        let view = |data, rows: usize, columns: usize, turned| match turned {
            false => View::rows(data, columns),
            true => View::rows(data, rows).transposed(),
        };
        let (av, bv) = (view(&a, m, k, turned.0), view(&b, k, n, turned.1));
        let product = Product {
            size,
            a: av,
            b: bv.into(),
            c: &mut c,
            stride,
            add,
        };
        if portable {
            product.portable(threads);
        } else {
            product.run(threads);
        }
        for i in 0..m {
            for j in 0..stride {
                let place = i * stride + j;
                if j >= n {
                    assert_eq!(c[place], before[place], "written beyond the edge at {i}, {j}");
                    continue;
                }
                let terms = (0..k).map(|p| {
                    let (a, b) = (av.data[i * av.row + p * av.column], bv.data[p * bv.row + j * bv.column]);
                    f64::from(a) * f64::from(b)
                });
                let exact = terms.clone().sum::<f64>() + if add { f64::from(before[place]) } else { 0.0 };
                let bound = 1e-6 * (1.0 + terms.map(f64::abs).sum::<f64>());
                assert!(
                    (f64::from(c[place]) - exact).abs() < bound,
                    "{size:?} {turned:?} {add} at {i}, {j}: {} for {exact}",
                    c[place]
                );
            }
        }
    }

    #[test]
    fn sizes_at_every_edge() {
        for size in [
            (1, 1, 1),
            (14, 16, 32),
            (15, 17, 33),
            (13, 384, 31),
            (29, 385, 64),
            (450, 20, 35),
            (3, 0, 5),
            (2, 900, 16),
            (1, 64, 500),
        ] {
            for turned in [(false, false), (false, true), (true, false), (true, true)] {
                for add in [false, true] {
                    check(size, turned, add, Threads::One, false);
                    check(size, turned, add, Threads::One, true);
                }
            }
        }
    }

    #[test]
    fn shared_among_threads() {
        check((300, 200, 130), (false, true), true, Threads::All, false);
        check((130, 200, 300), (true, false), false, Threads::All, false);
    }

    #[test]
    #[should_panic(expected = "outside its slice")]
    fn a_factor_too_short_is_refused() {
        let mut c = [0.0; 4];
        Product {
            size: (2, 2, 2),
            a: View::rows(&[0.0; 3], 2),
            b: View::rows(&[0.0; 4], 2).into(),
            c: &mut c,
            stride: 2,
            add: false,
        }
        .run(Threads::One);
    }

    /// Whatever a factor is kept as, the product is to the bit that with its float32 expansion.
    fn same_as_expanded((m, k, n): (usize, usize, usize), elements: Elements<'_>, stride: usize, turned: bool) {
        let a = numbers(m * k, 1);
        let mut floats = vec![0.0; elements.len()];
        elements.expand_all(&mut floats);
        let product = |b: Right<'_>, portable: bool| {
            let mut c = vec![0.0; m * n];
            let product = Product {
                size: (m, k, n),
                a: View::rows(&a, k),
                b,
                c: &mut c,
                stride: n,
                add: false,
            };
            if portable {
                product.portable(Threads::One);
            } else {
                product.run(Threads::One);
            }
            c
        };
        for portable in [false, true] {
            let [kept, whole] = [elements, Elements::Floats(&floats)].map(|elements| {
                let right = Right::rows(elements, stride);
                product(if turned { right.transposed() } else { right }, portable)
            });
            assert_eq!(kept, whole, "{m} {k} {n} {stride} {turned} {portable}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_form(m in 1usize..40, k in 1usize..140, n in 1usize..70, more in 0usize..40, first in 0usize..70, turned: bool, aligned: bool) {
            // Whole blocks from a multiple of 16 on take the short way, all others the long one.
            let (k, n, more, first) = if aligned { (k.next_multiple_of(16), n.next_multiple_of(16), more / 16 * 16, first / 16 * 16) } else { (k, n, more, first) };
            let (lines, length) = if turned { (n, k) } else { (k, n) };
            let stride = length + more;
            let floats = numbers(first + lines * stride, 5);
            for code in [Code::Fp4, Code::Nf4] {
                let (codes, scales) = quantize(floats.len(), code, |range, to| to.copy_from_slice(&floats[range]));
                let values = code.values();
                same_as_expanded((m, k, n), Elements::Four(Four { codes: &codes, scales: &scales, values: &values, first }), stride, turned);
            }
            let brain: Vec<u8> = floats.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect();
            same_as_expanded((m, k, n), Elements::Halves(&brain, Half::Bf16), stride, turned);
            let short: Vec<u8> = floats.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect();
            same_as_expanded((m, k, n), Elements::Halves(&short, Half::F16), stride, turned);
        }

        #[test]
        fn any_size(m in 1usize..70, k in 0usize..80, n in 1usize..90, x: bool, y: bool, add: bool) {
            check((m, k, n), (x, y), add, Threads::One, false);
        }
    }
}
