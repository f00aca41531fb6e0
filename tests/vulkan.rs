//! A build on Vulkan beside the same on the CPU: Mesa's software Vulkan, or a card where there is one, in a build with `gpu`. The suites
//! `reference`, `own_reference`, `quantized` and `families` run there too, with `IGSITE_TEST_DEVICE=vulkan`.
//!
//! What software Vulkan by WGSL does not have, and this therefore does not try: bf16 and f64 (refused, below), planes (subgroup
//! operations), and cooperative products.
#![allow(clippy::print_stdout, reason = "what was measured, for who asks with --nocapture")]
mod support;

use burn::tensor::DType;
use igsite::model::device::{Backend, DeviceChoice};
use serde_json::Value;
use support::needs::{Need, found_or_skip};
use support::project::Project;

/// The first device of Vulkan, or none with a printed reason.
fn vulkan() -> Option<Backend> {
    match Backend::open(&DeviceChoice::Vulkan(None)) {
        Ok(backend) => found_or_skip(Need::Vulkan, Some(backend), || unreachable!()),
        Err(error) => found_or_skip(Need::Vulkan, None, || error.to_string().replace('\n', " ")),
    }
}

fn records(project: &Project) -> Vec<Value> {
    let read = |sample: &str| serde_json::from_str(&project.read(&format!("site/data/first/tiny/{sample}.json")));
    ["a", "b", "c"].iter().map(|sample| read(sample).unwrap()).collect()
}

/// Scores of all maps, one list each.
fn scores(record: &Value) -> Vec<Vec<f64>> {
    let maps = record["attributions"].as_array().unwrap();
    maps.iter()
        .map(|map| serde_json::from_value(map["scores"].clone()).unwrap())
        .collect()
}

#[test]
fn a_build_on_vulkan_is_the_cpus_and_says_what_was_looked_at() {
    let Some(backend) = vulkan() else { return };
    let about = backend.about.unwrap();
    let (cpu, gpu) = (Project::small(), Project::small());
    cpu.run(&["build", "--device", "cpu"]).ended(0);
    let ran = gpu.run(&["build", "--device", "vulkan"]);
    let told = ran.ended(0);
    assert!(told.contains("12 maps computed"), "{told}");
    assert!(told.contains("beside the CPU in float32"), "{told}");
    let mut worst = 0.0f64;
    for (cpu, gpu) in records(&cpu).iter().zip(records(&gpu)) {
        assert_eq!(cpu["prediction"]["token_id"], gpu["prediction"]["token_id"]);
        for (expected, found) in scores(cpu).iter().zip(scores(&gpu)) {
            let largest = expected.iter().fold(0.0f64, |most, score| most.max(score.abs()));
            assert_eq!(expected.len(), found.len());
            for (a, b) in expected.iter().zip(found) {
                worst = worst.max((a - b).abs() / largest);
            }
        }
        assert_eq!(gpu["provenance"]["backend"], "vulkan");
        let device = &gpu["provenance"]["device"];
        assert_eq!(device["name"], about.name);
        assert_eq!(device["engine"], "cubecl 0.11.3");
        assert_eq!(device["beside_cpu"]["layers"], Value::Null);
        let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{device}"));
        assert!(number(&device["beside_cpu"]["apart"]) < 1e-3);
        assert!(number(&device["at_input"]) < 1e-3);
        assert_eq!(cpu["provenance"].get("device"), None);
    }
    println!("{}: scores within {worst:.1e} of the largest of their map", about.name);
    assert!(worst < 1e-4, "{worst}");
    let page = gpu.read("site/experiments/first/maps/tiny/b/index.html");
    for part in [&*about.name, "cubecl 0.11.3", "Beside the CPU", "F of whole prompts"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn devices_are_listed_by_the_name_that_is_given() {
    let Some(backend) = vulkan() else { return };
    let ran = Project::new().run(&["devices"]);
    ran.ended(0);
    let line = ran.stdout.lines().find(|line| line.starts_with("vulkan:0"));
    let line = line.unwrap_or_else(|| panic!("{}", ran.stdout));
    println!("{line}");
    assert!(
        line.contains(&backend.about.unwrap().name) && line.contains("GiB; f32"),
        "{line}"
    );
}

#[test]
fn a_dtype_that_the_device_lacks_is_an_error_that_names_those_it_has() {
    let Some(backend) = vulkan() else { return };
    for (word, dtype) in [("bf16", DType::BF16), ("f64", DType::F64)] {
        if backend.computes_in(dtype) {
            println!("skipped: {backend} computes in {word}");
            continue;
        }
        let model = format!("title: Tiny\nsource: ./tiny\ndtype: {word}\n");
        let ran = Project::small()
            .file("content/models/tiny.yaml", &model)
            .run(&["build", "--device", "vulkan"]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        let lacks = format!("`dtype: {word}`, which vulkan");
        assert!(
            ran.stderr.contains(&lacks) && ran.stderr.contains("expected: `dtype: f32`"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_device_that_is_not_there_is_an_error_that_says_how_many_are() {
    if vulkan().is_none() {
        return;
    }
    let ran = Project::small().run(&["build", "--device", "vulkan:99"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("no Vulkan device 99: there") && ran.stderr.contains("igsite devices"),
        "{}",
        ran.stderr
    );
}
