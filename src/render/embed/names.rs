//! The names in a shortcode, resolved once: experiment, model, sample, target, baseline, and which table or plot.
//!
//! All of this is known without any result, so that `igsite check` finds what is misspelt, and so does a build before
//! it computes.

mod claims;

pub use self::claims::{Bound, Claim, Of, Unit, VerdictPick};
use crate::content::decode::{Decoder, Field, Table};
use crate::content::experiment::Experiment;
use crate::content::names::{nearest, quoted, shortened};
use crate::content::project::{LeftOut, Project};
use crate::content::subject::subject_segments;
use crate::content::units::Level;
use crate::content::yaml::{Content, Node};
use crate::diagnostic::Diagnostic;
use crate::render::markdown::Refusal;
use crate::render::markdown::shortcode::Call;
use crate::terms::{Baseline, Target};

/// Shortcodes and the arguments that each knows.
pub const KINDS: [(&str, &[&str]); 6] = [
    (
        "heatmap",
        &[
            "experiment",
            "model",
            "sample",
            "target",
            "baseline",
            "level",
            "segments",
            "caption",
        ],
    ),
    (
        "comparison",
        &["experiment", "sample", "models", "level", "segments", "caption"],
    ),
    (
        "claim",
        &[
            "experiment",
            "model",
            "models",
            "sample",
            "target",
            "baseline",
            "of",
            "word",
            "segment",
            "is",
            "value",
            "than",
            "than_model",
            "text",
            "caption",
        ],
    ),
    ("verdict", &["experiment", "model", "is", "caption"]),
    ("table", &["experiment", "of", "model", "first", "caption"]),
    (
        "plot",
        &["experiment", "of", "model", "sample", "target", "baseline", "caption"],
    ),
];

const LEVELS: [(&str, MapLevel); 4] = [
    ("token", MapLevel::Token),
    ("word", MapLevel::Sum(Level::Word)),
    ("sentence", MapLevel::Sum(Level::Sentence)),
    ("segment", MapLevel::Sum(Level::Segment)),
];

const TABLES: [(&str, TableOf); 5] = [
    ("models", TableOf::Models),
    ("samples", TableOf::Samples),
    ("segments", TableOf::Segments),
    ("options", TableOf::Options),
    ("confusion", TableOf::Confusion),
];

const PLOTS: [(&str, PlotOf); 9] = [
    ("accuracy", PlotOf::All(AllPlot::Accuracy)),
    ("segments", PlotOf::All(AllPlot::Segments)),
    ("options", PlotOf::All(AllPlot::Options)),
    ("agreement", PlotOf::All(AllPlot::Agreement)),
    ("cost", PlotOf::All(AllPlot::Cost)),
    ("calibration", PlotOf::Model(ModelPlot::Calibration)),
    ("confusion", PlotOf::Model(ModelPlot::Confusion)),
    ("convergence", PlotOf::Map(MapPlot::Convergence)),
    ("errors", PlotOf::Map(MapPlot::Errors)),
];

/// What scores are summed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapLevel {
    /// Nothing: each token by itself.
    Token,
    /// The tokens of a word, a sentence or a segment.
    Sum(Level),
}

impl MapLevel {
    /// As it is written.
    pub fn name(self) -> &'static str {
        LEVELS
            .iter()
            .find(|(_, level)| *level == self)
            .map_or("", |(name, _)| name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TableOf {
    Models,
    Samples,
    Segments,
    Options,
    Confusion,
}

/// A plot of all models of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllPlot {
    /// Their accuracy.
    Accuracy,
    /// Where their attribution goes.
    Segments,
    /// The probability of each option.
    Options,
    /// How far their maps agree.
    Agreement,
    /// Evaluations against error estimates.
    Cost,
}

/// A plot of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelPlot {
    /// Whether it is as sure as it is right.
    Calibration,
    /// What it takes for what.
    Confusion,
}

/// A plot of one map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapPlot {
    /// How its estimate converged.
    Convergence,
    /// Its scores against their errors.
    Errors,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlotOf {
    All(AllPlot),
    Model(ModelPlot),
    Map(MapPlot),
}

/// One map: indices into the experiment's models and samples, and into a record's attributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapPick {
    /// Which model.
    pub model: usize,
    /// Which sample.
    pub sample: usize,
    /// Which target and baseline.
    pub attribution: usize,
}

/// What a shortcode shows.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// One map, or some segments of it.
    Heatmap(MapPick, MapLevel, Option<Vec<String>>),
    /// Several models' maps of one sample, under each other, or some segments of them.
    Comparison(usize, Vec<usize>, MapLevel, Option<Vec<String>>),
    /// A sentence that must be true.
    Claim(Box<Claim>),
    /// What came of the tests of an experiment's maps.
    Verdict(VerdictPick),
    /// A table of the models.
    Models,
    /// A table of the samples; only the first ones with a number.
    Samples(usize),
    /// Shares of the segments, as a table.
    SegmentTable,
    /// Shares of the options, as a table.
    OptionTable,
    /// Right against predicted options of one model.
    Confusion(usize),
    /// A plot of all models.
    AllPlot(AllPlot),
    /// A plot of one model.
    ModelPlot(ModelPlot, usize),
    /// A plot of one map.
    MapPlot(MapPlot, MapPick),
}

/// What the names of a shortcode come to.
pub enum Picked<'a> {
    /// Something to show.
    Embed {
        /// Of this experiment.
        experiment: &'a Experiment,
        /// This.
        what: What,
    },
    /// The experiment is one that the command line leaves out.
    LeftOut(String),
}

/// The arguments of one shortcode, and what is wrong with them.
pub struct Arguments<'c> {
    call: &'c Call,
    own: Option<&'c str>,
    table: Option<Table<'c>>,
    /// What is wrong with their types, in the words that wrong YAML has.
    decoder: Decoder,
    /// What is wrong with what they name.
    refused: Vec<Refusal>,
}

impl<'c> Arguments<'c> {
    /// Those of a call, whose [`Call::node`] is `node`; what is not `known` is refused. Where `own` is an experiment,
    /// it is the one that is meant when none is named.
    pub fn of(call: &'c Call, node: &'c Node, known: &[&str], own: Option<&'c str>) -> Self {
        let mut decoder = Decoder::of_arguments();
        Self {
            call,
            own,
            table: decoder.table(&Field::top(node), known),
            decoder,
            refused: Vec::new(),
        }
    }

    /// Everything that is wrong.
    pub fn refused(self) -> Vec<Refusal> {
        let told = |diagnostic: Diagnostic| {
            let message = match &diagnostic.place {
                Some(argument) => format!("argument `{argument}`: {}", diagnostic.message),
                None => format!("shortcode `{}`: {}", self.call.name, diagnostic.message),
            };
            Refusal {
                at: diagnostic.position.map(|position| position.column),
                diagnostic: Diagnostic {
                    message,
                    file: None,
                    position: None,
                    place: None,
                    ..diagnostic
                },
            }
        };
        let of_types = self.decoder.diagnostics.into_iter().map(told);
        self.refused.into_iter().chain(of_types).collect()
    }

    /// What the author wrote under it.
    pub fn caption(&mut self) -> Option<&'c str> {
        let field = self.get("caption")?;
        self.decoder.quoted(&field)
    }

    fn get(&self, name: &str) -> Option<Field<'c>> {
        self.table.as_ref()?.get(name)
    }

    fn require(&mut self, name: &str, what: &str) -> Option<Field<'c>> {
        self.decoder.require(self.table.as_ref()?, name, what)
    }

    /// Refuses a name that is none of those there are.
    fn refuse<'n>(&mut self, at: usize, found: String, known: impl Iterator<Item = &'n str> + Clone, written: &str) {
        let expected = match quoted(known.clone()) {
            none if none.is_empty() => "nothing: there is none".to_owned(),
            names => format!("one of {names}"),
        };
        let mut error = Diagnostic::content(found).expected(expected);
        error.help = nearest(written, known).map(|meant| format!("did you mean `{meant}`?"));
        self.refused.push(Refusal::at(at, error));
    }

    /// Refuses an argument that has no meaning here.
    fn idle(&mut self, name: &str, why: &str) {
        if let Some(argument) = self.call.arguments.iter().find(|argument| argument.name == name) {
            let error = Diagnostic::content(format!("argument `{name}` means nothing here")).expected(why);
            self.refused.push(Refusal::at(argument.at, error));
        }
    }

    /// One of a few names; `default` where it is not given, and missing where there is none.
    fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)], default: Option<T>) -> Option<T> {
        let field = match (self.get(name), default) {
            (None, Some(default)) => return Some(default),
            (Some(field), _) => field,
            (None, None) => {
                let known = quoted(choices.iter().map(|(choice, _)| *choice));
                self.require(name, &format!("one of {known}"))?
            }
        };
        self.decoder.choice(&field, choices)
    }

    /// The place of a name among those there are.
    fn place(&mut self, name: &str, known: &[&str], of: &str) -> Option<usize> {
        let field = self.require(name, &format!("the id of a {name}"))?;
        let written = self.decoder.quoted(&field)?;
        self.place_of(name, written, &field, known, of)
    }

    fn place_of(&mut self, name: &str, written: &str, field: &Field<'_>, known: &[&str], of: &str) -> Option<usize> {
        let found = known.iter().position(|other| *other == written);
        if found.is_none() {
            let problem = format!(
                "argument `{name}`: {of} has no {} `{}`",
                name.trim_end_matches('s'),
                shortened(written)
            );
            self.refuse(field.node.position.column, problem, known.iter().copied(), written);
        }
        found
    }
}

/// What a shortcode of this kind shows; none where something is wrong, which `arguments` reports.
pub fn pick<'a>(kind: &str, arguments: &mut Arguments<'_>, project: &'a Project) -> Option<Picked<'a>> {
    let (id, at) = match (arguments.get("experiment"), arguments.own) {
        (None, Some(own)) => (own, arguments.call.at),
        (None, None) => {
            arguments.require("experiment", "the id of an experiment");
            return None;
        }
        (Some(field), _) => (arguments.decoder.quoted(&field)?, field.node.position.column),
    };
    let Some(experiment) = project.all_experiments().find(|experiment| experiment.id == id) else {
        return left_out(id, at, arguments, project);
    };
    let what = match kind {
        "heatmap" => {
            let level = arguments.choice("level", &LEVELS, Some(MapLevel::Sum(Level::Word)));
            map(arguments, experiment).zip(level).and_then(|(map, level)| {
                let segments = segments(arguments, experiment, map.sample)?;
                Some(What::Heatmap(map, level, segments))
            })
        }
        "claim" => claims::claim(arguments, experiment).map(|claim| What::Claim(Box::new(claim))),
        "verdict" => claims::verdict(arguments, experiment).map(What::Verdict),
        "comparison" => comparison(arguments, experiment),
        "table" => table(arguments, experiment),
        _ => plot(arguments, experiment),
    };
    what.map(|what| Picked::Embed { experiment, what })
}

fn left_out<'a>(id: &str, at: usize, arguments: &mut Arguments<'_>, project: &Project) -> Option<Picked<'a>> {
    match project.left_out.get(id) {
        Some(LeftOut::NotChosen) => return Some(Picked::LeftOut(id.to_owned())),
        Some(LeftOut::Draft) => {
            let error = Diagnostic::content(format!("experiment `{id}` is a draft, which this build leaves out"));
            let error = error.expected("an experiment that is built");
            let help = "build it with --drafts, make it no draft, or make this page one: `draft: true`";
            arguments.refused.push(Refusal::at(at, error.help(help)));
        }
        None => {
            let known: Vec<&str> = project
                .all_experiments()
                .map(|experiment| experiment.id.as_str())
                .chain(project.left_out.keys().map(String::as_str))
                .collect();
            let found = format!("there is no experiment `{}`", shortened(id));
            arguments.refuse(at, found, known.iter().copied(), id);
        }
    }
    None
}

fn models(experiment: &Experiment) -> Vec<&str> {
    experiment.models.iter().map(String::as_str).collect()
}

fn map(arguments: &mut Arguments<'_>, experiment: &Experiment) -> Option<MapPick> {
    let of = format!("experiment `{}`", experiment.id);
    let samples: Vec<&str> = experiment.samples.iter().map(|sample| sample.id.as_str()).collect();
    let model = arguments.place("model", &models(experiment), &of);
    let sample = arguments.place("sample", &samples, &of);
    let targets = targets(experiment);
    let baselines = baselines(experiment);
    let target = named(arguments, "target", &targets, &of);
    let baseline = named(arguments, "baseline", &baselines, &of);
    Some(MapPick {
        model: model?,
        sample: sample?,
        // Records have a map for each target, and for each of these one for each baseline, in the experiment's order.
        attribution: target? * baselines.len() + baseline?,
    })
}

/// The place of a target or baseline; the first where none is named.
fn named(arguments: &mut Arguments<'_>, name: &str, known: &[String], of: &str) -> Option<usize> {
    let Some(field) = arguments.get(name) else {
        return Some(0);
    };
    let written = arguments.decoder.quoted(&field)?;
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    // A token may be written by its text alone.
    let token = format!("token:{written}");
    let written = if known.contains(&written) || !known.contains(&token.as_str()) {
        written
    } else {
        &token
    };
    arguments.place_of(name, written, &field, &known, of)
}

/// What the maps of an experiment explain, by the names that shortcodes have for it.
fn targets(experiment: &Experiment) -> Vec<String> {
    let name = |spec: &Target| match spec {
        Target::AllOptions => experiment.options.iter().map(|option| option.letter.clone()).collect(),
        spec => vec![spec.to_string()],
    };
    experiment.attribution.targets.iter().flat_map(name).collect()
}

fn baselines(experiment: &Experiment) -> Vec<String> {
    experiment
        .attribution
        .baselines
        .iter()
        .map(Baseline::to_string)
        .collect()
}

fn comparison(arguments: &mut Arguments<'_>, experiment: &Experiment) -> Option<What> {
    let of = format!("experiment `{}`", experiment.id);
    let samples: Vec<&str> = experiment.samples.iter().map(|sample| sample.id.as_str()).collect();
    let sample = arguments.place("sample", &samples, &of);
    let level = arguments.choice("level", &LEVELS[1..], Some(MapLevel::Sum(Level::Word)));
    let known = models(experiment);
    let chosen = match arguments.get("models") {
        None => Some((0..known.len()).collect()),
        Some(field) => chosen(arguments, &field, &known, &of),
    };
    let segments = segments(arguments, experiment, sample?)?;
    Some(What::Comparison(sample?, chosen?, level?, segments))
}

/// The segments that a map is to show of its prompt, by name; all where none are named. `"subject"` is what the samples
/// are about.
fn segments(arguments: &mut Arguments<'_>, experiment: &Experiment, sample: usize) -> Option<Option<Vec<String>>> {
    let Some(field) = arguments.get("segments") else {
        return Some(None);
    };
    let prompt = &experiment.samples[sample].prompt;
    let mut known: Vec<&str> = prompt.segments.iter().map(|segment| segment.name.as_str()).collect();
    known.dedup();
    if field.scalar().is_some_and(|scalar| scalar.text == SUBJECT) && !known.contains(&SUBJECT) {
        return Some(Some(subject_segments(experiment)).filter(|names| !names.is_empty()));
    }
    let items = match &field.node.content {
        Content::List(_) => arguments.decoder.list(&field, "names of segments, or \"subject\"")?,
        _ => vec![field],
    };
    let of = format!("sample `{}`", shortened(&experiment.samples[sample].id));
    let mut chosen = Vec::new();
    for item in &items {
        let name = arguments.decoder.quoted(item)?;
        let place = arguments.place_of("segments", name, item, &known, &of)?;
        chosen.push(known[place].to_owned());
    }
    Some(Some(chosen))
}

/// What `segments` calls the segments that the samples are about.
const SUBJECT: &str = "subject";

/// The models of a list, each once.
fn chosen(arguments: &mut Arguments<'_>, field: &Field<'_>, known: &[&str], of: &str) -> Option<Vec<usize>> {
    let items = arguments
        .decoder
        .list(field, "a list of model names, such as `[\"a\", \"b\"]`")?;
    let mut chosen = Vec::new();
    for item in &items {
        let name = arguments.decoder.quoted(item)?;
        match arguments.place_of("models", name, field, known, of) {
            Some(model) if chosen.contains(&model) => arguments.decoder.wrong(item, "each model once"),
            Some(model) => chosen.push(model),
            None => {}
        }
    }
    (chosen.len() == items.len()).then_some(chosen)
}

fn table(arguments: &mut Arguments<'_>, experiment: &Experiment) -> Option<What> {
    let of = arguments.choice("of", &TABLES, None)?;
    if of != TableOf::Confusion {
        arguments.idle("model", "`model` with `of=\"confusion\"` only");
    }
    if of != TableOf::Samples {
        arguments.idle("first", "`first` with `of=\"samples\"` only");
    }
    Some(match of {
        TableOf::Models => What::Models,
        TableOf::Segments => What::SegmentTable,
        TableOf::Options => What::OptionTable,
        TableOf::Confusion => {
            let of = format!("experiment `{}`", experiment.id);
            What::Confusion(arguments.place("model", &models(experiment), &of)?)
        }
        TableOf::Samples => match arguments.get("first") {
            None => What::Samples(usize::MAX),
            Some(field) => {
                let first = arguments.decoder.whole(&field, 1..=u64::MAX)?;
                What::Samples(usize::try_from(first).unwrap_or(usize::MAX))
            }
        },
    })
}

fn plot(arguments: &mut Arguments<'_>, experiment: &Experiment) -> Option<What> {
    let of = arguments.choice("of", &PLOTS, None)?;
    let idle: &[&str] = match of {
        PlotOf::All(_) => &["model", "sample", "target", "baseline"],
        PlotOf::Model(_) => &["sample", "target", "baseline"],
        PlotOf::Map(_) => &[],
    };
    for name in idle {
        let with = match *name {
            "model" => "it with a plot of one model or map only; this plot has all models",
            _ => "it with `of=\"convergence\"` or `of=\"errors\"` only; this plot is of no single map",
        };
        arguments.idle(name, with);
    }
    Some(match of {
        PlotOf::All(plot) => What::AllPlot(plot),
        PlotOf::Model(plot) => {
            let of = format!("experiment `{}`", experiment.id);
            What::ModelPlot(plot, arguments.place("model", &models(experiment), &of)?)
        }
        PlotOf::Map(plot) => What::MapPlot(plot, map(arguments, experiment)?),
    })
}
