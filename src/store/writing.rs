//! Files that are there whole or not at all: written under a name that nobody else has, then renamed.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::host;
use crate::diagnostic::{Diagnostic, Kind, Result};

/// How old a file of another machine must be before it is taken for one that nobody will finish.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// A word that no other process says, on no machine, nor this one again.
pub(super) fn unique() -> String {
    static PROCESS: OnceLock<String> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // The standard library's keys for hashes are from the system's source of random numbers: two containers may have
    // the same name and the same number for their processes.
    let random = || RandomState::new().hash_one(std::process::id()) as u32;
    let process = PROCESS.get_or_init(|| format!("{}-{:08x}", host::stamp(), random()));
    format!("{process}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Removes what processes have left that were killed while they wrote: those of this machine that have ended, and files
/// that are older than a day.
pub(super) fn tidy(beside: &Path) {
    let entries = fs::read_dir(beside).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let age = fs::metadata(&path).and_then(|found| found.modified()).ok();
        let age = age.and_then(|modified| modified.elapsed().ok());
        if host::is_of_the_dead(&path) || age.is_some_and(|age| age > ABANDONED) {
            _ = fs::remove_file(&path);
        }
    }
}

/// Writes a file beside its place and renames it, so that nobody ever sees half of it, however many write it at once.
///
/// # Errors
/// The disk is full or the folder cannot be written; nothing is left behind.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let side = path.with_extension(format!("{}.part", unique()));
    write_by(&side, path, bytes, Durable::Now)
}

/// As [`write_atomically`], for a file of `.igsite/`, whose `folder` it is: what is left if the process is killed is
/// tidied up by the next one.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_kept(folder: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    write_by(
        &beside(folder).join(format!("{}.part", unique())),
        path,
        bytes,
        Durable::Now,
    )
}

/// As [`write_kept`], where the caller sees to it that all such files get to the disk ([`sync`]): for very many at once.
///
/// # Errors
/// As [`write_atomically`].
pub(super) fn write_one_of_many(folder: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    write_by(
        &beside(folder).join(format!("{}.part", unique())),
        path,
        bytes,
        Durable::Later,
    )
}

/// Waits until all that was written to the disk of a folder is on it.
pub(super) fn sync(folder: &Path) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Ok(folder) = File::open(folder) {
        // A file that does not get there is found damaged by its checksum.
        _ = rustix::fs::syncfs(folder);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = folder;
}

/// When a file has to be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durable {
    Now,
    Later,
}

/// Where the files of `.igsite/` are written before they are moved to their place: in the store, since a move must not
/// lead to another disk.
pub(super) fn beside(folder: &Path) -> PathBuf {
    folder.join("store").join("tmp")
}

/// As [`write_atomically`], by way of another file.
///
/// # Errors
/// As [`write_atomically`].
fn write_by(side: &Path, path: &Path, bytes: &[u8], durable: Durable) -> Result<()> {
    let write = || {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        write_new_io(side, bytes, durable).and_then(|()| rename(side, path))
    };
    // A folder that is gone was removed by a process that has no more use for it (the plans of shards, once one knows
    // the whole plan); a file that is gone was tidied up by somebody whose clock is wrong.
    let written = again(&COMING_AND_GOING, || write().inspect_err(|_| _ = fs::remove_file(side)));
    match written {
        // The store is a link to another disk, and this is a plan or the like.
        Err(error) if error.kind() == ErrorKind::CrossesDevices && side.parent() != path.parent() => {
            write_atomically(path, bytes)
        }
        other => other.map_err(|e| Diagnostic::io(Kind::Output, "write", path, &e)),
    }
}

/// Gives a file its place. What another program has open without sharing it (a scanner, a backup) cannot be replaced on
/// Windows; that takes a moment, and is waited for, a second at most.
fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    let rename = || fs::rename(from, to);
    if cfg!(windows) {
        again(&[ErrorKind::PermissionDenied], rename)
    } else {
        rename()
    }
}

/// What the system says of a folder that another process makes or removes between two looks of [`fs::create_dir_all`].
const COMING_AND_GOING: [ErrorKind; 2] = [ErrorKind::NotFound, ErrorKind::AlreadyExists];

/// How often a step is tried that another process can undo under our hands: for a second in all.
const TRIES: u64 = 200;

/// What a step says in the end that is tried again while it fails in this way.
fn again(kinds: &[ErrorKind], mut step: impl FnMut() -> std::io::Result<()>) -> std::io::Result<()> {
    for tried in 1..TRIES {
        match step() {
            Err(error) if kinds.contains(&error.kind()) => std::thread::sleep(Duration::from_micros(50 * tried)),
            other => return other,
        }
    }
    step()
}

/// Makes a folder that another process may make or remove at the same time. [`fs::create_dir_all`] alone says "File
/// exists" where the folder was there at its first look and gone at its second.
///
/// # Errors
/// As of the system; what stands there is no folder.
pub(super) fn make_folder(path: &Path) -> std::io::Result<()> {
    again(&COMING_AND_GOING, || fs::create_dir_all(path))
}

/// Removes a folder with all in it, while other processes may write there. What they write as it goes may stay.
///
/// # Errors
/// As of the system.
pub(super) fn remove_folder(path: &Path) -> std::io::Result<()> {
    match again(&[ErrorKind::DirectoryNotEmpty], || fs::remove_dir_all(path)) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => Ok(()),
        other => other,
    }
}

/// Moves a file, also to another disk.
///
/// # Errors
/// As of the system.
pub(super) fn relocate(from: &Path, to: &Path) -> std::io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            fs::copy(from, to)?;
            fs::remove_file(from)
        }
        other => other,
    }
}

/// Writes a file that is not there yet, and makes sure that it is on the disk.
///
/// # Errors
/// It is there, the disk is full or the folder cannot be written; nothing is left behind.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    write_new_io(path, bytes, Durable::Now).map_err(|e| {
        _ = fs::remove_file(path);
        Diagnostic::io(Kind::Output, "write", path, &e)
    })
}

fn write_new_io(path: &Path, bytes: &[u8], durable: Durable) -> std::io::Result<()> {
    let open = || File::options().write(true).create_new(true).open(path);
    let mut file = match open() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
            open()?
        }
        other => other?,
    };
    file.write_all(bytes)?;
    match durable {
        Durable::Now => file.sync_data(),
        Durable::Later => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_many_at_once_is_what_one_of_them_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/file.json");
        std::thread::scope(|scope| {
            for writer in 0..8u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..50 {
                        write_atomically(path, &vec![writer; 10_000]).unwrap();
                        let read = fs::read(path).unwrap();
                        assert!(read.len() == 10_000 && read.iter().all(|byte| *byte == read[0]));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    /// A process that knows a whole plan removes the folder of the shards' plans while others write theirs.
    #[test]
    fn a_folder_that_goes_and_comes_keeps_nobody_from_writing() {
        let folder = tempfile::tempdir().unwrap();
        let plans = folder.path().join("plans/of/shards");
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        remove_folder(&plans).unwrap();
                        std::thread::sleep(Duration::from_micros(100));
                    }
                });
            }
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let (plans, folder) = (&plans, folder.path());
                    scope.spawn(move || {
                        for _ in 0..300 {
                            write_one_of_many(folder, &plans.join(format!("{writer}.jsonl")), b"plan").unwrap();
                        }
                    })
                })
                .collect();
            let written: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(written.iter().all(Result::is_ok));
        });
        assert_eq!(fs::read_dir(beside(folder.path())).unwrap().count(), 0);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir_all(path.join("inside")).unwrap();
        assert!(write_atomically(&path, b"text").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
