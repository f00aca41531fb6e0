//! Where a model fails: a column of the data whose values tell the samples that it gets wrong from the others.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::analysis::summary::Share;
use crate::content::dataset::Sample;
use crate::content::experiment::AnswerOption;
use crate::store::record::{SampleRecord, chosen};

/// A column with more values than this, or more than half as many as there are samples, names samples rather than groups
/// of them.
const VALUES: usize = 12;
/// So many wrong answers, at least, are a group.
const LEAST: usize = 3;
/// A group holds this share of a model's wrong answers, and elsewhere the model is right on this share.
const MOST: f64 = 0.8;

/// Samples that a model gets wrong, all of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailingGroup {
    /// The model, by its place.
    pub model: usize,
    /// The column.
    pub column: String,
    /// Its values in the group.
    pub values: Vec<String>,
    /// Right answers in the group.
    pub inside: Share,
    /// Right answers elsewhere.
    pub outside: Share,
    /// Whether each sample is in the group.
    #[serde(skip)]
    pub samples: Vec<bool>,
    /// What the model answers by instead.
    pub answers_as: Option<AnswersAs>,
}

/// A column, not the right answers, whose values a model's answers are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnswersAs {
    /// The column.
    pub column: String,
    /// How often each model's answer is the column's value, by place.
    pub models: Vec<Share>,
}

/// The group that holds most of some model's wrong answers; none where no column tells them apart.
pub fn failing_group(
    samples: &[Sample],
    options: &[AnswerOption],
    records: &[Vec<SampleRecord>],
) -> Option<FailingGroup> {
    let columns: Vec<&String> = samples.first()?.fields.keys().collect();
    let mut best: Option<(f64, FailingGroup)> = None;
    for (model, records) in records.iter().enumerate() {
        let wrong = records.iter().filter(|record| record.correct == Some(false)).count();
        if wrong < LEAST {
            continue;
        }
        for column in &columns {
            let Some((share, group)) = group(samples, records, column, wrong) else {
                continue;
            };
            // Of columns that tell as much the one with the fewest values says it best.
            let is_better = |(most, known): &(f64, FailingGroup)| {
                share > *most || share == *most && group.values.len() < known.values.len()
            };
            if best.as_ref().is_none_or(is_better) {
                best = Some((share, FailingGroup { model, ..group }));
            }
        }
    }
    best.map(|(_, group)| FailingGroup {
        answers_as: answers_as(samples, options, records, &group),
        ..group
    })
}

/// The column whose values are the answers of a model that fails in a group: in the group wherever it is wrong, and over
/// all samples more often than the right answers are.
fn answers_as(
    samples: &[Sample],
    options: &[AnswerOption],
    records: &[Vec<SampleRecord>],
    group: &FailingGroup,
) -> Option<AnswersAs> {
    // Whether a model's answer is a column's value; none where either is no option.
    let follows = |sample: &Sample, record: &SampleRecord, column: &str| {
        let value = text(sample.fields.get(column)?)?;
        let mut stands_for = options.iter();
        let option = stands_for.find(|option| option.gold.trim() == value || option.letter == value)?;
        let predicted = record.prediction.as_ref().map(|prediction| prediction.token_id);
        Some(chosen(&record.options, predicted)? == option.letter)
    };
    let share = |records: &[SampleRecord], column: &str| {
        let mut share = Share::default();
        for (sample, record) in samples.iter().zip(records) {
            share.add(follows(sample, record, column)?);
        }
        Some(share)
    };
    let right = group.inside.count + group.outside.count;
    let of_model = &records[group.model];
    let columns = samples.first()?.fields.keys().filter_map(|column| {
        let count = share(of_model, column)?.count;
        let mut all = samples.iter().zip(of_model).zip(&group.samples);
        let in_group = all.all(|((sample, record), inside)| !inside || follows(sample, record, column) == Some(true));
        (count > right && in_group).then_some((count, column))
    });
    // Of columns that say as much the first.
    let (_, column) = columns.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    Some(AnswersAs {
        column: column.clone(),
        models: records
            .iter()
            .map(|records| share(records, column))
            .collect::<Option<_>>()?,
    })
}

/// A model's group by a column, and the share of its wrong answers that are in it.
fn group(samples: &[Sample], records: &[SampleRecord], column: &str, wrong: usize) -> Option<(f64, FailingGroup)> {
    let value = |sample: &Sample| sample.fields.get(column).and_then(text);
    let mut by_value: BTreeMap<String, Share> = BTreeMap::new();
    for (sample, record) in samples.iter().zip(records) {
        by_value.entry(value(sample)?).or_default().add(record.correct?);
        if by_value.len() > VALUES.min(samples.len() / 2) {
            return None;
        }
    }
    let values: Vec<String> = by_value
        .iter()
        .filter(|(_, share)| share.count == 0)
        .map(|(value, _)| value.clone())
        .collect();
    let sum = |inside: bool| {
        let shares = by_value.iter().filter(|(value, _)| values.contains(value) == inside);
        shares.fold(Share::default(), |sum, (_, share)| Share {
            count: sum.count + share.count,
            of: sum.of + share.of,
        })
    };
    let (inside, outside) = (sum(true), sum(false));
    let share = inside.of as f64 / wrong as f64;
    if inside.of < LEAST || share < MOST || outside.value()? < MOST {
        return None;
    }
    let samples = samples
        .iter()
        .map(|sample| value(sample).is_some_and(|value| values.contains(&value)));
    let samples = samples.collect();
    Some((
        share,
        FailingGroup {
            model: 0,
            column: column.to_owned(),
            values,
            inside,
            outside,
            samples,
            answers_as: None,
        },
    ))
}

/// A value that groups may be made by.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture::Fixture;

    #[test]
    fn the_column_that_tells_wrong_answers_from_right_ones_is_found() {
        let mut fixture = Fixture::demo();
        let samples = &mut fixture.project.experiments[0].samples;
        for (index, sample) in samples.iter_mut().enumerate() {
            let stance = if index < 3 { " denies" } else { "says" };
            sample.fields.insert("stance".into(), stance.into());
            sample.fields.insert("noise".into(), (index % 2).into());
        }
        for records in &mut fixture.records[0] {
            records.iter_mut().for_each(|record| record.correct = Some(true));
        }
        for record in &mut fixture.records[0][2][..3] {
            record.correct = Some(false);
        }
        let group = |fixture: &Fixture| {
            let experiment = &fixture.project.experiments[0];
            failing_group(&experiment.samples, &experiment.options, &fixture.records[0])
        };
        let found = group(&fixture).expect("a group");
        assert_eq!((found.model, found.column.as_str()), (2, "stance"));
        assert_eq!(found.values, ["denies"]);
        assert_eq!(
            (found.inside, found.outside),
            (Share { count: 0, of: 3 }, Share { count: 3, of: 3 })
        );
        assert_eq!(found.samples, [true, true, true, false, false, false]);
        assert_eq!(found.answers_as, None);
        // A column that says what the model answers, wherever it is wrong too, and not always what is right.
        let experiment = &mut fixture.project.experiments[0];
        let options = experiment.options.clone();
        for (index, sample) in experiment.samples.iter_mut().enumerate() {
            let record = &mut fixture.records[0][2][index];
            let said = &options[index % 2];
            let token = record.options[&said.letter].token_id;
            record.prediction.as_mut().expect("a prediction").token_id = token;
            sample.fields.insert("hint".into(), said.gold.clone().into());
            // A column of the group's own that says it in part of the samples only.
            sample.fields.insert("part".into(), options[0].gold.clone().into());
        }
        let answers = group(&fixture).and_then(|found| found.answers_as).expect("a column");
        assert_eq!(answers.column, "hint");
        assert_eq!(answers.models[2], Share { count: 6, of: 6 });
        // Two wrong answers are no group.
        fixture.records[0][2][0].correct = Some(true);
        assert_eq!(group(&fixture), None);
    }
}
