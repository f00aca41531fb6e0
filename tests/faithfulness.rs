//! The test of a map in a real record, computed once more by its definition (docs/faithfulness.md): whole forward passes
//! of prompts in which removed words stand as the replacing token, and every order of removal. Nothing of the engine's
//! way of removing words is in it: no masks, no prefixes kept, no batches.
#![allow(clippy::print_stdout, reason = "what was found, for who asks with --nocapture")]
mod support;

use std::collections::HashMap;

use igsite::attribution::integrated_gradients::Explainer;
use igsite::checkpoint::Checkpoint;
use igsite::model::device::Backend;
use serde_json::Value;
use support::project::Project;
use support::tiny;

const FIRST: &str = "content/experiments/first.yaml";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list")).iter()
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).map(number).collect()
}

/// F without some units, a bit each: the probability of the target, and the most probable token.
struct Passes<'e> {
    explainer: &'e Explainer,
    ids: Vec<u32>,
    units: Vec<Vec<usize>>,
    replacement: u32,
    target: usize,
    known: HashMap<u32, (f64, usize)>,
}

impl Passes<'_> {
    fn without(&mut self, removed: u32) -> (f64, usize) {
        if let Some(&known) = self.known.get(&removed) {
            return known;
        }
        let mut ids = self.ids.clone();
        for (unit, tokens) in self.units.iter().enumerate() {
            if removed >> unit & 1 == 1 {
                tokens.iter().for_each(|&token| ids[token] = self.replacement);
            }
        }
        let logits = self.explainer.logits(&ids).unwrap();
        let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit).exp()).collect();
        let first = (0..logits.len())
            .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
            .unwrap();
        let found = (powers[self.target] / powers.iter().sum::<f64>(), first);
        self.known.insert(removed, found);
        found
    }

    /// F as units go in this order, from none to all.
    fn curve(&mut self, order: &[usize]) -> Vec<f64> {
        let mut removed = 0;
        let mut found = vec![self.without(0).0];
        for unit in order {
            removed |= 1 << unit;
            found.push(self.without(removed).0);
        }
        found
    }

    /// F as units go in the opposite order, from the last to the first.
    fn backwards(&mut self, order: &[usize]) -> Vec<f64> {
        let order: Vec<usize> = order.iter().rev().copied().collect();
        self.curve(&order)
    }

    /// F while only the first units stand, from none to all.
    fn kept(&mut self, order: &[usize]) -> Vec<f64> {
        self.backwards(order).into_iter().rev().collect()
    }

    /// ERASER's two: how much F loses as units go in this order, and how much it lacks while only the first stand.
    fn means(&mut self, order: &[usize]) -> (f64, f64) {
        let whole = self.without(0).0;
        let mean = |curve: Vec<f64>| curve[1..].iter().map(|f| whole - f).sum::<f64>() / order.len() as f64;
        (mean(self.curve(order)), mean(self.kept(order)))
    }

    /// The first k after which another token is the most probable.
    fn flip(&mut self, order: &[usize]) -> Option<usize> {
        let before = self.without(0).1;
        (1..=order.len()).find(|&k| {
            let removed = order[..k].iter().fold(0, |all, unit| all | 1 << unit);
            self.without(removed).1 != before
        })
    }
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let smaller = orders(count - 1);
    let placed = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, count - 1);
        order
    };
    smaller
        .iter()
        .flat_map(|order| (0..count).map(move |at| placed(order, at)))
        .collect()
}

/// The units from the highest score to the lowest, equal ones as they stand.
fn ranked(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

#[track_caller]
fn near(found: f64, expected: f64, scale: f64, what: &str) {
    assert!(
        (found - expected).abs() <= 1e-4 * scale,
        "{what}: {found}, expected {expected}, scale {scale}"
    );
}

/// Holds an entry with comprehensiveness, sufficiency, normalised and flip against an order.
fn same(entry: &Value, order: &[usize], passes: &mut Passes<'_>, bounds: [(f64, f64); 2], what: &str) {
    let found = passes.means(order);
    let scale = bounds[0].1 - bounds[0].0;
    near(number(&entry["comprehensiveness"]), found.0, scale, what);
    near(number(&entry["sufficiency"]), found.1, scale, what);
    let share = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
    let normalised = &entry["normalised"];
    near(
        number(&normalised["comprehensiveness"]),
        share(found.0, bounds[0]),
        1.0,
        what,
    );
    near(number(&normalised["sufficiency"]), share(found.1, bounds[1]), 1.0, what);
    assert_eq!(
        entry["flip"].as_u64().map(|k| k as usize),
        passes.flip(order),
        "{what}: flip"
    );
}

#[test]
fn the_test_of_a_map_is_that_of_its_definition() {
    let project = Project::small();
    let experiment = project.read(FIRST);
    let (before, _) = experiment.split_once("attribution:\n").unwrap();
    let project = project.file(
        FIRST,
        format!(
            "{before}attribution:\n  methods: [integrated_gradients, occlusion]\n  baselines: [zero]\n  \
             targets: [predicted, gold]\nfaithfulness: {{replacement: [{{token: \".\"}}]}}\n"
        ),
    );
    project.run(&["build", "--device", "cpu"]).ended(0);
    let backend = Backend::cpu();
    let checkpoint = Checkpoint::open(&project.path("content/models/tiny")).unwrap();
    let dtype = backend.dtype(None, checkpoint.stored_dtype());
    let explainer = Explainer::load(&checkpoint, &backend, dtype).unwrap();
    let replacement = tiny::vocabulary().iter().position(|piece| piece == ".").unwrap() as u32;
    let (mut tests, mut flips) = (0, 0);
    for sample in ["a", "b", "c"] {
        let record: Value =
            serde_json::from_str(&project.read(&format!("site/data/first/tiny/{sample}.json"))).unwrap();
        let claim = list(&record["segments"])
            .find(|segment| segment["name"] == "claim")
            .unwrap();
        let inside = |token: usize| {
            let start = number(&record["tokens"][token]["start"]);
            (number(&claim["start"])..number(&claim["end"])).contains(&start)
        };
        // Words are those that occlusion takes away; here only the claim's.
        let occlusion = list(&record["attributions"])
            .find(|map| map["method"] == "occlusion")
            .unwrap();
        let units: Vec<Vec<usize>> = serde_json::from_value(occlusion["unit_tokens"].clone()).unwrap();
        let units: Vec<Vec<usize>> = units.into_iter().filter(|unit| inside(unit[unit.len() - 1])).collect();
        assert!((3..=8).contains(&units.len()), "{sample}: {units:?}");
        let mut passes = Passes {
            explainer: &explainer,
            ids: list(&record["tokens"])
                .map(|token| number(&token["id"]) as u32)
                .collect(),
            units,
            replacement,
            target: 0,
            known: HashMap::new(),
        };
        for map in list(&record["attributions"]) {
            let [test] = map["faithfulness"].as_array().unwrap().as_slice() else {
                panic!("one test: {}", map["faithfulness"])
            };
            passes.target = number(&map["target"]["token_ids"][0]) as usize;
            passes.known.clear();
            let all: Vec<(f64, f64)> = orders(passes.units.len())
                .iter()
                .map(|order| passes.means(order))
                .collect();
            let bounds = [0, 1].map(|which| {
                let values = all.iter().map(|means| if which == 0 { means.0 } else { means.1 });
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
                    (low.min(x), high.max(x))
                })
            });
            let scale = bounds[0].1 - bounds[0].0;
            let tokens = numbers(&map["scores"]);
            let scores: Vec<f64> = passes
                .units
                .iter()
                .map(|unit| unit.iter().map(|&token| tokens[token]).sum())
                .collect();
            let order = ranked(&scores);
            let what = format!("{sample}, {}, {}", map["method"], map["target"]["kind"]);
            assert_eq!(test["order"], Value::from(order.clone()), "{what}");
            assert_eq!(
                (&test["bins"], &test["failed"]),
                (&Value::from("1..N"), &Value::Null),
                "{what}"
            );
            same(test, &order, &mut passes, bounds, &what);
            for (name, which) in [("bounds", 0), ("sufficiency_bounds", 1)] {
                let [low, high] = numbers(&test["normalised"][name])[..] else {
                    panic!("{name} of {what}")
                };
                near(low, bounds[which].0, scale, &what);
                near(high, bounds[which].1, scale, &what);
            }
            assert_eq!(test["normalised"]["exact"], true, "{what}");
            let curves = [
                ("morf", passes.curve(&order)),
                ("lerf", passes.backwards(&order)),
                ("keep", passes.kept(&order)),
            ];
            for (name, expected) in curves {
                let found: Vec<Vec<f64>> = list(&test["curves"][name]).map(numbers).collect();
                assert_eq!(found.len(), expected.len(), "{name} of {what}");
                for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
                    near(found[0], k as f64 / order.len() as f64, 1.0, &what);
                    near(found[1], expected, scale, &format!("{name} of {what} at {k}"));
                }
            }
            let controls = &test["controls"];
            let in_order: Vec<usize> = (0..order.len()).collect();
            let last_first: Vec<usize> = in_order.iter().rev().copied().collect();
            for (control, order) in [
                (&controls["position"]["last_first"], last_first),
                (&controls["position"]["first_first"], in_order),
                (
                    &controls["parameters"],
                    ranked(&numbers(&controls["parameters"]["scores"])),
                ),
            ] {
                same(control, &order, &mut passes, bounds, &format!("control of {what}"));
            }
            // The shuffles are drawn; whatever was drawn, no order is outside the bounds of all.
            let shuffled = &controls["shuffled"];
            assert_eq!(shuffled["count"], 20);
            for (name, which) in [("comprehensiveness", 0), ("sufficiency", 1)] {
                let (low, high) = (number(&shuffled[name]["low"]), number(&shuffled[name]["high"]));
                let slack = 1e-4 * scale;
                assert!(
                    bounds[which].0 - slack <= low && low <= high && high <= bounds[which].1 + slack,
                    "{what}"
                );
            }
            tests += 1;
            flips += usize::from(test["flip"].is_u64());
        }
    }
    assert_eq!(tests, 12);
    println!("{tests} tests, {flips} of them change the answer");
}

/// `bos` and the text of that token are one vector: a test that puts it in favours maps from it, by whatever name.
#[test]
fn a_replacement_that_is_a_maps_own_baseline_by_another_name_is_told() {
    let experiment = |baseline: &str, replacement: &str| {
        let project = Project::small();
        let all = project.read(FIRST);
        let (before, _) = all.split_once("attribution:\n").unwrap();
        let text = format!(
            "{before}attribution:\n  methods: [gradient_x_input]\n  baselines: [{baseline}]\n  targets: [predicted]\n\
             faithfulness: {{replacement: [{replacement}]}}\n"
        );
        project.file(FIRST, text)
    };
    for (baseline, replacement, own) in [
        ("bos", "{token: \"<s>\"}", true),
        ("{token: \"<s>\"}", "bos", true),
        ("bos", "{token: \".\"}", false),
        ("bos", "eos", false),
    ] {
        let project = experiment(baseline, replacement);
        let told = project.run(&["build", "--device", "cpu"]).ended(0).to_owned();
        let found = told.contains("to this model is the same vector as");
        assert_eq!(found, own, "{baseline}, {replacement}: {told}");
        let record: Value = serde_json::from_str(&project.read("site/data/first/tiny/a.json")).unwrap();
        let test = &record["attributions"][0]["faithfulness"][0];
        assert_eq!(test["own_baseline"], own, "{baseline}, {replacement}");
        let page = project.read("site/experiments/first/maps/tiny/a/index.html");
        assert_eq!(
            page.contains("which this map compares the input with"),
            own,
            "{baseline}, {replacement}"
        );
    }
}
