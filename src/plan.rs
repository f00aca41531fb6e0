//! Experiments × models × samples to jobs, each with the keys of what it needs.
//!
//! Planning opens checkpoints and tokenizers, and finds every error that these can show, but loads no weights and
//! computes nothing.

pub mod frozen;
mod generation;
pub mod kept;
mod models;
mod sample;
pub mod stored;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use generation::generation;
pub use models::{ModelFacts, OpenedModel, Sources, Weights, located, named_models, open_model, open_models, warn};

use self::kept::{StoredGenerationPlan, StoredPlans};
use self::sample::{One, Problem};
use crate::attribution::adaptive::LOWEST_LOG;
use crate::attribution::integrated_gradients::Scalar;
use crate::chat::Chat;
use crate::content::dataset::Sample;
use crate::content::experiment::Experiment;
use crate::content::names::shortened;
use crate::content::project::Project;
use crate::content::prompt::Prompt;
use crate::content::subject::subject_segments;
use crate::content::units::Units;
use crate::diagnostic::{Diagnostic, Diagnostics, Result};
use crate::store::StoredGeneration;
use crate::store::key::{AttributionKey, Key, PredictionKey, TESTS_VERSION, TestKey};
use crate::terms::{
    Baseline, BaselineVector, Control, Method, MethodWithSettings, Output, PromptStyle, Target, TargetKind, Token,
    UnitKind,
};
use crate::tokenizer::SpecialKind;

/// One experiment with one model.
#[derive(Debug)]
pub struct Run<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// Id of the model.
    pub model: &'a str,
    /// The model's chat template, where the experiment uses it.
    pub chat: Option<Chat>,
    /// Where paths start: what the author wrote, and which vector that is.
    pub baselines: Vec<(Baseline, BaselineVector)>,
    /// What removed units become where maps are tested.
    pub replacements: Vec<(Baseline, BaselineVector)>,
    /// The tokens that end what the model says in its own words.
    pub stop: Vec<u32>,
    /// How many tokens the model knows.
    pub vocabulary: usize,
    /// The segments whose words are removed where maps are tested.
    pub subject: Vec<String>,
    /// One for each sample.
    pub jobs: Vec<Job<'a>>,
}

/// A method as a prompt has it.
#[derive(Clone, Debug)]
pub struct Applied {
    /// With its settings.
    pub method: MethodWithSettings,
    /// The places of the tokens of each unit that it takes away; none for a method that takes none away.
    pub units: Vec<Vec<usize>>,
}

/// One sample with one model.
#[derive(Debug)]
pub struct Job<'a> {
    /// The sample.
    pub sample: &'a Sample,
    /// The prompt as this model gets it: the sample's own, or that within the model's chat template.
    pub prompt: Cow<'a, Prompt>,
    /// The prompt's tokens.
    pub tokens: Vec<Token>,
    /// The forward pass it needs.
    pub prediction: PredictionKey,
    /// Each option's letter and tokens, in the experiment's order; several only where the output is a log-probability.
    pub options: Vec<(&'a str, Vec<u32>)>,
    /// What is explained.
    pub targets: Vec<PlannedTarget>,
    /// Where paths start: what the author wrote, and which vector that is.
    pub baselines: Vec<(Baseline, BaselineVector)>,
    /// Whether its maps are tested.
    pub tested: bool,
    /// What a stored plan knows of the generation.
    pub generation: Option<StoredGenerationPlan>,
}

/// What is explained, as far as it is known before the model ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTarget {
    /// What kind of thing it is.
    pub kind: TargetKind,
    /// One token, the last of an answer of several; or two for a contrast, the first minus the second; none of what the
    /// model is yet to generate.
    tokens: Vec<TargetToken>,
    /// The tokens before it in an answer of several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forced: Vec<u32>,
    /// The author's own text as it was written, of `text` only: tokens together read as without the space before them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What is explained, once the model has said what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTarget {
    /// What kind of thing it is.
    pub kind: TargetKind,
    /// One token, the last of an answer of several; or two for a contrast, the first minus the second.
    pub ids: Vec<u32>,
    /// The tokens between the prompt and it.
    pub forced: Vec<u32>,
    /// How many of their first are only given to the model, and not counted in F.
    pub given: usize,
    /// The author's own text as it was written, of `text` only.
    pub text: Option<String>,
}

impl KnownTarget {
    /// What is read of the model's outputs.
    pub fn scalar(&self, output: Output) -> Scalar {
        Scalar::of(&self.ids, output)
    }

    /// The tokens that F counts: all of an answer of several, or two of a contrast.
    pub fn counted(&self) -> Vec<u32> {
        [&self.forced[self.given..], &self.ids].concat()
    }

    /// Whether its text is that of several tokens together, or of one that the model chose among others; not the author's.
    pub fn is_joined(&self) -> bool {
        self.text.is_none() && (!self.forced.is_empty() || self.kind == TargetKind::Generated)
    }

    /// The tokens behind the prompt that are only given.
    pub fn given_ids(&self) -> &[u32] {
        &self.forced[..self.given]
    }
}

/// What a model generated behind a prompt.
#[derive(Clone, Copy, Debug)]
struct Said<'a> {
    /// What it was given between the prompt and its own words.
    given: &'a [u32],
    tokens: &'a [u32],
}

/// A token that may not be known yet; as data its id, or null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<u32>", into = "Option<u32>")]
pub enum TargetToken {
    /// Whatever the model predicts.
    Predicted,
    /// This one.
    Known(u32),
}

impl TargetToken {
    /// The token, once the prediction is known.
    pub fn id(self, predicted: u32) -> u32 {
        match self {
            Self::Predicted => predicted,
            Self::Known(id) => id,
        }
    }
}

impl From<Option<u32>> for TargetToken {
    fn from(id: Option<u32>) -> Self {
        id.map_or(Self::Predicted, Self::Known)
    }
}

impl From<TargetToken> for Option<u32> {
    fn from(token: TargetToken) -> Self {
        match token {
            TargetToken::Predicted => None,
            TargetToken::Known(id) => Some(id),
        }
    }
}

impl PlannedTarget {
    /// One token, behind others that are `forced` where it is the last of an answer of several.
    pub fn one(kind: TargetKind, token: TargetToken, forced: Vec<u32>) -> Self {
        Self {
            kind,
            tokens: vec![token],
            forced,
            text: None,
        }
    }

    /// A text of the author's.
    pub fn text(text: &str, token: TargetToken, forced: Vec<u32>) -> Self {
        Self {
            text: Some(text.to_owned()),
            ..Self::one(TargetKind::Text, token, forced)
        }
    }

    /// One token minus another.
    pub fn contrast(first: TargetToken, second: TargetToken) -> Self {
        Self {
            kind: TargetKind::Contrast,
            tokens: vec![first, second],
            forced: vec![],
            text: None,
        }
    }

    /// What the model generates, which nobody knows yet.
    pub fn generated() -> Self {
        Self {
            kind: TargetKind::Generated,
            tokens: vec![],
            forced: vec![],
            text: None,
        }
    }

    /// Whether two tokens are there for a contrast, none for what is generated, and one for anything else.
    pub fn makes_sense(&self) -> bool {
        self.tokens.len()
            == match self.kind {
                TargetKind::Contrast => 2,
                TargetKind::Generated => 0,
                _ => 1,
            }
    }

    /// The tokens that are known before the model ran, those of the answer before them too.
    pub fn known_ids(&self) -> impl Iterator<Item = u32> {
        let known = self.tokens.iter().filter_map(|&token| Option::from(token));
        known.chain(self.forced.iter().copied())
    }

    /// With the predicted token and the generated ones in their places; none where nothing was generated.
    fn known(&self, predicted: u32, said: Option<Said<'_>>) -> Option<KnownTarget> {
        let kind = self.kind;
        if kind != TargetKind::Generated {
            return Some(KnownTarget {
                kind,
                ids: self.tokens.iter().map(|token| token.id(predicted)).collect(),
                forced: self.forced.clone(),
                given: 0,
                text: self.text.clone(),
            });
        }
        let said = said?;
        let (last, before) = said.tokens.split_last()?;
        Some(KnownTarget {
            kind,
            ids: vec![*last],
            forced: [said.given, before].concat(),
            given: said.given.len(),
            text: None,
        })
    }
}

impl Job<'_> {
    /// What is explained, once the prediction is known, and what the model generated where it is asked to; none where
    /// there is nothing to explain.
    ///
    /// # Errors
    /// Generated text is explained, and what the model went on from does not begin with the prompt's tokens.
    pub fn known_targets(
        &self,
        predicted: u32,
        generation: Option<&StoredGeneration>,
    ) -> Result<Vec<Option<KnownTarget>>> {
        let explained = self.targets.iter().any(|target| target.kind == TargetKind::Generated);
        let said = match generation.filter(|_| explained) {
            Some(found) => Some(Said {
                given: self.given(&found.key.token_ids)?,
                tokens: &found.token_ids,
            }),
            None => None,
        };
        Ok(self
            .targets
            .iter()
            .map(|target| target.known(predicted, said))
            .collect())
    }

    /// What stands between the prompt and the model's own words, in the tokens of the text that it goes on from.
    fn given<'i>(&self, ids: &'i [u32]) -> Result<&'i [u32]> {
        ids.strip_prefix(self.prediction.token_ids.as_slice()).ok_or_else(|| {
            Diagnostic::content(
                "the target `generated`: the tokens of the text that the model goes on from do not begin with the \
                 prompt's, since the end of the prompt joins with what follows it into other tokens",
            )
            .expected("the prompt's own tokens, then others")
            .help("end the prompt so that what follows it in `generate.prompt` begins a token, as `Choice: (` does")
        })
    }

    /// The keys of all its attributions, once it is known what is explained: methods outer, then targets, baselines
    /// inner.
    pub fn attribution_keys(&self, experiment: &Experiment, targets: &[Option<KnownTarget>]) -> Vec<AttributionKey> {
        let mut keys = Vec::new();
        for &method in &experiment.attribution.methods {
            let applied = self.applied(experiment, method);
            for target in targets.iter().flatten() {
                let starts = self.baselines.iter();
                keys.extend(starts.map(|&(_, start)| self.attribution_key(experiment, &applied, target, start)));
            }
        }
        keys
    }

    /// The places of the tokens of each unit of the prompt; with `within`, of those segments alone.
    pub fn units(&self, kind: UnitKind, within: Option<&[String]>) -> Vec<Vec<usize>> {
        Units::of(&self.prompt.text, &self.prompt.segments).tokens(kind, &self.prompt.text, &self.tokens, within)
    }

    /// The keys of the tests of its maps, once it is known what is explained: for each map, in the order of
    /// [`Self::attribution_keys`], one for each replacement. None where they are not tested.
    pub fn test_keys(&self, run: &Run, targets: &[Option<KnownTarget>]) -> Vec<Vec<TestKey>> {
        let Some(spec) = run.experiment.faithfulness.as_ref().filter(|_| self.tested) else {
            return vec![];
        };
        let units = self.units(spec.units, Some(&run.subject));
        let maps = self.attribution_keys(run.experiment, targets);
        let of_map = |map: &AttributionKey| {
            let controls = &spec.controls;
            // The first other target of the same method and baseline.
            let other = |key: &&AttributionKey| {
                key.method == map.method && key.baseline == map.baseline && key.explained() != map.explained()
            };
            let other = maps.iter().find(other).filter(|_| controls.contains(&Control::Option));
            let permuted = controls
                .contains(&Control::Parameters)
                .then(|| self.permuted(map, spec.seed, None));
            let of_replacement = |&(_, replacement): &(Baseline, BaselineVector)| TestKey {
                tests: TESTS_VERSION,
                map: map.name(),
                replacement,
                units: units.clone(),
                controls: controls.clone(),
                permuted: permuted.as_ref().map(Key::name),
                other: other.map(Key::name),
                beam: spec.beam,
                seed: spec.seed,
            };
            run.replacements.iter().map(of_replacement).collect()
        };
        maps.iter().map(of_map).collect()
    }

    /// The key of the same map of the model with permuted parameters: of all layers, or of so many of the last.
    pub fn permuted(&self, map: &AttributionKey, seed: u64, layers: Option<usize>) -> AttributionKey {
        let mut key = map.clone();
        key.model.permuted = Some(seed);
        key.model.permuted_layers = layers;
        key
    }

    /// A method as this prompt has it.
    pub fn applied(&self, experiment: &Experiment, method: Method) -> Applied {
        let method = experiment.attribution.with_settings(method);
        Applied {
            method,
            units: method.units().map_or_else(Vec::new, |kind| self.units(kind, None)),
        }
    }

    /// The key of an attribution, once the prediction is known.
    pub fn attribution_key(
        &self,
        experiment: &Experiment,
        applied: &Applied,
        target: &KnownTarget,
        start: BaselineVector,
    ) -> AttributionKey {
        AttributionKey {
            model: self.prediction.model.clone(),
            token_ids: self.prediction.token_ids.clone(),
            target: target.ids.clone(),
            forced: target.forced.clone(),
            given: target.given,
            units: applied.units.clone(),
            output: experiment.attribution.output,
            baseline: start,
            routing: experiment.attribution.routing,
            method: applied.method,
        }
    }
}

/// One run for each experiment and model, in the authors' order.
///
/// # Errors
/// Collected in `diagnostics`: an option, target or baseline that is not one token of a model's tokenizer, a prompt
/// without tokens. Each is reported once for each model, with the first sample that has it.
pub fn runs<'a>(
    project: &'a Project,
    models: &BTreeMap<String, OpenedModel>,
    diagnostics: &mut Diagnostics,
) -> Vec<Run<'a>> {
    runs_with(project, models, &StoredPlans::new(), diagnostics)
}

/// As [`runs`], but a tokenizer is used only for samples that have no valid stored plan.
pub fn runs_with<'a>(
    project: &'a Project,
    models: &BTreeMap<String, OpenedModel>,
    kept: &StoredPlans,
    diagnostics: &mut Diagnostics,
) -> Vec<Run<'a>> {
    let mut runs = Vec::new();
    for experiment in &project.experiments {
        for id in &experiment.models {
            let Some(model) = models.get(id) else { continue };
            let mut planner = Planner {
                experiment,
                model,
                diagnostics,
                told: BTreeSet::new(),
            };
            let baselines = planner.baselines();
            let replacements = planner.replacements(&baselines);
            let chat = match planner.chat() {
                Ok(chat) => chat,
                Err(error) => {
                    planner.tell(&["prompt_style"], None, error);
                    continue;
                }
            };
            let template = chat.as_ref().map(Chat::template_sha256);
            let kept = kept.get(&(experiment.id.clone(), id.clone()));
            let kept = kept
                .filter(|kept| kept.head.key == model.key && kept.stale(experiment, &model.spec, template).is_none());
            let one = &planner.one();
            let planned: Vec<(Option<Job>, Vec<Problem>)> = experiment
                .samples
                .par_iter()
                .map(|sample| {
                    let kept = kept.and_then(|kept| kept.job(experiment, sample, &baselines));
                    let mut problems = Vec::new();
                    let job = match kept {
                        Some(job) => Some(job),
                        None => one.job(sample, chat.as_ref(), &baselines, &mut problems),
                    };
                    if let Some(job) = &job {
                        one.check_context(job, &mut problems);
                    }
                    (job, problems)
                })
                .collect();
            let mut jobs = Vec::with_capacity(planned.len());
            for ((job, problems), sample) in planned.into_iter().zip(&experiment.samples) {
                for (way, error) in problems {
                    let way: Vec<&str> = way.iter().map(String::as_str).collect();
                    planner.tell(&way, Some(sample), error);
                }
                jobs.extend(job);
            }
            let run = Run {
                experiment,
                model: id,
                chat,
                baselines,
                replacements,
                stop: model.stop(),
                vocabulary: model.checkpoint.config.model.vocabulary,
                subject: tested_segments(experiment),
                jobs: mark_tested(experiment, jobs),
            };
            planner.check_generation(&run);
            runs.push(run);
        }
    }
    runs
}

/// The segments whose words are removed where maps are tested: what the samples are about. Instructions, options and the
/// beginning of the answer stay as they are.
fn tested_segments(experiment: &Experiment) -> Vec<String> {
    match experiment.faithfulness {
        Some(_) => subject_segments(experiment),
        None => vec![],
    }
}

/// Jobs of all samples, in order, of which those to be tested are told apart.
fn mark_tested<'a>(experiment: &Experiment, mut jobs: Vec<Job<'a>>) -> Vec<Job<'a>> {
    for (sample, job) in jobs.iter_mut().enumerate() {
        job.tested = experiment.faithfulness.as_ref().is_some_and(|spec| spec.tests(sample));
    }
    jobs
}

struct Planner<'a, 'm> {
    experiment: &'a Experiment,
    model: &'m OpenedModel,
    diagnostics: &'m mut Diagnostics,
    /// Paths in the YAML that were reported already.
    told: BTreeSet<String>,
}

impl<'a, 'm> Planner<'a, 'm> {
    fn tell(&mut self, way: &[&str], sample: Option<&Sample>, error: Diagnostic) {
        if self.told.insert(way.join(".")) {
            let place = match sample {
                Some(sample) => format!("model `{}`, sample `{}`", self.model.spec.id, shortened(&sample.id)),
                None => format!("model `{}`", self.model.spec.id),
            };
            let message = match &error.file {
                Some(file) => format!("{}: {}", file.display(), error.message),
                None => error.message,
            };
            let mut located = self.experiment.error(way, message).place(place);
            located.warning = error.warning;
            located.expected = error.expected;
            located.help = error.help;
            self.diagnostics.push(located);
        }
    }

    fn one(&self) -> One<'a, 'm> {
        One {
            experiment: self.experiment,
            model: self.model,
        }
    }

    /// The model's chat template, if the experiment uses it.
    fn chat(&self) -> Result<Option<Chat>> {
        match self.experiment.prompt_style {
            PromptStyle::Plain => Ok(None),
            PromptStyle::Chat => Chat::open(&self.model.checkpoint.folder, &self.model.tokenizer).map(Some),
        }
    }

    /// Where paths start.
    fn baselines(&mut self) -> Vec<(Baseline, BaselineVector)> {
        let baselines = &self.experiment.attribution.baselines;
        for (index, _) in baselines
            .iter()
            .enumerate()
            .filter(|(_, baseline)| **baseline == Baseline::Zero)
        {
            self.check_zero(index);
        }
        self.vectors(baselines, &["attribution", "baselines"])
    }

    /// What removed units become where maps are tested. Warns where the only one is a baseline of the maps by another
    /// name: of one by the same name reading the experiment warns.
    fn replacements(&mut self, baselines: &[(Baseline, BaselineVector)]) -> Vec<(Baseline, BaselineVector)> {
        let Some(spec) = &self.experiment.faithfulness else {
            return vec![];
        };
        let way = ["faithfulness", "replacement"];
        let found = self.vectors(&spec.replacement, &way);
        if let [(name, vector)] = &found[..]
            && let Some((own, _)) = baselines.iter().find(|(_, own)| vector.is_as_good_as(*own))
            && !baselines.iter().any(|(own, _)| name.is_as_good_as(own))
        {
            let warning = Diagnostic::content(format!(
                "what is removed becomes `{name}`, which to this model is the same vector as `{own}`, a baseline of the \
                 maps themselves"
            ))
            .expected("another baseline, or several")
            .help(
                "a map that compares with a vector is favoured by a test that puts the same vector in; \
                 docs/faithfulness.md",
            )
            .as_warning();
            self.tell(&way, None, warning);
        }
        found
    }

    /// The vectors that baselines are for this model; `way` is where they stand.
    fn vectors(&mut self, baselines: &[Baseline], way: &[&str]) -> Vec<(Baseline, BaselineVector)> {
        let special = self.model.checkpoint.config.special;
        let mut starts = Vec::new();
        for (index, baseline) in baselines.iter().enumerate() {
            let start = match baseline {
                Baseline::Zero => Some(BaselineVector::Zero),
                Baseline::ZeroFrom(start) => Some(BaselineVector::ZeroFrom(*start)),
                Baseline::Mean => Some(BaselineVector::Mean),
                Baseline::Bos => self.one().special(special.bos, SpecialKind::Bos),
                Baseline::Eos => self.one().special(special.eos, SpecialKind::Eos),
                Baseline::Pad => self.one().special(special.pad, SpecialKind::Pad),
                Baseline::Unk => self.one().special(None, SpecialKind::Unk),
                Baseline::Token(text) => self.one().in_table(self.model.tokenizer.vocabulary_token(text)),
            };
            match start {
                Some(start) => starts.push((baseline.clone(), start)),
                None => {
                    let error = Diagnostic::content(match baseline {
                        Baseline::Token(text) => format!("baseline: {text:?} is no token of this model"),
                        named => format!("baseline `{named}`: this model has no such token"),
                    })
                    .expected("a baseline that every model of the experiment has")
                    .help("`zero`, `mean` and `eos` are there for every model; or give a model without it an experiment of its own");
                    self.tell(&[way, &[&index.to_string()]].concat(), None, error);
                }
            }
        }
        starts
    }

    /// Warns of a zero baseline whose maps can't be had: of an output that has no smallest value, where it goes on
    /// changing beyond the lowest α that is looked at.
    fn check_zero(&mut self, index: usize) {
        let attribution = &self.experiment.attribution;
        let path = attribution.methods.contains(&Method::IntegratedGradients);
        let depth = self.model.checkpoint.config.model.lift();
        if attribution.output == Output::Probability || !path || depth <= -LOWEST_LOG {
            return;
        }
        let warning = Diagnostic::content(format!(
            "from the zero vector, a model of {} layers goes on changing its {} to about α = 1e-{:.0}, \
             far below anything that can be integrated: its maps will hardly converge",
            self.model.checkpoint.config.model.layers,
            match attribution.output {
                Output::LogProbability => "log-probability",
                _ => "logit",
            },
            depth / std::f64::consts::LN_10
        ))
        .expected("`output: probability`, another baseline, or a path that is entered later: {zero: {from: 0.0001}}")
        .help("docs/numerics.md, \"A deep model near the zero vector\"")
        .as_warning();
        self.tell(&["attribution", "baselines", &index.to_string()], None, warning);
    }

    /// What prevents the generation, found before the model runs: with some token in the prediction's place.
    fn check_generation(&mut self, run: &Run<'a>) {
        let Some(spec) = &run.experiment.generate else { return };
        for job in &run.jobs {
            let stand_in = job.options.first().map_or(0, |(_, tokens)| tokens[0]);
            if let Some(kept) = &job.generation {
                self.check_generation_context(job, kept.tokens() + spec.max_new_tokens);
                continue;
            }
            let found = match generation(run, self.model, job, stand_in) {
                Ok(Some((text, key))) => {
                    self.check_generated(job, &text, &key.token_ids);
                    key.token_ids.len() + spec.max_new_tokens
                }
                Ok(None) => continue,
                Err(error) => {
                    self.tell(&["generate"], Some(job.sample), error);
                    continue;
                }
            };
            self.check_generation_context(job, found);
        }
    }

    /// What is generated can be explained where it follows the prompt.
    fn check_generated(&mut self, job: &Job, text: &str, ids: &[u32]) {
        let targets = &self.experiment.attribution.targets;
        let Some(index) = targets.iter().position(|target| *target == Target::Generated) else {
            return;
        };
        let error = if text.starts_with(&job.prompt.text) {
            job.given(ids).err()
        } else {
            let error = Diagnostic::content(
                "the target `generated`: the model goes on from another text than the sample's prompt",
            );
            let error = error.expected("a `generate.prompt` that begins with `{{ prompt }}`");
            Some(error.help("its map is over the sample's prompt, which has to be what the model reads first"))
        };
        if let Some(error) = error {
            self.tell(&["attribution", "targets", &index.to_string()], Some(job.sample), error);
        }
    }

    fn check_generation_context(&mut self, job: &Job, found: usize) {
        let context = self.model.checkpoint.config.context;
        if let Some(context) = context.filter(|&context| found > context) {
            let error = Diagnostic::content(format!("{found} tokens, more than the model was made for"))
                .expected(format!(
                    "at most {context} (`max_position_embeddings`), `max_new_tokens` among them"
                ))
                .help("beyond it words mean little: shorten the prompt, or let the model say less")
                .as_warning();
            self.tell(&["generate"], Some(job.sample), error);
        }
    }
}
