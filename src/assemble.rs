//! Stored parts to the records that the site publishes.

mod imported;

use indexmap::IndexMap;
use rayon::prelude::*;

use crate::content::experiment::{AttributionSpec, Experiment};
use crate::plan::{Job, KnownTarget, ModelFacts, Run};
use crate::store::key::PredictionKey;
use crate::store::record::{
    AttributionRecord, Generation, GivenRecord, ModelRecord, OptionRecord, Prediction, Provenance, Residual, SCHEMA,
    SampleInfo, SampleRecord, TargetRecord, chosen,
};
use crate::store::{Parts, StoredAttribution, StoredPrediction, StoredTest};
use crate::terms::{Absent, Baseline, BaselineVector, Faithfulness, Method, Output, TargetKind};
use crate::tokenizer::Vocabulary;
pub use imported::imported;

/// One record for each job of a run, in order.
pub fn records(run: &Run, model: &ModelFacts, parts: &[Parts], vocabulary: &dyn Vocabulary) -> Vec<SampleRecord> {
    run.jobs
        .par_iter()
        .zip(parts)
        .map(|(job, parts)| record(run, model, job, parts, vocabulary))
        .collect()
}

fn record(run: &Run, model: &ModelFacts, job: &Job, parts: &Parts, vocabulary: &dyn Vocabulary) -> SampleRecord {
    let (Job { sample, .. }, experiment) = (job, run.experiment);
    let prediction = &parts.prediction;
    let predicted = prediction.token_id;
    let options: IndexMap<String, OptionRecord> = job
        .options
        .iter()
        .map(|(letter, tokens)| ((*letter).to_owned(), option(job, prediction, tokens)))
        .collect();
    let methods = experiment.attribution.methods.iter();
    let said = parts.generation.as_ref().map(|(_, said)| said);
    let known = job.known_targets(predicted, said);
    let known = known.unwrap_or_else(|e| unreachable!("its maps were found by the same: {}", e.message));
    let asked = methods.flat_map(|&method| {
        let of_target = move |target| {
            job.baselines
                .iter()
                .map(move |(baseline, _)| (method, target, baseline))
        };
        known.iter().flat_map(of_target)
    });
    let mut found = parts.attributions.iter().enumerate();
    let attributions = asked
        .filter_map(|(method, target, baseline)| match target {
            Some(target) => {
                let asked = (method, target, baseline);
                let (index, found) = found.next()?;
                Some(AttributionRecord {
                    faithfulness: tests(run, parts, index),
                    ..attribution(experiment, vocabulary, asked, found)
                })
            }
            None => Some(nothing_generated(experiment, method, baseline)),
        })
        .collect();
    SampleRecord {
        schema: SCHEMA.to_owned(),
        experiment: experiment.id.clone(),
        model: ModelRecord {
            id: model.spec.id.clone(),
            source: model.spec.source_text.clone(),
            file: model.spec.file.clone(),
            revision: model.key.revision.clone(),
            requested_revision: model.key.revision.is_some().then(|| model.spec.revision.clone()),
            architecture: Some(model.architecture.to_owned()),
            dtype: Some(model.key.dtype),
            quantization: Some(model.key.quantization),
            activations: model.activations.map(str::to_owned),
            weights_sha256: Some(model.key.weights_sha256.clone()),
            tokenizer_sha256: Some(model.key.tokenizer_sha256.clone()),
        },
        sample: SampleInfo {
            id: sample.id.clone(),
            gold: sample.gold.clone(),
            fields: sample.fields.clone(),
        },
        prompt: job.prompt.text.clone(),
        segments: job.prompt.segments.clone(),
        tokens: job.tokens.clone(),
        prediction: Some(Prediction {
            token_id: predicted,
            text: vocabulary.text_of(predicted),
            probability: prediction.probability,
        }),
        correct: sample
            .gold
            .as_deref()
            .map(|gold| chosen(&options, Some(predicted)) == Some(gold)),
        options,
        attributions,
        generation: parts.generation.as_ref().map(|(prompt, said)| Generation {
            prompt: prompt.clone(),
            text: vocabulary.decode(&said.token_ids),
            token_ids: said.token_ids.clone(),
            max_new_tokens: said.key.max_new_tokens,
            ended: said.token_ids.len() < said.key.max_new_tokens,
        }),
        provenance: Some(provenance(parts)),
        imported: None,
    }
}

/// The tests of a map; what removed units become is called what this author calls it.
fn tests(run: &Run, parts: &Parts, map: usize) -> Vec<Faithfulness> {
    let found = parts.tests.get(map).into_iter().flatten().zip(&run.replacements);
    let own = parts.attributions[map].key.baseline;
    let test = |(test, (replacement, vector)): (&StoredTest, &(Baseline, BaselineVector))| Faithfulness {
        replacement: replacement.clone(),
        own_baseline: vector.is_as_good_as(own),
        ..test.result.clone()
    };
    found.map(test).collect()
}

/// An option's tokens with their probability.
fn option(job: &Job, prediction: &StoredPrediction, tokens: &[u32]) -> OptionRecord {
    const ASKED: &str = "planning asks for every option's tokens";
    let PredictionKey { asked, answers, .. } = &job.prediction;
    if let [id] = tokens {
        return OptionRecord {
            token_id: *id,
            token_ids: vec![],
            probability: prediction.asked[asked.binary_search(id).expect(ASKED)],
            log_probability: None,
        };
    }
    let at = answers
        .binary_search_by(|answer| answer.as_slice().cmp(tokens))
        .expect(ASKED);
    OptionRecord {
        token_id: tokens[0],
        token_ids: tokens.to_vec(),
        probability: prediction.answers[at].exp(),
        log_probability: Some(prediction.answers[at]),
    }
}

fn attribution(
    experiment: &Experiment,
    vocabulary: &dyn Vocabulary,
    (method, target, baseline): (Method, &KnownTarget, &Baseline),
    part: &StoredAttribution,
) -> AttributionRecord {
    let spec = &experiment.attribution;
    let token_ids = target.counted();
    let text = if let Some(text) = &target.text {
        text.clone()
    } else if target.is_joined() {
        vocabulary.decode(&token_ids)
    } else {
        let texts: Vec<String> = token_ids.iter().map(|&id| vocabulary.text_of(id)).collect();
        texts.join(" − ")
    };
    let given = target.given_ids();
    let given = (!given.is_empty()).then(|| GivenRecord {
        token_ids: given.to_vec(),
        text: vocabulary.decode(given),
    });
    let sum: Option<f64> = part.non_finite.is_none().then(|| part.scores.iter().sum());
    let change = part
        .f_input
        .zip(part.f_baseline)
        .map(|(input, baseline)| input - baseline);
    let delta = sum.zip(change).map(|(sum, change)| sum - change);
    let within_tolerance = delta
        .zip(change)
        .is_some_and(|(delta, change)| delta.abs() <= spec.tolerance * change.abs());
    let settings = spec.with_settings(method);
    let rule = settings.rule();
    let kind = target.kind;
    let target = TargetRecord {
        kind,
        token_ids,
        text,
        given,
    };
    AttributionRecord {
        evaluations: part.evaluations,
        f_input: part.f_input,
        f_baseline: part.f_baseline.filter(|_| rule.is_some()),
        from: match baseline {
            Baseline::ZeroFrom(start) => Some(start.alpha()),
            _ => None,
        },
        f_zero: part.f_zero,
        remainder: part.f_baseline.zip(part.f_zero).map(|(start, zero)| start - zero),
        below: part.below.clone(),
        units: settings.units(),
        unit_tokens: settings.units().map(|_| part.key.units.clone()),
        unit_scores: part.unit_scores.clone(),
        unit_errors: part.unit_errors.clone(),
        residual: sum
            .zip(change)
            .zip(part.f_baseline)
            .map(|((sum, change), f_baseline)| Residual {
                f_baseline,
                value: change - sum,
            }),
        sum,
        convergence_delta: delta.filter(|_| rule.is_some()),
        // The standard errors of Shapley values are of their units, and no bound on the map.
        error_estimate: part.error_estimate().filter(|_| rule.is_some()),
        converged: rule.map(|_| converged(spec, part, within_tolerance)),
        within_tolerance: rule.map(|_| within_tolerance),
        // The notebook compares with the probability itself, which a contrast or another unit does not have.
        within_margin: match (spec.output, kind, rule) {
            (Output::Probability, kind, Some(_)) if kind != TargetKind::Contrast => Some(
                sum.zip(part.f_input)
                    .is_some_and(|(sum, probability)| (sum - probability).abs() < spec.margin),
            ),
            _ => None,
        },
        scores: part.scores.clone(),
        errors: part.errors.clone(),
        history: part.history.clone(),
        non_finite: part.non_finite,
        routing: part.routing,
        ..as_asked(spec, method, baseline, target)
    }
}

/// In the place of the map of what a model did not say.
fn nothing_generated(experiment: &Experiment, method: Method, baseline: &Baseline) -> AttributionRecord {
    let target = TargetRecord {
        kind: TargetKind::Generated,
        token_ids: vec![],
        text: String::new(),
        given: None,
    };
    AttributionRecord {
        absent: Some(Absent::NothingGenerated),
        ..as_asked(&experiment.attribution, method, baseline, target)
    }
}

/// What the author asked for: a map without its numbers. What only a path integral has is null for other methods.
fn as_asked(spec: &AttributionSpec, method: Method, baseline: &Baseline, target: TargetRecord) -> AttributionRecord {
    let rule = spec.with_settings(method).rule();
    let fixed = rule.filter(|_| spec.quadrature.is_fixed());
    let adaptive = rule.filter(|_| !spec.quadrature.is_fixed());
    AttributionRecord {
        baseline: Some(baseline.clone()),
        method: Some(method),
        quadrature: rule.map(|_| spec.quadrature),
        steps: fixed.map(|_| spec.steps),
        estimate_error: fixed.map(|_| spec.estimate_error),
        tolerance: rule.map(|_| spec.tolerance),
        max_evaluations: adaptive.map(|_| spec.max_evaluations),
        ..AttributionRecord::blank(target, spec.output)
    }
}

/// An adaptive rule says itself whether it reached its tolerance. For a fixed rule delta and error estimate decide, and
/// without an estimate the delta alone; but not where F changes by more than the tolerance below its first point, which
/// it cannot have seen.
fn converged(spec: &AttributionSpec, part: &StoredAttribution, within_tolerance: bool) -> bool {
    let whole = part.f_input.zip(part.f_baseline);
    let unseen = part.below.last().and_then(|below| below.change).zip(whole);
    let unseen = unseen.is_some_and(|(change, (input, start))| change.abs() > spec.tolerance * (input - start).abs());
    if spec.quadrature.is_fixed() && unseen {
        return false;
    }
    let within_error = || match part.error_estimate() {
        Some(error) => error <= spec.tolerance,
        None => spec.quadrature.is_fixed() && !spec.estimate_error,
    };
    part.non_finite.is_none() && part.converged.unwrap_or_else(|| within_tolerance && within_error())
}

/// The parts' work together: seconds are summed, the newest part dates the whole.
fn provenance(parts: &Parts) -> Provenance {
    let mut whole = parts.prediction.provenance.clone();
    let said = parts.generation.iter().map(|(_, said)| &said.provenance);
    for part in parts.attributions.iter().map(|part| &part.provenance).chain(said) {
        whole.seconds += part.seconds;
        if part.created > whole.created {
            whole.created.clone_from(&part.created);
            whole.igsite.clone_from(&part.igsite);
            whole.backend = part.backend;
            whole.device.clone_from(&part.device);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::key::{AttributionKey, ModelKey};
    use crate::terms::{Below, DeviceKind, NonFinite, PathValue, Quadrature, Routing};

    fn part(spec: &AttributionSpec, errors: Option<Vec<f64>>, converged: Option<bool>) -> StoredAttribution {
        StoredAttribution {
            key: AttributionKey {
                model: ModelKey::of_a_test(),
                token_ids: vec![1, 2],
                target: vec![3],
                forced: vec![],
                given: 0,
                units: vec![],
                output: Output::Probability,
                baseline: BaselineVector::Zero,
                routing: Routing::Free,
                method: spec.with_settings(Method::IntegratedGradients),
            },
            f_input: Some(0.5),
            f_baseline: Some(0.25),
            f_zero: None,
            below: vec![],
            scores: vec![0.75, -0.5],
            unit_scores: None,
            unit_errors: None,
            errors,
            evaluations: 45,
            history: vec![],
            converged,
            non_finite: None,
            routing: None,
            provenance: Provenance {
                igsite: "0".into(),
                backend: DeviceKind::Cpu,
                seconds: 1.0,
                created: "2026-01-01T00:00:00Z".into(),
                device: None,
            },
        }
    }

    #[test]
    fn a_part_that_tells_of_a_path_that_it_is_not_on_makes_no_sense() {
        use crate::store::Part;
        use crate::terms::PathStart;

        let below = |alpha, share| Below {
            alpha,
            share,
            change: Some(0.1),
        };
        let entered = BaselineVector::ZeroFrom(PathStart::new(1e-4).unwrap());
        let (zero, mean) = (BaselineVector::Zero, BaselineVector::Mean);
        for (baseline, f_zero, below, expected) in [
            (zero, None, vec![below(1e-3, Some(2.0)), below(1e-9, None)], true),
            (entered, Some(0.2), vec![below(1e-3, Some(0.0))], true),
            (mean, None, vec![], true),
            (zero, Some(0.2), vec![], false),
            (mean, Some(0.2), vec![], false),
            (mean, None, vec![below(1e-3, None)], false),
            (entered, Some(0.2), vec![below(1e-6, None)], false),
            (zero, None, vec![below(1e-4, None)], false),
            (zero, None, vec![below(1e-3, Some(-0.1))], false),
            (entered, Some(1.5), vec![], false),
        ] {
            let mut part = part(&AttributionSpec::default(), None, Some(true));
            part.key.baseline = baseline;
            (part.f_zero, part.below) = (f_zero, below);
            assert_eq!(part.sense(10).is_ok(), expected, "{part:?}");
        }
    }

    #[test]
    fn the_error_estimate_is_relative_to_the_l1_norm() {
        let estimate = |scores: &[f64], errors: &[f64]| {
            let mut part = part(&AttributionSpec::default(), Some(errors.to_vec()), None);
            part.scores = scores.to_vec();
            part.error_estimate()
        };
        assert_eq!(estimate(&[0.75, -0.25], &[0.125, 0.125]), Some(0.25));
        assert_eq!(estimate(&[0.0], &[0.0]), Some(0.0));
        assert_eq!(estimate(&[0.0], &[0.1]), None);
        assert_eq!(part(&AttributionSpec::default(), None, None).error_estimate(), None);
    }

    #[test]
    fn the_integrator_has_the_last_word_and_else_delta_and_estimate() {
        let adaptive = AttributionSpec::default();
        let fixed = AttributionSpec {
            quadrature: Quadrature::GaussLegendre,
            ..AttributionSpec::default()
        };
        let estimated = AttributionSpec {
            estimate_error: true,
            ..fixed.clone()
        };
        let (small, large) = (Some(vec![0.001, 0.001]), Some(vec![0.1, 0.1]));
        for (spec, errors, said, within_tolerance, expected) in [
            (&adaptive, small.clone(), Some(true), false, true),
            (&adaptive, small.clone(), Some(false), true, false),
            (&adaptive, None, None, true, false),
            (&fixed, None, None, true, true),
            (&fixed, None, None, false, false),
            (&estimated, small.clone(), None, true, true),
            (&estimated, small.clone(), None, false, false),
            (&estimated, large, None, true, false),
            (&estimated, None, None, true, false),
        ] {
            let part = part(spec, errors, said);
            assert_eq!(converged(spec, &part, within_tolerance), expected, "{spec:?} {part:?}");
        }
        // What F changes by below its first point is more than the tolerance: a fixed rule cannot have seen it.
        let mut unseen = part(&fixed, None, None);
        for (change, expected) in [(0.002, true), (0.01, false), (-0.01, false)] {
            unseen.below = vec![Below {
                alpha: 1e-9,
                share: None,
                change: Some(change),
            }];
            assert_eq!(converged(&fixed, &unseen, true), expected, "{change}");
        }
        let mut broken = part(&adaptive, small, Some(true));
        broken.non_finite = Some(NonFinite {
            alpha: 0.0,
            what: PathValue::Gradient,
        });
        assert!(!converged(&adaptive, &broken, true));
    }
}
