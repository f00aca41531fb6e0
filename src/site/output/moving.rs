//! Moves a staged site into place, all of it or nothing.
//!
//! Before the first step a journal, [`JOURNAL`], lists what is to be moved. An old file that is to be removed or
//! replaced is set aside under [`OLD`]; the new ones come from [`NEW`]. If a step fails, everything is moved back, and
//! the error says so. A build that is killed halfway leaves the journal, and the next one moves everything back first.
//! The places of the files show what was moved: what is no longer under [`NEW`] had been moved in, and what is under
//! [`OLD`] had been moved out. So moving back can itself be killed and repeated as often as one likes. The site is the
//! new one as soon as the journal is deleted.
//!
//! An old file that is replaced is set aside by a second name for it, before anything else is moved: a reader of the
//! site always finds one or the other, and the folder has files of both only for as long as the renames take. Where the
//! file system has no second names, the old file is moved aside.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{MARK, STAGE, check_path, is_absent};
use crate::diagnostic::{Diagnostic, Kind, Result};

/// What is to be moved, in the staging folder.
pub(super) const JOURNAL: &str = "moving.json";
/// Where new files wait, in the staging folder.
pub(super) const NEW: &str = "new";
/// Where old files are set aside, in the staging folder.
const OLD: &str = "old";
/// The mark that lists old and new files, in the staging folder.
pub(super) const BOTH: &str = "mark-both.json";
/// The mark that lists new files only, in the staging folder.
pub(super) const LAST: &str = "mark-last.json";
const SCHEMA: &str = "igsite/moving/1";

/// What is to be moved.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    schema: String,
    /// Whether there was a mark before.
    marked: bool,
    /// Old files that have no successor.
    gone: Vec<String>,
    /// What comes: files, and folders as a whole that are not there yet.
    come: Vec<Unit>,
}

/// Something that is moved by one step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Unit {
    pub path: String,
    /// Whether it takes the place of an old file.
    pub old: bool,
}

impl Journal {
    pub fn new(marked: bool, gone: Vec<String>, come: Vec<Unit>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            marked,
            gone,
            come,
        }
    }
}

/// Called before each step that changes the disk; a test makes it fail.
pub(super) trait Steps: Sync {
    /// Whether the next step may be taken.
    fn next(&self) -> io::Result<()>;

    /// Whether a file can have two names.
    fn links(&self) -> bool {
        true
    }
}

/// The world as it is.
pub(super) struct Free;

impl Steps for Free {
    fn next(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A move into one folder.
pub(super) struct Moving<'a> {
    folder: &'a Path,
    stage: PathBuf,
    steps: &'a dyn Steps,
}

impl<'a> Moving<'a> {
    pub fn into(folder: &'a Path, steps: &'a dyn Steps) -> Self {
        Self {
            folder,
            stage: folder.join(STAGE),
            steps,
        }
    }

    /// Moves what is staged, and the marks where there are any.
    ///
    /// # Errors
    /// A step failed. The folder is as it was, or the error says what it has.
    pub fn run(&self, journal: &Journal) -> Result<()> {
        self.write_journal(journal)?;
        let done = self.go(journal).and_then(|()| self.remove(&self.journal()));
        done.map_err(|mut error| {
            match self.put_back(journal) {
                Ok(()) => {
                    // A journal that is left over is read once more, and nothing remains to be done.
                    _ = self.remove(&self.journal());
                    error.message += "; the site was left as it was";
                    error
                }
                Err(other) => {
                    error.message += &format!(
                        "; and the old site could not be put back ({other}), so files of both builds stand in the folder now"
                    );
                    error.help(format!(
                        "what was set aside is kept in `{STAGE}/`, which must not be deleted: when the cause is mended, the next `igsite build` puts it back"
                    ))
                }
            }
        })
    }

    /// Puts back what a killed build left half moved; whether there was anything.
    ///
    /// # Errors
    /// It cannot be put back.
    pub fn recover(&self) -> Result<bool> {
        let path = self.journal();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                return Err(Diagnostic::io(
                    Kind::Output,
                    "read what a killed build left",
                    &path,
                    &error,
                ));
            }
        };
        let damaged = |why: String| {
            Diagnostic::output(format!(
                "a build was killed while it moved a site into place, and its list of what it moved is damaged: {why}"
            ))
            .in_file(&path)
            .help(format!(
                "old files lie in `{STAGE}/{OLD}/`: copy them over the folder and remove `{STAGE}/`, or give another folder with --output"
            ))
        };
        let journal: Journal = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if journal.schema != SCHEMA {
            return Err(damaged(format!("it is of another version, `{}`", journal.schema)));
        }
        let paths = journal.gone.iter().chain(journal.come.iter().map(|unit| &unit.path));
        for path in paths {
            check_path(path).map_err(|error| damaged(error.message))?;
        }
        self.put_back(&journal)?;
        self.remove(&path)?;
        Ok(true)
    }

    fn journal(&self) -> PathBuf {
        self.stage.join(JOURNAL)
    }

    fn place(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn waiting(&self, path: &str) -> PathBuf {
        self.stage.join(NEW).join(path)
    }

    fn old(&self, path: &str) -> PathBuf {
        self.stage.join(OLD).join(path)
    }

    fn write_journal(&self, journal: &Journal) -> Result<()> {
        let json = serde_json::to_vec(journal).unwrap_or_else(|e| unreachable!("a journal is plain data: {e}"));
        let side = self.stage.join("moving.part");
        let written = self.steps.next().and_then(|()| {
            fs::create_dir_all(&self.stage)?;
            fs::write(&side, json)
        });
        written.map_err(|error| Diagnostic::io(Kind::Output, "write", &side, &error))?;
        self.rename(&side, &self.journal())
    }

    fn go(&self, journal: &Journal) -> Result<()> {
        // It lists old and new files alike: whatever happens to the staging folder, igsite recognises all of them as
        // its own.
        let replaced = journal.come.par_iter().filter(|unit| unit.old);
        replaced.try_for_each(|unit| self.name_aside(&unit.path))?;
        if exists(&self.stage.join(BOTH))? {
            if journal.marked {
                self.name_aside(MARK)?;
                self.move_aside(MARK)?;
            }
            self.rename(&self.stage.join(BOTH), &self.place(MARK))?;
        }
        journal.gone.par_iter().try_for_each(|path| {
            let old = self.old(path);
            self.make_parent(&old)?;
            self.rename(&self.place(path), &old)
        })?;
        journal.come.par_iter().try_for_each(|unit| self.bring(unit))?;
        for path in &journal.gone {
            self.remove_empty_parents(path);
        }
        if exists(&self.stage.join(LAST))? {
            if journal.marked && !exists(&self.old(MARK))? {
                self.name_aside(MARK)?;
                self.move_aside(MARK)?;
            }
            self.rename(&self.stage.join(LAST), &self.place(MARK))?;
        }
        Ok(())
    }

    fn bring(&self, unit: &Unit) -> Result<()> {
        let place = self.place(&unit.path);
        if unit.old {
            self.move_aside(&unit.path)?;
        } else if is_folder(&place) {
            // What it held has gone, or it would not be in the way of a file.
            self.remove_empty_folders(&place);
        }
        self.rename(&self.waiting(&unit.path), &place)
    }

    /// Gives an old file a second name, where that can be had.
    fn name_aside(&self, path: &str) -> Result<()> {
        let (place, old) = (self.place(path), self.old(path));
        self.make_parent(&old)?;
        if self.steps.links() {
            _ = self.steps.next().and_then(|()| fs::hard_link(&place, &old));
        }
        Ok(())
    }

    /// Moves an old file aside that has no second name.
    fn move_aside(&self, path: &str) -> Result<()> {
        let (place, old) = (self.place(path), self.old(path));
        if exists(&old)? {
            Ok(())
        } else {
            self.rename(&place, &old)
        }
    }

    /// Makes the folder as it was before the journal was written.
    fn put_back(&self, journal: &Journal) -> Result<()> {
        for unit in journal.come.iter().rev() {
            let (place, new, old) = (self.place(&unit.path), self.waiting(&unit.path), self.old(&unit.path));
            let came = !exists(&new)?;
            if unit.old {
                if exists(&old)? && (came || !exists(&place)?) {
                    self.restore(&old, &place)?;
                }
            } else if came && exists(&place)? {
                self.rename(&place, &new)?;
            }
        }
        for path in &journal.gone {
            let (place, old) = (self.place(path), self.old(path));
            if exists(&old)? {
                self.make_parent(&place)?;
                self.restore(&old, &place)?;
            }
        }
        if exists(&self.old(MARK))? {
            self.restore(&self.old(MARK), &self.place(MARK))
        } else if !journal.marked && exists(&self.place(MARK))? {
            self.remove(&self.place(MARK))
        } else {
            Ok(())
        }
    }

    /// Puts an old file back, by another way where it cannot be moved.
    fn restore(&self, old: &Path, place: &Path) -> Result<()> {
        self.rename(old, place).or_else(|error| {
            let linked = self.steps.next().and_then(|()| {
                match fs::remove_file(place) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => fs::hard_link(old, place)?,
                }
                fs::remove_file(old)
            });
            linked.map_err(|_| error)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let done = self.steps.next().and_then(|()| fs::rename(from, to));
        done.map_err(|error| Diagnostic::io(Kind::Output, "move the file into place", to, &error))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let done = self.steps.next().and_then(|()| fs::remove_file(path));
        done.map_err(|error| Diagnostic::io(Kind::Output, "remove", path, &error))
    }

    fn make_parent(&self, path: &Path) -> Result<()> {
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        if exists(parent)? {
            return Ok(());
        }
        let done = self.steps.next().and_then(|()| fs::create_dir_all(parent));
        done.map_err(|error| Diagnostic::io(Kind::Output, "make the folder", parent, &error))
    }

    /// Removes the folders that a file has left empty.
    fn remove_empty_parents(&self, path: &str) {
        let place = self.place(path);
        let mut folder = place.parent();
        // Fails, as it should, at the first folder that is not empty.
        while let Some(empty) =
            folder.filter(|f| *f != self.folder && self.steps.next().and_then(|()| fs::remove_dir(f)).is_ok())
        {
            folder = empty.parent();
        }
    }

    /// Removes a folder that holds nothing but folders; one that holds more stays, and the next step says so.
    fn remove_empty_folders(&self, folder: &Path) {
        let inside = walkdir::WalkDir::new(folder).contents_first(true).into_iter().flatten();
        for entry in inside {
            _ = self.steps.next().and_then(|()| fs::remove_dir(entry.path()));
        }
    }
}

/// Takes away what an earlier site of the same run left in the staging folder.
pub(super) fn clear(folder: &Path) {
    let stage = folder.join(STAGE);
    for part in [NEW, OLD] {
        _ = fs::remove_dir_all(stage.join(part));
    }
    for mark in [BOTH, LAST] {
        _ = fs::remove_file(stage.join(mark));
    }
}

/// Whether there is anything at a path; an error where that is not known.
fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(Diagnostic::io(Kind::Output, "look for", path, &error)),
    }
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

#[cfg(test)]
mod tests;
