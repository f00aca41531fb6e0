//! `igsite import`: maps that another program computed become a file of the project, `content/imports/NAME.jsonl`,
//! which authors commit and builds read as an experiment.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::counted;
use super::report::Report;
use crate::calendar;
use crate::cli::{self, ExitStatus, Global};
use crate::content::imports::{self, Choices, Contents, ImportHead, Numbers, Placed};
use crate::content::names::{name_problem, shortened};
use crate::diagnostic::{Diagnostic, Diagnostics, Result};
use crate::store::write_atomically;

pub fn run(global: &Global, arguments: &cli::Import, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let content = global.project.join("content");
    if !content.is_dir() {
        let error = Diagnostic::content("there is no folder content/ here").in_file(&global.project);
        let help = "run igsite in a project, name one with --project, or make one with igsite init";
        return Err(error.help(help).into());
    }
    if let Some(id) = &arguments.model
        && let Some(problem) = name_problem(id)
    {
        return Err(Diagnostic::content(format!("`{}` cannot name a model: {problem}", shortened(id))).into());
    }
    let choices = Choices {
        model: arguments.model.clone(),
        version: arguments.tool_version.clone(),
        steps: arguments.steps.map(|steps| steps as usize),
    };
    let (mut heads, mut maps, mut files) = (Vec::new(), Vec::new(), Vec::new());
    let (mut errors, mut numbers) = (Diagnostics::new(), Numbers::new());
    for path in &arguments.files {
        match imports::read_foreign(path, &choices, &mut numbers) {
            Ok((Contents { head, maps: of_file }, file)) => {
                heads.extend(head);
                maps.extend(of_file.into_iter().map(|mut placed| {
                    placed.map.file.get_or_insert_with(|| file.name.clone());
                    placed
                }));
                files.push(file);
            }
            Err(found) => errors.extend(found),
        }
    }
    if errors.has_errors() {
        return Err(errors);
    }
    let name = match &arguments.experiment {
        Some(name) => {
            // The author's word is the last.
            maps.iter_mut().for_each(|placed: &mut Placed| placed.experiment = None);
            name.clone()
        }
        None => named(&heads, &maps, &arguments.files[0]),
    };
    let place = place_of(&global.project, &name, arguments.force)?;
    let mut heads = heads.into_iter();
    let mut head = heads.next().unwrap_or_default();
    for other in heads {
        for (letter, label) in other.options {
            head.options.entry(letter).or_insert(label);
        }
    }
    // The file's name says it.
    head.experiment = None;
    head.title = arguments.title.clone().or(head.title);
    head.files = files;
    head.igsite = Some(env!("CARGO_PKG_VERSION").to_owned());
    head.created = Some(calendar::timestamp(SystemTime::now()));
    let import = imports::resolve(&name, &place, head.clone(), maps)?;
    let path = global.project.join(&place);
    write_atomically(&path, &import.written(&head)?)?;
    report.note(&format!(
        "{}, {}, {}; commit this file: `igsite build` shows it as the experiment `{name}`",
        counted(import.models.len(), "model"),
        counted(import.experiment.samples.len(), "sample"),
        counted(import.count(), "map"),
    ));
    report.result(&path.display().to_string());
    Ok(ExitStatus::Done)
}

/// What the experiment is called: as the first line or the first map says, or else as the file.
fn named(heads: &[ImportHead], maps: &[Placed], file: &Path) -> String {
    let told = heads.iter().find_map(|head| head.experiment.clone());
    let told = told.or_else(|| maps.first()?.experiment.clone());
    told.unwrap_or_else(|| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
        stem.into_owned()
    })
}

/// Where the maps go, relative to the project: no experiment in YAML may have the name, nor, without `force`, another
/// import.
fn place_of(root: &Path, name: &str, force: bool) -> Result<PathBuf> {
    if let Some(problem) = name_problem(name) {
        let error = Diagnostic::content(format!("`{}` cannot name an experiment: {problem}", shortened(name)));
        return Err(error.help("name it with --experiment NAME"));
    }
    let files = |folder: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(root.join("content").join(folder))
            .into_iter()
            .flatten()
            .flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    let is_named = |path: &PathBuf, extensions: &[&str]| {
        let extension = path.extension().and_then(OsStr::to_str);
        let extension = extension.is_some_and(|one| extensions.iter().any(|known| one.eq_ignore_ascii_case(known)));
        extension
            && path
                .file_stem()
                .is_some_and(|stem| stem.to_string_lossy().eq_ignore_ascii_case(name))
    };
    let yaml = files("experiments")
        .into_iter()
        .find(|path| is_named(path, &["yaml", "yml"]));
    if let Some(yaml) = yaml {
        let error = Diagnostic::content(format!("there is an experiment `{name}` already")).in_file(yaml);
        return Err(error.help("name the imported one otherwise: --experiment NAME"));
    }
    let place = Path::new("content/imports").join(format!("{name}.jsonl"));
    let before = files("imports").into_iter().find(|path| is_named(path, &["jsonl"]));
    match before {
        Some(before) if !force => Err(Diagnostic::content("maps were imported under this name before")
            .in_file(before)
            .help("overwrite them with --force, or name these otherwise: --experiment NAME")),
        // A name that differs in case only is the same file on some systems.
        Some(before) if before.file_name() != place.file_name() => {
            let error = Diagnostic::content("maps were imported under this name in other letters").in_file(before);
            Err(error.help("take its letters, or another name: --experiment NAME"))
        }
        _ => Ok(place),
    }
}
