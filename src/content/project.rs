//! A project on disk: experiments, models, pages.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::experiment::Experiment;
use super::model::ModelSpec;
use super::page::Page;

/// A resolved project: everything that the build needs to know of `content/`.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// The project's folder.
    pub root: PathBuf,
    /// Experiments to build, by id.
    pub experiments: Vec<Experiment>,
    /// Every model file of the project, by id.
    pub models: BTreeMap<String, ModelSpec>,
    /// Pages to build, by route.
    pub pages: Vec<Page>,
}
