//! Imported maps to the records that the site publishes. Nothing of what needs the model is made up: it is null.

use indexmap::IndexMap;

use crate::content::imports::{Import, ImportedMap, ModelLine};
use crate::store::record::{
    AttributionRecord, Imported, ImportedRecord, ModelRecord, OptionRecord, Prediction, SCHEMA, SampleInfo,
    SampleRecord, TargetRecord, chosen,
};

/// The records of an imported experiment, `[model][sample]`.
pub fn imported(import: &Import) -> Vec<Vec<SampleRecord>> {
    let models = import.models.iter().zip(&import.maps);
    models
        .map(|(model, samples)| samples.iter().filter_map(|maps| record(import, model, maps)).collect())
        .collect()
}

/// None where there is no map, which a resolved import does not have.
fn record(import: &Import, model: &ModelLine, maps: &[ImportedMap]) -> Option<SampleRecord> {
    let first = maps.first()?;
    let experiment = &import.experiment;
    let head = experiment.imported.as_ref();
    let option = |letter: &String| {
        let option = first.options.get(letter)?;
        let record = OptionRecord {
            token_id: option.token_id,
            token_ids: vec![],
            probability: option.probability,
            log_probability: None,
        };
        Some((letter.clone(), record))
    };
    let letters = experiment.options.iter().map(|option| &option.letter);
    let options: IndexMap<String, OptionRecord> = letters.filter_map(option).collect();
    let predicted = first.prediction.as_ref();
    let answer = predicted.map(|prediction| prediction.token_id);
    Some(SampleRecord {
        schema: SCHEMA.to_owned(),
        experiment: experiment.id.clone(),
        model: ModelRecord {
            id: model.id.clone(),
            source: model.source.clone().unwrap_or_default(),
            file: None,
            revision: None,
            requested_revision: None,
            architecture: None,
            dtype: None,
            quantization: None,
            activations: None,
            weights_sha256: None,
            tokenizer_sha256: None,
        },
        sample: SampleInfo {
            id: first.sample.clone(),
            gold: first.gold.clone(),
            fields: first.fields.clone(),
        },
        prompt: first.prompt.clone(),
        segments: first.segments.clone(),
        tokens: first.tokens.clone(),
        prediction: predicted.map(|prediction| Prediction {
            token_id: prediction.token_id,
            text: prediction.text.clone(),
            probability: prediction.probability,
        }),
        // Without a prediction nothing is said of right or wrong.
        correct: first
            .gold
            .as_deref()
            .zip(answer)
            .map(|(gold, answer)| chosen(&options, Some(answer)) == Some(gold)),
        options,
        attributions: maps.iter().map(attribution).collect(),
        generation: None,
        provenance: None,
        imported: Some(ImportedRecord {
            file: experiment.path.display().to_string(),
            igsite: head.and_then(|head| head.igsite.clone()),
            created: head.and_then(|head| head.created.clone()),
        }),
    })
}

fn attribution(map: &ImportedMap) -> AttributionRecord {
    let sum: f64 = map.scores.iter().sum();
    let change = map
        .f_input
        .zip(map.f_baseline)
        .map(|(input, baseline)| input - baseline);
    let delta = change.map(|change| sum - change).filter(|delta| delta.is_finite());
    let target = TargetRecord {
        kind: map.target.kind,
        token_ids: map.target.token_ids.clone(),
        text: map.target.text.clone(),
        given: None,
    };
    AttributionRecord {
        imported: Some(Imported {
            tool: map.method.tool.clone(),
            version: map.method.version.clone(),
            method: map.method.name.clone(),
            baseline: map.baseline.clone(),
            unit: map.unit.clone(),
            note: map.note.clone(),
            file: map.file.clone(),
        }),
        f_input: map.f_input,
        f_baseline: map.f_baseline,
        sum: Some(sum),
        // Where the scores are no parts of F there is nothing that they should sum to.
        convergence_delta: delta.filter(|_| map.unit.is_none()),
        scores: map.scores.clone(),
        errors: map.errors.clone(),
        ..AttributionRecord::blank(target, map.output)
    }
}
