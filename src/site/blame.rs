//! Which line of the project made a line of the site that is broken: a Markdown page, a description in YAML, or one of the project's own
//! templates. Looked for only when something is broken, by what was written there.

use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use walkdir::WalkDir;

use crate::content::project::Project;
use crate::diagnostic::{Diagnostics, Position};
use crate::site::links::Broken;
use crate::site::urls;

/// Everything that is broken, as errors, each with the line of the source that made it, where one is found. What is made by one line, or
/// written alike on many pages, is told once, with the first of them.
pub fn all(project: &Project, broken: &[Broken]) -> Diagnostics {
    let templates = own_templates(&project.root);
    // Where it was made and what was written there; the first of its kind, and how many there are.
    let mut told: IndexMap<(Option<PathBuf>, Option<Position>, &str), _> = IndexMap::new();
    for one in broken {
        let own = source_of(project, &one.page);
        let mut files = own.iter().chain(&templates);
        let found = files.find_map(|file| Some((file.clone(), find(&project.root, file, &one.written)?)));
        let (file, position) = match found {
            Some((file, position)) => (Some(file), Some(position)),
            None => (own, None),
        };
        let (_, count) = told.entry((file, position, &one.written)).or_insert((one, 0_usize));
        *count += 1;
    }
    let mut errors = Diagnostics::new();
    for ((file, position, _), (one, count)) in told {
        let mut error = one.diagnostic();
        error.file = file;
        error.position = position;
        if count > 1 {
            error.message += &format!("; the same {} more", times(count - 1));
        }
        errors.push(error);
    }
    errors
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
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
