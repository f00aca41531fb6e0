//! A project on disk: experiments, models, pages.

mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::walk::Found;
use super::book::{self, Book};
use super::dataset::{DataFiles, Repositories};
use super::decode::Decoder;
use super::experiment::{self, Experiment};
use super::files;
use super::imports::{self, Import, ModelLine};
use super::model::{self, ModelSource, ModelSpec};
use super::names::{name_problem, nearest, quoted, shortened};
use super::page::{self, Page, RESERVED, RESERVED_IN_BOOKS, SiteSettings};
use crate::diagnostic::{Diagnostic, Diagnostics, Position};

/// A resolved project: everything that the build needs to know of `content/`.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// The project's folder.
    pub root: PathBuf,
    /// Experiments to build, by id.
    pub experiments: Vec<Experiment>,
    /// Experiments to show whose maps another program computed, by id.
    pub imports: Vec<Import>,
    /// Every model file of the project, by id.
    pub models: BTreeMap<String, ModelSpec>,
    /// Pages to build, by route.
    pub pages: Vec<Page>,
    /// Their order and what belongs to them, where the project is a book.
    pub book: Option<Book>,
    /// Experiments that there are and that this build leaves out, by id.
    pub left_out: BTreeMap<String, LeftOut>,
}

/// How many files of each kind a project has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Experiments, drafts included.
    pub experiments: usize,
    /// Model files.
    pub models: usize,
    /// Pages.
    pub pages: usize,
    /// Files of imported maps.
    pub imports: usize,
}

/// Why a build leaves an experiment out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// It is a draft, and drafts are not built.
    Draft,
    /// Other experiments were named.
    NotChosen,
}

/// What to build, as the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these experiments; empty for all. A draft that is named here is built.
    pub experiments: Vec<String>,
    /// Drafts too.
    pub drafts: bool,
}

impl Selection {
    fn takes(&self, id: &str, draft: bool) -> bool {
        if self.experiments.is_empty() {
            self.drafts || !draft
        } else {
            self.experiments.iter().any(|name| name == id)
        }
    }
}

impl Project {
    /// Reads everything under `root`/content. All errors of all files are returned together; what is probably a mistake
    /// is a warning.
    ///
    /// Experiments that are not to be built are checked too, but neither their data nor their models are read.
    /// `repositories` provides the data sets of the hub.
    pub fn load(
        root: &Path,
        selection: &Selection,
        repositories: &dyn Repositories,
    ) -> Result<(Project, Diagnostics), Diagnostics> {
        Self::read(root, selection, repositories, true)
    }

    /// As [`Project::load`], but no checkpoint need be there.
    pub fn load_without_checkpoints(
        root: &Path,
        selection: &Selection,
        repositories: &dyn Repositories,
    ) -> Result<(Project, Diagnostics), Diagnostics> {
        Self::read(root, selection, repositories, false)
    }

    fn read(
        root: &Path,
        selection: &Selection,
        repositories: &dyn Repositories,
        checkpoints: bool,
    ) -> Result<(Project, Diagnostics), Diagnostics> {
        let mut all = Diagnostics::new();
        let found = Found::walk(root, &mut all)?;
        let models = read_models(root, &found, &mut all);
        let mut left_out = BTreeMap::new();
        let chosen = (selection, &mut left_out);
        let (experiments, named) = read_experiments(root, &found, chosen, repositories, &models, &mut all);
        let imports = read_imports(root, &found, selection, &mut left_out, &mut all);
        if experiments.is_empty() && imports.is_empty() && !all.has_errors() && !found.is_book {
            all.push(nothing_to_build(&found));
        }
        if checkpoints {
            look_for_checkpoints(&models, &named, &mut all);
        }
        let pages = read_pages(root, &found, selection, &mut all);
        let book = found.is_book.then(|| book::read(root, &pages, &mut all));
        if all.has_errors() {
            return Err(all.sorted());
        }
        let models = models
            .into_iter()
            .filter_map(|(id, model)| Some((id, model?.0)))
            .collect();
        Ok((
            Project {
                root: root.to_path_buf(),
                experiments,
                imports,
                models,
                pages,
                book,
                left_out,
            },
            all.sorted(),
        ))
    }

    /// How many files of each kind a project has, read or not.
    ///
    /// # Errors
    /// There is no project in `root`.
    pub fn count(root: &Path) -> Result<Counts, Diagnostics> {
        let found = Found::walk(root, &mut Diagnostics::new())?;
        Ok(Counts {
            experiments: found.experiments.len(),
            models: found.models.len(),
            pages: found.pages.len(),
            imports: found.imports.len(),
        })
    }

    /// Every experiment that the site shows, those whose maps are imported behind the others.
    pub fn all_experiments(&self) -> impl Iterator<Item = &Experiment> {
        self.experiments
            .iter()
            .chain(self.imports.iter().map(|import| &import.experiment))
    }

    /// The models that imported files tell of and no model file does, by id: the first file's word for each.
    pub fn imported_models(&self) -> BTreeMap<&String, ImportedModel<'_>> {
        let mut models = BTreeMap::new();
        for model in self.imports.iter().flat_map(|import| &import.models) {
            if !self.models.contains_key(&model.id) {
                models.entry(&model.id).or_insert(ImportedModel::of(model));
            }
        }
        models
    }

    /// The folder of the pages, relative to the project's: `content`, or the project's own folder where it is a book.
    pub fn content(&self) -> &'static Path {
        Path::new(if self.book.is_some() { "" } else { walk::CONTENT })
    }

    /// What the front page's front matter says of the whole site.
    pub fn settings(&self) -> SiteSettings {
        let front = self.pages.iter().find(|page| page.route == ["index"]);
        front.map(|page| page.site.clone()).unwrap_or_default()
    }

    /// What people call a model: as its file says, or an imported one.
    pub fn model_title<'a>(&'a self, id: &'a str) -> &'a str {
        let imported = || {
            let mut models = self.imports.iter().flat_map(|import| &import.models);
            models
                .find(|model| model.id == id)
                .map_or(id, |model| ImportedModel::of(model).title)
        };
        self.models.get(id).map_or_else(imported, |model| &model.title)
    }
}

/// A model of which only imported files tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportedModel<'a> {
    /// Title for people; the id where the file gives none.
    pub title: &'a str,
    /// Where it is from, in the file's words; may be empty.
    pub source: &'a str,
}

impl<'a> ImportedModel<'a> {
    fn of(model: &'a ModelLine) -> Self {
        Self {
            title: model.title.as_deref().unwrap_or(&model.id),
            source: model.source.as_deref().unwrap_or_default(),
        }
    }
}

/// The model files by id; `None` where one cannot be read. The position is that of the source.
type Models = BTreeMap<String, Option<(ModelSpec, Position)>>;

/// The models that experiments name.
struct Named {
    /// Those of experiments to be built.
    used: BTreeSet<String>,
    /// Of all experiments.
    anywhere: BTreeSet<String>,
}

fn read_models(root: &Path, found: &Found, all: &mut Diagnostics) -> Models {
    let mut models = Models::new();
    for (id, path) in named(&found.models, "model", all) {
        let mut decoder = Decoder::new(path);
        let text = decoder.diagnostics.keep(files::read_text(root, path));
        let model = text.and_then(|text| model::read(root, path, &id, &text, &mut decoder));
        all.extend(decoder.diagnostics);
        models.insert(id, model);
    }
    for folder in &found.model_folders {
        let id = folder.file_name().unwrap_or_default().to_string_lossy();
        let path = Path::new("content/models").join(folder);
        if !models.contains_key(&*id)
            && !models
                .values()
                .flatten()
                .any(|(model, _)| uses(model, &root.join(&path)))
        {
            let warning = Diagnostic::content("no model file names this folder")
                .in_file(path)
                .as_warning();
            all.push(warning.help(format!(
                "describe the model in content/models/{id}.yaml, with `source: ./{id}`"
            )));
        }
    }
    models
}

fn uses(model: &ModelSpec, folder: &Path) -> bool {
    matches!(&model.source, ModelSource::Folder(source) | ModelSource::File(source) if source.starts_with(folder))
}

fn read_experiments(
    root: &Path,
    found: &Found,
    (selection, left_out): (&Selection, &mut BTreeMap<String, LeftOut>),
    repositories: &dyn Repositories,
    models: &Models,
    all: &mut Diagnostics,
) -> (Vec<Experiment>, Named) {
    let known: BTreeSet<String> = models.keys().cloned().collect();
    let (mut data, mut experiments) = (DataFiles::new(root, repositories), Vec::new());
    let (mut ids, mut used, mut anywhere) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    ids.extend(found.imports.iter().map(|path| stem(path)));
    for (id, path) in named(&found.experiments, "experiment", all) {
        ids.insert(id.clone());
        let mut decoder = Decoder::new(path);
        if let Some(yaml) = decoder.diagnostics.keep(files::read_text(root, path))
            && let Some(written) = experiment::read(&id, path, yaml, &mut decoder)
        {
            let named = || written.models.iter().map(|model| model.value.clone());
            anywhere.extend(named());
            if selection.takes(&id, written.draft) {
                used.extend(named());
                experiments.extend(experiment::resolve(written, &known, &mut data, &mut decoder));
            } else if selection.experiments.is_empty() {
                left_out.insert(id, LeftOut::Draft);
            } else {
                left_out.insert(id, LeftOut::NotChosen);
            }
        }
        all.extend(decoder.diagnostics);
    }
    // Files come as `a-b.yaml`, `a.yaml`; readers expect `a` before `a-b`.
    experiments.sort_by(|a: &Experiment, b| a.id.cmp(&b.id));
    for name in selection.experiments.iter().filter(|name| !ids.contains(*name)) {
        let error = Diagnostic::content(format!("there is no experiment `{}`", shortened(name)));
        let mut error = error.expected(if ids.is_empty() {
            "the name of a file in content/experiments/, which has none".to_owned()
        } else {
            format!("one of {}", quoted(ids.iter().map(String::as_str)))
        });
        error.help = nearest(name, ids.iter().map(String::as_str)).map(|meant| format!("did you mean `{meant}`?"));
        all.push(error);
    }
    (experiments, Named { used, anywhere })
}

fn nothing_to_build(found: &Found) -> Diagnostic {
    let warning = Diagnostic::content("there is no experiment to build")
        .in_file("content/experiments")
        .as_warning();
    warning.help(if found.experiments.is_empty() {
        "write one as a .yaml file in this folder"
    } else {
        "all experiments are drafts; build them with --drafts, or name one with --experiment"
    })
}

/// The maps that another program computed, as far as they are chosen.
fn read_imports(
    root: &Path,
    found: &Found,
    selection: &Selection,
    left_out: &mut BTreeMap<String, LeftOut>,
    all: &mut Diagnostics,
) -> Vec<Import> {
    let mut imports = Vec::new();
    for (id, path) in named(&found.imports, "experiment", all) {
        let twin = found
            .experiments
            .iter()
            .find(|other| stem(other).eq_ignore_ascii_case(&id));
        if let Some(twin) = twin {
            let error = Diagnostic::content(format!("two files name the experiment `{id}`")).in_file(path);
            all.push(error.help(format!("rename this one or {}", twin.display())));
        } else if selection.takes(&id, false) {
            let read = imports::read(root, path)
                .and_then(|contents| imports::resolve(&id, path, contents.head.unwrap_or_default(), contents.maps));
            match read {
                Ok(import) => imports.push(import),
                Err(errors) => all.extend(errors),
            }
        } else {
            left_out.insert(id, LeftOut::NotChosen);
        }
    }
    imports.sort_by(|a: &Import, b| a.experiment.id.cmp(&b.experiment.id));
    imports
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// An error for each model of an experiment to be built whose folder is not there, and a warning for one that nothing
/// names.
fn look_for_checkpoints(models: &Models, named: &Named, all: &mut Diagnostics) {
    for (id, model) in models {
        let Some(missing) = model.as_ref().and_then(|(spec, source)| model::missing(spec, *source)) else {
            continue;
        };
        if named.used.contains(id) {
            all.push(missing);
        } else if !named.anywhere.contains(id) {
            all.push(missing.as_warning());
        }
    }
}

/// The ids of YAML files; unsafe names and names that meet on some file system are errors.
fn named<'a>(paths: &'a [PathBuf], what: &str, all: &mut Diagnostics) -> Vec<(String, &'a PathBuf)> {
    let mut named: Vec<(String, &PathBuf)> = Vec::new();
    for path in paths {
        let id = stem(path);
        if let Some(problem) = name_problem(&id) {
            let error = Diagnostic::content(format!(
                "`{}` cannot name {} {what}: {problem}",
                shortened(&id),
                article(what)
            ));
            all.push(error.in_file(path).help("rename the file"));
        } else if let Some((_, other)) = named.iter().find(|(known, _)| known.eq_ignore_ascii_case(&id)) {
            let error = Diagnostic::content(format!("two files name the {what} `{id}`")).in_file(path);
            all.push(error.help(format!("rename this one or {}", other.display())));
        } else {
            named.push((id, path));
        }
    }
    named
}

fn article(what: &str) -> &'static str {
    if what.starts_with(['a', 'e']) { "an" } else { "a" }
}

fn read_pages(root: &Path, found: &Found, selection: &Selection, all: &mut Diagnostics) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    let mut routes: BTreeMap<String, &Path> = BTreeMap::new();
    for path in &found.pages {
        let mut decoder = Decoder::new(path);
        let place = path.strip_prefix(walk::CONTENT).unwrap_or(path);
        let (place, reserved) = match found.is_book {
            // As where people read files of a repository.
            true if path.ends_with("README.md") => (path.with_file_name("index.md"), &RESERVED_IN_BOOKS[..]),
            true => (path.clone(), &RESERVED_IN_BOOKS[..]),
            false => (place.to_path_buf(), &RESERVED[..]),
        };
        let text = decoder.diagnostics.keep(files::read_text(root, path));
        let page = text.and_then(|text| page::read(path, &place, &text, reserved, &mut decoder));
        all.extend(decoder.diagnostics);
        let Some(page) = page else { continue };
        // `docs.md` and `docs/index.md` are both the page at docs/.
        let address = page.route.join("/").to_ascii_lowercase();
        let address = address.strip_suffix("/index").unwrap_or(&address).to_owned();
        if let Some(other) = routes.insert(address, path) {
            let error = Diagnostic::content(format!("this page and {} have the same address", other.display()));
            all.push(error.in_file(path).help("rename one of them"));
        }
        if selection.drafts || !page.draft {
            pages.push(page);
        }
    }
    pages.sort_by(|a, b| a.route.cmp(&b.route));
    pages
}

#[cfg(test)]
mod tests;
