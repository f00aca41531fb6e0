//! A deep model and the zero vector, by the real binary: warned of before the work, marked in record and page; and a
//! path that is entered later, whose scores are complete from there.
mod support;

use serde_json::{Value, json};
use support::project::Project;
use support::tiny;

const FIRST: &str = "content/experiments/first.yaml";
const BUILD: [&str; 3] = ["build", "--device", "cpu"];
/// Deep enough for a warning: 16 · ½ ln 10⁵ = 92.
const LAYERS: usize = 16;

/// The tiny Llama with its two layers again and again, in other orders of their rows.
fn deep(attribution: &str) -> Project {
    let project = Project::small();
    let folder = project.path("content/models/tiny");
    let mut config = tiny::config();
    config["num_hidden_layers"] = json!(LAYERS);
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let mut tensors = tiny::tensors();
    for layer in tiny::LAYERS..LAYERS {
        let from = format!("model.layers.{}.", layer % tiny::LAYERS);
        let of_layer: Vec<_> = tensors.iter().filter(|(name, _)| name.starts_with(&from)).collect();
        let copies: Vec<_> = of_layer
            .into_iter()
            .map(|(name, (shape, values))| {
                let mut values = values.clone();
                let turn = layer * shape[shape.len() - 1] % values.len();
                values.rotate_left(turn);
                (
                    name.replace(&from, &format!("model.layers.{layer}.")),
                    (shape.clone(), values),
                )
            })
            .collect();
        tensors.extend(copies);
    }
    tiny::write_safetensors(&folder.join("model.safetensors"), &tensors);
    let text = project.read(FIRST);
    let (before, _) = text.split_once("attribution:").unwrap();
    let text = format!("{before}attribution: {{{attribution}}}\n");
    project.file(FIRST, text)
}

fn record(project: &Project, sample: &str) -> Value {
    serde_json::from_str(&project.read(&format!("site/data/first/tiny/{sample}.json"))).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn sum(map: &Value) -> f64 {
    map["scores"].as_array().unwrap().iter().map(number).sum()
}

#[test]
fn a_zero_baseline_that_cannot_be_had_is_warned_of_and_marked() {
    let project = deep("output: log_probability, baselines: [zero, {zero: {from: 1e-4}}], targets: [predicted]");
    let told = project.run(&["check"]);
    let told = told.ended(0);
    for words in [
        "first.yaml:15:52: model `tiny`: from the zero vector, a model of 16 layers goes on changing its log-probability",
        "{zero: {from: 0.0001}}",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    project.run(&BUILD).ended(0);
    let record = record(&project, "a");
    let [zero, entered] = record["attributions"].as_array().unwrap().as_slice() else {
        panic!("two maps: {record}")
    };
    assert_eq!((&zero["baseline"], &zero["converged"]), (&json!("zero"), &json!(false)));
    let levels: Vec<f64> = zero["below"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| number(&part["alpha"]))
        .collect();
    assert_eq!(levels, [1e-3, 1e-6, 1e-9]);
    assert!(number(&zero["below"][2]["share"]) > 0.05, "{}", zero["below"]);
    assert!(number(&zero["evaluations"]) < 600.0);
    assert!(zero.get("from").is_none() && zero.get("remainder").is_none());

    assert_eq!(entered["baseline"], "zero from 0.0001");
    assert_eq!((&entered["from"], &entered["converged"]), (&json!(1e-4), &json!(true)));
    let change = number(&entered["f_input"]) - number(&entered["f_baseline"]);
    let size: f64 = entered["scores"]
        .as_array()
        .unwrap()
        .iter()
        .map(|score| number(score).abs())
        .sum();
    let delta = sum(entered) - change;
    assert!(
        delta.abs() <= 0.01 * change.abs().max(0.01 * size),
        "{delta} {change} {size}"
    );
    assert!((number(&entered["convergence_delta"]) - delta).abs() < 1e-9);
    let remainder = number(&entered["f_baseline"]) - number(&entered["f_zero"]);
    assert_eq!(number(&entered["remainder"]), remainder);
    assert!((number(&entered["f_zero"]) - number(&zero["f_baseline"])).abs() < 1e-4);
    // Both parts of the change together are the change of the path from zero.
    let whole = number(&zero["f_input"]) - number(&zero["f_baseline"]);
    assert!((change + remainder - whole).abs() < 1e-4);

    let page = project.read("site/experiments/first/maps/tiny/a/index.html");
    for words in [
        "lost near the zero vector",
        "zero vector, path from 0.0001 of the input",
        "which the scores leave out",
    ] {
        assert!(page.contains(words), "{words}");
    }
    // Nothing is computed again, and another start is another map.
    let again = project.run(&BUILD);
    assert!(
        again.ended(0).contains("nothing to do") || !again.stderr.contains("evaluations"),
        "{}",
        again.stderr
    );
    let other = project.edit(FIRST, "from: 1e-4", "from: 2e-4");
    other.run(&BUILD).ended(0);
    let record: Value = serde_json::from_str(&other.read("site/data/first/tiny/a.json")).unwrap();
    assert_eq!(record["attributions"][1]["baseline"], "zero from 0.0002");
    assert_ne!(record["attributions"][1]["f_baseline"], entered["f_baseline"]);
}

#[test]
fn probabilities_and_shallow_models_are_not_warned_of() {
    let project = deep("output: probability, baselines: [zero], targets: [predicted]");
    assert!(!project.run(&["check"]).ended(0).contains("from the zero vector"));
    let project = deep("output: logit, baselines: [mean, {zero: {from: 0.5}}], targets: [predicted]");
    assert!(!project.run(&["check"]).ended(0).contains("from the zero vector"));
    let shallow = Project::small();
    let text = shallow.read(FIRST);
    let (before, _) = text.split_once("attribution:").unwrap();
    let text = format!("{before}attribution: {{output: logit, baselines: [zero], targets: [predicted]}}\n");
    let shallow = shallow.file(FIRST, text);
    assert!(!shallow.run(&["check"]).ended(0).contains("from the zero vector"));
}

#[test]
fn a_fixed_rule_that_cannot_have_seen_it_is_never_drawn_as_converged() {
    // A tolerance that any delta meets: only what F changes by below its first point speaks against it.
    let project = deep(
        "output: log_probability, baselines: [zero, {zero: {from: 0.01}}], targets: [predicted], \
         quadrature: gauss_legendre, steps: 64, tolerance: 0.02",
    );
    project.run(&BUILD).ended(0);
    let record = record(&project, "a");
    let [zero, entered] = record["attributions"].as_array().unwrap().as_slice() else {
        panic!("two maps: {record}")
    };
    let below = &zero["below"][2];
    assert_eq!(below["share"], Value::Null);
    let change = number(&zero["f_input"]) - number(&zero["f_baseline"]);
    assert!(
        number(&below["change"]).abs() > 0.02 * change.abs(),
        "{below} of {change}"
    );
    assert_eq!(zero["converged"], false);
    // All nodes lie on what is left of the path.
    let change = number(&entered["f_input"]) - number(&entered["f_baseline"]);
    assert!(
        (sum(entered) - change).abs() < 0.02 * change.abs(),
        "{} {change}",
        sum(entered)
    );
    assert_eq!(entered["converged"], true);
    assert_eq!(entered["evaluations"], 64);
}
