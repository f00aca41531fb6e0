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
        let found = job.attribution_keys(run.experiment, prediction.token_id);
        let found = found.map(|key| {
            Ok(usize::from(
                store.get::<StoredAttribution>(&key, run.vocabulary)?.is_some(),
            ))
        });
        found.sum()
    };
    run.jobs.iter().map(of_job).sum()
}

/// A job's parts, if the store has all of them.
fn find(store: &Store, run: &Run, model: Option<&OpenedModel>, job: &Job) -> Result<Option<Parts>> {
    let Some(prediction) = store.get::<StoredPrediction>(&job.prediction, run.vocabulary)? else {
        return Ok(None);
    };
    let asked = match &run.experiment.generate {
        None => None,
        Some(spec) => {
            let kept = job.generation.as_ref();
            let kept = kept.and_then(|kept| {
                kept.key(
                    &job.prediction.model,
                    spec.max_new_tokens,
                    &run.stop,
                    prediction.token_id,
                )
            });
            match (kept, model) {
                (Some(kept), _) => Some(kept),
                (None, Some(model)) => generation(run, model, job, prediction.token_id)?,
                (None, None) => return Ok(None),
            }
        }
    };
    let generation = match asked {
        None => None,
        Some((prompt, key)) => match store.get::<StoredGeneration>(&key, run.vocabulary)? {
            Some(found) => Some((prompt, found)),
            None => return Ok(None),
        },
    };
    let mut attributions = Vec::new();
    for key in job.attribution_keys(run.experiment, prediction.token_id) {
        match store.get::<StoredAttribution>(&key, run.vocabulary)? {
            Some(found) => attributions.push(found),
            None => return Ok(None),
        }
    }
    let mut tests = Vec::new();
    for keys in job.test_keys(run, prediction.token_id) {
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
