//! Answers of several tokens: explained in one path by the sum of their log-probabilities, and by nothing else; and
//! generated text.
mod support;

use serde_json::Value;
use support::project::Project;

const FIRST: &str = "content/experiments/first.yaml";
const BUILD: [&str; 3] = ["build", "--device", "cpu"];

fn record(project: &Project, sample: &str) -> Value {
    serde_json::from_str(&project.read(&format!("site/data/first/tiny/{sample}.json"))).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// `Yes` and `Yet` share their first tokens.
fn several() -> Project {
    Project::small()
        .edit(FIRST, "{A: yes, B: no}", "{Yes: yes, Yet: no}")
        .edit(
            FIRST,
            "[predicted, gold]",
            "[gold, all_options, {token: \"Ye\"}]\n  output: log_probability",
        )
        .edit(FIRST, "steps: 8", "steps: 300")
}

#[test]
fn the_sum_over_an_answers_tokens_is_explained() {
    let project = several();
    project.run(&BUILD).ended(0);
    let record = record(&project, "a");
    let attributions = record["attributions"].as_array().unwrap();
    // Gold, two options, a token; two baselines each.
    let kinds: Vec<&str> = attributions
        .iter()
        .map(|a| a["target"]["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["gold", "gold", "option", "option", "option", "option", "token", "token"]
    );
    let (yes, yet) = (&record["options"]["Yes"], &record["options"]["Yet"]);
    assert_eq!(yes["token_ids"].as_array().unwrap().len(), 3);
    assert_eq!(yes["token_id"], yet["token_id"]);
    assert_ne!(yes["probability"], yet["probability"]);
    assert_eq!(
        record["correct"],
        number(&yes["probability"]) > number(&yet["probability"])
    );
    for (index, option) in [(0, yes), (2, yes), (4, yet)] {
        let a = &attributions[index];
        assert_eq!(
            (&a["target"]["token_ids"], &a["output"]),
            (&option["token_ids"], &Value::from("log_probability"))
        );
        assert!((number(&a["f_input"]).exp() / number(&option["probability"]) - 1.0).abs() < 1e-5);
        // One score for each token of the prompt, none for the answer's; they sum to what F changed by.
        assert_eq!(
            a["scores"].as_array().unwrap().len(),
            record["tokens"].as_array().unwrap().len()
        );
        let change = number(&a["f_input"]) - number(&a["f_baseline"]);
        assert!((number(&a["sum"]) - change).abs() < 0.02 * change.abs(), "{a}");
    }
    assert_eq!(attributions[6]["target"]["token_ids"].as_array().unwrap().len(), 2);
    assert_eq!(attributions[2]["target"]["text"], "Yes");
    assert_ne!(attributions[2]["scores"], attributions[4]["scores"]);
    // Everything is found again.
    let again = project.run(&BUILD);
    assert!(
        again.ended(0).contains("0 models loaded, 0 maps computed"),
        "{}",
        again.stderr
    );
}

#[test]
fn other_outputs_and_contrasts_say_that_they_cannot() {
    let probability = several().edit(FIRST, "output: log_probability", "output: probability");
    let told = probability.run(&["check"]);
    insta::assert_snapshot!(told.ended(2));
    let contrast = several().edit(FIRST, "{token: \"Ye\"}", "{contrast: [Yes, Yet]}");
    insta::assert_snapshot!(contrast.run(&["check"]).ended(2));
}

/// The notebook's last cells: the model is asked about its own verdict.
fn asked() -> Project {
    Project::small().edit(
        FIRST,
        "options:",
        "generate: {prompt: \"{{ prompt }}{{ answer }}) Why {{ id }}? \", max_new_tokens: 6}\noptions:",
    )
}

#[test]
fn the_models_own_words_are_in_record_and_page() {
    let project = asked();
    project.run(&BUILD).ended(0);
    let record = record(&project, "b");
    let own = &record["generation"];
    let prompt = record["prompt"].as_str().unwrap();
    let answer = record["prediction"]["text"].as_str().unwrap();
    assert_eq!(own["prompt"], format!("{prompt}{answer}) Why b? "));
    let ids = own["token_ids"].as_array().unwrap();
    assert!(!ids.is_empty() && ids.len() <= 6, "{own}");
    assert_eq!(own["ended"], ids.len() < 6);
    let page = project.read("site/experiments/first/maps/tiny/b/index.html");
    assert!(
        page.contains("The model’s own words") && page.contains("Why b?"),
        "{page}"
    );
    let again = project.run(&BUILD);
    assert!(
        again.ended(0).contains("0 models loaded, 0 maps computed"),
        "{}",
        again.stderr
    );
    // A longer answer is computed; maps are not.
    let longer = project.edit(FIRST, "max_new_tokens: 6", "max_new_tokens: 9");
    let again = longer.run(&BUILD);
    assert!(
        again.ended(0).contains("1 model loaded, 0 maps computed"),
        "{}",
        again.stderr
    );
}

#[test]
fn mistakes_in_what_is_asked_are_told_with_their_place() {
    let unknown = asked().edit(FIRST, "{{ id }}?", "{{ idd }}?");
    insta::assert_snapshot!(unknown.run(&["check"]).ended(2));
    let ambiguous = asked().file(
        "content/data/rows.csv",
        "id,label,statement,answer\na,yes,The sky is blue,x\n",
    );
    insta::assert_snapshot!(ambiguous.run(&["check"]).ended(2));
    let none = asked().edit(FIRST, "max_new_tokens: 6", "max_new_tokens: 0");
    insta::assert_snapshot!(none.run(&["check"]).ended(2));
}
