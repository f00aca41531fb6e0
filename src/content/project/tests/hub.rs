//! Data sets of the hub, from a shelf of folders: splits, configurations, revisions, shards; and Parquet under
//! content/.

use parquet::basic::Compression;

use super::*;
use crate::content::dataset::file::{Column, Values, write};

/// Rows of `id` and `text` as Parquet, the classes of `label` named by the file.
fn rows(site: &Site, path: &str, texts: &[&str]) {
    let classes = r#"{"info": {"features": {"label": {"names": ["true", "false"], "_type": "ClassLabel"}}}}"#;
    let ids: Vec<i64> = (0..texts.len() as i64).collect();
    write(
        &site.0.path().join(path),
        "message m { required int64 id; required int64 label; required binary text (UTF8); }",
        &[
            Column::new(Values::Long(ids.clone())),
            Column::new(Values::Long(ids.iter().map(|id| id % 2).collect())),
            Column::text(texts.iter().copied()),
        ],
        Compression::SNAPPY,
        Some(classes),
    );
}

fn prompts(site: &Site) -> Vec<String> {
    let samples = &site.project().experiments[0].samples;
    samples.iter().map(|sample| sample.prompt.text.clone()).collect()
}

#[test]
fn a_parquet_file_under_content_is_read() {
    let site = Site::new().file(
        "content/experiments/e.yaml",
        &format!("models: [m]\ndataset: {{source: data/d.parquet, id: id, gold: label}}\n{PROMPT}{OPTIONS}"),
    );
    rows(&site, "content/data/d.parquet", &["one", "two"]);
    let project = site.project();
    let shown: Vec<_> = project.experiments[0]
        .samples
        .iter()
        .map(|sample| (sample.id.as_str(), sample.gold.as_deref(), sample.prompt.text.as_str()))
        .collect();
    assert_eq!(shown, [("0", Some("A"), "one? ("), ("1", Some("B"), "two? (")]);
    let site = site.dataset("{source: data/d.parquet, id: label, select: {where: {text: no}}}");
    rows(&site, "content/data/d.parquet", &["one", "two", "three"]);
    assert_eq!(
        site.errors()[0],
        "content/data/d.parquet: row 2, counted from 0: the id `true` is that of row 0 too\n  expected: an id of its own"
    );
    let site = site.file("content/data/d.parquet", "PAR1, and no more");
    assert_eq!(
        site.errors(),
        ["content/data/d.parquet: this Parquet file is cut off: its end is missing\n  help: get the file again, whole"]
    );
}

#[test]
fn shards_of_a_split_are_joined_and_the_commit_is_kept() {
    let site = Site::new().dataset("{source: ann/claims, split: train}");
    for (shard, texts) in [("0001", ["c", "d"]), ("0000", ["a", "b"])] {
        let path = format!("hub/ann/claims@refs-convert-parquet/default/train/{shard}.parquet");
        rows(&site, &path, &texts);
    }
    rows(
        &site,
        "hub/ann/claims@refs-convert-parquet/default/test/0000.parquet",
        &["x"],
    );
    assert_eq!(prompts(&site), ["a", "b", "c", "d"]);
    let origin = site.project().experiments[0].origin.clone().unwrap();
    assert_eq!(
        (
            origin.repository.as_str(),
            origin.revision.as_str(),
            &origin.commit[..4],
            origin.split.as_deref()
        ),
        ("ann/claims", "refs/convert/parquet", "0123", Some("train"))
    );
    let errors = site.dataset("{source: ann/claims, split: tran}").errors();
    assert_eq!(
        errors,
        [
            "content/experiments/e.yaml:2:19: dataset.source: `ann/claims` at revision `refs/convert/parquet` has no split `tran`\n  expected: `split`: one of `test`, `train`\n  help: did you mean `train`?"
        ]
    );
}

#[test]
fn what_is_not_converted_is_read_from_the_authors_files() {
    let site = Site::new()
        .file("hub/ann/claims@main/README.md", "# Claims")
        .file(
            "hub/ann/claims@main/data/validation.jsonl",
            "{\"text\": \"a\"}\n{\"text\": \"b\"}\n",
        )
        .file("hub/ann/claims@main/data/test.jsonl", "{\"text\": 1}\n")
        .file("hub/ann/claims@v1/train.csv", "id,text\n1,old\n");
    let site = site.dataset("{source: ann/claims, split: dev}");
    assert_eq!(prompts(&site), ["a", "b"]);
    let site = site.dataset("{source: ann/claims, revision: v1}");
    assert_eq!(prompts(&site), ["old"]);
    let site = site.dataset("{source: ann/claims, revision: v2}");
    assert!(
        site.errors()[0].contains("the shelf has no `ann/claims` at `v2`"),
        "{:?}",
        site.errors()
    );
    let site = site.dataset("{source: ann/claims}");
    assert_eq!(
        site.errors(),
        [
            "content/experiments/e.yaml:2:19: dataset.source: `ann/claims` at revision `main` has several splits, and none is named\n  expected: `split`: one of `test`, `validation`"
        ]
    );
    let site = site
        .file("hub/ann/claims@main/data/test.jsonl", "{\"text\": 1\n")
        .dataset("{source: ann/claims, split: test}");
    assert!(
        site.errors()[0].starts_with("ann/claims@0123456/data/test.jsonl:1:"),
        "{:?}",
        site.errors()
    );
}

#[test]
fn one_of_several_configurations_is_named() {
    let site = Site::new()
        .file("hub/ann/many@main/de/train.csv", "text\nja\n")
        .file("hub/ann/many@main/en/train.csv", "text\nyes\n")
        .dataset("{source: ann/many, split: train, config: de}");
    assert_eq!(prompts(&site), ["ja"]);
    let site = site.dataset("{source: ann/many, split: train}");
    assert_eq!(
        site.errors(),
        [
            "content/experiments/e.yaml:2:19: dataset.source: `ann/many` at revision `main` has several configurations, and none is named\n  expected: `config`: one of `de`, `en`"
        ]
    );
}

#[test]
fn a_misspelt_file_is_not_looked_for_on_the_hub() {
    let site = Site::new()
        .file("content/claims/train.csv", "text\na\n")
        .dataset("{source: claims/train}");
    assert_eq!(
        site.errors(),
        [
            "content/experiments/e.yaml:2:19: dataset.source: there is no file `content/claims/train`, and content/claims has data files\n  help: did you mean `claims/train.csv`?"
        ]
    );
}
