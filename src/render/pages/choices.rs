//! What a reader may choose to see of a sample's maps: the target, the baseline and the method, each a switch that works
//! without a script and stands in the address.
//!
//! Maps of one choice are those that are the same in all three. Targets are told apart by their place, as
//! [`crate::analysis::groups`] does it: they are in the same order in all records, though what they say may differ.

use serde::Serialize;

use crate::analysis::results::Results;
use crate::render::labels;
use crate::render::text::excerpt;
use crate::store::record::{AttributionRecord, SampleRecord};
use crate::terms::TargetKind;

/// As many choices of one kind as the style sheet knows; what is beyond is on the pages of the maps.
const MOST: usize = 10;

/// One switch.
#[derive(Clone, Serialize)]
pub struct Switch {
    /// Its name in the address.
    name: &'static str,
    /// What it chooses.
    legend: &'static str,
    /// Whether it takes a script.
    scripted: bool,
    /// At least one.
    options: Vec<Choice>,
}

/// One position of a switch.
#[derive(Clone, Serialize)]
struct Choice {
    /// In the address.
    value: String,
    /// As readers see it.
    label: String,
    /// By which the style sheet knows it: `t0`, `b1`, `m2`.
    class: String,
}

/// The switches of a sample, and the maps behind each of their positions.
pub struct Choices {
    targets: Vec<Named>,
    baselines: Vec<Named>,
    methods: Vec<Named>,
    /// Targets by place: what the maps of the first record that has one explain.
    kinds: Vec<(TargetKind, String)>,
}

/// A position before it is drawn.
struct Named {
    value: String,
    label: String,
}

/// The maps of one position of all switches: of each model the place of its map among those of its record.
pub struct Chosen {
    /// The classes of the switches.
    pub class: String,
    /// Which method, by place.
    pub method: usize,
    /// By model.
    pub maps: Vec<Option<usize>>,
}

impl Choices {
    /// Those of a sample.
    pub fn of(results: &Results<'_>, sample: usize) -> Self {
        let mut all = Self {
            targets: Vec::new(),
            baselines: Vec::new(),
            methods: Vec::new(),
            kinds: Vec::new(),
        };
        for record in results.records_of(sample) {
            for (index, map) in record.attributions.iter().enumerate() {
                let (method, baseline) = (method_of(map), labels::baseline_of(map));
                if !all.methods.iter().any(|known| known.value == method.0) && all.methods.len() < MOST {
                    all.methods.push(Named {
                        value: method.0,
                        label: method.1,
                    });
                }
                if !all.baselines.iter().any(|known| known.label == baseline) && all.baselines.len() < MOST {
                    let value = map
                        .baseline
                        .as_ref()
                        .map_or_else(|| baseline.clone(), ToString::to_string);
                    all.baselines.push(Named { value, label: baseline });
                }
                let place = place_of(record, index);
                if place == all.kinds.len() && place < MOST {
                    all.kinds.push((map.target.kind, map.target.shown().into_owned()));
                }
            }
        }
        for (place, (kind, text)) in all.kinds.iter().enumerate() {
            let same = results.records_of(sample).all(|record| {
                let mut maps = record.attributions.iter().enumerate();
                maps.find(|(index, _)| place_of(record, *index) == place)
                    .is_none_or(|(_, map)| map.target.shown() == *text)
            });
            let single = results.models.len() == 1;
            let short = excerpt(text, 40);
            let (value, label) = match kind {
                TargetKind::Predicted if single => (kind.word().to_owned(), "its answer".to_owned()),
                TargetKind::Predicted => (kind.word().to_owned(), "each model’s answer".to_owned()),
                TargetKind::Gold if single => (kind.word().to_owned(), format!("{short}, the right one")),
                TargetKind::Gold => (kind.word().to_owned(), format!("{short}, for all")),
                TargetKind::Generated => (kind.word().to_owned(), "what each model says".to_owned()),
                _ if same => (text.clone(), short),
                _ => (format!("target-{}", place + 1), format!("target {}", place + 1)),
            };
            all.targets.push(Named { value, label });
        }
        all
    }

    /// The switches that leave a choice.
    pub fn switches(&self) -> Vec<Switch> {
        let switch = |name, legend, letter: char, all: &[Named]| Switch {
            name,
            legend,
            scripted: name == "method",
            options: all
                .iter()
                .enumerate()
                .map(|(index, named)| Choice {
                    value: named.value.clone(),
                    label: named.label.clone(),
                    class: format!("{letter}{index}"),
                })
                .collect(),
        };
        let switches = [
            switch("target", "Explain", 't', &self.targets),
            switch("baseline", "Instead of", 'b', &self.baselines),
            switch("method", "By", 'm', &self.methods),
        ];
        switches.into_iter().filter(|switch| switch.options.len() > 1).collect()
    }

    /// Every position of all switches, with its maps.
    pub fn all(&self, results: &Results<'_>, sample: usize) -> Vec<Chosen> {
        let mut found = Vec::new();
        for (method, by) in self.methods.iter().enumerate() {
            for target in 0..self.targets.len() {
                for (baseline, from) in self.baselines.iter().enumerate() {
                    let is_it = |record: &SampleRecord, index: usize| {
                        let map = &record.attributions[index];
                        method_of(map).0 == by.value
                            && labels::baseline_of(map) == from.label
                            && place_of(record, index) == target
                    };
                    let maps = results
                        .records_of(sample)
                        .map(|record| (0..record.attributions.len()).find(|&index| is_it(record, index)));
                    found.push(Chosen {
                        class: format!("t{target} b{baseline} m{method}"),
                        method,
                        maps: maps.collect(),
                    });
                }
            }
        }
        found
    }

    /// How many targets there are.
    pub fn targets(&self) -> usize {
        self.targets.len()
    }

    /// What stands at the two ends of the colours of maps of a target.
    pub fn ends(&self, target: usize) -> (String, String) {
        match self.kinds.get(target) {
            Some((TargetKind::Contrast, text)) => labels::ends_of_contrast(text),
            _ => ("against".to_owned(), "for".to_owned()),
        }
    }

    /// All classes but those of the target: what is shown whatever the other switches say.
    pub fn class_of_target(&self, target: usize) -> String {
        let mut class = format!("t{target}");
        (0..self.baselines.len()).for_each(|index| class += &format!(" b{index}"));
        (0..self.methods.len()).for_each(|index| class += &format!(" m{index}"));
        class
    }
}

/// Positions of the switches (`t0 b1 m2`) in as few classes as show what they hold at these positions and no other: those
/// that differ in one switch alone are one, as often as there are such.
pub fn together(positions: &[String]) -> Vec<String> {
    let split = |class: &String| -> Vec<Vec<String>> {
        let parts: Vec<&str> = class.split(' ').collect();
        let of = |letter: char| parts.iter().filter(move |part| part.starts_with(letter));
        ['t', 'b', 'm']
            .iter()
            .map(|letter| of(*letter).map(|part| (*part).to_owned()).collect())
            .collect()
    };
    let mut all: Vec<Vec<Vec<String>>> = positions.iter().map(split).collect();
    for switch in 0..3 {
        let mut merged: Vec<Vec<Vec<String>>> = Vec::new();
        for position in all {
            let alike =
                |known: &&mut Vec<Vec<String>>| (0..3).all(|other| other == switch || known[other] == position[other]);
            match merged.iter_mut().find(alike) {
                Some(known) => known[switch].extend(position[switch].iter().cloned()),
                None => merged.push(position),
            }
        }
        all = merged;
    }
    all.iter().map(|position| position.concat().join(" ")).collect()
}

/// The method of a map: in the address, and as readers know it.
fn method_of(map: &AttributionRecord) -> (String, String) {
    match (&map.imported, map.method) {
        (Some(by), _) => (by.method.clone(), by.method.clone()),
        (None, Some(method)) => (method.word().to_owned(), method.name().to_owned()),
        (None, None) => ("unknown".to_owned(), "unknown".to_owned()),
    }
}

/// Which of the targets a map explains: how many maps alike but for their target stand before it.
fn place_of(record: &SampleRecord, index: usize) -> usize {
    let key = |map: &AttributionRecord| (method_of(map).0, labels::baseline_of(map));
    let own = key(&record.attributions[index]);
    record.attributions[..index]
        .iter()
        .filter(|map| key(map) == own)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_together_to_classes_that_show_no_other_position() {
        let shown = |classes: &[String]| -> Vec<String> {
            let mut all = Vec::new();
            for target in ["t0", "t1"] {
                for baseline in ["b0", "b1"] {
                    for method in ["m0", "m1"] {
                        let is_shown = |class: &&String| {
                            let has = |part| class.split(' ').any(|own| own == part);
                            has(target) && has(baseline) && has(method)
                        };
                        if classes.iter().any(|class| is_shown(&class)) {
                            all.push(format!("{target} {baseline} {method}"));
                        }
                    }
                }
            }
            all
        };
        // Every set of the eight positions, in the order in which they are found.
        let every = shown(&["t0 t1 b0 b1 m0 m1".to_owned()]);
        for chosen in 0..256u32 {
            let some = (0..8).filter(|bit| chosen >> bit & 1 == 1);
            let some: Vec<String> = some.map(|bit| every[bit].clone()).collect();
            let classes = together(&some);
            assert_eq!(shown(&classes), some, "{classes:?}");
        }
        assert_eq!(together(&every), ["t0 t1 b0 b1 m0 m1"]);
        assert_eq!(together(&every[..4]), ["t0 b0 b1 m0 m1"]);
    }
}
