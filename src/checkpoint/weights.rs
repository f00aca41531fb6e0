//! Which files of a folder hold the weights, in the order in which transformers looks for them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::json;
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::input;

/// A single file of weights, and the index of shards that replaces it. The first that exists is used, a single file
/// before its index and safetensors before `.bin`, as transformers does it (`_get_resolved_checkpoint_files` in
/// `modeling_utils.py`).
pub const WEIGHTS: [(&str, &str); 2] = [
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
];

/// The weight files of a folder, sorted, and warnings about them.
///
/// `named` is the file or index that `config.json` names, if it does.
///
/// # Errors
/// There are none; the index is no index, or names a shard that is not there.
pub fn find(folder: &Path, named: Option<&str>) -> Result<(Vec<PathBuf>, Diagnostics)> {
    let mut warnings = Diagnostics::new();
    let there = |name: &str| folder.join(name).exists();
    if there("adapter_config.json") {
        warnings.push(
            Diagnostic::checkpoint("an adapter lies beside the weights, and is not added to them")
                .in_file(folder.join("adapter_config.json"))
                .help("transformers adds it where PEFT is installed; merge it into the weights, or delete it")
                .as_warning(),
        );
    }
    if let Some(name) = named {
        return Ok((explicit(folder, name)?, warnings));
    }
    for (single, index) in WEIGHTS {
        if there(single) {
            if there(index) {
                warnings.push(
                    Diagnostic::checkpoint(format!("`{single}` and an index of shards in one folder"))
                        .in_file(folder.join(index))
                        .help(format!(
                            "`{single}` is taken and the index passed over, as transformers does; delete the one that is out of date"
                        ))
                        .as_warning(),
                );
            }
            return Ok((vec![folder.join(single)], warnings));
        }
        if there(index) {
            let files = shards(folder, &folder.join(index))?;
            warnings.extend(unnamed(folder, single, index, &files).into_iter().collect());
            return Ok((files, warnings));
        }
    }
    Err(none(folder))
}

/// The files that `transformers_weights` of `config.json` names: safetensors, or an index of such.
fn explicit(folder: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let index = name.ends_with(".safetensors.index.json");
    if !is_plain(name) || !(index || name.ends_with(".safetensors")) {
        return Err(Diagnostic::checkpoint(format!("`transformers_weights: {name}`"))
            .in_file(folder.join("config.json"))
            .expected("a safetensors file beside it, or an index of such"));
    }
    if index {
        shards(folder, &folder.join(name))
    } else {
        Ok(vec![folder.join(name)])
    }
}

/// Whether a name is that of a file in the same folder. Anything else would read files that are not the checkpoint's.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\', ':', '\0']) && !name.starts_with('.')
}

/// The shards that the text of an index names, sorted, each once.
///
/// # Errors
/// It is no index, or names a file elsewhere.
pub fn shard_names(index: &[u8]) -> Result<Vec<String>> {
    let bad = |what: String| Diagnostic::checkpoint(format!("the index of shards {what}"));
    let json = json::parse(index).map_err(|e| bad(format!("is not JSON: {e}")).download_again())?;
    let map = json.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| bad("has no `weight_map`".to_owned()).expected("an object: tensor to shard"))?;
    let mut names = Vec::new();
    for (tensor, shard) in map {
        match shard.as_str().filter(|name| is_plain(name)) {
            Some(name) => names.push(name.to_owned()),
            None => {
                return Err(
                    bad(format!("names {shard} for tensor `{tensor}`")).expected("the name of a file beside the index")
                );
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let text = input::read(index, Kind::Checkpoint, "read the index of shards")?;
    let names = shard_names(&text).map_err(|error| error.in_file(index))?;
    for name in &names {
        if !folder.join(name).exists() {
            return Err(Diagnostic::checkpoint(format!("shard `{name}` is missing"))
                .in_file(index)
                .expected(format!("{} shards beside the index: {}", names.len(), names.join(", ")))
                .help("download the missing file into the folder")
                .may_be_damaged());
        }
    }
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

/// Files that look like shards and that the index does not name.
fn unnamed(folder: &Path, single: &str, index: &str, files: &[PathBuf]) -> Option<Diagnostic> {
    let (stem, ending) = single.rsplit_once('.')?;
    let shard = |name: &String| name.starts_with(&format!("{stem}-")) && name.ends_with(&format!(".{ending}"));
    let extra: Vec<String> = names(folder)
        .into_iter()
        .filter(|name| shard(name) && !files.contains(&folder.join(name)))
        .collect();
    (!extra.is_empty()).then(|| {
        Diagnostic::checkpoint(format!("the index does not name {}", listed(&extra)))
            .in_file(folder.join(index))
            .help("passed over, as transformers does; if the shards belong to the model, the index is out of date")
            .as_warning()
    })
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names
}

/// Some names, the first few of them.
fn listed(names: &[String]) -> String {
    const MOST_REPORTED: usize = 5;
    let told: Vec<String> = names
        .iter()
        .take(MOST_REPORTED)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().saturating_sub(MOST_REPORTED) {
        0 => told.join(", "),
        more => format!("{} and {more} more", told.join(", ")),
    }
}

/// What to say of a folder without weights under a name that is known: what lies there instead.
fn none(folder: &Path) -> Diagnostic {
    const ENDINGS: [&str; 9] = [
        "safetensors",
        "bin",
        "pt",
        "pth",
        "ckpt",
        "gguf",
        "h5",
        "msgpack",
        "index.json",
    ];
    let others: Vec<String> = names(folder)
        .into_iter()
        .filter(|name| ENDINGS.iter().any(|ending| name.ends_with(&format!(".{ending}"))))
        .filter(|name| !name.contains("tokenizer") && name != "training_args.bin")
        .collect();
    let any = |part: &str| others.iter().any(|name| name.contains(part));
    let found = if others.is_empty() {
        "no weights in this folder".to_owned()
    } else {
        format!(
            "no weights in this folder under a name that is looked for; it has {}",
            listed(&others)
        )
    };
    let error = Diagnostic::checkpoint(found).in_file(folder).expected(
        "`model.safetensors`, `model.safetensors.index.json` with its shards, `pytorch_model.bin`, or `pytorch_model.bin.index.json` with its shards",
    );
    if any("adapter_model") {
        error
            .help("an adapter is not a whole model: merge it into the model that it was made for, and name that folder")
    } else if any("consolidated") {
        error.help("`consolidated` files name their tensors in Mistral's own way: take the files that the repository has for transformers")
    } else if any(".gguf") {
        error.help("a GGUF file is a model by itself: name the file, not its folder")
    } else if any(".safetensors") {
        error.help("if one of them is the whole model, rename it to `model.safetensors`; shards need their index")
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(names: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in names {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn found(folder: &tempfile::TempDir) -> (Vec<String>, Vec<String>) {
        let (files, warnings) = find(folder.path(), None).unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        (
            files.iter().map(name).collect(),
            warnings.iter().map(|w| w.message.clone()).collect(),
        )
    }

    const INDEX: &str = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;

    #[test]
    fn a_single_file_comes_before_an_index_and_safetensors_before_bin() {
        let folder = with(&[
            ("pytorch_model.bin", ""),
            ("model.safetensors.index.json", INDEX),
            ("model-1.safetensors", ""),
            ("model-2.safetensors", ""),
        ]);
        assert_eq!(
            found(&folder),
            (
                vec!["model-1.safetensors".to_owned(), "model-2.safetensors".to_owned()],
                vec![]
            )
        );
        std::fs::write(folder.path().join("model-3.safetensors"), "").unwrap();
        assert_eq!(found(&folder).1, ["the index does not name `model-3.safetensors`"]);
        std::fs::write(folder.path().join("model.safetensors"), "").unwrap();
        let (files, warnings) = found(&folder);
        assert_eq!(files, ["model.safetensors"]);
        assert_eq!(warnings, ["`model.safetensors` and an index of shards in one folder"]);
    }

    #[test]
    fn config_json_may_name_the_file() {
        let folder = with(&[("model.safetensors", ""), ("other.safetensors", "")]);
        let files = |name: &str| find(folder.path(), Some(name)).map(|(files, _)| files);
        assert_eq!(
            files("other.safetensors").unwrap(),
            [folder.path().join("other.safetensors")]
        );
        for bad in ["../x.safetensors", "/x.safetensors", "a.bin", ""] {
            assert!(
                files(bad).unwrap_err().message.contains("transformers_weights"),
                "{bad}"
            );
        }
    }

    #[test]
    fn weights_under_other_names_are_told() {
        for (name, told, help) in [
            (
                "consolidated.safetensors",
                "`consolidated.safetensors`",
                "Mistral's own way",
            ),
            ("adapter_model.safetensors", "`adapter_model.safetensors`", "merge it"),
            ("model.fp16.safetensors", "`model.fp16.safetensors`", "rename it"),
            ("q4.gguf", "`q4.gguf`", "name the file"),
        ] {
            let error = find(with(&[(name, "")]).path(), None).unwrap_err();
            assert!(error.message.contains(told), "{error}");
            assert!(error.help.clone().unwrap().contains(help), "{error}");
        }
        let error = find(with(&[("training_args.bin", "")]).path(), None).unwrap_err();
        assert_eq!(error.message, "no weights in this folder");
    }

    #[test]
    fn an_adapter_beside_weights_is_told() {
        let folder = with(&[("model.safetensors", ""), ("adapter_config.json", "{}")]);
        assert!(found(&folder).1[0].contains("adapter"));
    }

    #[test]
    fn shards_lie_beside_their_index() {
        let names = |text: &str| shard_names(text.as_bytes()).map_err(|error| error.message);
        assert_eq!(
            names(r#"{"weight_map": {"a": "s2", "b": "s1", "c": "s2"}}"#).unwrap(),
            ["s1", "s2"]
        );
        assert_eq!(names(r#"{"metadata": NaN, "weight_map": {"a": "s"}}"#).unwrap(), ["s"]);
        for bad in ["../../x", "/etc/passwd", "a/b", "..", "a\\b", ""] {
            let text = serde_json::json!({"weight_map": {"a": bad}}).to_string();
            assert!(names(&text).unwrap_err().contains("for tensor `a`"), "{bad}");
        }
        assert!(names("{}").unwrap_err().contains("no `weight_map`"));
        assert!(names("<html>").unwrap_err().contains("not JSON"));
    }
}
