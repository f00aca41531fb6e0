//! `igsite build`: content, plan, compute, render, write.

use std::path::PathBuf;
use std::time::Instant;

use super::place::{refuse_models, refuse_sources};
use super::report::Report;
use super::{counted, rehearse, selection};
use crate::analysis::summary;
use crate::assemble;
use crate::cli::{Build, ExitStatus, Global};
use crate::compute::{self, Work};
use crate::content::page::{DataFiles, MapPages};
use crate::content::project::Project;
use crate::diagnostic::{Diagnostic, Diagnostics, Kind};
use crate::hub::Hub;
use crate::interrupt;
use crate::lock::Patience;
use crate::model::device::Backend;
use crate::plan::kept::{self, Answered, StoredPlan, StoredPlans};
use crate::plan::{self, Run, Sources, Weights, frozen};
use crate::publish::{check_base_url, write};
use crate::render::{ExperimentResults, Site};
use crate::site::output::{Counts, Folder, Output, Written};
use crate::stamp::{self, BuildOptions, Stamp};
use crate::store::memo::HashMemo;
use crate::store::record::SampleRecord;
use crate::store::{Claim, Store};

pub fn run(global: &Global, arguments: &Build, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let output = output(global, arguments);
    refuse_sources(&global.project, &output)?;
    let below = build(global, arguments, report, Patience::None)?;
    report.result(&output.join("index.html").display().to_string());
    Ok(if arguments.strict && below > 0 {
        ExitStatus::BelowBar
    } else {
        ExitStatus::Done
    })
}

fn output(global: &Global, arguments: &Build) -> PathBuf {
    arguments.output.clone().unwrap_or_else(|| global.project.join("site"))
}

/// Builds, and notes what was done; returns the number of maps below their quality bar. `patience` says what to do if
/// another igsite is running.
pub fn build(global: &Global, arguments: &Build, report: &Report, patience: Patience) -> Result<usize, Diagnostics> {
    let began = Instant::now();
    interrupt::keeps("what was finished is kept in `.igsite/`, and the site is as it was");
    let hub = Hub::new(arguments.place.offline || arguments.frozen, report.quiet);
    let selection = selection(&arguments.chosen);
    let load = if arguments.frozen {
        Project::load_without_checkpoints
    } else {
        Project::load
    };
    let (project, mut diagnostics) = load(&global.project, &selection, &hub)?;
    diagnostics.extend(hub.take_warnings());
    let output = output(global, arguments);
    refuse_models(&project, &output)?;
    // What would make the build fail at its end is reported before hours of computing, not after.
    if let Some(base_url) = &arguments.base_url {
        check_base_url(base_url)?;
    }
    report.detail(|| format!("content read: {:.2} s", began.elapsed().as_secs_f64()));
    let backends = match arguments.frozen {
        true => vec![],
        false => Backend::open_all(&arguments.place.device)?,
    };
    // Both are held to the end, so that nobody else writes the site or the stamp meanwhile.
    let (_claim, store) = if arguments.frozen {
        let claim = Claim::to_read(&global.project, patience)?;
        (claim, Store::read(&global.project))
    } else {
        let claim = Claim::to_write(&global.project, patience)?;
        (claim, Store::open(&global.project)?)
    };
    let folder = Folder::take(&output, &global.project, patience)?;
    if folder.undone() {
        report.note("a build was killed while it moved its site into place: the site before it was put back");
    }
    diagnostics.extend(folder.unlocked().into_iter().collect());
    let mut build = Building {
        project: &project,
        store: &store,
        output: folder,
        base_url: arguments.base_url.as_deref(),
        report,
        began,
    };
    let mut done = match &backends[..] {
        [] => build.frozen(diagnostics)?,
        backends => build.whole(diagnostics, backends, &hub)?,
    };
    report.note(&format!(
        "{} loaded, {} computed, {}{} kept; {} written, {} unchanged, {} removed; {:.1} s",
        counted(done.work.models_loaded, "model"),
        counted(done.work.computed, "map"),
        if done.work.shared > 0 {
            format!("{} the same as others, ", done.work.shared)
        } else {
            String::new()
        },
        done.work.kept,
        counted(done.counts.written, "file"),
        done.counts.unchanged,
        done.counts.removed,
        began.elapsed().as_secs_f64()
    ));
    report.errors(std::mem::take(&mut done.counts.warnings));
    if !done.counts.kept.is_empty() {
        report.note(&format!(
            "left alone, because they were edited since the last build: {}",
            done.counts.kept.join(", ")
        ));
    }
    if done.below > 0 {
        report.note(&format!(
            "{} below the quality bar (tolerance, margin, or a value that is not finite); their pages say so",
            counted(done.below, "map")
        ));
    }
    Ok(done.below)
}

/// A build under way.
struct Building<'a> {
    project: &'a Project,
    store: &'a Store,
    output: Folder,
    base_url: Option<&'a str>,
    report: &'a Report,
    began: Instant,
}

/// What a build did.
struct Done {
    work: Work,
    counts: Counts,
    /// None where there was nothing to write.
    written: Option<Written>,
    /// Maps below the quality bar.
    below: usize,
}

impl<'a> Building<'a> {
    /// Computes what is missing and writes the site, unless all is as the last build left it.
    fn whole(&mut self, mut diagnostics: Diagnostics, backends: &[Backend], hub: &Hub) -> Result<Done, Diagnostics> {
        let store = self.store;
        // They are of one kind, and what is planned for the first holds for all.
        let backend = &backends[0];
        let mut memo = HashMemo::open(store.folder());
        let asked = BuildOptions {
            output: self.output.path(),
            base_url: self.base_url,
            backend: &backend.to_string(),
        };
        let inputs = stamp::inputs(self.project, &asked, hub, &mut memo, &mut diagnostics);
        let before = inputs.as_ref().zip(Stamp::read(store));
        if let Some((inputs, stamp)) = before {
            match stamp.changed(inputs, store, || self.output.state()) {
                None => {
                    // Files that were too young to be remembered when the stamp was made.
                    memo.save();
                    return Ok(self.unchanged(stamp, diagnostics));
                }
                Some(what) => self.report.detail(|| format!("changed since the last build: {what}")),
            }
        }
        self.begin()?;
        diagnostics.extend(rehearse(self.project, self.base_url)?);
        let mut open = |weights, diagnostics: &mut Diagnostics| {
            let sources = Sources {
                backend,
                memo: &mut memo,
                hub,
                weights,
            };
            plan::open_models(self.project, sources, diagnostics)
        };
        let mut models = open(Weights::AsTheyAre, &mut diagnostics);
        if models.values().any(|model| !model.weights) {
            // Gigabytes come when nothing else is wrong, and not before.
            let mut wrong = diagnostics.clone();
            plan::runs(self.project, &models, &mut wrong);
            if wrong.has_errors() {
                return Err(wrong);
            }
            models = open(Weights::Fetched, &mut diagnostics);
        }
        memo.save();
        let runs = plan::runs_with(self.project, &models, &self.stored_plans()?, &mut diagnostics);
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        // Those of the hub are of this hour.
        let lasting = diagnostics.iter().filter(|warning| warning.kind != Kind::Download);
        let mut warnings: Vec<String> = lasting.map(ToString::to_string).collect();
        self.report.errors(diagnostics);
        for backend in backends {
            self.report.detail(|| format!("device: {backend}"));
        }
        self.stage("planned");
        Stamp::forget(store);

        let done = compute::complete(&runs, &models, store, backends, self.report.quiet);
        // What was moved aside is reported now and not again by a later build that has nothing to do.
        self.report.errors(store.take_warnings());
        let (parts, work) = done?;
        for told in &work.told {
            self.report.note(told);
        }
        self.stage("parts read or computed");
        let mut results = self.no_results();
        // Each run's parts go when its records are there: the next one's can have their place.
        for (run, parts) in runs.into_iter().zip(parts) {
            let model = &models[run.model];
            let (facts, vocabulary) = (model.facts(), &model.tokenizer);
            let answered: Vec<Answered> = parts.iter().map(Answered::of).collect();
            let plan = StoredPlan::of(&run, &facts, &answered, vocabulary);
            store.keep_plan(&run.experiment.id, run.model, &plan)?;
            let records = assemble::records(&run, &facts, &parts, vocabulary);
            add(&mut results, &run, records);
        }
        let maps = work.computed + work.shared + work.kept;
        let done = self.write(results, work)?;
        warnings.extend(done.counts.warnings.iter().map(ToString::to_string));
        if let (Some(inputs), Some(written)) = (inputs, &done.written) {
            let files = done.counts.written + done.counts.unchanged;
            Stamp::write(store, inputs, || written.state(), (files, maps, done.below), warnings);
        }
        self.stage("stamp written");
        Ok(done)
    }

    /// Finds out whether the site may be written at all, long before it is, and says who is about to.
    fn begin(&self) -> Result<(), Diagnostic> {
        drop(Output::open(&self.output)?);
        self.output.announce();
        Ok(())
    }

    /// Writes the site from what is stored.
    fn frozen(&mut self, mut diagnostics: Diagnostics) -> Result<Done, Diagnostics> {
        self.begin()?;
        diagnostics.extend(rehearse(self.project, self.base_url)?);
        let kept = self.stored_plans()?;
        let runs = frozen::runs(self.project, &kept, self.store)?;
        self.report.errors(diagnostics);
        let mut work = Work::default();
        let mut results = self.no_results();
        for (run, facts, parts) in runs {
            work.kept += parts.iter().map(|parts| parts.attributions.len()).sum::<usize>();
            let plan = &kept[&(run.experiment.id.clone(), run.model.to_owned())];
            let records = assemble::records(&run, &facts, &parts, &plan.vocabulary());
            add(&mut results, &run, records);
        }
        self.write(results, work)
    }

    /// What a build says that has nothing to do.
    fn unchanged(&self, stamp: Stamp, mut diagnostics: Diagnostics) -> Done {
        let told: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
        // Those of content were reported again; those of plans were found when there was something to plan.
        for warning in stamp.warnings.into_iter().filter(|warning| !told.contains(warning)) {
            diagnostics.push(Diagnostic::content(warning).as_warning());
        }
        self.report.errors(diagnostics);
        Done {
            work: Work {
                kept: stamp.maps,
                ..Work::default()
            },
            counts: Counts {
                unchanged: stamp.files,
                ..Counts::default()
            },
            written: None,
            below: stamp.below,
        }
    }

    fn write(&mut self, results: Vec<ExperimentResults<'a>>, work: Work) -> Result<Done, Diagnostics> {
        self.stage("records assembled");
        let site = Site {
            project: self.project,
            results,
            base_url: self.base_url.map(str::to_owned),
        };
        self.say_what_is_left_out(&site);
        let (counts, written) = write(&site, &mut self.output)?;
        self.stage("site written");
        let records = site.results.iter().flat_map(|result| result.records.iter().flatten());
        let below = records
            .flat_map(|record| &record.attributions)
            .filter(|a| !summary::is_right(a) || summary::misses_margin(a))
            .count();
        // Hundreds of megabytes in small pieces: they are freed while the rest is done.
        let records: Vec<_> = site.results.into_iter().map(|result| result.records).collect();
        rayon::spawn(move || drop(records));
        Ok(Done {
            work,
            counts,
            written: Some(written),
            below,
        })
    }

    /// A large experiment is written smaller unless the author says otherwise, and the author is told.
    fn say_what_is_left_out(&self, site: &Site<'_>) {
        let settings = self.project.settings();
        for experiment in site.results.iter().map(|results| results.experiment) {
            let pairs = experiment.models.len() * experiment.samples.len();
            let mut left = Vec::new();
            if settings.maps == MapPages::Auto && settings.maps.only_needed(pairs) {
                left.push("maps that say no more than the page of their sample have no page of their own");
            }
            if settings.data == DataFiles::Auto && settings.data.packed(pairs) {
                left.push("its data are packed");
            }
            if !left.is_empty() {
                self.report.note(&format!(
                    "experiment `{}` has {pairs} pairs of a model and a sample: {} (`write` in content/index.md says otherwise)",
                    experiment.id,
                    left.join(", and ")
                ));
            }
        }
    }

    /// The stored plans of all experiments to build.
    fn stored_plans(&self) -> Result<StoredPlans, Diagnostics> {
        Ok(kept::of_project(self.store, self.project)?)
    }

    /// The experiments in the order of the site: those to compute without a record yet, and those that are imported.
    fn no_results(&self) -> Vec<ExperimentResults<'a>> {
        let experiments = self.project.experiments.iter();
        let to_compute = experiments.map(|experiment| ExperimentResults {
            experiment,
            records: vec![],
        });
        let imported = self.project.imports.iter().map(|import| ExperimentResults {
            experiment: &import.experiment,
            records: assemble::imported(import),
        });
        let mut results: Vec<ExperimentResults<'a>> = to_compute.chain(imported).collect();
        results.sort_by(|a, b| a.experiment.id.cmp(&b.experiment.id));
        results
    }

    /// How long it took so far, for `--verbose`.
    fn stage(&self, done: &str) {
        let began = self.began;
        self.report
            .detail(|| format!("{done}: {:.2} s", began.elapsed().as_secs_f64()));
    }
}

fn add(results: &mut [ExperimentResults], run: &Run, records: Vec<SampleRecord>) {
    let mut results = results.iter_mut();
    if let Some(result) = results.find(|result| result.experiment.id == run.experiment.id) {
        result.records.push(records);
    }
}
