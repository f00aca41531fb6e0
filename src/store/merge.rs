//! One store's parts and plans into another: a checked copy.
//!
//! What is whole and not here yet is copied. A part that is here with the same bytes is left alone. One that is here
//! with other bytes was computed twice: where only time and place of that differ, ours stays; where the numbers do, it
//! is a conflict, and both files are named. Nothing of ours is ever replaced, but for what is damaged.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;

use super::parts::{PartFile, problem};
use super::{FOLDER, PLANS, Store, read_part_file, seal, writing};
use crate::diagnostic::{Diagnostic, Diagnostics, Result};
use crate::interrupt;

/// What came of a merge.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// Parts that were copied.
    pub copied: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Parts that were here, with the same bytes.
    pub same: usize,
    /// Parts that were here with the same numbers, computed at another time or place.
    pub twice: usize,
    /// Parts that are here with other numbers.
    pub conflicts: Vec<Conflict>,
    /// Lines of plans that were copied.
    pub planned: usize,
    /// Files that were not copied, because they are damaged; and ours that were, and were replaced.
    pub damaged: Diagnostics,
}

/// One part in two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The one that is here, and stays.
    pub ours: PathBuf,
    /// The other.
    pub theirs: PathBuf,
    /// The fields in which they differ.
    pub differ: Vec<String>,
}

/// What came of one part.
enum Came {
    Copied(u64),
    Same,
    Twice,
    Conflict(Conflict),
    Damaged(Diagnostic),
    /// Ours was damaged.
    Replaced(u64, Diagnostic),
    Gone,
}

/// Copies what a store lacks from another one: a project, its `.igsite`, or a folder that `compute --store` has filled.
///
/// # Errors
/// `from` is no store, or this one; a file cannot be read or written; a signal requests the end. What was copied stays.
pub fn merge(into: &Store, from: &Path) -> Result<Merged> {
    let source = Store {
        folder: store_in(from)?,
        refuses_damage: true,
        warnings: std::sync::Mutex::default(),
    };
    let place = |folder: &Path| fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    if place(&source.folder) == place(&into.folder) {
        return Err(Diagnostic::content("this is the store that others are merged into").in_file(from));
    }
    let files = source.part_files()?;
    let came: Vec<Came> = files.par_iter().map(|file| one(into, file)).collect::<Result<_>>()?;
    let mut merged = Merged::default();
    for came in came {
        match came {
            Came::Copied(bytes) => {
                merged.copied += 1;
                merged.bytes += bytes;
            }
            Came::Same => merged.same += 1,
            Came::Twice => merged.twice += 1,
            Came::Conflict(conflict) => merged.conflicts.push(conflict),
            Came::Damaged(error) => merged.damaged.push(error),
            Came::Replaced(bytes, warning) => {
                merged.copied += 1;
                merged.bytes += bytes;
                merged.damaged.push(warning);
            }
            Came::Gone => {}
        }
    }
    for (path, within) in source.plan_files() {
        interrupt::check()?;
        plan(into, &path, &within, &mut merged)?;
    }
    writing::sync(&into.folder);
    Ok(merged)
}

/// The store that a path leads to.
fn store_in(from: &Path) -> Result<PathBuf> {
    let is_store = |folder: &Path| folder.join("store").is_dir();
    let candidates = [from.join(FOLDER), from.to_path_buf()];
    if let Some(found) = candidates.into_iter().find(|folder| is_store(folder)) {
        return Ok(found);
    }
    if from.ends_with("store")
        && let Some(folder) = from.parent().filter(|folder| is_store(folder))
    {
        return Ok(folder.to_path_buf());
    }
    Err(Diagnostic::content(match from.is_dir() {
        true => "there is no store in this folder",
        false => "there is no such folder",
    })
    .in_file(from)
    .expected("a project with an `.igsite`, an `.igsite`, or a folder that `igsite compute --store` has filled"))
}

fn one(into: &Store, file: &PartFile) -> Result<Came> {
    interrupt::check()?;
    let Some(bytes) = read_part_file(&file.path)? else {
        return Ok(Came::Gone);
    };
    let size = bytes.len() as u64;
    if let Some(what) = problem(file.name, &bytes) {
        let error = Diagnostic::output(format!("this part is damaged, and is not copied: {what}"));
        return Ok(Came::Damaged(error.in_file(&file.path).help(
            "compute it again there, or here; `igsite status` says what is missing",
        )));
    }
    let place = into.path_of(file.name.kind(), &file.name.to_string());
    let copy = || writing::write_one_of_many(&into.folder, &place, &bytes);
    let Some(ours) = read_part_file(&place)? else {
        copy()?;
        // What was written is what was checked.
        return match read_part_file(&place)? {
            Some(written) if written == bytes => Ok(Came::Copied(size)),
            // Another process was as quick.
            Some(written) => Ok(compared(&place, &file.path, &written, &bytes)),
            None => Ok(Came::Gone),
        };
    };
    if ours == bytes {
        return Ok(Came::Same);
    }
    if let Some(what) = problem(file.name, &ours) {
        into.damaged(&place, &ours, &what)?;
        copy()?;
        let warning = Diagnostic::output(format!("our part was damaged, and is replaced by the other: {what}"));
        return Ok(Came::Replaced(size, warning.in_file(&place).as_warning()));
    }
    Ok(compared(&place, &file.path, &ours, &bytes))
}

/// Two whole parts with one name and other bytes.
fn compared(place: &Path, path: &Path, ours: &[u8], theirs: &[u8]) -> Came {
    let fields = |bytes: &[u8]| -> Option<serde_json::Map<String, Value>> {
        let text = str::from_utf8(bytes).ok()?;
        serde_json::from_str(seal::open(text, "")?).ok()
    };
    let (ours, theirs) = (fields(ours).unwrap_or_default(), fields(theirs).unwrap_or_default());
    let names: Vec<&String> = ours
        .keys()
        .chain(theirs.keys().filter(|name| !ours.contains_key(*name)))
        .collect();
    let differ: Vec<String> = names
        .into_iter()
        .filter(|name| ours.get(*name) != theirs.get(*name))
        .cloned()
        .collect();
    if differ.iter().all(|name| name == "provenance") {
        return Came::Twice;
    }
    Came::Conflict(Conflict {
        ours: place.to_path_buf(),
        theirs: path.to_path_buf(),
        differ,
    })
}

/// The lines of a plan's file that are not here. One with another head, as of another device's numbers, is kept beside
/// ours.
fn plan(into: &Store, path: &Path, within: &Path, merged: &mut Merged) -> Result<()> {
    let Some(bytes) = read_part_file(path)? else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(&bytes);
    let (first, lines) = text.split_once('\n').unwrap_or((&text, ""));
    let Some(head) = seal::open(first, "") else {
        let error = Diagnostic::output("the first line of this plan is damaged, and it is not copied").in_file(path);
        merged.damaged.push(error.as_warning());
        return Ok(());
    };
    let root = into.folder.join(PLANS);
    let mut place = root.join(within);
    let mut there = read_text(&place)?;
    if there.as_ref().is_some_and(|text| text.lines().next() != Some(first)) {
        // In the folder of shards' files, under a name of the head's own.
        let folder = match place
            .parent()
            .filter(|folder| folder.extension().is_some_and(|end| end == "shards"))
        {
            Some(shards) => shards.to_path_buf(),
            None => place.with_extension("shards"),
        };
        place = folder.join(format!("of-{}.jsonl", &blake3::hash(head.as_bytes()).to_hex()[..16]));
        there = read_text(&place)?;
    }
    let mut all = there.unwrap_or_else(|| format!("{first}\n"));
    let sample = |line: &str| -> Option<String> {
        let value: Value = serde_json::from_str(seal::open(line, head)?).ok()?;
        Some(value.get("sample")?.as_str()?.to_owned())
    };
    let mut known: HashSet<String> = all.lines().skip(1).filter_map(sample).collect();
    let before = all.len();
    for (number, line) in lines.lines().enumerate() {
        match sample(line) {
            Some(name) => {
                if known.insert(name) {
                    all.extend([line, "\n"]);
                    merged.planned += 1;
                }
            }
            None => {
                let what = format!("line {} of this plan is damaged, and is not copied", number + 2);
                merged.damaged.push(Diagnostic::output(what).in_file(path).as_warning());
            }
        }
    }
    if all.len() > before || !place.exists() {
        writing::write_kept(&into.folder, &place, all.as_bytes())?;
    }
    Ok(())
}

fn read_text(path: &Path) -> Result<Option<String>> {
    Ok(read_part_file(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoredPrediction;
    use crate::store::key::{ModelKey, PredictionKey};
    use crate::store::record::Provenance;
    use crate::terms::DeviceKind;

    fn part(token: u32, probability: f64, seconds: f64) -> StoredPrediction {
        StoredPrediction {
            key: PredictionKey {
                model: ModelKey::of_a_test(),
                token_ids: vec![1, token],
                asked: vec![],
                answers: vec![],
            },
            token_id: 9,
            probability,
            asked: vec![],
            answers: vec![],
            provenance: Provenance {
                igsite: "0".into(),
                backend: DeviceKind::Cpu,
                seconds,
                created: "2026-01-01T00:00:00Z".into(),
                device: None,
            },
        }
    }

    #[test]
    fn what_is_lacking_is_copied_and_what_differs_is_told() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (ours, theirs) = (Store::open(here.path()).unwrap(), Store::open(there.path()).unwrap());
        ours.put(&part(1, 0.5, 1.0)).unwrap();
        theirs.put(&part(1, 0.5, 1.0)).unwrap();
        ours.put(&part(2, 0.5, 1.0)).unwrap();
        theirs.put(&part(2, 0.5, 2.0)).unwrap();
        ours.put(&part(3, 0.5, 1.0)).unwrap();
        theirs.put(&part(3, 0.25, 1.0)).unwrap();
        theirs.put(&part(4, 0.5, 1.0)).unwrap();
        theirs.put(&part(5, 0.5, 1.0)).unwrap();
        let damaged = theirs.path(&part(5, 0.5, 1.0).key);
        let text = fs::read_to_string(&damaged).unwrap();
        fs::write(&damaged, text.replace("0.5", "0.6")).unwrap();
        // Each way to name it.
        for from in ["", ".igsite", ".igsite/store"] {
            let merged = merge(&ours, &there.path().join(from)).unwrap();
            let again = !from.is_empty();
            assert_eq!((merged.copied, merged.same), if again { (0, 2) } else { (1, 1) });
            assert_eq!(
                (merged.twice, merged.conflicts.len(), merged.damaged.error_count()),
                (1, 1, 1)
            );
            let conflict = &merged.conflicts[0];
            assert_eq!(conflict.differ, ["probability"]);
            assert_eq!(conflict.ours, ours.path(&part(3, 0.5, 1.0).key));
            assert_eq!(conflict.theirs.file_name(), conflict.ours.file_name());
        }
        for (token, expected) in [
            (1, Some(0.5)),
            (2, Some(0.5)),
            (3, Some(0.5)),
            (4, Some(0.5)),
            (5, None),
        ] {
            let found: Option<StoredPrediction> = ours.get(&part(token, 0.5, 1.0).key, 10).unwrap();
            assert_eq!(found.as_ref().map(|part| part.probability), expected, "{token}");
            assert!(found.is_none_or(|part| part.provenance.seconds == 1.0));
        }
        // Ours is damaged, theirs is whole.
        let place = ours.path(&part(1, 0.5, 1.0).key);
        fs::write(&place, "torn").unwrap();
        let merged = merge(&ours, there.path()).unwrap();
        assert_eq!(merged.copied, 1);
        assert!(
            ours.get::<StoredPrediction>(&part(1, 0.5, 1.0).key, 10)
                .unwrap()
                .is_some()
        );
        assert_eq!(
            fs::read_to_string(here.path().join(".igsite/damaged").join(place.file_name().unwrap())).unwrap(),
            "torn"
        );
    }

    #[test]
    fn what_is_no_store_is_refused() {
        let here = tempfile::tempdir().unwrap();
        let store = Store::open(here.path()).unwrap();
        fs::create_dir_all(here.path().join("empty")).unwrap();
        for (from, told) in [("empty", "no store in this folder"), ("gone", "no such folder")] {
            let error = merge(&store, &here.path().join(from)).unwrap_err();
            assert!(error.message.contains(told), "{error}");
        }
        store.put(&part(1, 0.5, 1.0)).unwrap();
        let error = merge(&store, here.path()).unwrap_err();
        assert!(error.message.contains("merged into"), "{error}");
    }

    #[test]
    fn plans_are_joined_line_by_line() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (ours, theirs) = (Store::open(here.path()).unwrap(), Store::open(there.path()).unwrap());
        fs::create_dir_all(there.path().join(".igsite/store")).unwrap();
        let text = |head: &str, samples: &[&str]| {
            let mut text = seal::seal(head, "") + "\n";
            for sample in samples {
                text += &(seal::seal(&format!("{{\"sample\":\"{sample}\"}}"), head) + "\n");
            }
            text
        };
        let (one, other) = ("{\"model\":1}", "{\"model\":2}");
        ours.keep_plan("e", "m", &text(one, &["a", "b"])).unwrap();
        theirs.keep_plan("e", "m", &text(one, &["b", "c"])).unwrap();
        theirs.keep_plan("e", "n", &text(one, &["a"])).unwrap();
        let merged = merge(&ours, there.path()).unwrap();
        assert_eq!(merged.planned, 2);
        let read = |path: &str| fs::read_to_string(here.path().join(".igsite/plans/e").join(path)).unwrap();
        assert_eq!(read("m.jsonl"), text(one, &["a", "b", "c"]));
        assert_eq!(read("n.jsonl"), text(one, &["a"]));
        // Of another head.
        theirs.keep_plan("e", "m", &text(other, &["d"])).unwrap();
        for planned in [1, 0] {
            assert_eq!(merge(&ours, there.path()).unwrap().planned, planned);
        }
        assert_eq!(read("m.jsonl"), text(one, &["a", "b", "c"]));
        let beside = &ours.plan("e", "m").unwrap();
        assert_eq!(beside.len(), 2);
        assert!(beside.iter().any(|file| file.text == text(other, &["d"])));
    }
}
