//! The record store, `.igsite/`: content-addressed, atomic, versioned.
//!
//! Each part (a prediction, an attribution) is one file, named by the hash of all that it depends on, written to the side and
//! renamed. A build that is killed has lost the part it was at, nothing else. A file that cannot be read back, or that holds
//! another key than its name says, counts as missing and is made again.

pub mod key;
pub mod memo;
pub mod record;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::lock::{self, Patience, Sharing};
use key::{AttributionKey, GenerationKey, Key, PredictionKey};
use record::{NonFinite, Provenance, Round, relative_error};

/// Raised when the files' own form changes.
const FORMAT: &str = "v1";

/// A stored prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredPrediction {
    /// What it depends on.
    pub key: PredictionKey,
    /// The most probable next token.
    pub token_id: u32,
    /// Its softmax probability.
    pub probability: f64,
    /// The probability of each token that was asked for, in the key's order.
    pub asked: Vec<f64>,
    /// The natural logarithm of the probability of each answer of several tokens, in the key's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<f64>,
    /// How and when it was made.
    pub provenance: Provenance,
}

/// A model's stored words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredGeneration {
    /// What they depend on.
    pub key: GenerationKey,
    /// The tokens, without the one that ended them.
    pub token_ids: Vec<u32>,
    /// How and when they were made.
    pub provenance: Provenance,
}

/// A stored attribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredAttribution {
    /// What it depends on.
    pub key: AttributionKey,
    /// F at the input; null where it is not finite.
    pub f_input: Option<f64>,
    /// F at the baseline; null where it is not finite.
    pub f_baseline: Option<f64>,
    /// One signed score a token; empty where a value along the path was not finite.
    pub scores: Vec<f64>,
    /// The error estimate of each score, absolute, in the output's unit: the adaptive rule's own, or how far a fixed rule is from
    /// itself at half its points; none where the rule has none, or where a value along the path was not finite.
    pub errors: Option<Vec<f64>>,
    /// Forward and backward passes spent, those of a fixed rule at half its points included.
    pub evaluations: usize,
    /// How the estimate came about, a round each; of a fixed rule nothing, or what it gave at half its points and at all. Rounds
    /// whose numbers are not finite are left out.
    pub history: Vec<Round>,
    /// Whether the integrator reached its aim; none for a fixed rule, which has none.
    pub converged: Option<bool>,
    /// Where the path met a value that is not finite.
    pub non_finite: Option<NonFinite>,
    /// How and when it was made.
    pub provenance: Provenance,
}

impl StoredAttribution {
    /// The error of the map relative to its L1 norm; none where it is unknown, or where the map is zero and its error is not.
    pub fn error_estimate(&self) -> Option<f64> {
        relative_error(self.errors.as_ref()?, &self.scores)
    }
}

/// A part of a record: a value with its key.
pub trait Part: Serialize + DeserializeOwned {
    /// Its kind of key.
    type Key: Key + PartialEq;

    /// What it depends on.
    fn key(&self) -> &Self::Key;
}

impl Part for StoredPrediction {
    type Key = PredictionKey;

    fn key(&self) -> &PredictionKey {
        &self.key
    }
}

impl Part for StoredGeneration {
    type Key = GenerationKey;

    fn key(&self) -> &GenerationKey {
        &self.key
    }
}

impl Part for StoredAttribution {
    type Key = AttributionKey;

    fn key(&self) -> &AttributionKey {
        &self.key
    }
}

/// An opened store; no other process writes to it meanwhile.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Held for as long as the store is open; none where it is only read and nothing can be locked.
    _lock: Option<File>,
}

impl Store {
    /// Opens, and where need be makes, `.igsite/` in a project.
    ///
    /// # Errors
    /// The folder cannot be written, or another igsite has it open.
    pub fn open(project: &Path, patience: Patience) -> Result<Self> {
        let folder = project.join(".igsite");
        let io = |doing: &str, path: &Path, e: &std::io::Error| Diagnostic::io(Kind::Output, doing, path, e);
        fs::create_dir_all(&folder).map_err(|e| io("make the record store", &folder, &e))?;
        let path = folder.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| io("open the store's lock", &path, &e))?;
        if !lock::lock(&file, &path, Sharing::Alone, patience, || busy(&path))? {
            return Err(Diagnostic::output("the file system of the record store has no locks")
                .in_file(&path)
                .help("keep the project on a disk of this machine"));
        }
        let _lock = Some(file);
        Ok(Self { folder, _lock })
    }

    /// Opens `.igsite/` in a project to read what is kept there, which nobody changes meanwhile. Nothing is written: the project may be on a
    /// medium that cannot be, and then nobody else can write there either.
    ///
    /// # Errors
    /// Another igsite is writing to it.
    pub fn read(project: &Path, patience: Patience) -> Result<Self> {
        let folder = project.join(".igsite");
        let path = folder.join("lock");
        let made = || File::options().create(true).append(true).open(&path);
        let _lock = match File::open(&path).or_else(|_| made()) {
            Ok(file) => {
                lock::lock(&file, &path, Sharing::Shared, patience, || busy(&path))?;
                Some(file)
            }
            Err(_) => None,
        };
        Ok(Self { folder, _lock })
    }

    /// The store's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path<K: Key>(&self, key: &K) -> PathBuf {
        let name = key.name();
        self.folder
            .join("store")
            .join(FORMAT)
            .join(K::KIND)
            .join(&name[..2])
            .join(format!("{name}.json"))
    }

    /// The part with this key, if it is there and whole.
    ///
    /// # Errors
    /// The file is there and the system cannot read it.
    pub fn get<P: Part>(&self, key: &P::Key) -> Result<Option<P>> {
        let path = self.path(key);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Diagnostic::io(Kind::Output, "read a record", &path, &e)),
        };
        Ok(serde_json::from_slice::<P>(&bytes)
            .ok()
            .filter(|part| part.key() == key))
    }

    fn plan_path(&self, experiment: &str, model: &str) -> PathBuf {
        self.folder
            .join("plans")
            .join(experiment)
            .join(format!("{model}.jsonl"))
    }

    /// The kept plan of an experiment and a model, if there is one.
    ///
    /// # Errors
    /// The file is there and the system cannot read it.
    pub fn plan(&self, experiment: &str, model: &str) -> Result<Option<String>> {
        let path = self.plan_path(experiment, model);
        match fs::read(&path) {
            Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Diagnostic::io(Kind::Output, "read a kept plan", &path, &e)),
        }
    }

    /// Keeps a plan, if it is not kept already.
    ///
    /// # Errors
    /// The disk is full or the folder cannot be written.
    pub fn keep_plan(&self, experiment: &str, model: &str, text: &str) -> Result<()> {
        let path = self.plan_path(experiment, model);
        if fs::read(&path).is_ok_and(|kept| kept == text.as_bytes()) {
            return Ok(());
        }
        write_atomically(&path, text.as_bytes())
    }

    /// Keeps a part.
    ///
    /// # Errors
    /// The disk is full or the folder cannot be written.
    pub fn put<P: Part>(&self, part: &P) -> Result<()> {
        let path = self.path(part.key());
        let json = serde_json::to_vec(part).unwrap_or_else(|e| unreachable!("a record is plain data: {e}"));
        write_atomically(&path, &json)
    }
}

fn busy(lock: &Path) -> Diagnostic {
    Diagnostic::output("another igsite is at work in this project")
        .in_file(lock)
        .help("wait until it has ended; the lock is freed by itself, even if it is killed")
}

/// Writes a file to the side and renames it, so that nobody ever sees half of it.
///
/// # Errors
/// The disk is full or the folder cannot be written; nothing is left behind.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e: std::io::Error| Diagnostic::io(Kind::Output, "write", path, &e);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let side = path.with_extension("part");
    let written = File::create(&side).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&side, path)
    });
    written.map_err(|e| {
        _ = fs::remove_file(&side);
        failed(e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::key::ModelKey;

    fn part() -> StoredPrediction {
        StoredPrediction {
            key: PredictionKey {
                model: ModelKey::of_a_test(),
                token_ids: vec![1, 5],
                asked: vec![7],
                answers: vec![],
            },
            token_id: 7,
            probability: 0.1 + 0.2,
            asked: vec![f64::from(0.1f32)],
            answers: vec![],
            provenance: Provenance {
                igsite: "0".into(),
                backend: "cpu".into(),
                seconds: 0.25,
                created: "2026-01-01T00:00:00Z".into(),
            },
        }
    }

    #[test]
    fn what_is_put_is_got_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Patience::None).unwrap();
        assert_eq!(store.get::<StoredPrediction>(&part().key).unwrap(), None);
        store.put(&part()).unwrap();
        assert_eq!(store.get::<StoredPrediction>(&part().key).unwrap(), Some(part()));
        let mut other = part().key;
        other.asked.push(8);
        assert_eq!(store.get::<StoredPrediction>(&other).unwrap(), None);
    }

    #[test]
    fn a_damaged_file_counts_as_missing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Patience::None).unwrap();
        store.put(&part()).unwrap();
        let path = store.path(&part().key);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(store.get::<StoredPrediction>(&part().key).unwrap(), None);
        // Whole, but under another's name.
        let mut other = part();
        other.key.asked.push(8);
        fs::write(&path, serde_json::to_vec(&other).unwrap()).unwrap();
        assert_eq!(store.get::<StoredPrediction>(&part().key).unwrap(), None);
    }

    #[test]
    fn only_one_may_have_it_open() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Patience::None).unwrap();
        let error = Store::open(folder.path(), Patience::None).unwrap_err();
        assert!(error.message.contains("another igsite is at work"), "{error}");
        assert!(Store::read(folder.path(), Patience::None).is_err());
        drop(store);
        assert!(Store::open(folder.path(), Patience::None).is_ok());
        let _readers = [(); 2].map(|()| Store::read(folder.path(), Patience::None).unwrap());
        assert!(Store::open(folder.path(), Patience::None).is_err());
    }

    #[test]
    fn one_that_is_not_there_is_read_as_empty_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::read(folder.path(), Patience::None).unwrap();
        assert_eq!(store.get::<StoredPrediction>(&part().key).unwrap(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
