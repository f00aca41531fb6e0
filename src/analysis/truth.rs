//! Maps beside a known truth: an experiment that names the segments in which the cause lies (`expected`) asks whether
//! the words there are the strongest.
//!
//! Ranked are the words of what the samples are about, by |score|. The question is where a cause is found, not which way it pulls: a word of denial that
//! decides speaks against what would be answered without it, and a map that finds it gives it a large negative score.
//!
//! Equal |scores| have no order, and none is made up: average precision takes them together, as scikit-learn's
//! `average_precision_score` does, and a share of the strongest k counts as many of a tie as have room, each with the
//! same part. What shuffled maps reach is then known exactly, and needs no shuffles.

use serde::Serialize;

use crate::analysis::agreement::largest;
use crate::analysis::bootstrap::{Ahead, Estimate, Standing};
use crate::analysis::faithfulness::ControlMap;
use crate::analysis::groups::{Common, Group, Member, groups};
use crate::analysis::shared_words::SharedWords;
use crate::analysis::summary::{Share, is_drawable};
use crate::analysis::verdict::{Rival, number, sentences};
use crate::content::dataset::Sample;
use crate::content::experiment::Experiment;
use crate::content::subject::subject_segments;
use crate::content::units::UnitScores;
use crate::store::record::SampleRecord;
use crate::terms::{Interval, UnitKind};

/// The maps of a group beside the truth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundCause {
    /// What the maps have in common.
    #[serde(flatten)]
    pub common: Common,
    /// Samples with a map, and with a word where the cause should be.
    pub samples: usize,
    /// Mean average precision: 1 where the expected words are the strongest of all.
    pub average_precision: Estimate,
    /// Of k expected words, the share that is among the strongest k.
    pub among_strongest: Estimate,
    /// In how many samples the strongest word is an expected one; of several that tie for it, each.
    pub strongest: Share,
    /// The same, of all words of the prompt: instructions and options too.
    pub strongest_of_prompt: Share,
    /// What the maps are held against.
    pub controls: Vec<AgainstTruth>,
    /// How they fare against the control that they fare worst against.
    pub standing: Option<Standing>,
    /// That in words.
    pub verdict: String,
}

/// What a control reaches, and how far the maps are ahead of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgainstTruth {
    /// Which one.
    pub control: ControlMap,
    /// Its mean average precision; of shuffled maps what is to be expected.
    pub average_precision: Estimate,
    /// The same of the share among the strongest.
    pub among_strongest: Estimate,
    /// In what share of samples its strongest word is an expected one.
    pub strongest: Estimate,
    /// By average precision.
    pub ahead: Ahead,
}

/// How well one map finds the words.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Finding {
    average_precision: f64,
    among_strongest: f64,
    /// The right ones' share of the words that tie for the strongest.
    strongest: f64,
}

/// What is known of a sample's prompt.
struct Asked {
    words: SharedWords,
    /// The words that are ranked.
    ranked: Vec<bool>,
    /// The words where the cause should be.
    right: Vec<bool>,
}

impl Asked {
    /// Those of one value a word that are ranked.
    fn of_ranked<T: Copy>(&self, values: &[T]) -> Vec<T> {
        let values = values.iter().zip(&self.ranked);
        values.filter(|(_, ranked)| **ranked).map(|(value, _)| *value).collect()
    }
}

/// A model's maps, one for each group; none where the experiment does not say where the cause lies.
pub fn found_causes(experiment: &Experiment, records: &[SampleRecord]) -> Vec<FoundCause> {
    if experiment.expected.is_empty() {
        return vec![];
    }
    let subject = subject_segments(experiment);
    let all = subject.is_empty();
    let ranked = [subject.as_slice(), &experiment.expected].concat();
    let asked = |(sample, record): (&Sample, &SampleRecord)| {
        let words = SharedWords::of(&sample.prompt, experiment.prompt_style, record);
        Asked {
            ranked: words.within(&ranked).iter().map(|within| *within || all).collect(),
            right: words.within(&experiment.expected),
            words,
        }
    };
    let asked: Vec<Asked> = experiment.samples.iter().zip(records).map(asked).collect();
    let groups = groups(records);
    groups
        .iter()
        .filter_map(|group| FoundCause::of(group, &asked, &subject))
        .collect()
}

impl FoundCause {
    fn of(group: &Group<'_>, asked: &[Asked], subject: &[String]) -> Option<Self> {
        let mut maps: Vec<Finding> = Vec::new();
        let (mut strongest, mut strongest_of_prompt) = (Share::default(), Share::default());
        let mut controls: Vec<(ControlMap, Vec<(Finding, Finding)>)> =
            ControlMap::ALL.iter().map(|control| (*control, vec![])).collect();
        for member in &group.members {
            let Some(asked) = asked
                .get(member.sample)
                .filter(|_| is_drawable(member.map, member.record))
            else {
                continue;
            };
            let Some(scores) = asked.words.sums(&member.map.scores) else {
                continue;
            };
            let (ranked, right) = (asked.of_ranked(&scores.units), asked.of_ranked(&asked.right));
            let both = Finding::of(&ranked, &right).zip(Finding::of(&scores.units, &asked.right));
            let Some((map, of_prompt)) = both else { continue };
            maps.push(map);
            strongest.add(map.strongest == 1.0);
            strongest_of_prompt.add(of_prompt.strongest == 1.0);
            for (control, pairs) in &mut controls {
                let found = match control {
                    ControlMap::Shuffled => Finding::expected(&ranked, &right),
                    ControlMap::LastFirst => Finding::of(&by_place(right.len(), |place| place + 1), &right),
                    ControlMap::FirstFirst => Finding::of(&by_place(right.len(), |place| right.len() - place), &right),
                    ControlMap::Parameters => permuted(member, asked, subject)
                        .and_then(|scores| Finding::of(&asked.of_ranked(&scores.units), &right)),
                    // It is a claim about another answer, and no control here.
                    ControlMap::Option => None,
                };
                pairs.extend(found.map(|found| (map, found)));
            }
        }
        let mean = |number: fn(&Finding) -> f64| Estimate::over(&maps.iter().map(number).collect::<Vec<_>>());
        let mut found = Self {
            common: group.common.clone(),
            samples: maps.len(),
            average_precision: mean(|map| map.average_precision)?,
            among_strongest: mean(|map| map.among_strongest)?,
            strongest,
            strongest_of_prompt,
            controls: controls
                .iter()
                .filter_map(|(control, pairs)| AgainstTruth::of(*control, pairs))
                .collect(),
            standing: None,
            verdict: String::new(),
        };
        found.standing = found.controls.iter().map(|control| control.ahead.standing()).min();
        found.verdict = found.words();
        Some(found)
    }

    fn words(&self) -> String {
        let precision = &self.average_precision;
        let interval = precision.interval.map_or(String::new(), |Interval { low, high }| {
            format!(", 95% interval {} to {}", number(low, 2), number(high, 2))
        });
        let mut said = vec![format!(
            "The strongest word is an expected one on {} of {} samples; average precision {}{interval}.",
            self.strongest.count,
            self.strongest.of,
            number(precision.mean, 2)
        )];
        let rivals: Vec<Rival> = self
            .controls
            .iter()
            .map(|control| Rival {
                name: control.control.name(UnitKind::Word),
                ahead: control.ahead,
            })
            .collect();
        said.extend(sentences(&rivals));
        said.join(" ")
    }
}

impl AgainstTruth {
    fn of(control: ControlMap, pairs: &[(Finding, Finding)]) -> Option<Self> {
        let mean = |number: fn(&Finding) -> f64| {
            let values: Vec<f64> = pairs.iter().map(|(_, control)| number(control)).collect();
            Estimate::over(&values)
        };
        let differences: Vec<f64> = pairs
            .iter()
            .map(|(map, control)| map.average_precision - control.average_precision)
            .collect();
        Some(Self {
            control,
            average_precision: mean(|finding| finding.average_precision)?,
            among_strongest: mean(|finding| finding.among_strongest)?,
            strongest: mean(|finding| finding.strongest)?,
            ahead: Ahead::over(&differences)?,
        })
    }
}

/// Scores that look at nothing but the place of a word.
fn by_place(words: usize, score: impl Fn(usize) -> usize) -> Vec<f64> {
    (0..words).map(|place| score(place) as f64).collect()
}

/// The map of the model with permuted parameters by word, where it was a control of a test of this map.
fn permuted(member: &Member<'_>, asked: &Asked, subject: &[String]) -> Option<UnitScores> {
    let tests = member
        .map
        .faithfulness
        .iter()
        .filter(|test| test.units == UnitKind::Word);
    let map = tests
        .filter_map(|test| test.controls.parameters.as_ref())
        .find(|map| !map.scores.is_empty())?;
    asked
        .words
        .of_units(member.record, UnitKind::Word, subject, &map.scores)
}

impl Finding {
    /// Of word scores; none where no word is right.
    fn of(scores: &[f64], right: &[bool]) -> Option<Self> {
        let size: Vec<f64> = scores.iter().map(|score| score.abs()).collect();
        let wanted = right.iter().filter(|right| **right).count();
        if wanted == 0 {
            return None;
        }
        let (mut precision, mut among, mut hits, mut seen) = (0.0, 0.0, 0, 0);
        let mut strongest = None;
        for tie in ties(&size) {
            let new = tie.iter().filter(|word| right[**word]).count();
            strongest.get_or_insert(new as f64 / tie.len() as f64);
            let room = wanted.saturating_sub(seen).min(tie.len());
            among += new as f64 * room as f64 / tie.len() as f64;
            hits += new;
            seen += tie.len();
            precision += new as f64 / wanted as f64 * (hits as f64 / seen as f64);
        }
        Some(Self {
            average_precision: precision,
            among_strongest: among / wanted as f64,
            strongest: strongest.unwrap_or_default(),
        })
    }

    /// The mean over all ways to deal the scores out to the words.
    ///
    /// Of N words R are right. A tie of m words that ends at rank k adds Δ/R · (A + Δ)/k, with Δ right ones in it and A
    /// before it. E Δ² + E AΔ = m R/N + m (k − 1) R(R − 1)/(N(N − 1)).
    fn expected(scores: &[f64], right: &[bool]) -> Option<Self> {
        let size: Vec<f64> = scores.iter().map(|score| score.abs()).collect();
        let (n, r) = (size.len() as f64, right.iter().filter(|right| **right).count() as f64);
        if r == 0.0 {
            return None;
        }
        let mut seen = 0;
        let mut precision = 0.0;
        for tie in ties(&size) {
            seen += tie.len();
            let both = if n > 1.0 { (r - 1.0) / (n * (n - 1.0)) } else { 0.0 };
            precision += tie.len() as f64 / seen as f64 * (1.0 / n + (seen as f64 - 1.0) * both);
        }
        Some(Self {
            average_precision: precision,
            among_strongest: r / n,
            strongest: r / n,
        })
    }
}

/// Words of equal size, the largest first.
fn ties(size: &[f64]) -> Vec<Vec<usize>> {
    let order = largest(size, size.len());
    order
        .chunk_by(|a, b| size[*a] == size[*b])
        .map(<[usize]>::to_vec)
        .collect()
}

#[cfg(test)]
mod tests;
