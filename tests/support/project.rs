//! A small project in a temporary folder, and the real binary run on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::tiny;

/// A project under construction.
pub struct Project {
    folder: TempDir,
}

/// How a run of the binary ended.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Project {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The demo.
    pub fn demo() -> Self {
        let project = Self::new();
        copied(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("content"),
            &project.path("content"),
        );
        project
    }

    /// With a tiny model `tiny`, three rows of data, and an experiment `first`.
    pub fn small() -> Self {
        Self::new()
            .model("tiny")
            .file(
                "content/data/rows.csv",
                "id,label,statement\na,yes,The sky is blue\nb,no,Says grass is red\nc,yes,Ünïcode 🦀 too\n",
            )
            .file("content/experiments/first.yaml", EXPERIMENT)
    }

    /// Adds a Llama of two layers with fixed weights, and its model file.
    pub fn model(self, id: &str) -> Self {
        tiny::write_llama(&self.path(&format!("content/models/{id}")));
        self.file(
            &format!("content/models/{id}.yaml"),
            format!("title: Tiny\nsource: ./{id}\n"),
        )
    }

    /// Adds or replaces a file.
    pub fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Replaces a part of a file, which must be there once.
    pub fn edit(self, path: &str, from: &str, to: &str) -> Self {
        let text = std::fs::read_to_string(self.path(path)).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {path}");
        self.file(path, text.replace(from, to))
    }

    /// A path in the project.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Reads a file of the project.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Runs the binary in the project's folder, its folder's name taken out of what it says.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        igsite(self.folder.path(), arguments)
    }

    /// As [`Project::run`], with variables in the environment.
    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        igsite_with(self.folder.path(), arguments, environment)
    }

    /// Every file under a folder of the project, with its bytes, sorted.
    pub fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let root = self.path(folder);
        let mut found: Vec<(String, Vec<u8>)> = walkdir::WalkDir::new(&root)
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| {
                let name = entry.path().strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                (name, std::fs::read(entry.path()).unwrap())
            })
            .collect();
        found.sort();
        found
    }
}

/// Runs the binary in a folder.
pub fn igsite(folder: &Path, arguments: &[&str]) -> Ran {
    igsite_with(folder, arguments, &[])
}

/// Variables by which the tester's own hub settings, token and proxy would come into a test.
const FOREIGN: [&str; 14] = [
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "HUGGINGFACE_HUB_CACHE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
];

/// Runs the binary in a folder, with variables in the environment.
pub fn igsite_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_igsite"));
    for variable in FOREIGN {
        command.env_remove(variable);
    }
    let Output { status, stdout, stderr } = command
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| {
        String::from_utf8(bytes)
            .unwrap()
            .replace(&folder.display().to_string(), "PROJECT")
            .replace("./", "")
    };
    Ran {
        code: status.code(),
        stdout: text(stdout),
        stderr: text(stderr),
    }
}

impl Ran {
    /// Asserts the exit code and gives what was said on standard error.
    pub fn ended(&self, code: i32) -> &str {
        assert_eq!(
            self.code,
            Some(code),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        &self.stderr
    }
}

/// The experiment of [`Project::small`].
pub const EXPERIMENT: &str = r#"title: First
models: [tiny]
dataset:
  source: data/rows.csv
  id: id
  gold: label
prompt:
  - segment: instruction
    text: "Is this so?\n"
  - segment: claim
    text: "{{ statement | after_says }}"
  - segment: answer
    text: "\n\nChoice: ("
options: {A: yes, B: no}
attribution:
  targets: [predicted, gold]
  baselines: [mean, zero]
  quadrature: gauss_legendre
  steps: 8
"#;

/// A folder with all that it holds; files that are there and the same stay as they are.
pub fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), &target);
        } else {
            let bytes = std::fs::read(entry.path()).unwrap();
            if std::fs::read(&target).ok().as_ref() != Some(&bytes) {
                std::fs::write(&target, bytes).unwrap();
            }
        }
    }
}
