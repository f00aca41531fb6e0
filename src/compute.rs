//! Jobs to stored parts: what the store lacks is computed, model by model, each loaded at most once and only if needed.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use crate::attribution::integrated_gradients::{Explainer, Scalar};
use crate::attribution::quadrature;
use crate::content::experiment::Experiment;
use crate::diagnostic::{Diagnostic, Result};
use crate::model::device::Backend;
use crate::plan::{Job, OpenedModel, Run, TargetToken};
use crate::progress::Progress;
use crate::store::record::Provenance;
use crate::store::{Store, StoredAttribution, StoredPrediction};

/// All that a job's record is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The forward pass.
    pub prediction: StoredPrediction,
    /// Targets outer, baselines inner.
    pub attributions: Vec<StoredAttribution>,
}

/// What a build did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Models whose weights were loaded.
    pub models_loaded: usize,
    /// Attributions computed in this run.
    pub computed: usize,
    /// Attributions found in the store.
    pub kept: usize,
}

/// The parts of every job, `[run][job]`, computing what the store lacks.
///
/// # Errors
/// A checkpoint cannot be loaded, memory runs out, or the store cannot be written. What was finished before is kept.
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
        let found: Result<Vec<_>> = run.jobs.iter().map(|job| find(store, run.experiment, job)).collect();
        parts.push(found?);
    }
    let attributions =
        |run: &Run, job: &Job| job.targets.len() * job.baselines.len() * run.experiment.attribution.steps;
    let missing = || {
        runs.iter().zip(&parts).flat_map(move |(run, parts)| {
            run.jobs
                .iter()
                .zip(parts)
                .filter(|(_, found)| found.is_none())
                .map(move |(job, _)| (run, job))
        })
    };
    let total: usize = missing().map(|(run, job)| attributions(run, job)).sum();
    let mut waiting: Vec<&str> = Vec::new();
    for (run, _) in missing() {
        if !waiting.contains(&run.model) {
            waiting.push(run.model);
        }
    }
    work.kept = parts
        .iter()
        .flatten()
        .flatten()
        .map(|found| found.attributions.len())
        .sum();
    let mut progress = Progress::new(total as u64, quiet || total == 0);
    for id in waiting {
        let model = &models[id];
        progress.at(format!("loading {id}"));
        let dtype = backend.dtype(model.spec.dtype, model.checkpoint.stored_dtype());
        let mut explainer = Explainer::load(&model.checkpoint, backend, dtype)?;
        work.models_loaded += 1;
        for (run, parts) in runs.iter().zip(&mut parts).filter(|(run, _)| run.model == id) {
            for (job, slot) in run.jobs.iter().zip(parts).filter(|(_, slot)| slot.is_none()) {
                progress.at(format!("{id}, {}, sample {}", run.experiment.id, job.sample.slug));
                let mut worker = Worker {
                    store,
                    backend,
                    explainer: &mut explainer,
                    progress: &mut progress,
                    work: &mut work,
                };
                *slot = Some(worker.job(run.experiment, job).map_err(|e| {
                    let place = format!(
                        "model `{id}`, experiment `{}`, sample `{}`",
                        run.experiment.id, job.sample.slug
                    );
                    if e.place.is_none() { e.place(place) } else { e }
                })?);
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

/// A job's parts, if the store has all of them.
fn find(store: &Store, experiment: &Experiment, job: &Job) -> Result<Option<Parts>> {
    let Some(prediction) = store.get::<StoredPrediction>(&job.prediction)? else {
        return Ok(None);
    };
    let mut attributions = Vec::new();
    for target in &job.targets {
        for &(_, start) in &job.baselines {
            let key = job.attribution_key(experiment, target, start, prediction.token_id);
            match store.get::<StoredAttribution>(&key)? {
                Some(found) => attributions.push(found),
                None => return Ok(None),
            }
        }
    }
    Ok(Some(Parts {
        prediction,
        attributions,
    }))
}

struct Worker<'a> {
    store: &'a Store,
    backend: &'a Backend,
    explainer: &'a mut Explainer,
    progress: &'a mut Progress,
    work: &'a mut Work,
}

impl Worker<'_> {
    fn job(&mut self, experiment: &Experiment, job: &Job) -> Result<Parts> {
        let prediction = match self.store.get(&job.prediction)? {
            Some(found) => found,
            None => self.predict(job)?,
        };
        let spec = &experiment.attribution;
        let points = quadrature::points(spec.quadrature, spec.steps);
        let mut attributions = Vec::new();
        for target in &job.targets {
            for &(_, start) in &job.baselines {
                let key = job.attribution_key(experiment, target, start, prediction.token_id);
                // Kept by an earlier, killed build, or by another target that came to the same token.
                if let Some(found) = self.store.get::<StoredAttribution>(&key)? {
                    self.progress.add(points.len() as u64);
                    self.work.kept += 1;
                    attributions.push(found);
                    continue;
                }
                let began = Instant::now();
                let scalar = Scalar {
                    token: target.token.id(prediction.token_id),
                    output: spec.output,
                    minus: target.minus.map(|token: TargetToken| token.id(prediction.token_id)),
                };
                let progress = &mut *self.progress;
                let mut tell = |count: usize| progress.add(count as u64);
                let found = self.explainer.attribute(
                    &job.prediction.token_ids,
                    start,
                    scalar,
                    &points,
                    spec.batch,
                    &mut tell,
                )?;
                let finite = |value: f64| value.is_finite().then_some(value);
                // TEMPORARY, up to `converged`: the integrator will say these; until then the adaptive rule is 512-point Gauss–Legendre.
                let part = StoredAttribution {
                    key,
                    f_input: finite(found.f_input),
                    f_baseline: finite(found.f_baseline),
                    scores: if found.non_finite.is_some() {
                        vec![]
                    } else {
                        found.scores
                    },
                    errors: None,
                    evaluations: found.evaluations,
                    history: vec![],
                    converged: None,
                    non_finite: found.non_finite,
                    provenance: self.provenance(began),
                };
                self.store.put(&part)?;
                self.work.computed += 1;
                attributions.push(part);
            }
        }
        Ok(Parts {
            prediction,
            attributions,
        })
    }

    fn predict(&mut self, job: &Job) -> Result<StoredPrediction> {
        let began = Instant::now();
        let logits = self.explainer.logits(&job.prediction.token_ids)?;
        let probabilities = softmax(&logits).ok_or_else(|| {
            Diagnostic::compute("the model's logits for this prompt are not finite numbers")
                .help("the weights may be damaged, or too large for the dtype: try `dtype: f32` or `bf16`")
        })?;
        // The first of equals, as torch.argmax.
        let best = (0..probabilities.len())
            .rev()
            .max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
        let token_id = best.unwrap_or_default();
        let part = StoredPrediction {
            key: job.prediction.clone(),
            token_id: token_id as u32,
            probability: probabilities[token_id],
            asked: job
                .prediction
                .asked
                .iter()
                .map(|&id| probabilities[id as usize])
                .collect(),
            provenance: self.provenance(began),
        };
        self.store.put(&part)?;
        Ok(part)
    }

    fn provenance(&self, began: Instant) -> Provenance {
        Provenance {
            igsite: env!("CARGO_PKG_VERSION").to_owned(),
            backend: self.backend.name.to_owned(),
            seconds: began.elapsed().as_secs_f64(),
            created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        }
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
