//! The notebook's experiment as the repository ships it, on LIAR itself, with tiny stand-ins of the four models'
//! layouts.
//!
//! Neither LIAR nor the stand-ins are part of the project; the test skips with a printed reason where they are missing.
mod support;

use support::project::Project;

const EXPERIMENT: &str = include_str!("../content/experiments/liar-zero-shot.yaml");

#[test]
fn four_layouts_judge_liar() {
    let (Some(liar), Some(reference)) = (support::shared("liar"), support::shared("reference")) else {
        return;
    };
    let yaml = EXPERIMENT
        .replace(
            "  source: liar ",
            &format!("  path: {}\n  source: liar ", liar.display()),
        )
        .replace("{count: 20, seed: 7}", "{rows: [11577]}")
        .replace("steps: 512", "steps: 16")
        .replace("max_new_tokens: 100", "max_new_tokens: 8");
    let mut project = Project::new().file("content/experiments/liar-zero-shot.yaml", yaml);
    for (id, family) in [
        ("falcon-7b-instruct", "falcon"),
        ("llama-2-7b-chat", "llama"),
        ("mistral-7b-instruct-v0.2", "mistral"),
        ("orca-2-7b", "orca"),
    ] {
        let source = reference.join(family);
        project = project.file(
            &format!("content/models/{id}.yaml"),
            format!("title: Stand-in\nsource: {}\n", source.display()),
        );
    }
    let ran = project.run(&["build", "--device", "cpu", "--experiment", "liar-zero-shot"]);
    assert!(
        ran.ended(0).contains("4 models loaded, 4 maps computed"),
        "{}",
        ran.stderr
    );
    let expected = support::json(&reference.join("seed_prompt_ids.json"));
    for (model, tokens) in [
        ("falcon-7b-instruct", 79),
        ("llama-2-7b-chat", 84),
        ("mistral-7b-instruct-v0.2", 81),
        ("orca-2-7b", 84),
    ] {
        let record = support::json(&project.path(&format!("site/data/liar-zero-shot/{model}/10385.json.json")));
        assert_eq!(record["prompt"], expected["prompt"]);
        assert_eq!(record["tokens"].as_array().unwrap().len(), tokens, "{model}");
        assert_eq!(record["sample"]["gold"], "D");
        assert_eq!(record["attributions"][0]["scores"].as_array().unwrap().len(), tokens);
        let own = &record["generation"];
        let asked = own["prompt"].as_str().unwrap();
        assert!(
            asked.starts_with(record["prompt"].as_str().unwrap()) && asked.ends_with("Explanation:"),
            "{asked}"
        );
        assert!(own["token_ids"].as_array().unwrap().len() <= 8);
    }
}
