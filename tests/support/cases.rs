//! Maps whose truth is known, for the claims about exactness: real models, several prompts, baselines and outputs, each map by the
//! rules of the engine and by a method of another kind that is as exact as float32 allows.
//!
//! Truth is what QUADPACK does: Gauss–Kronrod rules of 15 points on panels that are halved until the 7 Gauss points among them say
//! the same, in ln α where the path begins at zero. It shares nothing with the adaptive rule but the values of the model, and its
//! error is that difference, added up over panels without cancelling: far more than what it is really off by. What the values
//! themselves are worth is not asked here but in `reference.rs` and `own_reference.rs`.
#![allow(dead_code, reason = "each program uses a part")]

use std::path::Path;

use burn::tensor::DType;
use igsite::attribution::integral::{Attribution, Rule};
use igsite::attribution::integrated_gradients::{Explainer, Scalar, Start};
use igsite::attribution::quadrature::{self, Point};
use igsite::attribution::schedule::{self, Task};
use igsite::checkpoint::Checkpoint;
use igsite::content::experiment::{Batch, Output, Quadrature};
use igsite::content::project::{Project, Selection};
use igsite::model::device::Backend;
use igsite::tokenizer::{SpecialKind, Tokenizer};

use super::shared::shared;

/// Texts of the kind that stories260K was trained on.
const STORIES: [&str; 6] = [
    "Once upon a time, there was a little girl named Mia. She had a red",
    "The dog ran to the",
    "Ben wanted to play with the ball, but it was too",
    "One day, a big bird sat on the tree. It looked at the sun and said, \"I am so",
    "Sam was sad. He lost his toy car. His friend Lucy helped him look for it, and then they found it under the",
    "Once there was a small fish who lived in the sea. Every day the fish swam with his friends. They liked to play and sing. \
     One day a shark came, and the fish had to",
];

/// Where a model comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// The project's own, trained on its claims.
    Demo,
    /// A real Llama of 260,000 parameters, trained on stories; not part of the project.
    Stories,
    /// Random weights in the layouts of the notebook's four models; not part of the project.
    Reference,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Demo, Self::Stories, Self::Reference];

    /// As tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo models",
            Self::Stories => "stories260K",
            Self::Reference => "references",
        }
    }
}

/// A model with its prompts.
pub struct Model {
    pub name: String,
    pub family: Family,
    pub explainer: Explainer,
    /// The ids of each prompt's tokens.
    pub prompts: Vec<Vec<u32>>,
    /// The baselines that are asked for, by name.
    pub starts: [(&'static str, Start); 3],
}

/// What is read of the logits, by name.
pub const OUTPUTS: [&str; 5] = [
    "probability",
    "log-probability",
    "logit",
    "contrast of logits",
    "contrast of probabilities",
];

/// The baselines.
pub const BASELINES: [&str; 3] = ["zero", "mean", "token"];

/// What the adaptive rule is asked for.
pub const TOLERANCES: [f64; 3] = [0.05, 0.01, 0.001];

/// A map that is known, and what the engine says of it.
pub struct Case {
    pub model: String,
    pub family: Family,
    pub prompt: usize,
    pub baseline: &'static str,
    pub output: &'static str,
    pub truth: Truth,
    /// The adaptive rule's, by tolerance.
    pub adaptive: Vec<(f64, Attribution)>,
    /// Gauss–Legendre's, by number of points.
    pub gauss: Vec<(usize, Attribution)>,
}

impl Case {
    /// Names it.
    pub fn name(&self) -> String {
        let Self {
            model,
            prompt,
            baseline,
            output,
            ..
        } = self;
        format!("{model}, prompt {prompt}, {baseline} baseline, {output}")
    }

    /// Σ|score − truth|, in F's units.
    pub fn distance(&self, map: &Attribution) -> f64 {
        distance(&map.scores, &self.truth.scores)
    }

    /// The relative L1 error of a map of this case.
    pub fn error(&self, map: &Attribution) -> f64 {
        self.distance(map) / size(&self.truth.scores)
    }

    /// How many times the true error is larger than the stated one.
    pub fn ratio(&self, map: &Attribution) -> f64 {
        self.distance(map)
            / map
                .errors
                .as_ref()
                .expect("the rule states an error")
                .iter()
                .sum::<f64>()
    }
}

/// Σ|a − b|
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum()
}

/// Σ|a|
pub fn size(a: &[f64]) -> f64 {
    a.iter().map(|a| a.abs()).sum()
}

/// Names of layouts, as folders have them.
const LAYOUTS: [&str; 4] = ["llama", "mistral", "falcon", "orca"];
/// Prompts that are looked at of each model that has more.
const PROMPTS: usize = 2;

/// All models that are here. Why one is not is printed.
pub fn models() -> Vec<Model> {
    let mut models = demo_models();
    if let Some(folder) = shared("models/stories260K") {
        models.push(model("stories260K".to_owned(), Family::Stories, &folder, &STORIES));
    }
    for layout in LAYOUTS {
        let Some(folder) = shared(&format!("reference/{layout}")) else {
            continue;
        };
        let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
        let prompts = expected["prompts"].as_array().unwrap();
        let prompts = prompts.iter().map(|prompt| prompt["prompt"].as_str().unwrap());
        let prompts: Vec<&str> = prompts.take(PROMPTS).collect();
        models.push(model(
            format!("reference {layout}"),
            Family::Reference,
            &folder,
            &prompts,
        ));
    }
    models
}

/// The project's own, each with claims of its own.
pub fn demo_models() -> Vec<Model> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (project, _) = Project::load(root, &Selection::default()).expect("the demo project");
    let claims = project.experiments.iter().find(|experiment| experiment.id == "claims");
    let claims = &claims.expect("the demo's claims").samples;
    let demo = |(index, layout): (usize, &&str)| {
        let name = format!("demo-{layout}");
        let folder = root.join("content/models").join(&name);
        let claims = claims.iter().skip(index).step_by(LAYOUTS.len());
        let prompts: Vec<&str> = claims.map(|claim| &*claim.prompt.text).take(PROMPTS).collect();
        model(name, Family::Demo, &folder, &prompts)
    };
    LAYOUTS.iter().enumerate().map(demo).collect()
}

fn model(name: String, family: Family, folder: &Path, prompts: &[&str]) -> Model {
    let checkpoint = Checkpoint::open(folder).unwrap();
    let tokenizer = Tokenizer::open(folder).unwrap();
    let token = tokenizer
        .vocabulary_token(".")
        .or_else(|| tokenizer.special(SpecialKind::Bos));
    let ids = |text: &&str| {
        let tokens = tokenizer.encode(text).unwrap();
        tokens.iter().map(|token| token.id).collect()
    };
    Model {
        name,
        family,
        explainer: Explainer::load(&checkpoint, &Backend::cpu(), DType::F32).unwrap(),
        prompts: prompts.iter().map(ids).collect(),
        starts: [
            ("zero", Start::Zero),
            ("mean", Start::Mean),
            ("token", Start::Token(token.expect("a full stop or a first token"))),
        ],
    }
}

impl Model {
    /// The predicted token in each unit, and against the next best.
    pub fn scalars(&self, ids: &[u32]) -> [(&'static str, Scalar); 5] {
        let logits = self.explainer.logits(ids).unwrap();
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        let (token, next) = (order[0] as u32, order[1] as u32);
        let units = [
            (Output::Probability, None),
            (Output::LogProbability, None),
            (Output::Logit, None),
            (Output::Logit, Some(next)),
            (Output::Probability, Some(next)),
        ];
        let mut names = OUTPUTS.into_iter();
        units.map(|(output, minus)| (names.next().expect("a name each"), Scalar { token, output, minus }))
    }

    /// The predicted token's probability.
    pub fn probability(&self, ids: &[u32]) -> Scalar {
        self.scalars(ids)[0].1
    }

    /// One map after another along one path, sharing its forward passes.
    pub fn along(&mut self, ids: &[u32], start: Start, asked: Vec<(Scalar, Rule)>) -> Vec<Attribution> {
        let task = |(scalar, rule)| Task {
            ids: ids.to_vec(),
            start,
            scalar,
            rule,
        };
        let tasks: Vec<Task> = asked.into_iter().map(task).collect();
        let mut maps = vec![None; tasks.len()];
        schedule::run(
            &mut self.explainer,
            &tasks,
            Batch::Auto,
            &mut |_| (),
            &mut |task, map| {
                maps[task] = Some(map);
                Ok(())
            },
        )
        .unwrap();
        maps.into_iter().map(Option::unwrap).collect()
    }

    /// The cases of a prompt and baseline, `gauss` being the numbers of points of Gauss–Legendre rules to try beside. Prompts take
    /// turns at the two contrasts.
    pub fn cases(&mut self, prompt: usize, (baseline, start): (&'static str, Start), gauss: &[usize]) -> Vec<Case> {
        let ids = self.prompts[prompt].clone();
        let mut scalars = self.scalars(&ids).to_vec();
        scalars.remove(3 + prompt % 2);
        let mut asked = Vec::new();
        for &(_, scalar) in &scalars {
            asked.extend(TOLERANCES.map(|tolerance| (scalar, adaptive(tolerance))));
            asked.extend(gauss.iter().map(|&count| (scalar, gauss_legendre(count))));
        }
        let only: Vec<Scalar> = scalars.iter().map(|(_, scalar)| *scalar).collect();
        let truths = self.truths(&ids, start, &only);
        let mut maps = self.along(&ids, start, asked).into_iter();
        let mut next = || maps.next().expect("a map for each that was asked");
        let case = |((output, _), truth)| Case {
            model: self.name.clone(),
            family: self.family,
            prompt,
            baseline,
            output,
            truth,
            adaptive: TOLERANCES.map(|tolerance| (tolerance, next())).into(),
            gauss: gauss.iter().map(|&count| (count, next())).collect(),
        };
        scalars.into_iter().zip(truths).map(case).collect()
    }
}

/// The adaptive rule as experiments have it, with another tolerance.
pub fn adaptive(tolerance: f64) -> Rule {
    Rule::Adaptive {
        tolerance,
        max_evaluations: 4096,
    }
}

/// Gauss–Legendre as the notebook has it, with no error of its own.
pub fn gauss_legendre(count: usize) -> Rule {
    Rule::Fixed {
        points: quadrature::points(Quadrature::GaussLegendre, count),
        check: None,
    }
}

/// What a map is in truth.
pub struct Truth {
    /// The scores.
    pub scores: Vec<f64>,
    /// What they are off by at most, as a share of Σ|score|.
    pub error: f64,
    /// And what their sum is off by, likewise.
    pub delta: f64,
}

/// Where the first panels end, in ln α on a path from zero, and how wide they are from there on.
const LOG_PANELS: [(f64, f64); 4] = [(-60.0, 4.0), (-36.0, 1.0), (-16.0, 0.5), (0.0, 0.0)];
/// Elsewhere the panels are halves of what is left towards 0, so many times: a baseline can be all but zero.
const HALVES: i32 = 10;
/// A panel is halved whose difference is more than this share of Σ|score|,
const DIFFERENCE: f64 = 5e-6;
/// but not more often than this.
const HALVINGS: usize = 6;

impl Model {
    /// The truth of each scalar. A panel that one of them needs to be halved is halved for all, since they share its passes.
    pub fn truths(&mut self, ids: &[u32], start: Start, scalars: &[Scalar]) -> Vec<Truth> {
        let zero = start == Start::Zero;
        let mut panels: Vec<(f64, f64)> = if zero {
            let stretch = |pair: &[(f64, f64)]| {
                let [(from, width), (to, _)] = [pair[0], pair[1]];
                let count = ((to - from) / width).round() as usize;
                (0..count).map(move |i| (from + width * i as f64, from + width * (i + 1) as f64))
            };
            LOG_PANELS.windows(2).flat_map(stretch).collect()
        } else {
            let ends = (0..=HALVES).rev().map(|k| 0.5f64.powi(k));
            let mut from = 0.0;
            ends.map(|to| (std::mem::replace(&mut from, to), to)).collect()
        };
        let tokens = ids.len();
        let mut sums = vec![(vec![0.0; tokens], 0.0); scalars.len()];
        let mut ends = vec![];
        if zero {
            // What lies below the first panel, as the density there: next to nothing.
            let alpha = LOG_PANELS[0].0.exp();
            let points = vec![Point { alpha, weight: alpha }];
            let rule = Rule::Fixed { points, check: None };
            let maps = self.along(
                ids,
                start,
                scalars.iter().map(|&scalar| (scalar, rule.clone())).collect(),
            );
            sums = maps.into_iter().map(|map| (map.scores, 0.0)).collect();
        }
        for halved in 0..=HALVINGS {
            let rules: Vec<Rule> = panels.iter().map(|&panel| gauss_kronrod(panel, zero)).collect();
            let asked = rules
                .iter()
                .flat_map(|rule| scalars.iter().map(|&scalar| (scalar, rule.clone())));
            let maps = self.along(ids, start, asked.collect());
            ends = maps[..scalars.len()]
                .iter()
                .map(|map| map.f_input - map.f_baseline)
                .collect();
            let sizes: Vec<f64> = (0..scalars.len())
                .map(|index| {
                    let mut all = sums[index].0.clone();
                    let maps = maps.iter().skip(index).step_by(scalars.len());
                    maps.for_each(|map| add(&mut all, &map.scores));
                    size(&all)
                })
                .collect();
            let mut coarse = Vec::new();
            for (&(from, to), maps) in panels.iter().zip(maps.chunks(scalars.len())) {
                let difference = |map: &Attribution| map.errors.as_ref().expect("a check").iter().sum::<f64>();
                let exact = |(map, size): (&Attribution, &f64)| difference(map) <= DIFFERENCE * size;
                if halved == HALVINGS || maps.iter().zip(&sizes).all(exact) {
                    for ((sum, error), map) in sums.iter_mut().zip(maps) {
                        add(sum, &map.scores);
                        *error += difference(map);
                    }
                } else {
                    let middle = 0.5 * (from + to);
                    coarse.extend([(from, middle), (middle, to)]);
                }
            }
            panels = coarse;
            if panels.is_empty() {
                break;
            }
        }
        let truth = |((scores, error), change): ((Vec<f64>, f64), f64)| Truth {
            error: error / size(&scores),
            delta: (scores.iter().sum::<f64>() - change).abs() / size(&scores),
            scores,
        };
        sums.into_iter().zip(ends).map(truth).collect()
    }
}

fn add(to: &mut [f64], values: &[f64]) {
    to.iter_mut().zip(values).for_each(|(to, value)| *to += value);
}

/// The rule on a panel of ln α or α, with the Gauss rule among its points as its check.
fn gauss_kronrod((from, to): (f64, f64), zero: bool) -> Rule {
    let half = 0.5 * (to - from);
    let place = |x: f64| {
        if zero {
            (from + half * (1.0 + x)).exp()
        } else {
            from + half * (1.0 + x)
        }
    };
    // dα = α d(ln α)
    let point = |x: f64, weight: f64| Point {
        alpha: place(x),
        weight: half * weight * if zero { place(x) } else { 1.0 },
    };
    let gauss = kronrod().filter(|(_, _, gauss)| *gauss > 0.0);
    Rule::Fixed {
        points: kronrod().map(|(x, kronrod, _)| point(x, kronrod)).collect(),
        check: Some(gauss.map(|(x, _, gauss)| point(x, gauss)).collect()),
    }
}

/// QUADPACK's rule `qk15` on [−1, 1]: node, weight, and weight in the Gauss rule of 7 points, which every other node is one of.
fn kronrod() -> impl Iterator<Item = (f64, f64, f64)> {
    const HALF: [(f64, f64, f64); 8] = [
        (0.991_455_371_120_812_6, 0.022_935_322_010_529_224, 0.0),
        (
            0.949_107_912_342_758_5,
            0.063_092_092_629_978_56,
            0.129_484_966_168_869_7,
        ),
        (0.864_864_423_359_769_1, 0.104_790_010_322_250_18, 0.0),
        (
            0.741_531_185_599_394_5,
            0.140_653_259_715_525_92,
            0.279_705_391_489_276_64,
        ),
        (0.586_087_235_467_691_1, 0.169_004_726_639_267_9, 0.0),
        (
            0.405_845_151_377_397_2,
            0.190_350_578_064_785_4,
            0.381_830_050_505_118_93,
        ),
        (0.207_784_955_007_898_47, 0.204_432_940_075_298_9, 0.0),
        (0.0, 0.209_482_141_084_727_82, 0.417_959_183_673_469_4),
    ];
    let mirrored = HALF[..7].iter().map(|&(x, kronrod, gauss)| (-x, kronrod, gauss));
    mirrored.chain(HALF.iter().rev().copied())
}

/// That below which `share` of some numbers lie, between two of them in proportion: the median for a half.
pub fn quantile(values: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let place = share * values.len().checked_sub(1).expect("at least one number") as f64;
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// The largest of some numbers that are not negative.
pub fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, f64::max)
}
