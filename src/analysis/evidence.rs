//! All that speaks for or against the maps of an experiment: tests, a known truth, agreement of methods.

use rayon::prelude::*;
use serde::Serialize;

use crate::analysis::bootstrap::Standing;
use crate::analysis::faithfulness::{TestedMaps, tested};
use crate::analysis::groups::Common;
use crate::analysis::methods::{MethodPair, pairs};
use crate::analysis::truth::{FoundCause, found_causes};
use crate::analysis::verdict::listed;
use crate::content::experiment::Experiment;
use crate::store::record::{AttributionRecord, SampleRecord, TargetRecord};
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

    /// Whether nothing speaks for or against the maps.
    pub fn is_empty(&self) -> bool {
        self.tested.is_empty() && self.causes.is_empty() && self.methods.is_empty()
    }

    /// The tests of maps such as this one of a model's record, over the samples and with the first replacement: of the same
    /// method, baseline, output and target. None where such maps were not tested.
    pub fn of_map(&self, model: &str, record: &SampleRecord, map: &AttributionRecord) -> Option<&TestedMaps> {
        // Where the answer that a model gives is the right one, its maps of both are one map. A text with a space before
        // it is another one, of other tokens.
        let is_same = |other: &&AttributionRecord| {
            other.target.token_ids == map.target.token_ids
                && (other.method, &other.baseline, other.output) == (map.method, &map.baseline, map.output)
        };
        let same: Vec<&TargetRecord> = record
            .attributions
            .iter()
            .filter(is_same)
            .map(|other| &other.target)
            .collect();
        self.tested.iter().find(|maps| {
            let of = &maps.common;
            let is_of = |target: &&TargetRecord| {
                target.kind == of.kind && of.target.as_ref().is_none_or(|text| *text == target.text)
            };
            of.model == model
                && Some(of.method) == map.method
                && Some(&of.baseline) == map.baseline.as_ref()
                && of.output == map.output
                && same.iter().any(is_of)
        })
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
            (Standing::NoBetter, "are not shown to beat"),
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

impl Evidence {
    /// Which of several methods comes first over the models, by the tests and by the known cause: by the means, of the
    /// first target, baseline and replacement. None where there is one method alone, or nothing to rank by.
    pub fn ranking(&self) -> Option<String> {
        let tested: Vec<Mean<'_>> = self
            .tested
            .iter()
            .filter(|maps| maps.replacement == self.tested[0].replacement)
            .filter_map(|maps| Some((&maps.common, maps.normalised?.comprehensiveness.mean)))
            .collect();
        let causes: Vec<Mean<'_>> = self
            .causes
            .iter()
            .map(|maps| (&maps.common, maps.average_precision.mean))
            .collect();
        let (by_tests, by_cause) = (Leaders::of(&tested), Leaders::of(&causes));
        let told = |leaders: &Leaders, does: &str| format!("{} {does}{}", leaders.names(), leaders.count());
        let lowers = by_tests
            .as_ref()
            .map(|leaders| told(leaders, "lower F most when their strongest words go"));
        let finds = by_cause
            .as_ref()
            .map(|leaders| told(leaders, "find the expected words best"));
        let clauses: Vec<String> = lowers.into_iter().chain(finds).collect();
        if clauses.is_empty() {
            return None;
        }
        let methods = by_tests.as_ref().or(by_cause.as_ref())?.of;
        let mut said = format!(
            "Of the maps of {methods} methods, those by {}.",
            clauses.join("; those by ")
        );
        if let (Some(a), Some(b)) = (by_tests, by_cause)
            && a.first != b.first
        {
            said.push_str(
                " These are two questions: what F depends on when words are replaced, and whether a map points at what \
                 the author knows to decide.",
            );
        }
        Some(said)
    }
}

/// What maps have in common, and their mean.
type Mean<'a> = (&'a Common, f64);

/// The methods that come first in the most models.
struct Leaders {
    first: Vec<Method>,
    /// In how many models each does.
    wins: usize,
    models: usize,
    /// How many methods there are.
    of: usize,
}

impl Leaders {
    /// Of the groups of the first one's target and baseline; none of one method alone.
    fn of(means: &[Mean<'_>]) -> Option<Self> {
        let (first, _) = means.first()?;
        let alike = |(common, _): &&Mean<'_>| {
            (common.kind, &common.baseline, common.output) == (first.kind, &first.baseline, first.output)
        };
        let means: Vec<&Mean<'_>> = means.iter().filter(alike).collect();
        let mut methods: Vec<Method> = Vec::new();
        let mut models: Vec<&str> = Vec::new();
        for (common, _) in &means {
            if !methods.contains(&common.method) {
                methods.push(common.method);
            }
            if !models.contains(&common.model.as_str()) {
                models.push(&common.model);
            }
        }
        if methods.len() < 2 {
            return None;
        }
        let mut wins = vec![0; methods.len()];
        for model in &models {
            let of_model = || means.iter().filter(|(common, _)| common.model == *model);
            let best = of_model().map(|(_, mean)| *mean).fold(f64::NEG_INFINITY, f64::max);
            for (common, _) in of_model().filter(|(_, mean)| *mean == best) {
                let at = methods.iter().position(|method| *method == common.method)?;
                wins[at] += 1;
            }
        }
        let most = wins.iter().copied().max()?;
        Some(Self {
            first: methods
                .iter()
                .zip(&wins)
                .filter(|(_, wins)| **wins == most)
                .map(|(method, _)| *method)
                .collect(),
            wins: most,
            models: models.len(),
            of: methods.len(),
        })
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.first.iter().map(|method| method.name().to_owned()).collect();
        listed(&names)
    }

    /// `, in 3 of 4 models`; nothing to say of one model.
    fn count(&self) -> String {
        let each = if self.first.len() > 1 { "each " } else { "" };
        match self.models {
            1 => String::new(),
            models => format!(", {each}in {} of {models} models", self.wins),
        }
    }
}

/// What the sentence speaks of: it is no verdict on maps by another method or of another target.
fn scope(maps: &TestedMaps) -> String {
    let common = &maps.common;
    let samples = match maps.samples {
        1 => "1 sample".to_owned(),
        count => format!("{count} samples"),
    };
    format!(
        "{} ({}, from the {}) on {samples}: ",
        common.method.name(),
        common.kind,
        common.baseline.name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::bootstrap::{Ahead, Estimate};
    use crate::analysis::faithfulness::{Against, ControlMap, NormalisedEstimates};
    use crate::analysis::groups::Common;
    use crate::analysis::summary::Share;
    use crate::analysis::truth::FoundCause;
    use crate::terms::{Baseline, Interval, Method, Output, TargetKind, UnitKind};

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
            cascading: vec![],
            verdict: String::new(),
        }
    }

    #[test]
    fn the_tests_of_a_map_are_those_of_its_baseline_and_target() {
        let fixture = crate::render::fixture::Fixture::demo();
        let record = &fixture.records[0][0][0];
        let (predicted, gold) = (&record.attributions[0], &record.attributions[1]);
        assert_eq!(
            (predicted.target.kind, gold.target.kind),
            (TargetKind::Predicted, TargetKind::Gold)
        );
        let (from_zero, mut from_mean) = (maps("a", &[]), maps("a", &[]));
        from_mean.common.baseline = Baseline::Mean;
        let evidence = Evidence {
            tested: vec![from_mean, from_zero],
            ..Evidence::default()
        };
        let found = |map| evidence.of_map("a", record, map).map(|maps| &maps.common.baseline);
        assert_eq!(found(predicted), Some(&Baseline::Zero));
        // The map of the right answer was not tested, unless it is the same map.
        let is_same = predicted.target.token_ids == gold.target.token_ids;
        assert_eq!(found(gold).is_some(), is_same);
        // Nor was another text than the one whose maps were.
        let mut texts = record.clone();
        let own = |text: &str, id| TargetRecord {
            kind: TargetKind::Text,
            token_ids: vec![id],
            text: text.to_owned(),
            given: None,
        };
        texts.attributions[0].target = own("A", 1);
        texts.attributions[1].target = own(" A", 2);
        let mut tested = maps("a", &[]);
        tested.common.kind = TargetKind::Text;
        tested.common.target = Some(" A".to_owned());
        let evidence_of_texts = Evidence {
            tested: vec![tested],
            ..Evidence::default()
        };
        let is_found = |place: usize| {
            evidence_of_texts
                .of_map("a", &texts, &texts.attributions[place])
                .is_some()
        };
        assert_eq!([is_found(0), is_found(1)], [false, true]);
        let mut other = predicted.clone();
        other.baseline = Some(Baseline::Pad);
        assert_eq!(found(&other), None);
        assert_eq!(evidence.of_map("b", record, predicted), None);
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
            "the maps of A and B beat every control; the maps of D are not shown to beat shuffled ones and position (last \
             word first); the maps of C lose to position (last word first)."
        );
    }

    #[test]
    fn methods_are_ranked_over_the_models() {
        let estimate = |mean| Estimate {
            mean,
            interval: None,
            of: 20,
        };
        let common = |model: &str, method| Common {
            method,
            ..maps(model, &[]).common
        };
        let tested = |model: &str, method, mean| TestedMaps {
            common: common(model, method),
            normalised: Some(NormalisedEstimates {
                comprehensiveness: estimate(mean),
                sufficiency: estimate(0.0),
                exact: Share::default(),
            }),
            ..maps(model, &[])
        };
        let cause = |model: &str, method, mean| FoundCause {
            common: common(model, method),
            samples: 20,
            average_precision: estimate(mean),
            among_strongest: estimate(mean),
            strongest: Share::default(),
            strongest_of_prompt: Share::default(),
            controls: vec![],
            standing: None,
            verdict: String::new(),
        };
        let (gim, occlusion) = (Method::Gim, Method::Occlusion);
        let mut evidence = Evidence {
            tested: vec![
                tested("a", gim, 0.5),
                tested("a", occlusion, 0.7),
                tested("b", gim, 0.5),
                tested("b", occlusion, 0.6),
                tested("c", gim, 0.9),
                tested("c", occlusion, 0.6),
            ],
            ..Evidence::default()
        };
        assert_eq!(
            evidence.ranking().unwrap(),
            "Of the maps of 2 methods, those by occlusion lower F most when their strongest words go, in 2 of 3 models."
        );
        evidence.causes = vec![
            cause("a", gim, 0.9),
            cause("a", occlusion, 0.8),
            cause("b", gim, 0.1),
            cause("b", occlusion, 0.8),
        ];
        assert_eq!(
            evidence.ranking().unwrap(),
            "Of the maps of 2 methods, those by occlusion lower F most when their strongest words go, in 2 of 3 models; \
             those by GIM and occlusion find the expected words best, each in 1 of 2 models. These are two questions: \
             what F depends on when words are replaced, and whether a map points at what the author knows to decide."
        );
        evidence.tested.retain(|maps| maps.common.method == gim);
        evidence.causes.truncate(2);
        assert_eq!(
            evidence.ranking().unwrap(),
            "Of the maps of 2 methods, those by GIM find the expected words best."
        );
        evidence.causes.truncate(1);
        assert_eq!(evidence.ranking(), None, "one method has no rank");
    }
}
