//! Writes a site into its folder, and never touches a file that a build did not write.
//!
//! The folder bears a mark, [`MARK`]: the list of the files that are igsite's, with their hashes. A folder that holds
//! anything and has no mark is refused. Changed files are staged inside the folder and moved into place only when the
//! whole site was rendered, so that a failed build leaves the old site as it was; unchanged ones are not written at all. Before
//! the first file moves, the mark lists old and new files alike: a build that is killed there leaves nothing that the next
//! one would take for foreign.

mod growing;

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::checkpoint::hash;
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::render::OutputFile;
use crate::stamp;
pub use growing::Growing;

/// The name of the mark.
pub const MARK: &str = ".igsite-site.json";
/// Where changed files wait, inside the output folder, so that a move into place stays on one file system.
pub const STAGE: &str = ".igsite-stage";
const SCHEMA: &str = "igsite/site/1";
const ABOUT: &str =
    "Written by igsite. The files listed here are rewritten or removed by `igsite build`; other files are left alone.";

/// What a build did to the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files that are new or changed.
    pub written: usize,
    /// Files that were there already, byte for byte.
    pub unchanged: usize,
    /// Files of the last build that this one does not make any more.
    pub removed: usize,
    /// Files that this build does not make any more, but that were edited since: they are left, and no longer igsite's.
    pub kept: Vec<String>,
    /// What is worth telling of the site as a whole.
    pub warnings: Diagnostics,
}

#[derive(Debug, Serialize, Deserialize)]
struct Mark<S: Ord> {
    schema: String,
    about: String,
    /// Path → hash of its content.
    files: BTreeMap<S, S>,
}

/// An output folder while a site is written into it.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
    stage: PathBuf,
    created: bool,
    /// Whether it held nothing when it was opened: then nothing is in the way, and nothing has to be asked for each file.
    empty: bool,
    old: BTreeMap<String, String>,
    new: BTreeMap<String, String>,
    /// New paths in lower case, since some file systems do not tell cases apart.
    lower: HashSet<String>,
    /// Folders of the site that are known to be there and to be folders, so that they are looked at once.
    folders: RwLock<HashSet<String>>,
    staged: usize,
    unchanged: usize,
}

/// What came of comparing a file with the one in place.
#[derive(Debug)]
pub struct Looked {
    path: String,
    hash: String,
    staged: bool,
}

impl Output {
    /// Opens a folder for writing: a new one, an empty one, or one that bears the mark.
    pub fn open(folder: &Path) -> Result<Self> {
        let fail = |doing: &str, error: &io::Error| Diagnostic::io(Kind::Output, doing, folder, error);
        let created = !folder.exists();
        if created {
            fs::create_dir_all(folder).map_err(|error| fail("make the output folder", &error))?;
        } else if !folder.is_dir() {
            return Err(Diagnostic::output("the output is a file")
                .in_file(folder)
                .expected("a folder, or nothing"));
        }
        let stage = folder.join(STAGE);
        let old = read_mark(folder)?;
        if old.is_none() {
            refuse_foreign(folder)?;
        }
        let empty = old.is_none();
        // What a killed build left behind.
        if fs::symlink_metadata(&stage).is_ok() {
            fs::remove_dir_all(&stage).map_err(|error| fail("clear the staging folder of", &error))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            stage,
            created,
            empty,
            old: old.unwrap_or_default(),
            new: BTreeMap::new(),
            lower: HashSet::new(),
            folders: RwLock::default(),
            staged: 0,
            unchanged: 0,
        })
    }

    /// Takes a file: compares it with the one in place, and stages it where they differ.
    pub fn add(&mut self, file: &OutputFile) -> Result<()> {
        let looked = self.look(file)?;
        self.take(looked)
    }

    /// Compares a file with the one in place, and stages it where they differ. Many threads may do so at once; what comes of it has to be
    /// taken, in an order that is always the same.
    pub fn look(&self, file: &OutputFile) -> Result<Looked> {
        check_path(&file.path)?;
        self.refuse_foreign_in_the_way(&file.path)?;
        let hash = hash_of(&file.bytes);
        let old = self.old.get(&file.path);
        let staged = old != Some(&hash) || !same_bytes(&self.folder.join(&file.path), &file.bytes);
        if staged {
            write(&self.stage.join(&file.path), &file.bytes)?;
        }
        Ok(Looked {
            path: file.path.clone(),
            hash,
            staged,
        })
    }

    /// Takes what came of looking at a file.
    pub fn take(&mut self, looked: Looked) -> Result<()> {
        if !self.lower.insert(looked.path.to_lowercase()) {
            return Err(Diagnostic::output(format!(
                "two files of the site are called `{}`",
                looked.path
            )));
        }
        if looked.staged {
            self.staged += 1;
        } else {
            self.unchanged += 1;
        }
        self.new.insert(looked.path, looked.hash);
        Ok(())
    }

    /// A file or link where this one would go, or where its folder would, must be one that igsite wrote.
    fn refuse_foreign_in_the_way(&self, path: &str) -> Result<()> {
        if self.empty {
            return Ok(());
        }
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for end in ends {
            let (at, is_folder) = (&path[..end], end < path.len());
            if is_folder && self.known_folder(at) {
                continue;
            }
            let place = self.folder.join(at);
            let Ok(found) = fs::symlink_metadata(&place) else {
                return Ok(());
            };
            if found.is_dir() && is_folder {
                let mut folders = self.folders.write().unwrap_or_else(PoisonError::into_inner);
                folders.insert(at.to_owned());
                continue;
            }
            if found.is_file() && self.old.contains_key(at) {
                continue;
            }
            if found.is_dir() && self.old.keys().any(|old| old.starts_with(&format!("{at}/"))) && !self.has_foreign(at)
            {
                return Ok(());
            }
            let what = if found.is_symlink() {
                "a symbolic link"
            } else if found.is_dir() {
                "a folder"
            } else {
                "a file"
            };
            return Err(Diagnostic::output(format!(
                "{what} that igsite did not write is where the site’s `{path}` would go"
            ))
            .in_file(&place)
            .help("move it away, or give another folder with --output"));
        }
        Ok(())
    }

    fn known_folder(&self, at: &str) -> bool {
        self.folders.read().unwrap_or_else(PoisonError::into_inner).contains(at)
    }

    /// Whether a folder that a file is to replace holds anything else than files of the last build.
    fn has_foreign(&self, folder: &str) -> bool {
        let entries = walkdir::WalkDir::new(self.folder.join(folder)).into_iter().flatten();
        let mut files = entries.filter(|entry| !entry.file_type().is_dir());
        files.any(|entry| {
            let relative = entry
                .path()
                .strip_prefix(&self.folder)
                .ok()
                .and_then(|path| path.to_str());
            !relative.is_some_and(|path| self.old.contains_key(&path.replace('\\', "/")))
        })
    }

    /// Moves everything into place.
    pub fn commit(self) -> Result<Counts> {
        let mut counts = Counts {
            written: self.staged,
            unchanged: self.unchanged,
            ..Counts::default()
        };
        let gone: Vec<(&String, &String)> = self
            .old
            .iter()
            .filter(|(path, _)| !self.new.contains_key(*path))
            .collect();
        self.write_mark(self.old.iter().chain(&self.new))?;
        for (path, written) in &gone {
            self.remove(path, written, &mut counts)?;
        }
        if self.staged > 0 {
            move_into(&self.stage, &self.folder)?;
        }
        if !gone.is_empty() {
            self.write_mark(self.new.iter())?;
        }
        Ok(counts)
    }

    /// Removes a file of the last build, and the folders that it leaves empty; one that was edited since is kept.
    fn remove(&self, path: &str, written: &str, counts: &mut Counts) -> Result<()> {
        if check_path(path).is_err() || self.through_link(path) {
            return Ok(());
        }
        let target = self.folder.join(path);
        match fs::read(&target) {
            Ok(bytes) if !is_as_written(&bytes, written) => counts.kept.push(path.to_owned()),
            Ok(_) => {
                fs::remove_file(&target).map_err(|error| Diagnostic::io(Kind::Output, "remove", &target, &error))?;
                counts.removed += 1;
                let mut folder = target.parent();
                // Fails, as it should, at the first folder that is not empty.
                while let Some(empty) = folder.filter(|f| *f != self.folder && fs::remove_dir(f).is_ok()) {
                    folder = empty.parent();
                }
            }
            // Somebody was here before us.
            Err(_) => {}
        }
        Ok(())
    }

    /// Whether a symbolic link stands on the way to a file: what is behind it is not ours.
    fn through_link(&self, path: &str) -> bool {
        let mut place = self.folder.clone();
        path.split('/').any(|part| {
            place.push(part);
            fs::symlink_metadata(&place).is_ok_and(|found| found.is_symlink())
        })
    }

    /// Lists these files as igsite's; of two with one path the later counts.
    fn write_mark<'m>(&self, files: impl Iterator<Item = (&'m String, &'m String)>) -> Result<()> {
        let mark = Mark {
            schema: SCHEMA.into(),
            about: ABOUT.into(),
            files: files.collect(),
        };
        let mut bytes = serde_json::to_vec_pretty(&mark)
            .map_err(|error| Diagnostic::output(format!("cannot write the list of files: {error}")))?;
        bytes.push(b'\n');
        let path = self.folder.join(MARK);
        if same_bytes(&path, &bytes) {
            return Ok(());
        }
        let staged = self.stage.join(MARK);
        write(&staged, &bytes)?;
        fs::rename(&staged, &path)
            .map_err(|error| Diagnostic::io(Kind::Output, "move the file into place", &path, &error))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and the next build clears the rest.
        let _ = fs::remove_dir_all(&self.stage);
        if self.created {
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// A hash of what stands in a folder of the files that its mark lists, by name, size and times; none where one is missing or is no file.
pub fn as_written(folder: &Path) -> Option<String> {
    let files: Vec<String> = read_mark(folder).ok()??.into_keys().chain([MARK.to_owned()]).collect();
    let times: Option<Vec<_>> = files
        .par_iter()
        .map(|file| stamp::times(&fs::symlink_metadata(folder.join(file)).ok()?))
        .collect();
    Some(stamp::debug_hash(&(files, times?)))
}

fn read_mark(folder: &Path) -> Result<Option<BTreeMap<String, String>>> {
    let path = folder.join(MARK);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Diagnostic::io(Kind::Output, "read igsite’s mark", &path, &error)),
    };
    match serde_json::from_slice::<Mark<String>>(&bytes) {
        Ok(mark) if mark.schema == SCHEMA => Ok(Some(mark.files)),
        Ok(mark) => Err(
            Diagnostic::output(format!("the mark is of another version, `{}`", mark.schema))
                .in_file(&path)
                .expected(format!("`{SCHEMA}`"))
                .help("use the igsite that wrote this folder, or give another folder with --output"),
        ),
        Err(error) => Err(Diagnostic::output(format!("igsite’s mark is damaged: {error}"))
            .in_file(&path)
            .help("if nothing else is in the folder, remove it and build again; or give another folder with --output")),
    }
}

/// Refuses a folder without the mark that holds anything, naming some of it.
fn refuse_foreign(folder: &Path) -> Result<()> {
    let entries =
        fs::read_dir(folder).map_err(|error| Diagnostic::io(Kind::Output, "read the output folder", folder, &error))?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    // A first build that was killed leaves its staging folder and nothing else.
    names.retain(|name| name != STAGE);
    names.sort();
    let Some(rest) = names
        .len()
        .checked_sub(5)
        .map(|rest| {
            if rest > 0 {
                format!(" and {rest} more")
            } else {
                String::new()
            }
        })
        .or_else(|| (!names.is_empty()).then(String::new))
    else {
        return Ok(());
    };
    names.truncate(5);
    let list = names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    Err(Diagnostic::output(format!(
        "the output folder holds files that igsite did not write: {list}{rest}"
    ))
    .in_file(folder)
    .expected(format!(
        "a new or empty folder, or one that igsite wrote (it holds `{MARK}`)"
    ))
    .help("move these files away, or give another folder with --output"))
}

/// Refuses paths that would leave the folder or collide with what the folder is kept with.
fn check_path(path: &str) -> Result<()> {
    let bad_part = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(['\\', '\0', ':']);
    let first = path.split('/').next().unwrap_or("").to_lowercase();
    if path.split('/').any(bad_part) || first == MARK || first == STAGE {
        return Err(
            Diagnostic::output(format!("`{path}` cannot be the path of a file of the site"))
                .help("rename what it is made from"),
        );
    }
    Ok(())
}

/// BLAKE3: a third of the time of SHA-256 on pages, and it is to be trusted as much.
fn hash_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Whether a file is as its mark says. The first igsites marked theirs with SHA-256.
fn is_as_written(bytes: &[u8], written: &str) -> bool {
    hash_of(bytes) == written || hash::of_bytes(bytes) == written
}

fn same_bytes(path: &Path, bytes: &[u8]) -> bool {
    let same_length =
        fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == bytes.len() as u64);
    same_length && fs::read(path).is_ok_and(|found| found == bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = create(path).and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| Diagnostic::io(Kind::Output, "write", path, &error))
}

/// Makes a file, and its folder where that is not there yet: most are.
fn create(path: &Path) -> io::Result<File> {
    match (File::create(path), path.parent()) {
        (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(parent)?;
            File::create(path)
        }
        (made, _) => made,
    }
}

/// Moves what a staging folder holds into place: a folder that is not there yet as a whole, any other file by file.
fn move_into(stage: &Path, folder: &Path) -> Result<()> {
    let failed = |path: &Path, error: &io::Error| Diagnostic::io(Kind::Output, "move the file into place", path, error);
    let entries: Vec<_> = fs::read_dir(stage)
        .and_then(Iterator::collect)
        .map_err(|error| failed(stage, &error))?;
    entries.par_iter().try_for_each(|entry| {
        let (from, to) = (entry.path(), folder.join(entry.file_name()));
        let both_folders = entry.file_type().is_ok_and(|kind| kind.is_dir())
            && fs::symlink_metadata(&to).is_ok_and(|found| found.is_dir());
        if both_folders {
            return move_into(&from, &to);
        }
        fs::rename(&from, &to).map_err(|error| failed(&to, &error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(folder: &Path, files: &[(&str, &str)]) -> Result<Counts> {
        let mut output = Output::open(folder)?;
        for (path, text) in files {
            output.add(&OutputFile {
                path: (*path).to_owned(),
                bytes: text.as_bytes().to_vec(),
            })?;
        }
        output.commit()
    }

    fn counts(written: usize, unchanged: usize, removed: usize) -> Counts {
        Counts {
            written,
            unchanged,
            removed,
            ..Counts::default()
        }
    }

    fn listing(folder: &Path) -> Vec<String> {
        let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
        let files = entries.filter(|entry| entry.path() != folder);
        files
            .map(|entry| entry.path().strip_prefix(folder).expect("inside").display().to_string())
            .collect()
    }

    #[test]
    fn only_what_changed_is_written_and_what_is_gone_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let site = folder.path().join("new/site");
        assert_eq!(
            build(&site, &[("a.html", "1"), ("d/e/b.html", "2")]).expect("builds"),
            counts(2, 0, 0)
        );
        let mark = fs::read(site.join(MARK)).expect("a mark");
        assert_eq!(
            build(&site, &[("a.html", "1"), ("d/e/b.html", "2")]).expect("builds"),
            counts(0, 2, 0)
        );
        assert_eq!(fs::read(site.join(MARK)).expect("a mark"), mark);
        assert_eq!(build(&site, &[("a.html", "3")]).expect("builds"), counts(1, 0, 1));
        assert_eq!(listing(&site), [MARK, "a.html"]);
    }

    #[test]
    fn a_folder_with_foreign_files_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("thesis.tex"), "years of work").expect("written");
        let error = build(folder.path(), &[("a.html", "1")])
            .expect_err("refused")
            .to_string();
        assert!(error.contains("`thesis.tex`") && error.contains("--output"), "{error}");
        assert_eq!(listing(folder.path()), ["thesis.tex"]);
    }

    #[test]
    fn foreign_files_in_a_marked_folder_stay_and_are_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let site = folder.path();
        build(site, &[("a/x.html", "1")]).expect("builds");
        fs::write(site.join("a/notes.txt"), "mine").expect("written");
        fs::write(site.join("b.html"), "mine").expect("written");
        let error = build(site, &[("a/x.html", "2"), ("b.html", "2")])
            .expect_err("refused")
            .to_string();
        assert!(error.contains("b.html") && error.contains("did not write"), "{error}");
        assert_eq!(
            fs::read(site.join("a/x.html")).expect("kept"),
            b"1",
            "a failed build leaves the old site as it was"
        );
        assert_eq!(build(site, &[("c.html", "2")]).expect("builds"), counts(1, 0, 1));
        assert_eq!(listing(site), [MARK, "a", "a/notes.txt", "b.html", "c.html"]);
    }

    #[test]
    fn a_build_that_stops_half_way_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let site = folder.path().join("site");
        build(&site, &[("a.html", "1")]).expect("builds");
        let before = listing(&site);
        let mut output = Output::open(&site).expect("opens");
        output
            .add(&OutputFile {
                path: "a.html".into(),
                bytes: b"2".to_vec(),
            })
            .expect("added");
        drop(output);
        assert_eq!(listing(&site), before);
        assert_eq!(fs::read(site.join("a.html")).expect("kept"), b"1");
        drop(Output::open(&folder.path().join("never")).expect("opens"));
        assert!(!folder.path().join("never").exists());
    }

    #[test]
    fn an_edited_file_that_is_made_no_more_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let site = folder.path();
        build(site, &[("a.html", "1"), ("b.html", "1")]).expect("builds");
        fs::write(site.join("a.html"), "edited by hand").expect("written");
        let done = build(site, &[("b.html", "1")]).expect("builds");
        assert_eq!(
            done,
            Counts {
                unchanged: 1,
                kept: vec!["a.html".into()],
                ..Counts::default()
            }
        );
    }

    #[test]
    fn a_site_that_is_marked_with_sha_256_is_taken_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let site = folder.path();
        build(site, &[("a.html", "1"), ("b.html", "2")]).expect("builds");
        let mark = fs::read_to_string(site.join(MARK)).expect("a mark");
        let older = |text: &str, mark: &str| mark.replace(&hash_of(text.as_bytes()), &hash::of_bytes(text.as_bytes()));
        fs::write(site.join(MARK), older("1", &older("2", &mark))).expect("written");
        let done = build(site, &[("b.html", "2")]).expect("builds");
        assert_eq!((done.removed, done.kept.len()), (1, 0), "{done:?}");
        assert!(!site.join("a.html").exists());
    }

    #[cfg(unix)]
    #[test]
    fn symbolic_links_are_not_followed_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let (site, outside) = (folder.path().join("site"), folder.path().join("outside"));
        fs::create_dir(&outside).expect("made");
        fs::write(outside.join("x.html"), "1").expect("written");
        build(&site, &[("d/x.html", "1"), ("a.html", "1")]).expect("builds");
        fs::remove_dir_all(site.join("d")).expect("removed");
        std::os::unix::fs::symlink(&outside, site.join("d")).expect("linked");
        assert!(build(&site, &[("d/x.html", "2")]).is_err());
        build(&site, &[("a.html", "1")]).expect("builds");
        assert!(outside.join("x.html").exists());
    }

    #[test]
    fn a_file_may_become_a_folder_and_a_folder_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        build(folder.path(), &[("a", "1"), ("b/c", "1")]).expect("builds");
        assert_eq!(
            build(folder.path(), &[("a/x", "1"), ("b", "1")]).expect("builds"),
            counts(2, 0, 2)
        );
        assert_eq!(listing(folder.path()), [MARK, "a", "a/x", "b"]);
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in ["../x", "/x", "a//b", "a/./b", "", MARK, "a\\b", "C:/x"] {
            assert!(build(folder.path(), &[(path, "1")]).is_err(), "{path}");
        }
        assert!(build(folder.path(), &[("A.html", "1"), ("a.html", "1")]).is_err());
        fs::write(folder.path().join(MARK), "{").expect("written");
        assert!(
            build(folder.path(), &[])
                .expect_err("damaged")
                .to_string()
                .contains("damaged")
        );
    }
}
