//! Repositories for tests: folders in a folder, `owner/name@revision` with `/` of the revision written `-`.

use std::path::PathBuf;

use super::{Repositories, Repository};
use crate::diagnostic::{Diagnostic, Result};

/// The folder that holds the repositories.
pub struct LocalRepositories(pub PathBuf);

struct Folder {
    path: PathBuf,
    files: Vec<String>,
}

impl Repositories for LocalRepositories {
    fn open(&self, repository: &str, revision: &str) -> Result<Box<dyn Repository + '_>> {
        let path = self.0.join(format!("{repository}@{}", revision.replace('/', "-")));
        if !path.is_dir() {
            return Err(Diagnostic::checkpoint(format!(
                "the shelf has no `{repository}` at `{revision}`"
            )));
        }
        let mut files: Vec<String> = walkdir::WalkDir::new(&path)
            .into_iter()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| {
                entry
                    .path()
                    .strip_prefix(&path)
                    .unwrap()
                    .to_string_lossy()
                    .replace('\\', "/")
            })
            .collect();
        files.sort();
        Ok(Box::new(Folder { path, files }))
    }

    fn open_if_there(&self, repository: &str, revision: &str) -> Result<Option<Box<dyn Repository + '_>>> {
        let there = self.has(repository, revision);
        there.then(|| self.open(repository, revision)).transpose()
    }
}

impl LocalRepositories {
    fn has(&self, repository: &str, revision: &str) -> bool {
        self.0
            .join(format!("{repository}@{}", revision.replace('/', "-")))
            .is_dir()
    }
}

impl Repository for Folder {
    fn commit(&self) -> &str {
        "0123456789abcdef0123456789abcdef01234567"
    }

    fn files(&self) -> &[String] {
        &self.files
    }

    fn fetch(&self, files: &[String]) -> Result<PathBuf> {
        assert!(
            files.iter().all(|file| self.files.contains(file)),
            "only what is listed is asked for"
        );
        Ok(self.path.clone())
    }
}
