//! From an experiment as written to one that can be computed: rows are chosen, prompts rendered, names looked up.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::read::{Dataset, Written};
use super::{AnswerOption, Experiment};
use crate::content::dataset::{DataFiles, Draw, Sample, Table, check_column, choose, ids_of};
use crate::content::decode::{Decoder, Located};
use crate::content::names::{near_miss, nearest, quoted, shortened, slugs};
use crate::content::prompt::{Prompt, Templates};
use crate::content::subject::subject_segments;
use crate::diagnostic::Diagnostic;
use crate::random;
use crate::terms::Role;

/// Resolves an experiment; everything that is wrong with it goes to `decoder`. `models` are the ids that have a file.
pub fn resolve(
    written: Written,
    models: &BTreeSet<String>,
    data: &mut DataFiles,
    decoder: &mut Decoder,
) -> Option<Experiment> {
    for model in written.models.iter().filter(|model| !models.contains(&model.value)) {
        let known = || models.iter().map(String::as_str);
        let error = decoder.error(
            model.position,
            format!("there is no model `{}`", shortened(&model.value)),
        );
        let mut error = error.place("models").expected(if models.is_empty() {
            "the name of a file in content/models/, which has none".to_owned()
        } else {
            format!("one of {}", quoted(known()))
        });
        error.help = Some(match nearest(&model.value, known()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "describe the model in content/models/<id>.yaml".to_owned(),
        });
        decoder.push(error);
    }
    let dataset = written.dataset.as_ref()?;
    let table = data.open(&written.path, &dataset.source, &mut decoder.diagnostics)?;
    let samples = samples(decoder, &written, dataset, &table);
    if let (Some(generate), Some(samples)) = (&written.generate, &samples) {
        // The first that fails stands for all.
        let failed = samples
            .iter()
            .find_map(|sample| generate.check(&sample.fields, &sample.prompt.text).err());
        failed.into_iter().for_each(|error| decoder.push(error));
    }
    let samples = samples?;
    let experiment = Experiment {
        id: written.id,
        path: written.path,
        yaml: written.yaml,
        title: written.title,
        description: written.description,
        draft: written.draft,
        models: written.models.into_iter().map(|model| model.value).collect(),
        prompt_style: written.prompt_style,
        origin: table.origin.clone(),
        faithfulness: written.faithfulness.map(|written| written.resolve(samples.len())),
        expected: written.expected?,
        samples,
        options: written.options?,
        attribution: written.attribution?.spec,
        generate: written.generate,
        imported: None,
    };
    if expects_everything(&experiment) {
        let message = "every word that is ranked lies in these segments, so any map finds the cause";
        let warning = Diagnostic::content(message).in_file(&experiment.path).place("expected");
        let warning = warning.expected("some of the segments in which the samples differ, and not all of them");
        decoder.push(
            warning
                .as_warning()
                .help("name the segments in which the cause lies, and leave out those in which it does not"),
        );
    }
    Some(experiment)
}

/// Whether `expected` names all that the samples are about: then nothing is left that would be wrong.
fn expects_everything(experiment: &Experiment) -> bool {
    let subject = subject_segments(experiment);
    let ranked = match (&subject[..], experiment.samples.first()) {
        ([], Some(sample)) => sample
            .prompt
            .segments
            .iter()
            .map(|segment| segment.name.clone())
            .collect(),
        _ => subject,
    };
    let expected = &experiment.expected;
    !expected.is_empty() && ranked.iter().all(|name| expected.contains(name))
}

fn samples(decoder: &mut Decoder, written: &Written, dataset: &Dataset, table: &Table) -> Option<Vec<Sample>> {
    let ids = ids_of(decoder, table, dataset.id.as_ref());
    let gold_is_there = dataset
        .gold
        .as_ref()
        .is_none_or(|gold| check_column(decoder, table, gold, "dataset.gold"));
    // Without a usable id column rows are chosen all the same, for the errors in their prompts; unless it is by id.
    let rows = choose(decoder, table, ids.as_deref(), &dataset.selector)?;
    let golds = match (&dataset.gold, &written.options) {
        (Some(column), Some(options)) if gold_is_there && !options.is_empty() => {
            golds_of(decoder, written, table, &rows, column, options)
        }
        _ => rows.iter().map(|_| None).collect(),
    };
    let prompts = Renderer {
        decoder,
        written,
        table,
        templates: written.templates.as_ref()?,
        failed: HashSet::new(),
        shots: HashMap::new(),
    }
    .prompts(&rows, gold_is_there.then_some(dataset.gold.as_ref()).flatten());
    if let Some(prompts) = &prompts {
        let templates = written.templates.as_ref()?;
        warn_of_missing_values(decoder, templates, table, rows.len());
        warn_of_odd_cells(decoder, templates, table, &rows, prompts);
    }
    let ids = ids?;
    let chosen: Vec<&str> = rows.iter().map(|row| ids[*row].as_str()).collect();
    let samples = chosen.iter().zip(slugs(&chosen)).zip(&rows).zip(golds).zip(prompts?);
    Some(
        samples
            .map(|((((id, slug), row), gold), prompt)| Sample {
                id: (*id).to_owned(),
                slug,
                gold,
                fields: table.rows[*row].fields.clone(),
                prompt,
            })
            .collect(),
    )
}

/// Warnings of templates that say less than their author may think.
fn warn_of_missing_values(decoder: &mut Decoder, templates: &Templates, table: &Table, samples: usize) {
    templates
        .doubts(table)
        .into_iter()
        .for_each(|warning| decoder.push(warning));
    if samples > 1 && !templates.mentions_a_column(table) {
        let message = format!("the prompt mentions no column of the data: all {samples} samples get the same prompt");
        let column = table.columns.last().map_or("", String::as_str);
        let known = quoted(table.columns.iter().map(String::as_str));
        let warning = templates.error(message).expected(format!("one of {known} in it"));
        let warning = warning.help(format!("a template writes `{{{{ {} }}}}`", templates.said(column)));
        decoder.push(warning.as_warning());
    }
}

/// How programs write a missing value as text.
const MISSING: [&str; 8] = ["nan", "NaN", "None", "null", "NULL", "<NA>", "NaT", "undefined"];

/// Warnings about cells in prompts that probably are not what they seem: empty ones of files that have no other form
/// for a missing value, texts such as `nan`, and lists that a template writes as a whole.
fn warn_of_odd_cells(decoder: &mut Decoder, templates: &Templates, table: &Table, rows: &[usize], prompts: &[Prompt]) {
    for column in templates.columns(table) {
        let name = shortened(column);
        let word = |row: &&usize| {
            let cell = table.rows[**row].fields.get(column);
            cell.and_then(serde_json::Value::as_str)
                .is_some_and(|cell| MISSING.contains(&cell))
        };
        let words: Vec<usize> = rows.iter().filter(word).copied().collect();
        if let Some(first) = words.first() {
            let cell = table.text(*first, column).unwrap_or_default();
            let message = format!(
                "`{name}` is the text `{cell}` here{}, which is how programs write a missing value",
                more(&words)
            );
            let warning = table.error(*first, message).as_warning();
            decoder.push(
                warning.help("leave such rows out with `select`, or write the data again with `null` or nothing there"),
            );
        }
        let is_shown = |row: &&usize| table.cells_are_text && templates.shows_empty(table, **row, column);
        let empty: Vec<usize> = rows.iter().filter(is_shown).copied().collect();
        if let Some(first) = empty.first() {
            let message = format!("`{name}` is empty here{}, and the prompt shows it", more(&empty));
            let said = templates.said(column);
            decoder.push(table.error(*first, message).as_warning().help(format!(
                "a cell of CSV cannot say whether that is an empty text or none: leave such rows out with `select`, or ask in the template: `{{% if {said} %}}{{{{ {said} }}}}{{% endif %}}`"
            )));
        }
        let written = rows.iter().zip(prompts).find_map(|(row, prompt)| {
            let written = templates.written_out(table, *row, column)?;
            prompt.text.contains(&written).then_some((*row, written))
        });
        if let Some((row, written)) = written {
            let message = format!(
                "`{name}` is a list or a mapping, and the prompt has it as `{}`",
                shortened(&written)
            );
            let said = templates.said(column);
            decoder.push(table.error(row, message).as_warning().help(format!(
                "say how it is to read, such as `{{{{ {said} | join(sep=\", \") }}}}`, or name a part of it"
            )));
        }
    }
}

/// How many rows more than the first have something, in words.
fn more(rows: &[usize]) -> String {
    match rows.len() {
        1 => String::new(),
        count => format!(" (and so in {} more rows)", count - 1),
    }
}

/// The letter whose value a row has. `Err` holds a value that no option has; an empty cell is no answer.
fn letter_of(table: &Table, row: usize, column: &str, options: &[AnswerOption]) -> Result<Option<String>, String> {
    let Some(value) = table.text(row, column) else {
        return Ok(None);
    };
    match options.iter().find(|option| option.gold == value) {
        Some(option) => Ok(Some(option.letter.clone())),
        None if value.trim().is_empty() => Ok(None),
        None => Err(value.into_owned()),
    }
}

fn golds_of(
    decoder: &mut Decoder,
    written: &Written,
    table: &Table,
    rows: &[usize],
    column: &Located<String>,
    options: &[AnswerOption],
) -> Vec<Option<String>> {
    let asked = written
        .attribution
        .as_ref()
        .is_some_and(|attribution| attribution.needs_gold.is_some());
    let (mut unknown, mut missing) = (BTreeMap::<String, Vec<usize>>::new(), Vec::new());
    let mut golds = Vec::with_capacity(rows.len());
    for row in rows {
        let letter = letter_of(table, *row, &column.value, options).unwrap_or_else(|value| {
            unknown.entry(value).or_default().push(*row);
            None
        });
        if letter.is_none()
            && table
                .text(*row, &column.value)
                .is_none_or(|value| value.trim().is_empty())
        {
            missing.push(*row);
        }
        golds.push(letter);
    }
    for (value, rows) in &unknown {
        let message = format!(
            "`{}` has `{}`, which no option stands for{}",
            shortened(&column.value),
            shortened(value),
            more(rows)
        );
        let known = quoted(options.iter().map(|option| option.gold.as_str()));
        let error = table.error(rows[0], message).expected(format!("one of {known}"));
        let near = options
            .iter()
            .find_map(|option| near_miss(value, &option.gold).map(|why| (why, &option.gold)));
        decoder.push(error.help(match near {
            Some((why, gold)) => format!(
                "values are compared as text: `{0}` is not `{1}` ({why}); write `{0}` in `options`",
                shortened(value),
                shortened(gold)
            ),
            None => match nearest(value, options.iter().map(|option| option.gold.as_str())) {
                Some(near) => format!(
                    "did you mean it with `{}`? Write `{}` in `options`",
                    shortened(near),
                    shortened(value)
                ),
                None => "add it to `options`, or leave such rows out with `select`".to_owned(),
            },
        }));
    }
    if !rows.is_empty() && missing.len() == rows.len() && !asked {
        let message = format!(
            "no chosen row has a value in `{}`: which answers are right is not known",
            shortened(&column.value)
        );
        let warning = decoder.error(column.position, message).place("dataset.gold");
        decoder.push(warning.help("name another column, or leave `gold` out").as_warning());
    }
    if let (true, Some(first)) = (asked, missing.first()) {
        let message = format!(
            "the target `gold` needs a right answer, and `{}` is empty{}",
            shortened(&column.value),
            more(&missing)
        );
        decoder.push(table.error(*first, message).help("leave such rows out with `select`"));
    }
    golds
}

/// Renders prompts and the worked examples before them, telling each failing segment once.
struct Renderer<'a> {
    decoder: &'a mut Decoder,
    written: &'a Written,
    table: &'a Table,
    templates: &'a Templates,
    failed: HashSet<usize>,
    shots: HashMap<usize, String>,
}

impl Renderer<'_> {
    fn prompts(mut self, rows: &[usize], gold: Option<&Located<String>>) -> Option<Vec<Prompt>> {
        let shots = match (&self.written.shots, gold, &self.written.options) {
            (Some(shots), Some(gold), Some(options)) => self.draw_shots(rows, shots, &gold.value, options)?,
            _ => Vec::new(),
        };
        let count = self.written.shots.as_ref().map_or(0, |shots| shots.count.value);
        let prompts: Vec<Option<Prompt>> = rows.iter().map(|row| self.prompt(*row, &shots, count)).collect();
        prompts.into_iter().collect()
    }

    fn segments(&mut self, row: usize) -> Option<Vec<String>> {
        self.templates
            .render(self.table, row)
            .map_err(|errors| {
                for (segment, error) in errors {
                    if self.failed.insert(segment) {
                        self.decoder.push(error);
                    }
                }
            })
            .ok()
    }

    fn prompt(&mut self, row: usize, shots: &[(usize, String)], count: usize) -> Option<Prompt> {
        let mut examples = String::new();
        for (other, letter) in shots.iter().filter(|(other, _)| *other != row).take(count) {
            if !self.shots.contains_key(other) {
                let text = self.example(*other, letter)?;
                self.shots.insert(*other, text);
            }
            examples.push_str(&self.shots[other]);
        }
        let texts = self.segments(row)?;
        let is_empty = texts.iter().all(|text| text.trim().is_empty());
        if is_empty {
            self.decoder
                .push(self.table.error(row, "the prompt of this row is empty"));
            return None;
        }
        // In a chat the examples are part of the user's message, after the system's: as text, with their answers in it,
        // and not as messages of their own. Every template accepts that, and the segments are the same as in a plain
        // prompt.
        let mut prompt = Prompt::default();
        let mut examples = Some(examples).filter(|_| !shots.is_empty());
        for ((name, role), text) in self.templates.names().zip(&texts) {
            if role != Role::System
                && let Some(examples) = examples.take()
            {
                prompt.push("shots", &examples);
            }
            prompt.push_as(name, role, text);
        }
        Some(prompt)
    }

    /// A worked example: a row's prompt, without what the system says, and its right letter.
    fn example(&mut self, row: usize, letter: &str) -> Option<String> {
        let texts = self.segments(row)?;
        let said = self.templates.names().zip(&texts);
        let text: String = said
            .filter(|((_, role), _)| *role != Role::System)
            .map(|(_, text)| text.as_str())
            .collect();
        Some(format!("{text}{letter}\n\n"))
    }

    /// The rows of the worked examples in the order of the draw, with their letters: one more than requested, since a
    /// sample skips itself.
    fn draw_shots(
        &mut self,
        rows: &[usize],
        shots: &Draw,
        gold: &str,
        options: &[AnswerOption],
    ) -> Option<Vec<(usize, String)>> {
        let known = |row: usize| letter_of(self.table, row, gold, options).ok().flatten();
        let candidates: Vec<usize> = (0..self.table.rows.len()).filter(|row| known(*row).is_some()).collect();
        let drawn = random::draw(&candidates, shots.count.value + 1, shots.seed);
        let drawn_set: HashSet<usize> = drawn.iter().copied().collect();
        let fewest = rows
            .iter()
            .map(|row| drawn.len() - usize::from(drawn_set.contains(row)))
            .min()
            .unwrap_or(0);
        if fewest < shots.count.value {
            let message = format!(
                "{} worked examples are asked for, and a sample has {fewest} other rows with a right answer",
                shots.count.value
            );
            self.decoder
                .push(self.decoder.error(shots.count.position, message).place("shots.count"));
            return None;
        }
        Some(
            drawn
                .into_iter()
                .filter_map(|row| known(row).map(|letter| (row, letter)))
                .collect(),
        )
    }
}
