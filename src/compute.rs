//! Jobs to stored parts: computes what the store lacks, model by model. Each model is loaded at most once and only if
//! needed.

mod devices;
mod fill;
mod split;
mod tested;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use self::devices::Unit;
use self::tested::Computed;
use crate::attribution::integrated_gradients::{Explainer, Trust, argmax};
use crate::attribution::methods::{self, Attribution, Prepared};
use crate::attribution::schedule::{self, Task};
use crate::attribution::trust;
use crate::calendar;
use crate::content::experiment::AttributionSpec;
use crate::diagnostic::{Diagnostic, Result};
use crate::interrupt;
use crate::model::device::{Backend, CUBECL};
use crate::plan::{self, Applied, Job, OpenedModel, Run, stored};
use crate::progress::{Counted, Progress};
use crate::store::key::{AttributionKey, Key};
use crate::store::record::{BesideCpu, DeviceRecord, Provenance};
use crate::store::{Parts, Store, StoredAttribution, StoredGeneration, StoredPrediction, StoredTest};
use crate::terms::{BaselineVector, Method};

pub use fill::fill;
pub use split::{Piece, split};

/// What a build did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Models whose weights were loaded.
    pub models_loaded: usize,
    /// Attributions computed in this run.
    pub computed: usize,
    /// Attributions found in the store.
    pub kept: usize,
    /// Attributions that are the same as one computed in this run.
    pub shared: usize,
    /// What devices did wrong, and was computed again; and how they compared with the CPU.
    pub told: Vec<String>,
}

impl Work {
    fn add(&mut self, other: Self) {
        self.models_loaded += other.models_loaded;
        self.computed += other.computed;
        self.kept += other.kept;
        self.shared += other.shared;
        self.told.extend(other.told);
    }
}

/// The parts of every job, `[run][job]`, computing what the store lacks, on all of the devices at the same time.
///
/// # Errors
/// A checkpoint cannot be loaded, memory runs out, a device is not believed, or the store cannot be written. What was
/// finished before stays in the store.
pub fn complete(
    runs: &[Run],
    models: &BTreeMap<String, OpenedModel>,
    store: &Store,
    backends: &[Backend],
    quiet: bool,
) -> Result<(Vec<Vec<Parts>>, Work)> {
    let mut work = Work::default();
    let mut parts: Vec<Vec<Option<Parts>>> = Vec::new();
    for run in runs {
        parts.push(stored::parts(store, run, Some(&models[run.model]))?);
    }
    let missing = |id: &str| -> Vec<(usize, usize)> {
        let of_run = |(run, parts): (usize, &Vec<Option<Parts>>)| -> Vec<(usize, usize)> {
            let jobs = parts.iter().enumerate().filter(|(_, found)| found.is_none());
            jobs.map(|(job, _)| (run, job)).collect()
        };
        let runs = parts.iter().enumerate().filter(|(run, _)| runs[*run].model == id);
        runs.flat_map(of_run).collect()
    };
    let mut waiting: Vec<Unit> = Vec::new();
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
        if maps > 0 && !waiting.iter().any(|unit| unit.model == run.model) {
            waiting.push(Unit {
                model: run.model,
                jobs: missing(run.model),
            });
        }
    }
    work.kept = parts
        .iter()
        .flatten()
        .flatten()
        .map(|found| found.attributions.len())
        .sum();
    let progress = Progress::new(Counted::Evaluations, total as u64, quiet || total == 0);
    let progress = Telling(Mutex::new(progress));
    let shared = Shared {
        runs,
        models,
        store,
        progress: &progress,
    };
    let (done, more) = devices::on_all(backends, waiting, |backend, unit, work| {
        shared.unit(backend, unit, work)
    })?;
    work.add(more);
    for ((run, job), found) in done.into_iter().flatten() {
        parts[run][job] = Some(found);
    }
    progress.finish();
    let parts = parts
        .into_iter()
        .map(|run| run.into_iter().flatten().collect())
        .collect();
    Ok((parts, work))
}

/// What the devices share.
struct Shared<'a> {
    runs: &'a [Run<'a>],
    models: &'a BTreeMap<String, OpenedModel>,
    store: &'a Store,
    progress: &'a Telling,
}

/// Progress that several devices make.
struct Telling(Mutex<Progress>);

impl Telling {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self, what: String) {
        self.lock().at(what);
    }

    fn add(&self, count: u64) {
        self.lock().add(count);
    }

    fn finish(self) {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
    }
}

impl<'a> Shared<'a> {
    /// The model of a unit loaded onto a device, which was looked at.
    fn worker<'w>(&self, backend: &'w Backend, unit: &Unit<'_>, work: &'w mut Work) -> Result<Worker<'w>>
    where
        'a: 'w,
    {
        let (id, model) = (unit.model, &self.models[unit.model]);
        self.progress.at(format!("loading {id}"));
        let explainer = Explainer::load(&model.checkpoint, backend, model.precision)?;
        work.models_loaded += 1;
        let mut worker = Worker {
            model,
            store: self.store,
            backend,
            explainer,
            device: None,
            progress: self.progress,
            work,
        };
        worker.look_at_device(unit.jobs.first().map(|&(run, job)| &self.runs[run].jobs[job]))?;
        Ok(worker)
    }

    fn unit(&self, backend: &Backend, unit: &Unit<'_>, work: &mut Work) -> Result<BTreeMap<(usize, usize), Parts>> {
        let runs = self.runs;
        let mut worker = self.worker(backend, unit, work)?;
        let mut parts: BTreeMap<(usize, usize), Parts> = BTreeMap::new();
        for of_run in unit.jobs.chunk_by(|a, b| a.0 == b.0) {
            let run = &runs[of_run[0].0];
            let jobs: Vec<&Job> = of_run.iter().map(|&(_, job)| &run.jobs[job]).collect();
            let found = worker.jobs(run, &jobs);
            worker.take_told();
            parts.extend(of_run.iter().copied().zip(found?));
        }
        // Tests come last: of maps of all methods, and held against the permuted model's.
        for of_run in unit.jobs.chunk_by(|a, b| a.0 == b.0) {
            let run = &runs[of_run[0].0];
            if run.experiment.faithfulness.is_none() {
                continue;
            }
            let computed = of_run.iter().filter_map(|at| Some((&run.jobs[at.1], parts.get(at)?)));
            let computed: Vec<Computed> = computed.collect();
            let tests;
            (worker, tests) = worker.test_maps(run, &computed)?;
            for (at, tests) in of_run.iter().zip(tests) {
                if let Some(parts) = parts.get_mut(at) {
                    parts.tests = tests;
                }
            }
        }
        worker.take_told();
        Ok(parts)
    }
}

struct Worker<'a> {
    model: &'a OpenedModel,
    store: &'a Store,
    backend: &'a Backend,
    explainer: Explainer,
    /// The GPU that it computes on, for records.
    device: Option<DeviceRecord>,
    progress: &'a Telling,
    work: &'a mut Work,
}

impl<'a> Worker<'a> {
    /// With another model, loaded when there is room for it.
    fn with(mut self, load: impl FnOnce() -> Result<Explainer>) -> Result<Self> {
        self.take_told();
        let untuned = self.explainer.is_untuned();
        let Self {
            model,
            store,
            backend,
            explainer,
            device,
            progress,
            work,
        } = self;
        drop(explainer);
        let explainer = load()?;
        if untuned {
            explainer.distrust_tuner();
        }
        Ok(Self {
            explainer,
            model,
            store,
            backend,
            device,
            progress,
            work,
        })
    }
}

impl Worker<'_> {
    /// On a GPU, compares a map of this job's prompt with the CPU's, before anything is computed.
    ///
    /// # Errors
    /// They are further apart than the dtype explains; or one of them cannot be computed.
    fn look_at_device(&mut self, job: Option<&Job>) -> Result<()> {
        let (Some(about), Some(job)) = (&self.backend.about, job) else {
            return Ok(());
        };
        let id = &self.model.spec.id;
        self.progress
            .at(format!("{id}: comparing {} with the CPU", self.backend));
        let start = job.baselines.first().map_or(BaselineVector::Zero, |&(_, start)| start);
        let of = (&self.model.checkpoint, self.backend, self.model.precision);
        let compared = trust::first_prompt(&mut self.explainer, of, (&job.prediction.token_ids, start))
            .map_err(|error| error.place(format!("model `{id}`")))?;
        self.take_told();
        self.work.told.push(format!(
            "model `{id}`: {} beside the CPU in float32, {}{} tokens: {:.1e} apart, where {:.1e} is allowed",
            self.backend,
            match compared.layers {
                Some(layers) => format!("the first {layers} layers, "),
                None => String::new(),
            },
            compared.tokens,
            compared.apart,
            compared.allowed
        ));
        self.device = Some(DeviceRecord {
            name: about.name.clone(),
            driver: about.driver.clone(),
            engine: format!("cubecl {CUBECL}"),
            autotune: cfg!(feature = "autotune"),
            beside_cpu: BesideCpu {
                layers: compared.layers,
                tokens: compared.tokens,
                apart: compared.apart,
                allowed: compared.allowed,
            },
            at_input: None,
        });
        Ok(())
    }

    /// Notes what failed on the device and was computed again.
    fn take_told(&mut self) {
        let id = &self.model.spec.id;
        let told = self.explainer.take_told();
        self.work
            .told
            .extend(told.into_iter().map(|what| format!("model `{id}`: {what}")));
    }

    /// How and when something was computed, that took so long and ends now.
    fn provenance(&self, seconds: f64) -> Provenance {
        provenance(self.backend, seconds, device(&self.device, &self.explainer.trust()))
    }
}

/// The GPU, as it is known by now.
fn device(device: &Option<DeviceRecord>, trust: &Trust) -> Option<DeviceRecord> {
    device.as_ref().map(|device| DeviceRecord {
        autotune: device.autotune && !trust.is_untuned(),
        at_input: trust.apart_at_input(),
        ..device.clone()
    })
}

impl<'a> Worker<'a> {
    /// The tests of the maps of a run's jobs, each computed unless it is stored. Controls may need the model with
    /// permuted parameters: it is loaded in the place of the model, and then the model again.
    fn test_maps(mut self, run: &Run, computed: &[Computed<'_>]) -> Result<(Self, Vec<Vec<Vec<StoredTest>>>)> {
        let (model, backend) = (self.model, self.backend);
        if let Some(spec) = &run.experiment.faithfulness {
            let id = &model.spec.id;
            let mut is_permuted = false;
            for layers in self.permutations(spec) {
                let lacking = self.lacking_permuted(run, computed, layers)?;
                if lacking.is_empty() {
                    continue;
                }
                let which = layers.map_or_else(String::new, |layers| format!(" in its last {layers} layers"));
                self.progress
                    .at(format!("loading {id}, its parameters permuted{which}"));
                let how = (spec.seed, layers);
                self = self.with(|| Explainer::load_permuted(&model.checkpoint, backend, model.precision, how))?;
                self.permuted_maps(run, computed, lacking)?;
                is_permuted = true;
            }
            if is_permuted {
                self.progress.at(format!("loading {id}"));
                self = self.with(|| Explainer::load(&model.checkpoint, backend, model.precision))?;
            }
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
        let (store, backend, work, progress) = (self.store, self.backend, &mut *self.work, self.progress);
        if let Some(first) = tasks.first() {
            progress.at(format!("{}: compiling kernels", keys[0].1));
            if self.explainer.warm_up(first, spec.batch)? {
                progress.lock().restart();
            }
            progress.at(keys[0].1.clone());
        }
        let (of_device, trust) = (&self.device, self.explainer.trust());
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
                provenance: provenance(backend, found.seconds, device(of_device, &trust)),
            };
            store.put(&part)?;
            work.computed += 1;
            let mut progress = progress.lock();
            progress.correct(
                tasks[index].method.expected_evaluations(tasks[index].units.len()) as u64,
                part.evaluations as u64,
            );
            progress.at(keys[index].1.clone());
            computed[index] = Some(part);
            Ok(())
        };
        let mut tell = |count: usize| progress.add(count as u64);
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
        let progress = self.progress;
        let mut said = 0;
        let mut tell = || {
            said += 1;
            progress.lock().said(said, key.max_new_tokens);
        };
        let token_ids = self
            .explainer
            .generate(&key.token_ids, &key.stop, key.max_new_tokens, &mut tell)?;
        let part = StoredGeneration {
            key,
            token_ids,
            provenance: self.provenance(began.elapsed().as_secs_f64()),
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
            provenance: self.provenance(began.elapsed().as_secs_f64()),
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

fn provenance(backend: &Backend, seconds: f64, device: Option<DeviceRecord>) -> Provenance {
    Provenance {
        igsite: env!("CARGO_PKG_VERSION").to_owned(),
        backend: backend.kind,
        seconds,
        created: calendar::timestamp(SystemTime::now()),
        device,
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
