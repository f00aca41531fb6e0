//! The records that a project's site publishes, compared but for rounding and for when and how fast they were made.

use serde_json::Value;

use super::project::Project;

/// What rounding may change where a map is computed in other company: without AVX-512 a product's last bits depend on
/// its size.
const ROUNDING: f64 = 1e-6;

/// Every record of the site, by its file's name.
pub fn records(project: &Project) -> Vec<(String, Value)> {
    let files = project.files("site/data").into_iter();
    let json = files.filter(|(name, _)| name.ends_with(".json"));
    let found: Vec<(String, Value)> = json
        .map(|(name, bytes)| {
            let mut record: Value = serde_json::from_slice(&bytes).unwrap();
            record["provenance"] = Value::Null;
            (name, record)
        })
        .collect();
    assert!(!found.is_empty());
    found
}

/// The first difference between two sites' records, but for rounding.
pub fn difference(found: &[(String, Value)], expected: &[(String, Value)]) -> Option<String> {
    let names = |records: &[(String, Value)]| records.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if names(found) != names(expected) {
        return Some(format!("{:?} for {:?}", names(found), names(expected)));
    }
    let mut pairs = found.iter().zip(expected);
    pairs.find_map(|((name, a), (_, b))| between(a, b).map(|place| format!("{name}{place}")))
}

/// Asserts that there is none.
pub fn assert_same(found: &[(String, Value)], expected: &[(String, Value)], what: &str) {
    let difference = difference(found, expected);
    assert!(difference.is_none(), "{what}: {}", difference.unwrap_or_default());
}

fn between(a: &Value, b: &Value) -> Option<String> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => a.iter().find_map(|(key, value)| {
            let other = b.get(key).unwrap_or(&Value::Null);
            between(value, other).map(|place| format!(".{key}{place}"))
        }),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(index, (a, b))| between(a, b).map(|place| format!("[{index}]{place}")))
        }
        (Value::Number(x), Value::Number(y)) if a.is_f64() && b.is_f64() => {
            let (x, y) = (x.as_f64().unwrap(), y.as_f64().unwrap());
            let apart = (x - y).abs() > ROUNDING * x.abs().max(1.0);
            apart.then(|| format!(": {x} for {y}"))
        }
        _ => (a != b).then(|| format!(": {a} for {b}")),
    }
}
