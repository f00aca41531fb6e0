//! What is here already is looked at before it is believed: a file of the cache has the hash that its name promises,
//! or it is refused, or, where that was asked for, moved aside and brought anew.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use super::cache::{Cached, cannot, set_aside_name};
use super::client::Description;
use super::expected_hash::{self, ExpectedHash};
use super::{Hub, Snapshot};
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::input;

/// When a SHA-256 is computed and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Here, whenever the file is wanted.
    Now,
    /// Where it is computed anyway, and remembered: weights may have many gigabytes ([`crate::store::memo`]).
    Later,
}

impl Hub {
    /// Moves damaged files of the cache aside and downloads them again, instead of refusing them.
    #[must_use]
    pub fn mending(mut self) -> Self {
        self.mends = true;
        self
    }

    /// Looks at those files of a commit that are here, once a run. With `online`, a damaged one may be moved aside,
    /// and then is not here.
    ///
    /// # Errors
    /// One is damaged, or is no file.
    pub(super) fn look_at<'a>(
        &self,
        cached: &Cached,
        commit: &str,
        files: impl IntoIterator<Item = &'a str>,
        online: bool,
        check: Check,
    ) -> Result<()> {
        for file in files {
            let path = cached.snapshot(commit).join(file);
            match fs::metadata(&path) {
                // Not here, or a link whose bytes are gone.
                Err(_) => continue,
                Ok(found) if !found.is_file() => return Err(irregular(&path)),
                Ok(_) if self.checked.borrow().contains(&path) => continue,
                Ok(_) => {}
            }
            if let Some(error) = broken(&path, check) {
                if !(self.mends && online && File::open(&path).is_ok()) {
                    return Err(error);
                }
                self.set_aside(&path, error)?;
            } else {
                self.checked.borrow_mut().insert(path);
            }
        }
        Ok(())
    }

    /// Whether the bytes that the hub describes lie here, under no or another name. Damaged ones are moved aside.
    ///
    /// # Errors
    /// They cannot be moved.
    pub(super) fn lies_here(&self, cached: &Cached, description: &Description, check: Check) -> Result<bool> {
        let blob = cached.blob(&description.etag);
        let found = fs::metadata(&blob);
        // Of another length it is not what its name says.
        if !found.is_ok_and(|found| found.is_file() && description.size.is_none_or(|size| size == found.len())) {
            return Ok(false);
        }
        let Some(error) = broken(&blob, check) else {
            return Ok(true);
        };
        self.set_aside(&blob, error)?;
        Ok(false)
    }

    /// Compares the weights of a snapshot with what their names promise, and moves damaged ones aside; whether there
    /// were any. `sha256` gives the SHA-256 of a file, from memory where it can.
    ///
    /// # Errors
    /// One is damaged, and nothing can be brought in its place.
    pub fn set_aside_damaged(
        &self,
        snapshot: &Snapshot,
        mut sha256: impl FnMut(&Path) -> Result<String>,
    ) -> Result<bool> {
        let mut any = false;
        for file in &snapshot.weights {
            let path = snapshot.folder.join(file);
            let Some(ExpectedHash::Sha256(promised)) = ExpectedHash::of_file(&path) else {
                continue;
            };
            if sha256(&path).is_ok_and(|found| found == promised) {
                continue;
            }
            let Some(error) = broken(&path, Check::Now) else {
                continue;
            };
            if self.offline || self.unreachable.get() {
                return Err(error);
            }
            self.set_aside(&path, error)?;
            any = true;
        }
        Ok(any)
    }

    fn set_aside(&self, file: &Path, why: Diagnostic) -> Result<()> {
        let Some(blob) = expected_hash::blob(file) else {
            return Err(why);
        };
        match fs::rename(&blob, set_aside_name(&blob)) {
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other.map_err(|e| cannot("move this damaged file aside", &blob, &e))?,
        }
        let damaged = Diagnostic {
            message: format!("{}; it is brought anew", why.message),
            help: None,
            ..why
        };
        self.warnings.borrow_mut().push(damaged.as_warning());
        Ok(())
    }
}

/// What is wrong with a file of the cache, if something is.
fn broken(path: &Path, check: Check) -> Option<Diagnostic> {
    match (ExpectedHash::of_file(path)?, check) {
        (ExpectedHash::Sha256(_), Check::Later) => None,
        (expected_hash, _) => expected_hash.check(path).err(),
    }
}

fn irregular(path: &Path) -> Diagnostic {
    match input::open(path, Kind::Download, "read") {
        Err(error) => error.help("delete it and run `igsite fetch`"),
        // It has become a file since.
        Ok(_) => Diagnostic::download("this file of the cache changes while it is read").in_file(path),
    }
}
