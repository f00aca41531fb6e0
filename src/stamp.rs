//! Whether anything changed since the last build: what it read, what it stored and what it wrote, in a few hashes.
//!
//! A build whose stamp still matches has nothing to do, and says so in less than a second whatever the size of the
//! site. The stamp belongs to this machine and this folder (`.igsite/last-build.json`). What authors write is compared
//! by its content; checkpoints, stored parts and written files by name, size and times, as git's index does. Any
//! difference, a stamp that cannot be read, or times too coarse to show a change lead to a real build: the stamp saves
//! work, and decides nothing else.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::checkpoint::hash;
use crate::content::model::ModelSource;
use crate::content::project::Project;
use crate::diagnostic::{Diagnostics, Kind};
use crate::hub::Hub;
use crate::input;
use crate::plan::{named_models, warn};
use crate::store::memo::HashMemo;
use crate::store::{Store, write_kept};

const SCHEMA: &str = "igsite/stamp/2";
/// The least age of a change that a clock of whole seconds can distinguish from a later one.
const SETTLED: Duration = Duration::from_secs(2);

/// Hashes of what a build depends on, by what it is.
pub type Inputs = BTreeMap<String, String>;

/// What the last build saw and said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    schema: String,
    /// What it read.
    pub inputs: Inputs,
    /// What it stored.
    kept: String,
    /// What it wrote.
    written: String,
    /// Files of the site.
    pub files: usize,
    /// Maps of the site.
    pub maps: usize,
    /// Maps below the quality bar.
    pub below: usize,
    /// Warnings, which are printed again.
    pub warnings: Vec<String>,
    /// BLAKE3 of all the rest: a stamp that a disk or a person has changed is not used.
    checksum: String,
}

/// The options of a build, as far as its result depends on them.
pub struct BuildOptions<'a> {
    /// The output folder.
    pub output: &'a Path,
    /// Where the site will stand.
    pub base_url: Option<&'a str>,
    /// What computes, for the dtype.
    pub backend: &'a str,
}

/// Hashes of what a build would read; none where something cannot be read, and a real build has to report what is
/// wrong. Warnings about models of the hub go to `warnings`.
pub fn inputs(
    project: &Project,
    asked: &BuildOptions,
    hub: &Hub,
    memo: &mut HashMemo,
    warnings: &mut Diagnostics,
) -> Option<Inputs> {
    let mut inputs = Inputs::new();
    let mut add = |what: &str, hash: String| inputs.insert(what.to_owned(), hash);
    let binary = memo.sha256(&std::env::current_exe().ok()?).ok()?;
    add("igsite", binary);
    let options = (std::path::absolute(asked.output).ok()?, asked.base_url, asked.backend);
    add("the options", debug_hash(&options));
    // As it was understood, not as it is written: a new field of any part is in it by itself.
    add("content/", debug_hash(project));
    for folder in ["templates", "static"] {
        add(&format!("{folder}/"), contents(&project.root.join(folder))?);
    }
    if let Some(book) = &project.book {
        let hashes = book.files.iter().map(|file| {
            let bytes = input::read(&project.root.join(file), Kind::Content, "read").ok()?;
            Some((file, hash::of_bytes(&bytes)))
        });
        add(
            "the files of the book",
            debug_hash(&hashes.collect::<Option<Vec<_>>>()?),
        );
    }
    for id in named_models(project) {
        let spec = project.models.get(id)?;
        let place = match &spec.source {
            ModelSource::Folder(place) | ModelSource::File(place) => place.clone(),
            ModelSource::Hub(repository) => {
                let found = hub.model_without_weights(repository, &spec.revision);
                warn(spec, hub, warnings);
                found.ok()?.0.folder
            }
            ModelSource::HubFile(repository, file) => {
                let found = hub.gguf_that_is_here(repository, &spec.revision, file);
                warn(spec, hub, warnings);
                found.ok()?.folder.join(file)
            }
        };
        // Of a file that is the whole model, it is that file.
        add(
            &format!("the model `{id}`"),
            names_and_times(&files_of(&place, 1)?, &place)?,
        );
    }
    Some(inputs)
}

impl Stamp {
    /// The stamp of the last build in this project.
    pub fn read(store: &Store) -> Option<Self> {
        let stamp: Self = serde_json::from_slice(&fs::read(path(store)).ok()?).ok()?;
        (stamp.schema == SCHEMA && stamp.checksum == stamp.sum()).then_some(stamp)
    }

    fn sum(&self) -> String {
        let rest = Self {
            checksum: String::new(),
            ..self.clone()
        };
        blake3::hash(format!("{rest:?}").as_bytes()).to_hex().to_string()
    }

    /// What is not as the last build left it; none if all of it is.
    pub fn changed(
        &self,
        inputs: &Inputs,
        store: &Store,
        written: impl FnOnce() -> Option<String> + Send,
    ) -> Option<String> {
        let names = self.inputs.keys().chain(inputs.keys());
        let differs = |name: &&String| self.inputs.get(*name) != inputs.get(*name);
        if let Some(name) = names.into_iter().find(differs) {
            return Some(name.clone());
        }
        let (kept, written) = rayon::join(|| kept(store), written);
        if kept.as_ref() != Some(&self.kept) {
            return Some("the record store".to_owned());
        }
        (written.as_ref() != Some(&self.written)).then(|| "the output folder".to_owned())
    }

    /// Writes the stamp of a build that is done. A failure costs only time at the next build, so it is no error.
    pub fn write(
        store: &Store,
        inputs: Inputs,
        written: impl FnOnce() -> Option<String> + Send,
        (files, maps, below): (usize, usize, usize),
        warnings: Vec<String>,
    ) {
        let (kept, written) = rayon::join(|| kept(store), written);
        let stamp = kept.zip(written).map(|(kept, written)| Self {
            schema: SCHEMA.to_owned(),
            inputs,
            kept,
            written,
            files,
            maps,
            below,
            warnings,
            checksum: String::new(),
        });
        let stamp = stamp.map(|stamp| Self {
            checksum: stamp.sum(),
            ..stamp
        });
        let json = stamp.and_then(|stamp| serde_json::to_vec_pretty(&stamp).ok());
        match json {
            Some(json) => _ = write_kept(store.folder(), &path(store), &json),
            None => Self::forget(store),
        }
    }

    /// Takes the stamp away, before anything is changed that it speaks of.
    pub fn forget(store: &Store) {
        _ = fs::remove_file(path(store));
    }
}

fn path(store: &Store) -> PathBuf {
    store.folder().join("last-build.json")
}

fn kept(store: &Store) -> Option<String> {
    // The folders in which parts lie, so that threads have something to share.
    let walk = WalkDir::new(store.folder().join("store")).min_depth(3).max_depth(3);
    let folders = walk.sort_by_file_name().into_iter().flatten();
    let folders: Vec<PathBuf> = folders.map(walkdir::DirEntry::into_path).collect();
    let all: Option<Vec<String>> = folders
        .par_iter()
        .map(|folder| {
            let mut lines = Vec::new();
            add_names_and_times(folder, &mut lines)?;
            Some(debug_hash(&(folder.strip_prefix(store.folder()).ok()?, lines)))
        })
        .collect();
    let plans = names_and_times(&files_of(&store.folder().join("plans"), usize::MAX)?, store.folder())?;
    Some(debug_hash(&(all?, plans)))
}

/// Names, sizes and times of a folder's files, in the order of their names, with one system call for each: a store has
/// as many folders as files.
fn add_names_and_times(folder: &Path, lines: &mut Vec<(PathBuf, (u64, u128, u128))>) -> Option<()> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .map(|entry| Some(entry.ok()?.path()))
        .collect::<Option<_>>()?;
    paths.sort_unstable();
    for path in paths {
        let metadata = fs::metadata(&path).ok()?;
        if metadata.is_dir() {
            add_names_and_times(&path, lines)?;
        } else {
            let name = path.file_name()?.into();
            lines.push((name, times(&metadata)?));
        }
    }
    Some(())
}

/// The files of a folder in the order of their names, to a depth; none of a folder that is not there.
fn files_of(folder: &Path, depth: usize) -> Option<Vec<PathBuf>> {
    if !folder.exists() {
        return Some(Vec::new());
    }
    let walk = WalkDir::new(folder).max_depth(depth).sort_by_file_name();
    let mut files = Vec::new();
    for entry in walk {
        let entry = entry.ok()?;
        if !entry.file_type().is_dir() {
            files.push(entry.into_path());
        }
    }
    Some(files)
}

/// A hash of all files under a folder, by what they hold.
fn contents(folder: &Path) -> Option<String> {
    let files = files_of(folder, usize::MAX)?;
    let lines: Option<Vec<(String, String)>> = files
        .par_iter()
        .map(|file| {
            let name = file.strip_prefix(folder).ok()?.to_string_lossy().into_owned();
            // A pipe is not waited for; another place reports that it is there.
            let bytes = input::read(file, Kind::Content, "read").ok()?;
            Some((name, hash::of_bytes(&bytes)))
        })
        .collect();
    Some(debug_hash(&lines?))
}

/// A hash of files by name, size and times.
pub fn names_and_times(files: &[PathBuf], root: &Path) -> Option<String> {
    let lines: Option<Vec<_>> = files
        .par_iter()
        .map(|file| {
            let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned();
            Some((name, times(&fs::metadata(file).ok()?)?))
        })
        .collect();
    Some(debug_hash(&lines?))
}

/// What distinguishes a file from a changed version of it; none where its times are too coarse for that.
pub fn times(metadata: &Metadata) -> Option<(u64, u128, u128)> {
    let modified = metadata.modified().ok()?;
    let stamp = modified.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    let settled = SystemTime::now()
        .duration_since(modified)
        .is_ok_and(|age| age >= SETTLED);
    let fine = stamp % 1_000_000_000 != 0;
    (metadata.is_file() && (settled || fine)).then(|| (metadata.len(), stamp, beyond_modified(metadata)))
}

/// What nobody sets by hand: when the file's entry changed, and which entry it is.
#[cfg(unix)]
fn beyond_modified(metadata: &Metadata) -> u128 {
    use std::os::unix::fs::MetadataExt;
    let changed = (metadata.ctime() as u128).wrapping_mul(1_000_000_000) + metadata.ctime_nsec() as u128;
    changed.wrapping_mul(31).wrapping_add(u128::from(metadata.ino()))
}

#[cfg(not(unix))]
fn beyond_modified(_: &Metadata) -> u128 {
    0
}

/// BLAKE3 of a value's `Debug` text, which is never in memory as a whole.
pub fn debug_hash(value: &impl fmt::Debug) -> String {
    struct Sink(blake3::Hasher, Vec<u8>);
    impl Write for Sink {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.1.extend_from_slice(text.as_bytes());
            if self.1.len() >= 1 << 16 {
                self.0.update(&self.1);
                self.1.clear();
            }
            Ok(())
        }
    }
    let mut sink = Sink(blake3::Hasher::new(), Vec::new());
    write!(sink, "{value:?}").unwrap_or_else(|_| unreachable!("the sink takes everything"));
    sink.0.update(&sink.1);
    sink.0.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_in_it_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let write = || {
            Stamp::write(
                &store,
                Inputs::from([("content/".to_owned(), "a hash".to_owned())]),
                || Some("another".to_owned()),
                (7, 12, 3),
                vec!["odd".to_owned()],
            );
            fs::read_to_string(path(&store)).unwrap()
        };
        let text = write();
        assert_eq!(Stamp::read(&store).map(|stamp| stamp.below), Some(3));
        for (from, to) in [
            ("\"below\": 3", "\"below\": 0"),
            ("a hash", "b hash"),
            ("another", "anothar"),
            ("odd", "even"),
            ("\"checksum\": \"", "\"checksum\": \"0"),
        ] {
            assert_eq!(text.matches(from).count(), 1, "{text}");
            fs::write(path(&store), text.replace(from, to)).unwrap();
            assert_eq!(Stamp::read(&store), None, "{from}");
        }
        fs::write(path(&store), text).unwrap();
        assert!(Stamp::read(&store).is_some());
    }
}
