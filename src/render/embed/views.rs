//! What each shortcode shows, as the view of its template. The calls that draw stand here and nowhere else among the shortcodes.

use serde::Serialize;

use super::Embeds;
use super::names::{MapLevel, MapPick, What};
use super::tables;
use crate::analysis::align::{Level, UnitScores, Units};
use crate::analysis::summary::{self, relative_delta};
use crate::diagnostic::Result;
use crate::render::heatmap::{self, Scale};
use crate::render::markdown::headings::Ids;
use crate::render::pages::Link;
use crate::render::results::{Results, SPECIAL};
use crate::render::text::{excerpt, percent};
use crate::render::{chart, labels};
use crate::site::urls;
use crate::store::record::{AttributionRecord, SampleRecord};

#[derive(Serialize)]
struct HeatmapView<'a> {
    id: String,
    caption: Option<&'a str>,
    experiment: Link,
    model: Link,
    sample: Link,
    /// The map's own page, with everything that is known of it.
    full: Link,
    answer: String,
    probability: String,
    target: String,
    baseline: String,
    level: &'static str,
    /// None for a marked record: nothing is drawn.
    map: Option<String>,
    legend: String,
    /// What to know before the map is believed; nothing where it is as right as was asked for.
    mark: Option<&'static str>,
}

#[derive(Serialize)]
struct ComparisonView<'a> {
    id: String,
    caption: Option<&'a str>,
    experiment: Link,
    sample: Link,
    level: &'static str,
    models: Vec<ComparedMap>,
    /// The one scale of all of these maps.
    legend: String,
}

#[derive(Serialize)]
struct ComparedMap {
    model: Link,
    answer: String,
    probability: String,
    verdict: &'static str,
    target: String,
    map: Option<String>,
    mark: Option<&'static str>,
}

#[derive(Serialize)]
struct PlotView<'a> {
    id: String,
    caption: Option<&'a str>,
    experiment: Link,
    /// What it shows, in a line.
    about: String,
    /// What the values are.
    value: &'static str,
    /// A drawing for each model; empty where there is one for all.
    rows: Vec<PlotRow>,
    /// One drawing.
    plot: String,
    /// What it says, in words.
    told: String,
    /// Lines or colours, and what they are.
    keys: Vec<(String, String)>,
    /// Where there is more of it.
    full: Link,
}

#[derive(Serialize)]
struct PlotRow {
    model: Link,
    chart: String,
    value: String,
}

/// The HTML of one shortcode.
pub fn html(
    embeds: &Embeds<'_>,
    results: &Results<'_>,
    what: What,
    caption: Option<&str>,
    ids: &mut Ids,
) -> Result<String> {
    let show = Show {
        embeds,
        results,
        caption,
    };
    let bytes = match what {
        What::Heatmap(map, level) => show.template("heatmap", &show.heatmap(map, level, ids.take("map"))),
        What::Comparison(sample, models, level) => {
            let view = show.comparison(sample, &models, level, ids.take("comparison"));
            show.template("comparison", &view)
        }
        What::Accuracy => show.template("plot", &show.accuracy(ids.take("plot"))),
        What::SegmentPlot => {
            let names = tables::segments(results);
            show.template("plot", &show.shares("segment", &names, ids.take("plot")))
        }
        What::OptionPlot => {
            let names = tables::options(results);
            show.template("plot", &show.shares("option", &names, ids.take("plot")))
        }
        What::Convergence(map) => show.template("plot", &show.convergence(map, ids.take("plot"))),
        table => {
            let view = tables::view(embeds, results, &table, caption, ids.take("table"));
            show.template("table", &view)
        }
    };
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// One shortcode in the making.
struct Show<'s, 'a> {
    embeds: &'s Embeds<'a>,
    results: &'s Results<'a>,
    caption: Option<&'s str>,
}

impl<'s> Show<'s, '_> {
    fn template(&self, name: &str, view: &impl Serialize) -> Result<Vec<u8>> {
        self.embeds.theme.render(&super::template(name), view)
    }

    fn experiment(&self) -> Link {
        experiment(self.embeds, self.results)
    }

    fn model(&self, model: usize) -> Link {
        Link {
            title: self.results.models[model].clone(),
            href: self
                .embeds
                .links
                .to(&urls::model(&self.results.experiment.models[model])),
        }
    }

    fn sample(&self, sample: usize) -> Link {
        let path = urls::sample(&self.results.experiment.id, self.results.slug(sample));
        Link {
            title: self.results.sample_title(sample),
            href: self.embeds.links.to(&path),
        }
    }

    fn map_page(&self, model: usize, sample: usize) -> Link {
        let experiment = self.results.experiment;
        let path = urls::map(&experiment.id, &experiment.models[model], self.results.slug(sample));
        Link {
            title: "the whole map".to_owned(),
            href: self.embeds.links.to(&path),
        }
    }

    /// One map, on the scale of its own page: that of all targets and baselines of its model and sample which are as right as it is.
    fn heatmap(&self, map: MapPick, level: MapLevel, id: String) -> HeatmapView<'s> {
        let (results, record) = (self.results, self.results.record(map.model, map.sample));
        let units = results.samples[map.sample].units_of(map.model);
        let attribution = record.attributions.get(map.attribution);
        let drawn = attribution.filter(|attribution| summary::is_drawable(attribution, record));
        let scale = drawn.map_or(Scale { max: 0.0 }, |drawn| {
            let alike = record.attributions.iter().filter(|other| {
                summary::is_right(other) == summary::is_right(drawn) && summary::is_drawable(other, record)
            });
            let scores: Vec<f64> = alike
                .flat_map(|other| match level {
                    MapLevel::Token => other.scores.clone(),
                    MapLevel::Sum(level) => all(&sums(record, units, level, &other.scores)),
                })
                .collect();
            Scale::over(&scores)
        });
        let unit = attribution.map_or("", |attribution| labels::output(attribution.output));
        HeatmapView {
            id,
            caption: self.caption,
            experiment: self.experiment(),
            model: self.model(map.model),
            sample: self.sample(map.sample),
            full: self.map_page(map.model, map.sample),
            answer: results.option_label(&excerpt(summary::answer(record), 20)),
            probability: percent(summary::answer_probability(record)),
            target: attribution.map_or_else(String::new, labels::target),
            baseline: attribution.map_or_else(String::new, |attribution| labels::baseline(&attribution.baseline)),
            level: level.name(),
            map: drawn.map(|drawn| one_map(record, units, drawn, level, scale)),
            legend: heatmap::legend(scale, unit),
            mark: attribution.map_or(Some("no attribution"), labels::mark),
        }
    }

    /// Some models' maps of a sample, on the scale that its page has for all of them.
    fn comparison(&self, sample: usize, models: &[usize], level: MapLevel, id: String) -> ComparisonView<'s> {
        let (results, analysed) = (self.results, &self.results.samples[sample]);
        let prompt = &results.experiment.samples[sample].prompt.text;
        let level_of = match level {
            MapLevel::Sum(level) => level,
            MapLevel::Token => Level::Word,
        };
        let sum = |words: &UnitScores| analysed.units.sum(level_of, words);
        let scores: Vec<f64> = analysed
            .words
            .iter()
            .flatten()
            .flat_map(|words| all(&sum(words)))
            .collect();
        let scale = Scale::over(&scores);
        let compared = |&model: &usize| {
            let record = results.record(model, sample);
            let attribution = record.attributions.first();
            let errors = analysed.errors[model].as_ref().map(sum);
            let map = analysed.words[model].as_ref().map(|words| {
                let around = (results.outside(), scale);
                heatmap::units(prompt, &analysed.units, level_of, &sum(words), errors.as_ref(), around)
            });
            ComparedMap {
                model: Link {
                    title: results.models[model].clone(),
                    href: self.map_page(model, sample).href,
                },
                answer: results.option_label(&excerpt(summary::answer(record), 20)),
                probability: percent(summary::answer_probability(record)),
                verdict: tables::verdict(record),
                target: attribution.map_or_else(String::new, labels::target),
                map,
                mark: attribution.map_or(Some("no attribution"), labels::mark),
            }
        };
        ComparisonView {
            id,
            caption: self.caption,
            experiment: self.experiment(),
            sample: self.sample(sample),
            level: level.name(),
            models: models.iter().map(compared).collect(),
            legend: heatmap::legend(scale, results.unit()),
        }
    }

    fn accuracy(&self, id: String) -> PlotView<'s> {
        let guessing = self.results.guessing();
        let row = |(model, numbers): (usize, &summary::ModelSummary)| {
            let drawn = numbers.accuracy.value().zip(numbers.accuracy.wilson());
            PlotRow {
                model: self.model(model),
                chart: drawn.map_or_else(String::new, |(value, range)| chart::interval(value, range, guessing)),
                value: tables::share(numbers.accuracy),
            }
        };
        let about = match guessing {
            Some(guessing) => format!(
                "Accuracy of each model with its 95% interval; the tick marks guessing, {}",
                percent(guessing)
            ),
            None => "Accuracy of each model with its 95% interval".to_owned(),
        };
        PlotView {
            rows: self.results.summaries.iter().enumerate().map(row).collect(),
            ..self.plot(id, about, "Accuracy")
        }
    }

    /// Mean shares of segments or options, a divided bar a model.
    fn shares(&self, what: &str, names: &[(String, String)], id: String) -> PlotView<'s> {
        let shares = match what {
            "option" => &self.results.option_shares,
            _ => &self.results.segment_shares,
        };
        let row = |(model, shares): (usize, &tables::Means)| {
            let values: Vec<f64> = names
                .iter()
                .map(|(name, _)| shares.get(name).and_then(|mean| mean.value()).unwrap_or(0.0))
                .collect();
            let largest = (0..values.len()).max_by(|a, b| values[*a].total_cmp(&values[*b]).then(b.cmp(a)));
            PlotRow {
                model: self.model(model),
                chart: chart::stacked(&values),
                value: largest.map_or_else(String::new, |index| {
                    format!("{}: {}", names[index].1, percent(values[index]))
                }),
            }
        };
        let keys = names.iter().enumerate().map(|(index, (_, title))| {
            let key = format!("<i class=\"key s{}\" aria-hidden=\"true\"></i>", index % 10);
            (key, title.clone())
        });
        PlotView {
            rows: shares.iter().enumerate().map(row).collect(),
            keys: keys.collect(),
            ..self.plot(
                id,
                format!("Mean share of |word score| that lies on each {what}"),
                "Largest share",
            )
        }
    }

    /// How the estimate of one map came about.
    fn convergence(&self, map: MapPick, id: String) -> PlotView<'s> {
        let record = self.results.record(map.model, map.sample);
        let mut view = self.plot(id, String::new(), "");
        view.full = self.map_page(map.model, map.sample);
        let Some(attribution) = record.attributions.get(map.attribution) else {
            return view;
        };
        let change = attribution
            .f_input
            .zip(attribution.f_baseline)
            .map(|(input, baseline)| (input - baseline).abs());
        let rounds: Vec<chart::Round> = attribution
            .history
            .iter()
            .map(|round| chart::Round {
                evaluations: round.evaluations,
                error: round.error_estimate,
                delta: change
                    .map(|change| round.convergence_delta.abs() / change)
                    .filter(|share| share.is_finite()),
            })
            .collect();
        view.about = format!(
            "How the map of {} on sample {} converged",
            self.results.models[map.model],
            self.results.sample_title(map.sample)
        );
        view.told = format!(
            "After {} evaluations: error estimate {}, |delta| {} of F(input) − F(baseline); the tolerance for both is {}.",
            attribution.evaluations,
            attribution.error_estimate.map_or_else(|| "unknown".to_owned(), percent),
            relative_delta(attribution).map_or_else(|| "unknown".to_owned(), percent),
            percent(attribution.tolerance)
        );
        if rounds.len() > 1 {
            view.plot = chart::convergence(&rounds, attribution.tolerance, &view.told);
            let key = |class: &str, what: &str| (chart::convergence_key(class), what.to_owned());
            view.keys = vec![
                key("error", "error estimate, of the map’s L1 norm"),
                key("delta", "|delta|, of |F(input) − F(baseline)|"),
                key("bound", &format!("tolerance, {}", percent(attribution.tolerance))),
            ];
        }
        view
    }

    fn plot(&self, id: String, about: String, value: &'static str) -> PlotView<'s> {
        PlotView {
            id,
            caption: self.caption,
            experiment: self.experiment(),
            about,
            value,
            rows: Vec::new(),
            plot: String::new(),
            told: String::new(),
            keys: Vec::new(),
            full: self.experiment(),
        }
    }
}

/// A link to the page of the experiment.
pub fn experiment(embeds: &Embeds<'_>, results: &Results<'_>) -> Link {
    Link {
        title: results.experiment.title.clone(),
        href: embeds.links.to(&urls::experiment(&results.experiment.id)),
    }
}

fn sums(record: &SampleRecord, units: &Units, level: Level, values: &[f64]) -> UnitScores {
    let assignment = units.assign(&record.prompt, &record.tokens);
    units.sum(level, &units.word_scores(&assignment, values))
}

fn all(scores: &UnitScores) -> Vec<f64> {
    scores.units.iter().copied().chain([scores.outside]).collect()
}

fn one_map(
    record: &SampleRecord,
    units: &Units,
    attribution: &AttributionRecord,
    level: MapLevel,
    scale: Scale,
) -> String {
    let errors = attribution.errors.as_deref();
    match level {
        MapLevel::Token => heatmap::tokens(&record.prompt, &record.tokens, &attribution.scores, errors, scale),
        MapLevel::Sum(level) => {
            let scores = sums(record, units, level, &attribution.scores);
            let errors = errors.map(|errors| sums(record, units, level, errors));
            heatmap::units(&record.prompt, units, level, &scores, errors.as_ref(), (SPECIAL, scale))
        }
    }
}
