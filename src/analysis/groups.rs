//! The maps of an experiment, sorted by what they are maps of: one group for each model, method, target and baseline,
//! with at most one map a sample.

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

/// Maps that are alike by a key.
#[derive(Clone, Debug)]
pub struct Sorted<'a, K> {
    /// What they have in common.
    pub key: K,
    /// Which of the targets they explain, in the experiment's order.
    pub target: usize,
    /// At most one a sample, in the order of the samples.
    pub members: Vec<Member<'a>>,
}

/// Sorts a model's maps by a key, in the order of the first record. Maps with one key in one record are of different
/// targets; these stand in the same order in all records, though what they say may differ. A map without a key is in
/// none.
pub fn sorted<'a, K: Clone + PartialEq>(
    records: &'a [SampleRecord],
    key: impl Fn(&'a AttributionRecord) -> Option<K>,
) -> Vec<Sorted<'a, K>> {
    let mut all: Vec<Sorted<'a, K>> = Vec::new();
    for (sample, record) in records.iter().enumerate() {
        let mut before: Vec<K> = Vec::new();
        for map in &record.attributions {
            let Some(key) = key(map) else { continue };
            let target = before.iter().filter(|other| **other == key).count();
            before.push(key.clone());
            let member = Member { sample, record, map };
            match all.iter_mut().find(|of| of.key == key && of.target == target) {
                Some(of) => of.members.push(member),
                None => all.push(Sorted {
                    key,
                    target,
                    members: vec![member],
                }),
            }
        }
    }
    all
}

/// The text of the target that all members explain; none where it differs.
pub fn common_target(members: &[Member<'_>]) -> Option<String> {
    let text = &members.first()?.map.target.text;
    let same = members.iter().all(|member| member.map.target.text == *text);
    same.then(|| text.clone())
}

/// Groups a model's records, in the order of the first record. Maps that another program computed are no maps of a method
/// of ours, and in none.
pub fn groups(records: &[SampleRecord]) -> Vec<Group<'_>> {
    let sorted = sorted(records, |map| Some((map.method?, map.baseline.as_ref()?)));
    let mut groups = Vec::with_capacity(sorted.len());
    for Sorted { key, target, members } in sorted {
        let Member { record, map, .. } = members[0];
        groups.push(Group {
            common: Common {
                model: record.model.id.clone(),
                method: key.0,
                kind: map.target.kind,
                target: common_target(&members),
                output: map.output,
                baseline: key.1.clone(),
            },
            target,
            members,
        });
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
