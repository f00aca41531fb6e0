//! A row of hostile text goes through the whole build and comes out as text everywhere.
mod support;

use serde_json::{Value, json};
use support::project::{EXPERIMENT, Project};

const ID: &str = "</script><script>alert(1)</script>\"'&/../\u{202e}é";
const CLAIM: &str = "<script>alert(\"x\")</script> & \"quoted\" \u{202e}right to left\u{202c} 🦀\u{200f} \u{0} {{ 1 + 1 }} <mark onclick=x>\u{feff}";

fn built() -> Project {
    let long = "long & <i>".repeat(1000);
    let row = json!({"id": ID, "label": "yes", "statement": CLAIM, "note": long});
    let plain = json!({"id": "plain", "label": "no", "statement": "nothing odd", "note": ""});
    let project = Project::small()
        .file("content/data/rows.jsonl", format!("{row}\n{plain}\n"))
        .file(
            "content/experiments/first.yaml",
            EXPERIMENT.replace("rows.csv", "rows.jsonl"),
        );
    project.run(&["build", "--device", "cpu"]).ended(0);
    project
}

#[test]
fn hostile_text_is_text_in_every_file_of_the_site() {
    let project = built();
    let files = project.files("site");
    let mut pages = 0;
    for (path, bytes) in &files {
        let text = String::from_utf8(bytes.clone()).unwrap_or_else(|_| panic!("{path} is not UTF-8"));
        assert!(path.is_ascii() && !path.contains('<'), "{path}");
        if path.ends_with(".html") {
            pages += 1;
            // Markup that the data brought would show up unescaped; what igsite itself writes has no such thing.
            for markup in ["<script>alert", "<mark onclick", "<i>long", "{{ 1 + 1 }}<", "\"x\")<"] {
                assert!(!text.contains(markup), "{path}: {markup}");
            }
            assert!(!text.contains('\u{0}'), "{path} has a NUL, which HTML forbids");
        }
    }
    assert!(pages >= 8);
    let sample = files
        .iter()
        .find(|(path, _)| path.contains("/maps/tiny/") && !path.contains("plain"))
        .unwrap();
    let page = String::from_utf8(sample.1.clone()).unwrap();
    assert!(
        page.contains("&lt;") && page.contains('🦀') && page.contains('␀'),
        "{}",
        sample.0
    );
}

#[test]
fn data_files_hold_it_exactly() {
    let project = built();
    let files = project.files("site/data");
    let (_, bytes) = files
        .iter()
        .find(|(path, _)| path.ends_with(".json") && !path.contains("plain"))
        .unwrap();
    let record: Value = serde_json::from_slice(bytes).unwrap();
    assert_eq!(record["sample"]["id"], ID);
    assert_eq!(record["sample"]["fields"]["statement"], CLAIM);
    assert_eq!(
        record["sample"]["fields"]["note"].as_str().unwrap().chars().count(),
        10_000
    );
    let prompt: Vec<char> = record["prompt"].as_str().unwrap().chars().collect();
    assert_eq!(
        prompt.iter().collect::<String>(),
        format!("Is this so?\n{CLAIM}\n\nChoice: (")
    );
    // Spans count characters and cover the prompt in order.
    let mut end = 0;
    for token in record["tokens"].as_array().unwrap() {
        let (from, to) = (
            token["start"].as_u64().unwrap() as usize,
            token["end"].as_u64().unwrap() as usize,
        );
        assert!(from <= to && to <= prompt.len() && from <= end.max(from), "{token}");
        end = end.max(to);
    }
    assert_eq!(end, prompt.len());

    let lines = project.read("site/data/first.jsonl");
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["sample"]["id"], ID);
    let mut table = csv::Reader::from_path(project.path("site/data/first.csv")).unwrap();
    let columns = table.headers().unwrap().clone();
    let column = columns
        .iter()
        .position(|name| name == "sample")
        .unwrap_or_else(|| panic!("{columns:?}"));
    let samples: Vec<String> = table.records().map(|row| row.unwrap()[column].to_owned()).collect();
    assert!(samples.iter().any(|id| id == ID) && samples.iter().any(|id| id == "plain"));
}
