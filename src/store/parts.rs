//! The store as a whole: the names of all its parts, their sizes and ages, and whether each is what its name says.
//!
//! Names, sizes and ages are of folders and entries alone; nothing is read. [`Store::verify`] reads every byte.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;
use serde::Deserialize;

use super::key::{AttributionKey, GenerationKey, Key, PredictionKey, TestKey};
use super::record::Provenance;
use super::{
    ASIDE, FORMAT, PLANS, Part, Store, StoredAttribution, StoredGeneration, StoredPrediction, StoredTest,
    read_part_file, seal, writing,
};
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::interrupt;

/// The kinds of parts, by the folders that they lie in.
pub const KINDS: [&str; 4] = [
    PredictionKey::KIND,
    GenerationKey::KIND,
    AttributionKey::KIND,
    TestKey::KIND,
];

/// The name of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartName {
    kind: u8,
    hash: [u8; 32],
}

impl PartName {
    /// Of the part with a key.
    pub fn of<K: Key>(key: &K) -> Self {
        Self::read(K::KIND, &key.name())
            .unwrap_or_else(|| unreachable!("a key's name is a hash, and its kind is known"))
    }

    /// Of a file's stem in the folder of a kind; none where it is no such name.
    fn read(kind: &str, stem: &str) -> Option<Self> {
        let kind = KINDS.iter().position(|known| *known == kind)?;
        if stem.len() != 64 {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(stem.as_bytes().chunks(2)) {
            let digit = |digit: u8| match digit {
                b'0'..=b'9' => Some(digit - b'0'),
                b'a'..=b'f' => Some(digit - b'a' + 10),
                _ => None,
            };
            *byte = digit(digits[0])? << 4 | digit(digits[1])?;
        }
        Some(Self { kind: kind as u8, hash })
    }

    /// The folder that it lies in.
    pub fn kind(&self) -> &'static str {
        KINDS[usize::from(self.kind)]
    }
}

impl std::fmt::Display for PartName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A part's file, not read.
#[derive(Clone, Debug)]
pub struct PartFile {
    /// Which part it is.
    pub name: PartName,
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// What a check of the whole store found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Parts and plans that are what they were.
    pub whole: usize,
    /// Bytes read.
    pub bytes: u64,
    /// Parts and plans that are not, each named in `errors`.
    pub damaged: usize,
    /// One for each.
    pub errors: Diagnostics,
}

impl Store {
    /// The names of all parts; nothing but folders is read.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn names(&self) -> Result<Vec<PartName>> {
        self.each_part(|name, _| Some(Ok(name)))
    }

    /// All parts with their sizes and ages, in the order of kinds and names.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn part_files(&self) -> Result<Vec<PartFile>> {
        let mut files = self.each_part(|name, path| {
            let found = match fs::metadata(&path) {
                Ok(found) => found,
                // Set aside by another process since.
                Err(error) if error.kind() == ErrorKind::NotFound => return None,
                Err(error) => return Some(Err(Diagnostic::io(Kind::Output, "look at", &path, &error))),
            };
            Some(Ok(PartFile {
                name,
                size: found.len(),
                modified: found.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                path,
            }))
        })?;
        files.sort_by_key(|file| file.name);
        Ok(files)
    }

    /// Files in the store that are no parts of this version: those of earlier ones, and what somebody put there.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn other_files(&self) -> Result<Vec<PathBuf>> {
        let parts: HashSet<PathBuf> = self.each_part(|_, path| Some(Ok(path)))?.into_iter().collect();
        let walk = walkdir::WalkDir::new(self.folder.join("store")).sort_by_file_name();
        let files = walk.into_iter().flatten().filter(|entry| entry.file_type().is_file());
        let beside = self.beside();
        let others = files.map(walkdir::DirEntry::into_path);
        Ok(others
            .filter(|path| !parts.contains(path) && !path.starts_with(&beside))
            .collect())
    }

    /// The versions of igsite that made some parts, with how many each; those that cannot be read are left out.
    pub fn made_by(files: &[PartFile]) -> BTreeMap<String, usize> {
        /// What every part has.
        #[derive(Deserialize)]
        struct Made {
            provenance: Provenance,
        }
        let version = |file: &PartFile| {
            let bytes = read_part_file(&file.path).ok()??;
            let json = seal::open(str::from_utf8(&bytes).ok()?, "")?;
            Some(serde_json::from_str::<Made>(json).ok()?.provenance.igsite)
        };
        let found: Vec<String> = files.par_iter().filter_map(version).collect();
        let mut versions = BTreeMap::new();
        for version in found {
            *versions.entry(version).or_default() += 1;
        }
        versions
    }

    /// What `of` makes of each part's name and path.
    fn each_part<T: Send>(&self, of: impl Fn(PartName, PathBuf) -> Option<Result<T>> + Sync) -> Result<Vec<T>> {
        let mut folders = Vec::new();
        for kind in KINDS {
            let folder = self.folder.join("store").join(FORMAT).join(kind);
            folders.extend(entries(&folder)?.into_iter().map(|folder| (kind, folder)));
        }
        let of_folder = |(kind, folder): &(&str, PathBuf)| -> Result<Vec<T>> {
            let part = |path: PathBuf| {
                let stem = path.file_name()?.to_str()?.strip_suffix(".json")?;
                of(PartName::read(kind, stem)?, path.clone())
            };
            entries(folder)?.into_iter().filter_map(part).collect()
        };
        let found: Vec<Vec<T>> = folders.par_iter().map(of_folder).collect::<Result<_>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Reads every byte of every part and plan. What is damaged is set aside, so that the next build makes it anew;
    /// parts in the store of a read-only project stay where they are.
    ///
    /// # Errors
    /// A file or folder cannot be read; a signal requests the end.
    pub fn verify(&self) -> Result<Verified> {
        let files = self.part_files()?;
        let mut all = Verified::default();
        let look = |file: &PartFile| -> Result<Option<(u64, Option<Diagnostic>)>> {
            interrupt::check()?;
            let Some(bytes) = read_part_file(&file.path)? else {
                return Ok(None);
            };
            let error = problem(file.name, &bytes).map(|what| self.found_damaged(&file.path, &bytes, &what));
            Ok(Some((bytes.len() as u64, error)))
        };
        let found: Vec<_> = files.par_iter().map(look).collect::<Result<_>>()?;
        for (bytes, error) in found.into_iter().flatten() {
            all.count(bytes, error);
        }
        for (path, within) in self.plan_files() {
            interrupt::check()?;
            let Some(bytes) = read_part_file(&path)? else { continue };
            let error = self.check_plan(&path, &within, &bytes);
            all.count(bytes.len() as u64, error);
        }
        Ok(all)
    }

    /// What is said of a damaged part, which is set aside if that can be done.
    fn found_damaged(&self, path: &Path, bytes: &[u8], what: &str) -> Diagnostic {
        let error = Diagnostic::output(format!("this kept part is damaged: {what}")).in_file(path);
        let place = self.folder.join(ASIDE).join(path.file_name().unwrap_or_default());
        let setting_aside = || -> std::io::Result<()> {
            writing::make_folder(&self.folder.join(ASIDE))?;
            writing::relocate(path, &place)?;
            if fs::read(&place)? != bytes {
                // Made anew by another process in between.
                writing::relocate(&place, path)?;
            }
            Ok(())
        };
        match setting_aside() {
            Ok(()) => error.help(format!(
                "it is now {}, and the next build computes it again; if this comes again, check the disk",
                place.display()
            )),
            Err(io) => error.help(format!("it cannot be set aside: {io}")),
        }
    }

    /// The files of plans, each with its name below the folder of plans.
    pub fn plan_files(&self) -> Vec<(PathBuf, PathBuf)> {
        let root = self.folder.join(PLANS);
        let walk = walkdir::WalkDir::new(&root).sort_by_file_name();
        let files = walk.into_iter().flatten().filter(|entry| entry.file_type().is_file());
        let files = files.map(walkdir::DirEntry::into_path);
        let plans = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        plans
            .filter_map(|path| Some((path.clone(), path.strip_prefix(&root).ok()?.to_path_buf())))
            .collect()
    }

    /// What is wrong with the lines of a plan's file. Damaged lines go, the others stay; a copy of the whole is set
    /// aside.
    fn check_plan(&self, path: &Path, within: &Path, bytes: &[u8]) -> Option<Diagnostic> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let head = seal::open(first, "");
        let (mut good, mut bad) = (format!("{first}\n"), Vec::new());
        for (index, line) in lines.enumerate() {
            match head.and_then(|head| seal::open(line, head)) {
                Some(_) => good.extend([line, "\n"]),
                None => bad.push(index + 2),
            }
        }
        let what = match (head, &bad[..]) {
            (None, _) => "its first line is damaged".to_owned(),
            (Some(_), []) => return None,
            (Some(_), [one]) => format!("line {one} is damaged"),
            (Some(_), [one, rest @ ..]) => format!("line {one} and {} more are damaged", rest.len()),
        };
        let error = Diagnostic::output(format!("this kept plan is damaged: {what}")).in_file(path);
        let name = within.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "-");
        let aside = self.folder.join(ASIDE).join(name);
        let done = super::write_kept(&self.folder, &aside, bytes).and_then(|()| match head {
            Some(_) => super::write_kept(&self.folder, path, good.as_bytes()),
            None => fs::remove_file(path).map_err(|e| Diagnostic::io(Kind::Output, "remove", path, &e)),
        });
        Some(match done {
            Ok(()) => error.help(format!(
                "a copy of it is {}; the next build plans again what is lacking",
                aside.display()
            )),
            Err(io) => error.help(format!("it cannot be set aside: {}", io.message)),
        })
    }
}

impl Verified {
    fn count(&mut self, bytes: u64, error: Option<Diagnostic>) {
        self.bytes += bytes;
        match error {
            None => self.whole += 1,
            Some(error) => {
                self.damaged += 1;
                self.errors.push(error);
            }
        }
    }
}

/// What is wrong with a part's file, if anything is.
pub(super) fn problem(name: PartName, bytes: &[u8]) -> Option<String> {
    match believed(name.kind(), bytes) {
        Ok(found) if found == name => None,
        Ok(_) => Some("it is of another model, prompt or setting than its name says".to_owned()),
        Err(what) => Some(what),
    }
}

/// The name that the part in a file should have, if its checksum is right and its numbers make sense.
///
/// # Errors
/// What is wrong with it, as a sentence without a full stop.
pub fn believed(kind: &str, bytes: &[u8]) -> std::result::Result<PartName, String> {
    match kind {
        PredictionKey::KIND => sense_of::<StoredPrediction>(bytes),
        GenerationKey::KIND => sense_of::<StoredGeneration>(bytes),
        AttributionKey::KIND => sense_of::<StoredAttribution>(bytes),
        TestKey::KIND => sense_of::<StoredTest>(bytes),
        _ => Err(format!("`{kind}` is no kind of part")),
    }
}

fn sense_of<P: Part>(bytes: &[u8]) -> std::result::Result<PartName, String> {
    let json = str::from_utf8(bytes).ok().and_then(|text| seal::open(text, ""));
    let json = json.ok_or("its checksum is not that of what it holds")?;
    let part: P = serde_json::from_str(json).map_err(|e| e.to_string())?;
    // Which tokens its model knows is not said in a part.
    part.sense(usize::MAX)?;
    Ok(PartName::of(part.key()))
}

/// The paths in a folder, sorted; none of one that is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e: &std::io::Error| Diagnostic::io(Kind::Output, "read the folder", folder, e);
    let found = match fs::read_dir(folder) {
        Ok(found) => found,
        Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => return Ok(vec![]),
        Err(error) => return Err(failed(&error)),
    };
    let mut paths: Vec<PathBuf> = found
        .map(|entry| Ok(entry.map_err(|e| failed(&e))?.path()))
        .collect::<Result<_>>()?;
    paths.sort_unstable();
    Ok(paths)
}
