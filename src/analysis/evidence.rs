//! All that speaks for or against the maps of an experiment: tests, a known truth, agreement of methods.

use rayon::prelude::*;
use serde::Serialize;

use crate::analysis::bootstrap::Standing;
use crate::analysis::faithfulness::{TestedMaps, tested};
use crate::analysis::methods::{MethodPair, pairs};
use crate::analysis::truth::{FoundCause, found_causes};
use crate::analysis::verdict::listed;
use crate::content::experiment::Experiment;
use crate::store::record::SampleRecord;
use crate::terms::Method;

/// The evidence of an experiment; each list has the models in the experiment's order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evidence {
    /// Maps that were put to the test.
    pub tested: Vec<TestedMaps>,
    /// Maps beside the truth, where the experiment knows it.
    pub causes: Vec<FoundCause>,
    /// How far methods agree, where there are several.
    pub methods: Vec<MethodPair>,
}

impl Evidence {
    /// Works it out; `records` are `[model][sample]`.
    pub fn of(experiment: &Experiment, records: &[Vec<SampleRecord>]) -> Self {
        let of_models: Vec<Self> = records
            .par_iter()
            .map(|records| Self {
                tested: tested(records),
                causes: found_causes(experiment, records),
                methods: pairs(experiment, records),
            })
            .collect();
        let mut all = Self::default();
        for model in of_models {
            all.tested.extend(model.tested);
            all.causes.extend(model.causes);
            all.methods.extend(model.methods);
        }
        all
    }

    /// How a model's maps by a method fare over the samples, by the first of their tests; none where they were not tested.
    pub fn standing(&self, model: &str, method: Method) -> Option<Standing> {
        let mut tested = self.tested.iter();
        let first = tested.find(|maps| maps.common.model == model && maps.common.method == method);
        first.and_then(|maps| maps.standing)
    }

    /// One sentence on the maps that pages with several models show: how those of each model stand against their
    /// controls, with the first replacement. None where they were not tested. `title` names a model by its id.
    pub fn headline(&self, title: impl Fn(&str) -> String) -> Option<String> {
        let mut shown: Vec<&TestedMaps> = Vec::new();
        for maps in &self.tested {
            if maps.standing.is_some() && !shown.iter().any(|other| other.common.model == maps.common.model) {
                shown.push(maps);
            }
        }
        let mut clauses = Vec::new();
        for (standing, says) in [
            (Standing::Better, "beat every control"),
            (Standing::NoBetter, "do no better than"),
            (Standing::Worse, "lose to"),
            (Standing::TooFew, "cannot be told from"),
        ] {
            let of: Vec<&&TestedMaps> = shown.iter().filter(|maps| maps.standing == Some(standing)).collect();
            if standing == Standing::Better && of.len() == shown.len() && of.len() > 1 {
                return Some(format!(
                    "{}the maps of all {} models beat every control.",
                    scope(shown[0]),
                    of.len()
                ));
            }
            if standing == Standing::Better && !of.is_empty() {
                let models: Vec<String> = of.iter().map(|maps| title(&maps.common.model)).collect();
                clauses.push(format!("the maps of {} {says}", listed(&models)));
                continue;
            }
            for maps in of {
                let controls: Vec<String> = maps
                    .controls
                    .iter()
                    .filter(|control| control.comprehensiveness.map(|ahead| ahead.standing()) == Some(standing))
                    .map(|control| control.control.name(maps.units))
                    .collect();
                let few = match standing {
                    Standing::TooFew => " with so few samples",
                    _ => "",
                };
                let model = title(&maps.common.model);
                clauses.push(format!("the maps of {model} {says} {}{few}", listed(&controls)));
            }
        }
        Some(format!("{}{}.", scope(shown.first()?), clauses.join("; ")))
    }
}

/// What the sentence speaks of: it is no verdict on maps by another method or of another target.
fn scope(maps: &TestedMaps) -> String {
    let common = &maps.common;
    let samples = match maps.samples {
        1 => "1 sample".to_owned(),
        count => format!("{count} samples"),
    };
    format!("{} ({}) on {samples}: ", common.method.name(), common.kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::bootstrap::{Ahead, Estimate};
    use crate::analysis::faithfulness::{Against, ControlMap};
    use crate::analysis::groups::Common;
    use crate::analysis::summary::Share;
    use crate::terms::{Baseline, Interval, Output, TargetKind, UnitKind};

    fn maps(model: &str, differences: &[(ControlMap, f64)]) -> TestedMaps {
        let against = |(control, mean): &(ControlMap, f64)| Against {
            control: *control,
            mean: None,
            comprehensiveness: Some(Ahead {
                difference: Estimate {
                    mean: *mean,
                    interval: Some(Interval {
                        low: mean - 0.1,
                        high: mean + 0.1,
                    }),
                    of: 20,
                },
                beats: Share { count: 10, of: 20 },
            }),
            sufficiency: None,
            normalised: None,
            lds: None,
            spearman: None,
        };
        let controls: Vec<Against> = differences.iter().map(against).collect();
        TestedMaps {
            common: Common {
                model: model.to_owned(),
                method: Method::IntegratedGradients,
                kind: TargetKind::Predicted,
                target: None,
                output: Output::Probability,
                baseline: Baseline::Zero,
            },
            replacement: Baseline::Mean,
            own_baseline: false,
            units: UnitKind::Word,
            samples: 20,
            failed: 0,
            comprehensiveness: None,
            sufficiency: None,
            normalised: None,
            lds: None,
            flips: Share::default(),
            median_flip: None,
            standing: controls
                .iter()
                .filter_map(|c| c.comprehensiveness)
                .map(|ahead| ahead.standing())
                .min(),
            controls,
            verdict: String::new(),
        }
    }

    #[test]
    fn the_headline_says_which_models_maps_stand() {
        use ControlMap::{LastFirst, Shuffled};
        let good = |model| maps(model, &[(Shuffled, 0.5), (LastFirst, 0.3)]);
        let of = |tested: Vec<TestedMaps>| {
            let evidence = Evidence {
                tested,
                ..Evidence::default()
            };
            let whole = evidence.headline(str::to_uppercase)?;
            let (scope, says) = whole.split_once(": ").expect("it says what of");
            assert!(
                scope.starts_with("Integrated Gradients (") && scope.contains(") on "),
                "{scope}"
            );
            Some(says.to_owned())
        };
        assert_eq!(of(vec![]), None);
        assert_eq!(
            of(vec![good("a"), good("b")]).unwrap(),
            "the maps of all 2 models beat every control."
        );
        assert_eq!(of(vec![good("a")]).unwrap(), "the maps of A beat every control.");
        let bad = maps("c", &[(Shuffled, 0.5), (LastFirst, -0.3)]);
        let flat = maps("d", &[(Shuffled, 0.05), (LastFirst, 0.0)]);
        // Of a model's groups the first counts.
        let all = vec![good("a"), bad.clone(), good("c"), flat, good("b")];
        assert_eq!(
            of(all).unwrap(),
            "the maps of A and B beat every control; the maps of D do no better than shuffled ones and position (last \
             word first); the maps of C lose to position (last word first)."
        );
    }
}
