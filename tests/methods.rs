//! An experiment with several methods, on a real project: each map is named by its method, and gradient × input is held
//! against a derivative of the model's own answers, which knows nothing of the backward pass.
mod support;

use std::path::Path;

use igsite::attribution::integrated_gradients::Explainer;
use igsite::checkpoint::Checkpoint;
use igsite::model::device::Backend;
use serde_json::Value;
use support::project::Project;
use support::tiny;

const FIRST: &str = "content/experiments/first.yaml";
const BUILD: [&str; 3] = ["build", "--device", "cpu"];
const BOTH: &str = "methods: [integrated_gradients, gradient_x_input]";

fn record(project: &Project, sample: &str) -> Value {
    serde_json::from_str(&project.read(&format!("site/data/first/tiny/{sample}.json"))).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn scores(map: &Value) -> Vec<f64> {
    map["scores"].as_array().unwrap().iter().map(number).collect()
}

/// The maps of a record by one method.
fn by<'r>(record: &'r Value, method: &str) -> Vec<&'r Value> {
    let maps = record["attributions"].as_array().unwrap().iter();
    maps.filter(|map| map["method"] == method).collect()
}

fn with_methods(methods: &str) -> Project {
    Project::small().edit(FIRST, "attribution:\n", &format!("attribution:\n  {methods}\n"))
}

/// The probability of a token behind a prompt, where one token's embedding is scaled: forward passes alone.
fn probability(folder: &Path, ids: &[u32], target: usize, (scaled, factor): (u32, f32)) -> f64 {
    tiny::write_llama(folder);
    let mut tensors = tiny::tensors();
    let (shape, table) = tensors.get_mut("model.embed_tokens.weight").unwrap();
    let row = scaled as usize * shape[1]..(scaled as usize + 1) * shape[1];
    table[row].iter_mut().for_each(|value| *value *= factor);
    tiny::write_safetensors(&folder.join("model.safetensors"), &tensors);
    let backend = Backend::cpu();
    let checkpoint = Checkpoint::open(folder).unwrap();
    let dtype = backend.dtype(None, checkpoint.stored_dtype());
    let explainer = Explainer::load(&checkpoint, &backend, dtype).unwrap();
    let powers: Vec<f64> = explainer
        .logits(ids)
        .unwrap()
        .into_iter()
        .map(|logit| f64::from(logit).exp())
        .collect();
    powers[target] / powers.iter().sum::<f64>()
}

#[test]
fn gradient_x_input_is_the_derivative_by_the_scale_of_a_tokens_embedding() {
    let project = with_methods(BOTH);
    project.run(&BUILD).ended(0);
    let record = record(&project, "a");
    let ids: Vec<u32> = record["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| number(&token["id"]) as u32)
        .collect();
    // Baselines are [mean, zero]; from zero, x − x′ is the embedding itself.
    let map = by(&record, "gradient_x_input")
        .into_iter()
        .find(|map| map["baseline"] == "zero")
        .unwrap();
    let target = number(&map["target"]["token_ids"][0]) as usize;
    let scores = scores(map);
    let largest = scores.iter().fold(0.0f64, |most, score| most.max(score.abs()));
    let folder = tempfile::tempdir().unwrap();
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    for &id in &distinct {
        const STEP: f32 = 1.0 / 64.0;
        let at = |factor| probability(folder.path(), &ids, target, (id, factor));
        let slope = (at(1.0 + STEP) - at(1.0 - STEP)) / f64::from(2.0 * STEP);
        // A token that stands there several times is scaled everywhere.
        let ours: f64 = ids
            .iter()
            .zip(&scores)
            .filter(|(other, _)| **other == id)
            .map(|(_, score)| score)
            .sum();
        assert!((slope - ours).abs() < 0.01 * largest, "token {id}: {slope} for {ours}");
    }
    assert!(
        distinct.len() > 10 && largest > 1e-4,
        "{} tokens, {largest}",
        distinct.len()
    );
}

#[test]
fn each_map_names_its_method_and_has_only_its_own_facts() {
    let project = with_methods(BOTH);
    project.run(&BUILD).ended(0);
    let found = record(&project, "a");
    // Methods outer, then targets, baselines inner: the first method's maps stand where they stand without the second.
    let methods: Vec<&str> = found["attributions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|map| map["method"].as_str().unwrap())
        .collect();
    assert_eq!(methods[..4], ["integrated_gradients"; 4]);
    assert_eq!(methods[4..], ["gradient_x_input"; 4]);
    for map in by(&found, "gradient_x_input") {
        for of_a_path in [
            "quadrature",
            "steps",
            "tolerance",
            "f_baseline",
            "convergence_delta",
            "errors",
            "converged",
            "within_tolerance",
            "within_margin",
        ] {
            assert_eq!(map[of_a_path], Value::Null, "{of_a_path}");
        }
        assert_eq!(
            (&map["evaluations"], &map["history"]),
            (&Value::from(1), &Value::Array(vec![]))
        );
        let sum: f64 = scores(map).iter().sum();
        assert_eq!(number(&map["sum"]), sum);
    }
    // What Integrated Gradients says is to the bit what it says alone, and its stored parts have the same names.
    let alone = Project::small();
    alone.run(&BUILD).ended(0);
    let expected = record(&alone, "a");
    let path_integrals = by(&found, "integrated_gradients");
    assert_eq!(
        path_integrals,
        expected["attributions"].as_array().unwrap().iter().collect::<Vec<_>>()
    );
    let parts = |project: &Project| -> Vec<String> {
        let files = project.files(".igsite/store/v2/attributions").into_iter();
        files.map(|(name, _)| name).collect()
    };
    let (all, of_the_first) = (parts(&project), parts(&alone));
    assert!(of_the_first.iter().all(|part| all.contains(part)) && all.len() > of_the_first.len());
    // CSV, pages and the citation.
    let csv = project.read("site/data/first.csv");
    let rows: Vec<&str> = csv.lines().collect();
    assert!(rows[0].ends_with(",method,computed_by"));
    for method in ["integrated_gradients", "gradient_x_input"] {
        assert!(rows.iter().any(|row| row.ends_with(&format!(",{method},"))), "{method}");
    }
    let page = project.read("site/experiments/first/maps/tiny/a/index.html");
    assert!(page.contains("by <bdi>gradient × input</bdi>") && page.contains("gradient at the input alone"));
    assert!(page.contains("by <bdi>Integrated Gradients</bdi>"));
    assert!(page.contains("error unknown: this method has no test"));
    assert!(page.contains("gradient × input has no test of its own: the error of its scores is unknown"));
    assert!(page.contains("This map is by another method, so it has a scale of its own."));
    for (name, bytes) in project
        .files("site")
        .into_iter()
        .filter(|(name, _)| name.ends_with(".bib"))
    {
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains("Attribution maps by Integrated Gradients and gradient × input of"),
            "{name}: {text}"
        );
    }
    let experiment = project.read("site/experiments/first/index.html");
    assert!(experiment.contains("Sundararajan, Taly and Yan 2017") && experiment.contains("Shrikumar"));
    // A second build finds all of it, and another order of methods too.
    let again = project.edit(FIRST, BOTH, "methods: [gradient_x_input, integrated_gradients]");
    assert!(again.run(&BUILD).ended(0).contains("0 models loaded, 0 maps computed"));
    let turned = record(&again, "a");
    assert_eq!(by(&turned, "integrated_gradients"), path_integrals);
    assert_eq!(turned["attributions"][0]["method"], "gradient_x_input");
}

#[test]
fn gim_is_another_map_of_the_same_point() {
    let project = with_methods("methods: [integrated_gradients, gim, gradient_x_input]");
    project.run(&BUILD).ended(0);
    let found = record(&project, "a");
    let (gim, plain) = (by(&found, "gim"), by(&found, "gradient_x_input"));
    assert_eq!((gim.len(), plain.len()), (4, 4));
    for (gim, plain) in gim.iter().zip(&plain) {
        assert_eq!(
            (&gim["f_input"], &gim["baseline"]),
            (&plain["f_input"], &plain["baseline"])
        );
        for of_a_path in [
            "quadrature",
            "steps",
            "convergence_delta",
            "errors",
            "converged",
            "within_margin",
        ] {
            assert_eq!(gim[of_a_path], Value::Null, "{of_a_path}");
        }
        let largest = scores(plain).iter().fold(0.0f64, |most, score| most.max(score.abs()));
        let moved = scores(gim)
            .iter()
            .zip(&scores(plain))
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(moved > 0.01 * largest, "{moved} of {largest}");
    }
    // What the others say is to the bit what they say alone.
    let alone = with_methods(BOTH);
    alone.run(&BUILD).ended(0);
    let expected = record(&alone, "a");
    for method in ["integrated_gradients", "gradient_x_input"] {
        assert_eq!(by(&found, method), by(&expected, method));
    }
    let page = project.read("site/experiments/first/maps/tiny/a/index.html");
    assert!(
        page.contains("by <bdi>GIM</bdi>")
            && page.contains("GIM is gradient × input with a backward pass that is changed")
    );
    let again = project.run(&BUILD);
    assert!(
        again.ended(0).contains("0 models loaded, 0 maps computed"),
        "{}",
        again.stderr
    );
}

#[test]
fn pages_with_several_models_say_which_method_they_show() {
    let project = with_methods(BOTH)
        .model("other")
        .edit(FIRST, "models: [tiny]", "models: [tiny, other]");
    project.run(&BUILD).ended(0);
    for page in ["comparison", "samples/a"] {
        let text = project.read(&format!("site/experiments/first/{page}/index.html"));
        assert!(text.contains(", by Integrated Gradients."), "{page}");
    }
    // One method goes without saying.
    let alone = Project::small();
    alone.run(&BUILD).ended(0);
    assert!(
        !alone
            .read("site/experiments/first/samples/a/index.html")
            .contains(", by Integrated Gradients.")
    );
}

#[test]
fn one_point_at_the_right_end_is_the_same_map() {
    let project = with_methods("methods: [gradient_x_input, integrated_gradients]").edit(
        FIRST,
        "quadrature: gauss_legendre\n  steps: 8",
        "quadrature: riemann_right\n  steps: 1",
    );
    project.run(&BUILD).ended(0);
    let record = record(&project, "b");
    let (found, expected) = (by(&record, "gradient_x_input"), by(&record, "integrated_gradients"));
    assert_eq!(found.len(), 4);
    for (found, expected) in found.into_iter().zip(expected) {
        assert_eq!(found["baseline"], expected["baseline"]);
        for (found, expected) in scores(found).iter().zip(scores(expected)) {
            assert!(
                (found - expected).abs() <= 1e-6 * expected.abs().max(1e-3),
                "{found} for {expected}"
            );
        }
    }
}

/// Nothing is counted that a method has no test for.
#[test]
fn a_finding_says_that_a_method_has_no_test() {
    let project = with_methods("methods: [gradient_x_input]");
    project.run(&BUILD).ended(0);
    let page = project.read("site/experiments/first/index.html");
    assert!(
        page.contains("has no test of its own: the error of their scores is unknown"),
        "{page}"
    );
    assert!(!page.contains("0 of 0 maps"), "{page}");
}

#[test]
fn an_unknown_method_is_an_error_that_names_the_known_ones() {
    for (methods, told) in [
        ("methods: [gradient_x_inputs]", "did you mean `gradient_x_input`?"),
        (
            "methods: [saliency]",
            "one of `integrated_gradients`, `gradient_x_input`, `gim`, `occlusion`, `shapley`",
        ),
        ("methods: []", "methods"),
        (
            "methods: [gradient_x_input, gradient_x_input]",
            "this method is here twice",
        ),
    ] {
        let ran = with_methods(methods).run(&["check", "--device", "cpu"]);
        let said = ran.ended(2);
        assert!(said.contains(told) && said.contains("first.yaml:"), "{methods}: {said}");
    }
}

/// A unit's score is shared out among its tokens; the differences along an order add up; both are found again.
#[test]
fn units_that_are_replaced_have_scores_of_their_own() {
    let methods = "methods: [occlusion, shapley]\n  units: word\n  permutations: 6\n  seed: 4";
    let project = with_methods(methods);
    project.run(&BUILD).ended(0);
    let found = record(&project, "a");
    let numbers = |value: &Value| -> Vec<f64> { value.as_array().unwrap().iter().map(number).collect() };
    for method in ["occlusion", "shapley"] {
        let maps = by(&found, method);
        assert!(!maps.is_empty());
        for map in maps {
            assert_eq!(map["units"], "word");
            let units: Vec<Vec<usize>> = serde_json::from_value(map["unit_tokens"].clone()).unwrap();
            let whole = numbers(&map["unit_scores"]);
            let tokens = scores(map);
            assert!(units.len() > 3 && units.len() == whole.len());
            for (unit, score) in units.iter().zip(&whole) {
                let sum: f64 = unit.iter().map(|&token| tokens[token]).sum();
                assert!((sum - score).abs() < 1e-12);
                assert!(
                    unit.iter().all(|&token| tokens[token] == tokens[unit[0]]),
                    "equal shares"
                );
            }
            let mut outside = (0..tokens.len()).filter(|token| !units.iter().flatten().any(|own| own == token));
            assert!(outside.all(|token| tokens[token] == 0.0));
            assert!(whole.iter().any(|score| score.abs() > 1e-6), "{whole:?}");
            let change = number(&map["f_input"]) - number(&map["residual"]["f_baseline"]);
            if method == "shapley" {
                assert!(
                    (number(&map["sum"]) - change).abs() < 1e-9,
                    "{} for {change}",
                    map["sum"]
                );
                let errors = numbers(&map["unit_errors"]);
                assert!(errors.len() == whole.len() && errors.iter().all(|error| *error >= 0.0));
            } else {
                assert_eq!(map["unit_errors"], Value::Null);
                assert_eq!(map["evaluations"], units.len() + 2);
            }
            assert_eq!(map["converged"], Value::Null);
        }
    }
    // All is found again; another seed is another map of one method.
    let parts = |project: &Project| project.files(".igsite/store/v2/attributions").len();
    let before = parts(&project);
    project.run(&BUILD).ended(0);
    assert_eq!(parts(&project), before);
    let project = project.edit(FIRST, "seed: 4", "seed: 5");
    project.run(&BUILD).ended(0);
    assert_eq!(parts(&project), before + before / 2);
}

#[test]
fn a_cascade_of_permuted_layers_is_in_the_record_and_in_the_evidence() {
    let project = with_methods("methods: [gradient_x_input]");
    let yaml = project.read(FIRST) + "faithfulness: {replacement: [eos], controls: [parameters, cascading], beam: 0}\n";
    let project = project.file(FIRST, yaml);
    project.run(&BUILD).ended(0);
    let record = record(&project, "a");
    let map = &record["attributions"][0];
    let cascade = map["faithfulness"][0]["controls"]["cascading"].as_array().unwrap();
    let layers: Vec<u64> = cascade.iter().map(|stage| stage["layers"].as_u64().unwrap()).collect();
    let all = tiny::LAYERS as u64;
    assert_eq!(layers, (1..=all).collect::<Vec<_>>());
    for stage in cascade {
        let spearman = number(&stage["spearman"]);
        assert!((-1.0..=1.0).contains(&spearman), "{spearman}");
    }
    let evidence: Value = serde_json::from_str(&project.read("site/data/first/evidence.json")).unwrap();
    let tested = &evidence["tested"][0];
    assert_eq!(tested["method"], "gradient_x_input");
    assert_eq!(tested["cascading"].as_array().unwrap().len() as u64, all);
    let page = project.read("site/experiments/first/index.html");
    assert!(page.contains("With the parameters of the last"), "the page tells it");
    assert!(page.contains("data/first/evidence.json"), "and leads to the numbers");
    // A second build finds everything in the store.
    assert!(project.run(&BUILD).ended(0).contains(" 0 maps computed"));
}

#[test]
fn a_control_or_a_replacement_that_says_nothing_is_told() {
    let check = |block: &str, targets: &str, baselines: &str| {
        let project = Project::small();
        let yaml = project.read(FIRST);
        let rest = yaml.split("attribution:").next().unwrap().to_owned();
        let attribution = format!("attribution:\n  targets: {targets}\n  baselines: {baselines}\n");
        let project = project.file(FIRST, format!("{rest}{attribution}faithfulness: {block}\n"));
        project.run(&["check"])
    };
    let told = check("{controls: [option]}", "[predicted]", "[zero]");
    assert!(told.ended(2).contains("where the maps have one target alone"));
    let told = check("{replacement: [zero]}", "[predicted]", "[{zero: {from: 0.001}}]");
    assert!(told.ended(0).contains("what is removed becomes `zero`"));
    let told = check("{replacement: [mean]}", "[predicted]", "[zero]");
    assert!(!told.ended(0).contains("what is removed"));
}

/// Where the planted linear model's answer lies in the residual stream.
const OUT: usize = 8;

/// A model whose logit is (nearly) linear in the embeddings: attention to all tokens alike, no MLP, and a norm whose
/// scale one large constant of every embedding sets. So each token is worth its own part of the mean.
fn linear() -> (Project, Vec<f64>) {
    // The scale of a norm then moves by less than (1 / 4096)².
    const CONSTANT: f32 = 4096.0;
    let project = Project::small();
    let mut tensors = tiny::tensors();
    for (name, (shape, values)) in &mut tensors {
        match name.as_str() {
            "model.embed_tokens.weight" => {
                for row in values.chunks_mut(shape[1]) {
                    row[0] = CONSTANT;
                    row[OUT..].fill(0.0);
                }
            }
            // Undoes the norm: its scale is √(CONSTANT² / HIDDEN).
            _ if name.contains("norm") => values.fill(CONSTANT / (tiny::HIDDEN as f32).sqrt()),
            // The first row sums up the small numbers of an embedding; the constant stays out.
            "model.layers.0.self_attn.v_proj.weight" => {
                values[shape[1]..].fill(0.0);
                values[0] = 0.0;
            }
            "model.layers.0.self_attn.o_proj.weight" => {
                values.fill(0.0);
                values[OUT * shape[1]] = 1.0;
            }
            "lm_head.weight" => {
                for row in values.chunks_mut(shape[1]) {
                    let own = row[OUT];
                    row.fill(0.0);
                    row[OUT] = own;
                }
            }
            // No query or key, no MLP, and no second layer.
            _ => values.fill(0.0),
        }
    }
    let worth = {
        let weights = &tensors["model.layers.0.self_attn.v_proj.weight"].1[1..OUT];
        let (shape, table) = &tensors["model.embed_tokens.weight"];
        let of = |row: &[f32]| weights.iter().zip(&row[1..OUT]).map(|(a, x)| f64::from(a * x)).sum();
        table.chunks(shape[1]).map(of).collect()
    };
    tiny::write_safetensors(&project.path("content/models/tiny/model.safetensors"), &tensors);
    (project, worth)
}

#[test]
fn a_planted_linear_model_gives_its_own_weights_by_every_method() {
    const METHODS: &str = "attribution:\n  methods: [integrated_gradients, gradient_x_input, gim, occlusion, shapley]\n  \
                           output: logit\n  units: token\n  permutations: 3\n";
    let (project, worth) = linear();
    let experiment = project.read(FIRST);
    let (before, _) = experiment.split_once("attribution:\n").unwrap();
    let project = project.file(
        FIRST,
        format!("{before}{METHODS}  baselines: [{{token: \".\"}}]\n  targets: [predicted]\n"),
    );
    project.run(&BUILD).ended(0);
    let record = record(&project, "a");
    let tokens = record["tokens"].as_array().unwrap();
    let baseline = tiny::vocabulary().iter().position(|piece| piece == ".").unwrap();
    let heads = tiny::tensors().remove("lm_head.weight").unwrap().1;
    for method in [
        "integrated_gradients",
        "gradient_x_input",
        "gim",
        "occlusion",
        "shapley",
    ] {
        let maps = by(&record, method);
        let [map] = maps.as_slice() else {
            panic!("{method}: {} maps", maps.len())
        };
        let target = number(&map["target"]["token_ids"][0]) as usize;
        let head = f64::from(heads[target * tiny::HIDDEN + OUT]);
        let expected: Vec<f64> = tokens
            .iter()
            .map(|token| {
                let own = worth[number(&token["id"]) as usize] - worth[baseline];
                let left_alone = token["special"] == true && matches!(method, "occlusion" | "shapley");
                // GIM gives a value half of the gradient: the other half is the attention weight's.
                let share = if method == "gim" { 0.5 } else { 1.0 };
                if left_alone {
                    0.0
                } else {
                    share * head * own / tokens.len() as f64
                }
            })
            .collect();
        let largest = expected.iter().fold(0.0f64, |most, score| most.max(score.abs()));
        let found = scores(map);
        assert!(largest > 1e-3 && found.len() == expected.len());
        let off = found
            .iter()
            .zip(&expected)
            .fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
        assert!(
            off < 1e-4 * largest,
            "{method}: {off} of {largest}\n{found:?}\n{expected:?}"
        );
    }
}
