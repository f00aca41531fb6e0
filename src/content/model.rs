//! A model file: which checkpoint, how it is computed.

use std::path::{Path, PathBuf};

use super::decode::{Decoder, Field, Located};
use super::names::{name_problem, shortened};
use super::{files, yaml};
use crate::diagnostic::{Diagnostic, Position};
use crate::terms::{Dtype, Quantization};

/// A resolved `content/models/<id>.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// The file's stem.
    pub id: String,
    /// The YAML file, relative to the project's root.
    pub path: PathBuf,
    /// Title for people; the id where the YAML gives none.
    pub title: String,
    /// Markdown; may be empty.
    pub description: String,
    /// Where the checkpoint is.
    pub source: ModelSource,
    /// The `source` as written, for records and pages.
    pub source_text: String,
    /// Of the hub repository; `main` unless given.
    pub revision: String,
    /// The one file of the hub repository that is the model, as written.
    pub file: Option<String>,
    /// What it computes in; none: as stored, and float32 on the CPU.
    pub dtype: Option<Dtype>,
    /// How its linear layers are quantised as they are loaded.
    pub quantization: Quantization,
}

/// Where a checkpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A repository of the Hugging Face hub, `owner/name`.
    Hub(String),
    /// A GGUF file of such a repository: both names.
    HubFile(String, String),
    /// A folder (absolute, or relative to the working directory, ready to open).
    Folder(PathBuf),
    /// A GGUF file, likewise.
    File(PathBuf),
}

const KEYS: [&str; 7] = [
    "title",
    "description",
    "source",
    "revision",
    "file",
    "dtype",
    "quantization",
];
const SOURCE: &str =
    "a repository of the Hugging Face hub, `owner/name`; or a folder or a .gguf file, `./…` from this file or `/…`";
const FILE: &str = "the name of a .gguf file in the repository";

/// Reads the YAML of the model `id` at `path`, relative to the project's `root`. The place of its source comes along,
/// for an error if nothing is there.
pub(super) fn read(
    root: &Path,
    path: &Path,
    id: &str,
    yaml: &str,
    decoder: &mut Decoder,
) -> Option<(ModelSpec, Position)> {
    let tree = match yaml::parse(path, yaml, 1) {
        Ok(tree) => tree,
        Err(errors) => {
            decoder.diagnostics.extend(errors);
            return None;
        }
    };
    let before = decoder.diagnostics.error_count();
    let table = decoder.table(&Field::top(&tree), &KEYS)?;
    for text in ["title", "description"].iter().filter_map(|key| table.get(key)) {
        decoder.watch_comment(&text, true);
    }
    let title = table.get("title").and_then(|title| decoder.text(&title, "a title"));
    let description = table.get("description").and_then(|text| decoder.written(&text, "text"));
    let source_text = decoder
        .require(&table, "source", SOURCE)
        .and_then(|source| decoder.located(&source, SOURCE));
    let source = source_text
        .as_ref()
        .and_then(|text| read_source(root, path, text, decoder));
    let revision = table
        .get("revision")
        .and_then(|revision| decoder.located(&revision, "a branch, tag or commit"));
    if let (Some(ModelSource::Folder(_) | ModelSource::File(_)), Some(revision)) = (&source, &revision)
        && revision.value != "main"
    {
        let what = match source {
            Some(ModelSource::File(_)) => "a file has no revisions; this one is not looked at",
            _ => "a folder has no revisions; this one is not looked at",
        };
        let warning = decoder.error(revision.position, what);
        decoder.push(warning.place("revision").as_warning());
    }
    let file = table.get("file").map(|file| decoder.located(&file, FILE));
    let source = match &file {
        None => source,
        // What is wrong with it was told.
        Some(None) => None,
        Some(Some(file)) => source.and_then(|source| in_repository(source, file, decoder)),
    };
    let dtype = table
        .get("dtype")
        .map_or(Some(None), |dtype| decoder.choice(&dtype, &dtypes()));
    let quantization = table.get("quantization").map_or(Some(Quantization::None), |word| {
        decoder.choice(&word, Quantization::ASKED)
    });
    let (source, source_text) = (source?, source_text?);
    let spec = ModelSpec {
        id: id.to_owned(),
        path: path.to_path_buf(),
        title: title.unwrap_or_else(|| id.to_owned()),
        description: description.unwrap_or_default(),
        source,
        source_text: source_text.value,
        revision: revision.map_or_else(|| "main".to_owned(), |revision| revision.value),
        file: file.flatten().map(|file| file.value),
        dtype: dtype?,
        quantization: quantization?,
    };
    (decoder.diagnostics.error_count() == before).then_some((spec, source_text.position))
}

/// What `dtype` may say.
pub fn dtypes() -> Vec<(&'static str, Option<Dtype>)> {
    let known = Dtype::WORDS.iter().map(|&(word, dtype)| (word, Some(dtype)));
    [("auto", None)].into_iter().chain(known).collect()
}

fn read_source(root: &Path, path: &Path, text: &Located<String>, decoder: &mut Decoder) -> Option<ModelSource> {
    let written = text.value.as_str();
    let from_file = [".", ".."].contains(&written) || written.starts_with("./") || written.starts_with("../");
    if from_file || Path::new(written).is_absolute() {
        let place = root.join(files::shown(&path.parent().unwrap_or(Path::new("")).join(written)));
        return Some(match is_gguf(&place) && !place.is_dir() {
            true => ModelSource::File(place),
            false => ModelSource::Folder(place),
        });
    }
    let parts: Vec<&str> = written.split('/').collect();
    if is_gguf(Path::new(written)) {
        let error = decoder.error(text.position, format!("`{}` is no repository", shortened(written)));
        let help = format!(
            "a file is written `./{}`; of the hub `source: owner/name` and `file: NAME.gguf`",
            shortened(written)
        );
        decoder.push(error.place("source").expected(SOURCE).help(help));
        return None;
    }
    if parts.len() <= 2 && parts.iter().all(|part| name_problem(part).is_none()) {
        return Some(ModelSource::Hub(written.to_owned()));
    }
    let error = decoder.error(
        text.position,
        format!("`{}` is no repository and no folder", shortened(written)),
    );
    decoder.push(error.place("source").expected(SOURCE));
    None
}

/// Whether a name is that of a GGUF file.
fn is_gguf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// The file of a repository that is the model.
fn in_repository(source: ModelSource, file: &Located<String>, decoder: &mut Decoder) -> Option<ModelSource> {
    let name = file.value.as_str();
    let ModelSource::Hub(repository) = source else {
        let error = decoder.error(file.position, "`file` goes with a repository of the hub only");
        decoder.push(error.place("file").help("name the file itself: `source: ./model.gguf`"));
        return None;
    };
    let odd = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(['\\', ':']);
    let plain = !name.split('/').any(odd) && !name.chars().any(char::is_control);
    if !plain || !is_gguf(Path::new(name)) {
        let error = decoder.error(file.position, format!("`{}` is no such name", shortened(name)));
        decoder.push(error.place("file").expected(FILE));
        return None;
    }
    if let Some(parts) = parts_of(name) {
        let error = decoder.error(
            file.position,
            format!("`{}` is one of {parts} parts of a model", shortened(name)),
        );
        decoder.push(error.place("file").expected("a model in one file").help(
            "put the parts together (`llama-gguf-split --merge FIRST-PART OUTPUT`) and name the file in `source`",
        ));
        return None;
    }
    Some(ModelSource::HubFile(repository, name.to_owned()))
}

/// Of how many files this is one, by the names that `llama-gguf-split` gives: `NAME-00001-of-00003.gguf`.
fn parts_of(name: &str) -> Option<u32> {
    let (before, parts) = name.rsplit_once('.')?.0.rsplit_once("-of-")?;
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.len() == 5);
    number(before.rsplit_once('-')?.1)?;
    number(parts).filter(|&parts| parts > 1)
}

/// An error if the model's checkpoint is a folder or a file that is not there.
pub(super) fn missing(spec: &ModelSpec, source: Position) -> Option<Diagnostic> {
    let (place, there, expected) = match &spec.source {
        ModelSource::Folder(folder) => (folder, folder.is_dir(), "a folder with config.json"),
        ModelSource::File(file) => (file, file.is_file(), "a GGUF file"),
        ModelSource::Hub(_) | ModelSource::HubFile(..) => return None,
    };
    if there {
        return None;
    }
    let what = match &spec.source {
        _ if !place.exists() => "is not there",
        ModelSource::File(_) => "is no file",
        _ => "is no folder",
    };
    let error = Diagnostic::content(format!("the checkpoint `{}` {what}", spec.source_text))
        .in_file(&spec.path)
        .at(source);
    Some(
        error
            .place("source")
            .expected(format!("{expected} at {}", place.display())),
    )
}

#[cfg(test)]
mod tests;
