//! A project whose site has every kind of page, for the checks in a browser: two models that differ, text of all
//! kinds, maps that converged, that did not and that are marked, and a table of samples that is long enough to come in
//! parts.
#![allow(dead_code, reason = "each program uses a part")]

use std::fmt::Write;

use super::project::Project;
use super::tiny;

/// Samples of the long table.
pub const LONG: usize = 300;

/// The project.
pub fn project() -> Project {
    let project = Project::new()
        .model("tiny")
        .model("other")
        .model("broken")
        .file(
            "content/models/other.yaml",
            "title: \"Another <model> & its name\"\nsource: ./other\n",
        )
        .file("content/models/broken.yaml", "title: Broken\nsource: ./broken\n")
        .file("content/about.md", ABOUT)
        .file("content/data/rows.csv", ROWS)
        .file("content/data/long.csv", long())
        .file(
            "content/experiments/first.yaml",
            asked("First", "{A: yes, B: no}", FIRST),
        )
        .file("content/experiments/long.yaml", MANY)
        .file("content/experiments/marked.yaml", MARKED)
        // Its options are what the models predict, as far as models without training predict anything.
        .file(
            "content/experiments/told.yaml",
            asked(
                "Told",
                "{a: yes, z: no, '5': maybe}",
                "{targets: [predicted], baselines: [mean], quadrature: gauss_legendre, steps: 4}",
            ),
        );
    // Other weights, so that the models' maps and answers differ.
    let mut tensors = tiny::tensors();
    for (name, (_, values)) in &mut tensors {
        if name.contains("mlp.up_proj") || name.contains("lm_head") {
            values.reverse();
        }
    }
    tiny::write_safetensors(&project.path("content/models/other/model.safetensors"), &tensors);
    // RMSNorm's slope at zero is 1/√ε: with this ε it overflows at the start of a path from the zero vector.
    let mut config = tiny::config();
    config["rms_norm_eps"] = serde_json::json!(1e-44);
    project.file("content/models/broken/config.json", config.to_string())
}

fn long() -> String {
    let mut rows = String::from("id,label,statement\n");
    for row in 0..LONG {
        let label = if row % 3 == 0 { "yes" } else { "no" };
        let _ = writeln!(rows, "row-{row},{label},Statement {row} of many");
    }
    rows
}

const ROWS: &str = "id,label,statement\n\
    a,yes,The sky is blue. It is so in summer.\n\
    b,no,Says grass is red\n\
    c,yes,Ünïcode 🦀 too\n\
    d,no,\"<script>alert(1)</script> & \"\"quotes\"\"\"\n\
    e,yes,שלום and what follows it\n\
    f,no,Pneumonoultramicroscopicsilicovolcanoconiosisisawordwithoutasingleblankinitthatmustnotwidenapage\n";

const ABOUT: &str = "---\ntitle: About\n---\n# About\n\nA page of its own, with `code`.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n\
    | c | d |\n|---|---|\n| 3 | 4 |\n\n```\na line of code that is long enough to need a region that scrolls by itself on a phone, and not the page\n```\n";

/// An experiment on the rows with every kind of text.
fn asked(title: &str, options: &str, attribution: &str) -> String {
    format!(
        r#"title: {title}
description: "A small experiment, with *every* kind of text."
models: [tiny, other]
dataset: {{source: data/rows.csv, id: id, gold: label}}
prompt:
  - {{segment: instruction, text: "Is this so?\n"}}
  - {{segment: claim, text: "{{{{ statement | after_says }}}}"}}
  - {{segment: options, text: "\nA) Yes\nB) No"}}
  - {{segment: answer, text: "\n\nChoice: ("}}
options: {options}
attribution: {attribution}
"#
    )
}

const FIRST: &str = "{targets: [predicted, gold, {contrast: [A, B]}], baselines: [mean, zero], max_evaluations: 60}";

const MANY: &str = r#"title: Long
models: [tiny, other]
dataset: {source: data/long.csv, id: id, gold: label}
prompt:
  - {segment: claim, text: "{{ statement }}"}
  - {segment: answer, text: "? ("}
options: {A: yes, B: no}
attribution: {targets: [predicted], baselines: [mean], quadrature: gauss_legendre, steps: 1}
"#;

const MARKED: &str = r#"title: Marked
models: [broken, tiny]
dataset: {source: data/rows.csv, id: id, gold: label, select: {ids: [a, b]}}
prompt:
  - {segment: claim, text: "{{ statement }}"}
  - {segment: answer, text: "? ("}
options: {A: yes, B: no}
attribution: {targets: [predicted], baselines: [zero], quadrature: riemann_left, steps: 8}
"#;
