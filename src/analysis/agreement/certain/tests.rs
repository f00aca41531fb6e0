//! Numbers worked out by hand, and what must hold of any maps.

use proptest::prelude::*;

use super::super::{self as plain, Scored, agreement};
use super::*;

fn close(found: Option<f64>, expected: f64) {
    let found = found.expect("defined");
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

#[test]
fn only_pairs_that_are_certain_in_both_count() {
    // a: 1 2 3 4, errors 0.4: every pair is certain. b: 1 2 2.5 0 with errors 0.3: 2 and 2.5 cannot be told apart (0.5
    // < 0.6).
    let (a, b) = ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 2.5, 0.0]);
    let found = certain((&a, &[0.4; 4]), (&b, &[0.3; 4]), 2).expect("one length");
    assert_eq!(found.pairs, Share { count: 5, of: 6 });
    // Certain in both: 12 13 concordant, 14 24 34 discordant, 23 is left out.
    assert_eq!(found.discordant, 3);
    close(found.measures.kendall, (2.0 - 3.0) / 5.0);
    // Weights: words 1 and 4 are told from all others in both, words 2 and 3 in b from two of three: 1, 2/3, 2/3, 1.
    // Ranks in a: 1/2, 4/3, 2, 17/6; in b (order 4 1 2 3): 3/2, 7/3, 3, 1/2. Both means are 5/3.
    let weights = [1.0, 2.0 / 3.0, 2.0 / 3.0, 1.0];
    let (x, y) = ([0.5, 4.0 / 3.0, 2.0, 17.0 / 6.0], [1.5, 7.0 / 3.0, 3.0, 0.5]);
    let mean = 5.0 / 3.0;
    let sum = |f: &dyn Fn(usize) -> f64| (0..4).map(|i| weights[i] * f(i)).sum::<f64>();
    let (xy, xx, yy) = (
        sum(&|i| (x[i] - mean) * (y[i] - mean)),
        sum(&|i| (x[i] - mean) * (x[i] - mean)),
        sum(&|i| (y[i] - mean) * (y[i] - mean)),
    );
    close(found.measures.spearman, xy / (xx * yy).sqrt());
}

#[test]
fn noise_is_no_disagreement() {
    // Two words carry the maps in the same order; the rest is noise of opposite order in the two, well within its
    // errors.
    let a: Vec<f64> = [9.0, 5.0]
        .into_iter()
        .chain((0..8).map(|i| 0.01 * f64::from(i)))
        .collect();
    let b: Vec<f64> = [8.0, 4.0]
        .into_iter()
        .chain((0..8).map(|i| -0.01 * f64::from(i)))
        .collect();
    let errors = [0.1; 10];
    let found = certain((&a, &errors), (&b, &errors), 2).expect("one length");
    close(found.measures.kendall, 1.0);
    assert_eq!((found.discordant, found.pairs), (0, Share { count: 17, of: 45 }));
    let weighted = found.measures.spearman.expect("defined");
    let unweighted = plain::spearman(&a, &b).expect("defined");
    assert!(weighted > 0.95 && unweighted < 0.6, "{weighted} {unweighted}");
}

#[test]
fn membership_within_error_of_the_last_counts_for_neither_side() {
    // The strongest two of 5 4 3.9 1: 5 is certain, 4 and 3.9 are within 0.2 of each other, 1 is certainly not.
    let a = [5.0, -4.0, 3.9, 1.0];
    assert_eq!(
        places(&a, &[0.1; 4], 2),
        [Place::Among, Place::Open, Place::Open, Place::Below]
    );
    assert_eq!(
        places(&a, &[0.0; 4], 2),
        [Place::Among, Place::Among, Place::Below, Place::Below]
    );
    assert_eq!(
        places(&[1.0, 1.0, 1.0], &[0.0; 3], 2),
        [Place::Among, Place::Among, Place::Below]
    );
    assert_eq!(places(&[1.0, 2.0], &[9.0; 2], 10), [Place::Among; 2]);
    assert_eq!(places(&[1.0, 2.0], &[0.0; 2], 0), [Place::Below; 2]);
    // In b the first two are certain. Both agree on the first; the second is open in a: one of one.
    let b = [7.0, 6.0, 0.1, 0.2];
    let found = certain((&a, &[0.1; 4]), (&b, &[0.1; 4]), 2).expect("one length");
    assert_eq!((found.both, found.alone), (1, 0));
    close(found.measures.overlap, 1.0);
    // The third is certain in c and certainly not in b, the second the other way round: one of two.
    let c = [5.0, 1.0, 3.9, 1.0];
    let found = certain((&c, &[0.1; 4]), (&b, &[0.1; 4]), 2).expect("one length");
    assert_eq!((found.both, found.alone), (1, 2));
    close(found.measures.overlap, 0.5);
}

#[test]
fn where_nothing_is_certain_nothing_is_said() {
    let found = certain((&[1.0, 2.0, 3.0], &[9.0; 3]), (&[3.0, 1.0, 2.0], &[0.0; 3]), 1).expect("one length");
    assert_eq!(found.measures, Measures::default());
    assert_eq!(found.pairs, Share { count: 0, of: 3 });
    assert_eq!(certain((&[1.0], &[0.0]), (&[], &[]), 1), None);
    let unknown = agreement(
        Scored {
            scores: &[1.0, 2.0],
            errors: None,
        },
        Scored {
            scores: &[1.0, 2.0],
            errors: Some(&[0.0, 0.0]),
        },
    );
    assert_eq!((unknown.certain, unknown.leading()), (None, unknown.plain()));
}

/// Scores with many ties, and errors of the same size.
fn maps() -> impl Strategy<Value = (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>)> {
    let scores = |count| proptest::collection::vec((-40i32..40).prop_map(|x| f64::from(x) / 8.0), count);
    let errors = |count| proptest::collection::vec((0u32..12).prop_map(|x| f64::from(x) / 8.0), count);
    (0usize..24).prop_flat_map(move |count| (scores(count), scores(count), errors(count), errors(count)))
}

proptest! {
    #[test]
    fn errors_of_zero_leave_the_measures_as_they_are((a, b, _, _) in maps(), top in 0usize..12) {
        let zero = vec![0.0; a.len()];
        let found = certain((&a, &zero), (&b, &zero), top).expect("one length").measures;
        let same = |x: Option<f64>, y: Option<f64>| match (x, y) {
            (Some(x), Some(y)) => (x - y).abs() < 1e-9,
            (x, y) => x == y,
        };
        prop_assert!(same(found.spearman, plain::spearman(&a, &b)), "{found:?}");
        prop_assert!(same(found.kendall, plain::kendall(&a, &b)), "{found:?}");
        prop_assert!(same(found.overlap, plain::overlap(&a, &b, top)), "{found:?}");
    }

    #[test]
    fn it_is_symmetric_and_in_range((a, b, x, y) in maps(), top in 0usize..12) {
        let found = certain((&a, &x), (&b, &y), top).expect("one length");
        let turned = certain((&b, &y), (&a, &x), top).expect("one length");
        prop_assert_eq!((found.pairs, found.discordant, found.both, found.alone), (turned.pairs, turned.discordant, turned.both, turned.alone));
        prop_assert_eq!(found.measures.kendall, turned.measures.kendall);
        prop_assert_eq!(found.measures.overlap, turned.measures.overlap);
        let (s, t) = (found.measures.spearman, turned.measures.spearman);
        prop_assert!(s.zip(t).is_none_or(|(s, t)| (s - t).abs() < 1e-9) && s.is_some() == t.is_some());
        for value in [found.measures.spearman, found.measures.kendall].into_iter().flatten() {
            prop_assert!((-1.0..=1.0).contains(&value), "{value}");
        }
        prop_assert!(found.measures.overlap.is_none_or(|value| (0.0..=1.0).contains(&value)));
    }

    #[test]
    fn greater_errors_never_make_more_certain((a, b, x, y) in maps(), more in 1u32..8, top in 0usize..12) {
        let grow = |errors: &[f64]| errors.iter().map(|error| error + f64::from(more) / 16.0).collect::<Vec<f64>>();
        let (more_x, more_y) = (grow(&x), grow(&y));
        let before = certain((&a, &x), (&b, &y), top).expect("one length");
        let after = certain((&a, &more_x), (&b, &more_y), top).expect("one length");
        prop_assert!(after.pairs.count <= before.pairs.count && after.discordant <= before.discordant);
        prop_assert!(after.both <= before.both && after.alone <= before.alone);
    }

    #[test]
    fn what_is_certain_holds_for_every_true_value((a, _, x, _) in maps(), shift in proptest::collection::vec(-1.0f64..1.0, 24), top in 1usize..12) {
        let truth: Vec<f64> = a.iter().zip(&x).zip(&shift).map(|((score, error), shift)| score + error * shift).collect();
        let strongest = plain::largest(&truth, top);
        for (index, place) in places(&a, &x, top).into_iter().enumerate() {
            match place {
                Place::Among => prop_assert!(strongest.contains(&index)),
                Place::Below => prop_assert!(!strongest.contains(&index)),
                Place::Open => {}
            }
        }
    }
}
