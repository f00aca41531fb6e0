//! `igsite build`: content, plan, compute, render, write.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::report::Report;
use super::{counted, rehearse, selection};
use crate::assemble;
use crate::cli::{Build, ExitStatus, Global};
use crate::compute;
use crate::content::project::Project;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::hub::Hub;
use crate::model::device::Backend;
use crate::plan::{self, Sources, Weights};
use crate::render::{ExperimentResults, Site};
use crate::site::output::Output;
use crate::site::{check_base_url, write};
use crate::store::Store;
use crate::store::memo::HashMemo;

pub fn run(global: &Global, arguments: &Build, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let output = output(global, arguments);
    refuse_sources(&global.project, &output)?;
    let below = build(global, arguments, report)?;
    report.result(&output.join("index.html").display().to_string());
    Ok(if arguments.strict && below > 0 {
        ExitStatus::BelowBar
    } else {
        ExitStatus::Done
    })
}

fn output(global: &Global, arguments: &Build) -> PathBuf {
    arguments.output.clone().unwrap_or_else(|| global.project.join("site"))
}

/// Builds, and notes what was done; gives the number of maps below their quality bar.
pub fn build(global: &Global, arguments: &Build, report: &Report) -> Result<usize, Diagnostics> {
    let began = Instant::now();
    let hub = Hub::new(arguments.place.offline, report.quiet);
    let (project, mut diagnostics) = Project::load(&global.project, &selection(&arguments.chosen), &hub)?;
    diagnostics.extend(hub.take_warnings());
    let output = output(global, arguments);
    // What would make the build fail at its end is told before hours of computing, not after.
    if let Some(base_url) = &arguments.base_url {
        check_base_url(base_url)?;
    }
    drop(Output::open(&output)?);
    rehearse(&project, arguments.base_url.as_deref())?;
    let backend = Backend::open(arguments.place.device)?;
    let store = Store::open(&global.project)?;
    let mut memo = HashMemo::open(store.folder());
    let mut open = |weights, diagnostics: &mut Diagnostics| {
        let sources = Sources {
            backend: &backend,
            memo: &mut memo,
            hub: &hub,
            weights,
        };
        plan::open_models(&project, sources, diagnostics)
    };
    let mut models = open(Weights::AsTheyAre, &mut diagnostics);
    if models.values().any(|model| !model.weights) {
        // Gigabytes come when nothing else is wrong, and not before.
        let mut wrong = diagnostics.clone();
        plan::runs(&project, &models, &mut wrong);
        if wrong.has_errors() {
            return Err(wrong);
        }
        models = open(Weights::Fetched, &mut diagnostics);
    }
    memo.save();
    let runs = plan::runs(&project, &models, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    report.errors(diagnostics);
    report.detail(|| format!("device: {backend}"));

    let (parts, work) = compute::complete(&runs, &models, &store, &backend, report.quiet)?;
    let mut results: Vec<ExperimentResults> = project
        .experiments
        .iter()
        .map(|experiment| ExperimentResults {
            experiment,
            records: vec![],
        })
        .collect();
    for (run, parts) in runs.iter().zip(&parts) {
        let records = assemble::records(run, &models[run.model], parts);
        if let Some(result) = results
            .iter_mut()
            .find(|result| result.experiment.id == run.experiment.id)
        {
            result.records.push(records);
        }
    }

    let site = Site {
        project: &project,
        results,
        base_url: arguments.base_url.clone(),
    };
    let counts = write(&site, &output)?;

    let below = site
        .results
        .iter()
        .flat_map(|result| result.records.iter().flatten())
        .flat_map(|record| &record.attributions)
        .filter(|a| !a.converged || a.within_margin == Some(false))
        .count();
    report.note(&format!(
        "{} loaded, {} computed, {} kept; {} written, {} unchanged, {} removed; {:.1} s",
        counted(work.models_loaded, "model"),
        counted(work.computed, "map"),
        work.kept,
        counted(counts.written, "file"),
        counts.unchanged,
        counts.removed,
        began.elapsed().as_secs_f64()
    ));
    report.errors(counts.warnings);
    if !counts.kept.is_empty() {
        report.note(&format!(
            "left alone, because they were edited since the last build: {}",
            counts.kept.join(", ")
        ));
    }
    if below > 0 {
        report.note(&format!(
            "{} below the quality bar (tolerance, margin, or a value that is not finite); their pages say so",
            counted(below, "map")
        ));
    }
    Ok(below)
}

/// A site written among its own sources would be read as content by the next build.
pub fn refuse_sources(project: &Path, output: &Path) -> Result<(), Diagnostics> {
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    for part in ["content", "templates", "static", ".igsite"] {
        if whole(output).starts_with(whole(&project.join(part))) {
            return Err(
                Diagnostic::content(format!("the output would be written into the project's own `{part}/`"))
                    .in_file(output)
                    .expected("a folder of its own, such as `site`")
                    .into(),
            );
        }
    }
    Ok(())
}
