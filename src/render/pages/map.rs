//! A map: one model, one sample, everything that is known of it, the notebook's table first.

use indexmap::IndexMap;
use serde::Serialize;

use super::cite::{self, Cited};
use super::experiment::neighbours;
use super::tokens::{self, Drawn};
use super::{Frame, Link, Renderer, or_dash};
use crate::analysis::align::Units;
use crate::analysis::summary::{self, relative_delta};
use crate::content::experiment::AttributionSpec;
use crate::diagnostic::Result;
use crate::render::heatmap::{self, Scales};
use crate::render::plot::{self, Figure};
use crate::render::results::{Results, SPECIAL};
use crate::render::text::{excerpt, number, percent, plus_minus, signed};
use crate::render::{Sink, chart, labels};
use crate::site::urls::{self, Links};
use crate::store::record::{AttributionRecord, SampleRecord};
use crate::terms::{Method, Output, Round, TargetKind};

/// What a model was asked to say, and says.
#[derive(Serialize)]
struct OwnWords {
    asked: String,
    said: String,
    tokens: usize,
    ended: bool,
}

#[derive(Serialize)]
struct MapView {
    page: Frame,
    heading: String,
    model: Link,
    sample: Link,
    subject: String,
    gold: Option<String>,
    predicted: String,
    predicted_probability: String,
    verdict: &'static str,
    /// What all maps of the page share: which level has colour, and what the colours mean.
    switches: String,
    legend: String,
    attributions: Vec<AttributionView>,
    tokens: Option<TokenTable>,
    /// What the model says when it is asked in its own words.
    generation: Option<OwnWords>,
    options: Vec<(String, String, String, bool)>,
    provenance: Vec<(String, String)>,
    yaml: String,
    yaml_name: String,
    /// The commit that pins a hub model, where its file names it by a branch or tag.
    pin: Option<String>,
    /// The rule's keys with their values, defaults included.
    rule_keys: String,
    command: String,
    json: String,
    csv: String,
    citation: String,
    others: Vec<Link>,
    previous: Option<Link>,
    next: Option<Link>,
}

/// One target and baseline.
#[derive(Serialize)]
struct AttributionView {
    id: String,
    /// The method's word: whose facts are shown.
    method: &'static str,
    /// What people call it, where an experiment has several.
    method_name: Option<&'static str>,
    target: String,
    target_probability: String,
    baseline: String,
    output: &'static str,
    rule: String,
    evaluations: String,
    f_input: String,
    f_baseline: String,
    difference: String,
    sum: String,
    delta: String,
    relative_delta: String,
    error_estimate: String,
    converged: String,
    /// Said above everything else: the map did not reach its aim.
    warning: Option<String>,
    badge: &'static str,
    badge_class: &'static str,
    misses_margin: bool,
    quality: String,
    margin: String,
    /// None for a marked record: nothing is drawn.
    map: Option<String>,
    /// A legend of its own, where the map is on another scale than the page's legend says.
    legend: Option<String>,
    /// Why it has one.
    legend_reason: &'static str,
    segments: Vec<SegmentRow>,
    has_errors: bool,
    /// Whether the errors are those of a fixed rule against itself at half the points.
    by_half: bool,
    /// The scores of tokens against their errors; none where these are unknown.
    noise: Option<Figure>,
    history: Option<HistoryView>,
}

/// How the estimate came about.
#[derive(Serialize)]
struct HistoryView {
    told: String,
    /// Empty where there is nothing to plot.
    plot: String,
    /// Line and what it is.
    keys: Vec<(String, String)>,
    rounds: Vec<RoundRow>,
}

#[derive(Serialize)]
struct RoundRow {
    evaluations: usize,
    error: String,
    delta: String,
    relative_delta: String,
}

#[derive(Serialize)]
struct SegmentRow {
    name: String,
    score: String,
    error: String,
    share: String,
    chart: String,
}

/// Every token with its score in each map.
#[derive(Serialize)]
struct TokenTable {
    count: usize,
    /// Where the errors behind the scores come from.
    errors: &'static str,
    /// What each column of scores explains, and from where.
    maps: Vec<String>,
    rows: String,
}

impl Renderer<'_> {
    /// `experiments/ID/maps/MODEL/SLUG/index.html`.
    pub fn map(&self, results: &Results<'_>, model: usize, sample: usize, out: &mut Sink<'_>) -> Result<()> {
        let experiment = results.experiment;
        let id = &experiment.models[model];
        let path = urls::map(&experiment.id, id, results.slug(sample));
        let links = Links::on(path.clone());
        let record = results.record(model, sample);
        let (title, model_title) = (results.sample_title(sample), &results.models[model]);
        let predicted = results.option_label(&excerpt(summary::answer(record), 40));
        let map_of = |model: usize, sample: usize| {
            links.to(&urls::map(
                &experiment.id,
                &experiment.models[model],
                results.slug(sample),
            ))
        };
        let (previous, next) = neighbours(results, sample, |index| map_of(model, index));
        let sample_path = urls::sample(&experiment.id, results.slug(sample));
        let crumbs = vec![
            (self.site_title.clone(), urls::HOME.to_owned()),
            (experiment.title.clone(), urls::experiment(&experiment.id)),
            (format!("Sample {title}"), sample_path.clone()),
        ];
        let about = format!(
            "{model_title} answers {predicted} ({}).",
            percent(summary::answer_probability(record))
        );
        let others = (0..results.models.len()).filter(|other| *other != model);
        let drawn = attributions(results, model, sample);
        let cited = Cited {
            name: &format!("{}-{id}-{}", experiment.id, results.slug(sample)),
            title: &format!("{}: {model_title} on {title}", experiment.title),
            models: std::slice::from_ref(model_title),
            path: &path,
            base_url: self.site.base_url.as_deref(),
        };
        let citation = cite::bibtex(&cited, std::iter::once(record));
        let view = MapView {
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
            subject: results.samples[sample].subject.clone(),
            gold: record.sample.gold.as_deref().map(|gold| results.option_label(gold)),
            predicted,
            predicted_probability: percent(summary::answer_probability(record)),
            verdict: match record.correct {
                Some(true) => "right",
                Some(false) => "wrong",
                None => "",
            },
            switches: heatmap::switches("t"),
            legend: drawn.legend,
            attributions: drawn.attributions,
            tokens: drawn.tokens,
            options: options(results, record),
            generation: record.generation.as_ref().map(|own| OwnWords {
                asked: own.prompt.clone(),
                said: own.text.clone(),
                tokens: own.token_ids.len(),
                ended: own.ended,
            }),
            provenance: provenance(record),
            yaml: experiment.yaml.clone(),
            yaml_name: experiment.path.display().to_string(),
            pin: record
                .model
                .revision
                .clone()
                .filter(|commit| record.model.requested_revision.as_ref() != Some(commit)),
            rule_keys: labels::rule_keys(&experiment.attribution),
            command: format!("igsite build --experiment {}", experiment.id),
            json: links.to(&urls::record(&experiment.id, id, results.slug(sample))),
            csv: links.to(&urls::csv(&experiment.id)),
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
struct Attributions {
    legend: String,
    attributions: Vec<AttributionView>,
    tokens: Option<TokenTable>,
}

/// One scale a level over every target and baseline of the page: they are there to be compared. Maps that miss the tolerance have scales
/// of their own, since their scores may be wrong by any factor and would drain the others of their colour. Targets that are the same
/// tokens have one map: there is nothing else to see.
fn attributions(results: &Results<'_>, model: usize, sample: usize) -> Attributions {
    let record = results.record(model, sample);
    let units = results.samples[sample].units_of(model);
    let assignment = units.assign(&record.prompt, &record.tokens);
    let maps = distinct(&record.attributions);
    let drawn: Vec<Option<Drawn>> = maps
        .iter()
        .map(|(_, a)| Drawn::of(record, a, units, &assignment))
        .collect();
    let scales_of = |method: Method, right: bool| {
        let chosen = maps
            .iter()
            .zip(&drawn)
            .filter(|((_, a), _)| a.method == method && summary::is_right(a) == right);
        Scales::over(chosen.filter_map(|(_, drawn)| Some(&drawn.as_ref()?.scores)))
    };
    // Methods have magnitudes of their own: the page's legend is the first one's.
    let first = maps.first().map(|(_, a)| a.method).unwrap_or_default();
    let (right, doubtful) = (scales_of(first, true), scales_of(first, false));
    // Where no map is right, the page's legend is the doubtful ones'.
    let shared = if right == Scales::default() { &doubtful } else { &right };
    let spec = &results.experiment.attribution;
    let views = maps
        .iter()
        .zip(&drawn)
        .enumerate()
        .map(|(index, ((target, a), drawn))| {
            let of_other;
            let scales = match (a.method == first, summary::is_right(a)) {
                (true, true) => &right,
                (true, false) => &doubtful,
                (false, is_right) => {
                    of_other = scales_of(a.method, is_right);
                    &of_other
                }
            };
            let mut view = one(index, (target, a), record, units, drawn.as_ref(), spec);
            view.map = drawn.as_ref().map(|drawn| drawn.html(scales));
            view.legend =
                (view.map.is_some() && scales != shared).then(|| heatmap::legend(scales, labels::output(a.output)));
            if a.method != first {
                view.legend_reason = "is by another method";
            }
            view
        });
    let column = |(target, a): &(String, &AttributionRecord)| {
        let method = method_name(spec, a).map_or_else(String::new, |name| format!(", {name}"));
        format!("{target}, {}{method}", labels::baseline(&a.baseline))
    };
    Attributions {
        legend: heatmap::legend(shared, results.unit()),
        attributions: views.collect(),
        tokens: drawn.iter().any(Option::is_some).then(|| TokenTable {
            count: record.tokens.len(),
            errors: match maps.iter().find(|(_, a)| a.errors.is_some()) {
                Some((_, a)) if a.has_fixed_rule() => {
                    "behind each score its error, the distance to the same rule at half the points"
                }
                Some(_) => "behind each score its error, the quadrature’s estimate",
                None => "the error of each score is unknown: the rule gives no estimate",
            },
            maps: maps.iter().map(column).collect(),
            rows: tokens::rows(record, units, &drawn, shared),
        }),
    }
}

/// The maps of a record, those of the same tokens and baseline once, with what they explain: `“C” (predicted, gold)`.
fn distinct(attributions: &[AttributionRecord]) -> Vec<(String, &AttributionRecord)> {
    let mut maps: Vec<(Vec<&str>, &AttributionRecord)> = Vec::new();
    for a in attributions {
        let same = |(_, b): &&mut (Vec<&str>, &AttributionRecord)| {
            (a.method, &a.target.token_ids, &a.baseline) == (b.method, &b.target.token_ids, &b.baseline)
                && (a.target.kind == TargetKind::Contrast) == (b.target.kind == TargetKind::Contrast)
        };
        match maps.iter_mut().find(same) {
            Some((kinds, _)) => kinds.push(a.target.kind.word()),
            None => maps.push((vec![a.target.kind.word()], a)),
        }
    }
    maps.into_iter()
        .map(|(kinds, a)| (labels::target_of(a, &kinds.join(", ")), a))
        .collect()
}

fn one(
    index: usize,
    (target, attribution): (&str, &AttributionRecord),
    record: &SampleRecord,
    units: &Units,
    drawn: Option<&Drawn<'_>>,
    spec: &AttributionSpec,
) -> AttributionView {
    let (badge, badge_class) = labels::badge(attribution);
    let (f_input, f_baseline) = (attribution.f_input, attribution.f_baseline);
    let unit = labels::output(attribution.output);
    AttributionView {
        id: format!("map-{}", index + 1),
        method: attribution.method.word(),
        method_name: method_name(spec, attribution),
        target: target.to_owned(),
        target_probability: or_dash(target_probability(attribution, record).map(percent)),
        baseline: labels::baseline(&attribution.baseline),
        output: unit,
        rule: labels::quadrature(spec),
        evaluations: match attribution.max_evaluations {
            Some(most) => format!("{} of at most {most}", attribution.evaluations),
            None => attribution.evaluations.to_string(),
        },
        f_input: or_dash(f_input.map(number)),
        f_baseline: or_dash(f_baseline.map(number)),
        difference: or_dash(f_input.zip(f_baseline).map(|(a, b)| signed(a - b))),
        sum: or_dash(attribution.sum.map(signed)),
        delta: or_dash(attribution.convergence_delta.map(signed)),
        relative_delta: or_dash(relative_delta(attribution).map(percent)),
        error_estimate: attribution.error_estimate.map_or_else(|| "unknown".to_owned(), percent),
        converged: converged(attribution),
        warning: warning(attribution),
        badge,
        badge_class,
        misses_margin: summary::misses_margin(attribution),
        quality: labels::quality(attribution),
        margin: margin_check(attribution, record, spec.margin),
        map: None,
        legend: None,
        legend_reason: "misses its tolerance",
        segments: drawn.map_or_else(Vec::new, |drawn| segments(units, drawn)),
        has_errors: attribution.errors.is_some(),
        by_half: attribution.has_fixed_rule(),
        noise: drawn.and_then(|_| noise(index, attribution)),
        history: history(attribution),
    }
}

/// What people call a map's method, where an experiment has several.
fn method_name(spec: &AttributionSpec, attribution: &AttributionRecord) -> Option<&'static str> {
    (spec.methods.len() > 1).then(|| attribution.method.name())
}

/// The scores of tokens against their errors. Its numbers are the table of tokens.
pub fn noise(index: usize, attribution: &AttributionRecord) -> Option<Figure> {
    let errors = attribution.errors.as_ref()?;
    let points: Vec<(f64, f64)> = attribution.scores.iter().copied().zip(errors.iter().copied()).collect();
    let noise = points.iter().filter(|(score, error)| score.abs() <= *error).count();
    let total: f64 = points.iter().map(|(score, _)| score.abs()).sum();
    let held: f64 = points
        .iter()
        .filter(|(score, error)| score.abs() > *error)
        .map(|(score, _)| score.abs())
        .sum();
    let note = format!(
        "{} of {} tokens stand above their error, with {} of the sum of |score|; the sign of the others is not certain.",
        points.len() - noise,
        points.len(),
        or_dash((total > 0.0).then(|| percent(held / total)))
    );
    Some(Figure {
        name: format!("map-{}-score-error", index + 1),
        title: "Scores against their errors".to_owned(),
        svg: plot::score_against_error(&points, &note),
        note,
        keys: vec![
            (plot::dot_key(0), "a token".to_owned()),
            (plot::dot_key(1), "a token within its error".to_owned()),
            (plot::bound_key(), "error = |score|".to_owned()),
        ],
        table: None,
    })
}

fn converged(attribution: &AttributionRecord) -> String {
    let by = match (
        attribution.converged == Some(true),
        attribution.error_estimate.is_some(),
    ) {
        (false, _) => return "no".to_owned(),
        (true, true) => "its error estimate and its delta",
        (true, false) => "its delta",
    };
    format!("yes, by {by}")
}

fn warning(attribution: &AttributionRecord) -> Option<String> {
    if attribution.converged != Some(false) || attribution.has_fixed_rule() || attribution.non_finite.is_some() {
        return None;
    }
    let error = attribution.error_estimate.map_or_else(
        || "an unknown error".to_owned(),
        |error| format!("an error of {}", percent(error)),
    );
    let delta = relative_delta(attribution).map_or_else(String::new, |delta| {
        format!(" and a delta of {} of F(input) − F(baseline)", percent(delta))
    });
    let asked = percent(attribution.tolerance?);
    Some(format!(
        "Not converged: stopped after {} evaluations at {error}{delta}; asked for was {asked}.",
        attribution.evaluations
    ))
}

/// How the estimate of a map converged, as a figure; none where there is nothing to plot.
pub fn convergence(index: usize, attribution: &AttributionRecord) -> Option<Figure> {
    let history = history(attribution).filter(|history| !history.plot.is_empty())?;
    let rows = history.rounds.iter().map(|round| {
        vec![
            round.evaluations.to_string(),
            round.error.clone(),
            round.delta.clone(),
            round.relative_delta.clone(),
        ]
    });
    Some(Figure {
        name: format!("map-{}-convergence", index + 1),
        title: "How the estimate converged".to_owned(),
        table: Some(plot::Table {
            caption: "The estimate after each round".to_owned(),
            head: ["Evaluations", "Error estimate", "Delta", "Relative delta"]
                .map(str::to_owned)
                .into(),
            rows: rows.collect(),
        }),
        note: history.told,
        svg: history.plot,
        keys: history.keys,
    })
}

fn history(attribution: &AttributionRecord) -> Option<HistoryView> {
    let (first, last) = (attribution.history.first()?, attribution.history.last()?);
    let change = attribution
        .f_input
        .zip(attribution.f_baseline)
        .map(|(a, b)| (a - b).abs());
    let relative = |round: &Round| {
        let share = round.convergence_delta.abs() / change?;
        share.is_finite().then_some(share)
    };
    let points = |round: &Round| plot::Round {
        evaluations: round.evaluations,
        error: round.error_estimate,
        delta: relative(round),
    };
    let rounds: Vec<plot::Round> = attribution.history.iter().map(points).collect();
    let (fixed, tolerance) = (attribution.has_fixed_rule(), attribution.tolerance?);
    let dash = |share: Option<f64>| or_dash(share.map(percent));
    let told = if fixed {
        format!(
            "At half the points the delta was {} of F(input) − F(baseline), at all of them {}.",
            dash(relative(first)),
            dash(relative(last))
        )
    } else if rounds.len() == 1 {
        format!("One round of {} evaluations was all it took.", first.evaluations)
    } else {
        format!(
            "From {} evaluations to {}, in {} rounds, the error estimate went from {} to {} of the map, and |delta| from {} to {} of \
             |F(input) − F(baseline)|; the tolerance for both is {}.",
            first.evaluations,
            last.evaluations,
            rounds.len(),
            dash(first.error_estimate),
            dash(last.error_estimate),
            dash(relative(first)),
            dash(relative(last)),
            percent(tolerance)
        )
    };
    let plotted = !fixed && rounds.len() > 1;
    Some(HistoryView {
        plot: if plotted {
            plot::convergence(&rounds, tolerance, &told)
        } else {
            String::new()
        },
        keys: plot::convergence_keys(tolerance),
        told,
        rounds: attribution
            .history
            .iter()
            .map(|round| RoundRow {
                evaluations: round.evaluations,
                error: dash(round.error_estimate),
                delta: signed(round.convergence_delta),
                relative_delta: dash(relative(round)),
            })
            .collect(),
    })
}

/// The probability of what is explained, where that is one answer, and the record knows it.
fn target_probability(attribution: &AttributionRecord, record: &SampleRecord) -> Option<f64> {
    if attribution.target.kind == TargetKind::Contrast {
        return None;
    }
    let token = *attribution.target.token_ids.first()?;
    match attribution.output {
        Output::Probability => attribution.f_input,
        Output::LogProbability => attribution.f_input.map(f64::exp),
        Output::Logit if token == record.prediction.token_id => Some(record.prediction.probability),
        Output::Logit => record
            .options
            .values()
            .find(|option| option.token_id == token)
            .map(|option| option.probability),
    }
}

fn margin_check(attribution: &AttributionRecord, record: &SampleRecord, margin: f64) -> String {
    let Some(within) = attribution.within_margin else {
        return "does not apply: the output is no probability".to_owned();
    };
    let distance = attribution
        .sum
        .zip(target_probability(attribution, record))
        .map(|(sum, p)| (sum - p).abs());
    let distance = distance.map_or_else(
        || "|sum − probability| is unknown".to_owned(),
        |d| format!("|sum − probability| = {}", number(d)),
    );
    let verdict = if within { "passes: it is" } else { "fails: it is not" };
    format!("{verdict} below {margin} ({distance})")
}

/// A row a segment; segments of one name, such as the pieces of a chat template, are one row.
fn segments(units: &Units, drawn: &Drawn<'_>) -> Vec<SegmentRow> {
    let sums = &drawn.scores.segments;
    let errors = drawn.errors.as_ref().map(|errors| &errors.segments);
    let shares = summary::segment_shares(units, &drawn.scores.words);
    let names = units
        .segments
        .iter()
        .map(|segment| segment.name.as_str())
        .chain([SPECIAL]);
    let scores = sums.units.iter().chain([&sums.outside]);
    let mut rows: IndexMap<&str, (f64, f64, f64)> = IndexMap::new();
    for (index, (name, score)) in names.zip(scores).enumerate() {
        let error = errors
            .as_ref()
            .map(|sums| *sums.units.get(index).unwrap_or(&sums.outside));
        let row = rows.entry(name).or_default();
        row.0 += score;
        row.1 += error.unwrap_or_default();
        row.2 += shares.as_ref().map_or(0.0, |shares| shares[index]);
    }
    rows.into_iter()
        .map(|(name, (score, error, share))| {
            let share = shares.as_ref().map(|_| share);
            SegmentRow {
                name: if name.is_empty() {
                    "(unnamed)".to_owned()
                } else {
                    name.to_owned()
                },
                score: signed(score),
                error: or_dash(errors.as_ref().map(|_| plus_minus(error))),
                share: or_dash(share.map(percent)),
                chart: share.map_or_else(String::new, chart::bar),
            }
        })
        .collect()
}

fn options(results: &Results<'_>, record: &SampleRecord) -> Vec<(String, String, String, bool)> {
    let row = |(letter, option): (&String, &crate::store::record::OptionRecord)| {
        let predicted = summary::predicted_option(record) == Some(letter);
        (
            results.option_label(letter),
            chart::bar(option.probability),
            percent(option.probability),
            predicted,
        )
    };
    record.options.iter().map(row).collect()
}

fn provenance(record: &SampleRecord) -> Vec<(String, String)> {
    let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let model = &record.model;
    vec![
        line("Source", &model.source),
        line("Revision", &labels::revision(model)),
        line("Architecture", &model.architecture),
        line("Computed in", model.dtype.word()),
        line("Quantisation", model.quantization.word()),
        line("Weights SHA-256", &model.weights_sha256),
        line("Tokenizer SHA-256", &model.tokenizer_sha256),
        line("igsite", &record.provenance.igsite),
        line("Backend", record.provenance.backend.word()),
        line("Seconds", &number(record.provenance.seconds)),
        line("Made", &record.provenance.created),
        line("Schema", &record.schema),
    ]
}
