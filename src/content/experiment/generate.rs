//! The `generate` block: the text that a model continues, and how far.

use serde_json::{Map, Value};

use super::GenerateSpec;
use crate::content::dataset::{Row, Table};
use crate::content::decode::{Decoder, Field};
use crate::content::prompt::{SegmentSource, Templates};
use crate::diagnostic::{Diagnostic, Result};
use crate::terms::Role;

/// The model's prompt, and the token that it predicts there: what the template may use in addition to the row's
/// columns.
const OWN: [&str; 2] = ["prompt", "answer"];
/// More tokens than this are no answer.
const MOST_TOKENS: u64 = 100_000;

/// Reads the block.
pub fn read(decoder: &mut Decoder, path: &std::path::Path, field: &Field) -> Option<GenerateSpec> {
    let table = decoder.table(field, &["prompt", "max_new_tokens"])?;
    let before = decoder.diagnostics.error_count();
    let max_new_tokens = match table.get("max_new_tokens") {
        Some(most) => decoder.whole(&most, 1..=MOST_TOKENS).unwrap_or_default(),
        None => 100,
    };
    if let Some(prompt) = table.get("prompt") {
        decoder.watch_comment(&prompt, false);
    }
    let (text, position) = match table.get("prompt") {
        Some(prompt) => (decoder.written(&prompt, "a template")?, prompt.node.position),
        None => ("{{ prompt }}".to_owned(), field.node.position),
    };
    let source = SegmentSource {
        name: "generate".to_owned(),
        role: Role::User,
        text,
        position,
    };
    match Templates::parse_alone(path, "generate.prompt", source) {
        Ok(template) => (decoder.diagnostics.error_count() == before).then_some(GenerateSpec {
            template,
            max_new_tokens: max_new_tokens as usize,
        }),
        Err(errors) => {
            decoder.diagnostics.extend(errors);
            None
        }
    }
}

impl GenerateSpec {
    /// Its template as written.
    pub fn text(&self) -> &str {
        self.template.only()
    }

    /// The text for a row, given the model's prompt and the token that it predicts there.
    ///
    /// # Errors
    /// The template fails on it.
    pub fn prompt(&self, fields: &Map<String, Value>, prompt: &str, answer: &str) -> Result<String> {
        let own = OWN.iter().zip([prompt, answer]);
        let own = own.map(|(name, text)| ((*name).to_owned(), Value::String(text.to_owned())));
        let fields: Map<String, Value> = own.chain(fields.clone()).collect();
        let table = Table {
            columns: fields.keys().cloned().collect(),
            rows: vec![Row {
                file: 0,
                position: None,
                fields,
            }],
            ..Table::default()
        };
        match self.template.render(&table, 0) {
            Ok(texts) => Ok(texts.concat()),
            Err(mut errors) => Err(errors.remove(0).1),
        }
    }

    /// Looks before any model runs whether the template will do for a row.
    ///
    /// # Errors
    /// It uses a name that means two things, or fails.
    pub fn check(&self, fields: &Map<String, Value>, prompt: &str) -> Result<()> {
        let twice = OWN
            .iter()
            .find(|name| fields.contains_key(**name) && self.template.uses(name));
        if let Some(name) = twice {
            let error = self.template.error(format!(
                "`{name}` is the model's own here, and the data has a column of that name"
            ));
            return Err(error.help("rename the column"));
        }
        self.prompt(fields, prompt, "A").map(drop).map_err(|error| Diagnostic {
            message: error.message.replace(", for row 0", ""),
            ..error
        })
    }
}
