//! Verdicts over made-up tests.

use super::*;
use crate::render::fixture;
use crate::terms::{
    Bins, Bounds, Cascaded, Controls, Interval, Normalised, NormalisedNumbers, OtherMap, PositionControl, Shuffled,
    Spread,
};

fn numbers(comprehensiveness: f64, sufficiency: f64) -> TestNumbers {
    TestNumbers {
        comprehensiveness: Some(comprehensiveness),
        sufficiency: Some(sufficiency),
        normalised: Some(NormalisedNumbers {
            comprehensiveness: comprehensiveness / 2.0,
            sufficiency: sufficiency / 2.0,
        }),
        flip: None,
        lds: Some(comprehensiveness),
    }
}

/// A test with this comprehensiveness, and all controls at these.
fn test(map: (f64, f64), shuffled: (f64, f64), [last, first]: [f64; 2], parameters: f64) -> Faithfulness {
    let spread = |value: f64| Spread::over(&[value - 0.1, value + 0.1]);
    let own = numbers(map.0, map.1);
    let normalised = own.normalised.unwrap();
    let interval = Interval { low: 0.0, high: 2.0 };
    Faithfulness {
        replacement: Baseline::Mean,
        own_baseline: false,
        units: UnitKind::Word,
        count: 12,
        failed: None,
        order: (0..12).collect(),
        curves: None,
        bins: Bins::Each,
        comprehensiveness: own.comprehensiveness,
        sufficiency: own.sufficiency,
        normalised: Some(Normalised {
            comprehensiveness: normalised.comprehensiveness,
            sufficiency: normalised.sufficiency,
            bounds: Bounds {
                comprehensiveness: interval,
                sufficiency: interval,
                exact: false,
            },
            beam: 5,
        }),
        flip: Some(3),
        lds: own.lds,
        controls: Controls {
            shuffled: Some(Shuffled {
                count: 20,
                beaten: 20,
                comprehensiveness: spread(shuffled.0),
                sufficiency: spread(shuffled.1),
                normalised: None,
                flip: None,
                lds: spread(shuffled.0),
            }),
            position: Some(PositionControl {
                last_first: numbers(last, 0.5),
                first_first: numbers(first, 0.5),
            }),
            parameters: Some(OtherMap {
                numbers: numbers(parameters, 0.5),
                spearman: Some(0.13),
                scores: vec![],
            }),
            cascading: None,
            option: None,
        },
        seed: 0,
        evaluations: 1,
    }
}

/// The records of a model whose first maps have the tests that are made for each sample.
fn records(count: usize, make: impl Fn(usize) -> Vec<Faithfulness>) -> Vec<SampleRecord> {
    let mut records = fixture::records("tiny", count);
    for (sample, record) in records.iter_mut().enumerate() {
        record.attributions[0].faithfulness = make(sample);
    }
    records
}

fn wave(sample: usize) -> f64 {
    (sample % 5) as f64 / 10.0 - 0.2
}

#[test]
fn maps_that_beat_every_control_are_said_to() {
    let found = tested(&records(20, |sample| {
        vec![test((0.5 + wave(sample), 0.1), (0.2, 0.4), [0.1, 0.15], 0.0)]
    }));
    let [maps] = found.as_slice() else {
        panic!("one group is tested")
    };
    assert_eq!(
        (maps.samples, maps.failed, maps.standing),
        (20, 0, Some(Standing::Better))
    );
    let mean = maps.comprehensiveness.unwrap();
    assert!((mean.mean - 0.5).abs() < 1e-12 && mean.of == 20);
    assert!((maps.normalised.unwrap().comprehensiveness.mean - 0.25).abs() < 1e-12);
    assert_eq!((maps.flips, maps.median_flip), (Share { count: 20, of: 20 }, Some(3.0)));
    assert_eq!(maps.controls.len(), 4);
    assert!((maps.controls[0].comprehensiveness.unwrap().difference.mean - 0.3).abs() < 1e-12);
    // Less is better of what is kept alone: 0.4 of shuffled maps, 0.1 of these.
    assert!((maps.controls[0].sufficiency.unwrap().difference.mean - 0.3).abs() < 1e-12);
    assert_eq!(
        maps.verdict,
        "These maps beat shuffled ones on 20 of 20 samples; difference 0.30, 95% interval 0.24 to 0.37. They also beat \
         position (last word first) on 20 of 20, position (first word first) on 20 of 20 and maps of the model with \
         permuted parameters on 20 of 20. Their |scores| correlate by 0.13 with those of the model with permuted \
         parameters."
    );
    assert_eq!(
        tested(&records(20, |_| vec![])),
        [],
        "what is not tested has no numbers"
    );
}

#[test]
fn samples_with_one_unit_are_no_ties() {
    let single = |sample: usize| Faithfulness {
        count: 1,
        order: vec![0],
        ..test((0.5 + wave(sample), 0.1), (0.5 + wave(sample), 0.1), [0.5, 0.5], 0.5)
    };
    let found = tested(&records(20, |sample| {
        vec![match sample {
            0..8 => single(sample),
            _ => test((0.5 + wave(sample), 0.1), (0.2, 0.4), [0.1, 0.15], 0.0),
        }]
    }));
    let maps = &found[0];
    assert_eq!((maps.samples, maps.standing), (20, Some(Standing::Better)));
    let beats = maps.controls[0].comprehensiveness.unwrap().beats;
    assert_eq!(beats, Share { count: 12, of: 12 });
    let said = "On 8 of 20 samples there is one word to remove, so that every map and every control do the same";
    assert!(maps.verdict.contains(said), "{}", maps.verdict);
    // Nothing else: then nobody beats anybody.
    let found = tested(&records(20, |sample| vec![single(sample)]));
    assert_eq!((found[0].controls.len(), found[0].standing), (0, None));
    assert!(found[0].verdict.starts_with("On 20 of 20"), "{}", found[0].verdict);
}

#[test]
fn what_is_left_as_layers_are_permuted_is_a_mean_for_each() {
    let found = tested(&records(4, |sample| {
        let mut one = test((0.5, 0.1), (0.2, 0.4), [0.1, 0.1], 0.0);
        let stage = |layers, spearman| Cascaded { layers, spearman };
        // The second stage of the first sample says nothing.
        let second = (sample > 0).then_some(0.25);
        one.controls.cascading = Some(vec![stage(1, Some(0.5 + 0.1 * sample as f64)), stage(2, second)]);
        vec![one]
    }));
    let [first, second] = found[0].cascading[..] else {
        panic!("two stages")
    };
    assert_eq!(
        (first.layers, first.spearman.of, second.layers, second.spearman.of),
        (1, 4, 2, 3)
    );
    assert!((first.spearman.mean - 0.65).abs() < 1e-12 && (second.spearman.mean - 0.25).abs() < 1e-12);
    let said = "With the parameters of the last 1 and 2 layers permuted, the |scores| of the model correlate with theirs by \
                0.65 and 0.25.";
    assert!(found[0].verdict.contains(said), "{}", found[0].verdict);
}

#[test]
fn maps_that_lose_by_the_normalised_number_lose() {
    let found = tested(&records(20, |sample| {
        let mut one = test((0.5 + wave(sample), 0.1), (0.2, 0.4), [0.1, 0.1], 0.0);
        // Ahead in the output's unit, behind as a share of what any order could reach.
        let position = one.controls.position.as_mut().expect("position is a control");
        position.last_first.normalised = Some(NormalisedNumbers {
            comprehensiveness: 0.9 + wave(sample),
            sufficiency: 0.1,
        });
        vec![one]
    }));
    assert_eq!(found[0].standing, Some(Standing::Worse));
    let said = "Normalised, they lose to position (last word first).";
    assert!(found[0].verdict.contains(said), "{}", found[0].verdict);
}

#[test]
fn maps_that_lose_to_a_control_are_said_to_lose() {
    let found = tested(&records(20, |sample| {
        vec![test((0.5 + wave(sample), 0.7), (0.2, 0.4), [0.9, 0.5], 0.0)]
    }));
    let maps = &found[0];
    assert_eq!(maps.standing, Some(Standing::Worse));
    let expected = "These maps lose to position (last word first): ahead on 0 of 20 samples; difference −0.40, 95% interval \
                    −0.47 to −0.33. No better than position (first word first): ahead on 8 of 20 samples; difference 0.00, \
                    95% interval −0.06 to 0.07. These maps beat shuffled ones on 20 of 20 samples; difference 0.30, 95% \
                    interval 0.24 to 0.37.";
    assert!(maps.verdict.starts_with(expected), "{}", maps.verdict);
    // By what is kept alone they lose to shuffled maps as well.
    let kept = "What they hold to be most relevant, kept alone, loses to shuffled ones (ahead on 0 of 20 samples), \
                position (first word first) (ahead on 0 of 20 samples) and maps of the model with permuted parameters \
                (ahead on 0 of 20 samples).";
    assert!(maps.verdict.contains(kept), "{}", maps.verdict);
}

#[test]
fn few_samples_failures_and_a_maps_own_baseline_are_said() {
    let mut failed = test((0.5, 0.1), (0.2, 0.4), [0.1, 0.1], 0.0);
    failed.failed = Some("F is NaN".to_owned());
    (
        failed.comprehensiveness,
        failed.sufficiency,
        failed.normalised,
        failed.lds,
    ) = (None, None, None, None);
    failed.controls = Controls::default();
    let found = tested(&records(4, |sample| match sample {
        0 => vec![failed.clone()],
        _ => vec![Faithfulness {
            replacement: Baseline::Zero,
            own_baseline: true,
            ..test((0.5, 0.1), (0.2, 0.4), [0.1, 0.1], 0.0)
        }],
    }));
    // Two replacements: of one the only test failed, the other is what the maps start from.
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].samples, found[0].failed, found[0].standing), (0, 1, None));
    assert_eq!(
        found[0].verdict,
        "No map was tested. The test failed on 1 of 1 samples, where F or the map is not finite."
    );
    assert_eq!((found[1].samples, found[1].standing), (3, Some(Standing::TooFew)));
    assert!(found[1].own_baseline);
    let verdict = &found[1].verdict;
    assert!(
        verdict.starts_with("Too few samples to tell these maps from shuffled ones: ahead on 3 of 3; difference 0.30."),
        "{verdict}"
    );
    assert!(
        verdict
            .ends_with("What is removed becomes `zero`, which these maps compare the input with: that favours them."),
        "{verdict}"
    );
}

#[test]
fn the_same_records_give_the_same_verdict() {
    let make = || {
        records(30, |sample| {
            vec![test((0.3 + wave(sample * 7), 0.1), (0.2, 0.4), [0.3, 0.1], 0.0)]
        })
    };
    assert_eq!(tested(&make()), tested(&make()));
}
