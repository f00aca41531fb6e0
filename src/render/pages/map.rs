//! A map: one model, one sample, everything that is known of it, the notebook's table first.

use serde::Serialize;

use super::believed::{self, Reason};
use super::cite::{self, Cited};
use super::experiment::neighbours;
use super::faithfulness::{self, MapTest};
use super::methods::{self, MethodsBeside, OfPage};
use super::settings::Rule;
use super::tokens::{self, Drawn};
use super::{Answer, Frame, Link, Renderer, map_link, record_link};
use crate::analysis::map::{self, HEADING, Quality, RoundInProportion, SegmentSum};
use crate::analysis::results::Results;
use crate::analysis::scale::Scales;
use crate::analysis::summary;
use crate::content::units::Units;
use crate::diagnostic::Result;
use crate::render::plot::{self, Column, Figure};
use crate::render::text::{or_dash, percent};
use crate::render::values::{Joined, Without};
use crate::render::{Sink, heatmap, labels};
use crate::site::urls::{self, Links};
use crate::store::record::{AttributionRecord, ImportedRecord, SampleRecord};
use crate::terms::{Method, TargetKind, UnitKind};

#[derive(Serialize)]
struct MapPage<'a> {
    page: Frame,
    heading: String,
    model: Link,
    sample: Link,
    subject: &'a str,
    /// The record as its JSON file has it, but for tokens, segments and attributions.
    record: Without<'a, SampleRecord>,
    /// The right option with what it stands for.
    gold: Option<String>,
    answer: Answer,
    /// What all maps of the page share: which level has colour, and what the colours mean.
    switches: String,
    legend: String,
    attributions: Vec<MapOfPage<'a>>,
    /// The methods side by side, for each target and baseline that several have.
    methods: Vec<MethodsBeside<'a>>,
    tokens: Option<TokenTable>,
    options: Vec<OptionLine<'a>>,
    rule: Rule,
    /// Whether a map's method has to be said.
    several_methods: bool,
    /// That of the page's legend, in words.
    first_method: Option<&'a str>,
    /// Whether some map has no convergence delta, so that the table of all maps has the residual, which all have.
    by_residual: bool,
    margin: f64,
    /// How the maps came here, if igsite did not compute them.
    imported: Option<&'a ImportedRecord>,
    yaml: &'a str,
    yaml_name: String,
    command: String,
    json: String,
    csv: String,
    citation: String,
    others: Vec<Link>,
    previous: Option<Link>,
    next: Option<Link>,
}

/// A map as its record has it, but for scores, errors and history, with what these say of it.
pub type Attribution<'a> = Joined<Without<'a, AttributionRecord>, Quality>;

/// What a page shows by other means than by going through it in a template.
const LONG: [&str; 7] = [
    "scores",
    "errors",
    "history",
    "unit_tokens",
    "unit_scores",
    "unit_errors",
    "faithfulness",
];

/// A record with its units: where a map lies.
pub struct Place<'a> {
    /// The record.
    pub record: &'a SampleRecord,
    /// The units of its prompt.
    pub units: &'a Units,
    /// The word of each token.
    pub assignment: &'a [Option<usize>],
    /// The segments that the samples are about.
    pub subject: &'a [String],
}

/// Of a record's attribution.
pub fn values_of(attribution: &AttributionRecord) -> Attribution<'_> {
    let record = Without(attribution, &LONG);
    Joined(record, Quality::of(attribution))
}

/// One target and baseline.
type MapOfPage<'a> = Joined<Attribution<'a>, Drawings<'a>>;

/// What a page shows of a map besides the map's own values.
#[derive(Serialize)]
struct Drawings<'a> {
    id: String,
    /// Every kind of target that these tokens are.
    kinds: Vec<&'a str>,
    /// Whether it explains a text that is to be shown whole: what the model generated, or more than a heading holds.
    is_text: bool,
    /// What the model was given between the prompt and that.
    given: Option<&'a str>,
    target_probability: Option<f64>,
    /// |sum − probability|.
    margin_distance: Option<f64>,
    /// None for a marked record: nothing is drawn.
    map: Option<String>,
    /// A legend of its own, where the map is on another scale than the page's legend says.
    legend: Option<String>,
    segments: Vec<SegmentSum>,
    /// The scores of tokens against their errors; none where these are unknown.
    noise: Option<Figure>,
    /// How the estimate came about: words, and a plot where there is anything to plot.
    convergence: Option<Figure>,
    history: Vec<RoundInProportion>,
    /// Where scores are of units that a method replaced: the letters of the levels that are finer, on which they are
    /// shared out evenly.
    finer: Option<&'static str>,
    /// What became of it when it was put to the test.
    tests: Vec<MapTest<'a>>,
    /// Why to believe it, or not to, besides its integral.
    reasons: Vec<Reason>,
}

#[derive(Serialize)]
struct OptionLine<'a> {
    letter: &'a str,
    label: String,
    probability: f64,
    predicted: bool,
}

/// Every token with its score in each map.
#[derive(Serialize)]
struct TokenTable {
    count: usize,
    /// Where the errors behind the scores come from: `estimate`, `half_points` for a fixed rule against itself, or
    /// `standard` for the spread of what a method drew; of several methods the first that knows any.
    errors: Option<&'static str>,
    /// Whether some errors are standard errors.
    standard: bool,
    /// Whether some map is of occlusion, with F behind the score of each unit.
    replaced: bool,
    rows: String,
}

impl Renderer<'_> {
    /// `experiments/ID/maps/MODEL/SLUG/index.html`.
    pub fn map(&self, results: &Results<'_>, model: usize, sample: usize, out: &mut Sink<'_>) -> Result<()> {
        let experiment = results.experiment;
        let id = &experiment.models[model];
        if !results.has_map_page(model, sample) {
            return Ok(());
        }
        let path = urls::map_page(&experiment.id, id, results.slug(sample));
        let links = Links::on(path.clone());
        let record = results.record(model, sample);
        let (title, model_title) = (results.sample_title(sample), &results.models[model]);
        let answer = Answer::of(results, record, 40);
        let map_of = |model: usize, sample: usize| map_link(results, (model, sample), &links);
        let (previous, next) = neighbours(results, sample, |index| map_of(model, index));
        let sample_path = urls::sample(&experiment.id, results.slug(sample));
        let crumbs = vec![
            (self.site_title.clone(), urls::HOME.to_owned()),
            (experiment.title.clone(), urls::experiment(&experiment.id)),
            (format!("Sample {title}"), sample_path.clone()),
        ];
        let about = format!(
            "{model_title} answers {} ({}).",
            answer.label,
            or_dash(answer.probability.map(percent))
        );
        let others = (0..results.models.len()).filter(|other| *other != model);
        let drawn = attributions(results, model, sample, &links);
        let cited = Cited {
            name: &format!("{}-{id}-{}", experiment.id, results.slug(sample)),
            title: &format!("{}: {model_title} on {title}", experiment.title),
            models: std::slice::from_ref(model_title),
            path: &path,
            base_url: self.site.base_url.as_deref(),
            authors: &self.settings.authors,
        };
        let citation = cite::bibtex(&cited, std::iter::once(record));
        let view = MapPage {
            page: self.frame(
                &links,
                &path,
                &format!("{model_title} on {title} · {}", experiment.title),
                &about,
                crumbs,
            ),
            heading: format!("{model_title} on sample {title}"),
            model: Link {
                title: model_title.clone(),
                href: links.to(&urls::model(id)),
            },
            sample: Link {
                title: title.clone(),
                href: links.to(&sample_path),
            },
            subject: &results.samples[sample].subject,
            record: Without(record, &["tokens", "segments", "attributions"]),
            gold: record.sample.gold.as_deref().map(|gold| results.option_label(gold)),
            answer,
            switches: heatmap::switches("t"),
            legend: drawn.legend,
            attributions: drawn.attributions,
            methods: drawn.methods,
            tokens: drawn.tokens,
            options: options(results, record),
            rule: Rule::of(&experiment.attribution),
            several_methods: results.several_methods(),
            by_residual: record
                .attributions
                .iter()
                .any(|a| a.quadrature.is_none() && a.imported.is_none()),
            first_method: record.attributions.first().map(AttributionRecord::method_name),
            margin: experiment.attribution.margin,
            imported: record.imported.as_ref(),
            yaml: &experiment.yaml,
            yaml_name: experiment.path.display().to_string(),
            command: format!("igsite build --experiment {}", experiment.id),
            json: record_link(results, (model, sample), &links),
            csv: links.to(&urls::csv(&experiment.id, results.writes.packed)),
            citation,
            others: others
                .map(|other| Link {
                    title: results.models[other].clone(),
                    href: map_of(other, sample),
                })
                .collect(),
            previous,
            next,
        };
        self.page(
            out,
            path,
            "map.html",
            &view,
            &format!("sample `{title}` of `{}`", experiment.id),
        )
    }
}

/// The maps of a page with what they share.
struct Attributions<'a> {
    legend: String,
    attributions: Vec<MapOfPage<'a>>,
    methods: Vec<MethodsBeside<'a>>,
    tokens: Option<TokenTable>,
}

/// One scale a level over every target and baseline of the page: they are there to be compared. Maps that miss the
/// tolerance have scales of their own, since their scores may be wrong by any factor and would drain the others of
/// their colour. Targets that are the same tokens have one map: there is nothing else to see.
fn attributions<'a>(results: &Results<'a>, model: usize, sample: usize, links: &Links) -> Attributions<'a> {
    let record = results.record(model, sample);
    let units = results.samples[sample].units_of(model);
    let assignment = units.assign(&record.prompt, &record.tokens);
    let maps = map::distinct(&record.attributions);
    let place = Place {
        record,
        units,
        assignment: &assignment,
        subject: &results.subject,
    };
    let drawn: Vec<Option<Drawn>> = maps
        .iter()
        .map(|(_, a)| Drawn::of(record, a, units, &assignment))
        .collect();
    let scales_of = |method, right: bool| {
        let chosen = maps
            .iter()
            .zip(&drawn)
            .filter(|((_, a), _)| a.made_by() == method && summary::is_right(a) == right);
        Scales::over(chosen.filter_map(|(_, drawn)| Some(&drawn.as_ref()?.scores)))
    };
    // Methods have magnitudes of their own: the page's legend is the first one's.
    let first = maps.first().map(|(_, a)| a.made_by()).unwrap_or_default();
    let (right, doubtful) = (scales_of(first, true), scales_of(first, false));
    // Where no map is right, the page's legend is the doubtful ones'.
    let shared = if right == Scales::default() { &doubtful } else { &right };
    let tokens = drawn.iter().any(Option::is_some).then(|| TokenTable {
        count: record.tokens.len(),
        errors: maps.iter().find(|(_, a)| map::errors(a).is_some()).map(|(_, a)| {
            if a.has_fixed_rule() {
                "half_points"
            } else if a.errors.is_some() {
                "estimate"
            } else {
                "standard"
            }
        }),
        standard: maps.iter().any(|(_, a)| a.unit_errors.is_some()),
        replaced: maps.iter().any(|(_, a)| a.method == Some(Method::Occlusion)),
        rows: tokens::rows(record, units, &drawn, shared),
    });
    let unit = labels::output(results.experiment.attribution.output);
    let of_page: Vec<OfPage<'_, '_>> = maps
        .iter()
        .zip(&drawn)
        .enumerate()
        .filter_map(|(index, ((kinds, a), drawn))| Some((index, kinds.as_slice(), *a, drawn.as_ref()?)))
        .collect();
    let methods = methods::beside(&place, &of_page, unit);
    let legend = heatmap::legend_of(shared, &labels::unit_of(results), maps.iter().map(|(_, a)| &a.target));
    let all = &maps;
    let maps = maps.iter().zip(&drawn).enumerate().map(|(index, ((kinds, a), drawn))| {
        let of_other;
        let scales = match (a.made_by() == first, summary::is_right(a)) {
            (true, true) => &right,
            (true, false) => &doubtful,
            (false, is_right) => {
                of_other = scales_of(a.made_by(), is_right);
                &of_other
            }
        };
        let drawings = Drawings {
            id: format!("map-{}", index + 1),
            kinds: kinds.clone(),
            is_text: a.absent.is_none()
                && (a.target.kind == TargetKind::Generated || a.target.text.chars().count() > HEADING),
            given: a.target.given.as_ref().map(|given| given.text.as_str()),
            target_probability: map::target_probability(a, record),
            margin_distance: map::margin_distance(a, record),
            map: drawn.as_ref().map(|drawn| drawn.html(scales)),
            legend: (drawn.is_some() && scales != shared)
                .then(|| heatmap::legend_of(scales, &labels::unit(a), [&a.target])),
            segments: drawn.as_ref().map_or_else(Vec::new, |drawn| {
                map::segments(units, &drawn.scores, drawn.errors.as_ref())
            }),
            noise: drawn.as_ref().and_then(|_| noise(index, a)),
            convergence: convergence(index, a),
            history: map::rounds(a),
            finer: a.units.and_then(finer),
            tests: faithfulness::tests(&place, index, a),
            reasons: believed::reasons(results, (model, sample), all, index, links),
        };
        Joined(values_of(a), drawings)
    });
    Attributions {
        legend,
        attributions: maps.collect(),
        methods,
        tokens,
    }
}

/// The letters of the levels below that of these units.
fn finer(units: UnitKind) -> Option<&'static str> {
    match units {
        UnitKind::Token => None,
        UnitKind::Word => Some("t"),
        UnitKind::Sentence => Some("t w"),
        UnitKind::Segment => Some("t w s"),
    }
}

/// The scores of tokens against their errors. Its numbers are the table of tokens.
pub fn noise(index: usize, attribution: &AttributionRecord) -> Option<Figure> {
    let noise = map::noise(attribution)?;
    let note = format!(
        "{} of {} tokens stand above their error, with {} of the sum of |score|; the sign of the others is not certain.",
        noise.above,
        noise.points.len(),
        or_dash(noise.share.map(percent))
    );
    Some(Figure {
        name: format!("map-{}-score-error", index + 1),
        title: "Scores against their errors".to_owned(),
        svg: plot::score_against_error(&noise.points, &note),
        note,
        keys: vec![
            (plot::dot_key(0), "a token".to_owned()),
            (plot::dot_key(1), "a token within its error".to_owned()),
            (plot::bound_key(), "error = |score|".to_owned()),
        ],
        table: None,
    })
}

/// How the estimate of a map came about, in words, with a plot where there is anything to plot; none where there is no
/// history. Its numbers are the table of rounds.
fn convergence(index: usize, attribution: &AttributionRecord) -> Option<Figure> {
    let history = map::rounds(attribution);
    let (first, last) = (history.first()?, history.last()?);
    let tolerance = attribution.tolerance?;
    let dash = |share: Option<f64>| or_dash(share.map(percent));
    let note = if attribution.has_fixed_rule() {
        format!(
            "At half the points the delta was {} of F(input) − F(baseline), at all of them {}.",
            dash(first.relative_delta),
            dash(last.relative_delta)
        )
    } else if history.len() == 1 {
        format!("One round of {} evaluations was all it took.", first.round.evaluations)
    } else {
        format!(
            "From {} evaluations to {}, in {} rounds, the error estimate went from {} to {} of the map, and |delta| from {} to {} of \
             |F(input) − F(baseline)|; the tolerance for both is {}.",
            first.round.evaluations,
            last.round.evaluations,
            history.len(),
            dash(first.round.error_estimate),
            dash(last.round.error_estimate),
            dash(first.relative_delta),
            dash(last.relative_delta),
            percent(tolerance)
        ) + if summary::is_incomplete(attribution) {
            " The delta holds the routing residual, which no number of points takes away."
        } else {
            ""
        }
    };
    let plotted = !attribution.has_fixed_rule() && history.len() > 1;
    Some(Figure {
        name: format!("map-{}-convergence", index + 1),
        title: "How the estimate converged".to_owned(),
        svg: if plotted {
            plot::convergence(&history, tolerance, &note)
        } else {
            String::new()
        },
        keys: plot::convergence_keys(tolerance),
        note,
        table: None,
    })
}

/// The same as a figure that stands by itself, with its numbers; none where there is nothing to plot.
pub fn convergence_with_table(index: usize, attribution: &AttributionRecord) -> Option<Figure> {
    let figure = convergence(index, attribution).filter(|figure| !figure.svg.is_empty())?;
    let row = |round: &RoundInProportion| {
        vec![
            round.round.evaluations.into(),
            round.round.error_estimate.into(),
            Some(round.round.convergence_delta).into(),
            round.relative_delta.into(),
        ]
    };
    Some(Figure {
        table: Some(plot::Table {
            caption: "The estimate after each round".to_owned(),
            columns: vec![
                Column::plain("Evaluations"),
                Column::of("Error estimate", "percent"),
                Column::of("Delta", "signed"),
                Column::of("Relative delta", "percent"),
            ],
            rows: map::rounds(attribution).iter().map(row).collect(),
        }),
        ..figure
    })
}

fn options<'a>(results: &Results<'_>, record: &'a SampleRecord) -> Vec<OptionLine<'a>> {
    let predicted = summary::predicted_option(record);
    let options = record.options.iter();
    options
        .map(|(letter, option)| OptionLine {
            letter,
            label: results.option_label(letter),
            probability: option.probability,
            predicted: predicted == Some(letter),
        })
        .collect()
}
