//! The output folder while one igsite uses it, from before it is read until it is released.
//!
//! The folder itself is locked, not a file in it: nothing is left behind or published, and a link and its target are
//! one folder. Where the system cannot lock folders (Windows), the file [`LOCK`] in it is locked, which stays there and
//! belongs to nobody. The lock excludes every igsite of this machine, whatever its project; other machines that share
//! the folder over a network do not see it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::moving::{Free, JOURNAL, Moving};
use super::{STAGE, written};
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::interrupt::{self, AtTheEnd};
use crate::lock::{self, Patience, Sharing};

/// What is locked where folders cannot be.
pub(super) const LOCK: &str = ".igsite-lock";
/// Who uses the folder, in the staging folder: for the message to the one who has to wait.
const OWNER: &str = "owner";
/// How often a folder may be taken away just as it is locked.
const TRIES: usize = 100;

/// An output folder that is this igsite's alone.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    project: PathBuf,
    lock: File,
    locked: bool,
    created: bool,
    undone: bool,
    _tidy: AtTheEnd,
}

impl Folder {
    /// Locks a folder, which is made if it does not exist, and repairs what a killed build left in it. `project` is the
    /// project whose site it is to have.
    ///
    /// # Errors
    /// It is a file, or cannot be made or locked; another igsite uses it.
    pub fn take(path: &Path, project: &Path, patience: Patience) -> Result<Self> {
        let fail = |doing: &str, error: &io::Error| Diagnostic::io(Kind::Output, doing, path, error);
        if path.exists() && !path.is_dir() {
            return Err(Diagnostic::output("the output is a file")
                .in_file(path)
                .expected("a folder, or nothing"));
        }
        for _ in 0..TRIES {
            let created = !path.exists();
            if created {
                fs::create_dir_all(path).map_err(|error| fail("make the output folder", &error))?;
            }
            let file = match open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(fail("open the output folder", &error)),
            };
            let locked = lock::lock(&file, path, Sharing::Alone, patience, || busy(path))?;
            // Its last owner may have removed it meanwhile, and somebody else have made another one.
            if is_at(&file, path) {
                return Self::opened(path, project, file, locked, created);
            }
        }
        Err(Diagnostic::output("the output folder is removed again and again").in_file(path))
    }

    fn opened(path: &Path, project: &Path, lock: File, locked: bool, created: bool) -> Result<Self> {
        let at = path.to_owned();
        let mut folder = Self {
            path: path.to_owned(),
            project: project.to_owned(),
            lock,
            locked,
            created,
            undone: false,
            _tidy: interrupt::at_the_end(move || tidy(&at, created)),
        };
        let _moving = interrupt::hold();
        folder.undone = Moving::into(&folder.path, &Free).recover()?;
        let stage = folder.path.join(STAGE);
        if fs::symlink_metadata(&stage).is_ok() {
            fs::remove_dir_all(&stage)
                .map_err(|error| Diagnostic::io(Kind::Output, "clear the staging folder of", path, &error))?;
        }
        Ok(folder)
    }

    /// Takes it again if it was removed or replaced since.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn renew(&mut self) -> Result<()> {
        if !is_at(&self.lock, &self.path) {
            *self = Self::take(&self.path, &self.project, Patience::None)?;
        }
        Ok(())
    }

    /// Its path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a build was killed while it moved its site into place, and the site before it was put back.
    pub fn undone(&self) -> bool {
        self.undone
    }

    /// The message where the file system has no locks.
    pub fn unlocked(&self) -> Option<Diagnostic> {
        let warning = || {
            Diagnostic::output("the file system of the output folder has no locks")
                .in_file(&self.path)
                .help("let no other igsite write into it at the same time")
                .as_warning()
        };
        (!self.locked).then(warning)
    }

    /// Notes in the folder who has it. A failure costs another igsite's reader a detail, so it is no error.
    pub fn announce(&self) {
        let project = std::path::absolute(&self.project).unwrap_or_else(|_| self.project.clone());
        let text = format!("process {}, project `{}`", std::process::id(), project.display());
        let stage = self.path.join(STAGE);
        _ = fs::create_dir_all(&stage).and_then(|()| fs::write(stage.join(OWNER), text));
    }

    /// A hash of the files in it that its mark lists; none where one is missing or is no file.
    pub fn state(&self) -> Option<String> {
        written::state_of(&self.path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if is_at(&self.lock, &self.path) {
            tidy(&self.path, self.created);
        }
    }
}

/// Leaves nothing behind but the site. Nothing can be done about a failure here, and the next build clears the rest.
fn tidy(path: &Path, created: bool) {
    let stage = path.join(STAGE);
    // Old files that could not be put back wait there for the next build.
    if fs::symlink_metadata(stage.join(JOURNAL)).is_ok() {
        return;
    }
    _ = fs::remove_dir_all(&stage);
    if created {
        _ = fs::remove_dir(path);
    }
}

fn busy(path: &Path) -> Diagnostic {
    let owner = fs::read(path.join(STAGE).join(OWNER)).unwrap_or_default();
    let owner = String::from_utf8_lossy(&owner).into_owned();
    let who = if owner.is_empty() || owner.len() > 10_000 {
        String::new()
    } else {
        format!(" ({owner})")
    };
    Diagnostic::output(format!("another igsite{who} is at work in this output folder"))
        .in_file(path)
        .help("wait until it has ended, or give another folder with --output; the lock is freed by itself, even if it is killed")
}

#[cfg(unix)]
fn open(folder: &Path) -> io::Result<File> {
    File::open(folder)
}

#[cfg(not(unix))]
fn open(folder: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    options.open(folder.join(LOCK))
}

/// Whether a path still leads to the folder that is open.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(one), Ok(other)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.join(LOCK).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &Path, project: &str) -> Result<Folder> {
        Folder::take(path, Path::new(project), Patience::None)
    }

    #[test]
    fn one_igsite_has_it_and_the_other_is_told_who() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("new/site");
        let first = take(&path, "/projects/one").unwrap();
        first.announce();
        let error = take(&path, "/projects/two").unwrap_err();
        let expected = format!("process {}, project `/projects/one`", std::process::id());
        assert!(error.message.contains(&expected), "{error}");
        drop(first);
        assert!(!path.exists(), "nothing was written, so nothing is left");
        fs::create_dir(&path).unwrap();
        drop(take(&path, "/projects/two").unwrap());
        assert!(path.exists(), "it was there before");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_and_what_it_leads_to_are_one_folder() {
        let place = tempfile::tempdir().unwrap();
        let (path, link) = (place.path().join("site"), place.path().join("link"));
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let first = take(&path, "one").unwrap();
        assert!(take(&link, "two").is_err());
        drop(first);
        let _link = take(&link, "two").unwrap();
        assert!(take(&path, "one").is_err());
    }

    #[test]
    fn one_that_was_removed_meanwhile_is_taken_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("site");
        let mut folder = take(&path, "one").unwrap();
        fs::remove_dir(&path).unwrap();
        folder.renew().unwrap();
        assert!(path.is_dir() && take(&path, "two").is_err());
        fs::remove_dir(&path).unwrap();
        let other = take(&path, "two").unwrap();
        other.announce();
        drop(folder);
        assert!(path.join(STAGE).join(OWNER).exists(), "another's is left alone");
    }
}
