//! The look: built-in templates, and the project's own, which win.
//!
//! A file in the project's `templates/` takes the place of the built-in one of the same name; the built-in one can still be
//! extended as `igsite/NAME`. An error in a template names its file, line and column.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tera::{Context, Tera};
use walkdir::WalkDir;

use crate::content::templating::TemplateError;
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::render::text::escape;

/// The built-in templates by name.
pub const TEMPLATES: [(&str, &str); 10] = [
    ("base.html", include_str!("../../templates/base.html")),
    ("index.html", include_str!("../../templates/index.html")),
    ("experiment.html", include_str!("../../templates/experiment.html")),
    ("sample.html", include_str!("../../templates/sample.html")),
    ("map.html", include_str!("../../templates/map.html")),
    ("comparison.html", include_str!("../../templates/comparison.html")),
    ("models.html", include_str!("../../templates/models.html")),
    ("model.html", include_str!("../../templates/model.html")),
    ("page.html", include_str!("../../templates/page.html")),
    ("search.html", include_str!("../../templates/search.html")),
];

/// Templates, compiled.
pub struct Theme {
    tera: Tera,
    root: PathBuf,
    own: BTreeSet<String>,
}

impl Theme {
    /// The built-in templates with those of the project in `root`.
    pub fn load(root: &Path) -> Result<Self> {
        let mut tera = Tera::new();
        tera.set_escape_fn(|text, out| write_escaped(text, out));
        let own = read_own(&root.join("templates"))?;
        let mut templates: BTreeMap<String, &str> = BTreeMap::new();
        for (name, text) in TEMPLATES {
            templates.insert(name.to_owned(), text);
            templates.insert(format!("igsite/{name}"), text);
        }
        templates.extend(own.iter().map(|(name, text)| (name.clone(), text.as_str())));
        let mut theme = Self {
            tera: Tera::default(),
            root: root.to_owned(),
            own: own.keys().cloned().collect(),
        };
        tera.add_raw_templates(templates)
            .map_err(|error| theme.problem("", &error))?;
        theme.tera = tera;
        Ok(theme)
    }

    /// Renders a page.
    pub fn render(&self, template: &str, view: &impl Serialize) -> Result<Vec<u8>> {
        let problem = |error: &tera::Error| self.problem(template, error);
        let context = Context::from_serialize(view).map_err(|error| problem(&error))?;
        self.tera
            .render(template, &context)
            .map(String::into_bytes)
            .map_err(|error| problem(&error))
    }

    fn problem(&self, template: &str, error: &tera::Error) -> Diagnostic {
        let TemplateError {
            message,
            template: named,
            position,
        } = TemplateError::from(error);
        let name = named.as_deref().unwrap_or(template);
        let mut problem = Diagnostic::content(message);
        if self.own.contains(name) {
            problem = problem.in_file(self.root.join("templates").join(name));
        } else if !name.is_empty() {
            problem = problem.in_file(Path::new("(built-in) templates").join(name));
        }
        problem.position = position;
        problem
    }
}

fn write_escaped(text: &str, out: &mut dyn Write) -> std::io::Result<()> {
    out.write_all(escape(text).as_bytes())
}

/// Templates of the project, by name.
fn read_own(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut own = BTreeMap::new();
    for (name, path) in files(folder)? {
        let bytes =
            std::fs::read(&path).map_err(|error| Diagnostic::io(Kind::Content, "read the template", &path, &error))?;
        let text = String::from_utf8(bytes).map_err(|_| {
            Diagnostic::content("the template is not UTF-8")
                .in_file(&path)
                .expected("a Tera template in UTF-8")
        })?;
        own.insert(name, text);
    }
    Ok(own)
}

/// The files of a folder with their names relative to it, forward slashes; none when there is no such folder.
pub(super) fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            Diagnostic::content(format!("cannot read the folder: {error}")).in_file(error.path().unwrap_or(folder))
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        if entry.file_type().is_symlink() {
            return Err(Diagnostic::content("this is a symbolic link, which is not followed")
                .in_file(entry.path())
                .help("put a copy of the file in its place"));
        }
        let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let parts: Option<Vec<&str>> = relative.components().map(|part| part.as_os_str().to_str()).collect();
        let Some(parts) = parts else {
            return Err(Diagnostic::content("the file’s name is not UTF-8").in_file(entry.path()));
        };
        found.push((parts.join("/"), entry.into_path()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            std::fs::write(path, text).expect("written");
        }
        folder
    }

    #[test]
    fn a_project_template_wins_and_can_extend_the_built_in_one() {
        let own = "{% extends \"igsite/page.html\" %}{% block title %}Mine: {{ super() }}{% endblock title %}";
        let folder = project(&[("templates/page.html", own)]);
        let theme = Theme::load(folder.path()).expect("loads");
        assert!(theme.tera.contains_template("page.html") && theme.own.contains("page.html"));
    }

    #[test]
    fn an_error_names_file_line_and_column() {
        let folder = project(&[("templates/index.html", "<p>\n  {% if %}\n")]);
        let error = Theme::load(folder.path()).err().expect("an error").to_string();
        assert!(error.contains("templates/index.html:2:9"), "{error}");
        let folder = project(&[("templates/x.html", "<p>\n{{ nothing_here }}")]);
        let theme = Theme::load(folder.path()).expect("loads");
        let error = theme
            .render("x.html", &std::collections::BTreeMap::<String, String>::new())
            .expect_err("an error");
        assert!(error.to_string().contains("templates/x.html:2:4"), "{error}");
    }
}
