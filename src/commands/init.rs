//! `igsite init`: a new project that checks and builds as it is, and says what to put where; for a new project or an old
//! one, what a cluster needs to compute it.

use std::fs;
use std::path::Path;

use super::report::Report;
use crate::cli::{ExitStatus, Init};
use crate::diagnostic::{Diagnostic, Diagnostics, Kind};
use crate::store::write_atomically;

/// Empty at first: templates that take the place of built-in ones, and files that are copied to the site. The
/// checkpoint's folder is not made, so that `cp -r CHECKPOINT content/models/my-model` does what it says.
const FOLDERS: [&str; 2] = ["templates", "static"];
/// Publishes on GitHub Pages; `REPOSITORY` and `VERSION` in it become those of this igsite, whose release it downloads.
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

/// A script that submits a job array of Slurm.
const SLURM: (&str, &str) = ("slurm.sh", include_str!("init/slurm.sh"));
/// Jobs of Kubernetes, one of them Indexed.
const KUBERNETES: (&str, &str) = ("kubernetes.yaml", include_str!("init/kubernetes.yaml"));

pub fn run(arguments: &Init, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let folder = &arguments.folder;
    let asked = [(arguments.slurm, SLURM), (arguments.kubernetes, KUBERNETES)];
    let of_cluster: Vec<(&str, &str)> = asked
        .into_iter()
        .filter(|(asked, _)| *asked)
        .map(|(_, file)| file)
        .collect();
    let there = |files: &[(&'static str, &str)]| -> Vec<&str> {
        let there = files.iter().map(|(path, _)| *path);
        there.filter(|path| folder.join(path).exists()).collect()
    };
    let old = there(&of_cluster);
    if !old.is_empty() {
        return Err(Diagnostic::content(format!("already there: {}", old.join(", ")))
            .in_file(folder)
            .help("yours may have been edited: move it away first, and compare")
            .into());
    }
    let of_project = there(&FILES);
    if of_cluster.is_empty() && !of_project.is_empty() {
        return Err(Diagnostic::content(format!("already there: {}", of_project.join(", ")))
            .in_file(folder)
            .expected("a folder without a project")
            .help("name a new folder: `igsite init my-project`")
            .into());
    }
    // What a cluster needs may come to a project that is there.
    if of_cluster.is_empty() || !folder.join("content").is_dir() {
        project(folder, report)?;
    } else {
        report.result(&folder.display().to_string());
    }
    for (path, text) in of_cluster {
        let place = folder.join(path);
        write_atomically(&place, text.as_bytes())?;
        if path == SLURM.0 {
            executable(&place)?;
        }
        report.note(&format!(
            "{}: read its first lines; docs/cluster.md of igsite has the way from nothing to the site",
            place.display()
        ));
    }
    Ok(ExitStatus::Done)
}

/// Makes a file one that can be run.
fn executable(path: &Path) -> Result<(), Diagnostic> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .map_err(|e| Diagnostic::io(Kind::Output, "make executable", path, &e))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// The workflow that downloads the release of this igsite.
fn of_this_igsite(text: &str) -> String {
    let address = env!("CARGO_PKG_REPOSITORY");
    let repository = address.strip_prefix("https://github.com/").unwrap_or(address);
    text.replace("REPOSITORY", repository)
        .replace("VERSION", env!("CARGO_PKG_VERSION"))
}

fn project(folder: &Path, report: &Report) -> Result<(), Diagnostics> {
    for path in FOLDERS {
        let path = folder.join(path);
        fs::create_dir_all(&path).map_err(|e| Diagnostic::io(Kind::Output, "make the folder", &path, &e))?;
    }
    for (path, text) in FILES {
        let text = if path == WORKFLOW {
            of_this_igsite(text)
        } else {
            text.to_owned()
        };
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
    Ok(())
}
