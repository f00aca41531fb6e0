//! `igsite fetch`: brings the models and data sets that experiments name, so that later runs need no network. Data sets
//! come as the project is read; a model comes after it. What is here is checked against the hashes that the hub names
//! it by; what is damaged is brought anew.

use super::report::Report;
use super::{counted, selection};
use crate::cli::{ExitStatus, Fetch, Global};
use crate::content::model::{ModelSource, ModelSpec};
use crate::content::project::Project;
use crate::diagnostic::{Diagnostics, Result};
use crate::hub::{Hub, Snapshot};
use crate::interrupt;
use crate::plan;
use crate::progress::bytes;
use crate::store::memo::HashMemo;

pub fn run(global: &Global, arguments: &Fetch, report: &Report) -> Result<ExitStatus, Diagnostics> {
    interrupt::keeps("what came is kept in the cache");
    let hub = Hub::new(false, report.quiet).mending();
    let (project, mut diagnostics) = Project::load(&global.project, &selection(&arguments.chosen), &hub)?;
    diagnostics.extend(hub.take_warnings());
    let mut data_sets = 0;
    for (experiment, origin) in project
        .experiments
        .iter()
        .filter_map(|one| Some((one, one.origin.as_ref()?)))
    {
        data_sets += 1;
        report.note(&format!(
            "`{}`, the data set of `{}`, revision `{}`, commit {}: here",
            origin.repository, experiment.id, origin.revision, origin.commit
        ));
    }
    let mut asked = 0;
    let mut memo = HashMemo::open(&global.project.join(".igsite"));
    for spec in plan::named_models(&project)
        .into_iter()
        .filter_map(|id| project.models.get(id))
    {
        let (ModelSource::Hub(repository) | ModelSource::HubFile(repository, _)) = &spec.source else {
            continue;
        };
        asked += 1;
        let found = whole(&hub, repository, spec, &mut memo);
        plan::warn(spec, &hub, &mut diagnostics);
        // One that fails does not keep the others from coming.
        if let Some(snapshot) = diagnostics.keep(found.map_err(|error| plan::located(spec, error))) {
            let place = match &spec.file {
                Some(file) => snapshot.folder.join(file),
                None => snapshot.folder.clone(),
            };
            report.result(&format!("{}: {}", spec.id, place.display()));
            report.note(&format!(
                "`{repository}`, revision `{}`, commit {}: {}",
                spec.revision,
                snapshot.commit,
                if snapshot.files == 0 {
                    "all here, and undamaged".to_owned()
                } else {
                    format!("{}, {} came", counted(snapshot.files, "file"), bytes(snapshot.bytes))
                }
            ));
        }
    }
    memo.save();
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    report.errors(diagnostics);
    let (files, size) = hub.brought();
    report.note(&match (asked, files) {
        (0, _) if data_sets == 0 => "nothing to fetch: no model of these experiments is on the hub".to_owned(),
        (0, _) => format!(
            "no model of these experiments is on the hub; {} here",
            counted(data_sets, "data set")
        ),
        (_, 0) => "nothing to fetch: everything is here, and undamaged".to_owned(),
        _ => format!("{} fetched, {}", counted(files, "file"), bytes(size)),
    });
    Ok(ExitStatus::Done)
}

/// A model that is complete in the cache, with weights whose bytes have the hashes of their names. Files that the memo
/// knows are not read again.
fn whole(hub: &Hub, repository: &str, spec: &ModelSpec, memo: &mut HashMemo) -> Result<Snapshot> {
    let bring = || match &spec.file {
        Some(file) => hub.gguf(repository, &spec.revision, file),
        None => hub.model(repository, &spec.revision),
    };
    let snapshot = bring()?;
    if !hub.set_aside_damaged(&snapshot, |file| memo.sha256(file))? {
        return Ok(snapshot);
    }
    let again = bring()?;
    Ok(Snapshot {
        files: snapshot.files + again.files,
        bytes: snapshot.bytes + again.bytes,
        ..again
    })
}
