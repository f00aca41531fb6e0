//! Where a model fails: a column of the data whose values tell the samples that it gets wrong from the others.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::analysis::summary::Share;
use crate::content::dataset::Sample;
use crate::store::record::SampleRecord;

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
}

/// The group that holds most of some model's wrong answers; none where no column tells them apart.
pub fn failing_group(samples: &[Sample], records: &[Vec<SampleRecord>]) -> Option<FailingGroup> {
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
    best.map(|(_, group)| group)
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
        let found = failing_group(&fixture.project.experiments[0].samples, &fixture.records[0]).expect("a group");
        assert_eq!((found.model, found.column.as_str()), (2, "stance"));
        assert_eq!(found.values, ["denies"]);
        assert_eq!(
            (found.inside, found.outside),
            (Share { count: 0, of: 3 }, Share { count: 3, of: 3 })
        );
        assert_eq!(found.samples, [true, true, true, false, false, false]);
        // Two wrong answers are no group.
        fixture.records[0][2][0].correct = Some(true);
        assert_eq!(
            failing_group(&fixture.project.experiments[0].samples, &fixture.records[0]),
            None
        );
    }
}
