//! Hashes of large files, remembered by path, size, times and inode, as git's index does.
//!
//! A checkpoint's name in a key is the hash of its bytes; hashing 14 GB at every build would cost half a minute. What
//! is remembered here only saves that work: keys never hold a time. The modification time alone is not enough: `cp -a`,
//! `rsync -t` and archives that are made to be reproducible set it, so that another file may bear it; when the file's
//! entry last changed, and which entry it is, nobody sets. A file that changed within the last two seconds before it
//! was hashed is not remembered, since a later change might bear the same time. The list is sealed with its checksum; a
//! damaged one is forgotten.
//!
//! Each machine has a list of its own: on a file system that several share, what one sees of a file is not what another
//! sees.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{host, seal, write_kept};
use crate::checkpoint::hash;
use crate::diagnostic::{Diagnostic, Kind, Result};

/// The least age of a change whose time certainly differs from that of a later one.
const SETTLED: Duration = Duration::from_secs(2);

/// Remembered hashes.
#[derive(Debug)]
pub struct HashMemo {
    folder: PathBuf,
    path: PathBuf,
    known: BTreeMap<String, Known>,
    changed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    of: Entry,
    sha256: String,
}

/// What distinguishes a file from another one in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    /// Nanoseconds since 1970; 0 for earlier.
    modified: u128,
    /// When its entry changed, in nanoseconds, and device and number of the entry; 0 where the system has none.
    changed: i128,
    device: u64,
    inode: u64,
}

impl Entry {
    fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok();
        let age = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let (changed, device, inode) = beyond_modified(metadata);
        Self {
            bytes: metadata.len(),
            modified: age.map_or(0, |age| age.as_nanos()),
            changed,
            device,
            inode,
        }
    }

    /// Whether it is so old that a later change bears another time.
    fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos());
        let newest = self.modified.max(u128::try_from(self.changed).unwrap_or(0));
        now.checked_sub(newest).is_some_and(|age| age >= SETTLED.as_nanos())
    }
}

#[cfg(unix)]
fn beyond_modified(metadata: &Metadata) -> (i128, u64, u64) {
    use std::os::unix::fs::MetadataExt;
    let changed = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
    (changed, metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn beyond_modified(_: &Metadata) -> (i128, u64, u64) {
    (0, 0, 0)
}

impl HashMemo {
    /// Reads the hashes that a project's `.igsite/hashes/` remembers for this machine; a file that cannot be read, or
    /// that is damaged, is ignored.
    pub fn open(store: &Path) -> Self {
        let path = store.join("hashes").join(format!("{}.json", host::name()));
        Self {
            folder: store.to_path_buf(),
            known: read(&path),
            path,
            changed: false,
        }
    }

    /// SHA-256 of a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn sha256(&mut self, file: &Path) -> Result<String> {
        let io = |e: &std::io::Error| Diagnostic::io(Kind::Checkpoint, "read", file, e);
        let entry = Entry::of(&fs::metadata(file).map_err(|e| io(&e))?);
        let name = fs::canonicalize(file)
            .map_err(|e| io(&e))?
            .to_string_lossy()
            .into_owned();
        if let Some(known) = self.known.get(&name)
            && known.of == entry
        {
            return Ok(known.sha256.clone());
        }
        let sha256 = hash::of_file(file)?;
        if entry.is_settled(SystemTime::now()) {
            let known = Known {
                of: entry,
                sha256: sha256.clone(),
            };
            self.changed |= self.known.insert(name, known.clone()) != Some(known);
        }
        Ok(sha256)
    }

    /// Writes what was learnt. A failure costs only time at the next build, so it is no error.
    pub fn save(&self) {
        if !self.changed {
            return;
        }
        // Another process of this machine may have learnt something else meanwhile.
        let mut all = read(&self.path);
        all.extend(self.known.clone());
        if let Ok(json) = serde_json::to_string(&all) {
            _ = write_kept(&self.folder, &self.path, seal::seal(&json, "").as_bytes());
        }
    }
}

fn read(path: &Path) -> BTreeMap<String, Known> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let known = seal::open(&text, "").and_then(|json| serde_json::from_str(json).ok());
    known.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    const OLD: Duration = Duration::from_secs(60);

    fn set_modified(file: &Path, time: SystemTime) {
        let file = fs::File::options().write(true).open(file).unwrap();
        file.set_modified(time).unwrap();
    }

    /// A file of the past, as far as its entry goes too.
    fn settled(file: &Path, text: &str) -> SystemTime {
        let time = SystemTime::now() - OLD;
        fs::write(file, text).unwrap();
        set_modified(file, time);
        sleep(SETTLED + Duration::from_millis(50));
        time
    }

    #[test]
    fn a_changed_file_is_hashed_again_though_size_and_time_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weights");
        let time = settled(&file, "one");
        let mut memo = HashMemo::open(folder.path());
        let first = memo.sha256(&file).unwrap();
        memo.save();
        let mut memo = HashMemo::open(folder.path());
        assert_eq!(memo.known.len(), 1);
        assert_eq!(memo.sha256(&file).unwrap(), first);
        // Written over.
        fs::write(&file, "two").unwrap();
        set_modified(&file, time);
        let second = memo.sha256(&file).unwrap();
        assert_ne!(second, first);
        // Just written: not to be trusted again by its time.
        assert_eq!(memo.known.values().next().unwrap().sha256, first);
        // Another file in its place.
        let other = folder.path().join("other");
        fs::write(&other, "six").unwrap();
        set_modified(&other, time);
        fs::rename(&other, &file).unwrap();
        let third = memo.sha256(&file).unwrap();
        assert!(third != first && third != second);
    }

    #[test]
    fn a_damaged_list_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weights");
        settled(&file, "one");
        let mut memo = HashMemo::open(folder.path());
        memo.sha256(&file).unwrap();
        memo.save();
        let list = memo.path.clone();
        let text = fs::read_to_string(&list).unwrap();
        let at = text.find("\"sha256\":\"").unwrap() + 10;
        let digit = if &text[at..=at] == "0" { "1" } else { "0" };
        fs::write(&list, [&text[..at], digit, &text[at + 1..]].concat()).unwrap();
        assert!(HashMemo::open(folder.path()).known.is_empty());
        fs::write(&list, &text).unwrap();
        assert_eq!(HashMemo::open(folder.path()).known.len(), 1);
    }
}
