//! CSV (RFC 4180) and the same with tabs. Strict where a lenient reader loses rows in silence: an unclosed quote
//! swallows the rest of a file, so it is an error here, as are ragged rows.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::{Errors, Row, Table};
use crate::content::files::without_bom;
use crate::content::names::shortened;
use crate::diagnostic::{Diagnostic, Diagnostics, Position};

/// Reads the text of a file; the first record names the columns.
///
/// A first column without a name is one that `DataFrame.to_csv` of pandas wrote for its index; it gets the name that
/// pandas reads it by.
pub fn read(file: &Path, text: &str, delimiter: char) -> Result<Table, Diagnostics> {
    let at = |position, message: String| Diagnostic::content(message).in_file(file).at(position);
    let text = without_bom(text);
    let start = Position { line: 1, column: 1 };
    if text.contains('\r') && !text.contains('\n') {
        let error = at(start, "the lines of this file end in CR alone".into()).expected("LF, or CR LF");
        return Err(error.help("save the file with Unix line ends").into());
    }
    let mut records = Records {
        text,
        offset: 0,
        line: 1,
        line_start: 0,
        delimiter,
    };
    let mut header = match records.next() {
        Some(Ok(header)) => header,
        Some(Err((place, message))) => return Err(at(records.position_of(place), message.to_owned()).into()),
        None => {
            return Err(at(start, "the file is empty".into())
                .expected("a first line with the names of the columns")
                .into());
        }
    };
    if let Some(problem) = other_separator(&header.cells, delimiter) {
        return Err(problem.in_file(file).at(header.position).into());
    }
    if header.cells.len() > 1 && header.cells[0].trim().is_empty() {
        header.cells[0] = "Unnamed: 0".to_owned();
    }
    let mut errors = Errors::default();
    check_names(&header, |message, help| {
        errors.push(at(header.position, message).help(help));
    });
    let mut table = Table {
        files: vec![file.to_path_buf()],
        columns: header.cells,
        cells_are_text: true,
        ..Table::default()
    };
    while let Some(record) = records.next() {
        match record {
            Err((place, message)) => errors.push(at(records.position_of(place), message.to_owned())),
            Ok(record) if record.cells.len() != table.columns.len() => {
                let found = format!("this row has {} cells", record.cells.len());
                errors.push(
                    at(record.position, found)
                        .expected(format!("{}, as in the first line", table.columns.len()))
                        .help(why_ragged(&record.cells, &table.columns)),
                );
            }
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
    errors.or(table)
}

/// An error if the first line is one cell that other separators would make several of.
fn other_separator(header: &[String], delimiter: char) -> Option<Diagnostic> {
    if header[0].trim_start().to_lowercase().starts_with("sep=") {
        let told = Diagnostic::content("the first line is a word to Excel on the separator, and names no columns");
        return Some(told.help("remove the line"));
    }
    let [only] = header else { return None };
    let other = [';', '\t', '|', ',']
        .into_iter()
        .find(|other| *other != delimiter && only.contains(*other))?;
    let name = |separator: char| match separator {
        '\t' => "a tab".to_owned(),
        other => format!("`{other}`"),
    };
    let extension = if delimiter == '\t' { ".tsv" } else { ".csv" };
    let message = format!(
        "the first line has no {}, and has {}",
        name(delimiter).trim_start_matches("a "),
        name(other)
    );
    Some(
        Diagnostic::content(message)
            .expected(format!(
                "{} between cells, as in every {extension} file",
                name(delimiter)
            ))
            .help(match other {
                '\t' => "give the file a name that ends in .tsv".to_owned(),
                ',' => "give the file a name that ends in .csv".to_owned(),
                other => {
                    format!("write the file again: pandas reads it with `sep=\"{other}\"`, and `to_csv` writes commas")
                }
            }),
    )
}

/// Reports columns without a name, and those of one name.
fn check_names(header: &Record, mut tell: impl FnMut(String, &str)) {
    let mut known = HashSet::new();
    for (index, name) in header.cells.iter().enumerate() {
        if name.trim().is_empty() {
            tell(
                format!("column {} has no name", index + 1),
                "name it, or remove it; a separator at the end of each line makes a column too, and so does an index that `to_csv` writes without `index=False`",
            );
        } else if !known.insert(name) {
            tell(
                format!("two columns have the name `{}`", shortened(name)),
                "rename or remove one of them",
            );
        }
    }
}

/// What is probably wrong with a row of another length.
fn why_ragged(cells: &[String], columns: &[String]) -> &'static str {
    let is_comment = |cells: &[String]| cells.first().is_some_and(|cell| cell.starts_with('#'));
    if is_comment(cells) || is_comment(columns) {
        "CSV has no comments: remove the line that begins with `#`"
    } else if cells.len() > columns.len() && cells[columns.len()..].iter().all(|cell| cell.trim().is_empty()) {
        "remove the separators at the end of the line, or name the column"
    } else {
        "put text that contains the separator, a quote or a line break between double quotes"
    }
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

/// A place in the text: its line, where that begins, and the offset. Columns are counted when one is reported, not for
/// each cell.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    line_start: usize,
    offset: usize,
}

impl Records<'_> {
    fn rest(&self) -> &str {
        &self.text[self.offset..]
    }

    fn here(&self) -> Place {
        Place {
            line: self.line,
            line_start: self.line_start,
            offset: self.offset,
        }
    }

    fn position_of(&self, place: Place) -> Position {
        Position {
            line: place.line,
            column: self.text[place.line_start..place.offset].chars().count() + 1,
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
    fn cell(&mut self) -> Result<String, (Place, &'static str)> {
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
                let place = self.here();
                self.offset += self.rest().find('\n').unwrap_or(self.rest().len());
                return Err((place, "text follows a closing quote; write a quote within quotes twice"));
            }
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, (Place, &'static str)>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.line_end() {}
        if self.rest().is_empty() {
            return None;
        }
        let position = self.position_of(self.here());
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
        let told = problems("a,a,\n");
        assert!(
            told[0].starts_with("a.csv:1:1: two columns have the name `a`\n  help: "),
            "{told:?}"
        );
        assert!(
            told[1].starts_with("a.csv:1:1: column 3 has no name\n  help: name it, or remove it"),
            "{told:?}"
        );
        assert_eq!(
            problems(""),
            ["a.csv:1:1: the file is empty\n  expected: a first line with the names of the columns"]
        );
    }

    #[test]
    fn the_index_of_pandas_has_the_name_that_pandas_reads() {
        let table = read(Path::new("a.csv"), ",id\n0,r\n", ',').unwrap();
        assert_eq!(table.columns, ["Unnamed: 0", "id"]);
        assert_eq!(table.text(0, "Unnamed: 0").unwrap(), "0");
        assert!(problems(",,id\n0,1,r\n")[0].contains("column 2 has no name"));
    }

    #[test]
    fn what_is_probably_wrong_is_said() {
        for (text, message, help) in [
            (
                "id;text\n1;a, b\n",
                "the first line has no `,`, and has `;`",
                "`sep=\";\"`",
            ),
            ("sep=;\nid;text\n", "the first line is a word to Excel", "remove"),
            ("sep=,\nid,text\n", "the first line is a word to Excel", "remove"),
            ("id\ttext\n", "the first line has no `,`, and has a tab", ".tsv"),
            ("id,text\r1,a\r", "the lines of this file end in CR alone", "Unix"),
            ("# by me\nid,text\n1,a\n", "this row has 2 cells", "no comments"),
            ("id,text\n# more\n1,a\n", "this row has 1 cells", "no comments"),
            ("id,text\n1,a,\n", "this row has 3 cells", "separators at the end"),
        ] {
            let told = problems(text);
            assert!(
                told[0].contains(message) && told[0].contains(help),
                "{text:?}: {told:?}"
            );
        }
        let many = problems(&("a,b\n".to_owned() + &"1\n".repeat(50)));
        assert_eq!(many.len(), 11);
        assert_eq!(many[10], "a.csv: this file has 50 errors; the first 10 are told");
        let told = read(Path::new("a.tsv"), "id,text\n", '\t').unwrap_err();
        assert!(
            told.iter().next().unwrap().message.contains("no tab, and has `,`"),
            "{told:?}"
        );
    }

    #[test]
    fn the_time_grows_with_the_file_and_not_with_its_square() {
        // 200,000 columns, in quotes and not, took minutes where each was compared with all before it.
        let names: Vec<String> = (0..200_000).map(|n| format!("c{n}")).collect();
        let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let began = std::time::Instant::now();
        let table = read(
            Path::new("a.csv"),
            &format!("{}\n{}\n", names.join(","), quoted.join(",")),
            ',',
        )
        .unwrap();
        assert_eq!(table.rows[0].fields.len(), 200_000);
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
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
