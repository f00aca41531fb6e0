//! Tests of a map: does F follow it when parts of the prompt are taken away?
//!
//! docs/faithfulness.md defines each number with its source. Pure numbers: who computes F stands behind [`Removal`].
//!
//! A map is an order of the units, most relevant first, by its scores: a large positive score speaks for what is
//! explained, a negative one against it, so negative ones come last. Equal scores are in the order of the prompt. Units
//! are removed along the order (`morf`), or along the order from its other end (`lerf`). To keep the k most relevant
//! alone is to remove the N − k least relevant, so `keep` is `lerf` read from its end, and costs nothing.
//!
//! What is random depends on nothing but the seed and the number of units, so that the masks of shuffles, positions,
//! halves and bounds are the same for all maps of one F, and an engine that remembers computes them once. The
//! generator is [`crate::random::SplitMix64`], started at the seed. First come the halves: an output for each unit of
//! each, whose highest bit says whether the unit is removed. Then the orders of the shuffles: each is drawn as
//! [`crate::random`] draws all of 0 … N−1.

mod bounds;
mod shuffles;
mod values;

#[cfg(test)]
mod tests;

use crate::attribution::removal::Removal;
use crate::diagnostic::{Diagnostic, Result};
use crate::random::SplitMix64;
use crate::ranks::{descending, spearman};
use crate::terms::{
    Baseline, Bins, Bounds, Cascaded, Controls, Curves, Faithfulness, Interval, Normalised, NormalisedNumbers,
    OtherMap, PositionControl, TestNumbers, UnitKind,
};

use values::{Mask, Stop, Values};

/// How a map is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Width of the beam search for the bounds; 0: nothing is normalised.
    pub beam: usize,
    /// What everything random is drawn by.
    pub seed: u64,
    /// How often the scores are dealt out anew, for the control `shuffled`.
    pub shuffles: usize,
    /// Random halves of the units, for the correlation.
    pub halves: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            beam: 5,
            seed: 0,
            shuffles: 20,
            halves: 64,
        }
    }
}

/// A map to test; all lists of scores have one for each unit.
#[derive(Clone, Debug)]
pub struct Tested<'a> {
    /// What a removed unit becomes; the result says so.
    pub replacement: Baseline,
    /// What units are; the result says so.
    pub units: UnitKind,
    /// The map's score of each unit.
    pub scores: &'a [f64],
    /// Whether the map's scores are also dealt out at random.
    pub shuffled: bool,
    /// Whether they are also dealt out by position.
    pub position: bool,
    /// The scores of the model with permuted parameters, for that control.
    pub parameters: Option<&'a [f64]>,
    /// The scores of the model with permuted parameters in its last layer, its last two, …; nothing where they are not
    /// known.
    pub cascading: Option<&'a [Vec<f64>]>,
    /// The scores of another target, for that control.
    pub option: Option<&'a [f64]>,
}

/// Scores with the order that they give.
#[derive(Clone, Debug, PartialEq)]
struct Ranked {
    scores: Vec<f64>,
    /// Units, most relevant first.
    order: Vec<usize>,
}

impl Ranked {
    fn of(scores: Vec<f64>) -> Self {
        let order = descending(&scores);
        Self { scores, order }
    }

    fn units(&self) -> usize {
        self.order.len()
    }

    /// The masks of its curves: 0 to N units removed, from the most relevant on, and from the least relevant on.
    fn masks(&self) -> (Vec<Mask>, Vec<Mask>) {
        let removed = |units: &mut dyn Iterator<Item = &usize>| {
            let mut mask = vec![false; self.units()];
            let mut masks = vec![mask.clone()];
            for &unit in units {
                mask[unit] = true;
                masks.push(mask.clone());
            }
            masks
        };
        (removed(&mut self.order.iter()), removed(&mut self.order.iter().rev()))
    }
}

/// Everything that is put to the same test.
struct Plan {
    map: Ranked,
    shuffled: Vec<Ranked>,
    /// The last first, and the first first.
    position: Vec<Ranked>,
    parameters: Option<Ranked>,
    option: Option<Ranked>,
    halves: Vec<Mask>,
}

impl Plan {
    fn of(tested: &Tested<'_>, settings: &Settings) -> Self {
        let count = tested.scores.len();
        let mut random = SplitMix64::new(settings.seed);
        let halves: Vec<Mask> = (0..settings.halves)
            .map(|_| (0..count).map(|_| random.next_u64() >> 63 == 1).collect())
            .collect();
        let shuffles = if tested.shuffled { settings.shuffles } else { 0 };
        let dealt = |order: &[usize]| Ranked::of(shuffles::deal(tested.scores, order));
        let orders = shuffles::orders(count, shuffles, &mut random);
        let forwards: Vec<usize> = (0..count).collect();
        let backwards: Vec<usize> = (0..count).rev().collect();
        let other = |scores: Option<&[f64]>| {
            let finite = scores.filter(|scores| scores.iter().all(|score| score.is_finite()));
            finite.map(|scores| Ranked::of(scores.to_vec()))
        };
        Self {
            map: Ranked::of(tested.scores.to_vec()),
            shuffled: orders.iter().map(|order| dealt(order)).collect(),
            position: match tested.position {
                true => vec![dealt(&backwards), dealt(&forwards)],
                false => vec![],
            },
            parameters: other(tested.parameters),
            option: other(tested.option),
            halves,
        }
    }

    /// All that is an order of removal.
    fn ranked(&self) -> impl Iterator<Item = &Ranked> {
        let controls = self.shuffled.iter().chain(&self.position);
        let others = self.parameters.iter().chain(&self.option);
        std::iter::once(&self.map).chain(controls).chain(others)
    }
}

/// Puts a map to the test.
///
/// F is asked for in as few batches as can be, and for each set of removed units once: first for all that is known
/// beforehand, then once for each step of the search for the bounds. What the model answers is asked for masks whose F
/// was asked for before, so that it can be remembered from the same pass. A map without units has no numbers; where F
/// is not finite the result says so, and has none either.
///
/// # Errors
/// The model fails, or a list has not one score for each unit.
pub fn test(removal: &mut dyn Removal, tested: &Tested<'_>, settings: &Settings) -> Result<Faithfulness> {
    let count = removal.units();
    let lists = [Some(tested.scores), tested.parameters, tested.option];
    if let Some(scores) = lists.into_iter().flatten().find(|scores| scores.len() != count) {
        let found = format!("a map has {} scores for {count} units", scores.len());
        return Err(Diagnostic::compute(found).expected("one for each unit that can be removed"));
    }
    let mut result = Faithfulness {
        replacement: tested.replacement.clone(),
        // Of names alone; whoever knows the map's own vector tells.
        own_baseline: false,
        units: tested.units,
        count,
        failed: None,
        order: vec![],
        curves: None,
        bins: Bins::Each,
        comprehensiveness: None,
        sufficiency: None,
        normalised: None,
        flip: None,
        lds: None,
        controls: Controls::default(),
        seed: settings.seed,
        evaluations: 0,
    };
    if count == 0 {
        return Ok(result);
    }
    if !tested.scores.iter().all(|score| score.is_finite()) {
        result.failed = Some("the map has scores that are not finite numbers".to_owned());
        return Ok(result);
    }
    let mut values = Values::of(removal);
    match measure(&mut values, tested, settings, &mut result) {
        Ok(()) => {}
        Err(Stop::Error(error)) => return Err(error),
        Err(Stop::NotFinite { removed, value }) => {
            result.failed = Some(format!(
                "F is {value} with {removed} of {count} {} removed",
                plural(tested.units)
            ));
        }
    }
    result.evaluations = values.evaluations();
    Ok(result)
}

fn plural(units: UnitKind) -> &'static str {
    match units {
        UnitKind::Token => "tokens",
        UnitKind::Word => "words",
        UnitKind::Sentence => "sentences",
        UnitKind::Segment => "segments",
    }
}

/// Fills in the numbers; of a test that stops on the way, none.
fn measure(
    values: &mut Values<'_>,
    tested: &Tested<'_>,
    settings: &Settings,
    result: &mut Faithfulness,
) -> Result<(), Stop> {
    let plan = Plan::of(tested, settings);
    let count = plan.map.units();
    let masks: Vec<_> = plan.ranked().map(Ranked::masks).collect();
    let mut wanted: Vec<Mask> = masks
        .iter()
        .flat_map(|(morf, lerf)| morf.iter().chain(lerf).cloned())
        .collect();
    wanted.extend(plan.halves.iter().cloned());
    if settings.beam > 0 {
        wanted.extend(bounds::first(count));
    }
    values.need(wanted)?;
    let found = match settings.beam {
        0 => None,
        beam => Some(bounds::search(values, count, bounds::width(count, beam))?),
    };
    let mut runs = Vec::with_capacity(masks.len());
    for (ranked, (morf, lerf)) in plan.ranked().zip(&masks) {
        runs.push(Run::of(values, ranked, (morf, lerf), &plan.halves)?);
    }
    let bounds = found.and_then(|found| Limits::of(&found, &runs));
    let mut runs = runs.into_iter().map(|run| (run.numbers(bounds.as_ref()), run));
    let (numbers, run) = runs.next().expect("the map itself is tested");
    let shuffles: Vec<_> = runs.by_ref().take(plan.shuffled.len()).collect();
    let mut next = || runs.next().map(|(numbers, _)| numbers);
    let position = match plan.position.len() {
        0 => None,
        _ => next().zip(next()),
    };
    let mut other = |scores: Option<&[f64]>, ranked: Option<&Ranked>| {
        scores?;
        let Some(ranked) = ranked else {
            return Some(OtherMap::default());
        };
        Some(OtherMap {
            numbers: next().unwrap_or_default(),
            spearman: spearman(&magnitudes(&plan.map.scores), &magnitudes(&ranked.scores)),
            scores: ranked.scores.clone(),
        })
    };
    let parameters = other(tested.parameters, plan.parameters.as_ref());
    let option = other(tested.option, plan.option.as_ref()).map(|option| OtherMap {
        scores: vec![],
        ..option
    });

    let shuffled_runs: Vec<&Run> = shuffles.iter().map(|(_, run)| run).collect();
    result.curves = Some(Curves {
        shuffled: shuffles::curves(&shuffled_runs),
        ..run.curves()
    });
    result.comprehensiveness = numbers.comprehensiveness;
    result.sufficiency = numbers.sufficiency;
    result.normalised = bounds.zip(numbers.normalised).map(|(bounds, numbers)| Normalised {
        comprehensiveness: numbers.comprehensiveness,
        sufficiency: numbers.sufficiency,
        bounds: bounds.0,
        beam: settings.beam,
    });
    result.flip = numbers.flip;
    result.lds = numbers.lds;
    let shuffled_numbers: Vec<TestNumbers> = shuffles.iter().map(|(numbers, _)| *numbers).collect();
    result.controls = Controls {
        shuffled: shuffles::summary(&numbers, &shuffled_numbers),
        position: position.map(|(last_first, first_first)| PositionControl {
            last_first,
            first_first,
        }),
        parameters,
        cascading: tested.cascading.map(|maps| cascade(&plan.map.scores, maps)),
        option,
    };
    result.order = plan.map.order;
    Ok(())
}

/// What is left of a map's ranks in those of each permuted model.
fn cascade(scores: &[f64], maps: &[Vec<f64>]) -> Vec<Cascaded> {
    let stage = |(index, other): (usize, &Vec<f64>)| {
        let is_whole = other.len() == scores.len() && other.iter().all(|score| score.is_finite());
        Cascaded {
            layers: index + 1,
            spearman: is_whole
                .then(|| spearman(&magnitudes(scores), &magnitudes(other)))
                .flatten(),
        }
    };
    maps.iter().enumerate().map(stage).collect()
}

fn magnitudes(scores: &[f64]) -> Vec<f64> {
    scores.iter().map(|score| score.abs()).collect()
}

/// F along an order of removal, from both its ends.
struct Run {
    /// With 0 to N units removed, most relevant first.
    morf: Vec<f64>,
    /// The same, least relevant first.
    lerf: Vec<f64>,
    flip: Option<usize>,
    lds: Option<f64>,
}

impl Run {
    fn of(
        values: &mut Values<'_>,
        ranked: &Ranked,
        (morf, lerf): (&[Mask], &[Mask]),
        halves: &[Mask],
    ) -> Result<Self, Stop> {
        let kept = |half: &Mask| -> f64 {
            let kept = ranked.scores.iter().zip(half).filter(|(_, removed)| !**removed);
            kept.map(|(score, _)| score).sum()
        };
        let sums: Vec<f64> = halves.iter().map(kept).collect();
        Ok(Self {
            morf: values.along(morf),
            lerf: values.along(lerf),
            flip: values.flip(morf)?,
            lds: spearman(&values.along(halves), &sums),
        })
    }

    fn units(&self) -> usize {
        self.morf.len() - 1
    }

    /// Mean over k = 1 … N of F(x) − F(x without the first k of `curve`).
    fn drop(&self, curve: &[f64]) -> f64 {
        let drops = curve[1..].iter().map(|value| curve[0] - value);
        drops.sum::<f64>() / self.units() as f64
    }

    /// Mean over k = 1 … N of F(x) − F(x with the k most relevant units only): what is removed are the N − k others.
    fn sufficiency(&self) -> f64 {
        let drops = self.lerf[..self.units()].iter().map(|value| self.lerf[0] - value);
        drops.sum::<f64>() / self.units() as f64
    }

    fn numbers(&self, limits: Option<&Limits>) -> TestNumbers {
        let (comprehensiveness, sufficiency) = (self.drop(&self.morf), self.sufficiency());
        TestNumbers {
            comprehensiveness: Some(comprehensiveness),
            sufficiency: Some(sufficiency),
            normalised: limits.map(|Limits(bounds)| NormalisedNumbers {
                comprehensiveness: within(comprehensiveness, bounds.comprehensiveness),
                sufficiency: within(sufficiency, bounds.sufficiency),
            }),
            flip: self.flip,
            lds: self.lds,
        }
    }

    fn curves(&self) -> Curves {
        let share = |count: usize| count as f64 / self.units() as f64;
        let points = |values: &mut dyn Iterator<Item = &f64>| {
            let points = values.enumerate().map(|(count, value)| (share(count), *value));
            points.collect()
        };
        Curves {
            morf: points(&mut self.morf.iter()),
            lerf: points(&mut self.lerf.iter()),
            keep: points(&mut self.lerf.iter().rev()),
            shuffled: None,
        }
    }
}

/// The place of a value between bounds: 0 at the lower, 1 at the upper. Sums of the same numbers in another order may
/// differ in the last digit, so what lies outside by that is at the bound.
fn within(value: f64, Interval { low, high }: Interval) -> f64 {
    ((value - low) / (high - low)).clamp(0.0, 1.0)
}

/// Differences of F below this share of its size are rounding: models compute in float32.
const ROUNDING: f64 = 1e-6;

/// Bounds between which there is room.
struct Limits(Bounds);

impl Limits {
    /// What the search found, and what any order that was tested reached: the search may have missed it. None where
    /// there is no room between them.
    fn of(found: &bounds::Found, runs: &[Run]) -> Option<Self> {
        let first = runs.first()?;
        let (input, count) = (first.morf[0], first.units() as f64);
        let removed = first.morf[first.units()];
        let mut drops = Interval {
            low: input - found.largest / count,
            high: input - found.smallest / count,
        };
        for drop in runs.iter().flat_map(|run| [run.drop(&run.morf), run.drop(&run.lerf)]) {
            drops.low = drops.low.min(drop);
            drops.high = drops.high.max(drop);
        }
        let size = runs
            .iter()
            .flat_map(|run| &run.morf)
            .fold(0f64, |size, value| size.max(value.abs()));
        if drops.high - drops.low <= ROUNDING * size {
            return None;
        }
        // An order read from its other end keeps what it removed: the sums have the same terms but for both ends.
        let shift = (input - removed) / count;
        Some(Self(Bounds {
            comprehensiveness: drops,
            sufficiency: Interval {
                low: drops.low - shift,
                high: drops.high - shift,
            },
            exact: found.exact,
        }))
    }
}
