//! CSV (RFC 4180) and the same with tabs. Strict where a lenient reader loses rows in silence: an unclosed quote swallows
//! the rest of a file, so it is an error here, as are ragged rows.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Row, Table};
use crate::content::files::without_bom;
use crate::content::names::shortened;
use crate::diagnostic::{Diagnostic, Diagnostics, Position};

/// Reads the text of a file; the first record names the columns.
pub fn read(file: &Path, text: &str, delimiter: char) -> Result<Table, Diagnostics> {
    let at = |position, message: String| Diagnostic::content(message).in_file(file).at(position);
    let mut records = Records {
        text: without_bom(text),
        offset: 0,
        line: 1,
        line_start: 0,
        delimiter,
    };
    let start = Position { line: 1, column: 1 };
    let header = match records.next() {
        Some(Ok(header)) => header,
        Some(Err((position, message))) => return Err(at(position, message.to_owned()).into()),
        None => {
            return Err(at(start, "the file is empty".into())
                .expected("a first line with the names of the columns")
                .into());
        }
    };
    let mut errors = Diagnostics::new();
    for (index, name) in header.cells.iter().enumerate() {
        if name.trim().is_empty() {
            errors.push(at(header.position, format!("column {} has no name", index + 1)));
        } else if header.cells[..index].contains(name) {
            errors.push(at(
                header.position,
                format!("two columns have the name `{}`", shortened(name)),
            ));
        }
    }
    let mut table = Table {
        files: vec![file.to_path_buf()],
        columns: header.cells,
        ..Table::default()
    };
    for record in records {
        match record {
            Err((position, message)) => errors.push(at(position, message.to_owned())),
            Ok(record) if record.cells.len() != table.columns.len() => errors.push(
                at(record.position, format!("this row has {} cells", record.cells.len()))
                    .expected(format!("{}, as in the first line", table.columns.len()))
                    .help("put text that contains the separator, a quote or a line break between double quotes"),
            ),
            Ok(record) => {
                let cells = record.cells.into_iter().map(Value::String);
                let fields: Map<String, Value> = table.columns.iter().cloned().zip(cells).collect();
                table.rows.push(Row {
                    file: 0,
                    position: Some(record.position),
                    fields,
                });
            }
        }
    }
    if errors.has_errors() { Err(errors) } else { Ok(table) }
}

struct Record {
    position: Position,
    cells: Vec<String>,
}

/// Splits the text into records; blank lines between them are skipped.
struct Records<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
    line_start: usize,
    delimiter: char,
}

impl Records<'_> {
    fn rest(&self) -> &str {
        &self.text[self.offset..]
    }

    fn here(&self) -> Position {
        Position {
            line: self.line,
            column: self.text[self.line_start..self.offset].chars().count() + 1,
        }
    }

    /// Steps over a line end, if one is here.
    fn line_end(&mut self) -> bool {
        let width = if self.rest().starts_with('\n') {
            1
        } else {
            2 * usize::from(self.rest().starts_with("\r\n"))
        };
        if width > 0 {
            self.offset += width;
            self.line += 1;
            self.line_start = self.offset;
        }
        width > 0
    }

    /// A cell up to the delimiter or line end, which it leaves in place.
    fn cell(&mut self) -> Result<String, (Position, &'static str)> {
        let delimiter = self.delimiter;
        if !self.rest().starts_with('"') {
            let mut end = self.rest().find(['\n', delimiter]).unwrap_or(self.rest().len());
            if self.rest()[end..].starts_with('\n') && self.rest()[..end].ends_with('\r') {
                end -= 1;
            }
            let cell = self.rest()[..end].to_owned();
            self.offset += end;
            return Ok(cell);
        }
        let opened = self.here();
        self.offset += 1;
        let mut cell = String::new();
        loop {
            let Some(end) = self.rest().find('"') else {
                self.offset = self.text.len();
                return Err((opened, "this quote is never closed"));
            };
            let part = &self.text[self.offset..self.offset + end];
            cell.push_str(part);
            self.line += part.matches('\n').count();
            if let Some(last) = part.rfind('\n') {
                self.line_start = self.offset + last + 1;
            }
            self.offset += end + 1;
            if self.rest().starts_with('"') {
                cell.push('"');
                self.offset += 1;
            } else if self.rest().is_empty()
                || self.rest().starts_with(['\n', delimiter])
                || self.rest().starts_with("\r\n")
            {
                return Ok(cell);
            } else {
                let position = self.here();
                self.offset += self.rest().find('\n').unwrap_or(self.rest().len());
                return Err((
                    position,
                    "text follows a closing quote; write a quote within quotes twice",
                ));
            }
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, (Position, &'static str)>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.line_end() {}
        if self.rest().is_empty() {
            return None;
        }
        let position = self.here();
        let mut cells = Vec::new();
        loop {
            match self.cell() {
                Ok(cell) => cells.push(cell),
                Err(problem) => return Some(Err(problem)),
            }
            if self.rest().starts_with(self.delimiter) {
                self.offset += self.delimiter.len_utf8();
            } else {
                self.line_end();
                return Some(Ok(Record { position, cells }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells(text: &str) -> Vec<Vec<String>> {
        let table = read(Path::new("a.csv"), text, ',').unwrap();
        let cell = |value: &Value| value.as_str().unwrap().to_owned();
        table
            .rows
            .iter()
            .map(|row| row.fields.values().map(cell).collect())
            .collect()
    }

    fn problems(text: &str) -> Vec<String> {
        read(Path::new("a.csv"), text, ',')
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn quotes_line_breaks_and_byte_order_marks() {
        let text = "\u{feff}id,text\r\n1,\"a, \"\"b\"\"\nc\"\r\n\n2,\u{feff}\u{0}5\" pipe\n";
        assert_eq!(cells(text), [["1", "a, \"b\"\nc"], ["2", "\u{feff}\u{0}5\" pipe"]]);
        let table = read(Path::new("a.csv"), text, ',').unwrap();
        assert_eq!(table.columns, ["id", "text"]);
        assert_eq!(table.rows[1].position, Some(Position { line: 5, column: 1 }));
        assert_eq!(cells("a,b\n,"), [["", ""]]);
    }

    #[test]
    fn what_a_lenient_reader_would_hide_is_an_error() {
        assert_eq!(
            problems("id,text\n1,\"open\n2,b\n"),
            ["a.csv:2:3: this quote is never closed"]
        );
        assert_eq!(
            problems("id,text\n1\n2,b,c\n3,d"),
            [
                "a.csv:2:1: this row has 1 cells\n  expected: 2, as in the first line\n  help: put text that contains the separator, a quote or a line break between double quotes",
                "a.csv:3:1: this row has 3 cells\n  expected: 2, as in the first line\n  help: put text that contains the separator, a quote or a line break between double quotes"
            ]
        );
        assert_eq!(
            problems("a\n\"x\"y\n"),
            ["a.csv:2:4: text follows a closing quote; write a quote within quotes twice"]
        );
        assert_eq!(
            problems("a,a,\n"),
            [
                "a.csv:1:1: two columns have the name `a`",
                "a.csv:1:1: column 3 has no name"
            ]
        );
        assert_eq!(
            problems(""),
            ["a.csv:1:1: the file is empty\n  expected: a first line with the names of the columns"]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a\",\n\r\té\u{feff}]{0,40}") {
            let _ = read(Path::new("a.csv"), &text, ',');
        }

        #[test]
        fn what_was_quoted_comes_back(rows in prop::collection::vec(("\\PC{0,9}", "[,\"\n\ra]{0,9}"), 0..9)) {
            let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
            let mut text = "x,y\n".to_owned();
            for (a, b) in &rows {
                text += &format!("{},{}\n", quoted(a), quoted(b));
            }
            let expected: Vec<Vec<String>> = rows.into_iter().map(|(a, b)| vec![a, b]).collect();
            prop_assert_eq!(cells(&text), expected);
        }
    }
}
