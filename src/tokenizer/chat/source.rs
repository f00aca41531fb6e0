//! Where a checkpoint has its chat template, in the order of Hugging Face's transformers (`tokenization_utils_base.py`
//! of 4.57 and 5.24): separate files replace what `tokenizer_config.json` has; of several templates the one named
//! `default` is used. A GGUF file has its own (`tokenizer.chat_template`), and files next to it do not count.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::{gguf, read_map};
use crate::checkpoint::{self, hash};
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::input;

/// The name of the template that is used when none is named.
const DEFAULT: &str = "default";
/// The folder of a checkpoint's further templates, a file each.
const FURTHER: &str = "additional_chat_templates";

/// A template as a file has it.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The file that it is from.
    pub file: PathBuf,
    /// Jinja.
    pub text: String,
}

/// SHA-256 of the source of the chat template that a checkpoint would be used with; none where there is none.
///
/// # Errors
/// A file cannot be read, or there are several templates and none is the `default`.
pub fn template_sha256(checkpoint: &Path) -> Result<Option<String>> {
    Ok(find(checkpoint)?.map(|source| source.sha256()))
}

impl Source {
    /// SHA-256 of the template.
    pub fn sha256(&self) -> String {
        hash::of_bytes(self.text.as_bytes())
    }
}

/// The template of a GGUF file, or of a folder: `chat_template.jinja` and `additional_chat_templates/`, else
/// `chat_template` of `tokenizer_config.json`, else that of `chat_template.json`.
///
/// # Errors
/// A file cannot be read, or there are several templates and none is the `default`.
pub fn find(folder: &Path) -> Result<Option<Source>> {
    if checkpoint::gguf::is_file(folder) {
        return of_gguf(folder);
    }
    if let Some(source) = of_files(folder)? {
        return Ok(Some(source));
    }
    for name in ["tokenizer_config.json", "chat_template.json"] {
        let file = folder.join(name);
        let text = match read_map(&file)?.and_then(|mut map| map.remove("chat_template")) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text,
            Some(Value::Array(several)) => default_of(&file, several.iter().filter_map(named).collect())?,
            Some(Value::Object(several)) => {
                let text = |(name, text): (&String, &Value)| Some((name.clone(), text.as_str()?.to_owned()));
                default_of(&file, several.iter().filter_map(text).collect())?
            }
            Some(_) => {
                return Err(Diagnostic::checkpoint("`chat_template` is neither text nor a list")
                    .in_file(file)
                    .expected("the template, or a list of {name, template}"));
            }
        };
        return Ok(Some(Source { file, text }));
    }
    Ok(None)
}

/// The template among a GGUF file's keys.
fn of_gguf(file: &Path) -> Result<Option<Source>> {
    let head = checkpoint::gguf::read(file)?;
    let (text, further) = gguf::chat_template(&head.metadata)?;
    match text {
        Some(text) => Ok(Some(Source {
            file: file.to_owned(),
            text: text.to_owned(),
        })),
        None if further.is_empty() => Ok(None),
        None => Err(no_default(file, further.into_iter()).help("write `prompt_style: plain`")),
    }
}

/// The error of a checkpoint that has none.
pub fn none(folder: &Path) -> Diagnostic {
    let error = Diagnostic::checkpoint("this model has no chat template").in_file(folder);
    if checkpoint::gguf::is_file(folder) {
        return error
            .expected("`tokenizer.chat_template` among its keys")
            .help("write `prompt_style: plain`, or take a file of the model that was trained for chats");
    }
    error
        .expected("`chat_template` in tokenizer_config.json, or a file chat_template.jinja")
        .help(
            "write `prompt_style: plain`, or put the template that the model was trained with into chat_template.jinja",
        )
}

/// The template among separate files. Where there are any, no other file is read.
fn of_files(folder: &Path) -> Result<Option<Source>> {
    let further = further(folder)?;
    // A further one of this name comes after `chat_template.jinja`, and replaces it.
    let named = further.iter().find(|(name, _)| name == DEFAULT);
    let file = named.map_or_else(|| folder.join("chat_template.jinja"), |(_, file)| file.clone());
    match file.exists().then(|| input::read_text(&file, Kind::Checkpoint, "read")) {
        Some(text) => Ok(Some(Source { text: text?, file })),
        None if further.is_empty() => Ok(None),
        None => Err(no_default(
            &folder.join(FURTHER),
            further.iter().map(|(name, _)| name.as_str()),
        )),
    }
}

/// The names and files of the further templates.
fn further(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let path = folder.join(FURTHER);
    let io = |error: &std::io::Error| Diagnostic::io(Kind::Checkpoint, "read", &path, error);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(vec![]),
        Err(error) => return Err(io(&error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| io(&error))?.file_name();
        if let Some(stem) = name.to_string_lossy().strip_suffix(".jinja") {
            found.push((stem.to_owned(), path.join(&name)));
        }
    }
    found.sort();
    Ok(found)
}

/// A template of a list, by its name.
fn named(one: &Value) -> Option<(String, String)> {
    let text = |key: &str| one.get(key).and_then(Value::as_str).map(str::to_owned);
    Some((text("name")?, text("template")?))
}

fn default_of(file: &Path, mut several: BTreeMap<String, String>) -> Result<String> {
    several
        .remove(DEFAULT)
        .ok_or_else(|| no_default(file, several.keys().map(String::as_str)))
}

fn no_default<'n>(place: &Path, names: impl Iterator<Item = &'n str>) -> Diagnostic {
    let names: Vec<&str> = names.collect();
    Diagnostic::checkpoint(format!(
        "none of the chat templates is named `{DEFAULT}` (there are: {})",
        names.join(", ")
    ))
    .in_file(place)
    .help("put the one that is meant into chat_template.jinja")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(folder: &Path) -> Option<String> {
        find(folder).unwrap().map(|source| source.text)
    }

    #[test]
    fn a_template_is_found_where_models_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let write = |name: &str, text: &str| fs::write(path.join(name), text).unwrap();
        assert_eq!((text(path), template_sha256(path).unwrap()), (None, None));
        assert!(none(path).to_string().contains("this model has no chat template"));
        write("chat_template.json", &json!({"chat_template": "last"}).to_string());
        assert_eq!(text(path).as_deref(), Some("last"));
        write("tokenizer_config.json", &json!({"chat_template": null}).to_string());
        assert_eq!(text(path).as_deref(), Some("last"));
        let several = json!([{"name": "tool_use", "template": "a"}, {"name": "default", "template": "listed"}]);
        write("tokenizer_config.json", &json!({"chat_template": several}).to_string());
        assert_eq!(text(path).as_deref(), Some("listed"));
        write("chat_template.jinja", "first\n");
        assert_eq!(text(path).as_deref(), Some("first\n"));
        // sha256sum of those six bytes.
        assert_eq!(
            template_sha256(path).unwrap().as_deref(),
            Some("b640e840b19d378660b32fb51ae18d67dccb4a8596a29e7bd72c1b2ae5928f41")
        );
        fs::create_dir(path.join(FURTHER)).unwrap();
        write("additional_chat_templates/rag.jinja", "b");
        assert_eq!(text(path).as_deref(), Some("first\n"));
        write("additional_chat_templates/default.jinja", "further");
        assert_eq!(text(path).as_deref(), Some("further"));
    }

    #[test]
    fn several_without_a_default_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let list = json!({"chat_template": [{"name": "rag", "template": "a"}]});
        fs::write(path.join("tokenizer_config.json"), list.to_string()).unwrap();
        let error = find(path).unwrap_err().to_string();
        assert!(
            error.contains("none of the chat templates is named `default` (there are: rag)"),
            "{error}"
        );
        // Files of their own replace the list, with a default of its own or without.
        let listed = json!({"chat_template": "config"});
        fs::write(path.join("tokenizer_config.json"), listed.to_string()).unwrap();
        fs::create_dir(path.join(FURTHER)).unwrap();
        fs::write(path.join(FURTHER).join("tool_use.jinja"), "b").unwrap();
        let error = find(path).unwrap_err().to_string();
        assert!(
            error.contains("additional_chat_templates: none of the chat templates is named `default`"),
            "{error}"
        );
    }
}
