//! Against scikit-learn, and against all ways to deal scores out.

use super::*;
use crate::content::units::Units;
use crate::render::fixture::Fixture;
use crate::terms::{Baseline, Bins, Controls, Faithfulness, OtherMap, Segment, TestNumbers};

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

fn right(places: &[usize], count: usize) -> Vec<bool> {
    (0..count).map(|word| places.contains(&word)).collect()
}

#[test]
fn average_precision_is_that_of_scikit_learn() {
    // python3 -c "from sklearn.metrics import average_precision_score as ap
    // print([ap(y, s) for y, s in (([1,0,0,1,0,1],[.9,.8,.7,.6,.5,.4]), ([0,1,0,1,0,0,1,0],[3,3,2,2,2,1,0,0]), ([0,0,1,0],[1,1,1,1]))])"
    // with scikit-learn 1.9.1.
    for (places, scores, expected) in [
        (&[0, 3, 5][..], &[0.9, 0.8, 0.7, 0.6, 0.5, 0.4][..], 0.6666666666666667),
        (
            &[1, 3, 6],
            &[3.0, 3.0, 2.0, 2.0, 2.0, 1.0, 0.0, 0.0],
            0.42499999999999993,
        ),
        (&[2], &[1.0; 4], 0.25),
    ] {
        let right = right(places, scores.len());
        close(Finding::of(scores, &right).unwrap().average_precision, expected);
        // The sign says nothing of the place.
        let signed: Vec<f64> = scores
            .iter()
            .enumerate()
            .map(|(i, s)| if i % 2 == 0 { *s } else { -s })
            .collect();
        assert_eq!(Finding::of(&signed, &right), Finding::of(scores, &right));
    }
}

#[test]
fn the_strongest_k_and_the_strongest_one_share_what_ties() {
    let scores = [3.0, -3.0, 2.0, 2.0, 2.0, 1.0];
    // Of two right words, one ties for the two first places; both places are taken by the tie.
    let found = Finding::of(&scores, &right(&[1, 4], 6)).unwrap();
    assert_eq!((found.among_strongest, found.strongest), (0.5, 0.5));
    // Of three, one is among the first two; one place is left for three words of which one is right.
    let found = Finding::of(&scores, &right(&[0, 3, 5], 6)).unwrap();
    close(found.among_strongest, (1.0 + 1.0 / 3.0) / 3.0);
    assert_eq!(Finding::of(&scores, &right(&[], 6)), None);
    assert_eq!(Finding::of(&[2.0, 1.0], &right(&[0], 2)).unwrap().strongest, 1.0);
}

/// The mean of a number over all ways to deal these scores out.
fn over_all(scores: &[f64], right: &[bool]) -> [f64; 3] {
    fn visit(rest: &mut Vec<f64>, dealt: &mut Vec<f64>, right: &[bool], sums: &mut [f64; 3], ways: &mut f64) {
        if rest.is_empty() {
            let found = Finding::of(dealt, right).unwrap();
            for (sum, number) in sums
                .iter_mut()
                .zip([found.average_precision, found.among_strongest, found.strongest])
            {
                *sum += number;
            }
            *ways += 1.0;
        }
        for place in 0..rest.len() {
            let score = rest.remove(place);
            dealt.push(score);
            visit(rest, dealt, right, sums, ways);
            dealt.pop();
            rest.insert(place, score);
        }
    }
    let (mut sums, mut ways) = ([0.0; 3], 0.0);
    visit(&mut scores.to_vec(), &mut vec![], right, &mut sums, &mut ways);
    sums.map(|sum| sum / ways)
}

#[test]
fn what_shuffled_maps_reach_is_the_mean_over_all_of_them() {
    let scores = [
        vec![6.0, 5.0, 4.0, 3.0, 2.0, 1.0],
        vec![3.0, -3.0, 2.0, 2.0, 0.0, 0.0],
        vec![1.0; 6],
        vec![2.0],
        vec![0.0, 7.0],
    ];
    for scores in scores {
        for wanted in 1..=scores.len() {
            let right = right(&(0..wanted).collect::<Vec<_>>(), scores.len());
            let expected = Finding::expected(&scores, &right).unwrap();
            let [precision, among, strongest] = over_all(&scores, &right);
            close(expected.average_precision, precision);
            close(expected.among_strongest, among);
            close(expected.strongest, strongest);
        }
    }
    // The shuffled control of a constant map is that map.
    let (constant, right) = ([0.5; 7], right(&[1, 5], 7));
    assert_eq!(
        Finding::expected(&constant, &right).unwrap().average_precision,
        2.0 / 7.0
    );
    assert_eq!(Finding::of(&constant, &right).unwrap().average_precision, 2.0 / 7.0);
}

/// The demo's experiment with a cause in segments of its own: the first four words of the claim are expected, and the
/// maps have −1 there, `rest` on the rest of the claim, and 3 on the instruction.
fn planted(rest: f64) -> Fixture {
    let mut fixture = Fixture::demo();
    let experiment = &mut fixture.project.experiments[0];
    experiment.expected = vec!["cause".to_owned()];
    let split = |segments: &mut Vec<Segment>, prompt: &str| {
        let place = segments.iter().position(|segment| segment.name == "claim").unwrap();
        let claim = segments[place].clone();
        let text: Vec<char> = prompt.chars().collect();
        let mut blanks = (claim.start..claim.end).filter(|at| text[*at] == ' ');
        let cut = blanks.nth(3).unwrap();
        segments[place] = Segment {
            name: "cause".to_owned(),
            end: cut,
            ..claim
        };
        let rest = Segment {
            name: "rest".to_owned(),
            start: cut,
            ..claim
        };
        segments.insert(place + 1, rest);
    };
    for sample in &mut experiment.samples {
        split(&mut sample.prompt.segments, &sample.prompt.text);
    }
    for record in fixture.records[0].iter_mut().flatten() {
        split(&mut record.segments, &record.prompt);
        for map in &mut record.attributions {
            for (score, token) in map.scores.iter_mut().zip(&record.tokens) {
                let units = Units::of(&record.prompt, &record.segments);
                let word = units.assign(&record.prompt, std::slice::from_ref(token))[0];
                *score = match word.map(|word| units.segments[units.segment_of_word(word)].name.as_str()) {
                    Some("cause") => -1.0,
                    Some("rest") => rest,
                    Some("instruction") => 3.0,
                    _ => 0.0,
                };
            }
        }
    }
    fixture
}

#[test]
fn maps_that_find_the_cause_are_told_from_those_that_do_not() {
    let fixture = planted(0.0);
    let found = found_causes(&fixture.project.experiments[0], &fixture.records[0][0]);
    assert_eq!(found.len(), 2, "a group for each of two targets");
    let maps = &found[0];
    assert_eq!(maps.samples, 6);
    close(maps.average_precision.mean, 1.0);
    close(maps.among_strongest.mean, 1.0);
    assert_eq!(maps.strongest, Share { count: 6, of: 6 });
    assert_eq!(
        maps.strongest_of_prompt,
        Share { count: 0, of: 6 },
        "the instruction is stronger"
    );
    // The expected words are the first of the claim: no map can beat that order.
    let standings: Vec<(ControlMap, Standing)> = maps
        .controls
        .iter()
        .map(|control| (control.control, control.ahead.standing()))
        .collect();
    assert_eq!(
        standings,
        [
            (ControlMap::Shuffled, Standing::Better),
            (ControlMap::LastFirst, Standing::Better),
            (ControlMap::FirstFirst, Standing::NoBetter)
        ]
    );
    assert_eq!(maps.standing, Some(Standing::NoBetter));
    let expected = "The strongest word is an expected one on 6 of 6 samples; average precision 1.00, 95% interval 1.00 to \
                    1.00. No better than position (first word first): ahead on 0 of 6 samples; difference 0.00, 95% \
                    interval 0.00 to 0.00. These maps beat shuffled ones on 6 of 6 samples; difference 0.";
    assert!(maps.verdict.starts_with(expected), "{}", maps.verdict);

    // All weight on what is not expected.
    let fixture = planted(20.0);
    let found = found_causes(&fixture.project.experiments[0], &fixture.records[0][0]);
    assert_eq!(
        (found[0].standing, found[0].strongest.count),
        (Some(Standing::Worse), 0)
    );
    let lost = "These maps lose to shuffled ones: ahead on 0 of 6 samples; difference −0.";
    assert!(found[0].verdict.contains(lost), "{}", found[0].verdict);

    let mut fixture = planted(0.0);
    fixture.project.experiments[0].expected.clear();
    assert_eq!(
        found_causes(&fixture.project.experiments[0], &fixture.records[0][0]),
        []
    );
}

#[test]
fn the_permuted_model_stands_beside_where_its_map_is_known() {
    let mut fixture = planted(0.0);
    let experiment = &fixture.project.experiments[0];
    let record = &mut fixture.records[0][0][0];
    let subject = subject_segments(experiment);
    assert_eq!(subject, ["cause", "rest"]);
    let words = SharedWords::of(&experiment.samples[0].prompt, experiment.prompt_style, record);
    let units = words.within(&subject).iter().filter(|within| **within).count();
    record.attributions[0].faithfulness = vec![Faithfulness {
        replacement: Baseline::Mean,
        own_baseline: false,
        units: UnitKind::Word,
        count: units,
        failed: None,
        order: (0..units).collect(),
        curves: None,
        bins: Bins::Each,
        comprehensiveness: None,
        sufficiency: None,
        normalised: None,
        flip: None,
        lds: None,
        controls: Controls {
            parameters: Some(OtherMap {
                numbers: TestNumbers::default(),
                spearman: None,
                // The fourth word, then all others.
                scores: (0..units).map(|unit| if unit == 3 { 2.0 } else { 1.0 }).collect(),
            }),
            ..Controls::default()
        },
        seed: 0,
        evaluations: 0,
    }];
    let found = found_causes(experiment, &fixture.records[0][0]);
    let parameters = found[0].controls.last().unwrap();
    assert_eq!(
        (parameters.control, parameters.average_precision.of),
        (ControlMap::Parameters, 1)
    );
    // Four words are right: the first that is found is, and the three others come with all the rest.
    close(parameters.average_precision.mean, 0.25 + 0.75 * 4.0 / units as f64);
    assert_eq!(
        (parameters.strongest.mean, parameters.ahead.standing()),
        (1.0, Standing::TooFew)
    );
}
