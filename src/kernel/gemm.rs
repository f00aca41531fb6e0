//! Products of float32 matrices on the CPU.
//!
//! On a processor with AVX-512 this is our own kernel, after Goto and van de Geijn, "Anatomy of high-performance matrix
//! multiplication" (ACM TOMS 34(3), 2008): a tile of 14 × 32 sums stays in registers while slivers of both factors
//! stream from the caches. Two things make the `gemm` crate not enough. The weights of a linear layer are stored as
//! `[out, in]`, so the forward pass needs a transposed right factor, and the crate's packing of it costs up to a
//! quarter of its rate where the weights are large (`cargo bench`). And a row of the crate's product depends, in its
//! last bits, on the other rows. Other processors use the crate.

#[cfg(target_arch = "x86_64")]
mod lines;
#[cfg(target_arch = "x86_64")]
mod wide;

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

    /// The same matrix, transposed.
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

/// A right factor, in any stored form: row by row, or transposed.
#[derive(Clone, Copy, Debug)]
pub struct Right<'a> {
    elements: Elements<'a>,
    stride: usize,
    transposed: bool,
}

impl<'a> Right<'a> {
    /// Rows one after another, `stride` elements apart.
    pub fn rows(elements: Elements<'a>, stride: usize) -> Self {
        Self {
            elements,
            stride,
            transposed: false,
        }
    }

    /// The same matrix, transposed.
    pub fn transposed(self) -> Self {
        Self {
            transposed: !self.transposed,
            ..self
        }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        let (lines, length) = if self.transposed {
            (columns, rows)
        } else {
            (rows, columns)
        };
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

/// Elements of a right factor that are expanded at a time where the product does not do it by itself (4 MiB).
const EXPANDED: usize = 1 << 20;

/// Whether a row of a product is the same to the bit whatever the other rows are. The `gemm` crate, on processors
/// without AVX-512, uses other algorithms for small products.
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
        if let Elements::Blocks(_) | Elements::Groups(_) = self.b.elements {
            return self.by_lines(threads, EXPANDED, |part, threads| part.run(threads));
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
                // SAFETY: AVX-512 is there, all three matrices lie within their slices, and the parts of `c` do not
                // overlap.
                unsafe {
                    let a = self.a.data.as_ptr().add(i * self.a.row);
                    let c = c.get().add(i * self.stride + j);
                    let a = wide::Factor::new(a, self.a.row, self.a.column);
                    let (stride, transposed, add) = (self.b.stride, self.b.transposed, self.add);
                    let first = if transposed { j * stride } else { j };
                    match self.b.elements {
                        Elements::Floats(floats) => {
                            let b = lines::Sliced::new(lines::Floats(floats.as_ptr()), first, stride, transposed);
                            wide::product((m, k, n), a, b, c, self.stride, add);
                        }
                        Elements::Halves(bytes, Half::Bf16) => {
                            let b = lines::Sliced::new(lines::Bf16(bytes.as_ptr()), first, stride, transposed);
                            wide::product((m, k, n), a, b, c, self.stride, add);
                        }
                        Elements::Halves(bytes, Half::F16) => {
                            let b = lines::Sliced::new(lines::F16(bytes.as_ptr()), first, stride, transposed);
                            wide::product((m, k, n), a, b, c, self.stride, add);
                        }
                        Elements::Four(four) => {
                            let b = lines::Sliced::new(lines::Codes::new(four), four.first + first, stride, transposed);
                            wide::product((m, k, n), a, b, c, self.stride, add);
                        }
                        Elements::Blocks(_) | Elements::Groups(_) => unreachable!("expanded by lines"),
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

    /// The product with a right factor that is expanded some lines at a time, `room` elements or one line for each
    /// thread; the lines are columns of the product or terms of its sums. `product` is that of the expanded lines.
    fn by_lines(self, threads: Threads, room: usize, product: fn(Product<'_, '_>, Threads)) {
        let (m, k, n) = self.size;
        let Right {
            elements,
            stride,
            transposed,
        } = self.b;
        let (lines, length) = if transposed { (n, k) } else { (k, n) };
        if k == 0 {
            let nothing = Right::rows(Elements::Floats(&[]), 0);
            return product(Product { b: nothing, ..self }, threads);
        }
        let workers = threads.for_work(lines * length);
        // Where sums are interrupted must not depend on who computes them.
        let room = if transposed { room * workers } else { room };
        let most = (room / length).clamp(1, lines);
        let mut floats = vec![0.0; most * length];
        for from in (0..lines).step_by(most) {
            let count = most.min(lines - from);
            let floats = &mut floats[..count * length];
            if workers > 1 {
                use rayon::prelude::*;
                let expand = |(line, to): (usize, &mut [f32])| elements.expand((from + line) * stride, to);
                floats.par_chunks_exact_mut(length).enumerate().for_each(expand);
            } else {
                for (line, to) in (from..).zip(floats.chunks_exact_mut(length)) {
                    elements.expand(line * stride, to);
                }
            }
            let b = Right::rows(Elements::Floats(floats), length);
            let part = if transposed {
                Product {
                    size: (m, k, count),
                    a: self.a,
                    b: b.transposed(),
                    c: &mut self.c[from..],
                    stride: self.stride,
                    add: self.add,
                }
            } else {
                Product {
                    size: (m, count, n),
                    a: View {
                        data: &self.a.data[from * self.a.column..],
                        ..self.a
                    },
                    b,
                    c: &mut self.c[..],
                    stride: self.stride,
                    add: self.add || from > 0,
                }
            };
            product(part, threads);
        }
    }

    /// The `gemm` crate's product.
    fn portable(self, threads: Threads) {
        let (m, k, n) = self.size;
        let Elements::Floats(right) = self.b.elements else {
            return self.by_lines(threads, EXPANDED, |part, threads| part.portable(threads));
        };
        let (down, along) = if self.b.transposed {
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

// SAFETY: every user makes sure that no two threads write to the same place.
unsafe impl Send for SendPointer {}
// SAFETY: as above.
unsafe impl Sync for SendPointer {}

thread_local! {
    /// Packed slivers of the left and of the right factor.
    static PACKED: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

#[cfg(test)]
mod tests;
