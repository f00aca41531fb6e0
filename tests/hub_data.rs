//! The binary with data sets of the hub, against a server on this machine that speaks its protocol.
mod support;

use std::collections::BTreeMap;

use parquet::basic::Compression;
use support::hub_server::{COMMIT, HubServer, nowhere};
use support::parquet_file::{Column, Values, write};
use support::project::{EXPERIMENT, Project, Ran};
use tempfile::TempDir;

const CONVERTED: &str = "refs/convert/parquet";
const BUILD: [&str; 3] = ["build", "--device", "cpu"];

/// A project, the hub, and the user's Hugging Face folder.
struct Setting {
    project: Project,
    hub: HubServer,
    home: TempDir,
}

impl Setting {
    /// The small project with another `dataset`, and the data sets `ann/claims` (converted), `ann/raw` (as its author
    /// wrote it) and LIAR.
    fn new(dataset: &str) -> Self {
        let (from, to) = (
            EXPERIMENT.find("dataset:").unwrap(),
            EXPERIMENT.find("prompt:").unwrap(),
        );
        let experiment = format!("{}dataset: {dataset}\n{}", &EXPERIMENT[..from], &EXPERIMENT[to..]);
        let raw = "id,label,statement\nr1,yes,\"Raw, and read\"\n";
        let raw = [("data/train.csv", raw), ("README.md", "# Raw")]
            .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        Self {
            project: Project::small().file("content/experiments/first.yaml", experiment),
            hub: HubServer::new()
                .files("datasets/ann/claims", COMMIT, &[CONVERTED], claims())
                .files("datasets/ann/raw", COMMIT, &["main"], raw.into())
                .files("datasets/ucsbnlp/liar", COMMIT, &[CONVERTED], liar()),
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn run_at(&self, endpoint: &str, arguments: &[&str]) -> Ran {
        let home = self.home.path().to_str().unwrap();
        let mut ran = self
            .project
            .run_with(arguments, &[("HF_ENDPOINT", endpoint), ("HF_HOME", home)]);
        ran.stderr = ran.stderr.replace(endpoint, "HUB").replace(home, "HF_HOME");
        ran
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_at(&self.hub.endpoint, arguments)
    }
}

/// A file of the hub, made in a folder of its own.
fn parquet(schema: &str, columns: &[Column], huggingface: Option<&str>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    write(&path, schema, columns, Compression::SNAPPY, huggingface);
    std::fs::read(path).unwrap()
}

/// Two splits, one of them in two files, with named classes.
fn claims() -> BTreeMap<String, Vec<u8>> {
    let classes = r#"{"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}"#;
    let schema = "message m { required binary id (UTF8); required int64 label; required binary statement (UTF8); }";
    let file = |id: &str, label: i64| {
        let statement = format!("Says {id} is so");
        let columns = [
            Column::text([id]),
            Column::new(Values::Long(vec![label])),
            Column::text([statement.as_str()]),
        ];
        parquet(schema, &columns, Some(classes))
    };
    [
        ("default/test/0000.parquet", file("t1", 0)),
        ("default/train/0000.parquet", file("a1", 1)),
        ("default/train/0001.parquet", file("a2", 0)),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into()
}

/// One row a split.
fn liar() -> BTreeMap<String, Vec<u8>> {
    let names = "id label statement subject speaker job_title state_info party_affiliation barely_true_counts false_counts \
        half_true_counts mostly_true_counts pants_on_fire_counts context";
    let kind = |name: &str| match name {
        "label" => "int64 label".to_owned(),
        _ if name.ends_with("_counts") => format!("float {name}"),
        _ => format!("binary {name} (UTF8)"),
    };
    let fields: String = names
        .split_whitespace()
        .map(|name| format!("required {}; ", kind(name)))
        .collect();
    let file = |id: &str, label: i64| {
        let columns: Vec<Column> = names
            .split_whitespace()
            .map(|name| match name {
                "id" => Column::text([id]),
                "label" => Column::new(Values::Long(vec![label])),
                _ if name.ends_with("_counts") => Column::new(Values::Float(vec![63.0])),
                _ => Column::text([name]),
            })
            .collect();
        parquet(&format!("message m {{ {fields}}}"), &columns, None)
    };
    [("train", 3), ("test", 0), ("validation", 3)]
        .map(|(split, label)| {
            (
                format!("default/{split}/0000.parquet"),
                file(&format!("{split}.json"), label),
            )
        })
        .into()
}

#[test]
fn a_split_of_the_hub_is_built_and_its_page_names_the_commit() {
    let setting = Setting::new("{source: ann/claims, split: train, id: id, gold: label}");
    setting.run(&BUILD).ended(0);
    let record = support::json(&setting.project.path("site/data/first/tiny/a1.json"));
    assert_eq!(record["sample"]["gold"], "A");
    assert_eq!(record["sample"]["fields"]["label"], "yes");
    assert!(setting.project.path("site/data/first/tiny/a2.json").exists());
    let page = setting.project.read("site/experiments/first/index.html");
    let line = format!(
        "ann/claims of the Hugging Face hub, configuration default, split train, revision {CONVERTED}, commit {COMMIT}"
    );
    assert!(page.contains(&line), "{page}");
    let fetched: Vec<String> = setting.hub.asked().iter().map(|asked| asked.path.clone()).collect();
    assert!(
        !fetched.iter().any(|path| path.contains("test")),
        "only the split comes: {fetched:?}"
    );
    // What is here is enough without a network.
    let again = setting.run_at(&nowhere(), &["build", "--device", "cpu", "--offline"]);
    again.ended(0);
}

#[test]
fn files_of_the_author_serve_where_the_hub_has_converted_none() {
    let setting = Setting::new("{source: ann/raw, id: id, gold: label}");
    setting.run(&BUILD).ended(0);
    assert!(setting.project.path("site/data/first/tiny/r1.json").exists());
    let page = setting.project.read("site/experiments/first/index.html");
    assert!(
        page.contains(&format!(
            "ann/raw of the Hugging Face hub, split train, revision main, commit {COMMIT}"
        )),
        "{page}"
    );
}

#[test]
fn liar_comes_from_the_hub_with_its_labels() {
    let setting = Setting::new("{source: liar, id: id, gold: label}");
    let project = &setting.project;
    let experiment = project
        .read("content/experiments/first.yaml")
        .replace("{A: yes, B: no}", "{A: true, B: false}");
    std::fs::write(project.path("content/experiments/first.yaml"), experiment).unwrap();
    let fetched = setting.run(&["fetch"]);
    assert!(
        fetched.ended(0).contains(&format!(
            "`ucsbnlp/liar`, the data set of `first`, revision `{CONVERTED}`, commit {COMMIT}: here"
        )),
        "{}",
        fetched.stderr
    );
    setting
        .run_at(&nowhere(), &["build", "--device", "cpu", "--offline"])
        .ended(0);
    let record = support::json(&project.path("site/data/first/tiny/validation.json.json"));
    assert_eq!(record["sample"]["gold"], "A");
    let fields = &record["sample"]["fields"];
    for (column, value) in [
        ("label", "true"),
        ("state", "state_info"),
        ("party", "party_affiliation"),
        ("false_counts", "63"),
        ("split", "validation"),
    ] {
        assert_eq!(fields[column], value);
    }
}

#[test]
fn what_is_not_there_is_told_at_its_place() {
    let told = |dataset: &str| {
        let setting = Setting::new(dataset);
        let ran = setting.run(&["check", "--device", "cpu"]);
        (ran.code, ran.stderr)
    };
    let all: String = [
        "{source: ann/claims, split: dev, gold: label}",
        "{source: ann/claim, split: train, gold: label}",
        "{source: ann/claims, split: train, revision: v9, gold: label}",
        "{source: liar, revision: main, gold: label}",
    ]
    .map(|dataset| format!("{dataset}\n{}\n", told(dataset).1))
    .concat();
    insta::assert_snapshot!("refusals_of_data_sets", all);
    assert_eq!(told("{source: ann/claims, split: dev, gold: label}").0, Some(2));
}

/// A part of a split that is in the cache never passes for the whole, and an outage is no reason to read other files.
#[test]
fn a_part_is_not_the_whole() {
    let setting = Setting::new(&format!(
        "{{source: ann/claims, split: train, revision: {COMMIT}, id: id, gold: label}}"
    ));
    let cut = support::hub_server::What::Status(403, vec![]);
    setting.hub.add_fault("GET", "default/train/0001.parquet", cut, 100);
    assert_ne!(setting.run(&BUILD).code, Some(0));
    let told = setting.run(&["build", "--device", "cpu", "--offline"]);
    assert!(told.stderr.contains("default/train/0001.parquet"), "{}", told.stderr);
    assert_ne!(told.code, Some(0));
    setting.hub.heal();
    setting.hub.asked();
    setting.run(&BUILD).ended(0);
    // A commit's files were listed once; only the one that was missing is asked for.
    let asked: Vec<String> = setting.hub.asked().into_iter().map(|asked| asked.path).collect();
    let is_it = |path: &String| path.contains("default/train/0001.parquet") || path.starts_with("/blobs/");
    assert!(asked.iter().all(is_it) && !asked.is_empty(), "{asked:?}");

    let setting = Setting::new("{source: ann/claims, split: train, id: id, gold: label}");
    let down = support::hub_server::What::Status(503, vec![]);
    setting.hub.add_fault("GET", "convert", down, 100);
    let told = setting.run(&["check"]);
    assert_ne!(told.code, Some(0));
    assert!(told.stderr.contains("503"), "{}", told.stderr);
}

#[test]
fn a_damaged_file_of_the_cache_is_refused_by_name_and_fetched_anew() {
    for (source, file) in [
        ("ann/claims", "default/train/0001.parquet"),
        ("ann/raw", "data/train.csv"),
    ] {
        let setting = Setting::new(&format!("{{source: {source}, split: train, id: id, gold: label}}"));
        setting.run(&BUILD).ended(0);
        let folder = source.replace('/', "--");
        let snapshot = setting
            .home
            .path()
            .join(format!("hub/datasets--{folder}/snapshots/{COMMIT}"));
        let place = snapshot.join(file);
        let whole = std::fs::read(&place).unwrap();
        let mut damaged = whole.clone();
        // In the middle of a value: the file reads as well as before.
        let at = String::from_utf8_lossy(&damaged)
            .find("and read")
            .unwrap_or(damaged.len() / 2);
        damaged[at] ^= 1;
        std::fs::write(&place, damaged).unwrap();
        for arguments in [&BUILD[..], &["build", "--device", "cpu", "--offline"]] {
            let ran = setting.run(arguments);
            assert_ne!(ran.code, Some(0));
            assert!(
                ran.stderr.contains("this file of the hub's cache is damaged") && ran.stderr.contains(file),
                "{}",
                ran.stderr
            );
        }
        let ran = setting.run(&["fetch"]);
        assert!(ran.ended(0).contains("it is brought anew"), "{}", ran.stderr);
        assert_eq!(std::fs::read(&place).unwrap(), whole);
        setting.run(&BUILD).ended(0);
    }
}
