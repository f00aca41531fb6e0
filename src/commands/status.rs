//! `igsite status`: what is done and what is missing, by experiment and model; and which shards have to run again.
//!
//! It looks for files by their names and reads predictions alone, so that a hundred thousand maps take seconds;
//! `igsite store verify` reads every byte.

use std::collections::HashSet;

use super::report::Report;
use super::shards;
use super::survey::{Survey, Surveyed};
use super::table::Table;
use super::{counted, selection};
use crate::cli::{ExitStatus, Global, Status};
use crate::compute;
use crate::content::project::Project;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::hub::Hub;
use crate::plan::Run;
use crate::store::Store;

pub fn run(global: &Global, arguments: &Status, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let hub = Hub::new(true, true);
    let load = Project::load_without_checkpoints(&global.project, &selection(&arguments.chosen), &hub);
    let (project, mut diagnostics) = load?;
    let count = match arguments.array {
        true => Some(match shards::count(arguments.shards, &shards::of_process)? {
            Some(count) => count,
            None => {
                let error = Diagnostic::content("--array needs the number of shards");
                return Err(error
                    .help("the same as for `igsite compute`: `--shards N`, or IGSITE_SHARDS=N")
                    .into());
            }
        }),
        false => None,
    };
    let store = Store::read(&global.project);
    let survey = Survey::of(&project, &store, &arguments.device, &mut diagnostics)?;
    let surveyed = survey.runs(&mut diagnostics)?;
    let there: HashSet<_> = store.names()?.into_iter().collect();
    let mut states: Vec<State> = Vec::new();
    for one in &surveyed {
        let needed = survey.needed(&there, one)?;
        let whole = needed.iter().map(|needed| needed.whole).zip(&one.planned);
        states.push(State {
            done: needed.iter().map(|needed| needed.done).sum(),
            maps: needed.iter().map(|needed| needed.maps).sum(),
            whole: whole.map(|(whole, planned)| whole && *planned).collect(),
            stored: needed.iter().filter(|needed| needed.whole).count(),
        });
    }
    for (id, why) in survey.absent() {
        let message = format!("model `{id}` is known from kept plans alone: {}", why.message);
        diagnostics.push(Diagnostic::content(message).as_warning());
    }
    // Warnings of content are for `check` and `build`; here only what the numbers depend on.
    report.errors(
        diagnostics
            .into_iter()
            .filter(|one| one.message.contains("kept plans alone"))
            .collect(),
    );
    if let Some(count) = count {
        let missing = missing(&surveyed, &states, count)?;
        if missing.is_empty() {
            report.note("nothing is missing");
        } else {
            report.result(&shards::compact(&missing));
        }
        return Ok(ExitStatus::Done);
    }
    let mut table = Table::new(&["experiment", "model", "samples", "done", "maps", "done", "missing"]);
    let (mut maps, mut done, mut unplanned) = (0, 0, 0);
    for (one, state) in surveyed.iter().zip(&states) {
        let unknown = one.unknown * one.run.experiment.attribution.maps(1).max(1);
        let all = state.maps + unknown;
        maps += all;
        done += state.done;
        unplanned += state.stored - state.whole.iter().filter(|whole| **whole).count();
        table.row(&[
            one.run.experiment.id.clone(),
            one.run.model.to_owned(),
            one.run.experiment.samples.len().to_string(),
            state.stored.to_string(),
            at_least(all, unknown),
            state.done.to_string(),
            at_least(all - state.done, unknown),
        ]);
    }
    report.result(&table.text());
    report.note(&match maps - done {
        0 => format!("all of {} are there", counted(maps, "map")),
        missing => format!("{} of {} are missing", missing, counted(maps, "map")),
    });
    if unplanned > 0 {
        report.note(&format!(
            "{} computed and not in a plan yet, which `build --frozen` needs: run `igsite compute` again, or `igsite build`",
            counted(unplanned, "prompt")
        ));
    }
    Ok(ExitStatus::Done)
}

/// What a run has of the store.
struct State {
    maps: usize,
    done: usize,
    /// Jobs of which all parts are there.
    stored: usize,
    /// Of each job: whether that is so, and it stands in a plan.
    whole: Vec<bool>,
}

/// A number that is one of which not all is known.
fn at_least(count: usize, unknown: usize) -> String {
    if unknown > 0 {
        format!("{count}+")
    } else {
        count.to_string()
    }
}

/// The shards that have work left.
fn missing(surveyed: &[Surveyed], states: &[State], count: usize) -> Result<Vec<usize>, Diagnostics> {
    let unknown: Vec<String> = surveyed
        .iter()
        .filter(|one| one.unknown > 0)
        .map(|one| format!("`{}` with `{}`", one.run.experiment.id, one.run.model))
        .collect();
    if !unknown.is_empty() {
        let error = Diagnostic::content(format!(
            "what belongs to which shard cannot be known here: the prompts of {} need a tokenizer or a kept plan",
            unknown.join(", ")
        ));
        return Err(error
            .help("run this where the models are; `igsite fetch` brings those of the hub")
            .into());
    }
    let runs: Vec<&Run> = surveyed.iter().map(|one| &one.run).collect();
    let mut missing = Vec::new();
    for (shard, pieces) in compute::split(&runs, count).into_iter().enumerate() {
        let is_whole = |piece: &compute::Piece| states[piece.run].whole[piece.jobs.clone()].iter().all(|whole| *whole);
        if !pieces.iter().all(is_whole) {
            missing.push(shard);
        }
    }
    Ok(missing)
}
