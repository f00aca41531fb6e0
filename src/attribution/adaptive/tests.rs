//! The adaptive rule on integrands whose integrals are known.

use super::*;

/// A share of F at α, and its derivative.
type Token = Box<dyn Fn(f64) -> (f64, f64)>;

/// A path whose integral is known: each token's share of F is given as a function of α.
struct Path {
    /// A token each.
    tokens: Vec<Token>,
    singular_start: bool,
}

impl Path {
    fn value(&self, alpha: f64) -> Value {
        let both: Vec<(f64, f64)> = self.tokens.iter().map(|token| token(alpha)).collect();
        Value {
            output: both.iter().map(|(share, _)| share).sum(),
            scores: both.iter().map(|(_, slope)| *slope).collect(),
            routes: vec![],
        }
    }

    fn truth(&self) -> Vec<f64> {
        self.tokens.iter().map(|token| token(1.0).0 - token(0.0).0).collect()
    }

    fn start(&self, tolerance: f64, max_evaluations: usize) -> Integrator {
        self.start_rounded(tolerance, max_evaluations, 0.0)
    }

    fn start_rounded(&self, tolerance: f64, max_evaluations: usize, output_rounding: f64) -> Integrator {
        self.start_with(Options {
            tolerance,
            max_evaluations,
            singular_start: self.singular_start,
            start: 0.0,
            output_rounding,
            unit_roundoff: 0.0,
        })
    }

    fn start_with(&self, options: Options) -> Integrator {
        let f = |alpha: f64| self.tokens.iter().map(|token| token(alpha).0).sum();
        Integrator::new(self.tokens.len(), f(options.start), f(1.0), options)
    }

    /// The integral of a path that is entered at `start`.
    fn entered(&self, start: f64, tolerance: f64) -> Integrator {
        let options = Options {
            tolerance,
            max_evaluations: 4000,
            singular_start: self.singular_start,
            start,
            output_rounding: 0.0,
            unit_roundoff: 0.0,
        };
        self.finish(self.start_with(options), 4000, |_| ())
    }

    /// All rounds, each value passed through `noise`.
    fn run(&self, tolerance: f64, max_evaluations: usize, noise: impl FnMut(&mut Value)) -> Integrator {
        self.finish(self.start(tolerance, max_evaluations), max_evaluations, noise)
    }

    fn finish(
        &self,
        mut integrator: Integrator,
        max_evaluations: usize,
        mut noise: impl FnMut(&mut Value),
    ) -> Integrator {
        while !integrator.wanted().is_empty() {
            assert!(integrator.wanted().iter().all(|&alpha| alpha > 0.0 && alpha <= 1.0));
            let values = integrator.wanted().iter().map(|&alpha| {
                let mut value = self.value(alpha);
                noise(&mut value);
                value
            });
            let values = values.collect();
            integrator.feed(values);
            assert!(integrator.result().evaluations <= max_evaluations.max(1));
        }
        integrator
    }

    fn exact(&self, tolerance: f64, max_evaluations: usize) -> Estimate {
        self.run(tolerance, max_evaluations, |_| ()).result()
    }

    /// The true error of the map, and what it is said to be, both in F's units.
    fn errors(&self, estimate: &Estimate) -> (f64, f64) {
        let wrong = estimate
            .scores
            .iter()
            .zip(self.truth())
            .map(|(score, truth)| (score - truth).abs());
        (wrong.sum(), estimate.errors.iter().sum())
    }
}

fn path(singular_start: bool, tokens: Vec<Token>) -> Path {
    Path { tokens, singular_start }
}

/// Evenly distributed on [0, 1): Knuth's MMIX generator, its upper bits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn within(&mut self, a: f64, b: f64) -> f64 {
        a + (b - a) * self.next()
    }
}

/// α²/(α² + s²): an RMSNorm that turns on at the scale s.
fn feature(height: f64, scale: f64, alpha: f64) -> (f64, f64) {
    let (square, sum) = (alpha * alpha, alpha * alpha + scale * scale);
    (
        height * square / sum,
        height * 2.0 * alpha * scale * scale / (sum * sum),
    )
}

/// A logistic step at `at` of the width `width`.
fn step(height: f64, at: f64, width: f64, alpha: f64) -> (f64, f64) {
    let value = 1.0 / (1.0 + ((at - alpha) / width).exp());
    (height * value, height * value * (1.0 - value) / width)
}

/// What a map looks like: scales that all tokens share, at each of which every token rises or falls, some steps, a
/// smooth rest.
fn random_path(random: &mut Random, singular_start: bool) -> Path {
    let features = if singular_start {
        2 + (random.next() * 8.0) as usize
    } else {
        0
    };
    let scales: Vec<f64> = (0..features).map(|_| 10f64.powf(random.within(-7.0, 0.0))).collect();
    let steps: Vec<(f64, f64)> = (0..(random.next() * 3.0) as usize)
        .map(|_| (random.within(0.05, 0.95), 10f64.powf(random.within(-2.5, -0.5))))
        .collect();
    let tokens = 1 + (random.next() * 30.0) as usize;
    path(
        singular_start,
        (0..tokens)
            .map(|_| {
                let mut height = || random.within(-1.0, 1.0) + random.within(-0.2, 0.3);
                let rises: Vec<(f64, f64)> = scales.iter().map(|&scale| (height(), scale)).collect();
                let jumps: Vec<(f64, f64, f64)> = steps.iter().map(|&(at, width)| (height(), at, width)).collect();
                let (slope, wave) = (height(), height());
                Box::new(move |alpha: f64| {
                    let smooth = (
                        slope * alpha + wave * (3.0 * alpha).sin(),
                        slope + 3.0 * wave * (3.0 * alpha).cos(),
                    );
                    let rises = rises.iter().map(|&(height, scale)| feature(height, scale, alpha));
                    let jumps = jumps.iter().map(|&(height, at, width)| step(height, at, width, alpha));
                    rises.chain(jumps).fold(smooth, |(a, b), (c, d)| (a + c, b + d))
                }) as Token
            })
            .collect(),
    )
}

#[test]
fn weights_are_exact_up_to_their_degree_and_no_further() {
    let nodes = [-1.3, -0.4, 0.0, 0.2, 0.3, 0.9, 1.0, 1.7];
    for count in 1..=8 {
        let nodes = &nodes[..count];
        for (a, b) in [(0.0, 0.2), (-2.0, -1.3)] {
            let error = |degree: i32| {
                let rule: f64 = weights(nodes, a, b)
                    .iter()
                    .zip(nodes)
                    .map(|(w, x)| w * x.powi(degree))
                    .sum();
                let power = degree + 1;
                (rule - (f64::powi(b, power) - f64::powi(a, power)) / f64::from(power)).abs()
            };
            for degree in 0..count as i32 {
                assert!(
                    error(degree) < 1e-11,
                    "{count} nodes, degree {degree}: {}",
                    error(degree)
                );
            }
            assert!(error(count as i32) > 1e-11, "{count} nodes");
        }
    }
}

#[test]
fn even_nodes_have_the_weights_of_the_trapezoid_rule() {
    let nodes: Vec<f64> = (0..20).map(|i| 0.5 * f64::from(i)).collect();
    let mut sums = vec![0.0; nodes.len()];
    for end in 4..=16 {
        let first = end - POINTS / 2;
        for (i, weight) in weights(&nodes[first..first + POINTS], nodes[end - 1], nodes[end])
            .iter()
            .enumerate()
        {
            sums[first + i] += weight;
        }
    }
    for sum in &sums[7..=12] {
        assert!((sum - 0.5).abs() < 1e-14, "{sum}");
    }
}

#[test]
fn a_polynomial_is_integrated_exactly_in_one_round() {
    let smooth = path(
        false,
        vec![Box::new(|a| (a.powi(6), 6.0 * a.powi(5))), Box::new(|a| (-a, -1.0))],
    );
    let estimate = smooth.exact(1e-9, 1000);
    assert!(
        estimate.converged && estimate.evaluations == SMOOTH_NODES + 3,
        "{estimate:?}"
    );
    assert!(
        (estimate.scores[0] - 1.0).abs() < 1e-12 && (estimate.scores[1] + 1.0).abs() < 1e-12,
        "{estimate:?}"
    );
}

#[test]
fn known_integrals_come_out_within_the_error_that_is_stated() {
    let known = [
        // Infinite slope at 0.
        path(true, vec![Box::new(|a| (a.sqrt(), 0.5 / a.sqrt()))]),
        path(
            true,
            vec![
                Box::new(|a| (a.powf(0.2), 0.2 * a.powf(-0.8))),
                Box::new(|a| (-0.4 * a, -0.4)),
            ],
        ),
        // Features over many orders of magnitude.
        path(
            true,
            vec![
                Box::new(|a| feature(1.0, 1e-7, a)),
                Box::new(|a| feature(-2.0, 1e-3, a)),
            ],
        ),
        path(
            true,
            vec![
                Box::new(|a| feature(1.0, 1e-13, a)),
                Box::new(|a| feature(-2.0, 0.3, a)),
            ],
        ),
        // A sharp step, with and without a singular start.
        path(
            true,
            vec![
                Box::new(|a| step(1.0, 0.4, 0.003, a)),
                Box::new(|a| feature(0.5, 1e-4, a)),
            ],
        ),
        path(
            false,
            vec![Box::new(|a| step(1.0, 0.4, 0.003, a)), Box::new(|a| (a, 1.0))],
        ),
    ];
    for (i, path) in known.iter().enumerate() {
        for tolerance in [0.05, 0.01, 0.001, 1e-4] {
            let estimate = path.exact(tolerance, 4000);
            let (wrong, stated) = path.errors(&estimate);
            let size: f64 = estimate.scores.iter().map(|score| score.abs()).sum();
            assert!(estimate.converged, "{i} {tolerance}: {wrong} {stated}");
            assert!(
                wrong <= stated && stated <= tolerance * size,
                "{i} {tolerance}: {wrong} {stated} of {size}"
            );
        }
    }
}

#[test]
fn the_stated_error_is_honest() {
    let mut random = Random(20);
    for tolerance in [0.05, 0.01, 0.001] {
        for max_evaluations in [64, 100, 2000] {
            let (mut below, mut within_tenfold) = (0, 0);
            for i in 0..100 {
                let path = random_path(&mut random, i % 4 != 0);
                // As float32 rounds.
                let mut rounding = Random(i);
                let estimate = path
                    .run(tolerance, max_evaluations, |value| {
                        let largest = value.scores.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
                        for score in &mut value.scores {
                            *score += 2e-6 * largest * rounding.within(-1.0, 1.0);
                        }
                        value.output = f64::from(value.output as f32);
                    })
                    .result();
                let (wrong, stated) = path.errors(&estimate);
                below += usize::from(wrong <= stated);
                within_tenfold += usize::from(wrong <= 10.0 * stated);
                assert!(estimate.converged || estimate.evaluations == max_evaluations, "{i}");
            }
            // Some of these paths have steps narrower than the first gaps whose scores cancel: nothing shows those
            // before a node falls on them.
            assert!(below >= 95, "{tolerance} {max_evaluations}: {below} of 100");
            assert!(
                within_tenfold >= 99,
                "{tolerance} {max_evaluations}: {within_tenfold} of 100"
            );
        }
    }
}

#[test]
fn what_hides_between_the_nodes_is_seen_by_the_outputs() {
    // 1/1000 wide, in the middle of the widest gap: no score at any first node shows it.
    let hidden = path(
        false,
        vec![Box::new(|a| step(3.0, 0.46875, 5e-4, a)), Box::new(|a| (a, 1.0))],
    );
    let mut integrator = hidden.start(0.01, 2000);
    let values = integrator.wanted().iter().map(|&alpha| hidden.value(alpha)).collect();
    integrator.feed(values);
    assert!(
        integrator.result().errors.iter().sum::<f64>() > 2.9,
        "{:?}",
        integrator.result()
    );
    assert!(hidden.exact(0.01, 2000).converged);
}

#[test]
fn what_lies_beyond_a_quiet_stretch_is_found() {
    // Its sum is nothing, so that outputs do not show it.
    let deep = path(
        true,
        vec![
            Box::new(|a| (a, 1.0)),
            Box::new(|a| feature(0.3, 1e-12, a)),
            Box::new(|a| feature(-0.3, 1e-12, a)),
        ],
    );
    let estimate = deep.exact(0.01, 2000);
    let (wrong, stated) = deep.errors(&estimate);
    assert!(estimate.converged && wrong <= stated, "{wrong} {stated}");
}

#[test]
fn the_same_integral_twice_is_the_same_to_the_bit() {
    let run = || random_path(&mut Random(3), true).run(0.001, 1000, |_| ());
    let (one, other) = (run(), run());
    assert_eq!(one.result(), other.result());
    assert_eq!(one.history(), other.history());
}

#[test]
fn no_value_is_asked_for_twice_and_rounds_are_full() {
    let path = random_path(&mut Random(5), true);
    let mut integrator = path.start(1e-4, 2000);
    let mut seen = Vec::new();
    while !integrator.wanted().is_empty() {
        assert!(integrator.wanted().len() >= ROUND);
        assert!(integrator.wanted().windows(2).all(|pair| pair[0] < pair[1]));
        seen.extend_from_slice(integrator.wanted());
        let values = integrator.wanted().iter().map(|&alpha| path.value(alpha)).collect();
        integrator.feed(values);
    }
    assert_eq!(integrator.result().evaluations, seen.len());
    seen.sort_by(f64::total_cmp);
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn both_conditions_are_needed_to_stop() {
    // The scores all but cancel: an error of 1% of the map is many times the difference that they have to sum to.
    let cancelling = path(
        true,
        vec![
            Box::new(|a| feature(1.0, 1e-3, a)),
            Box::new(|a| feature(-1.0, 1.3e-3, a)),
            Box::new(|a| (0.02 * a, 0.02)),
        ],
    );
    let integrator = cancelling.run(0.01, 2000, |_| ());
    assert!(integrator.result().converged);
    assert!(integrator.history().last().unwrap().delta.abs() <= 0.01 * 0.02 * 1.01);
    let converged = |round: &Round| round.error <= 0.01 && round.delta.abs() <= 0.01 * 0.02;
    assert_eq!(integrator.history().iter().filter(|round| converged(round)).count(), 1);
}

#[test]
fn no_difference_between_the_ends_is_no_division_by_zero() {
    let back = path(
        true,
        vec![
            Box::new(|a| feature(1.0, 1e-3, a)),
            Box::new(|a| feature(-1.0, 1e-3, a)),
        ],
    );
    let estimate = back.exact(0.01, 2000);
    assert!(estimate.converged && estimate.evaluations < 200, "{estimate:?}");
}

#[test]
fn a_map_of_zeros_is_done_at_once() {
    for singular in [false, true] {
        let estimate = path(singular, vec![Box::new(|_| (0.7, 0.0)), Box::new(|_| (0.1, 0.0))]).exact(0.01, 2000);
        assert!(
            estimate.converged && estimate.scores == [0.0, 0.0] && estimate.errors == [0.0, 0.0],
            "{estimate:?}"
        );
    }
}

#[test]
fn a_few_evaluations_state_a_large_error() {
    let mut random = Random(9);
    for singular in [false, true] {
        for max_evaluations in [0, 1, 2, 5, 7, 10] {
            for _ in 0..20 {
                let path = random_path(&mut random, singular);
                let estimate = path.exact(0.01, max_evaluations);
                let (wrong, stated) = path.errors(&estimate);
                assert_eq!(estimate.evaluations, max_evaluations.max(1));
                assert!(wrong <= 10.0 * stated, "{max_evaluations}: {wrong} {stated}");
                assert!(!estimate.converged || max_evaluations >= POINTS, "{max_evaluations}");
            }
        }
    }
}

#[test]
fn rounding_is_not_chased() {
    let path = random_path(&mut Random(11), true);
    let mut rounding = Random(1);
    let estimate = path
        .run(1e-9, 100_000, |value| {
            value
                .scores
                .iter_mut()
                .for_each(|score| *score *= 1.0 + 1e-6 * rounding.within(-1.0, 1.0));
        })
        .result();
    assert!(
        !estimate.converged && estimate.evaluations < 10_000,
        "{}",
        estimate.evaluations
    );
    let (wrong, stated) = path.errors(&estimate);
    assert!(wrong <= stated, "{wrong} {stated}");
}

#[test]
fn known_rounding_of_outputs_is_not_held_against_the_integral() {
    let path = random_path(&mut Random(11), true);
    let evaluations = |output_rounding| {
        let mut rounding = Random(2);
        let start = path.start_rounded(0.01, 2000, output_rounding);
        let noise = |value: &mut Value| value.output += rounding.within(-2e-3, 2e-3);
        let estimate = path.finish(start, 2000, noise).result();
        let (wrong, stated) = path.errors(&estimate);
        assert!(wrong <= stated, "{wrong} {stated}");
        (estimate.evaluations, estimate.converged)
    };
    let (told, converged) = evaluations(1e-3);
    assert!(converged && told < evaluations(0.0).0, "{told} {:?}", evaluations(0.0));
}

#[test]
fn rounding_of_a_steep_output_is_not_held_against_the_integral() {
    let unit_roundoff = 1e-4;
    let mut fewer = 0;
    for seed in 0..8 {
        let path = random_path(&mut Random(seed), false);
        let evaluations = |told: f64| {
            let mut rounding = Random(seed);
            let start = path.start_with(Options {
                tolerance: 0.01,
                max_evaluations: 2000,
                singular_start: false,
                start: 0.0,
                output_rounding: 0.0,
                unit_roundoff: told,
            });
            let noise = |value: &mut Value| {
                let steepness: f64 = value.scores.iter().map(|score| score.abs()).sum();
                value.output += 4.0 * unit_roundoff * steepness * rounding.within(-1.0, 1.0);
            };
            let estimate = path.finish(start, 2000, noise).result();
            let (wrong, stated) = path.errors(&estimate);
            assert!(wrong <= stated, "{seed}: {wrong} {stated}");
            (estimate.evaluations, estimate.converged)
        };
        let (told, untold) = (evaluations(unit_roundoff), evaluations(0.0));
        assert!(told.1 && told.0 <= untold.0, "{seed}: {told:?} {untold:?}");
        fewer += usize::from(told.0 < untold.0);
    }
    assert!(fewer >= 4, "{fewer} of 8");
}

#[test]
fn what_is_no_number_ends_it() {
    let overflow = path(
        true,
        vec![Box::new(|a| (a, if a < 1e-6 { f64::INFINITY } else { 1.0 }))],
    );
    let estimate = overflow.exact(0.01, 2000);
    assert!(!estimate.converged && estimate.evaluations <= 23, "{estimate:?}");
}

/// Features from 1e-7 to 1, and a slope.
fn over_many_orders(singular: bool) -> Path {
    path(
        singular,
        vec![
            Box::new(|a| feature(1.0, 1e-7, a)),
            Box::new(|a| feature(-2.0, 1e-3, a)),
            Box::new(|a| (feature(0.7, 0.3, a).0 + 0.2 * a, feature(0.7, 0.3, a).1 + 0.2)),
        ],
    )
}

#[test]
fn a_path_that_is_entered_is_integrated_from_there() {
    for (singular, starts) in [
        (true, &[1e-30, 1e-12, 1e-4, 0.01, 0.5, 0.999][..]),
        (false, &[0.2, 0.9]),
    ] {
        let path = over_many_orders(singular);
        for &start in starts {
            for tolerance in [0.01, 1e-5] {
                let integrator = path.entered(start, tolerance);
                let estimate = integrator.result();
                assert!(estimate.converged, "{singular} {start} {tolerance}: {estimate:?}");
                let truth = path.tokens.iter().map(|token| token(1.0).0 - token(start).0);
                let wrong: f64 = estimate.scores.iter().zip(truth).map(|(a, b)| (a - b).abs()).sum();
                let stated: f64 = estimate.errors.iter().sum();
                assert!(
                    wrong <= stated + 1e-12,
                    "{singular} {start} {tolerance}: {wrong} {stated}"
                );
                // No value from before the start.
                let lowest = integrator.nodes[0].u;
                let lowest = if singular { lowest.exp() } else { lowest };
                assert!(lowest >= start * (1.0 - 1e-12), "{lowest} {start}");
            }
        }
    }
}

#[test]
fn the_part_below_an_alpha_is_told_apart() {
    let path = over_many_orders(true);
    for start in [0.0, 1e-10] {
        let integrator = match start {
            0.0 => path.run(1e-5, 4000, |_| ()),
            _ => path.entered(start, 1e-5),
        };
        let scores = integrator.result().scores;
        let size: f64 = scores.iter().map(|score| score.abs()).sum();
        for alpha in [1e-9, 1e-6, 1e-3, 0.37, 1.0] {
            for (token, part) in path.tokens.iter().zip(integrator.up_to(alpha)) {
                let truth = token(alpha).0 - token(start).0;
                assert!((part - truth).abs() < 1e-4 * size, "{start} {alpha}: {part} {truth}");
            }
        }
        for (part, score) in integrator.up_to(1.0).iter().zip(&scores) {
            assert!((part - score).abs() < 1e-12, "{part} {score}");
        }
    }
    let nothing = path.start(0.01, 100).up_to(0.5);
    assert_eq!(nothing, [0.0; 3], "nothing is known before the first round");
}

#[test]
fn what_lies_below_the_lowest_alpha_ends_the_search() {
    // F changes by as much at e⁻⁹⁰ as in all the rest, and goes on as a deep model's does.
    let deep = path(
        true,
        vec![
            Box::new(|a| feature(1.0, 1e-3, a)),
            Box::new(|a| feature(1.0, (-90f64).exp(), a)),
            Box::new(|a| feature(-0.5, 1e-15, a)),
        ],
    );
    let estimate = deep.exact(0.01, 4000);
    let (wrong, stated) = deep.errors(&estimate);
    assert!(
        !estimate.converged && estimate.evaluations < 300,
        "{}",
        estimate.evaluations
    );
    assert!(wrong <= stated && stated > 0.5, "{wrong} {stated}");
    // The same path, entered above that, has an integral.
    let entered = deep.entered(1e-20, 0.01).result();
    assert!(entered.converged && entered.evaluations < 200, "{entered:?}");
}

#[test]
fn a_jump_of_f_is_told_apart_and_not_chased() {
    // Each token's share is smooth but for a step, which no slope shows.
    let steps = [(0.3217, 0.4), (0.7031, -0.15)];
    let jumps: f64 = steps.iter().map(|(_, step)| step).sum();
    for singular in [false, true] {
        let tokens = || -> Vec<Token> {
            vec![
                Box::new(move |a| {
                    let up: f64 = steps.iter().filter(|(at, _)| a >= *at).map(|(_, step)| step).sum();
                    ((2.0 * a).sin() + up, 2.0 * (2.0 * a).cos())
                }),
                Box::new(|a| feature(-0.5, 0.2, a)),
            ]
        };
        let path = path(singular, tokens());
        let routes = |alpha: f64| {
            steps
                .iter()
                .map(|(at, _)| u32::from(alpha >= *at))
                .collect::<Vec<u32>>()
        };
        let run = |routed: bool| {
            let integrator = path.start(0.001, 3000);
            let integrator = if routed {
                integrator.with_routes(routes(0.0))
            } else {
                integrator
            };
            let mut wanted = integrator;
            while !wanted.wanted().is_empty() {
                let alphas = wanted.wanted().to_vec();
                let value = |&alpha: &f64| Value {
                    routes: if routed { routes(alpha) } else { vec![] },
                    ..path.value(alpha)
                };
                wanted.feed(alphas.iter().map(value).collect());
            }
            wanted
        };
        let told = run(true);
        let estimate = told.result();
        let (changes, found) = told.jumps();
        assert!(
            estimate.converged && estimate.evaluations < 120,
            "{singular}: {}",
            estimate.evaluations
        );
        assert_eq!(changes, 2);
        let magnitude: f64 = estimate.scores.iter().map(|score| score.abs()).sum();
        assert!(
            (found - jumps).abs() < 0.002 * magnitude,
            "{singular}: {found} for {jumps}"
        );
        let delta = told.history().last().unwrap().delta;
        assert!((delta + jumps).abs() < 0.002 * magnitude, "{delta}");
        // What does not know of the steps looks for them in vain.
        let blind = run(false).result();
        assert!(
            !blind.converged && blind.evaluations > 2 * estimate.evaluations,
            "{}",
            blind.evaluations
        );
    }
}

#[test]
fn rest_at_the_lowest_node_is_no_proof_where_the_map_lies_deep() {
    // Two features that cancel in F, one pair below e⁻⁴⁰: further down all is quiet, and F is what it is at zero.
    let path = |scale: f64| {
        path(
            true,
            vec![
                Box::new(|a| feature(1.0, 1e-3, a)),
                Box::new(move |a| feature(3.0, scale, a)),
                Box::new(move |a| feature(-3.0, scale, a)),
            ],
        )
    };
    for (scale, quiet) in [((-42f64).exp(), false), (1e-12, true)] {
        let integrator = path(scale).run(0.01, 2000, |_| ());
        assert!(integrator.result().converged, "{scale}");
        assert_eq!(integrator.begins_quietly(), quiet, "{scale}");
    }
    let entered = path((-42f64).exp()).entered(1e-30, 0.01);
    assert!(entered.result().converged && entered.begins_quietly());
}
