//! The store filled, and nothing kept in memory of it: what `igsite compute` does, whose work may be many times larger
//! than memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::split::expected_evaluations;
use super::tested::Computed;
use super::{Telling, Work, Worker, prepared};
use crate::attribution::integrated_gradients::Explainer;
use crate::diagnostic::Result;
use crate::interrupt;
use crate::model::device::Backend;
use crate::plan::kept::Answered;
use crate::plan::{Job, OpenedModel, Run, stored};
use crate::progress::{Counted, Progress};
use crate::store::{Parts, Store};

/// Jobs whose maps are computed together: enough for full passes, few enough for memory.
const TOGETHER: usize = 256;

/// Computes what the store lacks of every job, `[run][job]`, and returns what models answered, which plans keep.
///
/// # Errors
/// As for [`super::complete`].
pub fn fill(
    runs: &[Run],
    models: &BTreeMap<String, OpenedModel>,
    store: &Store,
    backend: &Backend,
    quiet: bool,
) -> Result<(Vec<Vec<Answered>>, Work)> {
    let mut work = Work::default();
    let mut answered: Vec<Vec<Option<Answered>>> = Vec::new();
    for run in runs {
        interrupt::check()?;
        answered.push(stored::answers(store, run, &models[run.model])?);
    }
    let mut total = 0;
    let mut waiting: Vec<&str> = Vec::new();
    for (run, answered) in runs.iter().zip(&answered) {
        let methods = prepared(&run.experiment.attribution);
        for (job, found) in run.jobs.iter().zip(answered) {
            match found {
                Some(_) => work.kept += run.experiment.attribution.maps(job.targets.len()),
                None => {
                    total += expected_evaluations(run, &methods, job);
                    if !waiting.contains(&run.model) {
                        waiting.push(run.model);
                    }
                }
            }
        }
    }
    let progress = Progress::new(Counted::Evaluations, total as u64, quiet || total == 0);
    let progress = Telling(Mutex::new(progress));
    for id in waiting {
        let model = &models[id];
        progress.at(format!("loading {id}"));
        let explainer = Explainer::load(&model.checkpoint, backend, model.precision)?;
        work.models_loaded += 1;
        let mut worker = Worker {
            model,
            store,
            backend,
            explainer,
            device: None,
            progress: &progress,
            work: &mut work,
        };
        let first = runs.iter().zip(&answered).find_map(|(run, answered)| {
            let at = answered.iter().position(Option::is_none)?;
            (run.model == id).then(|| &run.jobs[at])
        });
        worker.look_at_device(first)?;
        let of_model = runs.iter().zip(&mut answered).filter(|(run, _)| run.model == id);
        for (run, answered) in of_model {
            let lacking: Vec<usize> = (0..run.jobs.len()).filter(|&job| answered[job].is_none()).collect();
            for some in lacking.chunks(TOGETHER) {
                let jobs: Vec<&Job> = some.iter().map(|&job| &run.jobs[job]).collect();
                let found = worker.jobs(run, &jobs);
                worker.take_told();
                for (&job, parts) in some.iter().zip(found?) {
                    answered[job] = Some(Answered::of(&parts));
                }
            }
            worker = tests(worker, run, &lacking)?;
        }
    }
    progress.0.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
    let answered = answered.into_iter().map(|run| run.into_iter().flatten().collect());
    Ok((answered.collect(), work))
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
