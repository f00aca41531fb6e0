//! A project of one prompt and one model, as the command line asks for them: read by the same code as what authors
//! write, so that the same words mean the same and the same mistakes are found.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::dataset::{DataFiles, Repositories};
use super::decode::Decoder;
use super::model::ModelSpec;
use super::project::Project;
use super::{experiment, files, model};
use crate::diagnostic::{Diagnostic, Diagnostics, Position};

/// What is asked. Texts of `target`, `baseline` and the like are what an experiment's YAML would say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnePrompt {
    /// The prompt.
    pub prompt: String,
    /// A model of the project by its id, a folder, a GGUF file, or a repository of the hub: `owner/name`,
    /// `owner/name@revision`, `owner/name/file.gguf`.
    pub model: String,
    /// What it computes in.
    pub dtype: Option<String>,
    /// How its linear layers are quantised as they are loaded.
    pub quantization: Option<String>,
    /// Whether the prompt goes through the model's chat template.
    pub chat: bool,
    /// `predicted`, `generated`, a token's text, or a target in YAML.
    pub target: String,
    /// `zero`, `mean` and their like, or a baseline in YAML.
    pub baseline: String,
    /// By which method.
    pub method: String,
    /// The unit of F.
    pub output: String,
    /// What methods replace at a time.
    pub units: Option<String>,
    /// The rule of a path integral, and its points.
    pub quadrature: Option<String>,
    /// Points of a fixed rule.
    pub steps: Option<usize>,
    /// On the error and the delta.
    pub tolerance: Option<f64>,
}

/// The id of the experiment and of the model.
pub const ID: &str = "prompt";

impl OnePrompt {
    /// The project. `root` is a project whose models can be named by their ids, if there is one.
    ///
    /// # Errors
    /// What an experiment and a model file with the same words would be refused for; the places are those of their
    /// keys.
    pub fn project(&self, root: &Path, repositories: &dyn Repositories) -> Result<Project, Diagnostics> {
        let mut problems = Diagnostics::new();
        let spec = self.model(root, &mut problems);
        let path = Path::new("igsite explain");
        let mut decoder = Decoder::new(path);
        let mut data = DataFiles::new(root, repositories);
        let known = BTreeSet::from([ID.to_owned()]);
        let read = experiment::read(ID, path, self.experiment().to_string(), &mut decoder);
        let experiment = read.and_then(|written| experiment::resolve(written, &known, &mut data, &mut decoder));
        // What is odd in a file that nobody wrote is nobody's business.
        problems.extend(decoder.diagnostics.into_iter().filter(|one| !one.warning).collect());
        match (experiment, spec) {
            (Some(experiment), Some(spec)) if !problems.has_errors() => Ok(Project {
                root: root.to_path_buf(),
                experiments: vec![experiment],
                models: [(ID.to_owned(), spec)].into(),
                ..Project::default()
            }),
            _ => Err(problems.into_iter().map(without_file).collect()),
        }
    }

    /// What an experiment's file would say. JSON is YAML.
    fn experiment(&self) -> Value {
        let mut attribution = Map::new();
        let mut set = |key: &str, value: Value| _ = attribution.insert(key.to_owned(), value);
        set("methods", json!([self.method]));
        set("output", json!(self.output));
        set("targets", Value::Array(vec![target(&self.target)]));
        set("baselines", Value::Array(vec![flow(&self.baseline)]));
        if let Some(units) = &self.units {
            set("units", json!(units));
        }
        if let Some(rule) = &self.quadrature {
            set("quadrature", json!(rule));
        }
        if let Some(steps) = self.steps {
            set("steps", json!(steps));
        }
        if let Some(tolerance) = self.tolerance {
            set("tolerance", json!(tolerance));
        }
        let mut all = json!({
            "models": [ID],
            "dataset": {"rows": [{"id": ID, "text": self.prompt}], "id": "id"},
            "prompt": [{"segment": ID, "text": "{{ text }}"}],
            "prompt_style": if self.chat { "chat" } else { "plain" },
            "attribution": attribution,
        });
        if self.target == "generated" {
            all["generate"] = json!({"prompt": "{{ prompt }}", "max_new_tokens": 20});
        }
        all
    }

    fn model(&self, root: &Path, problems: &mut Diagnostics) -> Option<ModelSpec> {
        let of_project = Path::new("content/models").join(format!("{}.yaml", self.model));
        let named = !self.model.contains(['/', '\\', '.']) || self.model.trim_matches('.') == self.model;
        let of_project = (named && root.join(&of_project).is_file()).then_some(of_project);
        let (spec, position) = match of_project {
            Some(path) => {
                let text = problems.keep(files::read_text(root, &path))?;
                // What is typed comes before what the file says.
                let typed = self.with_settings(json!({"source": "any/model"}));
                let (typed, _) = read_model(root, Path::new("--model"), &typed.to_string(), problems)?;
                let (mut spec, position) = read_model(root, &path, &text, problems)?;
                if self.dtype.is_some() {
                    spec.dtype = typed.dtype;
                }
                if self.quantization.is_some() {
                    spec.quantization = typed.quantization;
                }
                (spec, position)
            }
            None => {
                let text = problems.keep(self.model_file())?.to_string();
                read_model(root, Path::new("--model"), &text, problems)?
            }
        };
        problems.extend(model::missing(&spec, position).into_iter().collect());
        Some(spec)
    }

    /// What a model's file would say.
    fn model_file(&self) -> Result<Value, Diagnostic> {
        let given = Path::new(&self.model);
        let written = self.model.starts_with('.') || given.is_absolute();
        let all = if given.exists() || written {
            let path = std::path::absolute(given).unwrap_or_else(|_| given.to_path_buf());
            json!({"source": path.to_string_lossy()})
        } else {
            let (name, revision) = match self.model.split_once('@') {
                Some((name, revision)) => (name, Some(revision)),
                None => (self.model.as_str(), None),
            };
            let mut parts = name.splitn(3, '/');
            let (Some(owner), Some(repository)) = (parts.next(), parts.next()) else {
                return Err(Diagnostic::content(format!("there is no model `{}`", self.model))
                    .in_file("--model")
                    .expected(
                        "a folder, a .gguf file, a repository of the hub (owner/name), or a model of the project",
                    ));
            };
            let mut all = json!({"source": format!("{owner}/{repository}")});
            if let Some(file) = parts.next() {
                all["file"] = json!(file);
            }
            if let Some(revision) = revision {
                all["revision"] = json!(revision);
            }
            all
        };
        Ok(self.with_settings(all))
    }

    fn with_settings(&self, mut all: Value) -> Value {
        if let Some(dtype) = &self.dtype {
            all["dtype"] = json!(dtype);
        }
        if let Some(quantization) = &self.quantization {
            all["quantization"] = json!(quantization);
        }
        all
    }
}

/// Reads a model's file, without what is odd in it.
fn read_model(root: &Path, path: &Path, text: &str, problems: &mut Diagnostics) -> Option<(ModelSpec, Position)> {
    let mut decoder = Decoder::new(path);
    let found = model::read(root, path, ID, text, &mut decoder);
    problems.extend(decoder.diagnostics.into_iter().filter(|one| !one.warning).collect());
    found
}

/// A target as typed: a word of the field, YAML, or a token's text.
fn target(text: &str) -> Value {
    match text {
        "predicted" | "generated" => json!(text),
        _ => match flow(text) {
            Value::String(token) => json!({"token": token}),
            value => value,
        },
    }
}

/// What was typed in YAML's braces, or a word.
fn flow(text: &str) -> Value {
    let parsed = || serde_yaml::from_str::<Value>(text).ok().filter(Value::is_object);
    text.trim_start()
        .starts_with('{')
        .then(parsed)
        .flatten()
        .unwrap_or_else(|| json!(text))
}

/// Without the place in a file that is none.
fn without_file(mut error: Diagnostic) -> Diagnostic {
    let is_file = error.file.as_ref().is_some_and(|file| file.starts_with("content"));
    if !is_file {
        error.position = None;
        error.file = None;
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::dataset::local_repositories::LocalRepositories;
    use crate::content::model::ModelSource;
    use crate::terms::{Baseline, Method, Output, Target};

    fn asked() -> OnePrompt {
        OnePrompt {
            prompt: "Is {{ this }} \"so\"? \\ 🦀\n".to_owned(),
            model: "owner/name".to_owned(),
            target: "predicted".to_owned(),
            baseline: "zero".to_owned(),
            method: "integrated_gradients".to_owned(),
            output: "probability".to_owned(),
            ..OnePrompt::default()
        }
    }

    fn project(asked: &OnePrompt) -> Result<Project, String> {
        let root = tempfile::tempdir().unwrap();
        asked
            .project(root.path(), &LocalRepositories(root.path().to_path_buf()))
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn the_prompt_is_the_text_and_no_template() {
        let project = project(&asked()).unwrap();
        let experiment = &project.experiments[0];
        assert_eq!(experiment.samples[0].prompt.text, asked().prompt);
        assert_eq!(experiment.attribution.targets, [Target::Predicted]);
        assert_eq!(experiment.attribution.output, Output::Probability);
    }

    #[test]
    fn words_are_those_of_an_experiment() {
        let typed = |target: &str, baseline: &str| {
            let asked = OnePrompt {
                target: target.to_owned(),
                baseline: baseline.to_owned(),
                method: "occlusion".to_owned(),
                ..asked()
            };
            let project = project(&asked)?;
            let spec = project.experiments[0].attribution.clone();
            Ok::<_, String>((spec.targets[0].clone(), spec.baselines[0].clone(), spec.methods[0]))
        };
        let (target, baseline, method) = typed(" B", "mean").unwrap();
        assert_eq!(
            (target, baseline, method),
            (Target::Token(" B".to_owned()), Baseline::Mean, Method::Occlusion)
        );
        let (target, baseline, _) = typed("{token: x}", "{token: \".\"}").unwrap();
        assert_eq!(
            (target, baseline),
            (Target::Token("x".to_owned()), Baseline::Token(".".to_owned()))
        );
        let error = typed("predicted", "none").unwrap_err();
        assert!(error.contains("`none`") && !error.contains("igsite explain"), "{error}");
    }

    #[test]
    fn a_model_is_a_folder_a_file_or_of_the_hub() {
        let source = |model: &str| {
            let asked = OnePrompt {
                model: model.to_owned(),
                ..asked()
            };
            project(&asked).map(|project| (project.models[ID].source.clone(), project.models[ID].revision.clone()))
        };
        let hub = ModelSource::Hub("owner/name".to_owned());
        assert_eq!(source("owner/name").unwrap(), (hub.clone(), "main".to_owned()));
        assert_eq!(source("owner/name@v1").unwrap(), (hub, "v1".to_owned()));
        let file = ModelSource::HubFile("owner/name".to_owned(), "deep/a.gguf".to_owned());
        assert_eq!(source("owner/name/deep/a.gguf").unwrap().0, file);
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_path_buf();
        assert_eq!(source(place.to_str().unwrap()).unwrap().0, ModelSource::Folder(place));
        for (model, told) in [
            ("nothing", "there is no model `nothing`"),
            ("./nothing", "is not there"),
        ] {
            let error = source(model).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
