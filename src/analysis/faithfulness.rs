//! Tests of maps over the samples of an experiment: means with their intervals, differences to each control, and what
//! that comes to in words. docs/faithfulness.md defines the numbers.
//!
//! Everything here is paired: a map and its control are tested on the same F of the same sample, so their difference
//! in each sample is what is averaged. Only the normalised numbers may be compared between models, since what F can
//! lose at all differs between them; so may a share of samples.

use serde::Serialize;

use crate::analysis::bootstrap::{Ahead, Estimate, Standing};
use crate::analysis::groups::{Common, groups};
use crate::analysis::summary::{Share, median};
use crate::analysis::verdict::{Rival, listed, number, sentences};
use crate::store::record::SampleRecord;
use crate::terms::{Baseline, Faithfulness, TestNumbers, UnitKind};

/// The maps of a group under test, with one replacement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TestedMaps {
    /// What the maps have in common.
    #[serde(flatten)]
    pub common: Common,
    /// What removed units become.
    pub replacement: Baseline,
    /// Whether that is what the maps themselves compare the input with: such a test favours them.
    pub own_baseline: bool,
    /// What is removed at a time.
    pub units: UnitKind,
    /// Samples with numbers.
    pub samples: usize,
    /// Samples whose test failed: F or the map was not finite.
    pub failed: usize,
    /// F(x) − F(x without the most relevant), in the output's unit: not for comparison between models.
    pub comprehensiveness: Option<Estimate>,
    /// F(x) − F(the most relevant only), in the output's unit: not for comparison between models.
    pub sufficiency: Option<Estimate>,
    /// As a share of what any order could reach: for comparison between models.
    pub normalised: Option<NormalisedEstimates>,
    /// Correlation of F with the sum of what is kept.
    pub lds: Option<Estimate>,
    /// In how many samples the removal of the most relevant units changes the answer.
    pub flips: Share,
    /// How many units that takes, in the middle of those samples.
    pub median_flip: Option<f64>,
    /// What the maps are held against, in the order of the terms.
    pub controls: Vec<Against>,
    /// What is left of them as layers are permuted, from the last on; empty where that was not a control.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cascading: Vec<Cascade>,
    /// How they fare against the control that they fare worst against; none without controls.
    pub standing: Option<Standing>,
    /// That in words.
    pub verdict: String,
}

/// The numbers that may stand beside another model's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NormalisedEstimates {
    /// More is better.
    pub comprehensiveness: Estimate,
    /// Less is better.
    pub sufficiency: Estimate,
    /// Samples whose bounds are over all orders.
    pub exact: Share,
}

/// A control, as pages tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlMap {
    /// The map's own scores, dealt out at random.
    Shuffled,
    /// The last unit is the most relevant.
    LastFirst,
    /// The first unit is the most relevant.
    FirstFirst,
    /// The map of the model with permuted parameters.
    Parameters,
    /// The map of another target.
    Option,
}

impl ControlMap {
    /// All, in the order in which pages have them.
    pub const ALL: [Self; 5] = [
        Self::Shuffled,
        Self::LastFirst,
        Self::FirstFirst,
        Self::Parameters,
        Self::Option,
    ];

    /// What it is called behind "beat" and "than".
    pub fn name(self, units: UnitKind) -> String {
        match self {
            Self::Shuffled => "shuffled ones".to_owned(),
            Self::LastFirst => format!("position (last {units} first)"),
            Self::FirstFirst => format!("position (first {units} first)"),
            Self::Parameters => "maps of the model with permuted parameters".to_owned(),
            Self::Option => "maps of another option".to_owned(),
        }
    }

    /// Its numbers in a test, as one map's: of the shuffles their means.
    pub fn numbers(self, test: &Faithfulness) -> Option<TestNumbers> {
        let controls = &test.controls;
        match self {
            Self::Shuffled => controls.shuffled.as_ref().map(|shuffled| shuffled.means()),
            Self::LastFirst => controls.position.map(|position| position.last_first),
            Self::FirstFirst => controls.position.map(|position| position.first_first),
            Self::Parameters => controls.parameters.as_ref().map(|map| map.numbers),
            Self::Option => controls.option.as_ref().map(|map| map.numbers),
        }
    }

    /// Correlation of its |scores| with the map's, of those that are maps of something else.
    fn spearman(self, test: &Faithfulness) -> Option<f64> {
        match self {
            Self::Parameters => test.controls.parameters.as_ref()?.spearman,
            Self::Option => test.controls.option.as_ref()?.spearman,
            Self::Shuffled | Self::LastFirst | Self::FirstFirst => None,
        }
    }
}

/// The maps beside one control; differences are above zero where the map is better.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Against {
    /// Which one.
    pub control: ControlMap,
    /// The control's own mean.
    pub mean: Option<Estimate>,
    /// By comprehensiveness, in the output's unit.
    pub comprehensiveness: Option<Ahead>,
    /// By sufficiency, in the output's unit: the control's less the map's.
    pub sufficiency: Option<Ahead>,
    /// By normalised comprehensiveness.
    pub normalised: Option<Ahead>,
    /// By the correlation with what is kept.
    pub lds: Option<Ahead>,
    /// Mean correlation of |scores| with the map's; only of maps of something else.
    pub spearman: Option<Estimate>,
}

/// What is left of the maps' ranks when the parameters of the last layers are permuted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cascade {
    /// How many of the last layers.
    pub layers: usize,
    /// Mean correlation of |scores| with the maps'.
    pub spearman: Estimate,
}

/// The tests of a model's maps, one for each group and replacement that has any.
pub fn tested(records: &[SampleRecord]) -> Vec<TestedMaps> {
    let mut found = Vec::new();
    for group in groups(records) {
        let tests = |replacement: &Baseline| -> Vec<&Faithfulness> {
            let maps = group.members.iter().map(|member| member.map);
            maps.filter_map(|map| map.faithfulness.iter().find(|test| test.replacement == *replacement))
                .collect()
        };
        let mut replacements: Vec<&Baseline> = Vec::new();
        for test in group.members.iter().flat_map(|member| &member.map.faithfulness) {
            if !replacements.contains(&&test.replacement) {
                replacements.push(&test.replacement);
            }
        }
        for replacement in replacements {
            found.push(TestedMaps::of(group.common.clone(), replacement, &tests(replacement)));
        }
    }
    found
}

impl TestedMaps {
    fn of(common: Common, replacement: &Baseline, all: &[&Faithfulness]) -> Self {
        let units = all.first().map_or(UnitKind::Word, |test| test.units);
        let failed = all.iter().filter(|test| test.failed.is_some()).count();
        let tests: Vec<&Faithfulness> = all
            .iter()
            .filter(|test| test.comprehensiveness.is_some())
            .copied()
            .collect();
        let mean = |number: fn(&Faithfulness) -> Option<f64>| {
            let values: Vec<f64> = tests.iter().filter_map(|test| number(test)).collect();
            Estimate::over(&values)
        };
        let mut flips = Share::default();
        tests.iter().for_each(|test| flips.add(test.flip.is_some()));
        let took: Vec<f64> = tests
            .iter()
            .filter_map(|test| test.flip)
            .map(|flip| flip as f64)
            .collect();
        let mut exact = Share::default();
        let bounds = tests.iter().filter_map(|test| test.normalised.as_ref());
        bounds.for_each(|normalised| exact.add(normalised.bounds.exact));
        let normalised = mean(|test| Some(test.normalised.as_ref()?.comprehensiveness))
            .zip(mean(|test| Some(test.normalised.as_ref()?.sufficiency)))
            .map(|(comprehensiveness, sufficiency)| NormalisedEstimates {
                comprehensiveness,
                sufficiency,
                exact,
            });
        // Where one unit is all that there is, every map and every control remove the same.
        let of_several: Vec<&Faithfulness> = tests.iter().filter(|test| test.count > 1).copied().collect();
        let against = ControlMap::ALL
            .iter()
            .filter_map(|control| Against::of(*control, &of_several));
        let mut maps = Self {
            own_baseline: all.iter().any(|test| test.own_baseline),
            common,
            replacement: replacement.clone(),
            units,
            samples: tests.len(),
            failed,
            comprehensiveness: mean(|test| test.comprehensiveness),
            sufficiency: mean(|test| test.sufficiency),
            normalised,
            lds: mean(|test| test.lds),
            flips,
            median_flip: median(&took),
            controls: against.collect(),
            cascading: cascade(&tests),
            standing: None,
            verdict: String::new(),
        };
        // In the unit of the output and normalised: pages show the one in words and the other in tables, and maps that lose
        // by either lose.
        let controls = maps.controls.iter();
        let standings = controls.flat_map(|control| [control.comprehensiveness, control.normalised]);
        maps.standing = standings.flatten().map(|ahead| ahead.standing()).min();
        maps.verdict = maps.words(tests.len() - of_several.len());
        maps
    }

    /// What the numbers come to; in `single` of the samples there is one unit to remove.
    fn words(&self, single: usize) -> String {
        let mut said = Vec::new();
        if self.samples == 0 {
            said.push("No map was tested.".to_owned());
        }
        let rivals = |number: fn(&Against) -> Option<Ahead>| -> Vec<Rival> {
            let rival = |control: &Against| {
                Some(Rival {
                    name: control.control.name(self.units),
                    ahead: number(control)?,
                })
            };
            self.controls.iter().filter_map(rival).collect()
        };
        said.extend(sentences(&rivals(|control| control.comprehensiveness)));
        // The other number is only told where it says something worse.
        for (standing, verb) in [
            (Standing::Worse, "loses to"),
            (Standing::NoBetter, "does no better than"),
        ] {
            let worse = |control: &Against| {
                let (removed, kept) = (control.comprehensiveness?, control.sufficiency?);
                let counts = format!(
                    "{} (ahead on {} of {} samples)",
                    control.control.name(self.units),
                    kept.beats.count,
                    kept.beats.of
                );
                (kept.standing() == standing && standing < removed.standing()).then_some(counts)
            };
            let names: Vec<String> = self.controls.iter().filter_map(worse).collect();
            if !names.is_empty() {
                let names = listed(&names);
                said.push(format!(
                    "What they hold to be most relevant, kept alone, {verb} {names}."
                ));
            }
        }
        for (standing, verb) in [(Standing::Worse, "lose to"), (Standing::NoBetter, "do no better than")] {
            let worse = |control: &&Against| {
                let (own, normalised) = (control.comprehensiveness, control.normalised);
                own.zip(normalised)
                    .is_some_and(|(own, normalised)| normalised.standing() == standing && standing < own.standing())
            };
            let controls = self.controls.iter().filter(worse);
            let names: Vec<String> = controls.map(|control| control.control.name(self.units)).collect();
            if !names.is_empty() {
                said.push(format!("Normalised, they {verb} {}.", listed(&names)));
            }
        }
        let parameters = self
            .controls
            .iter()
            .find(|control| control.control == ControlMap::Parameters);
        if let Some(spearman) = parameters.and_then(|control| control.spearman) {
            let mean = number(spearman.mean, 2);
            said.push(format!(
                "Their |scores| correlate by {mean} with those of the model with permuted parameters."
            ));
        }
        if !self.cascading.is_empty() {
            let layers: Vec<String> = self.cascading.iter().map(|stage| stage.layers.to_string()).collect();
            let means: Vec<String> = self
                .cascading
                .iter()
                .map(|stage| number(stage.spearman.mean, 2))
                .collect();
            said.push(format!(
                "With the parameters of the last {} layers permuted, the |scores| of the model correlate with theirs by {}.",
                listed(&layers),
                listed(&means)
            ));
        }
        if single > 0 {
            said.push(format!(
                "On {single} of {} samples there is one {} to remove, so that every map and every control do the same: \
                 they take no part in comparisons with controls.",
                self.samples, self.units
            ));
        }
        if self.failed > 0 {
            let of = self.failed + self.samples;
            said.push(format!(
                "The test failed on {} of {of} samples, where F or the map is not finite.",
                self.failed
            ));
        }
        if self.own_baseline && self.samples > 0 {
            said.push(format!(
                "What is removed becomes `{}`, which these maps compare the input with: that favours them.",
                self.replacement
            ));
        }
        said.join(" ")
    }
}

/// The stages that any test has.
fn cascade(tests: &[&Faithfulness]) -> Vec<Cascade> {
    let all = |test: &&Faithfulness| test.controls.cascading.as_ref().map_or(0, Vec::len);
    let stages = tests.iter().map(all).max().unwrap_or(0);
    let stage = |index: usize| {
        let of_test = |test: &&Faithfulness| test.controls.cascading.as_ref()?.get(index)?.spearman;
        let known: Vec<f64> = tests.iter().filter_map(of_test).collect();
        Some(Cascade {
            layers: index + 1,
            spearman: Estimate::over(&known)?,
        })
    };
    (0..stages).filter_map(stage).collect()
}

impl Against {
    /// None where no test has the control.
    fn of(control: ControlMap, tests: &[&Faithfulness]) -> Option<Self> {
        let pairs: Vec<(TestNumbers, TestNumbers)> = tests
            .iter()
            .filter_map(|test| Some((test.numbers(), control.numbers(test)?)))
            .collect();
        if pairs.is_empty() {
            return None;
        }
        let ahead = |number: fn(&TestNumbers) -> Option<f64>, sign: f64| {
            let differences: Vec<f64> = pairs
                .iter()
                .filter_map(|(map, control)| Some(sign * (number(map)? - number(control)?)))
                .collect();
            Ahead::over(&differences)
        };
        let own: Vec<f64> = pairs
            .iter()
            .filter_map(|(_, control)| control.comprehensiveness)
            .collect();
        let spearman: Vec<f64> = tests.iter().filter_map(|test| control.spearman(test)).collect();
        Some(Self {
            control,
            mean: Estimate::over(&own),
            comprehensiveness: ahead(|numbers| numbers.comprehensiveness, 1.0),
            sufficiency: ahead(|numbers| numbers.sufficiency, -1.0),
            normalised: ahead(|numbers| Some(numbers.normalised?.comprehensiveness), 1.0),
            lds: ahead(|numbers| numbers.lds, 1.0),
            spearman: Estimate::over(&spearman),
        })
    }
}

#[cfg(test)]
mod tests;
