//! Finds which line of the project made a broken line of the site: a Markdown page, a description in YAML, or one of
//! the project's own templates. It searches only when something is broken, for the text that is broken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use walkdir::WalkDir;

use crate::content::project::Project;
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Position};
use crate::input;
use crate::site::links::Broken;
use crate::site::urls;

/// How many different faults are reported with their place: finding each is a search in whole texts.
pub const MOST_REPORTED: usize = 200;

/// Everything that is broken, as errors, each with the line of the source that made it, where one is found. What one
/// line made, or what is written the same on many pages, is reported once, with the first of them.
pub fn all(project: &Project, broken: &[Broken]) -> Diagnostics {
    let templates = own_templates(&project.root);
    let mut read: BTreeMap<PathBuf, Option<String>> = BTreeMap::new();
    let mut untold = 0;
    // Where it was made and what was written there; the first of its kind, and how many there are.
    let mut told: IndexMap<(Option<PathBuf>, Option<Position>, &str), _> = IndexMap::new();
    for one in broken {
        if told.len() >= MOST_REPORTED {
            untold += 1;
            continue;
        }
        let own = source_of(project, &one.page);
        for file in own.iter().chain(&templates) {
            read.entry(file.clone())
                .or_insert_with(|| input::read_text(&project.root.join(file), Kind::Content, "read").ok());
        }
        // As an author writes an address or an id, in any of the files, before the mere word in one of them.
        let texts: Vec<(&PathBuf, &str)> = own
            .iter()
            .chain(&templates)
            .filter_map(|file| Some((file, read.get(file)?.as_deref()?)))
            .collect();
        let first = |place: &dyn Fn(&str) -> Option<usize>| {
            let mut places = texts.iter().filter_map(|(file, text)| Some((file, text, place(text)?)));
            places
                .next()
                .map(|(file, text, at)| ((*file).clone(), position(text, at)))
        };
        let found = first(&|text| delimited(text, &one.written))
            .or_else(|| first(&|text| sources(&one.written).iter().find_map(|source| delimited(text, source))))
            .or_else(|| first(&|text| text.find(&one.written).filter(|_| !one.written.is_empty())));
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
    if untold > 0 {
        errors.push(Diagnostic::output(format!("and {untold} more of this kind")).help("mend these first"));
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
    let of_experiment = || project.all_experiments().find(|one| urls::experiment(&one.id) == page);
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

/// Where a text is an address or a quoted value.
fn delimited(text: &str, written: &str) -> Option<usize> {
    let quoted = [
        ("(", ")"),
        ("\"", "\""),
        ("'", "'"),
        ("<", ">"),
        ("=", ">"),
        ("{#", "}"),
        ("/", ")"),
        ("/", "\""),
        ("(", " "),
    ];
    let mut places = quoted.iter().filter_map(|(open, close)| {
        let at = text.find(&format!("{open}{written}{close}"))?;
        Some(at + open.len())
    });
    places.next().filter(|_| !written.is_empty())
}

/// What an author may have written where a page has an address: Markdown names the file of a page, and the files next
/// to it.
fn sources(address: &str) -> Vec<String> {
    let (path, anchor) = address.split_at(address.find('#').unwrap_or(address.len()));
    let mut names = Vec::new();
    if let Some(folder) = path.strip_suffix("/index.html") {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        names.extend([format!("{name}.md{anchor}"), format!("index.md{anchor}")]);
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    names.push(format!("{name}{anchor}"));
    names
}

fn position(text: &str, at: usize) -> Position {
    let line = text[..at].rsplit('\n').next().unwrap_or("");
    Position {
        line: 1 + text[..at].matches('\n').count(),
        column: 1 + line.chars().count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_as_its_author_wrote_it() {
        let text = "# T\n\n[y](../a/reading.md#no) ![i](pic.png \"title\") [z](docs/index.md#x)";
        let place = |address: &str| {
            let found = sources(address).iter().find_map(|source| delimited(text, source));
            found.map(|at| (position(text, at).line, &text[at..at + 5]))
        };
        assert_eq!(place("../reading/index.html#no"), Some((3, "readi")));
        assert_eq!(place("../pic.png"), Some((3, "pic.p")));
        assert_eq!(place("../docs/index.html#x"), Some((3, "index")));
        assert_eq!(place("../docs/index.html#other"), None);
        // An id in a template comes before the same word in a text.
        assert_eq!(delimited("`main` or main", "main"), None);
        assert_eq!(delimited("<p id=main>", "main"), Some(6));
        assert_eq!(delimited("()", ""), None);
    }
}
