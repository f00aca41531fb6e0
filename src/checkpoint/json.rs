//! JSON as Python writes and reads it: the files of a checkpoint are made by Python's `json` module.
//!
//! It is JSON with three more numbers, `NaN`, `Infinity` and `-Infinity`, without quotation marks. `serde_json` has no
//! value for them, so they are read as texts of the same letters. Where a number is expected such a text is refused by
//! name; elsewhere it is just shown. Of two equal keys the last counts, as in Python.

use std::path::Path;

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::input;

/// What Python's `json` module writes of a float that is no number.
const NAMES: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

/// Parses JSON, Python's numbers included (see the module's words).
///
/// # Errors
/// It is no JSON.
pub fn parse(bytes: &[u8]) -> serde_json::Result<Value> {
    // Nearly every file is plain JSON, and some are large: they are not copied.
    serde_json::from_slice(bytes).or_else(|error| match quoted(bytes) {
        Some(quoted) => serde_json::from_slice(&quoted),
        None => Err(error),
    })
}

/// As [`parse`], for an object in a checkpoint's file, which an error names.
///
/// # Errors
/// It is no JSON, or no object.
pub fn object(bytes: &[u8], path: &Path) -> Result<Map<String, Value>> {
    match parse(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Diagnostic::checkpoint("not a JSON object").in_file(path)),
        Err(error) => Err(Diagnostic::checkpoint(format!("not JSON: {error}"))
            .in_file(path)
            .help("download the file again")),
    }
}

/// Reads a file that holds an object; `doing` completes the sentence "cannot …".
///
/// # Errors
/// As [`object`]; or it cannot be read.
pub fn read_object(path: &Path, doing: &str) -> Result<Map<String, Value>> {
    object(&input::read(path, Kind::Checkpoint, doing)?, path)
}

/// The same text with quotation marks around Python's numbers; none if it has none of them.
fn quoted(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    let (mut at, mut in_text, mut found) = (0, false, false);
    while let Some(&byte) = bytes.get(at) {
        let name = NAMES.iter().find(|name| !in_text && bytes[at..].starts_with(name));
        if let Some(name) = name {
            out.push(b'"');
            out.extend_from_slice(name);
            out.push(b'"');
            at += name.len();
            found = true;
            continue;
        }
        if in_text && byte == b'\\' {
            // An escaped character, perhaps a quotation mark.
            out.extend_from_slice(&bytes[at..bytes.len().min(at + 2)]);
            at += 2;
            continue;
        }
        in_text ^= byte == b'"';
        out.push(byte);
        at += 1;
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_that_only_python_writes_are_texts() {
        let text = br#"{"a": NaN, "b": [Infinity, -Infinity], "NaN": "Infinity \" NaN", "c": -1}"#;
        let read = json!({"a": "NaN", "b": ["Infinity", "-Infinity"], "NaN": "Infinity \" NaN", "c": -1});
        assert_eq!(parse(text).unwrap(), read);
    }

    #[test]
    fn what_python_refuses_too_is_refused() {
        for text in [
            "{",
            "{\"a\": nan}",
            "{\"a\": +Infinity}",
            "{\"a\": NaNa}",
            "{\"a\": NaN",
            "Infinity,",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let folder = Path::new("config.json");
        assert!(
            object(b"[1]", folder)
                .unwrap_err()
                .message
                .contains("not a JSON object")
        );
        assert!(object(b"[NaN", folder).unwrap_err().message.contains("not JSON"));
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        assert_eq!(parse(br#"{"a": 1, "a": 2}"#).unwrap(), json!({"a": 2}));
    }

    proptest! {
        #[test]
        fn plain_json_is_what_serde_json_says(text in r#"[\[\]{}:,"\\a-z0-9 .-]{0,60}"#) {
            match serde_json::from_str::<Value>(&text) {
                Ok(value) => prop_assert_eq!(parse(text.as_bytes()).unwrap(), value),
                Err(_) => prop_assert!(parse(text.as_bytes()).is_err()),
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            _ = parse(&bytes);
            _ = quoted(&bytes);
        }
    }
}
