//! Rules for ∫₀¹ f(α) dα: nodes and weights. Pure numbers, no model.
//!
//! Left, right and middle Riemann sums and Gauss–Legendre equal Captum's. The trapezoid rule has weights that sum to 1;
//! Captum's `riemann_trapezoid` sums to 1 − 1/n, which is a defect and not copied.

use crate::terms::Quadrature;
use std::f64::consts::PI;

/// A node of a rule and its weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Place on the path, 0 at the baseline, 1 at the input.
    pub alpha: f64,
    /// Share of the integral; the weights of a rule sum to 1.
    pub weight: f64,
}

/// The `steps` nodes of a rule in rising order.
///
/// # Panics
/// If `steps` is 0, or 1 for the trapezoid rule, which needs both ends; or for the adaptive rule, whose points
/// [`super::adaptive`] chooses.
pub fn points(rule: Quadrature, steps: usize) -> Vec<Point> {
    assert!(steps >= fewest_steps(rule), "{rule:?} with {steps} steps");
    let n = steps as f64;
    let even = |offset: f64| {
        (0..steps)
            .map(|i| Point {
                alpha: (i as f64 + offset) / n,
                weight: 1.0 / n,
            })
            .collect::<Vec<_>>()
    };
    match rule {
        Quadrature::GaussLegendre => gauss_legendre(steps),
        Quadrature::Adaptive => panic!("the adaptive rule has no points of its own"),
        Quadrature::RiemannLeft => even(0.0),
        Quadrature::RiemannMiddle => even(0.5),
        Quadrature::RiemannRight => even(1.0),
        Quadrature::Trapezoid => (0..steps)
            .map(|i| {
                let half = if i == 0 || i + 1 == steps { 0.5 } else { 1.0 };
                Point {
                    alpha: i as f64 / (n - 1.0),
                    weight: half / (n - 1.0),
                }
            })
            .collect(),
    }
}

/// The fewest nodes a rule can have.
pub fn fewest_steps(rule: Quadrature) -> usize {
    match rule {
        Quadrature::Trapezoid => 2,
        _ => 1,
    }
}

/// Gauss–Legendre nodes on [0, 1]: roots of the Legendre polynomial Pₙ by Newton's method from Tricomi's estimate,
/// weights 2 / ((1 − x²) Pₙ′(x)²) (Abramowitz and Stegun 25.4.29), both mapped from [−1, 1].
fn gauss_legendre(n: usize) -> Vec<Point> {
    let mut points = vec![
        Point {
            alpha: 0.5,
            weight: 1.0
        };
        n
    ];
    for i in 0..n.div_ceil(2) {
        let mut x = (PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        // Newton's method converges quadratically from this start; the bound only guards against a cycle of roundings.
        for _ in 0..100 {
            let (value, slope) = legendre(n, x);
            let step = value / slope;
            x -= step;
            if step.abs() <= 1e-15 {
                break;
            }
        }
        if n % 2 == 1 && i == n / 2 {
            x = 0.0;
        }
        let derivative = legendre(n, x).1;
        let weight = 1.0 / ((1.0 - x * x) * derivative * derivative);
        points[i] = Point {
            alpha: (1.0 - x) / 2.0,
            weight,
        };
        points[n - 1 - i] = Point {
            alpha: (1.0 + x) / 2.0,
            weight,
        };
    }
    points
}

/// Pₙ(x) and its derivative by the three-term recurrence.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for k in 2..=n {
        let k = k as f64;
        (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
    }
    if n == 1 {
        return (x, 1.0);
    }
    (value, n as f64 * (x * value - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Quadrature; 5] = [
        Quadrature::GaussLegendre,
        Quadrature::RiemannLeft,
        Quadrature::RiemannRight,
        Quadrature::RiemannMiddle,
        Quadrature::Trapezoid,
    ];

    fn integral(rule: Quadrature, steps: usize, f: impl Fn(f64) -> f64) -> f64 {
        points(rule, steps).iter().map(|p| p.weight * f(p.alpha)).sum()
    }

    #[test]
    fn weights_sum_to_one_and_nodes_rise_within_the_path() {
        for rule in ALL {
            for steps in [2, 3, 7, 50, 512, 2048] {
                let points = points(rule, steps);
                assert_eq!(points.len(), steps);
                assert!(
                    (points.iter().map(|p| p.weight).sum::<f64>() - 1.0).abs() < 1e-12,
                    "{rule:?} {steps}"
                );
                assert!(
                    points.windows(2).all(|pair| pair[0].alpha < pair[1].alpha),
                    "{rule:?} {steps}"
                );
                assert!(points.iter().all(|p| (0.0..=1.0).contains(&p.alpha)));
            }
        }
    }

    #[test]
    fn gauss_legendre_is_exact_to_degree_2n_minus_1_and_no_further() {
        for n in [1, 2, 3, 5, 8] {
            for degree in 0..2 * n {
                let error =
                    integral(Quadrature::GaussLegendre, n, |x| x.powi(degree as i32)) - 1.0 / (degree as f64 + 1.0);
                assert!(error.abs() < 1e-14, "n {n} degree {degree}: {error}");
            }
            let degree = 2 * n as i32;
            let error = integral(Quadrature::GaussLegendre, n, |x| x.powi(degree)) - 1.0 / (f64::from(degree) + 1.0);
            assert!(error.abs() > 1e-14, "n {n}");
        }
    }

    #[test]
    fn gauss_legendre_has_the_tabled_nodes() {
        // Abramowitz and Stegun, table 25.4, n = 3: x = ±√0.6, weights 5/9 and 8/9, here on [0, 1].
        let points = points(Quadrature::GaussLegendre, 3);
        let root = 0.6f64.sqrt();
        for (point, (alpha, weight)) in points.iter().zip([
            ((1.0 - root) / 2.0, 5.0 / 18.0),
            (0.5, 4.0 / 9.0),
            ((1.0 + root) / 2.0, 5.0 / 18.0),
        ]) {
            assert!(
                (point.alpha - alpha).abs() < 1e-15 && (point.weight - weight).abs() < 1e-15,
                "{point:?} {alpha} {weight}"
            );
        }
    }

    #[test]
    fn the_riemann_rules_stand_where_captum_puts_them() {
        let alphas = |rule| points(rule, 4).iter().map(|p| p.alpha).collect::<Vec<_>>();
        assert_eq!(alphas(Quadrature::RiemannLeft), [0.0, 0.25, 0.5, 0.75]);
        assert_eq!(alphas(Quadrature::RiemannRight), [0.25, 0.5, 0.75, 1.0]);
        assert_eq!(alphas(Quadrature::RiemannMiddle), [0.125, 0.375, 0.625, 0.875]);
        assert_eq!(integral(Quadrature::Trapezoid, 5, |x| x), 0.5);
    }

    #[test]
    fn every_rule_converges() {
        for rule in ALL {
            let error = |n| (integral(rule, n, f64::exp) - (1f64.exp() - 1.0)).abs();
            assert!(error(64) < 0.02 && error(256) <= error(64) + 1e-15, "{rule:?}");
        }
    }
}
