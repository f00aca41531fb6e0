//! What data sets, YAML and prompts get wrong in silence elsewhere: each is an error or a warning that says what to do.
mod support;

use std::time::{Duration, Instant};

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::Int96;
use serde_json::Value;
use support::json;
use support::parquet_file::{Column, Values, write};
use support::project::{EXPERIMENT, Project};

/// An experiment without options on a data file.
fn project(file: &str, bytes: impl AsRef<[u8]>, prompt: &str) -> Project {
    Project::new()
        .model("tiny")
        .file(&format!("content/data/{file}"), bytes)
        .file(
            "content/experiments/e.yaml",
            format!(
                "models: [tiny]\ndataset: {{source: data/{file}, id: id}}\nprompt:\n  - segment: claim\n    text: {prompt}\nattribution: {{quadrature: gauss_legendre, steps: 2}}\n"
            ),
        )
}

const CLAIM: &str = "\"Claim: {{ statement }} (\"";

fn record(project: &Project, sample: &str) -> Value {
    json(&project.path(&format!("site/data/e/tiny/{sample}.json")))
}

#[test]
fn null_in_a_prompts_column_is_an_error() {
    let rows = "{\"id\": \"r\", \"statement\": \"x\", \"note\": null}\n{\"id\": \"s\", \"statement\": null}\n";
    let said = project("d.jsonl", rows, CLAIM);
    let said = said.run(&["check"]);
    let said = said.ended(2);
    assert!(
        said.contains("row 1 has no value in the column `statement`: it is null (content/data/d.jsonl, line 2)"),
        "{said}"
    );
    assert!(said.contains("default(value=\"\")"), "{said}");
    // Where the template asks for it, and in columns that no template mentions, null is fine.
    let asks = project("d.jsonl", rows, "\"Claim: {{ statement | default(value='none') }} (\"");
    asks.run(&["build"]).ended(0);
    assert_eq!(record(&asks, "s")["prompt"], "Claim: none (");
    // NaN of a data frame is null.
    let file = project("d.parquet", "", CLAIM);
    write(
        &file.path("content/data/d.parquet"),
        "message m { required binary id (UTF8); required double statement; }",
        &[Column::text(["r"]), Column::new(Values::Double(vec![f64::NAN]))],
        Compression::SNAPPY,
        None,
    );
    let said = file.run(&["check"]);
    assert!(said.ended(2).contains("`statement`: it is null"), "{}", said.stderr);
    // In a CSV an empty cell is an empty text.
    let empty = project("d.csv", "id,statement\nr,\n", CLAIM);
    let said = empty.run(&["build"]);
    assert!(
        said.ended(0)
            .contains("content/data/d.csv:2:1: row 0: `statement` is empty here, and the prompt shows it"),
        "{}",
        said.stderr
    );
    assert_eq!(record(&empty, "r")["prompt"], "Claim:  (");
}

#[test]
fn cells_that_are_not_what_they_seem_are_told() {
    let rows =
        "{\"id\": \"r\", \"statement\": \"nan\", \"tags\": [\"a\", \"b\"]}\n{\"id\": \"s\", \"statement\": \"None\"}\n";
    let said = project("d.jsonl", rows, CLAIM).run(&["check"]);
    assert!(
        said.ended(0).contains("row 0: `statement` is the text `nan` here (and so in 1 more rows), which is how programs write a missing value"),
        "{}",
        said.stderr
    );
    let said = project("d.jsonl", rows, "\"{{ id }} {% if tags %}{{ tags }}{% endif %}\"").run(&["check"]);
    assert!(
        said.ended(0)
            .contains("`tags` is a list or a mapping, and the prompt has it as `[\"a\", \"b\"]`"),
        "{}",
        said.stderr
    );
    let said = project(
        "d.jsonl",
        rows,
        "\"{{ id }} {% if tags %}{{ tags | join(sep=', ') }}{% endif %}\"",
    )
    .run(&["check"]);
    assert!(!said.ended(0).contains("warning"), "{}", said.stderr);
}

#[test]
fn a_prompt_that_mentions_no_column_is_a_warning() {
    let rows = "{\"id\": \"r\", \"statement\": \"x\"}\n{\"id\": \"s\", \"statement\": \"x\"}\n";
    let cut = project("d.jsonl", rows, "Rule #1 is about {{ statement }}");
    let said = cut.run(&["check"]);
    let said = said.ended(0);
    assert!(
        said.contains("the prompt mentions no column of the data: all 2 samples get the same prompt"),
        "{said}"
    );
    assert!(
        said.contains("this text ends in `Rule`: to YAML, ` #` begins a comment, `#1 is about {{ statement }}`"),
        "{said}"
    );
    // Cut behind a column, it is still told; in quotes it is text; and rows that say the same are no fault.
    let said = project("d.jsonl", rows, "{{ statement }} is rule #1").run(&["check"]);
    assert!(said.ended(2).contains("quotes"), "{}", said.stderr);
    let said = project("d.jsonl", rows, "On {{ statement }} see rule #1").run(&["check"]);
    assert!(said.ended(0).contains("this text ends in"), "{}", said.stderr);
    let said = project("d.jsonl", rows, "\"Rule #1: {{ statement }}\"").run(&["check"]);
    assert!(!said.ended(0).contains("warning"), "{}", said.stderr);
    let said = project("d.jsonl", rows, "\"{id}: {{ statement }}\"").run(&["check"]);
    assert!(said.ended(0).contains("`{id}` is text here"), "{}", said.stderr);
    // A name that no column has is false in a condition.
    let said = project("d.jsonl", rows, "\"{% if statment %}x{% endif %}{{ statement }}\"").run(&["check"]);
    let said = said.ended(0);
    assert!(
        said.contains("warning") && said.contains("no column `statment`") && said.contains("did you mean `statement`?"),
        "{said}"
    );
}

#[test]
fn templates_without_quotes_are_told_to_have_them() {
    let said = project("d.jsonl", "{\"id\": \"r\", \"statement\": \"x\"}\n", "{{ statement }}").run(&["check"]);
    assert!(
        said.ended(2).contains("help: put a template between quotes"),
        "{}",
        said.stderr
    );
}

#[test]
fn columns_that_no_template_can_name_are_had_from_the_row() {
    let rows = "id,job title\nr,Mayor\n";
    let said = project("d.csv", rows, "\"Claim: {{ job_title }} (\"").run(&["check"]);
    let said = said.ended(2);
    assert!(
        said.contains("write `{{ row[\"job title\"] }}`, or rename the column"),
        "{said}"
    );
    let said = project("d.csv", rows, "\"Claim: {{ job title }} (\"").run(&["check"]);
    assert!(said.ended(2).contains("row["), "{}", said.stderr);
    let named = project("d.csv", rows, "'Claim: {{ row[\"job title\"] }} ('");
    named.run(&["build"]).ended(0);
    assert_eq!(record(&named, "r")["prompt"], "Claim: Mayor (");
}

#[test]
fn gold_values_that_differ_in_their_writing_are_told_so() {
    for (cell, why) in [
        ("True", "only the case differs"),
        ("true ", "blanks"),
        ("1", "truth value"),
    ] {
        let said = Project::small()
            .file("content/data/rows.csv", format!("id,label,statement\na,{cell},x\n"))
            .file(
                "content/experiments/first.yaml",
                EXPERIMENT.replace("{A: yes, B: no}", "{A: true, B: false}"),
            )
            .run(&["check"]);
        let said = said.ended(2);
        assert!(
            said.contains(why) && said.contains(&format!("write `{cell}` in `options`")),
            "{said}"
        );
    }
}

#[test]
fn the_index_of_a_data_frame_is_a_column() {
    let index = project("d.csv", ",id,statement\n0,r,Taxes fell.\n", CLAIM);
    index.run(&["build"]).ended(0);
    let record = record(&index, "r");
    assert_eq!(record["prompt"], "Claim: Taxes fell. (");
    assert_eq!(record["sample"]["fields"]["Unnamed: 0"], "0");
}

#[test]
fn data_that_are_something_else_are_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    for (file, bytes, words) in [
        ("d.csv", pointer.as_bytes(), &["pointer of Git LFS", "git lfs pull"][..]),
        ("d.jsonl", pointer.as_bytes(), &["pointer of Git LFS", "git lfs pull"]),
        ("d.parquet", pointer.as_bytes(), &["pointer of Git LFS", "git lfs pull"]),
        (
            "d.jsonl",
            b"{\"id\": \"r\", \"statement\": NaN}\n",
            &["`NaN` is no JSON value", "write `null`"],
        ),
        (
            "d.jsonl",
            b"[{\"id\": \"r\"}]\n",
            &["a list begins here", "one object a line"],
        ),
        (
            "d.jsonl",
            b"{\n\"id\": \"r\"\n}\n",
            &["goes on on other lines", "one object a line"],
        ),
        ("d.csv", b"\xff\xfei\0d\0", &["UTF-16", "UTF-8"]),
        ("d.csv", b"id;statement\nr;x\n", &["has `;`", "to_csv"]),
        ("d.csv", b"", &["the file is empty"]),
        ("d.csv", b"id,statement\n", &["has no rows"]),
        ("d.csv", b"id,id\nr,x\n", &["two columns have the name `id`"]),
    ] {
        let said = project(file, bytes, CLAIM).run(&["check"]);
        let said = said.ended(2);
        assert!(words.iter().all(|word| said.contains(word)), "{file}: {said}");
    }
}

#[test]
fn old_timestamps_of_parquet_are_read_in_full() {
    let project = project("d.parquet", "", CLAIM);
    let at = |nanoseconds: u64, day| {
        let mut value = Int96::new();
        value.set_data(nanoseconds as u32, (nanoseconds >> 32) as u32, day);
        value
    };
    // 2019-02-12 is the Julian day 2458527.
    let times = vec![at(70_400_123_456_789, 2_458_527), at(1, 2_440_587), at(0, 2_440_588)];
    write(
        &project.path("content/data/d.parquet"),
        "message m { required binary id (UTF8); optional int96 statement; optional group more (LIST) { repeated group list { optional int96 element; } } }",
        &[
            Column::text(["r", "s", "t"]),
            Column::new(Values::Old(times[..2].to_vec())).levels(&[1, 0, 1], None),
            Column::new(Values::Old(times)).levels(&[3, 2, 3, 1, 3], Some(&[0, 1, 1, 0, 0])),
        ],
        Compression::SNAPPY,
        None,
    );
    let project = project.edit("content/experiments/e.yaml", "{{ statement }}", "{{ id }}");
    project.run(&["build"]).ended(0);
    let fields = |sample: &str| record(&project, sample)["sample"]["fields"].clone();
    assert_eq!(fields("r")["statement"], "2019-02-12T19:33:20.123456789");
    assert_eq!(fields("s")["statement"], Value::Null);
    assert_eq!(fields("t")["statement"], "1969-12-31T00:00:00.000000001");
    assert_eq!(
        fields("r")["more"],
        serde_json::json!(["2019-02-12T19:33:20.123456789", null, "1969-12-31T00:00:00.000000001"])
    );
    assert_eq!(fields("s")["more"], serde_json::json!([]));
    assert_eq!(fields("t")["more"], serde_json::json!(["1970-01-01T00:00:00"]));
}

/// Runs `check` with so much address space, and gives what it said and how long it took.
#[cfg(target_os = "linux")]
fn check_within(project: &Project, megabytes: u64) -> (Option<i32>, String, Duration) {
    let began = Instant::now();
    let done = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!(
            "ulimit -v {}; exec \"$0\" --project \"$1\" check",
            megabytes * 1024
        ))
        .arg(env!("CARGO_BIN_EXE_igsite"))
        .arg(project.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    (done.status.code(), said, began.elapsed())
}

#[cfg(target_os = "linux")]
#[test]
fn small_files_that_stand_for_gigabytes_are_refused() {
    let compression = || Compression::ZSTD(ZstdLevel::default());
    let text = project("d.parquet", "", CLAIM);
    let long = "long text ".repeat(8_000_000);
    write(
        &text.path("content/data/d.parquet"),
        "message m { required binary id (UTF8); required binary statement (UTF8); }",
        &[Column::text(["r"]), Column::text([long.as_str()])],
        compression(),
        None,
    );
    let rows = project("d.parquet", "", CLAIM).edit("content/experiments/e.yaml", "id: id}", "select: {count: 1}}");
    write(
        &rows.path("content/data/d.parquet"),
        "message m { required boolean statement; }",
        &[Column::new(Values::Truth(vec![true; 4_000_000]))],
        compression(),
        None,
    );
    for (project, what) in [
        (&text, "unpacked, its columns up to `statement` are"),
        (&rows, "its rows take more than"),
    ] {
        let size = std::fs::metadata(project.path("content/data/d.parquet")).unwrap().len();
        assert!(size < 400_000, "{what}: {size}");
        let (code, said, took) = check_within(project, 1000);
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains(what) && said.contains("into a file of their own"),
            "{said}"
        );
        assert!(took < Duration::from_secs(10), "{what}: {took:?}");
    }
}

#[cfg(unix)]
#[test]
fn pipes_under_content_are_refused_by_name() {
    for place in [
        "content/experiments/e.yaml",
        "content/models/tiny.yaml",
        "content/data/d.csv",
        "content/page.md",
        "static/x.html",
        "templates/page.html",
    ] {
        let project = project("d.csv", "id,statement\nr,x\n", CLAIM);
        let path = project.path(place);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        _ = std::fs::remove_file(&path);
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        for command in [&["check"][..], &["build"]] {
            let said = project.run(command);
            let said = said.ended(2);
            assert!(said.contains(place) && said.contains("a named pipe"), "{place}: {said}");
        }
    }
}

#[test]
fn cells_that_a_spreadsheet_would_run_are_exact_and_the_page_says_so() {
    let formula = "=HYPERLINK(\"http://evil.example/\",\"x\")";
    let rows = serde_json::json!({"id": formula, "statement": "=1+1"}).to_string();
    let project = project("d.jsonl", rows, CLAIM);
    project.run(&["build"]).ended(0);
    let csv = project.read("site/data/e.csv");
    let mut csv = csv::Reader::from_reader(csv.as_bytes());
    let first = csv.records().next().unwrap().unwrap();
    assert_eq!(&first[2], formula);
    assert!(
        project
            .read("site/experiments/e/index.html")
            .contains("a spreadsheet takes one that begins with <code>=</code>")
    );
}
