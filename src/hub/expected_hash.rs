//! What the name of a file in the hub's cache promises of its bytes, and whether they keep it.
//!
//! A file of a snapshot is a link to `blobs/<name>`, and the name is a hash of the bytes: SHA-256 (64 digits) for a
//! large file, git's own (40 digits) for a small one. A disk, a copy that broke off or another program may have
//! changed them since they came. Where a system has no links, a file has no such name, and nothing is promised. This
//! file knows paths and bytes; it asks no network.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::checkpoint::hash;
use crate::diagnostic::{Diagnostic, Result};

/// A hash that a file's bytes must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedHash {
    /// SHA-256, in lower-case hexadecimal: a large file.
    Sha256(String),
    /// Git's hash of the file, in lower-case hexadecimal: a small one ([`hash::git_blob`]).
    Git(String),
}

impl ExpectedHash {
    /// What a name promises: 64 hexadecimal digits a SHA-256, 40 git's hash, another name nothing.
    pub fn of_name(name: &str) -> Option<Self> {
        let digits = name.bytes().all(|byte| byte.is_ascii_hexdigit());
        match name.len() {
            64 if digits => Some(Self::Sha256(name.to_ascii_lowercase())),
            40 if digits => Some(Self::Git(name.to_ascii_lowercase())),
            _ => None,
        }
    }

    /// What the name of a cached file's bytes promises; none for a file that is not of the hub's cache.
    pub fn of_file(file: &Path) -> Option<Self> {
        Self::of_name(blob(file)?.file_name()?.to_str()?)
    }

    /// The hash and its name, for messages.
    fn shown(&self) -> (&'static str, &str) {
        match self {
            Self::Sha256(hash) => ("SHA-256", hash),
            Self::Git(hash) => ("git hash", hash),
        }
    }

    /// Whether a file's bytes keep it. `file` is read whole.
    ///
    /// # Errors
    /// They do not, or the file cannot be read.
    pub fn check(&self, file: &Path) -> Result<()> {
        let found = match self {
            Self::Sha256(_) => hash::of_file(file),
            Self::Git(_) => hash::git_blob(file),
        };
        self.compare(file, &found.map_err(|error| advised(error, file))?)
    }

    fn compare(&self, file: &Path, found: &str) -> Result<()> {
        let (name, promised) = self.shown();
        if found == promised {
            return Ok(());
        }
        let error = Diagnostic::download(format!(
            "this file of the hub's cache is damaged: its {name} is {found}"
        ))
        .in_file(file)
        .expected(format!("{promised}, as the name of its bytes says"));
        Err(advised(error, file))
    }
}

/// How a damaged file is downloaded again.
fn advised(error: Diagnostic, file: &Path) -> Diagnostic {
    let lies = blob(file).unwrap_or_else(|| file.to_path_buf());
    error.help(format!(
        "delete {} and run `igsite fetch` (which by itself moves it aside and brings it anew)",
        lies.display()
    ))
}

/// The SHA-256 that the name of a cached file's bytes promises, in lower-case hexadecimal. `file` is a file of a
/// snapshot, or the bytes.
pub fn promised_sha256(file: &Path) -> Option<String> {
    match ExpectedHash::of_file(file)? {
        ExpectedHash::Sha256(hash) => Some(hash),
        ExpectedHash::Git(_) => None,
    }
}

/// Compares a SHA-256 that was computed anyway with what the name of the file's bytes promises, if it promises one.
///
/// # Errors
/// They differ: the file is damaged.
pub fn compare_sha256(file: &Path, found: &str) -> Result<()> {
    match promised_sha256(file) {
        Some(promised) => ExpectedHash::Sha256(promised).compare(file, found),
        None => Ok(()),
    }
}

/// Reads a small file of the cache and compares its git hash with what the name of its bytes promises, if it promises
/// one.
///
/// # Errors
/// They differ, or the file cannot be read.
pub fn check_small(file: &Path) -> Result<()> {
    match ExpectedHash::of_file(file) {
        Some(expected_hash @ ExpectedHash::Git(_)) => expected_hash.check(file),
        _ => Ok(()),
    }
}

/// Where the bytes of a cached file lie: `<repository>/blobs/<name>`, whether `file` is a link to it or the bytes
/// themselves.
pub fn blob(file: &Path) -> Option<PathBuf> {
    let path = match std::fs::read_link(file) {
        // From the link's folder; only this one step: `blobs/<name>` may itself be a link to a larger disk.
        Ok(target) => file.parent()?.join(target),
        Err(_) => file.to_path_buf(),
    };
    let folder = path.parent()?.canonicalize().ok()?;
    let repository = folder.parent()?.file_name()?.to_str()?;
    let is_cache = ["models--", "datasets--"]
        .iter()
        .any(|kind| repository.starts_with(kind));
    (folder.file_name() == Some(OsStr::new("blobs")) && is_cache)
        .then(|| folder.join(path.file_name().unwrap_or_default()))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    /// `printf abc | git hash-object --stdin`
    const ABC_GIT: &str = "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f";

    /// A repository of the cache with one file, whose bytes have this name.
    fn cached(bytes: &str, name: &str) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let repository = root.path().join("models--org--m");
        let snapshot = repository.join("snapshots").join("0".repeat(40));
        fs::create_dir_all(repository.join("blobs")).unwrap();
        fs::create_dir_all(&snapshot).unwrap();
        fs::write(repository.join("blobs").join(name), bytes).unwrap();
        symlink(Path::new("../../blobs").join(name), snapshot.join("a file")).unwrap();
        let file = snapshot.join("a file");
        (root, file)
    }

    #[test]
    fn a_name_is_a_promise_that_bytes_keep_or_break() {
        let (_root, file) = cached("abc", ABC);
        assert_eq!(promised_sha256(&file).as_deref(), Some(ABC));
        assert_eq!(promised_sha256(&blob(&file).unwrap()).as_deref(), Some(ABC));
        ExpectedHash::of_file(&file).unwrap().check(&file).unwrap();
        compare_sha256(&file, ABC).unwrap();
        check_small(&file).unwrap();
        fs::write(&file, "abd").unwrap();
        let error = ExpectedHash::of_file(&file).unwrap().check(&file).unwrap_err();
        assert!(error.message.contains("is damaged"), "{error}");
        assert!(error.expected.unwrap().contains(ABC));
        let help = error.help.unwrap();
        assert!(help.contains(ABC) && help.contains("igsite fetch"), "{help}");
        assert!(compare_sha256(&file, &ABC.replace("ba", "bb")).is_err());

        let (_root, file) = cached("abc", ABC_GIT);
        assert_eq!(promised_sha256(&file), None);
        check_small(&file).unwrap();
        compare_sha256(&file, "another").unwrap();
        fs::write(&file, "abd").unwrap();
        assert!(check_small(&file).unwrap_err().message.contains("git hash"));
    }

    #[test]
    fn what_is_no_file_of_the_cache_promises_nothing() {
        let (_root, file) = cached("abc", "an-etag-of-another-kind");
        assert_eq!(ExpectedHash::of_file(&file), None);
        let folder = tempfile::tempdir().unwrap();
        // Another program's folder of the same name.
        fs::create_dir_all(folder.path().join("blobs")).unwrap();
        fs::write(folder.path().join("blobs").join(ABC), "abd").unwrap();
        assert_eq!(ExpectedHash::of_file(&folder.path().join("blobs").join(ABC)), None);
        fs::write(folder.path().join("plain"), "abd").unwrap();
        assert_eq!(ExpectedHash::of_file(&folder.path().join("plain")), None);
        assert_eq!(ExpectedHash::of_file(&folder.path().join("absent")), None);
    }
}
