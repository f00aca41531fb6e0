//! What the experiments of a project need of the store, as far as this machine can know: from models that are here, or
//! from kept plans where they are not. Nothing is computed or downloaded, and nobody is asked.

use std::collections::{BTreeMap, HashSet};

use crate::content::model::{ModelSource, ModelSpec};
use crate::content::project::Project;
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::hub::Hub;
use crate::model::device::{Backend, DeviceChoice};
use crate::plan::kept::{self, StoredPlan, StoredPlans};
use crate::plan::stored::{self, Needed};
use crate::plan::{self, OpenedModel, Run, Sources, Weights, frozen, named_models};
use crate::store::Store;
use crate::store::key::ModelKey;
use crate::store::memo::HashMemo;
use crate::store::parts::PartName;
use crate::terms::DeviceKind;

/// The models and plans of a project, for as long as its runs are looked at.
pub struct Survey<'a> {
    project: &'a Project,
    store: &'a Store,
    models: BTreeMap<String, OpenedModel>,
    plans: StoredPlans,
    /// Where it was asked for, what computes or computed.
    device: Option<DeviceKind>,
    /// Models that are not here.
    absent: BTreeMap<String, Diagnostic>,
}

/// One experiment with one model.
pub struct Surveyed<'a> {
    /// The jobs that are known.
    pub run: Run<'a>,
    /// Whether each of them stands in a kept plan, without which `build --frozen` cannot do.
    pub planned: Vec<bool>,
    /// Samples of which nothing is known, since neither the model nor a plan is here.
    pub unknown: usize,
    /// The key that its parts have where this machine's own device computes, if that is another.
    other: Option<ModelKey>,
}

impl<'a> Survey<'a> {
    /// Opens the models that are here, and reads the plans. `device` is where it is computed, if somebody says so.
    ///
    /// # Errors
    /// A model that is here cannot be opened; a plan cannot be read.
    pub fn of(
        project: &'a Project,
        store: &'a Store,
        device: &DeviceChoice,
        diagnostics: &mut Diagnostics,
    ) -> Result<Self, Diagnostics> {
        let hub = Hub::new(true, true);
        let mut memo = HashMemo::open(store.folder());
        let asked = kind_of(device);
        // Numbers depend on the kind of device; the device itself need not be here.
        let backend = match asked {
            Some(kind) => Backend { kind, ..Backend::cpu() },
            None => Backend::open(device)?,
        };
        let mut sources = Sources {
            backend: &backend,
            memo: &mut memo,
            hub: &hub,
            weights: Weights::AsTheyAre,
        };
        let (mut models, mut absent) = (BTreeMap::new(), BTreeMap::new());
        for id in named_models(project) {
            let Some(spec) = project.models.get(id) else { continue };
            match is_here(spec).and_then(|()| plan::open_model(spec, &mut sources, diagnostics)) {
                Ok(model) if model.weights => _ = models.insert(id.clone(), model),
                Ok(_) => _ = absent.insert(id.clone(), not_here(spec)),
                Err(error) if error.kind == Kind::Download => _ = absent.insert(id.clone(), error),
                Err(error) => diagnostics.push(error),
            }
        }
        memo.save();
        if diagnostics.has_errors() {
            return Err(std::mem::take(diagnostics));
        }
        Ok(Self {
            project,
            store,
            models,
            plans: kept::of_project(store, project)?,
            device: asked,
            absent,
        })
    }

    /// Why a model's runs are known from kept plans alone.
    pub fn absent(&self) -> impl Iterator<Item = (&String, &Diagnostic)> {
        self.absent.iter()
    }

    /// An opened model.
    pub fn model(&self, id: &str) -> Option<&OpenedModel> {
        self.models.get(id)
    }

    /// Every experiment with every model, in the authors' order.
    ///
    /// # Errors
    /// As for planning.
    pub fn runs(&self, diagnostics: &mut Diagnostics) -> Result<Vec<Surveyed<'_>>, Diagnostics> {
        let mut opened = plan::runs_with(self.project, &self.models, &self.plans, diagnostics)
            .into_iter()
            .peekable();
        if diagnostics.has_errors() {
            return Err(std::mem::take(diagnostics));
        }
        let mut all = Vec::new();
        for experiment in &self.project.experiments {
            for id in &experiment.models {
                let plan = self.plans.get(&(experiment.id.clone(), id.clone()));
                let is_next = |run: &Run| run.experiment.id == experiment.id && run.model == id;
                if let Some(run) = opened.next_if(is_next) {
                    all.push(self.opened(run, plan));
                    continue;
                }
                let spec = self.project.models.get(id).zip(plan);
                let planned = spec.and_then(|(spec, plan)| frozen::planned(experiment, spec, plan));
                let run = planned.unwrap_or_else(|| frozen::unknown(experiment, id));
                all.push(Surveyed {
                    planned: vec![true; run.jobs.len()],
                    unknown: experiment.samples.len() - run.jobs.len(),
                    run,
                    other: None,
                });
            }
        }
        Ok(all)
    }

    /// A run whose model is here. Where a plan was made of the same model on another kind of device, its numbers are
    /// those that count, unless somebody says otherwise.
    fn opened<'r>(&self, mut run: Run<'r>, plan: Option<&StoredPlan>) -> Surveyed<'r> {
        let own = &self.models[run.model].key;
        let on_another = |plan: &&StoredPlan| {
            let mut key = plan.head.key.clone();
            let other = key.dtype != own.dtype;
            key.dtype = own.dtype;
            self.device.is_none() && other && key == *own
        };
        let other = plan.filter(on_another).map(|plan| {
            for job in &mut run.jobs {
                job.prediction.model = plan.head.key.clone();
            }
            own.clone()
        });
        let plan = plan.filter(|plan| {
            run.jobs
                .first()
                .is_some_and(|job| job.prediction.model == plan.head.key)
        });
        let is_planned = |sample| plan.is_some_and(|plan| plan.job(run.experiment, sample, &run.baselines).is_some());
        Surveyed {
            planned: run.jobs.iter().map(|job| is_planned(job.sample)).collect(),
            unknown: run.experiment.samples.len() - run.jobs.len(),
            run,
            other,
        }
    }

    /// What the jobs of a run need; see [`stored::needed`].
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn needed(&self, there: &HashSet<PartName>, surveyed: &Surveyed) -> Result<Vec<Needed>> {
        stored::needed(self.store, there, &surveyed.run, self.model(surveyed.run.model))
    }

    /// The same, and what the run would need if this machine's own device computed it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn needed_by_any(&self, there: &HashSet<PartName>, surveyed: &mut Surveyed) -> Result<Vec<Needed>> {
        let mut needed = self.needed(there, surveyed)?;
        if let Some(own) = surveyed.other.take() {
            for job in &mut surveyed.run.jobs {
                job.prediction.model = own.clone();
            }
            needed.extend(self.needed(there, surveyed)?);
        }
        Ok(needed)
    }
}

/// The kind of device that was asked for; none where it is to be found out.
fn kind_of(device: &DeviceChoice) -> Option<DeviceKind> {
    match device {
        DeviceChoice::Auto => None,
        DeviceChoice::Cpu => Some(DeviceKind::Cpu),
        DeviceChoice::Cuda(_) => Some(DeviceKind::Cuda),
        DeviceChoice::Vulkan(_) => Some(DeviceKind::Vulkan),
        DeviceChoice::Metal => Some(DeviceKind::Metal),
    }
}

fn is_here(spec: &ModelSpec) -> Result<()> {
    match &spec.source {
        ModelSource::Folder(place) | ModelSource::File(place) if !place.exists() => Err(not_here(spec)),
        _ => Ok(()),
    }
}

fn not_here(spec: &ModelSpec) -> Diagnostic {
    Diagnostic::download(format!("the weights of `{}` are not on this machine", spec.id))
        .in_file(&spec.path)
        .help("bring them (`igsite fetch` for those of the hub), or run this where they are")
}
