//! `igsite import` through the real binary: our own form, files that the real inseq saved (`imports/make.py`), and what
//! is refused.
mod support;

use serde_json::{Value, json};
use support::project::Project;

const BUILD: [&str; 3] = ["build", "--device", "cpu"];
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/imports");
const PROMPT: &str = "Is the sky <b>blue</b>? 🦀";

/// A map of our own form: two models cut the same prompt in their own ways.
fn map(model: &str, sample: &str, tokens: &[&str], scores: &[f64]) -> Value {
    json!({
        "model": {"id": model, "title": format!("Model {model}"), "source": format!("someone/{model}")},
        "sample": sample,
        "gold": "A",
        "fields": {"speaker": "<i>me</i>"},
        "prompt": PROMPT,
        "segments": [{"name": "claim", "start": 0, "end": 22}, {"name": "answer", "start": 22, "end": 25}],
        "tokens": tokens,
        "prediction": {"token_id": 7, "text": "A", "probability": 0.75},
        "options": {"A": {"token_id": 7, "probability": 0.75}, "B": {"token_id": 8, "probability": 0.25}},
        "target": {"text": "A", "token_ids": [7], "kind": "predicted"},
        "method": {"name": "LayerIntegratedGradients", "tool": "captum", "version": "0.9.0"},
        "output": "probability",
        "baseline": "padding tokens",
        "f_input": 0.75,
        "f_baseline": 0.5,
        "scores": scores,
    })
}

const ONE: [&str; 4] = ["Is the sky ", "<b>blue</b>", "? ", "🦀"];
const OTHER: [&str; 5] = ["<s>", "Is", " the sky <b>", "blue</b>?", " 🦀"];

/// Two models, two samples.
fn own() -> Vec<Value> {
    vec![
        map("one", "a", &ONE, &[0.1, 0.2, -0.05, 0.0]),
        map("one", "b", &ONE, &[0.1, 0.25, -0.1, 0.0]),
        map("other", "a", &OTHER, &[0.01, 0.02, 0.1, 0.25, -0.125]),
        map("other", "b", &OTHER, &[0.01, 0.02, 0.1, 0.25, -0.0625]),
    ]
}

fn lines(maps: &[Value]) -> String {
    maps.iter().map(|map| format!("{map}\n")).collect()
}

fn project() -> Project {
    Project::new().file("content/index.md", "---\ntitle: Maps\n---\n# Maps\n")
}

/// Own form, imported as `theirs`.
fn imported() -> Project {
    let project = project().file("theirs.jsonl", lines(&own()));
    let ran = project.run(&["import", "theirs.jsonl", "--title", "Theirs & <ours>"]);
    assert!(ran.ended(0).contains("2 models, 2 samples, 4 maps"), "{}", ran.stderr);
    assert_eq!(ran.stdout.trim(), "content/imports/theirs.jsonl");
    project
}

fn record(project: &Project, path: &str) -> Value {
    serde_json::from_str(&project.read(&format!("site/data/{path}"))).unwrap()
}

#[test]
fn maps_of_our_own_form_get_records_and_pages_which_say_whose_they_are() {
    let project = imported();
    let checked = project.run(&["check", "--device", "cpu"]);
    checked.ended(0);
    assert_eq!(
        checked.stdout.trim(),
        "1 experiment, 0 models, 1 page, 4 maps, 4 of them imported: no errors"
    );
    // Neither right nor wrong: nothing is below the bar.
    let ran = project.run(&[&BUILD[..], &["--strict"]].concat());
    assert!(
        ran.ended(0).contains("0 models loaded, 0 maps computed"),
        "{}",
        ran.stderr
    );

    let record = record(&project, "theirs/other/a.json");
    assert_eq!(
        record["tokens"][0],
        json!({"id": null, "text": "<s>", "start": 0, "end": 0, "special": true})
    );
    assert_eq!(
        record["tokens"][4],
        json!({"id": null, "text": " 🦀", "start": 23, "end": 25, "special": false})
    );
    assert_eq!(record["correct"], true);
    assert_eq!(record["provenance"], Value::Null);
    assert_eq!(record["imported"]["file"], "content/imports/theirs.jsonl");
    for unknown in [
        "architecture",
        "dtype",
        "quantization",
        "weights_sha256",
        "tokenizer_sha256",
    ] {
        assert_eq!(record["model"][unknown], Value::Null, "{unknown}");
    }
    let map = &record["attributions"][0];
    assert_eq!(
        map["imported"],
        json!({"tool": "captum", "version": "0.9.0", "method": "LayerIntegratedGradients",
            "baseline": "padding tokens", "unit": null, "note": null, "file": "theirs.jsonl"})
    );
    for unknown in [
        "method",
        "baseline",
        "quadrature",
        "converged",
        "within_tolerance",
        "error_estimate",
    ] {
        assert_eq!(map[unknown], Value::Null, "{unknown}");
    }
    assert_eq!(map["scores"], json!([0.01, 0.02, 0.1, 0.25, -0.125]));
    assert_eq!(map["sum"], json!(0.01 + 0.02 + 0.1 + 0.25 - 0.125));
    // Of the numbers as stated.
    assert_eq!(map["convergence_delta"], json!(0.01 + 0.02 + 0.1 + 0.25 - 0.125 - 0.25));

    let told = "igsite did not compute";
    for page in [
        "index.html",
        "experiments/theirs/index.html",
        "experiments/theirs/comparison/index.html",
        "experiments/theirs/samples/a/index.html",
        "experiments/theirs/maps/one/b/index.html",
    ] {
        let html = project.read(&format!("site/{page}"));
        assert!(html.contains(told), "{page}");
        for never in ["converged to", "0 of 0", "<b>blue", "<i>me", "<ours>"] {
            assert!(!html.contains(never), "{never} in {page}");
        }
    }
    let map = project.read("site/experiments/theirs/maps/one/b/index.html");
    for part in [
        "captum 0.9.0",
        "LayerIntegratedGradients",
        "padding tokens",
        "content/imports/theirs.jsonl",
        "imported: igsite did not compute it",
    ] {
        assert!(map.contains(part), "{part}");
    }
    assert!(!map.contains("The exact YAML"));
    let model = project.read("site/models/one/index.html");
    assert!(
        model.contains("Model one")
            && model.contains("someone/one")
            && model.contains("igsite did not open this model")
    );

    let csv = project.read("site/data/theirs.csv");
    let row = csv.lines().nth(1).unwrap();
    assert!(
        row.starts_with("theirs,one,a,A,A,true,predicted,A,probability,padding tokens,"),
        "{row}"
    );
    assert!(row.ends_with(",LayerIntegratedGradients,captum 0.9.0"), "{row}");
}

/// Two methods of one model are held against each other over the samples, as our own are; what has another baseline is
/// not.
#[test]
fn methods_of_imported_maps_are_compared() {
    let mut maps = own();
    for (method, baseline) in [("Saliency", "padding tokens"), ("DeepLift", "zeros")] {
        for mut map in own() {
            map["method"]["name"] = json!(method);
            map["baseline"] = json!(baseline);
            maps.push(map);
        }
    }
    let project = project().file("theirs.jsonl", lines(&maps));
    project.run(&["import", "theirs.jsonl"]).ended(0);
    project.run(&BUILD).ended(0);
    let page = project.read("site/experiments/theirs/index.html");
    let (_, section) = page.split_once("Do the methods agree?").expect("methods are compared");
    let (section, _) = section.split_once("</section>").unwrap();
    for part in [
        "Model one",
        "Model other",
        "LayerIntegratedGradients and Saliency",
        "2 of 2",
    ] {
        assert!(section.contains(part), "{part}");
    }
    assert!(!section.contains("DeepLift"));
}

#[test]
fn a_build_with_nothing_new_does_nothing_and_an_edited_file_is_read_again() {
    let project = imported();
    project.run(&BUILD).ended(0);
    let before = project.files("site");
    let ran = project.run(&BUILD);
    assert!(ran.ended(0).contains("0 files written"), "{}", ran.stderr);
    assert_eq!(project.files("site"), before);
    // What igsite wrote, it reads to the same maps.
    let text = project.read("content/imports/theirs.jsonl");
    let project = project.file("again.jsonl", &text);
    project
        .run(&["import", "again.jsonl", "--experiment", "again"])
        .ended(0);
    let again = project.read("content/imports/again.jsonl");
    let maps = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(maps(&again), maps(&text));

    let project = project.file("content/imports/theirs.jsonl", text.replace("-0.125", "0.5"));
    project.run(&BUILD).ended(0);
    assert_eq!(
        record(&project, "theirs/other/a.json")["attributions"][0]["scores"][4],
        json!(0.5)
    );
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_line_and_place() {
    let edited = |line: usize, edit: &dyn Fn(&mut Value)| {
        let mut maps = own();
        edit(&mut maps[line]);
        lines(&maps)
    };
    let tokens = |map: &mut Value| map["tokens"] = json!(["Is the sky ", "<b>green</b>", "? ", "🦀"]);
    let spans = |map: &mut Value| map["tokens"] = json!([{"text": PROMPT, "start": 0, "end": 26}]);
    let nan = lines(&own()).replacen("-0.05", "NaN", 1);
    let huge = lines(&own()).replacen("-0.05", "1e999", 1);
    let cases: Vec<(&str, String)> = vec![
        ("unknown key", edited(1, &|map| map["score"] = json!(1))),
        (
            "missing key",
            edited(1, &|map| _ = map.as_object_mut().unwrap().remove("method")),
        ),
        (
            "unknown key of the method",
            edited(0, &|map| map["method"]["tol"] = json!("x")),
        ),
        ("NaN", nan),
        ("a number that is too large", huge),
        (
            "a sum that is too large",
            edited(0, &|map| map["scores"] = json!([1e308, 1e308, 1e308, 1.0])),
        ),
        ("a score too few", edited(2, &|map| map["scores"] = json!([1.0]))),
        ("tokens of another text", edited(1, &tokens)),
        ("a span outside", edited(0, &spans)),
        (
            "segments with a gap",
            edited(0, &|map| map["segments"][1]["start"] = json!(23)),
        ),
        (
            "no probability",
            edited(0, &|map| map["prediction"]["probability"] = json!(1.5)),
        ),
        ("no option", edited(0, &|map| map["gold"] = json!("C"))),
        (
            "an id that is no part of an address",
            edited(0, &|map| map["model"]["id"] = json!("a/b")),
        ),
        (
            "another prompt",
            edited(2, &|map| {
                map["prompt"] = json!(PROMPT.replace("blue", "grey"));
                map["tokens"] = json!([{"text": "all", "start": 0, "end": 25}]);
                map["scores"] = json!([1.0]);
            }),
        ),
        ("another output", edited(3, &|map| map["output"] = json!("logit"))),
        ("an unknown output", edited(3, &|map| map["output"] = json!("entropy"))),
        ("a map twice", lines(&[own(), own()[..1].to_vec()].concat())),
        ("a sample is missing", lines(&own()[..3])),
        ("no map", "\n".to_owned()),
        ("half a line", lines(&own())[..300].to_owned()),
        ("a table", "model,sample,score\n".to_owned()),
        ("other JSON", "{\n  \"a\": 1\n}\n".to_owned()),
        ("no text", "\u{0}\u{1}".to_owned()),
    ];
    let mut told = String::new();
    for (name, text) in &cases {
        let project = project().file("x.jsonl", text);
        let ran = project.run(&["import", "x.jsonl"]);
        told += &format!("== {name}\n{}\n", ran.ended(2).trim_end());
        assert!(!project.path("content/imports").exists(), "{name}");
        // The same file where a build reads it: refused too, with the same place.
        if !matches!(*name, "a table" | "other JSON" | "no text") {
            let project = project.file("content/imports/x.jsonl", text);
            let ran = project.run(&["check", "--device", "cpu"]);
            assert!(
                ran.ended(2).contains("content/imports/x.jsonl"),
                "{name}: {}",
                ran.stderr
            );
        }
    }
    insta::assert_snapshot!("mistakes", told);
}

#[test]
fn nothing_is_overwritten_and_no_two_experiments_have_one_name() {
    let project = imported().file("content/experiments/Mine.yaml", support::project::EXPERIMENT);
    let before = project.read("content/imports/theirs.jsonl");
    let again = project.run(&["import", "theirs.jsonl"]);
    assert!(
        again.ended(2).contains("overwrite them with --force"),
        "{}",
        again.stderr
    );
    assert_eq!(project.read("content/imports/theirs.jsonl"), before);
    project.run(&["import", "theirs.jsonl", "--force"]).ended(0);
    assert_ne!(
        project.read("content/imports/theirs.jsonl"),
        before,
        "the title is gone"
    );
    let ran = project.run(&["import", "theirs.jsonl", "--experiment", "mine"]);
    assert!(
        ran.ended(2).contains("there is an experiment `mine` already"),
        "{}",
        ran.stderr
    );
    let ran = project.run(&["import", "theirs.jsonl", "--experiment", "../mine"]);
    assert!(ran.ended(2).contains("cannot name an experiment"), "{}", ran.stderr);
    let project = project.file("content/experiments/theirs.yaml", support::project::EXPERIMENT);
    let ran = project.run(&["check", "--device", "cpu"]);
    assert!(
        ran.ended(2).contains("two files name the experiment `theirs`"),
        "{}",
        ran.stderr
    );
}

/// A file that the real inseq saved, imported alone; its maps as written.
fn inseq(name: &str) -> Vec<Value> {
    let project = project();
    let file = format!("{FIXTURES}/{name}");
    project.run(&["import", &file, "--experiment", "theirs"]).ended(0);
    let text = project.read("content/imports/theirs.jsonl");
    text.lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn what_inseq_saves_is_read_to_what_inseq_reads_back() {
    let expected: Value = serde_json::from_str(include_str!("imports/expected.json")).unwrap();
    let files = expected["files"].as_object().unwrap();
    assert_eq!(files.len(), 8);
    for (name, steps) in files {
        let maps = inseq(name);
        let steps = steps.as_array().unwrap();
        assert_eq!(maps.len(), steps.len(), "{name}");
        for (index, (map, step)) in maps.iter().zip(steps).enumerate() {
            let ids: Vec<&Value> = map["tokens"]
                .as_array()
                .unwrap()
                .iter()
                .map(|token| &token["id"])
                .collect();
            assert_eq!(
                ids,
                step["ids"].as_array().unwrap().iter().collect::<Vec<_>>(),
                "{name}"
            );
            assert_eq!(map["target"]["token_ids"], json!([step["target"]]), "{name}");
            assert_eq!(
                map.get("f_input").unwrap_or(&Value::Null),
                &step["probability"],
                "{name}"
            );
            let numbers = |value: &Value| -> Vec<f64> {
                value
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|number| number.as_f64().unwrap())
                    .collect()
            };
            let (found, expected) = (numbers(&map["scores"]), numbers(&step["scores"]));
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                // Sums of 64 numbers in another order.
                assert!((found - expected).abs() <= 1e-12, "{name}: {found} for {expected}");
            }
            let (prompt, step) = (expected_prompt(index / 2), index % 2);
            let characters = prompt.chars().count();
            assert_eq!(map["sample"], format!("{}.{}", index / 2 + 1, step + 1));
            assert!(map["prompt"].as_str().unwrap().starts_with(&prompt));
            assert_eq!(
                map["segments"][0],
                json!({"name": "prompt", "start": 0, "end": characters})
            );
            let generated = json!({"name": "generated", "start": characters, "end": characters + 1});
            assert_eq!(map["segments"].get(1), Some(&generated).filter(|_| step == 1));
            assert_eq!(map["model"]["id"], "demo-llama");
        }
    }
}

fn expected_prompt(index: usize) -> String {
    let expected: Value = serde_json::from_str(include_str!("imports/expected.json")).unwrap();
    expected["prompts"][index].as_str().unwrap().to_owned()
}

/// inseq's Integrated Gradients are Captum's, from the unknown token, with 50 points of Gauss and Legendre in float32. Our
/// own map by the same rule from the same baseline is the same but for rounding.
#[test]
fn inseqs_map_is_our_own_map_of_the_same_prompt() {
    let mut project = Project::new();
    let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("content/models/demo-llama");
    for entry in std::fs::read_dir(&model).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        project = project.file(
            &format!("content/models/demo-llama/{name}"),
            std::fs::read(entry.path()).unwrap(),
        );
    }
    let prompts: Vec<String> = (0..2).map(expected_prompt).collect();
    let rows: Vec<Value> = prompts
        .iter()
        .enumerate()
        .map(|(id, text)| json!({"id": format!("p{id}"), "text": text}))
        .collect();
    let experiment = json!({
        "models": ["demo-llama"],
        "dataset": {"rows": rows, "id": "id"},
        "prompt": [{"segment": "prompt", "text": "{{ text }}"}],
        "attribution": {"targets": ["predicted"], "baselines": ["unk"], "quadrature": "gauss_legendre", "steps": 50},
    });
    // JSON is YAML.
    let project = project
        .file("content/experiments/ours.yaml", experiment.to_string())
        .file(
            "content/models/demo-llama.yaml",
            "title: Demo Llama\nsource: ./demo-llama\n",
        );
    let file = format!("{FIXTURES}/integrated-gradients.json.gz");
    let import = [
        "import",
        &file,
        "--experiment",
        "theirs",
        "--steps",
        "1",
        "--tool-version",
        "0.7.1",
    ];
    project.run(&import).ended(0);
    project.run(&BUILD).ended(0);
    for (index, _) in prompts.iter().enumerate() {
        let ours = record(&project, &format!("ours/demo-llama/p{index}.json"));
        let theirs = record(&project, &format!("theirs/demo-llama/{}.1.json", index + 1));
        let ids = |record: &Value| -> Vec<Value> {
            record["tokens"]
                .as_array()
                .unwrap()
                .iter()
                .map(|token| token["id"].clone())
                .collect()
        };
        assert_eq!(ids(&ours), ids(&theirs));
        let spans = |record: &Value| -> Vec<Value> {
            let tokens = record["tokens"].as_array().unwrap().iter();
            // The mark of a space that no text has: ours has the place of the next token, theirs none.
            let tokens = tokens.filter(|token| token["text"] != "▁");
            tokens.map(|token| json!([token["start"], token["end"]])).collect()
        };
        assert_eq!(
            spans(&ours),
            spans(&theirs),
            "our tokenizer and the names that inseq keeps"
        );
        let (a, b) = (&ours["attributions"][0], &theirs["attributions"][0]);
        assert_eq!(a["target"]["token_ids"], b["target"]["token_ids"]);
        let scores = |map: &Value| -> Vec<f64> {
            map["scores"]
                .as_array()
                .unwrap()
                .iter()
                .map(|score| score.as_f64().unwrap())
                .collect()
        };
        let (a_scores, b_scores) = (scores(a), scores(b));
        let largest = a_scores.iter().fold(0.0f64, |most, score| most.max(score.abs()));
        let apart = a_scores
            .iter()
            .zip(&b_scores)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(apart <= AGREE * largest, "{apart:e} of {largest}");
        let f = |map: &Value| map["f_input"].as_f64().unwrap();
        assert!((f(a) - f(b)).abs() < 1e-5);
        assert_eq!(b["imported"]["version"], "0.7.1");
    }
    // One page for the model, with the facts of both.
    let page = project.read("site/models/demo-llama/index.html");
    assert!(
        page.contains("igsite did not open this model") && page.contains("Weights SHA-256"),
        "{page}"
    );
}

/// How far inseq's scores may be from ours, as a share of the largest: 1.8e-6 was measured, of both prompts.
const AGREE: f64 = 1e-5;

#[test]
fn models_that_went_on_in_their_own_words_have_no_steps_in_common() {
    let project = project();
    let file = format!("{FIXTURES}/input-x-gradient.json.gz");
    project
        .run(&["import", &file, "--experiment", "a", "--model", "first"])
        .ended(0);
    let text = project.read("content/imports/a.jsonl");
    let other = text
        .replace("\"id\":\"first\"", "\"id\":\"second\"")
        .replace("(D\"", "(E\"")
        .replace("\"text\":\"D\"", "\"text\":\"E\"");
    assert_ne!(text, other);
    let project = project.file("b.jsonl", other).file("a.jsonl", text);
    let ran = project.run(&["import", "a.jsonl", "b.jsonl", "--experiment", "both"]);
    assert!(
        ran.ended(2).contains("the prompt of this sample is not what"),
        "{}",
        ran.stderr
    );
}

#[test]
fn kinds_of_inseq_files_that_cannot_be_maps_are_refused() {
    let saved = |edit: &dyn Fn(&mut Value)| {
        let mut saved: Value = serde_json::from_str(include_str!("imports/primitives.json")).unwrap();
        edit(&mut saved);
        saved.to_string()
    };
    let cases = [
        (
            "an encoder",
            saved(&|saved| saved["sequence_attributions"][0]["source_attributions"] = json!("AAAA")),
        ),
        (
            "entropy",
            saved(&|saved| saved["info"]["attributed_fn"] = json!("entropy_fn")),
        ),
        (
            "no tensor",
            saved(&|saved| saved["sequence_attributions"][0]["target_attributions"] = json!("AAAA")),
        ),
        (
            "no base64",
            saved(&|saved| saved["sequence_attributions"][0]["target_attributions"] = json!("~")),
        ),
        (
            "another text",
            saved(&|saved| saved["info"]["generated_texts"][0] = json!("Nothing of it")),
        ),
        (
            "a start behind the end",
            saved(&|saved| saved["sequence_attributions"][0]["attr_pos_start"] = json!(u64::MAX)),
        ),
        (
            "a token less",
            saved(&|saved| {
                _ = saved["sequence_attributions"][0]["target"]
                    .as_array_mut()
                    .unwrap()
                    .pop()
            }),
        ),
        (
            "no method",
            saved(&|saved| _ = saved["info"].as_object_mut().unwrap().remove("attribution_method")),
        ),
        ("a cut file", saved(&|_| {})[..400].to_owned()),
    ];
    let mut told = String::new();
    for (name, text) in cases {
        let ran = project().file("x.json", text).run(&["import", "x.json"]);
        told += &format!("== {name}\n{}\n", ran.ended(2).trim_end());
    }
    let granular = format!("{FIXTURES}/float16.json.gz");
    let mut bytes = std::fs::read(granular).unwrap();
    bytes.truncate(bytes.len() / 2);
    let ran = project().file("x.json.gz", bytes).run(&["import", "x.json.gz"]);
    told += &format!("== half a gzip file\n{}\n", ran.ended(2).trim_end());
    insta::assert_snapshot!("inseq_refused", told);
}
