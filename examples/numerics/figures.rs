//! The three pictures.

use igsite::attribution::adaptive::{self, Integrator};
use igsite::attribution::integral::Nodes;
use igsite::attribution::integrated_gradients::{Points, Scalar};
use igsite::attribution::quadrature;

use crate::support::cases::{self, Case, Family, Model, distance, size};
use crate::svg::{Axis, BLUE, GREEN, PURPLE, Plot, RED, Style, picture};
use igsite::terms::{BaselineVector, Batch, Quadrature, Routing};

/// The prompt that the first two pictures are about.
pub struct Example<'a> {
    pub model: &'a mut Model,
    pub prompt: usize,
}

impl Example<'_> {
    fn ids(&self) -> Vec<u32> {
        self.model.prompts[self.prompt].clone()
    }

    /// The probability of the predicted token.
    fn scalar(&self) -> Scalar {
        self.model.probability(&self.ids())
    }

    /// F and S at many α from the zero embedding.
    fn values(&mut self, alphas: &[f64]) -> Vec<adaptive::Value> {
        let path = self
            .model
            .explainer
            .path(&self.ids(), BaselineVector::Zero, &[], Routing::Free)
            .unwrap();
        let points = Points {
            path: &path,
            alphas: alphas.to_vec(),
            asked: vec![self.scalar().into()],
        };
        let values = self
            .model
            .explainer
            .evaluate(&[points], Batch::Auto, &mut |_| ())
            .unwrap();
        let value = |mut value: Vec<igsite::attribution::integrated_gradients::Value>| {
            let value = value.remove(0);
            adaptive::Value {
                output: value.output,
                scores: value.scores,
                routes: value.routes,
            }
        };
        values.into_iter().next().unwrap().into_iter().map(value).collect()
    }

    /// Where the adaptive rule asks for values.
    fn nodes(&mut self, tolerance: f64) -> Vec<f64> {
        let (ids, scalar) = (self.ids(), self.scalar());
        let ends = self
            .model
            .explainer
            .ends(&ids, BaselineVector::Zero, (&[], 0), None, &[scalar])
            .unwrap()
            .remove(0);
        let options = adaptive::Options {
            tolerance,
            max_evaluations: 4096,
            singular_start: true,
            start: 0.0,
            output_rounding: ends.rounding,
            unit_roundoff: ends.unit_roundoff,
        };
        let mut integrator = Integrator::new(ids.len(), ends.baseline, ends.input, options);
        let mut nodes = Vec::new();
        while !integrator.wanted().is_empty() {
            let wanted = integrator.wanted().to_vec();
            integrator.feed(self.values(&wanted));
            nodes.extend(wanted);
        }
        nodes
    }
}

/// Why a path from zero is hard: F and the density of the map in ln α, and where two rules look.
pub fn path(example: &mut Example<'_>) -> String {
    const LOWEST: i32 = -14;
    let alphas: Vec<f64> = (0..=1400)
        .map(|i| 10f64.powf(f64::from(LOWEST) * (1.0 - f64::from(i) / 1400.0)))
        .collect();
    let values = example.values(&alphas);
    let output: Vec<(f64, f64)> = alphas
        .iter()
        .zip(&values)
        .map(|(&alpha, value)| (alpha, value.output))
        .collect();
    let density: Vec<(f64, f64)> = alphas
        .iter()
        .zip(&values)
        .map(|(&alpha, value)| (alpha, alpha * size(&value.scores)))
        .collect();
    let nodes = example.nodes(0.01);
    let fixed: Vec<f64> = quadrature::points(Quadrature::GaussLegendre, 512)
        .iter()
        .map(|point| point.alpha)
        .collect();

    let axis = |label| Axis::powers(label, LOWEST, 0, 2);
    let highest = |points: &[(f64, f64)]| cases::largest(points.iter().map(|point| point.1));
    let up_to = |points: &[(f64, f64)], label| {
        let step = [0.02, 0.05, 0.1, 0.2, 0.5]
            .into_iter()
            .find(|step| highest(points) < 6.0 * step);
        let step = step.unwrap_or(1.0);
        Axis::linear(label, 0.0, step * (highest(points) * 1.05 / step).ceil(), step)
    };
    let mut upper = Plot::new(
        [80.0, 20.0, 740.0, 150.0],
        axis(""),
        up_to(&output, "F(α), a probability"),
    );
    upper.line(&output, BLUE, "");
    let mut lower = Plot::new([80.0, 205.0, 740.0, 170.0], axis(""), up_to(&density, "α · Σ|S(α)|"));
    lower.line(&density, RED, "");
    let rug = |top, x: Axis, nodes: &[f64], colour| {
        let none = Axis {
            ticks: vec![],
            ..Axis::linear("", 0.0, 1.0, 1.0)
        };
        let mut plot = Plot::new([80.0, top, 740.0, 22.0], x, none);
        plot.strokes(nodes, colour);
        plot
    };
    let bare = Axis {
        ticks: vec![],
        ..axis("")
    };
    let mut first = rug(428.0, bare, &nodes, GREEN);
    let mut second = rug(
        474.0,
        axis("α, from the zero embedding (0, far to the left) to the prompt (1)"),
        &fixed,
        PURPLE,
    );
    let here = |nodes: &[f64]| nodes.iter().filter(|&&alpha| alpha >= 10f64.powi(LOWEST)).count();
    for (plot, colour, name, nodes) in [
        (&mut first, GREEN, "adaptive, asked for 1%", &nodes),
        (&mut second, PURPLE, "Gauss–Legendre", &fixed),
    ] {
        let told = format!(
            "{name}: {} points, {} of them in this picture",
            nodes.len(),
            here(nodes)
        );
        plot.text((10f64.powi(LOWEST), 1.3), "start", colour, &told);
    }
    picture(
        850.0,
        550.0,
        "What happens on a path from the zero embedding, over the logarithm of α",
        &[upper, lower, first, second],
    )
}

/// True error over evaluations, for fixed rules and the adaptive one. Also what the picture shows, as lines to read.
pub fn convergence(example: &mut Example<'_>) -> String {
    const STYLES: [Style; 4] = [
        Style {
            colour: RED,
            name: "Gauss–Legendre",
        },
        Style {
            colour: PURPLE,
            name: "trapezoid: above this picture, since it asks for α = 0",
        },
        Style {
            colour: BLUE,
            name: "middle Riemann",
        },
        Style {
            colour: GREEN,
            name: "adaptive, asked for 20% … 0.02%",
        },
    ];
    let (ids, scalar) = (example.ids(), example.scalar());
    let truth = example
        .model
        .truths(&ids, BaselineVector::Zero, &[scalar])
        .remove(0)
        .scores;
    let mut asked = Vec::new();
    let rules = [
        Quadrature::GaussLegendre,
        Quadrature::Trapezoid,
        Quadrature::RiemannMiddle,
    ];
    let counts: Vec<usize> = (4..=12).map(|k| 1 << k).collect();
    for rule in rules {
        asked.extend(counts.iter().map(|&count| {
            let points = quadrature::points(rule, count);
            (
                scalar,
                Nodes::Fixed {
                    points: points.into(),
                    check: None,
                },
            )
        }));
    }
    let tolerances = [0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002];
    asked.extend(tolerances.map(|tolerance| (scalar, cases::adaptive(tolerance))));
    let mut maps = example.model.along(&ids, BaselineVector::Zero, asked).into_iter();
    let mut curve = |count: usize| -> Vec<(f64, f64)> {
        maps.by_ref()
            .take(count)
            .map(|map| (map.evaluations as f64, distance(&map.scores, &truth) / size(&truth)))
            .collect()
    };
    let mut plot = Plot::new(
        [80.0, 20.0, 740.0, 360.0],
        Axis {
            ticks: (4..=12).map(|k| f64::from(1 << k)).collect(),
            from: 14.0,
            to: 5_000.0,
            ..Axis::powers("evaluations of the model", 0, 1, 1)
        },
        Axis::powers("true error of the map: Σ|score − truth| / Σ|truth|", -6, 1, 1),
    );
    plot.line(&[(14.0, 0.01), (5_000.0, 0.01)], "#57606a", "5 4");
    for style in STYLES {
        let count = if style.colour == GREEN {
            tolerances.len()
        } else {
            counts.len()
        };
        let points = curve(count);
        plot.line(&points, style.colour, "");
        plot.dots(&points, style.colour, 3.2, 1.0);
    }
    plot.text((4_800.0, 0.0112), "end", "#57606a", "1%");
    plot.legend((24.0, 270.0), &STYLES);
    picture(
        850.0,
        430.0,
        "True error of a map against the evaluations that it took",
        &[plot],
    )
}

/// Stated against true error of all maps by the adaptive rule.
pub fn honesty(all: &[Case]) -> String {
    let styles = Family::ALL.into_iter().zip([BLUE, RED, GREEN]);
    let styles: Vec<(Family, Style)> = styles
        .map(|(family, colour)| {
            (
                family,
                Style {
                    colour,
                    name: family.name(),
                },
            )
        })
        .collect();
    let (low, high) = (-7, 0);
    let mut plot = Plot::new(
        [80.0, 20.0, 520.0, 520.0],
        Axis::powers("stated error of the map", low, high, 1),
        Axis::powers("true error of the map", low, high, 1),
    );
    let ends = [10f64.powi(low), 10f64.powi(high)];
    plot.line(&[(ends[0], ends[0]), (ends[1], ends[1])], "#57606a", "5 4");
    for &(family, style) in &styles {
        let cases = all.iter().filter(|case| case.family == family);
        let points: Vec<(f64, f64)> = cases
            .flat_map(|case| {
                case.adaptive
                    .iter()
                    .map(move |(_, map)| (map.error_estimate().unwrap(), case.error(map)))
            })
            .collect();
        plot.dots(&points, style.colour, 2.6, 0.5);
    }
    plot.text((2e-7, 0.5), "start", "#57606a", "above the line: worse than stated");
    let named: Vec<Style> = styles.into_iter().map(|(_, style)| style).collect();
    plot.legend((24.0, 56.0), &named);
    picture(630.0, 590.0, "True error against stated error, one dot a map", &[plot])
}
