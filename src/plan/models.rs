//! The models of a plan: their files are opened, those of the hub downloaded first, and checked as far as possible
//! without weights.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::content::model::{ModelSource, ModelSpec};
use crate::content::project::Project;
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::hub::Hub;
use crate::hub::expected_hash;
use crate::model::CausalLm;
use crate::model::device::{Backend, dtype_word, quantization_word};
use crate::store::key::{ModelKey, NUMERICS_VERSION};
use crate::store::memo::HashMemo;
use crate::tensor::matrix::Precision;
use crate::tokenizer::Tokenizer;

/// A model whose files were opened; its weights stay where they are.
#[derive(Debug)]
pub struct OpenedModel {
    /// Its file in `content/models/`.
    pub spec: ModelSpec,
    /// Its config and where its tensors lie.
    pub checkpoint: Checkpoint,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// What it computes in, and the form of its weights in memory.
    pub precision: Precision,
    /// Its part of every key.
    pub key: ModelKey,
    /// The commit of its hub repository; a folder has none.
    pub commit: Option<String>,
    /// Whether its weights are here. Only then can it be run.
    pub weights: bool,
}

/// What records say of a model.
#[derive(Clone, Copy, Debug)]
pub struct ModelFacts<'a> {
    /// Its file in `content/models/`.
    pub spec: &'a ModelSpec,
    /// `llama`, `mistral`, `falcon`.
    pub architecture: &'a str,
    /// What activations would be rounded to where the checkpoint was made for that.
    pub activations: Option<&'a str>,
    /// Its part of every key, the commit among it.
    pub key: &'a ModelKey,
}

impl OpenedModel {
    /// What records say of it.
    pub fn facts(&self) -> ModelFacts<'_> {
        ModelFacts {
            spec: &self.spec,
            architecture: self.checkpoint.config.model.family,
            activations: self.checkpoint.activations(),
            key: &self.key,
        }
    }

    /// The tokens that end what it says: those of its config, and in a GGUF file those that its vocabulary has for that.
    pub fn stop(&self) -> Vec<u32> {
        let mut stop = self.checkpoint.config.stop.clone();
        stop.extend(&self.tokenizer.ends);
        stop.sort_unstable();
        stop.dedup();
        stop
    }
}

/// Whether a hub model's weights are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// To compute: they are fetched.
    Fetched,
    /// To look first: those that are here are read, and no others are fetched, but for a GGUF file, beside which there is
    /// nothing to look at.
    AsTheyAre,
    /// To check: not even that.
    NotFetched,
    /// To count tokens: they are not read either, so that the model's key is not its own.
    NotRead,
}

/// Where a model's files are found.
pub struct Sources<'a> {
    /// What computes, for the dtype.
    pub backend: &'a Backend,
    /// Hashes that are known.
    pub memo: &'a mut HashMemo,
    /// The hub and its cache.
    pub hub: &'a Hub,
    /// Whether weights are needed.
    pub weights: Weights,
}

/// The ids of the models that the project's experiments name.
pub fn named_models(project: &Project) -> BTreeSet<&String> {
    project
        .experiments
        .iter()
        .flat_map(|experiment| &experiment.models)
        .collect()
}

/// Opens one model.
///
/// # Errors
/// Its files are not here, or cannot be read.
pub fn open_model(spec: &ModelSpec, sources: &mut Sources<'_>, diagnostics: &mut Diagnostics) -> Result<OpenedModel> {
    let opened = open(spec, sources);
    warn(spec, sources.hub, diagnostics);
    let model = opened?;
    diagnostics.extend(model.checkpoint.warnings.clone());
    diagnostics.extend(model.tokenizer.warnings.clone());
    Ok(model)
}

/// Opens every model that the project's experiments name; those of the hub are fetched.
///
/// # Errors
/// Collected in `diagnostics`; such a model is left out.
pub fn open_models(
    project: &Project,
    mut sources: Sources<'_>,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, OpenedModel> {
    named_models(project)
        .into_iter()
        .filter_map(|id| {
            let spec = project.models.get(id)?;
            let opened = open_model(spec, &mut sources, diagnostics);
            Some((id.clone(), diagnostics.keep(opened)?))
        })
        .collect()
}

/// Names the model, and its file if no other is in question, in an error of the hub.
pub fn located(spec: &ModelSpec, mut error: Diagnostic) -> Diagnostic {
    if error.kind == Kind::Download {
        error.file.get_or_insert_with(|| spec.path.clone());
        error.place.get_or_insert_with(|| format!("model `{}`", spec.id));
    }
    error
}

/// Collects what was odd when a model of the hub was brought.
pub fn warn(spec: &ModelSpec, hub: &Hub, diagnostics: &mut Diagnostics) {
    for warning in hub.take_warnings() {
        diagnostics.push(located(spec, warning));
    }
}

fn open(spec: &ModelSpec, sources: &mut Sources<'_>) -> Result<OpenedModel> {
    let (place, snapshot, weights) = match &spec.source {
        ModelSource::Folder(place) | ModelSource::File(place) => (place.clone(), None, true),
        ModelSource::Hub(repository) => {
            let found = match sources.weights {
                Weights::Fetched => sources
                    .hub
                    .model(repository, &spec.revision)
                    .map(|snapshot| (snapshot, true)),
                Weights::AsTheyAre | Weights::NotFetched | Weights::NotRead => {
                    sources.hub.model_without_weights(repository, &spec.revision)
                }
            };
            let (snapshot, weights) = found.map_err(|error| located(spec, error))?;
            (snapshot.folder.clone(), Some(snapshot), weights)
        }
        ModelSource::HubFile(repository, file) => {
            let found = match sources.weights {
                Weights::Fetched | Weights::AsTheyAre => sources.hub.gguf(repository, &spec.revision, file),
                Weights::NotFetched | Weights::NotRead => {
                    sources.hub.gguf_that_is_here(repository, &spec.revision, file)
                }
            };
            let snapshot = found.map_err(|error| located(spec, error))?;
            (snapshot.folder.join(file), Some(snapshot), true)
        }
    };
    let (checkpoint, tokenizer) = read_model(&place, weights).map_err(|error| match &snapshot {
        Some(snapshot) => in_the_cache(spec, &snapshot.folder, error),
        None => error,
    })?;
    let commit = snapshot.map(|snapshot| snapshot.commit);
    let precision = precision(spec, &checkpoint, sources.backend)?;
    let sha256 = |file: &Path| {
        if sources.weights == Weights::NotRead {
            return Ok(String::new());
        }
        let found = sources.memo.sha256(file)?;
        expected_hash::compare_sha256(file, &found).map(|()| found)
    };
    let key = ModelKey {
        numerics: NUMERICS_VERSION,
        weights_sha256: checkpoint
            .weights_sha256(sha256)
            .map_err(|error| located(spec, error))?,
        // Of a GGUF file it is the whole file again.
        config_sha256: match sources.weights {
            Weights::NotRead => String::new(),
            _ => sources.memo.sha256(&checkpoint.config_file())?,
        },
        tokenizer_sha256: tokenizer.sha256.clone(),
        dtype: dtype_word(precision.dtype),
        quantization: checkpoint
            .quantization()
            .unwrap_or_else(|| quantization_word(precision.quantization)),
        revision: commit.clone(),
        permuted: None,
        permuted_layers: None,
    };
    Ok(OpenedModel {
        spec: spec.clone(),
        checkpoint,
        tokenizer,
        precision,
        key,
        commit,
        weights,
    })
}

/// What the model computes in, and the form of its weights in memory.
fn precision(spec: &ModelSpec, checkpoint: &Checkpoint, backend: &Backend) -> Result<Precision> {
    backend
        .precision(spec.dtype, spec.quantization, checkpoint)
        .map_err(|error| error.in_file(&spec.path).place("quantization"))
}

fn read_model(place: &Path, weights: bool) -> Result<(Checkpoint, Tokenizer)> {
    let checkpoint = if weights {
        let checkpoint = Checkpoint::open(place)?;
        CausalLm::verify(&checkpoint)?;
        checkpoint
    } else {
        Checkpoint::without_weights(place)?
    };
    Ok((checkpoint, Tokenizer::open(place)?))
}

/// An error in a file of the cache: whose file it is, and, if it is damaged, how it is downloaded again.
fn in_the_cache(spec: &ModelSpec, folder: &Path, mut error: Diagnostic) -> Diagnostic {
    // Where there is no other remedy either, a new copy is worth a try.
    let damaged = error.may_be_damaged || error.help.is_none();
    if let Some(repository) = folder.parent().and_then(Path::parent).filter(|_| damaged) {
        error.help = Some(format!(
            "if the file is damaged, delete {} and run `igsite fetch`",
            repository.display()
        ));
    }
    let whose = format!("model `{}` ({})", spec.id, spec.path.display());
    error.place = Some(match error.place {
        Some(place) => format!("{whose}, {place}"),
        None => whose,
    });
    error
}
