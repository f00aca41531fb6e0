//! Maps that another program computed: `content/imports/NAME.jsonl`, an experiment of its own each.
//!
//! `igsite import` writes these files ([`read_foreign`], [`Import::written`]) and a build reads them
//! ([`read`]); both go through the same checks, so that a file that was edited by hand is refused with line and place.

mod align;
mod form;
mod inseq;
mod resolve;
mod tensor;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;

use super::dataset::broken;
use super::experiment::Experiment;
use super::files::{position_at, without_bom};
use super::names::shortened;
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Position, Result};
pub use form::{ImportFile, ImportHead, ImportedMap, ModelLine};
use form::{MapLine, SCHEMA};
pub use inseq::{Choices, Numbers};
pub use resolve::resolve;

/// An imported file may have so many bytes, unpacked: a map of 1,000 tokens has some 100,000.
const MOST_BYTES: u64 = 512 << 20;
/// At most this many errors of one file are told: where one line is wrong, all may be.
const MOST_TOLD: usize = 10;

/// An experiment whose maps another program computed.
#[derive(Clone, Debug)]
pub struct Import {
    /// Its models, samples and options, as an experiment of ours has them.
    pub experiment: Experiment,
    /// What the file says of each model, in the experiment's order.
    pub models: Vec<ModelLine>,
    /// The maps, `[model][sample]`; the first of each is by the same method in all of them.
    pub maps: Vec<Vec<Vec<ImportedMap>>>,
}

/// A map with its place.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The file, as messages show it.
    pub file: PathBuf,
    /// The line, from 1; none in a file whose lines say nothing.
    pub line: Option<usize>,
    /// The experiment that the line names.
    pub experiment: Option<String>,
    /// The map.
    pub map: ImportedMap,
}

impl Placed {
    /// Puts the place of the map into an error.
    fn place(&self, error: Diagnostic) -> Diagnostic {
        match self.line {
            Some(line) => error.in_file(&self.file).at(Position { line, column: 1 }),
            None => {
                let within = format!("sample `{}`", shortened(&self.map.sample));
                let place = error
                    .place
                    .clone()
                    .map_or(within.clone(), |place| format!("{within}, {place}"));
                error.in_file(&self.file).place(place)
            }
        }
    }
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Its first line, if that is about all maps.
    pub head: Option<ImportHead>,
    /// Its maps.
    pub maps: Vec<Placed>,
}

/// Reads `root`/`path`, a file of the project.
///
/// # Errors
/// All that is wrong with it, each with its line.
pub fn read(root: &Path, path: &Path) -> Result<Contents, Diagnostics> {
    let named = |error: Diagnostic| error.in_file(path);
    let bytes = bytes_of(&root.join(path)).map_err(named)?;
    let text = text_of(bytes).map_err(named)?;
    json_lines(path, &text)
}

/// Reads a file from elsewhere: our own form, or what inseq saves, either of them packed with gzip or not. `numbers`
/// are those of the samples so far.
///
/// # Errors
/// As [`read`]; or it is neither.
pub fn read_foreign(
    path: &Path,
    choices: &Choices,
    numbers: &mut Numbers,
) -> Result<(Contents, ImportFile), Diagnostics> {
    let named = |error: Diagnostic| error.in_file(path);
    let bytes = bytes_of(path).map_err(named)?;
    let file = ImportFile {
        name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        sha256: sha256(&bytes),
    };
    let text = text_of(unpacked(bytes).map_err(named)?).map_err(named)?;
    let text = without_bom(&text);
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if text.trim_start().starts_with('[') {
        let error = Diagnostic::content("a list begins here, and JSON Lines has one object a line");
        return Err(named(error.expected(FORMS)).into());
    }
    let whole_line = serde_json::from_str::<Value>(first);
    if whole_line.as_ref().is_ok_and(|line| !inseq::is_saved(line)) {
        return Ok((json_lines(path, text)?, file));
    }
    let saved: Value = match serde_json::from_str(text) {
        Ok(saved) => saved,
        // One object a line, of which the first is broken.
        Err(_) if first.trim_start().starts_with('{') && first.trim() != "{" => {
            return Ok((json_lines(path, text)?, file));
        }
        Err(error) => return Err(named(not_json(text, &error)).into()),
    };
    if !inseq::is_saved(&saved) {
        let error = Diagnostic::content("this JSON is of neither form that can be imported");
        return Err(named(error.expected(FORMS)).into());
    }
    let mut contents = Contents::default();
    for line in inseq::lines(path, &saved, choices, numbers).map_err(named)? {
        let sample = line.sample.clone();
        let map = ImportedMap::of(line).map_err(|error| {
            let place = error.place.clone().unwrap_or_default();
            named(error.place(format!("sample `{sample}`, {place}")))
        })?;
        contents.maps.push(Placed {
            file: path.to_path_buf(),
            line: None,
            experiment: None,
            map,
        });
    }
    Ok((contents, file))
}

const FORMS: &str =
    "JSON Lines with a map a line (docs/import.md), or what `FeatureAttributionOutput.save` of inseq writes";

fn not_json(text: &str, error: &serde_json::Error) -> Diagnostic {
    let message = error.to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    let position = Position {
        line: error.line().max(1),
        column: error.column().max(1),
    };
    let error = Diagnostic::content(format!("this is not valid JSON: {}", &message[..end])).at(position);
    let error = error.expected(FORMS);
    if text.trim_start().starts_with(['{', '[']) {
        error
    } else {
        error.help("a table or a pickle is read by the program that wrote it: write a map a line from there")
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    let doing = "read this file";
    let length = fs::metadata(path).map_or(0, |found| found.len());
    if length > MOST_BYTES {
        return Err(too_large(&format!("{} MiB", length >> 20)));
    }
    crate::input::read(path, Kind::Content, doing)
}

fn too_large(found: &str) -> Diagnostic {
    Diagnostic::content(format!("this file has {found}"))
        .expected(format!("at most {} MiB", MOST_BYTES >> 20))
        .help("import fewer samples at a time, or sums over the hidden dimensions")
}

/// What is within gzip, which inseq packs into on request.
fn unpacked(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut text = Vec::new();
    MultiGzDecoder::new(bytes.as_slice())
        .take(MOST_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(|error| Diagnostic::content(format!("cannot unpack this gzip file: {error}")).may_be_damaged())?;
    if text.len() as u64 > MOST_BYTES {
        return Err(too_large("more, unpacked"));
    }
    Ok(text)
}

fn text_of(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        Diagnostic::content(format!("the byte 0x{:02x} is not UTF-8", error.as_bytes()[valid]))
            .at(position_at(&before, valid))
            .expected("text in UTF-8")
    })
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    crate::hex::hex(&Sha256::digest(bytes))
}

/// Whether a line has the key by which the first one is told from a map.
#[derive(Deserialize)]
struct Probe {
    schema: Option<Value>,
}

/// Reads our own form.
fn json_lines(file: &Path, text: &str) -> Result<Contents, Diagnostics> {
    let mut contents = Contents::default();
    let (mut errors, mut count, mut first) = (Diagnostics::new(), 0, true);
    let mut tell = |error: Diagnostic| {
        count += 1;
        if count <= MOST_TOLD {
            errors.push(error.in_file(file));
        }
    };
    let lines = without_bom(text).split('\n').enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let at = |column| Position {
            line: index + 1,
            column,
        };
        let is_head = first && serde_json::from_str::<Probe>(line).is_ok_and(|probe| probe.schema.is_some());
        first = false;
        if is_head {
            match serde_json::from_str::<ImportHead>(line) {
                Ok(head) if head.schema == SCHEMA => contents.head = Some(head),
                Ok(head) => tell(
                    Diagnostic::content(format!("the schema `{}` is not known", shortened(&head.schema)))
                        .at(at(1))
                        .expected(format!("`{SCHEMA}`")),
                ),
                Err(error) => tell(unreadable(line, &error, at)),
            }
            continue;
        }
        match serde_json::from_str::<MapLine>(line) {
            Err(error) => tell(unreadable(line, &error, at)),
            Ok(mut map) => {
                let experiment = map.experiment.take();
                match ImportedMap::of(map) {
                    Err(error) => tell(error.at(at(1))),
                    Ok(map) => contents.maps.push(Placed {
                        file: file.to_path_buf(),
                        line: Some(index + 1),
                        experiment,
                        map,
                    }),
                }
            }
        }
    }
    if count > MOST_TOLD {
        let message = format!("this file has {count} errors; the first {MOST_TOLD} are told");
        errors.push(Diagnostic::content(message).in_file(file));
    }
    if count > 0 { Err(errors) } else { Ok(contents) }
}

/// A line that is no JSON, or of another form.
fn unreadable(line: &str, error: &serde_json::Error, at: impl Fn(usize) -> Position) -> Diagnostic {
    if !error.is_data() {
        return broken(line, error, at);
    }
    let message = error.to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    // serde_json counts columns in bytes.
    let taken = line
        .bytes()
        .take(error.column().saturating_sub(1))
        .filter(|byte| byte & 0xc0 != 0x80);
    Diagnostic::content(shortened_message(&message[..end]))
        .at(at(taken.count() + 1))
        .help("docs/import.md lists the keys of a map and what they hold")
}

/// A message may quote a text of the file, of any length.
fn shortened_message(message: &str) -> String {
    const LONGEST: usize = 400;
    match message.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

impl Import {
    /// The file of the project that holds it: the same form, with all told.
    ///
    /// # Errors
    /// A value that JSON cannot have, which there is not.
    pub fn written(&self, head: &ImportHead) -> Result<Vec<u8>> {
        let failed = |error: serde_json::Error| Diagnostic::output(format!("cannot write JSON: {error}"));
        let mut bytes = serde_json::to_vec(head).map_err(failed)?;
        bytes.push(b'\n');
        for map in self.maps.iter().flatten().flatten() {
            serde_json::to_writer(&mut bytes, map).map_err(failed)?;
            bytes.push(b'\n');
        }
        Ok(bytes)
    }

    /// How many maps it has.
    pub fn count(&self) -> usize {
        self.maps.iter().flatten().map(Vec::len).sum()
    }
}
