//! The maps of an experiment, sorted by what they are maps of: one group for each model, method, target and baseline,
//! with at most one map a sample. Imported maps are in none.

use serde::Serialize;

use crate::store::record::{AttributionRecord, SampleRecord};
use crate::terms::{Baseline, Method, Output, TargetKind};

/// What the maps of a group have in common.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Common {
    /// Id of the model.
    pub model: String,
    /// How they are made.
    pub method: Method,
    /// What kind of thing they explain.
    pub kind: TargetKind,
    /// What they explain, where that is the same in all samples.
    pub target: Option<String>,
    /// Its unit.
    pub output: Output,
    /// What the input is compared with.
    pub baseline: Baseline,
}

/// A map with what it is of.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The place of the sample in the experiment.
    pub sample: usize,
    /// Its record.
    pub record: &'a SampleRecord,
    /// The map.
    pub map: &'a AttributionRecord,
}

/// Maps of one kind.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// What they have in common.
    pub common: Common,
    /// Which of the targets it is, in the experiment's order.
    pub target: usize,
    /// At most one a sample, in the order of the samples.
    pub members: Vec<Member<'a>>,
}

/// Groups a model's records, in the order of the first record.
pub fn groups(records: &[SampleRecord]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (sample, record) in records.iter().enumerate() {
        for (place, map) in record.attributions.iter().enumerate() {
            // Maps that another program computed are no maps of a method of ours.
            let (Some(method), Some(baseline)) = (map.method, &map.baseline) else {
                continue;
            };
            let alike = |other: &&AttributionRecord| (other.method, &other.baseline) == (map.method, &map.baseline);
            // Targets are in the same order in all records, though what they say may differ.
            let target = record.attributions[..place].iter().filter(alike).count();
            let member = Member { sample, record, map };
            let same = |group: &&mut Group<'_>| {
                let common = &group.common;
                (common.method, &common.baseline, group.target) == (method, baseline, target)
            };
            match groups.iter_mut().find(same) {
                Some(group) => {
                    if group.common.target.as_ref() != Some(&map.target.text) {
                        group.common.target = None;
                    }
                    group.members.push(member);
                }
                None => groups.push(Group {
                    common: Common {
                        model: record.model.id.clone(),
                        method,
                        kind: map.target.kind,
                        target: Some(map.target.text.clone()),
                        output: map.output,
                        baseline: baseline.clone(),
                    },
                    target,
                    members: vec![member],
                }),
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    #[test]
    fn each_map_is_in_one_group() {
        let records = fixture::records("tiny", 4);
        let groups = groups(&records);
        assert_eq!(groups.len(), records[0].attributions.len());
        for (group, first) in groups.iter().zip(&records[0].attributions) {
            assert_eq!(group.members.len(), records.len());
            assert_eq!(
                (group.common.kind, Some(&group.common.baseline)),
                (first.target.kind, first.baseline.as_ref())
            );
            for (sample, member) in group.members.iter().enumerate() {
                assert_eq!(member.sample, sample);
                assert_eq!(member.map.target.kind, group.common.kind);
            }
            let text = &group.members[0].map.target.text;
            let same = group.members.iter().all(|member| member.map.target.text == *text);
            assert_eq!(group.common.target.is_some(), same);
        }
    }
}
