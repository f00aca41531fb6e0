//! Rows written in the experiment itself: `dataset: {rows: [{id: a, statement: …}]}`.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::{Row, Table, number_as_written};
use crate::content::decode::{Decoder, Field};
use crate::content::names::shortened;
use crate::content::yaml::{Content, Node, ScalarKind};

/// Reads the list under `rows`.
///
/// What a prompt shows is what the author wrote: numbers keep their text, and so do `True` and `FALSE`.
pub fn read(decoder: &mut Decoder, file: &Path, field: &Field) -> Option<Table> {
    let mut table = Table {
        files: vec![file.to_path_buf()],
        ..Table::default()
    };
    let mut known = HashSet::new();
    let before = decoder.diagnostics.error_count();
    let expected = "a list of rows, such as [{id: a, statement: Taxes fell.}]";
    for row in decoder.list(field, expected)? {
        let Some(entries) = decoder.entries(&row, "a mapping from column names to values, such as {id: a}") else {
            continue;
        };
        for entry in entries {
            let name = format!("{}.{}", row.name, shortened(&entry.key));
            let field = Field {
                name,
                node: &entry.node,
            };
            // `label: true # checked` is a remark; `statement: Rule #1` and `statement: A sentence # cut` are not.
            let one_word = field.scalar().is_some_and(|scalar| !scalar.text.contains(' '));
            decoder.watch_comment(&field, one_word);
        }
        let fields: Map<String, Value> = entries
            .iter()
            .map(|entry| (entry.key.clone(), value(&entry.node)))
            .collect();
        table.add_columns(entries.iter().map(|entry| &entry.key), &mut known);
        table.rows.push(Row {
            file: 0,
            position: Some(row.node.position),
            fields,
        });
    }
    (decoder.diagnostics.error_count() == before).then_some(table)
}

fn value(node: &Node) -> Value {
    match &node.content {
        Content::List(items) => Value::Array(items.iter().map(value).collect()),
        Content::Map(entries) => Value::Object(
            entries
                .iter()
                .map(|entry| (entry.key.clone(), value(&entry.node)))
                .collect(),
        ),
        Content::Scalar(scalar) => match scalar.kind {
            ScalarKind::Null => Value::Null,
            ScalarKind::Bool(truth) if scalar.text == truth.to_string() => Value::Bool(truth),
            ScalarKind::Number(_) => number_as_written(&scalar.text),
            ScalarKind::Bool(_) | ScalarKind::Text => Value::String(scalar.text.clone()),
        },
    }
}
