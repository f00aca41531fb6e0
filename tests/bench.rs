//! `igsite bench` on a small model: what it prints is what it measured.
mod support;

use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/content/models/demo-llama");
    Command::new(env!("CARGO_BIN_EXE_igsite"))
        .args([
            "bench", "--model", model, "--tokens", "20", "--points", "12", "--repeat", "1", "--device", "cpu",
        ])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn json_holds_one_object_whose_numbers_agree() {
    let output = bench(&["--json", "--batch", "5"]);
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |key: &str| told[key].as_f64().unwrap_or_else(|| panic!("{key} in {told}"));
    assert_eq!(told["schema"], "igsite/bench/1");
    assert_eq!(
        (told["device"].as_str(), told["dtype"].as_str()),
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
    let output = bench(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    for line in ["one map", "evaluations", "matrix product", "ratio"] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    for (arguments, told) in [
        (&["--batch", "0"][..], "whole number"),
        (&["--dtype", "int8"], "bf16"),
        (&["--shape", "llama-2-7b"], "cannot be used with"),
    ] {
        let output = bench(arguments);
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(told), "{error}");
    }
}
