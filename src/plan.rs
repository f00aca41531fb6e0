//! Experiments × models × samples to jobs, each with the keys of what it needs.
//!
//! Planning opens checkpoints and tokenizers, and finds every error that these can show, but loads no weights and computes
//! nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::attribution::integrated_gradients::Start;
use crate::chat::Chat;
use crate::checkpoint::Checkpoint;
use crate::content::dataset::Sample;
use crate::content::experiment::{BaselineSpec, Experiment, TargetSpec};
use crate::content::model::{ModelSource, ModelSpec};
use crate::content::names::shortened;
use crate::content::project::Project;
use crate::content::prompt::{Prompt, PromptStyle};
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::hub::Hub;
use crate::model::CausalLm;
use crate::model::device::{Backend, dtype_name};
use crate::store::key::{AttributionKey, ModelKey, NUMERICS_VERSION, PredictionKey, RuleKey};
use crate::store::memo::HashMemo;
use crate::tokenizer::{SpecialKind, Token, Tokenizer};

/// A model whose files were opened; its weights stay where they are.
#[derive(Debug)]
pub struct OpenedModel {
    /// Its file in `content/models/`.
    pub spec: ModelSpec,
    /// Its config and where its tensors lie.
    pub checkpoint: Checkpoint,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its part of every key.
    pub key: ModelKey,
    /// The commit of its hub repository; a folder has none.
    pub commit: Option<String>,
    /// Whether its weights are here. Only then can it be run.
    pub weights: bool,
}

/// Whether a hub model's weights are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// To compute: they are fetched.
    Fetched,
    /// To check: those that are here are read, and no others are fetched.
    AsTheyAre,
}

/// Where a model's files are found.
pub struct Sources<'a> {
    /// What computes, for the dtype.
    pub backend: &'a Backend,
    /// Hashes that are known.
    pub memo: &'a mut HashMemo,
    /// The hub and its cache.
    pub hub: &'a Hub,
    /// Whether weights are needed.
    pub weights: Weights,
}

/// One experiment with one model.
#[derive(Debug)]
pub struct Run<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// Id of the model.
    pub model: &'a str,
    /// One for each sample.
    pub jobs: Vec<Job<'a>>,
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
    /// Each option's letter and token, in the experiment's order.
    pub options: Vec<(&'a str, u32)>,
    /// What is explained.
    pub targets: Vec<Target>,
    /// Where paths start: what the author wrote, and which vector that is.
    pub baselines: Vec<(String, Start)>,
}

/// What is explained, as far as it is known before the model ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `predicted`, `gold`, `option`, `token` or `contrast`.
    pub kind: &'static str,
    /// The token.
    pub token: TargetToken,
    /// What a contrast takes away.
    pub minus: Option<TargetToken>,
}

/// A token that may not be known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Target {
    /// Its tokens, once the prediction is known: one, or two for a contrast.
    pub fn ids(&self, predicted: u32) -> Vec<u32> {
        [Some(self.token), self.minus]
            .into_iter()
            .flatten()
            .map(|token| token.id(predicted))
            .collect()
    }
}

impl Job<'_> {
    /// The key of an attribution, once the prediction is known.
    pub fn attribution_key(
        &self,
        experiment: &Experiment,
        target: &Target,
        start: Start,
        predicted: u32,
    ) -> AttributionKey {
        AttributionKey {
            model: self.prediction.model.clone(),
            token_ids: self.prediction.token_ids.clone(),
            target: target.ids(predicted),
            output: experiment.attribution.output,
            baseline: match start {
                Start::Zero => "zero".to_owned(),
                Start::Mean => "mean".to_owned(),
                Start::Token(id) => format!("token {id}"),
            },
            rule: RuleKey::of(&experiment.attribution),
        }
    }
}

/// The ids of the models that the project's experiments name.
pub fn named_models(project: &Project) -> BTreeSet<&String> {
    project
        .experiments
        .iter()
        .flat_map(|experiment| &experiment.models)
        .collect()
}

/// Opens every model that the project's experiments name; those of the hub are fetched.
///
/// # Errors
/// Collected in `diagnostics`; such a model is left out.
pub fn open_models(
    project: &Project,
    mut sources: Sources<'_>,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, OpenedModel> {
    named_models(project)
        .into_iter()
        .filter_map(|id| {
            let spec = project.models.get(id)?;
            let opened = open_model(spec, &mut sources);
            warn(spec, sources.hub, diagnostics);
            Some((id.clone(), diagnostics.keep(opened)?))
        })
        .collect()
}

/// Names the model, and its file if no other is in question, in an error of the hub.
pub fn located(spec: &ModelSpec, mut error: Diagnostic) -> Diagnostic {
    if error.kind == Kind::Download {
        error.file.get_or_insert_with(|| spec.path.clone());
        error.place.get_or_insert_with(|| format!("model `{}`", spec.id));
    }
    error
}

/// Collects what was odd when a model of the hub was brought.
pub fn warn(spec: &ModelSpec, hub: &Hub, diagnostics: &mut Diagnostics) {
    for warning in hub.take_warnings() {
        diagnostics.push(located(spec, warning));
    }
}

fn open_model(spec: &ModelSpec, sources: &mut Sources<'_>) -> Result<OpenedModel> {
    let (folder, commit, weights) = match &spec.source {
        ModelSource::Folder(folder) => (folder.clone(), None, true),
        ModelSource::Hub(repository) => {
            let found = match sources.weights {
                Weights::Fetched => sources
                    .hub
                    .model(repository, &spec.revision)
                    .map(|snapshot| (snapshot, true)),
                Weights::AsTheyAre => sources.hub.model_without_weights(repository, &spec.revision),
            };
            let (snapshot, weights) = found.map_err(|error| located(spec, error))?;
            (snapshot.folder, Some(snapshot.commit), weights)
        }
    };
    let (checkpoint, tokenizer) = read_model(&folder, weights).map_err(|error| match commit {
        Some(_) => in_the_cache(spec, &folder, error),
        None => error,
    })?;
    let dtype = sources.backend.dtype(spec.dtype, checkpoint.stored_dtype());
    let key = ModelKey {
        numerics: NUMERICS_VERSION,
        weights_sha256: checkpoint.weights_sha256(|file| sources.memo.sha256(file))?,
        config_sha256: sources.memo.sha256(&folder.join("config.json"))?,
        tokenizer_sha256: tokenizer.sha256.clone(),
        dtype: dtype_name(dtype).to_owned(),
        quantization: "none".to_owned(),
        revision: commit.clone(),
    };
    Ok(OpenedModel {
        spec: spec.clone(),
        checkpoint,
        tokenizer,
        key,
        commit,
        weights,
    })
}

fn read_model(folder: &Path, weights: bool) -> Result<(Checkpoint, Tokenizer)> {
    let checkpoint = if weights {
        let checkpoint = Checkpoint::open(folder)?;
        CausalLm::verify(&checkpoint)?;
        checkpoint
    } else {
        Checkpoint::without_weights(folder)?
    };
    Ok((checkpoint, Tokenizer::open(folder)?))
}

/// An error in a file of the cache: whose it is, and, if it is damaged, how it is fetched anew.
fn in_the_cache(spec: &ModelSpec, folder: &Path, mut error: Diagnostic) -> Diagnostic {
    let damaged = error.help.as_deref().is_none_or(|help| help.contains("download"));
    if let Some(repository) = folder.parent().and_then(Path::parent).filter(|_| damaged) {
        error.help = Some(format!(
            "if the file is damaged, delete {} and run `igsite fetch`",
            repository.display()
        ));
    }
    let whose = format!("model `{}` ({})", spec.id, spec.path.display());
    error.place = Some(match error.place {
        Some(place) => format!("{whose}, {place}"),
        None => whose,
    });
    error
}

/// One run for each experiment and model, in the authors' order.
///
/// # Errors
/// Collected in `diagnostics`: an option, target or baseline that a model's tokenizer does not have as one token, a prompt
/// that comes to no tokens. Each is told once for a model, with the first sample that shows it.
pub fn runs<'a>(
    project: &'a Project,
    models: &BTreeMap<String, OpenedModel>,
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
            let jobs = match planner.chat() {
                Ok(chat) => experiment
                    .samples
                    .iter()
                    .filter_map(|sample| planner.job(sample, chat.as_ref(), &baselines))
                    .collect(),
                Err(error) => {
                    planner.tell(&["prompt_style"], None, error);
                    Vec::new()
                }
            };
            runs.push(Run {
                experiment,
                model: id,
                jobs,
            });
        }
    }
    runs
}

struct Planner<'a, 'm> {
    experiment: &'a Experiment,
    model: &'m OpenedModel,
    diagnostics: &'m mut Diagnostics,
    /// Ways in the YAML that were told already.
    told: BTreeSet<String>,
}

impl<'a> Planner<'a, '_> {
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

    /// The model's chat template, if the experiment asks for it.
    fn chat(&self) -> Result<Option<Chat>> {
        match self.experiment.prompt_style {
            PromptStyle::Plain => Ok(None),
            PromptStyle::Chat => Chat::open(&self.model.checkpoint.folder, &self.model.tokenizer).map(Some),
        }
    }

    /// The prompt as the model gets it, and its tokens.
    fn prompt(&self, sample: &'a Sample, chat: Option<&Chat>) -> Result<(Cow<'a, Prompt>, Vec<Token>)> {
        let encode = |prompt: &Prompt| self.model.tokenizer.encode(&prompt.text);
        let Some(chat) = chat else {
            return Ok((Cow::Borrowed(&sample.prompt), encode(&sample.prompt)?));
        };
        let prompt = chat.prompt(&sample.prompt)?;
        let tokens = encode(&prompt)?;
        chat.check(&prompt, &tokens)?;
        Ok((Cow::Owned(prompt), tokens))
    }

    fn baselines(&mut self) -> Vec<(String, Start)> {
        let special = self.model.checkpoint.config.special;
        let mut starts = Vec::new();
        for (index, baseline) in self.experiment.attribution.baselines.iter().enumerate() {
            let (name, start) = match baseline {
                BaselineSpec::Zero => ("zero".to_owned(), Some(Start::Zero)),
                BaselineSpec::Mean => ("mean".to_owned(), Some(Start::Mean)),
                BaselineSpec::Bos => ("bos".to_owned(), self.special(special.bos, SpecialKind::Bos)),
                BaselineSpec::Eos => ("eos".to_owned(), self.special(special.eos, SpecialKind::Eos)),
                BaselineSpec::Pad => ("pad".to_owned(), self.special(special.pad, SpecialKind::Pad)),
                BaselineSpec::Unk => ("unk".to_owned(), self.special(None, SpecialKind::Unk)),
                BaselineSpec::Token(text) => (
                    format!("token:{text}"),
                    self.in_table(self.model.tokenizer.vocabulary_token(text)),
                ),
            };
            match start {
                Some(start) => starts.push((name, start)),
                None => {
                    let error = Diagnostic::content(match baseline {
                        BaselineSpec::Token(text) => format!("baseline: {text:?} is no token of this model"),
                        _ => format!("baseline `{name}`: this model has no such token"),
                    })
                    .expected("a baseline that every model of the experiment has")
                    .help("`zero`, `mean` and `eos` are there for every model; or give a model without it an experiment of its own");
                    self.tell(&["attribution", "baselines", &index.to_string()], None, error);
                }
            }
        }
        starts
    }

    /// `config.json` first, then the tokenizer's files.
    fn special(&self, by_config: Option<u32>, kind: SpecialKind) -> Option<Start> {
        self.in_table(by_config.or_else(|| self.model.tokenizer.special(kind)))
    }

    /// A token that has a row in the embedding table.
    fn in_table(&self, id: Option<u32>) -> Option<Start> {
        id.filter(|&id| (id as usize) < self.model.checkpoint.config.model.vocab_size())
            .map(Start::Token)
    }

    fn job(&mut self, sample: &'a Sample, chat: Option<&Chat>, baselines: &[(String, Start)]) -> Option<Job<'a>> {
        let (prompt, tokens) = match self.prompt(sample, chat) {
            Ok(encoded) => encoded,
            Err(error) => {
                let key = if chat.is_some() { "prompt_style" } else { "prompt" };
                self.tell(&[key], Some(sample), error);
                return None;
            }
        };
        let text = &prompt.text;
        let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        let rows = self.model.checkpoint.config.model.vocab_size();
        if ids.is_empty() {
            self.tell(
                &["prompt"],
                Some(sample),
                Diagnostic::content("the prompt comes to no tokens"),
            );
            return None;
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
            let error = Diagnostic::content(format!("the tokenizer gives token {id}, and the model has {rows}"))
                .help("the tokenizer's files belong to another checkpoint");
            self.tell(&["models"], Some(sample), error);
            return None;
        }
        if let Some(context) = self.model.checkpoint.config.context
            && ids.len() > context
        {
            let error = Diagnostic::content(format!("{} tokens, more than the model was made for", ids.len()))
                .expected(format!("at most {context} (`max_position_embeddings`)"))
                .help("beyond it answers and maps mean little: shorten the prompt, or take fewer shots")
                .as_warning();
            self.tell(&["prompt"], Some(sample), error);
        }
        let mut options = Vec::new();
        for option in &self.experiment.options {
            match self.answer(text, &ids, &option.letter) {
                Ok(id) => options.push((option.letter.as_str(), id)),
                Err(error) => self.tell(&["options", &option.letter], Some(sample), error),
            }
        }
        // Told above; targets that need such an option would only tell it again.
        if options.len() < self.experiment.options.len() {
            return None;
        }
        let mut targets = Vec::new();
        for (index, spec) in self.experiment.attribution.targets.iter().enumerate() {
            match self.targets(spec, sample, (text, &ids), &options) {
                Ok(found) => targets.extend(found),
                Err(error) => self.tell(&["attribution", "targets", &index.to_string()], Some(sample), error),
            }
        }
        let mut asked: Vec<u32> = options.iter().map(|(_, id)| *id).collect();
        asked.sort_unstable();
        asked.dedup();
        Some(Job {
            sample,
            prompt,
            tokens,
            prediction: PredictionKey {
                model: self.model.key.clone(),
                token_ids: ids,
                asked,
            },
            options,
            targets,
            baselines: baselines.to_vec(),
        })
    }

    fn answer(&self, prompt: &str, ids: &[u32], answer: &str) -> Result<u32> {
        let id = self.model.tokenizer.answer_token(prompt, ids, answer)?;
        self.in_table(Some(id))
            .map(|_| id)
            .ok_or_else(|| Diagnostic::content(format!("`{answer}` is token {id}, which the model does not have")))
    }

    /// `encoded` is the prompt's text and tokens.
    fn targets(
        &self,
        spec: &TargetSpec,
        sample: &Sample,
        encoded: (&str, &[u32]),
        options: &[(&str, u32)],
    ) -> Result<Vec<Target>> {
        let one = |kind, token| {
            vec![Target {
                kind,
                token,
                minus: None,
            }]
        };
        let member = |spec: &TargetSpec| self.target_token(spec, sample, encoded, options);
        Ok(match spec {
            TargetSpec::Predicted => one("predicted", TargetToken::Predicted),
            TargetSpec::Gold => one("gold", member(spec)?),
            TargetSpec::Option(_) => one("option", member(spec)?),
            TargetSpec::Token(_) => one("token", member(spec)?),
            TargetSpec::AllOptions => options
                .iter()
                .flat_map(|&(_, id)| one("option", TargetToken::Known(id)))
                .collect(),
            TargetSpec::Contrast(first, second) => {
                vec![Target {
                    kind: "contrast",
                    token: member(first)?,
                    minus: Some(member(second)?),
                }]
            }
        })
    }

    fn target_token(
        &self,
        spec: &TargetSpec,
        sample: &Sample,
        (text, ids): (&str, &[u32]),
        options: &[(&str, u32)],
    ) -> Result<TargetToken> {
        let option = |letter: &str| {
            let found = options.iter().find(|(known, _)| *known == letter);
            found.map(|&(_, id)| TargetToken::Known(id)).ok_or_else(|| {
                Diagnostic::content(format!(
                    "option `{letter}` has no single token here, so it cannot be explained"
                ))
            })
        };
        match spec {
            TargetSpec::Predicted => Ok(TargetToken::Predicted),
            TargetSpec::Option(letter) => option(letter),
            TargetSpec::Gold => match &sample.gold {
                Some(letter) => option(letter),
                None => Err(Diagnostic::content("target `gold`: this sample has no right answer")
                    .expected("a value in the gold column of every chosen row")),
            },
            // After the prompt first, as an answer; else any token of the vocabulary by its own name.
            TargetSpec::Token(token) => match self.answer(text, ids, token) {
                Ok(id) => Ok(TargetToken::Known(id)),
                Err(error) => match self.in_table(self.model.tokenizer.vocabulary_token(token)) {
                    Some(Start::Token(id)) => Ok(TargetToken::Known(id)),
                    _ => Err(error),
                },
            },
            TargetSpec::AllOptions | TargetSpec::Contrast(..) => {
                Err(Diagnostic::content("a contrast has two single targets").expected("letters or tokens"))
            }
        }
    }
}
