//! What the store has of a run.

use std::collections::HashSet;

use rayon::prelude::*;

use super::kept::Answered;
use super::{Job, OpenedModel, Run, generation};
use crate::diagnostic::Result;
use crate::store::key::{AttributionKey, GenerationKey};
use crate::store::parts::PartName;
use crate::store::{Parts, Store, StoredAttribution, StoredGeneration, StoredPrediction, StoredTest};
use crate::terms::Control;

/// The parts of each job of a run, where the store has all of them; without a model only a kept plan can say what that
/// would be asked.
///
/// # Errors
/// The store cannot be read; a tokenizer or template fails.
pub fn parts(store: &Store, run: &Run, model: Option<&OpenedModel>) -> Result<Vec<Option<Parts>>> {
    run.jobs.par_iter().map(|job| find(store, run, model, job)).collect()
}

/// What the model made of each job of a run, where the store has all of the job's parts. Unlike [`parts`] it does not
/// keep them.
///
/// # Errors
/// As [`parts`].
pub fn answers(store: &Store, run: &Run, model: &OpenedModel) -> Result<Vec<Option<Answered>>> {
    let of_job = |job: &Job| Ok(find(store, run, Some(model), job)?.as_ref().map(Answered::of));
    run.jobs.par_iter().map(of_job).collect()
}

/// What a job needs of the store, and what of it is there, by the names of files alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Its maps, as far as it is known how many there are.
    pub maps: usize,
    /// Those of them that are there.
    pub done: usize,
    /// Whether all its parts are there.
    pub whole: bool,
    /// The parts, those of its controls too, each with what it is called in a list.
    pub names: Vec<(PartName, &'static str)>,
}

/// What the jobs of a run need. `there` are the names of all parts; only predictions and what models say are read.
///
/// # Errors
/// The store cannot be read; a tokenizer or template fails.
pub fn needed(store: &Store, there: &HashSet<PartName>, run: &Run, model: Option<&OpenedModel>) -> Result<Vec<Needed>> {
    run.jobs
        .par_iter()
        .map(|job| needed_by(store, there, run, model, job))
        .collect()
}

fn needed_by(
    store: &Store,
    there: &HashSet<PartName>,
    run: &Run,
    model: Option<&OpenedModel>,
    job: &Job,
) -> Result<Needed> {
    let mut needed = Needed {
        maps: run.experiment.attribution.maps(job.targets.len()),
        ..Needed::default()
    };
    let mut whole = true;
    let mut need = |name: PartName, label: &'static str| {
        let found = there.contains(&name);
        whole &= found;
        needed.names.push((name, label));
        found
    };
    if !need(PartName::of(&job.prediction), "predictions") {
        return Ok(needed);
    }
    let Some(prediction) = store.get::<StoredPrediction>(&job.prediction, run.vocabulary)? else {
        return Ok(needed);
    };
    if let Some((_, key)) = asked(run, model, job, prediction.token_id)? {
        need(PartName::of(&key), "generated text");
    }
    let generation = said(store, run, model, job, prediction.token_id)?;
    if generation.is_none() && run.experiment.generate.is_some() {
        return Ok(needed);
    }
    let targets = job.known_targets(prediction.token_id, generation.as_ref().map(|(_, said)| said))?;
    let maps = job.attribution_keys(run.experiment, &targets);
    let label = |key: &AttributionKey| key.method.method().word();
    let done = maps.iter().filter(|key| need(PartName::of(*key), label(key))).count();
    for test in job.test_keys(run, &targets).iter().flatten() {
        need(PartName::of(test), "tests of maps");
    }
    (needed.maps, needed.done, needed.whole) = (maps.len(), done, whole);
    // Maps of the permuted model are not needed any more once their tests are there, and are kept as long as these.
    let permuted = run.experiment.faithfulness.as_ref().filter(|_| job.tested);
    if let Some(spec) = permuted.filter(|spec| spec.controls.contains(&Control::Parameters)) {
        let of_map = |key| {
            (
                PartName::of(&job.permuted(key, spec.seed, None)),
                "maps of the permuted model",
            )
        };
        needed.names.extend(maps.iter().map(of_map));
    }
    Ok(needed)
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
    let Some(parts) = maps(store, run, model, job)? else {
        return Ok(None);
    };
    let generation = parts.generation.as_ref().map(|(_, said)| said);
    let targets = job.known_targets(parts.prediction.token_id, generation)?;
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
    Ok(Some(Parts { tests, ..parts }))
}

/// A job's parts without the tests of its maps, if the store has all of them.
///
/// # Errors
/// As [`parts`].
pub fn maps(store: &Store, run: &Run, model: Option<&OpenedModel>, job: &Job) -> Result<Option<Parts>> {
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
    Ok(Some(Parts {
        prediction,
        attributions,
        tests: vec![],
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
    let Some((prompt, key)) = asked(run, model, job, predicted)? else {
        return Ok(None);
    };
    let found = store.get::<StoredGeneration>(&key, run.vocabulary)?;
    Ok(found.map(|found| (prompt, found)))
}

/// What the model is asked to go on from, if it is asked: as a kept plan says, or as the model's tokenizer does.
fn asked(run: &Run, model: Option<&OpenedModel>, job: &Job, predicted: u32) -> Result<Option<(String, GenerationKey)>> {
    let Some(spec) = &run.experiment.generate else {
        return Ok(None);
    };
    let kept = job.generation.as_ref();
    let kept = kept.and_then(|kept| kept.key(&job.prediction.model, spec.max_new_tokens, &run.stop, predicted));
    match (kept, model) {
        (Some(kept), _) => Ok(Some(kept)),
        (None, Some(model)) => generation(run, model, job, predicted),
        (None, None) => Ok(None),
    }
}
