//! Work that many processes share: projects to do it in, and stores whose parts tell no time.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use igsite::store::seal;
use serde_json::{Value, json};

use super::project::{EXPERIMENT, Project};

/// A project of two models, two experiments and so many prompts, of different lengths. With `steps` the work can be made
/// longer.
pub fn project(rows: usize, steps: usize) -> Project {
    let lines: String = (0..rows)
        .map(|row| {
            format!(
                "r{row},{},{}\n",
                if row % 3 == 0 { "no" } else { "yes" },
                "words ".repeat(1 + row * 7 % 5)
            )
        })
        .collect();
    Project::new()
        .model("tiny")
        .model("other")
        // Other weights, and so other keys.
        .file("content/models/other/config.json", {
            let mut config = super::tiny::config();
            config["rms_norm_eps"] = json!(1e-6);
            config.to_string()
        })
        .file("content/data/rows.csv", format!("id,label,statement\n{lines}"))
        .file(
            "content/experiments/first.yaml",
            EXPERIMENT
                .replace("models: [tiny]", "models: [tiny, other]")
                .replace("steps: 8", &format!("steps: {steps}\n  batch: 1")),
        )
        .file(
            "content/experiments/second.yaml",
            EXPERIMENT
                .replace("title: First", "title: Second")
                .replace(
                    "options:",
                    "generate: {prompt: \"{{ prompt }}x\", max_new_tokens: 3}\noptions:",
                )
                .replace(
                    "  gold: label",
                    &format!("  gold: label\n  select: {{count: {}, seed: 1}}", rows.min(5)),
                )
                .replace(
                    "  quadrature: gauss_legendre\n  steps: 8\n",
                    "  methods: [gradient_x_input, occlusion]\n  batch: 1\n",
                )
                + "faithfulness: {replacement: [eos], controls: [shuffled, parameters], beam: 0}\n",
        )
}

/// Maps of [`project`].
pub fn maps(rows: usize) -> usize {
    // Methods × targets × baselines; the first experiment has two models.
    2 * rows * 4 + 5.min(rows) * 8
}

/// The parts of a store, by name.
pub fn parts(store: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(store.join("store/v2")).sort_by_file_name();
    let files = walk.into_iter().flatten().filter(|entry| entry.file_type().is_file());
    files.map(walkdir::DirEntry::into_path).collect()
}

/// Gives all parts of a store the same time and duration, so that what is made of two stores can be compared byte by
/// byte: when a part was made is all in which two computations of it differ.
pub fn without_time(store: &Path) {
    for path in parts(store) {
        let text = std::fs::read_to_string(&path).unwrap();
        let value = seal::open(&text, "").unwrap_or_else(|| panic!("{} is damaged", path.display()));
        let mut value: Value = serde_json::from_str(value).unwrap();
        let provenance = &mut value["provenance"];
        assert!(
            provenance["seconds"].is_number() && provenance["created"].is_string(),
            "{value}"
        );
        provenance["seconds"] = json!(0.5);
        provenance["created"] = json!("2026-01-01T00:00:00Z");
        std::fs::write(&path, seal::seal(&value.to_string(), "")).unwrap();
    }
}

/// The site of a project whose store is whole, built without a model, every file with its bytes.
pub fn frozen_site(project: &Project) -> Vec<(String, Vec<u8>)> {
    without_time(&project.path(".igsite"));
    let ran = project.run(&["build", "--frozen", "--output", "compared"]);
    ran.ended(0);
    let site = project.files("compared");
    std::fs::remove_dir_all(project.path("compared")).unwrap();
    site
}

/// The names of the files in which two sites differ.
pub fn differing(one: &[(String, Vec<u8>)], other: &[(String, Vec<u8>)]) -> Vec<String> {
    let only = |these: &[(String, Vec<u8>)], those: &[(String, Vec<u8>)]| -> Vec<String> {
        let missing = these.iter().filter(|file| !those.contains(file));
        missing.map(|(name, _)| name.clone()).collect()
    };
    [only(one, other), only(other, one)].concat()
}

/// Starts the binary in a folder.
pub fn start(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_igsite"))
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}
