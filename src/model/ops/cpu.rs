//! The passes in float32 on the CPU, by the kernels of [`crate::kernel`].

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use burn::tensor::Tensor;

use super::{Bias, Heads, NormWeights, Ops, Sequences, Stretch, Tables, Weight, Which};
use crate::families::shape::{Activation, Pairs};
use crate::kernel::gemm::{Product, Right, View};
use crate::kernel::norm::{self, Moments, Norm};
use crate::kernel::{Threads, activation, attention};
use crate::model::experts::{self, Choice};
use crate::model::path::{Along, Path};
use crate::tensor::host::{self, Host};

/// The CPU.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Who works on this pass.
    pub threads: Threads,
    /// Angles for the longest sequence at least.
    pub rotary: Arc<Tables>,
}

/// Rows in main memory, of one width.
#[derive(Debug)]
pub struct Rows {
    data: Vec<f32>,
    length: usize,
    width: usize,
}

thread_local! {
    /// Memory of earlier rows. A pass goes through the same sizes again and again; memory fresh from the system costs a
    /// page fault every 4 KiB, and is cleared first.
    static POOL: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

impl Rows {
    /// Rows to be written; what they hold now is of no meaning.
    fn new(rows: usize, width: usize) -> Self {
        let length = rows * width;
        let found = POOL.with_borrow_mut(|pool| {
            let fits = |buffer: &Vec<f32>| buffer.len() >= length && buffer.len() <= 2 * length;
            let at = pool.iter().rposition(fits);
            if at.is_none() {
                // Sizes have changed; what served the earlier ones goes, so that the pool never holds much more than
                // was in use at one time.
                pool.pop();
            }
            at.map(|at| pool.swap_remove(at))
        });
        Self {
            data: found.unwrap_or_else(|| memory(length)),
            length,
            width,
        }
    }

    fn rows(&self, count: usize) -> &[f32] {
        &self[..count * self.width]
    }
}

/// New memory. Where there is none it panics, as Burn's devices do, instead of ending the process; the batch is then
/// halved.
fn memory(length: usize) -> Vec<f32> {
    let mut data = Vec::new();
    if data.try_reserve_exact(length).is_err() {
        panic!("out of memory: {} MB were not to be had", length * 4 / 1_000_000);
    }
    data.resize(length, 0.0);
    data
}

impl Drop for Rows {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        // A thread may be ending, and its pool be gone.
        let _ = POOL.try_with(|pool| pool.borrow_mut().push(data));
    }
}

/// Gives the memory of earlier rows on this thread back to the system.
pub fn forget_memory() {
    POOL.with_borrow_mut(Vec::clear);
}

impl Deref for Rows {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data[..self.length]
    }
}

impl DerefMut for Rows {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[..self.length]
    }
}

fn right(weight: &Weight) -> Right<'_> {
    let elements = weight
        .elements()
        .expect("this device is chosen for weights in main memory alone");
    Right::rows(elements, weight.dims()[1])
}

fn slice(host: &Option<Host>) -> &[f32] {
    host.as_ref().expect("as above").slice()
}

fn parts(norm: &NormWeights) -> Norm<'_> {
    Norm {
        weight: &norm.host.0,
        bias: norm.host.1.as_deref(),
        epsilon: norm.epsilon as f32,
    }
}

impl Cpu {
    fn product(&self, rows: usize, x: &Rows, w: Right<'_>, width: usize, mut into: Rows, add: bool) -> Rows {
        Product {
            size: (rows, x.width, width),
            a: View::rows(x.rows(rows), x.width),
            b: w,
            c: &mut into,
            stride: width,
            add,
        }
        .run(self.threads);
        into
    }

    fn attention<'a>(sequences: &'a Sequences, which: Which, heads: Heads<'a>) -> attention::Attention<'a> {
        attention::Attention {
            query_heads: heads.query,
            key_heads: heads.key,
            width: heads.width,
            window: heads.window,
            scale: heads.scale.map(|scale| scale as f32),
            cap: heads.cap.map(|cap| cap as f32),
            sinks: heads.sinks.map(|sinks| &sinks.host[..]),
            slopes: heads.slopes,
            lengths: sequences.wholes(),
            queries: match which {
                Which::All => sequences.lengths(),
                Which::Last => sequences.tails(),
            },
        }
    }
}

impl Ops for Cpu {
    type Rows = Rows;
    type Moments = Vec<Moments>;

    fn linear(&self, rows: usize, x: &Rows, w: &Weight) -> Rows {
        let [output, _] = w.dims();
        self.product(rows, x, right(w).transposed(), output, Rows::new(rows, output), false)
    }

    fn linear_add(&self, rows: usize, x: &Rows, w: &Weight, into: Rows) -> Rows {
        let [output, _] = w.dims();
        self.product(rows, x, right(w).transposed(), output, into, true)
    }

    fn back(&self, rows: usize, x: &Rows, w: &Weight) -> Rows {
        let [_, input] = w.dims();
        let into = Rows::new(rows, input);
        self.product(rows, x, right(w), input, into, false)
    }

    fn back_add(&self, rows: usize, x: &Rows, w: &Weight, into: Rows) -> Rows {
        let [_, input] = w.dims();
        self.product(rows, x, right(w), input, into, true)
    }

    fn norm(&self, rows: usize, x: &Rows, norm: &NormWeights) -> (Rows, Vec<Moments>) {
        let mut out = Rows::new(rows, x.width);
        let mut moments = vec![[0.0; 2]; rows];
        parts(norm).forward(x.rows(rows), &mut out, &mut moments, self.threads);
        (out, moments)
    }

    fn norm_back(
        &self,
        rows: usize,
        gradient: &Rows,
        x: &Rows,
        moments: &Vec<Moments>,
        norm: &NormWeights,
        mut into: Rows,
    ) -> Rows {
        let (gradient, x) = (gradient.rows(rows), x.rows(rows));
        parts(norm).backward(gradient, x, &moments[..rows], &mut into, self.threads);
        into
    }

    fn norm_back_detached(
        &self,
        rows: usize,
        gradient: &Rows,
        moments: &Vec<Moments>,
        norm: &NormWeights,
        mut into: Rows,
    ) -> Rows {
        parts(norm).backward_detached(gradient.rows(rows), &moments[..rows], &mut into, self.threads);
        into
    }

    fn add_bias(&self, rows: usize, mut x: Rows, bias: &Bias) -> Rows {
        let width = x.width;
        for row in x[..rows * width].chunks_exact_mut(width) {
            norm::add(row, &bias.host);
        }
        x
    }

    fn add(&self, rows: usize, mut into: Rows, x: &Rows) -> Rows {
        norm::add(&mut into[..rows * x.width], x.rows(rows));
        into
    }

    fn scale(&self, mut x: Rows, factor: f64) -> Rows {
        let factor = factor as f32;
        x.iter_mut().for_each(|value| *value *= factor);
        x
    }

    fn width(&self, x: &Rows) -> usize {
        x.width
    }

    fn reshape(&self, mut x: Rows, width: usize) -> Rows {
        assert!(x.length.is_multiple_of(width), "rows of another width");
        x.width = width;
        x
    }

    fn rotate(&self, sequences: &Sequences, which: Which, mut x: Rows, width: usize, table: usize, back: bool) -> Rows {
        let table = &self.rotary.tables[table];
        let rotate = match table.pairs() {
            Pairs::Halves => norm::rotate_halves,
            Pairs::Neighbours => norm::rotate_neighbours,
        };
        let row = x.width;
        let mut rows = x.chunks_exact_mut(row);
        for (&whole, positions) in sequences.wholes().iter().zip(sequences.positions(which)) {
            let angles = table.of(whole);
            for (position, row) in positions.zip(&mut rows) {
                let at = position * angles.half..(position + 1) * angles.half;
                rotate(row, width, &angles.cos[at.clone()], &angles.sin[at], back);
            }
        }
        x
    }

    fn attend(&self, sequences: &Sequences, which: Which, heads: Heads<'_>, [q, k, v]: [&Rows; 3]) -> Rows {
        let mut out = Rows::new(sequences.rows_of(which), q.width);
        Self::attention(sequences, which, heads).forward(q, k, v, &mut out, self.threads);
        out
    }

    fn attend_back(
        &self,
        sequences: &Sequences,
        which: Which,
        heads: Heads<'_>,
        gradient: &Rows,
        [q, k, v]: [&Rows; 3],
        temperature: f64,
    ) -> [Rows; 3] {
        let (asked, all) = (sequences.rows_of(which), sequences.rows());
        let mut dq = Rows::new(asked, q.width);
        let [mut dk, mut dv] = [k, v].map(|x| Rows::new(all, x.width));
        Self::attention(sequences, which, heads).backward(
            gradient.rows(asked),
            [q.rows(asked), k.rows(all), v.rows(all)],
            [&mut dq, &mut dk, &mut dv],
            temperature as f32,
            self.threads,
        );
        [dq, dk, dv]
    }

    fn gated(&self, rows: usize, activation: Activation, gate: &Rows, up: &Rows) -> Rows {
        let mut out = Rows::new(rows, gate.width);
        activation::gated(activation, gate.rows(rows), up.rows(rows), &mut out, self.threads);
        out
    }

    fn gated_back(&self, rows: usize, activation: Activation, mut gradient: Rows, gate: &Rows, up: &Rows) -> [Rows; 2] {
        let mut other = Rows::new(rows, gate.width);
        let (gate, up) = (gate.rows(rows), up.rows(rows));
        activation::gated_backward(activation, gate, up, &mut gradient, &mut other, self.threads);
        [gradient, other]
    }

    fn activate(&self, rows: usize, activation: Activation, x: &Rows) -> Rows {
        let mut out = Rows::new(rows, x.width);
        activation::forward(activation, x.rows(rows), &mut out, self.threads);
        out
    }

    fn activate_back(&self, rows: usize, activation: Activation, mut gradient: Rows, x: &Rows) -> Rows {
        activation::backward(activation, x.rows(rows), &mut gradient, self.threads);
        gradient
    }

    fn values(&self, rows: usize, x: &Rows) -> Vec<f64> {
        x.rows(rows).iter().copied().map(f64::from).collect()
    }

    fn pick(&self, x: &Rows, at: &[usize]) -> Rows {
        let mut out = Rows::new(at.len(), x.width);
        for (out, &row) in out.chunks_exact_mut(x.width).zip(at) {
            out.copy_from_slice(&x[row * x.width..(row + 1) * x.width]);
        }
        out
    }

    fn add_at(&self, mut into: Rows, at: &[usize], x: &Rows) -> Rows {
        let width = into.width;
        for (from, &row) in x.chunks_exact(width).zip(at) {
            norm::add(&mut into[row * width..(row + 1) * width], from);
        }
        into
    }

    fn weigh(&self, mut x: Rows, at: &[usize], weights: &Rows, expert: usize) -> Rows {
        let width = x.width;
        for (row, &place) in x.chunks_exact_mut(width).zip(at) {
            let weight = weights[place * weights.width + expert];
            row.iter_mut().for_each(|value| *value *= weight);
        }
        x
    }

    fn add_dots(&self, mut into: Rows, at: &[usize], expert: usize, a: &Rows, b: &Rows) -> Rows {
        let experts = into.width;
        let rows = a.chunks_exact(a.width).zip(b.chunks_exact(b.width));
        for ((a, b), &row) in rows.zip(at) {
            into[row * experts + expert] += norm::dot(a, b);
        }
        into
    }

    fn route(&self, rows: usize, logits: &Rows, choice: &Choice, renormalise: bool) -> Rows {
        let mut out = Rows::new(rows, logits.width);
        let all = logits
            .chunks_exact(logits.width)
            .zip(out.chunks_exact_mut(logits.width));
        for (row, (logits, out)) in all.enumerate() {
            experts::weights(logits, choice.of(row), renormalise, out);
        }
        out
    }

    fn route_back(&self, rows: usize, mut gradient: Rows, logits: &Rows, choice: &Choice, renormalise: bool) -> Rows {
        let width = logits.width;
        let all = logits.chunks_exact(width).zip(gradient.chunks_exact_mut(width));
        for (row, (logits, gradient)) in all.take(rows).enumerate() {
            experts::weights_back(logits, choice.of(row), renormalise, gradient);
        }
        gradient
    }

    fn take_last(&self, sequences: &Sequences, x: &Rows) -> Rows {
        let mut out = Rows::new(sequences.outputs(), x.width);
        for (out, row) in out.chunks_exact_mut(x.width).zip(sequences.last()) {
            out.copy_from_slice(&x[row * x.width..(row + 1) * x.width]);
        }
        out
    }

    fn add_to_last(&self, sequences: &Sequences, mut into: Rows, last: &Rows) -> Rows {
        let width = into.width;
        for (from, row) in last.chunks_exact(width).zip(sequences.last()) {
            norm::add(&mut into[row * width..(row + 1) * width], from);
        }
        into
    }

    fn only_last(&self, sequences: &Sequences, last: &Rows) -> Rows {
        let into = self.zeros(sequences.rows(), last.width);
        self.add_to_last(sequences, into, last)
    }

    fn behind(&self, sequences: &Sequences, known: &[&Rows], x: &Rows) -> Rows {
        let width = x.width;
        let mut out = Rows::new(sequences.wholes().iter().sum(), width);
        let (mut new, mut rest) = (&x[..], &mut out[..]);
        let parts = known.iter().zip(sequences.before()).zip(sequences.lengths());
        for ((known, before), length) in parts {
            let (to, later) = rest.split_at_mut((before + length) * width);
            let (own, others) = new.split_at(length * width);
            to[..before * width].copy_from_slice(known.rows(*before));
            to[before * width..].copy_from_slice(own);
            (new, rest) = (others, later);
        }
        out
    }

    fn copy(&self, rows: usize, x: &Rows) -> Rows {
        let mut out = Rows::new(rows, x.width);
        out.copy_from_slice(x.rows(rows));
        out
    }

    fn zeros(&self, rows: usize, width: usize) -> Rows {
        let mut out = Rows::new(rows, width);
        out.fill(0.0);
        out
    }

    fn along(&self, stretches: &[Stretch<'_>]) -> Rows {
        let width = stretches.first().map_or(0, |s| s.path.difference.tensor.dims()[1]);
        let mut out = Rows::new(points(stretches).map(|(path, _)| path.tokens()).sum(), width);
        let mut rows = out.chunks_exact_mut(width);
        for (path, alpha) in points(stretches) {
            let ends = slice(&path.baseline.host)
                .chunks_exact(width)
                .zip(slice(&path.difference.host).chunks_exact(width));
            for ((base, step), out) in ends.zip(&mut rows) {
                norm::along(base, alpha as f32, step, out);
            }
        }
        out
    }

    fn projected(&self, stretches: &[Stretch<'_>], which: usize) -> Rows {
        let layer = |path: &'_ Path| path.projection.as_ref().map(|p| p.layers[which].clone());
        let width = stretches
            .first()
            .and_then(|s| layer(s.path))
            .map_or(0, |[a, ..]| a.tensor.dims()[1]);
        let mut out = Rows::new(points(stretches).map(|(path, _)| path.tokens()).sum(), width);
        let mut rows = out.chunks_exact_mut(width);
        for stretch in stretches {
            let projection = stretch
                .path
                .projection
                .as_ref()
                .expect("asked for where every path has one");
            let [base, step, constant] = &projection.layers[which];
            let (base, step, constant) = (slice(&base.host), slice(&step.host), slice(&constant.host));
            for &alpha in stretch.alphas {
                let ends = base.chunks_exact(width).zip(step.chunks_exact(width));
                for (row, ((base, step), out)) in ends.zip(&mut rows).enumerate() {
                    let scale = projection.at(row, alpha).scale;
                    norm::combine(scale as f32, base, (scale * alpha) as f32, step, constant, out);
                }
            }
        }
        out
    }

    fn scores(&self, stretches: &[Stretch<'_>], gradient: &Rows, through: &[Rows], detached: bool) -> Vec<f64> {
        let mut row = 0;
        let mut out = Vec::with_capacity(points(stretches).map(|(path, _)| path.tokens()).sum());
        for (path, alpha) in points(stretches) {
            let width = gradient.width;
            for (token, step) in slice(&path.difference.host).chunks_exact(width).enumerate() {
                let mut score = f64::from(norm::dot(&gradient[row * width..(row + 1) * width], step));
                if let Some(projection) = path.projection.as_ref().filter(|_| !through.is_empty()) {
                    let at = projection.at(token, alpha);
                    let at = if detached { at.detached() } else { at };
                    for (layer, gradient) in projection.layers.iter().zip(through) {
                        let width = gradient.width;
                        let gradient = &gradient[row * width..(row + 1) * width];
                        let with = |end: &Along| {
                            f64::from(norm::dot(
                                gradient,
                                &slice(&end.host)[token * width..(token + 1) * width],
                            ))
                        };
                        score += at.along * with(&layer[1]) + at.back * with(&layer[0]);
                    }
                }
                out.push(score);
                row += 1;
            }
        }
        out
    }

    fn to_tensor(&self, rows: usize, x: Rows) -> Tensor<2> {
        host::tensor(x.rows(rows).to_vec(), [rows, x.width])
    }

    fn to_rows(&self, x: Tensor<2>) -> Rows {
        let [rows, width] = x.dims();
        let mut out = Rows::new(rows, width);
        out.copy_from_slice(Host::of(&x).expect("float32 in main memory").slice());
        out
    }
}

/// Every point of every stretch.
fn points<'a>(stretches: &'a [Stretch<'a>]) -> impl Iterator<Item = (&'a Path, f64)> + 'a {
    stretches
        .iter()
        .flat_map(|s| s.alphas.iter().map(|&alpha| (s.path, alpha)))
}
