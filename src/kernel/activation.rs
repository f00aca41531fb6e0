//! Activations and their derivatives, and the exponential they are made of.

use std::f32::consts::{FRAC_1_SQRT_2, LN_2, LOG2_E};

use multiversion::multiversion;
use rayon::prelude::*;

use super::Threads;

/// Elements that are worth a thread.
const SHARE: usize = 16_384;

/// eˣ, to about one unit in the last place for |x| < 87; clamped to e^±87 beyond that, and NaN for NaN.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2; the Taylor polynomial of degree 7 for eʳ is off by at most 5e-9 there; 2ⁿ is
/// made of its bits.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5 · 2²³ rounds to an integer, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: n · LN_2_HIGH is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = (LN_2 as f64 - LN_2_HIGH as f64) as f32 - 1.904_654_3e-9;
    let x = if x > 87.0 { 87.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut p = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + coefficient;
    }
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()))
}

/// 1 / (1 + e⁻ˣ)
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The normal distribution's Φ(x), off by at most 8e-8 (Abramowitz and Stegun 7.1.26), and its density φ(x).
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let mut p = 1.061_405_4;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_72, 0.254_829_6] {
        p = p * t + coefficient;
    }
    let bell = exp(-z * z);
    let tail = 0.5 * p * t * bell;
    // 1/√(2π)
    let density = 0.398_942_3 * bell;
    (if x < 0.0 { tail } else { 1.0 - tail }, density)
}

/// SwiGLU's gate (Shazeer 2020): out = silu(gate) · up.
pub fn gated(gate: &[f32], up: &[f32], out: &mut [f32], threads: Threads) {
    assert!(gate.len() == out.len() && up.len() == out.len(), "slices of one length");
    let work = |((gate, up), out): ((&[f32], &[f32]), &mut [f32])| gated_share(gate, up, out);
    match threads {
        Threads::One => work(((gate, up), out)),
        Threads::All => gate
            .par_chunks(SHARE)
            .zip(up.par_chunks(SHARE))
            .zip(out.par_chunks_mut(SHARE))
            .for_each(work),
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn gated_share(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((&gate, &up), out) in gate.iter().zip(up).zip(out) {
        *out = gate * sigmoid(gate) * up;
    }
}

/// The gradients of the two factors of [`gated`]: `gradient` is that of its output on entry and that of `gate` on
/// return; `up_gradient` is overwritten.
pub fn gated_backward(gate: &[f32], up: &[f32], gradient: &mut [f32], up_gradient: &mut [f32], threads: Threads) {
    let length = gradient.len();
    assert!(
        gate.len() == length && up.len() == length && up_gradient.len() == length,
        "slices of one length"
    );
    type Share<'a> = (((&'a [f32], &'a [f32]), &'a mut [f32]), &'a mut [f32]);
    let work = |(((gate, up), gradient), up_gradient): Share<'_>| {
        gated_backward_share(gate, up, gradient, up_gradient);
    };
    match threads {
        Threads::One => work((((gate, up), gradient), up_gradient)),
        Threads::All => gate
            .par_chunks(SHARE)
            .zip(up.par_chunks(SHARE))
            .zip(gradient.par_chunks_mut(SHARE))
            .zip(up_gradient.par_chunks_mut(SHARE))
            .for_each(work),
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn gated_backward_share(gate: &[f32], up: &[f32], gradient: &mut [f32], up_gradient: &mut [f32]) {
    for (((&gate, &up), gradient), up_gradient) in gate.iter().zip(up).zip(gradient).zip(up_gradient) {
        let s = sigmoid(gate);
        *up_gradient = *gradient * gate * s;
        *gradient = *gradient * up * (s * (1.0 + gate * (1.0 - s)));
    }
}

/// The exact GELU (Hendrycks and Gimpel 2016): out = x Φ(x).
pub fn gelu(x: &[f32], out: &mut [f32], threads: Threads) {
    assert!(x.len() == out.len(), "slices of one length");
    match threads {
        Threads::One => gelu_share(x, out),
        Threads::All => x
            .par_chunks(SHARE)
            .zip(out.par_chunks_mut(SHARE))
            .for_each(|(x, out)| gelu_share(x, out)),
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn gelu_share(x: &[f32], out: &mut [f32]) {
    for (&x, out) in x.iter().zip(out) {
        *out = x * normal(x).0;
    }
}

/// Replaces the gradient of [`gelu`]'s output by the gradient of its input.
pub fn gelu_backward(x: &[f32], gradient: &mut [f32], threads: Threads) {
    assert!(x.len() == gradient.len(), "slices of one length");
    match threads {
        Threads::One => gelu_backward_share(x, gradient),
        Threads::All => x
            .par_chunks(SHARE)
            .zip(gradient.par_chunks_mut(SHARE))
            .for_each(|(x, gradient)| gelu_backward_share(x, gradient)),
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn gelu_backward_share(x: &[f32], gradient: &mut [f32]) {
    for (&x, gradient) in x.iter().zip(gradient) {
        let (probability, density) = normal(x);
        *gradient *= probability + x * density;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> Vec<f32> {
        (-4000..=4000).map(|i| i as f32 * 0.0025).collect()
    }

    #[test]
    fn exp_is_close_everywhere_and_keeps_nan() {
        for i in -86_000..=86_000 {
            let x = i as f32 * 1e-3;
            let exact = f64::from(x).exp();
            assert!(((f64::from(exp(x)) - exact) / exact).abs() < 2.5e-7, "{x}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }

    /// Φ by Simpson's rule on the density.
    fn phi(x: f64) -> f64 {
        let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let steps = 2000;
        let h = x / f64::from(steps);
        let inner: f64 = (1..steps)
            .map(|i| density(h * f64::from(i)) * if i % 2 == 1 { 4.0 } else { 2.0 })
            .sum();
        0.5 + h / 3.0 * (density(0.0) + inner + density(x))
    }

    #[test]
    fn gelu_and_its_derivative() {
        let xs: Vec<f32> = range().into_iter().step_by(40).collect();
        let mut out = vec![0.0; xs.len()];
        gelu(&xs, &mut out, Threads::One);
        let mut slope = vec![1.0; xs.len()];
        gelu_backward(&xs, &mut slope, Threads::One);
        for ((&x, &value), &slope) in xs.iter().zip(&out).zip(&slope) {
            let x = f64::from(x);
            assert!(
                (f64::from(value) - x * phi(x)).abs() < 3e-7 * (1.0 + x.abs()),
                "gelu({x}) = {value}"
            );
            let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
            assert!(
                (f64::from(slope) - (phi(x) + x * density)).abs() < 5e-7,
                "gelu'({x}) = {slope}"
            );
        }
    }

    #[test]
    fn the_gate_and_its_gradients() {
        let gate = range();
        let up: Vec<f32> = gate.iter().map(|x| (x * 1.7).sin()).collect();
        let mut out = vec![0.0; gate.len()];
        gated(&gate, &up, &mut out, Threads::All);
        let (mut first, mut second) = (vec![0.5; gate.len()], vec![0.0; gate.len()]);
        gated_backward(&gate, &up, &mut first, &mut second, Threads::All);
        let silu = |x: f64| x / (1.0 + (-x).exp());
        for i in 0..gate.len() {
            let (g, u) = (f64::from(gate[i]), f64::from(up[i]));
            assert!((f64::from(out[i]) - silu(g) * u).abs() < 2e-6, "{g} {u}");
            let h = 1e-5;
            let slope = (silu(g + h) - silu(g - h)) / (2.0 * h);
            assert!((f64::from(first[i]) - 0.5 * slope * u).abs() < 2e-6, "{g} {u}");
            assert!((f64::from(second[i]) - 0.5 * silu(g)).abs() < 2e-6, "{g} {u}");
        }
    }
}
