//! Causal scaled dot-product attention and its backward pass, for several sequences stored one after another.
//!
//! Attention weights are computed for a few query rows at a time and computed again in the backward pass, as in
//! FlashAttention (Dao et al. 2022), so memory does not grow with the square of the prompt. Keys after a block's last
//! query are never read.

use std::cell::RefCell;
use std::ops::Range;

use multiversion::multiversion;
use rayon::prelude::*;

use super::Threads;
use super::activation::{exp, tanh};
use super::gemm::{Product, View};
use super::norm::add;

/// Query rows at a time: three tiles of the matrix product.
const BLOCK: usize = 42;

/// One attention layer's shape, and where its sequences lie.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Query heads.
    pub query_heads: usize,
    /// Key/value heads; each serves `query_heads / key_heads` query heads in a row.
    pub key_heads: usize,
    /// Width of a head.
    pub width: usize,
    /// A position sees itself and the positions before it, at most this many in total.
    pub window: Option<usize>,
    /// Factor of the scores; none: 1/√width.
    pub scale: Option<f32>,
    /// Scores s become cap · tanh(s / cap) before the softmax.
    pub cap: Option<f32>,
    /// A score of each query head that takes part in the softmax and has no value (attention sinks).
    pub sinks: Option<&'a [f32]>,
    /// Slopes of each query head ([`alibi_slopes`]): scores get [`alibi`] of the key's position before they are scaled.
    pub slopes: Option<&'a [f32]>,
    /// Tokens of each sequence, which have a key and a value each.
    pub lengths: &'a [usize],
    /// How many of each sequence's last positions have a query; `q`, `out` and their gradients have rows for those
    /// alone.
    pub queries: &'a [usize],
}

/// One sequence's rows, and the query head that is computed.
struct Task {
    queries: Range<usize>,
    keys: Range<usize>,
    head: usize,
}

/// Room for one block.
#[derive(Default)]
struct Scratch {
    weights: Vec<f32>,
    /// Weights by another temperature.
    softer: Vec<f32>,
    slopes: Vec<f32>,
    /// Derivatives of capped scores.
    caps: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Gradients of one query head.
struct HeadGradients {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

impl Attention<'_> {
    fn tasks(&self) -> Vec<Task> {
        let mut tasks = Vec::new();
        let (mut query, mut key) = (0, 0);
        for (&length, &asked) in self.lengths.iter().zip(self.queries) {
            for head in 0..self.query_heads {
                tasks.push(Task {
                    queries: query..query + asked,
                    keys: key..key + length,
                    head,
                });
            }
            query += asked;
            key += length;
        }
        tasks
    }

    fn check(&self, q: &[f32], k: &[f32], v: &[f32]) {
        let keys: usize = self.lengths.iter().sum();
        let queries: usize = self.queries.iter().sum();
        assert!(
            self.lengths.len() == self.queries.len()
                && q.len() == queries * self.query_heads * self.width
                && k.len() == keys * self.key_heads * self.width
                && v.len() == k.len(),
            "attention: rows do not fit the sequences"
        );
    }

    /// Keys that a block of queries may look at; `position` counts within the sequence.
    fn seen(&self, first: usize, last: usize) -> Range<usize> {
        let from = self.window.map_or(0, |window| (first + 1).saturating_sub(window));
        from..last + 1
    }

    /// `q` is `[queries, query_heads · width]`, `k` and `v` are `[keys, key_heads · width]`, rotary positions applied;
    /// `out` is like `q`.
    pub fn forward(&self, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], threads: Threads) {
        self.check(q, k, v);
        let stride = self.query_heads * self.width;
        let tasks = self.tasks();
        let compute = |task: &Task| self.head_forward(task, q, k, v);
        let mut place = |task: &Task, head: &[f32]| {
            for (row, values) in task.queries.clone().zip(head.chunks_exact(self.width)) {
                let at = row * stride + task.head * self.width;
                out[at..at + self.width].copy_from_slice(values);
            }
        };
        match threads {
            Threads::One => tasks.iter().for_each(|task| place(task, &compute(task))),
            Threads::All => {
                let heads: Vec<_> = tasks.par_iter().map(compute).collect();
                tasks.iter().zip(&heads).for_each(|(task, head)| place(task, head));
            }
        }
    }

    /// Gradients of `q`, `k` and `v`, given that of the output; all three are overwritten. With a `temperature` T other
    /// than 1 the gradient of the scores s is p (g − Σ p g) with p = softmax(s / T), g being that of the weights;
    /// everything else stays what it is.
    pub fn backward(
        &self,
        gradient: &[f32],
        [q, k, v]: [&[f32]; 3],
        [dq, dk, dv]: [&mut [f32]; 3],
        temperature: f32,
        threads: Threads,
    ) {
        self.check(q, k, v);
        self.check(dq, dk, dv);
        self.check(gradient, k, v);
        dk.fill(0.0);
        dv.fill(0.0);
        let (query_stride, key_stride) = (self.query_heads * self.width, self.key_heads * self.width);
        let group = self.query_heads / self.key_heads;
        let tasks = self.tasks();
        let compute = |task: &Task| self.head_backward(task, gradient, [q, k, v], temperature);
        let mut place = |task: &Task, head: &HeadGradients| {
            let width = self.width;
            for (row, values) in task.queries.clone().zip(head.q.chunks_exact(width)) {
                let at = row * query_stride + task.head * width;
                dq[at..at + width].copy_from_slice(values);
            }
            let rows = task
                .keys
                .clone()
                .zip(head.k.chunks_exact(width))
                .zip(head.v.chunks_exact(width));
            for ((row, k), v) in rows {
                let at = row * key_stride + task.head / group * width;
                add(&mut dk[at..at + width], k);
                add(&mut dv[at..at + width], v);
            }
        };
        match threads {
            Threads::One => tasks.iter().for_each(|task| place(task, &compute(task))),
            Threads::All => {
                // A few at a time, so that the heads' own gradients are never all there at once.
                for tasks in tasks.chunks(4 * rayon::current_num_threads()) {
                    let heads: Vec<_> = tasks.par_iter().map(compute).collect();
                    tasks.iter().zip(&heads).for_each(|(task, head)| place(task, head));
                }
            }
        }
    }

    /// Blocks of a task's queries: their rows in `q`, their first and last position in the sequence.
    fn blocks(task: &Task) -> impl Iterator<Item = (Range<usize>, usize, usize)> + use<> {
        let before = task.keys.len() - task.queries.len();
        let queries = task.queries.clone();
        let count = queries.len();
        (0..count).step_by(BLOCK).map(move |from| {
            let to = (from + BLOCK).min(count);
            (queries.start + from..queries.start + to, before + from, before + to - 1)
        })
    }

    /// `[rows, width]` of a head within `[…, heads · width]`, from a row on.
    fn head_view<'x>(&self, data: &'x [f32], heads: usize, head: usize, row: usize) -> View<'x> {
        let stride = heads * self.width;
        View::rows(&data[row * stride + head * self.width..], stride)
    }

    fn factor(&self) -> f32 {
        self.scale.unwrap_or_else(|| 1.0 / (self.width as f32).sqrt())
    }

    /// What becomes attention weights of a block, `[queries, seen keys]`, by [`Self::softmaxes`], which needs the factor
    /// that is returned. Where scores are capped, `caps` gets the derivatives of that.
    fn scores(
        &self,
        task: &Task,
        rows: &Range<usize>,
        seen: &Range<usize>,
        (q, k): (&[f32], &[f32]),
        to: &mut [f32],
        caps: &mut Vec<f32>,
    ) -> f32 {
        let key_head = task.head / (self.query_heads / self.key_heads);
        Product {
            size: (rows.len(), self.width, seen.len()),
            a: self.head_view(q, self.query_heads, task.head, rows.start),
            b: self
                .head_view(k, self.key_heads, key_head, task.keys.start + seen.start)
                .transposed()
                .into(),
            c: to,
            stride: seen.len(),
            add: false,
        }
        .run(Threads::One);
        if let Some(slopes) = self.slopes {
            let bias: Vec<f32> = seen.clone().map(|key| alibi(slopes[task.head], key)).collect();
            for row in to.chunks_exact_mut(seen.len()).take(rows.len()) {
                add(row, &bias);
            }
        }
        let scale = self.factor();
        let Some(cap) = self.cap else { return scale };
        caps.resize(rows.len() * seen.len(), 0.0);
        capped(&mut to[..rows.len() * seen.len()], caps, scale, cap);
        1.0
    }

    /// Turns the scores of a block, whose first query is at `first`, into softmax(scale · scores / temperature).
    fn softmaxes(
        &self,
        task: &Task,
        first: usize,
        seen: &Range<usize>,
        rows: &mut [f32],
        (scale, temperature): (f32, f32),
    ) {
        let sink = self.sinks.map(|sinks| sinks[task.head] / temperature);
        for (index, row) in rows.chunks_exact_mut(seen.len()).enumerate() {
            let own = self.seen(first + index, first + index);
            softmax(
                row,
                own.start - seen.start..own.end - seen.start,
                scale / temperature,
                sink,
            );
        }
    }

    fn head_forward(&self, task: &Task, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
        let width = self.width;
        let key_head = task.head / (self.query_heads / self.key_heads);
        let mut out = vec![0.0; task.queries.len() * width];
        SCRATCH.with_borrow_mut(|scratch| {
            for (rows, first, last) in Self::blocks(task) {
                let seen = self.seen(first, last);
                scratch.weights.resize(rows.len() * seen.len(), 0.0);
                let Scratch { weights, caps, .. } = &mut *scratch;
                let scale = self.scores(task, &rows, &seen, (q, k), weights, caps);
                self.softmaxes(task, first, &seen, weights, (scale, 1.0));
                Product {
                    size: (rows.len(), seen.len(), width),
                    a: View::rows(&scratch.weights, seen.len()),
                    b: self
                        .head_view(v, self.key_heads, key_head, task.keys.start + seen.start)
                        .into(),
                    c: &mut out[(rows.start - task.queries.start) * width..],
                    stride: width,
                    add: false,
                }
                .run(Threads::One);
            }
        });
        out
    }

    fn head_backward(&self, task: &Task, gradient: &[f32], [q, k, v]: [&[f32]; 3], temperature: f32) -> HeadGradients {
        let width = self.width;
        let key_head = task.head / (self.query_heads / self.key_heads);
        let scale = self.factor();
        let room = |rows: &Range<usize>| vec![0.0; rows.len() * width];
        let mut head = HeadGradients {
            q: room(&task.queries),
            k: room(&task.keys),
            v: room(&task.keys),
        };
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch {
                weights,
                softer,
                slopes,
                caps,
            } = scratch;
            for (rows, first, last) in Self::blocks(task) {
                let seen = self.seen(first, last);
                let (count, keys) = (rows.len(), seen.len());
                weights.resize(count * keys, 0.0);
                slopes.resize(count * keys, 0.0);
                let own_scale = self.scores(task, &rows, &seen, (q, k), weights, caps);
                if temperature != 1.0 {
                    softer.clone_from(weights);
                    self.softmaxes(task, first, &seen, softer, (own_scale, temperature));
                }
                self.softmaxes(task, first, &seen, weights, (own_scale, 1.0));
                let start = task.keys.start + seen.start;
                let gradient = self.head_view(gradient, self.query_heads, task.head, rows.start);
                let values = self.head_view(v, self.key_heads, key_head, start).transposed();
                product((count, width, keys), gradient, values, slopes, keys, false);
                let read = if temperature == 1.0 { &*weights } else { &*softer };
                for (weights, slopes) in read.chunks_exact(keys).zip(slopes.chunks_exact_mut(keys)) {
                    softmax_backward(weights, slopes, scale);
                }
                if self.cap.is_some() {
                    multiply(slopes, caps);
                }
                let at = (rows.start - task.queries.start) * width;
                let (weights, slopes) = (View::rows(weights, keys), View::rows(slopes, keys));
                let own_keys = self.head_view(k, self.key_heads, key_head, start);
                product((count, keys, width), slopes, own_keys, &mut head.q[at..], width, false);
                let queries = self.head_view(q, self.query_heads, task.head, rows.start);
                let to = seen.start * width;
                product(
                    (keys, count, width),
                    slopes.transposed(),
                    queries,
                    &mut head.k[to..],
                    width,
                    true,
                );
                product(
                    (keys, count, width),
                    weights.transposed(),
                    gradient,
                    &mut head.v[to..],
                    width,
                    true,
                );
            }
        });
        head
    }
}

/// A product on this thread.
fn product(size: (usize, usize, usize), a: View<'_>, b: View<'_>, c: &mut [f32], stride: usize, add: bool) {
    Product {
        size,
        a,
        b: b.into(),
        c,
        stride,
        add,
    }
    .run(Threads::One);
}

/// Scores s become cap · tanh(scale · s / cap); `slopes` gets 1 − tanh².
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn capped(scores: &mut [f32], slopes: &mut [f32], scale: f32, cap: f32) {
    for (score, slope) in scores.iter_mut().zip(slopes) {
        let t = tanh(*score * scale / cap);
        *score = cap * t;
        *slope = 1.0 - t * t;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn multiply(into: &mut [f32], by: &[f32]) {
    for (into, by) in into.iter_mut().zip(by) {
        *into *= by;
    }
}

/// The factors of positions for so many heads, in attention with linear biases (Press, Smith and Lewis 2022,
/// arXiv:2108.12409), rounded to bfloat16 as Falcon's code has them: 2^(−8 i / n) for i = 1, 2, … n, n the power of two
/// at or below; further heads have those of 2n in between, every second one.
pub fn alibi_slopes(heads: usize) -> Vec<f32> {
    let power = if heads == 0 { 1 } else { 1 << heads.ilog2() };
    let slope = |of: usize, index: usize| {
        let base = 2f64.powf(-(2f64.powf(3.0 - (of as f64).log2()))) as f32;
        bfloat16(f64::from(base).powi(index as i32) as f32)
    };
    let more = (0..heads.saturating_sub(power)).map(|index| slope(2 * power, 2 * index + 1));
    (1..=power).map(|index| slope(power, index)).chain(more).collect()
}

/// What a head's slope adds to the score of a key, in bfloat16 as Falcon's code has it.
pub fn alibi(slope: f32, position: usize) -> f32 {
    bfloat16(slope * bfloat16(position as f32))
}

/// The nearest number that bfloat16 has, ties to even.
fn bfloat16(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

/// softmax(scale · row) over `seen` and a `sink`, which is scaled already; 0 elsewhere.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn softmax(row: &mut [f32], seen: Range<usize>, scale: f32, sink: Option<f32>) {
    let (before, rest) = row.split_at_mut(seen.start);
    let (row, after) = rest.split_at_mut(seen.end - seen.start);
    before.fill(0.0);
    after.fill(0.0);
    const LANES: usize = 16;
    let mut most = [f32::NEG_INFINITY; LANES];
    for values in row.chunks(LANES) {
        for (most, &value) in most.iter_mut().zip(values) {
            // Not `max`, which would pass over NaN.
            *most = if value <= *most { *most } else { value };
        }
    }
    let most = most
        .into_iter()
        .fold(f32::NEG_INFINITY, |a, b| if b <= a { a } else { b });
    // Where the sink is above all scores, it is what they are taken off.
    let most = match sink {
        Some(sink) if sink > scale * most => sink / scale,
        _ => most,
    };
    let mut sums = [0.0; LANES];
    for values in row.chunks_mut(LANES) {
        for (sum, value) in sums.iter_mut().zip(values) {
            *value = exp(scale * (*value - most));
            *sum += *value;
        }
    }
    let more = sink.map_or(0.0, |sink| exp(sink - scale * most));
    let inverse = 1.0 / (sums.iter().sum::<f32>() + more);
    row.iter_mut().for_each(|value| *value *= inverse);
}

/// Replaces the gradients of a row of attention weights by those of its scores, which were scaled: w (g − Σ w g) ·
/// scale.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn softmax_backward(weights: &[f32], gradient: &mut [f32], scale: f32) {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    for (weights, gradient) in weights.chunks(LANES).zip(gradient.chunks(LANES)) {
        for ((sum, &w), &g) in sums.iter_mut().zip(weights).zip(gradient) {
            *sum += w * g;
        }
    }
    let mean: f32 = sums.iter().sum();
    for (gradient, &w) in gradient.iter_mut().zip(weights) {
        *gradient = w * (*gradient - mean) * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: f64) -> Vec<f64> {
        (0..count)
            .map(|i| f64::from((((i as f64 + seed) * 12.9898).sin() * 1.3) as f32))
            .collect()
    }

    /// Attention as its definition says, in float64.
    fn exact(shape: &Attention<'_>, q: &[f64], k: &[f64], v: &[f64]) -> Vec<f64> {
        let (width, group) = (shape.width, shape.query_heads / shape.key_heads);
        let mut out = Vec::new();
        let mut start = 0;
        let mut row = 0;
        for (&length, &asked) in shape.lengths.iter().zip(shape.queries) {
            for i in length - asked..length {
                for h in 0..shape.query_heads {
                    let q = &q[(row * shape.query_heads + h) * width..][..width];
                    let at = |j: usize| ((start + j) * shape.key_heads + h / group) * width;
                    let from = shape.window.map_or(0, |w| (i + 1).saturating_sub(w));
                    let powers: Vec<f64> = (from..=i)
                        .map(|j| {
                            let score: f64 = q.iter().zip(&k[at(j)..]).map(|(a, b)| a * b).sum();
                            let score = score + shape.slopes.map_or(0.0, |slopes| f64::from(alibi(slopes[h], j)));
                            let scale = shape.scale.map_or(1.0 / (width as f64).sqrt(), f64::from);
                            let score = score * scale;
                            shape
                                .cap
                                .map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                                .exp()
                        })
                        .collect();
                    let sink = shape.sinks.map_or(0.0, |sinks| f64::from(sinks[h]).exp());
                    let sum: f64 = powers.iter().sum::<f64>() + sink;
                    out.extend((0..width).map(|d| {
                        (from..=i)
                            .zip(&powers)
                            .map(|(j, p)| p / sum * v[at(j) + d])
                            .sum::<f64>()
                    }));
                }
                row += 1;
            }
            start += length;
        }
        out
    }

    fn narrow(x: &[f64]) -> Vec<f32> {
        x.iter().map(|&x| x as f32).collect()
    }

    #[test]
    fn forward_and_backward_equal_the_definition() {
        let (sinks, slopes) = ([-1.0, 30.0, 0.4, 1.2], alibi_slopes(4));
        for (lengths, queries, window, key_heads, scale, cap, sinks, slopes) in [
            (&[5, 1, 90][..], &[5, 1, 90][..], None, 2, None, None, None, None),
            (&[7, 50][..], &[1, 1][..], None, 4, None, Some(0.8), None, None),
            (&[60][..], &[60][..], Some(9), 1, Some(0.7), Some(1.5), None, None),
            (&[60][..], &[1][..], Some(100), 2, Some(0.3), None, None, None),
            (&[60][..], &[60][..], Some(9), 2, None, None, Some(&sinks[..]), None),
            (
                &[60, 70, 9][..],
                &[4, 50, 9][..],
                Some(9),
                2,
                None,
                None,
                None,
                Some(&slopes[..]),
            ),
            (&[60, 2][..], &[60, 2][..], None, 4, None, None, None, Some(&slopes[..])),
            (
                &[9, 60][..],
                &[1, 1][..],
                None,
                4,
                Some(0.5),
                Some(2.0),
                Some(&sinks[..]),
                Some(&slopes[..]),
            ),
        ] {
            for threads in [Threads::One, Threads::All] {
                let shape = Attention {
                    query_heads: 4,
                    key_heads,
                    width: 6,
                    window,
                    scale,
                    cap,
                    sinks,
                    slopes,
                    lengths,
                    queries,
                };
                let keys: usize = lengths.iter().sum();
                let queries: usize = queries.iter().sum();
                let q = numbers(queries * 24, 1.0);
                let (k, v) = (numbers(keys * key_heads * 6, 2.0), numbers(keys * key_heads * 6, 3.0));
                let c = numbers(q.len(), 4.0);
                let mut out = vec![0.0; q.len()];
                shape.forward(&narrow(&q), &narrow(&k), &narrow(&v), &mut out, threads);
                for (a, b) in out.iter().zip(exact(&shape, &q, &k, &v)) {
                    assert!((f64::from(*a) - b).abs() < 1e-5);
                }
                let (mut dq, mut dk, mut dv) = (vec![9.0; q.len()], vec![9.0; k.len()], vec![9.0; v.len()]);
                let into = [&mut dq[..], &mut dk[..], &mut dv[..]];
                shape.backward(&narrow(&c), [&narrow(&q), &narrow(&k), &narrow(&v)], into, 1.0, threads);
                let loss = |q: &[f64], k: &[f64], v: &[f64]| -> f64 {
                    exact(&shape, q, k, v).iter().zip(&c).map(|(a, b)| a * b).sum()
                };
                for (which, gradient) in [&dq, &dk, &dv].into_iter().enumerate() {
                    for i in (0..gradient.len()).step_by(41) {
                        let moved = |by: f64| {
                            let mut all = [q.clone(), k.clone(), v.clone()];
                            all[which][i] += by;
                            loss(&all[0], &all[1], &all[2])
                        };
                        let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                        let found = f64::from(gradient[i]);
                        assert!((found - slope).abs() < 2e-5, "{which} {i}: {found} for {slope}");
                    }
                }
            }
        }
    }

    /// By the definition, in float64: p (g − Σ p g) with p = softmax(s / T), for the scores' gradient; then those of
    /// queries and keys, which scores are products of. Values' gradient is the weights' own.
    #[test]
    fn a_temperature_softens_the_gradient_of_scores_alone() {
        let (width, tokens, temperature) = (6, 9, 2.0);
        let (scale, cap, sink) = (0.9, 1.5, 0.7);
        let sinks = [sink as f32];
        let shape = Attention {
            query_heads: 1,
            key_heads: 1,
            width,
            window: None,
            scale: Some(scale as f32),
            cap: Some(cap as f32),
            sinks: Some(&sinks),
            slopes: None,
            lengths: &[tokens],
            queries: &[tokens],
        };
        let [q, k, v, c] = [1.0, 2.0, 3.0, 4.0].map(|seed| numbers(tokens * width, seed));
        let [mut dq, mut dk, mut dv, mut own_dq, mut own_dk, mut own_dv] = [(); 6].map(|()| vec![9.0; q.len()]);
        let read = [&narrow(&q)[..], &narrow(&k), &narrow(&v)];
        shape.backward(
            &narrow(&c),
            read,
            [&mut dq, &mut dk, &mut dv],
            temperature as f32,
            Threads::One,
        );
        shape.backward(
            &narrow(&c),
            read,
            [&mut own_dq, &mut own_dk, &mut own_dv],
            1.0,
            Threads::One,
        );
        assert_eq!(dv, own_dv);
        let dot = |a: &[f64], i: usize, b: &[f64], j: usize| -> f64 {
            let (a, b) = (&a[i * width..][..width], &b[j * width..][..width]);
            a.iter().zip(b).map(|(a, b)| a * b).sum()
        };
        let (mut exact_q, mut exact_k) = (vec![0.0; q.len()], vec![0.0; q.len()]);
        for i in 0..tokens {
            let tanh = |j: usize| (scale * dot(&q, i, &k, j) / cap).tanh();
            let power = |j: usize| (cap * tanh(j) / temperature).exp();
            let sum: f64 = (0..=i).map(power).sum::<f64>() + (sink / temperature).exp();
            let mean: f64 = (0..=i).map(|j| power(j) / sum * dot(&c, i, &v, j)).sum();
            for j in 0..=i {
                let slope = power(j) / sum * (dot(&c, i, &v, j) - mean) * (1.0 - tanh(j).powi(2)) * scale;
                for d in 0..width {
                    exact_q[i * width + d] += slope * k[j * width + d];
                    exact_k[j * width + d] += slope * q[i * width + d];
                }
            }
        }
        for (found, exact) in dq.iter().chain(&dk).zip(exact_q.iter().chain(&exact_k)) {
            assert!((f64::from(*found) - exact).abs() < 1e-5, "{found} for {exact}");
        }
        let moved = dq.iter().zip(&own_dq).any(|(one, other)| (one - other).abs() > 0.01);
        assert!(moved, "{dq:?} {own_dq:?}");
    }

    /// Values of `build_alibi_tensor` of transformers 5.24.
    #[test]
    fn linear_biases_are_falcons() {
        assert_eq!(alibi_slopes(8)[..3], [0.5, 0.25, 0.125]);
        assert_eq!(alibi_slopes(6), [0.25, 0.0625, 0.015_625, 0.003_906_25, 0.5, 0.125]);
        let twelfth = alibi_slopes(12)[11];
        let found = [3, 255, 257, 301, 599].map(|position| alibi(twelfth, position));
        assert_eq!((twelfth, found), (0.088_378_906, [0.265_625, 22.5, 22.625, 26.5, 53.0]));
    }

    #[test]
    fn nan_is_not_hidden() {
        let shape = Attention {
            query_heads: 1,
            key_heads: 1,
            width: 2,
            window: None,
            scale: None,
            cap: None,
            sinks: None,
            slopes: None,
            lengths: &[2],
            queries: &[2],
        };
        let mut out = [0.0; 4];
        shape.forward(&[1.0; 4], &[1.0, f32::NAN, 1.0, 1.0], &[1.0; 4], &mut out, Threads::One);
        assert!(out.iter().all(|x| x.is_nan()));
    }
}
