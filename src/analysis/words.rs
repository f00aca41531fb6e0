//! The words of what the samples are about over a whole experiment: which of them have a page, and what each counts for
//! each answer.
//!
//! Words are told apart without regard to case. Maps are those that pages show: each of the answer that it explains.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::analysis::results::Results;
use crate::analysis::scale::Scale;
use crate::analysis::summary;
use crate::content::names::slugs;
use crate::store::record::AttributionRecord;
use crate::terms::TargetKind;

/// How many words a table has; more where there are more answers than that.
const LISTED: usize = 12;
/// How many of them are those that push most towards one answer, at most.
const OF_EACH: usize = 3;
/// How many words of an experiment have a page at most: a site of thousands of samples must not double by them.
const PAGES: usize = 200;
/// What the maps of generated texts have in common.
const GENERATED: &str = "what the model generates";

/// A word that has a page.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedWord {
    /// In lower case.
    pub word: String,
    /// Its name in links.
    pub slug: String,
    /// Where it comes: sample, and place among the words of its prompt.
    pub uses: Vec<(usize, usize)>,
}

/// The words of an experiment that have a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedWords {
    /// By word.
    pub words: Vec<ListedWord>,
    places: HashMap<String, usize>,
}

impl ListedWords {
    /// Those on which some map rests most, those that maps rest on most often first, and those of the tables.
    pub fn of(results: &Results<'_>, tables: &[AnswerWords]) -> Self {
        let mut strongest: BTreeMap<String, usize> = BTreeMap::new();
        for sample in 0..results.samples.len() {
            for model in 0..results.models.len() {
                if let Some((word, _)) = results.reasons(model, sample, 1).first() {
                    *strongest.entry(results.word(sample, *word).to_lowercase()).or_default() += 1;
                }
            }
        }
        let mut ranked: Vec<(usize, String)> = strongest.into_iter().map(|(word, count)| (count, word)).collect();
        ranked.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let in_tables = tables.iter().flat_map(|table| &table.rows).map(|row| row.word.clone());
        let mut chosen: BTreeSet<String> = in_tables.collect();
        for (_, word) in ranked {
            if chosen.len() >= PAGES {
                break;
            }
            chosen.insert(word);
        }
        let names: Vec<&str> = chosen.iter().map(String::as_str).collect();
        let words: Vec<ListedWord> = slugs(&names)
            .into_iter()
            .zip(&names)
            .map(|(slug, word)| ListedWord {
                word: (*word).to_owned(),
                slug,
                uses: Vec::new(),
            })
            .collect();
        let places = names
            .iter()
            .enumerate()
            .map(|(place, word)| ((*word).to_owned(), place))
            .collect();
        let mut all = Self { words, places };
        for (sample, analysed) in results.samples.iter().enumerate() {
            for &word in &analysed.subject_words {
                if let Some(&place) = all.places.get(&results.word(sample, word).to_lowercase()) {
                    all.words[place].uses.push((sample, word));
                }
            }
        }
        all
    }

    /// The name of a word in links, in any case; none where it has no page.
    pub fn slug(&self, word: &str) -> Option<&str> {
        let place = self.places.get(&word.to_lowercase())?;
        Some(&self.words[*place].slug)
    }
}

/// What the words count for each answer, by all models or by one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnswerWords {
    /// The model; none of all together.
    pub model: Option<usize>,
    /// The answers that maps explain, in the order of the options, then by text.
    pub answers: Vec<Answered>,
    /// The words, those that count most first.
    pub rows: Vec<WordRow>,
    /// What full colour stands for.
    pub scale: Scale,
}

/// An answer over a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answered {
    /// The option's letter, or what the target reads as.
    pub target: String,
    /// The same with what an option stands for.
    pub label: String,
    /// Maps that explain it.
    pub maps: usize,
    /// Those of them of samples of which another option is the right one.
    pub wrong: usize,
}

/// A word of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WordRow {
    /// In lower case.
    pub word: String,
    /// One an answer; none where the word comes in no map of it.
    pub cells: Vec<Option<WordCell>>,
}

/// What a word counts for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct WordCell {
    /// Its mean score.
    pub score: f64,
    /// In so many maps.
    pub maps: usize,
    /// Of so many samples.
    pub samples: usize,
}

/// The answer that a map explains, as tables have it.
pub fn answer_of(map: &AttributionRecord) -> String {
    match map.target.kind {
        // No two models say the same in their own words.
        TargetKind::Generated => GENERATED.to_owned(),
        _ => map.target.shown().into_owned(),
    }
}

/// A sum over maps that knows of how many samples they are; samples come in order.
#[derive(Clone, Copy, Default)]
struct Sum {
    total: f64,
    maps: usize,
    samples: usize,
    last: Option<usize>,
}

impl Sum {
    fn add(&mut self, sample: usize, score: f64) {
        self.total += score;
        self.maps += 1;
        if self.last != Some(sample) {
            self.samples += 1;
            self.last = Some(sample);
        }
    }
}

/// A table of all models, and where there are several one of each.
pub fn by_answer(results: &Results<'_>) -> Vec<AnswerWords> {
    // Maps, and those of a wrong answer.
    let mut answers: BTreeMap<(usize, String), Vec<(usize, usize)>> = BTreeMap::new();
    let models = results.models.len();
    // Of all models together the last.
    let mut sums: HashMap<String, HashMap<(usize, String), Sum>> = HashMap::new();
    for (sample, analysed) in results.samples.iter().enumerate() {
        let words: Vec<String> = analysed
            .subject_words
            .iter()
            .map(|&word| results.word(sample, word).to_lowercase())
            .collect();
        for (model, scores) in analysed.words.iter().enumerate() {
            let record = results.record(model, sample);
            let (Some(scores), Some(map)) = (scores, summary::shown(record)) else {
                continue;
            };
            let answer = answer_of(map);
            let place = results
                .experiment
                .options
                .iter()
                .position(|option| option.letter == answer);
            let maps = answers
                .entry((place.unwrap_or(usize::MAX), answer.clone()))
                .or_insert_with(|| vec![(0, 0); models + 1]);
            let gold = results.experiment.samples[sample].gold.as_ref();
            let wrong = place.is_some() && gold.is_some_and(|gold| *gold != answer);
            for of in [model, models] {
                maps[of].0 += 1;
                maps[of].1 += usize::from(wrong);
            }
            // A word that comes twice in a sample counts with the sum of its scores.
            let mut of_sample: BTreeMap<&str, f64> = BTreeMap::new();
            for (word, &place) in words.iter().zip(&analysed.subject_words) {
                *of_sample.entry(word).or_default() += scores.units[place];
            }
            for (word, score) in of_sample {
                let of_word = sums.entry(word.to_owned()).or_default();
                for of in [model, models] {
                    of_word.entry((of, answer.clone())).or_default().add(sample, score);
                }
            }
        }
    }
    let table = |of: usize| {
        let shown: Vec<(&String, (usize, usize))> = answers
            .iter()
            .map(|((_, answer), maps)| (answer, maps[of]))
            .filter(|(_, (maps, _))| *maps > 0)
            .collect();
        let mut rows: Vec<(f64, Vec<f64>, WordRow)> = Vec::new();
        for (word, sums) in &sums {
            let cell = |(answer, _): &(&String, (usize, usize))| sums.get(&(of, (*answer).clone())).copied();
            let cells: Vec<Option<Sum>> = shown.iter().map(cell).collect();
            let weight: f64 = cells.iter().flatten().map(|sum| sum.total.abs()).sum();
            if weight > 0.0 {
                let cell = |sum: Sum| WordCell {
                    score: sum.total / sum.maps as f64,
                    maps: sum.maps,
                    samples: sum.samples,
                };
                let totals = cells.iter().map(|sum| sum.map_or(0.0, |sum| sum.total)).collect();
                let cells = cells.into_iter().map(|sum| sum.map(cell)).collect();
                rows.push((
                    weight,
                    totals,
                    WordRow {
                        word: word.clone(),
                        cells,
                    },
                ));
            }
        }
        rows.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.2.word.cmp(&b.2.word)));
        // Words that push most towards each answer, however rare it is; then those that count most.
        let each = (LISTED / shown.len().max(1)).clamp(1, OF_EACH);
        let mut listed: BTreeSet<usize> = BTreeSet::new();
        for answer in 0..shown.len() {
            let mut places: Vec<usize> = (0..rows.len()).filter(|&row| rows[row].1[answer] > 0.0).collect();
            places.sort_by(|&a, &b| rows[b].1[answer].total_cmp(&rows[a].1[answer]));
            listed.extend(places.into_iter().take(each));
        }
        for place in 0..rows.len() {
            if listed.len() >= LISTED {
                break;
            }
            listed.insert(place);
        }
        let rows = rows.into_iter().enumerate().filter(|(place, _)| listed.contains(place));
        let rows: Vec<WordRow> = rows.map(|(_, (.., row))| row).collect();
        let scale = Scale::over(rows.iter().flat_map(|row| &row.cells).flatten().map(|cell| &cell.score));
        AnswerWords {
            model: (of < models).then_some(of),
            answers: shown
                .into_iter()
                .map(|(answer, (maps, wrong))| Answered {
                    target: answer.clone(),
                    label: results.option_label(answer),
                    maps,
                    wrong,
                })
                .collect(),
            rows,
            scale,
        }
    };
    let mut tables = vec![table(models)];
    if models > 1 {
        tables.extend((0..models).map(table));
    }
    tables.retain(|table| !table.rows.is_empty());
    tables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture::Fixture;

    #[test]
    fn the_words_that_decide_come_first_and_have_pages() {
        let fixture = Fixture::demo();
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        let tables = &results.answer_words;
        assert_eq!(tables.len(), 1 + results.models.len());
        let all = &tables[0];
        assert_eq!(
            all.answers.iter().map(|answer| answer.maps).sum::<usize>(),
            24,
            "a map a model and sample"
        );
        // The shown maps of the fixture are of what is predicted.
        let records = (0..results.samples.len()).flat_map(|sample| results.records_of(sample));
        let wrong = records.filter(|record| record.correct == Some(false)).count();
        assert!(wrong > 0);
        assert_eq!(all.answers.iter().map(|answer| answer.wrong).sum::<usize>(), wrong);
        assert!(
            all.rows.iter().any(|row| row.word == "twice"),
            "made up to decide: {:?}",
            all.rows
        );
        assert!(
            all.rows
                .iter()
                .all(|row| !["true", "choice"].contains(&row.word.as_str())),
            "form is left out"
        );
        for row in tables.iter().flat_map(|table| &table.rows) {
            assert!(results.listed.slug(&row.word).is_some(), "{}", row.word);
        }
        // What all models count together is what each counts.
        for row in &all.rows {
            let maps: usize = row.cells.iter().flatten().map(|cell| cell.maps).sum();
            let listed = results
                .listed
                .words
                .iter()
                .find(|listed| listed.word == row.word)
                .expect("a page");
            let samples: BTreeSet<usize> = listed.uses.iter().map(|(sample, _)| *sample).collect();
            assert_eq!(maps, samples.len() * results.models.len(), "{}", row.word);
        }
    }
}
