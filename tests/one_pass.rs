//! The methods of one backward pass, in float64 on models of transformers: GIM by its authors' own package (gim-explain
//! 0.1.4, with the paper's fourth change), gradient × input by Captum's InputXGradient. `tests/reference/make_gim.py` and
//! `make_input_x_gradient.py` say how. Ours are in float32: within 1e-4 of the largest score.
//!
//! The demo models need nothing from outside the project. The checkpoints of many families are not part of it; where
//! they are missing, those tests skip with a printed reason.
#![allow(clippy::print_stdout, reason = "what was measured, for who asks with --nocapture")]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use igsite::attribution::integrated_gradients::{Asked, Explainer, Points, Scalar};
use igsite::attribution::methods::prepare;
use igsite::attribution::schedule::{self, Task};
use igsite::checkpoint::{Checkpoint, hash};
use igsite::model::backward::Gradients;
use igsite::terms::{BaselineVector, Batch, MethodWithSettings, Output, Routing};
use serde_json::Value;
use support::numbers::{machine, parsed};

fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Each change alone.
fn alone(name: &str) -> Gradients {
    let own = Gradients::OWN;
    match name {
        "softmax" => Gradients {
            temperature: 2.0,
            ..own
        },
        "norms" => Gradients {
            norms_detached: true,
            ..own
        },
        "attention" => Gradients {
            queries_and_keys: 0.25,
            values: 0.5,
            ..own
        },
        "gated" => Gradients { gated: 0.5, ..own },
        other => panic!("{other} is none of the four"),
    }
}

/// F and the scores at the input, by other gradients than a method's.
fn at_the_input(explainer: &mut Explainer, ids: &[u32], start: BaselineVector, asked: Asked) -> (f64, Vec<f64>) {
    let path = explainer.path(ids, start, &[], Routing::Free).unwrap();
    let points = Points {
        path: &path,
        alphas: vec![1.0],
        asked: vec![asked],
    };
    let mut found = explainer.evaluate(&[points], Batch::Auto, &mut |_| ()).unwrap();
    let value = found.remove(0).remove(0).remove(0);
    (value.output, value.scores)
}

/// A method, its numbers, and what they are made by.
struct Method {
    settings: MethodWithSettings,
    own: &'static str,
    shared: &'static str,
    program: &'static str,
}

const GIM: Method = Method {
    settings: MethodWithSettings::Gim {},
    own: "tests/reference/gim.json",
    shared: "tests/reference/gim-shared.json",
    program: "tests/reference/make_gim.py",
};

const GRADIENT_X_INPUT: Method = Method {
    settings: MethodWithSettings::GradientXInput {},
    own: "tests/reference/input_x_gradient.json",
    shared: "tests/reference/input_x_gradient-shared.json",
    program: "tests/reference/make_input_x_gradient.py",
};

/// F and the scores by a method.
fn by_the_method(
    explainer: &mut Explainer,
    ids: &[u32],
    start: BaselineVector,
    scalar: Scalar,
    method: MethodWithSettings,
) -> (f64, Vec<f64>) {
    let task = Task {
        ids: ids.to_vec(),
        forced: vec![],
        given: 0,
        start,
        routing: Routing::Free,
        units: vec![],
        scalar,
        method: prepare(method),
    };
    let mut found = None;
    schedule::run(explainer, &[task], Batch::Auto, &mut |_| (), &mut |_, map| {
        found = Some(map);
        Ok(())
    })
    .unwrap();
    let map = found.unwrap();
    assert_eq!((map.evaluations, map.converged, &map.errors), (1, None, &None));
    (map.f_input, map.scores)
}

/// The maps of a checkpoint; `prompts` are those of its other reference, which has their tokens.
fn same_maps(method: &Method, folder: &Path, prompts: &Value, expected: &Value) {
    let (backend, dtype) = machine();
    let exact = dtype == burn::tensor::DType::F32;
    let checkpoint = Checkpoint::open(folder).unwrap();
    let mut explainer = Explainer::load(&checkpoint, &backend, dtype).unwrap();
    let mut worst = 0.0f64;
    let expected = expected["prompts"].as_array().unwrap();
    assert!(!expected.is_empty());
    for (prompt, expected) in prompts.as_array().unwrap().iter().zip(expected) {
        let ids: Vec<u32> = parsed(&prompt["ids"]);
        let options: BTreeMap<String, u32> = parsed(&prompt["option_ids"]);
        for case in expected["cases"].as_array().unwrap() {
            let start = match case["baseline"].as_str().unwrap() {
                "zero" => BaselineVector::Zero,
                "mean" => BaselineVector::Mean,
                other => panic!("baseline {other}"),
            };
            let token = match case["target"].as_str().unwrap() {
                "predicted" => parsed(&prompt["predicted_id"]),
                letter => options[letter],
            };
            let output: Output = parsed(&case["output"]);
            let scalar = Scalar {
                token,
                output,
                minus: None,
            };
            let (f, scores) = match case.get("alone") {
                None => by_the_method(&mut explainer, &ids, start, scalar, method.settings),
                Some(name) => {
                    let gradients = alone(name.as_str().unwrap());
                    at_the_input(&mut explainer, &ids, start, Asked { scalar, gradients })
                }
            };
            let theirs: Vec<f64> = parsed(&case["attributions"]);
            let largest = theirs.iter().fold(0.0f64, |m, s| m.max(s.abs()));
            assert_eq!(scores.len(), theirs.len());
            let off = scores.iter().zip(&theirs).map(|(a, b)| (a - b).abs() / largest);
            let off = off.fold(0.0, f64::max);
            worst = worst.max(off);
            let told = format!("{}: {case:.300}", folder.display());
            assert!(
                off < if exact { 1e-4 } else { 3e-2 },
                "{off} of the largest score; {told}"
            );
            let expected: f64 = parsed(&case["f_input"]);
            assert!(
                (f - expected).abs() < 1e-3 * expected.abs() || !exact,
                "F is {f}; {told}"
            );
            if !matches!(method.settings, MethodWithSettings::Gim {}) {
                continue;
            }
            // By the model's own gradients the map is another one, whichever of the four is left out.
            let asked = scalar.into();
            let plain = at_the_input(&mut explainer, &ids, start, asked).1;
            let moved = plain.iter().zip(&theirs).map(|(a, b)| (a - b).abs() / largest);
            let moved = moved.fold(0.0, f64::max);
            let matters = case.get("alone").is_none_or(|name| name != "gated") || gated(&checkpoint);
            assert_eq!(moved > 1e-2, matters, "{moved} of the largest score; {told}");
        }
    }
    println!(
        "{}, {dtype:?} on {backend}: scores within {worst:.1e} of the largest",
        folder.display()
    );
}

fn gated(checkpoint: &Checkpoint) -> bool {
    checkpoint.config.model.blocks.iter().any(|block| block.mlp.gated)
}

/// A demo model; the numbers of one that was since trained again mean nothing.
fn check(method: &Method, model: &str) {
    let expected = &support::json(&own(method.own))["models"][model];
    let folder = own("content/models").join(model);
    for (name, expected) in parsed::<BTreeMap<String, String>>(&expected["files"]) {
        assert_eq!(
            hash::of_file(&folder.join(&name)).unwrap(),
            expected,
            "{model}/{name} is not what {} was made from; run {} again",
            method.own,
            method.program
        );
    }
    let prompts = support::json(&own(&format!("tests/reference/{model}.json")));
    same_maps(method, &folder, &prompts["prompts"], expected);
}

fn check_families(method: &Method) {
    let expected = support::json(&own(method.shared));
    for (name, expected) in expected["models"].as_object().unwrap() {
        let Some(folder) = support::shared(name) else { continue };
        let prompts = support::json(&folder.join("expected.json"));
        same_maps(method, &folder, &prompts["prompts"], expected);
    }
}

#[test]
fn demo_llama_by_gim_equals_the_package() {
    check(&GIM, "demo-llama");
}

#[test]
fn demo_mistral_by_gim_equals_the_package() {
    check(&GIM, "demo-mistral");
}

#[test]
fn demo_falcon_by_gim_equals_the_package() {
    check(&GIM, "demo-falcon");
}

#[test]
fn demo_orca_by_gim_equals_the_package() {
    check(&GIM, "demo-orca");
}

#[test]
fn every_family_by_gim_equals_the_package() {
    check_families(&GIM);
}

#[test]
fn gradient_x_input_of_the_demo_models_is_captums() {
    for model in ["demo-llama", "demo-mistral", "demo-falcon", "demo-orca"] {
        check(&GRADIENT_X_INPUT, model);
    }
}

#[test]
fn gradient_x_input_of_every_family_is_captums() {
    check_families(&GRADIENT_X_INPUT);
}
