//! Each fault that devices were seen to have, injected into Burn's operations on the CPU, which plays a GPU here: what
//! is caught, what is mended, and that nothing else would have caught it.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;

use super::*;
use crate::attribution::integral::Nodes;
use crate::attribution::methods::Attribution;
use crate::attribution::quadrature;
use crate::model::device::About;
use crate::tensor::care::faults::{self, Fault};
use crate::terms::{DeviceKind, Quadrature};

/// What a device says to the log is heard by the process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    faults::clear();
    crate::model::device::watch::heard();
    guard
}

/// The CPU as a GPU: Burn's operations, looked at.
fn played() -> Backend {
    Backend {
        device: Device::flex(),
        kind: DeviceKind::Vulkan,
        about: Some(About {
            name: "a processor that plays a card".to_owned(),
            driver: None,
            memory: None,
            software: true,
        }),
        checked: true,
        pass_tokens: 64,
    }
}

fn checkpoint() -> Checkpoint {
    Checkpoint::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("content/models/demo-llama")).unwrap()
}

fn explainer() -> Explainer {
    Explainer::load(&checkpoint(), &played(), DType::F32).unwrap()
}

const IDS: [u32; 9] = [1, 20, 31, 8, 15, 40, 22, 9, 33];

fn map(explainer: &mut Explainer) -> Result<Attribution> {
    let rule = Nodes::Fixed {
        points: quadrature::points(Quadrature::GaussLegendre, 4).into(),
        check: None,
    };
    let scalar = Scalar::of(&[7], Output::Logit);
    explainer.attribute(&IDS, BaselineVector::Zero, scalar, rule, Batch::Fixed(4))
}

fn same(found: &Attribution, expected: &Attribution, tolerance: f64) -> bool {
    let largest = expected.scores.iter().fold(0.0f64, |most, score| most.max(score.abs()));
    let mut pairs = found.scores.iter().zip(&expected.scores);
    pairs.all(|(a, b)| (a - b).abs() <= tolerance * largest)
}

fn on_cpu() -> Attribution {
    map(&mut Explainer::load(&checkpoint(), &Backend::cpu(), DType::F32).unwrap()).unwrap()
}

#[test]
fn a_device_that_is_right_is_believed_and_its_record_says_how_far_it_is_apart() {
    let _alone = alone();
    let mut explainer = explainer();
    let found = map(&mut explainer).unwrap();
    assert!(same(&found, &on_cpu(), 1e-4));
    assert!(explainer.take_told().is_empty() && !explainer.is_untuned());
    let apart = explainer.trust().apart_at_input().unwrap();
    assert!(apart < 1e-5, "{apart}");
    for (layers, shown) in [(None, None), (Some(1), Some(1))] {
        let of = (&checkpoint(), &played(), DType::F32.into());
        let compared = beside_cpu(&mut explainer, of, (&IDS, BaselineVector::Zero), layers).unwrap();
        assert_eq!((compared.layers, compared.tokens), (shown, 9));
        assert!(compared.agrees() && compared.apart < 1e-4, "{compared:?}");
    }
}

/// Faults that are seen in what is computed.
const SEEN: [(Fault, &str); 5] = [
    (Fault::Unwritten, "never written"),
    (Fault::NotLanded, "never written"),
    (Fault::Infinite, "not finite"),
    (
        Fault::Swallowed,
        "a task of it failed: Task failed: a fault of this test",
    ),
    (Fault::Panics, "Should run when selected by autotune."),
];

#[test]
fn each_fault_that_stays_is_an_error_and_no_map() {
    let _alone = alone();
    for (fault, said) in SEEN {
        for after in [0, 30] {
            let mut explainer = explainer();
            faults::inject(
                fault,
                false,
                if fault == Fault::NotLanded { 0 } else { after },
                usize::MAX,
            );
            let error = map(&mut explainer).unwrap_err().to_string();
            faults::clear();
            assert!(error.contains(said), "{fault:?}: {error}");
            assert!(explainer.is_untuned(), "it was tried again");
        }
    }
}

#[test]
fn each_fault_of_what_a_tuner_chose_is_mended_without_it_and_told() {
    let _alone = alone();
    let expected = on_cpu();
    for (fault, said) in SEEN {
        let mut explainer = explainer();
        faults::inject(fault, true, 0, usize::MAX);
        let found = map(&mut explainer);
        faults::clear();
        assert!(same(&found.unwrap(), &expected, 1e-4), "{fault:?}");
        let told = explainer.take_told();
        assert_eq!(told.len(), 1, "{fault:?}: {told:?}");
        assert!(told[0].contains(said) && told[0].contains("autotune"), "{told:?}");
    }
}

#[test]
fn without_the_look_the_same_faults_give_maps_that_are_wrong_without_a_word() {
    let _alone = alone();
    let expected = on_cpu();
    for fault in [Fault::Unwritten, Fault::NotLanded, Fault::Swallowed, Fault::Wrong] {
        let mut explainer = explainer();
        explainer.check(false);
        faults::inject(fault, false, 0, usize::MAX);
        let found = map(&mut explainer).unwrap();
        faults::clear();
        crate::model::device::watch::heard();
        assert!(found.scores.iter().all(|score| score.is_finite()), "{fault:?}");
        // The numbers behind a task that failed are what they happen to be.
        assert!(fault == Fault::Swallowed || !same(&found, &expected, 1e-2), "{fault:?}");
    }
}

#[test]
fn one_wrong_product_of_a_path_shows_at_the_whole_prompt() {
    let _alone = alone();
    let expected = on_cpu();
    // Products of the pass over the path alone: what comes first is the prompt by itself.
    for after in [20, 26] {
        let mut explainer = explainer();
        faults::inject(Fault::Wrong, true, after, usize::MAX);
        let found = map(&mut explainer);
        faults::clear();
        assert!(same(&found.unwrap(), &expected, 1e-4), "{after}");
        let told = explainer.take_told();
        assert!(
            told.len() == 1 && told[0].contains("F of the whole prompt is"),
            "{told:?}"
        );
        let mut explainer = self::explainer();
        faults::inject(Fault::Wrong, false, after, 5);
        let error = map(&mut explainer);
        faults::clear();
        // Where the second try is right, that is what counts.
        match error {
            Ok(found) => assert!(same(&found, &expected, 1e-4)),
            Err(error) => assert!(error.to_string().contains("along a path and"), "{error}"),
        }
    }
}

#[test]
fn a_device_that_is_wrong_everywhere_alike_is_refused_beside_the_cpu_with_both_numbers() {
    let _alone = alone();
    for layers in [None, Some(1)] {
        let of = || (checkpoint(), played());
        let (checkpoint, backend) = of();
        let compare = |explainer: &mut Explainer| {
            beside_cpu(
                explainer,
                (&checkpoint, &backend, DType::F32.into()),
                (&IDS, BaselineVector::Zero),
                layers,
            )
        };
        let mut explainer = explainer();
        faults::inject(Fault::Wrong, false, 0, usize::MAX);
        let error = compare(&mut explainer).unwrap_err().to_string();
        faults::clear();
        for part in [
            "cannot be trusted",
            "on vulkan (a processor that plays a card)",
            "on the CPU in float32",
            "apart",
            "expected: at most 1.0e-3 apart",
            "--device cpu",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!(error.contains("first 1 layers"), layers.is_some(), "{error}");
        // Where only a tuner's choice is wrong, the run goes on without.
        let mut explainer = self::explainer();
        faults::inject(Fault::Wrong, true, 0, usize::MAX);
        let compared = compare(&mut explainer);
        faults::clear();
        assert!(compared.unwrap().agrees());
    }
}

#[test]
fn what_the_dtype_explains_grows_with_its_rounding_and_the_depth() {
    assert_eq!(allowance(DType::F32, 80), 1e-3);
    let (half, brain) = (allowance(DType::F16, 32), allowance(DType::BF16, 32));
    assert!(
        1e-3 < half && half < 0.03 && half < brain && brain < 0.2,
        "{half} {brain}"
    );
    assert!(allowance(DType::BF16, 2) < brain);
}

#[test]
fn as_many_layers_are_compared_as_fit() {
    let gib = 1 << 30;
    assert_eq!(layers_in(14 * gib, gib, 32, 64 * gib), None);
    // 8 of 10 GiB are room, and one of them is for tables; a layer takes 13/32.
    assert_eq!(layers_in(14 * gib, gib, 32, 10 * gib), Some(17));
    assert_eq!(layers_in(140 * gib, gib, 80, gib), Some(1));
}
