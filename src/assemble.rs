//! Stored parts to the records that the site publishes.

use crate::compute::Parts;
use crate::content::experiment::{Experiment, Output};
use crate::content::model::ModelSource;
use crate::plan::{Job, OpenedModel, Run, Target};
use crate::store::StoredAttribution;
use crate::store::record::{
    AttributionRecord, ModelRecord, OptionRecord, Prediction, Provenance, SCHEMA, SampleInfo, SampleRecord,
    TargetRecord, TokenRecord,
};

/// One record for each job of a run, in order.
pub fn records(run: &Run, model: &OpenedModel, parts: &[Parts]) -> Vec<SampleRecord> {
    run.jobs
        .iter()
        .zip(parts)
        .map(|(job, parts)| record(run.experiment, model, job, parts))
        .collect()
}

fn record(experiment: &Experiment, model: &OpenedModel, job: &Job, parts: &Parts) -> SampleRecord {
    let Job { sample, .. } = job;
    let prediction = &parts.prediction;
    let predicted = prediction.token_id;
    let probability = |id: u32| {
        let index = job
            .prediction
            .asked
            .binary_search(&id)
            .expect("planning asks for every option's token");
        prediction.asked[index]
    };
    let gold = sample.gold.as_deref();
    let gold_token = job
        .options
        .iter()
        .find(|(letter, _)| Some(*letter) == gold)
        .map(|(_, id)| *id);
    let pairs = job
        .targets
        .iter()
        .flat_map(|target| job.baselines.iter().map(move |baseline| (target, baseline)));
    SampleRecord {
        schema: SCHEMA.to_owned(),
        experiment: experiment.id.clone(),
        model: ModelRecord {
            id: model.spec.id.clone(),
            source: model.spec.source_text.clone(),
            revision: match model.spec.source {
                ModelSource::Hub(_) => Some(model.spec.revision.clone()),
                ModelSource::Folder(_) => None,
            },
            architecture: model.checkpoint.config.model.architecture().to_owned(),
            dtype: model.key.dtype.clone(),
            quantization: model.key.quantization.clone(),
            weights_sha256: model.key.weights_sha256.clone(),
            tokenizer_sha256: model.key.tokenizer_sha256.clone(),
        },
        sample: SampleInfo {
            id: sample.id.clone(),
            gold: sample.gold.clone(),
            fields: sample.fields.clone(),
        },
        prompt: sample.prompt.text.clone(),
        segments: sample.prompt.segments.clone(),
        tokens: job
            .tokens
            .iter()
            .map(|token| TokenRecord {
                id: token.id,
                text: token.text.clone(),
                start: token.start,
                end: token.end,
                special: token.special,
            })
            .collect(),
        prediction: Prediction {
            token_id: predicted,
            text: model.tokenizer.text_of(predicted),
            probability: prediction.probability,
        },
        correct: gold_token.map(|id| id == predicted),
        options: job
            .options
            .iter()
            .map(|&(letter, id)| {
                (
                    letter.to_owned(),
                    OptionRecord {
                        token_id: id,
                        probability: probability(id),
                    },
                )
            })
            .collect(),
        attributions: pairs
            .zip(&parts.attributions)
            .map(|((target, (baseline, _)), part)| attribution(experiment, model, target, predicted, baseline, part))
            .collect(),
        provenance: provenance(parts),
    }
}

fn attribution(
    experiment: &Experiment,
    model: &OpenedModel,
    target: &Target,
    predicted: u32,
    baseline: &str,
    part: &StoredAttribution,
) -> AttributionRecord {
    let spec = &experiment.attribution;
    let token_ids = target.ids(predicted);
    let texts: Vec<String> = token_ids.iter().map(|&id| model.tokenizer.text_of(id)).collect();
    let sum: Option<f64> = part.non_finite.is_none().then(|| part.scores.iter().sum());
    let change = part
        .f_input
        .zip(part.f_baseline)
        .map(|(input, baseline)| input - baseline);
    let delta = sum.zip(change).map(|(sum, change)| sum - change);
    let within_tolerance = delta
        .zip(change)
        .is_some_and(|(delta, change)| delta.abs() <= spec.tolerance * change.abs());
    AttributionRecord {
        target: TargetRecord {
            kind: target.kind.to_owned(),
            token_ids,
            text: texts.join(" − "),
        },
        output: spec.output,
        baseline: baseline.to_owned(),
        quadrature: spec.quadrature,
        steps: spec.steps,
        evaluations: part.evaluations,
        f_input: part.f_input,
        f_baseline: part.f_baseline,
        sum,
        convergence_delta: delta,
        error_estimate: None,
        // A fixed rule has no test of its own; its delta is all that can speak for it.
        converged: within_tolerance,
        within_tolerance,
        // The notebook compares with the probability itself, which a contrast or another unit does not have.
        within_margin: match (spec.output, &target.minus) {
            (Output::Probability, None) => Some(
                sum.zip(part.f_input)
                    .is_some_and(|(sum, probability)| (sum - probability).abs() < spec.margin),
            ),
            _ => None,
        },
        scores: part.scores.clone(),
        errors: None,
        non_finite: part.non_finite.clone(),
    }
}

/// The parts' work together: seconds are summed, the newest part dates the whole.
fn provenance(parts: &Parts) -> Provenance {
    let mut whole = parts.prediction.provenance.clone();
    for part in parts.attributions.iter().map(|part| &part.provenance) {
        whole.seconds += part.seconds;
        if part.created > whole.created {
            whole.created.clone_from(&part.created);
            whole.igsite.clone_from(&part.igsite);
            whole.backend.clone_from(&part.backend);
        }
    }
    whole
}
