//! What the store has of a run.

use rayon::prelude::*;

use super::{Job, OpenedModel, Run, generation};
use crate::diagnostic::Result;
use crate::store::{Parts, Store, StoredAttribution, StoredGeneration, StoredPrediction, StoredTest};

/// The parts of each job of a run, where the store has all of them; without a model only a kept plan can say what that
/// would be asked.
///
/// # Errors
/// The store cannot be read; a tokenizer or template fails.
pub fn parts(store: &Store, run: &Run, model: Option<&OpenedModel>) -> Result<Vec<Option<Parts>>> {
    run.jobs.par_iter().map(|job| find(store, run, model, job)).collect()
}

/// How many maps of a run the store has.
///
/// # Errors
/// The store cannot be read.
pub fn count(store: &Store, run: &Run) -> Result<usize> {
    let of_job = |job: &Job| -> Result<usize> {
        let Some(prediction) = store.get::<StoredPrediction>(&job.prediction, run.vocabulary)? else {
            return Ok(0);
        };
        let generation = said(store, run, None, job, prediction.token_id)?;
        let generation = generation.as_ref().map(|(_, said)| said);
        let targets = job.known_targets(prediction.token_id, generation)?;
        // What has nothing to explain needs no map.
        let absent = targets.iter().filter(|target| target.is_none()).count();
        let mut found = run.experiment.attribution.maps(absent);
        for key in job.attribution_keys(run.experiment, &targets) {
            found += usize::from(store.get::<StoredAttribution>(&key, run.vocabulary)?.is_some());
        }
        Ok(found)
    };
    run.jobs.iter().map(of_job).sum()
}

/// A job's parts, if the store has all of them.
fn find(store: &Store, run: &Run, model: Option<&OpenedModel>, job: &Job) -> Result<Option<Parts>> {
    let Some(prediction) = store.get::<StoredPrediction>(&job.prediction, run.vocabulary)? else {
        return Ok(None);
    };
    let generation = said(store, run, model, job, prediction.token_id)?;
    if generation.is_none() && run.experiment.generate.is_some() {
        return Ok(None);
    }
    let targets = job.known_targets(prediction.token_id, generation.as_ref().map(|(_, said)| said))?;
    let mut attributions = Vec::new();
    for key in job.attribution_keys(run.experiment, &targets) {
        match store.get::<StoredAttribution>(&key, run.vocabulary)? {
            Some(found) => attributions.push(found),
            None => return Ok(None),
        }
    }
    let mut tests = Vec::new();
    for keys in job.test_keys(run, &targets) {
        let mut of_map = Vec::with_capacity(keys.len());
        for key in keys {
            match store.get::<StoredTest>(&key, run.vocabulary)? {
                Some(found) => of_map.push(found),
                None => return Ok(None),
            }
        }
        tests.push(of_map);
    }
    Ok(Some(Parts {
        prediction,
        attributions,
        tests,
        generation,
    }))
}

/// What the model was asked to say, and says, if it was asked and the store has it.
fn said(
    store: &Store,
    run: &Run,
    model: Option<&OpenedModel>,
    job: &Job,
    predicted: u32,
) -> Result<Option<(String, StoredGeneration)>> {
    let Some(spec) = &run.experiment.generate else {
        return Ok(None);
    };
    let kept = job.generation.as_ref();
    let kept = kept.and_then(|kept| kept.key(&job.prediction.model, spec.max_new_tokens, &run.stop, predicted));
    let asked = match (kept, model) {
        (Some(kept), _) => Some(kept),
        (None, Some(model)) => generation(run, model, job, predicted)?,
        (None, None) => None,
    };
    let Some((prompt, key)) = asked else { return Ok(None) };
    let found = store.get::<StoredGeneration>(&key, run.vocabulary)?;
    Ok(found.map(|found| (prompt, found)))
}
