//! The names of classes, from what Hugging Face's `datasets` writes into a Parquet file in addition to the columns:
//! `huggingface`: `{"info": {"features": {"label": {"names": ["false", "true"], "_type": "ClassLabel"}}}}`.

use parquet::file::metadata::KeyValue;
use serde_json::{Map, Value};

use super::Problem;

/// The features of each column; none for a file without them.
#[derive(Debug, Default)]
pub struct Classes(Map<String, Value>);

impl Classes {
    /// Looks among a file's own remarks. What cannot be read there is somebody else's remark.
    pub fn of(metadata: Option<&Vec<KeyValue>>) -> Self {
        let written = metadata
            .into_iter()
            .flatten()
            .find(|entry| entry.key == "huggingface")
            .and_then(|entry| serde_json::from_str::<Value>(entry.value.as_deref()?).ok());
        let features = written.and_then(|mut value| Some(value.get_mut("info")?.get_mut("features")?.take()));
        match features {
            Some(Value::Object(features)) => Self(features),
            _ => Self::default(),
        }
    }

    /// A column's value with names for its class numbers.
    pub fn named(&self, column: &str, value: Value) -> Result<Value, Problem> {
        match self.0.get(column) {
            Some(feature) => named(feature, value),
            None => Ok(value),
        }
    }
}

fn named(feature: &Value, value: Value) -> Result<Value, Problem> {
    if feature.get("_type").and_then(Value::as_str) == Some("ClassLabel") {
        let Some(names) = feature.get("names").and_then(Value::as_array) else {
            return Ok(value);
        };
        return match value.as_i64() {
            // −1 is how `datasets` writes that the answer is not known.
            Some(-1) => Ok(Value::Null),
            Some(class) => usize::try_from(class)
                .ok()
                .and_then(|class| names.get(class))
                .cloned()
                .ok_or_else(|| Problem {
                    message: format!("class {class}, and the file names {} classes", names.len()),
                    expected: "a class that has a name, counted from 0, or −1 for none",
                }),
            None => Ok(value),
        };
    }
    match value {
        Value::Array(items) => {
            // A list of classes: `{"feature": …, "_type": "Sequence"}`, or a list with one feature.
            let inner = feature.get("feature").or_else(|| feature.get(0));
            let Some(inner) = inner else {
                return Ok(Value::Array(items));
            };
            let items = items.into_iter().map(|item| named(inner, item));
            items.collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let value = match feature.get(&name) {
                    Some(inner) => named(inner, value)?,
                    None => value,
                };
                Ok((name, value))
            });
            fields.collect::<Result<_, _>>().map(Value::Object)
        }
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn classes(features: Value) -> Classes {
        let text = json!({"info": {"features": features}}).to_string();
        Classes::of(Some(&vec![
            KeyValue::new("pandas".to_owned(), None),
            KeyValue::new("huggingface".to_owned(), text),
        ]))
    }

    #[test]
    fn class_numbers_become_names_wherever_they_are() {
        let label = json!({"names": ["no", "yes"], "_type": "ClassLabel"});
        let classes = classes(json!({
            "label": label, "tags": {"feature": label, "_type": "Sequence"}, "listed": [label],
            "deep": {"x": label}, "text": {"dtype": "string", "_type": "Value"}
        }));
        for (column, value, expected) in [
            ("label", json!(1), json!("yes")),
            ("label", json!(-1), json!(null)),
            ("label", json!(null), json!(null)),
            ("label", json!("yes"), json!("yes")),
            ("tags", json!([0, 1]), json!(["no", "yes"])),
            ("listed", json!([1]), json!(["yes"])),
            ("deep", json!({"x": 0, "y": 0}), json!({"x": "no", "y": 0})),
            ("text", json!("1"), json!("1")),
            ("other", json!(1), json!(1)),
        ] {
            assert_eq!(classes.named(column, value).unwrap(), expected, "{column}");
        }
        let problem = classes.named("label", json!(2)).unwrap_err();
        assert_eq!(problem.message, "class 2, and the file names 2 classes");
    }

    #[test]
    fn other_remarks_are_passed_over() {
        for text in ["", "{}", "{\"info\": []}", "[1]"] {
            let metadata = vec![KeyValue::new("huggingface".to_owned(), text.to_owned())];
            assert!(Classes::of(Some(&metadata)).0.is_empty(), "{text}");
        }
        assert!(Classes::of(None).0.is_empty());
    }
}
