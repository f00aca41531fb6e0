//! The binary on small projects: build, build again, go on after a kill, check, init, exit codes.
mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::project::{EXPERIMENT, Project, igsite};

const FIRST: &str = "content/experiments/first.yaml";
const BUILD: [&str; 3] = ["build", "--device", "cpu"];

fn record(project: &Project, path: &str) -> Value {
    serde_json::from_str(&project.read(&format!("site/data/{path}"))).unwrap()
}

#[test]
fn a_build_writes_records_and_pages() {
    let project = Project::small();
    let ran = project.run(&BUILD);
    assert!(
        ran.ended(0).contains("1 model loaded, 12 maps computed, 0 kept"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout.trim(), "site/index.html");
    for page in [
        "index.html",
        "404.html",
        "robots.txt",
        ".nojekyll",
        "experiments/first/index.html",
        "experiments/first/samples/a/index.html",
        "experiments/first/maps/tiny/b/index.html",
        "models/tiny/index.html",
        "data/first.csv",
        "data/first.jsonl",
    ] {
        assert!(project.path("site").join(page).is_file(), "{page}");
    }

    let record = record(&project, "first/tiny/b.json");
    assert_eq!(record["schema"], "igsite/record/1");
    assert_eq!(record["sample"]["gold"], "B");
    assert_eq!(record["prompt"], "Is this so?\ngrass is red\n\nChoice: (");
    assert_eq!(
        record["segments"][1],
        serde_json::json!({"name": "claim", "start": 12, "end": 24})
    );
    let tokens = record["tokens"].as_array().unwrap();
    assert_eq!(
        tokens[0],
        serde_json::json!({"id": 1, "text": "<s>", "start": 0, "end": 0, "special": true})
    );
    let attributions = record["attributions"].as_array().unwrap();
    assert_eq!(attributions.len(), 4);
    for attribution in attributions {
        let scores: Vec<f64> = serde_json::from_value(attribution["scores"].clone()).unwrap();
        assert_eq!(scores.len(), tokens.len());
        let number = |key: &str| attribution[key].as_f64().unwrap();
        assert!((scores.iter().sum::<f64>() - number("sum")).abs() < 1e-15);
        let delta = number("sum") - (number("f_input") - number("f_baseline"));
        assert_eq!(number("convergence_delta"), delta);
        assert_eq!(attribution["evaluations"], 8);
    }
    let predicted = &record["prediction"];
    assert_eq!(attributions[0]["target"]["token_ids"][0], predicted["token_id"]);
    // The same scalar, once from the forward pass and once from the path's end.
    let difference = attributions[0]["f_input"].as_f64().unwrap() - predicted["probability"].as_f64().unwrap();
    assert!(difference.abs() < 1e-6);
    assert_eq!(attributions[2]["target"]["kind"], "gold");
    let gold = record["options"]["B"]["probability"].as_f64().unwrap();
    assert!((attributions[2]["f_input"].as_f64().unwrap() - gold).abs() < 1e-6);
}

#[test]
fn a_second_build_loads_no_model_and_changes_no_byte() {
    let project = Project::small();
    project.run(&BUILD).ended(0);
    let before = project.files("site");
    let ran = project.run(&BUILD);
    assert!(
        ran.ended(0).contains("0 models loaded, 0 maps computed, 12 kept"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("; 0 files written, "), "{}", ran.stderr);
    assert_eq!(project.files("site"), before);
}

#[test]
fn without_its_weights_a_kept_record_is_still_found_by_content() {
    // The same model under another name, in another experiment: nothing is computed again.
    let project = Project::small();
    project.run(&BUILD).ended(0);
    let project = project.model("twin").file(
        "content/experiments/second.yaml",
        EXPERIMENT.replace("[tiny]", "[twin]"),
    );
    let ran = project.run(&BUILD);
    assert!(
        ran.ended(0).contains("0 models loaded, 0 maps computed, 24 kept"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_a_result_depends_on_makes_it_new() {
    let project = Project::small();
    project.run(&BUILD).ended(0);
    let project = project.edit(FIRST, "steps: 8", "steps: 9");
    assert!(project.run(&BUILD).ended(0).contains("12 maps computed, 0 kept"));
    // What it does not depend on, does not.
    let project = project.edit(FIRST, "title: First", "title: Another title");
    assert!(project.run(&BUILD).ended(0).contains("0 maps computed, 12 kept"));
    let project = project.edit(FIRST, "[predicted, gold]", "[predicted, gold, {contrast: [A, B]}]");
    assert!(project.run(&BUILD).ended(0).contains("6 maps computed, 12 kept"));
}

#[test]
fn a_killed_build_goes_on_where_it_stopped() {
    let rows: String = (0..40)
        .map(|row| format!("r{row},yes,statement number {row}\n"))
        .collect();
    let project = Project::small()
        .file("content/data/rows.csv", format!("id,label,statement\n{rows}"))
        .edit(FIRST, "steps: 8", "steps: 64");
    let mut child = Command::new(env!("CARGO_BIN_EXE_igsite"))
        .args(BUILD)
        .current_dir(project.path("."))
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let attributions = || {
        let folder = project.path(".igsite/store/v2/attributions");
        walkdir::WalkDir::new(folder)
            .into_iter()
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "json"))
            .count()
    };
    let began = Instant::now();
    while attributions() < 3 {
        assert!(began.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let kept = attributions();
    assert!(!project.path("site/index.html").exists());
    let ran = project.run(&BUILD);
    let expected = format!("{} maps computed, ", 160 - kept);
    assert!(
        kept >= 3 && ran.ended(0).contains(&expected),
        "{kept} were kept: {}",
        ran.stderr
    );
}

#[test]
fn all_rules_outputs_baselines_and_targets_of_the_contract() {
    let project = Project::small();
    for (index, rule) in [
        "gauss_legendre",
        "riemann_left",
        "riemann_right",
        "riemann_middle",
        "trapezoid",
    ]
    .iter()
    .enumerate()
    {
        let output = ["probability", "logit", "log_probability"][index % 3];
        let yaml = EXPERIMENT
            .replace("gauss_legendre", rule)
            .replace(
                "[predicted, gold]",
                "[predicted, gold, all_options, A, {token: \"z\"}, {contrast: [B, A]}]",
            )
            .replace("[mean, zero]", "[mean, zero, eos, bos, unk, {token: \"q\"}]")
            .replace("  steps: 8", &format!("  steps: 4\n  output: {output}\n  batch: 3"));
        std::fs::write(
            project.path(&format!("content/experiments/{}.yaml", rule.replace('_', "-"))),
            yaml,
        )
        .unwrap();
    }
    project.run(&BUILD).ended(0);
    for rule in ["gauss-legendre", "riemann-left", "trapezoid"] {
        let record = record(&project, &format!("{rule}/tiny/a.json"));
        let attributions = record["attributions"].as_array().unwrap();
        assert_eq!(attributions.len(), 7 * 6);
        let contrast = &attributions[36];
        assert_eq!(contrast["target"]["kind"], "contrast");
        assert_eq!(contrast["target"]["text"], "B − A");
        // Scores are linear in the target: all_options gives A and B, the contrast their difference.
        for baseline in 0..6 {
            let scores = |target: usize| -> Vec<f64> {
                serde_json::from_value(attributions[target * 6 + baseline]["scores"].clone()).unwrap()
            };
            let (a, b, difference) = (scores(2), scores(3), scores(6));
            let largest = a.iter().chain(&b).fold(0f64, |most, score| most.max(score.abs()));
            for ((a, b), difference) in a.iter().zip(&b).zip(&difference) {
                assert!(
                    (b - a - difference).abs() < 1e-4 * largest,
                    "{rule}: {b} − {a} is not {difference}"
                );
            }
        }
    }
}

#[test]
fn a_value_that_is_not_finite_is_told_and_marked() {
    // A left Riemann sum has a node at α = 0, where RMSNorm's slope is 1/√ε: with this ε it overflows.
    let mut config = support::tiny::config();
    config["rms_norm_eps"] = serde_json::json!(1e-44);
    let project = Project::small()
        .file("content/models/tiny/config.json", config.to_string())
        .edit(FIRST, "gauss_legendre", "riemann_left");
    let ran = project.run(&[&BUILD[..], &["--strict"]].concat());
    assert!(ran.ended(3).contains("below the quality bar"), "{}", ran.stderr);
    let record = record(&project, "first/tiny/a.json");
    let zero = &record["attributions"][1];
    assert_eq!(zero["baseline"], "zero");
    assert_eq!(zero["non_finite"]["alpha"], 0.0);
    assert_eq!(zero["converged"], false);
    assert_eq!(zero["scores"], serde_json::json!([]));
    assert_eq!(zero["sum"], Value::Null);
    let page = project.read("site/experiments/first/maps/tiny/a/index.html");
    assert!(page.contains("not finite"));
}

#[test]
fn only_settings_that_numbers_depend_on_compute_anything_again() {
    let rule = "quadrature: gauss_legendre\n  steps: 8";
    let mut project = Project::small();
    let mut before = rule.to_owned();
    for (rule, told) in [
        (rule, "12 maps computed, 0 kept"),
        (
            "quadrature: gauss_legendre\n  steps: 8\n  tolerance: 0.02",
            "0 maps computed, 12 kept",
        ),
        (
            "quadrature: gauss_legendre\n  steps: 8\n  estimate_error: true",
            "12 maps computed, 0 kept",
        ),
        ("max_evaluations: 60", "12 maps computed, 0 kept"),
        (
            "quadrature: adaptive\n  max_evaluations: 60\n  steps: 8\n  estimate_error: true",
            "0 maps computed, 12 kept",
        ),
        ("max_evaluations: 60\n  tolerance: 0.02", "12 maps computed, 0 kept"),
    ] {
        project = project.edit(FIRST, &before, rule);
        let ran = project.run(&BUILD);
        assert!(ran.ended(0).contains(told), "{rule}: {}", ran.stderr);
        before = rule.to_owned();
    }
    let record = record(&project, "first/tiny/a.json");
    let attribution = &record["attributions"][0];
    assert_eq!(attribution["quadrature"], "adaptive");
    assert_eq!(
        (&attribution["steps"], &attribution["estimate_error"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&attribution["tolerance"], &attribution["max_evaluations"]),
        (&0.02.into(), &60.into())
    );
}

#[test]
fn the_same_record_twice_is_the_same_to_the_bit() {
    let scores = |project: &Project| {
        project.run(&BUILD).ended(0);
        ["a", "b", "c"].map(|sample| record(project, &format!("first/tiny/{sample}.json"))["attributions"].clone())
    };
    assert_eq!(scores(&Project::small()), scores(&Project::small()));
}

#[test]
fn every_dtype_computes_on_the_cpu() {
    let scores = |dtype: &str| -> Vec<f64> {
        let project = Project::small().file(
            "content/models/tiny.yaml",
            format!("title: Tiny\nsource: ./tiny\ndtype: {dtype}\n"),
        );
        project.run(&BUILD).ended(0);
        let record = record(&project, "first/tiny/a.json");
        assert_eq!(record["model"]["dtype"], if dtype == "auto" { "f32" } else { dtype });
        serde_json::from_value(record["attributions"][2]["scores"].clone()).unwrap()
    };
    let exact = scores("auto");
    let largest = exact.iter().fold(0f64, |most, score| most.max(score.abs()));
    for (dtype, tolerance) in [("f32", 0.0), ("f16", 0.02), ("bf16", 0.2), ("f64", 1e-4)] {
        let found = scores(dtype);
        assert_eq!(found == exact, dtype == "f32", "{dtype} is what it is called");
        for (found, exact) in found.iter().zip(&exact) {
            assert!(
                (found - exact).abs() <= tolerance * largest,
                "{dtype}: {found}, not {exact}"
            );
        }
    }
}

#[test]
fn every_error_of_a_run_is_told_at_once_before_a_model_is_opened() {
    let project = Project::small()
        .edit(FIRST, "title: First", "titel: First")
        .edit(FIRST, "models: [tiny]", "models: [tiny, tony]")
        .edit(FIRST, "steps: 8", "steps: many")
        .file(
            "content/experiments/second.yaml",
            EXPERIMENT.replace("statement |", "statment |"),
        )
        .file("content/models/tiny/model.safetensors", "");
    let ran = project.run(&BUILD);
    insta::assert_snapshot!(ran.ended(2));
}

#[test]
fn a_letter_that_is_two_tokens_is_told_with_its_place() {
    let project = Project::small().edit(FIRST, "{A: yes, B: no}", "{A: yes, Bee: no}");
    let ran = project.run(&BUILD);
    insta::assert_snapshot!(ran.ended(2));
    assert_eq!(project.run(&["check"]).ended(2), ran.stderr);
}

#[test]
fn a_baseline_that_the_model_lacks_is_told_with_its_place() {
    let project = Project::small().edit(FIRST, "[mean, zero]", "[mean, pad, {token: \"no such token\"}]");
    insta::assert_snapshot!(project.run(&["check"]).ended(2));
}

#[test]
fn check_counts_and_runs_no_model() {
    let project = Project::small();
    let ran = project.run(&["check"]);
    ran.ended(0);
    assert_eq!(ran.stdout.trim(), "1 experiment, 1 model, 0 pages, 12 maps: no errors");
    assert!(!project.path(".igsite").exists() && !project.path("site").exists());
}

#[test]
fn a_template_error_is_told_before_anything_is_computed() {
    for (text, place) in [
        ("{{ oops", "templates/map.html:1:"),
        ("{{ a | no_such_filter }}", "templates/map.html:1:"),
    ] {
        let project = Project::small().file("templates/map.html", text);
        for command in ["build", "check"] {
            let ran = project.run(&[command, "--device", "cpu"]);
            assert!(ran.ended(2).contains(place), "{}", ran.stderr);
        }
        assert!(!project.path(".igsite/store").exists() && !project.path("site").exists());
    }
}

#[test]
fn a_prompt_beyond_the_models_context_is_warned_of() {
    let mut config = support::tiny::config();
    config["max_position_embeddings"] = serde_json::json!(32);
    let project = Project::small().file("content/models/tiny/config.json", config.to_string());
    let ran = project.run(&["check"]);
    let told = ran.ended(0);
    assert!(told.contains("first.yaml:7:1: model `tiny`, sample `a`:"), "{told}");
    assert!(
        told.contains("expected: at most 32 (`max_position_embeddings`)"),
        "{told}"
    );
}

#[test]
fn the_output_may_not_be_written_among_the_sources() {
    let ran = Project::small().run(&[&BUILD[..], &["--output", "content/site"]].concat());
    assert!(ran.ended(2).contains("the project's own `content/`"), "{}", ran.stderr);
}

#[test]
fn foreign_files_in_the_output_folder_are_never_touched() {
    let project = Project::small().file("site/thesis.txt", "years of work");
    let ran = project.run(&BUILD);
    assert!(ran.ended(1).contains("thesis.txt"), "{}", ran.stderr);
    assert_eq!(project.read("site/thesis.txt"), "years of work");
    // Told before anything was computed.
    assert!(!project.path(".igsite/store").exists());
    project.run(&[&BUILD[..], &["--output", "elsewhere"]].concat()).ended(0);
    assert!(project.path("elsewhere/index.html").is_file());
}

#[test]
fn drafts_are_built_when_asked_for() {
    let project = Project::small().edit(FIRST, "title: First", "title: First\ndraft: true");
    project.run(&BUILD).ended(0);
    assert!(!project.path("site/experiments/first").exists());
    project.run(&[&BUILD[..], &["--experiment", "first"]].concat()).ended(0);
    assert!(project.path("site/experiments/first/index.html").is_file());
    let ran = project.run(&[&BUILD[..], &["--experiment", "frist"]].concat());
    assert!(ran.ended(2).contains("first"), "{}", ran.stderr);
}

#[test]
fn usage_errors_end_with_2_and_help_with_0() {
    let project = Project::new();
    project.run(&["bild"]).ended(2);
    project.run(&["build", "--device", "gpu"]).ended(2);
    project.run(&["--help"]).ended(0);
    project.run(&["--version"]).ended(0);
}

#[cfg(not(feature = "cuda"))]
#[test]
fn cuda_without_cuda_says_how_to_get_it() {
    insta::assert_snapshot!(Project::small().run(&["build", "--device", "cuda"]).ended(1));
}

#[test]
fn a_new_project_checks_and_builds() {
    let folder = tempfile::tempdir().unwrap();
    igsite(folder.path(), &["init", "mine"]).ended(0);
    igsite(folder.path(), &["--project", "mine", "check"]).ended(0);
    igsite(folder.path(), &["--project", "mine", "build"]).ended(0);
    assert!(folder.path().join("mine/site/index.html").is_file());
    let again = igsite(folder.path(), &["init", "mine"]);
    assert!(again.ended(2).contains("already there"), "{}", again.stderr);
    // With a checkpoint in the place it names, its experiment runs.
    support::tiny::write_llama(&folder.path().join("mine/content/models/my-model"));
    let ran = igsite(folder.path(), &["--project", "mine", "build", "--experiment", "first"]);
    assert!(ran.ended(0).contains("4 maps computed"), "{}", ran.stderr);
}

#[test]
fn the_workflow_of_a_new_project_publishes_with_least_rights() {
    let folder = tempfile::tempdir().unwrap();
    igsite(folder.path(), &["init", "mine"]).ended(0);
    let text = std::fs::read_to_string(folder.path().join("mine/.github/workflows/pages.yml")).unwrap();
    let workflow: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(
        workflow["permissions"],
        serde_yaml::from_str::<serde_yaml::Value>("{contents: read}").unwrap()
    );
    assert_eq!(workflow["concurrency"]["group"], "pages");
    assert!(workflow["on"]["push"].is_mapping() && workflow["on"].get("workflow_dispatch").is_some());
    // It downloads the release that wrote it, by the action of that release.
    let (repository, version) = (env!("CARGO_PKG_REPOSITORY"), env!("CARGO_PKG_VERSION"));
    let action = format!(
        "{}/.github/actions/setup-igsite@v{version}",
        repository.strip_prefix("https://github.com/").unwrap()
    );
    let set_up = &workflow["jobs"]["build"]["steps"][1];
    assert_eq!(set_up["uses"], action.as_str());
    assert_eq!(set_up["with"]["version"], version);
    assert!(!text.contains("REPOSITORY") && !text.contains("VERSION") && !text.contains("cargo"));
    let build = workflow["jobs"]["build"]["steps"].as_sequence().unwrap();
    let uses: Vec<&str> = build.iter().filter_map(|step| step["uses"].as_str()).collect();
    for action in [
        "actions/checkout@",
        "actions/configure-pages@",
        "actions/upload-pages-artifact@",
    ] {
        assert!(uses.iter().any(|used| used.starts_with(action)), "{action} in {uses:?}");
    }
    assert!(
        build
            .iter()
            .filter_map(|step| step["run"].as_str())
            .any(|run| run.contains("igsite build --frozen --base-url"))
    );
    let deploy = &workflow["jobs"]["deploy"];
    let rights: serde_yaml::Value = serde_yaml::from_str("{pages: write, id-token: write}").unwrap();
    assert!(deploy["permissions"] == rights && deploy["needs"] == "build");
    assert!(
        deploy["steps"][0]["uses"]
            .as_str()
            .unwrap()
            .starts_with("actions/deploy-pages@")
    );
    // Every step that another names is there.
    let ids: Vec<&str> = build
        .iter()
        .chain(deploy["steps"].as_sequence().unwrap())
        .filter_map(|step| step["id"].as_str())
        .collect();
    for named in text.split("steps.").skip(1).map(|rest| rest.split('.').next().unwrap()) {
        assert!(ids.contains(&named), "{named}");
    }
}

#[test]
fn git_takes_the_records_of_a_new_project_and_not_what_is_the_machines_own() {
    let folder = tempfile::tempdir().unwrap();
    igsite(folder.path(), &["init", "mine"]).ended(0);
    let mine = folder.path().join("mine");
    let git = |arguments: &[&str]| Command::new("git").args(arguments).current_dir(&mine).output();
    if !git(&["init", "--quiet"]).is_ok_and(|out| out.status.success()) {
        return;
    }
    let kept = [
        ".igsite/plans/first/my-model.jsonl",
        ".igsite/store/v2/predictions/ab/ab12.json",
        "content/models/my-model.yaml",
        ".github/workflows/pages.yml",
    ];
    let left = [
        ".igsite/last-build.json",
        ".igsite/lock",
        ".igsite/hashes.json",
        ".igsite/hashes/node-17.json",
        ".igsite/serve/index.html",
        ".igsite/store/v2/x.part",
        ".igsite/store/tmp/node-17-1-0.part",
        "site/index.html",
        "content/models/my-model/model.safetensors",
    ];
    for (paths, ignored) in [(&kept[..], false), (&left[..], true)] {
        for path in paths {
            assert_eq!(
                git(&["check-ignore", "--quiet", path]).unwrap().status.success(),
                ignored,
                "{path}"
            );
        }
    }
}

#[test]
fn quiet_says_nothing_and_results_go_to_standard_output() {
    let project = Project::small();
    let ran = project.run(&[&BUILD[..], &["--quiet"]].concat());
    assert_eq!(ran.ended(0), "");
    assert_eq!(ran.stdout.trim(), "site/index.html");
}
