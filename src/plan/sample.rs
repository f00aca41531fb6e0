//! One sample with one model: the prompt's tokens, those of its options and targets, and what is wrong with them.

use std::borrow::Cow;

use super::{Job, OpenedModel, PlannedTarget, TargetToken};
use crate::chat::Chat;
use crate::content::dataset::Sample;
use crate::content::experiment::Experiment;
use crate::content::names::quoted;
use crate::content::prompt::Prompt;
use crate::diagnostic::{Diagnostic, Result};
use crate::store::key::PredictionKey;
use crate::terms::{Baseline, BaselineVector, Output, Target, TargetKind, Token};
use crate::tokenizer::{Around, OWN_TOKENS, SpecialKind};

/// An error of one sample, with the way to its place in the YAML.
pub type Problem = (Vec<String>, Diagnostic);

fn problem(problems: &mut Vec<Problem>, way: &[&str], error: Diagnostic) {
    problems.push((way.iter().map(|part| (*part).to_owned()).collect(), error));
}

/// What stands round a prompt's tokens: nothing that a chat template has not written itself.
pub fn around(chat: Option<&Chat>) -> Around {
    match chat {
        Some(_) => Around::Nothing,
        None => Around::Special,
    }
}

/// A prompt as the model gets it, that answers stand behind.
#[derive(Clone, Copy)]
struct PromptTokens<'e> {
    text: &'e str,
    ids: &'e [u32],
    around: Around,
}

/// What plans one sample, as many threads may do at once.
#[derive(Clone, Copy)]
pub struct One<'a, 'm> {
    pub experiment: &'a Experiment,
    pub model: &'m OpenedModel,
}

impl<'a> One<'a, '_> {
    /// The prompt as the model gets it, and its tokens.
    fn prompt(&self, sample: &'a Sample, chat: Option<&Chat>) -> Result<(Cow<'a, Prompt>, Vec<Token>)> {
        let prompt = match chat {
            None => Cow::Borrowed(&sample.prompt),
            Some(chat) => Cow::Owned(chat.prompt(&sample.prompt)?),
        };
        let tokens = self.model.tokenizer.encode_within(&prompt.text, around(chat))?;
        Ok((prompt, tokens))
    }

    /// `config.json` first, then the tokenizer's files.
    pub fn special(&self, by_config: Option<u32>, kind: SpecialKind) -> Option<BaselineVector> {
        self.in_table(by_config.or_else(|| self.model.tokenizer.special(kind)))
    }

    /// A token that has a row in the embedding table.
    pub fn in_table(&self, id: Option<u32>) -> Option<BaselineVector> {
        id.filter(|&id| (id as usize) < self.model.checkpoint.config.model.vocabulary)
            .map(BaselineVector::Token)
    }

    pub fn job(
        &self,
        sample: &'a Sample,
        chat: Option<&Chat>,
        baselines: &[(Baseline, BaselineVector)],
        problems: &mut Vec<Problem>,
    ) -> Option<Job<'a>> {
        let (prompt, tokens) = match self.prompt(sample, chat) {
            Ok(encoded) => encoded,
            Err(error) => {
                let key = if chat.is_some() { "prompt_style" } else { "prompt" };
                problem(problems, &[key], error);
                return None;
            }
        };
        let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        let asked = PromptTokens {
            text: &prompt.text,
            ids: &ids,
            around: around(chat),
        };
        let rows = self.model.checkpoint.config.model.vocabulary;
        if ids.is_empty() {
            problem(
                problems,
                &["prompt"],
                Diagnostic::content("the prompt comes to no tokens"),
            );
            return None;
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
            let error = Diagnostic::content(format!("the tokenizer gives token {id}, and the model has {rows}"))
                .help("the tokenizer's files belong to another checkpoint");
            problem(problems, &["models"], error);
            return None;
        }
        let mut options = Vec::new();
        // What is wrong with the prompt's end is wrong for every letter, and is told with the first.
        let mut refused: Vec<(&str, Diagnostic, Vec<&str>)> = Vec::new();
        for option in &self.experiment.options {
            let letter = option.letter.as_str();
            match self.answer(asked, letter) {
                Ok(tokens) => options.push((letter, tokens)),
                Err(error) => match refused.iter_mut().find(|(_, other, _)| other.help == error.help) {
                    Some((.., more)) if error.expected.as_deref() == Some(OWN_TOKENS) => more.push(letter),
                    _ => refused.push((letter, error, Vec::new())),
                },
            }
        }
        for (letter, mut error, more) in refused {
            if !more.is_empty() {
                error.message += &format!(" (and so it is with {})", quoted(more));
            }
            problem(problems, &["options", letter], error);
        }
        // Reported above; targets that need such an option would only repeat it.
        if options.len() < self.experiment.options.len() {
            return None;
        }
        let mut targets = Vec::new();
        for (index, spec) in self.experiment.attribution.targets.iter().enumerate() {
            match self.targets(spec, sample, asked, &options) {
                Ok(found) => targets.extend(found),
                Err(error) => problem(problems, &["attribution", "targets", &index.to_string()], error),
            }
        }
        // Learned embeddings of positions end somewhere; the tokens of an answer but its last stand behind the prompt.
        if let Some(positions) = self.model.checkpoint.config.model.embedding.positions {
            let answers = options.iter().map(|(_, tokens)| tokens.len() - 1);
            let longest = answers.chain(targets.iter().map(|target| target.forced.len())).max();
            let needed = ids.len() + longest.unwrap_or(0);
            if needed > positions {
                let error = Diagnostic::content(format!("the prompt and its longest answer come to {needed} tokens"))
                    .expected(format!(
                        "at most {positions}: the model has learned embeddings of so many positions"
                    ))
                    .help("shorten the prompt, or leave the sample out");
                problem(problems, &["prompt"], error);
                return None;
            }
        }
        Some(Job {
            sample,
            prompt,
            tokens,
            prediction: PredictionKey::asking(self.model.key.clone(), ids, &options),
            options,
            targets,
            baselines: baselines.to_vec(),
            tested: false,
            generation: None,
        })
    }

    /// A prompt that is longer than the model was made for is reported, and computed all the same.
    pub fn check_context(&self, job: &Job, problems: &mut Vec<Problem>) {
        // Of an answer that is explained the last token is not read by the model.
        let behind = job.targets.iter().map(|target| target.forced.len()).max().unwrap_or(0);
        let found = job.tokens.len() + behind;
        let with = if behind > 0 {
            format!(", {behind} of them of the answer that is explained")
        } else {
            String::new()
        };
        if let Some(context) = self.model.checkpoint.config.context.filter(|&context| found > context) {
            let error = Diagnostic::content(format!("{found} tokens{with}, more than the model was made for"))
                .expected(format!("at most {context} (`max_position_embeddings`)"))
                .help(if behind > 0 {
                    "beyond it answers and maps mean little: shorten the answer or the prompt"
                } else {
                    "beyond it answers and maps mean little: shorten the prompt, or take fewer shots"
                })
                .as_warning();
            problem(problems, &["prompt"], error);
        }
    }

    /// The tokens of an answer behind the prompt: several, where they can be explained together.
    fn answer(&self, asked: PromptTokens<'_>, answer: &str) -> Result<Vec<u32>> {
        let tokenizer = &self.model.tokenizer;
        let tokens = tokenizer.answer_tokens(asked.text, asked.ids, answer, asked.around)?;
        if tokens.len() > 1 && self.experiment.attribution.output != Output::LogProbability {
            return Err(tokenizer.several(answer, &tokens));
        }
        match tokens.iter().find(|&&id| self.in_table(Some(id)).is_none()) {
            None => Ok(tokens),
            Some(id) => Err(Diagnostic::content(format!(
                "`{answer}` has token {id}, which the model does not have"
            ))),
        }
    }

    fn targets(
        &self,
        spec: &Target,
        sample: &Sample,
        asked: PromptTokens<'_>,
        options: &[(&str, Vec<u32>)],
    ) -> Result<Vec<PlannedTarget>> {
        let one = |kind, (token, forced)| vec![PlannedTarget::one(kind, token, forced)];
        let member = |spec: &Target| self.target_token(spec, sample, asked, options);
        Ok(match spec {
            Target::Predicted => one(TargetKind::Predicted, member(spec)?),
            Target::Gold => one(TargetKind::Gold, member(spec)?),
            Target::Option(_) => one(TargetKind::Option, member(spec)?),
            Target::Token(_) => one(TargetKind::Token, member(spec)?),
            Target::Text(text) => {
                let (token, forced) = member(spec)?;
                vec![PlannedTarget::text(text, token, forced)]
            }
            Target::Generated => vec![PlannedTarget::generated()],
            Target::AllOptions => options
                .iter()
                .flat_map(|(_, tokens)| one(TargetKind::Option, known(tokens)))
                .collect(),
            Target::Contrast(first, second) => {
                let ((token, before), (minus, before_minus)) = (member(first)?, member(second)?);
                if !before.is_empty() || !before_minus.is_empty() {
                    return Err(Diagnostic::content("a contrast with an answer of several tokens")
                        .expected("single tokens on both sides")
                        .help("such answers have no path in common; explain each by itself, with `all_options` or by its letter"));
                }
                vec![PlannedTarget::contrast(token, minus)]
            }
        })
    }

    fn target_token(
        &self,
        spec: &Target,
        sample: &Sample,
        asked: PromptTokens<'_>,
        options: &[(&str, Vec<u32>)],
    ) -> Result<(TargetToken, Vec<u32>)> {
        let option = |letter: &str| {
            let found = options.iter().find(|(known, _)| *known == letter);
            found.map(|(_, tokens)| known(tokens)).ok_or_else(|| {
                Diagnostic::content(format!(
                    "option `{letter}` has no tokens here, so it cannot be explained"
                ))
            })
        };
        match spec {
            Target::Predicted => Ok((TargetToken::Predicted, vec![])),
            Target::Option(letter) => option(letter),
            Target::Gold => match &sample.gold {
                Some(letter) => option(letter),
                None => Err(Diagnostic::content("target `gold`: this sample has no right answer")
                    .expected("a value in the gold column of every chosen row")),
            },
            // After the prompt first, as an answer; else any token of the vocabulary by its own name.
            Target::Token(token) => match self.answer(asked, token) {
                Ok(tokens) => Ok(known(&tokens)),
                Err(error) => match self.in_table(self.model.tokenizer.vocabulary_token(token)) {
                    Some(BaselineVector::Token(id)) => Ok((TargetToken::Known(id), vec![])),
                    _ => Err(error),
                },
            },
            Target::Text(text) => Ok(known(&self.answer(asked, text)?)),
            Target::AllOptions | Target::Generated | Target::Contrast(..) => {
                Err(Diagnostic::content("a contrast has two single targets").expected("letters or tokens"))
            }
        }
    }
}

/// An answer's last token, and those before it.
fn known(tokens: &[u32]) -> (TargetToken, Vec<u32>) {
    let (last, before) = tokens.split_last().expect("an answer has a token");
    (TargetToken::Known(*last), before.to_vec())
}
