//! `igsite compute`: fills the store, and writes no site. Many tasks may do it at once, each its share, into one store
//! or into stores of their own.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::report::Report;
use super::shards::{self, Found};
use super::{counted, selection};
use crate::cli::{Compute, ExitStatus, Global};
use crate::compute;
use crate::content::project::Project;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::hub::Hub;
use crate::interrupt;
use crate::model::device::Backend;
use crate::plan::kept::{self, StoredPlan};
use crate::plan::{self, OpenedModel, Run, Sources, Weights};
use crate::store::Store;
use crate::store::memo::HashMemo;
use crate::terms::Shard;

pub fn run(global: &Global, arguments: &Compute, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let began = Instant::now();
    interrupt::keeps("every map that was finished is kept in the store");
    let grace = Duration::try_from_secs_f64(arguments.grace).map_err(|_| {
        Diagnostic::content(format!("--grace {} is no time", arguments.grace)).expected("seconds, 0 or more")
    })?;
    interrupt::allow(grace);
    let Found { shard, by } = shards::find(arguments.shard, arguments.shards, &shards::of_process)?;
    if let Some(by) = by {
        report.note(&format!("shard {shard} ({by})"));
    }
    let hub = Hub::new(arguments.place.offline, report.quiet);
    let (mut project, mut diagnostics) = Project::load(&global.project, &selection(&arguments.chosen), &hub)?;
    diagnostics.extend(hub.take_warnings());
    let backends = Backend::open_all(&arguments.place.device)?;
    let store = match &arguments.store {
        Some(folder) => Store::at(folder.clone())?,
        None => Store::open(&global.project)?,
    };
    // Hours of computing for a store that takes nothing would be lost.
    store.probe()?;
    // What is known of weights belongs to the machine, wherever parts go.
    let mut memo = HashMemo::open(&global.project.join(".igsite"));
    let mut open = |project: &Project, weights, diagnostics: &mut Diagnostics| {
        let sources = Sources {
            backend: &backends[0],
            memo: &mut memo,
            hub: &hub,
            weights,
        };
        plan::open_models(project, sources, diagnostics)
    };
    let share = match shard.is_whole() {
        true => None,
        false => {
            let share = Share::of(&project, shard, &mut open)?;
            share.restrict(&mut project);
            Some(share)
        }
    };
    let mut models = open(&project, Weights::AsTheyAre, &mut diagnostics);
    if models.values().any(|model| !model.weights) && !diagnostics.has_errors() {
        models = open(&project, Weights::Fetched, &mut diagnostics);
    }
    memo.save();
    let plans = kept::of_project(&store, &project)?;
    let mut runs = plan::runs_with(&project, &models, &plans, &mut diagnostics);
    drop(plans);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    report.errors(diagnostics);
    if let Some(share) = &share {
        share.keep(&mut runs);
    }
    for backend in &backends {
        report.detail(|| format!("device: {backend}"));
    }
    report.detail(|| format!("planned: {:.2} s", began.elapsed().as_secs_f64()));
    let done = compute::fill(&runs, &models, &store, &backends, report.quiet);
    // What was moved aside is reported also where the rest failed.
    report.errors(store.take_warnings());
    let (answered, work) = done?;
    for told in &work.told {
        report.note(told);
    }
    let samples: usize = runs.iter().map(|run| run.jobs.len()).sum();
    for (run, answered) in runs.iter().zip(&answered) {
        let model = &models[run.model];
        let text = StoredPlan::of(run, &model.facts(), answered, &model.tokenizer);
        let (experiment, model) = (&run.experiment.id, run.model);
        if shard.is_whole() {
            store.keep_plan(experiment, model, &text)?;
        } else {
            store.keep_plan_of_shard(experiment, model, shard, &text)?;
        }
    }
    report.note(&format!(
        "{}{}: {} loaded, {} computed, {}{} kept; {:.1} s",
        if shard.is_whole() {
            String::new()
        } else {
            format!("shard {shard}, ")
        },
        counted(samples, "prompt"),
        counted(work.models_loaded, "model"),
        counted(work.computed, "map"),
        if work.shared > 0 {
            format!("{} the same as others, ", work.shared)
        } else {
            String::new()
        },
        work.kept,
        began.elapsed().as_secs_f64()
    ));
    report.result(&store.folder().display().to_string());
    Ok(ExitStatus::Done)
}

/// The jobs of a shard: their places, by experiment and model.
struct Share(BTreeMap<(String, String), Range<usize>>);

impl Share {
    /// Counts the tokens of all prompts, for which models are opened and their weights are not read.
    fn of(
        project: &Project,
        shard: Shard,
        open: &mut dyn FnMut(&Project, Weights, &mut Diagnostics) -> BTreeMap<String, OpenedModel>,
    ) -> Result<Self, Diagnostics> {
        let mut diagnostics = Diagnostics::new();
        let models = open(project, Weights::NotRead, &mut diagnostics);
        let runs = plan::runs(project, &models, &mut diagnostics);
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        let pieces = compute::split(&runs, shard.count()).swap_remove(shard.index());
        let named = pieces.into_iter().map(|piece| {
            let run = &runs[piece.run];
            ((run.experiment.id.clone(), run.model.to_owned()), piece.jobs)
        });
        Ok(Self(named.collect()))
    }

    /// Leaves of a project the experiments and models of the share: no other model has to be opened.
    fn restrict(&self, project: &mut Project) {
        for experiment in &mut project.experiments {
            let id = experiment.id.clone();
            let is_of_share = |model: &String| self.0.contains_key(&(id.clone(), model.clone()));
            experiment.models.retain(is_of_share);
        }
        project.experiments.retain(|experiment| !experiment.models.is_empty());
    }

    /// Leaves of each run the jobs of the share.
    fn keep(&self, runs: &mut [Run]) {
        for run in runs {
            let place = (run.experiment.id.clone(), run.model.to_owned());
            let jobs = self.0.get(&place).cloned().unwrap_or(0..0);
            run.jobs.truncate(jobs.end);
            run.jobs.drain(..jobs.start.min(run.jobs.len()));
        }
    }
}
