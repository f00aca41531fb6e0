//! Any file is read or refused, and whatever is read comes back from what is written of it.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn a_map() -> Value {
    json!({
        "model": {"id": "m"}, "sample": "a", "prompt": "no yes", "tokens": ["no", " yes"],
        "target": {"text": "x"}, "method": {"name": "IG", "tool": "captum"}, "output": "logit", "scores": [1.5, -0.1],
    })
}

fn read_text(text: &str) -> Result<Import, Diagnostics> {
    let path = Path::new("content/imports/x.jsonl");
    let contents = json_lines(path, text)?;
    resolve("x", path, contents.head.unwrap_or_default(), contents.maps)
}

#[test]
fn a_map_needs_no_more_than_this() {
    let import = read_text(&a_map().to_string()).unwrap();
    let map = &import.maps[0][0][0];
    assert_eq!(
        (map.tokens[1].start, map.tokens[1].end, map.tokens[1].known_id()),
        (2, 6, None)
    );
    assert_eq!(map.segments[0].name, "prompt");
    assert_eq!(import.experiment.title, "x");
}

#[test]
fn each_key_is_missed_or_doubted_by_name() {
    let whole = a_map();
    for key in whole.as_object().unwrap().keys() {
        let mut less = whole.clone();
        less.as_object_mut().unwrap().remove(key);
        let errors = read_text(&less.to_string()).unwrap_err();
        let error = errors.iter().next().unwrap().to_string();
        assert!(error.contains(&format!("missing field `{key}`")), "{key}: {error}");
    }
    let doubled = a_map().to_string().replacen('{', "{\"sample\":\"b\",", 1);
    let errors = read_text(&doubled).unwrap_err();
    assert!(
        errors
            .iter()
            .next()
            .unwrap()
            .to_string()
            .contains("duplicate field `sample`")
    );
}

#[test]
fn the_first_line_may_be_about_all_maps() {
    let head = r#"{"schema": "igsite/import/1", "title": "T", "options": {"A": "yes", "B": "no"}}"#;
    let import = read_text(&format!("{head}\n{}", a_map())).unwrap();
    assert_eq!(import.experiment.title, "T");
    assert_eq!(import.experiment.options[1].gold, "no");
    for (from, to) in [("import/1", "import/2"), ("title", "titel")] {
        let errors = read_text(&format!("{}\n{}", head.replace(from, to), a_map())).unwrap_err();
        assert!(errors.iter().next().unwrap().to_string().contains(to), "{to}");
    }
}

#[test]
fn maps_by_several_methods_come_in_one_order() {
    let by = |method: &str, model: &str| {
        let mut map = a_map();
        map["method"]["name"] = json!(method);
        map["model"]["id"] = json!(model);
        map.to_string()
    };
    let text = [by("IG", "m"), by("saliency", "m"), by("saliency", "n"), by("IG", "n")].join("\n");
    let import = read_text(&text).unwrap();
    for samples in &import.maps {
        let names: Vec<&str> = samples[0].iter().map(|map| map.method.name.as_str()).collect();
        assert_eq!(names, ["IG", "saliency"]);
    }
    let errors = read_text(&[by("IG", "m"), by("saliency", "n")].join("\n")).unwrap_err();
    assert!(
        errors
            .iter()
            .next()
            .unwrap()
            .to_string()
            .contains("no map of sample `a` by `IG` of captum")
    );
}

#[test]
fn what_cannot_be_is_refused_by_its_key() {
    let with = |changes: Value| {
        let mut map = a_map();
        map.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        read_text(&map.to_string()).map_err(|errors| errors.iter().next().unwrap().to_string())
    };
    let token = |text: &str, start: usize, end: usize| json!({"text": text, "start": start, "end": end});
    let refused = [
        (
            json!({"tokens": [token("no", 0, 2), token("yes", 0, 3)]}),
            "tokens[1]: the token `yes` is placed where the prompt has `no `",
        ),
        (
            json!({"target": {"text": "x", "token_ids": [1, 2, 3], "kind": "contrast"}}),
            "3 ids, where `kind` is contrast",
        ),
        (
            json!({"target": {"text": "x", "token_ids": [1, 2]}}),
            "2 ids, where `kind` is token",
        ),
        (
            json!({"output": "probability", "f_input": 12.5}),
            "f_input: 12.5 cannot be F",
        ),
        (
            json!({"output": "log_probability", "f_baseline": 0.5}),
            "f_baseline: 0.5 cannot be F",
        ),
    ];
    for (changes, told) in refused {
        let error = with(changes).unwrap_err();
        assert!(error.contains(told), "{told}: {error}");
    }
    let special = json!({"text": "anything", "start": 0, "end": 2, "special": true});
    let fine = [
        json!({"tokens": [token("▁NO", 0, 2), token("Ġyes", 2, 6)]}),
        json!({"tokens": [token("[UNK]", 0, 2), token("##yes", 3, 6)]}),
        json!({"tokens": [special, token("yes", 3, 6)]}),
        json!({"target": {"text": "x", "token_ids": [1, 2, 3], "kind": "generated"}, "f_input": 12.5}),
        json!({"target": {"text": "x", "kind": "contrast"}, "output": "probability", "f_input": -0.9}),
        // Half precision, rounded.
        json!({"output": "probability", "f_input": 1.0005}),
    ];
    for changes in fine {
        with(changes.clone()).unwrap_or_else(|error| panic!("{changes}: {error}"));
    }
}

/// Any JSON, mostly of what maps are made of.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        Just(json!([1.5, -0.1])),
        Just(json!([{"text": "no yes", "start": 0, "end": 9}])),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        let key = prop_oneof![
            Just("text".to_owned()),
            Just("id".to_owned()),
            Just("start".to_owned()),
            ".{0,3}"
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}\":,a1.e\\\\\n -]{0,60}") {
        let _ = read_text(&text);
    }

    #[test]
    fn a_map_with_any_value_anywhere_is_read_or_refused(key in 0usize..14, value in any_json()) {
        let keys = ["model", "sample", "gold", "fields", "prompt", "segments", "tokens", "prediction", "options",
            "target", "method", "output", "scores", "errors"];
        let mut map = a_map();
        map[keys[key]] = value;
        let _ = read_text(&map.to_string());
    }

    #[test]
    fn what_is_written_reads_back(
        scores in prop::collection::vec(any::<f64>().prop_filter("finite", |x| x.abs() < 1e300), 2),
        prompt in "[a-zé🦀 <]{1,4}",
        second in "[a-zé🦀 <]{1,4}",
        note in prop::option::of(".{0,5}"),
    ) {
        let mut map = a_map();
        map["prompt"] = json!(format!("{prompt}{second}"));
        map["tokens"] = json!([prompt, second]);
        map["scores"] = json!(scores);
        map["note"] = json!(note);
        let first = read_text(&map.to_string()).unwrap();
        let text = String::from_utf8(first.written(&ImportHead::default()).unwrap()).unwrap();
        let again = read_text(&text).unwrap();
        prop_assert_eq!(&first.maps, &again.maps);
        prop_assert_eq!(&again.maps[0][0][0].scores, &scores);
    }

    #[test]
    fn any_saved_file_is_read_or_refused(key in 0usize..8, value in any_json()) {
        let mut saved: Value = serde_json::from_str(include_str!("../../../tests/imports/primitives.json")).unwrap();
        let keys = ["attr_pos_start", "target", "target_attributions", "step_scores", "source_attributions"];
        match keys.get(key) {
            Some(key) => saved["sequence_attributions"][0][*key] = value,
            None => {
                let keys = ["generated_texts", "attribution_args", "model_name"];
                saved["info"][keys[key - 5]] = value;
            }
        }
        let lines = inseq::lines(Path::new("x.json"), &saved, &Choices::default(), &mut Numbers::new());
        for line in lines.unwrap_or_default() {
            let _ = ImportedMap::of(line);
        }
    }
}

#[test]
fn a_mark_of_byte_order_is_passed_over_and_a_list_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let read = |text: &str| {
        let path = folder.path().join("x.jsonl");
        std::fs::write(&path, text).unwrap();
        read_foreign(&path, &Choices::default(), &mut Numbers::default())
    };
    let (contents, _) = read(&format!("\u{feff}{}\n", a_map())).unwrap();
    assert_eq!(contents.maps.len(), 1);
    for text in [
        format!("[{}]", a_map()),
        "[\n  1\n]".to_owned(),
        "\u{feff}[]".to_owned(),
    ] {
        let told = format!("{:?}", read(&text).unwrap_err());
        assert!(told.contains("a list begins here"), "{told}");
    }
}
