//! The real LIAR data set and the references' prompts, where the folder with them is: `IGSITE_SHARED`, or `../shared`.
//! The same ground with made-up data is covered beside the readers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parquet::basic::Compression;

use super::dataset::file::{Column, Values, write};
use super::dataset::local_repositories::LocalRepositories;
use super::dataset::{read_liar, read_liar_folder};
use super::project::{Project, Selection};

/// The folder that holds `liar` and `reference`, or a printed reason to skip.
fn shared() -> Option<PathBuf> {
    let liar = crate::needs::shared("liar/train.tsv")?;
    std::path::absolute(liar.parent()?.parent()?).ok()
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
    Project::load(
        root.path(),
        &Selection::default(),
        &LocalRepositories(root.path().join("hub")),
    )
    .unwrap_or_else(|errors| panic!("{errors:#?}"))
    .0
}

#[test]
fn liar_has_its_rows_and_labels() {
    let Some(shared) = shared() else { return };
    let project = project(&shared, "");
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
    let project = project(&shared, "{rows: [17, 2, 11577]}");
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

/// The hub's form of LIAR, written from its own files: class numbers for labels, floats for counts, two columns of
/// another name.
fn as_on_the_hub(lines: &[Vec<&str>], path: &Path, classes: Option<&[&str]>) {
    const LABELS: [&str; 6] = ["false", "half-true", "mostly-true", "true", "barely-true", "pants-fire"];
    const NAMES: [&str; 14] = [
        "id",
        "label",
        "statement",
        "subject",
        "speaker",
        "job_title",
        "state_info",
        "party_affiliation",
        "barely_true_counts",
        "false_counts",
        "half_true_counts",
        "mostly_true_counts",
        "pants_on_fire_counts",
        "context",
    ];
    let fields = NAMES.iter().enumerate().map(|(index, name)| match index {
        1 => format!("optional int64 {name};"),
        8..=12 => format!("optional float {name};"),
        _ => format!("optional binary {name} (UTF8);"),
    });
    let schema = format!("message schema {{ {} }}", fields.collect::<String>());
    let there = vec![1i16; lines.len()];
    let columns: Vec<Column> = (0..NAMES.len())
        .map(|index| {
            let cells = || lines.iter().map(move |line| line[index]);
            match index {
                1 => Column::new(Values::Long(
                    cells()
                        .map(|label| LABELS.iter().position(|known| *known == label).unwrap() as i64)
                        .collect(),
                )),
                8..=12 => Column::new(Values::Float(cells().map(|count| count.parse().unwrap()).collect())),
                _ => Column::text(cells()),
            }
            .levels(&there, None)
        })
        .collect();
    let told = classes.map(|names| {
        serde_json::json!({"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}).to_string()
    });
    write(path, &schema, &columns, Compression::SNAPPY, told.as_deref());
}

fn both_ways(folder: &Path, classes: Option<&[&str]>) -> usize {
    let root = tempfile::tempdir().unwrap();
    let local_repositories = LocalRepositories(root.path().join("hub"));
    for (name, split) in [
        ("train.tsv", "train"),
        ("test.tsv", "test"),
        ("valid.tsv", "validation"),
    ] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        let path = format!("ucsbnlp/liar@refs-convert-parquet/default/{split}/0000.parquet");
        as_on_the_hub(&lines, &local_repositories.0.join(path), classes);
    }
    let from_hub = read_liar(&local_repositories).unwrap();
    let from_files = read_liar_folder(folder).unwrap();
    assert_eq!(from_hub.columns, from_files.columns);
    assert_eq!(from_hub.rows.len(), from_files.rows.len());
    for (hub, file) in from_hub.rows.iter().zip(&from_files.rows) {
        assert_eq!(hub.fields, file.fields);
        assert!(hub.fields.keys().eq(file.fields.keys()), "in the same order");
        assert_eq!(hub.file, file.file);
    }
    assert_eq!(from_hub.origin.unwrap().repository, "ucsbnlp/liar");
    from_hub.rows.len()
}

#[test]
fn liar_from_the_hub_is_the_same_cell_for_cell() {
    let folder = tempfile::tempdir().unwrap();
    for (name, line) in [
        (
            "train.tsv",
            "1.json\tfalse\tSays \"x\u{feff}\u{90}\ttaxes\tann-lee\t\tOhio\tnone\t0\t1\t63\t3\t105\t\n2.json\tpants-fire\ty\ta,b\tbob\tx\t\t\t0\t0\t0\t0\t0\tc\n",
        ),
        ("test.tsv", "3.json\tbarely-true\tz\ta\tbob\tx\t\t\t0\t0\t0\t0\t0\tc\n"),
        ("valid.tsv", "4.json\tmostly-true\tz\ta\tbob\tx\t\t\t0\t0\t0\t0\t0\tc\n"),
    ] {
        std::fs::write(folder.path().join(name), line).unwrap();
    }
    // The file's own names come first: with the last two changed over, row 2 has another label.
    assert_eq!(both_ways(folder.path(), None), 4);
    let own = ["false", "half-true", "mostly-true", "true", "barely-true", "pants-fire"];
    assert_eq!(both_ways(folder.path(), Some(&own)), 4);
    let swapped = ["pants-fire", "half-true", "mostly-true", "true", "barely-true", "false"];
    assert!(std::panic::catch_unwind(|| both_ways(folder.path(), Some(&swapped))).is_err());
}

#[test]
fn the_whole_of_liar_from_the_hub_is_the_same_cell_for_cell() {
    let Some(shared) = shared() else { return };
    assert_eq!(both_ways(&shared.join("liar"), None), 12_836);
}

#[test]
fn a_file_on_the_hub_that_is_not_liars_is_told() {
    let root = tempfile::tempdir().unwrap();
    let local_repositories = LocalRepositories(root.path().to_path_buf());
    for split in ["train", "test", "validation"] {
        let path = format!("ucsbnlp/liar@refs-convert-parquet/default/{split}/0000.parquet");
        write(
            &local_repositories.0.join(path),
            "message m { required binary id (UTF8); }",
            &[Column::text(["1"])],
            Compression::SNAPPY,
            None,
        );
    }
    let error = read_liar(&local_repositories)
        .unwrap_err()
        .iter()
        .next()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with(
            "ucsbnlp/liar@0123456/default/train/0000.parquet: this file has no column `label`, `statement`, "
        ),
        "{error}"
    );
}
