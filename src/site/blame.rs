//! Which line of the project made a line of the site that is broken: a Markdown page, a description in YAML, or one of the project's own
//! templates. Looked for only when something is broken, by what was written there.

use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::content::project::Project;
use crate::diagnostic::{Diagnostics, Position};
use crate::site::links::Broken;
use crate::site::urls;

/// Everything that is broken, as errors, each with the line of the source that made it, where one is found.
pub fn all(project: &Project, broken: &[Broken]) -> Diagnostics {
    let templates = own_templates(&project.root);
    let mut errors = Diagnostics::new();
    for one in broken {
        let mut error = one.diagnostic();
        let own = source_of(project, &one.page);
        let mut files = own.iter().chain(&templates);
        let found = files.find_map(|file| Some((file, find(&project.root, file, &one.written)?)));
        if let Some((file, position)) = found {
            error = error.in_file(file).at(position);
        } else if let Some(file) = own {
            error = error.in_file(file);
        }
        errors.push(error);
    }
    errors
}

/// The file of the project that a page of the site is made from, relative to the project's root.
fn source_of(project: &Project, page: &str) -> Option<PathBuf> {
    let of_page = project.pages.iter().find(|one| urls::page(&one.route) == page);
    let of_model = || project.models.values().find(|model| urls::model(&model.id) == page);
    let of_experiment = || project.experiments.iter().find(|one| urls::experiment(&one.id) == page);
    of_page
        .map(|page| page.path.clone())
        .or_else(|| of_model().map(|model| model.path.clone()))
        .or_else(|| of_experiment().map(|experiment| experiment.path.clone()))
        .or_else(|| {
            let brought = Path::new("static").join(page);
            project.root.join(&brought).is_file().then_some(brought)
        })
}

/// The project's own templates, relative to its root.
fn own_templates(root: &Path) -> Vec<PathBuf> {
    let entries = WalkDir::new(root.join("templates"))
        .sort_by_file_name()
        .into_iter()
        .flatten();
    let files = entries.filter(|entry| entry.file_type().is_file());
    files
        .filter_map(|entry| Some(entry.path().strip_prefix(root).ok()?.to_path_buf()))
        .collect()
}

/// Where a text stands in a file as an author writes it: as an address or a quoted value first, else anywhere.
fn find(root: &Path, file: &Path, written: &str) -> Option<Position> {
    if written.is_empty() {
        return None;
    }
    let text = fs::read_to_string(root.join(file)).ok()?;
    let quoted = [("(", ")"), ("\"", "\""), ("'", "'"), ("<", ">")];
    let delimited = quoted.iter().find_map(|(open, close)| {
        let at = text.find(&format!("{open}{written}{close}"))?;
        Some(at + open.len())
    });
    let at = delimited.or_else(|| text.find(written))?;
    let line = text[..at].rsplit('\n').next().unwrap_or("");
    Some(Position {
        line: 1 + text[..at].matches('\n').count(),
        column: 1 + line.chars().count(),
    })
}
