//! What a build wrote, as it saw it: by this the next one knows whether the folder is as it was left.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;

use super::{MARK, hash_of, parse_mark};
use crate::stamp;

/// What the writer saw of a file that it wrote, or found as it should be. None of it changes when the file is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    bytes: u64,
    modified: Option<SystemTime>,
    entry: u64,
}

impl Seen {
    pub fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let entry = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let entry = 0;
        Self {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            entry,
        }
    }
}

/// A file of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Of its content.
    pub hash: String,
    pub seen: Seen,
}

/// The files of a site that was written.
#[derive(Clone, Debug)]
pub struct Written {
    folder: PathBuf,
    /// With the mark.
    files: BTreeMap<String, Entry>,
}

impl Written {
    pub(super) fn new(folder: &Path, files: BTreeMap<String, Entry>) -> Self {
        Self {
            folder: folder.to_owned(),
            files,
        }
    }

    /// A hash of what was written: the mark, which has the hash of each file, and their names, sizes and times; none
    /// where a file is no longer the one that was written, or where its times cannot show that.
    pub fn state(&self) -> Option<String> {
        let lines: Option<Vec<_>> = self
            .files
            .par_iter()
            .map(|(path, entry)| {
                let found = fs::symlink_metadata(self.folder.join(path)).ok()?;
                let times = stamp::times(&found)?;
                (Seen::of(&found) == entry.seen).then_some((path, times))
            })
            .collect();
        Some(stamp::debug_hash(&(&self.files.get(MARK)?.hash, lines?)))
    }
}

/// The same hash, of the files in a folder that its mark lists; none where one is missing or is no file.
pub(super) fn state_of(folder: &Path) -> Option<String> {
    let bytes = fs::read(folder.join(MARK)).ok()?;
    let mut files = parse_mark(&bytes, folder).ok()?;
    files.insert(MARK.to_owned(), hash_of(&bytes));
    let lines: Option<Vec<_>> = files
        .par_iter()
        .map(|(path, _)| Some((path, stamp::times(&fs::symlink_metadata(folder.join(path)).ok()?)?)))
        .collect();
    Some(stamp::debug_hash(&(files.get(MARK)?, lines?)))
}
