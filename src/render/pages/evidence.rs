//! "Do the maps hold?": what speaks for or against the maps of an experiment, model by model and method by method.
//!
//! Models stand beside each other with normalised numbers and shares of samples only: plain comprehensiveness is in the
//! unit of each model's own F.

use serde::Serialize;

use crate::analysis::bootstrap::{Ahead, Estimate, Standing};
use crate::analysis::faithfulness::{Against, ControlMap, TestedMaps};
use crate::analysis::groups::Common;
use crate::analysis::methods::MethodPair;
use crate::analysis::results::Results;
use crate::analysis::truth::{AgainstTruth, FoundCause};
use crate::render::plot::{self, Beside, Cell, Column, Entry, Figure, Table};
use crate::render::text::{correlation, decimals, list};
use crate::terms::{Interval, Method};

/// The evidence of an experiment; none where nothing was tested and nothing is known.
#[derive(Serialize)]
pub struct EvidenceView<'a> {
    /// Groups of maps that were tested, with each replacement.
    tested: Vec<TestedLine<'a>>,
    /// How they stand, a line a method, target, baseline and replacement, models beside each other; empty where that says no
    /// more than the lines themselves.
    glance: Vec<Glance>,
    /// The models above its columns.
    models: Vec<&'a str>,
    /// What F is.
    output: String,
    /// The controls that any of them was held against.
    controls: Vec<&'static str>,
    /// How much of what any order of removal could reach they reach, beside their controls.
    held: Option<Figure>,
    /// Where the experiment knows the cause: the maps that find it.
    causes: Vec<CauseLine<'a>>,
    /// The same drawn.
    found: Option<Figure>,
    /// Agreement of methods, a matrix a model.
    methods: Vec<Figure>,
    /// Whether the experiment has several methods, that must be told apart.
    several_methods: bool,
    /// Whether groups differ in more than model and method.
    several_kinds: bool,
    /// Which of several methods comes first.
    ranking: Option<String>,
    /// The file of all tests; none where there are none.
    csv: Option<String>,
    /// The file of all that is said here.
    json: String,
}

/// A line of the table of tests.
#[derive(Serialize)]
struct TestedLine<'a> {
    title: &'a str,
    /// What the maps explain, where groups differ in that.
    explains: String,
    /// How they are ahead of each of the view's controls; none where they were not held against it.
    against: Vec<Option<&'a Ahead>>,
    #[serde(flatten)]
    maps: &'a TestedMaps,
}

/// How the maps of all models stand that are alike but for the model.
#[derive(Serialize)]
struct Glance {
    method: Method,
    explains: String,
    /// By model; none where its maps were not tested.
    standings: Vec<Option<Standing>>,
}

/// A line of the table of known causes.
#[derive(Serialize)]
struct CauseLine<'a> {
    title: &'a str,
    /// What the maps explain, where groups differ in that.
    explains: String,
    #[serde(flatten)]
    maps: &'a FoundCause,
}

/// The view; `csv` is the link to the file of tests, `json` to that of means, intervals and verdicts.
pub fn of<'a>(results: &'a Results<'_>, csv: String, json: String) -> Option<EvidenceView<'a>> {
    let evidence = &results.evidence;
    if evidence.is_empty() {
        return None;
    }
    let title = |common: &Common| {
        let mut ids = results.experiment.models.iter().zip(&results.models);
        ids.find(|(id, _)| **id == common.model)
            .map_or("", |(_, title)| title.as_str())
    };
    let tested = &evidence.tested;
    let has = |control: &&ControlMap| {
        let mut all = tested.iter().flat_map(|maps| &maps.controls);
        all.any(|against| against.control == **control)
    };
    let controls: Vec<ControlMap> = ControlMap::ALL.iter().filter(has).copied().collect();
    let commons = || {
        let causes = evidence.causes.iter().map(|maps| &maps.common);
        tested.iter().map(|maps| &maps.common).chain(causes)
    };
    let first = commons().next();
    let differs =
        |common: &Common| first.is_some_and(|first| (first.kind, &first.baseline) != (common.kind, &common.baseline));
    let replacements = tested.iter().any(|maps| maps.replacement != tested[0].replacement);
    let several_kinds = replacements || commons().any(differs);
    let explains = |common: &Common| {
        let target = common
            .target
            .as_ref()
            .map_or_else(String::new, |text| format!(" “{text}”"));
        format!("{}{target}, from the {}", common.kind, common.baseline.name())
    };
    let lines = tested.iter().map(|maps| TestedLine {
        title: title(&maps.common),
        explains: if replacements {
            format!(
                "{}; replaced by the {}",
                explains(&maps.common),
                maps.replacement.name()
            )
        } else {
            explains(&maps.common)
        },
        against: controls.iter().map(|control| ahead(maps, *control)).collect(),
        maps,
    });
    let lines: Vec<TestedLine> = lines.collect();
    Some(EvidenceView {
        glance: glance(results, &lines),
        models: results.short_models.iter().map(String::as_str).collect(),
        output: results.experiment.attribution.output.to_string(),
        tested: lines,
        controls: controls.iter().map(|control| heading(*control)).collect(),
        held: held(results, &title),
        causes: evidence
            .causes
            .iter()
            .map(|maps| CauseLine {
                title: title(&maps.common),
                explains: explains(&maps.common),
                maps,
            })
            .collect(),
        found: found(results, &title),
        methods: agreements(results),
        several_methods: results.experiment.attribution.methods.len() > 1,
        several_kinds,
        ranking: evidence.ranking(),
        csv: (!tested.is_empty()).then_some(csv),
        json,
    })
}

/// Lines that differ in their model alone become one. Where there is one such line, the sentence above says it.
fn glance(results: &Results<'_>, lines: &[TestedLine<'_>]) -> Vec<Glance> {
    let models = &results.experiment.models;
    let mut all: Vec<Glance> = Vec::new();
    for line in lines {
        let common = &line.maps.common;
        let place = all
            .iter()
            .position(|known| known.method == common.method && known.explains == line.explains)
            .unwrap_or_else(|| {
                all.push(Glance {
                    method: common.method,
                    explains: line.explains.clone(),
                    standings: vec![None; models.len()],
                });
                all.len() - 1
            });
        if let Some(model) = models.iter().position(|id| *id == common.model) {
            all[place].standings[model] = line.maps.standing;
        }
    }
    // What pages with several models show comes first.
    let shown = all.first().map(|first| first.explains.clone());
    all.sort_by_key(|line| Some(&line.explains) != shown.as_ref());
    if all.len() < 2 { vec![] } else { all }
}

/// How far maps are ahead of a control, by what may stand beside another model's.
fn ahead(maps: &TestedMaps, control: ControlMap) -> Option<&Ahead> {
    let against = maps.controls.iter().find(|against| against.control == control)?;
    against.normalised.as_ref()
}

/// A control above a column.
fn heading(control: ControlMap) -> &'static str {
    match control {
        ControlMap::Shuffled => "shuffled maps",
        ControlMap::LastFirst => "position (last first)",
        ControlMap::FirstFirst => "position (first first)",
        ControlMap::Parameters => "permuted parameters",
        ControlMap::Option => "another option",
    }
}

/// The mark of a control, in all plots.
fn mark(control: ControlMap) -> u8 {
    1 + ControlMap::ALL
        .iter()
        .position(|known| *known == control)
        .unwrap_or_default() as u8
}

fn keys(what: &str, controls: impl IntoIterator<Item = ControlMap>) -> Vec<(String, String)> {
    let mut keys = vec![(plot::mark_key(0), format!("{what}, with its 95% interval"))];
    keys.extend(
        controls
            .into_iter()
            .map(|control| (plot::mark_key(mark(control)), heading(control).to_owned())),
    );
    keys
}

/// The row of a group of maps, method first where there are several.
fn name(common: &Common, title: &str, several_methods: bool) -> String {
    if several_methods {
        format!("{}: {title}", common.method.name())
    } else {
        title.to_owned()
    }
}

/// Of each model and method the first group: what pages with several models show.
fn first_of_each<G>(groups: &[G], common: impl Fn(&G) -> &Common) -> Vec<&G> {
    let mut found: Vec<&G> = Vec::new();
    for group in groups {
        let of = |group: &G| (common(group).model.clone(), common(group).method);
        if !found.iter().any(|known| of(known) == of(group)) {
            found.push(group);
        }
    }
    // By method, since it is methods that are held against each other; models in the experiment's order.
    let methods = |method: Method| Method::WORDS.iter().position(|(_, known)| *known == method);
    found.sort_by_key(|group| methods(common(group).method));
    found
}

fn in_words(estimate: &Estimate) -> String {
    let interval = estimate.interval.map_or_else(String::new, |Interval { low, high }| {
        format!(" ({} to {})", decimals(low, 2), decimals(high, 2))
    });
    format!("{}{interval}", decimals(estimate.mean, 2))
}

fn ends(estimate: &Estimate) -> Option<(f64, f64)> {
    estimate.interval.map(|Interval { low, high }| (low, high))
}

fn row_of(estimate: &Estimate, name: String, others: Vec<(u8, f64)>) -> Beside {
    Beside {
        name,
        value: estimate.mean,
        range: ends(estimate),
        text: in_words(estimate),
        others,
    }
}

/// Rows of the table of a figure: name, mean, ends of its interval, and the mean of each control.
fn table_row(row: &Beside, controls: &[ControlMap]) -> Vec<Entry> {
    let of = |control: &ControlMap| {
        let other = row.others.iter().find(|(series, _)| *series == mark(*control));
        Entry::Number(other.map(|(_, value)| *value))
    };
    let interval = [row.range.map(|(low, _)| low), row.range.map(|(_, high)| high)];
    [Entry::Text(row.name.clone()), Entry::Number(Some(row.value))]
        .into_iter()
        .chain(interval.map(Entry::Number))
        .chain(controls.iter().map(of))
        .collect()
}

fn table(caption: &str, rows: &[Beside], controls: &[ControlMap]) -> Table {
    let titles = ["Mean", "From", "To"].into_iter();
    let titles = titles.chain(controls.iter().map(|control| heading(*control)));
    let columns = titles.map(|title| Column::of(title, "number"));
    Table {
        caption: caption.to_owned(),
        columns: [Column::plain("Maps")].into_iter().chain(columns).collect(),
        rows: rows.iter().map(|row| table_row(row, controls)).collect(),
    }
}

/// Which of the controls some row has.
fn drawn_controls(rows: &[Beside]) -> Vec<ControlMap> {
    let has = |control: &&ControlMap| {
        let mut marks = rows.iter().flat_map(|row| &row.others);
        marks.any(|(series, _)| *series == mark(**control))
    };
    ControlMap::ALL.iter().filter(has).copied().collect()
}

fn held<'a>(results: &'a Results<'_>, title: &dyn Fn(&Common) -> &'a str) -> Option<Figure> {
    let several = results.experiment.attribution.methods.len() > 1;
    let row = |maps: &&TestedMaps| {
        let normalised = maps.normalised?.comprehensiveness;
        let other = |against: &Against| {
            let ahead = against.normalised.as_ref()?;
            Some((mark(against.control), normalised.mean - ahead.difference.mean))
        };
        let others = maps.controls.iter().filter_map(other).collect();
        Some(row_of(
            &normalised,
            name(&maps.common, title(&maps.common), several),
            others,
        ))
    };
    let shown = first_of_each(&results.evidence.tested, |maps| &maps.common);
    let rows: Vec<Beside> = shown.iter().filter_map(row).collect();
    let best = rows.iter().max_by(|a, b| a.value.total_cmp(&b.value))?;
    let worst = rows.iter().min_by(|a, b| a.value.total_cmp(&b.value))?;
    let note = if rows.len() > 1 {
        format!(
            "Most of it: {}, {}; least: {}, {}.",
            best.name, best.text, worst.name, worst.text
        )
    } else {
        String::new()
    };
    let told = told(&rows);
    let controls = drawn_controls(&rows);
    Some(Figure {
        name: "maps-held".to_owned(),
        title: "Do the maps lower F where they say?".to_owned(),
        note,
        svg: plot::beside(
            &rows,
            "normalised comprehensiveness",
            &format!("Normalised comprehensiveness: {told}."),
        ),
        keys: keys("maps", controls.iter().copied()),
        table: Some(table(
            "Normalised comprehensiveness, 0 for the worst order of removal and 1 for the best; means over the samples",
            &rows,
            &controls,
        )),
    })
}

/// The rows of a figure in words, for those who do not see it.
fn told(rows: &[Beside]) -> String {
    let rows: Vec<String> = rows.iter().map(|row| format!("{} {}", row.name, row.text)).collect();
    list(&rows)
}

fn found<'a>(results: &'a Results<'_>, title: &dyn Fn(&Common) -> &'a str) -> Option<Figure> {
    let several = results.experiment.attribution.methods.len() > 1;
    let row = |maps: &&FoundCause| {
        let other = |against: &AgainstTruth| (mark(against.control), against.average_precision.mean);
        let others = maps.controls.iter().map(other).collect();
        row_of(
            &maps.average_precision,
            name(&maps.common, title(&maps.common), several),
            others,
        )
    };
    let shown = first_of_each(&results.evidence.causes, |maps| &maps.common);
    let rows: Vec<Beside> = shown.iter().map(row).collect();
    let best = rows.iter().max_by(|a, b| a.value.total_cmp(&b.value))?;
    let expected = list(&results.experiment.expected);
    let note = format!(
        "The words of {expected} decide. Average precision is 1 where they are the strongest of all. Highest: {}, {}.",
        best.name, best.text
    );
    let told = told(&rows);
    let controls = drawn_controls(&rows);
    Some(Figure {
        name: "found-cause".to_owned(),
        title: if several {
            "Which method finds the known cause?".to_owned()
        } else {
            "Do the maps find the known cause?".to_owned()
        },
        note,
        svg: plot::beside(
            &rows,
            "average precision",
            &format!("Average precision of the words that decide: {told}."),
        ),
        keys: keys("maps", controls.iter().copied()),
        table: Some(table(
            "Average precision of the expected words by |score|; means over the samples",
            &rows,
            &controls,
        )),
    })
}

/// A matrix of methods a model, of the first target and baseline.
fn agreements(results: &Results<'_>) -> Vec<Figure> {
    let all = &results.evidence.methods;
    let models = results.experiment.models.iter().zip(&results.models).enumerate();
    models
        .filter_map(|(index, (id, title))| {
            let of_model: Vec<&MethodPair> = all.iter().filter(|pair| pair.model == *id).collect();
            let first = of_model.first()?;
            let alike: Vec<&MethodPair> = of_model
                .iter()
                .filter(|pair| (pair.kind, &pair.target, &pair.start) == (first.kind, &first.target, &first.start))
                .copied()
                .collect();
            Some(matrix(index, title, &alike))
        })
        .collect()
}

fn matrix(index: usize, title: &str, pairs: &[&MethodPair]) -> Figure {
    // The first stands before the second in every pair.
    let mut methods: Vec<&str> = Vec::new();
    for name in pairs.iter().flat_map(|pair| [pair.first.as_str(), &pair.second]) {
        if !methods.contains(&name) {
            methods.push(name);
        }
    }
    let between = |a: &str, b: &str| {
        let either = |pair: &&&MethodPair| [[a, b], [b, a]].contains(&[pair.first.as_str(), &pair.second]);
        pairs.iter().find(either)
    };
    let mean = |a: &str, b: &str| between(a, b)?.spearman.map(|spearman| spearman.mean);
    let cells: Vec<Vec<Cell>> = methods
        .iter()
        .map(|&a| {
            let cell = |&b: &&str| Cell {
                text: match (a == b, mean(a, b)) {
                    (true, _) => "·".to_owned(),
                    (false, None) => "–".to_owned(),
                    (false, Some(mean)) => correlation(mean),
                },
                shade: mean(a, b).map_or(0, |mean| (mean * 20.0).round() as i32),
                right: false,
            };
            methods.iter().map(cell).collect()
        })
        .collect();
    let name = |pair: &MethodPair| format!("{} and {}", pair.first, pair.second);
    let told: Vec<String> = pairs
        .iter()
        .filter_map(|pair| Some(format!("{} {}", name(pair), correlation(pair.spearman?.mean))))
        .collect();
    let rows: Vec<String> = methods
        .iter()
        .enumerate()
        .map(|(index, method)| format!("{} {method}", index + 1))
        .collect();
    let columns: Vec<String> = (1..=methods.len()).map(|number| number.to_string()).collect();
    let row = |pair: &&MethodPair| -> Vec<Entry> {
        let same = pair.same_strongest;
        vec![
            Entry::Text(name(pair)),
            Entry::Number(pair.spearman.map(|estimate| estimate.mean)),
            Entry::Number(pair.spearman.and_then(|estimate| Some(ends(&estimate)?.0))),
            Entry::Number(pair.spearman.and_then(|estimate| Some(ends(&estimate)?.1))),
            Entry::Number(pair.overlap.map(|estimate| estimate.mean)),
            Entry::Text(format!("{} of {}", same.count, same.of)),
        ]
    };
    Figure {
        name: format!("methods-{}", index + 1),
        title: title.to_owned(),
        note: String::new(),
        svg: plot::matrix(
            &rows,
            &columns,
            &cells,
            "",
            &format!("Agreement of the methods of {title}: {}.", told.join("; ")),
        ),
        keys: Vec::new(),
        table: Some(Table {
            caption: "Mean over the samples, over the words of what they are about".to_owned(),
            columns: vec![
                Column::plain("Methods"),
                Column::of("Spearman", "correlation"),
                Column::of("95% interval from", "correlation"),
                Column::of("to", "correlation"),
                Column::of("Overlap of the strongest words", "percent"),
                Column::plain("Same strongest word"),
            ],
            rows: pairs.iter().map(row).collect(),
        }),
    }
}
