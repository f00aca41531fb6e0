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
    /// A folder (absolute, or relative to the working directory, ready to open).
    Folder(PathBuf),
}

const KEYS: [&str; 6] = ["title", "description", "source", "revision", "dtype", "quantization"];
const SOURCE: &str = "a repository of the Hugging Face hub, `owner/name`; or a folder, `./…` from this file or `/…`";

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
    if let (Some(ModelSource::Folder(_)), Some(revision)) = (&source, &revision)
        && revision.value != "main"
    {
        let warning = decoder.error(
            revision.position,
            "a folder has no revisions; this one is not looked at",
        );
        decoder.push(warning.place("revision").as_warning());
    }
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
        let folder = path.parent().unwrap_or(Path::new("")).join(written);
        return Some(ModelSource::Folder(root.join(files::shown(&folder))));
    }
    let parts: Vec<&str> = written.split('/').collect();
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

/// An error if the model's checkpoint is a folder that is not there.
pub(super) fn missing_folder(spec: &ModelSpec, source: Position) -> Option<Diagnostic> {
    let ModelSource::Folder(folder) = &spec.source else {
        return None;
    };
    if folder.is_dir() {
        return None;
    }
    let what = if folder.exists() {
        "is no folder"
    } else {
        "is not there"
    };
    let error = Diagnostic::content(format!("the checkpoint `{}` {what}", spec.source_text))
        .in_file(&spec.path)
        .at(source);
    Some(
        error
            .place("source")
            .expected(format!("a folder with config.json at {}", folder.display())),
    )
}

#[cfg(test)]
mod tests;
