//! The targets `text` and `generated`, on a real project: any text behind a prompt, and what the model says itself.
mod support;

use igsite::attribution::integrated_gradients::Explainer;
use igsite::checkpoint::Checkpoint;
use igsite::model::device::Backend;
use serde_json::Value;
use support::project::Project;

const FIRST: &str = "content/experiments/first.yaml";
const BUILD: [&str; 3] = ["build", "--device", "cpu"];
const FROZEN: [&str; 2] = ["build", "--frozen"];
const ASKED: &str = "prompt: \"{{ prompt }}{{ answer }}) Why? \", max_new_tokens: 6";

fn record(project: &Project, sample: &str) -> Value {
    serde_json::from_str(&project.read(&format!("site/data/first/tiny/{sample}.json"))).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

/// A project with these targets, whose model is asked to go on.
fn with(targets: &str, asked: &str) -> Project {
    Project::small()
        .edit(
            FIRST,
            "[predicted, gold]",
            &format!("{targets}\n  output: log_probability"),
        )
        .edit(FIRST, "steps: 8", "steps: 100")
        .edit(FIRST, "options:", &format!("generate: {{{asked}}}\noptions:"))
}

fn of_kind<'r>(record: &'r Value, kind: &str) -> Vec<&'r Value> {
    let maps = record["attributions"].as_array().unwrap().iter();
    maps.filter(|map| map["target"]["kind"] == kind).collect()
}

/// One score for each token of the prompt; from the mean they sum to what F changed by. (From the zero vector a fixed
/// rule is no test of a log-probability.)
fn is_a_map(map: &Value, record: &Value) {
    let scores = map["scores"].as_array().unwrap();
    assert_eq!(scores.len(), record["tokens"].as_array().unwrap().len());
    let change = number(&map["f_input"]) - number(&map["f_baseline"]);
    let delta = (number(&map["sum"]) - change).abs();
    assert!(delta < 0.02 * change.abs() || map["baseline"] != "mean", "{map}");
}

/// What the model itself gives such tokens behind such others, by a forward pass.
fn log_probability(project: &Project, before: &[u32], said: &[u32]) -> f64 {
    let backend = Backend::cpu();
    let checkpoint = Checkpoint::open(&project.path("content/models/tiny")).unwrap();
    let dtype = backend.dtype(None, checkpoint.stored_dtype());
    let explainer = Explainer::load(&checkpoint, &backend, dtype).unwrap();
    explainer.log_probability(before, said).unwrap()
}

#[test]
fn a_text_and_the_models_own_words_are_explained() {
    let project = with("[{text: \"Yes, <b>it\"}, generated, {text: A}, A]", ASKED);
    project.run(&BUILD).ended(0);
    let found = record(&project, "a");
    let prompt: Vec<u32> = found["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| number(&token["id"]) as u32)
        .collect();
    let texts = of_kind(&found, "text");
    assert_eq!(texts.len(), 4);
    let long = texts[0];
    assert_eq!(long["target"]["text"], "Yes, <b>it");
    let tokens = ids(&long["target"]["token_ids"]);
    assert!(tokens.len() > 3, "{tokens:?}");
    for map in &texts[..2] {
        is_a_map(map, &found);
    }
    let expected = log_probability(&project, &prompt, &tokens);
    assert!((number(&long["f_input"]) - expected).abs() < 1e-4 * expected.abs());
    // A text that is an option is explained as that option is.
    let option = of_kind(&found, "option");
    assert_eq!(
        (&texts[2]["scores"], &texts[2]["f_input"]),
        (&option[0]["scores"], &option[0]["f_input"])
    );

    let said = &found["generation"];
    let generated = of_kind(&found, "generated");
    assert_eq!(generated.len(), 2);
    for map in generated {
        let target = &map["target"];
        assert_eq!(
            (&target["token_ids"], &target["text"]),
            (&said["token_ids"], &said["text"])
        );
        let answer = found["prediction"]["text"].as_str().unwrap();
        assert_eq!(target["given"]["text"], format!("{answer}) Why? "));
        is_a_map(map, &found);
        // What was given does not count.
        let before = [&prompt[..], &ids(&target["given"]["token_ids"])].concat();
        let expected = log_probability(&project, &before, &ids(&target["token_ids"]));
        assert!((number(&map["f_input"]) - expected).abs() < 1e-4 * expected.abs());
    }
    let page = project.read("site/experiments/first/maps/tiny/a/index.html");
    for text in [
        "(generated)",
        "Behind the prompt the model is given",
        "all that it then says",
        "“Yes, &lt;b&gt;it” (text)",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("<b>it"));
    // Everything is found again, and without the model too.
    let again = project.run(&BUILD);
    assert!(
        again.ended(0).contains("0 models loaded, 0 maps computed"),
        "{}",
        again.stderr
    );
    let site = project.files("site");
    std::fs::remove_dir_all(project.path("content/models/tiny")).unwrap();
    std::fs::remove_dir_all(project.path("site")).unwrap();
    project.run(&FROZEN).ended(0);
    assert_eq!(project.files("site"), site);
}

#[test]
fn a_long_text_is_an_excerpt_in_headings_and_whole_once() {
    let text = "the sky is what it is, and so is the grass, as far as anybody who looked at it could tell";
    let project = with(&format!("[{{text: \"{text}\"}}]"), ASKED);
    project.run(&BUILD).ended(0);
    let page = project.read("site/experiments/first/maps/tiny/a/index.html");
    assert!(
        page.contains("…” (text)") && page.contains("the whole of this text"),
        "{page}"
    );
    assert!(
        page.contains(&format!("<blockquote class=\"own-words\"><bdi>{text}</bdi>")),
        "{page}"
    );
    let sample = project.read("site/experiments/first/samples/a/index.html");
    assert!(!sample.contains(text) || sample.contains('…'), "{sample}");
}

#[test]
fn texts_that_differ_by_a_space_are_told_apart_in_every_heading() {
    let project = with("[{text: it}, {text: \" it\"}]", ASKED);
    project.run(&BUILD).ended(0);
    let page = project.read("site/experiments/first/maps/tiny/a/index.html");
    for name in ["“it” (text)", "“␣it” (text)"] {
        // In the list of the maps, above its map, and above its column in the table of tokens: from two baselines each.
        for heading in [
            format!("<bdi>{name}</bdi></a></th>"),
            format!("Why <bdi>{name}</bdi>?"),
            format!("data-sort=\"number\"><bdi>{name}, "),
        ] {
            assert_eq!(page.matches(&heading).count(), 2, "{heading}");
        }
    }
}

#[test]
fn a_model_that_says_nothing_has_no_map_and_says_so() {
    let project = with("[generated, gold]", "max_new_tokens: 4");
    project.run(&BUILD).ended(0);
    let first = ids(&record(&project, "a")["generation"]["token_ids"])[0];
    let config = "content/models/tiny/config.json";
    let mut changed: Value = serde_json::from_str(&project.read(config)).unwrap();
    changed["eos_token_id"] = first.into();
    let project = project.file(config, changed.to_string());
    let built = project.run(&BUILD);
    built.ended(0);
    let found = record(&project, "a");
    assert_eq!(found["generation"]["token_ids"], Value::Array(vec![]));
    let maps = found["attributions"].as_array().unwrap();
    assert_eq!(maps.len(), 4, "one for each target and baseline");
    for map in &maps[..2] {
        assert_eq!(
            (
                &map["absent"],
                &map["scores"],
                &map["f_input"],
                &map["sum"],
                &map["evaluations"]
            ),
            (
                &"nothing_generated".into(),
                &Value::Array(vec![]),
                &Value::Null,
                &Value::Null,
                &0.into()
            )
        );
    }
    for map in &maps[2..] {
        assert_eq!(map["absent"], Value::Null);
        is_a_map(map, &found);
    }
    let page = project.read("site/experiments/first/maps/tiny/a/index.html");
    assert!(
        page.contains("no map: nothing was generated") && page.contains("there is nothing to explain"),
        "{page}"
    );
    // No row of the CSV stands for a map that is not there.
    let csv = project.read("site/data/first.csv");
    let rows = |kind: &str| {
        csv.lines()
            .filter(|line| line.starts_with("first,tiny,a,") && line.contains(kind))
            .count()
    };
    let tokens = found["tokens"].as_array().unwrap().len();
    assert_eq!((rows(",generated,"), rows(",gold,")), (0, 2 * tokens));
    let again = project.run(&BUILD);
    assert!(
        again.ended(0).contains("0 models loaded, 0 maps computed"),
        "{}",
        again.stderr
    );
    let site = project.files("site");
    std::fs::remove_dir_all(project.path("content/models/tiny")).unwrap();
    project.run(&FROZEN).ended(0);
    assert_eq!(project.files("site"), site);
}

#[test]
fn what_a_model_says_in_a_chat_is_explained_over_its_prompt_there() {
    let template = "{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}";
    let config = serde_json::json!({"chat_template": template, "bos_token": "<s>"}).to_string();
    let project = with("[generated]", ASKED)
        .file("content/models/tiny/tokenizer_config.json", config)
        .edit(FIRST, "generate:", "prompt_style: chat\ngenerate:");
    project.run(&BUILD).ended(0);
    let found = record(&project, "b");
    assert!(found["prompt"].as_str().unwrap().starts_with("[user] "));
    for map in of_kind(&found, "generated") {
        is_a_map(map, &found);
        assert_eq!(map["target"]["text"], found["generation"]["text"]);
    }
}

#[test]
fn what_cannot_be_explained_is_told_with_its_place() {
    let check = |project: &Project| project.run(&["check"]).ended(2).to_owned();
    let mut told = String::new();
    let mut tell = |project: Project| told += &check(&project);
    // Nothing says what the model goes on from.
    tell(Project::small().edit(FIRST, "[predicted, gold]", "[generated]"));
    // Another output than a sum of logarithms.
    let output = |project: Project| project.edit(FIRST, "output: log_probability", "output: probability");
    tell(output(with("[generated]", ASKED)));
    tell(output(with("[{text: Yes it is}]", ASKED)));
    // Another text than the prompt.
    tell(with("[generated]", "prompt: \"Say: {{ prompt }}\""));
    // No text, and parts of a contrast.
    tell(with("[{text: \"\"}]", ASKED));
    tell(with("[{contrast: [generated, A]}]", ASKED));
    tell(with("[{text: x, token: y}]", ASKED));
    insta::assert_snapshot!(told);
    // One token may be a probability.
    let one = output(with("[generated, {text: A}]", "max_new_tokens: 1"));
    one.run(&BUILD).ended(0);
    let found = record(&one, "a");
    let generated = of_kind(&found, "generated")[0];
    assert_eq!(
        generated["target"]["token_ids"],
        serde_json::json!([found["prediction"]["token_id"]])
    );
    assert!((number(&generated["f_input"]) - number(&found["prediction"]["probability"])).abs() < 1e-5);
}
