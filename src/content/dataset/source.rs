//! Where rows come from: the `source`, `path` and `rows` of an experiment's `dataset`, and the files they name.
//!
//! `liar` is LIAR; `owner/name` is a repository of the hub; all else is a file under content/. What ends like a data
//! file, or lies in a folder of content/ that has data files, is a file, so that a misspelt one is told as such and not
//! looked for on the hub.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::hub::{self, Query, Repositories};
use super::{Table, delimited, json, liar, liar_hub, parquet, rows};
use crate::content::decode::{self, Decoder, Located};
use crate::content::files;
use crate::content::names::{name_problem, nearest, shortened};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Where the rows of an experiment come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file under `content/`; the path is relative to the project's root.
    File(Located<PathBuf>, Format),
    /// The folder with LIAR's three files, relative to the project's root or absolute.
    LiarFolder(Located<PathBuf>),
    /// LIAR from the hub, at this revision.
    LiarHub(Located<Option<String>>),
    /// A data set of the hub.
    Hub(Located<Query>),
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
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// By the end of a file's name, whatever its case.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_lowercase().as_str() {
            "csv" => Some(Self::Delimited(',')),
            "tsv" => Some(Self::Delimited('\t')),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    fn of_path(path: &Path) -> Option<Self> {
        Self::of_extension(&path.extension()?.to_string_lossy())
    }

    /// Where the same rows are there in several forms: types before text, quotes before none.
    pub fn rank(self) -> usize {
        match self {
            Self::Parquet => 0,
            Self::JsonLines => 1,
            Self::Delimited(',') => 2,
            Self::Delimited(_) => 3,
        }
    }

    /// Reads a file; `path` is relative to `root`, and is what messages show.
    pub fn read(self, root: &Path, path: &Path) -> Result<Table, Diagnostics> {
        match self {
            Self::Delimited(delimiter) => delimited::read(path, &files::read_text(root, path)?, delimiter),
            Self::JsonLines => json::read(path, &files::read_text(root, path)?),
            Self::Parquet => Ok(parquet::read(path, &root.join(path))?),
        }
    }
}

/// The keys that choose among what a repository of the hub has.
const HUB_KEYS: [&str; 3] = ["split", "config", "revision"];

/// Reads `source` with what belongs to it, or `rows`, of the `dataset` table in `file`.
pub fn read_source(decoder: &mut Decoder, file: &Path, table: &decode::Table) -> Option<Source> {
    const WHAT: &str = "a file under content/ such as data/claims.csv, a data set of the hub as owner/name, or liar";
    match (table.get("source"), table.get("rows")) {
        (Some(source), None) => {
            let text = decoder.located(&source, WHAT)?;
            if text.value == "liar" {
                return liar_source(decoder, file, table, text);
            }
            refuse_keys(
                decoder,
                table,
                &["path"],
                "`source: liar`",
                "write the path of the file as the `source`",
            );
            if is_repository(&text.value) {
                return hub_source(decoder, table, text);
            }
            refuse_keys(
                decoder,
                table,
                &HUB_KEYS,
                "a data set of the hub",
                "choose rows of a file with `select`",
            );
            file_source(decoder, text)
        }
        (None, Some(field)) => {
            refuse_keys(
                decoder,
                table,
                &HUB_KEYS,
                "a data set of the hub",
                "rows that are written here are taken as they are",
            );
            rows::read(decoder, file, &field).map(|table| Source::Rows(Rc::new(table)))
        }
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

/// Keys that have no effect with this source would be ignored without a message.
fn refuse_keys(decoder: &mut Decoder, table: &decode::Table, keys: &[&str], goes_with: &str, help: &str) {
    for field in keys.iter().filter_map(|key| table.get(key)) {
        let key = field.name.rsplit('.').next().unwrap_or_default();
        let error = decoder.error(field.node.position, format!("`{key}` goes with {goes_with} only"));
        decoder.push(error.place(&field.name).help(help));
    }
}

/// Whether a source is `owner/name`, and neither ends like a data file nor is in `data/`.
fn is_repository(source: &str) -> bool {
    const FILES: [&str; 13] = [
        "txt", "json", "xlsx", "xls", "xml", "yaml", "yml", "zip", "gz", "arrow", "feather", "sqlite", "md",
    ];
    let Some((owner, name)) = source.split_once('/') else {
        return false;
    };
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase());
    let is_file = extension
        .is_some_and(|extension| Format::of_extension(&extension).is_some() || FILES.contains(&extension.as_str()));
    // `./x` and `../x` are paths.
    owner != "data"
        && !is_file
        && [owner, name]
            .iter()
            .all(|part| name_problem(part).is_none() && !part.starts_with('.'))
}

fn hub_source(decoder: &mut Decoder, table: &decode::Table, source: Located<String>) -> Option<Source> {
    // Absent is fine; present but wrong has been reported, and is `None`.
    let mut key = |key, what| match table.get(key) {
        Some(field) => decoder.text(&field, what).map(Some),
        None => Some(None),
    };
    let split = key("split", "the name of a split, such as train");
    let config = key("config", "the name of a configuration, such as default");
    let revision = key("revision", "a branch, tag or commit");
    Some(Source::Hub(Located {
        value: Query {
            repository: source.value,
            revision: revision?,
            config: config?,
            split: split?,
        },
        position: source.position,
    }))
}

/// `path` is relative to `content/` like every other source; with `./` or `../` in front, to the YAML file's folder.
fn liar_source(decoder: &mut Decoder, file: &Path, table: &decode::Table, source: Located<String>) -> Option<Source> {
    let all = "LIAR comes whole; choose with `select: {where: {split: validation}}`";
    refuse_keys(
        decoder,
        table,
        &["split", "config"],
        "a data set of the hub by its name",
        all,
    );
    let Some(field) = table.get("path") else {
        let revision = match table.get("revision") {
            Some(field) => Some(decoder.text(&field, "a branch, tag or commit")?),
            None => None,
        };
        return Some(Source::LiarHub(Located {
            value: revision,
            position: source.position,
        }));
    };
    refuse_keys(
        decoder,
        table,
        &["revision"],
        "LIAR from the hub",
        "a folder has no revisions: leave out `revision` or `path`",
    );
    let path = decoder.located(&field, "the folder with train.tsv, test.tsv and valid.tsv")?;
    let from_yaml =
        path.value == "." || path.value.starts_with("./") || path.value == ".." || path.value.starts_with("../");
    let base = if from_yaml {
        file.parent().unwrap_or(Path::new("")).to_path_buf()
    } else {
        PathBuf::from("content")
    };
    Some(Source::LiarFolder(Located {
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
    let Some(format) = Format::of_path(path) else {
        refuse(
            format!("`{}` is no kind of data file that igsite reads", text.value),
            "liar, a data set of the hub as owner/name, or a file that ends in .csv, .tsv, .jsonl, .ndjson or .parquet",
            None,
        );
        return None;
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

/// Reads each data set once, however many experiments use it.
pub struct DataFiles<'a> {
    root: &'a Path,
    repositories: &'a dyn Repositories,
    read: HashMap<Key, Result<Rc<Table>, Diagnostics>>,
}

/// What makes two sources the same.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Path(PathBuf),
    Liar(Option<String>),
    Hub(Query),
}

impl<'a> DataFiles<'a> {
    /// For the project in `root`, which gets what is not there from `repositories`.
    pub fn new(root: &'a Path, repositories: &'a dyn Repositories) -> Self {
        Self {
            root,
            repositories,
            read: HashMap::new(),
        }
    }

    /// The rows of a source that `experiment` names; errors are reported once for each file.
    pub fn open(&mut self, experiment: &Path, source: &Source, diagnostics: &mut Diagnostics) -> Option<Rc<Table>> {
        let (key, problem) = match source {
            Source::Rows(table) => return Some(Rc::clone(table)),
            Source::File(path, _) => (Key::Path(path.value.clone()), self.missing(experiment, path, false)),
            Source::LiarFolder(path) => (Key::Path(path.value.clone()), self.missing(experiment, path, true)),
            Source::LiarHub(revision) => (Key::Liar(revision.value.clone()), None),
            Source::Hub(query) => (Key::Hub(query.value.clone()), self.is_file_after_all(experiment, query)),
        };
        if let Some(problem) = problem {
            diagnostics.push(problem);
            return None;
        }
        let (root, repositories) = (self.root, self.repositories);
        let read = self.read.entry(key).or_insert_with(|| {
            let table = match source {
                Source::File(path, format) => format.read(root, &path.value),
                Source::LiarFolder(path) => liar::read(root, &path.value),
                Source::LiarHub(revision) => {
                    let table = liar_hub::read(repositories, revision.value.as_deref());
                    table.map_err(|errors| at_source(errors, experiment, revision, None))
                }
                Source::Hub(query) => {
                    let table = hub::read(repositories, &query.value);
                    table.map_err(|errors| at_source(errors, experiment, query, Some(NO_FILE)))
                }
                Source::Rows(table) => return Ok(Rc::clone(table)),
            }?;
            if table.rows.is_empty() {
                let error = Diagnostic::content("the data set has no rows");
                return Err(match table.files.first() {
                    Some(file) => error.in_file(file),
                    None => error,
                }
                .into());
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

    /// An error if the file or folder at `path` is not there.
    fn missing(&self, experiment: &Path, place: &Located<PathBuf>, is_folder: bool) -> Option<Diagnostic> {
        let path = &place.value;
        let there = self.root.join(path);
        let (what, key, is_there) = if is_folder {
            ("folder", "path", there.is_dir())
        } else {
            // What exists and is no file is reported when it is opened.
            ("file", "source", there.exists())
        };
        if is_there {
            return None;
        }
        let mut error = Diagnostic::content(format!("there is no {what} `{}`", files::shown(path).display()))
            .in_file(experiment)
            .at(place.position)
            .place(format!("dataset.{key}"));
        if let Ok(rest) = path.strip_prefix("content/content") {
            error = error.help(format!("paths begin at content/: write `{}`", rest.display()));
        }
        Some(error)
    }

    /// An error if what reads as a repository lies in a folder of content/ that has data files: `claims/train` for
    /// `claims/train.csv`.
    fn is_file_after_all(&self, experiment: &Path, query: &Located<Query>) -> Option<Diagnostic> {
        let (owner, name) = query.value.repository.split_once('/')?;
        let entries = std::fs::read_dir(self.root.join("content").join(owner)).ok()?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .filter(|name| Format::of_path(Path::new(name)).is_some())
            .collect();
        names.sort();
        let stem = |file: &String| file.rsplit_once('.').is_some_and(|(stem, _)| stem == name);
        let meant = names
            .iter()
            .find(|file| stem(file))
            .map(String::as_str)
            .or_else(|| nearest(name, names.iter().map(String::as_str)));
        let mut error = Diagnostic::content(format!(
            "there is no file `content/{}`, and content/{} has data files",
            shortened(&query.value.repository),
            shortened(owner)
        ))
        .in_file(experiment)
        .at(query.position)
        .place("dataset.source");
        error.help = meant.map(|meant| format!("did you mean `{owner}/{meant}`?"));
        (!names.is_empty()).then_some(error)
    }
}

/// For a misspelt file that reads as a repository.
const NO_FILE: &str =
    "a data set of the hub; or a file under content/, which ends in .csv, .tsv, .jsonl, .ndjson or .parquet";

/// An error that has no file of its own is reported at the source that led to it.
fn at_source<T>(errors: Diagnostics, experiment: &Path, source: &Located<T>, expected: Option<&str>) -> Diagnostics {
    let mut told = Diagnostics::new();
    for mut error in errors {
        if error.file.is_none() {
            error = error.in_file(experiment).at(source.position).place("dataset.source");
            error.expected = error.expected.or(expected.map(str::to_owned));
        }
        told.push(error);
    }
    told
}
