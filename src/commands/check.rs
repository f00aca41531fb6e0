//! `igsite check`: reads everything that a build would read, and tells every error, without running a model.

use super::report::Report;
use super::{counted, rehearse, selection};
use crate::cli::{Check, ExitStatus, Global};
use crate::content::dataset::Nowhere;
use crate::content::project::Project;
use crate::diagnostic::Diagnostics;
use crate::model::device::Backend;
use crate::plan;
use crate::store::memo::HashMemo;

pub fn run(global: &Global, arguments: &Check, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let (project, mut diagnostics) = Project::load(&global.project, &selection(&arguments.chosen), &Nowhere)?;
    rehearse(&project, None)?;
    let backend = Backend::open(arguments.place.device)?;
    let mut memo = HashMemo::open(&global.project.join(".igsite"));
    let models = plan::open_models(&project, &backend, &mut memo, &mut diagnostics);
    let runs = plan::runs(&project, &models, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let maps: usize = runs
        .iter()
        .flat_map(|run| &run.jobs)
        .map(|job| job.targets.len() * job.baselines.len())
        .sum();
    report.errors(diagnostics);
    report.result(&format!(
        "{}, {}, {}, {}: no errors",
        counted(project.experiments.len(), "experiment"),
        counted(models.len(), "model"),
        counted(project.pages.len(), "page"),
        counted(maps, "map"),
    ));
    Ok(ExitStatus::Done)
}
