//! The real LIAR data set and the references' prompts, where the folder with them is: `IGSITE_SHARED`, or `../shared`.
//! The same ground with made-up data is covered beside the readers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::project::{Project, Selection};

/// The shared folder, or a printed reason to skip.
fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("IGSITE_SHARED").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    if folder.join("liar/train.tsv").is_file() {
        return std::path::absolute(folder).ok();
    }
    eprintln!(
        "skipped: there is no LIAR data set in {} (set IGSITE_SHARED)",
        folder.display()
    );
    None
}

/// The experiment of product.md on the models of nobody.
const EXPERIMENT: &str = r#"
models: [m]
dataset:
  source: liar
  path: PATH
  gold: label
  id: id
  select: SELECT
prompt:
  - segment: instruction
    text: "Please select the option that most closely describes the following claim by {{ speaker | speaker_name }}:\n"
  - segment: claim
    text: "{{ statement | after_says }}"
  - segment: options
    text: "\n\nA) True\nB) Mostly True\nC) Half True\nD) Barely True\nE) False\nF) Pants on Fire (absurd lie)"
  - segment: answer
    text: "\n\nChoice: ("
options: {A: true, B: mostly-true, C: half-true, D: barely-true, E: false, F: pants-fire}
"#;

fn project(shared: &Path, select: &str) -> Project {
    let root = tempfile::tempdir().unwrap();
    let folder = shared.join("liar");
    let yaml = EXPERIMENT.replace("PATH", folder.to_str().unwrap());
    let yaml = if select.is_empty() {
        yaml.replace("  select: SELECT\n", "")
    } else {
        yaml.replace("SELECT", select)
    };
    for (path, text) in [
        ("content/experiments/liar.yaml", yaml.as_str()),
        ("content/models/m.yaml", "source: a/b"),
    ] {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Project::load(root.path(), &Selection::default())
        .unwrap_or_else(|errors| panic!("{errors:#?}"))
        .0
}

#[test]
fn liar_has_its_rows_and_labels() {
    let Some(shared) = shared() else { return };
    let start = std::time::Instant::now();
    let project = project(&shared, "");
    eprintln!("12,836 prompts in {:?}", start.elapsed());
    let samples = &project.experiments[0].samples;
    let count = |column: &str| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for sample in samples {
            *counts
                .entry(sample.fields[column].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
        counts
            .into_iter()
            .map(|(value, count)| format!("{value} {count}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(samples.len(), 12_836);
    assert_eq!(count("split"), ["test 1283", "train 10269", "validation 1284"]);
    assert_eq!(
        count("label"),
        [
            "barely-true 2108",
            "false 2511",
            "half-true 2638",
            "mostly-true 2466",
            "pants-fire 1050",
            "true 2063"
        ]
    );
    let of = |what: char| {
        samples
            .iter()
            .filter(|sample| {
                sample
                    .fields
                    .values()
                    .any(|cell| cell.as_str().is_some_and(|text| text.contains(what)))
            })
            .count()
    };
    assert!(
        of('\u{feff}') > 0 && of('\u{90}') > 0,
        "U+FEFF and control characters are kept"
    );
    assert_eq!(samples[2].slug, samples[2].id);
}

#[test]
fn prompts_are_those_of_the_references() {
    let Some(shared) = shared() else { return };
    let start = std::time::Instant::now();
    let project = project(&shared, "{rows: [17, 2, 11577]}");
    eprintln!("3 prompts of LIAR in {:?}", start.elapsed());
    let samples = &project.experiments[0].samples;
    for family in ["falcon", "llama", "mistral", "orca"] {
        let text = std::fs::read_to_string(shared.join("reference").join(family).join("expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        let prompts = expected["prompts"].as_array().unwrap();
        assert_eq!(prompts.len(), 2);
        for prompt in prompts {
            let sample = samples
                .iter()
                .find(|sample| sample.id == prompt["liar_id"].as_str().unwrap())
                .unwrap();
            assert_eq!(sample.prompt.text, prompt["prompt"].as_str().unwrap());
            assert_eq!(sample.gold.as_deref(), prompt["gold"].as_str());
        }
    }
    let text = std::fs::read_to_string(shared.join("reference/seed_prompt_ids.json")).unwrap();
    let seed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(samples[2].prompt.text, seed["prompt"].as_str().unwrap());
    assert_eq!(
        (samples[2].id.as_str(), samples[2].gold.as_deref()),
        ("10385.json", Some("D"))
    );
    assert_eq!(samples[2].fields["split"], "validation");
}
