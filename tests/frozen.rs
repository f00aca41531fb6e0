//! `build --frozen`, the unchanged rebuild, and what a failed build leaves: the binary on small projects.
mod support;

use std::fs;
use std::time::{Duration, SystemTime};

use support::project::{EXPERIMENT, Project};

const FIRST: &str = "content/experiments/first.yaml";
const BUILD: [&str; 3] = ["build", "--device", "cpu"];
const FROZEN: [&str; 2] = ["build", "--frozen"];

/// A project that was built, and its site.
fn built(project: Project) -> (Project, Vec<(String, Vec<u8>)>) {
    project.run(&BUILD).ended(0);
    let site = project.files("site");
    (project, site)
}

fn remove(project: &Project, folder: &str) {
    fs::remove_dir_all(project.path(folder)).unwrap();
}

/// Every file of the store under a folder, by path.
fn parts(project: &Project, folder: &str) -> Vec<String> {
    let files = project.files(&format!(".igsite/store/v2/{folder}"));
    files
        .into_iter()
        .map(|(name, _)| format!(".igsite/store/v2/{folder}/{name}"))
        .collect()
}

#[test]
fn without_the_model_a_frozen_build_writes_the_same_bytes() {
    let (project, site) = built(Project::small());
    remove(&project, "content/models/tiny");
    remove(&project, "site");
    // What git does not carry.
    fs::remove_dir_all(project.path(".igsite/hashes")).ok();
    fs::remove_file(project.path(".igsite/last-build.json")).ok();
    let ran = project.run(&FROZEN);
    assert!(
        ran.ended(0).contains("0 models loaded, 0 maps computed, 12 kept"),
        "{}",
        ran.stderr
    );
    assert_eq!(project.files("site"), site);
    // Without --frozen, the model is needed.
    project.run(&BUILD).ended(2);
    // Titles, descriptions and pages are no part of the plan.
    let project = project
        .edit(FIRST, "title: First", "title: Another\ndescription: More of it.")
        .file("content/about.md", "# About\n");
    project.run(&FROZEN).ended(0);
    assert!(
        project
            .read("site/experiments/first/index.html")
            .contains("More of it.")
    );
    assert!(project.path("site/about/index.html").is_file());
}

#[test]
fn chat_generation_and_answers_of_several_tokens_need_no_model_either() {
    let template = "{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}";
    let config = serde_json::json!({"chat_template": template, "bos_token": "<s>"}).to_string();
    let yaml = EXPERIMENT
        .replace("{A: yes, B: no}", "{Ay: yes, Bee: no}")
        .replace(
            "  targets: [predicted, gold]",
            "  output: log_probability\n  targets: [predicted, all_options, {contrast: [{token: \"z\"}, predicted]}]",
        )
        .replace(
            "options:",
            "prompt_style: chat\ngenerate: {prompt: \"{{ prompt }}{{ answer }}\", max_new_tokens: 3}\noptions:",
        );
    let (project, site) = built(
        Project::small()
            .file("content/models/tiny/tokenizer_config.json", config)
            .file(FIRST, yaml),
    );
    let fresh = project.run(&BUILD);
    assert!(fresh.ended(0).contains("0 maps computed"), "{}", fresh.stderr);
    remove(&project, "content/models/tiny");
    remove(&project, "site");
    project.run(&FROZEN).ended(0);
    assert_eq!(project.files("site"), site);
}

#[test]
fn what_is_missing_or_stale_is_refused_with_its_count() {
    let (project, site) = built(Project::small());
    remove(&project, "content/models/tiny");
    let refused = |project: &Project, expected: &[&str]| {
        let ran = project.run(&FROZEN);
        for text in [&["experiment `first`, model `tiny`", "igsite build"], expected].concat() {
            assert!(ran.ended(1).contains(text), "{text}: {}", ran.stderr);
        }
        assert_eq!(project.files("site"), site, "the old site stays as it was");
    };
    let project = project.edit("content/data/rows.csv", "grass is red", "grass is blue");
    refused(&project, &["1 of 3 samples", "`b`", "4 maps"]);
    let project = project.edit("content/data/rows.csv", "grass is blue", "grass is red");
    project.run(&FROZEN).ended(0);
    let project = project.edit(FIRST, "Is this so?", "Is it so?");
    refused(&project, &["3 of 3 samples", "12 maps"]);
    let project = project
        .edit(FIRST, "Is it so?", "Is this so?")
        .edit(FIRST, "[mean, zero]", "[zero, mean]");
    refused(&project, &["baselines"]);
    let project = project
        .edit(FIRST, "[zero, mean]", "[mean, zero]")
        .edit(FIRST, "steps: 8", "steps: 9");
    refused(&project, &["12 of 12 maps are not in the record store"]);
    let project = project.edit(FIRST, "steps: 9", "steps: 8");
    let project = project.edit(
        "content/models/tiny.yaml",
        "source: ./tiny",
        "source: ./tiny\ndtype: bf16",
    );
    refused(&project, &["dtype"]);
    let project = project.edit("content/models/tiny.yaml", "\ndtype: bf16", "");
    let part = parts(&project, "attributions").remove(0);
    fs::remove_file(project.path(&part)).unwrap();
    refused(&project, &["of 12 maps are not in the record store"]);
    remove(&project, ".igsite/plans");
    refused(&project, &["no plan is kept", ".igsite/plans/first/tiny.jsonl"]);
}

#[test]
fn a_kept_plan_is_small_and_the_same_each_time() {
    let (project, _) = built(Project::small());
    let plan = project.read(".igsite/plans/first/tiny.jsonl");
    assert_eq!(plan.lines().count(), 4);
    for line in plan.lines() {
        assert!(line.len() < 2_000, "{} bytes: {line}", line.len());
    }
    let (other, _) = built(Project::small());
    assert_eq!(other.read(".igsite/plans/first/tiny.jsonl"), plan);
    // A damaged line costs that sample's tokens, and is mended.
    let project = project.file(
        ".igsite/plans/first/tiny.jsonl",
        plan.replacen("\"sample\":\"b\"", "<<<<<<< \"b\"", 1),
    );
    project.run(&FROZEN).ended(1);
    project.run(&BUILD).ended(0);
    assert_eq!(project.read(".igsite/plans/first/tiny.jsonl"), plan);
}

#[test]
fn an_unchanged_build_is_known_by_all_that_it_depends_on() {
    let (project, site) = built(
        Project::small()
            .file("static/note.txt", "a")
            .file("templates/extra.html", "a"),
    );
    // What changed on the way, by what --verbose says; nothing for a build that had nothing to do.
    let changed = |project: &Project| {
        let ran = project.run(&[&BUILD[..], &["--verbose"]].concat());
        ran.ended(0);
        let found = ran
            .stderr
            .lines()
            .find_map(|line| line.strip_prefix("changed since the last build: "));
        found.map(str::to_owned)
    };
    assert_eq!(changed(&project), None);
    let ran = project.run(&BUILD);
    let files = site.len() - 1;
    let expected = format!("0 models loaded, 0 maps computed, 12 kept; 0 files written, {files} unchanged, 0 removed");
    assert!(ran.ended(0).contains(&expected), "{}", ran.stderr);
    assert_eq!(project.files("site"), site);

    let project = project.edit(FIRST, "title: First", "title: Other");
    assert_eq!(changed(&project).as_deref(), Some("content/"));
    let project = project.file("static/note.txt", "b");
    assert_eq!(changed(&project).as_deref(), Some("static/"));
    let project = project.file("templates/extra.html", "b");
    assert_eq!(changed(&project).as_deref(), Some("templates/"));
    assert_eq!(changed(&project), None);
    // Edited or removed by hand: healed.
    for page in ["site/index.html", "site/experiments/first/maps/tiny/a/index.html"] {
        let text = project.read(page);
        let project = &project;
        fs::write(project.path(page), text.to_uppercase()).unwrap();
        assert_eq!(changed(project).as_deref(), Some("the output folder"));
        assert_eq!(project.read(page), text);
        fs::remove_file(project.path(page)).unwrap();
        assert_eq!(changed(project).as_deref(), Some("the output folder"));
        assert_eq!(project.read(page), text);
    }
    // A part is gone: computed again, though the site would not need it.
    let part = parts(&project, "predictions").remove(0);
    fs::remove_file(project.path(&part)).unwrap();
    assert_eq!(changed(&project).as_deref(), Some("the record store"));
    assert!(project.path(&part).is_file());
    remove(&project, ".igsite/plans");
    assert_eq!(changed(&project).as_deref(), Some("the record store"));
    // A checkpoint of the same size and another time is hashed again.
    let config = fs::File::options()
        .append(true)
        .open(project.path("content/models/tiny/config.json"))
        .unwrap();
    config
        .set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    assert_eq!(changed(&project).as_deref(), Some("the model `tiny`"));
    assert_eq!(changed(&project), None);
    project
        .run(&[&BUILD[..], &["--base-url", "https://x.org/"]].concat())
        .ended(0);
    assert_eq!(changed(&project).as_deref(), Some("the options"));
}

#[test]
fn an_unchanged_build_still_says_what_is_odd_and_keeps_its_exit_status() {
    let mut config = support::tiny::config();
    config["max_position_embeddings"] = serde_json::json!(32);
    let project = Project::small()
        .file("content/models/tiny/config.json", config.to_string())
        .edit(FIRST, "steps: 8", "steps: 1");
    let arguments = [&BUILD[..], &["--strict"]].concat();
    let said = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.contains("loaded"));
        lines.map(str::to_owned).collect()
    };
    let first = project.run(&arguments);
    let again = project.run(&arguments);
    assert!(again.ended(3).contains("0 files written"), "{}", again.stderr);
    assert!(
        again.stderr.contains("more than the model was made for"),
        "{}",
        again.stderr
    );
    assert_eq!(said(first.ended(3)), said(again.ended(3)));
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let site = |threads: &str| {
        let project = Project::small();
        let arguments = [&BUILD[..], &["--base-url", "https://me.github.io/r/"]].concat();
        let first = project.run_with(&arguments, &[("RAYON_NUM_THREADS", threads)]);
        first.ended(0);
        // Times of computing are told in records; the second site is of the same store.
        let first = project.files("site");
        remove(&project, "site");
        let other = if threads == "1" { "2" } else { "1" };
        project.run_with(&arguments, &[("RAYON_NUM_THREADS", other)]).ended(0);
        assert_eq!(project.files("site"), first);
        project.read(".igsite/plans/first/tiny.jsonl")
    };
    assert_eq!(site("1"), site("2"));
}

#[test]
fn a_build_that_fails_leaves_the_old_site_and_says_which_line_made_the_link() {
    let (project, site) = built(Project::small().file("content/about.md", "# About\n\nText.\n"));
    // While rendering: only a template that results are shown in fails.
    let project = project.file("templates/map.html", "{{ heading }}{{ heading / 2 }}");
    let ran = project.run(&BUILD);
    assert!(ran.ended(2).contains("templates/map.html:1:"), "{}", ran.stderr);
    assert_eq!(project.files("site"), site);
    // In the check of links: of a page, a description and a template.
    fs::remove_file(project.path("templates/map.html")).unwrap();
    let project = project
        .file("content/about.md", "# About\n\nText, <a href=\"gone.html\">gone</a>\n\n<a href=\"#no\">x</a>\n")
        .edit(FIRST, "title: First", "title: First\ndescription: |\n  See <img src=\"Note.TXT\" alt=\"\">.")
        .file("static/experiments/first/note.txt", "")
        .file("templates/sample.html", "{% extends \"igsite/sample.html\" %}\n{% block main %}<a href=\"no.html\">x</a><label for=\"q\">y</label>{{ super() }}{% endblock main %}\n");
    // A file that is missing in a page without results is told before anything is computed, by check as well.
    for command in ["check", "build"] {
        let ran = project.run(&[command, "--device", "cpu"]);
        let told = "content/about.md:3:16: page about/index.html, line 39: the link `gone.html` leads to `about/gone.html`, which the site does not have";
        assert!(ran.ended(1).contains(told), "{}", ran.stderr);
        assert_eq!(project.files("site"), site);
    }
    let project = project.edit("content/about.md", "<a href=\"gone.html\">gone</a>", "gone");
    let ran = project.run(&BUILD);
    let told = ran.ended(1);
    assert_eq!(project.files("site"), site);
    insta::assert_snapshot!(told);
    assert!(!project.path("site/.igsite-stage").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    use std::process::{Command, Stdio};
    let (project, _) = built(Project::small());
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_igsite"))
        .args(BUILD)
        .current_dir(project.path("."))
        .stdout(full)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}
