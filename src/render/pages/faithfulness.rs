//! "Is it true?": what became of a map that was put to the test.

use serde::Serialize;

use super::map::Place;
use crate::analysis::map_verdict::{MapVerdict, unit_name};
use crate::analysis::text::bare;
use crate::content::units::{CharText, Units};
use crate::render::labels;
use crate::render::plot::{self, Column, Entry, Figure, Table};
use crate::render::text::{escape_into, excerpt, number};
use crate::store::record::{AttributionRecord, SampleRecord};
use crate::terms::{Baseline, CurvePoint, Curves, Faithfulness, NormalisedSpread, Spread, TestNumbers, UnitKind};

/// A map under test, with one replacement.
#[derive(Serialize)]
pub struct MapTest<'a> {
    id: String,
    /// What removed units become.
    replacement: &'a Baseline,
    /// Whether that is what the map compares the input with, which favours it.
    own_baseline: bool,
    /// What is removed at a time.
    units: UnitKind,
    /// How many there are.
    count: usize,
    failed: Option<&'a str>,
    verdict: MapVerdict,
    /// The text, with what changes the answer struck out; none where nothing does.
    struck: Option<String>,
    /// What is struck out, the strongest first.
    flipping: Vec<String>,
    /// F while units are removed; none of a failed test.
    curves: Option<Figure>,
    /// The map and its controls.
    rows: Vec<Row>,
    /// Whether any row has a correlation with the map.
    has_spearman: bool,
    /// Width of the beam that looked for the bounds; none where they are over all orders, or were not asked for.
    beam: Option<usize>,
    seed: u64,
    evaluations: usize,
}

/// What one map, or what stands in for one, reached.
#[derive(Serialize)]
struct Row {
    name: String,
    comprehensiveness: Reached,
    sufficiency: Reached,
    normalised_comprehensiveness: Reached,
    normalised_sufficiency: Reached,
    flip: Reached,
    lds: Reached,
    spearman: Option<f64>,
}

/// A number, of several maps their mean and standard deviation.
#[derive(Clone, Copy, Default, Serialize)]
struct Reached {
    value: Option<f64>,
    deviation: Option<f64>,
}

impl From<Option<f64>> for Reached {
    fn from(value: Option<f64>) -> Self {
        Self { value, deviation: None }
    }
}

impl From<Option<Spread>> for Reached {
    fn from(spread: Option<Spread>) -> Self {
        Self {
            value: spread.map(|spread| spread.mean),
            deviation: spread.map(|spread| spread.deviation),
        }
    }
}

impl Row {
    fn of(name: impl Into<String>, numbers: &TestNumbers, spearman: Option<f64>) -> Self {
        let normalised = numbers.normalised;
        Self {
            name: name.into(),
            comprehensiveness: numbers.comprehensiveness.into(),
            sufficiency: numbers.sufficiency.into(),
            normalised_comprehensiveness: normalised.map(|both| both.comprehensiveness).into(),
            normalised_sufficiency: normalised.map(|both| both.sufficiency).into(),
            flip: numbers.flip.map(|flip| flip as f64).into(),
            lds: numbers.lds.into(),
            spearman,
        }
    }
}

/// The tests of a map; `index` is its place on the page.
pub fn tests<'a>(place: &Place<'_>, index: usize, attribution: &'a AttributionRecord) -> Vec<MapTest<'a>> {
    let tests = attribution.faithfulness.iter().enumerate();
    tests
        .map(|(number, test)| {
            let id = format!("map-{}-test-{}", index + 1, number + 1);
            of_map(place, id, attribution, test)
        })
        .collect()
}

fn of_map<'a>(
    place: &Place<'_>,
    id: String,
    attribution: &'a AttributionRecord,
    test: &'a Faithfulness,
) -> MapTest<'a> {
    let verdict = MapVerdict::of(test);
    let texts = Texts::of(place, test);
    let rows = if test.comprehensiveness.is_some() {
        rows(test)
    } else {
        Vec::new()
    };
    let (struck, flipping) = texts
        .zip(test.flipping())
        .map_or((None, Vec::new()), |(texts, flipping)| {
            let words = flipping.iter().filter_map(|&unit| texts.unit(unit));
            (Some(texts.struck(flipping)), words.collect())
        });
    MapTest {
        curves: test
            .curves
            .as_ref()
            .map(|curves| figure(&id, attribution, test, curves, &verdict)),
        id,
        replacement: &test.replacement,
        own_baseline: test.own_baseline,
        units: test.units,
        count: test.count,
        failed: test.failed.as_deref(),
        struck,
        flipping,
        has_spearman: rows.iter().any(|row| row.spearman.is_some()),
        rows,
        beam: test
            .normalised
            .filter(|found| !found.bounds.exact)
            .map(|found| found.beam),
        seed: test.seed,
        evaluations: test.evaluations,
        verdict,
    }
}

fn rows(test: &Faithfulness) -> Vec<Row> {
    let controls = &test.controls;
    let mut rows = vec![Row::of("This map", &test.numbers(), None)];
    if let Some(shuffled) = &controls.shuffled {
        let normalised = |of: fn(&NormalisedSpread) -> Spread| shuffled.normalised.as_ref().map(of).into();
        rows.push(Row {
            name: format!("{} shuffles: mean ± standard deviation", shuffled.count),
            comprehensiveness: shuffled.comprehensiveness.into(),
            sufficiency: shuffled.sufficiency.into(),
            normalised_comprehensiveness: normalised(|both| both.comprehensiveness),
            normalised_sufficiency: normalised(|both| both.sufficiency),
            flip: shuffled.flip.into(),
            lds: shuffled.lds.into(),
            spearman: None,
        });
    }
    let units = test.units;
    if let Some(position) = &controls.position {
        rows.push(Row::of(format!("Last {units} first"), &position.last_first, None));
        rows.push(Row::of(format!("First {units} first"), &position.first_first, None));
    }
    if let Some(map) = &controls.parameters {
        rows.push(Row::of(
            "Map of the model with permuted parameters",
            &map.numbers,
            map.spearman,
        ));
    }
    if let Some(map) = &controls.option {
        rows.push(Row::of("Map of another option", &map.numbers, map.spearman));
    }
    rows
}

fn figure(
    id: &str,
    attribution: &AttributionRecord,
    test: &Faithfulness,
    curves: &Curves,
    verdict: &MapVerdict,
) -> Figure {
    let units = unit_name(test.units, 2);
    let unit = labels::output(attribution.output);
    let shuffles = test.controls.shuffled.map(|shuffled| shuffled.count);
    let ends = |line: &[CurvePoint]| Some((line.first()?.1, line.last()?.1));
    let told = ends(&curves.morf).map_or_else(String::new, |(from, to)| {
        format!(
            "From {} with the whole text F goes to {} without any of its {}.",
            number(from),
            number(to),
            unit_name(test.units, 2)
        )
    });
    let at = |line: &[CurvePoint], place: usize| Entry::Number(line.get(place).map(|(_, f)| *f));
    let row = |place: usize| {
        let mut row = vec![
            Entry::Count(place),
            at(&curves.morf, place),
            at(&curves.lerf, place),
            at(&curves.keep, place),
        ];
        if let Some(band) = &curves.shuffled {
            let of = |values: &[f64]| Entry::Number(values.get(place).copied());
            row.extend([of(&band.mean), of(&band.low), of(&band.high)]);
        }
        row
    };
    let mut columns = vec![Column::plain(format!("{} removed, or kept", capitalised(&units)))];
    let mut titles = vec!["Strongest removed first", "Strongest removed last", "Strongest kept"];
    if curves.shuffled.is_some() {
        titles.extend(["Shuffles removed first, mean", "Lowest", "Highest"]);
    }
    columns.extend(titles.into_iter().map(|title| Column::of(title, "number")));
    Figure {
        name: format!("{id}-curves"),
        title: format!("F while {units} are taken away"),
        svg: plot::curves(curves, unit, &format!("{told} {}", verdict.sentences.join(" "))),
        note: told,
        keys: plot::curves_keys(&units, shuffles.filter(|_| curves.shuffled.is_some())),
        table: Some(Table {
            // Names of tables tell them apart for who hears the page.
            caption: format!("F, as {unit} ({})", id.replace('-', " ")),
            columns,
            rows: (0..curves.morf.len()).map(row).collect(),
        }),
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next();
    first
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(characters)
        .collect()
}

/// The text of each unit under test.
struct Texts<'t> {
    text: CharText<'t>,
    /// Whether a unit is a word, which lists show without the punctuation at its ends.
    words: bool,
    /// First character of each unit, and one past its last.
    ranges: Vec<(usize, usize)>,
}

impl<'t> Texts<'t> {
    /// None where the units are not those that the test counted.
    fn of(place: &Place<'t>, test: &Faithfulness) -> Option<Self> {
        let Place {
            record,
            units,
            assignment,
            subject,
        } = place;
        let tokens = units.tokens(test.units, &record.prompt, &record.tokens, Some(subject));
        let range = |tokens: &Vec<usize>| range(record, units, assignment, test.units, tokens);
        let ranges: Vec<(usize, usize)> = tokens.iter().map(range).collect::<Option<_>>()?;
        (ranges.len() == test.count).then(|| Self {
            text: CharText::new(&record.prompt),
            words: test.units == UnitKind::Word,
            ranges,
        })
    }

    fn unit(&self, unit: usize) -> Option<String> {
        let (start, end) = *self.ranges.get(unit)?;
        let text = self.text.slice(start, end);
        Some(excerpt(&if self.words { bare(text) } else { text.to_owned() }, 60))
    }

    /// All units with what is between them, as HTML; those named are deleted.
    fn struck(&self, deleted: &[usize]) -> String {
        let mut html = String::new();
        let mut at = self.ranges.first().map_or(0, |(start, _)| *start);
        for (unit, &(start, end)) in self.ranges.iter().enumerate() {
            let (start, end) = (start.max(at), end.max(at));
            escape_into(self.text.slice(at, start), &mut html);
            let is_deleted = deleted.contains(&unit);
            html.push_str(if is_deleted { "<del>" } else { "" });
            escape_into(self.text.slice(start, end), &mut html);
            html.push_str(if is_deleted { "</del>" } else { "" });
            at = end;
        }
        html
    }
}

/// The characters of a unit, by its tokens.
fn range(
    record: &SampleRecord,
    units: &Units,
    assignment: &[Option<usize>],
    kind: UnitKind,
    tokens: &[usize],
) -> Option<(usize, usize)> {
    let (first, last) = (*tokens.first()?, *tokens.last()?);
    let word = assignment.get(first).copied().flatten()?;
    Some(match kind {
        UnitKind::Token => (record.tokens.get(first)?.start, record.tokens.get(last)?.end),
        UnitKind::Word => (units.words[word].start, units.words[word].end),
        UnitKind::Sentence => {
            let sentence = units.sentences[units.words[word].parent];
            (sentence.start, sentence.end)
        }
        UnitKind::Segment => {
            let segment = &units.segments[units.segment_of_word(word)];
            (segment.start, segment.end)
        }
    })
}
