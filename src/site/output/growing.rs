//! A file that is written in parts: the data of a whole experiment is larger than anything else of a site, and never in
//! memory at once.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::{Entry, Looked, Output, Seen, check_path, create};
use crate::diagnostic::{Diagnostic, Kind, Result};

/// A staged file to which parts are added.
#[derive(Debug)]
pub struct Growing {
    path: String,
    staged: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
    /// What is not hashed and written yet.
    waiting: Vec<u8>,
}

/// Bytes that are hashed and written at once: a record has some thousands, and BLAKE3 is fast on many.
const PIECE: usize = 1 << 18;

impl Growing {
    /// Its path in the site.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its length so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds what comes next.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, part: &[u8]) -> Result<()> {
        self.bytes += part.len() as u64;
        self.waiting.extend_from_slice(part);
        if self.waiting.len() < PIECE {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        self.hasher.update(&self.waiting);
        let written = self.file.write_all(&self.waiting);
        self.waiting.clear();
        written.map_err(|error| Diagnostic::io(Kind::Output, "write", &self.staged, &error))
    }
}

impl Output<'_> {
    /// Begins a file of which parts are to come; what it has become has to be taken as of any other.
    ///
    /// # Errors
    /// As [`Output::look`].
    pub fn begin(&self, path: &str) -> Result<Growing> {
        check_path(path)?;
        self.refuse_foreign_in_the_way(path)?;
        let staged = self.staged_at(path);
        let file = create(&staged).map_err(|error| Diagnostic::io(Kind::Output, "write", &staged, &error))?;
        Ok(Growing {
            path: path.to_owned(),
            staged,
            file,
            hasher: blake3::Hasher::new(),
            bytes: 0,
            waiting: Vec::new(),
        })
    }

    /// Ends a file: compares it with the one in place, and leaves it staged where they differ.
    ///
    /// # Errors
    /// Its end cannot be written; a file that is the same as the one in place cannot be taken back.
    pub fn end(&self, mut file: Growing) -> Result<Looked> {
        file.flush()?;
        let hash = file.hasher.finalize().to_hex().to_string();
        let written = file.file.metadata();
        let written = written.map_err(|error| Diagnostic::io(Kind::Output, "write", &file.staged, &error))?;
        drop(file.file);
        let place = self.folder.join(&file.path);
        let known = self.old.get(&file.path) == Some(&hash);
        let same = known.then(|| same_files(&place, &file.staged)).flatten();
        if same.is_some() {
            fs::remove_file(&file.staged)
                .map_err(|error| Diagnostic::io(Kind::Output, "remove", &file.staged, &error))?;
        }
        let seen = same.unwrap_or_else(|| Seen::of(&written));
        Ok(Looked {
            path: file.path,
            entry: Entry { hash, seen },
            staged: same.is_none(),
        })
    }
}

/// What was seen of the first, if it is a file and holds the same bytes as the second.
fn same_files(one: &Path, other: &Path) -> Option<Seen> {
    let (found, staged) = (fs::symlink_metadata(one).ok()?, fs::symlink_metadata(other).ok()?);
    let same = found.is_file() && found.len() == staged.len() && same_content(one, other).unwrap_or(false);
    same.then(|| Seen::of(&found))
}

fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    const PIECE: usize = 1 << 16;
    let (mut one, mut other) = (File::open(one)?, BufReader::with_capacity(PIECE, File::open(other)?));
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let count = one.read(&mut left)?;
        if count == 0 {
            return Ok(other.read(&mut right)? == 0);
        }
        if other.read_exact(&mut right[..count]).is_err() || left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Patience;
    use crate::site::output::Folder;

    fn folder_of(path: &Path) -> Folder {
        Folder::take(path, Path::new("project"), Patience::None).expect("ours")
    }

    fn build(folder: &Path, parts: &[&str]) -> (usize, usize) {
        let folder = folder_of(folder);
        let mut output = Output::open(&folder).expect("ours");
        let mut file = output.begin("data/all.csv").expect("begun");
        for part in parts {
            file.add(part.as_bytes()).expect("added");
        }
        assert_eq!(file.bytes(), parts.concat().len() as u64);
        let looked = output.end(file).expect("ended");
        output.take(looked).expect("taken");
        let (counts, _) = output.commit().expect("written");
        (counts.written, counts.unchanged)
    }

    #[test]
    fn parts_become_the_file_and_the_same_ones_leave_it_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("data/all.csv");
        assert_eq!(build(folder.path(), &["a,b\n", "1,2\n"]), (1, 0));
        assert_eq!(fs::read_to_string(&file).expect("written"), "a,b\n1,2\n");
        let before = fs::metadata(&file).and_then(|found| found.modified()).expect("a time");
        assert_eq!(build(folder.path(), &["a,b\n1,", "2\n"]), (0, 1));
        let after = fs::metadata(&file).and_then(|found| found.modified()).expect("a time");
        assert_eq!(before, after);
        assert_eq!(build(folder.path(), &["a,b\n", "1,3\n"]), (1, 0));
        assert_eq!(fs::read_to_string(&file).expect("written"), "a,b\n1,3\n");
        // Somebody edited it, to the same length: it is corrected.
        fs::write(&file, "a,b\n9,9\n").expect("edited");
        assert_eq!(build(folder.path(), &["a,b\n", "1,3\n"]), (1, 0));
        assert_eq!(fs::read_to_string(&file).expect("written"), "a,b\n1,3\n");
    }

    #[test]
    fn a_build_that_is_given_up_leaves_the_old_file() {
        let folder = tempfile::tempdir().expect("a folder");
        build(folder.path(), &["old"]);
        let ours = folder_of(folder.path());
        let output = Output::open(&ours).expect("ours");
        let mut file = output.begin("data/all.csv").expect("begun");
        file.add(b"new").expect("added");
        drop((file, output));
        drop(ours);
        let found = fs::read_to_string(folder.path().join("data/all.csv")).expect("there");
        assert_eq!(found, "old");
    }
}
