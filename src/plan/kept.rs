//! The plan as it is kept: what a model's tokenizer makes of an experiment, so that the next build need not ask it, and
//! `build --frozen` can do without the model.
//!
//! One file for each experiment and model, in JSON Lines: a head, then a line for each sample, in the experiment's
//! order, so that changes to different samples merge in git. Nothing in it is of this machine or of this time. Each
//! line names, by a hash, what of `content/` it was made from; a line whose hash is another is not used. Each line is
//! sealed with its checksum, those of samples within their head: a line that was damaged, or that a merge put under the
//! head of another model or experiment, is not used either ([`StoredPlan::damaged`]).
//!
//! Where many tasks share the work, each writes the lines of its own samples into a file of its own, so that none writes
//! over another's; together they are the plan.

mod file;
mod sample;

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::file::{sealed_line, unsealed_lines};
pub use self::sample::StoredGenerationPlan;
use self::sample::StoredSample;
use super::{Job, ModelFacts, Run};
use crate::checkpoint::hash;
use crate::content::dataset::Sample;
use crate::content::experiment::Experiment;
use crate::content::model::ModelSpec;
use crate::content::project::Project;
use crate::store::key::ModelKey;
use crate::store::{Parts, PlanFile, Store, StoredGeneration};
use crate::terms::{Baseline, BaselineVector, Target};
use crate::tokenizer::Vocabulary;

/// The schema of the file; raised when its form changes, or what tokenizers are asked. Lines of `igsite/plan/1` had no
/// checksum; hashes of `igsite/plan/2` were of our own names of things, not of the field's words.
const SCHEMA: &str = "igsite/plan/3";

/// The stored plans of a project, by experiment and model.
pub type StoredPlans = BTreeMap<(String, String), StoredPlan>;

/// The stored plans of all experiments and models of a project.
///
/// # Errors
/// As for [`StoredPlan::of_store`].
pub fn of_project(store: &Store, project: &Project) -> crate::diagnostic::Result<StoredPlans> {
    let experiments = project.experiments.iter();
    let pairs = experiments.flat_map(|experiment| experiment.models.iter().map(move |model| (experiment, model)));
    let read = |(experiment, model): (&Experiment, &String)| {
        let plan = StoredPlan::of_store(store, experiment, model, project.models.get(model))?;
        Ok(plan.map(|plan| ((experiment.id.clone(), model.clone()), plan)))
    };
    let found: Vec<_> = pairs
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(read)
        .collect::<crate::diagnostic::Result<_>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// What a model made of a job, as far as a plan has to know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The most probable next token.
    pub predicted: u32,
    /// What it was asked to say, and says.
    pub generation: Option<(String, StoredGeneration)>,
}

impl Answered {
    /// As the parts of the job say.
    pub fn of(parts: &Parts) -> Self {
        Self {
            predicted: parts.prediction.token_id,
            generation: parts.generation.clone(),
        }
    }
}

/// A stored plan.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPlan {
    /// What holds for all samples.
    pub head: Head,
    samples: HashMap<String, StoredSample>,
    /// The numbers of the lines that are not as they were written, or make no sense, from 1.
    pub damaged: Vec<usize>,
}

/// Why a file is no stored plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is of another version of igsite.
    Version,
    /// Its first line is not as it was written, or makes no sense.
    Head,
}

/// What holds for all samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    schema: String,
    /// Of [`experiment_hash`].
    pub experiment: String,
    /// Of [`model_hash`].
    pub model: String,
    /// `llama`, `mistral`, `falcon`.
    pub architecture: String,
    /// What activations would be rounded to where the checkpoint was made for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activations: Option<String>,
    /// The model's part of every key.
    pub key: ModelKey,
    /// How many tokens the model knows.
    pub vocabulary: usize,
    /// SHA-256 of the model's chat template, where prompts go through it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
    /// Where paths start: `zero`, `mean` or a token.
    baselines: Vec<(Baseline, BaselineVector)>,
    /// What removed units become where maps are tested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replacements: Vec<(Baseline, BaselineVector)>,
    /// The tokens that end what the model says in its own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stop: Vec<u32>,
}

/// What heads of every version have.
#[derive(Deserialize)]
struct Version {
    schema: String,
}

/// Why a stored plan is not valid for an experiment and a model as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stale {
    /// The settings that all samples share.
    Experiment,
    /// Which model it is.
    Model,
    /// What its chat template says.
    ChatTemplate,
}

/// A hash of the experiment's settings for every sample, as far as a tokenizer's result depends on them.
pub fn experiment_hash(experiment: &Experiment) -> String {
    let attribution = &experiment.attribution;
    let letters: Vec<&str> = experiment.options.iter().map(|option| option.letter.as_str()).collect();
    let generate = experiment
        .generate
        .as_ref()
        .map(|spec| (spec.text(), spec.max_new_tokens));
    let all = json(&(
        SCHEMA,
        experiment.prompt_style,
        letters,
        &attribution.targets,
        attribution.output,
        &attribution.baselines,
        generate,
    ));
    short(&match &experiment.faithfulness {
        None => all,
        Some(spec) => json(&(all, &spec.replacement)),
    })
}

/// A hash of what a model's file says of its numbers.
pub fn model_hash(spec: &ModelSpec) -> String {
    let of = (&spec.source_text, &spec.revision, spec.dtype, spec.quantization);
    short(&match &spec.file {
        None => json(&of),
        Some(file) => json(&(of, file)),
    })
}

fn sample_hash(experiment: &Experiment, sample: &Sample) -> String {
    let is_gold = |target: &Target| match target {
        Target::Gold => true,
        Target::Contrast(a, b) => [a, b].into_iter().any(|t| **t == Target::Gold),
        _ => false,
    };
    let gold = experiment
        .attribution
        .targets
        .iter()
        .any(is_gold)
        .then_some(&sample.gold);
    let fields = experiment.generate.is_some().then_some(&sample.fields);
    let all = (
        &sample.prompt.text,
        &sample.prompt.segments,
        &sample.prompt.roles,
        gold,
        fields,
    );
    short(&json(&all))
}

/// 64 bits are enough to distinguish one text of a sample from another.
fn short(text: &str) -> String {
    let mut hash = hash::of_bytes(text.as_bytes());
    hash.truncate(16);
    hash
}

impl StoredPlan {
    /// What there is to keep of a run that was completed: of all its jobs, or of those of a shard. `answered` is what
    /// the model made of each.
    pub fn of(run: &Run, model: &ModelFacts, answered: &[Answered], vocabulary: &dyn Vocabulary) -> String {
        let head = Head {
            schema: SCHEMA.to_owned(),
            experiment: experiment_hash(run.experiment),
            model: model_hash(model.spec),
            architecture: model.architecture.to_owned(),
            activations: model.activations.map(str::to_owned),
            key: model.key.clone(),
            vocabulary: run.vocabulary,
            chat_template: run.chat.as_ref().map(|chat| chat.template_sha256().to_owned()),
            baselines: run.baselines.clone(),
            replacements: run.replacements.clone(),
            stop: run
                .experiment
                .generate
                .as_ref()
                .map_or_else(Vec::new, |_| run.stop.clone()),
        };
        let head = json(&head);
        let mut text = sealed_line(&head, "");
        let lines: Vec<String> = run
            .jobs
            .par_iter()
            .zip(answered)
            .map(|(job, answered)| {
                let sample = StoredSample::of(run.experiment, job, answered, vocabulary);
                sealed_line(&json(&sample), &head)
            })
            .collect();
        text.extend(lines);
        text
    }

    /// The stored plan of an experiment and a model, if there is one of this version: the file of a build, and those of
    /// shards with the same head. Of several heads the one is taken that is valid now, then the one with the most
    /// samples, then the newest. Damaged lines are reported and left out.
    ///
    /// # Errors
    /// A file cannot be read. Where the store refuses damage: a line is damaged, or the plan is of another version.
    pub fn of_store(
        store: &Store,
        experiment: &Experiment,
        model: &str,
        spec: Option<&ModelSpec>,
    ) -> crate::diagnostic::Result<Option<Self>> {
        let mut plans: Vec<Self> = Vec::new();
        for PlanFile { path, text } in store.plan(&experiment.id, model)? {
            let told = match Self::read(&text) {
                Ok(plan) => {
                    let told = damaged_lines(&plan.damaged);
                    match plans.iter_mut().find(|known| known.head == plan.head) {
                        Some(known) => known.take(plan),
                        None => plans.push(plan),
                    }
                    told
                }
                Err(Unread::Head) => Some("its first line is damaged".to_owned()),
                Err(Unread::Version) => {
                    store.other_version_of_plan(&path)?;
                    None
                }
            };
            if let Some(told) = told {
                store.damaged_plan(&path, &told)?;
            }
        }
        // The newest come first, and the last of equals would be taken.
        plans.reverse();
        Ok(plans.into_iter().max_by_key(|plan| {
            let valid = spec.is_some_and(|spec| plan.stale(experiment, spec, None).is_none());
            (valid, plan.samples.len())
        }))
    }

    /// Adds the samples of another part of the same plan.
    fn take(&mut self, other: Self) {
        for (slug, sample) in other.samples {
            self.samples.entry(slug).or_insert(sample);
        }
        self.damaged.extend(other.damaged);
    }

    /// How many samples it knows.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Reads a stored plan.
    ///
    /// # Errors
    /// Its first line is damaged, or of another version.
    pub fn read(text: &str) -> Result<Self, Unread> {
        let (head, lines) = unsealed_lines(text)?;
        // Another version's head may be of another form.
        let version: Version = serde_json::from_str(head).map_err(|_| Unread::Head)?;
        if version.schema != SCHEMA {
            return Err(Unread::Version);
        }
        let head: Head = serde_json::from_str(head).map_err(|_| Unread::Head)?;
        if !head.makes_sense() {
            return Err(Unread::Head);
        }
        let (mut samples, mut damaged) = (HashMap::new(), Vec::new());
        for (number, json) in lines {
            let sample = json.and_then(|json| serde_json::from_str::<StoredSample>(json).ok());
            match sample.filter(|sample| sample.makes_sense(&head)) {
                Some(sample) => _ = samples.insert(sample.sample.clone(), sample),
                // A line that a disk or a merge spoilt costs that sample, not the rest.
                None => damaged.push(number),
            }
        }
        Ok(Self { head, samples, damaged })
    }

    /// Whether it was made for an experiment and a model's file as they are now. `chat_template` is the SHA-256 of the
    /// model's template as it is now; none where prompts do not go through it, or where it is not on this machine and
    /// cannot have changed.
    pub fn stale(&self, experiment: &Experiment, spec: &ModelSpec, chat_template: Option<&str>) -> Option<Stale> {
        if self.head.model != model_hash(spec) {
            return Some(Stale::Model);
        }
        if self.head.experiment != experiment_hash(experiment) {
            return Some(Stale::Experiment);
        }
        let other = chat_template.is_some_and(|now| self.head.chat_template.as_deref() != Some(now));
        other.then_some(Stale::ChatTemplate)
    }

    /// Where paths start.
    pub fn baselines(&self) -> &[(Baseline, BaselineVector)] {
        &self.head.baselines
    }

    /// The job of a sample; none where it was not planned as it is now.
    pub fn job<'a>(
        &self,
        experiment: &'a Experiment,
        sample: &'a Sample,
        baselines: &[(Baseline, BaselineVector)],
    ) -> Option<Job<'a>> {
        let kept = self.samples.get(&sample.slug)?;
        kept.job(&self.head, experiment, sample, baselines)
    }

    /// How many targets each sample has: as many as any other.
    pub fn targets(&self) -> usize {
        self.samples
            .values()
            .map(|sample| sample.targets.len())
            .max()
            .unwrap_or(1)
    }

    /// The tokens that end what the model says in its own words.
    pub fn stop(&self) -> &[u32] {
        &self.head.stop
    }

    /// What the tokens of all samples read as.
    pub fn vocabulary(&self) -> StoredVocabulary<'_> {
        let mut vocabulary = StoredVocabulary::default();
        for sample in self.samples.values() {
            vocabulary
                .said
                .extend(sample.said.iter().map(|(id, text)| (*id, text.as_str())));
            let joined = sample.joined.iter();
            vocabulary
                .joined
                .extend(joined.map(|(ids, text)| (ids.as_slice(), text.as_str())));
        }
        vocabulary
    }
}

/// The message about damaged lines; none if there are none.
fn damaged_lines(numbers: &[usize]) -> Option<String> {
    match numbers {
        [] => None,
        [one] => Some(format!("line {one} is damaged")),
        [first, rest @ ..] => Some(format!("line {first} and {} more are damaged", rest.len())),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|e| unreachable!("a plan is plain data: {e}"))
}

impl Head {
    fn makes_sense(&self) -> bool {
        let vectors = self.baselines.iter().chain(&self.replacements);
        let starts = vectors.into_iter().all(|(_, vector)| match vector {
            BaselineVector::Zero | BaselineVector::ZeroFrom(_) | BaselineVector::Mean => true,
            BaselineVector::Token(id) => self.knows(*id),
        });
        starts && self.stop.iter().all(|&id| self.knows(id))
    }

    fn knows(&self, id: u32) -> bool {
        (id as usize) < self.vocabulary
    }
}

/// The texts of the tokens of a stored plan.
#[derive(Debug, Default)]
pub struct StoredVocabulary<'a> {
    said: HashMap<u32, &'a str>,
    joined: HashMap<&'a [u32], &'a str>,
}

impl Vocabulary for StoredVocabulary<'_> {
    fn text_of(&self, id: u32) -> String {
        self.said
            .get(&id)
            .map_or_else(|| format!("#{id}"), |text| (*text).to_owned())
    }

    fn decode(&self, ids: &[u32]) -> String {
        self.joined.get(ids).map_or_else(String::new, |text| (*text).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_of_another_version_is_no_damage_whatever_its_form() {
        let head = r#"{"schema":"igsite/plan/2","baselines":[["eos",{"token":2}]]}"#;
        assert_eq!(StoredPlan::read(&sealed_line(head, "")).err(), Some(Unread::Version));
    }
}
