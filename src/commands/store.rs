//! `igsite store`: what the record store has (`ls`), whether it is what it was (`verify`), what nothing needs any more
//! (`gc`), and other stores into it (`merge`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::counted;
use super::report::Report;
use super::survey::Survey;
use super::table::Table;
use crate::cli::{ExitStatus, Gc, Global, Merge, StoreCommand};
use crate::content::project::{Project, Selection};
use crate::diagnostic::{Diagnostic, Diagnostics, Kind};
use crate::hub::Hub;
use crate::interrupt;
use crate::lock::Patience;
use crate::model::device::DeviceChoice;
use crate::progress::bytes;
use crate::store::parts::{PartFile, PartName};
use crate::store::{Claim, Conflict, Store, merge};

/// Files named in a message, of those that are alike.
const NAMED: usize = 20;

pub fn run(global: &Global, command: &StoreCommand, report: &Report) -> Result<ExitStatus, Diagnostics> {
    match command {
        StoreCommand::Ls => ls(global, report),
        StoreCommand::Verify => verify(global, report),
        StoreCommand::Gc(arguments) => gc(global, arguments, report),
        StoreCommand::Merge(arguments) => merge_all(global, arguments, report),
    }
}

/// All experiments, drafts too: what they use is used.
fn whole_project(global: &Global, diagnostics: &mut Diagnostics) -> Result<Project, Diagnostics> {
    let selection = Selection {
        experiments: vec![],
        drafts: true,
    };
    let (project, warnings) = Project::load_without_checkpoints(&global.project, &selection, &Hub::new(true, true))?;
    diagnostics.extend(warnings);
    Ok(project)
}

/// Who uses a part: an experiment, a model, and what the part is.
type User = (String, String, &'static str);

/// Who uses each part, and what cannot be known of that.
type Used = (HashMap<PartName, BTreeSet<User>>, Vec<String>);

/// The parts that a project uses.
fn used(
    project: &Project,
    store: &Store,
    files: &[PartFile],
    diagnostics: &mut Diagnostics,
) -> Result<Used, Diagnostics> {
    let there: HashSet<PartName> = files.iter().map(|file| file.name).collect();
    let survey = Survey::of(project, store, &DeviceChoice::Auto, diagnostics)?;
    let mut users: HashMap<PartName, BTreeSet<User>> = HashMap::new();
    let mut unknown = Vec::new();
    for mut one in survey.runs(diagnostics)? {
        let (experiment, model) = (one.run.experiment.id.clone(), one.run.model.to_owned());
        if one.unknown > 0 {
            unknown.push(format!(
                "{} of `{experiment}` with `{model}`",
                counted(one.unknown, "prompt")
            ));
        }
        for (name, label) in survey
            .needed_by_any(&there, &mut one)?
            .into_iter()
            .flat_map(|needed| needed.names)
        {
            if there.contains(&name) {
                users
                    .entry(name)
                    .or_default()
                    .insert((experiment.clone(), model.clone(), label));
            }
        }
    }
    Ok((users, unknown))
}

fn ls(global: &Global, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let store = Store::read(&global.project);
    let files = store.part_files()?;
    let project = whole_project(global, &mut diagnostics)?;
    let (users, unknown) = used(&project, &store, &files, &mut diagnostics)?;
    let mut tallies: BTreeMap<Vec<String>, Tally> = BTreeMap::new();
    for file in &files {
        match users.get(&file.name) {
            Some(users) => {
                for (experiment, model, label) in users {
                    let by = vec![experiment.clone(), model.clone(), (*label).to_owned()];
                    tallies.entry(by).or_default().add(file);
                }
            }
            None => {
                let by = ["—", "—", file.name.kind()].map(str::to_owned).to_vec();
                tallies.entry(by).or_default().add(file);
            }
        }
    }
    let mut table = Table::new(&["experiment", "model", "of", "parts", "size", "oldest", "newest"]);
    let now = SystemTime::now();
    for (by, tally) in &tallies {
        let mut cells = by.clone();
        cells.extend([
            tally.parts.to_string(),
            bytes(tally.bytes),
            age(now, tally.oldest),
            age(now, tally.newest),
        ]);
        table.row(&cells);
    }
    if !table.is_empty() {
        report.result(&table.text());
    }
    let size = files.iter().map(|file| file.size).sum();
    report.note(&format!("{}, {}", counted(files.len(), "part"), bytes(size)));
    let unused = files.iter().filter(|file| !users.contains_key(&file.name)).count();
    if unused > 0 {
        report.note(&match unknown.is_empty() {
            true => format!(
                "{} used by no experiment: `igsite store gc` removes them",
                counted(unused, "part")
            ),
            false => format!(
                "{} of no known use; what {} would use is not known here, for lack of models and plans",
                counted(unused, "part"),
                unknown.join(", ")
            ),
        });
    }
    let others = store.other_files()?;
    if !others.is_empty() {
        report.note(&format!(
            "{} in the store that are no parts of this version of igsite",
            counted(others.len(), "file")
        ));
    }
    Ok(ExitStatus::Done)
}

/// Sizes and ages of some parts.
#[derive(Default)]
struct Tally {
    parts: usize,
    bytes: u64,
    oldest: Option<SystemTime>,
    newest: Option<SystemTime>,
}

impl Tally {
    fn add(&mut self, file: &PartFile) {
        self.parts += 1;
        self.bytes += file.size;
        self.oldest = Some(self.oldest.map_or(file.modified, |oldest| oldest.min(file.modified)));
        self.newest = Some(self.newest.map_or(file.modified, |newest| newest.max(file.modified)));
    }
}

/// `3days`: to the largest unit.
fn age(now: SystemTime, then: Option<SystemTime>) -> String {
    let age = then.and_then(|then| now.duration_since(then).ok()).unwrap_or_default();
    let text = humantime::format_duration(Duration::from_secs(age.as_secs())).to_string();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn verify(global: &Global, report: &Report) -> Result<ExitStatus, Diagnostics> {
    interrupt::keeps("what was damaged so far is set aside");
    let folder = global.project.join(".igsite");
    if !folder.join("store").is_dir() {
        return Err(no_store(&folder).into());
    }
    let store = Store::at(folder)?;
    let found = store.verify()?;
    report.result(&format!(
        "{}, {}: {}",
        counted(found.whole + found.damaged, "part and plan").replace("part and plan", "parts and plan"),
        bytes(found.bytes),
        match found.damaged {
            0 => "all as they were written".to_owned(),
            damaged => format!("{damaged} damaged"),
        }
    ));
    if found.damaged > 0 {
        Err(found.errors)
    } else {
        Ok(ExitStatus::Done)
    }
}

fn no_store(folder: &Path) -> Diagnostic {
    Diagnostic::content("there is no record store here")
        .in_file(folder)
        .help("`igsite build` and `igsite compute` make one; name a project with --project")
}

fn gc(global: &Global, arguments: &Gc, report: &Report) -> Result<ExitStatus, Diagnostics> {
    interrupt::keeps("nothing that is used was removed");
    let mut diagnostics = Diagnostics::new();
    let project = whole_project(global, &mut diagnostics)?;
    // No build may count on a part that goes meanwhile.
    let _claim = match arguments.dry_run {
        true => Claim::to_read(&global.project, Patience::None)?,
        false => Claim::to_write(&global.project, Patience::None)?,
    };
    let store = Store::read(&global.project);
    // Before anything is read of it: what a task stores later is not in the list, and what is in the list has its
    // prediction, by which its use is known.
    let files = store.part_files()?;
    let mut others = store.other_files()?;
    let (users, unknown) = used(&project, &store, &files, &mut diagnostics)?;
    if !unknown.is_empty() {
        let error = Diagnostic::content(format!("what {} would use is not known here", unknown.join(", ")));
        return Err(error
            .help(
                "run this where the models are (`igsite fetch` brings those of the hub), or where their plans are kept",
            )
            .into());
    }
    others.extend(unused_plans(&project, &store));
    // Only earlier forms of parts are ours; what somebody put there is not.
    let ours = |path: &PathBuf| {
        path.extension()
            .is_some_and(|end| ["json", "jsonl", "part"].iter().any(|own| end == *own))
    };
    let (others, foreign): (Vec<PathBuf>, Vec<PathBuf>) = others.into_iter().partition(ours);
    let unused: Vec<&PartFile> = files.iter().filter(|file| !users.contains_key(&file.name)).collect();
    let size_of = |path: &PathBuf| fs::metadata(path).map_or(0, |found| found.len());
    let size = unused.iter().map(|file| file.size).sum::<u64>() + others.iter().map(size_of).sum::<u64>();
    let paths: Vec<&PathBuf> = unused.iter().map(|file| &file.path).chain(&others).collect();
    for path in &paths {
        interrupt::check()?;
        if !arguments.dry_run {
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Diagnostic::io(Kind::Output, "remove", path, &error).into());
                }
                _ => {}
            }
        }
        report.result(&path.display().to_string());
    }
    for path in foreign {
        report.note(&format!("left alone, since it is none of igsite's: {}", path.display()));
    }
    report.note(&format!(
        "{}, {}{}; {} used",
        counted(paths.len(), "file"),
        bytes(size),
        match (arguments.dry_run, paths.is_empty()) {
            (_, true) => " to remove",
            (true, false) => " would be removed: run it without --dry-run",
            (false, false) => " removed",
        },
        counted(files.len() - unused.len(), "part"),
    ));
    Ok(ExitStatus::Done)
}

/// Kept plans of experiments and models that are no more.
fn unused_plans(project: &Project, store: &Store) -> Vec<PathBuf> {
    let is_used = |within: &Path| {
        let mut parts = within.iter().map(|part| part.to_string_lossy());
        let (experiment, model) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let model = model
            .strip_suffix(".jsonl")
            .or(model.strip_suffix(".shards"))
            .unwrap_or(&model);
        let mut experiments = project.experiments.iter();
        experiments.any(|one| one.id == experiment && one.models.iter().any(|id| id == model))
    };
    let plans = store.plan_files().into_iter().filter(|(_, within)| !is_used(within));
    plans.map(|(path, _)| path).collect()
}

fn merge_all(global: &Global, arguments: &Merge, report: &Report) -> Result<ExitStatus, Diagnostics> {
    interrupt::keeps("what was copied is in the store");
    let store = Store::open(&global.project)?;
    let mut all = Diagnostics::new();
    for folder in &arguments.folders {
        let merged = merge(&store, folder)?;
        all.extend(store.take_warnings());
        report.note(&format!(
            "{}: {} copied, {}; {} here already{}{}; {}",
            folder.display(),
            counted(merged.copied, "part"),
            bytes(merged.bytes),
            merged.same,
            if merged.twice > 0 {
                format!(
                    ", {} computed twice with the same numbers, of which ours stay",
                    merged.twice
                )
            } else {
                String::new()
            },
            if merged.conflicts.is_empty() {
                String::new()
            } else {
                format!(", {} with other numbers", merged.conflicts.len())
            },
            counted(merged.planned, "line").replace("line", "planned prompt"),
        ));
        let more = merged.conflicts.len().saturating_sub(NAMED);
        for conflict in merged.conflicts.iter().take(NAMED) {
            all.push(told(conflict));
        }
        if more > 0 {
            all.push(Diagnostic::output(format!("and {more} more such conflicts")).in_file(folder));
        }
        all.extend(merged.damaged);
    }
    if all.has_errors() {
        return Err(all);
    }
    report.errors(all);
    report.result(&store.folder().display().to_string());
    Ok(ExitStatus::Done)
}

fn told(Conflict { ours, theirs, differ }: &Conflict) -> Diagnostic {
    Diagnostic::output(format!(
        "two parts of one name with other numbers ({}): ours, and {}",
        differ.join(", "),
        theirs.display()
    ))
    .in_file(ours)
    .expected("the same numbers for the same model, prompt and settings")
    .help("ours stays; if the other is right, delete ours and merge again. Other devices and versions differ in the last digits")
}
