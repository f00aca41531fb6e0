//! Data sets as experiments name them: sources, ids, right answers, selections.

use super::*;

#[test]
fn rows_are_selected() {
    let chosen = |dataset: &str| Site::new().data(dataset, "").ids();
    assert_eq!(chosen("id: id"), ["x", "y", "z", "w"]);
    assert_eq!(chosen("select: {rows: [2, 0]}"), ["row-2", "row-0"]);
    assert_eq!(chosen("id: id, select: {ids: [z, x]}"), ["z", "x"]);
    assert_eq!(chosen("id: id, select: {where: {label: true}}"), ["x", "z"]);
    assert_eq!(
        chosen("id: id, select: {where: {label: [true, false], text: [two, four]}}"),
        ["y"]
    );
    let drawn = chosen("id: id, select: {count: 2, seed: 7}");
    assert_eq!(drawn.len(), 2);
    assert_eq!(drawn, chosen("id: id, select: {count: 2, seed: 7}"));
    assert_eq!(chosen("id: id, select: {where: {label: true}, count: 2}"), ["x", "z"]);
}

#[test]
fn a_wrong_selection_is_told() {
    for (dataset, message) in [
        (
            "select: {rows: [4]}",
            "dataset.select.rows: there is no row 4\n  expected: a number from 0 to 3",
        ),
        ("select: {rows: [1, 1]}", "dataset.select.rows: row 1 is chosen twice"),
        (
            "id: id, select: {ids: [xx]}",
            "dataset.select.ids: no row has the id `xx`\n  help: did you mean `x`?",
        ),
        (
            "select: {where: {lable: true}}",
            "dataset.select.where: the data has no column `lable`\n  expected: one of `id`, `label`, `text`\n  help: did you mean `label`?",
        ),
        (
            "select: {count: 5}",
            "dataset.select.count: 5 rows are to be drawn, and the data has 4\n  expected: a number from 1 to 4",
        ),
        ("select: {count: 0}", "dataset.select.count: found the number `0`"),
        (
            "select: {seed: 5}",
            "dataset.select: `seed` without `count` draws nothing",
        ),
        (
            "select: {ids: [x], count: 1}",
            "dataset.select: `ids` and `rows` choose alone",
        ),
        (
            "select: {}",
            "dataset.select: found a mapping\n  expected: `count`, `ids`, `rows` or `where`; leave `select` out to take all rows",
        ),
        ("gold: lable", "dataset.gold: the data has no column `lable`"),
        ("path: x", "dataset.path: `path` goes with `source: liar` only"),
        ("rows: [{a: 1}]", "dataset: both `source` and `rows` are given"),
    ] {
        let errors = Site::new().data(dataset, "").errors();
        assert!(
            errors.len() == 1 && errors[0].contains(message),
            "{dataset}: {errors:#?}"
        );
        assert!(
            errors[0].starts_with("content/experiments/e.yaml:2:"),
            "{dataset}: {errors:#?}"
        );
    }
    let errors = Site::new()
        .data("id: id, select: {where: {label: [maybe]}}", "")
        .errors();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(
        errors[0].ends_with("dataset.select.where: no row meets these conditions"),
        "{errors:#?}"
    );
    assert!(
        errors[1].contains("no row has `maybe` in the column `label`\n  expected: one of `true`, `false`"),
        "{errors:#?}"
    );
}

#[test]
fn gold_values_map_through_the_options() {
    let golds = |site: Site| -> Vec<Option<String>> {
        site.project().experiments[0]
            .samples
            .iter()
            .map(|sample| sample.gold.clone())
            .collect()
    };
    let some = |letter: &str| Some(letter.to_owned());
    assert_eq!(
        golds(Site::new().data("gold: label", "")),
        [some("A"), some("B"), some("A"), None]
    );
    let errors = Site::new().data("gold: text, select: {rows: [3, 0]}", "").errors();
    assert_eq!(
        errors[1],
        "content/data/d.csv:5:1: row 3: `text` has `four`, which no option stands for\n  expected: one of `true`, `false`\n  help: add it to `options`, or leave such rows out with `select`"
    );
    let errors = Site::new()
        .data("gold: label", "attribution: {targets: [gold]}\n")
        .errors();
    assert_eq!(
        errors,
        [
            "content/data/d.csv:5:1: row 3: the target `gold` needs a right answer, and `label` is empty\n  help: leave such rows out with `select`"
        ]
    );
    let errors = Site::new()
        .data("id: id", "attribution: {targets: [gold]}\nshots: {count: 1}\n")
        .errors();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(
        errors[0].contains("attribution.targets: the target `gold` needs right answers, and none is known"),
        "{errors:#?}"
    );
    assert!(
        errors[1].contains("shots: worked examples end in their right option, and none is known"),
        "{errors:#?}"
    );
}

#[test]
fn ids_name_one_row_each() {
    let errors = Site::new().data("id: label", "").errors();
    assert_eq!(
        errors,
        [
            "content/data/d.csv:4:1: row 2: the id `true` is that of row 0 too\n  expected: an id of its own; row 0 is on line 2",
            "content/data/d.csv:5:1: row 3: the id is empty (column `label`)"
        ]
    );
}

#[test]
fn sources_that_cannot_be_read_say_why() {
    for (dataset, message) in [
        (
            "{source: data/no.csv}",
            "dataset.source: there is no file `content/data/no.csv`",
        ),
        (
            "{source: content/data/d.csv}",
            "help: paths begin at content/: write `data/d.csv`",
        ),
        (
            "{source: ../d.csv}",
            "dataset.source: the data file `../d.csv` is not under content/",
        ),
        (
            "{source: /etc/d.csv}",
            "dataset.source: the data file `/etc/d.csv` is not under content/",
        ),
        (
            "{source: data/d.parquet}",
            "dataset.source: there is no file `content/data/d.parquet`",
        ),
        (
            "{source: data/claims}",
            "`data/claims` is no kind of data file that igsite reads\n  expected: liar, a data set of the hub as owner/name, or a file that ends in .csv, .tsv, .jsonl, .ndjson or .parquet",
        ),
        (
            "{source: dta/claims.csv}",
            "dataset.source: there is no file `content/dta/claims.csv`",
        ),
        (
            "{source: dta/claims}",
            "dataset.source: the shelf has no `dta/claims` at `main`\n  expected: a data set of the hub; or a file under content/, which ends in .csv",
        ),
        (
            "{source: data/no.csv, split: train}",
            "dataset.split: `split` goes with a data set of the hub only\n  help: choose rows of a file with `select`",
        ),
        (
            "{source: liar, split: train}",
            "dataset.split: `split` goes with a data set of the hub by its name only\n  help: LIAR comes whole; choose with `select: {where: {split: validation}}`",
        ),
        (
            "{source: liar, path: data/liar, revision: main}",
            "dataset.revision: `revision` goes with LIAR from the hub only\n  help: a folder has no revisions",
        ),
        (
            "{source: data/d.txt}",
            "`data/d.txt` is no kind of data file that igsite reads",
        ),
        (
            "{source: liar}",
            "dataset.source: the shelf has no `ucsbnlp/liar` at `refs/convert/parquet`\n  expected: the hub's data set `ucsbnlp/liar`, at revision `refs/convert/parquet` the files default/{train,test,validation}/0000.parquet\n  help: check the network and `revision`; or get liar_dataset.zip",
        ),
        (
            "{source: liar, path: data/liar}",
            "dataset.path: there is no folder `content/data/liar`",
        ),
        ("{id: id}", "dataset: there is neither `source` nor `rows`"),
        ("{rows: []}", "dataset.rows: found an empty list"),
        ("{rows: [1]}", "dataset.rows[0]: found the number `1`"),
    ] {
        let yaml = format!("models: [m]\ndataset: {dataset}\nprompt: [{{segment: a, text: b}}]\n");
        let errors = Site::new().file("content/experiments/e.yaml", &yaml).errors();
        let told = errors.iter().filter(|error| error.contains(message)).count();
        assert!(told == 1, "{dataset}: {errors:#?}");
        assert!(
            errors
                .iter()
                .all(|error| error.starts_with("content/experiments/e.yaml:2:")),
            "{dataset}: {errors:#?}"
        );
    }
}

#[test]
fn inline_values_stay_as_written() {
    let rows = "{rows: [{id: 1.0, text: True, n: 1.50, label: True, more: [1, x], not: }], id: id, gold: label}";
    let yaml = format!(
        "models: [m]\ndataset: {rows}\nprompt: [{{segment: a, text: '{{{{ text }}}} {{{{ n }}}}'}}]\noptions: {{A: True, B: true}}\n"
    );
    let project = Site::new().file("content/experiments/e.yaml", &yaml).project();
    let sample = &project.experiments[0].samples[0];
    assert_eq!(
        (sample.id.as_str(), sample.gold.as_deref(), sample.prompt.text.as_str()),
        ("1.0", Some("A"), "True 1.50")
    );
}

#[test]
fn hostile_rows_come_through_as_they_are() {
    let hostile = "<script>\"&'\u{202e}\u{0}👍\u{feff}".to_owned() + &"x".repeat(10_000);
    let line = serde_json::json!({"id": hostile, "text": hostile, "label": "true"}).to_string();
    let yaml = format!("models: [m]\ndataset: {{source: data/d.jsonl, id: id, gold: label}}\n{PROMPT}{OPTIONS}");
    let site = Site::new()
        .file("content/data/d.jsonl", &line)
        .file("content/experiments/e.yaml", &yaml);
    let project = site.project();
    let sample = &project.experiments[0].samples[0];
    assert_eq!(
        (sample.id.as_str(), sample.prompt.text.as_str()),
        (hostile.as_str(), format!("{hostile}? (").as_str())
    );
    assert!(name_problem(&sample.slug).is_none());
    assert_eq!(sample.prompt.segments[0].end, hostile.chars().count() + 3);
}

#[test]
fn every_kind_of_data_file_is_read() {
    for (name, text) in [
        ("d.csv", "id,text\n1.0,\"a, b\"\n"),
        ("d.TSV", "id\ttext\r\n1.0\t\"a, b\"\r\n"),
        ("d.jsonl", "{\"id\": 1.0, \"text\": \"a, b\"}\n"),
        ("deep/d.ndjson", "{\"id\": 1.0, \"text\": \"a, b\"}"),
    ] {
        let yaml = format!("models: [m]\ndataset: {{source: data/{name}, id: id}}\n{PROMPT}");
        let site = Site::new()
            .file(&format!("content/data/{name}"), text)
            .file("content/experiments/e.yaml", &yaml);
        let project = site.project();
        let sample = &project.experiments[0].samples[0];
        assert_eq!(
            (sample.id.as_str(), sample.prompt.text.as_str(), sample.gold.as_deref()),
            ("1.0", "a, b? (", None),
            "{name}"
        );
    }
}

#[test]
fn liar_is_found_from_content_from_the_file_or_anywhere() {
    let line = "1.json\ttrue\tSays x\ts\tann-lee\t\t\t\t0\t0\t0\t0\t0\tc";
    let site = Site::new();
    let anywhere = site.0.path().join("liar").display().to_string();
    for (folder, path) in [
        ("content/data/liar", "data/liar"),
        ("content/experiments/liar", "./liar"),
        ("liar", "../../liar"),
        ("liar", anywhere.as_str()),
    ] {
        let yaml = format!(
            "models: [m]\ndataset: {{source: liar, path: {path}, select: {{where: {{split: validation}}}}}}\nprompt: [{{segment: a, text: '{{{{ speaker | speaker_name }}}}: {{{{ statement | after_says }}}}'}}]\n"
        );
        let mut site = Site::new().file("content/experiments/e.yaml", &yaml);
        if path == anywhere {
            // The absolute path is that of the first project.
            for name in ["train.tsv", "test.tsv", "valid.tsv"] {
                std::fs::create_dir_all(&anywhere).unwrap();
                std::fs::write(Path::new(&anywhere).join(name), line).unwrap();
            }
        } else {
            for name in ["train.tsv", "test.tsv", "valid.tsv"] {
                site = site.file(&format!("{folder}/{name}"), line);
            }
        }
        let (project, _) = site.load(&Selection::default()).unwrap();
        let samples = &project.experiments[0].samples;
        assert_eq!(
            (samples.len(), samples[0].id.as_str(), samples[0].prompt.text.as_str()),
            (1, "row-2", "Ann Lee: x"),
            "{path}"
        );
    }
}

#[test]
fn a_broken_data_file_is_told_once_for_all_its_experiments() {
    let yaml = "models: [m]\ndataset: {source: data/d.csv}\nprompt: [{segment: a, text: x}]\n";
    let site = Site::new()
        .file("content/data/d.csv", "a,b\n1\n")
        .file("content/experiments/e.yaml", yaml)
        .file("content/experiments/f.yaml", yaml);
    assert_eq!(site.errors().len(), 1);
    let site = site.file("content/data/d.csv", "a,b\n");
    assert_eq!(site.errors(), ["content/data/d.csv: the data set has no rows"]);
}

#[test]
fn ten_repeated_ids_say_that_the_column_is_wrong() {
    let rows: String = (0..30).map(|row| format!("{},same\n", row % 2)).collect();
    let yaml = "models: [m]\ndataset: {source: data/d.csv, id: id}\nprompt: [{segment: a, text: '{{ text }}'}]\n";
    let site = Site::new()
        .file("content/data/d.csv", &format!("id,text\n{rows}"))
        .file("content/experiments/e.yaml", yaml);
    let errors = site.errors();
    assert_eq!(errors.len(), 11);
    assert!(
        errors
            .iter()
            .any(|error| error.contains("dataset.id: the column `id` has 28 empty or repeated ids")),
        "{errors:#?}"
    );
}
