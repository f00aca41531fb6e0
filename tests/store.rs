//! `igsite store`: what is listed, verified, removed and merged.
mod support;

use std::fs;

use igsite::store::seal;
use serde_json::{Value, json};
use support::project::Project;
use support::shared_out::parts;

const BUILD: [&str; 3] = ["build", "--device", "cpu"];

fn attributions(project: &Project) -> Vec<std::path::PathBuf> {
    let all = parts(&project.path(".igsite")).into_iter();
    all.filter(|path| path.to_string_lossy().contains("attributions"))
        .collect()
}

#[test]
fn ls_says_who_uses_what() {
    let project = Project::small();
    project.run(&BUILD).ended(0);
    let ran = project.run(&["store", "ls"]);
    ran.ended(0);
    let line = |label: &str| {
        let found = ran.stdout.lines().find(|line| line.contains(label));
        found
            .unwrap_or_else(|| panic!("{label}: {}", ran.stdout))
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(line("experiment")[..4], ["experiment", "model", "of", "parts"]);
    assert_eq!(line("predictions")[..4], ["first", "tiny", "predictions", "3"]);
    assert_eq!(
        line("integrated_gradients")[..3],
        ["first", "tiny", "integrated_gradients"]
    );
    let count: usize = line("integrated_gradients")[3].parse().unwrap();
    assert_eq!(count, attributions(&project).len());
    // Another setting, and the old maps are nobody's.
    let project = project.edit("content/experiments/first.yaml", "steps: 8", "steps: 4");
    project.run(&BUILD).ended(0);
    let ran = project.run(&["store", "ls"]);
    assert!(ran.ended(0).contains("used by no experiment"), "{}", ran.stderr);
    assert!(
        ran.stdout
            .lines()
            .any(|line| line.starts_with('—') && line.contains("attributions")),
        "{}",
        ran.stdout
    );
}

#[test]
fn verify_reads_every_byte_and_sets_aside_what_is_damaged() {
    let project = Project::small();
    assert!(project.run(&["store", "verify"]).ended(2).contains("no record store"));
    project.run(&BUILD).ended(0);
    let site = project.files("site");
    let ran = project.run(&["store", "verify"]);
    ran.ended(0);
    assert!(ran.stdout.contains("all as they were written"), "{}", ran.stdout);
    // Every byte of a part, one bit at a time would take long: some of each.
    let paths = parts(&project.path(".igsite"));
    for (index, path) in paths.iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        let mut damaged = bytes.clone();
        let at = index * 131 % bytes.len();
        damaged[at] ^= 1;
        fs::write(path, &damaged).unwrap();
        let ran = project.run(&["store", "verify"]);
        let name = path.file_name().unwrap().to_str().unwrap();
        let said = ran.ended(1);
        assert!(
            said.contains(name) && said.contains("damaged") && ran.stdout.contains("1 damaged"),
            "{at}: {said}"
        );
        assert!(!path.exists());
        assert_eq!(
            fs::read(project.path(&format!(".igsite/damaged/{name}"))).unwrap(),
            damaged
        );
        fs::write(path, &bytes).unwrap();
    }
    // A part under another's name, and one that makes no sense.
    let two = attributions(&project);
    let text = fs::read_to_string(&two[0]).unwrap();
    fs::copy(&two[1], &two[0]).unwrap();
    assert!(
        project
            .run(&["store", "verify"])
            .ended(1)
            .contains("of another model, prompt or setting")
    );
    let mut value: Value = serde_json::from_str(seal::open(&text, "").unwrap()).unwrap();
    value["scores"] = json!([]);
    fs::write(&two[0], seal::seal(&value.to_string(), "")).unwrap();
    assert!(project.run(&["store", "verify"]).ended(1).contains("0 scores"));
    // A line of a plan: the others stay.
    let plan = ".igsite/plans/first/tiny.jsonl";
    let lines = project.read(plan);
    fs::write(
        project.path(plan),
        lines.replacen("\"sample\":\"b\"", "\"sample\":\"x\"", 1),
    )
    .unwrap();
    let ran = project.run(&["store", "verify"]);
    assert!(ran.ended(1).contains("line 3 is damaged"), "{}", ran.stderr);
    assert_eq!(project.read(plan).lines().count(), lines.lines().count() - 1);
    project.run(&["store", "verify"]).ended(0);
    // The next build makes anew what is lacking.
    let ran = project.run(&BUILD);
    assert!(ran.ended(0).contains("1 map computed"), "{}", ran.stderr);
    assert_eq!(project.read(plan), lines);
    assert_eq!(project.files("site").len(), site.len());
}

#[test]
fn gc_removes_what_no_experiment_uses_and_nothing_else() {
    let project = Project::small().file(
        "content/experiments/draft.yaml",
        support::project::EXPERIMENT
            .replace("title: First", "title: Draft\ndraft: true")
            .replace("steps: 8", "steps: 6"),
    );
    project.run(&[&BUILD[..], &["--drafts"]].concat()).ended(0);
    let used = parts(&project.path(".igsite"));
    let ran = project.run(&["store", "gc"]);
    assert!(
        ran.ended(0).contains("0 files") && ran.stdout.is_empty(),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    // Maps of another setting, a plan of an experiment that is gone, a leftover, and what somebody put there.
    let project = project.edit("content/experiments/first.yaml", "steps: 8", "steps: 4");
    project.run(&[&BUILD[..], &["--drafts"]].concat()).ended(0);
    let project = project.edit("content/experiments/first.yaml", "steps: 4", "steps: 8");
    let project = project
        .file(".igsite/plans/gone/tiny.jsonl", "old")
        .file(".igsite/store/v1/predictions/ab/old.json", "{}")
        .file(".igsite/store/notes.txt", "mine");
    let all = parts(&project.path(".igsite"));
    assert!(all.len() > used.len());
    let dry = project.run(&["store", "gc", "--dry-run"]);
    assert!(dry.ended(0).contains("would be removed"), "{}", dry.stderr);
    assert_eq!(dry.stdout.lines().count(), all.len() - used.len() + 2, "{}", dry.stdout);
    assert_eq!(parts(&project.path(".igsite")), all);
    let ran = project.run(&["store", "gc"]);
    assert_eq!(ran.stdout, dry.stdout);
    assert!(ran.ended(0).contains("notes.txt"), "{}", ran.stderr);
    assert_eq!(parts(&project.path(".igsite")), used);
    assert!(project.path(".igsite/store/notes.txt").exists());
    assert!(!project.path(".igsite/plans/gone/tiny.jsonl").exists());
    let ran = project.run(&[&BUILD[..], &["--drafts"]].concat());
    assert!(ran.ended(0).contains("0 maps computed"), "{}", ran.stderr);
    // Without the model it knows by the plans; without these it removes nothing.
    fs::rename(project.path("content/models/tiny"), project.path("content/models/away")).unwrap();
    project.run(&["store", "gc"]).ended(0);
    assert_eq!(parts(&project.path(".igsite")), used);
    fs::remove_dir_all(project.path(".igsite/plans")).unwrap();
    let ran = project.run(&["store", "gc"]);
    assert!(ran.ended(2).contains("is not known here"), "{}", ran.stderr);
    assert_eq!(parts(&project.path(".igsite")), used);
}

#[test]
fn gc_keeps_what_tests_and_generated_texts_need() {
    let project = support::shared_out::project(3, 4);
    project.run(&["compute", "--device", "cpu"]).ended(0);
    let all = parts(&project.path(".igsite"));
    let ran = project.run(&["store", "gc"]);
    assert!(ran.ended(0).contains("0 files"), "{}", ran.stdout);
    assert_eq!(parts(&project.path(".igsite")), all);
}

#[test]
fn conflicts_are_told_with_both() {
    let (here, there) = (Project::small(), Project::small());
    here.run(&BUILD).ended(0);
    there.run(&BUILD).ended(0);
    let from = there.path(".").display().to_string();
    let merged = here.run(&["store", "merge", &from]);
    let said = merged.ended(0);
    assert!(
        said.contains("0 parts copied") && said.contains("computed twice with the same numbers"),
        "{said}"
    );
    // Other numbers under the same name.
    let path = attributions(&there)[0].clone();
    let mut value: Value = serde_json::from_str(seal::open(&fs::read_to_string(&path).unwrap(), "").unwrap()).unwrap();
    value["evaluations"] = json!(value["evaluations"].as_u64().unwrap() + 1);
    value["history"] = json!([]);
    fs::write(&path, seal::seal(&value.to_string(), "")).unwrap();
    let ours = here
        .path(".igsite")
        .join(path.strip_prefix(there.path(".igsite")).unwrap());
    let before = fs::read(&ours).unwrap();
    let merged = here.run(&["store", "merge", &from]);
    let said = merged.ended(1);
    assert!(
        said.contains("evaluations") && said.contains(&path.display().to_string()),
        "{said}"
    );
    assert!(said.contains(path.file_name().unwrap().to_str().unwrap()), "{said}");
    assert_eq!(fs::read(&ours).unwrap(), before);
    // A damaged part is not taken, and the rest is.
    let empty = Project::small();
    fs::write(&path, "torn").unwrap();
    let merged = empty.run(&["store", "merge", &from]);
    assert!(merged.ended(1).contains("is not copied"), "{}", merged.stderr);
    assert_eq!(
        parts(&empty.path(".igsite")).len(),
        parts(&there.path(".igsite")).len() - 1
    );
    assert!(
        empty
            .run(&["build", "--device", "cpu"])
            .ended(0)
            .contains("1 map computed")
    );
}
