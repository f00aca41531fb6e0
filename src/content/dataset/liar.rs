//! The LIAR data set (W. Y. Wang, 2017) from its own files: 14 columns, no header, no quoting, UTF-8.
//!
//! Quotes are text here: a reader with quoting on joins rows and finds 10,240 of the 10,269 in train.tsv. Nothing is
//! cleaned either; U+FEFF and control characters within statements stay, since the models get them too.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Row, Table};
use crate::content::files;
use crate::diagnostic::{Diagnostic, Diagnostics, Position};

/// The columns of the files, in their order; a fifteenth, `split`, says which file a row is from.
pub const COLUMNS: [&str; 14] = [
    "id",
    "label",
    "statement",
    "subject",
    "speaker",
    "job_title",
    "state",
    "party",
    "barely_true_counts",
    "false_counts",
    "half_true_counts",
    "mostly_true_counts",
    "pants_on_fire_counts",
    "context",
];

/// The files and their `split`, in the order in which they are joined.
const FILES: [(&str, &str); 3] = [
    ("train.tsv", "train"),
    ("test.tsv", "test"),
    ("valid.tsv", "validation"),
];

/// Reads the three files in `folder` (relative to `root`, or absolute).
pub fn read(root: &Path, folder: &Path) -> Result<Table, Diagnostics> {
    let mut errors = Diagnostics::new();
    let columns = COLUMNS.iter().copied().chain(["split"]).map(str::to_owned).collect();
    let mut table = Table {
        columns,
        cells_are_text: true,
        ..Table::default()
    };
    for (index, (name, split)) in FILES.iter().enumerate() {
        let path = files::shown(&folder.join(name));
        let Some(text) = errors.keep(files::read_text(root, &path)) else {
            continue;
        };
        for (line, text) in text.strip_suffix('\n').unwrap_or(&text).split('\n').enumerate() {
            let position = Position {
                line: line + 1,
                column: 1,
            };
            // A checkout with Windows line ends adds a CR; LIAR itself has none.
            let cells: Vec<&str> = text.strip_suffix('\r').unwrap_or(text).split('\t').collect();
            if cells.len() != COLUMNS.len() {
                errors.push(
                    Diagnostic::content(format!("this line has {} columns", cells.len()))
                        .in_file(&path)
                        .at(position)
                        .expected("the 14 of the LIAR data set, between tabs"),
                );
                continue;
            }
            let cells = cells
                .into_iter()
                .chain([*split])
                .map(|cell| Value::String(cell.to_owned()));
            let fields: Map<String, Value> = table.columns.iter().cloned().zip(cells).collect();
            table.rows.push(Row {
                file: index,
                position: Some(position),
                fields,
            });
        }
        table.files.push(path);
    }
    if errors.has_errors() { Err(errors) } else { Ok(table) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One line of fourteen cells.
    fn line(id: &str, statement: &str) -> String {
        format!("{id}\thalf-true\t{statement}\ttaxes\tann-lee\t\tOhio\tnone\t0\t1\t2\t3\t4\ta speech")
    }

    fn folder(train: &str, test: &str, valid: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("train.tsv", train), ("test.tsv", test), ("valid.tsv", valid)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn the_files_are_joined_train_test_validation() {
        let statement = "\u{feff}\"He said \u{90}it\u{0}";
        let folder = folder(
            &(line("1", statement) + "\n"),
            &(line("2", "b") + "\r\n"),
            &line("3", "c"),
        );
        let table = read(folder.path(), Path::new("")).unwrap();
        let column = |name: &str| -> Vec<String> {
            (0..table.rows.len())
                .map(|row| table.text(row, name).unwrap().into_owned())
                .collect()
        };
        assert_eq!(column("id"), ["1", "2", "3"]);
        assert_eq!(column("split"), ["train", "test", "validation"]);
        assert_eq!(column("context"), ["a speech"; 3]);
        assert_eq!(column("statement"), [statement, "b", "c"]);
        assert_eq!(table.columns.len(), 15);
    }

    #[test]
    fn ragged_lines_and_missing_files_are_told_together() {
        let folder = folder(&format!("{}\n{}\tmore\n", line("1", "a"), line("2", "b")), "x", "");
        std::fs::remove_file(folder.path().join("valid.tsv")).unwrap();
        let errors: Vec<String> = read(folder.path(), Path::new(""))
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            errors[0],
            "train.tsv:2:1: this line has 15 columns\n  expected: the 14 of the LIAR data set, between tabs"
        );
        assert!(errors[1].starts_with("test.tsv:1:1: this line has 1 columns"));
        assert!(errors[2].starts_with("valid.tsv: cannot read this file"));
    }

    proptest! {
        #[test]
        fn cells_come_back_as_they_are(statement in "[^\t\n\r]{0,40}") {
            let folder = folder(&line("1", &statement), &line("2", "b"), &line("3", "c"));
            let table = read(folder.path(), Path::new("")).unwrap();
            prop_assert_eq!(table.text(0, "statement").unwrap(), statement);
        }
    }
}
