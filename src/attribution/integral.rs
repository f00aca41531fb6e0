//! One path integral while it is computed: which points it needs next, and its estimate from the values so far.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::adaptive::{self, Integrator};
use super::integrated_gradients::{Ends, Value};
use super::methods::{Attribution, Given, InProgress, Method};
use super::quadrature::{self, Point};
use crate::model::experts::Routes;
use crate::terms::{Below, LEVELS, NonFinite, PathValue, Round, Routing, RoutingQuality, Rule};

/// Points that a fixed rule wants at one time: their values are held until all are there.
const AT_ONCE: usize = 1024;

/// A rule made ready: its nodes, or how they are found.
#[derive(Clone, Debug, PartialEq)]
pub enum Nodes {
    /// Points are chosen by the integrand's values.
    Adaptive {
        /// On the error estimate of the map, relative to its L1 norm, and on |delta| / |F(input) − F(baseline)|.
        tolerance: f64,
        /// Where to give up.
        max_evaluations: usize,
    },
    /// Points and weights that are known before.
    Fixed {
        /// The rule.
        points: Arc<[Point]>,
        /// The same rule with half the points; the difference is its error estimate.
        check: Option<Arc<[Point]>>,
    },
}

impl Nodes {
    /// Those of a rule.
    pub fn of(rule: Rule) -> Self {
        match rule {
            Rule::Adaptive {
                tolerance,
                max_evaluations,
            } => Self::Adaptive {
                tolerance,
                max_evaluations,
            },
            Rule::Fixed {
                quadrature,
                steps,
                estimate_error,
            } => Self::Fixed {
                points: quadrature::points(quadrature, steps).into(),
                check: estimate_error.then(|| quadrature::points(quadrature, steps / 2).into()),
            },
        }
    }
}

/// Passes of an adaptive rule, as a first guess.
const ADAPTIVE_GUESS: usize = 200;

/// Integrated Gradients.
impl Method for Nodes {
    fn needs_ends(&self) -> bool {
        true
    }

    fn expected_evaluations(&self) -> usize {
        match self {
            Self::Adaptive { max_evaluations, .. } => (*max_evaluations).min(ADAPTIVE_GUESS),
            Self::Fixed { points, check } => points.len() + check.as_ref().map_or(0, |check| check.len()),
        }
    }

    fn begin(&self, given: Given) -> Box<dyn InProgress> {
        let ends = given.ends.expect("the ends were asked for");
        Box::new(Integral::new(
            self,
            given.tokens,
            ends,
            given.starts_at_zero,
            given.from,
            given.routing,
        ))
    }
}

/// A path integral under way.
pub struct Integral {
    ends: Ends,
    state: State,
    evaluations: usize,
    non_finite: Option<NonFinite>,
    routing: Routing,
}

enum State {
    Adaptive(Box<Integrator>),
    Fixed {
        /// α, weight in the rule, weight in the check.
        points: Vec<(f64, f64, f64)>,
        alphas: Vec<f64>,
        /// How many of them were done.
        done: usize,
        sums: [Vec<f64>; 2],
        /// Points of the check; 0: none.
        check_points: usize,
        /// Where experts are chosen: all points so far.
        seen: Vec<Seen>,
        /// The α at which the path is entered.
        from: f64,
    },
}

/// What a point says of F's jumps.
#[derive(Clone)]
struct Seen {
    alpha: f64,
    output: f64,
    /// dF/dα
    slope: f64,
    routes: Routes,
}

/// Changes of routes between neighbouring points and the ends, and the sum of F's jumps there: what F changes by, less
/// its slope's trapezoid.
fn jumps(seen: &[Seen], ends: &Ends, from: f64) -> (usize, f64) {
    let [at_baseline, at_input] = ends.routes.clone();
    let mut all = seen.to_vec();
    all.sort_by(|a, b| a.alpha.total_cmp(&b.alpha));
    let (Some(first), Some(last)) = (all.first().cloned(), all.last().cloned()) else {
        return (0, 0.0);
    };
    // The slope at an end is not known; that of the nearest point stands for it.
    let end = |alpha, output, slope, routes| Seen {
        alpha,
        output,
        slope,
        routes,
    };
    if first.alpha > from {
        all.insert(0, end(from, ends.baseline, first.slope, at_baseline));
    }
    if last.alpha < 1.0 {
        all.push(end(1.0, ends.input, last.slope, at_input));
    }
    let gap = |pair: &[Seen]| {
        let [a, b] = pair else { unreachable!("windows of two") };
        let changes = a.routes.iter().zip(&b.routes).filter(|(a, b)| a != b).count();
        let jump = b.output - a.output - (b.alpha - a.alpha) * (a.slope + b.slope) / 2.0;
        (changes, if changes > 0 { jump } else { 0.0 })
    };
    all.windows(2)
        .map(gap)
        .fold((0, 0.0), |sum, gap| (sum.0 + gap.0, sum.1 + gap.1))
}

impl Integral {
    /// For a prompt of `tokens` tokens, with F equal to `ends` at the ends. `singular` means that the path begins at
    /// the zero vector, or almost; `from` is the α at which it is entered, 0 if at its beginning.
    pub fn new(rule: &Nodes, tokens: usize, ends: Ends, singular: bool, from: f64, routing: Routing) -> Self {
        let (f_input, f_baseline) = (ends.input, ends.baseline);
        let non_finite = [(f_baseline, from), (f_input, 1.0)]
            .into_iter()
            .find(|(value, _)| !value.is_finite())
            .map(|(_, alpha)| NonFinite {
                alpha,
                what: PathValue::Output,
            });
        let state = match rule {
            &Nodes::Adaptive {
                tolerance,
                max_evaluations,
            } => {
                let options = adaptive::Options {
                    tolerance,
                    max_evaluations,
                    singular_start: singular,
                    start: from,
                    output_rounding: ends.rounding,
                    unit_roundoff: ends.unit_roundoff,
                };
                let integrator = Integrator::new(tokens, f_baseline, f_input, options);
                State::Adaptive(Box::new(integrator.with_routes(ends.routes[0].clone())))
            }
            Nodes::Fixed { points, check } => {
                // A point of both is computed once.
                let mut merged: BTreeMap<u64, (f64, f64, f64)> = BTreeMap::new();
                // The rule of [0, 1] on [from, 1].
                let into = |p: &Point| (from + p.alpha * (1.0 - from), p.weight * (1.0 - from));
                let main = points.iter().map(into).map(|(alpha, weight)| (alpha, weight, 0.0));
                let second = check.iter().flat_map(|check| check.iter());
                let second = second.map(into).map(|(alpha, weight)| (alpha, 0.0, weight));
                for (alpha, weight, check) in main.chain(second) {
                    // Numbers that are not negative sort as their bits do.
                    let entry = merged.entry(alpha.to_bits()).or_insert((alpha, 0.0, 0.0));
                    entry.1 += weight;
                    entry.2 += check;
                }
                let check_points = check.as_ref().map_or(0, |check| check.len());
                let points: Vec<_> = merged.into_values().collect();
                State::Fixed {
                    alphas: points.iter().map(|p| p.0).collect(),
                    points,
                    done: 0,
                    sums: [vec![0.0; tokens], vec![0.0; tokens]],
                    check_points,
                    seen: vec![],
                    from,
                }
            }
        };
        Self {
            ends,
            state,
            evaluations: 0,
            non_finite,
            routing,
        }
    }
}

impl InProgress for Integral {
    fn wanted(&self) -> &[f64] {
        if self.non_finite.is_some() {
            return &[];
        }
        match &self.state {
            State::Adaptive(integrator) => integrator.wanted(),
            State::Fixed { alphas, done, .. } => {
                let left = &alphas[*done..];
                &left[..left.len().min(AT_ONCE)]
            }
        }
    }

    fn feed(&mut self, values: Vec<Value>) {
        let fault = values.iter().zip(self.wanted()).filter_map(|(value, &alpha)| {
            let what = match (value.output.is_finite(), value.scores.iter().all(|s| s.is_finite())) {
                (true, true) => return None,
                (false, _) => PathValue::Output,
                (true, false) => PathValue::Gradient,
            };
            Some((alpha, what))
        });
        if let Some((alpha, what)) = fault.min_by(|a, b| a.0.total_cmp(&b.0)) {
            self.evaluations += values.len();
            self.non_finite = Some(NonFinite { alpha, what });
            return;
        }
        self.evaluations += values.len();
        match &mut self.state {
            State::Adaptive(integrator) => integrator.feed(
                values
                    .into_iter()
                    .map(|value| adaptive::Value {
                        output: value.output,
                        scores: value.scores,
                        routes: value.routes,
                    })
                    .collect(),
            ),
            State::Fixed {
                points,
                done,
                sums,
                seen,
                ..
            } => {
                for (value, &(_, weight, check)) in values.iter().zip(&points[*done..]) {
                    let sums = sums.iter_mut().zip([weight, check]);
                    for (sums, weight) in sums.filter(|(_, weight)| *weight != 0.0) {
                        for (sum, score) in sums.iter_mut().zip(&value.scores) {
                            *sum += weight * score;
                        }
                    }
                }
                let routed = values.iter().zip(&points[*done..]);
                let routed = routed.filter(|(value, _)| !value.routes.is_empty());
                seen.extend(routed.map(|(value, point)| Seen {
                    alpha: point.0,
                    output: value.output,
                    slope: value.scores.iter().sum(),
                    routes: value.routes.clone(),
                }));
                *done += values.len();
            }
        }
    }

    fn finish(self: Box<Self>, seconds: f64) -> Attribution {
        let (f_input, f_baseline) = (self.ends.input, self.ends.baseline);
        let mut result = Attribution {
            scores: vec![],
            errors: None,
            unit_scores: None,
            unit_errors: None,
            f_input,
            f_baseline: Some(f_baseline),
            f_zero: self.ends.zero,
            below: vec![],
            evaluations: self.evaluations,
            converged: None,
            history: vec![],
            non_finite: self.non_finite,
            routing: None,
            seconds,
        };
        if !self.ends.routes[1].is_empty() && self.non_finite.is_none() {
            let (changes, residual) = match &self.state {
                State::Adaptive(integrator) => integrator.jumps(),
                State::Fixed { seen, from, .. } => jumps(seen, &self.ends, *from),
            };
            result.routing = Some(RoutingQuality {
                routing: self.routing,
                changes,
                residual,
            });
        }
        match self.state {
            State::Adaptive(integrator) => {
                let estimate = integrator.result();
                result.converged =
                    Some(estimate.converged && integrator.begins_quietly() && result.non_finite.is_none());
                if result.non_finite.is_none() {
                    let size = |scores: &[f64]| scores.iter().map(|score| score.abs()).sum::<f64>();
                    let share = |alpha: f64| size(&integrator.up_to(alpha)) / size(&estimate.scores);
                    result.below = below(&self.ends, |alpha| Some(share(alpha)).filter(|share| share.is_finite()));
                    result.scores = estimate.scores;
                    result.errors = Some(estimate.errors);
                    let round = |round: &adaptive::Round| Round {
                        evaluations: round.evaluations,
                        error_estimate: Some(round.error).filter(|error| error.is_finite()),
                        convergence_delta: round.delta,
                    };
                    result.history = integrator.history().iter().map(round).collect();
                }
            }
            State::Fixed { sums, check_points, .. } => {
                let [scores, check] = sums;
                if result.non_finite.is_none() {
                    // Its few points down there, if any, say nothing of the map's share; F does of its sum.
                    result.below = below(&self.ends, |_| None);
                    let delta = |scores: &[f64]| scores.iter().sum::<f64>() - (f_input - f_baseline);
                    if check_points > 0 {
                        let errors = scores.iter().zip(&check).map(|(a, b)| (a - b).abs());
                        result.errors = Some(errors.collect());
                    }
                    let (half, full) = (delta(&check), delta(&scores));
                    result.scores = scores;
                    if check_points > 0 {
                        let round = |evaluations, error_estimate, convergence_delta| Round {
                            evaluations,
                            error_estimate,
                            convergence_delta,
                        };
                        result.history.push(round(check_points, None, half));
                        result
                            .history
                            .push(round(result.evaluations, result.error_estimate(), full));
                    }
                }
            }
        }
        result
    }
}

/// What lies below each level at which F was read.
fn below(ends: &Ends, share: impl Fn(f64) -> Option<f64>) -> Vec<Below> {
    let read = LEVELS.into_iter().zip(ends.levels);
    read.filter_map(|(alpha, output)| {
        let change = output? - ends.baseline;
        Some(Below {
            alpha,
            share: share(alpha),
            change: Some(change).filter(|change| change.is_finite()),
        })
    })
    .collect()
}
