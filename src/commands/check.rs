//! `igsite check`: reads everything that a build would read, and tells every error, without running a model. Weights
//! that are on the hub and not here are not fetched for it: they can be many gigabytes.

use super::report::Report;
use super::{counted, rehearse, selection};
use crate::cli::{Check, ExitStatus, Global};
use crate::content::imports::Import;
use crate::content::project::Project;
use crate::diagnostic::Diagnostics;
use crate::hub::Hub;
use crate::model::device::Backend;
use crate::plan::{self, Sources, Weights};
use crate::store::memo::HashMemo;

pub fn run(global: &Global, arguments: &Check, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let hub = Hub::new(arguments.place.offline, report.quiet);
    let (project, mut diagnostics) = Project::load(&global.project, &selection(&arguments.chosen), &hub)?;
    diagnostics.extend(hub.take_warnings());
    diagnostics.extend(rehearse(&project, None)?);
    let backend = Backend::open_all(&arguments.place.device)?.remove(0);
    let mut memo = HashMemo::open(&global.project.join(".igsite"));
    let sources = Sources {
        backend: &backend,
        memo: &mut memo,
        hub: &hub,
        weights: Weights::NotFetched,
    };
    let models = plan::open_models(&project, sources, &mut diagnostics);
    let runs = plan::runs(&project, &models, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let imported: usize = project.imports.iter().map(Import::count).sum();
    let maps: usize = runs
        .iter()
        .flat_map(|run| &run.jobs)
        .map(|job| job.targets.len() * job.baselines.len())
        .sum();
    report.errors(diagnostics);
    let unseen: Vec<String> = models
        .iter()
        .filter(|(_, model)| !model.weights)
        .map(|(id, _)| format!("`{id}`"))
        .collect();
    if !unseen.is_empty() {
        report.note(&format!(
            "not checked, because they are not here yet: the weights of {}; `igsite fetch` brings them",
            unseen.join(", ")
        ));
    }
    report.result(&format!(
        "{}, {}, {}, {}: no errors",
        counted(project.all_experiments().count(), "experiment"),
        counted(models.len(), "model"),
        counted(project.pages.len(), "page"),
        if imported > 0 {
            format!("{}, {imported} of them imported", counted(maps + imported, "map"))
        } else {
            counted(maps, "map")
        },
    ));
    Ok(ExitStatus::Done)
}
