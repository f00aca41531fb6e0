//! Who may write a project's site and stamp: one build at a time. The parts of the store need no such right.

use std::fs::File;
use std::path::Path;

use super::{FOLDER, writing};
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::lock::{self, Patience, Sharing};

/// The right to write the site and the stamp of a project, or to read them while nobody does. It ends when this is
/// dropped, or the process ends.
#[derive(Debug)]
pub struct Claim {
    /// None where it is only to read and nothing can be locked.
    _lock: Option<File>,
}

impl Claim {
    /// To write.
    ///
    /// # Errors
    /// Another igsite writes or reads them; or the file system has no locks.
    pub fn to_write(project: &Path, patience: Patience) -> Result<Self> {
        let folder = project.join(FOLDER);
        writing::make_folder(&folder)
            .map_err(|e| Diagnostic::io(Kind::Output, "make the record store", &folder, &e))?;
        let path = folder.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| Diagnostic::io(Kind::Output, "open the store's lock", &path, &e))?;
        if !lock::lock(&file, &path, Sharing::Alone, patience, || busy(&path))? {
            return Err(Diagnostic::output("the file system of the record store has no locks")
                .in_file(&path)
                .help("build the site on a disk of this machine; `igsite compute` needs no lock"));
        }
        Ok(Self { _lock: Some(file) })
    }

    /// To read. Nothing is written: the project may be on a read-only medium, and then nobody else can write there
    /// either.
    ///
    /// # Errors
    /// Another igsite is writing.
    pub fn to_read(project: &Path, patience: Patience) -> Result<Self> {
        let path = project.join(FOLDER).join("lock");
        // Windows locks no file that is open to append alone.
        let made = || File::options().create(true).read(true).append(true).open(&path);
        let _lock = match File::open(&path).or_else(|_| made()) {
            Ok(file) => {
                lock::lock(&file, &path, Sharing::Shared, patience, || busy(&path))?;
                Some(file)
            }
            Err(_) => None,
        };
        Ok(Self { _lock })
    }
}

fn busy(lock: &Path) -> Diagnostic {
    Diagnostic::output("another igsite is at work in this project")
        .in_file(lock)
        .help("wait until it has ended; the lock is freed by itself, even if it is killed")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_one_may_write() {
        let folder = tempfile::tempdir().unwrap();
        let claim = Claim::to_write(folder.path(), Patience::None).unwrap();
        let error = Claim::to_write(folder.path(), Patience::None).unwrap_err();
        assert!(error.message.contains("another igsite is at work"), "{error}");
        assert!(Claim::to_read(folder.path(), Patience::None).is_err());
        drop(claim);
        assert!(Claim::to_write(folder.path(), Patience::None).is_ok());
        let _readers = [(); 2].map(|()| Claim::to_read(folder.path(), Patience::None).unwrap());
        assert!(Claim::to_write(folder.path(), Patience::None).is_err());
    }

    #[test]
    fn to_read_makes_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        drop(Claim::to_read(folder.path(), Patience::None).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
