//! The binary with prompts within chat templates: two models, each with a template of its own.
mod support;

use serde_json::{Value, json};
use support::project::{EXPERIMENT, Project};

const BUILD: [&str; 3] = ["build", "--device", "cpu"];
/// Strips the question, and has words of its own before and behind it.
const WORDY: &str = "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('No system role here!') }}{% endif %}The question is: {{ m.content.strip() }} And the answer:{% endfor %}";
/// Has marks only, and knows a system.
const MARKED: &str = "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}";

/// The small project as a chat of two models; `system` is a segment in front.
fn project(system: &str) -> Project {
    let chat = EXPERIMENT
        .replace("models: [tiny]", "models: [wordy, marked]\nprompt_style: chat")
        .replace("prompt:\n", &format!("prompt:\n{system}"))
        .replace("  - segment: answer\n", "  - segment: answer\n    role: assistant\n")
        .replace("\\n\\nChoice: (", " Choice: (");
    let mut project = Project::small().file("content/experiments/first.yaml", chat);
    for (id, template) in [("wordy", WORDY), ("marked", MARKED)] {
        let config = json!({"chat_template": template, "bos_token": "<s>", "eos_token": "</s>"});
        project = project.model(id).file(
            &format!("content/models/{id}/tokenizer_config.json"),
            config.to_string(),
        );
    }
    project
}

fn record(project: &Project, model: &str) -> Value {
    support::json(&project.path(&format!("site/data/first/{model}/b.json")))
}

/// The names and texts of a record's segments.
fn segments(record: &Value) -> Vec<(String, String)> {
    let text: Vec<char> = record["prompt"].as_str().unwrap().chars().collect();
    let slice = |segment: &Value| {
        let [start, end] = ["start", "end"].map(|key| segment[key].as_u64().unwrap() as usize);
        text[start..end].iter().collect()
    };
    let all = record["segments"].as_array().unwrap();
    all.iter()
        .map(|segment| (segment["name"].as_str().unwrap().to_owned(), slice(segment)))
        .collect()
}

#[test]
fn each_model_gets_the_prompt_in_its_own_template_and_they_are_compared_without_it() {
    let project = project("");
    project.run(&BUILD).ended(0);
    let expected = |before: &str, claim: &str, after: &str| {
        [
            ("template", before),
            ("instruction", "Is this so?\n"),
            ("claim", claim),
            ("template", after),
            ("answer", " Choice: ("),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
    };
    let [wordy, marked] = ["wordy", "marked"].map(|model| record(&project, model));
    assert_eq!(
        segments(&wordy),
        expected("<s>The question is: ", "grass is red", " And the answer:")
    );
    assert_eq!(
        segments(&marked),
        expected("<|user|>\n", "grass is red", "\n<|assistant|>\n")
    );
    // What begins the text is the template's to say: the tokenizer adds nothing to it.
    for (record, count) in [(&wordy, 1), (&marked, 0)] {
        let ids: Vec<u64> = record["tokens"]
            .as_array()
            .unwrap()
            .iter()
            .map(|token| token["id"].as_u64().unwrap())
            .collect();
        assert_eq!(
            (ids[0] == 1, ids.iter().filter(|id| **id == 1).count()),
            (count == 1, count)
        );
    }
    // The table of a sample has the words of the prompt, each once, and what is left in one row.
    let sample = project.read("site/experiments/first/samples/b/index.html");
    let table = &sample[sample.find("id=\"words\"").unwrap()..sample.find("id=\"options\"").unwrap()];
    // The word of a row may stand within a mark.
    let rows: Vec<&str> = table
        .split("<tr><th>")
        .skip(1)
        .map(|row| {
            let mut texts = row.split('<').map(|part| part.rsplit('>').next().unwrap());
            texts.find(|text| !text.is_empty()).unwrap()
        })
        .collect();
    let words = ["Is", "this", "so?", "grass", "is", "red", "Choice:", "("];
    let rest = "(template and special tokens)";
    assert_eq!(rows, words.into_iter().chain([rest]).collect::<Vec<_>>());
    assert!(
        sample.contains("part of each map, and of no comparison of models"),
        "{sample}"
    );
    // A difference is over the shared words; the template and special tokens are one thing in it.
    assert!(sample.contains("template and special tokens<dd"), "{sample}");
    // What the row has is what the template's tokens and the special ones have.
    let scores = wordy["attributions"][0]["scores"].as_array().unwrap();
    let total: f64 = scores.iter().map(|score| score.as_f64().unwrap()).sum();
    assert!((total - wordy["attributions"][0]["sum"].as_f64().unwrap()).abs() < 1e-12);
    // The map page has the whole text, and one row for all pieces of the template.
    let map = project.read("site/experiments/first/maps/wordy/b/index.html");
    let text: String = map
        .split('<')
        .filter_map(|piece| Some(piece.split_once('>')?.1))
        .collect();
    assert!(text.contains("The question is"), "{text}");
    let blocks = map.matches("<th scope=\"row\">template</th>").count();
    assert_eq!(blocks, wordy["attributions"].as_array().unwrap().len());
    // The experiment shows the template's share, the comparison agreement over the shared words.
    let experiment = project.read("site/experiments/first/index.html");
    assert!(
        experiment.contains("<bdi>template</bdi></th>") && experiment.contains("within each model’s own chat template"),
        "{experiment}"
    );
    let comparison = project.read("site/experiments/first/comparison/index.html");
    assert!(comparison.contains("of no comparison of models"), "{comparison}");
    // Nothing is left to do, and the same bytes come.
    let before = project.files("site");
    project.run(&BUILD).ended(0);
    assert_eq!(project.files("site"), before);
}

#[test]
fn what_a_template_refuses_is_told_with_model_and_file() {
    let system = "  - {segment: manner, role: system, text: Be brief.}\n";
    let mut told = project(system).run(&["check", "--device", "cpu"]).ended(2).to_owned();
    let bare = project("").file("content/models/marked/tokenizer_config.json", "{}");
    told += bare.run(&["check", "--device", "cpu"]).ended(2);
    insta::assert_snapshot!("refusals_of_chat_templates", told);
}

/// A text that begins with the prompt goes on from it; any other is a message of the user's, behind the system's.
#[test]
fn the_models_own_words_are_asked_for_within_the_template() {
    let first = "content/experiments/first.yaml";
    let with = |system: &str, models: &str, asked: &str| {
        let project = project(system).edit(first, "[wordy, marked]", models).edit(
            first,
            "options:",
            &format!("generate: {{{asked}max_new_tokens: 3}}\noptions:"),
        );
        project.run(&BUILD).ended(0);
        project
    };
    let asked = |project: &Project, model: &str| {
        let record = record(project, model);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&record["generation"]["prompt"]),
            text(&record["prompt"]),
            text(&record["prediction"]["text"]),
        )
    };
    let project = with("", "[wordy, marked]", "prompt: \"{{ prompt }}{{ answer }}. Why?\", ");
    for model in ["wordy", "marked"] {
        let (text, prompt, answer) = asked(&project, model);
        assert_eq!(text, format!("{prompt}{answer}. Why?"));
    }
    let project = with("", "[wordy]", "");
    let (text, prompt, _) = asked(&project, "wordy");
    assert_eq!(text, prompt);
    let system = "  - {segment: manner, role: system, text: Be brief.}\n";
    let project = with(
        system,
        "[marked]",
        "prompt: \"You said {{ answer }}. Why? {{ prompt }}\", ",
    );
    let (text, _, answer) = asked(&project, "marked");
    assert_eq!(
        text,
        format!(
            "<|system|>\nBe brief.\n<|user|>\nYou said {answer}. Why? Is this so?\ngrass is red Choice: (\n<|assistant|>\n"
        )
    );
}
