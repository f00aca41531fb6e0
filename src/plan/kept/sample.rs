//! What a tokenizer makes of one sample, as a line of a stored plan.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Answered, Head, sample_hash};
use crate::content::dataset::Sample;
use crate::content::experiment::Experiment;
use crate::content::prompt::Prompt;
use crate::plan::{Job, PlannedTarget};
use crate::store::key::{GenerationKey, ModelKey, PredictionKey};
use crate::terms::{Baseline, BaselineVector, Role, Segment, TargetKind, Token};
use crate::tokenizer::Vocabulary;

/// What a tokenizer makes of one sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredSample {
    /// Its slug.
    pub sample: String,
    /// Of [`sample_hash`].
    of: String,
    /// The prompt within the model's chat template; none where the model gets the sample's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chat: Option<StoredPrompt>,
    ids: Vec<u32>,
    /// Characters of each token; it begins where the one before ends.
    lengths: Vec<usize>,
    /// Tokens that begin elsewhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    starts: BTreeMap<usize, usize>,
    /// Tokens whose text is not that of their characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    texts: BTreeMap<usize, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    special: Vec<usize>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    options: Vec<Vec<u32>>,
    pub targets: Vec<PlannedTarget>,
    /// What tokens read as by themselves: the predicted one and those that are explained.
    pub said: BTreeMap<u32, String>,
    /// What several tokens read as together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<(Vec<u32>, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<StoredGenerationPlan>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredPrompt {
    text: String,
    segments: Vec<Segment>,
    roles: Vec<Role>,
}

/// The text that a model continues where it predicted a certain token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredGenerationPlan {
    predicted: u32,
    prompt: String,
    ids: Vec<u32>,
}

impl StoredSample {
    /// What there is to keep of a sample's job and of what the model answered.
    pub fn of(experiment: &Experiment, job: &Job, answered: &Answered, vocabulary: &dyn Vocabulary) -> Self {
        let characters: Vec<char> = job.prompt.text.chars().collect();
        let (mut starts, mut texts, mut special) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut end = 0;
        for (index, token) in job.tokens.iter().enumerate() {
            if token.start != end {
                starts.insert(index, token.start);
            }
            end = token.end;
            let own = characters.get(token.start..token.end).unwrap_or_default();
            if !token.text.chars().eq(own.iter().copied()) {
                texts.insert(index, token.text.clone());
            }
            if token.special {
                special.push(index);
            }
        }
        let predicted = answered.predicted;
        let mut said = BTreeMap::from([(predicted, vocabulary.text_of(predicted))]);
        let mut joined: Vec<(Vec<u32>, String)> = Vec::new();
        let mut join = |ids: Vec<u32>| {
            if !joined.iter().any(|(known, _)| *known == ids) {
                joined.push((ids.clone(), vocabulary.decode(&ids)));
            }
        };
        let generation = answered.generation.as_ref().map(|(_, said)| said);
        for target in job.known_targets(predicted, generation).iter().flatten().flatten() {
            for &id in &target.ids {
                said.entry(id).or_insert_with(|| vocabulary.text_of(id));
            }
            if target.is_joined() {
                join(target.counted());
            }
            if target.given > 0 {
                join(target.given_ids().to_vec());
            }
        }
        if let Some((_, generation)) = &answered.generation {
            join(generation.token_ids.clone());
        }
        Self {
            sample: job.sample.slug.clone(),
            of: sample_hash(experiment, job.sample),
            chat: match &job.prompt {
                Cow::Borrowed(_) => None,
                Cow::Owned(prompt) => Some(StoredPrompt::of(prompt)),
            },
            ids: job.prediction.token_ids.clone(),
            lengths: job.tokens.iter().map(|token| token.end - token.start).collect(),
            starts,
            texts,
            special,
            options: job.options.iter().map(|(_, tokens)| tokens.clone()).collect(),
            targets: job.targets.clone(),
            said,
            joined,
            generation: answered
                .generation
                .as_ref()
                .map(|(prompt, generation)| StoredGenerationPlan {
                    predicted,
                    prompt: prompt.clone(),
                    ids: generation.key.token_ids.clone(),
                }),
        }
    }

    /// The job of a sample; none where it was not planned as it is now.
    pub fn job<'a>(
        &self,
        head: &Head,
        experiment: &'a Experiment,
        sample: &'a Sample,
        baselines: &[(Baseline, BaselineVector)],
    ) -> Option<Job<'a>> {
        if self.of != sample_hash(experiment, sample) || self.options.len() != experiment.options.len() {
            return None;
        }
        let prompt = match &self.chat {
            None => Cow::Borrowed(&sample.prompt),
            Some(chat) => Cow::Owned(chat.prompt()),
        };
        let letters = experiment.options.iter().map(|option| option.letter.as_str());
        let options: Vec<(&str, Vec<u32>)> = letters.zip(self.options.iter().cloned()).collect();
        Some(Job {
            sample,
            tokens: self.tokens(&prompt.text)?,
            prompt,
            prediction: PredictionKey::asking(head.key.clone(), self.ids.clone(), &options),
            options,
            targets: self.targets.clone(),
            baselines: baselines.to_vec(),
            tested: false,
            generation: self.generation.clone(),
        })
    }

    /// Whether its tokens are those of a model with such a head, and as many everywhere.
    pub fn makes_sense(&self, head: &Head) -> bool {
        let options = self.options.iter().flatten().copied();
        let targets = self.targets.iter().flat_map(PlannedTarget::known_ids);
        let said = self
            .generation
            .iter()
            .flat_map(|said| said.ids.iter().copied().chain([said.predicted]));
        let mut ids = self.ids.iter().copied().chain(options).chain(targets).chain(said);
        let of_tokens = self.starts.keys().chain(self.texts.keys()).chain(&self.special);
        let mut of_tokens = of_tokens.copied();
        ids.all(|id| head.knows(id))
            && self.lengths.len() == self.ids.len()
            && of_tokens.all(|index| index < self.ids.len())
            && self.options.iter().all(|tokens| !tokens.is_empty())
            && self.targets.iter().all(PlannedTarget::makes_sense)
            && (self.generation.is_some() || self.targets.iter().all(|target| target.kind != TargetKind::Generated))
    }

    fn tokens(&self, prompt: &str) -> Option<Vec<Token>> {
        let bytes: Vec<usize> = prompt
            .char_indices()
            .map(|(byte, _)| byte)
            .chain([prompt.len()])
            .collect();
        let mut tokens = Vec::with_capacity(self.ids.len());
        let mut special = self.special.iter().peekable();
        let mut end = 0;
        for (index, (&id, length)) in self.ids.iter().zip(&self.lengths).enumerate() {
            let start = self.starts.get(&index).copied().unwrap_or(end);
            end = start.checked_add(*length).filter(|end| *end < bytes.len())?;
            let text = match self.texts.get(&index) {
                Some(text) => text.clone(),
                None => prompt.get(*bytes.get(start)?..*bytes.get(end)?)?.to_owned(),
            };
            tokens.push(Token {
                id,
                text,
                start,
                end,
                special: special.next_if_eq(&&index).is_some(),
            });
        }
        Some(tokens)
    }
}

impl StoredPrompt {
    fn of(prompt: &Prompt) -> Self {
        Self {
            text: prompt.text.clone(),
            segments: prompt.segments.clone(),
            roles: prompt.roles.clone(),
        }
    }

    fn prompt(&self) -> Prompt {
        Prompt {
            text: self.text.clone(),
            segments: self.segments.clone(),
            roles: self.roles.clone(),
        }
    }
}

impl StoredGenerationPlan {
    /// The text to go on from and its key, if the model predicted what it predicted then.
    pub fn key(
        &self,
        model: &ModelKey,
        max_new_tokens: usize,
        stop: &[u32],
        predicted: u32,
    ) -> Option<(String, GenerationKey)> {
        (self.predicted == predicted).then(|| {
            let key = GenerationKey {
                model: model.clone(),
                token_ids: self.ids.clone(),
                max_new_tokens,
                stop: stop.to_vec(),
            };
            (self.prompt.clone(), key)
        })
    }

    /// Number of tokens that the model continues from.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }
}
