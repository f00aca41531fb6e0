//! The record store, `.igsite/`: content-addressed, atomic, versioned.
//!
//! Each part (a prediction, an attribution) is one file, named by the hash of all that it depends on, written to the
//! side and renamed. A build that is killed has lost the part it was at, nothing else. A part is sealed with its
//! checksum and must make sense ([`sense`]): one that is damaged, or that holds another key than its name says, is set
//! aside, told, and made again; where nothing is made ([`Store::read`]), it is an error that names it.
//!
//! Any number of processes, on any number of machines, may write to one store at once: each writes under a name of its
//! own, and who is first keeps the part. Only the site and the stamp of a project have one writer ([`Claim`]).

mod claim;
mod host;
pub mod key;
pub mod memo;
mod merge;
pub mod parts;
pub mod record;
pub mod seal;
pub mod sense;
mod writing;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::input;
use crate::terms::{Below, Faithfulness, NonFinite, Round, RoutingQuality, Shard, relative_error};
use key::{AttributionKey, GenerationKey, Key, PredictionKey, TestKey};
use record::Provenance;

pub use claim::Claim;
pub use merge::{Conflict, Merged, merge};
pub use writing::{write_atomically, write_kept};

/// Raised when the files' own form changes. Parts of `v1` had no checksum.
pub const FORMAT: &str = "v2";
/// Where damaged parts are put, so that nothing is lost that somebody may want to look at.
const ASIDE: &str = "damaged";
/// The folder of a project that is the store's.
const FOLDER: &str = ".igsite";
/// The folder of plans.
const PLANS: &str = "plans";
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

/// An opened store. Others may write to it meanwhile: what they write is whole or not there.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Whether a damaged part is an error, because none is made again.
    refuses_damage: bool,
    /// What was set aside.
    warnings: Mutex<Diagnostics>,
}

impl Store {
    /// Opens, and where need be makes, `.igsite/` in a project.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(project: &Path) -> Result<Self> {
        Self::at(project.join(FOLDER))
    }

    /// Opens, and where need be makes, a store in a folder of its own.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn at(folder: PathBuf) -> Result<Self> {
        writing::make_folder(&folder)
            .map_err(|e| Diagnostic::io(Kind::Output, "make the record store", &folder, &e))?;
        writing::tidy(&writing::beside(&folder));
        Ok(Self {
            folder,
            refuses_damage: false,
            warnings: Mutex::default(),
        })
    }

    /// Opens `.igsite/` in a project for reading. Nothing is written: the project may be on a read-only medium. A
    /// damaged part is an error, and stays where it is.
    pub fn read(project: &Path) -> Self {
        Self {
            folder: project.join(FOLDER),
            refuses_damage: true,
            warnings: Mutex::default(),
        }
    }

    /// Finds out whether parts can be written, before anything is computed for them.
    ///
    /// # Errors
    /// They cannot: the folder is read-only or belongs to somebody else, or the disk is full.
    pub fn probe(&self) -> Result<()> {
        let path = self.beside().join(format!("{}.part", writing::unique()));
        writing::write_new(&path, b"x")?;
        fs::remove_file(&path).map_err(|e| Diagnostic::io(Kind::Output, "remove", &path, &e))
    }

    /// The store's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path<K: Key>(&self, key: &K) -> PathBuf {
        self.path_of(K::KIND, &key.name())
    }

    /// Where a part lies that has a name of 64 hexadecimal digits.
    fn path_of(&self, kind: &str, name: &str) -> PathBuf {
        let folder = &name[..2];
        self.folder.join(format!("store/{FORMAT}/{kind}/{folder}/{name}.json"))
    }

    /// Where files are written before they are moved to their place.
    fn beside(&self) -> PathBuf {
        writing::beside(&self.folder)
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
        loop {
            let Some(bytes) = read_part_file(&path)? else {
                return Ok(None);
            };
            match read_part::<P>(&bytes, key, vocabulary) {
                Ok(part) => return Ok(Some(part)),
                Err(what) => {
                    if self.damaged(&path, &bytes, &what)? == SetAside::Moved {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Reports a damaged file of the store, in which `bytes` were found, and moves it aside unless damage is refused.
    ///
    /// # Errors
    /// Damage is refused, or the file cannot be moved.
    fn damaged(&self, path: &Path, bytes: &[u8], what: &str) -> Result<SetAside> {
        let told = Diagnostic::output(format!("this kept part is damaged: {what}")).in_file(path);
        if self.refuses_damage {
            return Err(told.expected("the part as it was written, by its checksum").help(ANEW));
        }
        let folder = self.folder.join(ASIDE);
        let aside = folder.join(path.file_name().unwrap_or_default());
        let moved = writing::make_folder(&folder).and_then(|()| writing::relocate(path, &aside));
        match moved {
            // Another process was as quick, and reports it.
            Err(error) if error.kind() == ErrorKind::NotFound && !path.exists() => return Ok(SetAside::Moved),
            moved => moved.map_err(|e| Diagnostic::io(Kind::Output, "set this damaged part aside", path, &e))?,
        }
        // Another process may have set it aside and made it anew in the meantime: that one goes back to its place.
        if fs::read(&aside).is_ok_and(|now| now != bytes) && writing::relocate(&aside, path).is_ok() {
            return Ok(SetAside::Another);
        }
        let told = told.help(format!(
            "it is now {}, and is computed again; if this comes again, check the disk",
            aside.display()
        ));
        self.warn(told);
        Ok(SetAside::Moved)
    }

    fn plan_path(&self, experiment: &str, model: &str) -> PathBuf {
        self.folder.join(PLANS).join(experiment).join(format!("{model}.jsonl"))
    }

    /// The folder of the parts of a plan that shards have written. No plan's file has such a name.
    fn plan_shards(&self, experiment: &str, model: &str) -> PathBuf {
        self.folder.join(PLANS).join(experiment).join(format!("{model}.shards"))
    }

    /// The stored plan of an experiment and a model: its file, if there is one, and those that shards have written, from
    /// the newest to the oldest.
    ///
    /// # Errors
    /// A file exists and the system cannot read it.
    pub fn plan(&self, experiment: &str, model: &str) -> Result<Vec<PlanFile>> {
        let mut paths = vec![self.plan_path(experiment, model)];
        let shards = fs::read_dir(self.plan_shards(experiment, model)).into_iter().flatten();
        let shards = shards.flatten().map(|entry| entry.path());
        paths.extend(shards.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")));
        paths.sort();
        let mut files = Vec::new();
        for path in paths {
            // What is no UTF-8 costs its line, whose checksum then is another.
            if let Some(bytes) = input::read_if_there(&path, Kind::Output, "read a kept plan")? {
                let modified = fs::metadata(&path).and_then(|found| found.modified()).ok();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                files.push((modified, PlanFile { path, text }));
            }
        }
        files.sort_by_key(|(modified, _)| std::cmp::Reverse(*modified));
        Ok(files.into_iter().map(|(_, file)| file).collect())
    }

    /// Reports that a stored plan is damaged, in a build that plans it again.
    ///
    /// # Errors
    /// Damage is refused.
    pub fn damaged_plan(&self, path: &Path, what: &str) -> Result<()> {
        let told = Diagnostic::output(format!("this kept plan is damaged: {what}"));
        let told = told.in_file(path);
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
    pub fn other_version_of_plan(&self, path: &Path) -> Result<()> {
        if !self.refuses_damage {
            return Ok(());
        }
        let told = Diagnostic::output("this kept plan is of another version of igsite");
        Err(told
            .in_file(path)
            .help("run `igsite build` where the model is, and commit `.igsite/store` and `.igsite/plans`"))
    }

    fn warn(&self, told: Diagnostic) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(told.as_warning());
    }

    /// Stores a plan, unless the same is stored already. What shards have written of it is in it, and goes.
    ///
    /// # Errors
    /// The disk is full or the folder cannot be written.
    pub fn keep_plan(&self, experiment: &str, model: &str, text: &str) -> Result<()> {
        self.write_plan(&self.plan_path(experiment, model), text)?;
        let shards = self.plan_shards(experiment, model);
        writing::remove_folder(&shards).map_err(|error| Diagnostic::io(Kind::Output, "remove", &shards, &error))
    }

    /// Stores what a shard knows of a plan.
    ///
    /// # Errors
    /// The disk is full or the folder cannot be written.
    pub fn keep_plan_of_shard(&self, experiment: &str, model: &str, shard: Shard, text: &str) -> Result<()> {
        let name = format!("{}-of-{}.jsonl", shard.index(), shard.count());
        self.write_plan(&self.plan_shards(experiment, model).join(name), text)
    }

    fn write_plan(&self, path: &Path, text: &str) -> Result<()> {
        if fs::read(path).is_ok_and(|kept| kept == text.as_bytes()) {
            return Ok(());
        }
        write_kept(&self.folder, path, text.as_bytes())
    }

    /// Keeps a part. Where another process has kept it in the meantime, that one stays.
    ///
    /// # Errors
    /// The disk is full or the folder cannot be written.
    pub fn put<P: Part>(&self, part: &P) -> Result<()> {
        let path = self.path(part.key());
        debug_assert_eq!(part.sense(usize::MAX), Ok(()), "{}", path.display());
        let json = serde_json::to_string(part).unwrap_or_else(|e| unreachable!("a record is plain data: {e}"));
        self.put_bytes(&path, seal::seal(&json, "").as_bytes())
    }

    fn put_bytes(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        if path.exists() {
            return Ok(());
        }
        write_kept(&self.folder, path, bytes)
    }
}

/// One file of a stored plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// What became of a damaged part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SetAside {
    /// It is out of the way.
    Moved,
    /// Another one had taken its place already, and is there.
    Another,
}

/// The bytes of a part's file, if it is there. On a network file system, a file that another machine replaces while it
/// is read here is "stale": it is opened anew.
fn read_part_file(path: &Path) -> Result<Option<Vec<u8>>> {
    let read = || input::read_if_there(path, Kind::Output, "read a kept part");
    #[cfg(unix)]
    for _ in 0..3 {
        match fs::metadata(path) {
            Err(error) if error.raw_os_error() == Some(libc::ESTALE) => continue,
            _ => break,
        }
    }
    read()
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
        let store = Store::open(folder.path()).unwrap();
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
        let store = Store::open(folder.path()).unwrap();
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
    fn who_is_first_keeps_the_part() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Store::open(folder.path()).unwrap(), Store::open(folder.path()).unwrap());
        let later = StoredPrediction {
            provenance: Provenance {
                seconds: 9.0,
                ..part().provenance
            },
            ..part()
        };
        one.put(&part()).unwrap();
        other.put(&later).unwrap();
        assert_eq!(other.get::<StoredPrediction>(&part().key, 10).unwrap(), Some(part()));
        assert_eq!(fs::read_dir(one.beside()).unwrap().count(), 0);
    }

    #[test]
    fn many_writers_of_one_part_leave_it_whole() {
        let folder = tempfile::tempdir().unwrap();
        let stores: Vec<Store> = (0..8).map(|_| Store::open(folder.path()).unwrap()).collect();
        for round in 0..50 {
            let mut part = part();
            part.key.token_ids.push(round);
            std::thread::scope(|scope| {
                for store in &stores {
                    scope.spawn(|| {
                        store.put(&part).unwrap();
                        assert_eq!(store.get(&part.key, 10).unwrap(), Some(part.clone()));
                    });
                }
            });
        }
        assert!(stores.iter().all(|store| store.take_warnings().is_empty()));
        assert_eq!(fs::read_dir(stores[0].beside()).unwrap().count(), 0);
    }

    #[test]
    fn a_part_that_was_made_anew_meanwhile_is_not_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.put(&part()).unwrap();
        let path = store.path(&part().key);
        // The damage was seen in other bytes than those that lie there now.
        assert_eq!(
            store.damaged(&path, b"damaged", "so it was").unwrap(),
            SetAside::Another
        );
        assert_eq!(store.get::<StoredPrediction>(&part().key, 10).unwrap(), Some(part()));
        assert!(store.take_warnings().is_empty());
        // And one that is gone was set aside by somebody else.
        fs::remove_file(&path).unwrap();
        assert_eq!(store.damaged(&path, b"damaged", "so it was").unwrap(), SetAside::Moved);
        assert!(store.take_warnings().is_empty());
    }

    #[test]
    fn one_that_is_not_there_is_read_as_empty_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::read(folder.path());
        assert_eq!(store.get::<StoredPrediction>(&part().key, 10).unwrap(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
