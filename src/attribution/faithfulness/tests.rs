//! Against definitions written out, all permutations, and models whose truth is known.

use proptest::prelude::*;

use super::*;
use crate::random;

/// F as a function of the mask, with a record of what was asked.
struct Planted<F> {
    units: usize,
    f: F,
    /// The answer is 1 where F is above this, else 0; none: always 0.
    threshold: Option<f64>,
    batches: Vec<usize>,
    asked: Vec<Vec<bool>>,
}

impl<F: Fn(&[bool]) -> f64> Planted<F> {
    fn new(units: usize, f: F) -> Self {
        Self {
            units,
            f,
            threshold: None,
            batches: vec![],
            asked: vec![],
        }
    }

    fn answering(self, threshold: f64) -> Self {
        Self {
            threshold: Some(threshold),
            ..self
        }
    }

    fn test(&mut self, scores: &[f64]) -> Faithfulness {
        test(self, &map(scores), &Settings::default()).expect("F is finite")
    }
}

impl<F: Fn(&[bool]) -> f64> Removal for Planted<F> {
    fn units(&self) -> usize {
        self.units
    }

    fn values(&mut self, masks: &[Vec<bool>]) -> Result<Vec<f64>> {
        self.batches.push(masks.len());
        self.asked.extend(masks.iter().cloned());
        Ok(masks.iter().map(|mask| (self.f)(mask)).collect())
    }

    fn answers(&mut self, masks: &[Vec<bool>]) -> Result<Vec<u32>> {
        assert!(masks.iter().all(|mask| self.asked.contains(mask)), "F comes first");
        let is_one = |mask: &Vec<bool>| self.threshold.is_some_and(|threshold| (self.f)(mask) > threshold);
        Ok(masks.iter().map(|mask| u32::from(is_one(mask))).collect())
    }
}

fn map(scores: &[f64]) -> Tested<'_> {
    Tested {
        replacement: Baseline::Mean,
        units: UnitKind::Word,
        scores,
        shuffled: true,
        position: true,
        parameters: None,
        cascading: None,
        option: None,
    }
}

/// F = Σ of the weights of what is kept.
fn linear(weights: &[f64]) -> impl Fn(&[bool]) -> f64 {
    let weights = weights.to_vec();
    move |mask| {
        let kept = weights.iter().zip(mask).filter(|(_, removed)| !**removed);
        kept.map(|(weight, _)| weight).sum()
    }
}

/// Some F in which units act on each other, drawn anew for each seed.
fn tangled(units: usize, seed: u64) -> impl Fn(&[bool]) -> f64 {
    let mut random = SplitMix64::new(seed);
    let mut draw = move || random.next_u64() as f64 / 2f64.powi(63) - 1.0;
    let single: Vec<f64> = (0..units).map(|_| draw()).collect();
    let pairs: Vec<Vec<f64>> = (0..units).map(|_| (0..units).map(|_| draw()).collect()).collect();
    move |mask| {
        let kept = |unit: usize| f64::from(u8::from(!mask[unit]));
        let mut sum = 0.0;
        for i in 0..units {
            sum += single[i] * kept(i);
            for (j, pair) in pairs[i].iter().enumerate().take(i) {
                sum += pair * kept(i) * kept(j);
            }
        }
        1.0 / (1.0 + (-sum).exp())
    }
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

#[test]
fn erasers_definition_by_hand() {
    // DeYoung and others 2020, equations 1 and 2, over k = 1, 2, 3. The map says: unit 2, then 0, then 1.
    // F by what is kept (units 0, 1, 2): all 0.9; without 2: 0.5; without 2 and 0: 0.4; nothing: 0.1;
    // only 2: 0.6; only 2 and 0: 0.8.
    let f = |mask: &[bool]| match mask {
        [false, false, false] => 0.9,
        [false, false, true] => 0.5,
        [true, false, true] => 0.4,
        [true, true, true] => 0.1,
        [true, true, false] => 0.6,
        [false, true, false] => 0.8,
        [false, true, true] => 0.3,
        [true, false, false] => 0.7,
        _ => unreachable!(),
    };
    let found = Planted::new(3, f).answering(0.45).test(&[0.2, -0.3, 0.7]);
    assert_eq!(found.order, [2, 0, 1]);
    // (0.4 + 0.5 + 0.8) / 3, and (0.3 + 0.1 + 0) / 3.
    close(found.comprehensiveness.unwrap(), 1.7 / 3.0);
    close(found.sufficiency.unwrap(), 0.4 / 3.0);
    let third = 1.0 / 3.0;
    let curves = found.curves.as_ref().unwrap();
    assert_eq!(curves.morf, [(0.0, 0.9), (third, 0.5), (2.0 / 3.0, 0.4), (1.0, 0.1)]);
    assert_eq!(curves.lerf, [(0.0, 0.9), (third, 0.8), (2.0 / 3.0, 0.6), (1.0, 0.1)]);
    assert_eq!(curves.keep, [(0.0, 0.1), (third, 0.6), (2.0 / 3.0, 0.8), (1.0, 0.9)]);
    // F falls below 0.45 when units 2 and 0 are gone.
    assert_eq!((found.flip, found.flipping()), (Some(2), Some(&[2, 0][..])));
}

#[test]
fn the_true_map_of_a_linear_model_is_as_good_as_a_map_can_be() {
    let weights = [0.5, -0.25, 3.0, 0.0625, -1.0, 0.75, 1.5, -0.125, 0.03125, 2.0];
    let mut planted = Planted::new(weights.len(), linear(&weights)).answering(2.0);
    let found = planted.test(&weights);
    let normalised = found.normalised.unwrap();
    close(normalised.comprehensiveness, 1.0);
    close(normalised.sufficiency, 0.0);
    assert!(!normalised.bounds.exact, "a beam looked for them");
    assert_eq!(found.lds, Some(1.0));
    // 6.453125 − 3 − 2 is below 2.
    assert_eq!((found.flip, &found.order[..3]), (Some(2), &[2, 9, 6][..]));
    let curves = found.curves.unwrap();
    let sum: f64 = weights.iter().sum();
    assert_eq!(
        curves.morf[..4],
        [(0.0, sum), (0.1, sum - 3.0), (0.2, sum - 5.0), (0.3, sum - 6.5)]
    );
    assert_eq!(curves.lerf[..3], [(0.0, sum), (0.1, sum + 1.0), (0.2, sum + 1.25)]);
    // Each order and the same from its other end: every unit is as often early as late.
    let shuffled = found.controls.shuffled.unwrap();
    assert_eq!((shuffled.count, shuffled.beaten), (20, 20));
    close(shuffled.comprehensiveness.unwrap().mean, sum * 0.55);

    // The map that says the opposite is as bad as a map can be.
    let opposite = Planted::new(weights.len(), linear(&weights)).test(&weights.map(|weight| -weight));
    let normalised = opposite.normalised.unwrap();
    close(normalised.comprehensiveness, 0.0);
    close(normalised.sufficiency, 1.0);
    assert_eq!(
        (opposite.lds, opposite.controls.shuffled.unwrap().beaten),
        (Some(-1.0), 0)
    );
}

/// Each order of 0 … n−1, by Heap's algorithm.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    fn heap(k: usize, order: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        if k <= 1 {
            all.push(order.clone());
            return;
        }
        for i in 0..k {
            heap(k - 1, order, all);
            let other = if k.is_multiple_of(2) { i } else { 0 };
            order.swap(other, k - 1);
        }
    }
    let mut all = vec![];
    heap(n, &mut (0..n).collect(), &mut all);
    all
}

/// Comprehensiveness and sufficiency of an order as their definition has them.
fn defined(f: &dyn Fn(&[bool]) -> f64, order: &[usize]) -> (f64, f64) {
    let n = order.len();
    let input = f(&vec![false; n]);
    let (mut comprehensiveness, mut sufficiency) = (0.0, 0.0);
    for k in 1..=n {
        let top = |unit: usize| order[..k].contains(&unit);
        let without: Vec<bool> = (0..n).map(top).collect();
        let only: Vec<bool> = (0..n).map(|unit| !top(unit)).collect();
        comprehensiveness += input - f(&without);
        sufficiency += input - f(&only);
    }
    (comprehensiveness / n as f64, sufficiency / n as f64)
}

fn range(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    (
        values.clone().fold(f64::INFINITY, f64::min),
        values.fold(f64::NEG_INFINITY, f64::max),
    )
}

#[test]
fn the_bounds_are_those_of_all_permutations() {
    for seed in 0..6 {
        for units in 2..=7 {
            let f = tangled(units, seed);
            let all: Vec<(f64, f64)> = permutations(units).iter().map(|order| defined(&f, order)).collect();
            let scores: Vec<f64> = (0..units).map(|unit| (unit * 7 % 5) as f64).collect();
            let found = Planted::new(units, &f).test(&scores);
            let order = descending(&scores);
            let (comprehensiveness, sufficiency) = defined(&f, &order);
            close(found.comprehensiveness.unwrap(), comprehensiveness);
            close(found.sufficiency.unwrap(), sufficiency);
            let normalised = found.normalised.unwrap();
            assert!(normalised.bounds.exact);
            let (low, high) = range(all.iter().map(|both| both.0));
            close(normalised.bounds.comprehensiveness.low, low);
            close(normalised.bounds.comprehensiveness.high, high);
            close(normalised.comprehensiveness, (comprehensiveness - low) / (high - low));
            let (low, high) = range(all.iter().map(|both| both.1));
            close(normalised.bounds.sufficiency.low, low);
            close(normalised.bounds.sufficiency.high, high);
            close(normalised.sufficiency, (sufficiency - low) / (high - low));
        }
    }
}

fn beam(f: &dyn Fn(&[bool]) -> f64, units: usize, width: usize) -> bounds::Found {
    let mut planted = Planted::new(units, f);
    bounds::search(&mut Values::of(&mut planted), units, width).unwrap()
}

#[test]
fn a_narrow_beam_finds_bounds_within_those_of_all_permutations_and_a_wide_one_finds_them() {
    let units = 7;
    let (mut missed_by_five, mut missed_by_one) = (0.0, 0.0);
    for seed in 0..10 {
        let f = tangled(units, seed);
        let input = f(&[false; 7]);
        let sums = permutations(units)
            .into_iter()
            .map(|order| (input - defined(&f, &order).0) * 7.0);
        let (low, high) = range(sums.collect::<Vec<_>>().into_iter());
        // Of 7 units, 35 sets have the same size.
        let wide = beam(&f, units, 35);
        assert!(wide.exact);
        close(wide.smallest, low);
        close(wide.largest, high);
        let missed = |width: usize| {
            let found = beam(&f, units, width);
            assert!(!found.exact);
            assert!(low - 1e-12 <= found.smallest && found.smallest <= found.largest && found.largest <= high + 1e-12);
            1.0 - (found.largest - found.smallest) / (high - low)
        };
        missed_by_five += missed(5) / 10.0;
        missed_by_one += missed(1) / 10.0;
    }
    assert!(
        missed_by_five < 0.01 && missed_by_five < missed_by_one,
        "{missed_by_five} of the range is missed, {missed_by_one} without a beam"
    );
}

#[test]
fn a_map_that_beats_the_beam_widens_the_bounds() {
    // Units 0 and 1 only act together, against a bait: a search step by step takes the bait.
    let f = |mask: &[bool]| {
        let pair = if mask[0] && mask[1] { 0.0 } else { 1.0 };
        let bait: f64 = (2..12).map(|unit| if mask[unit] { 0.0 } else { 0.01 }).sum();
        pair + bait
    };
    let mut scores = vec![0.1; 12];
    (scores[0], scores[1]) = (1.0, 0.9);
    let settings = Settings {
        beam: 1,
        ..Settings::default()
    };
    let found = test(&mut Planted::new(12, f), &map(&scores), &settings).unwrap();
    let normalised = found.normalised.unwrap();
    assert_eq!(normalised.comprehensiveness, 1.0);
    assert_eq!(
        normalised.bounds.comprehensiveness.high,
        found.comprehensiveness.unwrap()
    );
    assert!(!normalised.bounds.exact);
}

#[test]
fn the_shuffled_control_of_a_constant_map_is_that_map() {
    let found = Planted::new(9, tangled(9, 4)).answering(0.5).test(&[0.25; 9]);
    let shuffled = found.controls.shuffled.unwrap();
    let spread = shuffled.comprehensiveness.unwrap();
    assert_eq!(Some(spread.mean), found.comprehensiveness);
    assert_eq!(
        (spread.deviation, spread.low, spread.high),
        (0.0, spread.mean, spread.mean)
    );
    assert_eq!(shuffled.sufficiency.unwrap().mean, found.sufficiency.unwrap());
    assert_eq!(shuffled.beaten, 0);
    let curves = found.curves.unwrap();
    let values = |curve: &[(f64, f64)]| curve.iter().map(|(_, value)| *value).collect::<Vec<_>>();
    let band = curves.shuffled.unwrap();
    let morf = values(&curves.morf);
    assert_eq!((&band.mean, &band.low, &band.high), (&morf, &morf, &morf));
    assert_eq!(band.keep.mean, values(&curves.keep));
    // So are the controls of position: what all units share says nothing of place.
    let position = found.controls.position.unwrap();
    assert_eq!(position.last_first.comprehensiveness, found.comprehensiveness);
    assert_eq!(position.first_first.flip, found.flip);
}

#[test]
fn positions_are_told_from_the_last_and_from_the_first() {
    // The later a unit, the more it does.
    let weights: Vec<f64> = (0..6).map(f64::from).collect();
    let found = Planted::new(6, linear(&weights))
        .answering(14.5)
        .test(&[3.0, 1.0, 2.0, 5.0, 4.0, 0.0]);
    let position = found.controls.position.unwrap();
    close(position.last_first.normalised.unwrap().comprehensiveness, 1.0);
    close(position.first_first.normalised.unwrap().comprehensiveness, 0.0);
    // 5 goes first; of the other order 0, then 1.
    assert_eq!(
        (position.last_first.flip, position.first_first.flip),
        (Some(1), Some(2))
    );
    assert_eq!(position.last_first.lds, Some(1.0));
    assert!(position.first_first.lds.unwrap() < 0.9);
}

#[test]
fn a_cascade_says_what_is_left_of_the_ranks_layer_by_layer() {
    let weights = [4.0, -3.0, 2.0, 1.0];
    let stages = [
        vec![40.0, 30.0, -20.0, 10.0],
        vec![1.0, 2.0, 3.0, 4.0],
        vec![1.0, f64::NAN, 0.0, 0.0],
        // Not known.
        vec![],
    ];
    let tested = Tested {
        cascading: Some(&stages),
        ..map(&weights)
    };
    let found = test(&mut Planted::new(4, linear(&weights)), &tested, &Settings::default()).unwrap();
    let spearman = [Some(1.0), Some(-1.0), None, None];
    let expected = (1..)
        .zip(spearman)
        .map(|(layers, spearman)| Cascaded { layers, spearman });
    assert_eq!(found.controls.cascading, Some(expected.collect()));
    // It costs no pass.
    let without = test(
        &mut Planted::new(4, linear(&weights)),
        &map(&weights),
        &Settings::default(),
    )
    .unwrap();
    assert_eq!(
        (found.evaluations, without.controls.cascading),
        (without.evaluations, None)
    );
}

#[test]
fn other_maps_are_tested_and_compared_with_the_map() {
    let weights = [4.0, -3.0, 2.0, 1.0];
    let opposite = weights.map(|weight| -weight);
    let (other, broken) = ([1.0, 2.0, 3.0, 4.0], [1.0, f64::NAN, 0.0, 0.0]);
    let both = |parameters, option| Tested {
        shuffled: false,
        position: false,
        parameters: Some(parameters),
        option: Some(option),
        ..map(&weights)
    };
    let run = |tested: &Tested<'_>| {
        test(&mut Planted::new(4, linear(&weights)), tested, &Settings::default())
            .unwrap()
            .controls
    };
    let controls = run(&both(&other[..], &opposite[..]));
    assert_eq!((controls.shuffled, controls.position), (None, None));
    let (parameters, option) = (controls.parameters.unwrap(), controls.option.unwrap());
    // |4|, |−3|, |2|, |1| fall where 1, 2, 3, 4 rise.
    assert_eq!((parameters.spearman, option.spearman), (Some(-1.0), Some(1.0)));
    close(option.numbers.normalised.unwrap().comprehensiveness, 0.0);
    assert_eq!((parameters.scores.as_slice(), option.scores.len()), (&other[..], 0));
    let alone = run(&Tested {
        option: None,
        ..both(&opposite[..], &[])
    });
    let numbers = alone.parameters.unwrap().numbers;
    assert_eq!(
        numbers, option.numbers,
        "the same map has the same numbers in either place"
    );
    let controls = run(&both(&broken[..], &opposite[..]));
    assert_eq!(
        (controls.parameters, controls.option),
        (Some(OtherMap::default()), Some(option))
    );
}

#[test]
fn few_units_have_numbers_or_none_and_never_nan() {
    let none = Planted::new(0, linear(&[])).test(&[]);
    assert_eq!(
        (none.count, none.curves, none.comprehensiveness, none.failed),
        (0, None, None, None)
    );
    assert_eq!((none.evaluations, none.controls), (0, Controls::default()));

    let one = Planted::new(1, linear(&[0.5])).answering(0.25).test(&[2.0]);
    assert_eq!((one.comprehensiveness, one.sufficiency), (Some(0.5), Some(0.0)));
    assert_eq!((one.normalised, one.flip, one.lds), (None, Some(1), Some(1.0)));
    let flat = Planted::new(1, linear(&[0.0])).test(&[0.0]);
    assert_eq!((flat.comprehensiveness, flat.lds), (Some(0.0), None));

    let two = Planted::new(2, linear(&[0.5, 0.25])).test(&[2.0, 1.0]);
    assert_eq!((two.comprehensiveness, two.sufficiency), (Some(0.625), Some(0.125)));
    close(two.normalised.unwrap().comprehensiveness, 1.0);
    for found in [one, flat, two] {
        let json = serde_json::to_value(&found).unwrap();
        // A number that is none is null in JSON.
        assert!(
            json["comprehensiveness"].is_number()
                && json["controls"]["shuffled"]["comprehensiveness"]["mean"].is_number()
        );
    }
}

#[test]
fn what_removal_does_not_move_has_no_proportion() {
    let mut planted = Planted::new(12, |mask: &[bool]| 0.5 + 1e-9 * f64::from(u8::from(mask[3])));
    let found = planted.test(&(0..12).map(f64::from).collect::<Vec<_>>());
    assert_eq!(found.normalised, None);
    assert!(found.controls.shuffled.unwrap().normalised.is_none());
}

#[test]
fn f_that_is_not_finite_fails_the_test_in_words() {
    let f = |mask: &[bool]| {
        if mask.iter().filter(|removed| **removed).count() == 3 {
            f64::NAN
        } else {
            0.5
        }
    };
    let found = Planted::new(5, f).test(&[5.0, 4.0, 3.0, 2.0, 1.0]);
    assert_eq!(found.failed.as_deref(), Some("F is NaN with 3 of 5 words removed"));
    assert_eq!((found.curves, found.comprehensiveness, found.lds), (None, None, None));
    assert_eq!((found.controls, found.order), (Controls::default(), vec![]));
    let found = Planted::new(2, linear(&[1.0, 1.0])).test(&[1.0, f64::INFINITY]);
    assert_eq!(
        found.failed.as_deref(),
        Some("the map has scores that are not finite numbers")
    );
}

#[test]
fn a_map_of_other_units_is_an_error() {
    let error = test(
        &mut Planted::new(3, linear(&[1.0; 3])),
        &map(&[1.0, 2.0]),
        &Settings::default(),
    )
    .unwrap_err();
    assert_eq!(error.message, "a map has 2 scores for 3 units");
}

#[test]
fn masks_are_asked_for_once_and_together() {
    let units = 12;
    let mut planted = Planted::new(units, tangled(units, 1)).answering(0.5);
    let scores: Vec<f64> = (0..units).map(|unit| ((unit * 5) % 12) as f64).collect();
    let found = planted.test(&scores);
    let mut asked = planted.asked.clone();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), planted.asked.len(), "each once");
    assert_eq!(found.evaluations, asked.len());
    // All that is known beforehand, and a step of the search for each unit but the first and those that ask nothing new.
    assert!(planted.batches.len() <= units, "{:?}", planted.batches);
    assert_eq!(planted.batches.iter().sum::<usize>(), found.evaluations);
    // Without the bounds it is one batch.
    let mut planted = Planted::new(units, tangled(units, 1));
    let settings = Settings {
        beam: 0,
        ..Settings::default()
    };
    let found = test(&mut planted, &map(&scores), &settings).unwrap();
    assert_eq!((planted.batches.len(), found.normalised), (1, None));
    // A second map of the same F needs only its own order: the rest is the same.
    let known = planted.asked.clone();
    let other: Vec<f64> = scores.iter().map(|score| (score * 7.0) % 13.0).collect();
    let mut planted = Planted::new(units, tangled(units, 1));
    test(&mut planted, &map(&other), &settings).unwrap();
    let fresh = planted.asked.iter().filter(|mask| !known.contains(mask)).count();
    assert!(fresh <= 2 * (units - 1), "{fresh} new masks");
}

#[test]
fn halves_and_shuffles_are_drawn_as_documented() {
    let plan = Plan::of(
        &map(&[3.0, 1.0, 2.0, 0.5]),
        &Settings {
            seed: 7,
            ..Settings::default()
        },
    );
    let mut random = SplitMix64::new(7);
    let halves: Vec<Mask> = (0..64)
        .map(|_| (0..4).map(|_| random.next_u64() >> 63 == 1).collect())
        .collect();
    assert_eq!(plan.halves, halves);
    assert_eq!(plan.shuffled.len(), 20);
    for pair in plan.shuffled.chunks(2) {
        let mut order: Vec<usize> = (0..4).collect();
        for i in 0..4 {
            order.swap(i, i + random.below(4 - i));
        }
        assert_eq!(pair[0].order, order);
        order.reverse();
        assert_eq!(pair[1].order, order);
    }
    // The generator draws as `random::draw` does.
    assert_eq!(
        shuffles::orders(10, 1, &mut SplitMix64::new(7))[0],
        random::draw(&(0..10).collect::<Vec<_>>(), 10, 7)
    );
}

proptest! {
    #[test]
    fn controls_and_map_lie_within_the_bounds_and_nothing_is_nan(
        units in 1usize..11,
        seed in 0u64..1000,
        values in proptest::collection::vec(-2i8..3, 11),
    ) {
        // Small whole numbers, so that there are ties.
        let scores: Vec<f64> = values[..units].iter().map(|value| f64::from(*value)).collect();
        let mut planted = Planted::new(units, tangled(units, seed)).answering(0.5);
        let found = planted.test(&scores);
        let (comprehensiveness, sufficiency) = defined(&tangled(units, seed), &found.order);
        prop_assert!((found.comprehensiveness.unwrap() - comprehensiveness).abs() < 1e-12);
        prop_assert!((found.sufficiency.unwrap() - sufficiency).abs() < 1e-12);
        let shuffled = found.controls.shuffled.as_ref().unwrap();
        if let Some(normalised) = &found.normalised {
            let spread = shuffled.normalised.unwrap();
            for value in [
                normalised.comprehensiveness, normalised.sufficiency,
                spread.comprehensiveness.low, spread.comprehensiveness.high,
                spread.sufficiency.low, spread.sufficiency.high,
            ] {
                prop_assert!((0.0..=1.0).contains(&value), "{}", value);
            }
        }
        // NaN becomes null, which reads back as no number where there must be one.
        let json = serde_json::to_string(&found).unwrap();
        prop_assert_eq!(serde_json::from_str::<Faithfulness>(&json).unwrap(), found);
    }
}
