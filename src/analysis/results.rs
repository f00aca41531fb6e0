//! An experiment's records with everything that several pages need of them, worked out once.

use indexmap::IndexMap;
use rayon::prelude::*;
use serde::Serialize;

use crate::analysis::agreement::{Agreement, largest};
use crate::analysis::compared::{self, Compared, OtherBaseline, OtherMethod};
use crate::analysis::evidence::Evidence;
use crate::analysis::failing::{FailingGroup, failing_group};
use crate::analysis::map;
use crate::analysis::scale::Scale;
use crate::analysis::summary::{self, Mean, ModelSummary, Share};
use crate::analysis::text::{bare, excerpt, short_titles, target_named};
use crate::analysis::words::{self, AnswerWords, ListedWords};
use crate::content::experiment::Experiment;
use crate::content::project::Project;
use crate::content::subject::{subject_segments, subject_text};
use crate::content::units::{CharText, UnitScores, Units};
use crate::diagnostic::{Diagnostic, Result};
use crate::store::record::{AttributionRecord, Imported, SampleRecord, TargetRecord};
use crate::terms::{Baseline, Method, Output, PromptStyle, TargetKind};

/// What the last of [`Results::segment_shares`] is called.
pub const SPECIAL: &str = "special tokens";
/// What lies outside the words that models share, where each has a chat template of its own round them.
const TEMPLATE_AND_SPECIAL: &str = "template and special tokens";

/// An experiment with its records.
pub struct ExperimentResults<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// Its records, `[model][sample]`, in the experiment's order.
    pub records: Vec<Vec<SampleRecord>>,
}

/// An experiment, analysed.
pub struct Results<'a> {
    /// The experiment and its records as they came.
    pub source: &'a ExperimentResults<'a>,
    /// The experiment.
    pub experiment: &'a Experiment,
    /// Titles of the models, in order.
    pub models: Vec<String>,
    /// The same without what all of them begin with.
    pub short_models: Vec<String>,
    /// A summary a model.
    pub summaries: Vec<ModelSummary>,
    /// The samples, in order.
    pub samples: Vec<SampleResults>,
    /// Maps of the record that has most of them.
    pub most_maps: usize,
    /// How many samples get the same answer from all models.
    pub same_answer: Share,
    /// One colour scale over the whole experiment for the scores of the words that the samples are about.
    pub subject_scale: Scale,
    /// Mean share of |word score| by segment, one list a model.
    pub segment_shares: Vec<IndexMap<String, Mean>>,
    /// The segments that the samples are about ([`subject_segments`]).
    pub subject: Vec<String>,
    /// What speaks for or against the maps.
    pub evidence: Evidence,
    /// Whether models are compared by their maps of the right answer; else by those that pages show.
    pub compares_right_answers: bool,
    /// Where some model fails; none where no column of the data tells.
    pub failing: Option<FailingGroup>,
    /// What words count for each answer: by all models, then by each.
    pub answer_words: Vec<AnswerWords>,
    /// The words that have a page.
    pub listed: ListedWords,
    /// The same by option, over the lines of the prompt that begin with the option's letter.
    pub option_shares: Vec<IndexMap<String, Mean>>,
    /// What is written of it.
    pub writes: Writes,
}

/// What a site writes of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writes {
    /// Whether maps that say no more than the sample's page have no page of their own.
    pub needed_only: bool,
    /// Whether its data are packed.
    pub packed: bool,
    /// Whether its samples and maps have cards for link previews.
    pub cards: bool,
}

/// What the maps that pages show explain.
#[derive(Serialize)]
pub struct Shown<'a> {
    /// The target of the first.
    pub target: &'a TargetRecord,
    /// The output that all explain.
    pub output: Output,
    /// What the first compares the input with.
    pub baseline: Option<&'a Baseline>,
    /// How the first is made.
    pub method: Option<Method>,
    /// Who made the first, where igsite did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<&'a Imported>,
    /// Whether the experiment has other methods too.
    pub several_methods: bool,
    /// How many maps a model and a sample have.
    pub maps: usize,
    /// Whether the models' chat templates are round the prompts.
    pub prompt_style: PromptStyle,
}

/// An option with what it stands for.
#[derive(Clone, Serialize)]
pub struct Label {
    /// Its letter.
    pub letter: String,
    /// `D (barely-true)`.
    pub label: String,
}

/// A sample, analysed.
pub struct SampleResults {
    /// Words, sentences and segments of its prompt, without any chat template: what all models share.
    pub units: Units,
    /// Each model's own units with its chat template, and the word scores of its shown map over them; none for a plain
    /// prompt.
    own: Vec<Option<(Units, Option<UnitScores>)>>,
    /// Word scores of each model's shown map, over the shared words; none where it is marked or missing.
    pub words: Vec<Option<UnitScores>>,
    /// The errors of those scores, at most; none where they are unknown.
    pub errors: Vec<Option<UnitScores>>,
    /// Each model's map that is compared with those of others, over the words of what the sample is about; none where it
    /// is marked or missing.
    pub compared: Vec<Option<Compared>>,
    /// Agreement of every two models (first < second) whose compared maps explain the same, over those words.
    pub agreements: Vec<(usize, usize, Agreement)>,
    /// Each model's shown map beside the same from each other baseline, over those words.
    pub baselines: Vec<Vec<OtherBaseline>>,
    /// The same by each other method.
    pub methods: Vec<Vec<OtherMethod>>,
    /// Whether the strongest word of each model's shown map is where the experiment expects it; none where that is not
    /// known.
    pub expected: Vec<Option<bool>>,
    /// Whether all models give the same answer.
    pub same_answer: bool,
    /// The words of what the sample is about, by their places among all of it: all words where no segment tells the
    /// samples apart.
    pub subject_words: Vec<usize>,
    /// What the sample is about, shortened: its `claim`, or whatever segment tells the samples apart.
    pub subject: String,
}

impl<'a> Results<'a> {
    /// Works it out. The records must be one for each model and sample.
    pub fn of(project: &Project, source: &'a ExperimentResults<'a>) -> Result<Self> {
        let experiment = source.experiment;
        let complete = source.records.len() == experiment.models.len()
            && source
                .records
                .iter()
                .all(|records| records.len() == experiment.samples.len());
        if !complete {
            return Err(Diagnostic::output(format!(
                "experiment `{}` has not a record for every model and sample",
                experiment.id
            ))
            .in_file(&experiment.path)
            .help("run `igsite build` again: it computes the records that are missing"));
        }
        let title = |id: &String| project.model_title(id).to_owned();
        let subject = subject_segments(experiment);
        let compares_right_answers = compared::has_right_answers(&source.records);
        let samples: Vec<SampleResults> = (0..experiment.samples.len())
            .into_par_iter()
            .map(|sample| SampleResults::of(source, sample, &subject, compares_right_answers))
            .collect();
        let models = 0..source.records.len();
        let shares = models.into_par_iter().map(|model| {
            (
                segment_shares(&samples, model),
                option_shares(experiment, &samples, model),
            )
        });
        let (segment_shares, option_shares) = shares.unzip();
        let models: Vec<String> = experiment.models.iter().map(title).collect();
        let subject_scale = Scale::over(samples.iter().flat_map(|sample| {
            let words = sample.words.iter().flatten();
            words.flat_map(|scores| sample.subject_words.iter().map(|&word| &scores.units[word]))
        }));
        let mut results = Self {
            source,
            subject_scale,
            experiment,
            short_models: short_titles(&models),
            models,
            summaries: source.records.iter().map(ModelSummary::of).collect(),
            // Each page with several models says it: it is not counted again for each.
            most_maps: source
                .records
                .iter()
                .flatten()
                .map(|record| record.attributions.len())
                .max()
                .unwrap_or(0),
            same_answer: summary::same_answer(&source.records),
            samples,
            segment_shares,
            subject,
            evidence: Evidence::of(experiment, &source.records),
            compares_right_answers,
            failing: failing_group(&experiment.samples, &experiment.options, &source.records),
            option_shares,
            answer_words: Vec::new(),
            listed: ListedWords::default(),
            writes: {
                let (pairs, settings) = (experiment.models.len() * experiment.samples.len(), project.settings());
                Writes {
                    needed_only: settings.maps.only_needed(pairs),
                    packed: settings.data.packed(pairs),
                    cards: settings.cards.of_samples(pairs),
                }
            },
        };
        results.answer_words = words::by_answer(&results);
        results.listed = ListedWords::of(&results, &results.answer_words);
        Ok(results)
    }

    /// Whether a model's maps of a sample have a page of their own.
    pub fn has_map_page(&self, model: usize, sample: usize) -> bool {
        !self.writes.needed_only || map::needs_a_page(self.record(model, sample))
    }

    /// How many pairs of a model and a sample have no such page.
    pub fn without_map_page(&self) -> usize {
        let records = self.source.records.iter().flatten();
        records
            .filter(|record| self.writes.needed_only && !map::needs_a_page(record))
            .count()
    }

    /// One sentence on how the maps stand against their controls; none where they were not tested.
    pub fn standing(&self) -> Option<String> {
        let ids = self.experiment.models.iter().zip(&self.models);
        let title = |id: &str| {
            let known = ids.clone().find(|(known, _)| *known == id);
            known.map_or_else(|| id.to_owned(), |(_, title)| title.clone())
        };
        self.evidence.headline(title)
    }

    /// The record of a model and a sample.
    pub fn record(&self, model: usize, sample: usize) -> &'a SampleRecord {
        &self.source.records[model][sample]
    }

    /// The records of all models for a sample.
    pub fn records_of(&self, sample: usize) -> impl Iterator<Item = &'a SampleRecord> {
        self.source.records.iter().map(move |records| &records[sample])
    }

    /// The sample's name in links.
    pub fn slug(&self, sample: usize) -> &'a str {
        &self.experiment.samples[sample].slug
    }

    /// The sample's id, short enough for a heading.
    pub fn sample_title(&self, sample: usize) -> String {
        excerpt(&self.experiment.samples[sample].id, 60)
    }

    /// Chance of a guess among the options.
    pub fn guessing(&self) -> Option<f64> {
        (self.experiment.options.len() > 1).then(|| 1.0 / self.experiment.options.len() as f64)
    }

    /// How many samples have the right answer that is right most often: what is got by giving it always.
    pub fn always_the_same(&self) -> usize {
        let mut counts: IndexMap<&str, usize> = IndexMap::new();
        for gold in self
            .experiment
            .samples
            .iter()
            .filter_map(|sample| sample.gold.as_deref())
        {
            *counts.entry(gold).or_default() += 1;
        }
        counts.into_values().max().unwrap_or_default()
    }

    /// The option's letter with the words it stands for: `D (barely-true)`.
    pub fn option_label(&self, letter: &str) -> String {
        match self.experiment.options.iter().find(|option| option.letter == letter) {
            Some(option) => format!("{letter} ({})", option.gold),
            None => letter.to_owned(),
        }
    }

    /// Which of the maps the pages with several models show: the first target and baseline of each record.
    pub fn shown(&self) -> Option<Shown<'a>> {
        let first = self.first_map()?;
        Some(Shown {
            target: &first.target,
            output: self.experiment.attribution.output,
            baseline: first.baseline.as_ref(),
            method: first.method,
            imported: first.imported.as_ref(),
            several_methods: self.several_methods(),
            maps: self.most_maps,
            prompt_style: self.experiment.prompt_style,
        })
    }

    /// Whether its maps are by several methods.
    pub fn several_methods(&self) -> bool {
        if self.experiment.imported.is_none() {
            return self.experiment.attribution.methods.len() > 1;
        }
        let mut records = self.source.records.iter().flatten();
        records.any(|record| {
            let mut maps = record.attributions.iter().map(AttributionRecord::made_by);
            let first = maps.next();
            maps.any(|other| Some(other) != first)
        })
    }

    /// The programs that computed the imported maps, each with a method, in the order of first sight; none of maps
    /// that igsite computed.
    pub fn imported_by(&self) -> Vec<(String, String)> {
        let maps = self
            .source
            .records
            .iter()
            .flatten()
            .flat_map(|record| &record.attributions);
        let mut known = Vec::new();
        for imported in maps.filter_map(|map| map.imported.as_ref()) {
            let one = (imported.by(), imported.method.clone());
            if !known.contains(&one) {
                known.push(one);
            }
        }
        known
    }

    /// The first of the maps that pages with several models show.
    pub fn first_map(&self) -> Option<&'a AttributionRecord> {
        let mut records = self.source.records.iter().flatten();
        records.find_map(|record| record.attributions.first())
    }

    /// The options with what they stand for.
    pub fn options(&self) -> Vec<Label> {
        let letters = self.experiment.options.iter().map(|option| &option.letter);
        letters
            .map(|letter| Label {
                letter: letter.clone(),
                label: self.option_label(letter),
            })
            .collect()
    }

    /// Every segment that the maps of any model have, special tokens last.
    pub fn segment_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.segment_shares.iter().flat_map(IndexMap::keys) {
            if name != SPECIAL && !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        if !names.is_empty() {
            names.push(SPECIAL);
        }
        names
    }

    /// What lies outside the shared words.
    pub fn outside(&self) -> &'static str {
        match self.experiment.prompt_style {
            PromptStyle::Plain => SPECIAL,
            PromptStyle::Chat => TEMPLATE_AND_SPECIAL,
        }
    }

    /// Maps that are numerically exact, of all maps of all models that have a test: the one count of them
    /// ([`summary::exactness`]).
    pub fn exact(&self) -> Share {
        self.total(|model| model.converged)
    }

    /// The same of one sample.
    pub fn exact_on(&self, sample: usize) -> Share {
        let maps = self.records_of(sample).flat_map(|record| &record.attributions);
        summary::exact(maps)
    }

    /// Whether no map has an error estimate: then the count says what the deltas say, and no more.
    pub fn exact_by_delta(&self) -> bool {
        self.summaries.iter().all(|model| model.median_error.is_none())
    }

    /// Maps whose strongest word is where the experiment expects it, of the maps that pages show.
    pub fn expected(&self) -> Share {
        let mut share = Share::default();
        let known = self.samples.iter().flat_map(|sample| &sample.expected).flatten();
        known.for_each(|expected| share.add(*expected));
        share
    }

    /// How often the maps that pages show have the same strongest word from each other baseline, and how their scores
    /// correlate in the mean; in the order of first sight.
    pub fn other_baselines(&self) -> Vec<(Baseline, Share, Mean)> {
        let mut found: Vec<(Baseline, Share, Mean)> = Vec::new();
        for other in self.samples.iter().flat_map(|sample| &sample.baselines).flatten() {
            let place = found.iter().position(|(known, ..)| *known == other.baseline);
            let place = place.unwrap_or_else(|| {
                found.push((other.baseline.clone(), Share::default(), Mean::default()));
                found.len() - 1
            });
            found[place].1.add(other.same_word);
            found[place].2.add(other.correlation);
        }
        found
    }

    fn total(&self, share: fn(&ModelSummary) -> Share) -> Share {
        self.summaries
            .iter()
            .map(share)
            .fold(Share::default(), |sum, model| Share {
                count: sum.count + model.count,
                of: sum.of + model.of,
            })
    }

    /// Whether some model answers some sample with this option.
    pub fn is_answered(&self, letter: &str) -> bool {
        let mut records = self.source.records.iter().flatten();
        records.any(|record| summary::predicted_option(record) == Some(letter))
    }

    /// The words of what a sample is about, by their places.
    pub fn subject_words(&self, sample: usize) -> &[usize] {
        &self.samples[sample].subject_words
    }

    /// A model's `top` words of greatest magnitude among those of what a sample is about: their places, and their
    /// scores.
    pub fn reasons(&self, model: usize, sample: usize, top: usize) -> Vec<(usize, f64)> {
        let scores = self.samples[sample].words[model].as_ref();
        scores.map_or_else(Vec::new, |scores| self.strongest(sample, scores, top))
    }

    /// The same of any sums over the shared words of a sample.
    pub fn strongest(&self, sample: usize, scores: &UnitScores, top: usize) -> Vec<(usize, f64)> {
        let words = &self.samples[sample].subject_words;
        let own: Vec<f64> = words.iter().map(|&word| scores.units[word]).collect();
        let strongest = largest(&own, top).into_iter().map(|index| (words[index], own[index]));
        strongest.filter(|(_, score)| *score != 0.0).collect()
    }

    /// The word of what a sample is about on which a model's compared map rests most, and its score.
    pub fn compared_reason(&self, model: usize, sample: usize) -> Option<(usize, f64)> {
        let analysed = &self.samples[sample];
        let map = analysed.compared[model].as_ref()?;
        let strongest = map.strongest()?;
        Some((analysed.subject_words[strongest], map.scores[strongest]))
    }

    /// A word of a sample's prompt as lists show it.
    pub fn word(&self, sample: usize, word: usize) -> String {
        let unit = &self.samples[sample].units.words[word];
        bare(CharText::new(&self.experiment.samples[sample].prompt.text).slice(unit.start, unit.end))
    }

    /// The name in links of a word of a sample's prompt; none where it has no page.
    pub fn word_slug(&self, sample: usize, word: usize) -> Option<String> {
        let is_subject = self.samples[sample].subject_words.binary_search(&word).is_ok();
        let slug = is_subject.then(|| self.listed.slug(&self.word(sample, word)))?;
        slug.map(str::to_owned)
    }

    /// What the compared maps explain, as a phrase behind "for".
    pub fn compared_target(&self) -> String {
        if self.compares_right_answers {
            return "the right answer".to_owned();
        }
        match self.first_map().map(|map| &map.target) {
            Some(target) if target.kind == TargetKind::Predicted => "answers that both give".to_owned(),
            Some(target) if target.kind == TargetKind::Generated => "what both say".to_owned(),
            Some(target) => format!("“{}”", target_named(target)),
            None => "nothing".to_owned(),
        }
    }

    /// A model's `top` words of greatest magnitude for a sample, with their scores.
    pub fn top_words(&self, model: usize, sample: usize, top: usize) -> Vec<(String, f64)> {
        let results = &self.samples[sample];
        let Some(scores) = &results.words[model] else {
            return Vec::new();
        };
        let text = CharText::new(&self.experiment.samples[sample].prompt.text);
        let word = |index: usize| {
            let unit = &results.units.words[index];
            bare(text.slice(unit.start, unit.end))
        };
        largest(&scores.units, top)
            .into_iter()
            .map(|index| (word(index), scores.units[index]))
            .filter(|w| w.1 != 0.0)
            .collect()
    }
}

impl SampleResults {
    fn of(source: &ExperimentResults<'_>, sample: usize, subject: &[String], gold: bool) -> Self {
        let experiment = source.experiment;
        let prompt = &experiment.samples[sample].prompt;
        let units = Units::of(&prompt.text, &prompt.segments);
        let segment = |word: usize| &units.segments[units.segment_of_word(word)].name;
        let subject_words: Vec<usize> = (0..units.words.len())
            .filter(|&word| subject.is_empty() || subject.contains(segment(word)))
            .collect();
        // What is ranked beside what is expected: as in `truth`, the words of what the sample is about and the expected.
        let ranked: Vec<(usize, bool)> = (0..units.words.len())
            .map(|word| (word, experiment.expected.contains(segment(word))))
            .filter(|(word, expected)| *expected || subject.is_empty() || subject.contains(segment(*word)))
            .collect();
        let expected_words: Vec<bool> = ranked.iter().map(|(_, expected)| *expected).collect();
        let of_subject =
            |scores: &UnitScores| -> Vec<f64> { subject_words.iter().map(|&word| scores.units[word]).collect() };
        let (mut own, mut words, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        let (mut compared, mut expected) = (Vec::new(), Vec::new());
        let (mut baselines, mut methods): (Vec<Vec<OtherBaseline>>, Vec<Vec<OtherMethod>>) = Default::default();
        for records in &source.records {
            let record = &records[sample];
            let within = match experiment.prompt_style {
                PromptStyle::Plain => None,
                PromptStyle::Chat => Some(within_template(record)),
            };
            let sums = word_sums(record, &units, within.as_ref().map(|(own, _)| own));
            let shown = summary::shown(record);
            let shown_words = shown.and_then(|map| sums(&map.scores));
            let map = compared::compared_map(record, gold);
            compared.push(map.and_then(|map| {
                Some(Compared {
                    target: map.target.text.clone(),
                    scores: of_subject(&sums(&map.scores)?),
                    errors: map::errors(map).as_deref().and_then(&sums).as_ref().map(of_subject),
                })
            }));
            let shown_scores = shown_words.as_ref().map(of_subject);
            // Another map beside the shown one: what both count, and the shown one's strongest word if it is the other's too.
            let beside = |map: &AttributionRecord| {
                let (shown, other) = (shown_scores.as_ref()?, of_subject(&sums(&map.scores)?));
                let strongest = largest(shown, 1);
                let same = strongest == largest(&other, 1);
                Some((shown, other, same, strongest))
            };
            let from_another = |map: &AttributionRecord| {
                let (shown, other, same_word, _) = beside(map)?;
                Some(OtherBaseline {
                    baseline: map.baseline.clone()?,
                    same_word,
                    correlation: compared::pearson(shown, &other),
                })
            };
            let by_another = |map: &AttributionRecord| {
                let (shown, other, same, strongest) = beside(map)?;
                let pulls_alike = |&word: &usize| shown[word].signum() == other[word].signum();
                Some(OtherMethod {
                    method: map.method_name().to_owned(),
                    same_word: same && strongest.iter().all(pulls_alike),
                })
            };
            baselines.push(
                compared::from_other_baselines(record)
                    .filter_map(from_another)
                    .collect(),
            );
            methods.push(compared::by_other_methods(record).filter_map(by_another).collect());
            expected.push(shown_words.as_ref().and_then(|scores| {
                let ranked: Vec<f64> = ranked.iter().map(|(word, _)| scores.units[*word]).collect();
                compared::strongest_is_expected(&ranked, &expected_words)
            }));
            words.push(shown_words);
            errors.push(shown.and_then(|map| map::errors(map).as_deref().and_then(&sums)));
            drop(sums);
            own.push(within);
        }
        let mut agreements = Vec::new();
        for first in 0..compared.len() {
            for second in first + 1..compared.len() {
                if let (Some(a), Some(b)) = (&compared[first], &compared[second])
                    && let Some(agreement) = compared::agreement_of(a, b)
                {
                    agreements.push((first, second, agreement));
                }
            }
        }
        Self {
            subject_words,
            units,
            own,
            words,
            errors,
            compared,
            agreements,
            baselines,
            methods,
            expected,
            same_answer: summary::gives_same_answer(source.records.iter().map(|records| &records[sample])),
            subject: excerpt(subject_text(prompt, subject), 180),
        }
    }

    /// The sums over the shared words of any values of a model's tokens; none where a template left no trace of them.
    pub fn sums<'s>(
        &'s self,
        model: usize,
        record: &'s SampleRecord,
    ) -> impl Fn(&[f64]) -> Option<UnitScores> + use<'s> {
        word_sums(record, &self.units, self.own[model].as_ref().map(|(own, _)| own))
    }

    /// Whether two models' compared maps rest most on the same word; none where they explain different things, or one
    /// has no map.
    pub fn same_word(&self, a: usize, b: usize) -> Option<bool> {
        let (a, b) = (self.compared[a].as_ref()?, self.compared[b].as_ref()?);
        if a.target.trim() != b.target.trim() {
            return None;
        }
        Some(a.strongest()? == b.strongest()?)
    }

    /// A model's units of the prompt as it got it.
    pub fn units_of(&self, model: usize) -> &Units {
        self.own[model].as_ref().map_or(&self.units, |(units, _)| units)
    }

    /// The word scores of a model's shown map over [`Self::units_of`].
    fn own_words(&self, model: usize) -> Option<&UnitScores> {
        match &self.own[model] {
            Some((_, words)) => words.as_ref(),
            None => self.words[model].as_ref(),
        }
    }

    /// Mean Spearman correlation over every two models, weighted by the errors where they are known.
    pub fn mean_spearman(&self) -> Option<f64> {
        let mut mean = Mean::default();
        for (_, _, agreement) in &self.agreements {
            mean.add(agreement.leading().spearman);
        }
        mean.value()
    }
}

/// Sums values of a record's tokens over the words that all models share; `own` are the units with the model's chat
/// template, where it has one.
fn word_sums<'s>(
    record: &'s SampleRecord,
    units: &'s Units,
    own: Option<&'s Units>,
) -> impl Fn(&[f64]) -> Option<UnitScores> + use<'s> {
    let over = own.unwrap_or(units);
    let assignment = over.assign(&record.prompt, &record.tokens);
    move |values| {
        let sums = over.word_scores(&assignment, values);
        match own {
            Some(own) => own.without_template(&sums, units),
            None => Some(sums),
        }
    }
}

/// The units of a prompt that has a chat template round it, and the word scores of the shown map.
fn within_template(record: &SampleRecord) -> (Units, Option<UnitScores>) {
    let units = Units::of(&record.prompt, &record.segments);
    let words = summary::shown(record).map(|shown| {
        let assignment = units.assign(&record.prompt, &record.tokens);
        units.word_scores(&assignment, &shown.scores)
    });
    (units, words)
}

fn segment_shares(samples: &[SampleResults], model: usize) -> IndexMap<String, Mean> {
    let mut means: IndexMap<String, Mean> = IndexMap::new();
    for sample in samples {
        let units = sample.units_of(model);
        let shares = sample
            .own_words(model)
            .and_then(|words| summary::segment_shares(units, words));
        let Some(shares) = shares else { continue };
        // Segments of one name (the pieces of a chat template, say) count as one.
        let mut by_name: IndexMap<&str, f64> = IndexMap::new();
        for (segment, share) in units.segments.iter().zip(&shares) {
            *by_name
                .entry(if segment.name.is_empty() {
                    "(unnamed)"
                } else {
                    &segment.name
                })
                .or_default() += share;
        }
        by_name.insert(SPECIAL, shares[shares.len() - 1]);
        for (name, share) in by_name {
            means.entry(name.to_owned()).or_default().add(Some(share));
        }
    }
    if let Some(special) = means.shift_remove(SPECIAL) {
        means.insert(SPECIAL.to_owned(), special);
    }
    means
}

fn option_shares(experiment: &Experiment, samples: &[SampleResults], model: usize) -> IndexMap<String, Mean> {
    let mut means: IndexMap<String, Mean> = IndexMap::new();
    for (sample, analysed) in experiment.samples.iter().zip(samples) {
        let (Some(words), Some(own)) = (&analysed.words[model], analysed.own_words(model)) else {
            continue;
        };
        let total = own
            .units
            .iter()
            .chain([&own.outside])
            .map(|score| score.abs())
            .sum::<f64>();
        let lines = option_lines(experiment, &sample.prompt.text, &analysed.units);
        if total == 0.0 || lines.is_empty() {
            continue;
        }
        let mut by_letter: IndexMap<&str, f64> = IndexMap::new();
        for (word, score) in analysed.units.words.iter().zip(&words.units) {
            if let Some((_, letter)) = lines.iter().find(|(sentence, _)| *sentence == word.parent) {
                *by_letter.entry(letter).or_default() += score.abs() / total;
            }
        }
        for option in &experiment.options {
            let share = by_letter.get(option.letter.as_str()).copied();
            means.entry(option.letter.clone()).or_default().add(share);
        }
    }
    means
}

/// The sentences that state an option, `B) Mostly True`, with the option's letter; a line break ends a sentence.
fn option_lines<'e>(experiment: &'e Experiment, prompt: &str, units: &Units) -> Vec<(usize, &'e str)> {
    let text = CharText::new(prompt);
    let states = |sentence: &str, letter: &str| {
        let rest = sentence.trim_start_matches('(').strip_prefix(letter);
        rest.is_some_and(|rest| {
            rest.starts_with([')', '.', ':']) && rest.trim_start_matches([')', '.', ':']).starts_with(' ')
        })
    };
    let letter_of = |index: usize| {
        let unit = units.sentences[index];
        let sentence = text.slice(unit.start, unit.end);
        experiment
            .options
            .iter()
            .map(|option| option.letter.as_str())
            .find(|letter| states(sentence, letter))
    };
    (0..units.sentences.len())
        .filter_map(|index| Some((index, letter_of(index)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture::Fixture;

    #[test]
    fn options_are_the_lines_that_state_them_and_share_what_their_segment_has() {
        let fixture = Fixture::demo();
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        let lines = option_lines(
            results.experiment,
            &results.experiment.samples[0].prompt.text,
            &results.samples[0].units,
        );
        assert_eq!(lines.iter().map(|(_, letter)| *letter).collect::<String>(), "ABCDEF");
        for (options, segments) in results.option_shares.iter().zip(&results.segment_shares) {
            let sum: f64 = options.values().filter_map(|mean| mean.value()).sum();
            assert!((sum - segments["options"].value().expect("a share")).abs() < 1e-12);
        }
    }

    #[test]
    fn a_sample_is_about_its_claim_or_what_differs() {
        let mut fixture = Fixture::demo();
        let experiment = &mut fixture.project.experiments[0];
        assert_eq!(subject_segments(experiment), ["claim"]);
        for sample in &mut experiment.samples {
            sample.prompt.segments[1].name = "statement".into();
        }
        // The instruction names the speaker, so it differs too; but it is form.
        assert_eq!(subject_segments(experiment), ["statement"]);
        let prompt = &experiment.samples[1].prompt;
        assert_eq!(
            subject_text(prompt, &["statement".into()]),
            "Rents in the old town have doubled since the ferry stopped."
        );
        assert_eq!(subject_text(prompt, &[]), prompt.text);
        for sample in &mut experiment.samples {
            sample.prompt.segments[1].name = "options".into();
        }
        assert_eq!(subject_segments(experiment), ["instruction", "options"]);
    }
}
