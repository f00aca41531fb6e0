//! Maps of texts of several tokens against Captum's in float64 on the demo models, by `tests/reference/make_text.py`;
//! of some texts the first tokens are given and not counted. Ours are in float32: within 1e-4 of the largest score.
#![allow(clippy::print_stdout, reason = "what was measured, for who asks with --nocapture")]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use igsite::attribution::integral::Nodes;
use igsite::attribution::integrated_gradients::{Explainer, Scalar};
use igsite::attribution::methods::Prepared;
use igsite::attribution::quadrature;
use igsite::attribution::schedule::{self, Task};
use igsite::checkpoint::{Checkpoint, hash};
use igsite::terms::{BaselineVector, Batch, Output, Quadrature, Routing};
use support::numbers::{machine, parsed};

fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn check(model: &str) {
    let folder = own("content/models").join(model);
    let expected = &support::json(&own("tests/reference/text.json"))["models"][model];
    for (name, expected) in parsed::<BTreeMap<String, String>>(&expected["files"]) {
        assert_eq!(
            hash::of_file(&folder.join(&name)).unwrap(),
            expected,
            "{model}/{name} is not what tests/reference/text.json was made from; run tests/reference/make_text.py again"
        );
    }
    let prompts = support::json(&own(&format!("tests/reference/{model}.json")));
    let ids: Vec<u32> = parsed(&prompts["prompts"][0]["ids"]);
    let (backend, dtype) = machine();
    let tolerance = if dtype == burn::tensor::DType::F32 { 1e-4 } else { 3e-2 };
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let mut explainer = Explainer::load(&checkpoint, &backend, dtype).unwrap();
    let mut worst = 0.0f64;
    // All at once: what is counted of one text is not counted of another.
    let cases = expected["cases"].as_array().unwrap();
    let task = |case: &serde_json::Value| {
        let text: Vec<u32> = parsed(&case["text"]);
        let (&token, forced) = text.split_last().unwrap();
        let points = quadrature::points(Quadrature::GaussLegendre, parsed(&case["steps"]));
        Task {
            ids: ids.clone(),
            forced: forced.to_vec(),
            given: parsed(&case["given"]),
            start: match case["baseline"].as_str().unwrap() {
                "zero" => BaselineVector::Zero,
                _ => BaselineVector::Mean,
            },
            routing: Routing::Free,
            units: vec![],
            scalar: Scalar {
                token,
                output: Output::LogProbability,
                minus: None,
            },
            method: Prepared::Path(Arc::new(Nodes::Fixed {
                points: points.into(),
                check: None,
            })),
        }
    };
    let tasks: Vec<Task> = cases.iter().map(task).collect();
    let mut found = BTreeMap::new();
    schedule::run(&mut explainer, &tasks, Batch::Auto, &mut |_| (), &mut |index, map| {
        found.insert(index, map);
        Ok(())
    })
    .unwrap();
    assert_eq!(found.len(), cases.len());
    for (index, map) in found {
        let case = &cases[index];
        let theirs: Vec<f64> = parsed(&case["attributions"]);
        let largest = theirs.iter().fold(0.0f64, |m, s| m.max(s.abs()));
        assert_eq!(map.scores.len(), theirs.len());
        let off = map.scores.iter().zip(&theirs).map(|(a, b)| (a - b).abs() / largest);
        let off = off.fold(0.0, f64::max);
        worst = worst.max(off);
        assert!(off < tolerance, "{off} of the largest score; {case:.200}");
        for (what, ours) in [("f_input", map.f_input), ("f_baseline", map.f_baseline.unwrap())] {
            let expected: f64 = parsed(&case[what]);
            assert!(
                (ours - expected).abs() < tolerance * expected.abs(),
                "{what}: {ours} for {expected}"
            );
        }
    }
    println!("{model}, {dtype:?} on {backend}: scores within {worst:.1e} of the largest");
}

#[test]
fn llamas_texts_equal_captum() {
    check("demo-llama");
}

#[test]
fn falcons_texts_equal_captum() {
    check("demo-falcon");
}
