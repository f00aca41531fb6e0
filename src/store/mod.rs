//! The record store, `.igsite/`: content-addressed, atomic, versioned.
//!
//! Each part (a prediction, an attribution) is one file, named by the hash of all that it depends on, written to the
//! side and renamed. A build that is killed has lost the part it was at, nothing else. A part is sealed with its
//! checksum and must make sense ([`sense`]): one that is damaged, or that holds another key than its name says, is set
//! aside, told, and made again; where nothing is made ([`Store::read`]), it is an error that names it.

pub mod key;
pub mod memo;
pub mod record;
pub mod seal;
pub mod sense;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::input;
use crate::lock::{self, Patience, Sharing};
use crate::terms::{Below, Faithfulness, NonFinite, Round, RoutingQuality, relative_error};
use key::{AttributionKey, GenerationKey, Key, PredictionKey, TestKey};
use record::Provenance;

/// Raised when the files' own form changes. Parts of `v1` had no checksum.
const FORMAT: &str = "v2";
/// Where damaged parts are put, so that nothing is lost that somebody may want to look at.
const ASIDE: &str = "damaged";
/// What to do about damage where nothing is made.
const ANEW: &str = "get the file anew from where it was made, or run `igsite build` where the model is";

/// A stored prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredPrediction {
    /// What it depends on.
    pub key: PredictionKey,
    /// The most probable next token.
    pub token_id: u32,
    /// Its softmax probability.
    pub probability: f64,
    /// The probability of each token of the key, in the key's order.
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
    /// F at the zero vector, where the path from there is entered at the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub f_zero: Option<f64>,
    /// What lies near the beginning of a path from the zero vector. Parts of earlier versions have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Below>,
    /// One signed score a token; empty where a value along the path was not finite.
    pub scores: Vec<f64>,
    /// The error estimate of each score, absolute, in the output's unit: the adaptive rule's own, or the difference of
    /// a fixed rule from itself at half its points; none where the rule has none, or where a value along the path was
    /// not finite.
    pub errors: Option<Vec<f64>>,
    /// The whole score of each unit, where the method replaces units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_scores: Option<Vec<f64>>,
    /// The error of each unit's score, where the method knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_errors: Option<Vec<f64>>,
    /// Forward and backward passes spent, those of a fixed rule at half its points included.
    pub evaluations: usize,
    /// The estimate after each round. For a fixed rule it is empty, or has the results at half its points and at all.
    /// Rounds whose numbers are not finite are left out.
    pub history: Vec<Round>,
    /// Whether the integrator reached its aim; none for a fixed rule, which has none.
    pub converged: Option<bool>,
    /// Where the path met a value that is not finite.
    pub non_finite: Option<NonFinite>,
    /// What the choice of experts did along the path; none without experts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<RoutingQuality>,
    /// How and when it was made.
    pub provenance: Provenance,
}

impl StoredAttribution {
    /// The error of the map relative to its L1 norm; none where it is unknown, or where the map is zero and its error
    /// is not.
    pub fn error_estimate(&self) -> Option<f64> {
        relative_error(self.errors.as_ref()?, &self.scores)
    }
}

/// A stored test of a map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredTest {
    /// What it depends on.
    pub key: TestKey,
    /// What became of it.
    pub result: Faithfulness,
    /// How and when it was made.
    pub provenance: Provenance,
}

/// All that a job's record is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The forward pass.
    pub prediction: StoredPrediction,
    /// Methods outer, then targets, baselines inner.
    pub attributions: Vec<StoredAttribution>,
    /// The tests of each of them, one for each replacement; empty where they are not tested.
    pub tests: Vec<Vec<StoredTest>>,
    /// What the model was asked to say, and says.
    pub generation: Option<(String, StoredGeneration)>,
}

/// A part of a record: a value with its key.
pub trait Part: Serialize + DeserializeOwned {
    /// Its kind of key.
    type Key: Key + PartialEq;

    /// What it depends on.
    fn key(&self) -> &Self::Key;

    /// Whether it agrees with itself, with its key and with a model that knows `vocabulary` tokens.
    ///
    /// # Errors
    /// What makes no sense.
    fn sense(&self, vocabulary: usize) -> sense::Nonsense;
}

impl Part for StoredPrediction {
    type Key = PredictionKey;

    fn key(&self) -> &PredictionKey {
        &self.key
    }

    fn sense(&self, vocabulary: usize) -> sense::Nonsense {
        sense::of_prediction(self, vocabulary)
    }
}

impl Part for StoredGeneration {
    type Key = GenerationKey;

    fn key(&self) -> &GenerationKey {
        &self.key
    }

    fn sense(&self, vocabulary: usize) -> sense::Nonsense {
        sense::of_generation(self, vocabulary)
    }
}

impl Part for StoredAttribution {
    type Key = AttributionKey;

    fn key(&self) -> &AttributionKey {
        &self.key
    }

    fn sense(&self, _: usize) -> sense::Nonsense {
        sense::of_attribution(self)
    }
}

impl Part for StoredTest {
    type Key = TestKey;

    fn key(&self) -> &TestKey {
        &self.key
    }

    fn sense(&self, _: usize) -> sense::Nonsense {
        sense::of_test(self)
    }
}

/// An opened store; no other process writes to it meanwhile.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Whether a damaged part is an error, because none is made again.
    refuses_damage: bool,
    /// What was set aside.
    warnings: Mutex<Diagnostics>,
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
        Ok(Self {
            folder,
            refuses_damage: false,
            warnings: Mutex::default(),
            _lock: Some(file),
        })
    }

    /// Opens `.igsite/` in a project for reading, while nobody changes it. Nothing is written: the project may be on a
    /// read-only medium, and then nobody else can write there either.
    ///
    /// # Errors
    /// Another igsite is writing to it. Later, a damaged part is an error, and stays where it is.
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
        Ok(Self {
            folder,
            refuses_damage: true,
            warnings: Mutex::default(),
            _lock,
        })
    }

    /// The store's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path<K: Key>(&self, key: &K) -> PathBuf {
        let name = key.name();
        let folder = &name[..2];
        self.folder
            .join(format!("store/{FORMAT}/{}/{folder}/{name}.json", K::KIND))
    }

    /// Takes the warnings collected so far: parts that were moved aside.
    pub fn take_warnings(&self) -> Diagnostics {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The part with this key, if it exists and is whole. One that is damaged, or that cannot be of a model with
    /// `vocabulary` tokens, is moved aside and reported, and counts as missing.
    ///
    /// # Errors
    /// The file exists and the system cannot read it; or it is damaged, where damage is refused.
    pub fn get<P: Part>(&self, key: &P::Key, vocabulary: usize) -> Result<Option<P>> {
        let path = self.path(key);
        let Some(bytes) = input::read_if_there(&path, Kind::Output, "read a kept part")? else {
            return Ok(None);
        };
        match read_part::<P>(&bytes, key, vocabulary) {
            Ok(part) => Ok(Some(part)),
            Err(what) => self.damaged(&path, &what).map(|()| None),
        }
    }

    /// Reports a damaged file of the store, and moves it aside unless damage is refused.
    ///
    /// # Errors
    /// Damage is refused, or the file cannot be moved.
    fn damaged(&self, path: &Path, what: &str) -> Result<()> {
        let told = Diagnostic::output(format!("this kept part is damaged: {what}")).in_file(path);
        if self.refuses_damage {
            return Err(told.expected("the part as it was written, by its checksum").help(ANEW));
        }
        let folder = self.folder.join(ASIDE);
        let aside = folder.join(path.file_name().unwrap_or_default());
        let moved = fs::create_dir_all(&folder).and_then(|()| fs::rename(path, &aside));
        moved.map_err(|e| Diagnostic::io(Kind::Output, "set this damaged part aside", path, &e))?;
        let told = told.help(format!(
            "it is now {}, and is computed again; if this comes again, check the disk",
            aside.display()
        ));
        self.warn(told);
        Ok(())
    }

    fn plan_path(&self, experiment: &str, model: &str) -> PathBuf {
        self.folder
            .join("plans")
            .join(experiment)
            .join(format!("{model}.jsonl"))
    }

    /// The stored plan of an experiment and a model, if there is one.
    ///
    /// # Errors
    /// The file exists and the system cannot read it.
    pub fn plan(&self, experiment: &str, model: &str) -> Result<Option<String>> {
        let path = self.plan_path(experiment, model);
        let bytes = input::read_if_there(&path, Kind::Output, "read a kept plan")?;
        // What is no UTF-8 costs its line, whose checksum then is another.
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Reports that a stored plan is damaged, in a build that plans it again.
    ///
    /// # Errors
    /// Damage is refused.
    pub fn damaged_plan(&self, experiment: &str, model: &str, what: &str) -> Result<()> {
        let told = Diagnostic::output(format!("this kept plan is damaged: {what}"));
        let told = told.in_file(self.plan_path(experiment, model));
        if self.refuses_damage {
            return Err(told.expected("each line as it was written, by its checksum").help(ANEW));
        }
        self.warn(told.help("it is planned again and written anew; if this comes again, check the disk"));
        Ok(())
    }

    /// Reports that a stored plan is of another version, where that leaves nothing to build from.
    ///
    /// # Errors
    /// Damage is refused.
    pub fn other_version_of_plan(&self, experiment: &str, model: &str) -> Result<()> {
        if !self.refuses_damage {
            return Ok(());
        }
        let told = Diagnostic::output("this kept plan is of another version of igsite");
        Err(told
            .in_file(self.plan_path(experiment, model))
            .help("run `igsite build` where the model is, and commit `.igsite/store` and `.igsite/plans`"))
    }

    fn warn(&self, told: Diagnostic) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(told.as_warning());
    }

    /// Stores a plan, unless the same is stored already.
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
        debug_assert_eq!(part.sense(usize::MAX), Ok(()), "{}", path.display());
        let json = serde_json::to_string(part).unwrap_or_else(|e| unreachable!("a record is plain data: {e}"));
        write_atomically(&path, seal::seal(&json, "").as_bytes())
    }
}

/// A part from its file's bytes.
///
/// # Errors
/// What is wrong with it.
fn read_part<P: Part>(bytes: &[u8], key: &P::Key, vocabulary: usize) -> std::result::Result<P, String> {
    let json = str::from_utf8(bytes).ok().and_then(|text| seal::open(text, ""));
    let json = json.ok_or("its checksum is not that of what it holds")?;
    let part: P = serde_json::from_str(json).map_err(|e| e.to_string())?;
    if part.key() != key {
        return Err("it is of another model, prompt or setting than its name says".to_owned());
    }
    part.sense(vocabulary)?;
    Ok(part)
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
    use crate::terms::DeviceKind;

    fn part() -> StoredPrediction {
        StoredPrediction {
            key: PredictionKey {
                model: ModelKey::of_a_test(),
                token_ids: vec![1, 5],
                asked: vec![7],
                answers: vec![],
            },
            token_id: 9,
            probability: 0.1 + 0.2,
            asked: vec![f64::from(0.1f32)],
            answers: vec![],
            provenance: Provenance {
                igsite: "0".into(),
                backend: DeviceKind::Cpu,
                seconds: 0.25,
                created: "2026-01-01T00:00:00Z".into(),
                device: None,
            },
        }
    }

    #[test]
    fn what_is_put_is_got_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Patience::None).unwrap();
        assert_eq!(store.get::<StoredPrediction>(&part().key, 10).unwrap(), None);
        store.put(&part()).unwrap();
        assert_eq!(store.get::<StoredPrediction>(&part().key, 10).unwrap(), Some(part()));
        let mut other = part().key;
        other.asked.push(8);
        assert_eq!(store.get::<StoredPrediction>(&other, 10).unwrap(), None);
    }

    #[test]
    fn a_damaged_part_is_set_aside_and_told_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Patience::None).unwrap();
        store.put(&part()).unwrap();
        let path = store.path(&part().key);
        let whole = fs::read_to_string(&path).unwrap();
        let digit = whole.replace("0.3", "0.4");
        assert_ne!(digit, whole);
        let sealed = |part: &StoredPrediction| seal::seal(&serde_json::to_string(part).unwrap(), "");
        let (mut other, mut nonsense) = (part(), part());
        other.key.asked.push(8);
        nonsense.asked.clear();
        let cases = [
            (whole[..whole.len() / 2].to_owned(), "checksum"),
            (digit, "checksum"),
            (String::new(), "checksum"),
            (sealed(&other), "another model, prompt or setting"),
            (sealed(&nonsense), "0 probabilities for 1 tokens"),
        ];
        let mut store = store;
        for (text, told) in cases {
            fs::write(&path, &text).unwrap();
            store.refuses_damage = true;
            let error = store.get::<StoredPrediction>(&part().key, 10).unwrap_err();
            assert!(
                error.message.contains(told) && error.file.as_ref() == Some(&path),
                "{error}"
            );
            store.refuses_damage = false;
            assert_eq!(store.get::<StoredPrediction>(&part().key, 10).unwrap(), None);
            let warnings = store.take_warnings();
            assert!(warnings.iter().next().unwrap().message.contains(told));
            assert!(!path.exists());
            let aside = folder.path().join(".igsite/damaged").join(path.file_name().unwrap());
            assert_eq!(fs::read_to_string(aside).unwrap(), text);
        }
        assert!(store.take_warnings().is_empty());
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
        assert_eq!(store.get::<StoredPrediction>(&part().key, 10).unwrap(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
