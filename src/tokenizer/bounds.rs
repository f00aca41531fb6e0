//! Bounds on a tokenizer's file, checked before the tokenizer is built: how much longer than the text its steps may
//! make it.
//!
//! Steps that insert more than they remove multiply: nine that make ten letters of one need a billion bytes for each
//! byte of text. The bound is on the product of what each step can do at most. Llama's tokenizers have a product of 3,
//! those with Unicode's compatibility forms about 100; no ordinary one is known to be above.

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Result};

/// The most bytes that a byte of text may become.
const MOST_GROWTH: f64 = 1000.0;
/// Bytes of the longest replacement that the normalisation of SentencePiece makes of one character, `ﷺ`.
const PRECOMPILED: f64 = 33.0;

/// Refuses a pipeline whose steps can make a text longer than [`MOST_GROWTH`] times. `parts` are its normaliser,
/// pre-tokenizer and so on, by their keys.
///
/// # Errors
/// The product is above the bound; the error names the part.
pub fn check_growth(parts: &[(&str, &Value)]) -> Result<()> {
    let mut steps = Steps::default();
    for (key, part) in parts {
        // A decoder starts again, with the text of the tokens.
        if *key == "decoder" {
            steps = Steps::default();
        }
        steps.take(part);
        if steps.growth > MOST_GROWTH {
            return Err(
                Diagnostic::checkpoint("the tokenizer's steps can make a text of one byte longer than memory")
                    .place(*key)
                    .expected(format!("steps that make a text at most {MOST_GROWTH} times as long"))
                    .help(
                        "no tokenizer of a model is known to do this: get the file from where the model is published",
                    ),
            );
        }
    }
    Ok(())
}

/// Refuses a post-processor that does not write the text once.
///
/// # Errors
/// A template has it twice, or not at all.
pub fn check_template(post_processor: &Value) -> Result<()> {
    for inner in post_processor
        .get("processors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        check_template(inner)?;
    }
    let Some(pieces) = post_processor.get("single").and_then(Value::as_array) else {
        return Ok(());
    };
    let count = pieces.iter().filter(|piece| piece.get("Sequence").is_some()).count();
    if count == 1 {
        return Ok(());
    }
    Err(
        Diagnostic::checkpoint(format!("the tokenizer writes each text {count} times"))
            .place("post_processor.single")
            .expected("once, with special tokens round it"),
    )
}

/// What the steps so far can do.
struct Steps {
    growth: f64,
    /// Steps that do nothing the second time.
    done: Vec<String>,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            growth: 1.0,
            done: Vec::new(),
        }
    }
}

impl Steps {
    fn take(&mut self, step: &Value) {
        let flag = |key: &str| step.get(key).and_then(Value::as_bool);
        let kind = step.get("type").and_then(Value::as_str).unwrap_or_default();
        let once = |factor: f64, done: &mut Vec<String>| {
            let new = !done.iter().any(|known| known == kind);
            if new {
                done.push(kind.to_owned());
            }
            if new { factor } else { 1.0 }
        };
        self.growth *= match kind {
            "Sequence" => {
                for key in ["normalizers", "pretokenizers", "processors", "decoders"] {
                    for inner in step.get(key).and_then(Value::as_array).into_iter().flatten() {
                        self.take(inner);
                    }
                }
                1.0
            }
            "Replace" => replacement(step),
            // A letter of two bytes for each byte, and a blank before each piece.
            "ByteLevel" => {
                2.0 * if flag("add_prefix_space") == Some(false) {
                    1.0
                } else {
                    2.0
                }
            }
            // Three bytes for each blank, and three before each piece.
            "Metaspace" => 2.0 * once(3.0, &mut self.done),
            // The most bytes of a byte in UTF-8, by Unicode's own figures.
            "NFKC" | "NFKD" => once(11.0, &mut self.done),
            "NFC" | "NFD" => once(3.0, &mut self.done),
            "Lowercase" => once(2.0, &mut self.done),
            "BertNormalizer" => once(6.0, &mut self.done),
            "Precompiled" => PRECOMPILED,
            _ => 1.0,
        };
    }
}

/// How much longer a replacement can make a text. A regular expression may match nothing, between any two characters.
fn replacement(step: &Value) -> f64 {
    let length = |value: &Value| value.as_str().map_or(0.0, |text| text.len() as f64);
    let content = step.get("content").map_or(0.0, length);
    match step.get("pattern").and_then(|pattern| pattern.get("String")) {
        Some(pattern) if length(pattern) > 0.0 => (content / length(pattern)).max(1.0),
        _ => 1.0 + content,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn replace(from: &str, to: &str) -> Value {
        json!({"type": "Replace", "pattern": {"String": from}, "content": to})
    }

    fn growth(steps: &Value) -> f64 {
        let mut all = Steps::default();
        all.take(steps);
        all.growth
    }

    #[test]
    fn honest_pipelines_are_far_below() {
        let llama =
            json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")]});
        assert_eq!(growth(&llama), 3.0);
        let wide = json!({"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "NFKC"}, {"type": "Lowercase"}, replace(" ", "▁")]});
        assert_eq!(growth(&wide), 66.0);
        assert!(check_growth(&[("normalizer", &wide), ("pre_tokenizer", &json!({"type": "ByteLevel"}))]).is_ok());
    }

    #[test]
    fn steps_that_multiply_are_refused() {
        let many = json!({"type": "Sequence", "normalizers": vec![replace("a", "aaaaaaaaaa"); 9]});
        let error = check_growth(&[("normalizer", &many)]).unwrap_err();
        assert_eq!(error.place.as_deref(), Some("normalizer"));
        // The same over two parts, and by steps that double.
        let half = json!({"type": "Sequence", "normalizers": vec![replace("a", "aaaaaaaaaa"); 2]});
        let doubling = json!({"type": "Sequence", "pretokenizers": vec![json!({"type": "ByteLevel", "add_prefix_space": false}); 4]});
        assert!(check_growth(&[("normalizer", &half)]).is_ok());
        assert!(check_growth(&[("normalizer", &half), ("pre_tokenizer", &doubling)]).is_err());
        let nothing = json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "a".repeat(2000)});
        assert!(check_growth(&[("decoder", &nothing)]).is_err());
    }
}
