use std::path::Path;

use proptest::prelude::*;

use super::{AttributionSpec, read};
use crate::content::decode::Decoder;
use crate::terms::{Quadrature, Rule};

/// Every key of an experiment.
const WHOLE: &str = r#"title: T
description: D
draft: false
models: [a, b]
dataset: {source: data/d.csv, id: id, gold: label, select: {where: {label: [true, x]}, count: 2, seed: 7}}
prompt:
  - segment: claim
    text: "{{ text | after_says }}\n"
shots: {count: 1, seed: 1}
options: {A: true, B: x}
attribution:
  targets: [predicted, gold, A, {token: t}, {contrast: [A, B]}]
  output: logit
  baselines: [zero, {token: t}]
  quadrature: riemann_middle
  steps: 5
  estimate_error: true
  tolerance: 0.1
  max_evaluations: 9
  margin: 0.1
  batch: auto
"#;

fn decoded(yaml: &str) -> Decoder {
    let mut decoder = Decoder::new(Path::new("e.yaml"));
    let _ = read("e", Path::new("e.yaml"), yaml.to_owned(), &mut decoder);
    decoder
}

#[test]
fn the_whole_is_fine() {
    assert!(
        decoded(WHOLE).diagnostics.is_empty(),
        "{:?}",
        decoded(WHOLE).diagnostics
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    /// Any part of a file replaced by anything: no panic, and every error lies within the file.
    #[test]
    fn a_broken_experiment_is_told_within_its_lines(
        start in 0..WHOLE.len(),
        length in 0..40_usize,
        patch in "[a-cé0-9:\\-\\[\\]{}, \n.~]{0,8}|null|\\{\\}|\\[\\]|-1|1e9|true|&a x|\\*a|\\{\\{ x",
    ) {
        let (start, end) = (start, (start + length).min(WHOLE.len()));
        let yaml = format!("{}{patch}{}", &WHOLE[..start], &WHOLE[end..]);
        let lines: Vec<usize> = yaml.split('\n').map(|line| line.chars().count()).collect();
        for error in decoded(&yaml).diagnostics.iter() {
            let position = error.position.unwrap();
            prop_assert!(position.line >= 1 && position.line <= lines.len(), "{error}");
            prop_assert!(position.column >= 1 && position.column <= lines[position.line - 1] + 1, "{error}");
        }
    }
}

#[test]
fn a_rule_holds_no_setting_of_the_other_rule() {
    let spec = AttributionSpec::default();
    let adaptive = Rule::Adaptive {
        tolerance: 0.01,
        max_evaluations: 4096,
    };
    let changed = AttributionSpec {
        steps: 7,
        estimate_error: true,
        ..spec.clone()
    };
    assert_eq!(spec.rule(), adaptive);
    assert_eq!(changed.rule(), spec.rule());
    let fixed = |tolerance, max_evaluations| AttributionSpec {
        quadrature: Quadrature::Trapezoid,
        tolerance,
        max_evaluations,
        ..spec.clone()
    };
    assert_eq!(fixed(0.5, 1).rule(), fixed(0.1, 2).rule());
}
