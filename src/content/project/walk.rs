//! The files under `content/`, sorted by what they are; what is probably a mistake gets a warning.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::content::book;
use crate::content::files::shown;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// The files of a project, relative to its root, in the order of their names.
#[derive(Debug, Default)]
pub struct Found {
    pub experiments: Vec<PathBuf>,
    pub models: Vec<PathBuf>,
    /// Folders in content/models/, by name.
    pub model_folders: Vec<PathBuf>,
    pub pages: Vec<PathBuf>,
    /// Maps that another program computed.
    pub imports: Vec<PathBuf>,
    /// Whether the project is a book: its pages lie in its own folder, and there is nothing else.
    pub is_book: bool,
}

/// The folder of what the author writes.
pub const CONTENT: &str = "content";

/// Files that belong into static/, if anywhere.
const STATIC: [&str; 13] = [
    "png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "html", "htm", "pdf", "woff2",
];

impl Found {
    /// Walks through `root`/content. Data sets and checkpoints are not entered: their files are opened by name.
    pub fn walk(root: &Path, all: &mut Diagnostics) -> Result<Self, Diagnostics> {
        let content = root.join(CONTENT);
        let is_book = root.join(book::FILE).is_file();
        if !content.is_dir() && is_book {
            return Ok(Self::book(root, all));
        }
        if is_book {
            let warning = Diagnostic::content("this file is not read")
                .in_file(book::FILE)
                .as_warning();
            all.push(warning.help("a book has no folder content/: its pages lie beside this file"));
        }
        if !content.is_dir() {
            let error = Diagnostic::content("there is no folder content/ here").in_file(shown(root));
            return Err(error
                .help("run igsite in a project, name one with --project, or make one with igsite init")
                .into());
        }
        let mut found = Self::default();
        let entered = |entry: &DirEntry| {
            let hidden = entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.');
            let parts: Vec<_> = entry
                .path()
                .strip_prefix(&content)
                .unwrap_or(entry.path())
                .components()
                .collect();
            !hidden && parts.len() <= deepest(parts.first().map(|part| part.as_os_str()))
        };
        for entry in WalkDir::new(&content)
            .follow_links(true)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(entered)
        {
            match entry {
                Ok(entry) => found.sort(&content, &entry, all),
                Err(error) => all.push(walk_error(&content, Path::new(CONTENT), &error)),
            }
        }
        Ok(found)
    }

    /// The pages of a book.
    fn book(root: &Path, all: &mut Diagnostics) -> Self {
        let mut found = Self {
            is_book: true,
            ..Self::default()
        };
        let entered = |entry: &DirEntry| {
            let name = entry.file_name().to_string_lossy();
            entry.depth() == 0
                || !(name.starts_with('.') || entry.depth() == 1 && book::NO_PAGES.contains(&name.as_ref()))
        };
        let walk = WalkDir::new(root).follow_links(true).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(entered) {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => {
                    let place = entry.path().strip_prefix(root).unwrap_or(entry.path());
                    if place
                        .extension()
                        .is_some_and(|extension| extension.eq_ignore_ascii_case("md"))
                    {
                        found.pages.push(shown(place));
                    }
                }
                Err(error) => all.push(walk_error(root, Path::new(""), &error)),
            }
        }
        found
    }

    fn sort(&mut self, content: &Path, entry: &DirEntry, all: &mut Diagnostics) {
        let place = entry.path().strip_prefix(content).unwrap_or(entry.path());
        let path = shown(&Path::new(CONTENT).join(place));
        let parts: Vec<String> = place.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if entry.file_type().is_dir() {
            if let ["models", folder] = parts.as_slice() {
                self.model_folders.push(PathBuf::from(folder));
            }
            return;
        }
        let extension = place
            .extension()
            .map(|extension| extension.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        let is_yaml = matches!(extension.as_str(), "yaml" | "yml");
        let odd = |message: &str, help: &str| Diagnostic::content(message).in_file(&path).help(help).as_warning();
        match (parts.as_slice(), extension.as_str()) {
            (["experiments", _], _) if is_yaml => self.experiments.push(path),
            (["models", _], _) if is_yaml => self.models.push(path),
            (["imports", _], "jsonl") => self.imports.push(path),
            (["data", ..], _) | (["experiments" | "models" | "imports", ..], "md") => {}
            (["imports", ..], _) => all.push(odd(
                "this file is not read",
                "imported maps are .jsonl files in content/imports/ itself; `igsite import FILE` writes them",
            )),
            (["experiments", _], _) => all.push(odd("this file is no experiment", "experiments end in .yaml or .yml")),
            (["experiments", ..], _) => {
                all.push(odd(
                    "this file is not read",
                    "experiments lie in content/experiments/ itself, not in folders below",
                ));
            }
            // A model file beside it names it.
            (["models", ..], "gguf") => {}
            (["models", ..], _) => all.push(odd(
                "this file is no model",
                "models end in .yaml or .yml; a checkpoint has a folder of its own",
            )),
            (_, "md") => self.pages.push(path),
            (_, "markdown" | "mdx" | "mkd") => all.push(odd("this file is not read", "pages end in .md")),
            (_, "yaml" | "yml" | "json" | "toml") => all.push(odd(
                "this file is not read",
                "experiments lie in content/experiments/, models in content/models/, data in content/data/",
            )),
            (_, extension) if STATIC.contains(&extension) => {
                all.push(odd(
                    "this file is not copied to the site",
                    "files for the site lie in static/",
                ));
            }
            _ => {}
        }
    }
}

/// How deep the walk goes in a folder at the top: not into content/data/, whose files are opened by name, and in
/// content/models/ not into the checkpoints.
fn deepest(first: Option<&std::ffi::OsStr>) -> usize {
    match first.and_then(|first| first.to_str()) {
        Some("data") => 1,
        Some("models") => 2,
        _ => usize::MAX,
    }
}

/// An error of a folder that messages call `name`.
fn walk_error(content: &Path, name: &Path, error: &walkdir::Error) -> Diagnostic {
    let place = error
        .path()
        .and_then(|path| path.strip_prefix(content).ok())
        .unwrap_or(Path::new(""));
    let message = match (error.loop_ancestor(), error.io_error()) {
        (Some(_), _) => "this link leads back to a folder that it is in".to_owned(),
        (None, Some(io)) => format!("cannot read this: {io}"),
        (None, None) => format!("cannot read this: {error}"),
    };
    let help = if error.loop_ancestor().is_some() {
        "remove the link"
    } else {
        "check the link, or the permissions"
    };
    Diagnostic::content(message)
        .in_file(shown(&name.join(place)))
        .help(help)
}
