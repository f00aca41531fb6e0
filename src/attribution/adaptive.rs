//! Adaptive ∫₀¹ S(α) dα of the scores of all tokens at once, with an error for each. Pure numbers, no model: it says
//! which α it wants, is fed the values, and says again.
//!
//! **Variable.** On a path from the zero embedding every RMSNorm turns the signal on at a scale of α of its own, as
//! α²/(α² + c) does, down to 1e-7 and, through several layers, far below. In ln α each such step has the same width
//! (its poles lie at ±iπ/2), so the integral is taken in u = ln α, of α·S(α). Other paths have no such end: there u =
//! α.
//!
//! **Rule.** The integrand is known at nodes, finer where it has to be. Between two neighbours it is replaced by the
//! polynomial through the 8 nearest nodes, four on either side where there are as many, and that is integrated exactly.
//! All values serve all intervals around them, none is thrown away, and one more value halves an interval. Where the
//! nodes are even the weights are those of the trapezoid rule, which converges exponentially for such features
//! (Trefethen and Weideman, SIAM Review 56, 2014).
//!
//! **Error.** Of an interval and token: the difference to the same through the 6 nearest nodes. That alone cannot see
//! what lies between the nodes, but the model can: the scores of an interval sum to exactly F(b) − F(a), and F is known
//! at every node. So the true error of the *sum* is known in each interval. An error of the sum stands for a larger one
//! of the map, since scores of both signs cancel; how much larger is measured: R = Σ|difference| over tokens and
//! intervals / Σ|sum of the differences| over intervals. The error of an interval is the larger of its difference and R
//! times the true error of its sum, errors add up over the intervals without cancelling, and no other factor is
//! applied.
//!
//! **Jumps.** In a mixture of experts F jumps where the choice changes. Nodes say what was chosen; where two neighbours
//! that are near enough differ, F changes by a jump between them, which is told apart and not chased, and no polynomial
//! goes across.
//!
//! **Rounds.** Each round halves the intervals with the largest errors, until those left alone hold 30% of the error or
//! half of what is allowed (marking after Dörfler, SIAM J. Numer. Anal. 33, 1996), at least 16 of them so that a pass
//! is full.
//!
//! **Where it ends.** A path can be entered at an α above 0, `start`; the integral is then that from there on. From 0
//! it never asks for α = 0 itself, where a zero embedding has slopes of 1/√eps. On a singular start [0, a] up to the first
//! node a counts a·S(a), with all of that as its error (or R times that of its sum, F(a) − F(0), if that is more), so
//! that a is driven towards 0 until nothing can hide there.

use std::cmp::Ordering;
use std::ops::Range;

/// Nodes of the polynomial that is integrated.
const POINTS: usize = 8;
/// Nodes of the polynomial that it is compared with.
const FEWER_POINTS: usize = 6;
/// Fewest evaluations of a round after the first, so that a pass over the model is full.
const ROUND: usize = 16;
/// Share of the error that a round goes for.
const MARKED: f64 = 0.7;
/// Share of the allowed error at which a round has marked enough.
const GOAL: f64 = 0.5;
/// First nodes of a smooth start: multiples of 1/16.
const SMOOTH_NODES: usize = 16;
/// And below them 1/64, 1/256, 1/1024: a baseline can be all but zero, as the mean embedding of a large vocabulary.
const NEAR_START: i32 = 3;
/// First nodes of a singular start: ln α = −16, −15, …, 0. What one RMSNorm does is two or three of these wide.
const FIRST_LOG: i32 = -16;
/// Below them wider gaps, ln α = −40, −36, …, −20: the effect of several layers can lie down there, beyond an interval
/// in which nothing changes.
const DEEP_LOG: i32 = -40;
/// The width of those gaps.
const DEEP_GAP: usize = 4;
/// Nodes, one unit of ln α apart, by which a singular start grows towards 0 at a time.
const GROWTH: usize = 4;
/// The lowest ln α of a singular start: α = 1.6e-28 still leaves a float32 embedding of 1e-9 a normal number.
pub const LOWEST_LOG: f64 = -64.0;
/// What lies below that, in multiples of all that is allowed, ends the search: Σ|score| may still grow by refinement.
const OUT_OF_REACH: f64 = 2.0;
/// Where the choice of experts changes, F jumps, and no integral has that. In an interval with another choice at either
/// end that is this short in α, what F changes by beyond the integral is the jump.
const JUMP: f64 = 1.0 / 256.0;
/// The same in ln α.
const JUMP_LOG: f64 = 1.0 / 16.0;
/// Such an interval is halved as long as S differs at its ends by more than the map's error allows, down to this share
/// of its length.
const SHORTEST_JUMP: f64 = 1.0 / 64.0;
/// And below this ln α the beginning of a singular start.
const JUMP_HEAD: f64 = FIRST_LOG as f64;
/// Shortest interval to be halved, in α or ln α: its ends still differ in float32.
const SHORTEST: f64 = 1e-5;
/// From this many evaluations on, twice as many have to halve the part of the error above the tolerance. A rule of this
/// order does far better unless only the rounding of the values is left.
const STAGNATION: usize = 512;
/// Rounding errors of two outputs, three typical ones each, are taken off what a sum seems to be wrong by. Of intervals
/// that are longer than 10⁻⁴ of the path, or of a unit of ln α, those of float32 are less than 0.4% of the integral.
const ROUNDING_ERRORS: f64 = 6.0;
/// F(1) − F(0) can be zero; delta is then held against this share of Σ|score|.
const DELTA_FLOOR: f64 = 0.01;

/// The settings of a computation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Largest relative error: of the map, Σ error / Σ|score|, and of the sum, |delta| / |F(1) − F(0)|.
    pub tolerance: f64,
    /// Most evaluations. At least one is made.
    pub max_evaluations: usize,
    /// Whether the path begins at the zero vector, so that S has features on a logarithmic scale of α.
    pub singular_start: bool,
    /// α where the integral begins, F being `f_baseline` there: 0, or where a path is entered.
    pub start: f64,
    /// Typical rounding error of an output, in F's units, which a check of sums must not count as an error of the
    /// integral. In half precision the checks see little but rounding without it.
    pub output_rounding: f64,
    /// Unit roundoff of the numbers that the model computes with, 2⁻²⁴ in float32. An input that is off by this share
    /// of itself changes F by as much as this share of Σ|S|, which is the rounding error of F where F is steep, and
    /// counts as that of an output does.
    pub unit_roundoff: f64,
}

/// The integrand at one α.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// F(α), in F's units.
    pub output: f64,
    /// S(α), a token each, in F's units: Σ scores = dF/dα.
    pub scores: Vec<f64>,
    /// What F depends on in steps, such as the choice of experts, a number each; the same length at every α, or empty.
    pub routes: Vec<u32>,
}

/// The integral as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// ∫₀¹ S(α) dα, a token each, in F's units.
    pub scores: Vec<f64>,
    /// Absolute error, a token each, in F's units. Σ errors / Σ|scores| is the error of the map.
    pub errors: Vec<f64>,
    /// Values that went into it.
    pub evaluations: usize,
    /// Whether both the errors and delta are within the tolerance.
    pub converged: bool,
}

/// Where the integral stood after a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// Values so far, all rounds together.
    pub evaluations: usize,
    /// Σ errors / Σ|scores|; infinite if only the latter is 0.
    pub error: f64,
    /// Σ scores − (F(1) − F(0)), in F's units.
    pub delta: f64,
}

/// The integrand at a node, in the variable of integration u.
struct Node {
    u: f64,
    output: f64,
    /// S · dα/du, a token each.
    density: Vec<f64>,
    /// Σ|density|
    size: f64,
    routes: Vec<u32>,
}

/// An integral on its way. Feed it the values of what it wants until it wants nothing.
///
/// It keeps every value, evaluations × tokens numbers: a node's weight changes whenever a neighbour arrives.
pub struct Integrator {
    tokens: usize,
    f_baseline: f64,
    f_input: f64,
    options: Options,
    /// In rising order of u.
    nodes: Vec<Node>,
    /// u of the values that are wanted, and their α.
    wanted_u: Vec<f64>,
    wanted: Vec<f64>,
    estimate: Estimate,
    history: Vec<Round>,
    /// [`Value::routes`] where the integral begins.
    first_routes: Vec<u32>,
    /// Changes of them between neighbouring nodes, and the jumps of F there.
    jumps: (usize, f64),
}

impl Options {
    /// The first nodes, in rising order of u; the last is α = 1.
    fn first(&self) -> Vec<f64> {
        let even = (1..=SMOOTH_NODES).map(|i| i as f64 / SMOOTH_NODES as f64);
        if !self.singular_start {
            let near = (1..=NEAR_START).rev().map(|k| 0.25f64.powi(k) / SMOOTH_NODES as f64);
            let into = |share: f64| self.start + share * (1.0 - self.start);
            return near.chain(even).map(into).collect();
        }
        let deep = (DEEP_LOG..FIRST_LOG).step_by(DEEP_GAP);
        let all = deep.chain(FIRST_LOG..=0).map(f64::from);
        if self.start == 0.0 {
            return all.collect();
        }
        // A path that is entered has a node where it is: S is as wide awake there as anywhere.
        let from = self.start.ln();
        let within: Vec<f64> = all.filter(|u| *u > from).collect();
        if within.len() < SMOOTH_NODES {
            [from]
                .into_iter()
                .chain(even.map(|share| from * (1.0 - share)))
                .collect()
        } else {
            [from].into_iter().chain(within).collect()
        }
    }

    /// u where the integral begins; none where that is infinitely far.
    fn begin(&self) -> Option<f64> {
        match (self.singular_start, self.start) {
            (true, 0.0) => None,
            (true, start) => Some(start.ln()),
            (false, start) => Some(start),
        }
    }
}

impl Integrator {
    /// The integral of a path with the outputs `f_baseline` where it is entered (at its start, unless the options say
    /// otherwise) and `f_input` at α = 1.
    pub fn new(tokens: usize, f_baseline: f64, f_input: f64, options: Options) -> Self {
        let all = options.first();
        // Too few for all of them: evenly spread ones, the last of which is α = 1.
        let count = options.max_evaluations.clamp(1, all.len());
        let first = (1..=count).map(|i| all[i * all.len() / count - 1]).collect();
        let mut integrator = Self {
            tokens,
            f_baseline,
            f_input,
            options,
            nodes: Vec::new(),
            wanted_u: Vec::new(),
            wanted: Vec::new(),
            estimate: Estimate {
                scores: vec![0.0; tokens],
                errors: vec![f64::INFINITY; tokens],
                evaluations: 0,
                converged: false,
            },
            history: Vec::new(),
            first_routes: Vec::new(),
            jumps: (0, 0.0),
        };
        integrator.want(first);
        integrator
    }

    /// With [`Value::routes`] where it begins.
    pub fn with_routes(mut self, first: Vec<u32>) -> Self {
        self.first_routes = first;
        self
    }

    /// How often routes differ between neighbouring nodes, and the sum of F's jumps there, in F's units.
    pub fn jumps(&self) -> (usize, f64) {
        self.jumps
    }

    /// The α whose values are wanted now, in rising order, all in (0, 1]; empty when done.
    pub fn wanted(&self) -> &[f64] {
        &self.wanted
    }

    /// Takes the values at all of [`wanted`](Self::wanted), in its order, and continues with the next round.
    ///
    /// # Panics
    /// If there are more or fewer values than wanted, or scores than tokens.
    pub fn feed(&mut self, values: Vec<Value>) {
        assert_eq!(values.len(), self.wanted.len(), "a value for each α that is wanted");
        for ((&u, &alpha), value) in self.wanted_u.iter().zip(&self.wanted).zip(values) {
            assert_eq!(value.scores.len(), self.tokens, "a score for each token");
            let mut density = value.scores;
            if self.options.singular_start {
                density.iter_mut().for_each(|score| *score *= alpha);
            }
            self.nodes.push(Node {
                u,
                output: value.output,
                size: density.iter().map(|score| score.abs()).sum(),
                density,
                routes: value.routes,
            });
        }
        self.nodes.sort_by(|a, b| a.u.total_cmp(&b.u));
        let next = self.round();
        self.want(next);
    }

    /// The integral as known after the last round; before the first, zeros with infinite errors.
    pub fn result(&self) -> Estimate {
        self.estimate.clone()
    }

    /// ∫ S dα from where the integral begins up to `alpha`, a token each, by the polynomials of the last round.
    pub fn up_to(&self, alpha: f64) -> Vec<f64> {
        let us: Vec<f64> = self.nodes.iter().map(|node| node.u).collect();
        let mut sum = vec![0.0; self.tokens];
        let Some(&first) = us.first() else { return sum };
        let to = if self.options.singular_start { alpha.ln() } else { alpha };
        let pieces = self.pieces();
        let mut from = match self.options.begin() {
            Some(begin) => begin,
            None => {
                // Below the first node S counts as what it is there.
                add(&mut sum, (to - first).exp().min(1.0), &self.nodes[0].density);
                first
            }
        };
        for (end, &u) in us.iter().enumerate() {
            if to <= from {
                break;
            }
            let around = around(&pieces, end);
            let points = POINTS.min(around.len());
            add(
                &mut sum,
                1.0,
                &self.integrate(&us, end, (from, u.min(to)), (&around, points)),
            );
            from = u;
        }
        sum
    }

    /// Whether no more of the map than the tolerance lies below the first of the first nodes. Where more does, the model
    /// goes on changing towards zero, and that it seems to be at rest at the lowest node may be chance: there are quiet
    /// stretches between what one norm does and the next.
    pub fn begins_quietly(&self) -> bool {
        let size = |scores: &[f64]| scores.iter().map(|score| score.abs()).sum::<f64>();
        let deep = self.up_to(f64::from(DEEP_LOG).exp());
        self.options.begin().is_some()
            || !self.options.singular_start
            || size(&deep) <= self.options.tolerance * size(&self.estimate.scores)
    }

    /// One entry a round.
    pub fn history(&self) -> &[Round] {
        &self.history
    }

    fn want(&mut self, mut places: Vec<f64>) {
        places.sort_by(f64::total_cmp);
        self.wanted = if self.options.singular_start {
            places.iter().map(|u| u.exp()).collect()
        } else {
            places.clone()
        };
        self.wanted_u = places;
    }

    /// Integrates over the nodes, and says where the next ones have to be.
    fn round(&mut self) -> Vec<f64> {
        let intervals = self.intervals();
        let mut scores = vec![0.0; self.tokens];
        for interval in &intervals {
            add(&mut scores, 1.0, &interval.integral);
        }
        let errors = self.errors(&intervals, &scores);

        let magnitude: f64 = scores.iter().map(|score| score.abs()).sum();
        let error: f64 = errors.iter().sum();
        let delta = scores.iter().sum::<f64>() - (self.f_input - self.f_baseline);
        self.jumps = (
            intervals.iter().map(|interval| interval.changes).sum(),
            // Not `sum`, whose nothing is −0.
            intervals
                .iter()
                .filter_map(|interval| interval.jump)
                .fold(0.0, |sum, jump| sum + jump),
        );
        // What the integral itself is wrong by.
        let own_delta = delta + self.jumps.1;
        let allowed = self.options.tolerance * magnitude;
        let allowed_delta =
            self.options.tolerance * (self.f_input - self.f_baseline).abs().max(DELTA_FLOOR * magnitude);
        let (map_is_good, sum_is_good) = (error <= allowed, own_delta.abs() <= allowed_delta);
        let evaluations = self.nodes.len();
        self.history.push(Round {
            evaluations,
            error: if error == 0.0 { 0.0 } else { error / magnitude },
            delta,
        });
        self.estimate = Estimate {
            scores,
            errors,
            evaluations,
            converged: map_is_good && sum_is_good,
        };

        let left = self.options.max_evaluations.saturating_sub(evaluations);
        // A value that is no number will not become one by looking closer.
        if self.estimate.converged
            || left == 0
            || !(error + delta).is_finite()
            || self.is_out_of_reach(&intervals, allowed, allowed_delta)
            || self.stagnates(map_is_good, sum_is_good)
        {
            return Vec::new();
        }
        let mut next = if map_is_good {
            self.mark(&intervals, |interval| interval.sum_error, 0.0)
        } else {
            let spread = spread(&intervals);
            self.mark(&intervals, |interval| interval.error(spread), GOAL * allowed)
        };
        next.truncate(left);
        next
    }

    /// All of the path: first the interval from its beginning to the first node, then those between neighbours.
    fn intervals(&self) -> Vec<Interval> {
        let us: Vec<f64> = self.nodes.iter().map(|node| node.u).collect();
        let pieces = self.pieces();
        (0..us.len())
            .map(|end| {
                let begin = self.options.begin();
                let (integral, difference) = if end == 0 && begin.is_none() {
                    // ∫₀ᵃ S dα as a·S(a), the density in ln α. The behaviour of S towards 0 is unknown, so all of it is
                    // the error.
                    let head = self.nodes[0].density.clone();
                    (head.clone(), head)
                } else {
                    let from = if end == 0 { begin.unwrap_or(us[0]) } else { us[end - 1] };
                    let around = around(&pieces, end);
                    let points = POINTS.min(around.len());
                    let fewer = FEWER_POINTS.min(points.saturating_sub(2)).max(1);
                    let integral = self.integrate(&us, end, (from, us[end]), (&around, points));
                    let mut difference = integral.clone();
                    // One node among many that is a piece of its own has nothing to be compared with.
                    if points > 1 || us.len() == 1 {
                        add(
                            &mut difference,
                            -1.0,
                            &self.integrate(&us, end, (from, us[end]), (&around, fewer)),
                        );
                    }
                    (integral, difference)
                };
                let before = if end == 0 {
                    self.f_baseline
                } else {
                    self.nodes[end - 1].output
                };
                let missing = self.nodes[end].output - before - integral.iter().sum::<f64>();
                let routes = if end == 0 {
                    &self.first_routes
                } else {
                    &self.nodes[end - 1].routes
                };
                let changes = routes
                    .iter()
                    .zip(&self.nodes[end].routes)
                    .filter(|(a, b)| a != b)
                    .count();
                let jump = (changes > 0 && self.is_short(end)).then_some(missing);
                let wrong = if jump.is_some() { 0.0 } else { missing.abs() };
                let size = |node: usize| self.nodes[node].size;
                let steepness = end.checked_sub(1).map_or(0.0, size).midpoint(size(end));
                let of_a_node = self.options.output_rounding + self.options.unit_roundoff * steepness;
                let rounding = ROUNDING_ERRORS * of_a_node;
                // A NaN has to stay one, which max would not let it.
                let sum_error = if wrong < rounding { 0.0 } else { wrong - rounding };
                Interval {
                    difference_of_sum: difference.iter().sum::<f64>().abs(),
                    magnitude: difference.iter().map(|d| d.abs()).sum(),
                    integral,
                    difference,
                    sum_error,
                    changes,
                    jump,
                }
            })
            .collect()
    }

    /// For each node, those among which S is smooth as far as is known: a piece ends where F jumps.
    fn pieces(&self) -> Vec<Range<usize>> {
        let jumps_before = |end: usize| self.is_short(end) && self.nodes[end - 1].routes != self.nodes[end].routes;
        let count = self.nodes.len();
        let mut pieces = Vec::with_capacity(count);
        for end in 1..=count {
            if end == count || jumps_before(end) {
                let from = pieces.len();
                pieces.extend(std::iter::repeat_n(from..end, end - from));
            }
        }
        pieces
    }

    /// Whether the interval that ends at a node is so short that a change of routes in it counts as a jump.
    fn is_short(&self, end: usize) -> bool {
        let u = self.nodes[end].u;
        match (end.checked_sub(1), self.options.begin()) {
            (Some(before), _) => u - self.nodes[before].u <= self.jump(),
            (None, Some(begin)) => u - begin <= self.jump(),
            (None, None) => u < JUMP_HEAD,
        }
    }

    /// The longest interval, in u, in which a change of routes is left alone.
    fn jump(&self) -> f64 {
        if self.options.singular_start { JUMP_LOG } else { JUMP }
    }

    /// ∫ of the polynomial through the `points` nodes around the interval that ends at node `end`, over all or a part
    /// of it.
    fn integrate(
        &self,
        us: &[f64],
        end: usize,
        (from, to): (f64, f64),
        (around, points): (&Range<usize>, usize),
    ) -> Vec<f64> {
        let first = end.saturating_sub(points / 2).clamp(around.start, around.end - points);
        let weights = weights(&us[first..first + points], from, to);
        let mut integral = vec![0.0; self.tokens];
        for (weight, node) in weights.iter().zip(&self.nodes[first..]) {
            add(&mut integral, *weight, &node.density);
        }
        integral
    }

    /// The error of each token, over all intervals.
    fn errors(&self, intervals: &[Interval], scores: &[f64]) -> Vec<f64> {
        let spread = spread(intervals);
        let mut errors = vec![0.0; self.tokens];
        for interval in intervals {
            let error = interval.error(spread);
            if interval.magnitude > 0.0 {
                let scale = error / interval.magnitude;
                for (sum, difference) in errors.iter_mut().zip(&interval.difference) {
                    *sum += scale * difference.abs();
                }
            } else {
                let share = error / self.tokens as f64;
                errors.iter_mut().for_each(|sum| *sum += share);
            }
        }
        if self.nodes.len() < POINTS {
            // Two rules of a few points can agree by chance.
            for (error, score) in errors.iter_mut().zip(scores) {
                *error = error.max(score.abs());
            }
        }
        errors
    }

    /// Whether what lies below the lowest α that is looked at keeps the map from its tolerance, whatever else is done:
    /// a deep model whose output goes on changing towards the zero vector.
    fn is_out_of_reach(&self, intervals: &[Interval], allowed: f64, allowed_delta: f64) -> bool {
        let at_the_end = self.options.begin().is_none() && self.nodes[0].u <= LOWEST_LOG;
        let below = &intervals[0];
        at_the_end
            && (below.error(spread(intervals)) > OUT_OF_REACH * allowed
                || below.sum_error > OUT_OF_REACH * allowed_delta)
    }

    /// Whether half of the evaluations had got about as far, so that the rest would chase the rounding of the values.
    fn stagnates(&self, map_is_good: bool, sum_is_good: bool) -> bool {
        let (now, before) = self.history.split_last().expect("called after a round");
        let half: Vec<_> = before
            .iter()
            .filter(|round| 2 * round.evaluations <= now.evaluations)
            .collect();
        let stands = |now: f64, of: fn(&Round) -> f64| {
            let best = half.iter().map(|round| of(round)).fold(f64::INFINITY, f64::min);
            now > 0.5 * best
        };
        now.evaluations >= STAGNATION
            && (map_is_good || stands(now.error, |round| round.error))
            && (sum_is_good || stands(now.delta.abs(), |round| round.delta.abs()))
    }

    /// New nodes in the intervals of the largest errors, those first, until what is left alone is at most `enough` or
    /// its share.
    fn mark(&self, intervals: &[Interval], error: impl Fn(&Interval) -> f64, enough: f64) -> Vec<f64> {
        let mut order: Vec<(usize, f64)> = intervals.iter().map(error).enumerate().collect();
        order.retain(|&(end, _)| {
            let is_long = end > 0 && self.nodes[end].u - self.nodes[end - 1].u > SHORTEST_JUMP * self.jump();
            intervals[end].jump.is_none() || is_long
        });
        let mut rest: f64 = order.iter().map(|(_, error)| error).sum();
        let leave = ((1.0 - MARKED) * rest).max(enough);
        order.sort_by(|(i, a), (j, b)| b.partial_cmp(a).unwrap_or(Ordering::Equal).then(i.cmp(j)));
        let mut places = Vec::new();
        for (end, error) in order {
            if rest <= leave && places.len() >= ROUND {
                break;
            }
            let u = self.nodes[end].u;
            let begin = self.options.begin();
            if end == 0 && begin.is_none() {
                if u <= LOWEST_LOG {
                    continue;
                }
                places.extend((1..=GROWTH).map(|i| u - i as f64));
            } else {
                let before = if end == 0 { begin } else { Some(self.nodes[end - 1].u) };
                let from = before.unwrap_or(u);
                if u - from <= SHORTEST {
                    continue;
                }
                places.push((from + u) / 2.0);
            }
            rest -= error;
        }
        places
    }
}

/// The nodes whose polynomial stands for S in the interval that ends at a node: those of its piece, or both its ends
/// where F jumps between them.
fn around(pieces: &[Range<usize>], end: usize) -> Range<usize> {
    let piece = &pieces[end];
    if end > 0 && piece.start == end {
        end - 1..end + 1
    } else {
        piece.clone()
    }
}

/// What is known of the path between two neighbouring nodes, or before the first.
struct Interval {
    /// ∫ S dα, a token each.
    integral: Vec<f64>,
    /// What it differs by from the rule of fewer points, a token each.
    difference: Vec<f64>,
    /// Σ|difference| and |Σ difference| over tokens.
    magnitude: f64,
    difference_of_sum: f64,
    /// The true error of Σ integral, which is F(b) − F(a); 0 where F jumps.
    sum_error: f64,
    /// Differences of routes at its ends.
    changes: usize,
    /// What F jumps by, where that is told apart from an error.
    jump: Option<f64>,
}

impl Interval {
    fn error(&self, spread: f64) -> f64 {
        self.magnitude.max(spread * self.sum_error)
    }
}

/// R: how many times the error of the map is larger than that of its sum, by the differences that are seen.
fn spread(intervals: &[Interval]) -> f64 {
    let map: f64 = intervals.iter().map(|interval| interval.magnitude).sum();
    let sum: f64 = intervals.iter().map(|interval| interval.difference_of_sum).sum();
    if sum > 0.0 { (map / sum).max(1.0) } else { 1.0 }
}

/// Weights of the values at `nodes` in ∫ₐᵇ of the polynomial through them: each Lagrange polynomial integrated by the
/// Gauss–Legendre rule of 4 points (Abramowitz and Stegun, table 25.4), which is exact up to degree 7.
fn weights(nodes: &[f64], a: f64, b: f64) -> Vec<f64> {
    let root = (6.0f64 / 5.0).sqrt();
    let (inner, outer) = (
        (3.0 / 7.0 - 2.0 / 7.0 * root).sqrt(),
        (3.0 / 7.0 + 2.0 / 7.0 * root).sqrt(),
    );
    let share = 30f64.sqrt() / 36.0;
    let gauss = [
        (-outer, 0.5 - share),
        (-inner, 0.5 + share),
        (inner, 0.5 + share),
        (outer, 0.5 - share),
    ];
    let half = (b - a) / 2.0;
    let lagrange = |j: usize, x: f64| {
        let others = nodes.iter().enumerate().filter(|&(k, _)| k != j);
        others.map(|(_, node)| (x - node) / (nodes[j] - node)).product::<f64>()
    };
    (0..nodes.len())
        .map(|j| {
            let at = |(x, weight): &(f64, f64)| weight * half * lagrange(j, a + half * (1.0 + x));
            gauss.iter().map(at).sum()
        })
        .collect()
}

fn add(to: &mut [f64], factor: f64, values: &[f64]) {
    for (to, value) in to.iter_mut().zip(values) {
        *to += factor * value;
    }
}

#[cfg(test)]
mod tests;
