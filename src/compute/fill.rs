//! The store filled, and nothing kept in memory of it: what `igsite compute` does, whose work may be many times larger
//! than memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::devices::{self, Unit};
use super::split::expected_evaluations;
use super::tested::Computed;
use super::{Shared, Telling, Work, Worker, prepared};
use crate::diagnostic::Result;
use crate::interrupt;
use crate::model::device::Backend;
use crate::plan::kept::Answered;
use crate::plan::{Job, OpenedModel, Run, stored};
use crate::progress::{Counted, Progress};
use crate::store::{Parts, Store};

/// Jobs whose maps are computed together: enough for full passes, few enough for memory.
const TOGETHER: usize = 256;

/// Computes what the store lacks of every job, `[run][job]`, on all of the devices at the same time, and returns what
/// models answered, which plans keep.
///
/// # Errors
/// As for [`super::complete`].
pub fn fill(
    runs: &[Run],
    models: &BTreeMap<String, OpenedModel>,
    store: &Store,
    backends: &[Backend],
    quiet: bool,
) -> Result<(Vec<Vec<Answered>>, Work)> {
    let mut work = Work::default();
    let mut answered: Vec<Vec<Option<Answered>>> = Vec::new();
    for run in runs {
        interrupt::check()?;
        answered.push(stored::answers(store, run, &models[run.model])?);
    }
    let mut total = 0;
    let mut waiting: Vec<Unit> = Vec::new();
    for (index, (run, answered)) in runs.iter().zip(&answered).enumerate() {
        let methods = prepared(&run.experiment.attribution);
        for (job, (spec, found)) in run.jobs.iter().zip(answered).enumerate() {
            if found.is_some() {
                work.kept += run.experiment.attribution.maps(spec.targets.len());
                continue;
            }
            total += expected_evaluations(run, &methods, spec);
            match waiting.iter_mut().find(|unit| unit.model == run.model) {
                Some(unit) => unit.jobs.push((index, job)),
                None => waiting.push(Unit {
                    model: run.model,
                    jobs: vec![(index, job)],
                }),
            }
        }
    }
    let progress = Progress::new(Counted::Evaluations, total as u64, quiet || total == 0);
    let progress = Telling(Mutex::new(progress));
    let shared = Shared {
        runs,
        models,
        store,
        progress: &progress,
    };
    let (done, more) = devices::on_all(backends, waiting, |backend, unit, work| {
        of_unit(shared.worker(backend, unit, work)?, runs, unit)
    })?;
    work.add(more);
    for ((run, job), found) in done.into_iter().flatten() {
        answered[run][job] = Some(found);
    }
    progress.finish();
    let answered = answered.into_iter().map(|run| run.into_iter().flatten().collect());
    Ok((answered.collect(), work))
}

/// What a model answered, by run and job of it.
type Done = Vec<((usize, usize), Answered)>;

fn of_unit(mut worker: Worker, runs: &[Run], unit: &Unit) -> Result<Done> {
    let mut done = Vec::new();
    for of_run in unit.jobs.chunk_by(|a, b| a.0 == b.0) {
        let run = &runs[of_run[0].0];
        for some in of_run.chunks(TOGETHER) {
            let jobs: Vec<&Job> = some.iter().map(|&(_, job)| &run.jobs[job]).collect();
            let found = worker.jobs(run, &jobs);
            worker.take_told();
            done.extend(some.iter().copied().zip(found?.iter().map(Answered::of)));
        }
        let jobs: Vec<usize> = of_run.iter().map(|&(_, job)| job).collect();
        worker = tests(worker, run, &jobs)?;
    }
    Ok(done)
}

/// Tests the maps of those of a run's jobs that are to be tested, which are stored by now.
fn tests<'a>(worker: Worker<'a>, run: &Run, jobs: &[usize]) -> Result<Worker<'a>> {
    if run.experiment.faithfulness.is_none() {
        return Ok(worker);
    }
    let tested = jobs.iter().map(|&job| &run.jobs[job]).filter(|job| job.tested);
    let mut parts: Vec<(&Job, Parts)> = Vec::new();
    for job in tested {
        // Set aside by another process since: the next run computes it again.
        if let Some(found) = stored::maps(worker.store, run, Some(worker.model), job)? {
            parts.push((job, found));
        }
    }
    let computed: Vec<Computed> = parts.iter().map(|(job, parts)| (*job, parts)).collect();
    let (worker, _) = worker.test_maps(run, &computed)?;
    Ok(worker)
}
