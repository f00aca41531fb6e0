//! Hashes of large files, remembered by path, size and modification time, as git's index does.
//!
//! A checkpoint's name in a key is the hash of its bytes; hashing 14 GB at every build would cost half a minute. What is
//! remembered here only saves that work: keys never hold a time. A file that changed within the last two seconds before it was
//! hashed is not remembered, since a later change might bear the same time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::write_atomically;
use crate::checkpoint::hash;
use crate::diagnostic::{Diagnostic, Kind, Result};

/// How recent a change may be for its time to be told apart from a later one's.
const SETTLED: Duration = Duration::from_secs(2);

/// Remembered hashes.
#[derive(Debug)]
pub struct HashMemo {
    path: PathBuf,
    known: BTreeMap<String, Known>,
    changed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    bytes: u64,
    modified: u128,
    sha256: String,
}

impl HashMemo {
    /// Reads what a project's `.igsite/hashes.json` remembers; a file that cannot be read is forgotten.
    pub fn open(store: &Path) -> Self {
        let path = store.join("hashes.json");
        let known = fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self {
            path,
            known,
            changed: false,
        }
    }

    /// SHA-256 of a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn sha256(&mut self, file: &Path) -> Result<String> {
        let io = |e: &std::io::Error| Diagnostic::io(Kind::Checkpoint, "read", file, e);
        let metadata = fs::metadata(file).map_err(|e| io(&e))?;
        let modified = metadata.modified().map_err(|e| io(&e))?;
        let stamp = modified.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos());
        let name = fs::canonicalize(file)
            .map_err(|e| io(&e))?
            .to_string_lossy()
            .into_owned();
        if let Some(known) = self.known.get(&name)
            && known.bytes == metadata.len()
            && known.modified == stamp
        {
            return Ok(known.sha256.clone());
        }
        let sha256 = hash::of_file(file)?;
        let settled = SystemTime::now()
            .duration_since(modified)
            .is_ok_and(|age| age >= SETTLED);
        if settled {
            let known = Known {
                bytes: metadata.len(),
                modified: stamp,
                sha256: sha256.clone(),
            };
            self.changed |= self.known.insert(name, known.clone()) != Some(known);
        }
        Ok(sha256)
    }

    /// Writes what was learnt. A failure costs only time at the next build, so it is no error.
    pub fn save(&self) {
        if self.changed
            && let Ok(json) = serde_json::to_vec_pretty(&self.known)
        {
            _ = write_atomically(&self.path, &json);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_hashed_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weights");
        fs::write(&file, "one").unwrap();
        let old = SystemTime::now() - Duration::from_secs(60);
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(old)
            .unwrap();
        let mut memo = HashMemo::open(folder.path());
        let first = memo.sha256(&file).unwrap();
        memo.save();
        let mut memo = HashMemo::open(folder.path());
        assert_eq!(memo.known.len(), 1);
        assert_eq!(memo.sha256(&file).unwrap(), first);
        fs::write(&file, "two").unwrap();
        assert_ne!(memo.sha256(&file).unwrap(), first);
        // Just written: not to be trusted again by its time.
        assert_eq!(memo.known.values().next().unwrap().sha256, first);
    }
}
