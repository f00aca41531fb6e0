//! What each shortcode shows, as the view of its template. The calls that draw stand here and nowhere else among the
//! shortcodes.

use serde::Serialize;

use super::Embeds;
use super::names::{AllPlot, MapLevel, MapPick, MapPlot, ModelPlot, What};
use super::tables;
use crate::analysis::results::{Results, Shown};
use crate::analysis::scale::Scales;
use crate::analysis::summary;
use crate::content::units::Level;
use crate::diagnostic::Result;
use crate::render::heatmap;
use crate::render::interlinear::{self, Measure, Row, Text, Warning, Who};
use crate::render::labels;
use crate::render::markdown::headings::Ids;
use crate::render::pages::map::{Attribution, convergence_with_table, noise, values_of};
use crate::render::pages::sample::{Lines, drawn, row, who, words_address};
use crate::render::pages::samples;
use crate::render::pages::tokens::Drawn;
use crate::render::pages::{Answer, Link, figures, map_link};
use crate::render::plot::Figure;
use crate::site::urls;

#[derive(Serialize)]
struct HeatmapView<'a> {
    id: String,
    caption: Option<&'a str>,
    experiment: Link,
    model: Link,
    sample: Link,
    /// The map's own page, with everything that is known of it.
    full: Link,
    answer: Answer,
    attribution: Option<Attribution<'a>>,
    level: &'static str,
    /// The same as the style sheet knows it.
    letter: &'static str,
    /// None for a marked record: nothing is drawn.
    map: Option<String>,
    /// The segments that it shows; none where it shows all of the prompt.
    segments: Vec<String>,
    legend: String,
}

#[derive(Serialize)]
struct ComparisonView<'a> {
    id: String,
    caption: Option<&'a str>,
    experiment: Link,
    sample: Link,
    level: &'static str,
    /// The same as the style sheet knows it.
    letter: &'static str,
    /// Each map by itself, where they are not drawn by word.
    models: Vec<ComparedMap<'a>>,
    /// The maps below each other, word by word.
    lines: Option<Lines>,
    /// What the maps explain.
    shown: Option<Shown<'a>>,
    /// The segments that they show; none where they show all of the prompt.
    segments: Vec<String>,
    /// The one scale of all of these maps.
    legend: String,
}

#[derive(Serialize)]
struct ComparedMap<'a> {
    model: Link,
    answer: Answer,
    attribution: Option<Attribution<'a>>,
    map: Option<String>,
}

#[derive(Serialize)]
struct PlotView<'a> {
    id: String,
    caption: Option<&'a str>,
    experiment: Link,
    /// The plot with its words and numbers; none where there is nothing to plot.
    figure: Option<Figure>,
    /// Where there is more of it.
    full: Link,
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
        What::Heatmap(map, level, segments) => {
            let view = show.heatmap(map, level, segments, ids.take("map"));
            show.template("heatmap", &view)
        }
        What::Comparison(sample, models, level, segments) => {
            let view = show.comparison(sample, &models, level, segments, ids.take("comparison"));
            show.template("comparison", &view)
        }
        What::AllPlot(plot) => show.plot(show.of_all(plot), show.experiment(), ids),
        What::ModelPlot(plot, model) => show.plot(show.of_model(plot, model), show.model(model), ids),
        What::MapPlot(plot, map) => show.plot(show.of_map(plot, map), show.map_page(map.model, map.sample), ids),
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
        Link {
            title: "the whole map".to_owned(),
            href: map_link(self.results, (model, sample), self.embeds.links),
        }
    }

    /// One map, on the scale of its own page: that of all targets and baselines of its model and sample which are as
    /// right as it is.
    fn heatmap(&self, map: MapPick, level: MapLevel, segments: Option<Vec<String>>, id: String) -> HeatmapView<'s> {
        let (results, record) = (self.results, self.results.record(map.model, map.sample));
        let units = results.samples[map.sample].units_of(map.model);
        let assignment = units.assign(&record.prompt, &record.tokens);
        let attribution = record.attributions.get(map.attribution);
        let drawn = attribution.and_then(|attribution| Drawn::of(record, attribution, units, &assignment));
        let right = attribution.is_some_and(summary::is_right);
        let alike = record
            .attributions
            .iter()
            .filter(|other| summary::is_right(other) == right);
        let alike: Vec<Drawn<'_>> = alike
            .filter_map(|other| Drawn::of(record, other, units, &assignment))
            .collect();
        let scales = Scales::over(alike.iter().map(|drawn| &drawn.scores));
        let unit = attribution.map_or_else(String::new, labels::unit);
        HeatmapView {
            id,
            caption: self.caption,
            experiment: self.experiment(),
            model: self.model(map.model),
            sample: self.sample(map.sample),
            full: self.map_page(map.model, map.sample),
            answer: Answer::of(results, record, 20),
            attribution: attribution.map(values_of),
            level: level.name(),
            letter: letter(level),
            map: drawn.map(|drawn| of_segments(&drawn, segments.as_deref(), &scales)),
            segments: segments.unwrap_or_default(),
            legend: heatmap::legend_of(&scales, &unit, attribution.map(|map| &map.target)),
        }
    }

    /// Some models' maps of a sample, on the scale that its page has for all of them.
    fn comparison(
        &self,
        sample: usize,
        models: &[usize],
        level: MapLevel,
        segments: Option<Vec<String>>,
        id: String,
    ) -> ComparisonView<'s> {
        let results = self.results;
        let lines = match level {
            MapLevel::Sum(Level::Word) => self.lines(sample, models, segments.as_deref()),
            _ => None,
        };
        let (models, legend) = match lines {
            Some(_) => (Vec::new(), String::new()),
            None => self.maps(sample, models, segments.as_deref()),
        };
        ComparisonView {
            id,
            caption: self.caption,
            experiment: self.experiment(),
            sample: self.sample(sample),
            level: level.name(),
            letter: letter(level),
            models,
            lines,
            shown: results.shown(),
            segments: segments.unwrap_or_default(),
            legend,
        }
    }

    /// Each model's map by itself, and the legend of all of them.
    fn maps(&self, sample: usize, models: &[usize], segments: Option<&[String]>) -> (Vec<ComparedMap<'s>>, String) {
        let results = self.results;
        let all: Vec<Option<Drawn<'_>>> = (0..results.models.len())
            .map(|model| drawn(results, model, sample))
            .collect();
        let scales = Scales::over(all.iter().flatten().map(|drawn| &drawn.scores));
        let compared = |&model: &usize| {
            let record = results.record(model, sample);
            ComparedMap {
                model: Link {
                    title: results.models[model].clone(),
                    href: self.map_page(model, sample).href,
                },
                answer: Answer::of(results, record, 20),
                attribution: record.attributions.first().map(values_of),
                map: all[model].as_ref().map(|drawn| of_segments(drawn, segments, &scales)),
            }
        };
        let legend = heatmap::legend_of(
            &scales,
            &labels::unit_of(results),
            results
                .records_of(sample)
                .filter_map(|record| record.attributions.first())
                .map(|map| &map.target),
        );
        (models.iter().map(compared).collect(), legend)
    }

    /// The same, word by word: the maps that pages show, as on the sample's page. None where all are marked.
    fn lines(&self, sample: usize, models: &[usize], segments: Option<&[String]>) -> Option<Lines> {
        let (results, links) = (self.results, self.embeds.links);
        let text = Text::of(results, sample, true);
        let text = match segments {
            Some(names) => text.within(names),
            None => text,
        };
        let row = |&model: &usize| -> Option<Row> {
            let record = results.record(model, sample);
            let sums = results.samples[sample].sums(model, record);
            row(&text, record.attributions.first()?, record, sums)
        };
        let rows: Vec<Option<Row>> = models.iter().map(row).collect();
        rows.iter().find(|row| row.is_some())?;
        let measure = Measure::of(
            interlinear::greatest(rows.iter().flatten()),
            samples::output_of(results),
            &labels::unit_of(results),
        );
        let mark = |&model: &usize| {
            let map = results.record(model, sample).attributions.first()?;
            labels::mark(map)
        };
        let who: Vec<Who> = models
            .iter()
            .map(|model| {
                let mut who = who(results, *model, sample, links);
                who.warnings.extend(mark(model).map(|text| Warning {
                    class: String::new(),
                    text: text.to_owned(),
                    href: who.href.clone(),
                }));
                who
            })
            .collect();
        let shorts: Vec<&str> = models
            .iter()
            .map(|&model| results.short_models[model].as_str())
            .collect();
        let (again, height) = interlinear::again(&shorts, text.lines());
        Some(Lines {
            label: "Scores of the words, model by model".to_owned(),
            switches: Vec::new(),
            who,
            again,
            rows: height,
            lists: text.html(&rows, &measure, "", &|word| results.word_slug(sample, word)),
            legend: interlinear::legend(results, &measure),
            words: words_address(results, links),
            unit: measure.unit.clone(),
            hint: false,
        })
    }

    fn of_all(&self, plot: AllPlot) -> Option<Figure> {
        let results = self.results;
        match plot {
            AllPlot::Accuracy => figures::accuracy(results),
            AllPlot::Segments => figures::segments(results),
            AllPlot::Options => figures::options(results),
            AllPlot::Agreement => (results.models.len() > 1).then(|| figures::agreement(results)),
            AllPlot::Cost => figures::cost(results),
        }
    }

    fn of_model(&self, plot: ModelPlot, model: usize) -> Option<Figure> {
        match plot {
            ModelPlot::Calibration => figures::calibration_of(self.results, model),
            ModelPlot::Confusion => figures::confusions(self.results).into_iter().nth(model),
        }
    }

    fn of_map(&self, plot: MapPlot, map: MapPick) -> Option<Figure> {
        let record = self.results.record(map.model, map.sample);
        let attribution = record.attributions.get(map.attribution)?;
        match plot {
            MapPlot::Convergence => convergence_with_table(map.attribution, attribution),
            MapPlot::Errors => noise(map.attribution, attribution),
        }
    }

    fn plot(&self, figure: Option<Figure>, full: Link, ids: &mut Ids) -> Result<Vec<u8>> {
        let view = PlotView {
            id: ids.take("plot"),
            caption: self.caption,
            experiment: self.experiment(),
            figure,
            full,
        };
        self.template("plot", &view)
    }
}

/// A map, or those of its segments that are asked for.
fn of_segments(drawn: &Drawn<'_>, segments: Option<&[String]>, scales: &Scales) -> String {
    match segments {
        Some(names) => drawn.html_within(names, scales),
        None => drawn.html(scales),
    }
}

/// The letter by which the style sheet knows a level.
fn letter(level: MapLevel) -> &'static str {
    match level {
        MapLevel::Token => "t",
        MapLevel::Sum(Level::Word) => "w",
        MapLevel::Sum(Level::Sentence) => "s",
        MapLevel::Sum(Level::Segment) => "g",
    }
}

/// A link to the page of the experiment.
pub fn experiment(embeds: &Embeds<'_>, results: &Results<'_>) -> Link {
    Link {
        title: results.experiment.title.clone(),
        href: embeds.links.to(&urls::experiment(&results.experiment.id)),
    }
}
