//! Runs without a model: from kept plans and kept parts alone, or not at all.
//!
//! A plan or a part that is missing, or was made for other content, is an error that names experiment, model and how
//! many maps lack; nothing is computed, fetched or asked.

use super::kept::{Stale, StoredPlan, StoredPlans};
use super::{ModelFacts, Run, mark_tested, stored, tested_segments};
use crate::content::experiment::Experiment;
use crate::content::model::{ModelSource, ModelSpec};
use crate::content::names::shortened;
use crate::content::project::Project;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::store::key::NUMERICS_VERSION;
use crate::store::{Parts, Store};
use crate::terms::PromptStyle;
use crate::tokenizer::chat;

/// What to do about all of them.
const HELP: &str = "run `igsite build` where the model is, and commit `.igsite/store` and `.igsite/plans`";

/// A run with all that its records are made of.
pub type Frozen<'a> = (Run<'a>, ModelFacts<'a>, Vec<Parts>);

/// Every run of a project, with its parts.
///
/// # Errors
/// One for each experiment and model of which something is missing or stale; the store cannot be read.
pub fn runs<'a>(project: &'a Project, kept: &'a StoredPlans, store: &Store) -> Result<Vec<Frozen<'a>>, Diagnostics> {
    let mut errors = Diagnostics::new();
    let mut runs = Vec::new();
    for experiment in &project.experiments {
        for model in &experiment.models {
            match run(project, experiment, model, kept, store) {
                Ok(run) => runs.push(run),
                Err(mut error) => {
                    error.file.get_or_insert_with(|| experiment.path.clone());
                    errors.push(error.place(format!("experiment `{}`, model `{model}`", experiment.id)));
                }
            }
        }
    }
    if errors.has_errors() { Err(errors) } else { Ok(runs) }
}

fn run<'a>(
    project: &'a Project,
    experiment: &'a Experiment,
    id: &'a str,
    kept: &'a StoredPlans,
    store: &Store,
) -> Result<Frozen<'a>, Diagnostic> {
    let samples = experiment.samples.len();
    let lacking = |what: String| {
        let all = Diagnostic::output(format!("{what}, and --frozen computes nothing"));
        all.help(HELP)
    };
    let all = format!("all maps of its {samples} samples are lacking");
    let spec = project.models.get(id);
    let found = kept.get(&(experiment.id.clone(), id.to_owned())).zip(spec);
    let Some((kept, spec)) = found else {
        return Err(lacking(format!("no plan is kept, so {all}"))
            .expected(format!(".igsite/plans/{}/{id}.jsonl", experiment.id)));
    };
    let template = template_at_hand(experiment, spec)?;
    match kept.stale(experiment, spec, template.as_deref()) {
        Some(Stale::Model) => {
            let why = "the model’s source, revision, dtype or quantization is not that of the kept plan";
            return Err(lacking(format!("{why}, so {all}")));
        }
        Some(Stale::Experiment) => {
            let why =
                "its options, targets, output, baselines, prompt style or `generate` are not those of the kept plan";
            return Err(lacking(format!("{why}, so {all}")));
        }
        Some(Stale::ChatTemplate) => {
            let why = "the model’s chat template is not that of the kept plan";
            return Err(lacking(format!("{why}, so {all}")));
        }
        None if kept.head.key.numerics != NUMERICS_VERSION => {
            return Err(lacking(format!(
                "the kept plan is for the numbers of another igsite, so {all}"
            )));
        }
        None => {}
    }
    let baselines = kept.baselines();
    let jobs: Vec<_> = experiment
        .samples
        .iter()
        .map(|sample| kept.job(experiment, sample, baselines).ok_or(sample))
        .collect();
    let each = experiment.attribution.maps(kept.targets());
    let unplanned: Vec<&str> = jobs
        .iter()
        .filter_map(|job| Some(job.as_ref().err()?.id.as_str()))
        .collect();
    if !unplanned.is_empty() {
        let (count, names) = (unplanned.len(), named(&unplanned));
        return Err(lacking(format!(
            "the prompts of {count} of {samples} samples are not those of the kept plan ({names}), so {} maps are lacking",
            count * each
        )));
    }
    let run = Run {
        experiment,
        model: id,
        chat: None,
        baselines: baselines.to_vec(),
        replacements: kept.head.replacements.clone(),
        stop: kept.stop().to_vec(),
        vocabulary: kept.head.vocabulary,
        subject: tested_segments(experiment),
        jobs: mark_tested(experiment, jobs.into_iter().flatten().collect()),
    };
    let parts = stored::parts(store, &run, None)?;
    let missing = run.jobs.iter().zip(&parts).filter(|(_, parts)| parts.is_none());
    let missing: Vec<&str> = missing.map(|(job, _)| job.sample.id.as_str()).collect();
    if !missing.is_empty() {
        let maps: usize = samples * each;
        let found: usize = stored::count(store, &run)?;
        return Err(lacking(format!(
            "{} of {maps} maps are not in the record store, or their predictions are not ({})",
            maps - found,
            named(&missing)
        )));
    }
    let facts = ModelFacts {
        spec,
        architecture: &kept.head.architecture,
        activations: kept.head.activations.as_deref(),
        key: &kept.head.key,
    };
    Ok((run, facts, parts.into_iter().flatten().collect()))
}

/// The jobs of an experiment that a kept plan knows, for a look at the store; none where the plan is not valid.
pub fn planned<'a>(experiment: &'a Experiment, spec: &'a ModelSpec, kept: &'a StoredPlan) -> Option<Run<'a>> {
    let template = template_at_hand(experiment, spec).ok()?;
    let stale = kept.stale(experiment, spec, template.as_deref());
    if stale.is_some() || kept.head.key.numerics != NUMERICS_VERSION {
        return None;
    }
    let baselines = kept.baselines();
    let (mut places, mut jobs) = (Vec::new(), Vec::new());
    for (place, sample) in experiment.samples.iter().enumerate() {
        if let Some(job) = kept.job(experiment, sample, baselines) {
            places.push(place);
            jobs.push(job);
        }
    }
    for (job, place) in jobs.iter_mut().zip(places) {
        job.tested = experiment.faithfulness.as_ref().is_some_and(|spec| spec.tests(place));
    }
    Some(Run {
        baselines: baselines.to_vec(),
        replacements: kept.head.replacements.clone(),
        stop: kept.stop().to_vec(),
        vocabulary: kept.head.vocabulary,
        subject: tested_segments(experiment),
        jobs,
        ..unknown(experiment, &spec.id)
    })
}

/// A run of which nothing is known: it has no jobs.
pub fn unknown<'a>(experiment: &'a Experiment, model: &'a str) -> Run<'a> {
    Run {
        experiment,
        model,
        chat: None,
        baselines: vec![],
        replacements: vec![],
        stop: vec![],
        vocabulary: 0,
        subject: vec![],
        jobs: vec![],
    }
}

/// SHA-256 of the chat template of a model whose folder is on this machine, where prompts go through it: its author may
/// have edited it. A folder on another machine cannot be compared.
fn template_at_hand(experiment: &Experiment, spec: &ModelSpec) -> Result<Option<String>, Diagnostic> {
    match (experiment.prompt_style, &spec.source) {
        (PromptStyle::Chat, ModelSource::Folder(place) | ModelSource::File(place)) => chat::template_sha256(place),
        _ => Ok(None),
    }
}

fn named(ids: &[&str]) -> String {
    let first: Vec<String> = ids.iter().take(3).map(|id| format!("`{}`", shortened(id))).collect();
    match ids.len().checked_sub(3) {
        Some(more @ 1..) => format!("{} and {more} more", first.join(", ")),
        _ => first.join(", "),
    }
}
