//! Several devices share the maps of a build: models whole, or the samples of one model. The CPU plays all of them here.
mod support;

use std::collections::{BTreeMap, BTreeSet};

use igsite::compute::{self, Work};
use igsite::content::project::{Project as Content, Selection};
use igsite::diagnostic::Diagnostics;
use igsite::hub::Hub;
use igsite::model::device::{About, Backend};
use igsite::plan::{self, Sources, Weights};
use igsite::store::memo::HashMemo;
use igsite::store::{Parts, Store};
use igsite::terms::DeviceKind;
use support::project::Project;

/// Computes all maps of a project on these devices.
fn computed(project: &Project, backends: &[Backend]) -> (Vec<Vec<Parts>>, Work) {
    let hub = Hub::new(true, true);
    let root = project.path("");
    let content = Content::load(&root, &Selection::default(), &hub).map_err(|e| panic!("{e:?}"));
    let (content, mut diagnostics): (Content, Diagnostics) = content.unwrap();
    let store = Store::open(&root).unwrap();
    let mut memo = HashMemo::open(store.folder());
    let sources = Sources {
        backend: &backends[0],
        memo: &mut memo,
        hub: &hub,
        weights: Weights::AsTheyAre,
    };
    let models = plan::open_models(&content, sources, &mut diagnostics);
    let runs = plan::runs(&content, &models, &mut diagnostics);
    compute::complete(&runs, &models, &store, backends, true).unwrap_or_else(|error| panic!("{error}"))
}

/// The scores of all maps by key.
fn scores(parts: &[Vec<Parts>]) -> BTreeMap<String, Vec<f64>> {
    let all = parts.iter().flatten().flat_map(|parts| &parts.attributions);
    all.map(|part| (format!("{:?}", part.key), part.scores.clone()))
        .collect()
}

/// A device of this name.
fn named(name: &str) -> Backend {
    Backend {
        kind: DeviceKind::Vulkan,
        about: Some(About {
            name: name.to_owned(),
            driver: Some("none".to_owned()),
            memory: None,
            software: true,
        }),
        checked: true,
        ..Backend::cpu()
    }
}

fn devices_of(parts: &[Vec<Parts>]) -> Vec<Vec<String>> {
    let name = |parts: &Parts| parts.attributions[0].provenance.device.as_ref().unwrap().name.clone();
    parts.iter().map(|run| run.iter().map(name).collect()).collect()
}

#[test]
fn the_samples_of_one_model_are_shared_out() {
    let (alone, shared) = (Project::small(), Project::small());
    let (expected, work) = computed(&alone, &[Backend::cpu()]);
    assert_eq!((work.models_loaded, work.computed), (1, 12));
    assert!(work.told.is_empty());
    let (found, work) = computed(&shared, &[named("one"), named("two")]);
    assert_eq!((work.models_loaded, work.computed), (2, 12));
    assert_eq!(work.told.len(), 2, "each was held beside the CPU: {:?}", work.told);
    let (expected, found_scores) = (scores(&expected), scores(&found));
    assert!(expected.keys().eq(found_scores.keys()));
    for (key, expected) in &expected {
        let largest = expected.iter().fold(0.0f64, |most, score| most.max(score.abs()));
        for (a, b) in expected.iter().zip(&found_scores[key]) {
            assert!((a - b).abs() < 1e-4 * largest, "{key}: {a} {b}");
        }
    }
    // Which of them is quicker is chance; a device's samples stand together.
    let devices = &devices_of(&found)[0];
    assert_eq!(devices.len(), 3);
    assert_eq!(devices[0], devices[1]);
    for part in found.iter().flatten().flat_map(|parts| &parts.attributions) {
        let device = part.provenance.device.as_ref().unwrap();
        assert!(
            device.beside_cpu.apart < 1e-4 && device.at_input.unwrap() < 1e-4,
            "{device:?}"
        );
        assert_eq!(device.engine, "cubecl 0.11.3");
    }
}

#[test]
fn models_are_shared_out_whole_where_there_are_enough() {
    // The same weights in other forms, since maps of the same model are the same maps.
    let form = |id: &str, code: &str| format!("title: Tiny\nsource: ./{id}\nquantization: {code}\n");
    let project = Project::small()
        .model("other")
        .model("third")
        .file("content/models/other.yaml", form("other", "nf4"))
        .file("content/models/third.yaml", form("third", "fp4"))
        .edit(
            "content/experiments/first.yaml",
            "models: [tiny]",
            "models: [tiny, other, third]",
        );
    let (found, work) = computed(&project, &[named("one"), named("two")]);
    assert_eq!((work.models_loaded, found.len()), (3, 3), "each once");
    for run in devices_of(&found) {
        assert_eq!(
            run.into_iter().collect::<BTreeSet<_>>().len(),
            1,
            "a model is on one device"
        );
    }
}
