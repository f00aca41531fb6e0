//! Jobs to stored parts: computes what the store lacks, model by model. Each model is loaded at most once and only if
//! needed.

mod fill;
mod split;
mod tested;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use self::tested::Computed;
use crate::attribution::integrated_gradients::{Explainer, argmax};
use crate::attribution::methods::{self, Attribution, Prepared};
use crate::attribution::schedule::{self, Task};
use crate::calendar;
use crate::content::experiment::AttributionSpec;
use crate::diagnostic::{Diagnostic, Result};
use crate::interrupt;
use crate::model::device::Backend;
use crate::plan::{self, Applied, Job, OpenedModel, Run, stored};
use crate::progress::{Counted, Progress};
use crate::store::key::{AttributionKey, Key};
use crate::store::record::Provenance;
use crate::store::{Parts, Store, StoredAttribution, StoredGeneration, StoredPrediction, StoredTest};
use crate::terms::Method;

pub use fill::fill;
pub use split::{Piece, split};

/// What a build did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Models whose weights were loaded.
    pub models_loaded: usize,
    /// Attributions computed in this run.
    pub computed: usize,
    /// Attributions found in the store.
    pub kept: usize,
    /// Attributions that are the same as one computed in this run.
    pub shared: usize,
}

/// The parts of every job, `[run][job]`, computing what the store lacks.
///
/// # Errors
/// A checkpoint cannot be loaded, memory runs out, or the store cannot be written. What was finished before stays in
/// the store.
pub fn complete(
    runs: &[Run],
    models: &BTreeMap<String, OpenedModel>,
    store: &Store,
    backend: &Backend,
    quiet: bool,
) -> Result<(Vec<Vec<Parts>>, Work)> {
    let mut work = Work::default();
    let mut parts: Vec<Vec<Option<Parts>>> = Vec::new();
    for run in runs {
        parts.push(stored::parts(store, run, Some(&models[run.model]))?);
    }
    let missing = |parts: &[Vec<Option<Parts>>], id: &str| -> Vec<(usize, usize)> {
        let of_run = |(run, parts): (usize, &Vec<Option<Parts>>)| -> Vec<(usize, usize)> {
            let jobs = parts.iter().enumerate().filter(|(_, found)| found.is_none());
            jobs.map(|(job, _)| (run, job)).collect()
        };
        let runs = parts.iter().enumerate().filter(|(run, _)| runs[*run].model == id);
        runs.flat_map(of_run).collect()
    };
    let mut waiting: Vec<&str> = Vec::new();
    let mut total = 0;
    for (run, parts) in runs.iter().zip(&parts) {
        let jobs = run.jobs.iter().zip(parts).filter(|(_, found)| found.is_none());
        let spec = &run.experiment.attribution;
        let methods: Vec<_> = prepared(spec);
        let mut maps = 0;
        for (job, _) in jobs {
            maps += spec.maps(job.targets.len());
            total += split::expected_evaluations(run, &methods, job);
        }
        if maps > 0 && !waiting.contains(&run.model) {
            waiting.push(run.model);
        }
    }
    work.kept = parts
        .iter()
        .flatten()
        .flatten()
        .map(|found| found.attributions.len())
        .sum();
    let mut progress = Progress::new(Counted::Evaluations, total as u64, quiet || total == 0);
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
            progress: &mut progress,
            work: &mut work,
        };
        let jobs = missing(&parts, id);
        for of_run in jobs.chunk_by(|a, b| a.0 == b.0) {
            let run = &runs[of_run[0].0];
            let jobs: Vec<&Job> = of_run.iter().map(|&(_, job)| &run.jobs[job]).collect();
            for (&(run, job), found) in of_run.iter().zip(worker.jobs(run, &jobs)?) {
                parts[run][job] = Some(found);
            }
        }
        // Tests come last: of maps of all methods, and held against the permuted model's.
        for of_run in jobs.chunk_by(|a, b| a.0 == b.0) {
            let run = &runs[of_run[0].0];
            if run.experiment.faithfulness.is_none() {
                continue;
            }
            let computed = of_run
                .iter()
                .filter_map(|&(at, job)| Some((&run.jobs[job], parts[at][job].as_ref()?)));
            let computed: Vec<Computed> = computed.collect();
            let tests;
            (worker, tests) = worker.test_maps(run, &computed)?;
            for (&(at, job), tests) in of_run.iter().zip(tests) {
                if let Some(parts) = &mut parts[at][job] {
                    parts.tests = tests;
                }
            }
        }
    }
    progress.finish();
    let parts = parts
        .into_iter()
        .map(|run| run.into_iter().flatten().collect())
        .collect();
    Ok((parts, work))
}

struct Worker<'a> {
    model: &'a OpenedModel,
    store: &'a Store,
    backend: &'a Backend,
    explainer: Explainer,
    progress: &'a mut Progress,
    work: &'a mut Work,
}

impl<'a> Worker<'a> {
    /// With another model, loaded when there is room for it.
    fn with(self, load: impl FnOnce() -> Result<Explainer>) -> Result<Self> {
        let Self {
            model,
            store,
            backend,
            explainer,
            progress,
            work,
        } = self;
        drop(explainer);
        Ok(Self {
            explainer: load()?,
            model,
            store,
            backend,
            progress,
            work,
        })
    }
}

impl<'a> Worker<'a> {
    /// The tests of the maps of a run's jobs, each computed unless it is stored. Controls may need the model with
    /// permuted parameters: it is loaded in the place of the model, and then the model again.
    fn test_maps(mut self, run: &Run, computed: &[Computed<'_>]) -> Result<(Self, Vec<Vec<Vec<StoredTest>>>)> {
        let (model, backend) = (self.model, self.backend);
        let lacking = self.lacking_permuted(run, computed)?;
        if let Some(spec) = run.experiment.faithfulness.as_ref().filter(|_| !lacking.is_empty()) {
            let id = &model.spec.id;
            self.progress.at(format!("loading {id}, its parameters permuted"));
            self = self.with(|| Explainer::load_permuted(&model.checkpoint, backend, model.precision, spec.seed))?;
            self.permuted_maps(run, computed, lacking)?;
            self.progress.at(format!("loading {id}"));
            self = self.with(|| Explainer::load(&model.checkpoint, backend, model.precision))?;
        }
        let tests = computed.iter().map(|&of_job| self.tests(run, of_job));
        let tests = tests.collect::<Result<_>>()?;
        Ok((self, tests))
    }
}

/// What messages call a job.
fn place(run: &Run, job: &Job) -> String {
    format!(
        "model `{}`, experiment `{}`, sample `{}`",
        run.model, run.experiment.id, job.sample.slug
    )
}

impl Worker<'_> {
    /// The parts of jobs of one run: predictions first, then all maps together, so that passes are full.
    fn jobs(&mut self, run: &Run, jobs: &[&Job]) -> Result<Vec<Parts>> {
        let spec = &run.experiment.attribution;
        let place = |job: &Job| place(run, job);
        let methods = prepared(spec);
        let mut found = Vec::with_capacity(jobs.len());
        let mut failed = None;
        // What is to be computed, and where each is needed: a map that came to the same token as another is one map.
        let (mut tasks, mut keys, mut indices) = (Vec::new(), Vec::new(), BTreeMap::new());
        for job in jobs {
            interrupt::check()?;
            self.progress.at(place(job));
            let prediction: StoredPrediction = match self.store.get(&job.prediction, run.vocabulary)? {
                Some(found) => found,
                None => match self.predict(job) {
                    Ok(prediction) => prediction,
                    // The jobs before it are computed and stored all the same.
                    Err(error) => {
                        failed = Some(error.place(place(job)));
                        break;
                    }
                },
            };
            let generation = match self.generation(run, job, prediction.token_id) {
                Ok(generation) => generation,
                Err(error) => {
                    failed = Some(if error.place.is_none() {
                        error.place(place(job))
                    } else {
                        error
                    });
                    break;
                }
            };
            let said = generation.as_ref().map(|(_, said)| said);
            let known = match job.known_targets(prediction.token_id, said) {
                Ok(known) => known,
                Err(error) => {
                    failed = Some(error.place(place(job)));
                    break;
                }
            };
            let mut slots = vec![None; spec.maps(job.targets.len())];
            // Baselines outside: all maps of one path are computed together.
            let (targets, baselines) = (job.targets.len(), job.baselines.len());
            let applied: Vec<Applied> = methods
                .iter()
                .map(|(method, _)| job.applied(run.experiment, *method))
                .collect();
            let of_path = (0..targets).flat_map(|t| (0..methods.len()).map(move |m| (t, m)));
            for (b, &(_, start)) in job.baselines.iter().enumerate() {
                for (t, m) in of_path.clone() {
                    let ((_, prepared), applied) = (&methods[m], &applied[m]);
                    let expected = prepared.expected_evaluations(applied.units.len()) as u64;
                    // Nothing to explain: the model generated nothing.
                    let Some(target) = &known[t] else {
                        self.progress.add(expected);
                        continue;
                    };
                    let key = job.attribution_key(run.experiment, applied, target, start);
                    let slot = &mut slots[(m * targets + t) * baselines + b];
                    // Stored by an earlier build that was killed.
                    if let Some(found) = self.store.get::<StoredAttribution>(&key, run.vocabulary)? {
                        self.progress.add(expected);
                        self.work.kept += 1;
                        *slot = Some(Slot::Kept(Box::new(found)));
                        continue;
                    }
                    let name = key.name();
                    if let Some(&index) = indices.get(&name) {
                        self.progress.add(expected);
                        self.work.shared += 1;
                        *slot = Some(Slot::Task(index));
                        continue;
                    }
                    indices.insert(name, tasks.len());
                    *slot = Some(Slot::Task(tasks.len()));
                    tasks.push(Task {
                        ids: job.prediction.token_ids.clone(),
                        forced: target.forced.clone(),
                        given: target.given,
                        start,
                        routing: spec.routing,
                        units: key.units.clone(),
                        scalar: target.scalar(spec.output),
                        method: prepared.clone(),
                    });
                    keys.push((key, place(job)));
                }
            }
            found.push((prediction, slots, generation));
        }
        let run_place = format!("model `{}`, experiment `{}`", run.model, run.experiment.id);
        let placed = |e: Diagnostic| {
            if e.place.is_none() {
                e.place(run_place.clone())
            } else {
                e
            }
        };
        let computed = self.attributions(spec, &tasks, &keys).map_err(placed)?;
        if let Some(error) = failed {
            return Err(error);
        }
        let parts = found.into_iter().map(|(prediction, slots, generation)| Parts {
            prediction,
            generation,
            tests: vec![],
            attributions: slots
                .into_iter()
                .flatten()
                .map(|slot| match slot {
                    Slot::Kept(found) => *found,
                    Slot::Task(index) => computed[index].clone(),
                })
                .collect(),
        });
        Ok(parts.collect())
    }

    /// Computes maps, each stored as soon as it is finished.
    fn attributions(
        &mut self,
        spec: &AttributionSpec,
        tasks: &[Task],
        keys: &[(AttributionKey, String)],
    ) -> Result<Vec<StoredAttribution>> {
        let mut computed: Vec<Option<StoredAttribution>> = vec![None; tasks.len()];
        let (store, backend, work) = (self.store, self.backend, &mut *self.work);
        let progress = RefCell::new(&mut *self.progress);
        if let Some(first) = tasks.first() {
            progress.borrow_mut().at(format!("{}: compiling kernels", keys[0].1));
            if self.explainer.warm_up(first, spec.batch)? {
                progress.borrow_mut().restart();
            }
            progress.borrow_mut().at(keys[0].1.clone());
        }
        let mut done = |index: usize, found: Attribution| {
            let finite = |value: f64| value.is_finite().then_some(value);
            let part = StoredAttribution {
                key: keys[index].0.clone(),
                f_input: finite(found.f_input),
                f_baseline: found.f_baseline.and_then(finite),
                f_zero: found.f_zero.and_then(finite),
                unit_scores: found.unit_scores,
                unit_errors: found.unit_errors,
                below: found.below,
                scores: found.scores,
                errors: found
                    .errors
                    .filter(|errors| errors.iter().all(|error| error.is_finite())),
                evaluations: found.evaluations,
                history: found.history,
                converged: found.converged,
                non_finite: found.non_finite,
                routing: found.routing,
                provenance: provenance(backend, found.seconds),
            };
            store.put(&part)?;
            work.computed += 1;
            let mut progress = progress.borrow_mut();
            progress.correct(
                tasks[index].method.expected_evaluations(tasks[index].units.len()) as u64,
                part.evaluations as u64,
            );
            progress.at(keys[index].1.clone());
            computed[index] = Some(part);
            Ok(())
        };
        let mut tell = |count: usize| progress.borrow_mut().add(count as u64);
        schedule::run(&mut self.explainer, tasks, spec.batch, &mut tell, &mut done)?;
        Ok(computed.into_iter().flatten().collect())
    }

    /// The generated text, if the experiment has `generate`: from the store, or computed now.
    fn generation(&mut self, run: &Run, job: &Job, predicted: u32) -> Result<Option<(String, StoredGeneration)>> {
        let Some((prompt, key)) = plan::generation(run, self.model, job, predicted)? else {
            return Ok(None);
        };
        if let Some(found) = self.store.get(&key, run.vocabulary)? {
            return Ok(Some((prompt, found)));
        }
        let began = Instant::now();
        let progress = &mut *self.progress;
        let mut said = 0;
        let mut tell = || {
            said += 1;
            progress.said(said, key.max_new_tokens);
        };
        let token_ids = self
            .explainer
            .generate(&key.token_ids, &key.stop, key.max_new_tokens, &mut tell)?;
        let part = StoredGeneration {
            key,
            token_ids,
            provenance: provenance(self.backend, began.elapsed().as_secs_f64()),
        };
        self.store.put(&part)?;
        Ok(Some((prompt, part)))
    }

    fn predict(&mut self, job: &Job) -> Result<StoredPrediction> {
        let began = Instant::now();
        let logits = self.explainer.logits(&job.prediction.token_ids)?;
        let probabilities = softmax(&logits).ok_or_else(|| {
            Diagnostic::compute("the model's logits for this prompt are not finite numbers")
                .help("the weights may be damaged, or too large for the dtype: try `dtype: f32` or `bf16`")
        })?;
        let token_id = argmax(&logits);
        let ids = &job.prediction.token_ids;
        let answers = job.prediction.answers.iter();
        let answers: Result<Vec<f64>> = answers
            .map(|answer| self.explainer.log_probability(ids, answer))
            .collect();
        let part = StoredPrediction {
            key: job.prediction.clone(),
            token_id,
            probability: probabilities[token_id as usize],
            answers: answers?,
            asked: job
                .prediction
                .asked
                .iter()
                .map(|&id| probabilities[id as usize])
                .collect(),
            provenance: provenance(self.backend, began.elapsed().as_secs_f64()),
        };
        self.store.put(&part)?;
        Ok(part)
    }
}

/// Where a map of a job comes from.
#[derive(Clone)]
enum Slot {
    Kept(Box<StoredAttribution>),
    Task(usize),
}

/// The methods of an experiment, made ready.
fn prepared(spec: &AttributionSpec) -> Vec<(Method, Prepared)> {
    let ready = |&method: &Method| (method, methods::prepare(spec.with_settings(method)));
    spec.methods.iter().map(ready).collect()
}

fn provenance(backend: &Backend, seconds: f64) -> Provenance {
    Provenance {
        igsite: env!("CARGO_PKG_VERSION").to_owned(),
        backend: backend.kind,
        seconds,
        created: calendar::timestamp(SystemTime::now()),
    }
}

/// Probabilities in float64; none where a logit is not finite.
fn softmax(logits: &[f32]) -> Option<Vec<f64>> {
    if !logits.iter().all(|logit| logit.is_finite()) {
        return None;
    }
    let largest = logits.iter().fold(f32::NEG_INFINITY, |most, &logit| most.max(logit));
    let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    Some(powers.into_iter().map(|power| power / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_sums_to_one_and_refuses_what_is_not_finite() {
        let probabilities = softmax(&[1.0, 2.0, 3.0]).unwrap();
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        assert!((probabilities[2] - 0.665_240_955_774_821_9).abs() < 1e-12);
        assert_eq!(softmax(&[1.0, f32::NAN]), None);
        assert_eq!(softmax(&[1.0, f32::INFINITY]), None);
    }
}
