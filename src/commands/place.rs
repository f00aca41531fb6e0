//! Where a site may be written: not among its own sources.

use std::path::{Component, Path, PathBuf};

use crate::content::model::ModelSource;
use crate::content::project::Project;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::hub::Hub;
use crate::plan::named_models;

/// A site among its own sources would be read as content by the next build. Links and `..` are resolved before the
/// check.
pub fn refuse_sources(project: &Path, output: &Path) -> Result<(), Diagnostics> {
    let place = resolved(output);
    for part in ["content", "templates", "static", ".igsite"] {
        let source = resolved(&project.join(part));
        if place.starts_with(&source) {
            return refused(
                output,
                &place,
                format!("the output would be written into the project's own `{part}/`"),
            );
        }
        if source.starts_with(&place) {
            let what = if place == resolved(project) {
                "the output would be the project's own folder".to_owned()
            } else {
                format!("the output would be a folder that holds the project's own `{part}/`")
            };
            return refused(output, &place, what);
        }
    }
    Ok(())
}

/// Nor into a folder that a model is read from, or into the cache of the hub. A project may be within a model's folder,
/// with its site.
pub fn refuse_models(project: &Project, output: &Path) -> Result<(), Diagnostics> {
    let (place, root) = (resolved(output), resolved(&project.root));
    for spec in named_models(project)
        .into_iter()
        .filter_map(|id| project.models.get(id))
    {
        let ModelSource::Folder(folder) = &spec.source else {
            continue;
        };
        let model = resolved(folder);
        if place == model || (place.starts_with(&model) && !root.starts_with(&model)) {
            let what = format!(
                "the output would be written into the folder of the model `{}`, `{}`",
                spec.id,
                folder.display()
            );
            return refused(output, &place, what);
        }
    }
    let cache = Hub::cache_folder();
    if place.starts_with(resolved(&cache)) {
        let what = format!(
            "the output would be written into the cache of the hub, `{}`",
            cache.display()
        );
        return refused(output, &place, what);
    }
    Ok(())
}

fn refused(output: &Path, place: &Path, what: String) -> Result<(), Diagnostics> {
    let error = Diagnostic::content(what)
        .in_file(output)
        .expected("a folder of its own, such as `site`");
    let led = std::path::absolute(output).is_ok_and(|path| path != place);
    Err(if led {
        error.help(format!("it leads to {}", place.display()))
    } else {
        error
    }
    .into())
}

/// The target of a path, with links and `..` resolved as the system does; parts that do not exist yet are used as they
/// are written.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(place) = path.canonicalize() {
        return place;
    }
    let mut place = PathBuf::new();
    let whole = std::env::current_dir().unwrap_or_default().join(path);
    for part in whole.components() {
        match part {
            Component::ParentDir => _ = place.pop(),
            Component::CurDir => {}
            part => {
                place.push(part);
                if let Ok(found) = place.canonicalize() {
                    place = found;
                }
            }
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn paths_are_followed_before_they_are_judged() {
        use std::os::unix::fs::symlink;
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        for folder in ["project/content/data", "project/.igsite", "elsewhere/templates", "far"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        symlink(at("project/content"), at("link")).unwrap();
        symlink(at("project"), at("project-link")).unwrap();
        symlink(at("elsewhere/templates"), at("project/templates")).unwrap();
        symlink("content", at("project/inner")).unwrap();
        for project in ["project", "project-link", "project/content/..", "link/.."] {
            let project = at(project);
            let told = |output: &str| refuse_sources(&project, &at(output)).map_err(|error| format!("{error:?}"));
            for (output, expected) in [
                ("project/content", "`content/`"),
                ("project/content/new/site", "`content/`"),
                ("project/none/../content/x", "`content/`"),
                ("link/x", "`content/`"),
                ("link/../content/x", "`content/`"),
                ("project/inner/site", "`content/`"),
                ("project-link/none/../.igsite/y", "`.igsite/`"),
                ("project/static/site", "`static/`"),
                ("elsewhere/templates/site", "`templates/`"),
                ("project", "own folder"),
                ("project-link/.", "own folder"),
                ("far/..", "holds the project's own"),
                ("elsewhere", "holds the project's own `templates/`"),
            ] {
                let error = told(output).expect_err(output);
                assert!(error.contains(expected), "{output}: {error}");
            }
            for output in [
                "project/site",
                "far/site",
                "project-link/site",
                "contents",
                "link/../site",
            ] {
                assert_eq!(told(output), Ok(()), "{output}");
            }
        }
    }
}
