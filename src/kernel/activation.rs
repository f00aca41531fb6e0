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

/// tanh(x), off by at most 2e-7: by its series near 0, where 1 − 2/(e²ˣ + 1) would lose digits.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let square = x * x;
    let mut p = 62.0 / 2835.0;
    for coefficient in [-17.0 / 315.0, 2.0 / 15.0, -1.0 / 3.0, 1.0] {
        p = p * square + coefficient;
    }
    let far = 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
    if x.abs() < 0.3 { x * p } else { far }
}

/// Activations of MLPs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// x / (1 + e⁻ˣ)
    Silu,
    /// The exact GELU (Hendrycks and Gimpel 2016), x Φ(x).
    Gelu,
    /// GELU by tanh: x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))).
    GeluTanh,
    /// max(x, 0)
    Relu,
    /// max(x, 0)²
    ReluSquared,
    /// g / (1 + e^(−gain g)) with g = min(x, limit); in a gated MLP it is multiplied by 1 + up, where up is held
    /// between −limit and limit (gpt-oss).
    ClampedSwish {
        /// Of the sigmoid.
        gain: f32,
        /// Of the gate from above, of up on both sides.
        limit: f32,
    },
}

/// √(2/π)
const SQRT_2_OVER_PI: f32 = 0.797_884_6;
/// The cubic term of GELU by tanh.
const CUBIC: f32 = 0.044_715;

/// The value of GELU by tanh, and its derivative.
#[inline(always)]
fn gelu_tanh(x: f32) -> (f32, f32) {
    let t = tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x));
    let inner = SQRT_2_OVER_PI * (1.0 + 3.0 * CUBIC * x * x);
    (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner)
}

/// The value of max(x, 0)ⁿ for n = 1 or 2, and its derivative; NaN stays.
#[inline(always)]
fn relu(x: f32) -> (f32, f32) {
    if x <= 0.0 { (0.0, 0.0) } else { (x, 1.0) }
}

/// The value of a clamped swish, and its derivative.
#[inline(always)]
fn clamped_swish(x: f32, gain: f32, limit: f32) -> (f32, f32) {
    let g = if x > limit { limit } else { x };
    let s = sigmoid(gain * g);
    let slope = s * (1.0 + gain * g * (1.0 - s));
    (g * s, if x > limit { 0.0 } else { slope })
}

/// 1 + up, up held between −limit and limit, and its derivative; NaN stays.
#[inline(always)]
fn clamped_up(up: f32, limit: f32) -> (f32, f32) {
    let held = if up > limit { limit } else { up };
    let held = if held < -limit { -limit } else { held };
    (1.0 + held, if held == up { 1.0 } else { 0.0 })
}

/// The gate of a gated MLP (Shazeer 2020): out = activation(gate) · up.
pub fn gated(activation: Activation, gate: &[f32], up: &[f32], out: &mut [f32], threads: Threads) {
    assert!(gate.len() == out.len() && up.len() == out.len(), "slices of one length");
    let work = |((gate, up), out): ((&[f32], &[f32]), &mut [f32])| gated_share(activation, gate, up, out);
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
fn gated_share(activation: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) {
    let all = gate.iter().zip(up).zip(out);
    match activation {
        Activation::Silu => all.for_each(|((&gate, &up), out)| *out = gate * sigmoid(gate) * up),
        Activation::Gelu => all.for_each(|((&gate, &up), out)| *out = gate * normal(gate).0 * up),
        Activation::GeluTanh => all.for_each(|((&gate, &up), out)| *out = gelu_tanh(gate).0 * up),
        Activation::Relu => all.for_each(|((&gate, &up), out)| *out = relu(gate).0 * up),
        Activation::ReluSquared => all.for_each(|((&gate, &up), out)| *out = relu(gate).0 * relu(gate).0 * up),
        Activation::ClampedSwish { gain, limit } => all.for_each(|((&gate, &up), out)| {
            *out = clamped_swish(gate, gain, limit).0 * clamped_up(up, limit).0;
        }),
    }
}

/// The gradients of [`gated`]'s factors: `gradient` is that of its output, and becomes that of `gate`; `up_gradient` is
/// written.
pub fn gated_backward(
    activation: Activation,
    gate: &[f32],
    up: &[f32],
    gradient: &mut [f32],
    up_gradient: &mut [f32],
    threads: Threads,
) {
    let length = gradient.len();
    assert!(
        gate.len() == length && up.len() == length && up_gradient.len() == length,
        "slices of one length"
    );
    type Share<'a> = (((&'a [f32], &'a [f32]), &'a mut [f32]), &'a mut [f32]);
    let work = |(((gate, up), gradient), up_gradient): Share<'_>| {
        gated_backward_share(activation, gate, up, gradient, up_gradient);
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
fn gated_backward_share(
    activation: Activation,
    gate: &[f32],
    up: &[f32],
    gradient: &mut [f32],
    up_gradient: &mut [f32],
) {
    let all = gate.iter().zip(up).zip(gradient).zip(up_gradient);
    match activation {
        Activation::Silu => all.for_each(|(((&gate, &up), gradient), up_gradient)| {
            let s = sigmoid(gate);
            *up_gradient = *gradient * gate * s;
            *gradient = *gradient * up * (s * (1.0 + gate * (1.0 - s)));
        }),
        Activation::Gelu => all.for_each(|(((&gate, &up), gradient), up_gradient)| {
            let (probability, density) = normal(gate);
            *up_gradient = *gradient * gate * probability;
            *gradient = *gradient * up * (probability + gate * density);
        }),
        Activation::GeluTanh => all.for_each(|(((&gate, &up), gradient), up_gradient)| {
            let (value, slope) = gelu_tanh(gate);
            *up_gradient = *gradient * value;
            *gradient = *gradient * up * slope;
        }),
        Activation::Relu => all.for_each(|(((&gate, &up), gradient), up_gradient)| {
            let (value, slope) = relu(gate);
            *up_gradient = *gradient * value;
            *gradient = *gradient * up * slope;
        }),
        Activation::ReluSquared => all.for_each(|(((&gate, &up), gradient), up_gradient)| {
            let value = relu(gate).0;
            *up_gradient = *gradient * value * value;
            *gradient = *gradient * up * 2.0 * value;
        }),
        Activation::ClampedSwish { gain, limit } => all.for_each(|(((&gate, &up), gradient), up_gradient)| {
            let (value, slope) = clamped_swish(gate, gain, limit);
            let (up, up_slope) = clamped_up(up, limit);
            *up_gradient = *gradient * value * up_slope;
            *gradient = *gradient * up * slope;
        }),
    }
}

/// out = activation(x)
pub fn forward(activation: Activation, x: &[f32], out: &mut [f32], threads: Threads) {
    assert!(x.len() == out.len(), "slices of one length");
    match threads {
        Threads::One => forward_share(activation, x, out),
        Threads::All => x
            .par_chunks(SHARE)
            .zip(out.par_chunks_mut(SHARE))
            .for_each(|(x, out)| forward_share(activation, x, out)),
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn forward_share(activation: Activation, x: &[f32], out: &mut [f32]) {
    let all = x.iter().zip(out);
    match activation {
        Activation::Silu => all.for_each(|(&x, out)| *out = x * sigmoid(x)),
        Activation::Gelu => all.for_each(|(&x, out)| *out = x * normal(x).0),
        Activation::GeluTanh => all.for_each(|(&x, out)| *out = gelu_tanh(x).0),
        Activation::Relu => all.for_each(|(&x, out)| *out = relu(x).0),
        Activation::ReluSquared => all.for_each(|(&x, out)| *out = relu(x).0 * relu(x).0),
        Activation::ClampedSwish { gain, limit } => {
            all.for_each(|(&x, out)| *out = clamped_swish(x, gain, limit).0);
        }
    }
}

/// Turns the gradient of [`forward`]'s output into that of its input.
pub fn backward(activation: Activation, x: &[f32], gradient: &mut [f32], threads: Threads) {
    assert!(x.len() == gradient.len(), "slices of one length");
    match threads {
        Threads::One => backward_share(activation, x, gradient),
        Threads::All => x
            .par_chunks(SHARE)
            .zip(gradient.par_chunks_mut(SHARE))
            .for_each(|(x, gradient)| backward_share(activation, x, gradient)),
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn backward_share(activation: Activation, x: &[f32], gradient: &mut [f32]) {
    let all = x.iter().zip(gradient);
    match activation {
        Activation::Silu => all.for_each(|(&x, gradient)| {
            let s = sigmoid(x);
            *gradient *= s * (1.0 + x * (1.0 - s));
        }),
        Activation::Gelu => all.for_each(|(&x, gradient)| {
            let (probability, density) = normal(x);
            *gradient *= probability + x * density;
        }),
        Activation::GeluTanh => all.for_each(|(&x, gradient)| *gradient *= gelu_tanh(x).1),
        Activation::Relu => all.for_each(|(&x, gradient)| *gradient *= relu(x).1),
        Activation::ReluSquared => all.for_each(|(&x, gradient)| *gradient *= 2.0 * relu(x).0),
        Activation::ClampedSwish { gain, limit } => {
            all.for_each(|(&x, gradient)| *gradient *= clamped_swish(x, gain, limit).1);
        }
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

    /// The definitions, in float64.
    fn exact(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Gelu => x * phi(x),
            Activation::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            }
            Activation::Relu => x.max(0.0),
            Activation::ReluSquared => x.max(0.0).powi(2),
            Activation::ClampedSwish { gain, limit } => {
                let g = x.min(f64::from(limit));
                g / (1.0 + (-f64::from(gain) * g).exp())
            }
        }
    }

    const ALL: [Activation; 6] = [
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Relu,
        Activation::ReluSquared,
        Activation::ClampedSwish { gain: 1.7, limit: 0.8 },
    ];

    #[test]
    fn activations_and_their_derivatives() {
        // Not at 0 itself, where a corner has no derivative.
        let xs: Vec<f32> = range().into_iter().step_by(40).map(|x| x + 3e-4).collect();
        let up: Vec<f32> = xs.iter().map(|x| (x * 1.7).sin()).collect();
        // What the gate is multiplied by, and the derivative of that.
        let factor = |activation: Activation, up: f64| match activation {
            Activation::ClampedSwish { limit, .. } => {
                let limit = f64::from(limit);
                (1.0 + up.clamp(-limit, limit), f64::from(u8::from(up.abs() < limit)))
            }
            _ => (up, 1.0),
        };
        for activation in ALL {
            for threads in [Threads::One, Threads::All] {
                let (mut out, mut slope) = (vec![0.0; xs.len()], vec![1.0; xs.len()]);
                forward(activation, &xs, &mut out, threads);
                backward(activation, &xs, &mut slope, threads);
                let (mut gate, mut first, mut second) = (out.clone(), vec![0.5; xs.len()], vec![0.0; xs.len()]);
                gated(activation, &xs, &up, &mut gate, threads);
                gated_backward(activation, &xs, &up, &mut first, &mut second, threads);
                for (i, &x) in xs.iter().enumerate() {
                    let (x, h) = (f64::from(x), 1e-5);
                    let (u, along) = factor(activation, f64::from(up[i]));
                    let value = exact(activation, x);
                    let expected = (exact(activation, x + h) - exact(activation, x - h)) / (2.0 * h);
                    let near = |found: f32, expected: f64| {
                        (f64::from(found) - expected).abs() < 6e-7 * (1.0 + x.abs() + expected.abs())
                    };
                    assert!(near(out[i], value), "{activation:?}({x}) = {} for {value}", out[i]);
                    assert!(
                        near(slope[i], expected),
                        "{activation:?}'({x}) = {} for {expected}",
                        slope[i]
                    );
                    assert!(near(gate[i], value * u), "{activation:?}({x}) · {u} = {}", gate[i]);
                    assert!(near(first[i], 0.5 * expected * u), "{activation:?} {x} {u}");
                    assert!(near(second[i], 0.5 * value * along), "{activation:?} {x} {u}");
                }
            }
            let mut out = [0.0];
            forward(activation, &[f32::NAN], &mut out, Threads::One);
            assert!(out[0].is_nan(), "{activation:?}");
        }
    }

    #[test]
    fn tanh_is_close_everywhere() {
        for x in range() {
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 2e-7, "{x}");
            if x != 0.0 && x.abs() < 0.3 {
                assert!((f64::from(tanh(x)) / f64::from(x).tanh() - 1.0).abs() < 3e-7, "{x}");
            }
        }
    }
}
