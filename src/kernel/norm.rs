//! RMSNorm and LayerNorm over rows, and their backward passes; rotary position embeddings; dot products of rows.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Threads;

/// Rows that are worth a thread.
const SHARE: usize = 16;

/// What a norm knows besides its input.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// `[width]`
    pub weight: &'a [f32],
    /// LayerNorm's, `[width]`; none: RMSNorm, which takes no mean away.
    pub bias: Option<&'a [f32]>,
    /// What is added to the mean square.
    pub epsilon: f32,
}

/// Moments of a row: its mean (0 for RMSNorm), and 1/√(mean square about it + ε).
pub type Moments = [f32; 2];

impl Norm<'_> {
    /// out = (x − mean) · inverse · weight + bias, for rows of x; `moments` is called with the moments of each row.
    pub fn forward(&self, x: &[f32], out: &mut [f32], moments: &mut [Moments], threads: Threads) {
        let width = self.weight.len();
        assert!(
            x.len() == out.len() && x.len() == moments.len() * width,
            "rows of one width"
        );
        let work = |((x, out), moments): ((&[f32], &mut [f32]), &mut [Moments])| forward(self, x, out, moments);
        match threads {
            Threads::One => work(((x, out), moments)),
            Threads::All => x
                .par_chunks(SHARE * width)
                .zip(out.par_chunks_mut(SHARE * width))
                .zip(moments.par_chunks_mut(SHARE))
                .for_each(work),
        }
    }

    /// Adds the gradient of the norm's input to `into`, given that of its output.
    ///
    /// With g = gradient · weight and y = (x − mean) · inverse: inverse · (g − y mean(g y)), less its mean for
    /// LayerNorm.
    pub fn backward(&self, gradient: &[f32], x: &[f32], moments: &[Moments], into: &mut [f32], threads: Threads) {
        let width = self.weight.len();
        assert!(
            x.len() == into.len() && gradient.len() == into.len() && x.len() == moments.len() * width,
            "rows of one width"
        );
        type Share<'a> = (((&'a [f32], &'a [f32]), &'a [Moments]), &'a mut [f32]);
        let work = |(((gradient, x), moments), into): Share<'_>| backward(self, gradient, x, moments, into);
        match threads {
            Threads::One => work((((gradient, x), moments), into)),
            Threads::All => gradient
                .par_chunks(SHARE * width)
                .zip(x.par_chunks(SHARE * width))
                .zip(moments.par_chunks(SHARE))
                .zip(into.par_chunks_mut(SHARE * width))
                .for_each(work),
        }
    }

    /// The same where `inverse` counts as a constant: inverse · g, less its mean for LayerNorm.
    pub fn backward_detached(&self, gradient: &[f32], moments: &[Moments], into: &mut [f32], threads: Threads) {
        let width = self.weight.len();
        assert!(
            gradient.len() == into.len() && gradient.len() == moments.len() * width,
            "rows of one width"
        );
        let work = |((gradient, moments), into): ((&[f32], &[Moments]), &mut [f32])| {
            backward_detached(self, gradient, moments, into);
        };
        match threads {
            Threads::One => work(((gradient, moments), into)),
            Threads::All => gradient
                .par_chunks(SHARE * width)
                .zip(moments.par_chunks(SHARE))
                .zip(into.par_chunks_mut(SHARE * width))
                .for_each(work),
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn forward(norm: &Norm, x: &[f32], out: &mut [f32], moments: &mut [Moments]) {
    let width = norm.weight.len();
    let rows = x.chunks_exact(width).zip(out.chunks_exact_mut(width)).zip(moments);
    for ((x, out), moments) in rows {
        let mean = match norm.bias {
            Some(_) => lanes(x, x, |x, _| x) / width as f32,
            None => 0.0,
        };
        let square = lanes(x, x, |x, _| (x - mean) * (x - mean)) / width as f32;
        let inverse = 1.0 / (square + norm.epsilon).sqrt();
        match norm.bias {
            None => {
                for ((out, &x), &weight) in out.iter_mut().zip(x).zip(norm.weight) {
                    *out = x * inverse * weight;
                }
            }
            Some(bias) => {
                for (((out, &x), &weight), &bias) in out.iter_mut().zip(x).zip(norm.weight).zip(bias) {
                    *out = (x - mean) * inverse * weight + bias;
                }
            }
        }
        *moments = [mean, inverse];
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn backward(norm: &Norm, gradient: &[f32], x: &[f32], moments: &[Moments], into: &mut [f32]) {
    let width = norm.weight.len();
    let rows = gradient.chunks_exact(width).zip(x.chunks_exact(width)).zip(moments);
    for (((gradient, x), &[mean, inverse]), into) in rows.zip(into.chunks_exact_mut(width)) {
        let along = lanes3(gradient, x, norm.weight, |g, x, w| g * w * (x - mean)) * inverse / width as f32;
        let level = match norm.bias {
            Some(_) => lanes(gradient, norm.weight, |g, w| g * w) / width as f32,
            None => 0.0,
        };
        for (((into, &g), &x), &w) in into.iter_mut().zip(gradient).zip(x).zip(norm.weight) {
            *into += inverse * (g * w - level - (x - mean) * inverse * along);
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn backward_detached(norm: &Norm, gradient: &[f32], moments: &[Moments], into: &mut [f32]) {
    let width = norm.weight.len();
    let rows = gradient.chunks_exact(width).zip(moments);
    for ((gradient, &[_, inverse]), into) in rows.zip(into.chunks_exact_mut(width)) {
        let level = match norm.bias {
            Some(_) => lanes(gradient, norm.weight, |g, w| g * w) / width as f32,
            None => 0.0,
        };
        for ((into, &g), &w) in into.iter_mut().zip(gradient).zip(norm.weight) {
            *into += inverse * (g * w - level);
        }
    }
}

/// Σ f(aᵢ, bᵢ), in 32 sums that the compiler can keep in vectors.
#[inline(always)]
fn lanes(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    const LANES: usize = 32;
    let mut sums = [0.0f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(&a, &b)| f(a, b)).sum();
    for (a, b) in a.zip(b) {
        for l in 0..LANES {
            sums[l] += f(a[l], b[l]);
        }
    }
    fold(sums) + rest
}

/// Σ f(aᵢ, bᵢ, cᵢ)
#[inline(always)]
fn lanes3(a: &[f32], b: &[f32], c: &[f32], f: impl Fn(f32, f32, f32) -> f32) -> f32 {
    const LANES: usize = 32;
    let mut sums = [0.0f32; LANES];
    let (a, b, c) = (a.chunks_exact(LANES), b.chunks_exact(LANES), c.chunks_exact(LANES));
    let rest: f32 = a
        .remainder()
        .iter()
        .zip(b.remainder())
        .zip(c.remainder())
        .map(|((&a, &b), &c)| f(a, b, c))
        .sum();
    for ((a, b), c) in a.zip(b).zip(c) {
        for l in 0..LANES {
            sums[l] += f(a[l], b[l], c[l]);
        }
    }
    fold(sums) + rest
}

#[inline(always)]
fn fold<const N: usize>(mut sums: [f32; N]) -> f32 {
    let mut half = N / 2;
    while half > 0 {
        for l in 0..half {
            sums[l] += sums[l + half];
        }
        half /= 2;
    }
    sums[0]
}

/// The dot product of two rows.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    lanes(a, b, |a, b| a * b)
}

/// out = base + factor · direction
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn along(base: &[f32], factor: f32, direction: &[f32], out: &mut [f32]) {
    for ((out, &base), &direction) in out.iter_mut().zip(base).zip(direction) {
        *out = base + factor * direction;
    }
}

/// out = a · base + b · direction + constant
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn combine(a: f32, base: &[f32], b: f32, direction: &[f32], constant: &[f32], out: &mut [f32]) {
    let pairs = base.iter().zip(direction).zip(constant);
    for (out, ((&base, &direction), &constant)) in out.iter_mut().zip(pairs) {
        *out = a * base + b * direction + constant;
    }
}

/// into += from
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn add(into: &mut [f32], from: &[f32]) {
    for (into, &from) in into.iter_mut().zip(from) {
        *into += from;
    }
}

/// Rotary position embedding (Su et al. 2021) of the heads of a row, each of `width`: pairs (i, i + n) of a head's
/// first 2n dimensions turn by the n angles of the row's position, as in most checkpoints of Hugging Face. `back` turns
/// the other way, which is the backward pass.
///
/// `cos` and `sin` are `[n]`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn rotate_halves(row: &mut [f32], width: usize, cos: &[f32], sin: &[f32], back: bool) {
    let half = cos.len();
    let sign = if back { -1.0 } else { 1.0 };
    for head in row.chunks_exact_mut(width) {
        let (first, second) = head[..2 * half].split_at_mut(half);
        for (((a, b), &cos), &sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            let sin = sign * sin;
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}

/// The same with pairs (2i, 2i + 1), as GLM and Cohere have them.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn rotate_neighbours(row: &mut [f32], width: usize, cos: &[f32], sin: &[f32], back: bool) {
    let half = cos.len();
    let sign = if back { -1.0 } else { 1.0 };
    for head in row.chunks_exact_mut(width) {
        for ((pair, &cos), &sin) in head[..2 * half].chunks_exact_mut(2).zip(cos).zip(sin) {
            let sin = sign * sin;
            let (a, b) = (pair[0], pair[1]);
            pair[0] = a * cos - b * sin;
            pair[1] = b * cos + a * sin;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: f32) -> Vec<f32> {
        (0..count)
            .map(|i| ((i as f32 + seed) * 1.37).sin() * 1.5 + 0.2)
            .collect()
    }

    /// The loss Σ c · norm(x), whose gradient is checked by central differences in float64.
    fn exact(norm: &Norm<'_>, x: &[f64], c: &[f32]) -> f64 {
        let width = norm.weight.len();
        x.chunks(width)
            .zip(c.chunks(width))
            .map(|(x, c)| {
                let mean = if norm.bias.is_some() {
                    x.iter().sum::<f64>() / width as f64
                } else {
                    0.0
                };
                let square = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                let scale = (square + f64::from(norm.epsilon)).sqrt();
                (0..width)
                    .map(|i| {
                        let bias = norm.bias.map_or(0.0, |b| f64::from(b[i]));
                        f64::from(c[i]) * ((x[i] - mean) / scale * f64::from(norm.weight[i]) + bias)
                    })
                    .sum::<f64>()
            })
            .sum()
    }

    #[test]
    fn both_norms_and_their_gradients() {
        for width in [7, 32, 70] {
            let (weight, bias) = (numbers(width, 5.0), numbers(width, 9.0));
            for bias in [None, Some(&bias[..])] {
                let norm = Norm {
                    weight: &weight,
                    bias,
                    epsilon: 1e-5,
                };
                let rows = 20;
                let (x, c) = (numbers(rows * width, 1.0), numbers(rows * width, 2.0));
                let (mut out, mut moments) = (vec![0.0; x.len()], vec![[0.0; 2]; rows]);
                norm.forward(&x, &mut out, &mut moments, Threads::All);
                let loss: f64 = out.iter().zip(&c).map(|(&o, &c)| f64::from(o) * f64::from(c)).sum();
                let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
                assert!((loss - exact(&norm, &wide, &c)).abs() < 1e-4);
                let mut gradient = vec![1.0; x.len()];
                norm.backward(&c, &x, &moments, &mut gradient, Threads::One);
                for i in (0..x.len()).step_by(13) {
                    let moved = |by: f64| {
                        let mut x = wide.clone();
                        x[i] += by;
                        exact(&norm, &x, &c)
                    };
                    let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    assert!(
                        (f64::from(gradient[i]) - 1.0 - slope).abs() < 1e-5,
                        "width {width}, element {i}"
                    );
                }
                // With 1/√(…) held, the norm is linear: its value at a unit vector, less that at zero, is its slope.
                let mut gradient = vec![1.0; x.len()];
                norm.backward_detached(&c, &moments, &mut gradient, Threads::All);
                for i in (0..x.len()).step_by(13) {
                    let (row, at) = (i / width, i % width);
                    let level = if bias.is_some() { 1.0 / width as f64 } else { 0.0 };
                    let slope: f64 = (0..width)
                        .map(|j| {
                            let moved = f64::from(u8::from(j == at)) - level;
                            let factor = f64::from(c[row * width + j]) * f64::from(weight[j]);
                            factor * f64::from(moments[row][1]) * moved
                        })
                        .sum();
                    let found = f64::from(gradient[i]) - 1.0;
                    assert!((found - slope).abs() < 1e-5, "width {width}, element {i}");
                }
            }
        }
    }

    #[test]
    fn rotating_there_and_back() {
        let angles: Vec<f32> = (0..4).map(|i| i as f32 * 0.7).collect();
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
        // Whole heads, and heads whose last two dimensions stay.
        for width in [8, 10] {
            for (rotate, pair) in [
                (rotate_halves as fn(&mut [f32], usize, &[f32], &[f32], bool), (1, 5)),
                (rotate_neighbours, (2, 3)),
            ] {
                let before = numbers(2 * width, 3.0);
                let mut row = before.clone();
                rotate(&mut row, width, &cos, &sin, false);
                // The second pair of the second head, as complex numbers.
                let (a, b) = (before[width + pair.0], before[width + pair.1]);
                assert!((row[width + pair.0] - (a * cos[1] - b * sin[1])).abs() < 1e-6);
                assert!((row[width + pair.1] - (b * cos[1] + a * sin[1])).abs() < 1e-6);
                assert_eq!(row[8..width], before[8..width]);
                rotate(&mut row, width, &cos, &sin, true);
                assert!(row.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-6));
            }
        }
    }

    #[test]
    fn sums_over_odd_lengths() {
        let (a, b) = (numbers(77, 1.0), numbers(77, 2.0));
        let exact: f64 = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-4);
    }
}
