//! `igsite init`: a new project that checks and builds as it is, and says what to put where.

use std::fs;

use super::report::Report;
use crate::cli::{ExitStatus, Init};
use crate::diagnostic::{Diagnostic, Diagnostics, Kind};
use crate::store::write_atomically;

/// Empty at first: templates that take the place of built-in ones, and files that are copied to the site. The
/// checkpoint's folder is not made, so that `cp -r CHECKPOINT content/models/my-model` does what it says.
const FOLDERS: [&str; 2] = ["templates", "static"];
/// Publishes on GitHub Pages; `REPOSITORY` in it becomes the one that igsite comes from.
const WORKFLOW: &str = ".github/workflows/pages.yml";
/// What a new project holds.
const FILES: [(&str, &str); 6] = [
    ("content/index.md", include_str!("init/index.md")),
    ("content/experiments/first.yaml", include_str!("init/first.yaml")),
    ("content/models/my-model.yaml", include_str!("init/my-model.yaml")),
    ("content/data/statements.csv", include_str!("init/statements.csv")),
    (".gitignore", include_str!("init/gitignore")),
    (WORKFLOW, include_str!("init/pages.yml")),
];

pub fn run(arguments: &Init, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let folder = &arguments.folder;
    let there: Vec<&str> = FILES
        .iter()
        .map(|(path, _)| *path)
        .filter(|path| folder.join(path).exists())
        .collect();
    if !there.is_empty() {
        return Err(Diagnostic::content(format!("already there: {}", there.join(", ")))
            .in_file(folder)
            .expected("a folder without a project")
            .help("name a new folder: `igsite init my-project`")
            .into());
    }
    for path in FOLDERS {
        let path = folder.join(path);
        fs::create_dir_all(&path).map_err(|e| Diagnostic::io(Kind::Output, "make the folder", &path, &e))?;
    }
    for (path, text) in FILES {
        let text = text.replace(
            "REPOSITORY: REPOSITORY",
            concat!("REPOSITORY: ", env!("CARGO_PKG_REPOSITORY")),
        );
        write_atomically(&folder.join(path), text.as_bytes())?;
    }
    report.result(&folder.display().to_string());
    report.note(&format!(
        "A new project. Its model is still to come:\n  \
         cp -r CHECKPOINT {0}/content/models/my-model\n  \
         igsite --project {0} check --experiment first\n  \
         igsite --project {0} build --experiment first\n\
         {WORKFLOW} publishes it on GitHub Pages from the records that a build leaves in .igsite/.",
        folder.display()
    ));
    Ok(ExitStatus::Done)
}
