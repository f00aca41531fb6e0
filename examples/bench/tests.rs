//! On a small model: what is printed is what was measured.

use clap::Parser;
use serde_json::Value;

use crate::arguments::Arguments;
use crate::measure::{Measured, measure};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/content/models/demo-llama");

fn typed(more: &[&str]) -> Result<Arguments, clap::Error> {
    let fixed = [
        "bench", "--model", DEMO, "--tokens", "20", "--points", "12", "--repeat", "1", "--device", "cpu",
    ];
    Arguments::try_parse_from(fixed.iter().chain(more))
}

fn measured(more: &[&str]) -> Measured {
    measure(&typed(more).unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn json_holds_one_object_whose_numbers_agree() {
    let json: Value = serde_json::to_value(measured(&["--json", "--batch", "5"])).unwrap();
    let number = |key: &str| json[key].as_f64().unwrap_or_else(|| panic!("{key} in {json}"));
    assert_eq!(json["schema"], "igsite/bench/1");
    assert_eq!(
        (json["device"].as_str(), json["dtype"].as_str()),
        (Some("cpu"), Some("f32"))
    );
    assert_eq!(
        (number("tokens"), number("points"), number("batch"), number("repeats")),
        (20.0, 12.0, 5.0, 1.0)
    );
    assert!(number("seconds") > 0.0 && number("seconds") <= number("median_seconds"));
    let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
    assert!(close(number("evaluations_per_second"), 12.0 / number("seconds")));
    assert!(close(
        number("tokens_per_second"),
        20.0 * number("evaluations_per_second")
    ));
    let flops = number("operations_per_evaluation") * number("evaluations_per_second");
    assert!(close(number("flops_per_second"), flops));
    assert!(close(number("ratio"), flops / number("matmul_flops_per_second")));
    assert!(number("body_parameters") < number("parameters"));
}

#[test]
fn without_json_it_is_a_table() {
    let text = measured(&[]).to_string();
    for line in ["one map", "evaluations", "matrix product", "ratio"] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    for (arguments, expected) in [
        (&["--batch", "0"][..], "whole number"),
        (&["--dtype", "int8"], "bf16"),
        (&["--shape", "llama-2-7b"], "cannot be used with"),
    ] {
        let error = typed(arguments).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let error = error.to_string();
        assert!(error.contains(expected), "{error}");
    }
    // The caches are everybody's: nothing drops them unless a checkpoint is about to be read from the disk.
    assert!(Arguments::try_parse_from(["bench", "--drop-caches"]).is_err());
}
