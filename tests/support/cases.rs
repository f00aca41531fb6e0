//! Maps whose truth is known, for the claims about exactness: real models, several prompts, baselines and outputs,
//! each map by the rules of the engine and by the method of `truth.rs`.
#![allow(dead_code, reason = "each program uses a part")]

use std::path::Path;
use std::sync::Arc;

use burn::tensor::DType;
use igsite::attribution::integral::Nodes;
use igsite::attribution::integrated_gradients::{Explainer, Scalar};
use igsite::attribution::methods::{Attribution, Prepared};
use igsite::attribution::quadrature;
use igsite::attribution::schedule::{self, Task};
use igsite::checkpoint::Checkpoint;
use igsite::content::project::{Project, Selection};
use igsite::hub::Hub;
use igsite::model::device::Backend;
use igsite::terms::{BaselineVector, Batch, Output, Quadrature, Routing};
use igsite::tokenizer::{SpecialKind, Tokenizer};

use super::needs::shared;
use super::truth::Truth;

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
    pub starts: [(&'static str, BaselineVector); 3],
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
    let (project, _) = Project::load(root, &Selection::default(), &Hub::new(true, true)).expect("the demo project");
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

/// The model in a folder.
pub fn model(name: String, family: Family, folder: &Path, prompts: &[&str]) -> Model {
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
            ("zero", BaselineVector::Zero),
            ("mean", BaselineVector::Mean),
            (
                "token",
                BaselineVector::Token(token.expect("a full stop or a first token")),
            ),
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
    pub fn along(&mut self, ids: &[u32], start: BaselineVector, asked: Vec<(Scalar, Nodes)>) -> Vec<Attribution> {
        let task = |(scalar, nodes)| Task {
            forced: vec![],
            given: 0,
            ids: ids.to_vec(),
            start,
            routing: Routing::Free,
            units: vec![],
            scalar,
            method: Prepared::Path(Arc::new(nodes)),
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

    /// The cases of a prompt and baseline, `gauss` being the numbers of points of Gauss–Legendre rules to try beside.
    /// Prompts take turns at the two contrasts.
    pub fn cases(
        &mut self,
        prompt: usize,
        (baseline, start): (&'static str, BaselineVector),
        gauss: &[usize],
    ) -> Vec<Case> {
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
pub fn adaptive(tolerance: f64) -> Nodes {
    Nodes::Adaptive {
        tolerance,
        max_evaluations: 4096,
    }
}

/// Gauss–Legendre as the notebook has it, with no error of its own.
pub fn gauss_legendre(count: usize) -> Nodes {
    Nodes::Fixed {
        points: quadrature::points(Quadrature::GaussLegendre, count).into(),
        check: None,
    }
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
