//! JSON Lines: one object a line. Duplicate keys are errors, and numbers keep their text.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{Errors, Row, Table, number_as_written};
use crate::content::files::without_bom;
use crate::content::names::shortened;
use crate::diagnostic::{Diagnostic, Diagnostics, Position};

/// Reads the text of a file. Rows may have different keys; the columns are all of them, in the order of first sight.
pub fn read(file: &Path, text: &str) -> Result<Table, Diagnostics> {
    let text = without_bom(text);
    if let Some((line, problem)) = other_layout(text) {
        let at = Position { line, column: 1 };
        return Err(problem.in_file(file).at(at).into());
    }
    let mut errors = Errors::default();
    let mut table = Table {
        files: vec![file.to_path_buf()],
        ..Table::default()
    };
    let mut known = HashSet::new();
    for (index, line) in text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = |column| Position {
            line: index + 1,
            column,
        };
        match serde_json::from_str::<Strict>(line) {
            Ok(Strict(Value::Object(mut fields))) => {
                let mut written = numbers(line).into_iter();
                fields.values_mut().for_each(|value| keep_numbers(value, &mut written));
                table.add_columns(fields.keys(), &mut known);
                table.rows.push(Row {
                    file: 0,
                    position: Some(at(1)),
                    fields,
                });
            }
            Ok(Strict(_)) => errors.push(
                Diagnostic::content("this line is JSON, but no object")
                    .in_file(file)
                    .at(at(1))
                    .expected(OBJECTS),
            ),
            Err(error) => errors.push(broken(line, &error, at).in_file(file)),
        }
    }
    errors.or(table)
}

const OBJECTS: &str = "an object on each line, such as {\"id\": \"a\", \"statement\": \"…\"}";
const ONE_A_LINE: &str = "write one object a line, without a list around them: pandas does with `to_json(path, orient=\"records\", lines=True)`, jq with `jq -c '.[]'`";

/// The line on which a text shows that it is JSON of another layout: a list, or an object that goes over lines.
fn other_layout(text: &str) -> Option<(usize, Diagnostic)> {
    let (index, line) = text.split('\n').enumerate().find(|(_, line)| !line.trim().is_empty())?;
    let message = if line.trim_start().starts_with('[') {
        "a list begins here, and JSON Lines has one object a line"
    } else if line.trim_start().starts_with('{')
        && serde_json::from_str::<Strict>(line).is_err_and(|error| error.is_eof())
        && serde_json::Deserializer::from_str(text)
            .into_iter::<Strict>()
            .next()
            .is_some_and(|first| first.is_ok())
    {
        "an object begins here and goes on on other lines, and JSON Lines has one object a line"
    } else {
        return None;
    };
    Some((
        index + 1,
        Diagnostic::content(message).expected(OBJECTS).help(ONE_A_LINE),
    ))
}

/// An error of a line, with a word on what other programs write that is no JSON.
pub(in crate::content) fn broken(line: &str, error: &serde_json::Error, at: impl Fn(usize) -> Position) -> Diagnostic {
    let message = error.to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    // serde_json counts columns in bytes, and points at the last byte it took.
    let taken = line
        .bytes()
        .take(error.column().saturating_sub(1))
        .filter(|byte| byte & 0xc0 != 0x80)
        .count();
    let told = Diagnostic::content(format!("this line is not valid JSON: {}", &message[..end])).at(at(taken + 1));
    let Some((offset, word)) = bare_word(line) else {
        let quoted_singly = line.trim_start().trim_start_matches(['{', ' ']).starts_with('\'');
        return if quoted_singly {
            told.help("JSON has double quotes round texts; Python's `json.dumps` writes them, `str` and `print` do not")
        } else {
            told
        };
    };
    let help = match word {
        "NaN" | "nan" | "Infinity" | "inf" => {
            "Python's `json.dumps` writes it for a float that is no number; write `null` where there is none, or leave the key out"
        }
        "None" | "True" | "False" => {
            "that is Python, not JSON: write the file with `json.dumps`, which makes `null`, `true` and `false` of these"
        }
        _ => "put text between double quotes; a value that is not there is `null`",
    };
    let column = line[..offset].chars().count() + 1;
    Diagnostic::content(format!(
        "this line is not valid JSON: `{}` is no JSON value",
        shortened(word)
    ))
    .at(at(column))
    .help(help)
}

/// The first word outside of texts that is none of JSON's.
fn bare_word(line: &str) -> Option<(usize, &str)> {
    let bytes = line.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                at += 1;
            }
            // The `e` of a number is none.
            byte if byte.is_ascii_alphabetic() && (at == 0 || !bytes[at - 1].is_ascii_digit()) => {
                let length = bytes[at..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_alphanumeric())
                    .count();
                let word = &line[at..at + length];
                if !matches!(word, "true" | "false" | "null") {
                    return Some((at, word));
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    None
}

/// The numbers of a valid JSON text, as written.
fn numbers(line: &str) -> Vec<&str> {
    let bytes = line.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while bytes[at] != b'"' {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let start = at;
                while at < bytes.len() && matches!(bytes[at], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
                    at += 1;
                }
                found.push(&line[start..at]);
            }
            _ => at += 1,
        }
    }
    found
}

/// Gives the numbers in `value` their text, in the order of the line.
fn keep_numbers<'a>(value: &mut Value, written: &mut impl Iterator<Item = &'a str>) {
    match value {
        Value::Number(_) => *value = number_as_written(written.next().unwrap_or_default()),
        Value::Array(items) => items.iter_mut().for_each(|item| keep_numbers(item, written)),
        Value::Object(fields) => fields.values_mut().for_each(|field| keep_numbers(field, written)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// A JSON value without duplicate keys; serde_json's own keeps the last of them in silence.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` is here twice")));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(text: &str) -> Table {
        read(Path::new("a.jsonl"), text).unwrap()
    }

    fn problems(text: &str) -> Vec<String> {
        read(Path::new("a.jsonl"), text)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn numbers_keep_their_text() {
        let table = table(
            r#"{"a\"1": 1.0, "b": [1.50, "2.50"], "c": 123456789012345678901234567890, "d": {"e": -0.0, "f": 1E5}, "g": 7}"#,
        );
        let shown: Vec<String> = table.rows[0].fields.values().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "1.0",
                r#"["1.50","2.50"]"#,
                r#""123456789012345678901234567890""#,
                r#"{"e":-0.0,"f":"1E5"}"#,
                "7"
            ]
        );
        assert_eq!(table.text(0, "c").unwrap(), "123456789012345678901234567890");
    }

    #[test]
    fn rows_may_differ_and_blank_lines_are_skipped() {
        let table = table("\u{feff}{\"id\": \"a\\u0000\u{feff}\", \"x\": null}\r\n\n{\"y\": true, \"id\": 1}\n");
        assert_eq!(table.columns, ["id", "x", "y"]);
        assert_eq!(table.text(0, "id").unwrap(), "a\u{0}\u{feff}");
        assert_eq!((table.text(0, "x"), table.text(0, "y")), (None, None));
        assert_eq!(
            (table.text(1, "id").unwrap(), table.text(1, "y").unwrap()),
            ("1".into(), "true".into())
        );
        assert_eq!(table.rows[1].position.map(|at| at.line), Some(3));
    }

    #[test]
    fn bad_lines_are_all_told() {
        assert_eq!(
            problems("{\"é\": 1,}\n[1]\n{\"a\": 1, \"a\": 2}\n{\"a\""),
            [
                "a.jsonl:1:9: this line is not valid JSON: trailing comma",
                "a.jsonl:2:1: this line is JSON, but no object\n  expected: an object on each line, such as {\"id\": \"a\", \"statement\": \"…\"}",
                "a.jsonl:3:12: this line is not valid JSON: the key `a` is here twice",
                "a.jsonl:4:4: this line is not valid JSON: EOF while parsing an object",
            ]
        );
        let many = problems(&"{\n".repeat(99));
        assert_eq!(many.len(), 11);
        assert_eq!(many[10], "a.jsonl: this file has 99 errors; the first 10 are told");
    }

    #[test]
    fn other_layouts_are_told_once() {
        for (text, message) in [
            ("[\n{\"a\": 1},\n{\"a\": 2}\n]", "a.jsonl:1:1: a list begins here"),
            ("\n[{\"a\": 1}]", "a.jsonl:2:1: a list begins here"),
            (
                "{\n  \"a\": 1\n}\n",
                "a.jsonl:1:1: an object begins here and goes on on other lines",
            ),
        ] {
            let told = problems(text);
            assert!(told.len() == 1 && told[0].starts_with(message), "{told:?}");
            assert!(told[0].contains("help: write one object a line"), "{told:?}");
        }
    }

    #[test]
    fn what_other_programs_write_is_named() {
        for (line, word, help) in [
            (
                "{\"é\": NaN}",
                "a.jsonl:1:7: this line is not valid JSON: `NaN` is no JSON value",
                "write `null`",
            ),
            ("{\"a\": -Infinity}", "`Infinity` is no JSON value", "write `null`"),
            ("{\"a\": [1e5, nan]}", "`nan` is no JSON value", "write `null`"),
            ("{\"a\": None}", "`None` is no JSON value", "that is Python"),
            ("{\"a NaN\": undefined}", "`undefined` is no JSON value", "is `null`"),
            ("{'a': 1}", "`a` is no JSON value", "double quotes"),
            ("{'1': 1}", "key must be a string", "double quotes"),
        ] {
            let told = problems(line);
            assert!(told[0].contains(word) && told[0].contains(help), "{line}: {told:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]{}\":,a1.e\\\\\n -]{0,40}") {
            let _ = read(Path::new("a.jsonl"), &text);
        }

        #[test]
        fn text_comes_back(values in prop::collection::vec(any::<String>(), 1..9)) {
            let lines: Vec<String> = values.iter().map(|value| serde_json::json!({ "a": value, "b": 1.25 }).to_string()).collect();
            let table = table(&lines.join("\n"));
            for (row, value) in values.iter().enumerate() {
                prop_assert_eq!(table.text(row, "a").unwrap(), value.as_str());
            }
        }
    }
}
