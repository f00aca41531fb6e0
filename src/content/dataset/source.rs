//! Where rows come from: the `source`, `path` and `rows` of an experiment's `dataset`, and the files they name.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::{Table, delimited, json, liar, rows};
use crate::content::decode::{self, Decoder, Located};
use crate::content::files;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Where the rows of an experiment come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file under `content/`; the path is relative to the project's root.
    File(Located<PathBuf>, Format),
    /// The folder with LIAR's three files, relative to the project's root or absolute.
    Liar(Located<PathBuf>),
    /// Rows in the experiment itself.
    Rows(Rc<Table>),
}

/// How a data file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Cells between this character, the first line naming the columns.
    Delimited(char),
    /// An object a line.
    JsonLines,
}

/// Reads `source` with `path`, or `rows`, of the `dataset` table in `file`.
pub fn read_source(decoder: &mut Decoder, file: &Path, table: &decode::Table) -> Option<Source> {
    const WHAT: &str = "a file under content/ such as data/claims.csv, or liar";
    match (table.get("source"), table.get("rows")) {
        (Some(source), None) => {
            let text = decoder.located(&source, WHAT)?;
            if text.value == "liar" {
                return liar_source(decoder, file, table, &text);
            }
            if let Some(path) = table.get("path") {
                let error = decoder.error(path.node.position, "`path` goes with `source: liar` only");
                decoder.push(
                    error
                        .place(path.name)
                        .help("write the path of the file as the `source`"),
                );
            }
            file_source(decoder, text)
        }
        (None, Some(field)) => rows::read(decoder, file, &field).map(|table| Source::Rows(Rc::new(table))),
        (Some(_), Some(field)) => {
            let error = decoder.error(field.node.position, "both `source` and `rows` are given");
            decoder.push(error.place("dataset").expected("one of the two"));
            None
        }
        (None, None) => {
            let error = decoder.error(table.position(), "there is neither `source` nor `rows`");
            decoder.push(
                error
                    .place("dataset")
                    .expected(format!("`source`: {WHAT}; or `rows`: a list of rows")),
            );
            None
        }
    }
}

/// `path` is relative to `content/` like every other source; with `./` or `../` in front, to the YAML file's folder.
fn liar_source(decoder: &mut Decoder, file: &Path, table: &decode::Table, source: &Located<String>) -> Option<Source> {
    let Some(field) = table.get("path") else {
        let error = decoder.error(
            source.position,
            "`source: liar` needs a `path`: this version reads LIAR from a folder",
        );
        decoder.push(error.place("dataset").expected("`path`: the folder with train.tsv, test.tsv and valid.tsv").help(
            "get liar_dataset.zip (W. Y. Wang, ACL 2017, https://www.cs.ucsb.edu/~william/data/liar_dataset.zip) and unpack it",
        ));
        return None;
    };
    let path = decoder.located(&field, "the folder with train.tsv, test.tsv and valid.tsv")?;
    let from_yaml =
        path.value == "." || path.value.starts_with("./") || path.value == ".." || path.value.starts_with("../");
    let base = if from_yaml {
        file.parent().unwrap_or(Path::new("")).to_path_buf()
    } else {
        PathBuf::from("content")
    };
    Some(Source::Liar(Located {
        value: base.join(&path.value),
        position: path.position,
    }))
}

fn file_source(decoder: &mut Decoder, text: Located<String>) -> Option<Source> {
    let path = Path::new(&text.value);
    let mut refuse = |message: String, expected: &str, help: Option<&str>| {
        let mut error = decoder
            .error(text.position, message)
            .place("dataset.source")
            .expected(expected);
        error.help = help.map(str::to_owned);
        decoder.push(error);
    };
    if !path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    {
        let message = format!("the data file `{}` is not under content/", text.value);
        refuse(
            message,
            "a path from content/ on, without `..`",
            Some("copy or link the file into content/data/"),
        );
        return None;
    }
    const EXTENSIONS: &str = "liar, or a file that ends in .csv, .tsv, .jsonl or .ndjson";
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase());
    let format = match extension.as_deref() {
        Some("csv") => Format::Delimited(','),
        Some("tsv") => Format::Delimited('\t'),
        Some("jsonl" | "ndjson") => Format::JsonLines,
        Some("parquet") => {
            let help = "convert it, for example: duckdb -c \"COPY 'a.parquet' TO 'a.jsonl'\"";
            refuse("Parquet is not read in this version".to_owned(), EXTENSIONS, Some(help));
            return None;
        }
        _ => {
            refuse(
                format!("`{}` is no kind of data file that igsite reads", text.value),
                EXTENSIONS,
                None,
            );
            return None;
        }
    };
    let value = files::shown(&Path::new("content").join(path));
    Some(Source::File(
        Located {
            value,
            position: text.position,
        },
        format,
    ))
}

/// Reads each data file once, however many experiments use it.
#[derive(Debug)]
pub struct DataFiles<'a> {
    root: &'a Path,
    read: HashMap<PathBuf, Result<Rc<Table>, Diagnostics>>,
}

impl<'a> DataFiles<'a> {
    /// For the project in `root`.
    pub fn new(root: &'a Path) -> Self {
        Self {
            root,
            read: HashMap::new(),
        }
    }

    /// The rows of a source that `experiment` names; errors are told once for each file.
    pub fn open(&mut self, experiment: &Path, source: &Source, diagnostics: &mut Diagnostics) -> Option<Rc<Table>> {
        let (place, is_there) = match source {
            Source::Rows(table) => return Some(Rc::clone(table)),
            Source::File(path, _) => (path, self.root.join(&path.value).is_file()),
            Source::Liar(path) => (path, self.root.join(&path.value).is_dir()),
        };
        let path = &place.value;
        if !is_there {
            let (what, key) = if matches!(source, Source::Liar(_)) {
                ("folder", "path")
            } else {
                ("file", "source")
            };
            let mut error = Diagnostic::content(format!("there is no {what} `{}`", files::shown(path).display()))
                .in_file(experiment)
                .at(place.position)
                .place(format!("dataset.{key}"));
            if let Ok(rest) = path.strip_prefix("content/content") {
                error = error.help(format!("paths begin at content/: write `{}`", rest.display()));
            }
            diagnostics.push(error);
            return None;
        }
        let root = self.root;
        let read = self.read.entry(path.clone()).or_insert_with(|| {
            let table = match source {
                Source::File(_, format) => {
                    let text = files::read_text(root, path)?;
                    match format {
                        Format::Delimited(delimiter) => delimited::read(path, &text, *delimiter)?,
                        Format::JsonLines => json::read(path, &text)?,
                    }
                }
                _ => liar::read(root, path)?,
            };
            if table.rows.is_empty() {
                return Err(Diagnostic::content("the data set has no rows").in_file(path).into());
            }
            Ok(Rc::new(table))
        });
        match read {
            Ok(table) => Some(Rc::clone(table)),
            Err(errors) => {
                diagnostics.extend(errors.clone());
                None
            }
        }
    }
}
